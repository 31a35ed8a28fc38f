//! The faults: how each is made, how it ends, and what is expected of the chain meanwhile.

mod disk;
mod scene;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::bed::{Bed, Mode};
use crate::files::{self, SlowDisk};
use crate::history::History;
use crate::link::Rule;
use scene::Scene;

/// How long a node that lost its data may take to be back.
const REBUILD_LIMIT: Duration = Duration::from_secs(60);

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// `kill -9` of a validator whose turn it is not.
    KillOne,
    /// `kill -9` of the validator whose turn it is.
    KillLeader,
    /// `kill -9` of f validators, 7-node networks' maximum.
    KillF,
    /// `kill -9` of one validator more than the chain can spare.
    KillQuorum,
    /// `kill -9` of all at once.
    KillAll,
    /// SIGSTOP, then SIGCONT, of a validator whose turn it is not.
    StopOne,
    /// The same of the validator whose turn it is.
    StopLeader,
    /// The same of all but one, then all at once again.
    StopMost,
    /// One validator is cut off from all others.
    CutOne,
    /// The validator whose turn it is is cut off.
    CutLeader,
    /// One validator hears the others and is not heard.
    CutOut,
    /// One validator is heard and does not hear the others.
    CutIn,
    /// Two halves.
    Split,
    /// One validator is cut off and back every half second.
    Flap,
    /// 100 ± 50 ms on every link.
    Delay,
    /// 5 % of all packets are lost.
    Loss,
    /// 20 % of all packets come out of order, 10 % twice.
    Disorder,
    /// 4 Mbit/s on every link.
    Bandwidth,
    /// 4 Mbit/s for what one validator sends, by the kernel's token bucket filter (`tc`).
    TokenBucket,
    /// One validator's clock is 30 s ahead.
    ClockAhead,
    /// One validator's clock is 30 s behind.
    ClockBehind,
    /// The clocks of two validators are apart by 1.6 s, within what the chain tolerates.
    ClockSpread,
    /// One validator's disk is full.
    DiskFull,
    /// One validator's disk does 20 writes a second.
    DiskSlow,
    /// One validator's data is deleted while it is down.
    LostData,
    /// The same while it runs.
    DeletedRunning,
    /// A bit of the newest file of blocks is turned around while the validator is down.
    FlippedBlocks,
    /// The same while it runs.
    FlippedRunning,
    /// A bit of the vote log is turned around while the validator is down.
    FlippedVotes,
    /// A bit of the newest file of the key-value store is turned around while the validator is down.
    FlippedIndex,
    /// The last 7 bytes of blocks and vote log are missing after a crash.
    TornTails,
}

/// When a fault began and when its end began, in microseconds of the run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Marks {
    /// Just before the fault was made.
    pub injected_us: u64,
    /// When it was being taken away.
    pub healed_us: u64,
    /// Of a fault that takes the quorum away: the greatest height among the nodes once what was on its way had
    /// arrived, and when the fault's end began.
    #[serde(default)]
    pub heights: Option<(u64, u64)>,
}

impl Fault {
    /// What is done, in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::KillOne => "kill -9 of a validator, not the one whose turn it is",
            Self::KillLeader => "kill -9 of the validator whose turn it is",
            Self::KillF => "kill -9 of as many validators as may fail",
            Self::KillQuorum => "kill -9 of one validator more than may fail",
            Self::KillAll => "kill -9 of all at once",
            Self::StopOne => "SIGSTOP for a while of a validator, not the one whose turn it is",
            Self::StopLeader => "SIGSTOP for a while of the validator whose turn it is",
            Self::StopMost => "SIGSTOP for a while of all validators but one",
            Self::CutOne => "one validator cut off",
            Self::CutLeader => "the validator whose turn it is cut off",
            Self::CutOut => "nobody hears one validator, which hears the others",
            Self::CutIn => "one validator hears nobody, and is heard",
            Self::Split => "the network in two halves",
            Self::Flap => "one validator cut off and back every half second",
            Self::Delay => "100 ms delay with 50 ms jitter on every link",
            Self::Loss => "5 % of packets lost on every link",
            Self::Disorder => "20 % of packets out of order and 10 % twice on every link",
            Self::Bandwidth => "4 Mbit/s on every link",
            Self::TokenBucket => "4 Mbit/s for what one validator sends, by tc tbf",
            Self::ClockAhead => "one clock 30 s ahead (libfaketime)",
            Self::ClockBehind => "one clock 30 s behind (libfaketime)",
            Self::ClockSpread => "two clocks 1.6 s apart (libfaketime)",
            Self::DiskFull => "the disk of one validator full",
            Self::DiskSlow => "20 writes a second for one validator (control group)",
            Self::LostData => "data folder deleted while the validator is down",
            Self::DeletedRunning => "data folder deleted while the validator runs",
            Self::FlippedBlocks => "one bit of the blocks turned while the validator is down",
            Self::FlippedRunning => "one bit of the blocks turned while the validator runs",
            Self::FlippedVotes => "one bit of the vote log turned while the validator is down",
            Self::FlippedIndex => {
                "one bit of the key-value store turned while the validator is down"
            }
            Self::TornTails => "the last 7 bytes of blocks and vote log missing after kill -9",
        }
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether the chain is to go on during the fault.
    #[must_use]
    pub fn survivable(self) -> bool {
        !matches!(
            self,
            Self::KillQuorum | Self::KillAll | Self::StopMost | Self::Split
        )
    }

    /// Why the fault cannot be made here; nothing if it can.
    #[must_use]
    pub fn missing(self, bed: &Bed) -> Option<String> {
        let packets = bed.mode() == Mode::Namespaces;
        match self {
            Self::Loss | Self::Disorder if !packets => {
                Some("needs network namespaces: packets cannot be lost from a stream".to_owned())
            }
            Self::TokenBucket if !packets => Some("needs network namespaces".to_owned()),
            Self::DiskFull if !rustix::process::geteuid().is_root() => {
                Some("needs the right to mount (CAP_SYS_ADMIN)".to_owned())
            }
            Self::ClockAhead | Self::ClockBehind | Self::ClockSpread
                if files::shifter().is_none() =>
            {
                Some(
                    "needs libfaketime (Debian: faketime); a time namespace shifts no wall clock"
                        .to_owned(),
                )
            }
            Self::DiskSlow => SlowDisk::new(bed.root())
                .err()
                .map(|error| format!("{error:#}")),
            _ => None,
        }
    }

    /// Makes the fault, holds it, and takes it away again; returns what is worth telling.
    ///
    /// # Errors
    /// When the fault could not be made, or a node did not come back.
    pub async fn perform(
        self,
        bed: &mut Bed,
        history: &History,
        hold: Duration,
        marks: &mut Marks,
    ) -> Result<Vec<String>> {
        let mut scene = Scene {
            bed,
            history,
            hold,
            marks,
            notes: Vec::new(),
        };
        scene.marks.injected_us = history.now_us();
        match self {
            Self::KillOne => scene.kill_turn(2).await?,
            Self::KillLeader => scene.kill_turn(1).await?,
            Self::KillF => scene.kill_some(scene.spare()).await?,
            Self::KillQuorum => scene.kill_some(scene.spare() + 1).await?,
            Self::KillAll => {
                scene.hold = Duration::from_millis(100);
                let all = scene.bed.validators();
                scene.kill_some(all).await?;
            }
            Self::StopOne => scene.pause_turn(2).await?,
            Self::StopLeader => scene.pause_turn(1).await?,
            Self::StopMost => {
                let most: Vec<_> = (1..scene.bed.validators()).collect();
                scene.pause(&most).await?;
            }
            Self::CutOne => scene.cut(2, false).await?,
            Self::CutLeader => scene.cut(1, false).await?,
            Self::CutOut => scene.cut(1, true).await?,
            Self::CutIn => scene.cut_in().await?,
            Self::Split => scene.split().await?,
            Self::Flap => scene.flap().await?,
            Self::Delay | Self::Loss | Self::Disorder | Self::Bandwidth => {
                scene.bed.rule_all(self.rule())?;
                scene.wait_and_heal().await;
            }
            Self::TokenBucket => scene.token_bucket().await?,
            Self::ClockAhead => scene.clocks(&[30.0]).await?,
            Self::ClockBehind => scene.clocks(&[-30.0]).await?,
            Self::ClockSpread => scene.clocks(&[0.8, -0.8]).await?,
            Self::DiskFull => scene.disk_full().await?,
            Self::DiskSlow => scene.disk_slow().await?,
            Self::LostData => scene.lost_data().await?,
            Self::DeletedRunning => scene.deleted_running().await?,
            Self::FlippedBlocks => scene.damaged(&["blocks-"], false).await?,
            Self::FlippedRunning => scene.damaged(&["blocks-"], true).await?,
            Self::FlippedVotes => scene.damaged(&["votes.log"], false).await?,
            Self::FlippedIndex => scene.damaged_index().await?,
            Self::TornTails => scene.torn().await?,
        }
        Ok(scene.notes)
    }

    fn rule(self) -> Rule {
        match self {
            Self::Delay => Rule {
                delay_ms: 100,
                jitter_ms: 50,
                ..Rule::OPEN
            },
            Self::Loss => Rule {
                loss_per_mille: 50,
                ..Rule::OPEN
            },
            Self::Disorder => Rule {
                reorder_per_mille: 200,
                duplicate_per_mille: 100,
                ..Rule::OPEN
            },
            _ => Rule {
                kbit_per_s: 4_000,
                ..Rule::OPEN
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scene::shorten;
    use super::*;

    #[test]
    fn every_fault_has_a_name_and_a_text() {
        for fault in Fault::value_variants() {
            assert!(!fault.name().is_empty() && fault.text().len() > 10);
        }
    }

    #[test]
    fn long_lines_are_cut_and_cannot_break_a_table() {
        assert_eq!(shorten("a|b"), "a/b");
        assert_eq!(shorten(&"x".repeat(999)).chars().count(), 301);
    }
}
