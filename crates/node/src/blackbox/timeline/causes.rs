//! Why a height took long, in words.

use std::collections::BTreeSet;

use hawser_consensus::TimerKind;
use hawser_primitives::{Height, Round, Time};

use super::{HeightView, RoundView, Timeline};
use crate::{
    Words,
    blackbox::entry::{DiskFile, NoteKind, What},
};

/// Causes named for one height.
const CAUSES_MAX: usize = 16;

/// Sentences, each said once.
#[derive(Default)]
struct List {
    all: Vec<Words>,
    said: BTreeSet<String>,
}

impl List {
    fn say(&mut self, en: String, zh: String) {
        if self.all.len() < CAUSES_MAX && self.said.insert(en.clone()) {
            self.all.push(Words { en, zh });
        }
    }
}

impl Timeline {
    /// Whether a height is worth an explanation: it took longer than `slow_ms`, or more than a round.
    #[must_use]
    pub fn is_remarkable(&self, view: &HeightView, slow_ms: u64) -> bool {
        let end = self.span().map_or(Time(0), |(_, last)| last);
        view.took_ms(end).is_some_and(|ms| ms > slow_ms)
            || view.round.is_some_and(|round| round > Round(0))
            || view.rounds.keys().any(|round| *round > Round(0))
    }

    /// Why a height took long, as far as the recordings show.
    #[must_use]
    pub fn causes(&self, height: Height) -> Vec<Words> {
        let Some(view) = self.heights.get(&height) else {
            return Vec::new();
        };
        let mut list = List::default();
        let decided = view.round;
        for (round, seen) in &view.rounds {
            // The round that decided did not fail.
            if decided.is_some_and(|decided| *round >= decided) || seen.entered.is_none() {
                continue;
            }
            self.round(&mut list, view, *round, seen);
        }
        let end = self.span().map_or(Time(0), |(_, last)| last);
        let from = view.started.unwrap_or(Time(0));
        let to = view.ended.unwrap_or(end);
        self.circumstances(&mut list, from, to);
        list.all
    }

    /// Why a round failed.
    fn round(&self, list: &mut List, view: &HeightView, round: Round, seen: &RoundView) {
        let proposer = seen
            .proposer
            .map_or_else(|| "?".to_owned(), |one| self.name_of(one));
        let waited = |kind: TimerKind| {
            let ends = seen.timeouts.iter().filter(|(_, _, k)| *k == kind);
            let first = ends.map(|(at, ..)| *at).min();
            first.zip(seen.entered).map(|(at, from)| at.since_ms(from))
        };
        let Some((_, block)) = seen.proposal else {
            let heard = view.rounds.values().any(|one| {
                let voted = |who: &usize| {
                    one.prevotes.contains_key(who) || one.precommits.contains_key(who)
                };
                seen.proposer.as_ref().is_some_and(voted)
            });
            let ms = waited(TimerKind::Propose);
            let within = ms.map_or_else(String::new, |ms| format!(" within {ms} ms"));
            let within_zh = ms.map_or_else(String::new, |ms| format!("在 {ms} 毫秒内"));
            if heard {
                list.say(
                    format!(
                        "round {round}: no proposal from {proposer}{within}, although it votes"
                    ),
                    format!("第 {round} 轮：{proposer} {within_zh}未提案，但它有投票"),
                );
            } else {
                list.say(
                    format!(
                        "round {round}: no proposal from {proposer}{within}, and no vote of it: it is \
                         down, or its links are"
                    ),
                    format!("第 {round} 轮：{proposer} {within_zh}既未提案也未投票：该节点已停止，或其链路中断"),
                );
            }
            return;
        };
        if seen.refused {
            list.say(
                format!("round {round}: block {block} of {proposer} was refused"),
                format!("第 {round} 轮：{proposer} 提议的区块 {block} 被拒绝"),
            );
        } else if !seen.valid {
            list.say(
                format!("round {round}: {proposer} proposed block {block}, whose content did not arrive in time"),
                format!("第 {round} 轮：{proposer} 提议了区块 {block}，但其内容未及时到达"),
            );
        }
        let stages = [
            (&seen.prevotes, ("prevote", "预投票"), TimerKind::Prevote),
            (
                &seen.precommits,
                ("precommit", "预提交"),
                TimerKind::Precommit,
            ),
        ];
        for (votes, (kind, kind_zh), timer) in stages {
            let (mut weight, mut nil, mut missing) = (0u64, Vec::new(), Vec::new());
            for (who, its) in &view.committee {
                match votes.get(who) {
                    Some(vote) if vote.block == Some(block) => {
                        weight = weight.saturating_add(*its);
                    }
                    Some(_) => nil.push(self.name_of(*who)),
                    None => missing.push(self.name_of(*who)),
                }
            }
            let quorum = view.quorum();
            if weight >= quorum {
                continue;
            }
            let total: u64 = view.committee.iter().map(|(_, weight)| *weight).sum();
            let mut en = format!(
                "round {round}: {kind}s for block {block} of {weight} of {total}, {quorum} needed"
            );
            let mut zh = format!(
                "第 {round} 轮：区块 {block} 的{kind_zh}权重 {weight}/{total}，需要 {quorum}"
            );
            if !missing.is_empty() {
                let names = missing.join(", ");
                en.push_str(&format!("; none from {names}"));
                zh.push_str(&format!("；{names} 未投票"));
            }
            if !nil.is_empty() {
                let names = nil.join(", ");
                en.push_str(&format!("; for nothing from {names}"));
                zh.push_str(&format!("；{names} 投空票"));
            }
            if let Some(ms) = waited(timer) {
                en.push_str(&format!(" (given up after {ms} ms)"));
                zh.push_str(&format!("（{ms} 毫秒后放弃）"));
            }
            list.say(en, zh);
            // Without a quorum of prevotes nobody precommits a block.
            break;
        }
    }

    /// What else happened meanwhile.
    fn circumstances(&self, list: &mut List, from: Time, to: Time) {
        // What holds a thread up is noted when it goes on.
        let after = to.plus_ms(50);
        let meanwhile = self
            .happenings
            .iter()
            .filter(|one| one.at >= from && one.at <= after);
        for one in meanwhile {
            let node = self.node_name(one.node);
            match &one.what {
                What::Held(ms) => list.say(
                    format!("{node} stood still for {ms} ms: its process was stopped, or the machine was overloaded or suspended"),
                    format!("{node} 停顿了 {ms} 毫秒：进程被暂停，或机器过载、被挂起"),
                ),
                What::Clock(ms) => list.say(
                    format!("the clock of {node} was set by {ms:+} ms"),
                    format!("{node} 的时钟被调整了 {ms:+} 毫秒"),
                ),
                What::Disk { file, ms } => {
                    let (file, file_zh) = match file {
                        DiskFile::VoteLog => ("vote log", "投票日志"),
                        DiskFile::Blocks => ("file of blocks", "区块文件"),
                    };
                    list.say(
                        format!("the disk of {node} took {ms} ms to write the {file}"),
                        format!("{node} 的磁盘写{file_zh}用了 {ms} 毫秒"),
                    );
                }
                What::Link {
                    peer, name, up: false,
                } => {
                    let peer = peer_name(name, &peer.to_string());
                    list.say(
                        format!("{node} lost its link to {peer}"),
                        format!("{node} 与 {peer} 的链路中断"),
                    );
                }
                What::Stopped(reason) if reason.is_empty() => list.say(
                    format!("{node} was told to stop"),
                    format!("{node} 按指令停止"),
                ),
                What::Stopped(reason) => list.say(
                    format!("{node} stopped: {reason}"),
                    format!("{node} 停止：{reason}"),
                ),
                What::Started => {
                    list.say(format!("{node} started"), format!("{node} 启动"));
                }
                What::Note { kind, text } if *kind != NoteKind::BadMessage => list.say(
                    format!("{node}: {}: {text}", note_name(*kind, false)),
                    format!("{node}：{}：{text}", note_name(*kind, true)),
                ),
                What::Lost(count) => list.say(
                    format!("{node} dropped {count} entries of its recording: its disk did not keep up"),
                    format!("{node} 的记录丢弃了 {count} 条：磁盘跟不上"),
                ),
                _ => {}
            }
        }
    }
}

/// A peer as people call it: its name, else the beginning of its id.
#[must_use]
pub fn peer_name(name: &str, id: &str) -> String {
    if name.is_empty() {
        id.chars().take(8).collect()
    } else {
        name.to_owned()
    }
}

/// What kind of remark it is, in English or Chinese.
#[must_use]
pub const fn note_name(kind: NoteKind, chinese: bool) -> &'static str {
    let (en, zh) = match kind {
        NoteKind::BadMessage => ("bad message", "错误消息"),
        NoteKind::WrongGenesis => ("another chain", "另一条链"),
        NoteKind::BlockRefused => ("block refused", "区块被拒绝"),
        NoteKind::Misbehaviour => ("conflicting votes", "冲突投票"),
        NoteKind::KeyElsewhere => ("vote key elsewhere", "投票密钥在别处使用"),
        NoteKind::Guard => ("votes withheld", "暂不投票"),
        NoteKind::FalseAttestation => ("false attestation", "虚假证明"),
        NoteKind::Syncing => ("behind", "落后"),
        NoteKind::HistoryMissing => ("history missing", "缺少历史区块"),
    };
    if chinese { zh } else { en }
}
