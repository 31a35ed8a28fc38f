//! Data that is encrypted on the disk, by the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Run, balance, free_ports, holds, json, until};

/// What transactions carry and where they go to: nobody else writes these bytes.
const MARKER: &[u8] = b"a marker that nobody else writes";
const TO: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";

/// A network of one node; stopped whatever happens.
struct Net {
    hawser: common::Net,
    ports: [String; 2],
}

impl Net {
    fn new() -> Self {
        Self {
            hawser: common::Net::new(),
            ports: [free_ports(1).to_string(), free_ports(1).to_string()],
        }
    }

    fn up(&self, more: &[&str]) -> Run {
        let up = [
            "up",
            "--nodes",
            "1",
            "--rpc-port",
            &self.ports[0],
            "--p2p-port",
            &self.ports[1],
        ];
        self.hawser.run(&[&up[..], more].concat())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Sends one wei and the marker.
    fn pay(&self) {
        let data = format!(
            "0x{}",
            MARKER
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>()
        );
        self.hawser.ok(&[
            "tx",
            "send",
            "--from",
            "test",
            "--to",
            TO,
            "--value",
            "1",
            "--data",
            &data,
            "--rpc",
            &self.url(),
        ]);
    }

    fn chain(&self) -> PathBuf {
        self.hawser.path(".hawser/node0/data/chain-429737")
    }

    /// Which of what must not be readable is found in the files of a folder.
    fn found(&self, dir: &Path) -> (bool, bool) {
        let address: Vec<u8> = (2..TO.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&TO[at..at + 2], 16).unwrap())
            .collect();
        (holds(dir, MARKER), holds(dir, &address))
    }

    fn kill(&self) {
        let status = json(&self.hawser.ok(&["status", "--output", "json"]));
        let pid = status["nodes"][0]["pid"].to_string();
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap()
                .success()
        );
        until("the node is gone", || {
            let status = json(&self.hawser.run(&["status", "--output", "json"]).stdout);
            status["nodes"][0]["pid"].is_null()
        });
    }
}

#[test]
fn an_encrypted_node_survives_a_crash_hides_what_it_holds_and_opens_to_its_key_only() {
    for suite in ["sm", "intl"] {
        let net = Net::new();
        let by_file = suite == "intl";
        let key: &[&str] = if by_file {
            &["--data-key-file", "data.secret"]
        } else {
            &[]
        };
        let run = net.up(&[&["--suite", suite, "--encrypt"], key].concat());
        assert_eq!(run.code, 0, "{}", run.text);
        let config = fs::read_to_string(net.hawser.path(".hawser/node0/node.toml")).unwrap();
        let expected = if by_file { "key-file" } else { "passphrase" };
        assert!(
            config.contains(&format!("\nencryption = \"{expected}\"\n")),
            "{config}"
        );
        for paid in 1..=3 {
            net.pay();
            assert_eq!(balance(&net.url(), TO), paid);
            net.kill();
            assert_eq!(net.found(&net.chain()), (false, false));
            let again = net.up(&[]);
            assert_eq!(again.code, 0, "{}", again.text);
            assert_eq!(balance(&net.url(), TO), paid);
        }
        net.hawser.ok(&["down"]);
        assert_eq!(net.found(&net.chain()), (false, false));

        let words = if by_file {
            let path = net.hawser.path(".hawser/node0/data.secret");
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            fs::write(&path, [7; 32]).unwrap();
            "wrong key file: the data key does not open"
        } else {
            fs::write(net.hawser.path("new"), "another passphrase\n").unwrap();
            let folder = net.chain();
            net.hawser.ok(&[
                "storage",
                "rewrap",
                folder.to_str().unwrap(),
                "--passphrase-file",
                ".hawser/passphrase",
                "--new-passphrase-file",
                "new",
            ]);
            "wrong passphrase: the data key does not open"
        };
        let refused = net.up(&[]);
        assert_ne!(refused.code, 0, "{}", refused.text);
        let log = fs::read_to_string(net.hawser.path(".hawser/node0/hawser.log")).unwrap();
        assert!(log.contains(words) || refused.text.contains(words), "{log}");
    }
}

#[test]
fn data_is_encrypted_and_laid_open_again_without_losing_anything() {
    for suite in ["intl", "sm"] {
        let net = Net::new();
        assert_eq!(net.up(&["--suite", suite]).code, 0);
        net.pay();
        let running =
            net.hawser
                .run(&["storage", "encrypt", "--config", ".hawser/node0/node.toml"]);
        assert!(
            running.code != 0 && running.text.contains("runs already"),
            "{}",
            running.text
        );
        net.hawser.ok(&["down"]);
        // The bytes looked for are there to be found.
        assert_eq!(net.found(&net.chain()), (true, true));
        let refused = net.up(&["--encrypt"]);
        assert!(
            refused.code == 2 && refused.text.contains("storage encrypt"),
            "{}",
            refused.text
        );

        let convert = |what: &str, more: &[&str]| {
            let convert = ["storage", what, "--config", ".hawser/node0/node.toml"];
            net.hawser.ok(&[&convert[..], more].concat())
        };
        let said = convert("encrypt", &["--data-key-file", "data.secret"]);
        let open = net.hawser.path(".hawser/node0/data/chain-429737.open");
        assert!(said.contains("chain-429737.open"), "{said}");
        assert_eq!(net.found(&net.chain()), (false, false));
        assert_eq!(net.found(&open), (true, true));
        fs::remove_dir_all(&open).unwrap();
        let run = net.up(&[]);
        assert_eq!(run.code, 0, "{}", run.text);
        assert_eq!(balance(&net.url(), TO), 1);
        net.pay();
        net.hawser.ok(&["down"]);
        assert_eq!(net.found(&net.chain()), (false, false));

        convert("decrypt", &["--remove-old"]);
        let run = net.up(&[]);
        assert_eq!(run.code, 0, "{}", run.text);
        assert_eq!(balance(&net.url(), TO), 2);
        net.pay();
        net.hawser.ok(&["down"]);
        assert_eq!(net.found(&net.chain()), (true, true));
        assert!(!net.chain().join("data.key").exists());
    }
}
