//! Looking at sets and writing their bundles: the parts of `hawser evidence` that are about sets.

use std::path::Path;

use hawser_primitives::{B256, Bytes};
use serde_json::{Value, json};

use super::set_bundle::{Contents, ProvedSet, SetBundle};
use super::{CheckArgs, ExportArgs, MemberArgs, anchor, digest, trusted};
use crate::client::Client;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::quantity::{counted, field, text, utc};

/// Writes a bundle into a new file.
pub(super) fn write(bundle: &SetBundle, path: &Path) -> Result<()> {
    let document = serde_json::to_string_pretty(bundle).or_fail(Code::Failed)?;
    files::write_public(path, &format!("{document}\n"))
}

/// Writes a bundle for each member into a folder: `00017-NAME.json`.
pub(super) fn write_members<'a>(
    bundle: &SetBundle,
    proved: &ProvedSet,
    folder: &Path,
    name: &dyn Fn(u32) -> &'a str,
) -> Result<()> {
    files::make_dir(folder)?;
    let Some(tree) = proved.tree() else {
        return fail(Code::Failed, "only one member is known");
    };
    let progress = Progress::steps(
        u64::from(proved.set.count),
        Lang::current().pick("writing bundles", "写入存证包"),
    );
    for index in 0..proved.set.count {
        let Some(member) = proved.member(&tree, index) else {
            return fail(Code::Failed, format!("member {index} is missing"));
        };
        let short = short_name(name(index), &member.digest);
        let path = folder.join(format!("{index:05}-{short}.json"));
        write(&bundle.of_member(member), &path)?;
        progress.advance(1);
    }
    Ok(())
}

/// The last part of a file's name as far as it is harmless, or the digest's beginning.
fn short_name(name: &str, digest: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    let last = Path::new(name).file_name().unwrap_or_default();
    let last = last.to_string_lossy();
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let short: String = last.chars().filter(kept).take(CHARS_MAX).collect();
    if short.is_empty() {
        hex::encode(digest.get(..8).unwrap_or(digest))
    } else {
        short
    }
}

/// The bundle of a set, or of one of its members; `None` where there is no such set.
pub(super) async fn fetch(client: &Client, args: &ExportArgs) -> Result<Option<SetBundle>> {
    let set = client
        .call("hawser_getEvidenceSet", json!([args.id]))
        .await?;
    if set.is_null() {
        return Ok(None);
    }
    let member = match (&args.file, args.member) {
        (Some(file), _) => {
            let algorithm = set.get("algorithm").cloned().unwrap_or_default();
            let algorithm = serde_json::from_value(algorithm).context(
                Code::Refused,
                "the set's digest algorithm is not known to this program",
            )?;
            json!(Bytes::from(digest::of_file(file, algorithm)?))
        }
        (None, Some(index)) => json!(index),
        (None, None) => json!("all"),
    };
    let proof = client
        .call("hawser_getEvidenceSetProof", json!([args.id, member]))
        .await?;
    let genesis = client.call("hawser_getGenesis", json!([])).await?;
    let bundle = SetBundle::from_answers(&proof, &genesis)?;
    bundle.verify()?;
    Ok(Some(bundle))
}

/// Sets that have a digest, as records with the place in the set.
pub(super) async fn search(client: &Client, query: &Value) -> Result<Vec<Value>> {
    let lang = Lang::current();
    let progress = Progress::spinner(lang.pick("looking through sets", "在批次中查找"));
    let (mut found, mut query) = (Vec::new(), query.clone());
    loop {
        let answer = client
            .call("hawser_findEvidenceDigest", json!([query]))
            .await?;
        let sets = answer.get("sets").and_then(Value::as_array);
        for one in sets.into_iter().flatten() {
            let mut record = one.get("set").cloned().unwrap_or_default();
            if let Some(fields) = record.as_object_mut() {
                let digest = query.get("digest").cloned().unwrap_or_default();
                fields.insert("digest".to_owned(), digest);
                let index = one.get("index").cloned().unwrap_or_default();
                fields.insert("index".to_owned(), index);
            }
            found.push(record);
        }
        let Some(next) = field(&answer, "next") else {
            break;
        };
        // A node that does not get on would be asked for ever.
        if field(&query, "below").is_some_and(|below| next >= below) {
            return fail(
                Code::Refused,
                format!("hawser_findEvidenceDigest does not get below height {next}"),
            );
        }
        if let Some(fields) = query.as_object_mut() {
            fields.insert("below".to_owned(), json!(next));
        }
        progress.say(match lang {
            Lang::En => format!("looking through sets below block {next}"),
            Lang::Zh => format!("在区块 {next} 以下的批次中查找"),
        });
    }
    Ok(found)
}

/// Checks the bundle of a set or a member without a node.
pub(super) fn check(document: &str, args: &CheckArgs, output: Output) -> Result<()> {
    let lang = Lang::current();
    let bundle = SetBundle::parse(document)
        .context(Code::Config, format!("bundle {}", args.bundle.display()))?;
    let proved = bundle.verify()?;
    trusted(args.genesis.as_deref(), proved.by.genesis)?;
    let place = match &args.file {
        None => None,
        Some(file) => {
            let found = digest::of_file(file, proved.algorithm)?;
            let place = proved.place(&found);
            if place.is_none() {
                let (file, name) = (file.display(), digest::name(proved.algorithm));
                let digits = hex::encode(found);
                return fail(
                    Code::NotFound,
                    match lang {
                        Lang::En => format!(
                            "{file} is not what was registered: its {name} digest 0x{digits} is not \
                             in the bundle"
                        ),
                        Lang::Zh => format!(
                            "{file} 不是所登记的文件：其 {name} 摘要 0x{digits} 不在存证包中"
                        ),
                    },
                );
            }
            place
        }
    };
    let value = proved.to_json(args.genesis.is_some(), place);
    output.print(&value, |value| said(&proved, args, place, value, lang))
}

fn said(
    proved: &ProvedSet,
    args: &CheckArgs,
    place: Option<u32>,
    value: &Value,
    lang: Lang,
) -> String {
    let (by, count) = (&proved.by, proved.set.count);
    let mut out = match lang {
        Lang::En => format!(
            "The set of {} is proved by {} of {} of chain {}.\n",
            counted(count, "digest"),
            by.signers,
            counted(by.validators, "validator"),
            by.chain_id
        ),
        Lang::Zh => format!(
            "该批次（{count} 个摘要）由链 {} 的 {} 个验证节点中的 {} 个证明。\n",
            by.chain_id, by.validators, by.signers
        ),
    };
    out.push_str(&match (lang, place, &proved.contents) {
        (Lang::En, Some(place), _) => format!("The file is number {place} of the set.\n"),
        (Lang::Zh, Some(place), _) => format!("该文件是批次中的第 {place} 号（从 0 起）。\n"),
        (Lang::En, None, Contents::One(member)) => format!(
            "Its number {} is 0x{}. No file was compared; --file compares one.\n",
            member.index,
            hex::encode(&member.digest)
        ),
        (Lang::Zh, None, Contents::One(member)) => format!(
            "其第 {} 号是 0x{}。未比对文件；可用 --file 比对。\n",
            member.index,
            hex::encode(&member.digest)
        ),
        (Lang::En, None, Contents::All(_)) => {
            "All its digests are here. No file was compared; --file compares one.\n".to_owned()
        }
        (Lang::Zh, None, Contents::All(_)) => {
            "存证包含有其全部摘要。未比对文件；可用 --file 比对。\n".to_owned()
        }
    });
    if args.genesis.is_none() {
        out.push_str(&match lang {
            Lang::En => format!(
                "Compare the genesis with one from a source that you trust: {}\n",
                by.genesis
            ),
            Lang::Zh => format!("请将创世与可信来源的创世对照：{}\n", by.genesis),
        });
    }
    out.push('\n');
    out.push_str(&shown(value));
    out
}

/// Takes one member out of the bundle of all, without a node.
pub(super) fn member(args: &MemberArgs, output: Output) -> Result<()> {
    let lang = Lang::current();
    let document = files::read_text(&args.bundle, anchor::BYTES_MAX)?;
    let bundle = SetBundle::parse(&document)
        .context(Code::Config, format!("bundle {}", args.bundle.display()))?;
    let proved = bundle.verify()?;
    let Some(tree) = proved.tree() else {
        return fail(
            Code::Usage,
            lang.pick(
                "the bundle has one member already; name one with all digests",
                "该存证包已是单个成员；请给出含全部摘要的存证包",
            ),
        );
    };
    if let Some(folder) = &args.all {
        write_members(&bundle, &proved, folder, &|_| "")?;
        let value = json!({ "path": folder, "count": proved.set.count });
        return output.print(&value, |_| match lang {
            Lang::En => format!(
                "Wrote {} to {}.",
                counted(proved.set.count, "bundle"),
                folder.display()
            ),
            Lang::Zh => format!("已写入 {} 个存证包：{}", proved.set.count, folder.display()),
        });
    }
    let index = match (&args.file, args.index) {
        (Some(file), _) => proved.place(&digest::of_file(file, proved.algorithm)?),
        (None, index) => index,
    };
    let Some(member) = index.and_then(|index| proved.member(&tree, index)) else {
        return fail(
            Code::NotFound,
            lang.pick("the set has no such member", "该批次没有这一成员"),
        );
    };
    let index = member.index;
    let one = bundle.of_member(member);
    one.verify()?;
    finish(
        &one,
        args.to.as_deref(),
        proved.set.id(),
        Some(index),
        output,
    )
}

/// Writes a bundle to a file or to standard output.
pub(super) fn finish(
    bundle: &SetBundle,
    to: Option<&Path>,
    id: B256,
    index: Option<u32>,
    output: Output,
) -> Result<()> {
    let Some(path) = to else {
        return output::line(&serde_json::to_string_pretty(bundle).or_fail(Code::Failed)?);
    };
    write(bundle, path)?;
    let value = json!({ "path": path, "id": id, "index": index });
    output.print(&value, |_| match Lang::current() {
        Lang::En => format!(
            "Wrote {}; `hawser evidence check` checks it without a node.",
            path.display()
        ),
        Lang::Zh => format!(
            "已写入 {}；`hawser evidence check` 可离线验证。",
            path.display()
        ),
    })
}

/// A set for people.
pub(super) fn shown(set: &Value) -> String {
    let lang = Lang::current();
    let own = |name: &str| text(set, name).to_owned();
    let number = |name: &str| field(set, name).map_or_else(String::new, |n| n.to_string());
    let word = |en, zh| lang.pick(en, zh);
    output::pairs(&[
        (word("set", "批次"), own("id")),
        (word("number in it", "批内序号"), number("index")),
        (word("digest", "摘要"), own("digest")),
        (word("owner", "登记账户"), own("owner")),
        (
            word("registered", "登记时间"),
            field(set, "timeMs").map_or_else(String::new, utc),
        ),
        (word("block", "区块"), number("height")),
        (word("transaction", "交易"), own("transactionHash")),
        (word("algorithm", "算法"), own("algorithm")),
        (word("digests", "摘要数"), number("count")),
        (word("root", "根"), own("root")),
        (word("media type", "媒体类型"), own("mediaType")),
        (word("description", "说明"), own("description")),
        (
            word("sealed owner", "权利人信息"),
            own("sealedOwner").trim_end_matches("0x").to_owned(),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_bundles_stay_in_their_folder() {
        let digest = [0xab; 32];
        assert_eq!(short_name("dir/合同 1.pdf", &digest), "合同1.pdf");
        for bad in ["", "..", "/", "a/..", "\u{7}/:"] {
            assert_eq!(short_name(bad, &digest), "abababababababab", "{bad}");
        }
        assert_eq!(short_name(&"x".repeat(300), &digest).len(), 60);
        assert_eq!(short_name("../../etc/passwd", &digest), "passwd");
    }
}
