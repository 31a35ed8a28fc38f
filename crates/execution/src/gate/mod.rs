//! The gate: whoever may refuse what a transaction does.
//!
//! A chain's [`Gate`] is asked at three points. Before a transaction runs ([`Gate::open`], also by
//! the pool), before every frame of it ([`Guard::frame`]: calls and creations of every envelope and
//! of every contract), and once its effects are known and nothing is committed yet
//! ([`Guard::effects`]). What it refused or noted is recorded after the transaction
//! ([`Gate::record`]). Without a gate nothing is asked.
//!
//! Everything a gate answers must be a function of its arguments and of what it reads through
//! [`GateState`]: replicas have to agree on it.

mod run;
mod seen;

use alloy_primitives::Log;
use hawser_crypto::Suite;
use hawser_ledger::state::{StateError, StateRead};
use hawser_primitives::{Address, B256, Bytes, ChainId, Domain, Height, Time, U256};

pub(crate) use run::{
    GateRun, begin, begin_native, check_frame, discard, is_guarded, judge, protect, refused,
    settle, take_nonce,
};

/// Most notes that one transaction leaves; what comes after them is refused all the same.
pub const NOTES_MAX: usize = 16;
/// Most frames that a trace for the gate holds.
pub const GATE_FRAMES_MAX: usize = 1_024;
/// Longest rule name and reason in a refusal, in bytes each; the receipt keeps 1,024 bytes.
pub const FINDING_TEXT_MAX: usize = 384;

/// Selector of `AccessDenied(string,string)`: Keccak-256 of the signature, first four bytes.
pub const ACCESS_DENIED: [u8; 4] = [0x48, 0xb3, 0xcc, 0xec];

/// Which rule decided, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule, such as `freeze:account` or `rule:17`.
    pub rule: String,
    /// For people: what is wrong and what to do.
    pub reason: String,
}

impl Finding {
    /// A finding; texts over [`FINDING_TEXT_MAX`] bytes are cut.
    #[must_use]
    pub fn new(rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            rule: cut(rule.into(), FINDING_TEXT_MAX),
            reason: cut(reason.into(), FINDING_TEXT_MAX),
        }
    }

    /// Revert data: Solidity's custom error `AccessDenied(string rule, string reason)`.
    #[must_use]
    pub fn revert_data(&self) -> Bytes {
        let (rule, reason) = (padded(&self.rule), padded(&self.reason));
        let word = |n: usize| U256::from(n).to_be_bytes::<32>();
        [
            ACCESS_DENIED.as_slice(),
            &word(64),
            &word(64 + rule.len()),
            &rule,
            &reason,
        ]
        .concat()
        .into()
    }

    /// Reads what [`Self::revert_data`] writes; `None` for any other bytes.
    #[must_use]
    pub fn from_revert_data(data: &[u8]) -> Option<Self> {
        let arguments = data.strip_prefix(ACCESS_DENIED.as_slice())?;
        Some(Self {
            rule: text(arguments, 0)?,
            reason: text(arguments, 32)?,
        })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "access denied by {}: {}", self.rule, self.reason)
    }
}

/// A text without its end, so that it has at most `bytes_max` bytes.
#[must_use]
pub fn cut(mut text: String, bytes_max: usize) -> String {
    while text.len() > bytes_max {
        text.pop();
    }
    text
}

/// Length and bytes of a string, filled up to whole words.
pub(crate) fn padded(text: &str) -> Vec<u8> {
    let mut out = U256::from(text.len()).to_be_bytes::<32>().to_vec();
    out.extend_from_slice(text.as_bytes());
    out.resize(32 + text.len().div_ceil(32) * 32, 0);
    out
}

fn text(arguments: &[u8], at: usize) -> Option<String> {
    let number = |at: usize| {
        let word = arguments.get(at..at.checked_add(32)?)?;
        usize::try_from(U256::try_from_be_slice(word)?).ok()
    };
    let start = number(at)?;
    let length = number(start)?;
    let start = start.checked_add(32)?;
    let bytes = arguments.get(start..start.checked_add(length)?)?;
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The block that the gate is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateBlock {
    /// Its height; at the pool that of the block to come.
    pub height: Height,
    /// Its time; at the pool that of the last block.
    pub time: Time,
    /// The chain's suite.
    pub suite: Suite,
    /// The chain.
    pub chain_id: ChainId,
}

/// One call that a transaction asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateCall {
    /// Account called; `None` for a creation.
    pub to: Option<Address>,
    /// Wei sent along.
    pub value: U256,
    /// Call data, or init code.
    pub input: Bytes,
}

impl GateCall {
    /// The method called: the first four bytes of call data. `None` for plain transfers and
    /// creations.
    #[must_use]
    pub fn selector(&self) -> Option<[u8; 4]> {
        self.to?;
        self.input.first_chunk::<4>().copied()
    }
}

/// A transaction as the gate sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateTransaction {
    /// Its hash; zero for what is no transaction.
    pub hash: B256,
    /// EIP-2718 type.
    pub kind: u8,
    /// Account that signed.
    pub sender: Address,
    /// What it asks for, in order; one call but for native transactions.
    pub calls: Vec<GateCall>,
    /// Accounts that signed along: those whose EIP-7702 authorizations it carries, and those of the keys
    /// that signed for a multisignature account.
    pub authorities: Vec<Address>,
    /// Whether nobody signed it (`eth_call`): the sender is a claim, so only what holds whoever
    /// asks is checked.
    pub unsigned: bool,
    /// Where it runs.
    pub block: GateBlock,
}

/// What kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// `CALL`, or a call of a transaction.
    Call,
    /// `STATICCALL`.
    Static,
    /// `DELEGATECALL` or `CALLCODE`: foreign code on the caller's account.
    Delegate,
    /// `CREATE`, `CREATE2`, or a creation of a transaction.
    Create,
}

/// A frame about to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateFrame {
    /// 0 for what the transaction itself asks for.
    pub depth: usize,
    /// What kind.
    pub kind: FrameKind,
    /// Who calls.
    pub from: Address,
    /// The account whose storage and balance it works on; `None` for a creation.
    pub to: Option<Address>,
    /// The account whose code runs; differs from `to` with delegation.
    pub code: Option<Address>,
    /// The method; known only when the guard needs the trace.
    pub selector: Option<[u8; 4]>,
    /// Wei that move.
    pub value: U256,
}

/// Wei that moved and stay moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueTransfer {
    /// Who gave.
    pub from: Address,
    /// Who got.
    pub to: Address,
    /// How much.
    pub value: U256,
}

/// What a successful transaction would do, before it is committed.
#[derive(Clone, Debug)]
pub struct Effects<'a> {
    /// Gas used before refunds.
    pub gas_used: u64,
    /// Frames in the order they began, those that failed included; at most [`GATE_FRAMES_MAX`],
    /// and none unless the guard asked for them.
    pub frames: &'a [GateFrame],
    /// Whether there were more frames.
    pub frames_cut: bool,
    /// Wei moved by calls, creations and `SELFDESTRUCT`.
    pub transfers: &'a [ValueTransfer],
    /// Events.
    pub logs: &'a [Log],
    /// Contracts created.
    pub created: &'a [Address],
}

/// What a gate says of effects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The transaction must not take effect, by this rule.
    pub refuse: Option<Finding>,
    /// With a refusal: who can make it take effect when it is sent again. Empty where nobody can.
    pub awaits: Vec<String>,
    /// Worth recording though it goes through.
    pub flags: Vec<Finding>,
}

/// What happened to a transaction at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// Refused before it ran.
    Refused,
    /// One of its frames was refused.
    FrameRefused,
    /// Its effects were refused.
    Intercepted,
    /// It went through, marked.
    Flagged,
}

/// Something to record of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// The other party where there is one: callee of a refused frame.
    pub party: Option<Address>,
    /// By which rule and why.
    pub finding: Finding,
    /// What [`Verdict::awaits`] said of it.
    pub awaits: Vec<String>,
}

/// The state as the block has made it so far.
pub trait GateState {
    /// A storage slot; zero when absent. Costs no gas and does not warm the slot.
    fn slot(&mut self, account: &Address, slot: &B256) -> Result<B256, StateError>;

    /// Content by its hash.
    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, StateError>;
}

/// A state that the gate may also write, in the name of the chain.
pub trait GateStore: GateState {
    /// Changes a slot.
    fn set_slot(&mut self, account: &Address, slot: &B256, value: B256) -> Result<(), StateError>;

    /// Keeps content under `suite.hash_domain(domain, content)`, which it returns.
    fn put_blob(&mut self, domain: Domain, content: Bytes) -> Result<B256, StateError>;
}

/// A committed state, as the pool and queries read it.
pub struct CommittedState<'a>(pub &'a dyn StateRead);

impl GateState for CommittedState<'_> {
    fn slot(&mut self, account: &Address, slot: &B256) -> Result<B256, StateError> {
        self.0.storage(account, slot)
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        self.0.blob(hash)
    }
}

/// What the gate says of a transaction that wants to run.
pub enum Opening {
    /// Nothing is asked of it.
    Unguarded,
    /// It may run under this guard.
    Guarded(Box<dyn Guard>),
    /// It must not run. It takes its nonce and its intrinsic gas.
    Refused(Finding),
}

/// See the module.
pub trait Gate: Send + Sync {
    /// Whether nobody is asked anything in this state, which then holds for the whole block.
    fn stands_open(&self, state: &mut dyn GateState) -> Result<bool, StateError> {
        let _ = state;
        Ok(false)
    }

    /// Asked before a transaction runs, and by the pool before it is taken in.
    fn open(
        &self,
        state: &mut dyn GateState,
        transaction: &GateTransaction,
    ) -> Result<Opening, StateError>;

    /// Records what happened; asked after the transaction, outside of it, so that the record stays
    /// when the transaction reverts.
    fn record(
        &self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        notes: &[Note],
    ) -> Result<(), StateError>;
}

/// Watches one transaction.
pub trait Guard {
    /// Whether the effects matter at all; asked when the transaction has succeeded.
    fn needs_effects(&self) -> bool {
        true
    }

    /// Whether effects have to come with the frames.
    fn needs_trace(&self) -> bool {
        false
    }

    /// Asked before a frame runs. A refusal reverts the frame with [`Finding::revert_data`], which
    /// its caller may catch.
    fn frame(
        &mut self,
        state: &mut dyn GateState,
        frame: &GateFrame,
    ) -> Result<Option<Finding>, StateError>;

    /// Told that the transaction has reverted with this data; what is worth recording of it.
    fn reverted(&mut self, transaction: &GateTransaction, data: &Bytes) -> Option<Finding> {
        let _ = (transaction, data);
        None
    }

    /// Asked when the transaction has succeeded. A refusal undoes it.
    fn effects(
        &mut self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        effects: &Effects<'_>,
    ) -> Result<Verdict, StateError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_survives_revert_data_and_nothing_else_is_one() {
        let finding = Finding::new("rule:17", "no deployment on Sundays; ask the governors");
        let data = finding.revert_data();
        assert_eq!(
            data[..4],
            alloy_primitives::keccak256("AccessDenied(string,string)")[..4]
        );
        assert_eq!((data.len() - 4) % 32, 0);
        assert_eq!(Finding::from_revert_data(&data), Some(finding));
        for cut in 0..data.len() - 32 {
            assert_eq!(Finding::from_revert_data(&data[..cut]), None, "{cut} bytes");
        }
        let mut other = data.to_vec();
        other[0] ^= 1;
        assert_eq!(Finding::from_revert_data(&other), None);
    }

    #[test]
    fn the_longest_finding_fits_a_receipt() {
        let longest = Finding::new("规".repeat(FINDING_TEXT_MAX), "r".repeat(2_000));
        assert_eq!(longest.rule.len(), FINDING_TEXT_MAX);
        assert_eq!(longest.reason.len(), FINDING_TEXT_MAX);
        assert!(longest.revert_data().len() <= 1_024);
    }
}
