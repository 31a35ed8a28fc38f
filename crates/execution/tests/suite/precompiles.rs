//! The precompiles of national cryptography, and P-256.

use std::sync::Arc;

use crate::common::*;
use alloy_primitives::hex;
use hawser_crypto::{Scheme, Suite};
use hawser_execution::{
    CallEnv, CallOutcome, CallRequest, CallResult, NativeContract, NativeRegistry, NativeResult,
    NativeState, NoHashes, RegistryError, SM_PRECOMPILES, SM2_VERIFY, SM2_VERIFY_DIGEST, SM3_HASH,
    SM4_BLOCKS, SM4_CTR, SM4_GCM, TransactionRequest,
};
use hawser_ledger::{ChainParameters, Outcome};
use hawser_primitives::{Address, B256, Bytes, U256, address};
use serde_json::json;

const P256: Address = address!("0000000000000000000000000000000000000100");
/// Gives its call data, from the second word on, to the precompile that the first word names, and
/// returns what came: success in the first word, the output behind it.
const RELAY: Address = Address::repeat_byte(0xde);

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(char::is_whitespace, "")).unwrap()
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn relay(op: &str) -> String {
    let value = if op == "f1" { "5f" } else { "" };
    // calldatacopy(0, 32, size - 32); call(gas, word 0, [0,] 0, size - 32, 0, 0)
    let call = format!("602036038060205f37 5f5f 91 5f {value} 5f35 5a {op}");
    // mstore(0, success); returndatacopy(32, 0, size); return(0, 32 + size)
    format!("{call} 5f52 3d5f60203e 3d602001 5f f3").replace(' ', "")
}

fn chain(suite: Suite) -> Chain {
    let accounts = vec![
        rich(eth_key(1).address()),
        code(RELAY, &relay("fa")),
        code(Address::repeat_byte(0xdf), &relay("f1")),
    ];
    Chain::with(suite, ChainParameters::default(), accounts, Vec::new())
}

fn call(chain: &Chain, to: Address, input: &[u8]) -> CallResult {
    let request = json!({"to": to, "data": format!("0x{}", hex::encode(input))});
    let request = CallRequest {
        request: serde_json::from_value::<TransactionRequest>(request).unwrap(),
        gas_cap: 50_000_000,
        ..CallRequest::default()
    };
    let executor = &chain.executor;
    executor
        .call(&chain.state, &NoHashes, &chain.context, &request)
        .unwrap()
}

/// What a precompile answers on both suites, called directly and from contracts; `None` for a
/// failure that leaves the caller its gas.
fn answer(to: Address, input: &[u8]) -> Option<Bytes> {
    let mut answers = Vec::new();
    for suite in Suite::ALL {
        let chain = chain(suite);
        let direct = call(&chain, to, input);
        assert!(
            direct.gas_used < 5_000_000,
            "what fails must not take all gas"
        );
        let direct = match direct.outcome {
            CallOutcome::Success => Some(direct.output),
            CallOutcome::Reverted => {
                assert_eq!(direct.output[..4], [0x08, 0xc3, 0x79, 0xa0], "has a reason");
                None
            }
            other => panic!("{other:?}"),
        };
        for relay in [RELAY, Address::repeat_byte(0xdf)] {
            let input = cat(&[to.into_word().as_slice(), input]);
            let result = call(&chain, relay, &input);
            assert_eq!(result.outcome, CallOutcome::Success);
            let success = U256::from_be_slice(&result.output[..32]) == U256::from(1);
            assert_eq!(success, direct.is_some());
            if let Some(direct) = &direct {
                assert_eq!(result.output[32..], direct[..]);
            }
        }
        answers.push(direct);
    }
    assert_eq!(answers[0], answers[1], "the suites agree");
    answers.pop().unwrap()
}

fn yes() -> Option<Bytes> {
    Some(B256::with_last_byte(1).into())
}

fn no() -> Option<Bytes> {
    Some(Bytes::new())
}

#[test]
fn p256_gives_what_the_vectors_of_eip_7951_say() {
    let chain = chain(Suite::Sm);
    let (mut good, mut bad) = (0, 0);
    for line in include_str!("../vectors/eip7951.txt").lines() {
        let Some((input, expected)) = line.split_once(' ').filter(|_| !line.starts_with('#'))
        else {
            continue;
        };
        let result = call(&chain, P256, &bytes(input));
        assert_eq!(result.outcome, CallOutcome::Success);
        let valid = result.output == Bytes::from(B256::with_last_byte(1));
        assert!(valid || result.output.is_empty());
        assert_eq!(valid, expected == "1", "{input}");
        *(if valid { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 100 && bad > 50, "{good} {bad}");
    assert_eq!(answer(P256, &[0; 159]), no());
}

/// GB/T 32905-2016, annex A.
#[test]
fn sm3_hashes_the_examples_of_the_standard() {
    let hash = |input: &[u8]| hex::encode(answer(SM3_HASH, input).unwrap());
    assert_eq!(
        hash(b"abc"),
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    );
    assert_eq!(
        hash(&b"abcd".repeat(16)),
        "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    );
    assert_eq!(
        hash(b""),
        "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"
    );
}

const X: &str = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020";
const Y: &str = "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
const R: &str = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3";
const S: &str = "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";
const E: &str = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640";

/// GB/T 32918.5-2017, annex A.2.
#[test]
fn sm2_accepts_the_example_of_the_standard_over_message_and_digest() {
    let message = [bytes(&[X, Y, R, S].concat()), b"message digest".to_vec()].concat();
    assert_eq!(answer(SM2_VERIFY, &message), yes());
    let digest = bytes(&[E, R, S, X, Y].concat());
    assert_eq!(answer(SM2_VERIFY_DIGEST, &digest), yes());
}

#[test]
fn sm2_refuses_every_flipped_byte_and_every_other_length() {
    let chain = chain(Suite::Sm);
    let message = [bytes(&[X, Y, R, S].concat()), b"message digest".to_vec()].concat();
    let digest = bytes(&[E, R, S, X, Y].concat());
    for (address, good) in [(SM2_VERIFY, message), (SM2_VERIFY_DIGEST, digest)] {
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let result = call(&chain, address, &bad);
            assert_eq!(result.outcome, CallOutcome::Success);
            assert!(result.output.is_empty(), "byte {at}");
        }
        for len in [0, 63, 64, 127, good.len() - 1] {
            let result = call(&chain, address, &good[..len]);
            assert_eq!(result.outcome, CallOutcome::Success);
            assert!(result.output.is_empty(), "{len} bytes");
        }
        let result = call(&chain, address, &[good, vec![0]].concat());
        assert!(result.output.is_empty());
    }
}

#[test]
fn sm2_accepts_what_accounts_sign_and_refuses_r_and_s_beyond_the_order() {
    let n = bytes("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123");
    for seed in 1..6 {
        let key = key(Scheme::Sm2, seed);
        let text = vec![seed; usize::from(seed) * 20];
        let signature = key.sign(&text);
        let xy = key.public_key().to_uncompressed()[1..].to_vec();
        let input = |signature: &[u8]| cat(&[&xy, signature, &text]);
        assert_eq!(answer(SM2_VERIFY, &input(signature.as_bytes())), yes());
        for half in [0, 32] {
            for value in [&[0; 32][..], &n] {
                let mut forged = *signature.as_bytes();
                forged[half..half + 32].copy_from_slice(value);
                assert_eq!(answer(SM2_VERIFY, &input(&forged)), no());
            }
        }
    }
}

/// GB/T 32907-2016, annex A; RFC 8998, appendix A.1.
#[test]
fn sm4_works_both_ways_in_every_mode() {
    let key = bytes("0123456789abcdeffedcba9876543210");
    let block = answer(SM4_BLOCKS, &cat(&[&[0], &key[..], &key])).unwrap();
    assert_eq!(hex::encode(&block), "681edf34d206965e86b3e94f536e4246");
    let back = answer(SM4_BLOCKS, &cat(&[&[1], &key[..], &block]));
    assert_eq!(back.unwrap(), key);

    let counter = [7; 16];
    let data = vec![9; 45];
    let hidden = answer(SM4_CTR, &cat(&[&key[..], &counter, &data])).unwrap();
    assert_ne!(hidden, data);
    let back = answer(SM4_CTR, &cat(&[&key[..], &counter, &hidden]));
    assert_eq!(back.unwrap(), data);

    let nonce = bytes("00001234567800000000abcd");
    let about = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let plain = bytes(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd
         eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    );
    let head = cat(&[&key, &nonce, &20u32.to_be_bytes(), &about]);
    let sealed = answer(SM4_GCM, &cat(&[&[0], &head[..], &plain])).unwrap();
    assert!(sealed.ends_with(&bytes("83de3541e4c2b58177e065a9bf7b62ec")));
    assert!(sealed.starts_with(&bytes("17f399f08c67d5ee19d0dc9969c4bb7d")));
    let back = answer(SM4_GCM, &cat(&[&[1], &head[..], &sealed]));
    assert_eq!(back.unwrap(), plain);
    for at in [0, sealed.len() - 1] {
        let mut bad = sealed.to_vec();
        bad[at] ^= 1;
        assert_eq!(answer(SM4_GCM, &cat(&[&[1], &head[..], &bad])), None);
    }
}

#[test]
fn sm4_says_what_is_wrong_with_its_input_and_leaves_the_gas() {
    let key = [1; 16];
    for (address, input) in [
        (SM4_BLOCKS, vec![]),
        (SM4_BLOCKS, vec![2; 33]),
        (SM4_BLOCKS, cat(&[&[0], &key[..15]])),
        (SM4_BLOCKS, cat(&[&[1], &key[..], &[0; 15]])),
        (SM4_CTR, vec![0; 31]),
        (SM4_GCM, vec![]),
        (SM4_GCM, vec![0; 32]),
        // More associated data than there is.
        (
            SM4_GCM,
            cat(&[&[0], &[0; 28], &5u32.to_be_bytes(), &[0; 4]]),
        ),
        (
            SM4_GCM,
            cat(&[&[0], &[0; 28], &u32::MAX.to_be_bytes(), &[0; 4]]),
        ),
        // No room for a tag.
        (
            SM4_GCM,
            cat(&[&[1], &[0; 28], &0u32.to_be_bytes(), &[0; 15]]),
        ),
    ] {
        assert_eq!(answer(address, &input), None, "{address} {input:?}");
    }
    // Nothing is no mistake where a mode takes any length.
    assert_eq!(answer(SM4_BLOCKS, &cat(&[&[0], &key[..]])), no());
    assert_eq!(answer(SM4_CTR, &[0; 32]), no());
}

struct Squatter(Address);

impl NativeContract for Squatter {
    fn address(&self) -> Address {
        self.0
    }

    fn name(&self) -> &'static str {
        "squatter"
    }

    fn call(&self, _: &CallEnv, _: &mut dyn NativeState) -> NativeResult {
        Ok(Bytes::new())
    }
}

#[test]
fn no_native_contract_can_take_a_precompiles_address() {
    for address in SM_PRECOMPILES.into_iter().chain([P256]) {
        assert!(matches!(
            NativeRegistry::new(vec![Arc::new(Squatter(address))]),
            Err(RegistryError::Reserved("squatter", found)) if found == address
        ));
    }
}

#[test]
fn a_transaction_pays_for_what_it_asks_and_runs_out_like_any_other() {
    let key = eth_key(1);
    let mut chain = chain(Suite::Sm);
    let input = vec![1; 4_096];
    let calldata = 21_000 + 40 * 4_096;
    let enough = call_tx(&key, 0, Some(SM3_HASH), 0, input.clone(), calldata + 10_000);
    let output = chain.advance(&[enough]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    let short = call_tx(&key, 1, Some(SM2_VERIFY_DIGEST), 0, vec![0; 160], 27_000);
    let output = chain.advance(&[short]);
    assert_eq!(outcomes(&output), [Outcome::Halted]);
    assert_eq!(output.receipts[0].gas_used, 27_000);
}
