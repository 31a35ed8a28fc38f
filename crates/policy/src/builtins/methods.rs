use super::Method;
use crate::{
    Limit,
    heap::{Heap, Ref, Text, Value},
    limits::{ELEMENTS_MAX, STRING_BYTES_MAX},
    machine::Machine,
    meter::{Eval, fault},
};

impl Machine<'_> {
    /// Calls a method.
    pub(crate) fn method(
        &mut self,
        of: Value,
        method: Method,
        positional: &[Value],
        named: &[(&str, Value)],
    ) -> Eval<Value> {
        self.meter.step(1)?;
        if let (Value::Str(text), Method::Format) = (of, method) {
            return self.format(text, positional, named);
        }
        if !named.is_empty() {
            return fault(format!("{} has no parameters with names", method.name()));
        }
        match of {
            Value::Str(text) => self.text_method(text, method, positional),
            Value::List(place) => self.list_method(place, method, positional),
            Value::Dict(place) => self.dict_method(place, method, positional),
            other => no_method(other, method),
        }
    }

    fn text_method(&mut self, text: Text, method: Method, given: &[Value]) -> Eval<Value> {
        // Every method reads the text once; what it makes is charged where it is made.
        self.meter.text(text.len as usize)?;
        match (method, given) {
            (Method::StartsWith | Method::EndsWith, [Value::Str(part)]) => {
                let (text, part) = (self.heaps.str(text)?, self.heaps.str(*part)?);
                Ok(Value::Bool(if method == Method::StartsWith {
                    text.starts_with(part)
                } else {
                    text.ends_with(part)
                }))
            }
            (Method::Lower, []) => {
                // ASCII only: other letters depend on the version of the Unicode tables.
                let lower = self.heaps.str(text)?.to_ascii_lowercase();
                self.text(&lower)
            }
            (Method::Upper, []) => {
                let upper = self.heaps.str(text)?.to_ascii_uppercase();
                self.text(&upper)
            }
            (Method::IsDigit, []) => {
                let text = self.heaps.str(text)?;
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                Ok(Value::Bool(digits && !text.is_empty()))
            }
            (Method::Strip | Method::LStrip | Method::RStrip, [] | [Value::Str(_)]) => {
                self.strip(text, method, given)
            }
            (Method::RemovePrefix, [Value::Str(part)]) => {
                let (whole, part) = (self.heaps.str(text)?, self.heaps.str(*part)?);
                let start = if whole.starts_with(part) {
                    part.len()
                } else {
                    0
                };
                text.part(start, whole.len())
            }
            (Method::RemoveSuffix, [Value::Str(part)]) => {
                let (whole, part) = (self.heaps.str(text)?, self.heaps.str(*part)?);
                let rest = whole.strip_suffix(part).map_or(whole.len(), str::len);
                text.part(0, rest)
            }
            (Method::Find, [Value::Str(part)]) => {
                self.meter.text(part.len as usize)?;
                let (text, part) = (self.heaps.str(text)?, self.heaps.str(*part)?);
                let found = text
                    .split_once(part)
                    .map(|(before, _)| before.chars().count());
                Ok(Value::Int(
                    found.map_or(-1, |at| i128::try_from(at).unwrap_or(-1)),
                ))
            }
            (Method::Count, [Value::Str(part)]) => {
                self.meter.text(part.len as usize)?;
                let (text, part) = (self.heaps.str(text)?, self.heaps.str(*part)?);
                let count = text.matches(part).count();
                Ok(Value::Int(i128::try_from(count).unwrap_or(0)))
            }
            (Method::Split, [Value::Str(separator)]) => self.split(text, *separator),
            (Method::Replace, [Value::Str(old), Value::Str(new)]) => self.replace(text, *old, *new),
            (Method::Join, [parts]) => self.join(text, *parts),
            _ => no_method(Value::Str(text), method),
        }
    }

    fn strip(&mut self, text: Text, method: Method, given: &[Value]) -> Eval<Value> {
        let set = match given {
            [Value::Str(set)] => {
                // Each character is looked for in the set.
                let work = u64::from(text.len).saturating_mul(u64::from(set.len));
                self.meter.step(work / 16)?;
                self.copy_text(*set)?
            }
            _ => " \t\n\r".to_owned(),
        };
        let whole = self.heaps.str(text)?;
        let strips = |char: char| set.contains(char);
        let start = if method == Method::RStrip {
            0
        } else {
            whole
                .len()
                .saturating_sub(whole.trim_start_matches(strips).len())
        };
        let end = if method == Method::LStrip {
            whole.len()
        } else {
            whole.trim_end_matches(strips).len()
        };
        text.part(start, end.max(start))
    }

    fn split(&mut self, text: Text, separator: Text) -> Eval<Value> {
        if separator.len == 0 {
            return fault("the separator is empty");
        }
        let whole = self.heaps.str(text)?;
        let mark = self.heaps.str(separator)?;
        let mut spans = Vec::new();
        let mut start = 0usize;
        for (at, found) in whole.match_indices(mark) {
            spans.push((start, at));
            start = at.saturating_add(found.len());
            if spans.len() >= ELEMENTS_MAX {
                return Err(Limit::Elements.into());
            }
        }
        spans.push((start, whole.len()));
        self.meter.step(spans.len() as u64)?;
        let parts = spans.into_iter().map(|(start, end)| text.part(start, end));
        let parts = parts.collect::<Eval<Vec<_>>>()?;
        self.list(parts)
    }

    fn replace(&mut self, text: Text, old: Text, new: Text) -> Eval<Value> {
        let (whole, from, to) = (
            self.heaps.str(text)?,
            self.heaps.str(old)?,
            self.heaps.str(new)?,
        );
        let count = whole.matches(from).count();
        // Measured before it is made.
        let len = whole
            .len()
            .saturating_sub(count.saturating_mul(from.len()))
            .saturating_add(count.saturating_mul(to.len()));
        if len > STRING_BYTES_MAX {
            return Err(Limit::String.into());
        }
        let replaced = whole.replace(from, to);
        self.text(&replaced)
    }

    fn join(&mut self, separator: Text, parts: Value) -> Eval<Value> {
        let parts = self.collect(parts)?;
        let mut len = (separator.len as usize).saturating_mul(parts.len().saturating_sub(1));
        for part in &parts {
            let Value::Str(part) = part else {
                return fault(format!("join takes texts, not a {}", part.type_name()));
            };
            len = len.saturating_add(part.len as usize);
        }
        Heap::reserve_text(&mut self.meter, len)?;
        let mut joined = String::with_capacity(len);
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                joined.push_str(self.heaps.str(separator)?);
            }
            if let Value::Str(part) = part {
                joined.push_str(self.heaps.str(part)?);
            }
        }
        let start = self.heaps.own.text.len();
        self.heaps.own.text.push_str(&joined);
        self.heaps.own.text_from(start)
    }

    fn list_method(&mut self, place: Ref, method: Method, given: &[Value]) -> Eval<Value> {
        let value = Value::List(place);
        match (method, given) {
            (Method::Append, [item]) => {
                self.meter.slots(1)?;
                let list = self.heaps.list_to_change(place)?;
                if list.items.len() >= ELEMENTS_MAX {
                    return Err(Limit::Elements.into());
                }
                list.items.push(*item);
            }
            (Method::Extend, [items]) => self.extend(place, *items)?,
            (Method::Insert, [index, item]) => {
                let len = self.heaps.list(place)?.len();
                self.charge_elements(len.saturating_add(1))?;
                self.meter.slots(1)?;
                let index = self.to_i64(*index)?;
                let size = i64::try_from(len).unwrap_or(i64::MAX);
                let index = if index < 0 {
                    index.saturating_add(size)
                } else {
                    index
                };
                let index = usize::try_from(index.clamp(0, size)).unwrap_or(len);
                self.heaps.list_to_change(place)?.items.insert(index, *item);
            }
            (Method::Pop, [] | [_]) => {
                let len = self.heaps.list(place)?.len();
                let index = given.first().copied().unwrap_or(Value::Int(-1));
                let index = self.position(index, len)?;
                self.charge_elements(len.saturating_sub(index))?;
                return Ok(self.heaps.list_to_change(place)?.items.remove(index));
            }
            (Method::Remove, [item]) => {
                let Some(index) = self.find_in(value, *item)? else {
                    return fault("the element to remove is not in the list");
                };
                let len = self.heaps.list(place)?.len();
                self.charge_elements(len)?;
                self.heaps.list_to_change(place)?.items.remove(index);
            }
            (Method::Clear, []) => self.heaps.list_to_change(place)?.items.clear(),
            (Method::Index, [item]) => {
                return match self.find_in(value, *item)? {
                    Some(index) => Ok(Value::Int(i128::try_from(index).unwrap_or(0))),
                    None => fault("the element is not in the list"),
                };
            }
            _ => return no_method(value, method),
        }
        Ok(Value::None)
    }

    fn dict_method(&mut self, place: Ref, method: Method, given: &[Value]) -> Eval<Value> {
        let value = Value::Dict(place);
        match (method, given) {
            (Method::Get, [key] | [key, _]) => {
                let default = given.get(1).copied().unwrap_or(Value::None);
                let key = self.key(*key)?;
                Ok(self.heaps.dict(place)?.get(&key).unwrap_or(default))
            }
            (Method::Keys, []) => {
                let items = self.collect(value)?;
                self.list(items)
            }
            (Method::Values | Method::Items, []) => {
                let entries: Vec<(Value, Value)> = self.heaps.dict(place)?.iter().collect();
                self.meter.step(entries.len() as u64)?;
                let mut out = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    out.push(if method == Method::Values {
                        value
                    } else {
                        self.tuple(vec![key, value])?
                    });
                }
                self.list(out)
            }
            (Method::Pop, [key] | [key, _]) => {
                let content = self.key(*key)?;
                // Removal closes gaps now and then; its share is charged here.
                self.meter.step(2)?;
                let removed = self.heaps.dict_to_change(place)?.remove(&content);
                match removed.or_else(|| given.get(1).copied()) {
                    Some(value) => Ok(value),
                    None => {
                        let shown = self.repr(*key)?;
                        fault(format!("no key {shown} in the dictionary"))
                    }
                }
            }
            (Method::SetDefault, [key] | [key, _]) => {
                let content = self.key(*key)?;
                if let Some(value) = self.heaps.dict(place)?.get(&content) {
                    return Ok(value);
                }
                let default = given.get(1).copied().unwrap_or(Value::None);
                self.dict_insert(place, *key, default)?;
                Ok(default)
            }
            (Method::Update, [other]) => {
                self.update(place, *other)?;
                Ok(Value::None)
            }
            (Method::Clear, []) => {
                let dict = self.heaps.dict_to_change(place)?;
                dict.entries.clear();
                dict.index.clear();
                Ok(Value::None)
            }
            _ => no_method(value, method),
        }
    }
}

fn no_method<T>(of: Value, method: Method) -> Eval<T> {
    fault(format!(
        "a {} has no method `{}` for these arguments",
        of.type_name(),
        method.name()
    ))
}
