//! The authorizer: may this account do that to this?
//!
//! One answer for the pool, for execution and for queries: [`decide`]. The order (`docs/spec/governance.md`,
//! GV-5): freezes, standing of account and organisation, account mode, rules that deny, rules that
//! allow, roles, public actions; what nothing permits is forbidden.

mod decision;

use alloy_primitives::map::HashMap;
use hawser_ledger::AccountMode;
use hawser_primitives::{Address, B256, Time};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    access::{AccessError, Store, named},
    action::{ACTIONS, Action, Actions, Roles},
    model::{AccountWord, Charter, Effect, Resource, Status, Subject},
    slots::{self, CHARTER_SLOT, Counts},
};

pub use decision::{Basis, Decision};

/// First rule that denies and first that allows, per action; 0 for none.
#[derive(Clone, Debug, Default)]
struct Cell {
    deny: [u32; ACTIONS],
    allow: [u32; ACTIONS],
}

/// A charter made ready for decisions.
#[derive(Debug)]
pub struct Law {
    charter: Charter,
    /// Looked up, never iterated.
    cells: HashMap<(Subject, Resource), Cell>,
    /// Roles that some rule names.
    ruled_roles: u64,
    /// What each role may do.
    role_actions: [Actions; 64],
    /// Whether some rule names an asset.
    has_asset_rules: bool,
}

impl Law {
    /// Indexes a charter.
    #[must_use]
    pub fn new(charter: Charter) -> Self {
        let mut cells: HashMap<(Subject, Resource), Cell> = HashMap::default();
        let (mut ruled_roles, mut has_asset_rules) = (0u64, false);
        // Ascending, so the first to come is the one with the lowest number.
        for (id, rule) in &charter.rules {
            if let Subject::Role(role) = rule.subject {
                ruled_roles |= 1u64.checked_shl(u32::from(role)).unwrap_or_default();
            }
            has_asset_rules |= matches!(rule.resource, Resource::Asset(_) | Resource::Any)
                && rule.actions.contains(Action::Transfer);
            let cell = cells
                .entry((rule.subject, rule.resource.clone()))
                .or_default();
            let side = match rule.effect {
                Effect::Allow => &mut cell.allow,
                Effect::Deny => &mut cell.deny,
            };
            for action in rule.actions.iter() {
                if let Some(first @ 0) = side.get_mut(action as usize) {
                    *first = *id;
                }
            }
        }
        let mut role_actions = [Actions::NONE; 64];
        for (role, actions) in (0u8..).zip(&mut role_actions) {
            *actions = charter.role_actions(role);
        }
        Self {
            charter,
            cells,
            ruled_roles,
            role_actions,
            has_asset_rules,
        }
    }

    /// What it was made of.
    #[must_use]
    pub const fn charter(&self) -> &Charter {
        &self.charter
    }

    /// Whether transfers of assets have to be looked at one by one.
    #[must_use]
    pub const fn has_asset_rules(&self) -> bool {
        self.has_asset_rules
    }

    /// Whether the account may use the chain at all: freeze, standing, mode. `None` when it may.
    #[must_use]
    pub fn standing(&self, word: &AccountWord, now: Time) -> Option<Decision> {
        if word.is_frozen(now) {
            return Some(Decision::no(Basis::FrozenAccount(word.frozen_until)));
        }
        match word.status {
            Status::Suspended => return Some(Decision::no(Basis::Suspended)),
            Status::Replaced => return Some(Decision::no(Basis::Replaced)),
            Status::Active => {
                if !self.charter.is_active(word.organisation) {
                    let basis = Basis::OrganisationSuspended(word.organisation);
                    return Some(Decision::no(basis));
                }
            }
            Status::Outsider => {}
        }
        match self.charter.account_mode {
            AccountMode::Open => None,
            mode if word.status == Status::Outsider => Some(Decision::no(Basis::Mode(mode))),
            AccountMode::Certificate if !word.certified => Some(Decision::no(Basis::Certificate)),
            AccountMode::Certificate | AccountMode::Permitted => None,
        }
    }

    /// What rules, roles and public actions say to an account in good standing.
    #[must_use]
    pub fn permits(
        &self,
        account: &Address,
        word: &AccountWord,
        action: Action,
        resource: &Resource,
    ) -> Decision {
        let member = word.status == Status::Active;
        let roles = if member { word.roles } else { Roles::default() };
        let mut allowing = 0;
        if !self.cells.is_empty() {
            match self.rules(account, word, roles, action, resource) {
                Found::Deny(id) => return Decision::no(Basis::Rule(id)),
                Found::Allow(id) => allowing = id,
                Found::Nothing => {}
            }
        }
        if allowing != 0 {
            return Decision::yes(Basis::Rule(allowing));
        }
        for role in roles.iter() {
            let actions = self.role_actions.get(usize::from(role));
            if actions.is_some_and(|actions| actions.contains(action)) {
                return Decision::yes(Basis::Role(role));
            }
        }
        if self.charter.account_mode == AccountMode::Open
            && self.charter.public_actions.contains(action)
        {
            return Decision::yes(Basis::Public);
        }
        Decision::no(Basis::Default)
    }

    fn rules(
        &self,
        account: &Address,
        word: &AccountWord,
        roles: Roles,
        action: Action,
        resource: &Resource,
    ) -> Found {
        let group = if word.status == Status::Active {
            Subject::Organisation(word.organisation)
        } else {
            Subject::Outsiders
        };
        let contract = match resource {
            Resource::Method(contract, _) => Some(Resource::Contract(*contract)),
            _ => None,
        };
        let specific = (*resource != Resource::Any).then(|| resource.clone());
        let resources = [Some(Resource::Any), contract, specific];
        let (mut deny, mut allow) = (0u32, 0u32);
        let first = |best: &mut u32, found: u32| {
            if found != 0 && (*best == 0 || found < *best) {
                *best = found;
            }
        };
        for resource in resources.into_iter().flatten() {
            let mut key = (Subject::Any, resource);
            let ruled = Roles(roles.0 & self.ruled_roles);
            let subjects = [Subject::Any, group, Subject::Account(*account)]
                .into_iter()
                .chain(ruled.iter().map(Subject::Role));
            for subject in subjects {
                key.0 = subject;
                let Some(cell) = self.cells.get(&key) else {
                    continue;
                };
                let at = action as usize;
                first(&mut deny, cell.deny.get(at).copied().unwrap_or_default());
                first(&mut allow, cell.allow.get(at).copied().unwrap_or_default());
            }
        }
        match (deny, allow) {
            (0, 0) => Found::Nothing,
            (0, id) => Found::Allow(id),
            (id, _) => Found::Deny(id),
        }
    }
}

enum Found {
    Deny(u32),
    Allow(u32),
    Nothing,
}

/// The question in full, over any store. `law` is that of the store's charter.
pub fn decide(
    law: &Law,
    store: &mut dyn Store,
    account: &Address,
    action: Action,
    resource: &Resource,
    now: Time,
) -> Result<Decision, AccessError> {
    let word = slots::load_account(store, account)?;
    let frozen = Counts::load(store)?.freezes > 0;
    decide_for(law, store, account, &word, frozen, action, resource, now)
}

/// As [`decide`], with the account's word at hand and whether anything at all may be frozen.
#[allow(clippy::too_many_arguments, reason = "the parts of one question")]
pub(crate) fn decide_for(
    law: &Law,
    store: &mut dyn Store,
    account: &Address,
    word: &AccountWord,
    freezes: bool,
    action: Action,
    resource: &Resource,
    now: Time,
) -> Result<Decision, AccessError> {
    if let Some(refusal) = law.standing(word, now) {
        return Ok(refusal);
    }
    if freezes && let Some(refusal) = frozen_resource(store, resource, now)? {
        return Ok(refusal);
    }
    Ok(law.permits(account, word, action, resource))
}

/// Whether the contract or asset asked for is frozen.
fn frozen_resource(
    store: &mut dyn Store,
    resource: &Resource,
    now: Time,
) -> Result<Option<Decision>, AccessError> {
    let basis = match resource {
        Resource::Contract(contract) | Resource::Method(contract, _) => {
            let word = slots::load_account(store, contract)?;
            word.is_frozen(now)
                .then_some(Basis::FrozenContract(*contract, word.frozen_until))
        }
        Resource::Asset(asset) => frozen_asset(store, asset, now)?,
        Resource::Any | Resource::Domain(_) => None,
    };
    Ok(basis.map(Decision::no))
}

/// Whether an asset is frozen.
pub(crate) fn frozen_asset(
    store: &mut dyn Store,
    asset: &B256,
    now: Time,
) -> Result<Option<Basis>, AccessError> {
    let record = slots::load_asset_freeze(store, asset)?;
    let until = record
        .map(|record| record.until)
        .filter(|until| *until > now);
    Ok(until.map(|until| Basis::FrozenAsset(*asset, until)))
}

/// Charters made ready, by their hash. Shared by pool, execution and queries.
#[derive(Debug)]
pub struct Laws(Mutex<LruCache<B256, std::sync::Arc<Law>>>);

/// How many charters stay ready: those of the last few changes.
const LAWS_KEPT: std::num::NonZeroUsize = std::num::NonZeroUsize::new(4).unwrap();

impl Default for Laws {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(LAWS_KEPT)))
    }
}

impl Laws {
    /// The law in force; `None` on a chain without governance.
    pub fn current(
        &self,
        store: &mut dyn Store,
    ) -> Result<Option<std::sync::Arc<Law>>, AccessError> {
        let hash = store.load(&CHARTER_SLOT)?;
        if hash.is_zero() {
            return Ok(None);
        }
        if let Some(law) = self.0.lock().get(&hash) {
            return Ok(Some(std::sync::Arc::clone(law)));
        }
        let content = named(store, &hash)?;
        self.ready(hash, &content).map(Some)
    }

    /// As [`Self::current`], reading the charter whether it is ready or not: within a call the gas must
    /// not depend on what this node happens to remember.
    pub(crate) fn metered(
        &self,
        store: &mut dyn Store,
    ) -> Result<Option<std::sync::Arc<Law>>, AccessError> {
        let hash = store.load(&CHARTER_SLOT)?;
        if hash.is_zero() {
            return Ok(None);
        }
        let content = named(store, &hash)?;
        self.ready(hash, &content).map(Some)
    }

    fn ready(&self, hash: B256, content: &[u8]) -> Result<std::sync::Arc<Law>, AccessError> {
        if let Some(law) = self.0.lock().get(&hash) {
            return Ok(std::sync::Arc::clone(law));
        }
        let law = std::sync::Arc::new(Law::new(slots::decode_charter(content)?));
        self.0.lock().put(hash, std::sync::Arc::clone(&law));
        Ok(law)
    }
}

#[cfg(test)]
mod tests;
