//! Inbound connections that have not authenticated yet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Bounded, and never closed to newcomers: strangers can fill it at will, so when it is full the
/// oldest entry of the address that holds the most makes room. An honest handshake takes a few
/// round trips and is gone before its turn comes.
#[derive(Debug)]
pub(crate) struct Pending {
    entries: Mutex<Entries>,
    max: usize,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    /// By age: numbers grow.
    by_age: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
}

/// A place among the pending. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    pending: Arc<Pending>,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Pending {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::default(),
            max,
        })
    }

    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> Place {
        let (evict, evicted) = oneshot::channel();
        let mut entries = self.entries.lock();
        let number = entries.next;
        entries.next = entries.next.wrapping_add(1);
        entries.by_age.insert(number, (from, evict));
        if entries.by_age.len() > self.max
            && let Some((_, victim)) = entries
                .victim(number)
                .and_then(|victim| entries.by_age.remove(&victim))
        {
            // An error means that the handshake has just ended by itself.
            let _ = victim.send(());
        }
        Place {
            pending: Arc::clone(self),
            number,
            evicted,
        }
    }
}

impl Entries {
    fn victim(&self, newcomer: u64) -> Option<u64> {
        let mut held: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (from, _)) in self
            .by_age
            .iter()
            .filter(|(number, _)| **number != newcomer)
        {
            held.entry(*from).or_insert((0, *number)).0 += 1;
        }
        let oldest_of_most = held
            .values()
            .max_by_key(|(count, oldest)| (*count, u64::MAX - oldest));
        oldest_of_most.map(|(_, oldest)| *oldest)
    }
}

impl Place {
    /// Resolves when this place is needed for somebody else.
    pub(crate) async fn evicted(&mut self) {
        if (&mut self.evicted).await.is_err() {
            // The sender lives in the list until it is used, so this does not happen; if it did,
            // waiting on would leave the handshake to its timeout.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pending.entries.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn is_evicted(place: &mut Place) -> bool {
        place.evicted.try_recv().is_ok()
    }

    #[test]
    fn a_full_house_drops_the_oldest_of_the_greediest_address() {
        let pending = Pending::new(4);
        let mut honest = pending.enter(address(1));
        let mut greedy: Vec<_> = (0..3).map(|_| pending.enter(address(2))).collect();
        assert!(!greedy.iter_mut().any(is_evicted));
        let mut newcomer = pending.enter(address(3));
        assert!(is_evicted(&mut greedy[0]));
        assert!(!is_evicted(&mut greedy[1]) && !is_evicted(&mut honest));
        assert!(!is_evicted(&mut newcomer));
        assert_eq!(pending.entries.lock().by_age.len(), 4);
    }

    #[test]
    fn finished_handshakes_give_their_place_back() {
        let pending = Pending::new(1);
        for _ in 0..3 {
            let mut place = pending.enter(address(1));
            assert!(!is_evicted(&mut place));
        }
        assert!(pending.entries.lock().by_age.is_empty());
        let mut first = pending.enter(address(1));
        let mut second = pending.enter(address(1));
        assert!(is_evicted(&mut first) && !is_evicted(&mut second));
    }
}
