//! Numbers as the interface writes them.

use std::fmt::Display;

use serde_json::Value;

/// A number given as `0x…` or as a JSON number.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

/// The number in a field, if it is there.
pub(crate) fn field(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(number)
}

/// The text in a field, empty where it is not there.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A count with its word in English: `1 peer`, `2 peers`, `0 entries`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    if count == N::from(1) {
        return format!("1 {one}");
    }
    match one.strip_suffix('y') {
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {one}s"),
    }
}

/// Milliseconds since the Unix epoch as a UTC date and time (the civil calendar of ISO 8601).
pub(crate) fn utc(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years, so that leap days come last in their year.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let milli = ms % 1000;
    format!(
        "{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02}.{milli:03} UTC"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(0_usize, "finding"), "0 findings");
        assert_eq!(counted(1_usize, "finding"), "1 finding");
        assert_eq!(counted(2_u64, "finding"), "2 findings");
        assert_eq!(counted(1_u64, "entry"), "1 entry");
        assert_eq!(counted(3_u32, "entry"), "3 entries");
    }

    #[test]
    fn numbers_are_read_in_both_forms_and_nothing_else_is() {
        assert_eq!(number(&json!("0x10")), Some(16));
        assert_eq!(number(&json!(16)), Some(16));
        assert_eq!(number(&json!("16")), Some(16));
        for bad in [
            json!("0x"),
            json!("-1"),
            json!(-1),
            json!(1.5),
            json!(null),
            json!("0x1ffffffffffffffff"),
        ] {
            assert_eq!(number(&bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00.000 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00.000 UTC");
        assert_eq!(utc(1_709_251_199_999), "2024-02-29 23:59:59.999 UTC");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00.000 UTC");
    }
}
