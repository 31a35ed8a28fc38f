//! Is a history of operations on one register linearisable?
//!
//! The search of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993) as Lowe improved it (*Testing for
//! Linearizability*, 2017): operations are taken in an order that real time allows and the register explains; what was
//! taken and the value it led to are remembered, so that no situation is tried twice.
//!
//! An operation whose outcome is not known may take effect at any time after its call, or never. Both are covered by
//! giving it a return after all others: at the very end nobody sees its effect.

// Positions in lists that this module builds itself.
#![allow(clippy::indexing_slicing)]

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// What an operation does to a register, whose value is a number and 0 at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Act {
    /// Returns the value.
    Read,
    /// Sets it.
    Write {
        /// The new value.
        value: u64,
    },
    /// Sets it to `new` if it is `old`.
    Cas {
        /// The value it must have.
        old: u64,
        /// The value it gets.
        new: u64,
    },
    /// Adds to it.
    Add {
        /// What is added.
        value: u64,
    },
}

impl Act {
    /// The value afterwards.
    #[must_use]
    pub fn apply(self, value: u64) -> u64 {
        match self {
            Self::Read => value,
            Self::Write { value } => value,
            Self::Cas { old, new } if old == value => new,
            Self::Cas { .. } => value,
            Self::Add { value: more } => value.wrapping_add(more),
        }
    }
}

/// One operation of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// What it does.
    pub act: Act,
    /// When it was called.
    pub called: u64,
    /// When it returned, and the value before it that it reported; none if that is not known.
    pub returned: Option<(u64, u64)>,
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Some order explains the history.
    Linearisable,
    /// None does.
    Violated,
    /// More situations than allowed: nothing was shown.
    Undecided,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    op: usize,
    /// The position of the return, in a call.
    returns: Option<usize>,
    previous: usize,
    next: usize,
}

/// The history as a doubly linked list of calls and returns in the order of time; position 0 is its head.
struct List(Vec<Entry>);

/// Marks the end of the list.
const END: usize = usize::MAX;

impl List {
    fn of(ops: &[Op]) -> Self {
        // At one moment calls come before returns: two operations that touch may have overlapped.
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(ops.len() * 2);
        for (index, op) in ops.iter().enumerate() {
            events.push((op.called, false, index));
            let end = op.returned.map_or(u64::MAX, |(at, _)| at.max(op.called));
            events.push((end, true, index));
        }
        events.sort_unstable();
        let count = events.len();
        let mut entries = vec![Entry {
            op: END,
            returns: None,
            previous: END,
            next: if count == 0 { END } else { 1 },
        }];
        let mut call_of = vec![0; ops.len()];
        for (step, (_, is_return, op)) in events.into_iter().enumerate() {
            let at = step + 1;
            entries.push(Entry {
                op,
                returns: None,
                previous: step,
                next: if at == count { END } else { at + 1 },
            });
            if is_return {
                entries[call_of[op]].returns = Some(at);
            } else {
                call_of[op] = at;
            }
        }
        Self(entries)
    }

    fn unlink(&mut self, at: usize) {
        let Entry { previous, next, .. } = self.0[at];
        self.0[previous].next = next;
        if next != END {
            self.0[next].previous = previous;
        }
    }

    fn link(&mut self, at: usize) {
        let Entry { previous, next, .. } = self.0[at];
        self.0[previous].next = at;
        if next != END {
            self.0[next].previous = at;
        }
    }

    fn lift(&mut self, call: usize) {
        self.unlink(call);
        if let Some(returns) = self.0[call].returns {
            self.unlink(returns);
        }
    }

    fn unlift(&mut self, call: usize) {
        // In the opposite order, so that each finds the neighbours that it left.
        if let Some(returns) = self.0[call].returns {
            self.link(returns);
        }
        self.link(call);
    }
}

/// Looks for an order that explains `ops` from the value `initial`, in at most `limit` situations.
#[must_use]
pub fn check(initial: u64, ops: &[Op], limit: usize) -> Verdict {
    let mut list = List::of(ops);
    let mut taken = vec![0_u64; ops.len().div_ceil(64)];
    let mut seen: HashSet<(Vec<u64>, u64)> = HashSet::new();
    let mut path: Vec<(usize, u64)> = Vec::new();
    let mut value = initial;
    let mut at = list.0[0].next;
    while list.0[0].next != END {
        if at == END {
            // Every remaining entry was a call that could not be taken; a return stands behind each of them.
            return Verdict::Violated;
        }
        let entry = list.0[at];
        if entry.returns.is_none() {
            // A return of what has not been taken: the last choice was wrong.
            let Some((call, before)) = path.pop() else {
                return Verdict::Violated;
            };
            let op = list.0[call].op;
            taken[op / 64] &= !(1 << (op % 64));
            value = before;
            list.unlift(call);
            at = list.0[call].next;
            continue;
        }
        let op = ops[entry.op];
        let explained = op.returned.is_none_or(|(_, reported)| reported == value);
        if explained {
            let after = op.act.apply(value);
            let mut marked = taken.clone();
            marked[entry.op / 64] |= 1 << (entry.op % 64);
            if seen.len() >= limit {
                return Verdict::Undecided;
            }
            if seen.insert((marked.clone(), after)) {
                path.push((at, value));
                taken = marked;
                value = after;
                list.lift(at);
                at = list.0[0].next;
                continue;
            }
        }
        at = entry.next;
    }
    Verdict::Linearisable
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
