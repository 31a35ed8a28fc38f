//! Filters that clients poll: bounded in number, forgotten when nobody asks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_ledger::VerifiedTransaction;
use hawser_primitives::{B256, Height};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast::{self, error::TryRecvError};

use super::logs::{self, LogFilter, Place, Range, Room};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json, json_within},
};

/// Block hashes in one answer.
const HASHES_MAX: u64 = 10_000;

enum Kind {
    /// From this height on.
    Blocks { next: Height },
    /// From this place on.
    Logs { filter: Arc<LogFilter>, next: Place },
    /// What entered the pool since the last question; what is not asked for in time is lost.
    Pending {
        receiver: broadcast::Receiver<Arc<VerifiedTransaction>>,
        full: bool,
    },
}

struct Filter {
    kind: Kind,
    used: Instant,
}

/// The filters of a chain.
#[derive(Default)]
pub(crate) struct Filters(Mutex<BTreeMap<u128, Filter>>);

/// Identifiers cannot be guessed, so that clients do not use up each other's changes.
fn fresh_id() -> Result<u128, ErrorObject> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| ErrorObject::internal(format!("no randomness: {error}")))?;
    Ok(u128::from_be_bytes(bytes))
}

/// A new identifier as clients see it.
pub(crate) fn fresh_name() -> Result<String, ErrorObject> {
    Ok(format!("{:#x}", fresh_id()?))
}

impl Filters {
    fn insert(&self, kind: Kind, max: usize, idle: Duration) -> Result<String, ErrorObject> {
        let id = fresh_id()?;
        let mut filters = self.0.lock();
        let now = Instant::now();
        filters.retain(|_, filter| now.duration_since(filter.used) <= idle);
        if filters.len() >= max {
            return Err(ErrorObject::busy(format!(
                "{max} filters are open on this chain; close some with eth_uninstallFilter"
            )));
        }
        filters.insert(id, Filter { kind, used: now });
        Ok(format!("{id:#x}"))
    }

    fn with<T>(
        &self,
        id: &str,
        idle: Duration,
        ask: impl FnOnce(&mut Kind) -> Result<T, ErrorObject>,
    ) -> Result<T, ErrorObject> {
        let missing =
            || ErrorObject::server("filter not found; it may have expired: open it again");
        let id = parse_id(id).ok_or_else(missing)?;
        let mut filters = self.0.lock();
        let now = Instant::now();
        if filters
            .get(&id)
            .is_some_and(|filter| now.duration_since(filter.used) > idle)
        {
            filters.remove(&id);
        }
        let filter = filters.get_mut(&id).ok_or_else(missing)?;
        filter.used = now;
        ask(&mut filter.kind)
    }

    /// Moves a filter on once its answer is there; it may have been closed since.
    fn advance(&self, id: &str, to: impl FnOnce(&mut Kind)) {
        let Some(id) = parse_id(id) else { return };
        if let Some(filter) = self.0.lock().get_mut(&id) {
            to(&mut filter.kind);
        }
    }

    fn remove(&self, id: &str) -> bool {
        parse_id(id).is_some_and(|id| self.0.lock().remove(&id).is_some())
    }
}

fn parse_id(text: &str) -> Option<u128> {
    u128::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn insert(cx: &Context, kind: Kind) -> Answer {
    let limits = cx.limits();
    let idle = Duration::from_millis(limits.filter_idle_ms_max);
    json(&cx.entry().filters.insert(kind, limits.filters_max, idle)?)
}

/// `eth_newFilter`
pub(crate) fn new_filter(cx: &Context, mut params: Params) -> Answer {
    let filter = LogFilter::read(&mut params, cx.limits(), true)?;
    params.end()?;
    let head = cx.store().head().id().height;
    let next = match filter.range {
        Range::Hash(_) => {
            return Err(ErrorObject::invalid_params(
                "a filter follows new blocks; use eth_getLogs for a block hash",
            ));
        }
        Range::Numbers {
            from: Some(tag), ..
        } if tag.is_number() || tag.is_earliest() => super::number_of(tag, head).max(head.next()),
        Range::Numbers { .. } => head.next(),
    };
    insert(
        cx,
        Kind::Logs {
            filter: Arc::new(filter),
            next: Place::start(next),
        },
    )
}

/// `eth_newBlockFilter`
pub(crate) fn new_block_filter(cx: &Context, params: Params) -> Answer {
    params.end()?;
    insert(
        cx,
        Kind::Blocks {
            next: cx.store().head().id().height.next(),
        },
    )
}

/// `eth_newPendingTransactionFilter`
pub(crate) fn new_pending_filter(cx: &Context, mut params: Params) -> Answer {
    let full = params.optional("full transactions")?.unwrap_or(false);
    params.end()?;
    insert(
        cx,
        Kind::Pending {
            receiver: cx.handle().subscribe_pending(),
            full,
        },
    )
}

/// `eth_uninstallFilter`
pub(crate) fn uninstall_filter(cx: &Context, mut params: Params) -> Answer {
    let id: String = params.required("filter id")?;
    params.end()?;
    json(&cx.entry().filters.remove(&id))
}

enum Poll {
    Blocks(Height, Height),
    Logs(Arc<LogFilter>, Place, Height),
    Pending(Vec<Arc<VerifiedTransaction>>, bool),
}

/// `eth_getFilterChanges`. An answer that would be too long is given in parts: the next question
/// goes on where this one ended. What could not be answered is asked for again.
pub(crate) async fn filter_changes(cx: &Context, mut params: Params) -> Answer {
    let id: String = params.required("filter id")?;
    params.end()?;
    let limits = cx.limits().clone();
    let idle = Duration::from_millis(limits.filter_idle_ms_max);
    let head = cx.store().head().id().height;
    let poll = cx.entry().filters.with(&id, idle, |kind| match kind {
        Kind::Blocks { next } => {
            let from = *next;
            let to = head.min(Height(from.0.saturating_add(HASHES_MAX - 1)));
            Ok(Poll::Blocks(from, to))
        }
        Kind::Logs { filter, next } => {
            let from = *next;
            let end = from
                .height
                .0
                .saturating_add(limits.logs_range_max)
                .saturating_sub(1);
            let to = head.min(Height(end));
            Ok(Poll::Logs(Arc::clone(filter), from, to))
        }
        Kind::Pending { receiver, full } => Ok(Poll::Pending(drain(receiver), *full)),
    })?;
    match poll {
        Poll::Blocks(from, to) => {
            let read = cx.read(move |store| {
                let mut hashes: Vec<B256> = Vec::new();
                for height in from.0..=to.0 {
                    hashes.extend(store.block(Height(height))?.map(|block| block.hash));
                }
                json(&hashes)
            });
            let answer = read.await?;
            cx.entry().filters.advance(&id, |kind| match kind {
                Kind::Blocks { next } if *next == from => *next = to.next().max(from),
                _ => {}
            });
            Ok(answer)
        }
        Poll::Logs(filter, from, to) => {
            let search = cx.heavy_within(None, move |store, stop| {
                let to = match filter.range {
                    Range::Numbers { to: Some(tag), .. } if tag.is_number() => {
                        super::number_of(tag, to).min(to)
                    }
                    _ => to,
                };
                if from.height > to {
                    return Ok((json(&Vec::<Value>::new())?, from));
                }
                let found = logs::search(store, &filter, from, to, Room::of(&limits), stop)?;
                let answer = json_within(&found.logs, limits.response_bytes_max, stop)?;
                Ok((answer, found.next))
            });
            let (answer, after) = search.await?;
            cx.entry().filters.advance(&id, |kind| match kind {
                // Two questions at once have the same answer.
                Kind::Logs { next, .. } if *next == from => *next = after,
                _ => {}
            });
            Ok(answer)
        }
        Poll::Pending(transactions, true) => {
            let all: Result<Vec<_>, _> = transactions
                .iter()
                .map(|transaction| view::transaction(transaction, None))
                .collect();
            json(&all?)
        }
        Poll::Pending(transactions, false) => json(
            &transactions
                .iter()
                .map(|transaction| transaction.hash())
                .collect::<Vec<_>>(),
        ),
    }
}

fn drain(
    receiver: &mut broadcast::Receiver<Arc<VerifiedTransaction>>,
) -> Vec<Arc<VerifiedTransaction>> {
    let mut all = Vec::new();
    loop {
        match receiver.try_recv() {
            Ok(transaction) => all.push(transaction),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return all,
        }
    }
}

/// `eth_getFilterLogs`: all logs of a log filter's range.
pub(crate) async fn filter_logs(cx: &Context, mut params: Params) -> Answer {
    let id: String = params.required("filter id")?;
    params.end()?;
    let idle = Duration::from_millis(cx.limits().filter_idle_ms_max);
    let filter = cx.entry().filters.with(&id, idle, |kind| match kind {
        Kind::Logs { filter, .. } => Ok(Arc::clone(filter)),
        Kind::Blocks { .. } | Kind::Pending { .. } => {
            Err(ErrorObject::server("this filter is not a log filter"))
        }
    })?;
    logs::answer(cx, filter).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Kind {
        Kind::Blocks { next: Height(1) }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn both_sides_of_the_filter_limit() {
        let filters = Filters::default();
        let first = filters.insert(blocks(), 2, LONG).unwrap();
        filters.insert(blocks(), 2, LONG).unwrap();
        let error = filters.insert(blocks(), 2, LONG).unwrap_err();
        assert!(
            error.message.contains("2 filters are open"),
            "{}",
            error.message
        );
        assert!(filters.remove(&first));
        assert!(!filters.remove(&first));
        assert!(filters.insert(blocks(), 2, LONG).is_ok());
    }

    #[test]
    fn an_idle_filter_is_forgotten() {
        let filters = Filters::default();
        let id = filters.insert(blocks(), 1, LONG).unwrap();
        assert!(filters.with(&id, LONG, |_| Ok(())).is_ok());
        std::thread::sleep(Duration::from_millis(5));
        assert!(
            filters
                .with(&id, Duration::from_millis(1), |_| Ok(()))
                .is_err()
        );
        assert!(filters.with(&id, LONG, |_| Ok(())).is_err());
    }

    #[test]
    fn a_new_filter_makes_the_idle_ones_be_forgotten() {
        let filters = Filters::default();
        for _ in 0..3 {
            filters.insert(blocks(), 10, LONG).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
        filters
            .insert(blocks(), 10, Duration::from_millis(1))
            .unwrap();
        assert_eq!(filters.0.lock().len(), 1);
    }

    #[test]
    fn nonsense_is_no_filter() {
        let filters = Filters::default();
        for id in ["", "0x", "1", "0xzz", &format!("0x{}", "f".repeat(40))] {
            assert!(filters.with(id, LONG, |_| Ok(())).is_err(), "{id}");
            assert!(!filters.remove(id));
        }
    }
}
