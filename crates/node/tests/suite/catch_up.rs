//! Catching up by certified blocks from peers of which some lie, stall or keep only a part, over links of
//! a given rate, in virtual time. The replica and the store are those of a node.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, OnceLock},
};

use crate::maker::{CHAIN, add, client, open};
use hawser_consensus::Timeouts;
use hawser_ledger::{Call, Certificate, Ordering, UnsignedNative};
use hawser_network::PeerId;
use hawser_node::{
    chain::{Timers, Verifier, boot},
    pool::PoolLimits,
    replica::{
        Action, CertifiedBlock, CheckedBlock, Event, Filing, PeerMessage, Replica, Report, Sizes,
    },
    store::{ChainStore, StoreOptions},
};
use hawser_primitives::{Address, Bytes, Height, Time, U256, decode_exact, encode, limits};
use hawser_storage::{MemDisk, MemKv};

/// Blocks of the chain, each with one transaction of about this many bytes.
const LENGTH: u64 = 600;
const BLOCK_BYTES: usize = 6_000;
/// Shortest way between two nodes.
const LINK_MS: u64 = 2;
const STATUS_MS: u64 = 2_000;
/// 500 KB/s.
const SLOW_LINK: u64 = 500_000;
const FAST_LINK: u64 = 100_000_000;

fn transaction(nonce: u64) -> Bytes {
    UnsignedNative {
        chain_id: CHAIN,
        signer: client().public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 200_000,
        calls: vec![Call::Call {
            to: Address::repeat_byte(0x77),
            value: U256::from(1),
            input: vec![0; BLOCK_BYTES].into(),
        }],
    }
    .sign(&client())
    .encode_2718()
}

/// The chain that peers have.
fn chain() -> &'static ChainStore {
    static CHAIN: OnceLock<ChainStore> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let (disk, kv) = (Arc::new(MemDisk::new(1)), Arc::new(MemKv::new()));
        let store = open(disk, kv, StoreOptions::default()).unwrap();
        for height in 0..LENGTH {
            add(&store, vec![transaction(height)], 1_000).unwrap();
        }
        store
    })
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Claims to be ahead and does not answer.
    Silent,
    /// Answers that it has nothing.
    Empty,
    /// Claims a height that does not exist, and does not answer for what is beyond the chain.
    Boaster,
    /// Sends blocks with another time than the certified ones.
    OtherBlocks,
    /// Sends blocks whose certificates are not signed.
    Forger,
    /// Sends blocks with another body than their header has.
    OtherBodies,
    /// Leaves a block out.
    Gapped,
    /// Sends other blocks than it was asked for.
    Beside,
    /// Sends each answer fifty times.
    Flooding,
    /// Takes this many milliseconds for an answer.
    Slow(u64),
    /// Keeps blocks from this one on only.
    Pruned(u64),
}

struct Peer {
    manner: Manner,
    bytes_per_s: u64,
    /// When its link is free again, in microseconds.
    free_us: u64,
    asked: usize,
}

enum What {
    Node(Event),
    Status,
    Execute,
}

/// A node that catches up, and its peers.
struct World {
    disk: MemDisk,
    kv: Arc<MemKv>,
    store: Arc<ChainStore>,
    verifier: Verifier,
    replica: Replica,
    timers: Timers,
    commits: VecDeque<(CheckedBlock, Certificate)>,
    executing: bool,
    execute_ms: u64,
    peers: BTreeMap<PeerId, Peer>,
    now: Time,
    queue: BTreeMap<(Time, u64), What>,
    order: u64,
    reports: Vec<Report>,
    /// Heights that each request began with, and whom it went to.
    requests: Vec<(PeerId, Height)>,
    syncs: usize,
    stop_at: Height,
    peak: Sizes,
    stopped: Option<String>,
}

fn peer(i: usize) -> PeerId {
    PeerId([u8::try_from(i).unwrap(); 32])
}

fn honest(count: usize, bytes_per_s: u64) -> Vec<(Manner, u64)> {
    vec![(Manner::Honest, bytes_per_s); count]
}

impl World {
    fn new(peers: &[(Manner, u64)]) -> Self {
        Self::on(MemDisk::new(2), Arc::new(MemKv::new()), peers)
    }

    fn on(disk: MemDisk, kv: Arc<MemKv>, peers: &[(Manner, u64)]) -> Self {
        let on_disk = Arc::new(disk.clone());
        let on_kv: Arc<dyn hawser_storage::Kv> = Arc::<MemKv>::clone(&kv);
        let store = open(on_disk, on_kv, StoreOptions::default());
        let store = Arc::new(store.unwrap());
        let verifier = Verifier::new(Arc::clone(&store));
        let log = Arc::new(disk.clone());
        let (timeouts, pool) = (Timeouts::default(), PoolLimits::default());
        let (_, boot) = boot(&store, &verifier, log, None, timeouts, pool).unwrap();
        let mut world = Self {
            replica: Replica::new(boot),
            disk,
            kv,
            store,
            verifier,
            timers: Timers::default(),
            commits: VecDeque::new(),
            executing: false,
            execute_ms: 0,
            peers: BTreeMap::new(),
            now: Time(1_000_000),
            queue: BTreeMap::new(),
            order: 0,
            reports: Vec::new(),
            requests: Vec::new(),
            syncs: 0,
            stop_at: Height(LENGTH),
            peak: Sizes::default(),
            stopped: None,
        };
        for (i, (manner, bytes_per_s)) in peers.iter().enumerate() {
            let one = Peer {
                manner: *manner,
                bytes_per_s: *bytes_per_s,
                free_us: 0,
                asked: 0,
            };
            world.peers.insert(peer(i + 1), one);
        }
        world
    }

    fn schedule(&mut self, after_ms: u64, what: What) {
        self.order += 1;
        self.queue
            .insert((self.now.plus_ms(after_ms), self.order), what);
    }

    /// Runs until the wanted block is executed, or time is up; gives the milliseconds that it took.
    fn run(&mut self, most_ms: u64) -> Option<u64> {
        let started = self.now;
        self.handle(Event::Started);
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            self.handle(Event::PeerUp(id));
        }
        self.schedule(0, What::Status);
        while self.stopped.is_none() && self.store.head().id().height < self.stop_at {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let next = queued.into_iter().chain(self.timers.next()).min()?;
            self.now = self.now.max(next);
            if self.now.since_ms(started) > most_ms {
                return None;
            }
            if queued == Some(next) {
                let (_, what) = self.queue.pop_first().unwrap();
                self.step(what);
            } else {
                while let Some(timer) = self.timers.due(self.now) {
                    self.handle(Event::Timer(timer));
                }
            }
        }
        self.stopped.is_none().then(|| self.now.since_ms(started))
    }

    fn step(&mut self, what: What) {
        match what {
            What::Node(event) => self.handle(event),
            What::Status => {
                for (id, one) in &self.peers {
                    let height = match one.manner {
                        Manner::Boaster => LENGTH + 100_000,
                        _ => LENGTH,
                    };
                    let status = PeerMessage::Status {
                        genesis: self.store.genesis_hash(),
                        height: Height(height),
                    };
                    let (from, bytes) = (*id, encode(&status).into());
                    self.order += 1;
                    let at = (self.now.plus_ms(LINK_MS), self.order);
                    self.queue
                        .insert(at, What::Node(Event::Message { from, bytes }));
                }
                self.schedule(STATUS_MS, What::Status);
            }
            What::Execute => self.execute(),
        }
    }

    fn handle(&mut self, event: Event) {
        match self.replica.handle(self.now, event) {
            Ok(actions) => {
                self.peak = self.peak.max(self.replica.sizes());
                for action in actions {
                    self.act(action);
                }
            }
            Err(error) => self.stopped = Some(error.to_string()),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send { to, bytes, .. } => {
                let message: PeerMessage = decode_exact(&bytes, limits::FRAME_BYTES_MAX).unwrap();
                if let (
                    hawser_node::replica::To::Peer(id),
                    PeerMessage::BlocksRequest { from, count },
                ) = (to, message)
                {
                    self.requests.push((id, from));
                    self.answer(id, from, count);
                }
            }
            Action::SetTimer(timer, at) => self.timers.set(timer, at),
            Action::ClearTimer(timer) => self.timers.clear(timer),
            Action::Check { hash, block, known } => {
                let result = self.verifier.check(&block, &known);
                self.schedule(1, What::Node(Event::Checked { hash, result }));
            }
            Action::Commit {
                block,
                certificate,
                filing,
            } => {
                self.store.append(&block.block, &certificate).unwrap();
                assert_ne!(filing, Filing::Logged, "an observer logs nothing");
                if filing == Filing::Now {
                    self.store.sync_blocks().unwrap();
                    self.syncs += 1;
                }
                self.commits.push_back((block, certificate));
                if !std::mem::replace(&mut self.executing, true) {
                    self.schedule(self.execute_ms, What::Execute);
                }
            }
            Action::Report(report) => self.reports.push(report),
            _ => {}
        }
    }

    fn execute(&mut self) {
        let (block, certificate) = self.commits.pop_front().unwrap();
        let executed = self.store.execute(&block, certificate).unwrap();
        if let Some(height) = self.store.flush_due() {
            self.store.flush_to(height).unwrap();
        }
        let event = Event::Executed {
            roots: executed.result.roots,
            nonces: self.store.nonces_after(&executed).unwrap(),
            skipped: executed.skipped(),
            rules: self.store.rules(),
        };
        self.executing = !self.commits.is_empty();
        if self.executing {
            self.schedule(self.execute_ms, What::Execute);
        }
        self.handle(event);
    }

    fn answer(&mut self, id: PeerId, from: Height, count: u32) {
        let one = self.peers.get_mut(&id).unwrap();
        one.asked += 1;
        let honest = || chain().serve(from, count).unwrap();
        let mut blocks = match one.manner {
            Manner::Silent => return,
            Manner::Boaster if from.0 > LENGTH => return,
            Manner::Empty => Vec::new(),
            Manner::Beside => chain().serve(Height(from.0 + 70), count).unwrap(),
            Manner::Pruned(first) if from.0 < first => {
                let message = PeerMessage::BlocksFrom {
                    first: Height(first),
                };
                return self.deliver(id, &message, 0);
            }
            _ => honest(),
        };
        let middle = blocks.len() / 2;
        match one.manner {
            Manner::OtherBlocks => {
                for CertifiedBlock { block, .. } in &mut blocks {
                    block.header.time = block.header.time.plus_ms(1);
                }
            }
            Manner::Forger => {
                // Well formed in all: only the quorum's signature is missing.
                let signature = chain().serve(Height(1), 1).unwrap()[0]
                    .certificate
                    .signatures[0]
                    .signature;
                for block in &mut blocks[middle..] {
                    block.certificate.signatures[0].signature = signature;
                }
            }
            Manner::OtherBodies => {
                blocks[middle].block.transactions.clear();
            }
            Manner::Gapped if blocks.len() > 2 => {
                blocks.remove(1);
            }
            _ => {}
        }
        let (times, extra) = match one.manner {
            Manner::Flooding => (50, 0),
            Manner::Slow(ms) => (1, ms),
            _ => (1, 0),
        };
        let message = PeerMessage::Blocks(blocks);
        for _ in 0..times {
            self.deliver(id, &message, extra);
        }
    }

    fn deliver(&mut self, from: PeerId, message: &PeerMessage, extra_ms: u64) {
        let bytes: Bytes = encode(message).into();
        let one = self.peers.get_mut(&from).unwrap();
        let start = one.free_us.max(self.now.0 * 1_000);
        one.free_us = start + bytes.len() as u64 * 1_000_000 / one.bytes_per_s;
        let after = (one.free_us / 1_000).saturating_sub(self.now.0) + 2 * LINK_MS + extra_ms;
        self.schedule(after, What::Node(Event::Message { from, bytes }));
    }

    /// Peers that were reported.
    fn blamed(&self) -> BTreeSet<PeerId> {
        let blame = |report: &Report| match report {
            Report::BadMessage { from, .. } => Some(*from),
            _ => None,
        };
        self.reports.iter().filter_map(blame).collect()
    }

    fn asked(&self, i: usize) -> usize {
        self.peers[&peer(i)].asked
    }

    fn assert_level(&self) {
        assert_eq!(self.store.head().id(), chain().head().id());
        let bounds = Sizes::bounds(self.peers.len());
        assert_eq!(self.peak.above(&bounds), None);
    }
}

#[test]
fn three_peers_take_less_than_half_the_time_of_one() {
    let time = |count| {
        let mut world = World::new(&honest(count, SLOW_LINK));
        let ms = world.run(60_000).unwrap();
        world.assert_level();
        for i in 1..=count {
            assert!(world.asked(i) > 0, "peer {i} of {count}");
        }
        ms
    };
    let (one, three) = (time(1), time(3));
    assert!(three * 2 < one, "{three} ms from three, {one} ms from one");
    // The link is busy all the time: within a quarter of what it takes at least.
    let least = LENGTH * BLOCK_BYTES as u64 * 1_000 / SLOW_LINK;
    assert!(one < least * 5 / 4, "{one} ms, {least} ms at least");
}

#[test]
fn hostile_peers_are_named_and_hold_nobody_up() {
    use Manner as M;
    let alone = World::new(&honest(1, FAST_LINK)).run(60_000).unwrap();
    for (manner, blamed) in [
        (M::Silent, false),
        (M::Empty, false),
        (M::Boaster, false),
        (M::OtherBlocks, true),
        (M::Forger, true),
        (M::OtherBodies, true),
        (M::Gapped, true),
        (M::Beside, false),
        (M::Flooding, true),
        (M::Slow(900), false),
        (M::Slow(3_000), false),
    ] {
        // The hostile ones are the first to be asked.
        let peers = [
            (manner, FAST_LINK),
            (manner, FAST_LINK),
            (M::Honest, FAST_LINK),
        ];
        let mut world = World::new(&peers);
        let ms = world.run(60_000);
        let ms = ms.unwrap_or_else(|| panic!("{manner:?}: {:?}", world.stopped));
        world.assert_level();
        assert!(ms < alone + 1_500, "{manner:?}: {ms} ms, {alone} ms alone");
        let expected: BTreeSet<_> = if blamed {
            [peer(1), peer(2)].into()
        } else {
            BTreeSet::new()
        };
        assert_eq!(world.blamed(), expected, "{manner:?}");
        assert!(world.asked(1) > 0 && world.asked(3) > 0);
    }
}

#[test]
fn who_has_only_hostile_peers_takes_nothing_and_keeps_little() {
    use Manner as M;
    for manner in [
        M::Forger,
        M::OtherBlocks,
        M::OtherBodies,
        M::Gapped,
        M::Empty,
    ] {
        let mut world = World::new(&[(manner, FAST_LINK), (manner, FAST_LINK)]);
        assert_eq!(world.run(30_000), None, "{manner:?}");
        let head = world.store.head().id();
        // What such a peer sends of the right blocks is taken, nothing else.
        assert_eq!(chain().block(head.height).unwrap().unwrap().hash, head.hash);
        assert!(head.height.0 < LENGTH, "{manner:?}");
        let bounds = Sizes::bounds(2);
        assert_eq!(world.peak.above(&bounds), None);
        // After ten seconds each may try again.
        assert!(
            world.asked(1) < 30,
            "{manner:?} was asked {} times",
            world.asked(1)
        );
    }
}

#[test]
fn a_slow_peer_does_not_hold_up_the_next_blocks() {
    // It answers within the time that an answer may take, so it is asked again and again.
    let peers = [(Manner::Slow(950), FAST_LINK), (Manner::Honest, SLOW_LINK)];
    let ms = World::new(&peers).run(60_000).unwrap();
    let alone = World::new(&honest(1, SLOW_LINK)).run(60_000).unwrap();
    assert!(
        ms < alone + 1_000,
        "{ms} ms, {alone} ms without the slow one"
    );
    // One that is slow and alone is waited for.
    let mut world = World::new(&[(Manner::Slow(2_500), FAST_LINK)]);
    world.stop_at = Height(100);
    assert!(world.run(120_000).is_some(), "{:?}", world.replica.tip());
}

#[test]
fn a_link_that_carries_one_block_a_second_is_enough() {
    let mut world = World::new(&[(Manner::Honest, 6_000)]);
    world.stop_at = Height(40);
    let ms = world.run(120_000).unwrap();
    assert!(ms < 90_000, "{ms}");
    assert!(world.blamed().is_empty());
}

#[test]
fn pruned_peers_help_with_what_they_keep() {
    use Manner as M;
    let peers = [
        (M::Pruned(200), SLOW_LINK),
        (M::Pruned(400), SLOW_LINK),
        (M::Honest, SLOW_LINK),
    ];
    let mut world = World::new(&peers);
    let ms = world.run(60_000).unwrap();
    world.assert_level();
    // They said what they keep when they were first asked, and that is remembered.
    let before = |id, first| {
        let of = |(to, from): &&(PeerId, Height)| *to == id && from.0 < first;
        world.requests.iter().filter(of).count()
    };
    // The first one whose status came was asked for two ranges: it was the only one.
    assert_eq!((before(peer(1), 200), before(peer(2), 400)), (2, 1));
    assert!(world.asked(1) > 1 && world.asked(2) > 1);
    let alone = World::new(&honest(1, SLOW_LINK)).run(60_000).unwrap();
    assert!(ms * 4 < alone * 3, "{ms} ms, {alone} ms from one");

    // Nobody keeps the first blocks: it says so and asks for nothing else.
    let mut world = World::new(&[(M::Pruned(200), FAST_LINK), (M::Pruned(400), FAST_LINK)]);
    assert_eq!(world.run(30_000), None);
    let gap = |report: &Report| matches!(report, Report::HistoryMissing { next, first } if (next.0, first.0) == (1, 200));
    assert_eq!(world.reports.iter().filter(|one| gap(one)).count(), 1);
    assert_eq!(world.replica.history_missing(), Some(Height(200)));
    assert!(world.asked(1) <= 2 && world.asked(2) <= 2);
}

#[test]
fn it_reads_no_further_ahead_than_it_may_while_execution_is_slow() {
    let mut world = World::new(&honest(3, FAST_LINK));
    world.execute_ms = 50;
    world.stop_at = Height(100);
    let mut furthest = 0;
    let ms = world.run(60_000).unwrap();
    for (_, from) in &world.requests {
        furthest = furthest.max(from.0);
    }
    // Execution is never idle: 50 ms for each block, and the first answer.
    assert!(ms < 100 * 50 + 500, "{ms}");
    // Two blocks may wait for execution.
    assert!(furthest <= 100 + 2 + 256, "asked for {furthest}");
    assert!(world.peak.synced <= 256);
    let state = world.replica.catching_up().expect("it is behind");
    assert_eq!(state.target, Height(LENGTH));
    assert!((15..=25).contains(&state.blocks_per_second), "{state:?}");
    let left = state.behind * 50 / 1_000;
    let shown = state.seconds_left.unwrap();
    assert!(shown.abs_diff(left) <= left / 4 + 1, "{shown} s, {left} s");
    assert!(state.held > 0 && state.held_bytes > 0);
}

#[test]
fn a_crash_on_the_way_loses_nothing_that_matters_and_it_goes_on_from_there() {
    for (stop, seed) in [(3, 1), (90, 2), (250, 3), (500, 4)] {
        let mut world = World::new(&honest(2, FAST_LINK));
        world.stop_at = Height(stop);
        world.run(60_000).unwrap();
        let (disk, kv) = (world.disk.crash(seed), world.kv.crash_keeping(0));
        drop(world);
        let mut world = World::on(disk, Arc::new(kv), &honest(2, FAST_LINK));
        let from = world.replica.tip().height;
        assert!(from.0 + 64 >= stop, "{from} of {stop}");
        world.run(60_000).unwrap();
        world.assert_level();
        assert_eq!(world.requests[0].1, from.next());
    }
}

#[test]
fn files_are_synced_for_many_fetched_blocks_at_once() {
    let mut world = World::new(&honest(2, FAST_LINK));
    world.execute_ms = 2;
    world.run(60_000).unwrap();
    world.assert_level();
    assert!(
        world.syncs <= 60,
        "{} syncs for {LENGTH} blocks",
        world.syncs
    );
    assert!(world.syncs as u64 >= LENGTH / 64);
}

#[test]
fn the_same_events_give_the_same_requests() {
    let run = || {
        let peers = [
            (Manner::Slow(600), SLOW_LINK),
            (Manner::Forger, FAST_LINK),
            (Manner::Honest, SLOW_LINK),
            (Manner::Pruned(300), FAST_LINK),
        ];
        let mut world = World::new(&peers);
        let ms = world.run(60_000).unwrap();
        (ms, world.requests)
    };
    assert_eq!(run(), run());
}
