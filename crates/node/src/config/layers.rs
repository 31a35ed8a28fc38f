//! Flags over environment over file over defaults.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hawser_primitives::open_file;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::check::{Item, Value, check, nearest, shorten};
use super::error::{ConfigError, Problem, Source};
use super::keys::{KEYS, Kind, find};
use super::sections::{
    ClientsKind, CredentialKind, Encryption, NodeConfig, NodeMode, StorageMode, TierStore,
};

/// Largest configuration file read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What lies over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Environment variables, all of them or those of interest. Names that begin with `HAWSER_`
    /// and a section of the configuration must be known.
    pub environment: Vec<(String, String)>,
    /// Values by key path (`rpc.http`) that flags gave.
    pub flags: Vec<(String, String)>,
}

/// The value of a key in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The value; paths are resolved.
    pub value: toml::Value,
    /// Where it came from.
    pub source: Source,
}

/// A configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: NodeConfig,
    /// Every key's value in effect and its origin.
    pub settings: BTreeMap<&'static str, Setting>,
}

/// Reads a file and lays environment and flags over it.
///
/// # Errors
/// Every problem found, not only the first.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let read = |reason: String| Problem::Read {
        path: path.to_owned(),
        reason,
    };
    // What a device says of its length bounds nothing.
    let mut text = String::new();
    open_file(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| read(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(read(format!(
            "it has more than the limit of {FILE_BYTES_MAX} bytes"
        ))
        .into());
    }
    load_text(&text, path, overrides)
}

/// As [`load`], with the file's text at hand; `path` serves errors and relative paths.
///
/// # Errors
/// Every problem found.
pub fn load_text(text: &str, path: &Path, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let mut layers = Layers {
        base: path.parent().map(Path::to_path_buf).unwrap_or_default(),
        settings: BTreeMap::new(),
        problems: Vec::new(),
    };
    layers.defaults();
    layers.file(text, path)?;
    layers.problems.sort_by_key(Problem::position);
    layers.environment(&overrides.environment);
    layers.flags(&overrides.flags);
    if !layers.problems.is_empty() {
        return Err(ConfigError {
            problems: layers.problems,
        });
    }
    let config = layers.typed()?;
    let settings = layers.settings;
    let problems = relations(&config, &settings);
    if problems.is_empty() {
        Ok(Loaded { config, settings })
    } else {
        Err(ConfigError { problems })
    }
}

struct Layers {
    base: PathBuf,
    settings: BTreeMap<&'static str, Setting>,
    problems: Vec<Problem>,
}

impl Layers {
    fn set(&mut self, path: &str, item: &Item, base: &Path) {
        let Some(key) = find(path) else {
            let problem = self.unknown(path, &item.at);
            self.problems.push(problem);
            return;
        };
        if let Some(value) = check(key.path, &key.kind, item, base, &mut self.problems) {
            let source = item.at.clone();
            self.settings.insert(key.path, Setting { value, source });
        }
    }

    /// In a file, a key is known by its name within its section.
    fn unknown(&self, path: &str, at: &Source) -> Problem {
        let nearest = nearest(path, KEYS.iter().map(|key| key.path));
        match (at, path.split_once('.')) {
            (Source::File { .. }, Some((section, name))) => {
                let prefix = format!("{section}.");
                Problem::UnknownKey {
                    at: at.clone(),
                    key: shorten(name),
                    nearest: nearest.map(|key| match key.strip_prefix(&prefix) {
                        Some(name) => name.to_owned(),
                        None => key,
                    }),
                    section: Some(section.to_owned()),
                }
            }
            _ => Problem::UnknownKey {
                at: at.clone(),
                key: shorten(path),
                section: None,
                nearest,
            },
        }
    }

    fn defaults(&mut self) {
        let base = self.base.clone();
        for key in KEYS {
            let item = parse_value(key.default, &Source::Default);
            self.set(key.path, &item, &base);
        }
    }

    fn file(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let places = Places { text, path };
        let document = DeTable::parse(text).map_err(|error| Problem::Syntax {
            at: places.at(error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        let base = self.base.clone();
        for (name, value) in document.get_ref() {
            let name_at = places.at(name.span().start);
            let section = format!("{}.", name.get_ref());
            let is_section = KEYS.iter().any(|key| key.path.starts_with(&section));
            match (is_section, value.get_ref()) {
                (true, DeValue::Table(entries)) => {
                    for (key, value) in entries {
                        let mut item = places.item(value.get_ref(), value.span().start);
                        // An unknown key is pointed at by its name, a bad value by itself.
                        let key_path = format!("{section}{}", key.get_ref());
                        if find(&key_path).is_none() {
                            item.at = places.at(key.span().start);
                        }
                        self.set(&key_path, &item, &base);
                    }
                }
                (true, _) => self.problems.push(Problem::WrongType {
                    at: name_at,
                    key: name.get_ref().to_string(),
                    expected: format!("a section: [{}]", name.get_ref()),
                    found: "a value".to_owned(),
                }),
                (false, _) => {
                    let mut item = places.item(value.get_ref(), value.span().start);
                    if find(name.get_ref()).is_none() {
                        item.at = name_at;
                        self.unknown_top(name.get_ref(), &item);
                    } else {
                        self.set(name.get_ref(), &item, &base);
                    }
                }
            }
        }
        Ok(())
    }

    fn unknown_top(&mut self, name: &str, item: &Item) {
        let sections = KEYS
            .iter()
            .filter_map(|key| Some(key.path.split_once('.')?.0));
        let names = sections.chain(KEYS.iter().map(|key| key.path));
        self.problems.push(Problem::UnknownKey {
            at: item.at.clone(),
            key: shorten(name),
            section: None,
            nearest: nearest(name, names),
        });
    }

    fn environment(&mut self, variables: &[(String, String)]) {
        let known: Vec<_> = KEYS.iter().map(|key| (key.variable(), key)).collect();
        for (name, text) in variables {
            let at = Source::Environment(name.clone());
            if let Some((_, key)) = known.iter().find(|(variable, _)| variable == name) {
                let item = from_text(&key.kind, text, at);
                self.set(key.path, &item, Path::new(""));
                continue;
            }
            let of_a_section = KEYS.iter().any(|key| {
                key.path.split_once('.').is_some_and(|(section, _)| {
                    name.starts_with(&format!("HAWSER_{}_", section.to_uppercase()))
                })
            });
            if of_a_section {
                self.problems.push(Problem::UnknownKey {
                    at,
                    key: shorten(name),
                    section: None,
                    nearest: nearest(name, known.iter().map(|(variable, _)| variable.as_str())),
                });
            }
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        for (path, text) in flags {
            let (kind, flag) = match find(path) {
                Some(key) => (key.kind, key.flag()),
                None => (Kind::Text(usize::MAX), path.clone()),
            };
            let item = from_text(&kind, text, Source::Flag(flag));
            self.set(path, &item, Path::new(""));
        }
    }

    /// The typed form. What `check` let through fits it, except texts with a grammar of their own
    /// (peer identities), which are reported with the place of their list.
    fn typed(&self) -> Result<NodeConfig, ConfigError> {
        let mut root = toml::Table::new();
        for (path, setting) in &self.settings {
            let value = setting.value.clone();
            match path.split_once('.') {
                None => {
                    root.insert((*path).to_owned(), value);
                }
                Some((section, name)) => {
                    let entry = root
                        .entry(section)
                        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                    if let toml::Value::Table(table) = entry {
                        table.insert(name.to_owned(), value);
                    }
                }
            }
        }
        NodeConfig::deserialize(toml::Value::Table(root)).map_err(|error| {
            let at = self
                .settings
                .get("network.peers")
                .map_or(Source::Default, |setting| setting.source.clone());
            Problem::Syntax {
                at,
                reason: error.message().to_owned(),
            }
            .into()
        })
    }
}

/// Rules that tie keys to one another.
fn relations(config: &NodeConfig, settings: &BTreeMap<&'static str, Setting>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut rule = |holds: bool, key: &'static str, range: String| {
        if holds {
            return;
        }
        let setting = settings.get(key);
        problems.push(Problem::OutOfRange {
            at: setting.map_or(Source::Default, |setting| setting.source.clone()),
            key: key.to_owned(),
            found: setting.map_or_else(String::new, |setting| setting.value.to_string()),
            range,
        });
    };
    let network = &config.network;
    rule(
        network.peer_timeout_ms >= network.ping_interval_ms.saturating_mul(2),
        "network.peer_timeout_ms",
        format!(
            "at least twice network.ping_interval_ms ({})",
            network.ping_interval_ms
        ),
    );
    let certificates = network.credential == CredentialKind::Certificate;
    for (present, key) in [
        (network.certificate.is_some(), "network.certificate"),
        (network.trust_dir.is_some(), "network.trust_dir"),
    ] {
        rule(
            present || !certificates,
            key,
            "given, as network.credential is \"certificate\"".to_owned(),
        );
    }
    let rpc = &config.rpc;
    rule(
        rpc.tls_key.is_some() == rpc.tls_certificate.is_some(),
        "rpc.tls_key",
        "given together with rpc.tls_certificate, or neither".to_owned(),
    );
    rule(
        rpc.tls_certificate.is_some() || rpc.tls_client_trust_dir.is_none(),
        "rpc.tls_client_trust_dir",
        "given together with rpc.tls_certificate".to_owned(),
    );
    rule(
        rpc.tls_client_trust_dir.is_some() || rpc.tls_clients == ClientsKind::Optional,
        "rpc.tls_clients",
        "optional where rpc.tls_client_trust_dir is not given".to_owned(),
    );
    let consensus = &config.consensus;
    let longest = consensus
        .propose_ms
        .max(consensus.prevote_ms)
        .max(consensus.precommit_ms)
        .max(consensus.rebroadcast_ms);
    rule(
        consensus.max_ms >= longest,
        "consensus.max_ms",
        format!("at least the longest of the waits that it bounds ({longest})"),
    );
    let storage = &config.storage;
    rule(
        storage.provable_blocks <= storage.state_overlay_blocks / 2,
        "storage.provable_blocks",
        format!(
            "at most half of storage.state_overlay_blocks ({})",
            storage.state_overlay_blocks
        ),
    );
    rule(
        storage.mode == StorageMode::Archive || storage.keep_blocks >= storage.keep_blocks_min(),
        "storage.keep_blocks",
        format!(
            "at least {}: 1024, or storage.history_blocks ({}) and twice \
             storage.state_overlay_blocks ({}) together, so that every state that can be read has \
             its block and a restart finds what it executes again",
            storage.keep_blocks_min(),
            storage.history_blocks,
            storage.state_overlay_blocks
        ),
    );
    rule(
        config.tier.store == TierStore::None || storage.mode == StorageMode::Archive,
        "tier.store",
        "none where storage.mode is pruned: what is dropped is not moved".to_owned(),
    );
    rule(
        config.tier.store == TierStore::None || config.node.mode == NodeMode::Full,
        "tier.store",
        "none where node.mode is light: a light node keeps no blocks".to_owned(),
    );
    rule(
        plain_prefix(&config.tier.prefix),
        "tier.prefix",
        "letters, digits, '.', '_', '-' and single slashes between them".to_owned(),
    );
    rule(
        storage.encryption != Encryption::KeyFile || storage.encryption_key_file.is_some(),
        "storage.encryption_key_file",
        "a file, because storage.encryption is key-file".to_owned(),
    );
    let clash = |a: Option<std::net::SocketAddr>, b: Option<std::net::SocketAddr>| {
        a.is_some_and(|a| a.port() != 0 && Some(a) == b)
    };
    rule(
        !clash(config.rpc.http, Some(network.listen)),
        "rpc.http",
        "another address than network.listen".to_owned(),
    );
    rule(
        !clash(config.metrics.listen, config.rpc.http)
            && !clash(config.metrics.listen, Some(network.listen)),
        "metrics.listen",
        "another address than rpc.http and network.listen".to_owned(),
    );
    problems
}

/// Whether this can stand before the key of an object without any quoting.
fn plain_prefix(prefix: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let part =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
    prefix.split('/').all(part)
}

/// A value from text that has no TOML quoting, as variables and flags give it.
fn from_text(kind: &Kind, text: &str, at: Source) -> Item {
    let trimmed = text.trim();
    let value = match kind {
        Kind::Integer(..) => match trimmed.parse() {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(text.to_owned()),
        },
        Kind::List(_) if !trimmed.starts_with('[') => {
            let parts = trimmed
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            let item = |part: &str| Item {
                value: Value::Text(part.to_owned()),
                at: at.clone(),
            };
            Value::List(parts.map(item).collect())
        }
        Kind::List(_) | Kind::Tables(..) => return parse_value(trimmed, &at),
        _ => Value::Text(text.to_owned()),
    };
    Item { value, at }
}

/// A TOML value, all of it at one place.
fn parse_value(text: &str, at: &Source) -> Item {
    match DeValue::parse(text) {
        Ok(value) => convert(value.get_ref(), at.clone(), &|_| at.clone()),
        Err(_) => Item {
            value: Value::Other("malformed"),
            at: at.clone(),
        },
    }
}

fn convert(value: &DeValue<'_>, at: Source, place: &dyn Fn(usize) -> Source) -> Item {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match i128::from_str_radix(&digits, number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Other("a number out of all bounds"),
            }
        }
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| convert(item.get_ref(), place(item.span().start), place))
                .collect(),
        ),
        DeValue::Table(entries) => Value::Table(
            entries
                .iter()
                .map(|(name, item)| {
                    let name_text = name.get_ref().to_string();
                    // By the name, so that an unknown field is pointed at where it begins.
                    let at = place(name.span().start);
                    (name_text, convert(item.get_ref(), at, place))
                })
                .collect(),
        ),
        DeValue::Boolean(true) => Value::Other("true"),
        DeValue::Boolean(false) => Value::Other("false"),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Item { value, at }
}

/// Turns offsets into lines and columns.
struct Places<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Places<'_> {
    fn at(&self, offset: usize) -> Source {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
        let last = before.get(line_start..).unwrap_or_default();
        Source::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count().saturating_add(1),
            column: last.chars().count().saturating_add(1),
        }
    }

    fn item(&self, value: &DeValue<'_>, offset: usize) -> Item {
        convert(value, self.at(offset), &|offset| self.at(offset))
    }
}
