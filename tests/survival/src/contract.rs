//! The contract that clients use: a table of registers which tells in a log what it held before.
//!
//! Call data is four words: what to do (0 read, 1 write, 2 compare and set, 3 add), the register, and two values. Every
//! call logs, and returns, two words: the register's value before, and the number of the block.

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use anyhow::Result;
use hawser_e2e::load::Account;

use crate::linear::Act;

/// Gas limit of a call, and of a transfer.
const CALL_GAS: u64 = 120_000;
/// Gas limit of the creation.
const CREATE_GAS: u64 = 1_000_000;

/// Positions that code jumps to.
#[derive(Debug, Clone, Copy, Default)]
struct Labels {
    write: u8,
    cas: u8,
    add: u8,
    end: u8,
}

fn position(code: &[u8]) -> u8 {
    // The whole program is shorter than what one byte counts; a test runs it.
    u8::try_from(code.len()).unwrap_or(u8::MAX)
}

/// The program with jumps to `labels`, and where its labels are.
fn assemble(labels: Labels) -> (Vec<u8>, Labels) {
    const PUSH1: u8 = 0x60;
    const LOAD: u8 = 0x35;
    const JUMP: u8 = 0x56;
    const JUMPI: u8 = 0x57;
    const JUMPDEST: u8 = 0x5b;
    const SLOAD: u8 = 0x54;
    const SSTORE: u8 = 0x55;
    const EQ: u8 = 0x14;
    const DUP1: u8 = 0x80;
    const DUP3: u8 = 0x82;
    const DUP4: u8 = 0x83;
    let mut code = Vec::new();
    let mut found = Labels::default();
    // Stack, bottom first: register, its value, what to do.
    code.extend([PUSH1, 0x20, LOAD, DUP1, SLOAD, PUSH1, 0, LOAD]);
    for (number, label) in [(1, labels.write), (2, labels.cas), (3, labels.add)] {
        code.extend([DUP1, PUSH1, number, EQ, PUSH1, label, JUMPI]);
    }
    code.extend([PUSH1, labels.end, JUMP]);
    found.write = position(&code);
    code.extend([
        JUMPDEST, PUSH1, 0x40, LOAD, DUP4, SSTORE, PUSH1, labels.end, JUMP,
    ]);
    found.cas = position(&code);
    // Compare with the value; ISZERO skips the change.
    code.extend([
        JUMPDEST, PUSH1, 0x40, LOAD, DUP3, EQ, 0x15, PUSH1, labels.end, JUMPI,
    ]);
    code.extend([PUSH1, 0x60, LOAD, DUP4, SSTORE, PUSH1, labels.end, JUMP]);
    found.add = position(&code);
    code.extend([JUMPDEST, PUSH1, 0x40, LOAD, DUP3, 0x01, DUP4, SSTORE]);
    code.extend([PUSH1, labels.end, JUMP]);
    found.end = position(&code);
    // POP; memory: value and NUMBER; LOG1 with the register as its topic; RETURN.
    code.extend([JUMPDEST, 0x50, PUSH1, 0, 0x52, 0x43, PUSH1, 0x20, 0x52]);
    code.extend([PUSH1, 0x40, PUSH1, 0, 0xa1, PUSH1, 0x40, PUSH1, 0, 0xf3]);
    (code, found)
}

/// The code that creates the contract.
#[must_use]
pub fn creation_code() -> Bytes {
    let (_, labels) = assemble(Labels::default());
    let (code, _) = assemble(labels);
    // CODECOPY everything behind these eleven bytes, RETURN it.
    let mut whole = vec![
        0x60,
        position(&code),
        0x80,
        0x60,
        11,
        0x60,
        0,
        0x39,
        0x60,
        0,
        0xf3,
    ];
    whole.extend(code);
    whole.into()
}

/// The call data of an operation on a register.
#[must_use]
pub fn call_data(register: u64, act: Act) -> Bytes {
    let (what, a, b) = match act {
        Act::Read => (0, 0, 0),
        Act::Write { value } => (1, value, 0),
        Act::Cas { old, new } => (2, old, new),
        Act::Add { value } => (3, value, 0),
    };
    let mut data = Vec::with_capacity(128);
    for word in [what, register, a, b] {
        data.extend(U256::from(word).to_be_bytes::<32>());
    }
    data.into()
}

/// The two words that a call logs and returns, out of `0x…`: value before, block number.
#[must_use]
pub fn answer(text: &str) -> Option<(u64, u64)> {
    let bytes = hex::decode(text.trim_start_matches("0x")).ok()?;
    let word = |at: usize| {
        let word: [u8; 32] = bytes.get(at..at + 32)?.try_into().ok()?;
        u64::try_from(U256::from_be_bytes(word)).ok()
    };
    (bytes.len() == 64).then_some(())?;
    Some((word(0)?, word(32)?))
}

fn transaction(chain_id: u64, nonce: u64, to: TxKind, value: u64, input: Bytes) -> TxEip1559 {
    TxEip1559 {
        chain_id,
        nonce,
        gas_limit: if to.is_create() { CREATE_GAS } else { CALL_GAS },
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to,
        value: U256::from(value),
        access_list: Default::default(),
        input,
    }
}

/// The transaction that creates the contract, and where it will be.
///
/// # Errors
/// When signing fails, which no input should cause.
pub fn create(account: &Account, chain_id: u64, nonce: u64) -> Result<(String, B256, Address)> {
    let create = transaction(chain_id, nonce, TxKind::Create, 0, creation_code());
    let (raw, hash) = account.sign(create)?;
    Ok((raw, hash, account.address.create(nonce)))
}

/// A call of the contract, signed.
///
/// # Errors
/// As [`create`].
pub fn call(
    account: &Account,
    chain_id: u64,
    nonce: u64,
    contract: Address,
    register: u64,
    act: Act,
) -> Result<(String, B256)> {
    let data = call_data(register, act);
    account.sign(transaction(
        chain_id,
        nonce,
        TxKind::Call(contract),
        0,
        data,
    ))
}

/// A payment of `wei`, signed.
///
/// # Errors
/// As [`create`].
pub fn pay(
    account: &Account,
    chain_id: u64,
    nonce: u64,
    to: Address,
    wei: u64,
) -> Result<(String, B256)> {
    account.sign(transaction(
        chain_id,
        nonce,
        TxKind::Call(to),
        wei,
        Bytes::new(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_land_on_destinations() {
        let (_, labels) = assemble(Labels::default());
        let (code, again) = assemble(labels);
        for at in [again.write, again.cas, again.add, again.end] {
            assert_eq!(code[usize::from(at)], 0x5b);
        }
        assert!(code.len() < 200);
        assert_eq!(creation_code().len(), code.len() + 11);
    }

    #[test]
    fn answers_are_two_words_and_nothing_else() {
        let text = format!("0x{:064x}{:064x}", 7, 9);
        assert_eq!(answer(&text), Some((7, 9)));
        assert_eq!(answer("0x"), None);
        assert_eq!(answer(&format!("0x{:064x}", 7)), None);
        assert_eq!(answer(&format!("0x{}{:064x}", "f".repeat(64), 1)), None);
    }

    #[test]
    fn call_data_has_four_words() {
        let data = call_data(5, Act::Cas { old: 1, new: 2 });
        assert_eq!(data.len(), 128);
        assert_eq!((data[31], data[63], data[95], data[127]), (2, 5, 1, 2));
    }
}
