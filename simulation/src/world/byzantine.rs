//! What Byzantine validators say. Each runs the real replica; what leaves it is replaced, doubled,
//! held back or added to here. They know of one another's lies and tell the same ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hawser_consensus::{Message, Proposal, SignedProposal, SignedVote, Vote};
use hawser_crypto::Suite;
use hawser_ledger::{Block, VoteKind};
use hawser_node::replica::{Event, PeerMessage};
use hawser_primitives::{
    B256, Bytes, Height, Round, decode_exact, encode,
    limits::{FRAME_BYTES_MAX, PART_BYTES},
};
use rand::Rng;

use super::{What, World, node_of};
use crate::Misdeed;

/// Messages that a Byzantine node keeps for saying them again.
const KEPT: usize = 128;
/// Messages of each kind that it says again on another chain, at a time.
const CARRIED: usize = 4;

type Turn = (Height, Round);

/// What Byzantine validators know.
#[derive(Default)]
pub(super) struct Mischief {
    /// Blocks that their replicas built, and those made up, by hash.
    blocks: BTreeMap<B256, Block>,
    /// A block of their own, and the other one that half of the network sees, by turn.
    twins: BTreeMap<Turn, (B256, B256)>,
    /// Turns that were decided upon: each lie is told to all or to nobody.
    settled: BTreeSet<Turn>,
    /// What a block of their own is replaced by, everywhere.
    instead: BTreeMap<B256, B256>,
    /// What was proposed, by turn.
    proposals: BTreeMap<Turn, B256>,
    said: Vec<VecDeque<Bytes>>,
    heard: Vec<VecDeque<Bytes>>,
    /// Transactions of final blocks.
    old: VecDeque<Bytes>,
    acts: u64,
}

impl Mischief {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            said: vec![VecDeque::new(); nodes],
            heard: vec![VecDeque::new(); nodes],
            ..Self::default()
        }
    }

    /// Number of misdeeds so far.
    pub(super) const fn acts(&self) -> u64 {
        self.acts
    }

    /// A Byzantine node's replica built a block, or found one valid.
    pub(super) fn built(&mut self, suite: Suite, block: &Block) {
        self.blocks.insert(block.hash(suite), block.clone());
        // Those of decided heights are of no use any more; a few per height remain.
        let height = block.header.height;
        self.blocks
            .retain(|_, one| one.header.height.0.saturating_add(2) >= height.0);
    }

    pub(super) fn keep(&mut self, hash: B256, block: Block) {
        self.blocks.insert(hash, block);
    }

    /// A Byzantine node's replica has a final block.
    pub(super) fn decided(&mut self, block: &Block) {
        for raw in block.transactions.iter().take(8) {
            push(&mut self.old, raw.clone());
        }
    }

    pub(super) fn old(&self) -> impl Iterator<Item = &Bytes> {
        self.old.iter()
    }

    /// Some of what a node has said and heard last.
    pub(super) fn remembered(&self, node: usize) -> impl Iterator<Item = &Bytes> {
        let lists = [&self.said, &self.heard].into_iter();
        let lists = lists.filter_map(move |list| list.get(node));
        lists.flat_map(|list| list.iter().rev().take(CARRIED))
    }

    pub(super) fn made_up(&self) -> impl Iterator<Item = &B256> {
        self.blocks.keys()
    }

    pub(super) fn proposed(&mut self, turn: Turn, block: B256) {
        self.proposals.insert(turn, block);
    }

    pub(super) fn proposal(&self, turn: Turn) -> Option<B256> {
        self.proposals.get(&turn).copied()
    }

    /// What a node votes for where its replica votes for `block`, when it speaks to `target`.
    fn vote_for(&self, turn: Turn, block: Option<B256>, target: usize) -> Option<B256> {
        match self.twins.get(&turn) {
            Some((even, _)) if target.is_multiple_of(2) => Some(*even),
            Some((_, odd)) => Some(*odd),
            None => block.map(|block| self.instead.get(&block).copied().unwrap_or(block)),
        }
    }
}

fn push(list: &mut VecDeque<Bytes>, bytes: Bytes) {
    list.push_back(bytes);
    if list.len() > KEPT {
        list.pop_front();
    }
}

pub(super) fn agreement(message: Message) -> Bytes {
    encode(&PeerMessage::Agreement(message)).into()
}

/// The messages that carry a block's body.
fn parts(hash: B256, block: &Block) -> Vec<Bytes> {
    let bytes = Bytes::from(encode(block));
    let total = u16::try_from(bytes.len().div_ceil(PART_BYTES)).unwrap_or(u16::MAX);
    let starts = (0..bytes.len()).step_by(PART_BYTES);
    let part = |(index, start): (u16, usize)| {
        let end = start.saturating_add(PART_BYTES).min(bytes.len());
        let message = PeerMessage::Part {
            height: block.header.height,
            block: hash,
            index,
            total,
            bytes: bytes.slice(start..end),
        };
        Bytes::from(encode(&message))
    };
    (0..total).zip(starts).map(part).collect()
}

impl World {
    pub(super) fn does(&self, misdeed: Misdeed) -> bool {
        self.plan.misdeeds.has(misdeed)
    }

    /// Draws whether a misdeed is done now.
    pub(super) fn tempted(&mut self, misdeed: Misdeed, per_mille: u32) -> bool {
        if !self.does(misdeed) || self.dice.mischief.random_range(0..1_000) >= per_mille {
            return false;
        }
        let done = self.allowed();
        self.mischief.acts = self.mischief.acts.saturating_add(u64::from(done));
        done
    }

    /// Signs a vote in a Byzantine node's own name.
    pub(super) fn sign_vote(&mut self, node: usize, vote: Vote) -> Option<Bytes> {
        let key = self.nodes.get(node)?.key.clone()?;
        self.oracle.on_made(&vote);
        let signature = key.sign(&vote.message(self.chain));
        Some(agreement(Message::Vote(SignedVote { vote, signature })))
    }

    fn sign_proposal(&self, node: usize, proposal: Proposal) -> Option<Bytes> {
        let key = self.nodes.get(node)?.key.as_ref()?;
        let signature = key.sign(&proposal.message(self.chain));
        let signed = SignedProposal {
            proposal,
            signature,
        };
        Some(agreement(Message::Proposal(signed)))
    }

    /// Sends to each target what a Byzantine node tells it.
    pub(super) fn send_otherwise(
        &mut self,
        from: usize,
        targets: &[usize],
        urgent: bool,
        message: &PeerMessage,
        bytes: &Bytes,
    ) {
        if let PeerMessage::Agreement(said) = message {
            if let Some(said_before) = self.mischief.said.get_mut(from) {
                push(said_before, bytes.clone());
            }
            self.decide_on_turn(from, said);
        }
        for target in targets {
            let mut list = self.told(from, *target, message, bytes);
            if self.tempted(Misdeed::Withhold, 250) {
                list.clear();
            }
            self.embellish(from, message, bytes, &mut list);
            for bytes in list {
                self.transmit(from, *target, urgent, &bytes);
            }
        }
    }

    /// The turn and block of a proposal that a Byzantine node is making. Its own prevote leaves before
    /// the proposal.
    fn own_turn(&self, from: usize, said: &Message) -> Option<(Turn, B256)> {
        let own = self.address(from)?;
        match said {
            Message::Proposal(signed) if signed.proposal.proposer == own => {
                let proposal = &signed.proposal;
                Some(((proposal.height, proposal.round), proposal.block))
            }
            Message::Vote(signed) if signed.vote.validator == own => {
                let vote = &signed.vote;
                let (turn, block) = ((vote.height, vote.round), vote.block?);
                let built = self.mischief.blocks.get(&block)?.header.proposer == own;
                let first = vote.kind == VoteKind::Prevote;
                // A block of its own that somebody else proposes again was heard of before.
                let mine = built && first && self.mischief.proposal(turn).is_none();
                mine.then_some((turn, block))
            }
            _ => None,
        }
    }

    /// Whether a proposal of a Byzantine node is replaced by a bad one, or gets a twin.
    fn decide_on_turn(&mut self, from: usize, said: &Message) {
        let Some((turn, proposed)) = self.own_turn(from, said) else {
            return;
        };
        if !self.mischief.settled.insert(turn) {
            return;
        }
        let Some(block) = self.mischief.blocks.get(&proposed).cloned() else {
            return;
        };
        if self.tempted(Misdeed::BadBlocks, 500) {
            let bad = self.spoil(block);
            let hash = bad.hash(self.plan.suite);
            self.mischief.keep(hash, bad);
            self.mischief.instead.insert(proposed, hash);
        } else if self.tempted(Misdeed::Equivocate, 700) {
            let mut twin = block;
            twin.header.time = twin.header.time.plus_ms(1);
            let hash = twin.hash(self.plan.suite);
            self.mischief.keep(hash, twin);
            self.mischief.twins.insert(turn, (proposed, hash));
        }
    }

    /// What a target is told in the place of a message.
    fn told(
        &mut self,
        from: usize,
        target: usize,
        message: &PeerMessage,
        bytes: &Bytes,
    ) -> Vec<Bytes> {
        let as_it_is = vec![bytes.clone()];
        match message {
            PeerMessage::Agreement(Message::Proposal(signed)) => {
                let mut proposal = signed.proposal.clone();
                let turn = (proposal.height, proposal.round);
                let told = self.mischief.vote_for(turn, Some(proposal.block), target);
                match told {
                    Some(hash) if hash != proposal.block => {
                        proposal.block = hash;
                        let mut list: Vec<_> =
                            self.sign_proposal(from, proposal).into_iter().collect();
                        if let Some(block) = self.mischief.blocks.get(&hash) {
                            list.extend(parts(hash, block));
                        }
                        list
                    }
                    _ => as_it_is,
                }
            }
            PeerMessage::Agreement(Message::Vote(signed))
                if Some(signed.vote.validator) == self.address(from) =>
            {
                let mut vote = signed.vote.clone();
                let turn = (vote.height, vote.round);
                let mut block = self.mischief.vote_for(turn, vote.block, target);
                if block == vote.block
                    && !target.is_multiple_of(2)
                    && self.tempted(Misdeed::Equivocate, 200)
                {
                    // Nothing where it voted for something, or what was proposed where for nothing.
                    block = match vote.block {
                        Some(_) => None,
                        None => self.mischief.proposal(turn),
                    };
                }
                if block == vote.block {
                    return as_it_is;
                }
                vote.block = block;
                self.sign_vote(from, vote).into_iter().collect()
            }
            PeerMessage::Part { block, .. } if self.is_replaced(*block, target) => Vec::new(),
            PeerMessage::Compact(compact) => {
                let hash = compact.header.hash(self.plan.suite);
                if self.is_replaced(hash, target) {
                    return Vec::new();
                }
                as_it_is
            }
            _ => as_it_is,
        }
    }

    /// Whether a target is told another block in this one's place.
    fn is_replaced(&self, block: B256, target: usize) -> bool {
        let odd = !target.is_multiple_of(2);
        let twins = self.mischief.twins.values();
        self.mischief.instead.contains_key(&block)
            || (odd && twins.into_iter().any(|(even, _)| *even == block))
    }

    /// Adds what is said beside what is told.
    fn embellish(
        &mut self,
        from: usize,
        message: &PeerMessage,
        bytes: &Bytes,
        list: &mut Vec<Bytes>,
    ) {
        if self.tempted(Misdeed::Replay, 80) {
            let own = self.dice.mischief.random_bool(0.5);
            let lists = match own {
                true => &self.mischief.said,
                false => &self.mischief.heard,
            };
            let old = lists.get(from).filter(|old| !old.is_empty());
            if let Some(old) = old {
                let at = self.dice.mischief.random_range(0..old.len());
                list.extend(old.get(at).cloned());
            }
        }
        if self.tempted(Misdeed::Garbage, 50) {
            list.push(self.garbage(bytes));
        }
        if let PeerMessage::Agreement(Message::Vote(signed)) = message
            && self.tempted(Misdeed::Forge, 300)
        {
            list.extend(self.forged_votes(from, &signed.vote));
        }
    }

    /// Random bytes, or a message with an inverted bit.
    pub(super) fn garbage(&mut self, of: &Bytes) -> Bytes {
        let dice = &mut self.dice.mischief;
        if of.is_empty() || dice.random_bool(0.4) {
            let len = dice.random_range(0..2_000);
            return (0..len).map(|_| dice.random()).collect::<Vec<u8>>().into();
        }
        let mut bytes = of.to_vec();
        let at = dice.random_range(0..bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << dice.random_range(0..8);
        }
        if dice.random_bool(0.2) {
            bytes.truncate(at);
        }
        bytes.into()
    }

    /// Takes a message from a Byzantine node's replica and answers it another way, where it has one.
    pub(super) fn answers_itself(&mut self, node: usize, event: &Event) -> bool {
        let Event::Message { from, bytes } = event else {
            return false;
        };
        if !self.is_byzantine(node) {
            return false;
        }
        let Ok(message) = decode_exact::<PeerMessage>(bytes, FRAME_BYTES_MAX) else {
            return false;
        };
        match message {
            PeerMessage::Agreement(said) => {
                if let Message::Proposal(signed) = &said {
                    let proposal = &signed.proposal;
                    let turn = (proposal.height, proposal.round);
                    self.mischief.proposed(turn, proposal.block);
                }
                if let Some(heard) = self.mischief.heard.get_mut(node) {
                    push(heard, bytes.clone());
                }
                false
            }
            PeerMessage::BodyRequest { block, .. } => {
                let known = self.mischief.blocks.get(&block);
                let Some(list) = known.map(|known| parts(block, known)) else {
                    return false;
                };
                for bytes in list {
                    self.transmit(node, node_of(*from), true, &bytes);
                }
                true
            }
            PeerMessage::BlocksRequest { from: first, .. } if self.does(Misdeed::FalseSync) => {
                let Some(bytes) = self.false_blocks(node, first) else {
                    return false;
                };
                self.mischief.acts = self.mischief.acts.saturating_add(1);
                self.transmit(node, node_of(*from), false, &bytes);
                true
            }
            _ => false,
        }
    }

    /// A Byzantine node does something of its own accord.
    pub(super) fn misbehave(&mut self, node: usize) {
        let next = self.dice.mischief.random_range(200..1_200);
        self.schedule(next, What::Mischief { node });
        let running = self.nodes.get(node).and_then(|sim| sim.running.as_ref());
        let Some(tip) = running.map(|running| running.replica.tip().height) else {
            return;
        };
        if self.tempted(Misdeed::FalseSync, 600) {
            let ahead = self.dice.mischief.random_range(1..8);
            let status = PeerMessage::Status {
                genesis: self.genesis.hash(),
                height: Height(tip.0.saturating_add(ahead)),
            };
            self.shout(node, &encode(&status).into());
        }
        if self.tempted(Misdeed::Flood, 500) {
            self.flood(node, tip.next());
        }
        if self.plan.chains > 1 && self.tempted(Misdeed::Replay, 500) {
            self.carry_over(node);
        }
    }

    /// Sends the same to all.
    pub(super) fn shout(&mut self, node: usize, bytes: &Bytes) {
        for target in (0..self.nodes.len()).filter(|target| *target != node) {
            self.transmit(node, target, true, bytes);
        }
    }

    /// A vote of a Byzantine node for something that nobody proposed.
    pub(super) fn idle_vote(&mut self, node: usize, turn: Turn, kind: VoteKind) -> Option<Bytes> {
        let mut block = [0; 32];
        self.dice.mischief.fill(&mut block);
        let vote = Vote {
            kind,
            height: turn.0,
            round: turn.1,
            block: Some(B256::from(block)),
            validator: self.address(node)?,
        };
        self.sign_vote(node, vote)
    }
}
