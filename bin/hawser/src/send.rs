//! Signs and sends transactions, and waits for their receipts.

use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_json_abi::JsonAbi;
use alloy_primitives::{Signature as EthSignature, TxKind};
use clap::Args;
use hawser_crypto::{Scheme, SecretKey, secp};
use hawser_ledger::{Call, Ordering, UnsignedNative};
use hawser_primitives::{Address, B256, Bytes, ChainId, U256};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::{Client, refused};
use crate::exit::{Code, OrFail, Result, fail};
use crate::local::HomeArgs;
use crate::passphrase::PassphraseArgs;
use crate::progress::Progress;
use crate::quantity;

/// Who signs.
#[derive(Args, Clone, Debug)]
pub(crate) struct SignerArgs {
    /// Key that signs: a key file, or a name or address in the keystore
    #[arg(long, value_name = "KEY", help_heading = "Signer")]
    pub(crate) from: Option<String>,
    /// Secret key itself, as 0x… (secp256k1) or scheme:0x…; others on this machine can see it
    #[arg(
        long,
        value_name = "HEX",
        env = "HAWSER_KEY",
        hide_env_values = true,
        conflicts_with = "from",
        help_heading = "Signer"
    )]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}

impl SignerArgs {
    /// Opens the key.
    pub(crate) fn open(&self) -> Result<Signer> {
        let keystore = self.home.home().keystore();
        let key = match (&self.key, &self.from) {
            (_, Some(from)) => keystore.open(from, &self.passphrase)?,
            (Some(text), None) => parse_secret(text)?,
            (None, None) => {
                let keys = keystore.list();
                match keys.as_slice() {
                    [only] => keystore.open(&only.name, &self.passphrase)?,
                    [] => {
                        return fail(
                            Code::Usage,
                            "who signs? Give --from with a key file, or make a key with `hawser keys new`",
                        );
                    }
                    many => {
                        let names: Vec<_> = many.iter().map(|key| key.name.as_str()).collect();
                        return fail(
                            Code::Usage,
                            format!("who signs? Give --from with one of: {}", names.join(", ")),
                        );
                    }
                }
            }
        };
        Ok(Signer::new(key))
    }
}

/// Reads a secret key from text: `0x…`, or with a scheme in front.
pub(crate) fn parse_secret(text: &str) -> Result<SecretKey> {
    let text = text.trim();
    let (scheme, digits) = match text.split_once(':') {
        Some((scheme, digits)) => (scheme.parse().or_fail(Code::Usage)?, digits),
        None => (Scheme::Secp256k1, text),
    };
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    // The error must not repeat what may be a secret.
    let bytes = Zeroizing::new(hex::decode(digits).map_err(|_| {
        crate::exit::Failure::new(
            Code::Usage,
            "a secret key is 64 hexadecimal digits, as 0x… or scheme:0x…",
        )
    })?);
    SecretKey::from_bytes(scheme, &bytes).or_fail(Code::Usage)
}

/// A key that signs transactions.
pub(crate) struct Signer(SecretKey);

/// What a transaction is to do.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    /// The account called; `None` creates a contract.
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
    pub(crate) data: Vec<u8>,
    /// `None`: what the node estimates.
    pub(crate) gas: Option<u64>,
    /// `None`: the next one.
    pub(crate) nonce: Option<u64>,
    pub(crate) chain_id: u64,
    /// Says what the contract's errors are called.
    pub(crate) abi: Option<JsonAbi>,
}

impl Signer {
    /// Signs with this key.
    pub(crate) const fn new(key: SecretKey) -> Self {
        Self(key)
    }

    /// The key itself, for what is no transaction.
    pub(crate) fn into_key(self) -> SecretKey {
        self.0
    }

    /// The account.
    pub(crate) fn address(&self) -> Address {
        self.0.address()
    }

    /// The transaction as it goes over the wire: Ethereum's type 2 for secp256k1, the native
    /// envelope otherwise.
    pub(crate) fn sign(&self, intent: &Intent, nonce: u64, gas: u64) -> Result<Bytes> {
        if self.0.scheme() == Scheme::Secp256k1 {
            return self.sign_ethereum(intent, nonce, gas);
        }
        let input = Bytes::from(intent.data.clone());
        let call = match intent.to {
            Some(to) => Call::Call {
                to,
                value: intent.value,
                input,
            },
            None => Call::Create {
                value: intent.value,
                init_code: input,
            },
        };
        let unsigned = UnsignedNative {
            chain_id: ChainId(intent.chain_id),
            signer: self.0.public_key(),
            ordering: Ordering::Sequential { nonce },
            gas_limit: gas,
            calls: vec![call],
        };
        Ok(unsigned.sign(&self.0).encode_2718())
    }

    fn sign_ethereum(&self, intent: &Intent, nonce: u64, gas: u64) -> Result<Bytes> {
        let transaction = TxEip1559 {
            chain_id: intent.chain_id,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: 0,
            max_priority_fee_per_gas: 0,
            to: intent.to.map_or(TxKind::Create, TxKind::Call),
            value: intent.value,
            access_list: Default::default(),
            input: intent.data.clone().into(),
        };
        let (bytes, parity) =
            secp::sign_prehash(&self.0, &transaction.signature_hash()).or_fail(Code::Failed)?;
        let (r, s) = bytes.split_at(32);
        let signature = EthSignature::new(U256::from_be_slice(r), U256::from_be_slice(s), parity);
        Ok(transaction.into_signed(signature).encoded_2718().into())
    }
}

/// The request object of `eth_call` and `eth_estimateGas`.
pub(crate) fn request(from: Option<Address>, intent: &Intent) -> Value {
    let mut request = json!({
        "value": format!("{:#x}", intent.value),
        "input": format!("0x{}", hex::encode(&intent.data)),
    });
    if let Some(fields) = request.as_object_mut() {
        if let Some(from) = from {
            fields.insert("from".to_owned(), json!(from));
        }
        if let Some(to) = intent.to {
            fields.insert("to".to_owned(), json!(to));
        }
        if let Some(gas) = intent.gas {
            fields.insert("gas".to_owned(), json!(format!("{gas:#x}")));
        }
    }
    request
}

/// Signs and sends; gives the transaction's hash.
pub(crate) async fn submit(client: &Client, signer: &Signer, intent: &Intent) -> Result<B256> {
    let nonce = match intent.nonce {
        Some(nonce) => nonce,
        None => {
            let params = json!([signer.address(), "pending"]);
            client.number("eth_getTransactionCount", params).await?
        }
    };
    let gas = match intent.gas {
        Some(gas) => gas,
        None => {
            let params = json!([request(Some(signer.address()), intent)]);
            let answer = client.try_call("eth_estimateGas", params).await?;
            let answer =
                answer.map_err(|error| refused("eth_estimateGas", &error, intent.abi.as_ref()))?;
            let Some(estimate) = quantity::number(&answer) else {
                return fail(Code::Refused, format!("eth_estimateGas answered {answer}"));
            };
            // State may change before the transaction is executed.
            estimate.saturating_add(estimate / 5)
        }
    };
    let raw = signer.sign(intent, nonce, gas)?;
    let sent = client.call("eth_sendRawTransaction", json!([raw])).await?;
    match sent.as_str().and_then(|text| text.parse().ok()) {
        Some(hash) => Ok(hash),
        None => fail(
            Code::Refused,
            format!("eth_sendRawTransaction: expected a hash, got {sent}"),
        ),
    }
}

/// Waits for a receipt.
pub(crate) async fn receipt(client: &Client, hash: B256, limit: Duration) -> Result<Value> {
    let end = Instant::now() + limit;
    let progress = Progress::spinner("waiting for the receipt");
    loop {
        match client
            .try_call("eth_getTransactionReceipt", json!([hash]))
            .await?
        {
            Ok(Value::Null) => {}
            Ok(receipt) => {
                drop(progress);
                return Ok(receipt);
            }
            Err(error) => return Err(refused("eth_getTransactionReceipt", &error, None)),
        }
        if Instant::now() > end {
            return fail(
                Code::Timeout,
                format!(
                    "no receipt for {hash} within {} s. The transaction may still be executed; \
                     `hawser chain receipt {hash}` looks again, `hawser doctor` says what the \
                     nodes wait for",
                    limit.as_secs()
                ),
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends and waits; a transaction that failed is a failure.
pub(crate) async fn send(
    client: &Client,
    signer: &Signer,
    intent: &Intent,
    limit: Duration,
) -> Result<Value> {
    let hash = submit(client, signer, intent).await?;
    let receipt = receipt(client, hash, limit).await?;
    if quantity::field(&receipt, "status") == Some(1) {
        return Ok(receipt);
    }
    // The receipt does not carry the reason; running the call again on the state before does.
    let block = receipt
        .get("blockNumber")
        .and_then(quantity::number)
        .unwrap_or(1);
    let before = format!("{:#x}", block.saturating_sub(1));
    let params = json!([request(Some(signer.address()), intent), before]);
    let reason = match client.try_call("eth_call", params).await {
        Ok(Err(error)) => refused("eth_call", &error, intent.abi.as_ref()).message,
        _ => "the node does not say why".to_owned(),
    };
    fail(
        Code::Refused,
        format!("transaction {hash} failed in block {block}: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_crypto::Suite;
    use hawser_ledger::Transaction;

    fn intent(to: Option<Address>) -> Intent {
        Intent {
            to,
            value: U256::from(5),
            data: vec![1, 2, 3],
            gas: None,
            nonce: None,
            chain_id: 7,
            abi: None,
        }
    }

    #[test]
    fn what_is_signed_verifies_and_says_what_was_meant() {
        for scheme in Scheme::ALL {
            let key = SecretKey::generate(scheme).unwrap();
            let signer = Signer::new(key);
            for to in [Some(Address::repeat_byte(9)), None] {
                let raw = signer.sign(&intent(to), 3, 50_000).unwrap();
                let transaction = Transaction::decode(Suite::Intl, raw).unwrap();
                assert_eq!(
                    (transaction.nonce(), transaction.gas_limit()),
                    (Some(3), 50_000)
                );
                assert_eq!(transaction.value(), U256::from(5));
                let verified = transaction.verify(ChainId(7)).unwrap();
                assert_eq!(verified.sender(), signer.address());
            }
        }
    }

    #[test]
    fn secrets_are_read_in_both_forms_and_never_repeated() {
        let digits = "11".repeat(32);
        let plain = parse_secret(&format!("0x{digits}")).unwrap();
        assert_eq!(plain.scheme(), Scheme::Secp256k1);
        assert_eq!(
            parse_secret(&format!("sm2:0x{digits}")).unwrap().scheme(),
            Scheme::Sm2
        );
        for bad in [
            format!("0x{digits}1"),
            format!("{digits}zz"),
            format!("rsa:{digits}"),
            String::new(),
        ] {
            let failure = match parse_secret(&bad) {
                Err(failure) => failure,
                Ok(_) => panic!("{bad} was accepted"),
            };
            assert_eq!(failure.code, Code::Usage);
            assert!(!failure.message.contains("1111"), "{failure}");
        }
    }
}
