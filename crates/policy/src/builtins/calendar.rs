/// A date and time of day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    /// 0 is Monday.
    pub(crate) weekday: i64,
}

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

impl Civil {
    /// Of milliseconds since 1970, at an offset to UTC in minutes. Years are counted from a March,
    /// so that the leap day is the last of a year; 400 years have 146,097 days.
    pub(crate) const fn of(time_ms: i64, offset_minutes: i64) -> Self {
        let minutes = time_ms.div_euclid(MINUTE_MS).saturating_add(offset_minutes);
        let (days, minute) = (
            minutes.div_euclid(DAY_MINUTES),
            minutes.rem_euclid(DAY_MINUTES),
        );
        // From 1 March of the year 0.
        let shifted = days.saturating_add(719_468);
        let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year + era.saturating_mul(400);
        Self {
            year: if month <= 2 { year + 1 } else { year },
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: minute / 60,
            minute: minute % 60,
            // 1 January 1970 was a Thursday.
            weekday: days.saturating_add(3).rem_euclid(7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_known_instants() {
        let parts = |ms, offset| {
            let civil = Civil::of(ms, offset);
            (
                civil.year,
                civil.month,
                civil.day,
                civil.hour,
                civil.minute,
                civil.weekday,
            )
        };
        assert_eq!(parts(0, 0), (1970, 1, 1, 0, 0, 3));
        assert_eq!(parts(951_782_400_000, 0), (2000, 2, 29, 0, 0, 1));
        // 2026-11-21T14:33:00Z, a Saturday; 22:33 in Beijing.
        assert_eq!(parts(1_795_271_580_000, 0), (2026, 11, 21, 14, 33, 5));
        assert_eq!(parts(1_795_271_580_000, 480), (2026, 11, 21, 22, 33, 5));
        assert_eq!(parts(-1, 0), (1969, 12, 31, 23, 59, 2));
        assert_eq!(parts(4_107_542_400_000, 0), (2100, 3, 1, 0, 0, 0));
    }
}
