use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{
    BRACKETS_MAX, CALLS_MAX, ELEMENTS_MAX, ELIF_MAX, ERROR_BYTES_MAX, EXPRESSION_DEPTH_MAX,
    FREE_STEPS, INDENT_MAX, INTEGER_BITS_MAX, MEMORY_MAX, REASON_BYTES_MAX, RULE_NAME_MAX,
    RULES_MAX, RULES_STEPS_MAX, SOURCE_BYTES_MAX, STEPS_MAX, STRING_BYTES_MAX, WORD_BYTES_MAX,
};

/// A bound that a script ran into.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Error,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Limit {
    /// The rule's steps.
    #[error("the rule used up its steps; simplify it or give it more")]
    Steps = 1,
    /// The rule's memory.
    #[error("the rule used up its memory; build fewer values or give it more")]
    Memory = 2,
    /// The rule's calls within calls, or the depth of evaluation.
    #[error("calls or expressions are nested too deeply; avoid recursion")]
    Depth = 3,
    /// An integer of more than [`INTEGER_BITS_MAX`] bits.
    #[error("an integer exceeds {INTEGER_BITS_MAX} bits")]
    Integer = 4,
    /// A string of more than [`STRING_BYTES_MAX`] bytes.
    #[error("a string exceeds {STRING_BYTES_MAX} bytes")]
    String = 5,
    /// A list, tuple or dictionary of more than [`ELEMENTS_MAX`] elements.
    #[error("a list, tuple or dictionary exceeds {ELEMENTS_MAX} elements")]
    Elements = 6,
    /// A value within a value within a value and so on, or one that contains itself.
    #[error("a value is nested too deeply or contains itself")]
    Nesting = 7,
    /// Too many verdicts, or one with too long a reason or too many parties.
    #[error("a verdict is too long; a reason has at most {REASON_BYTES_MAX} bytes")]
    Output = 8,
    /// The steps of all rules on this transaction.
    #[error("the rules used up the transaction's steps, {FREE_STEPS} and one per gas")]
    Transaction = 9,
    /// The transaction has more calls, transfers or events than the facts hold, and the script does
    /// not look at `tx.truncated`.
    #[error("the transaction has more to check than the facts hold; read tx.truncated to decide")]
    Facts = 10,
}

/// Where in a script. Lines and columns count from 1, columns in characters.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a script did not come to a verdict. Identical on all replicas.
#[derive(
    Clone, Debug, PartialEq, Eq, Error, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Failure {
    /// It ran into a bound.
    #[error("{limit}")]
    Exceeded {
        /// Which.
        limit: Limit,
    },
    /// It is wrong: a type, a missing key, `fail(…)`.
    #[error("{place}: {text}")]
    Error {
        /// In the script's words or the engine's, at most [`ERROR_BYTES_MAX`] bytes.
        text: String,
        /// Where.
        place: Place,
    },
    /// It does not compile. Governance refuses such scripts, so this is met in old state only.
    #[error("the script does not compile: {text}")]
    Script {
        /// The compiler's words.
        text: String,
    },
    /// The engine itself failed.
    #[error("the policy engine failed on this script; report it")]
    Engine,
}

/// Why a script is refused before it runs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// Longer than [`SOURCE_BYTES_MAX`].
    #[error("{0} bytes; a script has at most {SOURCE_BYTES_MAX}")]
    Source(usize),
    /// Nested too deeply to be parsed safely.
    #[error(
        "{place}: too much in one expression or block; at most {EXPRESSION_DEPTH_MAX} levels, {BRACKETS_MAX} brackets, {INDENT_MAX} levels of indentation, {ELIF_MAX} elif and {WORD_BYTES_MAX} bytes per word; split it"
    )]
    Nesting {
        /// Where.
        place: Place,
    },
    /// No Starlark.
    #[error("{place}: {text}")]
    Syntax {
        /// The parser's words.
        text: String,
        /// Where.
        place: Place,
    },
    /// Starlark, but not of this dialect.
    #[error("{place}: {text}")]
    Dialect {
        /// What is not allowed, and what to do instead.
        text: String,
        /// Where.
        place: Place,
    },
    /// No function to run.
    #[error("no function `check(tx)`; a script has `check` or functions that begin with `check_`")]
    NoEntry,
    /// The constants cannot be computed.
    #[error("the constants of the script: {0}")]
    Constants(Failure),
}

impl CompileError {
    /// Where, if it is anywhere.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        match self {
            Self::Nesting { place } | Self::Syntax { place, .. } | Self::Dialect { place, .. } => {
                Some(*place)
            }
            Self::Constants(Failure::Error { place, .. }) => Some(*place),
            _ => None,
        }
    }
}

/// Why rules cannot stand together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleSetError {
    /// Too many.
    #[error("{0} rules; a set has at most {RULES_MAX}")]
    Count(usize),
    /// A name that is empty, too long, or has other characters than a–z, 0–9, `-`, `_` and `.`.
    #[error("rule name {0:?}: 1 to {RULE_NAME_MAX} characters of a-z, 0-9, '-', '_' and '.'")]
    Name(String),
    /// Two of one name.
    #[error("two rules are named {0}; a new version replaces the old one")]
    Duplicate(String),
    /// A budget of nothing or of too much.
    #[error(
        "rule {0}: budget out of bounds; steps 1 to {STEPS_MAX}, memory 1 to {MEMORY_MAX}, calls 1 to {CALLS_MAX}"
    )]
    Budget(String),
    /// All budgets together.
    #[error("the rules may use {0} steps together; at most {RULES_STEPS_MAX}: lower their budgets")]
    Steps(u64),
    /// A script that does not compile.
    #[error("rule {name}: {error}")]
    Script {
        /// The rule.
        name: String,
        /// What is wrong with it.
        error: CompileError,
    },
}

/// Cuts a text to [`ERROR_BYTES_MAX`] at a character's boundary.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > ERROR_BYTES_MAX {
        let mut end = ERROR_BYTES_MAX.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
