//! Draws the recordings of consensus events: as text, as JSON, as a page with a picture.

pub(crate) mod page;
mod picture;
pub(crate) mod text;
mod words;

use std::path::{Path, PathBuf};

use hawser_node::blackbox;
use hawser_node::blackbox::read::{self, Recording};
use hawser_node::config::{self as node_config, Overrides};

use crate::exit::{Code, OrFail, Result, fail};

/// The recording that a path names: a file, or the only one in or below a folder.
pub(crate) fn find(path: &Path, chain: Option<u64>) -> Result<PathBuf> {
    if !path.exists() {
        return fail(Code::NotFound, format!("{} is not there", path.display()));
    }
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let mut folders = vec![path.to_owned(), path.join("data")];
    let file = path.join("node.toml");
    if file.is_file()
        && let Ok(loaded) = node_config::load(&file, &Overrides::default())
    {
        let config = loaded.config;
        folders.push(config.node.data_dir);
        folders.extend(config.chains.into_iter().filter_map(|chain| chain.dir));
    }
    let mut found = Vec::new();
    for folder in folders {
        let below = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let chains = below.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with("chain-"))
        });
        let candidates: Vec<_> = [folder.clone()].into_iter().chain(chains).collect();
        for candidate in candidates {
            let both = [candidate.join(blackbox::FOLDER), candidate];
            let both = both.into_iter().filter(|path| holds_recording(path));
            // One folder may be found in two ways, spelled differently.
            found.extend(both.map(|path| std::fs::canonicalize(&path).unwrap_or(path)));
        }
    }
    found.sort();
    found.dedup();
    if let Some(chain) = chain {
        let wanted = format!("chain-{chain}");
        found.retain(|path| path.iter().any(|part| part.to_string_lossy() == wanted));
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => fail(
            Code::NotFound,
            format!(
                "{} holds no recording of consensus events: give the folder of a node (it has to have \
                 run with log.blackbox_mib above 0), or a file that `hawser debug export` wrote",
                path.display()
            ),
        ),
        many => {
            let list: Vec<_> = many.iter().map(|path| path.display().to_string()).collect();
            fail(
                Code::Usage,
                format!(
                    "{} holds recordings of several chains; choose one with --chain, or give its \
                     folder: {}",
                    path.display(),
                    list.join(", ")
                ),
            )
        }
    }
}

fn holds_recording(path: &Path) -> bool {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name())
        .any(|name| name.to_string_lossy().starts_with("events-"))
}

/// Reads what a path names.
pub(crate) fn recording(path: &Path, chain: Option<u64>) -> Result<Recording> {
    let found = find(path, chain)?;
    if found.is_file() {
        read::file(&found).or_fail(Code::Config)
    } else {
        read::folder(&found).or_fail(Code::Config)
    }
}
