use super::{Globals, Machine};
use crate::{
    Limit,
    heap::{Ref, Value},
    limits::ELEMENTS_MAX,
    meter::{Eval, OBJECT_MEMORY, SLOT_MEMORY, fault},
    program::{Expr, Op, Target},
};

impl<'p> Machine<'p> {
    pub(super) fn assign(&mut self, target: &'p Target, value: Value) -> Eval<()> {
        match target {
            Target::Local(slot) => {
                self.set_local(*slot, value);
                Ok(())
            }
            Target::Global(slot) => {
                if let Globals::Building { globals, .. } = &mut self.globals
                    && let Some(place) = globals.get_mut(usize::from(*slot))
                {
                    *place = Some(value);
                }
                Ok(())
            }
            Target::Index(parts) => {
                let (of, index) = (self.eval(&parts.0)?, self.eval(&parts.1)?);
                self.set_index(of, index, value)
                    .map_err(|stop| stop.at(parts.0.at))
            }
            Target::Tuple(targets) => {
                let values = self.collect(value)?;
                if values.len() != targets.len() {
                    return fault(format!(
                        "{} values for {} names",
                        values.len(),
                        targets.len()
                    ));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn modify(&mut self, target: &'p Target, op: Op, expr: &'p Expr) -> Eval<()> {
        match target {
            Target::Local(slot) => {
                let Some(before) = self.local(*slot) else {
                    return fault("a variable is used before it is assigned");
                };
                let value = self.eval(expr)?;
                if let Some(after) = self.combine(op, before, value)? {
                    self.set_local(*slot, after);
                }
                Ok(())
            }
            Target::Index(parts) => {
                let (of, index) = (self.eval(&parts.0)?, self.eval(&parts.1)?);
                let before = self.index(of, index)?;
                let value = self.eval(expr)?;
                match self.combine(op, before, value)? {
                    Some(after) => self.set_index(of, index, after),
                    None => Ok(()),
                }
            }
            Target::Global(_) | Target::Tuple(_) => {
                fault("only a variable or an element can be changed with an operator")
            }
        }
    }

    /// `before op= value`; `None` where a list was extended in place.
    fn combine(&mut self, op: Op, before: Value, value: Value) -> Eval<Option<Value>> {
        if let (Op::Add, Value::List(place)) = (op, before) {
            self.extend(place, value)?;
            return Ok(None);
        }
        self.operate(op, before, value).map(Some)
    }

    fn set_index(&mut self, of: Value, index: Value, value: Value) -> Eval<()> {
        match of {
            Value::List(place) => {
                let len = self.heaps.list(place)?.len();
                let index = self.position(index, len)?;
                if let Some(item) = self.heaps.list_to_change(place)?.items.get_mut(index) {
                    *item = value;
                }
                Ok(())
            }
            Value::Dict(place) => self.dict_insert(place, index, value).map(drop),
            other => fault(format!("elements of a {} cannot be set", other.type_name())),
        }
    }

    /// Puts an entry in or replaces its value; whether the key was new.
    pub(crate) fn dict_insert(&mut self, place: Ref, key: Value, value: Value) -> Eval<bool> {
        let content = self.key(key)?;
        let size = self.heaps.dict(place)?.len();
        self.check_elements(size.saturating_add(1))?;
        // A look-up compares with as many keys as the size has bits.
        self.meter
            .step(u64::from(usize::BITS - size.leading_zeros()) / 4)?;
        // What an entry costs is charged before it is made, and a replaced one costs as well.
        self.meter
            .memory(OBJECT_MEMORY.saturating_add(2 * SLOT_MEMORY))?;
        Ok(self
            .heaps
            .dict_to_change(place)?
            .insert(content, key, value))
    }

    /// Appends the elements of a value to a list.
    pub(crate) fn extend(&mut self, place: Ref, value: Value) -> Eval<()> {
        let items = self.collect(value)?;
        let list = self.heaps.list_to_change(place)?;
        let len = list.items.len().saturating_add(items.len());
        if len > ELEMENTS_MAX {
            return Err(Limit::Elements.into());
        }
        list.items.extend(items);
        Ok(())
    }

    /// Refuses more elements than a collection may have.
    pub(crate) fn check_elements(&self, count: usize) -> Eval<()> {
        if count > ELEMENTS_MAX {
            return Err(Limit::Elements.into());
        }
        Ok(())
    }
}
