//! Supervision: what is frozen, and the rules with their scripts.

use hawser_governance::{NO_EXPIRY, query};
use hawser_primitives::Time;
use serde_json::{Value, json as object};

use crate::{
    methods::{Answer, Context},
    wire::{Params, json},
};

/// Freezes in one answer.
const FREEZES_MAX: usize = 200;
/// Audit entries looked at for one answer.
const SCAN_MAX: u64 = 20_000;

/// `hawser_freezes`: what is frozen now, the newest first.
pub(crate) async fn freezes(cx: &Context, mut params: Params) -> Answer {
    let below: Option<u64> = params.optional("below")?;
    params.end()?;
    cx.heavy(move |store| {
        let head = store.head();
        let state = store.state(head.id().height)?;
        let now = head.block.header.time;
        let below = below.unwrap_or(u64::MAX);
        let (found, next) = query::freezes(&state, now, below, FREEZES_MAX, SCAN_MAX)?;
        let list: Vec<_> = found
            .iter()
            .map(|frozen| {
                object!({
                    "target": frozen.target,
                    "by": frozen.record.by,
                    "reason": frozen.record.reason,
                    "sinceMs": frozen.record.since,
                    "untilMs": end(frozen.record.until),
                    "entry": frozen.entry,
                })
            })
            .collect();
        json(&object!({ "timeMs": now, "freezes": list, "next": next }))
    })
    .await
}

fn end(until: Time) -> Option<Time> {
    (until != NO_EXPIRY).then_some(until)
}

/// `hawser_supervisionRule`: a rule of supervision with its script; null where there is none.
pub(crate) async fn supervision_rule(cx: &Context, mut params: Params) -> Answer {
    let number: u32 = params.required("number")?;
    params.end()?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let Some((policy, source)) = query::script(&state, number)? else {
            return json(&Value::Null);
        };
        json(&object!({
            "id": number,
            "name": policy.name,
            "version": policy.version,
            "mode": policy.mode,
            "script": policy.script,
            "source": source,
        }))
    })
    .await
}
