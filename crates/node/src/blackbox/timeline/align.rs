//! How far the clocks of nodes are apart, from when votes left one and arrived at the other.
//!
//! As in NTP (RFC 5905, section 8): what the fastest message takes one way, and the fastest one the
//! other way, differ by twice the offset if the way is as long in both directions.

use std::collections::BTreeMap;

use hawser_ledger::VoteKind;
use hawser_primitives::{Address, Height, Round, Time};

use crate::blackbox::{entry::What, read::Recording};

/// Votes that the estimate is made from, at least, each way.
const VOTES_MIN: usize = 3;

type Ballot = (Height, Round, VoteKind, Address);

/// When one recording first saw each vote.
fn votes(recording: &Recording) -> BTreeMap<Ballot, Time> {
    let (mut members, mut seen) = (Vec::new(), BTreeMap::new());
    for entry in &recording.entries {
        match &entry.what {
            What::Committee(list) => {
                members = list.iter().map(|member| member.address).collect();
            }
            What::Vote {
                kind,
                round,
                validator,
                ..
            } => {
                if let Some(address) = members.get(usize::from(*validator)) {
                    let ballot = (entry.height, *round, *kind, *address);
                    seen.entry(ballot).or_insert(entry.at);
                }
            }
            _ => {}
        }
    }
    seen
}

/// The least time, by their clocks, from when `from` cast a vote until `to` saw it.
fn least(from: (&Recording, &BTreeMap<Ballot, Time>), to: &BTreeMap<Ballot, Time>) -> Option<i64> {
    let own = from.0.identity.as_ref()?.validator?;
    let cast = from.1.iter().filter(|((.., address), _)| *address == own);
    let took: Vec<i64> = cast
        .filter_map(|(ballot, left)| {
            let arrived = i64::try_from(to.get(ballot)?.0).ok()?;
            Some(arrived.saturating_sub(i64::try_from(left.0).ok()?))
        })
        .collect();
    (took.len() >= VOTES_MIN)
        .then(|| took.iter().min().copied())
        .flatten()
}

/// By how many milliseconds each recording's clock is ahead of the first one's; 0 where they share
/// too few votes to tell.
#[must_use]
pub fn offsets_ms(recordings: &[Recording]) -> Vec<i64> {
    let all: Vec<_> = recordings.iter().map(votes).collect();
    let (Some(first), Some(first_votes)) = (recordings.first(), all.first()) else {
        return Vec::new();
    };
    recordings
        .iter()
        .zip(&all)
        .enumerate()
        .map(|(i, (other, other_votes))| {
            if i == 0 {
                return 0;
            }
            let there = least((first, first_votes), other_votes);
            let back = least((other, other_votes), first_votes);
            there
                .zip(back)
                .map_or(0, |(there, back)| there.saturating_sub(back) / 2)
        })
        .collect()
}
