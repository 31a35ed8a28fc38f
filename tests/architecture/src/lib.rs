//! Checks that crates depend on each other as `layers.toml` says.
//!
//! [`Rules`] is that page, [`Manifest`] what one `Cargo.toml` declares, and [`check`] compares the two and returns one
//! line for each breach. Reading the repository is left to [`read_repository`], so that the rules themselves can be
//! tried on made-up crates.
//!
//! Not its business: what the code inside a crate does; `clippy.toml` bans clocks and hash-map order there.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// `layers.toml`: the order of the layers, the edges allowed, and who may use which third-party crate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The layers, lowest first.
    #[serde(rename = "layer")]
    pub layers: Vec<Layer>,
    /// Crates that may see everything and that no layered crate may see.
    pub outside: Outside,
    /// For each layered crate, the crates of this repository that it depends on.
    pub edges: BTreeMap<String, BTreeSet<String>>,
    /// Third-party crates that are kept to a few users.
    #[serde(default)]
    pub only: Vec<Only>,
}

/// One layer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its name, for messages.
    pub name: String,
    /// Its crates, existing or planned.
    pub crates: Vec<String>,
}

/// Simulation and tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Their crate names.
    pub crates: BTreeSet<String>,
}

/// A third-party crate with a closed list of users.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    /// The name on the registry, not a local alias.
    pub package: String,
    /// Who may depend on it; crates outside the layers always may.
    pub crates: BTreeSet<String>,
    /// The reason, repeated in the message of a breach.
    pub why: String,
}

/// What one `Cargo.toml` declares, by package names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The crate's own name.
    pub name: String,
    /// `[dependencies]` and `[build-dependencies]`, those of single targets included.
    pub dependencies: BTreeSet<String>,
    /// `[dev-dependencies]`.
    pub dev_dependencies: BTreeSet<String>,
}

impl Rules {
    /// Reads `layers.toml` from its text.
    ///
    /// # Errors
    /// When the text is no TOML of this shape, or names a crate twice.
    pub fn parse(text: &str) -> Result<Self> {
        let rules: Self = toml::from_str(text).context("layers.toml")?;
        let mut seen = BTreeSet::new();
        for name in rules
            .layers
            .iter()
            .flat_map(|layer| &layer.crates)
            .chain(&rules.outside.crates)
        {
            if !seen.insert(name) {
                bail!("layers.toml names {name} twice");
            }
        }
        Ok(rules)
    }

    fn rank(&self, name: &str) -> Option<(usize, &str)> {
        self.layers
            .iter()
            .enumerate()
            .find(|(_, layer)| layer.crates.iter().any(|other| other == name))
            .map(|(rank, layer)| (rank, layer.name.as_str()))
    }
}

impl Manifest {
    /// Reads one `Cargo.toml` from its text. `aliases` maps a dependency's local name to its package name where the
    /// workspace renames it (see [`workspace_aliases`]).
    ///
    /// # Errors
    /// When the text is no TOML or has no package name.
    pub fn parse(text: &str, aliases: &BTreeMap<String, String>) -> Result<Self> {
        let value: toml::Table = toml::from_str(text)?;
        let name = value
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .context("no package name")?
            .to_owned();
        let mut manifest = Self {
            name,
            ..Self::default()
        };
        manifest.collect(&value, aliases);
        for target in value
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|all| all.values())
        {
            if let Some(table) = target.as_table() {
                manifest.collect(table, aliases);
            }
        }
        Ok(manifest)
    }

    fn collect(&mut self, table: &toml::Table, aliases: &BTreeMap<String, String>) {
        for (section, dev) in [
            ("dependencies", false),
            ("build-dependencies", false),
            ("dev-dependencies", true),
        ] {
            let Some(entries) = table.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (key, spec) in entries {
                let renamed = spec.get("package").and_then(toml::Value::as_str);
                let package = renamed
                    .or_else(|| aliases.get(key).map(String::as_str))
                    .unwrap_or(key)
                    .to_owned();
                if dev {
                    self.dev_dependencies.insert(package)
                } else {
                    self.dependencies.insert(package)
                };
            }
        }
    }
}

/// The dependencies that `[workspace.dependencies]` renames: local name to package name.
///
/// # Errors
/// When the text is no TOML.
pub fn workspace_aliases(text: &str) -> Result<BTreeMap<String, String>> {
    let value: toml::Table = toml::from_str(text)?;
    let entries = value
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .cloned()
        .unwrap_or_default();
    Ok(entries
        .into_iter()
        .filter_map(|(key, spec)| Some((key, spec.get("package")?.as_str()?.to_owned())))
        .collect())
}

/// Compares what is declared with the rules; returns one line for each breach, none if all is well.
#[must_use]
pub fn check(rules: &Rules, manifests: &[Manifest]) -> Vec<String> {
    let ours: BTreeSet<&str> = manifests
        .iter()
        .map(|manifest| manifest.name.as_str())
        .collect();
    let mut breaches = Vec::new();
    for (from, targets) in &rules.edges {
        for to in targets {
            if let (Some((low, _)), Some((high, layer))) = (rules.rank(from), rules.rank(to)) {
                if high > low {
                    breaches.push(format!(
                        "layers.toml lists {from} -> {to}, but {to} is higher up, in {layer}"
                    ));
                }
            } else {
                breaches.push(format!(
                    "layers.toml lists {from} -> {to}, but not both are in a layer"
                ));
            }
        }
    }
    for manifest in manifests {
        let from = manifest.name.as_str();
        if rules.outside.crates.contains(from) {
            continue;
        }
        let Some((rank, layer)) = rules.rank(from) else {
            breaches.push(format!("{from} is in no layer of layers.toml"));
            continue;
        };
        let listed = rules.edges.get(from).cloned().unwrap_or_default();
        let is_ours = |name: &str| {
            ours.contains(name) || rules.rank(name).is_some() || rules.outside.crates.contains(name)
        };
        for to in manifest.dependencies.iter().filter(|to| is_ours(to)) {
            match rules.rank(to) {
                None => breaches.push(format!(
                    "{from} ({layer}) depends on {to}, which is in no layer"
                )),
                Some((other, above)) if other > rank => {
                    breaches.push(format!(
                        "{from} ({layer}) depends upwards on {to} ({above})"
                    ));
                }
                Some((other, _)) if !listed.contains(to) => {
                    let kind = if other == rank { "sideways " } else { "" };
                    breaches.push(format!(
                        "{from} ({layer}) depends {kind}on {to}, which layers.toml does not list"
                    ));
                }
                Some(_) => {}
            }
        }
        for to in manifest.dev_dependencies.iter().filter(|to| is_ours(to)) {
            match rules.rank(to) {
                Some((other, _)) if other <= rank => {}
                _ => breaches.push(format!(
                    "the tests of {from} ({layer}) depend upwards on {to}"
                )),
            }
        }
        for to in listed
            .iter()
            .filter(|to| !manifest.dependencies.contains(*to))
        {
            breaches.push(format!(
                "layers.toml lists {from} -> {to}, but {from} does not depend on it"
            ));
        }
        for only in &rules.only {
            let users =
                manifest.dependencies.contains(&only.package) && !only.crates.contains(from);
            if users {
                breaches.push(format!(
                    "{from} depends on {}, which is kept to {:?}: {}",
                    only.package, only.crates, only.why
                ));
            }
        }
    }
    breaches
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads `layers.toml` and the manifest of every member of the workspace.
///
/// # Errors
/// When a file cannot be read or parsed, or the workspace has a member pattern other than `path` and `path/*`.
pub fn read_repository(root: &Path) -> Result<(Rules, Vec<Manifest>)> {
    let read =
        |path: PathBuf| fs::read_to_string(&path).with_context(|| path.display().to_string());
    let rules = Rules::parse(&read(root.join("layers.toml"))?)?;
    let workspace = read(root.join("Cargo.toml"))?;
    let aliases = workspace_aliases(&workspace)?;
    let table: toml::Table = toml::from_str(&workspace)?;
    let members = table
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(toml::Value::as_array)
        .context("no workspace members")?;
    let mut folders = Vec::new();
    for member in members {
        let pattern = member.as_str().context("a member is no string")?;
        match pattern.strip_suffix("/*") {
            None if pattern.contains('*') => bail!("member pattern {pattern} is not understood"),
            None => folders.push(root.join(pattern)),
            Some(parent) => {
                for entry in fs::read_dir(root.join(parent))? {
                    let folder = entry?.path();
                    if folder.join("Cargo.toml").is_file() {
                        folders.push(folder);
                    }
                }
            }
        }
    }
    folders.sort();
    let mut manifests = Vec::new();
    for folder in folders {
        let path = folder.join("Cargo.toml");
        let text = read(path.clone())?;
        manifests
            .push(Manifest::parse(&text, &aliases).with_context(|| path.display().to_string())?);
    }
    Ok((rules, manifests))
}
