//! Log filters and the search by them.

use std::sync::Arc;

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Bloom, keccak256};
use alloy_rpc_types_eth::Log as RpcLog;
use hawser_execution::Stop;
use hawser_ledger::Log;
use hawser_node::store::ChainStore;
use hawser_primitives::{Address, B256, Height};
use serde::Deserialize;

use super::number_of;
use crate::{
    RpcLimits,
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, code, json_within},
};

/// One value or several, any of which will do; null for whatever there is.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<Option<T>>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    block_hash: Option<B256>,
    address: Option<OneOrMany<Address>>,
    topics: Option<Vec<Option<OneOrMany<B256>>>>,
}

/// Which blocks to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Hash(B256),
    Numbers {
        from: Option<BlockNumberOrTag>,
        to: Option<BlockNumberOrTag>,
    },
}

/// A log filter, checked and sorted.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter {
    pub(crate) range: Range,
    /// Any of these contracts; empty for all.
    addresses: Vec<Address>,
    /// Per position any of these; empty for whatever there is.
    topics: Vec<Vec<B256>>,
    /// Bits that a bloom must have: per condition those of any alternative.
    blooms: Vec<Box<[BloomBits]>>,
}

/// Which bits of a bloom a value sets: 6 bytes, where a bloom has 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BloomBits([u16; 3]);

impl BloomBits {
    /// Three pairs of the hash's first bytes, each taken modulo the 2,048 bits of a bloom.
    fn of(value: &[u8]) -> Self {
        const MASK: u16 = 0x7ff;
        let hash = keccak256(value).0;
        let [a, b, c, d, e, f, ..] = hash;
        Self([[a, b], [c, d], [e, f]].map(|pair| u16::from_be_bytes(pair) & MASK))
    }

    /// Whether a bloom has all of them. Bit 0 is the lowest of the last byte.
    fn are_in(self, bloom: &Bloom) -> bool {
        self.0.iter().all(|bit| {
            let byte = bloom.0.iter().rev().nth(usize::from(bit / 8));
            byte.is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
        })
    }
}

/// Topics of a log.
const TOPICS_MAX: usize = 4;

impl LogFilter {
    /// Reads a filter object.
    pub(crate) fn read(
        params: &mut Params,
        limits: &RpcLimits,
        required: bool,
    ) -> Result<Self, ErrorObject> {
        let raw: Option<RawFilter> = params.optional("filter")?;
        let raw = match raw {
            Some(raw) => raw,
            None if required => {
                return Err(ErrorObject::invalid_params(
                    "missing value for required argument 0 (filter)",
                ));
            }
            None => RawFilter {
                from_block: None,
                to_block: None,
                block_hash: None,
                address: None,
                topics: None,
            },
        };
        Self::check(raw, limits)
    }

    fn check(raw: RawFilter, limits: &RpcLimits) -> Result<Self, ErrorObject> {
        let range = match raw.block_hash {
            Some(_) if raw.from_block.is_some() || raw.to_block.is_some() => {
                return Err(ErrorObject::invalid_params(
                    "cannot specify both blockHash and fromBlock/toBlock, choose one or the other",
                ));
            }
            Some(hash) => Range::Hash(hash),
            None => Range::Numbers {
                from: raw.from_block,
                to: raw.to_block,
            },
        };
        let addresses = raw.address.map(alternatives).unwrap_or_default();
        let raw_topics = raw.topics.unwrap_or_default();
        if raw_topics.len() > TOPICS_MAX {
            let text = format!(
                "{} topics exceed the limit of {TOPICS_MAX}",
                raw_topics.len()
            );
            return Err(ErrorObject::invalid_params(text));
        }
        let topics: Vec<Vec<B256>> = raw_topics
            .into_iter()
            .map(|t| t.map(alternatives).unwrap_or_default())
            .collect();
        let most = topics
            .iter()
            .map(Vec::len)
            .max()
            .unwrap_or(0)
            .max(addresses.len());
        if most > limits.logs_alternatives_max {
            let text = format!(
                "{most} alternatives for address or topic exceed the limit of {}",
                limits.logs_alternatives_max
            );
            return Err(ErrorObject::new(code::LIMIT_EXCEEDED, text));
        }
        let addresses_bits = addresses.iter().map(|one| BloomBits::of(one.as_slice()));
        let mut blooms: Vec<Box<[BloomBits]>> = vec![addresses_bits.collect()];
        blooms.extend(topics.iter().map(|any| {
            let bits = any.iter().map(|topic| BloomBits::of(topic.as_slice()));
            bits.collect()
        }));
        blooms.retain(|any| !any.is_empty());
        Ok(Self {
            range,
            addresses,
            topics,
            blooms,
        })
    }

    /// Whether a block with this bloom may have matching logs.
    pub(crate) fn may_match(&self, bloom: &Bloom) -> bool {
        self.blooms
            .iter()
            .all(|any| any.iter().any(|wanted| wanted.are_in(bloom)))
    }

    /// Whether a log matches. As in geth, a filter with more positions than the log has topics
    /// does not, even if those are null.
    pub(crate) fn matches(&self, log: &Log) -> bool {
        let address =
            self.addresses.is_empty() || self.addresses.binary_search(&log.address).is_ok();
        address
            && self.topics.len() <= log.topics.len()
            && self
                .topics
                .iter()
                .zip(&log.topics)
                .all(|(any, topic)| any.is_empty() || any.binary_search(topic).is_ok())
    }
}

/// Sorted alternatives; a null among them stands for anything.
fn alternatives<T: Ord>(values: OneOrMany<T>) -> Vec<T> {
    let mut list = match values {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values
            .into_iter()
            .collect::<Option<Vec<T>>>()
            .unwrap_or_default(),
    };
    list.sort_unstable();
    list.dedup();
    // Filters are kept: not with the room that doubles took.
    list.shrink_to_fit();
    list
}

/// Where a search goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) height: Height,
    /// Matching logs of this height that were given before.
    given: usize,
}

impl Place {
    /// The beginning of a block.
    pub(crate) const fn start(height: Height) -> Self {
        Self { height, given: 0 }
    }
}

/// Most that one answer holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    logs: usize,
    bytes: usize,
}

impl Room {
    pub(crate) const fn of(limits: &RpcLimits) -> Self {
        Self {
            logs: limits.logs_results_max,
            bytes: limits.response_bytes_max,
        }
    }
}

/// Logs found, and how far the search got.
pub(crate) struct Found {
    pub(crate) logs: Vec<RpcLog>,
    /// First place not searched; above `to` when all was.
    pub(crate) next: Place,
    /// What one answer holds, where that ended the search.
    full: Option<String>,
}

/// Searches a range of heights in order for as long as there is room: whole blocks only, except
/// that a first block which does not fit is given in parts.
pub(crate) fn search(
    store: &ChainStore,
    filter: &LogFilter,
    from: Place,
    to: Height,
    room: Room,
    stop: &Stop,
) -> Result<Found, ErrorObject> {
    let wanted = |bytes: &[u8]| Bloom::try_from(bytes).is_ok_and(|bloom| filter.may_match(&bloom));
    // The brackets.
    let (mut logs, mut bytes) = (Vec::new(), 2usize);
    for height in store.blooms(from.height, to, &wanted)? {
        stop.check()?;
        let Some(block) = store.block(height)? else {
            break;
        };
        let start = if height == from.height {
            from
        } else {
            Place::start(height)
        };
        let before = logs.len();
        let matches = |log: &Log| filter.matches(log);
        for log in view::block_logs(&block, &matches).skip(start.given) {
            bytes = bytes.saturating_add(view::log_bytes_max(&log));
            let full = if logs.len() >= room.logs {
                format!("{} results", room.logs)
            } else if bytes > room.bytes {
                format!("{} bytes", room.bytes)
            } else {
                logs.push(log);
                continue;
            };
            if logs.is_empty() {
                return Err(ErrorObject::too_long(room.bytes));
            }
            let given = if before > 0 {
                logs.truncate(before);
                start.given
            } else {
                start.given.saturating_add(logs.len())
            };
            return Ok(Found {
                logs,
                next: Place { height, given },
                full: Some(full),
            });
        }
    }
    Ok(Found {
        logs,
        next: Place::start(to.next()),
        full: None,
    })
}

/// Searches what a filter names.
fn query(
    store: &ChainStore,
    filter: &LogFilter,
    limits: &RpcLimits,
    stop: &Stop,
) -> Result<Vec<RpcLog>, ErrorObject> {
    let head = store.head().id().height;
    let (from, to) = match filter.range {
        Range::Hash(hash) => {
            let height = store.height_of(&hash)?;
            let height = height.ok_or_else(|| ErrorObject::server("unknown block"))?;
            (height, height)
        }
        Range::Numbers { from, to } => {
            let resolve = |tag: Option<_>| number_of(tag.unwrap_or_default(), head);
            let (from, to) = (resolve(from), resolve(to));
            if from > to && from <= head {
                return Err(ErrorObject::invalid_params(format!(
                    "invalid block range: fromBlock {from} is above toBlock {to}"
                )));
            }
            (from, to.min(head))
        }
    };
    if from > head {
        return Ok(Vec::new());
    }
    let span = to.0.saturating_sub(from.0).saturating_add(1);
    if span > limits.logs_range_max {
        let end = from
            .0
            .saturating_add(limits.logs_range_max)
            .saturating_sub(1);
        return Err(ErrorObject::limit(format!(
            "block range of {span} exceeds the limit of {}; ask for [{}, {}] first and go on from \
             there",
            limits.logs_range_max,
            view::quantity(from.0),
            view::quantity(end)
        )));
    }
    let found = search(
        store,
        filter,
        Place::start(from),
        to,
        Room::of(limits),
        stop,
    )?;
    let Some(full) = found.full else {
        return Ok(found.logs);
    };
    let end = found.next.height;
    let text = if end > from {
        format!(
            "query returned more than {full}. Try with this block range [{}, {}], or name \
             addresses and topics",
            view::quantity(from.0),
            view::quantity(end.back(1).0)
        )
    } else {
        format!(
            "query returned more than {full} from block {} alone; name addresses and topics, or \
             follow a filter, whose changes come in parts",
            view::quantity(from.0)
        )
    };
    Err(ErrorObject::limit(text))
}

/// `eth_getLogs`
pub(crate) async fn get_logs(cx: &Context, mut params: Params) -> Answer {
    let filter = LogFilter::read(&mut params, cx.limits(), true)?;
    params.end()?;
    answer(cx, Arc::new(filter)).await
}

/// The logs that a filter names, written among the heavy work.
pub(crate) async fn answer(cx: &Context, filter: Arc<LogFilter>) -> Answer {
    let limits = cx.limits().clone();
    cx.heavy_within(None, move |store, stop| {
        let logs = query(store, &filter, &limits, stop)?;
        json_within(&logs, limits.response_bytes_max, stop)
    })
    .await
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
