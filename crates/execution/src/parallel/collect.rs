//! What a block changes, from what its transactions have written.

use std::collections::BTreeMap;

use hawser_ledger::state::{Account, Changes, StateError, StateKey, StateRead, StorageValue};
use hawser_primitives::{Address, B256, Bytes, U256};

use super::{
    memory::{Memory, Version},
    view::Writes,
};

/// All that a block changes: what versions below `end` wrote, and over it what the rest did.
pub(super) fn collect(
    memory: &Memory,
    state: &dyn StateRead,
    end: Version,
    rest: Writes,
) -> Result<Changes, StateError> {
    memory.add_codes(rest.codes);
    let mut found = Found {
        memory,
        state,
        entries: Vec::new(),
        codes: BTreeMap::new(),
        error: None,
    };
    let over: BTreeMap<_, _> = rest.accounts.iter().copied().collect();
    memory.accounts.written(end, &mut |address, new, base| {
        if !over.contains_key(&address) {
            found.account(address, new, base);
        }
    });
    for (address, new) in over {
        found.account(address, Some(new), memory.accounts.known(&address, 0));
    }
    let over: BTreeMap<_, _> = rest.slots.iter().copied().collect();
    memory.slots.written(end, &mut |key, new, base| {
        if !over.contains_key(&key) {
            found.slot(key, new, base);
        }
    });
    for (key, new) in over {
        found.slot(key, new, memory.slots.known(&key, 0));
    }
    if let Some(error) = found.error {
        return Err(error);
    }
    let mut blobs = found.codes;
    blobs.extend(memory.blobs_below(end));
    blobs.extend(rest.blobs);
    Ok(Changes {
        // Sorts first, then builds the tree at once.
        entries: found.entries.into_iter().collect(),
        blobs,
    })
}

/// Changes as they are found, in any order.
struct Found<'a> {
    memory: &'a Memory,
    state: &'a dyn StateRead,
    entries: Vec<(StateKey, Option<Bytes>)>,
    codes: BTreeMap<B256, Bytes>,
    error: Option<StateError>,
}

impl Found<'_> {
    fn keep<T>(&mut self, read: Result<T, StateError>) -> Option<T> {
        read.map_err(|error| self.error.get_or_insert(error)).ok()
    }

    fn account(&mut self, address: Address, new: Option<Account>, base: Option<Option<Account>>) {
        let old = match base {
            Some(old) => old,
            None => {
                let read = self.state.account(&address);
                let Some(old) = self.keep(read) else {
                    return;
                };
                old
            }
        };
        let new = new.filter(|account| !account.is_empty());
        if new != old {
            let value = new.as_ref().map(Account::encode);
            self.entries.push((StateKey::Account(address), value));
        }
        if let Some(new) = new.filter(Account::has_code)
            && old.is_none_or(|old| old.code_hash != new.code_hash)
            && let Some(code) = self.memory.code(&new.code_hash)
        {
            self.codes.insert(new.code_hash, code.original_bytes());
        }
    }

    fn slot(&mut self, (address, slot): (Address, U256), new: U256, base: Option<U256>) {
        let key = StateKey::Storage(address, B256::from(slot));
        // One that nobody read belongs to an account that the block made: it held nothing.
        if new != base.unwrap_or_default() {
            self.entries
                .push((key, StorageValue::encode(B256::from(new))));
        }
    }
}
