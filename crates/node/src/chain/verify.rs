//! Verifying signatures, each once in a node's life.

mod seen;

use std::sync::Arc;

use hawser_ledger::{
    Block, Claim, FalseAttestation, Transaction, TransactionError, VerifiedTransaction,
    batch_digest, is_true,
    state::{StateRead, StateView},
};
use hawser_primitives::{Address, B256, Bytes, Height, Time, U256};
use parking_lot::Mutex;

use super::{Denial, SubmitError};
use crate::{
    pool::{Candidate, PoolError},
    replica::{Audit, Batched, Relayed},
    store::{ChainStore, StoreError},
};
use seen::Seen;

/// Decodes transactions, verifies signatures, and looks senders up in the state.
///
/// A transaction reaches a node by two ways, alone from a client or peer and inside a block, in
/// either order. What was verified lately is remembered, so that the second way costs a look-up.
pub struct Verifier {
    store: Arc<ChainStore>,
    seen: Mutex<Seen>,
}

impl Verifier {
    /// A verifier for one chain.
    #[must_use]
    pub fn new(store: Arc<ChainStore>) -> Self {
        Self {
            seen: Mutex::new(Seen::new(store.verified_bytes())),
            store,
        }
    }

    /// Raw transactions as the pool takes them, in the given order.
    pub fn submitted(&self, raws: Vec<Bytes>) -> Vec<Result<Candidate, SubmitError>> {
        self.candidates(raws.into_iter().map(|raw| (raw, None)).collect())
    }

    /// The same for what a peer passes on.
    pub fn relayed(&self, list: Vec<Relayed>) -> Vec<Result<Candidate, SubmitError>> {
        let claimed = |Relayed { sender, raw }| (raw, Some(sender));
        self.candidates(list.into_iter().map(claimed).collect())
    }

    fn candidates(
        &self,
        raws: Vec<(Bytes, Option<Address>)>,
    ) -> Vec<Result<Candidate, SubmitError>> {
        let suite = self.store.genesis().suite;
        let admitted = raws.into_iter().map(|(raw, sender)| {
            let transaction = Transaction::decode(suite, raw)?;
            self.store
                .executor()
                .check_admission(&transaction)
                .map_err(|error| SubmitError::Pool(PoolError::Unexecutable(error.to_string())))?;
            Ok((transaction, sender))
        });
        let verified = self.verify::<SubmitError>(admitted.collect());
        self.looked_up(verified)
    }

    /// Verified transactions with what the state says of their senders.
    fn looked_up(
        &self,
        verified: Vec<Result<Arc<VerifiedTransaction>, SubmitError>>,
    ) -> Vec<Result<Candidate, SubmitError>> {
        let head = self.store.head();
        let (height, time) = (head.id().height, head.block.header.time);
        let view = match self.store.state(height) {
            Ok(view) => view,
            Err(error) => {
                let text = error.to_string();
                let failed = |_| Err(SubmitError::Store(text.clone()));
                return verified.into_iter().map(failed).collect();
            }
        };
        verified
            .into_iter()
            .map(|transaction| self.with_account(transaction?, &view, height.next(), time))
            .collect()
    }

    /// Takes in a batch that came under `digest`: with `trust`, the senders that it names are taken
    /// for true if it is the one that was attested and they can be; else each is verified.
    ///
    /// Gives also why transactions of it cannot go into the pool.
    pub fn batch(
        &self,
        list: Vec<Relayed>,
        digest: B256,
        trust: bool,
    ) -> (Batched, Vec<SubmitError>) {
        let (suite, chain) = (self.store.genesis().suite, self.store.genesis().chain_id);
        let mut claims = Vec::with_capacity(list.len());
        let mut decoded = Vec::with_capacity(list.len());
        for Relayed { sender, raw } in list {
            // Hashed once: a transaction that decodes knows its hash.
            let found = Transaction::decode(suite, raw.clone());
            let hash = match &found {
                Ok(transaction) => transaction.hash(),
                Err(_) => Transaction::hash_of(suite, &raw),
            };
            claims.push(Claim { hash, sender });
            decoded.push(found);
        }
        let may_be = |(found, claim): (&Result<Transaction, TransactionError>, &Claim)| {
            found
                .as_ref()
                .is_ok_and(|found| found.may_be_from(claim.sender, chain))
        };
        let trusted = trust
            && batch_digest(suite, chain, &claims) == digest
            && decoded.iter().zip(&claims).all(may_be);
        let senders = claims.iter().map(|claim| claim.sender);
        let (results, wrong) = if trusted {
            let attested = decoded.into_iter().zip(senders).map(|(found, sender)| {
                found.map(|found| Arc::new(VerifiedTransaction::from_attested(found, sender)))
            });
            (attested.collect::<Vec<_>>(), None)
        } else {
            let asked = decoded.into_iter().zip(senders);
            let asked = asked.map(|(found, sender)| Ok((found?, Some(sender))));
            let results = self.verify::<TransactionError>(asked.collect());
            type Found = Result<Arc<VerifiedTransaction>, TransactionError>;
            let is_right = |(result, claim): (&Found, &Claim)| {
                result
                    .as_ref()
                    .is_ok_and(|one| one.sender() == claim.sender)
            };
            let right = results.iter().zip(&claims).map(is_right);
            let wrong = right.zip(0u32..).find(|(right, _)| !right);
            (results, wrong.map(|(_, position)| position))
        };
        let executor = self.store.executor();
        let admitted = results.into_iter().map(|result| {
            let transaction = result?;
            executor
                .check_admission(transaction.transaction())
                .map_err(|error| SubmitError::Pool(PoolError::Unexecutable(error.to_string())))?;
            Ok::<_, SubmitError>(transaction)
        });
        let (mut candidates, mut refused) = (Vec::new(), Vec::new());
        for result in self.looked_up(admitted.collect()) {
            match result {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => refused.push(error),
            }
        }
        let batched = Batched {
            digest,
            candidates,
            claims,
            trusted,
            wrong,
        };
        (batched, refused)
    }

    /// Verifies attested transactions that were drawn; gives evidence of the first false one.
    #[must_use]
    pub fn audit(&self, audit: Audit) -> Option<FalseAttestation> {
        let (suite, chain) = (self.store.genesis().suite, self.store.genesis().chain_id);
        let Audit {
            claims,
            attestations,
            picks,
        } = audit;
        let is_false = |(position, raw): &(u32, Bytes)| {
            let at = usize::try_from(*position).unwrap_or(usize::MAX);
            let claim = claims.get(at);
            claim.is_some_and(|claim| !is_true(claim, suite, chain, raw.clone()))
        };
        let (position, raw) = picks.into_iter().find(is_false)?;
        Some(FalseAttestation {
            claims,
            position,
            raw,
            attestations,
        })
    }

    /// Where a transaction was executed; one that was skipped may come again.
    fn executed_at(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        let Some(position) = self.store.position(hash)? else {
            return Ok(None);
        };
        let block = match self.store.block(position.height) {
            // Dropped this moment: whatever it had has expired or has its nonce used.
            Err(StoreError::Pruned { .. }) => return Ok(Some(position.height)),
            found => found?,
        };
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
        view: &StateView,
        next: Height,
        time: Time,
    ) -> Result<Candidate, SubmitError> {
        let failed = |error: &dyn std::fmt::Display| SubmitError::Store(error.to_string());
        if transaction.transaction().nonce().is_none() {
            let executed = self.executed_at(&transaction.hash());
            if let Some(height) = executed.map_err(|error| failed(&error))? {
                return Err(SubmitError::Pool(PoolError::AlreadyExecuted {
                    height: height.0,
                }));
            }
        }
        let executor = self.store.executor();
        let denied = executor.check_access(view, &transaction, next, time);
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
        self.check_part(&block.transactions, known, 0).map(Arc::new)
    }

    /// [`Self::check`] for some transactions of a block, of which `first` is the position of the
    /// first.
    pub(super) fn check_part(
        &self,
        raws: &[Bytes],
        known: &[Option<Arc<VerifiedTransaction>>],
        first: usize,
    ) -> Result<Vec<Arc<VerifiedTransaction>>, String> {
        let suite = self.store.genesis().suite;
        let is_known = |i: usize| known.get(i).and_then(Option::as_ref);
        let missing: Vec<_> = raws
            .iter()
            .enumerate()
            .filter(|(i, _)| is_known(*i).is_none())
            .map(|(_, raw)| Ok((Transaction::decode(suite, raw.clone())?, None)))
            .collect();
        let mut verified = self.verify::<TransactionError>(missing).into_iter();
        let mut all = Vec::with_capacity(raws.len());
        for i in 0..raws.len() {
            let transaction = match is_known(i) {
                Some(transaction) => Arc::clone(transaction),
                None => verified
                    .next()
                    .ok_or_else(|| "not every transaction was verified".to_owned())?
                    .map_err(|error| format!("transaction {}: {error}", first.saturating_add(i)))?,
            };
            all.push(transaction);
        }
        Ok(all)
    }

    /// Verifies what is not remembered, and remembers it. Answers are in the order of the list.
    fn verify<E: From<TransactionError>>(
        &self,
        list: Vec<Result<(Transaction, Option<Address>), E>>,
    ) -> Vec<Result<Arc<VerifiedTransaction>, E>> {
        let mut fresh = Vec::new();
        let found: Vec<_> = {
            let seen = self.seen.lock();
            list.into_iter()
                .map(|item| {
                    item.map(|(transaction, sender)| {
                        let known = seen.get(&transaction.hash());
                        if known.is_none() {
                            fresh.push((transaction, sender));
                        }
                        known
                    })
                })
                .collect::<Vec<Result<_, E>>>()
        };
        let chain = self.store.genesis().chain_id;
        let mut fresh = Transaction::verify_many(fresh, chain)
            .into_iter()
            .map(|verified| verified.map(Arc::new));
        let mut seen = self.seen.lock();
        found
            .into_iter()
            .map(|item| match item? {
                Some(known) => Ok(known),
                None => {
                    // As many answers as questions.
                    let verified = fresh.next().unwrap_or(Err(TransactionError::Empty))?;
                    seen.insert(&verified);
                    Ok(verified)
                }
            })
            .collect()
    }
}
