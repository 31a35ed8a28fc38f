//! Where things are in the contract's storage, and how they are read and written.
//!
//! A slot of an address or number is a tag of 12 bytes and 20 bytes of body: no hashing, no
//! collisions. Slots of 32-byte values are Keccak-256 of tag and value.

use alloy_primitives::keccak256;
use hawser_crypto::Suite;
use hawser_ledger::{SETTINGS_SLOT, SettingsSchedule};
use hawser_primitives::{Address, B256, Bytes, Domain, decode_exact, encode};

use crate::{
    access::{AccessError, Store, damaged, named},
    model::{AccountWord, CHARTER_BYTES_MAX, Charter, FreezeRecord, MemberDetails},
};

/// Hash of the charter.
pub const CHARTER_SLOT: B256 = B256::new(*b"hawser/governance/charter/slot/1");
/// [`Counts`].
pub const COUNTS_SLOT: B256 = B256::new(*b"hawser/governance/counts//slot/1");
/// Hash of the newest entry of the audit trail.
pub const AUDIT_HEAD_SLOT: B256 = B256::new(*b"hawser/governance/audit/head/s/1");
/// Number of entries of the audit trail.
pub const AUDIT_COUNT_SLOT: B256 = B256::new(*b"hawser/governance/audit/count/01");

/// Longest details or freeze record, in bytes.
const SMALL_BYTES_MAX: usize = 4_096;

fn tagged(tag: &[u8; 12], body: &[u8; 20]) -> B256 {
    let mut out = [0u8; 32];
    let (head, tail) = out.split_at_mut(12);
    head.copy_from_slice(tag);
    tail.copy_from_slice(body);
    out.into()
}

fn numbered(tag: &[u8; 12], number: u64) -> B256 {
    let mut body = [0u8; 20];
    let (_, tail) = body.split_at_mut(12);
    tail.copy_from_slice(&number.to_be_bytes());
    tagged(tag, &body)
}

/// The slot with an account's [`AccountWord`].
#[must_use]
pub fn account_slot(account: &Address) -> B256 {
    tagged(b"gov/account/", &account.0)
}

/// The slot with the hash of a member's details.
#[must_use]
pub fn details_slot(account: &Address) -> B256 {
    tagged(b"gov/details/", &account.0)
}

/// The slot with the hash of an account's or contract's freeze record.
#[must_use]
pub fn freeze_slot(account: &Address) -> B256 {
    tagged(b"gov/freeze//", &account.0)
}

/// The slot with the implementation of an upgradable contract.
#[must_use]
pub fn implementation_slot(contract: &Address) -> B256 {
    tagged(b"gov/upgrade/", &contract.0)
}

/// The slot with the address of the member at a position.
#[must_use]
pub fn member_slot(index: u32) -> B256 {
    numbered(b"gov/members/", u64::from(index))
}

/// The slot with the hash of a proposal.
#[must_use]
pub fn proposal_slot(id: u64) -> B256 {
    numbered(b"gov/proposal", id)
}

/// The slot with the hash of an entry of the audit trail.
#[must_use]
pub fn audit_slot(number: u64) -> B256 {
    numbered(b"gov/audit///", number)
}

/// The slot with the hash of an asset's freeze record.
#[must_use]
pub fn asset_slot(asset: &B256) -> B256 {
    keccak256([b"gov/asset///".as_slice(), asset.as_slice()].concat())
}

/// The slot with the hash of an operation's [`Request`](crate::cosign::Request).
#[must_use]
pub fn cosign_slot(operation: &B256) -> B256 {
    keccak256([b"gov/cosign//".as_slice(), operation.as_slice()].concat())
}

/// How much there is. Layout, big endian: members (4 bytes), proposals (8), freezes not lifted (4),
/// zeros (16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members.
    pub members: u32,
    /// Proposals ever submitted; the newest has this number.
    pub proposals: u64,
    /// Freezes not lifted, expired ones included. At 0 nobody needs to look for any.
    pub freezes: u32,
}

impl Counts {
    fn pack(self) -> B256 {
        let mut out = [0u8; 32];
        let fields = [
            self.members.to_be_bytes().as_slice(),
            &self.proposals.to_be_bytes(),
            &self.freezes.to_be_bytes(),
        ]
        .concat();
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        out.into()
    }

    fn unpack(word: &B256) -> Self {
        let number = |at: std::ops::Range<usize>| {
            let bytes = word.get(at).unwrap_or_default();
            bytes
                .iter()
                .fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let small = |at| u32::try_from(number(at)).unwrap_or(u32::MAX);
        Self {
            members: small(0..4),
            proposals: number(4..12),
            freezes: small(12..16),
        }
    }

    /// Reads the slot.
    pub fn load(store: &mut dyn Store) -> Result<Self, AccessError> {
        Ok(Self::unpack(&store.load(&COUNTS_SLOT)?))
    }

    /// Writes the slot.
    pub fn save(self, store: &mut dyn Store) -> Result<(), AccessError> {
        store.store(&COUNTS_SLOT, self.pack())
    }
}

/// The charter; `None` on a chain without governance.
pub fn load_charter(store: &mut dyn Store) -> Result<Option<Charter>, AccessError> {
    let hash = store.load(&CHARTER_SLOT)?;
    if hash.is_zero() {
        return Ok(None);
    }
    decode_charter(&named(store, &hash)?).map(Some)
}

pub(crate) fn decode_charter(bytes: &[u8]) -> Result<Charter, AccessError> {
    decode_exact(bytes, CHARTER_BYTES_MAX).map_err(|error| damaged(format!("charter: {error}")))
}

/// Keeps a charter.
pub(crate) fn save_charter(store: &mut dyn Store, charter: &Charter) -> Result<(), AccessError> {
    let hash = store.put(Domain::Governance, encode(charter).into())?;
    store.store(&CHARTER_SLOT, hash)
}

/// What is said of an account.
pub fn load_account(store: &mut dyn Store, account: &Address) -> Result<AccountWord, AccessError> {
    let word = store.load(&account_slot(account))?;
    AccountWord::unpack(&word).ok_or_else(|| damaged(format!("account {account}: {word}")))
}

pub(crate) fn save_account(
    store: &mut dyn Store,
    account: &Address,
    word: &AccountWord,
) -> Result<(), AccessError> {
    store.store(&account_slot(account), word.pack())
}

fn load_small<T: borsh::BorshDeserialize>(
    store: &mut dyn Store,
    slot: &B256,
) -> Result<Option<T>, AccessError> {
    let hash = store.load(slot)?;
    if hash.is_zero() {
        return Ok(None);
    }
    let bytes = named(store, &hash)?;
    let value = decode_exact(&bytes, SMALL_BYTES_MAX);
    value
        .map(Some)
        .map_err(|error| damaged(format!("{slot}: {error}")))
}

fn save_small<T: borsh::BorshSerialize>(
    store: &mut dyn Store,
    slot: &B256,
    value: Option<&T>,
) -> Result<(), AccessError> {
    let hash = match value {
        Some(value) => store.put(Domain::Governance, encode(value).into())?,
        None => B256::ZERO,
    };
    store.store(slot, hash)
}

/// What is known of a member beyond its slot.
pub fn load_details(
    store: &mut dyn Store,
    account: &Address,
) -> Result<Option<MemberDetails>, AccessError> {
    load_small(store, &details_slot(account))
}

pub(crate) fn save_details(
    store: &mut dyn Store,
    account: &Address,
    details: Option<&MemberDetails>,
) -> Result<(), AccessError> {
    save_small(store, &details_slot(account), details)
}

/// Why an account or contract is frozen, if it ever was.
pub fn load_freeze(
    store: &mut dyn Store,
    account: &Address,
) -> Result<Option<FreezeRecord>, AccessError> {
    load_small(store, &freeze_slot(account))
}

pub(crate) fn save_freeze(
    store: &mut dyn Store,
    account: &Address,
    record: Option<&FreezeRecord>,
) -> Result<(), AccessError> {
    save_small(store, &freeze_slot(account), record)
}

/// Why an asset is frozen, if it is.
pub fn load_asset_freeze(
    store: &mut dyn Store,
    asset: &B256,
) -> Result<Option<FreezeRecord>, AccessError> {
    load_small(store, &asset_slot(asset))
}

pub(crate) fn save_asset_freeze(
    store: &mut dyn Store,
    asset: &B256,
    record: Option<&FreezeRecord>,
) -> Result<(), AccessError> {
    save_small(store, &asset_slot(asset), record)
}

/// An address in a slot; `None` where it is zero.
pub(crate) fn load_address(
    store: &mut dyn Store,
    slot: &B256,
) -> Result<Option<Address>, AccessError> {
    let word = store.load(slot)?;
    Ok((!word.is_zero()).then(|| Address::from_word(word)))
}

/// The schedule of the chain's settings, which genesis writes where there is governance.
pub fn load_schedule(store: &mut dyn Store, suite: Suite) -> Result<SettingsSchedule, AccessError> {
    let hash = store.load(&SETTINGS_SLOT)?;
    let bytes = named(store, &hash)?;
    SettingsSchedule::from_bytes(suite, &bytes).map_err(|error| damaged(error.to_string()))
}

pub(crate) fn save_schedule(
    store: &mut dyn Store,
    schedule: &SettingsSchedule,
) -> Result<(), AccessError> {
    let bytes: Bytes = schedule.to_bytes();
    let hash = store.put(Domain::Settings, bytes)?;
    store.store(&SETTINGS_SLOT, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_different_things_differ() {
        let address = Address::with_last_byte(1);
        let slots = [
            CHARTER_SLOT,
            COUNTS_SLOT,
            AUDIT_HEAD_SLOT,
            AUDIT_COUNT_SLOT,
            SETTINGS_SLOT,
            account_slot(&address),
            details_slot(&address),
            freeze_slot(&address),
            implementation_slot(&address),
            member_slot(1),
            proposal_slot(1),
            audit_slot(1),
            asset_slot(&address.into_word()),
            cosign_slot(&address.into_word()),
        ];
        let set: std::collections::BTreeSet<_> = slots.iter().collect();
        assert_eq!(set.len(), slots.len());
    }

    #[test]
    fn counts_survive_their_slot() {
        let counts = Counts {
            members: 1_000_000,
            proposals: u64::MAX,
            freezes: 3,
        };
        assert_eq!(Counts::unpack(&counts.pack()), counts);
    }
}
