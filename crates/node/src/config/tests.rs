use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::store::StoreOptions;

fn read(text: &str) -> Result<Loaded, ConfigError> {
    load_text(
        text,
        Path::new("/etc/hawser/node.toml"),
        &Overrides::default(),
    )
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn with(
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
    text: &str,
) -> Result<Loaded, ConfigError> {
    let own = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let overrides = Overrides {
        environment: own(environment),
        flags: own(flags),
    };
    load_text(text, Path::new("/etc/hawser/node.toml"), &overrides)
}

#[test]
fn an_empty_file_gives_the_defaults_that_the_other_crates_have() {
    let loaded = read("").unwrap();
    let config = loaded.config;
    assert_eq!(
        config.consensus.timeouts(),
        hawser_consensus::Timeouts::default()
    );
    assert_eq!(config.network.limits(), hawser_network::Limits::default());
    let (ours, theirs) = (config.pool.limits(), crate::pool::PoolLimits::default());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    let (ours, theirs) = (config.storage.store_options(), StoreOptions::default());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(config.rpc.http.unwrap().to_string(), "127.0.0.1:8545");
    assert_eq!(config.metrics.listen, None);
    assert_eq!(config.node.data_dir, Path::new("/etc/hawser/data"));
    assert_eq!(loaded.settings.len(), KEYS.len());
    assert!(
        loaded
            .settings
            .values()
            .all(|setting| setting.source == Source::Default)
    );
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let file = "[rpc]\nbatch_max = 10";
    let env = [("HAWSER_RPC_BATCH_MAX", "20")];
    let flag = [("rpc.batch_max", "30")];
    let batch = |loaded: Loaded| {
        (
            loaded.config.rpc.batch_max,
            loaded.settings["rpc.batch_max"].source.to_string(),
        )
    };
    assert_eq!(batch(read("").unwrap()), (1_000, "default".into()));
    assert_eq!(
        batch(read(file).unwrap()),
        (10, "/etc/hawser/node.toml:2:13".into())
    );
    assert_eq!(
        batch(with(&env, &[], file).unwrap()),
        (20, "environment variable HAWSER_RPC_BATCH_MAX".into())
    );
    assert_eq!(
        batch(with(&env, &flag, file).unwrap()),
        (30, "flag --rpc-batch-max".into())
    );
}

#[test]
fn paths_count_from_the_place_that_gave_them() {
    let file = "[node]\ndata_dir = \"d\"\nidentity_key = \"/abs/k.pem\"";
    let config = read(file).unwrap().config;
    assert_eq!(config.node.data_dir, Path::new("/etc/hawser/d"));
    assert_eq!(config.node.identity_key, Path::new("/abs/k.pem"));
    let config = with(&[("HAWSER_NODE_DATA_DIR", "e")], &[], file)
        .unwrap()
        .config;
    assert_eq!(config.node.data_dir, Path::new("e"));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one_and_their_place() {
    assert_eq!(
        refused("[rpc]\n  htttp = \"127.0.0.1:1\""),
        "/etc/hawser/node.toml:2:3: unknown key `htttp` in [rpc]; did you mean `http`?"
    );
    assert!(refused("[rcp]\nhttp = \"\"").contains("unknown key `rcp`; did you mean `rpc`?"));
    assert!(refused("http = \"\"").contains("did you mean `rpc.http`?"));
    assert!(refused("[qqqqqq]").contains("`hawser config keys` lists all"));
    assert!(
        refused("[[chains]]\ngenesis = \"g\"\nvote_kee = \"v\"").contains(
            "node.toml:3:1: unknown key `vote_kee` in [chains[0]]; did you mean `vote_key`?"
        )
    );
    let error = with(&[("HAWSER_RPC_HTPP", "x")], &[], "")
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `HAWSER_RPC_HTTP`?"), "{error}");
    // Variables of the tools, not of the configuration.
    assert!(
        with(
            &[
                ("HAWSER_RPC", "http://x"),
                ("HAWSER_HOME", "y"),
                ("PATH", "z")
            ],
            &[],
            ""
        )
        .is_ok()
    );
    assert!(with(&[], &[("rpc.htpp", "x")], "").is_err());
}

#[test]
fn double_keys_and_broken_toml_are_refused_with_their_place() {
    assert!(refused("[rpc]\nbatch_max = 1\nbatch_max = 2").contains("node.toml:3:1"));
    assert!(refused("[rpc]\n[node]\n[rpc]").contains("node.toml:3"));
    assert!(refused("[rpc\n").contains("node.toml:1"));
    assert!(refused("rpc = 3").contains("a section: [rpc]"));
}

#[test]
fn both_sides_of_every_numeric_range() {
    for key in KEYS {
        let Kind::Integer(min, max) = key.kind else {
            continue;
        };
        let set = |value: i128| {
            let text = value.to_string();
            let result = with(&[], &[(key.path, &text)], "");
            // Rules between keys come after the range and are not what is tested here.
            !matches!(result, Err(error) if error.problems.iter().any(|problem| matches!(
                problem, Problem::OutOfRange { range, .. } if range.starts_with("a whole number")
            )))
        };
        assert!(set(i128::from(min)) && set(i128::from(max)), "{}", key.path);
        assert!(
            !set(i128::from(min) - 1) && !set(i128::from(max) + 1),
            "{}",
            key.path
        );
    }
}

#[test]
fn values_of_a_wrong_type_are_refused() {
    for (text, part) in [
        (
            "[rpc]\nbatch_max = \"ten\"",
            "must be a whole number from 1 to 100000, not the text \"ten\"",
        ),
        ("[rpc]\nbatch_max = 1.5", "not a fraction"),
        ("[rpc]\nbatch_max = true", "not true"),
        (
            "[rpc]\nbatch_max = 11111111111111111111111111111111111111111111111111",
            "not a number out of all bounds",
        ),
        ("[rpc]\nhttp = 8545", "not the number 8545"),
        (
            "[rpc]\nhttp = \"localhost\"",
            "it must be an address such as",
        ),
        ("[node]\nname = \"\"", "it must be a text of 1 to 64 bytes"),
        ("[node]\ndata_dir = \"\"", "it must be a path"),
        (
            "[log]\nformat = \"xml\"",
            "it must be one of auto, text, json",
        ),
        ("[rpc]\ncors = \"*\"", "must be a list"),
        ("chains = [1]", "`chains[0]` must be a table"),
        (
            "[[chains]]\nvote_key = \"v\"",
            "`chains[0]` lacks the field `genesis`",
        ),
        (
            "[[network.peers]]\nid = \"zz\"\naddress = \"a:1\"",
            "peer id",
        ),
    ] {
        let error = refused(text);
        assert!(
            error.to_lowercase().contains(&part.to_lowercase()),
            "{text}: {error}"
        );
    }
    let error = with(&[("HAWSER_RPC_BATCH_MAX", "ten")], &[], "")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("environment variable HAWSER_RPC_BATCH_MAX"),
        "{error}"
    );
}

#[test]
fn lengths_of_lists_and_texts_are_bounded() {
    let cors = |n: usize| format!("[rpc]\ncors = [{}]", vec!["\"a\""; n].join(","));
    assert!(read(&cors(64)).is_ok() && read(&cors(65)).is_err());
    let name = |n: usize| format!("[node]\nname = \"{}\"", "n".repeat(n));
    assert!(read(&name(64)).is_ok() && read(&name(65)).is_err());
}

#[test]
fn keys_that_depend_on_each_other_are_checked_together() {
    assert!(read("[network]\nping_interval_ms = 2500").is_ok());
    assert!(refused("[network]\nping_interval_ms = 2501").contains("at least twice"));
    assert!(refused("[consensus]\nmax_ms = 599").contains("longest of the waits"));
    assert!(read("[storage]\nprovable_blocks = 32").is_ok());
    assert!(refused("[storage]\nprovable_blocks = 33").contains("at most half"));
    assert!(read("[storage]\nmode = \"pruned\"\nkeep_blocks = 1152").is_ok());
    let few = "[storage]\nmode = \"pruned\"\nkeep_blocks = 1151";
    assert!(refused(few).contains("at least 1152"));
    assert!(read(&few.replace("pruned", "archive")).is_ok());
    let little = "[storage]\nmode = \"pruned\"\nhistory_blocks = 0\nkeep_blocks = 1023";
    assert!(refused(little).contains("at least 1024"));
    assert!(read(&little.replace("1023", "1024")).is_ok());
    assert!(read("[storage]\nencryption = \"passphrase\"").is_ok());
    assert!(refused("[storage]\nencryption = \"key-file\"").contains("a file, because"));
    let both = "[storage]\nencryption = \"key-file\"\nencryption_key_file = \"data.secret\"";
    assert!(read(both).is_ok());
    assert!(read("[tier]\nstore = \"s3\"").is_ok());
    let dropped = "[tier]\nstore = \"s3\"\n[storage]\nmode = \"pruned\"";
    assert!(refused(dropped).contains("none where storage.mode is pruned"));
    let light = "[tier]\nstore = \"s3\"\n[node]\nmode = \"light\"";
    assert!(refused(light).contains("none where node.mode is light"));
    for (prefix, good) in [
        ("a/b-1.2_c", true),
        ("/a", false),
        ("a/", false),
        ("a//b", false),
        ("a/../b", false),
        ("a b", false),
        ("ä", false),
    ] {
        let text = format!("[tier]\nprefix = \"{prefix}\"");
        assert_eq!(read(&text).is_ok(), good, "{prefix}");
    }
    let sized = "[tier]\nsegment_kib = 64\n";
    let bytes = |text: &str| {
        read(text)
            .unwrap()
            .config
            .store_options()
            .segments
            .segment_bytes
    };
    assert_eq!(
        bytes(sized),
        64 << 20,
        "without a store files are as large as ever"
    );
    assert_eq!(bytes(&format!("{sized}store = \"s3\"")), 64 << 10);
    assert!(refused("[metrics]\nlisten = \"127.0.0.1:8545\"").contains("another address"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = read("[rpc]\nbatch_max = 0\nhtttp = 1\n[log]\nformat = 3").unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn an_oversized_or_missing_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    let load_it = || load(&path, &Overrides::default());
    assert!(
        load_it()
            .unwrap_err()
            .to_string()
            .starts_with("cannot read")
    );
    let size = usize::try_from(FILE_BYTES_MAX).unwrap();
    std::fs::write(&path, "#".repeat(size)).unwrap();
    assert!(load_it().is_ok());
    std::fs::write(&path, "#".repeat(size + 1)).unwrap();
    assert!(
        load_it()
            .unwrap_err()
            .to_string()
            .contains("more than the limit")
    );
}

#[test]
fn lists_come_from_variables_with_commas_or_as_toml() {
    let config = with(&[("HAWSER_RPC_CORS", "https://a, https://b")], &[], "")
        .unwrap()
        .config;
    assert_eq!(config.rpc.cors, ["https://a", "https://b"]);
    let chains = r#"[{ genesis = "g.json" }]"#;
    let config = with(&[("HAWSER_CHAINS", chains)], &[], "").unwrap().config;
    assert_eq!(config.chains[0].genesis, Path::new("g.json"));
    assert_eq!(config.chains[0].vote_key, None);
}

#[test]
fn flags_and_variables_are_unique_and_the_written_document_reads_back() {
    let flags: BTreeSet<_> = KEYS.iter().map(Key::flag).collect();
    let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
    assert_eq!((flags.len(), variables.len()), (KEYS.len(), KEYS.len()));
    let plain = document(&|_| None);
    assert_eq!(read(&plain).unwrap().config, read("").unwrap().config);
    let set = document(&|path| match path {
        "node.name" => Some(quote("a \"b\"")),
        "chains" => Some("[[chains]]\ngenesis = \"g\"\n".into()),
        _ => None,
    });
    let config = read(&set).unwrap().config;
    assert_eq!(config.node.name, "a \"b\"");
    assert_eq!(config.chains.len(), 1);
}
