//! Bounds on what is read. Each is tested on both sides.

/// Longest certificate or request, in bytes of DER.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Most certificates in a chain, the root included.
pub const CHAIN_MAX: usize = 4;
/// Longest revocation list, in bytes of DER.
pub const CRL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most entries of a revocation list.
pub const CRL_ENTRIES_MAX: usize = 50_000;
/// Longest PEM file, in bytes.
pub const FILE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Most blocks of a PEM file.
pub const PEM_BLOCKS_MAX: usize = 64;
/// Most extensions of a certificate.
pub const EXTENSIONS_MAX: usize = 32;
/// Most alternative names of a certificate.
pub const NAMES_MAX: usize = 32;
/// Longest attribute of a name, in characters (X.520, upper bound of common and organisation names).
pub const ATTRIBUTE_CHARS_MAX: usize = 64;
/// Most roots, intermediates and revocation lists of a trust folder, each.
pub const TRUST_FILES_MAX: usize = 1_024;
/// Most signatures checked while a chain is built.
pub const SIGNATURES_MAX: usize = 16;
/// Longest life of a certificate, in days.
pub const DAYS_MAX: u32 = 36_500;
