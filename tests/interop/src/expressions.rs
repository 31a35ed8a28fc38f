//! Expressions of the rule language, made from a seed: mostly of fitting types, some not.

use std::fmt::Write;

/// Numbers from a seed: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, 2014), which is enough to choose among expressions.
#[derive(Clone, Debug)]
pub struct Generator(u64);

/// What an expression gives, unless it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Truth,
    List,
    Dict,
}

const KINDS: [Kind; 5] = [Kind::Int, Kind::Text, Kind::Truth, Kind::List, Kind::Dict];
/// Numbers at which representations change, and others.
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "3",
    "7",
    "-7",
    "10",
    "255",
    "-256",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "-1180591620717411303425",
    "1180591620717411303424",
];
const TEXTS: [&str; 14] = [
    "", "a", "b", "ab", "abc", "aab", "A b", " x ", "a,b", "文", "中文", "12", "%s", "{}",
];

impl Generator {
    /// From a seed; the same seed gives the same expressions.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = self.below(from.len());
        from.get(at).copied().unwrap_or("None")
    }

    /// The next expression.
    pub fn expression(&mut self) -> String {
        let at = self.below(KINDS.len());
        self.of(KINDS.get(at).copied().unwrap_or(Kind::Int), 3)
    }

    /// An expression of a kind; one in forty is of another.
    fn of(&mut self, kind: Kind, depth: usize) -> String {
        if self.below(40) == 0 {
            return self
                .pick(&["None", "True", "()", "(1, 'a')", "{}", "1", "'s'", "[]"])
                .to_owned();
        }
        match kind {
            Kind::Int => self.int(depth),
            Kind::Text => self.text(depth),
            Kind::Truth => self.truth(depth),
            Kind::List => self.list(depth),
            Kind::Dict => self.dict(depth),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&NUMBERS).to_owned();
        }
        let d = depth - 1;
        match self.below(14) {
            0..=5 => {
                let op = self.pick(&["+", "-", "*", "//", "%", "//", "%", "&", "|", "^"]);
                let (left, right) = (self.of(Kind::Int, d), self.of(Kind::Int, d));
                format!("({left} {op} {right})")
            }
            6 => {
                // Small numbers are not shifted to the left: see `starlark/differences.txt`.
                let (by, op) = (self.below(41), self.pick(&["+ (1 << 70) <<", ">>"]));
                format!("({} {op} {by})", self.of(Kind::Int, d))
            }
            7 => {
                let op = self.pick(&["-", "+", "~"]);
                format!("({op}{})", self.of(Kind::Int, d))
            }
            8 => format!("len({})", self.any(d)),
            9 => format!("abs({})", self.of(Kind::Int, d)),
            10 => {
                let name = self.pick(&["min", "max"]);
                let (left, right) = (self.of(Kind::Int, d), self.of(Kind::Int, d));
                format!("{name}({left}, {right})")
            }
            11 => {
                let name = self.pick(&["find", "count"]);
                let (of, what) = (self.of(Kind::Text, d), self.of(Kind::Text, 0));
                format!("{of}.{name}({what})")
            }
            12 => format!("int(str({}))", self.of(Kind::Int, d)),
            _ => {
                let at = self.small();
                format!("{}[{at}]", self.of(Kind::List, d))
            }
        }
    }

    fn small(&mut self) -> i64 {
        i64::try_from(self.below(9)).unwrap_or(0) - 4
    }

    fn bound(&mut self) -> String {
        if self.below(3) == 0 {
            return String::new();
        }
        self.small().to_string()
    }

    fn slice(&mut self) -> String {
        let (start, stop) = (self.bound(), self.bound());
        if self.below(2) == 0 {
            return format!("[{start}:{stop}]");
        }
        let step = self.bound();
        format!("[{start}:{stop}:{step}]")
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            let text = self.pick(&TEXTS);
            return format!("{text:?}");
        }
        let d = depth - 1;
        let of = self.of(Kind::Text, d);
        match self.below(14) {
            0 | 1 => format!("({of} + {})", self.of(Kind::Text, d)),
            2 => format!("({of} * {})", self.below(4)),
            3 | 4 => format!("{of}{}", self.slice()),
            5 => format!("{of}[{}]", self.small()),
            6 => {
                let name = self.pick(&["upper", "lower", "strip", "lstrip", "rstrip"]);
                format!("{of}.{name}()")
            }
            7 => {
                let name = self.pick(&["strip", "removeprefix", "removesuffix"]);
                format!("{of}.{name}({})", self.of(Kind::Text, 0))
            }
            8 => {
                let (old, new) = (self.of(Kind::Text, 0), self.of(Kind::Text, 0));
                format!("{of}.replace({old}, {new})")
            }
            9 => format!("str({})", self.any(d)),
            10 => format!("repr({})", self.any(d)),
            11 => {
                let form = self.pick(&["%s", "%r", "%d", "%x", "<%s>", "%%%s", "%s%s"]);
                format!("({form:?} % ({},))", self.any(d))
            }
            12 => {
                let form = self.pick(&["{}", "{0}", "{}{}", "<{0}{0}>", "{{{}}}"]);
                format!("{form:?}.format({})", self.any(d))
            }
            _ => format!("{of}.join([{}])", self.of(Kind::Text, 0)),
        }
    }

    fn truth(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["True", "False"]).to_owned();
        }
        let d = depth - 1;
        let at = self.below(KINDS.len());
        let kind = KINDS.get(at).copied().unwrap_or(Kind::Int);
        match self.below(8) {
            0..=2 => {
                let op = self.pick(&["==", "!=", "<", "<=", ">", ">="]);
                let (left, right) = (self.of(kind, d), self.of(kind, d));
                format!("({left} {op} {right})")
            }
            3 => {
                let op = self.pick(&["and", "or"]);
                let (left, right) = (self.any(d), self.any(d));
                format!("({left} {op} {right})")
            }
            4 => format!("(not {})", self.any(d)),
            5 => format!("bool({})", self.any(d)),
            6 => {
                let op = self.pick(&["in", "not in"]);
                let (what, of) = (self.any(0), self.any(d));
                format!("({what} {op} {of})")
            }
            _ => {
                let name = self.pick(&["any", "all"]);
                format!("{name}({})", self.of(Kind::List, d))
            }
        }
    }

    fn list(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["[]", "[1, 2, 3]", "['b', 'a']", "[0, -1]", "[[1], [2]]"])
                .to_owned();
        }
        let d = depth - 1;
        match self.below(12) {
            0 => format!("[{}, {}]", self.any(d), self.any(d)),
            1 => format!("({} + {})", self.of(Kind::List, d), self.of(Kind::List, d)),
            2 => format!("{}{}", self.of(Kind::List, d), self.slice()),
            3 => {
                let step = self.pick(&["1", "2", "-1", "3", "-2"]);
                let (from, until) = (self.small(), self.small());
                format!("list(range({from}, {until}, {step}))")
            }
            4 => {
                let name = self.pick(&["sorted", "reversed", "list", "enumerate"]);
                format!("{name}({})", self.of(Kind::List, d))
            }
            5 => {
                let of = self.of(Kind::List, d);
                let value = self.pick(&["x", "(x, x)", "x * 2", "str(x)", "[x]", "-x"]);
                let condition = self.pick(&["", " if x", " if x != 1", " if not x"]);
                format!("[{value} for x in {of}{condition}]")
            }
            6 => {
                let (outer, inner) = (self.of(Kind::List, d), self.of(Kind::List, 0));
                format!("[(x, y) for x in {outer} for y in {inner}]")
            }
            7 => {
                // An empty separator: see `starlark/differences.txt`.
                let separator = self.pick(&["','", "'a'", "' '", "'ab'", "'中'"]);
                format!("{}.split({separator})", self.of(Kind::Text, d))
            }
            8 => {
                let name = self.pick(&["keys", "values", "items"]);
                format!("{}.{name}()", self.of(Kind::Dict, d))
            }
            9 => format!("zip({}, {})", self.of(Kind::List, d), self.any(0)),
            10 => format!("list({})", self.any(d)),
            _ => format!("({} * {})", self.of(Kind::List, d), self.below(3)),
        }
    }

    fn dict(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["{}", "{'b': 1, 'a': 2}", "{1: 'x'}", "{(1, 2): [3]}"])
                .to_owned();
        }
        let d = depth - 1;
        match self.below(4) {
            0 => {
                let mut out = String::from("{");
                for _ in 0..self.below(4) {
                    let (key, value) = (self.any(0), self.any(d));
                    // Writing to a text does not fail.
                    let _ = write!(out, "{key}: {value}, ");
                }
                out + "}"
            }
            1 => format!("{{x: {} for x in {}}}", self.any(0), self.of(Kind::List, d)),
            2 => format!("dict({})", self.of(Kind::Dict, d)),
            _ => format!(
                "dict(zip({}, {}))",
                self.of(Kind::List, d),
                self.of(Kind::List, 0)
            ),
        }
    }

    fn any(&mut self, depth: usize) -> String {
        let at = self.below(KINDS.len());
        self.of(KINDS.get(at).copied().unwrap_or(Kind::Int), depth)
    }
}
