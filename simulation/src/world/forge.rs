//! What Byzantine validators make up: blocks, votes of others, certificates, floods.

use hawser_consensus::{Election as _, Message, PolkaCertificate, SignedVote, Vote};
use hawser_ledger::{Block, Certificate, CommitSignature, Header, VoteKind, transactions_root};
use hawser_ledger::{Roots, vote_message};
use hawser_node::replica::{CertifiedBlock, Compact, PeerMessage, Relayed};
use hawser_primitives::{B256, Bytes, Height, Round, encode, limits::PART_BYTES};
use rand::Rng;

use super::{World, byzantine::agreement};

/// Transactions that a block over its gas limit has at most.
const HEAVY_MAX: u64 = 4_000;
/// Messages of a flood.
const FLOOD: usize = 80;

impl World {
    fn random_hash(&mut self) -> B256 {
        let mut hash = [0; 32];
        self.dice.mischief.fill(&mut hash);
        B256::from(hash)
    }

    /// A block with something wrong in it.
    pub(super) fn spoil(&mut self, block: Block) -> Block {
        let Block {
            mut header,
            mut transactions,
        } = block;
        match self.dice.mischief.random_range(0..8) {
            0 => header.parent = self.random_hash(),
            1 => header.time = hawser_primitives::Time(self.now.0.saturating_sub(3_600_000)),
            2 => header.time = header.time.plus_ms(3_600_000),
            3 => {
                header.executed = Roots {
                    state: self.random_hash(),
                    ..header.executed
                }
            }
            4 => header.next_validators = self.random_hash(),
            5 => {
                let one = transactions.first().or(self.mischief.old().last());
                if let Some(one) = one.cloned() {
                    let settings = self.oracle.model().at(header.height);
                    // Clients ask for half a million each, or for less.
                    let count = settings.parameters.block_gas_max / 60_000;
                    let count = count.saturating_add(1).min(HEAVY_MAX);
                    transactions.extend((0..count).map(|_| one.clone()));
                }
            }
            6 => {
                let forged = self.clients.forged(self.now);
                transactions.extend(forged.map(|forged| forged.raw));
            }
            // Valid: what was executed before is skipped.
            _ => transactions.extend(self.mischief.old().cloned()),
        }
        header.transactions_root = transactions_root(self.plan.suite, &transactions);
        header.transactions_count = u32::try_from(transactions.len()).unwrap_or(u32::MAX);
        Block {
            header,
            transactions,
        }
    }

    /// Votes in others' names, or quorums of prevotes that are none, for what was proposed.
    pub(super) fn forged_votes(&mut self, node: usize, like: &Vote) -> Vec<Bytes> {
        let turn = (like.height, like.round);
        let block = like.block.or(self.mischief.proposal(turn));
        let key = self.nodes.get(node).and_then(|node| node.key.clone());
        let (Some(block), Some(key)) = (block, key) else {
            return Vec::new();
        };
        let (height, round) = turn;
        let members: Vec<_> = {
            let set = self.oracle.model().set(height);
            set.validators().iter().map(|one| one.address()).collect()
        };
        // Signed, though not by those whom they name.
        let kind = VoteKind::Prevote;
        let message = vote_message(self.chain, height, round, kind, Some(block));
        let signature = key.sign(&message);
        match self.dice.mischief.random_range(0..3) {
            0 => {
                let votes = members.into_iter().filter(|one| *one != key.address());
                let vote = |validator| {
                    let vote = Vote {
                        kind,
                        height,
                        round,
                        block: Some(block),
                        validator,
                    };
                    agreement(Message::Vote(SignedVote { vote, signature }))
                };
                votes.map(vote).collect()
            }
            kind => {
                let alone = kind == 1;
                let signers = members.into_iter();
                let signers = signers.filter(|one| !alone || *one == key.address());
                let polka = PolkaCertificate {
                    height,
                    round,
                    block,
                    signatures: signers.map(|one| (one, signature)).collect(),
                };
                vec![agreement(Message::Polka(polka))]
            }
        }
    }

    /// A block that follows a node's tip, with nothing in it and nothing wrong but that nobody
    /// agreed to it.
    fn next_block(&self, node: usize) -> Option<Block> {
        let running = self.nodes.get(node)?.running.as_ref()?;
        let (tip, id) = running.store.tip().ok()?;
        let height = id.height.next();
        let lag = self.genesis.parameters.root_lag;
        let rules = running.replica.rules();
        let header = Header {
            version: rules.version(height),
            chain_id: self.chain,
            height,
            parent: id.hash,
            time: tip.time.plus_ms(1),
            proposer: self.address(node)?,
            transactions_root: transactions_root(self.plan.suite, &[]),
            transactions_count: 0,
            executed: running.store.roots(height.back(lag)).ok()??,
            validators: rules.committee_hash(height),
            next_validators: rules.committee_hash(height.next()),
        };
        Some(Block {
            header,
            transactions: Vec::new(),
        })
    }

    /// Blocks that are not final, in answer to a request for those from `first` on.
    pub(super) fn false_blocks(&mut self, node: usize, first: Height) -> Option<Bytes> {
        let block = {
            let running = self.nodes.get(node)?.running.as_ref()?;
            if first <= running.store.stored_height() {
                let mut served = running.store.serve(first, 1).ok()?;
                let mut block = served.pop()?.block;
                block.header.time = block.header.time.plus_ms(1);
                block
            } else {
                self.next_block(node)?
            }
        };
        // Where more than a third lies, they may be a quorum among themselves.
        if !self.plan.is_tolerable() && self.dice.mischief.random_bool(0.5) {
            return self.sealed_by_liars(block);
        }
        let certificate = self.false_certificate(node, &block)?;
        let list = vec![CertifiedBlock { block, certificate }];
        Some(encode(&PeerMessage::Blocks(list)).into())
    }

    /// A block with a forged transaction, with another parent or nobody's agreement, which all liars
    /// sign.
    fn sealed_by_liars(&mut self, block: Block) -> Option<Bytes> {
        let Block {
            mut header,
            mut transactions,
        } = block;
        match self.dice.mischief.random_range(0..3) {
            0 => {
                let forged = self.clients.forged(self.now);
                transactions.extend(forged.map(|forged| forged.raw));
                header.transactions_root = transactions_root(self.plan.suite, &transactions);
                header.transactions_count = u32::try_from(transactions.len()).ok()?;
            }
            1 => header.parent = self.random_hash(),
            _ => {}
        }
        let block = Block {
            header,
            transactions,
        };
        let (height, block_hash) = (block.header.height, block.hash(self.plan.suite));
        let kind = VoteKind::Precommit;
        let message = vote_message(self.chain, height, Round(0), kind, Some(block_hash));
        let set = self.oracle.model().set(height);
        let liars = (0..self.nodes.len()).filter(|node| self.is_byzantine(*node));
        let keys = liars.filter_map(|node| self.nodes.get(node)?.key.clone());
        let mut signatures: Vec<_> = keys
            .filter_map(|key| {
                let validator = u16::try_from(set.index_of(&key.address())?).ok()?;
                let signature = key.sign(&message);
                Some(CommitSignature {
                    validator,
                    signature,
                })
            })
            .collect();
        signatures.sort_by_key(|one| one.validator);
        let certificate = Certificate {
            height,
            round: Round(0),
            block_hash,
            signatures,
        };
        let list = vec![CertifiedBlock { block, certificate }];
        Some(encode(&PeerMessage::Blocks(list)).into())
    }

    fn false_certificate(&mut self, node: usize, block: &Block) -> Option<Certificate> {
        let key = self.nodes.get(node)?.key.clone()?;
        let (height, hash) = (block.header.height, block.hash(self.plan.suite));
        let set = self.oracle.model().set(height);
        let count = u16::try_from(set.validators().len()).ok()?;
        let own = u16::try_from(set.index_of(&key.address())?).ok()?;
        let kind = self.dice.mischief.random_range(0..4);
        let block_hash = if kind == 0 { self.random_hash() } else { hash };
        let message = vote_message(
            self.chain,
            height,
            Round(0),
            VoteKind::Precommit,
            Some(block_hash),
        );
        let signature = key.sign(&message);
        let signed = |validator| CommitSignature {
            validator,
            signature,
        };
        let signatures = match kind {
            // One signature; the same one many times; the same one in everybody's name.
            0 | 1 => vec![signed(own)],
            2 => (0..count).map(|_| signed(own)).collect(),
            _ => (0..count).map(signed).collect(),
        };
        self.oracle.on_made(&Vote {
            kind: VoteKind::Precommit,
            height,
            round: Round(0),
            block: Some(block_hash),
            validator: key.address(),
        });
        Some(Certificate {
            height,
            round: Round(0),
            block_hash,
            signatures,
        })
    }

    /// Sends much of everything to one node.
    pub(super) fn flood(&mut self, node: usize, height: Height) {
        let target = self.dice.mischief.random_range(0..self.nodes.len());
        if target == node {
            return;
        }
        let kind = self.dice.mischief.random_range(0..9);
        for i in 0..FLOOD {
            let hash = self.random_hash();
            let known = self.mischief.made_up().last().copied().unwrap_or(hash);
            let number = u32::try_from(i).unwrap_or(0);
            let message = match kind {
                0 => PeerMessage::BodyRequest {
                    height,
                    block: known,
                },
                1 => PeerMessage::IndexRequest {
                    height,
                    block: known,
                    indices: (0..200).collect(),
                },
                2 => PeerMessage::BlocksRequest {
                    from: Height(1),
                    count: 64,
                },
                3 => PeerMessage::Part {
                    height,
                    block: known,
                    index: u16::try_from(i).unwrap_or(0),
                    total: 133,
                    bytes: vec![0; PART_BYTES].into(),
                },
                4 => {
                    let forged = self.clients.forged(self.now);
                    let raw = forged.map(|one| one.raw).unwrap_or_default();
                    let sender = self.clients.sender_of(&raw).unwrap_or_default();
                    PeerMessage::Spread(vec![Relayed { sender, raw }])
                }
                5 => {
                    let Some(block) = self.next_block(node) else {
                        return;
                    };
                    let mut header = block.header;
                    header.parent = hash;
                    PeerMessage::Compact(Compact {
                        header,
                        share: None,
                        references: vec![0; 600].into(),
                    })
                }
                6 => PeerMessage::Hello {
                    features: u64::MAX,
                    heard: false,
                },
                // Votes for blocks that do not exist, in this round and in those to come; and for
                // heights to come.
                _ => {
                    let ahead = if kind == 7 { 0 } else { u64::from(number % 8) };
                    let turn = (Height(height.0.saturating_add(ahead)), Round(number));
                    let bytes = self.idle_vote(node, turn, VoteKind::Prevote);
                    match bytes {
                        Some(bytes) if kind == 7 => self.shout(node, &bytes),
                        Some(bytes) => self.transmit(node, target, true, &bytes),
                        None => {}
                    }
                    continue;
                }
            };
            let bytes = encode(&message).into();
            self.transmit(node, target, true, &bytes);
        }
    }
}
