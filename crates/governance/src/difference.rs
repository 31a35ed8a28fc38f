//! Changes in words, against what holds now.

use hawser_ledger::{ChainSettings, GenesisValidator};
use hawser_primitives::Time;

use crate::{
    access::{AccessError, Store},
    action::{Roles, role_name},
    change::Change,
    model::{AccountWord, Charter, NO_EXPIRY, Rule, Status},
    slots,
    words::Lang,
};

/// What changes would do, line by line: `+` for what is added, `-` for what goes, `~` for what changes.
/// `settings` are those that the change would build on.
pub fn difference(
    store: &mut dyn Store,
    charter: &Charter,
    settings: Option<&ChainSettings>,
    changes: &[Change],
    lang: Lang,
) -> Result<Vec<String>, AccessError> {
    let mut lines = Vec::new();
    for change in changes {
        one(store, charter, settings, change, lang, &mut lines)?;
    }
    Ok(lines)
}

/// A change in one line, without knowing what holds now.
#[must_use]
pub fn summary(change: &Change) -> String {
    let concerned = change.concerns().join(", ");
    format!("{}: {concerned}", change.kind())
}

fn moved(what: &str, from: &str, to: &str) -> String {
    if from == to {
        format!("~ {what}: {to}")
    } else {
        format!("~ {what}: {from} → {to}")
    }
}

fn until(time: Time, lang: Lang) -> String {
    match time {
        NO_EXPIRY => lang.pick("without end".to_owned(), "无期限".to_owned()),
        time => format!("{time} ms"),
    }
}

fn roles(charter: &Charter, roles: Roles) -> String {
    let name = |role| match charter.roles.get(&role) {
        Some(custom) => format!("{} ({})", custom.name, role_name(role)),
        None => role_name(role),
    };
    let names: Vec<_> = roles.iter().map(name).collect();
    names.join(", ")
}

fn rule(rule: &Rule, lang: Lang) -> String {
    let effect = match rule.effect {
        crate::model::Effect::Allow => lang.pick("allow".to_owned(), "允许".to_owned()),
        crate::model::Effect::Deny => lang.pick("deny".to_owned(), "禁止".to_owned()),
    };
    let note = if rule.note.is_empty() {
        String::new()
    } else {
        format!(" ({})", rule.note)
    };
    format!(
        "{effect} {} · {} · {}{note}",
        rule.subject,
        rule.actions.names(),
        rule.resource
    )
}

fn word_of(
    store: &mut dyn Store,
    account: &hawser_primitives::Address,
) -> Result<AccountWord, AccessError> {
    slots::load_account(store, account)
}

#[allow(clippy::too_many_lines, reason = "one arm per change")]
fn one(
    store: &mut dyn Store,
    charter: &Charter,
    settings: Option<&ChainSettings>,
    change: &Change,
    lang: Lang,
    lines: &mut Vec<String>,
) -> Result<(), AccessError> {
    let t = |en: &str, zh: &str| lang.pick(en.to_owned(), zh.to_owned());
    let line = match change {
        Change::AddOrganisation {
            id,
            name,
            weight,
            authorities,
            authority_threshold,
            roots,
        } => format!(
            "+ {} {id} “{name}”, {} {weight}, {} {authority_threshold}/{}, {} {}",
            t("organisation", "机构"),
            t("weight", "权重"),
            t("authorities", "恢复账户"),
            authorities.len(),
            t("certificate roots", "根证书"),
            roots.len()
        ),
        Change::UpdateOrganisation {
            id,
            name,
            weight,
            authorities,
            authority_threshold,
            ..
        } => {
            let what = format!("{} {id}", t("organisation", "机构"));
            if let Some(old) = charter.organisations.get(id) {
                let weights = (old.weight.to_string(), weight.to_string());
                lines.push(moved(
                    &format!("{what} {}", t("name", "名称")),
                    &old.name,
                    name,
                ));
                lines.push(moved(
                    &format!("{what} {}", t("weight", "权重")),
                    &weights.0,
                    &weights.1,
                ));
                let shown = |threshold: u8, of: usize| format!("{threshold}/{of}");
                lines.push(moved(
                    &format!("{what} {}", t("authorities", "恢复账户")),
                    &shown(old.authority_threshold, old.authorities.len()),
                    &shown(*authority_threshold, authorities.len()),
                ));
                return Ok(());
            }
            format!("~ {what}")
        }
        Change::SuspendOrganisation { id, suspended } => {
            let what = if *suspended {
                t("suspended", "停用")
            } else {
                t("active", "恢复")
            };
            format!("~ {} {id}: {what}", t("organisation", "机构"))
        }
        Change::RemoveOrganisation { id } => {
            let name = charter
                .organisations
                .get(id)
                .map_or("", |o| o.name.as_str());
            format!("- {} {id} “{name}”", t("organisation", "机构"))
        }
        Change::AddMember {
            account,
            name,
            organisation,
            roles: given,
            ..
        } => format!(
            "+ {} {account} “{name}”, {} {organisation}: {}",
            t("member", "成员"),
            t("organisation", "机构"),
            roles(charter, *given)
        ),
        Change::RemoveMember { account } => {
            let word = word_of(store, account)?;
            format!(
                "- {} {account}, {} {}: {}",
                t("member", "成员"),
                t("organisation", "机构"),
                word.organisation,
                roles(charter, word.roles)
            )
        }
        Change::SetRoles {
            account,
            roles: given,
        } => {
            let before = word_of(store, account)?.roles;
            let (gained, lost) = (Roles(given.0 & !before.0), Roles(before.0 & !given.0));
            let mut parts = Vec::new();
            if gained != Roles::default() {
                parts.push(format!("+ {}", roles(charter, gained)));
            }
            if lost != Roles::default() {
                parts.push(format!("- {}", roles(charter, lost)));
            }
            if parts.is_empty() {
                parts.push(t("unchanged", "不变"));
            }
            format!(
                "~ {} {account}: {}",
                t("roles of", "角色"),
                parts.join("; ")
            )
        }
        Change::SuspendMember { account, suspended } => {
            let now = if word_of(store, account)?.status == Status::Suspended {
                t("suspended", "停用")
            } else {
                t("active", "有效")
            };
            let then = if *suspended {
                t("suspended", "停用")
            } else {
                t("active", "有效")
            };
            moved(&format!("{} {account}", t("member", "成员")), &now, &then)
        }
        Change::SetCertificate {
            account,
            certificate,
        } => {
            let shown = |certificate: Option<hawser_primitives::B256>| {
                certificate.map_or_else(|| t("none", "无"), |hash| hash.to_string())
            };
            let before = slots::load_details(store, account)?.and_then(|d| d.certificate);
            moved(
                &format!("{} {account}", t("certificate of", "证书")),
                &shown(before),
                &shown(*certificate),
            )
        }
        Change::DefineRole {
            role,
            name,
            actions,
        } => {
            let what = format!("{} {role} “{name}”", t("role", "角色"));
            match charter.roles.get(role) {
                Some(old) => moved(&what, &old.actions.names(), &actions.names()),
                None => format!("+ {what}: {}", actions.names()),
            }
        }
        Change::RemoveRole { role } => format!("- {} {role}", t("role", "角色")),
        Change::SetRule { id, rule: new } => {
            let what = t("rule", "规则");
            if let Some(old) = charter.rules.get(id) {
                lines.push(format!("- {what} {id}: {}", rule(old, lang)));
            }
            format!("+ {what} {id}: {}", rule(new, lang))
        }
        Change::RemoveRule { id } => {
            let old = charter.rules.get(id).map(|old| rule(old, lang));
            format!("- {} {id}: {}", t("rule", "规则"), old.unwrap_or_default())
        }
        Change::SetAccountMode { mode } => moved(
            &t("account mode", "账户模式"),
            &name_of(&charter.account_mode),
            &name_of(mode),
        ),
        Change::SetPublicActions { actions } => moved(
            &t("public actions", "公开操作"),
            &charter.public_actions.names(),
            &actions.names(),
        ),
        Change::SetSignedReads { signed } => moved(
            &t("signed reads", "签名查询"),
            &charter.signed_reads.to_string(),
            &signed.to_string(),
        ),
        Change::SetParameters { parameters } => {
            let fields = |value: &hawser_ledger::ChainParameters| {
                serde_json::to_value(value)
                    .ok()
                    .and_then(|value| value.as_object().cloned())
                    .unwrap_or_default()
            };
            let old = settings.map(|settings| fields(&settings.parameters));
            let mut any = false;
            for (name, value) in fields(parameters) {
                let before = old.as_ref().and_then(|old| old.get(&name));
                if before != Some(&value) {
                    let before = before.map(ToString::to_string).unwrap_or_default();
                    lines.push(moved(&name, &before, &value.to_string()));
                    any = true;
                }
            }
            if any {
                return Ok(());
            }
            format!("~ {}", t("parameters: unchanged", "参数：不变"))
        }
        Change::SetValidators { validators } => {
            let old = settings.map_or(&[][..], |settings| settings.validators.as_slice());
            committee(old, validators, &t("validator", "验证节点"), lines);
            return Ok(());
        }
        Change::ActivateProtocol { version, height } => {
            let before = settings.map_or(0, |settings| settings.protocol_version);
            let what = t("protocol version", "协议版本");
            let from = t("not before block", "不早于区块");
            format!("~ {what}: {before} → {version}, {from} {height}")
        }
        Change::Freeze {
            target,
            until: end,
            reason,
        } => format!(
            "+ {} {target}, {}: {reason}",
            t("freeze", "冻结"),
            until(end.unwrap_or(NO_EXPIRY), lang)
        ),
        Change::Unfreeze { target } => format!("- {} {target}", t("freeze", "冻结")),
        Change::Upgrade {
            contract,
            implementation,
        } => {
            let slot = slots::implementation_slot(contract);
            let before = slots::load_address(store, &slot)?.unwrap_or_default();
            moved(
                &format!("{} {contract}", t("code of", "合约代码")),
                &before.to_string(),
                &implementation.to_string(),
            )
        }
        Change::SetPolicy { id, name, script } => {
            let version = charter.policies.get(id).map_or(0, |policy| policy.version);
            format!(
                "{} {} {id} “{name}” v{}, {} {}",
                if version == 0 { '+' } else { '~' },
                t("supervision rule", "监管规则"),
                version.saturating_add(1),
                script.len(),
                t("bytes", "字节")
            )
        }
        Change::SetPolicyMode { id, mode } => {
            let what = format!("{} {id}", t("supervision rule", "监管规则"));
            let before = charter.policies.get(id).map(|policy| name_of(&policy.mode));
            moved(&what, &before.unwrap_or_default(), &name_of(mode))
        }
        Change::RemovePolicy { id } => format!("- {} {id}", t("supervision rule", "监管规则")),
        Change::SetThreshold { kind, threshold } => moved(
            &format!("{} {kind}", t("threshold of", "通过门槛")),
            &charter.threshold(*kind).to_string(),
            &threshold.to_string(),
        ),
        Change::SetTimes {
            time_lock_ms,
            voting_ms,
        } => {
            lines.push(moved(
                &t("time lock (ms)", "时间锁（毫秒）"),
                &charter.time_lock_ms.to_string(),
                &time_lock_ms.to_string(),
            ));
            moved(
                &t("voting time (ms)", "表决期（毫秒）"),
                &charter.voting_ms.to_string(),
                &voting_ms.to_string(),
            )
        }
        Change::RecoverAccount { old, new } => {
            let word = word_of(store, old)?;
            format!(
                "~ {} {old} → {new}, {} {}: {}",
                t("recovery", "密钥恢复"),
                t("organisation", "机构"),
                word.organisation,
                roles(charter, word.roles)
            )
        }
    };
    lines.push(line);
    Ok(())
}

/// A value as documents write it.
fn name_of<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn committee(
    old: &[GenesisValidator],
    new: &[GenesisValidator],
    word: &str,
    lines: &mut Vec<String>,
) {
    let find = |list: &[GenesisValidator], wanted: &GenesisValidator| {
        list.iter()
            .find(|other| other.public_key == wanted.public_key)
            .cloned()
    };
    for validator in new {
        let what = format!(
            "{word} {} {}",
            validator.name,
            validator.public_key.address()
        );
        match find(old, validator) {
            None => lines.push(format!("+ {what}, {}", validator.weight)),
            Some(before) if before.weight != validator.weight => {
                let (from, to) = (before.weight.to_string(), validator.weight.to_string());
                lines.push(moved(&what, &from, &to));
            }
            Some(_) => {}
        }
    }
    for validator in old {
        if find(new, validator).is_none() {
            let address = validator.public_key.address();
            lines.push(format!("- {word} {} {address}", validator.name));
        }
    }
}
