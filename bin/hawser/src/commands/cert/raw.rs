//! Nodes that link with raw public keys, as `cert check` sees them.

use std::path::Path;
use std::time::Duration;

use hawser_network::{NodeIdentity, PeerId, ProbeReport, probe_raw_key};
use hawser_node::config::{CredentialKind, NodeConfig, Overrides, PeerSection, load};
use hawser_node::peers::PeerChanges;

use super::check::{CheckArgs, Finding};
use super::passphrase_of;
use crate::exit::{Code, OrFail, Result};
use crate::lang::Lang;
use crate::passphrase::PassphraseArgs;
use crate::{identity, keyfile};

/// The node in whose place a check is made.
pub(super) struct Own {
    config: NodeConfig,
    /// Whom it admits now.
    peers: Vec<PeerSection>,
}

impl Own {
    /// Reads its configuration, and what was changed about its peers later.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let loaded = load(path, &Overrides::default()).or_fail(Code::Config)?;
        let config = loaded.config;
        let changes = PeerChanges::read(&config.node.data_dir).or_fail(Code::Config)?;
        let peers = changes.apply(&config.network.peers);
        Ok(Self { config, peers })
    }

    /// The arguments with what this node would use.
    pub(super) fn fill(&self, given: &CheckArgs) -> CheckArgs {
        let mut args = given.clone();
        let network = &self.config.network;
        let passphrase_file = self.config.node.passphrase_file.clone();
        args.passphrase = PassphraseArgs {
            passphrase_file: args.passphrase.passphrase_file.or(passphrase_file),
        };
        args.key = args.key.or(Some(self.config.node.identity_key.clone()));
        if network.credential == CredentialKind::Certificate {
            args.trust = args.trust.or_else(|| network.trust_dir.clone());
            args.certificate = network.certificate.clone();
        }
        args
    }

    fn peer(&self, id: PeerId) -> Option<&PeerSection> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    fn at(&self, address: &str) -> Option<&PeerSection> {
        self.peers.iter().find(|peer| peer.address == address)
    }

    fn uses_raw_keys(&self) -> bool {
        self.config.network.credential == CredentialKind::RawKey
    }
}

/// Looks whether a raw key answers, and says what it found; nothing where there is none.
pub(super) async fn check(
    args: &CheckArgs,
    node: Option<&Own>,
    lang: Lang,
) -> Result<(ProbeReport, Option<Vec<Finding>>)> {
    let own = own_identity(args, node)?;
    let within = Duration::from_secs(args.timeout);
    let report = probe_raw_key(&args.target, own.as_ref(), within).await;
    let Some(id) = report.raw_key else {
        return Ok((report, None));
    };
    let mut findings = vec![Finding::good(match lang {
        Lang::En => format!(
            "the node links with a raw public key (network.credential = \"raw-key\"), without \
             certificates: its node id is {id}"
        ),
        Lang::Zh => format!(
            "该节点使用裸公钥建立链路（network.credential = \"raw-key\"），没有证书：其节点标识为 {id}"
        ),
    })];
    match node {
        Some(node) => findings.push(known(node, id, &args.target, lang)),
        None => findings.push(Finding::good(
            lang.pick(
                "compare the id with the Public-Key line of its keys/identity.pem, as its operator tells; --config node.toml compares it with the peers of a node of this machine",
                "请与其运维方提供的 keys/identity.pem 中 Public-Key 一行核对；--config node.toml 可与本机节点的对等节点列表比对",
            )
            .to_owned(),
        )),
    }
    findings.extend(answer(&report, own.as_ref(), lang));
    Ok((report, Some(findings)))
}

fn own_identity(args: &CheckArgs, node: Option<&Own>) -> Result<Option<NodeIdentity>> {
    let (Some(path), None) = (&args.key, &args.certificate) else {
        return Ok(None);
    };
    if node.is_some_and(|node| !node.uses_raw_keys()) {
        return Ok(None);
    }
    let key = keyfile::read(path, &passphrase_of(path, &args.passphrase)?)?;
    identity::of_key(&key).map(Some)
}

/// What a node knows of the key that answers at an address.
fn known(node: &Own, id: PeerId, address: &str, lang: Lang) -> Finding {
    let called = |peer: &PeerSection| peer.name.clone().unwrap_or_else(|| peer.id.to_string());
    if !node.uses_raw_keys() {
        return Finding::bad(
            "other_credential",
            lang.pick(
                "this node links with certificates and that one with raw keys: they cannot link. Give both the same network.credential",
                "本节点使用证书而对方使用裸公钥，无法建立链路；请统一两者的 network.credential",
            )
            .to_owned(),
        );
    }
    if let Some(peer) = node.peer(id) {
        let name = called(peer);
        return Finding::good(match lang {
            Lang::En => format!("it is {name}, which this node admits"),
            Lang::Zh => format!("它是本节点准入的 {name}"),
        });
    }
    if let Some(peer) = node.at(address) {
        let (name, expected) = (called(peer), peer.id);
        return Finding::bad(
            "other_key",
            match lang {
                Lang::En => format!(
                    "this node expects {name} with the id {expected} at {address}: another node \
                     answers there, or its identity key was replaced. Ask its operator; if the new \
                     key is right, `hawser node remove` the old one and `hawser node admit` the new"
                ),
                Lang::Zh => format!(
                    "本节点认为 {address} 是 {name}，标识应为 {expected}：应答的是另一节点，或其身份密钥已更换。请与其运维方核实；若新密钥无误，请先 `hawser node remove` 再 `hawser node admit`"
                ),
            },
        );
    }
    Finding::bad(
        "not_admitted",
        match lang {
            Lang::En => format!(
                "this node does not admit it: neither network.peers nor {} has that id. If its \
                 operator confirms the id, `hawser node admit --id {id} --address {address}` admits it",
                PeerChanges::FILE
            ),
            Lang::Zh => format!(
                "本节点未准入它：network.peers 和 {} 中都没有该标识。经其运维方确认后，可用 `hawser node admit --id {id} --address {address}` 准入",
                PeerChanges::FILE
            ),
        },
    )
}

/// What the other side made of the key that was presented.
fn answer(report: &ProbeReport, own: Option<&NodeIdentity>, lang: Lang) -> Option<Finding> {
    let own = own?.peer_id();
    let Some(failure) = &report.failure else {
        let suite = report.cipher_suite.as_deref().unwrap_or_default();
        return Some(Finding::good(match lang {
            Lang::En => format!("it admits this node's key; the handshake succeeded with {suite}"),
            Lang::Zh => format!("它准入本节点的密钥；握手成功，密码套件 {suite}"),
        }));
    };
    let name = report
        .alert
        .clone()
        .unwrap_or_else(|| "handshake".to_owned());
    let text = match (name.as_str(), lang) {
        ("access_denied", Lang::En) => format!(
            "it does not admit this node's key: have its operator add the id {own} \
             (`hawser node admit`) ({failure})"
        ),
        ("access_denied", Lang::Zh) => format!(
            "它未准入本节点的密钥：请其运维方用 `hawser node admit` 加入标识 {own}（{failure}）"
        ),
        (_, Lang::En) => format!("the handshake failed ({failure})"),
        (_, Lang::Zh) => format!("握手失败（{failure}）"),
    };
    Some(Finding::bad(name, text))
}
