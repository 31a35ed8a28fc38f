use std::fmt::Write;

use serde::Serialize;

/// Whether a node can serve clients, and what it waits for if not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether requests should be sent to it.
    pub ready: bool,
    /// What it waits for, in words that say what to do; may also hold remarks of a ready node.
    pub reasons: Vec<String>,
    /// The same in Chinese, where there are such words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons_zh: Vec<String>,
}

impl Readiness {
    /// Ready, with nothing to remark.
    #[must_use]
    pub const fn ready() -> Self {
        Self {
            ready: true,
            reasons: Vec::new(),
            reasons_zh: Vec::new(),
        }
    }

    /// Not ready, for these reasons.
    #[must_use]
    pub const fn waiting(reasons: Vec<String>) -> Self {
        Self {
            ready: false,
            reasons,
            reasons_zh: Vec::new(),
        }
    }

    /// The HTTP status of `/readyz`.
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.ready { 200 } else { 503 }
    }

    /// The body of `/readyz`: one word, or with `verbose` a line per reason too, in Chinese where that is
    /// asked for and known.
    #[must_use]
    pub fn text(&self, verbose: bool, chinese: bool) -> String {
        let mut out = String::from(if self.ready { "ready\n" } else { "not ready\n" });
        if verbose {
            let chinese = chinese && self.reasons_zh.len() == self.reasons.len();
            let reasons = if chinese {
                &self.reasons_zh
            } else {
                &self.reasons
            };
            for reason in reasons {
                let _ = writeln!(out, "- {reason}");
            }
        }
        out
    }
}
