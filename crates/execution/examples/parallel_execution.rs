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

/// A transfer by each sender; of a hundred, `hot` go to one account.
fn block(world: &World, erc20: bool, hot: usize) -> Vec<VerifiedTransaction> {
    let spread = |i: usize| (i * 7_919 + 13) % 100 < hot;
    let make = |(i, key): (usize, &SecretKey)| {
        let to = if spread(i) {
            person(0)
        } else {
            person(1 + i * 47 % (ACCOUNTS - 1))
        };
        if erc20 {
            let mut input = vec![0xa9, 0x05, 0x9c, 0xbb];
            input.extend(to.into_word());
            input.extend(U256::from(1).to_be_bytes::<32>());
            call_tx(key, 0, Some(TOKEN), 0, input, 200_000)
        } else {
            call_tx(key, 0, Some(to), 1, vec![], 21_000)
        }
    };
    world.senders.iter().enumerate().map(make).collect()
}

fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..rounds).map(|_| time(&mut work)).min().unwrap()
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(15, |n| n.parse().unwrap());
    let world = world();
    let chain = &world.chain;
    let nothing = |_: &B256| false;
    let state = Arc::new(chain.state.clone());
    let (one, two) = (Threads::new(1), Threads::new(2));
    println!(
        "{BLOCK} transactions, {ACCOUNTS} accounts; microseconds per transaction, best of {rounds}"
    );
    println!(
        "in order | execute_shared, setting 1, 2 | forced on 1, 2 threads | same without giving up"
    );
    for (name, erc20) in [("native transfer", false), ("ERC-20", true)] {
        for hot in [0, 30, 100] {
            let transactions = block(&world, erc20, hot);
            let input = BlockInput {
                context: chain.context,
                transactions: &transactions,
                seen_unordered: &nothing,
            };
            let shared = SharedBlock {
                context: chain.context,
                transactions: Arc::new(transactions.iter().cloned().map(Arc::new).collect()),
                state: Arc::<hawser_ledger::state::MemoryState>::clone(&state),
                hashes: Arc::new(NoHashes),
            };
            let executor = &chain.executor;
            let expected = executor.execute_block(&*state, &NoHashes, &input).unwrap();
            let succeeded = |one: &hawser_ledger::Receipt| one.outcome == Outcome::Success;
            assert!(expected.receipts.iter().all(succeeded));
            let per = |time: Duration| time.as_secs_f64() * 1e6 / BLOCK as f64;
            let mut cells = vec![per(best(rounds, || {
                let _ = executor.execute_block(&*state, &NoHashes, &input).unwrap();
            }))];
            for threads in [&one, &two] {
                let executor = executor.clone().with_threads(threads.clone());
                cells.push(per(best(rounds, || {
                    let _ = executor.execute_shared(shared.clone(), &nothing).unwrap();
                })));
            }
            for gives_up in [true, false] {
                for threads in [&one, &two] {
                    cells.push(per(best(rounds, || {
                        let output =
                            executor.execute_on(threads, shared.clone(), &nothing, gives_up);
                        if let Some((output, _)) = output.unwrap() {
                            assert_eq!(output.gas_used, expected.gas_used);
                        }
                    })));
                }
            }
            let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:6.2}")).collect();
            println!("{name}, {hot} % hot: {}", cells.join(" "));
            for threads in [1, 2, 4, 8, 16] {
                let rehearsal = executor
                    .rehearse(shared.clone(), &nothing, threads, false)
                    .unwrap();
                let Some(rehearsal) = rehearsal else {
                    println!("  one chain: runs in order");
                    break;
                };
                assert_eq!(rehearsal.output, expected);
                println!(
                    "  {threads:2} threads: {:.3} runs per transaction, {} in vain, {} runs on the critical path ({:.1} times shorter), longest chain {}",
                    rehearsal.figures.runs as f64 / BLOCK as f64,
                    rehearsal.figures.in_vain,
                    rehearsal.span,
                    BLOCK as f64 / rehearsal.span as f64,
                    rehearsal.chain_max,
                );
            }
        }
    }
}
