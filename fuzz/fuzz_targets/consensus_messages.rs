#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (hawser_hostile::Target::find("consensus_messages").expect("a target").run)(input);
});
