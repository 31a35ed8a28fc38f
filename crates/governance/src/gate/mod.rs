//! The gate of a governed chain: asks the authorizer, and whoever supervises, and writes down what was
//! refused.

mod watch;

use std::sync::Arc;

use alloy_primitives::keccak256;
use hawser_execution::{
    Effects, Finding, Gate, GateState, GateStore, GateTransaction, Note, NoteKind, Opening,
};
use hawser_ledger::state::StateError;
use hawser_primitives::{Address, B256, Time};

use crate::{
    ADDRESS,
    access::{AccessError, GateView, GateWriter, Store, gate_error},
    action::Action,
    audit::{self, EntryKind, Moment, Remark},
    cosign,
    law::{Basis, Decision, Law, Laws, decide_for},
    model::{AccountWord, NATIVE_ASSET, Resource, Status},
    slots::{self, Counts},
};
use watch::Watch;

/// What a supervision rule says of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing.
    Allow,
    /// It must not take effect.
    Deny(String),
    /// It may, and is marked for review.
    Flag(String),
    /// It may once each of these parties has co-signed the same operation ([`operation`]).
    CoSign {
        /// `role:…`, `org:…` or lower-case addresses.
        parties: Vec<String>,
        /// Why.
        reason: String,
    },
}

/// A ruling with the rule that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOutcome {
    /// Number of the supervision rule.
    pub id: u32,
    /// Whether it only shadows: its ruling is recorded and has no effect.
    pub shadow: bool,
    /// What it says.
    pub ruling: Ruling,
}

/// What a supervisor looks at.
pub struct Case<'a> {
    /// The law in force, with the supervision rules.
    pub law: &'a Law,
    /// The transaction.
    pub transaction: &'a GateTransaction,
    /// What it would do.
    pub effects: &'a Effects<'a>,
}

/// Whoever runs the supervision rules. Must be deterministic and bounded; a rule that cannot be run to
/// its end is a [`Ruling::Deny`] or a [`Ruling::Flag`], as the engine documents.
pub trait Supervisor: Send + Sync {
    /// Rules on a transaction that has succeeded. Called only where the charter has supervision rules
    /// that are not inactive.
    fn judge(
        &self,
        case: &Case<'_>,
        state: &mut dyn GateState,
    ) -> Result<Vec<RuleOutcome>, StateError>;

    /// Counts a transaction that goes through; asked before it is committed, and undone with it.
    fn settle(&self, case: &Case<'_>, store: &mut dyn GateStore) -> Result<(), StateError> {
        let _ = (case, store);
        Ok(())
    }

    /// Counts what was found of a transaction; asked after it, outside of it.
    fn note(
        &self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        notes: &[Note],
    ) -> Result<(), StateError> {
        let _ = (store, transaction, notes);
        Ok(())
    }
}

/// Names an operation for co-signing: Keccak-256 of chain id, sender and every call with its value and
/// data. The nonce is not part of it, so a refused transaction can be sent again once it is co-signed.
#[must_use]
pub fn operation(transaction: &GateTransaction) -> B256 {
    let mut bytes = transaction.block.chain_id.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(transaction.sender.as_slice());
    for call in &transaction.calls {
        match call.to {
            Some(to) => {
                bytes.push(1);
                bytes.extend_from_slice(to.as_slice());
            }
            None => bytes.push(0),
        }
        bytes.extend_from_slice(&call.value.to_be_bytes::<32>());
        bytes.extend_from_slice(keccak256(&call.input).as_slice());
    }
    keccak256(bytes)
}

/// See the module.
#[derive(Default)]
pub struct Gatekeeper {
    laws: Arc<Laws>,
    supervisor: Option<Arc<dyn Supervisor>>,
}

impl Gatekeeper {
    /// A gate without supervision rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same gate with an engine for supervision rules.
    #[must_use]
    pub fn with_supervisor(mut self, supervisor: Arc<dyn Supervisor>) -> Self {
        self.supervisor = Some(supervisor);
        self
    }
}

/// Whether a transaction may run, as far as its sender and what it asks for go.
fn refusal(
    law: &Law,
    store: &mut dyn Store,
    transaction: &GateTransaction,
    word: &AccountWord,
    freezes: bool,
) -> Result<Option<Finding>, AccessError> {
    let now = transaction.block.time;
    if freezes {
        for authority in &transaction.authorities {
            let word = slots::load_account(store, authority)?;
            if word.is_frozen(now) {
                return Ok(Some(frozen_party(authority, word.frozen_until)));
            }
        }
    }
    let sender = &transaction.sender;
    // Authorities act for their organisation in a recovery, members or not.
    let governs = |to: Option<Address>| to == Some(ADDRESS);
    let only_governs = transaction.calls.iter().all(|call| governs(call.to));
    if let Some(decision) = law.standing(word, now) {
        let outsider = matches!(decision.basis, Basis::Mode(_));
        if !(outsider && only_governs && law.charter().authority_of(sender).is_some()) {
            return Ok(decision.refusal(law, Action::Call, &Resource::Any));
        }
    }
    for call in &transaction.calls {
        let mut ask = |action: Action, resource: Resource| {
            // Standing holds already; what is left are frozen resources and permissions.
            let decision = decide_for(law, store, sender, word, freezes, action, &resource, now)?;
            Ok::<_, AccessError>(decision.refusal(law, action, &resource))
        };
        let found = match call.to {
            // Each method of governance asks for its own permission.
            Some(ADDRESS) => None,
            None => ask(Action::Deploy, Resource::Any)?,
            Some(to) if call.input.is_empty() && !call.value.is_zero() => {
                ask(Action::Transfer, Resource::Asset(NATIVE_ASSET))?
                    .or(frozen_target(law, store, &to, freezes, now)?)
            }
            Some(to) => {
                let resource = match call.selector() {
                    Some(selector) => Resource::Method(to, selector),
                    None => Resource::Contract(to),
                };
                match ask(Action::Call, resource)? {
                    None if !call.value.is_zero() => {
                        ask(Action::Transfer, Resource::Asset(NATIVE_ASSET))?
                    }
                    found => found,
                }
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn frozen_target(
    law: &Law,
    store: &mut dyn Store,
    to: &Address,
    freezes: bool,
    now: Time,
) -> Result<Option<Finding>, AccessError> {
    if !freezes {
        return Ok(None);
    }
    let word = slots::load_account(store, to)?;
    let decision = Decision {
        allowed: false,
        basis: Basis::FrozenContract(*to, word.frozen_until),
    };
    Ok(word
        .is_frozen(now)
        .then(|| decision.refusal(law, Action::Transfer, &Resource::Contract(*to)))
        .flatten())
}

fn frozen_party(account: &Address, until: Time) -> Finding {
    let end = if until == crate::model::NO_EXPIRY {
        "until it is lifted".to_owned()
    } else {
        format!("until {until} ms")
    };
    Finding::new("freeze:account", format!("{account} is frozen {end}"))
}

impl Gate for Gatekeeper {
    fn stands_open(&self, state: &mut dyn GateState) -> Result<bool, StateError> {
        Ok(state.slot(&ADDRESS, &slots::CHARTER_SLOT)?.is_zero())
    }

    fn open(
        &self,
        state: &mut dyn GateState,
        transaction: &GateTransaction,
    ) -> Result<Opening, StateError> {
        let mut store = GateView(state);
        let Some(law) = self.laws.current(&mut store).map_err(gate_error)? else {
            return Ok(Opening::Unguarded);
        };
        let freezes = Counts::load(&mut store).map_err(gate_error)?.freezes > 0;
        let word = slots::load_account(&mut store, &transaction.sender).map_err(gate_error)?;
        if !transaction.unsigned {
            let refusal = refusal(&law, &mut store, transaction, &word, freezes);
            if let Some(finding) = refusal.map_err(gate_error)? {
                return Ok(Opening::Refused(finding));
            }
        }
        let supervised = law
            .charter()
            .policies
            .values()
            .any(|policy| policy.mode != crate::model::PolicyMode::Inactive);
        let supervisor = self.supervisor.clone().filter(|_| supervised);
        Ok(Opening::Guarded(Box::new(Watch {
            sender: transaction.sender,
            word,
            freezes,
            governance_called: false,
            unsigned: transaction.unsigned,
            now: transaction.block.time,
            may_deploy: None,
            law,
            supervisor,
        })))
    }

    fn record(
        &self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        notes: &[Note],
    ) -> Result<(), StateError> {
        let moment = Moment {
            height: transaction.block.height,
            time: transaction.block.time,
            transaction: transaction.hash,
        };
        if let Some(supervisor) = &self.supervisor {
            supervisor.note(&mut *store, transaction, notes)?;
        }
        let mut store = GateWriter(store);
        for note in notes {
            if !note.awaits.is_empty()
                && let Some(law) = self.laws.current(&mut store).map_err(gate_error)?
            {
                let operation = operation(transaction);
                let asked = (
                    transaction.sender,
                    &*note.finding.rule,
                    note.awaits.as_slice(),
                );
                cosign::ask(&law, &mut store, &operation, asked, moment.time)
                    .map_err(gate_error)?;
            }
            let target = match (note.kind, note.party) {
                (_, Some(party)) => format!("account:{party}"),
                (NoteKind::Intercepted, None) => format!("operation:{}", operation(transaction)),
                (_, None) => targets(transaction),
            };
            let remark = Remark {
                kind: match note.kind {
                    NoteKind::Refused => EntryKind::Refused,
                    NoteKind::FrameRefused => EntryKind::FrameRefused,
                    NoteKind::Intercepted => EntryKind::Intercepted,
                    NoteKind::Flagged => EntryKind::Flagged,
                },
                actor: transaction.sender,
                target,
                rule: note.finding.rule.clone(),
                detail: note.finding.reason.clone(),
            };
            audit::append(&mut store, &moment, remark).map_err(gate_error)?;
        }
        Ok(())
    }
}

/// The actions that a transaction asks for, each once, in order.
#[must_use]
pub fn actions(transaction: &GateTransaction) -> String {
    let mut names: Vec<&str> = Vec::new();
    for call in &transaction.calls {
        let action = match call.to {
            None => Action::Deploy,
            Some(_) if call.input.is_empty() && !call.value.is_zero() => Action::Transfer,
            Some(_) => Action::Call,
        };
        if !names.contains(&action.name()) {
            names.push(action.name());
        }
    }
    names.join(" ")
}

/// What a transaction asks for, in short.
#[must_use]
pub fn targets(transaction: &GateTransaction) -> String {
    let mut names = Vec::new();
    for call in transaction.calls.iter().take(4) {
        names.push(match (call.to, call.selector()) {
            (None, _) => "deploy".to_owned(),
            (Some(to), Some(selector)) => Resource::Method(to, selector).to_string(),
            (Some(to), None) => format!("account:{to}"),
        });
    }
    if transaction.calls.len() > names.len() {
        names.push("…".to_owned());
    }
    names.join(" ")
}

/// Whether an account may act at all, for queries of others (such as whether to answer it).
#[must_use]
pub fn in_good_standing(law: &Law, word: &AccountWord, now: Time) -> bool {
    word.status == Status::Active && law.standing(word, now).is_none()
}
