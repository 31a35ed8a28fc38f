//! What peers send, handed to whoever it is for.

use hawser_network::PeerId;
use hawser_primitives::{B256, Height, decode_exact, limits};

use super::{Action, Intake, PeerMessage, Replica, ReplicaError, Report, SYNC_BLOCKS_MAX};

impl Replica {
    pub(super) fn on_message(&mut self, from: PeerId, bytes: &[u8]) -> Result<(), ReplicaError> {
        let message = match decode_exact::<PeerMessage>(bytes, limits::FRAME_BYTES_MAX) {
            Ok(message) => message,
            Err(error) => {
                let reason = error.to_string();
                self.report(Report::BadMessage { from, reason });
                return Ok(());
            }
        };
        if self.peers.get(&from).is_none_or(|peer| peer.foreign)
            && !matches!(message, PeerMessage::Status { .. })
        {
            return Ok(());
        }
        match message {
            PeerMessage::Status { genesis, height } => self.on_status(from, genesis, height),
            PeerMessage::Agreement(message) => {
                self.fork.speaks(Some(from));
                self.on_agreement(from, message)?;
                self.fork.speaks(None);
            }
            PeerMessage::Part {
                height,
                block,
                index,
                total,
                bytes,
            } => {
                self.on_part(from, height, block, (index, total), bytes)?;
            }
            PeerMessage::BodyRequest { height, block } => self.on_body_request(from, height, block),
            PeerMessage::Transactions(transactions) => self.actions.push(Action::Verify {
                from: Some(from),
                transactions,
                intake: Intake::Verify { spread: false },
            }),
            PeerMessage::Spread(transactions) => self.actions.push(Action::Verify {
                from: Some(from),
                transactions,
                intake: Intake::Verify { spread: true },
            }),
            PeerMessage::Batch(batch) => self.on_batch(from, batch),
            PeerMessage::Attested {
                digest,
                attestation,
            } => self.on_attested(from, digest, attestation),
            PeerMessage::Evidence(evidence) => self.on_evidence(from, evidence),
            PeerMessage::Hello { features, heard } => self.on_hello(from, features, heard),
            PeerMessage::About(about) => self.on_about(from, about),
            PeerMessage::Compact(compact) => self.on_compact(from, compact),
            PeerMessage::IndexRequest {
                height,
                block,
                indices,
            } => self.on_index_request(from, (height, block), &indices),
            PeerMessage::Indexed {
                height,
                block,
                transactions,
            } => self.on_indexed(from, (height, block), &transactions),
            PeerMessage::BlocksRequest { from: first, count } => {
                let count = count.min(SYNC_BLOCKS_MAX);
                if first > Height::GENESIS && first <= self.tip.height && count > 0 {
                    self.actions.push(Action::Serve {
                        to: from,
                        from: first,
                        count,
                    });
                }
            }
            PeerMessage::Blocks(blocks) => {
                self.look_for_fork(from, &blocks);
                self.on_blocks(from, blocks);
            }
            PeerMessage::BlocksFrom { first } => self.on_blocks_from(from, first),
            PeerMessage::LightRequest(_) => {
                let reason = "asked what is answered beside the replica".to_owned();
                self.report(Report::BadMessage { from, reason });
            }
            // Where no snapshots are served, or late: nobody's fault.
            PeerMessage::SnapshotRequest(_) | PeerMessage::SnapshotAnswer(_) => {}
            PeerMessage::LightAnswer(_) => {
                let reason = "answered a question that a full node does not ask".to_owned();
                self.report(Report::BadMessage { from, reason });
            }
        }
        Ok(())
    }

    fn on_status(&mut self, from: PeerId, genesis: B256, height: Height) {
        let foreign = genesis != self.genesis_hash;
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let news = foreign && !peer.foreign;
        peer.foreign = foreign;
        peer.status_at = Some(self.now);
        if foreign {
            if news {
                self.report(Report::WrongGenesis { from, genesis });
            }
        } else {
            self.heard_height(from, height);
        }
    }
}
