use hawser_primitives::{Address, B256, ChainId};

use super::*;
use crate::blackbox::entry::{DiskFile, Entry, NoteKind};

const BLOCK: Short = Short([0xab, 0, 0, 1]);

fn address(i: u8) -> Address {
    Address::repeat_byte(i)
}

fn members() -> Vec<Member> {
    (1..=4)
        .map(|i| Member {
            address: address(i),
            name: format!("v{i}"),
            weight: 1,
        })
        .collect()
}

/// What the node of validator `i` records, whose clock is ahead by so much.
struct Node {
    recording: Recording,
    ahead: i64,
}

impl Node {
    fn new(i: u8, ahead: i64) -> Self {
        let identity = Identity {
            chain: ChainId(7),
            genesis: B256::ZERO,
            node: format!("node{i}"),
            program: "1".to_owned(),
            protocol: 1,
            validator: Some(address(i)),
        };
        let mut node = Self {
            recording: Recording {
                identity: Some(identity),
                ..Recording::default()
            },
            ahead,
        };
        node.at(900, 0, What::Committee(members()));
        node
    }

    fn at(&mut self, at: u64, height: u64, what: What) {
        self.recording.entries.push(Entry {
            at: Time(at.saturating_add_signed(self.ahead)),
            height: Height(height),
            what,
        });
    }

    fn vote(&mut self, at: u64, height: u64, kind: VoteKind, (round, who): (u32, u16)) {
        let round = Round(round);
        let vote = What::Vote {
            kind,
            round,
            validator: who,
            block: Some(BLOCK),
        };
        self.at(at, height, vote);
    }

    /// A height of one round, decided after 100 ms by these.
    fn height(&mut self, at: u64, height: u64, round: u32, voters: &[u16]) {
        let (proposer, r) = (u16::try_from(height % 4).unwrap(), Round(round));
        self.at(at, height, What::Round { round: r, proposer });
        let proposal = What::Proposal {
            round: r,
            proposer,
            block: BLOCK,
        };
        self.at(at + 10, height, proposal);
        let body = What::Body {
            round: r,
            block: BLOCK,
            valid: true,
        };
        self.at(at + 20, height, body);
        for (kind, after) in [(VoteKind::Prevote, 30), (VoteKind::Precommit, 60)] {
            for who in voters {
                self.vote(at + after, height, kind, (round, *who));
            }
        }
        if voters.len() >= 3 {
            let decided = What::Decided {
                round: r,
                block: BLOCK,
                transactions: 5,
            };
            self.at(at + 100, height, decided);
        }
    }
}

fn english(timeline: &Timeline, height: u64) -> Vec<String> {
    let causes = timeline.causes(Height(height)).into_iter();
    causes
        .map(|words| {
            assert!(!words.zh.is_empty());
            words.en
        })
        .collect()
}

#[test]
fn an_ordinary_height_needs_no_explanation() {
    let mut node = Node::new(1, 0);
    node.height(1_000, 1, 0, &[0, 1, 2, 3]);
    let timeline = Timeline::new(&[node.recording], true);
    let view = &timeline.heights[&Height(1)];
    assert_eq!(view.took_ms(Time(9_000)), Some(100));
    assert_eq!((view.transactions, view.quorum()), (Some(5), 3));
    assert!(!timeline.is_remarkable(view, 1_000));
    assert!(timeline.is_remarkable(view, 99));
    assert_eq!(english(&timeline, 1), Vec::<String>::new());
    assert_eq!(timeline.nodes[0].validator, Some(0));
}

#[test]
fn a_proposer_that_is_away_is_told_from_one_that_only_does_not_propose() {
    for (voters, words) in [
        (&[0u16, 1, 3][..], "it is down, or its links are"),
        (&[0, 1, 2, 3], "although it votes"),
    ] {
        let mut node = Node::new(1, 0);
        // Height 2: the validator with index 2 proposes in round 0.
        let (round, proposer) = (Round(0), 2);
        node.at(1_000, 2, What::Round { round, proposer });
        let kind = TimerKind::Propose;
        node.at(1_600, 2, What::Timeout { round, kind });
        node.height(1_700, 2, 1, voters);
        let timeline = Timeline::new(&[node.recording], true);
        assert!(timeline.is_remarkable(&timeline.heights[&Height(2)], 10_000));
        let causes = english(&timeline, 2);
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(
            causes[0].contains("no proposal from v3 within 600 ms"),
            "{causes:?}"
        );
        assert!(causes[0].contains(words), "{causes:?}");
    }
}

#[test]
fn who_did_not_vote_is_named_with_the_weight_that_was_there() {
    let mut node = Node::new(1, 0);
    node.height(1_000, 1, 0, &[0, 1]);
    let what = What::Timeout {
        round: Round(0),
        kind: TimerKind::Prevote,
    };
    node.at(1_500, 1, what);
    let round = What::Round {
        round: Round(1),
        proposer: 2,
    };
    node.at(1_500, 1, round);
    let timeline = Timeline::new(&[node.recording], true);
    let causes = english(&timeline, 1);
    let expected = "round 0: prevotes for block ab000001 of 2 of 4, 3 needed; none from v3, v4 \
                    (given up after 500 ms)";
    assert_eq!(causes[0], expected);
    // The round that runs is explained as well.
    assert!(
        causes[1].starts_with("round 1: no proposal from v3"),
        "{causes:?}"
    );
}

#[test]
fn refusals_and_bodies_that_do_not_come_are_told_apart() {
    for (body, words) in [
        (None, "whose content did not arrive"),
        (Some(false), "was refused"),
    ] {
        let mut node = Node::new(1, 0);
        let (round, proposer) = (Round(0), 1);
        node.at(1_000, 1, What::Round { round, proposer });
        let what = What::Proposal {
            round,
            proposer,
            block: BLOCK,
        };
        node.at(1_010, 1, what);
        if let Some(valid) = body {
            let block = BLOCK;
            node.at(
                1_020,
                1,
                What::Body {
                    round,
                    block,
                    valid,
                },
            );
        }
        let timeline = Timeline::new(&[node.recording], true);
        let causes = english(&timeline, 1);
        assert!(causes[0].contains(words), "{causes:?}");
    }
}

#[test]
fn what_happened_meanwhile_is_said_and_what_happened_before_is_not() {
    let mut node = Node::new(1, 0);
    node.at(500, 0, What::Clock(5_000));
    node.at(1_050, 1, What::Held(3_000));
    node.at(1_060, 1, What::Clock(-700));
    let file = DiskFile::VoteLog;
    node.at(1_070, 1, What::Disk { file, ms: 900 });
    let (kind, text) = (NoteKind::BlockRefused, "why".to_owned());
    node.at(1_080, 1, What::Note { kind, text });
    node.at(1_090, 1, What::Stopped("full disk".to_owned()));
    node.height(1_000, 1, 0, &[0, 1, 2, 3]);
    let timeline = Timeline::new(&[node.recording], true);
    let causes = english(&timeline, 1).join("\n");
    for words in [
        "node1 stood still for 3000 ms",
        "set by -700 ms",
        "took 900 ms to write the vote log",
        "block refused: why",
        "node1 stopped: full disk",
    ] {
        assert!(causes.contains(words), "{words}: {causes}");
    }
    assert!(!causes.contains("5000"), "{causes}");
}

/// Two nodes whose votes take 20 ms to each other.
fn two(ahead: i64) -> [Recording; 2] {
    let (mut one, mut two) = (Node::new(1, 0), Node::new(2, ahead));
    for height in 1..=5u64 {
        let at = 1_000 * height;
        let round = What::Round {
            round: Round(0),
            proposer: 0,
        };
        one.at(at, height, round.clone());
        two.at(at, height, round);
        one.vote(at, height, VoteKind::Prevote, (0, 0));
        two.vote(at + 20, height, VoteKind::Prevote, (0, 0));
        two.vote(at + 5, height, VoteKind::Prevote, (0, 1));
        one.vote(at + 25, height, VoteKind::Prevote, (0, 1));
    }
    [one.recording, two.recording]
}

#[test]
fn clocks_that_differ_are_put_on_one_axis() {
    for ahead in [0, 812, -900] {
        let recordings = two(ahead);
        assert_eq!(offsets_ms(&recordings), [0, ahead]);
        let timeline = Timeline::new(&recordings, true);
        assert_eq!(timeline.nodes[1].clock_ahead_ms, ahead);
        let times: Vec<_> = timeline.happenings.iter().map(|one| one.at).collect();
        assert!(times.is_sorted());
        let first = timeline.heights[&Height(3)].rounds[&Round(0)].prevotes[&1];
        assert_eq!(first.at, Time(3_005), "as cast, by the first node's clock");
        let raw = Timeline::new(&recordings, false);
        assert_eq!(raw.nodes[1].clock_ahead_ms, 0);
    }
    let few = two(50).map(|mut recording| {
        recording.entries.truncate(4);
        recording
    });
    assert_eq!(offsets_ms(&few), [0, 0], "too few votes to tell");
}

#[test]
fn a_window_keeps_what_touches_it() {
    let mut node = Node::new(1, 0);
    for height in 1..=9u64 {
        node.height(1_000 * height, height, 0, &[0, 1, 2]);
    }
    let kept = |window| {
        let mut timeline = Timeline::new(std::slice::from_ref(&node.recording), true);
        timeline.cut(window);
        let heights: Vec<_> = timeline.heights.keys().map(|height| height.0).collect();
        (heights.first().copied(), heights.last().copied())
    };
    let all = Window::default();
    assert_eq!(kept(all), (Some(1), Some(9)));
    let last_ms = Some(1_500);
    assert_eq!(kept(Window { last_ms, ..all }), (Some(8), Some(9)));
    let (from, to) = (Some(Time(3_100)), Some(Time(5_000)));
    assert_eq!(kept(Window { from, to, ..all }), (Some(3), Some(5)));
    let heights = Some((Height(2), Height(4)));
    assert_eq!(kept(Window { heights, ..all }), (Some(2), Some(4)));
    let heights = Some((Height(20), Height(24)));
    assert_eq!(kept(Window { heights, ..all }), (None, None));
}

#[test]
fn a_height_that_was_fetched_ends_there_and_takes_no_later_cause() {
    let mut node = Node::new(1, 0);
    let round = |proposer| What::Round {
        round: Round(0),
        proposer,
    };
    let timeout = || What::Timeout {
        round: Round(0),
        kind: TimerKind::Propose,
    };
    let fetched = || What::Fetched {
        block: BLOCK,
        transactions: 1,
    };
    // Height 1 is fetched after its round failed, 2 as a whole; 3 is passed without a trace.
    node.at(1_000, 1, round(1));
    node.at(1_600, 1, timeout());
    node.at(
        1_601,
        1,
        What::Round {
            round: Round(1),
            proposer: 2,
        },
    );
    node.at(2_000, 1, fetched());
    node.at(2_010, 2, fetched());
    node.at(2_020, 3, round(3));
    node.height(60_000, 4, 0, &[0, 1, 2, 3]);
    node.at(61_000, 4, What::Started);
    node.at(62_000, 4, What::Held(900));
    let all = Timeline::new(std::slice::from_ref(&node.recording), true);
    let ended = |height| all.heights[&Height(height)].ended;
    assert_eq!(ended(1), Some(Time(2_000)));
    assert_eq!(ended(2), Some(Time(2_010)));
    assert_eq!(ended(3), Some(Time(60_000)));
    let causes = english(&all, 1);
    assert!(causes[0].contains("no proposal from v2"), "{causes:?}");
    assert!(
        !causes
            .iter()
            .any(|one| one.contains("started") || one.contains("stood still")),
        "{causes:?}"
    );
    let kept = |window| {
        let mut timeline = all.clone();
        timeline.cut(window);
        timeline.heights.keys().map(|one| one.0).collect::<Vec<_>>()
    };
    let any = Window::default();
    let (from, to) = (Some(Time(60_050)), Some(Time(63_000)));
    assert_eq!(kept(Window { from, to, ..any }), [4]);
    let last_ms = Some(1_950);
    assert_eq!(kept(Window { last_ms, ..any }), [4]);
    let (from, to) = (Some(Time(2_005)), Some(Time(2_015)));
    assert_eq!(kept(Window { from, to, ..any }), [2]);
    assert_eq!(kept(any), [1, 2, 3, 4]);
}
