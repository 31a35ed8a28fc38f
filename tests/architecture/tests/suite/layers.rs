//! The repository against its own rules, and the rules against made-up crates that break them.

use std::collections::BTreeMap;
use std::fs;

use hawser_architecture::{Manifest, Rules, check, read_repository, root, workspace_aliases};

const RULES: &str = r#"
    [[layer]]
    name = "low"
    crates = ["base", "base-two"]
    [[layer]]
    name = "high"
    crates = ["top"]
    [outside]
    crates = ["world"]
    [edges]
    base = []
    top = ["base"]
    [[only]]
    package = "engine"
    crates = ["top"]
    why = "hidden behind top"
"#;

fn manifest(text: &str) -> Manifest {
    Manifest::parse(text, &BTreeMap::new()).unwrap()
}

fn named(name: &str, more: &str) -> Manifest {
    manifest(&format!("[package]\nname = \"{name}\"\n{more}"))
}

fn breaches(rules: &str, crates: &[Manifest]) -> Vec<String> {
    check(&Rules::parse(rules).unwrap(), crates)
}

fn top() -> Manifest {
    named(
        "top",
        "[dependencies]\nbase.workspace = true\nserde = \"1\"\n",
    )
}

#[test]
fn this_repository_keeps_its_layers() {
    let (rules, manifests) = read_repository(&root()).unwrap();
    assert!(
        manifests.len() >= 13,
        "only {} crates were found",
        manifests.len()
    );
    let breaches = check(&rules, &manifests);
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn crates_that_keep_the_rules_pass() {
    let base = named(
        "base",
        "[dev-dependencies]\nbase-two = { path = \"../two\" }\n",
    );
    let world = named("world", "[dependencies]\ntop = \"1\"\nengine = \"1\"\n");
    assert_eq!(
        breaches(RULES, &[base, named("base-two", ""), top(), world]),
        Vec::<String>::new()
    );
}

#[test]
fn an_upward_dependency_is_caught_in_every_section() {
    for section in [
        "dependencies",
        "build-dependencies",
        "dev-dependencies",
        "target.'cfg(unix)'.dependencies",
    ] {
        let base = named(
            "base",
            &format!("[{section}]\ntop = {{ path = \"../top\" }}\n"),
        );
        let found = breaches(RULES, &[base, top()]);
        assert_eq!(found.len(), 1, "{section}: {found:?}");
        assert!(found[0].contains("upwards on top"), "{found:?}");
    }
}

#[test]
fn an_upward_dependency_is_caught_even_when_it_is_listed() {
    let rules = RULES.replace("base = []", "base = [\"top\"]");
    let base = named("base", "[dependencies]\ntop.workspace = true\n");
    let found = breaches(&rules, &[base, top()]);
    assert!(
        found
            .iter()
            .any(|line| line.contains("base (low) depends upwards on top (high)")),
        "{found:?}"
    );
}

#[test]
fn an_upward_dependency_behind_another_name_is_caught() {
    let aliases = workspace_aliases(
        "[workspace.dependencies]\nroof = { package = \"top\", path = \"top\" }\n",
    )
    .unwrap();
    let by_workspace = Manifest::parse(
        "[package]\nname = \"base\"\n[dependencies]\nroof.workspace = true\n",
        &aliases,
    )
    .unwrap();
    let by_crate = named(
        "base",
        "[dependencies]\nroof = { package = \"top\", path = \"../top\" }\n",
    );
    for base in [by_workspace, by_crate] {
        assert_eq!(breaches(RULES, &[base, top()]).len(), 1);
    }
}

#[test]
fn a_sideways_dependency_needs_to_be_listed() {
    let base = named("base", "[dependencies]\nbase-two.workspace = true\n");
    let found = breaches(RULES, &[base.clone(), named("base-two", "")]);
    assert_eq!(
        found,
        ["base (low) depends sideways on base-two, which layers.toml does not list"]
    );
    let listed = RULES.replace("base = []", "base = [\"base-two\"]");
    assert!(breaches(&listed, &[base, named("base-two", "")]).is_empty());
}

#[test]
fn a_downward_dependency_that_is_not_listed_is_caught() {
    let more = named(
        "top",
        "[dependencies]\nbase.workspace = true\nbase-two.workspace = true\n",
    );
    assert_eq!(
        breaches(RULES, &[more]),
        ["top (high) depends on base-two, which layers.toml does not list"]
    );
}

#[test]
fn a_listed_edge_that_is_gone_is_caught() {
    assert_eq!(
        breaches(RULES, &[named("top", "")]),
        ["layers.toml lists top -> base, but top does not depend on it"]
    );
}

#[test]
fn a_crate_without_a_layer_is_caught() {
    assert_eq!(
        breaches(RULES, &[named("stray", "")]),
        ["stray is in no layer of layers.toml"]
    );
    let on_stray = named("base", "[dependencies]\nstray.workspace = true\n");
    assert_eq!(breaches(RULES, &[on_stray, named("stray", "")]).len(), 2);
}

#[test]
fn a_layered_crate_may_not_use_the_simulation() {
    let found = breaches(
        RULES,
        &[named(
            "base",
            "[dev-dependencies]\nworld.workspace = true\n",
        )],
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_third_party_crate_outside_its_closed_list_is_caught() {
    let found = breaches(RULES, &[named("base", "[dependencies]\nengine = \"1\"\n")]);
    assert!(found[0].contains("kept to"), "{found:?}");
}

#[test]
fn a_crate_in_two_layers_is_refused() {
    let twice = RULES.replace(
        "crates = [\"top\"]\n    [outside]",
        "crates = [\"top\", \"base\"]\n    [outside]",
    );
    assert!(
        Rules::parse(&twice)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
}

#[test]
fn malachite_is_named_in_consensus_and_node_only() {
    let (_, manifests) = read_repository(&root()).unwrap();
    for manifest in manifests {
        let uses = manifest
            .dependencies
            .iter()
            .chain(&manifest.dev_dependencies)
            .any(|name| name.contains("malachite"));
        let may = ["hawser-consensus", "hawser-node"].contains(&manifest.name.as_str());
        assert!(!uses || may, "{} names malachite", manifest.name);
    }
}

#[test]
fn crates_that_replicas_run_ban_clocks_runtimes_and_hash_order() {
    let bans: Vec<String> = ["ledger", "consensus", "execution"]
        .iter()
        .map(|name| {
            fs::read_to_string(root().join("crates").join(name).join("clippy.toml")).unwrap()
        })
        .collect();
    for ban in [
        "std::time::Instant",
        "std::time::SystemTime",
        "std::collections::HashMap::iter",
        "std::thread::sleep",
    ] {
        assert!(bans[0].contains(ban), "{ban} is not banned");
    }
    assert!(
        bans.iter().all(|text| *text == bans[0]),
        "the three clippy.toml files differ"
    );
}
