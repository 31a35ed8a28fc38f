//! The facts as values of the language.

use std::collections::{BTreeMap, BTreeSet};

use hawser_primitives::{Address, U256};
use num_bigint::{BigInt, Sign};

use crate::{
    Budget, Limit,
    facts::{
        CallFact, Facts, HistoryFact, LOG_BYTES_MAX, LogFact, PartyFact, SubjectFact, TrackFact,
        TransferFact, WindowFact,
    },
    fields::{Fields, Shape},
    heap::{Heap, Key, Layer, Value},
    limits::FACTS_MAX,
    meter::{Eval, Meter, Stop},
};

/// Facts as a script sees them; made once per transaction and shared by all rules.
#[derive(Debug)]
pub struct Input {
    pub(crate) heap: Heap,
    pub(crate) tx: Value,
    pub(crate) truncated: bool,
}

/// What facts may take; their lists are bounded, so this is not met.
const BUDGET: Budget = Budget {
    steps: 4_000_000,
    memory: 16 * 1024 * 1024,
    calls: 1,
};

impl Input {
    /// The facts, without the lists and the history that no script names.
    pub(crate) fn new(facts: &Facts, fields: Fields) -> Result<Self, Limit> {
        let mut builder = Builder {
            heap: Heap::new(Layer::Facts),
            meter: Meter::new(BUDGET),
            fields,
            truncated: facts.truncated,
            addresses: BTreeMap::new(),
        };
        match builder.transaction(facts) {
            Ok(tx) => Ok(Self {
                heap: builder.heap,
                tx,
                truncated: builder.truncated,
            }),
            Err(Stop::Limit(limit)) => Err(limit),
            Err(Stop::Fault(_)) => Err(Limit::Facts),
        }
    }
}

struct Builder {
    heap: Heap,
    meter: Meter,
    fields: Fields,
    truncated: bool,
    /// Texts of addresses: the same ones come again and again.
    addresses: BTreeMap<Address, Value>,
}

impl Builder {
    fn text(&mut self, text: &str) -> Eval<Value> {
        self.heap.push_text(&mut self.meter, text)
    }

    fn list(&mut self, items: Vec<Value>) -> Eval<Value> {
        self.heap.push_list(&mut self.meter, items)
    }

    fn record(&mut self, shape: Shape, values: Vec<Value>) -> Eval<Value> {
        self.heap.push_record(&mut self.meter, shape, values)
    }

    fn hex(&mut self, bytes: &[u8]) -> Eval<Value> {
        const DIGITS: [char; 16] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
        ];
        let len = bytes.len().saturating_mul(2).saturating_add(2);
        Heap::reserve_text(&mut self.meter, len)?;
        let start = self.heap.text.len();
        self.heap.text.push_str("0x");
        for byte in bytes {
            for half in [byte >> 4, byte & 15] {
                let digit = DIGITS.get(usize::from(half)).copied();
                self.heap.text.push(digit.unwrap_or('0'));
            }
        }
        self.heap.text_from(start)
    }

    /// An address: `0x` and lower-case digits.
    fn address(&mut self, address: Address) -> Eval<Value> {
        if let Some(known) = self.addresses.get(&address) {
            return Ok(*known);
        }
        let text = self.hex(address.as_slice())?;
        self.addresses.insert(address, text);
        Ok(text)
    }

    fn maybe_address(&mut self, address: Option<Address>) -> Eval<Value> {
        address.map_or(Ok(Value::None), |address| self.address(address))
    }

    fn amount(&mut self, amount: U256) -> Eval<Value> {
        if let Ok(small) = u128::try_from(amount)
            && let Ok(small) = i128::try_from(small)
        {
            return Ok(Value::Int(small));
        }
        let value = BigInt::from_bytes_be(Sign::Plus, &amount.to_be_bytes::<32>());
        self.heap.push_int(&mut self.meter, value)
    }

    fn maybe_amount(&mut self, amount: Option<U256>) -> Eval<Value> {
        amount.map_or(Ok(Value::None), |amount| self.amount(amount))
    }

    fn texts(&mut self, texts: &[String]) -> Eval<Value> {
        let items = texts.iter().map(|text| self.text(text));
        let items = items.collect::<Eval<_>>()?;
        self.list(items)
    }

    fn maybe_text(&mut self, text: Option<&String>) -> Eval<Value> {
        text.map_or(Ok(Value::None), |text| self.text(text))
    }

    /// A list of facts, if a script names it, cut at [`FACTS_MAX`].
    fn each<T>(
        &mut self,
        name: &str,
        items: &[T],
        mut make: impl FnMut(&mut Self, &T) -> Eval<Value>,
    ) -> Eval<Value> {
        if !self.fields.has(name) {
            return self.list(Vec::new());
        }
        if items.len() > FACTS_MAX {
            self.truncated = true;
        }
        let values = items.iter().take(FACTS_MAX).map(|item| make(self, item));
        let values = values.collect::<Eval<_>>()?;
        self.list(values)
    }

    fn transaction(&mut self, facts: &Facts) -> Eval<Value> {
        let sender_party = facts
            .parties
            .iter()
            .find(|party| party.address == facts.sender);
        let sender = self.address(facts.sender)?;
        let value = self.amount(facts.value)?;
        let calls = self.each("calls", &facts.calls, Self::call)?;
        let transfers = self.each("transfers", &facts.transfers, Self::transfer)?;
        let organisation =
            self.maybe_text(sender_party.and_then(|party| party.organisation.as_ref()))?;
        let roles = self.texts(sender_party.map_or(&[], |party| &party.roles))?;
        let parties = self.parties(facts)?;
        let history = self.history(&facts.history)?;
        let hash = self.hex(facts.hash.as_slice())?;
        let outcome = self.text(facts.outcome.name())?;
        let trace = self.each("trace", &facts.trace, Self::call)?;
        let logs = self.each("logs", &facts.logs, Self::log)?;
        let created = self.each("created", &facts.created, |this, address| {
            this.address(*address)
        })?;
        let approvals = self.each("approvals", &facts.approvals, Self::party)?;
        let number = |value: u64| Value::Int(i128::from(value));
        let values = vec![
            sender,
            value,
            calls,
            transfers,
            organisation,
            roles,
            parties,
            history,
            number(facts.height),
            number(facts.time_ms),
            hash,
            Value::Int(i128::from(facts.kind)),
            number(facts.gas_limit),
            number(facts.gas_used),
            outcome,
            trace,
            logs,
            created,
            approvals,
            Value::Bool(self.truncated),
            number(facts.chain_id),
        ];
        self.record(Shape::Transaction, values)
    }

    fn call(&mut self, call: &CallFact) -> Eval<Value> {
        let values = vec![
            self.text(call.kind.name())?,
            Value::Int(i128::from(call.depth)),
            self.maybe_address(call.caller)?,
            self.maybe_address(call.to)?,
            self.amount(call.value)?,
            self.maybe_text(call.selector.as_ref())?,
            self.maybe_text(call.method.as_ref())?,
            self.maybe_address(call.source)?,
            self.maybe_address(call.target)?,
            self.maybe_amount(call.amount)?,
            self.maybe_amount(call.token_id)?,
            Value::Int(i128::from(call.input_size)),
            Value::Bool(call.ok),
        ];
        self.record(Shape::Call, values)
    }

    fn transfer(&mut self, transfer: &TransferFact) -> Eval<Value> {
        let values = vec![
            self.text(transfer.kind.name())?,
            self.maybe_address(transfer.asset)?,
            self.address(transfer.source)?,
            self.address(transfer.target)?,
            self.amount(transfer.amount)?,
            self.maybe_amount(transfer.token_id)?,
        ];
        self.record(Shape::Transfer, values)
    }

    fn log(&mut self, log: &LogFact) -> Eval<Value> {
        let topics = log.topics.iter().take(4);
        let topics = topics.map(|topic| self.hex(topic.as_slice()));
        let topics = topics.collect::<Eval<_>>()?;
        let data = log.data.get(..log.data.len().min(LOG_BYTES_MAX));
        let values = vec![
            self.address(log.address)?,
            self.list(topics)?,
            self.hex(data.unwrap_or_default())?,
        ];
        self.record(Shape::Log, values)
    }

    fn party(&mut self, party: &PartyFact) -> Eval<Value> {
        let values = vec![
            self.address(party.address)?,
            self.maybe_text(party.organisation.as_ref())?,
            self.texts(&party.roles)?,
            moment(party.first_seen_ms),
            Value::Bool(party.contract),
        ];
        self.record(Shape::Party, values)
    }

    /// Parties by address: those that are known, and blank ones for everybody else who is called
    /// or takes part in a transfer, so that a script can look any of them up.
    fn parties(&mut self, facts: &Facts) -> Eval<Value> {
        let place = self.heap.push_dict(&mut self.meter)?;
        if !self.fields.has("parties") {
            return Ok(Value::Dict(place));
        }
        let mut seen = BTreeSet::new();
        let others = || {
            let calls = facts.calls.iter().chain(&facts.trace).take(2 * FACTS_MAX);
            let called = calls.flat_map(|call| [call.caller, call.to, call.source, call.target]);
            let moved = facts.transfers.iter().take(FACTS_MAX);
            let moved = moved.flat_map(|transfer| [Some(transfer.source), Some(transfer.target)]);
            std::iter::once(Some(facts.sender))
                .chain(called)
                .chain(moved)
                .flatten()
        };
        let blank = others().map(|address| PartyFact {
            address,
            ..PartyFact::default()
        });
        for party in facts.parties.iter().cloned().chain(blank) {
            if !seen.insert(party.address) {
                continue;
            }
            let (name, value) = (self.address(party.address)?, self.party(&party)?);
            let key = Key::Str(format!("0x{}", hex::encode(party.address)).into());
            if let Some(dict) = self.heap.dict_mut(place) {
                dict.insert(key, name, value);
            }
        }
        Ok(Value::Dict(place))
    }

    fn history(&mut self, history: &HistoryFact) -> Eval<Value> {
        let (sender, organisation) = if self.fields.has("history") {
            (Some(&history.sender), history.organisation.as_ref())
        } else {
            (None, None)
        };
        let sender = sender.map_or(Ok(Value::None), |subject| self.subject(subject))?;
        let organisation = organisation.map_or(Ok(Value::None), |subject| self.subject(subject))?;
        self.record(Shape::History, vec![sender, organisation])
    }

    fn subject(&mut self, subject: &SubjectFact) -> Eval<Value> {
        let place = self.heap.push_dict(&mut self.meter)?;
        for (token, track) in &subject.tokens {
            let (name, value) = (self.address(*token)?, self.track(track)?);
            let key = Key::Str(format!("0x{}", hex::encode(token)).into());
            if let Some(dict) = self.heap.dict_mut(place) {
                dict.insert(key, name, value);
            }
        }
        let values = vec![
            moment(subject.first_seen_ms),
            self.window(&subject.hour)?,
            self.window(&subject.day)?,
            self.window(&subject.month)?,
            Value::Dict(place),
            Value::Int(i128::from(subject.flags)),
            Value::Int(i128::from(subject.denials)),
        ];
        self.record(Shape::Subject, values)
    }

    fn track(&mut self, track: &TrackFact) -> Eval<Value> {
        let values = vec![
            self.window(&track.hour)?,
            self.window(&track.day)?,
            self.window(&track.month)?,
        ];
        self.record(Shape::Track, values)
    }

    fn window(&mut self, window: &WindowFact) -> Eval<Value> {
        let amount = self.amount(window.amount)?;
        let values = vec![Value::Int(i128::from(window.count)), amount];
        self.record(Shape::Window, values)
    }
}

fn moment(time_ms: Option<u64>) -> Value {
    time_ms.map_or(Value::None, |time| Value::Int(i128::from(time)))
}
