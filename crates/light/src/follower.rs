//! Following a chain by its headers, as a pure state machine.

use std::collections::BTreeMap;

use hawser_crypto::Suite;
use hawser_ledger::{CommitteeChange, Header, LightClient};
use hawser_network::PeerId;
use hawser_node::light::{LIGHT_HEADERS_MAX, LightHeader, LightRefusal, LightReply};
use hawser_primitives::{B256, Height};

/// Numbers of requests for headers; questions of clients have lower ones.
const FIRST_ID: u64 = 1 << 63;
/// How often a peer is asked whether there is something new, in milliseconds. Peers take turns, so
/// that one that hides what is new hides it for one turn.
const POLL_MS: u64 = 400;
/// Wait for an answer before another peer is asked, in milliseconds.
const ANSWER_MS: u64 = 3_000;
/// How long a peer is not asked after it did not answer as it should, in milliseconds.
const PAUSE_MS: u64 = 2_000;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A link to a peer is up.
    Up(PeerId),
    /// It is down.
    Down(PeerId),
    /// A peer answered.
    Answer {
        /// Who.
        from: PeerId,
        /// Which question.
        id: u64,
        /// How far the peer claims to be.
        head: Height,
        /// What it says.
        reply: LightReply,
    },
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a peer for headers.
    Ask {
        /// Whom.
        to: PeerId,
        /// Number of the question.
        id: u64,
        /// First height wanted.
        from: Height,
        /// How many.
        count: u32,
    },
    /// Keep verified headers, which follow those kept before.
    Store(Vec<LightHeader>),
    /// Break with a peer: it sent what no correct peer sends.
    Drop {
        /// Whom.
        peer: PeerId,
        /// What it sent.
        reason: String,
    },
}

/// The last verified header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    head: Height,
    paused_until_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: PeerId,
    id: u64,
    until_ms: u64,
}

/// Follows one chain. It reads no clock, draws no random number and does no I/O.
pub struct Follower {
    client: LightClient,
    suite: Suite,
    tip: Option<Tip>,
    peers: BTreeMap<PeerId, Peer>,
    asked: Option<Asked>,
    last_asked: Option<PeerId>,
    next_id: u64,
    poll_at_ms: u64,
    now_ms: u64,
    forked: Option<Height>,
}

impl Follower {
    /// A follower that goes on after `tip`, or begins at the genesis.
    #[must_use]
    pub fn new(client: LightClient, suite: Suite, tip: Option<Header>) -> Self {
        let tip = tip.map(|header| Tip {
            hash: header.hash(suite),
            header,
        });
        Self {
            client,
            suite,
            tip,
            peers: BTreeMap::new(),
            asked: None,
            last_asked: None,
            next_id: FIRST_ID,
            poll_at_ms: 0,
            now_ms: 0,
            forked: None,
        }
    }

    /// Whether a number is that of a request for headers.
    #[must_use]
    pub const fn is_own(id: u64) -> bool {
        id >= FIRST_ID
    }

    /// The last verified header.
    #[must_use]
    pub const fn tip(&self) -> Option<&Tip> {
        self.tip.as_ref()
    }

    /// What is believed about the committees.
    #[must_use]
    pub const fn client(&self) -> &LightClient {
        &self.client
    }

    /// Connected peers and how far they claim to be.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, Height)> {
        self.peers.iter().map(|(id, peer)| (*id, peer.head))
    }

    /// The highest claim of a connected peer.
    #[must_use]
    pub fn target(&self) -> Height {
        let heads = self.peers.values().map(|peer| peer.head);
        heads.max().unwrap_or(Height::GENESIS)
    }

    /// A height for which two headers with valid certificates were seen: a third of the validators
    /// is faulty.
    #[must_use]
    pub const fn forked(&self) -> Option<Height> {
        self.forked
    }

    fn height(&self) -> Height {
        self.tip
            .as_ref()
            .map_or(Height::GENESIS, |tip| tip.header.height)
    }

    /// Takes in an event at a time in milliseconds; gives what must be done, in order.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        self.now_ms = self.now_ms.max(now_ms);
        let mut actions = Vec::new();
        match event {
            Event::Up(peer) => {
                self.peers.insert(peer, Peer::default());
                self.poll_at_ms = self.poll_at_ms.min(self.now_ms);
            }
            Event::Down(peer) => {
                self.peers.remove(&peer);
                self.asked.take_if(|asked| asked.peer == peer);
            }
            Event::Answer {
                from,
                id,
                head,
                reply,
            } => self.answered(from, id, head, reply, &mut actions),
            Event::Tick => {}
        }
        self.advance(&mut actions);
        actions
    }

    fn pause(&mut self, peer: &PeerId) {
        let until = self.now_ms.saturating_add(PAUSE_MS);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.paused_until_ms = until;
            // What it claimed and did not show counts no longer.
            peer.head = Height::GENESIS;
        }
    }

    fn advance(&mut self, actions: &mut Vec<Action>) {
        let late = self.asked.take_if(|asked| asked.until_ms <= self.now_ms);
        if let Some(asked) = late {
            self.pause(&asked.peer);
        }
        if self.asked.is_some() || self.now_ms < self.poll_at_ms {
            return;
        }
        let ready: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.paused_until_ms <= self.now_ms)
            .map(|(id, _)| *id)
            .collect();
        let after = ready
            .iter()
            .find(|id| self.last_asked.is_none_or(|last| **id > last));
        if let Some(peer) = after.or(ready.first()).copied() {
            self.ask(peer, actions);
        }
    }

    fn ask(&mut self, to: PeerId, actions: &mut Vec<Action>) {
        let id = self.next_id;
        // Never down to the numbers of others.
        self.next_id = id.wrapping_add(1).max(FIRST_ID);
        self.last_asked = Some(to);
        self.asked = Some(Asked {
            peer: to,
            id,
            until_ms: self.now_ms.saturating_add(ANSWER_MS),
        });
        actions.push(Action::Ask {
            to,
            id,
            from: self.height().next(),
            count: LIGHT_HEADERS_MAX,
        });
    }

    fn answered(
        &mut self,
        from: PeerId,
        id: u64,
        head: Height,
        reply: LightReply,
        actions: &mut Vec<Action>,
    ) {
        let asked = |asked: &mut Asked| asked.peer == from && asked.id == id;
        if self.asked.take_if(asked).is_none() {
            // Late, or to nobody's question.
            return;
        }
        self.poll_at_ms = self.now_ms.saturating_add(POLL_MS);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.head = head;
        }
        let headers = match reply {
            LightReply::Headers(headers) => headers,
            LightReply::Refused {
                why: LightRefusal::WrongChain,
                text,
            } => return self.drop_peer(from, text, actions),
            LightReply::Refused { .. } => {
                self.pause(&from);
                self.poll_at_ms = self.now_ms;
                return;
            }
            _ => {
                let reason = "answered a request for headers with something else".to_owned();
                return self.drop_peer(from, reason, actions);
            }
        };
        if headers.len() > LIGHT_HEADERS_MAX as usize {
            let reason = format!("sent {} headers, more than asked for", headers.len());
            return self.drop_peer(from, reason, actions);
        }
        let mut verified = Vec::with_capacity(headers.len());
        let mut wrong = None;
        for one in headers {
            match self.take(&one) {
                Ok(tip) => {
                    self.tip = Some(tip);
                    verified.push(one);
                }
                Err(reason) => {
                    wrong = Some(reason);
                    break;
                }
            }
        }
        let progress = !verified.is_empty();
        if progress {
            actions.push(Action::Store(verified));
        }
        if let Some(reason) = wrong {
            return self.drop_peer(from, reason, actions);
        }
        if head > self.height() {
            if progress {
                // Behind, and the peer shows what it has: go on with it.
                self.poll_at_ms = self.now_ms;
                self.ask(from, actions);
            } else {
                // It claims what it does not show.
                self.pause(&from);
                self.poll_at_ms = self.now_ms;
            }
        }
    }

    fn drop_peer(&mut self, peer: PeerId, reason: String, actions: &mut Vec<Action>) {
        self.peers.remove(&peer);
        self.poll_at_ms = self.now_ms;
        actions.push(Action::Drop { peer, reason });
    }

    /// Verifies the header that is to follow the tip.
    fn take(&mut self, one: &LightHeader) -> Result<Tip, String> {
        let header = &one.certified.header;
        let expected = self.height().next();
        if header.height != expected {
            return Err(format!(
                "sent header {} where {expected} follows",
                header.height
            ));
        }
        let hash = self
            .client
            .verify_header(&one.certified)
            .map_err(|error| format!("header {expected}: {error}"))?;
        if self
            .tip
            .as_ref()
            .is_some_and(|tip| tip.hash != header.parent)
        {
            // Both are signed by a quorum, so some validators signed both.
            self.forked = Some(header.height);
            return Err(format!(
                "header {expected} is final and follows another header than the final one that is \
                 known here: a third of the validators is faulty"
            ));
        }
        match (&one.next, header.next_validators != header.validators) {
            (None, false) => {}
            (Some(next), true) => {
                let change = CommitteeChange {
                    header: header.clone(),
                    certificate: one.certified.certificate.clone(),
                    next: next.clone(),
                };
                self.client
                    .follow(&change)
                    .map_err(|error| format!("header {expected}: {error}"))?;
            }
            (None, true) => {
                return Err(format!(
                    "header {expected} names a new committee, which was not sent with it"
                ));
            }
            (Some(_), false) => {
                return Err(format!(
                    "header {expected} names no new committee, but one was sent with it"
                ));
            }
        }
        debug_assert_eq!(hash, header.hash(self.suite));
        Ok(Tip {
            header: header.clone(),
            hash,
        })
    }
}
