use crate::{
    Limit,
    heap::{Decided, Value},
    limits::{PARTIES_MAX, PARTY_BYTES_MAX, REASON_BYTES_MAX},
    machine::Machine,
    meter::{Eval, fault},
};

impl Machine<'_> {
    pub(super) fn decide(&mut self, decided: Decided) -> Eval<Value> {
        self.heaps.own.push_verdict(&mut self.meter, decided)
    }

    /// A reason: a text that is not too long.
    pub(super) fn reason(&mut self, value: Value) -> Eval<String> {
        let Value::Str(text) = value else {
            return fault(format!("a reason is text, not a {}", value.type_name()));
        };
        if text.len as usize > REASON_BYTES_MAX {
            return Err(Limit::Output.into());
        }
        let text = self.copy_text(text)?;
        self.meter.memory(text.len() as u64)?;
        Ok(text)
    }

    /// Parties of a co-signature: `role:…`, `org:…` or an address.
    pub(super) fn parties(&mut self, value: Value) -> Eval<Vec<String>> {
        let items = match value {
            Value::Str(_) => vec![value],
            other => self.collect(other)?,
        };
        if items.is_empty() {
            return fault("a co-signature needs at least one party");
        }
        if items.len() > PARTIES_MAX {
            return Err(Limit::Output.into());
        }
        let mut parties = Vec::with_capacity(items.len());
        for item in items {
            let Value::Str(text) = item else {
                return fault("parties are texts: \"role:…\", \"org:…\" or an address");
            };
            if text.len as usize > PARTY_BYTES_MAX {
                return Err(Limit::Output.into());
            }
            let name = self.copy_text(text)?;
            let named = ["role:", "org:"].iter().any(|prefix| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| !rest.is_empty())
            });
            if !named && !is_address(&name) {
                return fault(format!(
                    "{name:?} is no party; write \"role:…\", \"org:…\" or an address"
                ));
            }
            self.meter.memory(name.len() as u64)?;
            parties.push(if named {
                name
            } else {
                name.to_ascii_lowercase()
            });
        }
        Ok(parties)
    }

    /// `address(text)`: checks it and makes it lower case.
    pub(super) fn address(&mut self, value: Value) -> Eval<Value> {
        let Value::Str(text) = value else {
            return fault(format!("an address is text, not a {}", value.type_name()));
        };
        if text.len != 42 {
            return fault("an address is 0x and 40 hexadecimal digits");
        }
        let text = self.copy_text(text)?;
        if !is_address(&text) {
            return fault("an address is 0x and 40 hexadecimal digits");
        }
        self.text(&text.to_ascii_lowercase())
    }
}

/// `0x` and 40 hexadecimal digits.
pub(crate) fn is_address(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| {
        digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
