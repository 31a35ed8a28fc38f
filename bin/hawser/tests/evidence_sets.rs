//! Sets of evidence by the real binary: registered at one node, proved by the other, checked when
//! none runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;

use common::{Net, free_ports, json};

fn check(net: &Net, bundle: &str, more: &[&str]) -> (i32, String) {
    let base = ["evidence", "check", bundle, "--output", "json"];
    let run = net.0.run(&[&base[..], more].concat());
    (run.code, run.text)
}

#[test]
fn a_set_is_registered_proved_and_checked_without_a_node() {
    let net = Net::new();
    let (rpc, p2p) = (free_ports(2).to_string(), free_ports(2).to_string());
    let up = net.0.ok(&[
        "up",
        "--nodes",
        "2",
        "--suite",
        "sm",
        "--rpc-port",
        &rpc,
        "--p2p-port",
        &p2p,
        "--output",
        "json",
    ]);
    let said = json(&up);
    let url = |node: usize| said["http"][node].as_str().unwrap().to_owned();
    let (first, second) = (url(0), url(1));
    let files: Vec<String> = (0..5).map(|n| format!("file {n}.txt")).collect();
    for (n, file) in files.iter().enumerate() {
        // The last has the content of the first.
        fs::write(net.0.path(file), format!("content {}", n % 4)).unwrap();
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let put = |more: &[&str]| {
        let base = [
            "evidence", "put-set", "--rpc", &second, "--from", "test", "--output", "json",
        ];
        net.0.run(&[&base[..], more].concat())
    };
    let with_bundles = [
        "--to",
        "all.json",
        "--members",
        "bundles",
        "--description",
        "归档",
    ];
    let run = put(&[&files[..], &with_bundles[..]].concat());
    assert_eq!(run.code, 0, "{}", run.text);
    let set = json(&run.stdout);
    assert_eq!(
        (set["count"].as_u64(), set["state"].as_str()),
        (Some(4), Some("registered"))
    );
    assert_eq!(set["algorithm"], "sm3");
    assert_eq!(set["members"][4]["index"], 0);
    let id = set["id"].as_str().unwrap();
    // What is there already is not replaced, and nothing is sent.
    assert_eq!(put(&[&files[..], &with_bundles[..]].concat()).code, 2);
    let again = json(&put(&files).stdout);
    assert_eq!(
        (&again["state"], &again["id"]),
        (&"already registered".into(), &set["id"])
    );

    // The same by a list; sums that other tools make are registered as they are.
    let digests: Vec<_> = (0..4)
        .map(|n| {
            set["members"][n]["digest"]
                .as_str()
                .unwrap()
                .trim_start_matches("0x")
        })
        .collect();
    fs::write(
        net.0.path("list"),
        format!("{}  a\n{} *b\n", digests[3], digests[1]),
    )
    .unwrap();
    let listed = put(&["--list", "list"]);
    assert_eq!(listed.code, 0, "{}", listed.text);
    let listed = json(&listed.stdout);
    assert_ne!(listed["id"], set["id"]);
    fs::write(net.0.path("bad"), "no digest").unwrap();
    assert_eq!(put(&["--list", "bad"]).code, 3);
    assert_eq!(put(&[]).code, 2);

    // The other node knows the set and its members.
    let got = json(
        &net.0
            .ok(&["evidence", "get", id, "--rpc", &first, "--output", "json"]),
    );
    assert_eq!(
        (&got["count"], &got["description"]),
        (&4.into(), &"归档".into())
    );
    let found = net.0.ok(&[
        "evidence", "verify", files[1], "--rpc", &first, "--output", "json",
    ]);
    let found = json(&found);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    assert_eq!(
        (&found[0]["id"], &found[0]["index"]),
        (&listed["id"], &1.into())
    );
    assert_eq!(
        (&found[1]["id"], &found[1]["index"]),
        (&set["id"], &1.into())
    );
    let table = net.0.ok(&["evidence", "verify", files[1], "--rpc", &first]);
    assert!(
        table.contains(id) && table.contains("number in it"),
        "{table}"
    );
    fs::write(net.0.path("other"), "other").unwrap();
    let missing = net.0.run(&["evidence", "verify", "other", "--rpc", &first]);
    assert_eq!(missing.code, 5, "{}", missing.text);
    let export = |more: &[&str]| {
        let base = ["evidence", "export", id, "--rpc", &first];
        net.0.run(&[&base[..], more].concat())
    };
    assert_eq!(export(&["--to", "again.json"]).code, 0);
    assert_eq!(export(&["--file", files[2], "--to", "two.json"]).code, 0);
    assert_eq!(export(&["--member", "3", "--to", "three.json"]).code, 0);
    assert_ne!(export(&["--member", "4"]).code, 0);
    assert_ne!(export(&["--file", "other"]).code, 0);
    let unknown = format!("0x{}", "11".repeat(32));
    let run = net
        .0
        .run(&["evidence", "export", &unknown, "--rpc", &first]);
    assert_eq!(run.code, 5, "{}", run.text);

    net.0.ok(&["down"]);
    // No node runs any more.
    let genesis = ["--genesis", ".hawser/genesis.json"];
    let bundles: Vec<_> = fs::read_dir(net.0.path("bundles"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(bundles.len(), 4);
    for (n, file) in files.iter().enumerate() {
        let place = n % 4;
        let one = bundles
            .iter()
            .find(|name| name.starts_with(&format!("{place:05}-")));
        let one = format!("bundles/{}", one.unwrap());
        for bundle in ["all.json", "again.json", &one] {
            let (code, text) = check(&net, bundle, &[&["--file", file][..], &genesis].concat());
            assert_eq!(code, 0, "{bundle} {file}: {text}");
            let said = json(&text);
            assert_eq!(
                (&said["proved"], &said["index"]),
                (&true.into(), &place.into())
            );
            assert_eq!(said["genesisCompared"], true);
        }
        let (code, _) = check(&net, "two.json", &["--file", file]);
        assert_eq!(code, if place == 2 { 0 } else { 5 });
        assert_eq!(check(&net, "all.json", &["--file", "other"]).0, 5);
    }
    assert_eq!(check(&net, "three.json", &[]).0, 0);
    let wrong = ["--genesis", &unknown];
    assert_eq!(check(&net, "all.json", &wrong).0, 5);
    let table = net
        .0
        .ok(&["evidence", "check", "all.json", "--file", files[2]]);
    assert!(table.contains("number 2 of the set"), "{table}");
    let table = net.0.ok(&[
        "--lang", "zh", "evidence", "check", "all.json", "--file", files[2],
    ]);
    assert!(table.contains("批次中的第 2 号"), "{table}");

    // A member out of the bundle of all.
    let member = |more: &[&str]| {
        net.0
            .run(&[&["evidence", "member", "all.json"][..], more].concat())
            .code
    };
    assert_eq!(member(&["--file", files[3], "--to", "m.json"]), 0);
    assert_eq!(check(&net, "m.json", &["--file", files[3]]).0, 0);
    // The same as from the node, whose header may be a later one.
    let member_of = |name: &str| {
        let text = fs::read_to_string(net.0.path(name)).unwrap();
        json(&text)["member"].clone()
    };
    assert_eq!(member_of("m.json"), member_of("three.json"));
    assert_eq!(member(&["--index", "1", "--to", "n.json"]), 0);
    assert_eq!(member(&["--all", "split"]), 0);
    assert_eq!(fs::read_dir(net.0.path("split")).unwrap().count(), 4);
    assert_eq!(member(&["--index", "4"]), 5);
    assert_eq!(member(&["--file", "other"]), 5);
    assert_eq!(member(&[]), 2);
    assert_eq!(
        net.0
            .run(&["evidence", "member", "m.json", "--index", "0"])
            .code,
        2
    );

    // Everything that can be changed in a bundle is noticed.
    let text = fs::read_to_string(net.0.path("m.json")).unwrap();
    let whole = json(&text);
    let forge = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut forged = whole.clone();
        change(&mut forged);
        fs::write(net.0.path("forged.json"), forged.to_string()).unwrap();
        let (code, text) = check(&net, "forged.json", &[]);
        assert!(!text.contains("panicked"), "{text}");
        code
    };
    assert_eq!(forge(&|_| {}), 0);
    let flip = |text: &serde_json::Value, at: usize| {
        let mut text = text.as_str().unwrap().to_owned();
        let at = at.min(text.len() - 1);
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        text.replace_range(at..=at, other);
        serde_json::Value::from(text)
    };
    assert_eq!(forge(&|bundle| bundle["member"]["index"] = 0.into()), 5);
    assert_eq!(forge(&|bundle| bundle["member"]["path"] = json("[]")), 5);
    let digest = format!("0x{}", digests[0]);
    assert_eq!(
        forge(&|bundle| bundle["member"]["digest"] = digest.clone().into()),
        5
    );
    for name in ["encodedSet", "certifiedHeader", "stateProof"] {
        for at in [4, 60, 200] {
            let code = forge(&|bundle| bundle[name] = flip(&bundle[name], at));
            assert_eq!(code, 5, "{name} {at}");
        }
    }
    for (name, value) in [
        ("description", "归档!"),
        ("mediaType", "a/b"),
        ("owner", "0x00"),
    ] {
        assert_eq!(
            forge(&|bundle| bundle["set"][name] = value.into()),
            5,
            "{name}"
        );
    }
    assert_eq!(forge(&|bundle| bundle["genesis"]["chainId"] = 1.into()), 5);
    assert_eq!(forge(&|bundle| bundle["digests"] = "0x".into()), 3);
    assert_eq!(forge(&|bundle| bundle["version"] = 2.into()), 3);
}
