//! What a rule gets to know of a transaction.

use std::collections::BTreeMap;

use hawser_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::amount;

/// A transaction that has been executed and not yet committed, with its effects, the parties and
/// their recent history. In files of cases every field can be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Hash of the transaction.
    pub hash: B256,
    /// The chain.
    pub chain_id: u64,
    /// EIP-2718 type.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Account that signed.
    pub sender: Address,
    /// Wei sent with all calls of the transaction.
    #[serde(with = "amount")]
    pub value: U256,
    /// Gas that the sender allowed.
    pub gas_limit: u64,
    /// Gas that the execution took.
    pub gas_used: u64,
    /// How the execution ended.
    pub outcome: Ended,
    /// Calls that were signed.
    pub calls: Vec<CallFact>,
    /// Calls within those, in order.
    pub trace: Vec<CallFact>,
    /// Movements of value and of tokens, in order; none where the execution failed.
    pub transfers: Vec<TransferFact>,
    /// Events, in order; none where the execution failed.
    pub logs: Vec<LogFact>,
    /// Contracts created.
    pub created: Vec<Address>,
    /// What is known of accounts. One that is not here has no organisation and no roles.
    pub parties: Vec<PartyFact>,
    /// Accounts that approved this transaction beforehand.
    pub approvals: Vec<PartyFact>,
    /// Height of the block.
    pub height: u64,
    /// Time of the block, milliseconds since 1970.
    pub time_ms: u64,
    /// What the sender and its organisation did before this transaction.
    pub history: HistoryFact,
    /// Whether a list above leaves something out.
    pub truncated: bool,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Effects are to be kept.
    #[default]
    Success,
    /// A contract reverted.
    Reverted,
    /// Out of gas and the like.
    Halted,
}

impl Ended {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Reverted => "reverted",
            Self::Halted => "halted",
        }
    }
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallFact {
    /// How.
    pub kind: CallKind,
    /// 0 for calls that were signed.
    pub depth: u32,
    /// Who calls; for calls that were signed, the sender.
    pub caller: Option<Address>,
    /// Who is called; for creations, the new contract where there is one.
    pub to: Option<Address>,
    /// Wei sent along.
    #[serde(with = "amount")]
    pub value: U256,
    /// First four bytes of the input, `0x` and eight digits; none where the input is shorter.
    pub selector: Option<String>,
    /// Name of the function where it is one of ERC-20 or ERC-721 and its arguments decode.
    pub method: Option<String>,
    /// Argument: whose tokens.
    pub source: Option<Address>,
    /// Argument: who gets tokens or the right to move them.
    pub target: Option<Address>,
    /// Argument: how many. ERC-721 has the same selectors as ERC-20 for `approve` and
    /// `transferFrom`; for those this is the amount or the token's id.
    #[serde(with = "amount::optional")]
    pub amount: Option<U256>,
    /// Argument: which token.
    #[serde(with = "amount::optional")]
    pub token_id: Option<U256>,
    /// Length of the input in bytes.
    pub input_size: u64,
    /// Whether it succeeded.
    #[serde(default = "yes")]
    pub ok: bool,
}

const fn yes() -> bool {
    true
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// Of an account.
    #[default]
    Call,
    /// With the caller's storage.
    Delegate,
    /// Without changes.
    Static,
    /// Creation of a contract.
    Create,
}

impl CallKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Delegate => "delegate",
            Self::Static => "static",
            Self::Create => "create",
        }
    }
}

/// A movement of value or tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferFact {
    /// What kind of asset.
    pub kind: AssetKind,
    /// The token's contract; none for the chain's own coin.
    pub asset: Option<Address>,
    /// From whom; zero where tokens are made.
    pub source: Address,
    /// To whom; zero where tokens are destroyed.
    pub target: Address,
    /// How many; 1 for a single token.
    #[serde(with = "amount")]
    pub amount: U256,
    /// Which token, of ERC-721.
    #[serde(with = "amount::optional")]
    pub token_id: Option<U256>,
}

/// What kind of asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetKind {
    /// The chain's own coin.
    #[default]
    Native,
    /// By an event `Transfer(address,address,uint256)` with three topics.
    Erc20,
    /// By the same event with four topics.
    Erc721,
}

impl AssetKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Erc20 => "erc20",
            Self::Erc721 => "erc721",
        }
    }
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogFact {
    /// The contract.
    pub address: Address,
    /// At most four topics.
    pub topics: Vec<B256>,
    /// Payload; scripts see at most [`LOG_BYTES_MAX`] bytes.
    pub data: Bytes,
}

/// Most bytes of an event's payload that scripts see.
pub const LOG_BYTES_MAX: usize = 256;

/// What is known of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartyFact {
    /// The account.
    pub address: Address,
    /// Its organisation.
    pub organisation: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// When it first sent a transaction while history was kept.
    pub first_seen_ms: Option<u64>,
    /// Whether it has code.
    pub contract: bool,
}

/// What happened before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryFact {
    /// Of the sender.
    pub sender: SubjectFact,
    /// Of all accounts of its organisation; none where it has none.
    pub organisation: Option<SubjectFact>,
}

/// What an account or the accounts of an organisation did. Windows end with the current block and
/// begin up to one bucket (5 minutes, 1 hour, 1 day) short of their length ago.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubjectFact {
    /// When it first sent a transaction while history was kept.
    pub first_seen_ms: Option<u64>,
    /// Transactions, and own coin sent, of the last hour.
    pub hour: WindowFact,
    /// Of the last 24 hours.
    pub day: WindowFact,
    /// Of the last 30 days.
    pub month: WindowFact,
    /// Transfers and amounts sent, for tokens that this transaction moves.
    pub tokens: BTreeMap<Address, TrackFact>,
    /// Flags raised so far.
    pub flags: u64,
    /// Transactions denied by rules so far.
    pub denials: u64,
}

/// Windows of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackFact {
    /// Last hour.
    pub hour: WindowFact,
    /// Last 24 hours.
    pub day: WindowFact,
    /// Last 30 days.
    pub month: WindowFact,
}

/// Sums over a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowFact {
    /// How often.
    pub count: u64,
    /// How much.
    #[serde(with = "amount")]
    pub amount: U256,
}

impl CallFact {
    /// A call with the arguments of ERC-20 and ERC-721 functions decoded from its input.
    #[must_use]
    pub fn decoded(
        kind: CallKind,
        caller: Address,
        to: Option<Address>,
        value: U256,
        input: &[u8],
    ) -> Self {
        let mut call = Self {
            kind,
            caller: Some(caller),
            to,
            value,
            input_size: input.len() as u64,
            ok: true,
            ..Self::default()
        };
        if kind == CallKind::Create {
            return call;
        }
        let Some((selector, arguments)) = input.split_first_chunk::<4>() else {
            return call;
        };
        call.selector = Some(format!("0x{}", hex::encode(selector)));
        call.decode(*selector, arguments);
        call
    }

    /// Fills in the arguments of a function that is known, if they are all there.
    fn decode(&mut self, selector: [u8; 4], arguments: &[u8]) {
        let word = |index: usize| {
            let start = index.checked_mul(32)?;
            let bytes = arguments.get(start..start.checked_add(32)?)?;
            Some(U256::from_be_slice(bytes))
        };
        let address = |index| word(index).and_then(as_address);
        // ERC-20: https://eips.ethereum.org/EIPS/eip-20, ERC-721: https://eips.ethereum.org/EIPS/eip-721
        let decoded = match selector {
            // transfer(address,uint256)
            [0xa9, 0x05, 0x9c, 0xbb] => ("transfer", None, address(0), word(1), None),
            // approve(address,uint256)
            [0x09, 0x5e, 0xa7, 0xb3] => ("approve", None, address(0), word(1), None),
            // transferFrom(address,address,uint256)
            [0x23, 0xb8, 0x72, 0xdd] => ("transferFrom", address(0), address(1), word(2), None),
            // safeTransferFrom(address,address,uint256) and with bytes
            [0x42, 0x84, 0x2e, 0x0e] | [0xb8, 0x8d, 0x4f, 0xde] => {
                ("safeTransferFrom", address(0), address(1), None, word(2))
            }
            // setApprovalForAll(address,bool)
            [0xa2, 0x2c, 0xb4, 0x65] => ("setApprovalForAll", None, address(0), word(1), None),
            _ => return,
        };
        let (method, source, target, amount, token_id) = decoded;
        let has_source = matches!(method, "transferFrom" | "safeTransferFrom");
        if target.is_none()
            || has_source && source.is_none()
            || amount.is_none() && token_id.is_none()
        {
            return;
        }
        self.method = Some(method.to_owned());
        (self.source, self.target) = (source, target);
        (self.amount, self.token_id) = (amount, token_id);
    }
}

/// Keccak-256 of `Transfer(address,address,uint256)` (ERC-20 and ERC-721).
pub const TRANSFER_TOPIC: B256 = B256::new([
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b, 0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa,
    0x95, 0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16, 0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef,
]);

impl TransferFact {
    /// The token movement that an event reports, if it does.
    #[must_use]
    pub fn of_log(log: &LogFact) -> Option<Self> {
        let topic = |topic: &B256| as_address(U256::from_be_bytes(topic.0));
        match log.topics.as_slice() {
            [TRANSFER_TOPIC, from, to] if log.data.len() == 32 => Some(Self {
                kind: AssetKind::Erc20,
                asset: Some(log.address),
                source: topic(from)?,
                target: topic(to)?,
                amount: U256::from_be_slice(&log.data),
                token_id: None,
            }),
            [TRANSFER_TOPIC, from, to, id] => Some(Self {
                kind: AssetKind::Erc721,
                asset: Some(log.address),
                source: topic(from)?,
                target: topic(to)?,
                amount: U256::from(1),
                token_id: Some(U256::from_be_bytes(id.0)),
            }),
            _ => None,
        }
    }
}

/// A word that is an address.
fn as_address(word: U256) -> Option<Address> {
    let bytes = word.to_be_bytes::<32>();
    let (zeros, address) = bytes.split_at(12);
    zeros
        .iter()
        .all(|byte| *byte == 0)
        .then(|| Address::from_slice(address))
}
