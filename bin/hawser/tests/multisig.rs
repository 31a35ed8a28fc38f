//! An account of several signers of different schemes, on a running chain, by the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;

use common::{Run, balance, free_ports, json};

const TO: &str = "0x00000000000000000000000000000000000000aa";

struct Net {
    hawser: common::Net,
    url: String,
    keys: Vec<String>,
}

impl Net {
    fn up(suite: &str) -> Self {
        let hawser = common::Net::new();
        let (rpc, p2p) = (free_ports(1).to_string(), free_ports(1).to_string());
        hawser.ok(&[
            "up",
            "--nodes",
            "1",
            "--suite",
            suite,
            "--rpc-port",
            &rpc,
            "--p2p-port",
            &p2p,
        ]);
        fs::write(hawser.path("p"), "a passphrase\n").unwrap();
        let mut keys = Vec::new();
        for scheme in ["secp256k1", "sm2", "ed25519"] {
            let made = json(&hawser.ok(&[
                "keys",
                "new",
                "--name",
                scheme,
                "--scheme",
                scheme,
                "--passphrase-file",
                "p",
                "--output",
                "json",
            ]));
            keys.push(made["publicKey"].as_str().unwrap().to_owned());
        }
        let url = format!("http://127.0.0.1:{rpc}");
        Self { hawser, url, keys }
    }

    fn multisig(&self, arguments: &[&str]) -> Run {
        self.hawser.run(&[&["tx", "multisig"], arguments].concat())
    }

    fn create(&self, out: &str) {
        let create = [
            "create",
            "--policy",
            "board.json",
            "--to",
            TO,
            "--value",
            "5",
            "--out",
            out,
            "--rpc",
            &self.url,
        ];
        let run = self.multisig(&create);
        assert_eq!(run.code, 0, "{}", run.text);
    }

    fn sign(&self, file: &str, from: &str) -> String {
        let out = format!("{file}.{from}");
        let sign = [
            "sign",
            file,
            "--from",
            from,
            "--out",
            &out,
            "--passphrase-file",
            "p",
        ];
        let run = self.multisig(&sign);
        assert_eq!(run.code, 0, "{}", run.text);
        out
    }

    fn send(&self, file: &str) -> Run {
        self.multisig(&["send", file, "--rpc", &self.url, "--output", "json"])
    }
}

#[test]
fn any_two_of_three_schemes_move_value_and_one_alone_does_not() {
    for suite in ["intl", "sm"] {
        let net = Net::up(suite);
        let policy = [
            "policy",
            "--threshold",
            "2",
            "--key",
            &net.keys[0],
            "--key",
            &net.keys[1],
            "--key",
            &net.keys[2],
            "--to",
            "board.json",
            "--output",
            "json",
        ];
        let made = net.multisig(&policy);
        assert_eq!(made.code, 0, "{}", made.text);
        let account = json(&made.stdout)["address"].as_str().unwrap().to_owned();
        net.hawser.ok(&[
            "tx", "send", "--from", "test", "--to", &account, "--value", "1ether", "--rpc",
            &net.url,
        ]);
        let pairs = [
            ("secp256k1", "sm2"),
            ("sm2", "ed25519"),
            ("ed25519", "secp256k1"),
        ];
        for (round, (one, two)) in (1u128..).zip(pairs) {
            let file = format!("payment{round}");
            net.create(&file);
            let parts = [net.sign(&file, one), net.sign(&file, two)];
            let alone = ["combine", &file, &parts[0], "--out", "alone"];
            let refused = net.multisig(&alone);
            assert_eq!(refused.code, 3, "{}", refused.text);
            let signed = format!("{file}.signed");
            let combined =
                net.multisig(&["combine", &file, &parts[0], &parts[1], "--out", &signed]);
            assert_eq!(combined.code, 0, "{}", combined.text);
            let sent = net.send(&signed);
            assert_eq!(sent.code, 0, "{}", sent.text);
            assert_eq!(balance(&net.url, TO), 5 * round);
            // What was sent once is not taken again.
            let again = net.send(&signed);
            assert_ne!(again.code, 0, "{}", again.text);
            assert_eq!(balance(&net.url, TO), 5 * round);
        }
        // A signature changed on its way.
        net.create("forged");
        let parts = [net.sign("forged", "sm2"), net.sign("forged", "ed25519")];
        let path = net.hawser.path(&parts[0]);
        let text = fs::read_to_string(&path).unwrap();
        let at = text.rfind("\"0x").unwrap() + 12;
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        fs::write(&path, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
        let forged = net.multisig(&[
            "combine",
            "forged",
            &parts[0],
            &parts[1],
            "--out",
            "forged.signed",
        ]);
        let refused = match forged.code {
            0 => net.send("forged.signed"),
            _ => forged,
        };
        assert_ne!(refused.code, 0, "{}", refused.text);
        assert_eq!(balance(&net.url, TO), 15);
    }
}
