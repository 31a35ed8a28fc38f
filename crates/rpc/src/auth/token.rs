//! Challenges and tokens: sign once, read for minutes.
//!
//! The node keeps no list of tokens: it recognises its own by a seal (HMAC) under a key that only
//! this process has, so that a restart ends them all. What it keeps is short: used challenges, and
//! tokens that were given back before their time.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hawser_crypto::{PublicKey, Signature, Suite};
use hawser_primitives::{Address, B256, ChainId};
use parking_lot::Mutex;

use super::{
    AuthError,
    caller::{How, Reader, TokenId},
    mac::{MAC_BYTES, MacKey},
    replay::Replay,
    signature::{Candidate, Message, digest_of, is_signed, recover},
};
use crate::ClientIdentity;

/// Most used nonces that are remembered: a minute of 4,000 signed requests per second.
const NONCES_MAX: usize = 262_144;
/// Most tokens and accounts that are revoked before their time.
const REVOKED_MAX: usize = 65_536;
/// How long a challenge may be answered, in milliseconds.
const CHALLENGE_MS: u64 = 60_000;
/// Longest challenge read, in bytes.
const CHALLENGE_BYTES_MAX: usize = 1_024;
const TOKEN_VERSION: u8 = 1;
const TOKEN_BYTES: usize = 1 + 8 + 20 + 8 + 8 + 16;
const SEAL_LINE: &str = "\nseal: ";
const FIRST_LINE: &str = "Hawser: proof of the account that reads. This signature moves nothing.";

/// The chain that credentials are for.
#[derive(Clone, Debug)]
pub(crate) struct Realm {
    pub(crate) chain: ChainId,
    pub(crate) suite: Suite,
    pub(crate) audience: String,
}

/// A token as it is given out.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) text: String,
    pub(crate) reader: Reader,
}

/// Recognises readers. One per node.
pub(crate) struct Authenticator {
    /// The node's name in audiences.
    node: String,
    key: MacKey,
    token_ms: u64,
    replay: Mutex<Replay>,
    revoked: Mutex<BTreeMap<TokenId, u64>>,
    /// Tokens of these accounts that were issued up to this moment are void.
    revoked_accounts: Mutex<BTreeMap<Address, u64>>,
}

impl Authenticator {
    /// Longest life of a token, in milliseconds: 15 minutes.
    pub(crate) const TOKEN_MS_MAX: u64 = 900_000;

    /// For the node of this name; tokens live `token_ms`, at most [`Self::TOKEN_MS_MAX`].
    pub(crate) fn new(node: String, token_ms: u64) -> Result<Self, getrandom::Error> {
        Ok(Self {
            node,
            key: MacKey::random()?,
            token_ms: token_ms.clamp(1, Self::TOKEN_MS_MAX),
            replay: Mutex::new(Replay::new(NONCES_MAX)),
            revoked: Mutex::default(),
            revoked_accounts: Mutex::default(),
        })
    }

    /// The chain's realm on this node.
    pub(crate) fn realm(&self, chain: ChainId, suite: Suite, genesis: &B256) -> Realm {
        Realm {
            chain,
            suite,
            audience: super::audience(chain, genesis, &self.node),
        }
    }

    /// Who sends a request: by token, by signature, or by the certificate of its connection.
    ///
    /// # Errors
    /// [`AuthError`]; [`AuthError::Unsigned`] where there is no credential at all.
    pub(crate) fn identify(
        &self,
        realm: &Realm,
        message: &Message<'_>,
        identity: Option<&ClientIdentity>,
        now_ms: u64,
    ) -> Result<Reader, AuthError> {
        if let Some(token) = bearer(message.headers)? {
            return self.open_token(realm, token, now_ms);
        }
        if is_signed(message.headers) {
            return self.signed(realm, message, now_ms);
        }
        match identity {
            Some(ClientIdentity {
                account: Some(account),
                ..
            }) => Ok(Reader {
                account: *account,
                how: How::Certificate,
                since_ms: now_ms,
                expires_ms: u64::MAX,
                token: None,
            }),
            Some(identity) => Err(AuthError::Unbound(identity.subject.clone())),
            None => Err(AuthError::Unsigned),
        }
    }

    fn signed(
        &self,
        realm: &Realm,
        message: &Message<'_>,
        now_ms: u64,
    ) -> Result<Reader, AuthError> {
        let candidate = Candidate::read(message, &realm.audience, now_ms)?;
        // Cheap, before the costly check; what counts is the insertion after it.
        if self.replay.lock().contains(&candidate.nonce) {
            return Err(AuthError::Replayed);
        }
        let account = candidate.verify(message)?;
        // Valid through the whole of its last second.
        let remember_ms = candidate
            .expires_s
            .saturating_mul(1_000)
            .saturating_add(999);
        let mut replay = self.replay.lock();
        replay.insert(candidate.nonce, account, remember_ms, now_ms)?;
        Ok(Reader {
            account,
            how: How::Signature,
            since_ms: now_ms,
            // For a WebSocket opened with it; a single request is done long before.
            expires_ms: now_ms.saturating_add(self.token_ms),
            token: None,
        })
    }

    /// Whether what was proved still holds.
    ///
    /// # Errors
    /// [`AuthError::TokenExpired`] and [`AuthError::TokenRevoked`].
    pub(crate) fn holds(&self, reader: &Reader, now_ms: u64) -> Result<(), AuthError> {
        if reader.expires_ms <= now_ms {
            return Err(AuthError::TokenExpired);
        }
        let revoked = reader
            .token
            .is_some_and(|token| self.revoked.lock().contains_key(&token))
            || self
                .revoked_accounts
                .lock()
                .get(&reader.account)
                .is_some_and(|until| reader.since_ms <= *until);
        if revoked {
            return Err(AuthError::TokenRevoked);
        }
        Ok(())
    }

    /// A text for this account to sign.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn challenge(
        &self,
        realm: &Realm,
        account: Address,
        now_ms: u64,
    ) -> Result<(String, u64), getrandom::Error> {
        let mut nonce = [0u8; 16];
        getrandom::fill(&mut nonce)?;
        let expires_ms = now_ms.saturating_add(CHALLENGE_MS);
        let text = format!(
            "{FIRST_LINE}\naudience: {}\naccount: {account}\nexpires: {expires_ms}\nnonce: {}",
            realm.audience,
            hex::encode(nonce)
        );
        let seal = self.key.seal(realm.suite, "challenge", &[text.as_bytes()]);
        Ok((
            format!("{text}{SEAL_LINE}{}", hex::encode(seal)),
            expires_ms,
        ))
    }

    /// Turns a signed challenge into a token.
    ///
    /// `key` is the signer's public key; without one the signature is that of a secp256k1 account
    /// over the text as EIP-191 has it (`personal_sign`), 65 bytes.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(crate) fn login(
        &self,
        realm: &Realm,
        challenge: &str,
        key: Option<&PublicKey>,
        signature: &[u8],
        now_ms: u64,
    ) -> Result<Issued, AuthError> {
        let Claim {
            account,
            expires_ms,
            nonce,
        } = self.open_challenge(realm, challenge, now_ms)?;
        let signed_by = match key {
            Some(key) => {
                let signature = Signature::from_bytes(key.scheme(), signature)
                    .map_err(|_| AuthError::BadSignature)?;
                key.verify(challenge.as_bytes(), &signature)
                    .map_err(|_| AuthError::BadSignature)?;
                key.address()
            }
            None => {
                let prefix = format!("\x19Ethereum Signed Message:\n{}", challenge.len());
                let text = [prefix.as_bytes(), challenge.as_bytes()].concat();
                let prehash = alloy_primitives::keccak256(text);
                recover(&prehash, signature).ok_or(AuthError::BadSignature)?
            }
        };
        if signed_by != account {
            return Err(AuthError::BadSignature);
        }
        let mut replay = self.replay.lock();
        replay.insert(nonce, account, expires_ms, now_ms)?;
        drop(replay);
        self.issue(realm, account, now_ms)
    }

    fn open_challenge(
        &self,
        realm: &Realm,
        challenge: &str,
        now_ms: u64,
    ) -> Result<Claim, AuthError> {
        let malformed = || {
            AuthError::Malformed(
                "that is no challenge of hawser_challenge, word for word".to_owned(),
            )
        };
        if challenge.len() > CHALLENGE_BYTES_MAX {
            return Err(malformed());
        }
        let (text, seal) = challenge.rsplit_once(SEAL_LINE).ok_or_else(malformed)?;
        let line = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let found = line("audience").ok_or_else(malformed)?;
        if found != realm.audience {
            return Err(AuthError::WrongAudience {
                expected: realm.audience.clone(),
                found: found.chars().take(128).collect(),
            });
        }
        // One spelling only: digits of another case would be another text under the same seal.
        if seal.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(malformed());
        }
        let seal = hex::decode(seal).map_err(|_| malformed())?;
        let parts = [text.as_bytes()];
        if !self.key.opens(realm.suite, "challenge", &parts, &seal) {
            return Err(AuthError::TokenUnknown);
        }
        let expires_ms = line("expires").and_then(|text| text.parse::<u64>().ok());
        let (Some(account), Some(expires_ms)) = (
            line("account").and_then(|text| text.parse().ok()),
            expires_ms,
        ) else {
            return Err(malformed());
        };
        if expires_ms < now_ms {
            return Err(AuthError::Stale(format!(
                "the challenge expired at {expires_ms} ms"
            )));
        }
        Ok(Claim {
            account,
            expires_ms,
            nonce: digest_of(&[b"challenge", text.as_bytes()]),
        })
    }

    fn issue(&self, realm: &Realm, account: Address, now_ms: u64) -> Result<Issued, AuthError> {
        let mut id: TokenId = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| AuthError::Malformed(format!("no randomness: {error}")))?;
        let expires_ms = now_ms.saturating_add(self.token_ms);
        let mut payload = Vec::with_capacity(TOKEN_BYTES + MAC_BYTES);
        payload.push(TOKEN_VERSION);
        payload.extend_from_slice(&realm.chain.0.to_be_bytes());
        payload.extend_from_slice(account.as_slice());
        payload.extend_from_slice(&now_ms.to_be_bytes());
        payload.extend_from_slice(&expires_ms.to_be_bytes());
        payload.extend_from_slice(&id);
        let seal = self.seal_token(realm, &payload);
        payload.extend_from_slice(&seal);
        Ok(Issued {
            text: URL_SAFE_NO_PAD.encode(payload),
            reader: Reader {
                account,
                how: How::Token,
                since_ms: now_ms,
                expires_ms,
                token: Some(id),
            },
        })
    }

    fn seal_token(&self, realm: &Realm, payload: &[u8]) -> [u8; MAC_BYTES] {
        let parts = [realm.audience.as_bytes(), payload];
        self.key.seal(realm.suite, "token", &parts)
    }

    /// The reader that a token stands for.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(crate) fn open_token(
        &self,
        realm: &Realm,
        token: &str,
        now_ms: u64,
    ) -> Result<Reader, AuthError> {
        let malformed = || AuthError::Malformed("that is no token of hawser_login".to_owned());
        if token.len() > 2 * (TOKEN_BYTES + MAC_BYTES) {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?;
        let (payload, seal) = bytes
            .split_at_checked(TOKEN_BYTES)
            .filter(|(_, seal)| seal.len() == MAC_BYTES)
            .ok_or_else(malformed)?;
        let mut rest = payload;
        let version = take::<1>(&mut rest).ok_or_else(malformed)?;
        let chain = take::<8>(&mut rest).map(u64::from_be_bytes);
        let account = take::<20>(&mut rest).map(Address::from);
        let since_ms = take::<8>(&mut rest).map(u64::from_be_bytes);
        let expires_ms = take::<8>(&mut rest).map(u64::from_be_bytes);
        let id = take::<16>(&mut rest);
        let (Some(chain), Some(account), Some(since_ms), Some(expires_ms), Some(id)) =
            (chain, account, since_ms, expires_ms, id)
        else {
            return Err(malformed());
        };
        if version != [TOKEN_VERSION] {
            return Err(malformed());
        }
        if chain != realm.chain.0 {
            return Err(AuthError::WrongAudience {
                expected: realm.audience.clone(),
                found: format!("chain {chain}"),
            });
        }
        let parts = [realm.audience.as_bytes(), payload];
        if !self.key.opens(realm.suite, "token", &parts, seal) {
            return Err(AuthError::TokenUnknown);
        }
        let reader = Reader {
            account,
            how: How::Token,
            since_ms,
            expires_ms,
            token: Some(id),
        };
        self.holds(&reader, now_ms)?;
        Ok(reader)
    }

    /// Ends a token before its time, or all that an account got so far.
    ///
    /// # Errors
    /// [`AuthError::Busy`] when too many are revoked already; they make room as they expire.
    pub(crate) fn revoke(&self, reader: &Reader, all: bool, now_ms: u64) -> Result<(), AuthError> {
        if let (Some(token), false) = (reader.token, all) {
            let mut revoked = self.revoked.lock();
            revoked.retain(|_, expires| *expires > now_ms);
            if revoked.len() >= REVOKED_MAX {
                return Err(AuthError::Busy);
            }
            revoked.insert(token, reader.expires_ms);
            return Ok(());
        }
        let mut accounts = self.revoked_accounts.lock();
        accounts.retain(|_, until| until.saturating_add(self.token_ms) >= now_ms);
        if accounts.len() >= REVOKED_MAX {
            return Err(AuthError::Busy);
        }
        accounts.insert(reader.account, now_ms);
        Ok(())
    }
}

/// What an opened challenge says.
struct Claim {
    account: Address,
    expires_ms: u64,
    nonce: B256,
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(AuthError::Malformed(
            "Authorization must be Bearer with a token of hawser_login".to_owned(),
        )),
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
