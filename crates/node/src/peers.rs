//! Peers that are admitted or removed while a node runs.
//!
//! A node admits the peers of its configuration. What an operator changes later lies in a file of
//! the node's data folder ([`PeerChanges::FILE`]): who may write there may change it, and nobody
//! else. A running node takes changes over without a restart, and a restart finds them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use hawser_network::{PeerAddress, PeerId};
use hawser_primitives::{give_to_owner_of, open_file};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::PeerSection;

/// Most peers that a node admits, and most entries of the file.
pub const PEERS_MAX: usize = 1_000;
/// Longest name of a peer, in bytes.
pub const PEER_NAME_BYTES_MAX: usize = 128;
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Names of peers for people, shared with the chains that show them.
pub type PeerNames = Arc<RwLock<BTreeMap<PeerId, String>>>;

/// Why the file cannot be used or a change cannot be made.
#[derive(Debug, Error)]
pub enum PeerChangesError {
    /// Reading or writing.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Not what this program wrote.
    #[error(
        "{path} is damaged: {reason}; correct it, or remove it to go back to the configuration"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Over [`PEERS_MAX`].
    #[error("a node admits at most {PEERS_MAX} peers; remove one first")]
    TooMany,
    /// Over [`PEER_NAME_BYTES_MAX`].
    #[error("the name of a peer has at most {PEER_NAME_BYTES_MAX} bytes")]
    NameTooLong,
    /// The name is taken.
    #[error("another peer is called {0} already; choose a name that tells them apart")]
    NameTaken(String),
    /// Nobody of this id or name.
    #[error("no admitted peer has the id or name {0}; `hawser node list` shows them")]
    Unknown(String),
}

/// What differs from the configuration's list of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerChanges {
    /// Admitted beside the configured ones, or in their place.
    #[serde(default)]
    pub admitted: Vec<PeerSection>,
    /// No longer admitted, although configured.
    #[serde(default)]
    pub removed: Vec<PeerId>,
}

impl PeerChanges {
    /// Name of the file within the node's data folder.
    pub const FILE: &str = "peers.json";

    /// Reads the file of a data folder; no file means no changes.
    pub fn read(data_dir: &Path) -> Result<Self, PeerChangesError> {
        let path = data_dir.join(Self::FILE);
        let io = |source| PeerChangesError::Io {
            path: path.clone(),
            source,
        };
        let file = match open_file(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(io)?;
        let damaged = |reason: String| PeerChangesError::Damaged {
            path: path.clone(),
            reason,
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(damaged(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        let changes: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let ids: BTreeSet<_> = changes.admitted.iter().map(|peer| peer.id).collect();
        if changes.admitted.len() > PEERS_MAX || changes.removed.len() > PEERS_MAX {
            return Err(damaged(format!("it lists more than {PEERS_MAX} peers")));
        }
        if ids.len() != changes.admitted.len() {
            return Err(damaged("a peer is listed twice".to_owned()));
        }
        Ok(changes)
    }

    /// Replaces the file, all or nothing.
    pub fn write(&self, data_dir: &Path) -> Result<(), PeerChangesError> {
        let path = data_dir.join(Self::FILE);
        let beside = data_dir.join(format!("{}.new", Self::FILE));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(data_dir)?;
            let mut file = fs::File::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            give_to_owner_of(data_dir, &beside)?;
            fs::rename(&beside, &path)?;
            fs::File::open(data_dir)?.sync_all()
        };
        write().map_err(|source| PeerChangesError::Io {
            path: path.clone(),
            source,
        })
    }

    /// The peers to admit, given the configured ones.
    #[must_use]
    pub fn apply(&self, configured: &[PeerSection]) -> Vec<PeerSection> {
        let replaced = |id: &PeerId| self.admitted.iter().any(|peer| peer.id == *id);
        configured
            .iter()
            .filter(|peer| !replaced(&peer.id) && !self.removed.contains(&peer.id))
            .chain(&self.admitted)
            .cloned()
            .collect()
    }

    /// Admits a peer, or changes its address and name.
    pub fn admit(
        &mut self,
        configured: &[PeerSection],
        peer: PeerSection,
    ) -> Result<(), PeerChangesError> {
        if peer
            .name
            .as_ref()
            .is_some_and(|name| name.len() > PEER_NAME_BYTES_MAX)
        {
            return Err(PeerChangesError::NameTooLong);
        }
        let others = self.apply(configured);
        let mut others = others.iter().filter(|other| other.id != peer.id);
        if others.clone().count() >= PEERS_MAX {
            return Err(PeerChangesError::TooMany);
        }
        if let Some(name) = &peer.name
            && others.any(|other| other.name.as_ref() == Some(name))
        {
            return Err(PeerChangesError::NameTaken(name.clone()));
        }
        self.removed.retain(|id| *id != peer.id);
        self.admitted.retain(|other| other.id != peer.id);
        if !configured.contains(&peer) {
            self.admitted.push(peer);
        }
        Ok(())
    }

    /// Stops admitting a peer, named by its id or its name; gives what it was.
    pub fn remove(
        &mut self,
        configured: &[PeerSection],
        what: &str,
    ) -> Result<PeerSection, PeerChangesError> {
        let all = self.apply(configured);
        let fits =
            |peer: &&PeerSection| peer.name.as_deref() == Some(what) || peer.id.to_string() == what;
        let Some(peer) = all.iter().find(fits) else {
            return Err(PeerChangesError::Unknown(what.chars().take(80).collect()));
        };
        self.admitted.retain(|other| other.id != peer.id);
        if configured.iter().any(|other| other.id == peer.id) {
            self.removed.push(peer.id);
        }
        Ok(peer.clone())
    }
}

/// Peers as the network takes them.
#[must_use]
pub fn addresses(peers: &[PeerSection]) -> Vec<PeerAddress> {
    let address = |peer: &PeerSection| PeerAddress {
        id: peer.id,
        address: peer.address.clone(),
    };
    peers.iter().map(address).collect()
}

/// The names that peers have.
#[must_use]
pub fn names(peers: &[PeerSection]) -> BTreeMap<PeerId, String> {
    let named = peers.iter();
    named
        .filter_map(|peer| Some((peer.id, peer.name.clone()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(i: u8, name: &str) -> PeerSection {
        PeerSection {
            id: PeerId([i; 32]),
            address: format!("host{i}:9545"),
            name: Some(name.to_owned()),
            kind: None,
        }
    }

    #[test]
    fn changes_lie_over_the_configuration_and_survive_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let configured = [peer(1, "a"), peer(2, "b")];
        let mut changes = PeerChanges::read(dir.path()).unwrap();
        assert_eq!(changes.apply(&configured), configured);
        changes.admit(&configured, peer(3, "c")).unwrap();
        assert_eq!(changes.remove(&configured, "b").unwrap(), peer(2, "b"));
        let moved = PeerSection {
            address: "elsewhere:1".to_owned(),
            ..peer(1, "a")
        };
        changes.admit(&configured, moved.clone()).unwrap();
        changes.write(dir.path()).unwrap();
        let found = PeerChanges::read(dir.path()).unwrap();
        assert_eq!(found, changes);
        assert_eq!(found.apply(&configured), [peer(3, "c"), moved]);
        // As configured again, nothing differs any more.
        changes.admit(&configured, peer(1, "a")).unwrap();
        changes.admit(&configured, peer(2, "b")).unwrap();
        changes
            .remove(&configured, &PeerId([3; 32]).to_string())
            .unwrap();
        assert_eq!(changes, PeerChanges::default());
    }

    #[test]
    fn strangers_and_taken_names_are_refused_and_the_number_is_bounded() {
        let configured = [peer(1, "a")];
        let mut changes = PeerChanges::default();
        assert!(matches!(
            changes.remove(&configured, "b"),
            Err(PeerChangesError::Unknown(_))
        ));
        assert!(matches!(
            changes.admit(&configured, peer(2, "a")),
            Err(PeerChangesError::NameTaken(_))
        ));
        let longest = "x".repeat(PEER_NAME_BYTES_MAX);
        changes.admit(&configured, peer(2, &longest)).unwrap();
        assert!(matches!(
            changes.admit(&configured, peer(2, &format!("{longest}x"))),
            Err(PeerChangesError::NameTooLong)
        ));
        let nameless = |i: usize| PeerSection {
            id: PeerId(std::array::from_fn(|at| (i >> (8 * (at % 4))) as u8)),
            address: "h:1".to_owned(),
            name: None,
            kind: None,
        };
        for i in 1_000..1_000 + PEERS_MAX - 2 {
            changes.admit(&configured, nameless(i)).unwrap();
        }
        assert_eq!(changes.apply(&configured).len(), PEERS_MAX);
        assert!(matches!(
            changes.admit(&configured, nameless(9)),
            Err(PeerChangesError::TooMany)
        ));
        // One that is admitted already may still move.
        changes.admit(&configured, nameless(1_000)).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PeerChanges::FILE);
        let one = serde_json::to_string(&peer(1, "a")).unwrap();
        for bad in [
            "{",
            "7",
            "{\"admited\": []}",
            &format!("{{\"admitted\": [{one}, {one}]}}"),
            &" ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1),
        ] {
            fs::write(&path, bad).unwrap();
            let error = PeerChanges::read(dir.path()).unwrap_err();
            assert!(matches!(error, PeerChangesError::Damaged { .. }), "{error}");
        }
    }
}
