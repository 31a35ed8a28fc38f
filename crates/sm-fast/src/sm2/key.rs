use std::fmt;
use std::sync::{
    OnceLock,
    atomic::{AtomicU8, Ordering},
};

use sm3::{Digest, Sm3};

#[cfg(target_arch = "x86_64")]
use super::ifma::Job;
use super::point::{Affine, Jacobian};
use super::tables::{self, Table};
use super::{Claim, halves, int};

/// The identity that enters a signature when nobody asks for another: the default of GM/T 0009.
pub const IDENTITY: &[u8] = b"1234567812345678";

/// `ENTL ‖ ID ‖ a ‖ b ‖ xG ‖ yG`, the part of Z that is the same for every key
/// (GB/T 32918.2 section 5.5; the curve is that of GB/T 32918.5).
const Z_PREFIX: [&[u8]; 6] = [
    &[0x00, 0x80],
    IDENTITY,
    &[
        0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xfc,
    ],
    &[
        0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09,
        0xa7, 0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94,
        0x0e, 0x93,
    ],
    &[
        0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9,
        0x94, 0x8f, 0xe3, 0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c,
        0x74, 0xc7,
    ],
    &[
        0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21,
        0x53, 0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39,
        0xf0, 0xa0,
    ],
];

/// Verifications after which a key gets a table, which costs about as much as four of them.
const USES_BEFORE_TABLE: u8 = 3;

/// A public key ready to verify with: a point of the curve other than infinity, its Z for
/// [`IDENTITY`], and after some verifications (or [`Self::prepare`]) a table of 13 KiB.
pub struct PreparedKey {
    pub(super) point: Affine,
    xy: [u8; 64],
    z: [u8; 32],
    /// Verifications so far, up to the number that earns the key its table.
    uses: AtomicU8,
    table: OnceLock<Table>,
}

impl PreparedKey {
    /// Decodes a point in SEC 1 form (2.3.4): `2 ‖ x` or `3 ‖ x`, 33 bytes, or `4 ‖ x ‖ y`, 65
    /// bytes. `None` for any other first byte or length, a coordinate from p up, and a point off
    /// the curve.
    #[must_use]
    pub fn from_sec1(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [tag @ (2 | 3), x @ ..] => {
                let x: &[u8; 32] = x.try_into().ok()?;
                Affine::decompress(int::from_be_bytes(x), *tag == 3).map(Self::new)
            }
            [4, xy @ ..] => Self::from_xy(xy.try_into().ok()?),
            _ => None,
        }
    }

    /// The key with the point `x ‖ y`; `None` for a coordinate from p up and a point off the
    /// curve.
    #[must_use]
    pub fn from_xy(xy: &[u8; 64]) -> Option<Self> {
        let (x, y) = halves(xy);
        Affine::new(int::from_be_bytes(&x), int::from_be_bytes(&y)).map(Self::new)
    }

    fn new(point: Affine) -> Self {
        let mut xy = [0; 64];
        let (x, y) = (point.x.to_int(), point.y.to_int());
        let bytes = [int::to_be_bytes(x), int::to_be_bytes(y)];
        for (to, from) in xy.iter_mut().zip(bytes.iter().flatten()) {
            *to = *from;
        }
        let mut hasher = Sm3::new();
        for part in Z_PREFIX {
            hasher.update(part);
        }
        hasher.update(xy);
        Self {
            point,
            xy,
            z: hasher.finalize().into(),
            uses: AtomicU8::new(0),
            table: OnceLock::new(),
        }
    }

    /// The point as `2 ‖ x` or `3 ‖ x`.
    #[must_use]
    pub fn compressed(&self) -> [u8; 33] {
        let parity = self.xy.last().map_or(0, |byte| byte & 1);
        let mut out = [2 | parity; 33];
        for (to, from) in out.iter_mut().skip(1).zip(self.xy) {
            *to = from;
        }
        out
    }

    /// The point as `x ‖ y`.
    #[must_use]
    pub const fn xy(&self) -> &[u8; 64] {
        &self.xy
    }

    /// Z for [`IDENTITY`] (GB/T 32918.2 section 5.5).
    #[must_use]
    pub const fn z(&self) -> &[u8; 32] {
        &self.z
    }

    /// The digest `e = SM3(Z ‖ message)` that is signed.
    #[must_use]
    pub fn digest(&self, message: &[u8]) -> [u8; 32] {
        let mut hasher = Sm3::new();
        hasher.update(self.z);
        hasher.update(message);
        hasher.finalize().into()
    }

    /// Makes the key's table now, for a key that will verify much.
    pub fn prepare(&self) {
        self.make_table();
    }

    /// Bytes of the key's table, if it has one.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.table.get().map_or(0, Table::bytes)
    }

    fn make_table(&self) -> &Table {
        self.table.get_or_init(|| Table::of_key(self.point))
    }

    /// Counts a verification; the table, if the key has or now gets one.
    pub(super) fn used(&self) -> Option<&Table> {
        match self.table.get() {
            // The counter may wrap while other threads still verify; it decides only speed.
            None if self.uses.fetch_add(1, Ordering::Relaxed) >= USES_BEFORE_TABLE => {
                Some(self.make_table())
            }
            table => table,
        }
    }

    /// Whether `signature` (`r ‖ s`) is this key's over `message` with [`IDENTITY`].
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.verify_digest(&self.digest(message), signature)
    }

    /// Whether `signature` (`r ‖ s`) is this key's over the digest `e`, 32 bytes big endian.
    #[must_use]
    pub fn verify_digest(&self, e: &[u8; 32], signature: &[u8; 64]) -> bool {
        Claim::new(e, signature).is_some_and(|claim| self.verify_claim(&claim, self.used()))
    }

    /// As [`Self::verify_digest`], for a key that is not kept: no table is made for it.
    #[must_use]
    pub fn verify_digest_once(&self, e: &[u8; 32], signature: &[u8; 64]) -> bool {
        Claim::new(e, signature).is_some_and(|claim| self.verify_claim(&claim, self.table.get()))
    }

    /// Step B6 and the rest.
    pub(super) fn verify_claim(&self, claim: &Claim, table: Option<&Table>) -> bool {
        let sum = match table {
            Some(table) => {
                lanes(claim, table).unwrap_or_else(|| tables::multiply(claim.s, claim.t, table))
            }
            None => tables::multiply_cold(claim.s, claim.t, self.point),
        };
        claim.fits(&sum)
    }
}

/// `[s]G + [t]P` by the processor's lanes; `None` without them, and where they leave it open.
#[cfg(target_arch = "x86_64")]
fn lanes(claim: &Claim, table: &Table) -> Option<Jacobian> {
    let Claim { s, t, .. } = *claim;
    crate::simd::multiply_one(&Job { s, t, table }, tables::P_STEP).flatten()
}

#[cfg(not(target_arch = "x86_64"))]
const fn lanes(_: &Claim, _: &Table) -> Option<Jacobian> {
    None
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedKey(")?;
        for byte in self.compressed() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
