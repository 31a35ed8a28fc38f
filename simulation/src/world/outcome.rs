use hawser_crypto::Suite;
use hawser_node::replica::Sizes;
use hawser_primitives::{Address, B256, Height};

use crate::egress::Sent;

/// How often a node reached each kind of place at which it can be stopped ([`crate::CrashPoint`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Steps of carrying out actions.
    pub steps: u64,
    /// Changes and syncs of the disk.
    pub disk: u64,
    /// Writes and persists of the key-value store.
    pub kv: u64,
}

/// Two final blocks of one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Their height.
    pub height: Height,
    /// Who signed both certificates, by the oracle's count.
    pub signed_both: Vec<Address>,
    /// Who lies in this world.
    pub byzantine: Vec<Address>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash over everything that happened, in order.
    pub audit: B256,
    /// Highest block.
    pub height: Height,
    /// Events handled.
    pub events: u64,
    /// Virtual length of the run, in milliseconds.
    pub simulated_ms: u64,
    /// Crashes, those by a failing disk included.
    pub crashes: u64,
    /// Crashes by a failing or full disk.
    pub disk_failures: u64,
    /// Nodes that noticed that their data were damaged.
    pub damage_found: u64,
    /// Nodes whose data were damaged.
    pub damaged: u64,
    /// Misdeeds of Byzantine validators.
    pub misdeeds: u64,
    /// Validators that correct nodes reported for signing two conflicting messages.
    pub reported: usize,
    /// Single faults that came up, those that the plan leaves out included.
    pub faults: u32,
    /// Transactions executed.
    pub executed: usize,
    /// Changes of settings that took effect.
    pub changes: usize,
    /// Nodes that an old program stopped and a newer one resumed.
    pub upgraded: u64,
    /// Virtual milliseconds from the end of the faults until all was executed everywhere.
    pub healed_ms: u64,
    /// Virtual milliseconds from the end of the faults to the first block decided after it, if
    /// anything waited then.
    pub first_block_ms: Option<u64>,
    /// What nodes sent one another.
    pub sent: Sent,
    /// Batches that nodes took on others' word.
    pub trusted: u64,
    /// False attestations that samples found.
    pub found_by_samples: u64,
    /// Pairs of a node that tells the truth and a liar whom it holds evidence against.
    pub convicted: usize,
    /// The most that any node held of each kind.
    pub peak: Sizes,
    /// Places reached by each node in its last life.
    pub places: Vec<Places>,
    /// The fork, where more than a third of the validators lied and brought one about.
    pub fork: Option<Fork>,
    /// Correct nodes that stopped for good because too many lie, and what they said.
    pub ended: Vec<(usize, String)>,
}

impl Outcome {
    /// Two chains of the same nodes as one: counts are added, times are those of the later one, and
    /// heights are added too.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            audit: Suite::Intl.hash_parts(&[self.audit.as_slice(), other.audit.as_slice()]),
            height: Height(self.height.0.saturating_add(other.height.0)),
            events: self.events.saturating_add(other.events),
            simulated_ms: self.simulated_ms.max(other.simulated_ms),
            crashes: self.crashes.saturating_add(other.crashes),
            disk_failures: self.disk_failures.saturating_add(other.disk_failures),
            damage_found: self.damage_found.saturating_add(other.damage_found),
            damaged: self.damaged.saturating_add(other.damaged),
            misdeeds: self.misdeeds.saturating_add(other.misdeeds),
            reported: self.reported.max(other.reported),
            faults: self.faults.max(other.faults),
            executed: self.executed.saturating_add(other.executed),
            changes: self.changes.saturating_add(other.changes),
            upgraded: self.upgraded.saturating_add(other.upgraded),
            healed_ms: self.healed_ms.max(other.healed_ms),
            first_block_ms: self.first_block_ms.max(other.first_block_ms),
            trusted: self.trusted.saturating_add(other.trusted),
            found_by_samples: self.found_by_samples.saturating_add(other.found_by_samples),
            convicted: self.convicted.saturating_add(other.convicted),
            peak: self.peak.max(other.peak),
            ..self
        }
    }
}
