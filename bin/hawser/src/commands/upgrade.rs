//! `hawser upgrade`: who is ready for the next protocol version (升级准备情况).

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::NodeArgs;
use crate::exit::{Code, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::quantity::{field, text};

/// Commands of `upgrade`.
#[derive(Subcommand, Debug)]
pub(crate) enum UpgradeCommand {
    /// Show each validator's program, and who would stop at a protocol version
    Status(StatusArgs),
}

/// Arguments of `upgrade status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser upgrade status
  hawser upgrade status --to 3 --rpc http://10.0.0.1:8545

Validators say over their links which program they run. Without --to the version that is agreed on is
meant, or else the one after the present. Ends with 0 when every validator is ready or there is nothing to
do, with 1 otherwise.")]
pub(crate) struct StatusArgs {
    /// The protocol version to be ready for
    #[arg(long, value_name = "VERSION")]
    to: Option<u32>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub(crate) async fn run(command: &UpgradeCommand, output: Output, lang: Lang) -> Result<()> {
    let UpgradeCommand::Status(args) = command;
    let status = args.node.client()?.call("hawser_status", json!([])).await?;
    let Some(report) = report(&status, args.to.map(u64::from)) else {
        return fail(
            Code::Refused,
            lang.pick(
                "this node's program is older and does not report its validators; ask one that is upgraded",
                "该节点的程序较旧，不报告验证者情况；请询问已升级的节点",
            ),
        );
    };
    let all_ready = report.stopping.is_empty() && report.unknown.is_empty();
    output.print(&report.value, |_| report.table(lang))?;
    if all_ready || report.nothing_ahead {
        return Ok(());
    }
    // The table has said who and why.
    let version = report.version;
    fail(
        Code::Failed,
        match lang {
            Lang::En => format!("not every validator is ready for protocol version {version}"),
            Lang::Zh => format!("并非所有验证者都已为协议版本 {version} 就绪"),
        },
    )
}

/// Who would stop at a protocol version, if the chain would stand still with that: in words.
pub(crate) fn standstill(status: &Value, version: u64, lang: Lang) -> Option<String> {
    let report = report(status, Some(version))?;
    (report.ready_weight < report.quorum).then(|| report.verdict(lang))
}

/// What one node knows of all validators.
struct Report {
    version: u64,
    value: Value,
    rows: Vec<Row>,
    stopping: Vec<String>,
    unknown: Vec<String>,
    ready_weight: u64,
    quorum: u64,
    /// Nobody asked for a version, none is agreed on, and no validator's program has a later one.
    nothing_ahead: bool,
}

struct Row {
    name: String,
    weight: u64,
    program: String,
    newest: Option<u64>,
    silent_s: Option<u64>,
    by: &'static str,
}

/// Makes a report of what `hawser_status` says; `None` where it does not say.
fn report(status: &Value, to: Option<u64>) -> Option<Report> {
    let protocol = status.get("protocol")?;
    let states = status.get("validatorStates")?.as_array()?;
    let current = field(protocol, "current")?;
    let pending = field(protocol, "pending");
    let version = to.or(pending).unwrap_or_else(|| current.saturating_add(1));
    let mut report = Report {
        version,
        value: Value::Null,
        rows: Vec::new(),
        stopping: Vec::new(),
        unknown: Vec::new(),
        ready_weight: 0,
        quorum: 0,
        nothing_ahead: to.or(pending).is_none(),
    };
    let mut total = 0u64;
    for one in states {
        let name = match text(one, "name") {
            "" => text(one, "address"),
            name => name,
        };
        let (weight, newest) = (field(one, "weight")?, field(one, "protocol"));
        total = total.saturating_add(weight);
        report.nothing_ahead &= newest.is_none_or(|newest| newest <= current);
        match newest {
            Some(newest) if newest >= version => {
                report.ready_weight = report.ready_weight.saturating_add(weight);
            }
            Some(_) => report.stopping.push(name.to_owned()),
            None => report.unknown.push(name.to_owned()),
        }
        let truth = |name: &str| one.get(name).and_then(Value::as_bool).unwrap_or(false);
        report.rows.push(Row {
            name: name.to_owned(),
            weight,
            program: text(one, "program").to_owned(),
            newest,
            silent_s: field(one, "silentMs").map(|ms| ms / 1_000),
            by: match (truth("own"), truth("confirmed"), newest.is_some()) {
                (true, ..) => "self",
                (_, true, true) => "votes",
                (_, false, true) => "claim",
                _ => "",
            },
        });
    }
    let quorum = u128::from(total) * 2 / 3 + 1;
    report.quorum = u64::try_from(quorum).unwrap_or(u64::MAX);
    report.value = json!({
        "protocol": protocol,
        "to": version,
        "validators": states,
        "nothingToDo": report.nothing_ahead,
        "ready": report.stopping.is_empty() && report.unknown.is_empty(),
        "readyWeight": report.ready_weight,
        "quorumWeight": report.quorum,
        "wouldStop": report.stopping,
        "unknown": report.unknown,
    });
    Some(report)
}

impl Report {
    fn table(&self, lang: Lang) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let verdict = match row.newest {
                    Some(_) if self.nothing_ahead => "",
                    Some(newest) if newest >= self.version => lang.pick("ready", "就绪"),
                    Some(_) => lang.pick("WOULD STOP", "将停止"),
                    None => lang.pick("unknown", "不明"),
                };
                let heard = match (row.silent_s, lang) {
                    (None, _) => lang.pick("heard", "正常").to_owned(),
                    (Some(s), Lang::En) => format!("silent for {s} s"),
                    (Some(s), Lang::Zh) => format!("{s} 秒无消息"),
                };
                let by = match row.by {
                    "self" => lang.pick("this node", "本节点"),
                    "votes" => lang.pick("link of its votes", "其投票所在链路"),
                    "claim" => lang.pick("a peer says so", "对等节点自称"),
                    _ => "",
                };
                vec![
                    row.name.clone(),
                    row.weight.to_string(),
                    row.program.clone(),
                    row.newest.map(|one| one.to_string()).unwrap_or_default(),
                    heard,
                    by.to_owned(),
                    verdict.to_owned(),
                ]
            })
            .collect();
        let head = match lang {
            Lang::En => [
                "validator",
                "weight",
                "program",
                "newest protocol",
                "votes",
                "known by",
                "verdict",
            ],
            Lang::Zh => [
                "验证者",
                "权重",
                "程序",
                "支持的最新协议",
                "投票",
                "信息来源",
                "结论",
            ],
        };
        let protocol = self.value.get("protocol").unwrap_or(&Value::Null);
        let current = field(protocol, "current").unwrap_or(0);
        if self.nothing_ahead {
            let table = output::table(&head, &rows);
            return match lang {
                Lang::En => format!(
                    "The chain runs protocol version {current}; no other is agreed on, and no validator's \
                     program has a later one. There is nothing to do.\n\n{table}"
                ),
                Lang::Zh => format!(
                    "链当前运行协议版本 {current}；尚未商定其他版本，也没有验证者的程序支持更新的版本。无需任何操作。\n\n{table}"
                ),
            };
        }
        let mut out = match (lang, field(protocol, "pendingFrom")) {
            (Lang::En, Some(from)) => format!(
                "The chain runs protocol version {current}; version {} begins at block {from}.\n\n",
                self.version
            ),
            (Lang::Zh, Some(from)) => format!(
                "链当前运行协议版本 {current}；版本 {} 自区块 {from} 起生效。\n\n",
                self.version
            ),
            (Lang::En, None) => format!(
                "The chain runs protocol version {current}; no other is agreed on. Asked for: version {}.\n\n",
                self.version
            ),
            (Lang::Zh, None) => format!(
                "链当前运行协议版本 {current}；尚未商定其他版本。查询版本：{}。\n\n",
                self.version
            ),
        };
        out.push_str(&output::table(&head, &rows));
        out.push('\n');
        out.push_str(&self.verdict(lang));
        out
    }

    fn verdict(&self, lang: Lang) -> String {
        let (version, ready, quorum) = (self.version, self.ready_weight, self.quorum);
        let all = |list: &[String]| list.join(", ");
        if self.stopping.is_empty() && self.unknown.is_empty() {
            return match lang {
                Lang::En => format!("Every validator is ready for protocol version {version}."),
                Lang::Zh => format!("所有验证者都已为协议版本 {version} 就绪。"),
            };
        }
        let mut out = String::new();
        if !self.stopping.is_empty() {
            let names = all(&self.stopping);
            out.push_str(&match lang {
                Lang::En => format!(
                    "{names} would stop where version {version} begins: install a newer program there first. "
                ),
                Lang::Zh => {
                    format!("{names} 将在版本 {version} 生效处停止：请先在其上安装新版程序。")
                }
            });
        }
        if !self.unknown.is_empty() {
            let names = all(&self.unknown);
            out.push_str(&match lang {
                Lang::En => format!(
                    "Nothing is known of {names}: no link to it from this node, or a program that does not say. "
                ),
                Lang::Zh => format!("{names} 情况不明：本节点与其没有链路，或其程序不报告版本。"),
            });
        }
        let enough = ready >= quorum;
        out.push_str(&match (lang, enough) {
            (Lang::En, true) => format!(
                "The chain would go on: weight {ready} is ready, {quorum} is needed"
            ),
            (Lang::En, false) => format!(
                "THE CHAIN WOULD STAND STILL: weight {ready} is known to be ready, {quorum} is needed"
            ),
            (Lang::Zh, true) => format!("链可以继续：就绪权重 {ready}，需要 {quorum}"),
            (Lang::Zh, false) => format!("链将停止出块：已知就绪权重 {ready}，需要 {quorum}"),
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(protocols: &[Option<u64>]) -> Value {
        let states: Vec<_> = protocols
            .iter()
            .enumerate()
            .map(|(i, newest)| {
                json!({
                    "address": "0x1", "name": format!("v{i}"), "weight": 1, "own": i == 0,
                    "confirmed": true, "program": newest.map(|_| "0.1.0"), "protocol": newest,
                    "silentMs": null,
                })
            })
            .collect();
        json!({
            "protocol": { "current": 1, "newest": 2, "pending": null, "pendingFrom": null },
            "validatorStates": states,
        })
    }

    #[test]
    fn who_would_stop_is_named_and_whether_the_chain_goes_on() {
        let status = status(&[Some(2), Some(2), Some(2), Some(1)]);
        let told = report(&status, None).unwrap();
        assert_eq!((told.version, told.ready_weight, told.quorum), (2, 3, 3));
        assert_eq!(told.stopping, ["v3"]);
        let words = told.verdict(Lang::En);
        assert!(
            words.contains("v3 would stop") && words.contains("would go on"),
            "{words}"
        );
        let chinese = told.table(Lang::Zh);
        assert!(chinese.contains("将停止"), "{chinese}");
        assert_eq!(standstill(&status, 2, Lang::En), None);
        let stops = standstill(&status, 3, Lang::En).unwrap();
        assert!(stops.contains("v0, v1, v2, v3 would stop"), "{stops}");
        let later = report(&status, Some(3)).unwrap();
        assert!(later.verdict(Lang::En).contains("STAND STILL"));
        let present = report(&status, Some(1)).unwrap();
        assert!(
            present
                .verdict(Lang::En)
                .starts_with("Every validator is ready")
        );
    }

    #[test]
    fn a_version_that_is_agreed_on_is_the_one_that_is_meant() {
        let mut status = status(&[Some(2), None]);
        status["protocol"]["pending"] = json!(5);
        status["protocol"]["pendingFrom"] = json!(90);
        let told = report(&status, None).unwrap();
        assert_eq!(told.version, 5);
        assert_eq!((told.stopping.len(), told.unknown.len()), (1, 1));
        assert!(
            told.table(Lang::En)
                .contains("version 5 begins at block 90")
        );
    }

    #[test]
    fn where_no_later_version_is_known_there_is_nothing_to_do() {
        let status = status(&[Some(1), Some(1), None, Some(1)]);
        let told = report(&status, None).unwrap();
        assert!(told.nothing_ahead);
        assert!(told.table(Lang::En).contains("nothing to do"));
        assert!(!told.table(Lang::En).contains("WOULD STOP"));
        assert!(!report(&status, Some(2)).unwrap().nothing_ahead);
    }

    #[test]
    fn an_older_node_has_no_report() {
        assert!(report(&json!({ "height": 1 }), None).is_none());
    }
}
