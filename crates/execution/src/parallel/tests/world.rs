//! A small chain in which everything happens that a block can hold.

use std::sync::Arc;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::{
    BlockContext, CallEnv, Effects, ExecutionConfig, Executor, Finding, Gate, GateState, GateStore,
    GateTransaction, Guard, NativeContract, NativeRegistry, NativeResult, NativeState, NoHashes,
    Note, Opening, SharedBlock, Verdict, revert_text,
};
use hawser_ledger::{
    Call, ChainParameters, Ordering, VerifiedTransaction,
    state::{MemoryState, StateError},
};
use hawser_primitives::{Address, B256, Bytes, Domain, Time, U256, address};

use super::common::{REVERT, STORE};
use super::common::{
    authorize, call_tx, code, delegation_tx, deploy, genesis, key, native, rich, to,
};

pub(super) const TOKEN: Address = Address::repeat_byte(0xee);
const SLOT_ZERO: Address = Address::repeat_byte(0xaa);
const REFUSER: Address = Address::repeat_byte(0xbb);
const LOOP: Address = Address::repeat_byte(0xbc);
const FACTORY: Address = Address::repeat_byte(0xbd);
const COUNTER: Address = Address::repeat_byte(0xbe);
const FORWARD: Address = Address::repeat_byte(0xbf);
const NOBODY: Address = Address::repeat_byte(0x99);
const BOX: Address = address!("0000000000000000000000000000000000020001");

/// balance[caller] -= 1, balance[word 0] += 1, event Transfer(caller, to, 1).
pub(super) fn token() -> String {
    let event = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
    let debit = "335f525f60205260405f208054600190039055";
    let credit = "5f355f5260405f20805460010190555f";
    let credit = credit.strip_suffix("5f").unwrap();
    format!("{debit}{credit}60015f525f35337f{event}60205fa360015f5260205ff3")
}

/// Makes a contract with CREATE2 whose init code stores 1 in slot 0 and destroys itself, giving what
/// it has to the caller; salt is word 0, the value is passed on. Made again and again.
const MAKER: &str =
    "7f60015f5533ff00000000000000000000000000000000000000000000000000005f525f3560065f34f55f5500";
/// slot 0 += 1.
const COUNT: &str = "5f546001015f5500";
/// Calls the address in word 0 with the rest and the value, keeps success in slot 1.
const PASS: &str = "60203603806020 5f375f5f91 5f345f355af1600155";

/// Content, counters, and a panic where a blob that a slot names is not there.
struct Box_;

impl NativeContract for Box_ {
    fn address(&self) -> Address {
        BOX
    }

    fn name(&self) -> &'static str {
        "box"
    }

    fn in_turn(&self) -> bool {
        false
    }

    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult {
        let slot = B256::with_last_byte(env.input.get(1).copied().unwrap_or_default() % 3);
        match env.input.first().map(|byte| byte % 4) {
            Some(0) => {
                let hash = state.put_blob(Domain::Evidence, env.input.clone())?;
                state.store(&slot, hash)?;
            }
            Some(1) => {
                let hash = state.load(&slot)?;
                if !hash.is_zero() {
                    let content = state.blob(&hash)?;
                    assert!(content.is_some(), "content that a slot names is there");
                    state.log(vec![hash], content.unwrap_or_default())?;
                }
            }
            Some(2) => {
                let hash = state.put_blob(Domain::Evidence, env.input.clone())?;
                state.store(&slot, hash)?;
                return Err(revert_text("on purpose"));
            }
            _ => state.charge(10_000_000)?,
        }
        Ok(Bytes::new())
    }
}

/// Refuses what the slot `account` of [`BOX`] says, counts what goes through, records what it refused.
struct Keeper;

struct Watch;

fn counted(store: &mut dyn GateStore, slot: u8) -> Result<(), StateError> {
    let slot = B256::with_last_byte(slot);
    let count = U256::from_be_bytes(store.slot(&BOX, &slot)?.0);
    store.set_slot(&BOX, &slot, B256::from(count + U256::from(1)))
}

impl Gate for Keeper {
    fn stands_open(&self, state: &mut dyn GateState) -> Result<bool, StateError> {
        // Closed once the box holds something, from the next block on.
        Ok(state.slot(&BOX, &B256::ZERO)?.is_zero())
    }

    fn open(
        &self,
        state: &mut dyn GateState,
        transaction: &GateTransaction,
    ) -> Result<Opening, StateError> {
        let mood = state.slot(&BOX, &B256::with_last_byte(1))?;
        if transaction.sender[0] % 4 == mood[31] % 8 {
            return Ok(Opening::Refused(Finding::new("mood", "not now")));
        }
        let content = state.blob(&mood)?;
        Ok(match content {
            Some(content) if content.len() % 2 == 1 => Opening::Unguarded,
            _ => Opening::Guarded(Box::new(Watch)),
        })
    }

    fn record(
        &self,
        store: &mut dyn GateStore,
        _: &GateTransaction,
        notes: &[Note],
    ) -> Result<(), StateError> {
        let text = format!("{notes:?}");
        store.put_blob(Domain::Evidence, text.into_bytes().into())?;
        counted(store, 200)
    }
}

impl Guard for Watch {
    fn frame(
        &mut self,
        state: &mut dyn GateState,
        frame: &hawser_execution::GateFrame,
    ) -> Result<Option<Finding>, StateError> {
        let count = state.slot(&BOX, &B256::with_last_byte(200))?;
        let refused = frame.depth > 0 && count[31] % 5 == 1;
        Ok(refused.then(|| Finding::new("depth", "too deep for today")))
    }

    fn effects(
        &mut self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        effects: &Effects<'_>,
    ) -> Result<Verdict, StateError> {
        let mut verdict = Verdict::default();
        if effects.logs.len() == 1 && transaction.sender[1].is_multiple_of(3) {
            counted(store, 201)?;
        }
        if effects
            .transfers
            .iter()
            .any(|one| one.value > U256::from(200))
        {
            verdict.refuse = Some(Finding::new("amount", "too much"));
        }
        Ok(verdict)
    }
}

pub(super) struct World {
    pub(super) executor: Executor,
    pub(super) state: MemoryState,
    pub(super) context: BlockContext,
    pub(super) seen: Vec<B256>,
    keys: Vec<SecretKey>,
    nonces: Vec<u64>,
}

/// One transaction to be: what, who, with whom, and a number.
pub(super) type Op = (u8, u8, u8, u8);

impl World {
    pub(super) fn new(gated: bool, tight: bool) -> Self {
        let keys: Vec<_> = (1..=12).map(|n| key(Scheme::Secp256k1, n)).collect();
        let mut accounts: Vec<_> = keys.iter().map(|key| rich(key.address())).collect();
        // The last one lives of what it gets.
        accounts.pop();
        accounts.extend([
            code(TOKEN, &token()),
            code(SLOT_ZERO, STORE),
            code(REFUSER, REVERT),
            code(LOOP, "5b5f56"),
            code(FACTORY, MAKER),
            code(COUNTER, COUNT),
            code(FORWARD, &PASS.replace(' ', "")),
        ]);
        let mut genesis = genesis(Suite::Intl, accounts);
        if tight {
            genesis.parameters = ChainParameters {
                block_gas_max: 2_500_000,
                transaction_gas_max: 1_000_000,
                account_block_gas_max: 2_000_000,
                ..ChainParameters::default()
            };
        }
        let registry = NativeRegistry::new(vec![Arc::new(Box_)]).unwrap();
        let registry = if gated {
            registry.with_gate(Arc::new(Keeper))
        } else {
            registry
        };
        let executor = Executor::new(ExecutionConfig::from(&genesis), registry);
        let mut state = MemoryState::new();
        state.apply(executor.genesis_changes(&genesis));
        let context = BlockContext {
            height: hawser_primitives::Height(1),
            time: genesis.time.plus_ms(1500),
            proposer: Address::repeat_byte(0xcc),
            parent_hash: B256::repeat_byte(0xab),
            gas_limit: genesis.parameters.block_gas_max,
        };
        Self {
            executor,
            state,
            context,
            seen: Vec::new(),
            nonces: vec![0; keys.len()],
            keys,
        }
    }

    fn account(&self, n: u8) -> Address {
        match n % 16 {
            n if usize::from(n) < self.keys.len() => self.keys[usize::from(n)].address(),
            12 => NOBODY,
            13 => Address::with_last_byte(2),
            14 => self.context.proposer,
            // Where the maker's contracts are.
            _ => FACTORY.create2_from_code(B256::ZERO, alloy_primitives::hex!("60015f5533ff")),
        }
    }

    /// The transaction of an operation. Nonces follow one another except where the number says so.
    pub(super) fn make(&mut self, (what, who, whom, n): Op) -> VerifiedTransaction {
        let sender = usize::from(who) % self.keys.len();
        let key = self.keys[sender].clone();
        let nonce = self.nonces[sender];
        let (skew, other) = (n % 23 == 22, self.account(whom));
        let nonce = if skew {
            nonce + u64::from(n % 3)
        } else {
            nonce
        };
        let word = |address: Address| address.into_word().to_vec();
        let value = u64::from(n);
        let ordinary = |to, value, input, gas| call_tx(&key, nonce, to, value, input, gas);
        let mut takes_nonce = !skew;
        let transaction = match what % 18 {
            0 | 1 => ordinary(Some(other), value, vec![], 21_000),
            2 | 3 => ordinary(Some(TOKEN), 0, word(other), 150_000),
            4 => ordinary(Some(SLOT_ZERO), 0, vec![n; 32], 100_000),
            5 => ordinary(Some(REFUSER), value, vec![], 60_000),
            6 => ordinary(Some(LOOP), 0, vec![], 40_000 + 1_000 * value),
            7 => ordinary(Some(FACTORY), value % 3, vec![0; 32], 300_000),
            8 => ordinary(Some(COUNTER), 0, vec![], 60_000),
            9 => ordinary(
                None,
                value,
                deploy(&alloy_primitives::hex::decode(STORE).unwrap()),
                300_000,
            ),
            10 => {
                // A precompile, with too little gas at times.
                let precompile = Address::with_last_byte(n % 6 + 1);
                ordinary(
                    Some(precompile),
                    value % 2,
                    vec![n; 64],
                    21_500 + 20 * value,
                )
            }
            11 => ordinary(
                Some(FORWARD),
                value % 5,
                [word(other), vec![n; 4]].concat(),
                120_000,
            ),
            12 => ordinary(Some(BOX), 0, vec![n, whom], 150_000),
            13 => {
                let target = if n % 4 == 0 { Address::ZERO } else { COUNTER };
                let authority = usize::from(whom) % self.keys.len();
                let expected = self.nonces[authority] + u64::from(authority == sender);
                let list = vec![authorize(&self.keys[authority], expected, target)];
                // Accepted if the account does not pay for it itself; a guess is enough here.
                if expected == self.nonces[authority] && n % 2 == 0 {
                    self.nonces[authority] += 1;
                }
                delegation_tx(&key, nonce, other, list)
            }
            14 => {
                takes_nonce = false;
                // Few different ones, so that some come twice.
                let lifetime = if n % 5 == 0 { 0 } else { 60_000 };
                let order = Ordering::Unordered {
                    expires: self.context.time.plus_ms(lifetime),
                    salt: u64::from(n % 2),
                };
                native(
                    &key,
                    order,
                    120_000,
                    vec![to(other, 1, vec![])],
                    Suite::Intl,
                )
            }
            15 => {
                let calls = vec![
                    to(TOKEN, 0, word(other)),
                    to(BOX, 0, vec![n, whom]),
                    to(other, value, vec![]),
                ];
                native(
                    &key,
                    Ordering::Sequential { nonce },
                    400_000,
                    calls,
                    Suite::Intl,
                )
            }
            16 => {
                let calls = vec![
                    to(COUNTER, 0, vec![]),
                    Call::Create {
                        value: U256::ZERO,
                        init_code: deploy(&[n, 0]).into(),
                    },
                    if n % 2 == 0 {
                        to(REFUSER, 0, vec![])
                    } else {
                        to(other, 1, vec![])
                    },
                ];
                native(
                    &key,
                    Ordering::Sequential { nonce },
                    600_000,
                    calls,
                    Suite::Intl,
                )
            }
            _ => ordinary(Some(other), u64::MAX, vec![], 21_000),
        };
        if takes_nonce {
            // Those that are skipped leave a gap, which is one more thing that happens.
            self.nonces[sender] += u64::from(what % 18 != 17);
        }
        transaction
    }

    pub(super) fn block(&self, transactions: &[VerifiedTransaction]) -> SharedBlock {
        SharedBlock {
            context: self.context,
            transactions: Arc::new(transactions.iter().cloned().map(Arc::new).collect()),
            state: Arc::new(self.state.clone()),
            hashes: Arc::new(NoHashes),
        }
    }

    /// Takes the changes of a block over and moves on.
    pub(super) fn advance(&mut self, output: &hawser_execution::BlockOutput) {
        self.state.apply(output.changes.clone());
        self.seen
            .extend(output.unordered.iter().map(|mark| mark.digest));
        self.context.height = self.context.height.next();
        self.context.time = Time(self.context.time.0 + 1_000);
        self.context.parent_hash = alloy_primitives::keccak256(self.context.parent_hash);
        for (key, nonce) in self.keys.iter().zip(&mut self.nonces) {
            use hawser_ledger::state::StateRead;
            let account = self.state.account(&key.address()).unwrap();
            *nonce = account.map_or(0, |account| account.nonce);
        }
    }
}
