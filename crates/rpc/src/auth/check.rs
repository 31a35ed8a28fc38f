//! The check of every call: who, may they, and on the record.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use hawser_primitives::B256;
use serde_json::value::RawValue;

use super::{
    Action, AuthError, Caller, Decision, Denied, Durable, ReadEvent, ReadRequest, Reader, Reads,
    Resource,
};
use crate::{
    methods::Context,
    wire::{ErrorObject, code},
};

/// Methods that anybody may call: they let readers in, and tell nothing of the chain.
pub(crate) const DOOR: &[&str] = &[
    "hawser_authenticate",
    "hawser_challenge",
    "hawser_login",
    "hawser_logout",
];
/// Most characters of a method's name that are recorded.
const METHOD_CHARS_MAX: usize = 64;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

/// One call, to be judged.
struct Case<'a> {
    cx: &'a Context,
    caller: &'a Caller,
    method: &'a str,
    resource: &'a Resource,
    request: B256,
    now_ms: u64,
}

/// Whether a call may go on. Where reads are open, always.
///
/// # Errors
/// What the client is told; the refusal is on the record.
pub(crate) async fn check(
    cx: &Context,
    caller: &Caller,
    method: &str,
    params: Option<&RawValue>,
) -> Result<(), ErrorObject> {
    let access = cx.access();
    if access.reads == Reads::Open || DOOR.contains(&method) {
        return Ok(());
    }
    let resource = Resource::of(method, params);
    let case = Case {
        cx,
        caller,
        method,
        resource: &resource,
        request: request_hash(cx, method, params),
        now_ms: now_ms(),
    };
    let (reader, rule) = match case.judge() {
        Ok(allowed) => allowed,
        Err(refused) => return Err(case.refuse(refused).await),
    };
    if access.audit.is_some() && (Action::of(method) != Action::Read || cx.entry().sampled()) {
        case.record(Some(&reader), Decision::Allowed, rule, String::new())
            .await?;
    }
    Ok(())
}

/// Whether a subscription may go on being told of `resource`.
///
/// # Errors
/// Why not, in words; it is on the record.
pub(crate) fn still_allowed(
    cx: &Context,
    caller: &Caller,
    resource: &Resource,
) -> Result<(), String> {
    if cx.access().reads == Reads::Open {
        return Ok(());
    }
    let case = Case {
        cx,
        caller,
        method: "eth_subscription",
        resource,
        request: B256::ZERO,
        now_ms: now_ms(),
    };
    match case.judge() {
        Ok(_) => Ok(()),
        Err(refused) => {
            let (reader, rule, error) = case.put(refused);
            let reason = error.message.clone().into_owned();
            // Nothing is answered, so nothing waits for the disk.
            match case.write(reader.as_ref(), Decision::Denied, rule, reason) {
                Ok(_) => Err(error.message.into_owned()),
                Err(unavailable) => Err(unavailable.message.into_owned()),
            }
        }
    }
}

/// Puts a login on the record.
///
/// # Errors
/// When the record cannot be kept.
pub(crate) async fn record_login(
    cx: &Context,
    caller: &Caller,
    method: &'static str,
    result: &Result<Reader, AuthError>,
) -> Result<(), ErrorObject> {
    if cx.access().reads == Reads::Open {
        return Ok(());
    }
    let case = Case {
        cx,
        caller,
        method,
        resource: &Resource::Chain,
        request: B256::ZERO,
        now_ms: now_ms(),
    };
    match result {
        Ok(reader) => {
            let rule = "auth.login".into();
            case.record(Some(reader), Decision::Allowed, rule, String::new())
                .await
        }
        Err(error) => {
            let (rule, reason) = (error.rule().into(), error.to_string());
            case.record(None, Decision::Denied, rule, reason).await
        }
    }
}

fn request_hash(cx: &Context, method: &str, params: Option<&RawValue>) -> B256 {
    let params = params.map_or("", RawValue::get);
    let suite = cx.store().genesis().suite;
    suite.hash_parts(&[method.as_bytes(), &[0], params.as_bytes()])
}

/// A refusal before it is put into words.
enum Refused {
    Unknown(AuthError),
    Denied(Reader, Denied),
}

impl Case<'_> {
    fn judge(&self) -> Result<(Reader, Cow<'static, str>), Refused> {
        let reader = self.caller.reader().and_then(|reader| {
            self.cx.authenticator().holds(&reader, self.now_ms)?;
            Ok(reader)
        });
        let reader = reader.map_err(Refused::Unknown)?;
        let request = ReadRequest {
            method: self.method,
            action: Action::of(self.method),
            resource: self.resource,
        };
        match self.cx.access().gate.allows(Some(reader.account), &request) {
            Ok(rule) => Ok((reader, rule)),
            Err(denied) => Err(Refused::Denied(reader, denied)),
        }
    }

    /// The reader that is meant, the rule, and what the client is told.
    fn put(&self, refused: Refused) -> (Option<Reader>, Cow<'static, str>, ErrorObject) {
        match refused {
            Refused::Unknown(error) => {
                // Whom the credential named is worth knowing even where it does not hold.
                let reader = self.caller.reader().ok();
                (reader, error.rule().into(), error.to_object())
            }
            Refused::Denied(reader, denied) => {
                let mut error = ErrorObject::new(code::DENIED, denied.to_string());
                error.data = Some(serde_json::json!({ "rule": denied.rule }));
                (Some(reader), denied.rule, error)
            }
        }
    }

    async fn refuse(&self, refused: Refused) -> ErrorObject {
        let (reader, rule, error) = self.put(refused);
        let reason = error.message.clone().into_owned();
        match self
            .record(reader.as_ref(), Decision::Denied, rule, reason)
            .await
        {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        }
    }

    async fn record(
        &self,
        reader: Option<&Reader>,
        decision: Decision,
        rule: Cow<'static, str>,
        reason: String,
    ) -> Result<(), ErrorObject> {
        match self.write(reader, decision, rule, reason)? {
            None => Ok(()),
            Some(durable) => durable
                .await
                .map_err(|_| unavailable(&"the entry was not written")),
        }
    }

    fn write(
        &self,
        reader: Option<&Reader>,
        decision: Decision,
        rule: Cow<'static, str>,
        reason: String,
    ) -> Result<Option<Durable>, ErrorObject> {
        let Some(audit) = &self.cx.access().audit else {
            return Ok(None);
        };
        let event = ReadEvent {
            time_ms: self.now_ms,
            chain: self.cx.store().genesis().chain_id,
            who: reader.map(|reader| reader.account),
            how: reader.map_or("none", |reader| reader.how.name()),
            from: self.caller.from,
            method: self.method.chars().take(METHOD_CHARS_MAX).collect(),
            resource: self.resource.to_string(),
            decision,
            rule,
            reason,
            request: self.request,
        };
        audit.record(event).map_err(|error| unavailable(&error))
    }
}

fn unavailable(why: &dyn std::fmt::Display) -> ErrorObject {
    ErrorObject::new(
        code::UNAVAILABLE,
        format!("the node cannot keep its audit record, so it answers nothing: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_tells_nothing_and_every_method_of_it_exists() {
        assert!(DOOR.is_sorted());
        for method in DOOR {
            assert!(crate::METHODS.contains(method), "{method}");
            assert!(method.starts_with("hawser_"));
        }
    }
}
