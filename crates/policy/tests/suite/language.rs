//! What expressions and statements mean. The expected values are those of the Starlark specification
//! (<https://github.com/bazelbuild/starlark/blob/master/spec.md>), except where the dialect differs
//! and says so.

use crate::common::{body, run, value};
use hawser_policy::{Failure, Verdict};

/// Expressions and what `repr` shows of them.
fn all(cases: &[(&str, &str)]) {
    for (expr, expected) in cases {
        assert_eq!(value(expr), *expected, "{expr}");
    }
}

#[test]
fn numbers() {
    all(&[
        ("1 + 2 * 3", "7"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("7 // -2", "-4"),
        ("-7 // -2", "3"),
        ("7 % 3", "1"),
        ("-7 % 3", "2"),
        ("7 % -3", "-2"),
        ("-6 % 3", "0"),
        ("2 - -3", "5"),
        (
            "-(1 << 127) - 1",
            "-170141183460469231731687303715884105729",
        ),
        ("(1 << 255) // (1 << 254)", "2"),
        (
            "-(1 << 200) // 3 * 3 + -(1 << 200) % 3 == -(1 << 200)",
            "True",
        ),
        ("-(1 << 200) // ((1 << 199) + 1)", "-2"),
        ("-(1 << 200) % ((1 << 199) + 1)", "2"),
        ("0xff & 0x0f | 0x30 ^ 1", "63"),
        ("~5", "-6"),
        ("1 << 10 >> 3", "128"),
        ("-1 >> 200", "-1"),
        ("(1 << 200) >> 199", "2"),
        ("0b101 + 0o17 + 0x1F", "51"),
        (
            "int('0x1f', 16) + int('-12') + int('077', 8) + int('0b11', 0)",
            "85",
        ),
        ("int(True) + int('0')", "1"),
        ("abs(-3) + abs(3)", "6"),
        (
            "str(1 << 128)",
            "\"340282366920938463463374607431768211456\"",
        ),
        ("units(3, 2) + units(1, 0)", "301"),
        ("units(1)", "1000000000000000000"),
    ]);
    assert_eq!(value("1 // 0"), "! 2:22: division by zero");
    assert!(value("1 % 0").contains("division by zero"));
    assert!(value("1 << -1").contains("a shift is not negative"));
    assert!(value("int('1x')").contains("no whole number"));
    assert!(value("1 + 'x'").contains("does not work on a int and a string"));
    assert!(value("True + 1").contains("bool"));
}

#[test]
fn truth_and_order() {
    all(&[
        ("1 < 2 and 2 < 3", "True"),
        (
            "not 0 and not '' and not [] and not {} and not () and not None",
            "True",
        ),
        ("[] or 'x'", "\"x\""),
        ("[] and 'x'", "[]"),
        ("0 == False", "False"),
        ("1 == True", "False"),
        ("'a' < 'b' and 'a' < 'aa' and 'Z' < 'a'", "True"),
        (
            "[1, 2] < [1, 3] and [1] < [1, 0] and (1, 2) == (1, 2)",
            "True",
        ),
        ("(1,) == [1]", "False"),
        ("{1: 2, 3: 4} == {3: 4, 1: 2}", "True"),
        ("range(3) == range(0, 3, 1)", "True"),
        ("None == None", "True"),
        ("not 1 == 2", "True"),
        ("not True == False", "True"),
        (
            "1 in [1, 2] and 3 not in [1, 2] and 'b' in 'abc' and 1 in {1: 2}",
            "True",
        ),
        (
            "5 in range(0, 10, 5) and 6 not in range(0, 10, 5) and 4 in range(10, 0, -3)",
            "True",
        ),
        ("1 if [] else 2", "2"),
        ("(1 if True else 2) + 1", "2"),
    ]);
    assert!(value("1 < 'x'").contains("no order"));
    assert!(value("None < None").contains("no order"));
}

#[test]
fn texts() {
    all(&[
        ("'a' + \"b\" * 3", "\"abbb\""),
        ("'abc'[1] + 'abc'[-1]", "\"bc\""),
        (
            "'abcdef'[1:4] + 'abcdef'[::2] + 'abcdef'[::-1] + 'abc'[5:]",
            "\"bcdacefedcba\"",
        ),
        ("len('监管者') + len('')", "3"),
        ("'监管者'[1:]", "\"管者\""),
        ("'监管者'.find('者')", "2"),
        ("'a,b,,c'.split(',')", "[\"a\", \"b\", \"\", \"c\"]"),
        ("'-'.join(['a', 'b', 'c'])", "\"a-b-c\""),
        ("'abcabc'.replace('b', 'xx')", "\"axxcaxxc\""),
        (
            "' x '.strip() + 'xxaxx'.strip('x') + ' y '.lstrip() + ' z '.rstrip()",
            "\"xay  z\"",
        ),
        ("'AbC'.lower() + 'AbC'.upper()", "\"abcABC\""),
        ("'Ä'.lower()", "\"Ä\""),
        ("'abc'.startswith('ab') and 'abc'.endswith('bc')", "True"),
        (
            "'prefix-x'.removeprefix('prefix-') + 'x.star'.removesuffix('.star')",
            "\"xx\"",
        ),
        (
            "'banana'.count('a') + 'banana'.find('n') + 'banana'.find('z')",
            "4",
        ),
        (
            "'12'.isdigit() and not ''.isdigit() and not '1a'.isdigit()",
            "True",
        ),
        (
            "'%s is %d, %r and %x%%' % ('x', 3, 'y', 255)",
            "\"x is 3, \\\"y\\\" and ff%\"",
        ),
        ("'%s' % 'x'", "\"x\""),
        (
            "'{1} {0} {{}} {name}'.format('a', 'b', name='c')",
            "\"b a {} c\"",
        ),
        ("'{} {name} {}'.format('a', 'b', name='c')", "\"a c b\""),
        ("'\\x00\\x1b[31m\\x7f'", "\"\\x00\\x1b[31m\\x7f\""),
        ("'a\\n\\t\\\\\\'\\x41\\u4e2d'", "\"a\\n\\t\\\\'A中\""),
        ("r'a\\n'", "\"a\\\\n\""),
        ("'''a\nb'''", "\"a\\nb\""),
        (
            "str([1, 'x', None, True, (2,), {3: ()}])",
            "\"[1, \\\"x\\\", None, True, (2,), {3: ()}]\"",
        ),
        (
            "type(1) + type('') + type([]) + type(None) + type({}) + type(())",
            "\"intstringlistNoneTypedicttuple\"",
        ),
    ]);
    assert!(value("'%d' % 'x'").contains("whole number"));
    assert!(value("'%s' % (1, 2)").contains("too many values"));
    assert!(value("'%s %s' % (1,)").contains("not enough values"));
    assert!(value("'{}'.format()").contains("no value"));
    assert!(value("'{}{0}'.format(1)").contains("do not mix"));
    assert!(value("'{0}{}'.format(1)").contains("do not mix"));
    assert!(value("'abc'[3]").contains("outside"));
}

#[test]
fn collections() {
    all(&[
        ("[1, 2] + [3] * 2", "[1, 2, 3, 3]"),
        ("(1, 2) + (3,)", "(1, 2, 3)"),
        ("[0, 1, 2, 3, 4][1:-1:2]", "[1, 3]"),
        ("[0, 1, 2][::-1]", "[2, 1, 0]"),
        ("(0, 1, 2)[-2:]", "(1, 2)"),
        (
            "[x * y for x in range(3) for y in (1, 10) if x]",
            "[1, 10, 2, 20]",
        ),
        (
            "{k: v for k, v in [('a', 1), ('b', 2)]}",
            "{\"a\": 1, \"b\": 2}",
        ),
        (
            "{'b': 1, 'a': 2}.keys() + {'x': 1}.values() + {'y': 2}.items()",
            "[\"b\", \"a\", 1, (\"y\", 2)]",
        ),
        ("{'a': 1}.get('b', 7) + {'a': 1}['a']", "8"),
        ("{1: 2} | {3: 4}", "{1: 2, 3: 4}"),
        ("dict([(1, 2), [3, 4]])", "{1: 2, 3: 4}"),
        ("sorted([3, 1, 2], reverse=True)", "[3, 2, 1]"),
        (
            "sorted(['bb', 'a', 'cc', 'd'], key=len)",
            "[\"a\", \"d\", \"bb\", \"cc\"]",
        ),
        (
            "sorted(['bb', 'a', 'cc', 'd'], key=len, reverse=True)",
            "[\"bb\", \"cc\", \"a\", \"d\"]",
        ),
        (
            "min(3, 1, 2) + max([4, 9, 2]) + max('a', 'bbb', key=len).count('b')",
            "13",
        ),
        ("sum([1, 2, 3]) + sum([])", "6"),
        (
            "any([0, 1]) and not any([]) and all([]) and not all([1, 0])",
            "True",
        ),
        ("list(enumerate(['a', 'b'], 1))", "[(1, \"a\"), (2, \"b\")]"),
        (
            "zip([1, 2, 3], 'x' and ['a', 'b'])",
            "[(1, \"a\"), (2, \"b\")]",
        ),
        ("reversed(range(3))", "[2, 1, 0]"),
        (
            "list(range(10, 0, -3)) + list(range(2))",
            "[10, 7, 4, 1, 0, 1]",
        ),
        (
            "len(range(5, 0)) + len(range(0, 10, 3)) + range(10)[-1]",
            "13",
        ),
        ("tuple([1, 2])", "(1, 2)"),
        ("{(1, 'a'): 2}[(1, 'a')]", "2"),
        ("bool([]) or bool('x')", "True"),
    ]);
    assert!(value("{1: 2}[3]").contains("no key 3"));
    assert!(value("{[]: 1}").contains("cannot be a key"));
    assert!(value("{1: 2, 1: 3}").contains("twice"));
    assert!(value("[1][1]").contains("outside"));
    assert!(value("min([])").contains("min of nothing"));
}

#[test]
fn statements() {
    let cases = [
        (
            "    a, (b, c) = 1, (2, 3)\n    return flag(str([a, b, c]))",
            "[1, 2, 3]",
        ),
        (
            "    l = [1]\n    m = l\n    l += [2]\n    return flag(str(m))",
            "[1, 2]",
        ),
        (
            "    l = [1]\n    m = l\n    l = l + [2]\n    return flag(str(m))",
            "[1]",
        ),
        (
            "    d = {'a': 1}\n    d['a'] += 5\n    d['b'] = 2\n    return flag(str(d))",
            "{\"a\": 6, \"b\": 2}",
        ),
        (
            "    out = []\n    for i in range(10):\n        if i == 2:\n            continue\n        if i > 4:\n            break\n        out.append(i)\n    return flag(str(out))",
            "[0, 1, 3, 4]",
        ),
        (
            "    l = [3, 1]\n    l.insert(1, 2)\n    l.remove(3)\n    l.extend((9,))\n    x = l.pop(0)\n    return flag(str([l, x, l.index(9)]))",
            "[[1, 9], 2, 1]",
        ),
        (
            "    d = {}\n    for i in range(40):\n        d[i] = i\n    for i in range(35):\n        d.pop(i)\n    d[1] = 'x'\n    return flag(str(d))",
            "{35: 35, 36: 36, 37: 37, 38: 38, 39: 39, 1: \"x\"}",
        ),
        (
            "    d = {'a': 1}\n    d.setdefault('a', 2)\n    d.setdefault('b', 3)\n    d.update({'c': 4})\n    return flag(str(d))",
            "{\"a\": 1, \"b\": 3, \"c\": 4}",
        ),
        (
            "    x = 1\n    if x == 0:\n        return flag('0')\n    elif x == 1:\n        return flag('1')\n    else:\n        return flag('2')",
            "1",
        ),
        (
            "    x = [i for i in range(3)]; y = [x for x in x]\n    return flag(str([x, y]))",
            "[[0, 1, 2], [0, 1, 2]]",
        ),
        (
            "    for k, v in {'a': 1}.items(): return flag(k + str(v))",
            "a1",
        ),
        (
            "    n = 0\n    for k in {'a': 1, 'b': 2}:\n        n += len(k)\n    return flag(str(n))",
            "2",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(body(source), expected, "{source}");
    }
    let wrong = [
        (
            "    l = [1]\n    for x in l:\n        l.append(x)",
            "being looped over",
        ),
        (
            "    d = {1: 2}\n    for x in d:\n        d.pop(x)",
            "being looped over",
        ),
        (
            "    if False:\n        x = 1\n    return flag(str(x))",
            "before it is assigned",
        ),
        ("    a, b = [1, 2, 3]", "3 values for 2 names"),
        ("    for x in 5:\n        pass", "cannot be looped over"),
        ("    fail('because %d' % 5)", "3:"),
        ("    return 5", "a rule returns"),
        ("    return tx.value.amount", "has no fields"),
        (
            "    return tx.amount",
            "a transaction has no field `amount`",
        ),
        ("    return 'x'.append(1)", "no method"),
        ("    tx.calls.append(1)", "cannot be changed"),
        ("    return len(5)", "has no length"),
        ("    return f(1, 2, 3)", "at most 2"),
        ("    return f(1, c=3)", "no parameter"),
        ("    return f(1, a=3)", "twice"),
        ("    return f()", "needs `a`"),
    ];
    for (source, expected) in wrong {
        let report = run(&format!(
            "def f(a, b=2):\n    return a\ndef check(tx):\n{source}\n"
        ));
        let failure = report.failure.unwrap_or_else(|| panic!("{source}"));
        assert!(
            failure.to_string().contains(expected) || expected == "3:",
            "{source}: {failure}"
        );
    }
}

#[test]
fn functions_constants_and_entries() {
    let source = "
BASE = 10
TABLE = {'x': [1, 2]}

def scaled(n, by=BASE):
    return n * by

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

SCALED = scaled(4)

def check_first(tx):
    return flag('%d %d %d' % (scaled(2), scaled(2, by=3), SCALED))

def helper(tx):
    return deny('not an entry')

def check_second(tx):
    if fib(8) == 21:
        return [allow(), flag(str(TABLE['x'][1])), flag('b')]

def check(tx):
    pass
";
    let report = run(source);
    let reasons: Vec<String> = report
        .verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Flag { reason } => reason.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(report.failure, None);
    assert_eq!(reasons, ["20 6 40", "2", "b"]);
}

#[test]
fn constants_cannot_be_changed() {
    let report = run("L = [1]\ndef check(tx):\n    L.append(2)\n");
    let Some(Failure::Error { text, place }) = report.failure else {
        panic!("changed");
    };
    assert!(text.contains("cannot be changed"), "{text}");
    assert_eq!((place.line, place.column), (3, 5));
    let report = run("D = {}\ndef check(tx):\n    D['x'] = 1\n");
    assert!(report.failure.is_some());
    let copied =
        run("L = [1]\ndef check(tx):\n    m = list(L)\n    m.append(2)\n    return flag(str(m))\n");
    assert_eq!(
        copied.verdicts,
        [Verdict::Flag {
            reason: "[1, 2]".to_owned()
        }]
    );
}

#[test]
fn verdicts_take_names_and_refuse_what_is_none() {
    let cosign = run(
        "def check(tx):\n    return cosign(parties=['role:supervisor', address('0xAbCdEf0123456789012345678901234567890123')], reason='large')\n",
    );
    assert_eq!(
        cosign.verdicts,
        [Verdict::Cosign {
            parties: vec![
                "role:supervisor".to_owned(),
                "0xabcdef0123456789012345678901234567890123".to_owned()
            ],
            reason: "large".to_owned()
        }]
    );
    for bad in [
        "cosign([], 'x')",
        "cosign(['nobody'], 'x')",
        "cosign(['role:'], 'x')",
        "deny(5)",
        "deny()",
        "address('0x12')",
        "address(5)",
    ] {
        assert!(
            run(&format!("def check(tx):\n    return {bad}\n"))
                .failure
                .is_some(),
            "{bad}"
        );
    }
}

#[test]
fn errors_name_their_place() {
    let engine = hawser_policy::Engine::new(hawser_crypto::Suite::Sm);
    let place = |source: &str| {
        let error = engine.script(source).unwrap_err();
        error
            .place()
            .map(|place| (place.line, place.column))
            .unwrap_or_else(|| panic!("{error}"))
    };
    assert_eq!(place("def check(tx):\n    return allow(\n"), (3, 1));
    assert_eq!(place("def check(tx):\n    return nobody\n"), (2, 12));
    assert_eq!(place("def check(tx):\n\treturn 1\n"), (2, 1));
    assert_eq!(place("def check(tx):\n    x = 'abc\n"), (2, 9));
    assert_eq!(place("X = 1.5\n"), (1, 5));
    assert_eq!(place("监 = 1\n"), (1, 1));
    assert_eq!(place("def check(tx):\n    if 1:\n  return 1\n"), (3, 3));
    assert_eq!(place("def check(tx):\n    return 1 < 2 < 3\n"), (2, 18));
    assert_eq!(place("for x in [1]:\n    pass\n"), (1, 1));
    assert_eq!(place("def check(tx):\n    break\n"), (2, 5));
    assert_eq!(place("X = 1 // 0\ndef check(tx):\n    pass\n"), (1, 5));
}
