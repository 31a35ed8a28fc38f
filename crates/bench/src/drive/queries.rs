//! Queries, as fast as they are answered or at a rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::http::{Connection, host_of};
use crate::{
    error::{BenchError, Result},
    work::Queries,
};

/// Connections over all nodes.
const CONNECTIONS: usize = 32;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What queries showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Asked, and answered without an error.
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// From due, or from leaving where there is no rate, to the answer.
    pub(crate) latencies_ms: Vec<f64>,
    pub(crate) seconds: f64,
}

/// Asks for `length`: at `rate` per second, or without one as fast as the nodes answer.
pub(crate) async fn ask(
    urls: &[String],
    queries: Arc<Queries>,
    rate: Option<f64>,
    length: Duration,
) -> Result<Asked> {
    let hosts: std::result::Result<Vec<_>, _> = urls.iter().map(|url| host_of(url)).collect();
    let hosts = hosts.map_err(BenchError::Target)?;
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let one = |host: &String| {
        let mut connection = Connection::new(host, LIMIT);
        let (queries, next) = (Arc::clone(&queries), &next);
        async move {
            let mut own = Asked::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = match rate {
                    Some(rate) => Duration::from_secs_f64(number as f64 / rate),
                    None => start.elapsed(),
                };
                if due >= length {
                    return own;
                }
                sleep(due.saturating_sub(start.elapsed())).await;
                let body = queries.body(number);
                own.asked += 1;
                let answer = connection
                    .post("/", "application/json", body.as_bytes())
                    .await;
                // The node gives `result` before anything that a client could have put into it.
                let good = |body: &[u8]| body.windows(9).any(|part| part == b"\"result\":");
                if answer.is_ok_and(|answer| answer.status == 200 && good(&answer.body)) {
                    own.answered += 1;
                    let took = start.elapsed().saturating_sub(due);
                    own.latencies_ms.push(took.as_secs_f64() * 1_000.0);
                }
            }
        }
    };
    let all = join_all(hosts.iter().cycle().take(CONNECTIONS).map(one)).await;
    let mut sum = Asked {
        seconds: start.elapsed().as_secs_f64(),
        ..Asked::default()
    };
    for own in all {
        sum.asked += own.asked;
        sum.answered += own.answered;
        sum.latencies_ms.extend(own.latencies_ms);
    }
    Ok(sum)
}
