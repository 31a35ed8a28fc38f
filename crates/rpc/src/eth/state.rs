//! Accounts and storage.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_serde::JsonStorageKey;
use hawser_ledger::state::{Account, StateRead};
use hawser_primitives::{Address, Bytes};

use super::known_block;
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

async fn account(
    cx: &Context,
    address: Address,
    id: Option<BlockId>,
) -> Result<Account, ErrorObject> {
    cx.read(move |store| {
        let block = known_block(store, id)?;
        Ok(store
            .state(block.id().height)?
            .account(&address)?
            .unwrap_or_default())
    })
    .await
}

/// `eth_getBalance`
pub(crate) async fn balance(cx: &Context, mut params: Params) -> Answer {
    let address = params.required("address")?;
    let id = params.optional("block")?;
    params.end()?;
    json(&account(cx, address, id).await?.balance())
}

/// `eth_getTransactionCount`; with `pending`, what waits in the pool counts.
pub(crate) async fn nonce(cx: &Context, mut params: Params) -> Answer {
    let address = params.required("address")?;
    let id: Option<BlockId> = params.optional("block")?;
    params.end()?;
    let executed = account(cx, address, id).await?.nonce;
    let pending = id == Some(BlockId::Number(BlockNumberOrTag::Pending));
    let waiting = if pending {
        cx.handle().pool_nonce(address).await?
    } else {
        None
    };
    json(&view::quantity(waiting.unwrap_or(0).max(executed)))
}

/// `eth_getCode`
pub(crate) async fn code(cx: &Context, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let id = params.optional("block")?;
    params.end()?;
    cx.read(move |store| {
        let block = known_block(store, id)?;
        let state = store.state(block.id().height)?;
        let code = match state.account(&address)? {
            Some(account) if account.has_code() => state.blob(&account.code_hash)?,
            _ => None,
        };
        json(&code.unwrap_or_else(Bytes::new))
    })
    .await
}

/// `eth_getStorageAt`
pub(crate) async fn storage(cx: &Context, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let slot: JsonStorageKey = params.required("slot")?;
    let id = params.optional("block")?;
    params.end()?;
    cx.read(move |store| {
        let block = known_block(store, id)?;
        json(
            &store
                .state(block.id().height)?
                .storage(&address, &slot.as_b256())?,
        )
    })
    .await
}
