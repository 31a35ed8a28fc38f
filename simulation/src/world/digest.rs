//! The audit hash: what happened, in order, so that two runs can be compared.

use hawser_crypto::Suite;
use hawser_node::replica::Event;
use hawser_primitives::{B256, encode};

use super::World;

impl World {
    pub(super) fn note(&mut self, fact: &[u8]) {
        let at = self.now.0.to_be_bytes();
        self.audit = Suite::Intl.hash_parts(&[self.audit.as_slice(), &at, fact]);
    }

    /// Notes an event by what makes it differ from others.
    pub(super) fn note_event(&mut self, node: usize, event: &Event) {
        let node = [u8::try_from(node).unwrap_or(u8::MAX)];
        let at = self.now.0.to_be_bytes();
        let hashes = |list: &mut dyn Iterator<Item = B256>| -> Vec<u8> {
            list.flat_map(|hash| hash.0).collect()
        };
        let fact: Vec<u8> = match event {
            Event::Started => vec![0],
            Event::PeerUp(peer) => [&[1], peer.0.as_slice()].concat(),
            Event::PeerDown(peer) => [&[2], peer.0.as_slice()].concat(),
            Event::Message { from, bytes } => {
                let parts = [self.audit.as_slice(), &at, &node, &from.0, bytes];
                self.audit = Suite::Intl.hash_parts(&parts);
                return;
            }
            Event::Submitted(list) => {
                hashes(&mut list.iter().map(|(_, one)| one.transaction.hash()))
            }
            Event::Gossiped { candidates, .. } => {
                hashes(&mut candidates.iter().map(|one| one.transaction.hash()))
            }
            Event::Batched(batched) => batched.digest.to_vec(),
            Event::Audited(evidence) => encode(evidence.as_ref()),
            Event::Checked { hash, result } => {
                [hash.as_slice(), &[u8::from(result.is_ok())]].concat()
            }
            Event::Executed { roots, skipped, .. } => {
                [encode(roots), hashes(&mut skipped.iter().copied())].concat()
            }
            Event::Timer(timer) => format!("{timer:?}").into_bytes(),
        };
        let parts = [self.audit.as_slice(), &at, &node, &fact];
        self.audit = Suite::Intl.hash_parts(&parts);
    }
}
