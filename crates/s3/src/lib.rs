//! An object store that speaks the protocol of Amazon S3: that of MinIO, Ceph, SeaweedFS, Garage and
//! the large clouds.
//!
//! For: [`S3Store`], the [`ObjectStore`](hawser_storage::ObjectStore) of `docs/spec/tiering.md`.
//! Not for: buckets, lists, rights: who runs the store makes those.
//!
//! Three requests are made: `PutObject`, and `GetObject` with a range, whose answer also tells the
//! length. They are signed by AWS signature version 4 in the query (`rusty-s3`); the payload is not part of the signature, as what
//! is uploaded is read back and compared.
//!
//! Invariants: every call ends within the bound of [`S3Options::timeout_ms`] per step; no error, log
//! or `Debug` output has a secret, a signature or a signed address.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod body;
mod credentials;
mod store;
mod trust;

pub use credentials::{CREDENTIALS_BYTES_MAX, S3Credentials};
pub use store::{S3Error, S3Options, S3Store};
