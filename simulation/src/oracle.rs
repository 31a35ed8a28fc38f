//! What must hold at all times.

use std::collections::{BTreeMap, BTreeSet};

use hawser_consensus::{Message, Record};
use hawser_ledger::VoteKind;
use hawser_ledger::{Certificate, Roots, ValidatorSet};
use hawser_node::{replica::PeerMessage, store::ExecutedBlock};
use hawser_primitives::{B256, ChainId, Height, Round, encode};

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
    set: ValidatorSet,
    blocks: BTreeMap<Height, B256>,
    roots: BTreeMap<Height, Roots>,
    votes: BTreeMap<VoteSlot, Option<B256>>,
    executed: BTreeMap<B256, Height>,
    durable_records: Vec<BTreeSet<Vec<u8>>>,
    stored: Vec<Height>,
}

impl Oracle {
    pub(crate) fn new(chain: ChainId, set: ValidatorSet, nodes: usize) -> Self {
        Self {
            chain,
            set,
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
        hash: B256,
        certificate: &Certificate,
    ) -> Result<(), Violation> {
        let height = certificate.height;
        if certificate.block_hash != hash {
            return Err(Violation(format!(
                "node {node}: certificate of {height} names another"
            )));
        }
        certificate.verify(self.chain, &self.set).map_err(|error| {
            Violation(format!(
                "node {node}: certificate of block {height}: {error}"
            ))
        })?;
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

    /// A node executed a block.
    pub(crate) fn on_executed(
        &mut self,
        node: usize,
        block: &ExecutedBlock,
    ) -> Result<(), Violation> {
        let roots = block.result.roots;
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
        let own = |address| self.set.index_of(address).is_some();
        let record = match message {
            Message::Vote(signed) if own(&signed.vote.validator) => {
                let vote = &signed.vote;
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
            Message::Proposal(signed) => Record::Proposal(signed.clone()),
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

    /// A node restarted and found this much.
    pub(crate) fn on_restart(&self, node: usize, stored: Height) -> Result<(), Violation> {
        let before = self.stored.get(node).copied().unwrap_or_default();
        if stored < before {
            return Err(Violation(format!(
                "durability: node {node} had stored block {before}, after a crash it has {stored}"
            )));
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
