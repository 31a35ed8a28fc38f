use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use commonware_codec::EncodeSize;
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::{CacheRef, page_size};
use commonware_runtime::tokio::{Config, Context, Runner};
use commonware_runtime::{BLOB_PAGE_SIZE, Runner as _};
use commonware_storage::journal::contiguous::fixed::Config as JournalConfig;
use commonware_storage::merkle::full::Config as MerkleConfig;
use commonware_storage::merkle::mmr::Family;
use commonware_storage::qmdb::any::value::FixedEncoding;
use commonware_storage::qmdb::current::FixedConfig;
use commonware_storage::qmdb::current::{ordered, unordered};
use commonware_storage::qmdb::floor::Proportional;
use commonware_storage::translator::EightCap;
use hawser_crypto::Suite;

use crate::measure::{Engine, Figures, measure};
use crate::workload::{Update, key};

const ITEMS_PER_BLOB: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();
const BUFFER: NonZeroUsize = NonZeroUsize::new(2 << 20).unwrap();
/// Pages of 4 KiB: 256 MiB.
const CACHE_PAGES: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// Batches between two prunings.
const PRUNE: u64 = 100;

/// `qmdb` of `commonware-storage`. The unordered variant proves current values, the ordered one absence
/// as well; their types share no trait that would let one text serve both.
macro_rules! engine {
    ($module:ident, $db:ident, |$proof:ident, $key:ident, $value:ident, $root:ident| $verify:expr) => {
        pub mod $module {
            use super::*;

            type Store =
                $db::fixed::Db<Family, Context, Digest, Digest, Sha256, EightCap, 32, Sequential>;

            struct Qmdb {
                store: Option<Store>,
                batches: u64,
            }

            pub fn run(
                name: &str,
                keys: u64,
                length: (f64, usize),
                folder: &Path,
            ) -> Result<Figures> {
                let config = Config::new()
                    .with_storage_directory(folder)
                    .with_worker_threads(2);
                Runner::new(config).start(|context| async move {
                    let store = Store::init(context, super::config(), None)
                        .await
                        .map_err(|e| anyhow!("{e}"))?;
                    let engine = Qmdb {
                        store: Some(store),
                        batches: 0,
                    };
                    measure(name, engine, keys, length, folder).await
                })
            }

            impl Qmdb {
                fn store(&self) -> Result<&Store> {
                    self.store.as_ref().context("closed by an error")
                }
            }

            impl Engine for Qmdb {
                async fn batch(&mut self, updates: &[Update]) -> Result<()> {
                    let store = self.store.take().context("closed by an error")?;
                    let paths: Vec<Digest> = updates.iter().map(|(n, _)| super::path(*n)).collect();
                    let old = store.get_many(&paths.iter().collect::<Vec<_>>()).await?;
                    std::hint::black_box(old);
                    let mut batch = store.new_batch();
                    for (path, (_, value)) in paths.into_iter().zip(updates) {
                        batch = batch.write(path, Some(Digest(*value)));
                    }
                    let batch = batch.merkleize(&store, None, &mut Proportional).await?;
                    let mut store = store.apply_batch(batch).await?.commit().await?;
                    self.batches += 1;
                    if self.batches.is_multiple_of(PRUNE) {
                        let boundary = store.sync_boundary();
                        store = store.prune(boundary).await?;
                    }
                    self.store = Some(store);
                    Ok(())
                }

                async fn read(&mut self, n: u64) -> Result<Option<[u8; 32]>> {
                    Ok(self
                        .store()?
                        .get(&super::path(n))
                        .await?
                        .map(|value| value.0))
                }

                async fn proof_bytes(&mut self, n: u64) -> Result<usize> {
                    let store = self.store()?;
                    let value = store.get(&super::path(n)).await?.context("no value")?;
                    let $proof = store.key_value_proof(super::path(n)).await?;
                    let ($key, $value, $root) = (super::path(n), value, store.root());
                    ensure!($verify, "proof refused");
                    Ok($proof.encode_size())
                }

                async fn settle(&mut self) -> Result<()> {
                    let store = self.store.take().context("closed by an error")?;
                    let boundary = store.sync_boundary();
                    self.store = Some(store.prune(boundary).await?.sync().await?);
                    Ok(())
                }
            }
        }
    };
}

engine!(by_hash, unordered, |proof, key, value, root| {
    Store::verify_key_value_proof(key, value, &proof, &root)
});
engine!(by_key, ordered, |proof, key, value, root| {
    proof.verify::<Sha256, FixedEncoding<Digest>>(key, value, &root)
});

fn config() -> FixedConfig<EightCap, Sequential> {
    let cache = CacheRef::new(page_size(BLOB_PAGE_SIZE), CACHE_PAGES);
    FixedConfig {
        merkle_config: MerkleConfig {
            journal_partition: "merkle-journal".into(),
            metadata_partition: "merkle-metadata".into(),
            items_per_blob: ITEMS_PER_BLOB,
            write_buffer: BUFFER,
            replay_buffer: BUFFER,
            strategy: Sequential,
            page_cache: cache.clone(),
        },
        journal_config: JournalConfig {
            partition: "log".into(),
            items_per_blob: ITEMS_PER_BLOB,
            page_cache: cache,
            write_buffer: BUFFER,
            replay_buffer: BUFFER,
        },
        grafted_metadata_partition: "grafted".into(),
        translator: EightCap,
        init_cache: None,
        init_buffer: BUFFER,
        init_concurrency: (),
    }
}

fn path(n: u64) -> Digest {
    Digest(key(n).path(Suite::Intl).0)
}
