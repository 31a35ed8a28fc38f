//! `hawser policy risk`

use clap::Args;
use hawser_primitives::Address;
use serde_json::{Value, json};

use super::text::Words;
use crate::client::{Client, NodeArgs};
use crate::exit::{Code, Result, fail};
use crate::output::{self, Output, cell};

/// Arguments of `policy risk`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser policy risk                         all organisations
  hawser policy risk --account 0x…
  hawser policy risk --organisation 2 --token 0x…

Windows are kept while a rule in force reads history, flags and denials always. Trusts the node that
answers. Ends with 5 when there is no such organisation.")]
pub(crate) struct RiskArgs {
    /// An account
    #[arg(long, value_name = "ADDRESS", conflicts_with = "organisation")]
    account: Option<Address>,
    /// An organisation, by number
    #[arg(long, value_name = "NUMBER")]
    organisation: Option<u32>,
    /// Also the windows of this token; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    token: Vec<Address>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub(super) async fn run(args: &RiskArgs, output: Output, words: Words) -> Result<()> {
    let client: Client = args.node.client()?;
    let mut query = json!({ "tokens": args.token });
    if let Some(fields) = query.as_object_mut() {
        if let Some(account) = args.account {
            fields.insert("account".to_owned(), json!(account));
        }
        if let Some(organisation) = args.organisation {
            fields.insert("organisation".to_owned(), json!(organisation));
        }
    }
    let answer = client.call("hawser_risk", json!([query])).await?;
    let subjects = answer.get("subjects").and_then(Value::as_array);
    let subjects = subjects.cloned().unwrap_or_default();
    if subjects.is_empty() {
        return fail(Code::NotFound, words.no_subject());
    }
    output.print(&answer, |_| table(&subjects, words))
}

fn table(subjects: &[Value], words: Words) -> String {
    let at = |value: &Value, path: &str| value.pointer(path).map(cell).unwrap_or_default();
    let window = |value: &Value, path: &str| {
        let (count, amount) = (
            at(value, &format!("{path}/count")),
            at(value, &format!("{path}/amount")),
        );
        format!("{count} / {amount}")
    };
    let mut rows = Vec::new();
    for subject in subjects {
        let name = match at(subject, "/account") {
            account if account.is_empty() => format!(
                "{} {}",
                at(subject, "/organisation"),
                at(subject, "/organisationName")
            ),
            account => account,
        };
        let row = |name: String, path: &str| {
            ["hour", "day", "month"]
                .iter()
                .fold(vec![name], |mut row, part| {
                    row.push(window(subject, &format!("{path}/{part}")));
                    row
                })
        };
        let mut own = row(name, "/history");
        own.push(at(subject, "/history/flags"));
        own.push(at(subject, "/history/denials"));
        rows.push(own);
        let tokens = subject
            .pointer("/history/tokens")
            .and_then(Value::as_object);
        for token in tokens.into_iter().flat_map(serde_json::Map::keys) {
            rows.push(row(
                format!("  {token}"),
                &format!("/history/tokens/{token}"),
            ));
        }
    }
    output::table(&words.risk_head(), &rows)
}
