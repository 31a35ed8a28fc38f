//! Says in words how a chain is doing and what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use hawser_consensus::{Election as _, Step};
use hawser_ledger::{ChainSettings, PROTOCOL_VERSION};
use hawser_network::PeerId;
use hawser_primitives::{Address, Height, Round};

use super::{ChainStatus, PeerState, ValidatorState, readiness};
use crate::{
    Rules, Words,
    replica::{CatchUp, GuardReason, Replica, VoteGuard},
    store::ChainStore,
};

/// Time after which a height in progress is worth explaining, in milliseconds.
const SLOW_MS: u64 = 2_000;

/// The state of a chain, for people and monitors.
pub(super) fn status(
    replica: &Replica,
    store: &ChainStore,
    admitted: usize,
    names: &BTreeMap<PeerId, String>,
) -> ChainStatus {
    let genesis = store.genesis();
    let tip = replica.tip();
    let next = tip.height.next();
    let rules = replica.rules();
    let set = rules.committee(next);
    let agreement = replica.agreement();
    let deciding = agreement.height().filter(|height| *height == next);
    let heard = if deciding.is_some() {
        agreement.heard()
    } else {
        Vec::new()
    };
    let peers: Vec<_> = replica
        .peer_heights()
        .map(|(id, height)| PeerState {
            id,
            name: names.get(&id).cloned(),
            height,
        })
        .collect();
    let mut waiting = Vec::new();
    let protocol = readiness::protocol(replica);
    let validator_states = readiness::validators(replica);
    let validators = set.validators().len();
    let own = replica
        .address()
        .is_some_and(|address| set.get(&address).is_some());
    let linked: Vec<_> = peers.iter().map(|peer| peer.id).collect();
    let reach = Reach::new(&validator_states, own, &linked);
    // Who has no vote needs one peer to follow, not a quorum.
    let connected = if own {
        reach.is_quorum()
    } else {
        !peers.is_empty()
    };
    if !connected && own {
        waiting.push(reach.lost(admitted));
    } else if !connected {
        waiting.push(Words::new(
            format!(
                "links: none of {admitted} admitted peers is connected. Check that they run, that their \
                 addresses are reachable, and that one of them admits this node"
            ),
            format!(
                "链路：已准入的 {admitted} 个对等节点均未连接。请检查它们是否在运行、地址是否可达，\
                 以及其中是否有节点准入了本节点"
            ),
        ));
    }
    if let Some(what) = replica.key_elsewhere() {
        waiting.push(Words::new(
            format!(
                "vote key: another node signs with the vote key of this one ({what}), so this node \
                 votes no more and only follows. Find the other node (a copy of the folder, a standby, \
                 a thief), stop one of the two and restart this one; if the key was stolen, replace the \
                 validator by a proposal"
            ),
            format!(
                "投票密钥：另一个节点在使用本节点的投票密钥签名（{what}），因此本节点不再投票，只跟随。\
                 请找出该节点（目录副本、备机或窃取者），停掉其中一个并重启本节点；若密钥被盗，请通过提案更换该验证者"
            ),
        ));
    }
    if let Some(guard) = replica.vote_guard() {
        let stalled = replica.stalled_ms().is_some();
        waiting.push(forgotten(guard, next, stalled));
    }
    if let Some(ms) = replica.clock_behind_ms() {
        let allowed = rules.parameters(next).clock_drift_ms_max;
        waiting.push(Words::new(
            format!(
                "clock: a proposal of the last minute was {ms} ms ahead of this node's clock and was \
                 refused ({allowed} ms are allowed): this machine's clock is slow, or that proposer's is \
                 fast. Compare `date -u` on both, and keep them in step with NTP (`timedatectl set-ntp \
                 true`, `chronyc tracking`)"
            ),
            format!(
                "时钟：最近一分钟内有提案比本节点时钟快 {ms} 毫秒，已被拒绝（允许 {allowed} 毫秒）：本机时钟偏慢，\
                 或提案者时钟偏快。请在两台机器上比较 `date -u`，并用 NTP 校时（`timedatectl set-ntp true`、`chronyc tracking`）"
            ),
        ));
    }
    if let Some(state) = replica.catching_up() {
        waiting.push(catching_up(tip.height, &state));
    }
    if let Some(first) = replica.history_missing() {
        waiting.push(Words::new(
            format!(
                "blocks: this node is at block {} and needs block {next}, but every peer that can be \
                 reached keeps blocks only from {first} on. Join from a snapshot, or connect this node \
                 to one that keeps all blocks (storage.mode = \"archive\")",
                tip.height
            ),
            format!(
                "区块：本节点在区块 {}，需要区块 {next}，但可达的对等节点只保留 {first} 起的区块。\
                 请从快照加入，或连接保留全部区块的节点（storage.mode = \"archive\"）",
                tip.height
            ),
        ));
    }
    if replica.executed() < tip.height {
        let behind = tip.height.0.saturating_sub(replica.executed().0);
        if behind > genesis.parameters.root_lag.saturating_add(2) {
            waiting.push(Words::new(
                format!(
                    "execution is {behind} blocks behind agreement: the processor or the disk is the limit; \
                     look at the machine's load"
                ),
                format!("执行落后共识 {behind} 个区块：受处理器或磁盘限制；请查看机器负载"),
            ));
        }
    }
    if let Some(ms) = replica.stalled_ms() {
        waiting.push(stalled(next, replica.pool().counts().pending, ms));
    }
    waiting.extend(late(&validator_states, own, replica.late_proposers()));
    for entry in rules.schedule().pending(tip.height) {
        let now = rules.settings(entry.from.back(1));
        waiting.push(change(now, &entry.settings, entry.from));
    }
    // A round that has just begun is no news.
    let slow = agreement.round() > Round(0) || replica.deciding_for_ms() > SLOW_MS;
    if deciding.is_some() && agreement.step() != Step::Decided && slow {
        let silent: Vec<_> = set
            .validators()
            .iter()
            .map(hawser_ledger::Validator::address)
            .filter(|address| !heard.contains(address))
            .map(|address| name(rules, next, &address))
            .collect();
        let round = agreement.round();
        let mut en = format!("block {next}, round {round}: {}", agreement.step());
        let mut zh = format!("区块 {next}，第 {round} 轮：{}", step(agreement.step()));
        if !silent.is_empty() {
            let names = silent.join(", ");
            en.push_str(&format!("; no vote in this round yet from {names}"));
            zh.push_str(&format!("；本轮尚未收到 {names} 的投票"));
        }
        if round > Round(0) {
            en.push_str(". Why the rounds before failed: `hawser debug timeline --last 2m`");
            zh.push_str("。此前各轮失败的原因：`hawser debug timeline --last 2m`");
        }
        waiting.push(Words::new(en, zh));
    }
    waiting.extend(readiness::remarks(rules, next, &validator_states, protocol));
    let (waiting, waiting_zh) = waiting.into_iter().map(|one| (one.en, one.zh)).unzip();
    let ready = connected
        && !replica.is_syncing()
        && replica.history_missing().is_none()
        && replica.stalled_ms().is_none();
    ChainStatus {
        chain_id: genesis.chain_id,
        name: genesis.name.clone(),
        genesis: store.genesis_hash(),
        suite: genesis.suite,
        height: tip.height,
        hash: tip.hash,
        executed: replica.executed(),
        first_height: store.first_height(),
        validator: replica
            .address()
            .filter(|address| set.get(address).is_some()),
        validators,
        deciding,
        round: agreement.round(),
        step: agreement.step().to_string(),
        heard,
        peers,
        pending: 0,
        queued: 0,
        syncing: replica.is_syncing(),
        catch_up: replica.catching_up(),
        ready,
        waiting,
        waiting_zh,
        protocol,
        validator_states,
    }
    .with_pool(replica.pool().counts())
}

/// Which part of the committee a validator is linked to. Peers that are no validators, such as observers, are
/// no part of a quorum, however many there are.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// Linked peers of this chain.
    peers: usize,
    /// Validators among them, and this node where it is one.
    validators: usize,
    /// How many validators are needed.
    quorum: usize,
    /// Whether this node is a validator.
    own: bool,
}

impl Reach {
    fn new(states: &[ValidatorState], own: bool, linked: &[PeerId]) -> Self {
        let peers = states.iter().filter_map(|one| one.peer);
        // By peer: one that is taken for two validators is still one.
        let others: BTreeSet<_> = peers.filter(|peer| linked.contains(peer)).collect();
        let all = states.len();
        Self {
            peers: linked.len(),
            validators: others.len().saturating_add(usize::from(own)),
            quorum: (all.saturating_mul(2) / 3 + 1).min(all),
            own,
        }
    }

    const fn is_quorum(self) -> bool {
        self.validators >= self.quorum
    }

    /// That a quorum is out of reach, in words.
    fn lost(self, admitted: usize) -> Words {
        let Self {
            peers,
            validators,
            quorum,
            own,
        } = self;
        let others = peers
            .saturating_add(usize::from(own))
            .saturating_sub(validators);
        let (mut not, mut not_zh) = (String::new(), String::new());
        if others > 0 {
            not = format!(" ({others} of the connected peers not counted, as no validator)");
            not_zh = format!("（已连接的对等节点中有 {others} 个不是验证者，不计入）");
        }
        Words::new(
            format!(
                "links: {peers} of {admitted} configured peers are connected; with this node that is \
                 {validators} of the {quorum} validators that a quorum needs{not}. Check that the other \
                 nodes run and that their addresses are reachable"
            ),
            format!(
                "链路：已配置的 {admitted} 个对等节点中有 {peers} 个已连接；连同本节点共 {validators} 个验证者，\
                 法定多数需要 {quorum} 个{not_zh}。请检查其他节点是否在运行、地址是否可达"
            ),
        )
    }
}

/// Who lets its turns to propose pass, in words. A validator that is linked and missed a single turn is no news:
/// one block after a restart can be decided before it is back, and on an idle chain its next turn may be far off.
fn late(
    states: &[ValidatorState],
    own: bool,
    missed: impl Iterator<Item = (Address, u32)>,
) -> Option<Words> {
    let names: Vec<_> = missed
        .filter_map(|(address, turns)| {
            let state = states.iter().find(|one| one.address == address)?;
            // Only validators are linked to every other.
            let away = own && !state.own && state.peer.is_none();
            (turns > 1 || away).then(|| readiness::called(state))
        })
        .collect();
    if names.is_empty() {
        return None;
    }
    let names = names.join(", ");
    Some(Words::new(
        format!(
            "proposers: {names} proposed nothing at the last turn, so the others wait for it only briefly; \
             check that it runs and that its links are up"
        ),
        format!(
            "提案者：{names} 上一轮次未提案，其他节点只短暂等待它；请检查其是否在运行、链路是否连通"
        ),
    ))
}

/// That nothing is decided, in words.
fn stalled(next: Height, waiting: usize, ms: u64) -> Words {
    let seconds = ms / 1_000;
    Words::new(
        format!(
            "stalled: {waiting} transactions wait, and block {next} has not been decided for {seconds} s, so \
             clients should not rely on this chain now. Too few validators vote: look at what is said of \
             votes, validators and links, on each node (`hawser doctor`)"
        ),
        format!(
            "停滞：有 {waiting} 笔交易在等待，区块 {next} 已 {seconds} 秒未能决定，客户端此时不应依赖该链。\
             参与投票的验证者不足：请在每个节点上查看关于投票、验证者和链路的提示（`hawser doctor`）"
        ),
    )
}

/// How far catching up is, in words.
fn catching_up(tip: Height, state: &CatchUp) -> Words {
    let (peers, peers_zh) = match state.peers.len() {
        0 => (
            "no peer is being asked at the moment".to_owned(),
            "目前没有向任何对等节点请求".to_owned(),
        ),
        1 => (
            "fetched from 1 peer".to_owned(),
            "从 1 个对等节点获取".to_owned(),
        ),
        count => (
            format!("fetched from {count} peers"),
            format!("从 {count} 个对等节点获取"),
        ),
    };
    let (left, left_zh) = match state.seconds_left {
        Some(seconds @ 0..=119) => (
            format!("about {seconds} s left"),
            format!("约剩 {seconds} 秒"),
        ),
        Some(seconds @ 120..=7_199) => {
            let minutes = seconds.div_ceil(60);
            (
                format!("about {minutes} min left"),
                format!("约剩 {minutes} 分钟"),
            )
        }
        Some(seconds) => {
            let hours = seconds.div_ceil(3_600);
            (
                format!("about {hours} h left"),
                format!("约剩 {hours} 小时"),
            )
        }
        None => (
            "time left not known yet".to_owned(),
            "剩余时间尚不可知".to_owned(),
        ),
    };
    let (target, behind, rate) = (state.target, state.behind, state.blocks_per_second);
    Words::new(
        format!(
            "catching up: block {tip} of {target} is here, {behind} to go at {rate} blocks/s, {left}; {peers}"
        ),
        format!(
            "追赶中：已有区块 {tip}/{target}，还差 {behind} 块，每秒 {rate} 块，{left_zh}；{peers_zh}"
        ),
    )
}

/// Why a node does not vote that may have forgotten votes, in words, and what to do where nothing is decided
/// before the height from which on it votes.
pub(super) fn forgotten(guard: VoteGuard, next: Height, stalled: bool) -> Words {
    let (why, why_zh) = match guard.reason {
        GuardReason::Restored => (
            "its data was restored from a backup or a snapshot",
            "其数据由备份或快照恢复",
        ),
        GuardReason::NoVoteLog => ("its vote log is missing", "缺少投票日志"),
        GuardReason::OlderLog => (
            "its data folder is an older copy, as a final block shows",
            "其数据目录是较旧的副本，终局区块已表明",
        ),
    };
    let (then, then_zh) = match guard.from {
        Some(from) if stalled && next < from => {
            let after = from.back(1);
            (
                format!(
                    "It votes again from block {from} on, and block {next} is not decided. If the whole network was \
                     restored and no node has the blocks {next} to {after}, nobody votes for them: stop all validators \
                     and run `hawser node allow-votes` again on each, with the highest last block of all nodes"
                ),
                format!(
                    "从区块 {from} 起恢复投票，而区块 {next} 未能决定。若全网都由备份恢复，且没有任何节点拥有区块 \
                     {next} 至 {after}，则无人会为它们投票：请停止全部验证者，以所有节点的最后一个区块中最大的高度，\
                     在每个节点上重新执行 `hawser node allow-votes`"
                ),
            )
        }
        Some(from) => (
            format!("It votes again from block {from} on"),
            format!("从区块 {from} 起恢复投票"),
        ),
        None => (
            "It votes again two blocks after it has seen a quorum of the other validators vote. \
                 Where the whole network was restored, nobody will: then \
                 `hawser node allow-votes` on the stopped nodes"
                .to_owned(),
            "看到其他验证者的法定多数投票后再过两个区块即恢复投票。若全网都由备份恢复，则无人会先投票：\
             请在停止的节点上执行 `hawser node allow-votes`"
                .to_owned(),
        ),
    };
    Words::new(
        format!(
            "votes: this node follows and does not vote, because votes of before are unknown ({why}). {then}"
        ),
        format!("投票：本节点只跟随、不投票，因为此前的投票不明（{why_zh}）。{then_zh}"),
    )
}

/// A validator as people call it.
fn name(rules: &Rules, height: Height, address: &Address) -> String {
    rules
        .name(height, address)
        .map_or_else(|| address.to_string(), str::to_owned)
}

/// A step of agreement in Chinese.
const fn step(step: Step) -> &'static str {
    match step {
        Step::NotStarted => "尚未开始",
        Step::Propose => "等待提案",
        Step::Prevote => "等待预投票",
        Step::Precommit => "等待预提交",
        Step::Decided => "已决定",
    }
}

/// A change of settings that waits for its height, in words.
fn change(now: &ChainSettings, then: &ChainSettings, from: Height) -> Words {
    let (mut en, mut zh) = (Vec::new(), Vec::new());
    for one in &then.validators {
        match now
            .validators
            .iter()
            .find(|o| o.public_key == one.public_key)
        {
            None => {
                en.push(format!("validator {} joins", one.name));
                zh.push(format!("验证者 {} 加入", one.name));
            }
            Some(old) if old.weight != one.weight => {
                en.push(format!(
                    "the weight of validator {} goes from {} to {}",
                    one.name, old.weight, one.weight
                ));
                zh.push(format!(
                    "验证者 {} 的权重由 {} 变为 {}",
                    one.name, old.weight, one.weight
                ));
            }
            Some(_) => {}
        }
    }
    let leaves = |one: &&hawser_ledger::GenesisValidator| {
        then.validators
            .iter()
            .all(|o| o.public_key != one.public_key)
    };
    for one in now.validators.iter().filter(leaves) {
        en.push(format!("validator {} leaves", one.name));
        zh.push(format!("验证者 {} 退出", one.name));
    }
    if now.parameters != then.parameters {
        en.push("parameters change".to_owned());
        zh.push("参数变更".to_owned());
    }
    if now.protocol_version != then.protocol_version {
        en.push(format!("protocol version {} begins", then.protocol_version));
        zh.push(format!("协议版本 {} 生效", then.protocol_version));
    }
    let mut words = Words::new(
        format!("from block {from} on: {}", en.join(", ")),
        format!("自区块 {from} 起：{}", zh.join("，")),
    );
    if then.protocol_version > PROTOCOL_VERSION {
        words.en.push_str(&format!(
            ". This program implements version {PROTOCOL_VERSION} and will stop there: install a \
             newer one before"
        ));
        words.zh.push_str(&format!(
            "。本程序只实现到版本 {PROTOCOL_VERSION}，将在该处停止：请在此之前安装新版程序"
        ));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_stands_below_the_block_from_which_votes_are_allowed_names_the_way_out() {
        let guard = VoteGuard {
            reason: GuardReason::Restored,
            from: Some(Height(251)),
        };
        let words = forgotten(guard, Height(208), true);
        assert!(
            words.en.contains("no node has the blocks 208 to 250"),
            "{words:?}"
        );
        assert!(
            words.en.contains("`hawser node allow-votes` again"),
            "{words:?}"
        );
        assert!(words.zh.contains("区块 208 至 250"), "{words:?}");
        assert!(
            words.zh.contains("重新执行 `hawser node allow-votes`"),
            "{words:?}"
        );
        // While blocks come, and where it votes for the next one, that is no advice.
        for (next, stalled) in [(208, false), (251, true)] {
            let words = forgotten(guard, Height(next), stalled);
            assert!(
                words.en.ends_with("It votes again from block 251 on"),
                "{words:?}"
            );
            assert!(words.zh.ends_with("从区块 251 起恢复投票"), "{words:?}");
        }
    }

    /// Four validators; the first is this node, and the others are these peers.
    fn committee(peers: [Option<u8>; 3]) -> Vec<ValidatorState> {
        let one = |(i, peer): (u8, Option<u8>)| ValidatorState {
            address: Address::repeat_byte(i),
            name: format!("node{i}"),
            weight: 1,
            own: i == 0,
            peer: peer.map(|peer| PeerId([peer; 32])),
            confirmed: false,
            program: None,
            protocol: None,
            last_height: None,
            silent_ms: None,
        };
        let all = [None].into_iter().chain(peers);
        (0..).zip(all).map(one).collect()
    }

    fn reach(peers: [Option<u8>; 3], linked: &[u8]) -> Reach {
        let linked: Vec<_> = linked.iter().map(|peer| PeerId([*peer; 32])).collect();
        Reach::new(&committee(peers), true, &linked)
    }

    #[test]
    fn only_validators_make_a_quorum() {
        assert!(reach([Some(1), Some(2), None], &[1, 2]).is_quorum());
        // Peers 8 and 9 have no vote, or nothing is known of them.
        let lost = reach([Some(1), None, None], &[1, 8, 9]);
        assert!(!lost.is_quorum());
        let words = lost.lost(5);
        for part in [
            "links: 3 of 5 configured peers are connected; with this node that is 2 of the 3 validators \
             that a quorum needs",
            "2 of the connected peers not counted",
        ] {
            assert!(words.en.contains(part), "{part}: {}", words.en);
        }
        assert!(words.zh.contains("有 2 个不是验证者"), "{}", words.zh);
        // Without such peers nothing is said of them.
        let lost = reach([Some(1), None, None], &[1]);
        assert!(!lost.is_quorum() && !lost.lost(3).en.contains("not counted"));
    }

    #[test]
    fn one_missed_turn_of_a_linked_validator_is_no_news() {
        let states = committee([Some(1), Some(2), None]);
        let said = |i: u8, turns: u32, own: bool| {
            let missed = [(Address::repeat_byte(i), turns)];
            late(&states, own, missed.into_iter()).map(|words| words.en)
        };
        for linked in [0, 1] {
            assert_eq!(said(linked, 1, true), None);
            let words = said(linked, 2, true).unwrap();
            assert!(words.contains(&format!("node{linked} proposed nothing")));
        }
        assert!(said(3, 1, true).unwrap().contains("node3"), "not linked");
        assert_eq!(said(3, 1, false), None, "an observer need not be linked");
        assert!(said(3, 2, false).is_some());
        assert_eq!(said(9, 5, true), None, "left the committee");
    }

    #[test]
    fn a_validator_counts_once_and_while_it_is_linked() {
        assert!(!reach([Some(1), Some(1), Some(1)], &[1]).is_quorum());
        assert!(!reach([Some(1), Some(2), Some(3)], &[1]).is_quorum());
        assert!(reach([Some(1), Some(2), Some(3)], &[1, 3]).is_quorum());
    }
}
