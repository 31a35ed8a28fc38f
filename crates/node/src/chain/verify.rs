use std::sync::Arc;

use hawser_ledger::{Block, Transaction, VerifiedTransaction, state::StateRead};
use hawser_primitives::{B256, Bytes, Height, U256};

use super::{Denial, SubmitError};
use crate::{
    pool::{Candidate, PoolError},
    store::{ChainStore, StoreError},
};

/// Decodes transactions, verifies signatures, and looks senders up in the state.
pub struct Verifier {
    store: Arc<ChainStore>,
}

impl Verifier {
    /// A verifier for one chain.
    #[must_use]
    pub const fn new(store: Arc<ChainStore>) -> Self {
        Self { store }
    }

    /// A raw transaction as the pool takes it.
    pub fn candidate(&self, raw: Bytes) -> Result<Candidate, SubmitError> {
        let genesis = self.store.genesis();
        let transaction = Transaction::decode(genesis.suite, raw)?;
        self.store
            .executor()
            .check_admission(&transaction)
            .map_err(|error| SubmitError::Pool(PoolError::Unexecutable(error.to_string())))?;
        let transaction = transaction.verify(genesis.chain_id)?;
        if transaction.transaction().nonce().is_none() {
            let executed = self.executed_at(&transaction.hash());
            if let Some(height) = executed.map_err(|error| SubmitError::Store(error.to_string()))? {
                return Err(SubmitError::Pool(PoolError::AlreadyExecuted {
                    height: height.0,
                }));
            }
        }
        self.with_account(Arc::new(transaction))
    }

    /// Where a transaction was executed; one that was skipped may come again.
    fn executed_at(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        let Some(position) = self.store.position(hash)? else {
            return Ok(None);
        };
        let block = self.store.block(position.height)?;
        let index = usize::try_from(position.index).unwrap_or(usize::MAX);
        let receipt = block
            .as_ref()
            .and_then(|block| block.result.receipts.get(index));
        Ok(receipt
            .filter(|receipt| receipt.is_executed())
            .map(|_| position.height))
    }

    fn with_account(
        &self,
        transaction: Arc<VerifiedTransaction>,
    ) -> Result<Candidate, SubmitError> {
        let failed = |error: &dyn std::fmt::Display| SubmitError::Store(error.to_string());
        let head = self.store.head();
        let height = head.id().height;
        let view = self.store.state(height).map_err(|error| failed(&error))?;
        let (next, time) = (height.next(), head.block.header.time);
        let executor = self.store.executor();
        let denied = executor.check_access(&view, &transaction, next, time);
        if let Some((finding, transaction)) = denied.map_err(|error| failed(&error))? {
            let denial = Denial {
                finding,
                transaction,
            };
            return Err(SubmitError::Denied(Box::new(denial)));
        }
        let account = view
            .account(&transaction.sender())
            .map_err(|error| failed(&error))?;
        let (nonce, balance) = account.map_or((0, U256::ZERO), |account| {
            (account.nonce, account.balance())
        });
        Ok(Candidate {
            transaction,
            nonce,
            balance,
        })
    }

    /// Verifies the transactions of a block, except those that `known` has already.
    pub fn check(
        &self,
        block: &Block,
        known: &[Option<Arc<VerifiedTransaction>>],
    ) -> Result<Arc<Vec<Arc<VerifiedTransaction>>>, String> {
        let genesis = self.store.genesis();
        let mut verified = Vec::with_capacity(block.transactions.len());
        for (i, raw) in block.transactions.iter().enumerate() {
            if let Some(Some(transaction)) = known.get(i) {
                verified.push(Arc::clone(transaction));
                continue;
            }
            let transaction = Transaction::decode(genesis.suite, raw.clone())
                .and_then(|transaction| transaction.verify(genesis.chain_id))
                .map_err(|error| format!("transaction {i}: {error}"))?;
            verified.push(Arc::new(transaction));
        }
        Ok(Arc::new(verified))
    }
}
