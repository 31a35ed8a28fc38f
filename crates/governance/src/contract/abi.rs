//! The Solidity ABI of the contract.

use alloy_sol_types::{SolError, sol};
use hawser_execution::NativeFailure;
use hawser_primitives::{Address, B256, Time};

use crate::{change::Target, cosign::CoSignStatus};

sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq))]
    "../../examples/solidity/IGovernance.sol"
}

pub(super) fn malformed(reason: &str) -> NativeFailure {
    let error = IGovernance::MalformedCall {
        reason: reason.to_owned(),
    };
    NativeFailure::Revert(error.abi_encode().into())
}

/// How an operation's co-signatures stand, as the contract tells it; all empty where nothing waits.
pub(super) fn co_signatures(
    found: Option<CoSignStatus>,
    now: Time,
) -> IGovernance::coSignaturesReturn {
    let Some(CoSignStatus { request, missing }) = found else {
        return IGovernance::coSignaturesReturn {
            sender: Address::ZERO,
            parties: Vec::new(),
            missing: Vec::new(),
            signers: Vec::new(),
            until: Vec::new(),
        };
    };
    let given = request.given.iter().filter(|one| one.until > now);
    let (signers, until) = given.map(|one| (one.account, one.until.0)).unzip();
    IGovernance::coSignaturesReturn {
        sender: request.sender,
        parties: request.parties,
        missing,
        signers,
        until,
    }
}

/// Kind and word of a target, as `freeze` takes them.
#[must_use]
pub fn target_parts(target: Target) -> (u8, B256) {
    match target {
        Target::Account(account) => (0, account.into_word()),
        Target::Contract(contract) => (1, contract.into_word()),
        Target::Asset(asset) => (2, asset),
    }
}

/// Inverse of [`target_parts`].
#[must_use]
pub fn target_from_parts(kind: u8, word: &B256) -> Option<Target> {
    let address = || {
        let (head, tail) = word.split_first_chunk::<12>()?;
        (head == &[0; 12]).then(|| Address::from_slice(tail))
    };
    match kind {
        0 => address().map(Target::Account),
        1 => address().map(Target::Contract),
        2 => Some(Target::Asset(*word)),
        _ => None,
    }
}
