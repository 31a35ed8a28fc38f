use std::{collections::BTreeMap, sync::Arc};

use hawser_execution::{Finding, GateTransaction};
use hawser_ledger::{TransactionError, VerifiedTransaction};
use hawser_primitives::{Address, B256, Bytes};
use parking_lot::RwLock;
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{ChainStatus, Command, Submission, room::Room};
use crate::{
    Words,
    pool::{AccountContent, PoolCounts, PoolError},
    store::{ChainStore, ExecutedBlock},
};

/// A transaction with good signatures that the chain's governance refuses.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Which rule decided, and why.
    pub finding: Finding,
    /// Who asked for what.
    pub transaction: GateTransaction,
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.finding.fmt(f)
    }
}

/// Who handed a transaction to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client, through an interface.
    Client,
    /// Another node.
    Peer,
}

impl Source {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Peer => "peer",
        }
    }
}

/// Why a submitted transaction was not accepted.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// It is no valid transaction.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The pool refuses it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The chain's governance refuses it; executed, it would revert with the same words.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// More arrives than this node can check.
    #[error("the node is busy: {waiting} submissions wait; retry in a second")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The state could not be read.
    #[error("{0}")]
    Store(String),
    /// The chain has stopped on this node.
    #[error("the chain is stopped on this node; send to another node")]
    Stopped,
}

impl SubmitError {
    /// Short name of the reason, for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Transaction(error) => match error {
                TransactionError::Signature(_) | TransactionError::MultisigSignature(_) => {
                    "bad_signature"
                }
                TransactionError::WrongChain { .. } => "wrong_chain",
                TransactionError::TooLarge(_) => "too_large",
                TransactionError::Blob | TransactionError::Type(_) => "unsupported_type",
                TransactionError::Empty
                | TransactionError::Malformed(_)
                | TransactionError::Native(_)
                | TransactionError::Multisig(_) => "malformed",
            },
            Self::Pool(error) => error.reason(),
            Self::Denied(_) => "denied",
            Self::Busy { .. } => "busy",
            Self::Store(_) => "store",
            Self::Stopped => "stopped",
        }
    }
}

/// The chain has stopped on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the chain is stopped on this node")]
pub struct Stopped;

/// One running chain, as interfaces see it. Cheap to clone.
#[derive(Clone)]
pub struct ChainHandle {
    pub(super) store: Arc<ChainStore>,
    pub(super) submissions: mpsc::Sender<Submission>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) blocks: broadcast::Sender<Arc<ExecutedBlock>>,
    pub(super) pending: broadcast::Sender<Arc<VerifiedTransaction>>,
    pub(super) room: Arc<Room>,
    pub(super) remarks: Remarks,
}

/// What the node has to say beside what the chain says (its disk, its certificate, its snapshots), by who says it.
pub(super) type Remarks = Arc<RwLock<BTreeMap<&'static str, Vec<Words>>>>;

impl ChainHandle {
    /// Everything that is durable: blocks, receipts, state, proofs.
    #[must_use]
    pub const fn store(&self) -> &Arc<ChainStore> {
        &self.store
    }

    /// Verifies a raw transaction (any envelope) and puts it into the pool; returns its hash.
    pub async fn submit(&self, raw: Bytes) -> Result<B256, SubmitError> {
        self.room.check()?;
        let (reply, answer) = oneshot::channel();
        self.submissions
            .try_send(Submission { raw, reply })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SubmitError::Busy {
                    waiting: self.submissions.max_capacity(),
                },
                mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
            })?;
        answer.await.map_err(|_| SubmitError::Stopped)?
    }

    /// Executed blocks as they come. A receiver that is too slow misses some and learns how many.
    #[must_use]
    pub fn subscribe_blocks(&self) -> broadcast::Receiver<Arc<ExecutedBlock>> {
        self.blocks.subscribe()
    }

    /// Transactions as they enter this node's pool.
    #[must_use]
    pub fn subscribe_pending(&self) -> broadcast::Receiver<Arc<VerifiedTransaction>> {
        self.pending.subscribe()
    }

    /// Sets what one part of the node has to say, in place of what it said before; it is told with
    /// [`Self::status`] from now on.
    pub fn set_remarks(&self, of: &'static str, remarks: Vec<Words>) {
        self.remarks.write().insert(of, remarks);
    }

    /// How the chain is doing.
    pub async fn status(&self) -> Result<ChainStatus, Stopped> {
        self.ask(Command::Status).await
    }

    /// A transaction that waits in the pool.
    pub async fn pool_transaction(
        &self,
        hash: B256,
    ) -> Result<Option<Arc<VerifiedTransaction>>, Stopped> {
        self.ask(|reply| Command::PoolTransaction(hash, reply))
            .await
    }

    /// The nonce after an account's waiting transactions; `None` when none waits.
    pub async fn pool_nonce(&self, account: Address) -> Result<Option<u64>, Stopped> {
        self.ask(|reply| Command::PoolNonce(account, reply)).await
    }

    /// How much waits.
    pub async fn pool_counts(&self) -> Result<PoolCounts, Stopped> {
        self.ask(Command::PoolCounts).await
    }

    /// Everything that waits, by account.
    pub async fn pool_content(&self) -> Result<BTreeMap<Address, AccountContent>, Stopped> {
        self.ask(Command::PoolContent).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}
