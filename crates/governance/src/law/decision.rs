//! Answers of the authorizer, and their words.

use std::fmt;

use hawser_execution::Finding;
use hawser_ledger::AccountMode;
use hawser_primitives::{Address, B256, Time};

use super::Law;
use crate::{
    action::{Action, role_name},
    model::{Charter, NO_EXPIRY, Resource},
    words::Lang,
};

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
    pub(super) const fn yes(basis: Basis) -> Self {
        Self {
            allowed: true,
            basis,
        }
    }

    pub(super) const fn no(basis: Basis) -> Self {
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
