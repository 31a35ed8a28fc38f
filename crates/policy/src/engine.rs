use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Domain};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    Budget, CompileError, Failure, Limit, Lint, OnExceed,
    compile::{compile, failure},
    facts::Facts,
    fields::Fields,
    heap::{Decided, Value},
    input::Input,
    limits::{CACHE_MAX, VERDICTS_MAX},
    machine::Machine,
    meter::{Eval, Meter, fault},
    program::Program,
};

/// What a script says of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum Verdict {
    /// Nothing against it.
    Allow,
    /// Must not take effect.
    Deny {
        /// Why; at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
    /// Takes effect and is noted for review.
    Flag {
        /// Why.
        reason: String,
    },
    /// Takes effect only if these parties approved it beforehand.
    Cosign {
        /// `role:…`, `org:…` or lower-case addresses; each must have approved by an account of its
        /// own, at most [`PARTIES_MAX`](crate::limits::PARTIES_MAX).
        parties: Vec<String>,
        /// Why.
        reason: String,
    },
}

/// What a run of a script gave. Its canonical encoding is the same on all replicas.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Verdicts other than [`Verdict::Allow`], in the order of the script; none where it allows.
    pub verdicts: Vec<Verdict>,
    /// Why the script came to no verdict. Then there are none above.
    pub failure: Option<Failure>,
    /// Steps used.
    pub steps: u64,
    /// Memory used, in the engine's bytes.
    pub memory: u64,
}

/// A compiled script. Many threads can run it at the same time.
#[derive(Debug)]
pub struct Script {
    id: B256,
    program: Program,
}

impl Script {
    /// Hash of the source in the chain's suite.
    #[must_use]
    pub const fn id(&self) -> B256 {
        self.id
    }

    /// Remarks of the compiler.
    #[must_use]
    pub fn lints(&self) -> &[Lint] {
        &self.program.lints
    }

    /// Names of the functions that are run, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<&str> {
        let functions = &self.program.functions;
        let entries = self.program.entries.iter();
        entries
            .filter_map(|index| functions.get(*index as usize))
            .map(|function| &*function.name)
            .collect()
    }

    /// What a run may use: as the script says with the constants `STEPS` and `MEMORY`, or the
    /// default.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        self.program.budget
    }

    /// What a failure does: as the script says with the constant `ON_EXCEED`, or denial.
    #[must_use]
    pub const fn on_exceed(&self) -> OnExceed {
        self.program.on_exceed
    }

    /// Whether it reads what happened before, so that history has to be kept for it.
    #[must_use]
    pub fn reads_history(&self) -> bool {
        ["history", "first_seen_ms"]
            .iter()
            .any(|field| self.program.fields.has(field))
    }

    /// The facts as this script sees them.
    ///
    /// # Errors
    /// [`Limit`] where the facts themselves are more than a script can be given.
    pub fn input(&self, facts: &Facts) -> Result<Input, Limit> {
        Input::new(facts, self.program.fields)
    }

    pub(crate) const fn fields(&self) -> Fields {
        self.program.fields
    }

    /// Runs the script within a budget. Never fails: what goes wrong is in the report.
    #[must_use]
    pub fn run(&self, input: &Input, budget: Budget) -> Report {
        let run = catch_unwind(AssertUnwindSafe(|| self.run_within(input, budget)));
        run.unwrap_or_else(|_| Report {
            verdicts: Vec::new(),
            failure: Some(Failure::Engine),
            steps: budget.steps,
            memory: 0,
        })
    }

    fn run_within(&self, input: &Input, budget: Budget) -> Report {
        let mut machine = Machine::new(&self.program, &input.heap, Meter::new(budget));
        let mut result = Ok(Vec::new());
        if input.truncated && !self.program.fields.has("truncated") {
            result = Err(Limit::Facts.into());
        }
        for entry in &self.program.entries {
            let Ok(verdicts) = &mut result else { break };
            if let Err(stop) = run_entry(&mut machine, *entry, input.tx, verdicts) {
                result = Err(stop);
            }
        }
        let (verdicts, failed) = match result {
            Ok(verdicts) => (verdicts, None),
            Err(stop) => (Vec::new(), Some(failure(&self.program.source, stop))),
        };
        Report {
            verdicts,
            failure: failed,
            steps: machine.meter.steps_used(),
            memory: machine.meter.memory_used(),
        }
    }
}

/// Runs one function and takes its verdicts: one, a list of them, or `None` for none.
fn run_entry(machine: &mut Machine<'_>, entry: u32, tx: Value, out: &mut Vec<Verdict>) -> Eval<()> {
    let value = machine.call(entry, &[tx], &[])?;
    let values = match value {
        Value::None => Vec::new(),
        Value::Verdict(_) => vec![value],
        Value::List(_) | Value::Tuple(_) => machine.collect(value)?,
        other => return wrong(other),
    };
    for value in values {
        let Value::Verdict(place) = value else {
            return wrong(value);
        };
        out.push(match machine.heaps.verdict(place)?.clone() {
            Decided::Allow => continue,
            Decided::Deny(reason) => Verdict::Deny { reason },
            Decided::Flag(reason) => Verdict::Flag { reason },
            Decided::Cosign(parties, reason) => Verdict::Cosign { parties, reason },
        });
        if out.len() > VERDICTS_MAX {
            return Err(Limit::Output.into());
        }
    }
    Ok(())
}

fn wrong<T>(value: Value) -> Eval<T> {
    fault(format!(
        "a rule returns allow(), deny(…), flag(…), cosign(…) or a list of these, not a {}",
        value.type_name()
    ))
}

type Compiled = Result<Arc<Script>, CompileError>;

/// Compiles scripts and keeps what it compiled, by the hash of the source.
pub struct Engine {
    suite: Suite,
    cache: Mutex<BTreeMap<B256, Compiled>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine for a chain of this suite.
    #[must_use]
    pub const fn new(suite: Suite) -> Self {
        Self {
            suite,
            cache: Mutex::new(BTreeMap::new()),
        }
    }

    /// The chain's suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// A script by its source, compiled at most once while it is kept. Whether it is kept makes no
    /// difference to what it does.
    pub fn script(&self, source: &str) -> Result<Arc<Script>, CompileError> {
        let id = self.suite.hash_domain(Domain::Policy, &[source.as_bytes()]);
        if let Some(known) = self.cache.lock().get(&id) {
            return known.clone();
        }
        let compiled = compile(source).map(|program| Arc::new(Script { id, program }));
        let mut cache = self.cache.lock();
        if cache.len() >= CACHE_MAX {
            // Rules are few; this is met by tools that compile one script after the other.
            cache.clear();
        }
        cache.insert(id, compiled.clone());
        compiled
    }
}
