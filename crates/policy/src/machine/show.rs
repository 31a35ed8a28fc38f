//! Values as text.

use super::{Machine, number::DIGITS_MAX};
use crate::{
    Limit,
    heap::{Decided, Heap, Text, Value},
    limits::{STRING_BYTES_MAX, VALUE_DEPTH_MAX},
    meter::{Eval, fault},
};

/// A text that is being made: charged and bounded as it grows.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) text: String,
}

impl Machine<'_> {
    /// Appends to a line.
    pub(crate) fn write(&mut self, line: &mut Line, text: &str) -> Eval<()> {
        Self::reserve(&mut self.meter, line, text.len())?;
        line.text.push_str(text);
        Ok(())
    }

    fn reserve(meter: &mut crate::meter::Meter, line: &Line, bytes: usize) -> Eval<()> {
        if line.text.len().saturating_add(bytes) > STRING_BYTES_MAX {
            return Err(Limit::String.into());
        }
        meter.step(1)?;
        Heap::reserve_text(meter, bytes)
    }

    /// Ends a line. Its bytes have been charged.
    pub(crate) fn finish(&mut self, line: &Line) -> Eval<Value> {
        let start = self.heaps.own.text.len();
        self.heaps.own.text.push_str(&line.text);
        self.heaps.own.text_from(start)
    }

    /// `str(value)`.
    pub(crate) fn str_of(&mut self, value: Value) -> Eval<Value> {
        if let Value::Str(_) = value {
            return Ok(value);
        }
        let mut line = Line::default();
        self.show(&mut line, value, 0)?;
        self.finish(&line)
    }

    /// `repr(value)`, for messages and for scripts.
    pub(crate) fn repr(&mut self, value: Value) -> Eval<String> {
        let mut line = Line::default();
        self.show(&mut line, value, 0)?;
        Ok(line.text)
    }

    /// Appends a value as `str` shows it.
    pub(crate) fn show_plain(&mut self, line: &mut Line, value: Value) -> Eval<()> {
        match value {
            Value::Str(text) => self.write_text(line, text),
            _ => self.show(line, value, 0),
        }
    }

    fn write_text(&mut self, line: &mut Line, text: Text) -> Eval<()> {
        Self::reserve(&mut self.meter, line, text.len as usize)?;
        line.text.push_str(self.heaps.str(text)?);
        Ok(())
    }

    /// Appends a value as `repr` shows it.
    pub(crate) fn show(&mut self, line: &mut Line, value: Value, depth: u32) -> Eval<()> {
        if depth > VALUE_DEPTH_MAX {
            return Err(Limit::Nesting.into());
        }
        match value {
            Value::None => self.write(line, "None"),
            Value::Bool(true) => self.write(line, "True"),
            Value::Bool(false) => self.write(line, "False"),
            Value::Int(value) => self.write(line, &value.to_string()),
            Value::Big(place) => {
                self.meter.step(DIGITS_MAX as u64 / 4)?;
                let text = self.heaps.big(place)?.to_string();
                self.write(line, &text)
            }
            Value::Str(text) => {
                Self::reserve(&mut self.meter, line, text.len as usize)?;
                let quoted = quote(self.heaps.str(text)?);
                self.write(line, &quoted)
            }
            Value::List(place) => {
                self.write(line, "[")?;
                let mut index = 0;
                while let Some(item) = self.heaps.list(place)?.get(index).copied() {
                    self.separated(line, index, item, depth)?;
                    index += 1;
                }
                self.write(line, "]")
            }
            Value::Tuple(place) => {
                self.write(line, "(")?;
                let mut index = 0;
                while let Some(item) = self.heaps.tuple(place)?.get(index).copied() {
                    self.separated(line, index, item, depth)?;
                    index += 1;
                }
                self.write(line, if index == 1 { ",)" } else { ")" })
            }
            Value::Dict(place) => {
                self.write(line, "{")?;
                let entries: Vec<_> = self.heaps.dict(place)?.iter().collect();
                self.meter.step(entries.len() as u64)?;
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    self.separated(line, index, key, depth)?;
                    self.write(line, ": ")?;
                    self.show(line, value, depth + 1)?;
                }
                self.write(line, "}")
            }
            Value::Range(place) => {
                let range = self.heaps.range(place)?;
                let stop = i128::from(range.start)
                    + i128::from(range.step).saturating_mul(i128::from(range.len));
                let text = if range.step == 1 {
                    format!("range({}, {stop})", range.start)
                } else {
                    format!("range({}, {stop}, {})", range.start, range.step)
                };
                self.write(line, &text)
            }
            Value::Record(place) => {
                let name = self.heaps.record(place)?.shape.name();
                self.write(line, &format!("<{name}>"))
            }
            Value::Verdict(place) => {
                let name = match self.heaps.verdict(place)? {
                    Decided::Allow => "<allow>",
                    Decided::Deny(_) => "<deny>",
                    Decided::Flag(_) => "<flag>",
                    Decided::Cosign(..) => "<cosign>",
                };
                self.write(line, name)
            }
            Value::Function(index) => {
                let functions = &self.program.functions;
                let name = functions.get(index as usize).map_or("?", |f| &*f.name);
                self.write(line, &format!("<function {name}>"))
            }
            Value::Builtin(builtin) => {
                self.write(line, &format!("<built-in function {}>", builtin.name()))
            }
        }
    }

    fn separated(&mut self, line: &mut Line, index: usize, item: Value, depth: u32) -> Eval<()> {
        if index > 0 {
            self.write(line, ", ")?;
        }
        self.show(line, item, depth + 1)
    }

    /// `format % values`: `%s`, `%r`, `%d`, `%x` and `%%`.
    pub(crate) fn percent(&mut self, format: Text, values: Value) -> Eval<Value> {
        let format = self.copy_text(format)?;
        let values = match values {
            Value::Tuple(place) => {
                let len = self.heaps.tuple(place)?.len();
                self.charge_elements(len)?;
                self.heaps.tuple(place)?.to_vec()
            }
            other => vec![other],
        };
        let mut line = Line::default();
        let mut values = values.into_iter();
        let mut rest = format.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            self.write(&mut line, before)?;
            let mut chars = after.chars();
            let verb = chars.next();
            rest = chars.as_str();
            if verb == Some('%') {
                self.write(&mut line, "%")?;
                continue;
            }
            let Some(value) = values.next() else {
                return fault("not enough values for the format");
            };
            match verb {
                Some('s') => self.show_plain(&mut line, value)?,
                Some('r') => self.show(&mut line, value, 0)?,
                Some('d') => {
                    self.to_big(value)?;
                    self.show(&mut line, value, 0)?;
                }
                Some('x') => {
                    let text = format!("{:x}", self.to_big(value)?);
                    self.write(&mut line, &text)?;
                }
                _ => return fault("formats are %s, %r, %d, %x and %%"),
            }
        }
        if values.next().is_some() {
            return fault("too many values for the format");
        }
        self.write(&mut line, rest)?;
        self.finish(&line)
    }

    /// A text of its own, charged.
    pub(crate) fn copy_text(&mut self, text: Text) -> Eval<String> {
        self.meter.text(text.len as usize)?;
        self.heaps.str(text).map(str::to_owned)
    }

    /// `text.format(…)` with `{}`, `{0}` and `{name}`.
    pub(crate) fn format(
        &mut self,
        text: Text,
        positional: &[Value],
        named: &[(&str, Value)],
    ) -> Eval<Value> {
        let format = self.copy_text(text)?;
        let mut line = Line::default();
        let mut rest = format.as_str();
        let mut next = 0usize;
        // Whether fields without a number, and with one, were there: they do not mix.
        let (mut counted, mut numbered) = (false, false);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            self.write(&mut line, before)?;
            if let Some(after) = after.strip_prefix("{{") {
                self.write(&mut line, "{")?;
                rest = after;
                continue;
            }
            if let Some(after) = after.strip_prefix("}}") {
                self.write(&mut line, "}")?;
                rest = after;
                continue;
            }
            let inner = after
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'));
            let Some((name, after)) = inner else {
                return fault("a single brace in a format; write {{ or }}");
            };
            rest = after;
            let value = if name.is_empty() {
                counted = true;
                next = next.saturating_add(1);
                positional.get(next.saturating_sub(1)).copied()
            } else if let Ok(index) = name.parse::<usize>() {
                numbered = true;
                positional.get(index).copied()
            } else {
                let mut named = named.iter();
                named
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| *value)
            };
            if counted && numbered {
                return fault("{} and {0} do not mix in a format; number all of them or none");
            }
            let Some(value) = value else {
                return fault(format!("no value for {{{name}}} in the format"));
            };
            self.show_plain(&mut line, value)?;
        }
        self.write(&mut line, rest)?;
        self.finish(&line)
    }
}

/// Text in quotes, as Starlark writes it.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // What a terminal would obey is written out.
            other if other.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(other)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
