//! Strangers, impostors, and admitted peers that misbehave.

use std::time::Duration;

use crate::common::{Node, Relay, any_port, node, nowhere, ordered_pair, peer, until};
use crate::rogue;
use hawser_network::{Bytes, DownReason, Lane, Limits, NetworkEvent, NodeIdentity, RefusalReason};
use hawser_primitives::ChainId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn refused(node: &Node, reason: RefusalReason, at_least: u64) {
    until(reason.name(), || {
        node.handle.counters().refused(reason) >= at_least
    })
    .await;
}

/// The node still serves an admitted peer, and nothing else ever came up.
async fn still_serves(mut listening: Node, listener: &NodeIdentity, admitted: &NodeIdentity) {
    let at = listening.handle.local_address();
    let _honest = node(
        admitted,
        any_port(),
        vec![peer(listener.peer_id(), at)],
        Limits::default(),
    )
    .await;
    listening.up(admitted.peer_id()).await;
    until("the link is counted", || {
        listening.handle.counters().links_up > 0
    })
    .await;
    assert_eq!(listening.handle.counters().links_up, 1);
}

async fn listening(admitted: &NodeIdentity, limits: Limits) -> (Node, NodeIdentity) {
    let own = NodeIdentity::generate().unwrap();
    let peers = vec![peer(admitted.peer_id(), nowhere())];
    (node(&own, any_port(), peers, limits).await, own)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_is_refused_and_both_sides_can_say_why() {
    let admitted = NodeIdentity::generate().unwrap();
    let (listening, own) = listening(&admitted, Limits::default()).await;
    let stranger = NodeIdentity::generate().unwrap();
    let at = listening.handle.local_address();
    let mut dialling = node(
        &stranger,
        any_port(),
        vec![peer(own.peer_id(), at)],
        Limits::default(),
    )
    .await;
    refused(&listening, RefusalReason::UnknownPeer, 2).await;
    refused(&dialling, RefusalReason::RefusedByPeer, 2).await;
    let error = dialling.handle.peers()[0].last_error.clone().unwrap();
    assert!(error.contains("does not admit this node's key"), "{error}");
    assert!(dialling.events.try_recv().is_err());
    still_serves(listening, &own, &admitted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialled_address_that_answers_with_another_key_is_refused() {
    let (a, b) = ordered_pair();
    let expected = NodeIdentity::generate().unwrap();
    // The one that answers admits the dialler, and would gladly be taken for somebody else.
    let answering = node(
        &b,
        any_port(),
        vec![peer(a.peer_id(), nowhere())],
        Limits::default(),
    )
    .await;
    let at = answering.handle.local_address();
    let peers = vec![peer(expected.peer_id(), at), peer(b.peer_id(), nowhere())];
    let mut dialling = node(&a, any_port(), peers, Limits::default()).await;
    refused(&dialling, RefusalReason::WrongPeer, 2).await;
    refused(&answering, RefusalReason::RefusedByPeer, 2).await;
    assert!(dialling.events.try_recv().is_err());
    assert_eq!(answering.handle.counters().links_up, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admitted_key_without_its_private_half_is_refused() {
    let admitted = NodeIdentity::generate().unwrap();
    let (listening, own) = listening(&admitted, Limits::default()).await;
    let thief = NodeIdentity::generate().unwrap();
    let at = listening.handle.local_address();
    let mut stream = rogue::connect(at, &thief, admitted.peer_id())
        .await
        .unwrap();
    assert!(stream.read_u8().await.is_err());
    refused(&listening, RefusalReason::BadSignature, 1).await;
    still_serves(listening, &own, &admitted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_http_on_the_port_are_harmless() {
    let admitted = NodeIdentity::generate().unwrap();
    let (listening, own) = listening(&admitted, Limits::default()).await;
    let at = listening.handle.local_address();
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        &[0; 300],
        &[0xff; 5_000],
        // A TLS record header that announces a handshake, and nonsense inside.
        &[0x16, 0x03, 0x01, 0x00, 0x05, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ];
    for opening in openings {
        let mut tcp = TcpStream::connect(at).await.unwrap();
        tcp.write_all(opening).await.unwrap();
        let mut answer = Vec::new();
        // At most an alert comes back, then the end, in order or by a reset.
        let _ = tcp.read_to_end(&mut answer).await;
        assert!(answer.len() <= 7, "{answer:?}");
    }
    refused(&listening, RefusalReason::NotTls, 4).await;
    drop(TcpStream::connect(at).await.unwrap());
    refused(&listening, RefusalReason::Closed, 1).await;
    still_serves(listening, &own, &admitted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_without_version_raw_keys_or_protocol_name_is_refused() {
    let admitted = NodeIdentity::generate().unwrap();
    let (listening, own) = listening(&admitted, Limits::default()).await;
    let at = listening.handle.local_address();
    assert!(rogue::connect_tls12(at).await.is_err());
    refused(&listening, RefusalReason::TlsVersion, 1).await;
    assert!(rogue::connect_without_raw_keys(at).await.is_err());
    refused(&listening, RefusalReason::Incompatible, 1).await;
    for protocols in [vec![], vec![b"h2".to_vec()]] {
        let outcome = rogue::connect_as(at, &admitted, admitted.peer_id(), protocols).await;
        if let Ok(mut stream) = outcome {
            assert!(stream.read_u8().await.is_err());
        }
    }
    refused(&listening, RefusalReason::Incompatible, 3).await;
    still_serves(listening, &own, &admitted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_frame_drops_the_link_and_one_at_the_limit_does_not() {
    let (a, b) = ordered_pair();
    let small = Limits {
        frame_bytes_max: 1_000,
        ..Limits::default()
    };
    let mut receiving = node(&b, any_port(), vec![peer(a.peer_id(), nowhere())], small).await;
    let at = receiving.handle.local_address();
    let mut sending = node(
        &a,
        any_port(),
        vec![peer(b.peer_id(), at)],
        Limits::default(),
    )
    .await;
    sending.up(b.peer_id()).await;
    receiving.up(a.peer_id()).await;
    let send = |len: usize| {
        sending.handle.send(
            b.peer_id(),
            ChainId(1),
            Lane::Bulk,
            Bytes::from(vec![1; len]),
        )
    };
    send(1_000).unwrap();
    assert_eq!(receiving.message().await.2.len(), 1_000);
    send(1_001).unwrap();
    match receiving.event().await {
        NetworkEvent::Down(_, DownReason::Oversize { len: 1_001 }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(receiving.handle.counters().oversize, 1);
    assert!(matches!(sending.event().await, NetworkEvent::Down(..)));
    // The peers find each other again.
    receiving.up(a.peer_id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admitted_peer_that_sends_nonsense_loses_its_link_and_nothing_else() {
    let (listener, admitted) = ordered_pair();
    let peers = vec![peer(admitted.peer_id(), nowhere())];
    let mut listening = node(&listener, any_port(), peers, Limits::default()).await;
    let at = listening.handle.local_address();
    let control = |payload: &[u8]| rogue::frame(u64::MAX, payload);
    let mut huge = rogue::frame(1, b"");
    huge[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    let nonsense = [
        control(&[]),
        control(&[9]),
        control(&[0; 18]),
        control(&[0; 17]),
        control(&[4, 200]),
        huge,
    ];
    for (run, bytes) in nonsense.into_iter().enumerate() {
        let mut stream = rogue::open(at, &admitted, run as u8).await;
        listening.up(admitted.peer_id()).await;
        stream.write_all(&rogue::frame(1, b"fine")).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(listening.message().await.2, "fine");
        match listening.event().await {
            NetworkEvent::Down(_, DownReason::Malformed(_) | DownReason::Oversize { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let counters = listening.handle.counters();
    assert_eq!((counters.malformed, counters.oversize), (5, 1));
    // Nonsense before the link is open is refused as well.
    let mut stream = rogue::connect(at, &admitted, admitted.peer_id())
        .await
        .unwrap();
    stream
        .write_all(&rogue::frame(1, b"too early"))
        .await
        .unwrap();
    stream.flush().await.unwrap();
    refused(&listening, RefusalReason::Opening, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_cannot_hold_more_connections_than_its_share() {
    let admitted = NodeIdentity::generate().unwrap();
    let (listening, _own) = listening(&admitted, Limits::default()).await;
    let at = listening.handle.local_address();
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = rogue::connect(at, &admitted, admitted.peer_id())
            .await
            .unwrap();
        // Its hello shows that the connection has been counted.
        stream.read_exact(&mut [0; 29]).await.unwrap();
        held.push(stream);
    }
    let _fifth = rogue::connect(at, &admitted, admitted.peer_id())
        .await
        .unwrap();
    refused(&listening, RefusalReason::TooMany, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_byte_stream_is_useless() {
    let (a, b) = ordered_pair();
    let mut listening = node(
        &b,
        any_port(),
        vec![peer(a.peer_id(), nowhere())],
        Limits::default(),
    )
    .await;
    let at = listening.handle.local_address();
    let relay = Relay::to(at).await;
    let honest = node(
        &a,
        any_port(),
        vec![peer(b.peer_id(), relay.address)],
        Limits::default(),
    )
    .await;
    listening.up(a.peer_id()).await;
    until("the link is usable", || {
        honest
            .handle
            .send(
                b.peer_id(),
                ChainId(1),
                Lane::Bulk,
                Bytes::from_static(b"pay once"),
            )
            .is_ok()
    })
    .await;
    assert_eq!(listening.message().await.2, "pay once");
    let recorded = relay.recorded();
    assert!(recorded.len() > 300);
    for _ in 0..3 {
        let mut tcp = TcpStream::connect(at).await.unwrap();
        tcp.write_all(&recorded).await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    }
    refused(&listening, RefusalReason::Undecryptable, 3).await;
    let counters = listening.handle.counters();
    assert_eq!((counters.frames_in, counters.links_up), (1, 1));
    assert!(listening.events.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_half_open_handshakes_do_not_stop_an_honest_peer() {
    let admitted = NodeIdentity::generate().unwrap();
    let limits = Limits {
        pending_handshakes_max: 32,
        handshake_timeout: Duration::from_secs(600),
        ..Limits::default()
    };
    let (listening, own) = listening(&admitted, limits).await;
    let at = listening.handle.local_address();
    let mut half_open = Vec::new();
    for _ in 0..100 {
        let mut tcp = TcpStream::connect(at).await.unwrap();
        tcp.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        half_open.push(tcp);
    }
    refused(&listening, RefusalReason::PendingFull, 68).await;
    assert_eq!(
        listening
            .handle
            .counters()
            .refused(RefusalReason::PendingFull),
        68
    );
    still_serves(listening, &own, &admitted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls_is_dropped_after_its_time() {
    let admitted = NodeIdentity::generate().unwrap();
    let limits = Limits {
        // Long enough for the handshakes that shall succeed, on a machine that stands still for a while.
        handshake_timeout: Duration::from_secs(3),
        ..Limits::default()
    };
    let (listening, own) = listening(&admitted, limits).await;
    let at = listening.handle.local_address();
    let before_tls = TcpStream::connect(at).await.unwrap();
    refused(&listening, RefusalReason::Timeout, 1).await;
    let after_tls = rogue::connect(at, &admitted, admitted.peer_id())
        .await
        .unwrap();
    refused(&listening, RefusalReason::Timeout, 2).await;
    drop((before_tls, after_tls));
    still_serves(listening, &own, &admitted).await;
}
