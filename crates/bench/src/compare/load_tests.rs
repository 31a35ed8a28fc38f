use hawser_crypto::Suite;
use hawser_primitives::{Address, B256, ChainId};

use super::*;
use crate::compare::workload::{Kind, Signed, Spec};

fn workload(accounts: usize, each: usize) -> Workload {
    let signed = |text: String| Signed {
        hash: B256::ZERO,
        request: text,
    };
    let lane = |account| {
        let request = |index| signed(format!("\"{account}/{index}\""));
        (0..each).map(request).collect()
    };
    Workload {
        spec: Spec {
            kind: Kind::Ethereum,
            suite: Suite::Intl,
            chain: ChainId(1),
            seed: 1,
            accounts: accounts as u32,
            each,
            token: Address::ZERO,
        },
        addresses: vec![Address::ZERO; accounts],
        lanes: (0..accounts).map(lane).collect(),
    }
}

fn drive(connections: usize, batch: usize, window: usize) -> Drive {
    Drive {
        urls: (1..=4).map(|i| format!("http://127.0.0.1:{i}")).collect(),
        connections,
        batch,
        window,
        ramp: Duration::ZERO,
        length: Duration::ZERO,
        each_max: usize::MAX,
    }
}

#[test]
fn every_account_has_one_connection_and_all_nodes_are_used() {
    let load = workload(11, 1);
    let workers = workers(&drive(8, 10, 1_000), &load).unwrap();
    let mut accounts: Vec<_> = workers.iter().flat_map(|w| w.accounts.clone()).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, (0..11).collect::<Vec<_>>());
    let mut nodes: Vec<_> = workers.iter().map(|w| w.client.url().to_owned()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 4);
    // No more connections than accounts.
    assert_eq!(
        super::workers(&drive(8, 10, 1_000), &workload(3, 1))
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn a_batch_never_exceeds_the_connections_share_of_the_window() {
    let workers = workers(&drive(4, 1_000, 100), &workload(8, 1)).unwrap();
    assert!(workers.iter().all(|worker| worker.batch == 25));
}

#[test]
fn accounts_take_turns_and_nonces_stay_in_order_until_they_run_out() {
    let load = workload(2, 3);
    let mut worker = workers(&drive(1, 4, 100), &load).unwrap().remove(0);
    assert_eq!(worker.take(&load), [(0, 0), (1, 0), (0, 1), (1, 1)]);
    let taken = worker.take(&load);
    assert_eq!(taken, [(0, 2), (1, 2)]);
    assert!(worker.take(&load).is_empty());
    // What was not sent is taken again.
    worker.give_back(&taken);
    assert_eq!(worker.next, [2, 2]);
    assert_eq!(worker.take(&load).len(), 2);
}

#[test]
fn what_is_kept_for_a_later_run_is_not_taken() {
    let load = workload(2, 3);
    let mut worker = workers(&drive(1, 10, 100), &load).unwrap().remove(0);
    worker.each_max = 1;
    assert_eq!(worker.take(&load), [(0, 0), (1, 0)]);
    assert!(worker.take(&load).is_empty());
}

#[test]
fn a_batch_is_one_json_array() {
    let load = workload(2, 2);
    assert_eq!(
        batch_body(&[(0, 0), (1, 1)].into(), &load),
        r#"["0/0","1/1"]"#
    );
    assert_eq!(join_batch([].into_iter()), "[]");
}
