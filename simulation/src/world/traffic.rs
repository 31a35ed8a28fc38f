//! What clients do, and liars' batches.

use hawser_ledger::{Attestation, Claim, GenesisValidator, attestation_message, batch_digest};
use hawser_node::replica::{Batch, Event, PeerMessage, Relayed, To};
use hawser_primitives::{Bytes, encode};
use rand::Rng;

use super::{LINK_MS, What, World};
use crate::{Violation, node::SimNode, settings::Patch};

/// Transactions in a batch with a forged one.
const FORGED_BATCH: usize = 16;
/// Time between two forgeries, in milliseconds.
const FORGE_EVERY_MS: u64 = 70;
/// Tries to draw a committee that tolerates the faulty validators.
const DRAWS: usize = 16;

impl World {
    /// The last liar makes a batch with a transaction that its sender did not sign; the other liars
    /// vouch for it before anybody has seen it.
    pub(super) fn forge_batch(&mut self) -> Result<(), Violation> {
        self.to_forge = self.to_forge.saturating_sub(1);
        if self.to_forge > 0 {
            self.schedule(FORGE_EVERY_MS, What::Forge);
        }
        let maker = self.plan.nodes.saturating_sub(1);
        let mut signed = self.clients.lot(FORGED_BATCH - 1);
        let Some(forged) = self.clients.forged(self.now) else {
            return Ok(());
        };
        let mut list = Vec::new();
        let mut claims = Vec::new();
        for one in signed.iter().chain([&forged]) {
            let sender = self.clients.sender_of(&one.raw).unwrap_or_default();
            claims.push(Claim {
                hash: one.hash,
                sender,
            });
            list.push(Relayed {
                sender,
                raw: one.raw.clone(),
            });
        }
        for one in signed.drain(..) {
            self.submitted.insert(one.hash, one);
        }
        let digest = batch_digest(self.plan.suite, self.chain, &claims);
        let message = attestation_message(self.chain, digest);
        let vouch = |node: Option<&SimNode>| {
            let key = node?.key.as_ref()?;
            Some(Attestation {
                validator: key.address(),
                signature: key.sign(&message),
            })
        };
        let all: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.is_liar(*node))
            .filter_map(|node| Some((node, vouch(self.nodes.get(node))?)))
            .collect();
        for (node, attestation) in all {
            let message = if node == maker {
                PeerMessage::Batch(Batch {
                    digest,
                    transactions: list.clone(),
                    attestation,
                    pass_on: false,
                })
            } else {
                PeerMessage::Attested {
                    digest,
                    attestation,
                }
            };
            self.send(node, To::All, false, &encode(&message).into())?;
        }
        Ok(())
    }

    /// A client submits a transaction to a random node that is up; clients try again elsewhere.
    pub(super) fn submit(&mut self) {
        if self.to_submit > 0
            && let Some(signed) = self.clients.next(&mut self.dice.work, self.now)
        {
            self.to_submit = self.to_submit.saturating_sub(1);
            self.submitted.insert(signed.hash, signed);
        }
        let left = self.to_change.saturating_add(self.to_submit).max(1);
        if self.to_change > 0 && self.dice.work.random_range(0..left) < self.to_change {
            let patch = self.draw_change();
            if let Some(signed) = self.clients.change(&mut self.dice.work, self.now, &patch) {
                self.to_change = self.to_change.saturating_sub(1);
                self.submitted.insert(signed.hash, signed);
            }
        }
        // Once half of the work is done.
        if self.to_upgrade
            && self.to_submit <= self.plan.transactions / 2
            && let Some(signed) =
                self.clients
                    .change(&mut self.dice.work, self.now, &Patch::Protocol)
        {
            self.to_upgrade = false;
            self.submitted.insert(signed.hash, signed);
        }
        self.hand_in();
        if self.to_submit > 0
            || self.to_load > 0
            || self.to_upgrade
            || self.to_change > 0
            || !self.is_all_done()
        {
            let pause = self.dice.work.random_range(1..800);
            self.schedule(pause, What::Submit);
        }
    }

    /// A change that leaves less than a third of the weight to validators that are faulty.
    fn draw_change(&mut self) -> Patch {
        let current = self.oracle.model().latest();
        let faulty: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.is_byzantine(*node) || *node < self.plan.rotten)
            .filter_map(|node| self.address(node))
            .collect();
        let weight = |of: &mut dyn Iterator<Item = &GenesisValidator>| -> u128 {
            of.map(|one| u128::from(one.weight)).sum()
        };
        let tolerates = |patch: &Patch| match patch {
            Patch::Validators(list) => {
                let is_faulty =
                    |one: &&GenesisValidator| faulty.contains(&one.public_key.address());
                let all = weight(&mut list.iter());
                weight(&mut list.iter().filter(is_faulty)).saturating_mul(3) < all
            }
            Patch::Parameters(_) | Patch::Protocol => true,
        };
        for _ in 0..DRAWS {
            let patch = Patch::draw(&mut self.dice.work, &self.candidates, current);
            if faulty.is_empty() || tolerates(&patch) {
                return patch;
            }
        }
        Patch::Parameters(current.parameters.clone())
    }

    /// Hands the next lot of a load to its node.
    pub(super) fn load(&mut self) {
        let Some(load) = self.plan.load else {
            return;
        };
        let count = load.at_once.min(self.to_load);
        let mut raws = Vec::with_capacity(count);
        for signed in self.clients.lot(count) {
            raws.push(signed.raw.clone());
            self.submitted.insert(signed.hash, signed);
        }
        self.to_load = self.to_load.saturating_sub(count);
        let running = self
            .nodes
            .get(load.node)
            .and_then(|node| node.running.as_ref());
        let results = running.map(|running| running.verifier.submitted(raws));
        let candidates = results.into_iter().flatten().filter_map(Result::ok);
        let list: Vec<_> = (self.replies..).skip(1).zip(candidates).collect();
        self.replies = self.replies.wrapping_add(list.len() as u64);
        self.later(load.node, LINK_MS, Event::Submitted(list));
        if self.to_load > 0 {
            self.schedule(load.every_ms, What::Load);
        }
    }

    /// Hands every transaction that is not executed to some node again, as a careful client does
    /// that waits for its receipt.
    pub(super) fn hand_in(&mut self) {
        // A load is handed in once where nothing gets lost.
        let faults = self.plan.faults;
        let lossless = faults.loss_per_mille == 0
            && faults.crash_per_million == 0
            && faults.partition_every_ms == 0;
        if self.plan.load.is_some() && self.plan.transactions == 0 && lossless {
            return;
        }
        let open: Vec<Bytes> = self
            .submitted
            .values()
            .filter(|signed| !self.is_done(&signed.hash))
            .filter(|signed| signed.expires.is_none_or(|at| at > self.now))
            .map(|signed| signed.raw.clone())
            .collect();
        for raw in open {
            let node = self.dice.work.random_range(0..self.nodes.len());
            let candidate = self
                .nodes
                .get(node)
                .and_then(|node| node.running.as_ref())
                .and_then(|running| running.verifier.submitted(vec![raw]).pop()?.ok());
            if let Some(candidate) = candidate {
                self.replies = self.replies.wrapping_add(1);
                let event = Event::Submitted(vec![(self.replies, candidate)]);
                self.later(node, LINK_MS, event);
            }
        }
    }
}
