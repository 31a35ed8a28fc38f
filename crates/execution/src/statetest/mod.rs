//! Ethereum's own state tests (`GeneralStateTests` of `ethereum/tests`), run through this crate's
//! execution path: the same engine, database, journal and change collection as a block, with fees
//! charged as Ethereum does. The one thing that differs from a chain is the root: these tests name
//! the root of Ethereum's Merkle-Patricia trie, which is computed from the resulting accounts.

mod format;
mod root;

use std::collections::BTreeMap;

use alloy_primitives::{Log, keccak256};
use hawser_crypto::Suite;
use hawser_ledger::{
    ChainParameters,
    state::{Account, Changes, MemoryState, StateError, StateKey, StorageValue},
};
use hawser_primitives::{B256, ChainId, Height, Time, U256};
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{ContextSetters, ContextTr, JournalTr},
    handler::Handler,
    primitives::hardfork::SpecId,
    state::EvmState,
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    BlockContext, BlockHashes, ExecutionConfig, Executor, NativeRegistry, changes,
    database::BlockDb,
    handler::{ChainHandler, Fees},
    parallel::Apart,
};
use format::{Environment, PostState, TestUnit};

/// Largest test file read, in bytes.
pub const FILE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Result of one case: one fork and one choice of data, gas and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateTestRow {
    /// Name of the test in the file.
    pub name: String,
    /// Fork.
    pub fork: String,
    /// Position of the case among the fork's.
    pub index: usize,
    /// Whether state root, logs hash and expected exception agree.
    pub pass: bool,
    /// Root of the Merkle-Patricia trie over the resulting accounts.
    pub state_root: B256,
    /// Keccak-256 of the RLP of the events.
    pub logs_hash: B256,
    /// Why the transaction was refused, or what does not agree.
    pub error: Option<String>,
}

/// Why a file could not be run.
#[derive(Debug, Error)]
pub enum StateTestError {
    /// Over [`FILE_BYTES_MAX`].
    #[error("{0} bytes exceed the limit of {FILE_BYTES_MAX} bytes")]
    TooLarge(usize),
    /// Not in the format.
    #[error("not a state test file: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The memory state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The engine failed.
    #[error("{name} {fork} {index}: {reason}")]
    Engine {
        /// Name of the test.
        name: String,
        /// Fork.
        fork: String,
        /// Position of the case.
        index: usize,
        /// What happened.
        reason: String,
    },
}

/// The forks that the runner knows: those since EIP-6780, whose rules the execution path assumes.
#[must_use]
pub fn fork(name: &str) -> Option<SpecId> {
    match name {
        "Cancun" => Some(SpecId::CANCUN),
        "Prague" => Some(SpecId::PRAGUE),
        "Osaka" => Some(SpecId::OSAKA),
        _ => None,
    }
}

/// Runs all cases of a test file for the forks it has and the runner knows.
pub fn run_json(text: &str) -> Result<Vec<StateTestRow>, StateTestError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(StateTestError::TooLarge(text.len()));
    }
    let units: BTreeMap<String, TestUnit> = serde_json::from_str(text)?;
    let mut rows = Vec::new();
    for (name, unit) in &units {
        for (fork_name, cases) in &unit.post {
            let Some(spec) = fork(fork_name) else {
                continue;
            };
            for (index, case) in cases.iter().enumerate() {
                rows.push(run_case(name, fork_name, index, spec, unit, case)?);
            }
        }
    }
    Ok(rows)
}

/// Block hashes as the tests define them: Keccak-256 of the decimal number.
struct NumberHashes;

impl BlockHashes for NumberHashes {
    fn block_hash(&self, height: Height) -> Result<Option<B256>, StateError> {
        Ok(Some(keccak256(height.0.to_string())))
    }
}

fn pre_state(unit: &TestUnit) -> MemoryState {
    let mut changes = Changes::default();
    for (address, pre) in &unit.pre {
        let code_hash = keccak256(&pre.code);
        let account = Account::new(pre.nonce.0.saturating_to(), pre.balance.0, code_hash);
        // Tests have empty accounts, which a chain has not.
        changes
            .entries
            .insert(StateKey::Account(*address), Some(account.encode()));
        if account.has_code() {
            changes.blobs.insert(code_hash, pre.code.clone());
        }
        for (slot, value) in &pre.storage {
            if let Some(value) = StorageValue::encode(B256::from(value.0)) {
                let key = StateKey::Storage(*address, B256::from(slot.0));
                changes.entries.insert(key, Some(value));
            }
        }
    }
    let mut state = MemoryState::new();
    state.apply(changes);
    state
}

fn block_env(env: &Environment, cfg: &CfgEnv) -> BlockEnv {
    let mut block = BlockEnv {
        number: env.current_number.0,
        beneficiary: env.current_coinbase,
        timestamp: env.current_timestamp.0,
        gas_limit: env.current_gas_limit.0.saturating_to(),
        basefee: env.current_base_fee.map_or(10, |fee| fee.0.saturating_to()),
        difficulty: U256::ZERO,
        prevrandao: Some(
            env.current_random
                .map(|random| B256::from(random.0))
                .unwrap_or_default(),
        ),
        blob_excess_gas_and_price: None,
        slot_num: 0,
    };
    let excess = env
        .current_excess_blob_gas
        .map_or(0, |gas| gas.0.saturating_to());
    block.set_blob_excess_gas_and_price(excess, cfg.blob_base_fee_update_fraction());
    block
}

fn run_case(
    name: &str,
    fork: &str,
    index: usize,
    spec: SpecId,
    unit: &TestUnit,
    case: &PostState,
) -> Result<StateTestRow, StateTestError> {
    let mut state = pre_state(unit);
    let (mut logs, mut error) = (Vec::new(), None);
    match format::transaction(&unit.transaction, &case.indexes) {
        Ok(tx) => match execute(&state, spec, unit, tx) {
            Ok((changes, events)) => {
                state.apply(changes);
                logs = events;
            }
            Err(Failure::Refused(reason)) => error = Some(reason),
            Err(Failure::Engine(reason)) => {
                let (name, fork) = (name.to_owned(), fork.to_owned());
                return Err(StateTestError::Engine {
                    name,
                    fork,
                    index,
                    reason,
                });
            }
        },
        Err(reason) => error = Some(reason),
    }
    let state_root = root::state_root(&state)?;
    let logs_hash = keccak256(alloy_rlp::encode(&logs));
    let mut wrong = Vec::new();
    match (&case.expect_exception, &error) {
        (Some(expected), None) => wrong.push(format!("should be refused with {expected}")),
        (None, Some(reason)) => wrong.push(format!("should not be refused: {reason}")),
        _ => {}
    }
    if state_root != case.hash {
        wrong.push(format!("state root should be {}", case.hash));
    }
    if logs_hash != case.logs {
        wrong.push(format!("logs hash should be {}", case.logs));
    }
    Ok(StateTestRow {
        name: name.to_owned(),
        fork: fork.to_owned(),
        index,
        pass: wrong.is_empty(),
        state_root,
        logs_hash,
        error: if wrong.is_empty() {
            error
        } else {
            Some(wrong.join("; "))
        },
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The transaction is invalid.
    Refused(String),
    /// Something else went wrong.
    Engine(String),
}

fn execute(
    state: &MemoryState,
    spec: SpecId,
    unit: &TestUnit,
    tx: TxEnv,
) -> Result<(Changes, Vec<Log>), Failure> {
    let chain = unit.config.as_ref().and_then(|config| config.chainid);
    let config = ExecutionConfig {
        suite: Suite::Intl,
        chain_id: ChainId(chain.map_or(1, |id| id.0.saturating_to())),
        parameters: ChainParameters::default(),
    };
    let mut cfg = CfgEnv::new_with_spec(spec).with_chain_id(config.chain_id.0);
    cfg.max_blobs_per_tx = Some(if spec == SpecId::PRAGUE { 9 } else { 6 });
    let block = block_env(&unit.env, &cfg);
    let executor = Executor::new(config, NativeRegistry::default());
    let context = BlockContext {
        height: Height(block.number.saturating_to()),
        time: Time(0),
        proposer: block.beneficiary,
        parent_hash: B256::ZERO,
        gas_limit: block.gas_limit,
    };
    let prepared = (cfg, block, tx);
    // As a block in order does it, and as a helper does it that runs a transaction ahead of its turn.
    let db = BlockDb::new(executor.database(state, &NumberHashes));
    let in_order = engine(
        &executor,
        state,
        &context,
        db,
        prepared.clone(),
        |after, db| Ok(changes::collect(after, db)),
    );
    let apart = Apart::new();
    let view = apart.view(executor.database(state, &NumberHashes));
    let ahead = engine(&executor, state, &context, view, prepared, |after, view| {
        apart.changes(state, view, after)
    });
    if in_order != ahead {
        let reason = "a run in order and a run by itself give different results".to_owned();
        return Err(Failure::Engine(reason));
    }
    in_order
}

/// Runs a transaction on a database; `collect` says what it changes.
fn engine<DB>(
    executor: &Executor,
    state: &MemoryState,
    context: &BlockContext,
    db: DB,
    (cfg, block, tx): (CfgEnv, BlockEnv, TxEnv),
    collect: impl FnOnce(EvmState, &mut DB) -> Result<Changes, StateError>,
) -> Result<(Changes, Vec<Log>), Failure>
where
    DB: revm::Database<Error = crate::error::DbError>,
{
    let mut evm = executor.evm(state, db, cfg, context, ());
    evm.ctx.block = block;
    evm.ctx.set_tx(tx);
    let result = match ChainHandler::new(Fees::Ethereum).run(&mut evm) {
        Ok(result) => result,
        Err(crate::error::EvmError::Transaction(invalid)) => {
            return Err(Failure::Refused(invalid.to_string()));
        }
        Err(error) => return Err(Failure::Engine(error.to_string())),
    };
    let after = evm.ctx.journal_mut().finalize();
    let changes = collect(after, evm.ctx.db_mut());
    let changes = changes.map_err(|error| Failure::Engine(error.to_string()))?;
    Ok((changes, result.into_logs()))
}
