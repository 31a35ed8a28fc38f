//! The wire between the nodes: a switch in this process that does to packets, or to streams, what a [`Fabric`] says.
//!
//! With namespaces, each node's peer address lies on a TUN device whose packets `socat` hands to this process as
//! datagrams. So delay, loss, copies, disorder and cuts need no traffic shaper in the kernel, meet the real TCP of the
//! kernel, change at once, and come from the run's seed. Without the right to make namespaces, a proxy per direction of
//! dialling stands between each pair of nodes: it can hold streams back, which is what a partition or delay looks like
//! from above TCP, but cannot lose packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixDatagram, tcp};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::link::{Fabric, Rule};
use crate::netns::{self, Spaces};

/// Largest packet. Larger than Ethernet's, because every packet costs this process time.
const MTU: usize = 9_000;
/// Packets on their way to one node.
const WAITING_MAX: usize = 16_384;
/// Bytes of a stream taken at once.
const CHUNK: usize = 16 * 1024;
/// How often a held stream looks whether its link is open again.
const LOOK: Duration = Duration::from_millis(5);

/// All links, shared by the tasks that carry traffic and the run that makes faults.
#[derive(Debug, Clone)]
pub struct Links {
    fabric: Arc<Mutex<Fabric>>,
    start: Instant,
}

impl Links {
    /// Links without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            fabric: Arc::new(Mutex::new(Fabric::new(seed))),
            start: Instant::now(),
        }
    }

    /// The table itself.
    pub fn table(&self) -> MutexGuard<'_, Fabric> {
        // A panic elsewhere leaves the table as good as it was.
        self.fabric.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, from: u16, to: u16, bytes: usize) -> (Option<Instant>, Option<Instant>) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (once, again) = self.table().pass(now, from, to, bytes);
        let moment = |at: u64| self.start + Duration::from_micros(at);
        (once.map(moment), again.map(moment))
    }
}

/// What carries the traffic; dropping it ends it.
#[derive(Debug)]
pub struct Switch {
    tasks: Vec<JoinHandle<()>>,
    // Killed with this.
    _children: Vec<Child>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Switch {
    /// Packets between the namespaces.
    ///
    /// # Errors
    /// When `socat` cannot make the devices.
    pub async fn packets(spaces: &Spaces, links: &Links) -> Result<Self> {
        let mut switch = Self {
            tasks: Vec::new(),
            _children: Vec::new(),
        };
        let mut sockets = Vec::new();
        for slot in 0..spaces.slots() {
            let (ours, theirs) = StdDatagram::pair()?;
            ours.set_nonblocking(true)?;
            let space = spaces.name(slot);
            let device = format!(
                "TUN:{}/24,tun-name=peers,iff-no-pi,iff-up",
                spaces.peer_address(slot)
            );
            let output = OwnedFd::from(theirs.try_clone()?);
            let child = Command::new("ip")
                .args(["netns", "exec", &space, "setpriv", "--pdeathsig", "KILL"])
                .args(["socat", "-b", "65536", "-", &device])
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::from(output))
                .kill_on_drop(true)
                .spawn()
                .context("cannot run socat; on Debian: apt-get install socat")?;
            switch._children.push(child);
            sockets.push(Arc::new(UnixDatagram::from_std(ours)?));
        }
        for slot in 0..spaces.slots() {
            let space = spaces.name(slot);
            let mtu = MTU.to_string();
            let set = ["-n", &space, "link", "set", "peers", "mtu", &mtu];
            let end = Instant::now() + Duration::from_secs(5);
            // socat makes the device in its own time.
            while let Err(error) = netns::run("ip", &set) {
                if Instant::now() > end {
                    return Err(error.context("socat has not made its TUN device"));
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        let mut inlets = Vec::new();
        for socket in &sockets {
            let (inlet, outlet) = mpsc::channel(WAITING_MAX);
            inlets.push(inlet);
            let socket = Arc::clone(socket);
            switch.tasks.push(tokio::spawn(deliver(socket, outlet)));
        }
        for (from, socket) in (0_u16..).zip(sockets) {
            let (links, inlets) = (links.clone(), inlets.clone());
            switch
                .tasks
                .push(tokio::spawn(collect(from, socket, links, inlets)));
        }
        Ok(switch)
    }

    /// A proxy from node `from` to node `to`: listens at `listen`, leads to `target`.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn stream(
        &mut self,
        from: u16,
        to: u16,
        listen: SocketAddr,
        target: SocketAddr,
        links: &Links,
    ) -> Result<()> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        let links = links.clone();
        self.tasks.push(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(bridge(from, to, stream, target, links.clone()));
            }
        }));
        Ok(())
    }

    /// One that carries nothing yet.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            tasks: Vec::new(),
            _children: Vec::new(),
        }
    }
}

type Packet = (Instant, Vec<u8>);

/// The slot that an IPv4 packet is for: the last byte of its destination, less one.
fn destination(packet: &[u8]) -> Option<u16> {
    let version = packet.first()? >> 4;
    let last = packet.get(19)?;
    (version == 4).then_some(())?;
    u16::from(*last).checked_sub(1)
}

async fn collect(
    from: u16,
    socket: Arc<UnixDatagram>,
    links: Links,
    inlets: Vec<mpsc::Sender<Packet>>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = socket.recv(&mut buffer).await {
        let Some(packet) = buffer.get(..length) else {
            continue;
        };
        let Some(to) = destination(packet) else {
            continue;
        };
        let Some(inlet) = inlets.get(usize::from(to)) else {
            continue;
        };
        let (once, again) = links.pass(from, to, length);
        for at in [once, again].into_iter().flatten() {
            // A full queue drops, as a real one does.
            let _ = inlet.try_send((at, packet.to_vec()));
        }
    }
}

async fn deliver(socket: Arc<UnixDatagram>, mut outlet: mpsc::Receiver<Packet>) {
    let mut waiting: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>> = BinaryHeap::new();
    let mut sequence = 0_u64;
    loop {
        let due = waiting.peek().map(|Reverse((at, ..))| *at);
        let packet = match due {
            None => outlet.recv().await,
            Some(at) => tokio::select! {
                biased;
                packet = outlet.recv() => packet,
                () = sleep_until(at) => {
                    if let Some(Reverse((_, _, bytes))) = waiting.pop()
                        && socket.send(&bytes).await.is_err()
                    {
                        // socat is gone: the network is being taken down.
                        return;
                    }
                    continue;
                }
            },
        };
        let Some((at, bytes)) = packet else {
            return;
        };
        sequence += 1;
        if waiting.len() < WAITING_MAX {
            waiting.push(Reverse((at, sequence, bytes)));
        }
    }
}

/// Waits until the link is open in both directions: a connection needs both.
async fn until_open(links: &Links, from: u16, to: u16) {
    loop {
        {
            let table = links.table();
            if !table.rule(from, to).cut && !table.rule(to, from).cut {
                return;
            }
        }
        sleep(LOOK).await;
    }
}

async fn bridge(from: u16, to: u16, stream: TcpStream, target: SocketAddr, links: Links) {
    until_open(&links, from, to).await;
    // A node that is down refuses; its caller sees the connection close.
    let Ok(other) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (stream.set_nodelay(true), other.set_nodelay(true));
    let (near_in, near_out) = stream.into_split();
    let (far_in, far_out) = other.into_split();
    tokio::select! {
        () = pump(from, to, near_in, far_out, links.clone()) => {}
        () = pump(to, from, far_in, near_out, links) => {}
    }
}

async fn pump(
    from: u16,
    to: u16,
    mut input: tcp::OwnedReadHalf,
    mut output: tcp::OwnedWriteHalf,
    links: Links,
) {
    let (inlet, mut outlet) = mpsc::channel::<Packet>(256);
    let read = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = input.read(&mut buffer).await {
            let at = loop {
                if let (Some(at), _) = links.pass(from, to, length) {
                    break at;
                }
                sleep(LOOK).await;
            };
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            if inlet.send((at, chunk)).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((at, chunk)) = outlet.recv().await {
            sleep_until(at).await;
            // What was on its way when the link was cut waits as well.
            while links.table().rule(from, to).cut {
                sleep(LOOK).await;
            }
            if output.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

/// What a rule needs that streams cannot show, in words; none if they can.
#[must_use]
pub fn beyond_streams(rule: &Rule) -> Option<&'static str> {
    (!rule.works_on_streams()).then_some("packet loss, copies and disorder need network namespaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_for_the_slot_in_their_destination() {
        let mut packet = [0_u8; 40];
        packet[0] = 0x45;
        packet[19] = 3;
        assert_eq!(destination(&packet), Some(2));
        packet[19] = 0;
        assert_eq!(destination(&packet), None);
        packet[0] = 0x60;
        packet[19] = 3;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&packet[..10]), None);
    }

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 64];
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        stream.write_all(&buffer[..length]).await.unwrap();
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_proxy_delays_holds_and_lets_go() {
        let links = Links::new(1);
        let mut switch = Switch::empty();
        // An address of this process alone: others may run the same test.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let listen = SocketAddr::from(([127, 99, high, low], 41_999));
        switch
            .stream(0, 1, listen, echo().await, &links)
            .await
            .unwrap();
        let mut stream = TcpStream::connect(listen).await.unwrap();
        let mut buffer = [0; 4];
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut buffer).await.unwrap();

        let slow = Rule {
            delay_ms: 60,
            ..Rule::OPEN
        };
        links.table().set(1, 0, slow);
        let begin = Instant::now();
        stream.write_all(b"slow").await.unwrap();
        stream.read_exact(&mut buffer).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(60));

        links.table().set(1, 0, Rule::CUT);
        stream.write_all(b"held").await.unwrap();
        let held = tokio::time::timeout(Duration::from_millis(150), stream.read_exact(&mut buffer));
        assert!(held.await.is_err());
        links.table().heal();
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"held");
    }
}
