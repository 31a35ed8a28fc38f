//! Runs a program. Every expression, statement and element costs; see `docs/spec/policy.md`.

mod assign;
mod call;
mod expr;
mod iterate;
pub(crate) mod number;
pub(crate) mod operate;
pub(crate) mod order;
pub(crate) mod show;

use crate::{
    Limit,
    heap::{Heap, Heaps, Layer, Value},
    limits::EVALUATION_DEPTH_MAX,
    meter::{Eval, Meter, fault},
    program::{Program, Stmt},
};

/// How a statement ends.
pub(crate) enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

/// Values of the top level: being computed, or done.
enum Globals<'p> {
    Building {
        globals: Vec<Option<Value>>,
        defaults: Vec<Vec<Option<Value>>>,
    },
    Built(&'p Program),
}

/// What computing a script's constants gives.
pub(crate) struct Built {
    pub(crate) constants: Heap,
    pub(crate) globals: Vec<Option<Value>>,
    pub(crate) defaults: Vec<Vec<Option<Value>>>,
}

/// One run.
pub(crate) struct Machine<'p> {
    pub(crate) program: &'p Program,
    pub(crate) heaps: Heaps<'p>,
    pub(crate) meter: Meter,
    globals: Globals<'p>,
    /// Local variables of all calls under way, innermost last.
    stack: Vec<Option<Value>>,
    /// Where those of the innermost call begin.
    base: usize,
    calls: u32,
    depth: u32,
}

impl<'p> Machine<'p> {
    /// A run of a compiled script over the facts of a transaction.
    pub(crate) fn new(program: &'p Program, facts: &'p Heap, meter: Meter) -> Self {
        Self {
            program,
            heaps: Heaps {
                constants: &program.constants,
                facts,
                own: Heap::new(Layer::Run),
            },
            meter,
            globals: Globals::Built(program),
            stack: Vec::new(),
            base: 0,
            calls: 0,
            depth: 0,
        }
    }

    /// Computes a script's constants.
    pub(crate) fn build(
        program: &'p Program,
        constants: Heap,
        meter: Meter,
        frame: usize,
        main: &'p [Stmt],
    ) -> Eval<Built> {
        let globals = vec![None; program.global_names.len()];
        let mut machine = Self {
            program,
            heaps: Heaps {
                constants: &program.constants,
                facts: &program.constants,
                own: constants,
            },
            meter,
            globals: Globals::Building {
                globals,
                defaults: vec![Vec::new(); program.functions.len()],
            },
            stack: vec![None; frame],
            base: 0,
            calls: 0,
            depth: 0,
        };
        machine.block(main)?;
        match machine.globals {
            Globals::Building { globals, defaults } => Ok(Built {
                constants: machine.heaps.own,
                globals,
                defaults,
            }),
            Globals::Built(_) => fault("internal error: constants were lost"),
        }
    }

    fn global(&self, slot: u16) -> Eval<Value> {
        let globals = match &self.globals {
            Globals::Building { globals, .. } => globals,
            Globals::Built(program) => &program.globals,
        };
        match globals.get(usize::from(slot)) {
            Some(Some(value)) => Ok(*value),
            _ => {
                let names = &self.program.global_names;
                let name = names.get(usize::from(slot)).map_or("?", |name| name);
                fault(format!("`{name}` is used before it is defined"))
            }
        }
    }

    fn local(&self, slot: u16) -> Option<Value> {
        let index = self.base.saturating_add(usize::from(slot));
        self.stack.get(index).copied().flatten()
    }

    fn set_local(&mut self, slot: u16, value: Value) {
        let index = self.base.saturating_add(usize::from(slot));
        if let Some(place) = self.stack.get_mut(index) {
            *place = Some(value);
        }
    }

    /// One level deeper in the machine's own stack.
    fn enter(&mut self) -> Result<(), Limit> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > EVALUATION_DEPTH_MAX {
            return Err(Limit::Depth);
        }
        Ok(())
    }

    const fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(crate) fn text(&mut self, text: &str) -> Eval<Value> {
        self.heaps.own.push_text(&mut self.meter, text)
    }

    pub(crate) fn list(&mut self, items: Vec<Value>) -> Eval<Value> {
        self.heaps.own.push_list(&mut self.meter, items)
    }

    pub(crate) fn tuple(&mut self, items: Vec<Value>) -> Eval<Value> {
        self.heaps.own.push_tuple(&mut self.meter, items)
    }

    /// Whether a value counts as true.
    pub(crate) fn truth(&self, value: Value) -> Eval<bool> {
        Ok(match value {
            Value::None => false,
            Value::Bool(value) => value,
            Value::Int(value) => value != 0,
            Value::Big(_)
            | Value::Record(_)
            | Value::Verdict(_)
            | Value::Function(_)
            | Value::Builtin(_) => true,
            Value::Str(text) => text.len > 0,
            Value::List(place) => !self.heaps.list(place)?.is_empty(),
            Value::Tuple(place) => !self.heaps.tuple(place)?.is_empty(),
            Value::Dict(place) => self.heaps.dict(place)?.len() > 0,
            Value::Range(place) => self.heaps.range(place)?.len > 0,
        })
    }
}
