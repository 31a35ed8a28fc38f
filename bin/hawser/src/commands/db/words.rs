//! What `hawser db` says, in both languages.

use std::path::Path;

use hawser_node::store::check::{CheckReport, Finding, Part, Plan, Step};

use crate::lang::Lang;
use crate::quantity::counted;

pub(super) const fn part(part: Part, lang: Lang) -> &'static str {
    match (part, lang) {
        (Part::Blocks, Lang::En) => "blocks",
        (Part::Blocks, Lang::Zh) => "区块",
        (Part::Headers, Lang::En) => "headers of dropped blocks",
        (Part::Headers, Lang::Zh) => "已裁剪区块的区块头",
        (Part::IndexFile, Lang::En) => "index file",
        (Part::IndexFile, Lang::Zh) => "索引文件",
        (Part::Receipts, Lang::En) => "receipts",
        (Part::Receipts, Lang::Zh) => "回执",
        (Part::State, Lang::En) => "state",
        (Part::State, Lang::Zh) => "状态",
        (Part::Index, Lang::En) => "index rows",
        (Part::Index, Lang::Zh) => "索引",
        (Part::Votes, Lang::En) => "vote log",
        (Part::Votes, Lang::Zh) => "投票日志",
        (Part::Evidence, Lang::En) => "evidence against validators",
        (Part::Evidence, Lang::Zh) => "针对验证节点的证据",
        (Part::Object, Lang::En) => "object in the object store",
        (Part::Object, Lang::Zh) => "对象存储中的对象",
    }
}

/// What damage to this kind of data means.
const fn meaning(part: Part, lang: Lang) -> &'static str {
    match (part, lang) {
        (Part::Blocks, Lang::En) => {
            "blocks from there on are lost on this node; its peers have them"
        }
        (Part::Blocks, Lang::Zh) => "从此处起的区块在本节点已丢失；对等节点仍有",
        (Part::Headers, Lang::En) => {
            "light nodes cannot begin at this node any more; everything else works"
        }
        (Part::Headers, Lang::Zh) => "轻节点无法再从本节点开始同步；其余功能不受影响",
        (Part::IndexFile, Lang::En) => "nothing is lost; it is made again from its segment",
        (Part::IndexFile, Lang::Zh) => "没有数据丢失；可由数据段重新生成",
        (Part::Receipts | Part::State | Part::Index, Lang::En) => {
            "nothing is lost as long as all blocks are here: it is made again by executing them"
        }
        (Part::Receipts | Part::State | Part::Index, Lang::Zh) => {
            "只要区块齐全就没有数据丢失：可通过重新执行区块生成"
        }
        (Part::Votes, Lang::En) => "the node no longer knows what it voted for last",
        (Part::Votes, Lang::Zh) => "节点已不再知道自己最近投过什么票",
        (Part::Evidence, Lang::En) => "a copy of evidence is lost; peers send theirs again",
        (Part::Evidence, Lang::Zh) => "丢失一份证据副本；对等节点会重新发送",
        (Part::Object, Lang::En) => {
            "these blocks or receipts cannot be read on this node until the object is restored in the \
             store; its peers have them"
        }
        (Part::Object, Lang::Zh) => {
            "在对象存储中恢复该对象之前，本节点无法读取这些区块或回执；对等节点仍有"
        }
    }
}

fn finding(one: &Finding, lang: Lang) -> String {
    let at = match (one.offset, lang) {
        (Some(offset), Lang::En) => format!(" at byte {offset}"),
        (Some(offset), Lang::Zh) => format!("，第 {offset} 字节"),
        (None, _) => String::new(),
    };
    let block = match (one.height, lang) {
        (Some(height), Lang::En) => format!(", block {height}"),
        (Some(height), Lang::Zh) => format!("，区块 {height}"),
        (None, _) => String::new(),
    };
    let (name, file, reason) = (part(one.part, lang), &one.file, &one.reason);
    match lang {
        Lang::En => format!(
            "DAMAGED  {name}: {file}{at}{block}: {reason}. What it means: {}\n",
            meaning(one.part, lang)
        ),
        Lang::Zh => format!(
            "损坏  {name}：{file}{at}{block}：{reason}。影响：{}\n",
            meaning(one.part, lang)
        ),
    }
}

pub(super) fn report(dir: &Path, report: &CheckReport, has_key: bool, lang: Lang) -> String {
    let (dir, counts) = (dir.display(), report.counts);
    let last = report
        .last
        .map_or_else(|| "-".to_owned(), |last| last.to_string());
    let state = report
        .state
        .map_or_else(|| "-".to_owned(), |state| state.to_string());
    let mut text = match lang {
        Lang::En => format!(
            "{dir}: blocks {} to {last}, state at {state}. Read: {} and {} with certificates, \
             receipts of {}, {} of the state, {}, {} of the vote log\n",
            report.first,
            counted(counts.blocks, "block"),
            counted(counts.headers, "header"),
            counted(counts.receipts, "block"),
            counted(counts.pages, "page"),
            counted(counts.rows, "index row"),
            counted(counts.votes, "entry")
        ),
        Lang::Zh => format!(
            "{dir}：区块 {} 至 {last}，状态在 {state}。已读取：{} 个区块和 {} 个区块头及其证书、{} \
             个区块的回执、{} 个状态页、{} 行索引、{} 条投票日志\n",
            report.first,
            counts.blocks,
            counts.headers,
            counts.receipts,
            counts.pages,
            counts.rows,
            counts.votes
        ),
    };
    for one in &report.findings {
        text.push_str(&finding(one, lang));
    }
    if report.more > 0 {
        text.push_str(&match lang {
            Lang::En => format!("… and {} more\n", report.more),
            Lang::Zh => format!("……另有 {} 处\n", report.more),
        });
    }
    for torn in &report.torn {
        let (file, offset, bytes) = (&torn.file, torn.offset, torn.bytes);
        text.push_str(&match lang {
            Lang::En => format!(
                "note  {file} has {} after byte {offset} that a crash left incomplete. What is there \
                 was never acknowledged; the next start cuts it off\n",
                counted(bytes, "byte")
            ),
            Lang::Zh => format!(
                "提示  {file} 在第 {offset} 字节之后有 {bytes} 字节因崩溃而不完整。这些内容从未被确认，\
                 下次启动时会截去\n"
            ),
        });
    }
    for (kind, first, last) in &report.cold {
        let kind = part(*kind, lang);
        text.push_str(&match lang {
            Lang::En => format!(
                "unclear  {kind} {first} to {last} lie in an object store and were not read; \
                 `--remote` reads them there\n"
            ),
            Lang::Zh => format!(
                "无法判定  {kind} {first} 至 {last} 位于对象存储中，未读取；加 `--remote` 可从那里读取\n"
            ),
        });
    }
    for one in &report.unclear {
        text.push_str(&match lang {
            Lang::En => format!("unclear  {one}\n"),
            Lang::Zh => format!("无法判定  {one}\n"),
        });
    }
    let votes_missing = has_key && report.votes_missing();
    if votes_missing {
        text.push_str(no_votes(report.vote_guard, lang));
    }
    if report.is_sound() && report.unclear.is_empty() {
        text.push_str(if votes_missing {
            lang.pick("what is there is sound\n", "现有数据完好\n")
        } else {
            lang.pick("everything read is sound\n", "所读取的全部数据完好\n")
        });
    }
    text
}

/// That a validator has no vote log, and what follows.
const fn no_votes(marked: bool, lang: Lang) -> &'static str {
    match (marked, lang) {
        (false, Lang::En) => {
            "MISSING  there is no vote log (votes.log): what this node voted for is not known. Started, it \
             follows and does not vote until it has seen a quorum of the other validators vote; nothing has \
             to be done for that. Where all nodes lost theirs, see `hawser node allow-votes --help`\n"
        }
        (false, Lang::Zh) => {
            "缺失  没有投票日志（votes.log）：本节点投过什么票已无从得知。启动后它只跟随、不投票，直到看到其他\
             验证者达到法定数量的投票；为此无需任何操作。若所有节点的投票日志都已丢失，请参阅 \
             `hawser node allow-votes --help`\n"
        }
        (true, Lang::En) => {
            "note  there is no vote log yet, and the folder is marked for that: the node follows and does not \
             vote until that is safe\n"
        }
        (true, Lang::Zh) => {
            "提示  尚无投票日志，目录已就此作了标记：节点只跟随、不投票，直到可以安全投票为止\n"
        }
    }
}

/// What a step does and what is lost by it.
pub(super) fn step(step: &Step, report: &CheckReport, lang: Lang) -> String {
    match (step, lang) {
        (Step::RemoveIndexFiles(names), Lang::En) => {
            format!("remove {}; made again at the next start", names.join(", "))
        }
        (Step::RemoveIndexFiles(names), Lang::Zh) => {
            format!("删除 {}；下次启动时重新生成", names.join("、"))
        }
        (Step::CutBlocks { after }, Lang::En) => format!(
            "remove all blocks after {after}; lost here, and fetched from peers again when the node \
             runs"
        ),
        (Step::CutBlocks { after }, Lang::Zh) => format!(
            "删除区块 {after} 之后的全部区块；这些区块在本节点丢失，节点运行后会从对等节点重新获取"
        ),
        (Step::MakeAgain, Lang::En) => format!(
            "put state, receipts and index aside (names beginning with set-aside-); nothing is lost, \
             the next start executes the blocks from 1 to {} again, which takes a while. Remove \
             what was put aside when the node is well",
            report.last.unwrap_or_default()
        ),
        (Step::MakeAgain, Lang::Zh) => format!(
            "将状态、回执和索引移到一边（文件名以 set-aside- 开头）；没有数据丢失，下次启动会重新执行\
             区块 1 至 {}，需要一些时间。确认节点正常后可删除移开的文件",
            report.last.unwrap_or_default()
        ),
        (Step::DropHeaders, Lang::En) => {
            "put the headers of dropped blocks aside; light nodes cannot begin at this node any more"
                .to_owned()
        }
        (Step::DropHeaders, Lang::Zh) => {
            "将已裁剪区块的区块头移到一边；轻节点无法再从本节点开始同步".to_owned()
        }
        (Step::DropEvidence, Lang::En) => {
            "put the evidence against validators aside; peers send theirs again".to_owned()
        }
        (Step::DropEvidence, Lang::Zh) => {
            "将针对验证节点的证据移到一边；对等节点会重新发送".to_owned()
        }
        (Step::ForgetVotes, Lang::En) => {
            "put the vote log aside; what this node voted for is forgotten. Started, it follows and does \
             not vote until it has seen a quorum of the other validators vote"
                .to_owned()
        }
        (Step::ForgetVotes, Lang::Zh) => {
            "将投票日志移到一边；本节点将遗忘自己投过的票。启动后它只跟随、不投票，直到看到其他验证者达到\
             法定数量的投票"
                .to_owned()
        }
    }
}

/// Whether steps are told that are carried out now, or that would be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Now,
    Perhaps,
}

pub(super) fn plan(
    plan: &Plan,
    report: &CheckReport,
    (has_key, told): (bool, Told),
    lang: Lang,
) -> String {
    match plan {
        Plan::Nothing => String::new(),
        Plan::Impossible { first } => match lang {
            Lang::En => format!(
                "repair cannot mend this: the state would have to be made from block 1 on, and this \
                 node has blocks only from {first} on. Restore the folder from a backup, or empty \
                 it and join from a snapshot or from an archive node\n"
            ),
            Lang::Zh => format!(
                "无法修复：状态须从区块 1 起重新生成，而本节点只保存区块 {first} 及以后的区块。请从备份\
                 恢复目录，或清空后通过快照或归档节点重新加入\n"
            ),
        },
        Plan::Steps { steps, votes } => {
            let mut text = String::new();
            for one in steps {
                let one = step(one, report, lang);
                text.push_str(&match (told, lang) {
                    (Told::Now, Lang::En) => format!("repair  {one}\n"),
                    (Told::Now, Lang::Zh) => format!("修复  {one}\n"),
                    (Told::Perhaps, Lang::En) => format!("repair would  {one}\n"),
                    (Told::Perhaps, Lang::Zh) => format!("修复将会  {one}\n"),
                });
            }
            if *votes {
                text.push_str(lang.pick(
                    "repair leaves the vote log alone; with --forget-votes it is put aside\n",
                    "修复不会改动投票日志；加 --forget-votes 才会将其移到一边\n",
                ));
            }
            if has_key
                && steps
                    .iter()
                    .any(|one| matches!(one, Step::CutBlocks { .. }))
            {
                text.push_str(take_key_out(lang));
                text.push('\n');
            }
            text
        }
    }
}

const fn take_key_out(lang: Lang) -> &'static str {
    lang.pick(
        "this node has a vote_key: with blocks cut off it would not know which heights it has voted \
         on already. Take vote_key out of its configuration, repair, start it, wait until it has \
         caught up and the chain has decided one more block, then put vote_key back",
        "本节点配置了 vote_key：截去区块后它将不知道自己在哪些高度投过票。请先从配置中去掉 vote_key，修复并\
         启动，等它追上且链上又确定了一个区块，再把 vote_key 放回",
    )
}

/// After [`take_key_out`] was told.
pub(super) const fn key_is_in(lang: Lang) -> &'static str {
    lang.pick(
        "nothing was changed: the configuration has a vote_key",
        "未做任何改动：配置中有 vote_key",
    )
}

pub(super) const fn stop_first(lang: Lang) -> &'static str {
    lang.pick(
        "Its data is read only while it does not run: stop it first",
        "只能在节点停止时读取其数据：请先停止节点",
    )
}

pub(super) const fn no_chain(lang: Lang) -> &'static str {
    lang.pick(
        "the configuration names no such chain",
        "配置中没有这样的链",
    )
}

pub(super) const fn kv_missing(lang: Lang) -> &'static str {
    lang.pick("the folder is missing", "目录缺失")
}

pub(super) fn locked(dir: &Path, lang: Lang) -> String {
    let dir = dir.display();
    match lang {
        Lang::En => format!("{dir} is in use: a node runs on it. {}", stop_first(lang)),
        Lang::Zh => format!("{dir} 正在使用中：有节点在其上运行。{}", stop_first(lang)),
    }
}

pub(super) fn checking(chain: u64, lang: Lang) -> String {
    match lang {
        Lang::En => format!("checking chain {chain}"),
        Lang::Zh => format!("正在检查链 {chain}"),
    }
}

pub(super) fn unreadable(error: &str, lang: Lang) -> String {
    match lang {
        Lang::En => format!("the data cannot be read: {error}"),
        Lang::Zh => format!("无法读取数据：{error}"),
    }
}

pub(super) fn no_data(dir: &Path, lang: Lang) -> String {
    let dir = dir.display();
    match lang {
        Lang::En => format!("{dir}: there is no data yet\n"),
        Lang::Zh => format!("{dir}：尚无数据\n"),
    }
}

pub(super) const fn damaged(lang: Lang) -> &'static str {
    lang.pick(
        "something is damaged; check the disk and the memory of the machine, then `hawser db repair`",
        "有数据损坏；请检查机器的磁盘和内存，然后执行 `hawser db repair`",
    )
}

pub(super) const fn unclear(lang: Lang) -> &'static str {
    lang.pick(
        "nothing damaged was found, but not everything could be verified",
        "未发现损坏，但并非全部内容都能验证",
    )
}

pub(super) const fn votes_unknown(lang: Lang) -> &'static str {
    lang.pick(
        "nothing damaged was found, but the vote log is missing",
        "未发现损坏，但缺少投票日志",
    )
}

pub(super) const fn impossible(lang: Lang) -> &'static str {
    lang.pick(
        "nothing was changed: it cannot be mended from what is here",
        "未做任何改动：无法凭现有数据修复",
    )
}

pub(super) const fn say_yes(lang: Lang) -> &'static str {
    lang.pick(
        "nothing was changed; run it again with --yes to do this",
        "未做任何改动；加 --yes 重新运行即可执行",
    )
}

pub(super) const fn ask(lang: Lang) -> &'static str {
    lang.pick("Do this? Type yes:", "是否执行？请输入 yes：")
}

pub(super) const fn nothing_done(lang: Lang) -> &'static str {
    lang.pick("nothing was changed", "未做任何改动")
}

pub(super) const fn votes_left(lang: Lang) -> &'static str {
    lang.pick(
        "the vote log is damaged and was left alone: the node does not start with it. No backup has it; \
         --forget-votes puts it aside, and the node then follows until it may vote safely",
        "投票日志已损坏且未被改动：节点无法带着它启动。备份中没有投票日志；--forget-votes 会将其移到一边，\
         此后节点只跟随，直到可以安全投票",
    )
}

pub(super) const fn nothing_to_repair(lang: Lang) -> &'static str {
    lang.pick(
        "nothing to repair, and nothing was changed",
        "无需修复，未做任何改动",
    )
}

pub(super) const fn repaired(lang: Lang) -> &'static str {
    lang.pick(
        "done; start the node, and check again when it has caught up",
        "已完成；请启动节点，待其追上后再检查一次",
    )
}

#[cfg(test)]
mod tests {
    use hawser_primitives::Height;

    use super::*;

    #[test]
    fn a_validator_without_its_vote_log_is_not_called_sound() {
        let told = |votes: bool, has_key: bool, lang: Lang| {
            let found = CheckReport {
                last: Some(Height(9)),
                vote_log: votes,
                ..CheckReport::default()
            };
            report(Path::new("chain-1"), &found, has_key, lang)
        };
        let missing = told(false, true, Lang::En);
        assert!(
            missing.contains("MISSING  there is no vote log") && missing.contains("does not vote"),
            "{missing}"
        );
        assert!(!missing.contains("everything read is sound"), "{missing}");
        assert!(told(false, true, Lang::Zh).contains("缺失  没有投票日志"));
        for sound in [told(true, true, Lang::En), told(false, false, Lang::En)] {
            assert!(sound.contains("everything read is sound"), "{sound}");
        }
    }
}
