//! Receipts as answers. A transaction may emit a hundred thousand events, so that long answers are
//! written among the heavy work, few at a time, and those known to exceed the limit not at all.

use std::sync::Arc;

use hawser_execution::Stop;
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::B256;

use super::{block_of, find};
use crate::{
    methods::{Answer, Context},
    view::{self, Executed, ReceiptView},
    wire::{ErrorObject, Json, json, json_within, or_null},
};

/// Answers that are at least this long are written among the heavy work.
const LONG_BYTES: usize = 512 * 1024;

/// Bytes that these receipts take at least; an error where that is over the limit.
fn bytes_min<'a>(
    receipts: impl Iterator<Item = Executed<'a>>,
    bytes_max: usize,
) -> Result<usize, ErrorObject> {
    let mut bytes = 0usize;
    for one in receipts {
        bytes = bytes.saturating_add(view::receipt_bytes_min(one.receipt));
        if bytes > bytes_max {
            return Err(ErrorObject::too_long(bytes_max));
        }
    }
    Ok(bytes)
}

/// The receipt of a transaction of the block; `None` where the block did not execute it.
pub(crate) fn write_one(
    block: &ExecutedBlock,
    hash: &B256,
    bytes_max: usize,
    stop: &Stop,
) -> Result<Option<Json>, ErrorObject> {
    let Some(one) = find(block, hash) else {
        return Ok(None);
    };
    bytes_min(std::iter::once(one), bytes_max)?;
    json_within(&view::receipt(&one), bytes_max, stop).map(Some)
}

/// All receipts of a block.
pub(crate) fn write_all(block: &ExecutedBlock, bytes_max: usize, stop: &Stop) -> Answer {
    bytes_min(view::executed(block), bytes_max)?;
    all(block, bytes_max, stop)
}

/// As [`write_all`], of receipts that were measured.
fn all(block: &ExecutedBlock, bytes_max: usize, stop: &Stop) -> Answer {
    let all: Vec<ReceiptView<'_>> = view::executed(block)
        .map(|one| view::receipt(&one))
        .collect();
    json_within(&all, bytes_max, stop)
}

/// What a read found: the answer, or the block to write a long one from.
pub(crate) enum Found {
    Written(Json),
    /// The receipt of this transaction, or all.
    Long(Arc<ExecutedBlock>, Option<B256>),
}

impl Found {
    /// The receipt of a transaction; `None` where no block executed it.
    pub(crate) fn one(
        store: &ChainStore,
        hash: &B256,
        bytes_max: usize,
    ) -> Result<Option<Self>, ErrorObject> {
        let Some(block) = block_of(store, hash)? else {
            return Ok(None);
        };
        let Some(one) = find(&block, hash) else {
            return Ok(None);
        };
        if bytes_min(std::iter::once(one), bytes_max)? >= LONG_BYTES {
            return Ok(Some(Self::Long(Arc::clone(&block), Some(*hash))));
        }
        json(&view::receipt(&one)).map(|text| Some(Self::Written(text)))
    }

    /// All receipts of a block.
    pub(crate) fn all(block: Arc<ExecutedBlock>, bytes_max: usize) -> Result<Self, ErrorObject> {
        if bytes_min(view::executed(&block), bytes_max)? >= LONG_BYTES {
            return Ok(Self::Long(block, None));
        }
        all(&block, bytes_max, &Stop::default()).map(Self::Written)
    }

    /// The answer.
    pub(crate) async fn answer(self, cx: &Context) -> Answer {
        let (block, hash) = match self {
            Self::Written(text) => return Ok(text),
            Self::Long(block, hash) => (block, hash),
        };
        let bytes_max = cx.limits().response_bytes_max;
        cx.heavy_within(None, move |_, stop| match hash {
            Some(hash) => {
                let one = find(&block, &hash);
                let written = one.map(|one| json_within(&view::receipt(&one), bytes_max, stop));
                or_null(written.transpose()?)
            }
            None => all(&block, bytes_max, stop),
        })
        .await
    }

    /// The answer; null where nothing was found.
    pub(crate) async fn answer_of(found: Option<Self>, cx: &Context) -> Answer {
        match found {
            Some(found) => found.answer(cx).await,
            None => or_null(None),
        }
    }
}
