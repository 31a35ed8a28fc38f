//! Asks the nodes of a network how they are doing.

use std::collections::BTreeSet;
use std::time::Duration;

use hawser_network::PeerId;
use hawser_node::config::NodeKind;
use hawser_node::peers::PeerChanges;
use serde::Serialize;
use serde_json::{Value, json};

use super::LocalNode;
use crate::client::Client;
use crate::lang::Lang;
use crate::quantity::{field, text};
use crate::shelves::Joining;

/// How a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Answers and follows its chain.
    Ready,
    /// Answers, and waits for something.
    Waiting,
    /// Runs, and does not answer.
    Silent,
    /// Does not run.
    Stopped,
}

/// A proposal under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proposal {
    pub(crate) id: u64,
    pub(crate) title: String,
    /// `open` or `passed`.
    pub(crate) status: String,
    /// Until when it can be voted on, in milliseconds since 1970.
    pub(crate) closes_ms: u64,
}

/// What a node says of itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeReport {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) pid: Option<i32>,
    pub(crate) height: Option<u64>,
    pub(crate) hash: Option<String>,
    pub(crate) executed: Option<u64>,
    /// First block of which it keeps everything.
    pub(crate) first_height: Option<u64>,
    /// Blocks behind the highest node.
    pub(crate) lag: Option<u64>,
    /// Peers with a link, of those admitted: by the configuration, or while the node ran.
    pub(crate) peers: Option<usize>,
    pub(crate) peers_configured: usize,
    /// Ids of the peers that its configuration names, without those that are no longer admitted.
    #[serde(skip)]
    pub(crate) configured: BTreeSet<String>,
    /// How many of these have a link.
    #[serde(skip)]
    pub(crate) configured_linked: Option<usize>,
    /// Transactions that wait: executable, and behind a gap.
    pub(crate) pending: Option<u64>,
    pub(crate) queued: Option<u64>,
    pub(crate) chain_id: Option<u64>,
    pub(crate) genesis: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) rpc: Option<String>,
    /// Cipher suites of its links, each once.
    pub(crate) cipher_suites: Vec<String>,
    /// Seconds by which its clock is ahead of this machine's.
    pub(crate) clock_ahead_s: Option<i64>,
    /// What the node waits for, in its own words.
    pub(crate) waiting: Vec<String>,
    /// Newest protocol version that its program runs.
    pub(crate) protocol_newest: Option<u64>,
    /// Proposals that wait for votes or for being put into effect.
    pub(crate) proposals: Vec<Proposal>,
    /// Why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl NodeReport {
    /// Whether it answered.
    pub(crate) const fn answered(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting)
    }
}

/// Asks one node.
pub(crate) async fn ask(node: &LocalNode, timeout: Duration) -> NodeReport {
    let pid = node.pid().map(|pid| pid.as_raw_nonzero().get());
    let (peers_configured, configured) = expected_peers(node);
    let mut report = NodeReport {
        name: node.name().to_owned(),
        state: if pid.is_some() {
            State::Silent
        } else {
            State::Stopped
        },
        pid,
        height: None,
        hash: None,
        executed: None,
        first_height: None,
        lag: None,
        peers: None,
        peers_configured,
        configured,
        configured_linked: None,
        pending: None,
        queued: None,
        chain_id: None,
        genesis: None,
        version: None,
        rpc: node.rpc(),
        cipher_suites: Vec::new(),
        clock_ahead_s: None,
        waiting: Vec::new(),
        protocol_newest: None,
        proposals: Vec::new(),
        problem: None,
    };
    // A stopped node is not asked: another program may have got its port.
    if pid.is_some() {
        match node.client(timeout) {
            Ok(client) => question(&mut report, &client).await,
            Err(failure) => report.problem = Some(failure.message),
        }
        // It has no interface for clients before it has a state.
        let joining = Joining::read(&node.config.node.data_dir);
        if let Some(joining) = joining.filter(|_| !report.answered()) {
            report.state = State::Waiting;
            report.problem = None;
            let zh = Lang::current() == Lang::Zh;
            report.waiting.push(joining.sentence(zh));
        }
    }
    report
}

/// How many peers of the chains a node admits, and the ids of those that its configuration names. Light nodes
/// are no peers of a chain.
fn expected_peers(node: &LocalNode) -> (usize, BTreeSet<String>) {
    let configured = &node.config.network.peers;
    // A file that cannot be read is the node's to tell.
    let changes = PeerChanges::read(&node.config.node.data_dir).unwrap_or_default();
    let admitted = changes.apply(configured);
    let full = admitted
        .iter()
        .filter(|peer| peer.kind != Some(NodeKind::Light));
    let named = |id: &PeerId| configured.iter().any(|peer| peer.id == *id);
    let ids = full.clone().map(|peer| peer.id).filter(named);
    (full.count(), ids.map(|id| id.to_string()).collect())
}

/// Asks a node for everything that a report holds.
pub(crate) async fn question(report: &mut NodeReport, client: &Client) {
    let status = client.call("hawser_status", json!([]));
    let version = client.call("hawser_version", json!([]));
    let links = client.call("hawser_links", json!([]));
    let clock = client.clock_ahead_s();
    let proposals = client.call("hawser_proposals", json!([]));
    let (status, version, links, clock, proposals) =
        futures_util::future::join5(status, version, links, clock, proposals).await;
    // A chain may be governed by nobody, or its reads be signed.
    report.proposals = proposals.map(|list| under_way(&list)).unwrap_or_default();
    report.clock_ahead_s = clock;
    if let Ok(links) = links {
        report.cipher_suites = suites(&links);
    }
    match status {
        Ok(status) => fill(report, &status),
        Err(failure) => report.problem = Some(failure.message),
    }
    if let Ok(version) = version {
        report.version = short_version(text(&version, "client"));
    }
}

/// The proposals of a list that wait for somebody.
fn under_way(list: &Value) -> Vec<Proposal> {
    let all = list.as_array().into_iter().flatten();
    let waiting = all.filter(|one| matches!(text(one, "status"), "open" | "passed"));
    let proposal = |one: &Value| {
        Some(Proposal {
            id: field(one, "id")?,
            title: text(one, "title").to_owned(),
            status: text(one, "status").to_owned(),
            closes_ms: field(one, "closesMs")?,
        })
    };
    waiting.filter_map(proposal).collect()
}

/// The cipher suites among links, each once.
fn suites(links: &Value) -> Vec<String> {
    let all = links.as_array().into_iter().flatten();
    let names = all.filter_map(|link| link.get("cipherSuite")?.as_str());
    let distinct: BTreeSet<_> = names.collect();
    distinct.into_iter().map(str::to_owned).collect()
}

/// The version within a client's name such as `Hawser/v0.1.0/linux-x86_64/rust`.
fn short_version(client: &str) -> Option<String> {
    let version = client.split('/').nth(1).unwrap_or(client);
    let version = version.strip_prefix('v').unwrap_or(version);
    (!version.is_empty()).then(|| version.to_owned())
}

/// Takes over what `hawser_status` says.
pub(crate) fn fill(report: &mut NodeReport, status: &Value) {
    let texts = |name: &str| -> Vec<String> {
        let list = status.get(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let owned = |name: &str| Some(text(status, name).to_owned()).filter(|text| !text.is_empty());
    report.height = field(status, "height");
    report.hash = owned("hash");
    report.executed = field(status, "executed");
    report.first_height = field(status, "firstHeight");
    report.chain_id = field(status, "chainId");
    report.genesis = owned("genesis");
    report.waiting = texts("waiting");
    // Programs of before say it in English only.
    let chinese = texts("waitingZh");
    if Lang::current() == Lang::Zh && chinese.len() == report.waiting.len() {
        report.waiting = chinese;
    }
    report.protocol_newest = status
        .get("protocol")
        .and_then(|protocol| field(protocol, "newest"));
    let pool = status.get("pool").unwrap_or(status);
    report.pending = field(pool, "pending");
    report.queued = field(pool, "queued");
    let linked = |peer: &&Value| {
        let connected = peer.get("connected").and_then(Value::as_bool);
        connected.unwrap_or(true)
    };
    let peers = status.get("peers").and_then(Value::as_array);
    let peers: Option<Vec<_>> = peers.map(|peers| peers.iter().filter(linked).collect());
    report.peers = peers.as_ref().map(Vec::len);
    let configured = |peer: &&&Value| report.configured.contains(text(peer, "id"));
    report.configured_linked = peers.map(|peers| peers.iter().filter(configured).count());
    let ready = status.get("ready").and_then(Value::as_bool);
    report.state = if ready.unwrap_or(report.waiting.is_empty()) {
        State::Ready
    } else {
        State::Waiting
    };
}

/// Asks all nodes at once, and works out who lags.
pub(crate) async fn ask_all(nodes: &[LocalNode], timeout: Duration) -> Vec<NodeReport> {
    let asked = nodes.iter().map(|node| ask(node, timeout));
    let mut reports: Vec<_> = futures_util::future::join_all(asked).await;
    let highest = reports.iter().filter_map(|report| report.height).max();
    for report in &mut reports {
        report.lag = highest
            .zip(report.height)
            .map(|(top, own)| top.saturating_sub(own));
    }
    reports
}

#[cfg(test)]
pub(crate) fn blank(name: &str) -> NodeReport {
    NodeReport {
        name: name.to_owned(),
        state: State::Stopped,
        pid: None,
        height: None,
        hash: None,
        executed: None,
        first_height: None,
        lag: None,
        peers: None,
        peers_configured: 3,
        configured: ["a", "b", "c"].map(str::to_owned).into(),
        configured_linked: None,
        pending: None,
        queued: None,
        chain_id: None,
        genesis: None,
        version: None,
        rpc: None,
        cipher_suites: Vec::new(),
        clock_ahead_s: None,
        waiting: Vec::new(),
        protocol_newest: None,
        proposals: Vec::new(),
        problem: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_is_taken_over() {
        let mut report = blank("a");
        fill(
            &mut report,
            &json!({
                "chainId": 7, "genesis": "0x1", "height": "0x10", "hash": "0x2", "executed": 15,
                "pool": { "pending": 3, "queued": "0x4" },
                "peers": [{ "id": "a", "connected": true }, { "id": "b", "connected": false }, { "id": "c" }],
                "waiting": ["links: none", 3],
            }),
        );
        assert_eq!(
            (report.height, report.executed, report.chain_id),
            (Some(16), Some(15), Some(7))
        );
        assert_eq!(
            (report.pending, report.queued, report.peers),
            (Some(3), Some(4), Some(2))
        );
        assert_eq!(report.configured_linked, Some(2));
        assert_eq!(report.waiting, ["links: none"]);
        assert_eq!(report.state, State::Waiting);
        fill(
            &mut report,
            &json!({ "ready": true, "waiting": ["a remark"], "pending": 1 }),
        );
        assert_eq!((report.state, report.pending), (State::Ready, Some(1)));
    }

    #[test]
    fn a_peer_that_is_not_configured_is_not_counted_among_those_that_are() {
        let mut report = blank("a");
        let peers = json!([{ "id": "a" }, { "id": "observer" }, { "id": "c" }]);
        fill(&mut report, &json!({ "peers": peers }));
        assert_eq!((report.peers, report.configured_linked), (Some(3), Some(2)));
    }

    #[test]
    fn proposals_that_wait_for_somebody_are_taken_and_the_others_are_not() {
        let list = json!([
            { "id": 4, "title": "d", "status": "open", "closesMs": 9 },
            { "id": 3, "title": "c", "status": "passed", "closesMs": 8 },
            { "id": 2, "title": "b", "status": "executed", "closesMs": 7 },
            { "id": 1, "title": "a", "status": "expired", "closesMs": 6 },
            { "odd": true },
        ]);
        let ids: Vec<_> = under_way(&list).iter().map(|one| one.id).collect();
        assert_eq!(ids, [4, 3]);
        assert_eq!(under_way(&json!(null)), Vec::new());
    }

    #[test]
    fn the_version_is_taken_out_of_the_name_of_the_client() {
        assert_eq!(
            short_version("Hawser/v0.1.0/linux/rust").as_deref(),
            Some("0.1.0")
        );
        assert_eq!(short_version("0.2").as_deref(), Some("0.2"));
        assert_eq!(short_version(""), None);
    }

    #[test]
    fn an_answer_of_another_shape_does_no_harm() {
        for odd in [
            json!(null),
            json!([]),
            json!({ "peers": 3, "waiting": "x", "height": "y" }),
        ] {
            let mut report = blank("a");
            fill(&mut report, &odd);
            assert_eq!((report.height, report.peers), (None, None));
        }
    }
}
