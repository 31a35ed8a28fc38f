//! The rules under `examples/policy` say what their cases expect.

use std::{fs, path::Path};

use hawser_crypto::Suite;
use hawser_policy::{Budget, Cases, Engine};

#[test]
fn every_example_compiles_without_remarks_and_passes_its_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy");
    let mut scripts: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "star"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 7, "{scripts:?}");
    let mut failed = Vec::new();
    for path in scripts {
        let engine = Engine::new(Suite::Sm);
        let source = fs::read_to_string(&path).unwrap();
        let script = engine
            .script(&source)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            script.lints().is_empty(),
            "{}: {:?}",
            path.display(),
            script.lints()
        );
        let cases = fs::read_to_string(path.with_extension("cases.toml")).unwrap();
        let cases =
            Cases::parse(&cases).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in cases.cases {
            let result = case.run(&script, Budget::default());
            if !result.pass {
                failed.push(format!("{}: {result:?}", path.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
