//! The threat model names the test that shows each defence: every one of them exists.

use std::collections::BTreeSet;
use std::path::Path;

use hawser_architecture::root;

/// Names of functions, and of tests that a macro makes, in all sources below a folder.
fn names(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !["target", "node_modules"]
                .iter()
                .any(|skip| path.ends_with(skip))
            {
                names(&path, found);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let line = line.trim();
                let function = line.split_once("fn ").map(|(_, rest)| rest);
                let end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                if let Some(rest) = function {
                    let name = end(rest).and_then(|end| rest.get(..end));
                    found.extend(name.map(str::to_owned));
                } else if let Some(word) = line.strip_suffix(',').filter(|word| end(word).is_none())
                {
                    found.insert(word.to_owned());
                }
            }
        }
    }
}

/// Rows of all tables: the cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect()
}

#[test]
fn every_threat_names_its_test_or_says_that_it_has_none() {
    let text = std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    // The tables before name what is protected and who attacks.
    let (_, text) = text.split_once("## Network attacker").unwrap();
    let mut known = BTreeSet::new();
    for folder in ["crates", "bin", "simulation", "tests"] {
        names(&root().join(folder), &mut known);
    }
    let (mut threats, mut open, mut missing) = (0, 0, Vec::new());
    for row in rows(text) {
        let [_, _, shown] = row.as_slice() else {
            continue;
        };
        if *shown == "shown by" {
            continue;
        }
        let tests: Vec<_> = shown
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| {
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
            .collect();
        if shown.contains("*no test*") {
            open += 1;
        } else if shown.contains('`') {
            threats += 1;
        } else {
            missing.push(format!("a row without a test or a word about it: {row:?}"));
        }
        missing.extend(
            tests
                .iter()
                .filter(|name| !known.contains(**name))
                .map(|name| format!("no test is called {name}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(threats > 50, "{threats} threats with tests");
    assert!(open > 3, "what is not shown is said");
}
