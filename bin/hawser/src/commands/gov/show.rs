//! What is known, as tables.

use serde_json::{Value, json};

use super::{MemberArgs, NodeOnly, ShowArgs, WhyArgs, code, governed};
use crate::exit::{Code, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output, cell};
use crate::quantity::{field, text, utc};

/// A list of texts in a field, separated by commas.
fn names(value: &Value, name: &str) -> String {
    let list = value.get(name).and_then(Value::as_array);
    let cells: Vec<_> = list.into_iter().flatten().map(cell).collect();
    cells.join(", ")
}

fn shown(value: &Value, name: &str) -> String {
    value.get(name).map(cell).unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).map_or(&[], items)
}

pub(super) async fn overview(args: &NodeOnly, output: Output, lang: Lang) -> Result<()> {
    let value = governed(&args.node.client()?, lang).await?;
    output.print(&value, |value| {
        let names_of = |names: [(&'static str, &'static str, &str); 12]| {
            names.map(|(en, zh, field)| {
                let shown = match field {
                    "publicActions" => names_list(value, field),
                    field => shown(value, field),
                };
                (lang.pick(en, zh).to_owned(), shown)
            })
        };
        let rows = names_of([
            ("account mode", "账户模式", "accountMode"),
            ("public actions", "公开操作", "publicActions"),
            ("signed reads", "签名查询", "signedReads"),
            ("organisations", "机构", "organisations"),
            ("members", "成员", "members"),
            ("governors", "治理者", "governors"),
            ("proposals", "提案", "proposals"),
            ("freezes", "冻结", "freezes"),
            ("time lock (ms)", "时间锁（毫秒）", "timeLockMs"),
            ("voting (ms)", "表决期（毫秒）", "votingMs"),
            ("audit entries", "审计条目", "auditEntries"),
            ("audit head", "审计链头", "auditHead"),
        ]);
        let thresholds: Vec<Vec<String>> = list(value, "thresholds")
            .iter()
            .map(|one| vec![shown(one, "kind"), shown(one, "needed")])
            .collect();
        let head = [lang.pick("kind", "类别"), lang.pick("needs", "通过门槛")];
        format!(
            "{}\n{}",
            output::pairs(&rows),
            output::table(&head, &thresholds)
        )
    })
}

fn names_list(value: &Value, field: &str) -> String {
    names(value, field)
}

pub(super) async fn organisations(args: &NodeOnly, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    governed(&client, lang).await?;
    let value = client.call("hawser_organisations", json!([])).await?;
    output.print(&value, |value| {
        let row = |one: &Value| {
            let authorities = list(one, "authorities").len();
            let state = if one.get("suspended") == Some(&json!(true)) {
                lang.pick("suspended", "停用")
            } else {
                lang.pick("active", "有效")
            };
            vec![
                shown(one, "id"),
                shown(one, "name"),
                state.to_owned(),
                shown(one, "weight"),
                format!("{}/{authorities}", shown(one, "authorityThreshold")),
                names(one, "governors"),
            ]
        };
        let rows: Vec<_> = items(value).iter().map(row).collect();
        let head = [
            lang.pick("id", "编号"),
            lang.pick("name", "名称"),
            lang.pick("state", "状态"),
            lang.pick("weight", "权重"),
            lang.pick("authorities", "恢复账户"),
            lang.pick("governors", "治理者"),
        ];
        output::table(&head, &rows)
    })
}

pub(super) async fn members(args: &NodeOnly, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    governed(&client, lang).await?;
    let (mut all, mut from) = (Vec::new(), json!(0));
    loop {
        let page = client.call("hawser_members", json!([from])).await?;
        all.extend(list(&page, "members").iter().cloned());
        match page.get("next") {
            Some(next) if !next.is_null() && *next != from => from = next.clone(),
            _ => break,
        }
    }
    output.print(&Value::Array(all), |value| {
        let row = |one: &Value| {
            let mut state = shown(one, "status");
            if one.get("frozen") == Some(&json!(true)) {
                state.push_str(lang.pick(", frozen", "，已冻结"));
            }
            vec![
                shown(one, "account"),
                shown(one, "name"),
                shown(one, "organisation"),
                state,
                names(one, "roles"),
            ]
        };
        let rows: Vec<_> = items(value).iter().map(row).collect();
        let head = [
            lang.pick("account", "账户"),
            lang.pick("name", "名称"),
            lang.pick("organisation", "机构"),
            lang.pick("state", "状态"),
            lang.pick("roles", "角色"),
        ];
        output::table(&head, &rows)
    })
}

pub(super) async fn member(args: &MemberArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let value = client.call("hawser_member", json!([args.account])).await?;
    output.print(&value, |value| {
        let freeze = match value.get("freeze") {
            Some(record) if value.get("frozen") == Some(&json!(true)) => {
                format!("{} ({})", text(record, "reason"), text(record, "by"))
            }
            _ => String::new(),
        };
        output::pairs(&[
            (lang.pick("account", "账户"), shown(value, "account")),
            (lang.pick("name", "名称"), shown(value, "name")),
            (lang.pick("state", "状态"), shown(value, "status")),
            (
                lang.pick("organisation", "机构"),
                shown(value, "organisation"),
            ),
            (lang.pick("roles", "角色"), names(value, "roles")),
            (
                lang.pick("certificate", "证书"),
                shown(value, "certificate"),
            ),
            (lang.pick("frozen", "冻结"), freeze),
            (
                lang.pick("replaced by", "替换为"),
                shown(value, "replacedBy"),
            ),
        ])
    })
}

pub(super) async fn roles(args: &NodeOnly, output: Output, lang: Lang) -> Result<()> {
    let value = governed(&args.node.client()?, lang).await?;
    let roles = value.get("roles").cloned().unwrap_or_default();
    output.print(&roles, |roles| {
        let row = |one: &Value| {
            vec![
                shown(one, "role"),
                shown(one, "name"),
                names(one, "actions"),
            ]
        };
        let rows: Vec<_> = items(roles).iter().map(row).collect();
        let head = [
            lang.pick("role", "角色"),
            lang.pick("name", "名称"),
            lang.pick("may", "可执行"),
        ];
        output::table(&head, &rows)
    })
}

pub(super) async fn rules(args: &NodeOnly, output: Output, lang: Lang) -> Result<()> {
    let value = governed(&args.node.client()?, lang).await?;
    let rules = value.get("rules").cloned().unwrap_or_default();
    output.print(&rules, |rules| {
        let row = |(id, one): (&String, &Value)| {
            vec![
                id.clone(),
                shown(one, "effect"),
                shown(one, "subject"),
                names(one, "actions"),
                shown(one, "resource"),
                shown(one, "note"),
            ]
        };
        let mut rows: Vec<_> = rules.as_object().into_iter().flatten().map(row).collect();
        rows.sort_by_key(|row| row.first().and_then(|id| id.parse::<u32>().ok()));
        let head = [
            lang.pick("id", "编号"),
            lang.pick("effect", "效果"),
            lang.pick("subject", "主体"),
            lang.pick("actions", "操作"),
            lang.pick("resource", "对象"),
            lang.pick("note", "说明"),
        ];
        output::table(&head, &rows)
    })
}

pub(super) async fn proposals(args: &NodeOnly, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    governed(&client, lang).await?;
    let value = client.call("hawser_proposals", json!([])).await?;
    output.print(&value, |value| {
        let row = |one: &Value| {
            vec![
                shown(one, "id"),
                shown(one, "status"),
                names(one, "kinds"),
                shown(one, "title"),
                shown(one, "author"),
            ]
        };
        let rows: Vec<_> = items(value).iter().map(row).collect();
        let head = [
            lang.pick("id", "编号"),
            lang.pick("state", "状态"),
            lang.pick("kinds", "类别"),
            lang.pick("title", "标题"),
            lang.pick("author", "提案人"),
        ];
        output::table(&head, &rows)
    })
}

fn time(value: &Value, name: &str) -> String {
    field(value, name)
        .filter(|ms| *ms > 0)
        .map(utc)
        .unwrap_or_default()
}

pub(super) async fn proposal(args: &ShowArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let params = json!([args.id, code(lang)]);
    let value = client.call("hawser_proposal", params).await?;
    if value.is_null() {
        let text = match lang {
            Lang::En => format!("there is no proposal {} on this chain", args.id),
            Lang::Zh => format!("本链没有提案 {}", args.id),
        };
        return fail(Code::NotFound, text);
    }
    output.print(&value, |value| {
        let head = output::pairs(&[
            (lang.pick("proposal", "提案"), shown(value, "id")),
            (lang.pick("title", "标题"), shown(value, "title")),
            (
                lang.pick("description", "说明"),
                shown(value, "description"),
            ),
            (lang.pick("author", "提案人"), shown(value, "author")),
            (lang.pick("decided by", "决定者"), shown(value, "route")),
            (lang.pick("state", "状态"), shown(value, "status")),
            (lang.pick("submitted", "提交"), time(value, "submittedMs")),
            (
                lang.pick("votes until", "表决截止"),
                time(value, "closesMs"),
            ),
            (
                lang.pick("executable from", "可执行"),
                time(value, "executableFromMs"),
            ),
            (lang.pick("ended", "结束"), time(value, "endedMs")),
        ]);
        let standing = |one: &Value| {
            let count = one.get("count").cloned().unwrap_or_default();
            vec![
                shown(one, "kind"),
                shown(&count, "yes"),
                shown(&count, "no"),
                shown(&count, "total"),
                shown(one, "needed"),
            ]
        };
        let rows: Vec<_> = list(value, "standings").iter().map(standing).collect();
        let names = [
            lang.pick("kind", "类别"),
            lang.pick("yes", "赞成"),
            lang.pick("no", "反对"),
            lang.pick("of", "总数"),
            lang.pick("needs", "通过门槛"),
        ];
        let difference: String = list(value, "difference")
            .iter()
            .map(|line| format!("  {}\n", cell(line)))
            .collect();
        let title = lang.pick("What it changes:", "变更内容：");
        format!(
            "{head}\n{}\n{title}\n{difference}",
            output::table(&names, &rows)
        )
    })
}

/// A dry run as people read it.
pub(super) fn dry_run(run: &Value, lang: Lang) -> String {
    let lines: String = list(run, "difference")
        .iter()
        .map(|line| format!("  {}\n", cell(line)))
        .collect();
    let row = |one: &Value| {
        vec![
            shown(one, "account"),
            shown(one, "resource"),
            names(one, "gains"),
            names(one, "loses"),
        ]
    };
    let rows: Vec<_> = list(run, "shifts").iter().map(row).collect();
    let head = [
        lang.pick("account", "账户"),
        lang.pick("resource", "对象"),
        lang.pick("gains", "获得"),
        lang.pick("loses", "失去"),
    ];
    let title = lang.pick("What would change:", "将发生的变更：");
    let shifts = if rows.is_empty() {
        lang.pick(
            "Nobody gains or loses a permission.\n",
            "没有账户的权限发生变化。\n",
        )
        .to_owned()
    } else {
        output::table(&head, &rows)
    };
    format!("{title}\n{lines}\n{shifts}")
}

pub(super) async fn why(args: &WhyArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let params = json!([args.account, args.action.name(), args.resource, code(lang)]);
    let value = client.call("hawser_why", params).await?;
    let allowed = value.get("allowed") == Some(&json!(true));
    output.print(&value, |value| {
        let answer = if allowed {
            lang.pick("allowed", "允许")
        } else {
            lang.pick("not allowed", "不允许")
        };
        output::pairs(&[
            (lang.pick("answer", "结果"), answer.to_owned()),
            (lang.pick("rule", "依据"), shown(value, "rule")),
            (lang.pick("reason", "原因"), shown(value, "reason")),
        ])
    })?;
    if allowed {
        Ok(())
    } else {
        let text = format!("{}: {}", text(&value, "rule"), text(&value, "reason"));
        fail(Code::NotFound, text)
    }
}
