//! A chain of one validator, made without a network: for tests and measurements of what is stored.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::NativeRegistry;
use hawser_ledger::state::StateOptions;
use hawser_ledger::{
    Block, Call, Certificate, ChainParameters, CommitSignature, Genesis, GenesisAccount,
    GenesisValidator, Header, Ordering, PROTOCOL_VERSION, Roots, Transaction, UnsignedNative,
    VoteKind, transactions_root, vote_message,
};
use hawser_node::{
    replica::CheckedBlock,
    store::{ChainStore, StoreError, StoreOptions},
};
use hawser_primitives::{Address, Bytes, ChainId, Height, Round, Time, U256};
use hawser_storage::{Disk, Kv, SegmentOptions};

pub const CHAIN: ChainId = ChainId(77);
/// Blocks are a second apart unless told otherwise.
pub const BLOCK_MS: u64 = 1_000;

/// A store with small files, which keeps the past of 64 blocks, and the newest `keep` blocks, or all.
pub fn options(segment_bytes: u64, keep: Option<u64>) -> StoreOptions {
    StoreOptions {
        state: StateOptions {
            history_blocks: 64,
            ..StateOptions::default()
        },
        segments: SegmentOptions {
            segment_bytes,
            ..SegmentOptions::default()
        },
        keep_blocks: keep,
        ..StoreOptions::default()
    }
}

pub fn key() -> SecretKey {
    SecretKey::from_seed(Suite::Intl.vote_scheme(), &[1; 32]).unwrap()
}

pub fn client() -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[9; 32]).unwrap()
}

pub fn genesis() -> Arc<Genesis> {
    let account = GenesisAccount {
        balance: U256::from(1u64 << 60),
        ..GenesisAccount::default()
    };
    Arc::new(Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        name: "made".to_owned(),
        suite: Suite::Intl,
        time: Time(1_000),
        parameters: ChainParameters::default(),
        validators: vec![GenesisValidator {
            name: "only".to_owned(),
            public_key: key().public_key(),
            weight: 1,
        }],
        accounts: [(client().address(), account)].into(),
        governance: None,
    })
}

pub fn open(
    disk: Arc<dyn Disk>,
    kv: Arc<dyn Kv>,
    options: StoreOptions,
) -> Result<ChainStore, StoreError> {
    let natives = NativeRegistry::new(Vec::new()).unwrap_or_default();
    ChainStore::open(disk, kv, genesis(), natives, options, &mut |_, _| {})
}

/// Transfers of one wei each to accounts of their own, from nonce `nonce` on.
pub fn transfers(nonce: u64, count: u64) -> Vec<Bytes> {
    let one = |nonce: u64| {
        let mut to = [0x77; 20];
        to[..8].copy_from_slice(&nonce.to_le_bytes());
        UnsignedNative {
            chain_id: CHAIN,
            signer: client().public_key(),
            ordering: Ordering::Sequential { nonce },
            gas_limit: 100_000,
            calls: vec![Call::Call {
                to: Address::from(to),
                value: U256::from(1),
                input: Bytes::new(),
            }],
        }
        .sign(&client())
        .encode_2718()
    };
    (nonce..nonce + count).map(one).collect()
}

/// The block that follows the head of a store, with its certificate.
pub fn next(store: &ChainStore, transactions: Vec<Bytes>, ms: u64) -> (CheckedBlock, Certificate) {
    let genesis = store.genesis();
    let suite = genesis.suite;
    let head = store.head();
    let height = head.id().height.next();
    let set = genesis.validator_set().unwrap();
    let executed = height.back(genesis.parameters.root_lag);
    let executed: Roots = store.roots(executed).unwrap().unwrap();
    let header = Header {
        version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        height,
        parent: head.hash,
        time: head.block.header.time.plus_ms(ms),
        proposer: key().address(),
        transactions_root: transactions_root(suite, &transactions),
        transactions_count: transactions.len() as u32,
        executed,
        validators: set.hash(suite),
        next_validators: set.hash(suite),
    };
    let hash = header.hash(suite);
    let message = vote_message(CHAIN, height, Round(0), VoteKind::Precommit, Some(hash));
    let certificate = Certificate {
        height,
        round: Round(0),
        block_hash: hash,
        signatures: vec![CommitSignature {
            validator: 0,
            signature: key().sign(&message),
        }],
    };
    let verified = transactions
        .iter()
        .map(|raw| {
            let decoded = Transaction::decode(suite, raw.clone()).unwrap();
            Arc::new(decoded.verify(CHAIN).unwrap())
        })
        .collect();
    let block = CheckedBlock {
        block: Arc::new(Block {
            header,
            transactions,
        }),
        hash,
        transactions: Arc::new(verified),
    };
    (block, certificate)
}

/// Adds a block: stored, executed, and flushed if that is due.
pub fn add(store: &ChainStore, transactions: Vec<Bytes>, ms: u64) -> Result<(), StoreError> {
    let (block, certificate) = next(store, transactions, ms);
    store.append(&block.block, &certificate)?;
    store.execute(&block, certificate)?;
    if let Some(due) = store.flush_due() {
        store.flush_to(due)?;
    }
    Ok(())
}

/// Adds blocks up to a height, every fourth with a transfer. The nonce is the number of fours.
pub fn grow(store: &ChainStore, to: u64) -> Result<(), StoreError> {
    for height in store.head().id().height.0 + 1..=to {
        let with = if height % 4 == 0 {
            transfers(height / 4 - 1, 1)
        } else {
            Vec::new()
        };
        add(store, with, BLOCK_MS)?;
    }
    Ok(())
}

/// The transaction of a block that [`grow`] made.
pub fn transaction_of(height: u64) -> Bytes {
    transfers(height / 4 - 1, 1).remove(0)
}

pub fn height(height: u64) -> Height {
    Height(height)
}
