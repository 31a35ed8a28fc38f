//! When a validator cannot know what it voted for, and from which height on it may vote again.
//!
//! A folder that was restored from a backup, made from a snapshot, or that lost its vote log has forgotten
//! votes. Voting on could contradict them. So the replica follows without a vote until it has seen, in this
//! run, votes of a quorum of *others* for one height *d* while no peer shows a later one; then it votes from
//! *d* + 2 on. Why that is enough (AG-82): had this validator voted for a height *v* ≥ *d* + 2, it had decided
//! *v* − 1 ≥ *d* + 1 before, for which a quorum had precommitted, so at least *f* correct others had decided
//! *d*. Of the quorum of others that votes for *d* now, at least *f* + 1 are correct and have not decided *d*.
//! With at most *f* faulty ones, that makes 3*f* + 1 others where there are 3*f*.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_consensus::Election as _;
use hawser_crypto::SecretKey;
use hawser_ledger::Certificate;
use hawser_primitives::Height;

use super::{Action, Replica, ReplicaError, Report};

/// Why votes of before are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum GuardReason {
    /// The folder was restored from a backup, or made from a snapshot.
    Restored = 1,
    /// There is a chain, but no vote log.
    NoVoteLog = 2,
    /// A final block carries a vote of this validator that its vote log does not know: the folder is an
    /// older copy.
    OlderLog = 3,
}

/// What a node knows of the votes that it may have forgotten. Durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteGuard {
    /// Why.
    pub reason: GuardReason,
    /// First height that it may vote for; `None` while that is not known.
    pub from: Option<Height>,
}

impl VoteGuard {
    /// Votes before are unknown.
    #[must_use]
    pub const fn unknown(reason: GuardReason) -> Self {
        Self { reason, from: None }
    }

    /// Whether a height may be voted for.
    #[must_use]
    pub fn allows(&self, height: Height) -> bool {
        self.from.is_some_and(|from| height >= from)
    }
}

/// A vote key that rests.
pub(super) struct Guarded {
    pub(super) key: Arc<SecretKey>,
    pub(super) guard: VoteGuard,
}

impl Replica {
    /// Why this node, which has a vote key, does not vote, and from when on it will.
    #[must_use]
    pub fn vote_guard(&self) -> Option<VoteGuard> {
        self.guarded.as_ref().map(|guarded| guarded.guard)
    }

    /// Notes when the others have shown which height they are at.
    pub(super) fn watch_guard(&mut self) {
        let next = self.tip.height.next();
        let Some(guarded) = &self.guarded else {
            return;
        };
        if guarded.guard.from.is_some() || self.bft.height() != Some(next) {
            return;
        }
        let ahead = |peer: &super::Peer| !peer.foreign && peer.height >= next;
        if self.peers.values().any(ahead) {
            return;
        }
        let own = guarded.key.address();
        let set = self.rules.committee(next);
        let heard = self.bft.heard();
        let others = heard.iter().filter(|address| **address != own);
        let weights = others.filter_map(|address| set.get(address));
        let weight = weights.fold(0u64, |sum, one| sum.saturating_add(one.weight));
        if weight < set.quorum_weight() {
            return;
        }
        let from = next.next().next();
        let guard = VoteGuard {
            from: Some(from),
            ..guarded.guard
        };
        self.set_guard(guard);
        self.report(Report::VotesFrom { from });
    }

    fn set_guard(&mut self, guard: VoteGuard) {
        if let Some(guarded) = &mut self.guarded {
            guarded.guard = guard;
        }
        self.actions.push(Action::Guard(guard));
    }

    /// Takes the vote up again when its height has come. Called before that height starts.
    pub(super) fn lift_guard(&mut self, next: Height) {
        let due = |guarded: &mut Guarded| guarded.guard.allows(next);
        let Some(Guarded { key, .. }) = self.guarded.take_if(due) else {
            return;
        };
        self.address = Some(key.address());
        self.batches.with_vote(Arc::clone(&key));
        let committee = self.rules.committee(next);
        self.bft = self.bft.with_vote(key, next, committee);
    }

    /// Gives the vote up if a final block that came from peers carries a vote of this validator which it does
    /// not know of: what it knows is older than what it did.
    pub(super) fn watch_certificate(
        &mut self,
        certificate: &Certificate,
    ) -> Result<(), ReplicaError> {
        let Some(own) = self.address else {
            return Ok(());
        };
        let height = certificate.height;
        let set = self.rules.committee(height);
        let at = set.index_of(&own).and_then(|at| u16::try_from(at).ok());
        let signed = |at| certificate.signatures.iter().any(|one| one.validator == at);
        let known = self.own.precommitted(height, &certificate.block_hash);
        if !at.is_some_and(signed) || known {
            return Ok(());
        }
        let Some(key) = self.key.clone() else {
            return Ok(());
        };
        let guard = VoteGuard::unknown(GuardReason::OlderLog);
        self.guarded = Some(Guarded { key, guard });
        self.set_guard(guard);
        self.report(Report::VotesForgotten {
            height,
            block: certificate.block_hash,
        });
        self.rest_vote()
    }

    /// From here on this node has no vote and builds no blocks.
    pub(super) fn rest_vote(&mut self) -> Result<(), ReplicaError> {
        self.address = None;
        self.build = None;
        self.batches.without_vote();
        self.cast.clear();
        // Bodies are asked for again, as the new agreement has not heard of them.
        self.candidates.clear();
        let next = self.tip.height.next();
        let running = self.bft.height() == Some(next);
        self.bft = self.bft.without_vote(next, self.rules.committee(next));
        if running {
            self.start_height()?;
        }
        Ok(())
    }
}
