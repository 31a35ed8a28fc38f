//! The recording of consensus events by the real binary: killed without warning, it still says why blocks
//! took long, and who was missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::process::Command;

use common::{Net, Ports, json, until};
use serde_json::Value;

const TO: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";

struct Four {
    net: Net,
    url: String,
}

impl Four {
    fn up() -> Self {
        let (net, ports) = (Net::new(), Ports::free(4));
        let run = net.run_at(ports, &["up", "--nodes", "4"]);
        assert_eq!(run.code, 0, "{}", run.text);
        let url = ports.url();
        Self { net, url }
    }

    fn pay(&self) {
        self.net.0.ok(&[
            "tx", "send", "--from", "test", "--to", TO, "--value", "1", "--rpc", &self.url,
        ]);
    }

    fn kill(&self, node: usize) {
        let status = json(&self.net.0.run(&["status", "--output", "json"]).stdout);
        let pid = status["nodes"][node]["pid"].to_string();
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn timeline(&self, more: &[&str]) -> Value {
        let all = [&["debug", "timeline", "--output", "json"], more].concat();
        json(&self.net.0.ok(&all))
    }
}

#[test]
fn a_recording_outlives_kill_9_and_names_the_validator_that_was_missing() {
    let four = Four::up();
    for _ in 0..4 {
        four.pay();
    }
    four.kill(3);
    // Its turn to propose comes within four heights.
    for _ in 0..8 {
        four.pay();
    }
    // What the killed node left is read with the others'.
    let mut told = Value::Null;
    until("a height that took long is explained", || {
        told = four.timeline(&[]);
        let heights = told["heights"].as_array().unwrap();
        heights
            .iter()
            .any(|height| height["causes"].to_string().contains("no proposal from"))
    });
    assert_eq!(told["nodes"].as_array().unwrap().len(), 4);
    assert_eq!(
        told["problems"],
        serde_json::json!([]),
        "a torn end is no damage"
    );
    let heights = told["heights"].as_array().unwrap();
    let explained = heights.iter().filter(|height| height["remarkable"] == true);
    let causes: String = explained
        .map(|height| height["causes"].to_string())
        .collect();
    let missing = told["nodes"][3]["name"].as_str().unwrap();
    assert!(causes.contains(missing), "{missing}: {causes}");
    let last_of_killed = four.timeline(&[".hawser/node3", "--events"]);
    let events = last_of_killed["events"].as_array().unwrap();
    assert!(
        events.iter().any(|event| event["kind"] == "decided"),
        "{last_of_killed}"
    );
    assert!(
        events.iter().all(|event| event["kind"] != "stopped"),
        "it had no time to"
    );

    // A page, in both languages; an export says the same as the folder.
    for lang in ["en", "zh"] {
        let file = format!("{lang}.html");
        four.net
            .0
            .ok(&["debug", "timeline", "--html", &file, "--lang", lang]);
        let page = fs::read_to_string(four.net.0.path(&file)).unwrap();
        assert!(page.contains("<svg") && page.contains("class='gap'"));
        assert!(!page.contains("<script"));
    }
    four.net
        .0
        .ok(&["debug", "export", ".hawser/node3", "--to", "node3.bb"]);
    let exported = four.timeline(&["node3.bb", "--events"]);
    assert_eq!(exported["events"], last_of_killed["events"]);
    let table = four
        .net
        .0
        .ok(&["debug", "timeline", "--last", "1h", "--lang", "zh"]);
    assert!(
        table.contains("未提案") || table.contains("既未提案"),
        "{table}"
    );

    // Damage is named, and what is before it is shown.
    let mut bytes = fs::read(four.net.0.path("node3.bb")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(four.net.0.path("damaged.bb"), bytes).unwrap();
    let damaged = four.timeline(&["damaged.bb", "--events"]);
    assert!(
        damaged["problems"][0]
            .as_str()
            .unwrap()
            .contains("is damaged at byte")
    );
    let before = damaged["events"].as_array().unwrap().len();
    assert!(before > 0 && before < events.len(), "{before}");
    fs::write(four.net.0.path("foreign"), "something else").unwrap();
    let foreign = four.net.0.run(&["debug", "timeline", "foreign"]);
    assert_eq!(foreign.code, 3, "{}", foreign.text);
    assert!(foreign.text.contains("is no recording"), "{}", foreign.text);
}

#[test]
fn every_node_knows_what_program_the_others_run() {
    let four = Four::up();
    four.pay();
    let url = &four.url;
    let status = |to: &str| {
        four.net
            .0
            .run(&["upgrade", "status", "--rpc", url, "--to", to])
    };
    until("all have told", || status("1").code == 0);
    let ready = status("1").stdout;
    assert!(ready.contains("Every validator is ready"), "{ready}");
    let later = status("999");
    assert_eq!(later.code, 1, "{}", later.text);
    assert!(
        later.text.contains("THE CHAIN WOULD STAND STILL"),
        "{}",
        later.text
    );
    let run = four.net.0.run(&[
        "upgrade", "status", "--rpc", url, "--to", "999", "--lang", "zh",
    ]);
    assert!(run.text.contains("链将停止出块"), "{}", run.text);
}
