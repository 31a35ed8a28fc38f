#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (hawser_hostile::Target::find("proofs").expect("a target").run)(input);
});
