//! A block that does not change, with a transaction of each type.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Bloom, Signature, TxKind};
use hawser_crypto::{Scheme, SecretKey, Suite, secp};
use hawser_ledger::{
    Block, Call, ChainSettings, Genesis, GenesisValidator, Header, Log, Ordering, Outcome,
    PROTOCOL_VERSION, Receipt, Roots, SkipReason, Transaction, UnsignedNative, VerifiedTransaction,
    receipts_root, transactions_root,
};
use hawser_node::store::{BlockResult, ExecutedBlock};
use hawser_primitives::{Address, B256, Bytes, ChainId, Height, Time, U256};

const CHAIN: u64 = 4207;

fn key(scheme: Scheme) -> SecretKey {
    SecretKey::from_seed(scheme, &[7; 32]).unwrap()
}

fn sign<T: SignableTransaction<Signature>>(transaction: &T) -> Signature {
    let prehash = transaction.signature_hash();
    let (r_s, parity) = secp::sign_prehash(&key(Scheme::Secp256k1), &prehash).unwrap();
    Signature::from_bytes_and_parity(&r_s, parity)
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: ChainId(CHAIN),
        name: "sample".to_owned(),
        suite: Suite::Intl,
        time: Time(1_700_000_000_000),
        parameters: Default::default(),
        validators: vec![GenesisValidator {
            name: "one".to_owned(),
            public_key: key(Suite::Intl.vote_scheme()).public_key(),
            weight: 1,
        }],
        accounts: Default::default(),
        governance: None,
    }
}

/// One raw transaction of each type.
pub(crate) fn transactions() -> Vec<Bytes> {
    let to = Address::repeat_byte(0x42);
    let list = AccessList(vec![AccessListItem {
        address: to,
        storage_keys: vec![B256::repeat_byte(1)],
    }]);
    let legacy = TxLegacy {
        chain_id: Some(CHAIN),
        nonce: 0,
        gas_price: 1,
        gas_limit: 100_000,
        to: TxKind::Create,
        value: U256::ZERO,
        input: Bytes::from_static(&[0x60, 0x00]),
    };
    let old = TxLegacy {
        chain_id: None,
        nonce: 1,
        to: TxKind::Call(to),
        ..legacy.clone()
    };
    let listed = TxEip2930 {
        chain_id: CHAIN,
        nonce: 2,
        gas_price: 2,
        gas_limit: 50_000,
        to: TxKind::Call(to),
        value: U256::from(3),
        access_list: list.clone(),
        input: Bytes::new(),
    };
    let dynamic = TxEip1559 {
        chain_id: CHAIN,
        nonce: 3,
        gas_limit: 50_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: list,
        input: Bytes::from_static(&[1, 2, 3]),
    };
    let authorization = Authorization {
        chain_id: U256::from(CHAIN),
        address: to,
        nonce: 5,
    };
    let prehash = authorization.signature_hash();
    let (r_s, parity) = secp::sign_prehash(&key(Scheme::Secp256k1), &prehash).unwrap();
    let delegating = TxEip7702 {
        chain_id: CHAIN,
        nonce: 4,
        gas_limit: 80_000,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to,
        value: U256::ZERO,
        access_list: AccessList::default(),
        authorization_list: vec![
            authorization.into_signed(Signature::from_bytes_and_parity(&r_s, parity)),
        ],
        input: Bytes::new(),
    };
    let native = |scheme, ordering| {
        UnsignedNative {
            chain_id: ChainId(CHAIN),
            signer: key(scheme).public_key(),
            ordering,
            gas_limit: 90_000,
            calls: vec![
                Call::Call {
                    to,
                    value: U256::from(1),
                    input: Bytes::from_static(&[9]),
                },
                Call::Create {
                    value: U256::ZERO,
                    init_code: Bytes::from_static(&[0]),
                },
            ],
        }
        .sign(&key(scheme))
        .encode_2718()
    };
    let encoded = |raw: Vec<u8>| Bytes::from(raw);
    vec![
        encoded(legacy.clone().into_signed(sign(&legacy)).encoded_2718()),
        encoded(old.clone().into_signed(sign(&old)).encoded_2718()),
        encoded(listed.clone().into_signed(sign(&listed)).encoded_2718()),
        encoded(dynamic.clone().into_signed(sign(&dynamic)).encoded_2718()),
        encoded(
            delegating
                .clone()
                .into_signed(sign(&delegating))
                .encoded_2718(),
        ),
        native(Scheme::Ed25519, Ordering::Sequential { nonce: 6 }),
        native(
            Scheme::Sm2,
            Ordering::Unordered {
                expires: Time(1_700_000_060_000),
                salt: 8,
            },
        ),
    ]
}

/// The block: the third transaction was skipped, the fourth reverted.
pub(crate) fn block() -> ExecutedBlock {
    let raw = transactions();
    let mut receipts = Vec::new();
    let mut verified = Vec::new();
    let (mut cumulative, mut bloom) = (0u64, Bloom::ZERO);
    for (at, raw) in raw.iter().enumerate() {
        let transaction = Transaction::decode(Suite::Intl, raw.clone()).unwrap();
        let transaction: VerifiedTransaction = transaction.verify(ChainId(CHAIN)).unwrap();
        let outcome = match at {
            2 => Outcome::Skipped(SkipReason::Quota),
            3 => Outcome::Reverted,
            _ => Outcome::Success,
        };
        let gas_used = if at == 2 { 0 } else { 21_000 };
        cumulative += gas_used;
        let logs = if outcome == Outcome::Success {
            vec![
                Log {
                    address: Address::repeat_byte(0x42),
                    topics: vec![B256::repeat_byte(at as u8)],
                    data: Bytes::from_static(&[0xda]),
                };
                usize::from(at == 0) + 1
            ]
        } else {
            Vec::new()
        };
        for log in &logs {
            bloom.accrue_raw_log(log.address, &log.topics);
        }
        receipts.push(Receipt {
            transaction_hash: transaction.hash(),
            transaction_type: transaction.transaction().kind(),
            outcome,
            gas_used,
            cumulative_gas_used: cumulative,
            sender: transaction.sender(),
            contract_address: (at == 0).then(|| Address::repeat_byte(0xcc)),
            logs,
            revert_data: if at == 3 {
                Bytes::from_static(&[1, 2, 3, 4])
            } else {
                Bytes::new()
            },
        });
        verified.push(Arc::new(transaction));
    }
    let header = Header {
        version: PROTOCOL_VERSION,
        chain_id: ChainId(CHAIN),
        height: Height(9),
        parent: B256::repeat_byte(8),
        time: Time(1_700_000_001_234),
        proposer: Address::repeat_byte(0x99),
        transactions_root: transactions_root(Suite::Intl, &raw),
        transactions_count: raw.len() as u32,
        executed: Roots::default(),
        validators: B256::repeat_byte(2),
        next_validators: B256::repeat_byte(2),
    };
    let roots = Roots {
        height: Height(9),
        state: B256::repeat_byte(5),
        receipts: receipts_root(Suite::Intl, &receipts),
    };
    ExecutedBlock {
        hash: header.hash(Suite::Intl),
        block: Arc::new(Block {
            header,
            transactions: raw,
        }),
        certificate: None,
        transactions: Arc::new(verified),
        settings: Arc::new(ChainSettings::of_genesis(&genesis())),
        result: Arc::new(BlockResult {
            receipts,
            gas_used: cumulative,
            logs_bloom: bloom.to_vec(),
            roots,
        }),
    }
}
