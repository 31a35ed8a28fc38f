//! Operations that wait for co-signatures.
//!
//! A supervision rule that asks for co-signatures stops the operation and leaves a [`Request`] with
//! the parties that it names. Each party gives its own, from an account of its own; the operation
//! runs once when it is sent again and nobody is missing, and the request is used up with it.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_execution::Finding;
use hawser_policy::{facts::PartyFact, limits::PARTIES_MAX, missing};
use hawser_primitives::{Address, B256, Domain, Time, decode_exact, encode};
use serde::Serialize;

use crate::{
    access::{AccessError, Store, damaged, named},
    action::{Action, role_name},
    error::{GovernanceError, invalid},
    law::Law,
    model::{AccountWord, Charter, Resource},
    slots,
};

/// Longest validity of a co-signature: seven days, in milliseconds.
pub const COSIGN_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
/// Largest encoded request, in bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// What one account gave.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoSignature {
    /// Who.
    pub account: Address,
    /// First instant at which it no longer counts.
    pub until: Time,
}

/// An operation that a rule stopped.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Whose operation it is; cannot co-sign it.
    pub sender: Address,
    /// The rule that asks.
    pub rule: String,
    /// Who has to co-sign: `role:…`, `org:…` or lower-case addresses, at most 8.
    pub parties: Vec<String>,
    /// When it was stopped last.
    pub asked: Time,
    /// What was given, at most one of an account and one per party.
    pub given: Vec<CoSignature>,
}

/// How a request stands at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoSignStatus {
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// Parties that have not co-signed.
    pub missing: Vec<String>,
}

/// What governance says of an account; nothing of one that it does not know.
#[must_use]
pub fn party_fact(charter: &Charter, address: Address, word: &AccountWord) -> Option<PartyFact> {
    if *word == AccountWord::default() {
        return None;
    }
    let name = |role| match charter.roles.get(&role) {
        Some(custom) => custom.name.clone(),
        None => role_name(role),
    };
    let organisation = charter.organisations.get(&word.organisation);
    Some(PartyFact {
        address,
        organisation: organisation.map(|organisation| organisation.name.clone()),
        roles: word.roles.iter().map(name).collect(),
        first_seen_ms: None,
        contract: false,
    })
}

/// The request of an operation; `None` where nothing waits.
pub fn load(store: &mut dyn Store, operation: &B256) -> Result<Option<Request>, AccessError> {
    let hash = store.load(&slots::cosign_slot(operation))?;
    if hash.is_zero() {
        return Ok(None);
    }
    let bytes = named(store, &hash)?;
    let request = decode_exact(&bytes, REQUEST_BYTES_MAX);
    request
        .map(Some)
        .map_err(|error| damaged(format!("co-signatures of {operation}: {error}")))
}

fn save(store: &mut dyn Store, operation: &B256, request: &Request) -> Result<(), AccessError> {
    let hash = store.put(Domain::Governance, encode(request).into())?;
    store.store(&slots::cosign_slot(operation), hash)
}

/// An account as a co-signer; `None` where it may not act now.
fn signer(
    law: &Law,
    store: &mut dyn Store,
    account: Address,
    now: Time,
) -> Result<Option<PartyFact>, AccessError> {
    let word = slots::load_account(store, &account)?;
    if law.standing(&word, now).is_some() {
        return Ok(None);
    }
    let known = party_fact(law.charter(), account, &word);
    Ok(Some(known.unwrap_or(PartyFact {
        address: account,
        ..PartyFact::default()
    })))
}

fn signers(
    law: &Law,
    store: &mut dyn Store,
    given: &[CoSignature],
    now: Time,
) -> Result<Vec<PartyFact>, AccessError> {
    let mut found = Vec::new();
    for one in given.iter().filter(|one| one.until > now) {
        found.extend(signer(law, store, one.account, now)?);
    }
    Ok(found)
}

/// Who co-signed an operation, as far as that still holds: not expired, and by an account in good
/// standing, with the roles that it has now.
pub fn approvals(
    law: &Law,
    store: &mut dyn Store,
    operation: &B256,
    now: Time,
) -> Result<Vec<PartyFact>, AccessError> {
    match load(store, operation)? {
        Some(request) => signers(law, store, &request.given, now),
        None => Ok(Vec::new()),
    }
}

/// How a request stands; `None` where nothing waits.
pub fn status(
    law: &Law,
    store: &mut dyn Store,
    operation: &B256,
    now: Time,
) -> Result<Option<CoSignStatus>, AccessError> {
    let Some(request) = load(store, operation)? else {
        return Ok(None);
    };
    let given = signers(law, store, &request.given, now)?;
    let missing = missing(&request.parties, &given, &request.sender);
    let missing = missing.into_iter().map(str::to_owned).collect();
    Ok(Some(CoSignStatus { request, missing }))
}

/// The co-signatures that serve a party, in their order: a later one that serves none beside the
/// earlier ones goes.
fn useful(
    law: &Law,
    store: &mut dyn Store,
    (sender, parties): (&Address, &[String]),
    given: Vec<CoSignature>,
    now: Time,
) -> Result<Vec<CoSignature>, AccessError> {
    let mut kept = Vec::new();
    let mut left = parties.len();
    for one in given {
        kept.push(one);
        let fewer = missing(parties, &signers(law, store, &kept, now)?, sender).len();
        if fewer < left {
            left = fewer;
        } else {
            kept.pop();
        }
    }
    Ok(kept)
}

/// Leaves a request for an operation that was stopped. What was given before stays as far as it
/// still holds and serves a party that is asked for now.
pub(crate) fn ask(
    law: &Law,
    store: &mut dyn Store,
    operation: &B256,
    (sender, rule, parties): (Address, &str, &[String]),
    now: Time,
) -> Result<(), AccessError> {
    let before = load(store, operation)?.map(|request| request.given);
    let given = useful(
        law,
        store,
        (&sender, parties),
        before.unwrap_or_default(),
        now,
    )?;
    let request = Request {
        sender,
        rule: rule.to_owned(),
        parties: parties.iter().take(PARTIES_MAX).cloned().collect(),
        asked: now,
        given,
    };
    save(store, operation, &request)
}

/// Takes a co-signature; gives who is still missing.
pub(crate) fn sign(
    law: &Law,
    store: &mut dyn Store,
    operation: &B256,
    caller: Address,
    until: Time,
    now: Time,
) -> Result<Vec<String>, GovernanceError> {
    if until <= now || until > now.plus_ms(COSIGN_MS_MAX) {
        return invalid(format!(
            "a co-signature holds for at most {COSIGN_MS_MAX} ms from now; this one would end at \
             {until} ms, and it is {now} ms"
        ));
    }
    let word = slots::load_account(store, &caller)?;
    if let Some(standing) = law.standing(&word, now)
        && let Some(finding) = standing.refusal(law, Action::Call, &Resource::Any)
    {
        return Err(GovernanceError::Denied(finding));
    }
    let Some(mut request) = load(store, operation)? else {
        return Err(GovernanceError::Unknown(format!(
            "operation {operation} that waits for a co-signature: it has run, or no rule has stopped \
             it yet. Send the transaction; the refusal names who has to co-sign"
        )));
    };
    let denied = |text: String| Err(GovernanceError::Denied(Finding::new(&*request.rule, text)));
    if caller == request.sender {
        return denied("whoever sends an operation cannot co-sign it".to_owned());
    }
    request.given.retain(|one| one.until > now);
    let known = request.given.iter().find(|one| one.account == caller);
    if let Some(known) = known {
        return Err(GovernanceError::CoSignedBefore {
            account: caller,
            until: known.until,
        });
    }
    let mut accounts = signers(law, store, &request.given, now)?;
    let before = missing(&request.parties, &accounts, &request.sender).len();
    if before == 0 {
        return denied(
            "all parties have co-signed; the operation runs when it is sent again".to_owned(),
        );
    }
    accounts.extend(signer(law, store, caller, now)?);
    let after = missing(&request.parties, &accounts, &request.sender);
    if after.len() >= before {
        return denied(format!(
            "the co-signature of {caller} is not asked for; missing are {}",
            after.join(", ")
        ));
    }
    let after = after.into_iter().map(str::to_owned).collect();
    request.given.push(CoSignature {
        account: caller,
        until,
    });
    // What has lost its standing or role since makes room.
    let asked = (&request.sender, request.parties.as_slice());
    request.given = useful(law, store, asked, request.given, now)?;
    save(store, operation, &request)?;
    Ok(after)
}

/// Forgets a request that is used up.
pub(crate) fn used_up(store: &mut dyn Store, operation: &B256) -> Result<(), AccessError> {
    let slot = slots::cosign_slot(operation);
    if store.load(&slot)?.is_zero() {
        return Ok(());
    }
    store.store(&slot, B256::ZERO)
}
