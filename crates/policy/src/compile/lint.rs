use serde::Serialize;

use crate::error::Place;

/// A remark of the compiler: the script runs, but perhaps not as meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lint {
    /// What.
    #[serde(flatten)]
    pub kind: LintKind,
    /// Where.
    pub place: Place,
}

/// What a remark is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "lint", content = "subject")]
pub enum LintKind {
    /// An address with capital letters as text.
    AddressCase(String),
    /// A script that cannot deny, flag or ask for a co-signature.
    NeverDecides,
    /// Statements behind a `return`, `break` or `continue`.
    Unreachable,
    /// Lists of the facts are read, and `tx.truncated` is not.
    Truncated,
}

impl LintKind {
    /// In English or Chinese.
    #[must_use]
    pub fn text(&self, chinese: bool) -> String {
        let pick = |en: &str, zh: &str| {
            if chinese {
                zh.to_owned()
            } else {
                en.to_owned()
            }
        };
        match self {
            Self::AddressCase(address) => pick(
                &format!(
                    "{address} has capital letters and equals no address of a transaction, as those are lower case; write address(\"{address}\") if an address is meant"
                ),
                &format!(
                    "{address} 含大写字母,而交易中的地址均为小写,二者不会相等;若意指地址,请写 address(\"{address}\")"
                ),
            ),
            Self::NeverDecides => pick(
                "the script never denies, flags or asks for a co-signature: it allows everything",
                "脚本从不拒绝、标记或要求联签:一切都会放行",
            ),
            Self::Unreachable => pick("this is never run", "此处永远不会执行"),
            Self::Truncated => pick(
                "tx.truncated is not read: a transaction with more calls, transfers or events than the facts hold gets the rule's on-exceed outcome",
                "未读取 tx.truncated:若交易的调用、转账或事件多于事实所能容纳,将按规则的超限结果处理",
            ),
        }
    }
}
