//! `hawser up`: a local network.

mod layout;
mod wait;

use std::time::Duration;

use clap::Args;
use hawser_crypto::Suite;
use hawser_ledger::{Genesis, Verification};
use serde::Serialize;
use serde_json::json;

use super::init;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::generate::EncryptArgs;
use crate::local::spawn::Started;
use crate::local::{Home, HomeArgs, LocalNode, NODES_MAX, generate, spawn};
use crate::output::{self, Output};
use crate::passphrase;
use crate::progress::Progress;
use crate::quantity::counted;
use crate::{files, keyfile};

/// Arguments of `up`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser up
  hawser up --encrypt
  hawser up --suite sm --nodes 7 --home /srv/net --rpc-port 18545

A second `up` resumes a network that was stopped, on the same chain. `hawser down` stops it.")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Number of validators of a new network [default: 4]
    #[arg(long, env = "HAWSER_UP_NODES", value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: Option<u16>,
    /// Cryptographic suite of a new network [default: intl]
    #[arg(long, env = "HAWSER_UP_SUITE", value_name = "SUITE", value_parser = init::suite())]
    suite: Option<Suite>,
    /// Who verifies signatures in a new network: all validators, or a quorum whose word the others take
    /// [default: all]
    #[arg(long, env = "HAWSER_UP_VERIFICATION", value_name = "WHO", value_parser = init::verification())]
    verification: Option<Verification>,
    /// First port of clients; node i has this plus i [default: 8545]
    #[arg(long, env = "HAWSER_UP_RPC_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    rpc_port: Option<u16>,
    /// First port of peers [default: 9545]
    #[arg(long, env = "HAWSER_UP_P2P_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    p2p_port: Option<u16>,
    /// First port of metrics and health [default: 2000 above the port of clients]
    #[arg(long, env = "HAWSER_UP_METRICS_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    metrics_port: Option<u16>,
    /// Chain id of a new network [default: 429737]
    #[arg(long, env = "HAWSER_UP_CHAIN_ID", value_name = "ID",
        value_parser = clap::value_parser!(u64).range(1..=9_007_199_254_740_991))]
    chain_id: Option<u64>,
    /// Have the new network governed by this many organisations [default: 3]
    #[arg(long, env = "HAWSER_UP_GOVERNANCE", value_name = "ORGANISATIONS", num_args = 0..=1,
        default_missing_value = "3",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::local::demo::ORGANISATIONS_MAX)))]
    governance: Option<u16>,
    #[command(flatten)]
    encryption: EncryptArgs,
    /// Seconds to wait until the nodes agree
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
}

/// The account for trying things out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestAccount {
    address: String,
    private_key: String,
}

/// Runs the command.
pub(crate) async fn run(args: &UpArgs, output: Output, lang: Lang) -> Result<()> {
    let home = args.home.home();
    files::make_dir(home.path())?;
    let _lock = layout::lock(&home)?;
    let nodes = if home.exists() {
        layout::resume(&home, args)?
    } else {
        let progress =
            Progress::spinner(lang.pick("making keys and genesis", "正在生成密钥和创世文件"));
        let nodes = layout::create(&home, args);
        drop(progress);
        nodes?
    };
    let genesis = home.genesis()?;
    let stopped: Vec<_> = nodes.iter().filter(|node| node.pid().is_none()).collect();
    if stopped.is_empty() {
        return report(&home, &nodes, &genesis, output, lang, true);
    }
    for node in &stopped {
        spawn::check_ports(node)?;
    }
    let mut children: Vec<(&LocalNode, Started)> = Vec::new();
    for node in stopped {
        children.push((node, spawn::start(node)?));
    }
    let progress = Progress::steps(
        nodes.len() as u64,
        lang.pick("starting nodes", "正在启动节点"),
    );
    let limit = Duration::from_secs(args.wait);
    let waited = wait::until_agreed(&nodes, &mut children, &genesis, limit, &progress, lang).await;
    drop(progress);
    waited?;
    report(&home, &nodes, &genesis, output, lang, false)
}

fn report(
    home: &Home,
    nodes: &[LocalNode],
    genesis: &Genesis,
    output: Output,
    lang: Lang,
    ran_already: bool,
) -> Result<()> {
    let account = test_account(home);
    let http: Vec<_> = nodes.iter().filter_map(LocalNode::rpc).collect();
    let ws: Vec<_> = http
        .iter()
        .map(|url| url.replacen("http", "ws", 1))
        .collect();
    let place = std::path::absolute(home.path()).or_fail(Code::Failed)?;
    let value = json!({
        "chainId": genesis.chain_id,
        "suite": genesis.suite,
        "genesis": genesis.hash(),
        "http": http,
        "ws": ws,
        "account": account,
        "home": place,
        "alreadyRunning": ran_already,
    });
    let place = place.display().to_string();
    // The default home needs no flag.
    let flag = if home.path() == std::path::Path::new(".hawser") {
        String::new()
    } else {
        format!(" --home {}", home.path().display())
    };
    output.print(&value, |_| {
        let title = match (ran_already, lang) {
            (true, Lang::En) => format!(
                "This network runs already: {}.",
                counted(nodes.len(), "validator")
            ),
            (true, Lang::Zh) => format!("该网络已在运行：{} 个验证节点。", nodes.len()),
            (false, Lang::En) if nodes.len() == 1 => "1 validator runs.".to_owned(),
            (false, Lang::En) => format!("{} validators run and agree.", nodes.len()),
            (false, Lang::Zh) => format!("{} 个验证节点正在运行并已达成一致。", nodes.len()),
        };
        let names = match lang {
            Lang::En => [
                "HTTP",
                "WebSocket",
                "Chain id",
                "Suite",
                "Test account",
                "Private key",
                "Fees",
                "Data",
                "Status",
                "Stop",
            ],
            Lang::Zh => [
                "HTTP",
                "WebSocket",
                "链 ID",
                "密码套件",
                "测试账户",
                "私钥",
                "手续费",
                "数据",
                "状态",
                "停止",
            ],
        };
        let (address, key) = match &account {
            Some(account) => (account.address.clone(), account.private_key.clone()),
            None => (String::new(), String::new()),
        };
        let values = [
            http.join("  "),
            ws.join("  "),
            genesis.chain_id.to_string(),
            genesis.suite.to_string(),
            address,
            key,
            lang.pick("none; any account can send", "无；任何账户均可发送交易")
                .to_owned(),
            place,
            format!("hawser status{flag}"),
            format!("hawser down{flag}"),
        ];
        let rows: Vec<_> = names.into_iter().zip(values).collect();
        format!("{title}\n\n{}", output::pairs(&rows))
    })
}

/// The test account of the network, if its keystore has one and the passphrase beside it opens it.
fn test_account(home: &Home) -> Option<TestAccount> {
    let path = home.keystore().find(generate::TEST_ACCOUNT).ok()?;
    let passphrase = passphrase::from_file(&home.path().join("passphrase")).ok()?;
    let key = keyfile::read(&path, &passphrase).ok()?;
    Some(TestAccount {
        address: key.address().to_string(),
        private_key: format!("0x{}", hex::encode(key.to_bytes())),
    })
}

/// Refuses an option that contradicts the network that is there.
fn conflict<T: PartialEq + std::fmt::Display>(
    home: &Home,
    flag: &str,
    asked: Option<&T>,
    found: &T,
) -> Result<()> {
    match asked {
        Some(asked) if asked != found => fail(
            Code::Usage,
            format!(
                "the network in {} has --{flag} {found}, not {asked}. Leave the option out to \
                 resume it, or choose another --home for a new one",
                home.path().display()
            ),
        ),
        _ => Ok(()),
    }
}
