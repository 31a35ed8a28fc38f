use num_bigint::BigInt;

use super::{Builtin, Civil};
use crate::{
    fields::Shape,
    heap::{Decided, Ref, Value},
    machine::{Machine, operate::range},
    meter::{Eval, fault},
    program::Op,
};

/// Most decimals that `units` shifts by, as 10^77 is the largest power of ten in 256 bits.
const DECIMALS_MAX: i64 = 77;

/// What a builtin got.
struct Given<'a, 'n> {
    name: &'static str,
    positional: &'a [Value],
    named: &'a [(&'n str, Value)],
}

impl Given<'_, '_> {
    /// The argument at a position or of a name.
    fn find(&self, index: usize, name: &str) -> Option<Value> {
        let mut named = self.named.iter();
        let by_name = || named.find(|(known, _)| *known == name).map(|(_, v)| *v);
        self.positional.get(index).copied().or_else(by_name)
    }

    fn need(&self, index: usize, name: &str) -> Eval<Value> {
        match self.find(index, name) {
            Some(value) => Ok(value),
            None => fault(format!("{} needs `{name}`", self.name)),
        }
    }

    /// Refuses more arguments than there are, and names that are none.
    fn check(&self, most: usize, names: &[&str]) -> Eval<()> {
        if self.positional.len() > most {
            return fault(format!("{} takes at most {most} arguments", self.name));
        }
        for (index, (name, _)) in self.named.iter().enumerate() {
            let Some(position) = names.iter().position(|known| known == name) else {
                return fault(format!("{} has no parameter `{name}`", self.name));
            };
            let again = self.named.iter().skip(index + 1).any(|(n, _)| n == name);
            if position < self.positional.len() || again {
                return fault(format!("`{name}` is given twice to {}", self.name));
            }
        }
        Ok(())
    }
}

impl Machine<'_> {
    /// Calls a builtin function.
    pub(crate) fn builtin(
        &mut self,
        builtin: Builtin,
        positional: &[Value],
        named: &[(&str, Value)],
    ) -> Eval<Value> {
        self.meter.step(1)?;
        let given = Given {
            name: builtin.name(),
            positional,
            named,
        };
        match builtin {
            Builtin::Min | Builtin::Max => return self.extreme(builtin, &given),
            Builtin::Zip => return self.zip(&given),
            _ => {}
        }
        let names: &[&str] = match builtin {
            Builtin::Allow => &[],
            Builtin::Deny | Builtin::Flag | Builtin::Fail => &["reason"],
            Builtin::Cosign => &["parties", "reason"],
            Builtin::Clock => &["time_ms", "offset_minutes"],
            Builtin::Units => &["count", "decimals"],
            Builtin::Range => &["start", "stop", "step"],
            Builtin::Enumerate => &["x", "start"],
            Builtin::Int => &["x", "base"],
            Builtin::Sorted => &["x", "key", "reverse"],
            _ => &["x"],
        };
        let most = if builtin == Builtin::Sorted {
            1
        } else {
            names.len()
        };
        given.check(most, names)?;
        match builtin {
            Builtin::Allow => self.decide(Decided::Allow),
            Builtin::Deny => {
                let reason = self.reason(given.need(0, "reason")?)?;
                self.decide(Decided::Deny(reason))
            }
            Builtin::Flag => {
                let reason = self.reason(given.need(0, "reason")?)?;
                self.decide(Decided::Flag(reason))
            }
            Builtin::Cosign => {
                let parties = self.parties(given.need(0, "parties")?)?;
                let reason = self.reason(given.need(1, "reason")?)?;
                self.decide(Decided::Cosign(parties, reason))
            }
            Builtin::Fail => {
                let value = given.need(0, "reason")?;
                let mut line = crate::machine::show::Line::default();
                self.show_plain(&mut line, value)?;
                fault(line.text)
            }
            Builtin::Address => self.address(given.need(0, "x")?),
            Builtin::Clock => self.clock(&given),
            Builtin::Units => self.units(&given),
            Builtin::Abs => {
                let value = given.need(0, "x")?;
                let zero = Value::Int(0);
                if self.compare(value, zero)?.is_lt() {
                    self.unary_minus(value)
                } else {
                    Ok(value)
                }
            }
            Builtin::Sum => {
                let mut total = Value::Int(0);
                let value = given.need(0, "x")?;
                let mut iter = self.open(value)?;
                while let Some(item) = self.next(&mut iter)? {
                    total = self.arithmetic(Op::Add, total, item)?;
                }
                self.close(&iter);
                Ok(total)
            }
            Builtin::Any | Builtin::All => {
                let value = given.need(0, "x")?;
                let mut iter = self.open(value)?;
                let mut found = false;
                while let Some(item) = self.next(&mut iter)? {
                    if self.truth(item)? == (builtin == Builtin::Any) {
                        found = true;
                        break;
                    }
                }
                self.close(&iter);
                Ok(Value::Bool(found == (builtin == Builtin::Any)))
            }
            Builtin::Bool => {
                let value = given.find(0, "x").unwrap_or(Value::Bool(false));
                self.truth(value).map(Value::Bool)
            }
            Builtin::Int => self.int(&given),
            Builtin::Len => self.len(given.need(0, "x")?),
            Builtin::Str => self.str_of(given.need(0, "x")?),
            Builtin::Repr => {
                let text = self.repr(given.need(0, "x")?)?;
                self.text(&text)
            }
            Builtin::Type => {
                let name = given.need(0, "x")?.type_name();
                self.text(name)
            }
            Builtin::List | Builtin::Tuple => {
                let items = match given.find(0, "x") {
                    Some(value) => self.collect(value)?,
                    None => Vec::new(),
                };
                if builtin == Builtin::List {
                    self.list(items)
                } else {
                    self.tuple(items)
                }
            }
            Builtin::Dict => match given.find(0, "x") {
                Some(value @ Value::Dict(_)) => self.copy_dict(value),
                other => {
                    let place = self.heaps.own.push_dict(&mut self.meter)?;
                    if let Some(pairs) = other {
                        self.update(place, pairs)?;
                    }
                    Ok(Value::Dict(place))
                }
            },
            Builtin::Range => self.range(&given),
            Builtin::Enumerate => {
                let items = self.collect(given.need(0, "x")?)?;
                let start = given.find(1, "start").unwrap_or(Value::Int(0));
                let mut count = i128::from(self.to_i64(start)?);
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    out.push(self.tuple(vec![Value::Int(count), item])?);
                    self.meter.step(1)?;
                    count = count.saturating_add(1);
                }
                self.list(out)
            }
            Builtin::Reversed => {
                let mut items = self.collect(given.need(0, "x")?)?;
                items.reverse();
                self.list(items)
            }
            Builtin::Sorted => self.sorted(&given),
            Builtin::Min | Builtin::Max | Builtin::Zip => fault("internal error: done before"),
        }
    }

    fn unary_minus(&mut self, value: Value) -> Eval<Value> {
        self.arithmetic(Op::Subtract, Value::Int(0), value)
    }

    fn len(&mut self, value: Value) -> Eval<Value> {
        let count = match value {
            Value::Str(text) => self.char_count(text)? as u64,
            Value::List(place) => self.heaps.list(place)?.len() as u64,
            Value::Tuple(place) => self.heaps.tuple(place)?.len() as u64,
            Value::Dict(place) => self.heaps.dict(place)?.len() as u64,
            Value::Range(place) => self.heaps.range(place)?.len,
            other => return fault(format!("a {} has no length", other.type_name())),
        };
        Ok(Value::Int(i128::from(count)))
    }

    fn int(&mut self, given: &Given<'_, '_>) -> Eval<Value> {
        match given.need(0, "x")? {
            value @ (Value::Int(_) | Value::Big(_)) => Ok(value),
            Value::Bool(value) => Ok(Value::Int(i128::from(value))),
            Value::Str(text) => {
                let base = match given.find(1, "base") {
                    Some(base) => self.to_i64(base)?,
                    None => 10,
                };
                let base = u32::try_from(base)
                    .ok()
                    .filter(|base| *base == 0 || (2..=36).contains(base));
                let Some(base) = base else {
                    return fault("a base is 0 or 2 to 36");
                };
                let text = self.copy_text(text)?;
                self.parse_int(&text, base)
            }
            other => fault(format!("a {} is no number", other.type_name())),
        }
    }

    fn range(&mut self, given: &Given<'_, '_>) -> Eval<Value> {
        let first = self.to_i64(given.need(0, "start")?)?;
        let (start, stop) = match given.find(1, "stop") {
            Some(stop) => (first, self.to_i64(stop)?),
            None => (0, first),
        };
        let step = match given.find(2, "step") {
            Some(step) => self.to_i64(step)?,
            None => 1,
        };
        if step == 0 {
            return fault("the step of a range cannot be 0");
        }
        self.heaps
            .own
            .push_range(&mut self.meter, range(start, stop, step))
    }

    fn sorted(&mut self, given: &Given<'_, '_>) -> Eval<Value> {
        let items = self.collect(given.need(0, "x")?)?;
        let key = given.find(1, "key").unwrap_or(Value::None);
        let reverse = given.find(2, "reverse").unwrap_or(Value::Bool(false));
        let reverse = self.truth(reverse)?;
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let by = match key {
                Value::None => item,
                function => self.call_value(function, item)?,
            };
            keyed.push((by, item));
        }
        // Backwards before and after, so that equal elements keep their order.
        if reverse {
            keyed.reverse();
        }
        let mut sorted = self.sort(keyed)?;
        if reverse {
            sorted.reverse();
        }
        self.list(sorted.into_iter().map(|(_, item)| item).collect())
    }

    /// `min` and `max`, of arguments or of the elements of one.
    fn extreme(&mut self, builtin: Builtin, given: &Given<'_, '_>) -> Eval<Value> {
        let mut key = Value::None;
        for (name, value) in given.named {
            if *name != "key" {
                return fault(format!("{} has no parameter `{name}`", given.name));
            }
            key = *value;
        }
        let items = match given.positional {
            [one] => self.collect(*one)?,
            many => many.to_vec(),
        };
        let mut best: Option<(Value, Value)> = None;
        for item in items {
            let by = match key {
                Value::None => item,
                function => self.call_value(function, item)?,
            };
            let better = match best {
                None => true,
                Some((other, _)) if builtin == Builtin::Max => self.compare(by, other)?.is_gt(),
                Some((other, _)) => self.compare(by, other)?.is_lt(),
            };
            if better {
                best = Some((by, item));
            }
        }
        match best {
            Some((_, item)) => Ok(item),
            None => fault(format!("{} of nothing", given.name)),
        }
    }

    fn zip(&mut self, given: &Given<'_, '_>) -> Eval<Value> {
        if !given.named.is_empty() {
            return fault("zip has no parameters with names");
        }
        let mut columns = Vec::with_capacity(given.positional.len());
        for value in given.positional {
            columns.push(self.collect(*value)?);
        }
        let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
        let mut out = Vec::with_capacity(rows);
        for row in 0..rows {
            let items: Vec<Value> = columns
                .iter()
                .filter_map(|column| column.get(row).copied())
                .collect();
            self.meter.step(items.len() as u64)?;
            out.push(self.tuple(items)?);
        }
        self.list(out)
    }

    /// `clock(time_ms, offset_minutes)`: a date and a time of day.
    fn clock(&mut self, given: &Given<'_, '_>) -> Eval<Value> {
        let time = self.to_i64(given.need(0, "time_ms")?)?;
        let offset = match given.find(1, "offset_minutes") {
            Some(offset) => self.to_i64(offset)?,
            None => 0,
        };
        if offset.abs() > 24 * 60 {
            return fault("an offset is at most a day, in minutes");
        }
        let civil = Civil::of(time, offset);
        let values = [
            civil.year,
            civil.month,
            civil.day,
            civil.hour,
            civil.minute,
            civil.weekday,
        ];
        let values = values.map(|value| Value::Int(i128::from(value))).to_vec();
        self.heaps
            .own
            .push_record(&mut self.meter, Shape::Clock, values)
    }

    /// `units(count, decimals)`: `count` times ten to the `decimals`.
    fn units(&mut self, given: &Given<'_, '_>) -> Eval<Value> {
        let count = given.need(0, "count")?;
        let decimals = match given.find(1, "decimals") {
            Some(decimals) => self.to_i64(decimals)?,
            None => 18,
        };
        let power = match u32::try_from(decimals) {
            Ok(power) if decimals <= DECIMALS_MAX => BigInt::from(10).pow(power),
            _ => return fault("decimals are 0 to 77"),
        };
        let power = self.push_int(power)?;
        self.arithmetic(Op::Multiply, count, power)
    }

    /// A copy of a dictionary that can be changed.
    pub(crate) fn copy_dict(&mut self, value: Value) -> Eval<Value> {
        let place = self.heaps.own.push_dict(&mut self.meter)?;
        self.update(place, value)?;
        Ok(Value::Dict(place))
    }

    /// Puts the entries of a dictionary, or pairs, into a dictionary.
    pub(crate) fn update(&mut self, place: Ref, value: Value) -> Eval<()> {
        if let Value::Dict(other) = value {
            let entries: Vec<(Value, Value)> = self.heaps.dict(other)?.iter().collect();
            self.meter.step(entries.len() as u64)?;
            for (key, value) in entries {
                self.dict_insert(place, key, value)?;
            }
            return Ok(());
        }
        for pair in self.collect(value)? {
            let parts = self.collect(pair)?;
            let [key, value] = parts.as_slice() else {
                return fault("a dictionary is made of pairs");
            };
            self.dict_insert(place, *key, *value)?;
        }
        Ok(())
    }
}
