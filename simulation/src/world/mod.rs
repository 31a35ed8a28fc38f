//! A network in virtual time: one queue of events, and generators that the seed sets.

mod byzantine;
mod digest;
mod faults;
mod fleet;
mod forge;
mod forked;
mod links;
mod outcome;
mod perform;
mod queue;
mod settled;
mod setup;
mod traffic;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use hawser_crypto::PublicKey;
use hawser_ledger::Genesis;
use hawser_network::PeerId;
use hawser_node::replica::{Event, Sizes};
use hawser_primitives::{Address, B256, ChainId, Height, Time};
use rand_chacha::ChaCha8Rng;

use crate::{
    Mutant, Plan, Violation,
    clients::{Clients, Signed},
    egress::Egress,
    node::SimNode,
    oracle::Oracle,
};
use byzantine::Mischief;
pub use fleet::Fleet;
use fleet::Spill;
pub use outcome::{Fork, Outcome, Places};
use queue::{Scheduled, What};

/// Id of the first chain; the others count on.
const FIRST_CHAIN: u64 = 2021;
/// Virtual start: clocks must not begin at zero.
const START: Time = Time(1_700_000_000_000);
/// Shortest way between two nodes, in milliseconds.
const LINK_MS: u64 = 1;
/// Events after which a run is given up: something chases its own tail.
const EVENTS_MAX: u64 = 3_000_000;

/// Generators, one for each purpose, so that a fault that is left out does not shift the others.
struct Dice {
    /// Clients, and how long work takes.
    work: ChaCha8Rng,
    links: ChaCha8Rng,
    crashes: ChaCha8Rng,
    faults: ChaCha8Rng,
    mischief: ChaCha8Rng,
}

/// One chain of a network in virtual time; [`Fleet`] runs several on the same nodes.
pub struct World {
    plan: Plan,
    chain: ChainId,
    /// Its number among the chains of its nodes. The first one draws the faults that all share.
    index: usize,
    genesis: Arc<Genesis>,
    dice: Dice,
    now: Time,
    order: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    nodes: Vec<SimNode>,
    clients: Clients,
    oracle: Oracle,
    /// Directed pairs of nodes that a partition separates, its number, and whether it is on.
    cut: BTreeSet<(usize, usize)>,
    cuts: u64,
    cut_on: bool,
    faulty: bool,
    /// Single faults that came up, and those that are left out.
    faults: u32,
    skip: BTreeSet<u32>,
    submitted: BTreeMap<B256, Signed>,
    to_submit: usize,
    to_load: usize,
    to_forge: usize,
    trusted: u64,
    found_by_samples: u64,
    egress: Egress,
    to_change: usize,
    /// Whether the change of protocol is still to come.
    to_upgrade: bool,
    /// Vote keys of all nodes that have one.
    candidates: Vec<PublicKey>,
    mischief: Mischief,
    reported: BTreeSet<Address>,
    bounds: Sizes,
    audit: B256,
    events: u64,
    steps: Vec<u64>,
    crashes: u64,
    disk_failures: u64,
    damaged: u64,
    damage_found: u64,
    upgraded: u64,
    replies: u64,
    /// Height when the faults ended, whether anything waited, and when the next block came.
    healed_at: Option<(Height, bool)>,
    first_block: Option<Time>,
    /// What the mutant that forgets nothing has kept, by node.
    kept: Vec<usize>,
    /// What the other chains of the nodes have to be told.
    spill: Vec<Spill>,
    /// Whether a crash is already one of all chains of its node.
    spilling: bool,
    /// Two final blocks of one height, where more than a third lies.
    fork: Option<Fork>,
    /// Correct nodes that stopped for good because too many lie, and their words.
    ended: BTreeMap<usize, String>,
}

impl World {
    /// Runs to the end: faults, healing, and everything executed everywhere.
    pub fn run(self) -> Result<Outcome, Violation> {
        self.run_counted().0
    }

    /// The same, with the number of single faults that came up, also when a rule was broken.
    pub fn run_counted(mut self) -> (Result<Outcome, Violation>, u32) {
        Mutant::install(self.plan.mutant);
        let result = self.run_to_end();
        Mutant::install(None);
        (result, self.faults)
    }

    fn run_to_end(&mut self) -> Result<Outcome, Violation> {
        while self.advance()? {
            // There are no other chains to tell.
            self.spill.clear();
            if self.is_over() || self.is_given_up() {
                return Ok(self.outcome());
            }
        }
        Err(self.stuck())
    }

    /// When the next thing happens.
    fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(next)| next.at)
    }

    /// Lets the next thing happen; whether there was one.
    fn advance(&mut self) -> Result<bool, Violation> {
        let Some(Reverse(next)) = self.heap.pop() else {
            return Ok(false);
        };
        self.now = next.at;
        let deadline = self.healed_from().plus_ms(self.plan.healing_ms);
        if self.now > deadline && !self.is_over() {
            return Err(self.stuck());
        }
        self.step(next.what)?;
        if self.events > EVENTS_MAX {
            let what = format!("{EVENTS_MAX} events by {} ms", self.now.since_ms(START));
            return Err(Violation::new("storm", what));
        }
        self.check_first_block()?;
        Ok(true)
    }

    fn healed_from(&self) -> Time {
        START.plus_ms(self.plan.faulty_ms)
    }

    fn schedule(&mut self, after_ms: u64, what: What) {
        self.schedule_at(self.now.plus_ms(after_ms), what);
    }

    fn schedule_at(&mut self, at: Time, what: What) {
        self.order = self.order.saturating_add(1);
        self.heap.push(Reverse(Scheduled {
            at,
            order: self.order,
            what,
        }));
    }

    /// What a node takes the time for.
    fn clock(&mut self, node: usize) -> Time {
        let now = self.now;
        let node = self.nodes.get_mut(node);
        node.map_or(now, |node| node.clock.now(now))
    }

    fn step(&mut self, what: What) -> Result<(), Violation> {
        match what {
            What::Node { node, life, event } => {
                if self.is_alive(node, life) {
                    if let Some(until) = self.busy(node) {
                        self.schedule_at(until, What::Node { node, life, event });
                    } else if !self.answers_itself(node, &event) {
                        self.handle(node, event)?;
                    }
                }
            }
            What::Timers { node, life } => {
                if self.is_alive(node, life) {
                    match self.busy(node) {
                        Some(until) => self.schedule_at(until, What::Timers { node, life }),
                        None => self.fire(node)?,
                    }
                }
            }
            What::Execute { node, life } => {
                if self.is_alive(node, life) {
                    self.execute(node, life)?;
                }
            }
            What::Restart { node } => {
                let now = self.now;
                let down = |node: &SimNode| node.running.is_none() && now >= node.down_until;
                if self.nodes.get(node).is_some_and(down) {
                    self.start(node)?;
                }
            }
            What::Submit => self.submit(),
            What::Load => self.load(),
            What::Forge => self.forge_batch()?,
            What::Partition => self.partition(),
            What::Flap { number, period_ms } => self.flap(number, period_ms),
            What::Heal { number } => self.heal(number),
            What::Jump => self.jump(),
            What::Fill => self.fill(),
            What::Roll { node } => self.roll(node),
            What::Mischief { node } => self.misbehave(node),
            What::EndOfFaults => self.end_faults(),
        }
        Ok(())
    }

    fn is_alive(&self, node: usize, life: u64) -> bool {
        let same = |node: &SimNode| node.life == life && node.running.is_some();
        self.nodes.get(node).is_some_and(same)
    }

    fn life(&self, node: usize) -> u64 {
        self.nodes.get(node).map_or(0, |node| node.life)
    }

    /// Until when a node's thread waits for its disk, if it does.
    fn busy(&self, node: usize) -> Option<Time> {
        let until = self.nodes.get(node)?.running.as_ref()?.busy_until;
        (until > self.now).then_some(until)
    }

    fn later(&mut self, node: usize, after_ms: u64, event: Event) {
        if node < self.nodes.len() {
            let life = self.life(node);
            self.schedule(after_ms, What::Node { node, life, event });
        }
    }

    fn address(&self, node: usize) -> Option<Address> {
        Some(self.nodes.get(node)?.key.as_ref()?.address())
    }

    /// Whether a node says something else than its replica.
    fn is_byzantine(&self, node: usize) -> bool {
        let validators = self.plan.nodes;
        node < validators && node >= validators.saturating_sub(self.plan.byzantine)
    }
}

fn peer(node: usize) -> PeerId {
    let mut id = [0; 32];
    id[0] = u8::try_from(node).unwrap_or(u8::MAX);
    PeerId(id)
}

fn node_of(peer: PeerId) -> usize {
    usize::from(peer.0[0])
}
