//! `hawser doctor`: what is wrong, in words, and what to do.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use hawser_node::config::{CredentialKind, NetworkSection};
use hawser_pki::Moment;
use serde_json::json;

use crate::client::Client;
use crate::commands::start::machine::disk_now;
use crate::exit::{Code, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::local::survey::{self, NodeReport, State};
use crate::local::{HomeArgs, LocalNode, spawn};
use crate::output::Output;
use crate::quantity::{counted, utc};
use crate::tls::TlsArgs;

/// Seconds by which clocks may differ before it is worth a word; they are read to a second.
const CLOCK_SECONDS_MAX: i64 = 2;
/// Blocks that a node may be behind without being called late: what is decided while it is asked.
const LAG_MAX: u64 = 5;

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser doctor
  hawser doctor --node http://10.0.0.1:8545 --node http://10.0.0.2:8545

Ends with 0 when nothing is wrong, with 1 otherwise.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// JSON-RPC address of a node, instead of the local network; may be repeated
    #[arg(long, value_name = "URL")]
    node: Vec<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Runs the command.
pub(crate) async fn run(args: &DoctorArgs, output: Output, lang: Lang) -> Result<()> {
    let timeout = Duration::from_secs(5);
    let (reports, mut findings) = if args.node.is_empty() {
        let (nodes, unreadable) = args.home.home().readable_nodes()?;
        let reports = survey::ask_all(&nodes, timeout).await;
        let unreadable = unreadable.into_iter().map(|failure| failure.message);
        let mut findings: Vec<_> = unreadable.collect();
        for (node, report) in nodes.iter().zip(&reports) {
            findings.extend(local(node, report, lang));
        }
        (reports, findings)
    } else {
        let mut reports = Vec::new();
        for url in &args.node {
            reports.push(remote(url, timeout, &args.tls).await);
        }
        let unreachable = reports.iter().filter_map(|report| {
            let problem = report.problem.as_ref()?;
            Some(format!("{}: {problem}", report.name))
        });
        let findings = unreachable.collect();
        (reports, findings)
    };
    findings.extend(together(&reports, lang));
    let healthy = findings.is_empty();
    // What waits for people, and is nothing to be mended.
    let remarks = proposals(&reports, lang);
    let value = json!({
        "healthy": healthy, "findings": findings, "remarks": remarks, "nodes": reports,
    });
    output.print(&value, |_| {
        if healthy {
            let height = reports
                .iter()
                .filter_map(|report| report.height)
                .max()
                .unwrap_or(0);
            let well = match lang {
                Lang::En if reports.len() == 1 => {
                    format!("The one node is well, at height {height}.\n")
                }
                Lang::En => format!(
                    "All {} nodes are well, at height {height}.\n",
                    reports.len()
                ),
                Lang::Zh => format!("{} 个节点全部正常，高度 {height}。\n", reports.len()),
            };
            return well + &lines(&remarks);
        }
        lines(&findings) + &lines(&remarks)
    })?;
    if healthy {
        Ok(())
    } else {
        fail(
            Code::Failed,
            match lang {
                Lang::En => counted(findings.len(), "finding"),
                Lang::Zh => format!("发现 {} 个问题", findings.len()),
            },
        )
    }
}

fn lines(all: &[String]) -> String {
    all.iter().map(|one| format!("- {one}\n")).collect()
}

/// Proposals that wait for votes, or for being put into effect.
fn proposals(reports: &[NodeReport], lang: Lang) -> Vec<String> {
    let all: BTreeSet<_> = reports
        .iter()
        .flat_map(|report| &report.proposals)
        .collect();
    all.into_iter()
        .map(|one| {
            let (id, title, closes) = (one.id, &one.title, utc(one.closes_ms));
            match (lang, one.status == "open") {
                (Lang::En, true) => format!(
                    "proposal {id} ({title}) waits for votes until {closes}: `hawser gov show {id}`, then `hawser gov vote`"
                ),
                (Lang::En, false) => format!(
                    "proposal {id} ({title}) has passed and waits for being put into effect: `hawser gov execute {id}`"
                ),
                (Lang::Zh, true) => format!(
                    "提案 {id}（{title}）等待投票，截至 {closes}：`hawser gov show {id}`，再用 `hawser gov vote` 投票"
                ),
                (Lang::Zh, false) => format!(
                    "提案 {id}（{title}）已通过，等待执行：`hawser gov execute {id}`"
                ),
            }
        })
        .collect()
}

async fn remote(url: &str, timeout: Duration, tls: &TlsArgs) -> NodeReport {
    let mut report = NodeReport {
        name: url.to_owned(),
        state: State::Silent,
        pid: None,
        height: None,
        hash: None,
        executed: None,
        first_height: None,
        lag: None,
        peers: None,
        peers_configured: 0,
        configured: BTreeSet::new(),
        configured_linked: None,
        pending: None,
        queued: None,
        chain_id: None,
        genesis: None,
        version: None,
        rpc: Some(url.to_owned()),
        cipher_suites: Vec::new(),
        clock_ahead_s: None,
        waiting: Vec::new(),
        protocol_newest: None,
        proposals: Vec::new(),
        problem: None,
    };
    match Client::new(url, timeout, || tls.open()) {
        Ok(client) => survey::question(&mut report, &client).await,
        Err(failure) => report.problem = Some(failure.message),
    }
    report
}

/// The error with which a node ended: the last line of its log, if it is one.
fn ended_with(log: &Path) -> Option<String> {
    let last = files::last_lines(log, 0, 1);
    let (_, error) = last.split_once("error: ")?;
    Some(error.trim_end_matches('.').to_owned())
}

/// What is wrong with one node of this machine.
fn local(node: &LocalNode, report: &NodeReport, lang: Lang) -> Vec<String> {
    let name = &report.name;
    let mut findings = Vec::new();
    match report.state {
        State::Stopped => {
            let log = node.log_path();
            findings.push(match (lang, ended_with(&log)) {
                (Lang::En, None) => format!(
                    "{name} does not run. `hawser up` starts it; its log is {}",
                    log.display()
                ),
                (Lang::En, Some(error)) => format!(
                    "{name} does not run. It ended with: {error}. Its log is {}",
                    log.display()
                ),
                (Lang::Zh, None) => format!(
                    "{name} 未运行。`hawser up` 可启动它；日志在 {}",
                    log.display()
                ),
                (Lang::Zh, Some(error)) => {
                    format!("{name} 未运行。退出原因：{error}。日志在 {}", log.display())
                }
            });
            if let Err(failure) = spawn::check_ports(node) {
                findings.push(failure.message);
            }
        }
        State::Silent => findings.push(match lang {
            Lang::En => format!(
                "{name} runs and does not answer: {}. If this lasts, look at {}",
                report.problem.as_deref().unwrap_or("no reason known"),
                node.log_path().display()
            ),
            Lang::Zh => format!(
                "{name} 在运行但无应答：{}。若持续如此，请查看 {}",
                report.problem.as_deref().unwrap_or("原因未知"),
                node.log_path().display()
            ),
        }),
        State::Ready | State::Waiting => {}
    }
    if !report.answered() {
        // One that runs says these itself.
        let zh = lang == Lang::Zh;
        let disk = disk_now(&node.config.node.data_dir);
        findings.extend(disk.map(|words| format!("{name}: {}", words.pick(zh))));
        let network = &node.config.network;
        findings.extend(certificate(name, network, Moment::now(), lang));
    }
    findings
}

/// Days before the end of a certificate at which it is worth a word.
const CERTIFICATE_DAYS: u32 = 30;

/// A certificate of the node's links that ends soon, or has.
pub(crate) fn certificate(
    name: &str,
    network: &NetworkSection,
    now: Moment,
    lang: Lang,
) -> Option<String> {
    if network.credential != CredentialKind::Certificate {
        return None;
    }
    let path = network.certificate.as_ref()?;
    let text = files::read_text(path, hawser_pki::limits::FILE_BYTES_MAX as u64).ok()?;
    let end = hawser_pki::Certificate::from_pem(&text).ok()?.not_after();
    ending(name, path, end, now, lang)
}

fn ending(name: &str, path: &Path, end: Moment, now: Moment, lang: Lang) -> Option<String> {
    if now.plus_days(CERTIFICATE_DAYS) < end {
        return None;
    }
    let path = path.display();
    Some(match (lang, now > end) {
        (Lang::En, true) => format!(
            "the certificate of {name} expired at {end}, so it has no links; renew it with `hawser cert renew` and write it to {path}"
        ),
        (Lang::En, false) => format!(
            "the certificate of {name} expires at {end}; renew it with `hawser cert renew` and write it to {path}, no restart is needed"
        ),
        (Lang::Zh, true) => format!(
            "{name} 的证书已于 {end} 过期，链路已断；请用 `hawser cert renew` 续期并写入 {path}"
        ),
        (Lang::Zh, false) => format!(
            "{name} 的证书将于 {end} 过期；请用 `hawser cert renew` 续期并写入 {path}，无需重启"
        ),
    })
}

/// What is wrong with the nodes taken together, and what they say themselves.
fn together(reports: &[NodeReport], lang: Lang) -> Vec<String> {
    let mut findings = Vec::new();
    for report in reports {
        findings.extend(
            report
                .waiting
                .iter()
                .map(|reason| format!("{}: {reason}", report.name)),
        );
        if let Some(lag) = report.lag.filter(|lag| *lag > LAG_MAX) {
            findings.push(match lang {
                Lang::En => format!("{} is {lag} blocks behind the others; it catches up by itself while it has peers", report.name),
                Lang::Zh => format!("{} 落后 {lag} 个区块；只要有对等节点，它会自行追赶", report.name),
            });
        }
    }
    let distinct = |value: fn(&NodeReport) -> Option<&String>| -> BTreeSet<&String> {
        reports.iter().filter_map(value).collect()
    };
    if distinct(|report| report.genesis.as_ref()).len() > 1 {
        let of =
            |report: &NodeReport| Some(format!("{} {}", report.name, report.genesis.as_ref()?));
        let list: Vec<_> = reports.iter().filter_map(of).collect();
        findings.push(match lang {
            Lang::En => format!(
                "the nodes are on different chains; give all the same genesis.json: {}",
                list.join(", ")
            ),
            Lang::Zh => format!(
                "节点不在同一条链上；请使用相同的 genesis.json：{}",
                list.join("，")
            ),
        });
    }
    let versions = distinct(|report| report.version.as_ref());
    if versions.len() > 1 {
        let list: Vec<_> = versions.into_iter().map(String::as_str).collect();
        findings.push(match lang {
            Lang::En => format!(
                "the nodes run different versions ({}); bring all to one",
                list.join(", ")
            ),
            Lang::Zh => format!("节点版本不一致（{}）；请统一版本", list.join("，")),
        });
    }
    findings.extend(protocols(reports, lang));
    findings.extend(clocks(reports, lang));
    let heights: BTreeSet<_> = reports.iter().filter_map(|report| report.height).collect();
    for height in heights {
        let at = |report: &&NodeReport| report.height == Some(height);
        let hashes: BTreeSet<_> = reports
            .iter()
            .filter(at)
            .filter_map(|r| r.hash.as_ref())
            .collect();
        let same_chain = distinct(|report| report.genesis.as_ref()).len() <= 1;
        if hashes.len() > 1 && same_chain {
            findings.push(match lang {
                Lang::En => format!("the nodes have different blocks at height {height}: stop relying on them and compare their data folders and versions"),
                Lang::Zh => format!("节点在高度 {height} 的区块不同：请停止依赖这些节点，并比较其数据目录和版本"),
            });
        }
    }
    findings
}

/// Programs that run different protocol versions.
fn protocols(reports: &[NodeReport], lang: Lang) -> Option<String> {
    let known: Vec<_> = reports
        .iter()
        .filter_map(|report| Some((report.protocol_newest?, report.name.as_str())))
        .collect();
    let newest = known.iter().map(|(newest, _)| *newest).max()?;
    let behind: Vec<_> = known
        .iter()
        .filter(|(its, _)| *its < newest)
        .map(|(its, name)| format!("{name} {its}"))
        .collect();
    if behind.is_empty() {
        return None;
    }
    let list = behind.join(", ");
    Some(match lang {
        Lang::En => format!(
            "the programs run protocol versions up to {newest}, those of some nodes only up to: {list}. Upgrade these before a later version is put to the vote; `hawser upgrade status` shows all validators"
        ),
        Lang::Zh => format!(
            "程序支持的协议版本最高为 {newest}，部分节点只到：{list}。请在表决更高版本之前升级它们；`hawser upgrade status` 显示所有验证者"
        ),
    })
}

/// Clocks that differ from each other, or all of them from this machine's.
fn clocks(reports: &[NodeReport], lang: Lang) -> Option<String> {
    let ahead: Vec<_> = reports
        .iter()
        .filter_map(|report| Some((report.clock_ahead_s?, report.name.as_str())))
        .collect();
    let most = ahead.iter().map(|(ahead, _)| *ahead).max()?;
    let least = ahead.iter().map(|(ahead, _)| *ahead).min()?;
    let off = most.saturating_sub(least) > CLOCK_SECONDS_MAX;
    if !off && most.abs() <= CLOCK_SECONDS_MAX {
        return None;
    }
    let list: Vec<_> = ahead
        .iter()
        .map(|(ahead, name)| match lang {
            Lang::En => format!("{name} {ahead:+} s"),
            Lang::Zh => format!("{name} {ahead:+} 秒"),
        })
        .collect();
    Some(match (lang, off) {
        (Lang::En, true) => format!(
            "the clocks of the nodes differ (against this machine: {}). Blocks of a clock that is ahead are refused, and its certificates and signatures are not believed. Set the clocks by NTP: `timedatectl set-ntp true`, then `chronyc tracking` on each",
            list.join(", ")
        ),
        (Lang::En, false) => format!(
            "the clock of this machine is wrong, or those of all nodes are (nodes against this machine: {}). Compare `date -u` with a watch, and set the wrong one by NTP: `timedatectl set-ntp true`",
            list.join(", ")
        ),
        (Lang::Zh, true) => format!(
            "各节点时钟不一致（相对本机：{}）。时钟偏快的节点所提区块会被拒绝，其证书和签名也不被信任。请用 NTP 校时：在各节点执行 `timedatectl set-ntp true`，再用 `chronyc tracking` 查看",
            list.join("，")
        ),
        (Lang::Zh, false) => format!(
            "本机时钟有误，或全部节点的时钟有误（节点相对本机：{}）。请用 `date -u` 与标准时间核对，并用 NTP 校时：`timedatectl set-ntp true`",
            list.join("，")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well(name: &str) -> NodeReport {
        NodeReport {
            state: State::Ready,
            height: Some(10),
            lag: Some(0),
            hash: Some("0xaa".to_owned()),
            genesis: Some("0x1".to_owned()),
            version: Some("1".to_owned()),
            ..survey::blank(name)
        }
    }

    #[test]
    fn the_error_that_a_node_ended_with_is_its_last_line_and_nothing_before() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("hawser.log");
        let told = |lines: &str| {
            std::fs::write(&log, lines).unwrap();
            ended_with(&log)
        };
        let stopped = "2026-11-22T10:00:00Z error: chain 7 stopped: install a newer program.\n";
        assert_eq!(
            told(&format!("starts\n{stopped}")).as_deref(),
            Some("chain 7 stopped: install a newer program")
        );
        assert_eq!(told(&format!("{stopped}starts\nstops\n")), None);
        assert_eq!(ended_with(&dir.path().join("none")), None);
    }

    #[test]
    fn nodes_in_agreement_give_no_findings() {
        assert_eq!(
            together(&[well("a"), well("b")], Lang::En),
            Vec::<String>::new()
        );
        let late = NodeReport {
            lag: Some(LAG_MAX),
            height: Some(5),
            ..well("b")
        };
        assert!(together(&[well("a"), late], Lang::En).is_empty());
    }

    #[test]
    fn wrong_clocks_are_told_from_right_ones() {
        let at = |name: &str, ahead| NodeReport {
            clock_ahead_s: Some(ahead),
            ..well(name)
        };
        for (one, two, words) in [
            (0, CLOCK_SECONDS_MAX, None),
            (-1, 1, None),
            (0, CLOCK_SECONDS_MAX + 1, Some("clocks of the nodes differ")),
            (-40, -40, Some("clock of this machine is wrong")),
            (-2, -2, None),
            (3, 3, Some("clock of this machine is wrong")),
        ] {
            let findings = together(&[at("a", one), at("b", two)], Lang::En);
            let found = findings
                .iter()
                .any(|f| words.is_some_and(|words| f.contains(words)));
            assert_eq!(found, words.is_some(), "{one} {two}: {findings:?}");
            assert_eq!(findings.len(), usize::from(found));
        }
        let chinese = clocks(&[at("a", 0), at("b", 60)], Lang::Zh).unwrap();
        assert!(chinese.contains("b +60 秒"), "{chinese}");
    }

    #[test]
    fn proposals_under_way_are_remarks_told_once() {
        let proposal = |id, status: &str| survey::Proposal {
            id,
            title: "new member".to_owned(),
            status: status.to_owned(),
            closes_ms: 1_000,
        };
        let node = NodeReport {
            proposals: vec![proposal(7, "open"), proposal(6, "passed")],
            ..well("a")
        };
        let both = [node.clone(), node];
        assert!(together(&both, Lang::En).is_empty(), "no illness");
        let remarks = proposals(&both, Lang::En);
        assert_eq!(remarks.len(), 2);
        assert!(remarks[0].contains("gov execute 6"), "{remarks:?}");
        assert!(remarks[1].contains("waits for votes until 1970-01-01"));
        assert!(proposals(&both, Lang::Zh)[1].contains("等待投票"));
    }

    #[test]
    fn programs_that_would_stop_at_a_later_protocol_are_named() {
        let of = |name: &str, newest| NodeReport {
            protocol_newest: newest,
            ..well(name)
        };
        let same = [of("a", Some(2)), of("b", Some(2)), of("c", None)];
        assert_eq!(protocols(&same, Lang::En), None);
        let mixed = [of("a", Some(2)), of("b", Some(1))];
        let words = protocols(&mixed, Lang::En).unwrap();
        assert!(
            words.contains("up to 2") && words.contains("b 1"),
            "{words}"
        );
        assert!(protocols(&mixed, Lang::Zh).unwrap().contains("b 1"));
    }

    #[test]
    fn certificates_that_end_within_a_month_are_named() {
        let now = Moment(1_000_000_000);
        let finding = |end| ending("a", Path::new("node.pem"), end, now, Lang::En);
        let month = now.plus_days(CERTIFICATE_DAYS);
        assert_eq!(finding(month.plus_seconds(1)), None);
        assert!(finding(month).unwrap().contains("expires at"));
        assert!(finding(now).unwrap().contains("expires at"));
        assert!(
            finding(now.minus_seconds(1))
                .unwrap()
                .contains("expired at")
        );
    }

    #[test]
    fn each_disagreement_is_named() {
        let cases: [(NodeReport, &str); 5] = [
            (
                NodeReport {
                    lag: Some(LAG_MAX + 1),
                    height: Some(4),
                    ..well("b")
                },
                "6 blocks behind",
            ),
            (
                NodeReport {
                    genesis: Some("0x2".into()),
                    ..well("b")
                },
                "different chains",
            ),
            (
                NodeReport {
                    version: Some("2".into()),
                    ..well("b")
                },
                "different versions",
            ),
            (
                NodeReport {
                    hash: Some("0xbb".into()),
                    ..well("b")
                },
                "different blocks at height 10",
            ),
            (
                NodeReport {
                    waiting: vec!["links: alone".into()],
                    ..well("b")
                },
                "b: links: alone",
            ),
        ];
        for (ill, words) in cases {
            let findings = together(&[well("a"), ill], Lang::En);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].contains(words), "{findings:?}");
        }
    }
}
