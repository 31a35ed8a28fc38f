//! `hawser node invite`

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use hawser_network::{PeerId, is_peer_address};
use hawser_node::config::{NodeConfig, NodeKind, NodeMode, PeerSection};
use hawser_node::peers::PeerChanges;
use hawser_pki::TrustFolder;
use hawser_primitives::{ChainId, Time};
use serde_json::json;

use super::bundle::{Invitation, Role, spoken};
use super::trust::TrustFiles;
use crate::acts::Act;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::read_genesis;
use crate::output::{self, Output};
use crate::{files, keyfile};

/// Arguments of `node invite`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser node invite --config node.toml --address 10.0.0.1:9545
  hawser node invite --config node.toml --address 10.0.0.1:9545 --role validator --out bank-d.json
  hawser node invite --config node.toml --address 10.0.0.1:9545 --kind light --out desk.json

The file holds the genesis and the peers that this node knows, no secret. Send it by any way, and
tell the printed hash by another one: whoever joins compares the two.")]
pub(crate) struct InviteArgs {
    /// The configuration of a member's node
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where the new node reaches this one; default: network.listen, if that names a host
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// What the new node is to be
    #[arg(long, visible_alias = "kind", value_enum, default_value_t = Role::Observer)]
    role: Role,
    /// The chain, where the node hosts several
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// Days until the invitation expires
    #[arg(long, value_name = "DAYS", default_value_t = 7,
        value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE", default_value = "invitation.json")]
    out: PathBuf,
}

/// Largest file of a certificate chain, in bytes.
const CERTIFICATE_BYTES_MAX: u64 = 256 * 1024;

/// This machine's clock.
pub(super) fn now() -> Result<Time> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context(Code::Failed, "the clock of this machine is before 1970")?;
    Ok(Time(u64::try_from(now.as_millis()).or_fail(Code::Failed)?))
}

/// The id of the node with this configuration, without its passphrase.
pub(super) fn own_id(config: &NodeConfig) -> Result<PeerId> {
    if let Some(path) = &config.network.certificate {
        let text = files::read_text(path, CERTIFICATE_BYTES_MAX)?;
        let chain = hawser_pki::parse_certificates(&text).context(Code::Config, path.display())?;
        return match chain.first() {
            Some(own) => Ok(PeerId(own.public_key().id())),
            None => fail(
                Code::Config,
                format!("{} holds no certificate", path.display()),
            ),
        };
    }
    let path = &config.node.identity_key;
    let key = keyfile::info(path).and_then(|info| info.public_key);
    let id = key.and_then(|key| <[u8; 32]>::try_from(key.as_bytes()).ok());
    match id {
        Some(id) => Ok(PeerId(id)),
        None => fail(
            Code::Config,
            format!(
                "{} does not tell the node's public key; node.identity_key must name the key file \
                 that `hawser init` or `hawser node join` wrote",
                path.display()
            ),
        ),
    }
}

fn own_address(config: &NodeConfig, given: Option<&String>) -> Result<String> {
    match given {
        Some(address) if is_peer_address(address) => Ok(address.clone()),
        Some(address) => fail(
            Code::Usage,
            format!("`{address}` is no address; write HOST:PORT"),
        ),
        None if !config.network.listen.ip().is_unspecified() => {
            Ok(config.network.listen.to_string())
        }
        None => fail(
            Code::Usage,
            format!(
                "this node listens on {}, which is no address to dial: give the one that others \
                 reach it at with --address HOST:PORT",
                config.network.listen
            ),
        ),
    }
}

/// Runs the command.
pub(super) fn run(args: &InviteArgs, output: Output, lang: Lang) -> Result<()> {
    let config = super::config(&args.config)?;
    if config.node.mode == NodeMode::Light {
        return fail(
            Code::Usage,
            "this is a light node, which serves nobody: invite from a full node",
        );
    }
    let mut genesis = None;
    let mut ids = Vec::new();
    for section in &config.chains {
        let found = read_genesis(&section.genesis)?;
        ids.push(found.chain_id.to_string());
        if args.chain.is_none_or(|id| ChainId(id) == found.chain_id) {
            genesis.get_or_insert(found);
        }
    }
    if args.chain.is_none() && ids.len() > 1 {
        let ids = ids.join(", ");
        return fail(
            Code::Usage,
            format!("this node hosts the chains {ids}; choose one with --chain"),
        );
    }
    let Some(genesis) = genesis else {
        return fail(
            Code::NotFound,
            format!("this node hosts no such chain; it has: {}", ids.join(", ")),
        );
    };
    let own = PeerSection {
        id: own_id(&config)?,
        address: own_address(&config, args.address.as_ref())?,
        name: Some(config.node.name.clone()),
        kind: None,
    };
    let changes = PeerChanges::read(&config.node.data_dir).or_fail(Code::Config)?;
    let others = changes.apply(&config.network.peers);
    let id = own.id;
    let mut peers = vec![own];
    // Light nodes serve nobody.
    let serves = |peer: &PeerSection| peer.id != id && peer.kind != Some(NodeKind::Light);
    peers.extend(
        others
            .into_iter()
            .filter(serves)
            .map(|peer| PeerSection { kind: None, ..peer }),
    );
    let issued = now()?;
    let expires = issued.plus_ms(args.days.saturating_mul(86_400_000));
    let issuer = config.node.name.clone();
    let trust = match &config.network.trust_dir {
        Some(dir) => Some(TrustFiles::read(&TrustFolder(dir.clone()))?),
        None => None,
    };
    let known = (peers, trust);
    let invitation = Invitation::new(&genesis, args.role, issuer, known, (issued, expires))
        .or_fail(Code::Config)?;
    let text = serde_json::to_string_pretty(&invitation).or_fail(Code::Failed)?;
    let hash = genesis.suite.hash(text.as_bytes());
    // On its way to the record before there is an invitation.
    let reason = format!("chain {}, hash {hash}", genesis.chain_id);
    Act::now("node invite", args.out.display().to_string(), &reason)
        .leave(&config.node.data_dir)?;
    files::write_public(&args.out, &text)?;
    let value = json!({
        "file": args.out,
        "hash": hash,
        "chainId": genesis.chain_id,
        "genesisHash": genesis.hash(),
        "role": args.role,
        "peers": invitation.peers.len(),
        "expiresMs": expires,
    });
    output.print(&value, |_| {
        let file = args.out.display().to_string();
        let rows = [
            (lang.pick("file", "文件"), file.clone()),
            (lang.pick("hash", "哈希"), spoken(hash)),
            (lang.pick("chain", "链"), genesis.chain_id.to_string()),
            (lang.pick("kind", "类型"), args.role.name(lang).to_owned()),
            (
                lang.pick("peers", "节点"),
                invitation.peers.len().to_string(),
            ),
            (
                lang.pick("expires", "有效期至"),
                crate::quantity::utc(expires.0),
            ),
        ];
        let next = match lang {
            Lang::En => format!(
                "\nThe new node: hawser node join {file} --home DIR --address HOST:PORT --hash HASH\n\
                 Tell its operator the hash by another way than the file."
            ),
            Lang::Zh => format!(
                "\n新节点执行：hawser node join {file} --home DIR --address HOST:PORT --hash HASH\n\
                 请通过其他渠道把哈希告知对方，以便核对。"
            ),
        };
        output::pairs(&rows) + &next
    })
}
