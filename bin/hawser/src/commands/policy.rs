//! `hawser policy`: rules of supervision (监管规则), tested before anyone votes on them.

mod risk;
mod text;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hawser_crypto::Suite;
use hawser_policy::{
    Budget, Case, CaseResult, Cases, CompileError, Engine, Script, facts::Facts, limits,
};
use serde_json::{Value, json};

use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::output::{self, Output};
use text::Words;

/// Commands of `policy`.
#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Parse a rule, list remarks, and say what it costs
    Check(CheckArgs),
    /// Run a rule on its cases
    Test(TestArgs),
    /// Show in full what a rule says of one case
    Explain(ExplainArgs),
    /// Show what accounts and organisations did lately, and what rules found
    Risk(risk::RiskArgs),
}

/// Arguments of `policy check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser policy check transfer-limit.star

Ends with 3 when the rule does not compile. Needs no node.")]
pub(crate) struct CheckArgs {
    /// The rule
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// End with 5 when there are remarks
    #[arg(long)]
    strict: bool,
}

/// Arguments of `policy test`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser policy test transfer-limit.star
  hawser policy test transfer-limit.star --case december.toml

Without --case the cases are in the file beside the rule that ends with .cases.toml or .cases.json.
Ends with 5 when a case fails, with 3 when the rule does not compile. Needs no node.")]
pub(crate) struct TestArgs {
    /// The rule
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Cases, TOML or JSON
    #[arg(long, value_name = "FILE")]
    case: Option<PathBuf>,
}

/// Arguments of `policy explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser policy explain transfer-limit.star --name 'exactly the limit passes'

Shows the facts, the verdicts, their reasons and what the run took. Needs no node.")]
pub(crate) struct ExplainArgs {
    /// The rule
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Cases, TOML or JSON [default: the file beside the rule]
    #[arg(long, value_name = "FILE")]
    case: Option<PathBuf>,
    /// Name of the case [default: the first]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(command: &PolicyCommand, output: Output, lang: Lang) -> Result<()> {
    let words = Words(lang);
    match command {
        PolicyCommand::Check(args) => check(args, output, words),
        PolicyCommand::Test(args) => test(args, output, words),
        PolicyCommand::Explain(args) => explain(args, output, words),
        PolicyCommand::Risk(args) => risk::run(args, output, words).await,
    }
}

/// Compiles a rule; the suite makes no difference to what a rule says.
fn compile(file: &Path, words: Words) -> Result<std::sync::Arc<Script>> {
    let source = files::read_text(file, limits::SOURCE_BYTES_MAX as u64)?;
    match Engine::new(Suite::Intl).script(&source) {
        Ok(script) => Ok(script),
        Err(error) => fail(Code::Config, refused(file, &source, &error, words)),
    }
}

/// Why a rule does not compile, with the line that it is about.
fn refused(file: &Path, source: &str, error: &CompileError, words: Words) -> String {
    let mut out = words.does_not_compile(&file.display().to_string(), error);
    if let Some(place) = error.place() {
        out.push('\n');
        out.push_str(&excerpt(source, place.line, place.column));
    }
    out
}

/// A line of the source with a mark under a column.
fn excerpt(source: &str, line: u32, column: u32) -> String {
    let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let text: String = source
        .lines()
        .nth(index)
        .unwrap_or_default()
        .chars()
        .take(120)
        .collect();
    let before = usize::try_from(column.saturating_sub(1))
        .unwrap_or(0)
        .min(120);
    let number = line.to_string();
    let space = " ".repeat(number.len());
    format!("{number} | {text}\n{space} | {}^", " ".repeat(before))
}

/// The file of cases: the one asked for, or the one beside the rule.
fn cases(rule: &Path, asked: Option<&PathBuf>, words: Words) -> Result<(PathBuf, Cases)> {
    let beside = ["cases.toml", "cases.json"].map(|end| rule.with_extension(end));
    let path = match asked {
        Some(path) => path.clone(),
        None => match beside.iter().find(|path| path.exists()) {
            Some(path) => path.clone(),
            None => {
                let [first, _] = beside;
                return fail(Code::NotFound, words.no_cases(&first.display().to_string()));
            }
        },
    };
    let text = files::read_text(&path, limits::CASES_BYTES_MAX as u64)?;
    let cases = Cases::parse(&text).context(Code::Config, path.display())?;
    Ok((path, cases))
}

fn check(args: &CheckArgs, output: Output, words: Words) -> Result<()> {
    let script = compile(&args.file, words)?;
    let input = script.input(&Facts::default()).or_fail(Code::Failed)?;
    let report = script.run(&input, script.budget());
    let budget = script.budget();
    let remarks: Vec<Value> = script
        .lints()
        .iter()
        .map(|lint| {
            json!({
                "line": lint.place.line,
                "column": lint.place.column,
                "text": lint.kind.text(words.chinese()),
            })
        })
        .collect();
    let value = json!({
        "file": args.file,
        "script": script.id(),
        "functions": script.entries(),
        "readsHistory": script.reads_history(),
        "onExceed": script.on_exceed(),
        "budget": budget,
        "emptyTransaction": report,
        "remarks": remarks,
    });
    output.print(&value, |_| {
        let mut rows = vec![
            (words.rule(), args.file.display().to_string()),
            (words.functions(), script.entries().join(", ")),
            (
                words.history(),
                words.yes_no(script.reads_history()).to_owned(),
            ),
            (
                words.on_exceed(),
                words.outcome(script.on_exceed()).to_owned(),
            ),
            (words.budget(), words.budget_of(&budget)),
            (words.empty_cost(), words.cost(report.steps, report.memory)),
        ];
        if let Some(failure) = &report.failure {
            rows.push((words.empty_fails(), failure.to_string()));
        }
        let mut out = output::pairs(&rows);
        for lint in script.lints() {
            let text = lint.kind.text(words.chinese());
            out.push_str(&words.remark(&lint.place.to_string(), &text));
        }
        out
    })?;
    if args.strict && !script.lints().is_empty() {
        return fail(Code::NotFound, words.has_remarks(script.lints().len()));
    }
    Ok(())
}

fn test(args: &TestArgs, output: Output, words: Words) -> Result<()> {
    let script = compile(&args.file, words)?;
    let (path, cases) = cases(&args.file, args.case.as_ref(), words)?;
    let budget = script.budget();
    let results: Vec<CaseResult> = cases
        .cases
        .iter()
        .map(|case| case.run(&script, budget))
        .collect();
    let failed = results.iter().filter(|result| !result.pass).count();
    let value = json!({
        "file": args.file,
        "cases": path,
        "passed": results.len().saturating_sub(failed),
        "failed": failed,
        "results": results,
    });
    output.print(&value, |_| table(&results, failed, words))?;
    if failed > 0 {
        return fail(Code::NotFound, words.failed(failed, results.len()));
    }
    Ok(())
}

fn table(results: &[CaseResult], failed: usize, words: Words) -> String {
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            vec![
                if result.pass { "ok" } else { "FAIL" }.to_owned(),
                result.name.clone(),
                words.said(result.found).to_owned(),
                result.report.steps.to_string(),
            ]
        })
        .collect();
    let mut out = output::table(&words.case_head(), &rows);
    for result in results.iter().filter(|result| !result.pass) {
        out.push('\n');
        out.push_str(&words.mismatch(result));
    }
    if failed == 0 {
        out.push_str(&words.all_pass(results.len()));
    }
    out
}

fn explain(args: &ExplainArgs, output: Output, words: Words) -> Result<()> {
    let script = compile(&args.file, words)?;
    let (path, cases) = cases(&args.file, args.case.as_ref(), words)?;
    let wanted = |case: &&Case| args.name.as_ref().is_none_or(|name| *name == case.name);
    let Some(case) = cases.cases.iter().find(wanted) else {
        let names: Vec<_> = cases.cases.iter().map(|case| case.name.as_str()).collect();
        return fail(
            Code::NotFound,
            words.no_such_case(&path.display().to_string(), &names),
        );
    };
    let budget: Budget = script.budget();
    let result = case.run(&script, budget);
    let value = json!({ "facts": case.tx, "result": result });
    output.print(&value, |_| {
        let mut rows = vec![
            (words.case(), case.name.clone()),
            (words.verdict(), words.said(result.found).to_owned()),
            (words.reason(), result.reason.clone()),
            (words.expected(), words.said(case.expect).to_owned()),
            (
                words.taken(),
                words.share(&budget, result.report.steps, result.report.memory),
            ),
        ];
        for verdict in &result.report.verdicts {
            rows.push((words.each_verdict(), words.verdict_text(verdict)));
        }
        let mut out = output::pairs(&rows);
        if let Some(hawser_policy::Failure::Error { place, .. }) = &result.report.failure
            && let Ok(source) = std::fs::read_to_string(&args.file)
        {
            out.push_str(&excerpt(&source, place.line, place.column));
            out.push('\n');
        }
        out.push_str(words.facts());
        out.push('\n');
        out.push_str(&facts(&case.tx));
        out
    })
}

/// The facts that are not empty, one per line.
fn facts(facts: &Facts) -> String {
    let (Ok(all), Ok(blank)) = (
        serde_json::to_value(facts),
        serde_json::to_value(Facts::default()),
    ) else {
        return String::new();
    };
    let Value::Object(all) = all else {
        return String::new();
    };
    let mut out = String::new();
    for (name, value) in &all {
        if blank.get(name) == Some(value) {
            continue;
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    out.push_str(&format!("  {name}: {}\n", compact(item)));
                }
            }
            other => out.push_str(&format!("  {name}: {}\n", compact(other))),
        }
    }
    out
}

/// A value without its empty parts.
fn compact(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let empty = |value: &Value| match value {
                Value::Null | Value::Bool(false) => true,
                Value::String(text) => text.is_empty() || text == "0",
                Value::Array(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                Value::Number(number) => number.as_u64() == Some(0),
                Value::Bool(true) => false,
            };
            let parts: Vec<String> = fields
                .iter()
                .filter(|(_, value)| !empty(value))
                .map(|(name, value)| format!("{name} {}", compact(value)))
                .collect();
            parts.join(", ")
        }
        other => output::cell(other),
    }
}
