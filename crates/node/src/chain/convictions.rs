//! Evidence against validators that vouched falsely, kept for good.

use std::sync::Arc;

use hawser_ledger::{FalseAttestation, Genesis};
use hawser_primitives::{
    Address, decode_exact, encode,
    limits::{FRAME_BYTES_MAX, VALIDATORS_MAX},
};
use hawser_storage::{Disk, LogError, LogOptions, SyncedLog};

use super::ChainError;
use crate::store::CONVICTIONS_LOG as NAME;

/// The log of evidence of one chain. One record convicts one validator at least, and nobody is
/// convicted twice, so there are no more than validators.
pub struct Convictions {
    log: SyncedLog,
    records: usize,
}

/// Whom a piece of evidence convicts.
type Convicted = Vec<(Address, FalseAttestation)>;

impl Convictions {
    /// Opens the log and reads who was convicted. What is in it was verified before it was written,
    /// against a committee that need not be today's; signatures and claims are not verified again.
    pub fn open(disk: Arc<dyn Disk>, genesis: &Genesis) -> Result<(Self, Convicted), ChainError> {
        let (log, recovery) = SyncedLog::open(disk, NAME, LogOptions::default()).map_err(failed)?;
        let (mut convicted, mut records) = (Convicted::new(), 0usize);
        for raw in recovery.records {
            let evidence = decode_exact::<FalseAttestation>(&raw, FRAME_BYTES_MAX)
                .map_err(|error| ChainError::Convictions(error.to_string()))?;
            records = records.saturating_add(1);
            tracing::warn!(
                transaction = %evidence.transaction(genesis.suite),
                "validators were convicted of false attestations on this chain; their word does not count"
            );
            for attestation in &evidence.attestations {
                convicted.push((attestation.validator, evidence.clone()));
            }
        }
        Ok((Self { log, records }, convicted))
    }

    /// Keeps evidence durably.
    pub fn keep(&mut self, evidence: &FalseAttestation) -> Result<(), ChainError> {
        if self.records >= VALIDATORS_MAX {
            return Ok(());
        }
        self.records = self.records.saturating_add(1);
        self.log.append(&encode(evidence)).map_err(failed)?;
        self.log.sync().map_err(failed)
    }
}

fn failed(error: LogError) -> ChainError {
    ChainError::Convictions(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hawser_crypto::{Scheme, SecretKey, Suite};
    use hawser_ledger::{Attestation, ChainParameters, PROTOCOL_VERSION};
    use hawser_primitives::{Bytes, ChainId, Time};
    use hawser_storage::MemDisk;

    use super::*;

    fn genesis() -> Genesis {
        Genesis {
            protocol_version: PROTOCOL_VERSION,
            chain_id: ChainId(7),
            name: "test".to_owned(),
            suite: Suite::Intl,
            time: Time(1),
            parameters: ChainParameters::default(),
            validators: Vec::new(),
            accounts: BTreeMap::new(),
            governance: None,
        }
    }

    fn evidence(i: u8) -> FalseAttestation {
        let key = SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap();
        let attestation = Attestation {
            validator: key.address(),
            signature: key.sign(b"x"),
        };
        FalseAttestation {
            claims: Vec::new(),
            position: 0,
            raw: Bytes::from(vec![i]),
            attestations: vec![attestation],
        }
    }

    #[test]
    fn who_was_convicted_is_convicted_after_a_crash() {
        let disk = MemDisk::new(0);
        let open = |disk: &MemDisk| Convictions::open(Arc::new(disk.clone()), &genesis()).unwrap();
        let (mut log, before) = open(&disk);
        assert!(before.is_empty());
        log.keep(&evidence(1)).unwrap();
        log.keep(&evidence(2)).unwrap();
        let (_, after) = open(&disk.crash(3));
        let all: Vec<_> = after.into_iter().map(|(_, evidence)| evidence).collect();
        assert_eq!(all, [evidence(1), evidence(2)]);
    }

    #[test]
    fn the_log_has_no_more_records_than_there_can_be_validators() {
        let disk = MemDisk::new(0);
        let (mut log, _) = Convictions::open(Arc::new(disk.clone()), &genesis()).unwrap();
        for _ in 0..VALIDATORS_MAX + 5 {
            log.keep(&evidence(1)).unwrap();
        }
        let (_, found) = Convictions::open(Arc::new(disk), &genesis()).unwrap();
        assert_eq!(found.len(), VALIDATORS_MAX);
    }
}
