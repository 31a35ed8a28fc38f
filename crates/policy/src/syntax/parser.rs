use super::{
    Parsed,
    ast::{
        Argument, Binary, Block, Clause, Definition, Expr, Node, Statement, StatementNode, Target,
        TargetNode,
    },
    lexer::{Lexeme, Token},
    nesting, wrong,
};
use crate::{
    limits::{ELIF_MAX, PARSE_DEPTH_MAX},
    program::{Op, Unary},
};

/// A parser by recursive descent, with precedence climbing for operators.
pub(super) struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token<'s>>,
    next: usize,
    depth: u32,
}

/// What a script always ends with.
const END: Lexeme<'_> = Lexeme::End;

/// Binary operators by how tightly they bind. Those of [`COMPARISON`] do not chain.
const LEVELS: [&[(&str, Binary)]; 9] = [
    &[("or", Binary::Or)],
    &[("and", Binary::And)],
    &[
        ("==", Binary::Op(Op::Equal)),
        ("!=", Binary::Op(Op::NotEqual)),
        ("<", Binary::Op(Op::Less)),
        (">", Binary::Op(Op::Greater)),
        ("<=", Binary::Op(Op::LessOrEqual)),
        (">=", Binary::Op(Op::GreaterOrEqual)),
        ("in", Binary::Op(Op::In)),
        ("not", Binary::Op(Op::NotIn)),
    ],
    &[("|", Binary::Op(Op::Or))],
    &[("^", Binary::Op(Op::Xor))],
    &[("&", Binary::Op(Op::And))],
    &[("<<", Binary::Op(Op::Left)), (">>", Binary::Op(Op::Right))],
    &[("+", Binary::Op(Op::Add)), ("-", Binary::Op(Op::Subtract))],
    &[
        ("*", Binary::Op(Op::Multiply)),
        ("//", Binary::Op(Op::FloorDivide)),
        ("%", Binary::Op(Op::Modulo)),
    ],
];
const COMPARISON: usize = 2;

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s str, tokens: Vec<Token<'s>>) -> Self {
        Self {
            source,
            tokens,
            next: 0,
            depth: 0,
        }
    }

    pub(super) fn script(mut self) -> Parsed<Vec<Statement>> {
        let mut out = Vec::new();
        while *self.peek() != END {
            self.statement(&mut out)?;
        }
        Ok(out)
    }

    fn peek(&self) -> &Lexeme<'s> {
        self.tokens.get(self.next).map_or(&END, |token| &token.kind)
    }

    fn at(&self) -> u32 {
        let token = self.tokens.get(self.next);
        let at = token.map_or(self.source.len(), |token| token.at);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Lexeme::Mark(found) if *found == mark)
    }

    fn skip(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        if found {
            self.skip();
        }
        found
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        let found = self.peek().describe();
        self.wrong(format!("expected {what}, found {found}"))
    }

    fn wrong<T>(&self, text: impl Into<String>) -> Parsed<T> {
        wrong(self.source, self.at() as usize, text)
    }

    fn need(&mut self, mark: &str) -> Parsed<()> {
        if self.eat(mark) {
            return Ok(());
        }
        self.expected(&format!("`{mark}`"))
    }

    fn name(&mut self) -> Parsed<Box<str>> {
        let Lexeme::Name(name) = self.peek() else {
            return self.expected("a name");
        };
        let name = Box::from(*name);
        self.skip();
        Ok(name)
    }

    /// Runs one level deeper in the stack.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > PARSE_DEPTH_MAX {
            return nesting(self.source, self.at() as usize);
        }
        let result = work(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// An expression over others, whose tree must not be too deep either.
    fn expr(&self, at: u32, depth: u32, node: Node) -> Parsed<Expr> {
        let depth = depth.saturating_add(1);
        if depth > PARSE_DEPTH_MAX {
            return nesting(self.source, at as usize);
        }
        Ok(Expr { at, depth, node })
    }

    fn statement(&mut self, out: &mut Block) -> Parsed<()> {
        let at = self.at();
        let node = match self.peek() {
            Lexeme::Mark("def") => self.deeper(Self::definition)?,
            Lexeme::Mark("if") => self.deeper(Self::condition)?,
            Lexeme::Mark("for") => self.deeper(Self::repetition)?,
            Lexeme::Indent => return self.wrong("unexpected indentation"),
            _ => return self.simple(out),
        };
        out.push(Statement { at, node });
        Ok(())
    }

    fn simple(&mut self, out: &mut Block) -> Parsed<()> {
        loop {
            let at = self.at();
            let node = self.small()?;
            out.push(Statement { at, node });
            if self.eat(";") && *self.peek() != Lexeme::Newline {
                continue;
            }
            if *self.peek() != Lexeme::Newline {
                return self.expected("the end of the line");
            }
            self.skip();
            return Ok(());
        }
    }

    fn small(&mut self) -> Parsed<StatementNode> {
        if self.eat("break") {
            return Ok(StatementNode::Break);
        }
        if self.eat("continue") {
            return Ok(StatementNode::Continue);
        }
        if self.eat("pass") {
            return Ok(StatementNode::Pass);
        }
        if self.is("load") {
            return self.wrong("`load` is not part of the dialect");
        }
        if self.eat("return") {
            let ends = matches!(self.peek(), Lexeme::Newline) || self.is(";");
            let value = if ends { None } else { Some(self.tests()?) };
            return Ok(StatementNode::Return(value));
        }
        let left = self.tests()?;
        let modify = match self.peek() {
            Lexeme::Mark("=") => {
                self.skip();
                let target = self.target(left)?;
                return Ok(StatementNode::Assign(target, self.tests()?));
            }
            Lexeme::Mark("+=") => Op::Add,
            Lexeme::Mark("-=") => Op::Subtract,
            Lexeme::Mark("*=") => Op::Multiply,
            Lexeme::Mark("//=") => Op::FloorDivide,
            Lexeme::Mark("%=") => Op::Modulo,
            Lexeme::Mark("&=") => Op::And,
            Lexeme::Mark("|=") => Op::Or,
            Lexeme::Mark("^=") => Op::Xor,
            Lexeme::Mark("<<=") => Op::Left,
            Lexeme::Mark(">>=") => Op::Right,
            Lexeme::Mark("/=") => {
                return self.wrong("`/` makes fractions; divide whole numbers with `//`");
            }
            _ => return Ok(StatementNode::Expr(left)),
        };
        self.skip();
        let target = self.target(left)?;
        Ok(StatementNode::Modify(target, modify, self.tests()?))
    }

    /// The block of a statement: indented lines, or the rest of the line.
    fn block(&mut self) -> Parsed<Block> {
        self.need(":")?;
        let mut out = Vec::new();
        if *self.peek() != Lexeme::Newline {
            self.simple(&mut out)?;
            return Ok(out);
        }
        self.skip();
        if *self.peek() != Lexeme::Indent {
            return self.expected("an indented line");
        }
        self.skip();
        while *self.peek() != Lexeme::Dedent {
            self.statement(&mut out)?;
        }
        self.skip();
        Ok(out)
    }

    fn definition(&mut self) -> Parsed<StatementNode> {
        self.need("def")?;
        let name = self.name()?;
        self.need("(")?;
        let mut parameters: Vec<(Box<str>, Option<Expr>)> = Vec::new();
        while !self.eat(")") {
            if self.is("*") || self.is("**") || self.is("/") {
                return self.wrong("`*`, `**` and `/` parameters are not part of the dialect");
            }
            let parameter = self.name()?;
            if parameters.iter().any(|(known, _)| *known == parameter) {
                return self.wrong(format!("two parameters are named `{parameter}`"));
            }
            let default = if self.eat("=") {
                Some(self.test()?)
            } else {
                None
            };
            if default.is_none() && parameters.iter().any(|(_, default)| default.is_some()) {
                return self.wrong("a parameter without a default behind one with");
            }
            parameters.push((parameter, default));
            if !self.eat(",") && !self.is(")") {
                return self.expected("`,` or `)`");
            }
        }
        let body = self.block()?;
        Ok(StatementNode::Def(Definition {
            name,
            parameters,
            body,
        }))
    }

    fn condition(&mut self) -> Parsed<StatementNode> {
        self.need("if")?;
        let mut branches = vec![(self.test()?, self.block()?)];
        while self.eat("elif") {
            if branches.len() > ELIF_MAX {
                return nesting(self.source, self.at() as usize);
            }
            branches.push((self.test()?, self.block()?));
        }
        let rest = if self.eat("else") {
            self.block()?
        } else {
            Vec::new()
        };
        Ok(StatementNode::If(branches, rest))
    }

    fn repetition(&mut self) -> Parsed<StatementNode> {
        self.need("for")?;
        let target = self.variables()?;
        self.need("in")?;
        let over = self.tests()?;
        Ok(StatementNode::For(target, over, self.block()?))
    }

    /// Loop variables, up to `in`.
    fn variables(&mut self) -> Parsed<Target> {
        let at = self.at();
        let mut targets = Vec::new();
        let mut many = false;
        loop {
            let expr = self.deeper(Self::primary)?;
            targets.push(self.target(expr)?);
            if !self.eat(",") {
                break;
            }
            many = true;
            if self.is("in") {
                break;
            }
        }
        match targets.pop() {
            Some(one) if !many => Ok(one),
            last => {
                targets.extend(last);
                let node = TargetNode::Tuple(targets);
                Ok(Target { at, node })
            }
        }
    }

    fn target(&self, expr: Expr) -> Parsed<Target> {
        let at = expr.at;
        let node = match expr.node {
            Node::Name(name) => TargetNode::Name(name),
            Node::Index(parts) => TargetNode::Index(parts),
            Node::Tuple(items) | Node::List(items) => {
                let targets = items.into_iter().map(|item| self.target(item));
                TargetNode::Tuple(targets.collect::<Parsed<_>>()?)
            }
            Node::Dot(..) => return wrong(self.source, at as usize, "records cannot be changed"),
            _ => return wrong(self.source, at as usize, "this cannot be assigned"),
        };
        Ok(Target { at, node })
    }

    /// One expression, or several with commas: a tuple.
    fn tests(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let first = self.test()?;
        if !self.is(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat(",") {
            if !self.starts() {
                break;
            }
            items.push(self.test()?);
        }
        self.expr(at, deepest(&items), Node::Tuple(items))
    }

    /// Whether an expression can begin here.
    fn starts(&self) -> bool {
        match self.peek() {
            Lexeme::Name(_) | Lexeme::Int(_) | Lexeme::Text(_) => true,
            Lexeme::Mark(mark) => {
                matches!(*mark, "(" | "[" | "{" | "-" | "+" | "~" | "not" | "lambda")
            }
            _ => false,
        }
    }

    fn test(&mut self) -> Parsed<Expr> {
        self.deeper(|this| {
            let at = this.at();
            if this.is("lambda") {
                return this.wrong("`lambda` is not part of the dialect; use `def`");
            }
            let then = this.binary(0)?;
            if !this.eat("if") {
                return Ok(then);
            }
            let condition = this.binary(0)?;
            this.need("else")?;
            let rest = this.test()?;
            let depth = then.depth.max(condition.depth).max(rest.depth);
            this.expr(at, depth, Node::If(Box::new((condition, then, rest))))
        })
    }

    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        let Some(operators) = LEVELS.get(level) else {
            return self.deeper(Self::unary);
        };
        let at = self.at();
        let mut left = if level == COMPARISON && self.is("not") {
            // `not` binds less than comparisons and more than `and`.
            return self.deeper(Self::negation);
        } else {
            self.binary(level.saturating_add(1))?
        };
        let mut chained = false;
        while let Lexeme::Mark(mark) = *self.peek() {
            if mark == "/" || mark == "**" {
                return self.wrong("`/` and `**` are not part of the dialect; divide with `//`");
            }
            let operator = operators.iter().find(|(known, _)| *known == mark);
            let Some((_, operator)) = operator.copied() else {
                break;
            };
            if chained && level == COMPARISON {
                return self.wrong("comparisons do not chain; write `a < b and b < c`");
            }
            chained = true;
            self.skip();
            if operator == Binary::Op(Op::NotIn) {
                self.need("in")?;
            }
            let right = self.binary(level.saturating_add(1))?;
            let depth = left.depth.max(right.depth);
            left = self.expr(at, depth, Node::Binary(operator, Box::new((left, right))))?;
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Expr> {
        let at = self.at();
        self.need("not")?;
        let of = self.binary(COMPARISON)?;
        self.expr(at, of.depth, Node::Not(Box::new(of)))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let unary = match self.peek() {
            Lexeme::Mark("-") => Unary::Minus,
            Lexeme::Mark("+") => Unary::Plus,
            Lexeme::Mark("~") => Unary::Invert,
            _ => return self.primary(),
        };
        self.skip();
        let of = self.deeper(Self::unary)?;
        self.expr(at, of.depth, Node::Unary(unary, Box::new(of)))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let mut of = self.operand()?;
        loop {
            let depth = of.depth;
            if self.eat(".") {
                let name = self.name()?;
                of = self.expr(at, depth, Node::Dot(Box::new(of), name))?;
            } else if self.eat("(") {
                let arguments = self.arguments()?;
                let within = arguments.iter().map(|argument| argument.value.depth).max();
                let depth = depth.max(within.unwrap_or_default());
                of = self.expr(at, depth, Node::Call(Box::new(of), arguments))?;
            } else if self.eat("[") {
                of = self.subscript(at, of)?;
            } else {
                return Ok(of);
            }
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut out: Vec<Argument> = Vec::new();
        while !self.eat(")") {
            if self.is("*") || self.is("**") {
                return self.wrong("`*` and `**` arguments are not part of the dialect");
            }
            let value = self.test()?;
            let argument = match value.node {
                Node::Name(name) if self.is("=") => {
                    self.skip();
                    if out.iter().any(|other| other.name.as_ref() == Some(&name)) {
                        return self.wrong(format!("`{name}` is given twice"));
                    }
                    Argument {
                        name: Some(name),
                        value: self.test()?,
                    }
                }
                _ if out.last().is_some_and(|other| other.name.is_some()) => {
                    return self.wrong("an argument without a name behind one with");
                }
                _ => Argument { name: None, value },
            };
            out.push(argument);
            if !self.eat(",") && !self.is(")") {
                return self.expected("`,` or `)`");
            }
        }
        Ok(out)
    }

    /// What follows `[` after a value: an index or a slice.
    fn subscript(&mut self, at: u32, of: Expr) -> Parsed<Expr> {
        let start = self.bound()?;
        if let Some(index) = start {
            if self.eat("]") {
                let depth = of.depth.max(index.depth);
                return self.expr(at, depth, Node::Index(Box::new((of, index))));
            }
            return self.slice(at, of, Some(index));
        }
        self.slice(at, of, None)
    }

    fn slice(&mut self, at: u32, of: Expr, start: Option<Expr>) -> Parsed<Expr> {
        self.need(":")?;
        let stop = self.bound()?;
        let step = if self.eat(":") { self.bound()? } else { None };
        self.need("]")?;
        let bounds = [start, stop, step];
        let within = bounds.iter().flatten().map(|bound| bound.depth).max();
        let depth = of.depth.max(within.unwrap_or_default());
        self.expr(at, depth, Node::Slice(Box::new(of), Box::new(bounds)))
    }

    fn bound(&mut self) -> Parsed<Option<Expr>> {
        if self.is(":") || self.is("]") {
            return Ok(None);
        }
        self.test().map(Some)
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let node = match self.peek() {
            Lexeme::Name(name) => Node::Name(Box::from(*name)),
            Lexeme::Int(value) => Node::Int(value.clone()),
            Lexeme::Text(text) => Node::Text(text.as_str().into()),
            Lexeme::Mark("(") => {
                self.skip();
                return self.bracketed(at);
            }
            Lexeme::Mark("[") => {
                self.skip();
                return self.list(at);
            }
            Lexeme::Mark("{") => {
                self.skip();
                return self.dict(at);
            }
            Lexeme::Mark("lambda") => {
                return self.wrong("`lambda` is not part of the dialect; use `def`");
            }
            Lexeme::Mark("...") => return self.wrong("`...` is not part of the dialect"),
            Lexeme::Mark(".") => {
                return self.wrong("fractions are not part of the dialect; use whole numbers");
            }
            _ => return self.expected("an expression"),
        };
        self.skip();
        self.expr(at, 0, node)
    }

    fn bracketed(&mut self, at: u32) -> Parsed<Expr> {
        if self.eat(")") {
            return self.expr(at, 0, Node::Tuple(Vec::new()));
        }
        let inner = self.tests()?;
        self.need(")")?;
        Ok(inner)
    }

    fn list(&mut self, at: u32) -> Parsed<Expr> {
        let mut items = Vec::new();
        while !self.eat("]") {
            items.push(self.test()?);
            if self.is("for") {
                if items.len() > 1 {
                    return self.wrong("a comprehension has one element");
                }
                let clauses = self.clauses("]")?;
                let depth = deepest(&items).max(deepest_clause(&clauses));
                return match items.pop() {
                    Some(item) => self.expr(at, depth, Node::ListOf(Box::new(item), clauses)),
                    None => self.expected("an expression"),
                };
            }
            if !self.eat(",") && !self.is("]") {
                return self.expected("`,` or `]`");
            }
        }
        self.expr(at, deepest(&items), Node::List(items))
    }

    fn dict(&mut self, at: u32) -> Parsed<Expr> {
        let mut items: Vec<(Expr, Expr)> = Vec::new();
        let mut depth = 0;
        while !self.eat("}") {
            let key = self.test()?;
            self.need(":")?;
            let value = self.test()?;
            depth = depth.max(key.depth).max(value.depth);
            if self.is("for") && items.is_empty() {
                let clauses = self.clauses("}")?;
                let depth = depth.max(deepest_clause(&clauses));
                return self.expr(at, depth, Node::DictOf(Box::new((key, value)), clauses));
            }
            items.push((key, value));
            if !self.eat(",") && !self.is("}") {
                return self.expected("`,` or `}`");
            }
        }
        self.expr(at, depth, Node::Dict(items))
    }

    /// The clauses of a comprehension and the bracket behind them.
    fn clauses(&mut self, close: &str) -> Parsed<Vec<Clause>> {
        let mut out = Vec::new();
        while !self.eat(close) {
            if out.len() >= CLAUSES_MAX {
                return nesting(self.source, self.at() as usize);
            }
            if self.eat("for") {
                let target = self.variables()?;
                self.need("in")?;
                out.push(Clause::For(target, self.binary(0)?));
            } else if self.eat("if") {
                out.push(Clause::If(self.binary(0)?));
            } else {
                return self.expected(&format!("`for`, `if` or `{close}`"));
            }
        }
        Ok(out)
    }
}

/// Most clauses of a comprehension; each is a level of evaluation.
const CLAUSES_MAX: usize = 16;

fn deepest(items: &[Expr]) -> u32 {
    items.iter().map(|item| item.depth).max().unwrap_or(0)
}

fn deepest_clause(clauses: &[Clause]) -> u32 {
    let depths = clauses.iter().map(|clause| match clause {
        Clause::For(_, over) => over.depth,
        Clause::If(condition) => condition.depth,
    });
    depths.max().unwrap_or(0)
}
