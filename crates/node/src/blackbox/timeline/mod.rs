//! Puts the recordings of one or several nodes on one time axis, and says why heights took long.

mod align;
mod causes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hawser_consensus::TimerKind;
use hawser_ledger::VoteKind;
use hawser_primitives::{Address, Height, Round, Time};

use super::{
    entry::{Identity, Member, Short, What},
    read::Recording,
};

pub use align::offsets_ms;
pub use causes::{note_name, peer_name};

/// Most heights that a timeline holds; the newest.
const HEIGHTS_MAX: usize = 1_000_000;

/// A node whose recording was read.
#[derive(Clone, Debug)]
pub struct NodeLane {
    /// Whose it is; `None` where the file does not say.
    pub identity: Option<Identity>,
    /// Its name, or a number.
    pub name: String,
    /// Which of [`Timeline::validators`] it is.
    pub validator: Option<usize>,
    /// By how much its clock is ahead of the first node's, as far as votes show, in milliseconds.
    /// Times of the timeline are corrected by it.
    pub clock_ahead_ms: i64,
}

/// Something that happened on a node.
#[derive(Clone, Debug)]
pub struct Happening {
    /// When, by the first node's clock.
    pub at: Time,
    /// On which of [`Timeline::nodes`].
    pub node: usize,
    /// The height that it is about.
    pub height: Height,
    /// What.
    pub what: What,
    /// Which of [`Timeline::validators`] it is about, where it is about one.
    pub who: Option<usize>,
}

/// A vote as it was seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When some node saw it.
    pub at: Time,
    /// For what; `None` is nil.
    pub block: Option<Short>,
}

/// A round as the nodes together saw it.
#[derive(Clone, Debug, Default)]
pub struct RoundView {
    /// When the first node entered it.
    pub entered: Option<Time>,
    /// Who proposes in it.
    pub proposer: Option<usize>,
    /// The proposal, when it was seen first.
    pub proposal: Option<(Time, Short)>,
    /// Whether a node had the block complete and found it valid.
    pub valid: bool,
    /// Whether a node refused it.
    pub refused: bool,
    /// Votes by validator.
    pub prevotes: BTreeMap<usize, Seen>,
    /// Votes by validator.
    pub precommits: BTreeMap<usize, Seen>,
    /// Waits that ended for nothing: when, on which node.
    pub timeouts: Vec<(Time, usize, TimerKind)>,
}

/// A height as the nodes together saw it.
#[derive(Clone, Debug, Default)]
pub struct HeightView {
    /// When the first node began.
    pub started: Option<Time>,
    /// When the first node saw it decided.
    pub decided: Option<Time>,
    /// Nodes that fetched it from peers instead.
    pub fetched: Vec<usize>,
    /// When it was over: decided, else fetched, else passed by a later height. `None` while it goes on.
    pub ended: Option<Time>,
    /// The round that decided.
    pub round: Option<Round>,
    /// The block.
    pub block: Option<Short>,
    /// Its transactions.
    pub transactions: Option<u32>,
    /// The rounds.
    pub rounds: BTreeMap<Round, RoundView>,
    /// Who decides: positions in [`Timeline::validators`], with weights.
    pub committee: Vec<(usize, u64)>,
}

impl HeightView {
    /// When it began: the first node's start, or its end where nothing else was seen of it.
    #[must_use]
    pub fn begins(&self) -> Option<Time> {
        self.started.or(self.ended)
    }

    /// From the first node's start to its end, in milliseconds; up to `until` while it goes on.
    #[must_use]
    pub fn took_ms(&self, until: Time) -> Option<u64> {
        let started = self.started?;
        Some(self.ended.unwrap_or(until).since_ms(started))
    }

    /// Weight above two thirds of the committee's.
    #[must_use]
    pub fn quorum(&self) -> u64 {
        // In 128 bits: twice the total may exceed 64.
        let total: u128 = self
            .committee
            .iter()
            .map(|(_, weight)| u128::from(*weight))
            .sum();
        u64::try_from(total * 2 / 3 + 1).unwrap_or(u64::MAX)
    }
}

/// What was recorded, on one axis.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The recordings.
    pub nodes: Vec<NodeLane>,
    /// Every validator that a recording names.
    pub validators: Vec<Member>,
    /// What happened, oldest first.
    pub happenings: Vec<Happening>,
    /// What happened, by height.
    pub heights: BTreeMap<Height, HeightView>,
}

/// Which part of a timeline is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub from: Option<Time>,
    /// Not after.
    pub to: Option<Time>,
    /// Only this and the heights up to the second one.
    pub heights: Option<(Height, Height)>,
    /// Only so many milliseconds before the last entry.
    pub last_ms: Option<u64>,
}

impl Timeline {
    /// Puts recordings on the axis of the first one's clock; `align` corrects the others' clocks by
    /// what votes show of them.
    #[must_use]
    pub fn new(recordings: &[Recording], align: bool) -> Self {
        let offsets = if align {
            offsets_ms(recordings)
        } else {
            vec![0; recordings.len()]
        };
        let mut timeline = Self::default();
        for (i, (recording, ahead)) in recordings.iter().zip(offsets).enumerate() {
            let identity = recording.identity.clone();
            let name = identity.as_ref().map(|identity| identity.node.clone());
            let name = name.filter(|name| !name.is_empty());
            timeline.nodes.push(NodeLane {
                name: name.unwrap_or_else(|| format!("#{}", i.saturating_add(1))),
                validator: None,
                clock_ahead_ms: ahead,
                identity,
            });
            timeline.add(i, recording, ahead);
        }
        for lane in &mut timeline.nodes {
            let own = lane.identity.as_ref().and_then(|one| one.validator);
            let mut all = timeline.validators.iter();
            lane.validator = own.and_then(|own| all.position(|one| one.address == own));
        }
        timeline.happenings.sort_by_key(|one| one.at);
        timeline.digest();
        timeline
    }

    fn validator(&mut self, member: &Member) -> usize {
        let known = self
            .validators
            .iter()
            .position(|one| one.address == member.address);
        known.unwrap_or_else(|| {
            self.validators.push(member.clone());
            self.validators.len().saturating_sub(1)
        })
    }

    fn add(&mut self, node: usize, recording: &Recording, ahead_ms: i64) {
        let mut committee: Vec<(usize, u64)> = Vec::new();
        for entry in &recording.entries {
            if let What::Committee(members) = &entry.what {
                committee = members
                    .iter()
                    .map(|member| (self.validator(member), member.weight))
                    .collect();
            }
            let index = match &entry.what {
                What::Round { proposer, .. } | What::Proposal { proposer, .. } => Some(*proposer),
                What::Vote { validator, .. } => Some(*validator),
                _ => None,
            };
            let who = index.and_then(|index| committee.get(usize::from(index)));
            if let What::Round { .. } = &entry.what {
                let view = self.heights.entry(entry.height).or_default();
                if view.committee.is_empty() {
                    view.committee.clone_from(&committee);
                }
            }
            self.happenings.push(Happening {
                at: shifted(entry.at, ahead_ms),
                node,
                height: entry.height,
                what: entry.what.clone(),
                who: who.map(|(who, _)| *who),
            });
        }
    }

    /// Gathers what happened by height.
    fn digest(&mut self) {
        for one in &self.happenings {
            let view = self.heights.entry(one.height);
            match &one.what {
                What::Round { round, .. } => {
                    let view = view.or_default();
                    earliest(&mut view.started, one.at);
                    let round = view.rounds.entry(*round).or_default();
                    earliest(&mut round.entered, one.at);
                    round.proposer = round.proposer.or(one.who);
                }
                What::Proposal { round, block, .. } => {
                    let view = view.or_default();
                    let round = view.rounds.entry(*round).or_default();
                    round.proposal.get_or_insert((one.at, *block));
                    round.proposer = round.proposer.or(one.who);
                }
                What::Body { round, valid, .. } => {
                    let round = view.or_default().rounds.entry(*round).or_default();
                    round.valid |= *valid;
                    round.refused |= !*valid;
                }
                What::Vote {
                    kind, round, block, ..
                } => {
                    let round = view.or_default().rounds.entry(*round).or_default();
                    let votes = match kind {
                        VoteKind::Prevote => &mut round.prevotes,
                        VoteKind::Precommit => &mut round.precommits,
                    };
                    if let Some(who) = one.who {
                        let (at, block) = (one.at, *block);
                        votes.entry(who).or_insert(Seen { at, block });
                    }
                }
                What::Timeout { round, kind } => {
                    let round = view.or_default().rounds.entry(*round).or_default();
                    round.timeouts.push((one.at, one.node, *kind));
                }
                What::Decided {
                    round,
                    block,
                    transactions,
                } => {
                    let view = view.or_default();
                    earliest(&mut view.decided, one.at);
                    view.round = view.round.or(Some(*round));
                    view.block = view.block.or(Some(*block));
                    view.transactions = view.transactions.or(Some(*transactions));
                }
                What::Fetched {
                    block,
                    transactions,
                } => {
                    let view = view.or_default();
                    view.fetched.push(one.node);
                    earliest(&mut view.ended, one.at);
                    view.block = view.block.or(Some(*block));
                    view.transactions = view.transactions.or(Some(*transactions));
                }
                _ => {}
            }
        }
        // Heights of which only the execution was seen, and the oldest of very many.
        self.heights
            .retain(|_, view| !view.rounds.is_empty() || view.block.is_some());
        while self.heights.len() > HEIGHTS_MAX {
            self.heights.pop_first();
        }
        let mut later = None;
        for view in self.heights.values_mut().rev() {
            view.ended = view.decided.or(view.ended).or(later);
            later = view.begins().or(later);
        }
    }

    /// The time of the first and the last thing that happened.
    #[must_use]
    pub fn span(&self) -> Option<(Time, Time)> {
        Some((self.happenings.first()?.at, self.happenings.last()?.at))
    }

    /// Drops what is outside a window.
    pub fn cut(&mut self, window: Window) {
        let Some((_, last)) = self.span() else {
            return;
        };
        let from = window.last_ms.map(|ms| Time(last.0.saturating_sub(ms)));
        let from = from.max(window.from).unwrap_or_default();
        let to = window.to.unwrap_or(Time(u64::MAX));
        let inside = |height: &Height| {
            window
                .heights
                .is_none_or(|(first, last)| (first..=last).contains(height))
        };
        self.happenings
            .retain(|one| one.at >= from && one.at <= to && inside(&one.height));
        self.heights.retain(|height, view| {
            let begins = view.begins();
            let ends = view.ended.unwrap_or(last);
            inside(height) && begins.is_some_and(|at| at <= to) && ends >= from
        });
    }

    /// Whose turn and votes these are, for people.
    #[must_use]
    pub fn name_of(&self, validator: usize) -> String {
        match self.validators.get(validator) {
            Some(member) if !member.name.is_empty() => member.name.clone(),
            Some(member) => short(&member.address),
            None => "?".to_owned(),
        }
    }

    /// Name of a node.
    #[must_use]
    pub fn node_name(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("?", |lane| lane.name.as_str())
    }
}

fn short(address: &Address) -> String {
    address.to_string().chars().take(10).collect()
}

fn earliest(slot: &mut Option<Time>, at: Time) {
    *slot = Some(slot.map_or(at, |known| known.min(at)));
}

fn shifted(at: Time, ahead_ms: i64) -> Time {
    Time(at.0.saturating_add_signed(ahead_ms.saturating_neg()))
}
