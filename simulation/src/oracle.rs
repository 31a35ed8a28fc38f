//! What must hold at all times.

use std::collections::{BTreeMap, BTreeSet};

use hawser_consensus::{Message, Record};
use hawser_ledger::{Block, Certificate, Roots, ValidatorSet, VoteKind};
use hawser_node::{
    Rules,
    replica::{CastVotes, CheckedBlock, PeerMessage},
    store::ExecutedBlock,
};
use hawser_primitives::{Address, B256, ChainId, Height, Round, encode};

use crate::settings::Model;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

type VoteSlot = (usize, Height, Round, VoteKind);

/// Facts gathered from all nodes.
#[derive(Debug)]
pub(crate) struct Oracle {
    chain: ChainId,
    model: Model,
    /// Height up to which the model knows every change.
    modelled: Height,
    addresses: Vec<Option<Address>>,
    blocks: BTreeMap<Height, B256>,
    roots: BTreeMap<Height, Roots>,
    votes: BTreeMap<VoteSlot, Option<B256>>,
    executed: BTreeMap<B256, Height>,
    durable_records: Vec<BTreeSet<Vec<u8>>>,
    stored: Vec<Height>,
}

impl Oracle {
    /// `addresses` are those of the nodes' vote keys.
    pub(crate) fn new(chain: ChainId, model: Model, addresses: Vec<Option<Address>>) -> Self {
        let nodes = addresses.len();
        Self {
            chain,
            model,
            modelled: Height::GENESIS,
            addresses,
            blocks: BTreeMap::new(),
            roots: BTreeMap::new(),
            votes: BTreeMap::new(),
            executed: BTreeMap::new(),
            durable_records: vec![BTreeSet::new(); nodes],
            stored: vec![Height::GENESIS; nodes],
        }
    }

    /// A node stores a block as final.
    pub(crate) fn on_commit(
        &mut self,
        node: usize,
        block: &CheckedBlock,
        certificate: &Certificate,
    ) -> Result<(), Violation> {
        let (height, hash) = (certificate.height, block.hash);
        if certificate.block_hash != hash || block.block.header.height != height {
            return Err(Violation(format!(
                "node {node}: certificate of {height} names another"
            )));
        }
        let set = self.set_of(height)?;
        certificate.verify(self.chain, set).map_err(|error| {
            Violation(format!(
                "node {node}: certificate of block {height}: {error}"
            ))
        })?;
        self.check_settings(&block.block)?;
        let agreed = *self.blocks.entry(height).or_insert(hash);
        if agreed != hash {
            return Err(Violation(format!(
                "agreement: node {node} has {hash} at height {height}, another has {agreed}"
            )));
        }
        if let Some(stored) = self.stored.get_mut(node) {
            *stored = (*stored).max(height);
        }
        Ok(())
    }

    /// The committee of a height. Nobody can get there before the block that had the last word on
    /// it was executed somewhere.
    fn set_of(&self, height: Height) -> Result<&ValidatorSet, Violation> {
        if height > Rules::known_until(self.modelled) {
            return Err(Violation(format!(
                "settings: someone works on block {height}, but only {} is executed",
                self.modelled
            )));
        }
        Ok(self.model.set(height))
    }

    /// A final block obeys the settings of its height.
    fn check_settings(&self, block: &Block) -> Result<(), Violation> {
        let header = &block.header;
        let (height, next) = (header.height, header.height.next());
        self.set_of(next)?;
        let settings = self.model.at(height);
        let right = header.version == settings.protocol_version
            && header.validators == self.model.set_hash(height)
            && header.next_validators == self.model.set_hash(next)
            && block.body_bytes() as u64 <= settings.parameters.block_bytes_max;
        if right {
            Ok(())
        } else {
            Err(Violation(format!(
                "settings: block {height} has {header:?} where {settings:?} governs"
            )))
        }
    }

    /// What the settings of every height must be.
    pub(crate) const fn model(&self) -> &Model {
        &self.model
    }

    /// A node executed a block.
    pub(crate) fn on_executed(
        &mut self,
        node: usize,
        block: &ExecutedBlock,
        rules: &Rules,
    ) -> Result<(), Violation> {
        let roots = block.result.roots;
        if roots.height > self.modelled {
            self.model.executed(block).map_err(Violation)?;
            self.modelled = roots.height;
        }
        for height in roots.height.0..=Rules::known_until(roots.height).0 {
            let (height, model) = (Height(height), &self.model);
            if rules.settings(height).as_ref() != model.at(height) {
                return Err(Violation(format!(
                    "settings: after block {} node {node} has {:?} for block {height}, where the \
                     changes give {:?}",
                    roots.height,
                    rules.settings(height),
                    model.at(height)
                )));
            }
        }
        let agreed = *self.roots.entry(roots.height).or_insert(roots);
        if agreed != roots {
            return Err(Violation(format!(
                "state: node {node} has {roots:?}, another has {agreed:?}"
            )));
        }
        for receipt in block
            .result
            .receipts
            .iter()
            .filter(|receipt| receipt.is_executed())
        {
            let height = roots.height;
            let first = *self
                .executed
                .entry(receipt.transaction_hash)
                .or_insert(height);
            if first != height {
                let hash = receipt.transaction_hash;
                return Err(Violation(format!(
                    "{hash} executed in {first} and {height}"
                )));
            }
        }
        Ok(())
    }

    /// A node's vote log became durable with this record in it.
    pub(crate) fn on_durable(&mut self, node: usize, record: &Record) {
        if let Some(records) = self.durable_records.get_mut(node) {
            records.insert(encode(record));
        }
    }

    /// A node sends a message.
    pub(crate) fn on_send(&mut self, node: usize, message: &PeerMessage) -> Result<(), Violation> {
        let PeerMessage::Agreement(message) = message else {
            return Ok(());
        };
        let own = self.addresses.get(node).copied().flatten();
        let outsider = |height, validator: &Address| match self.set_of(height) {
            Ok(set) if set.get(validator).is_some() => Ok(()),
            Ok(_) => Err(Violation(format!(
                "node {node} sends an act of {validator}, who has no vote on block {height}"
            ))),
            Err(violation) => Err(violation),
        };
        let record = match message {
            Message::Vote(signed) if own == Some(signed.vote.validator) => {
                let vote = &signed.vote;
                outsider(vote.height, &vote.validator)?;
                let slot = (node, vote.height, vote.round, vote.kind);
                let first = *self.votes.entry(slot).or_insert(vote.block);
                if first != vote.block {
                    return Err(Violation(format!(
                        "double vote: node {node} voted {first:?} and {:?} at {}/{}",
                        vote.block, vote.height, vote.round
                    )));
                }
                Record::Vote(signed.clone())
            }
            Message::Proposal(signed) => {
                outsider(signed.proposal.height, &signed.proposal.proposer)?;
                Record::Proposal(signed.clone())
            }
            _ => return Ok(()),
        };
        let durable = self.durable_records.get(node);
        if durable.is_none_or(|records| !records.contains(&encode(&record))) {
            return Err(Violation(format!(
                "persist before sign: node {node} sends {record:?}, which its log does not hold"
            )));
        }
        Ok(())
    }

    /// A node restarted and found this much. Of a block that its file has lost, the vote log must
    /// have the body and this validator's precommit: then no other can be decided in its place.
    pub(crate) fn on_restart(
        &self,
        node: usize,
        stored: Height,
        cast: &BTreeMap<Height, CastVotes>,
    ) -> Result<(), Violation> {
        let before = self.stored.get(node).copied().unwrap_or_default();
        let own = self.addresses.get(node).copied().flatten();
        for lost in stored.0.saturating_add(1)..=before.0 {
            let (lost, hash) = (Height(lost), self.blocks.get(&Height(lost)));
            let is_logged = cast.get(&lost).is_some_and(|cast| {
                let body = cast.blocks.iter().any(|block| Some(&block.hash) == hash);
                let precommit = cast.records.iter().any(|record| {
                    matches!(record, Record::Vote(signed)
                        if Some(signed.vote.validator) == own
                            && signed.vote.kind == VoteKind::Precommit
                            && signed.vote.block.as_ref() == hash)
                });
                body && precommit
            });
            if !is_logged {
                return Err(Violation(format!(
                    "durability: node {node} had stored block {before}, after a crash it has \
                     {stored}, and its vote log does not have block {lost}"
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn executed_at(&self, hash: &B256) -> Option<Height> {
        self.executed.get(hash).copied()
    }

    pub(crate) fn highest(&self) -> Height {
        self.blocks.keys().next_back().copied().unwrap_or_default()
    }
}
