//! Damages valid inputs, the same way for the same seed: no clock, no operating system, no dependency.
//!
//! Crates whose decoders are private include this file by its path in their tests.

/// Longest input that is made, in bytes.
pub const BYTES_MAX: usize = 64 * 1024;

/// How many inputs each decoder gets, unless `HAWSER_MUTATIONS` says otherwise.
pub const INPUTS: u64 = 20_000;

/// How many inputs each decoder gets in this run.
pub fn inputs() -> u64 {
    let text = std::env::var("HAWSER_MUTATIONS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(INPUTS)
}

/// Most kinds of damage to one input.
const HITS_MAX: u64 = 4;
/// Values that lengths, counts and offsets break at.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x0100_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_fff0,
    0xffff_ffff_ffff_ffff,
];

/// An endless row of damaged inputs.
pub struct Mutator {
    state: u64,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// Damages `seeds`; `words` are pieces that mean something to the decoder and are put in now and then.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>, words: &[&str]) -> Self {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Self {
            state: seed,
            seeds,
            words,
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        match end as u64 {
            0 => 0,
            end => (self.draw() % end) as usize,
        }
    }

    /// A part of something so long: short ones more often.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        let left = len - start;
        let most = match self.below(3) {
            0 => left,
            1 => left.min(64),
            _ => left.min(8),
        };
        start..start + self.below(most + 1)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.draw() as u8).collect()
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds.get(at).cloned().unwrap_or_default()
    }

    /// The next input, at most [`BYTES_MAX`] long.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = if self.below(64) == 0 {
            let len = self.below(512);
            self.bytes(len)
        } else {
            self.seed()
        };
        for _ in 0..=self.draw() % HITS_MAX {
            self.hit(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn hit(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(13) {
            0 | 1 => {
                let bit = 1 << self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            2 => {
                let new = self.draw() as u8;
                if let Some(byte) = input.get_mut(at) {
                    *byte = new;
                }
            }
            3 => input.truncate(at),
            4 => {
                let range = self.range(input.len());
                input.drain(range);
            }
            5 => {
                let range = self.range(input.len());
                let part = input.get(range).unwrap_or_default().to_vec();
                insert(input, at, &part);
            }
            6 => {
                let len = 1 + self.below(16);
                let new = self.bytes(len);
                insert(input, at, &new);
            }
            7 => {
                // The beginning of one and the end of another.
                let other = self.seed();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            8 | 9 => self.bomb(input, at),
            10 => {
                let range = self.range(input.len());
                let fill = if self.below(2) == 0 { 0 } else { 0xff };
                for byte in input.get_mut(range).unwrap_or_default() {
                    *byte = fill;
                }
            }
            11 => {
                let at_word = self.below(self.words.len());
                let word = self.words.get(at_word).cloned().unwrap_or_default();
                insert(input, at, &word);
            }
            // Deep nesting and long rows.
            _ => {
                let start = self.below(input.len());
                let len = 1 + self.below(4);
                let end = input.len().min(start + len);
                let part = input.get(start..end).unwrap_or_default();
                let times = 1 << self.below(13);
                let row = part.repeat(times);
                insert(input, at, &row);
            }
        }
        input.truncate(BYTES_MAX);
    }

    /// Overwrites a number, or what may be one, with a value at an edge.
    fn bomb(&mut self, input: &mut [u8], at: usize) {
        let which = self.below(EDGES.len());
        let edge = EDGES.get(which).copied().unwrap_or_default();
        let width = 1usize << self.below(4);
        let big = self.below(2) == 0;
        let mut number = edge.to_le_bytes();
        let number = number.get_mut(..width).unwrap_or_default();
        if big {
            number.reverse();
        }
        let places = input.get_mut(at..).unwrap_or_default();
        for (byte, new) in places.iter_mut().zip(number) {
            *byte = *new;
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    let tail = input.split_off(at.min(input.len()));
    input.extend_from_slice(part);
    input.extend_from_slice(&tail);
}
