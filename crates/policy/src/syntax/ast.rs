//! The syntax tree.

use num_bigint::BigInt;

use crate::program::{Op, Unary};

/// An expression and where it begins, in bytes.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: u32,
    /// Levels of the tree, this one included.
    pub(super) depth: u32,
    pub(crate) node: Node,
}

#[derive(Debug)]
pub(crate) enum Node {
    Name(Box<str>),
    Int(BigInt),
    Text(Box<str>),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Dot(Box<Expr>, Box<str>),
    Call(Box<Expr>, Vec<Argument>),
    Index(Box<(Expr, Expr)>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Not(Box<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<(Expr, Expr)>),
    /// Condition, then, else.
    If(Box<(Expr, Expr, Expr)>),
    ListOf(Box<Expr>, Vec<Clause>),
    DictOf(Box<(Expr, Expr)>, Vec<Clause>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Or,
    And,
    Op(Op),
}

/// An argument of a call, with its name if it has one.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<Box<str>>,
    pub(crate) value: Expr,
}

#[derive(Debug)]
pub(crate) enum Clause {
    For(Target, Expr),
    If(Expr),
}

/// What can stand left of `=`.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) at: u32,
    pub(crate) node: TargetNode,
}

#[derive(Debug)]
pub(crate) enum TargetNode {
    Name(Box<str>),
    Index(Box<(Expr, Expr)>),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) at: u32,
    pub(crate) node: StatementNode,
}

pub(crate) type Block = Vec<Statement>;

#[derive(Debug)]
pub(crate) enum StatementNode {
    Break,
    Continue,
    Pass,
    Return(Option<Expr>),
    Expr(Expr),
    Assign(Target, Expr),
    Modify(Target, Op, Expr),
    /// Branches, then the rest.
    If(Vec<(Expr, Block)>, Block),
    For(Target, Expr, Block),
    Def(Definition),
}

#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: Box<str>,
    pub(crate) parameters: Vec<(Box<str>, Option<Expr>)>,
    pub(crate) body: Block,
}
