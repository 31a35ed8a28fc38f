//! The one binary: nodes, local networks and tools. Composes the crates and decides nothing.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod acts;
mod cli;
mod client;
mod commands;
mod datafolder;
mod exit;
mod files;
mod identity;
mod keyfile;
mod lang;
mod local;
mod output;
mod passphrase;
mod progress;
mod quantity;
mod reader;
mod send;
mod shelves;
mod tiering;
mod time;
mod timeline;
mod tls;
mod values;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

use cli::{Cli, Command};
use output::Output;

/// The system's keeps for good what a node took while it caught up: `docs/adr/0015-allocator.md`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

// A program that can break its own safety rules must not exist.
const _: () = assert!(
    !hawser_ledger::mutants::MUTANTS,
    "hawser-ledger is built with the feature `mutants`, which is for simulation/tests/mutants.rs only"
);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.global.output;
    let is_logged = matches!(&cli.command, Command::Start(args) if args.is_detached());
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut text = match output {
                Output::Table if is_logged => format!("{} error: {failure}", time::now()),
                Output::Table => format!("error: {failure}"),
                Output::Json => {
                    let value = serde_json::json!({
                        "error": { "code": failure.code as u8, "message": failure.message }
                    });
                    value.to_string()
                }
            };
            text.push('\n');
            // The code tells it too, where nobody reads standard error.
            let _ = std::io::stderr().write_all(text.as_bytes());
            failure.exit_code()
        }
    }
}
