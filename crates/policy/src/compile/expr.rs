use super::{Compiled, Compiler, LintKind};
use crate::{
    builtins::{Builtin, Method},
    fields::Field,
    heap::Value,
    limits::PARAMETERS_MAX,
    program::{Arguments, Clause, Expr, Kind, Slice},
    syntax::ast::{self, Binary, Node},
};

impl Compiler<'_> {
    /// The slot of a local variable.
    pub(super) fn visible(&self, name: &str) -> Option<u16> {
        let mut visible = self.scope.visible.iter().rev();
        visible
            .find(|(known, _)| **known == *name)
            .map(|(_, slot)| *slot)
    }

    /// The slot of a constant.
    pub(super) fn global(&self, name: &str) -> Option<u16> {
        let index = self.globals.iter().position(|known| **known == *name)?;
        u16::try_from(index).ok()
    }

    fn function_named(&self, name: &str) -> Option<u32> {
        let index = self
            .function_names
            .iter()
            .position(|known| **known == *name)?;
        u32::try_from(index).ok()
    }

    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Compiled<Expr> {
        let at = expr.at;
        let kind = self.deeper(at, |this| this.kind(expr, at))?;
        Ok(Expr { at, kind })
    }

    fn boxed(&mut self, expr: &ast::Expr) -> Compiled<Box<Expr>> {
        self.expr(expr).map(Box::new)
    }

    fn pair(&mut self, parts: &(ast::Expr, ast::Expr)) -> Compiled<Box<(Expr, Expr)>> {
        Ok(Box::new((self.expr(&parts.0)?, self.expr(&parts.1)?)))
    }

    fn all(&mut self, exprs: &[ast::Expr]) -> Compiled<Vec<Expr>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn maybe(&mut self, expr: Option<&ast::Expr>) -> Compiled<Option<Expr>> {
        expr.map(|expr| self.expr(expr)).transpose()
    }

    fn kind(&mut self, expr: &ast::Expr, at: u32) -> Compiled<Kind> {
        Ok(match &expr.node {
            Node::Name(name) => self.name(at, name)?,
            Node::Int(value) => {
                let value = self.constants.push_int(&mut self.meter, value.clone());
                Kind::Const(self.constant(value)?)
            }
            Node::Text(text) => self.literal(at, text)?,
            Node::Tuple(items) => Kind::Tuple(self.all(items)?),
            Node::List(items) => Kind::List(self.all(items)?),
            Node::Dict(items) => {
                let pair = |(key, value): &(ast::Expr, ast::Expr)| {
                    Ok((self.expr(key)?, self.expr(value)?))
                };
                Kind::Dict(items.iter().map(pair).collect::<Compiled<_>>()?)
            }
            Node::Dot(of, name) => {
                let Some(field) = Field::named(name) else {
                    return self.refuse(
                        at,
                        format!("no record has a field `{name}`; a method has to be called"),
                    );
                };
                self.fields.insert(field);
                Kind::Field(self.boxed(of)?, field)
            }
            Node::Call(of, arguments) => self.call(at, of, arguments)?,
            Node::Index(parts) => Kind::Index(self.pair(parts)?),
            Node::Slice(of, bounds) => {
                let [start, stop, step] = &**bounds;
                Kind::Slice(Box::new(Slice {
                    of: self.expr(of)?,
                    start: self.maybe(start.as_ref())?,
                    stop: self.maybe(stop.as_ref())?,
                    step: self.maybe(step.as_ref())?,
                }))
            }
            Node::Not(of) => Kind::Not(self.boxed(of)?),
            Node::Unary(unary, of) => Kind::Unary(*unary, self.boxed(of)?),
            Node::Binary(Binary::Or, parts) => Kind::Or(self.pair(parts)?),
            Node::Binary(Binary::And, parts) => Kind::And(self.pair(parts)?),
            Node::Binary(Binary::Op(op), parts) => Kind::Op(*op, self.pair(parts)?),
            Node::If(parts) => Kind::If(Box::new((
                self.expr(&parts.0)?,
                self.expr(&parts.1)?,
                self.expr(&parts.2)?,
            ))),
            Node::ListOf(item, clauses) => {
                let visible = self.scope.visible.len();
                let clauses = self.clauses(clauses)?;
                let item = self.expr(item)?;
                self.scope.visible.truncate(visible);
                Kind::ListOf(Box::new((item, clauses)))
            }
            Node::DictOf(item, clauses) => {
                let visible = self.scope.visible.len();
                let clauses = self.clauses(clauses)?;
                let (key, value) = (self.expr(&item.0)?, self.expr(&item.1)?);
                self.scope.visible.truncate(visible);
                Kind::DictOf(Box::new((key, value, clauses)))
            }
        })
    }

    fn clauses(&mut self, clauses: &[ast::Clause]) -> Compiled<Vec<Clause>> {
        let mut out = Vec::with_capacity(clauses.len());
        for clause in clauses {
            out.push(match clause {
                ast::Clause::For(target, over) => {
                    // The variables of a clause are not seen by what it goes over.
                    let over = self.expr(over)?;
                    let mut names = Vec::new();
                    super::stmt::names(target, &mut names);
                    for name in names {
                        self.local(target.at, name)?;
                    }
                    Clause::For(self.target(target)?, over)
                }
                ast::Clause::If(condition) => Clause::If(self.expr(condition)?),
            });
        }
        Ok(out)
    }

    fn name(&mut self, at: u32, name: &str) -> Compiled<Kind> {
        if let Some(slot) = self.visible(name) {
            return Ok(Kind::Local(slot));
        }
        if let Some(slot) = self.global(name) {
            return Ok(Kind::Global(slot));
        }
        if let Some(index) = self.function_named(name) {
            return Ok(Kind::Const(Value::Function(index)));
        }
        match name {
            "None" => return Ok(Kind::Const(Value::None)),
            "True" => return Ok(Kind::Const(Value::Bool(true))),
            "False" => return Ok(Kind::Const(Value::Bool(false))),
            _ => {}
        }
        match Builtin::named(name) {
            Some(builtin) => {
                self.note(builtin);
                Ok(Kind::Const(Value::Builtin(builtin)))
            }
            None => self.refuse(at, unknown(name)),
        }
    }

    fn note(&mut self, builtin: Builtin) {
        self.decides |= matches!(builtin, Builtin::Deny | Builtin::Flag | Builtin::Cosign);
    }

    fn literal(&mut self, at: u32, text: &str) -> Compiled<Kind> {
        let value = self.constants.push_text(&mut self.meter, text);
        let value = self.constant(value)?;
        if is_mixed_address(text) {
            self.lint(at, LintKind::AddressCase(text.to_owned()));
        }
        Ok(Kind::Const(value))
    }

    fn call(&mut self, at: u32, of: &ast::Expr, arguments: &[ast::Argument]) -> Compiled<Kind> {
        if let Node::Dot(receiver, name) = &of.node {
            let Some(method) = Method::named(name) else {
                return self.refuse(at, format!("there is no method `{name}`"));
            };
            let receiver = self.boxed(receiver)?;
            return Ok(Kind::Method(
                receiver,
                method,
                self.arguments(at, arguments)?,
            ));
        }
        let of = self.expr(of)?;
        let lints = self.lints.len();
        let arguments = self.arguments(at, arguments)?;
        Ok(match of.kind {
            Kind::Const(Value::Function(index)) => Kind::Function(index, arguments),
            Kind::Const(Value::Builtin(builtin)) => {
                if builtin == Builtin::Address {
                    // It makes them lower case.
                    self.lints.truncate(lints);
                }
                Kind::Builtin(builtin, arguments)
            }
            _ => Kind::Call(Box::new(of), arguments),
        })
    }

    fn arguments(&mut self, at: u32, arguments: &[ast::Argument]) -> Compiled<Arguments> {
        if arguments.len() > PARAMETERS_MAX {
            return self.refuse(at, format!("more than {PARAMETERS_MAX} arguments"));
        }
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        for argument in arguments {
            let value = self.expr(&argument.value)?;
            match &argument.name {
                None => positional.push(value),
                Some(name) => named.push((name.clone(), value)),
            }
        }
        Ok(Arguments { positional, named })
    }
}

/// What to say of a name that nothing has.
fn unknown(name: &str) -> String {
    match name {
        "print" => "`print` is not part of the dialect; put texts into a verdict's reason".into(),
        "float" => "there are no fractions; use whole numbers".into(),
        "hash" | "id" => format!("`{name}` is not part of the dialect"),
        _ => format!("`{name}` is not defined"),
    }
}

/// An address in text with capital letters, which never equals one of the facts.
fn is_mixed_address(text: &str) -> bool {
    text.len() == 42
        && text.starts_with("0x")
        && text.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
}
