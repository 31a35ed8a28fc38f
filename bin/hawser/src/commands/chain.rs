//! `hawser chain`

use clap::{Args, Subcommand};
use hawser_primitives::B256;
use serde_json::{Value, json};

use crate::client::{Client, NodeArgs};
use crate::exit::{Code, Result, fail};
use crate::output::{self, Output, cell};
use crate::quantity::{field, text, utc};

/// Commands of `chain`.
#[derive(Subcommand, Debug)]
pub(crate) enum ChainCommand {
    /// Show chain, height, finality and what the node waits for
    #[command(after_help = "Example:\n  hawser chain info --rpc http://10.0.0.1:8545")]
    Info(NodeArgs),
    /// Show a block
    Block(BlockArgs),
    /// Show a transaction
    Tx(HashArgs),
    /// Show a receipt
    Receipt(HashArgs),
    /// List the validators
    #[command(after_help = "Example:\n  hawser chain validators")]
    Validators(NodeArgs),
    /// List the node's peers
    #[command(after_help = "Example:\n  hawser chain peers")]
    Peers(NodeArgs),
}

/// Arguments of `chain block`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hawser chain block latest\n  hawser chain block 42 --output json"
)]
pub(crate) struct BlockArgs {
    /// A height, a block hash, or latest
    #[arg(value_name = "BLOCK", default_value = "latest")]
    block: String,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `chain tx` and `chain receipt`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser chain receipt 0x…")]
pub(crate) struct HashArgs {
    /// Hash of the transaction
    #[arg(value_name = "HASH")]
    hash: B256,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub(crate) async fn run(command: &ChainCommand, output: Output) -> Result<()> {
    match command {
        ChainCommand::Info(node) => info(&node.client()?, output).await,
        ChainCommand::Block(args) => block(args, output).await,
        ChainCommand::Tx(args) => {
            let client = args.node.client()?;
            let found = client
                .call("eth_getTransactionByHash", json!([args.hash]))
                .await?;
            show(
                &found,
                &format!("no transaction {} at {}", args.hash, client.url()),
                output,
            )
        }
        ChainCommand::Receipt(args) => {
            let client = args.node.client()?;
            let found = client
                .call("eth_getTransactionReceipt", json!([args.hash]))
                .await?;
            show(
                &found,
                &format!("no receipt of {} at {}", args.hash, client.url()),
                output,
            )
        }
        ChainCommand::Validators(node) => {
            let found = node
                .client()?
                .call("hawser_getValidators", json!([]))
                .await?;
            list(&found, "validators", output)
        }
        ChainCommand::Peers(node) => {
            let status = node.client()?.call("hawser_status", json!([])).await?;
            list(&status, "peers", output)
        }
    }
}

async fn info(client: &Client, output: Output) -> Result<()> {
    let status = client.call("hawser_status", json!([])).await?;
    output.print(&status, |status| {
        let number = |name: &str| field(status, name).map_or_else(String::new, |n| n.to_string());
        let own = |name: &str| status.get(name).map(cell).unwrap_or_default();
        let pool = status.get("pool").unwrap_or(status);
        let waiting = status.get("waiting").and_then(Value::as_array);
        let waiting: Vec<_> = waiting.into_iter().flatten().map(cell).collect();
        output::pairs(&[
            ("chain id", number("chainId")),
            ("name", own("name")),
            ("suite", own("suite")),
            ("genesis", own("genesis")),
            ("height", number("height")),
            ("block", own("hash")),
            ("executed", number("executed")),
            ("validators", own("validators")),
            (
                "peers",
                status
                    .get("peers")
                    .and_then(Value::as_array)
                    .map_or_else(String::new, |peers| peers.len().to_string()),
            ),
            (
                "pending",
                field(pool, "pending").map_or_else(String::new, |n| n.to_string()),
            ),
            (
                "queued",
                field(pool, "queued").map_or_else(String::new, |n| n.to_string()),
            ),
            ("version", own("version")),
            ("waiting for", waiting.join("; ")),
        ])
    })
}

async fn block(args: &BlockArgs, output: Output) -> Result<()> {
    let client = args.node.client()?;
    let (method, id) = if args.block.len() == 66 && args.block.starts_with("0x") {
        ("eth_getBlockByHash", args.block.clone())
    } else if let Ok(height) = args.block.parse::<u64>() {
        ("eth_getBlockByNumber", format!("{height:#x}"))
    } else {
        ("eth_getBlockByNumber", args.block.clone())
    };
    let found = client.call(method, json!([id, false])).await?;
    if found.is_null() {
        return fail(
            Code::NotFound,
            format!("no block {} at {}", args.block, client.url()),
        );
    }
    output.print(&found, |block| {
        let number = |name: &str| field(block, name).map_or_else(String::new, |n| n.to_string());
        let own = |name: &str| text(block, name).to_owned();
        let transactions = block.get("transactions").and_then(Value::as_array);
        let count = transactions.map_or(0, Vec::len);
        let mut out = output::pairs(&[
            ("height", number("number")),
            ("hash", own("hash")),
            ("parent", own("parentHash")),
            (
                "time",
                field(block, "timestamp").map_or_else(String::new, |s| utc(s.saturating_mul(1000))),
            ),
            ("proposer", own("miner")),
            ("state root", own("stateRoot")),
            ("gas used", number("gasUsed")),
            ("transactions", count.to_string()),
        ]);
        for hash in transactions.into_iter().flatten() {
            out.push_str(&format!("  {}\n", cell(hash)));
        }
        out
    })
}

/// Prints an object field by field.
fn show(found: &Value, missing: &str, output: Output) -> Result<()> {
    if found.is_null() {
        return fail(Code::NotFound, missing);
    }
    output.print(found, fields)
}

/// The fields of an object, numbers in decimal, long texts cut.
pub(crate) fn fields(found: &Value) -> String {
    const SHOWN_MAX: usize = 132;
    // Whose values are numbers, among the many fields that are written as 0x….
    const NUMBERS: [&str; 15] = [
        "blockNumber",
        "chainId",
        "cumulativeGasUsed",
        "effectiveGasPrice",
        "gas",
        "gasPrice",
        "gasUsed",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
        "nonce",
        "status",
        "transactionIndex",
        "type",
        "value",
        "yParity",
    ];
    let Some(object) = found.as_object() else {
        return cell(found);
    };
    let row = |(name, value): (&String, &Value)| {
        let mut shown = match (
            NUMBERS.contains(&name.as_str()),
            crate::quantity::number(value),
        ) {
            (true, Some(number)) => number.to_string(),
            _ => cell(value),
        };
        if shown.len() > SHOWN_MAX {
            shown = shown.chars().take(SHOWN_MAX).chain(['…']).collect();
        }
        (name.clone(), shown)
    };
    output::pairs(&object.iter().map(row).collect::<Vec<_>>())
}

/// Prints a list of objects as a table; the list may be in a field of its own name.
fn list(found: &Value, name: &str, output: Output) -> Result<()> {
    let rows = match found {
        Value::Array(rows) => rows,
        other => match other.get(name).and_then(Value::as_array) {
            Some(rows) => rows,
            None => return fail(Code::Refused, format!("the node tells no {name}: {found}")),
        },
    };
    output.print(rows, |rows| {
        let mut head: Vec<&str> = Vec::new();
        for key in rows
            .iter()
            .filter_map(Value::as_object)
            .flat_map(|row| row.keys())
        {
            if !head.contains(&key.as_str()) {
                head.push(key);
            }
        }
        let line = |row: &Value| -> Vec<String> {
            head.iter()
                .map(|key| row.get(*key).map(cell).unwrap_or_default())
                .collect()
        };
        if rows.is_empty() {
            return format!("No {name}.");
        }
        output::table(&head, &rows.iter().map(line).collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_show_numbers_in_decimal_and_cut_what_is_long() {
        let long = format!("0x{}", "a".repeat(300));
        let shown =
            fields(&json!({ "gasUsed": "0x5208", "hash": "0x10", "input": long, "to": null }));
        assert!(
            shown.contains("gasUsed  21000\n") && shown.contains("hash     0x10\n"),
            "{shown}"
        );
        assert!(shown.contains('…') && !shown.contains("to "), "{shown}");
    }
}
