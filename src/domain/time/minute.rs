//! Minutes of local time.

use std::fmt;

use chrono::{DateTime, NaiveDateTime};

use super::leading_local_time;

/// A minute of local time without a zone, written like `2024-01-02 11:15`. Minutes are ordered as their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalMinute(i64);

/// Minutes since 1970 of the years 0001 to 9999, whose texts have one length.
const FIRST: i64 = -1_035_593_280;
const LAST: i64 = 4_223_371_679;

impl LocalMinute {
    /// Returns the minute of a local time in milliseconds since 1970. A time beyond the years 0001 to 9999 gives the first
    /// or the last minute of them.
    pub(crate) fn of_local_ms(local_ms: i64) -> LocalMinute {
        LocalMinute(local_ms.div_euclid(60_000).clamp(FIRST, LAST))
    }

    /// Returns the minute of a local time.
    pub(crate) fn of(local: NaiveDateTime) -> LocalMinute {
        LocalMinute::of_local_ms(local.and_utc().timestamp_millis())
    }

    /// Reads a minute: `2024-01-02 11:15`. Returns None for any other text.
    pub(crate) fn parse(text: &str) -> Option<LocalMinute> {
        let (local, length) = leading_local_time(format!("{text}:00").as_bytes())?;
        (text.len() == 16 && length == 19).then(|| LocalMinute::of(local))
    }

    /// Returns the local time at which the minute starts, in milliseconds since 1970.
    pub(crate) fn local_ms(self) -> i64 {
        self.0 * 60_000
    }

    /// Returns the local time at which the minute starts.
    pub(crate) fn start(self) -> NaiveDateTime {
        DateTime::from_timestamp_millis(self.local_ms()).unwrap_or_default().naive_utc()
    }

    /// Returns the minute some minutes later, or earlier if `minutes` is negative.
    pub(crate) fn plus(self, minutes: i64) -> LocalMinute {
        LocalMinute(self.0.saturating_add(minutes).clamp(FIRST, LAST))
    }
}

impl fmt::Display for LocalMinute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().format("%Y-%m-%d %H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_read_as_it_is_written() {
        for text in ["2024-01-02 11:15", "1969-12-31 23:59", "0001-01-01 00:00", "9999-12-31 23:59"]
        {
            assert_eq!(LocalMinute::parse(text).map(|minute| minute.to_string()).unwrap(), text);
        }
        for text in
            ["2024-01-02 11:15:00", "2024-01-02", "2024-13-02 11:15", "", "2024-01-02 11:1x"]
        {
            assert_eq!(LocalMinute::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_minute_lasts_until_the_next_one() {
        let minute = LocalMinute::parse("2024-01-02 11:15").unwrap();
        assert_eq!(LocalMinute::of_local_ms(minute.local_ms() + 59_999), minute);
        assert_eq!(minute.plus(45).to_string(), "2024-01-02 12:00");
        assert_eq!(minute.plus(-1440).to_string(), "2024-01-01 11:15");
        assert_eq!(LocalMinute::of_local_ms(i64::MAX).to_string(), "9999-12-31 23:59");
        assert_eq!(LocalMinute::of_local_ms(i64::MIN).to_string(), "0001-01-01 00:00");
    }
}
