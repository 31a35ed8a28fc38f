use bytes::Bytes;
use hawser_primitives::ChainId;

use super::*;

const OWN: Instance = [1; 16];
static DECISIONS: Decisions = Decisions {
    run: OWN,
    last: AtomicU64::new(0),
};
const RUN: Instance = [2; 16];
const NEXT_RUN: Instance = [3; 16];

fn deciding_peer() -> Arc<Peer> {
    Peer::new(
        PeerId([9; 32]),
        PeerId([1; 32]),
        "host:1".into(),
        Arc::default(),
    )
}

async fn decide(peer: &Peer, direction: Direction, run: Instance) -> Result<Arc<Link>, Duplicate> {
    peer.decide(direction, run, &DECISIONS, &Limits::default())
        .await
}

/// Plays the far end of a link that answers pings.
fn answering(link: &Arc<Link>) -> tokio::task::JoinHandle<()> {
    let link = Arc::clone(link);
    tokio::spawn(async move {
        loop {
            link.wake.notified().await;
            let mut batch = Batch::default();
            link.take(1, &mut batch);
            if batch.ping {
                link.count_heard();
            }
        }
    })
}

#[tokio::test]
async fn a_living_link_keeps_its_place_against_the_other_direction() {
    for (first, second) in [
        (Direction::Outbound, Direction::Inbound),
        (Direction::Inbound, Direction::Outbound),
    ] {
        let peer = deciding_peer();
        let link = decide(&peer, first, RUN).await.unwrap();
        let far_end = answering(&link);
        assert_eq!(decide(&peer, second, RUN).await.unwrap_err(), Duplicate);
        assert_eq!(link.closed_now(), None);
        far_end.abort();
    }
}

#[tokio::test]
async fn a_dead_link_loses_its_place_after_the_probe() {
    let peer = deciding_peer();
    let dead = decide(&peer, Direction::Outbound, RUN).await.unwrap();
    let started = Instant::now();
    let link = decide(&peer, Direction::Inbound, RUN).await.unwrap();
    assert!(started.elapsed() >= PROBE_WAIT);
    assert_eq!(dead.closed_now(), Some(DownReason::Superseded));
    assert!(Arc::ptr_eq(&peer.link().unwrap(), &link));
}

#[tokio::test]
async fn a_restarted_peer_and_a_second_dial_of_the_same_side_take_over_at_once() {
    let peer = deciding_peer();
    let first = decide(&peer, Direction::Inbound, RUN).await.unwrap();
    let second = decide(&peer, Direction::Inbound, RUN).await.unwrap();
    let third = decide(&peer, Direction::Outbound, NEXT_RUN).await.unwrap();
    assert_eq!(first.closed_now(), Some(DownReason::Superseded));
    assert_eq!(second.closed_now(), Some(DownReason::Superseded));
    assert_eq!(third.closed_now(), None);
    assert!(first.number < second.number && second.number < third.number);
}

#[tokio::test]
async fn an_inbound_connection_waits_for_the_own_dial_and_only_a_bounded_time() {
    let peer = deciding_peer();
    let dialling = peer.dialling();
    let waiting = tokio::spawn({
        let peer = Arc::clone(&peer);
        async move {
            decide(&peer, Direction::Inbound, RUN)
                .await
                .map(|link| link.number)
        }
    });
    tokio::task::yield_now().await;
    let own = decide(&peer, Direction::Outbound, RUN).await.unwrap();
    let _far_end = answering(&own);
    drop(dialling);
    assert_eq!(waiting.await.unwrap(), Err(Duplicate));

    let peer = deciding_peer();
    let _dials_for_ever = peer.dialling();
    let started = Instant::now();
    decide(&peer, Direction::Inbound, RUN).await.unwrap();
    assert!(started.elapsed() >= TIE_WAIT);
}

#[test]
fn the_follower_takes_only_newer_decisions_of_a_run() {
    let peer = Peer::new(
        PeerId([1; 32]),
        PeerId([9; 32]),
        "host:1".into(),
        Arc::default(),
    );
    assert!(!peer.decides);
    let limits = Limits::default();
    let follow = |run, number| peer.follow(Direction::Inbound, run, number, &limits);
    let first = follow(RUN, 5).unwrap();
    assert_eq!(follow(RUN, 5).unwrap_err(), Duplicate);
    assert_eq!(follow(RUN, 4).unwrap_err(), Duplicate);
    assert_eq!(first.closed_now(), None);
    follow(RUN, 6).unwrap();
    assert_eq!(first.closed_now(), Some(DownReason::Superseded));
    assert!(follow(NEXT_RUN, 1).is_ok());
}

#[test]
fn a_closed_link_takes_no_frames_and_leaves_its_place_only_once() {
    let peer = Peer::new(
        PeerId([1; 32]),
        PeerId([9; 32]),
        "host:1".into(),
        Arc::default(),
    );
    let limits = Limits::default();
    let old = peer.follow(Direction::Inbound, RUN, 1, &limits).unwrap();
    let frame = Outgoing {
        chain: ChainId(1),
        bytes: Bytes::from_static(b"x"),
    };
    old.push(Lane::Bulk, frame.clone()).unwrap();
    assert_eq!(peer.status().queue_bytes, 1);
    assert_eq!(old.close(DownReason::Removed), 1);
    assert_eq!(old.close(DownReason::Shutdown), 0);
    assert_eq!(old.closed_now(), Some(DownReason::Removed));
    assert_eq!(old.push(Lane::Bulk, frame), Err(SendError::NotConnected));
    let new = peer.follow(Direction::Inbound, RUN, 2, &limits).unwrap();
    peer.vacate(&old);
    assert!(Arc::ptr_eq(&peer.link().unwrap(), &new));
    peer.vacate(&new);
    assert!(peer.link().is_none());
}
