use hawser_ledger::{
    Genesis,
    state::{Account, Changes, StateKey, StorageValue},
};
use hawser_primitives::{Address, B256, Bytes, Height, U256, address};
use revm::{
    Database,
    context_interface::{ContextTr, JournalTr},
};

use crate::{
    Executor,
    error::{DbError, EvmError},
    evm::ChainEvm,
};

/// Code at a native contract's address: one `INVALID`, so that `EXTCODESIZE` is not zero and
/// Solidity's check before a call passes. It never runs.
pub const NATIVE_CODE: Bytes = Bytes::from_static(&[0xfe]);

/// EIP-2935's history contract.
pub const HISTORY_ADDRESS: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");

/// How many block hashes the history contract keeps (EIP-2935 `HISTORY_SERVE_WINDOW`).
pub const HISTORY_WINDOW: u64 = 8_191;

/// Code of the history contract as EIP-2935 gives it.
const HISTORY_CODE: Bytes = Bytes::from_static(&alloy_primitives::hex!(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257\
     611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
));

impl Executor {
    /// The state that a chain starts from: the accounts of the genesis, the history contract and the
    /// markers of native contracts. The addresses of the latter belong to the protocol: an account
    /// that the genesis puts there gives its balance only.
    #[must_use]
    pub fn genesis_changes(&self, genesis: &Genesis) -> Changes {
        let mut changes = Changes::default();
        for (address, account) in &genesis.accounts {
            put(
                &mut changes,
                *address,
                account.nonce,
                account.balance,
                account.code.clone(),
            );
            for (slot, value) in &account.storage {
                if let Some(value) = StorageValue::encode(*value) {
                    changes
                        .entries
                        .insert(StateKey::Storage(*address, *slot), Some(value));
                }
            }
        }
        let natives = self
            .natives()
            .list()
            .into_iter()
            .map(|(address, _)| (address, NATIVE_CODE));
        for (address, code) in natives.chain([(HISTORY_ADDRESS, HISTORY_CODE)]) {
            let balance = genesis
                .accounts
                .get(&address)
                .map_or(U256::ZERO, |a| a.balance);
            let storage = StateKey::Storage(address, B256::ZERO);
            let end = StateKey::Storage(address, B256::repeat_byte(0xff));
            let stray: Vec<_> = changes
                .entries
                .range(storage..=end)
                .map(|(key, _)| *key)
                .collect();
            for key in stray {
                changes.entries.remove(&key);
            }
            put(&mut changes, address, 1, balance, code);
        }
        for contract in self.natives().contracts() {
            let start = contract.genesis(genesis);
            for (slot, value) in start.slots {
                let key = StateKey::Storage(contract.address(), slot);
                if let Some(value) = StorageValue::encode(value) {
                    changes.entries.insert(key, Some(value));
                }
            }
            changes.blobs.extend(start.blobs);
        }
        changes
    }
}

fn put(changes: &mut Changes, address: Address, nonce: u64, balance: U256, code: Bytes) {
    let hash = alloy_primitives::keccak256(&code);
    let account = Account::new(nonce, balance, hash);
    if account.is_empty() {
        return;
    }
    if account.has_code() {
        changes.blobs.insert(hash, code);
    }
    changes
        .entries
        .insert(StateKey::Account(address), Some(account.encode()));
}

/// EIP-2935: before a block's first transaction its parent's hash goes into the ring. Written
/// directly, as the EIP allows; a chain whose genesis lacks the contract keeps no ring.
pub(crate) fn record_parent<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    height: Height,
    parent: B256,
) -> Result<(), EvmError>
where
    DB: Database<Error = DbError>,
{
    let Some(parent_height) = height.prev() else {
        return Ok(());
    };
    let journal = evm.ctx.journal_mut();
    if journal.load_account(HISTORY_ADDRESS)?.data.info.is_empty() {
        return Ok(());
    }
    let slot = U256::from(parent_height.0 % HISTORY_WINDOW);
    journal.sstore(HISTORY_ADDRESS, slot, parent.into())?;
    journal.commit_tx();
    Ok(())
}
