use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Limit,
    limits::{CALLS_MAX, MEMORY_MAX, STEPS_MAX},
};

/// What one run of a rule may use. The units are the engine's own, so that they do not depend on a
/// machine, an allocator or a compiler.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Steps: one per expression, statement and element worked on, one per 16 bytes of text.
    pub steps: u64,
    /// Bytes: of text, 32 per value kept in a list, tuple or dictionary, and so on.
    pub memory: u64,
    /// Calls of the script's functions within one another.
    pub calls: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: 20_000,
            memory: 256 * 1024,
            calls: 8,
        }
    }
}

impl Budget {
    /// Whether each part is between 1 and its bound.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.steps >= 1
            && self.steps <= STEPS_MAX
            && self.memory >= 1
            && self.memory <= MEMORY_MAX
            && self.calls >= 1
            && self.calls <= CALLS_MAX
    }
}

/// What a script's error says, and where; `u32::MAX` until an expression puts its place in.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) text: String,
    pub(crate) at: u32,
}

/// Why an evaluation stops.
#[derive(Debug)]
pub(crate) enum Stop {
    Limit(Limit),
    Fault(Box<Fault>),
}

impl Stop {
    /// The place of the innermost expression that knows one.
    pub(crate) fn at(mut self, place: u32) -> Self {
        if let Self::Fault(fault) = &mut self
            && fault.at == u32::MAX
        {
            fault.at = place;
        }
        self
    }
}

impl From<Limit> for Stop {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

pub(crate) type Eval<T> = Result<T, Stop>;

/// An error of the script.
#[cold]
pub(crate) fn fault<T>(text: impl Into<String>) -> Eval<T> {
    Err(Stop::Fault(Box::new(Fault {
        text: crate::error::cut(text.into()),
        at: u32::MAX,
    })))
}

/// Counts down what is left of a budget.
#[derive(Debug)]
pub(crate) struct Meter {
    steps: u64,
    memory: u64,
    given: Budget,
}

/// What a value in a list, a tuple, a dictionary or a record costs.
pub(crate) const SLOT_MEMORY: u64 = 32;
/// What a list, a dictionary, a large integer and so on cost above what they hold.
pub(crate) const OBJECT_MEMORY: u64 = 48;

impl Meter {
    pub(crate) const fn new(budget: Budget) -> Self {
        Self {
            steps: budget.steps,
            memory: budget.memory,
            given: budget,
        }
    }

    /// Takes steps.
    #[inline]
    pub(crate) const fn step(&mut self, count: u64) -> Result<(), Limit> {
        match self.steps.checked_sub(count) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(Limit::Steps)
            }
        }
    }

    /// Takes steps for reading or writing so many bytes of text.
    #[inline]
    pub(crate) const fn text(&mut self, bytes: usize) -> Result<(), Limit> {
        self.step(bytes as u64 / 16)
    }

    /// Takes memory. Nothing is given back: a run is short.
    #[inline]
    pub(crate) const fn memory(&mut self, bytes: u64) -> Result<(), Limit> {
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => {
                self.memory = 0;
                Err(Limit::Memory)
            }
        }
    }

    /// Takes memory and steps for so many values in a new or growing list, tuple or dictionary.
    #[inline]
    pub(crate) const fn slots(&mut self, count: usize) -> Result<(), Limit> {
        if let Err(limit) = self.step(count as u64) {
            return Err(limit);
        }
        self.memory((count as u64).saturating_mul(SLOT_MEMORY))
    }

    pub(crate) const fn steps_used(&self) -> u64 {
        self.given.steps.saturating_sub(self.steps)
    }

    pub(crate) const fn memory_used(&self) -> u64 {
        self.given.memory.saturating_sub(self.memory)
    }

    pub(crate) const fn calls(&self) -> u32 {
        self.given.calls
    }
}
