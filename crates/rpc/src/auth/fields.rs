//! The little of Structured Field Values (RFC 9651) that message signatures need.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::AuthError;

/// Longest header read, in bytes.
const HEADER_BYTES_MAX: usize = 2_048;
/// Most components that a signature covers.
const COMPONENTS_MAX: usize = 16;
/// Most parameters of a signature.
const PARAMETERS_MAX: usize = 16;

/// Value of a signature's parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Integer(u64),
    Text(String),
}

/// The one member of a `Signature-Input` header: what is covered, and the parameters, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignatureInput {
    pub(super) label: String,
    pub(super) components: Vec<String>,
    pub(super) parameters: Vec<(String, Value)>,
}

fn malformed(why: impl Into<String>) -> AuthError {
    AuthError::Malformed(why.into())
}

/// Reads characters from the front.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn take(&mut self, what: char) -> bool {
        match self.0.strip_prefix(what) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, what: char, place: &str) -> Result<(), AuthError> {
        if self.take(what) {
            return Ok(());
        }
        Err(malformed(format!("{place}: {what:?} was expected")))
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    /// A key: lower-case letters, digits, `_`, `-`, `.`, `*`.
    fn key(&mut self, place: &str) -> Result<&'a str, AuthError> {
        let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
        let end = self.0.find(|c| !is_key(c)).unwrap_or(self.0.len());
        let (key, rest) = self.0.split_at(end);
        self.0 = rest;
        let begins = |c: char| c.is_ascii_lowercase() || c == '*';
        if key.starts_with(begins) {
            return Ok(key);
        }
        Err(malformed(format!("{place}: a name was expected")))
    }

    /// A quoted text.
    fn text(&mut self, place: &str) -> Result<String, AuthError> {
        self.expect('"', place)?;
        let mut out = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = self.0.get(at.saturating_add(1)..).unwrap_or_default();
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => out.push(c),
                    _ => return Err(malformed(format!("{place}: wrong escape in a text"))),
                },
                ' '..='~' => out.push(c),
                _ => return Err(malformed(format!("{place}: texts are printable ASCII"))),
            }
        }
        Err(malformed(format!("{place}: a text does not end")))
    }

    fn integer(&mut self, place: &str) -> Result<u64, AuthError> {
        let end = self.0.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        // RFC 9651 gives integers 15 digits.
        match digits.parse() {
            Ok(value) if digits.len() <= 15 => Ok(value),
            _ => Err(malformed(format!(
                "{place}: a text or a number was expected"
            ))),
        }
    }
}

impl SignatureInput {
    /// Reads a header with exactly one signature.
    pub(super) fn parse(header: &str) -> Result<Self, AuthError> {
        const PLACE: &str = "Signature-Input";
        check_length(PLACE, header)?;
        let mut cursor = Cursor(header.trim_matches(' '));
        let label = cursor.key(PLACE)?.to_owned();
        cursor.expect('=', PLACE)?;
        cursor.expect('(', PLACE)?;
        let mut components = Vec::new();
        loop {
            cursor.spaces();
            if cursor.take(')') {
                break;
            }
            let component = cursor.text(PLACE)?;
            if cursor.0.starts_with(';') {
                return Err(malformed(
                    "parameters of covered components are not supported",
                ));
            }
            if components.contains(&component) {
                return Err(malformed(format!("{component} is covered twice")));
            }
            if components.len() >= COMPONENTS_MAX {
                return Err(malformed(format!("more than {COMPONENTS_MAX} components")));
            }
            components.push(component);
        }
        let mut parameters: Vec<(String, Value)> = Vec::new();
        while cursor.take(';') {
            cursor.spaces();
            let name = cursor.key(PLACE)?.to_owned();
            cursor.expect('=', PLACE)?;
            let value = if cursor.0.starts_with('"') {
                Value::Text(cursor.text(PLACE)?)
            } else {
                Value::Integer(cursor.integer(PLACE)?)
            };
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(malformed(format!("parameter {name} is there twice")));
            }
            if parameters.len() >= PARAMETERS_MAX {
                return Err(malformed(format!("more than {PARAMETERS_MAX} parameters")));
            }
            parameters.push((name, value));
        }
        if !cursor.0.is_empty() {
            return Err(malformed("one signature per request, and nothing after it"));
        }
        Ok(Self {
            label,
            components,
            parameters,
        })
    }

    /// The member's value as it is signed: `@signature-params` of RFC 9421, section 2.3.
    pub(super) fn serialize(&self) -> String {
        let components: Vec<_> = self.components.iter().map(|name| quote(name)).collect();
        let mut out = format!("({})", components.join(" "));
        for (name, value) in &self.parameters {
            let value = match value {
                Value::Integer(number) => number.to_string(),
                Value::Text(text) => quote(text),
            };
            out.push_str(&format!(";{name}={value}"));
        }
        out
    }

    /// A parameter that is a text.
    pub(super) fn text(&self, name: &str) -> Result<&str, AuthError> {
        match self.parameter(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(malformed(format!(
                "the signature needs the text parameter {name}"
            ))),
        }
    }

    /// A parameter that is a number.
    pub(super) fn integer(&self, name: &str) -> Result<u64, AuthError> {
        match self.parameter(name) {
            Some(Value::Integer(number)) => Ok(*number),
            _ => Err(malformed(format!(
                "the signature needs the number parameter {name}"
            ))),
        }
    }

    fn parameter(&self, name: &str) -> Option<&Value> {
        let mut all = self.parameters.iter();
        all.find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn check_length(place: &str, header: &str) -> Result<(), AuthError> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(malformed(format!(
            "{place} is longer than {HEADER_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Reads a dictionary of byte sequences: `name=:base64:, …`.
pub(super) fn byte_sequences(
    place: &str,
    header: &str,
) -> Result<Vec<(String, Vec<u8>)>, AuthError> {
    check_length(place, header)?;
    let mut cursor = Cursor(header.trim_matches(' '));
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        let name = cursor.key(place)?.to_owned();
        cursor.expect('=', place)?;
        cursor.expect(':', place)?;
        let Some((encoded, rest)) = cursor.0.split_once(':') else {
            return Err(malformed(format!("{place}: bytes are written :base64:")));
        };
        cursor.0 = rest;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| malformed(format!("{place}: bytes are written :base64:")))?;
        if out.iter().any(|(known, _)| *known == name) {
            return Err(malformed(format!("{place}: {name} is there twice")));
        }
        out.push((name, bytes));
        cursor.spaces();
        if cursor.0.is_empty() {
            return Ok(out);
        }
        cursor.expect(',', place)?;
        cursor.spaces();
    }
}

/// Writes a byte sequence.
pub(super) fn write_bytes(bytes: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_survives() {
        // RFC 9421, section 4.1.
        let header = "sig1=(\"@method\" \"@target-uri\" \"@authority\" \"content-digest\" \
                      \"cache-control\");created=1618884475;keyid=\"test-key-rsa-pss\"";
        let input = SignatureInput::parse(header).unwrap();
        assert_eq!(input.label, "sig1");
        assert_eq!(input.components.len(), 5);
        assert_eq!(input.integer("created").unwrap(), 1_618_884_475);
        assert_eq!(input.text("keyid").unwrap(), "test-key-rsa-pss");
        assert_eq!(format!("sig1={}", input.serialize()), header);
        assert!(input.text("created").is_err() && input.integer("nonce").is_err());
    }

    #[test]
    fn damaged_headers_are_refused_or_written_back_as_they_were_meant() {
        use crate::mutate::{Mutator, inputs};

        let seeds = [
            "sig1=(\"@method\" \"@path\" \"content-digest\");created=1618884475;nonce=\"a\\\"b\";keyid=\"k\"",
            "sig1=:dGVzdA==:, sha-256=:AAAA:",
        ];
        let seeds = seeds.map(|text| text.as_bytes().to_vec()).to_vec();
        let words = [
            "\"",
            ";",
            "=",
            "(",
            ")",
            ":",
            ", ",
            "created=",
            "\\",
            "999999999999999",
        ];
        let mut mutator = Mutator::new(4, seeds, &words);
        for _ in 0..inputs() {
            let input = mutator.input();
            let Ok(text) = std::str::from_utf8(&input) else {
                continue;
            };
            if let Ok(read) = SignatureInput::parse(text) {
                let written = format!("{}={}", read.label, read.serialize());
                let again = SignatureInput::parse(&written).unwrap();
                assert_eq!(again.serialize(), read.serialize(), "{text}");
            }
            if let Ok(all) = byte_sequences("Signature", text) {
                let written: Vec<_> = all
                    .iter()
                    .map(|(name, bytes)| format!("{name}={}", write_bytes(bytes)))
                    .collect();
                // Writing may be longer than what is read, by padding.
                if let Ok(again) = byte_sequences("Signature", &written.join(", ")) {
                    assert_eq!(again, all, "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_single_signature_is_refused() {
        for bad in [
            "",
            "sig",
            "sig=",
            "sig=(",
            "sig=(\"@method\"",
            "sig=(\"@method);created=1",
            "Sig=(\"@method\")",
            "sig=(\"@method\" \"@method\")",
            "sig=(\"@query-param\";name=\"x\")",
            "sig=(\"@method\");created=1;created=2",
            "sig=(\"@method\");created=-1",
            "sig=(\"@method\");created=1234567890123456",
            "sig=(\"@method\");nonce=\"a\\x\"",
            "sig=(\"@method\");nonce=\"ä\"",
            "sig=(\"@method\"), other=(\"@path\")",
            &format!("sig=({})", "\"@method\" ".repeat(300)),
        ] {
            assert!(SignatureInput::parse(bad).is_err(), "{bad:.80}");
        }
        let many = |n: usize| {
            let names: Vec<_> = (0..n).map(|i| format!("\"x{i}\"")).collect();
            format!("sig=({})", names.join(" "))
        };
        assert!(SignatureInput::parse(&many(COMPONENTS_MAX)).is_ok());
        assert!(SignatureInput::parse(&many(COMPONENTS_MAX + 1)).is_err());
    }

    #[test]
    fn byte_sequences_are_read_and_written() {
        let header = format!("sha-256={}, sm3={}", write_bytes(b"ab"), write_bytes(b""));
        let read = byte_sequences("Content-Digest", &header).unwrap();
        assert_eq!(read[0], ("sha-256".to_owned(), b"ab".to_vec()));
        assert_eq!(read[1], ("sm3".to_owned(), Vec::new()));
        for bad in [
            "",
            "a",
            "a=",
            "a=:",
            "a=:YQ",
            "a=YQ==",
            "a=:YQ==:,",
            "a=:Y:",
            "a=:YQ==:, a=:YQ==:",
        ] {
            assert!(byte_sequences("x", bad).is_err(), "{bad}");
        }
        let long = format!("a=:{}:", "A".repeat(HEADER_BYTES_MAX));
        assert!(byte_sequences("x", &long).is_err());
    }
}
