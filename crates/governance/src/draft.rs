//! Carrying changes out, on the real storage or on a trial one.

mod checks;
mod freezes;
mod members;

use hawser_crypto::Suite;
use hawser_ledger::{ChainSettings, ORGANISATIONS_MAX, SETTINGS_DELAY};
use hawser_primitives::{Address, Domain};

use crate::{
    access::Store,
    action::{Actions, Roles},
    audit::Moment,
    change::Change,
    error::{GovernanceError, invalid, limit},
    guard,
    model::{
        Charter, CustomRole, DOMAIN_BYTES_MAX, NO_EXPIRY, NOTE_BYTES_MAX, Organisation,
        POLICIES_MAX, Policy, PolicyMode, RULES_MAX, Resource, Rule, SCRIPT_BYTES_MAX, Status,
        Subject,
    },
    slots::{self, Counts},
};
use checks::{check_actions, check_custom, check_name, check_organisation};
pub(crate) use checks::{check_public, check_times};
pub use freezes::REASON_BYTES_MAX;
pub(crate) use freezes::{freeze, unfreeze};

type Done = Result<(), GovernanceError>;

/// Changes on their way into storage. Slots are written as the changes come; the charter, the
/// counts and the settings by [`Self::finish`], after the guard has seen them.
pub(crate) struct Draft<'a> {
    store: &'a mut dyn Store,
    suite: Suite,
    moment: Moment,
    by: Address,
    pub(crate) charter: Charter,
    counts: Counts,
    settings: Option<ChainSettings>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        store: &'a mut dyn Store,
        suite: Suite,
        moment: Moment,
        by: Address,
    ) -> Result<Self, GovernanceError> {
        let charter = slots::load_charter(store)?.ok_or(GovernanceError::Ungoverned)?;
        let counts = Counts::load(store)?;
        Ok(Self {
            store,
            suite,
            moment,
            by,
            charter,
            counts,
            settings: None,
        })
    }

    /// A draft of a chain that begins with this charter.
    pub(crate) fn founding(
        store: &'a mut dyn Store,
        suite: Suite,
        moment: Moment,
        charter: Charter,
    ) -> Self {
        Self {
            store,
            suite,
            moment,
            by: crate::ADDRESS,
            charter,
            counts: Counts::default(),
            settings: None,
        }
    }

    /// Lets the guard look at the whole, and writes it.
    pub(crate) fn finish(self) -> Done {
        guard::governors(&self.charter)?;
        if let Some(settings) = self.settings {
            let mut schedule = slots::load_schedule(self.store, self.suite)?;
            guard::validators(&schedule.latest().settings.validators, &settings.validators)?;
            schedule.change(self.suite, self.moment.height, settings)?;
            slots::save_schedule(self.store, &schedule)?;
        }
        self.counts.save(self.store)?;
        Ok(slots::save_charter(self.store, &self.charter)?)
    }

    /// Carries one change out.
    pub(crate) fn apply(&mut self, change: &Change) -> Done {
        match change {
            Change::AddOrganisation {
                id,
                name,
                weight,
                authorities,
                authority_threshold,
                roots,
            } => {
                let organisation = Organisation {
                    name: name.clone(),
                    weight: *weight,
                    suspended: false,
                    authorities: authorities.clone(),
                    authority_threshold: *authority_threshold,
                    roots: roots.clone(),
                };
                self.add_organisation(*id, organisation)
            }
            Change::UpdateOrganisation {
                id,
                name,
                weight,
                authorities,
                authority_threshold,
                roots,
            } => {
                let organisation = Organisation {
                    name: name.clone(),
                    weight: *weight,
                    suspended: self.organisation(*id)?.suspended,
                    authorities: authorities.clone(),
                    authority_threshold: *authority_threshold,
                    roots: roots.clone(),
                };
                check_organisation(*id, &organisation)?;
                self.charter.organisations.insert(*id, organisation);
                Ok(())
            }
            Change::SuspendOrganisation { id, suspended } => {
                self.organisation(*id)?.suspended = *suspended;
                Ok(())
            }
            Change::RemoveOrganisation { id } => {
                self.organisation(*id)?;
                self.charter.organisations.remove(id);
                self.charter.removed.insert(*id);
                self.charter.governors.retain(|_, of| of != id);
                Ok(())
            }
            Change::AddMember {
                account,
                name,
                organisation,
                roles,
                certificate,
            } => self.add_member(*account, name, *organisation, *roles, *certificate),
            Change::RemoveMember { account } => self.remove_member(account),
            Change::SetRoles { account, roles } => {
                self.check_roles(*roles)?;
                let mut word = self.member(account)?;
                word.roles = *roles;
                self.save_member(account, &word)
            }
            Change::SuspendMember { account, suspended } => {
                let mut word = self.member(account)?;
                word.status = if *suspended {
                    Status::Suspended
                } else {
                    Status::Active
                };
                self.save_member(account, &word)
            }
            Change::SetCertificate {
                account,
                certificate,
            } => {
                let mut word = self.member(account)?;
                word.certified = certificate.is_some();
                let mut details = self.details(account)?;
                details.certificate = *certificate;
                slots::save_details(self.store, account, Some(&details))?;
                self.save_member(account, &word)
            }
            Change::RecoverAccount { old, new } => self.recover(old, new),
            Change::Freeze {
                target,
                until,
                reason,
            } => {
                let until = until.unwrap_or(NO_EXPIRY);
                let by = self.by;
                freeze(
                    self.store,
                    &mut self.counts,
                    &self.moment,
                    by,
                    *target,
                    until,
                    reason,
                )
            }
            Change::Unfreeze { target } => unfreeze(self.store, &mut self.counts, *target),
            Change::Upgrade {
                contract,
                implementation,
            } => {
                let slot = slots::implementation_slot(contract);
                Ok(self.store.store(&slot, implementation.into_word())?)
            }
            Change::SetParameters { .. }
            | Change::SetValidators { .. }
            | Change::ActivateProtocol { .. } => self.set_settings(change),
            other => self.apply_to_charter(other),
        }
    }

    /// Changes that touch the charter only.
    fn apply_to_charter(&mut self, change: &Change) -> Done {
        match change {
            Change::DefineRole {
                role,
                name,
                actions,
            } => {
                check_custom(*role)?;
                check_name("name of a role", name)?;
                check_actions(*actions)?;
                let custom = CustomRole {
                    name: name.clone(),
                    actions: *actions,
                };
                self.charter.roles.insert(*role, custom);
            }
            Change::RemoveRole { role } => {
                let unknown = || GovernanceError::Unknown(format!("custom role {role}"));
                self.charter.roles.remove(role).ok_or_else(unknown)?;
            }
            Change::SetRule { id, rule } => self.set_rule(*id, rule)?,
            Change::RemoveRule { id } => {
                let unknown = || GovernanceError::Unknown(format!("rule {id}"));
                self.charter.rules.remove(id).ok_or_else(unknown)?;
            }
            Change::SetAccountMode { mode } => self.charter.account_mode = *mode,
            Change::SetPublicActions { actions } => {
                check_actions(*actions)?;
                check_public(*actions)?;
                self.charter.public_actions = *actions;
            }
            Change::SetSignedReads { signed } => self.charter.signed_reads = *signed,
            Change::SetPolicy { id, name, script } => {
                check_name("name of a supervision rule", name)?;
                limit("bytes of a script", script.len(), SCRIPT_BYTES_MAX)?;
                let known = self.charter.policies.get(id).map(|policy| policy.version);
                if *id == 0 {
                    return invalid("numbers of supervision rules start at 1");
                }
                let others = self.charter.policies.len();
                let count = others.saturating_add(usize::from(known.is_none()));
                limit("supervision rules", count, POLICIES_MAX)?;
                let hash = self.store.put(Domain::Governance, script.clone())?;
                let policy = Policy {
                    name: name.clone(),
                    version: known.unwrap_or_default().saturating_add(1),
                    mode: PolicyMode::Inactive,
                    script: hash,
                };
                self.charter.policies.insert(*id, policy);
            }
            Change::SetPolicyMode { id, mode } => {
                let unknown = || GovernanceError::Unknown(format!("supervision rule {id}"));
                self.charter.policies.get_mut(id).ok_or_else(unknown)?.mode = *mode;
            }
            Change::RemovePolicy { id } => {
                let unknown = || GovernanceError::Unknown(format!("supervision rule {id}"));
                self.charter.policies.remove(id).ok_or_else(unknown)?;
            }
            Change::SetThreshold { kind, threshold } => {
                if !threshold.is_valid() {
                    return invalid(format!(
                        "{threshold} is no threshold: the share must be above 0, at most 1, and reachable"
                    ));
                }
                self.charter.thresholds.insert(*kind, *threshold);
            }
            Change::SetTimes {
                time_lock_ms,
                voting_ms,
            } => {
                check_times(*time_lock_ms, *voting_ms)?;
                self.charter.time_lock_ms = *time_lock_ms;
                self.charter.voting_ms = *voting_ms;
            }
            _ => return invalid("this change does not concern the charter"),
        }
        Ok(())
    }

    fn organisation(&mut self, id: u32) -> Result<&mut Organisation, GovernanceError> {
        let unknown = || GovernanceError::Unknown(format!("organisation {id}"));
        self.charter.organisations.get_mut(&id).ok_or_else(unknown)
    }

    fn add_organisation(&mut self, id: u32, organisation: Organisation) -> Done {
        check_organisation(id, &organisation)?;
        if self.charter.organisations.contains_key(&id) || self.charter.removed.contains(&id) {
            return Err(GovernanceError::Exists(format!(
                "organisation {id} (numbers are not used again)"
            )));
        }
        let known = self.charter.organisations.len() + self.charter.removed.len();
        limit("organisations", known.saturating_add(1), ORGANISATIONS_MAX)?;
        self.charter.organisations.insert(id, organisation);
        Ok(())
    }

    fn set_rule(&mut self, id: u32, rule: &Rule) -> Done {
        if id == 0 {
            return invalid("numbers of rules start at 1");
        }
        check_actions(rule.actions)?;
        if rule.actions == Actions::NONE {
            return invalid(format!("rule {id} names no action"));
        }
        limit("bytes of a note", rule.note.len(), NOTE_BYTES_MAX)?;
        match rule.subject {
            Subject::Organisation(organisation) => {
                self.organisation(organisation)?;
            }
            Subject::Role(role) => {
                self.check_roles(Roles(1u64.checked_shl(u32::from(role)).unwrap_or_default()))?
            }
            Subject::Any | Subject::Outsiders | Subject::Account(_) => {}
        }
        if let Resource::Domain(name) = &rule.resource {
            limit("bytes of a domain", name.len(), DOMAIN_BYTES_MAX)?;
        }
        self.charter.rules.insert(id, rule.clone());
        limit("rules", self.charter.rules.len(), RULES_MAX)
    }

    fn set_settings(&mut self, change: &Change) -> Done {
        let mut settings = match self.settings.take() {
            Some(settings) => settings,
            None => {
                let schedule = slots::load_schedule(self.store, self.suite)?;
                schedule.latest().settings.clone()
            }
        };
        match change {
            Change::SetParameters { parameters } => settings.parameters = parameters.clone(),
            Change::SetValidators { validators } => settings.validators = validators.clone(),
            Change::ActivateProtocol { version, height } => {
                let effective = self.moment.height.0.saturating_add(SETTINGS_DELAY);
                if effective < height.0 {
                    return invalid(format!(
                        "protocol version {version} is for block {height}; execute the proposal in block {} \
                         or later",
                        height.0.saturating_sub(SETTINGS_DELAY)
                    ));
                }
                settings.protocol_version = *version;
            }
            _ => {}
        }
        settings.check(self.suite)?;
        self.settings = Some(settings);
        Ok(())
    }

    /// Forgets which block it is, so that a proposal may be submitted before its time has come.
    pub(crate) fn at_any_height(mut self) -> Self {
        self.moment.height.0 = u64::MAX / 2;
        self
    }
}

#[cfg(test)]
mod tests;
