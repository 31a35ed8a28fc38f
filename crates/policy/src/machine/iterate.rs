use super::{Flow, Machine};
use crate::{
    heap::{Range, Ref, Value},
    meter::{Eval, fault},
    program::{Stmt, Target},
};

/// Going over a value. A list or dictionary of the run must not change meanwhile.
pub(crate) enum Iter {
    List(Ref, usize),
    Tuple(Ref, usize),
    Dict(Ref, usize),
    Range(Range, u64),
}

impl<'p> Machine<'p> {
    /// Begins to go over a value.
    pub(crate) fn open(&mut self, value: Value) -> Eval<Iter> {
        Ok(match value {
            Value::List(place) => {
                if let Some(list) = self.heaps.own.list_mut(place) {
                    list.busy = list.busy.saturating_add(1);
                }
                Iter::List(place, 0)
            }
            Value::Dict(place) => {
                if let Some(dict) = self.heaps.own.dict_mut(place) {
                    dict.busy = dict.busy.saturating_add(1);
                }
                Iter::Dict(place, 0)
            }
            Value::Tuple(place) => Iter::Tuple(place, 0),
            Value::Range(place) => Iter::Range(self.heaps.range(place)?, 0),
            other => return fault(format!("a {} cannot be looped over", other.type_name())),
        })
    }

    /// The next element; of a dictionary, the next key.
    pub(crate) fn next(&mut self, iter: &mut Iter) -> Eval<Option<Value>> {
        self.meter.step(1)?;
        Ok(match iter {
            Iter::List(place, index) => {
                let value = self.heaps.list(*place)?.get(*index).copied();
                *index = index.saturating_add(1);
                value
            }
            Iter::Tuple(place, index) => {
                let value = self.heaps.tuple(*place)?.get(*index).copied();
                *index = index.saturating_add(1);
                value
            }
            Iter::Dict(place, index) => {
                let entries = &self.heaps.dict(*place)?.entries;
                loop {
                    let entry = entries.get(*index);
                    *index = index.saturating_add(1);
                    match entry {
                        None => break None,
                        Some(Some((key, _))) => break Some(*key),
                        Some(None) => {}
                    }
                }
            }
            Iter::Range(range, index) => {
                let value = range.get(*index);
                *index = index.saturating_add(1);
                value
            }
        })
    }

    /// Ends going over a value.
    pub(crate) fn close(&mut self, iter: &Iter) {
        match iter {
            Iter::List(place, _) => {
                if let Some(list) = self.heaps.own.list_mut(*place) {
                    list.busy = list.busy.saturating_sub(1);
                }
            }
            Iter::Dict(place, _) => {
                if let Some(dict) = self.heaps.own.dict_mut(*place) {
                    dict.busy = dict.busy.saturating_sub(1);
                }
            }
            Iter::Tuple(..) | Iter::Range(..) => {}
        }
    }

    /// All elements of a value, charged, as the engine's own list.
    pub(crate) fn collect(&mut self, value: Value) -> Eval<Vec<Value>> {
        let mut out = Vec::new();
        let mut iter = self.open(value)?;
        while let Some(item) = self.next(&mut iter)? {
            self.meter.slots(1)?;
            out.push(item);
            self.check_elements(out.len())?;
        }
        self.close(&iter);
        Ok(out)
    }

    /// Runs statements one after the other.
    pub(crate) fn block(&mut self, block: &'p [Stmt]) -> Eval<Flow> {
        for statement in block {
            match self.statement(statement)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'p Stmt) -> Eval<Flow> {
        self.meter.step(1)?;
        match statement {
            Stmt::Expr(expr) => {
                self.eval(expr)?;
            }
            Stmt::Assign(target, expr) => {
                let value = self.eval(expr)?;
                self.assign(target, value)?;
            }
            Stmt::Modify(at, target, op, expr) => {
                self.modify(target, *op, expr)
                    .map_err(|stop| stop.at(*at))?;
            }
            Stmt::If(branches, rest) => {
                for (condition, then) in branches {
                    let condition = self.eval(condition)?;
                    if self.truth(condition)? {
                        return self.nested(then);
                    }
                }
                return self.nested(rest);
            }
            Stmt::For(target, over, body) => return self.repeat(target, over, body),
            Stmt::Break => return Ok(Flow::Break),
            Stmt::Continue => return Ok(Flow::Continue),
            Stmt::Return(None) => return Ok(Flow::Return(Value::None)),
            Stmt::Return(Some(expr)) => return self.eval(expr).map(Flow::Return),
            Stmt::Define(index, defaults) => self.define(*index, defaults)?,
        }
        Ok(Flow::Next)
    }

    fn nested(&mut self, block: &'p [Stmt]) -> Eval<Flow> {
        self.enter()?;
        let flow = self.block(block);
        self.leave();
        flow
    }

    fn repeat(
        &mut self,
        target: &'p Target,
        over: &'p crate::program::Expr,
        body: &'p [Stmt],
    ) -> Eval<Flow> {
        let value = self.eval(over)?;
        let mut iter = self.open(value).map_err(|stop| stop.at(over.at))?;
        while let Some(value) = self.next(&mut iter)? {
            self.assign(target, value)
                .map_err(|stop| stop.at(over.at))?;
            match self.nested(body)? {
                Flow::Next | Flow::Continue => {}
                Flow::Break => break,
                flow @ Flow::Return(_) => {
                    self.close(&iter);
                    return Ok(flow);
                }
            }
        }
        self.close(&iter);
        Ok(Flow::Next)
    }
}
