//! The order of events: networks and anvil in turns, and what is measured on each.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_crypto::{Scheme, Suite};
use hawser_primitives::{Bytes, ChainId};
use serde_json::Value;

use super::{
    latency::{self, Gap},
    load::{self, Drive},
    report::{Beside, HawserRun, Idle, LoadReport, Pair, Report, SuiteReport},
    setup, verify,
    workload::{Kind, RECORDS, Spec, Workload},
};
use crate::{
    args::{BenchArgs, Plan},
    error::{BenchError, Result},
    hardhat,
    network::Hawser,
    probe::{Ground, Probes},
    proc,
    progress::Progress,
    rpc::Client,
    seed::{native_scheme, now},
};

/// Validators of the network that is compared.
pub(crate) const NODES: u16 = 4;
/// Evidence transactions on their way at once: some 40 KB each, so that a few blocks' worth waits.
const EVIDENCE_WINDOW: usize = 400;
/// Evidence transactions in a batch.
const EVIDENCE_BATCH: usize = 10;

pub(crate) struct Session {
    pub(crate) args: BenchArgs,
    pub(crate) plan: Plan,
    pub(crate) binary: PathBuf,
    pub(crate) anvil: Option<PathBuf>,
    pub(crate) hardhat: Option<hardhat::Program>,
    pub(crate) progress: Progress,
}

/// Transactions signed once for all pairs of a suite.
pub(super) struct Prepared {
    pub(super) ethereum: Arc<Workload>,
    native: Arc<Workload>,
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

impl Session {
    /// Runs everything; what is done is in the report even when a later part fails.
    pub(crate) async fn run(&self, report: &mut Report) -> Result<()> {
        for suite in self.args.suites() {
            report.suites.push(SuiteReport::new(*suite));
            let mut prepared = None;
            for pair in 0..self.plan.pairs {
                self.progress.say(&format!(
                    "suite {suite}, pair {} of {}",
                    pair + 1,
                    self.plan.pairs
                ));
                let (hawser, chain) = self.hawser(*suite, pair == 0, &mut prepared).await?;
                let anvil = self.anvil(chain, prepared.as_ref()).await?;
                let hardhat = self.hardhat(chain, prepared.as_ref()).await?;
                let rate = hawser.erc20.steady.tps;
                let over = |other: &Option<LoadReport>| Some(rate / other.as_ref()?.steady.tps);
                let (ratio, ratio_hardhat) = (over(&anvil), over(&hardhat));
                if let Some(last) = report.suites.last_mut() {
                    last.add(Pair {
                        hawser,
                        anvil,
                        ratio,
                        hardhat,
                        ratio_hardhat,
                    });
                }
            }
        }
        Ok(())
    }

    fn spec(&self, network: &Hawser, kind: Kind, total: u64) -> Result<Spec> {
        let accounts = self.args.accounts;
        let each = total.div_ceil(u64::from(accounts)).max(1);
        Ok(Spec {
            kind,
            suite: network.suite,
            chain: network.chain,
            seed: self.args.seed,
            accounts,
            each: usize::try_from(each).unwrap_or(usize::MAX),
            token: setup::token_address(self.args.seed)?,
        })
    }

    /// Transactions signed for one load, which fill the window as well, and those kept for the run at half the rate.
    pub(super) fn totals(&self) -> (u64, u64) {
        let load = self.plan.ramp_s.saturating_add(self.plan.seconds);
        let rate = self.args.rate_max;
        let window = u64::from(self.args.window);
        (
            rate.saturating_mul(load).saturating_add(window),
            (rate / 2).saturating_mul(self.plan.open_loop_s),
        )
    }

    async fn prepare(&self, network: &Hawser) -> Result<Prepared> {
        let (load, later) = self.totals();
        let ethereum = self.spec(network, Kind::Ethereum, load.saturating_add(later))?;
        let scheme = native_scheme(network.suite);
        // SM2 is slower to sign, and to verify as well.
        let share = if scheme == Scheme::Sm2 { 2 } else { 1 };
        let native = if self.args.throughput {
            0
        } else {
            load / share
        };
        let native = self.spec(network, Kind::Native(scheme), native)?;
        Ok(Prepared {
            ethereum: Workload::sign(ethereum, &self.progress).await?,
            native: Workload::sign(native, &self.progress).await?,
        })
    }

    pub(super) fn drive(&self, urls: &[String], each_max: usize) -> Drive {
        Drive {
            urls: urls.to_vec(),
            connections: self.args.connections as usize,
            batch: self.args.batch as usize,
            window: self.args.window as usize,
            ramp: Duration::from_secs(self.plan.ramp_s),
            length: Duration::from_secs(self.plan.seconds),
            each_max,
        }
    }

    async fn hawser(
        &self,
        suite: Suite,
        with_idle: bool,
        prepared: &mut Option<Prepared>,
    ) -> Result<(HawserRun, ChainId)> {
        let bar = self.progress.bar("starting four validators", 0);
        let start = Instant::now();
        let network = Hawser::start(&self.binary, &self.args.out, suite, NODES).await?;
        bar.done();
        let measured = self.measure(&network, start, with_idle, prepared).await;
        match measured {
            Ok(run) => Ok((run, network.chain)),
            Err(error) => {
                network.keep_logs();
                Err(error)
            }
        }
    }

    async fn measure(
        &self,
        network: &Hawser,
        start: Instant,
        with_idle: bool,
        prepared: &mut Option<Prepared>,
    ) -> Result<HawserRun> {
        let (url, chain, seed) = (network.url()?, network.chain, self.args.seed);
        setup::deploy(url, seed, chain).await?;
        let creation = setup::creation(seed, chain)?;
        for client in Client::all(&network.urls)? {
            client
                .success("the first block", &creation.hash, Duration::from_secs(60))
                .await?;
        }
        let first_block = start.elapsed();
        let prepared = match prepared {
            Some(prepared) => prepared,
            none => none.insert(self.prepare(network).await?),
        };
        let mut owners = prepared.ethereum.addresses.clone();
        owners.extend(&prepared.native.addresses);
        setup::mint(url, seed, chain, &owners).await?;
        let idle = if with_idle {
            Some(self.idle(network).await?)
        } else {
            None
        };

        network.stop().await?;
        let disk_before = network.disk_bytes();
        let resumed = Instant::now();
        network.resume().await?;
        let resume_ms = millis(resumed.elapsed());
        let (load, _) = self.totals();
        let each = load.div_ceil(u64::from(self.args.accounts));
        let drive = self.drive(&network.urls, usize::try_from(each).unwrap_or(usize::MAX));
        let (erc20, used) = self.load(network, &drive, &prepared.ethereum, 1).await?;
        network.stop().await?;
        let disk = network.disk_bytes().saturating_sub(disk_before);
        let committed = erc20.counters.accepted.max(1) as f64;
        let nodes = network.urls.len().max(1) as f64;
        let beside = if self.args.throughput {
            None
        } else {
            network.resume().await?;
            let load = (erc20.steady.tps, used.as_slice());
            let beside = self.beside(network, prepared, owners.len(), load).await?;
            network.stop().await?;
            Some(beside)
        };
        Ok(HawserRun {
            up_ms: millis(network.up_time),
            first_block_ms: millis(first_block),
            resume_ms,
            idle,
            disk_bytes_per_transaction: disk as f64 / committed / nodes,
            erc20,
            beside,
        })
    }

    /// Latency, the native envelope and evidence, on a network of which `rate` and `used` transactions of each account
    /// are known.
    async fn beside(
        &self,
        network: &Hawser,
        prepared: &Prepared,
        owners: usize,
        (rate, used): (f64, &[usize]),
    ) -> Result<Beside> {
        let (chain, seed) = (network.chain, self.args.seed);
        let (warmup, samples) = (self.plan.latency_warmup, self.plan.latency_samples);
        let bar = self
            .progress
            .bar("latency, idle", u64::from(warmup + samples));
        let (urls, counts) = (&network.urls, (warmup, samples));
        let idle_latency = latency::idle(urls, chain, seed, Gap::Rest, counts, &bar).await?;
        bar.done();
        let bar = self
            .progress
            .bar("latency, one after the other", u64::from(warmup + samples));
        let serial_latency = latency::idle(urls, chain, seed, Gap::None, counts, &bar).await?;
        bar.done();
        let bar = self.progress.bar("latency at half the rate", 0);
        let length = Duration::from_secs(self.plan.open_loop_s);
        let at_half =
            latency::open_loop(&network.urls, &prepared.ethereum, used, rate / 2.0, length);
        let (half_rate, _) = at_half.await?;
        bar.done();

        let native = self.drive(&network.urls, usize::MAX);
        let (native, _) = self.load(network, &native, &prepared.native, 2).await?;
        let token = prepared.native.spec.token;
        verify::check_supply(&network.urls, token, owners as u64).await?;
        let evidence = self.evidence(network).await?;
        Ok(Beside {
            idle_latency,
            serial_latency,
            half_rate,
            records_per_second: evidence.steady.tps * RECORDS as f64,
            native,
            evidence,
        })
    }

    async fn idle(&self, network: &Hawser) -> Result<Idle> {
        let bar = self.progress.bar("four nodes at rest", 0);
        tokio::time::sleep(Duration::from_secs(self.plan.rest_s)).await;
        let pids = network.running()?;
        let resident_bytes = proc::resident_of(&pids);
        let (start, before) = (Instant::now(), proc::cpu_of(&pids));
        tokio::time::sleep(Duration::from_secs(self.plan.idle_s)).await;
        let used = proc::cpu_of(&pids).saturating_sub(before);
        let cpu_percent = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
        bar.done();
        Ok(Idle {
            resident_bytes,
            cpu_percent,
            rest_s: self.plan.rest_s,
            measured_s: self.plan.idle_s,
        })
    }

    async fn evidence(&self, network: &Hawser) -> Result<LoadReport> {
        let seconds = self.plan.ramp_s.saturating_add(self.plan.evidence_s);
        let per_second = self.args.rate_max.saturating_mul(2) / RECORDS;
        let total = per_second
            .saturating_mul(seconds)
            .saturating_add(EVIDENCE_WINDOW as u64);
        // Signed here and not for all pairs at once: they expire.
        let kind = Kind::Evidence(native_scheme(network.suite), now());
        let spec = self.spec(network, kind, total)?;
        let workload = Workload::sign(spec, &self.progress).await?;
        let drive = Drive {
            window: EVIDENCE_WINDOW.min(self.args.window as usize),
            batch: EVIDENCE_BATCH.min(self.args.batch as usize),
            length: Duration::from_secs(self.plan.evidence_s),
            ..self.drive(&network.urls, usize::MAX)
        };
        Ok(self.load(network, &drive, &workload, 3).await?.0)
    }

    /// One throughput run on a network, with probes and checks. Also gives how many transactions
    /// of each account are used up.
    async fn load(
        &self,
        network: &Hawser,
        drive: &Drive,
        workload: &Workload,
        number: u64,
    ) -> Result<(LoadReport, Vec<usize>)> {
        let ground = Ground {
            urls: network.urls.clone(),
            suite: network.suite,
            chain: network.chain,
            token: workload.spec.token,
            seed: self.args.seed,
            run: number,
            now: now(),
            binary: true,
        };
        let executed = workload
            .lanes
            .first()
            .and_then(|lane| raw_of(&lane.first()?.request));
        let mut probes = Probes::default();
        let alongside = async {
            probes = ground.send(executed).await?;
            Ok(probes.executed())
        };
        let pids = network.running()?;
        let (mut made, sent) = self.drive_load(drive, workload, &pids, alongside).await?;
        let before = vec![0; workload.lanes.len()];
        let verifying = verify::verify(&network.urls, workload, &before, &sent, &probes);
        made.checked = verifying.await?;
        made.probes = probes.results;
        Ok((made, sent.per_account))
    }

    pub(super) async fn drive_load(
        &self,
        drive: &Drive,
        workload: &Workload,
        pids: &[i32],
        alongside: impl Future<Output = Result<u64>>,
    ) -> Result<(LoadReport, load::Sent)> {
        let (name, signature) = describe(workload.spec.kind);
        let seconds = (drive.ramp + drive.length).as_secs();
        let bar = self.progress.bar(name, seconds);
        let own = [i32::try_from(std::process::id()).unwrap_or_default()];
        let (cpu, generator) = (proc::cpu_of(pids), proc::cpu_of(&own));
        let sent = load::run(drive, workload, &bar, alongside).await?;
        let cpu = proc::cpu_of(pids).saturating_sub(cpu).as_secs_f64();
        let generator = proc::cpu_of(&own).saturating_sub(generator).as_secs_f64();
        bar.done();
        self.progress.say(&format!(
            "  {name}: {} tx/s",
            crate::compare::text::number(sent.steady.tps)
        ));
        let made = LoadReport {
            workload: name,
            signature,
            steady: sent.steady.clone(),
            counters: sent.counters,
            seconds: sent.seconds,
            cpu_us_per_transaction: cpu * 1e6
                / sent.counters.accepted.max(1) as f64
                / pids.len().max(1) as f64,
            cores_used: cpu / sent.seconds,
            generator_cores: generator / sent.seconds,
            checked: verify::Checked::default(),
            probes: Vec::new(),
        };
        Ok((made, sent))
    }
}

const fn describe(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Ethereum => ("ERC-20 transfers, type 2", "secp256k1"),
        Kind::Native(scheme) => ("ERC-20 transfers, native", scheme.name()),
        Kind::Evidence(scheme, _) => ("evidence, 100 records each, unordered", scheme.name()),
    }
}

/// The transaction in a request of this crate.
fn raw_of(request: &str) -> Option<Bytes> {
    let request: Value = serde_json::from_str(request).ok()?;
    request.get("params")?.get(0)?.as_str()?.parse().ok()
}

/// Refuses a folder that is something else, and makes it if it is missing.
pub(crate) fn make_out(out: &Path) -> Result<()> {
    if out.exists() && !out.is_dir() {
        return Err(BenchError::NotAFolder(out.to_owned()));
    }
    std::fs::create_dir_all(out).map_err(BenchError::io(format!("cannot make {}", out.display())))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
