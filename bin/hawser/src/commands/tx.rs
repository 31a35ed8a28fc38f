//! `hawser tx`

use std::time::Duration;

use clap::{Args, Subcommand};
use hawser_primitives::{Address, Bytes, U256};
use serde_json::{Value, json};

use super::chain::fields;
use crate::client::{Client, NodeArgs};
use crate::exit::Result;
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::send::{self, Intent, SignerArgs};

pub(crate) mod multisig;

/// Commands of `tx`.
#[derive(Subcommand, Debug)]
pub(crate) enum TxCommand {
    /// Sign a transaction, send it, and wait for its receipt
    Send(SendArgs),
    /// Transactions of accounts that several keys sign for
    #[command(subcommand)]
    Multisig(multisig::MultisigCommand),
}

/// Arguments of `tx send`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser tx send --from test --to 0x00000000000000000000000000000000000000aa --value 1ether
  hawser tx send --from notary --to 0x… --data 0xa9059cbb…

secp256k1 keys send Ethereum's type 2, SM2 and Ed25519 keys the native envelope. Ends with 7 when
the transaction fails.")]
pub(crate) struct SendArgs {
    /// The account called
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// Amount sent along: wei, or with a unit: 5gwei, 0.1ether
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = amount)]
    value: U256,
    /// Call data
    #[arg(long, value_name = "HEX", default_value = "0x")]
    data: Bytes,
    #[command(flatten)]
    common: SendOptions,
}

/// What all commands that send have in common.
#[derive(Args, Clone, Debug)]
pub(crate) struct SendOptions {
    /// Gas limit [default: what the node estimates, and a fifth]
    #[arg(long, value_parser = clap::value_parser!(u64).range(21_000..))]
    pub(crate) gas: Option<u64>,
    /// Nonce [default: the next one]
    #[arg(long)]
    pub(crate) nonce: Option<u64>,
    /// Print the hash at once and do not wait for the receipt
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// Reads an amount in wei, or with a unit.
pub(crate) fn amount(text: &str) -> Result<U256, String> {
    let bad = || format!("`{text}` is no amount; write wei, or for example 5gwei or 0.1ether");
    let digits_end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let decimals: usize = match unit.trim() {
        "" | "wei" => 0,
        "gwei" => 9,
        "ether" | "eth" => 18,
        _ => return Err(bad()),
    };
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let valid = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !valid(whole) || !valid(part) || part.len() > decimals {
        return Err(bad());
    }
    U256::from_str_radix(&format!("{whole}{part:0<decimals$}"), 10).map_err(|_| bad())
}

/// Runs the command.
pub(crate) async fn run(command: &TxCommand, output: Output, lang: Lang) -> Result<()> {
    let args = match command {
        TxCommand::Send(args) => args,
        TxCommand::Multisig(command) => return multisig::run(command, output, lang).await,
    };
    let client = args.common.node.client()?;
    let intent = Intent {
        to: Some(args.to),
        value: args.value,
        data: args.data.to_vec(),
        gas: args.common.gas,
        nonce: args.common.nonce,
        chain_id: client.number("eth_chainId", json!([])).await?,
        abi: None,
    };
    send_and_print(&client, &args.common, &intent, output).await
}

/// Sends and prints hash or receipt.
pub(crate) async fn send_and_print(
    client: &Client,
    options: &SendOptions,
    intent: &Intent,
    output: Output,
) -> Result<()> {
    let signer = options.signer.open()?;
    if options.no_wait {
        let hash = send::submit(client, &signer, intent).await?;
        return output.print(&json!({ "transactionHash": hash }), |_| hash.to_string());
    }
    let limit = Duration::from_secs(options.node.timeout);
    let receipt = send::send(client, &signer, intent, limit).await?;
    print_receipt(&receipt, output)
}

/// Prints a receipt; people see how many events there are.
pub(crate) fn print_receipt(receipt: &Value, output: Output) -> Result<()> {
    output.print(receipt, |receipt| {
        let mut shown = (*receipt).clone();
        if let Some(fields) = shown.as_object_mut() {
            // Of use to programs, and long.
            fields.remove("logsBloom");
            let logs = fields
                .get("logs")
                .and_then(|logs| logs.as_array())
                .map_or(0, Vec::len);
            fields.insert("logs".to_owned(), json!(logs));
        }
        fields(&shown)
    })
}

/// A line for people, kept apart from what programs read.
pub(crate) fn note(output: Output, text: &str) -> Result<()> {
    match output {
        Output::Table => output::line(text),
        Output::Json => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_no_fraction_of_a_wei() {
        let wei = |text: &str| amount(text).unwrap().to_string();
        assert_eq!(wei("0"), "0");
        assert_eq!(wei("12"), "12");
        assert_eq!(wei("5gwei"), "5000000000");
        assert_eq!(wei("0.1ether"), "100000000000000000");
        assert_eq!(wei("1.000000000000000001 ether"), "1000000000000000001");
        for bad in [
            "",
            "x",
            "-1",
            "1.5",
            "1.5wei",
            "0.0000000001gwei",
            "1 apple",
            ".5ether",
            "1e5",
        ] {
            assert!(amount(bad).is_err(), "{bad}");
        }
        assert!(amount(&U256::MAX.to_string()).is_ok());
        assert!(amount(&format!("{}0", U256::MAX)).is_err());
    }
}
