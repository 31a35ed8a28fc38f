//! Rules of Tendermint (Buchman, Kwon, Milosevic 2018) on what one correct validator signs.

use std::collections::{BTreeMap, BTreeSet};

use hawser_consensus::{Proposal, Vote};
use hawser_ledger::{ValidatorSet, VoteKind};
use hawser_primitives::{Address, B256, Height, Round};

use super::{Violation, is_quorum};

type Slot = (Height, Round, VoteKind);

/// All votes that exist, and what each correct node has sent.
#[derive(Debug, Default)]
pub(super) struct Votes {
    /// Who signed what, faulty validators included.
    made: BTreeMap<Slot, BTreeMap<Option<B256>, BTreeSet<Address>>>,
    sent: BTreeMap<(usize, Slot), Option<B256>>,
    proposals: BTreeMap<(usize, Height, Round), B256>,
    /// The last block that a node precommitted at a height: its lock.
    locks: BTreeMap<(usize, Height), (Round, B256)>,
}

impl Votes {
    pub(super) fn exists(&mut self, vote: &Vote) {
        let slot = (vote.height, vote.round, vote.kind);
        let blocks = self.made.entry(slot).or_default();
        blocks.entry(vote.block).or_default().insert(vote.validator);
    }

    /// Whether a quorum prevoted for a block in a round.
    fn has_polka(&self, (height, round): (Height, Round), block: B256, set: &ValidatorSet) -> bool {
        let slot = (height, round, VoteKind::Prevote);
        let voters = self.made.get(&slot).and_then(|all| all.get(&Some(block)));
        let weights = voters.into_iter().flatten().filter_map(|one| set.get(one));
        let weight = weights.map(|one| u128::from(one.weight)).sum();
        is_quorum(weight, set)
    }

    /// A correct node sends a vote of its own.
    pub(super) fn sent(
        &mut self,
        node: usize,
        vote: &Vote,
        set: &ValidatorSet,
    ) -> Result<(), Violation> {
        let (height, round) = (vote.height, vote.round);
        let slot = (height, round, vote.kind);
        let first = *self.sent.entry((node, slot)).or_insert(vote.block);
        if first != vote.block {
            let what = format!(
                "node {node} voted {first:?} and {:?} at {height}/{round}",
                vote.block
            );
            return Err(Violation::new("double vote", what));
        }
        self.exists(vote);
        let Some(block) = vote.block else {
            return Ok(());
        };
        match vote.kind {
            // Line 36 of the paper: a precommit follows a quorum of prevotes.
            VoteKind::Precommit => {
                if !self.has_polka((height, round), block, set) {
                    let what = format!(
                        "node {node} precommits {block} at {height}/{round}, for which no quorum prevoted"
                    );
                    return Err(Violation::new("precommit without prevotes", what));
                }
                let lock = self.locks.entry((node, height)).or_insert((round, block));
                if lock.0 <= round {
                    *lock = (round, block);
                }
                Ok(())
            }
            // Lines 22 and 28: who is locked prevotes another block only after a later quorum for it.
            VoteKind::Prevote => match self.locks.get(&(node, height)) {
                Some((locked, on)) if *locked < round && *on != block => {
                    let rounds = locked.0..round.0;
                    let mut rounds = rounds.map(|at| (height, Round(at)));
                    if rounds.any(|at| self.has_polka(at, block, set)) {
                        return Ok(());
                    }
                    let what = format!(
                        "node {node} is locked on {on} since {height}/{locked} and prevotes {block} at \
                         {height}/{round}"
                    );
                    Err(Violation::new("lock", what))
                }
                _ => Ok(()),
            },
        }
    }

    /// A correct node sends a proposal of its own.
    pub(super) fn proposed(&mut self, node: usize, proposal: &Proposal) -> Result<(), Violation> {
        let (height, round, block) = (proposal.height, proposal.round, proposal.block);
        let slot = (node, height, round);
        let first = *self.proposals.entry(slot).or_insert(block);
        if first == block {
            return Ok(());
        }
        let what = format!("node {node} proposed {first} and {block} at {height}/{round}");
        Err(Violation::new("double proposal", what))
    }

    /// Who signed two votes where one is allowed, at a height.
    pub(super) fn equivocators(&self, height: Height) -> impl Iterator<Item = Address> {
        let low = (height, Round(0), VoteKind::Prevote);
        let high = (height.next(), Round(0), VoteKind::Prevote);
        let slots = self.made.range(low..high);
        let mut guilty = BTreeSet::new();
        for (_, blocks) in slots {
            let mut seen = BTreeSet::new();
            for voter in blocks.values().flatten() {
                if !seen.insert(*voter) {
                    guilty.insert(*voter);
                }
            }
        }
        guilty.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_ledger::Validator;

    use super::*;

    fn set() -> ValidatorSet {
        let member = |i| Validator {
            public_key: SecretKey::from_seed(Scheme::Ed25519, &[i; 32])
                .unwrap()
                .public_key(),
            weight: 1,
        };
        ValidatorSet::new((1..=4).map(member).collect()).unwrap()
    }

    fn vote(set: &ValidatorSet, who: usize, kind: VoteKind, round: u32, block: u8) -> Vote {
        Vote {
            kind,
            height: Height(5),
            round: Round(round),
            block: (block > 0).then(|| B256::repeat_byte(block)),
            validator: set.address_at(who).unwrap(),
        }
    }

    #[test]
    fn a_precommit_needs_a_quorum_of_prevotes_and_locks_until_a_later_quorum() {
        let set = set();
        let prevote = |who, round, block| vote(&set, who, VoteKind::Prevote, round, block);
        let precommit = |who, round, block| vote(&set, who, VoteKind::Precommit, round, block);
        let mut votes = Votes::default();
        votes.exists(&prevote(1, 0, 7));
        votes.exists(&prevote(2, 0, 7));
        let early = votes.sent(0, &precommit(0, 0, 7), &set);
        assert_eq!(early.unwrap_err().rule(), "precommit without prevotes");
        let mut votes = Votes::default();
        for who in 1..4 {
            votes.exists(&prevote(who, 0, 7));
        }
        votes.sent(0, &precommit(0, 0, 7), &set).unwrap();
        votes.sent(0, &prevote(0, 1, 7), &set).unwrap();
        let broken = votes.sent(0, &prevote(0, 2, 8), &set).unwrap_err();
        assert_eq!(broken.rule(), "lock");
        for who in 1..4 {
            votes.exists(&prevote(who, 2, 8));
        }
        votes.sent(0, &prevote(0, 3, 8), &set).unwrap();
        assert_eq!(votes.equivocators(Height(5)).count(), 0);
        votes.exists(&prevote(1, 0, 9));
        assert_eq!(
            votes.equivocators(Height(5)).collect::<Vec<_>>(),
            [set.address_at(1).unwrap()]
        );
    }

    #[test]
    fn a_second_vote_or_proposal_is_noticed_and_the_same_one_again_is_not() {
        let set = set();
        let mut votes = Votes::default();
        let nil = vote(&set, 0, VoteKind::Prevote, 0, 0);
        votes.sent(0, &nil, &set).unwrap();
        votes.sent(0, &nil, &set).unwrap();
        let other = vote(&set, 0, VoteKind::Prevote, 0, 1);
        assert_eq!(
            votes.sent(0, &other, &set).unwrap_err().rule(),
            "double vote"
        );
        let proposal = |block| Proposal {
            height: Height(5),
            round: Round(0),
            block: B256::repeat_byte(block),
            valid_round: None,
            proposer: set.address_at(0).unwrap(),
        };
        votes.proposed(0, &proposal(1)).unwrap();
        votes.proposed(0, &proposal(1)).unwrap();
        assert!(votes.proposed(0, &proposal(2)).is_err());
    }
}
