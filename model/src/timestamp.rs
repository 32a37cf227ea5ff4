//! An instant of wall-clock time in microseconds since the Unix epoch, and its RFC 3339 text form.
//!
//! Written here and not taken from a calendar crate because it is small, must be exact, and sits on the path of every
//! comparison between a timestamp and a string. Years 0000 to 9999 (what RFC 3339 can write), proleptic Gregorian
//! calendar; digits below a microsecond are cut off; a leap second (`:60`) is the first instant of the next minute, as
//! POSIX time has it.

use std::fmt;
use std::str::FromStr;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A text is not an RFC 3339 date and time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time such as 2024-05-17T08:30:00Z or 2024-05-17T10:30:00.25+02:00")]
pub struct TimestampError;

impl Timestamp {
    /// 0000-01-01T00:00:00Z, the earliest instant that RFC 3339 can write.
    pub const MIN_PRINTABLE: Self = Self(-62_167_219_200 * MICROSECONDS_PER_SECOND);
    /// 9999-12-31T23:59:59.999999Z, the latest.
    pub const MAX_PRINTABLE: Self = Self(253_402_300_800 * MICROSECONDS_PER_SECOND - 1);

    /// Reads `YYYY-MM-DD(T|t| )HH:MM:SS[.digits](Z|z|±HH:MM)` (RFC 3339 section 5.6). No allocation.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
            return None;
        }
        if !matches!(bytes[10], b'T' | b't' | b' ') {
            return None;
        }
        let year = digits(&bytes[0..4])?;
        let month = digits(&bytes[5..7])?;
        let day = digits(&bytes[8..10])?;
        let hour = digits(&bytes[11..13])?;
        let minute = digits(&bytes[14..16])?;
        let second = digits(&bytes[17..19])?;
        let in_range = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour <= 23
            && minute <= 59
            && second <= 60;
        if !in_range {
            return None;
        }
        let (microseconds, rest) = fraction(&bytes[19..])?;
        let offset_seconds = offset(rest)?;
        // A leap second is written only at the end of a month in UTC; elsewhere `:60` is a mistake.
        let seconds =
            days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset_seconds;
        if second == 60 && seconds.rem_euclid(SECONDS_PER_DAY) != 0 {
            return None;
        }
        let instant = Self(seconds * MICROSECONDS_PER_SECOND + microseconds);
        instant.is_printable().then_some(instant)
    }

    /// Whether the text form exists (years 0000 to 9999).
    #[must_use]
    pub fn is_printable(self) -> bool {
        (Self::MIN_PRINTABLE..=Self::MAX_PRINTABLE).contains(&self)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or(TimestampError)
    }
}

/// RFC 3339 in UTC with `Z`, a fraction of 3 or 6 digits only where there is one. An instant outside the years 0000
/// to 9999 has no such form and prints as `@<microseconds>`.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_printable() {
            return write!(formatter, "@{}", self.0);
        }
        let seconds = self.0.div_euclid(MICROSECONDS_PER_SECOND);
        let microseconds = self.0.rem_euclid(MICROSECONDS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if microseconds == 0 {
            formatter.write_str("Z")
        } else if microseconds % 1_000 == 0 {
            write!(formatter, ".{:03}Z", microseconds / 1_000)
        } else {
            write!(formatter, ".{microseconds:06}Z")
        }
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Microseconds of an optional `.digits`, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after_dot) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = after_dot.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (written, rest) = after_dot.split_at(length);
    let mut microseconds = 0;
    for place in 0..6 {
        microseconds = microseconds * 10 + written.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    }
    Some((microseconds, rest))
}

/// Seconds east of UTC.
fn offset(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = digits(&[*h1, *h2])?;
            let minutes = digits(&[*m1, *m2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: (year, month, day).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests;
