//! Says in words how a chain is doing and what it waits for.

use std::collections::BTreeMap;

use hawser_consensus::{Election as _, Step};
use hawser_ledger::{ChainSettings, PROTOCOL_VERSION};
use hawser_network::PeerId;
use hawser_primitives::{Address, Height, Round};

use super::{ChainStatus, PeerState};
use crate::{
    Rules,
    replica::{CatchUp, GuardReason, Replica, VoteGuard},
    store::ChainStore,
};

/// Time after which a height in progress is worth explaining, in milliseconds.
const SLOW_MS: u64 = 2_000;

/// The state of a chain, for people and monitors.
pub(super) fn status(
    replica: &Replica,
    store: &ChainStore,
    admitted: usize,
    names: &BTreeMap<PeerId, String>,
) -> ChainStatus {
    let genesis = store.genesis();
    let tip = replica.tip();
    let next = tip.height.next();
    let rules = replica.rules();
    let set = rules.committee(next);
    let agreement = replica.agreement();
    let deciding = agreement.height().filter(|height| *height == next);
    let heard = if deciding.is_some() {
        agreement.heard()
    } else {
        Vec::new()
    };
    let peers: Vec<_> = replica
        .peer_heights()
        .map(|(id, height)| PeerState {
            id,
            name: names.get(&id).cloned(),
            height,
        })
        .collect();
    let mut waiting = Vec::new();
    // By count: which link belongs to which validator is the operators' knowledge.
    let validators = set.validators().len();
    let own = usize::from(
        replica
            .address()
            .is_some_and(|address| set.get(&address).is_some()),
    );
    let reachable = peers.len().saturating_add(own);
    let quorum = (validators.saturating_mul(2) / 3 + 1).min(validators);
    // Who has no vote needs one peer to follow, not a quorum.
    let connected = reachable >= if own == 1 { quorum } else { 1 };
    if !connected && own == 1 {
        waiting.push(format!(
            "links: {} of {admitted} configured peers are connected; with this node that is \
             {reachable} of the {quorum} validators that a quorum needs. Check that the other nodes \
             run and that their addresses are reachable",
            peers.len()
        ));
    } else if !connected {
        waiting.push(format!(
            "links: none of {admitted} admitted peers is connected. Check that they run, that their \
             addresses are reachable, and that one of them admits this node"
        ));
    }
    if let Some(what) = replica.key_elsewhere() {
        waiting.push(format!(
            "vote key: another node signs with the vote key of this one ({what}), so this node \
             votes no more and only follows. Find the other node (a copy of the folder, a standby, \
             a thief), stop one of the two and restart this one; if the key was stolen, replace the \
             validator by a proposal"
        ));
    }
    if let Some(guard) = replica.vote_guard() {
        waiting.push(forgotten(guard));
    }
    if let Some(ms) = replica.clock_behind_ms() {
        waiting.push(format!(
            "clock: a proposal of the last minute was {ms} ms ahead of this node's clock and was \
             refused ({} ms are allowed): this machine's clock is slow, or that proposer's is fast. \
             Compare `date -u` on both, and keep them in step with NTP (`timedatectl set-ntp true`, \
             `chronyc tracking`)",
            rules.parameters(next).clock_drift_ms_max
        ));
    }
    if let Some(state) = replica.catching_up() {
        waiting.push(catching_up(tip.height, &state));
    }
    if let Some(first) = replica.history_missing() {
        waiting.push(format!(
            "blocks: this node is at block {} and needs block {next}, but every peer that can be \
             reached keeps blocks only from {first} on. Join from a snapshot, or connect this node \
             to one that keeps all blocks (storage.mode = \"archive\")",
            tip.height
        ));
    }
    if replica.executed() < tip.height {
        let behind = tip.height.0.saturating_sub(replica.executed().0);
        if behind > genesis.parameters.root_lag.saturating_add(2) {
            waiting.push(format!("execution is {behind} blocks behind agreement"));
        }
    }
    let late: Vec<_> = replica
        .late_proposers()
        .filter(|address| set.get(address).is_some())
        .map(|address| name(rules, next, address))
        .collect();
    if !late.is_empty() {
        waiting.push(format!(
            "proposers: {} proposed nothing at the last turn, so the others wait for it only \
             briefly; check that it runs and that its links are up",
            late.join(", ")
        ));
    }
    for entry in rules.schedule().pending(tip.height) {
        let now = rules.settings(entry.from.back(1));
        waiting.push(change(now, &entry.settings, entry.from));
    }
    // A round that has just begun is no news.
    let slow = agreement.round() > Round(0) || replica.deciding_for_ms() > SLOW_MS;
    if deciding.is_some() && agreement.step() != Step::Decided && slow {
        let silent: Vec<_> = set
            .validators()
            .iter()
            .map(hawser_ledger::Validator::address)
            .filter(|address| !heard.contains(address))
            .map(|address| name(rules, next, &address))
            .collect();
        let mut sentence = format!(
            "block {next}, round {}: {}",
            agreement.round(),
            agreement.step()
        );
        if !silent.is_empty() {
            let names = silent.join(", ");
            sentence.push_str(&format!("; no vote in this round yet from {names}"));
        }
        waiting.push(sentence);
    }
    let ready = connected && !replica.is_syncing() && replica.history_missing().is_none();
    ChainStatus {
        chain_id: genesis.chain_id,
        name: genesis.name.clone(),
        genesis: store.genesis_hash(),
        suite: genesis.suite,
        height: tip.height,
        hash: tip.hash,
        executed: replica.executed(),
        first_height: store.first_height(),
        validator: replica
            .address()
            .filter(|address| set.get(address).is_some()),
        validators,
        deciding,
        round: agreement.round(),
        step: agreement.step().to_string(),
        heard,
        peers,
        pending: 0,
        queued: 0,
        syncing: replica.is_syncing(),
        catch_up: replica.catching_up(),
        ready,
        waiting,
    }
    .with_pool(replica.pool().counts())
}

/// How far catching up is, in words.
fn catching_up(tip: Height, state: &CatchUp) -> String {
    let peers = match state.peers.len() {
        0 => "no peer is being asked at the moment".to_owned(),
        1 => "fetched from 1 peer".to_owned(),
        count => format!("fetched from {count} peers"),
    };
    let left = match state.seconds_left {
        Some(seconds @ 0..=119) => format!("about {seconds} s left"),
        Some(seconds @ 120..=7_199) => format!("about {} min left", seconds.div_ceil(60)),
        Some(seconds) => format!("about {} h left", seconds.div_ceil(3_600)),
        None => "time left not known yet".to_owned(),
    };
    format!(
        "catching up: block {tip} of {} is here, {} to go at {} blocks/s, {left}; {peers}",
        state.target, state.behind, state.blocks_per_second
    )
}

/// Why a node does not vote that may have forgotten votes, in words.
fn forgotten(guard: VoteGuard) -> String {
    let why = match guard.reason {
        GuardReason::Restored => "its data was restored from a backup or a snapshot",
        GuardReason::NoVoteLog => "its vote log is missing",
        GuardReason::OlderLog => "its data folder is an older copy, as a final block shows",
    };
    let then = match guard.from {
        Some(from) => format!("It votes again from block {from} on"),
        None => {
            "It votes again two blocks after it has seen a quorum of the other validators vote. \
                 Where the whole network was restored, nobody will: then \
                 `hawser node allow-votes` on the stopped nodes"
                .to_owned()
        }
    };
    format!(
        "votes: this node follows and does not vote, because votes of before are unknown ({why}). {then}"
    )
}

/// A validator as people call it.
fn name(rules: &Rules, height: Height, address: &Address) -> String {
    rules
        .name(height, address)
        .map_or_else(|| address.to_string(), str::to_owned)
}

/// A change of settings that waits for its height, in words.
fn change(now: &ChainSettings, then: &ChainSettings, from: Height) -> String {
    let mut parts = Vec::new();
    for one in &then.validators {
        match now
            .validators
            .iter()
            .find(|o| o.public_key == one.public_key)
        {
            None => parts.push(format!("validator {} joins", one.name)),
            Some(old) if old.weight != one.weight => parts.push(format!(
                "the weight of validator {} goes from {} to {}",
                one.name, old.weight, one.weight
            )),
            Some(_) => {}
        }
    }
    let leaves = |one: &&hawser_ledger::GenesisValidator| {
        then.validators
            .iter()
            .all(|o| o.public_key != one.public_key)
    };
    for one in now.validators.iter().filter(leaves) {
        parts.push(format!("validator {} leaves", one.name));
    }
    if now.parameters != then.parameters {
        parts.push("parameters change".to_owned());
    }
    if now.protocol_version != then.protocol_version {
        parts.push(format!("protocol version {} begins", then.protocol_version));
    }
    let mut sentence = format!("from block {from} on: {}", parts.join(", "));
    if then.protocol_version > PROTOCOL_VERSION {
        sentence.push_str(&format!(
            ". This program implements version {PROTOCOL_VERSION} and will stop there: install a \
             newer one before"
        ));
    }
    sentence
}
