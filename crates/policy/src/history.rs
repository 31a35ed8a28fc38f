//! Sliding windows over what accounts and organisations do, in 32-byte slots of a contract's
//! storage, so that they are part of the replicated state.
//!
//! A window is a ring of buckets and their sum. Bucket `e` counts what happened in the `e`-th
//! bucket's time since 1970; it is in slot `1 + e mod n` and carries `e`, so that an old one is
//! known as such. The sum is in slot 0 with the bucket of the last change. A window covers the
//! current, incomplete bucket and the `n − 1` before it. A subject takes a bounded number of slots
//! per asset, whatever it does.

use std::collections::{BTreeMap, BTreeSet};

use hawser_crypto::Suite;
use hawser_primitives::{Address, B256, Domain, Time, U256};

use crate::facts::{Facts, SubjectFact, TrackFact, WindowFact};

/// Storage of 32-byte slots, all zero at first.
pub trait Slots {
    /// Why a slot cannot be read or written.
    type Error;

    /// A slot.
    fn load(&mut self, slot: &B256) -> Result<B256, Self::Error>;

    /// Changes a slot.
    fn store(&mut self, slot: &B256, value: B256) -> Result<(), Self::Error>;
}

/// Whose doings are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An account.
    Account(Address),
    /// All accounts of an organisation.
    Organisation(String),
}

impl Subject {
    fn hash(&self, suite: Suite, what: &[&[u8]]) -> B256 {
        let (tag, name): (&[u8], &[u8]) = match self {
            Self::Account(address) => (b"a", address.as_slice()),
            Self::Organisation(name) => (b"o", name.as_bytes()),
        };
        let mut parts: Vec<&[u8]> = what.to_vec();
        // Last, as only this part has no fixed length.
        parts.extend([tag, name]);
        suite.hash_domain(Domain::Policy, &parts)
    }
}

/// A ring of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ring {
    tag: u8,
    buckets: u32,
    bucket_ms: u64,
}

const MINUTE_MS: u64 = 60_000;
const HOUR: Ring = Ring {
    tag: 1,
    buckets: 12,
    bucket_ms: 5 * MINUTE_MS,
};
const DAY: Ring = Ring {
    tag: 2,
    buckets: 24,
    bucket_ms: 60 * MINUTE_MS,
};
const MONTH: Ring = Ring {
    tag: 3,
    buckets: 30,
    bucket_ms: 24 * 60 * MINUTE_MS,
};

/// One slot: bucket (4 bytes), count (4), amount (24), big endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    epoch: u32,
    count: u32,
    amount: U256,
}

/// Most that a bucket counts; 30 of them fit into a sum.
const BUCKET_COUNT_MAX: u32 = u32::MAX / 32;

/// Most that a bucket adds up: 2^184 − 1; 30 of them fit into a sum of 192 bits.
fn bucket_amount_max() -> U256 {
    (U256::from(1) << 184) - U256::from(1)
}

impl Cell {
    fn decode(slot: &B256) -> Self {
        let (epoch, rest) = slot.split_at(4);
        let (count, amount) = rest.split_at(4);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0u32, |sum, byte| sum << 8 | u32::from(*byte))
        };
        Self {
            epoch: number(epoch),
            count: number(count),
            amount: U256::from_be_slice(amount),
        }
    }

    fn encode(&self) -> B256 {
        let high = U256::from(self.epoch) << 224 | U256::from(self.count) << 192;
        B256::from(high | self.amount)
    }

    fn add(&mut self, count: u32, amount: U256) {
        self.count = self.count.saturating_add(count);
        self.amount = self.amount.saturating_add(amount);
    }

    fn remove(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.amount = self.amount.saturating_sub(other.amount);
    }

    fn fact(&self) -> WindowFact {
        WindowFact {
            count: u64::from(self.count),
            amount: self.amount,
        }
    }
}

/// A window in storage.
struct Window {
    base: U256,
    ring: Ring,
}

impl Window {
    fn new(suite: Suite, subject: &Subject, asset: Option<Address>, ring: Ring) -> Self {
        let asset = asset.unwrap_or_default();
        let base = subject.hash(suite, &[b"w", asset.as_slice(), &[ring.tag]]);
        Self {
            base: U256::from_be_bytes(base.0),
            ring,
        }
    }

    fn slot(&self, index: u32) -> B256 {
        B256::from(self.base.wrapping_add(U256::from(index)))
    }

    fn bucket_slot(&self, epoch: u32) -> B256 {
        let index = epoch.checked_rem(self.ring.buckets).unwrap_or_default();
        self.slot(index.saturating_add(1))
    }

    fn epoch(&self, now: Time) -> u32 {
        let epoch = now.0.checked_div(self.ring.bucket_ms).unwrap_or_default();
        u32::try_from(epoch).unwrap_or(u32::MAX)
    }

    /// The sum at an instant: what was there at the last change less the buckets that have left.
    fn sum<S: Slots>(&self, slots: &mut S, now: Time) -> Result<Cell, S::Error> {
        let mut sum = Cell::decode(&slots.load(&self.slot(0))?);
        let epoch = self.epoch(now).max(sum.epoch);
        let passed = epoch.saturating_sub(sum.epoch);
        if passed >= self.ring.buckets {
            return Ok(Cell {
                epoch,
                ..Cell::default()
            });
        }
        // The oldest bucket that the sum counts, and how many have left since.
        let oldest = sum
            .epoch
            .saturating_sub(self.ring.buckets.saturating_sub(1));
        for left in oldest..oldest.saturating_add(passed) {
            let bucket = Cell::decode(&slots.load(&self.bucket_slot(left))?);
            if bucket.epoch == left {
                sum.remove(&bucket);
            }
        }
        sum.epoch = epoch;
        Ok(sum)
    }

    fn add<S: Slots>(&self, slots: &mut S, now: Time, amount: U256) -> Result<(), S::Error> {
        let mut sum = self.sum(slots, now)?;
        let slot = self.bucket_slot(sum.epoch);
        let mut bucket = Cell::decode(&slots.load(&slot)?);
        if bucket.epoch != sum.epoch {
            bucket = Cell {
                epoch: sum.epoch,
                ..Cell::default()
            };
        }
        // What does not fit into the bucket is not in the sum either, so that they agree.
        let count = u32::from(bucket.count < BUCKET_COUNT_MAX);
        let amount = amount.min(bucket_amount_max().saturating_sub(bucket.amount));
        bucket.add(count, amount);
        sum.add(count, amount);
        slots.store(&slot, bucket.encode())?;
        slots.store(&self.slot(0), sum.encode())
    }
}

/// What is kept of a subject besides windows, in one slot: four numbers of 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Card {
    /// Plus one, as 0 says that it is not known.
    first_seen: u64,
    flags: u64,
    denials: u64,
    last_ms: u64,
}

impl Card {
    fn slot(suite: Suite, subject: &Subject) -> B256 {
        subject.hash(suite, &[b"s"])
    }

    fn load<S: Slots>(slots: &mut S, slot: &B256) -> Result<Self, S::Error> {
        let value = U256::from_be_bytes(slots.load(slot)?.0);
        let [last_ms, denials, flags, first_seen] = value.into_limbs();
        Ok(Self {
            first_seen,
            flags,
            denials,
            last_ms,
        })
    }

    fn store<S: Slots>(&self, slots: &mut S, slot: &B256) -> Result<(), S::Error> {
        let limbs = [self.last_ms, self.denials, self.flags, self.first_seen];
        slots.store(slot, B256::from(U256::from_limbs(limbs)))
    }
}

/// What the rules found, for the counters of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Flags raised.
    pub flags: u64,
    /// Whether the transaction was denied.
    pub denied: bool,
}

/// Windows and counters of a chain.
#[derive(Clone, Copy, Debug)]
pub struct History {
    suite: Suite,
}

impl History {
    /// Of a chain with this suite.
    #[must_use]
    pub const fn new(suite: Suite) -> Self {
        Self { suite }
    }

    /// What a subject did before an instant; tokens as asked for.
    pub fn subject<S: Slots>(
        &self,
        slots: &mut S,
        subject: &Subject,
        tokens: &BTreeSet<Address>,
        now: Time,
    ) -> Result<SubjectFact, S::Error> {
        let card = Card::load(slots, &Card::slot(self.suite, subject))?;
        let own = self.track(slots, subject, None, now)?;
        let mut by_token = BTreeMap::new();
        for token in tokens {
            by_token.insert(*token, self.track(slots, subject, Some(*token), now)?);
        }
        Ok(SubjectFact {
            first_seen_ms: card.first_seen.checked_sub(1),
            hour: own.hour,
            day: own.day,
            month: own.month,
            tokens: by_token,
            flags: card.flags,
            denials: card.denials,
        })
    }

    /// When an account first sent a transaction.
    pub fn first_seen<S: Slots>(
        &self,
        slots: &mut S,
        account: Address,
    ) -> Result<Option<u64>, S::Error> {
        let slot = Card::slot(self.suite, &Subject::Account(account));
        Ok(Card::load(slots, &slot)?.first_seen.checked_sub(1))
    }

    fn track<S: Slots>(
        &self,
        slots: &mut S,
        subject: &Subject,
        asset: Option<Address>,
        now: Time,
    ) -> Result<TrackFact, S::Error> {
        let mut sum = |ring| {
            let window = Window::new(self.suite, subject, asset, ring);
            window.sum(slots, now).map(|cell| cell.fact())
        };
        Ok(TrackFact {
            hour: sum(HOUR)?,
            day: sum(DAY)?,
            month: sum(MONTH)?,
        })
    }

    /// Counts a transaction that took effect: one, with the own coin and the tokens that its
    /// sender gave away, for the sender and its organisation.
    pub fn record<S: Slots>(
        &self,
        slots: &mut S,
        organisation: Option<&str>,
        facts: &Facts,
    ) -> Result<(), S::Error> {
        let now = Time(facts.time_ms);
        let sent = sent(facts);
        for subject in subjects(facts.sender, organisation) {
            for (asset, amount) in &sent {
                for ring in [HOUR, DAY, MONTH] {
                    Window::new(self.suite, &subject, *asset, ring).add(slots, now, *amount)?;
                }
            }
        }
        Ok(())
    }

    /// Counts what the rules found, and notes when a subject was first seen. For every transaction
    /// that rules looked at, also one that they denied.
    pub fn note<S: Slots>(
        &self,
        slots: &mut S,
        sender: Address,
        organisation: Option<&str>,
        now: Time,
        found: Found,
    ) -> Result<(), S::Error> {
        for subject in subjects(sender, organisation) {
            let slot = Card::slot(self.suite, &subject);
            let before = Card::load(slots, &slot)?;
            let mut card = before;
            if card.first_seen == 0 {
                card.first_seen = now.0.saturating_add(1);
            }
            card.flags = card.flags.saturating_add(found.flags);
            card.denials = card.denials.saturating_add(u64::from(found.denied));
            if found.flags > 0 || found.denied {
                card.last_ms = now.0;
            }
            if card != before {
                card.store(slots, &slot)?;
            }
        }
        Ok(())
    }
}

fn subjects(sender: Address, organisation: Option<&str>) -> Vec<Subject> {
    let mut subjects = vec![Subject::Account(sender)];
    subjects.extend(organisation.map(|name| Subject::Organisation(name.to_owned())));
    subjects
}

/// What the sender gave away, by asset. The own coin is always there, with the transaction itself
/// as its count.
fn sent(facts: &Facts) -> BTreeMap<Option<Address>, U256> {
    let mut sent = BTreeMap::from([(None, U256::ZERO)]);
    for transfer in &facts.transfers {
        if transfer.source == facts.sender && transfer.target != facts.sender {
            let amount = sent.entry(transfer.asset).or_insert(U256::ZERO);
            *amount = amount.saturating_add(transfer.amount);
        }
    }
    sent
}

/// Tokens that a transaction moves.
#[must_use]
pub fn tokens(facts: &Facts) -> BTreeSet<Address> {
    let assets = facts.transfers.iter().take(crate::limits::FACTS_MAX);
    assets.filter_map(|transfer| transfer.asset).collect()
}
