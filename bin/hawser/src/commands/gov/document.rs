//! Proposals as people write them.

use std::path::Path;

use hawser_governance::{Change, SCRIPT_BYTES_MAX, action::Roles};
use serde::Deserialize;
use serde_json::json;

use super::ProposeArgs;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;

/// Largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A proposal to be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) changes: Vec<Change>,
}

/// Milliseconds of a time such as `90s`, `30m`, `24h` or `7d`.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time; write 90s, 30m, 24h or 7d");
    let (digits, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(ms).filter(|ms| *ms > 0).ok_or_else(wrong)
}

/// What the file and the options say together.
pub(super) fn read(args: &ProposeArgs) -> Result<Document> {
    let mut document = match &args.file {
        Some(path) => parse(path)?,
        None => Document::default(),
    };
    if let Some(title) = &args.title {
        document.title.clone_from(title);
    }
    if let Some(description) = &args.description {
        document.description.clone_from(description);
    }
    document.changes.extend(shortcuts(args)?);
    if document.changes.is_empty() {
        return fail(
            Code::Usage,
            "nothing is proposed: name a file with changes, or use an option such as --set-roles",
        );
    }
    if document.title.is_empty() && !args.dry_run {
        return fail(Code::Usage, "a proposal needs a title: --title");
    }
    Ok(document)
}

fn parse(path: &Path) -> Result<Document> {
    let text = files::read_text(path, FILE_BYTES_MAX)?;
    let place = || format!("{}", path.display());
    if path.extension().is_some_and(|ending| ending == "json") {
        return serde_json::from_str(&text).context(Code::Usage, place());
    }
    let value: toml::Value = toml::from_str(&text).context(Code::Usage, place())?;
    let value = serde_json::to_value(value).context(Code::Usage, place())?;
    serde_json::from_value(value).context(Code::Usage, place())
}

fn split<'a>(option: &str, text: &'a str, by: char) -> Result<(&'a str, &'a str)> {
    match text.split_once(by) {
        Some(parts) => Ok(parts),
        None => fail(Code::Usage, format!("--{option}: `{text}` has no `{by}`")),
    }
}

fn change(option: &str, value: serde_json::Value) -> Result<Change> {
    serde_json::from_value(value).context(Code::Usage, format!("--{option}"))
}

fn roles(option: &str, text: &str) -> Result<Roles> {
    let names: Vec<_> = text.split(',').filter(|name| !name.is_empty()).collect();
    Roles::from_names(&names).context(Code::Usage, format!("--{option}"))
}

fn shortcuts(args: &ProposeArgs) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for text in &args.add_member {
        let (account, rest) = split("add-member", text, '=')?;
        let (organisation, names) = split("add-member", rest, ':')?;
        let organisation: u32 = organisation
            .parse()
            .context(Code::Usage, "--add-member: number of the organisation")?;
        let roles = roles("add-member", names)?;
        changes.push(change(
            "add-member",
            json!({ "change": "add_member", "account": account, "organisation": organisation, "roles": roles }),
        )?);
    }
    for account in &args.remove_member {
        changes.push(Change::RemoveMember { account: *account });
    }
    for text in &args.set_roles {
        let (account, names) = split("set-roles", text, '=')?;
        let roles = roles("set-roles", names)?;
        let value = json!({ "change": "set_roles", "account": account, "roles": roles });
        changes.push(change("set-roles", value)?);
    }
    for text in &args.recover_account {
        let (old, new) = split("recover-account", text, '=')?;
        let value = json!({ "change": "recover_account", "old": old, "new": new });
        changes.push(change("recover-account", value)?);
    }
    if let Some(mode) = &args.account_mode {
        let value = json!({ "change": "set_account_mode", "mode": mode });
        changes.push(change("account-mode", value)?);
    }
    for text in &args.policy {
        let (id, rest) = split("policy", text, '=')?;
        let (name, file) = split("policy", rest, ':')?;
        let id: u32 = id.parse().context(Code::Usage, "--policy: number")?;
        let max = u64::try_from(SCRIPT_BYTES_MAX).unwrap_or(u64::MAX);
        let script = files::read_text(Path::new(file), max)?;
        let value = json!({ "change": "set_policy", "id": id, "name": name, "script": script });
        changes.push(change("policy", value)?);
    }
    for text in &args.policy_mode {
        let (id, mode) = split("policy-mode", text, '=')?;
        let id: u32 = id.parse().context(Code::Usage, "--policy-mode: number")?;
        let value = json!({ "change": "set_policy_mode", "id": id, "mode": mode });
        changes.push(change("policy-mode", value)?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_four_units_and_nothing_else_is() {
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("7d"), Ok(604_800_000));
        for bad in ["", "s", "7", "0h", "-1h", "7w", "é", "99999999999999999d"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proposal_is_read_from_toml_and_from_json_alike() {
        let dir = tempfile::tempdir().unwrap();
        let toml = dir.path().join("p.toml");
        std::fs::write(
            &toml,
            "title = \"join\"\n[[changes]]\nchange = \"add_member\"\norganisation = 4\n\
             account = \"0x0101010101010101010101010101010101010101\"\nroles = [\"governor\"]\n\
             [[changes]]\nchange = \"set_rule\"\nid = 3\n[changes.rule]\nsubject = \"any\"\n\
             actions = [\"deploy\"]\nresource = \"any\"\neffect = \"deny\"\n",
        )
        .unwrap();
        let one = parse(&toml).unwrap();
        assert_eq!((one.title.as_str(), one.changes.len()), ("join", 2));
        let json = dir.path().join("p.json");
        let text = json!({ "title": "join", "changes": one.changes });
        std::fs::write(&json, text.to_string()).unwrap();
        assert_eq!(parse(&json).unwrap().changes, one.changes);
        std::fs::write(
            &json,
            r#"{"title":"x","changes":[{"change":"set_rule","id":1}]}"#,
        )
        .unwrap();
        assert_eq!(parse(&json).unwrap_err().code, Code::Usage);
        std::fs::write(&json, r#"{"titel":"x"}"#).unwrap();
        assert!(parse(&json).is_err(), "unknown fields are mistakes");
    }
}
