#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (hawser_hostile::Target::find("vote_log_recovery").expect("a target").run)(input);
});
