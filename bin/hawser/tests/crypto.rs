//! The real binary: files signed and encrypted with SM2, and accounts of several signers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;

use common::{Hawser, json};

/// A folder with a passphrase and keys of these names and schemes.
fn with_keys(keys: &[(&str, &str)]) -> Hawser {
    let hawser = Hawser::new();
    fs::write(hawser.path("p"), "a passphrase\n").unwrap();
    for (name, scheme) in keys {
        let arguments = ["keys", "new", "--name", name, "--scheme", scheme];
        hawser.ok(&[&arguments[..], &["--passphrase-file", "p"]].concat());
    }
    hawser
}

#[test]
fn a_signed_file_verifies_in_both_forms_until_it_changes() {
    let hawser = with_keys(&[("notary", "sm2"), ("other", "sm2")]);
    fs::write(hawser.path("report"), "figures").unwrap();
    for form in ["der", "raw"] {
        let sig = format!("sig.{form}");
        let sign = ["keys", "sign", "report", "--from", "notary", "--form", form];
        hawser.ok(&[&sign[..], &["--to", &sig, "--passphrase-file", "p"]].concat());
        let verify = |signer: &str, form: &str| {
            let arguments = ["keys", "verify", "report", "--signature", &sig];
            hawser.run(&[&arguments[..], &["--signer", signer, "--form", form]].concat())
        };
        let run = verify("notary", form);
        assert_eq!(run.code, 0, "{}", run.text);
        assert_eq!(verify("other", form).code, 5);
        let wrong = if form == "der" { "raw" } else { "der" };
        assert_eq!(verify("notary", wrong).code, 5);
    }
    // Digits serve as well as bytes, and a public key as well as a name.
    let sign = [
        "keys",
        "sign",
        "report",
        "--from",
        "notary",
        "--passphrase-file",
        "p",
    ];
    let printed = json(&hawser.ok(&[&sign[..], &["--output", "json"]].concat()));
    fs::write(
        hawser.path("digits"),
        printed["signature"].as_str().unwrap(),
    )
    .unwrap();
    let signer = printed["signer"].as_str().unwrap();
    let verify = [
        "keys",
        "verify",
        "report",
        "--signature",
        "digits",
        "--signer",
        signer,
    ];
    hawser.ok(&verify);
    let chinese = hawser.ok(&[&verify[..], &["--lang", "zh"]].concat());
    assert!(chinese.contains("有效"), "{chinese}");
    fs::write(hawser.path("report"), "other figures").unwrap();
    assert_eq!(hawser.run(&verify).code, 5);
}

#[test]
fn an_encrypted_file_comes_back_to_its_owner_in_every_layout() {
    let hawser = with_keys(&[("owner", "sm2"), ("other", "sm2"), ("eth", "ed25519")]);
    fs::write(hawser.path("offer"), "an offer").unwrap();
    for layout in ["c1c3c2", "c1c2c3", "der"] {
        let (hidden, back) = (format!("hidden.{layout}"), format!("back.{layout}"));
        let encrypt = [
            "keys", "encrypt", "offer", "--for", "owner", "--layout", layout,
        ];
        hawser.ok(&[&encrypt[..], &["--to", &hidden]].concat());
        let decrypt = |from: &str, layout: &str, to: &str| {
            let arguments = [
                "keys", "decrypt", &hidden, "--from", from, "--layout", layout,
            ];
            hawser.run(&[&arguments[..], &["--to", to, "--passphrase-file", "p"]].concat())
        };
        let run = decrypt("owner", layout, &back);
        assert_eq!(run.code, 0, "{}", run.text);
        assert_eq!(fs::read(hawser.path(&back)).unwrap(), b"an offer");
        assert_eq!(
            decrypt("owner", layout, &back).code,
            1,
            "nothing is replaced"
        );
        assert_eq!(decrypt("other", layout, "never").code, 5);
        let wrong = if layout == "der" { "c1c3c2" } else { "der" };
        assert_eq!(decrypt("owner", wrong, "never").code, 5);
        assert!(!hawser.path("never").exists());
    }
    let encrypt = ["keys", "encrypt", "offer", "--for", "eth", "--to", "never"];
    assert_eq!(hawser.run(&encrypt).code, 2);
}

#[test]
fn a_transaction_of_several_signers_is_made_from_files() {
    let hawser = with_keys(&[("a", "sm2"), ("b", "ed25519"), ("c", "sm2")]);
    let policy = [
        "tx",
        "multisig",
        "policy",
        "--threshold",
        "2",
        "--key",
        "a",
        "--key",
        "b",
    ];
    let policy = [&policy[..], &["--to", "policy.json", "--output", "json"]].concat();
    let account = json(&hawser.ok(&policy))["address"].clone();
    let to = "0x00000000000000000000000000000000000000aa";
    let create = |nonce: &str, out: &str| {
        let create = [
            "tx",
            "multisig",
            "create",
            "--policy",
            "policy.json",
            "--to",
            to,
        ];
        let more = [
            "--nonce",
            nonce,
            "--gas",
            "100000",
            "--chain-id",
            "7",
            "--out",
            out,
        ];
        let text = hawser.ok(&[&create[..], &more, &["--output", "json"]].concat());
        assert_eq!(json(&text)["account"], account);
    };
    create("0", "tx.json");
    create("1", "later.json");
    let sign = |file: &str, from: &str, out: &str| {
        let sign = ["tx", "multisig", "sign", file, "--from", from, "--out", out];
        hawser.run(&[&sign[..], &["--passphrase-file", "p"]].concat())
    };
    assert_eq!(sign("tx.json", "a", "a.json").code, 0);
    assert_eq!(sign("tx.json", "b", "b.json").code, 0);
    assert_eq!(sign("later.json", "b", "later.b.json").code, 0);
    let stranger = sign("tx.json", "c", "c.json");
    assert_eq!(stranger.code, 2, "{}", stranger.text);
    let combine = |parts: &[&str], out: &str| {
        let combine = [&["tx", "multisig", "combine", "tx.json"], parts].concat();
        hawser.run(&[&combine[..], &["--out", out]].concat())
    };
    let few = combine(&["a.json"], "few.json");
    assert_eq!(few.code, 3, "{}", few.text);
    assert_eq!(combine(&["a.json", "a.json"], "few.json").code, 3);
    let other = combine(&["a.json", "later.b.json"], "few.json");
    assert!(
        other.stderr.contains("another transaction"),
        "{}",
        other.text
    );
    let run = combine(&["b.json", "a.json"], "signed.json");
    assert_eq!(run.code, 0, "{}", run.text);
    let signed = json(&fs::read_to_string(hawser.path("signed.json")).unwrap());
    assert!(signed["raw"].as_str().unwrap().starts_with("0x69"));
    let send = [
        "tx",
        "multisig",
        "send",
        "signed.json",
        "--rpc",
        "http://127.0.0.1:1",
    ];
    assert_eq!(hawser.run(&send).code, 4);
}
