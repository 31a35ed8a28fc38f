//! The same script on the same facts says the same and costs the same: again, on other threads, with
//! another engine, and with whatever else was compiled before.

use std::{fs, path::Path, sync::Arc};

use crate::common::{self, largest};
use hawser_crypto::Suite;
use hawser_policy::{Budget, Cases, Engine, Mode, OnExceed, Rule, RuleSet, facts::Facts};
use hawser_primitives::encode;
use proptest::prelude::*;

fn examples() -> Vec<(String, Vec<Facts>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy");
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "star") {
            let cases = fs::read_to_string(path.with_extension("cases.toml")).unwrap();
            let cases = Cases::parse(&cases).unwrap().cases;
            let facts = cases.into_iter().map(|case| case.tx).collect();
            out.push((fs::read_to_string(&path).unwrap(), facts));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn all(engine: &Engine, examples: &[(String, Vec<Facts>)], budget: Budget) -> Vec<u8> {
    let mut out = Vec::new();
    for (source, cases) in examples {
        let script = engine.script(source).unwrap();
        for facts in cases {
            out.extend(encode(&script.run(&script.input(facts).unwrap(), budget)));
        }
    }
    out
}

#[test]
fn many_threads_and_repeated_runs_give_the_same_bytes() {
    let examples = Arc::new(examples());
    let shared = Arc::new(Engine::new(Suite::Intl));
    for budget in [
        largest(),
        Budget::default(),
        Budget {
            steps: 60,
            memory: 1500,
            calls: 2,
        },
    ] {
        let expected = all(&Engine::new(Suite::Intl), &examples, budget);
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let (examples, shared) = (Arc::clone(&examples), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let own = Engine::new(Suite::Intl);
                    let engine = if n % 2 == 0 { &*shared } else { &own };
                    (0..10)
                        .map(|_| all(engine, &examples, budget))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            for bytes in thread.join().unwrap() {
                assert_eq!(bytes, expected);
            }
        }
    }
}

#[test]
fn costs_are_frozen() {
    // A change of these numbers is a change of what replicas agree on.
    let source = "L = [1, 2, 3]\ndef check(tx):\n    n = 0\n    for x in L:\n        n += x\n    return deny('sum %d' % n) if n == 6 else allow()\n";
    let report = common::run(source);
    assert_eq!((report.steps, report.memory), (32, 58));
}

fn rule(name: &str, order: u32, mode: Mode, script: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        version: 1,
        script: script.to_owned(),
        mode,
        budget: Budget::default(),
        on_exceed: OnExceed::Deny,
        order,
    }
}

#[test]
fn the_order_in_which_rules_are_given_makes_no_difference() {
    let rules = vec![
        rule(
            "b",
            2,
            Mode::Active,
            "def check(tx):\n    return deny('b')\n",
        ),
        rule(
            "a",
            2,
            Mode::Active,
            "def check(tx):\n    return flag('a')\n",
        ),
        rule(
            "z",
            1,
            Mode::Active,
            "def check(tx):\n    return flag('z')\n",
        ),
        rule(
            "c",
            3,
            Mode::Active,
            "def check(tx):\n    return deny('c')\n",
        ),
        rule(
            "s",
            0,
            Mode::Shadow,
            "def check(tx):\n    return deny('s')\n",
        ),
    ];
    let engine = Engine::new(Suite::Sm);
    let expected = RuleSet::new(&engine, rules.clone())
        .unwrap()
        .judge(&Facts::default());
    let denial = expected.denial.clone().unwrap();
    assert_eq!((denial.rule.as_str(), denial.reason.as_str()), ("b", "b"));
    let names: Vec<_> = expected
        .findings
        .iter()
        .map(|found| found.rule.as_str())
        .collect();
    assert_eq!(names, ["z", "a", "b"]);
    assert_eq!(expected.shadow.len(), 1);
    assert_eq!(expected.flags(), 2);
    let mut turned = rules;
    for _ in 0..5 {
        turned.rotate_left(1);
        let set = RuleSet::new(&engine, turned.clone()).unwrap();
        assert_eq!(encode(&set.judge(&Facts::default())), encode(&expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_script_of_tokens_ends_the_process_or_differs_between_runs(
        words in prop::collection::vec(prop::sample::select(vec![
            "def", "check", "(", ")", "tx", ":", "\n    ", "\n", "return", "deny", "'x'", "[", "]",
            "{", "}", ",", "for", "in", "range", "9", "if", "else", "+", "*", "-", "not", "and",
            "or", "=", "==", "x", ".", "sender", "transfers", "%", "//", "<<", "\n        ", " ",
            "flag", "str", "sorted", "len", "None", "True", "elif", "'%s'", "\"\"\"", "#", "\\",
        ]), 0..80)
    ) {
        let source = format!("def check(tx):\n    x = 1\n    {}\n", words.join(" "));
        let engine = Engine::new(Suite::Intl);
        let again = Engine::new(Suite::Intl);
        match (engine.script(&source), again.script(&source)) {
            (Ok(a), Ok(b)) => {
                let facts = Facts::default();
                let one = a.run(&a.input(&facts).unwrap(), Budget::default());
                let two = b.run(&b.input(&facts).unwrap(), Budget::default());
                prop_assert_eq!(one, two);
            }
            (Err(a), Err(b)) => prop_assert_eq!(a, b),
            _ => prop_assert!(false, "compiled once and once not"),
        }
    }

    #[test]
    fn arithmetic_agrees_with_wide_integers(a in any::<i128>(), b in any::<i128>(), shift in 0u32..200) {
        use num_bigint::BigInt;
        let (x, y) = (BigInt::from(a), BigInt::from(b));
        let source = format!("def check(tx):\n    a = {a}\n    b = {b}\n    return flag('%d %d %d %d %d' % (a + b, a - b, a * b, a << {shift}, a >> {shift}))\n");
        let report = common::run(&source);
        let expected = format!("{} {} {} {} {}", &x + &y, &x - &y, &x * &y, &x << shift, &x >> shift);
        prop_assert_eq!(report.verdicts, vec![hawser_policy::Verdict::Flag { reason: expected }]);
        if b != 0 {
            let source = format!("def check(tx):\n    a = {a}\n    b = {b}\n    return flag(str((a // b) * b + a % b == a and (a % b == 0 or (a % b < 0) == (b < 0))))\n");
            let report = common::run(&source);
            prop_assert_eq!(report.verdicts, vec![hawser_policy::Verdict::Flag { reason: "True".to_owned() }]);
        }
    }
}
