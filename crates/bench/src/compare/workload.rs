//! Accounts, and transactions signed before the clock starts.

use std::sync::Arc;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::Ordering;
use hawser_primitives::{Address, B256, ChainId, Time};
use hawser_services::evidence::{self, Algorithm, Record};

use crate::{
    error::Result,
    lanes::{self, Stop},
    progress::Progress,
    seed::{derive, mix, role_key},
    sign::{EthereumCall, NativeCall, Raw, UNORDERED_LIFE_MS},
    token,
};

/// Records registered by one transaction of the evidence workload.
pub(crate) const RECORDS: u64 = 100;
/// Gas limit of such a transaction: about 31,000 per record and its bytes.
const EVIDENCE_GAS: u64 = 6_000_000;

/// What the transactions of a run do, and how they are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ERC-20 transfers, type 2, secp256k1.
    Ethereum,
    /// ERC-20 transfers in the native envelope.
    Native(Scheme),
    /// Batches of evidence records in the native envelope, unordered, valid from this time on.
    Evidence(Scheme, Time),
}

/// Who sends what.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) suite: Suite,
    pub(crate) chain: ChainId,
    pub(crate) seed: u64,
    pub(crate) accounts: u32,
    /// Transactions of each account.
    pub(crate) each: usize,
    pub(crate) token: Address,
}

/// A transaction ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) hash: B256,
    /// The JSON-RPC request; its id is [`request_id`].
    pub(crate) request: String,
}

/// Signed transactions: per account, in the order of their nonces.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) spec: Spec,
    pub(crate) addresses: Vec<Address>,
    pub(crate) lanes: Vec<Vec<Signed>>,
}

impl Spec {
    pub(crate) fn scheme(&self) -> Scheme {
        match self.kind {
            Kind::Ethereum => Scheme::Secp256k1,
            Kind::Native(scheme) | Kind::Evidence(scheme, _) => scheme,
        }
    }

    pub(crate) fn keys(&self) -> Result<Vec<SecretKey>> {
        (0..u64::from(self.accounts))
            .map(|i| role_key(self.scheme(), self.seed, "account", i))
            .collect()
    }

    /// Who receives the `index`th transfer of account `from`; never the account itself.
    pub(crate) fn recipient(&self, from: usize, index: usize) -> usize {
        let count = self.accounts.max(2) as usize;
        let drawn = mix(self.seed ^ ((from as u64) << 40) ^ (index as u64));
        let ahead = usize::try_from(drawn % (count as u64).saturating_sub(1)).unwrap_or(0);
        (from + 1 + ahead) % count
    }

    fn sign(&self, key: &SecretKey, to: &[Address], from: usize, index: usize) -> Result<Raw> {
        let recipient = || {
            let found = to.get(self.recipient(from, index)).copied();
            token::transfer(found.unwrap_or_default(), 1)
        };
        let nonce = index as u64;
        let native = |ordering, gas_limit, to, input| NativeCall {
            value: 0,
            suite: self.suite,
            chain: self.chain,
            ordering,
            gas_limit,
            to,
            input,
        };
        match self.kind {
            Kind::Ethereum => {
                let call = EthereumCall {
                    value: 0,
                    chain: self.chain,
                    nonce,
                    gas_limit: token::TRANSFER_GAS,
                    to: Some(self.token),
                    input: recipient(),
                };
                call.sign(key)
            }
            Kind::Native(_) => {
                let ordering = Ordering::Sequential { nonce };
                let gas = token::NATIVE_TRANSFER_GAS;
                Ok(native(ordering, gas, self.token, recipient()).sign(key))
            }
            Kind::Evidence(_, now) => {
                let ordering = Ordering::Unordered {
                    expires: now.plus_ms(UNORDERED_LIFE_MS),
                    salt: nonce,
                };
                let records: Vec<_> = (0..RECORDS).map(|i| self.record(from, nonce, i)).collect();
                let input = evidence::encode_register(&records);
                Ok(native(ordering, EVIDENCE_GAS, evidence::ADDRESS, input).sign(key))
            }
        }
    }

    /// A record that no other run registers for this account.
    fn record(&self, from: usize, nonce: u64, index: u64) -> Record {
        let number = ((from as u64) << 40) | nonce.saturating_mul(RECORDS).saturating_add(index);
        Record {
            digest: derive(self.seed, "record", number).to_vec(),
            algorithm: Algorithm::Sha256.number(),
            media_type: "application/pdf".to_owned(),
            description: format!("file {number}"),
            sealed_owner: Vec::new(),
        }
    }
}

/// Request id of an account's transaction: below 2^53, so that no JSON reader rounds it.
pub(crate) const fn request_id(account: usize, index: usize) -> u64 {
    ((account as u64) << 32) | index as u64
}

/// The account and index of a request id.
pub(crate) const fn request_of(id: u64) -> (usize, usize) {
    ((id >> 32) as usize, (id & 0xffff_ffff) as usize)
}

impl Workload {
    /// Signs everything on all processors. Nothing depends on how many there are.
    pub(crate) async fn sign(spec: Spec, progress: &Progress) -> Result<Arc<Self>> {
        let total = u64::from(spec.accounts).saturating_mul(spec.each as u64);
        let bar = progress.bar(&format!("signing {total} transactions"), total);
        lanes::in_background(bar, move |stop, signed| {
            sign_all(spec, stop, signed).map(Arc::new)
        })
        .await
    }
}

fn sign_all(spec: Spec, stop: &Stop, signed: &(dyn Fn(u64) + Sync)) -> Result<Workload> {
    let keys = spec.keys()?;
    let addresses: Vec<Address> = keys.iter().map(SecretKey::address).collect();
    let one = |account: usize, key: &SecretKey, index: usize| {
        let raw = spec.sign(key, &addresses, account, index)?;
        Ok(Signed {
            hash: raw.hash,
            request: send_request(request_id(account, index), &raw.bytes),
        })
    };
    let lanes = lanes::sign(&keys, spec.each, stop, signed, &one)?;
    Ok(Workload {
        spec,
        addresses,
        lanes,
    })
}

/// An `eth_sendRawTransaction` request.
pub(crate) fn send_request(id: u64, raw: &[u8]) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["0x{}"]}}"#,
        hex::encode(raw)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BenchError;
    use hawser_ledger::Transaction;
    use serde_json::Value;

    fn spec(kind: Kind) -> Spec {
        Spec {
            kind,
            suite: Suite::Sm,
            chain: ChainId(7),
            seed: 1,
            accounts: 8,
            each: 3,
            token: Address::repeat_byte(9),
        }
    }

    fn all(kind: Kind) -> Workload {
        sign_all(spec(kind), &Stop::default(), &|_| {}).unwrap()
    }

    #[test]
    fn every_kind_is_signed_the_same_each_time_and_verifies() {
        let now = Time(1_700_000_000_000);
        for kind in [
            Kind::Ethereum,
            Kind::Native(Scheme::Sm2),
            Kind::Native(Scheme::Ed25519),
            Kind::Evidence(Scheme::Sm2, now),
        ] {
            let (first, second) = (all(kind), all(kind));
            assert_eq!(first.lanes.len(), 8);
            for (account, (lane, again)) in first.lanes.iter().zip(&second.lanes).enumerate() {
                assert_eq!(lane.len(), 3);
                for (index, (one, same)) in lane.iter().zip(again).enumerate() {
                    assert_eq!(one.request, same.request);
                    let request: Value = serde_json::from_str(&one.request).unwrap();
                    assert_eq!(
                        request_of(request["id"].as_u64().unwrap()),
                        (account, index)
                    );
                    let raw = request["params"][0].as_str().unwrap();
                    let raw = hex::decode(raw.trim_start_matches("0x")).unwrap();
                    let decoded = Transaction::decode(Suite::Sm, raw.into()).unwrap();
                    assert_eq!(decoded.hash(), one.hash);
                    if !matches!(kind, Kind::Evidence(..)) {
                        assert_eq!(decoded.nonce(), Some(index as u64));
                    }
                    let verified = decoded.verify(ChainId(7)).unwrap();
                    assert_eq!(verified.sender(), first.addresses[account]);
                }
            }
        }
    }

    #[test]
    fn nobody_sends_to_himself_and_everybody_receives() {
        let spec = spec(Kind::Ethereum);
        let mut received = [0; 8];
        for from in 0..8 {
            for index in 0..500 {
                let to = spec.recipient(from, index);
                assert_ne!(to, from);
                received[to] += 1;
            }
        }
        assert!(
            received.iter().all(|n| (350..650).contains(n)),
            "{received:?}"
        );
    }

    #[test]
    fn records_of_a_run_are_all_different() {
        let spec = spec(Kind::Evidence(Scheme::Sm2, Time(0)));
        let mut seen = std::collections::BTreeSet::new();
        for (from, nonce) in [(0, 0), (0, 1), (1, 0)] {
            for i in 0..RECORDS {
                assert!(seen.insert(spec.record(from, nonce, i).digest));
            }
        }
    }

    #[test]
    fn an_interrupted_signing_stops() {
        let stop = Stop::default();
        stop.raise();
        let stopped = sign_all(spec(Kind::Ethereum), &stop, &|_| {});
        assert!(matches!(stopped, Err(BenchError::Interrupted)));
    }
}
