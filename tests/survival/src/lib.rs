//! Real processes, real network, real faults: what `make faults` and `make soak` run.
//!
//! [`bed`] starts nodes as processes, each with its own address; [`switch`] carries what they say to each other and does
//! to it what [`link`] says; [`faults`] and [`files`] make everything else go wrong. [`clients`] work on the chain at the
//! same time and write a [`history`], which [`judge`] compares with what every node has at the end ([`chain`]), and
//! [`linear`] with what one register could have done. [`run`] measures each fault, [`soak`] goes on for hours.
//!
//! For: faults that only an operating system can make. Not for: schedules that must repeat exactly, Byzantine
//! validators, or crashes between two writes; the simulator has those.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod backlog;
pub mod bed;
pub mod chain;
pub mod clients;
pub mod contract;
pub mod faults;
pub mod files;
pub mod history;
pub mod judge;
pub mod linear;
pub mod link;
pub mod members;
pub mod netns;
pub mod plot;
pub mod random;
pub mod report;
pub mod run;
pub mod sample;
pub mod soak;
pub mod switch;
