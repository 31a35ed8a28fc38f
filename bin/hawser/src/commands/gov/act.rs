//! What changes something: proposals, votes, freezes.

use std::time::Duration;

use alloy_sol_types::SolCall;
use hawser_governance::{ADDRESS, Change, IGovernance, Route, check_changes, target_parts};
use hawser_primitives::{B256, U256};
use serde_json::{Value, json};

use super::{
    CosignArgs, CosignaturesArgs, ExecuteArgs, FreezeArgs, IdArgs, InspectArgs, ProposeArgs,
    UnfreezeArgs, VoteArgs, code, document, governed, show,
};
use crate::client::{Client, NodeArgs};
use crate::commands::upgrade;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::quantity::{field, text, utc};
use crate::send::{self, Intent, SignerArgs};
use crate::values::hex_bytes;

/// Gas of an execution: 64 changes that write a large charter stay far below.
const EXECUTE_GAS: u64 = 10_000_000;

/// Sends a call of governance and waits for its receipt.
async fn send<C: SolCall>(
    client: &Client,
    signer: &SignerArgs,
    node: &NodeArgs,
    call: &C,
) -> Result<Value> {
    send_with(client, signer, node, call, None).await
}

/// As [`send()`], with a gas limit instead of an estimate.
async fn send_with<C: SolCall>(
    client: &Client,
    signer: &SignerArgs,
    node: &NodeArgs,
    call: &C,
    gas: Option<u64>,
) -> Result<Value> {
    let signer = signer.open()?;
    let intent = Intent {
        to: Some(ADDRESS),
        value: U256::ZERO,
        data: call.abi_encode(),
        gas,
        nonce: None,
        chain_id: client.number("eth_chainId", json!([])).await?,
        abi: None,
    };
    send::send(client, &signer, &intent, Duration::from_secs(node.timeout)).await
}

fn report(receipt: &Value, what: &str, output: Output, lang: Lang) -> Result<()> {
    output.print(receipt, |receipt| {
        let block = field(receipt, "blockNumber")
            .unwrap_or_default()
            .to_string();
        let hash = text(receipt, "transactionHash").to_owned();
        output::pairs(&[
            (lang.pick("done", "完成"), what.to_owned()),
            (lang.pick("block", "区块"), block),
            (lang.pick("transaction", "交易"), hash),
        ])
    })
}

pub(super) async fn propose(
    args: &ProposeArgs,
    recovery: bool,
    output: Output,
    lang: Lang,
) -> Result<()> {
    let document = document::read(args)?;
    let route = if recovery {
        Route::Authorities
    } else {
        Route::Governors
    };
    // Says the same as the contract would, before anything is sent and paid for.
    check_changes(&document.changes, route).or_fail(Code::Usage)?;
    let client = args.node.client()?;
    governed(&client, lang).await?;
    if args.dry_run {
        let params = json!([document.changes, code(lang)]);
        let run = client.call("hawser_dryRun", params).await?;
        return output.print(&run, |run| show::dry_run(run, lang));
    }
    let changes = hawser_primitives::encode(&document.changes).into();
    let (title, description) = (document.title.clone(), document.description);
    let receipt = if recovery {
        let call = IGovernance::proposeRecoveryCall {
            title,
            description,
            changes,
        };
        send(&client, &args.signer, &args.node, &call).await?
    } else {
        let call = IGovernance::proposeCall {
            title,
            description,
            changes,
        };
        send(&client, &args.signer, &args.node, &call).await?
    };
    let id = number_of(&receipt);
    let value = json!({ "proposal": id, "receipt": receipt });
    output.print(&value, |_| {
        let id = id.map_or_else(String::new, |id| id.to_string());
        output::pairs(&[
            (lang.pick("proposal", "提案"), id.clone()),
            (lang.pick("title", "标题"), document.title.clone()),
            (lang.pick("look", "查看"), format!("hawser gov show {id}")),
            (
                lang.pick("vote", "表决"),
                format!("hawser gov vote {id} yes"),
            ),
        ])
    })
}

/// Number of the proposal that a receipt tells of: the first topic of `Proposed`.
fn number_of(receipt: &Value) -> Option<u64> {
    use alloy_sol_types::SolEvent;
    let event = IGovernance::Proposed::SIGNATURE_HASH.to_string();
    let logs = receipt.get("logs")?.as_array()?;
    logs.iter().find_map(|log| {
        let topics = log.get("topics")?.as_array()?;
        let first = topics.first()?.as_str()?;
        if first != event {
            return None;
        }
        let id = topics.get(1)?.as_str()?.strip_prefix("0x")?;
        u64::from_str_radix(id.trim_start_matches('0'), 16).ok()
    })
}

pub(super) async fn vote(args: &VoteArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let call = IGovernance::voteCall {
        id: args.id,
        approve: args.vote == "yes",
    };
    let receipt = send(&client, &args.signer, &args.node, &call).await?;
    let proposal = client.call("hawser_proposal", json!([args.id])).await?;
    let state = text(&proposal, "status").to_owned();
    let what = match lang {
        Lang::En => format!("voted {}; proposal {} is {state}", args.vote, args.id),
        Lang::Zh => format!("已投票 {}；提案 {} 状态：{state}", args.vote, args.id),
    };
    report(&receipt, &what, output, lang)
}

/// Refuses a proposal that activates a protocol version for which too few validators are ready: no vote undoes that.
async fn check_readiness(client: &Client, id: u64, lang: Lang) -> Result<()> {
    let proposal = client.call("hawser_proposal", json!([id])).await?;
    // What is wrong with a proposal, the contract says.
    let changes = proposal.get("changes").cloned().unwrap_or_default();
    let changes: Vec<Change> = serde_json::from_value(changes).unwrap_or_default();
    let version = changes.iter().find_map(|change| match change {
        Change::ActivateProtocol { version, .. } => Some(*version),
        _ => None,
    });
    let Some(version) = version else {
        return Ok(());
    };
    let status = client.call("hawser_status", json!([])).await?;
    match upgrade::standstill(&status, version.into(), lang) {
        None => Ok(()),
        Some(verdict) => fail(
            Code::Refused,
            match lang {
                Lang::En => format!(
                    "proposal {id} is not executed. {verdict}. See `hawser upgrade status --to {version}`; --force \
                     executes it all the same"
                ),
                Lang::Zh => format!(
                    "未执行提案 {id}。{verdict}。参见 `hawser upgrade status --to {version}`；加 --force 则仍然执行"
                ),
            },
        ),
    }
}

pub(super) async fn execute(args: &ExecuteArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    if !args.force {
        check_readiness(&client, args.id, lang).await?;
    }
    let call = IGovernance::executeCall { id: args.id };
    // An estimate runs at the time of the last block, which on an idle chain is before the end of the
    // time lock.
    let gas = Some(EXECUTE_GAS);
    let receipt = send_with(&client, &args.signer, &args.node, &call, gas).await?;
    let what = match lang {
        Lang::En => format!("proposal {} is in effect", args.id),
        Lang::Zh => format!("提案 {} 已生效", args.id),
    };
    report(&receipt, &what, output, lang)
}

pub(super) async fn cancel(args: &IdArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let call = IGovernance::cancelCall { id: args.id };
    let receipt = send(&client, &args.signer, &args.node, &call).await?;
    let what = match lang {
        Lang::En => format!("proposal {} is withdrawn", args.id),
        Lang::Zh => format!("提案 {} 已撤回", args.id),
    };
    report(&receipt, &what, output, lang)
}

/// Time of the newest block, in milliseconds, plus a duration.
async fn later(client: &Client, duration_ms: u64) -> Result<u64> {
    let header = client.call("hawser_getHeader", json!(["latest"])).await?;
    let time = header
        .get("header")
        .and_then(|header| field(header, "time"));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context(Code::Failed, "the clock of this machine is before 1970")?;
    // An idle chain's newest block may be old.
    let now = u64::try_from(now.as_millis()).or_fail(Code::Failed)?;
    let base = time.unwrap_or_default().max(now);
    match base.checked_add(duration_ms) {
        Some(until) => Ok(until),
        None => fail(Code::Usage, "this is too far ahead"),
    }
}

pub(super) async fn freeze(args: &FreezeArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let until = match args.duration {
        Some(duration) => later(&client, duration).await?,
        None => u64::MAX,
    };
    let (kind, target) = target_parts(args.target);
    let call = IGovernance::freezeCall {
        kind,
        target,
        until,
        reason: args.reason.clone(),
    };
    let receipt = send(&client, &args.signer, &args.node, &call).await?;
    let what = match lang {
        Lang::En => format!("{} is frozen", args.target),
        Lang::Zh => format!("已冻结 {}", args.target),
    };
    report(&receipt, &what, output, lang)
}

pub(super) async fn unfreeze(args: &UnfreezeArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let (kind, target) = target_parts(args.target);
    let call = IGovernance::unfreezeCall {
        kind,
        target,
        reason: args.reason.clone(),
    };
    let receipt = send(&client, &args.signer, &args.node, &call).await?;
    let what = match lang {
        Lang::En => format!("the freeze of {} is lifted", args.target),
        Lang::Zh => format!("已解除 {} 的冻结", args.target),
    };
    report(&receipt, &what, output, lang)
}

pub(super) async fn cosign(args: &CosignArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let call = IGovernance::cosignCall {
        operation: args.operation,
        until: later(&client, args.duration).await?,
    };
    let receipt = send(&client, &args.signer, &args.node, &call).await?;
    let missing = stands(&client, args.operation).await?.missing;
    let what = match (lang, missing.is_empty()) {
        (Lang::En, true) => format!("operation {} may be sent again", args.operation),
        (Lang::Zh, true) => format!("操作 {} 可重新提交", args.operation),
        (Lang::En, false) => format!(
            "operation {} has your co-signature; missing are {}",
            args.operation,
            missing.join(", ")
        ),
        (Lang::Zh, false) => format!(
            "操作 {} 已获您的联签；尚缺 {}",
            args.operation,
            missing.join("、")
        ),
    };
    report(&receipt, &what, output, lang)
}

/// What the contract says of an operation.
async fn stands(client: &Client, operation: B256) -> Result<IGovernance::coSignaturesReturn> {
    let data = IGovernance::coSignaturesCall { operation }.abi_encode();
    let call = json!({ "to": ADDRESS, "input": format!("0x{}", hex::encode(data)) });
    let answer = client.call("eth_call", json!([call, "latest"])).await?;
    let bytes = hex_bytes(&answer)?;
    IGovernance::coSignaturesCall::abi_decode_returns(&bytes).or_fail(Code::Refused)
}

pub(super) async fn cosignatures(
    args: &CosignaturesArgs,
    output: Output,
    lang: Lang,
) -> Result<()> {
    let client = args.node.client()?;
    governed(&client, lang).await?;
    let found = stands(&client, args.operation).await?;
    if found.parties.is_empty() {
        let text = match lang {
            Lang::En => format!(
                "operation {} waits for no co-signature: it has run, or no rule has stopped it",
                args.operation
            ),
            Lang::Zh => format!(
                "操作 {} 未在等待联签：已执行，或尚未被规则拦下",
                args.operation
            ),
        };
        return fail(Code::NotFound, text);
    }
    let given: Vec<_> = found
        .signers
        .iter()
        .zip(&found.until)
        .map(|(account, until)| json!({ "account": account, "untilMs": until }))
        .collect();
    let value = json!({
        "operation": args.operation,
        "sender": found.sender,
        "parties": found.parties,
        "missing": found.missing,
        "given": given,
    });
    output.print(&value, |_| {
        let given = found.signers.iter().zip(&found.until);
        let given = given.map(|(account, until)| format!("{account} ({})", utc(*until)));
        let list = |items: Vec<String>| match items.is_empty() {
            true => lang.pick("nobody", "无").to_owned(),
            false => items.join(", "),
        };
        output::pairs(&[
            (lang.pick("operation", "操作"), args.operation.to_string()),
            (lang.pick("sender", "发送者"), found.sender.to_string()),
            (
                lang.pick("asked of", "须联签方"),
                list(found.parties.clone()),
            ),
            (
                lang.pick("given by (until)", "已联签（有效期至）"),
                list(given.collect()),
            ),
            (lang.pick("missing", "尚缺"), list(found.missing.clone())),
        ])
    })
}

pub(super) async fn inspect(args: &InspectArgs, output: Output, lang: Lang) -> Result<()> {
    let client = args.node.client()?;
    let call = IGovernance::inspectCall {
        domain: args.domain.clone(),
        purpose: args.purpose.clone(),
    };
    let receipt = send(&client, &args.signer, &args.node, &call).await?;
    let what = match lang {
        Lang::En => format!("the inspection of {} is on the record", args.domain),
        Lang::Zh => format!("对 {} 的检查已存档", args.domain),
    };
    report(&receipt, &what, output, lang)
}
