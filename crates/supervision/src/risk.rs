//! The risk view: what an account or an organisation did lately, and what rules found.

use std::collections::BTreeSet;

use hawser_crypto::Suite;
use hawser_governance::query;
use hawser_ledger::state::{StateError, StateRead};
use hawser_policy::{History, Subject, facts::SubjectFact};
use hawser_primitives::{Address, Time};
use serde::Serialize;

use crate::{store::Committed, supervisor::subject_of};

/// What is known of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// The account, where it is one.
    pub account: Option<Address>,
    /// Number of the organisation; that of the account where it has one.
    pub organisation: Option<u32>,
    /// Name of the organisation.
    pub organisation_name: Option<String>,
    /// Counters and windows. Windows are kept while a rule reads history, counters always.
    pub history: SubjectFact,
}

/// The risk view of an account, with windows of these tokens besides those of the own coin.
pub fn of_account(
    suite: Suite,
    state: &dyn StateRead,
    account: Address,
    tokens: &BTreeSet<Address>,
    now: Time,
) -> Result<Risk, StateError> {
    let word = query::account(state, &account)?.word;
    let organisation = (word.organisation != 0).then_some(word.organisation);
    Ok(Risk {
        account: Some(account),
        organisation,
        organisation_name: name(state, organisation)?,
        history: History::new(suite).subject(
            &mut Committed(state),
            &Subject::Account(account),
            tokens,
            now,
        )?,
    })
}

/// The risk view of an organisation; `None` where there is none of this number.
pub fn of_organisation(
    suite: Suite,
    state: &dyn StateRead,
    organisation: u32,
    tokens: &BTreeSet<Address>,
    now: Time,
) -> Result<Option<Risk>, StateError> {
    let Some(organisation_name) = name(state, Some(organisation))? else {
        return Ok(None);
    };
    let word = hawser_governance::AccountWord {
        organisation,
        ..Default::default()
    };
    let subject = Subject::Organisation(subject_of(&word).unwrap_or_default());
    let history = History::new(suite);
    Ok(Some(Risk {
        account: None,
        organisation: Some(organisation),
        organisation_name: Some(organisation_name),
        history: history.subject(&mut Committed(state), &subject, tokens, now)?,
    }))
}

/// Every organisation, in the order of their numbers.
pub fn organisations(
    suite: Suite,
    state: &dyn StateRead,
    now: Time,
) -> Result<Vec<Risk>, StateError> {
    let Some(charter) = query::charter(state)? else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    for number in charter.organisations.keys() {
        out.extend(of_organisation(
            suite,
            state,
            *number,
            &BTreeSet::new(),
            now,
        )?);
    }
    Ok(out)
}

fn name(state: &dyn StateRead, organisation: Option<u32>) -> Result<Option<String>, StateError> {
    let Some(number) = organisation else {
        return Ok(None);
    };
    let charter = query::charter(state)?;
    let found = charter
        .as_ref()
        .and_then(|charter| charter.organisations.get(&number));
    Ok(found.map(|organisation| organisation.name.clone()))
}
