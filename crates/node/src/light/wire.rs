use borsh::{BorshDeserialize, BorshSerialize};
use hawser_ledger::{CertifiedHeader, Receipt, ValidatorSet, state::StateProof};
use hawser_primitives::{B256, Bytes, Height, limits::TRANSACTION_BYTES_MAX};

/// Most headers in one answer.
pub const LIGHT_HEADERS_MAX: u32 = 512;
/// Bytes after which an answer with headers or proofs ends.
pub const LIGHT_ANSWER_BYTES: usize = 1024 * 1024;
/// Most keys in one request for state.
pub const LIGHT_KEYS_MAX: usize = 64;
/// Largest request, in bytes: one that carries a transaction.
pub const LIGHT_REQUEST_BYTES_MAX: usize = TRANSACTION_BYTES_MAX + 1_024;
/// Largest body, list of receipts or content in an answer, in bytes. The body of a block always
/// fits.
pub const LIGHT_BODY_BYTES_MAX: usize = 9 * 1024 * 1024;

/// A question of a light node.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LightRequest {
    /// Comes back in the answer. First, so that a request that is refused unread can be answered.
    pub id: u64,
    /// Hash of the genesis that the asker trusts.
    pub genesis: B256,
    /// What it wants to know.
    pub ask: LightAsk,
}

/// What a light node asks for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum LightAsk {
    /// Final headers in order.
    Headers {
        /// First height wanted.
        from: Height,
        /// How many, at most [`LIGHT_HEADERS_MAX`].
        count: u32,
    } = 1,
    /// Values of the state with their proofs.
    State {
        /// After which block; `None` for the newest one whose roots a final header has.
        at: Option<Height>,
        /// Encoded [`hawser_ledger::state::StateKey`]s, at most [`LIGHT_KEYS_MAX`].
        keys: Vec<Bytes>,
    } = 2,
    /// Content that the state names by its hash: code, or a schedule of settings.
    Content {
        /// Its hash.
        hash: B256,
    } = 3,
    /// The transactions of a block.
    Body {
        /// Its height.
        height: Height,
    } = 4,
    /// The receipts of a block.
    Receipts {
        /// Its height.
        height: Height,
    } = 5,
    /// In which block a transaction is.
    FindTransaction {
        /// Its hash.
        hash: B256,
    } = 6,
    /// Which height a block has.
    FindBlock {
        /// Its hash.
        hash: B256,
    } = 7,
    /// Takes a transaction into the pool.
    Submit {
        /// Its encoding.
        raw: Bytes,
    } = 8,
}

/// A full node's answer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LightAnswer {
    /// That of the request.
    pub id: u64,
    /// The last height that the answering node has stored. A claim, like everything here.
    pub head: Height,
    /// The answer proper.
    pub reply: LightReply,
}

/// A final header, and the committee after it where that is a new one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LightHeader {
    /// Header and certificate.
    pub certified: CertifiedHeader,
    /// The committee that decides the next block, where the header names another than its own.
    pub next: Option<ValidatorSet>,
}

/// What a full node answers.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum LightReply {
    /// Headers in order; none where the first one is not there yet.
    Headers(Vec<LightHeader>) = 1,
    /// Proofs in the order of the keys, for the state after a block.
    State {
        /// The block.
        height: Height,
        /// One for each key.
        proofs: Vec<StateProof>,
    } = 2,
    /// Content of the hash asked for.
    Content(Bytes) = 3,
    /// Transactions of the block, in order.
    Body(Vec<Bytes>) = 4,
    /// Receipts of the block, in order.
    Receipts(Vec<Receipt>) = 5,
    /// The height of the block asked for, or of the transaction's.
    Found(Option<Height>) = 6,
    /// The transaction is in the pool, under this hash.
    Submitted(B256) = 7,
    /// No answer.
    Refused {
        /// Why.
        why: LightRefusal,
        /// In words, for the people at the light node.
        text: String,
    } = 8,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum LightRefusal {
    /// The asker trusts another genesis.
    WrongChain = 1,
    /// The request cannot be read, or asks for more than a limit.
    Malformed = 2,
    /// The answer is longer than a limit.
    TooLarge = 3,
    /// The peer asked for too much lately, or the node is busy; the same may succeed later.
    Busy = 4,
    /// What is asked for is not here: too old, or not there yet.
    NotHere = 5,
    /// The chain's reads are signed; a link is no signature.
    SignedReads = 6,
    /// The transaction is not taken.
    Transaction = 7,
    /// A fault of the answering node.
    Failed = 8,
}
