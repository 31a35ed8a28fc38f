//! Transactions signed before the clock starts: a lane per account, in the order of nonces.

use std::sync::Arc;

use hawser_crypto::{Scheme, SecretKey};
use hawser_ledger::Ordering;
use hawser_primitives::{B256, Bytes, Time};

use super::{Op, Scene, Workload};
use crate::{
    error::Result,
    lanes::{self, Stop},
    progress::Progress,
    sign::{EthereumCall, NativeCall, UNORDERED_LIFE_MS},
};

/// Gas that the native envelope's bytes and signature cost more.
const NATIVE_GAS: u64 = 15_000;

/// How transactions are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// Type 2 (EIP-1559), secp256k1.
    Ethereum,
    /// The chain's own.
    Native(Scheme),
}

impl Envelope {
    /// The scheme of the senders' keys.
    pub(crate) const fn scheme(self) -> Scheme {
        match self {
            Self::Ethereum => Scheme::Secp256k1,
            Self::Native(scheme) => scheme,
        }
    }

    /// In words.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Ethereum => "Ethereum type 2, secp256k1".to_owned(),
            Self::Native(scheme) => format!("native, {}", scheme.name()),
        }
    }
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tx {
    pub(crate) hash: B256,
    pub(crate) raw: Bytes,
}

/// What is needed to sign.
#[derive(Clone)]
pub(crate) struct Signing {
    pub(crate) scene: Arc<Scene>,
    pub(crate) workload: Arc<dyn Workload>,
    pub(crate) envelope: Envelope,
    pub(crate) keys: Arc<Vec<SecretKey>>,
    /// Nonce of each account before the first transaction of the run.
    pub(crate) nonces: Arc<Vec<u64>>,
}

/// Signed transactions of each account, in the order of their nonces.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) lanes: Vec<Vec<Tx>>,
}

impl Lanes {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(Vec::len).sum()
    }
}

impl Signing {
    fn one(&self, account: usize, key: &SecretKey, index: u64, now: Time) -> Result<Tx> {
        let Op {
            to,
            value,
            input,
            gas,
        } = self.workload.op(&self.scene, account, index);
        let nonce = self.nonces.get(account).copied().unwrap_or(0);
        let nonce = nonce.saturating_add(index);
        let raw = match self.envelope {
            Envelope::Ethereum => EthereumCall {
                chain: self.scene.chain,
                nonce,
                gas_limit: gas,
                value,
                to: Some(to),
                input,
            }
            .sign(key)?,
            Envelope::Native(_) => NativeCall {
                suite: self.scene.suite,
                chain: self.scene.chain,
                ordering: if self.workload.unordered() {
                    let expires = now.plus_ms(UNORDERED_LIFE_MS);
                    let salt = index;
                    Ordering::Unordered { expires, salt }
                } else {
                    Ordering::Sequential { nonce }
                },
                gas_limit: gas.saturating_add(NATIVE_GAS),
                value,
                to,
                input,
            }
            .sign(key),
        };
        Ok(Tx {
            hash: raw.hash,
            raw: raw.bytes,
        })
    }

    /// Signs `each` transactions of every account from the index `from` on, on all processors. Nothing depends on how
    /// many there are.
    pub(crate) async fn sign(
        &self,
        from: Vec<u64>,
        each: usize,
        now: Time,
        progress: &Progress,
    ) -> Result<Lanes> {
        let total = self.keys.len().saturating_mul(each) as u64;
        let bar = progress.bar(&progress.text("signing", "预签名"), total);
        let signing = self.clone();
        lanes::in_background(bar, move |stop, signed| {
            let lanes = signing.all(&from, each, now, stop, signed)?;
            Ok(Lanes { lanes })
        })
        .await
    }

    fn all(
        &self,
        from: &[u64],
        each: usize,
        now: Time,
        stop: &Stop,
        signed: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<Vec<Tx>>> {
        let one = |account: usize, key: &SecretKey, index: usize| {
            let first = from.get(account).copied().unwrap_or(0);
            self.one(account, key, first.saturating_add(index as u64), now)
        };
        lanes::sign(&self.keys, each, stop, signed, &one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::BenchError,
        seed::role_key,
        work::{Choice, NAMES, parse, test_scene},
    };
    use hawser_crypto::Suite;
    use hawser_ledger::Transaction;
    use hawser_primitives::ChainId;

    fn signing(name: &str, suite: Suite, envelope: Envelope) -> Option<Signing> {
        let Ok(Choice::Transactions(workload)) = parse(name) else {
            return None;
        };
        let key = |i| role_key(envelope.scheme(), 1, "account", i).unwrap();
        let scene = Scene {
            suite,
            ..test_scene(3)
        };
        Some(Signing {
            scene: Arc::new(scene),
            workload,
            envelope,
            keys: Arc::new((0..3).map(key).collect()),
            nonces: Arc::new(vec![5, 6, 7]),
        })
    }

    #[test]
    fn transactions_of_every_workload_and_envelope_verify_and_repeat() {
        let (stop, now) = (Stop::default(), Time(1_700_000_000_000));
        for (name, ..) in NAMES {
            for (suite, envelope) in [
                (Suite::Intl, Envelope::Ethereum),
                (Suite::Intl, Envelope::Native(Scheme::Ed25519)),
                (Suite::Sm, Envelope::Native(Scheme::Sm2)),
            ] {
                let Some(signing) = signing(name, suite, envelope) else {
                    continue;
                };
                let sign = || signing.all(&[0, 1, 2], 2, now, &stop, &|_| {}).unwrap();
                let lanes = sign();
                assert_eq!(lanes, sign(), "{name}");
                for (account, lane) in lanes.iter().enumerate() {
                    for (i, tx) in lane.iter().enumerate() {
                        let decoded = Transaction::decode(suite, tx.raw.clone()).unwrap();
                        assert_eq!(decoded.hash(), tx.hash);
                        if let Some(nonce) = decoded.nonce() {
                            assert_eq!(nonce, (5 + 2 * account + i) as u64, "{name}");
                        }
                        let verified = decoded.verify(ChainId(7)).unwrap();
                        assert_eq!(verified.sender(), signing.keys[account].address());
                    }
                }
            }
        }
    }

    #[test]
    fn an_interrupted_signing_stops() {
        let signing = signing("erc20", Suite::Intl, Envelope::Ethereum).unwrap();
        let stop = Stop::default();
        stop.raise();
        let stopped = signing.all(&[0; 3], 2, Time(0), &stop, &|_| {});
        assert!(matches!(stopped, Err(BenchError::Interrupted)));
    }
}
