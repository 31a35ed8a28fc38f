//! What an operator can change about a node, taken stock of.
//!
//! A running node compares itself every second with what it last wrote down, and once at its start,
//! so that a change is on the record whoever made it and however: by a command, in an editor, while
//! the node was down.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use hawser_crypto::Suite;
use hawser_node::config::{Loaded, PeerSection};
use hawser_node::peers::PeerChanges;
use hawser_pki::{Crl, TrustFolder, parse_certificates};
use hawser_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::acts::Act;
use crate::exit::{Code, OrFail, Result};
use crate::quantity::counted;
use crate::{datafolder, files};

/// Name of the file in the node's data folder.
const NAME: &str = "inventory.json";
/// Largest such file, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most things taken stock of.
const ITEMS_MAX: usize = 8_192;
/// Largest file that is hashed, in bytes; of a larger one its length and time count.
const HASHED_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest value of a setting that is shown, in bytes; a longer one is shown as its hash.
const SHOWN_BYTES_MAX: usize = 200;
/// Most changes of one look that have a line each; of the rest one line tells the number.
const CHANGES_MAX: usize = 200;

/// Sort of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sort {
    /// A value of the configuration that is in effect.
    Setting,
    /// The configuration file, which takes effect at the next start.
    ConfigurationFile,
    /// A genesis document.
    Genesis,
    /// A key of the node, encrypted.
    Key,
    /// A file with a secret: its content is not hashed.
    Secret,
    /// A certificate chain that the node shows.
    Certificate,
    /// A certificate that the node trusts.
    Trust,
    /// A revocation list.
    RevocationList,
    /// The accounts that may not read any more.
    RevokedReaders,
    /// The wrapped key of encrypted chain data.
    DataKey,
    /// Folders of chain data.
    ChainData,
    /// An admitted peer.
    Peer,
}

impl Sort {
    const fn words(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::ConfigurationFile => "configuration file",
            Self::Genesis => "genesis",
            Self::Key => "key",
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Trust => "trust",
            Self::RevocationList => "revocation list",
            Self::RevokedReaders => "revoked readers",
            Self::DataKey => "data key",
            Self::ChainData => "chain data",
            Self::Peer => "peer",
        }
    }

    const fn verb(self, before: bool, after: bool) -> &'static str {
        match (self, before, after) {
            (Self::Peer, false, _) => "admitted",
            (_, false, _) => "added",
            (_, true, true) => "changed",
            (_, true, false) => "removed",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    sort: Sort,
    name: String,
    state: String,
}

/// The things and their states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory(BTreeMap<(Sort, String), String>);

impl Inventory {
    /// What a data folder's file says; `None` where there is none, with the reason where it cannot
    /// be used.
    pub(super) fn read(data_dir: &Path) -> std::result::Result<Option<Self>, String> {
        let path = data_dir.join(NAME);
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(&path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
        let items: Vec<Item> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let items = items.into_iter();
        let pairs = items.map(|item| ((item.sort, item.name), item.state));
        Ok(Some(Self(pairs.collect())))
    }

    /// Its written form.
    fn text(&self) -> Result<String> {
        let items = self.0.iter().map(|((sort, name), state)| Item {
            sort: *sort,
            name: name.clone(),
            state: state.clone(),
        });
        serde_json::to_string_pretty(&items.collect::<Vec<_>>()).or_fail(Code::Failed)
    }

    /// Replaces the file, all or nothing.
    pub(super) fn write(&self, data_dir: &Path) -> Result<()> {
        let path = data_dir.join(NAME);
        hawser_pki::write_atomic(&path, &self.text()?, true).or_fail(Code::Failed)
    }

    /// Hash over all of it.
    pub(super) fn digest(&self, suite: Suite) -> Result<B256> {
        Ok(suite.hash(self.text()?.as_bytes()))
    }

    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What differs, as acts that nobody has signed.
    pub(super) fn changes(&self, after: &Self) -> Vec<Act> {
        let mut keys: Vec<_> = self.0.keys().chain(after.0.keys()).collect();
        keys.sort();
        keys.dedup();
        let mut acts = Vec::new();
        let mut more = 0usize;
        for key in keys {
            let (was, is) = (self.0.get(key), after.0.get(key));
            if was == is {
                continue;
            }
            if acts.len() >= CHANGES_MAX {
                more = more.saturating_add(1);
                continue;
            }
            let (sort, name) = key;
            let command = format!(
                "{} {}",
                sort.words(),
                sort.verb(was.is_some(), is.is_some())
            );
            let reason = match (was, is) {
                (Some(was), Some(is)) => format!("was {was}; is {is}"),
                (Some(was), None) => format!("was {was}"),
                (None, is) => is.cloned().unwrap_or_default(),
            };
            acts.push(noticed(&command, name, &reason));
        }
        if more > 0 {
            let reason = format!("{} at the same time", counted(more, "more change"));
            acts.push(noticed("further changes", "", &reason));
        }
        acts
    }
}

/// An act that the node noticed; who it was is not known.
pub(super) fn noticed(command: &str, resource: &str, reason: &str) -> Act {
    Act {
        who: String::new(),
        ..Act::now(command, resource, reason)
    }
}

/// Time of change, length and inode.
type Stamp = (u64, u64, u64);

/// Takes stock of one node.
pub(super) struct Stock {
    suite: Suite,
    data_dir: PathBuf,
    settings: Vec<(String, String)>,
    configured: Vec<PeerSection>,
    files: Vec<(Sort, PathBuf)>,
    trust: Vec<TrustFolder>,
    chains: Vec<PathBuf>,
    /// States of files that have not changed since they were read.
    known: HashMap<PathBuf, (Stamp, String)>,
    peers: Vec<PeerSection>,
}

impl Stock {
    /// For a node with this configuration; `chains` are the folders of its chains' data.
    pub(super) fn new(file: &Path, loaded: &Loaded, chains: Vec<PathBuf>, suite: Suite) -> Self {
        let config = &loaded.config;
        let settings = loaded.settings.iter();
        // Peers are taken stock of one by one.
        let settings = settings.filter(|(key, _)| **key != "network.peers");
        let shown = |text: String| match text.len() {
            0..=SHOWN_BYTES_MAX => text,
            bytes => format!("{bytes} bytes, hash {}", suite.hash(text.as_bytes())),
        };
        let settings = settings.map(|(key, setting)| {
            let value = shown(setting.value.to_string());
            ((*key).to_owned(), value)
        });
        let mut files = vec![
            (Sort::ConfigurationFile, file.to_owned()),
            (Sort::Key, config.node.identity_key.clone()),
        ];
        for chain in &config.chains {
            files.push((Sort::Genesis, chain.genesis.clone()));
            files.extend(chain.vote_key.clone().map(|path| (Sort::Key, path)));
        }
        let (network, rpc) = (&config.network, &config.rpc);
        let given = [
            (Sort::Certificate, &network.certificate),
            (Sort::Certificate, &rpc.tls_certificate),
            (Sort::Key, &rpc.tls_key),
            (Sort::RevokedReaders, &rpc.revoked_readers),
            (Sort::Secret, &config.node.passphrase_file),
            (Sort::Secret, &config.storage.encryption_key_file),
            (Sort::Secret, &config.tier.credentials_file),
        ];
        let given = given.into_iter();
        files.extend(given.filter_map(|(sort, path)| Some((sort, path.clone()?))));
        let trust = [&network.trust_dir, &rpc.tls_client_trust_dir];
        let trust = trust.into_iter().flatten().cloned().map(TrustFolder);
        Self {
            suite,
            data_dir: config.node.data_dir.clone(),
            settings: settings.collect(),
            configured: config.network.peers.clone(),
            files,
            trust: trust.collect(),
            chains,
            known: HashMap::new(),
            peers: Vec::new(),
        }
    }

    /// Looks at everything.
    pub(super) fn take(&mut self) -> Inventory {
        let mut items = BTreeMap::new();
        for (key, value) in &self.settings {
            items.insert((Sort::Setting, key.clone()), value.clone());
        }
        let mut files = self.files.clone();
        for folder in &self.trust {
            let parts = [
                (Sort::Trust, folder.roots()),
                (Sort::Trust, folder.intermediates()),
                (Sort::RevocationList, folder.crls()),
            ];
            for (sort, dir) in parts {
                files.extend(list(&dir).into_iter().map(|path| (sort, path)));
            }
        }
        for dir in &self.chains {
            files.push((Sort::DataKey, dir.join(datafolder::NAME)));
            for part in ["log", "kv"] {
                files.push((Sort::ChainData, dir.join(part)));
            }
        }
        for (sort, path) in files.into_iter().take(ITEMS_MAX) {
            if let Some(state) = self.state(sort, &path) {
                items.insert((sort, path.display().to_string()), state);
            }
        }
        // A damaged file is complained about by who follows it, and changes nothing.
        if let Ok(changes) = PeerChanges::read(&self.data_dir) {
            self.peers = changes.apply(&self.configured);
        }
        for peer in &self.peers {
            let name = peer.name.as_deref().unwrap_or_default();
            let state = format!("{} {name}", peer.address);
            items.insert((Sort::Peer, peer.id.to_string()), state.trim().to_owned());
        }
        Inventory(items)
    }

    /// The state of a file; `None` where there is none.
    fn state(&mut self, sort: Sort, path: &Path) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path).ok()?;
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| time.as_millis().try_into().unwrap_or(u64::MAX));
        let stamp = (modified, metadata.len(), metadata.ino());
        if sort == Sort::ChainData {
            // Its content changes all the time; another folder in its place is another matter.
            return Some(format!("folder {}", metadata.ino()));
        }
        if let Some((known, state)) = self.known.get(path)
            && *known == stamp
        {
            return Some(state.clone());
        }
        let written = || format!("{} bytes, written at {modified} ms", metadata.len());
        let state = match sort {
            Sort::Secret => written(),
            _ if metadata.len() > HASHED_BYTES_MAX || !metadata.is_file() => written(),
            _ => match fs::read(path) {
                Ok(bytes) => self.described(sort, &bytes),
                Err(error) => format!("cannot be read: {error}"),
            },
        };
        self.known.insert(path.to_owned(), (stamp, state.clone()));
        Some(state)
    }

    fn described(&self, sort: Sort, bytes: &[u8]) -> String {
        let hash = self.suite.hash(bytes);
        let text = String::from_utf8_lossy(bytes);
        let detail = match sort {
            Sort::Certificate | Sort::Trust => parse_certificates(&text).ok().and_then(|all| {
                let first = all.first()?;
                let until = crate::quantity::utc(first.not_after().0.saturating_mul(1_000));
                let subject = &first.subject().common_name;
                Some(format!(
                    "{subject}, serial {}, until {until}",
                    first.serial()
                ))
            }),
            Sort::RevocationList => Crl::parse_all(&text).ok().map(|lists| {
                let one = |list: &Crl| format!("number {}, {} revoked", list.number(), list.len());
                let lists: Vec<_> = lists.iter().take(4).map(one).collect();
                lists.join("; ")
            }),
            _ => None,
        };
        match detail {
            Some(detail) => format!("{detail} ({hash})"),
            None => hash.to_string(),
        }
    }
}

/// The files of a folder; those that begin with a dot are being written.
fn list(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .take(ITEMS_MAX)
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
