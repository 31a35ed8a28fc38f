//! Bytes that are held for clients: requests being worked on and responses waiting to be read.
//!
//! One account for the whole node, and one per connection under it. What does not fit is refused
//! before it is held, so that many patient clients together cost no more memory than configured.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Answers up to this long are held whatever the account says, for refusing is an answer too.
const ALWAYS_BYTES: usize = 1_024;

/// An account of bytes with a limit, possibly under a wider one. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    max: usize,
    used: AtomicUsize,
    above: Option<Budget>,
}

/// Bytes counted in a [`Budget`] until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A node's account of `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self::with(max, None)
    }

    /// A connection's account of `max` bytes, all of which count in this one, too.
    pub(crate) fn part(&self, max: usize) -> Self {
        Self::with(max, Some(self.clone()))
    }

    fn with(max: usize, above: Option<Self>) -> Self {
        Self(Arc::new(Account {
            max,
            used: AtomicUsize::new(0),
            above,
        }))
    }

    /// Bytes held.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Nothing yet; [`Held::grow`] adds to it.
    pub(crate) fn nothing(&self) -> Held {
        Held {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// Counts these bytes; `None` where they do not fit.
    pub(crate) fn hold(&self, bytes: usize) -> Option<Held> {
        let mut held = self.nothing();
        held.grow(bytes).then_some(held)
    }

    /// Counts an answer: a short one in any case.
    pub(crate) fn hold_answer(&self, bytes: usize) -> Option<Held> {
        if bytes <= ALWAYS_BYTES {
            return Some(self.hold_anyway(bytes));
        }
        self.hold(bytes)
    }

    /// Counts these bytes whether or not they fit.
    pub(crate) fn hold_anyway(&self, bytes: usize) -> Held {
        self.add(bytes);
        Held {
            budget: self.clone(),
            bytes,
        }
    }

    fn try_add(&self, bytes: usize) -> bool {
        let added = self
            .0
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.0.max)
            });
        if added.is_err() {
            return false;
        }
        if self
            .0
            .above
            .as_ref()
            .is_some_and(|above| !above.try_add(bytes))
        {
            self.0.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    fn add(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        if let Some(above) = &self.0.above {
            above.add(bytes);
        }
    }

    fn sub(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(above) = &self.0.above {
            above.sub(bytes);
        }
    }
}

impl Held {
    /// Counts further bytes; false, and nothing counted, where they do not fit.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.budget.try_add(bytes);
        if fits {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        fits
    }

    /// Takes over what another one of the same account holds.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.budget.0, &other.budget.0));
        self.bytes = self.bytes.saturating_add(std::mem::take(&mut other.bytes));
    }

    /// Gives everything held so far away, and goes on from nothing.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            budget: self.budget.clone(),
            bytes: std::mem::take(&mut self.bytes),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_the_node_and_of_the_connection_limit() {
        let node = Budget::new(100);
        let (one, two) = (node.part(60), node.part(60));
        let first = one.hold(60).unwrap();
        assert!(one.hold(1).is_none(), "the connection's limit");
        assert!(two.hold(41).is_none(), "the node's limit");
        assert_eq!((one.used(), two.used(), node.used()), (60, 0, 60));
        let second = two.hold(40).unwrap();
        drop(first);
        assert_eq!(node.used(), 40);
        drop(second);
        assert_eq!(node.used(), 0);
    }

    #[test]
    fn what_is_held_grows_moves_and_is_given_back_once() {
        let node = Budget::new(10);
        let mut held = node.nothing();
        assert!(held.grow(6) && !held.grow(5) && held.grow(4));
        let taken = held.take();
        assert_eq!(node.used(), 10);
        assert!(!held.grow(1));
        held.absorb(taken);
        drop(held);
        assert_eq!(node.used(), 0);
    }

    #[test]
    fn a_short_answer_is_held_even_when_nothing_else_fits() {
        let node = Budget::new(10);
        let _all = node.hold(10).unwrap();
        assert!(node.hold_answer(ALWAYS_BYTES).is_some());
        assert!(node.hold_answer(ALWAYS_BYTES + 1).is_none());
        assert_eq!(node.used(), 10);
    }
}
