//! Calls, estimates, access lists, simulations and traces.

use crate::common::*;
use hawser_crypto::{Scheme, Suite};
use hawser_execution::{
    BlockHashes, BlockInput, CallOutcome, CallRequest, ExecutionError, GethDebugTracingOptions,
    GethTrace, NoHashes, SIMULATE_BLOCKS_MAX, SIMULATE_BYTES_MAX, SimulateRequest, SimulatedBlock,
    Stop, TransactionRequest,
};
use hawser_ledger::{Ordering, Outcome, state::StateError};
use hawser_primitives::{Address, B256, Bytes, Height, U256};
use serde_json::{Value, json};

const A: Address = Address::repeat_byte(0xaa);
const B: Address = Address::repeat_byte(0xbb);
/// Calls `A` with its call data, then stops.
const OUTER: Address = Address::repeat_byte(0xcd);

fn outer() -> String {
    format!(
        "365f5f375f5f365f5f73{}5af100",
        alloy_primitives::hex::encode(A)
    )
}

fn chain() -> Chain {
    let key = eth_key(1);
    // 0xe0: returns the block number and its own balance. 0xe1: an endless loop.
    Chain::new(vec![
        rich(key.address()),
        code(A, STORE),
        code(B, REVERT),
        code(OUTER, &outer()),
        code(Address::repeat_byte(0xe0), "435f524760205260405ff3"),
        code(Address::repeat_byte(0xe1), "5b5f56"),
    ])
}

fn request(value: Value) -> CallRequest {
    CallRequest {
        request: serde_json::from_value::<TransactionRequest>(value).unwrap(),
        gas_cap: 50_000_000,
        ..CallRequest::default()
    }
}

fn call(
    chain: &Chain,
    request: &CallRequest,
) -> Result<hawser_execution::CallResult, ExecutionError> {
    chain
        .executor
        .call(&chain.state, &NoHashes, &chain.context, request)
}

#[test]
fn calls_return_revert_and_halt() {
    let chain = chain();
    let result = call(&chain, &request(json!({"to": A, "data": "0x07"}))).unwrap();
    assert_eq!(
        (&result.outcome, result.logs.len()),
        (&CallOutcome::Success, 1)
    );
    let result = call(&chain, &request(json!({"to": B}))).unwrap();
    assert_eq!(result.outcome, CallOutcome::Reverted);
    assert_eq!(result.output.as_ref(), [0xde, 0xad, 0xbe, 0xef]);
    let mut endless = request(json!({"to": Address::repeat_byte(0xe1)}));
    endless.gas_cap = 100_000;
    let result = call(&chain, &endless).unwrap();
    assert_eq!(result.outcome, CallOutcome::Halted("out of gas".to_owned()));
    assert_eq!(result.gas_used, 100_000);
    let poor = request(json!({"from": B, "to": A, "value": "0x1"}));
    assert!(matches!(
        call(&chain, &poor),
        Err(ExecutionError::Invalid(_))
    ));
    let both = request(json!({"to": A, "data": "0x07", "input": "0x08"}));
    assert!(matches!(
        call(&chain, &both),
        Err(ExecutionError::Invalid(_))
    ));
}

#[test]
fn overrides_apply_to_state_and_block() {
    let chain = chain();
    let e0 = Address::repeat_byte(0xe0);
    let mut with = request(json!({"to": e0}));
    with.state =
        Some(serde_json::from_value(json!({e0.to_string(): {"balance": "0x2a"}})).unwrap());
    with.block = Some(serde_json::from_value(json!({"number": "0x64"})).unwrap());
    let result = call(&chain, &with).unwrap();
    assert_eq!(U256::from_be_slice(&result.output[..32]), U256::from(100));
    assert_eq!(U256::from_be_slice(&result.output[32..]), U256::from(42));

    // A contract that does not exist: code and storage by override; returns slot 1.
    let ghost = Address::repeat_byte(0x99);
    let one = format!("0x{:064x}", 1);
    for field in ["state", "stateDiff"] {
        let mut with = request(json!({"to": ghost}));
        with.state = Some(
            serde_json::from_value(json!({ghost.to_string(): {
                "code": "0x6001545f5260205ff3",
                field: {one.clone(): format!("0x{:064x}", 7)}
            }}))
            .unwrap(),
        );
        let result = call(&chain, &with).unwrap();
        assert_eq!(
            U256::from_be_slice(&result.output),
            U256::from(7),
            "{field}"
        );
    }
    let mut with = request(json!({"to": A}));
    with.state = Some(
        serde_json::from_value(json!({A.to_string(): {"state": {}, "stateDiff": {}}})).unwrap(),
    );
    assert!(matches!(
        call(&chain, &with),
        Err(ExecutionError::Override(_))
    ));
}

#[test]
fn estimates_suffice_and_are_close() {
    let chain = chain();
    let estimate = |value: Value| {
        let request = request(value);
        chain
            .executor
            .estimate_gas(&chain.state, &NoHashes, &chain.context, &request)
    };
    // From an empty account, with fees that it could not pay.
    let gas = estimate(json!({"from": B, "to": Address::repeat_byte(1), "gasPrice": "0xffffffff"}));
    assert!(gas.is_ok_and(|gas| gas >= 21_000));
    assert_eq!(
        estimate(
            json!({"from": eth_key(1).address(), "to": Address::repeat_byte(0x77), "value": "0x1"})
        )
        .unwrap(),
        21_000
    );
    let key = eth_key(9);
    let data = "0x".to_owned() + &"07".repeat(32);
    let gas = estimate(json!({"from": key.address(), "to": OUTER, "data": data})).unwrap();
    let run =
        |gas| outcomes(&chain.execute(&[call_tx(&key, 0, Some(OUTER), 0, vec![7; 32], gas)]))[0];
    assert_eq!(run(gas), Outcome::Success);
    let used = chain
        .execute(&[call_tx(&key, 0, Some(OUTER), 0, vec![7; 32], gas)])
        .gas_used;
    assert!(gas < used * 11 / 10, "{gas} for {used}");
    assert!(
        matches!(estimate(json!({"to": B})), Err(ExecutionError::Reverted(data)) if data.len() == 4)
    );
    let endless = estimate(json!({"to": Address::repeat_byte(0xe1)}));
    assert!(matches!(endless, Err(ExecutionError::Halted(_))));
    // Creation.
    let init = alloy_primitives::hex::encode_prefixed(deploy(&[0x00]));
    assert!(estimate(json!({"data": init})).unwrap() > 53_000);
}

#[test]
fn access_lists_name_what_a_call_touches() {
    let chain = chain();
    let request = request(json!({"from": eth_key(1).address(), "to": OUTER, "data": "0x07"}));
    let result = chain
        .executor
        .create_access_list(&chain.state, &NoHashes, &chain.context, &request)
        .unwrap();
    assert_eq!(result.error, None);
    assert_eq!(result.access_list.0.len(), 1);
    assert_eq!(result.access_list.0[0].address, A);
    assert_eq!(result.access_list.0[0].storage_keys.len(), 1);
}

fn simulation(payload: Value) -> SimulateRequest {
    SimulateRequest {
        payload: serde_json::from_value(payload).unwrap(),
        gas_cap: 100_000_000,
        stop: Stop::default(),
    }
}

fn simulate(
    chain: &Chain,
    request: &SimulateRequest,
) -> Result<Vec<SimulatedBlock>, ExecutionError> {
    let (executor, context) = (&chain.executor, &chain.context);
    executor.simulate(
        &chain.state,
        &NoHashes,
        context,
        context.parent_hash,
        request,
    )
}

#[test]
fn both_sides_of_what_simulated_calls_give_together() {
    let chain = chain();
    let at = Address::repeat_byte(0x93);
    let repeated = |code: &str, calls: u64| {
        simulation(json!({"blockStateCalls": [{
            "stateOverrides": {at.to_string(): {"code": code}},
            "calls": vec![json!({"to": at, "gas": "0x30d40"}); usize::try_from(calls).unwrap()],
        }]}))
    };
    // Returns 128 KiB.
    let returns = |calls| simulate(&chain, &repeated("0x620200005ff3", calls));
    let fit = SIMULATE_BYTES_MAX / 0x20000;
    let blocks = returns(fit).unwrap();
    assert_eq!(blocks[0].calls[0].result.output.len(), 0x20000);
    let error = returns(fit + 1).unwrap_err();
    assert!(matches!(error, ExecutionError::Limit { .. }), "{error}");
    // 400 events without data: what holds them counts.
    let emits = |calls| {
        simulate(
            &chain,
            &repeated(&format!("0x{}", "5f5fa0".repeat(400)), calls),
        )
    };
    assert_eq!(emits(1).unwrap()[0].calls[0].result.logs.len(), 400);
    assert!(emits(163).is_ok());
    let error = emits(164).unwrap_err();
    assert!(matches!(error, ExecutionError::Limit { .. }), "{error}");
}

#[test]
fn a_simulation_ends_between_its_calls_when_nobody_waits() {
    let chain = chain();
    let at = Address::repeat_byte(0x92);
    // The first call asks for a block's hash, which raises the flag.
    let call = json!({"to": at, "gas": "0x186a0"});
    let request = simulation(json!({"blockStateCalls": [{
        "stateOverrides": {at.to_string(): {"code": "0x60024303405000"}},
        "calls": [call, call],
    }]}));
    assert_eq!(simulate(&chain, &request).unwrap().len(), 1);
    let hashes = Raises(request.stop.clone());
    let (executor, context) = (&chain.executor, &chain.context);
    let hash = context.parent_hash;
    let stopped = executor.simulate(&chain.state, &hashes, context, hash, &request);
    assert!(
        matches!(stopped, Err(ExecutionError::Stopped)),
        "{stopped:?}"
    );
}

#[test]
fn simulations_chain_blocks_and_keep_state_between_them() {
    let chain = chain();
    let e0 = Address::repeat_byte(0xe0);
    let from = eth_key(1).address();
    let payload = simulation(json!({
        "blockStateCalls": [
            {"calls": [
                {"from": from, "to": e0, "value": "0x5", "data": "0x"},
                {"from": from, "to": B},
            ]},
            {"blockOverrides": {"number": "0x4"}, "calls": [{"from": from, "to": e0}]},
        ],
        "traceTransfers": true,
        "validation": true,
    }));
    let run = |request: &SimulateRequest| simulate(&chain, request);
    let blocks = run(&payload).unwrap();
    let heights: Vec<_> = blocks.iter().map(|block| block.context.height.0).collect();
    assert_eq!(heights, [2, 3, 4]);
    assert_eq!(blocks[0].calls[0].result.logs.len(), 1);
    assert_eq!(blocks[0].calls[1].result.outcome, CallOutcome::Reverted);
    let output = &blocks[2].calls[0].result.output;
    assert_eq!(U256::from_be_slice(&output[..32]), U256::from(4));
    assert_eq!(U256::from_be_slice(&output[32..]), U256::from(5));
    assert_eq!(blocks[2].calls[0].request.nonce, Some(2));
    let far = |number: u64| {
        run(&simulation(json!({
            "blockStateCalls": [{"blockOverrides": {"number": format!("{number:#x}")}}]
        })))
    };
    assert!(far(1 + SIMULATE_BLOCKS_MAX).is_ok());
    assert!(matches!(
        far(2 + SIMULATE_BLOCKS_MAX),
        Err(ExecutionError::Limit { .. })
    ));
    assert!(matches!(far(1), Err(ExecutionError::Override(_))));
}

fn options(value: Value) -> GethDebugTracingOptions {
    serde_json::from_value(value).unwrap()
}

#[test]
fn every_tracer_traces_a_transaction_among_others() {
    let chain = chain();
    let key = eth_key(1);
    let transactions = [
        call_tx(&key, 0, Some(OUTER), 0, vec![7; 32], 200_000),
        call_tx(&key, 9, Some(OUTER), 0, vec![7; 32], 200_000), // skipped
        call_tx(&key, 1, Some(OUTER), 0, vec![8; 32], 200_000),
    ];
    let gas = chain.execute(&transactions).receipts[2].gas_used;
    let input = BlockInput {
        context: chain.context,
        transactions: &transactions,
        seen_unordered: &|_| false,
    };
    let trace = |index, value| {
        let options = options(value);
        chain.executor.trace_transaction(
            &chain.state,
            &NoHashes,
            &input,
            index,
            &options,
            &Stop::default(),
        )
    };
    let get = |value| serde_json::to_value(trace(2, value).unwrap().unwrap()).unwrap();

    let call = get(json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}}));
    assert_eq!(call["gasUsed"], json!(format!("{gas:#x}")));
    assert_eq!(call["calls"][0]["to"], json!(A));
    assert_eq!(call["calls"][0]["logs"].as_array().unwrap().len(), 1);
    let top = get(json!({"tracer": "callTracer", "tracerConfig": {"onlyTopCall": true}}));
    assert!(top.get("calls").is_none());

    let pre = get(json!({"tracer": "prestateTracer"}));
    let slot = &pre[A.to_string().to_lowercase()]["storage"];
    assert!(slot.to_string().contains(&"07".repeat(32)), "{slot}");
    let diff = get(json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}));
    let post = &diff["post"][A.to_string().to_lowercase()]["storage"];
    assert!(post.to_string().contains(&"08".repeat(32)), "{post}");

    let steps = get(json!({"enableMemory": true}));
    assert_eq!(steps["gas"], json!(gas));
    assert!(
        steps["structLogs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["op"] == "SSTORE")
    );
    let few = get(json!({"limit": 3}));
    assert_eq!(few["structLogs"].as_array().unwrap().len(), 3);
    assert!(get(json!({"tracer": "4byteTracer"})).is_object());
    assert_eq!(get(json!({"tracer": "noopTracer"})), json!({}));

    assert!(trace(1, json!({})).unwrap().is_none());
    assert!(matches!(
        trace(3, json!({})),
        Err(ExecutionError::NoTransaction(3))
    ));
    assert!(matches!(
        trace(0, json!({"tracer": "{}"})),
        Err(ExecutionError::Tracer(_))
    ));
    let all = chain
        .executor
        .trace_block(
            &chain.state,
            &NoHashes,
            &input,
            &options(json!({"tracer": "callTracer"})),
            &Stop::default(),
        )
        .unwrap();
    assert_eq!(all.iter().map(|t| t.index).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn native_transactions_trace_all_their_calls() {
    let chain = chain();
    let key = key(Scheme::Sm2, 3);
    let two = vec![to(OUTER, 0, vec![7; 32]), to(A, 0, vec![8; 32])];
    let ordering = |nonce| Ordering::Sequential { nonce };
    let transactions = [
        native(&key, ordering(0), 400_000, two, Suite::Intl),
        native(
            &key,
            ordering(1),
            400_000,
            vec![to(OUTER, 0, vec![7; 32])],
            Suite::Intl,
        ),
    ];
    let output = chain.execute(&transactions);
    assert_eq!(outcomes(&output), [Outcome::Success, Outcome::Success]);
    let input = BlockInput {
        context: chain.context,
        transactions: &transactions,
        seen_unordered: &|_| false,
    };
    let trace = |value| {
        let traces = chain.executor.trace_block(
            &chain.state,
            &NoHashes,
            &input,
            &options(value),
            &Stop::default(),
        );
        traces
            .unwrap()
            .into_iter()
            .map(|t| t.trace)
            .collect::<Vec<GethTrace>>()
    };
    let calls = trace(json!({"tracer": "callTracer"}));
    let several = serde_json::to_value(&calls[0]).unwrap();
    assert_eq!(several["calls"].as_array().unwrap().len(), 2);
    assert_eq!(several["calls"][0]["calls"][0]["to"], json!(A));
    assert_eq!(
        several["gasUsed"],
        json!(format!("{:#x}", output.receipts[0].gas_used))
    );
    let one = serde_json::to_value(&calls[1]).unwrap();
    assert_eq!(one["to"], json!(OUTER));
    let steps = serde_json::to_value(&trace(json!({}))[0]).unwrap();
    let stores = steps["structLogs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["op"] == "SSTORE");
    assert_eq!(stores.count(), 2);
}

#[test]
fn over_long_traces_end_with_a_clear_error() {
    let chain = chain();
    let endless = request(json!({"to": Address::repeat_byte(0xe1)}));
    let trace = |request: &CallRequest, value| {
        let options = options(value);
        chain
            .executor
            .trace_call(&chain.state, &NoHashes, &chain.context, request, &options)
    };
    let error = trace(&endless, json!({})).err().unwrap();
    assert!(matches!(error, ExecutionError::TraceTooLarge(_)), "{error}");
    // With a limit, or a tracer that records no steps, the same call can be traced.
    assert!(trace(&endless, json!({"limit": 100})).is_ok());
    assert!(trace(&endless, json!({"tracer": "callTracer"})).is_ok());
    // Calls itself with 100 KiB of memory again and again.
    let hungry = Address::repeat_byte(0x98);
    let mut calls = request(json!({"to": hungry}));
    calls.state = Some(
        serde_json::from_value(json!({hungry.to_string(): {
            "code": "0x5b5f5f620190005f60045afa505f56"
        }}))
        .unwrap(),
    );
    let error = trace(&calls, json!({"tracer": "callTracer"}))
        .err()
        .unwrap();
    assert!(matches!(error, ExecutionError::TraceTooLarge(_)), "{error}");
}

/// Loads one slot after another: every step shows all slots so far.
const LOADS: &str = "0x5f5b805450600101600156";

#[test]
fn a_trace_counts_all_slots_that_each_step_shows() {
    let chain = chain();
    let at = Address::repeat_byte(0x96);
    let trace = |gas: u64, value| {
        let mut loads = request(json!({"to": at, "gas": format!("{gas:#x}")}));
        loads.state =
            Some(serde_json::from_value(json!({at.to_string(): {"code": LOADS}})).unwrap());
        let options = options(value);
        chain
            .executor
            .trace_call(&chain.state, &NoHashes, &chain.context, &loads, &options)
    };
    assert!(trace(1_000_000, json!({})).is_ok());
    // 2,000 slots: few steps, and two million entries of storage.
    let error = trace(4_300_000, json!({})).err().unwrap();
    assert!(matches!(error, ExecutionError::TraceTooLarge(_)), "{error}");
    assert!(trace(4_300_000, json!({"disableStorage": true})).is_ok());
}

#[test]
fn a_trace_counts_the_return_data_that_each_step_shows() {
    let chain = chain();
    let at = Address::repeat_byte(0x95);
    // Has 100 KiB returned to it, then goes on for 7,000 steps.
    let mut call = request(json!({"to": at, "gas": "0x30d40"}));
    call.state = Some(
        serde_json::from_value(json!({at.to_string(): {
            "code": "0x5f5f620190005f60045afa506103e85b6001900380600f57"
        }}))
        .unwrap(),
    );
    let trace = |value| {
        let options = options(value);
        chain
            .executor
            .trace_call(&chain.state, &NoHashes, &chain.context, &call, &options)
    };
    assert!(trace(json!({})).is_ok());
    let error = trace(json!({"enableReturnData": true})).err().unwrap();
    assert!(matches!(error, ExecutionError::TraceTooLarge(_)), "{error}");
}

#[test]
fn the_traces_of_a_block_share_one_budget() {
    let key = eth_key(1);
    let at = Address::repeat_byte(0x94);
    let chain = Chain::new(vec![rich(key.address()), code(at, &LOADS[2..])]);
    // Each takes some 46 MiB: more than half of the budget.
    let one = |nonce| call_tx(&key, nonce, Some(at), 0, Vec::new(), 1_850_000);
    let trace = |transactions: &[_]| {
        let input = BlockInput {
            context: chain.context,
            transactions,
            seen_unordered: &|_| false,
        };
        let (options, stop) = (options(json!({})), Stop::default());
        chain
            .executor
            .trace_block(&chain.state, &NoHashes, &input, &options, &stop)
    };
    assert_eq!(trace(&[one(0)]).unwrap().len(), 1);
    let error = trace(&[one(0), one(1)]).err().unwrap();
    assert!(matches!(error, ExecutionError::TraceTooLarge(_)), "{error}");
}

/// Raises the flag when a contract asks for a block's hash, in the middle of its run.
struct Raises(Stop);

impl BlockHashes for Raises {
    fn block_hash(&self, _: Height) -> Result<Option<B256>, StateError> {
        self.0.raise();
        Ok(None)
    }
}

#[test]
fn what_nobody_waits_for_ends() {
    let chain = chain();
    // Asks for the hash of the parent, for ever.
    let asks = Address::repeat_byte(0x97);
    let mut endless = request(json!({"to": asks, "gas": "0x2faf080"}));
    endless.state = Some(
        serde_json::from_value(json!({asks.to_string(): {"code": "0x5b600143034050600056"}}))
            .unwrap(),
    );
    let (state, context) = (&chain.state, &chain.context);
    for tracer in ["callTracer", "noopTracer", "prestateTracer", ""] {
        endless.stop = Stop::default();
        let hashes = Raises(endless.stop.clone());
        let options = options(json!({ "tracer": tracer }));
        let stopped = chain
            .executor
            .trace_call(state, &hashes, context, &endless, &options);
        assert!(
            matches!(stopped, Err(ExecutionError::Stopped)),
            "{tracer}: {stopped:?}"
        );
    }
    // The same calls to their end: it is the flag that ends them.
    endless.stop = Stop::default();
    let ended = call(&chain, &endless).unwrap();
    assert_eq!(ended.outcome, CallOutcome::Halted("out of gas".to_owned()));
    endless.stop.raise();
    let executor = &chain.executor;
    assert!(matches!(
        call(&chain, &endless),
        Err(ExecutionError::Stopped)
    ));
    assert!(matches!(
        executor.estimate_gas(state, &NoHashes, context, &endless),
        Err(ExecutionError::Stopped)
    ));
    assert!(matches!(
        executor.create_access_list(state, &NoHashes, context, &endless),
        Err(ExecutionError::Stopped)
    ));
    // A block: nothing more is executed once the flag is up.
    let transactions = [call_tx(
        &eth_key(1),
        0,
        Some(OUTER),
        0,
        vec![7; 32],
        200_000,
    )];
    let input = BlockInput {
        context: chain.context,
        transactions: &transactions,
        seen_unordered: &|_| false,
    };
    let trace = |stop: &Stop| {
        let options = options(json!({"tracer": "callTracer"}));
        executor.trace_block(state, &NoHashes, &input, &options, stop)
    };
    assert_eq!(trace(&Stop::default()).unwrap().len(), 1);
    assert!(matches!(trace(&endless.stop), Err(ExecutionError::Stopped)));
}

#[test]
fn calls_do_not_change_later_ones() {
    let chain = chain();
    let data = Bytes::from(vec![7; 32]);
    let set = request(json!({"to": A, "data": data}));
    call(&chain, &set).unwrap();
    assert_eq!(chain.slot(A, 0), U256::ZERO);
    let again = call(&chain, &set).unwrap();
    assert!(again.gas_used > 40_000);
}
