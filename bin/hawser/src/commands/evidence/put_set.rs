//! `hawser evidence put-set`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_sol_types::SolCall;
use hawser_crypto::Suite;
use hawser_primitives::{
    B256, U256,
    limits::{EVIDENCE_SET_MAX, TRANSACTION_BYTES_MAX},
};
use hawser_services::evidence::{
    ADDRESS, Algorithm, DESCRIPTION_BYTES_MAX, DigestSet, IEvidence, MEDIA_TYPE_BYTES_MAX,
    encode_register_set, set_id,
};
use serde_json::{Value, json};

use super::put::{bounded, is_true, sealed_owner};
use super::set_bundle::SetBundle;
use super::{PutSetArgs, chosen, digest, sets};
use crate::client::Client;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::quantity::{field, text};
use crate::send::{self, Intent};

/// Room in a transaction for everything but digests.
const OTHER_BYTES: usize = 4 * 1024;
/// Largest list of digests read, in bytes.
const LIST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A digest to be registered, and what it is of.
struct Entry {
    name: String,
    digest: Vec<u8>,
}

/// Runs the command.
pub(super) async fn run(args: &PutSetArgs, output: Output) -> Result<()> {
    let lang = Lang::current();
    for path in args.to.iter().chain(&args.members) {
        if path.exists() {
            return fail(
                Code::Usage,
                match lang {
                    Lang::En => format!("{} exists already; nothing was sent", path.display()),
                    Lang::Zh => format!("{} 已存在；未发送任何内容", path.display()),
                },
            );
        }
    }
    let client = args.node.client()?;
    let signer = args.signer.open()?;
    let owner = signer.address();
    let status = client.call("hawser_status", json!([])).await?;
    let suite: Suite = text(&status, "suite").parse().or_fail(Code::Refused)?;
    let algorithm = chosen(&client, args.algorithm).await?;
    let all = match &args.list {
        Some(list) => listed(list, algorithm)?,
        None => hashed(&args.files, algorithm)?,
    };
    let (entries, places) = placed(all);
    check_count(entries.len(), algorithm)?;
    let set = DigestSet {
        algorithm: algorithm.number(),
        digests: entries.concat(),
        media_type: bounded(args.media_type.clone(), MEDIA_TYPE_BYTES_MAX, "media type")?,
        description: bounded(
            args.description.clone(),
            DESCRIPTION_BYTES_MAX,
            "description",
        )?,
        sealed_owner: sealed_owner(args.sealed_owner.as_ref())?,
    };
    let Some(tree) = set.tree(suite) else {
        return fail(Code::Failed, "the digests do not make a set");
    };
    let id = set_id(owner, set.algorithm, &tree.root());
    let limit = Duration::from_secs(args.node.timeout);
    let known = is_true(&client, IEvidence::setExistsCall { setId: id }.abi_encode()).await?;
    let receipt = if known {
        Value::Null
    } else {
        let intent = Intent {
            to: Some(ADDRESS),
            value: U256::ZERO,
            data: encode_register_set(&set).to_vec(),
            gas: None,
            nonce: None,
            chain_id: client.number("eth_chainId", json!([])).await?,
            abi: None,
        };
        send::send(&client, &signer, &intent, limit).await?
    };
    if args.to.is_some() || args.members.is_some() {
        let bundle = certified(&client, id, limit).await?;
        // What cannot be checked here could not be checked anywhere.
        let proved = bundle.verify()?;
        if let Some(path) = &args.to {
            sets::write(&bundle, path)?;
        }
        if let Some(folder) = &args.members {
            let name = |place: u32| places.iter().find(|(_, at)| *at == place);
            let name = |place: u32| name(place).map_or("", |(name, _)| name.as_str());
            sets::write_members(&bundle, &proved, folder, &name)?;
        }
    }
    let members: Vec<_> = places
        .iter()
        .map(|(name, index)| {
            let digest = usize::try_from(*index).ok().and_then(|at| entries.get(at));
            let digest = digest.map(|digest| format!("0x{}", hex::encode(digest)));
            json!({ "file": name, "index": index, "digest": digest })
        })
        .collect();
    let value = json!({
        "id": id,
        "state": if known { "already registered" } else { "registered" },
        "owner": owner,
        "algorithm": algorithm,
        "count": entries.len(),
        "root": tree.root(),
        "transactionHash": receipt.get("transactionHash"),
        "height": field(&receipt, "blockNumber"),
        "bundle": args.to,
        "memberBundles": args.members,
        "members": members,
    });
    output.print(&value, |value| shown(value, lang))
}

fn shown(value: &Value, lang: Lang) -> String {
    let own = |name: &str| text(value, name).to_owned();
    let number = |name: &str| field(value, name).map_or_else(String::new, |n| n.to_string());
    let state = match (lang, text(value, "state")) {
        (Lang::Zh, "registered") => "已登记".to_owned(),
        (Lang::Zh, _) => "此前已登记".to_owned(),
        (Lang::En, state) => state.to_owned(),
    };
    let word = |en, zh| lang.pick(en, zh);
    output::pairs(&[
        (word("set", "批次"), own("id")),
        (word("state", "状态"), state),
        (word("digests", "摘要数"), number("count")),
        (word("algorithm", "算法"), own("algorithm")),
        (word("root", "根"), own("root")),
        (word("owner", "登记账户"), own("owner")),
        (word("block", "区块"), number("height")),
        (word("transaction", "交易"), own("transactionHash")),
        (word("bundle", "存证包"), own("bundle")),
        (word("member bundles", "成员存证包"), own("memberBundles")),
    ])
}

fn check_count(count: usize, algorithm: Algorithm) -> Result<()> {
    let room = TRANSACTION_BYTES_MAX.saturating_sub(OTHER_BYTES) / algorithm.digest_len();
    let max = room.min(EVIDENCE_SET_MAX);
    if count > max {
        let name = digest::name(algorithm);
        return fail(
            Code::Usage,
            match Lang::current() {
                Lang::En => format!(
                    "{count} digests; a set has at most {max} of {name}. Register them as several \
                     sets"
                ),
                Lang::Zh => format!("共 {count} 个摘要；{name} 每批最多 {max} 个，请分批登记"),
            },
        );
    }
    Ok(())
}

fn hashed(files: &[PathBuf], algorithm: Algorithm) -> Result<Vec<Entry>> {
    let progress = Progress::steps(
        files.len() as u64,
        Lang::current().pick("reading files", "读取文件"),
    );
    let mut entries = Vec::with_capacity(files.len());
    for file in files {
        entries.push(Entry {
            name: file.display().to_string(),
            digest: digest::of_file(file, algorithm)?,
        });
        progress.advance(1);
    }
    Ok(entries)
}

/// Reads what `sha256sum` and its relatives write: a digest per line, the name of a file behind it.
fn listed(path: &Path, algorithm: Algorithm) -> Result<Vec<Entry>> {
    let content = files::read_text(path, LIST_BYTES_MAX)?;
    let mut entries = Vec::new();
    for (number, line) in (1u64..).zip(content.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (digits, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let digest = hex::decode(digits).ok();
        let digest = digest.filter(|digest| digest.len() == algorithm.digest_len());
        let Some(digest) = digest else {
            let (place, name) = (path.display(), digest::name(algorithm));
            let digits = algorithm.digest_len() * 2;
            return fail(
                Code::Config,
                match Lang::current() {
                    Lang::En => format!(
                        "{place}, line {number}: no {name} digest, which has {digits} hexadecimal \
                         digits. --algorithm names another algorithm"
                    ),
                    Lang::Zh => format!(
                        "{place} 第 {number} 行：不是 {name} 摘要（应为 {digits} 位十六进制数）；可用 \
                         --algorithm 指定其他算法"
                    ),
                },
            );
        };
        // A star marks binary mode.
        let name = name.trim_start().trim_start_matches('*').to_owned();
        entries.push(Entry { name, digest });
    }
    if entries.is_empty() {
        return fail(
            Code::Config,
            match Lang::current() {
                Lang::En => format!("{} has no digests", path.display()),
                Lang::Zh => format!("{} 中没有摘要", path.display()),
            },
        );
    }
    Ok(entries)
}

/// The different digests in order, and the place of each entry among them.
fn placed(all: Vec<Entry>) -> (Vec<Vec<u8>>, Vec<(String, u32)>) {
    let (mut digests, mut places) = (Vec::new(), Vec::with_capacity(all.len()));
    let mut seen = BTreeMap::new();
    for Entry { name, digest } in all {
        let next = u32::try_from(digests.len()).unwrap_or(u32::MAX);
        let place = *seen.entry(digest.clone()).or_insert(next);
        if place == next {
            digests.push(digest);
        }
        places.push((name, place));
    }
    (digests, places)
}

/// The bundle of all digests, as soon as a final header commits to the set.
async fn certified(client: &Client, id: B256, limit: Duration) -> Result<SetBundle> {
    let genesis = client.call("hawser_getGenesis", json!([])).await?;
    let progress =
        Progress::spinner(Lang::current().pick("waiting for the certificate", "等待终局性证书"));
    let end = Instant::now() + limit;
    loop {
        let asked = json!([id, "all"]);
        let answer = client.try_call("hawser_getEvidenceSetProof", asked).await?;
        match answer {
            Ok(proof) if !proof.is_null() => {
                drop(progress);
                return SetBundle::from_answers(&proof, &genesis);
            }
            Ok(_) => {}
            Err(error) if Instant::now() > end => {
                return Err(crate::client::refused(
                    "hawser_getEvidenceSetProof",
                    &error,
                    None,
                ));
            }
            Err(_) => {}
        }
        if Instant::now() > end {
            return fail(
                Code::Timeout,
                match Lang::current() {
                    Lang::En => format!(
                        "set {id} is registered, but not certified in time; `hawser evidence \
                         export {id}` writes the bundle later"
                    ),
                    Lang::Zh => format!(
                        "批次 {id} 已登记，但未在时限内取得证书；稍后可用 `hawser evidence export {id}` 导出存证包"
                    ),
                },
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str, algorithm: Algorithm) -> Result<Vec<Entry>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, text).unwrap();
        listed(&path, algorithm)
    }

    #[test]
    fn lists_are_read_as_checksum_tools_write_them() {
        let one = "aB".repeat(32);
        let text = format!("# made by sha256sum\n\n{one}  a file.pdf\n0x{one} *b\r\n{one}\n");
        let entries = list(&text, Algorithm::Sha256).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a file.pdf", "b", ""]);
        assert!(entries.iter().all(|entry| entry.digest == [0xab; 32]));
        for bad in ["ab  a", "zz", &one[1..], &format!("{one}00"), "", "# none"] {
            let failure = list(bad, Algorithm::Sha256).err().unwrap();
            assert_eq!(failure.code, Code::Config, "{bad}");
        }
        assert!(list(&one, Algorithm::Sha384).is_err());
        assert!(list(&"ab".repeat(48), Algorithm::Sha384).is_ok());
    }

    #[test]
    fn the_same_content_is_registered_once_and_found_for_every_file() {
        let entry = |name: &str, byte| Entry {
            name: name.to_owned(),
            digest: vec![byte; 32],
        };
        let all = vec![entry("a", 1), entry("b", 2), entry("c", 1), entry("d", 3)];
        let (digests, places) = placed(all);
        assert_eq!(digests, [vec![1; 32], vec![2; 32], vec![3; 32]]);
        let places: Vec<_> = places.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [0, 1, 0, 2]);
    }

    #[test]
    fn both_sides_of_the_largest_set() {
        assert!(check_count(10_000, Algorithm::Sha256).is_ok());
        assert!(check_count(10_001, Algorithm::Sha256).is_err());
        // Longer digests: as many as fit a transaction.
        assert!(check_count(8_128, Algorithm::Sha512).is_ok());
        assert!(check_count(8_129, Algorithm::Sha512).is_err());
    }
}
