//! `hawser completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{Code, OrFail, Result};
use crate::output;

/// Arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser completions bash > /etc/bash_completion.d/hawser")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hawser", &mut text);
    output::line(&String::from_utf8(text).or_fail(Code::Failed)?)
}
