//! What a change must satisfy whatever the chain is like.

use hawser_ledger::{AUTHORITIES_MAX, GOVERNANCE_NAME_BYTES_MAX, ROOTS_MAX};

use super::Done;
use crate::{
    action::{ACTIONS, Actions, CUSTOM_ROLE_FIRST, CUSTOM_ROLE_LAST},
    error::{invalid, limit},
    model::{Organisation, TIME_LOCK_MS_MAX, VOTING_MS_MAX, VOTING_MS_MIN},
};

pub(super) fn check_custom(role: u8) -> Done {
    if (CUSTOM_ROLE_FIRST..=CUSTOM_ROLE_LAST).contains(&role) {
        Ok(())
    } else {
        invalid(format!(
            "custom roles have numbers {CUSTOM_ROLE_FIRST} to {CUSTOM_ROLE_LAST}, not {role}"
        ))
    }
}

pub(super) fn check_name(what: &'static str, name: &str) -> Done {
    if name.is_empty() {
        return invalid(format!("the {what} is empty"));
    }
    limit(what, name.len(), GOVERNANCE_NAME_BYTES_MAX)
}

pub(super) fn check_actions(actions: Actions) -> Done {
    if actions.is_valid() {
        Ok(())
    } else {
        invalid(format!("actions have bits 0 to {}", ACTIONS - 1))
    }
}

/// Refuses to hand to everyone what governs the chain.
pub(crate) fn check_public(actions: Actions) -> Done {
    use crate::action::Action::{Configure, Freeze, Inspect, Join, Propose, Vote};
    let reserved = Actions::of(&[Join, Propose, Vote, Inspect, Freeze, Configure]);
    if actions.0 & reserved.0 == 0 {
        Ok(())
    } else {
        let names = Actions(actions.0 & reserved.0).names();
        invalid(format!(
            "{names}: these take a member; they cannot be public"
        ))
    }
}

pub(crate) fn check_times(time_lock_ms: u64, voting_ms: u64) -> Done {
    if time_lock_ms > TIME_LOCK_MS_MAX {
        return invalid(format!("a time lock lasts at most {TIME_LOCK_MS_MAX} ms"));
    }
    if !(VOTING_MS_MIN..=VOTING_MS_MAX).contains(&voting_ms) {
        return invalid(format!(
            "voting lasts {VOTING_MS_MIN} to {VOTING_MS_MAX} ms"
        ));
    }
    Ok(())
}

pub(super) fn check_organisation(id: u32, organisation: &Organisation) -> Done {
    if id == 0 {
        return invalid("numbers of organisations start at 1");
    }
    check_name("name of an organisation", &organisation.name)?;
    if organisation.weight == 0 {
        return invalid(format!("organisation {id} needs a weight of at least 1"));
    }
    limit(
        "authorities",
        organisation.authorities.len(),
        AUTHORITIES_MAX,
    )?;
    limit("certificate roots", organisation.roots.len(), ROOTS_MAX)?;
    let mut sorted = organisation.authorities.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != organisation.authorities.len() {
        return invalid(format!("organisation {id} names an authority twice"));
    }
    let threshold = usize::from(organisation.authority_threshold);
    if threshold == 0 || (!sorted.is_empty() && threshold > sorted.len()) {
        return invalid(format!(
            "organisation {id} asks {threshold} of {} authorities to agree",
            sorted.len()
        ));
    }
    Ok(())
}
