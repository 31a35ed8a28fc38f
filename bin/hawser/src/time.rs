//! Times on the command line: UTC, in the form of RFC 3339.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::quantity::utc;

const DAY_S: u64 = 86_400;

/// Milliseconds since 1970 of a date, a date with time, or of such a number.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let bad = || "write 2026-11-21, 2026-11-21T14:00:00Z, or milliseconds since 1970".to_owned();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| bad());
    }
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let numbers = |text: &str, separator: char| -> Option<[u64; 3]> {
        let mut parts = text.split(separator).map(|part| {
            let fine = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            fine.then(|| part.parse::<u64>().ok()).flatten()
        });
        let found = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(found)
    };
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let [year, month, day] = numbers(date, '-').ok_or_else(bad)?;
    let [hour, minute, second] = numbers(clock, ':').ok_or_else(bad)?;
    let sound = year >= 1970 && hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day).filter(|_| sound).ok_or_else(bad)?;
    Ok((days * DAY_S + hour * 3_600 + minute * 60 + second) * 1_000)
}

/// The present time as lines of a log have it, such as `2026-11-21T14:00:00.000Z`.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    let text = utc(u64::try_from(ms).unwrap_or(u64::MAX));
    text.replacen(' ', "T", 1).replacen(" UTC", "Z", 1)
}

/// Seconds since 1970 of a date of HTTP, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section
/// 5.6.7).
pub(crate) fn of_http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (clock, zone) = (parts.next()?, parts.next()?);
    let month = MONTHS
        .iter()
        .position(|name| *name == month)?
        .checked_add(1)?;
    if zone != "GMT" || parts.next().is_some() {
        return None;
    }
    let ms = parse(&format!("{year}-{month:02}-{day}T{clock}Z")).ok()?;
    Some(ms / 1_000)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the beginning of a year.
const fn days_before(year: u64) -> u64 {
    let past = year.saturating_sub(1);
    let leaps = past / 4 - past / 100 + past / 400;
    // 477 leap years lie before 1970.
    365 * year.saturating_sub(1970) + leaps.saturating_sub(477)
}

fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let months: u64 = (1..month).map(|month| days_of_month(year, month)).sum();
    Some(days_before(year) + months + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400_000),
            ("2024-02-29T23:59:59Z", 1_709_251_199_000),
            ("2026-11-21 13:21:24", 1_795_267_284_000),
            ("2026-11-21", 1_795_219_200_000),
            ("2100-03-01T00:00:00", 4_107_542_400_000),
            ("1795264884805", 1_795_264_884_805),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        for day in 0..50_000 {
            let written = crate::quantity::utc(day * DAY_S * 1_000);
            assert_eq!(
                parse(written.split_once(' ').unwrap().0),
                Ok(day * DAY_S * 1_000)
            );
        }
    }

    #[test]
    fn dates_of_http_are_read() {
        let read = |text| of_http_date(text);
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nix 1994 08:49:37 GMT",
            "now",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "today",
            "2026-13-01",
            "2026-02-29",
            "2026-11-00",
            "1969-12-31",
            "2026-11",
            "2026-11-21T24:00:00",
            "2026-11-21T10:60:00",
            "2026-11-21T10:00",
            "-5",
            "99999999999999999999999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
