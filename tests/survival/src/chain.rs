//! What the nodes have at the end of a run, asked over their own interface.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use anyhow::{Context, Result, ensure};
use hawser_e2e::quantity;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::bed::Bed;
use crate::clients::{FUNDS, REGISTERS, funded};
use crate::contract;
use crate::history::History;
use crate::judge::{Block, Copy, Evidence};
use crate::linear::Act;

/// Calls in one request.
const BATCH: u64 = 100;
/// How long nodes may take to agree after everything was healed.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// How often a height is seen again at least before it counts as standing still.
const LOOKS: u32 = 5;

/// Several calls in one request; their results in order.
async fn batch(bed: &Bed, node: u16, calls: &[(&str, Value)]) -> Result<Vec<Value>> {
    let body: Vec<_> = (0..)
        .zip(calls)
        .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
        .collect();
    let answer = bed
        .client()
        .post(bed.url(node))
        .json(&body)
        .timeout(Duration::from_secs(60))
        .send()
        .await?;
    let mut answers: Vec<Value> = answer.json().await?;
    ensure!(answers.len() == calls.len(), "answers are missing");
    answers.sort_by_key(|one| one.get("id").and_then(Value::as_u64));
    answers
        .into_iter()
        .map(|mut one| {
            ensure!(one.get("error").is_none_or(Value::is_null), "{one}");
            one.get_mut("result")
                .map(Value::take)
                .context("an answer without a result")
        })
        .collect()
}

fn hash(value: &Value, name: &str) -> Result<B256> {
    let text = value.get(name).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("a block without {name}"))?
        .parse()?)
}

fn block(value: &Value) -> Result<Block> {
    let transactions = value
        .get("transactions")
        .and_then(Value::as_array)
        .context("a block without transactions")?
        .iter()
        .map(|one| Ok(one.as_str().context("no hash")?.parse()?))
        .collect::<Result<_>>()?;
    let time = value.get("timestampMs").context("a block without time")?;
    Ok(Block {
        number: quantity(value.get("number").context("a block without number")?)?,
        hash: hash(value, "hash")?,
        state: hash(value, "stateRoot")?,
        time_ms: time.as_u64().map_or_else(|| quantity(time), Ok)?,
        transactions,
    })
}

/// Blocks of a node, both ends included.
///
/// # Errors
/// When it does not have them.
pub async fn blocks(bed: &Bed, node: u16, from: u64, to: u64) -> Result<Vec<Block>> {
    let mut all = Vec::new();
    let mut at = from;
    while at <= to {
        let end = to.min(at + BATCH - 1);
        let calls: Vec<_> = (at..=end)
            .map(|number| {
                (
                    "eth_getBlockByNumber",
                    json!([format!("{number:#x}"), false]),
                )
            })
            .collect();
        for value in batch(bed, node, &calls).await? {
            all.push(block(&value)?);
        }
        at = end + 1;
    }
    Ok(all)
}

/// The first block that a node still has.
async fn first_kept(bed: &Bed, node: u16, top: u64) -> u64 {
    let (mut missing, mut kept) = (0, top);
    if blocks(bed, node, 1, 1).await.is_ok() {
        return 1;
    }
    while kept - missing > 1 {
        let middle = missing + (kept - missing) / 2;
        if blocks(bed, node, middle, middle).await.is_ok() {
            kept = middle;
        } else {
            missing = middle;
        }
    }
    kept
}

/// Waits until the nodes that run have the same height and it has stood still for a second and for some looks: on a
/// machine that stands still for a second, heights do so, too. Gives that height.
///
/// # Errors
/// When that does not come about within a minute.
pub async fn quiet(bed: &Bed) -> Result<u64> {
    let end = Instant::now() + QUIET_LIMIT;
    let (mut since, mut looks, mut last) = (Instant::now(), 0, None);
    loop {
        let mut heights = Vec::new();
        for node in (0..bed.slots()).filter(|node| bed.runs(*node)) {
            heights.push(bed.height(node).await);
        }
        let first = heights.first().copied().flatten();
        let same = first.is_some() && heights.iter().all(|height| *height == first);
        if !same || first != last {
            since = Instant::now();
            looks = 0;
            last = first;
        }
        looks += 1;
        if same && looks > LOOKS && since.elapsed() > Duration::from_secs(1) {
            return first.context("no node runs");
        }
        ensure!(
            Instant::now() < end,
            "the nodes do not come to rest at one height: {heights:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

async fn copy(bed: &Bed, node: u16, top: u64, contract: Address, clients: u32) -> Result<Copy> {
    let tag = format!("{top:#x}");
    let registers: Vec<_> = (0..REGISTERS)
        .map(|register| {
            let data = contract::call_data(register, Act::Read);
            ("eth_call", json!([{ "to": contract, "data": data }, tag]))
        })
        .collect();
    let registers = batch(bed, node, &registers).await?;
    let registers = registers
        .iter()
        .map(|value| {
            let text = value.as_str().unwrap_or_default();
            let (held, _) = contract::answer(text).context("no register")?;
            Ok(held)
        })
        .collect::<Result<_>>()?;
    let accounts: Vec<_> = funded(clients)?
        .into_iter()
        .map(|(who, _)| ("eth_getBalance", json!([who, tag])))
        .collect();
    let mut balances = 0_u128;
    for value in batch(bed, node, &accounts).await? {
        let text = value.as_str().unwrap_or_default().trim_start_matches("0x");
        balances += u128::try_from(U256::from_str_radix(text, 16)?)?;
    }
    Ok(Copy {
        node,
        blocks: blocks(bed, node, first_kept(bed, node, top).await, top).await?,
        registers,
        balances,
    })
}

/// Waits for rest, and gathers everything that the run can be judged by.
///
/// # Errors
/// When the nodes do not come to rest, or one does not answer.
pub async fn evidence(
    bed: &Bed,
    history: &History,
    contract: Address,
    clients: u32,
    own: Vec<B256>,
) -> Result<Evidence> {
    let top = quiet(bed).await?;
    let mut copies = Vec::new();
    for node in (0..bed.slots()).filter(|node| bed.runs(*node)) {
        let copy = copy(bed, node, top, contract, clients).await;
        copies.push(copy.with_context(|| format!("node {node}"))?);
    }
    let (records, seen, accepted) = history.copy();
    Ok(Evidence {
        records,
        seen,
        emptied: history.emptied(),
        accepted,
        own,
        copies,
        funds: u128::from(FUNDS) * u128::from(clients),
    })
}
