//! What a run is made of. Everything else follows from the seed.

use hawser_crypto::Suite;
use hawser_ledger::Verification;

use crate::{Misdeeds, Mutant};

/// What goes wrong while faults last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages lost, in thousandths.
    pub loss_per_mille: u32,
    /// Messages delivered twice, in thousandths.
    pub duplicate_per_mille: u32,
    /// Longest delay of a message, in milliseconds. Different delays reorder messages.
    pub delay_ms_max: u64,
    /// Messages that are held back for up to two seconds, so that many overtake them, in thousandths.
    pub hold_per_mille: u32,
    /// Points in what an event asked for at which a node crashes, in millionths.
    pub crash_per_million: u32,
    /// Time between partitions, in milliseconds; 0 for none.
    pub partition_every_ms: u64,
    /// Of the partitions, how many of a thousand cut one direction only.
    pub one_way_per_mille: u32,
    /// Of the partitions, how many of a thousand come and go every few hundred milliseconds.
    pub flap_per_mille: u32,
    /// Offset of a node's clock, at most, in milliseconds.
    pub clock_skew_ms_max: u64,
    /// Mean time between jumps of some node's clock, in milliseconds; 0 for none.
    pub jump_every_ms: u64,
    /// Furthest jump, forward or back, in milliseconds.
    pub jump_ms_max: u64,
    /// Longest time that a sync of the vote log or of the block files takes, in milliseconds.
    pub sync_ms_max: u64,
    /// Appends and syncs that fail, in thousandths. A node whose disk fails stops and is restarted.
    pub disk_error_per_mille: u32,
    /// Mean time between disks that fill up, in milliseconds; 0 for none. They have room again later.
    pub full_every_ms: u64,
    /// Crashes that leave an inverted bit in the unsynced end of a file, in thousandths of the files.
    pub tail_flip_per_mille: u32,
    /// Time between planned restarts, one node after another, in milliseconds; 0 for none.
    pub rolling_every_ms: u64,
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

/// A place at which a node is stopped once, for going through all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before the `n`th step of carrying out actions: each append to the vote log, its sync, each action.
    Step(u64),
    /// Instead of the `n`th change or sync of the disk, of which a part may have been done.
    Disk(u64),
    /// Instead of the `n`th write or persist of the key-value store.
    Kv(u64),
}

/// A run: everything follows from the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Chains that every node hosts.
    pub chains: usize,
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
    /// Validators, the last ones, that run the real replica and say something else than it.
    pub byzantine: usize,
    /// What those do. They go on when the other faults have ended.
    pub misdeeds: Misdeeds,
    /// Validators, the first ones, whose synced data gets a bit inverted when they crash. A node that
    /// notices is emptied and follows without a vote from then on.
    pub rotten: usize,
    /// One node that is stopped at one place.
    pub crash_point: Option<(usize, CrashPoint)>,
    /// Numbers of single faults (crashes, partitions, jumps, full disks, misdeeds …), in the order in
    /// which they come up, that are left out.
    pub skip: Vec<u32>,
    /// A rule that all nodes break.
    pub mutant: Option<Mutant>,
}

impl Plan {
    /// A network of four without any fault.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        Self {
            seed,
            chains: 1,
            nodes: 4,
            suite: Suite::Intl,
            faults: Faults::default(),
            faulty_ms: 2_000,
            healing_ms: 60_000,
            transactions: 20,
            candidates: 0,
            observers: 0,
            changes: 0,
            upgrade: false,
            egress_bytes_per_s: 0,
            block_interval_ms_min: 0,
            load: None,
            verification: Verification::All,
            audit_per_mille: 10,
            liars: 0,
            forgeries: 0,
            mute_attesters: 0,
            idle_relays: 0,
            byzantine: 0,
            misdeeds: Misdeeds::default(),
            rotten: 0,
            crash_point: None,
            skip: Vec::new(),
            mutant: None,
        }
    }

    /// Faulty validators that a committee of `nodes` with equal weights tolerates.
    #[must_use]
    pub const fn tolerated(nodes: usize) -> usize {
        nodes.saturating_sub(1) / 3
    }

    /// Time after the end of the faults within which a block is decided if anything waits for one,
    /// in virtual milliseconds, with the default waits of agreement (AG-50):
    /// 5,000 until the last node is up again, twice the clocks' error because a clock set back is
    /// approached at half speed, 4,000 until votes are sent again and rounds meet, and for each faulty
    /// proposer, one proposer who was waited for in vain, and the one who succeeds, a round of three
    /// waits of at most 4,000.
    #[must_use]
    pub fn bound_ms(&self) -> u64 {
        let faults = &self.faults;
        let clocks = faults.jump_ms_max.max(faults.clock_skew_ms_max);
        let rounds = self.byzantine.saturating_add(self.rotten).saturating_add(2) as u64;
        9_000 + 2 * clocks + 12_000 * rounds
    }

    /// Whether at most a third of the validators is faulty, so that everything must hold.
    #[must_use]
    pub const fn is_tolerable(&self) -> bool {
        let faulty = self.byzantine.saturating_add(self.rotten);
        faulty <= Self::tolerated(self.nodes)
    }
}
