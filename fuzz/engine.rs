//! Nothing of its own: names libFuzzer's binding, so that Cargo builds it with the versions of the lock file beside.
#![forbid(unsafe_code)]

pub use libfuzzer_sys;
