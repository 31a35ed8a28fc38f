//! Messages cut into blocks, with what their hash puts behind them, and laid side by side in lanes.

/// What comes after the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Keccak's as it was before FIPS 202 put two bits before it.
    Keccak,
    /// SM3's: a bit, zeros, and the length of the message in bits (GB/T 32905 section 5.2).
    Sm3,
}

impl Padding {
    /// Number of blocks of a message.
    pub(crate) const fn blocks(self, message: usize, block: usize) -> usize {
        let least = match self {
            Self::Keccak => 1,
            Self::Sm3 => 9,
        };
        message.saturating_add(least).div_ceil(block)
    }
}

/// The blocks of a message.
pub(crate) struct Blocks<'a, const SIZE: usize> {
    padding: Padding,
    rest: &'a [u8],
    bytes: usize,
    left: usize,
    /// Whether padding has begun.
    padded: bool,
}

impl<'a, const SIZE: usize> Blocks<'a, SIZE> {
    pub(crate) const fn new(padding: Padding, message: &'a [u8]) -> Self {
        Self {
            padding,
            rest: message,
            bytes: message.len(),
            left: padding.blocks(message.len(), SIZE),
            padded: false,
        }
    }
}

impl<const SIZE: usize> Iterator for Blocks<'_, SIZE> {
    type Item = [u8; SIZE];

    fn next(&mut self) -> Option<[u8; SIZE]> {
        self.left = self.left.checked_sub(1)?;
        if let Some((block, rest)) = self.rest.split_first_chunk::<SIZE>() {
            self.rest = rest;
            return Some(*block);
        }
        let mut block = [0; SIZE];
        let (bytes, after) = block.split_at_mut(self.rest.len());
        bytes.copy_from_slice(std::mem::take(&mut self.rest));
        let first = match self.padding {
            Padding::Keccak => 0x01,
            Padding::Sm3 => 0x80,
        };
        if let Some(byte) = after.first_mut()
            && !std::mem::replace(&mut self.padded, true)
        {
            *byte = first;
        }
        if self.left > 0 {
            return Some(block);
        }
        match self.padding {
            Padding::Keccak => {
                if let Some(byte) = block.last_mut() {
                    *byte |= 0x80;
                }
            }
            Padding::Sm3 => {
                if let Some(end) = block.last_chunk_mut::<8>() {
                    *end = (self.bytes as u64).wrapping_mul(8).to_be_bytes();
                }
            }
        }
        Some(block)
    }
}

/// Messages of equally many blocks, one in each lane.
pub(crate) struct Lanes<'a, const SIZE: usize, const LANES: usize>([Blocks<'a, SIZE>; LANES]);

impl<'a, const SIZE: usize, const LANES: usize> Lanes<'a, SIZE, LANES> {
    pub(crate) fn new(padding: Padding, messages: [&'a [u8]; LANES]) -> Self {
        Self(messages.map(|message| Blocks::new(padding, message)))
    }

    /// The next block of each message: its first words, then its second ones, and so on; `None` after the last block.
    #[inline]
    pub(crate) fn next<W: Copy + Default, const BYTES: usize, const WORDS: usize>(
        &mut self,
        word: impl Fn([u8; BYTES]) -> W,
    ) -> Option<[[W; LANES]; WORDS]> {
        const { assert!(BYTES * WORDS == SIZE, "words fill a block") };
        let mut words = [[W::default(); LANES]; WORDS];
        for (lane, blocks) in self.0.iter_mut().enumerate() {
            let block = blocks.next()?;
            for (words, bytes) in words.iter_mut().zip(block.as_chunks().0) {
                if let Some(place) = words.get_mut(lane) {
                    *place = word(*bytes);
                }
            }
        }
        Some(words)
    }
}

/// The digest in each lane, from the words that digests consist of.
#[inline]
pub(crate) fn digests<W: Copy, const LANES: usize, const BYTES: usize, const WORDS: usize>(
    words: [[W; LANES]; WORDS],
    bytes: impl Fn(W) -> [u8; BYTES],
) -> [[u8; 32]; LANES] {
    const { assert!(BYTES * WORDS == 32, "words fill a digest") };
    let mut digests = [[0; 32]; LANES];
    for (at, words) in words.iter().enumerate() {
        for (digest, word) in digests.iter_mut().zip(words) {
            if let Some(place) = digest.as_chunks_mut().0.get_mut(at) {
                *place = bytes(*word);
            }
        }
    }
    digests
}
