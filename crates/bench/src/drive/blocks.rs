//! Reads the blocks as they come: which transactions, and when they became visible.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hawser_primitives::B256;
use tokio::time::timeout;

use super::http::{Connection, host_of};
use crate::{
    error::{BenchError, Result},
    steady::SeenBlock,
};

/// How long an answer about blocks may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a node may keep an answer back until the next one is asked as well. A node that is stopped keeps its
/// connections open, and the chain would seem to stand still as long as it does.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long no node may answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A block as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) seen: SeenBlock,
    pub(crate) hashes: Vec<B256>,
}

/// Follows the chain on one node, and on another one when that does not answer or is behind.
pub(crate) struct Watcher {
    nodes: Vec<Connection>,
    /// The one that is followed.
    at: usize,
    pub(crate) height: u64,
    silent_since: Option<Instant>,
}

impl Watcher {
    /// From the present height on.
    pub(crate) async fn new(urls: &[String]) -> Result<Self> {
        let hosts: std::result::Result<Vec<_>, _> = urls.iter().map(|url| host_of(url)).collect();
        let hosts = hosts.map_err(BenchError::Target)?;
        let nodes = hosts.iter().map(|host| Connection::new(host, LIMIT));
        let mut watcher = Self {
            nodes: nodes.collect(),
            at: 0,
            height: 0,
            silent_since: None,
        };
        let silent = || {
            let hosts = hosts.join(", ");
            BenchError::Target(format!("none of these nodes says its height: {hosts}"))
        };
        watcher.height = watcher.head().await.ok_or_else(silent)?;
        Ok(watcher)
    }

    /// The first good answer, of the node that is followed if it is quick, and follows that node from then on.
    async fn ask(&mut self, method: &str, params: &str) -> Option<Vec<u8>> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{params}]}}"#);
        let (before, from) = self.nodes.split_at_mut_checked(self.at)?;
        let places = (self.at..).take(from.len()).chain(0..before.len());
        let mut unasked = from.iter_mut().chain(before).zip(places);
        let mut asked = FuturesUnordered::new();
        loop {
            match unasked.next() {
                Some((node, place)) => asked.push({
                    let body = body.as_bytes();
                    async move { (place, node.post("/", "application/json", body).await) }
                }),
                None if asked.is_empty() => return None,
                None => {}
            }
            if let Ok(Some((place, Ok(answer)))) = timeout(PATIENCE, asked.next()).await
                && answer.status == 200
            {
                self.at = place;
                return Some(answer.body);
            }
        }
    }

    async fn head(&mut self) -> Option<u64> {
        let answer = self.ask("eth_blockNumber", "").await?;
        number(&answer, b"\"result\":\"0x")
    }

    /// The blocks that are new, with the time since `start`.
    pub(crate) async fn poll(&mut self, start: Instant) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let Some(head) = self.head().await else {
            self.silent()?;
            return Ok(found);
        };
        let seen = start.elapsed();
        if head < self.height {
            self.follow_next();
        }
        while self.height < head {
            let wanted = self.height.saturating_add(1);
            let params = format!(r#""{wanted:#x}",false"#);
            let block = match self.ask("eth_getBlockByNumber", &params).await {
                Some(block) => parse(&block),
                None => None,
            };
            let Some((time_ms, hashes)) = block else {
                self.follow_next();
                self.silent()?;
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

    fn follow_next(&mut self) {
        self.at = (self.at + 1) % self.nodes.len().max(1);
    }

    /// Notes that no node had an answer.
    fn silent(&mut self) -> Result<()> {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        if since.elapsed() > SILENCE_MAX {
            let text = format!("no node shows its blocks for {} s", SILENCE_MAX.as_secs());
            return Err(BenchError::Target(text));
        }
        Ok(())
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// A node that is at a height, whose blocks are empty. The first request to it is answered `late`.
    async fn node(height: u64, late: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut late = Some(late);
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::time::sleep(late.take().unwrap_or_default()).await;
                let mut request = vec![0; 4_096];
                while let Ok(read @ 1..) = stream.read(&mut request).await {
                    let request = String::from_utf8_lossy(&request[..read]);
                    let result = if request.contains("eth_blockNumber") {
                        format!(r#""{height:#x}""#)
                    } else {
                        r#"{"timestamp":"0x2","transactions":[]}"#.to_owned()
                    };
                    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = stream.write_all((head + &body).as_bytes()).await;
                }
            }
        });
        url
    }

    /// Heights of the blocks that one look finds.
    async fn look(watcher: &mut Watcher) -> Vec<u64> {
        let found = watcher.poll(Instant::now()).await.unwrap();
        found.iter().map(|block| block.seen.number).collect()
    }

    #[tokio::test]
    async fn a_node_that_keeps_its_answers_back_hides_no_block() {
        let stopped = node(5, LIMIT * 2).await;
        let urls = [stopped, node(7, Duration::ZERO).await];
        let start = Instant::now();
        let mut watcher = Watcher::new(&urls).await.unwrap();
        assert_eq!((watcher.height, watcher.at), (7, 1));
        watcher.height = 5;
        assert_eq!(look(&mut watcher).await, [6, 7]);
        assert!(start.elapsed() < LIMIT);
    }

    #[tokio::test]
    async fn a_node_that_is_behind_is_left() {
        let urls = [node(5, Duration::ZERO).await, node(7, Duration::ZERO).await];
        let mut watcher = Watcher::new(&urls).await.unwrap();
        watcher.height = 6;
        assert!(look(&mut watcher).await.is_empty());
        assert_eq!(look(&mut watcher).await, [7]);
    }

    #[tokio::test]
    async fn nodes_of_which_none_listens_are_named() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let Err(error) = Watcher::new(std::slice::from_ref(&url)).await else {
            panic!("somebody answered");
        };
        assert!(error.to_string().contains(&url[7..]), "{error}");
    }

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
