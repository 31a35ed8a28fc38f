//! Waits until the nodes of a network agree.

use std::time::{Duration, Instant};

use hawser_crypto::{Scheme, SecretKey};
use hawser_ledger::Genesis;
use hawser_primitives::{Address, U256};
use serde_json::json;

use crate::client::Client;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::LocalNode;
use crate::local::spawn::{self, Started};
use crate::local::survey::{self, NodeReport, State};
use crate::progress::Progress;
use crate::quantity::counted;
use crate::send::{self, Intent, Signer};

const POLL: Duration = Duration::from_millis(50);

/// Waits until every node answers, is linked to all others and has the same head. A chain that has
/// no block yet is given one, so that agreement is seen and not assumed.
pub(super) async fn until_agreed(
    nodes: &[LocalNode],
    children: &mut [(&LocalNode, Started)],
    genesis: &Genesis,
    limit: Duration,
    progress: &Progress,
    lang: Lang,
) -> Result<()> {
    let end = Instant::now() + limit;
    let expected = genesis.hash().to_string();
    loop {
        check_alive(children)?;
        let reports = survey::ask_all(nodes, Duration::from_secs(5)).await;
        if let Some(other) = reports.iter().find(|report| {
            report
                .genesis
                .as_ref()
                .is_some_and(|found| *found != expected)
        }) {
            return fail(
                Code::Config,
                format!(
                    "{} runs another chain than the genesis of this folder says",
                    other.name
                ),
            );
        }
        let others = reports.len().saturating_sub(1);
        let ready = reports.iter().filter(|report| is_ready(report, others));
        let ready = ready.count();
        progress.set(ready as u64, nodes.len() as u64);
        if agreed(&reports) {
            break;
        }
        if Instant::now() > end {
            return fail(Code::Timeout, explain(&reports, limit));
        }
        tokio::time::sleep(POLL).await;
    }
    let fresh = survey::ask_all(nodes, Duration::from_secs(5))
        .await
        .iter()
        .all(|report| report.height == Some(0));
    // A stranger's transaction would be refused by a chain that is for members only; the links and
    // heads above have to do there.
    let open = genesis
        .governance
        .as_ref()
        .is_none_or(|section| section.account_mode == hawser_ledger::AccountMode::Open);
    if fresh && open {
        progress.say(lang.pick("agreeing on the first block", "正在就首个区块达成一致"));
        first_block(nodes, children, genesis, end).await?;
    }
    Ok(())
}

/// Whether a node is ready and linked to the `others` of its network, as far as its configuration names them.
/// Who else is admitted, an observer say, may be there or not.
fn is_ready(report: &NodeReport, others: usize) -> bool {
    let needed = report.configured.len().min(others);
    report.state == State::Ready
        && report
            .configured_linked
            .is_some_and(|linked| linked >= needed)
}

fn agreed(reports: &[NodeReport]) -> bool {
    let Some(first) = reports.first() else {
        return true;
    };
    let same = |report: &NodeReport| (report.height, &report.hash) == (first.height, &first.hash);
    let others = reports.len().saturating_sub(1);
    reports
        .iter()
        .all(|report| is_ready(report, others) && same(report))
}

fn explain(reports: &[NodeReport], limit: Duration) -> String {
    let mut text = format!("the nodes do not agree after {} s:", limit.as_secs());
    for report in reports {
        let height = report
            .height
            .map_or_else(|| "unknown".to_owned(), |height| height.to_string());
        text.push_str(&format!("\n  {}: height {height}", report.name));
        if let Some(peers) = report.peers {
            let all = counted(report.peers_configured, "peer");
            text.push_str(&format!(", {peers} of {all}"));
        }
        for reason in report.problem.iter().chain(&report.waiting) {
            text.push_str(&format!("; {reason}"));
        }
    }
    text.push_str("\nThey go on trying; `hawser doctor` says more, --wait waits longer");
    text
}

fn check_alive(children: &mut [(&LocalNode, Started)]) -> Result<()> {
    for (node, started) in children {
        if let Some(status) = started
            .child
            .try_wait()
            .context(Code::Failed, "waiting for a node")?
        {
            if status.success() {
                // A node ends so only when it is told to.
                return fail(
                    Code::Failed,
                    format!(
                        "{} was stopped while the network was coming up, as `hawser down` does; \
                         run `hawser up` again when nothing stops it",
                        node.name()
                    ),
                );
            }
            return fail(
                Code::Failed,
                spawn::obituary(node, started, &status.to_string()),
            );
        }
    }
    Ok(())
}

/// Sends a transaction that moves nothing, from an account made for it, and waits until every node
/// has its receipt.
async fn first_block(
    nodes: &[LocalNode],
    children: &mut [(&LocalNode, Started)],
    genesis: &Genesis,
    end: Instant,
) -> Result<()> {
    let clients: Vec<Client> = nodes
        .iter()
        .map(|node| node.client(Duration::from_secs(5)))
        .collect::<Result<_>>()?;
    let Some(first) = clients.first() else {
        return Ok(());
    };
    let key = SecretKey::generate(Scheme::Secp256k1).or_fail(Code::Failed)?;
    let intent = Intent {
        to: Some(Address::ZERO),
        value: U256::ZERO,
        data: Vec::new(),
        gas: Some(21_000),
        nonce: Some(0),
        chain_id: genesis.chain_id.0,
        abi: None,
    };
    let hash = send::submit(first, &Signer::new(key), &intent).await?;
    let mut waiting: Vec<_> = clients.iter().collect();
    while !waiting.is_empty() {
        check_alive(children)?;
        let mut left = Vec::new();
        for client in waiting {
            let asked = client
                .try_call("eth_getTransactionReceipt", json!([hash]))
                .await;
            if !matches!(asked, Ok(Ok(receipt)) if receipt.is_object()) {
                left.push(client);
            }
        }
        waiting = left;
        if !waiting.is_empty() && Instant::now() > end {
            let urls: Vec<_> = waiting.iter().map(|client| client.url()).collect();
            return fail(
                Code::Timeout,
                format!(
                    "the first block has not reached {}; see `hawser doctor`",
                    urls.join(", ")
                ),
            );
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(name: &str) -> NodeReport {
        NodeReport {
            state: State::Ready,
            height: Some(3),
            hash: Some("0xa".to_owned()),
            peers: Some(3),
            configured_linked: Some(3),
            ..survey::blank(name)
        }
    }

    #[test]
    fn agreement_needs_every_node_linked_and_on_the_same_head() {
        let three = |ill: NodeReport| agreed(&[ready("a"), ready("c"), ready("d"), ill]);
        assert!(three(ready("b")));
        for ill in [
            NodeReport {
                hash: Some("0xb".into()),
                ..ready("b")
            },
            NodeReport {
                height: Some(2),
                ..ready("b")
            },
            NodeReport {
                configured_linked: Some(2),
                ..ready("b")
            },
            NodeReport {
                state: State::Waiting,
                ..ready("b")
            },
            survey::blank("b"),
        ] {
            assert!(!three(ill.clone()), "{ill:?}");
        }
    }

    #[test]
    fn an_observer_keeps_nobody_from_agreeing_whether_it_is_there_or_not() {
        let others = || [ready("b"), ready("c"), ready("d")];
        let with = |peers, peers_configured, linked| NodeReport {
            peers: Some(peers),
            peers_configured,
            configured_linked: Some(linked),
            ..ready("a")
        };
        let all = |one: NodeReport| [&[one][..], &others()].concat();
        assert!(agreed(&all(with(4, 4, 3))), "admitted and there");
        assert!(agreed(&all(with(3, 4, 3))), "admitted and away");
        assert!(agreed(&all(with(4, 3, 3))), "more than are configured");
        assert!(
            !agreed(&all(with(3, 4, 2))),
            "in the place of a node of the network"
        );
        // Named by the configuration, and away.
        let mut named = with(3, 4, 3);
        named.configured.insert("observer".to_owned());
        assert!(agreed(&all(named)));
    }

    #[test]
    fn a_time_out_says_what_each_node_waits_for() {
        let ill = NodeReport {
            waiting: vec!["links: alone".into()],
            ..ready("b")
        };
        let text = explain(&[ill, survey::blank("c")], Duration::from_secs(9));
        assert!(
            text.contains("after 9 s") && text.contains("b: height 3, 3 of 3 peers; links: alone")
        );
        assert!(text.contains("c: height unknown"));
    }
}
