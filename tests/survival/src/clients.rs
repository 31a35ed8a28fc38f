//! Clients that work on the chain at the same time, at different nodes, and write down what they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, ensure};
use hawser_e2e::load::Account;
use hawser_e2e::{ask, quantity};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::Bed;
use crate::contract;
use crate::history::{History, Outcome, Record, Seen, What};
use crate::linear::Act;
use crate::random::Random;

/// How long a node may take for its receipt before the client asks the next.
const WAIT_MS: u64 = 1_500;
/// One request: a node that stands still does not hold its clients for longer.
const REQUEST_LIMIT: Duration = Duration::from_millis(4_000);
/// How long a client stays with another node after its own did not answer. Without going back all clients gather at
/// one node after a few faults, and then say nothing about the chain while that one stands still.
const AWAY: Duration = Duration::from_secs(10);
/// How long a client tries before it calls the outcome unknown.
const PATIENCE: Duration = Duration::from_secs(30);
/// Registers for reads, writes and swaps.
const PLAIN: u64 = 4;
/// Registers that only count, behind those.
const COUNTERS: u64 = 2;
/// All registers.
pub const REGISTERS: u64 = PLAIN + COUNTERS;
/// What each paying account has at first.
pub const FUNDS: u64 = 1_000_000_000;

/// The family of the clients' accounts: an account is used until an outcome is unknown, then the client takes its next.
fn account(client: u32, life: u32) -> Result<Account> {
    Account::derive("survival", client as usize * 1_000 + life as usize)
}

/// The accounts to be given [`FUNDS`] by the genesis: the first of each client.
///
/// # Errors
/// As [`Account::derive`].
pub fn funded(clients: u32) -> Result<Vec<(Address, u64)>> {
    (0..clients)
        .map(|client| Ok((account(client, 0)?.address, FUNDS)))
        .collect()
}

/// Creates the contract of registers; its address and the transaction.
///
/// # Errors
/// When the chain refuses it.
pub async fn create_contract(bed: &Bed) -> Result<(Address, B256)> {
    let creator = Account::derive("survival creator", 0)?;
    let (raw, hash, address) = contract::create(&creator, bed.chain_id(), 0)?;
    let wait = "0x7530";
    let receipt = bed
        .client()
        .post(bed.url(0))
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransactionSync", "params": [raw, wait] }))
        .timeout(Duration::from_secs(40))
        .send()
        .await?
        .json::<Value>()
        .await?;
    let status = receipt.pointer("/result/status").and_then(Value::as_str);
    ensure!(
        status == Some("0x1"),
        "the contract was not made: {receipt}"
    );
    Ok((address, hash))
}

/// Clients at work.
#[derive(Debug)]
pub struct Clients {
    /// What they write down.
    pub history: History,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Clients {
    /// Starts `count` clients that pause for `think` between operations, and a reader at each node.
    ///
    /// # Errors
    /// When an account cannot be derived.
    pub fn start(
        bed: &Bed,
        history: History,
        contract: Address,
        count: u32,
        think: Duration,
        seed: u64,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let urls: Arc<[String]> = (0..bed.validators()).map(|node| bed.url(node)).collect();
        let payees: Arc<[Address]> = funded(count)?.into_iter().map(|(who, _)| who).collect();
        let mut tasks = Vec::new();
        for number in 0..count {
            let client = Client {
                number,
                life: 0,
                account: account(number, 0)?,
                nonce: 0,
                at: number as usize,
                left: None,
                last: 0,
                random: Random::new(seed, u64::from(number)),
                chain_id: bed.chain_id(),
                contract,
                payees: Arc::clone(&payees),
                urls: Arc::clone(&urls),
                http: bed.client().clone(),
                history: history.clone(),
                stop: Arc::clone(&stop),
                think,
            };
            tasks.push(tokio::spawn(client.run()));
        }
        for (node, url) in (0_u16..).zip(urls.iter()) {
            tasks.push(tokio::spawn(read(
                node,
                url.clone(),
                contract,
                bed.client().clone(),
                history.clone(),
                Arc::clone(&stop),
                Random::new(seed, 1_000 + u64::from(node)),
            )));
        }
        Ok(Self {
            history,
            stop,
            tasks,
        })
    }

    /// Has them finish what is under way, and end.
    ///
    /// # Errors
    /// When one has met an answer that no node should give.
    pub async fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(())
    }
}

struct Client {
    number: u32,
    life: u32,
    account: Account,
    nonce: u64,
    /// The node that it asks, counted on and on.
    at: usize,
    /// Since when it has not asked its own node.
    left: Option<Instant>,
    /// The value that it saw last, which swaps begin with.
    last: u64,
    random: Random,
    chain_id: u64,
    contract: Address,
    payees: Arc<[Address]>,
    urls: Arc<[String]>,
    http: reqwest::Client,
    history: History,
    stop: Arc<AtomicBool>,
    think: Duration,
}

/// What came of asking one node.
enum Asked {
    Receipt(Value),
    /// It has, or had, the transaction: ask for its receipt.
    Taken,
    /// It cannot at the moment.
    Busy,
    Refused(String),
    /// It did not answer.
    Silent,
}

impl Client {
    async fn run(mut self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let what = self.choose();
            let (raw, hash) = match what {
                What::Register { register, act } => contract::call(
                    &self.account,
                    self.chain_id,
                    self.nonce,
                    self.contract,
                    register,
                    act,
                )?,
                What::Pay { to, wei } => {
                    contract::pay(&self.account, self.chain_id, self.nonce, to, wei)?
                }
            };
            let called_us = self.history.now_us();
            let outcome = self.deliver(&raw, hash, what).await?;
            if let Outcome::Acknowledged {
                before: Some(before),
                ..
            } = outcome
                && let What::Register { act, .. } = what
            {
                self.last = act.apply(before);
            }
            match outcome {
                Outcome::Acknowledged { .. } => self.nonce += 1,
                // The nonce was not used.
                Outcome::Refused { .. } => sleep(Duration::from_millis(200)).await,
                Outcome::Unknown => {
                    self.life += 1;
                    self.nonce = 0;
                    self.account = account(self.number, self.life)?;
                }
            }
            self.history.add(Record {
                client: self.number,
                hash,
                what,
                called_us,
                returned_us: self.history.now_us(),
                outcome,
            });
            let think = u64::try_from(self.think.as_micros()).unwrap_or(0);
            // Between half and one and a half of it.
            let pause = think / 2 + self.random.below(think + 1);
            sleep(Duration::from_micros(pause)).await;
        }
        Ok(())
    }

    fn choose(&mut self) -> What {
        let register = self.random.below(PLAIN);
        // Written values are unique, so that a value tells who wrote it.
        let unique = (u64::from(self.number) << 40) + (u64::from(self.life) << 32) + self.nonce + 1;
        let act = match self.random.below(8) {
            // Only accounts with a balance pay.
            0 | 1 if self.life == 0 => {
                let at = self.random.below(self.payees.len() as u64);
                let to = usize::try_from(at)
                    .ok()
                    .and_then(|at| self.payees.get(at))
                    .copied()
                    .unwrap_or_default();
                let wei = 1 + self.random.below(1_000);
                return What::Pay { to, wei };
            }
            2 | 3 => {
                let register = PLAIN + self.random.below(COUNTERS);
                let act = Act::Add { value: 1 };
                return What::Register { register, act };
            }
            4 | 5 => Act::Write { value: unique },
            6 => Act::Cas {
                old: self.last,
                new: unique,
            },
            _ => Act::Read,
        };
        What::Register { register, act }
    }

    /// Offers the transaction to one node after the other until one has its receipt.
    async fn deliver(&mut self, raw: &str, hash: B256, what: What) -> Result<Outcome> {
        self.go_home();
        let end = Instant::now() + PATIENCE;
        // Once a node may have taken it, a refusal elsewhere proves nothing.
        let mut exposed = false;
        let mut refused = 0;
        while Instant::now() < end {
            let mut asked = self.submit(raw).await;
            if matches!(asked, Asked::Taken) {
                asked = self.receipt(hash).await;
            }
            match asked {
                Asked::Receipt(receipt) => return outcome(&receipt, what),
                Asked::Refused(reason) if !exposed => {
                    refused += 1;
                    if refused > self.urls.len() {
                        return Ok(Outcome::Refused { reason });
                    }
                }
                Asked::Refused(_) | Asked::Busy => {}
                Asked::Taken | Asked::Silent => exposed = true,
            }
            self.leave();
            sleep(Duration::from_millis(30)).await;
        }
        Ok(Outcome::Unknown)
    }

    /// Turns to the next node.
    fn leave(&mut self) {
        self.at += 1;
        self.left.get_or_insert_with(Instant::now);
    }

    /// Back to its own node after [`AWAY`].
    fn go_home(&mut self) {
        if self.left.is_some_and(|since| since.elapsed() >= AWAY) {
            self.at = self.number as usize;
            self.left = None;
        }
    }

    fn url(&self) -> &str {
        self.at
            .checked_rem(self.urls.len())
            .and_then(|at| self.urls.get(at))
            .map_or("", String::as_str)
    }

    async fn submit(&self, raw: &str) -> Asked {
        let params = json!([raw, format!("{WAIT_MS:#x}")]);
        let call = ask(
            &self.http,
            self.url(),
            "eth_sendRawTransactionSync",
            &params,
        );
        match timeout(REQUEST_LIMIT, call).await {
            Ok(Ok(receipt)) => Asked::Receipt(receipt),
            Ok(Err(error)) => sort_out(&error),
            Err(_) => Asked::Silent,
        }
    }

    async fn receipt(&self, hash: B256) -> Asked {
        let params = json!([hash]);
        let call = ask(&self.http, self.url(), "eth_getTransactionReceipt", &params);
        match timeout(REQUEST_LIMIT, call).await {
            Ok(Ok(receipt)) if !receipt.is_null() => Asked::Receipt(receipt),
            Ok(Ok(_)) => Asked::Taken,
            Ok(Err(_)) | Err(_) => Asked::Silent,
        }
    }
}

/// What an error means for the transaction.
fn sort_out(error: &anyhow::Error) -> Asked {
    if error.downcast_ref::<reqwest::Error>().is_some() {
        return Asked::Silent;
    }
    let text = error.to_string().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["not executed within", "known", "already", "nonce too low"]) {
        Asked::Taken
    } else if has(&[
        "busy", "full", "limit", "stopp", "syncing", "-32002", "-32005",
    ]) {
        Asked::Busy
    } else {
        Asked::Refused(text)
    }
}

fn outcome(receipt: &Value, what: What) -> Result<Outcome> {
    let field = |name: &str| {
        receipt
            .get(name)
            .with_context(|| format!("a receipt without {name}: {receipt}"))
    };
    ensure!(
        field("status")?.as_str() == Some("0x1"),
        "an operation that cannot fail did: {receipt}"
    );
    let block = field("blockHash")?.as_str().unwrap_or_default();
    let before = match what {
        What::Pay { .. } => None,
        What::Register { .. } => {
            let data = receipt.pointer("/logs/0/data").and_then(Value::as_str);
            let (before, _) = data
                .and_then(contract::answer)
                .with_context(|| format!("a receipt without the contract's log: {receipt}"))?;
            Some(before)
        }
    };
    Ok(Outcome::Acknowledged {
        number: quantity(field("blockNumber")?)?,
        block: block.parse()?,
        before,
    })
}

/// Asks one node for registers again and again, without transactions.
async fn read(
    node: u16,
    url: String,
    contract: Address,
    http: reqwest::Client,
    history: History,
    stop: Arc<AtomicBool>,
    mut random: Random,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let register = random.below(REGISTERS);
        let data = contract::call_data(register, Act::Read);
        let params = json!([{ "to": contract, "data": data }, "latest"]);
        let call = ask(&http, &url, "eth_call", &params);
        if let Ok(Ok(result)) = timeout(REQUEST_LIMIT, call).await
            && let Some((value, number)) = result.as_str().and_then(contract::answer)
        {
            let at_us = history.now_us();
            history.add_seen(Seen {
                node,
                at_us,
                register,
                value,
                number,
            });
        }
        sleep(Duration::from_millis(150 + random.below(100))).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn answers_are_sorted_by_what_they_prove() {
        let sorted = |text: &str| sort_out(&anyhow!("eth_sendRawTransactionSync: {text}"));
        assert!(matches!(sorted("already known"), Asked::Taken));
        assert!(matches!(
            sorted("the transaction is in the pool but was not executed within 1500 ms"),
            Asked::Taken
        ));
        assert!(matches!(sorted("the node is busy"), Asked::Busy));
        assert!(matches!(sorted("wrong chain id"), Asked::Refused(_)));
    }

    #[test]
    fn a_receipt_that_failed_or_lacks_its_log_is_an_error() {
        let what = What::Register {
            register: 1,
            act: Act::Read,
        };
        let block = B256::repeat_byte(3);
        let data = format!("0x{:064x}{:064x}", 5, 8);
        let good = json!({ "status": "0x1", "blockHash": block, "blockNumber": "0x8", "logs": [{ "data": data }] });
        assert_eq!(
            outcome(&good, what).unwrap(),
            Outcome::Acknowledged {
                number: 8,
                block,
                before: Some(5)
            }
        );
        let failed =
            json!({ "status": "0x0", "blockHash": block, "blockNumber": "0x8", "logs": [] });
        assert!(outcome(&failed, what).is_err());
        let bare = json!({ "status": "0x1", "blockHash": block, "blockNumber": "0x8", "logs": [] });
        assert!(outcome(&bare, what).is_err());
    }
}
