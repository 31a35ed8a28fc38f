//! Queues, lanes and slow consumers.

use std::time::{Duration, Instant};

use crate::common::{DEADLINE, Node, one_way, ordered_pair, until};
use hawser_network::{Bytes, Lane, Limits, NetworkEvent, SendError};
use hawser_primitives::ChainId;

const FRAME: usize = 16 * 1024;

fn tight() -> Limits {
    Limits {
        frame_bytes_max: 64 * 1024,
        queue_bytes_max: 2 * 1024 * 1024,
        event_queue_max: 64,
        event_bytes_max: 8 * FRAME,
        ping_interval: Duration::from_millis(50),
        peer_timeout: PEER_TIMEOUT,
        ..Limits::default()
    }
}

/// Longer than a busy machine stands still: a peer that was not running was rightly taken for silent.
const PEER_TIMEOUT: Duration = Duration::from_secs(4);
/// How long nothing moves before everything counts as clogged, and how often one looks meanwhile at least: on a machine
/// that stands still nothing moves either.
const STILL: Duration = Duration::from_millis(1_500);
const LOOKS: u32 = 200;

/// Sends bulk until the queue is full and nothing moves any more, because the far consumer takes
/// nothing and every buffer on the way is full. Returns how many frames were queued.
async fn clog(from: &Node, to: &Node, still: Duration) -> u64 {
    let mut sent = 0u64;
    let mut still_since = (0, Instant::now());
    let mut looks = 0;
    until("everything is clogged", || {
        loop {
            let mut payload = vec![0; FRAME];
            payload[..8].copy_from_slice(&sent.to_be_bytes());
            match from
                .handle
                .send(to.id(), ChainId(1), Lane::Bulk, Bytes::from(payload))
            {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(other) => panic!("{other}"),
            }
        }
        let written = from.handle.counters().frames_out;
        if written != still_since.0 {
            still_since = (written, Instant::now());
            looks = 0;
        }
        looks += 1;
        still_since.1.elapsed() > still && looks > LOOKS
    })
    .await;
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consensus_overtakes_a_full_bulk_lane_and_a_slow_consumer_costs_bounded_memory() {
    let (a, b) = ordered_pair();
    let limits = tight();
    let (mut sender, mut slow) = one_way(&a, &b, limits.clone()).await;
    sender.up(slow.id()).await;
    slow.up(sender.id()).await;
    // Longer than the peer timeout: waiting for the own consumer is not the peer's silence.
    let sent = clog(&sender, &slow, PEER_TIMEOUT + STILL).await;
    let counters = slow.handle.counters();
    assert_eq!(
        (counters.links_down, sender.handle.counters().links_down),
        (0, 0)
    );
    // One frame in hand beyond those that wait in the channel.
    assert!(counters.frames_in <= 8 + 1, "{} frames", counters.frames_in);
    assert!(counters.bytes_in <= (9 * (FRAME + 12) + 2 * 64 * 1024 + 4096) as u64);
    let status = &sender.handle.peers()[0];
    assert!(status.queue_bytes <= limits.queue_bytes_max);
    let queued = status.queue_frames as u64;
    assert_eq!(queued, (limits.queue_bytes_max / FRAME) as u64);

    let dropped_before = sender.handle.counters().dropped_queue_full;
    for _ in 0..3 {
        let vote = Bytes::from(vec![1; FRAME]);
        sender
            .handle
            .send(slow.id(), ChainId(2), Lane::Consensus, vote)
            .unwrap();
    }
    assert_eq!(
        sender.handle.counters().dropped_queue_full,
        dropped_before + 3
    );

    let (mut bulk, mut votes_after_bulk) = (Vec::new(), Vec::new());
    while bulk.len() as u64 != sent - 3 || votes_after_bulk.len() < 3 {
        let (_, chain, bytes) = slow.message().await;
        if chain == 2 {
            votes_after_bulk.push(bulk.len() as u64);
        } else {
            bulk.push(u64::from_be_bytes(bytes[..8].try_into().unwrap()));
        }
    }
    // Every frame that was queued when the votes came was overtaken, and the three oldest of them
    // made room. Order within the lane holds.
    let before = sent - queued;
    assert_eq!(votes_after_bulk, [before; 3]);
    let expected: Vec<u64> = (0..before).chain(before + 3..sent).collect();
    assert!(bulk == expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_receives_everything_once_it_listens_and_its_link_stays() {
    let (a, b) = ordered_pair();
    let (mut sender, mut slow) = one_way(&a, &b, tight()).await;
    sender.up(slow.id()).await;
    slow.up(sender.id()).await;
    let sent = clog(&sender, &slow, PEER_TIMEOUT + STILL).await;
    for number in 0..sent {
        match slow.event().await {
            NetworkEvent::Message { bytes, .. } => assert_eq!(bytes[..8], number.to_be_bytes()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(slow.handle.counters().links_up, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_that_finds_a_full_queue_is_dropped_and_counted() {
    let (a, b) = ordered_pair();
    let (mut sender, slow) = one_way(&a, &b, tight()).await;
    sender.up(slow.id()).await;
    clog(&sender, &slow, STILL).await;
    let before = sender.handle.counters().dropped_queue_full;
    sender
        .handle
        .broadcast(ChainId(1), Lane::Bulk, Bytes::from(vec![0; FRAME]));
    assert_eq!(sender.handle.counters().dropped_queue_full, before + 1);
    sender
        .handle
        .broadcast(ChainId(1), Lane::Bulk, Bytes::from(vec![0; 64 * 1024 + 1]));
    assert_eq!(sender.handle.counters().dropped_invalid, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_consumer_is_stuck_can_still_shut_down() {
    let (a, b) = ordered_pair();
    let (mut sender, slow) = one_way(&a, &b, tight()).await;
    sender.up(slow.id()).await;
    clog(&sender, &slow, STILL).await;
    let shutdown = async { tokio::join!(slow.handle.shutdown(), sender.handle.shutdown()) };
    tokio::time::timeout(DEADLINE, shutdown).await.unwrap();
}
