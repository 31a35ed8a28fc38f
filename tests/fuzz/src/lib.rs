//! What reads bytes from outside, each as one function over bytes, with valid inputs to start from.
//!
//! For: the mutation tests beside this crate, and the program of coverage-guided fuzzing (`examples/fuzzer.rs`), which
//! call the same functions. Not for: production; nothing may depend on this crate but other tests.
//!
//! A target panics when something is wrong: the decoder panicked itself, or what it accepted does not encode to the
//! bytes that it was read from, or an answer contradicts another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod mutate;
mod seeds;
mod targets;

use std::{fs, io, path::Path};

/// Something that reads bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces of input that mean something.
    pub words: &'static [&'static str],
    /// Reads an input; panics when something is wrong.
    pub run: fn(&[u8]),
    /// Bytes of memory that one input may take at a time, besides [`Target::MEMORY_PER_BYTE`] for each of its bytes.
    pub memory: u64,
}

impl Target {
    /// Bytes of memory that each byte of an input may take.
    pub const MEMORY_PER_BYTE: u64 = 256;

    /// The target of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        TARGETS.iter().find(|target| target.name == name).copied()
    }
}

/// Writes what coverage-guided fuzzing begins with: the valid inputs of every target into `seeds/TARGET/`, and its words,
/// where it has some, into `words/TARGET` as a dictionary of libFuzzer's.
///
/// # Errors
/// When a file cannot be written.
pub fn write_inputs(folder: &Path) -> io::Result<()> {
    let words = folder.join("words");
    fs::create_dir_all(&words)?;
    for target in TARGETS {
        let seeds = folder.join("seeds").join(target.name);
        fs::create_dir_all(&seeds)?;
        for (n, seed) in (target.seeds)().iter().enumerate() {
            fs::write(seeds.join(format!("seed-{n:02}")), seed)?;
        }
        if !target.words.is_empty() {
            let lines: String = target.words.iter().map(|word| entry(word)).collect();
            fs::write(words.join(target.name), lines)?;
        }
    }
    Ok(())
}

/// A word as libFuzzer's dictionaries have it: in quotation marks, with everything but plain text by its number.
fn entry(word: &str) -> String {
    let escaped: String = word
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect();
    format!("\"{escaped}\"\n")
}

const MIB: u64 = 1024 * 1024;

const fn target(name: &'static str, seeds: fn() -> Vec<Vec<u8>>, run: fn(&[u8])) -> Target {
    Target {
        name,
        seeds,
        words: &[],
        run,
        // The codec reads byte strings in pieces of up to a mebibyte, whatever length they announce.
        memory: 2 * MIB,
    }
}

const fn text(
    name: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    words: &'static [&'static str],
    run: fn(&[u8]),
) -> Target {
    Target {
        words,
        memory: 4 * MIB,
        ..target(name, seeds, run)
    }
}

const fn file(name: &'static str, seeds: fn() -> Vec<Vec<u8>>, run: fn(&[u8])) -> Target {
    Target {
        // Files are scanned in pieces of a mebibyte.
        memory: 16 * MIB,
        ..target(name, seeds, run)
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("transactions", seeds::transactions, targets::transactions),
    target(
        "peer_messages",
        seeds::peer_messages,
        targets::peer_messages,
    ),
    target(
        "consensus_messages",
        seeds::consensus,
        targets::consensus_messages,
    ),
    target("agreement", seeds::agreement, targets::agreement),
    target(
        "vote_log_entries",
        seeds::vote_log,
        targets::vote_log_entries,
    ),
    target("ledger", seeds::ledger, targets::ledger),
    target("certificates", seeds::certificates, targets::certificates),
    target("proofs", seeds::proofs, targets::proofs),
    target(
        "false_attestations",
        seeds::false_attestations,
        targets::false_attestations,
    ),
    target("evidence", seeds::evidence, targets::evidence),
    target("keys", seeds::keys, targets::keys),
    text("genesis", seeds::genesis, seeds::JSON, targets::genesis),
    text("pki", seeds::pki, seeds::PEM, targets::pki),
    text(
        "configuration",
        seeds::configuration,
        seeds::TOML,
        targets::configuration,
    ),
    Target {
        // The engine counts what a script takes in units of its own.
        memory: 64 * MIB,
        ..text("policy", seeds::policy, seeds::STARLARK, targets::policy)
    },
    text(
        "policy_cases",
        seeds::policy_cases,
        seeds::TOML,
        targets::policy_cases,
    ),
    file("log_recovery", seeds::log, targets::log_recovery),
    file(
        "segment_recovery",
        seeds::segments,
        targets::segment_recovery,
    ),
    file("page_recovery", seeds::pages, targets::page_recovery),
    file(
        "vote_log_recovery",
        seeds::vote_log_file,
        targets::vote_log_recovery,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn words_of_a_dictionary_are_escaped() {
        assert_eq!(super::entry("null"), "\"null\"\n");
        assert_eq!(
            super::entry("a\"\\\n合"),
            "\"a\\\"\\\\\\x0a\\xe5\\x90\\x88\"\n"
        );
    }
}
