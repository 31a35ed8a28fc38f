//! Offline tests of a rule: facts and what the rule has to say of them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Budget, Limit, Report, Script, Verdict,
    facts::Facts,
    input::Input,
    limits::{CASES_BYTES_MAX, CASES_MAX},
};

/// A file of cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The cases.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What the rule has to say.
    pub expect: Expect,
    /// A part of the reason that it has to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The transaction; what is left out is empty or zero.
    #[serde(default)]
    pub tx: Facts,
}

/// What a rule says, in a word: the first of these that applies, in the order deny, cosign, flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Nothing.
    Allow,
    /// Denied.
    Deny,
    /// Flagged.
    Flag,
    /// Co-signatures asked for.
    Cosign,
    /// The script is wrong.
    Error,
    /// The script ran into a bound.
    Exceeded,
}

impl Expect {
    /// The word in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Flag => "flag",
            Self::Cosign => "cosign",
            Self::Error => "error",
            Self::Exceeded => "exceeded",
        }
    }

    /// The word for what a run gave, and its reason.
    #[must_use]
    pub fn of(report: &Report) -> (Self, String) {
        if let Some(failure) = &report.failure {
            let word = match failure {
                crate::Failure::Exceeded { .. } => Self::Exceeded,
                _ => Self::Error,
            };
            return (word, failure.to_string());
        }
        let mut best = (Self::Allow, String::new());
        let rank = |word| match word {
            Self::Deny => 3,
            Self::Cosign => 2,
            Self::Flag => 1,
            _ => 0,
        };
        for verdict in &report.verdicts {
            let (word, reason) = match verdict {
                Verdict::Allow => continue,
                Verdict::Deny { reason } => (Self::Deny, reason.clone()),
                Verdict::Flag { reason } => (Self::Flag, reason.clone()),
                Verdict::Cosign { parties, reason } => {
                    (Self::Cosign, format!("{reason} ({})", parties.join(", ")))
                }
            };
            if rank(word) > rank(best.0) {
                best = (word, reason);
            }
        }
        best
    }
}

/// Why a file of cases cannot be used.
#[derive(Debug, Error)]
pub enum CasesError {
    /// Too long.
    #[error("{0} bytes; a file of cases has at most {CASES_BYTES_MAX}")]
    Bytes(usize),
    /// Too many.
    #[error("{0} cases; a file has at most {CASES_MAX}")]
    Count(usize),
    /// None.
    #[error("no cases; write at least one [[case]]")]
    Empty,
    /// Not TOML of this form.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Not JSON of this form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Cases {
    /// Reads a file: JSON where it begins with a brace, TOML otherwise.
    pub fn parse(text: &str) -> Result<Self, CasesError> {
        if text.len() > CASES_BYTES_MAX {
            return Err(CasesError::Bytes(text.len()));
        }
        let cases: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)?
        } else {
            toml::from_str(text)?
        };
        match cases.cases.len() {
            0 => Err(CasesError::Empty),
            count if count > CASES_MAX => Err(CasesError::Count(count)),
            _ => Ok(cases),
        }
    }
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// What it expects.
    pub expected: Expect,
    /// The part of the reason that it expects.
    pub expected_reason: Option<String>,
    /// What the rule said.
    pub found: Expect,
    /// Why.
    pub reason: String,
    /// Whether both are the same.
    pub pass: bool,
    /// The whole report.
    pub report: Report,
}

impl Case {
    /// Runs the rule on the case.
    #[must_use]
    pub fn run(&self, script: &Script, budget: Budget) -> CaseResult {
        let report = match Input::new(&self.tx, script.fields()) {
            Ok(input) => script.run(&input, budget),
            Err(limit) => exceeded(limit),
        };
        let (found, reason) = Expect::of(&report);
        let said = self
            .reason
            .as_ref()
            .is_none_or(|part| reason.contains(part.as_str()));
        CaseResult {
            name: self.name.clone(),
            expected: self.expect,
            expected_reason: self.reason.clone(),
            found,
            pass: found == self.expect && said,
            reason,
            report,
        }
    }
}

fn exceeded(limit: Limit) -> Report {
    Report {
        verdicts: Vec::new(),
        failure: Some(crate::Failure::Exceeded { limit }),
        steps: 0,
        memory: 0,
    }
}
