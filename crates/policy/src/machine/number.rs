//! Whole numbers: `i128` while they fit, above that of at most `INTEGER_BITS_MAX` bits.

use num_bigint::{BigInt, Sign};

use super::Machine;
use crate::{
    Limit,
    heap::Value,
    limits::INTEGER_BITS_MAX,
    meter::{Eval, fault},
    program::{Op, Unary},
};

/// Most decimal digits of an integer within the limit, with room.
pub(crate) const DIGITS_MAX: usize = 320;

impl Machine<'_> {
    /// A number as a large one; a bool is none.
    pub(crate) fn to_big(&self, value: Value) -> Eval<BigInt> {
        match value {
            Value::Int(value) => Ok(BigInt::from(value)),
            Value::Big(place) => self.heaps.big(place).cloned(),
            other => fault(format!(
                "a whole number is needed, not a {}",
                other.type_name()
            )),
        }
    }

    /// A number that counts something or is a position.
    pub(crate) fn to_i64(&self, value: Value) -> Eval<i64> {
        match value {
            Value::Int(value) => match i64::try_from(value) {
                Ok(value) => Ok(value),
                Err(_) => fault("the number is too large here"),
            },
            Value::Big(_) => fault("the number is too large here"),
            other => fault(format!(
                "a whole number is needed, not a {}",
                other.type_name()
            )),
        }
    }

    pub(crate) fn push_int(&mut self, value: BigInt) -> Eval<Value> {
        self.heaps.own.push_int(&mut self.meter, value)
    }

    pub(super) fn unary(&mut self, unary: Unary, value: Value) -> Eval<Value> {
        match (unary, value) {
            (Unary::Plus, Value::Int(_) | Value::Big(_)) => Ok(value),
            (Unary::Minus, Value::Int(small)) if small != i128::MIN => Ok(Value::Int(-small)),
            (Unary::Invert, Value::Int(small)) => Ok(Value::Int(!small)),
            (Unary::Minus, _) => {
                let big = self.to_big(value)?;
                self.push_int(-big)
            }
            (Unary::Invert, _) => {
                let big = self.to_big(value)?;
                self.push_int(-big - BigInt::from(1))
            }
            (Unary::Plus, other) => fault(format!("a {} has no sign", other.type_name())),
        }
    }

    /// Arithmetic of two numbers.
    pub(crate) fn arithmetic(&mut self, op: Op, left: Value, right: Value) -> Eval<Value> {
        if let (Value::Int(a), Value::Int(b)) = (left, right)
            && let Some(value) = small(op, a, b)
        {
            return Ok(Value::Int(value));
        }
        let (a, b) = (self.to_big(left)?, self.to_big(right)?);
        // A product takes as many word operations as its factors' words multiplied.
        let words = (1 + a.bits() / 64).saturating_mul(1 + b.bits() / 64);
        self.meter.step(1 + words / 4)?;
        let value = large(op, &a, &b)?;
        self.push_int(value)
    }

    /// Reads a number as `int()` does: an optional sign, then digits of a base.
    pub(crate) fn parse_int(&mut self, text: &str, base: u32) -> Eval<Value> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let lower = digits.get(..2).map(str::to_ascii_lowercase);
        let prefix = match lower.as_deref() {
            Some("0x") => 16,
            Some("0o") => 8,
            Some("0b") => 2,
            _ => 0,
        };
        let (base, digits) = match (base, prefix) {
            (0, 0) => (10, digits),
            (0, prefix) => (prefix, digits.get(2..).unwrap_or_default()),
            (base, prefix) if base == prefix => (base, digits.get(2..).unwrap_or_default()),
            (base, _) => (base, digits),
        };
        let digits = digits.trim_start_matches('0');
        let zero = text.ends_with('0') && digits.is_empty();
        if digits.len() > INTEGER_BITS_MAX as usize {
            return Err(Limit::Integer.into());
        }
        self.meter.step(1 + (digits.len() as u64).pow(2) / 1024)?;
        let value = if zero {
            Some(BigInt::ZERO)
        } else if digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            BigInt::parse_bytes(digits.as_bytes(), base)
        } else {
            None
        };
        match value {
            Some(value) => self.push_int(if negative { -value } else { value }),
            None => {
                let shown: String = text.chars().take(40).collect();
                fault(format!("{shown:?} is no whole number"))
            }
        }
    }
}

/// Where `i128` suffices.
fn small(op: Op, a: i128, b: i128) -> Option<i128> {
    match op {
        Op::Add => a.checked_add(b),
        Op::Subtract => a.checked_sub(b),
        Op::Multiply => a.checked_mul(b),
        Op::FloorDivide => {
            let quotient = a.checked_div(b)?;
            let exact = a.checked_rem(b)? == 0;
            if exact || (a < 0) == (b < 0) {
                Some(quotient)
            } else {
                quotient.checked_sub(1)
            }
        }
        Op::Modulo => {
            let rest = a.checked_rem(b)?;
            if rest != 0 && (rest < 0) != (b < 0) {
                rest.checked_add(b)
            } else {
                Some(rest)
            }
        }
        Op::And => Some(a & b),
        Op::Or => Some(a | b),
        Op::Xor => Some(a ^ b),
        Op::Left => {
            let shift = u32::try_from(b).ok().filter(|shift| *shift < 127)?;
            let value = a.checked_shl(shift)?;
            (value >> shift == a).then_some(value)
        }
        Op::Right => {
            let shift = u32::try_from(b).ok()?;
            Some(a >> shift.min(127))
        }
        _ => None,
    }
}

fn large(op: Op, a: &BigInt, b: &BigInt) -> Eval<BigInt> {
    if b.sign() == Sign::NoSign && matches!(op, Op::FloorDivide | Op::Modulo) {
        return fault("division by zero");
    }
    Ok(match op {
        Op::Add => a + b,
        Op::Subtract => a - b,
        Op::Multiply => a * b,
        Op::FloorDivide => {
            let quotient = a / b;
            if needs_floor(a, b) {
                quotient - 1
            } else {
                quotient
            }
        }
        Op::Modulo => {
            let rest = a % b;
            if needs_floor(a, b) { rest + b } else { rest }
        }
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Left | Op::Right => {
            let Ok(shift) = u64::try_from(b) else {
                return fault("a shift is not negative and not large");
            };
            match op {
                Op::Right => a >> shift.min(2 * INTEGER_BITS_MAX),
                _ if a.sign() == Sign::NoSign => BigInt::ZERO,
                // Refused before it is made.
                _ if a.bits().saturating_add(shift) > INTEGER_BITS_MAX => {
                    return Err(Limit::Integer.into());
                }
                _ => a << shift,
            }
        }
        _ => return fault("internal error: no arithmetic"),
    })
}

/// Whether rounding to zero differs from rounding down.
fn needs_floor(a: &BigInt, b: &BigInt) -> bool {
    let negative = |n: &BigInt| n.sign() == Sign::Minus;
    negative(a) != negative(b) && (a % b).sign() != Sign::NoSign
}
