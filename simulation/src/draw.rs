//! The swarm: mixes of faults drawn from seeds. A run has some kinds of faults and not others, so
//! that rare combinations come up and no kind hides another.

use hawser_crypto::Suite;
use hawser_ledger::Verification;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Faults, Misdeed, Misdeeds, Plan};

struct Draw(ChaCha8Rng);

impl Draw {
    fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// A number from 1 to `max`, or 0.
    fn some(&mut self, probability: f64, max: u32) -> u32 {
        if self.chance(probability) {
            self.0.random_range(1..=max)
        } else {
            0
        }
    }

    /// A number of milliseconds within bounds, or 0.
    fn every(&mut self, probability: f64, from: u64, to: u64) -> u64 {
        if self.chance(probability) {
            self.0.random_range(from..=to)
        } else {
            0
        }
    }

    fn up_to(&mut self, max: usize) -> usize {
        self.0.random_range(0..=max)
    }

    fn faults(&mut self) -> Faults {
        let mut faults = Faults {
            loss_per_mille: self.some(0.4, 200),
            duplicate_per_mille: self.some(0.3, 100),
            delay_ms_max: u64::from(self.some(0.6, 400)).max(1),
            hold_per_mille: self.some(0.2, 50),
            crash_per_million: self.some(0.5, 6_000),
            partition_every_ms: self.every(0.4, 500, 8_000),
            one_way_per_mille: self.some(0.5, 1_000),
            flap_per_mille: self.some(0.3, 1_000),
            clock_skew_ms_max: self.every(0.4, 1, 600),
            jump_every_ms: self.every(0.2, 1_000, 8_000),
            jump_ms_max: 0,
            sync_ms_max: self.every(0.2, 1, 60),
            disk_error_per_mille: self.some(0.15, 4),
            full_every_ms: self.every(0.15, 3_000, 12_000),
            tail_flip_per_mille: self.some(0.4, 1_000),
            rolling_every_ms: self.every(0.15, 1_000, 4_000),
        };
        if faults.jump_every_ms > 0 {
            faults.jump_ms_max = self.0.random_range(10..=4_000);
        }
        faults
    }

    fn misdeeds(&mut self) -> Misdeeds {
        let list: Vec<_> = Misdeed::ALL
            .into_iter()
            .filter(|_| self.chance(0.35))
            .collect();
        Misdeeds::of(if list.is_empty() {
            &[Misdeed::Equivocate]
        } else {
            &list
        })
    }
}

impl Plan {
    /// Draws a mix of faults from a seed. At most a third of the validators is faulty.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
        let nodes = if draw.chance(0.75) { 4 } else { 7 };
        let suite = if draw.chance(0.85) {
            Suite::Intl
        } else {
            Suite::Sm
        };
        let faults = draw.faults();
        let mut budget = Self::tolerated(nodes);
        let byzantine = if draw.chance(0.4) { budget } else { 0 };
        budget = budget.saturating_sub(byzantine);
        let rotten = if draw.chance(0.2) { budget.min(1) } else { 0 };
        let misdeeds = if byzantine > 0 {
            draw.misdeeds()
        } else {
            Misdeeds::default()
        };
        let changing = draw.chance(0.5);
        let few = |draw: &mut Draw, max| if changing { draw.up_to(max) } else { 0 };
        let (candidates, observers, changes) =
            (few(&mut draw, 2), few(&mut draw, 1), few(&mut draw, 6));
        let attested = draw.chance(0.2);
        let mut plan = Self {
            suite,
            faulty_ms: draw.0.random_range(5_000..20_000),
            transactions: draw.0.random_range(20..60),
            candidates,
            observers,
            changes,
            upgrade: draw.chance(0.1),
            egress_bytes_per_s: draw.every(0.15, 400_000, 5_000_000),
            verification: if attested {
                Verification::Quorum
            } else {
                Verification::All
            },
            idle_relays: if draw.chance(0.1) { 1 } else { 0 },
            nodes,
            faults,
            byzantine,
            misdeeds,
            rotten,
            ..Self::calm(seed)
        };
        // Transactions expire two minutes after they are signed.
        plan.healing_ms = plan.bound_ms().saturating_add(40_000);
        // Last, so that everything else is drawn as it is for one chain.
        if draw.chance(0.12) {
            plan.chains = if draw.chance(0.8) { 2 } else { 3 };
        }
        plan
    }
}
