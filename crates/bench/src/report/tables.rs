//! The rows that page and terminal show.

use crate::{
    Language,
    compare::number,
    measure::model::{Class, MeasureReport, WorkloadRun},
    stats::Percentiles,
};

/// A text in English and Chinese.
pub(super) type Both = (String, String);

pub(super) fn both(en: &str, zh: &str) -> Both {
    (en.to_owned(), zh.to_owned())
}

/// A name, its value, and what more there is to say.
pub(super) struct Row {
    pub(super) name: Both,
    pub(super) value: String,
}

fn row(en: &str, zh: &str, value: impl Into<String>) -> Row {
    Row {
        name: both(en, zh),
        value: value.into(),
    }
}

pub(super) fn percentiles(latency: &Percentiles) -> String {
    format!(
        "{} / {} / {} ms",
        number(latency.p50_ms),
        number(latency.p95_ms),
        number(latency.p99_ms)
    )
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", number(bytes as f64 / f64::from(1 << 20)))
}

pub(super) const fn class_names(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Stress => ("stress (sent ÷ committed ≈ 1)", "压力测试（发送÷提交≈1）"),
        Class::Spike => ("spike (sent ÷ committed ≈ 2)", "峰值测试（发送÷提交≈2）"),
        Class::Stability => ("stability (20 % load)", "稳定性测试（20 % 负载）"),
        Class::Overload => ("overload", "过载"),
    }
}

/// The figures of a run, in the order in which they were measured.
pub(super) fn figures(run: &WorkloadRun) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(saturation) = &run.saturation {
        rows.push(row(
            "saturation",
            "饱和吞吐量",
            format!("{} tx/s", number(saturation.steady.tps)),
        ));
        if run.records > 1 {
            let records = saturation.steady.tps * run.records as f64;
            rows.push(row(
                "records",
                "存证记录",
                format!("{} /s", number(records)),
            ));
        }
        rows.push(row(
            "blocks",
            "区块",
            format!(
                "{} ms, {} tx",
                number(saturation.block_interval_ms),
                number(saturation.transactions_per_block)
            ),
        ));
        if let Some(nodes) = &saturation.nodes {
            rows.push(row(
                "processor per transaction and validator",
                "每笔交易每验证节点处理器时间",
                format!("{} µs", number(nodes.cpu_us)),
            ));
            rows.push(row(
                "bytes per transaction and node: disk, written, wire",
                "每笔交易每节点字节数：数据目录、写盘、网络",
                format!(
                    "{} / {} / {}",
                    number(nodes.disk_bytes),
                    number(nodes.written_bytes),
                    number(nodes.wire_bytes)
                ),
            ));
            rows.push(row(
                "largest resident memory of a node",
                "单节点最大常驻内存",
                mib(nodes.resident_max),
            ));
            rows.push(row(
                "processors: nodes, generator",
                "占用处理器核数：节点、发压端",
                format!(
                    "{} / {}",
                    number(nodes.cores),
                    number(saturation.generator_cores)
                ),
            ));
        }
    }
    for level in &run.levels {
        rows.push(row(
            &format!("p50 / p95 / p99 at {} %", level.percent),
            &format!("{} % 负载 p50 / p95 / p99", level.percent),
            percentiles(&level.latency),
        ));
    }
    if let Some(beside) = &run.snapshots {
        let (made, size) = (beside.made, mib(beside.bytes));
        rows.push(row(
            &format!("p50 / p95 / p99 at 50 %, {made} snapshots of {size} beside it"),
            &format!("50 % 负载并同时制作 {made} 个快照（{size}）时 p50 / p95 / p99"),
            percentiles(&beside.level.latency),
        ));
    }
    for class in &run.classes {
        let (en, zh) = class_names(class.class);
        let mark = if class.passed { "✓" } else { "✗" };
        rows.push(row(
            en,
            zh,
            format!(
                "{mark} {} (≥ {})",
                percent(class.success),
                percent(class.success_min)
            ),
        ));
    }
    rows.extend(extremes(run));
    if let Some(queries) = &run.queries {
        rows.push(row(
            "queries",
            "查询吞吐量",
            format!("{} /s", number(queries.per_second)),
        ));
        if let Some(latency) = &queries.latency {
            rows.push(row("time of a query", "查询耗时", percentiles(latency)));
        }
    }
    rows
}

/// Overload and faults.
fn extremes(run: &WorkloadRun) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(overload) = &run.overload {
        let share = overload.busy as f64 / overload.offered.max(1) as f64;
        rows.push(row(
            "overload: refused with a hint, memory, lost",
            "过载：带重试提示的拒绝、内存、丢失",
            format!("{} / {} / 0", percent(share), mib(overload.resident_max)),
        ));
        let recovered = overload
            .recovered_s
            .map_or_else(|| "–".to_owned(), |s| format!("{s:.1} s"));
        rows.push(row(
            "overload: drained, then full speed",
            "过载：排空时间、恢复全速时间",
            format!("{:.1} s / {recovered}", overload.drained_s),
        ));
    }
    for fault in &run.faults {
        let (en, zh) = fault.fault.names();
        rows.push(row(
            en,
            zh,
            format!(
                "{} → {} → {} tx/s",
                number(fault.before_tps),
                number(fault.during_tps),
                number(fault.after_tps)
            ),
        ));
        let recovered = fault
            .recovered_s
            .map_or_else(|| "–".to_owned(), |s| format!("{s:.1} s"));
        rows.push(row(
            "  longest gap, time to recover, handed in again",
            "  最长无块间隔、恢复时间、重新提交",
            format!(
                "{} ms / {recovered} / {}",
                number(fault.gap_ms_max),
                fault.resubmitted
            ),
        ));
    }
    rows
}

/// How everything was set.
pub(super) fn settings(report: &MeasureReport) -> Vec<Row> {
    let (machine, set) = (&report.machine, &report.settings);
    let sync = machine.fsync.as_ref().map_or_else(
        || "–".to_owned(),
        |sync| {
            format!(
                "p50 {} ms, p95 {} ms",
                number(sync.p50_ms),
                number(sync.p95_ms)
            )
        },
    );
    let network = match set.validators {
        Some(count) => format!("{count}"),
        None => set.target.join(", "),
    };
    vec![
        row(
            "processor",
            "处理器",
            format!("{}, {}", machine.cpu, machine.cores),
        ),
        row("memory", "内存", format!("{} MiB", machine.memory_mib)),
        row("kernel", "内核", machine.kernel.clone()),
        row(
            "disk; 4 KiB written and synced",
            "磁盘；4 KiB 写入并同步",
            format!("{}; {sync}", machine.filesystem),
        ),
        row(
            "load before the start",
            "开始前系统负载",
            number(machine.load_before),
        ),
        row("hawser", "hawser", report.hawser_version.clone()),
        row(
            "validators (processes on this machine) or nodes",
            "验证节点（本机进程）或目标节点",
            network,
        ),
        row(
            "submission, transactions per request",
            "提交方式、每请求交易数",
            format!("{:?}, {}", set.submit, set.batch).to_lowercase(),
        ),
        row(
            "accounts, seed, steady seconds",
            "账户数、种子、稳态秒数",
            format!("{}, {}, {}", set.accounts, set.seed, set.seconds),
        ),
        row("command", "命令", report.command.clone()),
        row("took", "耗时", format!("{} s", number(report.took_s))),
    ]
}

/// What a reader has to know about the method.
pub(super) fn method() -> Vec<Both> {
    vec![
        both(
            "Durability: every validator syncs its log to the disk for each block. Signatures: every transaction is \
             signed by its account beforehand and verified by every validator.",
            "持久性：每个验证节点对每个区块同步落盘。签名：每笔交易由其账户预先签名，并由每个验证节点验证。",
        ),
        both(
            "Latency is open-loop: from the moment a transaction was due, whenever it left, until its final block was \
             visible on a node (looked for every 4 ms). A refused transaction counts as failed, even if it was sent \
             again and executed.",
            "时延按开环方式测量：从交易应发送的时刻（无论实际何时发出）到节点可见其最终区块（每 4 毫秒查看一次）。被拒绝的交易即使重发后执行，也计为失败。",
        ),
        both(
            "Processor time is that of the node processes (/proc/PID/task/*/stat), split by the names of their threads. \
             Disk is the growth of the data folders while running; written is /proc/PID/io; wire is the nodes' own \
             count of bytes on their links.",
            "处理器时间取自节点进程（/proc/PID/task/*/stat），按线程名划分阶段。磁盘为运行期间数据目录的增长；写盘取自 /proc/PID/io；网络为节点自身统计的链路字节数。",
        ),
        both(
            "A partition is made by stopping a validator's process for 2 s, which needs no privilege: to the others it \
             is cut off. Network namespaces are not used.",
            "分区故障通过将验证节点进程停止 2 秒实现（无需特权）：对其他节点而言等同于断网。未使用网络命名空间。",
        ),
        both(
            "In every run transactions with bad signatures, wrong and used-up nonces, past expiry, too many bytes, cut \
             bytes, and replays were sent and had to be refused; of two conflicting ones exactly one was executed. \
             Afterwards blocks, receipts and state were compared with what was sent. A run in which anything differs \
             is void.",
            "每次运行都提交错误签名、错误或已用 nonce、已过期、超长、截断与重放的交易，均须被拒绝；两笔冲突交易恰有一笔执行。随后将区块、收据与状态同已发送内容核对。任何不符都会使该次运行无效。",
        ),
    ]
}

/// One of both.
pub(super) fn pick(text: &Both, language: Language) -> &str {
    match language {
        Language::En => &text.0,
        Language::Zh => &text.1,
    }
}
