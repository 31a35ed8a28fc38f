//! Clients: accounts of all schemes that send transfers, ordered and unordered.

use std::sync::Arc;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{Call, Ordering, SETTINGS_ACCOUNT, Transaction, UnsignedNative};
use hawser_primitives::{Address, B256, Bytes, ChainId, Time, U256};
use hawser_services::evidence::{self, Algorithm, Record};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::settings::Patch;

const GAS: u64 = 500_000;
/// Gas limit of a plain transfer.
const LOT_GAS: u64 = 60_000;
const LIFETIME_MS: u64 = 120_000;

struct Client {
    key: Arc<SecretKey>,
    nonce: u64,
}

/// A transaction that a client signed.
pub(crate) struct Signed {
    pub(crate) raw: Bytes,
    pub(crate) hash: B256,
    /// When it stops being valid, if it does.
    pub(crate) expires: Option<Time>,
}

pub(crate) struct Clients {
    clients: Vec<Client>,
    chain: ChainId,
    suite: Suite,
    salt: u64,
}

impl Clients {
    pub(crate) fn new(chain: ChainId, suite: Suite) -> Self {
        let schemes = [
            Scheme::Ed25519,
            Scheme::Sm2,
            Scheme::Secp256k1,
            Scheme::Ed25519,
        ];
        let clients = (1u8..)
            .zip(schemes)
            .filter_map(|(i, scheme)| {
                let key = SecretKey::from_seed(scheme, &[i; 32]).ok()?;
                Some(Client {
                    key: Arc::new(key),
                    nonce: 0,
                })
            })
            .collect();
        Self {
            clients,
            chain,
            suite,
            salt: 0,
        }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.clients.iter().map(|client| client.key.address())
    }

    /// The next transaction of a random client.
    pub(crate) fn next(&mut self, rng: &mut ChaCha8Rng, now: Time) -> Option<Signed> {
        let to = Address::repeat_byte(rng.random_range(0x80..=0xff));
        let value = U256::from(rng.random_range(0u64..1_000));
        let calls = if rng.random_bool(0.3) {
            self.salt = self.salt.saturating_add(1);
            vec![Call::Call {
                to: evidence::ADDRESS,
                value: U256::ZERO,
                input: evidence::encode_register(&records(self.salt, rng.random_range(1..4))),
            }]
        } else {
            (0..rng.random_range(1..3))
                .map(|_| Call::Call {
                    to,
                    value,
                    input: Bytes::new(),
                })
                .collect()
        };
        self.sign(rng, now, calls)
    }

    /// Many transfers at once, by the clients whose signatures cost least to verify.
    pub(crate) fn lot(&mut self, count: usize) -> Vec<Signed> {
        let (chain, suite) = (self.chain, self.suite);
        let fast = |client: &&mut Client| client.key.public_key().scheme() == Scheme::Ed25519;
        let mut clients: Vec<_> = self.clients.iter_mut().filter(fast).collect();
        let mut all = Vec::with_capacity(count);
        while all.len() < count && !clients.is_empty() {
            for client in clients.iter_mut().take(count - all.len()) {
                let nonce = client.nonce;
                client.nonce = nonce.saturating_add(1);
                let native = UnsignedNative {
                    chain_id: chain,
                    signer: client.key.public_key(),
                    ordering: Ordering::Sequential { nonce },
                    gas_limit: LOT_GAS,
                    calls: vec![Call::Call {
                        to: Address::repeat_byte(0x80),
                        value: U256::from(1u64),
                        input: Bytes::new(),
                    }],
                }
                .sign(&client.key);
                let raw = native.encode_2718();
                all.push(Signed {
                    hash: suite.hash(&raw),
                    raw,
                    expires: None,
                });
            }
        }
        all
    }

    /// A transfer in the first client's name that somebody else signed.
    pub(crate) fn forged(&mut self, now: Time) -> Option<Signed> {
        self.salt = self.salt.saturating_add(1);
        let (victim, thief) = (self.clients.first()?, self.clients.last()?);
        let native = UnsignedNative {
            chain_id: self.chain,
            signer: victim.key.public_key(),
            ordering: Ordering::Unordered {
                expires: now.plus_ms(LIFETIME_MS),
                salt: self.salt,
            },
            gas_limit: LOT_GAS,
            calls: vec![Call::Call {
                to: thief.key.address(),
                value: U256::from(1u64),
                input: Bytes::new(),
            }],
        }
        .sign(&thief.key);
        let raw = native.encode_2718();
        Some(Signed {
            hash: self.suite.hash(&raw),
            raw,
            expires: Some(now.plus_ms(LIFETIME_MS)),
        })
    }

    /// Whom a transaction names as its signer.
    pub(crate) fn sender_of(&self, raw: &Bytes) -> Option<Address> {
        let decoded = Transaction::decode(self.suite, raw.clone()).ok()?;
        let mut all = self.addresses();
        all.find(|address| decoded.may_be_from(*address, self.chain))
    }

    /// A change of settings, signed by a random client.
    pub(crate) fn change(
        &mut self,
        rng: &mut ChaCha8Rng,
        now: Time,
        patch: &Patch,
    ) -> Option<Signed> {
        let call = Call::Call {
            to: SETTINGS_ACCOUNT,
            value: U256::ZERO,
            input: patch.encode(),
        };
        self.sign(rng, now, vec![call])
    }

    fn sign(&mut self, rng: &mut ChaCha8Rng, now: Time, calls: Vec<Call>) -> Option<Signed> {
        let index = rng.random_range(0..self.clients.len());
        let unordered = rng.random_bool(0.4);
        let client = self.clients.get_mut(index)?;
        let ordering = if unordered {
            self.salt = self.salt.saturating_add(1);
            Ordering::Unordered {
                expires: now.plus_ms(LIFETIME_MS),
                salt: self.salt,
            }
        } else {
            let nonce = client.nonce;
            client.nonce = nonce.saturating_add(1);
            Ordering::Sequential { nonce }
        };
        let native = UnsignedNative {
            chain_id: self.chain,
            signer: client.key.public_key(),
            ordering,
            gas_limit: GAS,
            calls,
        }
        .sign(&client.key);
        let raw = native.encode_2718();
        let expires = unordered.then(|| now.plus_ms(LIFETIME_MS));
        Some(Signed {
            hash: self.suite.hash(&raw),
            raw,
            expires,
        })
    }
}

fn records(salt: u64, count: u8) -> Vec<Record> {
    (0..count)
        .map(|i| {
            let mut digest = [i; 32];
            digest[..8].copy_from_slice(&salt.to_be_bytes());
            Record {
                algorithm: Algorithm::Sha256.number(),
                digest: digest.to_vec(),
                media_type: "text/plain".to_owned(),
                description: format!("record {salt}.{i}"),
                sealed_owner: Vec::new(),
            }
        })
        .collect()
}
