//! A light node of real processes: it joins four validators by one file, verifies what it answers, follows a change of
//! the committee, and goes on after `kill -9`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hawser_e2e::{binary, free_ports};
use serde_json::{Value, json};

struct Net {
    home: PathBuf,
    rpc: u16,
    p2p: u16,
}

impl Drop for Net {
    fn drop(&mut self) {
        self.command(&["down"]);
    }
}

/// A node that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Said {
    code: Option<i32>,
    out: String,
    text: String,
}

impl Net {
    fn url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", self.rpc + node)
    }

    fn command(&self, arguments: &[&str]) -> Said {
        let output = Command::new(binary().unwrap())
            .args(arguments)
            .env("HAWSER_HOME", &self.home)
            .env("HAWSER_RPC", self.url(0))
            .env("HAWSER_PASSPHRASE_FILE", self.home.join("passphrase"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
        Said {
            code: output.status.code(),
            out,
            text,
        }
    }

    fn ok(&self, arguments: &[&str]) -> Value {
        let said = self.command(&[arguments, &["--output", "json"]].concat());
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.text);
        serde_json::from_str(&said.out).unwrap_or(Value::Null)
    }

    fn start(&self, config: &Path) -> Running {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(config.with_extension("log"))
            .unwrap();
        let child = Command::new(binary().unwrap())
            .args(["start", "--config"])
            .arg(config)
            .env("HAWSER_PASSPHRASE_FILE", self.home.join("passphrase"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Running(child)
    }
}

async fn post(url: &str, method: &str, params: Value) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let sent = client.post(url).json(&body).send().await.ok()?;
    sent.json().await.ok()
}

/// The result of a call, or the error as text.
async fn ask(url: &str, method: &str, params: Value) -> Result<Value, String> {
    let answer = post(url, method, params).await.ok_or("no answer")?;
    match answer.get("error") {
        Some(error) => Err(error.to_string()),
        None => Ok(answer["result"].clone()),
    }
}

async fn height(url: &str) -> u64 {
    let status = ask(url, "hawser_status", json!([])).await;
    status.map_or(0, |status| status["height"].as_u64().unwrap())
}

async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let end = Instant::now() + Duration::from_secs(120);
    while !done().await {
        assert!(Instant::now() < end, "timed out until {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_light_node_joins_verifies_follows_a_new_committee_and_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let net = Net {
        home: folder.path().join("net"),
        rpc: free_ports(5).unwrap(),
        p2p: free_ports(5).unwrap(),
    };
    let (rpc, p2p) = (net.rpc.to_string(), net.p2p.to_string());
    let up = Command::new(binary().unwrap())
        .args(["up", "--nodes", "4", "--suite", "intl", "--governance", "3"])
        .args(["--rpc-port", &rpc, "--p2p-port", &p2p, "--home"])
        .arg(&net.home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(up.status.success(), "{up:?}");

    // One file from a member, one from the new operator; two nodes admit it.
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = |node: u16| path(&format!("net/node{node}/node.toml"));
    let (bundle, home, request) = (path("desk.json"), path("desk"), path("desk/request.json"));
    let invited = net.ok(&[
        "node",
        "invite",
        "--config",
        &config(0),
        "--kind",
        "light",
        "--out",
        &bundle,
    ]);
    assert_eq!(invited["role"], "light");
    let [own_p2p, own_rpc, own_metrics] =
        [0; 3].map(|_| format!("127.0.0.1:{}", free_ports(1).unwrap()));
    let said = net.command(&[
        "node",
        "join",
        &bundle,
        "--home",
        &home,
        "--name",
        "desk",
        "--hash",
        invited["hash"].as_str().unwrap(),
        "--address",
        &own_p2p,
        "--listen",
        &own_p2p,
        "--rpc",
        &own_rpc,
        "--metrics",
        &own_metrics,
    ]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    for node in [0, 1] {
        net.ok(&[
            "node",
            "admit",
            "--config",
            &config(node),
            "--request",
            &request,
        ]);
    }
    let desk = PathBuf::from(&home).join("node.toml");
    let light = format!("http://{own_rpc}");
    let running = net.start(&desk);
    until("the light node is ready", || async {
        let status = ask(&light, "hawser_status", json!([])).await;
        status.is_ok_and(|status| status["ready"] == true && status["mode"] == "light")
    })
    .await;
    let listed = net.ok(&["node", "list", "--config", &config(0)]);
    let of = |name: &str| {
        let mut all = listed.as_array().unwrap().iter();
        all.find(|peer| peer["name"] == name).cloned().unwrap()
    };
    assert_eq!(of("desk")["kind"], "light");
    assert_eq!(of("desk")["connected"], true);

    // A transfer sent through it; the balance that it answers is proved.
    let target = "0x00000000000000000000000000000000000077aa";
    net.ok(&[
        "tx",
        "send",
        "--to",
        target,
        "--value",
        "5",
        "--from",
        "governor1",
        "--rpc",
        &light,
        "--gas",
        "21000",
    ]);
    let balance = || ask(&light, "eth_getBalance", json!([target, "latest"]));
    until("the balance is there", || async {
        balance().await == Ok(json!("0x5"))
    })
    .await;
    let proof = ask(&light, "eth_getProof", json!([target, [], "latest"]))
        .await
        .unwrap();
    assert_eq!(proof["balance"], "0x5");
    let number = ask(&light, "eth_blockNumber", json!([])).await.unwrap();
    let full = net.url(2);
    for (method, params) in [
        ("eth_getBlockByNumber", json!([number, true])),
        ("eth_getBlockByNumber", json!(["0x0", false])),
        ("eth_getBlockReceipts", json!([number])),
        ("eth_chainId", json!([])),
        ("net_version", json!([])),
        ("hawser_getHeader", json!([1])),
    ] {
        let (ours, theirs) = (
            ask(&light, method, params.clone()).await,
            ask(&full, method, params.clone()).await,
        );
        assert_eq!(ours, theirs, "{method} {params}");
        assert!(ours.is_ok());
    }
    for method in [
        "eth_call",
        "eth_getLogs",
        "eth_estimateGas",
        "txpool_status",
    ] {
        let refused = ask(&light, method, json!([])).await.unwrap_err();
        assert!(refused.contains("a full node"), "{refused}");
    }
    let metrics = reqwest::get(format!("http://{own_metrics}/readyz"))
        .await
        .unwrap();
    assert_eq!(metrics.status().as_u16(), 200);

    // The consortium takes a validator out; the light node follows the three that are left.
    let settings = ask(&full, "hawser_getSettings", json!([])).await.unwrap();
    let mut validators = settings["settings"]["validators"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(validators.len(), 4);
    validators.retain(|one| one["name"] != "node3");
    // A version that no program knows would stop everything: it is not executed, passed or not.
    let proposal = json!({
        "title": "too new",
        "changes": [{ "change": "activate_protocol", "version": 2, "height": 1 }],
    });
    let file = path("too-new.json");
    fs::write(&file, proposal.to_string()).unwrap();
    let made = net.ok(&["gov", "propose", &file, "--from", "governor1"]);
    let id = made["proposal"].to_string();
    let refused = net.command(&["gov", "execute", &id, "--from", "governor1"]);
    assert_eq!(refused.code, Some(7), "{}", refused.text);
    assert!(
        refused.text.contains("WOULD STAND STILL"),
        "{}",
        refused.text
    );

    let proposal = json!({
        "title": "node3 leaves",
        "changes": [{ "change": "set_validators", "validators": validators }],
    });
    let file = path("proposal.json");
    fs::write(&file, proposal.to_string()).unwrap();
    let made = net.ok(&["gov", "propose", &file, "--from", "governor1"]);
    let id = made["proposal"].to_string();
    for governor in ["governor1", "governor2", "governor3"] {
        // The last ones find it passed already.
        net.command(&["gov", "vote", &id, "yes", "--from", governor]);
    }
    until("the proposal is executed", || async {
        net.command(&["gov", "execute", &id, "--from", "governor1"])
            .code
            == Some(0)
    })
    .await;
    until("the light node knows the new committee", || async {
        let status = ask(&light, "hawser_status", json!([])).await;
        status.is_ok_and(|status| status["validators"] == 3)
    })
    .await;

    // Killed, it resumes from its own disk while nobody is there, and catches up when somebody is.
    let before = height(&light).await;
    drop(running);
    for node in [0, 1] {
        net.ok(&["node", "remove", "--config", &config(node), "desk"]);
    }
    net.ok(&[
        "tx",
        "send",
        "--to",
        target,
        "--value",
        "2",
        "--from",
        "governor1",
    ]);
    let _running = net.start(&desk);
    until("it answers again", || async {
        height(&light).await >= before
    })
    .await;
    // Nodes look at their list of peers every half second, so one may still let it in at first.
    until("it says that nobody admits it", || async {
        let url = format!("http://{own_metrics}/readyz?verbose");
        let Ok(ready) = reqwest::get(url).await else {
            return false;
        };
        let status = ready.status().as_u16();
        status == 503
            && ready
                .text()
                .await
                .unwrap()
                .contains("admit this node as light")
    })
    .await;
    assert!(balance().await.unwrap_err().contains("no peer"));
    net.ok(&[
        "node",
        "admit",
        "--config",
        &config(1),
        "--request",
        &request,
    ]);
    until("the new balance is there", || async {
        balance().await == Ok(json!("0x7"))
    })
    .await;
    let log = fs::read_to_string(desk.with_extension("log")).unwrap();
    assert!(!log.contains("dropped a peer"), "{log}");
}
