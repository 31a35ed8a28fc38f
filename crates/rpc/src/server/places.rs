//! How many connections one address has, so that one client cannot take the places of all.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

type Counts = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

/// Open connections by address.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    open: Counts,
}

/// The place of one connection, WebSockets included, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    from: IpAddr,
    open: Counts,
}

impl Places {
    /// At most `max` for each address.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            open: Counts::default(),
        }
    }

    /// A place for one more connection from here; `None` when this address has as many as it may.
    pub(super) fn take(&self, from: IpAddr) -> Option<Place> {
        let from = party(from);
        let mut open = self.open.lock();
        let count = open.entry(from).or_default();
        if *count >= self.max {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            from,
            open: Arc::clone(&self.open),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.from);
            }
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, for whoever has one of them has all
/// (RFC 4291, section 2.5.4).
fn party(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_the_limit_of_an_address() {
        let places = Places::new(2);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let (one, two) = (places.take(at("10.0.0.1")), places.take(at("10.0.0.1")));
        assert!(one.is_some() && two.is_some());
        assert!(places.take(at("10.0.0.1")).is_none());
        assert!(
            places.take(at("::ffff:10.0.0.1")).is_none(),
            "the same, written as IPv6"
        );
        assert!(
            places.take(at("10.0.0.2")).is_some(),
            "others have their own"
        );
        drop(one);
        let again = places.take(at("10.0.0.1"));
        assert!(again.is_some());
        drop((two, again));
        assert!(
            places.open.lock().is_empty(),
            "nothing is kept of who is gone"
        );
        let network = [
            places.take(at("2001:db8::1")),
            places.take(at("2001:db8::2")),
        ];
        assert!(network.iter().all(Option::is_some));
        assert!(places.take(at("2001:db8::3")).is_none());
        assert!(places.take(at("2001:db8:0:1::1")).is_some());
    }
}
