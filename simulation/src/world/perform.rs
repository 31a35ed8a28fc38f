//! A node's events and actions, as its driver handles them.

use std::sync::Arc;

use hawser_consensus::{Message, Record, SignedVote};
use hawser_ledger::{Certificate, Transaction, VerifiedTransaction, VoteKind};
use hawser_node::{
    Rules,
    chain::{ChainError, write_vote_guard},
    replica::{
        Action, CheckedBlock, Event, Filing, Intake, LogEntry, PeerMessage, Relayed, ReplicaError,
        Report, TimerId, To, VoteGuard,
    },
    store::StoreError,
};
use hawser_primitives::{B256, Bytes, Time, encode};
use rand::Rng;

use super::{Spill, What, World};
use crate::{Mutant, Violation, node::Running, oracle::Moment};

/// Time until drawn samples are verified, in milliseconds.
const AUDIT_MS: u64 = 20;

impl World {
    /// Looks at a node's timers when the next one is due.
    pub(super) fn look_at_timers(&mut self, node: usize) {
        let clock = self.clock(node);
        let life = self.life(node);
        let now = self.now;
        let running = self.nodes.get_mut(node).and_then(|n| n.running.as_mut());
        let Some(running) = running else {
            return;
        };
        let Some(next) = running.timers.next() else {
            return;
        };
        // Its clock may go slower than time does: it looks again then.
        let at = now.plus_ms(next.since_ms(clock));
        if running.wake.is_none_or(|wake| at < wake) {
            running.wake = Some(at);
            self.schedule_at(at, What::Timers { node, life });
        }
    }

    pub(super) fn fire(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.clock(node);
        let (at, life) = (self.now, self.life(node));
        let running = self.nodes.get_mut(node).and_then(|n| n.running.as_mut());
        let Some(running) = running else {
            return Ok(());
        };
        if running.wake.is_some_and(|wake| wake <= at) {
            running.wake = None;
        }
        loop {
            if !self.is_alive(node, life) {
                return Ok(());
            }
            let running = self.nodes.get_mut(node).and_then(|n| n.running.as_mut());
            match running.and_then(|running| running.timers.due(now)) {
                Some(timer) => self.handle(node, Event::Timer(timer))?,
                None => break,
            }
        }
        self.look_at_timers(node);
        Ok(())
    }

    pub(super) fn handle(&mut self, node: usize, event: Event) -> Result<(), Violation> {
        let now = self.clock(node);
        self.events = self.events.saturating_add(1);
        self.note_event(node, &event);
        if self.plan.mutant == Some(Mutant::KeepEverything)
            && matches!(event, Event::Message { .. })
            && let Some(kept) = self.kept.get_mut(node)
        {
            *kept = kept.saturating_add(1);
        }
        let Some(running) = self.nodes.get_mut(node).and_then(|n| n.running.as_mut()) else {
            return Ok(());
        };
        match running.replica.handle(now, event) {
            Ok(actions) => {
                let mut sizes = running.replica.sizes();
                let kept = self.kept.get(node).copied().unwrap_or_default();
                sizes.signed = sizes.signed.saturating_add(kept);
                self.oracle.on_sizes(node, sizes, &self.bounds)?;
                self.perform(node, actions)
            }
            Err(ReplicaError::Outdated { .. }) if self.plan.upgrade => {
                self.upgrade(node);
                Ok(())
            }
            Err(error) => self.failed(node, &error.to_string()),
        }
    }

    /// An old program has stopped; its operator installs the newer one and starts it.
    fn upgrade(&mut self, node: usize) {
        self.upgraded = self.upgraded.saturating_add(1);
        self.spill.push(Spill::Program { node });
        if let Some(sim) = self.nodes.get_mut(node) {
            sim.program = sim.program.saturating_add(1);
        }
        let after = self.dice.work.random_range(50..5_000);
        self.crash(node, after);
    }

    /// Carries actions out as the driver does: all entries of the vote log first, one sync if
    /// anything binds, then the rest in order. The node may crash between any two.
    fn perform(&mut self, node: usize, actions: Vec<Action>) -> Result<(), Violation> {
        let life = self.life(node);
        let byzantine = self.is_byzantine(node);
        for action in &actions {
            if let Action::Log(entry) = action {
                if self.crashes_now(node) {
                    return Ok(());
                }
                if byzantine && let LogEntry::Block(block) = entry {
                    self.mischief.built(self.plan.suite, block);
                }
                let entry = entry.clone();
                self.with(node, |running| {
                    running.log.append(&entry)?;
                    running.unsynced.push(entry);
                    Ok(())
                })?;
            }
        }
        if self.crashes_now(node) {
            return Ok(());
        }
        if actions.iter().any(Action::binds) {
            self.sync_log(node)?;
        }
        for action in actions {
            if !self.is_alive(node, life) || self.crashes_now(node) {
                return Ok(());
            }
            self.act(node, action)?;
        }
        self.with(node, |running| running.log.rotate(&running.store))?;
        Ok(())
    }

    fn sync_log(&mut self, node: usize) -> Result<(), Violation> {
        if self.plan.mutant == Some(Mutant::SkipPersist) {
            return Ok(());
        }
        let synced = self.with(node, |running| {
            let synced = running.log.sync()?;
            Ok((synced, std::mem::take(&mut running.unsynced)))
        })?;
        let Some((synced, durable)) = synced else {
            return Ok(());
        };
        for entry in durable {
            if let LogEntry::Record(record) = entry {
                self.oracle.on_durable(node, &record);
            }
        }
        if synced {
            self.take_time(node);
        }
        Ok(())
    }

    /// A sync of a slow disk holds the node's thread up.
    fn take_time(&mut self, node: usize) {
        let longest = self.plan.faults.sync_ms_max;
        if !self.faulty || longest == 0 {
            return;
        }
        let takes = self.dice.work.random_range(0..=longest);
        let now = self.now;
        if let Some(running) = self.nodes.get_mut(node).and_then(|n| n.running.as_mut()) {
            running.busy_until = running.busy_until.max(now).plus_ms(takes);
        }
    }

    /// Runs something on a node that is up. A disk that fails stops the node.
    pub(super) fn with<T>(
        &mut self,
        node: usize,
        work: impl FnOnce(&mut Running) -> Result<T, ChainError>,
    ) -> Result<Option<T>, Violation> {
        let Some(running) = self.nodes.get_mut(node).and_then(|n| n.running.as_mut()) else {
            return Ok(None);
        };
        match work(running) {
            Ok(done) => Ok(Some(done)),
            Err(error) => self.failed(node, &error.to_string()).map(|()| None),
        }
    }

    fn act(&mut self, node: usize, action: Action) -> Result<(), Violation> {
        match action {
            Action::Log(_) | Action::Reply(..) | Action::Convict(_) => {}
            Action::Report(report) => {
                if let Report::Misbehaviour { validator, .. } = report
                    && !self.is_byzantine(node)
                {
                    self.reported.insert(validator);
                }
            }
            Action::Send { to, urgent, bytes } => {
                for bytes in self.said_by_mutant(node, bytes) {
                    self.send(node, to, urgent, &bytes)?;
                }
            }
            Action::SetTimer(timer, at) => self.set_timer(node, timer, at)?,
            Action::ClearTimer(timer) => {
                self.with(node, |running| {
                    running.timers.clear(timer);
                    Ok(())
                })?;
            }
            Action::Verify {
                from,
                transactions,
                intake,
            } => {
                let spread = match intake {
                    Intake::Verify { spread } => from.filter(|_| spread),
                    Intake::Attest { digest } => {
                        return self.batch(node, transactions, digest, false);
                    }
                    Intake::Trust { digest } => {
                        return self.batch(node, transactions, digest, true);
                    }
                };
                let verified = self.with(node, |running| {
                    let results = running.verifier.relayed(transactions);
                    Ok(results.into_iter().filter_map(Result::ok).collect())
                })?;
                if let Some(candidates) = verified {
                    self.later(node, 1, Event::Gossiped { candidates, spread });
                }
            }
            Action::Audit(audit) => {
                let found = self.with(node, |running| Ok(running.verifier.audit(audit)))?;
                if let Some(Some(evidence)) = found {
                    self.found_by_samples = self.found_by_samples.saturating_add(1);
                    self.later(node, AUDIT_MS, Event::Audited(Box::new(evidence)));
                }
            }
            Action::Check { hash, block, known } => {
                let result =
                    self.with(node, |running| Ok(running.verifier.check(&block, &known)))?;
                let Some(mut result) = result else {
                    return Ok(());
                };
                if result.is_err() && self.plan.mutant == Some(Mutant::TransactionSignature) {
                    result = self.take_on_trust(&block.transactions);
                }
                let after = self.dice.work.random_range(0..4);
                self.later(node, after, Event::Checked { hash, result });
            }
            Action::Guard(guard) => self.guard_votes(node, guard)?,
            Action::Commit {
                block,
                certificate,
                filing,
            } => self.commit(node, block, certificate, filing)?,
            Action::Serve { to, from, count } => {
                let bytes = self.with(node, |running| {
                    Ok(match running.store.serve_encoded(from, count) {
                        Ok(bytes) => bytes,
                        Err(StoreError::Pruned { first, .. }) => {
                            encode(&running.replica.no_blocks(to, first)).into()
                        }
                        Err(error) => return Err(error.into()),
                    })
                })?;
                if let Some(bytes) = bytes {
                    self.send(node, To::Peer(to), false, &bytes)?;
                }
            }
        }
        Ok(())
    }

    fn guard_votes(&mut self, node: usize, guard: VoteGuard) -> Result<(), Violation> {
        let Some(disk) = self.nodes.get(node).map(|node| node.disk.clone()) else {
            return Ok(());
        };
        match write_vote_guard(Arc::new(disk), guard) {
            Ok(()) => Ok(()),
            Err(error) => self.failed(node, &error.to_string()),
        }
    }

    fn commit(
        &mut self,
        node: usize,
        block: CheckedBlock,
        certificate: Certificate,
        filing: Filing,
    ) -> Result<(), Violation> {
        self.oracle_commit(node, &block, &certificate)?;
        let skips = self.plan.mutant == Some(Mutant::SkipStore);
        let height = block.block.header.height;
        let idle = self.with(node, |running| {
            running.store.append(&block.block, &certificate)?;
            if filing == Filing::Now && !skips {
                running.store.sync_blocks()?;
            }
            running.commits.push_back((block, certificate));
            Ok(!std::mem::replace(&mut running.executing, true))
        })?;
        if idle.is_some() && filing != Filing::Later {
            self.oracle.on_stored(node, height);
        }
        if filing == Filing::Now {
            self.take_time(node);
        }
        if idle == Some(true) {
            let (after, life) = (self.dice.work.random_range(0..8), self.life(node));
            self.schedule(after, What::Execute { node, life });
        }
        Ok(())
    }

    /// Works on a batch as the node's threads do. A liar vouches for whatever it gets; it votes as
    /// others do, so that what its word alone does can be seen.
    fn batch(
        &mut self,
        node: usize,
        transactions: Vec<Relayed>,
        digest: B256,
        trust: bool,
    ) -> Result<(), Violation> {
        let liar = self.is_liar(node);
        let done = self.with(node, |running| {
            let (batched, _) = running.verifier.batch(transactions, digest, trust);
            Ok(batched)
        })?;
        if let Some(mut batched) = done {
            self.trusted = self.trusted.saturating_add(u64::from(batched.trusted));
            batched.wrong = batched.wrong.filter(|_| !liar);
            self.later(node, 1, Event::Batched(batched));
        }
        Ok(())
    }

    fn oracle_commit(
        &mut self,
        node: usize,
        block: &CheckedBlock,
        certificate: &Certificate,
    ) -> Result<(), Violation> {
        self.note(format!("{node} commits {}", block.hash).as_bytes());
        if self.fork.is_some() {
            return Ok(());
        }
        let header = &block.block.header;
        let addresses = self.nodes.iter();
        self.egress.decided(
            header.height,
            block.block.body_bytes(),
            header.proposer,
            addresses.map(|node| node.key.as_ref().map(|key| key.address())),
        );
        if self.is_byzantine(node) {
            self.mischief.decided(&block.block);
        }
        let faults = &self.plan.faults;
        let moment = Moment {
            now: self.now,
            // A clock set back runs ahead for a while; one's offset adds to another's.
            clocks_ms_max: 2 * faults.jump_ms_max.max(faults.clock_skew_ms_max),
            is_genuine: &|hash| self.submitted.contains_key(hash),
        };
        let judged = self.oracle.on_commit(node, block, certificate, &moment);
        self.judge_fork(judged, certificate)
    }

    pub(super) fn execute(&mut self, node: usize, life: u64) -> Result<(), Violation> {
        let mutant = self.plan.mutant;
        let done = self.with(node, |running| {
            running.executing = false;
            let next = match mutant {
                Some(Mutant::OutOfOrder) => running.commits.pop_back(),
                _ => running.commits.pop_front(),
            };
            let Some((mut block, certificate)) = next else {
                return Ok(None);
            };
            if mutant == Some(Mutant::DropTransaction) && node == 0 {
                let kept = block.transactions.len().saturating_sub(1);
                let kept = block.transactions.iter().take(kept).cloned().collect();
                block.transactions = Arc::new(kept);
            }
            let executed = running.store.execute(&block, certificate)?;
            let nonces = running.store.nonces_after(&executed)?;
            if let Some(height) = running.store.flush_due() {
                running.store.flush_to(height)?;
            }
            running.executing = !running.commits.is_empty();
            let rules = running.store.rules();
            Ok(Some((executed, nonces, rules, running.executing)))
        })?;
        let Some(Some((executed, nonces, mut rules, more))) = done else {
            return Ok(());
        };
        if self.fork.is_none() {
            self.oracle.on_executed(node, &executed, &rules)?;
        }
        if mutant == Some(Mutant::OldCommittee)
            && let Ok(old) = Rules::of_genesis(&self.genesis)
        {
            rules = Arc::new(old);
        }
        if more {
            let after = self.dice.work.random_range(0..8);
            self.schedule(after, What::Execute { node, life });
        }
        if !self.crashes_now(node) {
            let event = Event::Executed {
                roots: executed.result.roots,
                nonces,
                skipped: executed.skipped(),
                rules,
            };
            self.later(node, 0, event);
        }
        Ok(())
    }

    fn set_timer(&mut self, node: usize, timer: TimerId, at: Time) -> Result<(), Violation> {
        self.with(node, |running| {
            running.timers.set(timer, at);
            Ok(())
        })?;
        self.look_at_timers(node);
        Ok(())
    }

    /// What nodes say that have a rule broken at their outlet.
    fn said_by_mutant(&mut self, node: usize, bytes: Bytes) -> Vec<Bytes> {
        let Some(mutant @ (Mutant::VoteTwice | Mutant::IgnoreLock | Mutant::SkipPolka)) =
            self.plan.mutant
        else {
            return vec![bytes];
        };
        let key = self.nodes.get(node).and_then(|node| node.key.clone());
        let (Some(key), Ok(PeerMessage::Agreement(message))) =
            (key, borsh::from_slice::<PeerMessage>(&bytes))
        else {
            return vec![bytes];
        };
        let own = match &message {
            Message::Proposal(signed) => {
                let proposal = &signed.proposal;
                self.mischief
                    .proposed((proposal.height, proposal.round), proposal.block);
                return vec![bytes];
            }
            Message::Vote(signed) if signed.vote.validator == key.address() => &signed.vote,
            _ => return vec![bytes],
        };
        let mut other = own.clone();
        let instead = match (mutant, own.kind, own.block) {
            (Mutant::VoteTwice, VoteKind::Precommit, Some(_)) => {
                other.block = None;
                false
            }
            (Mutant::SkipPolka, VoteKind::Prevote, Some(_)) => {
                other.kind = VoteKind::Precommit;
                false
            }
            (Mutant::IgnoreLock, VoteKind::Prevote, None) => {
                other.block = self.mischief.proposal((own.height, own.round));
                if other.block.is_none() {
                    return vec![bytes];
                }
                true
            }
            _ => return vec![bytes],
        };
        let signature = key.sign(&other.message(self.chain));
        let vote = SignedVote {
            vote: other,
            signature,
        };
        // So that it is not the missing record that gives it away.
        self.oracle.on_durable(node, &Record::Vote(vote.clone()));
        let said = encode(&PeerMessage::Agreement(Message::Vote(vote))).into();
        if instead {
            vec![said]
        } else {
            vec![bytes, said]
        }
    }

    fn take_on_trust(&self, raws: &[Bytes]) -> Result<Arc<Vec<Arc<VerifiedTransaction>>>, String> {
        let one = |raw: &Bytes| -> Result<_, String> {
            let found = Transaction::decode(self.plan.suite, raw.clone());
            let sender = self.clients.sender_of(raw).unwrap_or_default();
            let found = found.map_err(|error| error.to_string())?;
            Ok(Arc::new(VerifiedTransaction::from_stored(found, sender)))
        };
        let all: Result<Vec<_>, String> = raws.iter().map(one).collect();
        all.map(Arc::new)
    }
}
