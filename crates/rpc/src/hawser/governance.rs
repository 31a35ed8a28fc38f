//! Governance: who governs the chain, what is proposed, what is allowed and why, what happened.

use std::sync::LazyLock;

use hawser_governance::{
    self as governance, Change, Lang, Laws, Proposal, Resource, access::StateView, action::Action,
    audit::Filter, difference, dryrun, query, try_changes,
};
use hawser_node::store::ChainStore;
use hawser_primitives::{Address, Bytes, Time, encode};
use serde::Deserialize;
use serde_json::{Value, json as object};

use crate::{
    methods::{Answer, Context},
    wire::{ErrorObject, Params, json},
};

/// Members or proposals in one answer.
const PAGE_MAX: usize = 200;
/// Audit entries in one answer.
const AUDIT_PAGE_MAX: usize = 500;
/// Audit entries looked at for one answer.
const AUDIT_SCAN_MAX: u64 = 20_000;

/// Charters made ready for questions.
static LAWS: LazyLock<Laws> = LazyLock::new(Laws::default);

fn now(store: &ChainStore) -> Time {
    store.head().block.header.time
}

/// `hawser_governance`: how the chain is governed.
pub(crate) async fn governance(cx: &Context, params: Params) -> Answer {
    params.end()?;
    cx.read(|store| {
        let state = store.state(store.head().id().height)?;
        let Some(charter) = query::charter(&state)? else {
            return json(&object!({ "governed": false, "contract": governance::ADDRESS }));
        };
        let counts = query::counts(&state)?;
        let (entries, head) = query::audit_head(&state)?;
        let thresholds: Vec<_> = governance::ProposalKind::ALL
            .into_iter()
            .map(|kind| object!({ "kind": kind, "needed": charter.threshold(kind).to_string() }))
            .collect();
        json(&object!({
            "governed": true,
            "contract": governance::ADDRESS,
            "accountMode": charter.account_mode,
            "publicActions": charter.public_actions,
            "signedReads": charter.signed_reads,
            "timeLockMs": charter.time_lock_ms,
            "votingMs": charter.voting_ms,
            "organisations": charter.organisations.len(),
            "members": counts.members,
            "governors": charter.governors.len(),
            "proposals": counts.proposals,
            "freezes": counts.freezes,
            "auditEntries": entries,
            "auditHead": head,
            "thresholds": thresholds,
            "roles": roles(&charter),
            "rules": charter.rules,
            "policies": charter.policies,
        }))
    })
    .await
}

fn roles(charter: &governance::Charter) -> Vec<Value> {
    let built_in = governance::action::Role::ALL.into_iter().map(
        |role| object!({ "role": role.name(), "name": role.name(), "actions": role.actions() }),
    );
    let custom = charter.roles.iter().map(|(number, role)| {
        let written = governance::action::role_name(*number);
        object!({ "role": written, "name": role.name, "actions": role.actions })
    });
    built_in.chain(custom).collect()
}

/// `hawser_organisations`
pub(crate) async fn organisations(cx: &Context, params: Params) -> Answer {
    params.end()?;
    cx.read(|store| {
        let state = store.state(store.head().id().height)?;
        let charter = query::charter(&state)?;
        let list: Vec<_> = charter
            .iter()
            .flat_map(|charter| {
                charter.organisations.iter().map(|(id, organisation)| {
                    let governors = charter.governors.iter();
                    let governors: Vec<_> = governors
                        .filter(|(_, of)| *of == id)
                        .map(|(account, _)| account)
                        .collect();
                    object!({
                        "id": id,
                        "name": organisation.name,
                        "weight": organisation.weight,
                        "suspended": organisation.suspended,
                        "authorities": organisation.authorities,
                        "authorityThreshold": organisation.authority_threshold,
                        "roots": organisation.roots,
                        "governors": governors,
                    })
                })
            })
            .collect();
        json(&list)
    })
    .await
}

fn member_view(account: &Address, known: &query::Known, now: Time) -> Value {
    let word = &known.word;
    object!({
        "account": account,
        "status": word.status,
        "organisation": word.organisation,
        "roles": word.roles,
        "certified": word.certified,
        "frozen": word.is_frozen(now),
        "freeze": known.freeze,
        "name": known.details.as_ref().map(|details| &details.name),
        "certificate": known.details.as_ref().and_then(|details| details.certificate),
        "replacedBy": known.details.as_ref().and_then(|details| details.replaced_by),
    })
}

/// `hawser_member`: what governance says of an account.
pub(crate) async fn member(cx: &Context, mut params: Params) -> Answer {
    let account: Address = params.required("account")?;
    params.end()?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let known = query::account(&state, &account)?;
        json(&member_view(&account, &known, now(store)))
    })
    .await
}

/// `hawser_members`: members from a position on, 200 at most.
pub(crate) async fn members(cx: &Context, mut params: Params) -> Answer {
    let from: Option<u32> = params.optional("from")?;
    params.end()?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let (from, now) = (from.unwrap_or_default(), now(store));
        let found = query::members(&state, from, PAGE_MAX)?;
        let next = usize::try_from(from)
            .unwrap_or_default()
            .saturating_add(found.len());
        let total = query::counts(&state)?.members;
        let list: Vec<_> = found
            .iter()
            .map(|(account, known)| member_view(account, known, now))
            .collect();
        let more = u32::try_from(next).is_ok_and(|next| next < total);
        json(&object!({
            "members": list,
            "total": total,
            "next": more.then_some(next),
        }))
    })
    .await
}

fn proposal_view(proposal: &Proposal, now: Time) -> Value {
    object!({
        "id": proposal.id,
        "title": proposal.title,
        "author": proposal.author,
        "organisation": proposal.organisation,
        "route": proposal.route,
        "kinds": proposal.kinds,
        "status": proposal.status(now),
        "submittedMs": proposal.submitted,
        "height": proposal.height,
        "closesMs": proposal.closes,
        "executableFromMs": proposal.executable_from,
        "lapsesMs": proposal.lapses,
        "endedMs": proposal.ended,
        "votes": proposal.votes,
    })
}

/// `hawser_proposals`: the newest first, 200 at most; those below a number where one is given.
pub(crate) async fn proposals(cx: &Context, mut params: Params) -> Answer {
    let below: Option<u64> = params.optional("below")?;
    params.end()?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let newest = query::counts(&state)?.proposals;
        let first = below.map_or(newest, |below| below.saturating_sub(1).min(newest));
        let mut list = Vec::new();
        for id in (1..=first).rev().take(PAGE_MAX) {
            if let Some((proposal, _)) = query::proposal(&state, id)? {
                list.push(proposal_view(&proposal, now(store)));
            }
        }
        json(&list)
    })
    .await
}

/// `hawser_proposal`: a proposal with its changes, as data and as a readable difference.
pub(crate) async fn proposal(cx: &Context, mut params: Params) -> Answer {
    let id: u64 = params.required("proposal")?;
    let lang: Option<Lang> = params.optional("language")?;
    params.end()?;
    cx.heavy(move |store| {
        let state = store.state(store.head().id().height)?;
        let (Some((proposal, changes)), Some(charter)) =
            (query::proposal(&state, id)?, query::charter(&state)?)
        else {
            return json(&Value::Null);
        };
        let settings = query::latest_settings(&state, store.genesis()).ok();
        let lines = difference(
            &mut StateView(&state),
            &charter,
            settings.as_ref(),
            &changes,
            lang.unwrap_or_default(),
        )
        .map_err(refused)?;
        let mut view = proposal_view(&proposal, now(store));
        if let Some(fields) = view.as_object_mut() {
            fields.insert("description".to_owned(), object!(proposal.description));
            fields.insert("changes".to_owned(), object!(changes));
            fields.insert("difference".to_owned(), object!(lines));
            fields.insert(
                "standings".to_owned(),
                object!(proposal.standings(&charter)),
            );
        }
        json(&view)
    })
    .await
}

fn refused(error: impl std::fmt::Display) -> ErrorObject {
    ErrorObject::server(error.to_string())
}

/// `hawser_why`: whether an account may do something, and which rule says so.
pub(crate) async fn why(cx: &Context, mut params: Params) -> Answer {
    let account: Address = params.required("account")?;
    let action: String = params.required("action")?;
    let resource: Option<Resource> = params.optional("resource")?;
    let lang: Option<Lang> = params.optional("language")?;
    params.end()?;
    let action: Action = action
        .parse()
        .map_err(|error| ErrorObject::invalid_params(format!("invalid argument 1: {error}")))?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let resource = resource.unwrap_or(Resource::Any);
        let (lang, now) = (lang.unwrap_or_default(), now(store));
        let answer = query::why(&LAWS, &state, &account, action, &resource, now, lang)?;
        json(&object!({
            "account": account,
            "action": action.name(),
            "resource": resource,
            "allowed": answer.allowed,
            "rule": answer.rule,
            "reason": answer.reason,
        }))
    })
    .await
}

/// `hawser_dryRun`: what changes would do: whether they are accepted, in words, who gains and loses
/// what, and their encoding for a proposal.
pub(crate) async fn dry_run(cx: &Context, mut params: Params) -> Answer {
    let changes: Vec<Change> = params.required("changes")?;
    let lang: Option<Lang> = params.optional("language")?;
    params.end()?;
    cx.heavy(move |store| {
        let head = store.head();
        let state = store.state(head.id().height)?;
        let suite = store.genesis().suite;
        let Some(charter) = query::charter(&state)? else {
            return Err(refused(governance::GovernanceError::Ungoverned));
        };
        governance::check_changes(&changes, governance::Route::Governors).map_err(refused)?;
        let moment = query::moment(head.id().height.next(), head.block.header.time);
        let mut view = StateView(&state);
        try_changes(&mut view, suite, &moment, &changes).map_err(refused)?;
        let settings = query::latest_settings(&state, store.genesis()).ok();
        let lang = lang.unwrap_or_default();
        let lines = difference(&mut view, &charter, settings.as_ref(), &changes, lang);
        let run = dryrun::dry_run(&mut view, suite, &moment, &changes).map_err(refused)?;
        json(&object!({
            "difference": lines.map_err(refused)?,
            "shifts": run.shifts,
            "accounts": run.accounts,
            "cut": run.cut,
            "encoded": Bytes::from(encode(&changes)),
        }))
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct AuditQuery {
    /// First entry.
    from: Option<u64>,
    /// The newest first, from below this number.
    below: Option<u64>,
    /// Most entries.
    limit: Option<usize>,
    filter: Filter,
}

/// `hawser_audit`: entries of the audit trail, 500 at most; ascending, or the newest first where
/// `below` is given.
pub(crate) async fn audit(cx: &Context, mut params: Params) -> Answer {
    let asked: AuditQuery = params.optional("query")?.unwrap_or_default();
    params.end()?;
    if asked.from.is_some() && asked.below.is_some() {
        return Err(ErrorObject::invalid_params(
            "give from (ascending) or below (the newest first), not both",
        ));
    }
    cx.heavy(move |store| {
        let height = store.head().id().height;
        let state = store.state(height)?;
        let suite = store.genesis().suite;
        let limit = asked.limit.unwrap_or(100).clamp(1, AUDIT_PAGE_MAX);
        let from = asked.from.unwrap_or(1);
        let filter = &asked.filter;
        let (entries, next) = match asked.below {
            Some(below) => {
                query::audit_entries_below(&state, filter, below, limit, AUDIT_SCAN_MAX)?
            }
            None => query::audit_entries(&state, filter, from, limit, AUDIT_SCAN_MAX)?,
        };
        let (count, head) = query::audit_head(&state)?;
        let list: Vec<_> = entries
            .iter()
            .map(|entry| {
                let mut view = object!(entry);
                if let Some(fields) = view.as_object_mut() {
                    fields.insert("hash".to_owned(), object!(query::entry_hash(suite, entry)));
                }
                view
            })
            .collect();
        json(&object!({
            "entries": list,
            "next": next,
            "count": count,
            "head": head,
            "height": height,
            "suite": suite,
        }))
    })
    .await
}
