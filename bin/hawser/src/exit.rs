//! How the program ends.

use std::fmt;
use std::process::ExitCode;

/// The exit code of a failure. Scripts depend on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Something went wrong that has no number of its own.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A configuration, genesis or key file is wrong.
    Config = 3,
    /// No node answers.
    Unreachable = 4,
    /// What was asked for is not there, or a check failed.
    NotFound = 5,
    /// It took too long.
    Timeout = 6,
    /// The node refused, or the transaction failed.
    Refused = 7,
}

/// The codes in words, for the help.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  success
  1  failure without a code of its own
  2  wrong command line
  3  wrong configuration, genesis or key file
  4  no node answers at the address
  5  not found, or a verification failed
  6  timed out
  7  refused by the node, or the transaction failed";

/// A failure: what people read, and how the program ends.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// The result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Turns any error into a failure with a code and, if needed, words in front.
pub(crate) trait OrFail<T> {
    /// The error's own words under this code.
    fn or_fail(self, code: Code) -> Result<T>;
    /// `context: error`, under this code.
    fn context(self, code: Code, context: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, code: Code) -> Result<T> {
        self.map_err(|error| Failure::new(code, error))
    }

    fn context(self, code: Code, context: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::new(code, format!("{context}: {error}")))
    }
}

/// A failure with this code and message.
pub(crate) fn fail<T>(code: Code, message: impl fmt::Display) -> Result<T> {
    Err(Failure::new(code, message))
}
