//! `hawser contract`

mod abi;

use std::path::PathBuf;

use alloy_dyn_abi::{EventExt, FunctionExt};
use alloy_json_abi::{Event, Function, JsonAbi, StateMutability};
use clap::{Args, Subcommand};
use hawser_primitives::{Address, B256, U256};
use serde_json::{Value, json};

use super::tx::{SendOptions, amount, note, send_and_print};
use crate::client::{Client, NodeArgs, refused};
use crate::exit::{Code, OrFail, Result, fail};
use crate::output::{self, Output, cell};
use crate::quantity;
use crate::send::{self, Intent};
use crate::values::{hex_bytes, to_json};

/// Commands of `contract`.
#[derive(Subcommand, Debug)]
pub(crate) enum ContractCommand {
    /// Create a contract from its code
    Deploy(DeployArgs),
    /// Ask a contract, without a transaction
    Call(CallArgs),
    /// Call a contract by a transaction
    Send(SendArgs),
    /// List events of a contract
    Logs(LogsArgs),
}

/// Arguments of `contract deploy`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser contract deploy out/Token.sol/Token.json 'My token' MTK --from test
  hawser contract deploy Token.bin --constructor 'constructor(string,string)' 'My token' MTK

Arguments come after the code. Values in lists: '[1,2]', in tuples: '(1,0x…)'. A value that begins
with - goes after --.")]
pub(crate) struct DeployArgs {
    /// Code: an artifact of forge, hardhat or solc (JSON), a file with hexadecimal digits, or 0x…
    #[arg(value_name = "CODE")]
    code: String,
    /// Arguments of the constructor
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// Signature of the constructor, where the code is not an artifact
    #[arg(long, value_name = "SIGNATURE")]
    constructor: Option<String>,
    /// Amount sent along
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = amount)]
    value: U256,
    #[command(flatten)]
    common: SendOptions,
}

/// Arguments of `contract call`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser contract call 0x… 'balanceOf(address)(uint256)' 0x…
  hawser contract call 0x… balanceOf --abi out/Token.sol/Token.json 0x… --block 42")]
pub(crate) struct CallArgs {
    #[command(flatten)]
    target: Target,
    /// Block whose state is asked: a height or latest
    #[arg(long, value_name = "BLOCK", default_value = "latest")]
    block: String,
    /// Account that asks
    #[arg(long, value_name = "ADDRESS")]
    caller: Option<Address>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `contract send`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser contract send 0x… 'transfer(address,uint256)' 0x… 1000 --from test")]
pub(crate) struct SendArgs {
    #[command(flatten)]
    target: Target,
    /// Amount sent along
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = amount)]
    value: U256,
    #[command(flatten)]
    common: SendOptions,
}

/// What is called.
#[derive(Args, Debug)]
struct Target {
    /// The contract
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// The method: a signature such as 'balanceOf(address)(uint256)', or a name in the ABI
    #[arg(value_name = "METHOD")]
    method: String,
    /// The arguments
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// ABI, or an artifact that contains it (JSON); also decodes custom errors
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
}

/// Arguments of `contract logs`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser contract logs 0x… 'Transfer(address indexed from,address indexed to,uint256 value)'
  hawser contract logs 0x… Transfer --abi out/Token.sol/Token.json --from-block 100")]
pub(crate) struct LogsArgs {
    /// The contract
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// The event: a signature with `indexed` where it is, or a name in the ABI; default: all
    #[arg(value_name = "EVENT")]
    event: Option<String>,
    /// ABI, or an artifact that contains it (JSON)
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
    /// First block
    #[arg(long, value_name = "BLOCK", default_value = "0")]
    from_block: String,
    /// Last block
    #[arg(long, value_name = "BLOCK", default_value = "latest")]
    to_block: String,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub(crate) async fn run(command: &ContractCommand, output: Output) -> Result<()> {
    match command {
        ContractCommand::Deploy(args) => deploy(args, output).await,
        ContractCommand::Call(args) => call(args, output).await,
        ContractCommand::Send(args) => transact(args, output).await,
        ContractCommand::Logs(args) => logs(args, output).await,
    }
}

async fn deploy(args: &DeployArgs, output: Output) -> Result<()> {
    let client = args.common.node.client()?;
    let (data, known) = abi::creation(&args.code, args.constructor.as_deref(), &args.arguments)?;
    let intent = Intent {
        to: None,
        value: args.value,
        data,
        gas: args.common.gas,
        nonce: args.common.nonce,
        chain_id: client.number("eth_chainId", json!([])).await?,
        abi: known,
    };
    send_and_print(&client, &args.common, &intent, output).await
}

/// The method and its encoded call.
fn prepare(target: &Target) -> Result<(Option<JsonAbi>, Function, Vec<u8>)> {
    let known = target.abi.as_deref().map(abi::load).transpose()?;
    let function = abi::function(known.as_ref(), &target.method, target.arguments.len())?;
    let data = abi::encode_call(&function, &target.arguments)?;
    Ok((known, function, data))
}

async fn call(args: &CallArgs, output: Output) -> Result<()> {
    let client = args.node.client()?;
    let (known, function, data) = prepare(&args.target)?;
    let intent = Intent {
        to: Some(args.target.address),
        value: U256::ZERO,
        data,
        gas: None,
        nonce: None,
        chain_id: 0,
        abi: None,
    };
    let params = json!([send::request(args.caller, &intent), block(&args.block)]);
    let returned = match client.try_call("eth_call", params).await? {
        Ok(returned) => hex_bytes(&returned)?,
        Err(error) => {
            return Err(refused("eth_call", &error, known.as_ref()));
        }
    };
    if function.outputs.is_empty() {
        let text = format!("0x{}", hex::encode(&returned));
        return output.print(&json!(text), |_| text.clone());
    }
    if returned.is_empty() {
        return no_code(&client, args.target.address).await;
    }
    let values = function.abi_decode_output(&returned).map_err(|error| {
        crate::exit::Failure::new(
            Code::Refused,
            format!(
                "the contract returned something else than {}: {error}",
                args.target.method
            ),
        )
    })?;
    let values: Vec<Value> = values.iter().map(to_json).collect();
    output.print(&values, |values| {
        values
            .iter()
            .map(|value| format!("{}\n", cell(value)))
            .collect()
    })
}

/// Says why nothing came back.
async fn no_code(client: &Client, address: Address) -> Result<()> {
    let code = client
        .call("eth_getCode", json!([address, "latest"]))
        .await?;
    if code.as_str() == Some("0x") {
        return fail(
            Code::NotFound,
            format!("there is no contract at {address}; is it the right address and chain?"),
        );
    }
    fail(
        Code::Refused,
        format!("the contract at {address} returned nothing; it may not have this method"),
    )
}

async fn transact(args: &SendArgs, output: Output) -> Result<()> {
    let client = args.common.node.client()?;
    let (known, function, data) = prepare(&args.target)?;
    if matches!(
        function.state_mutability,
        StateMutability::View | StateMutability::Pure
    ) && known.is_some()
    {
        note(
            output,
            "note: this method changes nothing; `contract call` asks it for free",
        )?;
    }
    let intent = Intent {
        to: Some(args.target.address),
        value: args.value,
        data,
        gas: args.common.gas,
        nonce: args.common.nonce,
        chain_id: client.number("eth_chainId", json!([])).await?,
        abi: known,
    };
    send_and_print(&client, &args.common, &intent, output).await
}

/// A block as the interface takes it.
fn block(text: &str) -> String {
    text.parse::<u64>()
        .map_or_else(|_| text.to_owned(), |height| format!("{height:#x}"))
}

async fn logs(args: &LogsArgs, output: Output) -> Result<()> {
    let known = args.abi.as_deref().map(abi::load).transpose()?;
    let event = args
        .event
        .as_deref()
        .map(|text| abi::event(known.as_ref(), text))
        .transpose()?;
    let mut filter = json!({
        "address": args.address,
        "fromBlock": block(&args.from_block),
        "toBlock": block(&args.to_block),
    });
    if let (Some(event), Some(fields)) = (&event, filter.as_object_mut()) {
        fields.insert("topics".to_owned(), json!([event.selector()]));
    }
    let client = args.node.client()?;
    let found = client.call("eth_getLogs", json!([filter])).await?;
    let Value::Array(found) = found else {
        return fail(
            Code::Refused,
            format!("eth_getLogs: expected a list, got {found}"),
        );
    };
    let events: Vec<&Event> = match (&event, &known) {
        (Some(event), _) => vec![event],
        (None, Some(known)) => known.events().collect(),
        (None, None) => Vec::new(),
    };
    let rows = found
        .iter()
        .map(|log| decode(log, &events))
        .collect::<Result<Vec<_>>>()?;
    output.print(&rows, |rows| {
        if rows.is_empty() {
            return "No events.".to_owned();
        }
        let row = |log: &Value| {
            let fields = log.get("values").and_then(Value::as_object);
            let values = fields.map_or_else(
                || {
                    format!(
                        "topics {} data {}",
                        log.get("topics").map(cell).unwrap_or_default(),
                        quantity::text(log, "data")
                    )
                },
                |fields| {
                    fields
                        .iter()
                        .map(|(name, value)| format!("{name}={}", cell(value)))
                        .collect::<Vec<_>>()
                        .join(" ")
                },
            );
            vec![
                quantity::field(log, "blockNumber").map_or_else(String::new, |n| n.to_string()),
                quantity::text(log, "event").to_owned(),
                values,
            ]
        };
        output::table(
            &["block", "event", "values"],
            &rows.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

/// Adds an event's name and values to a log, where one of the known events fits it.
fn decode(log: &Value, events: &[&Event]) -> Result<Value> {
    let texts = log.get("topics").and_then(Value::as_array);
    let topics: Vec<B256> = texts
        .into_iter()
        .flatten()
        .filter_map(|topic| topic.as_str()?.parse().ok())
        .collect();
    let data = log
        .get("data")
        .map(hex_bytes)
        .transpose()?
        .unwrap_or_default();
    let mut log = log.clone();
    let fits = |event: &&&Event| topics.first() == Some(&event.selector());
    if let Some(event) = events.iter().find(fits)
        && let Ok(decoded) = event.decode_log_parts(topics.iter().copied(), &data)
        && let Some(fields) = log.as_object_mut()
    {
        let (mut indexed, mut body) = (decoded.indexed.iter(), decoded.body.iter());
        let mut values = serde_json::Map::new();
        for (i, input) in event.inputs.iter().enumerate() {
            let value = if input.indexed {
                indexed.next()
            } else {
                body.next()
            };
            let name = if input.name.is_empty() {
                i.to_string()
            } else {
                input.name.clone()
            };
            values.insert(name, value.map_or(Value::Null, to_json));
        }
        fields.insert("event".to_owned(), json!(event.name));
        fields.insert("values".to_owned(), Value::Object(values));
    }
    serde_json::to_value(log).or_fail(Code::Failed)
}
