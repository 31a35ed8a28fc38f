//! When each validator was heard last, which peer it is, and what program that peer says it runs.
//!
//! Only for people: nothing here changes what a replica does. Validators send their own votes and
//! nobody else's, so the peer that brings a validator's genuine vote is taken for that validator.

use std::collections::BTreeMap;

use hawser_consensus::{Election as _, Message, Output, Record};
use hawser_ledger::{Certificate, ValidatorSet};
use hawser_network::PeerId;
use hawser_primitives::{Address, Height, Time};

use super::{
    PeerMessage, Replica, Report, To,
    wire::{About, FEATURE_ABOUT, PROGRAM_BYTES_MAX},
};

/// How often a vote that came too late to count is verified, per peer and per validator, to learn
/// that its validator is there, in milliseconds.
const LATE_VOTE_MS: u64 = 1_000;
/// Silence from which on a validator is called silent, in milliseconds.
pub const SILENT_MS: u64 = 10_000;
/// Blocks that have to be decided meanwhile. While one is not decided for want of votes, who says over its link
/// how far it is counts as heard: nobody votes much where rounds do not move.
pub const SILENT_BLOCKS: u64 = 3;
/// Status messages between two repetitions of what program this is, which may have been lost.
const ABOUT_EVERY: u8 = 30;

/// When a validator was heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// When, by this node's clock.
    pub at: Time,
    /// At which height.
    pub height: Height,
    /// The peer that brought its vote; `None` while only certificates show it.
    pub peer: Option<PeerId>,
}

/// A validator that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Which.
    pub validator: Address,
    /// For how long, in milliseconds; at least since this node started.
    pub ms: u64,
    /// The last height that it voted at; `None` if this node has not heard it at all.
    pub last: Option<Height>,
    /// Blocks decided without it since.
    pub blocks: u64,
}

/// What is known of validators' presence.
#[derive(Debug)]
pub(super) struct Voices {
    heard: BTreeMap<Address, Voice>,
    late: BTreeMap<PeerId, Time>,
    abouts: BTreeMap<PeerId, About>,
    /// When this node was told its first event, and its tip then.
    began: Option<(Time, Height)>,
    turns: u8,
}

impl Voices {
    pub(super) const fn new() -> Self {
        Self {
            heard: BTreeMap::new(),
            late: BTreeMap::new(),
            abouts: BTreeMap::new(),
            began: None,
            turns: 0,
        }
    }

    pub(super) fn begin(&mut self, now: Time, tip: Height) {
        self.began.get_or_insert((now, tip));
    }

    pub(super) fn forget_peer(&mut self, peer: &PeerId) {
        self.late.remove(peer);
        self.abouts.remove(peer);
    }

    fn heard(
        &mut self,
        now: Time,
        (validator, peer): (Address, Option<PeerId>),
        height: Height,
        set: &ValidatorSet,
    ) {
        if !self.heard.contains_key(&validator) {
            // Bounded by the committee: those that left it are forgotten.
            self.heard.retain(|address, _| set.get(address).is_some());
        }
        let voice = self.heard.entry(validator).or_insert(Voice {
            at: now,
            height,
            peer,
        });
        voice.at = voice.at.max(now);
        voice.height = voice.height.max(height);
        voice.peer = peer.or(voice.peer);
    }

    fn wants(&self, now: Time, from: &PeerId, validator: &Address) -> bool {
        let due = |last: Option<Time>| last.is_none_or(|at| now >= at.plus_ms(LATE_VOTE_MS));
        due(self.late.get(from).copied()) && due(self.heard.get(validator).map(|voice| voice.at))
    }
}

/// Who signed a message of one signature.
const fn author(message: &Message) -> Option<Address> {
    match message {
        Message::Vote(signed) => Some(signed.vote.validator),
        Message::Proposal(_) | Message::Polka(_) | Message::Round(_) => None,
    }
}

impl Replica {
    /// Agreement found a vote that a peer brought to be genuine, if it logs it.
    pub(super) fn note_voice(&mut self, from: PeerId, author: Option<Address>, out: &[Output]) {
        let Some(author) = author else {
            return;
        };
        let found = out.iter().find_map(|output| match output {
            Output::Persist(Record::Vote(signed)) if signed.vote.validator == author => {
                Some(signed.vote.height)
            }
            _ => None,
        });
        if let Some(height) = found {
            let set = self.rules.committee(height);
            let who = (author, Some(from));
            self.voices.heard(self.now, who, height, &set);
        }
    }

    /// The author of a message, for [`Self::note_voice`].
    pub(super) fn author_of(&self, message: &Message) -> Option<Address> {
        author(message).filter(|author| Some(*author) != self.address)
    }

    /// A vote came for a height that is decided: its validator is there, if it is genuine.
    pub(super) fn note_late_voice(&mut self, from: PeerId, message: &Message) {
        let Some(author) = self.author_of(message) else {
            return;
        };
        if !self.voices.wants(self.now, &from, &author) {
            return;
        }
        self.voices.late.insert(from, self.now);
        if self.is_from_committee(message) {
            let set = self.rules.committee(self.tip.height);
            let who = (author, Some(from));
            self.voices.heard(self.now, who, message.height(), &set);
        }
    }

    /// A block is final by these votes.
    pub(super) fn note_certificate(&mut self, certificate: &Certificate, set: &ValidatorSet) {
        let height = certificate.height;
        for signature in &certificate.signatures {
            if let Some(validator) = set.address_at(usize::from(signature.validator)) {
                self.voices.heard(self.now, (validator, None), height, set);
            }
        }
    }

    /// When a validator was heard last, by vote or certificate.
    #[must_use]
    pub fn voice(&self, validator: &Address) -> Option<Voice> {
        self.voices.heard.get(validator).copied()
    }

    /// What a peer says of its program.
    #[must_use]
    pub fn about(&self, peer: &PeerId) -> Option<&About> {
        self.voices.abouts.get(peer)
    }

    /// What all connected peers say of their programs.
    pub fn abouts(&self) -> impl Iterator<Item = (&PeerId, &About)> {
        self.voices.abouts.iter()
    }

    /// Validators of the next block that say nothing, as far as this node can tell.
    #[must_use]
    pub fn silent(&self) -> Vec<Silence> {
        let next = self.tip.height.next();
        let Some((began, tip)) = self.voices.began else {
            return Vec::new();
        };
        let waits = self.bft.height() == Some(next) && self.deciding_for_ms() > SILENT_MS;
        let set = self.rules.committee(next);
        let others = set
            .validators()
            .iter()
            .map(hawser_ledger::Validator::address);
        others
            .filter(|address| Some(*address) != self.address)
            .filter_map(|validator| {
                let voice = self.voice(&validator);
                let (at, height) = voice.map_or((began, tip), |voice| (voice.at, voice.height));
                let ms = self.now.since_ms(at);
                let blocks = self.tip.height.0.saturating_sub(height.0);
                let quiet = waits && !self.is_linked(&validator);
                let silent = ms > SILENT_MS && (blocks >= SILENT_BLOCKS || quiet);
                silent.then_some(Silence {
                    validator,
                    ms,
                    last: voice.map(|voice| voice.height),
                    blocks,
                })
            })
            .collect()
    }

    /// Whether the peer that a validator is, by its votes or as it says, has told lately how far it is.
    fn is_linked(&self, validator: &Address) -> bool {
        let by_vote = self.voice(validator).and_then(|voice| voice.peer);
        let mut said = self
            .abouts()
            .filter(|(_, about)| about.validator == Some(*validator));
        let linked = |id: &PeerId| {
            let at = self.peers.get(id).and_then(|peer| peer.status_at);
            at.is_some_and(|at| self.now.since_ms(at) <= SILENT_MS)
        };
        by_vote.is_some_and(|id| linked(&id)) || said.any(|(id, _)| linked(id))
    }

    /// Tells a peer what program this is.
    pub(super) fn send_about(&mut self, to: PeerId) {
        let message = PeerMessage::About(About {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: self.program_version,
            validator: self.address,
        });
        self.send(To::Peer(to), true, &message);
    }

    /// Tells all peers again now and then.
    pub(super) fn repeat_about(&mut self) {
        self.voices.turns = self.voices.turns.saturating_add(1);
        if self.voices.turns >= ABOUT_EVERY {
            self.voices.turns = 0;
            for peer in self.able_peers(FEATURE_ABOUT) {
                self.send_about(peer);
            }
        }
    }

    pub(super) fn on_about(&mut self, from: PeerId, about: About) {
        if about.program.len() > PROGRAM_BYTES_MAX || about.program.contains(char::is_control) {
            let reason = format!(
                "the name of its program has {} bytes or is no text; at most {PROGRAM_BYTES_MAX} \
                 are sent",
                about.program.len()
            );
            self.report(Report::BadMessage { from, reason });
            return;
        }
        self.voices.abouts.insert(from, about);
    }
}
