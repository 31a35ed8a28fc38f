use hawser_crypto::Suite;
use hawser_ledger::Verification;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What goes wrong while faults last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages lost, in thousandths.
    pub loss_per_mille: u32,
    /// Messages delivered twice, in thousandths.
    pub duplicate_per_mille: u32,
    /// Longest delay of a message, in milliseconds. Different delays reorder messages.
    pub delay_ms_max: u64,
    /// Actions at which a node crashes, in millionths: in the middle of what an event asked for.
    pub crash_per_million: u32,
    /// Mean time between partitions, in milliseconds; 0 for none.
    pub partition_every_ms: u64,
    /// Offset of a node's clock, at most, in milliseconds.
    pub clock_skew_ms_max: u64,
}

/// Transactions that clients hand to one node, far faster than one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The node.
    pub node: usize,
    /// How many.
    pub transactions: usize,
    /// How many at once.
    pub at_once: usize,
    /// Time between two lots, in virtual milliseconds.
    pub every_ms: u64,
}

/// A run: everything follows from the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Validators at the start.
    pub nodes: usize,
    /// Their suite.
    pub suite: Suite,
    /// Faults of the first phase.
    pub faults: Faults,
    /// Length of the first phase, in virtual milliseconds.
    pub faulty_ms: u64,
    /// Time after the faults within which everything must be executed everywhere, in virtual
    /// milliseconds.
    pub healing_ms: u64,
    /// Transactions that clients submit.
    pub transactions: usize,
    /// Further nodes that follow from the start and may join the committee.
    pub candidates: usize,
    /// Nodes without a vote key.
    pub observers: usize,
    /// Changes of committee or parameters that clients submit among the transactions.
    pub changes: usize,
    /// Whether the chain goes over to the next protocol version on the way. Every other node has
    /// the newer program from the start, the rest get it when the old one has stopped.
    pub upgrade: bool,
    /// What leaves a node at most, in bytes per second; 0 for no limit. Urgent messages overtake.
    pub egress_bytes_per_s: u64,
    /// The chain's least time between two blocks, in milliseconds.
    pub block_interval_ms_min: u64,
    /// A load beside the single transactions.
    pub load: Option<Load>,
    /// Who verifies signatures on the chain.
    pub verification: Verification,
    /// Of a thousand attested transactions, how many a node verifies all the same.
    pub audit_per_mille: u16,
    /// Validators, the last ones, that attest whatever they get. The very last also makes batches
    /// with a forged transaction, which the others attest at once.
    pub liars: usize,
    /// Such batches.
    pub forgeries: usize,
    /// Validators, the first ones, that attest nothing.
    pub mute_attesters: usize,
    /// Nodes, the last ones, that pass nothing on for others: no transactions, no references.
    pub idle_relays: usize,
}

impl Plan {
    /// Draws a mix of faults from a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes = if rng.random_bool(0.7) { 4 } else { 7 };
        let suite = if rng.random_bool(0.75) {
            Suite::Intl
        } else {
            Suite::Sm
        };
        let mut some = |max: u32| {
            if rng.random_bool(0.6) {
                rng.random_range(1..=max)
            } else {
                0
            }
        };
        let faults = Faults {
            loss_per_mille: some(200),
            duplicate_per_mille: some(100),
            delay_ms_max: u64::from(some(400)).max(1),
            crash_per_million: some(6_000),
            partition_every_ms: u64::from(some(8_000)),
            clock_skew_ms_max: u64::from(some(600)),
        };
        let faulty_ms = rng.random_range(10_000..40_000);
        let transactions = rng.random_range(20..120);
        let changing = rng.random_bool(0.6);
        let mut few = |max: usize| {
            if changing {
                rng.random_range(0..=max)
            } else {
                0
            }
        };
        let (candidates, observers) = (few(3), few(1));
        Self {
            seed,
            nodes,
            suite,
            faults,
            faulty_ms,
            healing_ms: 60_000,
            transactions,
            candidates,
            observers,
            changes: few(8),
            upgrade: false,
            egress_bytes_per_s: 0,
            block_interval_ms_min: 0,
            load: None,
            idle_relays: 0,
            verification: Verification::All,
            audit_per_mille: 10,
            liars: 0,
            forgeries: 0,
            mute_attesters: 0,
        }
    }
}
