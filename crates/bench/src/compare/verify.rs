//! After a run: the blocks, the receipts and the balances have to tell the same story.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hawser_primitives::{Address, B256, U256};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    load::Sent,
    workload::{Kind, Workload},
};
use crate::{
    error::{BenchError, Result},
    probe::Probes,
    rpc::{Client, succeeded},
    seed::mix,
    token,
};

/// How long the other nodes may take to show the first node's head.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// Receipts looked at.
const SAMPLE: usize = 200;

/// What was checked and found right.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// Transactions sent, accepted and found in exactly one block each.
    pub in_blocks: u64,
    /// Receipts of a random sample that say success.
    pub receipts: u64,
    /// Balances that are what the transfers add up to, over all nodes.
    pub balances: u64,
}

fn void(text: String) -> BenchError {
    BenchError::Void(text)
}

/// Checks everything about one run. Several runs may follow each other on one chain; `blocks_from`
/// is the height before this one.
pub(crate) async fn verify(
    urls: &[String],
    workload: &Workload,
    before: &[usize],
    sent: &Sent,
    probes: &Probes,
) -> Result<Checked> {
    let clients = Client::all(urls)?;
    let first = clients.first().ok_or_else(|| void("no node".to_owned()))?;
    same_head(&clients).await?;
    let expected = expected(workload, before, &sent.per_account);
    let found = executed(first, sent.height_before).await?;
    compare(&expected, &found, probes)?;
    let sample = sample(&expected, workload.spec.seed);
    for (i, client) in clients.iter().enumerate() {
        let part: Vec<_> = sample
            .iter()
            .skip(i)
            .step_by(clients.len())
            .copied()
            .collect();
        let params = part.iter().map(|hash| json!([hash])).collect();
        let receipts = client.call_all("eth_getTransactionReceipt", params).await?;
        for (hash, receipt) in part.iter().zip(&receipts) {
            if !succeeded(receipt) {
                let transaction = client
                    .call("eth_getTransactionByHash", json!([hash]))
                    .await?;
                let at = transaction.get("blockNumber").cloned().unwrap_or_default();
                let again = client
                    .call("eth_getTransactionReceipt", json!([hash]))
                    .await?;
                let (url, first) = (client.url(), shorten(receipt));
                return Err(void(format!(
                    "{url}: {hash} is executed, and its receipt is {first} (asked again: {}; the \
                     transaction says block {at}; head {})",
                    shorten(&again),
                    client.height().await?
                )));
            }
        }
    }
    let mut balances = 0;
    if !matches!(workload.spec.kind, Kind::Evidence(..)) {
        let due = due(workload, &sent.per_account);
        for client in &clients {
            balances += check_balances(client, workload, &due).await?;
        }
    }
    Ok(Checked {
        in_blocks: expected.len() as u64,
        receipts: sample.len() as u64,
        balances,
    })
}

/// The beginning of a value, for a message.
fn shorten(value: &Value) -> String {
    const SHOWN_MAX: usize = 300;
    value.to_string().chars().take(SHOWN_MAX).collect()
}

/// Waits until every node shows the first node's head, and compares the blocks there.
pub(crate) async fn same_head(clients: &[Client]) -> Result<()> {
    let Some((first, others)) = clients.split_first() else {
        return Ok(());
    };
    let height = first.height().await?;
    let number = json!([format!("{height:#x}"), false]);
    let head = first.call("eth_getBlockByNumber", number.clone()).await?;
    let start = Instant::now();
    for client in others {
        while client.height().await? < height {
            if start.elapsed() > CATCH_UP_LIMIT {
                return Err(void(format!(
                    "{} has not executed block {height} {} s after {} did",
                    client.url(),
                    CATCH_UP_LIMIT.as_secs(),
                    first.url()
                )));
            }
            sleep(Duration::from_millis(20)).await;
        }
        let own = client.call("eth_getBlockByNumber", number.clone()).await?;
        if own.get("hash") != head.get("hash") || own.get("stateRoot") != head.get("stateRoot") {
            let (one, other) = (first.url(), client.url());
            return Err(void(format!("{one} and {other} differ at block {height}")));
        }
    }
    Ok(())
}

/// Hashes of what was accepted in this run.
fn expected(workload: &Workload, before: &[usize], after: &[usize]) -> Vec<B256> {
    let lanes = workload.lanes.iter().zip(before.iter().zip(after));
    lanes
        .flat_map(|(lane, (from, to))| lane.get(*from..*to).unwrap_or_default())
        .map(|signed| signed.hash)
        .collect()
}

/// Hashes of all transactions in the blocks after `height`, with how often they occur.
async fn executed(client: &Client, height: u64) -> Result<BTreeMap<B256, u64>> {
    let head = client.height().await?;
    let mut found = BTreeMap::new();
    for number in height.saturating_add(1)..=head {
        for hash in client.block_hashes(number).await? {
            *found.entry(hash).or_default() += 1;
        }
    }
    Ok(found)
}

/// Everything accepted is in a block once, and nothing else is.
pub(crate) fn compare(
    expected: &[B256],
    found: &BTreeMap<B256, u64>,
    probes: &Probes,
) -> Result<()> {
    if let Some(lost) = expected.iter().find(|hash| !found.contains_key(*hash)) {
        return Err(void(format!("{lost} was accepted and is in no block")));
    }
    self::probes(found, probes)?;
    let known: BTreeSet<&B256> = expected
        .iter()
        .chain(probes.exactly_one.iter().flatten())
        .collect();
    match found.keys().find(|hash| !known.contains(hash)) {
        Some(stranger) => Err(void(format!("{stranger} is in a block and nobody sent it"))),
        None => Ok(()),
    }
}

/// No transaction is in blocks twice, none that has to be refused is in any, and exactly one of each conflicting group.
pub(crate) fn probes(found: &BTreeMap<B256, u64>, probes: &Probes) -> Result<()> {
    if let Some((hash, times)) = found.iter().find(|(_, times)| **times != 1) {
        return Err(void(format!("{hash} was executed {times} times")));
    }
    for (kind, hash) in &probes.never {
        if found.contains_key(hash) {
            return Err(void(format!(
                "a transaction with {kind} is in a block: {hash}"
            )));
        }
    }
    for group in &probes.exactly_one {
        let executed = group
            .iter()
            .filter(|hash| found.contains_key(*hash))
            .count();
        if executed != 1 {
            return Err(void(format!(
                "{executed} of the conflicting {group:?} were executed"
            )));
        }
    }
    Ok(())
}

/// A random sample without repetition, the same for the same seed.
fn sample(all: &[B256], seed: u64) -> Vec<B256> {
    let mut chosen = BTreeSet::new();
    let wanted = SAMPLE.min(all.len());
    let mut draw = seed;
    while chosen.len() < wanted {
        draw = draw.wrapping_add(1);
        let at = usize::try_from(mix(draw) % (all.len() as u64)).unwrap_or(0);
        chosen.extend(all.get(at));
    }
    chosen.into_iter().collect()
}

/// What every account should own after the first transfers of each.
fn due(workload: &Workload, sent: &[usize]) -> Vec<u64> {
    let mut due = vec![token::MINTED; workload.addresses.len()];
    for (from, count) in sent.iter().enumerate() {
        for index in 0..*count {
            if let Some(balance) = due.get_mut(from) {
                *balance = balance.saturating_sub(1);
            }
            if let Some(balance) = due.get_mut(workload.spec.recipient(from, index)) {
                *balance = balance.saturating_add(1);
            }
        }
    }
    due
}

async fn check_balances(client: &Client, workload: &Workload, due: &[u64]) -> Result<u64> {
    let token = workload.spec.token;
    let query =
        |address: &Address| json!([{ "to": token, "data": token::balance_of(*address) }, "latest"]);
    let params = workload.addresses.iter().map(query).collect();
    let answers = client.call_all("eth_call", params).await?;
    for ((address, due), answer) in workload.addresses.iter().zip(due).zip(answers) {
        let word: B256 = serde_json::from_value(answer)?;
        if U256::from_be_bytes(word.0) != U256::from(*due) {
            return Err(void(format!(
                "{}: {address} owns {} units, the transfers add up to {due}",
                client.url(),
                U256::from_be_bytes(word.0)
            )));
        }
    }
    Ok(due.len() as u64)
}

/// All units there are have to be what was minted: transfers make and destroy none.
pub(crate) async fn check_supply(urls: &[String], token: Address, accounts: u64) -> Result<()> {
    let minted = U256::from(token::MINTED).saturating_mul(U256::from(accounts));
    for client in Client::all(urls)? {
        let call = json!([{ "to": token, "data": token::total_supply() }, "latest"]);
        let word: B256 = serde_json::from_value(client.call("eth_call", call).await?)?;
        if U256::from_be_bytes(word.0) != minted {
            return Err(void(format!(
                "{}: the supply is not what was minted",
                client.url()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> B256 {
        B256::repeat_byte(n)
    }

    fn found(hashes: &[u8]) -> BTreeMap<B256, u64> {
        let mut all = BTreeMap::new();
        for n in hashes {
            *all.entry(hash(*n)).or_default() += 1;
        }
        all
    }

    #[test]
    fn a_story_that_adds_up_is_accepted_and_every_other_one_refused() {
        let probes = Probes {
            never: vec![("a bad signature", hash(9))],
            exactly_one: vec![vec![hash(7), hash(8)]],
            results: Vec::new(),
        };
        let check = |blocks: &[u8]| compare(&[hash(1), hash(2)], &found(blocks), &probes);
        assert!(check(&[1, 2, 7]).is_ok());
        assert!(check(&[8, 2, 1]).is_ok());
        for (blocks, reason) in [
            (&[1, 7][..], "in no block"),
            (&[1, 2], "0 of the conflicting"),
            (&[1, 2, 7, 8], "2 of the conflicting"),
            (&[1, 2, 2, 7], "executed 2 times"),
            (&[1, 2, 7, 9], "a bad signature"),
            (&[1, 2, 7, 5], "nobody sent"),
        ] {
            let error = check(blocks).unwrap_err().to_string();
            assert!(error.contains(reason), "{blocks:?}: {error}");
        }
    }

    #[test]
    fn a_sample_has_no_repetition_and_is_bounded() {
        let all: Vec<_> = (0..=255).map(hash).collect();
        let some = sample(&all, 1);
        assert_eq!(some.len(), SAMPLE);
        assert_eq!(some, sample(&all, 1));
        assert_eq!(sample(&all[..3], 1).len(), 3);
        assert!(sample(&[], 1).is_empty());
    }
}
