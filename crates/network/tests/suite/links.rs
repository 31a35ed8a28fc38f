//! How links come up, carry frames, and go down, between honest nodes.

use std::time::Duration;

use crate::common::{
    Node, Relay, any_port, awake, node, nowhere, one_way, ordered_pair, peer, until,
};
use hawser_network::{
    Bytes, Direction, DownReason, Lane, Limits, NetworkConfig, NetworkError, NetworkEvent,
    NodeIdentity, SendError, start,
};
use hawser_primitives::ChainId;
use hawser_primitives::limits::FRAME_BYTES_MAX;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_talk_both_ways_on_several_chains() {
    let (a, b) = ordered_pair();
    let (mut a, mut b) = one_way(&a, &b, Limits::default()).await;
    a.up(b.id()).await;
    b.up(a.id()).await;
    let largest = Bytes::from(vec![7; FRAME_BYTES_MAX]);
    for (chain, payload) in [
        (1, Bytes::from_static(b"vote")),
        (u64::MAX - 1, Bytes::new()),
        (3, largest),
    ] {
        for (from, to) in [(&mut a, &mut b)] {
            exchange(from, to, chain, &payload).await;
            exchange(to, from, chain, &payload).await;
        }
    }
    let status = &a.handle.peers()[0];
    assert_eq!(
        (status.id, status.direction),
        (b.id(), Some(Direction::Outbound))
    );
    assert!(status.connected_since.is_some() && status.last_error.is_none());
    assert!(status.bytes_in > FRAME_BYTES_MAX as u64 && status.bytes_out > FRAME_BYTES_MAX as u64);
    assert_eq!(b.handle.peers()[0].direction, Some(Direction::Inbound));
    let counters = a.handle.counters();
    assert_eq!(
        (counters.frames_in, counters.frames_out, counters.links_up),
        (3, 3, 1)
    );
}

async fn exchange(from: &mut Node, to: &mut Node, chain: u64, payload: &Bytes) {
    from.handle
        .send(to.id(), ChainId(chain), Lane::Bulk, payload.clone())
        .unwrap();
    let (sender, on, bytes) = to.message().await;
    assert_eq!((sender, on), (from.id(), chain));
    assert!(bytes == *payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let (a, b) = ordered_pair();
    let limits = Limits {
        frame_bytes_max: 1_000,
        ..Limits::default()
    };
    let (mut a, b) = one_way(&a, &b, limits).await;
    a.up(b.id()).await;
    let send = |to, chain, len| {
        a.handle.send(
            to,
            ChainId(chain),
            Lane::Consensus,
            Bytes::from(vec![0; len]),
        )
    };
    assert_eq!(send(b.id(), 1, 1_000), Ok(()));
    assert_eq!(
        send(b.id(), 1, 1_001),
        Err(SendError::Oversize {
            len: 1_001,
            max: 1_000
        })
    );
    assert_eq!(
        send(b.id(), u64::MAX, 1),
        Err(SendError::ReservedChain(ChainId(u64::MAX)))
    );
    assert_eq!(send(a.id(), 1, 1), Err(SendError::NotConnected));
    b.handle.shutdown().await;
    until("the link is down", || {
        send(b.id(), 1, 1) == Err(SendError::NotConnected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_dials_end_in_exactly_one_link_without_flapping() {
    for _ in 0..10 {
        let (smaller, larger) = ordered_pair();
        let (at_smaller, at_larger) = (nowhere(), nowhere());
        let (mut a, mut b) = tokio::join!(
            node(
                &smaller,
                at_smaller,
                vec![peer(larger.peer_id(), at_larger)],
                Limits::default()
            ),
            node(
                &larger,
                at_larger,
                vec![peer(smaller.peer_id(), at_smaller)],
                Limits::default()
            ),
        );
        a.up(b.id()).await;
        b.up(a.id()).await;
        for round in 0..20u64 {
            exchange(&mut a, &mut b, round, &Bytes::from_static(b"ping")).await;
            exchange(&mut b, &mut a, round, &Bytes::from_static(b"pong")).await;
        }
        // Both agree on which connection it is, and nothing but messages followed `Up`.
        let directions = (a.handle.peers()[0].direction, b.handle.peers()[0].direction);
        assert!(
            directions == (Some(Direction::Outbound), Some(Direction::Inbound))
                || directions == (Some(Direction::Inbound), Some(Direction::Outbound)),
            "{directions:?}"
        );
        for handle in [&a.handle, &b.handle] {
            let counters = handle.counters();
            assert_eq!((counters.links_up, counters.links_down), (1, 0));
        }
        tokio::join!(a.handle.shutdown(), b.handle.shutdown());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_seven_connects_every_pair_exactly_once() {
    let identities: Vec<_> = (0..7).map(|_| NodeIdentity::generate().unwrap()).collect();
    let addresses: Vec<_> = identities.iter().map(|_| nowhere()).collect();
    let everyone: Vec<_> = identities
        .iter()
        .zip(&addresses)
        .map(|(one, at)| peer(one.peer_id(), *at))
        .collect();
    let mut nodes = Vec::new();
    for (identity, address) in identities.iter().zip(&addresses) {
        nodes.push(node(identity, *address, everyone.clone(), Limits::default()).await);
    }
    for node in &mut nodes {
        let mut up = std::collections::BTreeSet::new();
        while up.len() < 6 {
            match node.event().await {
                NetworkEvent::Up(id) => assert!(up.insert(id)),
                other => panic!("{other:?}"),
            }
        }
    }
    for node in &nodes {
        node.handle
            .broadcast(ChainId(1), Lane::Consensus, Bytes::from_static(b"hello"));
    }
    for node in &mut nodes {
        let mut from = std::collections::BTreeSet::new();
        while from.len() < 6 {
            assert!(from.insert(node.message().await.0));
        }
    }
    for node in &nodes {
        let counters = node.handle.counters();
        assert_eq!((counters.links_up, counters.links_down), (6, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_peer_is_back_within_three_seconds() {
    for restart_the_dialler in [true, false] {
        let (a, b) = ordered_pair();
        let (at_a, at_b) = (nowhere(), nowhere());
        let start_a = || node(&a, at_a, vec![peer(b.peer_id(), at_b)], Limits::default());
        let start_b = || node(&b, at_b, vec![peer(a.peer_id(), at_a)], Limits::default());
        let (mut one, mut two) = (start_a().await, start_b().await);
        one.up(b.peer_id()).await;
        two.up(a.peer_id()).await;
        let (stays, goes) = if restart_the_dialler {
            (&mut two, &mut one)
        } else {
            (&mut one, &mut two)
        };
        let gone = goes.id();
        goes.handle.shutdown().await;
        match stays.event().await {
            NetworkEvent::Down(id, DownReason::ClosedByPeer(Some(_))) => assert_eq!(id, gone),
            other => panic!("{other:?}"),
        }
        // Long enough away for the pauses between dials to grow.
        until("several dials failed", || {
            stays.handle.counters().dial_failures >= 4
        })
        .await;
        let started = awake();
        *goes = if restart_the_dialler {
            start_a().await
        } else {
            start_b().await
        };
        stays.up(gone).await;
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{:?}",
            started.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_left_half_open_by_a_crash_does_not_block_the_restarted_peer() {
    for larger_restarts in [true, false] {
        let (a, b) = ordered_pair();
        let (crashes, stays) = if larger_restarts { (&b, &a) } else { (&a, &b) };
        // Nobody would notice the dead link by silence within the time of this test.
        let limits = Limits {
            peer_timeout: Duration::from_secs(600),
            ..Limits::default()
        };
        // The link runs through a relay that goes on holding it open after the crash, as a
        // firewall or a lost FIN does.
        let at = nowhere();
        let mut staying = node(
            stays,
            at,
            vec![peer(crashes.peer_id(), nowhere())],
            limits.clone(),
        )
        .await;
        let relay = Relay::to(at).await;
        let first = node(
            crashes,
            any_port(),
            vec![peer(stays.peer_id(), relay.address)],
            limits.clone(),
        )
        .await;
        staying.up(crashes.peer_id()).await;
        relay.cut();
        first.handle.shutdown().await;
        drop(first);
        let _second = node(crashes, any_port(), vec![peer(stays.peer_id(), at)], limits).await;
        match staying.event().await {
            NetworkEvent::Down(_, DownReason::Superseded) => {}
            other => panic!("{other:?}"),
        }
        staying.up(crashes.peer_id()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_declared_dead_and_an_idle_one_is_not() {
    let (a, b) = ordered_pair();
    let limits = Limits {
        ping_interval: Duration::from_millis(50),
        // Longer than a busy machine stands still: a peer that was not running is rightly taken for silent.
        peer_timeout: Duration::from_millis(2_500),
        ..Limits::default()
    };
    let (mut a, mut b) = one_way(&a, &b, limits.clone()).await;
    a.up(b.id()).await;
    b.up(a.id()).await;
    let (before_a, before_b) = (a.handle.counters().bytes_in, b.handle.counters().bytes_in);
    // Idle for twice the timeout, measured by the pings and their answers that pass.
    until("pings keep the link", || {
        a.handle.counters().bytes_in - before_a > 200 * 21
            && b.handle.counters().bytes_in - before_b > 200 * 21
    })
    .await;
    assert_eq!(
        (a.handle.counters().silent, b.handle.counters().silent),
        (0, 0)
    );
    until("a round trip was measured", || {
        a.handle.peers()[0].round_trip_us.is_some()
    })
    .await;

    let (c, d) = ordered_pair();
    let at = nowhere();
    let mut hears_nothing = node(&d, at, vec![peer(c.peer_id(), nowhere())], limits.clone()).await;
    let relay = Relay::to(at).await;
    let quiet = node(
        &c,
        any_port(),
        vec![peer(d.peer_id(), relay.address)],
        limits,
    )
    .await;
    hears_nothing.up(c.peer_id()).await;
    relay.cut();
    drop(quiet);
    match hears_nothing.event().await {
        NetworkEvent::Down(_, DownReason::Silent { silent_ms: 2_500 }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(hears_nothing.handle.counters().silent, 1);
}

#[tokio::test]
async fn a_taken_port_gives_an_error_that_names_it_and_says_what_to_do() {
    let taken = std::net::TcpListener::bind(any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let config = NetworkConfig::new(address, NodeIdentity::generate().unwrap(), vec![]);
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, NetworkError::Listen { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("listen"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_can_be_admitted_and_removed_while_running() {
    let (a, b) = ordered_pair();
    let mut one = node(&a, any_port(), vec![], Limits::default()).await;
    let at = one.handle.local_address();
    let mut two = node(
        &b,
        any_port(),
        vec![peer(a.peer_id(), at)],
        Limits::default(),
    )
    .await;
    until("the unknown peer is refused", || {
        one.handle
            .counters()
            .refused(hawser_network::RefusalReason::UnknownPeer)
            > 0
    })
    .await;
    one.handle
        .set_peers(vec![peer(b.peer_id(), two.handle.local_address())])
        .unwrap();
    one.up(b.peer_id()).await;
    two.up(a.peer_id()).await;
    one.handle.set_peers(vec![]).unwrap();
    assert!(matches!(
        one.event().await,
        NetworkEvent::Down(_, DownReason::Removed)
    ));
    assert!(matches!(
        two.event().await,
        NetworkEvent::Down(_, DownReason::ClosedByPeer(Some(_)))
    ));
    assert!(one.handle.peers().is_empty());
    // Admitted, removed and admitted again in one breath: events still alternate.
    let admitted = vec![peer(b.peer_id(), two.handle.local_address())];
    one.handle.set_peers(admitted.clone()).unwrap();
    one.up(b.peer_id()).await;
    one.handle.set_peers(vec![]).unwrap();
    one.handle.set_peers(admitted).unwrap();
    assert!(matches!(
        one.event().await,
        NetworkEvent::Down(_, DownReason::Removed)
    ));
    one.up(b.peer_id()).await;
    one.handle.shutdown().await;
    assert!(matches!(
        one.handle.set_peers(vec![]),
        Err(NetworkError::Stopped)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_reports_every_link_down_ends_the_channel_and_frees_the_port() {
    let (a, b) = ordered_pair();
    let (mut a, mut b) = one_way(&a, &b, Limits::default()).await;
    a.up(b.id()).await;
    b.up(a.id()).await;
    let at = b.handle.local_address();
    b.handle.shutdown().await;
    b.handle.shutdown().await;
    assert!(matches!(
        b.event().await,
        NetworkEvent::Down(_, DownReason::Shutdown)
    ));
    assert!(b.events.recv().await.is_none());
    drop(std::net::TcpListener::bind(at).unwrap());
    assert!(matches!(
        a.event().await,
        NetworkEvent::Down(_, DownReason::ClosedByPeer(Some(_)))
    ));
    // Dropping the last handle stops a network as well.
    let Node { handle, mut events } = a;
    let at = handle.local_address();
    drop(handle);
    while events.recv().await.is_some() {}
    until("the port is free", || {
        std::net::TcpListener::bind(at).is_ok()
    })
    .await;
}
