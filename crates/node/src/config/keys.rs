//! Every key of a node's configuration: type, range, default, meaning.

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of 1 to this many bytes.
    Text(usize),
    /// A file or folder; relative ones count from the folder of the configuration file, or from
    /// the working folder where an environment variable or a flag gives them.
    Path,
    /// As [`Kind::Path`], or empty for none.
    OptionalPath,
    /// `IP:port`.
    Socket,
    /// `IP:port`, or empty to switch the listener off.
    OptionalSocket,
    /// A whole number within these bounds, both included.
    Integer(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of at most this many texts.
    List(usize),
    /// A list of at most this many tables, whose fields are listed.
    Tables(usize, &'static [Field]),
}

/// A field of the tables of a [`Kind::Tables`] key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it has to be there.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its default, as a TOML value.
    pub default: &'static str,
    /// What it means, with its unit.
    pub doc: &'static str,
}

impl Key {
    /// The environment variable that sets it: `rpc.http` is `HAWSER_RPC_HTTP`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("HAWSER_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// The flag that sets it, without dashes: `rpc.body_bytes_max` is `rpc-body-bytes-max`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }
}

const MIB: u64 = 1024 * 1024;

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        doc,
    }
}

/// Fields of `network.peers`.
pub const PEER_FIELDS: &[Field] = &[
    Field {
        name: "id",
        kind: Kind::Text(64),
        required: true,
        doc: "the peer's identity: 64 hexadecimal digits, as `hawser keys show` or `hawser cert inspect` prints it",
    },
    Field {
        name: "address",
        kind: Kind::Text(259),
        required: true,
        doc: "where to dial it, host:port",
    },
    Field {
        name: "name",
        kind: Kind::Text(64),
        required: false,
        doc: "name for people",
    },
    Field {
        name: "kind",
        kind: Kind::Choice(&["validator", "observer", "light"]),
        required: false,
        doc: "what the peer is admitted as; a light one gets answers and nothing that full nodes tell one another",
    },
];

/// Fields of `chains`.
pub const CHAIN_FIELDS: &[Field] = &[
    Field {
        name: "genesis",
        kind: Kind::Path,
        required: true,
        doc: "the chain's genesis document",
    },
    Field {
        name: "vote_key",
        kind: Kind::OptionalPath,
        required: false,
        doc: "encrypted key that signs votes; without it the node follows and does not vote",
    },
    Field {
        name: "dir",
        kind: Kind::OptionalPath,
        required: false,
        doc: "the chain's data; default: chain-<id> within node.data_dir",
    },
    Field {
        name: "reads",
        kind: Kind::Choice(&["open", "signed"]),
        required: false,
        doc: "who may query: open for everybody who reaches the listener, signed for authenticated readers; default: rpc.reads",
    },
    Field {
        name: "audit_one_in",
        kind: Kind::Integer(1, 1_000_000),
        required: false,
        doc: "of so many allowed reads one goes to the audit log; refusals, submissions, subscriptions and inspections always do; default: 1",
    },
];

/// Every key, in the order in which people read them.
pub const KEYS: &[Key] = &[
    key(
        "node.name",
        Kind::Text(64),
        "\"node\"",
        "name for people, in logs and metrics",
    ),
    key(
        "node.mode",
        Kind::Choice(&["full", "light"]),
        "\"full\"",
        "full: keeps and executes every block; light: follows verified headers and asks peers for proofs of the rest",
    ),
    key(
        "node.data_dir",
        Kind::Path,
        "\"data\"",
        "folder for everything that the node keeps",
    ),
    key(
        "node.identity_key",
        Kind::Path,
        "\"keys/identity.pem\"",
        "encrypted key with which the node proves who it is to its peers: Ed25519, or the key of network.certificate",
    ),
    key(
        "node.pid_file",
        Kind::OptionalPath,
        "\"hawser.pid\"",
        "file that holds the process id while the node runs, and keeps a second one from starting",
    ),
    key(
        "node.passphrase_file",
        Kind::OptionalPath,
        "\"\"",
        "file whose first line opens the node's keys; empty: HAWSER_PASSPHRASE_FILE, or ask on the terminal",
    ),
    key(
        "network.listen",
        Kind::Socket,
        "\"0.0.0.0:9545\"",
        "where peers connect",
    ),
    key(
        "network.peers",
        Kind::Tables(1_024, PEER_FIELDS),
        "[]",
        "the admitted peers; nobody else gets a link. An entry for this node itself is ignored",
    ),
    key(
        "network.credential",
        Kind::Choice(&["raw-key", "certificate"]),
        "\"raw-key\"",
        "what links are proved with: node.identity_key alone, or an X.509 certificate for it; all nodes of a network do the same",
    ),
    key(
        "network.certificate",
        Kind::OptionalPath,
        "\"\"",
        "PEM file with the certificate of node.identity_key, then the intermediates above it; an SM2 one makes links of RFC 8998. Read again when it changes",
    ),
    key(
        "network.trust_dir",
        Kind::OptionalPath,
        "\"\"",
        "folder with the organisations' certificates in roots/, intermediates/ and revocation lists in crls/, all PEM. Read again when it changes",
    ),
    key(
        "network.revocation",
        Kind::Choice(&["if-present", "required"]),
        "\"if-present\"",
        "required: peers whose authority has no current revocation list in network.trust_dir are refused",
    ),
    key(
        "network.handshake_timeout_ms",
        Kind::Integer(10, 60_000),
        "3000",
        "time for connecting and authenticating, in milliseconds",
    ),
    key(
        "network.ping_interval_ms",
        Kind::Integer(10, 60_000),
        "1000",
        "a link idle for this long is probed, in milliseconds",
    ),
    key(
        "network.peer_timeout_ms",
        Kind::Integer(20, 600_000),
        "5000",
        "a link silent for this long is dead, in milliseconds; at least twice ping_interval_ms",
    ),
    key(
        "network.backoff_ms_max",
        Kind::Integer(50, 600_000),
        "2000",
        "longest pause between attempts to reach a peer, in milliseconds",
    ),
    key(
        "network.queue_bytes_max",
        Kind::Integer(12 * MIB, 4_096 * MIB),
        "33554432",
        "most bytes waiting for one peer",
    ),
    key(
        "network.connections_max",
        Kind::Integer(1, 65_536),
        "512",
        "most authenticated links",
    ),
    key(
        "chains",
        Kind::Tables(256, CHAIN_FIELDS),
        "[]",
        "the chains that this node hosts",
    ),
    key(
        "rpc.http",
        Kind::OptionalSocket,
        "\"127.0.0.1:8545\"",
        "JSON-RPC over HTTP and WebSocket, both on this port; empty: off",
    ),
    key(
        "rpc.tls_certificate",
        Kind::OptionalPath,
        "\"\"",
        "PEM file with a certificate (profile tls-server), then its intermediates: HTTPS and WSS instead of HTTP and WS, by RFC 8998 for an SM2 one. Read again when it changes",
    ),
    key(
        "rpc.tls_key",
        Kind::OptionalPath,
        "\"\"",
        "encrypted key of rpc.tls_certificate; opens with the passphrase of the node's keys",
    ),
    key(
        "rpc.tls_client_trust_dir",
        Kind::OptionalPath,
        "\"\"",
        "folder as network.trust_dir: clients are asked for a certificate of these organisations; empty: not asked",
    ),
    key(
        "rpc.tls_clients",
        Kind::Choice(&["optional", "required"]),
        "\"optional\"",
        "required: clients without a certificate are refused",
    ),
    key(
        "rpc.cors",
        Kind::List(64),
        "[\"auto\"]",
        "origins whose web pages may call: \"auto\" for all when listening on loopback and none otherwise, \"*\" for all, [] for none",
    ),
    key(
        "rpc.reads",
        Kind::Choice(&["open", "signed"]),
        "\"open\"",
        "who may query chains that do not say themselves: open for everybody who reaches the listener, signed for authenticated readers",
    ),
    key(
        "rpc.token_ms_max",
        Kind::Integer(1_000, 900_000),
        "900000",
        "how long a reader's token is good for, in milliseconds; a restart ends all",
    ),
    key(
        "rpc.revoked_readers",
        Kind::OptionalPath,
        "\"revoked-readers\"",
        "file with one account per line that may not read here any more; followed while the node runs, need not exist",
    ),
    key(
        "rpc.connections_max",
        Kind::Integer(1, 100_000),
        "1024",
        "most HTTP connections at a time",
    ),
    key(
        "rpc.connections_per_address_max",
        Kind::Integer(1, 100_000),
        "512",
        "most connections from one address at a time, WebSockets included; behind a proxy all clients share one",
    ),
    key(
        "rpc.websockets_max",
        Kind::Integer(1, 100_000),
        "512",
        "most WebSocket connections at a time",
    ),
    key(
        "rpc.body_bytes_max",
        Kind::Integer(1_024, 256 * MIB),
        "8388608",
        "largest HTTP request, in bytes",
    ),
    key(
        "rpc.response_bytes_max",
        Kind::Integer(65_536, 1_024 * MIB),
        "33554432",
        "largest response, in bytes",
    ),
    key(
        "rpc.batch_max",
        Kind::Integer(1, 100_000),
        "1000",
        "most calls in a batch",
    ),
    key(
        "rpc.request_ms_max",
        Kind::Integer(100, 3_600_000),
        "60000",
        "longest that a request may take, in milliseconds",
    ),
    key(
        "rpc.write_ms_max",
        Kind::Integer(100, 3_600_000),
        "20000",
        "longest that a client may leave an answer unread, in milliseconds; one that reads gets a second more per 64 KiB",
    ),
    key(
        "rpc.memory_bytes_max",
        Kind::Integer(16 * MIB, 65_536 * MIB),
        "536870912",
        "most bytes held for all clients: requests being worked on and answers waiting to be read",
    ),
    key(
        "rpc.connection_bytes_max",
        Kind::Integer(4 * MIB, 65_536 * MIB),
        "100663296",
        "of these, most bytes held for one connection",
    ),
    key(
        "rpc.subscriptions_max",
        Kind::Integer(1, 100_000),
        "64",
        "most subscriptions on one WebSocket connection",
    ),
    key(
        "rpc.filters_max",
        Kind::Integer(1, 1_000_000),
        "1024",
        "most filters held for clients",
    ),
    key(
        "rpc.logs_range_max",
        Kind::Integer(1, 1_000_000_000),
        "100000",
        "most blocks that one request for logs may span",
    ),
    key(
        "rpc.logs_results_max",
        Kind::Integer(1, 1_000_000),
        "10000",
        "most logs in one answer",
    ),
    key(
        "rpc.call_gas_max",
        Kind::Integer(100_000, 100_000_000_000),
        "100000000",
        "most gas for one call, estimate or simulation",
    ),
    key(
        "rpc.heavy_max",
        Kind::Integer(0, 1_024),
        "0",
        "calls, traces and log queries run at once; 0: one per processor",
    ),
    key(
        "rpc.heavy_ms_max",
        Kind::Integer(10, 600_000),
        "10000",
        "longest that one of them may take, in milliseconds",
    ),
    key(
        "storage.cache_mib",
        Kind::Integer(4, 1_048_576),
        "128",
        "memory for caches of state and indexes, per chain, in MiB",
    ),
    key(
        "storage.state_overlay_blocks",
        Kind::Integer(2, 100_000),
        "64",
        "blocks whose changes of the state may wait in memory for being written out; a restart executes them again",
    ),
    key(
        "storage.provable_blocks",
        Kind::Integer(1, 50_000),
        "8",
        "latest blocks whose state can be proved; at most half of state_overlay_blocks",
    ),
    key(
        "storage.history_blocks",
        Kind::Integer(0, 1_000_000_000),
        "1024",
        "blocks before those for which past state can be read; 0: none",
    ),
    key(
        "storage.mode",
        Kind::Choice(&["archive", "pruned"]),
        "\"archive\"",
        "archive keeps all blocks; pruned drops blocks, receipts and index rows that are more than storage.keep_blocks behind, for good",
    ),
    key(
        "storage.keep_blocks",
        Kind::Integer(1, 1_000_000_000),
        "100000",
        "blocks that a pruned node keeps; at least 1024, and at least history_blocks and twice state_overlay_blocks together; those of the last 10 minutes always stay",
    ),
    key(
        "storage.light_headers",
        Kind::Integer(0, 1_000_000_000),
        "0",
        "newest headers that a light node keeps, and up to a file of headers more; 0: all",
    ),
    key(
        "storage.encryption",
        Kind::Choice(&["none", "passphrase", "key-file"]),
        "\"none\"",
        "whether chain data is encrypted on the disk, and what opens its key: the passphrase of the node's keys, or storage.encryption_key_file; decided when the data folder is made",
    ),
    key(
        "storage.encryption_key_file",
        Kind::OptionalPath,
        "\"\"",
        "file of 16 to 4096 secret bytes that opens the data key when storage.encryption is key-file",
    ),
    key(
        "tier.store",
        Kind::Choice(&["none", "s3"]),
        "\"none\"",
        "where old files of blocks and receipts are moved to: none, or an S3-compatible object store; reads go on as before",
    ),
    key(
        "tier.endpoint",
        Kind::Text(512),
        "\"https://s3.amazonaws.com\"",
        "address of the object store, https://host or http://host:port",
    ),
    key(
        "tier.bucket",
        Kind::Text(63),
        "\"hawser\"",
        "bucket, which has to be there",
    ),
    key(
        "tier.prefix",
        Kind::Text(256),
        "\"hawser\"",
        "what the keys of all objects begin with, before a slash and the chain; several nodes may share a bucket and a prefix",
    ),
    key(
        "tier.region",
        Kind::Text(64),
        "\"us-east-1\"",
        "region that requests are signed for; stores of one's own mostly take any",
    ),
    key(
        "tier.addressing",
        Kind::Choice(&["path", "virtual-host"]),
        "\"path\"",
        "whether the bucket stands in the path of an address (most stores of one's own) or before the host (large clouds)",
    ),
    key(
        "tier.credentials_file",
        Kind::OptionalPath,
        "\"\"",
        "file of mode 600 with lines aws_access_key_id = …, aws_secret_access_key = … and, if there is one, aws_session_token = …; empty: the environment's AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
    ),
    key(
        "tier.ca_file",
        Kind::OptionalPath,
        "\"\"",
        "PEM file of the authorities that an https:// store is believed by; empty: those of the system",
    ),
    key(
        "tier.after_blocks",
        Kind::Integer(300, 1_000_000_000),
        "100000",
        "a file is moved when its last block is so many blocks behind the last certified one that is on the disk",
    ),
    key(
        "tier.after_s",
        Kind::Integer(0, 1_000_000_000),
        "86400",
        "and is older than it by so many seconds of the chain's time; below 600 a start may have to read from the store",
    ),
    key(
        "tier.segment_kib",
        Kind::Integer(64, 1_048_576),
        "65536",
        "size in KiB at which a file of blocks or receipts is followed by the next while tier.store is set: whole files are moved",
    ),
    key(
        "tier.cache_mib",
        Kind::Integer(1, 16_777_216),
        "1024",
        "what was read from the store is kept on the disk up to this many MiB per chain",
    ),
    key(
        "tier.mib_per_s",
        Kind::Integer(0, 1_048_576),
        "32",
        "rate of uploads, in MiB per second; 0: as fast as it goes",
    ),
    key(
        "tier.timeout_ms",
        Kind::Integer(100, 60_000),
        "5000",
        "longest that one request to the store may take, and an upload may stand still, in milliseconds",
    ),
    key(
        "sync.mode",
        Kind::Choice(&["blocks", "snapshot", "auto"]),
        "\"blocks\"",
        "what an empty folder is filled from: all blocks, which are executed again; a snapshot of the state that peers offer, checked against certified headers; or auto: a snapshot if a peer offers one within ten seconds, else blocks",
    ),
    key(
        "snapshot.every_blocks",
        Kind::Integer(0, 1_000_000_000),
        "0",
        "a snapshot of the state is made of every block whose height is a multiple of this, beside the running chain; the same number on all nodes lets a new one fetch from several; 0: none",
    ),
    key(
        "snapshot.keep",
        Kind::Integer(1, 16),
        "2",
        "newest snapshots that are kept",
    ),
    key(
        "snapshot.mib_per_s",
        Kind::Integer(0, 1_048_576),
        "32",
        "rate at which a snapshot or a backup is written, in MiB per second, less while votes wait for the disk; 0: as fast as it goes",
    ),
    key(
        "snapshot.serve",
        Kind::Choice(&["peers", "nobody"]),
        "\"peers\"",
        "whether admitted full peers may fetch snapshots from this node",
    ),
    key(
        "consensus.propose_ms",
        Kind::Integer(10, 600_000),
        "600",
        "wait for a proposal, in milliseconds",
    ),
    key(
        "consensus.prevote_ms",
        Kind::Integer(10, 600_000),
        "300",
        "wait for prevotes that agree, in milliseconds",
    ),
    key(
        "consensus.precommit_ms",
        Kind::Integer(10, 600_000),
        "300",
        "wait for precommits that agree, in milliseconds",
    ),
    key(
        "consensus.rebroadcast_ms",
        Kind::Integer(10, 600_000),
        "600",
        "wait before votes are sent again, in milliseconds",
    ),
    key(
        "consensus.per_round_ms",
        Kind::Integer(1, 60_000),
        "300",
        "growth of each wait with every failed round, in milliseconds",
    ),
    key(
        "consensus.max_ms",
        Kind::Integer(100, 3_600_000),
        "4000",
        "bound on every wait, in milliseconds",
    ),
    key(
        "pool.transactions_max",
        Kind::Integer(1, 10_000_000),
        "100000",
        "most waiting transactions",
    ),
    key(
        "pool.bytes_max",
        Kind::Integer(MIB, 65_536 * MIB),
        "134217728",
        "most bytes of waiting transactions",
    ),
    key(
        "pool.per_account_max",
        Kind::Integer(1, 10_000_000),
        "20000",
        "most waiting transactions of one account",
    ),
    key(
        "pool.nonce_gap_max",
        Kind::Integer(0, 10_000_000),
        "20000",
        "furthest nonce ahead of the account's that is kept",
    ),
    key(
        "pool.audit_per_mille",
        Kind::Integer(0, 1_000),
        "10",
        "of a thousand transactions that other validators vouch for (verification = \"quorum\"), how many this node verifies all the same",
    ),
    key(
        "execution.threads",
        Kind::Integer(0, 256),
        "0",
        "threads that a large block's execution may be shared among, for all chains together; 0: one per processor. Below 4, blocks run on one thread; the result is the same",
    ),
    key(
        "audit.dir",
        Kind::OptionalPath,
        "\"\"",
        "folder of the audit log; empty: audit within node.data_dir",
    ),
    key(
        "audit.segment_bytes_max",
        Kind::Integer(65_536, 4_096 * MIB),
        "67108864",
        "size at which a file of the audit log is followed by the next; none is ever deleted",
    ),
    key(
        "audit.sync_ms",
        Kind::Integer(0, 60_000),
        "200",
        "time until an entry is on disk for certain, in milliseconds; 0: before the answer leaves",
    ),
    key(
        "log.level",
        Kind::Text(512),
        "\"info\"",
        "error, warn, info, debug or trace, also per module: info,hawser_network=debug",
    ),
    key(
        "log.format",
        Kind::Choice(&["auto", "text", "json"]),
        "\"auto\"",
        "auto: text on a terminal, JSON otherwise",
    ),
    key(
        "log.blackbox_mib",
        Kind::Integer(0, 256),
        "8",
        "the last consensus events of each chain are kept in a ring of this size, for `hawser debug timeline`; 0: off",
    ),
    key(
        "metrics.listen",
        Kind::OptionalSocket,
        "\"\"",
        "/metrics, /livez and /readyz over HTTP; empty: off",
    ),
];

/// The key of this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
