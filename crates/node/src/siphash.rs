//! SipHash-2-4 (J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", 2012).
//!
//! For: short names and choices that nobody without the key can aim at. Not for: anything that is
//! signed or kept; it has 64 bits.

/// A key of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SipKey(u64, u64);

impl std::fmt::Debug for SipKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SipKey(..)")
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

impl SipKey {
    /// The first 16 bytes, as two little-endian words; missing ones count as zero.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let (low, high) = bytes.split_at(bytes.len().min(8));
        Self(word(low), word(high))
    }

    /// The hash of some bytes under this key.
    pub(crate) fn hash(self, bytes: &[u8]) -> u64 {
        let mut v = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        let mut chunks = bytes.chunks_exact(8);
        for chunk in chunks.by_ref() {
            absorb(&mut v, word(chunk));
        }
        // The length modulo 256 stands in the highest byte of the last word.
        let length = (bytes.len() as u64) << 56;
        absorb(&mut v, length | word(chunks.remainder()));
        let [_, _, v2, _] = &mut v;
        *v2 ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v.iter().fold(0, |sum, word| sum ^ word)
    }
}

fn absorb(v: &mut [u64; 4], m: u64) {
    let [.., v3] = v;
    *v3 ^= m;
    round(v);
    round(v);
    let [v0, ..] = v;
    *v0 ^= m;
}

const fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_vectors_come_out() {
        let bytes: Vec<u8> = (0..64).collect();
        let key = SipKey::new(&bytes[..16]);
        // Appendix A of the paper, and the first entries of its reference implementation's list.
        assert_eq!(key.hash(&bytes[..15]), 0xa129_ca61_49be_45e5);
        for (length, expected) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (2, 0x0d6c_8009_d9a9_4f5a),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
        ] {
            assert_eq!(key.hash(&bytes[..length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn another_key_gives_another_hash() {
        assert_ne!(SipKey::new(&[1]).hash(b"x"), SipKey::new(&[2]).hash(b"x"));
        assert_ne!(
            SipKey::new(&[1; 16]).hash(b"x"),
            SipKey::new(&[1]).hash(b"x")
        );
    }
}
