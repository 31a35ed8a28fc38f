//! What can be done, and the roles that may do it.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that needs a permission. The numbers are part of the format.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Join as a node.
    Join = 0,
    /// Submit a proposal.
    Propose = 1,
    /// Vote on one.
    Vote = 2,
    /// Create a contract.
    Deploy = 3,
    /// Call a contract or one of its methods.
    Call = 4,
    /// Move an asset.
    Transfer = 5,
    /// Read a domain.
    Read = 6,
    /// Follow events and blocks.
    Subscribe = 7,
    /// Read a domain as a supervisor or auditor, on the record.
    Inspect = 8,
    /// Freeze and unfreeze accounts, contracts and assets.
    Freeze = 9,
    /// Give administrative commands.
    Configure = 10,
}

/// How many actions there are.
pub const ACTIONS: usize = 11;

impl Action {
    /// All of them, in order.
    pub const ALL: [Self; ACTIONS] = [
        Self::Join,
        Self::Propose,
        Self::Vote,
        Self::Deploy,
        Self::Call,
        Self::Transfer,
        Self::Read,
        Self::Subscribe,
        Self::Inspect,
        Self::Freeze,
        Self::Configure,
    ];

    /// The action with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its name in documents and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Propose => "propose",
            Self::Vote => "vote",
            Self::Deploy => "deploy",
            Self::Call => "call",
            Self::Transfer => "transfer",
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Inspect => "inspect",
            Self::Freeze => "freeze",
            Self::Configure => "configure",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that means nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no {what}; write {expected}")]
pub struct NameError {
    /// What was written.
    pub found: String,
    /// What it should be.
    pub what: &'static str,
    /// What is accepted.
    pub expected: &'static str,
}

impl FromStr for Action {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let named = Self::ALL.into_iter().find(|action| action.name() == text);
        named.ok_or_else(|| NameError {
            found: text.to_owned(),
            what: "action",
            expected: "one of join, propose, vote, deploy, call, transfer, read, subscribe, \
                       inspect, freeze, configure",
        })
    }
}

/// A set of actions: bit *n* is the action with number *n*.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct Actions(pub u16);

impl Actions {
    /// None.
    pub const NONE: Self = Self(0);

    /// A set.
    #[must_use]
    pub const fn of(list: &[Action]) -> Self {
        let (mut bits, mut rest) = (0, list);
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = tail;
        }
        Self(bits)
    }

    /// Whether an action is in the set.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u8) != 0
    }

    /// Whether the set has bits that mean nothing.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 < 1 << ACTIONS
    }

    /// Its members, in order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.contains(*action))
    }

    /// Names separated by commas.
    #[must_use]
    pub fn names(self) -> String {
        let names: Vec<_> = self.iter().map(Action::name).collect();
        names.join(", ")
    }

    /// The set that names say.
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Result<Self, NameError> {
        let mut set = Self::NONE;
        for name in names {
            set.0 |= 1 << name.as_ref().parse::<Action>()? as u8;
        }
        Ok(set)
    }
}

impl Serialize for Actions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Action::name))
    }
}

impl<'de> Deserialize<'de> for Actions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = <Vec<String> as Deserialize>::deserialize(deserializer)?;
        Self::from_names(&names).map_err(serde::de::Error::custom)
    }
}

/// A built-in role, after ISO 23257:2022. Its number is its bit in [`Roles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// Uses applications.
    User = 0,
    /// Administers an organisation.
    Administrator = 1,
    /// Runs nodes.
    NodeOperator = 2,
    /// Provides data and services.
    Provider = 3,
    /// Deploys contracts.
    Developer = 4,
    /// Votes.
    Governor = 5,
    /// Reads everything, on the record.
    Auditor = 6,
    /// Inspects, freezes, intercepts.
    Supervisor = 7,
}

/// Number of the first custom role.
pub const CUSTOM_ROLE_FIRST: u8 = 8;
/// Number of the last custom role.
pub const CUSTOM_ROLE_LAST: u8 = 63;

impl Role {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Administrator,
        Self::NodeOperator,
        Self::Provider,
        Self::Developer,
        Self::Governor,
        Self::Auditor,
        Self::Supervisor,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Administrator => "administrator",
            Self::NodeOperator => "node-operator",
            Self::Provider => "provider",
            Self::Developer => "developer",
            Self::Governor => "governor",
            Self::Auditor => "auditor",
            Self::Supervisor => "supervisor",
        }
    }

    /// What it may do on every resource, unless a rule denies it.
    #[must_use]
    pub const fn actions(self) -> Actions {
        use Action::{
            Call, Configure, Deploy, Freeze, Inspect, Join, Propose, Read, Subscribe, Transfer,
            Vote,
        };
        Actions::of(match self {
            Self::User | Self::Provider => &[Call, Transfer, Read, Subscribe],
            Self::Administrator => &[Propose, Call, Transfer, Read, Subscribe, Configure],
            Self::NodeOperator => &[Join, Read, Subscribe],
            Self::Developer => &[Deploy, Call, Transfer, Read, Subscribe],
            Self::Governor => &[Propose, Vote, Call, Read, Subscribe],
            Self::Auditor => &[Read, Subscribe, Inspect],
            Self::Supervisor => &[Propose, Call, Read, Subscribe, Inspect, Freeze],
        })
    }
}

/// A set of roles: bit *n* is the role with number *n*.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct Roles(pub u64);

impl Roles {
    /// A set of built-in roles.
    #[must_use]
    pub const fn of(list: &[Role]) -> Self {
        let (mut bits, mut rest) = (0, list);
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = tail;
        }
        Self(bits)
    }

    /// Whether a role is in the set.
    #[must_use]
    pub const fn contains(self, role: u8) -> bool {
        role < 64 && self.0 & (1 << role) != 0
    }

    /// Whether a built-in role is in the set.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.contains(role as u8)
    }

    /// Numbers of its roles, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let role = rest.trailing_zeros();
                rest &= rest - 1;
                // Below 64.
                u8::try_from(role).unwrap_or_default()
            })
        })
    }

    /// Names separated by commas.
    #[must_use]
    pub fn names(self) -> String {
        let names: Vec<_> = self.iter().map(role_name).collect();
        names.join(", ")
    }

    /// The set that names say.
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Result<Self, NameError> {
        let mut set = Self::default();
        for name in names {
            set.0 |= 1 << parse_role(name.as_ref())?;
        }
        Ok(set)
    }
}

/// Name of a role: a built-in one's, or `role-<number>`.
#[must_use]
pub fn role_name(number: u8) -> String {
    match Role::ALL.get(usize::from(number)) {
        Some(role) => role.name().to_owned(),
        None => format!("role-{number}"),
    }
}

/// Number of the role that [`role_name`] names.
pub fn parse_role(text: &str) -> Result<u8, NameError> {
    let built_in = Role::ALL.into_iter().find(|role| role.name() == text);
    let custom = || {
        let number: u8 = text.strip_prefix("role-")?.parse().ok()?;
        (CUSTOM_ROLE_FIRST..=CUSTOM_ROLE_LAST)
            .contains(&number)
            .then_some(number)
    };
    let number = built_in.map(|role| role as u8).or_else(custom);
    number.ok_or_else(|| NameError {
        found: text.to_owned(),
        what: "role",
        expected: "one of user, administrator, node-operator, provider, developer, governor, \
                   auditor, supervisor, or role-8 to role-63 for a custom one",
    })
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(role_name))
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = <Vec<String> as Deserialize>::deserialize(deserializer)?;
        Self::from_names(&names).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_actions_and_roles_go_both_ways() {
        for (number, action) in (0u8..).zip(Action::ALL) {
            assert_eq!(action as u8, number);
            assert_eq!(Action::from_number(number), Some(action));
            assert_eq!(action.name().parse(), Ok(action));
        }
        assert_eq!(Action::from_number(11), None);
        for number in 0..64 {
            assert_eq!(parse_role(&role_name(number)), Ok(number));
        }
        for bad in ["role-7", "role-64", "role-x", "king", ""] {
            assert!(parse_role(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let roles = Roles::of(&[Role::User, Role::Supervisor]);
        assert_eq!(roles.iter().collect::<Vec<_>>(), [0, 7]);
        assert_eq!(Roles(1 << 63 | 1).iter().collect::<Vec<_>>(), [0, 63]);
        assert_eq!(roles.names(), "user, supervisor");
        let actions = Role::Auditor.actions();
        assert_eq!(actions.names(), "read, subscribe, inspect");
        assert!(Actions((1 << 11) - 1).is_valid() && !Actions(1 << 11).is_valid());
        assert!(!roles.contains(64));
    }
}
