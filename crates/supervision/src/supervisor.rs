use std::{num::NonZeroUsize, sync::Arc};

use hawser_crypto::Suite;
use hawser_execution::{GateState, GateStore, GateTransaction, Note, NoteKind};
use hawser_governance::{
    AccountWord, Case, Charter, PolicyMode, RuleOutcome, Ruling, Supervisor, access::GateView,
    cosign, operation, slots,
};
use hawser_ledger::state::StateError;
use hawser_policy::{
    Engine, Finding, Found, History, Judgement, Mode, OnExceed, Rule, RuleSet, Said, Slots,
    Subject, Verdict, facts::Facts, tokens,
};
use hawser_primitives::{Address, B256, Time};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    facts::facts,
    store::{Reader, Writer},
};

/// Rule sets that are kept compiled. There is one in force; queries may ask for older states.
const SETS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// A rule set and the numbers of its rules, in the order of the set.
struct Loaded {
    set: RuleSet,
    numbers: Vec<u32>,
}

/// Runs the rules that the charter names.
pub struct RuleSupervisor {
    /// One per suite: a program may hold chains of both.
    engines: [Engine; 2],
    sets: Mutex<LruCache<B256, Arc<Loaded>>>,
}

impl Default for RuleSupervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RuleSupervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSupervisor").finish_non_exhaustive()
    }
}

impl RuleSupervisor {
    /// With nothing compiled yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            engines: Suite::ALL.map(Engine::new),
            sets: Mutex::new(LruCache::new(SETS_MAX)),
        }
    }

    const fn engine(&self, suite: Suite) -> &Engine {
        let [intl, sm] = &self.engines;
        match suite {
            Suite::Intl => intl,
            Suite::Sm => sm,
        }
    }

    /// The rules of a charter, compiled at most once while they are kept.
    fn rules(
        &self,
        suite: Suite,
        charter: &Charter,
        state: &mut dyn GateState,
    ) -> Result<Arc<Loaded>, StateError> {
        let mut key = Vec::new();
        for (id, policy) in &charter.policies {
            key.extend_from_slice(&id.to_be_bytes());
            key.extend_from_slice(&policy.version.to_be_bytes());
            key.push(match policy.mode {
                PolicyMode::Inactive => 0,
                PolicyMode::Shadow => 1,
                PolicyMode::Active => 2,
            });
            key.extend_from_slice(policy.script.as_slice());
        }
        let engine = self.engine(suite);
        let key = suite.hash(&key);
        if let Some(loaded) = self.sets.lock().get(&key) {
            return Ok(Arc::clone(loaded));
        }
        let mut rules = Vec::new();
        for (id, policy) in &charter.policies {
            let mode = match policy.mode {
                PolicyMode::Inactive => continue,
                PolicyMode::Shadow => Mode::Shadow,
                PolicyMode::Active => Mode::Active,
            };
            let script = state.blob(&policy.script)?.unwrap_or_default();
            // What is no text does not compile, and has the outcome of that.
            let script = String::from_utf8_lossy(&script).into_owned();
            let name = format!("{id}");
            let mut rule = Rule::of_script(engine, name, policy.version, script);
            (rule.mode, rule.order) = (mode, *id);
            rules.push(rule);
        }
        let set = RuleSet::load(engine, rules);
        let numbers = set.rules().map(|rule| rule.order).collect();
        let loaded = Arc::new(Loaded { set, numbers });
        self.sets.lock().put(key, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Adds what happened before.
    fn add_history<S: Slots<Error = StateError>>(
        suite: Suite,
        slots: &mut S,
        facts: &mut Facts,
        word: &AccountWord,
    ) -> Result<(), StateError> {
        let history = History::new(suite);
        let (now, tokens) = (Time(facts.time_ms), tokens(facts));
        let subject = Subject::Account(facts.sender);
        facts.history.sender = history.subject(slots, &subject, &tokens, now)?;
        if let Some(name) = subject_of(word) {
            let subject = Subject::Organisation(name);
            facts.history.organisation = Some(history.subject(slots, &subject, &tokens, now)?);
        }
        for party in &mut facts.parties {
            party.first_seen_ms = history.first_seen(slots, party.address)?;
        }
        Ok(())
    }
}

/// Name under which an organisation's history is kept: its number, as its name can change.
pub(crate) fn subject_of(word: &AccountWord) -> Option<String> {
    (word.organisation != 0).then(|| word.organisation.to_string())
}

fn account(state: &mut dyn GateState, address: &Address) -> Result<AccountWord, StateError> {
    let word = state.slot(&hawser_governance::ADDRESS, &slots::account_slot(address))?;
    AccountWord::unpack(&word)
        .ok_or_else(|| StateError::Corrupt(format!("governance: account {address}: {word}")))
}

/// What the gate gets to know of a judgement.
fn outcomes(judgement: Judgement, loaded: &Loaded) -> Vec<RuleOutcome> {
    let mut out = Vec::new();
    let denied = judgement.denial.as_ref();
    let count = judgement.findings.len();
    for (index, finding) in judgement.findings.into_iter().enumerate() {
        let last = index.saturating_add(1) == count;
        let reason = denied.filter(|_| last).map(|denial| denial.reason.clone());
        out.push(RuleOutcome {
            id: number(&finding, loaded),
            shadow: false,
            ruling: ruling(finding, reason),
        });
    }
    for finding in judgement.shadow {
        out.push(RuleOutcome {
            id: number(&finding, loaded),
            shadow: true,
            ruling: ruling(finding, None),
        });
    }
    out
}

/// A rule's number, which is its name in the set.
fn number(finding: &Finding, loaded: &Loaded) -> u32 {
    let number = finding.rule.parse().unwrap_or_default();
    if loaded.numbers.contains(&number) {
        number
    } else {
        0
    }
}

/// A finding in the gate's words; `denied` is the reason where it is the one that denies.
fn ruling(finding: Finding, denied: Option<String>) -> Ruling {
    let reason = finding.reason();
    match finding.said {
        Said::Verdict(Verdict::Allow) => Ruling::Allow,
        // Whether all of them have, the gate asks, which also uses the co-signatures up.
        Said::Verdict(Verdict::Cosign { parties, .. }) => Ruling::CoSign { parties, reason },
        Said::Verdict(Verdict::Flag { .. })
        | Said::Failed {
            outcome: OnExceed::Flag,
            ..
        } => Ruling::Flag(reason),
        Said::Verdict(Verdict::Deny { .. })
        | Said::Failed {
            outcome: OnExceed::Deny,
            ..
        } => Ruling::Deny(denied.unwrap_or(reason)),
    }
}

impl Supervisor for RuleSupervisor {
    fn judge(
        &self,
        case: &Case<'_>,
        state: &mut dyn GateState,
    ) -> Result<Vec<RuleOutcome>, StateError> {
        let charter = case.law.charter();
        let suite = case.transaction.block.suite;
        let loaded = self.rules(suite, charter, state)?;
        if loaded.set.is_empty() {
            return Ok(Vec::new());
        }
        let mut facts = facts(case, &mut |address| account(&mut *state, address))?;
        let (named, now) = (operation(case.transaction), case.transaction.block.time);
        facts.approvals = cosign::approvals(case.law, &mut GateView(&mut *state), &named, now)
            .map_err(|error| StateError::Corrupt(error.to_string()))?;
        if loaded.set.reads_history() {
            let word = account(state, &facts.sender)?;
            Self::add_history(suite, &mut Reader(&mut *state), &mut facts, &word)?;
        }
        Ok(outcomes(loaded.set.judge(&facts), &loaded))
    }

    fn settle(&self, case: &Case<'_>, store: &mut dyn GateStore) -> Result<(), StateError> {
        let suite = case.transaction.block.suite;
        let loaded = self.rules(suite, case.law.charter(), &mut *store)?;
        if !loaded.set.reads_history() {
            return Ok(());
        }
        let facts = facts(case, &mut |_| Ok(AccountWord::default()))?;
        let word = account(&mut *store, &facts.sender)?;
        let organisation = subject_of(&word);
        let mut slots = Writer(store);
        let history = History::new(suite);
        history.record(&mut slots, organisation.as_deref(), &facts)?;
        history.note(
            &mut slots,
            facts.sender,
            organisation.as_deref(),
            Time(facts.time_ms),
            Found::default(),
        )
    }

    fn note(
        &self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        notes: &[Note],
    ) -> Result<(), StateError> {
        let mut found = Found::default();
        for note in notes {
            let rule = note.finding.rule.strip_prefix("policy:");
            if rule.is_none_or(|rule| rule.ends_with(":shadow")) {
                continue;
            }
            match note.kind {
                NoteKind::Flagged => found.flags = found.flags.saturating_add(1),
                NoteKind::Intercepted => found.denied = true,
                NoteKind::Refused | NoteKind::FrameRefused => {}
            }
        }
        if found == Found::default() {
            return Ok(());
        }
        let word = account(&mut *store, &transaction.sender)?;
        History::new(transaction.block.suite).note(
            &mut Writer(store),
            transaction.sender,
            subject_of(&word).as_deref(),
            transaction.block.time,
            found,
        )
    }
}
