//! Converts between instants and local times.

use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

/// The time zone of local times that are written without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zone(Tz);

/// A zone name that is not in the IANA database.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an IANA time zone; name one like Asia/Shanghai or UTC")]
pub(crate) struct UnknownZone(String);

impl Zone {
    pub(crate) const UTC: Zone = Zone(Tz::UTC);

    /// Returns the zone of the system: the environment variable `TZ` if it names one, else the setting of the system,
    /// else UTC.
    pub(crate) fn of_system() -> Zone {
        std::env::var("TZ")
            .ok()
            .and_then(|name| name.trim_start_matches(':').parse().ok())
            .or_else(|| iana_time_zone::get_timezone().ok()?.parse().ok())
            .map_or(Zone::UTC, Zone)
    }

    /// Returns the instant of a local time, in Unix milliseconds.
    ///
    /// A local time that occurs twice, because a clock is set back, is the first of the two. A local time that never
    /// occurs, because a clock is set forward, is read with the offset from before the change.
    pub(crate) fn instant_ms(self, local: NaiveDateTime) -> i64 {
        match self.0.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.timestamp_millis(),
            LocalResult::None => {
                // No zone skips more than a day at once, so a day earlier has the old offset.
                let before = local - chrono::Duration::days(1);
                let offset_ms = match self.0.from_local_datetime(&before) {
                    LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                        before.and_utc().timestamp_millis() - time.timestamp_millis()
                    }
                    LocalResult::None => 0,
                };
                local.and_utc().timestamp_millis() - offset_ms
            }
        }
    }

    /// Returns the offset of the zone from UTC at an instant, in milliseconds; positive in the east.
    pub(crate) fn offset_ms(self, instant_ms: i64) -> i64 {
        let Some(time) = DateTime::from_timestamp_millis(instant_ms) else {
            return 0;
        };
        i64::from(time.with_timezone(&self.0).offset().fix().local_minus_utc()) * 1000
    }

    /// Returns whether two names are of zones whose clocks show the same, as `UTC` and `Etc/UTC`. Compares each month from 2010
    /// to 2040.
    pub(crate) fn is_like(self, other: Zone) -> bool {
        const FIRST_MS: i64 = 1_262_304_000_000;
        const MONTH_MS: i64 = 2_629_800_000;
        let at = |month: i64| FIRST_MS + month * MONTH_MS;
        self == other
            || (0..360).all(|month| self.offset_ms(at(month)) == other.offset_ms(at(month)))
    }

    /// Returns whether the hour from an instant on is a whole hour on the clock of the zone.
    pub(crate) fn has_whole_hour(self, start_ms: i64) -> bool {
        const LAST_MS: i64 = 3_599_999;
        let [first, last] = [start_ms, start_ms.saturating_add(LAST_MS)]
            .map(|instant_ms| self.format_ms(instant_ms));
        first.ends_with(":00:00") && first.get(..13) == last.get(..13)
    }

    /// Returns an instant as Doris writes times, `yyyy-MM-dd HH:mm:ss` in this zone, or `N/A` for an instant beyond the
    /// calendar.
    pub(crate) fn format_ms(self, instant_ms: i64) -> String {
        let Some(time) = DateTime::from_timestamp_millis(instant_ms) else {
            return "N/A".to_string();
        };
        let local = time.with_timezone(&self.0).naive_local();
        if !(0..=9999).contains(&local.year()) {
            return local.format("%Y-%m-%d %H:%M:%S").to_string();
        }
        // Not by chrono, which parses the pattern for each time: a list has two hundred times.
        let mut text = *b"0000-00-00 00:00:00";
        for (at, digits, number) in [
            (0, 4, local.year() as u32),
            (5, 2, local.month()),
            (8, 2, local.day()),
            (11, 2, local.hour()),
            (14, 2, local.minute()),
            (17, 2, local.second()),
        ] {
            let mut rest = number;
            for digit in text[at..at + digits].iter_mut().rev() {
                *digit += (rest % 10) as u8;
                rest /= 10;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl std::str::FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Zone, UnknownZone> {
        name.parse().map(Zone).map_err(|_| UnknownZone(name.to_string()))
    }
}

impl<'de> serde::Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{leading_local_time, parse_instant_ms};
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        leading_local_time(text.as_bytes()).unwrap().0
    }

    #[test]
    fn a_repeated_local_time_is_the_first_of_the_two() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // 02:30 is at 00:30 UTC in summer time and again at 01:30 UTC.
        let first = parse_instant_ms("2024-10-27 00:30:00", Zone::UTC).unwrap();
        assert_eq!(berlin.instant_ms(local("2024-10-27 02:30:00")), first);
    }

    #[test]
    fn a_skipped_local_time_lies_behind_the_gap() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let instant = berlin.instant_ms(local("2024-03-31 02:30:00"));
        assert_eq!(berlin.format_ms(instant), "2024-03-31 03:30:00");
    }

    #[test]
    fn zones_of_the_same_clocks_are_alike() {
        let zone = |name: &str| name.parse::<Zone>().unwrap();
        for (one, other, alike) in [
            ("UTC", "Etc/UTC", true),
            ("Asia/Shanghai", "PRC", true),
            ("Europe/Berlin", "Europe/London", false),
            ("Europe/London", "UTC", false),
        ] {
            assert_eq!(zone(one).is_like(zone(other)), alike, "{one} {other}");
        }
    }

    #[test]
    fn zones_are_named() {
        assert!("Mars/Olympus".parse::<Zone>().unwrap_err().to_string().contains("Mars/Olympus"));
        let shanghai: Zone = "Asia/Shanghai".parse().unwrap();
        assert_eq!(shanghai.format_ms(1_704_165_351_248), "2024-01-02 11:15:51");
        assert_eq!(shanghai.format_ms(i64::MAX), "N/A");
    }
}
