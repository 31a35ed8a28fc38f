use hawser_ledger::state::{Account, Changes, StateKey, StorageValue};
use hawser_primitives::{B256, U256};
use revm::state::EvmState;

use crate::database::BlockDb;

/// What the engine's final state changes against what was read before. Content of native contracts
/// is added by the caller.
pub(crate) fn collect(state: EvmState, base: &BlockDb<'_>) -> Changes {
    let mut changes = Changes::default();
    // The maps iterated here have no order; the ordered maps filled from them do.
    for (address, account) in state {
        // Destroyed by the last transaction that touched it (EIP-6780: also created by it). One
        // destroyed earlier in the block has been cleared when it was loaded again.
        let destroyed = account.is_selfdestructed_locally();
        if !account.is_touched() && !destroyed {
            continue;
        }
        let old = base.accounts.get(&address).copied();
        let info = &account.info;
        let new = (!destroyed)
            .then(|| Account::new(info.nonce, info.balance, info.code_hash))
            .filter(|account| !account.is_empty());
        if new != old {
            let value = new.as_ref().map(Account::encode);
            changes.entries.insert(StateKey::Account(address), value);
        }
        if let Some(new) = new.filter(Account::has_code)
            && old.is_none_or(|old| old.code_hash != new.code_hash)
            && let Some(code) = &info.code
        {
            changes.blobs.insert(new.code_hash, code.original_bytes());
        }
        for (slot, value) in &account.storage {
            let present = if destroyed {
                U256::ZERO
            } else {
                value.present_value
            };
            let before = base
                .slots
                .get(&(address, *slot))
                .copied()
                .unwrap_or_default();
            if present != before {
                let key = StateKey::Storage(address, B256::from(*slot));
                changes
                    .entries
                    .insert(key, StorageValue::encode(B256::from(present)));
            }
        }
    }
    changes
}
