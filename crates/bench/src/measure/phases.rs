//! The parts of a measurement and what they show.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_primitives::Address;

use super::{
    bed::Bed,
    checks,
    model::{Class, ClassReport, Level, Overload, QueryReport, Snapshots, WorkloadRun},
    saturate::with_memory,
    stage::{Part, Stage},
};
use crate::{
    args::{BenchArgs, Lengths},
    drive::{Driven, Pace, ask},
    error::{BenchError, Result},
    faults::{self, Fault},
    probe::{Ground, Probes},
    progress::Progress,
    rpc::Client,
    sample::{self, Memory},
    seed::now,
    stats::Percentiles,
    work::{Choice, Queries, Workload},
};

/// How long an answer may take; in runs with faults, so that accounts of a dead node move on.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
const ANSWER_IN_FAULTS: Duration = Duration::from_millis(750);
/// Part of the saturation rate at which the nodes' distance is looked at.
const SPREAD_PERCENT: u32 = 10;
/// Most memory of a node in MiB: 128 for the pool's transactions, as much again twice for what is known about them,
/// 512 for requests and answers, 256 for caches, and 512 for the rest.
const RESIDENT_BOUND_MIB: u64 = 128 * 3 + 512 + 256 + 512;

pub(super) struct Phases<'a> {
    pub(super) args: &'a BenchArgs,
    pub(super) lengths: &'a Lengths,
    pub(super) progress: &'a Progress,
}

pub(super) fn void(text: impl Into<String>) -> BenchError {
    BenchError::Void(text.into())
}

fn tps(driven: &Driven) -> f64 {
    driven.steady.as_ref().map_or_else(
        || driven.order.len() as f64 / driven.drained.as_secs_f64().max(1e-3),
        |steady| steady.tps,
    )
}

fn success(driven: &Driven) -> f64 {
    driven.succeeded as f64 / driven.counts.offered.max(1) as f64
}

pub(super) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `length_s` seconds at a rate from the first moment on, without a ramp.
fn at_rate(name: &str, offered: f64, length_s: u64) -> Part<'_> {
    Part {
        name,
        pace: Pace::Rate(offered),
        ramp: Duration::ZERO,
        length: seconds(length_s),
        transactions: (offered * length_s as f64) as u64 + 1,
        answer: ANSWER,
        hold: false,
    }
}

/// A refusal for another reason than load is a fault, unless validators are being killed.
pub(super) fn unrefused(driven: &Driven) -> Result<()> {
    match &driven.refusal {
        None => Ok(()),
        Some(text) => Err(void(format!(
            "{} good transactions were refused, the first with: {text}",
            driven.counts.refused
        ))),
    }
}

fn level_of(driven: Driven, percent: u32, offered_tps: f64) -> Result<Level> {
    unrefused(&driven)?;
    let success = success(&driven);
    let latency = Percentiles::of(driven.latencies_ms)
        .ok_or_else(|| void(format!("nothing was executed at {percent} % of saturation")))?;
    let behind = Percentiles::of(driven.behind_ms);
    Ok(Level {
        percent,
        offered_tps,
        latency,
        success,
        behind_p99_ms: behind.map_or(0.0, |behind| behind.p99_ms),
    })
}

impl Phases<'_> {
    pub(super) fn text(&self, en: &str, zh: &str) -> String {
        self.progress.text(en, zh)
    }

    /// Everything about a workload of transactions.
    pub(super) async fn transactions(
        &self,
        bed: &mut Bed,
        workload: Arc<dyn Workload>,
        run: &mut WorkloadRun,
    ) -> Result<()> {
        let preparing = self.text("preparing", "准备合约与账户");
        let bar = self.progress.bar(&preparing, 0);
        let (args, accounts) = (&self.args.measure, self.args.accounts);
        let signing = bed
            .prepare(args, self.args.seed, accounts, workload.clone())
            .await?;
        bar.done();
        run.envelope = signing.envelope.name();
        run.records = workload.records();
        let bed = &*bed;
        let mut stage = Stage::new(bed, self.args, self.progress, signing).await?;
        let estimate = self.calibrate(&mut stage).await?;
        let mut probes = Probes::default();
        let outcome = self.parts(&mut stage, estimate, &mut probes, run).await;
        run.probes = probes.results.clone();
        outcome?;
        let bar = self.progress.bar(&self.text("checking", "核对结果"), 0);
        run.checked = checks::check(&stage, &probes).await?;
        bar.done();
        Ok(())
    }

    async fn parts(
        &self,
        stage: &mut Stage<'_>,
        estimate: f64,
        probes: &mut Probes,
        run: &mut WorkloadRun,
    ) -> Result<()> {
        let saturation = self.saturate(stage, estimate, probes).await?;
        let rate = saturation.steady.tps;
        self.progress
            .say(&format!("  {} tx/s", crate::compare::number(rate)));
        run.saturation = Some(saturation);
        if rate <= 0.0 {
            return Err(void("nothing was executed at saturation"));
        }
        for percent in self.lengths.levels {
            self.rest().await;
            let (level, apart) = self.level(stage, rate, *percent).await?;
            run.levels.push(level);
            run.start.apart_ms = run.start.apart_ms.or(apart);
        }
        if self.args.measure.snapshots {
            self.rest().await;
            run.snapshots = Some(self.level_with_snapshots(stage, rate).await?);
        }
        for class in &self.args.measure.classes() {
            if *class == Class::Overload {
                run.overload = Some(self.overload(stage, rate).await?);
            } else {
                run.classes.push(self.class(stage, rate, *class).await?);
            }
        }
        for fault in &self.args.measure.fault {
            run.faults.push(self.fault(stage, rate, *fault).await?);
        }
        if self.args.throughput {
            return Ok(());
        }
        let queries = self.queries_on(stage).await?;
        let asked = ask(
            &stage.bed.urls,
            queries,
            None,
            seconds(self.lengths.query_s),
        )
        .await?;
        run.queries = Some(QueryReport {
            per_second: asked.answered as f64 / asked.seconds,
            success: asked.answered as f64 / asked.asked.max(1) as f64,
            latency: Percentiles::of(asked.latencies_ms),
            levels: Vec::new(),
        });
        Ok(())
    }

    /// About how much the network takes, by two short runs with growing windows.
    async fn calibrate(&self, stage: &mut Stage<'_>) -> Result<f64> {
        let mut rate = 250.0;
        for multiple in [2.0, 3.0] {
            let window = stage.window((rate * multiple) as u64);
            let length = seconds(self.lengths.calibrate_s);
            // A window is executed in a tenth of a second at best.
            let most = self.args.rate_max.min(window as u64 * 10);
            let part = Part {
                name: &self.text("finding the range", "测定量级"),
                pace: Pace::Window(window),
                ramp: length / 4,
                length,
                transactions: most * (self.lengths.calibrate_s + 1) + window as u64,
                answer: ANSWER,
                hold: false,
            };
            let (driven, ()) = stage.play(part, |_| async { Ok(()) }).await?;
            unrefused(&driven)?;
            rate = tps(&driven).max(5.0);
        }
        Ok(rate)
    }

    pub(super) fn ground(&self, stage: &Stage<'_>) -> Ground {
        Ground {
            urls: stage.bed.urls.clone(),
            suite: stage.bed.suite,
            chain: stage.bed.chain,
            // They call an address without code, so that no workload's state depends on them.
            token: Address::repeat_byte(0x77),
            seed: self.args.seed,
            run: now().0,
            now: now(),
            binary: true,
        }
    }

    /// What a part before left to be written out is not the next one's load.
    async fn rest(&self) {
        let bar = self.progress.bar(&self.text("rest", "静置"), 0);
        tokio::time::sleep(seconds(self.lengths.rest_s)).await;
        bar.done();
    }

    fn level_part<'n>(&self, name: &'n str, offered: f64) -> Part<'n> {
        let ramp = seconds(self.lengths.ramp_s.min(2));
        // Slow workloads need longer for a handful of transactions.
        let handful = (5.0 / offered.max(0.01)).ceil().min(60.0) as u64;
        let length = seconds(self.lengths.level_s.max(handful));
        Part {
            name,
            pace: Pace::Rate(offered),
            ramp,
            length,
            transactions: (offered * (ramp + length).as_secs_f64()) as u64 + 1,
            answer: ANSWER,
            hold: false,
        }
    }

    async fn level(
        &self,
        stage: &mut Stage<'_>,
        rate: f64,
        percent: u32,
    ) -> Result<(Level, Option<Percentiles>)> {
        let offered = rate * f64::from(percent) / 100.0;
        let name = format!("{} {percent} %", self.text("latency at", "时延，负载"));
        let part = self.level_part(&name, offered);
        let (ramp, length) = (part.ramp, part.length);
        let urls = stage.bed.urls.clone();
        let beside = |_| async move {
            if percent == SPREAD_PERCENT && urls.len() > 1 {
                tokio::time::sleep(ramp).await;
                sample::spread(&urls, length / 2).await
            } else {
                Ok(Vec::new())
            }
        };
        let (driven, apart) = stage.play(part, beside).await?;
        let level = level_of(driven, percent, offered)?;
        Ok((level, Percentiles::of(apart)))
    }

    /// Half the rate, while one node after the other makes a snapshot.
    async fn level_with_snapshots(&self, stage: &mut Stage<'_>, rate: f64) -> Result<Snapshots> {
        const PERCENT: u32 = 50;
        let offered = rate * f64::from(PERCENT) / 100.0;
        let name = self.text(
            "latency at 50 % with snapshots",
            "时延，负载 50 %，制作快照",
        );
        let part = self.level_part(&name, offered);
        let end = part.ramp + part.length;
        let network = stage.bed.network.as_ref();
        let beside = |start: Instant| async move {
            let Some(network) = network else {
                return Ok((0, 0));
            };
            let (mut made, mut bytes) = (0u64, 0);
            for node in (0..network.nodes()).cycle() {
                if start.elapsed() >= end {
                    break;
                }
                bytes = network.snapshot(node, made).await?;
                made = made.saturating_add(1);
            }
            Ok((made, bytes))
        };
        let (driven, (made, bytes)) = stage.play(part, beside).await?;
        Ok(Snapshots {
            level: level_of(driven, PERCENT, offered)?,
            made,
            bytes,
        })
    }

    async fn class(&self, stage: &mut Stage<'_>, rate: f64, class: Class) -> Result<ClassReport> {
        let (share, length, success_min) = match class {
            Class::Stress => (1.0, self.lengths.class_s, 0.95),
            Class::Spike => (2.0, self.lengths.class_s, 0.75),
            Class::Stability => (0.2, self.lengths.stability_s, 0.95),
            Class::Overload => (2.0, self.lengths.overload_s, 0.0),
        };
        let name = match class {
            Class::Stress => self.text("class: stress", "压力测试"),
            Class::Spike => self.text("class: spike", "峰值测试"),
            Class::Stability => self.text("class: stability", "稳定性测试"),
            Class::Overload => self.text("overload", "过载测试"),
        };
        let offered = rate * share;
        let part = at_rate(&name, offered, length);
        let (driven, ()) = stage.play(part, |_| async { Ok(()) }).await?;
        unrefused(&driven)?;
        let success = success(&driven);
        Ok(ClassReport {
            class,
            offered_tps: driven.counts.offered as f64 / driven.ended.as_secs_f64(),
            committed_tps: tps(&driven),
            seconds: driven.ended.as_secs_f64(),
            success,
            success_min,
            passed: success >= success_min,
            busy: driven.counts.busy,
            latency: Percentiles::of(driven.latencies_ms),
        })
    }

    async fn overload(&self, stage: &mut Stage<'_>, rate: f64) -> Result<Overload> {
        let (offered, length) = (rate * 2.0, self.lengths.overload_s);
        let name = self.text("overload", "过载测试");
        let part = at_rate(&name, offered, length);
        let network = stage.bed.network.as_ref();
        let end = seconds(length);
        let beside = |start: Instant| async move {
            let mut memory = Vec::new();
            let wait = async {
                tokio::time::sleep(end.saturating_sub(start.elapsed())).await;
                Ok(())
            };
            with_memory(network, start, &mut memory, wait).await?;
            Ok(memory)
        };
        let (driven, memory) = stage.play(part, beside).await?;
        unrefused(&driven)?;
        if driven.counts.busy_without_hint > 0 {
            return Err(void(format!(
                "{} transactions were refused for load without saying when to come back",
                driven.counts.busy_without_hint
            )));
        }
        // Full speed again, from a standing start.
        let window = stage.window((rate * 2.0) as u64);
        let again = Part {
            name: &self.text("after the overload", "过载之后"),
            pace: Pace::Window(window),
            ramp: Duration::ZERO,
            length: seconds(self.lengths.recovery_s),
            transactions: (rate * 1.6) as u64 * self.lengths.recovery_s + window as u64,
            answer: ANSWER,
            hold: false,
        };
        let (after, ()) = stage.play(again, |_| async { Ok(()) }).await?;
        unrefused(&after)?;
        let largest = |memory: &[Memory]| {
            memory
                .iter()
                .flat_map(|m| m.resident.iter())
                .max()
                .copied()
                .unwrap_or(0)
        };
        let (resident_max, bound) = (largest(&memory), RESIDENT_BOUND_MIB << 20);
        if resident_max > bound {
            return Err(void(format!(
                "a node grew to {} MiB under overload; its bounds add up to {RESIDENT_BOUND_MIB}",
                resident_max >> 20
            )));
        }
        Ok(Overload {
            offered_tps: driven.counts.offered as f64 / driven.ended.as_secs_f64(),
            committed_tps: tps(&driven),
            seconds: driven.ended.as_secs_f64(),
            busy: driven.counts.busy,
            offered: driven.counts.offered,
            accepted: driven.counts.accepted,
            resident_before: largest(memory.get(..1).unwrap_or_default()),
            resident_max,
            resident_bound: bound,
            drained_s: driven.drained.saturating_sub(driven.ended).as_secs_f64(),
            recovered_s: full_speed_after(&after, 0.9 * rate),
            after_tps: tps(&after),
            executed: driven.seconds,
            memory,
        })
    }

    async fn fault(
        &self,
        stage: &mut Stage<'_>,
        rate: f64,
        fault: Fault,
    ) -> Result<faults::FaultReport> {
        let network = stage.bed.network.as_ref();
        let network = network.ok_or_else(|| void("faults need a network of one's own"))?;
        let (before, length) = (seconds(self.lengths.fault_s), seconds(self.lengths.fault_s));
        let ramp = seconds(self.lengths.ramp_s.min(3));
        // Until the validator is back, and as long again; how long that takes is not known beforehand.
        let after = seconds(self.lengths.fault_s);
        let total = ramp + before + length + after;
        let window = stage.window(rate as u64);
        let (en, zh) = fault.names();
        let part = Part {
            name: &self.text(en, zh),
            pace: Pace::Window(window),
            ramp,
            length: total.saturating_sub(ramp),
            transactions: (rate * 2.0 * (total + seconds(10)).as_secs_f64()) as u64 + window as u64,
            answer: ANSWER_IN_FAULTS,
            hold: true,
        };
        let beside = |start: Instant| async move {
            let events = faults::happen(network, fault, start, ramp + before, length).await?;
            tokio::time::sleep(after).await;
            Ok(events)
        };
        let (driven, events) = stage.play(part, beside).await?;
        Ok(faults::judge(fault, events, ramp, &driven))
    }

    async fn queries_on(&self, stage: &Stage<'_>) -> Result<Arc<Queries>> {
        let scene = &stage.signing.scene;
        Ok(Arc::new(Queries {
            seed: self.args.seed,
            addresses: scene.addresses.clone(),
            token: scene.contract,
            hashes: stage.sample.clone(),
            height: stage.bed.first()?.height().await?,
        }))
    }

    /// The workload `read`: queries about a chain with some history, alone.
    pub(super) async fn queries(
        &self,
        bed: &mut Bed,
        token: Choice,
        run: &mut WorkloadRun,
    ) -> Result<()> {
        let Choice::Transactions(workload) = token else {
            return Err(void("queries need a token to ask about"));
        };
        let (args, accounts) = (&self.args.measure, self.args.accounts);
        let signing = bed
            .prepare(args, self.args.seed, accounts, workload)
            .await?;
        let bed = &*bed;
        let mut stage = Stage::new(bed, self.args, self.progress, signing).await?;
        self.calibrate(&mut stage).await?;
        let probes = self.ground(&stage).send(stage.replay.clone()).await?;
        run.probes = probes.results.clone();
        let queries = self.queries_on(&stage).await?;
        let name = self.text("queries", "查询");
        let bar = self.progress.bar(&name, 0);
        let length = seconds(self.lengths.seconds);
        let asked = ask(&bed.urls, Arc::clone(&queries), None, length).await?;
        let rate = asked.answered as f64 / asked.seconds;
        let mut report = QueryReport {
            per_second: rate,
            success: asked.answered as f64 / asked.asked.max(1) as f64,
            latency: Percentiles::of(asked.latencies_ms),
            levels: Vec::new(),
        };
        for percent in self.lengths.levels {
            let offered = rate * f64::from(*percent) / 100.0;
            let length = seconds(self.lengths.level_s);
            let asked = ask(&bed.urls, Arc::clone(&queries), Some(offered), length).await?;
            let latency = Percentiles::of(asked.latencies_ms);
            report.levels.push(Level {
                percent: *percent,
                offered_tps: offered,
                latency: latency.ok_or_else(|| void("no query was answered"))?,
                success: asked.answered as f64 / asked.asked.max(1) as f64,
                behind_p99_ms: 0.0,
            });
        }
        bar.done();
        if report.success < 1.0 {
            let text = format!("only {:.3} of the queries were answered", report.success);
            return Err(void(text));
        }
        run.queries = Some(report);
        // The probes were sent between parts: the blocks they would be in are looked at by their receipts.
        for (kind, hash) in &probes.never {
            for client in Client::all(&bed.urls)? {
                if client.receipt(hash).await?.is_some() {
                    return Err(void(format!(
                        "a transaction with {kind} is in a block: {hash}"
                    )));
                }
            }
        }
        run.checked = checks::check(&stage, &Probes::default()).await?;
        Ok(())
    }
}

/// After how many seconds a second begins in which at least `rate` were executed.
fn full_speed_after(driven: &Driven, rate: f64) -> Option<f64> {
    let end = driven.ended.as_secs_f64();
    let mut from = 0.0;
    while from + 1.0 <= end {
        let inside = driven.blocks.iter().filter(|block| {
            let seen = block.seen.as_secs_f64();
            seen >= from && seen < from + 1.0
        });
        let count: u64 = inside.map(|block| block.transactions).sum();
        if count as f64 >= rate {
            return Some(from);
        }
        from += 0.1;
    }
    None
}
