//! What governance can change of a chain while it runs, and from which block on.
//!
//! The chain's [`SettingsSchedule`] lies in its state: slot [`SETTINGS_SLOT`] of the account
//! [`SETTINGS_ACCOUNT`] holds the hash of the encoded schedule, the encoding is a blob under
//! `Domain::Settings`. A slot that is zero means that nothing was ever changed and genesis holds.
//! Format and rules: `docs/spec/settings.md`.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{
    Address, B256, Bytes, DecodeError, Domain, Height, address, decode_exact, encode,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ChainParameters, Genesis, GenesisError, GenesisValidator, ValidatorSet, ValidatorSetError,
    genesis::{ROOT_LAG_MAX, check_validators},
    state::{StateError, StateRead},
};

/// The account in whose storage the schedule's hash lies: the governance contract.
pub const SETTINGS_ACCOUNT: Address = address!("0000000000000000000000000000000000010002");

/// The storage slot that holds the hash of the schedule: the ASCII text of its name.
pub const SETTINGS_SLOT: B256 = B256::new(*b"hawser/settings/schedule/slot/01");

/// Heights from the block that executes a change to the first block that it governs.
///
/// A replica handles block *h* once it has executed block *h* − `root_lag` (the roots that *h*
/// carries), and the header of *h* names the committee of *h* + 1. With a lag of at most
/// [`ROOT_LAG_MAX`] every replica therefore knows a change one block before anyone can ask for it.
pub const SETTINGS_DELAY: u64 = ROOT_LAG_MAX + 2;

/// Most entries of a schedule: the one in effect and the changes that wait.
pub const SETTINGS_ENTRIES_MAX: usize = 8;

/// Longest encoding of a schedule, in bytes.
pub const SETTINGS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far ahead of the running version one change may go.
const VERSION_STEP_MAX: u32 = 1;

/// Everything of a chain that governance can change.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ChainSettings {
    /// Version of the protocol that gives blocks their meaning.
    pub protocol_version: u32,
    /// Who decides blocks.
    pub validators: Vec<GenesisValidator>,
    /// The rules.
    pub parameters: ChainParameters,
}

/// Why settings cannot govern a chain, or a schedule cannot be read.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A parameter or the committee fails the checks that a genesis has to pass.
    #[error(transparent)]
    Invalid(#[from] GenesisError),
    /// A parameter that stays as genesis has it.
    #[error("parameter {0} cannot change on a running chain; leave it as it is")]
    Fixed(&'static str),
    /// Versions go up, one at a time.
    #[error(
        "protocol version {found} cannot follow version {current}; keep it or raise it by \
         {VERSION_STEP_MAX}"
    )]
    Version {
        /// Proposed.
        found: u32,
        /// In force when the change takes effect.
        current: u32,
    },
    /// Too many changes wait for their height.
    #[error(
        "{SETTINGS_ENTRIES_MAX} changes of settings are under way; try again when the first is in \
         effect, at block {0}"
    )]
    TooMany(Height),
    /// A schedule whose entries are not in order, or that has none or too many.
    #[error("a schedule of settings must have 1 to {SETTINGS_ENTRIES_MAX} entries by height")]
    Entries,
    /// Not the encoding of a schedule.
    #[error("settings: {0}")]
    Decode(#[from] DecodeError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The slot names content that the state does not have.
    #[error("the state names settings {0} but does not hold them")]
    Missing(B256),
}

impl ChainSettings {
    /// What a genesis says.
    #[must_use]
    pub fn of_genesis(genesis: &Genesis) -> Self {
        Self {
            protocol_version: genesis.protocol_version,
            validators: genesis.validators.clone(),
            parameters: genesis.parameters.clone(),
        }
    }

    /// The committee.
    pub fn validator_set(&self) -> Result<ValidatorSet, ValidatorSetError> {
        ValidatorSet::new(self.validators.iter().map(Into::into).collect())
    }

    /// Checks that a chain can run under these settings: the checks of a genesis.
    pub fn check(&self, suite: Suite) -> Result<(), SettingsError> {
        self.parameters.check()?;
        check_validators(suite, &self.validators)?;
        Ok(())
    }

    /// Checks that these settings may follow `current` on a chain with this suite.
    pub fn check_after(&self, current: &Self, suite: Suite) -> Result<(), SettingsError> {
        self.check(suite)?;
        let (old, new) = (&current.parameters, &self.parameters);
        if new.root_lag != old.root_lag {
            return Err(SettingsError::Fixed("root_lag"));
        }
        if new.agreement != old.agreement {
            return Err(SettingsError::Fixed("agreement"));
        }
        let step = self.protocol_version.checked_sub(current.protocol_version);
        if step.is_none_or(|step| step > VERSION_STEP_MAX) {
            return Err(SettingsError::Version {
                found: self.protocol_version,
                current: current.protocol_version,
            });
        }
        Ok(())
    }
}

/// Settings with the first block that they govern.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct SettingsEntry {
    /// First height that they govern.
    pub from: Height,
    /// The settings.
    pub settings: ChainSettings,
}

/// The settings in effect and the changes under way, in ascending order of height.
///
/// An entry never changes or goes once the block that made it has been executed, except that
/// entries which a later one has replaced are dropped when the next change is made.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct SettingsSchedule {
    entries: Vec<SettingsEntry>,
}

impl SettingsSchedule {
    /// A schedule that says what genesis says, for ever.
    #[must_use]
    pub fn of_genesis(genesis: &Genesis) -> Self {
        Self {
            entries: vec![SettingsEntry {
                from: Height::GENESIS,
                settings: ChainSettings::of_genesis(genesis),
            }],
        }
    }

    /// The entries, at least one, in ascending order of height.
    #[must_use]
    pub fn entries(&self) -> &[SettingsEntry] {
        &self.entries
    }

    /// The entry that governs a height. Heights before the first entry get the first.
    #[must_use]
    pub fn entry_at(&self, height: Height) -> &SettingsEntry {
        let after = self.entries.partition_point(|entry| entry.from <= height);
        match self.entries.get(after.saturating_sub(1)) {
            Some(entry) => entry,
            None => unreachable!("a schedule has at least one entry"),
        }
    }

    /// The settings that govern a height.
    #[must_use]
    pub fn at(&self, height: Height) -> &ChainSettings {
        &self.entry_at(height).settings
    }

    /// The last entry: what the next change builds upon.
    #[must_use]
    pub fn latest(&self) -> &SettingsEntry {
        self.entry_at(Height(u64::MAX))
    }

    /// Entries that do not govern `height` yet.
    pub fn pending(&self, height: Height) -> impl Iterator<Item = &SettingsEntry> {
        self.entries.iter().filter(move |entry| entry.from > height)
    }

    /// Adds settings in the block `executing`; gives the first height that they govern,
    /// [`SETTINGS_DELAY`] blocks later. They replace the whole of what [`Self::latest`] says, so
    /// a caller changes a copy of that. A second change in one block replaces the first.
    pub fn change(
        &mut self,
        suite: Suite,
        executing: Height,
        settings: ChainSettings,
    ) -> Result<Height, SettingsError> {
        let from = Height(executing.0.saturating_add(SETTINGS_DELAY));
        // The entry in effect stays, what it replaced goes.
        let current = self.entry_at(executing).from;
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.from >= current && entry.from < from)
            .cloned()
            .collect();
        let Some(before) = entries.last() else {
            return Err(SettingsError::Entries);
        };
        settings.check_after(&before.settings, suite)?;
        if entries.len() >= SETTINGS_ENTRIES_MAX {
            let first = entries.get(1).map_or(from, |entry| entry.from);
            return Err(SettingsError::TooMany(first));
        }
        entries.push(SettingsEntry { from, settings });
        self.entries = entries;
        Ok(from)
    }

    /// The encoding that the state keeps as a blob.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        encode(self).into()
    }

    /// Inverse of [`Self::to_bytes`]; refuses what does not pass the checks.
    pub fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, SettingsError> {
        let entries: Vec<SettingsEntry> = decode_exact(bytes, SETTINGS_BYTES_MAX)?;
        if entries.is_empty()
            || entries.len() > SETTINGS_ENTRIES_MAX
            || !entries.is_sorted_by(|a, b| a.from < b.from)
        {
            return Err(SettingsError::Entries);
        }
        for entry in &entries {
            entry.settings.check(suite)?;
        }
        Ok(Self { entries })
    }

    /// Hash of an encoded schedule, which the slot holds.
    #[must_use]
    pub fn hash_of(suite: Suite, bytes: &[u8]) -> B256 {
        suite.hash_domain(Domain::Settings, &[bytes])
    }

    /// The hash that a state names; zero where nothing was ever changed.
    pub fn hash_in(state: &dyn StateRead) -> Result<B256, SettingsError> {
        Ok(state.storage(&SETTINGS_ACCOUNT, &SETTINGS_SLOT)?)
    }

    /// The schedule of a state; that of the genesis where nothing was ever changed.
    pub fn in_state(state: &dyn StateRead, genesis: &Genesis) -> Result<Self, SettingsError> {
        let hash = Self::hash_in(state)?;
        if hash.is_zero() {
            return Ok(Self::of_genesis(genesis));
        }
        let bytes = state.blob(&hash)?.ok_or(SettingsError::Missing(hash))?;
        Self::from_bytes(genesis.suite, &bytes)
    }
}

#[cfg(test)]
mod tests;
