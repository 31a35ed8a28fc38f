//! One inversion for a whole batch of vectors.

use crate::{field8::Field8, modular::P};

/// Independent running products: one chain of multiplications waits for each result, four overlap.
const CHAINS: usize = 4;

/// Inverts every lane of every element in place. Returns false if some were zero; those are one
/// afterwards, and `zeros` has their lanes, element by element. Otherwise `zeros` is left empty.
///
/// Costs three multiplications to an element, and one inversion of a single number.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn invert_all(elements: &mut [Field8], zeros: &mut Vec<u8>) -> bool {
    zeros.clear();
    if invert_nonzero(elements) {
        return true;
    }
    // Somebody may have chosen the inputs so: find the zeros one by one.
    for element in elements.iter_mut() {
        let zero = element.zero_lanes();
        *element = element.replace(zero, Field8::one());
        zeros.push(zero);
    }
    if !invert_nonzero(elements) {
        // Cannot be: no element is zero. Trust nothing then.
        zeros.iter_mut().for_each(|lanes| *lanes = 0xff);
    }
    false
}

/// Inverts in place unless some lane of some element is zero; then it changes nothing.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn invert_nonzero(elements: &mut [Field8]) -> bool {
    let mut running = [Field8::one(); CHAINS];
    let mut prefixes = Vec::with_capacity(elements.len());
    for chunk in elements.chunks(CHAINS) {
        for (product, element) in running.iter_mut().zip(chunk) {
            prefixes.push(*product);
            *product = product.mul(*element);
        }
    }
    let [a, b, c, d] = running;
    let (ab, cd) = (a.mul(b), c.mul(d));
    let Some(inverse) = invert_lanes(ab.mul(cd)) else {
        return false;
    };
    let (of_ab, of_cd) = (inverse.mul(cd), inverse.mul(ab));
    let mut running = [of_ab.mul(b), of_ab.mul(a), of_cd.mul(d), of_cd.mul(c)];
    let chunks = elements.chunks_mut(CHAINS).zip(prefixes.chunks(CHAINS));
    for (chunk, prefixes) in chunks.rev() {
        let items = running.iter_mut().zip(chunk.iter_mut().zip(prefixes));
        for (back, (element, prefix)) in items {
            let inverse = back.mul(*prefix);
            *back = back.mul(*element);
            *element = inverse;
        }
    }
    true
}

/// Inverts the eight lanes by one inversion; `None` if one is zero.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn invert_lanes(element: Field8) -> Option<Field8> {
    let mut numbers = element.to_lanes();
    P.invert_all(&mut numbers)?;
    Some(Field8::from_lanes(numbers))
}
