//! Other implementations, asked through their own command lines or interpreters: of national
//! cryptography OpenSSL, npm's `sm-crypto` and PyPI's `gmssl`; of the language of supervision rules
//! PyPI's `starlark-pyo3`, which binds the Rust crate `starlark`.
//!
//! A peer that is not installed is named, and its tests pass without it; with `CI=true` that is a
//! failure.
#![allow(clippy::panic, clippy::expect_used)]

pub mod expressions;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The repository's folder.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An implementation that answers a list of requests (see `peers/`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// npm's `sm-crypto`.
    SmCrypto,
    /// PyPI's `gmssl`.
    Gmssl,
    /// PyPI's `starlark-pyo3`.
    Starlark,
}

/// Python of the client tests, with a package; `None` where it is not installed.
fn python(package: &str) -> Option<Command> {
    let clients = repository().join("tests/clients");
    let inside = clients.join(".venv/bin/python3");
    let make = || {
        if inside.exists() {
            Command::new(&inside)
        } else {
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", clients.join(".venv/packages"));
            command
        }
    };
    let found = make().args(["-c", &format!("import {package}")]).output();
    found.is_ok_and(|output| output.status.success()).then(make)
}

impl Peer {
    /// Both of cryptography.
    pub const ALL: [Self; 2] = [Self::SmCrypto, Self::Gmssl];

    fn command(self) -> Option<Command> {
        let clients = repository().join("tests/clients");
        let peers = repository().join("tests/interop/peers");
        match self {
            Self::SmCrypto => {
                if !clients.join("node_modules/sm-crypto").is_dir() {
                    return None;
                }
                let mut command = Command::new("node");
                command.arg(peers.join("sm-crypto.mjs"));
                Some(command)
            }
            Self::Gmssl => {
                let mut command = python("gmssl")?;
                command.arg(peers.join("gmssl_peer.py"));
                Some(command)
            }
            Self::Starlark => {
                let mut command = python("starlark")?;
                command.arg(peers.join("starlark_peer.py"));
                Some(command)
            }
        }
    }

    /// The answers to requests, in order; `None` where the peer is not installed.
    ///
    /// # Panics
    /// When the peer fails, or is missing with `CI=true`.
    #[must_use]
    pub fn ask(self, requests: &[Value]) -> Option<Vec<Value>> {
        let Some(mut command) = self.command() else {
            skipped(&format!("{self:?}"));
            return None;
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer starts");
        let text = serde_json::to_vec(requests).expect("requests are JSON");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        stdin.write_all(&text).expect("the peer reads");
        drop(stdin);
        let output = child.wait_with_output().expect("the peer ends");
        assert!(output.status.success(), "{self:?} failed, see above");
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("answers are JSON");
        assert_eq!(answers.len(), requests.len());
        Some(answers)
    }
}

fn skipped(what: &str) {
    let on_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!on_ci, "{what} is not installed: run scripts/clients-setup");
    eprintln!("SKIPPED: {what} is not installed; scripts/clients-setup installs it");
}

/// A folder to run OpenSSL in; `None` where there is no `openssl` with SM2.
#[must_use]
pub fn openssl() -> Option<OpenSsl> {
    let has = Command::new("openssl")
        .args(["list", "-cipher-algorithms"])
        .output();
    let has = has.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("SM4-CTR"));
    if !has {
        skipped("openssl 3 with SM4");
        return None;
    }
    Some(OpenSsl(tempfile::tempdir().expect("a folder")))
}

/// OpenSSL's command line, in a folder of its own.
#[derive(Debug)]
pub struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    /// Writes a file for it.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).expect("a file");
    }

    /// What it prints; `None` where it fails.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Option<Vec<u8>> {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(self.0.path())
            .output()
            .expect("openssl starts");
        output.status.success().then_some(output.stdout)
    }
}
