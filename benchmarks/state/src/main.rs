//! One workload on several authenticated stores: how fast they take durable updates and answer
//! reads, and what a proof, the disk and the memory cost.
//!
//! `cargo run --release -- compare [--keys 100000,1000000] [--engines ours,nomt] [--seconds 15] [--batches 96]
//! [--out results.json]` runs each combination in a process of its own, prints a table and writes
//! JSON. Progress goes to standard error.

mod measure;
mod nomt_engine;
mod ours;
mod qmdb;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use measure::Figures;

/// Each with what sets it apart.
const ENGINES: [(&str, &str); 9] = [
    (
        "ours",
        "flushed every 32 blocks and persisted with each flush, 1024 blocks of history",
    ),
    ("ours-sm", "the same with SM3 instead of Keccak-256"),
    ("ours-no-history", "the same as ours without history"),
    (
        "ours-small",
        "the same as ours with the caches that a node has by default",
    ),
    ("ours-durable", "flushed and persisted with every batch"),
    ("nomt", "Keccak-256, durable with every batch"),
    ("nomt-blake3", "the same with BLAKE3"),
    (
        "qmdb",
        "current unordered fixed, MMR, SHA-256, durable with every batch, pruned",
    ),
    (
        "qmdb-ordered",
        "the same with keys in order, which lets it prove absence",
    ),
];

struct Arguments {
    keys: Vec<u64>,
    engines: Vec<String>,
    seconds: f64,
    /// Batches after the first `seconds`, at least.
    batches: usize,
    out: Option<PathBuf>,
    folder: PathBuf,
}

fn parse() -> Result<(String, Arguments)> {
    let mut arguments = Arguments {
        keys: vec![100_000, 1_000_000],
        engines: ENGINES.iter().map(|(name, _)| (*name).to_owned()).collect(),
        seconds: 10.0,
        batches: 96,
        out: None,
        folder: std::env::temp_dir(),
    };
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_else(|| "compare".into());
    while let Some(flag) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--keys" => {
                arguments.keys = value
                    .split(',')
                    .map(|n| Ok(n.parse()?))
                    .collect::<Result<_>>()?;
            }
            "--engines" => arguments.engines = value.split(',').map(str::to_owned).collect(),
            "--seconds" => arguments.seconds = value.parse()?,
            "--batches" => arguments.batches = value.parse()?,
            "--out" => arguments.out = Some(value.into()),
            "--folder" => arguments.folder = value.into(),
            _ => bail!("unknown flag {flag}; see the head of src/main.rs"),
        }
    }
    Ok((command, arguments))
}

fn main() -> Result<()> {
    let (command, arguments) = parse()?;
    match command.as_str() {
        "compare" => compare(&arguments),
        "run" => run(&arguments),
        _ => bail!("unknown command {command}; there are compare and run"),
    }
}

/// Runs every combination and reports.
fn compare(arguments: &Arguments) -> Result<()> {
    let mut all = Vec::new();
    for keys in &arguments.keys {
        for engine in &arguments.engines {
            eprintln!("{engine}, {keys} keys");
            let folder = arguments
                .folder
                .join(format!("state-{}-{engine}-{keys}", std::process::id()));
            let output = Command::new(std::env::current_exe()?)
                .args(["run", "--engines", engine, "--keys", &keys.to_string()])
                .args(["--seconds", &arguments.seconds.to_string()])
                .args(["--batches", &arguments.batches.to_string()])
                .arg("--folder")
                .arg(&folder)
                .stderr(Stdio::inherit())
                .output()?;
            std::fs::remove_dir_all(&folder).ok();
            if output.status.success() {
                all.push(serde_json::from_slice::<Figures>(&output.stdout)?);
            } else {
                eprintln!("{engine} with {keys} keys failed: {}", output.status);
            }
            if let Some(out) = &arguments.out {
                std::fs::write(out, serde_json::to_string_pretty(&all)?)?;
            }
        }
    }
    print!("{}", measure::table(&all));
    for (name, what) in ENGINES {
        println!("{name}: {what}");
    }
    Ok(())
}

/// Runs one combination in this process and prints its figures as JSON.
fn run(arguments: &Arguments) -> Result<()> {
    let ([engine], [keys]) = (arguments.engines.as_slice(), arguments.keys.as_slice()) else {
        bail!("run takes one engine and one number of keys");
    };
    let (keys, folder) = (*keys, arguments.folder.as_path());
    let length = (arguments.seconds, arguments.batches);
    std::fs::create_dir_all(folder)?;
    let figures = engine_run(engine, keys, length, folder)?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn engine_run(engine: &str, keys: u64, length: (f64, usize), folder: &Path) -> Result<Figures> {
    use futures_executor::block_on;
    use hawser_crypto::Suite;
    let measure = |opened| block_on(measure::measure(engine, opened, keys, length, folder));
    match engine {
        "ours" => measure(ours::Ours::open(folder, ours::Mode::default())?),
        "ours-sm" => measure(ours::Ours::open(
            folder,
            ours::Mode {
                suite: Suite::Sm,
                ..ours::Mode::default()
            },
        )?),
        "ours-no-history" => measure(ours::Ours::open(
            folder,
            ours::Mode {
                history_blocks: 0,
                ..ours::Mode::default()
            },
        )?),
        "ours-small" => measure(ours::Ours::open(
            folder,
            ours::Mode {
                small: true,
                ..ours::Mode::default()
            },
        )?),
        "ours-durable" => measure(ours::Ours::open(
            folder,
            ours::Mode {
                every_batch: true,
                ..ours::Mode::default()
            },
        )?),
        "nomt" => {
            let opened = nomt_engine::Engine::<nomt_engine::Keccak>::open(folder, keys)?;
            block_on(measure::measure(engine, opened, keys, length, folder))
        }
        "nomt-blake3" => {
            let opened = nomt_engine::Engine::<nomt_engine::Blake3>::open(folder, keys)?;
            block_on(measure::measure(engine, opened, keys, length, folder))
        }
        "qmdb" => qmdb::by_hash::run(engine, keys, length, folder),
        "qmdb-ordered" => qmdb::by_key::run(engine, keys, length, folder),
        _ => bail!("no engine '{engine}'"),
    }
}
