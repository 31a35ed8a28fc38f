//! Joining by a snapshot from peers of which some lie, stall or vanish, in virtual time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::chain::*;
use hawser_crypto::Suite;
use hawser_network::PeerId;
use hawser_node::snapshot::{
    self, CHUNK_BYTES_MAX, ChunkChecker, CreateOptions, JoinAction, JoinEvent, JoinLimits,
    JoinReport, JoinStage, Joiner, Manifest, OFFERS_MAX, Pace, Shelf, SnapshotAnswer, SnapshotAsk,
    SnapshotOffer, SnapshotRefusal, SnapshotReply,
};
use hawser_primitives::{B256, Bytes, Height, Time};
use hawser_storage::MemDisk;

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Has no snapshots.
    Poor,
    /// Offers, and never sends a chunk.
    Stalling,
    /// Sends chunks with a byte changed.
    WrongChunks,
    /// Sends chunks that are larger than any may be.
    Endless,
    /// Offers the right digest and sends a manifest with sizes that are not so.
    BogusSizes,
    /// Offers a later block than there is, with a manifest of its own.
    Invented,
    /// Sends more offers than it may.
    Flooding,
    /// Answers another question.
    Beside,
    /// Is busy every other time.
    Busy,
    /// Has thrown its snapshot away.
    Forgetful,
    /// Says that it runs another chain.
    Elsewhere,
    /// Cannot read what it is asked.
    Deaf,
}

/// Everything that is asked and answered, without a network.
struct World<'a> {
    chain: &'a TestChain,
    shelf: &'a Shelf,
    height: Height,
    peers: BTreeMap<PeerId, Manner>,
    joiner: Joiner,
    staging: Shelf,
    checker: Option<ChunkChecker>,
    now: Time,
    answers: VecDeque<(Time, PeerId, SnapshotAnswer)>,
    asked: BTreeMap<PeerId, usize>,
    busy: usize,
    dropped: Vec<PeerId>,
    reports: Vec<JoinReport>,
    most_in_flight: usize,
    complete: bool,
}

fn peer(i: u8) -> PeerId {
    PeerId([i; 32])
}

impl<'a> World<'a> {
    fn new(
        chain: &'a TestChain,
        shelf: &'a Shelf,
        height: Height,
        staging: Shelf,
        manners: &[Manner],
    ) -> Self {
        let peers: BTreeMap<_, _> = (1..)
            .zip(manners)
            .map(|(i, manner)| (peer(i), *manner))
            .collect();
        Self {
            chain,
            shelf,
            height,
            peers,
            joiner: Joiner::new(&chain.genesis, JoinLimits::default()),
            staging,
            checker: None,
            now: Time(1),
            answers: VecDeque::new(),
            asked: BTreeMap::new(),
            busy: 0,
            dropped: Vec::new(),
            reports: Vec::new(),
            most_in_flight: 0,
            complete: false,
        }
    }

    /// Runs until everything is here, a number of chunks is, or time is up; gives whether it is complete.
    fn run(&mut self, chunks_max: usize, seconds: u64) -> bool {
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            self.step(JoinEvent::PeerUp(id));
        }
        for _ in 0..seconds * 10 {
            if self.complete || self.joiner.progress().chunks >= chunks_max {
                break;
            }
            self.now = self.now.plus_ms(100);
            while self.answers.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, from, answer) = self.answers.pop_front().unwrap();
                self.step(JoinEvent::Answer(from, answer));
            }
            self.step(JoinEvent::Tick);
        }
        self.complete
    }

    fn step(&mut self, event: JoinEvent) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.joiner.handle(self.now, event) {
                events.extend(self.act(action));
            }
        }
        self.most_in_flight = self.most_in_flight.max(self.answers.len());
    }

    fn act(&mut self, action: JoinAction) -> Option<JoinEvent> {
        match action {
            JoinAction::Ask(to, request) => {
                if let Some(reply) = self.reply(to, request.ask) {
                    let answer = SnapshotAnswer {
                        id: request.id,
                        reply,
                    };
                    self.answers.push_back((self.now.plus_ms(50), to, answer));
                }
                None
            }
            JoinAction::Begin(manifest, from) => Some(self.begin(*manifest, from)),
            JoinAction::Check(id, from, bytes) => {
                *self.asked.entry(from).or_default() += 1;
                let checker = self.checker.as_ref().unwrap();
                let result = checker.check(id, &bytes).map_err(|error| error.to_string());
                if result.is_ok() {
                    self.staging.put_chunk(self.height, id, &bytes).unwrap();
                }
                Some(JoinEvent::Checked {
                    chunk: Some(id),
                    from: Some(from),
                    result,
                })
            }
            JoinAction::Report(report) => {
                if let JoinReport::Dropped { peer, .. } = &report {
                    self.dropped.push(*peer);
                }
                self.reports.push(report);
                None
            }
            JoinAction::Complete(_) => {
                let checker = self.checker.as_ref().unwrap();
                self.staging.put_manifest(checker.manifest()).unwrap();
                self.complete = true;
                None
            }
        }
    }

    fn begin(&mut self, manifest: Manifest, from: PeerId) -> JoinEvent {
        let genesis = Arc::clone(&self.chain.genesis);
        let suite = genesis.suite;
        let checker = match ChunkChecker::new(genesis, Arc::new(manifest)) {
            Ok(checker) => checker,
            Err(error) => {
                return JoinEvent::Checked {
                    chunk: None,
                    from: Some(from),
                    result: Err(error.to_string()),
                };
            }
        };
        let manifest = checker.manifest();
        let here = checker.here(&self.staging);
        let digest = manifest.digest(suite);
        self.joiner
            .begun((Arc::clone(manifest), digest), from, here);
        self.checker = Some(checker);
        JoinEvent::Tick
    }

    fn offer(&self) -> SnapshotOffer {
        let facts = self.shelf.facts(self.height).unwrap();
        SnapshotOffer {
            height: facts.height,
            digest: facts.digest,
        }
    }

    fn reply(&mut self, to: PeerId, ask: SnapshotAsk) -> Option<SnapshotReply> {
        use Manner as M;
        let manner = self.peers[&to];
        if manner == M::Busy {
            self.busy += 1;
            if self.busy.is_multiple_of(2) {
                return Some(SnapshotReply::Refused(SnapshotRefusal::Busy));
            }
        }
        Some(match (ask, manner) {
            (_, M::Elsewhere) => SnapshotReply::Refused(SnapshotRefusal::WrongChain),
            (_, M::Deaf) => SnapshotReply::Refused(SnapshotRefusal::Malformed),
            (SnapshotAsk::List, M::Poor) => SnapshotReply::Offers(vec![]),
            (SnapshotAsk::List, M::Flooding) => {
                SnapshotReply::Offers(vec![self.offer(); OFFERS_MAX + 1])
            }
            (SnapshotAsk::List, M::Beside) => SnapshotReply::Chunk(Bytes::new()),
            (SnapshotAsk::List, M::Invented) => SnapshotReply::Offers(vec![SnapshotOffer {
                height: Height(self.height.0 + 1_000),
                digest: B256::repeat_byte(1),
            }]),
            (SnapshotAsk::List, _) => SnapshotReply::Offers(vec![self.offer()]),
            (SnapshotAsk::Manifest { .. }, M::Stalling) => return None,
            (SnapshotAsk::Manifest { .. }, M::BogusSizes) => {
                let mut manifest = self.shelf.manifest(self.height).unwrap();
                manifest.parts[0].bytes += 1;
                SnapshotReply::Manifest(manifest.encode().into())
            }
            (SnapshotAsk::Manifest { .. }, M::Invented) => {
                let mut manifest = self.shelf.manifest(self.height).unwrap();
                manifest.block.header.height = Height(self.height.0 + 1_000);
                SnapshotReply::Manifest(manifest.encode().into())
            }
            (SnapshotAsk::Manifest { height }, _) => {
                let manifest = self.shelf.manifest(height).unwrap();
                SnapshotReply::Manifest(manifest.encode().into())
            }
            (SnapshotAsk::Chunk { .. }, M::Stalling) => return None,
            (SnapshotAsk::Chunk { .. }, M::Forgetful) => {
                SnapshotReply::Refused(SnapshotRefusal::NotHere)
            }
            (SnapshotAsk::Chunk { .. }, M::Endless) => {
                SnapshotReply::Chunk(vec![0; CHUNK_BYTES_MAX + 1].into())
            }
            (SnapshotAsk::Chunk { height, id }, manner) => {
                let mut bytes = self.shelf.whole_chunk(height, id).unwrap();
                if manner == M::WrongChunks {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 1;
                }
                SnapshotReply::Chunk(bytes.into())
            }
        })
    }
}

struct Source {
    chain: TestChain,
    shelf: Shelf,
    height: Height,
    chunks: usize,
}

fn source() -> Source {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(20);
    let shelf = empty();
    let manifest = snapshot::create(
        &chain.store,
        &shelf,
        &mut CreateOptions {
            height: None,
            all_blocks: false,
            pace: Pace::of(0),
            progress: &mut |_, _| {},
            stop: &|| false,
        },
    )
    .unwrap();
    Source {
        height: manifest.height(),
        chunks: manifest.chunk_count(),
        chain,
        shelf,
    }
}

fn empty() -> Shelf {
    Shelf::of(Arc::new(MemDisk::new(3)), Suite::Intl)
}

#[test]
fn a_node_fetches_from_all_honest_peers_and_names_those_that_lie() {
    use Manner as M;
    let source = source();
    for (manners, liars) in [
        (vec![M::Honest], vec![]),
        (vec![M::Honest, M::Honest, M::Poor], vec![]),
        (vec![M::WrongChunks, M::Honest], vec![1]),
        (vec![M::Endless, M::Honest], vec![1]),
        (vec![M::BogusSizes, M::Honest], vec![1]),
        (vec![M::Invented, M::Honest], vec![1]),
        (vec![M::Flooding, M::Honest], vec![1]),
        (vec![M::Beside, M::Honest], vec![1]),
        (vec![M::Stalling, M::Honest], vec![]),
        (vec![M::Forgetful, M::Honest], vec![]),
        (vec![M::Busy, M::Busy], vec![]),
        (vec![M::Elsewhere, M::Honest], vec![]),
        (vec![M::Deaf, M::Honest], vec![]),
        (
            vec![
                M::WrongChunks,
                M::Endless,
                M::Stalling,
                M::Invented,
                M::BogusSizes,
                M::Honest,
            ],
            vec![1, 2, 4, 5],
        ),
    ] {
        let staging = empty();
        let mut world = World::new(
            &source.chain,
            &source.shelf,
            source.height,
            staging.clone(),
            &manners,
        );
        assert!(
            world.run(usize::MAX, 300),
            "{manners:?}: {:?}",
            world.reports
        );
        assert!(world.most_in_flight <= 8 + manners.len(), "{manners:?}");
        let mut dropped = world.dropped.clone();
        dropped.sort_unstable();
        dropped.dedup();
        // One that lies may not have been asked for what it lies about.
        for liar in &dropped {
            assert!(
                liars.contains(&liar.0[0]),
                "{manners:?}: {:?}",
                world.reports
            );
        }
        if manners.len() == 2 {
            assert_eq!(
                dropped.len(),
                liars.len(),
                "{manners:?}: {:?}",
                world.reports
            );
        }
        assert_eq!(
            world.joiner.progress().stage,
            JoinStage::Complete(source.height)
        );
        let genesis = &source.chain.genesis;
        snapshot::verify(&staging, source.height, genesis, &mut |_, _| {}).unwrap();
    }
}

#[test]
fn peers_of_another_chain_are_named_as_that_and_asked_again_over_a_new_link() {
    use Manner as M;
    let source = source();
    let mut world = World::new(
        &source.chain,
        &source.shelf,
        source.height,
        empty(),
        &[M::Elsewhere, M::Elsewhere],
    );
    assert!(!world.run(usize::MAX, 20));
    assert_eq!(world.dropped, [], "nobody is called a forger");
    let named = [1, 2].map(|i| JoinReport::OtherChain(peer(i)));
    assert_eq!(world.reports, named);
    assert_eq!(world.joiner.progress().other_chain, 2);
    world.peers.insert(peer(1), M::Honest);
    world.step(JoinEvent::PeerDown(peer(1)));
    world.step(JoinEvent::PeerUp(peer(1)));
    assert_eq!(world.joiner.progress().other_chain, 1);
    world.peers.remove(&peer(2));
    assert!(world.run(usize::MAX, 60), "{:?}", world.reports);
}

#[test]
fn the_work_is_spread_over_the_peers() {
    let source = source();
    let manners = [Manner::Honest, Manner::Honest];
    let mut world = World::new(
        &source.chain,
        &source.shelf,
        source.height,
        empty(),
        &manners,
    );
    assert!(world.run(usize::MAX, 60));
    assert_eq!(world.asked.len(), 2, "{:?}", world.asked);
}

#[test]
fn what_was_fetched_before_a_restart_is_checked_and_not_fetched_again() {
    let source = source();
    let staging = empty();
    let manners = [Manner::Honest, Manner::Honest];
    let begin = |staging: &Shelf| {
        World::new(
            &source.chain,
            &source.shelf,
            source.height,
            staging.clone(),
            &manners,
        )
    };
    let mut first = begin(&staging);
    assert!(!first.run(source.chunks / 2, 60));
    let here = first.joiner.progress().chunks;
    assert!(here > 0 && here < source.chunks);
    // One of them was spoilt meanwhile.
    let manifest = first.checker.as_ref().unwrap().manifest();
    let id = manifest.chunks().next().unwrap();
    staging.put_chunk(source.height, id, b"spoilt").unwrap();
    let mut second = begin(&staging);
    assert!(second.run(usize::MAX, 60));
    let fetched: usize = second.asked.values().sum();
    assert_eq!(fetched, source.chunks - here + 1);
}

#[test]
fn without_an_offer_there_is_no_hope_and_without_an_answer_there_is() {
    use Manner as M;
    let source = source();
    let begin = |manners: &[Manner]| {
        World::new(
            &source.chain,
            &source.shelf,
            source.height,
            empty(),
            manners,
        )
    };
    let mut poor = begin(&[M::Poor, M::Poor]);
    assert!(!poor.run(usize::MAX, 12));
    assert!(!poor.joiner.has_hope() && poor.joiner.answered() == 2);
    let mut alone = begin(&[]);
    assert!(!alone.run(usize::MAX, 12));
    assert_eq!(alone.joiner.answered(), 0);
}

#[test]
fn answers_that_nobody_asked_for_cost_nothing() {
    let source = source();
    let mut joiner = Joiner::new(&source.chain.genesis, JoinLimits::default());
    joiner.handle(Time(1), JoinEvent::PeerUp(peer(1)));
    for id in 0..10_000 {
        for reply in [
            SnapshotReply::Chunk(Bytes::from_static(&[0; 64])),
            SnapshotReply::Manifest(Bytes::from_static(&[0; 64])),
            SnapshotReply::Offers(vec![]),
        ] {
            let id = id + 2;
            let answer = JoinEvent::Answer(peer(2), SnapshotAnswer { id, reply });
            assert_eq!(joiner.handle(Time(2), answer), []);
        }
    }
}
