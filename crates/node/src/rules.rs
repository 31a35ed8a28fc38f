//! The rules of a chain by height, as executed state tells them.

use std::sync::Arc;

use hawser_consensus::Election;
use hawser_crypto::Suite;
use hawser_ledger::{
    ChainParameters, ChainSettings, Genesis, SETTINGS_DELAY, SettingsSchedule, ValidatorSet,
    ValidatorSetError,
};
use hawser_primitives::{Address, B256, Height};

struct Era {
    from: Height,
    settings: Arc<ChainSettings>,
    set: Arc<ValidatorSet>,
    set_hash: B256,
}

/// A schedule of settings with its committees made ready.
///
/// Rules read after block *e* are final for every height up to *e* + `SETTINGS_DELAY`: what a later
/// block changes holds later still.
pub struct Rules {
    schedule: SettingsSchedule,
    eras: Vec<Era>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let eras = self.eras.iter().map(|era| (era.from, era.set_hash));
        f.debug_list().entries(eras).finish()
    }
}

impl Rules {
    /// The rules of a schedule.
    pub fn new(schedule: SettingsSchedule, suite: Suite) -> Result<Self, ValidatorSetError> {
        let mut eras = Vec::with_capacity(schedule.entries().len());
        for entry in schedule.entries() {
            let set = match entry.settings.parameters.election {
                hawser_ledger::Election::Fixed => entry.settings.validator_set()?,
            };
            eras.push(Era {
                from: entry.from,
                settings: Arc::new(entry.settings.clone()),
                set_hash: set.hash(suite),
                set: Arc::new(set),
            });
        }
        Ok(Self { schedule, eras })
    }

    /// The rules of a chain that nobody has changed.
    pub fn of_genesis(genesis: &Genesis) -> Result<Self, ValidatorSetError> {
        Self::new(SettingsSchedule::of_genesis(genesis), genesis.suite)
    }

    fn era(&self, height: Height) -> &Era {
        let after = self.eras.partition_point(|era| era.from <= height);
        match self.eras.get(after.saturating_sub(1)) {
            Some(era) => era,
            None => unreachable!("a schedule has at least one entry"),
        }
    }

    /// The schedule.
    #[must_use]
    pub const fn schedule(&self) -> &SettingsSchedule {
        &self.schedule
    }

    /// The settings of a height.
    #[must_use]
    pub fn settings(&self, height: Height) -> &Arc<ChainSettings> {
        &self.era(height).settings
    }

    /// The parameters of a height.
    #[must_use]
    pub fn parameters(&self, height: Height) -> &ChainParameters {
        &self.era(height).settings.parameters
    }

    /// The protocol version of a height.
    #[must_use]
    pub fn version(&self, height: Height) -> u32 {
        self.era(height).settings.protocol_version
    }

    /// First height of the settings that govern `height`; two heights with the same answer have
    /// the same settings.
    #[must_use]
    pub fn since(&self, height: Height) -> Height {
        self.era(height).from
    }

    /// First height that these rules have an answer for: settings before it were dropped.
    #[must_use]
    pub fn first(&self) -> Height {
        self.since(Height::GENESIS)
    }

    /// First height of the newest settings; until it is decided, a change is under way.
    #[must_use]
    pub fn last_change(&self) -> Height {
        self.since(Height(u64::MAX))
    }

    /// Name of a member of the committee of a height.
    #[must_use]
    pub fn name(&self, height: Height, address: &Address) -> Option<&str> {
        let mut all = self.era(height).settings.validators.iter();
        all.find(|one| one.public_key.address() == *address)
            .map(|one| one.name.as_str())
    }

    /// Last height whose rules cannot change any more, given the last executed block.
    #[must_use]
    pub const fn known_until(executed: Height) -> Height {
        Height(executed.0.saturating_add(SETTINGS_DELAY))
    }
}

impl Election for Rules {
    fn committee(&self, height: Height) -> Arc<ValidatorSet> {
        Arc::clone(&self.era(height).set)
    }

    fn committee_hash(&self, height: Height) -> B256 {
        self.era(height).set_hash
    }
}
