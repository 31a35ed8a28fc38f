//! The workloads by name.

use std::sync::Arc;

use super::{
    Workload,
    assets::{self, Assets},
    bank::SmallBank,
    evidence::{Evidence, EvidenceSet},
    heavy::Heavy,
    tokens::Tokens,
    transfer::Transfer,
    ycsb::{Mix, Ycsb},
};

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// Transactions.
    Transactions(Arc<dyn Workload>),
    /// Queries only.
    Queries,
}

/// Name, and what it does in English and in Chinese, in the order in which `all` runs them.
pub(crate) const NAMES: &[(&str, &str, &str)] = &[
    (
        "transfer",
        "native transfers of 1 wei",
        "原生转账，每笔 1 wei",
    ),
    (
        "erc20",
        "ERC-20 transfers (OpenZeppelin)",
        "ERC-20 转账（OpenZeppelin）",
    ),
    (
        "erc20-hot30",
        "the same, 30 % of them to one account",
        "同上，其中 30 % 转给同一账户（热点）",
    ),
    (
        "erc20-hot100",
        "the same, all of them to one account",
        "同上，全部转给同一账户（热点）",
    ),
    (
        "smallbank",
        "SmallBank: five kinds of changes, 10,000 customers",
        "SmallBank：五种变更操作，10,000 名客户",
    ),
    (
        "asset-100",
        "fixed asset of 100 bytes; asset-N for 100 to 16,384 bytes",
        "固定资产 100 字节；asset-N 表示 100 至 16,384 字节",
    ),
    ("asset-1024", "fixed asset of 1 KiB", "固定资产 1 KiB"),
    ("asset-16384", "fixed asset of 16 KiB", "固定资产 16 KiB"),
    (
        "ycsb-a",
        "YCSB A: 50 % reads, 50 % updates, Zipf 0.99, 1,000 records of 128 bytes",
        "YCSB A：50 % 读、50 % 更新，Zipf 0.99，1,000 条 128 字节记录",
    ),
    (
        "ycsb-b",
        "YCSB B: 95 % reads, 5 % updates",
        "YCSB B：95 % 读、5 % 更新",
    ),
    (
        "ycsb-f",
        "YCSB F: 50 % reads, 50 % read-modify-write",
        "YCSB F：50 % 读、50 % 读改写",
    ),
    (
        "nothing",
        "Blockbench DoNothing: an empty call",
        "Blockbench DoNothing：空调用",
    ),
    (
        "cpu",
        "Blockbench CPUHeavy: sorts 256 numbers",
        "Blockbench CPUHeavy：排序 256 个数",
    ),
    (
        "io",
        "Blockbench IOHeavy: writes 20 new keys and reads them",
        "Blockbench IOHeavy：写入 20 个新键并读回",
    ),
    (
        "evidence-1",
        "evidence, one record each",
        "存证，每笔 1 条记录",
    ),
    (
        "evidence-100",
        "evidence, 100 records each",
        "存证，每笔 100 条记录",
    ),
    (
        "evidence-1000",
        "evidence, 1,000 records each",
        "存证，每笔 1,000 条记录",
    ),
    (
        "evidence-set-100",
        "evidence, one set of 100 digests each",
        "存证，每笔 1 个含 100 条摘要的集合",
    ),
    (
        "evidence-set-1000",
        "evidence, one set of 1,000 digests each",
        "存证，每笔 1 个含 1,000 条摘要的集合",
    ),
    (
        "read",
        "queries: calls, balances, receipts, blocks",
        "查询：合约只读调用、余额、收据、区块",
    ),
];

/// The workload of a name.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse(name: &str) -> Result<Choice, String> {
    let transactions = |workload: Arc<dyn Workload>| Ok(Choice::Transactions(workload));
    if let Some(bytes) = name.strip_prefix("asset-") {
        let bytes = bytes.parse().ok().filter(|n| assets::SIZES.contains(n));
        return match bytes {
            Some(bytes) => transactions(Arc::new(Assets { bytes })),
            None => Err(format!(
                "`{name}`: assets have 100 to 16384 bytes, such as asset-1024"
            )),
        };
    }
    match name {
        "transfer" => transactions(Arc::new(Transfer)),
        "erc20" => transactions(Arc::new(Tokens { hot_percent: 0 })),
        "erc20-hot30" => transactions(Arc::new(Tokens { hot_percent: 30 })),
        "erc20-hot100" => transactions(Arc::new(Tokens { hot_percent: 100 })),
        "smallbank" => transactions(Arc::new(SmallBank)),
        "ycsb-a" => transactions(Arc::new(Ycsb::new(Mix::A))),
        "ycsb-b" => transactions(Arc::new(Ycsb::new(Mix::B))),
        "ycsb-f" => transactions(Arc::new(Ycsb::new(Mix::F))),
        "nothing" => transactions(Arc::new(Heavy::Nothing)),
        "cpu" => transactions(Arc::new(Heavy::Cpu)),
        "io" => transactions(Arc::new(Heavy::Io)),
        "evidence-1" => transactions(Arc::new(Evidence { records: 1 })),
        "evidence-100" => transactions(Arc::new(Evidence { records: 100 })),
        "evidence-1000" => transactions(Arc::new(Evidence { records: 1_000 })),
        "evidence-set-100" => transactions(Arc::new(EvidenceSet { digests: 100 })),
        "evidence-set-1000" => transactions(Arc::new(EvidenceSet { digests: 1_000 })),
        "read" => Ok(Choice::Queries),
        other => Err(format!(
            "`{other}` is no workload; `hawser bench --list` shows them, and `all` runs every one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_workload_and_nothing_else_is() {
        for (name, ..) in NAMES {
            assert!(parse(name).is_ok(), "{name}");
        }
        for bad in [
            "",
            "ERC20",
            "asset-",
            "asset-99",
            "asset-16385",
            "asset--5",
            "ycsb-c",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("asset-100").is_ok() && parse("asset-16384").is_ok());
    }
}
