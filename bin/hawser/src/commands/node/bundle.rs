//! Invitations and requests to join, as files.

use clap::ValueEnum;
use hawser_crypto::{PublicKey, Suite};
use hawser_ledger::Genesis;
use hawser_network::PeerId;
use hawser_node::config::{NodeKind, PeerSection};
use hawser_node::peers::{PEER_NAME_BYTES_MAX, PEERS_MAX};
use hawser_primitives::{B256, ChainId, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::trust::TrustFiles;
use crate::lang::Lang;

/// Largest invitation read, in bytes. A genesis may hold many accounts.
pub(super) const BUNDLE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest request read, in bytes.
pub(super) const REQUEST_BYTES_MAX: u64 = 16 * 1024;
const INVITATION: &str = "hawser-invitation";
const REQUEST: &str = "hawser-join-request";
const VERSION: u32 = 1;

/// What a node is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Votes, once the consortium has admitted it
    Validator,
    /// Keeps a full copy and has no vote
    Observer,
    /// Follows verified headers and asks for proofs; keeps no copy and has no vote
    Light,
}

impl Role {
    /// What its peers admit it as.
    pub(super) const fn kind(self) -> NodeKind {
        match self {
            Self::Validator => NodeKind::Validator,
            Self::Observer => NodeKind::Observer,
            Self::Light => NodeKind::Light,
        }
    }

    /// Its name for people.
    pub(super) const fn name(self, lang: Lang) -> &'static str {
        match self {
            Self::Validator => lang.pick("validator", "验证者"),
            Self::Observer => lang.pick("observer", "观察者"),
            Self::Light => lang.pick("light", "轻节点"),
        }
    }
}

/// What a peer was admitted as, for people.
pub(super) const fn kind_name(kind: Option<NodeKind>, lang: Lang) -> &'static str {
    match kind {
        None => lang.pick("full", "全节点"),
        Some(NodeKind::Validator) => Role::Validator.name(lang),
        Some(NodeKind::Observer) => Role::Observer.name(lang),
        Some(NodeKind::Light) => Role::Light.name(lang),
    }
}

/// An invitation: what a new node has to know, and nothing that has to stay secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Invitation {
    format: String,
    version: u32,
    pub(super) role: Role,
    pub(super) chain_id: ChainId,
    pub(super) name: String,
    pub(super) suite: Suite,
    pub(super) genesis_hash: B256,
    /// Who invites, for people.
    pub(super) issuer: String,
    pub(super) issued_ms: Time,
    pub(super) expires_ms: Time,
    pub(super) peers: Vec<PeerSection>,
    /// Whose certificates the inviting node believes, where links go by certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trust: Option<TrustFiles>,
    pub(super) genesis: Value,
}

/// What a new node asks the operators of the others for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Request {
    format: String,
    version: u32,
    pub(super) role: Role,
    pub(super) chain_id: ChainId,
    pub(super) genesis_hash: B256,
    pub(super) name: String,
    pub(super) id: PeerId,
    pub(super) address: String,
    /// Public key of its votes; only validators have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vote_key: Option<PublicKey>,
}

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub(super) enum BundleError {
    #[error("it is no {0}: {1}")]
    Format(&'static str, String),
    #[error("version {0} is not known here; a newer version of this program may know it")]
    Version(u32),
    #[error("the genesis in it is unusable: {0}")]
    Genesis(String),
    #[error(
        "its `{0}` does not fit the genesis in it: the file was changed or put together wrongly"
    )]
    Contradiction(&'static str),
    #[error("it expired at {0}; ask for a new one")]
    Expired(String),
    #[error("it names {0} peers; 1 to {PEERS_MAX} are needed")]
    Peers(usize),
    #[error("its `{field}` is {address:?}, which cannot be dialled; HOST:PORT is needed")]
    Address {
        /// Which one.
        field: String,
        address: String,
    },
    #[error("the name `{0}` is empty or longer than {PEER_NAME_BYTES_MAX} bytes")]
    Name(String),
}

impl Invitation {
    /// An invitation to the chain of this genesis.
    pub(super) fn new(
        genesis: &Genesis,
        role: Role,
        issuer: String,
        (peers, trust): (Vec<PeerSection>, Option<TrustFiles>),
        (issued_ms, expires_ms): (Time, Time),
    ) -> Result<Self, BundleError> {
        let document = serde_json::to_value(genesis)
            .map_err(|error| BundleError::Genesis(error.to_string()))?;
        Ok(Self {
            format: INVITATION.to_owned(),
            version: VERSION,
            role,
            chain_id: genesis.chain_id,
            name: genesis.name.clone(),
            suite: genesis.suite,
            genesis_hash: genesis.hash(),
            issuer,
            issued_ms,
            expires_ms,
            peers,
            trust,
            genesis: document,
        })
    }

    /// Reads and checks an invitation; gives its genesis with it.
    pub(super) fn parse(text: &str, now: Time) -> Result<(Self, Genesis), BundleError> {
        let found: Self = serde_json::from_str(text)
            .map_err(|error| BundleError::Format("invitation", error.to_string()))?;
        check_format("invitation", INVITATION, &found.format, found.version)?;
        let genesis = Genesis::from_json(&found.genesis.to_string())
            .map_err(|error| BundleError::Genesis(error.to_string()))?;
        for (fits, what) in [
            (found.chain_id == genesis.chain_id, "chainId"),
            (found.name == genesis.name, "name"),
            (found.suite == genesis.suite, "suite"),
            (found.genesis_hash == genesis.hash(), "genesisHash"),
        ] {
            if !fits {
                return Err(BundleError::Contradiction(what));
            }
        }
        if found.peers.is_empty() || found.peers.len() > PEERS_MAX {
            return Err(BundleError::Peers(found.peers.len()));
        }
        for (at, peer) in found.peers.iter().enumerate() {
            check_address(|| format!("peers[{at}].address"), &peer.address)?;
        }
        if found.trust.as_ref().is_some_and(|trust| !trust.is_plain()) {
            return Err(BundleError::Contradiction("trust"));
        }
        if now >= found.expires_ms {
            let expired = crate::quantity::utc(found.expires_ms.0);
            return Err(BundleError::Expired(expired));
        }
        Ok((found, genesis))
    }
}

impl Request {
    /// A request of a node that an invitation made.
    pub(super) fn new(
        invitation: &Invitation,
        name: String,
        id: PeerId,
        address: String,
        vote_key: Option<PublicKey>,
    ) -> Self {
        Self {
            format: REQUEST.to_owned(),
            version: VERSION,
            role: invitation.role,
            chain_id: invitation.chain_id,
            genesis_hash: invitation.genesis_hash,
            name,
            id,
            address,
            vote_key,
        }
    }

    /// Reads a request.
    pub(super) fn parse(text: &str) -> Result<Self, BundleError> {
        let found: Self = serde_json::from_str(text)
            .map_err(|error| BundleError::Format("request to join", error.to_string()))?;
        check_format("request to join", REQUEST, &found.format, found.version)?;
        if found.name.is_empty() || found.name.len() > PEER_NAME_BYTES_MAX {
            return Err(BundleError::Name(found.name.chars().take(80).collect()));
        }
        check_address(|| "address".to_owned(), &found.address)?;
        Ok(found)
    }

    /// The peer to admit.
    pub(super) fn peer(&self) -> PeerSection {
        PeerSection {
            id: self.id,
            address: self.address.clone(),
            name: Some(self.name.clone()),
            kind: Some(self.role.kind()),
        }
    }
}

fn check_address(field: impl Fn() -> String, address: &str) -> Result<(), BundleError> {
    if hawser_network::is_peer_address(address) {
        return Ok(());
    }
    Err(BundleError::Address {
        field: field(),
        address: address.chars().take(80).collect(),
    })
}

fn check_format(
    what: &'static str,
    expected: &str,
    format: &str,
    version: u32,
) -> Result<(), BundleError> {
    if format != expected {
        let text = format!(
            "its format is `{}`",
            format.chars().take(40).collect::<String>()
        );
        return Err(BundleError::Format(what, text));
    }
    if version != VERSION {
        return Err(BundleError::Version(version));
    }
    Ok(())
}

/// A hash as people compare it on the telephone: groups of eight digits.
pub(super) fn spoken(hash: B256) -> String {
    let digits = hex::encode(hash);
    let groups: Vec<_> = digits
        .as_bytes()
        .chunks(8)
        .map(String::from_utf8_lossy)
        .collect();
    groups.join(" ")
}

/// Takes a hash as [`spoken`] shows it, or as one word.
pub(super) fn heard(text: &str) -> std::result::Result<B256, String> {
    let digits: String = text.split_whitespace().collect();
    digits.parse().map_err(|_| {
        format!("{text:?} is not a hash: 64 hexadecimal digits, with or without 0x and spaces")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hawser_crypto::{Scheme, SecretKey};
    use hawser_ledger::{ChainParameters, GenesisValidator, PROTOCOL_VERSION};

    use super::*;

    fn genesis() -> Genesis {
        Genesis {
            protocol_version: PROTOCOL_VERSION,
            chain_id: ChainId(7),
            name: "chain".to_owned(),
            suite: Suite::Intl,
            time: Time(1),
            parameters: ChainParameters::default(),
            validators: vec![GenesisValidator {
                name: "v".to_owned(),
                public_key: SecretKey::from_seed(Scheme::Ed25519, &[1; 32])
                    .unwrap()
                    .public_key(),
                weight: 1,
            }],
            governance: None,
            accounts: BTreeMap::new(),
        }
    }

    fn invitation() -> Invitation {
        let peer = PeerSection {
            id: PeerId([1; 32]),
            address: "host:1".to_owned(),
            name: Some("node0".to_owned()),
            kind: None,
        };
        let times = (Time(10), Time(20));
        Invitation::new(
            &genesis(),
            Role::Observer,
            "node0".to_owned(),
            (vec![peer], None),
            times,
        )
        .unwrap()
    }

    #[test]
    fn an_invitation_survives_its_file_until_it_expires() {
        let text = serde_json::to_string(&invitation()).unwrap();
        let (found, document) = Invitation::parse(&text, Time(19)).unwrap();
        assert_eq!((found, document), (invitation(), genesis()));
        assert!(matches!(
            Invitation::parse(&text, Time(20)),
            Err(BundleError::Expired(_))
        ));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        type Spoil = fn(&mut Value);
        let spoils: [(&str, Spoil); 9] = [
            ("address", |v| {
                v["peers"][0]["address"] = "host 1".into();
            }),
            ("chainId", |v| v["chainId"] = 8.into()),
            ("name", |v| v["name"] = "other".into()),
            ("suite", |v| v["suite"] = "sm".into()),
            ("genesis", |v| v["genesis"]["time"] = 2.into()),
            ("genesis", |v| {
                v["genesis"]["validators"] = Value::Array(Vec::new())
            }),
            ("peers", |v| v["peers"] = Value::Array(Vec::new())),
            ("version", |v| v["version"] = 2.into()),
            ("format", |v| v["format"] = "hawser-join-request".into()),
        ];
        for (what, spoil) in spoils {
            let mut value = serde_json::to_value(invitation()).unwrap();
            spoil(&mut value);
            assert!(
                Invitation::parse(&value.to_string(), Time(15)).is_err(),
                "{what}"
            );
        }
        assert!(Invitation::parse("{}", Time(15)).is_err());
    }

    #[test]
    fn an_address_that_cannot_be_dialled_is_named_by_its_field() {
        let mut value = serde_json::to_value(invitation()).unwrap();
        let second = value["peers"][0].clone();
        value["peers"].as_array_mut().unwrap().push(second);
        Invitation::parse(&value.to_string(), Time(15)).unwrap();
        for damaged in [
            "", "host", "host:", ":1", "host:0", "host:1x", "ho st:1", "h\u{7}:1",
        ] {
            value["peers"][1]["address"] = damaged.into();
            let error = Invitation::parse(&value.to_string(), Time(15)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("`peers[1].address`"), "{damaged:?}: {text}");
        }
    }

    #[test]
    fn a_request_survives_its_file_and_needs_a_name() {
        let request = Request::new(
            &invitation(),
            "new".to_owned(),
            PeerId([2; 32]),
            "new:1".to_owned(),
            None,
        );
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(Request::parse(&text).unwrap(), request);
        for name in [String::new(), "x".repeat(PEER_NAME_BYTES_MAX + 1)] {
            let mut value = serde_json::to_value(&request).unwrap();
            value["name"] = name.into();
            assert!(matches!(
                Request::parse(&value.to_string()),
                Err(BundleError::Name(_))
            ));
        }
    }

    #[test]
    fn hashes_are_spoken_in_groups() {
        let text = spoken(B256::repeat_byte(0xab));
        assert_eq!(text.split(' ').count(), 8);
        assert!(text.starts_with("abababab "));
        let hash = B256::repeat_byte(0xab);
        for said in [text, hash.to_string(), hex::encode(hash)] {
            assert_eq!(heard(&said), Ok(hash), "{said}");
        }
        assert!(heard("abab").unwrap_err().contains("64 hexadecimal"));
    }
}
