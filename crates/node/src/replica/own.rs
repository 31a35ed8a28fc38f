//! What this validator signed, to notice when somebody else signs with its key.
//!
//! Peers send their own votes only, so a vote by this node's key that this node did not cast means
//! that the key is at work elsewhere: a copy of the folder, a standby that was started too early, a
//! thief. Two nodes with one key sign two votes where one is allowed. The node that notices gives
//! its vote up and goes on following; nobody without the key can make it do so.

use std::collections::BTreeMap;

use hawser_consensus::{Message, Record, SignedProposal, SignedVote};
use hawser_ledger::VoteKind;
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, Height, Round};

use super::{CastVotes, Replica, ReplicaError, Report};

/// Most that is remembered: a few for each round of the heights that are not decided.
const SIGNED_MAX: usize = 4_096;

/// Where a validator signs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    height: Height,
    round: Round,
    /// `None` for a proposal.
    vote: Option<bool>,
}

/// The messages that this validator signed at heights that are not decided.
#[derive(Debug, Default)]
pub(super) struct OwnVotes {
    signed: BTreeMap<Place, Option<B256>>,
    /// What was seen of another node with this key, in words.
    elsewhere: Option<String>,
}

fn of_vote(vote: &SignedVote) -> (Place, Option<B256>) {
    let vote = &vote.vote;
    let place = Place {
        height: vote.height,
        round: vote.round,
        vote: Some(vote.kind == VoteKind::Precommit),
    };
    (place, vote.block)
}

fn of_proposal(proposal: &SignedProposal) -> (Place, Option<B256>) {
    let proposal = &proposal.proposal;
    let place = Place {
        height: proposal.height,
        round: proposal.round,
        vote: None,
    };
    (place, Some(proposal.block))
}

impl OwnVotes {
    /// Remembers what an earlier run signed.
    pub(super) fn of_earlier_run(cast: &BTreeMap<Height, CastVotes>, own: Option<Address>) -> Self {
        let mut votes = Self::default();
        let records = cast.values().flat_map(|cast| &cast.records);
        for record in records {
            match record {
                Record::Vote(vote) if Some(vote.vote.validator) == own => votes.put(of_vote(vote)),
                Record::Proposal(proposal) if Some(proposal.proposal.proposer) == own => {
                    votes.put(of_proposal(proposal));
                }
                _ => {}
            }
        }
        votes
    }

    fn put(&mut self, (place, block): (Place, Option<B256>)) {
        self.signed.insert(place, block);
        if self.signed.len() > SIGNED_MAX {
            self.signed.pop_first();
        }
    }

    /// Messages remembered.
    pub(super) fn len(&self) -> usize {
        self.signed.len()
    }

    /// Remembers what is sent.
    pub(super) fn sent(&mut self, message: &Message) {
        match message {
            Message::Vote(vote) => self.put(of_vote(vote)),
            Message::Proposal(proposal) => self.put(of_proposal(proposal)),
            Message::Polka(_) | Message::Round(_) => {}
        }
    }

    /// Whether a precommit for this block at this height was signed, in any round.
    pub(super) fn precommitted(&self, height: Height, block: &B256) -> bool {
        let place = |round| Place {
            height,
            round,
            vote: None,
        };
        let of_height = self.signed.range(place(Round(0))..=place(Round(u32::MAX)));
        of_height
            .filter(|(place, _)| place.vote == Some(true))
            .any(|(_, signed)| signed.as_ref() == Some(block))
    }

    /// Whether a precommit for a block was signed in one round, as far back as the last decided
    /// height.
    pub(super) fn precommitted_in(&self, height: Height, round: Round, block: &B256) -> bool {
        let place = Place {
            height,
            round,
            vote: Some(true),
        };
        self.signed.get(&place) == Some(&Some(*block))
    }

    /// Forgets what a decided height makes irrelevant.
    pub(super) fn decided(&mut self, height: Height) {
        self.signed.retain(|place, _| place.height > height);
    }

    /// What a message says that claims to be signed by `own` and was not signed here, in words.
    fn stranger(&self, message: &Message, own: Address) -> Option<String> {
        let (signer, (place, block)) = match message {
            Message::Vote(vote) => (vote.vote.validator, of_vote(vote)),
            Message::Proposal(proposal) => (proposal.proposal.proposer, of_proposal(proposal)),
            Message::Polka(_) | Message::Round(_) => return None,
        };
        if signer != own || self.signed.get(&place) == Some(&block) {
            return None;
        }
        let what = match place.vote {
            None => "a proposal",
            Some(false) => "a prevote",
            Some(true) => "a precommit",
        };
        let block = block.map_or_else(|| "no block".to_owned(), |block| block.to_string());
        Some(format!(
            "{what} for {block} at height {}, round {}",
            place.height, place.round
        ))
    }
}

impl Replica {
    /// What was seen of another node that signs with this node's key; since then this node does
    /// not vote.
    #[must_use]
    pub fn key_elsewhere(&self) -> Option<&str> {
        self.own.elsewhere.as_deref()
    }

    /// Gives the vote up if a peer brings a message that this node's key signed and this node did
    /// not.
    pub(super) fn watch_own_key(
        &mut self,
        from: PeerId,
        message: &Message,
    ) -> Result<(), ReplicaError> {
        let Some(own) = self.address else {
            return Ok(());
        };
        let Some(what) = self.own.stranger(message, own) else {
            return Ok(());
        };
        if !self.is_from_committee(message) {
            return Ok(());
        }
        self.report(Report::KeyElsewhere {
            from,
            validator: own,
            what: what.clone(),
        });
        self.own.elsewhere = Some(what);
        // This node's doing cannot mend it: only a restart, once the other one is gone.
        self.guarded = None;
        self.key = None;
        self.rest_vote()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_precommit_for_the_block_itself_says_that_the_log_has_it() {
        let (height, block, other) = (Height(7), B256::from([1; 32]), B256::from([2; 32]));
        let vote = |height, round, precommit, block| {
            let place = Place {
                height,
                round: Round(round),
                vote: Some(precommit),
            };
            (place, block)
        };
        let mut own = OwnVotes::default();
        own.put(vote(height, 0, false, Some(block)));
        own.put(vote(height, 0, true, None));
        own.put(vote(height, 1, true, Some(other)));
        own.put(vote(height.next(), 0, true, Some(block)));
        assert!(!own.precommitted(height, &block));
        own.put(vote(height, 2, true, Some(block)));
        assert!(own.precommitted(height, &block));
        own.decided(height);
        assert!(!own.precommitted(height, &block));
    }
}
