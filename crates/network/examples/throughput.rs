//! Measures one link between two nodes on this machine: small frames per second in one direction,
//! large frames in megabytes per second, and the round trip of a small frame on an idle link.
//!
//! Run with `cargo run --release -p hawser-network --example throughput`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::net::SocketAddr;
use std::time::Instant;

use hawser_network::{
    Bytes, Lane, NetworkConfig, NetworkEvent, NetworkHandle, NodeIdentity, PeerAddress, PeerId,
    SendError, start,
};
use hawser_primitives::ChainId;
use tokio::sync::mpsc;

const CHAIN: ChainId = ChainId(1);

type Node = (NetworkHandle, mpsc::Receiver<NetworkEvent>);

async fn node(identity: NodeIdentity, peer: PeerId, address: SocketAddr) -> Node {
    let peers = vec![PeerAddress {
        id: peer,
        address: address.to_string(),
    }];
    start(NetworkConfig::new(
        ([127, 0, 0, 1], 0).into(),
        identity,
        peers,
    ))
    .await
    .unwrap()
}

async fn up(events: &mut mpsc::Receiver<NetworkEvent>) {
    while !matches!(events.recv().await.unwrap(), NetworkEvent::Up(_)) {}
}

async fn stream(from: &NetworkHandle, to: &mut Node, frame_bytes: usize, frames: usize) {
    let payload = Bytes::from(vec![7; frame_bytes]);
    let target = to.0.own_id();
    let from = from.clone();
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        for _ in 0..frames {
            loop {
                match from.send(target, CHAIN, Lane::Bulk, payload.clone()) {
                    Ok(()) => break,
                    Err(SendError::Full) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    for _ in 0..frames {
        assert!(matches!(
            to.1.recv().await,
            Some(NetworkEvent::Message { .. })
        ));
    }
    let seconds = started.elapsed().as_secs_f64();
    sending.await.unwrap();
    println!(
        "{frames} frames of {frame_bytes} bytes: {:.0} frames/s, {:.1} MB/s",
        frames as f64 / seconds,
        (frames * frame_bytes) as f64 / seconds / 1e6
    );
}

async fn round_trips(one: &mut Node, two: &mut Node, rounds: usize) {
    let payload = Bytes::from(vec![7; 200]);
    let (one_id, two_id) = (one.0.own_id(), two.0.own_id());
    let mut times: Vec<_> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        one.0
            .send(two_id, CHAIN, Lane::Consensus, payload.clone())
            .unwrap();
        two.1.recv().await.unwrap();
        two.0
            .send(one_id, CHAIN, Lane::Consensus, payload.clone())
            .unwrap();
        one.1.recv().await.unwrap();
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times.get(rounds * share / 100).unwrap().as_micros();
    println!(
        "round trip of 200 bytes: median {} us, 99th percentile {} us",
        at(50),
        at(99)
    );
}

#[tokio::main]
async fn main() {
    let (a, b) = (
        NodeIdentity::generate().unwrap(),
        NodeIdentity::generate().unwrap(),
    );
    let (a_id, b_id) = (a.peer_id(), b.peer_id());
    // The listening side knows the other one's key and no useful address.
    let mut listening = node(b, a_id, ([127, 0, 0, 1], 1).into()).await;
    let mut dialling = node(a, b_id, listening.0.local_address()).await;
    up(&mut listening.1).await;
    up(&mut dialling.1).await;
    for _ in 0..3 {
        stream(&dialling.0, &mut listening, 200, 1_000_000).await;
    }
    stream(&dialling.0, &mut listening, 64 * 1024, 16_384).await;
    stream(&dialling.0, &mut listening, 8 * 1024 * 1024, 128).await;
    round_trips(&mut dialling, &mut listening, 5_000).await;
    tokio::join!(dialling.0.shutdown(), listening.0.shutdown());
}
