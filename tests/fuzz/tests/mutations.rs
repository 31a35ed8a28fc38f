//! Every decoder under damaged inputs: no panic, no more memory than its bound, and what is accepted encodes to what it
//! was read from. `HAWSER_MUTATIONS` says how many inputs each gets; `make mutations` gives a million.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use hawser_hostile::{
    TARGETS, Target,
    mutate::{Mutator, inputs},
};

/// No input takes longer, on a busy machine and without optimisation.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Begins what is said of an input that took too long.
const SLOW: &str = "it took";

/// Runs one input and says what was wrong with it. A machine that stood still is no fault of the input: what takes too
/// long does so twice.
fn wrong(target: &Target, input: &[u8]) -> Option<String> {
    wrong_once(target, input, TIME_MAX)
        .filter(|why| !why.starts_with(SLOW) || wrong_once(target, input, TIME_MAX).is_some())
}

fn wrong_once(target: &Target, input: &[u8], time_max: Duration) -> Option<String> {
    let start = Instant::now();
    let mut outcome = Ok(());
    let memory = allocation_counter::measure(|| {
        outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    });
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        return Some(text.unwrap_or("a panic").to_owned());
    }
    let allowed = target.memory + input.len() as u64 * Target::MEMORY_PER_BYTE;
    if memory.bytes_max > allowed {
        return Some(format!(
            "{} bytes of memory, {allowed} are allowed",
            memory.bytes_max
        ));
    }
    let took = start.elapsed();
    (took > time_max).then(|| format!("{SLOW} {took:?}"))
}

fn damage(name: &str) {
    let target = Target::find(name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    let mut longest = Duration::ZERO;
    for (n, seed) in seeds.iter().enumerate() {
        if let Some(why) = wrong(&target, seed) {
            panic!("{name}: seed {n}: {why}");
        }
    }
    let (start, mut bytes) = (Instant::now(), 0u64);
    let mut mutator = Mutator::new(0x4841_5753_4552, seeds, target.words);
    for n in 0..inputs() {
        let input = mutator.input();
        bytes += input.len() as u64;
        let begun = Instant::now();
        if let Some(why) = wrong(&target, &input) {
            panic!("{name}: input {n}: {why}\n{}", hex::encode(&input));
        }
        longest = longest.max(begun.elapsed());
    }
    println!(
        "{name}: {} inputs, {} MiB, {:.1} s, the slowest {:.1} ms",
        inputs(),
        bytes >> 20,
        start.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1_000.0
    );
}

macro_rules! damaged {
    ($($name:ident),* $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            damage(stringify!($name));
        })*
    };
}

damaged!(
    transactions,
    peer_messages,
    consensus_messages,
    agreement,
    vote_log_entries,
    ledger,
    certificates,
    proofs,
    false_attestations,
    evidence,
    keys,
    genesis,
    pki,
    configuration,
    policy,
    policy_cases,
    log_recovery,
    segment_recovery,
    page_recovery,
    vote_log_recovery,
);

#[test]
fn every_target_is_tested() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
}

/// Inputs that coverage-guided fuzzing has found and that are kept: each is read like those above, all are small.
#[test]
fn the_kept_inputs_are_read_and_every_target_has_some() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut found = std::collections::BTreeMap::new();
    let mut bytes = 0;
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let target = Target::find(&name).unwrap_or_else(|| panic!("{name} is no target"));
        let mut inputs = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            assert!(input.len() <= 4096, "{}", path.display());
            if let Some(why) = wrong(&target, &input) {
                panic!("{}: {why}", path.display());
            }
            inputs += 1;
            bytes += input.len();
        }
        assert!((1..=40).contains(&inputs), "{name}: {inputs} inputs");
        found.insert(name, inputs);
    }
    assert_eq!(found.len(), TARGETS.len(), "{found:?}");
    assert!(bytes <= 1_500_000, "{bytes} bytes are kept");
}

#[test]
fn what_fuzzing_begins_with_is_written_for_every_target() {
    let dir = tempfile::tempdir().unwrap();
    hawser_hostile::write_inputs(dir.path()).unwrap();
    for target in TARGETS {
        let files = std::fs::read_dir(dir.path().join("seeds").join(target.name)).unwrap();
        assert_eq!(files.count(), (target.seeds)().len(), "{}", target.name);
        let words = std::fs::read_to_string(dir.path().join("words").join(target.name));
        assert_eq!(
            words.map_or(0, |text| text.lines().count()),
            target.words.len(),
            "{}: a line for each word",
            target.name
        );
    }
}

/// The damage itself: the same for the same seed, and of every kind.
#[test]
fn the_same_seed_damages_the_same_way() {
    let row = |seed| {
        let mut mutator = Mutator::new(seed, vec![b"hello".to_vec(), vec![7; 100]], &["word"]);
        (0..2_000).map(|_| mutator.input()).collect::<Vec<_>>()
    };
    let first = row(1);
    assert_eq!(first, row(1));
    assert_ne!(first, row(2));
    assert!(first.iter().any(Vec::is_empty), "cut to nothing");
    assert!(first.iter().any(|input| input.len() > 4_000), "grown");
    let has = |part: &[u8]| {
        first
            .iter()
            .any(|input| input.windows(part.len()).any(|w| w == part))
    };
    assert!(has(b"word") && has(&[0xff; 8]) && has(b"hello"));
    assert!(
        first
            .iter()
            .all(|input| input.len() <= hawser_hostile::mutate::BYTES_MAX)
    );
}

/// A target that takes too much memory or panics is found out.
#[test]
fn too_much_memory_and_panics_are_seen() {
    let target = |run: fn(&[u8])| Target {
        name: "made up",
        seeds: Vec::new,
        words: &[],
        run,
        memory: 1 << 16,
    };
    let greedy = target(|_| drop(std::hint::black_box(vec![0u8; 1 << 20])));
    assert!(wrong(&greedy, b"").unwrap().contains("memory"));
    let frugal = target(|_| drop(std::hint::black_box(vec![0u8; 1 << 10])));
    assert_eq!(wrong(&frugal, b""), None);
    let slow = wrong_once(&frugal, b"", Duration::ZERO);
    assert!(slow.unwrap().starts_with(SLOW));
    let broken = target(|_| panic!("broken"));
    assert_eq!(wrong(&broken, b"").unwrap(), "broken");
}

/// Certificates of seeds/*.pem, made anew: a node's, its authority's, a request, a revocation list.
#[test]
#[ignore = "writes the seeds"]
fn write_seeds() {
    use hawser_crypto::keystore::Params;
    use hawser_pki::{
        Algorithm, Authority, Moment, PrivateKey, Profile, Request, Subject, Template,
    };
    for (algorithm, file) in [
        (Algorithm::P256, "pki-p256.pem"),
        (Algorithm::Sm2, "pki-sm2.pem"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let now = Moment(1_900_000_000);
        let subject = Subject::new("Harbour authority", "Harbour");
        let folder = dir.path().join("ca");
        let params = Params::light();
        let mut authority =
            Authority::create(&folder, subject, algorithm, 3_650, "p", &params, now).unwrap();
        let template = Template {
            subject: Subject::new("node-1", "Harbour"),
            profile: Profile::Node,
            names: vec!["node-1.example".to_owned(), "10.0.0.1".to_owned()],
            days: 365,
            path_len: None,
        };
        let key = PrivateKey::generate(algorithm).unwrap();
        let request = Request::new(&template.subject, &template.names, &key).unwrap();
        let issued = authority.issue(&request, &template, now).unwrap();
        let crl = authority.crl(30, now).unwrap();
        let text = [
            issued.certificate.to_pem(),
            authority.root().to_pem(),
            request.to_pem(),
            crl.to_pem(),
        ]
        .concat();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(file);
        std::fs::write(path, text).unwrap();
    }
}
