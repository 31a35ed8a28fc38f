//! Errors of certificates and handshakes in both languages.

use hawser_pki::{Distrust, PkiError, Verified};

use crate::lang::Lang;

pub(crate) fn problem(error: &PkiError, lang: Lang) -> String {
    if lang == Lang::En {
        return error.to_string();
    }
    match error {
        PkiError::TooLarge { what, len, max } => {
            format!("{what}：{len} 字节，超过上限 {max}")
        }
        PkiError::TooMany { what, max } => format!("{what}：超过上限 {max}"),
        PkiError::Malformed { what, detail } => format!("{what} 格式错误：{detail}"),
        PkiError::NoBlock(label) => format!("文件中没有 `BEGIN {label}` 块；请提供 PEM 格式的文件"),
        PkiError::Unsupported { what, found } => {
            format!("不支持的{what}：{found}。密钥须为 SM2（SM2 签名配 SM3）、P-256 或 Ed25519")
        }
        PkiError::Input { what, requirement } => format!("{what}：{requirement}"),
        PkiError::Signature(subject) => {
            format!("{subject} 的签名错误：内容被改动，或由其他密钥签署")
        }
        PkiError::OtherKey(subject) => {
            format!("私钥与证书 {subject} 不匹配；请使用申请证书时的密钥")
        }
        PkiError::Key(why) => format!("私钥不可用：{why}"),
        PkiError::Randomness => "操作系统未提供随机数".to_owned(),
        PkiError::File { path, source } => format!("{}：{source}", path.display()),
        PkiError::Content { path, source } => {
            format!("{}：{}", path.display(), problem(source, lang))
        }
        PkiError::Exists(path) => format!("{} 中已有证书机构；请换一个目录", path.display()),
        PkiError::NoAuthority(path) => format!(
            "{} 中没有证书机构；可用 `hawser cert create --dir` 创建",
            path.display()
        ),
        PkiError::Locked(path) => {
            format!("另一进程正在使用 {} 中的证书机构；请稍候", path.display())
        }
        PkiError::Sealed => "证书机构的密钥未打开；请提供口令".to_owned(),
        PkiError::Unknown(what) => {
            format!("该机构的索引中没有证书 `{what}`；`hawser cert list` 列出全部")
        }
        PkiError::Ambiguous(what) => format!("`{what}` 对应多张证书；请给出完整序列号"),
        PkiError::Revoked(serial) => format!("证书 {serial} 已吊销；请用新密钥申请新证书"),
        PkiError::Refused(why) => format!("不允许：{why}"),
        other => other.to_string(),
    }
}

pub(crate) fn distrust(why: &Distrust, lang: Lang) -> String {
    if lang == Lang::En {
        return why.to_string();
    }
    match why {
        Distrust::NoCertificate => "对方未出示证书；请为该节点及其密钥配置证书".to_owned(),
        Distrust::TooLong { max } => {
            format!("证书链超过 {max} 张证书；只保留实体证书及其中间证书")
        }
        Distrust::Unreadable(detail) => format!("证书无法读取：{detail}"),
        Distrust::Expired { subject, not_after } => {
            format!("{subject} 的证书已于 {not_after} 过期；请续期（`hawser cert renew`）")
        }
        Distrust::NotYetValid {
            subject,
            not_before,
        } => {
            format!("{subject} 的证书自 {not_before} 起才生效；请检查两台机器的时钟")
        }
        Distrust::SelfSigned { subject } => {
            format!("{subject} 的证书是自签名的，且不是已配置的根证书；请由其机构的证书机构签发")
        }
        Distrust::UnknownIssuer { subject, issuer } => format!(
            "{subject} 的证书不是由受信任的机构签发：颁发者为 {issuer}。请将该机构的根证书加入信任目录，或补上缺少的中间证书"
        ),
        Distrust::BadSignature { subject, issuer } => format!(
            "{subject} 证书上的签名不是 {issuer} 的：证书被伪造或改动，或该机构以旧名称更换了密钥"
        ),
        Distrust::WrongAlgorithm {
            subject,
            found,
            expected,
        } => format!(
            "{subject} 的证书使用 {found} 密钥或签名；本网络使用 {expected}。请用相应的密钥重新申请"
        ),
        Distrust::NotAuthority { subject } => format!("{subject} 不是证书机构，无权签发证书"),
        Distrust::PathLength { subject, max } => {
            format!("证书机构 {subject} 之下最多允许 {max} 级机构")
        }
        Distrust::WrongUsage {
            subject,
            lacks,
            profile,
        } => format!("{subject} 的证书不适用于此用途：缺少 {lacks}。请按用途 {profile} 签发"),
        Distrust::UnknownCritical { subject, oid } => {
            format!("{subject} 的证书含有无法识别的关键扩展 {oid}；请重新签发不含该扩展的证书")
        }
        Distrust::Revoked {
            subject,
            serial,
            at,
            reason,
        } => format!(
            "{subject} 的证书（序列号 {serial}）已于 {at} 吊销（{reason}）；请用新密钥申请新证书"
        ),
        Distrust::NoCurrentCrl { issuer } => {
            format!("没有 {issuer} 的有效吊销列表；请将新的列表（`hawser cert crl`）放入信任目录")
        }
        Distrust::OtherOrganisation { claimed, authority } => format!(
            "证书所称机构为 `{claimed}`，却由 `{authority}` 的根签发；每个机构的证书机构只能为本机构成员签发"
        ),
        Distrust::WrongName {
            subject,
            asked,
            names,
        } => format!(
            "{subject} 的证书适用于 {names}，而不是 `{asked}`；请在地址中使用其中的名称，或签发包含该名称的证书"
        ),
        other => other.to_string(),
    }
}

pub(super) fn believed(verified: &Verified, lang: Lang) -> String {
    let names: Vec<_> = verified
        .chain
        .iter()
        .map(|one| one.subject().common_name.clone())
        .collect();
    let (chain, until) = (names.join(" ← "), verified.expires());
    let organisation = &verified.organisation;
    match lang {
        Lang::En => format!(
            "the chain leads to the root of organisation `{organisation}` ({chain}) and is valid until {until}"
        ),
        Lang::Zh => {
            format!("证书链通向机构 `{organisation}` 的根证书（{chain}），有效期至 {until}")
        }
    }
}

pub(super) fn not_tls(rpc: bool, lang: Lang) -> String {
    match (rpc, lang) {
        (true, Lang::En) => {
            "whoever answers does not speak TLS: this interface has no certificate \
             (rpc.tls_certificate), or the port is another service's"
        }
        (true, Lang::Zh) => "对方未使用 TLS：该接口没有证书（rpc.tls_certificate），或端口属于其他服务",
        (false, Lang::En) => {
            "whoever answers does not speak TLS: it is no port of peers (network.listen). Use --rpc \
             for an interface to clients"
        }
        (false, Lang::Zh) => {
            "对方未使用 TLS：这不是对等节点端口（network.listen）。检查客户端接口请加 --rpc"
        }
    }
    .to_owned()
}

pub(super) fn other_key(lang: Lang) -> String {
    lang.pick(
        "the key file holds another key than the certificate is for; use the key that was requested with",
        "密钥文件与证书不匹配；请使用申请证书时的密钥",
    )
    .to_owned()
}

pub(super) fn nothing_presented(lang: Lang) -> String {
    lang.pick("no certificate was presented", "对方未出示证书")
        .to_owned()
}

pub(super) fn no_trust(lang: Lang) -> String {
    lang.pick(
        "not judged: name the folder of roots with --trust",
        "未作判断：请用 --trust 指定根证书所在的信任目录",
    )
    .to_owned()
}

pub(super) fn shaken(suite: &str, lang: Lang) -> String {
    match lang {
        Lang::En => format!("the handshake succeeded with {suite}"),
        Lang::Zh => format!("握手成功，密码套件 {suite}"),
    }
}

/// Why a handshake failed. `presented`: whether a certificate was shown to the other side.
pub(super) fn handshake(error: &str, alert: Option<&str>, presented: bool, lang: Lang) -> String {
    let (en, zh) = match (alert, presented) {
        (Some("certificate_required"), _)
        | (Some("handshake_failure" | "bad_certificate"), false) => (
            "the other side asks for a certificate and none was presented; name one with --certificate and --key",
            "对方要求出示证书而未出示；请用 --certificate 和 --key 指定",
        ),
        (Some("certificate_expired"), _) => (
            "the other side says that the presented certificate is expired or not yet valid by its clock",
            "对方认为所出示的证书已过期或尚未生效（以其时钟为准）",
        ),
        (Some("certificate_revoked"), _) => (
            "the other side says that the presented certificate is revoked",
            "对方认为所出示的证书已被吊销",
        ),
        (Some("unknown_ca"), _) => (
            "the other side does not trust the authority of the presented certificate: put the organisation's root into its trust/roots",
            "对方不信任所出示证书的颁发机构：请将该机构的根证书放入对方的 trust/roots",
        ),
        (Some("unsupported_certificate"), _) => (
            "the other side says that the presented certificate is not for this use or of another algorithm; issue one with the right profile",
            "对方认为所出示的证书用途不符或算法不同；请按正确的用途重新签发",
        ),
        (Some("bad_certificate" | "certificate_unknown"), true) => (
            "the other side cannot use the presented certificate: look at its organisation, critical extensions and length of chain",
            "对方无法使用所出示的证书：请检查其机构名称、关键扩展和证书链长度",
        ),
        (Some("access_denied"), _) => (
            "the certificate is believed, and its key is not among the other side's network.peers: add its node id there",
            "证书可信，但其密钥不在对方的 network.peers 中：请将其节点标识加入",
        ),
        (Some("decrypt_error"), _) => (
            "the signature of the handshake does not fit the presented certificate: certificate and key do not belong together",
            "握手签名与所出示的证书不符：证书与密钥不匹配",
        ),
        (Some("no_application_protocol"), _) => (
            "the other side speaks another protocol: use --rpc for an interface to clients, leave it out for peers",
            "对方使用另一协议：客户端接口请加 --rpc，对等节点则不加",
        ),
        (Some("handshake_failure"), _) => (
            "there is no common cipher suite or signature algorithm: one side is on RFC 8998 (SM2) and the other on international suites, or the other side uses raw public keys (network.credential = \"raw-key\")",
            "没有共同的密码套件或签名算法：一方使用 RFC 8998（SM2）而另一方使用国际套件，或对方使用裸公钥（network.credential = \"raw-key\"）",
        ),
        (Some("protocol_version"), _) => ("the other side offers no TLS 1.3", "对方不支持 TLS 1.3"),
        _ => ("the handshake failed", "握手失败"),
    };
    format!("{} ({error})", lang.pick(en, zh))
}
