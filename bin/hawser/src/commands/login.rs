//! `hawser login`: a short-lived token for a program that cannot sign, such as a web page.

use clap::Args;
use serde_json::{Value, json};

use crate::client::NodeArgs;
use crate::exit::{Code, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::quantity;
use crate::send::SignerArgs;

/// Arguments of `login`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser login --from alice
  hawser login --from alice --rpc http://10.0.0.1:8545/chain/4207
  hawser login --from auditor --output json

Prints the token and nothing else on standard output: paste it where the web console asks for it, or send
it as `Authorization: Bearer …`. It is good for one chain on one node and for a few minutes; whoever has it
reads as the account of --from until then. It cannot send transactions. Tools that need longer use
`hawser proxy`.")]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Logs in and prints the token.
pub(crate) async fn run(args: &LoginArgs, output: Output, lang: Lang) -> Result<()> {
    let mut signer = args.signer.clone();
    if signer.key.is_none() {
        signer.from = signer.from.or_else(|| args.node.reader.clone());
    }
    let key = signer.open()?.into_key();
    // The login itself is open to everybody, so nothing is signed but the challenge.
    let client = NodeArgs {
        reader: None,
        ..args.node.clone()
    }
    .client()?;
    let public_key = key.public_key();
    let challenge = client.call("hawser_challenge", json!([public_key])).await?;
    let text = quantity::text(&challenge, "challenge");
    let signature = format!("0x{}", hex::encode(key.sign(text.as_bytes()).as_bytes()));
    let login = json!([{ "challenge": text, "signature": signature, "publicKey": public_key }]);
    let issued = client.call("hawser_login", login).await?;
    let token = quantity::text(&issued, "token");
    let Some(expires) = quantity::field(&issued, "expires").filter(|_| !token.is_empty()) else {
        return fail(Code::Refused, "hawser_login gives no token");
    };
    match output {
        Output::Json => output.print(&issued, |_| String::new()),
        Output::Table => {
            output::line(token)?;
            // Beside the token, so that standard output can be piped into a clipboard.
            eprintln!("{}", note(&issued, expires, client.url(), lang));
            Ok(())
        }
    }
}

fn note(issued: &Value, expires: u64, url: &str, lang: Lang) -> String {
    let account = quantity::text(issued, "account");
    let until = quantity::utc(expires);
    match lang {
        Lang::En => format!(
            "Reads as {account} at {url} until {until}. Give it to nobody; `hawser_logout` ends it."
        ),
        Lang::Zh => format!(
            "可在 {url} 以 {account} 读取，有效期至 {until}。请勿交给他人；`hawser_logout` 可使其失效。"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_says_who_where_and_until_when_and_never_the_token() {
        let issued = json!({ "token": "secret-token", "account": "0xab", "expires": 0 });
        for (lang, word) in [(Lang::En, "until"), (Lang::Zh, "有效期")] {
            let note = note(&issued, 1_795_264_884_805, "http://h:1", lang);
            assert!(note.contains("0xab") && note.contains("http://h:1") && note.contains(word));
            assert!(note.contains("2026-11-21"), "{note}");
            assert!(!note.contains("secret-token"));
        }
    }
}
