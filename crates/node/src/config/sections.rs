use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hawser_consensus::Timeouts;
use hawser_network::{Limits, PeerId};
use serde::{Deserialize, Deserializer, Serialize, de};

use hawser_ledger::state::StateOptions;

use hawser_storage::SegmentOptions;

use crate::{
    pool::PoolLimits,
    store::{StoreOptions, TierRules, keep_blocks_min},
};

/// Size of a file of blocks or receipts on a pruned node.
const PRUNED_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A node's configuration with every key filled in, checked, and its paths absolute or relative to
/// the working folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The node itself.
    pub node: NodeSection,
    /// Links to peers.
    pub network: NetworkSection,
    /// The chains that it hosts.
    pub chains: Vec<ChainSection>,
    /// The interface to clients.
    pub rpc: RpcSection,
    /// What is kept in memory and on disk.
    pub storage: StorageSection,
    /// The object store that old files are moved to.
    pub tier: TierSection,
    /// How a new node comes to the chain's state.
    pub sync: SyncSection,
    /// Snapshots of the chain's state.
    pub snapshot: SnapshotSection,
    /// Waits of agreement.
    pub consensus: ConsensusSection,
    /// Waiting transactions.
    pub pool: PoolSection,
    /// How blocks are executed.
    pub execution: ExecutionSection,
    /// The record of decisions and administrative acts.
    pub audit: AuditSection,
    /// Logging.
    pub log: LogSection,
    /// Metrics and health.
    pub metrics: MetricsSection,
}

/// The node itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Name for people.
    pub name: String,
    /// Whether it keeps full copies of its chains or verified headers.
    pub mode: NodeMode,
    /// Folder for everything that the node keeps.
    pub data_dir: PathBuf,
    /// Encrypted key of the node: Ed25519, or that of its certificate.
    pub identity_key: PathBuf,
    /// File that holds the process id while the node runs.
    #[serde(deserialize_with = "optional_path")]
    pub pid_file: Option<PathBuf>,
    /// File whose first line opens the keys.
    #[serde(deserialize_with = "optional_path")]
    pub passphrase_file: Option<PathBuf>,
}

/// Links to peers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSection {
    /// Where peers connect.
    pub listen: SocketAddr,
    /// The admitted peers.
    pub peers: Vec<PeerSection>,
    /// What links are proved with.
    pub credential: CredentialKind,
    /// The node's certificate chain.
    #[serde(deserialize_with = "optional_path")]
    pub certificate: Option<PathBuf>,
    /// Roots, intermediates and revocation lists.
    #[serde(deserialize_with = "optional_path")]
    pub trust_dir: Option<PathBuf>,
    /// Whether current revocation lists are needed.
    pub revocation: RevocationKind,
    /// Time for connecting and authenticating, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// A link idle for this long is probed, in milliseconds.
    pub ping_interval_ms: u64,
    /// A link silent for this long is dead, in milliseconds.
    pub peer_timeout_ms: u64,
    /// Longest pause between attempts to reach a peer, in milliseconds.
    pub backoff_ms_max: u64,
    /// Most bytes waiting for one peer.
    pub queue_bytes_max: usize,
    /// Most authenticated links.
    pub connections_max: usize,
}

/// What links are proved with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// The identity key alone (RFC 7250).
    RawKey,
    /// An X.509 certificate for it.
    Certificate,
}

/// Whether current revocation lists are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationKind {
    /// Lists that are there count.
    IfPresent,
    /// Without a current list of its authority a peer is refused.
    Required,
}

/// Whether clients of the interface need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientsKind {
    /// They may show one.
    Optional,
    /// They have to.
    Required,
}

/// An admitted peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSection {
    /// Its public key.
    pub id: PeerId,
    /// Where to dial it, `host:port`.
    pub address: String,
    /// Name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// What it was admitted as; `None` for a full node of either kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<NodeKind>,
}

/// What a node is to its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A full node that votes, once the committee has it.
    Validator,
    /// A full node without a vote.
    Observer,
    /// Follows headers and keeps no copy: it is not told what full nodes tell one another.
    Light,
}

/// How a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeMode {
    /// With a full copy of its chains.
    Full,
    /// With verified headers only.
    Light,
}

/// A chain that the node hosts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSection {
    /// The genesis document.
    pub genesis: PathBuf,
    /// Encrypted key that signs votes; `None` for a node that follows.
    #[serde(default, deserialize_with = "optional_path")]
    pub vote_key: Option<PathBuf>,
    /// The chain's data; `None` for `chain-<id>` within the node's data folder.
    #[serde(default, deserialize_with = "optional_path")]
    pub dir: Option<PathBuf>,
    /// Who may query; `None` for what `rpc.reads` says.
    #[serde(default)]
    pub reads: Option<ReadsMode>,
    /// Of so many allowed reads one is recorded.
    #[serde(default = "one")]
    pub audit_one_in: u64,
}

/// Who may query a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadsMode {
    /// Everybody who reaches the listener.
    Open,
    /// Authenticated readers.
    Signed,
}

const fn one() -> u64 {
    1
}

/// The interface to clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcSection {
    /// HTTP and WebSocket; `None` for off.
    #[serde(deserialize_with = "optional_socket")]
    pub http: Option<SocketAddr>,
    /// Certificate chain of the interface; `None` for no TLS.
    #[serde(deserialize_with = "optional_path")]
    pub tls_certificate: Option<PathBuf>,
    /// Its encrypted key.
    #[serde(deserialize_with = "optional_path")]
    pub tls_key: Option<PathBuf>,
    /// Whose client certificates are believed; `None` asks for none.
    #[serde(deserialize_with = "optional_path")]
    pub tls_client_trust_dir: Option<PathBuf>,
    /// Whether clients need a certificate.
    pub tls_clients: ClientsKind,
    /// Origins whose web pages may call; `auto` and `*` as the key's documentation says.
    pub cors: Vec<String>,
    /// Who may query chains that do not say themselves.
    pub reads: ReadsMode,
    /// How long a reader's token is good for, in milliseconds.
    pub token_ms_max: u64,
    /// File of accounts that may not read here any more.
    #[serde(deserialize_with = "optional_path")]
    pub revoked_readers: Option<PathBuf>,
    /// Most HTTP connections at a time.
    pub connections_max: usize,
    /// Most connections from one address at a time.
    pub connections_per_address_max: usize,
    /// Most WebSocket connections at a time.
    pub websockets_max: usize,
    /// Largest HTTP request, in bytes.
    pub body_bytes_max: usize,
    /// Largest response, in bytes.
    pub response_bytes_max: usize,
    /// Most calls in a batch.
    pub batch_max: usize,
    /// Longest that a request may take, in milliseconds.
    pub request_ms_max: u64,
    /// Longest that a client may leave an answer unread, in milliseconds.
    pub write_ms_max: u64,
    /// Most bytes held for all clients.
    pub memory_bytes_max: usize,
    /// Most bytes held for one connection.
    pub connection_bytes_max: usize,
    /// Most subscriptions on one WebSocket connection.
    pub subscriptions_max: usize,
    /// Most filters held for clients.
    pub filters_max: usize,
    /// Most blocks that one request for logs may span.
    pub logs_range_max: u64,
    /// Most logs in one answer.
    pub logs_results_max: usize,
    /// Most gas for one call, estimate or simulation.
    pub call_gas_max: u64,
    /// Calls, traces and log queries run at once; 0 for one per processor.
    pub heavy_max: usize,
    /// Longest that one of them may take, in milliseconds.
    pub heavy_ms_max: u64,
}

/// What is kept in memory and on disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSection {
    /// Memory for caches of state and indexes, per chain, in MiB.
    pub cache_mib: u64,
    /// Blocks whose changes of the state may wait in memory.
    pub state_overlay_blocks: u64,
    /// Whether old blocks are kept.
    pub mode: StorageMode,
    /// Blocks kept with [`StorageMode::Pruned`].
    pub keep_blocks: u64,
    /// Newest headers that a light node keeps; 0 for all.
    pub light_headers: u64,
    /// Latest blocks whose state can be proved.
    pub provable_blocks: u64,
    /// Blocks before those for which past state can be read; 0 for none.
    pub history_blocks: u64,
    /// Whether chain data is encrypted, and what opens its key.
    pub encryption: Encryption,
    /// What opens the data key with [`Encryption::KeyFile`].
    #[serde(deserialize_with = "optional_path")]
    pub encryption_key_file: Option<PathBuf>,
}

/// The object store that old files are moved to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierSection {
    /// Whether there is one.
    pub store: TierStore,
    /// Its address.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What keys begin with.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Where the bucket stands in an address.
    pub addressing: TierAddressing,
    /// What requests are signed with; `None` for the environment.
    #[serde(deserialize_with = "optional_path")]
    pub credentials_file: Option<PathBuf>,
    /// Authorities that are believed; `None` for those of the system.
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
    /// Blocks behind the checkpoint after which a file is moved …
    pub after_blocks: u64,
    /// … and seconds.
    pub after_s: u64,
    /// Size of files while there is a store, in KiB.
    pub segment_kib: u64,
    /// What is kept of what was read, in MiB per chain.
    pub cache_mib: u64,
    /// Rate of uploads, in MiB per second; 0 for as fast as it goes.
    pub mib_per_s: u64,
    /// Bound of a request, in milliseconds.
    pub timeout_ms: u64,
}

/// Kinds of stores that files are moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TierStore {
    /// None: everything stays here.
    None,
    /// An S3-compatible one.
    S3,
}

/// Where the bucket stands in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierAddressing {
    /// In the path.
    Path,
    /// Before the host.
    VirtualHost,
}

impl TierSection {
    /// Which files are moved.
    #[must_use]
    pub const fn rules(&self) -> TierRules {
        TierRules {
            after_blocks: self.after_blocks,
            after_ms: self.after_s.saturating_mul(1_000),
        }
    }
}

/// What of the past a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageMode {
    /// All blocks.
    Archive,
    /// The latest ones.
    Pruned,
}

/// Encryption of chain data on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// None.
    None,
    /// The passphrase of the node's keys opens the data key.
    Passphrase,
    /// A key file opens it.
    KeyFile,
}

/// Waits of agreement, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusSection {
    /// For a proposal.
    pub propose_ms: u64,
    /// For prevotes that agree.
    pub prevote_ms: u64,
    /// For precommits that agree.
    pub precommit_ms: u64,
    /// Before votes are sent again.
    pub rebroadcast_ms: u64,
    /// Growth per failed round.
    pub per_round_ms: u64,
    /// Bound on every wait.
    pub max_ms: u64,
}

/// Waiting transactions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSection {
    /// Most of them.
    pub transactions_max: usize,
    /// Most bytes of them.
    pub bytes_max: usize,
    /// Most of one account.
    pub per_account_max: usize,
    /// Furthest nonce ahead.
    pub nonce_gap_max: u64,
    /// Of a thousand attested transactions, how many are verified all the same.
    pub audit_per_mille: u16,
}

/// How blocks are executed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionSection {
    /// Threads that a block may be shared among; 0 for one per processor.
    pub threads: usize,
}

/// How a new node comes to the chain's state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncSection {
    /// What an empty folder is filled from.
    pub mode: SyncMode,
}

/// What an empty folder is filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// All blocks from the first one on.
    Blocks,
    /// A snapshot, which is waited for.
    Snapshot,
    /// A snapshot if a peer offers one, else blocks.
    Auto,
}

/// Snapshots of the chain's state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSection {
    /// A snapshot is made of every block whose height is a multiple of this; 0 for none.
    pub every_blocks: u64,
    /// Snapshots that are kept.
    pub keep: usize,
    /// Rate at which one is written, in MiB per second; 0 for as fast as it goes.
    pub mib_per_s: u64,
    /// Whether peers may fetch them.
    pub serve: SnapshotServe,
}

/// Whether peers may fetch snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotServe {
    /// Admitted full peers may.
    Peers,
    /// Nobody may.
    Nobody,
}

impl SnapshotSection {
    /// Rate in bytes per second; 0 for no bound.
    #[must_use]
    pub const fn bytes_per_s(&self) -> u64 {
        self.mib_per_s.saturating_mul(1024 * 1024)
    }
}

/// The record of decisions and administrative acts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// Folder of its files; `None` for `audit` within the node's data folder.
    #[serde(deserialize_with = "optional_path")]
    pub dir: Option<PathBuf>,
    /// Size at which a file is followed by the next, in bytes.
    pub segment_bytes_max: u64,
    /// Time until an entry is durable, in milliseconds; 0 for before the answer leaves.
    pub sync_ms: u64,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSection {
    /// Filter directives.
    pub level: String,
    /// Form of a line.
    pub format: LogFormat,
    /// Size of the recording of consensus events of each chain, in MiB; 0 for none.
    pub blackbox_mib: u64,
}

/// Form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Metrics and health.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSection {
    /// Where to serve them; `None` for nowhere.
    #[serde(deserialize_with = "optional_socket")]
    pub listen: Option<SocketAddr>,
}

impl NodeConfig {
    /// Folder of the audit log.
    #[must_use]
    pub fn audit_dir(&self) -> PathBuf {
        match &self.audit.dir {
            Some(dir) => dir.clone(),
            None => self.node.data_dir.join("audit"),
        }
    }

    /// Options of a chain's store.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        let mut options = self.storage.store_options();
        if self.tier.store != TierStore::None {
            options.segments.segment_bytes = self.tier.segment_kib.saturating_mul(1024);
        }
        options
    }

    /// Who may query a chain.
    #[must_use]
    pub fn reads_of(&self, chain: &ChainSection) -> ReadsMode {
        chain.reads.unwrap_or(self.rpc.reads)
    }
}

impl NetworkSection {
    /// Bounds and timeouts of the links.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let backoff_max = Duration::from_millis(self.backoff_ms_max);
        let defaults = Limits::default();
        Limits {
            queue_bytes_max: self.queue_bytes_max,
            connections_max: self.connections_max,
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms),
            ping_interval: Duration::from_millis(self.ping_interval_ms),
            peer_timeout: Duration::from_millis(self.peer_timeout_ms),
            backoff_min: defaults.backoff_min.min(backoff_max),
            backoff_max,
            ..defaults
        }
    }
}

impl StorageSection {
    /// The store's options; three quarters of the cache are for the state.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        let cache = usize::try_from(self.cache_mib.saturating_mul(1024 * 1024));
        let cache = cache.unwrap_or(usize::MAX);
        StoreOptions {
            state: StateOptions {
                overlay_blocks: self.state_overlay_blocks,
                provable_blocks: self.provable_blocks,
                history_blocks: self.history_blocks,
                page_cache_bytes: cache / 2,
                value_cache_bytes: cache / 4,
                ..StateOptions::default()
            },
            segments: SegmentOptions {
                segment_bytes: match self.mode {
                    StorageMode::Archive => SegmentOptions::default().segment_bytes,
                    // Whole files are dropped, so small ones are dropped sooner.
                    StorageMode::Pruned => PRUNED_SEGMENT_BYTES,
                },
                ..SegmentOptions::default()
            },
            keep_blocks: match self.mode {
                StorageMode::Archive => None,
                StorageMode::Pruned => Some(self.keep_blocks),
            },
            ..StoreOptions::default()
        }
    }

    /// The fewest blocks that a pruned node may keep with these settings.
    #[must_use]
    pub fn keep_blocks_min(&self) -> u64 {
        keep_blocks_min(self.history_blocks, self.state_overlay_blocks)
    }

    /// The cache of the key-value store, in bytes: the last quarter.
    #[must_use]
    pub const fn kv_cache_bytes(&self) -> u64 {
        self.cache_mib.saturating_mul(1024 * 1024) / 4
    }
}

impl ConsensusSection {
    /// The waits as agreement takes them.
    #[must_use]
    pub const fn timeouts(&self) -> Timeouts {
        Timeouts {
            propose_ms: self.propose_ms,
            prevote_ms: self.prevote_ms,
            precommit_ms: self.precommit_ms,
            rebroadcast_ms: self.rebroadcast_ms,
            per_round_ms: self.per_round_ms,
            max_ms: self.max_ms,
        }
    }
}

impl PoolSection {
    /// The bounds as the pool takes them.
    #[must_use]
    pub const fn limits(&self) -> PoolLimits {
        PoolLimits {
            transactions_max: self.transactions_max,
            bytes_max: self.bytes_max,
            per_account_max: self.per_account_max,
            nonce_gap_max: self.nonce_gap_max,
            audit_per_mille: self.audit_per_mille,
        }
    }
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

fn optional_socket<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(de::Error::custom)
}
