//! The authorizer: may this account do that to this?
//!
//! One answer for the pool, for execution and for queries: [`decide`]. The order (`docs/spec/governance.md`,
//! GV-5): freezes, standing of account and organisation, account mode, rules that deny, rules that
//! allow, roles, public actions; what nothing permits is forbidden.

use std::fmt;

use alloy_primitives::map::HashMap;
use hawser_execution::Finding;
use hawser_ledger::AccountMode;
use hawser_primitives::{Address, B256, Time};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    access::{AccessError, Store, named},
    action::{ACTIONS, Action, Actions, Roles, role_name},
    model::{AccountWord, Charter, Effect, NO_EXPIRY, Resource, Status, Subject},
    slots::{self, CHARTER_SLOT, Counts},
    words::Lang,
};

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

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The chain has no governance.
    Ungoverned,
    /// The account is frozen until then.
    FrozenAccount(Time),
    /// The contract is frozen until then.
    FrozenContract(Address, Time),
    /// The asset is frozen until then.
    FrozenAsset(B256, Time),
    /// The account is suspended.
    Suspended,
    /// The account was replaced by another.
    Replaced,
    /// Its organisation is suspended.
    OrganisationSuspended(u32),
    /// The account is no member, and the mode wants one.
    Mode(AccountMode),
    /// The account has no certificate, and the mode wants one.
    Certificate,
    /// A rule.
    Rule(u32),
    /// A role that the account has.
    Role(u8),
    /// Everyone may.
    Public,
    /// Nothing permits it.
    Default,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// What decided.
    pub basis: Basis,
}

impl Decision {
    const fn yes(basis: Basis) -> Self {
        Self {
            allowed: true,
            basis,
        }
    }

    const fn no(basis: Basis) -> Self {
        Self {
            allowed: false,
            basis,
        }
    }

    /// Name of what decided, such as `rule:17`.
    #[must_use]
    pub fn rule(&self) -> String {
        self.basis.to_string()
    }

    /// The refusal that a transaction gets; `None` for what is allowed.
    #[must_use]
    pub fn refusal(&self, law: &Law, action: Action, resource: &Resource) -> Option<Finding> {
        let reason = || self.reason(law.charter(), action, resource, Lang::En);
        (!self.allowed).then(|| Finding::new(self.rule(), reason()))
    }

    /// In words, what decided and what to do.
    #[must_use]
    pub fn reason(
        &self,
        charter: &Charter,
        action: Action,
        resource: &Resource,
        lang: Lang,
    ) -> String {
        let until = |time: Time| match (time, lang) {
            (NO_EXPIRY, Lang::En) => "until it is lifted".to_owned(),
            (NO_EXPIRY, Lang::Zh) => "直至解除".to_owned(),
            (time, Lang::En) => format!("until {} ms", time.0),
            (time, Lang::Zh) => format!("至 {} 毫秒", time.0),
        };
        let note = |id: u32| {
            let rule = charter.rules.get(&id);
            rule.map_or_else(String::new, |rule| rule.note.clone())
        };
        let en = match self.basis {
            Basis::Ungoverned => {
                "this chain has no governance; everyone may do everything".to_owned()
            }
            Basis::FrozenAccount(time) => format!(
                "the account is frozen {}; ask a supervisor or the governors",
                until(time)
            ),
            Basis::FrozenContract(contract, time) => {
                format!("contract {contract} is frozen {}", until(time))
            }
            Basis::FrozenAsset(asset, time) => format!("asset {asset} is frozen {}", until(time)),
            Basis::Suspended => "the member is suspended; ask its organisation".to_owned(),
            Basis::Replaced => {
                "the account was replaced in a key recovery; use the new one".to_owned()
            }
            Basis::OrganisationSuspended(id) => format!("organisation {id} is suspended"),
            Basis::Mode(AccountMode::Certificate | AccountMode::Permitted) => {
                "only members may use this chain; ask an organisation to propose you".to_owned()
            }
            Basis::Mode(AccountMode::Open) => "the chain is open".to_owned(),
            Basis::Certificate => {
                "the account is not bound to a certificate; ask your organisation".to_owned()
            }
            Basis::Rule(id) if self.allowed => format!("rule {id} allows it: {}", note(id)),
            Basis::Rule(id) => format!("rule {id} denies {action} on {resource}: {}", note(id)),
            Basis::Role(role) => format!("the role {} may {action}", role_name(role)),
            Basis::Public => format!("everyone may {action}"),
            Basis::Default => format!(
                "no role of the account and no rule permits {action} on {resource}; a proposal can \
                 give a role or a rule"
            ),
        };
        if lang == Lang::En {
            return en;
        }
        match self.basis {
            Basis::Ungoverned => "本链没有治理，任何人可做任何操作".to_owned(),
            Basis::FrozenAccount(time) => {
                format!("账户已冻结（{}）；请联系监管方或治理者", until(time))
            }
            Basis::FrozenContract(contract, time) => {
                format!("合约 {contract} 已冻结（{}）", until(time))
            }
            Basis::FrozenAsset(asset, time) => format!("资产 {asset} 已冻结（{}）", until(time)),
            Basis::Suspended => "成员已停用；请联系所属机构".to_owned(),
            Basis::Replaced => "账户已在密钥恢复中被替换；请使用新账户".to_owned(),
            Basis::OrganisationSuspended(id) => format!("机构 {id} 已停用"),
            Basis::Mode(AccountMode::Certificate | AccountMode::Permitted) => {
                "仅成员可使用本链；请由机构提案加入".to_owned()
            }
            Basis::Mode(AccountMode::Open) => "本链开放".to_owned(),
            Basis::Certificate => "账户未绑定证书；请联系所属机构".to_owned(),
            Basis::Rule(id) if self.allowed => format!("规则 {id} 允许：{}", note(id)),
            Basis::Rule(id) => format!("规则 {id} 禁止对 {resource} 执行 {action}：{}", note(id)),
            Basis::Role(role) => format!("角色 {} 可执行 {action}", role_name(role)),
            Basis::Public => format!("任何人可执行 {action}"),
            Basis::Default => {
                format!(
                    "账户的角色与规则均未允许对 {resource} 执行 {action}；可通过提案授予角色或规则"
                )
            }
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ungoverned => f.write_str("ungoverned"),
            Self::FrozenAccount(_) => f.write_str("freeze:account"),
            Self::FrozenContract(..) => f.write_str("freeze:contract"),
            Self::FrozenAsset(..) => f.write_str("freeze:asset"),
            Self::Suspended => f.write_str("member:suspended"),
            Self::Replaced => f.write_str("member:replaced"),
            Self::OrganisationSuspended(_) => f.write_str("organisation:suspended"),
            Self::Mode(AccountMode::Open) => f.write_str("mode:open"),
            Self::Mode(AccountMode::Permitted) => f.write_str("mode:permitted"),
            Self::Mode(AccountMode::Certificate) => f.write_str("mode:certificate"),
            Self::Certificate => f.write_str("mode:certificate"),
            Self::Rule(id) => write!(f, "rule:{id}"),
            Self::Role(role) => write!(f, "role:{}", role_name(*role)),
            Self::Public => f.write_str("public"),
            Self::Default => f.write_str("default"),
        }
    }
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
