//! The native contract: who may call what, and what it writes down.

mod abi;
mod read;
mod supervise;

use alloy_primitives::FixedBytes;
use alloy_sol_types::{SolCall, SolError, SolEvent, SolValue};
use hawser_execution::{
    CallEnv, Finding, NativeContract, NativeFailure, NativeGenesis, NativeResult, NativeState,
};
use hawser_ledger::{Genesis, state::StateError};
use hawser_primitives::{Address, Bytes, Time, U256, decode_exact};

pub use abi::{IGovernance, target_from_parts, target_parts};

use crate::{
    ADDRESS,
    access::{AccessError, CallStore},
    action::{Action, Role},
    audit::{self, EntryKind, Moment, Remark},
    change::Change,
    error::{GovernanceError, invalid, limit},
    founding,
    law::{self, Law, Laws},
    model::Resource,
    proposal::{self, CHANGES_BYTES_MAX, Proposal, ProposalStatus, Route, Submission},
    slots,
};

/// Gas of any call, beyond what it reads and writes.
pub const CALL_GAS: u64 = 2_000;
/// Gas per byte of the changes of a proposal: decoding and trying them.
pub const CHANGE_BYTE_GAS: u64 = 30;
/// Gas of executing one change, beyond what it reads and writes.
pub const CHANGE_GAS: u64 = 5_000;
/// Longest call data, in bytes.
const INPUT_BYTES_MAX: usize = CHANGES_BYTES_MAX + 8_192;
/// Longest text that goes on the record, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Gas of compiling a script of a proposal, beyond its bytes: what its constants may take.
pub const SCRIPT_GAS: u64 = 200_000;

/// The contract.
#[derive(Debug, Default)]
pub struct Governance {
    laws: Laws,
}

fn revert<E: SolError>(error: &E) -> NativeFailure {
    NativeFailure::Revert(error.abi_encode().into())
}

impl From<GovernanceError> for NativeFailure {
    fn from(error: GovernanceError) -> Self {
        match error {
            GovernanceError::Access(AccessError::Native(failure)) => failure,
            // Storage that does not read back is a damaged store; the block fails as a whole.
            GovernanceError::Access(AccessError::State(error)) => state_failure(&error),
            GovernanceError::Denied(finding) => Self::Revert(finding.revert_data()),
            other => revert(&IGovernance::Refused {
                reason: other.to_string(),
            }),
        }
    }
}

const fn state_failure(_: &StateError) -> NativeFailure {
    NativeFailure::State
}

impl NativeContract for Governance {
    fn address(&self) -> Address {
        ADDRESS
    }

    fn name(&self) -> &'static str {
        "governance"
    }

    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult {
        state.charge(CALL_GAS)?;
        if !env.value.is_zero() {
            return Err(revert(&IGovernance::NotPayable {}));
        }
        if env.input.len() > INPUT_BYTES_MAX {
            return Err(abi::malformed("call data is too long"));
        }
        // Arguments are copied at most once per dynamic field.
        state.charge(env.input.len() as u64)?;
        let Some((selector, arguments)) = env.input.split_first_chunk::<4>() else {
            return Err(abi::malformed("call data has no selector"));
        };
        let mut call = Call {
            env,
            laws: &self.laws,
            state,
            selector: *selector,
            arguments,
        };
        match call.read()? {
            Some(output) => Ok(output),
            None => call.act(),
        }
    }

    fn genesis(&self, genesis: &Genesis) -> NativeGenesis {
        // `Genesis::check` and `founding::check` have refused what cannot start.
        founding::storage(genesis).unwrap_or_default()
    }
}

struct Call<'a> {
    env: &'a CallEnv,
    laws: &'a Laws,
    state: &'a mut dyn NativeState,
    selector: [u8; 4],
    arguments: &'a [u8],
}

type Done = Result<(), GovernanceError>;

impl Call<'_> {
    fn store(&mut self) -> CallStore<'_> {
        CallStore(self.state)
    }

    fn moment(&self) -> Moment {
        Moment {
            height: self.env.height,
            time: self.env.time,
            transaction: self.env.transaction_hash,
        }
    }

    fn law(&mut self) -> Result<std::sync::Arc<Law>, GovernanceError> {
        let laws = self.laws;
        let law = laws.metered(&mut self.store())?;
        law.ok_or(GovernanceError::Ungoverned)
    }

    fn decode<C: SolCall>(&self) -> Result<C, NativeFailure> {
        C::abi_decode_raw(self.arguments).map_err(|error| abi::malformed(&error.to_string()))
    }

    fn proposal(&mut self, id: u64) -> Result<Proposal, GovernanceError> {
        let found = proposal::load(&mut self.store(), id)?;
        found.ok_or_else(|| GovernanceError::Unknown(format!("proposal {id}")))
    }

    /// Does what changes something.
    fn act(&mut self) -> NativeResult {
        match self.selector {
            IGovernance::proposeCall::SELECTOR => {
                let call = self.decode::<IGovernance::proposeCall>()?;
                let id = self.propose(call.title, call.description, &call.changes)?;
                return Ok(U256::from(id).abi_encode().into());
            }
            IGovernance::proposeRecoveryCall::SELECTOR => {
                let call = self.decode::<IGovernance::proposeRecoveryCall>()?;
                let id = self.propose_recovery(call.title, call.description, &call.changes)?;
                return Ok(U256::from(id).abi_encode().into());
            }
            IGovernance::voteCall::SELECTOR => {
                let call = self.decode::<IGovernance::voteCall>()?;
                self.vote(call.id, call.approve)?;
            }
            IGovernance::cancelCall::SELECTOR => {
                let id = self.decode::<IGovernance::cancelCall>()?.id;
                self.cancel(id)?;
            }
            IGovernance::executeCall::SELECTOR => {
                let id = self.decode::<IGovernance::executeCall>()?.id;
                self.execute(id)?;
            }
            IGovernance::freezeCall::SELECTOR => {
                let call = self.decode::<IGovernance::freezeCall>()?;
                let target = target_from_parts(call.kind, &call.target);
                let target = target.ok_or_else(|| abi::malformed("no such target"))?;
                self.freeze(target, Time(call.until), &call.reason)?;
            }
            IGovernance::unfreezeCall::SELECTOR => {
                let call = self.decode::<IGovernance::unfreezeCall>()?;
                let target = target_from_parts(call.kind, &call.target);
                let target = target.ok_or_else(|| abi::malformed("no such target"))?;
                self.unfreeze(target, &call.reason)?;
            }
            IGovernance::inspectCall::SELECTOR => {
                let call = self.decode::<IGovernance::inspectCall>()?;
                self.inspect(call.domain, call.purpose)?;
            }
            IGovernance::cosignCall::SELECTOR => {
                let call = self.decode::<IGovernance::cosignCall>()?;
                self.cosign(call.operation, Time(call.until))?;
            }
            IGovernance::reportCall::SELECTOR => {
                let command = self.decode::<IGovernance::reportCall>()?.command;
                self.report(command)?;
            }
            selector => {
                return Err(revert(&IGovernance::UnknownFunction {
                    selector: FixedBytes(selector),
                }));
            }
        }
        Ok(Bytes::new())
    }

    /// Refuses a caller without a permission.
    fn demand(&mut self, action: Action, resource: &Resource) -> Result<(), GovernanceError> {
        let law = self.law()?;
        let (caller, now) = (self.env.caller, self.env.time);
        let decision = law::decide(&law, &mut self.store(), &caller, action, resource, now)?;
        match decision.refusal(&law, action, resource) {
            Some(finding) => Err(GovernanceError::Denied(finding)),
            None => Ok(()),
        }
    }

    /// Appends to the audit trail and tells it in an event.
    fn record(&mut self, remark: Remark) -> Done {
        let moment = self.moment();
        let (entry, hash) = audit::append(&mut self.store(), &moment, remark)?;
        self.emit(&IGovernance::Audited {
            number: entry.number,
            kind: entry.kind as u8,
            actor: entry.actor,
            entryHash: hash,
            target: entry.target,
        })
    }

    fn emit<E: SolEvent>(&mut self, event: &E) -> Done {
        let topics = event.encode_topics().into_iter().map(|topic| topic.0);
        let topics = topics.collect();
        let data = event.encode_data().into();
        self.state.log(topics, data).map_err(AccessError::Native)?;
        Ok(())
    }

    fn changes(&mut self, bytes: &[u8]) -> Result<Vec<Change>, GovernanceError> {
        limit("bytes of changes", bytes.len(), CHANGES_BYTES_MAX)?;
        let gas = (bytes.len() as u64).saturating_mul(CHANGE_BYTE_GAS);
        self.state.charge(gas).map_err(AccessError::Native)?;
        let changes: Vec<Change> = decode_exact(bytes, CHANGES_BYTES_MAX)
            .map_err(|error| GovernanceError::Invalid(format!("changes: {error}")))?;
        let scripts = changes.iter();
        let scripts = scripts.filter(|change| matches!(change, Change::SetPolicy { .. }));
        let gas = (scripts.count() as u64).saturating_mul(SCRIPT_GAS);
        self.state.charge(gas).map_err(AccessError::Native)?;
        Ok(changes)
    }

    fn propose(
        &mut self,
        title: String,
        description: String,
        changes: &[u8],
    ) -> Result<u64, GovernanceError> {
        self.demand(Action::Propose, &Resource::Any)?;
        let changes = self.changes(changes)?;
        let author = self.env.caller;
        let organisation = slots::load_account(&mut self.store(), &author)?.organisation;
        for change in &changes {
            if let Change::RecoverAccount { old, .. } = change {
                self.check_recoverer(old)?;
            }
        }
        self.submit(Submission {
            author,
            organisation,
            route: Route::Governors,
            title,
            description,
            changes,
        })
    }

    /// The recovery of an account is proposed by an administrator of its own organisation.
    fn check_recoverer(&mut self, old: &Address) -> Done {
        let caller = self.env.caller;
        let mut store = self.store();
        let lost = slots::load_account(&mut store, old)?;
        let by = slots::load_account(&mut store, &caller)?;
        if by.organisation == lost.organisation && by.roles.has(Role::Administrator) {
            return Ok(());
        }
        invalid(format!(
            "the recovery of {old} has to be proposed by an administrator of its organisation {}",
            lost.organisation
        ))
    }

    fn propose_recovery(
        &mut self,
        title: String,
        description: String,
        changes: &[u8],
    ) -> Result<u64, GovernanceError> {
        let author = self.env.caller;
        let organisation = self.demand_authority()?;
        let changes = self.changes(changes)?;
        self.submit(Submission {
            author,
            organisation,
            route: Route::Authorities,
            title,
            description,
            changes,
        })
    }

    /// The organisation that the caller is an authority of; refuses everyone else and the frozen.
    fn demand_authority(&mut self) -> Result<u32, GovernanceError> {
        let law = self.law()?;
        let (caller, now) = (self.env.caller, self.env.time);
        let word = slots::load_account(&mut self.store(), &caller)?;
        if word.is_frozen(now) {
            let text = "a frozen account cannot act for its organisation";
            return Err(GovernanceError::Denied(Finding::new(
                "freeze:account",
                text,
            )));
        }
        let organisation = law.charter().authority_of(&caller);
        match organisation.filter(|id| law.charter().is_active(*id)) {
            Some(organisation) => Ok(organisation),
            None => Err(GovernanceError::Denied(Finding::new(
                "authority",
                "only the authority accounts of an organisation in good standing decide recoveries",
            ))),
        }
    }

    fn submit(&mut self, submission: Submission) -> Result<u64, GovernanceError> {
        let law = self.law()?;
        let (suite, moment) = (self.env.suite, self.moment());
        let kind = match submission.route {
            Route::Governors => EntryKind::Proposed,
            Route::Authorities => EntryKind::Recovered,
        };
        let proposal =
            proposal::submit(&mut self.store(), suite, &moment, law.charter(), submission)?;
        let (id, author, title) = (proposal.id, proposal.author, proposal.title);
        let target = format!("proposal:{id}");
        self.record(Remark::new(kind, author, target, title.as_str()))?;
        self.emit(&IGovernance::Proposed { id, author, title })?;
        Ok(id)
    }

    fn vote(&mut self, id: u64, approve: bool) -> Done {
        let voter = self.env.caller;
        let mut proposal = self.proposal(id)?;
        let law = self.law()?;
        match proposal.route {
            Route::Authorities => {
                self.demand_authority()?;
            }
            Route::Governors => {
                self.demand(Action::Vote, &Resource::Any)?;
                if !law.charter().voters().any(|(account, _)| *account == voter) {
                    let text = "only governors of organisations in good standing vote";
                    return Err(GovernanceError::Denied(Finding::new("role:governor", text)));
                }
            }
        }
        let now = self.env.time;
        let charter = law.charter();
        let decided = proposal::vote(
            &mut self.store(),
            charter,
            &mut proposal,
            voter,
            approve,
            now,
        )?;
        let how = if approve { "yes" } else { "no" };
        let target = format!("proposal:{id}");
        self.record(Remark::new(EntryKind::Voted, voter, target, how))?;
        self.emit(&IGovernance::Voted { id, voter, approve })?;
        if let Some(status) = decided {
            self.close(id, status)?;
        }
        Ok(())
    }

    fn close(&mut self, id: u64, status: ProposalStatus) -> Done {
        let target = format!("proposal:{id}");
        let remark = Remark::new(EntryKind::Closed, ADDRESS, target, status.name());
        self.record(remark)?;
        let status = status as u8;
        self.emit(&IGovernance::ProposalStatusChanged { id, status })
    }

    fn cancel(&mut self, id: u64) -> Done {
        let mut proposal = self.proposal(id)?;
        let (caller, now) = (self.env.caller, self.env.time);
        proposal::cancel(&mut self.store(), &mut proposal, caller, now)?;
        let target = format!("proposal:{id}");
        self.record(Remark::new(EntryKind::Cancelled, caller, target, ""))?;
        let status = ProposalStatus::Cancelled as u8;
        self.emit(&IGovernance::ProposalStatusChanged { id, status })
    }

    fn execute(&mut self, id: u64) -> Done {
        let mut proposal = self.proposal(id)?;
        match proposal.route {
            Route::Authorities => {
                self.demand_authority()?;
            }
            Route::Governors => self.demand(Action::Propose, &Resource::Any)?,
        }
        let law = self.law()?;
        let (suite, moment, caller) = (self.env.suite, self.moment(), self.env.caller);
        let gas = CHANGE_GAS.saturating_mul(proposal::CHANGES_MAX as u64);
        self.state.charge(gas).map_err(AccessError::Native)?;
        let charter = law.charter();
        let changes = proposal::execute(&mut self.store(), suite, &moment, charter, &mut proposal)?;
        let kind = match proposal.route {
            Route::Governors => EntryKind::Executed,
            Route::Authorities => EntryKind::Recovered,
        };
        let target = format!("proposal:{id}");
        self.record(Remark::new(kind, caller, target, proposal.title.as_str()))?;
        for change in &changes {
            let (kind, target, until, reason) = match change {
                Change::Freeze {
                    target,
                    until,
                    reason,
                } => {
                    let until = until.unwrap_or(crate::model::NO_EXPIRY);
                    (EntryKind::Frozen, *target, until.0, reason.clone())
                }
                Change::Unfreeze { target } => (EntryKind::Unfrozen, *target, 0, String::new()),
                _ => continue,
            };
            self.tell_freeze(kind, target, until, &reason)?;
        }
        let status = ProposalStatus::Executed as u8;
        self.emit(&IGovernance::ProposalStatusChanged { id, status })
    }
}

fn access(error: AccessError) -> NativeFailure {
    GovernanceError::from(error).into()
}
