use hawser_execution::ExecutionError;
use hawser_ledger::{
    GenesisError, SettingsError, TransactionError, ValidatorSetError, state::StateError,
};
use hawser_primitives::{B256, DecodeError, Height};
use hawser_storage::{KvError, LogError, TierError};
use thiserror::Error;

/// Why a chain's store cannot do what is asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The key-value store.
    #[error("index: {0}")]
    Kv(#[from] KvError),
    /// Files of blocks or receipts.
    #[error("block files: {0}")]
    Segments(#[from] LogError),
    /// The state.
    #[error("state: {0}")]
    State(#[from] StateError),
    /// The engine.
    #[error("execution: {0}")]
    Execution(#[from] ExecutionError),
    /// The genesis.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The chain settings in the state.
    #[error("chain settings: {0}")]
    Settings(#[from] SettingsError),
    /// A committee in the chain settings.
    #[error("chain settings: validators: {0}")]
    Validators(#[from] ValidatorSetError),
    /// A block that needs a newer program.
    #[error(
        "block {height} has protocol version {version}, this program implements version {program}: \
         install a newer one"
    )]
    Version {
        /// The block.
        height: Height,
        /// Its version.
        version: u32,
        /// The program's.
        program: u32,
    },
    /// The folder belongs to another chain.
    #[error(
        "the data folder holds another chain: its genesis is {found}, the configured one is \
         {expected}. Point the configuration at the right genesis, or at an empty folder"
    )]
    WrongGenesis {
        /// In the folder.
        found: B256,
        /// Configured.
        expected: B256,
    },
    /// Files that do not fit together.
    #[error(
        "the data folder is incomplete: state is at block {state}, but blocks end at {blocks} and \
         receipts at {receipts}. `hawser db check` says what is missing, and `hawser db repair` mends it \
         where that can be done; else restore the folder from a backup, or empty it and let the node \
         catch up from its peers"
    )]
    Inconsistent {
        /// Last flushed state.
        state: Height,
        /// Last stored block.
        blocks: Height,
        /// Last stored receipts.
        receipts: Height,
    },
    /// A stored block that cannot be read.
    #[error("stored {what} of block {height}: {source}")]
    Decode {
        /// Block or receipts.
        what: &'static str,
        /// Which.
        height: Height,
        /// What is wrong.
        source: DecodeError,
    },
    /// A stored transaction that cannot be read.
    #[error("stored transaction of block {height}: {source}")]
    BadTransaction {
        /// In which block.
        height: Height,
        /// What is wrong.
        source: TransactionError,
    },
    /// A block that is not there.
    #[error("block {0} is not stored here")]
    NoBlock(Height),
    /// A block before the first one that this node keeps.
    #[error(
        "block {height} is not kept on this node any more: it has blocks from {first} on. Ask an \
         archive node (storage.mode = \"archive\") or one that keeps more blocks"
    )]
    Pruned {
        /// The block asked for.
        height: Height,
        /// The first block that is kept.
        first: Height,
    },
    /// Something looked for by its hash, where a part of the blocks is not kept.
    #[error(
        "it is not in the blocks that this node keeps, which begin at {first}; it may be in an \
         earlier one. Ask an archive node (storage.mode = \"archive\")"
    )]
    PerhapsPruned {
        /// The first block that is kept.
        first: Height,
    },
    /// The state ends before the blocks begin.
    #[error(
        "the state is at block {state}, and the blocks here begin at {first}: those between are \
         gone, so the state cannot be made again. Restore the folder from a backup or from another \
         node, or empty it and join from a snapshot or from an archive node"
    )]
    Unreachable {
        /// Last flushed state.
        state: Height,
        /// First stored block.
        first: Height,
    },
    /// Files in an object store, and a configuration that would drop them.
    #[error(
        "old blocks lie in an object store, and storage.mode is pruned: run \
         `hawser storage tier fetch --all` first, or set storage.mode to archive again"
    )]
    TieredAndPruned,
    /// Changes of the committee that cannot all be shown.
    #[error("changes of the committee: {0}")]
    Changes(String),
    /// A final block commits to other results than this node computed.
    #[error(
        "block {height} is final and commits to other results of block {found} than this node \
         computed: its state or its program differs from the others'. Restore the data folder from \
         a healthy node, and compare program versions"
    )]
    Diverged {
        /// The final block.
        height: Height,
        /// The block whose results differ.
        found: Height,
    },
    /// Blocks must be executed in order.
    #[error("block {found} does not follow the executed block {head}")]
    OutOfOrder {
        /// Asked for.
        found: Height,
        /// Executed so far.
        head: Height,
    },
}

impl StoreError {
    /// What is wrong with a file that was moved to an object store, if it is that.
    #[must_use]
    pub const fn tier(&self) -> Option<&TierError> {
        match self {
            Self::Segments(error) => error.tier(),
            _ => None,
        }
    }
}
