//! `hawser init`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use hawser_crypto::Suite;
use hawser_ledger::{ChainParameters, Verification};
use hawser_primitives::{Address, U256};
use serde_json::json;

use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::NODES_MAX;
use crate::local::generate::{self, EncryptArgs, Plan, Ports, Protection};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;
use crate::progress::Progress;

/// Chain id of a network that is given none: HAWSER on the keys of a telephone.
pub(crate) const CHAIN_ID: u64 = 429_737;
/// First port of clients.
pub(crate) const RPC_PORT: u16 = 8_545;
/// First port of peers.
pub(crate) const P2P_PORT: u16 = 9_545;
/// First port of metrics and health.
pub(crate) const METRICS_PORT: u16 = 10_545;

/// Arguments of `init`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser init --dir net --nodes 4
  hawser init --dir net --encrypt --data-key-file data.secret
  hawser init --dir net --suite sm --hosts 10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4

Without --hosts the network is for this machine, its keys are protected by a random passphrase in
DIR/passphrase, and `hawser up --home DIR` runs it. With --hosts there is a folder per host to be
copied to it, and the passphrase is asked for or read from --passphrase-file; each host needs it.")]
pub(crate) struct InitArgs {
    /// Folder to write; must not hold a network
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Number of validators [default: 4, or the number of hosts]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: Option<u16>,
    /// Cryptographic suite
    #[arg(long, value_name = "SUITE", default_value = "intl", value_parser = suite())]
    suite: Suite,
    /// Who verifies signatures: all validators, or a quorum whose word the others take [default: all]
    #[arg(long, value_name = "WHO", value_parser = verification())]
    verification: Option<Verification>,
    /// Chain id for wallets and transactions
    #[arg(long, value_name = "ID", default_value_t = CHAIN_ID,
        value_parser = clap::value_parser!(u64).range(1..=9_007_199_254_740_991))]
    chain_id: u64,
    /// Name of the chain, for people
    #[arg(long, default_value = "hawser")]
    name: String,
    /// Hosts of the validators, one each, separated by commas
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
    /// Port of clients (HTTP and WebSocket)
    #[arg(long, value_name = "PORT", default_value_t = RPC_PORT)]
    rpc_port: u16,
    /// Port of peers
    #[arg(long, value_name = "PORT", default_value_t = P2P_PORT)]
    p2p_port: u16,
    /// Port of metrics and health
    #[arg(long, value_name = "PORT", default_value_t = METRICS_PORT)]
    metrics_port: u16,
    /// Account with a balance from the start, in wei; may be repeated
    #[arg(long, value_name = "ADDRESS=WEI", value_parser = account)]
    account: Vec<(Address, U256)>,
    /// Have the chain governed by this many organisations, their keys in DIR/keystore [default: 3]
    #[arg(long, value_name = "ORGANISATIONS", num_args = 0..=1, default_missing_value = "3",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::local::demo::ORGANISATIONS_MAX)))]
    governance: Option<u16>,
    #[command(flatten)]
    encryption: EncryptArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// A parser of suites that lists them where it refuses.
pub(crate) fn suite() -> impl clap::builder::TypedValueParser<Value = Suite> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Suite::ALL.map(Suite::name))
        .try_map(|name| name.parse::<Suite>())
}

/// A parser of who verifies signatures.
pub(crate) fn verification() -> impl clap::builder::TypedValueParser<Value = Verification> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(["all", "quorum"]).map(|name| match name.as_str() {
        "quorum" => Verification::Quorum,
        _ => Verification::All,
    })
}

fn account(text: &str) -> Result<(Address, U256), String> {
    let (address, wei) = text.split_once('=').ok_or("write ADDRESS=WEI")?;
    let address = address
        .parse()
        .map_err(|_| format!("`{address}` is no address"))?;
    let wei = wei
        .parse()
        .map_err(|_| format!("`{wei}` is no number of wei"))?;
    Ok((address, wei))
}

/// Runs the command.
pub(crate) fn run(args: &InitArgs, output: Output, lang: Lang) -> Result<()> {
    generate::refuse_existing(&args.dir)?;
    let ports = Ports {
        rpc: args.rpc_port,
        p2p: args.p2p_port,
        metrics: args.metrics_port,
    };
    let local = args.hosts.is_empty();
    let nodes = if local {
        generate::local_nodes(args.nodes.unwrap_or(4), ports)?
    } else {
        if args
            .nodes
            .is_some_and(|nodes| usize::from(nodes) != args.hosts.len())
        {
            return fail(
                Code::Usage,
                format!(
                    "--hosts names {} hosts; leave --nodes out, or make them agree",
                    args.hosts.len()
                ),
            );
        }
        if args.hosts.len() > usize::from(NODES_MAX) {
            return fail(
                Code::Usage,
                format!("--hosts names more than {NODES_MAX} hosts"),
            );
        }
        generate::hosted_nodes(&args.hosts, ports)?
    };
    let protection = if local {
        Protection::Random
    } else {
        Protection::Given(args.passphrase.new_key("the keys of the nodes")?)
    };
    let count = nodes.len();
    let plan = Plan {
        dir: args.dir.clone(),
        name: args.name.clone(),
        chain_id: args.chain_id,
        suite: args.suite,
        parameters: ChainParameters {
            verification: args.verification.unwrap_or_default(),
            ..ChainParameters::default()
        },
        nodes,
        protection,
        accounts: args.account.iter().copied().collect::<BTreeMap<_, _>>(),
        test_account: local,
        governance: args.governance,
        encryption: args.encryption.wanted(),
    };
    let progress = Progress::steps(count as u64, lang.pick("writing nodes", "写入节点"));
    let genesis = plan.write(&|_| progress.advance(1))?;
    drop(progress);
    let dir = std::path::absolute(&args.dir).or_fail(Code::Failed)?;
    let value = json!({
        "dir": dir,
        "chainId": genesis.chain_id,
        "suite": genesis.suite,
        "genesis": genesis.hash(),
        "nodes": count,
        "hosts": args.hosts,
    });
    output.print(&value, |_| {
        text(
            args,
            &dir.display().to_string(),
            &genesis.hash().to_string(),
            lang,
        )
    })
}

fn text(args: &InitArgs, dir: &str, hash: &str, lang: Lang) -> String {
    if args.hosts.is_empty() {
        return match lang {
            Lang::En => format!(
                "Network written to {dir}\nGenesis {hash}\nStart it: hawser up --home {dir}"
            ),
            Lang::Zh => format!("网络已写入 {dir}\n创世哈希 {hash}\n启动：hawser up --home {dir}"),
        };
    }
    let mut out = match lang {
        Lang::En => format!(
            "Network written to {dir}\nGenesis {hash}\n\nCopy each folder to its host, whole and readable by the node alone:\n"
        ),
        Lang::Zh => format!(
            "网络已写入 {dir}\n创世哈希 {hash}\n\n将各文件夹完整复制到对应主机，仅允许节点用户读取：\n"
        ),
    };
    for (i, host) in args.hosts.iter().enumerate() {
        out.push_str(&format!("  scp -rp {dir}/node{i} {host}:hawser\n"));
    }
    out.push_str(lang.pick(
        "\nThen on each host, with the passphrase in a file of mode 0600:\n",
        "\n然后在各主机上执行（口令存入权限为 0600 的文件）：\n",
    ));
    out.push_str("  HAWSER_PASSPHRASE_FILE=… hawser start --config hawser/node.toml\n");
    out.push_str(lang.pick(
        "\nKeep the copies here offline, or remove them: they hold every validator's keys.",
        "\n此处的副本含有全部验证节点密钥，请离线保存或删除。",
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_an_address_and_a_number() {
        assert!(account("0x0000000000000000000000000000000000000001=10").is_ok());
        for bad in [
            "",
            "0x01=1",
            "0x0000000000000000000000000000000000000001",
            "0x0000000000000000000000000000000000000001=x",
        ] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }
}
