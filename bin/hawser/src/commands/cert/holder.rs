//! What the holder of a certificate does.

use std::path::PathBuf;

use clap::Args;
use hawser_crypto::keystore::Params;
use hawser_pki::{Algorithm, PrivateKey, Request, Subject, write_atomic};
use serde_json::json;

use super::authority::algorithm;
use super::{failure, passphrase_of, write};
use crate::exit::{Code, Result, fail};
use crate::keyfile;
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::passphrase::PassphraseArgs;

/// Arguments of `cert request`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser cert request --key keys/identity.pem --name node0 --org 'Harbour Bank' --to node0.csr
  hawser cert request --new-key sm2 --key rpc-key.pem --name rpc --org 'Harbour Bank' \\
      --san rpc.example --to rpc.csr

Any authority can sign the request: `hawser cert issue`, or one outside (openssl ca, openssl x509).")]
pub(crate) struct RequestArgs {
    /// The key file; encrypted PKCS#8
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Make a new key of this kind and store it, encrypted, as --key
    #[arg(long, value_name = "ALGORITHM", value_parser = algorithm())]
    new_key: Option<Algorithm>,
    /// Name (CN): of the node, person or service
    #[arg(long)]
    name: String,
    /// Organisation (O)
    #[arg(long)]
    org: String,
    /// Unit (OU)
    #[arg(long)]
    unit: Option<String>,
    /// Country (C), two letters
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// DNS name or IP address; may be repeated
    #[arg(long, value_name = "NAME")]
    san: Vec<String>,
    /// File to write the request to
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn request(args: &RequestArgs, output: Output, lang: Lang) -> Result<()> {
    let wrong = |error| failure(&error, lang);
    let subject = Subject {
        common_name: args.name.clone(),
        organisation: args.org.clone(),
        unit: args.unit.clone(),
        country: args.country.clone(),
    };
    subject.check().map_err(wrong)?;
    let key = match args.new_key {
        None => keyfile::read_private(&args.key, &passphrase_of(&args.key, &args.passphrase)?)?,
        Some(algorithm) => {
            if args.key.exists() {
                let path = args.key.display();
                return fail(
                    Code::Usage,
                    match lang {
                        Lang::En => {
                            format!("{path} exists; leave --new-key out to use it, or name another")
                        }
                        Lang::Zh => {
                            format!("{path} 已存在；去掉 --new-key 以使用它，或换一个文件名")
                        }
                    },
                );
            }
            let passphrase = args.passphrase.new_key(&args.key.display().to_string())?;
            let key = PrivateKey::generate(algorithm).map_err(wrong)?;
            let text = key
                .encrypt(&passphrase, &Params::default())
                .map_err(wrong)?;
            write_atomic(&args.key, &text, true).map_err(wrong)?;
            key
        }
    };
    let request = Request::new(&subject, &args.san, &key).map_err(wrong)?;
    write(std::slice::from_ref(&args.to), &request.to_pem(), lang)?;
    let key_id = hex::encode(key.public_key().id());
    let value = json!({
        "request": args.to,
        "key": args.key,
        "subject": subject,
        "names": args.san,
        "algorithm": key.algorithm(),
        "nodeId": key_id,
    });
    output.print(&value, |_| {
        let names = match lang {
            Lang::En => ["request", "for", "key", "node id"],
            Lang::Zh => ["请求文件", "主体", "密钥", "节点标识"],
        };
        let values = [
            args.to.display().to_string(),
            subject.to_string(),
            format!("{} ({})", args.key.display(), key.algorithm()),
            key_id.clone(),
        ];
        output::pairs(&names.into_iter().zip(values).collect::<Vec<_>>())
    })
}
