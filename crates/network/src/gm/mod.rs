//! TLS 1.3 with Chinese national cryptography (RFC 8998): the suite `TLS_SM4_GCM_SM3`, the group
//! `curveSM2` and the signature `sm2sig_sm3`, as a provider for rustls.
//!
//! Secrets are handled by RustCrypto's code: SM2 multiplications and GHASH take the same time for
//! every input; SM4 looks its S-box of 256 bytes (four cache lines) up by secret bytes, which is
//! the state of that library and not of ours: [`aead`] names the cipher in one place.

mod aead;
mod hash;
mod kx;

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::{
    CipherSuite, CipherSuiteCommon, SignatureScheme, SupportedCipherSuite, Tls13CipherSuite,
};

/// `TLS_SM4_GCM_SM3` (RFC 8998 section 2).
pub(crate) const SUITE: CipherSuite = CipherSuite::Unknown(0x00c6);
/// `sm2sig_sm3` (RFC 8998 section 2).
pub(crate) const SIGNATURE: SignatureScheme = SignatureScheme::Unknown(0x0708);

static SM4_GCM_SM3: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: SUITE,
        hash_provider: &hash::Sm3Hash,
        // As for AES-GCM: the bound comes from the block length (RFC 8446 section 5.5).
        confidentiality_limit: 1 << 24,
    },
    hkdf_provider: &hash::HKDF,
    aead_alg: &aead::Sm4GcmAead,
    quic: None,
};

/// The provider. Certificates are verified by `hawser-pki`, so it lists no algorithms for that.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![SupportedCipherSuite::Tls13(&SM4_GCM_SM3)],
        kx_groups: vec![&kx::CurveSm2],
        signature_verification_algorithms: WebPkiSupportedAlgorithms {
            all: &[],
            mapping: &[],
        },
        ..rustls::crypto::ring::default_provider()
    }
}
