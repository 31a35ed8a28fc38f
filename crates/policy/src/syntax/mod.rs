//! The syntax of scripts: Starlark's grammar
//! (<https://github.com/bazelbuild/starlark/blob/master/spec.md>) without `load`, `lambda`,
//! fractions, bytes, f-strings, `*` and `**` arguments.
//!
//! Recursion is counted, and a tree knows its depth, so that neither parsing a script nor going
//! through its tree takes more stack than a thread has, whatever the script is.

pub(crate) mod ast;
mod lexer;
mod parser;

use ast::Statement;

use crate::{
    CompileError,
    error::{Place, cut},
    limits::SOURCE_BYTES_MAX,
};

type Parsed<T> = Result<T, CompileError>;

/// Parses a script.
pub(crate) fn parse(source: &str) -> Parsed<Vec<Statement>> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(CompileError::Source(source.len()));
    }
    let tokens = lexer::tokens(source)?;
    parser::Parser::new(source, tokens).script()
}

/// No Starlark.
#[cold]
fn wrong<T>(source: &str, at: usize, text: impl Into<String>) -> Parsed<T> {
    Err(CompileError::Syntax {
        text: cut(text.into()),
        place: place(source, at),
    })
}

/// Nested too deeply.
#[cold]
fn nesting<T>(source: &str, at: usize) -> Parsed<T> {
    Err(CompileError::Nesting {
        place: place(source, at),
    })
}

/// Line and column of a byte offset.
pub(crate) fn place(source: &str, offset: usize) -> Place {
    let mut end = offset.min(source.len());
    while !source.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let before = source.get(..end).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |rest| rest.chars().count());
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    Place {
        line: count(line),
        column: count(column),
    }
}
