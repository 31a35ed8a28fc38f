use std::{num::NonZeroUsize, sync::Arc};

use alloy_primitives::map::{AddressMap, HashMap};
use hawser_ledger::state::{Account, StateError, StateKey, StateRead, StorageValue};
use hawser_primitives::{Address, B256, Height, U256};
use lru::LruCache;
use parking_lot::Mutex;
use revm::{
    Database, DatabaseRef,
    state::{AccountInfo, Bytecode},
};

use crate::{BlockHashes, error::DbError};

/// Contracts kept analysed across blocks. Code is at most 24,576 bytes, so this is some 50 MB.
const CODE_CACHE: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Analysed bytecode by its hash, shared by all executions of one [`Executor`](crate::Executor).
#[derive(Clone, Debug)]
pub(crate) struct CodeCache(Arc<Mutex<LruCache<B256, Bytecode>>>);

impl Default for CodeCache {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(CODE_CACHE))))
    }
}

impl CodeCache {
    fn load(&self, state: &dyn StateRead, hash: B256) -> Result<Bytecode, DbError> {
        if let Some(code) = self.0.lock().get(&hash) {
            return Ok(code.clone());
        }
        let raw = state
            .blob(&hash)?
            .ok_or_else(|| StateError::Corrupt(format!("code {hash} is missing")))?;
        let code = Bytecode::new_raw_checked(raw)
            .map_err(|error| StateError::Corrupt(format!("code {hash}: {error}")))?;
        self.0.lock().put(hash, code.clone());
        Ok(code)
    }
}

/// The state as the engine reads it. Keeps nothing itself.
#[derive(Clone, Copy)]
pub(crate) struct StateDb<'a> {
    pub(crate) state: &'a dyn StateRead,
    pub(crate) hashes: &'a dyn BlockHashes,
    pub(crate) code: &'a CodeCache,
}

impl StateDb<'_> {
    pub(crate) fn account(&self, address: &Address) -> Result<Option<Account>, DbError> {
        Ok(self.state.account(address)?)
    }

    pub(crate) fn slot(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let key = StateKey::Storage(address, B256::from(slot));
        let Some(bytes) = self.state.get(&key)? else {
            return Ok(U256::ZERO);
        };
        Ok(StorageValue::decode(&bytes)?.into())
    }
}

pub(crate) fn info(account: &Account) -> AccountInfo {
    AccountInfo {
        balance: account.balance(),
        nonce: account.nonce,
        code_hash: account.code_hash,
        account_id: None,
        // Loaded when it is first needed.
        code: None,
    }
}

impl DatabaseRef for StateDb<'_> {
    type Error = DbError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, DbError> {
        Ok(self.account(&address)?.as_ref().map(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, DbError> {
        self.code.load(self.state, hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.slot(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, DbError> {
        Ok(self.hashes.block_hash(Height(number))?.unwrap_or_default())
    }
}

/// The state under a block, remembering what was read so that only real changes are written. The
/// engine's journal reads each key once per block, so this is no second cache.
pub(crate) struct BlockDb<'a> {
    inner: StateDb<'a>,
    pub(crate) accounts: AddressMap<Account>,
    pub(crate) slots: HashMap<(Address, U256), U256>,
}

impl<'a> BlockDb<'a> {
    pub(crate) fn new(inner: StateDb<'a>) -> Self {
        Self {
            inner,
            accounts: AddressMap::default(),
            slots: HashMap::default(),
        }
    }
}

impl Database for BlockDb<'_> {
    type Error = DbError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DbError> {
        let Some(account) = self.inner.account(&address)? else {
            return Ok(None);
        };
        self.accounts.insert(address, account);
        Ok(Some(info(&account)))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, DbError> {
        self.inner.code_by_hash_ref(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DbError> {
        let value = self.inner.slot(address, slot)?;
        if !value.is_zero() {
            self.slots.insert((address, slot), value);
        }
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DbError> {
        self.inner.block_hash_ref(number)
    }
}
