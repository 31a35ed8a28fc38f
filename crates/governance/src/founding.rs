//! The contract's storage at the start of a chain.

use std::collections::{BTreeMap, BTreeSet};

use hawser_execution::NativeGenesis;
use hawser_ledger::{Genesis, GenesisGovernance, SETTINGS_SLOT, SettingsSchedule};
use hawser_primitives::{B256, Domain, Height};

use crate::{
    access::{Empty, Overlay, Store},
    action::{Action, Actions, Role, Roles},
    audit::{self, EntryKind, Moment, Remark},
    change::Change,
    draft::{Draft, check_public, check_times},
    error::GovernanceError,
    model::{Charter, RULES_MAX},
};

/// What those may do who are no members, where genesis says nothing: what everybody could do before
/// there was governance.
pub const PUBLIC_ACTIONS: Actions = Actions::of(&[
    Action::Deploy,
    Action::Call,
    Action::Transfer,
    Action::Read,
    Action::Subscribe,
]);

const _: () = assert!(RULES_MAX <= u32::MAX as usize, "numbers of rules fit");

/// Storage of a chain with this genesis; none without a section on governance.
pub fn storage(genesis: &Genesis) -> Result<NativeGenesis, GovernanceError> {
    let Some(section) = &genesis.governance else {
        return Ok(NativeGenesis::default());
    };
    let mut empty = Empty;
    let mut store = Overlay::new(genesis.suite, &mut empty);
    let schedule = SettingsSchedule::of_genesis(genesis).to_bytes();
    let hash = store.put(Domain::Settings, schedule)?;
    store.store(&SETTINGS_SLOT, hash)?;
    let moment = Moment {
        height: Height::GENESIS,
        time: genesis.time,
        transaction: B256::ZERO,
    };
    let mut draft = Draft::founding(&mut store, genesis.suite, moment, charter(section)?);
    for organisation in &section.organisations {
        draft.apply(&Change::AddOrganisation {
            id: organisation.id,
            name: organisation.name.clone(),
            weight: organisation.weight,
            authorities: organisation.authorities.clone(),
            authority_threshold: organisation.authority_threshold,
            roots: organisation.roots.clone(),
        })?;
    }
    for member in &section.members {
        let roles = Roles::from_names(&member.roles)
            .map_err(|error| GovernanceError::Invalid(error.to_string()))?;
        let (name, organisation) = (&member.name, member.organisation);
        draft.add_member(
            member.account,
            name,
            organisation,
            roles,
            member.certificate,
        )?;
    }
    draft.finish()?;
    let names: Vec<_> = section
        .organisations
        .iter()
        .map(|o| o.name.as_str())
        .collect();
    let detail = format!("{} members; {}", section.members.len(), names.join(", "));
    let founded = Remark::new(EntryKind::Founded, crate::ADDRESS, "chain", detail);
    audit::append(&mut store, &moment, founded)?;
    Ok(NativeGenesis {
        slots: std::mem::take(&mut store.slots),
        blobs: std::mem::take(&mut store.blobs),
    })
}

fn charter(section: &GenesisGovernance) -> Result<Charter, GovernanceError> {
    let public_actions = match &section.public_actions {
        None => PUBLIC_ACTIONS,
        Some(names) => Actions::from_names(names)
            .map_err(|error| GovernanceError::Invalid(error.to_string()))?,
    };
    check_public(public_actions)?;
    check_times(section.time_lock_ms, section.voting_ms)?;
    Ok(Charter {
        account_mode: section.account_mode,
        public_actions,
        signed_reads: section.signed_reads,
        time_lock_ms: section.time_lock_ms,
        voting_ms: section.voting_ms,
        thresholds: BTreeMap::new(),
        organisations: BTreeMap::new(),
        removed: BTreeSet::new(),
        roles: BTreeMap::new(),
        rules: BTreeMap::new(),
        governors: BTreeMap::new(),
        policies: BTreeMap::new(),
    })
}

/// Whether a genesis with a section on governance can start a chain; the words of what is wrong.
pub fn check(genesis: &Genesis) -> Result<(), GovernanceError> {
    let Some(section) = &genesis.governance else {
        return Ok(());
    };
    let governor = |names: &Vec<String>| names.iter().any(|name| name == Role::Governor.name());
    if !section.members.iter().any(|member| governor(&member.roles)) {
        return Err(GovernanceError::Invalid(
            "governance needs a member with the role governor".to_owned(),
        ));
    }
    storage(genesis).map(|_| ())
}
