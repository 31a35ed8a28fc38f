//! What one transaction sees, what it has read of it, and what it writes.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use alloy_primitives::map::{AddressMap, HashMap};
use hawser_ledger::state::{Account, StateError, StateKey, StateRead};
use hawser_primitives::{Address, B256, Bytes, U256};
use parking_lot::Mutex;
use revm::{
    Database, DatabaseRef,
    state::{AccountInfo, Bytecode, EvmState},
};

use super::memory::{Memory, Version};
use crate::{database::StateDb, database::info, error::DbError};

/// Codes that one thread keeps at hand within a block, so that it need not ask the shared cache for
/// each call.
const CODES_MAX: usize = 256;

/// Everything that a transaction has read of what others may change.
#[derive(Default)]
pub(super) struct Reads {
    accounts: AddressMap<Option<Account>>,
    slots: HashMap<(Address, U256), U256>,
    /// Whether the block had put the content.
    blobs: BTreeMap<B256, bool>,
}

impl Reads {
    /// Whether a transaction that runs at `at` would read the same now. By value: that a key was
    /// written in between does not matter when it holds what it held.
    pub(super) fn hold(&self, memory: &Memory, at: Version) -> bool {
        // The order of a map does not matter to a conjunction.
        for (address, seen) in &self.accounts {
            if memory.accounts.known(address, at).as_ref() != Some(seen) {
                return false;
            }
        }
        for (key, seen) in &self.slots {
            if memory.slots.known(key, at).as_ref() != Some(seen) {
                return false;
            }
        }
        let recent = |hash: &B256| memory.blob(hash, at).is_some();
        self.blobs.iter().all(|(hash, seen)| recent(hash) == *seen)
    }
}

/// What a transaction changes.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) accounts: Vec<(Address, Account)>,
    pub(super) slots: Vec<((Address, U256), U256)>,
    pub(super) codes: Vec<(B256, Bytecode)>,
    pub(super) blobs: BTreeMap<B256, Bytes>,
}

impl Writes {
    /// What the engine's state after one transaction changes of what it has read.
    ///
    /// An account that was touched and is empty is written as empty even where there was none: the
    /// engine's journal, when it lives through a whole block, remembers that it was touched, and
    /// EIP-7702's refund depends on it.
    pub(super) fn of(state: EvmState, reads: &Reads, blobs: BTreeMap<B256, Bytes>) -> Self {
        let mut writes = Self {
            blobs,
            ..Self::default()
        };
        for (address, account) in state {
            let destroyed = account.is_selfdestructed_locally();
            if !account.is_touched() && !destroyed {
                continue;
            }
            let info = &account.info;
            let old = reads.accounts.get(&address).copied().flatten();
            let new = if destroyed {
                Account::default()
            } else {
                Account::new(info.nonce, info.balance, info.code_hash)
            };
            if old != Some(new) {
                writes.accounts.push((address, new));
            }
            if new.has_code()
                && old.is_none_or(|old| old.code_hash != new.code_hash)
                && let Some(code) = &info.code
            {
                writes.codes.push((new.code_hash, code.clone()));
            }
            for (slot, value) in &account.storage {
                let present = if destroyed {
                    U256::ZERO
                } else {
                    value.present_value
                };
                let key = (address, *slot);
                // What was not read belongs to an account made by this transaction.
                let old = reads.slots.get(&key).copied().unwrap_or_default();
                if present != old {
                    writes.slots.push((key, present));
                }
            }
        }
        writes
    }
}

/// The state as one transaction after another sees it, each at its version.
pub(crate) struct View<'a> {
    memory: &'a Memory,
    base: StateDb<'a>,
    at: Version,
    /// What the transaction has read. A key that is asked for again has the same value, whatever
    /// others have done in between.
    reads: Reads,
    codes: HashMap<B256, Bytecode>,
}

impl<'a> View<'a> {
    pub(super) fn new(memory: &'a Memory, base: StateDb<'a>) -> Self {
        Self {
            memory,
            base,
            at: 0,
            reads: Reads::default(),
            codes: HashMap::default(),
        }
    }

    /// Begins anew at a version.
    pub(super) fn begin(&mut self, at: Version) {
        self.at = at;
        self.reads = Reads::default();
    }

    /// What was read since.
    pub(super) fn take_reads(&mut self, blobs: BTreeMap<B256, bool>) -> Reads {
        let mut reads = std::mem::take(&mut self.reads);
        reads.blobs = blobs;
        reads
    }
}

impl Database for View<'_> {
    type Error = DbError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DbError> {
        if let Some(account) = self.reads.accounts.get(&address) {
            return Ok(account.as_ref().map(info));
        }
        let load = || self.base.account(&address);
        let account = self.memory.accounts.read(address, self.at, load)?;
        self.reads.accounts.insert(address, account);
        Ok(account.as_ref().map(info))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, DbError> {
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        // Code is what its hash says, whoever brought it.
        let code = match self.memory.code(&hash) {
            Some(code) => code,
            None => self.base.code_by_hash_ref(hash)?,
        };
        if self.codes.len() >= CODES_MAX {
            self.codes.clear();
        }
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DbError> {
        let key = (address, slot);
        if let Some(value) = self.reads.slots.get(&key) {
            return Ok(*value);
        }
        let load = || self.base.slot(address, slot);
        let value = self.memory.slots.read(key, self.at, load)?;
        self.reads.slots.insert(key, value);
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DbError> {
        self.base.block_hash_ref(number)
    }
}

/// Content outside the tree, as native contracts and the gate ask for it, beside a [`View`].
pub(super) struct BlobView<'a> {
    memory: &'a Memory,
    state: &'a dyn StateRead,
    at: AtomicU32,
    /// Answers given, and whether the block had put the content.
    reads: Mutex<BTreeMap<B256, (bool, Option<Bytes>)>>,
}

impl<'a> BlobView<'a> {
    pub(super) fn new(memory: &'a Memory, state: &'a dyn StateRead) -> Self {
        Self {
            memory,
            state,
            at: AtomicU32::new(0),
            reads: Mutex::default(),
        }
    }

    pub(super) fn begin(&self, at: Version) {
        self.at.store(at, Ordering::Relaxed);
        self.reads.lock().clear();
    }

    pub(super) fn take_reads(&self) -> BTreeMap<B256, bool> {
        let reads = std::mem::take(&mut *self.reads.lock());
        let seen = reads.into_iter().map(|(hash, (recent, _))| (hash, recent));
        seen.collect()
    }
}

impl StateRead for BlobView<'_> {
    fn get(&self, _: &StateKey) -> Result<Option<Bytes>, StateError> {
        // Values go through the engine's journal, which knows what the block has changed.
        let reason = "a value was asked for beside the journal; a fault of this program";
        Err(StateError::Store(reason.to_owned()))
    }

    fn blob(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        let mut reads = self.reads.lock();
        if let Some((_, content)) = reads.get(hash) {
            return Ok(content.clone());
        }
        let recent = self.memory.blob(hash, self.at.load(Ordering::Relaxed));
        let (seen, content) = match recent {
            Some(content) => (true, Some(content)),
            None => (false, self.state.blob(hash)?),
        };
        reads.insert(*hash, (seen, content.clone()));
        Ok(content)
    }
}
