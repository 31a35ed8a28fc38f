//! Golden vectors: what is encoded and signed today must be so tomorrow. A change here is a change
//! of protocol and needs a protocol version.

use std::collections::BTreeMap;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{
    Block, Call, Certificate, ChainParameters, CommitSignature, CommitteeChange, Genesis,
    GenesisAccount, GenesisValidator, Header, Log, MultisigPolicy, MultisigTransaction, Ordering,
    Outcome, PROTOCOL_VERSION, Receipt, Roots, SETTINGS_SLOT, SettingsSchedule, SkipReason,
    UnsignedMultisig, UnsignedNative, ValidatorSet, VoteKind,
    merkle::MerkleProof,
    proposal_message, receipts_root,
    state::{Account, StateKey},
    transactions_root, vote_message,
};
use hawser_primitives::{
    Address, B256, Bytes, ChainId, Height, Round, Time, U256, decode_exact, encode,
};

fn key(i: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap()
}

fn header() -> Header {
    Header {
        version: 1,
        chain_id: ChainId(7),
        height: Height(2),
        parent: B256::repeat_byte(1),
        time: Time(3),
        proposer: Address::repeat_byte(4),
        transactions_root: B256::repeat_byte(5),
        transactions_count: 6,
        executed: Roots {
            height: Height(1),
            state: B256::repeat_byte(7),
            receipts: B256::repeat_byte(8),
        },
        validators: B256::repeat_byte(9),
        next_validators: B256::repeat_byte(10),
    }
}

fn native() -> UnsignedNative {
    UnsignedNative {
        chain_id: ChainId(7),
        signer: key(1).public_key(),
        ordering: Ordering::Unordered {
            expires: Time(11),
            salt: 12,
        },
        gas_limit: 13,
        calls: vec![
            Call::Call {
                to: Address::repeat_byte(14),
                value: U256::from(15),
                input: Bytes::from(vec![16]),
            },
            Call::Create {
                value: U256::ZERO,
                init_code: Bytes::from(vec![17, 18]),
            },
        ],
    }
}

fn multisig() -> MultisigTransaction {
    let keys = [Scheme::Ed25519, Scheme::Sm2, Scheme::Secp256k1]
        .map(|scheme| SecretKey::from_seed(scheme, &[1; 32]).unwrap());
    let native = native();
    let body = UnsignedMultisig {
        chain_id: native.chain_id,
        policy: MultisigPolicy::new(2, keys.iter().map(SecretKey::public_key).collect()).unwrap(),
        ordering: native.ordering,
        gas_limit: native.gas_limit,
        calls: native.calls,
    };
    let parts = keys.iter().map(|key| body.sign(key).unwrap()).collect();
    body.combine(parts).unwrap()
}

fn receipt() -> Receipt {
    Receipt {
        transaction_hash: B256::repeat_byte(1),
        transaction_type: 2,
        outcome: Outcome::Skipped(SkipReason::Quota),
        gas_used: 3,
        cumulative_gas_used: 4,
        sender: Address::repeat_byte(5),
        contract_address: Some(Address::repeat_byte(6)),
        logs: vec![Log {
            address: Address::repeat_byte(7),
            topics: vec![B256::repeat_byte(8)],
            data: Bytes::from(vec![9]),
        }],
        revert_data: Bytes::from(vec![10]),
    }
}

fn genesis() -> Genesis {
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: ChainId(7),
        name: "golden".to_owned(),
        suite: Suite::Intl,
        time: Time(1),
        parameters: ChainParameters::default(),
        validators: vec![GenesisValidator {
            name: "a".to_owned(),
            public_key: key(1).public_key(),
            weight: 1,
        }],
        accounts: BTreeMap::from([(
            Address::repeat_byte(2),
            GenesisAccount {
                balance: U256::from(3),
                ..GenesisAccount::default()
            },
        )]),
        governance: None,
    }
}

fn schedule() -> SettingsSchedule {
    let mut schedule = SettingsSchedule::of_genesis(&genesis());
    let mut settings = schedule.latest().settings.clone();
    settings.validators[0].weight = 5;
    settings.parameters.heartbeat_ms = 1_000;
    schedule.change(Suite::Intl, Height(3), settings).unwrap();
    schedule
}

fn certificate() -> Certificate {
    Certificate {
        height: Height(1),
        round: Round(2),
        block_hash: B256::repeat_byte(3),
        signatures: vec![CommitSignature {
            validator: 4,
            signature: key(1).sign(b"x"),
        }],
    }
}

fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let set = ValidatorSet::new(
        genesis()
            .validators
            .iter()
            .map(|v| hawser_ledger::Validator {
                public_key: v.public_key.clone(),
                weight: v.weight,
            })
            .collect(),
    )
    .unwrap();
    let raws = [
        Bytes::from(vec![1]),
        Bytes::from(vec![2]),
        Bytes::from(vec![3]),
    ];
    let block = Some(B256::repeat_byte(5));
    vec![
        ("header", encode(&header())),
        ("header hash, intl", header().hash(Suite::Intl).to_vec()),
        ("header hash, sm", header().hash(Suite::Sm).to_vec()),
        (
            "block",
            encode(&Block {
                header: header(),
                transactions: raws.to_vec(),
            }),
        ),
        (
            "transactions root",
            transactions_root(Suite::Intl, &raws).to_vec(),
        ),
        ("receipt", encode(&receipt())),
        (
            "receipts root, sm",
            receipts_root(Suite::Sm, &[receipt(), receipt()]).to_vec(),
        ),
        ("native", native().sign(&key(1)).encode_2718().to_vec()),
        ("native message", native().message()),
        ("multisig", multisig().encode_2718().to_vec()),
        ("multisig message", multisig().body.message()),
        ("multisig address", multisig().sender().to_vec()),
        ("certificate", encode(&certificate())),
        (
            "vote",
            vote_message(ChainId(7), Height(1), Round(2), VoteKind::Precommit, block),
        ),
        (
            "nil vote",
            vote_message(ChainId(7), Height(1), Round(2), VoteKind::Prevote, None),
        ),
        (
            "proposal",
            proposal_message(ChainId(7), Height(1), Round(2), Some(Round(1)), B256::ZERO),
        ),
        ("validator set", encode(&set)),
        ("validator set hash", set.hash(Suite::Intl).to_vec()),
        ("genesis", encode(&genesis())),
        ("genesis hash", genesis().hash().to_vec()),
        (
            "account",
            Account::new(1, U256::from(2), B256::repeat_byte(3))
                .encode()
                .to_vec(),
        ),
        (
            "state path",
            StateKey::Storage(Address::repeat_byte(1), B256::repeat_byte(2))
                .path(Suite::Sm)
                .to_vec(),
        ),
        ("settings", schedule().to_bytes().to_vec()),
        (
            "settings hash, intl",
            SettingsSchedule::hash_of(Suite::Intl, &schedule().to_bytes()).to_vec(),
        ),
        (
            "settings hash, sm",
            SettingsSchedule::hash_of(Suite::Sm, &schedule().to_bytes()).to_vec(),
        ),
        ("settings slot", SETTINGS_SLOT.to_vec()),
        (
            "committee change",
            encode(&CommitteeChange {
                header: header(),
                certificate: certificate(),
                next: set,
            }),
        ),
        (
            "merkle proof",
            encode(&MerkleProof {
                index: 1,
                count: 2,
                siblings: vec![B256::repeat_byte(3)],
            }),
        ),
        (
            "batch digest",
            hawser_ledger::batch_digest(
                Suite::Intl,
                ChainId(7),
                &[hawser_ledger::Claim {
                    hash: B256::repeat_byte(1),
                    sender: Address::repeat_byte(2),
                }],
            )
            .to_vec(),
        ),
        (
            "attestation message",
            hawser_ledger::attestation_message(ChainId(7), B256::repeat_byte(1)),
        ),
        (
            "parameters of a chain where a quorum verifies",
            encode(&ChainParameters {
                verification: hawser_ledger::Verification::Quorum,
                ..ChainParameters::default()
            }),
        ),
    ]
}

#[test]
fn encodings_are_what_they_were() {
    let expected = include_str!("../golden.txt");
    let found: String = vectors()
        .iter()
        .map(|(name, bytes)| format!("{name}: {}\n", hex::encode(bytes)))
        .collect();
    if found != expected {
        for (found, expected) in found
            .lines()
            .zip(expected.lines().chain(std::iter::repeat("")))
        {
            if found != expected {
                eprintln!("found    {found}\nexpected {expected}");
            }
        }
        panic!("an encoding changed: that is a change of protocol");
    }
}

/// Accounts, or places of an account's storage, in another order or twice are no other encoding of the same genesis.
#[test]
fn a_genesis_whose_maps_do_not_ascend_is_refused() {
    let mut genesis = genesis();
    let account = GenesisAccount {
        storage: BTreeMap::from([1, 2].map(|n| (B256::repeat_byte(n), B256::repeat_byte(9)))),
        ..GenesisAccount::default()
    };
    let accounts = [3, 4].map(|n| (Address::repeat_byte(n), account.clone()));
    genesis.accounts = BTreeMap::from(accounts.clone());
    let bytes = encode(&genesis);
    let read = |bytes: &[u8]| decode_exact::<Genesis>(bytes, 1 << 16);
    assert_eq!(read(&bytes).unwrap(), genesis);

    let places: Vec<_> = account.storage.iter().map(|place| encode(&place)).collect();
    let accounts: Vec<_> = accounts.iter().map(encode).collect();
    for pair in [places, accounts] {
        let [first, second] = [&pair[0], &pair[1]];
        let right = [&first[..], second].concat();
        let at = bytes
            .windows(right.len())
            .position(|part| part == right)
            .unwrap();
        for wrong in [[&second[..], first], [&first[..], first]] {
            let mut bytes = bytes.clone();
            bytes[at..at + right.len()].copy_from_slice(&wrong.concat());
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains("do not ascend"), "{error}");
        }
    }
}
