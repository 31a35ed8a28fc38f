//! A timeline for the terminal and for programs.

use hawser_node::blackbox::timeline::{HeightView, Timeline};
use hawser_primitives::{Height, Time};
use serde_json::{Value, json};

use super::words::{is_notable, kind, sentence};
use crate::lang::Lang;
use crate::output;
use crate::quantity::{counted, utc};

/// How a timeline is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) lang: Lang,
    /// Milliseconds from which on a height is worth an explanation.
    pub(crate) slow_ms: u64,
    /// Whether every single event is shown.
    pub(crate) events: bool,
}

/// The time of day, to a millisecond.
pub(super) fn clock(at: Time) -> String {
    let text = utc(at.0);
    let time = text.split(' ').nth(1).unwrap_or_default();
    time.to_owned()
}

/// Heights that are told together, as nothing is to be said of them.
#[derive(Default)]
struct Run {
    first: Option<(Height, Time)>,
    last: Option<(Height, Time)>,
    blocks: u64,
    transactions: u64,
    longest_ms: u64,
}

impl Run {
    fn add(&mut self, height: Height, view: &HeightView, at: Time) {
        self.first.get_or_insert((height, at));
        self.last = Some((height, view.ended.unwrap_or(at)));
        self.blocks = self.blocks.saturating_add(1);
        self.transactions = self
            .transactions
            .saturating_add(u64::from(view.transactions.unwrap_or(0)));
        let took = view.decided.map_or(0, |end| end.since_ms(at));
        self.longest_ms = self.longest_ms.max(took);
    }

    fn row(&self, lang: Lang) -> Option<Vec<String>> {
        let ((first, from), (last, to)) = (self.first?, self.last?);
        let heights = if first == last {
            first.to_string()
        } else {
            format!("{first}–{last}")
        };
        let (blocks, transactions) = (self.blocks, self.transactions);
        let (seconds, longest) = (to.since_ms(from), self.longest_ms);
        let seconds = format!("{}.{}", seconds / 1_000, seconds % 1_000 / 100);
        let told = match lang {
            Lang::En => format!(
                "{} in {seconds} s, {}; the longest took {longest} ms",
                counted(blocks, "block"),
                counted(transactions, "transaction")
            ),
            Lang::Zh => format!(
                "{seconds} 秒内 {blocks} 个区块，{transactions} 笔交易；最长 {longest} 毫秒"
            ),
        };
        Some(vec![clock(from), heights, String::new(), told])
    }
}

/// The lines that say whose recordings these are.
fn heading(timeline: &Timeline, lang: Lang) -> String {
    let rows: Vec<Vec<String>> = timeline
        .nodes
        .iter()
        .enumerate()
        .map(|(i, lane)| {
            let own = timeline.happenings.iter().filter(|one| one.node == i);
            let (mut from, mut to, mut entries) = (None, None, 0u64);
            for one in own {
                from.get_or_insert(one.at);
                (to, entries) = (Some(one.at), entries.saturating_add(1));
            }
            let program = lane.identity.as_ref().map(|one| one.program.clone());
            let validator = lane.validator.map(|who| timeline.name_of(who));
            vec![
                lane.name.clone(),
                program.unwrap_or_default(),
                validator.unwrap_or_else(|| "–".to_owned()),
                entries.to_string(),
                from.map(|at| utc(at.0)).unwrap_or_default(),
                to.map(clock).unwrap_or_default(),
                format!("{:+} ms", lane.clock_ahead_ms),
            ]
        })
        .collect();
    let head = match lang {
        Lang::En => [
            "node",
            "program",
            "validator",
            "entries",
            "from",
            "to",
            "clock ahead",
        ],
        Lang::Zh => ["节点", "程序", "验证者", "条目", "从", "到", "时钟偏快"],
    };
    output::table(&head, &rows)
}

/// The story: ordinary heights in sum, the others with their causes, and what else happened.
pub(crate) fn table(timeline: &Timeline, style: Style) -> String {
    let lang = style.lang;
    let mut out = heading(timeline, lang);
    out.push('\n');
    let rows = if style.events {
        events(timeline, lang)
    } else {
        story(timeline, style)
    };
    let head = match lang {
        Lang::En => ["time (UTC)", "height", "node", "what happened"],
        Lang::Zh => ["时间（UTC）", "高度", "节点", "事件"],
    };
    out.push_str(&output::table(&head, &rows));
    if rows.is_empty() {
        out.push_str(lang.pick(
            "nothing was recorded in this window\n",
            "此时段内没有记录\n",
        ));
    }
    out
}

fn events(timeline: &Timeline, lang: Lang) -> Vec<Vec<String>> {
    let row = |one: &hawser_node::blackbox::timeline::Happening| {
        vec![
            clock(one.at),
            one.height.to_string(),
            timeline.node_name(one.node).to_owned(),
            sentence(timeline, one, lang),
        ]
    };
    timeline.happenings.iter().map(row).collect()
}

fn story(timeline: &Timeline, style: Style) -> Vec<Vec<String>> {
    let lang = style.lang;
    let mut notable = timeline
        .happenings
        .iter()
        .filter(|one| is_notable(&one.what))
        .peekable();
    let mut rows = Vec::new();
    let mut run = Run::default();
    for (height, view) in &timeline.heights {
        let begins = view.begins().unwrap_or_default();
        let ends = view.ended.unwrap_or(Time(u64::MAX));
        let remarkable = timeline.is_remarkable(view, style.slow_ms);
        let interrupted = notable.peek().is_some_and(|one| one.at < ends);
        if remarkable || interrupted {
            rows.extend(std::mem::take(&mut run).row(lang));
        }
        while let Some(one) = notable.next_if(|one| one.at < begins) {
            rows.push(line(timeline, one, lang));
        }
        if remarkable {
            rows.push(vec![
                clock(begins),
                height.to_string(),
                String::new(),
                verdict(timeline, view, lang),
            ]);
            for cause in timeline.causes(*height) {
                let text = format!("  - {}", cause.pick(lang == Lang::Zh));
                rows.push(vec![String::new(), String::new(), String::new(), text]);
            }
        } else {
            run.add(*height, view, begins);
        }
        while let Some(one) = notable.next_if(|one| one.at < ends) {
            // Told among the causes already.
            if !remarkable {
                rows.extend(std::mem::take(&mut run).row(lang));
                rows.push(line(timeline, one, lang));
            }
        }
    }
    rows.extend(run.row(lang));
    rows.extend(notable.map(|one| line(timeline, one, lang)));
    rows
}

fn line(
    timeline: &Timeline,
    one: &hawser_node::blackbox::timeline::Happening,
    lang: Lang,
) -> Vec<String> {
    vec![
        clock(one.at),
        one.height.to_string(),
        timeline.node_name(one.node).to_owned(),
        sentence(timeline, one, lang),
    ]
}

/// What became of a height that took long.
pub(super) fn verdict(timeline: &Timeline, view: &HeightView, lang: Lang) -> String {
    let end = timeline.span().map_or(Time(0), |(_, last)| last);
    let took = view.took_ms(end).unwrap_or(0);
    let rounds = view.rounds.keys().next_back().map_or(0, |round| round.0);
    match (view.decided.is_some(), lang) {
        (true, Lang::En) => format!(
            "final after {took} ms, in round {}",
            view.round.unwrap_or_default()
        ),
        (true, Lang::Zh) => format!(
            "{took} 毫秒后终局，第 {} 轮",
            view.round.unwrap_or_default()
        ),
        (false, Lang::En) if !view.fetched.is_empty() => {
            format!("not decided here; fetched from a peer, in round {rounds}")
        }
        (false, Lang::Zh) if !view.fetched.is_empty() => {
            format!("未在本节点决定；从对等节点取得，第 {rounds} 轮")
        }
        (false, Lang::En) => format!("NOT FINAL after {took} ms, in round {rounds}"),
        (false, Lang::Zh) => format!("{took} 毫秒后仍未终局，第 {rounds} 轮"),
    }
}

/// A timeline for programs.
pub(crate) fn value(timeline: &Timeline, style: Style) -> Value {
    let nodes: Vec<_> = timeline
        .nodes
        .iter()
        .map(|lane| {
            json!({
                "name": lane.name,
                "chainId": lane.identity.as_ref().map(|one| one.chain),
                "program": lane.identity.as_ref().map(|one| &one.program),
                "protocol": lane.identity.as_ref().map(|one| one.protocol),
                "validator": lane.identity.as_ref().and_then(|one| one.validator),
                "clockAheadMs": lane.clock_ahead_ms,
            })
        })
        .collect();
    let end = timeline.span().map_or(Time(0), |(_, last)| last);
    let heights: Vec<_> = timeline
        .heights
        .iter()
        .map(|(height, view)| {
            let remarkable = timeline.is_remarkable(view, style.slow_ms);
            let causes = if remarkable {
                timeline.causes(*height)
            } else {
                Vec::new()
            };
            json!({
                "height": height,
                "started": view.started,
                "decided": view.decided,
                "tookMs": view.took_ms(end),
                "round": view.round,
                "rounds": view.rounds.len(),
                "block": view.block.map(|block| block.to_string()),
                "transactions": view.transactions,
                "remarkable": remarkable,
                "causes": causes,
            })
        })
        .collect();
    let wanted = timeline
        .happenings
        .iter()
        .filter(|one| style.events || is_notable(&one.what));
    let events: Vec<_> = wanted
        .map(|one| {
            json!({
                "at": one.at,
                "node": timeline.node_name(one.node),
                "height": one.height,
                "kind": kind(&one.what),
                "validator": one.who.map(|who| timeline.name_of(who)),
                "text": sentence(timeline, one, style.lang),
            })
        })
        .collect();
    json!({ "nodes": nodes, "heights": heights, "events": events })
}
