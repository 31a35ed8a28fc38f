//! `hawser evidence put`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_sol_types::SolCall;
use hawser_primitives::{Address, B256, Bytes, U256};
use hawser_services::evidence::{
    ADDRESS, DESCRIPTION_BYTES_MAX, IEvidence, MEDIA_TYPE_BYTES_MAX, Record,
    SEALED_OWNER_BYTES_MAX, encode_register,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{PutArgs, chosen, digest};
use crate::client::Client;
use crate::exit::{Code, Result, fail};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::quantity::{field, text};
use crate::send::{self, Intent};

/// What became of a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registered {
    file: PathBuf,
    id: B256,
    digest: String,
    algorithm: &'static str,
    owner: Address,
    /// `registered`, `already registered` or, for a file with the content of another, `same content`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
}

/// Runs the command.
pub(super) async fn run(args: &PutArgs, output: Output) -> Result<()> {
    let client = args.node.client()?;
    let signer = args.signer.open()?;
    let owner = signer.address();
    let algorithm = chosen(&client, args.algorithm).await?;
    let mut done = Vec::new();
    let mut fresh: Vec<(usize, Record)> = Vec::new();
    let mut seen = BTreeSet::new();
    let progress = Progress::steps(args.files.len() as u64, "reading files");
    for file in &args.files {
        let digest = digest::of_file(file, algorithm)?;
        let record = Record {
            digest: digest.clone(),
            algorithm: algorithm.number(),
            media_type: bounded(media_type(args, file), MEDIA_TYPE_BYTES_MAX, "media type")?,
            description: description(args, file)?,
            sealed_owner: sealed_owner(args.sealed_owner.as_ref())?,
        };
        let id = record.id(owner);
        let state = if !seen.insert(id) {
            "same content"
        } else if is_registered(&client, id).await? {
            "already registered"
        } else {
            fresh.push((done.len(), record));
            "registered"
        };
        done.push(Registered {
            file: file.clone(),
            id,
            digest: format!("0x{}", hex::encode(digest)),
            algorithm: digest::name(algorithm),
            owner,
            state,
            transaction_hash: None,
            height: None,
        });
        progress.advance(1);
    }
    drop(progress);
    let chain_id = client.number("eth_chainId", json!([])).await?;
    let limit = Duration::from_secs(args.node.timeout);
    let batch = usize::try_from(args.batch).unwrap_or(1);
    let progress = Progress::steps(fresh.len() as u64, "registering");
    for part in fresh.chunks(batch) {
        let records: Vec<Record> = part.iter().map(|(_, record)| record.clone()).collect();
        let intent = Intent {
            to: Some(ADDRESS),
            value: U256::ZERO,
            data: encode_register(&records).to_vec(),
            gas: None,
            nonce: None,
            chain_id,
            abi: None,
        };
        let receipt = send::send(&client, &signer, &intent, limit).await?;
        for (place, _) in part {
            if let Some(entry) = done.get_mut(*place) {
                entry.transaction_hash = Some(text(&receipt, "transactionHash").to_owned());
                entry.height = field(&receipt, "blockNumber");
            }
        }
        progress.advance(part.len() as u64);
    }
    drop(progress);
    output.print(&done, |done| {
        if let [only] = done.as_slice() {
            return output::pairs(&[
                ("file", only.file.display().to_string()),
                ("state", only.state.to_owned()),
                ("id", only.id.to_string()),
                (only.algorithm, only.digest.clone()),
                ("owner", only.owner.to_string()),
                (
                    "block",
                    only.height
                        .map_or_else(String::new, |height| height.to_string()),
                ),
                (
                    "transaction",
                    only.transaction_hash.clone().unwrap_or_default(),
                ),
            ]);
        }
        let row = |entry: &Registered| {
            vec![
                entry.file.display().to_string(),
                entry.state.to_owned(),
                entry
                    .height
                    .map_or_else(String::new, |height| height.to_string()),
                entry.id.to_string(),
            ]
        };
        let rows: Vec<_> = done.iter().map(row).collect();
        output::table(&["file", "state", "block", "id"], &rows)
    })
}

fn media_type(args: &PutArgs, file: &Path) -> String {
    args.media_type
        .clone()
        .unwrap_or_else(|| digest::media_type(file).to_owned())
}

fn description(args: &PutArgs, file: &Path) -> Result<String> {
    match &args.description {
        Some(text) => bounded(text.clone(), DESCRIPTION_BYTES_MAX, "description"),
        None => {
            // A name that nobody chose for this purpose is cut rather than refused.
            let name = file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let mut name = name.unwrap_or_default();
            while name.len() > DESCRIPTION_BYTES_MAX {
                name.pop();
            }
            Ok(name)
        }
    }
}

/// The owner's particulars, within their limit.
pub(super) fn sealed_owner(given: Option<&Bytes>) -> Result<Vec<u8>> {
    let bytes = given.map(|bytes| bytes.to_vec()).unwrap_or_default();
    if bytes.len() > SEALED_OWNER_BYTES_MAX {
        let text = format!(
            "--sealed-owner has {} bytes, at most {SEALED_OWNER_BYTES_MAX} fit",
            bytes.len()
        );
        return fail(Code::Usage, text);
    }
    Ok(bytes)
}

/// A text of at most `max` bytes.
pub(super) fn bounded(text: String, max: usize, what: &str) -> Result<String> {
    if text.len() > max {
        return fail(
            Code::Usage,
            format!("the {what} has {} bytes, at most {max} fit", text.len()),
        );
    }
    Ok(text)
}

async fn is_registered(client: &Client, id: B256) -> Result<bool> {
    is_true(client, IEvidence::existsCall { id }.abi_encode()).await
}

/// What the evidence contract answers to a question with yes or no.
pub(super) async fn is_true(client: &Client, data: Vec<u8>) -> Result<bool> {
    let call = json!({ "to": ADDRESS, "input": format!("0x{}", hex::encode(data)) });
    let found = client.call("eth_call", json!([call, "latest"])).await?;
    // A Solidity bool: a word that is 0 or 1.
    match found {
        Value::String(word) if word.len() == 66 => Ok(word.ends_with('1')),
        other => fail(
            Code::Refused,
            format!("the evidence contract answered {other}"),
        ),
    }
}
