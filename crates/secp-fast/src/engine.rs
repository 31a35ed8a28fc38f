//! Recovery, verification and preparation of keys, eight lanes at a time.

use std::sync::LazyLock;

use crate::{
    PreparedKey, Signature,
    field8::Field8,
    glv::{self, BETA, Half, windows},
    modular::{N, P, U256, from_be, sub, to_be},
    point8::{Affine8, Jacobian8, fold_lists, multiples, to_affine},
    table::{Entry, entries, lookup, prefetch},
};

/// Lanes of a vector.
const LANES: usize = 8;
/// Signatures that share inversions and whose points fit a core's second-level cache.
const CHUNK: usize = 8 * LANES;

/// Widths of the digits, in bits: of the generator's table, of a prepared key's, and of the table
/// made for the nonce point of one signature.
const GENERATOR_WIDTH: u32 = 10;
const KEY_WIDTH: u32 = 6;
const NONCE_WIDTH: u32 = 5;

const GENERATOR_ROWS: usize = windows(GENERATOR_WIDTH);
const KEY_ROWS: usize = windows(KEY_WIDTH);
const NONCE_ROWS: usize = windows(NONCE_WIDTH);
/// Rows of combs whose entries are on their way from memory.
const ROWS_AHEAD: usize = 8;
/// Points that a verification adds up in each half.
const LIST: usize = GENERATOR_ROWS + KEY_ROWS;

/// Entries in a row of a table: one for each magnitude of a digit.
const fn entries_of(width: u32) -> usize {
    1 << (width - 1)
}

const _: () = assert!(PreparedKey::BYTES == KEY_ROWS * entries_of(KEY_WIDTH) * size_of::<Entry>());

/// The generator (SEC 2 section 2.4.1).
const GENERATOR: [U256; 2] = [
    [
        0x59f2_815b_16f8_1798,
        0x029b_fcdb_2dce_28d9,
        0x55a0_6295_ce87_0b07,
        0x79be_667e_f9dc_bbac,
    ],
    [
        0x9c47_d08f_fb10_d4b8,
        0xfd17_b448_a685_5419,
        0x5da4_fbfc_0e11_08a8,
        0x483a_da77_26a3_c465,
    ],
];

static GENERATOR_TABLE: LazyLock<Vec<Entry>> = LazyLock::new(crate::gate::generator_table);

/// Digits of the lanes, row by row, for one half of the scalars.
type Digits<const ROWS: usize> = [[i16; LANES]; ROWS];

/// A signature as numbers, r and s in 1 … n − 1.
struct Numbers {
    e: U256,
    r: U256,
    s: U256,
}

fn in_range(number: U256) -> bool {
    number != [0; 4] && sub(number, N.m).1
}

/// `None` if r or s is out of range.
fn parse(signature: &Signature) -> Option<Numbers> {
    let (r, s) = signature.r_s.split_first_chunk::<32>()?;
    let numbers = Numbers {
        e: from_be(&signature.prehash),
        r: from_be(r),
        s: from_be(s.first_chunk::<32>()?),
    };
    (in_range(numbers.r) && in_range(numbers.s)).then_some(numbers)
}

/// What stands in for a signature that is refused anyway.
const PLACEHOLDER: Numbers = Numbers {
    e: [1, 0, 0, 0],
    r: [1, 0, 0, 0],
    s: [1, 0, 0, 0],
};

/// Parses a chunk; the bits say which are in range.
fn parse_all<'a>(signatures: impl Iterator<Item = &'a Signature>) -> (Vec<Numbers>, Vec<bool>) {
    signatures
        .map(|signature| match parse(signature) {
            Some(numbers) => (numbers, true),
            None => (PLACEHOLDER, false),
        })
        .unzip()
}

/// Bits of up to eight lanes.
fn mask(bits: impl Iterator<Item = bool>) -> u8 {
    bits.take(LANES)
        .enumerate()
        .fold(0, |mask, (lane, bit)| mask | u8::from(bit) << lane)
}

/// Eight numbers from up to eight; the rest are `pad`.
fn padded(numbers: impl Iterator<Item = U256>, pad: U256) -> [U256; LANES] {
    let mut numbers = numbers;
    std::array::from_fn(|_| numbers.next().unwrap_or(pad))
}

fn put<const ROWS: usize>(digits: &mut [[i16; LANES]], half: Half, width: u32, lane: usize) {
    for (row, digit) in digits.iter_mut().take(ROWS).zip(half.digits(width)) {
        if let Some(place) = row.get_mut(lane) {
            *place = digit;
        }
    }
}

/// See [`crate::Engine::verify_many`].
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn verify_many(items: &[(&PreparedKey, Signature)]) -> Vec<bool> {
    let mut good = Vec::with_capacity(items.len());
    for chunk in items.chunks(CHUNK) {
        if verify_chunk(chunk, &mut good).is_none() {
            // An inversion did not check out: none is accepted.
            good.truncate(good.len() / CHUNK * CHUNK);
            good.extend(std::iter::repeat_n(false, chunk.len()));
        }
    }
    good
}

/// `(e / s) G + (r / s) Q` must be the nonce point: its x is r, its y has the parity asked for.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn verify_chunk(items: &[(&PreparedKey, Signature)], good: &mut Vec<bool>) -> Option<()> {
    let (numbers, valid) = parse_all(items.iter().map(|(_, signature)| signature));
    let mut inverses: Vec<U256> = numbers.iter().map(|numbers| numbers.s).collect();
    N.invert_all(&mut inverses)?;

    let groups = items.len().div_ceil(LANES);
    let generator: [&[Entry]; LANES] = [GENERATOR_TABLE.as_slice(); LANES];
    let mut points = vec![Affine8::infinity(); groups * 2 * LIST];
    let lanes = numbers.chunks(LANES).zip(inverses.chunks(LANES));
    let places = points.chunks_exact_mut(2 * LIST).zip(lanes);
    for (group, (places, (numbers, inverses))) in items.chunks(LANES).zip(places) {
        let mut digits: [Digits<LIST>; 2] = [[[0; LANES]; LIST]; 2];
        for (lane, (numbers, inverse)) in numbers.iter().zip(inverses).enumerate() {
            let inverse = N.mul(*inverse, N.r_squared);
            let u1 = glv::split(N.mul(numbers.e, inverse));
            let u2 = glv::split(N.mul(numbers.r, inverse));
            for (digits, (u1, u2)) in digits.iter_mut().zip(u1.into_iter().zip(u2)) {
                let (first, second) = digits.split_at_mut(GENERATOR_ROWS);
                put::<GENERATOR_ROWS>(first, u1, GENERATOR_WIDTH, lane);
                put::<KEY_ROWS>(second, u2, KEY_WIDTH, lane);
            }
        }
        let mut keys = generator;
        for (table, (key, _)) in keys.iter_mut().zip(group) {
            *table = &key.table;
        }
        for (digits, places) in digits.iter().zip(places.chunks_exact_mut(LIST)) {
            let (first, second) = digits.split_at(GENERATOR_ROWS);
            let (on_generator, on_key) = places.split_at_mut(GENERATOR_ROWS);
            look_up_rows(&generator, GENERATOR_WIDTH, first, on_generator);
            look_up_rows(&keys, KEY_WIDTH, second, on_key);
        }
    }
    let mut sums = vec![Jacobian8::infinity(); groups];
    let exceptions = add_lists(&mut sums, points, LIST);

    let rows = numbers.chunks(LANES).zip(valid.chunks(LANES));
    let sums = to_affine(&sums).into_iter().zip(exceptions);
    for (group, ((numbers, valid), (sum, exceptions))) in items.chunks(LANES).zip(rows.zip(sums)) {
        let r = Field8::from_lanes(padded(numbers.iter().map(|numbers| numbers.r), [0; 4]));
        let parity = mask(group.iter().map(|(_, signature)| signature.y_parity));
        // r is below n, so that equality below p leaves no room for r + n, which other recovery ids mean.
        let equal = sum.x.canonical().equal_lanes(r);
        let same_parity = !(sum.y.canonical().odd_lanes() ^ parity);
        let accepted =
            equal & same_parity & mask(valid.iter().copied()) & !sum.infinity & !exceptions;
        good.extend((0..group.len()).map(|lane| accepted >> lane & 1 == 1));
    }
    Some(())
}

/// The multiples that the digits name, row by row of combs, one point to a row.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn look_up_rows(
    tables: &[&[Entry]; LANES],
    width: u32,
    digits: &[[i16; LANES]],
    points: &mut [Affine8],
) {
    let begin = |row: usize| row * entries_of(width);
    let mut ahead = digits.iter().enumerate();
    for (row, digits) in ahead.by_ref().take(ROWS_AHEAD) {
        prefetch(tables, begin(row), digits);
    }
    for ((row, current), point) in digits.iter().enumerate().zip(points) {
        if let Some((row, digits)) = ahead.next() {
            prefetch(tables, begin(row), digits);
        }
        lookup(tables, begin(row), current, point);
    }
}

/// Adds to each sum two lists of `len` points, the second after applying the endomorphism to it.
/// Returns the exceptional lanes; those met in the last steps are at infinity instead.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn add_lists(sums: &mut [Jacobian8], points: Vec<Affine8>, len: usize) -> Vec<u8> {
    let mut points = points;
    let mut exceptions = vec![0; sums.len() * 2];
    let len = fold_lists(&mut points, len, &mut exceptions);
    let beta = Field8::constant(BETA);
    for (sum, lists) in sums.iter_mut().zip(points.chunks_exact_mut(2 * len)) {
        let (plain, turned) = lists.split_at_mut(len);
        for point in plain {
            *sum = sum.add(point);
        }
        for point in turned {
            point.x = point.x.mul(beta);
            *sum = sum.add(point);
        }
    }
    let pairs = exceptions.chunks(2);
    pairs
        .map(|halves| halves.iter().fold(0, |all, lanes| all | lanes))
        .collect()
}

/// See [`crate::Engine::recover_many`].
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn recover_many(signatures: &[Signature]) -> Vec<Option<[u8; 64]>> {
    let mut keys = Vec::with_capacity(signatures.len());
    for chunk in signatures.chunks(CHUNK) {
        match recover_chunk(chunk) {
            Some(found) => keys.extend(found),
            None => keys.extend(std::iter::repeat_n(None, chunk.len())),
        }
    }
    keys
}

/// `(s / r) R − (e / r) G`, where R is the point with x = r and the parity asked for.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn recover_chunk(signatures: &[Signature]) -> Option<Vec<Option<[u8; 64]>>> {
    let (numbers, valid) = parse_all(signatures.iter());
    let mut inverses: Vec<U256> = numbers.iter().map(|numbers| numbers.r).collect();
    N.invert_all(&mut inverses)?;

    let groups = signatures.len().div_ceil(LANES);
    let (nonces, on_curve) = nonce_points(signatures, &numbers);
    let tables = nonce_tables(&nonces);

    let generator: [&[Entry]; LANES] = [GENERATOR_TABLE.as_slice(); LANES];
    let mut sums = Vec::with_capacity(groups);
    let mut points = vec![Affine8::infinity(); groups * 2 * GENERATOR_ROWS];
    let lanes = numbers.chunks(LANES).zip(inverses.chunks(LANES));
    let places = tables
        .chunks(LANES)
        .zip(points.chunks_exact_mut(2 * GENERATOR_ROWS));
    for ((numbers, inverses), (tables, places)) in lanes.zip(places) {
        let mut on_generator: [Digits<GENERATOR_ROWS>; 2] = [[[0; LANES]; GENERATOR_ROWS]; 2];
        let mut on_nonce: [Digits<NONCE_ROWS>; 2] = [[[0; LANES]; NONCE_ROWS]; 2];
        for (lane, (numbers, inverse)) in numbers.iter().zip(inverses).enumerate() {
            let inverse = N.mul(*inverse, N.r_squared);
            let u1 = glv::split(N.negate(N.mul(numbers.e, inverse)));
            let u2 = glv::split(N.mul(numbers.s, inverse));
            for (digits, half) in on_generator.iter_mut().zip(u1) {
                put::<GENERATOR_ROWS>(digits, half, GENERATOR_WIDTH, lane);
            }
            for (digits, half) in on_nonce.iter_mut().zip(u2) {
                put::<NONCE_ROWS>(digits, half, NONCE_WIDTH, lane);
            }
        }
        for (digits, places) in on_generator
            .iter()
            .zip(places.chunks_exact_mut(GENERATOR_ROWS))
        {
            look_up_rows(&generator, GENERATOR_WIDTH, digits, places);
        }
        sums.push(ladder(tables, &on_nonce));
    }
    let exceptions = add_lists(&mut sums, points, GENERATOR_ROWS);

    let mut keys = Vec::with_capacity(signatures.len());
    let lanes = valid.chunks(LANES).zip(on_curve).zip(exceptions);
    for (sum, ((valid, on_curve), exceptions)) in to_affine(&sums).iter().zip(lanes) {
        // The sum of points on the curve is one; a key off it would be a fault of the machine.
        let right = right_side(sum.x).canonical();
        let sound = sum.y.square().canonical().equal_lanes(right);
        let accepted = on_curve & sound & mask(valid.iter().copied()) & !sum.infinity & !exceptions;
        let coordinates = sum.x.to_lanes().into_iter().zip(sum.y.to_lanes());
        for (lane, (x, y)) in coordinates.enumerate().take(valid.len()) {
            keys.push((accepted >> lane & 1 == 1).then(|| join(x, y)));
        }
    }
    Some(keys)
}

fn join(x: U256, y: U256) -> [u8; 64] {
    let mut key = [0; 64];
    for (half, number) in key.chunks_exact_mut(32).zip([x, y]) {
        half.copy_from_slice(&to_be(number));
    }
    key
}

/// x³ + 7, weak.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn right_side(x: Field8) -> Field8 {
    x.square().mul(x).add(Field8::constant([7, 0, 0, 0]))
}

/// The points with x = r and the parity asked for, and the lanes that have one. The generator takes
/// the place of the others, and of lanes out of use, so that every lane has a point of full order.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn nonce_points(signatures: &[Signature], numbers: &[Numbers]) -> (Vec<Affine8>, Vec<u8>) {
    let [generator_x, generator_y] = GENERATOR;
    let mut xs = Vec::new();
    let mut squares = Vec::new();
    for group in numbers.chunks(LANES) {
        let lanes = padded(group.iter().map(|numbers| numbers.r), generator_x);
        let x = Field8::from_lanes(lanes);
        xs.push(x);
        squares.push(right_side(x));
    }
    let roots = square_roots(&squares);
    let (mut points, mut found) = (Vec::new(), Vec::new());
    let groups = xs.iter().zip(squares).zip(roots);
    for (group, ((x, square), root)) in signatures.chunks(LANES).zip(groups) {
        let exists = root.square().canonical().equal_lanes(square.canonical());
        let parity = mask(group.iter().map(|signature| signature.y_parity));
        let root = root.canonical();
        // No point has y = 0, since the order is odd.
        let y = root.negate_where(root.odd_lanes() ^ parity).canonical();
        points.push(Affine8 {
            x: x.replace(!exists, Field8::constant(generator_x)),
            y: y.replace(!exists, Field8::constant(generator_y)),
            infinity: 0,
        });
        found.push(exists);
    }
    (points, found)
}

/// Raises to (p + 1) / 4, which gives a square root where there is one, since p = 3 modulo 4.
///
/// The exponent is 223 ones, a zero, 22 ones, four zeros, two ones and two zeros.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn square_roots(elements: &[Field8]) -> Vec<Field8> {
    let x1 = elements.to_vec();
    let x2 = power(&x1, 1, &x1);
    let x3 = power(&x2, 1, &x1);
    let x6 = power(&x3, 3, &x3);
    let x11 = power(&power(&x6, 3, &x3), 2, &x2);
    let x22 = power(&x11, 11, &x11);
    let x44 = power(&x22, 22, &x22);
    let x88 = power(&x44, 44, &x44);
    let x176 = power(&x88, 88, &x88);
    let x220 = power(&x176, 44, &x44);
    let x223 = power(&x220, 3, &x3);
    let mut result = power(&power(&x223, 23, &x22), 6, &x2);
    squared(&mut result, 2);
    result
}

/// Squares all `times` times. All together, so that the processor can overlap them.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn squared(elements: &mut [Field8], times: u32) {
    for _ in 0..times {
        for element in elements.iter_mut() {
            *element = element.square();
        }
    }
}

/// `base^(2^shift) · factor`.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn power(base: &[Field8], shift: u32, factor: &[Field8]) -> Vec<Field8> {
    let mut result = base.to_vec();
    squared(&mut result, shift);
    for (element, factor) in result.iter_mut().zip(factor) {
        *element = element.mul(*factor);
    }
    result
}

/// Multiples of one nonce point and of its image under the endomorphism.
type NonceTable = [[Entry; entries_of(NONCE_WIDTH)]; 2];

/// A table for each lane of each group.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn nonce_tables(points: &[Affine8]) -> Vec<NonceTable> {
    let beta = Field8::constant(BETA);
    let empty = crate::gate::vector([0; 8]);
    let mut tables = vec![[[empty; entries_of(NONCE_WIDTH)]; 2]; points.len() * LANES];
    let all = multiples(points, NONCE_WIDTH - 1);
    let groups = all.chunks(entries_of(NONCE_WIDTH));
    for (group, tables) in groups.zip(tables.chunks_mut(LANES)) {
        for (index, multiple) in group.iter().enumerate() {
            let x = multiple.x.mul(beta).canonical();
            let image = Affine8 { x, ..*multiple };
            let pairs = entries(multiple).into_iter().zip(entries(&image));
            for ([plain, turned], (entry, image)) in tables.iter_mut().zip(pairs) {
                let places = plain.get_mut(index).zip(turned.get_mut(index));
                if let Some((plain, turned)) = places {
                    (*plain, *turned) = (entry, image);
                }
            }
        }
    }
    tables
}

/// The sum of both halves' multiples of the nonce points of a group, from the highest digits down.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn ladder(tables: &[NonceTable], digits: &[Digits<NONCE_ROWS>; 2]) -> Jacobian8 {
    let none: &[Entry] = &[];
    let mut plain = [none; LANES];
    let mut turned = [none; LANES];
    for (places, [first, second]) in plain.iter_mut().zip(&mut turned).zip(tables) {
        (*places.0, *places.1) = (first, second);
    }
    let [first, second] = digits;
    let mut sum = Jacobian8::infinity();
    let mut multiple = Affine8::infinity();
    for (first, second) in first.iter().zip(second).rev() {
        for _ in 0..NONCE_WIDTH {
            sum = sum.double();
        }
        lookup(&plain, 0, first, &mut multiple);
        sum = sum.add(&multiple);
        lookup(&turned, 0, second, &mut multiple);
        sum = sum.add(&multiple);
    }
    sum
}

/// See [`crate::Engine::prepare_many`].
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn prepare_many(keys: &[[u8; 64]]) -> Vec<Option<PreparedKey>> {
    let [generator_x, generator_y] = GENERATOR;
    let mut prepared = Vec::with_capacity(keys.len());
    for group in keys.chunks(LANES) {
        let coordinates: Vec<[U256; 2]> = group.iter().filter_map(coordinates).collect();
        let below = |number: &U256| sub(*number, P.m).1;
        let valid = mask(coordinates.iter().map(|[x, y]| below(x) && below(y)));
        let x = padded(coordinates.iter().map(|[x, _]| *x), generator_x);
        let y = padded(coordinates.iter().map(|[_, y]| *y), generator_y);
        // Numbers from p up are not weak; they give way to the generator before anything else.
        let x = Field8::from_lanes(x).replace(!valid, Field8::constant(generator_x));
        let y = Field8::from_lanes(y).replace(!valid, Field8::constant(generator_y));
        let on_curve = y
            .square()
            .canonical()
            .equal_lanes(right_side(x).canonical());
        let point = Affine8 {
            x: x.replace(!on_curve, Field8::constant(generator_x)),
            y: y.replace(!on_curve, Field8::constant(generator_y)),
            infinity: 0,
        };
        let tables = comb(point, KEY_WIDTH).into_iter().take(group.len());
        for (lane, table) in tables.enumerate() {
            let good = valid & on_curve;
            let table = table.into_boxed_slice();
            prepared.push((good >> lane & 1 == 1).then_some(PreparedKey { table }));
        }
    }
    prepared
}

fn coordinates(key: &[u8; 64]) -> Option<[U256; 2]> {
    let (x, y) = key.split_first_chunk::<32>()?;
    Some([from_be(x), from_be(y.first_chunk::<32>()?)])
}

/// For each lane 1 … 2^(width − 1) times 2^(width i) times its point, row i by row i, so that a
/// multiple is a sum of entries without doublings.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn comb(point: Affine8, width: u32) -> [Vec<Entry>; LANES] {
    let mut power = Jacobian8::from_affine(point);
    let mut powers = vec![power];
    for _ in 1..windows(width) {
        for _ in 0..width {
            power = power.double();
        }
        powers.push(power);
    }
    let all = multiples(&to_affine(&powers), width - 1);
    let mut tables: [Vec<Entry>; LANES] = Default::default();
    for table in &mut tables {
        table.reserve_exact(all.len());
    }
    for multiple in &all {
        for (table, entry) in tables.iter_mut().zip(entries(multiple)) {
            table.push(entry);
        }
    }
    tables
}

/// The generator's comb.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn generator_table() -> Vec<Entry> {
    let [x, y] = GENERATOR;
    let point = Affine8 {
        x: Field8::constant(x),
        y: Field8::constant(y),
        infinity: 0,
    };
    let [table, ..] = comb(point, GENERATOR_WIDTH);
    table
}
