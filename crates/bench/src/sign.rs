//! Signing one transaction of each kind.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Signature as EcdsaSignature, TxKind};
use hawser_crypto::{SecretKey, Suite, secp};
use hawser_ledger::{Call, Ordering, Transaction, UnsignedNative};
use hawser_primitives::{Address, B256, Bytes, ChainId, U256};

use crate::error::Result;

/// Life of an unordered transaction from its signing in milliseconds, a little under the longest allowed.
pub(crate) const UNORDERED_LIFE_MS: u64 = 9 * 60 * 1000;

/// A signed transaction with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) hash: B256,
    pub(crate) bytes: Bytes,
}

/// What an Ethereum transaction of the benchmark varies in. Fees are zero on both sides.
#[derive(Clone, Debug)]
pub(crate) struct EthereumCall {
    pub(crate) chain: ChainId,
    pub(crate) nonce: u64,
    pub(crate) gas_limit: u64,
    /// In wei.
    pub(crate) value: u64,
    /// `None` creates a contract.
    pub(crate) to: Option<Address>,
    pub(crate) input: Bytes,
}

impl EthereumCall {
    fn unsigned(self) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.chain.0,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: 0,
            max_priority_fee_per_gas: 0,
            to: self.to.map_or(TxKind::Create, TxKind::Call),
            value: U256::from(self.value),
            access_list: Default::default(),
            input: self.input,
        }
    }

    /// Signs a type 2 transaction (EIP-1559).
    pub(crate) fn sign(self, key: &SecretKey) -> Result<Raw> {
        let unsigned = self.unsigned();
        let (r_s, parity) = secp::sign_prehash(key, &unsigned.signature_hash())?;
        let signature = EcdsaSignature::from_bytes_and_parity(&r_s, parity);
        Ok(encode(unsigned, signature))
    }

    /// The same with the other of the two values of `s` that fit the equation, which EIP-2
    /// forbids: everybody could make a second hash for a transaction with it.
    pub(crate) fn sign_with_high_s(self, key: &SecretKey) -> Result<Raw> {
        /// Order of the group, SEC 2 section 2.4.1.
        const ORDER: U256 = alloy_primitives::uint!(
            0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256
        );
        let unsigned = self.unsigned();
        let (r_s, parity) = secp::sign_prehash(key, &unsigned.signature_hash())?;
        let low = EcdsaSignature::from_bytes_and_parity(&r_s, parity);
        let high = EcdsaSignature::new(low.r(), ORDER.saturating_sub(low.s()), !parity);
        Ok(encode(unsigned, high))
    }
}

fn encode(unsigned: TxEip1559, signature: EcdsaSignature) -> Raw {
    let signed = unsigned.into_signed(signature);
    let mut bytes = Vec::with_capacity(256);
    signed.encode_2718(&mut bytes);
    Raw {
        hash: *signed.hash(),
        bytes: bytes.into(),
    }
}

/// What a native transaction of the benchmark varies in.
#[derive(Clone, Debug)]
pub(crate) struct NativeCall {
    pub(crate) suite: Suite,
    pub(crate) chain: ChainId,
    pub(crate) ordering: Ordering,
    pub(crate) gas_limit: u64,
    /// In wei.
    pub(crate) value: u64,
    pub(crate) to: Address,
    pub(crate) input: Bytes,
}

impl NativeCall {
    fn unsigned(self, key: &SecretKey) -> UnsignedNative {
        UnsignedNative {
            chain_id: self.chain,
            signer: key.public_key(),
            ordering: self.ordering,
            gas_limit: self.gas_limit,
            calls: vec![Call::Call {
                to: self.to,
                value: U256::from(self.value),
                input: self.input,
            }],
        }
    }

    pub(crate) fn sign(self, key: &SecretKey) -> Raw {
        let suite = self.suite;
        let bytes = self.unsigned(key).sign(key).encode_2718();
        Raw {
            hash: Transaction::hash_of(suite, &bytes),
            bytes,
        }
    }

    /// In the name of `victim`, with a signature by `forger`.
    pub(crate) fn forge(self, victim: &SecretKey, forger: &SecretKey) -> Raw {
        let suite = self.suite;
        let bytes = self.unsigned(victim).sign(forger).encode_2718();
        Raw {
            hash: Transaction::hash_of(suite, &bytes),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256, hex};
    use hawser_crypto::Scheme;
    use hawser_ledger::Envelope;

    fn decode(suite: Suite, raw: &Raw) -> Transaction {
        Transaction::decode(suite, raw.bytes.clone()).unwrap()
    }

    fn example() -> EthereumCall {
        EthereumCall {
            value: 0,
            chain: ChainId(1),
            nonce: 7,
            gas_limit: 65_000,
            to: Some(address!("70997970C51812dc3A010C7d01b50e0d17dc79C8")),
            input: hex!("a9059cbb").into(),
        }
    }

    /// Key and expected bytes: `cast mktx` of Foundry 1.7.1 with the first development key.
    #[test]
    fn a_type_2_transaction_is_what_cast_makes_of_it() {
        let key = hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        let key = SecretKey::from_bytes(Scheme::Secp256k1, &key).unwrap();
        let raw = example().sign(&key).unwrap();
        assert_eq!(hex::encode(&raw.bytes), CAST_RAW);
        assert_eq!(raw.hash, alloy_primitives::keccak256(&raw.bytes));
        let verified = decode(Suite::Intl, &raw).verify(ChainId(1)).unwrap();
        assert_eq!(verified.sender(), key.address());
        assert_eq!(verified.hash(), raw.hash);
    }

    const CAST_RAW: &str = "02f8660107808082fde89470997970c51812dc3a010c7d01b50e0d17dc79c88084a9059cbbc080a051dbcf3578a087037e1a35c0e3a7046a26350e53d62209d26625ab8253207955a01c78253c65946540f6acbbe30530a1af97d830c7d1d0cac1cfa94945db70ec38";

    #[test]
    fn the_forgeries_decode_and_do_not_verify() {
        let key = |seed| SecretKey::from_seed(Scheme::Secp256k1, &[seed; 32]).unwrap();
        let high = example().sign_with_high_s(&key(1)).unwrap();
        assert!(decode(Suite::Intl, &high).verify(ChainId(1)).is_err());
        for scheme in [Scheme::Ed25519, Scheme::Sm2] {
            let key = |seed| SecretKey::from_seed(scheme, &[seed; 32]).unwrap();
            let call = NativeCall {
                value: 0,
                suite: Suite::Sm,
                chain: ChainId(1),
                ordering: Ordering::Sequential { nonce: 0 },
                gas_limit: 80_000,
                to: Address::ZERO,
                input: Bytes::new(),
            };
            let good = decode(Suite::Sm, &call.clone().sign(&key(1)));
            assert_eq!(good.verify(ChainId(1)).unwrap().sender(), key(1).address());
            let forged = call.forge(&key(1), &key(2));
            assert!(decode(Suite::Sm, &forged).verify(ChainId(1)).is_err());
        }
    }

    #[test]
    fn a_native_hash_is_the_suites() {
        let key = SecretKey::from_seed(Scheme::Sm2, &[1; 32]).unwrap();
        for suite in Suite::ALL {
            let call = NativeCall {
                value: 0,
                suite,
                chain: ChainId(1),
                ordering: Ordering::Sequential { nonce: 0 },
                gas_limit: 80_000,
                to: Address::ZERO,
                input: Bytes::new(),
            };
            let raw = call.sign(&key);
            let decoded = decode(suite, &raw);
            assert_eq!(decoded.hash(), raw.hash);
            assert!(matches!(decoded.envelope(), Envelope::Native(_)));
        }
        let zero = b256!("0000000000000000000000000000000000000000000000000000000000000000");
        assert_ne!(Suite::Sm.hash(&[]), zero);
    }
}
