use std::fmt::Write;

use super::keys::{KEYS, Kind};

/// A text as a TOML string.
#[must_use]
pub fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A configuration file with every key, its meaning and its value: `value` gives the TOML text of
/// the keys that are set, and every other key is a comment that shows its default. Lists of tables
/// are given as the text of their `[[…]]` blocks.
#[must_use]
pub fn document(value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::from("# Configuration of a Hawser node. Lines with `#` show defaults.\n");
    let mut section = "";
    let mut blocks = Vec::new();
    for key in KEYS {
        let (group, name) = key.path.split_once('.').unwrap_or(("", key.path));
        let is_tables = matches!(key.kind, Kind::Tables(..));
        if is_tables {
            blocks.push((key, value(key.path)));
            continue;
        }
        if group != section {
            section = group;
            let _ = write!(out, "\n[{section}]\n");
        }
        let range = match key.kind {
            Kind::Integer(min, max) => format!(" ({min} to {max})"),
            Kind::Choice(words) => format!(" ({})", words.join(", ")),
            _ => String::new(),
        };
        let _ = writeln!(out, "# {}{range}", key.doc);
        let _ = match value(key.path) {
            Some(text) => writeln!(out, "{name} = {text}"),
            None => writeln!(out, "#{name} = {}", key.default),
        };
    }
    // Tables of lists end a section, so they come last.
    for (key, text) in blocks {
        let _ = write!(out, "\n# {}\n", key.doc);
        if let Kind::Tables(_, fields) = key.kind {
            for field in fields {
                let _ = writeln!(out, "#   {}: {}", field.name, field.doc);
            }
        }
        if let Some(text) = text {
            out.push_str(&text);
        }
    }
    out
}
