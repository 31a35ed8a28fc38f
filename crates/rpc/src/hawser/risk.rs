//! The risk view of supervisors.

use std::collections::BTreeSet;

use hawser_primitives::Address;
use hawser_supervision::risk;
use serde::Deserialize;
use serde_json::json as object;

use crate::{
    methods::{Answer, Context},
    wire::{ErrorObject, Params, json},
};

/// Tokens in one question.
const TOKENS_MAX: usize = 32;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Query {
    account: Option<Address>,
    organisation: Option<u32>,
    tokens: BTreeSet<Address>,
}

/// `hawser_risk`: what an account or an organisation did lately and what rules found; of all
/// organisations where nobody is named.
pub(crate) async fn risk(cx: &Context, mut params: Params) -> Answer {
    let query: Query = params.optional("query")?.unwrap_or_default();
    params.end()?;
    if query.tokens.len() > TOKENS_MAX {
        return Err(ErrorObject::invalid_params(format!(
            "at most {TOKENS_MAX} tokens in one question"
        )));
    }
    if query.account.is_some() && query.organisation.is_some() {
        return Err(ErrorObject::invalid_params(
            "name an account or an organisation, not both".to_owned(),
        ));
    }
    cx.read(move |store| {
        let head = store.head();
        let state = store.state(head.id().height)?;
        let (suite, now) = (store.genesis().suite, head.block.header.time);
        let subjects = match (query.account, query.organisation) {
            (Some(account), _) => vec![risk::of_account(
                suite,
                &state,
                account,
                &query.tokens,
                now,
            )?],
            (None, Some(number)) => {
                let found = risk::of_organisation(suite, &state, number, &query.tokens, now)?;
                found.into_iter().collect()
            }
            (None, None) => risk::organisations(suite, &state, now)?,
        };
        json(&object!({ "timeMs": now, "subjects": subjects }))
    })
    .await
}
