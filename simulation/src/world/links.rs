//! Messages between nodes.

use hawser_node::replica::{Event, PeerMessage, To};
use hawser_primitives::{Bytes, decode_exact, limits};
use rand::Rng;

use super::{LINK_MS, World, node_of, peer};
use crate::Violation;

/// Longest time that a message is held back, in milliseconds.
const HOLD_MS_MAX: u64 = 2_000;

impl World {
    /// A node's replica sends. What a Byzantine node sends in its place is its own affair.
    pub(super) fn send(
        &mut self,
        from: usize,
        to: To,
        urgent: bool,
        bytes: &Bytes,
    ) -> Result<(), Violation> {
        let message =
            decode_exact::<PeerMessage>(bytes, limits::FRAME_BYTES_MAX).map_err(|error| {
                let what = format!("node {from} sends what does not decode: {error}");
                Violation::new("encoding", what)
            })?;
        let targets: Vec<_> = match to {
            To::All => (0..self.nodes.len()).filter(|node| *node != from).collect(),
            To::Except(id) => (0..self.nodes.len())
                .filter(|node| *node != from && *node != node_of(id))
                .collect(),
            To::Peer(id) => vec![node_of(id)],
        };
        if self.is_byzantine(from) {
            self.send_otherwise(from, &targets, urgent, &message, bytes);
            return Ok(());
        }
        if self.fork.is_none() {
            self.oracle.on_send(from, &message)?;
        }
        if self.withholds(from, &message) {
            return Ok(());
        }
        for target in targets {
            self.transmit(from, target, urgent, bytes);
        }
        Ok(())
    }

    /// Puts a message on a link, once or twice.
    pub(super) fn transmit(&mut self, from: usize, to: usize, urgent: bool, bytes: &Bytes) {
        let twice = self.plan.faults.duplicate_per_mille;
        let copies = if self.rolls(twice) { 2 } else { 1 };
        for _ in 0..copies {
            let left = self.egress.send(from, self.now, bytes.len(), urgent);
            self.deliver(from, to, left, bytes.clone());
        }
    }

    fn rolls(&mut self, per_mille: u32) -> bool {
        self.faulty && per_mille > 0 && self.dice.links.random_range(0..1_000) < per_mille
    }

    /// Whether a node that serves nobody keeps this message to itself.
    fn withholds(&self, from: usize, message: &PeerMessage) -> bool {
        let first = self.nodes.len().saturating_sub(self.plan.idle_relays);
        let passed_on = match message {
            PeerMessage::Transactions(_) => true,
            PeerMessage::Batch(batch) => self.address(from) != Some(batch.attestation.validator),
            PeerMessage::Attested { .. } if from < self.plan.mute_attesters => return true,
            PeerMessage::Compact(compact) => self.address(from) != Some(compact.header.proposer),
            _ => false,
        };
        from >= first && passed_on
    }

    fn deliver(&mut self, from: usize, to: usize, left_ms: u64, bytes: Bytes) {
        let mut delay = LINK_MS;
        if self.faulty {
            let faults = self.plan.faults;
            let cut = self.cut_on && self.cut.contains(&(from, to));
            if cut || self.rolls(faults.loss_per_mille) {
                return;
            }
            let longest = faults.delay_ms_max.max(LINK_MS);
            delay = self.dice.links.random_range(LINK_MS..=longest);
            if self.rolls(faults.hold_per_mille) {
                delay = self.dice.links.random_range(delay..=delay.max(HOLD_MS_MAX));
            }
        }
        // What is sent while the disk is at work leaves when it is done.
        let waits = self.busy(from).map_or(0, |until| until.since_ms(self.now));
        let after = delay.saturating_add(left_ms).saturating_add(waits);
        let from = peer(from);
        self.later(to, after, Event::Message { from, bytes });
    }
}
