//! Values and where they are kept.
//!
//! A value is a few bytes that can be copied; what does not fit is in one of three heaps: the
//! script's constants, the transaction's facts, and what the run made. The first two do not change
//! during a run. Nothing is reference counted, so a list can contain itself and dropping a deeply
//! nested value does not recurse.

use std::collections::BTreeMap;

use num_bigint::BigInt;

use crate::{
    Limit,
    builtins::Builtin,
    fields::{Field, Shape},
    limits::{ELEMENTS_MAX, INTEGER_BITS_MAX, STRING_BYTES_MAX},
    meter::{Eval, Meter, OBJECT_MEMORY, SLOT_MEMORY, fault},
};

/// Which heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Layer {
    Constants = 0,
    Facts = 1,
    Run = 2,
}

/// A place in a heap: two bits of layer, the rest an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ref(u32);

const INDEX_BITS: u32 = 30;

impl Ref {
    pub(crate) const fn layer(self) -> Layer {
        match self.0 >> INDEX_BITS {
            0 => Layer::Constants,
            1 => Layer::Facts,
            _ => Layer::Run,
        }
    }

    pub(crate) const fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

/// A part of a heap's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) at: Ref,
    pub(crate) len: u32,
}

impl Text {
    /// Bytes `start..end` of it, which the caller has checked to be there.
    pub(crate) fn part(self, start: usize, end: usize) -> Eval<Value> {
        let index = u32::try_from(start).ok();
        let at = index
            .and_then(|start| self.at.0.checked_add(start))
            .map(Ref);
        let len = u32::try_from(end.saturating_sub(start)).ok();
        match (at, len) {
            (Some(at), Some(len)) => Ok(Value::Str(Self { at, len })),
            _ => lost(),
        }
    }
}

/// A value of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i128),
    /// An integer outside `i128`.
    Big(Ref),
    Str(Text),
    List(Ref),
    Tuple(Ref),
    Dict(Ref),
    Range(Ref),
    Record(Ref),
    Verdict(Ref),
    Function(u32),
    Builtin(Builtin),
}

impl Value {
    /// What `type()` says.
    pub(crate) const fn type_name(self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(_) => "range",
            Self::Record(_) => "record",
            Self::Verdict(_) => "verdict",
            Self::Function(_) | Self::Builtin(_) => "function",
        }
    }
}

/// A list, and how many loops are going over it: meanwhile it must not change.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) items: Vec<Value>,
    pub(crate) busy: u32,
}

/// A key, by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    None,
    Bool(bool),
    Int(i128),
    Big(BigInt),
    Str(Box<str>),
    Tuple(Vec<Key>),
}

/// A dictionary in the order of insertion. The index is ordered, so nothing depends on hashes.
#[derive(Debug, Default)]
pub(crate) struct Dict {
    pub(crate) entries: Vec<Option<(Value, Value)>>,
    pub(crate) index: BTreeMap<Key, usize>,
    pub(crate) busy: u32,
}

impl Dict {
    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        let index = *self.index.get(key)?;
        self.entries.get(index)?.map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Value, Value)> + '_ {
        self.entries.iter().filter_map(|entry| *entry)
    }

    /// Whether the key is new.
    pub(crate) fn insert(&mut self, key: Key, name: Value, value: Value) -> bool {
        if let Some(index) = self.index.get(&key) {
            if let Some(Some(entry)) = self.entries.get_mut(*index) {
                entry.1 = value;
            }
            return false;
        }
        self.index.insert(key, self.entries.len());
        self.entries.push(Some((name, value)));
        true
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Value> {
        let index = self.index.remove(key)?;
        let removed = self.entries.get_mut(index)?.take();
        // Keeps the holes below half, so that going over a dictionary costs what it holds.
        if self.entries.len() > 16 && self.index.len() < self.entries.len() / 2 {
            self.compact();
        }
        removed.map(|(_, value)| value)
    }

    fn compact(&mut self) {
        let mut moved = vec![0usize; self.entries.len()];
        let mut next = 0usize;
        for (entry, to) in self.entries.iter().zip(&mut moved) {
            *to = next;
            if entry.is_some() {
                next = next.saturating_add(1);
            }
        }
        for index in self.index.values_mut() {
            *index = moved.get(*index).copied().unwrap_or_default();
        }
        self.entries.retain(Option::is_some);
    }
}

/// `range(start, stop, step)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) len: u64,
}

impl Range {
    pub(crate) fn get(&self, index: u64) -> Option<Value> {
        if index >= self.len {
            return None;
        }
        let offset = i128::from(self.step).checked_mul(i128::from(index))?;
        i128::from(self.start).checked_add(offset).map(Value::Int)
    }
}

/// A record: its shape says which fields it has.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) shape: Shape,
    pub(crate) values: Box<[Value]>,
}

/// What a script decides, as it builds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    Allow,
    Deny(String),
    Flag(String),
    Cosign(Vec<String>, String),
}

/// One of the three heaps.
#[derive(Debug)]
pub(crate) struct Heap {
    layer: Layer,
    pub(crate) text: String,
    ints: Vec<BigInt>,
    lists: Vec<List>,
    tuples: Vec<Box<[Value]>>,
    dicts: Vec<Dict>,
    ranges: Vec<Range>,
    records: Vec<Record>,
    verdicts: Vec<Decided>,
}

impl Heap {
    pub(crate) const fn new(layer: Layer) -> Self {
        Self {
            layer,
            text: String::new(),
            ints: Vec::new(),
            lists: Vec::new(),
            tuples: Vec::new(),
            dicts: Vec::new(),
            ranges: Vec::new(),
            records: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    pub(crate) const fn layer(&self) -> Layer {
        self.layer
    }

    /// A reference into this heap. Memory runs out long before indices do.
    fn place(&self, index: usize) -> Eval<Ref> {
        match u32::try_from(index) {
            Ok(index) if index < 1 << INDEX_BITS => {
                Ok(Ref((self.layer as u32) << INDEX_BITS | index))
            }
            _ => Err(Limit::Memory.into()),
        }
    }

    /// Checks and charges a text of this length before it is made.
    pub(crate) fn reserve_text(meter: &mut Meter, bytes: usize) -> Eval<()> {
        if bytes > STRING_BYTES_MAX {
            return Err(Limit::String.into());
        }
        meter.text(bytes)?;
        Ok(meter.memory(bytes as u64)?)
    }

    /// Ends a text that was appended to [`Heap::text`] from `start` and has been charged.
    pub(crate) fn text_from(&self, start: usize) -> Eval<Value> {
        let len = self.text.len().saturating_sub(start);
        let Ok(len) = u32::try_from(len) else {
            return Err(Limit::String.into());
        };
        let at = self.place(start)?;
        Ok(Value::Str(Text { at, len }))
    }

    pub(crate) fn push_text(&mut self, meter: &mut Meter, text: &str) -> Eval<Value> {
        Self::reserve_text(meter, text.len())?;
        let start = self.text.len();
        self.text.push_str(text);
        self.text_from(start)
    }

    pub(crate) fn push_int(&mut self, meter: &mut Meter, value: BigInt) -> Eval<Value> {
        if let Ok(small) = i128::try_from(&value) {
            return Ok(Value::Int(small));
        }
        if value.bits() > INTEGER_BITS_MAX {
            return Err(Limit::Integer.into());
        }
        meter.memory(OBJECT_MEMORY.saturating_add(value.bits() / 8))?;
        let place = self.place(self.ints.len())?;
        self.ints.push(value);
        Ok(Value::Big(place))
    }

    pub(crate) fn push_list(&mut self, meter: &mut Meter, items: Vec<Value>) -> Eval<Value> {
        charge(meter, items.len())?;
        let place = self.place(self.lists.len())?;
        self.lists.push(List { items, busy: 0 });
        Ok(Value::List(place))
    }

    pub(crate) fn push_tuple(&mut self, meter: &mut Meter, items: Vec<Value>) -> Eval<Value> {
        charge(meter, items.len())?;
        let place = self.place(self.tuples.len())?;
        self.tuples.push(items.into());
        Ok(Value::Tuple(place))
    }

    /// An empty dictionary; entries are charged as they come.
    pub(crate) fn push_dict(&mut self, meter: &mut Meter) -> Eval<Ref> {
        charge(meter, 0)?;
        let place = self.place(self.dicts.len())?;
        self.dicts.push(Dict::default());
        Ok(place)
    }

    pub(crate) fn push_range(&mut self, meter: &mut Meter, range: Range) -> Eval<Value> {
        charge(meter, 0)?;
        let place = self.place(self.ranges.len())?;
        self.ranges.push(range);
        Ok(Value::Range(place))
    }

    pub(crate) fn push_record(
        &mut self,
        meter: &mut Meter,
        shape: Shape,
        values: Vec<Value>,
    ) -> Eval<Value> {
        charge(meter, values.len())?;
        let place = self.place(self.records.len())?;
        self.records.push(Record {
            shape,
            values: values.into(),
        });
        Ok(Value::Record(place))
    }

    pub(crate) fn push_verdict(&mut self, meter: &mut Meter, verdict: Decided) -> Eval<Value> {
        charge(meter, 0)?;
        let place = self.place(self.verdicts.len())?;
        self.verdicts.push(verdict);
        Ok(Value::Verdict(place))
    }

    pub(crate) fn list_mut(&mut self, place: Ref) -> Option<&mut List> {
        (place.layer() == self.layer)
            .then(|| self.lists.get_mut(place.index()))
            .flatten()
    }

    pub(crate) fn dict_mut(&mut self, place: Ref) -> Option<&mut Dict> {
        (place.layer() == self.layer)
            .then(|| self.dicts.get_mut(place.index()))
            .flatten()
    }
}

/// Charges a new list, tuple or the like with so many elements.
fn charge(meter: &mut Meter, elements: usize) -> Eval<()> {
    if elements > ELEMENTS_MAX {
        return Err(Limit::Elements.into());
    }
    let slots = (elements as u64).saturating_mul(SLOT_MEMORY);
    Ok(meter.memory(OBJECT_MEMORY.saturating_add(slots))?)
}

/// The three heaps of a run. While constants are computed, the run's heap is that of the constants.
pub(crate) struct Heaps<'a> {
    pub(crate) constants: &'a Heap,
    pub(crate) facts: &'a Heap,
    pub(crate) own: Heap,
}

/// A reference that no heap knows: the engine's own mistake.
#[cold]
fn lost<T>() -> Eval<T> {
    fault("internal error: a value was lost")
}

impl Heaps<'_> {
    fn of(&self, place: Ref) -> &Heap {
        let layer = place.layer();
        if layer == self.own.layer() {
            return &self.own;
        }
        match layer {
            Layer::Constants => self.constants,
            Layer::Facts => self.facts,
            Layer::Run => &self.own,
        }
    }

    pub(crate) fn str(&self, text: Text) -> Eval<&str> {
        let start = text.at.index();
        let end = start.saturating_add(text.len as usize);
        self.of(text.at).text.get(start..end).map_or_else(lost, Ok)
    }

    pub(crate) fn big(&self, place: Ref) -> Eval<&BigInt> {
        self.of(place).ints.get(place.index()).map_or_else(lost, Ok)
    }

    pub(crate) fn list(&self, place: Ref) -> Eval<&[Value]> {
        match self.of(place).lists.get(place.index()) {
            Some(list) => Ok(&list.items),
            None => lost(),
        }
    }

    pub(crate) fn tuple(&self, place: Ref) -> Eval<&[Value]> {
        match self.of(place).tuples.get(place.index()) {
            Some(items) => Ok(items),
            None => lost(),
        }
    }

    pub(crate) fn dict(&self, place: Ref) -> Eval<&Dict> {
        self.of(place)
            .dicts
            .get(place.index())
            .map_or_else(lost, Ok)
    }

    pub(crate) fn range(&self, place: Ref) -> Eval<Range> {
        self.of(place)
            .ranges
            .get(place.index())
            .copied()
            .map_or_else(lost, Ok)
    }

    pub(crate) fn record(&self, place: Ref) -> Eval<&Record> {
        self.of(place)
            .records
            .get(place.index())
            .map_or_else(lost, Ok)
    }

    pub(crate) fn verdict(&self, place: Ref) -> Eval<&Decided> {
        self.of(place)
            .verdicts
            .get(place.index())
            .map_or_else(lost, Ok)
    }

    pub(crate) fn field(&self, place: Ref, field: Field) -> Eval<Value> {
        let record = self.record(place)?;
        match record.shape.slot(field) {
            Some(slot) => record.values.get(slot).copied().map_or_else(lost, Ok),
            None => fault(format!(
                "a {} has no field `{}`; it has {}",
                record.shape.name(),
                field.name(),
                record.shape.field_names()
            )),
        }
    }

    /// A list that may be changed now.
    pub(crate) fn list_to_change(&mut self, place: Ref) -> Eval<&mut List> {
        match self.own.list_mut(place) {
            None => fault("constants and facts cannot be changed; copy the list with list(…)"),
            Some(list) if list.busy > 0 => fault("the list is being looped over; copy it first"),
            Some(list) => Ok(list),
        }
    }

    /// A dictionary that may be changed now.
    pub(crate) fn dict_to_change(&mut self, place: Ref) -> Eval<&mut Dict> {
        match self.own.dict_mut(place) {
            None => fault("constants and facts cannot be changed; copy them with dict(…)"),
            Some(dict) if dict.busy > 0 => {
                fault("the dictionary is being looped over; copy it first")
            }
            Some(dict) => Ok(dict),
        }
    }
}
