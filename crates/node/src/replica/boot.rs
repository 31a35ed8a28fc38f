//! What a replica starts from.

use std::{collections::BTreeMap, sync::Arc};

use hawser_consensus::{Record, Timeouts};
use hawser_crypto::SecretKey;
use hawser_ledger::{Certificate, FalseAttestation, Genesis, Header, Roots};
use hawser_primitives::{Address, Height};

use super::{AuditSampling, CheckedBlock, VoteGuard};
use crate::{Rules, pool::PoolLimits};

/// What a replica starts from.
pub struct Boot {
    /// The chain.
    pub genesis: Arc<Genesis>,
    /// The chain's rules as its state has them after the last executed block.
    pub rules: Arc<Rules>,
    /// This validator's vote key; `None` follows without voting.
    pub key: Option<Arc<SecretKey>>,
    /// Waits of agreement.
    pub timeouts: Timeouts,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Header of the last stored block.
    pub tip: Header,
    /// Its certificate; `None` for the genesis block, or where it is not kept.
    pub certificate: Option<Certificate>,
    /// Height of the last stored block that has transactions.
    pub last_busy: Height,
    /// Roots after each of the last executed blocks, `root_lag` of them and more, up to the tip.
    pub roots: Vec<Roots>,
    /// What the vote log holds of the heights after the tip.
    pub cast: BTreeMap<Height, CastVotes>,
    /// Newest protocol version that this program runs.
    pub program_version: u32,
    /// How many attested transactions this node verifies all the same.
    pub audit: AuditSampling,
    /// Evidence kept against validators.
    pub convicted: Vec<(Address, FalseAttestation)>,
    /// Whether votes of before are unknown, so that this node must not vote yet.
    pub guard: Option<VoteGuard>,
}

/// What this validator logged of one height before it stopped. It binds when the height is started
/// again: votes that differ from these would be double votes.
#[derive(Clone, Debug, Default)]
pub struct CastVotes {
    /// Records of agreement, in order.
    pub records: Vec<Record>,
    /// Blocks named by those records.
    pub blocks: Vec<CheckedBlock>,
}
