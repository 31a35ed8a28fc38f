//! A small chain in memory for tests.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod sign;

use alloy_consensus::{TxEip1559, TxLegacy};
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::TxKind;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::{
    BlockContext, BlockInput, BlockOutput, ExecutionConfig, Executor, NativeContract,
    NativeRegistry, NoHashes,
};
use hawser_ledger::{
    ChainParameters, Genesis, GenesisAccount, GenesisValidator, Outcome, PROTOCOL_VERSION,
    VerifiedTransaction,
    state::{MemoryState, StateRead},
};
use hawser_primitives::{Address, B256, Bytes, Height, Time, U256};
pub use sign::{CHAIN, authorize, native_of as native, to};
use sign::{delegation, signed};
use std::sync::Arc;

pub fn key(scheme: Scheme, n: u8) -> SecretKey {
    SecretKey::from_seed(scheme, &[n; 32]).unwrap()
}

pub fn eth_key(n: u8) -> SecretKey {
    key(Scheme::Secp256k1, n)
}

pub struct Chain {
    pub genesis: Genesis,
    pub executor: Executor,
    pub state: MemoryState,
    pub context: BlockContext,
    pub seen: Vec<B256>,
}

pub fn genesis(suite: Suite, accounts: Vec<(Address, GenesisAccount)>) -> Genesis {
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        name: "test".to_owned(),
        suite,
        time: Time(1_700_000_000_000),
        parameters: ChainParameters::default(),
        validators: vec![GenesisValidator {
            name: "v".to_owned(),
            public_key: key(suite.vote_scheme(), 200).public_key(),
            weight: 1,
        }],
        accounts: accounts.into_iter().collect(),
        governance: None,
    }
}

impl Chain {
    pub fn new(accounts: Vec<(Address, GenesisAccount)>) -> Self {
        Self::with(
            Suite::Intl,
            ChainParameters::default(),
            accounts,
            Vec::new(),
        )
    }

    pub fn with(
        suite: Suite,
        parameters: ChainParameters,
        accounts: Vec<(Address, GenesisAccount)>,
        natives: Vec<Arc<dyn NativeContract>>,
    ) -> Self {
        let mut genesis = genesis(suite, accounts);
        genesis.parameters = parameters;
        let registry = NativeRegistry::new(natives).unwrap();
        let executor = Executor::new(ExecutionConfig::from(&genesis), registry);
        let mut state = MemoryState::new();
        state.apply(executor.genesis_changes(&genesis));
        let context = BlockContext {
            height: Height(1),
            time: genesis.time.plus_ms(1500),
            proposer: Address::repeat_byte(0xcc),
            parent_hash: B256::repeat_byte(0xab),
            gas_limit: genesis.parameters.block_gas_max,
        };
        Self {
            genesis,
            executor,
            state,
            context,
            seen: Vec::new(),
        }
    }

    pub fn execute(&self, transactions: &[VerifiedTransaction]) -> BlockOutput {
        let seen = |digest: &B256| self.seen.contains(digest);
        let input = BlockInput {
            context: self.context,
            transactions,
            seen_unordered: &seen,
        };
        self.executor
            .execute_block(&self.state, &NoHashes, &input)
            .unwrap()
    }

    /// Executes a block, keeps its changes and moves on.
    pub fn advance(&mut self, transactions: &[VerifiedTransaction]) -> BlockOutput {
        let output = self.execute(transactions);
        self.state.apply(output.changes.clone());
        self.seen
            .extend(output.unordered.iter().map(|mark| mark.digest));
        self.context.height = self.context.height.next();
        self.context.time = self.context.time.plus_ms(1000);
        self.context.parent_hash = alloy_primitives::keccak256(self.context.parent_hash);
        output
    }

    pub fn balance(&self, address: Address) -> U256 {
        self.state
            .account(&address)
            .unwrap()
            .unwrap_or_default()
            .balance()
    }

    pub fn nonce(&self, address: Address) -> u64 {
        self.state
            .account(&address)
            .unwrap()
            .unwrap_or_default()
            .nonce
    }

    pub fn slot(&self, address: Address, slot: u64) -> U256 {
        self.state
            .storage(&address, &B256::from(U256::from(slot)))
            .unwrap()
            .into()
    }
}

pub fn rich(address: Address) -> (Address, GenesisAccount) {
    let balance = U256::from(10).pow(U256::from(18));
    (
        address,
        GenesisAccount {
            balance,
            ..GenesisAccount::default()
        },
    )
}

pub fn code(address: Address, code: &str) -> (Address, GenesisAccount) {
    let code = alloy_primitives::hex::decode(code).unwrap().into();
    (
        address,
        GenesisAccount {
            code,
            nonce: 1,
            ..GenesisAccount::default()
        },
    )
}

/// A transaction of type 2 that asks for fees, as wallets do.
pub fn call_tx(
    key: &SecretKey,
    nonce: u64,
    to: Option<Address>,
    value: u64,
    input: Vec<u8>,
    gas_limit: u64,
) -> VerifiedTransaction {
    let tx = TxEip1559 {
        chain_id: CHAIN.0,
        nonce,
        gas_limit,
        max_fee_per_gas: 2_000_000_000,
        // Above the maximum: zero-fee chains ignore it.
        max_priority_fee_per_gas: 3_000_000_000,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value: U256::from(value),
        access_list: Default::default(),
        input: input.into(),
    };
    signed(key, tx)
}

pub fn legacy_tx(key: &SecretKey, nonce: u64, to: Address, value: u64) -> VerifiedTransaction {
    let tx = TxLegacy {
        chain_id: Some(CHAIN.0),
        nonce,
        gas_price: 1_000_000_000,
        gas_limit: 21_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        input: Bytes::new(),
    };
    signed(key, tx)
}

pub fn delegation_tx(
    key: &SecretKey,
    nonce: u64,
    to: Address,
    authorizations: Vec<SignedAuthorization>,
) -> VerifiedTransaction {
    delegation(key, nonce, to, authorizations, 1_000_000)
}

pub fn outcomes(output: &BlockOutput) -> Vec<Outcome> {
    output
        .receipts
        .iter()
        .map(|receipt| receipt.outcome)
        .collect()
}

/// Init code that deploys `runtime`.
pub fn deploy(runtime: &[u8]) -> Vec<u8> {
    let mut code = alloy_primitives::hex::decode("61000080600a5f395ff3").unwrap();
    let len = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    code[1] = len[0];
    code[2] = len[1];
    code.extend_from_slice(runtime);
    code
}

/// Stores its first word of call data in slot 0 and emits an event with it.
pub const STORE: &str = "5f355f555f3560405260206040a000";
/// Reverts with the bytes `deadbeef`.
pub const REVERT: &str = "63deadbeef5f526004601cfd";
