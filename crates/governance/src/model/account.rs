//! What governance says of one account.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{Address, B256, Time};
use serde::{Deserialize, Serialize};

use crate::action::Roles;

/// State of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Status {
    /// No member.
    #[default]
    Outsider = 0,
    /// In good standing.
    Active = 1,
    /// Shut out by its organisation or by a proposal.
    Suspended = 2,
    /// Replaced by another account; it stays frozen.
    Replaced = 3,
}

/// What governance says of one account: one storage slot.
///
/// Layout, big endian: organisation (4 bytes), roles (8), status (1), whether a certificate is bound
/// (1), end of the freeze in milliseconds (8; 0 for none, 2^64 − 1 for no end), position in the list
/// of members (4), zeros (6). An account of which nothing is said is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountWord {
    /// Number of its organisation; 0 for none.
    pub organisation: u32,
    /// Its roles.
    pub roles: Roles,
    /// How it stands.
    pub status: Status,
    /// Whether it is bound to a certificate.
    pub certified: bool,
    /// First instant at which it is no longer frozen.
    pub frozen_until: Time,
    /// Position in the list of members.
    pub index: u32,
}

impl AccountWord {
    /// The slot's value.
    #[must_use]
    pub fn pack(&self) -> B256 {
        let mut out = [0u8; 32];
        let mut fields = Vec::with_capacity(26);
        fields.extend_from_slice(&self.organisation.to_be_bytes());
        fields.extend_from_slice(&self.roles.0.to_be_bytes());
        fields.push(self.status as u8);
        fields.push(u8::from(self.certified));
        fields.extend_from_slice(&self.frozen_until.0.to_be_bytes());
        fields.extend_from_slice(&self.index.to_be_bytes());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        out.into()
    }

    /// Inverse of [`Self::pack`]; `None` for a value that it does not give.
    #[must_use]
    pub fn unpack(word: &B256) -> Option<Self> {
        if word.is_zero() {
            return Some(Self::default());
        }
        let (organisation, rest) = word.split_first_chunk::<4>()?;
        let (roles, rest) = rest.split_first_chunk::<8>()?;
        let ([status, certified], rest) = rest.split_first_chunk::<2>()?;
        let (frozen, rest) = rest.split_first_chunk::<8>()?;
        let (index, rest) = rest.split_first_chunk::<4>()?;
        let status = match status {
            0 => Status::Outsider,
            1 => Status::Active,
            2 => Status::Suspended,
            3 => Status::Replaced,
            _ => return None,
        };
        if *certified > 1 || rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        Some(Self {
            organisation: u32::from_be_bytes(*organisation),
            roles: Roles(u64::from_be_bytes(*roles)),
            status,
            certified: *certified == 1,
            frozen_until: Time(u64::from_be_bytes(*frozen)),
            index: u32::from_be_bytes(*index),
        })
    }

    /// Whether the account is frozen at a time.
    #[must_use]
    pub fn is_frozen(&self, now: Time) -> bool {
        self.frozen_until > now
    }

    /// Whether it is a member, in whatever standing.
    #[must_use]
    pub fn is_member(&self) -> bool {
        matches!(self.status, Status::Active | Status::Suspended)
    }
}

/// A freeze that never ends by itself.
pub const NO_EXPIRY: Time = Time(u64::MAX);

/// What is known of a member beyond its slot.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberDetails {
    /// Name for people.
    pub name: String,
    /// Fingerprint of its certificate.
    pub certificate: Option<B256>,
    /// The account that took its place, once it was recovered.
    pub replaced_by: Option<Address>,
}

/// Who froze something, and why.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FreezeRecord {
    /// Who; the governance contract for a proposal.
    pub by: Address,
    /// Why.
    pub reason: String,
    /// When, by block time.
    pub since: Time,
    /// Until when; [`NO_EXPIRY`] for no end.
    pub until: Time,
}
