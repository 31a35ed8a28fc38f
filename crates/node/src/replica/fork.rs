//! Two final blocks of one height, also where nothing moves any more (SY-19).
//!
//! With a third of the validators faulty or more, nodes can be left at one height with different
//! blocks, of which neither finds a successor: then no certificate of a later height shows the fork
//! (SY-11), and everybody waits for ever. So a node that is offered a block which does not follow its
//! tip asks who offers it for the block of its tip's height. A certificate that verifies there for
//! another block than the tip is the proof, whoever sends it: the node hands its own block to all
//! peers, does nothing more, names who signed both, and stops.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hawser_consensus::Election as _;
use hawser_ledger::{Block, Certificate};
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, Height, Time};

use super::{Action, CertifiedBlock, PeerMessage, Replica, ReplicaError, TimerId, To};

/// Proposals of one height whose senders are remembered. There is one per round.
const PROPOSALS_MAX: usize = 64;
/// How long the block of this side has to get to the peers before the replica stops, in milliseconds.
const LEAVE_MS: u64 = 500;

/// Two final blocks of one height, and who signed both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoFinal {
    /// Their height.
    pub height: Height,
    /// The block that this node has.
    pub ours: B256,
    /// The other one.
    pub theirs: B256,
    /// Validators whose precommits both certificates hold. Empty if this node's own certificate is
    /// not known.
    pub both: Vec<Address>,
    /// Whether the certificates are of one round. Then every one of `both` voted twice where one
    /// vote is allowed; else those of them did wrong who left the block that they were locked on.
    pub one_round: bool,
}

impl fmt::Display for TwoFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "two blocks of height {} are final, {} here and {} elsewhere: a third of the validators is \
             faulty or their keys are stolen. ",
            self.height, self.ours, self.theirs
        )?;
        let both: Vec<_> = self.both.iter().map(Address::to_string).collect();
        match (self.both.is_empty(), self.one_round) {
            (true, _) => write!(
                f,
                "Compare the certificates of block {} with the other nodes': validators that signed \
                 both are the culprits. ",
                self.height
            )?,
            (false, true) => write!(f, "Signed both: {}. ", both.join(", "))?,
            (false, false) => write!(
                f,
                "Signed both, in different rounds: {}; those of them are the culprits who left a \
                 block that they were locked on. ",
                both.join(", ")
            )?,
        }
        f.write_str(
            "Keep this data folder; have the organisations decide which block counts, replace those \
             validators' keys, and let the nodes on the other side begin anew from a snapshot",
        )
    }
}

/// What is watched for the height of the tip.
#[derive(Debug, Default)]
pub(super) struct ForkWatch {
    /// The certificate of the tip, where it is known.
    certificate: Option<Certificate>,
    /// Whose message of agreement is being worked on.
    speaker: Option<PeerId>,
    /// Who brought the proposals for the next height.
    proposals: BTreeMap<B256, PeerId>,
    /// Peers that were asked for their block of the tip's height.
    asked: BTreeSet<PeerId>,
    /// Peers whose block of the tip's height was looked at.
    looked: BTreeSet<PeerId>,
    /// What was found, and when the replica stops.
    found: Option<(Time, Box<TwoFinal>)>,
}

impl ForkWatch {
    pub(super) fn of(certificate: Option<Certificate>) -> Self {
        Self {
            certificate,
            ..Self::default()
        }
    }

    /// The tip has changed.
    pub(super) fn decided(&mut self, certificate: Certificate) {
        let found = self.found.take();
        *self = Self {
            found,
            ..Self::of(Some(certificate))
        };
    }

    /// Whose message is worked on until the next call.
    pub(super) const fn speaks(&mut self, peer: Option<PeerId>) {
        self.speaker = peer;
    }

    /// A proposal that verifies names a block.
    pub(super) fn proposed(&mut self, block: B256) {
        if let Some(peer) = self.speaker
            && self.proposals.len() < PROPOSALS_MAX
        {
            self.proposals.entry(block).or_insert(peer);
        }
    }

    /// What to do with any event once a fork was found: nothing, and soon stop.
    pub(super) fn stopping(&self, now: Time) -> Option<Result<Vec<Action>, ReplicaError>> {
        let (at, found) = self.found.as_ref()?;
        Some(if now < *at {
            Ok(Vec::new())
        } else {
            Err(ReplicaError::TwoFinal(found.clone()))
        })
    }
}

impl Replica {
    /// A block was proposed: if it does not follow the tip, its proposer may have another tip. It is
    /// asked for that, once for each height.
    pub(super) fn suspect_fork(&mut self, hash: &B256, block: &Block) {
        let (tip, header) = (self.tip.height, &block.header);
        let foreign = header.height == tip.next() && header.parent != self.tip_hash;
        let Some(peer) = self.fork.proposals.get(hash).copied() else {
            return;
        };
        if !foreign || tip == Height::GENESIS || !self.peers.contains_key(&peer) {
            return;
        }
        if self.fork.asked.insert(peer) {
            let message = PeerMessage::BlocksRequest {
                from: tip,
                count: 1,
            };
            self.send(To::Peer(peer), false, &message);
        }
    }

    /// Looks whether the first of the blocks that a peer sent contradicts the tip. One of each peer is
    /// verified for a height, so that nobody can keep this node busy.
    pub(super) fn look_for_fork(&mut self, from: PeerId, blocks: &[CertifiedBlock]) {
        let tip = self.tip.height;
        let Some(CertifiedBlock { block, certificate }) = blocks.first() else {
            return;
        };
        if block.header.height != tip || tip == Height::GENESIS || !self.peers.contains_key(&from) {
            return;
        }
        let theirs = block.header.hash(self.suite);
        if theirs == self.tip_hash || !self.fork.looked.insert(from) {
            return;
        }
        let names = certificate.height == tip && certificate.block_hash == theirs;
        let committee = self.rules.committee(tip);
        if !names
            || certificate
                .verify(self.genesis.chain_id, &committee)
                .is_err()
        {
            return;
        }
        let own = self.fork.certificate.as_ref();
        let own = own.filter(|own| own.height == tip && own.block_hash == self.tip_hash);
        let signed = |one: &Certificate| -> BTreeSet<u16> {
            one.signatures.iter().map(|one| one.validator).collect()
        };
        let first = own.map(signed).unwrap_or_default();
        let second = signed(certificate);
        let both = first.intersection(&second).copied();
        let both = both.filter_map(|at| committee.address_at(usize::from(at)));
        let found = TwoFinal {
            height: tip,
            ours: self.tip_hash,
            theirs,
            both: both.collect(),
            one_round: own.is_some_and(|own| own.round == certificate.round),
        };
        let at = self.now.plus_ms(LEAVE_MS);
        self.fork.found = Some((at, Box::new(found)));
        self.actions.push(Action::SetTimer(TimerId::Wake, at));
        // Those who have the other block must learn of this one.
        for to in self.peers.keys().copied().collect::<Vec<_>>() {
            self.actions.push(Action::Serve {
                to,
                from: tip,
                count: 1,
            });
        }
    }
}
