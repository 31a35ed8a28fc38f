//! Checks one value against what its key may be.

use std::net::SocketAddr;
use std::path::Path;

use super::error::{Problem, Source};
use super::keys::{Field, Kind};

/// A value with the place that it came from.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) at: Source,
}

/// A parsed value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    List(Vec<Item>),
    Table(Vec<(String, Item)>),
    /// What no key takes: its name in words.
    Other(&'static str),
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("the text \"{}\"", shorten(text)),
            Self::Integer(number) => format!("the number {number}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Other(name) => (*name).to_owned(),
        }
    }
}

/// Errors quote what was given, and it may be long.
pub(super) fn shorten(text: &str) -> String {
    const LEN_MAX: usize = 80;
    let mut out: String = text.chars().take(LEN_MAX).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

impl Kind {
    /// In words, for errors and documentation.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Text(max) => format!("a text of 1 to {max} bytes"),
            Self::Path => "a path".to_owned(),
            Self::OptionalPath => "a path, or empty for none".to_owned(),
            Self::Socket => "an address such as 127.0.0.1:8545".to_owned(),
            Self::OptionalSocket => {
                "an address such as 127.0.0.1:8545, or empty for off".to_owned()
            }
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List(max) => format!("a list of at most {max} texts"),
            Self::Tables(max, _) => format!("a list of at most {max} tables"),
        }
    }
}

/// Turns a value into the form that the typed configuration is read from, or says what is wrong.
pub(super) fn check(
    key: &str,
    kind: &Kind,
    item: &Item,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<toml::Value> {
    let mut out_of_range = |found: String| {
        problems.push(Problem::OutOfRange {
            at: item.at.clone(),
            key: key.to_owned(),
            found,
            range: kind.describe(),
        });
        None
    };
    match (kind, &item.value) {
        (Kind::Text(max), Value::Text(text)) => {
            if text.is_empty() || text.len() > *max {
                return out_of_range(format!("{} bytes long", text.len()));
            }
            Some(toml::Value::String(text.clone()))
        }
        (Kind::Path | Kind::OptionalPath, Value::Text(text)) => {
            if text.is_empty() {
                if *kind == Kind::OptionalPath {
                    return Some(toml::Value::String(String::new()));
                }
                return out_of_range("empty".to_owned());
            }
            if text.len() > 4_096 || text.contains('\0') {
                return out_of_range("no usable path".to_owned());
            }
            let path = base.join(text);
            // Came from text, joined with a path that the caller gave; both are checked here.
            match path.to_str() {
                Some(path) => Some(toml::Value::String(path.to_owned())),
                None => out_of_range("in a folder whose name is not UTF-8".to_owned()),
            }
        }
        (Kind::Socket | Kind::OptionalSocket, Value::Text(text)) => {
            if text.is_empty() && *kind == Kind::OptionalSocket {
                return Some(toml::Value::String(String::new()));
            }
            match text.parse::<SocketAddr>() {
                Ok(address) => Some(toml::Value::String(address.to_string())),
                Err(_) => out_of_range(format!("\"{}\"", shorten(text))),
            }
        }
        (Kind::Integer(min, max), Value::Integer(number)) => match i64::try_from(*number) {
            Ok(value) if (i128::from(*min)..=i128::from(*max)).contains(number) => {
                Some(toml::Value::Integer(value))
            }
            _ => out_of_range(number.to_string()),
        },
        (Kind::Choice(words), Value::Text(text)) => {
            if words.contains(&text.as_str()) {
                Some(toml::Value::String(text.clone()))
            } else {
                out_of_range(format!("\"{}\"", shorten(text)))
            }
        }
        (Kind::List(max), Value::List(items)) => {
            if items.len() > *max {
                return out_of_range(format!("{} long", items.len()));
            }
            let texts: Option<Vec<_>> = items
                .iter()
                .map(|item| check(key, &Kind::Text(512), item, base, problems))
                .collect();
            texts.map(toml::Value::Array)
        }
        (Kind::Tables(max, fields), Value::List(items)) => {
            if items.len() > *max {
                return out_of_range(format!("{} long", items.len()));
            }
            let tables: Option<Vec<_>> = items
                .iter()
                .enumerate()
                .map(|(i, item)| table(&format!("{key}[{i}]"), fields, item, base, problems))
                .collect();
            tables.map(toml::Value::Array)
        }
        (_, value) => {
            problems.push(Problem::WrongType {
                at: item.at.clone(),
                key: key.to_owned(),
                expected: kind.describe(),
                found: value.describe(),
            });
            None
        }
    }
}

fn table(
    key: &str,
    fields: &[Field],
    item: &Item,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<toml::Value> {
    let Value::Table(entries) = &item.value else {
        problems.push(Problem::WrongType {
            at: item.at.clone(),
            key: key.to_owned(),
            expected: "a table".to_owned(),
            found: item.value.describe(),
        });
        return None;
    };
    let mut out = toml::Table::new();
    let mut good = true;
    for (name, value) in entries {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let names = fields.iter().map(|field| field.name);
            problems.push(Problem::UnknownKey {
                at: value.at.clone(),
                key: shorten(name),
                section: Some(key.to_owned()),
                nearest: nearest(name, names),
            });
            good = false;
            continue;
        };
        match check(&format!("{key}.{name}"), &field.kind, value, base, problems) {
            Some(value) => {
                out.insert(name.clone(), value);
            }
            None => good = false,
        }
    }
    for field in fields.iter().filter(|field| field.required) {
        if !entries.iter().any(|(name, _)| name == field.name) {
            problems.push(Problem::MissingField {
                at: item.at.clone(),
                key: key.to_owned(),
                field: field.name.to_owned(),
            });
            good = false;
        }
    }
    good.then_some(toml::Value::Table(out))
}

/// The candidate that looks most like `name`, if any looks like it at all. A candidate whose last
/// part is exactly `name` counts as alike.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    const ALIKE: f64 = 0.6;
    candidates
        .map(|candidate| {
            let whole = strsim::normalized_damerau_levenshtein(name, candidate);
            let last = candidate.rsplit('.').next().unwrap_or(candidate);
            let score = if last == name { whole.max(0.95) } else { whole };
            (score, candidate)
        })
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
