//! One file per command.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cert;
pub(crate) mod chain;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod contract;
pub(crate) mod db;
pub(crate) mod debug;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod evidence;
pub(crate) mod evm;
pub(crate) mod gov;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod node;
pub(crate) mod policy;
pub(crate) mod proxy;
pub(crate) mod snapshot;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod storage;
pub(crate) mod tx;
pub(crate) mod up;
pub(crate) mod upgrade;

use std::future::Future;

use crate::cli::{Cli, Command};
use crate::exit::{Code, Failure, OrFail, Result};
use crate::lang::Lang;

/// Carries out what the command line asks for.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let (output, lang) = (cli.global.output, Lang::choose(cli.global.lang));
    lang.set_current();
    match cli.command {
        Command::Up(args) => block_on(up::run(&args, output, lang)),
        Command::Down(args) => block_on(down::run(&args, output, lang)),
        Command::Status(args) => block_on(status::run(&args, output, lang)),
        Command::Init(args) => init::run(&args, output, lang),
        Command::Start(args) => start::run(&args),
        Command::Config(command) => config::run(&command, output),
        Command::Keys(command) => keys::run(&command, output, lang),
        Command::Cert(command) => block_on(cert::run(&command, output, lang)),
        Command::Chain(command) => block_on(chain::run(&command, output)),
        Command::Tx(command) => block_on(tx::run(&command, output, lang)),
        Command::Contract(command) => block_on(contract::run(&command, output)),
        Command::Evidence(command) => block_on(evidence::run(&command, output)),
        Command::Node(command) => block_on(node::run(&command, output, lang)),
        Command::Gov(command) => block_on(gov::run(&command, output, lang)),
        Command::Policy(command) => block_on(policy::run(&command, output, lang)),
        Command::Storage(command) => storage::run(&command, output, lang),
        Command::Snapshot(command) => snapshot::run(&command, output, lang),
        Command::Backup(command) => backup::run(&command, output, lang),
        Command::Db(command) => db::run(&command, output, lang),
        Command::Debug(command) => debug::run(&command, output, lang),
        Command::Doctor(args) => block_on(doctor::run(&args, output, lang)),
        Command::Upgrade(command) => block_on(upgrade::run(&command, output, lang)),
        Command::Bench(args) => bench(*args, lang),
        Command::Login(args) => block_on(login::run(&args, output, lang)),
        Command::Proxy(args) => block_on(proxy::run(&args, output, lang)),
        Command::Audit(command) => audit::run(&command, output, lang),
        Command::Evm(command) => evm::run(&command),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Measures with this very binary. Signing takes all cores.
fn bench(args: hawser_bench::BenchArgs, lang: Lang) -> Result<()> {
    let language = match lang {
        Lang::En => hawser_bench::Language::En,
        Lang::Zh => hawser_bench::Language::Zh,
    };
    let binary = std::env::current_exe().context(Code::Failed, "cannot find this binary")?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context(Code::Failed, "cannot start threads")?
        .block_on(hawser_bench::run(args, binary, language))
        .map_err(|error| {
            let code = match error {
                hawser_bench::BenchError::Usage(_) => Code::Usage,
                _ => Code::Failed,
            };
            Failure::new(code, error)
        })
}

/// Runs a tool's requests on this thread.
fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(Code::Failed, "cannot start")?
        .block_on(work)
}
