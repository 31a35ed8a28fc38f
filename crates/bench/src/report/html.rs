//! The page: one file without scripts, in both languages, light and dark.

use std::fmt::Write;

use super::{
    svg::{self, Line, escape},
    tables::{Both, both, figures, method, settings},
};
use crate::{
    Language,
    compare::number,
    faults::FaultReport,
    measure::{
        indices::Index,
        model::{MeasureReport, Saturation, WorkloadRun},
    },
    sample::Memory,
};

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--fg:#1b2430;--soft:#5b6775;--line:#dfe4ea;--bad:#b42318;\
--c0:#1f6feb;--c1:#d9730d;--c2:#2a9d62;--c3:#9b51e0;--c4:#c2255c;--c5:#0b7285}\
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e6eaf0;--soft:#9aa7b5;--line:#2c3540;--bad:#ff8a7a;\
--c0:#6ea8fe;--c1:#ffa94d;--c2:#63d297;--c3:#c79bff;--c4:#ff8fb1;--c5:#66d9e8}}\
body{margin:0 auto;max-width:60rem;padding:1.5rem;background:var(--bg);color:var(--fg);\
font:16px/1.5 system-ui,'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif}\
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}h3{margin-bottom:.3rem}\
table{border-collapse:collapse;width:100%;margin:.6rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid \
var(--line);text-align:left;vertical-align:top}td.n{text-align:right;white-space:nowrap}\
small,.soft{color:var(--soft)}.void{color:var(--bad);font-weight:600}\
svg{width:100%;height:auto;font:11px system-ui,sans-serif}svg text{fill:var(--soft)}\
.grid{stroke:var(--line)}.mark{stroke:var(--bad);stroke-dasharray:4 3}polyline{fill:none;stroke-width:1.6}\
.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}\
.c5{stroke:var(--c5)}.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}\
.f4{fill:var(--c4)}.f5{fill:var(--c5)}\
.pick{position:absolute;opacity:0}label{cursor:pointer;margin-right:1rem;color:var(--soft)}\
#en:checked~main .zh,#zh:checked~main .en{display:none}\
#en:checked~nav [for=en],#zh:checked~nav [for=zh]{color:var(--fg);font-weight:600}\
#en:focus-visible~nav [for=en],#zh:focus-visible~nav [for=zh]{outline:2px solid var(--c0)}";

/// A text in both languages, of which the page shows one.
fn say(text: &Both) -> String {
    if text.0 == text.1 {
        return escape(&text.0);
    }
    format!(
        r#"<span class="en">{}</span><span class="zh" lang="zh">{}</span>"#,
        escape(&text.0),
        escape(&text.1)
    )
}

fn tell(en: &str, zh: &str) -> String {
    say(&both(en, zh))
}

/// The whole page; it opens in `language`.
pub(super) fn page(report: &MeasureReport, language: Language) -> String {
    let chosen = |own| if language == own { " checked" } else { "" };
    let lang = language.pick("en", "zh");
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>hawser bench</title>\
         <style>{STYLE}</style></head><body>\
         <input class=\"pick\" type=\"radio\" name=\"l\" id=\"en\"{}>\
         <input class=\"pick\" type=\"radio\" name=\"l\" id=\"zh\"{}>\
         <nav><label for=\"en\">English</label><label for=\"zh\" lang=\"zh\">中文</label></nav><main>",
        chosen(Language::En),
        chosen(Language::Zh)
    );
    let _ = write!(
        out,
        "<h1>{}</h1>",
        tell("Benchmark of a Hawser network", "Hawser 网络性能测试报告")
    );
    if let Some(reason) = &report.void_because {
        let _ = write!(
            out,
            "<p class=\"void\">{}: {}</p>",
            tell("Void", "无效"),
            escape(reason)
        );
    }
    if report.quick {
        let _ = write!(
            out,
            "<p class=\"void\">{}</p>",
            tell(
                "A quick run tries the instrument; these figures measure nothing.",
                "快速模式仅用于试运行；以下数字不构成测量结果。"
            )
        );
    }
    for run in &report.runs {
        section(&mut out, run);
    }
    let _ = write!(out, "<h2>{}</h2><table>", tell("How", "测试条件"));
    for row in settings(report) {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td></tr>",
            say(&row.name),
            escape(&row.value)
        );
    }
    out.push_str("</table>");
    for text in method() {
        let _ = write!(out, "<p><small>{}</small></p>", say(&text));
    }
    out.push_str("</main></body></html>\n");
    out
}

fn section(out: &mut String, run: &WorkloadRun) {
    let _ = write!(
        out,
        "<h2>{} · {}</h2><p class=\"soft\">{} · {} {}</p><table>",
        run.suite,
        escape(&run.workload),
        escape(&run.envelope),
        run.validators,
        tell("validators", "个验证节点")
    );
    for row in figures(run) {
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td></tr>",
            say(&row.name),
            escape(&row.value)
        );
    }
    out.push_str("</table>");
    if let Some(saturation) = &run.saturation {
        saturated(out, saturation);
    }
    if run.levels.len() > 1 {
        latencies(out, run);
    }
    if let Some(overload) = &run.overload {
        heading(out, "Overload: executed per second", "过载：每秒执行交易数");
        let executed = overload.executed.iter().map(|second| second.executed);
        out.push_str(&over_time("overload", executed, &[overload.seconds]));
        memory(out, &overload.memory);
    }
    for fault in &run.faults {
        faulty(out, fault);
    }
    refused(out, run);
    indices(out, &run.indices);
}

fn heading(out: &mut String, en: &str, zh: &str) {
    let _ = write!(out, "<h3>{}</h3>", tell(en, zh));
}

fn over_time(label: &str, executed: impl Iterator<Item = u64>, marks: &[f64]) -> String {
    let line = Line {
        name: label.to_owned(),
        points: executed
            .enumerate()
            .map(|(second, count)| (second as f64, count as f64))
            .collect(),
    };
    svg::lines(label, "tx/s", "s", &[line], marks)
}

fn saturated(out: &mut String, saturation: &Saturation) {
    heading(
        out,
        "Saturation: executed per second",
        "饱和负载：每秒执行交易数",
    );
    let executed = saturation.seconds.iter().map(|second| second.executed);
    out.push_str(&over_time("saturation", executed, &[]));
    let Some(nodes) = &saturation.nodes else {
        return;
    };
    heading(
        out,
        "Processor time per transaction and validator, by stage",
        "每笔交易每验证节点的处理器时间（按阶段）",
    );
    let rows: Vec<_> = nodes
        .stages
        .iter()
        .map(|stage| (stage.name.clone(), stage.cpu_s))
        .collect();
    out.push_str(&svg::bars("stages", "µs", &rows));
    memory(out, &nodes.memory);
}

fn memory(out: &mut String, memory: &[Memory]) {
    let count = memory.first().map_or(0, |first| first.resident.len());
    if count == 0 {
        return;
    }
    heading(out, "Resident memory of the nodes", "节点常驻内存");
    let lines: Vec<_> = (0..count.min(6))
        .map(|node| Line {
            name: format!("node{node}"),
            points: memory
                .iter()
                .filter_map(|m| {
                    let bytes = *m.resident.get(node)?;
                    Some((m.at_s, bytes as f64 / f64::from(1 << 20)))
                })
                .collect(),
        })
        .collect();
    out.push_str(&svg::lines("memory", "MiB", "s", &lines, &[]));
}

fn latencies(out: &mut String, run: &WorkloadRun) {
    heading(
        out,
        "Latency from due to final, over the load",
        "时延（应发送至最终确认）随负载的变化",
    );
    type Of = fn(&crate::stats::Percentiles) -> f64;
    let all: [(&str, Of); 3] = [
        ("p50", |l| l.p50_ms),
        ("p95", |l| l.p95_ms),
        ("p99", |l| l.p99_ms),
    ];
    let lines: Vec<_> = all
        .into_iter()
        .map(|(name, of)| Line {
            name: name.to_owned(),
            points: run
                .levels
                .iter()
                .map(|level| (f64::from(level.percent), of(&level.latency)))
                .collect(),
        })
        .collect();
    out.push_str(&svg::lines("latency", "ms", "%", &lines, &[]));
}

fn faulty(out: &mut String, fault: &FaultReport) {
    let (en, zh) = fault.fault.names();
    heading(out, en, zh);
    let executed = fault.seconds.iter().map(|second| second.executed);
    let marks = [fault.events.down_s, fault.events.up_s];
    out.push_str(&over_time(en, executed, &marks));
}

fn refused(out: &mut String, run: &WorkloadRun) {
    if run.probes.is_empty() {
        return;
    }
    heading(
        out,
        "Sent and refused, as it has to be",
        "已提交且按要求被拒绝",
    );
    out.push_str("<table>");
    for probe in &run.probes {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td></tr>",
            escape(probe.kind),
            escape(&probe.answer)
        );
    }
    out.push_str("</table>");
}

fn indices(out: &mut String, indices: &[Index]) {
    heading(
        out,
        "Indices of JR/T 0193 section 7 and CIC 2021",
        "JR/T 0193 第 7 章与 CIC 2021 指标",
    );
    out.push_str("<table>");
    for index in indices {
        let name = both(index.name, index.name_zh);
        let definition = both(index.definition, index.definition_zh);
        let value = match (index.value, index.missing, index.missing_zh) {
            (Some(value), ..) => escape(&format!("{} {}", number(value), index.unit)),
            (None, Some(en), Some(zh)) => {
                format!("{}: {}", tell("not measured", "未测量"), tell(en, zh))
            }
            _ => String::new(),
        };
        let _ = write!(
            out,
            "<tr><td>{} · {}<br><small>{}</small></td><td class=\"n\" style=\"white-space:normal\">{value}</td></tr>",
            index.standard,
            say(&name),
            say(&definition)
        );
    }
    out.push_str("</table>");
}
