use std::sync::Arc;

use hawser_ledger::{Block, Transaction, VerifiedTransaction, state::StateRead};
use hawser_primitives::{Bytes, U256};

use super::SubmitError;
use crate::{
    pool::{Candidate, PoolError},
    store::ChainStore,
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
            let position = self.store.position(&transaction.hash());
            let position = position.map_err(|error| SubmitError::Store(error.to_string()))?;
            if let Some(position) = position {
                let height = position.height.0;
                return Err(SubmitError::Pool(PoolError::AlreadyExecuted { height }));
            }
        }
        self.with_account(Arc::new(transaction))
    }

    fn with_account(
        &self,
        transaction: Arc<VerifiedTransaction>,
    ) -> Result<Candidate, SubmitError> {
        let failed = |error: &dyn std::fmt::Display| SubmitError::Store(error.to_string());
        let height = self.store.head().id().height;
        let view = self.store.state(height).map_err(|error| failed(&error))?;
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
