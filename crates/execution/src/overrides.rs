use alloy_rpc_types_eth::state::AccountOverride;
use hawser_primitives::{Address, Height, Time, U256};
use revm::{
    Database, DatabaseRef, bytecode::Bytecode, context::BlockEnv,
    context_interface::block::BlobExcessGasAndPrice, database::CacheDB,
};

use crate::{
    BlockContext, BlockOverrides, ExecutionError, NativeRegistry, StateOverride, database::StateDb,
    error::DbError,
};

/// State that queries execute on: overrides and earlier transactions over the state read.
pub(crate) type QueryDb<'a> = CacheDB<StateDb<'a>>;

/// Most accounts and slots that one request may override.
const OVERRIDES_MAX: usize = 10_000;

fn refuse<T>(text: impl Into<String>) -> Result<T, ExecutionError> {
    Err(ExecutionError::Override(text.into()))
}

fn state_error(error: DbError) -> ExecutionError {
    ExecutionError::State(error.0)
}

/// Applies state overrides as `eth_call` defines them.
#[allow(
    clippy::disallowed_methods,
    reason = "accounts and slots do not depend on each other, so their order does not matter"
)]
pub(crate) fn apply_state(
    db: &mut QueryDb<'_>,
    natives: &NativeRegistry,
    overrides: &StateOverride,
) -> Result<(), ExecutionError> {
    let slots = |account: &AccountOverride| {
        let maps = [&account.state, &account.state_diff];
        maps.map(|map| map.as_ref().map_or(0, |map| map.len()))
            .iter()
            .sum::<usize>()
    };
    let total: usize = overrides.values().map(|account| 1 + slots(account)).sum();
    if total > OVERRIDES_MAX {
        return Err(ExecutionError::Limit {
            what: "number of overridden accounts and slots",
            found: total as u64,
            max: OVERRIDES_MAX as u64,
        });
    }
    for (address, account) in overrides {
        if account.move_precompile_to.is_some() {
            return refuse("movePrecompileToAddress is not supported");
        }
        if account.state.is_some() && account.state_diff.is_some() {
            return refuse(format!("account {address} has both state and stateDiff"));
        }
        let mut info = db.basic(*address).map_err(state_error)?.unwrap_or_default();
        if let Some(balance) = account.balance {
            info.balance = balance;
        }
        if let Some(nonce) = account.nonce {
            info.nonce = nonce;
        }
        if let Some(code) = &account.code {
            if natives.get(address).is_some() {
                return refuse(format!("{address} is a native contract; its code is fixed"));
            }
            let code = Bytecode::new_raw_checked(code.clone())
                .or_else(|error| refuse(format!("code of {address}: {error}")))?;
            info.code_hash = code.hash_slow();
            info.code = Some(code);
        }
        db.insert_account_info(*address, info);
        if let Some(state) = &account.state {
            let slots = state
                .iter()
                .map(|(slot, value)| ((*slot).into(), (*value).into()));
            db.replace_account_storage(*address, slots.collect())
                .map_err(state_error)?;
        }
        for (slot, value) in account.state_diff.iter().flatten() {
            db.insert_account_storage(*address, (*slot).into(), (*value).into())
                .map_err(state_error)?;
        }
    }
    Ok(())
}

/// The block context under overrides.
pub(crate) fn block_context(
    context: &BlockContext,
    overrides: &BlockOverrides,
) -> Result<BlockContext, ExecutionError> {
    let mut context = *context;
    if let Some(number) = overrides.number {
        let Ok(number) = u64::try_from(number) else {
            return refuse(format!("block number {number} exceeds 64 bits"));
        };
        context.height = Height(number);
    }
    if let Some(time) = overrides.time {
        let Some(ms) = time.checked_mul(1000) else {
            return refuse(format!("block time {time} is out of range"));
        };
        context.time = Time(ms);
    }
    if let Some(gas_limit) = overrides.gas_limit {
        context.gas_limit = gas_limit;
    }
    if let Some(coinbase) = overrides.coinbase {
        context.proposer = coinbase;
    }
    Ok(context)
}

/// Overrides that only the engine's block environment has.
pub(crate) fn apply_block(
    block: &mut BlockEnv,
    overrides: &BlockOverrides,
) -> Result<(), ExecutionError> {
    if let Some(random) = overrides.random {
        block.prevrandao = Some(random);
    }
    if let Some(difficulty) = overrides.difficulty {
        block.difficulty = difficulty;
    }
    if let Some(base_fee) = overrides.base_fee {
        let Ok(base_fee) = u64::try_from(base_fee) else {
            return refuse(format!("base fee {base_fee} exceeds 64 bits"));
        };
        block.basefee = base_fee;
    }
    if let Some(price) = overrides.blob_base_fee {
        let Ok(blob_gasprice) = u128::try_from(price) else {
            return refuse(format!("blob base fee {price} exceeds 128 bits"));
        };
        block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice {
            excess_blob_gas: 0,
            blob_gasprice,
        });
    }
    Ok(())
}

/// Block hashes that a request sets.
pub(crate) fn apply_hashes(db: &mut QueryDb<'_>, overrides: &BlockOverrides) {
    for (number, hash) in overrides.block_hash.iter().flatten() {
        db.cache.block_hashes.insert(U256::from(*number), *hash);
    }
}

/// Whether an account has code.
pub(crate) fn has_code(db: &QueryDb<'_>, address: Address) -> Result<bool, ExecutionError> {
    let info = db.basic_ref(address).map_err(state_error)?;
    Ok(info.is_some_and(|info| !info.is_empty_code_hash()))
}
