//! One part of a run after the other, on the same accounts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hawser_primitives::{B256, Bytes};

use super::bed::Bed;
use crate::{
    args::BenchArgs,
    drive::{Drive, Driven, Pace},
    error::Result,
    progress::Progress,
    seed::now,
    work::{Done, Signing},
};

/// Bytes of transactions signed for one part.
const SIGNED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a request.
const REQUEST_BYTES_MAX: u64 = 2 << 20;
/// Bytes of transactions on their way at once.
const WINDOW_BYTES_MAX: u64 = 24 << 20;

/// Where a run stands.
pub(crate) struct Stage<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) args: &'a BenchArgs,
    pub(crate) progress: &'a Progress,
    pub(crate) signing: Signing,
    /// Executed transactions of each account.
    used: Vec<u64>,
    /// Account and index, in the order of the chain.
    order: Vec<(u32, u32)>,
    /// Transactions of nobody here, with how often they were in a block.
    pub(crate) foreign: HashMap<B256, u64>,
    /// Hashes of executed transactions, some of them.
    pub(crate) sample: Vec<B256>,
    /// A transaction that is in a block, to be sent once more.
    pub(crate) replay: Option<Bytes>,
    /// Bytes of a transaction.
    pub(crate) bytes: u64,
    pub(crate) accepted: u64,
}

/// What a part is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) pace: Pace,
    pub(crate) ramp: Duration,
    pub(crate) length: Duration,
    /// Transactions to sign; what is not used is thrown away.
    pub(crate) transactions: u64,
    pub(crate) answer: Duration,
    /// Whether it goes on for as long as what goes on beside it.
    pub(crate) hold: bool,
}

impl<'a> Stage<'a> {
    pub(crate) async fn new(
        bed: &'a Bed,
        args: &'a BenchArgs,
        progress: &'a Progress,
        signing: Signing,
    ) -> Result<Self> {
        let accounts = signing.keys.len();
        let one = signing.clone();
        let quiet = Progress::quiet();
        let lanes = one.sign(vec![0; accounts], 1, now(), &quiet).await?;
        let sizes = lanes.lanes.iter().flatten().map(|tx| tx.raw.len() as u64);
        let bytes = sizes.max().unwrap_or(1).max(1);
        Ok(Self {
            bed,
            args,
            progress,
            signing,
            used: vec![0; accounts],
            order: Vec::new(),
            foreign: HashMap::new(),
            sample: Vec::new(),
            replay: None,
            bytes,
            accepted: 0,
        })
    }

    /// A window of up to so many transactions that the nodes' pools hold with ease.
    pub(crate) fn window(&self, wanted: u64) -> usize {
        let most = (WINDOW_BYTES_MAX / self.bytes).clamp(16, u64::from(self.args.window));
        usize::try_from(wanted.clamp(16, most)).unwrap_or(16)
    }

    /// What was executed so far.
    pub(crate) fn done(&self) -> Done<'_> {
        Done {
            counts: &self.used,
            order: &self.order,
        }
    }

    /// Signs and drives one part.
    pub(crate) async fn play<F, T>(
        &mut self,
        part: Part<'_>,
        beside: impl FnOnce(std::time::Instant) -> F,
    ) -> Result<(Driven, T)>
    where
        F: Future<Output = Result<T>>,
    {
        let accounts = self.used.len().max(1) as u64;
        let affordable = SIGNED_BYTES_MAX / self.bytes;
        let each = part.transactions.min(affordable).div_ceil(accounts).max(1);
        let each = usize::try_from(each).unwrap_or(1);
        let lanes = self
            .signing
            .sign(self.used.clone(), each, now(), self.progress)
            .await?;
        let lanes = Arc::new(lanes);
        let batch = u64::from(self.args.measure.request_batch(self.args.batch));
        let batch = batch.min((REQUEST_BYTES_MAX / self.bytes).max(1));
        let drive = Drive {
            urls: self.bed.urls.clone(),
            submit: self.args.measure.submit,
            batch: usize::try_from(batch).unwrap_or(1),
            pace: part.pace,
            ramp: part.ramp,
            length: part.length,
            answer: part.answer,
            hold: part.hold,
        };
        let bar = self
            .progress
            .bar(part.name, (part.ramp + part.length).as_secs());
        let (driven, value) = drive.run(Arc::clone(&lanes), &bar, beside).await?;
        bar.done();
        for (lane, index) in &driven.order {
            let from = self.used.get(*lane).copied().unwrap_or(0);
            let index = from.saturating_add(*index as u64);
            let pair = (u32::try_from(*lane).ok(), u32::try_from(index).ok());
            if let (Some(lane), Some(index)) = pair {
                self.order.push((lane, index));
            }
        }
        const KEPT: usize = 200;
        let step = driven.order.len().div_ceil(KEPT).max(1);
        for (lane, index) in driven.order.iter().step_by(step) {
            let tx = lanes.lanes.get(*lane).and_then(|lane| lane.get(*index));
            self.sample.extend(tx.map(|tx| tx.hash));
            self.replay = self.replay.take().or_else(|| tx.map(|tx| tx.raw.clone()));
        }
        for (used, new) in self.used.iter_mut().zip(&driven.executed) {
            *used = used.saturating_add(*new);
        }
        for (hash, times) in &driven.foreign {
            *self.foreign.entry(*hash).or_default() += times;
        }
        self.accepted = self.accepted.saturating_add(driven.counts.accepted);
        Ok((driven, value))
    }
}
