//! `hawser evm`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hawser_execution::statetest;

use crate::exit::{Code, OrFail, Result, fail};
use crate::{files, output};

/// Commands of `evm`.
#[derive(Subcommand, Debug)]
pub(crate) enum EvmCommand {
    /// Run state test files through the node's execution path; one JSON object per case
    Statetest(StatetestArgs),
}

/// Arguments of `evm statetest`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser evm statetest GeneralStateTests/stExample/add11.json

Prints one JSON object per case with name, fork, index, pass, stateRoot, logsHash and error, and
ends with 5 when a case does not pass. Forks before Cancun are left out.")]
pub(crate) struct StatetestArgs {
    /// Test files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(command: &EvmCommand) -> Result<()> {
    let EvmCommand::Statetest(args) = command;
    let mut failed = 0usize;
    for path in &args.files {
        failed = failed.saturating_add(run_file(path)?);
    }
    if failed > 0 {
        let text = match failed {
            1 => "1 case does not pass".to_owned(),
            failed => format!("{failed} cases do not pass"),
        };
        return fail(Code::NotFound, text);
    }
    Ok(())
}

fn run_file(path: &Path) -> Result<usize> {
    let text = files::read_text(path, statetest::FILE_BYTES_MAX as u64)?;
    let rows = statetest::run_json(&text).context(Code::Config, path.display())?;
    for row in &rows {
        output::line(&serde_json::to_string(row).or_fail(Code::Failed)?)?;
    }
    Ok(rows.iter().filter(|row| !row.pass).count())
}
