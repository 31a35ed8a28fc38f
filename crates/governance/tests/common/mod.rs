//! A governed chain in memory for tests.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../../execution/tests/common/sign.rs"]
mod sign;

use std::sync::Arc;

use alloy_consensus::TxEip1559;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::TxKind;
use alloy_sol_types::{SolCall, SolError};
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::{
    BlockContext, BlockInput, BlockOutput, CallOutcome, CallRequest, ExecutionConfig, Executor,
    Finding, NativeRegistry, NoHashes, TransactionRequest,
};
use hawser_governance::{ADDRESS, Change, Gatekeeper, Governance, IGovernance, Supervisor};
use hawser_ledger::{
    AccountMode, Call, ChainParameters, Genesis, GenesisAccount, GenesisGovernance, GenesisMember,
    GenesisOrganisation, GenesisValidator, MultisigPolicy, Ordering, Outcome, PROTOCOL_VERSION,
    Receipt, UnsignedMultisig, VerifiedTransaction,
    state::{MemoryState, StateRead},
};
use hawser_primitives::{Address, B256, Bytes, Height, Time, U256, encode};
pub use sign::{CHAIN, authorize, to};
use sign::{delegation, finish, native_of, signed};

pub const GAS: u64 = 5_000_000;

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Secp256k1, &[n; 32]).unwrap()
}

pub fn who(n: u8) -> Address {
    key(n).address()
}

/// Governors of the three organisations are 1, 2 and 3; authorities 11, 12 and 13; then a developer
/// (20), a user (21), a supervisor (22), an administrator (23) and an auditor (24) of the first
/// organisation. 30 is nobody.
pub fn governance(mode: AccountMode) -> GenesisGovernance {
    let organisation = |n: u8| GenesisOrganisation {
        id: u32::from(n),
        name: format!("org{n}"),
        weight: 1,
        authorities: vec![who(10 + n)],
        authority_threshold: 1,
        roots: vec![],
    };
    let member = |n: u8, organisation: u32, role: &str| GenesisMember {
        account: who(n),
        name: format!("m{n}"),
        organisation,
        roles: vec![role.to_owned()],
        certificate: Some(B256::repeat_byte(n)),
    };
    GenesisGovernance {
        account_mode: mode,
        public_actions: None,
        signed_reads: false,
        time_lock_ms: 2_000,
        voting_ms: 60_000,
        organisations: (1..=3).map(organisation).collect(),
        members: vec![
            member(1, 1, "governor"),
            member(2, 2, "governor"),
            member(3, 3, "governor"),
            member(20, 1, "developer"),
            member(21, 1, "user"),
            member(22, 1, "supervisor"),
            member(23, 1, "administrator"),
            member(24, 1, "auditor"),
        ],
    }
}

pub fn validator(n: u8, weight: u64) -> GenesisValidator {
    let key = SecretKey::from_seed(Scheme::Ed25519, &[n; 32]).unwrap();
    GenesisValidator {
        name: format!("v{n}"),
        public_key: key.public_key(),
        weight,
    }
}

pub fn genesis(section: Option<GenesisGovernance>, extra: &[(Address, GenesisAccount)]) -> Genesis {
    let funded = GenesisAccount {
        balance: U256::from(10).pow(U256::from(18)),
        ..GenesisAccount::default()
    };
    let people = (1..=40).map(|n| (who(n), funded.clone()));
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        name: "governed".to_owned(),
        suite: Suite::Intl,
        time: Time(1_700_000_000_000),
        parameters: ChainParameters::default(),
        validators: (200..204).map(|n| validator(n, 1)).collect(),
        accounts: people.chain(extra.iter().cloned()).collect(),
        governance: section,
    }
}

pub struct Chain {
    pub genesis: Genesis,
    pub executor: Executor,
    pub state: MemoryState,
    pub context: BlockContext,
}

impl Chain {
    pub fn new(mode: AccountMode) -> Self {
        Self::with(Some(governance(mode)), &[], None)
    }

    pub fn with(
        section: Option<GenesisGovernance>,
        extra: &[(Address, GenesisAccount)],
        supervisor: Option<Arc<dyn Supervisor>>,
    ) -> Self {
        let genesis = genesis(section, extra);
        genesis.check().unwrap();
        hawser_governance::check_genesis(&genesis).unwrap();
        let mut gate = Gatekeeper::new();
        if let Some(supervisor) = supervisor {
            gate = gate.with_supervisor(supervisor);
        }
        let registry = NativeRegistry::new(vec![Arc::new(Governance::default())])
            .unwrap()
            .with_gate(Arc::new(gate));
        let executor = Executor::new(ExecutionConfig::from(&genesis), registry);
        let mut state = MemoryState::new();
        state.apply(executor.genesis_changes(&genesis));
        let context = BlockContext {
            height: Height(1),
            time: genesis.time.plus_ms(1_000),
            proposer: Address::repeat_byte(0xcc),
            parent_hash: B256::repeat_byte(0xab),
            gas_limit: genesis.parameters.block_gas_max,
        };
        Self {
            genesis,
            executor,
            state,
            context,
        }
    }

    pub fn nonce(&self, account: Address) -> u64 {
        let found = self.state.account(&account).unwrap();
        found.map_or(0, |account| account.nonce)
    }

    pub fn balance(&self, account: Address) -> U256 {
        let found = self.state.account(&account).unwrap();
        found.map_or(U256::ZERO, |account| account.balance())
    }

    /// What the pool would say.
    pub fn pool(&self, transaction: &VerifiedTransaction) -> Option<Finding> {
        let (height, time) = (self.context.height, self.context.time);
        let answer = self
            .executor
            .check_access(&self.state, transaction, height, time);
        answer.unwrap().map(|(finding, _)| finding)
    }

    pub fn block(&mut self, transactions: &[VerifiedTransaction]) -> BlockOutput {
        let seen = |_: &B256| false;
        let input = BlockInput {
            context: self.context,
            transactions,
            seen_unordered: &seen,
        };
        let output = self
            .executor
            .execute_block(&self.state, &NoHashes, &input)
            .unwrap();
        self.state.apply(output.changes.clone());
        self.context.height = self.context.height.next();
        self.context.time = self.context.time.plus_ms(1_000);
        output
    }

    /// What a contract answers to nobody in particular.
    pub fn view(&self, to: Address, input: Vec<u8>) -> Bytes {
        let input = alloy_primitives::Bytes::from(input);
        let request = CallRequest {
            request: TransactionRequest::default().to(to).input(input.into()),
            gas_cap: GAS,
            ..CallRequest::default()
        };
        let result = self
            .executor
            .call(&self.state, &NoHashes, &self.context, &request)
            .unwrap();
        assert_eq!(result.outcome, CallOutcome::Success);
        result.output
    }

    pub fn run(&mut self, transaction: VerifiedTransaction) -> Receipt {
        self.block(&[transaction]).receipts.pop().unwrap()
    }

    /// A transaction of somebody with the next nonce.
    pub fn tx(
        &self,
        n: u8,
        to: Option<Address>,
        value: u64,
        input: Vec<u8>,
    ) -> VerifiedTransaction {
        call_tx(&key(n), self.nonce(who(n)), to, value, input)
    }

    pub fn call<C: SolCall>(&mut self, n: u8, call: &C) -> Receipt {
        let transaction = self.tx(n, Some(ADDRESS), 0, call.abi_encode());
        self.run(transaction)
    }

    /// A governance call that must succeed.
    pub fn ok<C: SolCall>(&mut self, n: u8, call: &C) -> Receipt {
        let receipt = self.call(n, call);
        assert_eq!(receipt.outcome, Outcome::Success, "{}", words(&receipt));
        receipt
    }

    /// A governance call that must fail; why.
    pub fn refused<C: SolCall>(&mut self, n: u8, call: &C) -> String {
        let receipt = self.call(n, call);
        assert_eq!(receipt.outcome, Outcome::Reverted);
        words(&receipt)
    }

    pub fn propose(&mut self, n: u8, changes: &[Change]) -> u64 {
        self.ok(n, &proposal(changes));
        hawser_governance::query::counts(&self.state)
            .unwrap()
            .proposals
    }

    pub fn vote(&mut self, n: u8, id: u64, approve: bool) -> Receipt {
        self.ok(n, &IGovernance::voteCall { id, approve })
    }

    pub fn wait(&mut self, ms: u64) {
        self.context.time = self.context.time.plus_ms(ms);
    }

    /// Proposes, approves by all three governors, waits and executes.
    pub fn decide(&mut self, changes: &[Change]) -> u64 {
        let id = self.propose(1, changes);
        for n in 1..=3 {
            let (proposal, _) = hawser_governance::query::proposal(&self.state, id)
                .unwrap()
                .unwrap();
            if proposal.stored_status == hawser_governance::ProposalStatus::Open {
                self.vote(n, id, true);
            }
        }
        self.wait(2_000);
        self.ok(1, &IGovernance::executeCall { id });
        id
    }

    pub fn audit(&self) -> Vec<hawser_governance::audit::Entry> {
        let filter = hawser_governance::audit::Filter::default();
        let found = hawser_governance::query::audit_entries(&self.state, &filter, 1, 1_000, 1_000);
        found.unwrap().0
    }
}

pub fn proposal(changes: &[Change]) -> IGovernance::proposeCall {
    IGovernance::proposeCall {
        title: "change".to_owned(),
        description: String::new(),
        changes: encode(changes).into(),
    }
}

/// Why a receipt reverted.
pub fn words(receipt: &Receipt) -> String {
    if let Some(finding) = Finding::from_revert_data(&receipt.revert_data) {
        return format!("{}: {}", finding.rule, finding.reason);
    }
    match IGovernance::Refused::abi_decode(&receipt.revert_data) {
        Ok(refused) => refused.reason,
        Err(_) => format!("{:?} {}", receipt.outcome, receipt.revert_data),
    }
}

pub fn rule_of(receipt: &Receipt) -> String {
    let finding = Finding::from_revert_data(&receipt.revert_data);
    finding.map_or_else(String::new, |finding| finding.rule)
}

pub fn call_tx(
    key: &SecretKey,
    nonce: u64,
    to: Option<Address>,
    value: u64,
    input: Vec<u8>,
) -> VerifiedTransaction {
    let tx = TxEip1559 {
        chain_id: CHAIN.0,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value: U256::from(value),
        access_list: Default::default(),
        input: input.into(),
    };
    signed(key, tx)
}

pub fn legacy_tx(key: &SecretKey, nonce: u64, to: Address, kind: u8) -> VerifiedTransaction {
    use alloy_consensus::{TxEip2930, TxLegacy};
    if kind == 0 {
        let tx = TxLegacy {
            chain_id: Some(CHAIN.0),
            nonce,
            gas_price: 0,
            gas_limit: GAS,
            to: TxKind::Call(to),
            value: U256::from(1),
            input: Bytes::new(),
        };
        return signed(key, tx);
    }
    let tx = TxEip2930 {
        chain_id: CHAIN.0,
        nonce,
        gas_price: 0,
        gas_limit: GAS,
        to: TxKind::Call(to),
        value: U256::from(1),
        access_list: Default::default(),
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
    delegation(key, nonce, to, authorizations, GAS)
}

pub fn native(key: &SecretKey, ordering: Ordering, calls: Vec<Call>) -> VerifiedTransaction {
    native_of(key, ordering, GAS, calls, Suite::Intl)
}

/// A call of an account whose `threshold` of `keys` the first of them sign.
pub fn multisig(threshold: u8, keys: &[SecretKey], salt: u64, call: Call) -> VerifiedTransaction {
    let policy = keys.iter().map(SecretKey::public_key).collect();
    let body = UnsignedMultisig {
        chain_id: CHAIN,
        policy: MultisigPolicy::new(threshold, policy).unwrap(),
        ordering: Ordering::Sequential { nonce: salt },
        gas_limit: GAS,
        calls: vec![call],
    };
    let signatures = keys
        .iter()
        .take(usize::from(threshold))
        .map(|key| body.sign(key).unwrap())
        .collect();
    let raw = body.combine(signatures).unwrap().encode_2718();
    finish(Suite::Intl, raw)
}

pub fn contract(address: Address, code: Vec<u8>) -> (Address, GenesisAccount) {
    let account = GenesisAccount {
        code: code.into(),
        nonce: 1,
        balance: U256::from(1_000),
        ..GenesisAccount::default()
    };
    (address, account)
}

/// Runtime code that does `op` (CALL, DELEGATECALL, STATICCALL as in the Yellow Paper) on the address
/// in the first word of call data, sends its second word along, and reverts as the callee does.
pub fn caller(op: u8) -> Vec<u8> {
    // retSize retOffset argSize argOffset
    let mut code = vec![0x5f, 0x5f, 0x5f, 0x5f];
    if op == 0xf1 {
        code.extend([0x60, 0x20, 0x35]); // value = calldata[32]
    }
    code.extend([0x5f, 0x35, 0x5a, op]); // address = calldata[0], gas, op
    // Success ends; failure reverts with the callee's data.
    let end = u8::try_from(code.len() + 10).unwrap();
    code.extend([0x60, end, 0x57]);
    code.extend([0x3d, 0x5f, 0x5f, 0x3e, 0x3d, 0x5f, 0xfd]);
    code.extend([0x5b, 0x00]);
    code
}

/// Runtime code that destroys itself in favour of the first word of call data.
pub const DESTROY: [u8; 3] = [0x5f, 0x35, 0xff];
/// Runtime code that creates an empty contract and reverts where it cannot.
pub const CREATE: [u8; 16] = [
    0x5f, 0x5f, 0x5f, 0xf0, 0x60, 0x0e, 0x57, 0x3d, 0x5f, 0x5f, 0x3e, 0x3d, 0x5f, 0xfd, 0x5b, 0x00,
];

pub fn word(address: Address) -> Vec<u8> {
    address.into_word().to_vec()
}

/// Call data of [`caller`].
pub fn via(target: Address, value: u64) -> Vec<u8> {
    [word(target), U256::from(value).to_be_bytes::<32>().to_vec()].concat()
}
