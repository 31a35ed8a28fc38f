//! Whatever the schedule, a block on several threads gives what it gives in order.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod world;

use std::collections::BTreeMap;

use hawser_execution::{BlockInput, BlockOutput, NoHashes, Threads};
use hawser_ledger::{Outcome, SkipReason, VerifiedTransaction};
use hawser_primitives::{Address, B256};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Figures, hints::Hints, job::Job, schedule::Density, shared, trial::rehearse};
use common::{call_tx, eth_key};
use world::{Op, World};

/// Hints of a block of which nothing is known.
fn none(count: usize) -> Hints {
    Hints {
        edges: Vec::new(),
        in_turn: vec![false; count],
        chain_max: 1,
    }
}

fn serial(world: &World, transactions: &[VerifiedTransaction]) -> BlockOutput {
    let input = BlockInput {
        context: world.context,
        transactions,
        seen_unordered: &|digest: &B256| world.seen.contains(digest),
    };
    world
        .executor
        .execute_block(&world.state, &NoHashes, &input)
        .unwrap()
}

fn job(world: &World, transactions: &[VerifiedTransaction], hints: &Hints, gives_up: bool) -> Job {
    let block = world.block(transactions);
    Job::new(world.executor.clone(), block, hints, gives_up).unwrap()
}

/// Durations of runs, from a seed: now and then one takes very long.
fn durations(seed: u64) -> impl FnMut(u64) -> u64 {
    move |n| {
        let mixed = alloy_primitives::keccak256([seed.to_be_bytes(), n.to_be_bytes()].concat());
        match mixed[0] % 8 {
            0 => 1 + u64::from(mixed[1]),
            1..4 => 1,
            _ => 1 + u64::from(mixed[1] % 8),
        }
    }
}

fn virtually(
    world: &World,
    transactions: &[VerifiedTransaction],
    hints: &Hints,
    gives_up: bool,
    (workers, seed): (usize, u64),
) -> (BlockOutput, Figures) {
    let job = job(world, transactions, hints, gives_up);
    let seen = |digest: &B256| world.seen.contains(digest);
    let (output, figures, _) = rehearse(&job, &seen, workers, &mut durations(seed)).unwrap();
    (output, figures)
}

fn really(
    world: &World,
    transactions: &[VerifiedTransaction],
    hints: &Hints,
    threads: &Threads,
) -> BlockOutput {
    let job = job(world, transactions, hints, false);
    let seen = |digest: &B256| world.seen.contains(digest);
    shared(threads, job, &seen).unwrap().0
}

#[derive(Clone, Debug)]
struct Case {
    blocks: Vec<Vec<Op>>,
    gated: bool,
    tight: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    // Few senders, or many; few who meet, or many.
    let op = |senders: u8, others: u8| (any::<u8>(), 0..senders, 0..others, any::<u8>());
    let block = (1u8..=12, 1u8..=16)
        .prop_flat_map(move |(senders, others)| prop::collection::vec(op(senders, others), 1..48));
    (
        prop::collection::vec(block, 1..4),
        any::<bool>(),
        prop::bool::weighted(0.2),
        any::<u64>(),
    )
        .prop_map(|(blocks, gated, tight, seed)| Case {
            blocks,
            gated,
            tight,
            seed,
        })
}

/// What happened in all cases together, so that nobody mistakes empty blocks for a proof.
#[derive(Debug, Default)]
struct Tally {
    blocks: usize,
    in_vain: usize,
    outcomes: BTreeMap<String, usize>,
}

fn check(case: &Case, threads: &[Threads], tally: &mut Tally) -> Result<(), TestCaseError> {
    let mut world = World::new(case.gated, case.tight);
    for (height, ops) in case.blocks.iter().enumerate() {
        let block: Vec<_> = ops.iter().map(|op| world.make(*op)).collect();
        let expected = serial(&world, &block);
        let blind = none(block.len());
        let hints = Hints::of(block.iter(), world.executor.natives()).unwrap();
        for workers in [1, 2, 3, 8] {
            let plan = (workers, case.seed ^ (height as u64) << 8 ^ workers as u64);
            let (output, figures) = virtually(&world, &block, &blind, false, plan);
            prop_assert_eq!(&output, &expected, "blind, {} workers", workers);
            tally.in_vain += figures.in_vain;
            let (output, _) = virtually(&world, &block, &hints, true, plan);
            prop_assert_eq!(&output, &expected, "{} workers", workers);
        }
        for threads in threads {
            let output = really(&world, &block, &blind, threads);
            prop_assert_eq!(&output, &expected, "blind, {:?}", threads);
            let output = really(&world, &block, &hints, threads);
            prop_assert_eq!(&output, &expected, "{:?}", threads);
        }
        tally.blocks += 1;
        for receipt in &expected.receipts {
            let outcome = format!("{:?}", receipt.outcome);
            *tally.outcomes.entry(outcome).or_default() += 1;
        }
        world.advance(&expected);
    }
    Ok(())
}

fn random_blocks(cases_count: u32, wanted: usize) {
    let threads = [1, 2, 3, 8].map(Threads::new);
    let mut tally = Tally::default();
    let mut runner = TestRunner::new(Config {
        cases: cases_count,
        failure_persistence: None,
        ..Config::default()
    });
    let shared_tally = std::cell::RefCell::new(&mut tally);
    let result = runner.run(&cases(), |case| {
        check(&case, &threads, &mut shared_tally.borrow_mut())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    println!("{tally:?}");
    assert!(tally.blocks >= wanted);
    assert!(
        tally.in_vain > tally.blocks,
        "runs ahead were in vain at times"
    );
    for outcome in [
        "Success",
        "Reverted",
        "Halted",
        "Skipped(NonceTooLow)",
        "Skipped(NonceTooHigh)",
        "Skipped(InsufficientFunds)",
        "Skipped(GasLimit)",
        "Skipped(Quota)",
        "Skipped(Expired)",
        "Skipped(Replayed)",
    ] {
        assert!(
            tally.outcomes.contains_key(outcome),
            "{outcome} never happened"
        );
    }
}

#[test]
fn random_blocks_give_the_same_under_every_schedule() {
    random_blocks(150, 200);
}

#[test]
#[ignore = "10,000 blocks: minutes"]
fn ten_thousand_random_blocks_give_the_same_under_every_schedule() {
    random_blocks(6_000, 10_000);
}

/// Kills the mutant "reads always hold" (`Reads::hold` gives `true`): the second transaction runs
/// ahead before the first has paid for it.
#[test]
fn a_payment_out_of_one_in_the_same_block_goes_through() {
    let world = World::new(false, false);
    let (rich, poor) = (eth_key(1), eth_key(12));
    let block = [
        call_tx(&rich, 0, Some(poor.address()), 100, vec![], 21_000),
        call_tx(&poor, 0, Some(Address::repeat_byte(7)), 100, vec![], 21_000),
    ];
    let expected = serial(&world, &block);
    assert!(
        expected
            .receipts
            .iter()
            .all(|receipt| receipt.outcome == Outcome::Success)
    );
    let job = job(&world, &block, &none(2), false);
    let (output, figures, _) = rehearse(&job, &|_| false, 2, &mut |_| 1).unwrap();
    assert_eq!(output, expected);
    assert_eq!(figures.in_vain, 1);
    // And the hints know it beforehand.
    let hints = Hints::of(block.iter(), world.executor.natives()).unwrap();
    assert_eq!(
        (hints.edges.as_slice(), hints.chain_max),
        ([(0, 1)].as_slice(), 2)
    );
}

/// Kills the mutant "what was in vain stays" (`withdraw` does nothing): what the run ahead of a
/// transaction wrote that is then not admitted must not be seen by those after it.
#[test]
fn writes_of_a_transaction_that_is_not_admitted_are_taken_back() {
    let world = World::new(false, true);
    let (one, two) = (eth_key(1), eth_key(2));
    let poor = eth_key(12);
    let looping = Address::repeat_byte(0xbc);
    let mut block: Vec<_> = (0..2)
        .map(|nonce| call_tx(&one, nonce, Some(looping), 0, vec![], 900_000))
        .collect();
    // The sender's quota is gone.
    block.push(call_tx(&one, 2, Some(poor.address()), 100, vec![], 300_000));
    block.push(call_tx(&poor, 0, Some(two.address()), 50, vec![], 21_000));
    let expected = serial(&world, &block);
    let outcomes: Vec<_> = expected.receipts.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes[2], Outcome::Skipped(SkipReason::Quota));
    assert_eq!(outcomes[3], Outcome::Skipped(SkipReason::InsufficientFunds));
    let hints = Hints::of(block.iter(), world.executor.natives()).unwrap();
    for seed in 0..50 {
        for hints in [&none(4), &hints] {
            let (output, _) = virtually(&world, &block, hints, false, (4, seed));
            assert_eq!(output, expected);
        }
    }
}

/// Kills the mutant "accounts left empty are not written" (`Writes::of` leaves out empty ones where
/// there was none): EIP-7702's refund tells an account that was touched from one that was not.
#[test]
fn an_authority_touched_earlier_in_the_block_is_refunded_as_in_order() {
    let world = World::new(false, false);
    let stranger = eth_key(77);
    let list = vec![common::authorize(&stranger, 0, Address::repeat_byte(0xbe))];
    let block = [
        call_tx(&eth_key(1), 0, Some(stranger.address()), 0, vec![], 21_000),
        common::delegation_tx(&eth_key(2), 0, Address::repeat_byte(0xbe), list),
    ];
    let expected = serial(&world, &block);
    for seed in 0..20 {
        let (output, _) = virtually(&world, &block, &none(2), false, (2, seed));
        assert_eq!(output, expected);
    }
}

#[test]
fn a_block_that_is_one_chain_is_not_even_tried_and_a_hidden_one_is_given_up() {
    let mut world = World::new(false, false);
    let hot: Vec<_> = (0..600u16)
        .map(|n| {
            let sender = u8::try_from(n % 11).unwrap();
            world.make((2, sender, 11, 0))
        })
        .collect();
    assert!(Hints::of(hot.iter(), world.executor.natives()).is_none());
    // A counter names nobody: that all meet shows only when they do.
    let mut world = World::new(false, false);
    let hidden: Vec<_> = (0..400u16)
        .map(|n| world.make((8, u8::try_from(n % 11).unwrap(), 0, 0)))
        .collect();
    let hints = Hints::of(hidden.iter(), world.executor.natives()).unwrap();
    assert!(hints.chain_max < 50);
    let expected = serial(&world, &hidden);
    let (output, figures) = virtually(&world, &hidden, &hints, true, (8, 1));
    assert_eq!(output, expected);
    assert!(figures.in_order > 300, "{figures:?}");
    let (output, figures) = virtually(&world, &hidden, &hints, false, (8, 1));
    assert_eq!((output, figures.in_order), (expected, 0));
}

#[test]
fn sharing_is_tried_from_the_named_numbers_on_and_where_it_pays() {
    use super::{SHARED_THREADS_MIN, pays};
    assert!(!pays(2_000, 1, 1));
    assert!(pays(2_000, 1, SHARED_THREADS_MIN));
    assert!(pays(2_000, 1_333, 64) && !pays(2_000, 1_334, 64));
    assert!(!pays(0, 0, 0));
}

#[test]
fn running_ahead_is_given_up_on_both_sides_of_its_limits() {
    let mut density = Density::new();
    for n in 1..=Density::IN_VAIN_MAX {
        assert!(!density.count(true, true), "{n}");
    }
    assert!(density.count(true, true));
    let mut density = Density::new();
    assert!((0..Density::ALONE_MAX).all(|_| !density.count(false, false)));
    assert!(density.count(false, false));
    let mut density = Density::new();
    // In every window anew.
    for n in 0..Density::WINDOW * 4 {
        assert!(
            !density.count(true, n % Density::WINDOW < Density::IN_VAIN_MAX),
            "{n}"
        );
    }
}

#[test]
fn blocks_that_were_given_up_are_tried_ever_more_rarely_up_to_a_limit() {
    use super::schedule::Patience;
    let mut patience = Patience::default();
    let mut gaps = Vec::new();
    for _ in 0..10 {
        let gap = (0u32..).find(|_| patience.tries()).unwrap();
        gaps.push(gap);
        patience.tried(true);
    }
    assert_eq!(gaps, [0, 2, 4, 8, 16, 32, 64, 64, 64, 64]);
    assert!((0..Patience::WAIT_MAX).all(|_| !patience.tries()) && patience.tries());
    patience.tried(false);
    assert!(patience.tries() && patience.tries());
}

#[test]
fn execute_shared_gives_the_same_with_any_setting() {
    let mut world = World::new(false, false);
    let spread: Vec<_> = (0..300u16)
        .map(|n| {
            let n = u8::try_from(n % 256).unwrap();
            world.make((2, n % 11, n / 11, n % 22))
        })
        .collect();
    let mut world_of_counters = World::new(false, false);
    let hidden: Vec<_> = (0..300u16)
        .map(|n| world_of_counters.make((8, u8::try_from(n % 11).unwrap(), 0, 0)))
        .collect();
    for block in [spread, hidden] {
        let expected = serial(&world, &block);
        for count in [1, 2, 4, 8] {
            let executor = world.executor.clone().with_threads(Threads::new(count));
            for _ in 0..3 {
                let output = executor.execute_shared(world.block(&block), &|_| false);
                assert_eq!(output.unwrap(), expected, "{count} threads");
            }
        }
    }
}

/// Kills the mutant "nobody is held back" (`held_back` says `false`), which never ends.
#[test]
fn what_gas_would_not_admit_is_not_run_ahead() {
    let world = World::new(false, true);
    let (one, looping) = (eth_key(1), Address::repeat_byte(0xbc));
    let endless = || vec![common::to(looping, 0, vec![])];
    let native = |nonce, gas| {
        let order = hawser_ledger::Ordering::Sequential { nonce };
        common::native(&one, order, gas, endless(), hawser_crypto::Suite::Intl)
    };
    // Over the limit of a transaction, then more together than twice the limit of the block.
    let mut block = vec![native(0, u64::MAX / 2)];
    block.extend((0..40).map(|n| {
        let key = eth_key(u8::try_from(n % 11 + 1).unwrap());
        call_tx(&key, n / 11, Some(looping), 0, vec![], 1_000_000)
    }));
    let expected = serial(&world, &block);
    for workers in [1, 2, 8] {
        let (output, figures) = virtually(&world, &block, &none(41), false, (workers, 3));
        assert_eq!(output, expected);
        // The limit of the block is 2.5 million.
        assert!(figures.runs <= 5, "{figures:?}");
    }
    let output = really(&world, &block, &none(41), &Threads::new(3));
    assert_eq!(output, expected);
}

/// Kills the mutant "the rest of a block goes on with the engine at hand" (`Lane::into_rest` keeps its
/// engine): what the gate has read at an earlier turn is not what holds now.
#[test]
fn what_the_gate_counts_is_right_after_running_ahead_was_given_up() {
    let mut world = World::new(true, false);
    // Something in the box, so that the gate is closed from now on; then it counts.
    let first = [world.make((12, 1, 0, 0))];
    let output = serial(&world, &first);
    assert_eq!(output.receipts[0].outcome, Outcome::Success);
    world.advance(&output);
    let block: Vec<_> = (0..200u8)
        .map(|n| world.make((2, n % 11, n % 7, 0)))
        .collect();
    let expected = serial(&world, &block);
    for seed in 0..5 {
        let (output, figures) = virtually(&world, &block, &none(200), true, (8, seed));
        assert_eq!(output, expected);
        assert!(figures.in_order > 0, "{figures:?}");
    }
}

/// A contract that fails as no contract should.
struct Fault;

impl hawser_execution::NativeContract for Fault {
    fn address(&self) -> Address {
        Address::repeat_byte(0xfa)
    }

    fn name(&self) -> &'static str {
        "fault"
    }

    fn call(
        &self,
        _: &hawser_execution::CallEnv,
        state: &mut dyn hawser_execution::NativeState,
    ) -> hawser_execution::NativeResult {
        let sum = state.load(&B256::ZERO)?;
        assert!(!sum.is_zero(), "called too early");
        Ok(sum.0.into())
    }
}

#[test]
fn a_panic_ahead_of_its_turn_harms_nobody_and_threads_go_on() {
    use hawser_execution::{ExecutionConfig, Executor, NativeRegistry, SharedBlock};
    use std::sync::Arc;
    let (one, two) = (eth_key(1), eth_key(2));
    let fault = Address::repeat_byte(0xfa);
    let genesis = common::genesis(hawser_crypto::Suite::Intl, Vec::new());
    let natives = NativeRegistry::new(vec![Arc::new(Fault)]).unwrap();
    let executor = Executor::new(ExecutionConfig::from(&genesis), natives);
    let mut state = hawser_ledger::state::MemoryState::new();
    state.apply(executor.genesis_changes(&genesis));
    let block = |transactions: Vec<VerifiedTransaction>| SharedBlock {
        context: World::new(false, false).context,
        transactions: Arc::new(transactions.into_iter().map(Arc::new).collect()),
        state: Arc::new(state.clone()),
        hashes: Arc::new(NoHashes),
    };
    // Not admitted at its turn, so what it does ahead of it must not matter.
    let faulty = call_tx(&one, 0, Some(fault), 0, vec![1], 60_000_000);
    let fine = call_tx(&two, 0, Some(Address::repeat_byte(3)), 0, vec![], 21_000);
    let transactions = vec![fine, faulty];
    let input = block(transactions.clone());
    let expected = executor
        .execute_block(
            &state,
            &NoHashes,
            &BlockInput {
                context: input.context,
                transactions: &transactions,
                seen_unordered: &|_| false,
            },
        )
        .unwrap();
    assert_eq!(
        expected.receipts[1].outcome,
        Outcome::Skipped(SkipReason::GasLimit)
    );
    let threads = Threads::new(3);
    for _ in 0..5 {
        let job = Job::new(executor.clone(), input.clone(), &none(2), false).unwrap();
        let (output, _, _) = rehearse(&job, &|_| false, 2, &mut |_| 1).unwrap();
        assert_eq!(output, expected);
        let job = Job::new(executor.clone(), input.clone(), &none(2), false).unwrap();
        assert_eq!(shared(&threads, job, &|_| false).unwrap().0, expected);
    }
}
