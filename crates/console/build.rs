//! Puts the built console into the crate: a table of every file under `console/dist`. Without a
//! built console the table is empty, and the crate serves a page that says how to build it.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../console/dist");
    // The folder is in the repository even when it is empty, so that watching it works: a path that
    // does not exist would make every build run this again.
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, &dist, &mut files)?;
    }
    files.sort();
    if !files.iter().any(|(name, _)| name == "index.html") {
        files.clear();
    }
    let mut table = String::from("static FILES: &[(&str, &[u8], &str)] = &[\n");
    for (name, path) in &files {
        let path = path.canonicalize()?;
        let tag = fnv1a(&fs::read(&path)?);
        let path = path
            .to_str()
            .ok_or("the path of the console is not UTF-8")?;
        writeln!(
            table,
            "    ({name:?}, include_bytes!({path:?}), \"\\\"{tag:016x}\\\"\"),"
        )?;
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("files.rs"), table)?;
    Ok(())
}

/// Every file below `folder` but hidden ones, with its path from `root` as URLs write it.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else {
            return Err(io::Error::other(format!(
                "{} has no UTF-8 name",
                path.display()
            )));
        };
        if path
            .file_name()
            .is_some_and(|last| last.as_encoded_bytes().starts_with(b"."))
        {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.push((name.replace('\\', "/"), path));
        }
    }
    Ok(())
}

/// FNV-1a in 64 bits: tells versions of one file apart, which is all that an entity tag needs.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
