use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file; line and column count from 1.
    File {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, without dashes.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// The file is no TOML; includes keys that appear twice.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Source,
        /// What the parser says.
        reason: String,
    },
    /// No such key.
    #[error("{at}: unknown key `{key}`{}{}", within(section), hint(nearest))]
    UnknownKey {
        /// Where.
        at: Source,
        /// The key as given.
        key: String,
        /// The section that it stands in, where a file gives it.
        section: Option<String>,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of another type.
    #[error("{at}: `{key}` must be {expected}, not {found}")]
    WrongType {
        /// Where.
        at: Source,
        /// The key.
        key: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A value outside its range.
    #[error("{at}: `{key}` is {found}; it must be {range}")]
    OutOfRange {
        /// Where.
        at: Source,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What is accepted.
        range: String,
    },
    /// A field that has to be there is not.
    #[error("{at}: `{key}` lacks the field `{field}`")]
    MissingField {
        /// Where.
        at: Source,
        /// The list that the table is in.
        key: String,
        /// The missing field.
        field: String,
    },
}

impl Problem {
    /// Line and column of a problem in the file.
    pub(super) fn position(&self) -> (usize, usize) {
        match self {
            Self::Syntax { at, .. }
            | Self::UnknownKey { at, .. }
            | Self::WrongType { at, .. }
            | Self::OutOfRange { at, .. }
            | Self::MissingField { at, .. } => match at {
                Source::File { line, column, .. } => (*line, *column),
                _ => (0, 0),
            },
            Self::Read { .. } => (0, 0),
        }
    }
}

fn within(section: &Option<String>) -> String {
    section
        .as_ref()
        .map_or_else(String::new, |section| format!(" in [{section}]"))
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; `hawser config keys` lists all".to_owned(),
    }
}

/// Everything that is wrong with a configuration, at least one problem.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ConfigError {
    /// The problems in the order of the file, then environment, then flags.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}
