//! Names of the fields of records, as numbers: a script's `tx.sender` is resolved when it is
//! compiled.

/// Every field of every record, sorted.
const NAMES: [&str; 49] = [
    "address",
    "amount",
    "approvals",
    "asset",
    "caller",
    "calls",
    "contract",
    "count",
    "created",
    "data",
    "day",
    "denials",
    "depth",
    "first_seen_ms",
    "flags",
    "gas_limit",
    "gas_used",
    "hash",
    "height",
    "history",
    "hour",
    "input_size",
    "kind",
    "logs",
    "method",
    "minute",
    "month",
    "ok",
    "organisation",
    "outcome",
    "parties",
    "roles",
    "selector",
    "sender",
    "source",
    "target",
    "time_ms",
    "to",
    "token_id",
    "tokens",
    "topics",
    "trace",
    "transfers",
    "truncated",
    "type",
    "value",
    "weekday",
    "year",
    "chain_id",
];

/// A field's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field(u8);

impl Field {
    /// The field of this name; compile time only.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let index = NAMES.iter().position(|known| *known == name)?;
        u8::try_from(index).ok().map(Self)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("?")
    }

    const fn bit(self) -> u64 {
        1 << self.0
    }
}

const _: () = assert!(NAMES.len() <= 64, "a set of fields is 64 bits");

/// A set of fields: those that a script names anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(u64);

impl Fields {
    pub(crate) const fn insert(&mut self, field: Field) {
        self.0 |= field.bit();
    }

    /// The fields of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn has(self, name: &str) -> bool {
        Field::named(name).is_some_and(|field| self.0 & field.bit() != 0)
    }
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Transaction,
    Party,
    Call,
    Transfer,
    Log,
    History,
    Subject,
    Track,
    Window,
    Clock,
}

/// Number of the field `name`, while compiling this crate; `u8::MAX` where there is none.
const fn id(name: &str) -> u8 {
    let mut rest: &[&str] = &NAMES;
    let mut index = 0;
    while let Some((first, others)) = rest.split_first() {
        if same(first.as_bytes(), name.as_bytes()) {
            return index;
        }
        index += 1;
        rest = others;
    }
    u8::MAX
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (a, b);
    while let (Some((x, others)), Some((y, rest))) = (a.split_first(), b.split_first()) {
        if *x != *y {
            return false;
        }
        (a, b) = (others, rest);
    }
    a.is_empty() && b.is_empty()
}

macro_rules! fields {
    ($($name:literal),+ $(,)?) => {
        const {
            $(assert!(id($name) != u8::MAX, "no such field");)+
            &[$(id($name)),+]
        }
    };
}

impl Shape {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 10] = [
        Self::Transaction,
        Self::Party,
        Self::Call,
        Self::Transfer,
        Self::Log,
        Self::History,
        Self::Subject,
        Self::Track,
        Self::Window,
        Self::Clock,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Party => "party",
            Self::Call => "call",
            Self::Transfer => "transfer",
            Self::Log => "log",
            Self::History => "history",
            Self::Subject => "subject",
            Self::Track => "track",
            Self::Window => "window",
            Self::Clock => "clock",
        }
    }

    /// Its fields in the order of their values.
    const fn fields(self) -> &'static [u8] {
        match self {
            Self::Transaction => fields![
                "sender",
                "value",
                "calls",
                "transfers",
                "organisation",
                "roles",
                "parties",
                "history",
                "height",
                "time_ms",
                "hash",
                "type",
                "gas_limit",
                "gas_used",
                "outcome",
                "trace",
                "logs",
                "created",
                "approvals",
                "truncated",
                "chain_id",
            ],
            Self::Party => fields![
                "address",
                "organisation",
                "roles",
                "first_seen_ms",
                "contract"
            ],
            Self::Call => fields![
                "kind",
                "depth",
                "caller",
                "to",
                "value",
                "selector",
                "method",
                "source",
                "target",
                "amount",
                "token_id",
                "input_size",
                "ok",
            ],
            Self::Transfer => {
                fields!["kind", "asset", "source", "target", "amount", "token_id"]
            }
            Self::Log => fields!["address", "topics", "data"],
            Self::History => fields!["sender", "organisation"],
            Self::Subject => fields![
                "first_seen_ms",
                "hour",
                "day",
                "month",
                "tokens",
                "flags",
                "denials"
            ],
            Self::Track => fields!["hour", "day", "month"],
            Self::Window => fields!["count", "amount"],
            Self::Clock => fields!["year", "month", "day", "hour", "minute", "weekday"],
        }
    }

    /// Where the value of a field is.
    pub(crate) fn slot(self, field: Field) -> Option<usize> {
        self.fields().iter().position(|id| *id == field.0)
    }

    /// The names of its fields, for messages.
    pub(crate) fn field_names(self) -> String {
        let names: Vec<_> = self.fields().iter().map(|id| Field(*id).name()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_belongs_to_a_record_and_is_found_by_its_name() {
        for name in NAMES {
            let field = Field::named(name).unwrap();
            assert_eq!(field.name(), name);
            assert!(
                Shape::ALL.iter().any(|shape| shape.slot(field).is_some()),
                "{name}"
            );
        }
        assert_eq!(Field::named("nonsense"), None);
    }
}
