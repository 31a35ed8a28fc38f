use super::tables::Table;
use super::{Claim, PreparedKey};

/// A signature to verify.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The key that is said to have signed.
    pub key: &'a PreparedKey,
    /// The digest `e`, 32 bytes big endian ([`PreparedKey::digest`]).
    pub digest: [u8; 32],
    /// `r ‖ s`.
    pub signature: &'a [u8; 64],
}

/// An item that passed the checks of its numbers.
#[derive(Clone, Copy)]
struct Pending<'a> {
    /// Where its answer goes.
    at: usize,
    key: &'a PreparedKey,
    table: Option<&'a Table>,
    claim: Claim,
}

/// Verifies each item by itself; the answers are in the order of the items and those that
/// [`PreparedKey::verify_digest`] gives. The batch only saves time: nothing is combined, so one
/// bad signature neither spoils nor hides among others.
#[must_use]
pub fn verify_many(items: &[Item<'_>]) -> Vec<bool> {
    let mut answers = vec![false; items.len()];
    let (mut hot, mut cold) = (Vec::with_capacity(items.len()), Vec::new());
    for (at, item) in items.iter().enumerate() {
        if let Some(claim) = Claim::new(&item.digest, item.signature) {
            let (key, table) = (item.key, item.key.used());
            let group = if table.is_some() { &mut hot } else { &mut cold };
            group.push(Pending {
                at,
                key,
                table,
                claim,
            });
        }
    }
    for group in [hot, cold] {
        for some in group.chunks(LANES) {
            let fits = lanes::verify(some);
            for (i, pending) in some.iter().enumerate() {
                let fits = fits.and_then(|fits| fits.get(i).copied().flatten());
                // Without the instructions, and for the sums that they leave open.
                let fits =
                    fits.unwrap_or_else(|| pending.key.verify_claim(&pending.claim, pending.table));
                if let Some(answer) = answers.get_mut(pending.at) {
                    *answer = fits;
                }
            }
        }
    }
    answers
}

/// Signatures that are verified at once.
const LANES: usize = 8;

/// What eight lanes found: `None` for a lane that leaves the answer to the portable code.
type Found = [Option<bool>; LANES];

#[cfg(target_arch = "x86_64")]
mod lanes {
    use super::{Claim, Found, LANES, Pending};
    use crate::simd;
    use crate::sm2::ifma::Job;
    use crate::sm2::tables::{P_DIGITS, P_ENTRIES, P_STEP, Table};

    /// With fewer signatures than this of keys with tables, one after the other is faster; so it
    /// is for a single one of a key without.
    const WORTH_HOT: usize = 4;
    const WORTH_COLD: usize = 2;

    /// Up to eight signatures, of keys that all have tables or all have none.
    pub(super) fn verify(some: &[Pending<'_>]) -> Option<Found> {
        let first = some.first()?;
        let worth = match first.table {
            Some(_) => WORTH_HOT,
            None => WORTH_COLD,
        };
        if some.len() < worth {
            return None;
        }
        // Lanes that are left over repeat the first signature.
        let mut lanes = [*first; LANES];
        for (lane, pending) in lanes.iter_mut().zip(some) {
            *lane = *pending;
        }
        let sums = if let Some(table) = first.table {
            let tables = lanes.map(|lane| lane.table.unwrap_or(table));
            simd::multiply(&jobs(&lanes, tables.each_ref().map(|table| *table)), P_STEP)?
        } else {
            let tables = simd::tables(&lanes.map(|lane| lane.key.point))?
                .map(|points| Table::from_points(points, P_ENTRIES));
            simd::multiply(&jobs(&lanes, tables.each_ref()), P_DIGITS)?
        };
        let mut found = [None; LANES];
        for ((found, sum), lane) in found.iter_mut().zip(sums).zip(&lanes) {
            *found = sum.map(|sum| lane.claim.fits(&sum));
        }
        Some(found)
    }

    fn jobs<'a>(lanes: &[Pending<'_>; LANES], tables: [&'a Table; LANES]) -> [Job<'a>; LANES] {
        let mut tables = tables.into_iter();
        lanes.each_ref().map(|lane| {
            let Claim { s, t, .. } = lane.claim;
            let table = tables.next().unwrap_or(Table::base());
            Job { s, t, table }
        })
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    use super::{Found, Pending};

    pub(super) fn verify(_: &[Pending<'_>]) -> Option<Found> {
        None
    }
}
