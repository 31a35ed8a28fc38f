//! What waits in this node's pool.

use std::sync::Arc;

use hawser_ledger::{Envelope, VerifiedTransaction};
use hawser_primitives::Address;
use serde_json::{Map, Value, json as object};

use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// `txpool_status`
pub(crate) async fn status(cx: &Context) -> Answer {
    let counts = cx.handle().pool_counts().await?;
    json(&object!({
        "pending": view::count(counts.pending),
        "queued": view::count(counts.queued),
    }))
}

/// Transactions by nonce; unordered ones, which have none, by hash.
fn list(
    transactions: &[Arc<VerifiedTransaction>],
    show: &dyn Fn(&VerifiedTransaction) -> Result<Value, ErrorObject>,
) -> Result<Value, ErrorObject> {
    let mut by_nonce = Map::new();
    for transaction in transactions {
        let key = match transaction.transaction().nonce() {
            Some(nonce) => nonce.to_string(),
            None => transaction.hash().to_string(),
        };
        by_nonce.insert(key, show(transaction)?);
    }
    Ok(by_nonce.into())
}

async fn everything(
    cx: &Context,
    show: &(dyn Fn(&VerifiedTransaction) -> Result<Value, ErrorObject> + Sync),
) -> Answer {
    let counts = cx.handle().pool_counts().await?;
    let (waiting, max) = (
        counts.pending.saturating_add(counts.queued),
        cx.limits().pool_content_max,
    );
    if waiting > max {
        return Err(ErrorObject::limit(format!(
            "{waiting} transactions wait, more than the limit of {max} for one answer; ask \
             txpool_contentFrom for one account"
        )));
    }
    let (mut pending, mut queued) = (Map::new(), Map::new());
    for (account, content) in cx.handle().pool_content().await? {
        let name = account.to_string();
        if !content.pending.is_empty() {
            pending.insert(name.clone(), list(&content.pending, show)?);
        }
        if !content.queued.is_empty() {
            queued.insert(name, list(&content.queued, show)?);
        }
    }
    json(&object!({ "pending": pending, "queued": queued }))
}

fn whole(transaction: &VerifiedTransaction) -> Result<Value, ErrorObject> {
    view::transaction(transaction, None)
}

/// geth's one-line summary.
fn summary(transaction: &VerifiedTransaction) -> Result<Value, ErrorObject> {
    let inner = transaction.transaction();
    let to = match inner.envelope() {
        Envelope::Ethereum(envelope) => alloy_consensus::Transaction::to(envelope),
        Envelope::Native(_) | Envelope::Multisig(_) => view::recipient(transaction),
    };
    let to = to.map_or_else(|| "contract creation".to_owned(), |to| to.to_string());
    let price = inner.max_fee_per_gas();
    Ok(format!(
        "{to}: {} wei + {} gas × {price} wei",
        inner.value(),
        inner.gas_limit()
    )
    .into())
}

/// `txpool_content`
pub(crate) async fn content(cx: &Context) -> Answer {
    everything(cx, &whole).await
}

/// `txpool_inspect`
pub(crate) async fn inspect(cx: &Context) -> Answer {
    everything(cx, &summary).await
}

/// `txpool_contentFrom`
pub(crate) async fn content_from(cx: &Context, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    params.end()?;
    let mut all = cx.handle().pool_content().await?;
    let content = all.remove(&address).unwrap_or_default();
    json(&object!({
        "pending": list(&content.pending, &whole)?,
        "queued": list(&content.queued, &whole)?,
    }))
}
