//! Nodes with real links and real timers, in a program without anything else, so that at most one other of their
//! kind runs beside each: `cargo test --release -p hawser-node --test links mesh::` runs the tests of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

#[path = "../maker/mod.rs"]
mod maker;

mod committee;
mod mesh;
mod observers;

/// An address of this machine that nobody listens on, for a node that starts later, and perhaps again. Below the ports
/// that the system gives out by itself, so that no connection and no other listener of a test takes it before, and never
/// the same twice.
fn address() -> SocketAddr {
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
