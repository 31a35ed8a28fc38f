//! Who does what next: a pure state machine, driven by threads or by a test.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::hints::Hints;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Waits for so many earlier transactions.
    Waiting(u32),
    /// May be taken.
    Ready,
    /// Only its turn will run it.
    InTurn,
    /// Somebody runs it.
    Running,
    /// It has run; its reads are to be checked.
    Done,
}

/// What the transaction whose turn it is needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// All have had theirs.
    Over,
    /// It has not run; whoever asked runs it now.
    Run(usize),
    /// It has run.
    Check(usize),
    /// Another runs it at this moment.
    Wait,
}

/// Which transactions have run, and in which order the others may.
pub(super) struct Schedule {
    status: Vec<Status>,
    /// For each transaction the first of those that wait for it, in `after`.
    first: Vec<Option<u32>>,
    /// Who waits, and the next in the list.
    after: Vec<(u32, Option<u32>)>,
    ready: BinaryHeap<Reverse<u32>>,
    /// Whose turn it is.
    turn: usize,
    stopped: bool,
}

fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

impl Schedule {
    /// A block with its hints; `held_back` says of which transactions nobody may run ahead.
    pub(super) fn new(hints: &Hints, held_back: &[bool]) -> Self {
        let count = held_back.len();
        let mut waits = vec![0u32; count];
        let mut first = vec![None; count];
        let mut after = Vec::with_capacity(hints.edges.len());
        for (before, later) in &hints.edges {
            let place = u32::try_from(after.len()).ok();
            if let (Some(head), Some(wait)) =
                (first.get_mut(at(*before)), waits.get_mut(at(*later)))
            {
                after.push((*later, *head));
                *head = place;
                *wait = wait.saturating_add(1);
            }
        }
        let mut ready = BinaryHeap::with_capacity(count);
        let status = waits.iter().zip(held_back).enumerate();
        let status = status.map(|(index, (wait, in_turn))| match (*wait, *in_turn) {
            (_, true) => Status::InTurn,
            (0, false) => {
                ready.push(Reverse(u32::try_from(index).unwrap_or(u32::MAX)));
                Status::Ready
            }
            (wait, false) => Status::Waiting(wait),
        });
        Self {
            status: status.collect(),
            first,
            after,
            ready,
            turn: 0,
            stopped: false,
        }
    }

    /// The earliest transaction that may run ahead of its turn; the caller runs it.
    pub(super) fn take(&mut self) -> Option<usize> {
        if self.stopped {
            return None;
        }
        while let Some(Reverse(index)) = self.ready.pop() {
            // One that had its turn meanwhile is still in the heap.
            if let Some(status @ Status::Ready) = self.status.get_mut(at(index)) {
                *status = Status::Running;
                return Some(at(index));
            }
        }
        None
    }

    /// A transaction has run and its writes are published. Says whether that let others move: those
    /// that waited for it, or the one that takes turns.
    pub(super) fn done(&mut self, index: usize) -> bool {
        if let Some(status) = self.status.get_mut(index) {
            *status = Status::Done;
        }
        let mut moved = index == self.turn;
        let mut next = self.first.get_mut(index).and_then(Option::take);
        while let Some(place) = next {
            let Some((waiter, further)) = self.after.get(at(place)).copied() else {
                break;
            };
            if let Some(status) = self.status.get_mut(at(waiter))
                && let Status::Waiting(left) = *status
            {
                *status = if left <= 1 {
                    self.ready.push(Reverse(waiter));
                    moved = true;
                    Status::Ready
                } else {
                    Status::Waiting(left - 1)
                };
            }
            next = further;
        }
        moved
    }

    /// What the transaction whose turn it is needs. [`Turn::Run`] is a promise to run it.
    pub(super) fn turn(&mut self) -> Turn {
        let index = self.turn;
        match self.status.get_mut(index) {
            None => Turn::Over,
            Some(Status::Done) => Turn::Check(index),
            Some(Status::Running) => Turn::Wait,
            Some(status) => {
                *status = Status::Running;
                Turn::Run(index)
            }
        }
    }

    /// The turn goes to the next.
    pub(super) fn pass(&mut self) {
        self.turn = self.turn.saturating_add(1);
    }

    /// Nothing is taken any more.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether nobody need look for work any more.
    pub(super) fn is_over(&self) -> bool {
        self.stopped || self.turn >= self.status.len()
    }
}

/// Whether to try again, after blocks in which running ahead was given up: chains of a kind follow one
/// another, and each try costs a little.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Blocks to let pass before the next try.
    wait: u32,
    /// Tries that failed since the last that did not.
    failures: u32,
}

impl Patience {
    /// Most blocks between tries.
    pub(super) const WAIT_MAX: u32 = 64;

    /// Whether to try it with this block.
    pub(super) fn tries(&mut self) -> bool {
        let now = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        now
    }

    /// How a try went.
    pub(super) fn tried(&mut self, given_up: bool) {
        self.failures = if given_up {
            self.failures.saturating_add(1)
        } else {
            0
        };
        let longer = 1u32.checked_shl(self.failures).unwrap_or(Self::WAIT_MAX);
        self.wait = if given_up {
            longer.min(Self::WAIT_MAX)
        } else {
            0
        };
    }
}

/// Watches whether running ahead pays.
pub(super) struct Density {
    turns: u32,
    in_vain: u32,
    alone: u32,
}

impl Density {
    /// Turns between decisions.
    pub(super) const WINDOW: u32 = 64;
    /// With more of a window in vain, running ahead gains too little: each of them runs at its turn,
    /// where nobody helps, and a run by itself costs more than one within a journal.
    pub(super) const IN_VAIN_MAX: u32 = Self::WINDOW / 2;
    /// With more of a window not run ahead at all, nobody helps.
    pub(super) const ALONE_MAX: u32 = Self::WINDOW * 7 / 8;

    pub(super) const fn new() -> Self {
        Self {
            turns: 0,
            in_vain: 0,
            alone: 0,
        }
    }

    /// Counts a turn: whether the transaction had run ahead, and whether in vain. Says whether the
    /// rest of the block had better run in order.
    pub(super) fn count(&mut self, ran_ahead: bool, in_vain: bool) -> bool {
        self.turns = self.turns.saturating_add(1);
        self.in_vain = self.in_vain.saturating_add(u32::from(in_vain));
        self.alone = self.alone.saturating_add(u32::from(!ran_ahead));
        if self.in_vain > Self::IN_VAIN_MAX || self.alone > Self::ALONE_MAX {
            return true;
        }
        if self.turns >= Self::WINDOW {
            *self = Self::new();
        }
        false
    }
}
