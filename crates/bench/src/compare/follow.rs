//! Follows a node's blocks: how many transactions each executed, and when it became visible.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    error::Result,
    rpc::{Client, quantity},
    steady::SeenBlock,
};

pub(crate) struct Follower {
    client: Client,
    start: Instant,
    height: u64,
    committed: u64,
    seen: Vec<SeenBlock>,
}

impl Follower {
    /// Between two looks.
    pub(crate) const PAUSE: Duration = Duration::from_millis(20);

    /// From the node's current height on.
    pub(crate) async fn new(url: &str) -> Result<Self> {
        let client = Client::new(url)?;
        let height = client.height().await?;
        Ok(Self {
            client,
            start: Instant::now(),
            height,
            committed: 0,
            seen: Vec::new(),
        })
    }

    pub(crate) const fn height(&self) -> u64 {
        self.height
    }

    /// Transactions executed since the start.
    pub(crate) const fn committed(&self) -> u64 {
        self.committed
    }

    /// Sets the clock to zero and says when that was.
    pub(crate) fn start(&mut self) -> Instant {
        self.start = Instant::now();
        self.start
    }

    /// Looks for new blocks; how many transactions they executed.
    pub(crate) async fn poll(&mut self) -> Result<u64> {
        let head = self.client.height().await?;
        let seen = self.start.elapsed();
        if head <= self.height {
            return Ok(0);
        }
        let numbers: Vec<u64> = (self.height.saturating_add(1)..=head).collect();
        let params = numbers.iter().map(|n| json!([format!("{n:#x}")])).collect();
        let counts = self
            .client
            .call_all("eth_getBlockTransactionCountByNumber", params)
            .await?;
        let mut new = 0u64;
        for (number, count) in numbers.into_iter().zip(&counts) {
            let transactions = quantity(count).unwrap_or(0);
            new = new.saturating_add(transactions);
            self.seen.push(SeenBlock {
                number,
                transactions,
                seen,
                time_ms: 0,
            });
        }
        self.height = head;
        self.committed = self.committed.saturating_add(new);
        Ok(new)
    }

    /// All blocks seen, with their own times, which are asked for only now.
    pub(crate) async fn into_blocks(mut self) -> Result<Vec<SeenBlock>> {
        for block in &mut self.seen {
            let number = format!("{:#x}", block.number);
            let found = self
                .client
                .call("eth_getBlockByNumber", json!([number, false]))
                .await?;
            block.time_ms = block_time_ms(&found);
        }
        Ok(self.seen)
    }
}

/// A block's own time in milliseconds; of whole seconds where the node gives no more.
pub(crate) fn block_time_ms(block: &Value) -> u64 {
    let field = |name| block.get(name).and_then(quantity);
    field("timestampMs")
        .or_else(|| Some(field("timestamp")?.saturating_mul(1_000)))
        .unwrap_or(0)
}
