//! Kinds of proposals and what each needs to pass.

use std::{collections::BTreeMap, fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::{action::NameError, model::Charter};

/// What a proposal is about. One with changes of several kinds has to pass each of them.
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
pub enum ProposalKind {
    /// Members and their roles.
    Membership = 0,
    /// Organisations.
    Organisations = 1,
    /// Custom roles, rules, account mode.
    Permission = 2,
    /// Chain parameters.
    Parameters = 3,
    /// The validator set.
    Validators = 4,
    /// Freezing and upgrading contracts, freezing assets.
    Contracts = 5,
    /// Activation of a protocol version.
    Protocol = 6,
    /// Supervision rules.
    Supervision = 7,
    /// Thresholds and times of governance itself.
    Constitution = 8,
    /// Recovery of accounts.
    Recovery = 9,
}

impl ProposalKind {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Membership,
        Self::Organisations,
        Self::Permission,
        Self::Parameters,
        Self::Validators,
        Self::Contracts,
        Self::Protocol,
        Self::Supervision,
        Self::Constitution,
        Self::Recovery,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Organisations => "organisations",
            Self::Permission => "permission",
            Self::Parameters => "parameters",
            Self::Validators => "validators",
            Self::Contracts => "contracts",
            Self::Protocol => "protocol",
            Self::Supervision => "supervision",
            Self::Constitution => "constitution",
            Self::Recovery => "recovery",
        }
    }
}

impl fmt::Display for ProposalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProposalKind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| NameError {
            found: text.to_owned(),
            what: "kind of proposal",
            expected: "one of membership, organisations, permission, parameters, validators, \
                       contracts, protocol, supervision, constitution, recovery",
        })
    }
}

/// Who is counted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Each governor once.
    Members,
    /// Each organisation with its weight, for the side on which more of its governors voted.
    Weight,
}

/// What share of all votes, cast or not, has to say yes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// Who is counted.
    pub basis: Basis,
    /// Numerator of the share.
    pub numerator: u32,
    /// Denominator of the share, at least the numerator and at most [`DENOMINATOR_MAX`].
    pub denominator: u32,
    /// Whether the share has to be exceeded; reached suffices otherwise.
    pub more_than: bool,
}

/// Largest denominator of a threshold.
pub const DENOMINATOR_MAX: u32 = 10_000;

impl Threshold {
    /// More than half of the governors.
    pub const MAJORITY: Self = Self {
        basis: Basis::Members,
        numerator: 1,
        denominator: 2,
        more_than: true,
    };
    /// More than two thirds of the weight.
    pub const TWO_THIRDS: Self = Self {
        basis: Basis::Weight,
        numerator: 2,
        denominator: 3,
        more_than: true,
    };

    /// What a kind needs unless the charter says otherwise: what could change who decides needs two
    /// thirds of the weight, everything else a majority of the governors.
    #[must_use]
    pub const fn of_kind(kind: ProposalKind) -> Self {
        match kind {
            ProposalKind::Organisations
            | ProposalKind::Validators
            | ProposalKind::Protocol
            | ProposalKind::Constitution => Self::TWO_THIRDS,
            ProposalKind::Membership
            | ProposalKind::Permission
            | ProposalKind::Parameters
            | ProposalKind::Contracts
            | ProposalKind::Supervision
            | ProposalKind::Recovery => Self::MAJORITY,
        }
    }

    /// Whether it is a share above 0 and not above 1 that can be reached.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.numerator >= 1
            && self.numerator <= self.denominator
            && self.denominator <= DENOMINATOR_MAX
            && !(self.more_than && self.numerator == self.denominator)
    }

    /// Whether `yes` of `total` suffice. Nobody of nobody does not.
    #[must_use]
    pub fn is_met(&self, yes: u64, total: u64) -> bool {
        let have = u128::from(yes).saturating_mul(u128::from(self.denominator));
        let need = u128::from(total).saturating_mul(u128::from(self.numerator));
        yes > 0
            && if self.more_than {
                have > need
            } else {
                have >= need
            }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.more_than {
            "more than"
        } else {
            "at least"
        };
        let of = match self.basis {
            Basis::Members => "governors",
            Basis::Weight => "weight",
        };
        write!(f, "{how} {}/{} of {of}", self.numerator, self.denominator)
    }
}

/// How the votes stand on one basis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// For.
    pub yes: u64,
    /// Against.
    pub no: u64,
    /// All there are.
    pub total: u64,
}

impl Count {
    /// Counts votes (account, yes) of those who may vote now. A vote of somebody who may not vote
    /// any more does not count.
    #[must_use]
    pub fn of(charter: &Charter, basis: Basis, votes: &BTreeMap<Address, bool>) -> Self {
        let mut count = Self::default();
        match basis {
            Basis::Members => {
                for (account, _) in charter.voters() {
                    count.add(1, votes.get(account).copied());
                }
            }
            Basis::Weight => {
                // Organisations without a governor count in full: their silence is no consent.
                let mut balance: BTreeMap<u32, i64> = BTreeMap::new();
                for (account, organisation) in charter.voters() {
                    let entry = balance.entry(organisation).or_default();
                    match votes.get(account) {
                        Some(true) => *entry = entry.saturating_add(1),
                        Some(false) => *entry = entry.saturating_sub(1),
                        None => {}
                    }
                }
                for (id, organisation) in &charter.organisations {
                    if organisation.suspended {
                        continue;
                    }
                    let side = match balance.get(id).copied().unwrap_or_default() {
                        0 => None,
                        other => Some(other > 0),
                    };
                    count.add(u64::from(organisation.weight), side);
                }
            }
        }
        count
    }

    fn add(&mut self, weight: u64, side: Option<bool>) {
        self.total = self.total.saturating_add(weight);
        match side {
            Some(true) => self.yes = self.yes.saturating_add(weight),
            Some(false) => self.no = self.no.saturating_add(weight),
            None => {}
        }
    }

    /// Whether a threshold can still be met.
    #[must_use]
    pub fn can_meet(&self, threshold: &Threshold) -> bool {
        threshold.is_met(self.total.saturating_sub(self.no), self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(numerator: u32, denominator: u32, more_than: bool) -> Threshold {
        Threshold {
            basis: Basis::Members,
            numerator,
            denominator,
            more_than,
        }
    }

    #[test]
    fn thresholds_are_exact() {
        let half = share(1, 2, true);
        assert!(!half.is_met(2, 4) && half.is_met(3, 4) && half.is_met(3, 5));
        let at_least = share(1, 2, false);
        assert!(at_least.is_met(2, 4) && !at_least.is_met(1, 4));
        let two_thirds = share(2, 3, true);
        assert!(!two_thirds.is_met(2, 3) && two_thirds.is_met(3, 3) && two_thirds.is_met(5, 7));
        assert!(!two_thirds.is_met(4, 6));
        let all = share(1, 1, false);
        assert!(all.is_met(7, 7) && !all.is_met(6, 7));
        assert!(!at_least.is_met(0, 0), "nobody decides nothing");
        assert!(half.is_met(u64::MAX, u64::MAX));
    }

    #[test]
    fn only_shares_that_can_be_reached_are_thresholds() {
        assert!(share(1, 1, false).is_valid() && share(9_999, 10_000, true).is_valid());
        for bad in [
            share(0, 1, false),
            share(1, 1, true),
            share(2, 1, false),
            share(1, DENOMINATOR_MAX + 1, false),
        ] {
            assert!(!bad.is_valid(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for (number, kind) in (0u8..).zip(ProposalKind::ALL) {
            assert_eq!(kind as u8, number);
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }
}
