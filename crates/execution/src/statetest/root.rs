//! Root of Ethereum's state trie (Yellow Paper appendix D) over the accounts of a memory state.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use alloy_rlp::{BufMut, Encodable, Header};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles};
use hawser_ledger::state::{Account, MemoryState, StateError, StateKey, StorageValue};
use hawser_primitives::{Address, B256, U256};

pub(super) fn state_root(state: &MemoryState) -> Result<B256, StateError> {
    let mut accounts: BTreeMap<Address, Account> = BTreeMap::new();
    let mut slots: BTreeMap<Address, BTreeMap<B256, Vec<u8>>> = BTreeMap::new();
    for (key, value) in state.entries() {
        match key {
            StateKey::Account(address) => {
                accounts.insert(*address, Account::decode(value)?);
            }
            StateKey::Storage(address, slot) => {
                let value = U256::from_be_bytes(StorageValue::decode(value)?.0);
                let entry = slots.entry(*address).or_default();
                entry.insert(keccak256(slot), alloy_rlp::encode(value));
            }
        }
    }
    let leaves = accounts.iter().map(|(address, account)| {
        let storage = slots.get(address).map_or(EMPTY_ROOT_HASH, trie_root);
        (keccak256(address), encode(account, storage))
    });
    Ok(trie_root(&leaves.collect()))
}

fn trie_root(leaves: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (path, value) in leaves {
        builder.add_leaf(Nibbles::unpack(path), value);
    }
    builder.root()
}

fn encode(account: &Account, storage_root: B256) -> Vec<u8> {
    let (nonce, balance) = (account.nonce, account.balance());
    let fields: [&dyn Encodable; 4] = [&nonce, &balance, &storage_root, &account.code_hash];
    let payload_length = fields.iter().map(|field| field.length()).sum();
    let mut out = Vec::new();
    Header {
        list: true,
        payload_length,
    }
    .encode(&mut out as &mut dyn BufMut);
    for field in fields {
        field.encode(&mut out);
    }
    out
}
