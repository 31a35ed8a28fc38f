use num_bigint::BigInt;

use super::{Parsed, nesting, wrong};
use crate::limits::{BRACKETS_MAX, INDENT_MAX, WORD_BYTES_MAX};

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) at: usize,
    pub(super) kind: Lexeme<'s>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lexeme<'s> {
    Name(&'s str),
    Int(BigInt),
    Text(String),
    /// A keyword or a symbol.
    Mark(&'static str),
    Newline,
    Indent,
    Dedent,
    End,
}

impl Lexeme<'_> {
    /// In words, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Int(_) => "a number".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Mark(mark) => format!("`{mark}`"),
            Self::Newline => "the end of the line".to_owned(),
            Self::Indent => "an indented line".to_owned(),
            Self::Dedent => "the end of the block".to_owned(),
            Self::End => "the end of the script".to_owned(),
        }
    }
}

const KEYWORDS: [&str; 15] = [
    "and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "load", "not",
    "or", "pass", "return",
];

/// Words that Starlark keeps for Python's sake.
const RESERVED: [&str; 18] = [
    "as", "assert", "async", "await", "class", "del", "except", "finally", "from", "global",
    "import", "is", "nonlocal", "raise", "try", "while", "with", "yield",
];

/// Longer ones first.
const SYMBOLS: [&str; 44] = [
    "//=", "<<=", ">>=", "...", "**", "//", "<<", ">>", "==", "!=", "<=", ">=", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "->", "(", ")", "[", "]", "{", "}", ",", ";", ":", "=", "<", ">",
    "+", "-", "*", "/", "%", ".", "&", "|", "^", "~", "!",
];

/// All tokens of a script, the last of which is [`Lexeme::End`].
pub(super) fn tokens(source: &str) -> Parsed<Vec<Token<'_>>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        open: Vec::new(),
        indents: vec![0],
        out: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    /// Open brackets.
    open: Vec<char>,
    /// Widths of the enclosing indentations.
    indents: Vec<usize>,
    out: Vec<Token<'s>>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, at: usize, kind: Lexeme<'s>) {
        self.out.push(Token { at, kind });
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn run(&mut self) -> Parsed<()> {
        self.line_start()?;
        while let Some(char) = self.rest().chars().next() {
            match char {
                ' ' | '\t' | '\r' => self.skip(1),
                '#' => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.skip(end);
                }
                '\\' if self.rest().starts_with("\\\n") => self.skip(2),
                '\\' if self.rest().starts_with("\\\r\n") => self.skip(3),
                '\n' => {
                    let at = self.at;
                    self.skip(1);
                    if self.open.is_empty() {
                        self.newline(at);
                        self.line_start()?;
                    }
                }
                '"' | '\'' => self.text(false)?,
                '0'..='9' => self.number()?,
                'a'..='z' | 'A'..='Z' | '_' => self.word()?,
                _ => self.symbol()?,
            }
        }
        if let Some(open) = self.open.last() {
            return wrong(self.source, self.at, format!("a `{open}` is not closed"));
        }
        self.newline(self.at);
        for _ in 1..self.indents.len() {
            self.push(self.at, Lexeme::Dedent);
        }
        self.push(self.at, Lexeme::End);
        Ok(())
    }

    /// Ends a line, if there is anything in it.
    fn newline(&mut self, at: usize) {
        if self.out.last().is_some_and(|last| {
            !matches!(last.kind, Lexeme::Newline | Lexeme::Indent | Lexeme::Dedent)
        }) {
            self.push(at, Lexeme::Newline);
        }
    }

    /// Measures the indentation of the next line that has something in it.
    fn line_start(&mut self) -> Parsed<()> {
        let width = loop {
            let rest = self.rest();
            let text = rest.trim_start_matches(' ');
            let width = rest.len().saturating_sub(text.len());
            let line = text.split('\n').next().unwrap_or_default();
            if line.starts_with('\t') {
                let at = self.at.saturating_add(width);
                return wrong(self.source, at, "a tab in the indentation; use spaces");
            }
            let line = line.trim_end_matches('\r');
            if text.is_empty() {
                self.skip(width);
                return Ok(());
            }
            if line.is_empty() || line.starts_with('#') {
                let end = rest
                    .find('\n')
                    .map_or(rest.len(), |end| end.saturating_add(1));
                self.skip(end);
                continue;
            }
            self.skip(width);
            break width;
        };
        let at = self.at;
        if width > self.indents.last().copied().unwrap_or_default() {
            self.indents.push(width);
            if self.indents.len() > INDENT_MAX.saturating_add(1) {
                return nesting(self.source, at);
            }
            self.push(at, Lexeme::Indent);
        }
        while width < self.indents.last().copied().unwrap_or_default() {
            self.indents.pop();
            self.push(at, Lexeme::Dedent);
        }
        if width != self.indents.last().copied().unwrap_or_default() {
            return wrong(self.source, at, "the indentation fits no line above");
        }
        Ok(())
    }

    fn word(&mut self) -> Parsed<()> {
        let at = self.at;
        let rest = self.rest();
        let end = rest
            .find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let quoted = rest
            .get(end..)
            .is_some_and(|rest| rest.starts_with(['"', '\'']));
        if quoted {
            match word {
                "r" => {
                    self.skip(1);
                    return self.text(true);
                }
                "f" | "fr" | "rf" => {
                    let text = "f-strings are not part of the dialect; use `%` or format";
                    return wrong(self.source, at, text);
                }
                "b" | "br" | "rb" => {
                    let text = "bytes are not part of the dialect; use text";
                    return wrong(self.source, at, text);
                }
                _ => {}
            }
        }
        if word.len() > WORD_BYTES_MAX {
            return nesting(self.source, at);
        }
        self.skip(end);
        if RESERVED.contains(&word) {
            return wrong(
                self.source,
                at,
                format!("`{word}` is not part of the language"),
            );
        }
        let keyword = KEYWORDS.iter().find(|keyword| **keyword == word);
        self.push(
            at,
            keyword.map_or(Lexeme::Name(word), |word| Lexeme::Mark(word)),
        );
        Ok(())
    }

    fn number(&mut self) -> Parsed<()> {
        let at = self.at;
        let rest = self.rest();
        let end = rest
            .find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        // The time to convert a number grows with the square of its digits.
        if word.len() > WORD_BYTES_MAX {
            return nesting(self.source, at);
        }
        let lower = word.to_ascii_lowercase();
        let (base, digits) = match lower.split_at_checked(2) {
            Some(("0x", digits)) => (16, digits),
            Some(("0o", digits)) => (8, digits),
            Some(("0b", digits)) => (2, digits),
            _ => (10, lower.as_str()),
        };
        let fraction = rest.get(end..).is_some_and(|rest| rest.starts_with('.'));
        if base == 10 && (fraction || digits.contains('e')) {
            let text = "fractions are not part of the dialect; use whole numbers";
            return wrong(self.source, at, text);
        }
        let valid = digits.chars().all(|digit| digit.is_digit(base))
            && (base != 10 || digits.len() == 1 || !digits.starts_with('0'));
        let value = if valid {
            BigInt::parse_bytes(digits.as_bytes(), base)
        } else {
            None
        };
        let Some(value) = value else {
            return wrong(
                self.source,
                at,
                "no whole number; write 12, 0x1f, 0o17 or 0b11",
            );
        };
        self.skip(end);
        self.push(at, Lexeme::Int(value));
        Ok(())
    }

    fn symbol(&mut self) -> Parsed<()> {
        let at = self.at;
        let rest = self.rest();
        let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) else {
            let char: String = rest.chars().take(1).collect();
            return wrong(
                self.source,
                at,
                format!("`{char}` is not part of the language"),
            );
        };
        match *symbol {
            "(" => self.open.push('('),
            "[" => self.open.push('['),
            "{" => self.open.push('{'),
            ")" => self.close(at, '(')?,
            "]" => self.close(at, '[')?,
            "}" => self.close(at, '{')?,
            _ => {}
        }
        if self.open.len() > BRACKETS_MAX {
            return nesting(self.source, at);
        }
        self.skip(symbol.len());
        self.push(at, Lexeme::Mark(symbol));
        Ok(())
    }

    fn close(&mut self, at: usize, open: char) -> Parsed<()> {
        if self.open.pop() == Some(open) {
            return Ok(());
        }
        wrong(self.source, at, "this bracket closes none")
    }

    /// A text in quotes.
    fn text(&mut self, raw: bool) -> Parsed<()> {
        let start = self.at;
        let rest = self.rest();
        let quote = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|quote| rest.starts_with(quote))
            .unwrap_or("\"");
        self.skip(quote.len());
        let mut out = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(quote) {
                self.skip(quote.len());
                break;
            }
            let mut chars = rest.chars();
            match chars.next() {
                None => return wrong(self.source, start, "the text is not closed"),
                Some('\n') if quote.len() == 1 => {
                    let text =
                        "the text is not closed on its line; use three quotes for several lines";
                    return wrong(self.source, start, text);
                }
                Some('\r') => self.skip(1),
                Some('\\') if raw => {
                    out.push('\\');
                    self.skip(1);
                    if let Some(next) = chars.next() {
                        out.push(next);
                        self.skip(next.len_utf8());
                    }
                }
                Some('\\') => self.escape(&mut out)?,
                Some(char) => {
                    out.push(char);
                    self.skip(char.len_utf8());
                }
            }
        }
        self.push(start, Lexeme::Text(out));
        Ok(())
    }

    fn escape(&mut self, out: &mut String) -> Parsed<()> {
        let at = self.at;
        self.skip(1);
        let Some(char) = self.rest().chars().next() else {
            return wrong(self.source, at, "the text is not closed");
        };
        self.skip(char.len_utf8());
        let digits = match char {
            'n' => return keep(out, '\n'),
            't' => return keep(out, '\t'),
            'r' => return keep(out, '\r'),
            '\\' | '"' | '\'' => return keep(out, char),
            '\n' => return Ok(()),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let code = self.rest().get(..digits).filter(|code| !code.is_empty());
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        let Some(char) = code.and_then(char::from_u32) else {
            let text = "escapes are \\n, \\t, \\r, \\\\, \\\", \\', \\x.., \\u.... and \\U........; write \\\\ for a backslash";
            return wrong(self.source, at, text);
        };
        self.skip(digits);
        keep(out, char)
    }
}

fn keep(out: &mut String, char: char) -> Parsed<()> {
    out.push(char);
    Ok(())
}
