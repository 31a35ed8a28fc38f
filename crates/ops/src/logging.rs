//! Structured logs on standard error.

use std::io::{self, IsTerminal, Write};

use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// Environment variable whose directives replace those of the configuration.
pub const VARIABLE: &str = "HAWSER_LOG";

/// Libraries whose events would drown ours; a directive that names them brings them back.
const QUIET: &str = "arc_malachitebft_core_consensus=warn,arc_malachitebft_core_driver=warn,\
arc_malachitebft_core_state_machine=warn,arc_malachitebft_core_votekeeper=warn,\
informalsystems_malachitebft_core_consensus=warn,rustls=warn,hyper=warn,h2=warn,fjall=warn,\
lsm_tree=warn,tungstenite=warn";

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [`Format::Text`] on a terminal, [`Format::Json`] otherwise.
    Auto,
    /// For people, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The directives are no filter.
    #[error(
        "log level `{directives}` is not understood: {reason}; write for example `info` or \
         `info,hawser_network=debug`"
    )]
    Directives {
        /// As given.
        directives: String,
        /// What the parser says.
        reason: String,
    },
    /// A logger is already there.
    #[error("logging is already set up")]
    Already,
}

/// Standard error, or what stands for it, whose errors are nobody's: a log collector that went away
/// must not stop a node.
struct Lenient<W>(W);

impl<W: Write> Write for Lenient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(match self.0.write(bytes) {
            Ok(written) if written > 0 => written,
            // What cannot be written is dropped.
            Ok(_) | Err(_) => bytes.len(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// The filter that directives make, libraries quieted.
///
/// # Errors
/// [`LoggingError::Directives`].
pub fn filter(directives: &str) -> Result<EnvFilter, LoggingError> {
    // Without the check of words, "inof" would pass as the name of a module.
    let word_is_known = |word: &str| {
        let level = word.rsplit('=').next().unwrap_or(word);
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        LEVELS.contains(&level.to_ascii_lowercase().as_str())
    };
    let refuse = |reason: String| LoggingError::Directives {
        directives: directives.to_owned(),
        reason,
    };
    let words: Vec<_> = directives.split(',').map(str::trim).collect();
    if let Some(word) = words.iter().find(|word| !word_is_known(word)) {
        return Err(refuse(format!("`{word}` names no level")));
    }
    EnvFilter::builder()
        .parse(format!("{QUIET},{}", words.join(",")))
        .map_err(|error| refuse(error.to_string()))
}

/// Checks what [`init`] would be given: the variable [`VARIABLE`] or else `directives`.
///
/// # Errors
/// [`LoggingError::Directives`].
pub fn check(directives: &str) -> Result<(), LoggingError> {
    effective(directives).map(drop)
}

fn effective(directives: &str) -> Result<EnvFilter, LoggingError> {
    let from_variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    filter(from_variable.as_deref().unwrap_or(directives))
}

/// Sets up logging for the process and has panics logged. The variable [`VARIABLE`] overrides
/// `directives`.
///
/// # Errors
/// [`LoggingError`].
pub fn init(directives: &str, format: Format) -> Result<(), LoggingError> {
    let filter = effective(directives)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lenient(io::stderr()))
        // These are written to standard error too, and panic where that is closed.
        .log_internal_errors(false);
    let done = match format {
        Format::Json => builder.json().flatten_event(true).try_init(),
        Format::Auto if !terminal => builder.json().flatten_event(true).try_init(),
        Format::Auto | Format::Text => builder.with_ansi(terminal).try_init(),
    };
    done.map_err(|_| LoggingError::Already)?;
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(panic = %info, "internal error: a task ended abnormally");
        default_hook(info);
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_are_understood_and_typing_errors_refused() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,hawser_network=debug",
            "info, hawser_node=trace",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "inof",
            "info,hawser_network=loud",
            "info,,",
            "=",
            "a=b=c",
        ] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut closed = Lenient(Closed);
        closed.write_all(b"line\n").unwrap();
        closed.flush().unwrap();
        let mut open = Lenient(Vec::new());
        open.write_all(b"line\n").unwrap();
        assert_eq!(open.0, b"line\n");
    }

    #[test]
    fn libraries_stay_quiet_unless_they_are_named() {
        assert!(filter("debug").unwrap().to_string().contains("rustls=warn"));
        let named = filter("debug,rustls=trace").unwrap().to_string();
        assert!(
            named.contains("rustls=trace") && !named.contains("rustls=warn"),
            "{named}"
        );
    }
}
