//! Scripts that try to take more time, memory, stack or output than they are given. Each must stop
//! within its budget, with the same defined outcome every time.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

use crate::common::{largest, limit, run, run_on};
use hawser_crypto::Suite;
use hawser_policy::{Budget, CompileError, Engine, Failure, Limit, facts::Facts};

/// Runs a function body; it must end fast, within its budget, and the same way twice.
fn stops(body: &str) -> Limit {
    let source = format!("def check(tx):\n{body}\n");
    let start = Instant::now();
    let report = run(&source);
    // Debug builds on a busy machine; the point is that it ends.
    assert!(start.elapsed() < Duration::from_secs(20), "{body}");
    let budget = largest();
    assert!(report.steps <= budget.steps && report.memory <= budget.memory);
    assert_eq!(report, run(&source));
    limit(&report).unwrap_or_else(|| panic!("came to an end: {report:?}"))
}

/// As [`stops`], by steps or memory, whichever is gone first.
fn exhausts(body: &str) {
    let limit = stops(body);
    assert!(matches!(limit, Limit::Steps | Limit::Memory), "{limit:?}");
}

#[test]
fn endless_loops_run_out_of_steps() {
    assert_eq!(
        stops("    for i in range(1000000000000):\n        pass"),
        Limit::Steps
    );
    assert_eq!(
        stops(
            "    n = 0\n    for i in range(100000):\n        for j in range(100000):\n            n += 1"
        ),
        Limit::Steps
    );
    assert_eq!(
        stops("    return any([False for i in range(9000000000000000000)])"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return sum(range(9000000000000000000))"),
        Limit::Steps
    );
    assert_eq!(
        stops("    return all(range(1, 9000000000000000000))"),
        Limit::Steps
    );
}

#[test]
fn recursion_runs_out_of_calls() {
    let source = "def f(n):\n    return f(n + 1)\ndef check(tx):\n    return f(0)\n";
    assert_eq!(limit(&run(source)), Some(Limit::Depth));
    let mutual =
        "def f(n):\n    return g(n)\ndef g(n):\n    return f(n)\ndef check(tx):\n    return f(0)\n";
    assert_eq!(limit(&run(mutual)), Some(Limit::Depth));
    let by_key = "def f(n):\n    return sorted([n], key=f)\ndef check(tx):\n    return f(0)\n";
    assert_eq!(limit(&run(by_key)), Some(Limit::Depth));
}

#[test]
fn the_deepest_allowed_evaluation_fits_a_small_stack() {
    // Nested expressions in nested blocks in nested calls, on a thread with 2 MiB.
    let nest = "(".repeat(8) + "f(n + 1)" + &")".repeat(8);
    let mut source = String::from("def f(n):\n");
    for level in 1..=8 {
        source.push_str(&format!("{}if n >= 0:\n", "    ".repeat(level)));
    }
    source.push_str(&format!(
        "{}return [{{1: [not not ({nest})]}}]\n",
        "    ".repeat(9)
    ));
    source.push_str("def check(tx):\n    return f(0)\n");
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || assert_eq!(limit(&run(&source)), Some(Limit::Depth)))
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn integers_that_grow_by_squaring_stop_at_their_bits() {
    assert_eq!(
        stops("    n = 3\n    for i in range(1000):\n        n = n * n"),
        Limit::Integer
    );
    assert_eq!(
        stops("    n = 3\n    for i in range(1000):\n        n *= n"),
        Limit::Integer
    );
    assert_eq!(stops("    return 1 << 1000000000000"), Limit::Integer);
    assert_eq!(stops("    return 1 << 1025"), Limit::Integer);
    assert_eq!(stops("    return int('9' * 60000)"), Limit::Integer);
    assert_eq!(
        stops("    n = 1\n    for i in range(100000):\n        n = n * 10 + 9"),
        Limit::Integer
    );
}

#[test]
fn large_integers_within_their_bits_are_paid_for() {
    let source =
        "    n = (1 << 1000) - 1\n    for i in range(1000000):\n        m = (n * 3) // 7 % 1000003";
    let limit = stops(source);
    assert!(matches!(limit, Limit::Steps | Limit::Memory), "{limit:?}");
}

#[test]
fn texts_that_grow_stop_before_they_are_made() {
    assert_eq!(stops("    return 'x' * 10000000000"), Limit::String);
    assert_eq!(stops("    return 10000000000 * 'x'"), Limit::String);
    assert_eq!(
        stops("    s = 'x'\n    for i in range(100):\n        s += s"),
        Limit::String
    );
    assert_eq!(
        stops(
            "    s = 'x'\n    for i in range(100):\n        s = s.replace('x', 'xxxxxxxxxxxxxxxx')"
        ),
        Limit::String
    );
    assert_eq!(
        stops("    return ('x' * 60000).replace('', 'y' * 60000)"),
        Limit::String
    );
    assert_eq!(
        stops("    return ('x' * 1000).join(['y'] * 1000)"),
        Limit::String
    );
    assert_eq!(
        stops("    return '%s%s' % ('x' * 60000, 'x' * 60000)"),
        Limit::String
    );
    assert_eq!(
        stops("    return '{0}{0}'.format('x' * 60000)"),
        Limit::String
    );
    assert_eq!(
        stops("    return repr(['x' * 60000] * 1000)"),
        Limit::String
    );
    assert_eq!(
        stops("    return str({'x' * 60000: 'y' * 60000})"),
        Limit::String
    );
    exhausts("    s = 'x' * 60000\n    for i in range(100000):\n        t = s + 'y'");
    exhausts("    s = 'x' * 6000\n    for i in range(100000):\n        t = s + 'y'");
    exhausts(
        "    s = 'ab' * 30000\n    for i in range(100000):\n        n = s.count('b') + s.find('c')",
    );
    exhausts("    s = 'ab' * 30000\n    for i in range(100000):\n        t = s.strip('b' * 60000)");
    exhausts(
        "    s = 'x' * 60000\n    for i in range(100000):\n        t = s == s[1:] or s[5:10] in s or s < s",
    );
}

#[test]
fn collections_that_grow_stop_before_they_are_made() {
    assert_eq!(stops("    return [0] * 10000000000"), Limit::Elements);
    assert_eq!(stops("    return (0,) * 10000000000"), Limit::Elements);
    assert_eq!(
        stops("    return list(range(10000000000))"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return tuple(range(10000000000))"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return [i for i in range(10000000000)]"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return sorted(range(10000000000))"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return reversed(range(10000000000))"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return enumerate(range(10000000000))"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return zip(range(10000000000), range(10))"),
        Limit::Elements
    );
    assert_eq!(stops("    return max(range(10000000000))"), Limit::Elements);
    assert_eq!(
        stops("    return dict([(i, i) for i in range(20000)])"),
        Limit::Elements
    );
    assert_eq!(
        stops("    l = [1]\n    for i in range(100):\n        l += l"),
        Limit::Elements
    );
    assert_eq!(
        stops("    l = [1]\n    for i in range(100):\n        l.extend(l)"),
        Limit::Elements
    );
    assert_eq!(
        stops("    l = [1]\n    for i in range(100):\n        l = l + l"),
        Limit::Elements
    );
    assert_eq!(
        stops("    l = []\n    for i in range(1000000):\n        l.append(i)"),
        Limit::Elements
    );
    assert_eq!(
        stops("    return ('a,' * 30000).split(',')"),
        Limit::Elements
    );
    exhausts("    l = list(range(16000))\n    for i in range(100000):\n        m = l[:]");
    exhausts(
        "    l = list(range(16000))\n    for i in range(100000):\n        l.insert(0, l.pop())",
    );
    exhausts("    l = list(range(16000))\n    for i in range(100000):\n        n = -1 in l");
    exhausts("    l = list(range(16000))\n    for i in range(100000):\n        m = sorted(l)");
}

#[test]
fn comprehensions_within_comprehensions_pay_for_every_turn() {
    assert_eq!(
        stops(
            "    return [0 for a in range(1000) for b in range(1000) for c in range(1000) if False]"
        ),
        Limit::Steps
    );
    assert_eq!(
        stops("    return {a: 0 for a in range(1000000000)}"),
        Limit::Elements
    );
}

#[test]
fn keys_are_paid_for_by_what_they_hold() {
    exhausts("    d = {}\n    for i in range(100000):\n        d['x' * 60000 + str(i)] = i");
    exhausts("    k = 'x' * 60000\n    d = {k: 1}\n    for i in range(100000):\n        n = d[k]");
    exhausts("    d = {}\n    for i in range(100000):\n        d[i] = i\n        d.pop(i)");
    // A tuple of tuples has as many leaves as two to the power of its depth.
    exhausts("    t = (1,)\n    for i in range(30):\n        t = (t, t)\n    return {t: 1}");
}

#[test]
fn values_that_share_or_contain_themselves_are_not_unfolded() {
    let shared = "    l = [1]\n    for i in range(30):\n        l = [l, l]\n";
    exhausts(&format!("{shared}    return l == list(l)"));
    assert_eq!(stops(&format!("{shared}    return str(l)")), Limit::String);
    exhausts(&format!("{shared}    return l < list(l)"));
    let cycle = "    l = []\n    l.append(l)\n";
    assert_eq!(stops(&format!("{cycle}    return str(l)")), Limit::Nesting);
    assert_eq!(
        stops(&format!(
            "{cycle}    m = []\n    m.append(m)\n    return l == m"
        )),
        Limit::Nesting
    );
    let deep = "    l = []\n    for i in range(10000):\n        l = [l]\n";
    assert_eq!(stops(&format!("{deep}    return str(l)")), Limit::Nesting);
    assert_eq!(stops(&format!("{deep}    return l == [l]")), Limit::Nesting);
    assert_eq!(
        stops("    t = ()\n    for i in range(10000):\n        t = (t,)\n    return {t: 1}"),
        Limit::Nesting
    );
}

#[test]
fn output_is_bounded_on_both_sides() {
    let reason = |bytes: usize| run(&format!("def check(tx):\n    return deny('x' * {bytes})\n"));
    assert_eq!(limit(&reason(512)), None);
    assert_eq!(limit(&reason(513)), Some(Limit::Output));
    let many = |count: usize| {
        run(&format!(
            "def check(tx):\n    return [flag('x')] * {count}\n"
        ))
    };
    assert_eq!(limit(&many(16)), None);
    assert_eq!(limit(&many(17)), Some(Limit::Output));
    let parties = |count: usize| {
        run(&format!(
            "def check(tx):\n    return cosign(['role:a'] * {count}, 'x')\n"
        ))
    };
    assert_eq!(limit(&parties(8)), None);
    assert_eq!(limit(&parties(9)), Some(Limit::Output));
    let long = run("def check(tx):\n    return cosign(['role:' + 'x' * 124], 'x')\n");
    assert_eq!(limit(&long), Some(Limit::Output));
    // An error's text is cut, at a character's boundary.
    let error = run("def check(tx):\n    fail('规' * 10000)\n");
    let Some(Failure::Error { text, .. }) = error.failure else {
        panic!("{error:?}");
    };
    assert!(text.len() <= 512 && text.starts_with('规') && text.ends_with('…'));
}

#[test]
fn a_budget_of_little_stops_anything_and_both_sides_of_it_are_exact() {
    let source =
        "def check(tx):\n    n = 0\n    for i in range(10):\n        n += i\n    return allow()\n";
    let full = run(source);
    assert_eq!(full.failure, None);
    let with = |steps, memory| {
        let budget = Budget {
            steps,
            memory,
            calls: 1,
        };
        limit(&run_on(source, &Facts::default(), budget))
    };
    assert_eq!(with(full.steps, full.memory), None);
    assert_eq!(with(full.steps - 1, full.memory), Some(Limit::Steps));
    assert_eq!(with(full.steps, full.memory - 1), Some(Limit::Memory));
    assert_eq!(with(1, 1), Some(Limit::Steps));
}

fn compile(source: &str) -> Result<(), CompileError> {
    Engine::new(Suite::Intl).script(source).map(drop)
}

#[test]
fn sources_are_bounded_on_both_sides() {
    let rule = "def check(tx):\n    return allow()\n";
    let padded = |bytes: usize| format!("{rule}#{}", "x ".repeat(bytes))[..bytes].to_owned();
    assert_eq!(compile(&padded(64 * 1024)), Ok(()));
    assert_eq!(
        compile(&padded(64 * 1024 + 1)),
        Err(CompileError::Source(64 * 1024 + 1))
    );
    let word = |len: usize| compile(&format!("{rule}X = {}\n", "1".repeat(len)));
    assert!(matches!(word(300), Ok(())));
    assert!(matches!(word(513), Err(CompileError::Nesting { .. })));
}

#[test]
fn nesting_that_would_overflow_a_stack_is_refused_before_parsing() {
    let hostile = [
        format!("X = {}1{}\n", "(".repeat(30_000), ")".repeat(30_000)),
        format!("X = {}{}\n", "[".repeat(30_000), "]".repeat(30_000)),
        format!("X = {}\n", "[".repeat(60_000)),
        format!("X = {}1\n", "not ".repeat(15_000)),
        format!("X = {}1\n", "-".repeat(60_000)),
        format!("X = {}1\n", "1 + ".repeat(15_000)),
        format!("X = {}1\n", "1 if 1 else ".repeat(5_000)),
        format!("X = {}1\n", "lambda: ".repeat(8_000)),
        format!("X = a{}\n", ".b".repeat(30_000)),
        format!("X = a{}\n", "()".repeat(30_000)),
        format!("X = a{}\n", "[0]".repeat(20_000)),
        format!("X = {}1\n", "1 and 1 or ".repeat(5_000)),
        format!("X = [{}]\n", "(1, ".repeat(15_000)),
        format!("X = {}\n", "{1: ".repeat(15_000)),
        format!(
            "def check(tx):\n    if 1:\n        pass\n{}",
            "    elif 1:\n        pass\n".repeat(2_000)
        ),
        format!(
            "def check(tx):\n{}",
            (1..300)
                .map(|n| format!("{}if 1:\n", " ".repeat(n)))
                .collect::<String>()
        ),
        format!("X = {}\n", "\"a\" ".repeat(10_000)),
        "X = f\"".to_owned() + &"{f\"".repeat(10_000),
    ];
    for source in hostile {
        let start = Instant::now();
        let result = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || compile(&source))
            .unwrap()
            .join()
            .unwrap();
        assert!(result.is_err());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn the_most_nested_sources_that_pass_the_scan_fit_a_small_stack() {
    let brackets = |n: usize| format!("X = {}1{}\n", "(".repeat(n), ")".repeat(n));
    let rule = "def check(tx):\n    return deny('x')\n";
    let sources = [
        format!("{rule}{}", brackets(24)),
        format!("{rule}X = {}1\n", "not ".repeat(197)),
        format!("{rule}X = {}1\n", "1 + ".repeat(98)),
        format!("{rule}X = {}1{}\n", "(-----".repeat(24), ")".repeat(24)),
    ];
    for source in sources {
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || {
                // Some are refused by the compiler for their depth; none may end the process.
                let _ = compile(&source);
            })
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn a_list_of_many_addresses_is_no_nesting() {
    let addresses: String = (0..1_000).map(|n| format!("\"0x{n:040x}\",\n")).collect();
    let source = format!(
        "L = [\n{addresses}]\ndef check(tx):\n    return deny('x') if tx.sender in L else allow()\n"
    );
    assert_eq!(compile(&source), Ok(()));
}

#[test]
fn constants_have_a_budget_of_their_own() {
    let hostile = [
        "X = [i for i in range(1000000000)]\n",
        "X = 'x' * 100000000\n",
        "def f(n):\n    return f(n)\nX = f(1)\n",
        "X = sum(range(1000000000))\n",
        "def f(n=sum(range(1000000000))):\n    return n\n",
    ];
    for source in hostile {
        let source = format!("{source}def check(tx):\n    return allow()\n");
        let Err(CompileError::Constants(Failure::Exceeded { .. })) = compile(&source) else {
            panic!("{source}");
        };
    }
}

#[test]
fn what_would_differ_between_replicas_is_not_there() {
    for expr in [
        "1.5",
        "1 / 2",
        "1e3",
        "float(1)",
        "hash('x')",
        "id(1)",
        "print('x')",
        "time()",
        "now()",
        "random()",
        "open('x')",
        "getattr(1, 'x')",
        "dir(1)",
        "lambda: 1",
        "f'{tx}'",
        "b'x'",
        "__import__('os')",
        "set([1])",
    ] {
        let source = format!("def check(tx):\n    return {expr}\n");
        assert!(compile(&source).is_err(), "{expr}");
    }
    assert!(compile("load('a', 'b')\ndef check(tx):\n    return 1\n").is_err());
    assert!(compile("def check(tx):\n    while True:\n        pass\n").is_err());
    assert!(compile("def check(tx):\n    def f():\n        pass\n").is_err());
    assert!(compile("def check(*tx):\n    pass\n").is_err());
    assert!(compile("X = 1\nX = 2\ndef check(tx):\n    pass\n").is_err());
    assert_eq!(compile("X = 1\n"), Err(CompileError::NoEntry));
    assert_eq!(compile(""), Err(CompileError::NoEntry));
}
