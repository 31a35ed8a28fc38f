//! Transactions and receipts.

use std::{borrow::Cow, sync::Arc, time::Duration};

use alloy_eips::BlockId;
use alloy_primitives::U64;
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::{B256, Bytes};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::{find_block, receipts::Found};
use crate::{
    methods::{Answer, Context},
    view::{self, Executed},
    wire::{ErrorObject, Params, json},
};

/// The block that executed a transaction; `None` where none did.
pub(crate) fn block_of(
    store: &ChainStore,
    hash: &B256,
) -> Result<Option<Arc<ExecutedBlock>>, ErrorObject> {
    match store.position(hash)? {
        Some(position) => Ok(store.block(position.height)?),
        None => Ok(None),
    }
}

/// A transaction among the executed ones of its block.
pub(crate) fn find<'a>(block: &'a ExecutedBlock, hash: &B256) -> Option<Executed<'a>> {
    view::executed(block).find(|one| one.transaction.hash() == *hash)
}

fn executed(store: &ChainStore, hash: &B256) -> Result<Option<Value>, ErrorObject> {
    let Some(block) = block_of(store, hash)? else {
        return Ok(None);
    };
    let Some(one) = find(&block, hash) else {
        return Ok(None);
    };
    view::transaction(one.transaction, Some(&one)).map(Some)
}

/// Waits a little for a transaction to be executed, if it is on its way.
///
/// Clients ask for a receipt right after sending and then again at the next block. On a chain that
/// makes blocks only for transactions there may be no next block, so the first answer has to be the
/// right one.
async fn soon<T: Send + 'static>(
    cx: &Context,
    hash: B256,
    ask: impl Fn(&ChainStore) -> Result<Option<T>, ErrorObject> + Clone + Send + Sync + 'static,
) -> Result<Option<T>, ErrorObject> {
    let mut blocks = cx.handle().subscribe_blocks();
    let once = || {
        cx.read({
            let ask = ask.clone();
            move |store| ask(store)
        })
    };
    if let Some(found) = once().await? {
        return Ok(Some(found));
    }
    // What is decided and not yet executed is neither in the pool nor in the index.
    let decided = cx.store().stored_height();
    let sent = cx.entry().recent.age(&hash).is_some()
        || cx.handle().pool_transaction(hash).await?.is_some();
    let wait = Duration::from_millis(cx.limits().receipt_wait_ms_max);
    let waiting = async {
        let mut closed = false;
        loop {
            let head = cx.store().head().id().height;
            if let Some(found) = once().await? {
                return Ok(Some(found));
            }
            if closed || (!sent && head >= decided) {
                // Nothing that this node knows of: that it never was, only all blocks could tell.
                return if sent { Ok(None) } else { no_history(cx) };
            }
            closed = matches!(blocks.recv().await, Err(RecvError::Closed));
        }
    };
    tokio::time::timeout(wait, waiting)
        .await
        .unwrap_or(Ok(None))
}

/// Nothing, where the node keeps all blocks; else the error that says from where on it does.
fn no_history<T>(cx: &Context) -> Result<Option<T>, ErrorObject> {
    cx.store().absence()?;
    Ok(None)
}

/// `eth_getTransactionByHash`: executed, or waiting in the pool.
pub(crate) async fn transaction_by_hash(cx: &Context, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    params.end()?;
    if let Some(found) = cx.read(move |store| executed(store, &hash)).await? {
        return json(&found);
    }
    if let Some(waiting) = cx.handle().pool_transaction(hash).await? {
        return json(&view::transaction(&waiting, None)?);
    }
    // It may be between the pool and its execution.
    json(&soon(cx, hash, move |store| executed(store, &hash)).await?)
}

/// `eth_getTransactionByBlockNumberAndIndex` and `…BlockHash…`
pub(crate) async fn transaction_by_index(
    cx: &Context,
    mut params: Params,
    by_hash: bool,
) -> Answer {
    let id: BlockId = if by_hash {
        params.required::<B256>("block hash")?.into()
    } else {
        params
            .required::<alloy_eips::BlockNumberOrTag>("block")?
            .into()
    };
    let index: U64 = params.required("index")?;
    params.end()?;
    cx.read(move |store| {
        let Some(block) = find_block(store, id)? else {
            return json(&Value::Null);
        };
        let index = usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX);
        let found = view::executed(&block).nth(index);
        let found = found.map(|one| view::transaction(one.transaction, Some(&one)));
        json(&found.transpose()?)
    })
    .await
}

/// `eth_getTransactionReceipt`
pub(crate) async fn receipt(cx: &Context, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    params.end()?;
    let bytes_max = cx.limits().response_bytes_max;
    let found = soon(cx, hash, move |store| Found::one(store, &hash, bytes_max)).await?;
    // ethers takes an account's nonce from a cache for 250 ms. Were the receipt there sooner, its
    // next transaction would have the nonce of this one.
    let settle = Duration::from_millis(cx.limits().receipt_settle_ms);
    if let Some(rest) = cx
        .entry()
        .recent
        .age(&hash)
        .and_then(|age| settle.checked_sub(age))
    {
        tokio::time::sleep(rest).await;
    }
    Found::answer_of(found, cx).await
}

/// Puts a raw transaction into the pool; its hash.
pub(crate) async fn submit(cx: &Context, raw: Bytes) -> Result<B256, ErrorObject> {
    let hash = cx.handle().submit(raw).await?;
    cx.entry().recent.insert(hash);
    Ok(hash)
}

/// A transaction as `0x…`. Without the prefix, digits could be anything, and most likely are a
/// signed transaction that lost it on the way.
#[derive(Debug)]
pub(crate) struct RawTransaction(pub(crate) Bytes);

impl<'de> Deserialize<'de> for RawTransaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let Some(digits) = text.strip_prefix("0x") else {
            return Err(D::Error::custom(
                "a raw transaction begins with 0x, followed by hexadecimal digits",
            ));
        };
        if digits.len() % 2 != 0 {
            return Err(D::Error::custom(format!(
                "{} digits after 0x: two make a byte, so one is missing or too many",
                digits.len()
            )));
        }
        let bytes =
            hex::decode(digits).map_err(|error| D::Error::custom(format!("{error} after 0x")))?;
        Ok(Self(bytes.into()))
    }
}

/// `eth_sendRawTransaction` and `hawser_sendRawTransaction`: any envelope the chain takes.
pub(crate) async fn send_raw(cx: &Context, mut params: Params) -> Answer {
    let RawTransaction(raw) = params.required("raw transaction")?;
    params.end()?;
    json(&submit(cx, raw).await?)
}

/// `eth_sendRawTransactionSync` (EIP-7966): sends and waits for the receipt.
pub(crate) async fn send_raw_sync(cx: &Context, mut params: Params) -> Answer {
    /// Waited when the client names no time, in milliseconds.
    const WAIT_MS: u64 = 20_000;
    /// Code that EIP-7966 gives to a wait in vain.
    const TIMED_OUT: i32 = 4;
    let RawTransaction(raw) = params.required("raw transaction")?;
    let wait: Option<U64> = params.optional("timeout in milliseconds")?;
    params.end()?;
    let wait_ms = wait
        .map_or(WAIT_MS, |ms| ms.to::<u64>())
        .min(cx.limits().request_ms_max);
    let bytes_max = cx.limits().response_bytes_max;
    let mut blocks = cx.handle().subscribe_blocks();
    let hash = submit(cx, raw).await?;
    let found = async {
        loop {
            // Any news will do, missed ones too: the store has the truth.
            let closed = matches!(blocks.recv().await, Err(RecvError::Closed));
            let read = cx.read(move |store| Found::one(store, &hash, bytes_max));
            if let Some(found) = read.await? {
                return found.answer(cx).await;
            }
            if closed {
                return Err(ErrorObject::stopping());
            }
        }
    };
    match tokio::time::timeout(Duration::from_millis(wait_ms), found).await {
        Ok(answer) => answer,
        Err(_) => {
            let mut error = ErrorObject::new(
                TIMED_OUT,
                format!("the transaction is in the pool but was not executed within {wait_ms} ms"),
            );
            error.data = Some(hash.to_string().into());
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_transactions_need_their_prefix_and_whole_bytes() {
        let read = |text: &str| serde_json::from_str::<RawTransaction>(text);
        assert_eq!(read("\"0x02f8\"").unwrap().0.as_ref(), [0x02, 0xf8]);
        assert!(read("\"0x\"").unwrap().0.is_empty());
        for (text, part) in [
            ("\"02f8\"", "begins with 0x"),
            ("\"\"", "begins with 0x"),
            ("\"0X02\"", "begins with 0x"),
            ("\"0x02f\"", "3 digits"),
            ("\"0x0g\"", "after 0x"),
            ("7", "string"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
