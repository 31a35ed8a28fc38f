//! A compiled script: names resolved, constants computed, ready to run any number of times.

use crate::{
    builtins::{Builtin, Method},
    fields::{Field, Fields},
    heap::{Heap, Value},
};

/// Where in the source an expression begins, in bytes.
pub(crate) type At = u32;

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: At,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Const(Value),
    Local(u16),
    Global(u16),
    Field(Box<Expr>, Field),
    Index(Box<(Expr, Expr)>),
    Slice(Box<Slice>),
    /// Call of a value.
    Call(Box<Expr>, Arguments),
    /// Call of one of the script's functions.
    Function(u32, Arguments),
    Builtin(Builtin, Arguments),
    Method(Box<Expr>, Method, Arguments),
    Not(Box<Expr>),
    Unary(Unary, Box<Expr>),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Op(Op, Box<(Expr, Expr)>),
    /// Condition, then, else.
    If(Box<(Expr, Expr, Expr)>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    ListOf(Box<(Expr, Vec<Clause>)>),
    DictOf(Box<(Expr, Expr, Vec<Clause>)>),
}

#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) of: Expr,
    pub(crate) start: Option<Expr>,
    pub(crate) stop: Option<Expr>,
    pub(crate) step: Option<Expr>,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Box<str>, Expr)>,
}

#[derive(Debug)]
pub(crate) enum Clause {
    For(Target, Expr),
    If(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Minus,
    Plus,
    Invert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    In,
    NotIn,
    Add,
    Subtract,
    Multiply,
    FloorDivide,
    Modulo,
    And,
    Or,
    Xor,
    Left,
    Right,
}

#[derive(Debug)]
pub(crate) enum Target {
    Local(u16),
    Global(u16),
    Index(Box<(Expr, Expr)>),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(crate) enum Stmt {
    Expr(Expr),
    Assign(Target, Expr),
    /// `target op= value`; the target is a name or an index.
    Modify(At, Target, Op, Expr),
    /// Branches, then the rest.
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    For(Target, Expr, Vec<Stmt>),
    Break,
    Continue,
    Return(Option<Expr>),
    /// Computes the defaults of a function's parameters.
    Define(u32, Vec<Option<Expr>>),
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: Box<str>,
    /// How many of the local variables are parameters.
    pub(crate) parameters: usize,
    /// Names of the local variables, parameters first.
    pub(crate) locals: Vec<Box<str>>,
    pub(crate) body: Vec<Stmt>,
}

/// A compiled script.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) source: Box<str>,
    pub(crate) functions: Vec<Function>,
    pub(crate) global_names: Vec<Box<str>>,
    pub(crate) globals: Vec<Option<Value>>,
    /// For each function, what its parameters are where nothing is given.
    pub(crate) defaults: Vec<Vec<Option<Value>>>,
    pub(crate) constants: Heap,
    /// Functions to run, in the order of the script.
    pub(crate) entries: Vec<u32>,
    /// Fields that the script names.
    pub(crate) fields: Fields,
    /// Remarks of the compiler.
    pub(crate) lints: Vec<crate::Lint>,
    /// What the script asks for with `STEPS`, `MEMORY` and `ON_EXCEED`.
    pub(crate) budget: crate::Budget,
    pub(crate) on_exceed: crate::OnExceed,
}
