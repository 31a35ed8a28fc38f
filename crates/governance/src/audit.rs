//! The audit trail: a chain of entries, each naming the hash of the one before.
//!
//! Entry *n* (from 1) is a blob under `Domain::Audit`, its hash is in [`audit_slot`]`(n)`, the newest
//! hash in [`AUDIT_HEAD_SLOT`]. Entries begin with the hash of the entry before (zero for the
//! first), so the head alone vouches for all of them, and a state proof of the head for the trail.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_execution::cut;
use hawser_primitives::{Address, B256, Domain, Height, Time, U256, decode_exact, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    access::{AccessError, Store, damaged, named},
    action::NameError,
    slots::{AUDIT_COUNT_SLOT, AUDIT_HEAD_SLOT, audit_slot},
};

/// Longest texts of an entry, in bytes each.
pub const AUDIT_TEXT_MAX: usize = 512;
/// Longest encoded entry, in bytes.
pub const AUDIT_ENTRY_MAX: usize = 4_096;

/// What happened.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum EntryKind {
    /// Governance began.
    Founded = 0,
    /// A transaction was refused before it ran.
    Refused = 1,
    /// A call or creation within a transaction was refused.
    FrameRefused = 2,
    /// A transaction was stopped for its effects.
    Intercepted = 3,
    /// A transaction went through, marked.
    Flagged = 4,
    /// A domain was inspected.
    Inspected = 5,
    /// Something was frozen.
    Frozen = 6,
    /// A freeze was lifted.
    Unfrozen = 7,
    /// A proposal was submitted.
    Proposed = 8,
    /// A vote was cast.
    Voted = 9,
    /// A proposal was withdrawn.
    Cancelled = 10,
    /// A proposal took effect.
    Executed = 11,
    /// A proposal passed, failed or expired.
    Closed = 12,
    /// A recovery was submitted, approved or took effect.
    Recovered = 13,
    /// An operation was co-signed.
    Cosigned = 14,
    /// An administrative command was given.
    Command = 15,
}

impl EntryKind {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Founded,
        Self::Refused,
        Self::FrameRefused,
        Self::Intercepted,
        Self::Flagged,
        Self::Inspected,
        Self::Frozen,
        Self::Unfrozen,
        Self::Proposed,
        Self::Voted,
        Self::Cancelled,
        Self::Executed,
        Self::Closed,
        Self::Recovered,
        Self::Cosigned,
        Self::Command,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Founded => "founded",
            Self::Refused => "refused",
            Self::FrameRefused => "frame-refused",
            Self::Intercepted => "intercepted",
            Self::Flagged => "flagged",
            Self::Inspected => "inspected",
            Self::Frozen => "frozen",
            Self::Unfrozen => "unfrozen",
            Self::Proposed => "proposed",
            Self::Voted => "voted",
            Self::Cancelled => "cancelled",
            Self::Executed => "executed",
            Self::Closed => "closed",
            Self::Recovered => "recovered",
            Self::Cosigned => "cosigned",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EntryKind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| NameError {
            found: text.to_owned(),
            what: "kind of audit entry",
            expected: "one of founded, refused, frame-refused, intercepted, flagged, inspected, \
                       frozen, unfrozen, proposed, voted, cancelled, executed, closed, recovered, \
                       cosigned, command",
        })
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Hash of the entry before; zero for the first.
    pub previous: B256,
    /// Counts from 1.
    pub number: u64,
    /// Block.
    pub height: Height,
    /// Its time.
    pub time: Time,
    /// Transaction; zero at genesis.
    pub transaction: B256,
    /// What happened.
    pub kind: EntryKind,
    /// Who did it, or tried to.
    pub actor: Address,
    /// To what: a resource, an account or a proposal, in its written form.
    pub target: String,
    /// Which rule decided, where one did.
    pub rule: String,
    /// In words.
    pub detail: String,
}

impl Entry {
    /// Its hash.
    #[must_use]
    pub fn hash(&self, suite: Suite) -> B256 {
        suite.hash_domain(Domain::Audit, &[&encode(self)])
    }
}

/// When and where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Block.
    pub height: Height,
    /// Its time.
    pub time: Time,
    /// Transaction.
    pub transaction: B256,
}

/// What to write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What happened.
    pub kind: EntryKind,
    /// Who.
    pub actor: Address,
    /// To what.
    pub target: String,
    /// By which rule.
    pub rule: String,
    /// In words.
    pub detail: String,
}

impl Remark {
    /// A remark without a rule.
    #[must_use]
    pub fn new(
        kind: EntryKind,
        actor: Address,
        target: impl fmt::Display,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            actor,
            target: target.to_string(),
            rule: String::new(),
            detail: detail.into(),
        }
    }
}

fn count(word: B256) -> u64 {
    u64::try_from(U256::from_be_bytes(word.0)).unwrap_or(u64::MAX)
}

/// Number and hash of the newest entry.
pub fn head(store: &mut dyn Store) -> Result<(u64, B256), AccessError> {
    let number = count(store.load(&AUDIT_COUNT_SLOT)?);
    Ok((number, store.load(&AUDIT_HEAD_SLOT)?))
}

/// Appends an entry; gives it with its hash. Texts over [`AUDIT_TEXT_MAX`] bytes are cut.
pub(crate) fn append(
    store: &mut dyn Store,
    moment: &Moment,
    remark: Remark,
) -> Result<(Entry, B256), AccessError> {
    let (number, previous) = head(store)?;
    let entry = Entry {
        previous,
        number: number.saturating_add(1),
        height: moment.height,
        time: moment.time,
        transaction: moment.transaction,
        kind: remark.kind,
        actor: remark.actor,
        target: cut(remark.target, AUDIT_TEXT_MAX),
        rule: cut(remark.rule, AUDIT_TEXT_MAX),
        detail: cut(remark.detail, AUDIT_TEXT_MAX),
    };
    let hash = store.put(Domain::Audit, encode(&entry).into())?;
    store.store(&audit_slot(entry.number), hash)?;
    store.store(&AUDIT_HEAD_SLOT, hash)?;
    store.store(&AUDIT_COUNT_SLOT, B256::from(U256::from(entry.number)))?;
    Ok((entry, hash))
}

/// An entry by number; `None` where there is none.
pub fn entry(store: &mut dyn Store, number: u64) -> Result<Option<Entry>, AccessError> {
    let hash = store.load(&audit_slot(number))?;
    if hash.is_zero() {
        return Ok(None);
    }
    let bytes = named(store, &hash)?;
    let entry = decode_exact(&bytes, AUDIT_ENTRY_MAX);
    entry
        .map(Some)
        .map_err(|error| damaged(format!("audit entry {number}: {error}")))
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Filter {
    /// Of these kinds; of all where there are none.
    pub kinds: Vec<EntryKind>,
    /// By this account.
    pub actor: Option<Address>,
    /// Whose target contains this.
    pub target: Option<String>,
    /// From this time on, in milliseconds.
    pub since: Option<u64>,
    /// Before this time, in milliseconds.
    pub until: Option<u64>,
}

impl Filter {
    /// Whether an entry is wanted.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && self.actor.is_none_or(|actor| actor == entry.actor)
            && self
                .target
                .as_ref()
                .is_none_or(|target| entry.target.contains(target.as_str()))
            && self.since.is_none_or(|since| entry.time.0 >= since)
            && self.until.is_none_or(|until| entry.time.0 < until)
    }
}

/// Entries from number `from` on, ascending: at most `max`, after looking at no more than `scan`
/// of them. Gives the number to go on from, or `None` at the end.
pub fn entries(
    store: &mut dyn Store,
    filter: &Filter,
    from: u64,
    max: usize,
    scan: u64,
) -> Result<(Vec<Entry>, Option<u64>), AccessError> {
    let (last, _) = head(store)?;
    let (mut found, mut number) = (Vec::new(), from.max(1));
    let end = number.saturating_add(scan);
    while number <= last {
        if number >= end || found.len() >= max {
            return Ok((found, Some(number)));
        }
        let entry = entry(store, number)?;
        let entry = entry.ok_or_else(|| damaged(format!("audit entry {number} is missing")))?;
        if filter.matches(&entry) {
            found.push(entry);
        }
        number = number.saturating_add(1);
    }
    Ok((found, None))
}

/// Entries below number `below`, descending: the newest first where it is above the last one. At
/// most `max`, after looking at no more than `scan` of them. Gives the number below which to go on,
/// or `None` at the beginning.
pub fn entries_below(
    store: &mut dyn Store,
    filter: &Filter,
    below: u64,
    max: usize,
    scan: u64,
) -> Result<(Vec<Entry>, Option<u64>), AccessError> {
    let (last, _) = head(store)?;
    let mut number = below.min(last.saturating_add(1));
    let (mut found, mut left) = (Vec::new(), scan);
    while number > 1 {
        if left == 0 || found.len() >= max {
            return Ok((found, Some(number)));
        }
        (number, left) = (number.saturating_sub(1), left.saturating_sub(1));
        let entry = entry(store, number)?;
        let entry = entry.ok_or_else(|| damaged(format!("audit entry {number} is missing")))?;
        if filter.matches(&entry) {
            found.push(entry);
        }
    }
    Ok((found, None))
}

/// Why a list of entries is no part of a trail.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrailError {
    /// An entry does not name the hash of the one before it.
    #[error(
        "entry {0} does not follow from the one before: something was changed, added or removed"
    )]
    Broken(u64),
    /// Numbers are not consecutive.
    #[error("entry {found} follows entry {before}; entries between them are missing")]
    Gap {
        /// The entry before.
        before: u64,
        /// The one found.
        found: u64,
    },
    /// The last entry is not the head.
    #[error("the last entry hashes to {found}, the chain says {expected}")]
    Head {
        /// What the entries give.
        found: B256,
        /// What the chain says.
        expected: B256,
    },
    /// There is nothing to check.
    #[error("there are no entries; export at least one")]
    Empty,
}

/// Checks that entries are a gapless part of a trail; with `head` also that the last one is the one
/// with this hash. Gives the hash of the last entry.
pub fn verify(suite: Suite, entries: &[Entry], expected: Option<B256>) -> Result<B256, TrailError> {
    let mut last: Option<(u64, B256)> = None;
    for entry in entries {
        match last {
            Some((before, _)) if before.checked_add(1) != Some(entry.number) => {
                let found = entry.number;
                return Err(TrailError::Gap { before, found });
            }
            Some((_, hash)) if entry.previous != hash => {
                return Err(TrailError::Broken(entry.number));
            }
            None if entry.number == 1 && !entry.previous.is_zero() => {
                return Err(TrailError::Broken(1));
            }
            _ => {}
        }
        last = Some((entry.number, entry.hash(suite)));
    }
    let (_, found) = last.ok_or(TrailError::Empty)?;
    match expected {
        Some(expected) if expected != found => Err(TrailError::Head { found, expected }),
        _ => Ok(found),
    }
}

/// The entries as comma-separated values (RFC 4180), with a head line and the hash of each.
#[must_use]
pub fn to_csv(suite: Suite, entries: &[Entry]) -> String {
    let mut out = String::from(
        "number,time_ms,height,transaction,kind,actor,target,rule,detail,previous,hash\r\n",
    );
    for entry in entries {
        let fields = [
            entry.number.to_string(),
            entry.time.0.to_string(),
            entry.height.0.to_string(),
            entry.transaction.to_string(),
            entry.kind.to_string(),
            entry.actor.to_string(),
            field(&entry.target),
            field(&entry.rule),
            field(&entry.detail),
            entry.previous.to_string(),
            entry.hash(suite).to_string(),
        ];
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    }
    out
}

/// A field in quotes. A text that a spreadsheet would take for a formula is preceded by an
/// apostrophe.
fn field(text: &str) -> String {
    let risky = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if risky { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
