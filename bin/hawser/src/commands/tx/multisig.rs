//! `hawser tx multisig`: accounts that several keys sign for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use hawser_crypto::{Scheme, Signature, Suite};
use hawser_execution::{COSIGNATURE_GAS, POLICY_KEY_GAS, SM2_SIGNATURE_GAS};
use hawser_ledger::{
    Call, MultisigPolicy, MultisigSignature, MultisigTransaction, Ordering, UnsignedMultisig,
};
use hawser_primitives::{Address, B256, Bytes, ChainId, U256};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{amount, print_receipt};
use crate::client::{Client, NodeArgs, refused};
use crate::commands::keys;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::output::{self, Output};
use crate::passphrase::PassphraseArgs;
use crate::send::{self, Intent};
use crate::{files, quantity};

/// Largest file read, in bytes: a transaction of the largest size in hexadecimal digits, with room.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Commands of `tx multisig`.
#[derive(Subcommand, Debug)]
pub(crate) enum MultisigCommand {
    /// Write down who signs for an account, and show its address
    Policy(PolicyArgs),
    /// Write a transaction that the signers of an account can sign
    Create(Box<CreateArgs>),
    /// Sign such a transaction as one of its signers
    Sign(SignArgs),
    /// Put enough signatures and the transaction together
    Combine(CombineArgs),
    /// Send a combined transaction and wait for its receipt
    Send(SendArgs),
}

/// Arguments of `tx multisig policy`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser tx multisig policy --threshold 2 --key alice --key sm2:0x03… --key ed25519:0x… --to board.json

The address is the account: it can receive before anything was sent from it. Keys may be of
different schemes; their order does not matter.")]
pub(crate) struct PolicyArgs {
    /// How many have to sign
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=16))]
    threshold: u8,
    /// A signer: a public key as scheme:0x…, or a key that tells it; once for each, 1 to 16
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `tx multisig create`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser tx multisig create --policy board.json --to 0x… --value 1ether --out payment.json

Without --nonce, --gas and --chain-id the node is asked.")]
pub(crate) struct CreateArgs {
    /// File with the account's policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The account called
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// Amount sent along: wei, or with a unit: 5gwei, 0.1ether
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = amount)]
    value: U256,
    /// Call data
    #[arg(long, value_name = "HEX", default_value = "0x")]
    data: Bytes,
    /// Gas limit [default: what the node estimates, and a fifth]
    #[arg(long, value_parser = clap::value_parser!(u64).range(21_000..))]
    gas: Option<u64>,
    /// Nonce [default: the next one]
    #[arg(long)]
    nonce: Option<u64>,
    /// Chain that it is for [default: the node's]
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `tx multisig sign`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser tx multisig sign payment.json --from alice --out payment.alice.json

Look at what it shows before you hand the signature on: chain, account, nonce and calls are all
that is signed.")]
pub(crate) struct SignArgs {
    /// File with the transaction
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Key that signs: a key file, or a name or address in the keystore
    #[arg(long, value_name = "KEY")]
    from: String,
    /// File to write the signature to; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `tx multisig combine`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser tx multisig combine payment.json payment.alice.json payment.bob.json --out payment.signed.json")]
pub(crate) struct CombineArgs {
    /// File with the transaction
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Files with signatures
    #[arg(value_name = "SIGNATURE", required = true, num_args = 1..=16)]
    signatures: Vec<PathBuf>,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `tx multisig send`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser tx multisig send payment.signed.json

Ends with 7 when the transaction fails.")]
pub(crate) struct SendArgs {
    /// File with the combined transaction
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the hash at once and do not wait for the receipt
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// One signer's part, as a file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Part {
    /// Keccak-256 of the message signed: says which transaction it belongs to.
    transaction: B256,
    /// Position of the signer in the policy.
    key: u8,
    signature: Signature,
}

/// A combined transaction, as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    raw: Bytes,
}

/// Runs the command.
pub(crate) async fn run(command: &MultisigCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        MultisigCommand::Policy(args) => policy(args, output, lang),
        MultisigCommand::Create(args) => create(args, output, lang).await,
        MultisigCommand::Sign(args) => sign(args, output, lang),
        MultisigCommand::Combine(args) => combine(args, output, lang),
        MultisigCommand::Send(args) => send_combined(args, output, lang).await,
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = files::read_text(path, FILE_BYTES_MAX)?;
    serde_json::from_str(&text).context(Code::Config, path.display())
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value).or_fail(Code::Failed)?;
    files::write_public(path, &format!("{text}\n"))
}

fn policy(args: &PolicyArgs, output: Output, lang: Lang) -> Result<()> {
    let keys = args.keys.iter();
    let keys = keys.map(|what| keys::file::public_key(what, &args.home, lang));
    let policy = MultisigPolicy::new(args.threshold, keys.collect::<Result<_>>()?);
    let policy = policy.or_fail(Code::Usage)?;
    write(&args.to, &policy)?;
    let value = json!({ "address": policy.address(), "policy": policy, "path": args.to });
    output.print(&value, |_| {
        let signers = format!("{} / {}", policy.threshold(), policy.keys().len());
        output::pairs(&[
            (lang.pick("address", "地址"), policy.address().to_string()),
            (lang.pick("signers", "签署人数"), signers),
            (lang.pick("file", "文件"), args.to.display().to_string()),
        ])
    })
}

/// What the signatures cost above the 21,000 that an estimate begins with.
fn signature_gas(policy: &MultisigPolicy) -> u64 {
    let sm2 = policy.keys().iter();
    let sm2 = sm2.filter(|key| key.scheme() == Scheme::Sm2).count();
    let threshold = usize::from(policy.threshold());
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let cosignatures = count(threshold.saturating_sub(1)).saturating_mul(COSIGNATURE_GAS);
    // The most that may be SM2's: who will sign is not known yet.
    let sm2 = count(sm2.min(threshold)).saturating_mul(SM2_SIGNATURE_GAS);
    let keys = count(policy.keys().len()).saturating_mul(POLICY_KEY_GAS);
    cosignatures.saturating_add(sm2).saturating_add(keys)
}

async fn create(args: &CreateArgs, output: Output, lang: Lang) -> Result<()> {
    let policy: MultisigPolicy = read(&args.policy)?;
    let account = policy.address();
    let client = args.node.client()?;
    let chain_id = match args.chain_id {
        Some(id) => id,
        None => client.number("eth_chainId", json!([])).await?,
    };
    let nonce = match args.nonce {
        Some(nonce) => nonce,
        None => {
            let params = json!([account, "pending"]);
            client.number("eth_getTransactionCount", params).await?
        }
    };
    let gas_limit = match args.gas {
        Some(gas) => gas,
        None => {
            let intent = Intent {
                to: Some(args.to),
                value: args.value,
                data: args.data.to_vec(),
                gas: None,
                nonce: None,
                chain_id,
                abi: None,
            };
            let estimate = estimate(&client, account, &intent).await?;
            let estimate = estimate.saturating_add(signature_gas(&policy));
            estimate.saturating_add(estimate / 5)
        }
    };
    let transaction = UnsignedMultisig {
        chain_id: ChainId(chain_id),
        policy,
        ordering: Ordering::Sequential { nonce },
        gas_limit,
        calls: vec![Call::Call {
            to: args.to,
            value: args.value,
            input: args.data.clone(),
        }],
    };
    write(&args.out, &transaction)?;
    show(&transaction, &args.out, output, lang)
}

async fn estimate(client: &Client, account: Address, intent: &Intent) -> Result<u64> {
    let params = json!([send::request(Some(account), intent)]);
    let answer = client.try_call("eth_estimateGas", params).await?;
    let answer = answer.map_err(|error| refused("eth_estimateGas", &error, None))?;
    match quantity::number(&answer) {
        Some(estimate) => Ok(estimate),
        None => fail(Code::Refused, format!("eth_estimateGas answered {answer}")),
    }
}

/// What is to be signed, for people to check.
fn show(transaction: &UnsignedMultisig, path: &Path, output: Output, lang: Lang) -> Result<()> {
    let account = transaction.policy.address();
    let value = json!({
        "account": account,
        "threshold": transaction.policy.threshold(),
        "transaction": transaction,
        "path": path,
    });
    output.print(&value, |_| {
        let mut rows = vec![
            (lang.pick("chain", "链"), transaction.chain_id.to_string()),
            (lang.pick("account", "账户"), account.to_string()),
            (
                lang.pick("signatures needed", "所需签名数"),
                transaction.policy.threshold().to_string(),
            ),
        ];
        match transaction.ordering {
            Ordering::Sequential { nonce } => rows.push(("nonce", nonce.to_string())),
            Ordering::Unordered { expires, .. } => {
                rows.push((
                    lang.pick("expires (ms)", "过期（毫秒）"),
                    expires.to_string(),
                ));
            }
        }
        rows.push(("gas", transaction.gas_limit.to_string()));
        for call in &transaction.calls {
            match call {
                Call::Call { to, value, input } => {
                    rows.push((lang.pick("call", "调用"), format!("{to}  {value} wei")));
                    if !input.is_empty() {
                        rows.push((lang.pick("data", "数据"), input.to_string()));
                    }
                }
                Call::Create { value, init_code } => {
                    let text = format!("{value} wei, {} bytes", init_code.len());
                    rows.push((lang.pick("create", "创建合约"), text));
                }
            }
        }
        rows.push((lang.pick("file", "文件"), path.display().to_string()));
        output::pairs(&rows)
    })
}

fn name_of(transaction: &UnsignedMultisig) -> B256 {
    transaction.digest(Suite::Intl)
}

fn sign(args: &SignArgs, output: Output, lang: Lang) -> Result<()> {
    let transaction: UnsignedMultisig = read(&args.file)?;
    let key = args
        .home
        .home()
        .keystore()
        .open(&args.from, &args.passphrase)?;
    let MultisigSignature { key, signature } = transaction.sign(&key).or_fail(Code::Usage)?;
    let part = Part {
        transaction: name_of(&transaction),
        key,
        signature,
    };
    write(&args.out, &part)?;
    show(&transaction, &args.out, output, lang)
}

fn combine(args: &CombineArgs, output: Output, lang: Lang) -> Result<()> {
    let transaction: UnsignedMultisig = read(&args.file)?;
    let name = name_of(&transaction);
    let mut signatures = Vec::with_capacity(args.signatures.len());
    for path in &args.signatures {
        let part: Part = read(path)?;
        if part.transaction != name {
            let text = lang.pick(
                "is a signature over another transaction",
                "是另一笔交易的签名",
            );
            return fail(Code::Config, format!("{} {text}", path.display()));
        }
        signatures.push(MultisigSignature {
            key: part.key,
            signature: part.signature,
        });
    }
    let combined = transaction.combine(signatures).or_fail(Code::Config)?;
    let raw = combined.encode_2718();
    write(&args.out, &Signed { raw: raw.clone() })?;
    let value = json!({ "account": combined.sender(), "raw": raw, "path": args.out });
    output.print(&value, |_| {
        format!(
            "{} {}; {}",
            lang.pick("Wrote", "已写入"),
            args.out.display(),
            lang.pick(
                "`hawser tx multisig send` sends it",
                "用 `hawser tx multisig send` 发送"
            )
        )
    })
}

async fn send_combined(args: &SendArgs, output: Output, lang: Lang) -> Result<()> {
    let Signed { raw } = read(&args.file)?;
    // Says what is wrong before a node does.
    let decoded = MultisigTransaction::decode_2718(&raw).context(Code::Config, args.file.display());
    decoded?.verify().or_fail(Code::Config)?;
    let client = args.node.client()?;
    let sent = client.call("eth_sendRawTransaction", json!([raw])).await?;
    let Some(hash) = sent.as_str().and_then(|text| text.parse::<B256>().ok()) else {
        return fail(
            Code::Refused,
            format!("eth_sendRawTransaction: expected a hash, got {sent}"),
        );
    };
    if args.no_wait {
        return output.print(&json!({ "transactionHash": hash }), |_| hash.to_string());
    }
    let limit = Duration::from_secs(args.node.timeout);
    let receipt = send::receipt(&client, hash, limit).await?;
    if quantity::field(&receipt, "status") != Some(1) {
        let text = lang.pick(
            "failed: it reverted or ran out of gas",
            "执行失败：被回退或 gas 不足",
        );
        return fail(Code::Refused, format!("{hash} {text}"));
    }
    print_receipt(&receipt, output)
}
