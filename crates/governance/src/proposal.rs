//! Proposals: what is proposed, who voted, and how it ended.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_policy::check_script;
use hawser_primitives::{Address, B256, Bytes, Domain, Height, Time, decode_exact, encode};
use serde::{Deserialize, Serialize};

use crate::{
    access::{AccessError, Overlay, Store, damaged, named},
    audit::Moment,
    change::Change,
    draft::Draft,
    error::{GovernanceError, invalid, limit},
    kind::{Basis, Count, ProposalKind},
    model::{Charter, GOVERNORS_MAX, SCRIPT_BYTES_MAX},
    slots::{Counts, proposal_slot},
};

/// Most changes of one proposal.
pub const CHANGES_MAX: usize = 64;
/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 128;
/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 2_048;
/// Longest encoded changes, in bytes.
pub const CHANGES_BYTES_MAX: usize = 384 * 1024;
/// Longest encoded proposal, in bytes: its texts and a vote of every governor or authority.
const PROPOSAL_BYTES_MAX: usize = 512 * 1024;

/// Who decides a proposal.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The governors, by the threshold of each kind.
    Governors,
    /// The authorities of the organisations: more than two thirds of the organisations that have any,
    /// each by its own number of authorities.
    Authorities,
}

/// Where a proposal stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalStatus {
    /// Votes are taken.
    Open,
    /// It passed and waits for its execution.
    Passed,
    /// It can no longer pass.
    Rejected,
    /// Withdrawn.
    Cancelled,
    /// Nobody decided, or nobody executed it, in time.
    Expired,
    /// In effect.
    Executed,
}

impl ProposalStatus {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Passed => "passed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Executed => "executed",
        }
    }
}

/// A proposal as the chain keeps it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Number, from 1.
    pub id: u64,
    /// Who proposes.
    pub author: Address,
    /// The author's organisation.
    pub organisation: u32,
    /// Who decides.
    pub route: Route,
    /// In a line.
    pub title: String,
    /// At length.
    pub description: String,
    /// Hash of the encoded changes (`Domain::Governance`).
    pub changes: B256,
    /// Kinds of the changes.
    pub kinds: BTreeSet<ProposalKind>,
    /// Block that took it in.
    pub height: Height,
    /// Its time.
    pub submitted: Time,
    /// First instant at which votes are no longer taken.
    pub closes: Time,
    /// First instant at which it may be executed; 0 until it has passed.
    pub executable_from: Time,
    /// First instant at which it may no longer be executed; 0 until it has passed.
    pub lapses: Time,
    /// As stored; see [`Self::status`] for what it is at a time.
    pub stored_status: ProposalStatus,
    /// When it ended; 0 until it has.
    pub ended: Time,
    /// Who voted how.
    pub votes: BTreeMap<Address, bool>,
}

/// How the votes on one kind stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Which kind; none for a recovery.
    pub kind: Option<ProposalKind>,
    /// What is needed, in words.
    pub needed: String,
    /// The votes.
    pub count: Count,
    /// Whether that is enough.
    pub met: bool,
}

impl Proposal {
    /// Where it stands at a time.
    #[must_use]
    pub fn status(&self, now: Time) -> ProposalStatus {
        match self.stored_status {
            ProposalStatus::Open if now >= self.closes => ProposalStatus::Expired,
            ProposalStatus::Passed if now >= self.lapses => ProposalStatus::Expired,
            other => other,
        }
    }

    /// How the votes stand, kind by kind.
    #[must_use]
    pub fn standings(&self, charter: &Charter) -> Vec<Standing> {
        match self.route {
            Route::Authorities => {
                let count = self.authority_count(charter);
                vec![Standing {
                    kind: None,
                    needed: "more than 2/3 of organisations, by their authorities".to_owned(),
                    met: two_thirds(count.yes, count.total),
                    count,
                }]
            }
            Route::Governors => {
                let by = |basis| Count::of(charter, basis, &self.votes);
                let (members, weight) = (by(Basis::Members), by(Basis::Weight));
                let standing = |kind: &ProposalKind| {
                    let threshold = charter.threshold(*kind);
                    let count = match threshold.basis {
                        Basis::Members => members,
                        Basis::Weight => weight,
                    };
                    Standing {
                        kind: Some(*kind),
                        needed: threshold.to_string(),
                        count,
                        met: threshold.is_met(count.yes, count.total),
                    }
                };
                self.kinds.iter().map(standing).collect()
            }
        }
    }

    /// Organisations whose authorities said yes, said no for good, and all that have authorities.
    fn authority_count(&self, charter: &Charter) -> Count {
        let mut count = Count::default();
        for organisation in charter.organisations.values() {
            if organisation.suspended || organisation.authorities.is_empty() {
                continue;
            }
            let said = |what: bool| {
                let all = organisation.authorities.iter();
                all.filter(|authority| self.votes.get(*authority) == Some(&what))
                    .count()
            };
            let needed = usize::from(organisation.authority_threshold);
            count.total += 1;
            if said(true) >= needed {
                count.yes += 1;
            } else if organisation.authorities.len() - said(false) < needed {
                count.no += 1;
            }
        }
        count
    }

    /// Whether it has what it needs.
    #[must_use]
    pub fn has_passed(&self, charter: &Charter) -> bool {
        let standings = self.standings(charter);
        !standings.is_empty() && standings.iter().all(|standing| standing.met)
    }

    fn can_pass(&self, charter: &Charter) -> bool {
        match self.route {
            Route::Authorities => {
                let count = self.authority_count(charter);
                two_thirds(count.total.saturating_sub(count.no), count.total)
            }
            Route::Governors => self.kinds.iter().all(|kind| {
                let threshold = charter.threshold(*kind);
                Count::of(charter, threshold.basis, &self.votes).can_meet(&threshold)
            }),
        }
    }

    /// Counts the votes and moves on; gives the new status if it changed.
    pub(crate) fn count(&mut self, charter: &Charter, now: Time) -> Option<ProposalStatus> {
        if self.stored_status != ProposalStatus::Open {
            return None;
        }
        if self.has_passed(charter) {
            self.stored_status = ProposalStatus::Passed;
            self.executable_from = now.plus_ms(charter.time_lock_ms);
            self.lapses = self.executable_from.plus_ms(charter.voting_ms);
        } else if !self.can_pass(charter) {
            self.stored_status = ProposalStatus::Rejected;
            self.ended = now;
        } else {
            return None;
        }
        Some(self.stored_status)
    }
}

const fn two_thirds(yes: u64, total: u64) -> bool {
    yes > 0 && yes as u128 * 3 > total as u128 * 2
}

/// What somebody wants to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    pub(crate) author: Address,
    pub(crate) organisation: u32,
    pub(crate) route: Route,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) changes: Vec<Change>,
}

/// Refuses scripts that do not compile, and a mode that the script after it would undo.
fn check_scripts(changes: &[Change]) -> Result<(), GovernanceError> {
    let mut moded = BTreeSet::new();
    for change in changes {
        match change {
            Change::SetPolicyMode { id, .. } => {
                moded.insert(*id);
            }
            Change::SetPolicy { id, script, .. } => {
                if moded.contains(id) {
                    return invalid(format!(
                        "supervision rule {id} gets its mode before its script, and a new script puts a rule \
                         out of force; give set_policy first, then set_policy_mode"
                    ));
                }
                limit("bytes of a script", script.len(), SCRIPT_BYTES_MAX)?;
                let Ok(source) = std::str::from_utf8(script) else {
                    return invalid(format!(
                        "the script of supervision rule {id} is not UTF-8 text"
                    ));
                };
                check_script(source).map_err(|error| GovernanceError::Script { id: *id, error })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks changes in themselves and against each other.
pub fn check_changes(changes: &[Change], route: Route) -> Result<(), GovernanceError> {
    if changes.is_empty() {
        return invalid("a proposal needs at least one change");
    }
    limit("changes", changes.len(), CHANGES_MAX)?;
    let mut concerned = BTreeSet::new();
    for change in changes {
        if route == Route::Authorities && !change.is_recovery() {
            return invalid(format!(
                "a recovery cannot make a change of kind {}; it puts governors back, and they decide the \
                 rest",
                change.kind()
            ));
        }
        for what in change.concerns() {
            if !concerned.insert(what.clone()) {
                return Err(GovernanceError::Contradiction(what));
            }
        }
    }
    check_scripts(changes)
}

/// Tries changes on a copy: everything that would refuse them at execution refuses them here.
pub fn try_changes(
    store: &mut dyn Store,
    suite: Suite,
    moment: &Moment,
    changes: &[Change],
) -> Result<(), GovernanceError> {
    let mut trial = Overlay::new(suite, store);
    carry_out(&mut trial, suite, moment, changes, true)
}

/// Carries changes out. In a trial a change that waits for its block does not have to wait.
pub(crate) fn carry_out(
    store: &mut dyn Store,
    suite: Suite,
    moment: &Moment,
    changes: &[Change],
    trial: bool,
) -> Result<(), GovernanceError> {
    let mut draft = Draft::new(store, suite, *moment, crate::ADDRESS)?;
    if trial {
        draft = draft.at_any_height();
    }
    for change in changes {
        draft.apply(change)?;
    }
    draft.finish()
}

/// Takes a proposal in; gives it.
pub(crate) fn submit(
    store: &mut dyn Store,
    suite: Suite,
    moment: &Moment,
    charter: &Charter,
    submission: Submission,
) -> Result<Proposal, GovernanceError> {
    limit("bytes of a title", submission.title.len(), TITLE_BYTES_MAX)?;
    if submission.title.is_empty() {
        return invalid("a proposal needs a title");
    }
    let description = submission.description.len();
    limit("bytes of a description", description, DESCRIPTION_BYTES_MAX)?;
    check_changes(&submission.changes, submission.route)?;
    try_changes(store, suite, moment, &submission.changes)?;
    let encoded = encode(&submission.changes);
    limit("bytes of changes", encoded.len(), CHANGES_BYTES_MAX)?;
    let changes = store.put(Domain::Governance, encoded.into())?;
    let mut counts = Counts::load(store)?;
    counts.proposals = counts.proposals.saturating_add(1);
    counts.save(store)?;
    let proposal = Proposal {
        id: counts.proposals,
        author: submission.author,
        organisation: submission.organisation,
        route: submission.route,
        title: submission.title,
        description: submission.description,
        changes,
        kinds: submission.changes.iter().map(Change::kind).collect(),
        height: moment.height,
        submitted: moment.time,
        closes: moment.time.plus_ms(charter.voting_ms),
        executable_from: Time::default(),
        lapses: Time::default(),
        stored_status: ProposalStatus::Open,
        ended: Time::default(),
        votes: BTreeMap::new(),
    };
    save(store, &proposal)?;
    Ok(proposal)
}

pub(crate) fn save(store: &mut dyn Store, proposal: &Proposal) -> Result<(), AccessError> {
    let hash = store.put(Domain::GovernanceProposal, encode(proposal).into())?;
    store.store(&proposal_slot(proposal.id), hash)
}

/// A proposal by number; `None` where there is none.
pub fn load(store: &mut dyn Store, id: u64) -> Result<Option<Proposal>, AccessError> {
    let hash = store.load(&proposal_slot(id))?;
    if hash.is_zero() {
        return Ok(None);
    }
    let bytes = named(store, &hash)?;
    let proposal = decode_exact(&bytes, PROPOSAL_BYTES_MAX);
    proposal
        .map(Some)
        .map_err(|error| damaged(format!("proposal {id}: {error}")))
}

/// The changes of a proposal.
pub fn changes(store: &mut dyn Store, proposal: &Proposal) -> Result<Vec<Change>, AccessError> {
    let bytes: Bytes = named(store, &proposal.changes)?;
    decode_exact(&bytes, CHANGES_BYTES_MAX)
        .map_err(|error| damaged(format!("changes of proposal {}: {error}", proposal.id)))
}

/// Casts a vote; gives the status if the vote decided.
pub(crate) fn vote(
    store: &mut dyn Store,
    charter: &Charter,
    proposal: &mut Proposal,
    voter: Address,
    approve: bool,
    now: Time,
) -> Result<Option<ProposalStatus>, GovernanceError> {
    let status = proposal.status(now);
    if status != ProposalStatus::Open {
        return Err(GovernanceError::ProposalState {
            id: proposal.id,
            state: status.name(),
            hint: "votes are taken on open proposals only",
        });
    }
    if proposal.votes.contains_key(&voter) {
        return Err(GovernanceError::VotedBefore(voter));
    }
    // Governors who left keep their entry, so the electorate alone is no bound.
    limit(
        "votes",
        proposal.votes.len().saturating_add(1),
        4 * GOVERNORS_MAX,
    )?;
    proposal.votes.insert(voter, approve);
    let decided = proposal.count(charter, now);
    save(store, proposal)?;
    Ok(decided)
}

/// Withdraws a proposal; only its author may.
pub(crate) fn cancel(
    store: &mut dyn Store,
    proposal: &mut Proposal,
    caller: Address,
    now: Time,
) -> Result<(), GovernanceError> {
    if caller != proposal.author {
        return invalid(format!(
            "only its author {} can cancel proposal {}; vote against it instead",
            proposal.author, proposal.id
        ));
    }
    let status = proposal.status(now);
    if !matches!(status, ProposalStatus::Open | ProposalStatus::Passed) {
        return Err(GovernanceError::ProposalState {
            id: proposal.id,
            state: status.name(),
            hint: "it has ended already",
        });
    }
    proposal.stored_status = ProposalStatus::Cancelled;
    proposal.ended = now;
    Ok(save(store, proposal)?)
}

/// Puts a proposal that has passed into effect.
pub(crate) fn execute(
    store: &mut dyn Store,
    suite: Suite,
    moment: &Moment,
    charter: &Charter,
    proposal: &mut Proposal,
) -> Result<Vec<Change>, GovernanceError> {
    let now = moment.time;
    let status = proposal.status(now);
    if status != ProposalStatus::Passed {
        return Err(GovernanceError::ProposalState {
            id: proposal.id,
            state: status.name(),
            hint: "only what has passed can be executed",
        });
    }
    if now < proposal.executable_from {
        return Err(GovernanceError::TimeLock {
            id: proposal.id,
            from: proposal.executable_from,
            now,
        });
    }
    if !proposal.has_passed(charter) {
        return invalid(format!(
            "proposal {} passed, but those who approved it no longer suffice: propose it again",
            proposal.id
        ));
    }
    let changes = changes(store, proposal)?;
    carry_out(store, suite, moment, &changes, false)?;
    proposal.stored_status = ProposalStatus::Executed;
    proposal.ended = now;
    save(store, proposal)?;
    Ok(changes)
}
