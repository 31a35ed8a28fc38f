//! The command line as a whole.

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    audit, backup, cert, chain, completions, config, contract, db, debug, doctor, down, evidence,
    evm, gov, init, keys, login, node, policy, proxy, snapshot, start, status, storage, tx, up,
    upgrade,
};
use crate::exit;
use crate::lang::Lang;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  hawser up                            start a local network of four validators
  hawser status                        how its nodes are doing
  hawser evidence put report.pdf --from test
  hawser contract call 0x… 'balanceOf(address)(uint256)' 0x…
  hawser down                          stop the network; `up` resumes it";

/// A permissioned blockchain: one binary for nodes, networks and tools.
#[derive(Parser, Debug)]
#[command(name = "hawser", version, about, after_help = format!("{EXAMPLES}\n\n{}", exit::TABLE),
    disable_help_subcommand = true, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Global {
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    pub(crate) output: Output,
    /// Language of messages; default: that of LC_ALL, LC_MESSAGES or LANG
    #[arg(long, global = true, value_enum, help_heading = "Output")]
    pub(crate) lang: Option<Lang>,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Start a local network, made first if there is none
    Up(up::UpArgs),
    /// Stop the local network
    Down(down::DownArgs),
    /// Show how the nodes of the local network are doing
    Status(status::StatusArgs),
    /// Write the folders of a network: genesis, node configurations, keys
    Init(init::InitArgs),
    /// Run one node in the foreground
    Start(Box<start::StartArgs>),
    /// Check a node's configuration, or list its keys
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make, import, export and list keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Run an organisation's certificate authority; request, inspect and check certificates
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Ask a node about its chain
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Send transactions
    #[command(subcommand)]
    Tx(tx::TxCommand),
    /// Deploy and use contracts
    #[command(subcommand)]
    Contract(contract::ContractCommand),
    /// Register files as evidence, look them up, prove them
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Invite, join, admit and remove nodes
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Organisations, permissions, proposals, freezes, the audit trail
    #[command(subcommand)]
    Gov(gov::GovCommand),
    /// Check and test rules of supervision
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print a short-lived token that reads on a chain whose reads are signed, for the web console
    Login(Box<login::LoginArgs>),
    /// Sign requests of Ethereum tools to a chain whose reads are signed
    Proxy(Box<proxy::ProxyArgs>),
    /// Show, check and export a node's audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Encrypted chain data, and old files in an object store
    #[command(subcommand)]
    Storage(storage::StorageCommand),
    /// Make, list, check and restore snapshots of a chain's state
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Back up a node's chain while it runs, and restore it
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Check and mend the data of a stopped node
    #[command(subcommand)]
    Db(db::DbCommand),
    /// What nodes recorded of the last minutes of consensus, drawn and explained
    #[command(subcommand)]
    Debug(debug::DebugCommand),
    /// Who is ready for the next protocol version
    #[command(subcommand)]
    Upgrade(upgrade::UpgradeCommand),
    /// Say in words what is wrong with the nodes and what to do
    Doctor(doctor::DoctorArgs),
    /// Measure networks: against anvil, or workloads under every kind of load and fault
    Bench(Box<hawser_bench::BenchArgs>),
    /// Run Ethereum's own tests
    #[command(subcommand)]
    Evm(evm::EvmCommand),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_and_most_show_an_example() {
        fn walk(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no description");
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(
                    argument.get_help().is_some() || id == "help",
                    "{path} {id} has no help"
                );
            }
            if command.get_subcommands().next().is_none() && command.get_after_help().is_none() {
                missing.push(path.clone());
            }
            for sub in command.get_subcommands() {
                walk(sub, &path, missing);
            }
        }
        let mut missing = Vec::new();
        walk(&Cli::command(), "", &mut missing);
        assert_eq!(missing, Vec::<String>::new(), "commands without an example");
    }

    #[test]
    fn mistakes_are_refused() {
        for bad in [
            &["hawser", "up", "--nodes", "0"][..],
            &["hawser", "up", "--nodes", "101"],
            &["hawser", "up", "--suite", "klingon"],
            &["hawser", "up", "--chain-id", "0"],
            &["hawser", "up", "--rpc-port", "65536"],
            &["hawser", "start"],
            &["hawser", "start", "--config", "a", "--rpc-batch-max"],
            &["hawser", "evidence", "put"],
            &["hawser", "tx", "send", "--to", "0x12"],
        ] {
            assert!(Cli::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }

    /// Arguments are seen by every user of a machine and kept by shells.
    #[test]
    fn secrets_are_given_by_file_and_never_as_arguments() {
        const SECRETS: [&str; 7] = [
            "passphrase",
            "password",
            "secret",
            "private",
            "token",
            "seed",
            "mnemonic",
        ];
        fn look(command: &clap::Command, path: &str, seen: &mut usize) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str().to_lowercase();
                let takes_value = argument.get_action().takes_values();
                if !takes_value || !SECRETS.iter().any(|secret| id.contains(secret)) {
                    continue;
                }
                *seen += 1;
                let values = argument.get_value_names().unwrap_or_default();
                let is_file =
                    values.iter().all(|name| name.as_str() == "FILE") && !values.is_empty();
                let is_key_of_configuration = hawser_node::config::find(&id).is_some_and(|key| {
                    use hawser_node::config::Kind;
                    matches!(
                        key.kind,
                        Kind::Path | Kind::OptionalPath | Kind::Integer(..)
                    )
                });
                // A token contract, and the seed of a load that repeats, are no secrets.
                let is_public = matches!(
                    (id.as_str(), values),
                    ("token", [name]) if name.as_str() == "ADDRESS"
                ) || (id == "seed" && path == "hawser bench");
                assert!(
                    is_file || is_key_of_configuration || is_public,
                    "{path} --{id} {values:?}: take it from a file"
                );
            }
            for below in command.get_subcommands() {
                look(below, &format!("{path} {}", below.get_name()), seen);
            }
        }
        let mut seen = 0;
        look(&Cli::command(), "hawser", &mut seen);
        assert!(seen > 10, "{seen}: the passphrase files at least");
    }

    #[test]
    fn flags_of_the_configuration_reach_the_start_command() {
        let args = ["hawser", "start", "--config", "a", "--rpc-batch-max", "7"];
        let Command::Start(start) = Cli::try_parse_from(args).unwrap().command else {
            panic!("another command");
        };
        assert_eq!(
            start.flags.0,
            [("rpc.batch_max".to_owned(), "7".to_owned())]
        );
    }
}
