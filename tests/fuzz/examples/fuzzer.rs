//! Every target under libFuzzer, one at a time: `HAWSER_FUZZ_TARGET=name fuzzer …`. With `HAWSER_FUZZ_INPUTS=folder`
//! it writes there what they begin with, and ends. Built by `scripts/fuzz`, which brings libFuzzer in.
#![no_main]
#![allow(clippy::expect_used)]

use std::{path::Path, process::exit, sync::OnceLock};

use hawser_hostile::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn begin() {
    if let Some(folder) = std::env::var_os("HAWSER_FUZZ_INPUTS") {
        hawser_hostile::write_inputs(Path::new(&folder)).expect("the inputs can be written");
        exit(0);
    }
    let name = std::env::var("HAWSER_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = Target::find(&name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "fuzzer: \"{name}\" is no target; set HAWSER_FUZZ_TARGET to one of {}",
            names.join(", ")
        );
        exit(2);
    };
    let _ = TARGET.set(target);
}

libfuzzer_sys::fuzz_target!(init: begin(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(input);
    }
});
