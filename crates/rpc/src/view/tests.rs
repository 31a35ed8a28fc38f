//! What clients read, as golden files: changing one is changing the interface.

use alloy_rpc_types_eth::{Block as RpcBlock, TransactionReceipt};
use hawser_ledger::Log;
use hawser_primitives::{Address, B256};
use serde_json::{Value, json};

use super::{log::log_bytes_min, samples, *};

/// Compares with `src/view/golden/<name>.json`; `HAWSER_GOLDEN=write` writes it instead.
fn golden(name: &str, value: &Value) {
    let path = format!("{}/src/view/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("HAWSER_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "{path}");
}

#[test]
fn a_block_is_shown_as_ever() {
    let (genesis, sample) = (samples::genesis(), samples::block());
    golden("block", &block(&genesis, &sample, false).unwrap());
    golden("header", &header(&genesis, &sample).into());
}

#[test]
fn transactions_of_every_type_are_shown_as_ever() {
    let sample = samples::block();
    let all: Vec<_> = executed(&sample)
        .map(|one| transaction(one.transaction, Some(&one)).unwrap())
        .collect();
    golden("transactions", &json!(all));
    let pending: Vec<_> = sample
        .transactions
        .iter()
        .map(|one| transaction(one, None).unwrap())
        .collect();
    golden("pending", &json!(pending));
    for one in &pending {
        assert!(
            one["blockHash"].is_null() && one["blockNumber"].is_null(),
            "{one}"
        );
        assert!(one["gasPrice"].is_string() && one["v"].is_string(), "{one}");
    }
}

#[test]
fn receipts_and_logs_are_shown_as_ever() {
    let sample = samples::block();
    let all: Vec<_> = executed(&sample).map(|one| receipt(&one)).collect();
    golden("receipts", &json!(all));
    for one in executed(&sample) {
        let long = serde_json::to_string(&receipt(&one)).unwrap().len();
        let least = receipt_bytes_min(one.receipt);
        assert!(least <= long, "{least} {long}");
    }
    let logs: Vec<_> = block_logs(&sample, &|_| true).collect();
    golden("logs", &json!(logs));
}

#[test]
fn what_an_event_takes_is_estimated_from_both_sides() {
    let sample = samples::block();
    let one = executed(&sample).next().unwrap();
    for (topics, data) in [(0, 0), (1, 0), (4, 7), (2, 1_000)] {
        let event = Log {
            address: Address::repeat_byte(1),
            topics: vec![B256::repeat_byte(2); topics],
            data: vec![3; data].into(),
        };
        let mut shown = log(&one, 0, &event);
        let long = serde_json::to_string(&shown).unwrap().len();
        assert!(log_bytes_min(&event) <= long, "{topics} {data}: {long}");
        for number in [
            &mut shown.block_number,
            &mut shown.block_timestamp,
            &mut shown.transaction_index,
            &mut shown.log_index,
        ] {
            *number = Some(u64::MAX);
        }
        let long = serde_json::to_string(&shown).unwrap().len();
        assert!(log_bytes_max(&shown) > long, "{topics} {data}: {long}");
    }
}

#[test]
fn skipped_transactions_have_no_place() {
    let sample = samples::block();
    assert_eq!(sample.transactions.len(), 7);
    let all: Vec<_> = executed(&sample).collect();
    assert_eq!(
        all.iter().map(|one| one.index).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    let kinds: Vec<_> = all.iter().map(|one| one.receipt.transaction_type).collect();
    assert_eq!(kinds, [0, 0, 2, 4, 0x68, 0x68]);
    let places: Vec<_> = block_logs(&sample, &|_| true)
        .map(|log| log.log_index.unwrap())
        .collect();
    assert_eq!(places, (0..places.len() as u64).collect::<Vec<_>>());
    let shown = block(&samples::genesis(), &sample, true).unwrap();
    assert_eq!(shown["transactions"].as_array().unwrap().len(), 6);
}

#[test]
fn other_readers_understand_blocks_and_receipts() {
    let (genesis, sample) = (samples::genesis(), samples::block());
    let shown = block(&genesis, &sample, false).unwrap();
    let read: RpcBlock = serde_json::from_value(shown).unwrap();
    assert_eq!(read.header.hash, sample.hash);
    assert_eq!(read.header.base_fee_per_gas, Some(0));
    for one in executed(&sample).filter(|one| one.receipt.transaction_type < 0x68) {
        let read: TransactionReceipt = serde_json::from_value(json!(receipt(&one))).unwrap();
        assert_eq!(read.transaction_hash, one.transaction.hash());
        assert_eq!(read.effective_gas_price, 0);
    }
}

#[test]
fn the_stated_size_is_that_of_the_encoding() {
    let (genesis, sample) = (samples::genesis(), samples::block());
    let shown = block(&genesis, &sample, false).unwrap();
    let real = hawser_primitives::encode(sample.block.as_ref()).len();
    assert_eq!(shown["size"], format!("{real:#x}"));
}
