use std::cmp::Ordering;

use super::Machine;
use crate::{
    Limit,
    heap::Value,
    limits::VALUE_DEPTH_MAX,
    meter::{Eval, fault},
};

impl Machine<'_> {
    /// `left == right`. Values of different types are not equal.
    pub(crate) fn equal(&mut self, left: Value, right: Value) -> Eval<bool> {
        self.equal_within(left, right, 0)
    }

    fn equal_within(&mut self, left: Value, right: Value, depth: u32) -> Eval<bool> {
        self.meter.step(1)?;
        if depth > VALUE_DEPTH_MAX {
            return Err(Limit::Nesting.into());
        }
        Ok(match (left, right) {
            (Value::None, Value::None) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Big(a), Value::Big(b)) => self.heaps.big(a)? == self.heaps.big(b)?,
            (Value::Str(a), Value::Str(b)) => {
                if a.len != b.len {
                    return Ok(false);
                }
                self.meter.text(a.len as usize)?;
                self.heaps.str(a)? == self.heaps.str(b)?
            }
            (Value::List(_), Value::List(_)) | (Value::Tuple(_), Value::Tuple(_)) => {
                if self.len_of(left)? != self.len_of(right)? {
                    return Ok(false);
                }
                let mut index = 0;
                while let (Some(a), Some(b)) = (self.item(left, index)?, self.item(right, index)?) {
                    if !self.equal_within(a, b, depth + 1)? {
                        return Ok(false);
                    }
                    index += 1;
                }
                true
            }
            (Value::Dict(a), Value::Dict(b)) => {
                if self.heaps.dict(a)?.len() != self.heaps.dict(b)?.len() {
                    return Ok(false);
                }
                let entries: Vec<(Value, Value)> = self.heaps.dict(a)?.iter().collect();
                self.meter.step(entries.len() as u64)?;
                for (key, value) in entries {
                    let key = self.key(key)?;
                    match self.heaps.dict(b)?.get(&key) {
                        Some(other) if self.equal_within(value, other, depth + 1)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (Value::Range(a), Value::Range(b)) => {
                let (a, b) = (self.heaps.range(a)?, self.heaps.range(b)?);
                a.len == b.len
                    && (a.len == 0 || (a.start == b.start && (a.len == 1 || a.step == b.step)))
            }
            (Value::Record(a), Value::Record(b)) | (Value::Verdict(a), Value::Verdict(b)) => a == b,
            (Value::Function(a), Value::Function(b)) => a == b,
            (Value::Builtin(a), Value::Builtin(b)) => a == b,
            _ => false,
        })
    }

    /// Elements of a list or tuple.
    fn len_of(&self, value: Value) -> Eval<usize> {
        match value {
            Value::List(place) => Ok(self.heaps.list(place)?.len()),
            Value::Tuple(place) => Ok(self.heaps.tuple(place)?.len()),
            _ => Ok(0),
        }
    }

    fn item(&self, value: Value, index: usize) -> Eval<Option<Value>> {
        match value {
            Value::List(place) => Ok(self.heaps.list(place)?.get(index).copied()),
            Value::Tuple(place) => Ok(self.heaps.tuple(place)?.get(index).copied()),
            _ => Ok(None),
        }
    }

    /// How two values compare; only numbers, texts, bools, lists and tuples have an order.
    pub(crate) fn compare(&mut self, left: Value, right: Value) -> Eval<Ordering> {
        self.compare_within(left, right, 0)
    }

    fn compare_within(&mut self, left: Value, right: Value, depth: u32) -> Eval<Ordering> {
        self.meter.step(1)?;
        if depth > VALUE_DEPTH_MAX {
            return Err(Limit::Nesting.into());
        }
        Ok(match (left, right) {
            (Value::Int(a), Value::Int(b)) => a.cmp(&b),
            (Value::Int(_) | Value::Big(_), Value::Int(_) | Value::Big(_)) => {
                self.to_big(left)?.cmp(&self.to_big(right)?)
            }
            (Value::Bool(a), Value::Bool(b)) => a.cmp(&b),
            (Value::Str(a), Value::Str(b)) => {
                self.meter.text(a.len.min(b.len) as usize)?;
                self.heaps.str(a)?.cmp(self.heaps.str(b)?)
            }
            (Value::List(_), Value::List(_)) | (Value::Tuple(_), Value::Tuple(_)) => {
                let mut index = 0;
                loop {
                    match (self.item(left, index)?, self.item(right, index)?) {
                        (Some(a), Some(b)) => {
                            if !self.equal_within(a, b, depth + 1)? {
                                return self.compare_within(a, b, depth + 1);
                            }
                        }
                        (a, b) => return Ok(a.is_some().cmp(&b.is_some())),
                    }
                    index += 1;
                }
            }
            _ => {
                return fault(format!(
                    "a {} and a {} have no order",
                    left.type_name(),
                    right.type_name()
                ));
            }
        })
    }

    /// Sorts by keys, stable. Merges by hand, as a comparison can fail.
    pub(crate) fn sort(&mut self, items: Vec<(Value, Value)>) -> Eval<Vec<(Value, Value)>> {
        let mut runs: Vec<Vec<(Value, Value)>> = items.into_iter().map(|item| vec![item]).collect();
        while runs.len() > 1 {
            let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
            let mut pairs = runs.into_iter();
            while let Some(left) = pairs.next() {
                merged.push(match pairs.next() {
                    Some(right) => self.merge(left, right)?,
                    None => left,
                });
            }
            runs = merged;
        }
        Ok(runs.pop().unwrap_or_default())
    }

    fn merge(
        &mut self,
        left: Vec<(Value, Value)>,
        right: Vec<(Value, Value)>,
    ) -> Eval<Vec<(Value, Value)>> {
        let mut out = Vec::with_capacity(left.len().saturating_add(right.len()));
        let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (a, b) = (a.0, b.0);
            if self.compare(a, b)?.is_gt() {
                out.extend(right.next());
            } else {
                out.extend(left.next());
            }
        }
        out.extend(left);
        out.extend(right);
        Ok(out)
    }
}
