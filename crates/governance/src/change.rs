//! What a proposal can change.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_ledger::{AccountMode, ChainParameters, GenesisValidator};
use hawser_primitives::{Address, B256, Bytes, Height, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    action::{Actions, NameError, Roles},
    kind::{ProposalKind, Threshold},
    model::{PolicyMode, Resource, Rule},
};

/// Something that can be frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Target {
    /// An account.
    Account(Address),
    /// A contract.
    Contract(Address),
    /// An asset.
    Asset(B256),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "account:{account}"),
            Self::Contract(contract) => write!(f, "contract:{contract}"),
            Self::Asset(asset) => Resource::Asset(*asset).fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError {
            found: text.to_owned(),
            what: "target",
            expected: "account:<address>, contract:<address>, asset:native or asset:<token address>",
        };
        if let Some(account) = text.strip_prefix("account:") {
            return account.parse().map(Self::Account).map_err(|_| wrong());
        }
        match text.parse() {
            Ok(Resource::Contract(contract)) => Ok(Self::Contract(contract)),
            Ok(Resource::Asset(asset)) => Ok(Self::Asset(asset)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const fn one() -> u8 {
    1
}

/// One change. The order of the variants is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(
    tag = "change",
    rename_all = "snake_case",
    rename_all_fields = "snake_case",
    deny_unknown_fields
)]
pub enum Change {
    /// A new organisation.
    AddOrganisation {
        /// Its number, never used before.
        id: u32,
        /// Name for people.
        name: String,
        /// Share in votes by weight.
        weight: u32,
        /// Accounts that act for it in a recovery.
        #[serde(default)]
        authorities: Vec<Address>,
        /// How many of them have to agree.
        #[serde(default = "one")]
        authority_threshold: u8,
        /// Fingerprints of its certificate roots.
        #[serde(default)]
        roots: Vec<B256>,
    },
    /// An organisation in every respect but its number.
    UpdateOrganisation {
        /// Which.
        id: u32,
        /// Name for people.
        name: String,
        /// Share in votes by weight.
        weight: u32,
        /// Accounts that act for it in a recovery.
        authorities: Vec<Address>,
        /// How many of them have to agree.
        authority_threshold: u8,
        /// Fingerprints of its certificate roots.
        roots: Vec<B256>,
    },
    /// Shuts an organisation out, or lets it in again.
    SuspendOrganisation {
        /// Which.
        id: u32,
        /// Whether out.
        suspended: bool,
    },
    /// Removes an organisation and shuts out all its members, for good.
    RemoveOrganisation {
        /// Which.
        id: u32,
    },
    /// A new member.
    AddMember {
        /// Its account.
        account: Address,
        /// Name for people.
        #[serde(default)]
        name: String,
        /// Its organisation.
        organisation: u32,
        /// Its roles.
        roles: Roles,
        /// Fingerprint of its certificate.
        #[serde(default)]
        certificate: Option<B256>,
    },
    /// A member leaves.
    RemoveMember {
        /// Which.
        account: Address,
    },
    /// The roles of a member, all of them.
    SetRoles {
        /// Which.
        account: Address,
        /// From now on.
        roles: Roles,
    },
    /// Shuts a member out, or lets it in again.
    SuspendMember {
        /// Which.
        account: Address,
        /// Whether out.
        suspended: bool,
    },
    /// The certificate of a member.
    SetCertificate {
        /// Which.
        account: Address,
        /// Its fingerprint, or none.
        #[serde(default)]
        certificate: Option<B256>,
    },
    /// A custom role, new or changed.
    DefineRole {
        /// Number, 8 to 63.
        role: u8,
        /// Name for people.
        name: String,
        /// What it may do.
        actions: Actions,
    },
    /// A custom role goes; members that have it keep an empty one.
    RemoveRole {
        /// Number.
        role: u8,
    },
    /// A rule, new or changed.
    SetRule {
        /// Number, from 1.
        id: u32,
        /// The rule.
        rule: Rule,
    },
    /// A rule goes.
    RemoveRule {
        /// Number.
        id: u32,
    },
    /// Who may use the chain.
    SetAccountMode {
        /// From now on.
        mode: AccountMode,
    },
    /// What those may do who are no members.
    SetPublicActions {
        /// From now on.
        actions: Actions,
    },
    /// Whether queries must be signed.
    SetSignedReads {
        /// From now on.
        signed: bool,
    },
    /// The chain's parameters, all of them.
    SetParameters {
        /// From now on.
        parameters: ChainParameters,
    },
    /// The validators, all of them.
    SetValidators {
        /// From now on.
        validators: Vec<GenesisValidator>,
    },
    /// The next protocol version.
    ActivateProtocol {
        /// Which.
        version: u32,
        /// Not before this block.
        height: Height,
    },
    /// Freezes something.
    Freeze {
        /// What.
        target: Target,
        /// Until when, in milliseconds; nothing for no end.
        #[serde(default)]
        until: Option<Time>,
        /// Why.
        reason: String,
    },
    /// Lifts a freeze.
    Unfreeze {
        /// Of what.
        target: Target,
    },
    /// What an upgradable contract (EIP-1967 beacon proxy whose beacon is governance) runs.
    Upgrade {
        /// The contract.
        contract: Address,
        /// Whose code.
        implementation: Address,
    },
    /// A supervision rule, new or with a new script; it starts inactive.
    SetPolicy {
        /// Number, from 1.
        id: u32,
        /// Name for people.
        name: String,
        /// The script.
        #[serde(with = "script")]
        script: Bytes,
    },
    /// How a supervision rule is used.
    SetPolicyMode {
        /// Number.
        id: u32,
        /// From now on.
        mode: PolicyMode,
    },
    /// A supervision rule goes.
    RemovePolicy {
        /// Number.
        id: u32,
    },
    /// What proposals of a kind need to pass.
    SetThreshold {
        /// Which kind.
        kind: ProposalKind,
        /// From now on.
        threshold: Threshold,
    },
    /// The times of governance.
    SetTimes {
        /// Wait between passing and execution, in milliseconds.
        time_lock_ms: u64,
        /// Time for votes, in milliseconds.
        voting_ms: u64,
    },
    /// A member's rights go to a new account; the old one stays frozen.
    RecoverAccount {
        /// The account that was lost.
        old: Address,
        /// The account that takes its place; no member yet.
        new: Address,
    },
}

/// Scripts are text in documents, bytes on the chain.
mod script {
    use hawser_primitives::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        script: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(script))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        Ok(String::deserialize(deserializer)?.into_bytes().into())
    }
}

impl Change {
    /// What kind of proposal makes it.
    #[must_use]
    pub const fn kind(&self) -> ProposalKind {
        match self {
            Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::SetRoles { .. }
            | Self::SuspendMember { .. }
            | Self::SetCertificate { .. } => ProposalKind::Membership,
            Self::AddOrganisation { .. }
            | Self::UpdateOrganisation { .. }
            | Self::SuspendOrganisation { .. }
            | Self::RemoveOrganisation { .. } => ProposalKind::Organisations,
            Self::DefineRole { .. }
            | Self::RemoveRole { .. }
            | Self::SetRule { .. }
            | Self::RemoveRule { .. }
            | Self::SetAccountMode { .. }
            | Self::SetPublicActions { .. }
            | Self::SetSignedReads { .. } => ProposalKind::Permission,
            Self::SetParameters { .. } => ProposalKind::Parameters,
            Self::SetValidators { .. } => ProposalKind::Validators,
            Self::ActivateProtocol { .. } => ProposalKind::Protocol,
            Self::Freeze { .. } | Self::Unfreeze { .. } | Self::Upgrade { .. } => {
                ProposalKind::Contracts
            }
            Self::SetPolicy { .. } | Self::SetPolicyMode { .. } | Self::RemovePolicy { .. } => {
                ProposalKind::Supervision
            }
            Self::SetThreshold { .. } | Self::SetTimes { .. } => ProposalKind::Constitution,
            Self::RecoverAccount { .. } => ProposalKind::Recovery,
        }
    }

    /// Whether authorities may make it in a recovery, without any governor: what puts governors back
    /// and takes locks away.
    #[must_use]
    pub const fn is_recovery(&self) -> bool {
        matches!(
            self,
            Self::AddMember { .. }
                | Self::RemoveMember { .. }
                | Self::SetRoles { .. }
                | Self::SuspendMember { .. }
                | Self::SetCertificate { .. }
                | Self::RemoveRule { .. }
                | Self::SetAccountMode { .. }
                | Self::SetSignedReads { .. }
                | Self::Unfreeze { .. }
                | Self::SetPolicyMode { .. }
                | Self::RemovePolicy { .. }
                | Self::SetThreshold { .. }
                | Self::SetTimes { .. }
                | Self::RecoverAccount { .. }
        )
    }

    /// What it concerns. Two changes of one proposal must not concern the same thing.
    #[must_use]
    pub fn concerns(&self) -> Vec<String> {
        let one = |text: String| vec![text];
        match self {
            Self::AddOrganisation { id, .. }
            | Self::UpdateOrganisation { id, .. }
            | Self::SuspendOrganisation { id, .. }
            | Self::RemoveOrganisation { id } => one(format!("organisation {id}")),
            Self::AddMember { account, .. }
            | Self::RemoveMember { account }
            | Self::SetRoles { account, .. }
            | Self::SuspendMember { account, .. }
            | Self::SetCertificate { account, .. } => one(format!("member {account}")),
            Self::RecoverAccount { old, new } => {
                vec![format!("member {old}"), format!("member {new}")]
            }
            Self::DefineRole { role, .. } | Self::RemoveRole { role } => {
                one(format!("role {role}"))
            }
            Self::SetRule { id, .. } | Self::RemoveRule { id } => one(format!("rule {id}")),
            Self::SetAccountMode { .. } => one("the account mode".to_owned()),
            Self::SetPublicActions { .. } => one("the public actions".to_owned()),
            Self::SetSignedReads { .. } => one("signed reads".to_owned()),
            Self::SetParameters { .. } => one("the chain parameters".to_owned()),
            Self::SetValidators { .. } => one("the validators".to_owned()),
            Self::ActivateProtocol { .. } => one("the protocol version".to_owned()),
            Self::Freeze { target, .. } | Self::Unfreeze { target } => {
                one(format!("the freeze of {target}"))
            }
            Self::Upgrade { contract, .. } => one(format!("the code of {contract}")),
            // A rule can be written and put into force by one proposal.
            Self::SetPolicy { id, .. } => one(format!("the script of supervision rule {id}")),
            Self::SetPolicyMode { id, .. } => one(format!("the mode of supervision rule {id}")),
            Self::RemovePolicy { id } => vec![
                format!("the script of supervision rule {id}"),
                format!("the mode of supervision rule {id}"),
            ],
            Self::SetThreshold { kind, .. } => one(format!("the threshold of {kind}")),
            Self::SetTimes { .. } => one("the times of governance".to_owned()),
        }
    }
}
