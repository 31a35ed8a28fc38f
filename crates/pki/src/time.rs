use std::fmt;
use std::time::Duration;

use der::DateTime;
use der::Encode;
use serde::{Deserialize, Serialize};
use x509_cert::time::Time;

use crate::PkiError;

/// A point in time: whole seconds since 1970, UTC. Shown as `2026-11-21T14:00:00Z`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

const DAY_SECONDS: u64 = 86_400;
/// Certificates count seconds of years before 10000; this is the last of them.
const LAST: u64 = 253_402_300_799;

impl Moment {
    /// The system's time. For drivers; nothing in this crate asks for it by itself.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }

    /// So many days later, at most the end of the year 9999.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self(
            self.0
                .saturating_add(u64::from(days).saturating_mul(DAY_SECONDS))
                .min(LAST),
        )
    }

    /// So many seconds earlier, at least 1970.
    #[must_use]
    pub const fn minus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// So many seconds later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    pub(crate) fn of(time: Time) -> Self {
        Self(time.to_unix_duration().as_secs())
    }

    /// UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5).
    pub(crate) fn to_der(self) -> Result<Vec<u8>, PkiError> {
        let bad = |error: der::Error| PkiError::malformed("time", error);
        let date = DateTime::from_unix_duration(Duration::from_secs(self.0)).map_err(bad)?;
        Time::from(date).to_der().map_err(bad)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(Duration::from_secs(self.0)) {
            Ok(date) => write!(f, "{date}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_form_before_and_after_2050() {
        let before = Moment(2_524_607_999);
        assert_eq!(before.to_string(), "2049-12-31T23:59:59Z");
        assert_eq!(before.to_der().unwrap()[0], 0x17);
        assert_eq!(before.plus_seconds(1).to_der().unwrap()[0], 0x18);
        assert_eq!(Moment(0).plus_days(u32::MAX).0, LAST);
        assert!(Moment(LAST).to_der().is_ok());
    }
}
