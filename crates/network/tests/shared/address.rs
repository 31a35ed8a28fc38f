//! Addresses for nodes of tests.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// An address of this machine that nobody listens on, for a node that starts later, and perhaps again. Below the ports
/// that the system gives out by itself, so that no connection and no other listener of a test takes it before, and never
/// the same twice.
pub(crate) fn address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let first = std::process::id().wrapping_mul(97);
        let step = first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % 20_000;
        let port = u16::try_from(10_000 + step).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}
