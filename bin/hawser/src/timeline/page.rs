//! A timeline as one page that needs nothing else.

use std::fmt::Write as _;

use hawser_node::blackbox::timeline::Timeline;

use super::picture::{escape, svg};
use super::text::{Style, clock, verdict};
use crate::lang::Lang;
use crate::quantity::utc;

const STYLE: &str = "\
body{font:14px/1.5 system-ui,'Noto Sans SC',sans-serif;margin:24px;color:#1c2430;background:#fff}
h1{font-size:20px}h2{font-size:16px;margin-top:28px}
table{border-collapse:collapse}td,th{padding:4px 12px 4px 0;text-align:left;vertical-align:top;border-bottom:1px solid #e3e7ee}
.scroll{overflow-x:auto;border:1px solid #d5dbe5;border-radius:6px}
.problem{color:#a31621}li{margin:2px 0}
svg{font:11px system-ui,'Noto Sans SC',sans-serif;display:block}
.name{font-weight:600;fill:#1c2430}.lane{stroke:#c9d1dd}.tick{stroke:#eceff4}.time,.height{fill:#5a6678}
.even{fill:#dbe7fb}.odd{fill:#c3d6f7}.gap{fill:#f7c6c5;fill-opacity:.55}.cause{fill:#a31621;font-weight:600}
.final{stroke:#2f9e62;stroke-opacity:.6}.round{stroke:#a31621;stroke-dasharray:3 3}
.proposal{fill:#7048c6}.prevote{fill:#2f6fde}.precommit{fill:#2f9e62}.nil{fill:#fff;stroke:#a31621;stroke-width:1.5}
.held{fill:#7a8699;fill-opacity:.45}.good{fill:#2f9e62;font-size:13px}.bad{fill:#a31621;font-size:13px;font-weight:700}
.key b{font-weight:600;margin-right:14px}";

/// The page. `problems` are files that could not be read to their end.
pub(crate) fn page(timeline: &Timeline, style: Style, problems: &[String]) -> String {
    let lang = style.lang;
    let title = lang.pick("Timeline of consensus events", "共识事件时间线");
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n",
        lang.pick("en", "zh-CN")
    );
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing to a text does not fail.
        let _ = out.write_fmt(text);
        out.push('\n');
    };
    if let Some((from, to)) = timeline.span() {
        put(format_args!("<p>{} – {}</p>", utc(from.0), utc(to.0)));
    }
    for problem in problems {
        put(format_args!("<p class='problem'>{}</p>", escape(problem)));
    }
    let head = match lang {
        Lang::En => ["node", "program", "validator", "chain", "clock ahead"],
        Lang::Zh => ["节点", "程序", "验证者", "链", "时钟偏快"],
    };
    let head: Vec<_> = head.iter().map(|cell| format!("<th>{cell}</th>")).collect();
    put(format_args!("<table><tr>{}</tr>", head.concat()));
    for lane in &timeline.nodes {
        let identity = lane.identity.as_ref();
        put(format_args!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:+} ms</td></tr>",
            escape(&lane.name),
            escape(identity.map_or("", |one| one.program.as_str())),
            escape(
                &lane
                    .validator
                    .map_or_else(String::new, |who| timeline.name_of(who))
            ),
            identity
                .map(|one| one.chain.to_string())
                .unwrap_or_default(),
            lane.clock_ahead_ms
        ));
    }
    put(format_args!("</table>"));
    put(format_args!("<p class='key'>{}</p>", key(lang)));
    match svg(timeline, style) {
        Some(picture) => put(format_args!("<div class='scroll'>\n{picture}</div>")),
        None => put(format_args!(
            "<p>{}</p>",
            lang.pick("Nothing was recorded in this window.", "此时段内没有记录。")
        )),
    }
    put(format_args!(
        "<h2>{}</h2>",
        lang.pick("Heights that took long, and why", "耗时较长的高度及原因")
    ));
    let mut any = false;
    for (height, view) in &timeline.heights {
        if !timeline.is_remarkable(view, style.slow_ms) {
            continue;
        }
        any = true;
        let begins = view.begins().unwrap_or_default();
        put(format_args!(
            "<h3>{height} · {} · {}</h3><ul>",
            clock(begins),
            escape(&verdict(timeline, view, lang))
        ));
        for cause in timeline.causes(*height) {
            put(format_args!(
                "<li>{}</li>",
                escape(cause.pick(lang == Lang::Zh))
            ));
        }
        put(format_args!("</ul>"));
    }
    if !any {
        put(format_args!("<p>{}</p>", lang.pick("None.", "无。")));
    }
    out.push_str("</body></html>\n");
    out
}

/// What the signs mean.
const fn key(lang: Lang) -> &'static str {
    lang.pick(
        "<b>◆ proposal</b><b>● prevote</b><b>■ precommit</b><b>○ □ for nothing</b><b>│ final</b>\
         <b>× waited in vain</b><b>▼ ▲ link or node down, up</b><b>◷ clock set</b><b>▤ slow disk</b>\
         <b>grey: the node stood still</b><b>red: took long</b>",
        "<b>◆ 提案</b><b>● 预投票</b><b>■ 预提交</b><b>○ □ 空票</b><b>│ 终局</b><b>× 等待超时</b>\
         <b>▼ ▲ 链路或节点断开、恢复</b><b>◷ 时钟被调整</b><b>▤ 磁盘慢</b><b>灰色：节点停顿</b><b>红色：耗时长</b>",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_node::blackbox::read::Recording;
    use hawser_node::blackbox::{Entry, Member, NoteKind, What};
    use hawser_primitives::{Address, Height, Round, Time};

    fn timeline() -> Timeline {
        let entry = |at, height, what| Entry {
            at: Time(at),
            height: Height(height),
            what,
        };
        let member = Member {
            address: Address::ZERO,
            name: "<script>alert(1)</script>".to_owned(),
            weight: 1,
        };
        let round = Round(0);
        let text = "<img src=x onerror=y>".to_owned();
        let kind = NoteKind::BlockRefused;
        let entries = vec![
            entry(1_000, 1, What::Committee(vec![member])),
            entry(1_000, 1, What::Round { round, proposer: 0 }),
            entry(2_500, 1, What::Note { kind, text }),
            entry(3_000, 1, What::Held(900)),
            entry(9_000, 1, What::Executed),
        ];
        let recording = Recording {
            entries,
            ..Recording::default()
        };
        Timeline::new(&[recording], true)
    }

    #[test]
    fn a_page_needs_nothing_else_and_runs_nothing() {
        for lang in [Lang::En, Lang::Zh] {
            let style = Style {
                lang,
                slow_ms: 1_000,
                events: false,
            };
            let page = page(&timeline(), style, &["<b>x</b>".to_owned()]);
            for bad in [
                "<script", "<img", "<b>x", "<link", "href=", "url(", "@import",
            ] {
                assert!(!page.contains(bad), "{bad}: {page}");
            }
            assert!(page.contains("<svg") && page.ends_with("</body></html>\n"));
            assert!(page.contains("class='gap'"), "{page}");
            let cause = lang.pick("stood still for 900 ms", "停顿了 900 毫秒");
            assert!(page.contains(cause), "{page}");
        }
    }

    #[test]
    fn an_empty_timeline_is_a_page_too() {
        let style = Style {
            lang: Lang::En,
            slow_ms: 1,
            events: false,
        };
        assert!(page(&Timeline::default(), style, &[]).contains("Nothing was recorded"));
    }
}
