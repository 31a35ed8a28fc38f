//! Web3 Secret Storage, version 3
//! (<https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/>).

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use hawser_primitives::Address;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KeystoreError, ScryptCost, pbkdf2_iterations, random, scrypt_cost, scrypt_params};
use crate::{Scheme, SecretKey, Suite};

const VERSION: u64 = 3;
const CIPHER: &str = "aes-128-ctr";
const DERIVED_LEN: u64 = 32;
const PRF: &str = "hmac-sha256";
/// Longest salt read, in bytes.
const SALT_LEN_MAX: usize = 1024;

#[derive(Serialize, Deserialize)]
struct File {
    version: u64,
    #[serde(default)]
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Early files spell it with a capital.
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    #[serde(flatten)]
    kdf: Kdf,
    mac: String,
}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt {
        dklen: u64,
        n: u64,
        p: u64,
        r: u64,
        salt: String,
    },
    Pbkdf2 {
        c: u64,
        dklen: u64,
        prf: String,
        salt: String,
    },
}

/// The derived key: its first half encrypts, its second half authenticates.
struct Derived(Zeroizing<[u8; 32]>);

impl Derived {
    fn cipher(&self, iv: &[u8; 16]) -> Ctr128BE<Aes128> {
        let mut key = Zeroizing::new([0; 16]);
        for (to, from) in key.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        Ctr128BE::<Aes128>::new((&*key).into(), iv.into())
    }

    fn mac(&self, ciphertext: &[u8]) -> [u8; 32] {
        let (_, key) = self.0.split_at(16);
        Suite::Intl.hash_parts(&[key, ciphertext]).0
    }
}

pub(super) fn encrypt(
    key: &SecretKey,
    passphrase: &str,
    cost: ScryptCost,
) -> Result<String, KeystoreError> {
    let salt: [u8; 32] = random()?;
    let iv: [u8; 16] = random()?;
    let derived = scrypt(passphrase, &salt, cost)?;
    let mut ciphertext = key.to_bytes();
    derived.cipher(&iv).apply_keystream(&mut ciphertext);
    let file = File {
        version: VERSION,
        id: uuid(random()?),
        address: Some(hex::encode(key.address())),
        crypto: Crypto {
            cipher: CIPHER.into(),
            cipherparams: CipherParams {
                iv: hex::encode(iv),
            },
            mac: hex::encode(derived.mac(&ciphertext)),
            ciphertext: hex::encode(&*ciphertext),
            kdf: Kdf::Scrypt {
                dklen: DERIVED_LEN,
                n: 1 << cost.log_n,
                p: cost.p.into(),
                r: cost.r.into(),
                salt: hex::encode(salt),
            },
        },
    };
    serde_json::to_string_pretty(&file)
        .map_err(|_| KeystoreError::Malformed("the file could not be written as JSON"))
}

pub(super) fn decrypt(text: &str, passphrase: &str) -> Result<SecretKey, KeystoreError> {
    let file = parse(text)?;
    let crypto = file.crypto;
    let iv = fixed::<16>(&crypto.cipherparams.iv, "iv is not 16 bytes of hex")?;
    let mac = fixed::<32>(&crypto.mac, "mac is not 32 bytes of hex")?;
    let mut secret = Zeroizing::new(fixed::<32>(
        &crypto.ciphertext,
        "ciphertext is not 32 bytes of hex",
    )?);
    let derived = derive(passphrase, &crypto.kdf)?;
    if !bool::from(derived.mac(secret.as_slice()).ct_eq(&mac)) {
        return Err(KeystoreError::WrongPassphrase);
    }
    derived.cipher(&iv).apply_keystream(secret.as_mut_slice());
    let key = SecretKey::from_bytes(Scheme::Secp256k1, secret.as_slice())?;
    match file.address {
        Some(address) if !names(&address, key.address()) => Err(KeystoreError::Malformed(
            "the address is not that of the key",
        )),
        _ => Ok(key),
    }
}

/// Parses the file and refuses versions and ciphers that are not supported.
fn parse(text: &str) -> Result<File, KeystoreError> {
    /// What tells a file that is not supported from one that is damaged.
    #[derive(Deserialize)]
    struct Head {
        version: Option<u64>,
        #[serde(alias = "Crypto")]
        crypto: Option<HeadCrypto>,
    }
    #[derive(Deserialize)]
    struct HeadCrypto {
        cipher: Option<String>,
        kdf: Option<String>,
    }
    let head: Head =
        serde_json::from_str(text).map_err(|_| KeystoreError::Malformed("not valid JSON"))?;
    let unsupported = |what, found: String| Err(KeystoreError::Unsupported { what, found });
    let Some(crypto) = head.crypto else {
        return Err(KeystoreError::Malformed("no `crypto` section"));
    };
    match head.version {
        Some(VERSION) => {}
        Some(version) => return unsupported("version", version.to_string()),
        None => return Err(KeystoreError::Malformed("no `version`")),
    }
    match crypto.cipher {
        Some(cipher) if cipher != CIPHER => return unsupported("cipher", cipher),
        _ => {}
    }
    match crypto.kdf {
        Some(kdf) if kdf != "scrypt" && kdf != "pbkdf2" => {
            return unsupported("key derivation", kdf);
        }
        _ => {}
    }
    serde_json::from_str(text).map_err(|_| {
        KeystoreError::Malformed("a field of `crypto` is missing or has the wrong type")
    })
}

fn derive(passphrase: &str, kdf: &Kdf) -> Result<Derived, KeystoreError> {
    let (Kdf::Scrypt { dklen, salt, .. } | Kdf::Pbkdf2 { dklen, salt, .. }) = kdf;
    if *dklen != DERIVED_LEN {
        return Err(KeystoreError::Unsupported {
            what: "dklen",
            found: dklen.to_string(),
        });
    }
    let salt = hex::decode(salt).map_err(|_| KeystoreError::Malformed("salt is not hex"))?;
    if salt.len() > SALT_LEN_MAX {
        return Err(KeystoreError::Malformed("salt is too long"));
    }
    match kdf {
        Kdf::Scrypt { n, r, p, .. } => scrypt(passphrase, &salt, scrypt_cost(*n, *r, *p)?),
        Kdf::Pbkdf2 { prf, .. } if prf != PRF => Err(KeystoreError::Unsupported {
            what: "prf",
            found: prf.clone(),
        }),
        Kdf::Pbkdf2 { c, .. } => {
            let iterations = pbkdf2_iterations(*c)?;
            let mut out = Zeroizing::new([0; 32]);
            pbkdf2::pbkdf2_hmac::<Sha256>(
                passphrase.as_bytes(),
                &salt,
                iterations,
                out.as_mut_slice(),
            );
            Ok(Derived(out))
        }
    }
}

fn scrypt(passphrase: &str, salt: &[u8], cost: ScryptCost) -> Result<Derived, KeystoreError> {
    let params = scrypt_params(cost)?;
    let mut out = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &params, out.as_mut_slice()).map_err(|_| {
        KeystoreError::Cost {
            kdf: "scrypt",
            why: "invalid combination",
        }
    })?;
    Ok(Derived(out))
}

/// Bytes of a fixed length from hex, with or without `0x`.
fn fixed<const N: usize>(text: &str, error: &'static str) -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
        .map_err(|_| KeystoreError::Malformed(error))?;
    Ok(bytes)
}

/// Whether a file's `address` field names this address.
fn names(text: &str, address: Address) -> bool {
    text.strip_prefix("0x")
        .unwrap_or(text)
        .eq_ignore_ascii_case(&hex::encode(address))
}

/// A random identifier in the form of RFC 9562, version 4.
fn uuid(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = (bits & !(0xf << 76) | (4 << 76)) & !(3 << 62) | (2 << 62);
    let digits = format!("{bits:032x}");
    let mut out = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}
