use super::{Compiled, Compiler, LintKind};
use crate::{
    program::{Stmt, Target},
    syntax::ast::{self, Node, Statement, StatementNode, TargetNode},
};

/// The names that a target assigns.
pub(super) fn names<'t>(target: &'t ast::Target, out: &mut Vec<&'t str>) {
    match &target.node {
        TargetNode::Name(name) => out.push(name),
        TargetNode::Tuple(targets) => targets.iter().for_each(|target| names(target, out)),
        TargetNode::Index(_) => {}
    }
}

/// The names that a function's body assigns anywhere: its local variables.
pub(super) fn assigned<'t>(block: &'t [Statement], out: &mut Vec<&'t str>) {
    for statement in block {
        match &statement.node {
            StatementNode::Assign(target, _) | StatementNode::Modify(target, ..) => {
                names(target, out);
            }
            StatementNode::For(target, _, body) => {
                names(target, out);
                assigned(body, out);
            }
            StatementNode::If(branches, rest) => {
                branches.iter().for_each(|(_, then)| assigned(then, out));
                assigned(rest, out);
            }
            _ => {}
        }
    }
}

impl Compiler<'_> {
    pub(super) fn block(&mut self, block: &[Statement]) -> Compiled<Vec<Stmt>> {
        let mut out: Vec<Stmt> = Vec::new();
        for statement in block {
            match &statement.node {
                StatementNode::Pass => continue,
                // A docstring.
                StatementNode::Expr(expr) if matches!(expr.node, Node::Text(_)) => continue,
                _ => {}
            }
            if matches!(
                out.last(),
                Some(Stmt::Return(_) | Stmt::Break | Stmt::Continue)
            ) {
                self.lint(statement.at, LintKind::Unreachable);
            }
            out.push(self.statement(statement)?);
        }
        Ok(out)
    }

    pub(super) fn statement(&mut self, statement: &Statement) -> Compiled<Stmt> {
        let at = statement.at;
        self.deeper(at, |this| this.statement_within(statement, at))
    }

    fn statement_within(&mut self, statement: &Statement, at: u32) -> Compiled<Stmt> {
        Ok(match &statement.node {
            StatementNode::Break | StatementNode::Continue if !self.in_loop => {
                return self.refuse(at, "`break` and `continue` belong into a loop");
            }
            StatementNode::Break => Stmt::Break,
            StatementNode::Continue => Stmt::Continue,
            StatementNode::Return(None) => Stmt::Return(None),
            StatementNode::Return(Some(expr)) => Stmt::Return(Some(self.expr(expr)?)),
            StatementNode::Expr(expr) => Stmt::Expr(self.expr(expr)?),
            StatementNode::Assign(target, value) => {
                let value = self.expr(value)?;
                Stmt::Assign(self.target(target)?, value)
            }
            StatementNode::Modify(target, op, value) => {
                let value = self.expr(value)?;
                Stmt::Modify(at, self.target(target)?, *op, value)
            }
            StatementNode::If(branches, rest) => {
                let branches = branches
                    .iter()
                    .map(|(condition, then)| Ok((self.expr(condition)?, self.block(then)?)));
                let branches = branches.collect::<Compiled<_>>()?;
                Stmt::If(branches, self.block(rest)?)
            }
            StatementNode::For(target, over, body) => {
                let over = self.expr(over)?;
                let target = self.target(target)?;
                let outer = std::mem::replace(&mut self.in_loop, true);
                let body = self.block(body)?;
                self.in_loop = outer;
                Stmt::For(target, over, body)
            }
            StatementNode::Pass => Stmt::If(Vec::new(), Vec::new()),
            StatementNode::Def(_) => {
                return self.refuse(at, "functions are defined at the top level only");
            }
        })
    }

    pub(super) fn target(&mut self, target: &ast::Target) -> Compiled<Target> {
        Ok(match &target.node {
            TargetNode::Name(name) => match self.visible(name) {
                Some(slot) => Target::Local(slot),
                None => match self.global(name) {
                    Some(slot) if !self.in_function => Target::Global(slot),
                    _ => {
                        return self.refuse(target.at, format!("`{name}` cannot be assigned here"));
                    }
                },
            },
            TargetNode::Tuple(targets) => {
                let targets = targets.iter().map(|target| self.target(target));
                Target::Tuple(targets.collect::<Compiled<_>>()?)
            }
            TargetNode::Index(parts) => {
                let (of, index) = (self.expr(&parts.0)?, self.expr(&parts.1)?);
                Target::Index(Box::new((of, index)))
            }
        })
    }
}
