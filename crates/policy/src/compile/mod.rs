//! From source to [`Program`]: parses, resolves names, refuses what is not of the dialect, and
//! computes the constants.

mod expr;
mod lint;
mod stmt;

pub use lint::{Lint, LintKind};

use crate::{
    Budget, CompileError, Failure, OnExceed,
    error::cut,
    fields::Fields,
    heap::{Heap, Layer, Value},
    limits::{
        CALLS_MAX, CONSTANT_MEMORY_MAX, CONSTANT_STEPS_MAX, EXPRESSION_DEPTH_MAX, FUNCTIONS_MAX,
        LOCALS_MAX, PARAMETERS_MAX,
    },
    machine::Machine,
    meter::{Eval, Meter, Stop},
    program::{Expr, Function, Program, Stmt},
    syntax::{
        self,
        ast::{Definition, Node, Statement, StatementNode},
    },
};

type Compiled<T> = Result<T, CompileError>;

/// The budget for a script's constants.
const CONSTANTS: Budget = Budget {
    steps: CONSTANT_STEPS_MAX,
    memory: CONSTANT_MEMORY_MAX,
    calls: CALLS_MAX,
};

/// Compiles a script. A function of the source alone.
pub(crate) fn compile(source: &str) -> Compiled<Program> {
    let statements = syntax::parse(source)?;
    Compiler::new(source).module(&statements)
}

/// Whether a script compiles, in work that is linear in its length but for its constants, which
/// have [`CONSTANT_STEPS_MAX`] steps.
///
/// # Errors
/// What is wrong and where.
pub fn check(source: &str) -> Result<(), CompileError> {
    compile(source).map(drop)
}

/// Names of the function that is being compiled, or of the top level's comprehensions.
#[derive(Default)]
struct Scope {
    locals: Vec<Box<str>>,
    /// Innermost last: a comprehension's variables hide others of their name.
    visible: Vec<(Box<str>, u16)>,
}

struct Compiler<'s> {
    source: &'s str,
    constants: Heap,
    meter: Meter,
    globals: Vec<Box<str>>,
    function_names: Vec<Box<str>>,
    scope: Scope,
    in_function: bool,
    in_loop: bool,
    fields: Fields,
    lints: Vec<Lint>,
    decides: bool,
    depth: u32,
}

impl<'s> Compiler<'s> {
    fn new(source: &'s str) -> Self {
        Self {
            source,
            constants: Heap::new(Layer::Constants),
            meter: Meter::new(CONSTANTS),
            globals: Vec::new(),
            function_names: Vec::new(),
            scope: Scope::default(),
            in_function: false,
            in_loop: false,
            fields: Fields::default(),
            lints: Vec::new(),
            decides: false,
            depth: 0,
        }
    }

    /// Something that is Starlark, but not allowed here.
    fn refuse<T>(&self, at: u32, text: impl Into<String>) -> Compiled<T> {
        Err(CompileError::Dialect {
            text: cut(text.into()),
            place: syntax::place(self.source, at as usize),
        })
    }

    /// Turns what went wrong while computing constants into a refusal.
    fn constant<T>(&self, result: Eval<T>) -> Compiled<T> {
        result.map_err(|stop| CompileError::Constants(failure(self.source, stop)))
    }

    fn deeper<T>(&mut self, at: u32, work: impl FnOnce(&mut Self) -> Compiled<T>) -> Compiled<T> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(CompileError::Nesting {
                place: syntax::place(self.source, at as usize),
            });
        }
        let result = work(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    fn lint(&mut self, at: u32, kind: LintKind) {
        let place = syntax::place(self.source, at as usize);
        self.lints.push(Lint { kind, place });
    }

    fn module(mut self, statements: &[Statement]) -> Compiled<Program> {
        for statement in statements {
            self.declare(statement)?;
        }
        let mut functions = Vec::new();
        let mut main = Vec::new();
        for statement in statements {
            match &statement.node {
                StatementNode::Def(def) => {
                    let defaults = self.defaults(statement.at, def)?;
                    let index = u32::try_from(functions.len()).unwrap_or(u32::MAX);
                    functions.push(self.function(statement.at, def)?);
                    main.push(Stmt::Define(index, defaults));
                }
                // A docstring.
                StatementNode::Expr(_) => {}
                _ => main.push(self.statement(statement)?),
            }
        }
        let entries = self.entries(&functions)?;
        if !self.decides {
            self.lint(0, LintKind::NeverDecides);
        }
        if !self.fields.has("truncated")
            && ["calls", "trace", "transfers", "logs", "created", "parties"]
                .iter()
                .any(|list| self.fields.has(list))
        {
            self.lint(0, LintKind::Truncated);
        }
        let globals = vec![None; self.globals.len()];
        let mut program = Program {
            source: self.source.into(),
            functions,
            global_names: self.globals,
            globals,
            defaults: Vec::new(),
            constants: Heap::new(Layer::Constants),
            entries,
            fields: self.fields,
            lints: self.lints,
            budget: Budget::default(),
            on_exceed: OnExceed::default(),
        };
        let frame = self.scope.locals.len();
        let built = Machine::build(&program, self.constants, self.meter, frame, &main);
        match built {
            Ok(built) => {
                program.constants = built.constants;
                program.globals = built.globals;
                program.defaults = built.defaults;
                settings(&mut program)?;
                Ok(program)
            }
            Err(stop) => Err(CompileError::Constants(failure(self.source, stop))),
        }
    }

    /// Notes the names that a top-level statement defines.
    fn declare(&mut self, statement: &Statement) -> Compiled<()> {
        let at = statement.at;
        match &statement.node {
            StatementNode::Def(def) => {
                self.check_new(at, &def.name)?;
                if self.function_names.len() >= FUNCTIONS_MAX {
                    return self.refuse(at, format!("more than {FUNCTIONS_MAX} functions"));
                }
                self.function_names.push(def.name.clone());
                Ok(())
            }
            StatementNode::Assign(target, _) => {
                let mut names = Vec::new();
                stmt::names(target, &mut names);
                if names.is_empty() {
                    return self.refuse(at, "constants are names here: NAME = value");
                }
                for name in names {
                    self.check_new(at, name)?;
                    self.globals.push(name.into());
                }
                if self.globals.len() > usize::from(u16::MAX) {
                    return self.refuse(at, "too many constants");
                }
                Ok(())
            }
            StatementNode::Expr(expr) if matches!(expr.node, Node::Text(_)) => Ok(()),
            StatementNode::Pass => Ok(()),
            _ => self.refuse(
                at,
                "outside functions there are only constants (NAME = value) and `def`",
            ),
        }
    }

    fn check_new(&self, at: u32, name: &str) -> Compiled<()> {
        let known = self.globals.iter().chain(&self.function_names);
        if known.into_iter().any(|known| **known == *name) {
            return self.refuse(
                at,
                format!("`{name}` is defined twice; choose another name"),
            );
        }
        Ok(())
    }

    /// The defaults of a function's parameters, to be computed at the top level.
    fn defaults(&mut self, at: u32, def: &Definition) -> Compiled<Vec<Option<Expr>>> {
        if def.parameters.len() > PARAMETERS_MAX {
            return self.refuse(at, format!("more than {PARAMETERS_MAX} parameters"));
        }
        let parameters = def.parameters.iter();
        let defaults = parameters.map(|(_, default)| {
            let default = default.as_ref().map(|expr| self.expr(expr));
            default.transpose()
        });
        defaults.collect()
    }

    fn function(&mut self, at: u32, def: &Definition) -> Compiled<Function> {
        let outer = std::mem::take(&mut self.scope);
        self.in_function = true;
        let mut names: Vec<&str> = Vec::new();
        names.extend(def.parameters.iter().map(|(name, _)| &**name));
        let parameters = names.len();
        stmt::assigned(&def.body, &mut names);
        for name in names {
            if !self.scope.visible.iter().any(|(known, _)| **known == *name) {
                self.local(at, name)?;
            }
        }
        let body = self.block(&def.body)?;
        self.in_function = false;
        let scope = std::mem::replace(&mut self.scope, outer);
        Ok(Function {
            name: def.name.clone(),
            parameters,
            locals: scope.locals,
            body,
        })
    }

    /// A new local variable.
    fn local(&mut self, at: u32, name: &str) -> Compiled<u16> {
        let slot = self.scope.locals.len();
        if slot >= LOCALS_MAX {
            return self.refuse(
                at,
                format!("more than {LOCALS_MAX} variables in a function"),
            );
        }
        let slot = u16::try_from(slot).unwrap_or(u16::MAX);
        self.scope.locals.push(name.into());
        self.scope.visible.push((name.into(), slot));
        Ok(slot)
    }

    /// The functions to run.
    fn entries(&self, functions: &[Function]) -> Compiled<Vec<u32>> {
        let mut entries = Vec::new();
        for (index, function) in (0u32..).zip(functions) {
            if &*function.name != "check" && !function.name.starts_with("check_") {
                continue;
            }
            if function.parameters == 0 {
                let text = format!("`{}` takes the transaction: def {0}(tx)", function.name);
                return self.refuse(0, text);
            }
            entries.push(index);
        }
        if entries.is_empty() {
            return Err(CompileError::NoEntry);
        }
        Ok(entries)
    }
}

/// Reads the constants with which a script sets its own budget and what a failure does.
fn settings(program: &mut Program) -> Compiled<()> {
    let wrong = |text: &str| {
        Err(CompileError::Dialect {
            text: text.to_owned(),
            place: syntax::place(&program.source, 0),
        })
    };
    let (mut budget, mut on_exceed) = (Budget::default(), OnExceed::default());
    for (name, value) in program.global_names.iter().zip(&program.globals) {
        match (&**name, value) {
            ("STEPS", Some(Value::Int(steps))) => {
                budget.steps = u64::try_from(*steps).unwrap_or_default();
            }
            ("MEMORY", Some(Value::Int(bytes))) => {
                budget.memory = u64::try_from(*bytes).unwrap_or_default();
            }
            ("STEPS" | "MEMORY", _) => return wrong("STEPS and MEMORY are whole numbers"),
            ("ON_EXCEED", Some(Value::Str(text))) => {
                let start = text.at.index();
                let end = start.saturating_add(text.len as usize);
                on_exceed = match program.constants.text.get(start..end) {
                    Some("deny") => OnExceed::Deny,
                    Some("flag") => OnExceed::Flag,
                    _ => return wrong("ON_EXCEED is \"deny\" or \"flag\""),
                };
            }
            ("ON_EXCEED", _) => return wrong("ON_EXCEED is \"deny\" or \"flag\""),
            _ => {}
        }
    }
    if !budget.is_valid() {
        return wrong("STEPS is 1 to 200000 and MEMORY 1 to 4194304");
    }
    program.budget = budget;
    program.on_exceed = on_exceed;
    Ok(())
}

/// What stopped an evaluation, with its place in words.
pub(crate) fn failure(source: &str, stop: Stop) -> Failure {
    match stop {
        Stop::Limit(limit) => Failure::Exceeded { limit },
        Stop::Fault(fault) => Failure::Error {
            place: syntax::place(source, fault.at as usize),
            text: fault.text,
        },
    }
}
