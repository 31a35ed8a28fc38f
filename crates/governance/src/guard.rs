//! What no vote may do: leave nobody who can vote, or a chain that cannot go on.

use std::collections::BTreeMap;

use hawser_ledger::GenesisValidator;

use crate::{
    error::GovernanceError,
    kind::{Basis, Count, ProposalKind},
    model::Charter,
};

/// Refuses a charter under which proposals of some kind could not pass even if every governor agreed.
pub fn governors(charter: &Charter) -> Result<(), GovernanceError> {
    let all: BTreeMap<_, _> = charter
        .voters()
        .map(|(account, _)| (*account, true))
        .collect();
    let by_members = Count::of(charter, Basis::Members, &all);
    let by_weight = Count::of(charter, Basis::Weight, &all);
    for kind in ProposalKind::ALL {
        let threshold = charter.threshold(kind);
        let count = match threshold.basis {
            Basis::Members => by_members,
            Basis::Weight => by_weight,
        };
        if !threshold.is_met(count.yes, count.total) {
            return Err(GovernanceError::NoQuorumOfGovernors {
                kind,
                yes: count.yes,
                total: count.total,
                needed: threshold.to_string(),
            });
        }
    }
    Ok(())
}

/// Refuses a committee in which validators that run already are no quorum.
pub fn validators(
    before: &[GenesisValidator],
    after: &[GenesisValidator],
) -> Result<(), GovernanceError> {
    let runs = |validator: &GenesisValidator| {
        before
            .iter()
            .any(|known| known.public_key == validator.public_key)
    };
    let weight = |kept: bool| {
        after
            .iter()
            .filter(|validator| !kept || runs(validator))
            .map(|validator| u128::from(validator.weight))
            .sum::<u128>()
    };
    let (kept, total) = (weight(true), weight(false));
    if kept * 3 > total * 2 {
        return Ok(());
    }
    let number = |weight: u128| u64::try_from(weight).unwrap_or(u64::MAX);
    Err(GovernanceError::NoQuorumOfValidators {
        kept: number(kept),
        total: number(total),
    })
}
