//! Proving fetched blocks, and taking them up in order.

use std::sync::Arc;

use hawser_consensus::Election as _;
use hawser_ledger::{
    VerifiedTransaction,
    mutants::{Rule, broken},
};
use hawser_primitives::{B256, Height};

use super::{
    super::{Action, CheckedBlock, Filing, Replica, ReplicaError},
    Held,
    window::Signatures,
};
use crate::Rules;

/// Blocks whose signatures are verified before their turn, the next one included.
const CHECKS_MAX: u64 = 8;
/// Bytes of these after which no further one is begun.
const CHECKS_BYTES: usize = 4 * 1024 * 1024;
/// Fetched blocks that are taken up between two syncs of their file.
const UNSYNCED_MAX: u32 = 64;

impl Replica {
    /// Verifies the next blocks beside the execution of those before them: certificate and body at
    /// once, signatures of transactions by others. A block whose certificate is not good costs no more
    /// than that.
    pub(super) fn prove_ahead(&mut self) {
        let next = self.tip.height.next();
        let mut bytes = 0usize;
        for height in next.0..next.0.saturating_add(CHECKS_MAX) {
            let height = Height(height);
            // Beyond, the committee is not known for certain.
            if height > Rules::known_until(self.executed) {
                return;
            }
            let Some(held) = self.sync.window.get(height) else {
                return;
            };
            bytes = bytes.saturating_add(held.bytes());
            if bytes > CHECKS_BYTES && height > next {
                return;
            }
            if !held.proven {
                if let Err(reason) = self.prove(held) {
                    let from = held.from;
                    return self.refuse(from, reason);
                }
                if let Some(held) = self.sync.window.get_mut(height) {
                    held.proven = true;
                }
            }
            self.check_signatures(height);
        }
    }

    /// Checks certificate and body of a block whose committee is known.
    fn prove(&self, held: &Held) -> Result<(), String> {
        let height = held.block.header.height;
        if !broken(Rule::SyncCertificate) {
            let certificate = &held.certificate;
            if certificate.height != height || certificate.block_hash != held.hash {
                return Err(format!("certificate is for another block than {height}"));
            }
            certificate
                .verify(self.genesis.chain_id, &self.rules.committee(height))
                .map_err(|error| format!("certificate of block {height}: {error}"))?;
        }
        let body = held.block.check_body(self.suite);
        body.map_err(|error| error.to_string())
    }

    /// Has the signatures of a proven block verified, once.
    fn check_signatures(&mut self, height: Height) {
        let Some(held) = self.sync.window.get(height) else {
            return;
        };
        if !matches!(held.signatures, Signatures::Open) {
            return;
        }
        let (hash, block) = (held.hash, Arc::clone(&held.block));
        // Nothing to be found in an empty pool, and looking costs a hash for each transaction.
        let known = if self.pool.is_empty() {
            Vec::new()
        } else {
            let found = self.known(&block).into_iter();
            // What is final is verified here, whoever vouched for it.
            found
                .map(|one| one.filter(|found| !found.is_attested()))
                .collect()
        };
        if let Some(held) = self.sync.window.get_mut(height) {
            held.signatures = Signatures::Asked;
        }
        self.actions.push(Action::Check { hash, block, known });
    }

    /// Takes the verdict on a fetched block; says whether it was one.
    pub(in crate::replica) fn sync_checked(
        &mut self,
        hash: B256,
        result: &Result<Arc<Vec<Arc<VerifiedTransaction>>>, String>,
    ) -> bool {
        let Some(held) = self.sync.window.asked(&hash) else {
            return false;
        };
        held.signatures = match result {
            Ok(transactions) => Signatures::Good(Arc::clone(transactions)),
            Err(reason) => Signatures::Bad(reason.clone()),
        };
        true
    }

    /// Makes the next fetched block the tip once it is proven and the roots that it must carry are
    /// computed.
    pub(super) fn take_up(&mut self) -> Result<(), ReplicaError> {
        let next = self.tip.height.next();
        if self.roots_for(next).is_none() {
            return Ok(());
        }
        let Some(held) = self.sync.window.get(next).filter(|held| held.proven) else {
            return Ok(());
        };
        let (parent, tip) = (held.block.header.parent, self.tip_hash);
        if parent != tip {
            if broken(Rule::SyncCertificate) {
                let from = held.from;
                self.refuse(from, "another parent".to_owned());
                self.sync.window.remove(next);
                return Ok(());
            }
            // A quorum stands behind it: nobody can make this up alone.
            let height = next;
            return Err(ReplicaError::Forked {
                height,
                parent,
                tip,
            });
        }
        match &held.signatures {
            Signatures::Open | Signatures::Asked => return Ok(()),
            Signatures::Bad(reason) => {
                let reason = format!("{reason}, sent by {}", held.from);
                let height = next;
                return Err(ReplicaError::InvalidFinalBlock { height, reason });
            }
            Signatures::Good(_) => {}
        }
        let Some(held) = self.sync.window.remove(next) else {
            return Ok(());
        };
        let Signatures::Good(transactions) = held.signatures else {
            return Ok(());
        };
        let (count, bytes) = (transactions.len(), held.block.body_bytes());
        self.pace.decided(next, self.now, count, false);
        self.sync.progress.took(self.now, bytes);
        self.watch_certificate(&held.certificate)?;
        let block = CheckedBlock {
            block: held.block,
            hash: held.hash,
            transactions,
        };
        self.commit(block, held.certificate, true)
    }

    /// When the file of a final block is synced. That of a fetched one is with a later one, while
    /// more of them wait.
    pub(in crate::replica) fn filing(
        &mut self,
        height: Height,
        logged: bool,
        fetched: bool,
    ) -> Filing {
        let count = self.sync.unsynced.saturating_add(1);
        if logged && self.sync.unsynced == 0 {
            Filing::Logged
        } else if fetched && count < UNSYNCED_MAX && self.sync.window.contains(height.next()) {
            self.sync.unsynced = count;
            Filing::Later
        } else {
            self.sync.unsynced = 0;
            Filing::Now
        }
    }
}
