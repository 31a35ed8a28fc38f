//! Whole blocks from peers, verified against headers.

use std::sync::Arc;

use alloy_primitives::Bloom;
use hawser_ledger::{
    Block, ChainSettings, Header, Receipt, SETTINGS_ACCOUNT, SETTINGS_DELAY, SETTINGS_SLOT,
    SettingsSchedule, Transaction, VerifiedTransaction, receipts_root,
    state::{StateKey, StorageValue},
};
use hawser_node::{
    light::{LightAsk, LightReply},
    store::{BlockResult, ExecutedBlock},
};
use hawser_primitives::{B256, Bytes, Height};

use crate::{LightHandle, ReadError, handle::Verdict};

impl LightHandle {
    /// A block with its results, fetched from a peer and verified against the header of the block
    /// and the one that commits to its results.
    ///
    /// # Errors
    /// [`ReadError`] where the results are not certified yet, or no peer has the block.
    pub async fn block(&self, height: Height) -> Result<Arc<ExecutedBlock>, ReadError> {
        if let Some(block) = self.0.blocks.lock().get(&height) {
            return Ok(Arc::clone(block));
        }
        let roots = self.roots(height)?;
        let header = self.known(height)?;
        let suite = self.0.genesis.suite;
        let (transactions, receipts) = if header.transactions_count == 0 {
            (Vec::new(), Vec::new())
        } else {
            let transactions = self.body(&header).await?;
            let wanted = roots.receipts;
            let receipts = self.receipts(height, wanted).await?;
            (transactions, receipts)
        };
        let settings = self.settings(height).await?;
        let hash = header.hash(suite);
        let failed = |error: &dyn std::fmt::Display| {
            // A quorum certified it, so it is no peer's fault.
            ReadError::Store(format!("block {height}: {error}"))
        };
        if transactions.len() != receipts.len() {
            return Err(failed(&"it has not one receipt for each transaction"));
        }
        let mut verified = Vec::with_capacity(transactions.len());
        for (raw, receipt) in transactions.iter().zip(&receipts) {
            let transaction = Transaction::decode(suite, raw.clone());
            let transaction = transaction.map_err(|error| failed(&error))?;
            // The receipt is certified, and names who signed.
            let stored = VerifiedTransaction::from_stored(transaction, receipt.sender);
            verified.push(Arc::new(stored));
        }
        let mut bloom = Bloom::ZERO;
        let mut gas_used = 0u64;
        for receipt in &receipts {
            gas_used = gas_used.saturating_add(receipt.gas_used);
            for log in &receipt.logs {
                bloom.accrue_raw_log(log.address, &log.topics);
            }
        }
        let block = Arc::new(ExecutedBlock {
            certificate: self
                .certified(height)
                .map(|certified| Arc::new(certified.certificate)),
            block: Arc::new(Block {
                header,
                transactions,
            }),
            hash,
            transactions: Arc::new(verified),
            settings,
            result: Arc::new(BlockResult {
                receipts,
                gas_used,
                logs_bloom: bloom.to_vec(),
                roots,
            }),
        });
        self.0.keep(&block);
        Ok(block)
    }

    /// The block that has a transaction; `None` where no peer shows one.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub async fn block_with(&self, hash: B256) -> Result<Option<Arc<ExecutedBlock>>, ReadError> {
        let has = |block: &Arc<ExecutedBlock>| {
            let mut all = block.transactions.iter();
            all.any(|one| one.hash() == hash)
        };
        let kept: Vec<_> = self.0.blocks.lock().values().cloned().collect();
        if let Some(block) = kept.into_iter().find(has) {
            return Ok(Some(block));
        }
        let found = self.found(LightAsk::FindTransaction { hash }).await?;
        let Some(height) = found else {
            return Ok(None);
        };
        match self.block(height).await {
            Ok(block) => Ok(Some(block).filter(has)),
            // Decided, and not settled yet.
            Err(ReadError::NotCertified(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn body(&self, header: &Header) -> Result<Vec<Bytes>, ReadError> {
        let (suite, height) = (self.0.genesis.suite, header.height);
        self.asked(LightAsk::Body { height }, |reply| {
            let LightReply::Body(transactions) = reply else {
                return wrong("answered a request for a body with another thing");
            };
            let block = Block {
                header: header.clone(),
                transactions,
            };
            std::future::ready(match block.check_body(suite) {
                Ok(()) => Verdict::Good(block.transactions),
                Err(error) => Verdict::Wrong(format!("body of block {height}: {error}")),
            })
        })
        .await
    }

    async fn receipts(&self, height: Height, root: B256) -> Result<Vec<Receipt>, ReadError> {
        let suite = self.0.genesis.suite;
        self.asked(LightAsk::Receipts { height }, |reply| {
            let LightReply::Receipts(receipts) = reply else {
                return wrong("answered a request for receipts with another thing");
            };
            std::future::ready(if receipts_root(suite, &receipts) == root {
                Verdict::Good(receipts)
            } else {
                Verdict::Wrong(format!("receipts of block {height} give another root"))
            })
        })
        .await
    }

    /// The settings that govern a height, proved from the state.
    ///
    /// # Errors
    /// [`ReadError::OldSettings`] where they have changed since and are not provable any more.
    pub async fn settings(&self, height: Height) -> Result<Arc<ChainSettings>, ReadError> {
        let kept = self.0.schedule.lock().clone();
        if let Some((read_at, schedule)) = kept
            && let Some(settings) = within(&schedule, read_at, height)
        {
            return Ok(settings);
        }
        let (read_at, schedule) = self.read_schedule(None).await?;
        let schedule = Arc::new(schedule);
        *self.0.schedule.lock() = Some((read_at, Arc::clone(&schedule)));
        if let Some(settings) = within(&schedule, read_at, height) {
            return Ok(settings);
        }
        let old = |_| ReadError::OldSettings(height);
        let (read_at, schedule) = self.read_schedule(Some(height)).await.map_err(old)?;
        within(&schedule, read_at, height).ok_or(ReadError::OldSettings(height))
    }

    async fn read_schedule(
        &self,
        at: Option<Height>,
    ) -> Result<(Height, SettingsSchedule), ReadError> {
        let genesis = &self.0.genesis;
        let key = StateKey::Storage(SETTINGS_ACCOUNT, SETTINGS_SLOT);
        let proved = self.state(at, &[key]).await?;
        let broken = |error: &dyn std::fmt::Display| ReadError::Store(error.to_string());
        let Some(value) = proved.values.into_iter().next().flatten() else {
            // Nobody has changed anything.
            return Ok((proved.height, SettingsSchedule::of_genesis(genesis)));
        };
        let hash = StorageValue::decode(&value).map_err(|error| broken(&error))?;
        let suite = genesis.suite;
        let bytes = self
            .content(hash, |bytes| SettingsSchedule::hash_of(suite, bytes))
            .await?;
        let schedule =
            SettingsSchedule::from_bytes(suite, &bytes).map_err(|error| broken(&error))?;
        Ok((proved.height, schedule))
    }
}

/// What a schedule, read after a block, says for certain about a height.
fn within(
    schedule: &SettingsSchedule,
    read_at: Height,
    height: Height,
) -> Option<Arc<ChainSettings>> {
    let entry = schedule.entry_at(height);
    let known_until = read_at.0.saturating_add(SETTINGS_DELAY);
    (entry.from <= height && height.0 <= known_until).then(|| Arc::new(entry.settings.clone()))
}

fn wrong<T>(reason: &str) -> std::future::Ready<Verdict<T>> {
    std::future::ready(Verdict::Wrong(reason.to_owned()))
}
