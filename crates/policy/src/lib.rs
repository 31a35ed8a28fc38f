//! Rules of supervision as Starlark scripts.
//!
//! For: compiling a rule ([`Engine::script`]), running it on the [facts](facts::Facts) of an
//! executed transaction within a [budget](Budget), and coming to one [judgement](Judgement) over
//! all rules in force ([`RuleSet::judge`]); keeping the [history](History) that rules read.
//! Not for: knowing where rules are kept, executing transactions, or carrying a judgement out.
//!
//! The language is a part of Starlark with a parser and an evaluator of our own, because replicas
//! have to agree on what a run costs as well as on what it says: see `docs/spec/policy.md`.
//!
//! Entry types: [`Engine`], [`RuleSet`].
//!
//! Invariants: a report is a function of script, facts and budget alone; every operation is charged
//! before it is carried out; a run never panics, blocks or reaches anything outside itself.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod amount;
mod builtins;
mod cases;
mod compile;
mod engine;
mod error;
pub mod facts;
mod fields;
mod heap;
mod history;
mod input;
pub mod limits;
mod machine;
mod meter;
mod parties;
mod program;
mod rules;
mod syntax;

pub use cases::{Case, CaseResult, Cases, CasesError, Expect};
pub use compile::{Lint, LintKind, check as check_script};
pub use engine::{Engine, Report, Script, Verdict};
pub use error::{CompileError, Failure, Limit, Place, RuleSetError};
pub use history::{Found, History, Slots, Subject, tokens};
pub use input::Input;
pub use meter::Budget;
pub use parties::{is_party, missing};
pub use rules::{Allowance, Denial, Finding, Judgement, Mode, OnExceed, Rule, RuleSet, Said};
