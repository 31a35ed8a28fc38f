//! What can be said of a block before it runs: which transactions will probably meet.
//!
//! A hint is never relied on. One too many makes a transaction wait, one too few makes it run twice.

use alloy_consensus::Transaction as _;
use alloy_primitives::map::HashMap;
use hawser_ledger::{Call, Envelope, Ordering, VerifiedTransaction};
use hawser_primitives::Address;

use crate::NativeRegistry;

/// Calls of a transaction and words of a call's data that are looked at.
const CALLS_MAX: usize = 8;
const WORDS_MAX: usize = 3;
/// Transactions after which a block that is one chain so far is given up.
const SAMPLE: usize = 256;

/// What is known of a block beforehand.
pub(super) struct Hints {
    /// Pairs of an earlier and a later transaction, the later one waits for.
    pub(super) edges: Vec<(u32, u32)>,
    /// Whether a transaction must run at its turn.
    pub(super) in_turn: Vec<bool>,
    /// Transactions in the longest chain of those that wait for one another.
    pub(super) chain_max: usize,
}

/// A place that transactions meet at, as 64 bits: of an account, or of an account and a word. Two
/// that collide make one transaction wait for nothing.
type Place = u64;

fn tail(bytes: &[u8]) -> u64 {
    let last = bytes.last_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(last)
}

fn account(address: &Address) -> Place {
    tail(address.as_slice())
}

fn within(contract: &Address, word: &[u8]) -> Place {
    let mixed = tail(contract.as_slice()) ^ 0x9e37_79b9_7f4a_7c15;
    mixed.rotate_left(31) ^ tail(word)
}

/// The words of call data that look like accounts, hashes or other names: amounts are smaller.
fn names(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let selector = if data.len() % 32 == 4 { 4 } else { 0 };
    let words = data.get(selector..).unwrap_or_default().chunks_exact(32);
    words.take(WORDS_MAX).filter(|word| {
        word.get(..24)
            .is_some_and(|upper| upper.iter().any(|byte| *byte != 0))
    })
}

/// One call as far as it matters here.
struct Target<'a> {
    to: Option<Address>,
    pays: bool,
    data: &'a [u8],
}

impl Target<'_> {
    fn places(&self, sender: &Address, out: &mut Vec<Place>) {
        let Some(to) = &self.to else {
            return;
        };
        if self.pays {
            out.push(account(to));
        }
        if !self.data.is_empty() {
            out.push(within(to, sender.as_slice()));
            out.extend(names(self.data).map(|word| within(to, word)));
        }
    }
}

/// What a transaction will probably touch; says whether it must run at its turn.
fn places(
    transaction: &VerifiedTransaction,
    natives: &NativeRegistry,
    out: &mut Vec<Place>,
) -> bool {
    let sender = transaction.sender();
    let in_turn = |to: Option<&Address>| {
        to.and_then(|to| natives.get(to))
            .is_some_and(|contract| contract.in_turn())
    };
    let native = match transaction.transaction().envelope() {
        Envelope::Ethereum(envelope) => {
            out.push(account(&sender));
            let to = envelope.to();
            let target = Target {
                to,
                pays: !envelope.value().is_zero(),
                data: envelope.input(),
            };
            target.places(&sender, out);
            let authorities = envelope.authorization_list().unwrap_or_default();
            // Recovering who authorized costs more than waiting.
            return !authorities.is_empty() || in_turn(to.as_ref());
        }
        Envelope::Native(native) => native.view(),
        Envelope::Multisig(multisig) => multisig.view(),
    };
    let mut pays = matches!(native.ordering, Ordering::Sequential { .. });
    let mut turn = false;
    for call in native.calls.iter().take(CALLS_MAX) {
        let (to, value, data) = match call {
            Call::Call { to, value, input } => (Some(*to), value, input),
            Call::Create { value, init_code } => (None, value, init_code),
        };
        pays |= !value.is_zero();
        turn |= in_turn(to.as_ref());
        let target = Target {
            to,
            pays: !value.is_zero(),
            data,
        };
        target.places(&sender, out);
    }
    if pays {
        out.push(account(&sender));
    }
    turn
}

impl Hints {
    /// Looks at a block. `None` where its beginning is one chain already: nothing can be gained.
    pub(super) fn of<'t>(
        transactions: impl ExactSizeIterator<Item = &'t VerifiedTransaction>,
        natives: &NativeRegistry,
    ) -> Option<Self> {
        let count = transactions.len();
        let mut hints = Self {
            edges: Vec::with_capacity(count),
            in_turn: Vec::with_capacity(count),
            chain_max: 0,
        };
        let mut last: HashMap<Place, u32> = HashMap::default();
        last.reserve(count.saturating_mul(3));
        let mut depths: Vec<usize> = Vec::with_capacity(count);
        let mut touched = Vec::new();
        for (index, transaction) in transactions.enumerate() {
            let me = u32::try_from(index).unwrap_or(u32::MAX);
            touched.clear();
            let turn = places(transaction, natives, &mut touched);
            let mut depth = 0;
            let first = hints.edges.len();
            for place in &touched {
                let Some(before) = last.insert(*place, me).filter(|before| *before != me) else {
                    continue;
                };
                let edge = (before, me);
                if hints
                    .edges
                    .get(first..)
                    .is_some_and(|new| new.contains(&edge))
                {
                    continue;
                }
                hints.edges.push(edge);
                let place = usize::try_from(before).unwrap_or_default();
                depth = depth.max(depths.get(place).copied().unwrap_or_default());
            }
            let depth = depth.saturating_add(1);
            depths.push(depth);
            hints.chain_max = hints.chain_max.max(depth);
            hints.in_turn.push(turn);
            if index == SAMPLE && hints.chain_max > SAMPLE - SAMPLE / 8 {
                return None;
            }
        }
        Some(hints)
    }
}
