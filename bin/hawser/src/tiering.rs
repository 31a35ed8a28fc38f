//! The object store of a chain's old files, as the configuration says.

use std::path::Path;
use std::sync::Arc;

use hawser_ledger::Genesis;
use hawser_node::config::{NodeConfig, TierAddressing, TierStore};
use hawser_s3::{S3Credentials, S3Options, S3Store};
use hawser_storage::{Disk, ObjectStore, OsDisk, Tier, TierHash, TierOptions, TieredDisk};

use crate::exit::{Code, OrFail, Result};

/// Folder of what was read from the store, within a chain's folder.
const CACHE: &str = "tier-cache";
/// Digits of the genesis hash in keys: chains of one id on one store stay apart.
const GENESIS_DIGITS: usize = 16;

/// Where the keys of a chain begin.
fn prefix(config: &NodeConfig, genesis: &Genesis) -> String {
    let hash = genesis.hash().to_string();
    let digits = hash.trim_start_matches("0x");
    let digits = digits.get(..GENESIS_DIGITS).unwrap_or(digits);
    format!("{}/chain-{}-{digits}", config.tier.prefix, genesis.chain_id)
}

/// The store that is configured; `None` for none. Nothing is sent to it.
fn store(config: &NodeConfig) -> Result<Option<Arc<dyn ObjectStore>>> {
    let tier = &config.tier;
    if tier.store == TierStore::None {
        return Ok(None);
    }
    let credentials = match &tier.credentials_file {
        Some(path) => S3Credentials::from_file(path),
        None => S3Credentials::from_variables(&|name| std::env::var(name).ok()),
    };
    let credentials = credentials.or_fail(Code::Config)?;
    let options = S3Options {
        endpoint: tier.endpoint.clone(),
        bucket: tier.bucket.clone(),
        region: tier.region.clone(),
        path_style: tier.addressing == TierAddressing::Path,
        ca_file: tier.ca_file.clone(),
        timeout_ms: tier.timeout_ms,
    };
    let store = S3Store::open(&options, credentials).or_fail(Code::Config)?;
    Ok(Some(Arc::new(store)))
}

/// Checks settings and credentials of the store as a start does.
pub(crate) fn check(config: &NodeConfig) -> Result<()> {
    store(config).map(drop)
}

/// What moves the files of a chain's folder. `offline`: without the store, only what is known here.
pub(crate) fn open(
    config: &NodeConfig,
    dir: &Path,
    disk: Arc<dyn Disk>,
    genesis: &Genesis,
    offline: bool,
) -> Result<Arc<Tier>> {
    const MIB: u64 = 1024 * 1024;
    let store = if offline { None } else { store(config)? };
    let cache = match &store {
        Some(_) => {
            let cache = OsDisk::new(&dir.join(CACHE)).or_fail(Code::Failed)?;
            Some(Arc::new(cache) as Arc<dyn Disk>)
        }
        None => None,
    };
    let options = TierOptions {
        prefix: prefix(config, genesis),
        hash: TierHash::of(genesis.suite),
        cache_bytes: config.tier.cache_mib.saturating_mul(MIB),
        bytes_per_s: config.tier.mib_per_s.saturating_mul(MIB),
    };
    Tier::open(disk, store, cache, options).or_fail(Code::Failed)
}

/// A chain's folder with its files in the store.
pub(crate) fn disk(
    config: &NodeConfig,
    dir: &Path,
    disk: OsDisk,
    genesis: &Genesis,
    offline: bool,
) -> Result<Arc<dyn Disk>> {
    let tier = open(config, dir, Arc::new(disk), genesis, offline)?;
    // Where nothing is configured and nothing was moved, the folder is what it is.
    if !tier.is_configured() && tier.files().or_fail(Code::Failed)?.is_empty() {
        return Ok(tier.folder());
    }
    Ok(Arc::new(TieredDisk::new(tier)))
}
