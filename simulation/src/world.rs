use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use hawser_crypto::{PublicKey, SecretKey, Suite};
use hawser_ledger::{
    Attestation, ChainParameters, Claim, Genesis, GenesisAccount, GenesisValidator,
    PROTOCOL_VERSION, attestation_message, batch_digest,
};
use hawser_network::PeerId;
use hawser_node::replica::{
    Action, AuditSampling, Batch, CheckedBlock, Event, Intake, LogEntry, PeerMessage, Relayed,
    ReplicaError, TimerId, To,
};
use hawser_node::store::StoreError;
use hawser_primitives::{B256, Bytes, ChainId, Height, Time, U256, decode_exact, encode, limits};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Plan, Violation,
    clients::{Clients, Signed},
    egress::{Egress, Sent},
    node::{Running, SimNode},
    oracle::Oracle,
    settings::{Model, Patch},
};

const CHAIN: ChainId = ChainId(2021);
/// Virtual start: clocks must not begin at zero.
const START: Time = Time(1_700_000_000_000);
/// Shortest way between two nodes, in milliseconds.
const LINK_MS: u64 = 1;
/// Transactions in a batch with a forged one.
const FORGED_BATCH: usize = 16;
/// Time until drawn samples are verified, and between two forgeries, in milliseconds.
const AUDIT_MS: u64 = 20;
const FORGE_EVERY_MS: u64 = 70;
/// When a load begins, in milliseconds: links are up and have exchanged what nodes understand.
const LOAD_FROM_MS: u64 = 100;

/// Something that is going to happen.
enum What {
    Node {
        node: usize,
        life: u64,
        event: Event,
    },
    Timers {
        node: usize,
        life: u64,
    },
    Execute {
        node: usize,
        life: u64,
    },
    Restart {
        node: usize,
    },
    Submit,
    Load,
    Forge,
    Partition,
    Heal,
    EndOfFaults,
}

struct Scheduled {
    at: Time,
    order: u64,
    what: What,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash over everything that happened, in order.
    pub audit: B256,
    /// Highest block.
    pub height: Height,
    /// Events handled.
    pub events: u64,
    /// Crashes.
    pub crashes: u64,
    /// Transactions executed.
    pub executed: usize,
    /// Changes of settings that took effect.
    pub changes: usize,
    /// Nodes that an old program stopped and a newer one resumed.
    pub upgraded: u64,
    /// Virtual milliseconds from the end of the faults until all was executed everywhere.
    pub healed_ms: u64,
    /// What nodes sent one another.
    pub sent: Sent,
    /// Batches that nodes took on others' word.
    pub trusted: u64,
    /// False attestations that samples found.
    pub found_by_samples: u64,
    /// Pairs of a node that tells the truth and a liar whom it holds evidence against.
    pub convicted: usize,
}

/// A network in virtual time.
pub struct World {
    plan: Plan,
    genesis: Arc<Genesis>,
    rng: ChaCha8Rng,
    now: Time,
    order: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    nodes: Vec<SimNode>,
    clients: Clients,
    oracle: Oracle,
    /// Nodes on the other side of a partition.
    cut: BTreeSet<usize>,
    faulty: bool,
    submitted: BTreeMap<B256, Signed>,
    to_submit: usize,
    to_load: usize,
    to_forge: usize,
    forged: BTreeSet<B256>,
    trusted: u64,
    found_by_samples: u64,
    egress: Egress,
    to_change: usize,
    /// Whether the change of protocol is still to come.
    to_upgrade: bool,
    /// Vote keys of all nodes that have one.
    candidates: Vec<PublicKey>,
    audit: B256,
    events: u64,
    crashes: u64,
    upgraded: u64,
    replies: u64,
}

impl World {
    /// Sets a world up from a plan.
    pub fn new(plan: Plan) -> Result<Self, Violation> {
        let fault = |error: &dyn std::fmt::Display| Violation(format!("set-up: {error}"));
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut keys = Vec::new();
        for i in 0..plan.nodes.saturating_add(plan.candidates) {
            let mut seed = [0xa5; 32];
            seed[0] = u8::try_from(i).unwrap_or(u8::MAX);
            let key = SecretKey::from_seed(plan.suite.vote_scheme(), &seed);
            keys.push(Arc::new(key.map_err(|error| fault(&error))?));
        }
        let clients = Clients::new(CHAIN, plan.suite);
        let balance = U256::from(1_000_000u64);
        let genesis = Genesis {
            protocol_version: PROTOCOL_VERSION,
            chain_id: CHAIN,
            name: "simulation".to_owned(),
            suite: plan.suite,
            time: START,
            parameters: ChainParameters {
                root_lag: rng.random_range(1..=3),
                verification: plan.verification,
                block_interval_ms_min: plan.block_interval_ms_min,
                ..ChainParameters::default()
            },
            validators: keys
                .iter()
                .take(plan.nodes)
                .enumerate()
                .map(|(i, key)| GenesisValidator {
                    name: format!("node{i}"),
                    public_key: key.public_key(),
                    weight: 1,
                })
                .collect(),
            accounts: clients
                .addresses()
                .map(|address| {
                    (
                        address,
                        GenesisAccount {
                            balance,
                            ..Default::default()
                        },
                    )
                })
                .collect(),
            governance: None,
        };
        let model = Model::new(&genesis).map_err(|error| fault(&error))?;
        let candidates = keys.iter().map(|key| key.public_key()).collect();
        let skew = i64::try_from(plan.faults.clock_skew_ms_max).unwrap_or(0);
        let voters = keys.into_iter().map(Some);
        let nodes: Vec<_> = voters
            .chain((0..plan.observers).map(|_| None))
            .map(|key| SimNode::new(key, rng.random(), rng.random_range(-skew..=skew)))
            .collect();
        let mut world = Self {
            oracle: Oracle::new(
                CHAIN,
                model,
                nodes
                    .iter()
                    .map(|node| node.key.as_ref().map(|key| key.address()))
                    .collect(),
            ),
            to_submit: plan.transactions,
            to_load: plan.load.map_or(0, |load| load.transactions),
            to_forge: plan.forgeries,
            forged: BTreeSet::new(),
            trusted: 0,
            found_by_samples: 0,
            egress: Egress::new(nodes.len(), plan.egress_bytes_per_s),
            to_change: plan.changes,
            to_upgrade: plan.upgrade,
            candidates,
            plan,
            genesis: Arc::new(genesis),
            rng,
            now: START,
            order: 0,
            heap: BinaryHeap::new(),
            nodes,
            clients,
            cut: BTreeSet::new(),
            faulty: true,
            submitted: BTreeMap::new(),
            audit: B256::ZERO,
            events: 0,
            crashes: 0,
            upgraded: 0,
            replies: 0,
        };
        if world.plan.upgrade {
            for node in world.nodes.iter_mut().step_by(2) {
                node.program = node.program.saturating_add(1);
            }
        }
        for node in 0..world.nodes.len() {
            world.start(node)?;
        }
        world.schedule(world.plan.faulty_ms, What::EndOfFaults);
        world.schedule(10, What::Submit);
        if world.to_load > 0 {
            world.schedule(LOAD_FROM_MS, What::Load);
        }
        if world.to_forge > 0 {
            world.schedule(LOAD_FROM_MS, What::Forge);
        }
        if world.plan.faults.partition_every_ms > 0 {
            world.schedule(world.plan.faults.partition_every_ms, What::Partition);
        }
        Ok(world)
    }

    /// Runs to the end: faults, healing, and everything executed everywhere.
    pub fn run(mut self) -> Result<Outcome, Violation> {
        let healed_from = START.plus_ms(self.plan.faulty_ms);
        let deadline = healed_from.plus_ms(self.plan.healing_ms);
        while let Some(Reverse(next)) = self.heap.pop() {
            self.now = next.at;
            if self.now > deadline {
                return Err(self.stuck());
            }
            self.step(next.what)?;
            if !self.faulty
                && self.to_submit == 0
                && self.to_load == 0
                && self.to_forge == 0
                && self.is_settled()
            {
                return Ok(Outcome {
                    audit: self.audit,
                    height: self.oracle.highest(),
                    events: self.events,
                    crashes: self.crashes,
                    executed: self
                        .submitted
                        .keys()
                        .filter(|hash| self.is_done(hash))
                        .count(),
                    changes: self.oracle.model().changes(),
                    upgraded: self.upgraded,
                    healed_ms: self.now.since_ms(healed_from),
                    sent: self.egress.sent(),
                    trusted: self.trusted,
                    found_by_samples: self.found_by_samples,
                    convicted: self.convicted(),
                });
            }
        }
        Err(self.stuck())
    }

    fn is_liar(&self, node: usize) -> bool {
        let validators = self.plan.nodes;
        node < validators && node >= validators.saturating_sub(self.plan.liars)
    }

    fn convicted(&self) -> usize {
        let liars: BTreeSet<_> = (0..self.nodes.len())
            .filter(|node| self.is_liar(*node))
            .filter_map(|node| Some(self.nodes.get(node)?.key.as_ref()?.address()))
            .collect();
        let honest = (0..self.nodes.len()).filter(|node| !self.is_liar(*node));
        honest
            .filter_map(|node| self.nodes.get(node)?.running.as_ref())
            .map(|running| {
                running
                    .replica
                    .convicted()
                    .filter(|who| liars.contains(who))
                    .count()
            })
            .sum()
    }

    /// The last liar makes a batch with a transaction that its sender did not sign; the other liars
    /// vouch for it before anybody has seen it.
    fn forge(&mut self) -> Result<(), Violation> {
        self.to_forge = self.to_forge.saturating_sub(1);
        if self.to_forge > 0 {
            self.schedule(FORGE_EVERY_MS, What::Forge);
        }
        let maker = self.plan.nodes.saturating_sub(1);
        let mut signed = self.clients.lot(FORGED_BATCH - 1);
        let Some(forged) = self.clients.forged(self.now) else {
            return Ok(());
        };
        self.forged.insert(forged.hash);
        let mut list = Vec::new();
        let mut claims = Vec::new();
        for one in signed.iter().chain([&forged]) {
            let sender = self.clients.sender_of(&one.raw).unwrap_or_default();
            claims.push(Claim {
                hash: one.hash,
                sender,
            });
            list.push(Relayed {
                sender,
                raw: one.raw.clone(),
            });
        }
        for one in signed.drain(..) {
            self.submitted.insert(one.hash, one);
        }
        let digest = batch_digest(self.plan.suite, CHAIN, &claims);
        let message = attestation_message(CHAIN, digest);
        let vouch = |node: Option<&SimNode>| {
            let key = node?.key.as_ref()?;
            Some(Attestation {
                validator: key.address(),
                signature: key.sign(&message),
            })
        };
        let all: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.is_liar(*node))
            .filter_map(|node| Some((node, vouch(self.nodes.get(node))?)))
            .collect();
        for (node, attestation) in all {
            let message = if node == maker {
                PeerMessage::Batch(Batch {
                    digest,
                    transactions: list.clone(),
                    attestation,
                    pass_on: false,
                })
            } else {
                PeerMessage::Attested {
                    digest,
                    attestation,
                }
            };
            self.send(node, To::All, false, &encode(&message))?;
        }
        Ok(())
    }

    fn is_done(&self, hash: &B256) -> bool {
        self.oracle.executed_at(hash).is_some()
    }

    /// Whether all nodes are up, equal, and have executed everything that can still be.
    fn is_settled(&self) -> bool {
        let highest = self.oracle.highest();
        let level = self.nodes.iter().all(|node| {
            node.running.as_ref().is_some_and(|running| {
                running.replica.tip().height == highest && running.replica.executed() == highest
            })
        });
        // A change takes effect without anybody's doing.
        let in_effect =
            self.to_change == 0 && !self.to_upgrade && self.oracle.model().last_change() <= highest;
        level
            && in_effect
            && self
                .submitted
                .values()
                .all(|signed| self.is_done(&signed.hash))
    }

    fn stuck(&self) -> Violation {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(i, node)| match &node.running {
                Some(running) => {
                    let agreement = running.replica.agreement();
                    format!(
                        "node {i}: tip {}, executed {}, pool {:?}, deciding {:?} round {} ({}), peers {:?}",
                        running.replica.tip().height,
                        running.replica.executed(),
                        running.replica.pool().counts(),
                        agreement.height(),
                        agreement.round(),
                        agreement.step(),
                        running.replica.peer_heights().map(|(_, h)| h.0).collect::<Vec<_>>(),
                    )
                }
                None => format!("node {i}: down"),
            })
            .collect();
        let open: Vec<_> = self
            .submitted
            .keys()
            .filter(|hash| !self.is_done(hash))
            .take(5)
            .collect();
        Violation(format!(
            "liveness: not settled {} ms after the faults ended; {}; not executed: {open:?}",
            self.plan.healing_ms,
            nodes.join("; ")
        ))
    }

    fn schedule(&mut self, after_ms: u64, what: What) {
        self.order = self.order.saturating_add(1);
        let at = self.now.plus_ms(after_ms);
        self.heap.push(Reverse(Scheduled {
            at,
            order: self.order,
            what,
        }));
    }

    fn note(&mut self, fact: &[u8]) {
        let at = self.now.0.to_be_bytes();
        self.audit = Suite::Intl.hash_parts(&[self.audit.as_slice(), &at, fact]);
    }

    fn clock(&self, node: usize) -> Time {
        let skew = self.nodes.get(node).map_or(0, |node| node.skew_ms);
        Time(self.now.0.saturating_add_signed(skew))
    }

    fn step(&mut self, what: What) -> Result<(), Violation> {
        match what {
            What::Node { node, life, event } => {
                if self.is_alive(node, life) {
                    self.handle(node, event)?;
                }
            }
            What::Timers { node, life } => {
                if self.is_alive(node, life) {
                    self.fire(node)?;
                }
            }
            What::Execute { node, life } => {
                if self.is_alive(node, life) {
                    self.execute(node, life)?;
                }
            }
            What::Restart { node } => {
                if self
                    .nodes
                    .get(node)
                    .is_some_and(|node| node.running.is_none())
                {
                    self.start(node)?;
                }
            }
            What::Submit => self.submit(),
            What::Load => self.load(),
            What::Forge => self.forge()?,
            What::Partition => self.partition(),
            What::Heal => self.cut.clear(),
            What::EndOfFaults => self.end_faults(),
        }
        Ok(())
    }

    fn is_alive(&self, node: usize, life: u64) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|node| node.life == life && node.running.is_some())
    }

    fn start(&mut self, node: usize) -> Result<(), Violation> {
        let genesis = Arc::clone(&self.genesis);
        let audit = AuditSampling {
            key: [u8::try_from(node).unwrap_or(u8::MAX); 16],
            per_mille: self.plan.audit_per_mille,
        };
        let Some(sim) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        let cast = sim
            .start(&genesis, audit)
            .map_err(|error| Violation(format!("restart of {node}: {error}")))?;
        let stored = sim
            .running
            .as_ref()
            .map_or(Height::GENESIS, |r| r.store.stored_height());
        self.oracle.on_restart(node, stored, &cast)?;
        // Written before the crash and not yet synced, but found: as durable as the rest now.
        for record in cast.values().flat_map(|cast| &cast.records) {
            self.oracle.on_durable(node, record);
        }
        // Links to and from everyone who is up.
        let up: Vec<_> = (0..self.nodes.len())
            .filter(|other| {
                *other != node && self.nodes.get(*other).is_some_and(|n| n.running.is_some())
            })
            .collect();
        self.handle(node, Event::Started)?;
        for other in up {
            self.later(other, LINK_MS, Event::PeerUp(peer(node)));
            self.later(node, LINK_MS, Event::PeerUp(peer(other)));
        }
        Ok(())
    }

    fn later(&mut self, node: usize, after_ms: u64, event: Event) {
        let Some(life) = self.nodes.get(node).map(|node| node.life) else {
            return;
        };
        self.schedule(after_ms, What::Node { node, life, event });
    }

    fn crash(&mut self, node: usize) {
        let seed = self.rng.random();
        self.crashes = self.crashes.saturating_add(1);
        if let Some(sim) = self.nodes.get_mut(node) {
            sim.crash(seed);
        }
        for other in 0..self.nodes.len() {
            if other != node {
                self.later(other, LINK_MS, Event::PeerDown(peer(node)));
            }
        }
        let after = self.rng.random_range(50..5_000);
        self.schedule(after, What::Restart { node });
    }

    fn end_faults(&mut self) {
        self.faulty = false;
        self.cut.clear();
        for node in &mut self.nodes {
            node.skew_ms = 0;
        }
    }

    fn partition(&mut self) {
        if !self.faulty {
            return;
        }
        let count = self.nodes.len();
        self.cut = (0..count).filter(|_| self.rng.random_bool(0.4)).collect();
        let length = self.rng.random_range(200..6_000);
        self.schedule(length, What::Heal);
        let next = length.saturating_add(self.plan.faults.partition_every_ms);
        self.schedule(next, What::Partition);
    }

    /// A client submits a transaction to a random node that is up; clients try again elsewhere.
    fn submit(&mut self) {
        if self.to_submit > 0
            && let Some(signed) = self.clients.next(&mut self.rng, self.now)
        {
            self.to_submit = self.to_submit.saturating_sub(1);
            self.submitted.insert(signed.hash, signed);
        }
        let left = self.to_change.saturating_add(self.to_submit).max(1);
        if self.to_change > 0 && self.rng.random_range(0..left) < self.to_change {
            let current = self.oracle.model().latest();
            let patch = Patch::draw(&mut self.rng, &self.candidates, current);
            if let Some(signed) = self.clients.change(&mut self.rng, self.now, &patch) {
                self.to_change = self.to_change.saturating_sub(1);
                self.submitted.insert(signed.hash, signed);
            }
        }
        // Once half of the work is done.
        if self.to_upgrade
            && self.to_submit <= self.plan.transactions / 2
            && let Some(signed) = self
                .clients
                .change(&mut self.rng, self.now, &Patch::Protocol)
        {
            self.to_upgrade = false;
            self.submitted.insert(signed.hash, signed);
        }
        self.hand_in();
        if self.to_submit > 0
            || self.to_load > 0
            || self.to_upgrade
            || self.to_change > 0
            || !self.submitted.keys().all(|hash| self.is_done(hash))
        {
            let pause = self.rng.random_range(1..800);
            self.schedule(pause, What::Submit);
        }
    }

    /// Hands the next lot of a load to its node.
    fn load(&mut self) {
        let Some(load) = self.plan.load else {
            return;
        };
        let count = load.at_once.min(self.to_load);
        let mut raws = Vec::with_capacity(count);
        for signed in self.clients.lot(count) {
            raws.push(signed.raw.clone());
            self.submitted.insert(signed.hash, signed);
        }
        self.to_load = self.to_load.saturating_sub(count);
        let running = self
            .nodes
            .get(load.node)
            .and_then(|node| node.running.as_ref());
        let results = running.map(|running| running.verifier.submitted(raws));
        let candidates = results.into_iter().flatten().filter_map(Result::ok);
        let list: Vec<_> = (self.replies..).skip(1).zip(candidates).collect();
        self.replies = self.replies.wrapping_add(list.len() as u64);
        self.later(load.node, LINK_MS, Event::Submitted(list));
        if self.to_load > 0 {
            self.schedule(load.every_ms, What::Load);
        }
    }

    /// Hands every transaction that is not executed to some node again, as a careful client does
    /// that waits for its receipt.
    fn hand_in(&mut self) {
        // A load is handed in once where nothing gets lost.
        let faults = self.plan.faults;
        let lossless = faults.loss_per_mille == 0
            && faults.crash_per_million == 0
            && faults.partition_every_ms == 0;
        if self.plan.load.is_some() && self.plan.transactions == 0 && lossless {
            return;
        }
        let open: Vec<Bytes> = self
            .submitted
            .values()
            .filter(|signed| !self.is_done(&signed.hash))
            .filter(|signed| signed.expires.is_none_or(|at| at > self.now))
            .map(|signed| signed.raw.clone())
            .collect();
        for raw in open {
            let node = self.rng.random_range(0..self.nodes.len());
            let candidate = self
                .nodes
                .get(node)
                .and_then(|node| node.running.as_ref())
                .and_then(|running| running.verifier.submitted(vec![raw]).pop()?.ok());
            if let Some(candidate) = candidate {
                self.replies = self.replies.wrapping_add(1);
                let event = Event::Submitted(vec![(self.replies, candidate)]);
                self.later(node, LINK_MS, event);
            }
        }
    }

    fn fire(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.clock(node);
        loop {
            let due = self
                .nodes
                .get_mut(node)
                .and_then(|node| node.running.as_mut())
                .and_then(|running| running.timers.due(now));
            match due {
                Some(timer) => self.handle(node, Event::Timer(timer))?,
                None => return Ok(()),
            }
        }
    }

    fn handle(&mut self, node: usize, event: Event) -> Result<(), Violation> {
        let now = self.clock(node);
        self.events = self.events.saturating_add(1);
        self.note(format!("{node} {event:?}").as_bytes());
        let Some(running) = self.nodes.get_mut(node).and_then(|n| n.running.as_mut()) else {
            return Ok(());
        };
        match running.replica.handle(now, event) {
            Ok(actions) => self.perform(node, actions),
            Err(ReplicaError::Outdated { .. }) if self.plan.upgrade => {
                self.upgrade(node);
                Ok(())
            }
            Err(error) => Err(Violation(format!("node {node} stops: {error}"))),
        }
    }

    /// An old program has stopped; its operator installs the newer one and starts it.
    fn upgrade(&mut self, node: usize) {
        self.upgraded = self.upgraded.saturating_add(1);
        if let Some(sim) = self.nodes.get_mut(node) {
            sim.program = sim.program.saturating_add(1);
        }
        self.crash(node);
    }

    /// Carries actions out as the driver does: all entries of the vote log first, one sync if
    /// anything binds, then the rest in order. The node may crash between any two.
    fn perform(&mut self, node: usize, actions: Vec<Action>) -> Result<(), Violation> {
        for action in &actions {
            if let Action::Log(entry) = action {
                if self.crashes_now(node) {
                    return Ok(());
                }
                let entry = entry.clone();
                self.with(node, |running| {
                    running.log.append(&entry)?;
                    running.unsynced.push(entry);
                    Ok(())
                })?;
            }
        }
        if self.crashes_now(node) {
            return Ok(());
        }
        let binds = actions.iter().any(Action::binds);
        let durable = self.with(node, |running| {
            if !binds {
                return Ok(Vec::new());
            }
            running.log.sync()?;
            Ok(std::mem::take(&mut running.unsynced))
        })?;
        for entry in durable.into_iter().flatten() {
            if let LogEntry::Record(record) = entry {
                self.oracle.on_durable(node, &record);
            }
        }
        for action in actions {
            if self.crashes_now(node) {
                return Ok(());
            }
            self.act(node, action)?;
        }
        self.with(node, |running| running.log.rotate(&running.store))?;
        Ok(())
    }

    /// Runs something on a node that is up; an error of its disk is a violation here, because no
    /// disk errors are injected.
    fn with<T>(
        &mut self,
        node: usize,
        work: impl FnOnce(&mut Running) -> Result<T, hawser_node::chain::ChainError>,
    ) -> Result<Option<T>, Violation> {
        let Some(running) = self.nodes.get_mut(node).and_then(|n| n.running.as_mut()) else {
            return Ok(None);
        };
        work(running)
            .map(Some)
            .map_err(|error| Violation(format!("node {node}: {error}")))
    }

    fn guard_votes(
        &mut self,
        node: usize,
        guard: hawser_node::replica::VoteGuard,
    ) -> Result<(), Violation> {
        let Some(disk) = self.nodes.get(node).map(|node| node.disk.clone()) else {
            return Ok(());
        };
        hawser_node::chain::write_vote_guard(Arc::new(disk), guard)
            .map_err(|error| Violation(format!("node {node}: {error}")))
    }

    fn crashes_now(&mut self, node: usize) -> bool {
        let rate = self.plan.faults.crash_per_million;
        if !self.faulty || rate == 0 || self.rng.random_range(0..1_000_000) >= rate {
            return false;
        }
        self.crash(node);
        true
    }

    fn act(&mut self, node: usize, action: Action) -> Result<(), Violation> {
        let life = self.nodes.get(node).map_or(0, |node| node.life);
        match action {
            Action::Log(_) | Action::Report(_) | Action::Reply(..) | Action::Convict(_) => {}
            Action::Send { to, urgent, bytes } => self.send(node, to, urgent, &bytes)?,
            Action::SetTimer(timer, at) => self.set_timer(node, timer, at)?,
            Action::Guard(guard) => self.guard_votes(node, guard)?,
            Action::ClearTimer(timer) => {
                self.with(node, |running| {
                    running.timers.clear(timer);
                    Ok(())
                })?;
            }
            Action::Verify {
                from,
                transactions,
                intake,
            } => {
                let spread = match intake {
                    Intake::Verify { spread } => from.filter(|_| spread),
                    Intake::Attest { digest } => {
                        return self.batch(node, transactions, digest, false);
                    }
                    Intake::Trust { digest } => {
                        return self.batch(node, transactions, digest, true);
                    }
                };
                let verified = self.with(node, |running| {
                    let results = running.verifier.relayed(transactions);
                    Ok(results.into_iter().filter_map(Result::ok).collect())
                })?;
                if let Some(candidates) = verified {
                    self.later(node, 1, Event::Gossiped { candidates, spread });
                }
            }
            Action::Audit(audit) => {
                let found = self.with(node, |running| Ok(running.verifier.audit(audit)))?;
                if let Some(Some(evidence)) = found {
                    self.found_by_samples = self.found_by_samples.saturating_add(1);
                    self.later(node, AUDIT_MS, Event::Audited(Box::new(evidence)));
                }
            }
            Action::Check { hash, block, known } => {
                let result =
                    self.with(node, |running| Ok(running.verifier.check(&block, &known)))?;
                if let Some(result) = result {
                    let after = self.rng.random_range(0..4);
                    self.later(node, after, Event::Checked { hash, result });
                }
            }
            Action::Commit {
                block,
                certificate,
                logged,
            } => {
                self.oracle_commit(node, &block, &certificate)?;
                let idle = self.with(node, |running| {
                    running.store.append(&block.block, &certificate)?;
                    if !logged {
                        running.store.sync_blocks()?;
                    }
                    running.commits.push_back((block, certificate));
                    Ok(!std::mem::replace(&mut running.executing, true))
                })?;
                if idle == Some(true) {
                    let after = self.rng.random_range(0..8);
                    self.schedule(after, What::Execute { node, life });
                }
            }
            Action::Serve { to, from, count } => {
                let message = self.with(node, |running| {
                    Ok(match running.store.serve(from, count) {
                        Ok(blocks) => PeerMessage::Blocks(blocks),
                        Err(StoreError::Pruned { first, .. }) => {
                            running.replica.no_blocks(to, first)
                        }
                        Err(error) => return Err(error.into()),
                    })
                })?;
                if let Some(message) = message {
                    let bytes = encode(&message);
                    self.send(node, To::Peer(to), false, &bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Works on a batch as the node's threads do. A liar vouches for whatever it gets; it votes as
    /// others do, so that what its word alone does can be seen.
    fn batch(
        &mut self,
        node: usize,
        transactions: Vec<Relayed>,
        digest: B256,
        trust: bool,
    ) -> Result<(), Violation> {
        let liar = self.is_liar(node);
        let done = self.with(node, |running| {
            let (batched, _) = running.verifier.batch(transactions, digest, trust);
            Ok(batched)
        })?;
        if let Some(mut batched) = done {
            self.trusted = self.trusted.saturating_add(u64::from(batched.trusted));
            batched.wrong = batched.wrong.filter(|_| !liar);
            self.later(node, 1, Event::Batched(batched));
        }
        Ok(())
    }

    fn oracle_commit(
        &mut self,
        node: usize,
        block: &CheckedBlock,
        certificate: &hawser_ledger::Certificate,
    ) -> Result<(), Violation> {
        self.note(format!("{node} commits {}", block.hash).as_bytes());
        let forged = block
            .transactions
            .iter()
            .find(|one| self.forged.contains(&one.hash()));
        if let Some(forged) = forged {
            return Err(Violation(format!(
                "validity: forged transaction {} is final at {} on node {node}",
                forged.hash(),
                block.block.header.height
            )));
        }
        let header = &block.block.header;
        let addresses = self.nodes.iter();
        self.egress.decided(
            header.height,
            block.block.body_bytes(),
            header.proposer,
            addresses.map(|node| node.key.as_ref().map(|key| key.address())),
        );
        self.oracle.on_commit(node, block, certificate)
    }

    fn execute(&mut self, node: usize, life: u64) -> Result<(), Violation> {
        let done = self.with(node, |running| {
            running.executing = false;
            let Some((block, certificate)) = running.commits.pop_front() else {
                return Ok(None);
            };
            let executed = running.store.execute(&block, certificate)?;
            let nonces = running.store.nonces_after(&executed)?;
            if let Some(height) = running.store.flush_due() {
                running.store.flush_to(height)?;
            }
            running.executing = !running.commits.is_empty();
            Ok(Some((
                executed,
                nonces,
                running.store.rules(),
                running.executing,
            )))
        })?;
        let Some(Some((executed, nonces, rules, more))) = done else {
            return Ok(());
        };
        self.oracle.on_executed(node, &executed, &rules)?;
        if more {
            let after = self.rng.random_range(0..8);
            self.schedule(after, What::Execute { node, life });
        }
        if !self.crashes_now(node) {
            let event = Event::Executed {
                roots: executed.result.roots,
                nonces,
                skipped: executed.skipped(),
                rules,
            };
            self.later(node, 0, event);
        }
        Ok(())
    }

    fn set_timer(&mut self, node: usize, timer: TimerId, at: Time) -> Result<(), Violation> {
        self.with(node, |running| {
            running.timers.set(timer, at);
            Ok(())
        })?;
        let life = self.nodes.get(node).map_or(0, |node| node.life);
        let after = at.since_ms(self.clock(node));
        self.schedule(after, What::Timers { node, life });
        Ok(())
    }

    fn send(&mut self, from: usize, to: To, urgent: bool, bytes: &[u8]) -> Result<(), Violation> {
        let message =
            decode_exact::<PeerMessage>(bytes, limits::FRAME_BYTES_MAX).map_err(|error| {
                Violation(format!("node {from} sends what does not decode: {error}"))
            })?;
        self.oracle.on_send(from, &message)?;
        if self.withholds(from, &message) {
            return Ok(());
        }
        let targets: Vec<_> = match to {
            To::All => (0..self.nodes.len()).filter(|node| *node != from).collect(),
            To::Except(id) => (0..self.nodes.len())
                .filter(|node| *node != from && *node != usize::from(id.0[0]))
                .collect(),
            To::Peer(id) => vec![usize::from(id.0[0])],
        };
        for target in targets {
            let copies = if self.faulty && self.rolls(self.plan.faults.duplicate_per_mille) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let left = self.egress.send(from, self.now, bytes.len(), urgent);
                self.deliver(from, target, left, bytes);
            }
        }
        Ok(())
    }

    fn rolls(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.random_range(0..1_000) < per_mille
    }

    /// Whether a node that serves nobody keeps this message to itself.
    fn withholds(&self, from: usize, message: &PeerMessage) -> bool {
        let first = self.nodes.len().saturating_sub(self.plan.idle_relays);
        let passed_on = match message {
            PeerMessage::Transactions(_) => true,
            PeerMessage::Batch(batch) => {
                let own = self.nodes.get(from).and_then(|node| node.key.as_ref());
                own.is_none_or(|key| key.address() != batch.attestation.validator)
            }
            PeerMessage::Attested { .. } if from < self.plan.mute_attesters => return true,
            PeerMessage::Compact(compact) => {
                let own = self.nodes.get(from).and_then(|node| node.key.as_ref());
                own.is_none_or(|key| key.address() != compact.header.proposer)
            }
            _ => false,
        };
        from >= first && passed_on
    }

    fn deliver(&mut self, from: usize, to: usize, after: u64, bytes: &[u8]) {
        let mut delay = LINK_MS;
        if self.faulty {
            if self.cut.contains(&from) != self.cut.contains(&to)
                || self.rolls(self.plan.faults.loss_per_mille)
            {
                return;
            }
            delay = self
                .rng
                .random_range(LINK_MS..=self.plan.faults.delay_ms_max.max(LINK_MS));
        }
        let bytes = Bytes::copy_from_slice(bytes);
        self.later(
            to,
            delay.saturating_add(after),
            Event::Message {
                from: peer(from),
                bytes,
            },
        );
    }
}

fn peer(node: usize) -> PeerId {
    let mut id = [0; 32];
    id[0] = u8::try_from(node).unwrap_or(u8::MAX);
    PeerId(id)
}
