//! Whether one identity is used by two programs at once.
//!
//! Every run of a node has a number of its own, which it says with each connection. A node that restarts has
//! a new one and never the old one again. So a run that holds the link again after another run held it
//! shows that both are there: each takes the link from the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::Twins;
use crate::frame::Instance;

/// How long what was seen is told.
const NEWS: Duration = Duration::from_secs(60);
/// Runs that are remembered, the newest.
const RUNS_MAX: usize = 8;
/// Links that the peer ended for a newer one within [`NEWS`] that are counted.
const CUTS_MAX: usize = 64;

/// What is known of the runs of one peer.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Those that held the link and from where, the present one last.
    held: VecDeque<(Instance, SocketAddr)>,
    /// When one came back last, and the addresses of the two.
    returned: Option<(Instant, Twins)>,
    /// When the peer ended a link because it had a newer one with this node.
    cuts: VecDeque<Instant>,
}

impl Runs {
    /// A run has the link now.
    pub(crate) fn holds(&mut self, run: Instance, from: SocketAddr, now: Instant) {
        let before = self.held.back().copied();
        let known = self.held.iter().position(|(held, _)| *held == run);
        if let Some(at) = known {
            self.held.remove(at);
        }
        if let (Some(_), Some((other, address))) = (known, before)
            && other != run
        {
            self.returned = Some((now, Twins([address, from])));
        }
        self.held.push_back((run, from));
        if self.held.len() > RUNS_MAX {
            self.held.pop_front();
        }
    }

    /// The peer ended the link because it had a newer one.
    pub(crate) fn cut(&mut self, now: Instant) {
        self.cuts.push_back(now);
        if self.cuts.len() > CUTS_MAX {
            self.cuts.pop_front();
        }
    }

    /// The addresses of two programs that use the peer's identity, if that was seen lately.
    pub(crate) fn twins(&self, now: Instant) -> Option<Twins> {
        let (at, twins) = self.returned?;
        is_news(at, now).then_some(twins)
    }

    /// Links that the peer ended lately because it had a newer one.
    pub(crate) fn cuts(&self, now: Instant) -> usize {
        let cuts = self.cuts.iter();
        cuts.filter(|at| is_news(**at, now)).count()
    }
}

fn is_news(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) <= NEWS
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Instance = [1; 16];
    const B: Instance = [2; 16];

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn two_programs_that_take_the_link_from_each_other_are_told_with_their_addresses() {
        let (mut runs, now) = (Runs::default(), Instant::now());
        runs.holds(A, at(1), now);
        runs.holds(B, at(2), now);
        assert_eq!(runs.twins(now), None, "it may have restarted");
        runs.holds(A, at(3), now);
        assert_eq!(runs.twins(now), Some(Twins([at(2), at(3)])));
        assert_eq!(runs.twins(now + NEWS), Some(Twins([at(2), at(3)])));
        assert_eq!(runs.twins(now + NEWS + Duration::from_millis(1)), None);
    }

    #[test]
    fn a_peer_that_connects_again_or_restarts_often_is_no_twin() {
        let (mut runs, now) = (Runs::default(), Instant::now());
        for run in 0..100 {
            for port in 1..4 {
                runs.holds([run; 16], at(port), now);
            }
        }
        assert_eq!(runs.twins(now), None);
        assert_eq!(runs.held.len(), RUNS_MAX);
    }

    #[test]
    fn links_that_the_peer_cut_are_counted_for_a_while_and_within_a_bound() {
        let (mut runs, now) = (Runs::default(), Instant::now());
        runs.cut(now);
        runs.cut(now + Duration::from_secs(1));
        assert_eq!(runs.cuts(now + NEWS), 2);
        assert_eq!(runs.cuts(now + NEWS + Duration::from_secs(1)), 1);
        for _ in 0..2 * CUTS_MAX {
            runs.cut(now);
        }
        assert_eq!(runs.cuts(now), CUTS_MAX);
    }
}
