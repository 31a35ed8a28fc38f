use hawser_crypto::{Scheme, SecretKey};
use hawser_ledger::Ordering;
use hawser_primitives::{Bytes, ChainId};

use super::*;
use crate::testing;

const CHAIN: ChainId = ChainId(7);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[seed; 32]).unwrap()
}

fn signed(
    key: &SecretKey,
    ordering: Ordering,
    gas_limit: u64,
    data: u8,
) -> Arc<VerifiedTransaction> {
    testing::signed(key, CHAIN, ordering, gas_limit, Bytes::from(vec![data]))
}

fn sequential(key: &SecretKey, nonce: u64) -> Candidate {
    Candidate {
        transaction: signed(key, Ordering::Sequential { nonce }, 100_000, 0),
        nonce: 0,
        balance: U256::ZERO,
    }
}

fn unordered(key: &SecretKey, expires: u64, salt: u64) -> Candidate {
    let ordering = Ordering::Unordered {
        expires: Time(expires),
        salt,
    };
    Candidate {
        transaction: signed(key, ordering, 100_000, 0),
        nonce: 0,
        balance: U256::ZERO,
    }
}

fn pool() -> Pool {
    Pool::new(PoolLimits::default(), ChainParameters::default())
}

fn nonces(chosen: &[Arc<VerifiedTransaction>]) -> Vec<u64> {
    chosen
        .iter()
        .filter_map(|t| t.transaction().nonce())
        .collect()
}

#[test]
fn a_gap_holds_back_what_follows_until_it_is_filled() {
    let (mut pool, key) = (pool(), key(1));
    pool.insert(sequential(&key, 2), Time(0)).unwrap();
    pool.insert(sequential(&key, 1), Time(0)).unwrap();
    assert!(!pool.has_ready());
    assert!(pool.select(Time(0), 10).is_empty());
    assert_eq!(
        pool.counts(),
        PoolCounts {
            pending: 0,
            queued: 2
        }
    );
    pool.insert(sequential(&key, 0), Time(0)).unwrap();
    assert!(pool.has_ready());
    assert_eq!(nonces(&pool.select(Time(0), 10)), [0, 1, 2]);
    assert_eq!(pool.next_nonce(&key.address()), Some(3));
}

#[test]
fn a_decided_block_moves_the_nonce_and_execution_has_the_last_word() {
    let (mut pool, key) = (pool(), key(1));
    for nonce in 0..3 {
        pool.insert(sequential(&key, nonce), Time(0)).unwrap();
    }
    let chosen = pool.select(Time(0), 1);
    pool.included(Height(1), &chosen);
    assert_eq!(nonces(&pool.select(Time(0), 10)), [1, 2]);
    // The first one was skipped at execution: its nonce is still free.
    let skipped = [chosen[0].hash()];
    pool.executed(Height(1), [(key.address(), 0)], &skipped);
    assert!(pool.select(Time(0), 10).is_empty());
    pool.insert(sequential(&key, 0), Time(0)).unwrap();
    assert_eq!(nonces(&pool.select(Time(0), 10)), [0, 1, 2]);
    pool.executed(Height(2), [(key.address(), 3)], &[]);
    assert!(pool.is_empty() && pool.bytes() == 0 && !pool.has_ready());
}

#[test]
fn every_refusal_has_its_reason_and_leaves_nothing_behind() {
    let key = key(1);
    let mut pool = Pool::new(
        PoolLimits {
            per_account_max: 2,
            nonce_gap_max: 5,
            ..PoolLimits::default()
        },
        ChainParameters::default(),
    );
    let mut stale = sequential(&key, 3);
    stale.nonce = 4;
    assert_eq!(
        pool.insert(stale, Time(0)),
        Err(PoolError::NonceTooLow { found: 3, next: 4 })
    );
    assert_eq!(
        pool.insert(sequential(&key, 6), Time(0)),
        Err(PoolError::NonceTooHigh { found: 6, next: 0 })
    );
    let mut greedy = sequential(&key, 0);
    greedy.transaction = signed(&key, Ordering::Sequential { nonce: 0 }, 50_000_001, 0);
    assert!(matches!(
        pool.insert(greedy, Time(0)),
        Err(PoolError::GasLimit { .. })
    ));
    assert_eq!(
        pool.insert(unordered(&key, 10, 0), Time(10)),
        Err(PoolError::Expired { late_ms: 0 })
    );
    let late = 11 + UNORDERED_LIFETIME_MS_MAX;
    assert!(matches!(
        pool.insert(unordered(&key, late, 0), Time(10)),
        Err(PoolError::LifetimeTooLong { .. })
    ));
    assert!(pool.is_empty());
    pool.insert(unordered(&key, late - 1, 0), Time(10)).unwrap();

    pool.insert(sequential(&key, 5), Time(0)).unwrap();
    assert_eq!(
        pool.insert(sequential(&key, 5), Time(0)),
        Err(PoolError::AlreadyKnown)
    );
    let mut twin = sequential(&key, 5);
    twin.transaction = signed(&key, Ordering::Sequential { nonce: 5 }, 100_000, 1);
    assert_eq!(
        pool.insert(twin, Time(0)),
        Err(PoolError::ReplacementUnderpriced)
    );
    pool.insert(sequential(&key, 1), Time(0)).unwrap();
    assert_eq!(
        pool.insert(sequential(&key, 2), Time(0)),
        Err(PoolError::AccountFull { max: 2 })
    );
    assert_eq!(pool.len(), 3);
}

#[test]
fn the_pool_is_full_at_its_limit_and_not_before() {
    let mut pool = Pool::new(
        PoolLimits {
            transactions_max: 2,
            ..PoolLimits::default()
        },
        ChainParameters::default(),
    );
    pool.insert(sequential(&key(1), 0), Time(0)).unwrap();
    pool.insert(sequential(&key(2), 0), Time(0)).unwrap();
    assert_eq!(
        pool.insert(sequential(&key(3), 0), Time(0)),
        Err(PoolError::Full { waiting: 2 })
    );
    let bytes = pool.bytes();
    let mut pool = Pool::new(
        PoolLimits {
            bytes_max: bytes,
            ..PoolLimits::default()
        },
        ChainParameters::default(),
    );
    pool.insert(sequential(&key(1), 0), Time(0)).unwrap();
    pool.insert(sequential(&key(2), 0), Time(0)).unwrap();
    assert!(matches!(
        pool.insert(sequential(&key(3), 0), Time(0)),
        Err(PoolError::Full { .. })
    ));
}

#[test]
fn one_account_cannot_take_more_than_its_share_of_a_block() {
    let parameters = ChainParameters {
        block_gas_max: 1_000_000,
        account_block_gas_max: 300_000,
        ..ChainParameters::default()
    };
    let mut pool = Pool::new(PoolLimits::default(), parameters);
    for nonce in 0..5 {
        pool.insert(sequential(&key(1), nonce), Time(0)).unwrap();
    }
    for nonce in 0..2 {
        pool.insert(sequential(&key(2), nonce), Time(0)).unwrap();
    }
    let chosen = pool.select(Time(0), 10);
    let of = |seed| {
        chosen
            .iter()
            .filter(|t| t.sender() == key(seed).address())
            .count()
    };
    assert_eq!((of(1), of(2)), (3, 2));
}

#[test]
fn unordered_transactions_need_no_nonce_and_leave_when_they_expire() {
    let (mut pool, key) = (pool(), key(1));
    for salt in 0..3 {
        pool.insert(unordered(&key, 100 + salt, salt), Time(0))
            .unwrap();
    }
    assert_eq!(pool.select(Time(100), 10).len(), 2);
    assert_eq!(pool.expire(Time(101)).len(), 2);
    let chosen = pool.select(Time(101), 10);
    pool.included(Height(1), &chosen);
    assert!(pool.is_empty() && pool.bytes() == 0);
}

#[test]
fn what_a_decided_block_contains_is_not_taken_again() {
    let (mut pool, key) = (pool(), key(1));
    let (first, second) = (sequential(&key, 0), unordered(&key, 1_000, 7));
    let block = [
        Arc::clone(&first.transaction),
        Arc::clone(&second.transaction),
    ];
    pool.included(Height(1), &block);
    // Sent again between decision and execution, with the state of before.
    assert_eq!(
        pool.insert(first.clone(), Time(0)),
        Err(PoolError::AlreadyKnown)
    );
    assert_eq!(
        pool.insert(second.clone(), Time(0)),
        Err(PoolError::AlreadyKnown)
    );
    let mut twin = first.clone();
    twin.transaction = signed(&key, Ordering::Sequential { nonce: 0 }, 100_000, 1);
    let low = Err(PoolError::NonceTooLow { found: 0, next: 1 });
    assert_eq!(pool.insert(twin.clone(), Time(0)), low);
    // And after execution, looked up before it.
    pool.executed(Height(1), [(key.address(), 1)], &[]);
    assert_eq!(pool.insert(first, Time(0)), Err(PoolError::AlreadyKnown));
    assert_eq!(pool.insert(second, Time(0)), Err(PoolError::AlreadyKnown));
    assert_eq!(pool.insert(twin, Time(0)), low);
    assert!(pool.is_empty());
}

#[test]
fn execution_does_not_take_back_what_a_later_block_decided() {
    let (mut pool, key) = (pool(), key(1));
    for nonce in 0..4 {
        pool.insert(sequential(&key, nonce), Time(0)).unwrap();
    }
    let first = pool.select(Time(0), 1);
    pool.included(Height(1), &first);
    let second = pool.select(Time(0), 1);
    pool.included(Height(2), &second);
    pool.executed(Height(1), [(key.address(), 1)], &[]);
    assert_eq!(nonces(&pool.select(Time(0), 10)), [2, 3]);
}

#[test]
fn one_account_cannot_fill_the_pool_with_unordered_transactions() {
    let key = key(1);
    let limits = PoolLimits {
        per_account_max: 2,
        ..PoolLimits::default()
    };
    let mut pool = Pool::new(limits, ChainParameters::default());
    for salt in 0..2 {
        pool.insert(unordered(&key, 100, salt), Time(0)).unwrap();
    }
    let full = Err(PoolError::AccountFull { max: 2 });
    assert_eq!(pool.insert(unordered(&key, 100, 2), Time(0)), full);
    pool.expire(Time(100));
    pool.insert(unordered(&key, 200, 3), Time(100)).unwrap();
}

#[test]
fn what_waits_for_an_earlier_nonce_takes_half_the_pool_at_most_and_not_for_ever() {
    let limits = PoolLimits {
        transactions_max: 4,
        ..PoolLimits::default()
    };
    let mut pool = Pool::new(limits, ChainParameters::default());
    for i in 1..=2 {
        pool.insert(sequential(&key(i), 1), Time(0)).unwrap();
    }
    let full = Err(PoolError::Full { waiting: 2 });
    assert_eq!(pool.insert(sequential(&key(3), 1), Time(0)), full);
    pool.insert(sequential(&key(4), 0), Time(0)).unwrap();
    assert_eq!(
        pool.oldest_ready(usize::MAX).len(),
        1,
        "only what a block can take is sent again"
    );
    assert!(pool.expire(Time(GAPPED_LIFETIME_MS - 1)).is_empty());
    assert_eq!(pool.expire(Time(GAPPED_LIFETIME_MS)).len(), 2);
    assert_eq!((pool.len(), pool.has_ready()), (1, true));
    pool.insert(sequential(&key(3), 1), Time(GAPPED_LIFETIME_MS))
        .unwrap();
}

#[test]
fn what_new_parameters_can_never_run_leaves_the_pool() {
    let mut pool = pool();
    pool.insert(sequential(&key(1), 0), Time(0)).unwrap();
    pool.insert(sequential(&key(1), 1), Time(0)).unwrap();
    pool.insert(unordered(&key(2), 1_000, 1), Time(0)).unwrap();
    let exactly = ChainParameters {
        transaction_gas_max: 100_000,
        ..ChainParameters::default()
    };
    pool.set_parameters(exactly.clone());
    assert_eq!(pool.len(), 3);
    pool.set_parameters(ChainParameters {
        transaction_gas_max: 99_999,
        ..exactly
    });
    // A chain that is idle otherwise must not be kept awake by what no block can take.
    assert!(pool.is_empty() && !pool.has_ready() && pool.bytes() == 0);
    assert!(matches!(
        pool.insert(sequential(&key(1), 0), Time(0)),
        Err(PoolError::GasLimit { max: 99_999, .. })
    ));
}

#[test]
fn the_run_of_an_account_is_right_after_gaps_blocks_and_steps_back() {
    let key = key(1);
    let mut pool = pool();
    let walked = |pool: &Pool| {
        let account = &pool.accounts[&key.address()];
        let mut nonce = account.next;
        while account.queue.contains_key(&nonce) {
            nonce += 1;
        }
        (account.contiguous(), nonce)
    };
    let insert = |pool: &mut Pool, nonce| {
        pool.insert(sequential(&key, nonce), Time(0)).unwrap();
        let (kept, walked) = walked(pool);
        assert_eq!(kept, walked);
        kept
    };
    assert_eq!(insert(&mut pool, 1), 0);
    assert_eq!(insert(&mut pool, 0), 2);
    assert_eq!(insert(&mut pool, 4), 2);
    assert_eq!(insert(&mut pool, 2), 3);
    assert_eq!(insert(&mut pool, 3), 5);
    let block: Vec<_> = pool.select(Time(0), 2);
    pool.included(Height(1), &block);
    assert_eq!(walked(&pool), (5, 5));
    // The block's second transaction was skipped: the account is back at its nonce, which no longer waits.
    pool.executed(Height(1), [(key.address(), 1)], &[block[1].hash()]);
    assert_eq!(walked(&pool), (1, 1));
    assert_eq!(insert(&mut pool, 1), 5);
    assert_eq!(insert(&mut pool, 6), 5);
}

#[test]
fn clients_get_three_quarters_of_a_pool_and_peers_the_rest() {
    let limits = PoolLimits {
        transactions_max: 8,
        ..PoolLimits::default()
    };
    let mut pool = Pool::new(limits, ChainParameters::default());
    for nonce in 0..8 {
        assert_eq!(pool.has_room_for_clients(), nonce < 6, "{nonce}");
        pool.insert(sequential(&key(1), nonce), Time(0)).unwrap();
    }
    assert!(pool.insert(sequential(&key(1), 8), Time(0)).is_err());
}
