//! Freezing, and lifting a freeze.

use hawser_primitives::{Address, Time};

use super::Done;
use crate::{
    access::Store,
    audit::Moment,
    change::Target,
    error::{GovernanceError, invalid, limit},
    model::{FreezeRecord, Status},
    slots::{self, Counts},
};

/// Longest reason of a freeze, in bytes.
pub const REASON_BYTES_MAX: usize = 256;

/// Freezes something, until a time.
pub(crate) fn freeze(
    store: &mut dyn Store,
    counts: &mut Counts,
    moment: &Moment,
    by: Address,
    target: Target,
    until: Time,
    reason: &str,
) -> Done {
    limit("bytes of a reason", reason.len(), REASON_BYTES_MAX)?;
    if reason.is_empty() {
        return invalid("a freeze needs a reason");
    }
    if until <= moment.time {
        return invalid(format!(
            "the freeze would end at {until} ms, and it is {} ms already",
            moment.time
        ));
    }
    let record = FreezeRecord {
        by,
        reason: reason.to_owned(),
        since: moment.time,
        until,
    };
    let known = match target {
        Target::Account(address) | Target::Contract(address) => {
            if address == crate::ADDRESS {
                return invalid("the governance contract cannot be frozen");
            }
            let known = slots::load_freeze(store, &address)?.is_some();
            let mut word = slots::load_account(store, &address)?;
            word.frozen_until = until;
            slots::save_account(store, &address, &word)?;
            slots::save_freeze(store, &address, Some(&record))?;
            known
        }
        Target::Asset(asset) => {
            let known = slots::load_asset_freeze(store, &asset)?.is_some();
            slots::save_asset_freeze(store, &asset, Some(&record))?;
            known
        }
    };
    if !known {
        counts.freezes = counts.freezes.saturating_add(1);
    }
    Ok(())
}

/// Lifts a freeze.
pub(crate) fn unfreeze(store: &mut dyn Store, counts: &mut Counts, target: Target) -> Done {
    let missing = || GovernanceError::Unknown(format!("freeze of {target}"));
    match target {
        Target::Account(address) | Target::Contract(address) => {
            slots::load_freeze(store, &address)?.ok_or_else(missing)?;
            let mut word = slots::load_account(store, &address)?;
            if word.status == Status::Replaced {
                return invalid(format!(
                    "{address} was replaced in a key recovery; its freeze stays"
                ));
            }
            word.frozen_until = Time::default();
            slots::save_account(store, &address, &word)?;
            slots::save_freeze(store, &address, None)?;
        }
        Target::Asset(asset) => {
            slots::load_asset_freeze(store, &asset)?.ok_or_else(missing)?;
            slots::save_asset_freeze(store, &asset, None)?;
        }
    }
    counts.freezes = counts.freezes.saturating_sub(1);
    Ok(())
}
