use super::{Flow, Globals, Machine};
use crate::{
    Limit,
    heap::Value,
    meter::{Eval, fault},
    program::{Arguments, Expr},
};

/// Steps of a call above those of what it does.
const CALL_STEPS: u64 = 4;

/// Arguments by name.
pub(crate) type Named<'p> = Vec<(&'p str, Value)>;

impl<'p> Machine<'p> {
    /// Computes the arguments of a call.
    pub(super) fn arguments(&mut self, arguments: &'p Arguments) -> Eval<(Vec<Value>, Named<'p>)> {
        let mut positional = Vec::with_capacity(arguments.positional.len());
        for expr in &arguments.positional {
            positional.push(self.eval(expr)?);
        }
        let mut named = Vec::with_capacity(arguments.named.len());
        for (name, expr) in &arguments.named {
            named.push((&**name, self.eval(expr)?));
        }
        Ok((positional, named))
    }

    /// Calls one of the script's functions with arguments that are still to be computed.
    pub(super) fn call_expr(&mut self, index: u32, arguments: &'p Arguments) -> Eval<Value> {
        let (positional, named) = self.arguments(arguments)?;
        self.call(index, &positional, &named)
    }

    /// Calls one of the script's functions.
    pub(crate) fn call(
        &mut self,
        index: u32,
        positional: &[Value],
        named: &[(&str, Value)],
    ) -> Eval<Value> {
        self.meter.step(CALL_STEPS)?;
        let index = index as usize;
        let program = self.program;
        let Some(function) = program.functions.get(index) else {
            return fault("internal error: a function was lost");
        };
        self.calls = self.calls.saturating_add(1);
        if self.calls > self.meter.calls() {
            return Err(Limit::Depth.into());
        }
        self.enter()?;
        if positional.len() > function.parameters {
            return fault(format!(
                "`{}` takes at most {} arguments, not {}",
                function.name,
                function.parameters,
                positional.len()
            ));
        }
        let base = self.stack.len();
        self.stack.extend(positional.iter().copied().map(Some));
        self.stack
            .resize(base.saturating_add(function.locals.len()), None);
        for (name, value) in named {
            let parameters = function.locals.iter().take(function.parameters);
            let slot = parameters.into_iter().position(|known| **known == **name);
            let Some(slot) = slot else {
                return fault(format!("`{}` has no parameter `{name}`", function.name));
            };
            let place = self.stack.get_mut(base.saturating_add(slot));
            match place {
                Some(place) if place.is_none() => *place = Some(*value),
                _ => {
                    return fault(format!("`{name}` is given twice to `{}`", function.name));
                }
            }
        }
        let defaults = match &self.globals {
            Globals::Building { defaults, .. } => defaults.get(index),
            Globals::Built(program) => program.defaults.get(index),
        };
        for slot in positional.len()..function.parameters {
            let default = defaults.and_then(|all| all.get(slot)).copied().flatten();
            if let Some(place) = self.stack.get_mut(base.saturating_add(slot))
                && place.is_none()
            {
                if default.is_none() {
                    let name = function.locals.get(slot).map_or("?", |name| name);
                    return fault(format!("`{}` needs `{name}`", function.name));
                }
                *place = default;
            }
        }
        let outer = std::mem::replace(&mut self.base, base);
        let flow = self.block(&function.body)?;
        self.base = outer;
        self.stack.truncate(base);
        self.leave();
        self.calls = self.calls.saturating_sub(1);
        Ok(match flow {
            Flow::Return(value) => value,
            _ => Value::None,
        })
    }

    /// Calls a value, for builtins that take a function.
    pub(crate) fn call_value(&mut self, function: Value, argument: Value) -> Eval<Value> {
        match function {
            Value::Function(index) => self.call(index, &[argument], &[]),
            Value::Builtin(builtin) => self.builtin(builtin, &[argument], &[]),
            other => fault(format!("a {} cannot be called", other.type_name())),
        }
    }

    /// Computes the defaults of a function's parameters.
    pub(super) fn define(&mut self, index: u32, exprs: &'p [Option<Expr>]) -> Eval<()> {
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            values.push(match expr {
                Some(expr) => Some(self.eval(expr)?),
                None => None,
            });
        }
        if let Globals::Building { defaults, .. } = &mut self.globals
            && let Some(place) = defaults.get_mut(index as usize)
        {
            *place = values;
        }
        Ok(())
    }
}
