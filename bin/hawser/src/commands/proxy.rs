//! `hawser proxy`: lets Ethereum tools read a chain whose reads are signed.
//!
//! It logs in with a key and adds the token to every request, so whoever reaches it reads as that
//! account. Hence it listens on loopback only, and web pages are refused, unless told otherwise.

mod server;
mod socket;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::send::SignerArgs;
use crate::tls::TlsArgs;
use server::{Doors, Server};
use upstream::Upstream;

/// Arguments of `proxy`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser proxy --to http://10.0.0.1:8545 --from alice
  hawser proxy --to http://10.0.0.1:8545/chain/4207 --from alice.json --listen 127.0.0.1:9000
  hawser proxy --to https://rpc.example:8545 --ca ca.pem --from alice
  cast block-number --rpc-url http://127.0.0.1:8745

Whoever reaches the proxy reads as the account of --from. SIGINT stops it.")]
pub(crate) struct ProxyArgs {
    /// The node's JSON-RPC address
    #[arg(
        long,
        env = "HAWSER_RPC",
        value_name = "URL",
        default_value = "http://127.0.0.1:8545"
    )]
    to: String,
    /// Where tools connect, HTTP and WebSocket
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8745")]
    listen: SocketAddr,
    /// Allow --listen on an address that others reach: they then read as your account
    #[arg(long)]
    allow_remote: bool,
    /// Web page that may use the proxy, such as http://localhost:3000; may be repeated; * for all
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Runs until a signal.
pub(crate) async fn run(args: &ProxyArgs, output: Output, lang: Lang) -> Result<()> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return fail(
            Code::Usage,
            match lang {
                Lang::En => format!(
                    "{} is no loopback address: whoever reaches it would read as your account. \
                     --allow-remote allows it",
                    args.listen
                ),
                Lang::Zh => format!(
                    "{} 不是回环地址：能连上它的人都会以您的账户读取。如确需如此，请加 --allow-remote",
                    args.listen
                ),
            },
        );
    }
    let key = args.signer.open()?.into_key();
    let account = key.address();
    let upstream = Arc::new(Upstream::new(&args.to, key, || args.tls.open())?);
    let listener = TcpListener::bind(args.listen).await.context(
        Code::Failed,
        format!(
            "cannot listen on {}; --listen names another address",
            args.listen
        ),
    )?;
    let address = listener.local_addr().or_fail(Code::Failed)?;
    // Told at once, and no reason to end: the node may come later.
    if let Err(trouble) = upstream.token("/").await {
        eprintln!("{}: {}", lang.pick("warning", "警告"), trouble.text(lang));
    }
    let url = format!("http://{address}");
    match output {
        Output::Json => {
            output::line(&json!({ "listen": url, "to": args.to, "account": account }).to_string())?;
        }
        Output::Table => output::line(&match lang {
            Lang::En => format!("{url} (also ws://{address}) → {} as {account}", args.to),
            Lang::Zh => format!(
                "{url}（亦可用 ws://{address}）→ {}，账户 {account}",
                args.to
            ),
        })?,
    }
    let doors = Doors::new(address, args.allow_remote, &args.origin)?;
    let server = Server::new(upstream, doors, lang);
    server
        .serve(listener, async {
            // Without a signal there is no other way to end it than to kill it.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await
        .context(Code::Failed, "the proxy's listener failed")
}
