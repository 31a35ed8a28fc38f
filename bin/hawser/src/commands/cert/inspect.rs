//! What a file says.

use std::path::PathBuf;

use clap::Args;
use hawser_pki::{Certificate, Crl, Moment, Request, parse_certificates};
use serde_json::{Value, json};

use super::failure;
use crate::exit::{Code, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::output::{self, Output};

/// Arguments of `cert inspect`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser cert inspect certs/node.pem
  hawser cert inspect node0.csr --output json
  hawser cert inspect trust/crls/bank.pem")]
pub(crate) struct InspectArgs {
    /// PEM file with certificates, a request or a revocation list
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &InspectArgs, output: Output, lang: Lang) -> Result<()> {
    let wrong = |error| failure(&error, lang);
    let text = files::read_text(&args.file, hawser_pki::limits::FILE_BYTES_MAX as u64)?;
    let certificates = parse_certificates(&text).map_err(wrong)?;
    if !certificates.is_empty() {
        let value: Vec<_> = certificates.iter().map(view).collect();
        return output.print(&value, |_| {
            let tables: Vec<_> = certificates.iter().map(|one| table(one, lang)).collect();
            tables.join("\n")
        });
    }
    let crls = Crl::parse_all(&text).map_err(wrong)?;
    if !crls.is_empty() {
        let value: Vec<_> = crls.iter().map(view_crl).collect();
        return output.print(&value, |_| {
            let tables: Vec<_> = crls.iter().map(|one| table_crl(one, lang)).collect();
            tables.join("\n")
        });
    }
    if text.contains("CERTIFICATE REQUEST") {
        let request = Request::from_pem(&text).map_err(wrong)?;
        return output.print(&view_request(&request), |_| table_request(&request, lang));
    }
    let path = args.file.display();
    fail(
        Code::Config,
        match lang {
            Lang::En => {
                format!("{path} holds no certificate, request or revocation list in PEM form")
            }
            Lang::Zh => format!("{path} 中没有 PEM 格式的证书、证书请求或吊销列表"),
        },
    )
}

pub(super) fn view(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial(),
        "profile": certificate.profile(),
        "algorithm": certificate.public_key().algorithm(),
        "signature": certificate.signature_algorithm(),
        "names": certificate.names(),
        "notBefore": certificate.not_before().to_string(),
        "notAfter": certificate.not_after().to_string(),
        "authority": certificate.is_authority(),
        "pathLen": certificate.path_len(),
        "nodeId": hex::encode(certificate.public_key().id()),
        "fingerprint": certificate.fingerprint(),
        "unknownCritical": certificate.unknown_critical(),
    })
}

pub(super) fn table(certificate: &Certificate, lang: Lang) -> String {
    let names = match lang {
        Lang::En => [
            "subject",
            "issuer",
            "serial",
            "for",
            "key",
            "signature",
            "names",
            "valid from",
            "valid until",
            "node id",
            "fingerprint",
            "not understood",
        ],
        Lang::Zh => [
            "主体",
            "颁发者",
            "序列号",
            "用途",
            "密钥",
            "签名",
            "别名",
            "生效时间",
            "有效期至",
            "节点标识",
            "指纹",
            "无法识别",
        ],
    };
    let until = certificate.not_after();
    let expired = if Moment::now() > until {
        lang.pick(" (expired)", "（已过期）")
    } else {
        ""
    };
    let values = [
        certificate.subject().to_string(),
        certificate.issuer().to_string(),
        certificate.serial(),
        certificate
            .profile()
            .map_or_else(String::new, |profile| profile.to_string()),
        certificate.public_key().algorithm().to_string(),
        certificate.signature_algorithm().to_string(),
        certificate.names().join(", "),
        certificate.not_before().to_string(),
        format!("{until}{expired}"),
        hex::encode(certificate.public_key().id()),
        certificate.fingerprint(),
        certificate
            .unknown_critical()
            .unwrap_or_default()
            .to_owned(),
    ];
    output::pairs(&names.into_iter().zip(values).collect::<Vec<_>>())
}

pub(super) fn view_crl(crl: &Crl) -> Value {
    let entries: Vec<_> = crl
        .entries()
        .map(|(serial, entry)| {
            json!({ "serial": serial, "at": entry.at.to_string(), "reason": entry.reason })
        })
        .collect();
    json!({
        "issuer": crl.issuer(),
        "number": crl.number(),
        "thisUpdate": crl.this_update().to_string(),
        "nextUpdate": crl.next_update().map(|next| next.to_string()),
        "revoked": entries,
    })
}

pub(super) fn table_crl(crl: &Crl, lang: Lang) -> String {
    let names = match lang {
        Lang::En => ["issuer", "number", "made", "next due", "revoked"],
        Lang::Zh => ["颁发者", "编号", "生成时间", "下次更新", "已吊销"],
    };
    let values = [
        crl.issuer().to_string(),
        crl.number(),
        crl.this_update().to_string(),
        crl.next_update()
            .map_or_else(String::new, |next| next.to_string()),
        crl.len().to_string(),
    ];
    let mut text = output::pairs(&names.into_iter().zip(values).collect::<Vec<_>>());
    if !crl.is_empty() {
        let head = match lang {
            Lang::En => ["serial", "revoked at", "reason"],
            Lang::Zh => ["序列号", "吊销时间", "原因"],
        };
        let rows: Vec<_> = crl
            .entries()
            .map(|(serial, entry)| vec![serial, entry.at.to_string(), entry.reason.to_string()])
            .collect();
        text.push('\n');
        text.push_str(&output::table(&head, &rows));
    }
    text
}

fn view_request(request: &Request) -> Value {
    json!({
        "subject": request.subject(),
        "names": request.names(),
        "algorithm": request.public_key().algorithm(),
        "nodeId": hex::encode(request.public_key().id()),
    })
}

fn table_request(request: &Request, lang: Lang) -> String {
    let names = match lang {
        Lang::En => ["request for", "names", "key", "node id"],
        Lang::Zh => ["请求主体", "别名", "密钥", "节点标识"],
    };
    let values = [
        request.subject().to_string(),
        request.names().join(", "),
        request.public_key().algorithm().to_string(),
        hex::encode(request.public_key().id()),
    ];
    output::pairs(&names.into_iter().zip(values).collect::<Vec<_>>())
}
