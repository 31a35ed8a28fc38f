//! Turns what a replica is told and does into entries. Pure: time and events in, entries out, so that
//! a simulated replica can be recorded as well.

use std::sync::Arc;

use hawser_consensus::{Election as _, Record, Step, proposer_index};
use hawser_ledger::{PROTOCOL_VERSION, ValidatorSet};
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, Height, Round, Time};

use super::entry::{DiskFile, Entry, Identity, Index, Member, NoteKind, Short, What, cut};
use crate::{
    Rules,
    replica::{Action, Event, LogEntry, Replica, Report},
};

/// Notes of one second; further ones are counted in the next.
const NOTES_PER_S: u32 = 20;
/// Waits for a write from which on they are worth an entry, in milliseconds.
pub const SLOW_DISK_MS: u64 = 50;
/// Lateness of the node's own thread from which on it is worth an entry, in milliseconds.
pub const HELD_MS: u64 = 250;
/// Steps of the clock from which on they are worth an entry, in milliseconds.
pub const CLOCK_STEP_MS: u64 = 100;

/// What is kept of an event until the replica has handled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Nothing.
    Nothing,
    /// A link changed.
    Link(PeerId, bool),
    /// A block was executed.
    Executed(Height),
}

impl Noted {
    /// Of an event.
    #[must_use]
    pub const fn of(event: &Event) -> Self {
        match event {
            Event::PeerUp(peer) => Self::Link(*peer, true),
            Event::PeerDown(peer) => Self::Link(*peer, false),
            Event::Executed { roots, .. } => Self::Executed(roots.height),
            _ => Self::Nothing,
        }
    }
}

/// Watches one replica.
#[derive(Debug)]
pub struct Tap {
    entries: Vec<Entry>,
    height: Height,
    position: (Height, Round),
    committee: Option<(B256, Arc<ValidatorSet>)>,
    notes: (u64, u32, u32),
}

impl Tap {
    /// Watches a replica that has not been told anything yet.
    #[must_use]
    pub fn new(now: Time, identity: Identity, tip: Height) -> Self {
        let mut tap = Self {
            entries: Vec::new(),
            height: tip,
            position: (Height::GENESIS, Round(0)),
            committee: None,
            notes: (0, 0, 0),
        };
        tap.push(now, tip, What::Identity(identity));
        tap.push(now, tip, What::Started);
        tap
    }

    /// The identity of a chain's node that runs this program.
    #[must_use]
    pub fn identity(
        genesis: &hawser_ledger::Genesis,
        hash: B256,
        node: &str,
        program: &str,
        validator: Option<Address>,
    ) -> Identity {
        Identity {
            chain: genesis.chain_id,
            genesis: hash,
            node: cut(node),
            program: cut(program),
            protocol: PROTOCOL_VERSION,
            validator,
        }
    }

    /// What was seen since the last call.
    #[must_use]
    pub fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Takes in what the replica did about an event. `name` knows peers by their keys.
    pub fn handled(
        &mut self,
        now: Time,
        noted: Noted,
        actions: &[Action],
        replica: &Replica,
        name: &dyn Fn(&PeerId) -> String,
    ) {
        match noted {
            Noted::Nothing => {}
            Noted::Link(peer, up) => {
                let name = cut(&name(&peer));
                self.push(now, self.height, What::Link { peer, name, up });
            }
            Noted::Executed(height) => self.push(now, height, What::Executed),
        }
        for action in actions {
            match action {
                Action::Log(LogEntry::Record(record)) => self.record(now, record, replica.rules()),
                Action::Commit {
                    block, certificate, ..
                } => {
                    let count = block.block.transactions.len();
                    let transactions = u32::try_from(count).unwrap_or(u32::MAX);
                    let (height, round) = (certificate.height, certificate.round);
                    let block = Short::from(&certificate.block_hash);
                    let what = if height <= replica.last_agreed() {
                        What::Decided {
                            round,
                            block,
                            transactions,
                        }
                    } else {
                        What::Fetched {
                            block,
                            transactions,
                        }
                    };
                    self.push(now, height, what);
                    self.height = self.height.max(height);
                }
                Action::Report(report) => self.report(now, report),
                _ => {}
            }
        }
        let agreement = replica.agreement();
        if let Some(height) = agreement.height()
            && height > self.height
            && !matches!(agreement.step(), Step::NotStarted | Step::Decided)
        {
            self.enter(now, height, agreement.round(), replica.rules());
        }
    }

    /// A write took so long.
    pub fn wrote(&mut self, now: Time, file: DiskFile, ms: u64) {
        if ms >= SLOW_DISK_MS {
            let ms = u32::try_from(ms).unwrap_or(u32::MAX);
            self.push(now, self.height, What::Disk { file, ms });
        }
    }

    /// A timer was served so late.
    pub fn held(&mut self, now: Time, ms: u64) {
        if ms >= HELD_MS {
            let ms = u32::try_from(ms).unwrap_or(u32::MAX);
            self.push(now, self.height, What::Held(ms));
        }
    }

    /// The clock of the machine was set by so much.
    pub fn clock(&mut self, now: Time, ms: i64) {
        if ms.unsigned_abs() >= CLOCK_STEP_MS {
            self.push(now, self.height, What::Clock(ms));
        }
    }

    /// The chain stops on this node: why, or empty.
    pub fn stopped(&mut self, now: Time, reason: &str) {
        self.push(now, self.height, What::Stopped(cut(reason)));
    }

    fn push(&mut self, at: Time, height: Height, what: What) {
        self.entries.push(Entry { at, height, what });
    }

    /// Notes that a round runs, once.
    fn enter(&mut self, now: Time, height: Height, round: Round, rules: &Rules) {
        if (height, round) <= self.position {
            return;
        }
        self.position = (height, round);
        let set = self.committee(now, height, rules);
        let proposer = narrow(proposer_index(&set, height, round));
        self.push(now, height, What::Round { round, proposer });
    }

    /// The committee of a height, which is recorded when it is another than before.
    fn committee(&mut self, now: Time, height: Height, rules: &Rules) -> Arc<ValidatorSet> {
        let hash = rules.committee_hash(height);
        if let Some((known, set)) = &self.committee
            && *known == hash
        {
            return Arc::clone(set);
        }
        let set = rules.committee(height);
        let members = set.validators().iter().map(|one| {
            let address = one.address();
            let name = rules.name(height, &address).map(cut).unwrap_or_default();
            Member {
                address,
                name,
                weight: one.weight,
            }
        });
        let members = members.collect();
        self.push(now, height, What::Committee(members));
        self.committee = Some((hash, Arc::clone(&set)));
        set
    }

    fn index(
        &mut self,
        now: Time,
        height: Height,
        address: &Address,
        rules: &Rules,
    ) -> Option<Index> {
        self.committee(now, height, rules)
            .index_of(address)
            .map(narrow)
    }

    fn record(&mut self, now: Time, record: &Record, rules: &Rules) {
        let height = record.height();
        if height > self.position.0 {
            // Messages that came early are taken up within the event that starts their height.
            self.enter(now, height, Round(0), rules);
        }
        let what = match record {
            Record::Vote(signed) => {
                let vote = &signed.vote;
                let Some(validator) = self.index(now, height, &vote.validator, rules) else {
                    return;
                };
                What::Vote {
                    kind: vote.kind,
                    round: vote.round,
                    validator,
                    block: vote.block.as_ref().map(Short::from),
                }
            }
            Record::Proposal(signed) => {
                let proposal = &signed.proposal;
                let Some(proposer) = self.index(now, height, &proposal.proposer, rules) else {
                    return;
                };
                What::Proposal {
                    round: proposal.round,
                    proposer,
                    block: Short::from(&proposal.block),
                }
            }
            Record::Polka(certificate) => What::Polka {
                round: certificate.round,
                block: Short::from(&certificate.block),
            },
            Record::Timeout(timer) => What::Timeout {
                round: timer.round,
                kind: timer.kind,
            },
            Record::Block {
                round,
                block,
                valid,
                ..
            } => What::Body {
                round: *round,
                block: Short::from(block),
                valid: *valid,
            },
        };
        self.push(now, height, what);
    }

    fn report(&mut self, now: Time, report: &Report) {
        let Some((kind, text)) = words(report) else {
            return;
        };
        let (second, said, unsaid) = &mut self.notes;
        if *second != now.as_secs() {
            let missed = std::mem::take(unsaid);
            (*second, *said) = (now.as_secs(), 0);
            if missed > 0 {
                let text = format!("{missed} more remarks were not recorded");
                self.push(now, self.height, What::Note { kind, text });
            }
        }
        let (_, said, unsaid) = &mut self.notes;
        if *said >= NOTES_PER_S {
            *unsaid = unsaid.saturating_add(1);
            return;
        }
        *said = said.saturating_add(1);
        let text = cut(&text);
        self.push(now, self.height, What::Note { kind, text });
    }
}

fn narrow(index: usize) -> Index {
    Index::try_from(index).unwrap_or(Index::MAX)
}

/// A report as a note; `None` for what other entries say already.
fn words(report: &Report) -> Option<(NoteKind, String)> {
    Some(match report {
        Report::BadMessage { from, reason } => {
            (NoteKind::BadMessage, format!("peer {from}: {reason}"))
        }
        Report::WrongGenesis { from, genesis } => (
            NoteKind::WrongGenesis,
            format!("peer {from} has genesis {genesis}"),
        ),
        Report::BlockRefused {
            height,
            hash,
            reason,
        } => (
            NoteKind::BlockRefused,
            format!("block {height} {}: {reason}", Short::from(hash)),
        ),
        Report::Misbehaviour { validator, what } => {
            (NoteKind::Misbehaviour, format!("{validator} {what}"))
        }
        Report::KeyElsewhere {
            from,
            validator,
            what,
        } => (
            NoteKind::KeyElsewhere,
            format!("{validator} signs elsewhere ({what}), as peer {from} shows"),
        ),
        Report::VotesForgotten { height, .. } => (
            NoteKind::Guard,
            format!("block {height} carries a vote of this node that it does not know of"),
        ),
        Report::VotesFrom { from } => {
            (NoteKind::Guard, format!("votes again from block {from} on"))
        }
        Report::FalseAttestation {
            validator,
            transaction,
            ..
        } => (
            NoteKind::FalseAttestation,
            format!("{validator} vouched for {transaction}"),
        ),
        Report::Syncing { at, target, .. } => (NoteKind::Syncing, format!("at {at} of {target}")),
        Report::HistoryMissing { next, first } => (
            NoteKind::HistoryMissing,
            format!("needs block {next}, peers keep blocks from {first} on"),
        ),
        Report::Round { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_primitives::ChainId;

    fn tap() -> Tap {
        let identity = Identity {
            chain: ChainId(1),
            genesis: B256::ZERO,
            node: "n".to_owned(),
            program: "p".to_owned(),
            protocol: 1,
            validator: None,
        };
        Tap::new(Time(5), identity, Height(3))
    }

    #[test]
    fn a_recording_begins_with_whose_it_is() {
        let mut tap = tap();
        let entries = tap.take();
        assert!(matches!(entries[0].what, What::Identity(_)));
        assert_eq!(entries[1].what, What::Started);
        assert_eq!(entries[1].height, Height(3));
        assert!(tap.take().is_empty());
    }

    #[test]
    fn both_sides_of_what_is_slow() {
        let mut tap = tap();
        let _ = tap.take();
        tap.wrote(Time(9), DiskFile::VoteLog, SLOW_DISK_MS - 1);
        tap.held(Time(9), HELD_MS - 1);
        tap.clock(Time(9), 1 - i64::try_from(CLOCK_STEP_MS).unwrap());
        assert!(tap.take().is_empty());
        tap.wrote(Time(9), DiskFile::VoteLog, SLOW_DISK_MS);
        tap.held(Time(9), HELD_MS);
        tap.clock(Time(9), -i64::try_from(CLOCK_STEP_MS).unwrap());
        assert_eq!(tap.take().len(), 3);
    }

    #[test]
    fn a_flood_of_remarks_is_counted_and_not_kept() {
        let mut tap = tap();
        let _ = tap.take();
        let report = Report::VotesFrom { from: Height(9) };
        for _ in 0..100 {
            tap.report(Time(1_500), &report);
        }
        assert_eq!(tap.take().len(), NOTES_PER_S as usize);
        tap.report(Time(2_000), &report);
        let later = tap.take();
        assert_eq!(later.len(), 2);
        let What::Note { text, .. } = &later[0].what else {
            panic!("{later:?}");
        };
        assert!(text.starts_with("80 more"), "{text}");
    }
}
