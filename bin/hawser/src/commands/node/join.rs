//! `hawser node join`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::Genesis;
use hawser_network::PeerId;
use hawser_node::config::{document, quote};
use hawser_pki::{PrivateKey, Request as CertificateRequest, Subject, TrustFolder};
use hawser_primitives::B256;
use serde_json::json;

use super::bundle::{BUNDLE_BYTES_MAX, Invitation, Request, Role, spoken};
use super::invite;
use crate::commands::init::{METRICS_PORT, P2P_PORT, RPC_PORT};
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::passphrase::{self, PassphraseArgs};
use crate::{files, identity, keyfile};

/// Arguments of `node join`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser node join invitation.json --home node --address 10.0.0.5:9545
  hawser node join invitation.json --home node --address 10.0.0.5:9545 --name bank-d --hash 0x…

Makes keys, genesis.json, node.toml and request.json in the folder. The operators of the other nodes
admit the node with request.json; then `hawser start --config DIR/node.toml` follows the chain. A
validator votes once the consortium has also put its vote key into the committee. A light node keeps
verified headers only and needs to be admitted by the nodes that it is to ask.")]
pub(crate) struct JoinArgs {
    /// The invitation
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Folder of the new node; must not hold one
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Where the other nodes reach this one
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// Organisation of the node, where links go by certificates; default: the node's name
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Name of the node, for people
    #[arg(long, default_value = "node")]
    name: String,
    /// The invitation's hash as its sender told it, with or without spaces; anything else is refused
    #[arg(long, value_name = "HASH", value_parser = super::bundle::heard)]
    hash: Option<B256>,
    /// Where the node listens for peers
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], P2P_PORT)))]
    listen: SocketAddr,
    /// Where it serves clients
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([127, 0, 0, 1], RPC_PORT)))]
    rpc: SocketAddr,
    /// Where it serves metrics and health
    #[arg(long, value_name = "ADDRESS",
        default_value_t = SocketAddr::from(([127, 0, 0, 1], METRICS_PORT)))]
    metrics: SocketAddr,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs the command.
pub(super) fn run(args: &JoinArgs, output: Output, lang: Lang) -> Result<()> {
    let text = files::read_text(&args.bundle, BUNDLE_BYTES_MAX)?;
    let of_bundle = format!("invitation {}", args.bundle.display());
    let (invitation, genesis) =
        Invitation::parse(&text, invite::now()?).context(Code::Config, of_bundle)?;
    let hash = genesis.suite.hash(text.as_bytes());
    if args.hash.is_some_and(|expected| expected != hash) {
        return fail(
            Code::NotFound,
            format!(
                "{} has the hash {hash}, not the one given with --hash: it is another file than \
                 its sender wrote. Nothing was made",
                args.bundle.display()
            ),
        );
    }
    refuse_existing(&args.home)?;
    let request = write(args, &invitation, &genesis)?;
    let home = std::path::absolute(&args.home).or_fail(Code::Failed)?;
    let value = json!({
        "home": home,
        "chainId": genesis.chain_id,
        "genesisHash": genesis.hash(),
        "invitationHash": hash,
        "role": invitation.role,
        "id": request.id,
        "address": request.address,
        "voteKey": request.vote_key,
        "validator": request.vote_key.as_ref().map(hawser_crypto::PublicKey::address),
        "request": home.join("request.json"),
    });
    let certified = invitation.trust.is_some();
    output.print(&value, |_| {
        let mut out = shown(&home, &request, &genesis, hash, lang);
        if certified {
            out.push_str(&certificate_step(&home, lang));
        }
        out
    })
}

fn refuse_existing(home: &Path) -> Result<()> {
    let taken = ["node.toml", "genesis.json", "keys", "certs", "data"]
        .into_iter()
        .map(|name| home.join(name))
        .find(|path| path.exists());
    match taken {
        Some(path) => fail(
            Code::Failed,
            format!(
                "{} exists already; nothing was changed. Choose another --home",
                path.display()
            ),
        ),
        None => Ok(()),
    }
}

fn write(args: &JoinArgs, invitation: &Invitation, genesis: &Genesis) -> Result<Request> {
    // Given: the operator brings it along at every start. Otherwise random, beside the keys.
    let (secret, cost, in_config) = match args.passphrase.passphrase_file {
        Some(_) => (
            args.passphrase.new_key("the keys of the node")?,
            keyfile::cost_of_node_keys(),
            None,
        ),
        None => (
            passphrase::random()?,
            keyfile::cost_of_random_passphrase(),
            Some("passphrase"),
        ),
    };
    let generate = |scheme| SecretKey::generate(scheme).or_fail(Code::Failed);
    let own = generate(match (&invitation.trust, genesis.suite) {
        (Some(_), Suite::Sm) => Scheme::Sm2,
        _ => Scheme::Ed25519,
    })?;
    let certified = match &invitation.trust {
        Some(trust) => Some((trust, certificate_request(args, &own)?)),
        None => None,
    };
    let id = match &certified {
        Some((_, request)) => PeerId(request.public_key().id()),
        None => identity::of_key(&own)?.peer_id(),
    };
    let vote = match invitation.role {
        Role::Validator => Some(generate(genesis.suite.vote_scheme())?),
        Role::Observer | Role::Light => None,
    };
    let request = Request::new(
        invitation,
        args.name.clone(),
        id,
        args.address.clone(),
        vote.as_ref().map(SecretKey::public_key),
    );
    let json = serde_json::to_string_pretty(&request).or_fail(Code::Failed)?;
    // A name or an address that nobody could admit is refused before anything is written.
    Request::parse(&json).or_fail(Code::Usage)?;
    let home = &args.home;
    files::make_dir(&home.join("keys"))?;
    if in_config.is_some() {
        files::write_secret(&home.join("passphrase"), &format!("{}\n", *secret))?;
    }
    keyfile::write(&home.join("keys/identity.pem"), &own, &secret, &cost)?;
    if let Some(vote) = &vote {
        keyfile::write(&home.join("keys/vote.pem"), vote, &secret, &cost)?;
    }
    if let Some((trust, request)) = &certified {
        trust.write(&TrustFolder(home.join("certs/trust")))?;
        files::write_public(&home.join("node.csr"), &request.to_pem())?;
    }
    let document = genesis.to_json().or_fail(Code::Failed)?;
    files::write_public(&home.join("genesis.json"), &document)?;
    files::write_public(&home.join("request.json"), &json)?;
    let config = config(args, invitation, in_config, vote.is_some());
    files::write_public(&home.join("node.toml"), &config)?;
    Ok(request)
}

/// What an authority signs so that the others believe this node.
fn certificate_request(args: &JoinArgs, own: &SecretKey) -> Result<CertificateRequest> {
    let organisation = args.org.as_ref().unwrap_or(&args.name);
    let key = PrivateKey::from_secret(own.clone()).or_fail(Code::Failed)?;
    CertificateRequest::new(&Subject::new(&args.name, organisation), &[], &key).or_fail(Code::Usage)
}

fn config(
    args: &JoinArgs,
    invitation: &Invitation,
    passphrase: Option<&str>,
    votes: bool,
) -> String {
    let mut peers = String::new();
    for peer in &invitation.peers {
        peers.push_str(&format!(
            "[[network.peers]]\nid = \"{}\"\naddress = {}\n",
            peer.id,
            quote(&peer.address)
        ));
        if let Some(name) = &peer.name {
            peers.push_str(&format!("name = {}\n", quote(name)));
        }
    }
    let vote = if votes {
        "vote_key = \"keys/vote.pem\"\n"
    } else {
        ""
    };
    let certified = invitation.trust.is_some();
    document(&|path| match path {
        "node.name" => Some(quote(&args.name)),
        "node.mode" if invitation.role == Role::Light => Some(quote("light")),
        "node.data_dir" => Some(quote("data")),
        "node.identity_key" => Some(quote("keys/identity.pem")),
        "node.passphrase_file" => passphrase.map(quote),
        "network.credential" if certified => Some(quote("certificate")),
        "network.certificate" if certified => Some(quote("certs/node.pem")),
        "network.trust_dir" if certified => Some(quote("certs/trust")),
        "network.listen" => Some(quote(&args.listen.to_string())),
        "network.peers" => Some(peers.clone()),
        "chains" => Some(format!("[[chains]]\ngenesis = \"genesis.json\"\n{vote}")),
        "rpc.http" => Some(quote(&args.rpc.to_string())),
        "metrics.listen" => Some(quote(&args.metrics.to_string())),
        _ => None,
    })
}

fn certificate_step(home: &Path, lang: Lang) -> String {
    let home = home.display();
    let command = format!(
        "hawser cert issue --dir ca --request {home}/node.csr --profile node --to {home}/certs/node.pem"
    );
    match lang {
        Lang::En => format!(
            "\nBefore the start the node needs a certificate. Its organisation's authority issues it:\n   \
             {command}\nThe other organisations need that authority's root in certs/trust/roots."
        ),
        Lang::Zh => format!(
            "\n启动前节点需要证书，由本机构的证书机构签发：\n   {command}\n\
             其他机构须将该证书机构的根证书放入 certs/trust/roots。"
        ),
    }
}

fn shown(home: &Path, request: &Request, genesis: &Genesis, hash: B256, lang: Lang) -> String {
    let key = request.vote_key.as_ref();
    let rows = [
        (lang.pick("folder", "目录"), home.display().to_string()),
        (
            lang.pick("chain", "链"),
            format!("{} ({})", genesis.chain_id, genesis.name),
        ),
        (lang.pick("genesis", "创世哈希"), genesis.hash().to_string()),
        (lang.pick("invitation", "邀请文件哈希"), spoken(hash)),
        (
            lang.pick("kind", "类型"),
            request.role.name(lang).to_owned(),
        ),
        (lang.pick("node id", "节点标识"), request.id.to_string()),
        (lang.pick("reached at", "访问地址"), request.address.clone()),
        (
            lang.pick("vote key", "投票公钥"),
            key.map_or_else(String::new, ToString::to_string),
        ),
        (
            lang.pick("validator", "验证节点地址"),
            key.map_or_else(String::new, |key| key.address().to_string()),
        ),
    ];
    let home = home.display();
    let mut out = output::pairs(&rows);
    out.push_str(&match lang {
        Lang::En => format!(
            "\nCompare the hash of the invitation with its sender's.\n\
             1. Send {home}/request.json to the operators of the other nodes; each runs\n   \
             hawser node admit --config node.toml --request request.json\n\
             2. Start: hawser start --config {home}/node.toml"
        ),
        Lang::Zh => format!(
            "\n请与发送方核对邀请文件哈希。\n\
             1. 将 {home}/request.json 发给其他节点的运维人员，由其执行\n   \
             hawser node admit --config node.toml --request request.json\n\
             2. 启动：hawser start --config {home}/node.toml"
        ),
    });
    if key.is_some() {
        out.push_str(lang.pick(
            "\n3. Once it has caught up, propose the vote key as a validator. Until the proposal has \
             passed, the node follows without a vote.",
            "\n3. 同步完成后，提案将该投票公钥加入验证节点集合；通过之前节点仅同步，不投票。",
        ));
    }
    out
}
