//! Was anything lost, doubled, moved or wrong? Pure, so that doctored histories can show that it notices.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::history::{Emptied, Outcome, Record, Seen, What};
use crate::linear::{self, Op, Verdict};

/// Violations listed in full; all are counted.
const LISTED_MAX: usize = 20;
/// Situations that the search for a linear order may look at, per register.
const SEARCH_MAX: usize = 2_000_000;

/// A block as a node shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The state after it.
    pub state: B256,
    /// Its time, in milliseconds since 1970.
    pub time_ms: u64,
    /// Its transactions in order.
    pub transactions: Vec<B256>,
}

/// What one node has at the end.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The node.
    pub node: u16,
    /// All its blocks, without a gap: from 1 on, or from a later one where it drops old ones.
    pub blocks: Vec<Block>,
    /// What the registers hold.
    pub registers: Vec<u64>,
    /// Sum of the balances of all funded accounts.
    pub balances: u128,
}

/// Everything that a run can be judged by.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What clients did.
    pub records: Vec<Record>,
    /// What nodes showed without transactions.
    pub seen: Vec<Seen>,
    /// Nodes whose data was deleted: they may go back, once.
    pub emptied: Vec<Emptied>,
    /// Transactions that a node took, none of which died with it.
    pub accepted: Vec<B256>,
    /// Transactions of the harness itself.
    pub own: Vec<B256>,
    /// What the nodes have at the end.
    pub copies: Vec<Copy>,
    /// What the balances add up to at first.
    pub funds: u128,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Operations that were acknowledged.
    pub acknowledged: usize,
    /// Acknowledged operations that some node does not have where it was promised.
    pub lost: usize,
    /// Transactions that are in a chain more than once.
    pub doubled: usize,
    /// Operations whose outcome clients did not learn.
    pub unknown: usize,
    /// Of these, those that took effect.
    pub unknown_effective: usize,
    /// Operations that were refused.
    pub refused: usize,
    /// Reads without transactions, each compared with the chain.
    pub reads: usize,
    /// Registers whose history was shown to be linearisable.
    pub linearisable: usize,
    /// Blocks, the same on every node.
    pub blocks: usize,
    /// How many violations there are.
    pub violations: usize,
    /// The first of them, in words.
    pub listed: Vec<String>,
}

impl Copy {
    /// The number of its first block; 1 without any.
    fn first(&self) -> u64 {
        self.blocks.first().map_or(1, |block| block.number)
    }

    /// The number of its last block; 0 without any.
    fn last(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.number)
    }
}

impl Judgement {
    fn violation(&mut self, text: String) {
        self.violations += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(text);
        }
    }

    /// What was found, in a sentence for a report.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "**Acknowledged {}, lost {}, doubled {}**; unknown {} (of which {} took effect), refused {}. {} reads without \
             transactions agree with the chain; {} registers linearisable. Violations: **{}**.",
            self.acknowledged,
            self.lost,
            self.doubled,
            self.unknown,
            self.unknown_effective,
            self.refused,
            self.reads,
            self.linearisable,
            self.violations
        )
    }

    /// The first violations as a list, a line each; nothing without any.
    #[must_use]
    pub fn list(&self) -> String {
        self.listed
            .iter()
            .map(|text| format!("- {text}\n"))
            .collect()
    }

    /// True when nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }
}

/// Judges a run.
#[must_use]
pub fn judge(evidence: &Evidence) -> Judgement {
    let mut found = Judgement {
        reads: evidence.seen.len(),
        ..Judgement::default()
    };
    let Some(first) = evidence.copies.iter().find(|copy| copy.first() == 1) else {
        found.violation("no node that keeps all blocks was left to look at".to_owned());
        return found;
    };
    found.blocks = first.blocks.len();
    same_chain(evidence, first, &mut found);
    let places = places(evidence, &mut found);
    promises(evidence, &places, &mut found);
    strangers(evidence, first, &mut found);
    let values = replay(evidence, first, &mut found);
    ends(evidence, &values, &mut found);
    reads(evidence, &values, &mut found);
    orders(evidence, &mut found);
    found
}

fn same_chain(evidence: &Evidence, first: &Copy, found: &mut Judgement) {
    for other in &evidence.copies {
        if other.last() != first.last() {
            found.violation(format!(
                "node {} has blocks up to {}, node {} up to {}",
                first.node,
                first.last(),
                other.node,
                other.last()
            ));
        }
        let before = first
            .blocks
            .iter()
            .filter(|block| block.number >= other.first());
        for (left, right) in before.zip(&other.blocks) {
            if left != right {
                found.violation(format!(
                    "block {} differs between nodes {} and {}: {} and {}, states {} and {}",
                    left.number,
                    first.node,
                    other.node,
                    left.hash,
                    right.hash,
                    left.state,
                    right.state
                ));
                break;
            }
        }
    }
}

type Places = Vec<HashMap<B256, (u64, B256)>>;

/// Where each transaction is, on every node.
fn places(evidence: &Evidence, found: &mut Judgement) -> Places {
    let mut all = Vec::new();
    for copy in &evidence.copies {
        let mut places = HashMap::new();
        for block in &copy.blocks {
            for hash in &block.transactions {
                if let Some((before, _)) = places.insert(*hash, (block.number, block.hash)) {
                    found.doubled += 1;
                    found.violation(format!(
                        "node {} has {hash} in blocks {before} and {}",
                        copy.node, block.number
                    ));
                }
            }
        }
        all.push(places);
    }
    all
}

fn promises(evidence: &Evidence, places: &Places, found: &mut Judgement) {
    for record in &evidence.records {
        let hash = record.hash;
        match &record.outcome {
            Outcome::Acknowledged { number, block, .. } => {
                found.acknowledged += 1;
                let mut lost = false;
                for (copy, places) in evidence.copies.iter().zip(places) {
                    if *number < copy.first() {
                        // Dropped on purpose; the nodes that keep all have it.
                        continue;
                    }
                    let place = places.get(&hash);
                    if place != Some(&(*number, *block)) {
                        lost = true;
                        found.violation(format!(
                            "{hash} was acknowledged in block {number}, node {} has it in {:?}",
                            copy.node,
                            place.map(|(number, _)| number)
                        ));
                    }
                }
                found.lost += usize::from(lost);
            }
            Outcome::Unknown => {
                found.unknown += 1;
                let effective = places.iter().any(|places| places.contains_key(&hash));
                found.unknown_effective += usize::from(effective);
            }
            Outcome::Refused { reason } => {
                found.refused += 1;
                if places.iter().any(|places| places.contains_key(&hash)) {
                    found.violation(format!("{hash} was refused ({reason}) and took effect"));
                }
            }
        }
    }
    for hash in &evidence.accepted {
        let kept = evidence.copies.iter().zip(places);
        let mut whole = kept.filter(|(copy, _)| copy.first() == 1);
        if whole.any(|(_, places)| !places.contains_key(hash)) {
            found.lost += 1;
            found.violation(format!("{hash} was taken by a node and is in no block"));
        }
    }
}

fn strangers(evidence: &Evidence, first: &Copy, found: &mut Judgement) {
    let records = evidence.records.iter().map(|record| &record.hash);
    let known: BTreeSet<_> = records
        .chain(&evidence.accepted)
        .chain(&evidence.own)
        .collect();
    for hash in first.blocks.iter().flat_map(|block| &block.transactions) {
        if !known.contains(hash) {
            found.violation(format!("{hash} is in the chain and nobody sent it"));
        }
    }
}

/// Each register's values: after which block, and which.
type Values = BTreeMap<u64, Vec<(u64, u64)>>;

/// Executes the operations in the order of the chain, and compares with what clients were told.
fn replay(evidence: &Evidence, first: &Copy, found: &mut Judgement) -> Values {
    let by_hash: HashMap<_, _> = evidence
        .records
        .iter()
        .map(|record| (record.hash, record))
        .collect();
    let mut values = Values::new();
    for block in &first.blocks {
        for hash in &block.transactions {
            let Some(record) = by_hash.get(hash) else {
                continue;
            };
            let What::Register { register, act } = record.what else {
                continue;
            };
            let steps = values.entry(register).or_default();
            let before = steps.last().map_or(0, |(_, value)| *value);
            if let Outcome::Acknowledged {
                before: Some(told), ..
            } = record.outcome
                && told != before
            {
                found.violation(format!(
                    "{hash} in block {} reported {told} of register {register}, which held {before}",
                    block.number
                ));
            }
            steps.push((block.number, act.apply(before)));
        }
    }
    values
}

/// The value of a register after a block.
fn value_at(values: &Values, register: u64, number: u64) -> u64 {
    let Some(steps) = values.get(&register) else {
        return 0;
    };
    let count = steps.partition_point(|(at, _)| *at <= number);
    count
        .checked_sub(1)
        .and_then(|at| steps.get(at))
        .map_or(0, |(_, value)| *value)
}

fn ends(evidence: &Evidence, values: &Values, found: &mut Judgement) {
    for copy in &evidence.copies {
        for (register, value) in (0_u64..).zip(&copy.registers) {
            let expected = value_at(values, register, u64::MAX);
            if *value != expected {
                found.violation(format!(
                    "register {register} holds {value} on node {}, {expected} is what the chain makes of it",
                    copy.node
                ));
            }
        }
        if copy.balances != evidence.funds {
            found.violation(format!(
                "the balances on node {} add up to {}, not to {}",
                copy.node, copy.balances, evidence.funds
            ));
        }
    }
}

fn reads(evidence: &Evidence, values: &Values, found: &mut Judgement) {
    // What each node showed last: at which moment, and after which block.
    let mut last: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for seen in &evidence.seen {
        let expected = value_at(values, seen.register, seen.number);
        if seen.value != expected {
            found.violation(format!(
                "node {} showed {} in register {} after block {}, which was {expected}",
                seen.node, seen.value, seen.register, seen.number
            ));
        }
        let before = last.insert(seen.node, (seen.at_us, seen.number));
        let Some((at_us, number)) = before.filter(|(_, number)| *number > seen.number) else {
            continue;
        };
        let emptied = evidence
            .emptied
            .iter()
            .any(|one| one.node == seen.node && (at_us..=seen.at_us).contains(&one.at_us));
        if !emptied {
            found.violation(format!(
                "node {} went back from block {number} to {}",
                seen.node, seen.number
            ));
        }
    }
}

fn orders(evidence: &Evidence, found: &mut Judgement) {
    let mut registers: BTreeMap<u64, Vec<Op>> = BTreeMap::new();
    for record in &evidence.records {
        let What::Register { register, act } = record.what else {
            continue;
        };
        let returned = match record.outcome {
            Outcome::Acknowledged { before, .. } => before.map(|told| (record.returned_us, told)),
            Outcome::Unknown => None,
            Outcome::Refused { .. } => continue,
        };
        registers.entry(register).or_default().push(Op {
            act,
            called: record.called_us,
            returned,
        });
    }
    for (register, ops) in registers {
        match linear::check(0, &ops, SEARCH_MAX) {
            Verdict::Linearisable => found.linearisable += 1,
            Verdict::Violated => found.violation(format!(
                "no order explains the {} operations on register {register}",
                ops.len()
            )),
            Verdict::Undecided => found.violation(format!(
                "the {} operations on register {register} are too many to find their order",
                ops.len()
            )),
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
