//! What must hold at all times.

mod votes;

use std::collections::{BTreeMap, BTreeSet};

use hawser_consensus::{Message, Record};
use hawser_crypto::Suite;
use hawser_ledger::{Block, Certificate, Roots, ValidatorSet, VoteKind, vote_message};
use hawser_node::{
    Rules,
    replica::{CastVotes, CheckedBlock, PeerMessage, Sizes},
    store::ExecutedBlock,
};
use hawser_primitives::{Address, B256, ChainId, Height, Time, encode};

use crate::settings::Model;
use votes::Votes;

/// A rule that was broken: its name, a colon, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl Violation {
    pub(crate) fn new(rule: &str, what: impl std::fmt::Display) -> Self {
        Self(format!("{rule}: {what}"))
    }

    /// The name of the rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known when a node has a block as final.
pub(crate) struct Moment<'a> {
    pub(crate) now: Time,
    /// How far a clock may be off, in milliseconds.
    pub(crate) clocks_ms_max: u64,
    /// Whether a client signed this transaction.
    pub(crate) is_genuine: &'a dyn Fn(&B256) -> bool,
}

/// Facts gathered from all nodes.
#[derive(Debug)]
pub(crate) struct Oracle {
    chain: ChainId,
    suite: Suite,
    model: Model,
    /// Height up to which the model knows every change.
    modelled: Height,
    addresses: Vec<Option<Address>>,
    blocks: BTreeMap<Height, (B256, Time)>,
    /// The first certificate seen of each height, and digests of those found good.
    certificates: BTreeMap<Height, Certificate>,
    good: BTreeSet<B256>,
    roots: BTreeMap<Height, Roots>,
    votes: Votes,
    executed: BTreeMap<B256, Height>,
    own_records: Vec<BTreeSet<B256>>,
    stored: Vec<Height>,
    /// Nodes that lie, or whose disk has lied to them: what they send is not judged.
    faulty: BTreeSet<usize>,
    peak: Sizes,
}

impl Oracle {
    /// `addresses` are those of the nodes' vote keys.
    pub(crate) fn new(
        (chain, suite): (ChainId, Suite),
        model: Model,
        addresses: Vec<Option<Address>>,
    ) -> Self {
        let nodes = addresses.len();
        Self {
            chain,
            suite,
            model,
            modelled: Height::GENESIS,
            addresses,
            blocks: BTreeMap::new(),
            certificates: BTreeMap::new(),
            good: BTreeSet::new(),
            roots: BTreeMap::new(),
            votes: Votes::default(),
            executed: BTreeMap::new(),
            own_records: vec![BTreeSet::new(); nodes],
            stored: vec![Height::GENESIS; nodes],
            faulty: BTreeSet::new(),
            peak: Sizes::default(),
        }
    }

    /// What a node sends, and what it remembers after a restart, is not judged from here on. What it
    /// stores and executes still is.
    pub(crate) fn distrust(&mut self, node: usize) {
        self.faulty.insert(node);
    }

    /// A node's data were taken away: it begins anew.
    pub(crate) fn emptied(&mut self, node: usize) {
        if let Some(stored) = self.stored.get_mut(node) {
            *stored = Height::GENESIS;
        }
    }

    /// A node has a block as final, and is about to store it.
    pub(crate) fn on_commit(
        &mut self,
        node: usize,
        block: &CheckedBlock,
        certificate: &Certificate,
        moment: &Moment<'_>,
    ) -> Result<(), Violation> {
        let (height, hash) = (certificate.height, block.hash);
        if certificate.block_hash != hash || block.block.header.height != height {
            let what = format!("node {node}: that of {height} names another block");
            return Err(Violation::new("certificate", what));
        }
        self.check_certificate(node, certificate)?;
        match self.blocks.get(&height) {
            None => {
                self.check_settings(&block.block)?;
                self.check_block(block, moment)?;
                let time = block.block.header.time;
                self.blocks.insert(height, (hash, time));
                self.certificates.insert(height, certificate.clone());
            }
            Some((agreed, _)) if *agreed != hash => {
                let what = format!(
                    "node {node} has {hash} at height {height}, another has {agreed}; {}",
                    self.culprits(height, certificate)
                );
                return Err(Violation::new("agreement", what));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A node has a block durably, and everything before it.
    pub(crate) fn on_stored(&mut self, node: usize, height: Height) {
        if let Some(stored) = self.stored.get_mut(node) {
            *stored = (*stored).max(height);
        }
    }

    /// Who signed the first certificate of a height and this one.
    pub(crate) fn signed_both(&self, height: Height, second: &Certificate) -> Vec<Address> {
        let signers = |certificate: &Certificate| -> BTreeSet<Address> {
            let set = self.model.set(height);
            let all = certificate.signatures.iter();
            all.filter_map(|one| set.address_at(usize::from(one.validator)))
                .collect()
        };
        let first = self.certificates.get(&height).map(signers);
        let second = signers(second);
        let both = first.iter().flatten().filter(|one| second.contains(*one));
        both.copied().collect()
    }

    /// Who is to blame for two certificates of one height, in words.
    fn culprits(&self, height: Height, second: &Certificate) -> String {
        let both = self.signed_both(height, second);
        let both: Vec<_> = both.iter().map(Address::to_string).collect();
        let twice: Vec<_> = self.votes.equivocators(height).collect();
        format!(
            "signed both certificates: {}; signed two votes where one is allowed: {twice:?}",
            both.join(", ")
        )
    }

    /// Judges a certificate without the code that nodes judge it with.
    fn check_certificate(&mut self, node: usize, one: &Certificate) -> Result<(), Violation> {
        let digest = Suite::Intl.hash(&encode(one));
        if self.good.contains(&digest) {
            return Ok(());
        }
        let (height, chain) = (one.height, self.chain);
        let wrong = |what: String| {
            let what = format!("node {node}: that of block {height} {what}");
            Err(Violation::new("certificate", what))
        };
        let set = self.set_of(height)?;
        let message = vote_message(
            chain,
            height,
            one.round,
            VoteKind::Precommit,
            Some(one.block_hash),
        );
        let (mut signers, mut weight) = (BTreeSet::new(), 0u128);
        for commit in &one.signatures {
            let Some(validator) = set.validators().get(usize::from(commit.validator)) else {
                return wrong(format!("is signed by nobody's {}", commit.validator));
            };
            if !signers.insert(commit.validator) {
                return wrong(format!("counts validator {} twice", commit.validator));
            }
            let verdict = validator.public_key.verify(&message, &commit.signature);
            if verdict.is_err() {
                return wrong(format!("has a bad signature of {}", commit.validator));
            }
            weight = weight.saturating_add(u128::from(validator.weight));
        }
        if !is_quorum(weight, set) {
            let total = set.total_weight();
            return wrong(format!("has weight {weight} of {total}"));
        }
        self.good.insert(digest);
        Ok(())
    }

    /// What every final block must be, seen for the first time.
    fn check_block(&self, checked: &CheckedBlock, moment: &Moment<'_>) -> Result<(), Violation> {
        let (block, header) = (&checked.block, &checked.block.header);
        let height = header.height;
        let wrong = |what: String| {
            let what = format!("block {height} is final and {what}");
            Err(Violation::new("validity", what))
        };
        if header.hash(self.suite) != checked.hash {
            return wrong("is known under another hash".to_owned());
        }
        if let Err(error) = block.check_body(self.suite) {
            return wrong(error.to_string());
        }
        if let Some((parent, time)) = height.prev().and_then(|height| self.blocks.get(&height)) {
            if header.parent != *parent {
                return wrong(format!("follows {} instead of {parent}", header.parent));
            }
            if header.time <= *time {
                return wrong(format!("is not later than its parent: {}", header.time));
            }
        }
        let parameters = &self.model.at(height).parameters;
        let latest = parameters
            .clock_drift_ms_max
            .saturating_add(moment.clocks_ms_max);
        if header.time.since_ms(moment.now) > latest {
            return wrong(format!("has time {} at {}", header.time, moment.now));
        }
        if let Some(roots) = self.roots.get(&header.executed.height)
            && header.executed != *roots
        {
            return wrong(format!("has {:?} instead of {roots:?}", header.executed));
        }
        let gas = checked.transactions.iter().fold(0u64, |sum, one| {
            sum.saturating_add(one.transaction().gas_limit())
        });
        if gas > parameters.block_gas_max {
            return wrong(format!("asks for {gas} gas"));
        }
        let all = checked.transactions.iter().map(|one| one.hash());
        match all.into_iter().find(|hash| !(moment.is_genuine)(hash)) {
            Some(forged) => wrong(format!("holds the forged transaction {forged}")),
            None => Ok(()),
        }
    }

    /// The committee of a height. Nobody can get there before the block that had the last word on
    /// it was executed somewhere.
    fn set_of(&self, height: Height) -> Result<&ValidatorSet, Violation> {
        if height > Rules::known_until(self.modelled) {
            let what = format!(
                "someone works on block {height}, but only {} is executed",
                self.modelled
            );
            return Err(Violation::new("settings", what));
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
            let what = format!("block {height} has {header:?} where {settings:?} governs");
            Err(Violation::new("settings", what))
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
            self.model
                .executed(block)
                .map_err(|error| Violation::new("settings", error))?;
            self.modelled = roots.height;
        }
        for height in roots.height.0..=Rules::known_until(roots.height).0 {
            let (height, model) = (Height(height), &self.model);
            if rules.settings(height).as_ref() != model.at(height) {
                let what = format!(
                    "after block {} node {node} has {:?} for block {height}, where the changes give {:?}",
                    roots.height,
                    rules.settings(height),
                    model.at(height)
                );
                return Err(Violation::new("settings", what));
            }
        }
        let agreed = *self.roots.entry(roots.height).or_insert(roots);
        if agreed != roots {
            let what = format!("node {node} has {roots:?}, another has {agreed:?}");
            return Err(Violation::new("state", what));
        }
        let mut here = BTreeSet::new();
        let receipts = block.result.receipts.iter();
        for receipt in receipts.filter(|receipt| receipt.is_executed()) {
            let (height, hash) = (roots.height, receipt.transaction_hash);
            let first = *self.executed.entry(hash).or_insert(height);
            if first != height || !here.insert(hash) {
                let what = format!("{hash} is executed in {first} and in {height}");
                return Err(Violation::new("executed once", what));
            }
        }
        Ok(())
    }

    /// A node's vote log became durable with this record in it.
    pub(crate) fn on_durable(&mut self, node: usize, record: &Record) {
        let Some(own) = self.addresses.get(node).copied().flatten() else {
            return;
        };
        match record {
            Record::Vote(signed) if signed.vote.validator == own => self.votes.exists(&signed.vote),
            Record::Proposal(signed) if signed.proposal.proposer == own => {}
            _ => return,
        }
        if let Some(records) = self.own_records.get_mut(node) {
            records.insert(Suite::Intl.hash(&encode(record)));
        }
    }

    /// A faulty validator signed this vote, whoever gets to see it.
    pub(crate) fn on_made(&mut self, vote: &hawser_consensus::Vote) {
        self.votes.exists(vote);
    }

    /// A node sends a message.
    pub(crate) fn on_send(&mut self, node: usize, message: &PeerMessage) -> Result<(), Violation> {
        let PeerMessage::Agreement(message) = message else {
            return Ok(());
        };
        let own = self.addresses.get(node).copied().flatten();
        if self.faulty.contains(&node) {
            return Ok(());
        }
        let outsider = |height, validator: &Address| match self.set_of(height) {
            Ok(set) if set.get(validator).is_some() => Ok(()),
            Ok(_) => Err(Violation::new(
                "outsider",
                format!(
                    "node {node} sends an act of {validator}, who has no vote on block {height}"
                ),
            )),
            Err(violation) => Err(violation),
        };
        let record = match message {
            Message::Vote(signed) if own == Some(signed.vote.validator) => {
                let vote = &signed.vote;
                outsider(vote.height, &vote.validator)?;
                let set = self.model.set(vote.height);
                self.votes.sent(node, vote, set)?;
                Record::Vote(signed.clone())
            }
            // Those of others may be passed on: who locks in a late round shows what it locks on.
            Message::Proposal(signed) if own == Some(signed.proposal.proposer) => {
                outsider(signed.proposal.height, &signed.proposal.proposer)?;
                self.votes.proposed(node, &signed.proposal)?;
                Record::Proposal(signed.clone())
            }
            _ => return Ok(()),
        };
        let digest = Suite::Intl.hash(&encode(&record));
        let durable = self.own_records.get(node);
        if durable.is_none_or(|records| !records.contains(&digest)) {
            let what = format!("node {node} sends {record:?}, which its log does not hold");
            return Err(Violation::new("persist before send", what));
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
        if self.faulty.contains(&node) {
            return Ok(());
        }
        let before = self.stored.get(node).copied().unwrap_or_default();
        let own = self.addresses.get(node).copied().flatten();
        for lost in stored.0.saturating_add(1)..=before.0 {
            let lost = Height(lost);
            let hash = self.blocks.get(&lost).map(|(hash, _)| hash);
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
                let what = format!(
                    "node {node} had stored block {before}, after a crash it has {stored}, and its \
                     vote log does not have block {lost}"
                );
                return Err(Violation::new("durability", what));
            }
        }
        Ok(())
    }

    /// What a node holds after an event.
    pub(crate) fn on_sizes(
        &mut self,
        node: usize,
        sizes: Sizes,
        bounds: &Sizes,
    ) -> Result<(), Violation> {
        self.peak = self.peak.max(sizes);
        match sizes.above(bounds) {
            Some(what) => Err(Violation::new("memory", format!("node {node}: {what}"))),
            None => Ok(()),
        }
    }

    /// The most that any node held of each kind.
    pub(crate) const fn peak(&self) -> Sizes {
        self.peak
    }

    pub(crate) fn executed_at(&self, hash: &B256) -> Option<Height> {
        self.executed.get(hash).copied()
    }

    pub(crate) fn highest(&self) -> Height {
        self.blocks.keys().next_back().copied().unwrap_or_default()
    }
}

/// More than two thirds, by the definition and not by the code that nodes use.
fn is_quorum(weight: u128, set: &ValidatorSet) -> bool {
    weight.saturating_mul(3) > u128::from(set.total_weight()).saturating_mul(2)
}
