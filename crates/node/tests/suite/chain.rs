//! A chain made block by block, without links: every block is certified by the validators whose keys are
//! at hand.

use std::sync::Arc;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::NativeRegistry;
use hawser_ledger::{
    Block, Call, Certificate, ChainParameters, CommitSignature, Genesis, GenesisAccount,
    GenesisValidator, Header, Ordering, PROTOCOL_VERSION, Transaction, UnsignedNative, VoteKind,
    state::StateOptions, transactions_root, vote_message,
};
use hawser_node::{
    replica::CheckedBlock,
    store::{ChainStore, StoreOptions},
};
use hawser_primitives::{Address, Bytes, ChainId, Height, Round, Time, U256};
use hawser_services::evidence::{self, Algorithm, Record, encode_register};
use hawser_storage::{MemDisk, MemKv};

pub(crate) const CHAIN: ChainId = ChainId(5);
const START: Time = Time(1_000_000);

pub(crate) fn validator(suite: Suite, i: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(suite.vote_scheme(), &[i; 32]).unwrap())
}

pub(crate) fn client() -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[9; 32]).unwrap()
}

pub(crate) fn genesis(suite: Suite) -> Arc<Genesis> {
    // Many accounts, so that the state has several parts.
    let account = GenesisAccount {
        balance: U256::from(1_000_000),
        ..GenesisAccount::default()
    };
    let many = (0u64..70_000).map(|i| {
        let mut address = [0x33; 20];
        address[..8].copy_from_slice(&i.to_be_bytes());
        (Address::from(address), account.clone())
    });
    Arc::new(Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        name: "test".to_owned(),
        suite,
        time: START,
        parameters: ChainParameters::default(),
        validators: (1..=4)
            .map(|i| GenesisValidator {
                name: format!("v{i}"),
                public_key: validator(suite, i).public_key(),
                weight: 1,
            })
            .collect(),
        accounts: many
            .chain([(client().address(), account.clone())])
            .collect(),
        governance: None,
    })
}

pub(crate) fn natives() -> NativeRegistry {
    hawser_services::registry().unwrap()
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        state: StateOptions {
            overlay_blocks: 8,
            provable_blocks: 4,
            ..StateOptions::default()
        },
        ..StoreOptions::default()
    }
}

pub(crate) struct TestChain {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) store: ChainStore,
    pub(crate) disk: MemDisk,
    pub(crate) kv: Arc<MemKv>,
}

impl TestChain {
    pub(crate) fn new(suite: Suite) -> Self {
        Self::open(genesis(suite), MemDisk::new(1), Arc::new(MemKv::new()))
    }

    pub(crate) fn open(genesis: Arc<Genesis>, disk: MemDisk, kv: Arc<MemKv>) -> Self {
        let store = ChainStore::open(
            Arc::new(disk.clone()),
            Arc::<MemKv>::clone(&kv),
            Arc::clone(&genesis),
            natives(),
            options(),
            &mut |_, _| {},
        )
        .unwrap();
        Self {
            genesis,
            store,
            disk,
            kv,
        }
    }

    /// The next block with these transactions, and its certificate.
    pub(crate) fn block(&self, raws: Vec<Bytes>) -> (CheckedBlock, Certificate) {
        let suite = self.genesis.suite;
        let (tip, id) = self.store.tip().unwrap();
        let height = id.height.next();
        let lag = self.genesis.parameters.root_lag;
        let committee = self.store.committee(height).unwrap();
        let header = Header {
            version: PROTOCOL_VERSION,
            chain_id: CHAIN,
            height,
            parent: id.hash,
            time: tip.time.plus_ms(1_000),
            proposer: validator(suite, 1).address(),
            transactions_root: transactions_root(suite, &raws),
            transactions_count: raws.len() as u32,
            executed: self.store.roots(height.back(lag)).unwrap().unwrap(),
            validators: committee.hash(suite),
            next_validators: committee.hash(suite),
        };
        let hash = header.hash(suite);
        let mut signatures: Vec<_> = (1..=3)
            .map(|i| {
                let key = validator(suite, i);
                let at = committee.index_of(&key.address()).unwrap();
                let bytes = vote_message(CHAIN, height, Round(0), VoteKind::Precommit, Some(hash));
                CommitSignature {
                    validator: at as u16,
                    signature: key.sign(&bytes),
                }
            })
            .collect();
        signatures.sort_by_key(|one| one.validator);
        let certificate = Certificate {
            height,
            round: Round(0),
            block_hash: hash,
            signatures,
        };
        let verified = raws.iter().map(|raw| {
            let transaction = Transaction::decode(suite, raw.clone()).unwrap();
            Arc::new(transaction.verify(CHAIN).unwrap())
        });
        let block = CheckedBlock {
            hash,
            transactions: Arc::new(verified.collect()),
            block: Arc::new(Block {
                header,
                transactions: raws,
            }),
        };
        (block, certificate)
    }

    pub(crate) fn take(&self, block: &CheckedBlock, certificate: &Certificate) {
        self.store.append(&block.block, certificate).unwrap();
        self.store.sync_blocks().unwrap();
        self.store.execute(block, certificate.clone()).unwrap();
        if let Some(due) = self.store.flush_due() {
            self.store.flush_to(due).unwrap();
        }
    }

    pub(crate) fn advance(&self, raws: Vec<Bytes>) {
        let (block, certificate) = self.block(raws);
        self.take(&block, &certificate);
    }

    /// Blocks with evidence and transfers up to a height.
    pub(crate) fn grow(&self, to: u64) {
        let mut height = self.store.stored_height().0;
        while height < to {
            height += 1;
            self.advance(vec![register(height), unordered(height, self.now())]);
        }
    }

    /// Time of the last block.
    pub(crate) fn now(&self) -> Time {
        self.store.tip().unwrap().0.time
    }
}

fn signed(ordering: Ordering, to: Address, input: Bytes) -> Bytes {
    UnsignedNative {
        chain_id: CHAIN,
        signer: client().public_key(),
        ordering,
        gas_limit: 2_000_000,
        calls: vec![Call::Call {
            to,
            value: U256::ZERO,
            input,
        }],
    }
    .sign(&client())
    .encode_2718()
}

/// Registers a record; nonces begin with 0 at block 1.
pub(crate) fn register(height: u64) -> Bytes {
    let mut digest = vec![0xd1; 32];
    digest[..8].copy_from_slice(&height.to_be_bytes());
    let record = Record {
        digest,
        algorithm: Algorithm::Sm3.number(),
        media_type: "application/pdf".to_owned(),
        description: format!("record {height}"),
        sealed_owner: vec![0x5e; 40],
    };
    let ordering = Ordering::Sequential { nonce: height - 1 };
    signed(ordering, evidence::ADDRESS, encode_register(&[record]))
}

/// A transaction that may be executed once within ten minutes.
pub(crate) fn unordered(salt: u64, now: Time) -> Bytes {
    let expires = now.plus_ms(500_000);
    signed(
        Ordering::Unordered { expires, salt },
        Address::repeat_byte(0x77),
        Bytes::new(),
    )
}

/// Heights of the heads are equal and so is what they commit to.
pub(crate) fn assert_same(a: &ChainStore, b: &ChainStore) {
    assert_eq!(a.head().id(), b.head().id());
    let height: Height = a.head().id().height;
    assert_eq!(a.roots(height).unwrap(), b.roots(height).unwrap());
}
