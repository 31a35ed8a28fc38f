use super::Machine;
use crate::{
    Limit,
    heap::{Heap, Key, Range, Text, Value},
    limits::{ELEMENTS_MAX, STRING_BYTES_MAX, VALUE_DEPTH_MAX},
    meter::{Eval, fault},
    program::Op,
};

impl Machine<'_> {
    /// A binary operator.
    pub(crate) fn operate(&mut self, op: Op, left: Value, right: Value) -> Eval<Value> {
        match op {
            Op::Equal => self.equal(left, right).map(Value::Bool),
            Op::NotEqual => Ok(Value::Bool(!self.equal(left, right)?)),
            Op::Less => Ok(Value::Bool(self.compare(left, right)?.is_lt())),
            Op::Greater => Ok(Value::Bool(self.compare(left, right)?.is_gt())),
            Op::LessOrEqual => Ok(Value::Bool(self.compare(left, right)?.is_le())),
            Op::GreaterOrEqual => Ok(Value::Bool(self.compare(left, right)?.is_ge())),
            Op::In => self.contains(right, left).map(Value::Bool),
            Op::NotIn => Ok(Value::Bool(!self.contains(right, left)?)),
            Op::Add => self.add(left, right),
            Op::Multiply => match (left, right) {
                (Value::Int(_) | Value::Big(_), Value::Int(_) | Value::Big(_)) => {
                    self.arithmetic(op, left, right)
                }
                (Value::Int(times), other) | (other, Value::Int(times)) => {
                    self.repeat_value(other, times)
                }
                _ => self.mismatch("*", left, right),
            },
            Op::Modulo => match left {
                Value::Str(format) => self.percent(format, right),
                _ => self.numbers(op, left, right),
            },
            _ => self.numbers(op, left, right),
        }
    }

    fn numbers(&mut self, op: Op, left: Value, right: Value) -> Eval<Value> {
        if let (Value::Int(_) | Value::Big(_), Value::Int(_) | Value::Big(_)) = (left, right) {
            return self.arithmetic(op, left, right);
        }
        if let (Op::Or, Value::Dict(_), Value::Dict(_)) = (op, left, right) {
            let Value::Dict(place) = self.copy_dict(left)? else {
                return fault("internal error: no dictionary");
            };
            self.update(place, right)?;
            return Ok(Value::Dict(place));
        }
        self.mismatch("this operator", left, right)
    }

    fn mismatch<T>(&self, op: &str, left: Value, right: Value) -> Eval<T> {
        fault(format!(
            "{op} does not work on a {} and a {}",
            left.type_name(),
            right.type_name()
        ))
    }

    fn add(&mut self, left: Value, right: Value) -> Eval<Value> {
        match (left, right) {
            (Value::Str(a), Value::Str(b)) => {
                let len = (a.len as usize).saturating_add(b.len as usize);
                Heap::reserve_text(&mut self.meter, len)?;
                let mut joined = String::with_capacity(len);
                joined.push_str(self.heaps.str(a)?);
                joined.push_str(self.heaps.str(b)?);
                let start = self.heaps.own.text.len();
                self.heaps.own.text.push_str(&joined);
                self.heaps.own.text_from(start)
            }
            (Value::List(a), Value::List(b)) => {
                let len = self.heaps.list(a)?.len() + self.heaps.list(b)?.len();
                self.charge_elements(len)?;
                let joined = [self.heaps.list(a)?, self.heaps.list(b)?].concat();
                self.list(joined)
            }
            (Value::Tuple(a), Value::Tuple(b)) => {
                let len = self.heaps.tuple(a)?.len() + self.heaps.tuple(b)?.len();
                self.charge_elements(len)?;
                let joined = [self.heaps.tuple(a)?, self.heaps.tuple(b)?].concat();
                self.tuple(joined)
            }
            (Value::Int(_) | Value::Big(_), Value::Int(_) | Value::Big(_)) => {
                self.arithmetic(Op::Add, left, right)
            }
            _ => self.mismatch("+", left, right),
        }
    }

    /// Steps for copying so many elements, which must not be too many.
    pub(crate) fn charge_elements(&mut self, count: usize) -> Eval<()> {
        if count > ELEMENTS_MAX {
            return Err(Limit::Elements.into());
        }
        Ok(self.meter.step(count as u64)?)
    }

    /// `value * times` for text, lists and tuples.
    fn repeat_value(&mut self, value: Value, times: i128) -> Eval<Value> {
        let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
        match value {
            Value::Str(text) => {
                let len = (text.len as usize).saturating_mul(times);
                if len > STRING_BYTES_MAX {
                    return Err(Limit::String.into());
                }
                Heap::reserve_text(&mut self.meter, len)?;
                let times = if text.len == 0 { 0 } else { times };
                let repeated = self.heaps.str(text)?.repeat(times);
                let start = self.heaps.own.text.len();
                self.heaps.own.text.push_str(&repeated);
                self.heaps.own.text_from(start)
            }
            Value::List(place) => {
                let items = self.repeat_items(self.heaps.list(place)?.len(), times)?;
                let items = self.heaps.list(place)?.repeat(items);
                self.list(items)
            }
            Value::Tuple(place) => {
                let items = self.repeat_items(self.heaps.tuple(place)?.len(), times)?;
                let items = self.heaps.tuple(place)?.repeat(items);
                self.tuple(items)
            }
            other => self.mismatch("*", other, Value::Int(0)),
        }
    }

    /// Charges a repetition before it is made; gives how often to repeat.
    fn repeat_items(&mut self, len: usize, times: usize) -> Eval<usize> {
        self.charge_elements(len.saturating_mul(times))?;
        Ok(if len == 0 { 0 } else { times })
    }

    /// `needle in value`.
    pub(crate) fn contains(&mut self, value: Value, needle: Value) -> Eval<bool> {
        match value {
            Value::Str(text) => {
                let Value::Str(needle) = needle else {
                    return self.mismatch("in", needle, value);
                };
                let bytes = (text.len as usize).saturating_add(needle.len as usize);
                self.meter.text(bytes)?;
                Ok(self.heaps.str(text)?.contains(self.heaps.str(needle)?))
            }
            Value::Dict(place) => {
                let key = self.key(needle)?;
                Ok(self.heaps.dict(place)?.index.contains_key(&key))
            }
            Value::Range(place) => {
                let range = self.heaps.range(place)?;
                Ok(match needle {
                    Value::Int(needle) => in_range(range, needle),
                    _ => false,
                })
            }
            Value::List(_) | Value::Tuple(_) => Ok(self.find_in(value, needle)?.is_some()),
            _ => self.mismatch("in", needle, value),
        }
    }

    /// The position of an element in a list or tuple.
    pub(crate) fn find_in(&mut self, value: Value, needle: Value) -> Eval<Option<usize>> {
        let mut index = 0;
        loop {
            let items = match value {
                Value::List(place) => self.heaps.list(place)?,
                Value::Tuple(place) => self.heaps.tuple(place)?,
                other => return fault(format!("a {} has no elements", other.type_name())),
            };
            let Some(item) = items.get(index).copied() else {
                return Ok(None);
            };
            if self.equal(item, needle)? {
                return Ok(Some(index));
            }
            index += 1;
        }
    }

    /// The content of a key; charged by what it holds.
    pub(crate) fn key(&mut self, value: Value) -> Eval<Key> {
        self.key_within(value, 0)
    }

    fn key_within(&mut self, value: Value, depth: u32) -> Eval<Key> {
        self.meter.step(1)?;
        if depth > VALUE_DEPTH_MAX {
            return Err(Limit::Nesting.into());
        }
        Ok(match value {
            Value::None => Key::None,
            Value::Bool(value) => Key::Bool(value),
            Value::Int(value) => Key::Int(value),
            Value::Big(place) => {
                self.meter.memory(64)?;
                Key::Big(self.heaps.big(place)?.clone())
            }
            Value::Str(text) => {
                self.meter.text(text.len as usize)?;
                self.meter.memory(u64::from(text.len))?;
                Key::Str(self.heaps.str(text)?.into())
            }
            Value::Tuple(place) => {
                let len = self.heaps.tuple(place)?.len();
                let mut keys = Vec::new();
                for index in 0..len {
                    self.meter.memory(crate::meter::SLOT_MEMORY)?;
                    let item = self.heaps.tuple(place)?.get(index).copied();
                    keys.push(self.key_within(item.unwrap_or(Value::None), depth + 1)?);
                }
                Key::Tuple(keys)
            }
            other => {
                return fault(format!("a {} cannot be a key", other.type_name()));
            }
        })
    }

    /// A position in a sequence; negative ones count from the end.
    pub(crate) fn position(&self, index: Value, len: usize) -> Eval<usize> {
        let index = self.to_i64(index)?;
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let from_start = if index < 0 {
            index.saturating_add(len)
        } else {
            index
        };
        match usize::try_from(from_start) {
            Ok(position) if from_start < len => Ok(position),
            _ => fault(format!("index {index} is outside a sequence of {len}")),
        }
    }

    /// `of[index]`.
    pub(crate) fn index(&mut self, of: Value, index: Value) -> Eval<Value> {
        match of {
            Value::Dict(place) => {
                let key = self.key(index)?;
                match self.heaps.dict(place)?.get(&key) {
                    Some(value) => Ok(value),
                    None => {
                        let shown = self.repr(index)?;
                        fault(format!("no key {shown} in the dictionary"))
                    }
                }
            }
            Value::List(place) => {
                let items = self.heaps.list(place)?;
                let index = self.position(index, items.len())?;
                Ok(items.get(index).copied().unwrap_or(Value::None))
            }
            Value::Tuple(place) => {
                let items = self.heaps.tuple(place)?;
                let index = self.position(index, items.len())?;
                Ok(items.get(index).copied().unwrap_or(Value::None))
            }
            Value::Range(place) => {
                let range = self.heaps.range(place)?;
                let len = usize::try_from(range.len).unwrap_or(usize::MAX);
                let index = self.position(index, len)? as u64;
                Ok(range.get(index).unwrap_or(Value::None))
            }
            Value::Str(text) => {
                let count = self.char_count(text)?;
                let position = self.position(index, count)?;
                let (start, end) = self.char_span(text, position, position.saturating_add(1))?;
                self.part(text, start, end)
            }
            other => fault(format!("a {} has no elements", other.type_name())),
        }
    }

    /// Characters of a text.
    pub(crate) fn char_count(&mut self, text: Text) -> Eval<usize> {
        self.meter.text(text.len as usize)?;
        let text = self.heaps.str(text)?;
        Ok(if text.is_ascii() {
            text.len()
        } else {
            text.chars().count()
        })
    }

    /// The bytes of characters `from..to`.
    pub(crate) fn char_span(&mut self, text: Text, from: usize, to: usize) -> Eval<(usize, usize)> {
        self.meter.text(text.len as usize)?;
        let text = self.heaps.str(text)?;
        if text.is_ascii() {
            return Ok((from.min(text.len()), to.min(text.len())));
        }
        let offset = |n| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
        Ok((offset(from), offset(to)))
    }

    /// A part of a text by bytes, without copying.
    pub(crate) fn part(&self, text: Text, start: usize, end: usize) -> Eval<Value> {
        let whole = self.heaps.str(text)?;
        if whole.get(start..end).is_none() {
            return fault("internal error: a text was cut within a character");
        }
        text.part(start, end)
    }

    /// `of[start:stop:step]`.
    pub(crate) fn slice(
        &mut self,
        of: Value,
        start: Option<Value>,
        stop: Option<Value>,
        step: Option<Value>,
    ) -> Eval<Value> {
        let len = match of {
            Value::Str(text) => self.char_count(text)?,
            Value::List(place) => self.heaps.list(place)?.len(),
            Value::Tuple(place) => self.heaps.tuple(place)?.len(),
            other => return fault(format!("a {} cannot be sliced", other.type_name())),
        };
        let picked = self.picked(len, [start, stop, step])?;
        if let (Value::Str(text), 1) = (of, picked.step) {
            let from = usize::try_from(picked.start).unwrap_or_default();
            let count = usize::try_from(picked.len).unwrap_or_default();
            let (start, end) = self.char_span(text, from, from.saturating_add(count))?;
            return self.part(text, start, end);
        }
        let count = usize::try_from(picked.len).unwrap_or(usize::MAX);
        self.charge_elements(count)?;
        let indices = (0..picked.len).filter_map(|n| match picked.get(n) {
            Some(Value::Int(index)) => usize::try_from(index).ok(),
            _ => None,
        });
        match of {
            Value::Str(text) => {
                Heap::reserve_text(&mut self.meter, text.len as usize)?;
                let chars: Vec<char> = self.heaps.str(text)?.chars().collect();
                let out: String = indices.filter_map(|index| chars.get(index)).collect();
                let start = self.heaps.own.text.len();
                self.heaps.own.text.push_str(&out);
                self.heaps.own.text_from(start)
            }
            Value::List(place) => {
                let items = self.heaps.list(place)?;
                let out = indices.filter_map(|index| items.get(index).copied());
                let out = out.collect();
                self.list(out)
            }
            Value::Tuple(place) => {
                let items = self.heaps.tuple(place)?;
                let out = indices.filter_map(|index| items.get(index).copied());
                let out = out.collect();
                self.tuple(out)
            }
            other => fault(format!("a {} cannot be sliced", other.type_name())),
        }
    }

    /// The positions that a slice picks.
    fn picked(&self, len: usize, bounds: [Option<Value>; 3]) -> Eval<Range> {
        let number = |value: Option<Value>| match value {
            None | Some(Value::None) => Ok(None),
            Some(value) => self.to_i64(value).map(Some),
        };
        let [start, stop, step] = bounds;
        let step = number(step)?.unwrap_or(1);
        if step == 0 {
            return fault("the step of a slice cannot be 0");
        }
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let clamp = |value: Option<i64>, default: i64| match value {
            None => default,
            Some(value) if value < 0 => value.saturating_add(len).clamp(low, high),
            Some(value) => value.clamp(low, high),
        };
        let (first, last) = if step > 0 { (low, high) } else { (high, low) };
        let (start, stop) = (clamp(number(start)?, first), clamp(number(stop)?, last));
        Ok(range(start, stop, step))
    }
}

/// The numbers from `start` to before `stop`; `step` is not 0.
pub(crate) fn range(start: i64, stop: i64, step: i64) -> Range {
    let (from, to, width) = if step > 0 {
        (i128::from(start), i128::from(stop), i128::from(step))
    } else {
        (i128::from(stop), i128::from(start), -i128::from(step))
    };
    let count = if to > from {
        (to - from + width - 1).checked_div(width)
    } else {
        Some(0)
    };
    let len = count.and_then(|count| u64::try_from(count).ok());
    Range {
        start,
        step,
        len: len.unwrap_or(u64::MAX),
    }
}

fn in_range(range: Range, needle: i128) -> bool {
    let offset = needle.checked_sub(i128::from(range.start));
    let step = i128::from(range.step);
    let index = offset.filter(|offset| offset.checked_rem(step) == Some(0));
    let index = index.and_then(|offset| offset.checked_div(step));
    index.is_some_and(|index| (0..i128::from(range.len)).contains(&index))
}
