//! The gate of a governed chain: asks the authorizer, and whoever supervises, and writes down what was
//! refused.

use std::sync::Arc;

use alloy_primitives::{b256, keccak256};
use alloy_sol_types::SolError;
use hawser_execution::{
    Effects, Finding, FrameKind, Gate, GateFrame, GateState, GateStore, GateTransaction, Guard,
    Note, NoteKind, Opening, Verdict,
};
use hawser_ledger::state::StateError;
use hawser_primitives::{Address, B256, Time, U256};

use crate::{
    ADDRESS, IGovernance,
    access::{AccessError, GateView, GateWriter, Store, gate_error},
    action::Action,
    audit::{self, EntryKind, Moment, Remark},
    law::{Basis, Decision, Law, Laws, decide_for, frozen_asset},
    model::{AccountWord, NATIVE_ASSET, Resource, Status, token_asset},
    slots::{self, Counts, cosign_slot},
};

/// `Transfer(address,address,uint256)` of ERC-20 and ERC-721.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `TransferSingle(address,address,address,uint256,uint256)` of ERC-1155.
const TRANSFER_SINGLE: B256 =
    b256!("c3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62");
/// `TransferBatch(address,address,address,uint256[],uint256[])` of ERC-1155.
const TRANSFER_BATCH: B256 =
    b256!("4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb");

/// What a supervision rule says of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing.
    Allow,
    /// It must not take effect.
    Deny(String),
    /// It may, and is marked for review.
    Flag(String),
    /// It may once a supervisor has co-signed the same operation ([`operation`]).
    CoSign(String),
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

/// Watches one transaction. The law is that of its beginning, freezes are those of the moment.
struct Watch {
    law: Arc<Law>,
    sender: Address,
    word: AccountWord,
    freezes: bool,
    governance_called: bool,
    unsigned: bool,
    now: Time,
    may_deploy: Option<Option<Finding>>,
    supervisor: Option<Arc<dyn Supervisor>>,
}

impl Watch {
    fn frozen(
        &self,
        store: &mut dyn Store,
        account: &Address,
    ) -> Result<Option<Finding>, StateError> {
        if *account == ADDRESS {
            return Ok(None);
        }
        let word = slots::load_account(store, account).map_err(gate_error)?;
        Ok(word
            .is_frozen(self.now)
            .then(|| frozen_party(account, word.frozen_until)))
    }

    /// Whether what moved may move. Gives the first reason why not.
    fn moves(
        &self,
        store: &mut dyn Store,
        effects: &Effects<'_>,
    ) -> Result<Option<Finding>, StateError> {
        let asks = self.law.has_asset_rules() && !self.unsigned;
        if !self.freezes && !asks {
            return Ok(None);
        }
        let native = effects.transfers.iter();
        let native = native.map(|moved| (NATIVE_ASSET, moved.from, moved.to));
        let tokens = effects.logs.iter().filter_map(token_transfer);
        for (asset, from, to) in native.chain(tokens) {
            if self.freezes {
                for party in [from, to] {
                    if let Some(finding) = self.frozen(store, &party)? {
                        return Ok(Some(finding));
                    }
                }
                let frozen = frozen_asset(store, &asset, self.now).map_err(gate_error)?;
                if let Some(basis) = frozen {
                    let decision = Decision {
                        allowed: false,
                        basis,
                    };
                    let resource = Resource::Asset(asset);
                    return Ok(decision.refusal(&self.law, Action::Transfer, &resource));
                }
            }
            if asks {
                let resource = Resource::Asset(asset);
                let decision =
                    self.law
                        .permits(&self.sender, &self.word, Action::Transfer, &resource);
                // Only a rule stops what a contract moves; a role was asked for where the sender moved it.
                if !decision.allowed && matches!(decision.basis, Basis::Rule(_)) {
                    return Ok(decision.refusal(&self.law, Action::Transfer, &resource));
                }
            }
        }
        Ok(None)
    }
}

/// Asset, giver and taker of a token's event.
fn token_transfer(log: &alloy_primitives::Log) -> Option<(B256, Address, Address)> {
    let topics = log.data.topics();
    let asset = token_asset(&log.address);
    let party = |at: usize| topics.get(at).map(|topic| Address::from_word(*topic));
    match *topics.first()? {
        TRANSFER => Some((asset, party(1)?, party(2)?)),
        TRANSFER_SINGLE | TRANSFER_BATCH => Some((asset, party(2)?, party(3)?)),
        _ => None,
    }
}

impl Guard for Watch {
    fn needs_effects(&self) -> bool {
        let rules = self.law.has_asset_rules() && !self.unsigned;
        self.freezes || self.governance_called || rules || self.supervisor.is_some()
    }

    fn needs_trace(&self) -> bool {
        self.supervisor.is_some()
    }

    fn frame(
        &mut self,
        state: &mut dyn GateState,
        frame: &GateFrame,
    ) -> Result<Option<Finding>, StateError> {
        let mut store = GateView(state);
        // A freeze may come about within the transaction, once governance was called.
        if !self.freezes && self.governance_called {
            self.freezes = Counts::load(&mut store).map_err(gate_error)?.freezes > 0;
        }
        self.governance_called |= frame.to == Some(ADDRESS);
        if self.freezes {
            let code = frame.code.filter(|code| Some(*code) != frame.to);
            for party in [Some(frame.from), frame.to, code].into_iter().flatten() {
                if let Some(finding) = self.frozen(&mut store, &party)? {
                    return Ok(Some(finding));
                }
            }
        }
        if frame.kind == FrameKind::Create && frame.depth > 0 && !self.unsigned {
            let (law, sender, word) = (&self.law, &self.sender, &self.word);
            let found = self.may_deploy.get_or_insert_with(|| {
                law.permits(sender, word, Action::Deploy, &Resource::Any)
                    .refusal(law, Action::Deploy, &Resource::Any)
            });
            return Ok(found.clone());
        }
        Ok(None)
    }

    fn reverted(
        &mut self,
        transaction: &GateTransaction,
        data: &hawser_primitives::Bytes,
    ) -> Option<Finding> {
        // What governance refuses is as much a refusal as what the gate does.
        if !transaction
            .calls
            .iter()
            .any(|call| call.to == Some(ADDRESS))
        {
            return None;
        }
        Finding::from_revert_data(data).or_else(|| {
            let refused = IGovernance::Refused::abi_decode(data).ok()?;
            Some(Finding::new("governance", refused.reason))
        })
    }

    fn effects(
        &mut self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        effects: &Effects<'_>,
    ) -> Result<Verdict, StateError> {
        if !self.freezes && self.governance_called {
            let counts = Counts::load(&mut GateWriter(&mut *store)).map_err(gate_error)?;
            self.freezes = counts.freezes > 0;
        }
        let moved = self.moves(&mut GateWriter(&mut *store), effects)?;
        let mut verdict = Verdict {
            refuse: moved,
            flags: Vec::new(),
        };
        let Some(supervisor) = &self.supervisor else {
            return Ok(verdict);
        };
        if verdict.refuse.is_some() || only_governance(transaction) {
            // No rule may keep governors from governing, nor supervisors from lifting a freeze.
            return Ok(verdict);
        }
        let case = Case {
            law: &self.law,
            transaction,
            effects,
        };
        let mut cosign = None;
        for outcome in supervisor.judge(&case, &mut *store)? {
            let rule = format!("policy:{}", outcome.id);
            if outcome.shadow {
                let reason = match outcome.ruling {
                    Ruling::Allow => continue,
                    Ruling::Deny(reason) => format!("would deny: {reason}"),
                    Ruling::Flag(reason) => format!("would flag: {reason}"),
                    Ruling::CoSign(reason) => format!("would ask for a co-signature: {reason}"),
                };
                verdict
                    .flags
                    .push(Finding::new(format!("{rule}:shadow"), reason));
                continue;
            }
            match outcome.ruling {
                Ruling::Allow => {}
                Ruling::Flag(reason) => verdict.flags.push(Finding::new(rule, reason)),
                Ruling::Deny(reason) => {
                    verdict.refuse.get_or_insert(Finding::new(rule, reason));
                }
                Ruling::CoSign(reason) => {
                    cosign.get_or_insert((rule, reason));
                }
            }
        }
        if verdict.refuse.is_none()
            && let Some((rule, reason)) = cosign
        {
            let mut writer = GateWriter(&mut *store);
            verdict.refuse =
                take_cosignature(&mut writer, transaction, rule, &reason).map_err(gate_error)?;
        }
        if verdict.refuse.is_none() {
            supervisor.settle(&case, store)?;
        }
        Ok(verdict)
    }
}

fn only_governance(transaction: &GateTransaction) -> bool {
    transaction
        .calls
        .iter()
        .all(|call| call.to == Some(ADDRESS))
}

/// Uses up the co-signature of an operation; the refusal where there is none.
fn take_cosignature(
    store: &mut dyn Store,
    transaction: &GateTransaction,
    rule: String,
    reason: &str,
) -> Result<Option<Finding>, AccessError> {
    let operation = operation(transaction);
    let slot = cosign_slot(&operation);
    let signed = store.load(&slot)?;
    let now = U256::from(transaction.block.time.0);
    // The slot holds who co-signed and until when; see `contract`.
    let valid = U256::from_be_bytes(signed.0) >> 160usize > now;
    if valid {
        store.store(&slot, B256::ZERO)?;
        return Ok(None);
    }
    let text =
        format!("{reason}; needs the co-signature of a supervisor for operation {operation}");
    Ok(Some(Finding::new(rule, text)))
}

/// Whether an account may act at all, for queries of others (such as whether to answer it).
#[must_use]
pub fn in_good_standing(law: &Law, word: &AccountWord, now: Time) -> bool {
    word.status == Status::Active && law.standing(word, now).is_none()
}
