//! hawser-crypto
