//! What a recording is made of.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_consensus::TimerKind;
use hawser_ledger::VoteKind;
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, ChainId, Height, Round, Time};

/// Longest text of an entry, in bytes; longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 240;

/// The first four bytes of a block's hash: enough to tell proposals of one height apart by eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Short(pub [u8; 4]);

impl From<&B256> for Short {
    fn from(hash: &B256) -> Self {
        let [a, b, c, d, ..] = hash.0;
        Self([a, b, c, d])
    }
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Position of a validator in the committee that was recorded last.
pub type Index = u16;

/// A validator of a recorded committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Member {
    /// Its address.
    pub address: Address,
    /// Its name in the chain's settings.
    pub name: String,
    /// Its weight.
    pub weight: u64,
}

/// Whose recording it is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Identity {
    /// The chain.
    pub chain: ChainId,
    /// Hash of its genesis.
    pub genesis: B256,
    /// Name of the node in its configuration.
    pub node: String,
    /// Version of the program.
    pub program: String,
    /// Newest protocol version that the program runs.
    pub protocol: u32,
    /// The validator that the node's vote key belongs to; `None` for an observer.
    pub validator: Option<Address>,
}

/// Which write kept agreement waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum DiskFile {
    /// The vote log, synced before a vote leaves.
    VoteLog = 1,
    /// The file of blocks.
    Blocks = 2,
}

/// What kind of remark a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum NoteKind {
    /// A peer sent what no correct peer sends.
    BadMessage = 1,
    /// A peer is on another chain of this id.
    WrongGenesis = 2,
    /// A proposed block was refused.
    BlockRefused = 3,
    /// A validator signed two conflicting messages.
    Misbehaviour = 4,
    /// Another node signs with this node's vote key.
    KeyElsewhere = 5,
    /// This node does not vote, or votes again.
    Guard = 6,
    /// A validator vouched for a false claim.
    FalseAttestation = 7,
    /// The node fell behind and fetches blocks.
    Syncing = 8,
    /// No peer has the blocks that are needed.
    HistoryMissing = 9,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum What {
    /// Whose recording this is; the first entry of every file, and of every run of the node.
    Identity(Identity) = 1,
    /// The node started, with the entry's height as its last block.
    Started = 2,
    /// The committee from the entry's height on. Indices of later entries count in it.
    Committee(Vec<Member>) = 3,
    /// A round was entered.
    Round {
        /// Its number.
        round: Round,
        /// Who proposes in it.
        proposer: Index,
    } = 4,
    /// A proposal was made or arrived.
    Proposal {
        /// Its round.
        round: Round,
        /// Who made it.
        proposer: Index,
        /// What it proposes.
        block: Short,
    } = 5,
    /// The body of a proposed block is complete and was judged.
    Body {
        /// Round of the proposal.
        round: Round,
        /// The block.
        block: Short,
        /// Whether it is valid.
        valid: bool,
    } = 6,
    /// A vote was cast or arrived.
    Vote {
        /// Which of the two.
        kind: VoteKind,
        /// Its round.
        round: Round,
        /// Whose.
        validator: Index,
        /// For what; `None` is nil.
        block: Option<Short>,
    } = 7,
    /// A quorum of prevotes arrived as a whole.
    Polka {
        /// Their round.
        round: Round,
        /// For what.
        block: Short,
    } = 8,
    /// A wait of agreement ended without what was waited for.
    Timeout {
        /// Its round.
        round: Round,
        /// What was waited for.
        kind: TimerKind,
    } = 9,
    /// A block is final by the votes that this node saw.
    Decided {
        /// Round of the quorum.
        round: Round,
        /// The block.
        block: Short,
        /// Its transactions.
        transactions: u32,
    } = 10,
    /// A final block was fetched from a peer.
    Fetched {
        /// The block.
        block: Short,
        /// Its transactions.
        transactions: u32,
    } = 11,
    /// The block was executed.
    Executed = 12,
    /// A link came up or went down.
    Link {
        /// The peer.
        peer: PeerId,
        /// Its name, empty where the operator gave none.
        name: String,
        /// Whether it is up.
        up: bool,
    } = 13,
    /// The clock of the machine was set, by so many milliseconds.
    Clock(i64) = 14,
    /// The node's own thread was late by so many milliseconds: the process or the machine stood
    /// still, or was overloaded.
    Held(u32) = 15,
    /// A write kept agreement waiting.
    Disk {
        /// Which.
        file: DiskFile,
        /// For how long, in milliseconds.
        ms: u32,
    } = 16,
    /// A remark.
    Note {
        /// Which.
        kind: NoteKind,
        /// In words, at most [`TEXT_BYTES_MAX`] bytes.
        text: String,
    } = 17,
    /// So many entries were dropped because the disk of the recording did not keep up.
    Lost(u64) = 18,
    /// The chain stopped on this node: why, empty where it was told to.
    Stopped(String) = 19,
}

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, by the clock of the node.
    pub at: Time,
    /// The height that it is about, or the node's last height.
    pub height: Height,
    /// What.
    pub what: What,
}

/// Cuts a text at a character so that it has at most [`TEXT_BYTES_MAX`] bytes.
#[must_use]
pub fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character_and_at_the_bound() {
        let at = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(&at), at);
        assert_eq!(cut(&format!("{at}y")), at);
        let wide = "缆".repeat(TEXT_BYTES_MAX);
        let short = cut(&wide);
        assert!(short.len() <= TEXT_BYTES_MAX && short.len() > TEXT_BYTES_MAX - 3);
        assert!(wide.starts_with(&short));
    }
}
