//! Precompiled contracts for national cryptography, on every chain beside Ethereum's.
//!
//! Inputs and outputs are packed bytes, as those of Ethereum's precompiles are; `docs/spec/sm.md`
//! has the table. Signature checks answer like EIP-7951: the word 1 for a good signature, nothing
//! for everything else. SM4 reverts with a reason when it cannot do what it was asked. Keys, data
//! and results of a call are public, so SM4 keeps nothing secret here: it is for checking what was
//! encrypted elsewhere, once the key may be known.

use hawser_crypto::{
    Suite,
    cipher::{Aead, BLOCK_BYTES, Cipher, Sm4, TAG_BYTES},
    sm2raw,
};
use hawser_primitives::{Address, B256, Bytes, address};
use revm::interpreter::{Gas, InstructionResult, InterpreterResult};

use crate::{NativeFailure, revert_text};

/// SM2 verification over a message with the default identity.
pub const SM2_VERIFY: Address = address!("0000000000000000000000000000000000020002");
/// SM3.
pub const SM3_HASH: Address = address!("0000000000000000000000000000000000020003");
/// SM4, block by block.
pub const SM4_BLOCKS: Address = address!("0000000000000000000000000000000000020004");
/// SM2 verification over a digest.
pub const SM2_VERIFY_DIGEST: Address = address!("0000000000000000000000000000000000020012");
/// SM4 in counter mode.
pub const SM4_CTR: Address = address!("0000000000000000000000000000000000020014");
/// SM4 in Galois/counter mode.
pub const SM4_GCM: Address = address!("0000000000000000000000000000000000020024");

/// Gas of a call of [`SM2_VERIFY_DIGEST`].
pub const SM2_VERIFY_GAS: u64 = 6_000;
/// Gas of hashing Z, which [`SM2_VERIFY`] costs on top, and the message at [`SM3_WORD_GAS`].
pub const SM2_MESSAGE_GAS: u64 = 300;
/// Gas of a call of [`SM3_HASH`].
pub const SM3_GAS: u64 = 60;
/// Gas of each word (32 bytes) hashed.
pub const SM3_WORD_GAS: u64 = 12;
/// Gas of a call of any SM4 precompile: the key schedule, and in GCM the tag.
pub const SM4_GAS: u64 = 150;
/// Gas of each block (16 bytes) that SM4 works on.
pub const SM4_BLOCK_GAS: u64 = 20;
/// Gas of each block that GCM authenticates, encrypted or not.
pub const GCM_BLOCK_GAS: u64 = 8;

/// Every address, in order.
pub const SM_PRECOMPILES: [Address; 6] = [
    SM2_VERIFY,
    SM3_HASH,
    SM4_BLOCKS,
    SM2_VERIFY_DIGEST,
    SM4_CTR,
    SM4_GCM,
];

/// Runs the precompile at `address`; `None` where there is none. Blocks and calls go through the
/// engine; this is for measuring one by itself.
#[must_use]
pub fn run(address: &Address, input: &[u8], gas_limit: u64) -> Option<InterpreterResult> {
    let work = match *address {
        SM2_VERIFY => sm2_verify,
        SM3_HASH => sm3,
        SM4_BLOCKS => sm4_blocks,
        SM2_VERIFY_DIGEST => sm2_verify_digest,
        SM4_CTR => sm4_ctr,
        SM4_GCM => sm4_gcm,
        _ => return None,
    };
    let mut meter = Meter(Gas::new(gas_limit));
    let result = work(input, &mut meter);
    let mut gas = meter.0;
    let (code, output) = match result {
        Ok(output) => (InstructionResult::Return, output),
        Err(NativeFailure::Revert(reason)) => (InstructionResult::Revert, reason),
        Err(_) => {
            gas.spend_all();
            (InstructionResult::PrecompileOOG, Bytes::new())
        }
    };
    Some(InterpreterResult::new(code, output, gas))
}

struct Meter(Gas);

impl Meter {
    /// Charges before the work is done.
    fn charge(&mut self, gas: u64) -> Result<(), NativeFailure> {
        if self.0.record_regular_cost(gas) {
            Ok(())
        } else {
            Err(NativeFailure::OutOfGas)
        }
    }
}

type Outcome = Result<Bytes, NativeFailure>;

/// `units` of `size` bytes begun, at `gas` each.
fn per_unit(len: usize, size: usize, gas: u64) -> u64 {
    let units = u64::try_from(len.div_ceil(size)).unwrap_or(u64::MAX);
    units.saturating_mul(gas)
}

/// The word 1, or nothing.
fn truth(good: bool) -> Outcome {
    Ok(if good {
        B256::with_last_byte(1).into()
    } else {
        Bytes::new()
    })
}

/// `data` → SM3(data).
fn sm3(input: &[u8], meter: &mut Meter) -> Outcome {
    meter.charge(SM3_GAS.saturating_add(per_unit(input.len(), 32, SM3_WORD_GAS)))?;
    Ok(Suite::Sm.hash(input).into())
}

/// `x ‖ y ‖ r ‖ s ‖ message` → 1 or nothing.
fn sm2_verify(input: &[u8], meter: &mut Meter) -> Outcome {
    let message = input.len().saturating_sub(128);
    let hashing = SM2_MESSAGE_GAS.saturating_add(per_unit(message, 32, SM3_WORD_GAS));
    meter.charge(SM2_VERIFY_GAS.saturating_add(hashing))?;
    truth(parse_key(input).is_some_and(|(xy, rest)| {
        rest.split_first_chunk::<64>()
            .is_some_and(|(signature, message)| sm2raw::verify_message(xy, message, signature))
    }))
}

fn parse_key(input: &[u8]) -> Option<(&[u8; 64], &[u8])> {
    input.split_first_chunk::<64>()
}

/// `e ‖ r ‖ s ‖ x ‖ y` → 1 or nothing: the layout of EIP-7951.
fn sm2_verify_digest(input: &[u8], meter: &mut Meter) -> Outcome {
    meter.charge(SM2_VERIFY_GAS)?;
    let parsed = input.split_first_chunk::<32>().and_then(|(e, rest)| {
        let (signature, rest) = rest.split_first_chunk::<64>()?;
        Some((e, signature, <&[u8; 64]>::try_from(rest).ok()?))
    });
    truth(parsed.is_some_and(|(e, signature, xy)| sm2raw::verify_digest(xy, e, signature)))
}

/// What the first byte of an input asks for.
enum Direction {
    Encrypt,
    Decrypt,
}

fn direction(input: &[u8]) -> Result<(Direction, &[u8]), NativeFailure> {
    match input.split_first() {
        Some((0, rest)) => Ok((Direction::Encrypt, rest)),
        Some((1, rest)) => Ok((Direction::Decrypt, rest)),
        _ => Err(revert_text(
            "SM4: the first byte must be 0 (encrypt) or 1 (decrypt)",
        )),
    }
}

fn sm4_key(input: &[u8]) -> Result<(&[u8; 16], &[u8]), NativeFailure> {
    input
        .split_first_chunk()
        .ok_or_else(|| revert_text("SM4: the input ends within the key"))
}

/// `direction ‖ key (16) ‖ blocks` → blocks.
fn sm4_blocks(input: &[u8], meter: &mut Meter) -> Outcome {
    meter.charge(SM4_GAS.saturating_add(per_unit(input.len(), BLOCK_BYTES, SM4_BLOCK_GAS)))?;
    let (direction, rest) = direction(input)?;
    let (key, blocks) = sm4_key(rest)?;
    let (cipher, mut data) = (Sm4::new(key), blocks.to_vec());
    match direction {
        Direction::Encrypt => cipher.encrypt_blocks(&mut data),
        Direction::Decrypt => cipher.decrypt_blocks(&mut data),
    }
    .map_err(|_| revert_text("SM4: the data is not a whole number of 16-byte blocks"))?;
    Ok(data.into())
}

/// `key (16) ‖ counter (16) ‖ data` → data. Encryption and decryption are the same.
fn sm4_ctr(input: &[u8], meter: &mut Meter) -> Outcome {
    meter.charge(SM4_GAS.saturating_add(per_unit(input.len(), BLOCK_BYTES, SM4_BLOCK_GAS)))?;
    let (key, rest) = sm4_key(input)?;
    let Some((counter, data)) = rest.split_first_chunk() else {
        return Err(revert_text("SM4: the input ends within the counter"));
    };
    let mut data = data.to_vec();
    let done = Sm4::new(key).ctr(counter, &mut data);
    done.map_err(|_| revert_text("SM4: too much data"))?;
    Ok(data.into())
}

/// `direction ‖ key (16) ‖ nonce (12) ‖ length of associated data (4, big endian) ‖ associated
/// data ‖ data` → data; a tag of 16 bytes follows the encrypted data on either side.
fn sm4_gcm(input: &[u8], meter: &mut Meter) -> Outcome {
    let block = SM4_BLOCK_GAS + GCM_BLOCK_GAS;
    meter.charge(SM4_GAS.saturating_add(per_unit(input.len(), BLOCK_BYTES, block)))?;
    let (direction, rest) = direction(input)?;
    let (key, rest) = sm4_key(rest)?;
    let short = || revert_text("SM4: the input ends early");
    let (nonce, rest) = rest.split_first_chunk::<12>().ok_or_else(short)?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    let (associated, data) = rest.split_at_checked(len).ok_or_else(short)?;
    let failed = |_| revert_text("SM4: the tag does not match");
    let aead = Aead::new(Cipher::Sm4Gcm, key).map_err(failed)?;
    match direction {
        Direction::Encrypt => {
            let mut out = data.to_vec();
            let tag = aead.seal(nonce, associated, &mut out).map_err(failed)?;
            out.extend_from_slice(&tag);
            Ok(out.into())
        }
        Direction::Decrypt => {
            let (data, tag) = data.split_last_chunk::<TAG_BYTES>().ok_or_else(short)?;
            let mut out = data.to_vec();
            aead.open(nonce, associated, &mut out, tag)
                .map_err(failed)?;
            Ok(out.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gas(address: Address, input: &[u8]) -> u64 {
        let result = run(&address, input, 10_000_000).unwrap();
        assert!(result.result.is_ok_or_revert());
        let spent = result.gas.total_gas_spent();
        let exact = run(&address, input, spent).unwrap();
        assert!(
            exact.result.is_ok_or_revert(),
            "as much as it costs is enough"
        );
        let short = run(&address, input, spent - 1).unwrap();
        assert_eq!(short.result, InstructionResult::PrecompileOOG);
        assert_eq!(short.gas.remaining(), 0);
        spent
    }

    #[test]
    fn gas_is_what_the_specification_says() {
        assert_eq!(gas(SM3_HASH, &[]), 60);
        assert_eq!(gas(SM3_HASH, &[0; 32]), 72);
        assert_eq!(gas(SM3_HASH, &[0; 33]), 84);
        assert_eq!(gas(SM2_VERIFY_DIGEST, &[0; 160]), SM2_VERIFY_GAS);
        assert_eq!(gas(SM2_VERIFY, &[0; 128]), SM2_VERIFY_GAS + SM2_MESSAGE_GAS);
        let one = SM2_VERIFY_GAS + SM2_MESSAGE_GAS + SM3_WORD_GAS;
        assert_eq!(gas(SM2_VERIFY, &[0; 129]), one);
        assert_eq!(gas(SM4_BLOCKS, &[0; 32]), SM4_GAS + 2 * SM4_BLOCK_GAS);
        assert_eq!(gas(SM4_CTR, &[0; 33]), SM4_GAS + 3 * SM4_BLOCK_GAS);
        let block = SM4_BLOCK_GAS + GCM_BLOCK_GAS;
        assert_eq!(gas(SM4_GCM, &[0; 64]), SM4_GAS + 4 * block);
    }

    #[test]
    fn every_address_answers_and_no_other_does() {
        for address in SM_PRECOMPILES {
            assert!(run(&address, &[], 10_000_000).is_some());
        }
        assert!(run(&Address::with_last_byte(2), &[], 10_000_000).is_none());
    }
}
