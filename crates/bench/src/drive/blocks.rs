//! Reads the blocks as they come: which transactions, and when they became visible.

use std::time::{Duration, Instant};

use hawser_primitives::B256;

use super::http::{Connection, host_of};
use crate::{
    error::{BenchError, Result},
    steady::SeenBlock,
};

/// How long an answer about blocks may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long no node may answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A block as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) seen: SeenBlock,
    pub(crate) hashes: Vec<B256>,
}

/// Follows the chain on one node, and on the next one when that does not answer.
pub(crate) struct Watcher {
    hosts: Vec<String>,
    at: usize,
    connection: Connection,
    pub(crate) height: u64,
    silent_since: Option<Instant>,
}

impl Watcher {
    /// From the present height on.
    pub(crate) async fn new(urls: &[String]) -> Result<Self> {
        let hosts: std::result::Result<Vec<_>, _> = urls.iter().map(|url| host_of(url)).collect();
        let hosts = hosts.map_err(BenchError::Target)?;
        let first = hosts.first().cloned().unwrap_or_default();
        let mut watcher = Self {
            hosts,
            at: 0,
            connection: Connection::new(&first, LIMIT),
            height: 0,
            silent_since: None,
        };
        let silent = || BenchError::Target(format!("{first} does not say its height"));
        watcher.height = watcher.head().await.ok_or_else(silent)?;
        Ok(watcher)
    }

    async fn ask(&mut self, method: &str, params: &str) -> Option<Vec<u8>> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{params}]}}"#);
        let answer = self
            .connection
            .post("/", "application/json", body.as_bytes())
            .await;
        Some(answer.ok().filter(|answer| answer.status == 200)?.body)
    }

    async fn head(&mut self) -> Option<u64> {
        let answer = self.ask("eth_blockNumber", "").await?;
        number(&answer, b"\"result\":\"0x")
    }

    /// The blocks that are new, with the time since `start`.
    pub(crate) async fn poll(&mut self, start: Instant) -> Result<Vec<Found>> {
        let Some(head) = self.head().await else {
            return self.next_node();
        };
        let seen = start.elapsed();
        let mut found = Vec::new();
        while self.height < head {
            let wanted = self.height.saturating_add(1);
            let params = format!(r#""{wanted:#x}",false"#);
            let block = match self.ask("eth_getBlockByNumber", &params).await {
                Some(block) => parse(&block),
                None => None,
            };
            let Some((time_ms, hashes)) = block else {
                self.next_node()?;
                break;
            };
            self.height = wanted;
            found.push(Found {
                seen: SeenBlock {
                    number: wanted,
                    transactions: hashes.len() as u64,
                    seen,
                    time_ms,
                },
                hashes,
            });
        }
        if !found.is_empty() || self.height >= head {
            self.silent_since = None;
        }
        Ok(found)
    }

    fn next_node(&mut self) -> Result<Vec<Found>> {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        if since.elapsed() > SILENCE_MAX {
            let text = format!("no node shows its blocks for {} s", SILENCE_MAX.as_secs());
            return Err(BenchError::Target(text));
        }
        self.at = (self.at + 1) % self.hosts.len().max(1);
        let host = self.hosts.get(self.at).cloned().unwrap_or_default();
        self.connection = Connection::new(&host, LIMIT);
        Ok(Vec::new())
    }
}

/// The hexadecimal number that follows a text.
fn number(body: &[u8], before: &[u8]) -> Option<u64> {
    let digits = digits(body, before)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn digits<'a>(body: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let start = body.windows(before.len()).position(|w| w == before)?;
    let rest = body.get(start.checked_add(before.len())?..)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    rest.get(..end)
}

/// A block's time in milliseconds and the hashes of its transactions, from the answer to `eth_getBlockByNumber`. The
/// list of hashes is all that is read: a block of ten thousand transactions is 700 kB of JSON.
fn parse(body: &[u8]) -> Option<(u64, Vec<B256>)> {
    let time = number(body, b"\"timestampMs\":\"0x")
        .or_else(|| Some(number(body, b"\"timestamp\":\"0x")?.saturating_mul(1_000)))?;
    const LIST: &[u8] = b"\"transactions\":[";
    let start = body.windows(LIST.len()).position(|w| w == LIST)?;
    let mut rest = body.get(start.checked_add(LIST.len())?..)?;
    let mut hashes = Vec::with_capacity(rest.len() / 69);
    while rest.first() != Some(&b']') {
        let digits = rest.strip_prefix(b"\"0x")?.get(..64)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash).ok()?;
        hashes.push(B256::new(hash));
        rest = rest.get(68..)?;
        rest = rest.strip_prefix(b",").unwrap_or(rest);
    }
    Some((time, hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_in_every_size() {
        let hash = |n: u8| format!("\"{}\"", B256::repeat_byte(n));
        let block = |list: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"number":"0x5","timestamp":"0x2","timestampMs":"0x7d0","transactions":[{list}],"uncles":[]}}}}"#
            )
        };
        let (none, one, two) = (
            block(""),
            block(&hash(1)),
            block(&format!("{},{}", hash(1), hash(2))),
        );
        assert_eq!(parse(none.as_bytes()), Some((2_000, vec![])));
        assert_eq!(parse(one.as_bytes()).unwrap().1, [B256::repeat_byte(1)]);
        assert_eq!(parse(two.as_bytes()).unwrap().1.len(), 2);
        for bad in [
            "{}",
            r#"{"timestampMs":"0x1","transactions":["0x12"]}"#,
            &two[..two.len() - 90],
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        let seconds = one.replace("\"timestampMs\":\"0x7d0\",", "");
        assert_eq!(parse(seconds.as_bytes()).unwrap().0, 2_000);
    }
}
