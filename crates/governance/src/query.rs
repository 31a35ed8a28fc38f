//! Questions to a committed state.

use std::collections::BTreeSet;

use hawser_crypto::Suite;
use hawser_ledger::{
    Genesis, SettingsSchedule,
    state::{StateError, StateRead},
};
use hawser_primitives::{Address, Height, Time};
use serde::Serialize;

use crate::{
    access::{self, AccessError, StateView, gate_error},
    action::Action,
    audit::{self, EntryKind},
    change::{Change, Target},
    law::{Basis, Decision, Law, Laws, decide},
    model::{AccountWord, Charter, FreezeRecord, MemberDetails, Policy, Resource},
    proposal::{self, Proposal},
    slots::{self, Counts},
};

/// The charter; `None` on a chain without governance.
pub fn charter(state: &dyn StateRead) -> Result<Option<Charter>, StateError> {
    slots::load_charter(&mut StateView(state)).map_err(gate_error)
}

/// How much there is.
pub fn counts(state: &dyn StateRead) -> Result<Counts, StateError> {
    Counts::load(&mut StateView(state)).map_err(gate_error)
}

/// All that is known of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its slot.
    pub word: AccountWord,
    /// More, if it is or was a member.
    pub details: Option<MemberDetails>,
    /// Why it is frozen, if it is or was.
    pub freeze: Option<FreezeRecord>,
}

/// All that is known of an account.
pub fn account(state: &dyn StateRead, account: &Address) -> Result<Known, StateError> {
    let mut store = StateView(state);
    let known = |store: &mut StateView<'_>| {
        Ok::<_, AccessError>(Known {
            word: slots::load_account(store, account)?,
            details: slots::load_details(store, account)?,
            freeze: slots::load_freeze(store, account)?,
        })
    };
    known(&mut store).map_err(gate_error)
}

/// Members from a position on, at most `max`, with what is known of each.
pub fn members(
    state: &dyn StateRead,
    from: u32,
    max: usize,
) -> Result<Vec<(Address, Known)>, StateError> {
    let count = counts(state)?.members;
    let mut found = Vec::new();
    for index in from..count {
        if found.len() >= max {
            break;
        }
        let slot = slots::member_slot(index);
        let address = slots::load_address(&mut StateView(state), &slot).map_err(gate_error)?;
        if let Some(address) = address {
            found.push((address, account(state, &address)?));
        }
    }
    Ok(found)
}

/// A proposal with its changes; `None` where there is none.
pub fn proposal(
    state: &dyn StateRead,
    id: u64,
) -> Result<Option<(Proposal, Vec<Change>)>, StateError> {
    let mut store = StateView(state);
    let found = proposal::load(&mut store, id).map_err(gate_error)?;
    let Some(proposal) = found else {
        return Ok(None);
    };
    let changes = proposal::changes(&mut store, &proposal).map_err(gate_error)?;
    Ok(Some((proposal, changes)))
}

/// The newest entry of the audit trail, by number and hash.
pub fn audit_head(state: &dyn StateRead) -> Result<(u64, hawser_primitives::B256), StateError> {
    audit::head(&mut StateView(state)).map_err(gate_error)
}

/// Entries of the audit trail; see [`audit::entries`].
pub fn audit_entries(
    state: &dyn StateRead,
    filter: &audit::Filter,
    from: u64,
    max: usize,
    scan: u64,
) -> Result<(Vec<audit::Entry>, Option<u64>), StateError> {
    audit::entries(&mut StateView(state), filter, from, max, scan).map_err(gate_error)
}

/// Entries of the audit trail, the newest first; see [`audit::entries_below`].
pub fn audit_entries_below(
    state: &dyn StateRead,
    filter: &audit::Filter,
    below: u64,
    max: usize,
    scan: u64,
) -> Result<(Vec<audit::Entry>, Option<u64>), StateError> {
    audit::entries_below(&mut StateView(state), filter, below, max, scan).map_err(gate_error)
}

/// The script of a supervision rule, as UTF-8 text; `None` where there is no rule of this number.
pub fn script(state: &dyn StateRead, number: u32) -> Result<Option<(Policy, String)>, StateError> {
    let charter = charter(state)?;
    let policy = charter.and_then(|mut charter| charter.policies.remove(&number));
    let Some(policy) = policy else {
        return Ok(None);
    };
    let bytes = access::named(&mut StateView(state), &policy.script).map_err(gate_error)?;
    // As the engine takes it: what is no text does not compile.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some((policy, text)))
}

/// Something that is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// What.
    pub target: Target,
    /// By whom, why, since and until when.
    pub record: FreezeRecord,
    /// The audit entry that tells of it.
    pub entry: u64,
}

/// What is frozen at a time, the newest freezes first: at most `max`, found in no more than `scan`
/// audit entries below number `below`. Gives the number below which to go on, or `None` at the end.
pub fn freezes(
    state: &dyn StateRead,
    now: Time,
    below: u64,
    max: usize,
    scan: u64,
) -> Result<(Vec<Frozen>, Option<u64>), StateError> {
    // Expired freezes are counted too, so this says only when nobody needs to look for any.
    if counts(state)?.freezes == 0 {
        return Ok((Vec::new(), None));
    }
    let mut store = StateView(state);
    let (last, _) = audit::head(&mut store).map_err(gate_error)?;
    let (mut number, mut left) = (below.min(last.saturating_add(1)), scan);
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    while number > 1 {
        if left == 0 || found.len() >= max {
            return Ok((found, Some(number)));
        }
        (number, left) = (number.saturating_sub(1), left.saturating_sub(1));
        let entry = audit::entry(&mut store, number).map_err(gate_error)?;
        let Some(entry) = entry else { continue };
        for target in targets(&mut store, &entry).map_err(gate_error)? {
            let record = match target {
                Target::Account(account) | Target::Contract(account) => {
                    slots::load_freeze(&mut store, &account)
                }
                Target::Asset(asset) => slots::load_asset_freeze(&mut store, &asset),
            };
            // Another record than the entry's: it was lifted, or frozen anew, since.
            let stands = record
                .map_err(gate_error)?
                .filter(|record| record.since == entry.time && record.until > now);
            if let Some(record) = stands
                && seen.insert(target.to_string())
            {
                found.push(Frozen {
                    target,
                    record,
                    entry: number,
                });
            }
        }
    }
    Ok((found, None))
}

/// What an entry says was frozen: the target of a freeze, or the accounts that a proposal replaced.
fn targets(store: &mut StateView<'_>, entry: &audit::Entry) -> Result<Vec<Target>, AccessError> {
    match entry.kind {
        EntryKind::Frozen => return Ok(entry.target.parse().into_iter().collect()),
        EntryKind::Executed | EntryKind::Recovered => {}
        _ => return Ok(Vec::new()),
    }
    let number = entry.target.strip_prefix("proposal:");
    let Some(number) = number.and_then(|number| number.parse().ok()) else {
        return Ok(Vec::new());
    };
    let Some(proposal) = proposal::load(store, number)? else {
        return Ok(Vec::new());
    };
    let changes = proposal::changes(store, &proposal)?;
    let replaced = changes.iter().filter_map(|change| match change {
        Change::RecoverAccount { old, .. } => Some(Target::Account(*old)),
        _ => None,
    });
    Ok(replaced.collect())
}

/// The authorizer's answer with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// Whether it is allowed.
    pub allowed: bool,
    /// What decided.
    pub rule: String,
    /// In words.
    pub reason: String,
}

/// Whether an account may do something, and why. The same answer as at the pool and at execution.
pub fn why(
    laws: &Laws,
    state: &dyn StateRead,
    account: &Address,
    action: Action,
    resource: &Resource,
    now: Time,
    lang: crate::Lang,
) -> Result<Why, StateError> {
    let mut store = StateView(state);
    let Some(law) = laws.current(&mut store).map_err(gate_error)? else {
        return Ok(ungoverned(lang));
    };
    let answer = decide(&law, &mut store, account, action, resource, now).map_err(gate_error)?;
    Ok(Why {
        allowed: answer.allowed,
        rule: answer.rule(),
        reason: answer.reason(law.charter(), action, resource, lang),
    })
}

fn ungoverned(lang: crate::Lang) -> Why {
    let basis = Basis::Ungoverned;
    let answer = Decision {
        allowed: true,
        basis,
    };
    Why {
        allowed: true,
        rule: answer.rule(),
        reason: lang.pick(
            "this chain has no governance; everyone may do everything".to_owned(),
            "本链没有治理，任何人可做任何操作".to_owned(),
        ),
    }
}

/// The law in force; `None` on a chain without governance.
pub fn law(laws: &Laws, state: &dyn StateRead) -> Result<Option<std::sync::Arc<Law>>, StateError> {
    laws.current(&mut StateView(state)).map_err(gate_error)
}

/// The settings that the next change would build on.
pub fn latest_settings(
    state: &dyn StateRead,
    genesis: &Genesis,
) -> Result<hawser_ledger::ChainSettings, hawser_ledger::SettingsError> {
    let schedule = SettingsSchedule::in_state(state, genesis)?;
    Ok(schedule.latest().settings.clone())
}

/// When a question is asked, for trials.
#[must_use]
pub fn moment(height: Height, time: Time) -> audit::Moment {
    audit::Moment {
        height,
        time,
        transaction: hawser_primitives::B256::ZERO,
    }
}

/// Hash of the suite over an audit entry, for those who check an export.
#[must_use]
pub fn entry_hash(suite: Suite, entry: &audit::Entry) -> hawser_primitives::B256 {
    entry.hash(suite)
}
