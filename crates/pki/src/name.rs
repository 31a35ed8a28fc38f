use std::fmt;

use der::asn1::{Any, ObjectIdentifier as Oid, PrintableStringRef, Utf8StringRef};
use der::{Tag, Tagged};
use serde::{Deserialize, Serialize};
use x509_cert::name::Name;

use crate::limits::ATTRIBUTE_CHARS_MAX;
use crate::{PkiError, encode, oid};

/// The subject of a certificate, as far as it matters here. Other attributes are kept in the
/// certificate and not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// `CN`: name of the node, person, service or authority.
    pub common_name: String,
    /// `O`: the organisation. Empty only in certificates from elsewhere, which no trust accepts.
    pub organisation: String,
    /// `OU`: a unit within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `C`: two letters (ISO 3166).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

impl Subject {
    /// A name within an organisation.
    #[must_use]
    pub fn new(common_name: impl Into<String>, organisation: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            organisation: organisation.into(),
            unit: None,
            country: None,
        }
    }

    /// Checks lengths and characters.
    ///
    /// # Errors
    /// [`PkiError::Input`].
    pub fn check(&self) -> Result<(), PkiError> {
        let fits = |text: &str| {
            !text.trim().is_empty()
                && text.chars().count() <= ATTRIBUTE_CHARS_MAX
                && !text.chars().any(char::is_control)
        };
        let rule = format!("1 to {ATTRIBUTE_CHARS_MAX} characters without control characters");
        for (what, text) in [
            ("common name (CN)", Some(&self.common_name)),
            ("organisation (O)", Some(&self.organisation)),
            ("unit (OU)", self.unit.as_ref()),
        ] {
            if text.is_some_and(|text| !fits(text)) {
                return Err(PkiError::input(what, &rule));
            }
        }
        let letters = |text: &String| {
            text.len() == 2 && text.chars().all(|letter| letter.is_ascii_uppercase())
        };
        if !self.country.as_ref().is_none_or(letters) {
            return Err(PkiError::input(
                "country (C)",
                "two capital letters, such as CN",
            ));
        }
        Ok(())
    }

    /// The X.501 name in DER: C, O, OU, CN.
    pub(crate) fn to_der(&self) -> Result<Vec<u8>, PkiError> {
        self.check()?;
        let part =
            |id: Oid, value: &[u8]| encode::set(&[&encode::sequence(&[&encode::oid(id), value])]);
        let mut parts = Vec::new();
        if let Some(country) = &self.country {
            parts.push(part(oid::COUNTRY, &encode::printable(country)));
        }
        parts.push(part(oid::ORGANISATION, &encode::utf8(&self.organisation)));
        if let Some(unit) = &self.unit {
            parts.push(part(oid::UNIT, &encode::utf8(unit)));
        }
        parts.push(part(oid::COMMON_NAME, &encode::utf8(&self.common_name)));
        Ok(encode::tlv(encode::SEQUENCE, &parts.concat()))
    }

    /// Reads a name. An attribute that stands twice is refused: which one would count?
    pub(crate) fn of(name: &Name) -> Result<Self, PkiError> {
        Ok(Self {
            common_name: attribute(name, oid::COMMON_NAME)?.unwrap_or_default(),
            organisation: attribute(name, oid::ORGANISATION)?.unwrap_or_default(),
            unit: attribute(name, oid::UNIT).ok().flatten(),
            country: attribute(name, oid::COUNTRY)?,
        })
    }
}

fn attribute(name: &Name, id: Oid) -> Result<Option<String>, PkiError> {
    let mut found = None;
    for pair in name.iter() {
        if pair.oid != id {
            continue;
        }
        if found.is_some() {
            return Err(PkiError::malformed(
                "name",
                format!("{id} stands in it twice"),
            ));
        }
        let text = text(&pair.value).ok_or_else(|| {
            PkiError::malformed("name", format!("{id} is no UTF-8 or printable text"))
        })?;
        if text.chars().count() > 4 * ATTRIBUTE_CHARS_MAX {
            return Err(PkiError::TooLarge {
                what: "attribute of a name",
                len: text.len(),
                max: 4 * ATTRIBUTE_CHARS_MAX,
            });
        }
        found = Some(text);
    }
    Ok(found)
}

fn text(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str(),
        _ => return None,
    };
    Some(text.to_owned())
}

impl fmt::Display for Subject {
    /// `CN=node0, O=Harbour`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What others wrote must not draw on the terminal.
        let clean = |text: &str| -> String {
            text.chars()
                .map(|c| if c.is_control() { '?' } else { c })
                .collect()
        };
        write!(f, "CN={}", clean(&self.common_name))?;
        if let Some(unit) = &self.unit {
            write!(f, ", OU={}", clean(unit))?;
        }
        write!(f, ", O={}", clean(&self.organisation))?;
        if let Some(country) = &self.country {
            write!(f, ", C={}", clean(country))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use der::Decode;

    #[test]
    fn names_survive_der_and_their_lengths_are_bounded() {
        let mut subject = Subject::new("节点 0", "港口银行");
        subject.unit = Some("IT".to_owned());
        subject.country = Some("CN".to_owned());
        let name = Name::from_der(&subject.to_der().unwrap()).unwrap();
        assert_eq!(Subject::of(&name).unwrap(), subject);
        assert_eq!(subject.to_string(), "CN=节点 0, OU=IT, O=港口银行, C=CN");
        assert!(Subject::new("x".repeat(64), "o").to_der().is_ok());
        for bad in [
            Subject::new("x".repeat(65), "o"),
            Subject::new("", "o"),
            Subject::new("x", " "),
            Subject::new("x\n", "o"),
            Subject {
                country: Some("cn".to_owned()),
                ..Subject::new("x", "o")
            },
        ] {
            assert!(bad.to_der().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn two_organisations_in_one_name_are_refused() {
        let one = encode::set(&[&encode::sequence(&[
            &encode::oid(oid::ORGANISATION),
            &encode::utf8("A"),
        ])]);
        let name = Name::from_der(&encode::sequence(&[&one, &one])).unwrap();
        assert!(Subject::of(&name).is_err());
    }
}
