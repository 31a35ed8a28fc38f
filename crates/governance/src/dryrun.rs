//! Who would gain and who would lose what by a change, before anyone votes.

use std::collections::BTreeSet;

use hawser_crypto::Suite;
use hawser_primitives::{Address, Time};
use serde::Serialize;

use crate::{
    access::{Overlay, Store},
    action::{Action, Actions},
    audit::Moment,
    change::Change,
    error::GovernanceError,
    law::{Law, decide},
    model::{Resource, Subject},
    proposal,
    slots::{self, Counts},
};

/// Most accounts that a dry run looks at; it says so when there are more.
pub const DRY_RUN_ACCOUNTS_MAX: usize = 10_000;
/// Most resources that a dry run looks at.
const DRY_RUN_RESOURCES_MAX: usize = 64;

/// What changes for one account on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shift {
    /// Whose.
    pub account: Address,
    /// On what.
    pub resource: Resource,
    /// What it may do afterwards and not before.
    pub gains: Actions,
    /// What it may do before and not afterwards.
    pub loses: Actions,
}

/// The outcome of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// What shifts, by account and resource.
    pub shifts: Vec<Shift>,
    /// How many accounts were looked at.
    pub accounts: usize,
    /// Whether there are accounts that were not looked at.
    pub cut: bool,
}

/// Compares every answer before and after.
///
/// Looked at are the members, the accounts that changes and rules name, and for outsiders one account
/// that stands for all of them (the zero address); the resources are none in particular and those that
/// the rules and changes name.
pub fn dry_run(
    store: &mut dyn Store,
    suite: Suite,
    moment: &Moment,
    changes: &[Change],
) -> Result<DryRun, GovernanceError> {
    let before = slots::load_charter(store)?.ok_or(GovernanceError::Ungoverned)?;
    let mut accounts: BTreeSet<Address> = [Address::ZERO].into();
    let mut resources: BTreeSet<Resource> = [Resource::Any].into();
    let mut named = |rules: &std::collections::BTreeMap<u32, crate::model::Rule>| {
        for rule in rules.values() {
            if let Subject::Account(account) = rule.subject {
                accounts.insert(account);
            }
            if resources.len() < DRY_RUN_RESOURCES_MAX {
                resources.insert(rule.resource.clone());
            }
        }
    };
    named(&before.rules);
    // Trial writes go to an overlay; answers before are taken first, from below it.
    let after_charter = {
        let mut trial = Overlay::new(suite, &mut *store);
        proposal::carry_out(&mut trial, suite, moment, changes, true)?;
        slots::load_charter(&mut trial)?.ok_or(GovernanceError::Ungoverned)?
    };
    named(&after_charter.rules);
    for change in changes {
        match change {
            Change::AddMember { account, .. }
            | Change::RemoveMember { account }
            | Change::SetRoles { account, .. }
            | Change::SuspendMember { account, .. }
            | Change::SetCertificate { account, .. } => {
                accounts.insert(*account);
            }
            Change::RecoverAccount { old, new } => accounts.extend([*old, *new]),
            Change::Freeze { target, .. } | Change::Unfreeze { target } => match target {
                crate::Target::Account(account) => {
                    accounts.insert(*account);
                }
                crate::Target::Contract(contract) => {
                    resources.insert(Resource::Contract(*contract));
                }
                crate::Target::Asset(asset) => {
                    resources.insert(Resource::Asset(*asset));
                }
            },
            _ => {}
        }
    }
    let members = Counts::load(store)?.members;
    let mut cut = false;
    for index in 0..members {
        if accounts.len() >= DRY_RUN_ACCOUNTS_MAX {
            cut = true;
            break;
        }
        let slot = slots::member_slot(index);
        accounts.extend(slots::load_address(store, &slot)?);
    }
    let (before, after) = (Law::new(before), Law::new(after_charter));
    let questions = |law: &Law, store: &mut dyn Store, now: Time| {
        let mut answers = Vec::new();
        for account in &accounts {
            for resource in &resources {
                let mut allowed = Actions::NONE;
                for action in Action::ALL {
                    if decide(law, store, account, action, resource, now)?.allowed {
                        allowed.0 |= 1 << action as u8;
                    }
                }
                answers.push((*account, resource.clone(), allowed));
            }
        }
        Ok::<_, GovernanceError>(answers)
    };
    let old = questions(&before, store, moment.time)?;
    let mut trial = Overlay::new(suite, store);
    proposal::carry_out(&mut trial, suite, moment, changes, true)?;
    let new = questions(&after, &mut trial, moment.time)?;
    let mut shifts: Vec<Shift> = Vec::new();
    for ((account, resource, had), (_, _, has)) in old.into_iter().zip(new) {
        let (gains, loses) = (Actions(has.0 & !had.0), Actions(had.0 & !has.0));
        if gains == Actions::NONE && loses == Actions::NONE {
            continue;
        }
        // What shifts on everything is not repeated for each resource.
        let general = shifts
            .iter()
            .rev()
            .find(|shift| shift.account == account && shift.resource == Resource::Any);
        if general.is_some_and(|general| general.gains == gains && general.loses == loses) {
            continue;
        }
        shifts.push(Shift {
            account,
            resource,
            gains,
            loses,
        });
    }
    Ok(DryRun {
        shifts,
        accounts: accounts.len(),
        cut,
    })
}
