//! Keccak-256 and SM3 of many messages at a time.
//!
//! For: hashing what stands beside one another, such as the leaves of a tree, the nodes of one of its levels, the
//! transactions of a block. Eight messages (Keccak-256) or sixteen (SM3, GB/T 32905) go through the rounds together,
//! one in each lane of a vector, where the processor has AVX-512; elsewhere one after the other.
//! Not for: one message, or secrets whose length is one.
//!
//! # Invariants
//!
//! A digest depends on its message alone: not on the processor, not on what else is hashed with it. `unsafe` occurs
//! in `simd.rs` alone, which calls code for certain processors after asking whether this is one of them.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(target_arch = "x86_64")]
mod blocks;
#[cfg(target_arch = "x86_64")]
mod keccak8;
#[cfg(target_arch = "x86_64")]
mod simd;
#[cfg(target_arch = "x86_64")]
mod sm3x16;

use sha3::{Digest, Keccak256};
use sm3::Sm3;

/// A digest.
pub type Hash = [u8; 32];

/// Messages in a row.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    /// Puts something before the parts of the message that is added next.
    pub fn begin(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// Adds the message that consists of these parts.
    pub fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push(self.bytes.len());
    }

    /// Removes all, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of messages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let message = self.bytes.get(start..*end);
            start = *end;
            message.unwrap_or_default()
        })
    }

    /// The Keccak-256 digest of each, in order.
    #[must_use]
    pub fn keccak256(&self) -> Vec<Hash> {
        #[cfg(target_arch = "x86_64")]
        {
            use keccak8::{LANES, RATE};
            let size = |bytes| blocks::Padding::Keccak.blocks(bytes, RATE);
            self.in_lanes::<LANES>(2, size, simd::keccak256, one::<Keccak256>)
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.iter().map(one::<Keccak256>).collect()
    }

    /// The SM3 digest of each, in order.
    #[must_use]
    pub fn sm3(&self) -> Vec<Hash> {
        #[cfg(target_arch = "x86_64")]
        {
            use sm3x16::{BLOCK, LANES};
            let size = |bytes| blocks::Padding::Sm3.blocks(bytes, BLOCK);
            self.in_lanes::<LANES>(5, size, simd::sm3, one::<Sm3>)
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.iter().map(one::<Sm3>).collect()
    }

    /// Puts messages of equally many blocks through `lanes` together; those that are fewer than `least`, for which it
    /// does not pay, through `alone`, and all of them where the processor has no lanes.
    #[cfg(target_arch = "x86_64")]
    fn in_lanes<const LANES: usize>(
        &self,
        least: usize,
        size: impl Fn(usize) -> usize,
        lanes: impl Fn([&[u8]; LANES]) -> Option<[Hash; LANES]>,
        alone: impl Fn(&[u8]) -> Hash,
    ) -> Vec<Hash> {
        let mut order: Vec<_> = self.iter().enumerate().collect();
        // Where all are as long, as most often, this is one pass.
        order.sort_by_key(|(_, message)| size(message.len()));
        let mut digests = vec![[0; 32]; self.len()];
        let groups = order.chunk_by(|(_, a), (_, b)| size(a.len()) == size(b.len()));
        for group in groups.flat_map(|group| group.chunks(LANES)) {
            let mut messages = group.iter().map(|(_, message)| *message);
            let first: &[u8] = group.first().map_or(&[], |(_, message)| message);
            let together = match group.len() < least {
                true => None,
                false => lanes([(); LANES].map(|()| messages.next().unwrap_or(first))),
            };
            match together {
                Some(found) => {
                    for ((at, _), digest) in group.iter().zip(found) {
                        put(&mut digests, *at, digest);
                    }
                }
                None => {
                    for (at, message) in group {
                        put(&mut digests, *at, alone(message));
                    }
                }
            }
        }
        digests
    }
}

#[cfg(target_arch = "x86_64")]
fn put(digests: &mut [Hash], at: usize, digest: Hash) {
    if let Some(place) = digests.get_mut(at) {
        *place = digest;
    }
}

fn one<D: Digest>(message: &[u8]) -> Hash {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(D::digest(message)) {
        *to = from;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages<T: AsRef<[u8]>>(list: &[T]) -> Messages {
        let mut messages = Messages::default();
        for message in list {
            // In three parts, which must not matter.
            let (a, b) = message.as_ref().split_at(message.as_ref().len() / 2);
            let (b, c) = b.split_at(b.len() / 2);
            messages.begin(a);
            messages.push(&[b, c]);
        }
        messages
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // Keccak team's test vectors, "Len = 0" for the original padding; the Yellow Paper's KEC(()).
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        for count in [1, 2, 7, 8, 9, 40] {
            for digest in messages(&vec![b""; count]).keccak256() {
                assert_eq!(hex::encode(digest), empty);
            }
        }
        // GB/T 32905-2016, appendix A.
        let list = ["abc".to_owned(), "abcd".repeat(16)];
        let digests = messages(&list).sm3().into_iter().map(hex::encode);
        assert_eq!(
            digests.collect::<Vec<_>>(),
            [
                "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
                "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
            ]
        );
    }

    #[test]
    fn every_length_up_to_some_blocks_is_padded_right() {
        let list: Vec<Vec<u8>> = (0..600)
            .flat_map(|len| [(len, 0x5a), (len, 0xff)])
            .map(|(len, byte)| vec![byte; len])
            .collect();
        let all = messages(&list);
        for ((message, keccak), sm3) in list.iter().zip(all.keccak256()).zip(all.sm3()) {
            assert_eq!(keccak, one::<Keccak256>(message), "{}", message.len());
            assert_eq!(sm3, one::<Sm3>(message), "{}", message.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_digest_depends_on_its_message_alone(
            list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..50),
        ) {
            let mut all = messages(&list);
            prop_assert_eq!(all.len(), list.len());
            for ((message, keccak), sm3) in list.iter().zip(all.keccak256()).zip(all.sm3()) {
                prop_assert_eq!(keccak, one::<Keccak256>(message));
                prop_assert_eq!(sm3, one::<Sm3>(message));
            }
            all.clear();
            prop_assert!(all.is_empty() && all.keccak256().is_empty() && all.sm3().is_empty());
        }
    }
}
