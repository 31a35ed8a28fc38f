//! Runs ordered transactions.
//!
//! For: executing a block's transactions on the state before it ([`Executor::execute_block`], and
//! [`Executor::execute_shared`] on several threads),
//! calls, estimates, simulations and traces for the query interfaces, and the contracts written in
//! Rust ([`NativeContract`]). Semantics are in `docs/spec/execution.md`.
//! Not for: ordering transactions, verifying signatures, committing state or computing roots.
//!
//! Entry type: [`Executor`].
//!
//! Invariants: the output of a block is a function of state, block context and transactions alone;
//! a transaction takes effect as a whole or not at all; a skipped transaction has no effect; native
//! contracts share one journal with the EVM, so a revert undoes them together.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(test)]
extern crate self as hawser_execution;

mod access;
mod admission;
mod batch;
mod block;
mod call;
mod changes;
mod config;
mod database;
mod error;
mod estimate;
mod evm;
mod gate;
mod genesis;
mod handler;
mod host;
mod limit;
mod native;
mod overrides;
mod parallel;
mod precompiles;
mod simulate;
pub mod statetest;
mod stop;

mod trace;
mod transaction;

pub use access::AccessListResult;
pub use admission::AdmissionError;
pub use alloy_rpc_types_eth::{
    BlockOverrides, TransactionRequest,
    simulate::{SimBlock, SimulatePayload},
    state::StateOverride,
};
pub use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace};
pub use batch::{
    CALL_GAS, CALL_NEW_ACCOUNT_GAS, CALL_VALUE_GAS, COSIGNATURE_GAS, POLICY_KEY_GAS,
    SM2_SIGNATURE_GAS, created_address,
};
pub use block::{BlockInput, BlockOutput, UnorderedMark};
pub use call::{CallOutcome, CallRequest, CallResult};
pub use config::{BlockContext, BlockHashes, ExecutionConfig, NoHashes, SPEC};
pub use error::ExecutionError;
pub use evm::Executor;
pub use gate::{
    ACCESS_DENIED, CommittedState, Effects, FINDING_TEXT_MAX, Finding, FrameKind, GATE_FRAMES_MAX,
    Gate, GateBlock, GateCall, GateFrame, GateState, GateStore, GateTransaction, Guard, NOTES_MAX,
    Note, NoteKind, Opening, ValueTransfer, Verdict, cut,
};
pub use genesis::{HISTORY_ADDRESS, HISTORY_WINDOW, NATIVE_CODE};
pub use native::{
    BLOB_BYTE_GAS, BLOB_GAS, BLOB_READ_BYTE_GAS, CallEnv, NativeContract, NativeFailure,
    NativeGenesis, NativeRegistry, NativeResult, NativeState, RegistryError, revert_text,
};
pub use parallel::{
    EXECUTION_THREADS_MAX, Figures, Rehearsal, SHARED_THREADS_MIN, SHARED_TRANSACTIONS_MIN,
    SharedBlock, Threads,
};
pub use precompiles::{
    GCM_BLOCK_GAS, SM_PRECOMPILES, SM2_MESSAGE_GAS, SM2_VERIFY, SM2_VERIFY_DIGEST, SM2_VERIFY_GAS,
    SM3_GAS, SM3_HASH, SM3_WORD_GAS, SM4_BLOCK_GAS, SM4_BLOCKS, SM4_CTR, SM4_GAS, SM4_GCM,
    run as run_precompile,
};
pub use simulate::{
    SIMULATE_BLOCKS_MAX, SIMULATE_BYTES_MAX, SIMULATE_CALLS_MAX, SimulateRequest, SimulatedBlock,
    SimulatedCall,
};
pub use stop::Stop;
pub use trace::{TRACE_BYTES_MAX, TRACE_STEPS_MAX, TraceOutcome};
