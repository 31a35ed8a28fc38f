//! Letting readers in: `docs/spec/reads.md`.

use hawser_crypto::PublicKey;
use hawser_primitives::{Address, Bytes};
use serde::Deserialize;
use serde_json::json as object;

use crate::{
    auth::{AuthError, Caller, Reader, now_ms, record_login},
    methods::{Answer, Context},
    server::Session,
    wire::{ErrorObject, Params, json},
};

/// An account by its address or by its public key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Account {
    Address(Address),
    Key(PublicKey),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Login {
    challenge: String,
    signature: Bytes,
    #[serde(default)]
    public_key: Option<PublicKey>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Logout {
    #[serde(default)]
    all: bool,
}

/// `hawser_challenge`
pub(crate) fn challenge(cx: &Context, mut params: Params) -> Answer {
    let account: Account = params.required("account: an address or a public key")?;
    params.end()?;
    let account = match account {
        Account::Address(address) => address,
        Account::Key(key) => key.address(),
    };
    let realm = cx.realm();
    let made = cx.authenticator().challenge(&realm, account, now_ms());
    let (text, expires_ms) =
        made.map_err(|error| ErrorObject::internal(format!("no randomness: {error}")))?;
    json(&object!({
        "challenge": text,
        "account": account,
        "audience": realm.audience,
        "expires": expires_ms,
    }))
}

/// `hawser_login`; over a WebSocket it also makes the connection the account's.
pub(crate) async fn login(
    cx: &Context,
    caller: &Caller,
    session: Option<&Session>,
    mut params: Params,
) -> Answer {
    let login: Login = params.required("login")?;
    params.end()?;
    let realm = cx.realm();
    let issued = cx.authenticator().login(
        &realm,
        &login.challenge,
        login.public_key.as_ref(),
        &login.signature,
        now_ms(),
    );
    let reader = match &issued {
        Ok(issued) => Ok(issued.reader),
        Err(error) => Err(error.clone()),
    };
    record_login(cx, caller, "hawser_login", &reader).await?;
    let issued = issued.map_err(|error| error.to_object())?;
    if session.is_some() {
        caller.becomes(issued.reader);
    }
    json(&object!({
        "token": issued.text,
        "account": issued.reader.account,
        "audience": realm.audience,
        "expires": issued.reader.expires_ms,
    }))
}

/// `hawser_authenticate`: makes a WebSocket connection the token's account's.
pub(crate) async fn authenticate(
    cx: &Context,
    caller: &Caller,
    session: Option<&Session>,
    mut params: Params,
) -> Answer {
    let token: String = params.required("token")?;
    params.end()?;
    if session.is_none() {
        return Err(ErrorObject::invalid_params(
            "over HTTP, send the token in the header Authorization: Bearer; this method is for \
             WebSocket connections",
        ));
    }
    let realm = cx.realm();
    let reader = cx.authenticator().open_token(&realm, &token, now_ms());
    record_login(cx, caller, "hawser_authenticate", &reader).await?;
    let reader = reader.map_err(|error| error.to_object())?;
    caller.becomes(reader);
    json(&told(&reader))
}

/// `hawser_logout`: ends the token in use, or all of the account.
pub(crate) async fn logout(cx: &Context, caller: &Caller, mut params: Params) -> Answer {
    let what: Logout = params.optional("options")?.unwrap_or_default();
    params.end()?;
    let now_ms = now_ms();
    let ended = caller.reader().and_then(|reader| {
        cx.authenticator().holds(&reader, now_ms)?;
        if reader.token.is_none() && !what.all {
            let why = "no token is in use; {\"all\": true} ends every token of the account";
            return Err(AuthError::Malformed(why.to_owned()));
        }
        cx.authenticator().revoke(&reader, what.all, now_ms)?;
        Ok(reader)
    });
    record_login(cx, caller, "hawser_logout", &ended).await?;
    let reader = ended.map_err(|error| error.to_object())?;
    json(&told(&reader))
}

fn told(reader: &Reader) -> serde_json::Value {
    object!({ "account": reader.account, "expires": reader.expires_ms })
}
