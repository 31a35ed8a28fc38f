use std::{collections::BTreeSet, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Budget, Engine, Failure, Limit, RuleSetError, Script, Verdict,
    facts::Facts,
    fields::Fields,
    input::Input,
    limits::{FREE_STEPS, RULE_NAME_MAX, RULES_MAX, RULES_STEPS_MAX},
    parties::missing,
};

/// Whether a rule's verdicts count.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Mode {
    /// Verdicts are recorded and change nothing.
    Shadow = 0,
    /// Verdicts are applied.
    Active = 1,
}

/// What happens to a transaction on which a rule fails: it ran into a bound or is wrong.
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
#[borsh(use_discriminant = true)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum OnExceed {
    /// Denied, with the failure as the reason.
    #[default]
    Deny = 0,
    /// Flagged, with the failure as the reason.
    Flag = 1,
}

/// A rule of supervision, as governance keeps it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Unique among the rules: 1 to 64 characters of a–z, 0–9, `-`, `_` and `.`.
    pub name: String,
    /// Counts up with every change of the rule.
    pub version: u32,
    /// Starlark source.
    pub script: String,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What a run may use.
    #[serde(default)]
    pub budget: Budget,
    /// What a failure does to the transaction.
    #[serde(default)]
    pub on_exceed: OnExceed,
    /// Lower ones run first; equal ones in the order of their names.
    #[serde(default)]
    pub order: u32,
}

impl Rule {
    /// A rule with the budget and the outcome of failures that its script asks for.
    #[must_use]
    pub fn of_script(engine: &Engine, name: String, version: u32, script: String) -> Self {
        let compiled = engine.script(&script).ok();
        let compiled = compiled.as_deref();
        Self {
            name,
            version,
            mode: Mode::Active,
            budget: compiled.map_or_else(Budget::default, Script::budget),
            on_exceed: compiled.map_or(OnExceed::Deny, Script::on_exceed),
            order: 0,
            script,
        }
    }
}

/// What a finding says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Said {
    /// The script's verdict.
    Verdict(Verdict),
    /// It came to none.
    Failed {
        /// Why.
        failure: Failure,
        /// What the rule does then.
        outcome: OnExceed,
    },
}

/// What a rule said, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the rule.
    pub rule: String,
    /// Its version.
    pub version: u32,
    /// Whether it counted.
    pub mode: Mode,
    /// What it said.
    pub said: Said,
}

impl Finding {
    /// Whether this flags the transaction.
    #[must_use]
    pub const fn flags(&self) -> bool {
        matches!(
            &self.said,
            Said::Verdict(Verdict::Flag { .. })
                | Said::Failed {
                    outcome: OnExceed::Flag,
                    ..
                }
        )
    }

    /// The reason in words.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.said {
            Said::Verdict(Verdict::Allow) => String::new(),
            Said::Verdict(
                Verdict::Deny { reason }
                | Verdict::Flag { reason }
                | Verdict::Cosign { reason, .. },
            ) => reason.clone(),
            Said::Failed { failure, .. } => failure.to_string(),
        }
    }
}

/// Why a transaction is refused.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// The rule that decided.
    pub rule: String,
    /// Its version.
    pub version: u32,
    /// Why, in words.
    pub reason: String,
}

/// What the rules say of a transaction. Its canonical encoding is the same on all replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// Why the transaction must not take effect; none where it may.
    pub denial: Option<Denial>,
    /// What active rules said up to the one that decided, in order.
    pub findings: Vec<Finding>,
    /// What shadow rules said. They run after the active ones and change nothing.
    pub shadow: Vec<Finding>,
    /// Steps of all runs.
    pub steps: u64,
}

impl Judgement {
    /// How many flags active rules raised.
    #[must_use]
    pub fn flags(&self) -> u64 {
        self.findings.iter().filter(|found| found.flags()).count() as u64
    }
}

/// Steps that are left for all rules on a transaction: [`FREE_STEPS`] and one per gas that it used.
/// As a block bounds gas, it bounds what rules add to its time, whatever the rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance(u64);

impl Allowance {
    /// Of a transaction that used so much gas.
    #[must_use]
    pub const fn of_gas(gas_used: u64) -> Self {
        Self(FREE_STEPS.saturating_add(gas_used))
    }

    /// Steps left.
    #[must_use]
    pub const fn left(self) -> u64 {
        self.0
    }
}

/// Rules that are in force together, compiled and in order.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<(Rule, Result<Arc<Script>, Failure>)>,
    fields: Fields,
    reads_history: bool,
}

impl RuleSet {
    /// Checks rules and compiles them. What governance accepts has passed this.
    pub fn new(engine: &Engine, rules: Vec<Rule>) -> Result<Self, RuleSetError> {
        check(&rules)?;
        let set = Self::load(engine, rules);
        for (rule, script) in &set.rules {
            if script.is_err()
                && let Err(error) = engine.script(&rule.script)
            {
                let name = rule.name.clone();
                return Err(RuleSetError::Script { name, error });
            }
        }
        Ok(set)
    }

    /// Compiles rules that have been accepted before. A script that does not compile any more, as
    /// after a change of protocol version, fails at every transaction, with its defined outcome.
    #[must_use]
    pub fn load(engine: &Engine, mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        let mut set = Self {
            rules: Vec::with_capacity(rules.len()),
            fields: Fields::default(),
            reads_history: false,
        };
        for rule in rules {
            let script = engine.script(&rule.script);
            if let Ok(script) = &script {
                set.fields = set.fields.and(script.fields());
                set.reads_history |= script.reads_history();
            }
            let script = script.map_err(|error| Failure::Script {
                text: crate::error::cut(error.to_string()),
            });
            set.rules.push((rule, script));
        }
        set
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule reads history, so that it has to be kept.
    #[must_use]
    pub const fn reads_history(&self) -> bool {
        self.reads_history
    }

    /// The rules in the order in which they run.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|(rule, _)| rule)
    }

    /// What the rules say of a transaction. Active rules run in order until one denies; then the
    /// shadow rules run. Cannot fail and cannot take more than the budgets allow.
    pub fn judge(&self, facts: &Facts) -> Judgement {
        let mut allowance = Allowance::of_gas(facts.gas_used);
        let mut judgement = Judgement::default();
        if self.rules.is_empty() {
            return judgement;
        }
        let input = Input::new(facts, self.fields);
        for (rule, script) in self.of(Mode::Active) {
            let said = run(
                rule,
                script,
                input.as_ref(),
                &mut allowance,
                &mut judgement.steps,
            );
            for said in said {
                judgement.denial = denial(rule, &said, facts);
                judgement.findings.push(finding(rule, said));
                if judgement.denial.is_some() {
                    break;
                }
            }
            if judgement.denial.is_some() {
                break;
            }
        }
        for (rule, script) in self.of(Mode::Shadow) {
            let said = run(
                rule,
                script,
                input.as_ref(),
                &mut allowance,
                &mut judgement.steps,
            );
            let said = said.into_iter().map(|said| finding(rule, said));
            judgement.shadow.extend(said);
        }
        judgement
    }

    fn of(&self, mode: Mode) -> impl Iterator<Item = &(Rule, Result<Arc<Script>, Failure>)> {
        self.rules.iter().filter(move |(rule, _)| rule.mode == mode)
    }
}

/// Checks what is said of each rule's fields, and the sum of their budgets.
fn check(rules: &[Rule]) -> Result<(), RuleSetError> {
    if rules.len() > RULES_MAX {
        return Err(RuleSetError::Count(rules.len()));
    }
    let mut names = BTreeSet::new();
    let mut steps = 0u64;
    for rule in rules {
        let good = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        };
        if rule.name.is_empty() || rule.name.len() > RULE_NAME_MAX || !rule.name.bytes().all(good) {
            return Err(RuleSetError::Name(rule.name.clone()));
        }
        if !names.insert(&rule.name) {
            return Err(RuleSetError::Duplicate(rule.name.clone()));
        }
        if !rule.budget.is_valid() {
            return Err(RuleSetError::Budget(rule.name.clone()));
        }
        steps = steps.saturating_add(rule.budget.steps);
    }
    if steps > RULES_STEPS_MAX {
        return Err(RuleSetError::Steps(steps));
    }
    Ok(())
}

/// What one rule says.
fn run(
    rule: &Rule,
    script: &Result<Arc<Script>, Failure>,
    input: Result<&Input, &Limit>,
    allowance: &mut Allowance,
    steps: &mut u64,
) -> Vec<Said> {
    let report = match (script, input) {
        (Err(failure), _) => Err(failure.clone()),
        (_, Err(limit)) => Err(Failure::Exceeded { limit: *limit }),
        (Ok(script), Ok(input)) => {
            let mut budget = rule.budget;
            let short = allowance.0 < budget.steps;
            budget.steps = budget.steps.min(allowance.0);
            let report = script.run(input, budget);
            allowance.0 = allowance.0.saturating_sub(report.steps);
            *steps = steps.saturating_add(report.steps);
            match report.failure {
                Some(Failure::Exceeded {
                    limit: Limit::Steps,
                }) if short => Err(Failure::Exceeded {
                    limit: Limit::Transaction,
                }),
                Some(failure) => Err(failure),
                None => Ok(report.verdicts),
            }
        }
    };
    match report {
        Ok(verdicts) => verdicts.into_iter().map(Said::Verdict).collect(),
        Err(failure) => vec![Said::Failed {
            failure,
            outcome: rule.on_exceed,
        }],
    }
}

fn finding(rule: &Rule, said: Said) -> Finding {
    Finding {
        rule: rule.name.clone(),
        version: rule.version,
        mode: rule.mode,
        said,
    }
}

/// Why what a rule said refuses the transaction, if it does.
fn denial(rule: &Rule, said: &Said, facts: &Facts) -> Option<Denial> {
    let reason = match said {
        Said::Verdict(Verdict::Deny { reason }) => reason.clone(),
        Said::Verdict(Verdict::Cosign { parties, reason }) => {
            let missing = missing(parties, &facts.approvals, &facts.sender);
            if missing.is_empty() {
                return None;
            }
            format!("{reason}: co-signature needed of {}", missing.join(", "))
        }
        Said::Failed {
            failure,
            outcome: OnExceed::Deny,
        } => failure.to_string(),
        _ => return None,
    };
    Some(Denial {
        rule: rule.name.clone(),
        version: rule.version,
        reason,
    })
}
