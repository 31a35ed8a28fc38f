//! The audit trail: listing, exporting, verifying.

use hawser_crypto::Suite;
use hawser_governance::audit::{Entry, Filter, to_csv, verify as verify_trail};
use hawser_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AuditExportArgs, AuditFilterArgs, AuditListArgs, AuditVerifyArgs, governed};
use crate::client::Client;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::quantity::{counted, utc};

/// Largest export read, in bytes.
const EXPORT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Entries with what is needed to check them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Export {
    /// Hashes of the entries.
    suite: Suite,
    /// Whether entries are missing on purpose.
    filtered: bool,
    /// Hash of the newest entry of the chain when this was written.
    head: B256,
    entries: Vec<Entry>,
}

fn filter(args: &AuditFilterArgs) -> Filter {
    Filter {
        kinds: args.kind.clone(),
        actor: args.actor,
        target: args.target.clone(),
        ..Filter::default()
    }
}

/// Entries from a number on, until there are enough.
async fn fetch(client: &Client, filter: &Filter, from: u64, limit: usize) -> Result<Export> {
    let (mut entries, mut from) = (Vec::new(), from);
    loop {
        let left = limit.saturating_sub(entries.len()).min(500);
        let query = json!({ "from": from, "limit": left, "filter": filter });
        let page = client.call("hawser_audit", json!([query])).await?;
        let list = page.get("entries").and_then(Value::as_array);
        for value in list.into_iter().flatten() {
            let mut value = value.clone();
            if let Some(fields) = value.as_object_mut() {
                fields.remove("hash");
            }
            entries.push(serde_json::from_value(value).context(Code::Refused, "hawser_audit")?);
        }
        let next = page.get("next").and_then(Value::as_u64);
        match next {
            Some(next) if next > from && entries.len() < limit => from = next,
            _ => {
                let part = |name| page.get(name).cloned().unwrap_or_default();
                return Ok(Export {
                    suite: serde_json::from_value(part("suite")).or_fail(Code::Refused)?,
                    head: serde_json::from_value(part("head")).or_fail(Code::Refused)?,
                    filtered: *filter != Filter::default(),
                    entries,
                });
            }
        }
    }
}

pub(super) async fn list(args: &AuditListArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    governed(&client, lang).await?;
    let found = fetch(&client, &filter(&args.filter), args.filter.from, args.limit).await?;
    output.print(&found.entries, |entries| {
        let row = |entry: &Entry| {
            vec![
                entry.number.to_string(),
                utc(entry.time.0),
                entry.kind.to_string(),
                entry.actor.to_string(),
                entry.target.clone(),
                entry.rule.clone(),
                entry.detail.clone(),
            ]
        };
        let rows: Vec<_> = entries.iter().map(row).collect();
        let head = [
            lang.pick("number", "序号"),
            lang.pick("time", "时间"),
            lang.pick("kind", "类别"),
            lang.pick("actor", "操作者"),
            lang.pick("target", "对象"),
            lang.pick("rule", "依据"),
            lang.pick("detail", "详情"),
        ];
        output::table(&head, &rows)
    })
}

pub(super) async fn export(args: &AuditExportArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    governed(&client, lang).await?;
    let ending = args.to.extension().and_then(|ending| ending.to_str());
    let csv = match ending {
        Some("csv") => true,
        Some("json") => false,
        _ => {
            return fail(
                Code::Usage,
                "--to names a file that ends with .csv or .json",
            );
        }
    };
    let filter = filter(&args.filter);
    let found = fetch(&client, &filter, args.filter.from, usize::MAX).await?;
    if !found.filtered && !found.entries.is_empty() {
        // What does not fit together here must not be handed on as a trail.
        verify_trail(found.suite, &found.entries, None).or_fail(Code::NotFound)?;
    }
    let text = if csv {
        to_csv(found.suite, &found.entries)
    } else {
        serde_json::to_string_pretty(&found).or_fail(Code::Failed)?
    };
    files::write_public(&args.to, &text)?;
    let count = found.entries.len();
    output.print(
        &json!({ "path": args.to, "entries": count }),
        |_| match lang {
            Lang::En => {
                let entries = counted(count, "entry");
                format!("Wrote {entries} to {}.", args.to.display())
            }
            Lang::Zh => format!("已将 {count} 条审计条目写入 {}。", args.to.display()),
        },
    )
}

pub(super) async fn verify(args: &AuditVerifyArgs, output: Output, lang: Lang) -> Result<()> {
    let text = files::read_text(&args.file, EXPORT_BYTES_MAX)?;
    let found: Export = serde_json::from_str(&text).context(
        Code::Config,
        format!("{} is no export", args.file.display()),
    )?;
    if found.filtered {
        return fail(
            Code::NotFound,
            lang.pick(
                "the export was filtered, so entries are missing; export without filters to verify",
                "该导出经过筛选，条目不完整；请不加筛选重新导出后再验证",
            ),
        );
    }
    let last = verify_trail(found.suite, &found.entries, None).or_fail(Code::NotFound)?;
    let number = found.entries.last().map_or(0, |entry| entry.number);
    if !args.offline {
        let client = args.node.client()?;
        let rest = fetch(&client, &Filter::default(), number.saturating_add(1), 1).await?;
        let named = rest
            .entries
            .first()
            .map_or(rest.head, |entry| entry.previous);
        if named != last {
            return fail(
                Code::NotFound,
                match lang {
                    Lang::En => format!("the last entry hashes to {last}, the chain says {named}"),
                    Lang::Zh => format!("最后一条的哈希为 {last}，链上为 {named}"),
                },
            );
        }
    }
    let count = found.entries.len();
    let value = json!({ "entries": count, "last": number, "hash": last, "offline": args.offline });
    output.print(&value, |_| match (lang, args.offline) {
        (Lang::En, false) if count == 1 => format!("The one entry fits the chain: {last}"),
        (Lang::En, true) if count == 1 => format!("The one entry is what it says it is: {last}"),
        (Lang::En, false) => format!("{count} entries fit together and the chain: {last}"),
        (Lang::En, true) => format!("{count} entries fit together: {last}"),
        (Lang::Zh, false) => format!("{count} 条审计条目前后一致，并与链上一致：{last}"),
        (Lang::Zh, true) => format!("{count} 条审计条目前后一致：{last}"),
    })
}
