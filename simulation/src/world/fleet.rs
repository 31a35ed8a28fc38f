//! Several chains on the same nodes. Each is a world with its own genesis, clients and oracle; they
//! have in common what a process and a machine have: crashes, restarts, the program, the clock, a full
//! disk, partitions, and the way out. Validators have one key for all of them, and liars say on one
//! chain what was said on another.

use hawser_primitives::{Bytes, Time};

use super::{Outcome, World};
use crate::{Mutant, Plan, Violation};

/// What happened on one chain that concerns the others of the same nodes.
pub(super) enum Spill {
    /// A node's process ended; it is started again at that time.
    Crash { node: usize, until: Time },
    /// It got the next program.
    Program { node: usize },
    /// Partitions, clocks or full disks changed.
    Weather,
    /// A liar repeats on the other chains what was said on this one.
    Said { node: usize, bytes: Bytes },
}

/// A network whose nodes host several chains.
pub struct Fleet {
    worlds: Vec<World>,
    /// Single faults that came up, over all chains.
    faults: u32,
}

impl Fleet {
    /// Sets the chains of a plan up, one at least.
    pub fn new(plan: &Plan) -> Result<Self, Violation> {
        let chains = 0..plan.chains.max(1);
        let worlds: Result<Vec<_>, _> = chains
            .map(|index| World::of_chain(plan.clone(), index))
            .collect();
        let mut fleet = Self {
            worlds: worlds?,
            faults: 0,
        };
        // Starting may have crashed nodes already.
        for index in 0..fleet.worlds.len() {
            fleet.spill(index);
        }
        Ok(fleet)
    }

    /// Runs to the end of all chains; how each ended.
    pub fn run(self) -> Result<Vec<Outcome>, Violation> {
        self.run_counted().0
    }

    /// The same, with the number of single faults that came up, also when a rule was broken.
    pub fn run_counted(mut self) -> (Result<Vec<Outcome>, Violation>, u32) {
        Mutant::install(self.worlds.first().and_then(|world| world.plan.mutant));
        let result = self.run_to_end();
        Mutant::install(None);
        (result, self.faults)
    }

    fn run_to_end(&mut self) -> Result<Vec<Outcome>, Violation> {
        loop {
            let next = self.worlds.iter().enumerate();
            let next = next.filter_map(|(index, world)| Some((world.next_at()?, index)));
            let Some((_, index)) = next.min() else {
                return Err(Violation::new("liveness", "nothing is left to happen"));
            };
            self.step(index)
                .map_err(|violation| of_chain(violation, index))?;
            self.spill(index);
            if self.worlds.iter().all(World::is_over) {
                return Ok(self.worlds.iter().map(World::outcome).collect());
            }
        }
    }

    fn step(&mut self, index: usize) -> Result<(), Violation> {
        self.lend(index);
        let Some(world) = self.worlds.get_mut(index) else {
            return Ok(());
        };
        world.faults = self.faults;
        let stepped = world.advance();
        self.faults = world.faults;
        self.lend(index);
        stepped.map(|_| ())
    }

    /// Lets a chain use the nodes' way out, which the first one keeps, or takes it back.
    fn lend(&mut self, index: usize) {
        if let Some((first, others)) = self.worlds.split_first_mut()
            && let Some(world) = index.checked_sub(1).and_then(|at| others.get_mut(at))
        {
            world.egress.swap_ways(&mut first.egress);
        }
    }

    /// Tells the other chains what happened on one.
    fn spill(&mut self, index: usize) {
        let Some(world) = self.worlds.get_mut(index) else {
            return;
        };
        let (now, list) = (world.now, std::mem::take(&mut world.spill));
        for spill in list {
            let weather = match (&spill, self.worlds.get(index)) {
                (Spill::Weather, Some(world)) => Some(Weather::of(world)),
                _ => None,
            };
            for (_, other) in self
                .worlds
                .iter_mut()
                .enumerate()
                .filter(|(at, _)| *at != index)
            {
                // No other has anything to do before this one's next event.
                other.now = other.now.max(now);
                other.take(&spill, weather.as_ref());
            }
        }
    }
}

fn of_chain(violation: Violation, index: usize) -> Violation {
    Violation(format!("{violation} [chain {index}]"))
}

/// What the first chain draws for the machines and links of all.
struct Weather {
    cut: std::collections::BTreeSet<(usize, usize)>,
    cut_on: bool,
    /// Offset of each node's clock, and until when its disk is full.
    nodes: Vec<(i64, Option<Time>)>,
}

impl Weather {
    fn of(world: &World) -> Self {
        let nodes = world.nodes.iter();
        Self {
            cut: world.cut.clone(),
            cut_on: world.cut_on,
            nodes: nodes
                .map(|sim| (sim.clock.offset_ms, sim.full_until))
                .collect(),
        }
    }
}

impl World {
    /// Takes over what happened on another chain of the same nodes.
    fn take(&mut self, spill: &Spill, weather: Option<&Weather>) {
        match spill {
            Spill::Crash { node, until } => {
                self.spilling = true;
                self.crash(*node, until.since_ms(self.now));
                self.spilling = false;
            }
            Spill::Program { node } => {
                if let Some(sim) = self.nodes.get_mut(*node) {
                    sim.program = sim.program.saturating_add(1);
                }
            }
            Spill::Weather => {
                if let Some(weather) = weather {
                    self.take_weather(weather);
                }
            }
            Spill::Said { node, bytes } => self.shout(*node, bytes),
        }
    }

    fn take_weather(&mut self, weather: &Weather) {
        self.cut = weather.cut.clone();
        self.cut_on = weather.cut_on;
        for (node, (offset_ms, full_until)) in weather.nodes.iter().enumerate() {
            if let Some(sim) = self.nodes.get_mut(node) {
                sim.clock.offset_ms = *offset_ms;
                sim.full_until = *full_until;
            }
            self.set_disk_faults(node);
            self.look_at_timers(node);
        }
    }

    /// Has the disk of a node fail as it is to fail now.
    fn set_disk_faults(&mut self, node: usize) {
        let faults = self.disk_faults(node);
        if let Some(sim) = self.nodes.get_mut(node) {
            sim.disk.set_faults(faults);
        }
    }

    /// A liar says on the other chains of its node some of what it has said and heard on this one.
    pub(super) fn carry_over(&mut self, node: usize) {
        let list = self.mischief.remembered(node);
        let all = list.map(|bytes| Spill::Said {
            node,
            bytes: bytes.clone(),
        });
        self.spill.extend(all.collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::super::What;
    use super::*;

    #[test]
    fn a_crash_of_the_process_is_one_of_all_its_chains_and_so_is_a_partition() {
        let plan = Plan {
            chains: 3,
            ..Plan::calm(1)
        };
        let mut fleet = Fleet::new(&plan).unwrap();
        let now = fleet.worlds[0].now;
        fleet.worlds[1].crash(2, 700);
        fleet.worlds[1].cut.insert((0, 1));
        fleet.worlds[1].cut_on = true;
        fleet.worlds[1].spill.push(Spill::Weather);
        fleet.spill(1);
        for world in &fleet.worlds {
            assert!(world.nodes[2].running.is_none());
            assert_eq!(world.nodes[2].down_until, now.plus_ms(700));
            let restarts = world.heap.iter();
            let restarts = restarts.filter(|one| matches!(one.0.what, What::Restart { node: 2 }));
            assert_eq!(restarts.count(), 1);
            assert!(world.cut_on && world.cut.contains(&(0, 1)));
            assert!(world.spill.is_empty(), "nothing comes back");
        }
        let crashes: u64 = fleet.worlds.iter().map(|world| world.crashes).sum();
        assert_eq!(crashes, 1, "one process, one crash");
    }
}
