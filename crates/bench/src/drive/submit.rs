//! The three ways of handing transactions in, and what comes back.

use clap::ValueEnum;
use serde::Serialize;

use super::http::Answer;
use crate::{
    rpc::{BatchReply, ErrorReply, parse_batch},
    work::Tx,
};

/// How transactions are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Submit {
    /// One `eth_sendRawTransaction` per request.
    Single,
    /// JSON-RPC batches.
    Batch,
    /// `POST /raw`: many transactions as bytes.
    Binary,
}

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The node has it.
    Accepted,
    /// The node had it before.
    Known,
    /// Not now; `hint` when the node said when to come back.
    Busy { hint: bool },
    /// Refused, in the node's words.
    Refused(String),
}

impl Submit {
    /// The most transactions in a request, where `batch` are asked for.
    pub(crate) const fn batch(self, batch: usize) -> usize {
        match self {
            Self::Single => 1,
            Self::Batch | Self::Binary => batch,
        }
    }

    /// Path and content type.
    pub(crate) const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Single | Self::Batch => ("/", "application/json"),
            Self::Binary => ("/raw", "application/octet-stream"),
        }
    }

    /// The body of a request. Request ids are places in the list.
    pub(crate) fn body<'a>(self, list: impl Iterator<Item = &'a Tx>) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Binary => {
                for tx in list {
                    let length = u32::try_from(tx.raw.len()).unwrap_or(u32::MAX);
                    body.extend_from_slice(&length.to_be_bytes());
                    body.extend_from_slice(&tx.raw);
                }
            }
            Self::Single => {
                if let Some(tx) = list.take(1).next() {
                    request(&mut body, 0, &tx.raw);
                }
            }
            Self::Batch => {
                body.push(b'[');
                for (id, tx) in list.enumerate() {
                    if id > 0 {
                        body.push(b',');
                    }
                    request(&mut body, id, &tx.raw);
                }
                body.push(b']');
            }
        }
        body
    }

    /// The fates of the `count` transactions of a request; `None` where the answer is not readable, so that nobody
    /// knows them.
    pub(crate) fn fates(self, answer: &Answer, count: usize) -> Option<Vec<Fate>> {
        match self {
            Self::Binary => fates_of_bytes(answer, count),
            Self::Single | Self::Batch => fates_of_json(answer, count),
        }
    }
}

fn request(body: &mut Vec<u8>, id: usize, raw: &[u8]) {
    body.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    body.extend_from_slice(id.to_string().as_bytes());
    body.extend_from_slice(b",\"method\":\"eth_sendRawTransaction\",\"params\":[\"0x");
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    body.reserve(raw.len().saturating_mul(2).saturating_add(3));
    for byte in raw {
        body.push(digit(byte >> 4));
        body.push(digit(byte & 15));
    }
    body.extend_from_slice(b"\"]}");
}

fn fate(error: &ErrorReply) -> Fate {
    if error.is_busy() {
        Fate::Busy {
            hint: error.has_hint(),
        }
    } else if error.is_known() {
        Fate::Known
    } else {
        Fate::Refused(error.message.clone())
    }
}

fn fates_of_json(answer: &Answer, count: usize) -> Option<Vec<Fate>> {
    // Nearly every answer is nothing but hashes, which are not worth reading.
    if answer.status == 200 && !contains(&answer.body, b"\"error\"") {
        let given = occurrences(&answer.body, b"\"result\":\"0x");
        return (given == count).then(|| vec![Fate::Accepted; count]);
    }
    match parse_batch(&answer.body) {
        BatchReply::Each(replies) => {
            let mut fates = vec![None; count];
            for reply in replies {
                let at = usize::try_from(reply.id?).ok()?;
                *fates.get_mut(at)? = Some(reply.error.as_ref().map_or(Fate::Accepted, fate));
            }
            fates.into_iter().collect()
        }
        BatchReply::Refused(error) => Some(vec![fate(&error); count]),
        BatchReply::Unknown(_) => None,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn occurrences(text: &[u8], part: &[u8]) -> usize {
    let mut count = 0usize;
    let mut rest = text;
    while let Some(at) = rest.windows(part.len()).position(|window| window == part) {
        count += 1;
        rest = rest
            .get(at.saturating_add(part.len())..)
            .unwrap_or_default();
    }
    count
}

/// Reads the binary answer (`docs/spec/rpc.md`, section 6).
fn fates_of_bytes(answer: &Answer, count: usize) -> Option<Vec<Fate>> {
    if !matches!(answer.status, 200 | 401 | 403 | 429 | 503) {
        // Refused as a whole, for a reason in JSON.
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        return (answer.status < 500).then(|| vec![Fate::Refused(text); count]);
    }
    let body = answer.body.as_slice();
    if body.first() == Some(&b'{') {
        let hint = answer.retry_after;
        return Some(vec![Fate::Busy { hint }; count]);
    }
    let (given, rest) = body.split_first_chunk::<4>()?;
    let (wait_ms, mut rest) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*given) as usize != count {
        return None;
    }
    let hint = u32::from_be_bytes(*wait_ms) > 0;
    let mut fates = Vec::with_capacity(count);
    for _ in 0..count {
        let (head, tail) = rest.split_first_chunk::<3>()?;
        let [status, high, low] = *head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (text, tail) = tail.split_at_checked(length)?;
        rest = tail;
        fates.push(match status {
            0 => Fate::Accepted,
            1 => Fate::Known,
            2 => Fate::Busy { hint },
            _ => Fate::Refused(String::from_utf8_lossy(text).into_owned()),
        });
    }
    rest.is_empty().then_some(fates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_primitives::B256;
    use serde_json::Value;

    fn tx(raw: &'static [u8]) -> Tx {
        Tx {
            hash: B256::ZERO,
            raw: raw.into(),
        }
    }

    fn answer(status: u16, body: &[u8]) -> Answer {
        Answer {
            status,
            body: body.to_vec(),
            retry_after: status == 429,
        }
    }

    #[test]
    fn bodies_have_their_form() {
        let list = [tx(b"\x01\xab"), tx(b"\xff")];
        let body = Submit::Binary.body(list.iter());
        assert_eq!(body, [0, 0, 0, 2, 1, 0xab, 0, 0, 0, 1, 0xff]);
        let body: Value = serde_json::from_slice(&Submit::Batch.body(list.iter())).unwrap();
        assert_eq!(body[0]["params"][0], "0x01ab");
        assert_eq!(body[1]["id"], 1);
        let body: Value = serde_json::from_slice(&Submit::Single.body(list.iter())).unwrap();
        assert_eq!(body["params"][0], "0x01ab");
        assert_eq!(Submit::Single.batch(100), 1);
    }

    #[test]
    fn json_answers_are_read() {
        let good = br#"[{"jsonrpc":"2.0","id":0,"result":"0xab"},{"jsonrpc":"2.0","id":1,"result":"0xcd"}]"#;
        let fates = |body: &[u8], count| Submit::Batch.fates(&answer(200, body), count);
        assert_eq!(fates(good, 2), Some(vec![Fate::Accepted; 2]));
        assert_eq!(fates(good, 3), None);
        let mixed =
            br#"[{"id":1,"error":{"code":-32005,"message":"full","data":{"retryAfterMs":1000}}},
            {"id":0,"result":"0x1"},{"id":2,"error":{"code":-32000,"message":"already known"}},
            {"id":3,"error":{"code":-32000,"message":"nonce too low"}}]"#;
        let expected = vec![
            Fate::Accepted,
            Fate::Busy { hint: true },
            Fate::Known,
            Fate::Refused("nonce too low".to_owned()),
        ];
        assert_eq!(fates(mixed, 4), Some(expected));
        assert_eq!(fates(mixed, 3), None);
        let whole = br#"{"id":null,"error":{"code":-32005,"message":"busy"}}"#;
        assert_eq!(fates(whole, 2), Some(vec![Fate::Busy { hint: false }; 2]));
        assert_eq!(fates(b"<html>", 1), None);
    }

    #[test]
    fn binary_answers_are_read_and_broken_ones_are_not_guessed_at() {
        let fates = |status, body: &[u8], count| Submit::Binary.fates(&answer(status, body), count);
        let mut body = vec![0, 0, 0, 3, 0, 0, 3, 232, 0, 0, 0, 2, 0, 4];
        body.extend(b"full");
        body.extend([3, 0, 2]);
        body.extend(b"no");
        let expected = vec![
            Fate::Accepted,
            Fate::Busy { hint: true },
            Fate::Refused("no".to_owned()),
        ];
        assert_eq!(fates(200, &body, 3), Some(expected));
        assert_eq!(fates(200, &body, 2), None);
        assert_eq!(fates(200, &body[..body.len() - 1], 3), None);
        body.push(0);
        assert_eq!(fates(200, &body, 3), None);
        let busy = b"{\"error\":{}}";
        assert_eq!(
            fates(429, busy, 2),
            Some(vec![Fate::Busy { hint: true }; 2])
        );
        assert!(matches!(&fates(400, b"bad", 1).unwrap()[0], Fate::Refused(text) if text == "bad"));
        assert_eq!(fates(500, b"", 1), None);
    }
}
