//! What a snapshot consists of: one manifest, and chunks that it names.

use alloy_primitives::keccak256;
use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_ledger::{
    CertifiedHeader, CommitteeChange, Genesis, LightClient,
    state::{EXPORT_LEAVES_MAX, ExportPart, parts_root},
};
use hawser_primitives::{B256, Bytes, Domain, Height, decode_exact, encode};

use super::SnapshotError;
use crate::{
    replica::CertifiedBlock,
    store::{BlockResult, RECENT_HASHES},
};

/// The version of manifest and chunks.
pub const FORMAT: u32 = 1;
/// Largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Largest chunk, in bytes: fits a frame between peers.
pub const CHUNK_BYTES_MAX: usize = 11 * 1024 * 1024;
/// Most chunks of a snapshot: 300 GB of state and more.
pub const CHUNKS_MAX: usize = 131_072;
/// Bytes of content after which a chunk of content ends.
pub const CONTENT_CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of blocks and receipts after which a chunk of blocks ends.
pub const BLOCK_CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// A part of the state and the content that it names.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StatePart {
    /// Where it stands in the state tree, its hash, and its leaves.
    pub part: ExportPart,
    /// Bytes of its chunk.
    pub bytes: u32,
    /// Chunks of the content that its leaves name.
    pub contents: Vec<ContentPart>,
}

/// A chunk of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ContentPart {
    /// Pieces of content in it.
    pub count: u32,
    /// Bytes of the chunk.
    pub bytes: u32,
}

/// A chunk of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockPart {
    /// First height.
    pub from: Height,
    /// Last height.
    pub to: Height,
}

/// What a snapshot is of, and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Hash of the chain's genesis.
    pub genesis: B256,
    /// Number of keys of the state.
    pub entries: u64,
    /// The block whose state it is.
    pub block: CertifiedHeader,
    /// The later block whose header has the roots after that one.
    pub certifier: CertifiedHeader,
    /// The changes of the committee from the genesis on, in order.
    pub changes: Vec<CommitteeChange>,
    /// The parts of the state, in order of paths.
    pub parts: Vec<StatePart>,
    /// Blocks before and up to the certifier, in order of height.
    pub blocks: Vec<BlockPart>,
}

/// Names a chunk of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ChunkId {
    /// The leaves of a part of the state, by its place in the manifest.
    State(u32) = 1,
    /// Content of such a part, and which chunk of it.
    Content(u32, u32) = 2,
    /// Blocks, by their place in the manifest.
    Blocks(u32) = 3,
}

impl ChunkId {
    /// Name of its file.
    pub(crate) fn file(self, height: Height) -> String {
        let kind = match self {
            Self::State(part) => format!("s{part:06}"),
            Self::Content(part, n) => format!("c{part:06}-{n:06}"),
            Self::Blocks(part) => format!("b{part:06}"),
        };
        format!("{:020}-{kind}.chunk", height.0)
    }
}

/// How the hash of a piece of content is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ContentKind {
    /// Code of a contract: Keccak-256, as the EVM has it.
    Code = 1,
    /// Schedule of chain settings.
    Settings = 2,
    /// Evidence record.
    Evidence = 3,
    /// Evidence set.
    EvidenceSet = 4,
    /// Content that the governance contract keeps.
    Governance = 5,
    /// Proposal of governance.
    GovernanceProposal = 6,
    /// Entry of the audit trail.
    Audit = 7,
    /// Script of a supervision rule.
    Policy = 8,
}

impl ContentKind {
    /// All kinds, the most frequent first.
    pub const ALL: [Self; 8] = [
        Self::Evidence,
        Self::Code,
        Self::Audit,
        Self::EvidenceSet,
        Self::Governance,
        Self::GovernanceProposal,
        Self::Settings,
        Self::Policy,
    ];

    /// The hash under which content of this kind is kept.
    #[must_use]
    pub fn hash(self, suite: Suite, content: &[u8]) -> B256 {
        let domain = match self {
            Self::Code => return keccak256(content),
            Self::Settings => Domain::Settings,
            Self::Evidence => Domain::Evidence,
            Self::EvidenceSet => Domain::EvidenceSet,
            Self::Governance => Domain::Governance,
            Self::GovernanceProposal => Domain::GovernanceProposal,
            Self::Audit => Domain::Audit,
            Self::Policy => Domain::Policy,
        };
        suite.hash_domain(domain, &[content])
    }

    /// The kind of content that has this hash.
    pub(crate) fn of(suite: Suite, hash: &B256, content: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.hash(suite, content) == *hash)
    }

    /// Whether content of this kind names other content, anywhere in it.
    pub(crate) const fn names_others(self) -> bool {
        matches!(self, Self::Governance | Self::GovernanceProposal)
    }
}

/// A piece of content.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Content {
    /// How its hash is made.
    pub kind: ContentKind,
    /// The content.
    pub bytes: Bytes,
}

/// A block with what executing it gave, where that is part of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredBlock {
    /// The block and its certificate.
    pub certified: CertifiedBlock,
    /// Receipts and what follows from them; `None` for blocks after the snapshot's.
    pub result: Option<BlockResult>,
}

/// A chunk of blocks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlocksChunk {
    /// The blocks, in order of height.
    pub blocks: Vec<StoredBlock>,
    /// The headers after the last one that have the roots of the last blocks, so that the chunk can be
    /// checked by itself.
    pub after: Vec<CertifiedHeader>,
}

impl Manifest {
    /// The block whose state it is.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.block.header.height
    }

    /// Root of the state.
    #[must_use]
    pub const fn state_root(&self) -> B256 {
        self.certifier.header.executed.state
    }

    /// The first block that comes with it.
    #[must_use]
    pub fn first(&self) -> Height {
        self.blocks.first().map_or(self.height(), |part| part.from)
    }

    /// The last block that comes with it: the one that certifies the state.
    #[must_use]
    pub const fn last(&self) -> Height {
        self.certifier.header.height
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Inverse of [`Self::encode`]; says nothing yet about whether it is true.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        // The format first, so that a later one is told apart from damage.
        if let Some(found) = bytes.first_chunk().map(|found| u32::from_le_bytes(*found))
            && found != FORMAT
        {
            let expected = FORMAT;
            return Err(SnapshotError::Format { found, expected });
        }
        decode_exact(bytes, MANIFEST_BYTES_MAX).map_err(|source| SnapshotError::Decode {
            what: "the manifest",
            source,
        })
    }

    /// What it consists of, in 32 bytes: the same on every node that made a snapshot of this block,
    /// whichever signatures its certificates have.
    #[must_use]
    pub fn digest(&self, suite: Suite) -> B256 {
        let head = encode(&(self.format, self.genesis, self.entries, self.height()));
        let body = encode(&(self.state_root(), &self.parts, &self.blocks));
        suite.hash_domain(Domain::Snapshot, &[&head, &body])
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        let of = |part: &StatePart| part.contents.len().saturating_add(1);
        let state = self.parts.iter().map(of).fold(0, usize::saturating_add);
        state.saturating_add(self.blocks.len())
    }

    /// All chunks: blocks first, then each part of the state, followed by its content.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> + '_ {
        let blocks = (0u32..)
            .zip(&self.blocks)
            .map(|(at, _)| ChunkId::Blocks(at));
        let parts = (0u32..).zip(&self.parts).flat_map(|(at, part)| {
            let content = (0u32..).zip(&part.contents);
            let content = content.map(move |(n, _)| ChunkId::Content(at, n));
            std::iter::once(ChunkId::State(at)).chain(content)
        });
        blocks.chain(parts)
    }

    /// Bytes of state and content.
    #[must_use]
    pub fn state_bytes(&self) -> u64 {
        let of = |part: &StatePart| {
            let content = part.contents.iter().map(|one| u64::from(one.bytes));
            content.fold(part.bytes.into(), u64::saturating_add)
        };
        self.parts.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Checks that it is a snapshot of the chain of this genesis: that the committees lead from there to
    /// the headers, that these are final, that the parts lead to the certified root, and that nothing
    /// goes beyond a bound. Gives the verifier of headers for checking chunks.
    pub fn verify(&self, genesis: &Genesis) -> Result<LightClient, SnapshotError> {
        let wrong = |what: &str| Err(SnapshotError::wrong(what));
        if self.format != FORMAT {
            let (found, expected) = (self.format, FORMAT);
            return Err(SnapshotError::Format { found, expected });
        }
        let expected = genesis.hash();
        if self.genesis != expected {
            let found = self.genesis;
            return Err(SnapshotError::WrongGenesis { found, expected });
        }
        let mut client = LightClient::new(genesis)?;
        for change in &self.changes {
            client.follow(change)?;
        }
        client.verify_header(&self.block)?;
        client.verify_header(&self.certifier)?;
        let (height, certifier) = (self.height(), &self.certifier.header);
        let lag = genesis.parameters.root_lag;
        if height == Height::GENESIS
            || certifier.executed.height != height
            || certifier.height.0 != height.0.saturating_add(lag)
        {
            return wrong("its headers do not belong together");
        }
        if self.chunk_count() > CHUNKS_MAX {
            return Err(SnapshotError::TooLarge(self.chunk_count()));
        }
        let mut parts = Vec::with_capacity(self.parts.len());
        let mut entries = 0u64;
        for StatePart {
            part,
            bytes,
            contents,
        } in &self.parts
        {
            let sizes = contents.iter().map(|one| one.bytes).chain([*bytes]);
            let fits = |bytes: u32| bytes > 0 && bytes as usize <= CHUNK_BYTES_MAX;
            if u64::from(part.leaves) > EXPORT_LEAVES_MAX
                || !sizes.into_iter().all(fits)
                || contents.iter().any(|one| one.count == 0)
            {
                return wrong("a chunk of a size that cannot be");
            }
            entries = entries.saturating_add(part.leaves.into());
            parts.push(*part);
        }
        if entries != self.entries || parts_root(genesis.suite, &parts) != Some(self.state_root()) {
            return wrong("the parts of the state do not lead to the certified root");
        }
        let mut next = self.first();
        for part in &self.blocks {
            if part.from != next || part.to < part.from || next == Height::GENESIS {
                return wrong("its blocks are not one after another");
            }
            next = part.to.next();
        }
        if next != certifier.height.next() || self.first() > height {
            return wrong("its blocks do not end with the certifying one");
        }
        if self.first().0 > height.back(RECENT_HASHES).0.max(1) {
            return wrong("it lacks blocks whose hashes contracts may ask for");
        }
        Ok(client)
    }
}
