//! What is going to happen, in order of time.

use hawser_node::replica::Event;
use hawser_primitives::Time;

/// Something that is going to happen.
pub(super) enum What {
    /// An event for a node, if it still lives the same life.
    Node {
        node: usize,
        life: u64,
        event: Event,
    },
    /// A look at a node's timers.
    Timers {
        node: usize,
        life: u64,
    },
    /// A node executes the next final block.
    Execute {
        node: usize,
        life: u64,
    },
    /// A node that is down is started.
    Restart {
        node: usize,
    },
    /// Clients submit.
    Submit,
    /// A lot of a load.
    Load,
    /// A batch with a forged transaction.
    Forge,
    /// A partition begins, comes or goes, ends.
    Partition,
    Flap {
        number: u64,
        period_ms: u64,
    },
    Heal {
        number: u64,
    },
    /// Some node's clock jumps.
    Jump,
    /// Some node's disk fills up.
    Fill,
    /// The next node is restarted as planned.
    Roll {
        node: usize,
    },
    /// A Byzantine validator does something of its own accord.
    Mischief {
        node: usize,
    },
    /// Faults end.
    EndOfFaults,
}

pub(super) struct Scheduled {
    pub(super) at: Time,
    pub(super) order: u64,
    pub(super) what: What,
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
