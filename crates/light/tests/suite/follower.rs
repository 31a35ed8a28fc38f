//! What a follower believes, and whom it breaks with.

use std::collections::BTreeMap;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{
    Certificate, CertifiedHeader, ChainParameters, CommitSignature, Genesis, GenesisValidator,
    Header, LightClient, PROTOCOL_VERSION, Roots, Validator, ValidatorSet, VoteKind, vote_message,
};
use hawser_light::{Action, Event, Follower};
use hawser_network::PeerId;
use hawser_node::light::{LIGHT_HEADERS_MAX, LightHeader, LightRefusal, LightReply};
use hawser_primitives::{Address, B256, ChainId, Height, Round, Time};

const CHAIN: ChainId = ChainId(7);
const SUITE: Suite = Suite::Intl;
const A: PeerId = PeerId([1; 32]);
const B: PeerId = PeerId([2; 32]);
const OLD: &[u8] = &[1, 2, 3, 4];
const NEW: &[u8] = &[3, 4, 5, 6];

fn key(i: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap()
}

fn set(members: &[u8]) -> ValidatorSet {
    let member = |i: &u8| Validator {
        public_key: key(*i).public_key(),
        weight: 1,
    };
    ValidatorSet::new(members.iter().map(member).collect()).unwrap()
}

fn genesis() -> Genesis {
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        name: "light".to_owned(),
        suite: SUITE,
        time: Time(1),
        parameters: ChainParameters::default(),
        validators: OLD
            .iter()
            .map(|i| GenesisValidator {
                name: i.to_string(),
                public_key: key(*i).public_key(),
                weight: 1,
            })
            .collect(),
        governance: None,
        accounts: BTreeMap::new(),
    }
}

/// Header `height` after `parent`, signed by `signers` of `decided`.
fn header(height: u64, parent: B256, decided: &[u8], next: &[u8], signers: &[u8]) -> LightHeader {
    let committee = set(decided);
    let header = Header {
        version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        height: Height(height),
        parent,
        time: Time(height),
        proposer: Address::ZERO,
        transactions_root: B256::ZERO,
        transactions_count: 0,
        executed: Roots::default(),
        validators: committee.hash(SUITE),
        next_validators: set(next).hash(SUITE),
    };
    let block_hash = header.hash(SUITE);
    let (height, round) = (Height(height), Round(0));
    let message = vote_message(CHAIN, height, round, VoteKind::Precommit, Some(block_hash));
    let mut signatures: Vec<_> = signers
        .iter()
        .map(|i| CommitSignature {
            validator: committee.index_of(&key(*i).address()).unwrap() as u16,
            signature: key(*i).sign(&message),
        })
        .collect();
    signatures.sort_by_key(|one| one.validator);
    LightHeader {
        certified: CertifiedHeader {
            header,
            certificate: Certificate {
                height,
                round,
                block_hash,
                signatures,
            },
        },
        next: (decided != next).then(|| set(next)),
    }
}

fn hash(one: &LightHeader) -> B256 {
    one.certified.header.hash(SUITE)
}

/// `count` headers of the first committee from 1 on.
fn chain(count: u64) -> Vec<LightHeader> {
    let mut parent = B256::repeat_byte(9);
    let mut all = Vec::new();
    for height in 1..=count {
        let one = header(height, parent, OLD, OLD, &[1, 2, 3]);
        parent = hash(&one);
        all.push(one);
    }
    all
}

struct World {
    follower: Follower,
    now: u64,
    asked: Option<(PeerId, u64, Height)>,
    dropped: Vec<(PeerId, String)>,
    stored: Vec<LightHeader>,
}

impl World {
    fn new(peers: &[PeerId]) -> Self {
        let client = LightClient::new(&genesis()).unwrap();
        let mut world = Self {
            follower: Follower::new(client, SUITE, None),
            now: 0,
            asked: None,
            dropped: Vec::new(),
            stored: Vec::new(),
        };
        for peer in peers {
            world.event(Event::Up(*peer));
        }
        world
    }

    fn event(&mut self, event: Event) {
        for action in self.follower.handle(self.now, event) {
            match action {
                Action::Ask {
                    to,
                    id,
                    from,
                    count,
                } => {
                    assert_eq!(count, LIGHT_HEADERS_MAX);
                    self.asked = Some((to, id, from));
                }
                Action::Store(headers) => self.stored.extend(headers),
                Action::Drop { peer, reason } => {
                    self.asked.take_if(|asked| asked.0 == peer);
                    self.dropped.push((peer, reason));
                }
            }
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.event(Event::Tick);
    }

    /// Answers the question under way; gives who was asked, and for what height on.
    fn reply(&mut self, head: u64, reply: LightReply) -> (PeerId, Height) {
        let (from, id, height) = self.asked.take().expect("nobody is asked");
        let head = Height(head);
        self.event(Event::Answer {
            from,
            id,
            head,
            reply,
        });
        (from, height)
    }

    fn height(&self) -> u64 {
        self.follower.tip().map_or(0, |tip| tip.header.height.0)
    }
}

#[test]
fn a_chain_is_followed_across_a_change_of_the_committee_and_on_while_it_grows() {
    let mut world = World::new(&[A]);
    let mut all = chain(3);
    let change = header(4, hash(&all[2]), OLD, NEW, &[1, 2, 4]);
    let after = header(5, hash(&change), NEW, NEW, &[4, 5, 6]);
    all.extend([change, after.clone()]);
    world.reply(6, LightReply::Headers(all.clone()));
    assert_eq!((world.height(), world.stored.len()), (5, 5));
    // The peer has more: it is asked at once.
    let last = header(6, hash(&after), NEW, NEW, &[3, 4, 5]);
    let (_, from) = world.reply(6, LightReply::Headers(vec![last.clone()]));
    assert_eq!((from, world.height()), (Height(6), 6));
    // At the head, it is asked again after a while.
    assert_eq!(world.asked, None);
    world.wait(400);
    assert_eq!(world.asked.unwrap().2, Height(7));
    assert!(world.dropped.is_empty());
    let known = world.follower.client().committee_hash(Height(7));
    assert_eq!(known, set(NEW).hash(SUITE));
}

#[test]
fn whatever_no_correct_peer_sends_ends_the_link_and_the_good_part_is_kept() {
    let good = chain(3);
    let third = |decided: &[u8], next: &[u8], signers: &[u8]| {
        header(3, hash(&good[1]), decided, next, signers)
    };
    let mut other_hash = good[2].clone();
    other_hash.certified.certificate.block_hash = B256::repeat_byte(1);
    let mut forged = good[2].clone();
    forged.certified.header.transactions_root = B256::repeat_byte(1);
    let mut bad_signature = good[2].clone();
    bad_signature.certified.certificate.signatures[0].signature = key(9).sign(b"x");
    let mut withheld_committee = third(OLD, NEW, &[1, 2, 3]);
    withheld_committee.next = None;
    let mut wrong_committee = third(OLD, NEW, &[1, 2, 3]);
    wrong_committee.next = Some(set(&[7, 8, 9]));
    let mut needless_committee = good[2].clone();
    needless_committee.next = Some(set(OLD));
    let cases = [
        (third(OLD, OLD, &[1, 2]), "quorum"),
        (third(NEW, NEW, &[3, 4, 5]), "names another committee"),
        (other_hash, "another block"),
        (forged, "another block"),
        (bad_signature, "signature of validator"),
        (withheld_committee, "was not sent with it"),
        (wrong_committee, "does not name the committee"),
        (needless_committee, "names no new committee"),
        (
            header(4, hash(&good[2]), OLD, OLD, &[1, 2, 3]),
            "where 3 follows",
        ),
        (good[1].clone(), "where 3 follows"),
        (
            header(3, B256::repeat_byte(8), OLD, OLD, &[1, 2, 3]),
            "a third of the validators is faulty",
        ),
    ];
    for (bad, words) in cases {
        let mut world = World::new(&[A, B]);
        let sent = vec![good[0].clone(), good[1].clone(), bad];
        world.reply(3, LightReply::Headers(sent));
        assert_eq!(world.dropped.len(), 1, "{words}");
        assert_eq!(world.dropped[0].0, A);
        assert!(world.dropped[0].1.contains(words), "{}", world.dropped[0].1);
        assert_eq!((world.height(), world.stored.len()), (2, 2), "{words}");
        let fork = words.contains("a third");
        assert_eq!(world.follower.forked(), fork.then_some(Height(3)));
        // The other one is asked at once, and nobody the first again.
        let (peer, from) = world.reply(3, LightReply::Headers(vec![good[2].clone()]));
        assert_eq!((peer, from, world.height()), (B, Height(3), 3));
        world.wait(400);
        assert_eq!(world.asked.unwrap().0, B);
    }
}

#[test]
fn answers_of_another_kind_or_too_long_or_of_another_chain_end_the_link() {
    let wrong_chain = LightReply::Refused {
        why: LightRefusal::WrongChain,
        text: "you trust another genesis".to_owned(),
    };
    let one = chain(1)[0].clone();
    let many = |count: u32| LightReply::Headers(vec![one.clone(); count as usize]);
    for (reply, words) in [
        (LightReply::Found(None), "something else"),
        (wrong_chain, "another genesis"),
        (many(LIGHT_HEADERS_MAX + 1), "more than asked for"),
    ] {
        let mut world = World::new(&[A]);
        world.reply(1, reply);
        assert!(world.dropped[0].1.contains(words), "{}", world.dropped[0].1);
        assert_eq!(world.height(), 0);
    }
    // As many as asked for are looked at.
    let mut world = World::new(&[A]);
    world.reply(1, many(LIGHT_HEADERS_MAX));
    assert!(world.dropped[0].1.contains("where 2 follows"));
    assert_eq!(world.height(), 1);
}

#[test]
fn a_peer_that_hides_or_is_silent_is_passed_over_for_a_while() {
    let all = chain(2);
    let mut world = World::new(&[A, B]);
    // It claims two and shows none.
    let (first, _) = world.reply(2, LightReply::Headers(Vec::new()));
    assert_eq!(first, A);
    assert_eq!(world.asked.unwrap().0, B, "the other one is asked at once");
    world.reply(2, LightReply::Headers(all));
    assert_eq!(world.height(), 2);
    // Its turn comes again after its pause, and it says nothing.
    world.wait(400);
    assert_eq!(world.asked.take().unwrap().0, B);
    world.wait(2_999);
    assert_eq!(world.asked, None);
    world.wait(1);
    assert_eq!(world.asked.unwrap().0, A);
    // One that hides the newest by claiming less is one of several that are asked in turn.
    world.reply(2, LightReply::Headers(Vec::new()));
    world.wait(2_000);
    assert_eq!(world.asked.unwrap().0, B);
    assert!(world.dropped.is_empty());
}

#[test]
fn late_and_unasked_answers_change_nothing() {
    let mut world = World::new(&[A, B]);
    let (to, id, _) = world.asked.unwrap();
    let forged = header(1, B256::ZERO, OLD, OLD, &[1]);
    for (from, id) in [(B, id), (to, id + 1), (to, 3)] {
        world.event(Event::Answer {
            from,
            id,
            head: Height(1),
            reply: LightReply::Headers(vec![forged.clone()]),
        });
    }
    assert!(world.dropped.is_empty());
    assert_eq!(world.height(), 0);
    world.event(Event::Down(to));
    world.event(Event::Answer {
        from: to,
        id,
        head: Height(1),
        reply: LightReply::Headers(vec![forged]),
    });
    assert!(world.dropped.is_empty());
    assert_eq!(world.asked.unwrap().0, B);
}
