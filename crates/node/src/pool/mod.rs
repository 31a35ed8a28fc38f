//! Transactions that wait for a block.
//!
//! A pure data structure: what it holds and in which order it offers it depends on its inputs
//! alone. Everything is bounded; what does not fit is refused with a reason, nothing is dropped
//! silently except what a block made pointless.

mod error;

pub use error::PoolError;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use hawser_ledger::{ChainParameters, VerifiedTransaction};
use hawser_primitives::{Address, B256, Height, Time, U256, limits::UNORDERED_LIFETIME_MS_MAX};

/// How long a transaction behind a gap of nonces is kept, in milliseconds.
const GAPPED_LIFETIME_MS: u64 = 180_000;
/// Transactions looked at in one sweep for such.
const SWEEP: usize = 4_096;

/// Bounds of the pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Most transactions.
    pub transactions_max: usize,
    /// Most bytes of raw transactions.
    pub bytes_max: usize,
    /// Most transactions of one account.
    pub per_account_max: usize,
    /// Furthest nonce ahead of the account's that is kept.
    pub nonce_gap_max: u64,
    /// Of a thousand transactions that other validators vouch for, how many this node verifies all
    /// the same; 0 to 1,000.
    pub audit_per_mille: u16,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            transactions_max: 100_000,
            bytes_max: 128 * 1024 * 1024,
            per_account_max: 20_000,
            nonce_gap_max: 20_000,
            audit_per_mille: 10,
        }
    }
}

/// Executed blocks whose transactions the pool remembers. A transaction that was looked up in the
/// state before such a block and arrives after it must still meet what the block did.
const REMEMBERED_BLOCKS: u64 = 64;

/// A verified transaction with what the state says of its sender.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<VerifiedTransaction>,
    /// Nonce of the sender in the state that was looked at.
    pub nonce: u64,
    /// Balance of the sender in that state, in wei.
    pub balance: U256,
}

#[derive(Debug, Default)]
struct Account {
    /// Nonce that the next block's first transaction of this account must have.
    next: u64,
    /// Waiting transactions by nonce, with their arrival numbers.
    queue: BTreeMap<u64, (u64, Arc<VerifiedTransaction>)>,
    /// All nonces of this range wait: kept, because a full pool asks with each transaction.
    run: Range<u64>,
}

impl Account {
    /// First nonce after the run of waiting transactions that starts at `next`.
    fn contiguous(&self) -> u64 {
        let known = self.run.contains(&self.next);
        let mut nonce = if known { self.run.end } else { self.next };
        while self.queue.contains_key(&nonce) {
            nonce = nonce.saturating_add(1);
        }
        nonce
    }

    /// Notes how far the run goes.
    fn run_on(&mut self) {
        self.run = self.next..self.contiguous();
    }

    /// Takes one out of the queue that is not the first of the run.
    fn take(&mut self, nonce: u64) {
        self.queue.remove(&nonce);
        if self.run.contains(&nonce) {
            self.run.end = nonce;
        }
    }
}

/// What decided blocks contain, from their decision until some time after their execution.
#[derive(Debug, Default)]
struct Recent {
    hashes: BTreeSet<B256>,
    blocks: BTreeMap<Height, Vec<(B256, Address)>>,
    /// Nonce after the sender's last decided transaction, with the block that says so.
    next: BTreeMap<Address, (u64, Height)>,
}

impl Recent {
    fn decided(&mut self, height: Height, transactions: &[Arc<VerifiedTransaction>]) {
        let mut list = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let (hash, sender) = (transaction.hash(), transaction.sender());
            if let Some(nonce) = transaction.transaction().nonce() {
                let entry = self.next.entry(sender).or_insert((0, height));
                *entry = (entry.0.max(nonce.saturating_add(1)), height);
            }
            self.hashes.insert(hash);
            list.push((hash, sender));
        }
        self.blocks.insert(height, list);
    }

    /// Execution has the last word on a sender's nonce, unless a later block is decided already.
    fn executed(&mut self, height: Height, sender: Address, nonce: u64) -> u64 {
        match self.next.get_mut(&sender) {
            Some((next, at)) if *at > height => (*next).max(nonce),
            Some(entry) => {
                *entry = (nonce, height);
                nonce
            }
            None => nonce,
        }
    }

    fn forget_before(&mut self, height: Height) {
        let kept = self.blocks.split_off(&height);
        for (hash, sender) in std::mem::replace(&mut self.blocks, kept)
            .into_values()
            .flatten()
        {
            self.hashes.remove(&hash);
            if self.next.get(&sender).is_some_and(|(_, at)| *at < height) {
                self.next.remove(&sender);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Sequential(Address, u64),
    Unordered(u64),
}

/// Number of transactions that can go into a block, and of those that wait for an earlier nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Executable now.
    pub pending: usize,
    /// Behind a gap of nonces.
    pub queued: usize,
}

/// What one account waits for.
#[derive(Clone, Debug, Default)]
pub struct AccountContent {
    /// Executable in this order.
    pub pending: Vec<Arc<VerifiedTransaction>>,
    /// Behind a gap of nonces.
    pub queued: Vec<Arc<VerifiedTransaction>>,
}

/// The pool of one chain.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    parameters: ChainParameters,
    accounts: BTreeMap<Address, Account>,
    /// Accounts whose next transaction waits here.
    ready: BTreeSet<Address>,
    /// All transactions in order of arrival.
    arrivals: BTreeMap<u64, Arc<VerifiedTransaction>>,
    /// When they arrived.
    times: BTreeMap<u64, Time>,
    /// Unordered ones by expiry, so that passing time finds them.
    expiries: BTreeSet<(Time, u64)>,
    places: BTreeMap<B256, Place>,
    /// Number of unordered transactions by account.
    unordered: BTreeMap<Address, usize>,
    /// What recent blocks contain.
    recent: Recent,
    next_arrival: u64,
    bytes: usize,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: PoolLimits, parameters: ChainParameters) -> Self {
        Self {
            limits,
            parameters,
            accounts: BTreeMap::new(),
            ready: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            times: BTreeMap::new(),
            expiries: BTreeSet::new(),
            places: BTreeMap::new(),
            unordered: BTreeMap::new(),
            recent: Recent::default(),
            next_arrival: 0,
            bytes: 0,
        }
    }

    /// Goes on under other parameters. What asks for more gas than a transaction may have now can
    /// never run, so it goes.
    pub fn set_parameters(&mut self, parameters: ChainParameters) {
        let max = parameters.transaction_gas_max;
        self.parameters = parameters;
        let over: Vec<_> = self
            .arrivals
            .iter()
            .filter(|(_, transaction)| transaction.transaction().gas_limit() > max)
            .map(|(arrival, transaction)| (*arrival, Arc::clone(transaction)))
            .collect();
        for (arrival, transaction) in over {
            if transaction.transaction().nonce().is_some() {
                self.drop_gapped(arrival, &transaction);
            } else {
                self.drop_unordered(arrival);
            }
        }
    }

    /// Number of transactions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of raw transactions held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A transaction that waits here.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<&Arc<VerifiedTransaction>> {
        match self.places.get(hash)? {
            Place::Sequential(sender, nonce) => self
                .accounts
                .get(sender)?
                .queue
                .get(nonce)
                .map(|(_, transaction)| transaction),
            Place::Unordered(arrival) => self.arrivals.get(arrival),
        }
    }

    /// Takes out what others vouched for and this node has not verified.
    pub fn take_attested(&mut self) -> Vec<Arc<VerifiedTransaction>> {
        let attested = |(arrival, one): (&u64, &Arc<VerifiedTransaction>)| {
            one.is_attested().then(|| (*arrival, Arc::clone(one)))
        };
        let taken: Vec<_> = self.arrivals.iter().filter_map(attested).collect();
        for (arrival, transaction) in &taken {
            if transaction.transaction().nonce().is_some() {
                self.drop_gapped(*arrival, transaction);
            } else {
                self.drop_unordered(*arrival);
            }
        }
        taken.into_iter().map(|(_, one)| one).collect()
    }

    /// All that waits, oldest first.
    pub fn by_arrival(&self) -> impl Iterator<Item = &Arc<VerifiedTransaction>> {
        self.arrivals.values()
    }

    /// Whether a block could be made of what waits.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.expiries.is_empty() || !self.ready.is_empty()
    }

    /// The nonce that the account's next transaction should have, counting those that wait;
    /// `None` when nothing of it waits, so that the state's nonce holds.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        let account = self.accounts.get(sender)?;
        Some(account.contiguous())
    }

    /// Takes in a transaction, or says why not.
    pub fn insert(&mut self, candidate: Candidate, now: Time) -> Result<B256, PoolError> {
        let Candidate {
            transaction,
            nonce,
            balance,
        } = candidate;
        let (hash, sender) = (transaction.hash(), transaction.sender());
        if self.places.contains_key(&hash) || self.recent.hashes.contains(&hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let inner = transaction.transaction();
        let gas_max = self.parameters.transaction_gas_max;
        if inner.gas_limit() > gas_max {
            return Err(PoolError::GasLimit {
                found: inner.gas_limit(),
                max: gas_max,
            });
        }
        if inner.value() > balance {
            return Err(PoolError::InsufficientFunds {
                balance,
                value: inner.value(),
            });
        }
        if let Some(expires) = inner.expires() {
            return self.insert_unordered(transaction, expires, now);
        }
        let tx_nonce = inner.nonce().unwrap_or_default();
        let is_half_full = self.is_half_full();
        let account = self.accounts.entry(sender).or_default();
        // Blocks decided since the state was looked at may have moved the nonce on.
        let decided = self.recent.next.get(&sender).map_or(0, |(next, _)| *next);
        account.next = account.next.max(nonce).max(decided);
        if tx_nonce < account.next {
            let next = account.next;
            self.refresh(sender);
            return Err(PoolError::NonceTooLow {
                found: tx_nonce,
                next,
            });
        }
        if tx_nonce - account.next > self.limits.nonce_gap_max {
            let next = account.next;
            self.refresh(sender);
            return Err(PoolError::NonceTooHigh {
                found: tx_nonce,
                next,
            });
        }
        let replaced = account
            .queue
            .get(&tx_nonce)
            .map(|(arrival, old)| (*arrival, Arc::clone(old)));
        match &replaced {
            Some((_, old)) => {
                let offered = inner.max_fee_per_gas();
                let floor = old.transaction().max_fee_per_gas();
                // A tenth more, as geth asks for; on equal terms the first one stays.
                if offered <= floor.saturating_add(floor / 10) {
                    return Err(PoolError::ReplacementUnderpriced);
                }
                let freed = old.transaction().raw().len();
                let bytes = self
                    .bytes
                    .saturating_sub(freed)
                    .saturating_add(inner.raw().len());
                if bytes > self.limits.bytes_max {
                    return Err(PoolError::Full {
                        waiting: self.places.len(),
                    });
                }
            }
            None if account.queue.len() >= self.limits.per_account_max => {
                self.refresh(sender);
                return Err(PoolError::AccountFull {
                    max: self.limits.per_account_max,
                });
            }
            // Half of the pool is for what the next blocks can execute.
            None if is_half_full && tx_nonce > account.contiguous() => {
                self.refresh(sender);
                return Err(PoolError::Full {
                    waiting: self.places.len(),
                });
            }
            None => {
                if let Err(error) = self.check_room(inner.raw().len()) {
                    self.refresh(sender);
                    return Err(error);
                }
            }
        }
        if let Some((arrival, old)) = replaced {
            self.unlink(arrival, &old);
        }
        let arrival = self.link(&transaction, Place::Sequential(sender, tx_nonce), now);
        let account = self.accounts.entry(sender).or_default();
        account.queue.insert(tx_nonce, (arrival, transaction));
        self.refresh(sender);
        Ok(hash)
    }

    fn insert_unordered(
        &mut self,
        transaction: Arc<VerifiedTransaction>,
        expires: Time,
        now: Time,
    ) -> Result<B256, PoolError> {
        if expires <= now {
            return Err(PoolError::Expired {
                late_ms: now.since_ms(expires),
            });
        }
        if expires.since_ms(now) > UNORDERED_LIFETIME_MS_MAX {
            return Err(PoolError::LifetimeTooLong {
                found_ms: expires.since_ms(now),
            });
        }
        let sender = transaction.sender();
        let max = self.limits.per_account_max;
        if self
            .unordered
            .get(&sender)
            .is_some_and(|count| *count >= max)
        {
            return Err(PoolError::AccountFull { max });
        }
        self.check_room(transaction.transaction().raw().len())?;
        let hash = transaction.hash();
        let arrival = self.next_arrival;
        self.link(&transaction, Place::Unordered(arrival), now);
        self.expiries.insert((expires, arrival));
        let count = self.unordered.entry(sender).or_default();
        *count = count.saturating_add(1);
        Ok(hash)
    }

    /// Whether clients may bring more. The last quarter is for what other nodes took in: else each would fill its pool
    /// with its own clients' and lack what is proposed.
    #[must_use]
    pub fn has_room_for_clients(&self) -> bool {
        let part = |max: usize| max.saturating_sub(max / 4);
        self.places.len() < part(self.limits.transactions_max)
            && self.bytes < part(self.limits.bytes_max)
    }

    fn is_half_full(&self) -> bool {
        self.places.len() >= self.limits.transactions_max / 2
            || self.bytes >= self.limits.bytes_max / 2
    }

    fn check_room(&self, bytes: usize) -> Result<(), PoolError> {
        let full = self.places.len() >= self.limits.transactions_max
            || self.bytes.saturating_add(bytes) > self.limits.bytes_max;
        if full {
            Err(PoolError::Full {
                waiting: self.places.len(),
            })
        } else {
            Ok(())
        }
    }

    fn link(&mut self, transaction: &Arc<VerifiedTransaction>, place: Place, now: Time) -> u64 {
        let arrival = self.next_arrival;
        self.next_arrival = arrival.saturating_add(1);
        self.bytes = self
            .bytes
            .saturating_add(transaction.transaction().raw().len());
        self.places.insert(transaction.hash(), place);
        self.arrivals.insert(arrival, Arc::clone(transaction));
        self.times.insert(arrival, now);
        arrival
    }

    fn unlink(&mut self, arrival: u64, transaction: &VerifiedTransaction) {
        self.times.remove(&arrival);
        if self.arrivals.remove(&arrival).is_some() {
            self.bytes = self
                .bytes
                .saturating_sub(transaction.transaction().raw().len());
        }
        self.places.remove(&transaction.hash());
    }

    /// Brings what is derived from an account up to date after any change of it.
    fn refresh(&mut self, sender: Address) {
        let account = self.accounts.get_mut(&sender).map(|account| {
            account.run_on();
            &*account
        });
        if account.is_some_and(|account| account.queue.contains_key(&account.next)) {
            self.ready.insert(sender);
        } else {
            self.ready.remove(&sender);
        }
        if account.is_some_and(|account| account.queue.is_empty()) {
            self.accounts.remove(&sender);
        }
    }

    /// Chooses transactions for a block, oldest first, each account's in order of nonce, within
    /// the chain's limits on gas, bytes and share of an account. They stay until
    /// [`Self::included`].
    #[must_use]
    pub fn select(&self, now: Time, count_max: usize) -> Vec<Arc<VerifiedTransaction>> {
        let mut chosen = Vec::new();
        let (mut gas, mut bytes) = (0u64, 0u64);
        let mut accounts: BTreeMap<Address, (u64, u64)> = BTreeMap::new();
        for (arrival, transaction) in &self.arrivals {
            if chosen.len() >= count_max || gas >= self.parameters.block_gas_max {
                break;
            }
            let sender = transaction.sender();
            if let Some(Place::Unordered(_)) = self.places.get(&transaction.hash()) {
                if self.is_expired(transaction, now) {
                    continue;
                }
                let (_, taken) = accounts.entry(sender).or_default();
                if self.fits(transaction, &mut gas, &mut bytes, taken) {
                    chosen.push(Arc::clone(transaction));
                }
                continue;
            }
            let Some(account) = self.accounts.get(&sender) else {
                continue;
            };
            let (offset, taken) = accounts.entry(sender).or_default();
            // Everything of this account that arrived until now and is next in line.
            while let Some((at, next)) = account.queue.get(&account.next.saturating_add(*offset)) {
                if at > arrival
                    || chosen.len() >= count_max
                    || !self.fits(next, &mut gas, &mut bytes, taken)
                {
                    break;
                }
                *offset = offset.saturating_add(1);
                chosen.push(Arc::clone(next));
            }
        }
        chosen
    }

    fn fits(
        &self,
        transaction: &VerifiedTransaction,
        gas: &mut u64,
        bytes: &mut u64,
        taken: &mut u64,
    ) -> bool {
        let inner = transaction.transaction();
        let new_gas = gas.saturating_add(inner.gas_limit());
        let new_bytes = bytes.saturating_add(inner.raw().len() as u64);
        let new_taken = taken.saturating_add(inner.gas_limit());
        let p = &self.parameters;
        if new_gas > p.block_gas_max
            || new_bytes > p.block_bytes_max
            || new_taken > p.account_block_gas_max
        {
            return false;
        }
        (*gas, *bytes, *taken) = (new_gas, new_bytes, new_taken);
        true
    }

    fn is_expired(&self, transaction: &VerifiedTransaction, now: Time) -> bool {
        let expires = transaction.transaction().expires();
        expires.is_some_and(|expires| expires <= now)
    }

    /// Removes what a decided block contains and moves the accounts' nonces on.
    pub fn included(&mut self, height: Height, transactions: &[Arc<VerifiedTransaction>]) {
        self.recent.decided(height, transactions);
        for transaction in transactions {
            let sender = transaction.sender();
            match transaction.transaction().nonce() {
                Some(nonce) => {
                    if let Some(account) = self.accounts.get_mut(&sender) {
                        account.next = account.next.max(nonce.saturating_add(1));
                        self.drop_stale(sender);
                    }
                }
                None => {
                    if let Some(Place::Unordered(arrival)) = self.places.get(&transaction.hash()) {
                        self.drop_unordered(*arrival);
                    }
                }
            }
        }
    }

    /// Takes over the nonces that the execution of a block left behind, and lets those transactions
    /// in again that it skipped.
    pub fn executed(
        &mut self,
        height: Height,
        nonces: impl IntoIterator<Item = (Address, u64)>,
        skipped: &[B256],
    ) {
        for hash in skipped {
            self.recent.hashes.remove(hash);
        }
        for (sender, nonce) in nonces {
            let next = self.recent.executed(height, sender, nonce);
            if let Some(account) = self.accounts.get_mut(&sender) {
                account.next = next;
                self.drop_stale(sender);
            }
        }
        self.recent.forget_before(height.back(REMEMBERED_BLOCKS));
    }

    fn drop_stale(&mut self, sender: Address) {
        while let Some(account) = self.accounts.get_mut(&sender) {
            let Some(entry) = account.queue.first_entry() else {
                break;
            };
            if *entry.key() >= account.next {
                break;
            }
            let (arrival, transaction) = entry.remove();
            self.unlink(arrival, &transaction);
        }
        self.refresh(sender);
    }

    fn drop_unordered(&mut self, arrival: u64) {
        if let Some(transaction) = self.arrivals.get(&arrival).cloned() {
            if let Some(expires) = transaction.transaction().expires() {
                self.expiries.remove(&(expires, arrival));
            }
            if let Some(count) = self.unordered.get_mut(&transaction.sender()) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.unordered.remove(&transaction.sender());
                }
            }
            self.unlink(arrival, &transaction);
        }
    }

    /// Removes what time has made pointless: unordered transactions past their expiry, and ordered
    /// ones that have waited for an earlier nonce for minutes. Gives back their hashes.
    pub fn expire(&mut self, now: Time) -> Vec<B256> {
        let mut gone = Vec::new();
        while let Some((expires, arrival)) = self.expiries.first().copied() {
            if expires > now {
                break;
            }
            gone.extend(
                self.arrivals
                    .get(&arrival)
                    .map(|transaction| transaction.hash()),
            );
            self.drop_unordered(arrival);
            self.expiries.remove(&(expires, arrival));
        }
        let old: Vec<u64> = self
            .times
            .iter()
            .take(SWEEP)
            .take_while(|(_, at)| now.since_ms(**at) >= GAPPED_LIFETIME_MS)
            .map(|(arrival, _)| *arrival)
            .collect();
        for arrival in old {
            let Some(transaction) = self.arrivals.get(&arrival).cloned() else {
                continue;
            };
            if !self.is_ready(&transaction) {
                gone.push(transaction.hash());
                self.drop_gapped(arrival, &transaction);
            }
        }
        gone
    }

    fn is_ready(&self, transaction: &VerifiedTransaction) -> bool {
        let account = self.accounts.get(&transaction.sender());
        match (transaction.transaction().nonce(), account) {
            (Some(nonce), Some(account)) => nonce < account.contiguous(),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn drop_gapped(&mut self, arrival: u64, transaction: &VerifiedTransaction) {
        let sender = transaction.sender();
        if let (Some(nonce), Some(account)) = (
            transaction.transaction().nonce(),
            self.accounts.get_mut(&sender),
        ) {
            account.take(nonce);
        }
        self.unlink(arrival, transaction);
        self.refresh(sender);
    }

    /// The oldest transactions that a block could take, up to a number of bytes, for sending to
    /// peers again.
    #[must_use]
    pub fn oldest_ready(&self, bytes_max: usize) -> Vec<Arc<VerifiedTransaction>> {
        let (mut list, mut bytes) = (Vec::new(), 0usize);
        for transaction in self.arrivals.values().take(SWEEP) {
            bytes = bytes.saturating_add(transaction.transaction().raw().len());
            if bytes > bytes_max && !list.is_empty() {
                break;
            }
            if self.is_ready(transaction) {
                list.push(Arc::clone(transaction));
            }
        }
        list
    }

    /// How much waits.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        let mut counts = PoolCounts {
            pending: self.expiries.len(),
            queued: 0,
        };
        for account in self.accounts.values() {
            let ready = usize::try_from(account.contiguous() - account.next).unwrap_or(usize::MAX);
            counts.pending = counts.pending.saturating_add(ready);
            counts.queued = counts
                .queued
                .saturating_add(account.queue.len().saturating_sub(ready));
        }
        counts
    }

    /// Everything that waits, by account.
    #[must_use]
    pub fn content(&self) -> BTreeMap<Address, AccountContent> {
        let mut all: BTreeMap<Address, AccountContent> = BTreeMap::new();
        for (sender, account) in &self.accounts {
            let upto = account.contiguous();
            let content = all.entry(*sender).or_default();
            for (nonce, (_, transaction)) in &account.queue {
                let list = if *nonce < upto {
                    &mut content.pending
                } else {
                    &mut content.queued
                };
                list.push(Arc::clone(transaction));
            }
        }
        for (_, arrival) in &self.expiries {
            if let Some(transaction) = self.arrivals.get(arrival) {
                all.entry(transaction.sender())
                    .or_default()
                    .pending
                    .push(Arc::clone(transaction));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
