//! Arguments of measurements with a workload.

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use hawser_crypto::Suite;
use serde::Serialize;

use super::{BenchArgs, SuiteChoice};
use crate::{
    drive::{Submit, host_of},
    error::{BenchError, Result},
    faults::Fault,
    measure::{MeasurePlan, model::Class},
    network::NODES_MAX,
    work::{self, NAMES},
};

/// How transactions are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvelopeChoice {
    /// Ethereum's type 2, secp256k1.
    Ethereum,
    /// The chain's own: Ed25519 on `intl`, SM2 on `sm`.
    Native,
}

/// Classes of load to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassChoice {
    /// As much is sent as is committed; at least 95 % have to succeed.
    Stress,
    /// Twice as much is sent as is committed; at least 75 % have to succeed.
    Spike,
    /// A fifth of the saturation rate for long.
    Stability,
    /// Twice the saturation rate for a minute, and what becomes of it.
    Overload,
    /// Every class.
    All,
    /// No class.
    None,
}

/// Arguments of `hawser bench` that need `--workload`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workloads")]
pub struct MeasureArgs {
    /// Show the workloads
    #[arg(long)]
    pub list: bool,
    /// Workloads to measure, or `all`; --list shows them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Validators to start
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    pub nodes: u16,
    /// Nodes of a running network to measure instead, as http://host:port
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub target: Vec<String>,
    /// Folder of a running network's keystore and its passphrase, for workloads that move value
    #[arg(long, value_name = "DIR", requires = "target")]
    pub keys: Option<PathBuf>,
    /// Account in that keystore which funds the senders
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub from: String,
    /// How transactions are handed in
    #[arg(long, value_enum, default_value_t = Submit::Binary)]
    pub submit: Submit,
    /// How transactions are signed [default: ethereum on intl, native on sm; evidence native]
    #[arg(long, value_enum)]
    pub envelope: Option<EnvelopeChoice>,
    /// Classes of load to run
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "stress,spike"
    )]
    pub class: Vec<ClassChoice>,
    /// Faults during a saturated run
    #[arg(long, value_enum, value_delimiter = ',')]
    pub fault: Vec<Fault>,
    /// Measure latency at half the rate again while the nodes make snapshots, one after the other
    #[arg(long, conflicts_with = "target")]
    pub snapshots: bool,
    /// Length of the stability class, in seconds
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u64).range(5..=86_400))]
    pub stability_seconds: u64,
}

impl Default for MeasureArgs {
    fn default() -> Self {
        Self {
            list: false,
            workload: Vec::new(),
            nodes: 4,
            target: Vec::new(),
            keys: None,
            from: "test".to_owned(),
            submit: Submit::Binary,
            envelope: None,
            class: vec![ClassChoice::Stress, ClassChoice::Spike],
            fault: Vec::new(),
            snapshots: false,
            stability_seconds: 300,
        }
    }
}

fn usage<T>(text: impl Into<String>) -> Result<T> {
    Err(BenchError::Usage(text.into()))
}

impl MeasureArgs {
    /// The classes meant, each once, in order.
    pub(crate) fn classes(&self) -> Vec<Class> {
        let has = |choice| self.class.contains(&choice) || self.class.contains(&ClassChoice::All);
        [
            (ClassChoice::Stress, Class::Stress),
            (ClassChoice::Spike, Class::Spike),
            (ClassChoice::Stability, Class::Stability),
            (ClassChoice::Overload, Class::Overload),
        ]
        .into_iter()
        .filter_map(|(choice, class)| has(choice).then_some(class))
        .collect()
    }

    /// The envelope on a suite; `unordered` is of a workload that gains by the native one.
    pub(crate) fn envelope_of(&self, suite: Suite, unordered: bool) -> EnvelopeChoice {
        self.envelope.unwrap_or(if unordered || suite == Suite::Sm {
            EnvelopeChoice::Native
        } else {
            EnvelopeChoice::Ethereum
        })
    }

    /// Most transactions in a request.
    pub(crate) fn request_batch(&self, batch: u32) -> u32 {
        u32::try_from(self.submit.batch(batch as usize)).unwrap_or(1)
    }

    /// Refuses what is only for workloads where none is asked for.
    pub(crate) fn check_unused(&self) -> Result<()> {
        let plain = Self::default();
        let given = [
            ("--nodes", self.nodes != plain.nodes),
            ("--target", !self.target.is_empty()),
            ("--keys", self.keys.is_some()),
            ("--submit", self.submit != plain.submit),
            ("--envelope", self.envelope.is_some()),
            ("--class", self.class != plain.class),
            ("--fault", !self.fault.is_empty()),
            ("--snapshots", self.snapshots),
            (
                "--stability-seconds",
                self.stability_seconds != plain.stability_seconds,
            ),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => usage(format!(
                "{flag} needs a workload, such as `hawser bench --workload erc20 {flag} …`; without one, four \
                 validators are compared with anvil"
            )),
        }
    }

    /// What is to be done; refuses what does not go together.
    pub(crate) fn check(&self, args: &BenchArgs) -> Result<MeasurePlan> {
        for url in &self.target {
            host_of(url).map_err(BenchError::Usage)?;
        }
        let on_target = !self.target.is_empty();
        if on_target && !self.fault.is_empty() {
            return usage(
                "--fault stops validators, so it needs a network that this command starts: leave out --target",
            );
        }
        if on_target && self.nodes != Self::default().nodes {
            return usage(
                "--nodes starts a network and --target names one that runs: give one of them",
            );
        }
        if on_target && args.suite.is_some() {
            return usage(
                "the network that --target names has its suite already: leave out --suite",
            );
        }
        if !self.fault.is_empty() && self.nodes < 4 {
            return usage(format!(
                "with {} validators none may fail; --fault needs --nodes 4 or more",
                self.nodes
            ));
        }
        if self.class.contains(&ClassChoice::None) && self.class.len() > 1 {
            return usage("--class none goes with no other class");
        }
        if u64::from(args.accounts) < 2 * u64::from(self.nodes) {
            return usage(format!(
                "{} accounts are too few for {} validators: at least two each; raise --accounts",
                args.accounts, self.nodes
            ));
        }
        let mut workloads = Vec::new();
        for name in &self.workload {
            if name == "all" {
                for (name, ..) in NAMES {
                    workloads.push((*name).to_owned());
                }
            } else {
                workloads.push(name.clone());
            }
        }
        let workloads: Result<Vec<_>> = workloads
            .into_iter()
            .map(|name| {
                let choice = work::parse(&name).map_err(BenchError::Usage)?;
                Ok((name, choice))
            })
            .collect();
        let suites = if on_target {
            // What the network has is found out there; one round is enough.
            &[Suite::Intl][..]
        } else {
            args.suite.unwrap_or(SuiteChoice::Both).suites()
        };
        Ok(MeasurePlan {
            suites: suites.to_vec(),
            workloads: workloads?,
            lengths: Lengths::of(args),
        })
    }
}

/// How long everything is, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) ramp_s: u64,
    pub(crate) seconds: u64,
    pub(crate) calibrate_s: u64,
    /// Rest before a level: what saturation left to be written out is not its load.
    pub(crate) rest_s: u64,
    pub(crate) level_s: u64,
    /// Parts of the saturation rate, in per cent.
    pub(crate) levels: &'static [u32],
    pub(crate) class_s: u64,
    pub(crate) stability_s: u64,
    pub(crate) overload_s: u64,
    pub(crate) recovery_s: u64,
    pub(crate) fault_s: u64,
    pub(crate) query_s: u64,
}

impl Lengths {
    pub(crate) fn of(args: &BenchArgs) -> Self {
        let all = Self::with_levels(args);
        if args.throughput {
            return Self { levels: &[], ..all };
        }
        all
    }

    fn with_levels(args: &BenchArgs) -> Self {
        if args.quick {
            return Self {
                ramp_s: 1,
                seconds: args.seconds.unwrap_or(4).min(10),
                calibrate_s: 1,
                rest_s: 1,
                level_s: 2,
                levels: &[10, 50],
                class_s: 2,
                stability_s: 4,
                overload_s: 4,
                recovery_s: 3,
                fault_s: 4,
                query_s: 1,
            };
        }
        Self {
            ramp_s: 5,
            seconds: args.seconds.unwrap_or(60),
            calibrate_s: 3,
            rest_s: 10,
            level_s: 20,
            levels: &[10, 50, 80, 95],
            class_s: 20,
            stability_s: args.measure.stability_seconds,
            overload_s: 60,
            recovery_s: 15,
            fault_s: 15,
            query_s: 10,
        }
    }

    /// About how long everything takes: the parts, and about as much again for signing, draining and checking.
    pub(crate) fn expected_s(&self, args: &BenchArgs, workloads: usize, suites: usize) -> u64 {
        let classes = args.measure.classes().into_iter().map(|class| match class {
            Class::Stress | Class::Spike => self.class_s,
            Class::Stability => self.stability_s,
            Class::Overload => self.overload_s + self.recovery_s,
        });
        let levels = self.levels.len() + usize::from(args.measure.snapshots);
        let levels = levels as u64 * (self.rest_s + self.level_s + 2);
        let faults = args.measure.fault.len() as u64 * (3 * self.fault_s + 10);
        let own =
            self.ramp_s + self.seconds + 2 * self.calibrate_s + levels + faults + self.query_s;
        let each = (own + classes.sum::<u64>()) * 3 / 2 + 15;
        each * workloads as u64 * suites as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn plan(line: &[&str]) -> std::result::Result<MeasurePlan, String> {
        let line = Line::try_parse_from([&["x"], line].concat()).map_err(|e| e.to_string())?;
        let args = line.bench;
        args.measure.check(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn combinations_that_make_no_sense_are_refused_in_words() {
        let target = ["--target", "http://a:1"];
        for (line, said) in [
            (&["--workload", "klingon"][..], "--list"),
            (&["--workload", "asset-99"], "100 to 16384"),
            (
                &[
                    "--workload",
                    "erc20",
                    "--nodes",
                    "3",
                    "--fault",
                    "crash-one",
                ],
                "--nodes 4",
            ),
            (
                &["--workload", "erc20", "--class", "none,spike"],
                "no other class",
            ),
            (
                &["--workload", "erc20", "--nodes", "32", "--accounts", "63"],
                "--accounts",
            ),
            (
                &["--workload", "erc20", "--target", "https://a"],
                "plain HTTP",
            ),
            (&["--workload", "erc20", "--keys", "a"], "--target"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(said), "{line:?}: {error}");
        }
        for more in [
            &["--fault", "crash-leader"][..],
            &["--nodes", "7"],
            &["--suite", "sm"],
        ] {
            let line = [&["--workload", "erc20"], &target[..], more].concat();
            assert!(plan(&line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn all_means_every_workload_on_both_suites() {
        let all = plan(&["--workload", "all"]).unwrap();
        assert_eq!((all.workloads.len(), all.suites.len()), (NAMES.len(), 2));
        let one = plan(&["--workload", "erc20,asset-300", "--suite", "sm"]).unwrap();
        assert_eq!((one.workloads.len(), one.suites), (2, vec![Suite::Sm]));
        let there = plan(&["--workload", "erc20", "--target", "http://a:1,http://b:2"]).unwrap();
        assert_eq!(there.suites.len(), 1);
    }

    #[test]
    fn what_needs_a_workload_says_so() {
        for line in [
            &["--nodes", "7"][..],
            &["--fault", "crash-one"],
            &["--class", "all"],
        ] {
            let line = Line::try_parse_from([&["x"], line].concat()).unwrap();
            let error = line.bench.measure.check_unused().unwrap_err().to_string();
            assert!(error.contains("needs a workload"), "{error}");
        }
        assert!(MeasureArgs::default().check_unused().is_ok());
    }

    #[test]
    fn classes_come_once_and_in_order() {
        let args = |class: &[ClassChoice]| MeasureArgs {
            class: class.to_vec(),
            ..MeasureArgs::default()
        };
        assert_eq!(args(&[ClassChoice::All]).classes().len(), 4);
        assert_eq!(args(&[ClassChoice::None]).classes(), []);
        let two = args(&[ClassChoice::Spike, ClassChoice::Stress, ClassChoice::Spike]);
        assert_eq!(two.classes(), [Class::Stress, Class::Spike]);
    }
}
