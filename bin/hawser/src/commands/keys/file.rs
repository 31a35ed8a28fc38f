//! `hawser keys sign`, `verify`, `encrypt` and `decrypt`: files, with SM2 as other software has it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hawser_crypto::sm2pke::{self, Ciphertext, Layout, PLAINTEXT_BYTES_MAX};
use hawser_crypto::{PublicKey, Scheme, Signature};
use serde_json::json;

use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::output::{self, Output};
use crate::passphrase::PassphraseArgs;
use crate::{files, keyfile};

/// Largest file signed, in bytes.
const SIGNED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Largest signature file, in bytes: DER of 72 bytes, as text in hexadecimal with room.
const SIGNATURE_BYTES_MAX: u64 = 512;

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// SEQUENCE { r, s }, as OpenSSL and X.509 have it.
    Der,
    /// r and s, 32 bytes each.
    Raw,
}

/// Arguments of `keys sign`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser keys sign report.pdf --from notary --to report.sig
  hawser keys sign report.pdf --from notary --form raw

SM2 signs with the identity 1234567812345678 (GB/T 32918.2). OpenSSL verifies the file:
  openssl pkeyutl -verify -pubin -inkey public.pem -rawin -digest sm3 \\
    -pkeyopt distid:1234567812345678 -in report.pdf -sigfile report.sig
Ed25519 has no DER form; give --form raw.")]
pub(crate) struct SignArgs {
    /// File to sign
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Key that signs: a key file, or a name or address in the keystore
    #[arg(long, value_name = "KEY")]
    from: String,
    /// How the signature is written
    #[arg(long, value_enum, default_value_t = Form::Der)]
    form: Form,
    /// File to write the signature's bytes to; without it they are printed as hexadecimal digits
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser keys verify report.pdf --signature report.sig --signer notary
  hawser keys verify report.pdf --signature report.sig --signer sm2:0x03… --form raw

Ends with 5 when the signature does not fit.")]
pub(crate) struct VerifyArgs {
    /// File that was signed
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File with the signature: its bytes, or hexadecimal digits
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// Who signed: a public key as scheme:0x…, a key file, or a name or address in the keystore
    #[arg(long, value_name = "KEY")]
    signer: String,
    /// How the signature is written
    #[arg(long, value_enum, default_value_t = Form::Der)]
    form: Form,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys encrypt`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser keys encrypt offer.txt --for notary --to offer.sm2
  hawser keys encrypt offer.txt --for sm2:0x03… --layout c1c2c3 --to offer.sm2

SM2 (GB/T 32918.4), for files up to 16 MiB. c1c3c2 is the standard's layout, c1c2c3 that of older
software, der that of GM/T 0009 and OpenSSL.")]
pub(crate) struct EncryptArgs {
    /// File to encrypt
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who can read it: an SM2 key as sm2:0x…, a key file, or a name or address in the keystore
    #[arg(long = "for", value_name = "KEY")]
    recipient: String,
    /// Layout of the ciphertext
    #[arg(long, default_value = "c1c3c2", value_parser = layout())]
    layout: Layout,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys decrypt`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser keys decrypt offer.sm2 --from notary --to offer.txt

The written file can be read by its owner only.")]
pub(crate) struct DecryptArgs {
    /// File to decrypt
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The SM2 key it was encrypted for: a key file, or a name or address in the keystore
    #[arg(long, value_name = "KEY")]
    from: String,
    /// Layout of the ciphertext
    #[arg(long, default_value = "c1c3c2", value_parser = layout())]
    layout: Layout,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    home: HomeArgs,
}

fn layout() -> impl clap::builder::TypedValueParser<Value = Layout> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Layout::ALL.map(Layout::name))
        .try_map(|name| name.parse::<Layout>())
}

/// Runs `keys sign`.
pub(crate) fn sign(args: &SignArgs, output: Output, lang: Lang) -> Result<()> {
    let content = files::read_bytes(&args.file, SIGNED_BYTES_MAX)?;
    let key = args
        .home
        .home()
        .keystore()
        .open(&args.from, &args.passphrase)?;
    let signature = key.sign(&content);
    let bytes = match args.form {
        Form::Der => signature.to_der().or_fail(Code::Usage)?,
        Form::Raw => signature.as_bytes().to_vec(),
    };
    if let Some(to) = &args.to {
        files::write_bytes(to, &bytes, false)?;
    }
    let digits = format!("0x{}", hex::encode(&bytes));
    let value = json!({
        "signer": key.public_key(),
        "address": key.address(),
        "form": format!("{:?}", args.form).to_lowercase(),
        "signature": digits,
        "path": args.to,
    });
    output.print(&value, |_| match &args.to {
        Some(to) => wrote(to, lang),
        None => digits.clone(),
    })
}

/// Runs `keys verify`.
pub(crate) fn verify(args: &VerifyArgs, output: Output, lang: Lang) -> Result<()> {
    let key = public_key(&args.signer, &args.home, lang)?;
    let content = files::read_bytes(&args.file, SIGNED_BYTES_MAX)?;
    let bytes = files::read_bytes(&args.signature, SIGNATURE_BYTES_MAX)?;
    let bytes = from_digits(&bytes).unwrap_or(bytes);
    let signature = match args.form {
        Form::Der => Signature::from_der(key.scheme(), &bytes),
        Form::Raw => Signature::from_bytes(key.scheme(), &bytes),
    };
    let signature = signature.context(
        Code::NotFound,
        format!(
            "{} ({})",
            args.signature.display(),
            lang.pick(
                "was it written in this --form?",
                "签名文件的 --form 是否一致？"
            )
        ),
    )?;
    if key.verify(&content, &signature).is_err() {
        return fail(
            Code::NotFound,
            lang.pick(
                "the signature does not fit: another key signed, or the file was changed",
                "签名不符：由其他密钥签署，或文件已被改动",
            ),
        );
    }
    let value = json!({ "valid": true, "signer": key, "address": key.address() });
    output.print(&value, |_| {
        output::pairs(&[
            (
                lang.pick("signature", "签名"),
                lang.pick("valid", "有效").to_owned(),
            ),
            (lang.pick("signer", "签署者"), key.to_string()),
            (lang.pick("address", "地址"), key.address().to_string()),
        ])
    })
}

/// Runs `keys encrypt`.
pub(crate) fn encrypt(args: &EncryptArgs, output: Output, lang: Lang) -> Result<()> {
    let key = public_key(&args.recipient, &args.home, lang)?;
    let content = files::read_bytes(&args.file, PLAINTEXT_BYTES_MAX as u64)?;
    let made = sm2pke::encrypt(&key, &content).or_fail(Code::Usage)?;
    files::write_bytes(&args.to, &made.to_bytes(args.layout), false)?;
    let value = json!({ "path": args.to, "layout": args.layout.name(), "recipient": key });
    output.print(&value, |_| wrote(&args.to, lang))
}

/// Runs `keys decrypt`.
pub(crate) fn decrypt(args: &DecryptArgs, output: Output, lang: Lang) -> Result<()> {
    // Room for what every layout adds.
    let content = files::read_bytes(&args.file, PLAINTEXT_BYTES_MAX as u64 + 256)?;
    let ciphertext = Ciphertext::from_bytes(args.layout, &content)
        .context(Code::NotFound, args.file.display())?;
    let key = args
        .home
        .home()
        .keystore()
        .open(&args.from, &args.passphrase)?;
    let plaintext = sm2pke::decrypt(&key, &ciphertext).or_fail(Code::NotFound)?;
    files::write_bytes(&args.to, &plaintext, true)?;
    let value = json!({ "path": args.to, "bytes": plaintext.len() });
    output.print(&value, |_| wrote(&args.to, lang))
}

fn wrote(path: &Path, lang: Lang) -> String {
    format!("{} {}", lang.pick("Wrote", "已写入"), path.display())
}

/// The bytes that a text of hexadecimal digits means.
fn from_digits(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

/// A public key by itself, or that of a key file that tells it.
pub(crate) fn public_key(what: &str, home: &HomeArgs, lang: Lang) -> Result<PublicKey> {
    let by_itself = what
        .split_once(':')
        .is_some_and(|(scheme, _)| scheme.parse::<Scheme>().is_ok());
    if by_itself {
        return what.parse().or_fail(Code::Usage);
    }
    let path = home.home().keystore().find(what)?;
    match keyfile::info(&path).and_then(|info| info.public_key) {
        Some(key) => Ok(key),
        None => fail(
            Code::Config,
            format!(
                "{} {}",
                path.display(),
                lang.pick(
                    "does not tell its public key; give the key itself as scheme:0x…",
                    "不含公钥；请直接给出形如 scheme:0x… 的公钥"
                )
            ),
        ),
    }
}
