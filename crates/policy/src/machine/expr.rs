use super::Machine;
use crate::{
    heap::Value,
    meter::{Eval, fault},
    program::{Clause, Expr, Kind},
};

impl<'p> Machine<'p> {
    /// Computes an expression.
    pub(crate) fn eval(&mut self, expr: &'p Expr) -> Eval<Value> {
        self.meter.step(1)?;
        match &expr.kind {
            Kind::Const(value) => Ok(*value),
            Kind::Local(slot) => match self.local(*slot) {
                Some(value) => Ok(value),
                None => fault("a variable is used before it is assigned")
                    .map_err(|stop: crate::meter::Stop| stop.at(expr.at)),
            },
            _ => {
                self.enter()?;
                let result = self.eval_kind(expr);
                self.leave();
                result.map_err(|stop| stop.at(expr.at))
            }
        }
    }

    fn eval_kind(&mut self, expr: &'p Expr) -> Eval<Value> {
        match &expr.kind {
            Kind::Const(value) => Ok(*value),
            Kind::Local(slot) => self.local(*slot).map_or_else(|| fault("unassigned"), Ok),
            Kind::Global(slot) => self.global(*slot),
            Kind::Field(of, field) => match self.eval(of)? {
                Value::Record(place) => self.heaps.field(place, *field),
                other => fault(format!(
                    "a {} has no fields; `{}` is one of a record",
                    other.type_name(),
                    field.name()
                )),
            },
            Kind::Index(parts) => {
                let (of, index) = (self.eval(&parts.0)?, self.eval(&parts.1)?);
                self.index(of, index)
            }
            Kind::Slice(slice) => {
                let of = self.eval(&slice.of)?;
                let start = self.eval_maybe(slice.start.as_ref())?;
                let stop = self.eval_maybe(slice.stop.as_ref())?;
                let step = self.eval_maybe(slice.step.as_ref())?;
                self.slice(of, start, stop, step)
            }
            Kind::Function(index, arguments) => self.call_expr(*index, arguments),
            Kind::Builtin(builtin, arguments) => {
                let (positional, named) = self.arguments(arguments)?;
                self.builtin(*builtin, &positional, &named)
            }
            Kind::Method(of, method, arguments) => {
                let of = self.eval(of)?;
                let (positional, named) = self.arguments(arguments)?;
                self.method(of, *method, &positional, &named)
            }
            Kind::Call(of, arguments) => match self.eval(of)? {
                Value::Function(index) => self.call_expr(index, arguments),
                Value::Builtin(builtin) => {
                    let (positional, named) = self.arguments(arguments)?;
                    self.builtin(builtin, &positional, &named)
                }
                other => fault(format!("a {} cannot be called", other.type_name())),
            },
            Kind::Not(of) => {
                let value = self.eval(of)?;
                Ok(Value::Bool(!self.truth(value)?))
            }
            Kind::Unary(unary, of) => {
                let value = self.eval(of)?;
                self.unary(*unary, value)
            }
            Kind::And(parts) => {
                let left = self.eval(&parts.0)?;
                if self.truth(left)? {
                    self.eval(&parts.1)
                } else {
                    Ok(left)
                }
            }
            Kind::Or(parts) => {
                let left = self.eval(&parts.0)?;
                if self.truth(left)? {
                    Ok(left)
                } else {
                    self.eval(&parts.1)
                }
            }
            Kind::Op(op, parts) => {
                let (left, right) = (self.eval(&parts.0)?, self.eval(&parts.1)?);
                self.operate(*op, left, right)
            }
            Kind::If(parts) => {
                let condition = self.eval(&parts.0)?;
                if self.truth(condition)? {
                    self.eval(&parts.1)
                } else {
                    self.eval(&parts.2)
                }
            }
            Kind::List(items) => {
                let items = self.eval_all(items)?;
                self.list(items)
            }
            Kind::Tuple(items) => {
                let items = self.eval_all(items)?;
                self.tuple(items)
            }
            Kind::Dict(items) => {
                let place = self.heaps.own.push_dict(&mut self.meter)?;
                for (key, value) in items {
                    let (key, value) = (self.eval(key)?, self.eval(value)?);
                    if !self.dict_insert(place, key, value)? {
                        return fault("a key is in the dictionary twice");
                    }
                }
                Ok(Value::Dict(place))
            }
            Kind::ListOf(parts) => {
                let (item, clauses) = &**parts;
                let mut items = Vec::new();
                self.clauses(clauses, &mut |this| {
                    let value = this.eval(item)?;
                    this.meter.slots(1)?;
                    items.push(value);
                    this.check_elements(items.len())
                })?;
                self.list(items)
            }
            Kind::DictOf(parts) => {
                let (key, value, clauses) = &**parts;
                let place = self.heaps.own.push_dict(&mut self.meter)?;
                self.clauses(clauses, &mut |this| {
                    let (key, value) = (this.eval(key)?, this.eval(value)?);
                    this.dict_insert(place, key, value)?;
                    Ok(())
                })?;
                Ok(Value::Dict(place))
            }
        }
    }

    fn eval_maybe(&mut self, expr: Option<&'p Expr>) -> Eval<Option<Value>> {
        expr.map(|expr| self.eval(expr)).transpose()
    }

    fn eval_all(&mut self, exprs: &'p [Expr]) -> Eval<Vec<Value>> {
        let mut out = Vec::with_capacity(exprs.len());
        for expr in exprs {
            out.push(self.eval(expr)?);
        }
        Ok(out)
    }

    /// Runs the clauses of a comprehension, and `body` for every combination.
    fn clauses(
        &mut self,
        clauses: &'p [Clause],
        body: &mut dyn FnMut(&mut Self) -> Eval<()>,
    ) -> Eval<()> {
        let Some((first, rest)) = clauses.split_first() else {
            return body(self);
        };
        self.enter()?;
        match first {
            Clause::If(condition) => {
                let condition = self.eval(condition)?;
                if self.truth(condition)? {
                    self.clauses(rest, body)?;
                }
            }
            Clause::For(target, over) => {
                let over = self.eval(over)?;
                let mut iter = self.open(over)?;
                while let Some(value) = self.next(&mut iter)? {
                    self.assign(target, value)?;
                    self.clauses(rest, body)?;
                }
                self.close(&iter);
            }
        }
        self.leave();
        Ok(())
    }
}
