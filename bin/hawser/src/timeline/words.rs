//! A happening in words.

use hawser_ledger::VoteKind;
use hawser_node::blackbox::timeline::{Happening, Timeline, note_name, peer_name};
use hawser_node::blackbox::{DiskFile, Short, TimerKind, What};

use crate::lang::Lang;
use crate::quantity::counted;

/// Whether it is worth a line beside the heights.
pub(super) const fn is_notable(what: &What) -> bool {
    matches!(
        what,
        What::Started
            | What::Link { .. }
            | What::Clock(_)
            | What::Held(_)
            | What::Disk { .. }
            | What::Note { .. }
            | What::Lost(_)
            | What::Stopped(_)
            | What::Timeout { .. }
    )
}

/// Its kind, for programs.
pub(super) const fn kind(what: &What) -> &'static str {
    match what {
        What::Identity(_) => "identity",
        What::Started => "started",
        What::Committee(_) => "committee",
        What::Round { .. } => "round",
        What::Proposal { .. } => "proposal",
        What::Body { .. } => "body",
        What::Vote { kind, .. } => match kind {
            VoteKind::Prevote => "prevote",
            VoteKind::Precommit => "precommit",
        },
        What::Polka { .. } => "polka",
        What::Timeout { .. } => "timeout",
        What::Decided { .. } => "decided",
        What::Fetched { .. } => "fetched",
        What::Executed => "executed",
        What::Link { .. } => "link",
        What::Clock(_) => "clock",
        What::Held(_) => "held",
        What::Disk { .. } => "disk",
        What::Note { .. } => "note",
        What::Lost(_) => "lost",
        What::Stopped(_) => "stopped",
    }
}

fn for_block(block: Option<Short>, zh: bool) -> String {
    match (block, zh) {
        (Some(block), _) => block.to_string(),
        (None, false) => "nothing".to_owned(),
        (None, true) => "空".to_owned(),
    }
}

/// What happened, in one line, without time, node and height.
pub(super) fn sentence(timeline: &Timeline, one: &Happening, lang: Lang) -> String {
    let zh = lang == Lang::Zh;
    let who = one
        .who
        .map_or_else(|| "?".to_owned(), |who| timeline.name_of(who));
    let say = |en: String, chinese: String| if zh { chinese } else { en };
    match &one.what {
        What::Identity(identity) => say(
            format!(
                "recording of {} (program {})",
                identity.node, identity.program
            ),
            format!("{} 的记录（程序 {}）", identity.node, identity.program),
        ),
        What::Started => say("the node started".into(), "节点启动".into()),
        What::Committee(members) => say(
            match members.len() {
                1 => "1 validator decides".into(),
                count => format!("{count} validators decide"),
            },
            format!("由 {} 个验证者决定", members.len()),
        ),
        What::Round { round, .. } => say(
            format!("round {round} begins, {who} proposes"),
            format!("第 {round} 轮开始，{who} 提案"),
        ),
        What::Proposal { round, block, .. } => say(
            format!("round {round}: {who} proposes {block}"),
            format!("第 {round} 轮：{who} 提议 {block}"),
        ),
        What::Body {
            round,
            block,
            valid: true,
        } => say(
            format!("round {round}: block {block} is complete and valid"),
            format!("第 {round} 轮：区块 {block} 完整且有效"),
        ),
        What::Body { round, block, .. } => say(
            format!("round {round}: block {block} is refused"),
            format!("第 {round} 轮：区块 {block} 被拒绝"),
        ),
        What::Vote {
            kind, round, block, ..
        } => {
            let block = for_block(*block, zh);
            let (en, chinese) = match kind {
                VoteKind::Prevote => ("prevotes", "预投票给"),
                VoteKind::Precommit => ("precommits", "预提交"),
            };
            say(
                format!("round {round}: {who} {en} {block}"),
                format!("第 {round} 轮：{who} {chinese} {block}"),
            )
        }
        What::Polka { round, block } => say(
            format!("round {round}: a quorum of prevotes for {block} arrived as a whole"),
            format!("第 {round} 轮：{block} 的预投票法定多数整体到达"),
        ),
        What::Timeout { round, kind } => {
            let (en, chinese) = match kind {
                TimerKind::Propose => ("the proposal", "提案"),
                TimerKind::Prevote => ("prevotes that agree", "一致的预投票"),
                TimerKind::Precommit => ("precommits that agree", "一致的预提交"),
                TimerKind::Rebroadcast => ("any news, sends its votes again", "任何消息，重发投票"),
            };
            say(
                format!("round {round}: waited in vain for {en}"),
                format!("第 {round} 轮：未等到{chinese}"),
            )
        }
        What::Decided {
            round,
            block,
            transactions,
        } => say(
            format!(
                "block {block} is final in round {round}, {}",
                counted(*transactions, "transaction")
            ),
            format!("区块 {block} 在第 {round} 轮终局，{transactions} 笔交易"),
        ),
        What::Fetched {
            block,
            transactions,
        } => say(
            format!(
                "block {block} was fetched from a peer, {}",
                counted(*transactions, "transaction")
            ),
            format!("区块 {block} 从对等节点取得，{transactions} 笔交易"),
        ),
        What::Executed => say("the block is executed".into(), "区块已执行".into()),
        What::Link { peer, name, up } => {
            let peer = peer_name(name, &peer.to_string());
            let (en, chinese) = if *up {
                ("up", "建立")
            } else {
                ("down", "中断")
            };
            say(
                format!("link to {peer} {en}"),
                format!("与 {peer} 的链路{chinese}"),
            )
        }
        What::Clock(ms) => say(
            format!("the machine's clock was set by {ms:+} ms"),
            format!("机器时钟被调整 {ms:+} 毫秒"),
        ),
        What::Held(ms) => say(
            format!("the node stood still for {ms} ms"),
            format!("节点停顿 {ms} 毫秒"),
        ),
        What::Disk { file, ms } => {
            let (en, chinese) = match file {
                DiskFile::VoteLog => ("vote log", "投票日志"),
                DiskFile::Blocks => ("file of blocks", "区块文件"),
            };
            say(
                format!("writing the {en} took {ms} ms"),
                format!("写{chinese}用了 {ms} 毫秒"),
            )
        }
        What::Note { kind, text } => format!("{}: {text}", note_name(*kind, zh)),
        What::Lost(count) => say(
            match count {
                1 => "1 entry was dropped: the disk did not keep up".into(),
                count => format!("{count} entries were dropped: the disk did not keep up"),
            },
            format!("丢弃 {count} 条记录：磁盘跟不上"),
        ),
        What::Stopped(reason) if reason.is_empty() => {
            say("the node was told to stop".into(), "节点按指令停止".into())
        }
        What::Stopped(reason) => say(
            format!("the node stopped: {reason}"),
            format!("节点停止：{reason}"),
        ),
    }
}
