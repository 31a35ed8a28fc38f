//! `hawser node list`, `admit` and `remove`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hawser_network::PeerId;
use hawser_node::config::{NodeConfig, PeerSection};
use hawser_node::peers::PeerChanges;
use serde_json::{Value, json};

use super::bundle::{REQUEST_BYTES_MAX, Request, Role, kind_name};
use crate::acts::Act;
use crate::client::Client;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::local::{self, pidfile, read_genesis};
use crate::output::{self, Output};

/// Arguments of `node list`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser node list --config node.toml")]
pub(crate) struct ListArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Arguments of `node admit`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser node admit --config node.toml --request request.json
  hawser node admit --config node.toml --id 3f… --address 10.0.0.5:9545 --name bank-d
  hawser node admit --config node.toml --request request.json --kind observer

A node that runs takes the change over within a second. Admitting one that is admitted changes its
address, name and kind.")]
pub(crate) struct AdmitArgs {
    /// The configuration of the node that is to admit the peer
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The request that `hawser node join` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "address"],
        required_unless_present_all = ["id", "address"])]
    request: Option<PathBuf>,
    /// The peer's id
    #[arg(long, value_name = "ID", requires = "address")]
    id: Option<PeerId>,
    /// Where to reach the peer
    #[arg(long, value_name = "HOST:PORT", requires = "id")]
    address: Option<String>,
    /// Name for people; default: that of the request
    #[arg(long)]
    name: Option<String>,
    /// What it is admitted as; default: that of the request. Admitting a light node again as an
    /// observer promotes it
    #[arg(long, value_enum)]
    kind: Option<Role>,
}

/// Arguments of `node remove`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser node remove --config node.toml bank-d")]
pub(crate) struct RemoveArgs {
    /// The configuration of the node that is to refuse the peer
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The peer's id or name
    #[arg(value_name = "PEER")]
    peer: String,
}

/// Runs `node list`.
pub(super) async fn list(args: &ListArgs, output: Output, lang: Lang) -> Result<()> {
    let config = super::config(&args.config)?;
    let changes = PeerChanges::read(&config.node.data_dir).or_fail(Code::Config)?;
    let seen = seen(&config).await;
    let row = |peer: &PeerSection, from: &str| {
        let of = |all: &[Value]| {
            let is = |one: &&Value| {
                let id = one.get("id").and_then(Value::as_str);
                id.is_some_and(|id| id == peer.id.to_string())
            };
            all.iter().find(is).cloned()
        };
        let found = seen.as_ref().and_then(|seen| of(&seen.peers));
        // A light peer has a link and no part in the chain.
        let linked = seen.as_ref().map(|seen| {
            let link = of(&seen.links);
            let since = link.as_ref().and_then(|link| link.get("connectedSince"));
            found.is_some() || since.is_some_and(|since| !since.is_null())
        });
        json!({
            "id": peer.id,
            "name": peer.name,
            "address": peer.address,
            "kind": peer.kind,
            "from": from,
            "connected": linked,
            "height": found.as_ref().and_then(|one| one.get("height")),
        })
    };
    let all = changes.apply(&config.network.peers);
    let from = |peer: &PeerSection| {
        if changes.admitted.contains(peer) {
            "admitted"
        } else {
            "configuration"
        }
    };
    let rows: Vec<_> = all.iter().map(|peer| row(peer, from(peer))).collect();
    output.print(&rows, |rows| {
        let head = [
            lang.pick("name", "名称"),
            lang.pick("kind", "类型"),
            lang.pick("address", "地址"),
            lang.pick("link", "连接"),
            lang.pick("height", "高度"),
            lang.pick("from", "来源"),
            lang.pick("id", "标识"),
        ];
        let cells = |row: &Value| {
            let text = |name: &str| row.get(name).map(output::cell).unwrap_or_default();
            let link = match row.get("connected").and_then(Value::as_bool) {
                Some(true) => lang.pick("up", "已连接"),
                Some(false) => lang.pick("down", "未连接"),
                None => lang.pick("unknown", "未知"),
            };
            let from = match text("from").as_str() {
                "admitted" => lang.pick("admitted", "后续准入").to_owned(),
                _ => lang.pick("configuration", "配置文件").to_owned(),
            };
            let kind = row.get("kind").cloned();
            let kind = kind.and_then(|kind| serde_json::from_value(kind).ok().flatten());
            vec![
                text("name"),
                kind_name(kind, lang).to_owned(),
                text("address"),
                link.to_owned(),
                text("height"),
                from,
                text("id"),
            ]
        };
        output::table(&head, &rows.iter().map(cells).collect::<Vec<_>>())
    })
}

/// What a running node tells of its peers.
struct Seen {
    /// Those that take part in the chain.
    peers: Vec<Value>,
    /// All links.
    links: Vec<Value>,
}

/// The connected peers as the running node sees them; `None` where no node answers.
async fn seen(config: &NodeConfig) -> Option<Seen> {
    let url = local::rpc_url(config)?;
    let client = Client::new(&url, Duration::from_secs(2), || local::tls(config)).ok()?;
    let status = client.call("hawser_status", json!([])).await.ok()?;
    let links = client.call("hawser_links", json!([])).await.ok();
    Some(Seen {
        peers: status.get("peers")?.as_array().cloned()?,
        links: links
            .and_then(|links| links.as_array().cloned())
            .unwrap_or_default(),
    })
}

fn wanted(args: &AdmitArgs, config: &NodeConfig) -> Result<PeerSection> {
    let peer = match (&args.request, args.id, &args.address) {
        (Some(path), ..) => {
            let text = files::read_text(path, REQUEST_BYTES_MAX)?;
            let request = Request::parse(&text)
                .context(Code::Config, format!("request {}", path.display()))?;
            let mut hashes = Vec::new();
            for chain in &config.chains {
                hashes.push(read_genesis(&chain.genesis)?.hash());
            }
            if !hashes.contains(&request.genesis_hash) {
                return fail(
                    Code::Config,
                    format!(
                        "request {}: it is for a chain with genesis {}, which this node does not \
                         host",
                        path.display(),
                        request.genesis_hash
                    ),
                );
            }
            request.peer()
        }
        (None, Some(id), Some(address)) => PeerSection {
            id,
            address: address.clone(),
            name: None,
            kind: None,
        },
        _ => return fail(Code::Usage, "give --request, or --id and --address"),
    };
    Ok(PeerSection {
        name: args.name.clone().or(peer.name),
        kind: args.kind.map(Role::kind).or(peer.kind),
        ..peer
    })
}

/// Runs `node admit`.
pub(super) fn admit(args: &AdmitArgs, output: Output, lang: Lang) -> Result<()> {
    let config = super::config(&args.config)?;
    let peer = wanted(args, &config)?;
    if peer.id == super::invite::own_id(&config)? {
        return fail(
            Code::Usage,
            "this is the node's own id; admit it at the other nodes",
        );
    }
    if !hawser_network::is_peer_address(&peer.address) {
        return fail(
            Code::Usage,
            format!("`{}` is no address; write HOST:PORT", peer.address),
        );
    }
    let configured = &config.network.peers;
    let mut changes = PeerChanges::read(&config.node.data_dir).or_fail(Code::Config)?;
    changes
        .admit(configured, peer.clone())
        .or_fail(Code::Failed)?;
    told(&config, "node admit", &peer)?;
    changes.write(&config.node.data_dir).or_fail(Code::Failed)?;
    done(&config, &peer, true, output, lang)
}

/// Runs `node remove`.
pub(super) fn remove(args: &RemoveArgs, output: Output, lang: Lang) -> Result<()> {
    let config = super::config(&args.config)?;
    let mut changes = PeerChanges::read(&config.node.data_dir).or_fail(Code::Config)?;
    let peer = changes
        .remove(&config.network.peers, &args.peer)
        .or_fail(Code::NotFound)?;
    told(&config, "node remove", &peer)?;
    changes.write(&config.node.data_dir).or_fail(Code::Failed)?;
    done(&config, &peer, false, output, lang)
}

/// Leaves word for the node's audit log; the node itself notices the change in the file.
fn told(config: &NodeConfig, command: &str, peer: &PeerSection) -> Result<()> {
    let name = peer.name.as_deref().unwrap_or_default();
    let reason = format!("{} {name}", peer.address);
    Act::now(command, peer.id.to_string(), reason.trim()).leave(&config.node.data_dir)
}

fn done(
    config: &NodeConfig,
    peer: &PeerSection,
    admitted: bool,
    output: Output,
    lang: Lang,
) -> Result<()> {
    let runs = config
        .node
        .pid_file
        .as_deref()
        .and_then(pidfile::holder)
        .is_some();
    let value = json!({
        "id": peer.id,
        "name": peer.name,
        "address": peer.address,
        "kind": peer.kind,
        "admitted": admitted,
    });
    output.print(&value, |_| {
        let who = peer.name.clone().unwrap_or_else(|| peer.id.to_string());
        let what = match (lang, admitted) {
            (Lang::En, true) => format!("{who} is admitted at {}.", peer.address),
            (Lang::En, false) => format!("{who} is no longer admitted."),
            (Lang::Zh, true) => format!("已准入 {who}（{}）。", peer.address),
            (Lang::Zh, false) => format!("已取消 {who} 的准入。"),
        };
        let when = if runs {
            lang.pick(
                " The running node takes it over within a second.",
                "运行中的节点将在一秒内生效。",
            )
        } else {
            ""
        };
        format!("{what}{when}")
    })
}
