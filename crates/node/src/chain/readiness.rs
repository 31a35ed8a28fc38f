//! What is known of each validator: whether it is heard, what program it runs, and whether it goes on
//! when a protocol version begins.

use hawser_consensus::Election as _;
use hawser_network::PeerId;
use hawser_primitives::{Address, Height};
use serde::Serialize;

use crate::{Rules, Words, replica::Replica};

/// A validator as one node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatorState {
    /// Its address.
    pub address: Address,
    /// Its name in the chain's settings.
    pub name: String,
    /// Its weight.
    pub weight: u64,
    /// Whether it is this node.
    pub own: bool,
    /// The peer that it is; `None` where there is no link to it.
    pub peer: Option<PeerId>,
    /// Whether that peer has brought a vote of it; else the peer only says so.
    pub confirmed: bool,
    /// Version of its program, as it says over its link.
    pub program: Option<String>,
    /// Newest protocol version that its program runs, as it says over its link.
    pub protocol: Option<u32>,
    /// The last height that a vote of it was seen at.
    pub last_height: Option<Height>,
    /// For how long it has been silent, in milliseconds; `None` while it is heard.
    pub silent_ms: Option<u64>,
}

/// Protocol versions, of the chain and of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolState {
    /// Version of the next block.
    pub current: u32,
    /// Newest version that this program runs.
    pub newest: u32,
    /// A later version that is agreed on, if any.
    pub pending: Option<u32>,
    /// From which height on.
    pub pending_from: Option<Height>,
}

/// The protocol versions of a chain on a node.
pub(super) fn protocol(replica: &Replica) -> ProtocolState {
    let rules = replica.rules();
    let tip = replica.tip().height;
    let current = rules.version(tip.next());
    let later = rules
        .schedule()
        .pending(tip)
        .find(|entry| entry.settings.protocol_version > current)
        .map(|entry| (entry.settings.protocol_version, entry.from));
    ProtocolState {
        current,
        newest: replica.program_version(),
        pending: later.map(|(version, _)| version),
        pending_from: later.map(|(_, from)| from),
    }
}

/// The validators of the next block.
pub(super) fn validators(replica: &Replica) -> Vec<ValidatorState> {
    let next = replica.tip().height.next();
    let rules = replica.rules();
    let silent = replica.silent();
    let set = rules.committee(next);
    let members = set.validators().iter();
    members
        .map(|member| {
            let address = member.address();
            let own = replica.address() == Some(address);
            let voice = replica.voice(&address);
            let by_vote = voice.and_then(|voice| voice.peer);
            let by_vote = by_vote.filter(|peer| replica.about(peer).is_some());
            let by_claim = || {
                let mut all = replica.abouts();
                let found = all.find(|(_, about)| about.validator == Some(address));
                found.map(|(peer, _)| *peer)
            };
            let peer = by_vote.or_else(by_claim).filter(|_| !own);
            let about = peer.and_then(|peer| replica.about(&peer));
            let (program, protocol) = if own {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                (Some(version), Some(replica.program_version()))
            } else {
                (
                    about.map(|about| about.program.clone()),
                    about.map(|about| about.protocol),
                )
            };
            let silence = silent.iter().find(|one| one.validator == address);
            ValidatorState {
                address,
                name: rules.name(next, &address).unwrap_or_default().to_owned(),
                weight: member.weight,
                own,
                peer,
                confirmed: by_vote.is_some(),
                program,
                protocol,
                last_height: voice.map(|voice| voice.height),
                silent_ms: silence.map(|one| one.ms),
            }
        })
        .collect()
}

pub(super) fn called(one: &ValidatorState) -> String {
    if one.name.is_empty() {
        one.address.to_string()
    } else {
        one.name.clone()
    }
}

fn list<'a>(
    all: impl Iterator<Item = &'a ValidatorState>,
    tell: impl Fn(&ValidatorState) -> String,
) -> String {
    all.map(tell).collect::<Vec<_>>().join(", ")
}

/// What people should know of the validators, in sentences.
pub(super) fn remarks(
    rules: &Rules,
    next: Height,
    all: &[ValidatorState],
    protocol: ProtocolState,
) -> Vec<Words> {
    let mut words = Vec::new();
    words.extend(silence(next, all));
    words.extend(versions(all));
    let (Some(version), Some(from)) = (protocol.pending, protocol.pending_from) else {
        return words;
    };
    let set = rules.committee(from);
    let ready = |one: &&ValidatorState| one.protocol.is_some_and(|newest| newest >= version);
    let weight: u64 = all
        .iter()
        .filter(ready)
        .filter_map(|one| Some(set.get(&one.address)?.weight))
        .sum();
    words.extend(upgrade(all, version, from, (weight, set.quorum_weight())));
    words
}

/// Who says nothing since when.
fn silence(next: Height, all: &[ValidatorState]) -> Option<Words> {
    let own = all.iter().any(|one| one.own);
    let mut quiet = all.iter().filter(|one| one.silent_ms.is_some()).peekable();
    // Votes reach validators; who only follows need not have a link to each.
    if !own || quiet.peek().is_none() {
        return None;
    }
    let quiet: Vec<_> = quiet.collect();
    let (mut en, mut zh) = (Vec::new(), Vec::new());
    for one in quiet {
        let (name, seconds) = (called(one), one.silent_ms.unwrap_or(0) / 1_000);
        match one.last_height {
            Some(last) => {
                let missed = next.0.saturating_sub(last.0).saturating_sub(1);
                en.push(format!(
                    "{name} for {seconds} s (last vote at block {last}, {missed} blocks were decided without it)"
                ));
                zh.push(format!(
                    "{name} 已 {seconds} 秒（最后一次投票在区块 {last}，此后有 {missed} 个区块在没有它的情况下决定）"
                ));
            }
            None => {
                en.push(format!("{name} since this node started {seconds} s ago"));
                zh.push(format!("{name} 自本节点 {seconds} 秒前启动以来"));
            }
        }
    }
    Some(Words::new(
        format!(
            "validators: nothing is heard from {}. Check that each runs (`hawser doctor` there), that its \
             links are up (`hawser_links`), and that its clock is right",
            en.join("; ")
        ),
        format!(
            "验证者：没有收到以下验证者的消息：{}。请检查其是否在运行（在该机器上执行 `hawser doctor`）、\
             链路是否连通（`hawser_links`）、时钟是否准确",
            zh.join("；")
        ),
    ))
}

/// Validators with another program than this node.
fn versions(all: &[ValidatorState]) -> Option<Words> {
    let own = env!("CARGO_PKG_VERSION");
    let other = |one: &&ValidatorState| one.program.as_deref().is_some_and(|its| its != own);
    let names = list(all.iter().filter(other), |one| {
        format!(
            "{} {}",
            called(one),
            one.program.as_deref().unwrap_or_default()
        )
    });
    (!names.is_empty()).then(|| {
        Words::new(
            format!(
                "versions: this node runs program {own}, others do not ({names}). Bring all to one when \
                 the upgrade is done"
            ),
            format!("版本：本节点运行程序 {own}，其他节点不同（{names}）。升级完成后请统一版本"),
        )
    })
}

/// Who is ready for a protocol version, and what happens to the others.
fn upgrade(
    all: &[ValidatorState],
    version: u32,
    from: Height,
    (weight, quorum): (u64, u64),
) -> Option<Words> {
    let old = |one: &&ValidatorState| one.protocol.is_some_and(|newest| newest < version);
    let unknown = |one: &&ValidatorState| one.protocol.is_none();
    let tell = |one: &ValidatorState| {
        format!(
            "{} ({}, {})",
            called(one),
            one.program.as_deref().unwrap_or("?"),
            one.protocol.unwrap_or(0)
        )
    };
    let stop = list(all.iter().filter(old), tell);
    let unknown = list(all.iter().filter(unknown), called);
    if stop.is_empty() && unknown.is_empty() {
        return None;
    }
    let mut en = format!("upgrade: protocol version {version} begins at block {from}");
    let mut zh = format!("升级：协议版本 {version} 自区块 {from} 起生效");
    if !stop.is_empty() {
        en.push_str(&format!(
            "; these validators will stop there (program, newest protocol version): {stop}. Install a newer \
             program on them before"
        ));
        zh.push_str(&format!(
            "；以下验证者将在该处停止（程序、支持的最新协议版本）：{stop}。请在此之前为其安装新版程序"
        ));
    }
    if !unknown.is_empty() {
        en.push_str(&format!(
            "; not known of: {unknown} (no link to it, or a program that does not say)"
        ));
        zh.push_str(&format!(
            "；情况不明：{unknown}（没有链路，或其程序不报告版本）"
        ));
    }
    if weight < quorum {
        en.push_str(&format!(
            ". ONLY WEIGHT {weight} OF {quorum} NEEDED IS KNOWN TO BE READY: if nothing changes, the chain \
             stands still from there on"
        ));
        zh.push_str(&format!(
            "。已知就绪的权重只有 {weight}，需要 {quorum}：若不处理，链将从该处停止出块"
        ));
    }
    Some(Words::new(en, zh))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, program: Option<&str>, protocol: Option<u32>) -> ValidatorState {
        ValidatorState {
            address: Address::ZERO,
            name: name.to_owned(),
            weight: 1,
            own: name == "own",
            peer: None,
            confirmed: false,
            program: program.map(str::to_owned),
            protocol,
            last_height: None,
            silent_ms: None,
        }
    }

    #[test]
    fn who_would_stop_and_who_is_unknown_are_named() {
        let now = Some(env!("CARGO_PKG_VERSION"));
        let ready = vec![one("own", now, Some(3)), one("a", now, Some(4))];
        assert_eq!(upgrade(&ready, 3, Height(90), (2, 2)), None);
        let mixed = [
            ready.as_slice(),
            &[one("b", Some("0.0.1"), Some(2)), one("c", None, None)],
        ];
        let words = upgrade(&mixed.concat(), 3, Height(90), (2, 3)).unwrap();
        for part in [
            "version 3 begins at block 90",
            "b (0.0.1, 2)",
            "not known of: c",
            "ONLY WEIGHT 2 OF 3",
        ] {
            assert!(words.en.contains(part), "{part}: {}", words.en);
        }
        assert!(words.zh.contains("b (0.0.1, 2)"), "{}", words.zh);
        let enough = upgrade(&mixed.concat(), 3, Height(90), (3, 3)).unwrap();
        assert!(!enough.en.contains("ONLY"));
    }

    #[test]
    fn another_program_is_named_and_the_same_is_not() {
        let now = Some(env!("CARGO_PKG_VERSION"));
        assert_eq!(
            versions(&[one("own", now, None), one("a", None, None)]),
            None
        );
        let words = versions(&[one("own", now, None), one("a", Some("0.0.1"), None)]).unwrap();
        assert!(words.en.contains("a 0.0.1"), "{}", words.en);
    }

    #[test]
    fn silence_is_told_with_its_length_to_validators_only() {
        let mut quiet = one("a", None, None);
        (quiet.silent_ms, quiet.last_height) = (Some(75_900), Some(Height(120)));
        assert_eq!(
            silence(Height(130), std::slice::from_ref(&quiet)),
            None,
            "an observer"
        );
        let all = [one("own", None, None), quiet];
        let words = silence(Height(130), &all).unwrap();
        assert!(
            words
                .en
                .contains("a for 75 s (last vote at block 120, 9 blocks were decided without it)"),
            "{}",
            words.en
        );
        assert_eq!(silence(Height(130), &all[..1]), None);
    }
}
