use super::*;
use hawser_node::config::{Overrides, load_text};

fn stock(dir: &Path, text: &str) -> Stock {
    let file = dir.join("node.toml");
    let text = format!("[node]\ndata_dir = \"data\"\nidentity_key = \"node.key\"\n{text}");
    let loaded = load_text(&text, &file, &Overrides::default()).unwrap();
    Stock::new(&file, &loaded, vec![dir.join("chain-7")], Suite::Sm)
}

fn commands(before: &Inventory, after: &Inventory) -> Vec<String> {
    let acts = before.changes(after);
    acts.into_iter().map(|act| act.command).collect()
}

#[test]
fn files_that_make_a_node_are_noticed_by_their_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("trust/crls")).unwrap();
    fs::create_dir_all(path("chain-7/kv")).unwrap();
    let text = "passphrase_file = \"pass\"\n[network]\ntrust_dir = \"trust\"\n\
                [rpc]\nrevoked_readers = \"revoked\"";
    let mut stock = stock(dir.path(), text);
    let mut before = stock.take();
    let mut step = |name: &str, content: &str, expected: &str| {
        fs::write(path(name), content).unwrap();
        let after = stock.take();
        assert_eq!(commands(&before, &after), [expected], "{name}");
        before = after;
    };
    step("node.key", "one", "key added");
    step("node.key", "two more", "key changed");
    step("pass", "secret words", "secret added");
    step("revoked", "0x00", "revoked readers added");
    step("trust/crls/a.pem", "list", "revocation list added");
    step("chain-7/data.key", "wrapped", "data key added");
    let shown = before.text().unwrap();
    let hash = Suite::Sm.hash(b"secret words").to_string();
    assert!(!shown.contains(&hash), "a secret is not hashed");
    fs::remove_file(path("trust/crls/a.pem")).unwrap();
    let after = stock.take();
    assert_eq!(commands(&before, &after), ["revocation list removed"]);
    fs::write(path("trust/crls/.new"), "being written").unwrap();
    assert_eq!(stock.take(), after);
    // Another folder in the place of the old one.
    fs::rename(path("chain-7/kv"), path("chain-7/old")).unwrap();
    fs::create_dir(path("chain-7/kv")).unwrap();
    assert_eq!(commands(&after, &stock.take()), ["chain data changed"]);
}

#[test]
fn it_survives_its_file_and_the_digest_tells_two_apart() {
    let dir = tempfile::tempdir().unwrap();
    let one = stock(dir.path(), "").take();
    let two = stock(dir.path(), "[rpc]\nbatch_max = 7").take();
    assert_eq!(Inventory::read(dir.path()), Ok(None));
    one.write(dir.path()).unwrap();
    assert_eq!(Inventory::read(dir.path()), Ok(Some(one.clone())));
    two.write(dir.path()).unwrap();
    assert_eq!(Inventory::read(dir.path()), Ok(Some(two.clone())));
    let digest = |of: &Inventory| of.digest(Suite::Sm).unwrap();
    assert_ne!(digest(&one), digest(&two));
    fs::write(dir.path().join(NAME), "[{}]").unwrap();
    assert!(Inventory::read(dir.path()).is_err());
}

#[test]
fn many_changes_at_once_are_counted_and_long_values_are_hashed() {
    let many = |count: usize| {
        let item = |n: usize| ((Sort::Trust, format!("{n:04}")), String::new());
        Inventory((0..count).map(item).collect())
    };
    let none = Inventory::default();
    assert_eq!(none.changes(&many(CHANGES_MAX)).len(), CHANGES_MAX);
    let over = none.changes(&many(CHANGES_MAX + 2));
    assert_eq!(over.len(), CHANGES_MAX + 1);
    assert!(over.last().unwrap().reason.starts_with("2 more"));
    let dir = tempfile::tempdir().unwrap();
    let level = |bytes: usize| format!("[log]\nlevel = \"{}\"", "i".repeat(bytes));
    let state = |text: &str| {
        let taken = stock(dir.path(), text).take();
        taken.0[&(Sort::Setting, "log.level".to_owned())].clone()
    };
    assert!(state(&level(SHOWN_BYTES_MAX - 2)).starts_with('"'));
    assert!(state(&level(SHOWN_BYTES_MAX - 1)).contains("hash 0x"));
}
