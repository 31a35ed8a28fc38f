//! SmallBank: five kinds of changes of two balances per customer.

use alloy_primitives::{I256, U256};
use alloy_sol_types::{SolCall, sol};

use super::{Done, Expectation, Op, Scene, Workload};
use crate::seed::Draws;

/// Customers.
const CUSTOMERS: u64 = 10_000;
/// What each has in both accounts at first.
const OPENED: i64 = 1_000_000;
/// Customers opened by one transaction, for some 45,000 gas each.
const OPEN_CHUNK: u64 = 500;
const OPEN_GAS: u64 = 30_000_000;
/// Customers summed up by one query.
const SUM_CHUNK: u64 = 2_500;
/// More than any operation uses: two balances that become zero or cease to be.
const GAS: u64 = 120_000;

sol! {
    function open(uint256 first, uint256 count, int256 amount);
    function transactSavings(uint256 customer, int256 amount);
    function depositChecking(uint256 customer, int256 amount);
    function sendPayment(uint256 from, uint256 to, int256 amount);
    function writeCheck(uint256 customer, int256 amount);
    function amalgamate(uint256 from, uint256 to);
    function sum(uint256 first, uint256 count) returns (int256);
}

/// Every kind of change equally often, customers evenly.
#[derive(Debug)]
pub(super) struct SmallBank;

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Savings(u64, i64),
    Deposit(u64, i64),
    Payment(u64, u64, i64),
    Check(u64, i64),
    Amalgamate(u64, u64),
}

impl Act {
    fn of(scene: &Scene, from: usize, index: u64) -> Self {
        let mut draws = Draws::new(scene.seed, from, index);
        let kind = draws.below(5);
        let (one, other) = (draws.below(CUSTOMERS), draws.below(CUSTOMERS));
        let amount = i64::try_from(draws.below(100)).unwrap_or(0) + 1;
        match kind {
            0 => Self::Savings(one, amount),
            1 => Self::Deposit(one, amount),
            2 => Self::Payment(one, other, amount),
            3 => Self::Check(one, amount),
            _ => Self::Amalgamate(one, other),
        }
    }

    /// By how much all balances together change.
    const fn change(self) -> i64 {
        match self {
            Self::Savings(_, amount) | Self::Deposit(_, amount) => amount,
            Self::Check(_, amount) => -amount,
            Self::Payment(..) | Self::Amalgamate(..) => 0,
        }
    }

    fn input(self) -> Vec<u8> {
        let (number, signed) = (U256::from::<u64>, |n: i64| {
            I256::try_from(n).unwrap_or_default()
        });
        match self {
            Self::Savings(customer, amount) => transactSavingsCall {
                customer: number(customer),
                amount: signed(amount),
            }
            .abi_encode(),
            Self::Deposit(customer, amount) => depositCheckingCall {
                customer: number(customer),
                amount: signed(amount),
            }
            .abi_encode(),
            Self::Payment(from, to, amount) => sendPaymentCall {
                from: number(from),
                to: number(to),
                amount: signed(amount),
            }
            .abi_encode(),
            Self::Check(customer, amount) => writeCheckCall {
                customer: number(customer),
                amount: signed(amount),
            }
            .abi_encode(),
            Self::Amalgamate(from, to) => amalgamateCall {
                from: number(from),
                to: number(to),
            }
            .abi_encode(),
        }
    }
}

impl Workload for SmallBank {
    fn creation(&self) -> Option<&'static str> {
        Some(include_str!("../../contracts/SmallBank.hex"))
    }

    fn preparation(&self, scene: &Scene) -> Vec<Op> {
        let chunks = (0..CUSTOMERS / OPEN_CHUNK).map(|chunk| {
            let call = openCall {
                first: U256::from(chunk * OPEN_CHUNK),
                count: U256::from(OPEN_CHUNK),
                amount: I256::try_from(OPENED).unwrap_or_default(),
            };
            Op::call(scene.contract, call.abi_encode(), OPEN_GAS)
        });
        chunks.collect()
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let input = Act::of(scene, from, index).input();
        Op::call(scene.contract, input, GAS)
    }

    /// Amalgamation moves what is there, so single balances depend on the order, and so do the sums over a part of the
    /// customers. Over all of them they do not.
    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        let mut balances = vec![(OPENED, OPENED); usize::try_from(CUSTOMERS).unwrap_or(0)];
        let mut total = 0i64;
        for (from, index) in done.order {
            let act = Act::of(scene, *from as usize, u64::from(*index));
            total += act.change();
            play(&mut balances, act);
        }
        debug_assert_eq!(
            balances.iter().map(|(a, b)| a + b).sum::<i64>(),
            total + 2 * OPENED * balances.len() as i64
        );
        let chunk = usize::try_from(SUM_CHUNK).unwrap_or(1);
        let sums = balances.chunks(chunk).zip(0u64..);
        sums.map(|(part, chunk)| {
            let first = chunk * SUM_CHUNK;
            let sum: i64 = part
                .iter()
                .map(|(savings, checking)| savings + checking)
                .sum();
            let call = sumCall {
                first: U256::from(first),
                count: U256::from(part.len()),
            };
            let answer = I256::try_from(sum).unwrap_or_default().to_be_bytes::<32>();
            let what = format!("the balances of {} customers from {first} on", part.len());
            Expectation::call(what, scene.contract, call.abi_encode(), answer.to_vec())
        })
        .collect()
    }
}

/// Does to the balances, savings and checking, what the contract does.
fn play(balances: &mut [(i64, i64)], act: Act) {
    let at = |customer: u64| usize::try_from(customer).unwrap_or(usize::MAX);
    let mut add = |customer: u64, savings: i64, checking: i64| {
        if let Some(both) = balances.get_mut(at(customer)) {
            both.0 += savings;
            both.1 += checking;
        }
    };
    match act {
        Act::Savings(customer, amount) => add(customer, amount, 0),
        Act::Deposit(customer, amount) => add(customer, 0, amount),
        Act::Check(customer, amount) => add(customer, 0, -amount),
        Act::Payment(from, to, amount) => {
            add(from, 0, -amount);
            add(to, 0, amount);
        }
        Act::Amalgamate(from, to) => {
            let both = balances.get_mut(at(from)).map(std::mem::take);
            let (savings, checking) = both.unwrap_or_default();
            if let Some(both) = balances.get_mut(at(to)) {
                both.1 += savings + checking;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::test_scene;

    #[test]
    fn sums_follow_from_the_order_of_the_chain() {
        let scene = test_scene(4);
        let order: Vec<_> = (0..2_000).map(|n| (n % 4, n / 4)).collect();
        let done = Done {
            counts: &[500; 4],
            order: &order,
        };
        let sums = SmallBank.expected(&scene, &done);
        assert_eq!(sums.len(), 4);
        let total: I256 = sums
            .iter()
            .map(|one| I256::from_raw(U256::from_be_slice(&one.answer)))
            .sum();
        let changed: i64 = order
            .iter()
            .map(|(from, i)| Act::of(&scene, *from as usize, u64::from(*i)).change())
            .sum();
        let opened = 2 * OPENED * CUSTOMERS as i64;
        assert_eq!(total, I256::try_from(opened + changed).unwrap());
    }

    #[test]
    fn an_amalgamation_leaves_nothing_behind_also_with_itself() {
        let mut balances = vec![(10, 20), (1, 2)];
        play(&mut balances, Act::Amalgamate(0, 1));
        assert_eq!(balances, [(0, 0), (1, 32)]);
        play(&mut balances, Act::Amalgamate(1, 1));
        assert_eq!(balances, [(0, 0), (0, 33)]);
        play(&mut balances, Act::Payment(0, 1, 5));
        assert_eq!(balances, [(0, -5), (0, 38)]);
    }

    #[test]
    fn all_kinds_occur_about_equally_often() {
        let scene = test_scene(4);
        let mut kinds = [0; 5];
        for index in 0..1_000 {
            kinds[match Act::of(&scene, 0, index) {
                Act::Savings(..) => 0,
                Act::Deposit(..) => 1,
                Act::Payment(..) => 2,
                Act::Check(..) => 3,
                Act::Amalgamate(..) => 4,
            }] += 1;
        }
        assert!(kinds.iter().all(|n| (140..260).contains(n)), "{kinds:?}");
    }
}
