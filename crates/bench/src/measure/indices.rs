//! The figures under the names of JR/T 0193-2020, section 7, and of the CIC's indices of 2021, each with the definition
//! by which it was computed here; what cannot be measured says so.

use serde::Serialize;

use super::model::{Level, Saturation, WorkloadRun};

/// An index of a standard.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// `JR/T 0193` or `CIC 2021`.
    pub standard: &'static str,
    /// Its name in English.
    pub name: &'static str,
    /// Its name in Chinese.
    pub name_zh: &'static str,
    /// How it was computed here.
    pub definition: &'static str,
    /// The same in Chinese.
    pub definition_zh: &'static str,
    /// The figure; none where it could not be measured.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// Why there is no figure.
    pub missing: Option<&'static str>,
    /// The same in Chinese.
    pub missing_zh: Option<&'static str>,
}

type Names = (&'static str, &'static str);

struct Row {
    standard: &'static str,
    name: Names,
    definition: Names,
    unit: &'static str,
    value: Option<f64>,
    missing: Names,
}

const JRT: &str = "JR/T 0193";
const CIC: &str = "CIC 2021";
const LOAD: Names = (
    "this run had no transactions, or the nodes are not on this machine",
    "本次运行没有交易负载，或节点不在本机",
);
const FAULT: Names = (
    "needs a fault: --fault crash-one",
    "需要故障场景：--fault crash-one",
);
const CHAINS: Names = (
    "one chain is measured; there are no transactions between chains in this version",
    "本工具测量单条链；此版本没有跨链交易",
);

/// The indices of a run.
pub(crate) fn of(run: &WorkloadRun) -> Vec<Index> {
    jrt(run)
        .into_iter()
        .chain(cic(run))
        .map(Index::from)
        .collect()
}

impl From<Row> for Index {
    fn from(row: Row) -> Self {
        let missing = row.value.is_none();
        Self {
            standard: row.standard,
            name: row.name.0,
            name_zh: row.name.1,
            definition: row.definition.0,
            definition_zh: row.definition.1,
            value: row.value,
            unit: row.unit,
            missing: missing.then_some(row.missing.0),
            missing_zh: missing.then_some(row.missing.1),
        }
    }
}

fn jrt(run: &WorkloadRun) -> Vec<Row> {
    let saturation = run.saturation.as_ref();
    let nodes = saturation.and_then(|s| s.nodes.as_ref());
    let row = |name, definition, unit, value, missing| Row {
        standard: JRT,
        name,
        definition,
        unit,
        value,
        missing,
    };
    vec![
        row(
            ("transaction throughput", "交易吞吐率"),
            (
                "transactions executed in final blocks per second at saturation, without ramp and drain",
                "饱和负载下每秒在最终区块中执行的交易数，不含升压与排空阶段",
            ),
            "tx/s",
            saturation.map(|s| s.steady.tps),
            LOAD,
        ),
        row(
            ("query throughput", "查询吞吐率"),
            (
                "calls, balances, receipts and blocks answered per second by all nodes, 32 connections",
                "32 个连接下全部节点每秒应答的只读调用、余额、收据与区块查询数",
            ),
            "queries/s",
            run.queries.as_ref().map(|queries| queries.per_second),
            LOAD,
        ),
        row(
            ("transaction synchronisation", "交易同步性能"),
            (
                "median time from the first node's showing a block to the last one's, at 10 % load",
                "10 % 负载下，从首个节点可见某区块到全部节点可见的时间中位数",
            ),
            "ms",
            run.start.apart_ms.map(|apart| apart.p50_ms),
            LOAD,
        ),
        row(
            ("deployment efficiency", "部署效率"),
            (
                "`hawser up` from its call until the validators agree, keys and genesis included",
                "从执行 `hawser up` 到验证节点达成一致的时间，含密钥与创世文件生成",
            ),
            "ms",
            run.start.up_ms,
            (
                "the network was not started by this run",
                "网络并非由本次运行启动",
            ),
        ),
        row(
            ("ledger growth rate", "账本增长速率"),
            (
                "growth of a node's data folder per second at saturation",
                "饱和负载下单个节点数据目录每秒的增长量",
            ),
            "kB/s",
            saturation
                .zip(nodes)
                .map(|(s, nodes)| nodes.disk_bytes * s.steady.tps / 1_000.0),
            LOAD,
        ),
    ]
}

/// The level at this part of the saturation rate, else the first one.
fn level(run: &WorkloadRun, percent: u32) -> Option<&Level> {
    let found = run.levels.iter().find(|level| level.percent == percent);
    found.or_else(|| run.levels.first())
}

fn share(saturation: &Saturation) -> f64 {
    saturation.succeeded as f64 / saturation.offered.max(1) as f64
}

#[allow(clippy::too_many_lines)] // A list; parts of it would not be easier to read.
fn cic(run: &WorkloadRun) -> Vec<Row> {
    let saturation = run.saturation.as_ref();
    let nodes = saturation.and_then(|s| s.nodes.as_ref());
    let crash = run.faults.first().map(|fault| fault.events);
    let row = |name, definition, unit, value, missing| Row {
        standard: CIC,
        name,
        definition,
        unit,
        value,
        missing,
    };
    vec![
        row(
            ("ledger synchronisation delay", "账本同步时延"),
            (
                "95th percentile of the time from the first node's showing a block to the last one's, at 10 % load",
                "10 % 负载下，从首个节点可见某区块到全部节点可见的时间（95 分位）",
            ),
            "ms",
            run.start.apart_ms.map(|apart| apart.p95_ms),
            LOAD,
        ),
        row(
            ("read and write throughput", "读写吞吐量"),
            (
                "transactions per second at saturation plus queries per second alone, one after the other",
                "饱和交易吞吐量与单独测得的查询吞吐量之和（两者先后测量）",
            ),
            "ops/s",
            saturation
                .zip(run.queries.as_ref())
                .map(|(s, queries)| s.steady.tps + queries.per_second),
            LOAD,
        ),
        row(
            ("storage efficiency", "存储效率"),
            (
                "bytes of signed transactions over bytes by which a node's data folder grew",
                "已签名交易字节数与单个节点数据目录增长字节数之比",
            ),
            "",
            saturation
                .zip(nodes)
                .filter(|(_, nodes)| nodes.disk_bytes > 0.0)
                .map(|(s, nodes)| s.transaction_bytes / nodes.disk_bytes),
            LOAD,
        ),
        row(
            ("node state delay", "节点状态时延"),
            (
                "from a validator's stop until another node counts a peer less",
                "从验证节点停止到其他节点感知其离线的时间",
            ),
            "ms",
            crash
                .and_then(|events| events.noticed_s)
                .map(|s| s * 1_000.0),
            FAULT,
        ),
        row(
            ("transfer efficiency", "传输效率"),
            (
                "bytes of signed transactions over bytes that a node sent to the others, at saturation",
                "饱和负载下已签名交易字节数与单个节点发往其他节点字节数之比",
            ),
            "",
            saturation
                .zip(nodes)
                .filter(|(_, nodes)| nodes.wire_bytes > 0.0)
                .map(|(s, nodes)| s.transaction_bytes / nodes.wire_bytes),
            LOAD,
        ),
        row(
            ("packet loss", "丢包率"),
            (
                "TCP segments sent again, of all that this machine sent at saturation (loopback)",
                "饱和负载下本机重传的 TCP 报文段占比（环回接口）",
            ),
            "",
            nodes.map(|nodes| nodes.segments_again),
            LOAD,
        ),
        row(
            ("consistency throughput", "一致性吞吐量"),
            (
                "transactions per second up to the height that every node had at the end of the load",
                "负载结束时全部节点均已到达高度之内的每秒交易数",
            ),
            "tx/s",
            nodes.map(|nodes| nodes.consistent_tps),
            LOAD,
        ),
        row(
            ("block interval", "出块间隔"),
            (
                "mean time between two blocks at saturation",
                "饱和负载下的平均出块间隔",
            ),
            "ms",
            saturation.map(|s| s.block_interval_ms),
            LOAD,
        ),
        row(
            ("transaction throughput", "交易吞吐量"),
            ("as JR/T 0193", "同 JR/T 0193"),
            "tx/s",
            saturation.map(|s| s.steady.tps),
            LOAD,
        ),
        row(
            ("verification efficiency", "验证效率"),
            (
                "transactions that a node checked per second of processor time in its stage `verify`",
                "节点在“verify”阶段每秒处理器时间验证的交易数",
            ),
            "tx/s",
            nodes.and_then(|nodes| nodes.verified_per_cpu_s),
            LOAD,
        ),
        row(
            ("confirmation delay", "确认时延"),
            (
                "median from when a transaction was due to its final block, at 50 % of saturation",
                "50 % 饱和负载下，从交易应发送时刻到其进入最终区块的时间中位数",
            ),
            "ms",
            level(run, 50).map(|level| level.latency.p50_ms),
            LOAD,
        ),
        row(
            ("contract delay", "合约时延"),
            (
                "from sending a contract's creation until it is executed",
                "从发送合约创建交易到其执行完成的时间",
            ),
            "ms",
            run.start.deploy_ms,
            ("this workload has no contract", "该负载不使用合约"),
        ),
        row(
            ("effective throughput", "有效吞吐量"),
            (
                "transaction throughput times the share of transactions executed without a second try",
                "交易吞吐量乘以无需重发即执行成功的交易占比",
            ),
            "tx/s",
            saturation.map(|s| s.steady.tps * share(s)),
            LOAD,
        ),
        row(
            ("cross-chain throughput", "跨链吞吐量"),
            ("transactions between chains per second", "每秒跨链交易数"),
            "tx/s",
            None,
            CHAINS,
        ),
        row(
            ("cross-chain verification efficiency", "跨链验证效率"),
            (
                "proofs of another chain checked per second",
                "每秒验证的他链证明数",
            ),
            "proofs/s",
            None,
            CHAINS,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use crate::report::tests::run;

    #[test]
    fn every_index_has_a_figure_or_a_reason_in_both_languages() {
        let all = super::of(&run());
        assert_eq!(all.iter().filter(|i| i.standard == "JR/T 0193").count(), 5);
        assert_eq!(all.iter().filter(|i| i.standard == "CIC 2021").count(), 15);
        for index in &all {
            assert_eq!(
                index.value.is_none(),
                index.missing.is_some(),
                "{}",
                index.name
            );
            assert!(!index.definition.is_empty() && !index.definition_zh.is_empty());
            assert!(!index.name_zh.is_ascii(), "{}", index.name);
        }
        let missing: Vec<_> = all
            .iter()
            .filter(|i| i.value.is_none())
            .map(|i| i.name)
            .collect();
        assert_eq!(
            missing,
            [
                "node state delay",
                "cross-chain throughput",
                "cross-chain verification efficiency"
            ]
        );
    }
}
