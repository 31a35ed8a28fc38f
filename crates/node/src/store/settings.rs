//! The chain's settings by height, past and coming.

use std::{borrow::Cow, sync::Arc};

use hawser_execution::Executor;
use hawser_ledger::{
    ChainSettings, CommitteeChange, SettingsEntry, SettingsSchedule, ValidatorSet,
};
use hawser_primitives::Height;

use super::{ChainStore, ProofError, StoreError, index};
use crate::Rules;

/// Most changes of the committee that one proof leads through.
pub const COMMITTEE_CHANGES_MAX: usize = 256;
/// Most changes of settings that are looked through for them.
const SETTINGS_CHANGES_MAX: usize = 65_536;

impl ChainStore {
    /// The chain's rules as the last executed block left them.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// The rules of the state after a block.
    pub(super) fn read_rules(&self, height: Height) -> Result<Rules, StoreError> {
        let view = self.state.view(height)?;
        let schedule = SettingsSchedule::in_state(&view, &self.genesis)?;
        Ok(Rules::new(schedule, self.suite)?)
    }

    /// The settings that govern a height: any in the past, and as far ahead as changes are known.
    pub fn settings(&self, height: Height) -> Result<Arc<ChainSettings>, StoreError> {
        let rules = self.rules();
        if height >= rules.first() {
            return Ok(Arc::clone(rules.settings(height)));
        }
        let entry = index::settings_at(self.kv.as_ref(), height)?;
        Ok(Arc::new(match entry {
            Some(entry) => entry.settings,
            // Of the blocks before a snapshot, what governed them need not be known: the oldest
            // settings that are stand for it. Committees and roots are in the headers.
            None if self.imported()?.is_some() => {
                return Ok(Arc::clone(rules.settings(rules.first())));
            }
            None => ChainSettings::of_genesis(&self.genesis),
        }))
    }

    /// The committee that decides a height.
    pub fn committee(&self, height: Height) -> Result<ValidatorSet, StoreError> {
        Ok(self.settings(height)?.validator_set()?)
    }

    /// Changes of settings that took or take effect within a range of heights, oldest first, at
    /// most `limit`.
    pub fn settings_changes(
        &self,
        from: Height,
        to: Height,
        limit: usize,
    ) -> Result<Vec<SettingsEntry>, StoreError> {
        index::settings_between(self.kv.as_ref(), from, to, limit)
    }

    /// What executes calls and traces under the rules of a height.
    pub fn executor_at(&self, height: Height) -> Result<Cow<'_, Executor>, StoreError> {
        let settings = self.settings(height)?;
        if settings.parameters == self.executor.config().parameters {
            return Ok(Cow::Borrowed(&self.executor));
        }
        let parameters = settings.parameters.clone();
        Ok(Cow::Owned(self.executor.with_parameters(parameters)))
    }

    /// The changes of the committee that lead from the genesis to the one that decides `height`,
    /// each with the final header that names it.
    pub fn committee_changes(&self, height: Height) -> Result<Vec<CommitteeChange>, ProofError> {
        self.changes_up_to(height, COMMITTEE_CHANGES_MAX)
    }

    /// The same, of as many changes as a verifier follows.
    pub(crate) fn all_committee_changes(
        &self,
        height: Height,
    ) -> Result<Vec<CommitteeChange>, StoreError> {
        let all = self.changes_up_to(height, hawser_ledger::COMMITTEES_MAX);
        all.map_err(|error| match error {
            ProofError::Store(error) => error,
            other => StoreError::Changes(other.to_string()),
        })
    }

    fn changes_up_to(
        &self,
        height: Height,
        most: usize,
    ) -> Result<Vec<CommitteeChange>, ProofError> {
        let mut changes = Vec::new();
        let mut current = self.genesis.validator_set().map_err(StoreError::from)?;
        let mut since = Height::GENESIS;
        // What led to a snapshot came with it; the settings of before are not known here.
        if let Some(imported) = self.imported()? {
            for change in self.imported_changes()? {
                if change.header.height < height {
                    since = change.header.height.next();
                    current = change.next.clone();
                    changes.push(change);
                }
            }
            since = since.max(imported).next();
            if changes.len() > most {
                return Err(ProofError::TooManyChanges(most));
            }
        }
        let entries = if since <= height {
            self.settings_changes(since, height, SETTINGS_CHANGES_MAX)?
        } else {
            Vec::new()
        };
        for entry in entries {
            let next = entry.settings.validator_set().map_err(StoreError::from)?;
            if next == current {
                continue;
            }
            if changes.len() >= most {
                return Err(ProofError::TooManyChanges(most));
            }
            let before = entry.from.back(1);
            let (header, certificate) =
                self.certified(before)?.ok_or(StoreError::NoBlock(before))?;
            changes.push(CommitteeChange {
                header,
                certificate,
                next: next.clone(),
            });
            current = next;
        }
        Ok(changes)
    }
}
