//! Carrying changes out, on the real storage or on a trial one.

use hawser_crypto::Suite;
use hawser_ledger::{
    AUTHORITIES_MAX, ChainSettings, GOVERNANCE_NAME_BYTES_MAX, ORGANISATIONS_MAX, ROOTS_MAX,
    SETTINGS_DELAY,
};
use hawser_primitives::{Address, B256, Domain, Time};

use crate::{
    access::Store,
    action::{ACTIONS, Actions, CUSTOM_ROLE_FIRST, CUSTOM_ROLE_LAST, Role, Roles},
    audit::Moment,
    change::{Change, Target},
    error::{GovernanceError, invalid, limit},
    guard,
    model::{
        AccountWord, Charter, CustomRole, DOMAIN_BYTES_MAX, FreezeRecord, GOVERNORS_MAX,
        MEMBERS_MAX, MemberDetails, NO_EXPIRY, NOTE_BYTES_MAX, Organisation, POLICIES_MAX, Policy,
        PolicyMode, RULES_MAX, Resource, Rule, SCRIPT_BYTES_MAX, Status, Subject, TIME_LOCK_MS_MAX,
        VOTING_MS_MAX, VOTING_MS_MIN,
    },
    slots::{self, Counts},
};

/// Longest reason of a freeze, in bytes.
pub const REASON_BYTES_MAX: usize = 256;

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

    fn member(&mut self, account: &Address) -> Result<AccountWord, GovernanceError> {
        let word = slots::load_account(self.store, account)?;
        if word.is_member() {
            Ok(word)
        } else {
            Err(GovernanceError::Unknown(format!("member {account}")))
        }
    }

    fn details(&mut self, account: &Address) -> Result<MemberDetails, GovernanceError> {
        let details = slots::load_details(self.store, account)?;
        Ok(details.unwrap_or(MemberDetails {
            name: String::new(),
            certificate: None,
            replaced_by: None,
        }))
    }

    fn check_roles(&self, roles: Roles) -> Done {
        for role in roles.iter() {
            if role >= CUSTOM_ROLE_FIRST && !self.charter.roles.contains_key(&role) {
                return Err(GovernanceError::Unknown(format!(
                    "custom role {role}; define it first"
                )));
            }
        }
        Ok(())
    }

    /// Writes a member's word and keeps the list of governors in step.
    fn save_member(&mut self, account: &Address, word: &AccountWord) -> Done {
        if word.status == Status::Active && word.roles.has(Role::Governor) {
            self.charter.governors.insert(*account, word.organisation);
            limit("governors", self.charter.governors.len(), GOVERNORS_MAX)?;
        } else {
            self.charter.governors.remove(account);
        }
        Ok(slots::save_account(self.store, account, word)?)
    }

    pub(crate) fn add_member(
        &mut self,
        account: Address,
        name: &str,
        organisation: u32,
        roles: Roles,
        certificate: Option<B256>,
    ) -> Done {
        self.organisation(organisation)?;
        self.check_roles(roles)?;
        limit("bytes of a name", name.len(), GOVERNANCE_NAME_BYTES_MAX)?;
        let before = slots::load_account(self.store, &account)?;
        match before.status {
            Status::Outsider => {}
            Status::Replaced => {
                return invalid(format!(
                    "{account} was replaced in a key recovery and cannot become a member again"
                ));
            }
            Status::Active | Status::Suspended => {
                return Err(GovernanceError::Exists(format!("member {account}")));
            }
        }
        if account.is_zero() || account == crate::ADDRESS {
            return invalid(format!("{account} cannot be a member"));
        }
        let index = self.counts.members;
        if index >= MEMBERS_MAX {
            let (found, max) = (u64::from(index) + 1, u64::from(MEMBERS_MAX));
            let what = "members";
            return Err(GovernanceError::Limit { what, found, max });
        }
        self.counts.members = index.saturating_add(1);
        self.store
            .store(&slots::member_slot(index), account.into_word())?;
        let details = MemberDetails {
            name: name.to_owned(),
            certificate,
            replaced_by: None,
        };
        slots::save_details(self.store, &account, Some(&details))?;
        let word = AccountWord {
            organisation,
            roles,
            status: Status::Active,
            certified: certificate.is_some(),
            // A freeze outlives a change of membership.
            frozen_until: before.frozen_until,
            index,
        };
        self.save_member(&account, &word)
    }

    /// The last member of the list takes the place of the one that leaves.
    fn remove_member(&mut self, account: &Address) -> Done {
        let word = self.member(account)?;
        let last = self.counts.members.saturating_sub(1);
        let last_slot = slots::member_slot(last);
        if word.index != last
            && let Some(moved) = slots::load_address(self.store, &last_slot)?
        {
            let mut moved_word = slots::load_account(self.store, &moved)?;
            moved_word.index = word.index;
            slots::save_account(self.store, &moved, &moved_word)?;
            let slot = slots::member_slot(word.index);
            self.store.store(&slot, moved.into_word())?;
        }
        self.store.store(&last_slot, B256::ZERO)?;
        self.counts.members = last;
        slots::save_details(self.store, account, None)?;
        let outside = AccountWord {
            frozen_until: word.frozen_until,
            ..AccountWord::default()
        };
        self.save_member(account, &outside)
    }

    fn recover(&mut self, old: &Address, new: &Address) -> Done {
        let word = self.member(old)?;
        let taken = slots::load_account(self.store, new)?;
        if taken != AccountWord::default() || new.is_zero() || *new == crate::ADDRESS {
            return invalid(format!(
                "{new} cannot take the place of {old}: it must be an account of which governance says \
                 nothing yet"
            ));
        }
        self.store
            .store(&slots::member_slot(word.index), new.into_word())?;
        let mut details = self.details(old)?;
        slots::save_details(self.store, new, Some(&details))?;
        details.replaced_by = Some(*new);
        slots::save_details(self.store, old, Some(&details))?;
        // The freeze stays with the old account: most are put there because the key was lost.
        self.save_member(
            new,
            &AccountWord {
                frozen_until: Time::default(),
                ..word
            },
        )?;
        let replaced = AccountWord {
            organisation: word.organisation,
            status: Status::Replaced,
            ..AccountWord::default()
        };
        self.save_member(old, &replaced)?;
        let reason = "replaced in a key recovery";
        let target = Target::Account(*old);
        let (counts, moment) = (&mut self.counts, &self.moment);
        freeze(
            self.store, counts, moment, self.by, target, NO_EXPIRY, reason,
        )?;
        for organisation in self.charter.organisations.values_mut() {
            for authority in &mut organisation.authorities {
                if authority == old {
                    *authority = *new;
                }
            }
        }
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

/// Freezes something, until a time.
pub(crate) fn freeze(
    store: &mut dyn Store,
    counts: &mut Counts,
    moment: &Moment,
    by: Address,
    target: Target,
    until: Time,
    reason: &str,
) -> Done {
    limit("bytes of a reason", reason.len(), REASON_BYTES_MAX)?;
    if reason.is_empty() {
        return invalid("a freeze needs a reason");
    }
    if until <= moment.time {
        return invalid(format!(
            "the freeze would end at {until} ms, and it is {} ms already",
            moment.time
        ));
    }
    let record = FreezeRecord {
        by,
        reason: reason.to_owned(),
        since: moment.time,
        until,
    };
    let known = match target {
        Target::Account(address) | Target::Contract(address) => {
            if address == crate::ADDRESS {
                return invalid("the governance contract cannot be frozen");
            }
            let known = slots::load_freeze(store, &address)?.is_some();
            let mut word = slots::load_account(store, &address)?;
            word.frozen_until = until;
            slots::save_account(store, &address, &word)?;
            slots::save_freeze(store, &address, Some(&record))?;
            known
        }
        Target::Asset(asset) => {
            let known = slots::load_asset_freeze(store, &asset)?.is_some();
            slots::save_asset_freeze(store, &asset, Some(&record))?;
            known
        }
    };
    if !known {
        counts.freezes = counts.freezes.saturating_add(1);
    }
    Ok(())
}

/// Lifts a freeze.
pub(crate) fn unfreeze(store: &mut dyn Store, counts: &mut Counts, target: Target) -> Done {
    let missing = || GovernanceError::Unknown(format!("freeze of {target}"));
    match target {
        Target::Account(address) | Target::Contract(address) => {
            slots::load_freeze(store, &address)?.ok_or_else(missing)?;
            let mut word = slots::load_account(store, &address)?;
            if word.status == Status::Replaced {
                return invalid(format!(
                    "{address} was replaced in a key recovery; its freeze stays"
                ));
            }
            word.frozen_until = Time::default();
            slots::save_account(store, &address, &word)?;
            slots::save_freeze(store, &address, None)?;
        }
        Target::Asset(asset) => {
            slots::load_asset_freeze(store, &asset)?.ok_or_else(missing)?;
            slots::save_asset_freeze(store, &asset, None)?;
        }
    }
    counts.freezes = counts.freezes.saturating_sub(1);
    Ok(())
}

fn check_custom(role: u8) -> Done {
    if (CUSTOM_ROLE_FIRST..=CUSTOM_ROLE_LAST).contains(&role) {
        Ok(())
    } else {
        invalid(format!(
            "custom roles have numbers {CUSTOM_ROLE_FIRST} to {CUSTOM_ROLE_LAST}, not {role}"
        ))
    }
}

fn check_name(what: &'static str, name: &str) -> Done {
    if name.is_empty() {
        return invalid(format!("the {what} is empty"));
    }
    limit(what, name.len(), GOVERNANCE_NAME_BYTES_MAX)
}

fn check_actions(actions: Actions) -> Done {
    if actions.is_valid() {
        Ok(())
    } else {
        invalid(format!("actions have bits 0 to {}", ACTIONS - 1))
    }
}

/// Refuses to hand to everyone what governs the chain.
pub(crate) fn check_public(actions: Actions) -> Done {
    use crate::action::Action::{Configure, Freeze, Inspect, Join, Propose, Vote};
    let reserved = Actions::of(&[Join, Propose, Vote, Inspect, Freeze, Configure]);
    if actions.0 & reserved.0 == 0 {
        Ok(())
    } else {
        let names = Actions(actions.0 & reserved.0).names();
        invalid(format!(
            "{names}: these take a member; they cannot be public"
        ))
    }
}

pub(crate) fn check_times(time_lock_ms: u64, voting_ms: u64) -> Done {
    if time_lock_ms > TIME_LOCK_MS_MAX {
        return invalid(format!("a time lock lasts at most {TIME_LOCK_MS_MAX} ms"));
    }
    if !(VOTING_MS_MIN..=VOTING_MS_MAX).contains(&voting_ms) {
        return invalid(format!(
            "voting lasts {VOTING_MS_MIN} to {VOTING_MS_MAX} ms"
        ));
    }
    Ok(())
}

fn check_organisation(id: u32, organisation: &Organisation) -> Done {
    if id == 0 {
        return invalid("numbers of organisations start at 1");
    }
    check_name("name of an organisation", &organisation.name)?;
    if organisation.weight == 0 {
        return invalid(format!("organisation {id} needs a weight of at least 1"));
    }
    limit(
        "authorities",
        organisation.authorities.len(),
        AUTHORITIES_MAX,
    )?;
    limit("certificate roots", organisation.roots.len(), ROOTS_MAX)?;
    let mut sorted = organisation.authorities.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != organisation.authorities.len() {
        return invalid(format!("organisation {id} names an authority twice"));
    }
    let threshold = usize::from(organisation.authority_threshold);
    if threshold == 0 || (!sorted.is_empty() && threshold > sorted.len()) {
        return invalid(format!(
            "organisation {id} asks {threshold} of {} authorities to agree",
            sorted.len()
        ));
    }
    Ok(())
}
