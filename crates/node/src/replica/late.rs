//! Validators that let their last turn to propose pass.
//!
//! A validator that is down costs its turn the wait for a proposal, each time that it comes round:
//! with one of four down, every fourth block. So whoever was silent at its last turn is waited for
//! briefly in the first round of a height, until a proposal of its comes in again. How long a
//! validator waits is its own affair: it changes when it prevotes nil, never what it may vote for.
//! Later rounds wait in full, so a chain whose messages are slow decides in those.

use std::collections::BTreeMap;

use hawser_consensus::{Message, Timer, TimerKind};
use hawser_ledger::ValidatorSet;
use hawser_primitives::{Address, Height, Round};

/// Wait for a proposer that was silent at its last turn, in milliseconds: a few times what a
/// proposal takes between data centres of a region.
const LATE_WAIT_MS: u64 = 60;

/// The turn that is running.
#[derive(Clone, Copy, Debug)]
struct Turn {
    height: Height,
    round: Round,
    proposer: Address,
    proposed: bool,
}

/// Who was silent, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct LateProposers {
    /// With how many turns in a row each was silent at.
    late: BTreeMap<Address, u32>,
    turn: Option<Turn>,
}

impl LateProposers {
    /// A round began. The one before it in the same height failed: if its proposer said nothing, it
    /// is late. Only members of the committee are remembered.
    pub(super) fn round_started(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        committee: &ValidatorSet,
    ) {
        if let Some(turn) = &self.turn
            && turn.height == height
            && turn.round < round
            && !turn.proposed
        {
            let missed = self.late.entry(turn.proposer).or_default();
            *missed = missed.saturating_add(1);
        }
        self.late
            .retain(|address, _| committee.get(address).is_some());
        self.turn = Some(Turn {
            height,
            round,
            proposer,
            proposed: false,
        });
    }

    /// A genuine proposal came in, or a block of the proposer's is final.
    pub(super) fn proposed(&mut self, proposer: &Address) {
        self.late.remove(proposer);
        if let Some(turn) = &mut self.turn
            && turn.proposer == *proposer
        {
            turn.proposed = true;
        }
    }

    /// Whose proposal a message is, if that one is late and the message worth verifying for that
    /// alone.
    pub(super) fn concerned(&self, message: &Message) -> Option<Address> {
        match message {
            Message::Proposal(signed) => {
                let late = self.late.get_key_value(&signed.proposal.proposer);
                late.map(|(address, _)| *address)
            }
            _ => None,
        }
    }

    /// The wait of a timer of agreement that asks for `after_ms`.
    pub(super) fn wait_ms(&self, timer: Timer, after_ms: u64) -> u64 {
        let late = self.turn.as_ref().is_some_and(|turn| {
            turn.height == timer.height
                && turn.round == timer.round
                && self.late.contains_key(&turn.proposer)
        });
        if late && timer.kind == TimerKind::Propose && timer.round == Round(0) {
            after_ms.min(LATE_WAIT_MS)
        } else {
            after_ms
        }
    }

    /// Validators that were silent at their last turn, and at how many turns in a row.
    pub(super) fn turns(&self) -> impl Iterator<Item = (Address, u32)> {
        self.late
            .iter()
            .map(|(address, missed)| (*address, *missed))
    }
}

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_ledger::Validator;

    use super::*;

    const H: Height = Height(7);

    fn committee() -> ValidatorSet {
        let member = |i: u8| {
            let key = SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap();
            Validator {
                public_key: key.public_key(),
                weight: 1,
            }
        };
        ValidatorSet::new((1..=4).map(member).collect()).unwrap()
    }

    fn wait(late: &LateProposers, height: Height, round: u32, kind: TimerKind) -> u64 {
        let round = Round(round);
        late.wait_ms(
            Timer {
                height,
                round,
                kind,
            },
            600,
        )
    }

    /// The proposer of a height was silent, the next one is not.
    fn silent(set: &ValidatorSet) -> (LateProposers, Address) {
        let (a, b) = (set.address_at(0).unwrap(), set.address_at(1).unwrap());
        let mut late = LateProposers::default();
        late.round_started(H, Round(0), a, set);
        assert_eq!(wait(&late, H, 0, TimerKind::Propose), 600);
        late.round_started(H, Round(1), b, set);
        late.proposed(&b);
        (late, a)
    }

    #[test]
    fn who_was_silent_is_waited_for_briefly_in_the_first_round_only() {
        let set = committee();
        let (mut late, a) = silent(&set);
        assert_eq!(late.turns().collect::<Vec<_>>(), [(a, 1)]);
        assert_eq!(wait(&late, H, 1, TimerKind::Propose), 600);
        late.round_started(H.next(), Round(0), a, &set);
        assert_eq!(wait(&late, H.next(), 0, TimerKind::Propose), LATE_WAIT_MS);
        assert_eq!(wait(&late, H.next(), 0, TimerKind::Prevote), 600);
        assert_eq!(wait(&late, H, 0, TimerKind::Propose), 600);
        late.round_started(H.next(), Round(1), a, &set);
        assert_eq!(wait(&late, H.next(), 1, TimerKind::Propose), 600);
    }

    #[test]
    fn turns_that_were_missed_are_counted_until_a_proposal_comes() {
        let set = committee();
        let (mut late, a) = silent(&set);
        late.round_started(H, Round(4), a, &set);
        late.round_started(H, Round(5), set.address_at(1).unwrap(), &set);
        assert_eq!(late.turns().collect::<Vec<_>>(), [(a, 2)]);
        late.proposed(&a);
        late.round_started(H.next(), Round(0), a, &set);
        late.round_started(H.next(), Round(1), set.address_at(1).unwrap(), &set);
        assert_eq!(late.turns().collect::<Vec<_>>(), [(a, 1)]);
    }

    #[test]
    fn one_proposal_makes_good_even_when_it_comes_too_late() {
        let set = committee();
        let (mut late, a) = silent(&set);
        late.proposed(&a);
        late.round_started(H.next(), Round(0), a, &set);
        assert_eq!(wait(&late, H.next(), 0, TimerKind::Propose), 600);
    }

    #[test]
    fn a_round_that_failed_with_a_proposal_says_nothing_of_its_proposer() {
        let set = committee();
        let a = set.address_at(0).unwrap();
        let mut late = LateProposers::default();
        late.round_started(H, Round(0), a, &set);
        late.proposed(&a);
        late.round_started(H, Round(1), a, &set);
        assert_eq!(late.turns().count(), 0);
        // Nor does a height that was decided elsewhere before its proposal came in.
        late.round_started(H.next(), Round(0), a, &set);
        assert_eq!(late.turns().count(), 0);
    }

    #[test]
    fn who_left_the_committee_is_forgotten() {
        let set = committee();
        let (mut late, a) = silent(&set);
        let others = set.validators().iter().filter(|v| v.address() != a);
        let others = ValidatorSet::new(others.cloned().collect()).unwrap();
        let b = others.address_at(0).unwrap();
        late.round_started(H.next(), Round(0), b, &others);
        assert_eq!(late.turns().count(), 0);
    }
}
