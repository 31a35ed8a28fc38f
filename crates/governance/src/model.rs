//! What governance keeps: the charter, and what it says of one account.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_ledger::AccountMode;
use hawser_primitives::{Address, B256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    action::{Actions, NameError, Roles, parse_role, role_name},
    kind::{ProposalKind, Threshold},
};

mod account;

pub use account::{AccountWord, FreezeRecord, MemberDetails, NO_EXPIRY, Status};

/// Most members of a chain.
pub const MEMBERS_MAX: u32 = 1_000_000;
/// Most governors.
pub const GOVERNORS_MAX: usize = 1_024;
/// Most rules of permission.
pub const RULES_MAX: usize = 4_096;
/// Most supervision rules.
pub const POLICIES_MAX: usize = 64;
/// Longest script of a supervision rule, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a read domain, in bytes.
pub const DOMAIN_BYTES_MAX: usize = 64;
/// Longest note on a rule, in bytes.
pub const NOTE_BYTES_MAX: usize = 256;
/// Largest encoded charter, in bytes.
pub const CHARTER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest wait between the passing of a proposal and its execution: 30 days, in milliseconds.
pub const TIME_LOCK_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;
/// Shortest time for votes, in milliseconds.
pub const VOTING_MS_MIN: u64 = 1_000;
/// Longest time for votes: 90 days, in milliseconds.
pub const VOTING_MS_MAX: u64 = 90 * 24 * 60 * 60 * 1000;

/// The chain's own coin as an asset.
pub const NATIVE_ASSET: B256 = B256::ZERO;

/// The asset that a token contract is.
#[must_use]
pub fn token_asset(contract: &Address) -> B256 {
    contract.into_word()
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organisation {
    /// Name for people.
    pub name: String,
    /// Share in votes by weight, at least 1.
    pub weight: u32,
    /// Whether its members are shut out and its weight does not count.
    pub suspended: bool,
    /// Accounts that act for it in a recovery.
    pub authorities: Vec<Address>,
    /// How many of them have to agree.
    pub authority_threshold: u8,
    /// Fingerprints of its certificate roots.
    pub roots: Vec<B256>,
}

/// A role beyond the built-in ones.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomRole {
    /// Name for people.
    pub name: String,
    /// What it may do.
    pub actions: Actions,
}

/// Whom a rule is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Subject {
    /// Everybody.
    Any,
    /// Accounts that are no members.
    Outsiders,
    /// Members of an organisation.
    Organisation(u32),
    /// Members with a role.
    Role(u8),
    /// One account.
    Account(Address),
}

/// What a rule is about, and what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Resource {
    /// In a rule everything; in a question nothing in particular.
    Any,
    /// A contract. In a rule: all of its methods.
    Contract(Address),
    /// One method of a contract, by selector.
    Method(Address, [u8; 4]),
    /// A read domain, by name.
    Domain(String),
    /// An asset: [`NATIVE_ASSET`], or [`token_asset`] of its contract.
    Asset(B256),
}

fn bad(found: &str, what: &'static str, expected: &'static str) -> NameError {
    NameError {
        found: found.to_owned(),
        what,
        expected,
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Outsiders => f.write_str("outsiders"),
            Self::Organisation(id) => write!(f, "organisation:{id}"),
            Self::Role(role) => write!(f, "role:{}", role_name(*role)),
            Self::Account(account) => write!(f, "account:{account}"),
        }
    }
}

impl FromStr for Subject {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || {
            bad(
                text,
                "subject",
                "any, outsiders, organisation:<number>, role:<name> or account:<address>",
            )
        };
        match text.split_once(':') {
            None if text == "any" => Ok(Self::Any),
            None if text == "outsiders" => Ok(Self::Outsiders),
            Some(("organisation", id)) => id.parse().map(Self::Organisation).map_err(|_| wrong()),
            Some(("role", role)) => parse_role(role).map(Self::Role),
            Some(("account", account)) => account.parse().map(Self::Account).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Contract(contract) => write!(f, "contract:{contract}"),
            Self::Method(contract, selector) => {
                let selector = alloy_primitives::hex::encode_prefixed(selector);
                write!(f, "method:{contract}:{selector}")
            }
            Self::Domain(name) => write!(f, "domain:{name}"),
            Self::Asset(asset) if *asset == NATIVE_ASSET => f.write_str("asset:native"),
            Self::Asset(asset) => match asset.split_first_chunk::<12>() {
                Some((head, contract)) if head == &[0; 12] => {
                    write!(f, "asset:{}", Address::from_slice(contract))
                }
                _ => write!(f, "asset:{asset}"),
            },
        }
    }
}

impl FromStr for Resource {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || {
            bad(
                text,
                "resource",
                "any, contract:<address>, method:<address>:<selector>, domain:<name>, \
                 asset:native, asset:<token address> or asset:<32 bytes>",
            )
        };
        match text.split_once(':') {
            None if text == "any" => Ok(Self::Any),
            Some(("contract", contract)) => {
                contract.parse().map(Self::Contract).map_err(|_| wrong())
            }
            Some(("method", rest)) => {
                let (contract, selector) = rest.split_once(':').ok_or_else(wrong)?;
                let contract = contract.parse().map_err(|_| wrong())?;
                let mut bytes = [0u8; 4];
                let digits = selector.strip_prefix("0x").unwrap_or(selector);
                alloy_primitives::hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
                Ok(Self::Method(contract, bytes))
            }
            Some(("domain", name)) if !name.is_empty() && name.len() <= DOMAIN_BYTES_MAX => {
                Ok(Self::Domain(name.to_owned()))
            }
            Some(("asset", "native")) => Ok(Self::Asset(NATIVE_ASSET)),
            Some(("asset", asset)) => {
                let token = || asset.parse().map(|token: Address| token_asset(&token));
                asset
                    .parse()
                    .or_else(|_| token())
                    .map(Self::Asset)
                    .map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }
}

macro_rules! serde_as_text {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

serde_as_text!(Subject);
serde_as_text!(Resource);

/// What a rule does where it applies.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Permits, unless another rule denies.
    Allow,
    /// Forbids, whatever permits.
    Deny,
}

/// A rule of permission.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Whom it is about.
    pub subject: Subject,
    /// What they want to do.
    pub actions: Actions,
    /// To what.
    pub resource: Resource,
    /// Whether they may.
    pub effect: Effect,
    /// Why, for people.
    #[serde(default)]
    pub note: String,
}

/// How a supervision rule is used.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyMode {
    /// Not at all.
    Inactive,
    /// Its verdicts are recorded and have no effect.
    Shadow,
    /// Its verdicts hold.
    Active,
}

/// A supervision rule as the charter names it; its script is a blob.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Name for people.
    pub name: String,
    /// Counts up with each new script.
    pub version: u32,
    /// How it is used.
    pub mode: PolicyMode,
    /// Hash of the script (`Domain::Governance`).
    pub script: B256,
}

/// Everything of governance but members, proposals, freezes and the audit trail. One blob whose
/// hash is in a slot, so that a replica parses it once per change.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charter {
    /// Who may use the chain.
    pub account_mode: AccountMode,
    /// What those may do who are no members, where the mode is open.
    pub public_actions: Actions,
    /// Whether queries must be signed.
    pub signed_reads: bool,
    /// Wait between passing and execution, in milliseconds.
    pub time_lock_ms: u64,
    /// Time for votes, in milliseconds.
    pub voting_ms: u64,
    /// What proposals need to pass, by kind; [`Threshold::of_kind`] where nothing is said.
    pub thresholds: BTreeMap<ProposalKind, Threshold>,
    /// Organisations by number.
    pub organisations: BTreeMap<u32, Organisation>,
    /// Numbers of organisations that were removed.
    pub removed: BTreeSet<u32>,
    /// Custom roles by number.
    pub roles: BTreeMap<u8, CustomRole>,
    /// Rules by number.
    pub rules: BTreeMap<u32, Rule>,
    /// Members with the role of governor who are not suspended, with their organisation.
    pub governors: BTreeMap<Address, u32>,
    /// Supervision rules by number.
    pub policies: BTreeMap<u32, Policy>,
}

impl Charter {
    /// What a proposal of a kind needs.
    #[must_use]
    pub fn threshold(&self, kind: ProposalKind) -> Threshold {
        let set = self.thresholds.get(&kind).copied();
        set.unwrap_or_else(|| Threshold::of_kind(kind))
    }

    /// The organisation for which an account is an authority.
    #[must_use]
    pub fn authority_of(&self, account: &Address) -> Option<u32> {
        let acts = |organisation: &Organisation| organisation.authorities.contains(account);
        let found = self.organisations.iter().find(|(_, o)| acts(o));
        found.map(|(id, _)| *id)
    }

    /// Whether an organisation is there and not suspended.
    #[must_use]
    pub fn is_active(&self, organisation: u32) -> bool {
        self.organisations
            .get(&organisation)
            .is_some_and(|organisation| !organisation.suspended)
    }

    /// Governors of organisations that are not suspended.
    pub fn voters(&self) -> impl Iterator<Item = (&Address, u32)> {
        let all = self.governors.iter();
        all.map(|(account, organisation)| (account, *organisation))
            .filter(|(_, organisation)| self.is_active(*organisation))
    }

    /// What the roles of a set may do together.
    #[must_use]
    pub fn actions_of(&self, roles: Roles) -> Actions {
        let mut actions = Actions::NONE;
        for role in roles.iter() {
            actions.0 |= self.role_actions(role).0;
        }
        actions
    }

    /// What one role may do.
    #[must_use]
    pub fn role_actions(&self, role: u8) -> Actions {
        match crate::action::Role::ALL.get(usize::from(role)) {
            Some(built_in) => built_in.actions(),
            None => self
                .roles
                .get(&role)
                .map_or(Actions::NONE, |custom| custom.actions),
        }
    }
}

#[cfg(test)]
mod tests;
