use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use hawser_crypto::Suite;

mod measure;

pub(crate) use measure::Lengths;
pub use measure::{EnvelopeChoice, MeasureArgs};

/// Which cryptographic suites are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SuiteChoice {
    /// Keccak-256, secp256k1, Ed25519.
    Intl,
    /// SM3, SM2.
    Sm,
    /// One after the other.
    Both,
}

impl SuiteChoice {
    /// The suites meant.
    #[must_use]
    pub const fn suites(self) -> &'static [Suite] {
        match self {
            Self::Intl => &[Suite::Intl],
            Self::Sm => &[Suite::Sm],
            Self::Both => &[Suite::Intl, Suite::Sm],
        }
    }
}

/// What Hawser is compared with, all by the same transactions and the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Foundry's development node.
    Anvil,
    /// Hardhat's development node (`hardhat node`).
    Hardhat,
}

/// Arguments of `hawser bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hawser bench                                 both suites, three pairs with anvil
  hawser bench --quick                         a trial of the instrument, not a measurement
  hawser bench --against anvil,hardhat --throughput --pairs 5
  hawser bench --list                          the workloads
  hawser bench --workload erc20 --nodes 7 --fault crash-one
  hawser bench --workload all --suite sm --class all
  hawser bench --workload erc20 --target http://10.0.0.1:8545,http://10.0.0.2:8545

Leave the machine alone meanwhile. docs/guide/performance.md says how to read the report.")]
pub struct BenchArgs {
    /// Folder for the report; the networks' data lies in it meanwhile
    #[arg(long, value_name = "DIR", default_value = "hawser-bench")]
    pub out: PathBuf,
    /// How many times Hawser and what it is compared with are run in turns
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=20))]
    pub pairs: u32,
    /// Length of the steady part of a throughput run, in seconds [default: 20; with --workload 60]
    #[arg(long, value_parser = value_parser!(u64).range(2..=3600))]
    pub seconds: Option<u64>,
    /// Accounts that send
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(8..=10_000))]
    pub accounts: u32,
    /// Cryptographic suites to measure [default: both]
    #[arg(long, value_enum)]
    pub suite: Option<SuiteChoice>,
    /// Program of anvil; `auto` looks in tests/clients and PATH, `none` measures without it
    #[arg(long, value_name = "PATH|auto|none", default_value = "auto")]
    pub anvil: String,
    /// What it is compared with; `hardhat` needs `make peers-setup`
    #[arg(long, value_enum, value_delimiter = ',', default_value = "anvil")]
    pub against: Vec<Peer>,
    /// Folder with Hardhat in its node_modules; `auto` looks for benchmarks/peers/hardhat
    #[arg(long, value_name = "DIR|auto", default_value = "auto")]
    pub hardhat: String,
    /// Short runs and one pair: tries the instrument, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// Transactions that may be on their way at once
    #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u32).range(100..=90_000))]
    pub window: u32,
    /// Transactions in a JSON-RPC batch
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000))]
    pub batch: u32,
    /// Only the rate at saturation: no latency, no queries, and in comparisons ERC-20 transfers alone
    #[arg(long)]
    pub throughput: bool,
    /// HTTP connections, over all nodes
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u32).range(4..=256))]
    pub connections: u32,
    /// Highest rate that transactions are signed for, per second; more memory and time beforehand
    #[arg(long, default_value_t = 12_000, value_parser = value_parser!(u64).range(100..=200_000))]
    pub rate_max: u64,
    /// Seed of accounts and transactions
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What is measured with a workload of its own.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

impl BenchArgs {
    /// The suites to measure.
    pub(crate) fn suites(&self) -> &'static [Suite] {
        self.suite.unwrap_or(SuiteChoice::Both).suites()
    }

    /// Whether Hawser is compared with this one.
    pub(crate) fn is_against(&self, peer: Peer) -> bool {
        self.against.contains(&peer)
    }
}

/// The lengths that follow from the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) pairs: u32,
    pub(crate) ramp_s: u64,
    pub(crate) seconds: u64,
    pub(crate) rest_s: u64,
    pub(crate) idle_s: u64,
    pub(crate) latency_samples: u32,
    pub(crate) latency_warmup: u32,
    pub(crate) evidence_s: u64,
    pub(crate) open_loop_s: u64,
    pub(crate) throughput: bool,
}

/// How long the sent transactions may take to be executed after a run, in seconds.
pub(crate) const DRAIN_S_MAX: u64 = 90;

impl Plan {
    pub(crate) fn of(args: &BenchArgs) -> Self {
        if args.quick {
            Self {
                pairs: 1,
                ramp_s: 2,
                seconds: args.seconds.unwrap_or(20).min(5),
                rest_s: 10,
                idle_s: 5,
                latency_samples: 30,
                latency_warmup: 5,
                evidence_s: 4,
                open_loop_s: 4,
                throughput: args.throughput,
            }
        } else {
            Self {
                pairs: args.pairs,
                ramp_s: 3,
                seconds: args.seconds.unwrap_or(20),
                rest_s: 30,
                idle_s: 20,
                latency_samples: 200,
                latency_warmup: 20,
                evidence_s: (args.seconds.unwrap_or(20) / 2).max(5),
                open_loop_s: (args.seconds.unwrap_or(20) / 2).max(5),
                throughput: args.throughput,
            }
        }
    }

    /// About how long everything takes, in seconds: the parts of known length, and what starting,
    /// signing, draining and checking took on a two-core machine.
    pub(crate) fn expected_s(&self, suites: u64, peers: u64) -> u64 {
        let load = self.ramp_s + self.seconds;
        let latency = u64::from(self.latency_samples + self.latency_warmup) * 7 / 10;
        let beside = 45 + load + self.ramp_s + self.evidence_s + latency + self.open_loop_s;
        let hawser = 30 + load + if self.throughput { 0 } else { beside };
        let reference = peers * (load + 15);
        suites * (30 + self.rest_s + self.idle_s + u64::from(self.pairs) * (hawser + reference))
    }

    /// After how long everything is stopped, in seconds.
    pub(crate) fn limit_s(&self, suites: u64, peers: u64) -> u64 {
        self.expected_s(suites, peers) * 3 + 300
    }
}

#[cfg(test)]
pub(crate) fn test_args(quick: bool) -> BenchArgs {
    BenchArgs {
        out: PathBuf::from("unused"),
        pairs: 3,
        seconds: None,
        accounts: 8,
        suite: None,
        anvil: "none".to_owned(),
        against: vec![Peer::Anvil],
        hardhat: "auto".to_owned(),
        quick,
        window: 20_000,
        batch: 100,
        throughput: false,
        connections: 8,
        rate_max: 12_000,
        seed: 1,
        measure: MeasureArgs::default(),
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

    #[test]
    fn mistakes_on_the_command_line_are_refused() {
        assert!(Line::try_parse_from(["x", "--out", "a"]).is_ok());
        for bad in [
            &["x", "--out", "a", "--pairs", "0"][..],
            &["x", "--out", "a", "--seconds", "1"],
            &["x", "--out", "a", "--seconds", "3601"],
            &["x", "--out", "a", "--accounts", "7"],
            &["x", "--out", "a", "--batch", "1001"],
            &["x", "--out", "a", "--suite", "klingon"],
            &["x", "--out", "a", "--against", "everyone"],
        ] {
            assert!(Line::try_parse_from(bad).is_err(), "{bad:?}");
        }
        let full = Line::try_parse_from(["x", "--out", "a", "--suite", "both", "--quick"]);
        assert_eq!(full.unwrap().bench.suites().len(), 2);
    }

    #[test]
    fn without_being_told_it_is_compared_with_anvil_alone() {
        let parse = |line: &[&str]| Line::try_parse_from(line).unwrap().bench;
        let plain = parse(&["x"]);
        assert!(plain.is_against(Peer::Anvil) && !plain.is_against(Peer::Hardhat));
        let both = parse(&["x", "--against", "hardhat,anvil"]);
        assert!(both.is_against(Peer::Anvil) && both.is_against(Peer::Hardhat));
        let one = parse(&["x", "--against", "hardhat"]);
        assert!(!one.is_against(Peer::Anvil));
    }

    #[test]
    fn the_limit_leaves_room_over_what_is_expected_and_quick_is_quick() {
        let (full, quick) = (Plan::of(&test_args(false)), Plan::of(&test_args(true)));
        assert!(full.limit_s(2, 1) > full.expected_s(2, 1));
        assert!(quick.expected_s(1, 1) < 240);
        assert!(full.expected_s(2, 1) > full.expected_s(1, 1));
    }
}
