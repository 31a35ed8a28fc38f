//! Recovery of many keys at once.

use std::sync::{Arc, LazyLock};

use hawser_primitives::{Address, B256};
use hawser_secp_fast::{Engine, Signature};

use super::{
    cache::{CachedKey, KeyCache},
    check_range, recover,
};
use crate::{PublicKey, Scheme, VerifyError};

/// Memory for prepared keys that [`recover_many`] may use, in bytes: about 1,450 keys.
pub const KEY_CACHE_BYTES_MAX: usize = 64 << 20;

/// Eight lanes cost as much as one, which is about two recoveries one by one: below this many
/// signatures the single path is as fast. Verification pays even for one.
const RECOVER_MIN: usize = 3;

/// A signature over a digest, of which the signer is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Digest that was signed.
    pub prehash: B256,
    /// `r ‖ s`, 32 bytes each, big endian.
    pub r_s: [u8; 64],
    /// Parity of the nonce point's y coordinate.
    pub y_parity: bool,
    /// Who probably signed, if anyone knows. It speeds things up where it is right, and changes no
    /// answer where it is wrong.
    pub hint: Option<Address>,
}

/// How to compute. The answers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Eight lanes where the processor has the instructions, else as [`Path::Single`].
    Fast,
    /// One by one with libsecp256k1.
    Single,
}

/// Recovers keys, and remembers those that sign often.
pub struct Recoverer {
    engine: Option<Engine>,
    cache: KeyCache,
}

static SHARED: LazyLock<Recoverer> =
    LazyLock::new(|| Recoverer::new(Path::Fast, KEY_CACHE_BYTES_MAX));

/// The answer to one request.
type Answer = Result<(PublicKey, Address), VerifyError>;

/// Finds for each request what [`recover`] finds, in the requests' order, with tables of keys that
/// are shared by the whole process.
#[must_use]
pub fn recover_many(requests: &[Request]) -> Vec<Answer> {
    SHARED.recover_many(requests)
}

impl Recoverer {
    /// With tables of its own, of at most `cache_bytes_max` bytes.
    #[must_use]
    pub fn new(path: Path, cache_bytes_max: usize) -> Self {
        Self {
            engine: match path {
                Path::Fast => Engine::detect(),
                Path::Single => None,
            },
            cache: KeyCache::new(cache_bytes_max),
        }
    }

    /// The keys it knows well.
    #[must_use]
    pub const fn cache(&self) -> &KeyCache {
        &self.cache
    }

    /// Finds for each request what [`recover`] finds, in the requests' order.
    #[must_use]
    pub fn recover_many(&self, requests: &[Request]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = requests
            .iter()
            .map(|request| {
                check_range(&request.r_s)
                    .err()
                    .map(|error| Err(error.into()))
            })
            .collect();
        if let Some(engine) = self.engine {
            self.verify_known(engine, requests, &mut answers);
            recover_unknown(engine, requests, &mut answers, |address, key| {
                self.cache.saw(address, key);
            });
            self.prepare(engine);
        }
        // What is left was not tried, or refused. The engine may refuse wrongly, so that a refusal
        // is never an answer.
        let answers = answers.into_iter().zip(requests);
        answers
            .map(|(answer, request)| answer.unwrap_or_else(|| single(request)))
            .collect()
    }

    /// Answers requests whose hint names a prepared key that did sign.
    fn verify_known(&self, engine: Engine, requests: &[Request], answers: &mut [Option<Answer>]) {
        let hints = requests
            .iter()
            .zip(answers.iter())
            .map(|(request, answer)| request.hint.filter(|_| answer.is_none()));
        let known = self.cache.get_many(hints);
        let open: Vec<(usize, Address, Arc<CachedKey>)> = known
            .into_iter()
            .zip(requests)
            .enumerate()
            .filter_map(|(place, (known, request))| Some((place, request.hint?, known?)))
            .collect();
        let items: Vec<_> = open
            .iter()
            .filter_map(|(place, _, known)| {
                Some((&known.prepared, signature(requests.get(*place)?)))
            })
            .collect();
        for ((place, address, known), good) in open.iter().zip(engine.verify_many(&items)) {
            if let (true, Some(answer)) = (good, answers.get_mut(*place)) {
                *answer = Some(Ok((known.key.clone(), *address)));
            }
        }
    }

    /// Makes tables for keys that have come back.
    fn prepare(&self, engine: Engine) {
        let due = self.cache.due();
        let points: Vec<[u8; 64]> = due
            .iter()
            .map(|(_, key)| {
                let mut point = [0; 64];
                for (to, from) in point.iter_mut().zip(key.to_uncompressed().iter().skip(1)) {
                    *to = *from;
                }
                point
            })
            .collect();
        for ((address, key), prepared) in due.into_iter().zip(engine.prepare_many(&points)) {
            if let Some(prepared) = prepared {
                self.cache.insert(address, key, prepared);
            }
        }
    }
}

/// Answers requests whose key the engine recovers.
fn recover_unknown(
    engine: Engine,
    requests: &[Request],
    answers: &mut [Option<Answer>],
    mut saw: impl FnMut(Address, &PublicKey),
) {
    let open: Vec<(&Request, &mut Option<Answer>)> = requests
        .iter()
        .zip(answers)
        .filter(|(_, answer)| answer.is_none())
        .collect();
    if open.len() < RECOVER_MIN {
        for (request, answer) in open {
            let found = single(request);
            if let Ok((key, address)) = &found {
                saw(*address, key);
            }
            *answer = Some(found);
        }
        return;
    }
    let signatures: Vec<_> = open.iter().map(|(request, _)| signature(request)).collect();
    for ((_, answer), found) in open.into_iter().zip(engine.recover_many(&signatures)) {
        // The point is checked to lie on the curve once more, by libsecp256k1.
        let key = found.and_then(|xy| {
            let mut bytes = [4; 65];
            for (to, from) in bytes.iter_mut().skip(1).zip(xy) {
                *to = from;
            }
            PublicKey::from_bytes(Scheme::Secp256k1, &bytes).ok()
        });
        if let Some(key) = key {
            let address = key.address();
            saw(address, &key);
            *answer = Some(Ok((key, address)));
        }
    }
}

fn single(request: &Request) -> Answer {
    recover(&request.prehash, &request.r_s, request.y_parity)
}

fn signature(request: &Request) -> Signature {
    Signature {
        prehash: request.prehash.0,
        r_s: request.r_s,
        y_parity: request.y_parity,
    }
}
