//! Where every transaction of a run stands.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use alloy_primitives::map::B256Map;
use hawser_primitives::B256;

use super::submit::Fate;
use crate::work::Lanes;

/// A transaction's number within a run.
pub(crate) type Id = u32;

/// What happened to the requests of a run, which are the slots of its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Transactions that were due.
    pub(crate) offered: u64,
    /// Taken by a node, each once.
    pub(crate) accepted: u64,
    /// Refusals for load.
    pub(crate) busy: u64,
    /// Of these, refusals that did not say when to come back.
    pub(crate) busy_without_hint: u64,
    /// Other refusals.
    pub(crate) refused: u64,
    /// Requests of which nobody knew what became.
    pub(crate) unknown: u64,
    /// Transactions handed in again because the node that had taken them was gone.
    pub(crate) resubmitted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unsent,
    Sent,
    /// A node said that it has it.
    Accepted,
    Executed,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// When its last slot was due, in microseconds since the start of the run.
    due_us: u64,
    /// From due to seen in a block; zero before.
    took_us: u64,
    /// The node that accepted it.
    node: u16,
    /// Whether an earlier request may have arrived.
    unsure: bool,
    /// Sent again after its slot had failed and the schedule was over.
    late: bool,
}

/// One account's part.
#[derive(Debug)]
struct Lane {
    first: Id,
    len: Id,
    next: Id,
    /// Refused, or of unknown fate; lowest first.
    again: BinaryHeap<Reverse<Id>>,
    node: u16,
}

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Board {
    entries: Vec<Entry>,
    lanes: Vec<Lane>,
    ids: B256Map<Id>,
    turn: usize,
    /// Sent or accepted and not executed.
    in_flight: usize,
    pub(crate) counts: Counts,
    pub(crate) ran_out: bool,
    /// First refusal that is not for load, in the node's words.
    pub(crate) refusal: Option<String>,
    /// In the order of the chain.
    order: Vec<Id>,
    /// Blocks' transactions that are not of this run, with how often they occurred.
    pub(crate) foreign: HashMap<B256, u64>,
    /// A transaction that was in two blocks.
    pub(crate) twice: Option<B256>,
    /// Which nodes answer.
    up: Vec<bool>,
}

impl Board {
    pub(crate) fn new(lanes: &Lanes, nodes: usize) -> Self {
        let total = lanes.len();
        let mut ids = B256Map::with_capacity_and_hasher(total, Default::default());
        let mut made = Vec::with_capacity(lanes.lanes.len());
        let mut first: Id = 0;
        for (account, lane) in lanes.lanes.iter().enumerate() {
            for (tx, id) in lane.iter().zip(first..) {
                ids.insert(tx.hash, id);
            }
            let len = Id::try_from(lane.len()).unwrap_or(Id::MAX);
            made.push(Lane {
                first,
                len,
                next: 0,
                again: BinaryHeap::new(),
                node: u16::try_from(account % nodes.max(1)).unwrap_or(0),
            });
            first = first.saturating_add(len);
        }
        let unsent = Entry {
            state: State::Unsent,
            due_us: 0,
            took_us: 0,
            node: 0,
            unsure: false,
            late: false,
        };
        Self {
            entries: vec![unsent; total],
            lanes: made,
            ids,
            turn: 0,
            in_flight: 0,
            counts: Counts::default(),
            ran_out: false,
            refusal: None,
            order: Vec::with_capacity(total),
            foreign: HashMap::new(),
            twice: None,
            up: vec![true; nodes],
        }
    }

    /// Account and place of a transaction.
    pub(crate) fn place(&self, id: Id) -> (usize, usize) {
        let lane = self.lanes.partition_point(|lane| lane.first <= id);
        let lane = lane.saturating_sub(1);
        let first = self.lanes.get(lane).map_or(0, |lane| lane.first);
        (lane, id.saturating_sub(first) as usize)
    }

    /// The node that an account sends to: its own, or the next one that answers.
    fn node_of(&self, lane: usize) -> u16 {
        let own = self.lanes.get(lane).map_or(0, |lane| lane.node);
        let count = self.up.len();
        (0..count)
            .map(|step| (usize::from(own) + step) % count.max(1))
            .find(|node| self.up.get(*node).copied().unwrap_or(false))
            .and_then(|node| u16::try_from(node).ok())
            .unwrap_or(own)
    }

    /// Takes the transaction for the next slot, from the accounts in turn; and the node that it goes to. `None` when
    /// nothing is left.
    pub(crate) fn take(&mut self, due_us: u64) -> Option<(Id, u16)> {
        let count = self.lanes.len();
        for _ in 0..count {
            let at = self.turn % count;
            self.turn = self.turn.wrapping_add(1);
            let Some(lane) = self.lanes.get_mut(at) else {
                continue;
            };
            let id = match lane.again.pop() {
                Some(Reverse(id)) => id,
                None if lane.next < lane.len => {
                    lane.next += 1;
                    lane.first + lane.next - 1
                }
                None => continue,
            };
            let node = self.node_of(at);
            self.counts.offered += 1;
            self.leave(id, due_us);
            return Some((id, node));
        }
        self.ran_out = true;
        None
    }

    /// What still has to be sent although the schedule is over: without it, later nonces would wait for ever.
    pub(crate) fn take_again(&mut self, now_us: u64, most: usize) -> Vec<(Id, u16)> {
        let mut taken = Vec::new();
        for at in 0..self.lanes.len() {
            while taken.len() < most
                && let Some(Reverse(id)) = self.lanes.get_mut(at).and_then(|l| l.again.pop())
            {
                taken.push((id, self.node_of(at)));
                let due_us = self.entries.get(id as usize).map_or(now_us, |e| e.due_us);
                self.leave(id, due_us);
                if let Some(entry) = self.entries.get_mut(id as usize) {
                    entry.late = true;
                }
            }
        }
        taken
    }

    /// Transactions that wait to be sent again.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.again.len()).sum()
    }

    fn leave(&mut self, id: Id, due_us: u64) {
        if let Some(entry) = self.entries.get_mut(id as usize)
            && entry.state != State::Executed
        {
            if entry.state == State::Unsent {
                self.in_flight += 1;
            }
            entry.state = State::Sent;
            entry.due_us = due_us;
        }
    }

    /// Notes the answers to a request to a node.
    pub(crate) fn answered(&mut self, node: u16, ids: &[Id], fates: &[Fate]) {
        for (id, fate) in ids.iter().zip(fates) {
            let Some(entry) = self.entries.get_mut(*id as usize) else {
                continue;
            };
            let used_up = |text: &str| text.to_ascii_lowercase().contains("nonce too low");
            match fate {
                Fate::Accepted | Fate::Known => self.accept(*id, node),
                Fate::Refused(text) if entry.unsure && used_up(text) => self.accept(*id, node),
                Fate::Busy { hint } => {
                    self.counts.busy += 1;
                    self.counts.busy_without_hint += u64::from(!hint);
                    self.put_back(*id);
                }
                Fate::Refused(text) => {
                    self.counts.refused += 1;
                    self.refusal.get_or_insert_with(|| text.clone());
                    self.put_back(*id);
                }
            }
        }
    }

    fn accept(&mut self, id: Id, node: u16) {
        if let Some(entry) = self.entries.get_mut(id as usize) {
            entry.node = node;
            // It may be in a block before its answer is here, or be handed in for the second time.
            if entry.state == State::Sent {
                entry.state = State::Accepted;
                self.counts.accepted += 1;
            }
        }
    }

    fn put_back(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(id as usize) else {
            return;
        };
        if entry.state != State::Sent {
            return;
        }
        entry.state = State::Unsent;
        self.in_flight = self.in_flight.saturating_sub(1);
        let (lane, _) = self.place(id);
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.again.push(Reverse(id));
        }
    }

    /// No answer came, or none that can be read.
    pub(crate) fn unanswered(&mut self, ids: &[Id], may_have_arrived: bool) {
        for id in ids {
            if may_have_arrived {
                self.counts.unknown += 1;
                if let Some(entry) = self.entries.get_mut(*id as usize) {
                    entry.unsure = true;
                }
            }
            self.put_back(*id);
        }
    }

    /// A node has stopped answering: what it had taken and no block has yet is handed in again elsewhere, as a client
    /// has to that must not rely on a single node's memory.
    pub(crate) fn down(&mut self, node: u16) {
        let Some(up) = self.up.get_mut(usize::from(node)) else {
            return;
        };
        if !std::mem::replace(up, false) {
            return;
        }
        for id in 0..Id::try_from(self.entries.len()).unwrap_or(Id::MAX) {
            let Some(entry) = self.entries.get_mut(id as usize) else {
                continue;
            };
            if entry.state == State::Accepted && entry.node == node {
                entry.state = State::Sent;
                entry.unsure = true;
                self.counts.accepted = self.counts.accepted.saturating_sub(1);
                self.counts.resubmitted += 1;
                self.put_back(id);
            }
        }
    }

    /// A node answers again.
    pub(crate) fn up(&mut self, node: u16) {
        if let Some(up) = self.up.get_mut(usize::from(node)) {
            *up = true;
        }
    }

    /// Notes a block; how many of its transactions are of this run.
    pub(crate) fn block(&mut self, hashes: &[B256], seen_us: u64) -> u64 {
        let mut own = 0;
        for hash in hashes {
            let Some(id) = self.ids.get(hash).copied() else {
                *self.foreign.entry(*hash).or_default() += 1;
                continue;
            };
            own += 1;
            let Some(entry) = self.entries.get_mut(id as usize) else {
                continue;
            };
            match entry.state {
                State::Executed => {
                    self.twice.get_or_insert(*hash);
                    continue;
                }
                // Of unknown fate until now.
                State::Unsent => self.counts.accepted += 1,
                State::Sent => {
                    self.counts.accepted += 1;
                    self.in_flight = self.in_flight.saturating_sub(1);
                }
                State::Accepted => self.in_flight = self.in_flight.saturating_sub(1),
            }
            entry.state = State::Executed;
            entry.took_us = seen_us.saturating_sub(entry.due_us);
            self.order.push(id);
        }
        own
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Accepted by a node and in no block.
    pub(crate) fn outstanding(&self) -> Vec<Id> {
        let all = self.entries.iter().zip(0..);
        all.filter(|(entry, _)| matches!(entry.state, State::Accepted | State::Sent))
            .map(|(_, id)| id)
            .collect()
    }

    /// Milliseconds from due to seen, of what was due within a part of the run and was executed in its own slot.
    pub(crate) fn latencies_ms(&self, from_us: u64, to_us: u64) -> Vec<f64> {
        self.entries
            .iter()
            .filter(|entry| entry.state == State::Executed && !entry.late)
            .filter(|entry| (from_us..to_us).contains(&entry.due_us))
            .map(|entry| entry.took_us as f64 / 1_000.0)
            .collect()
    }

    /// Slots whose transaction was executed without being sent again after the schedule.
    pub(crate) fn succeeded(&self) -> u64 {
        let good = |entry: &&Entry| entry.state == State::Executed && !entry.late;
        self.entries.iter().filter(good).count() as u64
    }

    /// Account and place of what was executed, in the order of the chain.
    pub(crate) fn order(&self) -> Vec<(usize, usize)> {
        self.order.iter().map(|id| self.place(*id)).collect()
    }

    /// How many transactions of each account were executed, and whether these are the first ones.
    pub(crate) fn executed(&self) -> (Vec<u64>, bool) {
        let mut in_order = true;
        let counts = self.lanes.iter().map(|lane| {
            let range = lane.first as usize..(lane.first + lane.len) as usize;
            let entries = self.entries.get(range).unwrap_or_default();
            let done = |entry: &Entry| entry.state == State::Executed;
            let first = entries.iter().take_while(|entry| done(entry)).count();
            in_order &= first == entries.iter().filter(|entry| done(entry)).count();
            first as u64
        });
        (counts.collect(), in_order)
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
