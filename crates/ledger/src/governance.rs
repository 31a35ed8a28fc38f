//! How a chain is governed from its first block on. What may change of it later changes by
//! proposals; the contract that keeps it is in `hawser-governance`, the rules in
//! `docs/spec/governance.md`.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::GenesisError;

/// Longest name of an organisation, member, role or rule, in bytes.
pub const GOVERNANCE_NAME_BYTES_MAX: usize = 64;
/// Most organisations of a chain.
pub const ORGANISATIONS_MAX: usize = 1_024;
/// Most members that a genesis names; more join by proposal.
pub const GENESIS_MEMBERS_MAX: usize = 10_000;
/// Most authority accounts of an organisation.
pub const AUTHORITIES_MAX: usize = 16;
/// Most certificate roots of an organisation.
pub const ROOTS_MAX: usize = 8;

/// Who may use the chain at all.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum AccountMode {
    /// Every account; who is no member may do what [`GenesisGovernance::public_actions`] lists.
    #[default]
    Open,
    /// Members only.
    Permitted,
    /// Members whose account is bound to a certificate.
    Certificate,
}

/// An organisation of the consortium.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GenesisOrganisation {
    /// Number, from 1.
    pub id: u32,
    /// Name for people, 1 to [`GOVERNANCE_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Share in votes by weight, at least 1.
    pub weight: u32,
    /// Accounts that act for the organisation in a recovery, at most [`AUTHORITIES_MAX`].
    #[serde(default)]
    pub authorities: Vec<Address>,
    /// How many of them have to agree.
    #[serde(default = "one")]
    pub authority_threshold: u8,
    /// SHA-256 or SM3 fingerprints of its certificate roots, at most [`ROOTS_MAX`].
    #[serde(default)]
    pub roots: Vec<B256>,
}

const fn one() -> u8 {
    1
}

/// A member of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GenesisMember {
    /// Its account.
    pub account: Address,
    /// Name for people, at most [`GOVERNANCE_NAME_BYTES_MAX`] bytes.
    #[serde(default)]
    pub name: String,
    /// Number of its organisation.
    pub organisation: u32,
    /// Names of built-in roles, such as `governor`.
    pub roles: Vec<String>,
    /// Fingerprint of its certificate, if it has one.
    #[serde(default)]
    pub certificate: Option<B256>,
}

/// Governance of a chain from its start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GenesisGovernance {
    /// Who may use the chain.
    #[serde(default)]
    pub account_mode: AccountMode,
    /// What accounts that are no members may do where the mode is open; `None` for deploy, call,
    /// transfer, read and subscribe.
    #[serde(default)]
    pub public_actions: Option<Vec<String>>,
    /// Whether queries must be signed.
    #[serde(default)]
    pub signed_reads: bool,
    /// Wait between the passing of a proposal and its execution, in milliseconds.
    #[serde(default)]
    pub time_lock_ms: u64,
    /// How long a proposal may be voted on, in milliseconds.
    #[serde(default = "voting_ms")]
    pub voting_ms: u64,
    /// The organisations, at least one.
    pub organisations: Vec<GenesisOrganisation>,
    /// The members; one of them at least a governor.
    pub members: Vec<GenesisMember>,
}

/// Seven days.
const fn voting_ms() -> u64 {
    7 * 24 * 60 * 60 * 1000
}

impl GenesisGovernance {
    /// Checks what needs no knowledge of roles: counts, lengths, references.
    pub fn check(&self) -> Result<(), GenesisError> {
        let refuse = |text: String| Err(GenesisError::Governance(text));
        let count = self.organisations.len();
        if count == 0 || count > ORGANISATIONS_MAX {
            return refuse(format!(
                "{count} organisations; there must be 1 to {ORGANISATIONS_MAX}"
            ));
        }
        let mut ids = std::collections::BTreeSet::new();
        for organisation in &self.organisations {
            let id = organisation.id;
            if id == 0 || !ids.insert(id) {
                return refuse(format!("organisation {id}: numbers start at 1 and differ"));
            }
            let (name, authorities) = (organisation.name.len(), organisation.authorities.len());
            if name == 0 || name > GOVERNANCE_NAME_BYTES_MAX {
                return refuse(format!(
                    "organisation {id}: a name has 1 to {GOVERNANCE_NAME_BYTES_MAX} bytes"
                ));
            }
            if organisation.weight == 0 {
                return refuse(format!("organisation {id}: weight 0; give it at least 1"));
            }
            let threshold = usize::from(organisation.authority_threshold);
            let reachable = threshold >= 1 && (authorities == 0 || threshold <= authorities);
            if authorities > AUTHORITIES_MAX || !reachable {
                return refuse(format!(
                    "organisation {id}: at most {AUTHORITIES_MAX} authorities, and a threshold of 1 \
                     to their number"
                ));
            }
            if organisation.roots.len() > ROOTS_MAX {
                return refuse(format!("organisation {id}: at most {ROOTS_MAX} roots"));
            }
        }
        if self.members.len() > GENESIS_MEMBERS_MAX {
            return refuse(format!(
                "at most {GENESIS_MEMBERS_MAX} members in a genesis"
            ));
        }
        let mut accounts = std::collections::BTreeSet::new();
        for member in &self.members {
            let account = member.account;
            if !accounts.insert(account) {
                return refuse(format!("member {account} is listed twice"));
            }
            if !ids.contains(&member.organisation) {
                return refuse(format!(
                    "member {account}: there is no organisation {}",
                    member.organisation
                ));
            }
            if member.name.len() > GOVERNANCE_NAME_BYTES_MAX {
                return refuse(format!(
                    "member {account}: a name has at most {GOVERNANCE_NAME_BYTES_MAX} bytes"
                ));
            }
        }
        Ok(())
    }
}
