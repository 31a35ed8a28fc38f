//! Ethereum's own vectors; `tests/vectors/README.md` names their source.

use std::{fs, path::Path};

use hawser_execution::statetest::{StateTestRow, run_json};

fn files(dir: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "json") {
            out.push(path);
        }
    }
}

#[test]
fn the_vectors_pass() {
    let mut paths = Vec::new();
    files(Path::new("tests/vectors"), &mut paths);
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(run_json(&fs::read_to_string(path).unwrap()).unwrap());
    }
    let failed: Vec<_> = rows.iter().filter(|row| !row.pass).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(rows.len() >= 5);
}

#[test]
fn a_wrong_root_is_reported() {
    let text = fs::read_to_string("tests/vectors/add11.json").unwrap();
    let wrong = text.replace("0xe8010ce590f401c9", "0xe8010ce590f401ca");
    assert_ne!(text, wrong);
    let rows = run_json(&wrong).unwrap();
    assert!(rows.iter().all(|row| !row.pass && row.error.is_some()));
}

/// Creation at an address that has storage but neither code nor nonce (EIP-7610): no transaction
/// leads to such an account, and a genesis that made one would be a mistake.
const IMPOSSIBLE: [&str; 5] = [
    "InitCollisionParis",
    "RevertInCreateInInitCreate2Paris",
    "RevertInCreateInInit_Paris",
    "create2collisionStorageParis",
    "dynamicAccountOverwriteEmpty_Paris",
];

/// A directory of further vectors, where the environment names one: prints a summary.
#[test]
fn vectors_named_by_the_environment_pass() {
    let Ok(dir) = std::env::var("HAWSER_STATE_TESTS") else {
        return;
    };
    let mut paths = Vec::new();
    files(Path::new(&dir), &mut paths);
    paths.sort();
    let (mut total, mut failed) = (0, Vec::new());
    for path in &paths {
        match run_json(&fs::read_to_string(path).unwrap()) {
            Ok(rows) => {
                total += rows.len();
                let wrong = |row: &StateTestRow| !row.pass && !IMPOSSIBLE.contains(&&*row.name);
                failed.extend(rows.into_iter().filter(wrong).map(|row| {
                    format!("{} {} {}: {:?}", row.name, row.fork, row.index, row.error)
                }));
            }
            Err(error) => failed.push(format!("{}: {error}", path.display())),
        }
    }
    println!(
        "{} files, {total} cases, {} failed",
        paths.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
