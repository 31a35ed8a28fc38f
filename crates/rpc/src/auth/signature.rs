//! HTTP message signatures (RFC 9421) over requests, and digests of bodies (RFC 9530).

use axum::http::{HeaderMap, header};
use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, secp};
use hawser_primitives::{Address, B256};
use sha2::{Digest, Sha256};
use sm3::Sm3;

use super::{
    AuthError,
    fields::{SignatureInput, Value, byte_sequences, write_bytes},
};

/// Longest that a signature is good for, in seconds.
pub(crate) const LIFETIME_S_MAX: u64 = 60;
/// How far ahead of this node's clock a signer's may be, in seconds.
const SKEW_S_MAX: u64 = 5;
/// Shortest and longest nonce, in bytes.
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
const LABEL: &str = "hawser";

/// Name of a scheme's algorithm. Only Ed25519 is in IANA's registry; the others are private names.
const fn algorithm(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Ed25519 => "ed25519",
        Scheme::Sm2 => "x-sm2-sm3",
        Scheme::Secp256k1 => "x-secp256k1-keccak256",
    }
}

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// `None` for a request without a body, such as the opening of a WebSocket.
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) headers: &'a HeaderMap,
}

/// A signature that has been read and found in time, before the costly check.
#[derive(Debug)]
pub(crate) struct Candidate {
    input: SignatureInput,
    signature: Vec<u8>,
    signer: Signer,
    /// When it expires, in seconds since 1970.
    pub(crate) expires_s: u64,
    /// Identifies it among used ones.
    pub(crate) nonce: B256,
}

#[derive(Debug)]
enum Signer {
    Key(PublicKey),
    /// A secp256k1 account, whose key is recovered from a signature of 65 bytes.
    Account(Address),
}

fn malformed(why: impl Into<String>) -> AuthError {
    AuthError::Malformed(why.into())
}

/// A header that is there once at most, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut all = headers.get_all(name).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(malformed(format!("{name} is there more than once")));
    }
    let text = first.to_str();
    text.map(Some)
        .map_err(|_| malformed(format!("{name} is not ASCII")))
}

/// Whether a request carries a signature at all.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key("signature-input") || headers.contains_key("signature")
}

impl Candidate {
    /// Reads the signature of a request and checks everything that costs nothing: form, time,
    /// audience, and that what matters is covered.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(crate) fn read(
        message: &Message<'_>,
        audience: &str,
        now_ms: u64,
    ) -> Result<Self, AuthError> {
        let header = single(message.headers, "signature-input")?
            .ok_or_else(|| malformed("there is a Signature without a Signature-Input"))?;
        let input = SignatureInput::parse(header)?;
        let values = single(message.headers, "signature")?
            .ok_or_else(|| malformed("there is a Signature-Input without a Signature"))?;
        let values = byte_sequences("Signature", values)?;
        let signature = values
            .into_iter()
            .find_map(|(label, bytes)| (label == input.label).then_some(bytes))
            .ok_or_else(|| malformed(format!("no Signature is labelled {}", input.label)))?;

        let required: &[&str] = match message.body {
            Some(_) => &["@method", "@path", "content-digest"],
            None => &["@method", "@path"],
        };
        for name in required {
            if !input.components.iter().any(|component| component == name) {
                return Err(malformed(format!("the signature must cover {name}")));
            }
        }
        let (created, expires) = (input.integer("created")?, input.integer("expires")?);
        let now = now_ms / 1_000;
        check_time(created, expires, now)?;
        let tag = input.text("tag")?;
        if tag != audience {
            return Err(AuthError::WrongAudience {
                expected: audience.to_owned(),
                found: tag.chars().take(128).collect(),
            });
        }
        let nonce = input.text("nonce")?;
        if !NONCE_BYTES.contains(&nonce.len()) {
            return Err(malformed(format!(
                "a nonce has {} to {} characters",
                NONCE_BYTES.start(),
                NONCE_BYTES.end()
            )));
        }
        let signer = signer(input.text("keyid")?)?;
        let scheme = match &signer {
            Signer::Key(key) => key.scheme(),
            Signer::Account(_) => Scheme::Secp256k1,
        };
        if input.text("alg")? != algorithm(scheme) {
            return Err(malformed(format!(
                "keyid is a {scheme} key, so alg must be {:?}",
                algorithm(scheme)
            )));
        }
        let account = match &signer {
            Signer::Key(key) => key.address(),
            Signer::Account(account) => *account,
        };
        let nonce = digest_of(&[b"signature", account.as_slice(), nonce.as_bytes()]);
        Ok(Self {
            expires_s: expires,
            nonce,
            input,
            signature,
            signer,
        })
    }

    /// Checks digest and signature; gives the account that signed.
    ///
    /// # Errors
    /// [`AuthError::BadDigest`] and [`AuthError::BadSignature`].
    pub(crate) fn verify(&self, message: &Message<'_>) -> Result<Address, AuthError> {
        if let Some(body) = message.body {
            check_digest(message.headers, body)?;
        }
        let base = base(&self.input, message)?;
        match &self.signer {
            Signer::Key(key) => {
                let signature = Signature::from_bytes(key.scheme(), &self.signature)
                    .map_err(|_| AuthError::BadSignature)?;
                key.verify(base.as_bytes(), &signature)
                    .map_err(|_| AuthError::BadSignature)?;
                Ok(key.address())
            }
            Signer::Account(account) => {
                let prehash = alloy_primitives::keccak256(base.as_bytes());
                match recover(&prehash, &self.signature) {
                    Some(found) if found == *account => Ok(found),
                    _ => Err(AuthError::BadSignature),
                }
            }
        }
    }
}

/// The account whose key signed a digest with `r ‖ s ‖ v`, 65 bytes; `v` is 0, 1, 27 or 28.
pub(super) fn recover(prehash: &B256, signature: &[u8]) -> Option<Address> {
    let (r_s, v) = signature.split_first_chunk::<64>()?;
    let parity = match v {
        [0 | 27] => false,
        [1 | 28] => true,
        _ => return None,
    };
    let (_, account) = secp::recover(prehash, r_s, parity).ok()?;
    Some(account)
}

/// SHA-256 of parts that are each counted with their length.
pub(super) fn digest_of(parts: &[&[u8]]) -> B256 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    B256::from_slice(&hasher.finalize())
}

fn check_time(created: u64, expires: u64, now: u64) -> Result<(), AuthError> {
    let stale = |why: String| Err(AuthError::Stale(why));
    if created > now.saturating_add(SKEW_S_MAX) {
        return stale(format!("it was created at {created}, now it is {now}"));
    }
    if expires < created || expires - created > LIFETIME_S_MAX {
        return stale(format!(
            "it may be good for at most {LIFETIME_S_MAX} s from its creation"
        ));
    }
    if expires < now {
        return stale(format!("it expired at {expires}, now it is {now}"));
    }
    Ok(())
}

fn signer(keyid: &str) -> Result<Signer, AuthError> {
    if keyid.contains(':') {
        return keyid
            .parse()
            .map(Signer::Key)
            .map_err(|error| malformed(format!("keyid: {error}")));
    }
    keyid.parse().map(Signer::Account).map_err(|_| {
        malformed("keyid is a public key (scheme:0x…) or the address of a secp256k1 account")
    })
}

fn check_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), AuthError> {
    let header =
        single(headers, "content-digest")?.ok_or_else(|| malformed("Content-Digest is missing"))?;
    let mut known = 0u8;
    for (name, digest) in byte_sequences("Content-Digest", header)? {
        let own = match name.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sm3" => Sm3::digest(body).to_vec(),
            _ => continue,
        };
        if own != digest {
            return Err(AuthError::BadDigest);
        }
        known = known.saturating_add(1);
    }
    if known == 0 {
        return Err(malformed("Content-Digest needs sha-256 or sm3"));
    }
    Ok(())
}

/// The text that is signed: RFC 9421, section 2.5.
fn base(input: &SignatureInput, message: &Message<'_>) -> Result<String, AuthError> {
    let mut out = String::new();
    for name in &input.components {
        let value = match name.as_str() {
            "@method" => message.method.to_owned(),
            "@path" => message.path.to_owned(),
            "@authority" => single(message.headers, header::HOST.as_str())?
                .ok_or_else(|| malformed("@authority is covered and Host is missing"))?
                .to_ascii_lowercase(),
            derived if derived.starts_with('@') => {
                return Err(malformed(format!(
                    "{derived} cannot be covered here; @method, @path and @authority can"
                )));
            }
            field => {
                let values: Result<Vec<_>, _> = message
                    .headers
                    .get_all(field)
                    .iter()
                    .map(|value| value.to_str().map(str::trim))
                    .collect();
                let values = values.map_err(|_| malformed(format!("{field} is not ASCII")))?;
                if values.is_empty() {
                    return Err(malformed(format!("{field} is covered and not there")));
                }
                values.join(", ")
            }
        };
        out.push_str(&format!("\"{name}\": {value}\n"));
    }
    out.push_str(&format!("\"@signature-params\": {}", input.serialize()));
    Ok(out)
}

/// Headers that sign a request: name and value.
pub type SignedHeaders = Vec<(&'static str, String)>;

/// Signs a request to a node: gives the headers to add.
///
/// `audience` is what `hawser_challenge` of that node and chain names, `path` the path of the URL
/// (`/` or `/chain/<id>`), `body` the body exactly as it is sent (`None` for opening a WebSocket),
/// `now_s` the time in seconds since 1970. The signature is good for a minute.
///
/// # Errors
/// When the operating system gives no randomness for the nonce.
pub fn sign_request(
    key: &SecretKey,
    audience: &str,
    method: &str,
    path: &str,
    body: Option<&[u8]>,
    now_s: u64,
) -> Result<SignedHeaders, getrandom::Error> {
    let mut nonce = [0u8; 16];
    getrandom::fill(&mut nonce)?;
    let nonce = hex::encode(nonce);
    Ok(sign_with(key, audience, method, path, body, now_s, &nonce))
}

fn sign_with(
    key: &SecretKey,
    audience: &str,
    method: &str,
    path: &str,
    body: Option<&[u8]>,
    now_s: u64,
    nonce: &str,
) -> SignedHeaders {
    let mut out: SignedHeaders = Vec::with_capacity(3);
    let mut lines = format!("\"@method\": {method}\n\"@path\": {path}\n");
    let mut components = vec!["@method".to_owned(), "@path".to_owned()];
    if let Some(body) = body {
        let digest = match key.scheme() {
            Scheme::Sm2 => format!("sm3={}", write_bytes(&Sm3::digest(body))),
            _ => format!("sha-256={}", write_bytes(&Sha256::digest(body))),
        };
        lines.push_str(&format!("\"content-digest\": {digest}\n"));
        components.push("content-digest".to_owned());
        out.push(("content-digest", digest));
    }
    let text = |value: &str| Value::Text(value.to_owned());
    let input = SignatureInput {
        label: LABEL.to_owned(),
        components,
        parameters: vec![
            ("created".to_owned(), Value::Integer(now_s)),
            (
                "expires".to_owned(),
                Value::Integer(now_s.saturating_add(LIFETIME_S_MAX)),
            ),
            ("nonce".to_owned(), text(nonce)),
            ("alg".to_owned(), text(algorithm(key.scheme()))),
            ("keyid".to_owned(), text(&key.public_key().to_string())),
            ("tag".to_owned(), text(audience)),
        ],
    };
    let parameters = input.serialize();
    lines.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = key.sign(lines.as_bytes());
    out.push(("signature-input", format!("{LABEL}={parameters}")));
    out.push((
        "signature",
        format!("{LABEL}={}", write_bytes(signature.as_bytes())),
    ));
    out
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
