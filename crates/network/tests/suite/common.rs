//! Nodes on loopback sockets, and waiting for conditions with a deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::awake::Awake;
use hawser_network::{
    Bytes, Limits, NetworkConfig, NetworkEvent, NetworkHandle, NodeIdentity, PeerAddress, PeerId,
    start,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Generous, because the machines that run tests are busy; a condition that holds ends the wait.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Node {
    pub handle: NetworkHandle,
    pub events: mpsc::Receiver<NetworkEvent>,
}

/// Two identities, the one with the smaller id first.
pub fn ordered_pair() -> (NodeIdentity, NodeIdentity) {
    let one = NodeIdentity::generate().unwrap();
    let two = NodeIdentity::generate().unwrap();
    if one.peer_id() < two.peer_id() {
        (one, two)
    } else {
        (two, one)
    }
}

pub fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// An address of this machine on which nobody listens, for peers that shall not be reached, or
/// for nodes that start later. Below the range from which the system takes ports by itself, so
/// that no outgoing connection occupies it meanwhile.
pub fn nowhere() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id().wrapping_mul(97);
        let step = offset.wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst));
        let port = u16::try_from(10_000 + step % 20_000).unwrap();
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

pub fn peer(id: PeerId, address: SocketAddr) -> PeerAddress {
    PeerAddress {
        id,
        address: address.to_string(),
    }
}

pub async fn node(
    identity: &NodeIdentity,
    listen: SocketAddr,
    peers: Vec<PeerAddress>,
    limits: Limits,
) -> Node {
    let mut config = NetworkConfig::new(listen, identity.clone(), peers);
    config.limits = limits;
    let (handle, events) = start(config).await.unwrap();
    Node { handle, events }
}

/// Two nodes of which only `dialler` knows where the other one is.
pub async fn one_way(
    dialler: &NodeIdentity,
    listener: &NodeIdentity,
    limits: Limits,
) -> (Node, Node) {
    let listening = node(
        listener,
        any_port(),
        vec![peer(dialler.peer_id(), nowhere())],
        limits.clone(),
    )
    .await;
    let address = listening.handle.local_address();
    let dialling = node(
        dialler,
        any_port(),
        vec![peer(listener.peer_id(), address)],
        limits,
    )
    .await;
    (dialling, listening)
}

impl Node {
    pub fn id(&self) -> PeerId {
        self.handle.own_id()
    }

    pub async fn event(&mut self) -> NetworkEvent {
        timeout(DEADLINE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("an open channel")
    }

    pub async fn up(&mut self, peer: PeerId) {
        match self.event().await {
            NetworkEvent::Up(id) if id == peer => {}
            other => panic!("expected Up({peer}), got {other:?}"),
        }
    }

    pub async fn message(&mut self) -> (PeerId, u64, Bytes) {
        match self.event().await {
            NetworkEvent::Message { from, chain, bytes } => (from, chain.0, bytes),
            other => panic!("expected a message, got {other:?}"),
        }
    }
}

/// Looks at a condition until it holds, at most until the deadline.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Begins to count the time in which this process runs.
pub fn awake() -> Awake {
    Awake::start(Duration::from_millis(10), Duration::from_millis(100))
}

/// A connection through which the test can look and interfere.
pub struct Relay {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    from_client: Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Relay {
    /// Forwards one connection. What the client sends is recorded. When the client goes away the
    /// server's side stays open in silence, as behind a firewall that lost its state.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            cut: Arc::default(),
            from_client: Arc::default(),
        };
        let (cut, record) = (Arc::clone(&relay.cut), Arc::clone(&relay.from_client));
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            drop(listener);
            let server = TcpStream::connect(server).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let back = tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
                    // The client may be gone; the server must not notice.
                    let _ = to_client.write_all(&buffer[..len]).await;
                }
            });
            let mut buffer = vec![0; 4096];
            while let Ok(len @ 1..) = from_client.read(&mut buffer).await {
                if !cut.load(Ordering::SeqCst) {
                    record.lock().unwrap().extend_from_slice(&buffer[..len]);
                    to_server.write_all(&buffer[..len]).await.unwrap();
                }
            }
            let _ = back.await;
            drop(to_server);
        });
        relay
    }

    /// From now on nothing that the client says passes.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    pub fn recorded(&self) -> Vec<u8> {
        self.from_client.lock().unwrap().clone()
    }
}
