/// What an over-long trace is told.
pub(crate) const STEPS: &str = "1,000,000 steps";
/// What an over-large trace is told.
pub(crate) const BYTES: &str = "64 MiB";
