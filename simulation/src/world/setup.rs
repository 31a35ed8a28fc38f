//! Setting a world up from a plan.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use hawser_crypto::{PublicKey, SecretKey};
use hawser_ledger::{ChainParameters, Genesis, GenesisAccount, GenesisValidator, PROTOCOL_VERSION};
use hawser_node::replica::Sizes;
use hawser_primitives::{B256, ChainId, U256};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Dice, FIRST_CHAIN, Mischief, START, What, World};
use crate::{
    Mutant, Plan, Violation, clients::Clients, clock::SimClock, egress::Egress, node::SimNode,
    oracle::Oracle, settings::Model,
};

/// When a load begins, in milliseconds: links are up and have exchanged what nodes understand.
const LOAD_FROM_MS: u64 = 100;

impl Dice {
    /// Those of one chain of the nodes. The faults that all chains share are drawn alike.
    fn new(seed: u64, chain: usize) -> Self {
        let stream = |number: u64| {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            dice.set_stream(number);
            dice
        };
        let own = |number: u64| stream(number.saturating_add(10 * chain as u64));
        Self {
            work: own(1),
            links: own(2),
            crashes: own(3),
            faults: stream(4),
            mischief: own(5),
        }
    }
}

fn genesis(
    (plan, chain): (&Plan, ChainId),
    dice: &mut Dice,
    keys: &[PublicKey],
    clients: &Clients,
) -> Genesis {
    let balance = U256::from(1_000_000u64);
    let rich = GenesisAccount {
        balance,
        ..Default::default()
    };
    let validator = |(i, key): (usize, &PublicKey)| GenesisValidator {
        name: format!("node{i}"),
        public_key: key.clone(),
        weight: 1,
    };
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: chain,
        name: "simulation".to_owned(),
        suite: plan.suite,
        time: START,
        parameters: ChainParameters {
            root_lag: dice.work.random_range(1..=3),
            verification: plan.verification,
            block_interval_ms_min: plan.block_interval_ms_min,
            ..ChainParameters::default()
        },
        validators: keys
            .iter()
            .take(plan.nodes)
            .enumerate()
            .map(validator)
            .collect(),
        accounts: clients
            .addresses()
            .map(|address| (address, rich.clone()))
            .collect(),
        governance: None,
    }
}

fn vote_keys(plan: &Plan) -> Result<Vec<Arc<SecretKey>>, Violation> {
    let count = plan.nodes.saturating_add(plan.candidates);
    let key = |i: usize| {
        let mut seed = [0xa5; 32];
        seed[0] = u8::try_from(i).unwrap_or(u8::MAX);
        let key = SecretKey::from_seed(plan.suite.vote_scheme(), &seed);
        key.map(Arc::new)
            .map_err(|error| Violation::new("set-up", error))
    };
    (0..count).map(key).collect()
}

impl World {
    /// Sets a world up from a plan. Of several chains it is the first; see [`super::Fleet`].
    pub fn new(plan: Plan) -> Result<Self, Violation> {
        Self::of_chain(plan, 0)
    }

    /// Sets up one of the chains of a plan.
    pub(super) fn of_chain(mut plan: Plan, index: usize) -> Result<Self, Violation> {
        if index > 0 {
            // Of these there is one in a run.
            (plan.load, plan.forgeries, plan.crash_point) = (None, 0, None);
        }
        let chain = ChainId(FIRST_CHAIN.saturating_add(index as u64));
        if plan.mutant.is_some_and(|mutant| !mutant.is_possible()) {
            let what =
                "this build breaks no inner rule: build hawser-simulation with --features mutants";
            return Err(Violation::new("set-up", what));
        }
        Mutant::install(plan.mutant);
        let mut dice = Dice::new(plan.seed, index);
        let keys = vote_keys(&plan)?;
        let candidates: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
        let clients = Clients::new(chain, plan.suite);
        let genesis = genesis((&plan, chain), &mut dice, &candidates, &clients);
        let model = Model::new(&genesis).map_err(|error| Violation::new("set-up", error))?;
        let skew = i64::try_from(plan.faults.clock_skew_ms_max).unwrap_or(0);
        let voters = keys.into_iter().map(Some);
        let nodes: Vec<_> = voters
            .chain((0..plan.observers).map(|_| None))
            .map(|key| {
                let clock = SimClock::new(START, dice.faults.random_range(-skew..=skew));
                SimNode::new(key, dice.faults.random(), clock)
            })
            .collect();
        let addresses = nodes.iter().map(|node| Some(node.key.as_ref()?.address()));
        let count = nodes.len();
        let mut world = Self {
            oracle: Oracle::new((chain, plan.suite), model, addresses.collect()),
            to_submit: plan.transactions,
            to_load: plan.load.map_or(0, |load| load.transactions),
            to_forge: plan.forgeries,
            trusted: 0,
            found_by_samples: 0,
            egress: Egress::new(count, plan.egress_bytes_per_s),
            to_change: plan.changes,
            to_upgrade: plan.upgrade && index == 0,
            candidates,
            skip: plan.skip.iter().copied().collect(),
            mischief: Mischief::new(count),
            bounds: Sizes {
                // A validator's own blocks come on top of the 64 that it looks at.
                candidates: 2 * 64,
                ..Sizes::bounds(count.saturating_sub(1))
            },
            plan,
            chain,
            index,
            genesis: Arc::new(genesis),
            dice,
            now: START,
            order: 0,
            heap: BinaryHeap::new(),
            nodes,
            clients,
            cut: BTreeSet::new(),
            cuts: 0,
            cut_on: false,
            faulty: true,
            faults: 0,
            submitted: BTreeMap::new(),
            reported: BTreeSet::new(),
            audit: B256::ZERO,
            events: 0,
            steps: vec![0; count],
            crashes: 0,
            disk_failures: 0,
            damaged: 0,
            damage_found: 0,
            upgraded: 0,
            replies: 0,
            healed_at: None,
            first_block: None,
            kept: vec![0; count],
            spill: Vec::new(),
            spilling: false,
            fork: None,
            ended: BTreeMap::new(),
        };
        world.begin()?;
        Ok(world)
    }

    /// Starts the nodes, and sets off what happens by itself.
    fn begin(&mut self) -> Result<(), Violation> {
        if self.plan.upgrade {
            for node in self.nodes.iter_mut().step_by(2) {
                node.program = node.program.saturating_add(1);
            }
        }
        for node in 0..self.nodes.len() {
            if self.is_byzantine(node) {
                self.oracle.distrust(node);
                self.schedule(200, What::Mischief { node });
            }
            self.set_crash_point(node);
            self.start(node)?;
        }
        self.schedule(self.plan.faulty_ms, What::EndOfFaults);
        self.schedule(10, What::Submit);
        if self.to_load > 0 {
            self.schedule(LOAD_FROM_MS, What::Load);
        }
        if self.to_forge > 0 {
            self.schedule(LOAD_FROM_MS, What::Forge);
        }
        let faults = self.plan.faults;
        if self.index > 0 {
            // The first chain's are those of the machines.
            return Ok(());
        }
        if faults.partition_every_ms > 0 {
            self.schedule(faults.partition_every_ms, What::Partition);
        }
        if faults.jump_every_ms > 0 {
            self.schedule(faults.jump_every_ms, What::Jump);
        }
        if faults.full_every_ms > 0 {
            self.schedule(faults.full_every_ms, What::Fill);
        }
        if faults.rolling_every_ms > 0 {
            self.schedule(faults.rolling_every_ms, What::Roll { node: 0 });
        }
        Ok(())
    }
}
