//! One simulated node: replica, vote log and store on a disk in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hawser_consensus::Timeouts;
use hawser_crypto::SecretKey;
use hawser_execution::NativeRegistry;
use hawser_ledger::{Certificate, Genesis, PROTOCOL_VERSION, state::StateOptions};
use hawser_node::{
    Rules,
    chain::{ChainError, Timers, Verifier, VoteLog, boot},
    pool::PoolLimits,
    replica::{AuditSampling, Boot, CastVotes, CheckedBlock, LogEntry, Replica},
    store::{ChainStore, StoreError, StoreOptions},
};
use hawser_primitives::{Height, Time};
use hawser_services::evidence::Evidence;
use hawser_storage::{Disk as _, MemDisk, MemKv};

use crate::{Mutant, clock::SimClock, settings::Changer};

/// The parts of a node that a crash destroys.
pub(crate) struct Running {
    pub(crate) replica: Replica,
    pub(crate) log: VoteLog,
    pub(crate) store: Arc<ChainStore>,
    pub(crate) verifier: Verifier,
    pub(crate) timers: Timers,
    /// Entries of the vote log that are not durable yet.
    pub(crate) unsynced: Vec<LogEntry>,
    /// Final blocks that wait for execution.
    pub(crate) commits: VecDeque<(CheckedBlock, Certificate)>,
    pub(crate) executing: bool,
    /// When the world looks at its timers next.
    pub(crate) wake: Option<Time>,
    /// Until when its disk is at work.
    pub(crate) busy_until: Time,
}

/// A node and what survives its crashes.
pub(crate) struct SimNode {
    /// Its vote key; `None` for an observer.
    pub(crate) key: Option<Arc<SecretKey>>,
    pub(crate) disk: MemDisk,
    pub(crate) kv: Arc<MemKv>,
    pub(crate) running: Option<Running>,
    /// Counts lives, so that what was under way in an earlier one is not delivered to this one.
    pub(crate) life: u64,
    pub(crate) clock: SimClock,
    /// Until when its process is down, if it is.
    pub(crate) down_until: Time,
    /// Until when its disk is full.
    pub(crate) full_until: Option<Time>,
    /// Its data were damaged, so they were taken away: it follows without a vote.
    pub(crate) emptied: bool,
    /// Whether a bit of its synced data was inverted.
    pub(crate) flipped: bool,
    /// Newest protocol version that its program runs.
    pub(crate) program: u32,
}

impl SimNode {
    pub(crate) fn new(key: Option<Arc<SecretKey>>, seed: u64, clock: SimClock) -> Self {
        Self {
            key,
            disk: MemDisk::new(seed),
            kv: Arc::new(MemKv::new()),
            running: None,
            life: 0,
            clock,
            down_until: Time(0),
            full_until: None,
            emptied: false,
            flipped: false,
            program: PROTOCOL_VERSION,
        }
    }

    /// The vote key that its process is given.
    fn vote_key(&self) -> Option<Arc<SecretKey>> {
        self.key.clone().filter(|_| !self.emptied)
    }

    /// Takes its data away.
    pub(crate) fn empty(&mut self, seed: u64) {
        self.running = None;
        self.disk = MemDisk::new(seed);
        self.kv = Arc::new(MemKv::new());
        self.emptied = true;
    }

    /// Inverts a bit of some file, also of what was synced; whether there was one.
    pub(crate) fn flip(&mut self, choice: u64) -> bool {
        let files = self.disk.list().unwrap_or_default();
        let bytes: u64 = files.iter().map(|(_, len)| *len).sum();
        let Some(mut at) = choice.checked_rem(bytes) else {
            return false;
        };
        for (name, len) in files {
            if at < len {
                let bit = u8::try_from(choice % 8).unwrap_or(0);
                self.flipped = true;
                return self
                    .disk
                    .flip_bit(&name, usize::try_from(at).unwrap_or(0), bit);
            }
            at = at.saturating_sub(len);
        }
        false
    }

    /// Opens what is on the disk; gives what the vote log kept of agreement.
    pub(crate) fn start(
        &mut self,
        genesis: &Arc<Genesis>,
        audit: AuditSampling,
        mutant: Option<Mutant>,
    ) -> Result<BTreeMap<Height, CastVotes>, ChainError> {
        // Flushed often, so that crashes meet every stage.
        let state = StateOptions {
            overlay_blocks: 4,
            provable_blocks: 2,
            ..StateOptions::default()
        };
        // A constant of the program; that the two addresses differ is plain to see.
        let natives = NativeRegistry::new(vec![
            Arc::new(Evidence),
            Arc::new(Changer {
                genesis: Arc::clone(genesis),
            }),
        ])
        .unwrap_or_default();
        let store = Arc::new(ChainStore::open(
            Arc::new(self.disk.clone()),
            Arc::<MemKv>::clone(&self.kv),
            Arc::clone(genesis),
            natives,
            StoreOptions {
                state,
                program_version: self.program,
                ..StoreOptions::default()
            },
            &mut |_, _| {},
        )?);
        let verifier = Verifier::new(Arc::clone(&store));
        let (log, mut boot) = boot(
            &store,
            &verifier,
            Arc::new(self.disk.clone()),
            self.vote_key(),
            Timeouts::default(),
            PoolLimits::default(),
        )?;
        self.life = self.life.saturating_add(1);
        match mutant {
            Some(Mutant::ForgetVotes) => boot.cast.clear(),
            Some(Mutant::OldCommittee) => {
                boot.rules = Arc::new(Rules::of_genesis(genesis).map_err(StoreError::from)?);
            }
            _ => {}
        }
        let cast = boot.cast.clone();
        self.running = Some(Running {
            replica: Replica::new(Boot { audit, ..boot }),
            log,
            store,
            verifier,
            timers: Timers::default(),
            unsynced: Vec::new(),
            commits: VecDeque::new(),
            executing: false,
            wake: None,
            busy_until: Time(0),
        });
        Ok(cast)
    }

    /// Ends the process and leaves what the disk kept.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.running = None;
        self.life = self.life.saturating_add(1);
        self.disk = self.disk.crash(seed);
        let unpersisted = self.kv.unpersisted() as u64;
        let kept = usize::try_from(seed % unpersisted.saturating_add(1)).unwrap_or(0);
        self.kv = Arc::new(self.kv.crash_keeping(kept));
    }
}
