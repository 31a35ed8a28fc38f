//! One block of 2,000 transfers in order, on threads, and on threads that only exist in a count of time:
//! `cargo run --release -p hawser-execution --example parallel_execution [ROUNDS]`.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    clippy::indexing_slicing
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{sync::Arc, time::Duration, time::Instant};

use common::*;
use hawser_crypto::{Scheme, SecretKey};
use hawser_execution::{BlockInput, NoHashes, SharedBlock, Threads};
use hawser_ledger::{
    ChainParameters, Outcome, VerifiedTransaction,
    state::{Account, Changes, StateKey, StorageValue},
};
use hawser_primitives::{Address, B256, U256};

const TOKEN: Address = Address::repeat_byte(0xee);
/// slot 0 += 1: all who call it meet, and nothing about a call says so.
const COUNTER: Address = Address::repeat_byte(0xef);
const BLOCK: usize = 2_000;
const ACCOUNTS: usize = 100_000;

/// balance[caller] -= 1, balance[word 0 of the arguments] += 1, event Transfer(caller, to, 1).
fn token() -> String {
    let event = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
    let debit = "335f525f60205260405f208054600190039055";
    let credit = "6004355f5260405f2080546001019055";
    // mstore(0, 1); log3(0, 32, Transfer, caller, to); return true
    let log = format!("60015f52600435337f{event}60205fa3");
    format!("{debit}{credit}{log}60015f5260205ff3")
}

fn person(n: usize) -> Address {
    Address::from_slice(&alloy_primitives::keccak256(n.to_be_bytes())[12..])
}

fn sender(n: usize) -> SecretKey {
    let seed = alloy_primitives::keccak256((n as u64).to_le_bytes());
    SecretKey::from_seed(Scheme::Secp256k1, &seed.0).unwrap()
}

struct World {
    chain: Chain,
    senders: Vec<SecretKey>,
}

fn world() -> World {
    let parameters = ChainParameters {
        block_gas_max: 100_000_000_000,
        account_block_gas_max: 100_000_000_000,
        ..ChainParameters::default()
    };
    let senders: Vec<_> = (0..BLOCK).map(sender).collect();
    let mut accounts: Vec<_> = senders.iter().map(|key| rich(key.address())).collect();
    accounts.push(code(TOKEN, &token()));
    accounts.push(code(COUNTER, "5f546001015f5500"));
    let suite = hawser_crypto::Suite::Intl;
    let mut chain = Chain::with(suite, parameters, accounts, vec![]);
    let mut changes = Changes::default();
    let mut owns = |who: Address| {
        let slot = alloy_primitives::keccak256([who.into_word().0, [0; 32]].concat());
        let value = B256::from(U256::from(1_000_000));
        let key = StateKey::Storage(TOKEN, slot);
        changes.entries.insert(key, StorageValue::encode(value));
    };
    senders.iter().for_each(|key| owns(key.address()));
    (0..ACCOUNTS).for_each(|n| owns(person(n)));
    for n in 0..ACCOUNTS {
        let account = Account::new(0, U256::from(1), alloy_primitives::KECCAK256_EMPTY);
        let key = StateKey::Account(person(n));
        changes.entries.insert(key, Some(account.encode()));
    }
    chain.state.apply(changes);
    World { chain, senders }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The hot ones pay one account.
    Native,
    /// The hot ones pay one account in tokens.
    Erc20,
    /// The hot ones count, the others pay in tokens.
    Counter,
}

/// A transaction by each sender; of a hundred, `hot` meet.
fn block(world: &World, kind: Kind, hot: usize) -> Vec<VerifiedTransaction> {
    let make = |(i, key): (usize, &SecretKey)| {
        let hot = (i * 7_919 + 13) % 100 < hot;
        let to = if hot {
            person(0)
        } else {
            person(1 + i * 47 % (ACCOUNTS - 1))
        };
        match kind {
            Kind::Native => call_tx(key, 0, Some(to), 1, vec![], 21_000),
            Kind::Counter if hot => call_tx(key, 0, Some(COUNTER), 0, vec![], 60_000),
            Kind::Erc20 | Kind::Counter => {
                let mut input = vec![0xa9, 0x05, 0x9c, 0xbb];
                input.extend(to.into_word());
                input.extend(U256::from(1).to_be_bytes::<32>());
                call_tx(key, 0, Some(TOKEN), 0, input, 200_000)
            }
        }
    };
    world.senders.iter().enumerate().map(make).collect()
}

/// Medians in microseconds per transaction of several ways to do the same, by turns.
fn medians(rounds: usize, ways: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut times: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            let start = Instant::now();
            way();
            times.push(start.elapsed());
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6 / BLOCK as f64
    };
    times.into_iter().map(median).collect()
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(15, |n| n.parse().unwrap());
    let world = world();
    println!("{BLOCK} transactions, {ACCOUNTS} accounts; microseconds per transaction, medians");
    println!("in order | execute_shared on 1, 2 | forced on 1, 2 | never giving up on 1, 2");
    for (name, kind, parts) in [
        ("native transfer", Kind::Native, [0, 30, 100]),
        ("ERC-20", Kind::Erc20, [0, 30, 100]),
        ("counter among ERC-20", Kind::Counter, [5, 30, 100]),
    ] {
        for hot in parts {
            println!("{name}, {hot} % hot:");
            measure(&world, &block(&world, kind, hot), rounds);
        }
    }
}

fn measure(world: &World, transactions: &[VerifiedTransaction], rounds: usize) {
    let chain = &world.chain;
    let executor = &chain.executor;
    let nothing = |_: &B256| false;
    let state = Arc::new(chain.state.clone());
    let input = BlockInput {
        context: chain.context,
        transactions,
        seen_unordered: &nothing,
    };
    let shared = SharedBlock {
        context: chain.context,
        transactions: Arc::new(transactions.iter().cloned().map(Arc::new).collect()),
        state: Arc::<hawser_ledger::state::MemoryState>::clone(&state),
        hashes: Arc::new(NoHashes),
    };
    let expected = executor.execute_block(&*state, &NoHashes, &input).unwrap();
    let succeeded = |one: &hawser_ledger::Receipt| one.outcome == Outcome::Success;
    assert!(expected.receipts.iter().all(succeeded));
    let (one, two) = (Threads::new(1), Threads::new(2));
    let setting = |threads: &Threads| executor.clone().with_threads(threads.clone());
    let (first, second) = (setting(&one), setting(&two));
    let forced = |threads: &Threads, gives_up| {
        let output = executor.execute_on(threads, shared.clone(), &nothing, gives_up);
        if let Some((output, _)) = output.unwrap() {
            assert_eq!(output.gas_used, expected.gas_used);
        }
    };
    let cells = medians(
        rounds,
        &mut [
            &mut || {
                let _ = executor.execute_block(&*state, &NoHashes, &input).unwrap();
            },
            &mut || {
                let _ = first.execute_shared(shared.clone(), &nothing).unwrap();
            },
            &mut || {
                let _ = second.execute_shared(shared.clone(), &nothing).unwrap();
            },
            &mut || forced(&one, true),
            &mut || forced(&two, true),
            &mut || forced(&one, false),
            &mut || forced(&two, false),
        ],
    );
    let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:6.2}")).collect();
    println!("  {}", cells.join(" "));
    for threads in [2, 4, 8, 16] {
        for gives_up in [false, true] {
            let rehearsal = executor.rehearse(shared.clone(), &nothing, threads, gives_up);
            let Some(rehearsal) = rehearsal.unwrap() else {
                println!("  one chain: runs in order");
                return;
            };
            assert_eq!(rehearsal.output, expected);
            let figures = rehearsal.figures;
            println!(
                "  {threads:2} threads{}: {:.3} runs per transaction, {} in vain, critical path {} runs, {} in order, longest chain {}",
                if gives_up { " in earnest" } else { "" },
                figures.runs as f64 / BLOCK as f64,
                figures.in_vain,
                rehearsal.span,
                figures.in_order,
                rehearsal.chain_max,
            );
        }
    }
}
