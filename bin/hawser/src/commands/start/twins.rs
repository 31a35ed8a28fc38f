//! Says when one identity is used by two programs: a standby or a copy of a folder that runs beside the original.
//! Their links are cut again and again, so their votes may never show it.

use std::time::{Duration, Instant};

use hawser_network::{NetworkHandle, PeerId, PeerStatus, Twins};
use hawser_node::Words;
use hawser_node::chain::ChainHandle;
use hawser_node::config::{NodeConfig, PeerSection};
use hawser_node::peers::PeerChanges;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// How often the log says it.
const LOG: Duration = Duration::from_secs(60);
/// Links that peers ended within a minute for newer ones, from which on this node's own identity is taken to be
/// used elsewhere.
const CUTS_MIN: usize = 5;

/// Looks after the links until it is aborted; what it finds is told with each chain's status.
pub(super) async fn watch(config: NodeConfig, network: NetworkHandle, chains: Vec<ChainHandle>) {
    let mut logged: Option<Instant> = None;
    let mut turn = tokio::time::interval(EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let links = network.peers();
        let mut words: Vec<_> = links
            .iter()
            .filter_map(|link| Some(of_peer(&called(&config, link.id), link.twins?)))
            .collect();
        words.extend(own(&links));
        let due = logged.is_none_or(|at| at.elapsed() >= LOG);
        if due && !words.is_empty() {
            logged = Some(Instant::now());
            for one in &words {
                tracing::warn!("{}", one.en);
            }
        }
        for chain in &chains {
            chain.set_remarks("identity", words.clone());
        }
    }
}

/// A peer as people call it.
fn called(config: &NodeConfig, id: PeerId) -> String {
    let configured = &config.network.peers;
    let changed = PeerChanges::read(&config.node.data_dir);
    let peers = changed.map_or_else(|_| configured.clone(), |changes| changes.apply(configured));
    let named = |peer: PeerSection| peer.name.filter(|_| peer.id == id);
    let mut names = peers.into_iter().filter_map(named);
    names.next().unwrap_or_else(|| id.to_string())
}

/// What is said of a peer whose identity two programs use.
fn of_peer(name: &str, Twins([one, other]): Twins) -> Words {
    Words::new(
        format!(
            "identity: that of {name} is used by two programs at once, which connect from {one} and {other} and \
             take the link from each other. Find the copy of its folder or the standby, and stop one of \
             the two: with one vote key they may vote twice"
        ),
        format!(
            "身份：{name} 的身份同时被两个程序使用，它们分别从 {one} 和 {other} 连接，并相互抢占链路。\
             请找出其目录副本或备机，停掉其中一个：共用一个投票密钥可能造成重复投票"
        ),
    )
}

/// What is said where peers end this node's links again and again for newer ones.
fn own(links: &[PeerStatus]) -> Option<Words> {
    let cuts: usize = links.iter().map(|link| link.cuts).sum();
    (cuts >= CUTS_MIN).then(|| taken(cuts))
}

fn taken(cuts: usize) -> Words {
    Words::new(
        format!(
            "identity: in the last minute peers ended {cuts} links of this node because a newer one of the same \
             identity took over. Most likely another program runs with this node's identity and vote \
             key: a copy of this folder or a standby. Find it and stop one of the two"
        ),
        format!(
            "身份：最近一分钟内，对等节点因同一身份的新链路取代旧链路而断开了本节点的 {cuts} 条链路。\
             很可能有另一个程序在使用本节点的身份和投票密钥：目录副本或备机。请找出它，停掉其中一个"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(cuts: usize) -> PeerStatus {
        PeerStatus {
            id: PeerId([1; 32]),
            address: String::new(),
            connected_since: None,
            direction: None,
            bytes_in: 0,
            bytes_out: 0,
            round_trip_us: None,
            cipher_suite: None,
            certificate: None,
            last_error: None,
            twins: None,
            cuts,
            queue_frames: 0,
            queue_bytes: 0,
        }
    }

    #[test]
    fn both_sides_of_links_that_are_cut_too_often() {
        let told = |cuts: &[usize]| own(&cuts.iter().map(|one| link(*one)).collect::<Vec<_>>());
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[2, 0, 2]), None);
        let words = told(&[2, 1, 2]).unwrap();
        assert!(words.en.contains("ended 5 links"), "{}", words.en);
        assert!(words.zh.contains("5 条链路"), "{}", words.zh);
    }

    #[test]
    fn a_peer_that_runs_twice_is_named_with_both_addresses() {
        let at = |text: &str| text.parse().unwrap();
        let words = of_peer("node2", Twins([at("10.0.0.2:40000"), at("10.0.0.9:50000")]));
        for part in ["node2", "10.0.0.2:40000", "10.0.0.9:50000"] {
            assert!(words.en.contains(part) && words.zh.contains(part), "{part}");
        }
    }
}
