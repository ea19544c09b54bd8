//! Times and durations in the text forms Doris uses.
//!
//! Doris writes local times without a zone, `2024-01-02 11:15:51,248`. annals keeps instants, Unix
//! milliseconds in UTC, and needs a [`Zone`] to go from one to the other.

use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike,
};
use chrono_tz::Tz;

/// The zone in which local times without one are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

/// A zone name that is not in the IANA database.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an IANA time zone; name one like Asia/Shanghai or UTC")]
pub struct UnknownZone(String);

impl Zone {
    /// Universal time.
    pub const UTC: Zone = Zone(Tz::UTC);

    /// The machine's own zone: `TZ` where it names one, else what the system is set to, else UTC.
    pub fn of_machine() -> Zone {
        std::env::var("TZ")
            .ok()
            .and_then(|name| name.trim_start_matches(':').parse().ok())
            .or_else(|| iana_time_zone::get_timezone().ok()?.parse().ok())
            .map_or(Zone::UTC, Zone)
    }

    /// The instant of a local time, in Unix milliseconds.
    ///
    /// A local time that came twice, as a clock was set back, is taken as the first. One that never
    /// came, as a clock was set forward, is read with the offset that held before the change, and so
    /// lies as far behind the change as the clock was set forward.
    pub fn instant_ms(self, local: NaiveDateTime) -> i64 {
        match self.0.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.timestamp_millis(),
            LocalResult::None => {
                // No zone has skipped more than a day at once, so a day earlier has the old offset.
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

    /// Returns how far the zone's clocks are ahead of UTC at an instant, in milliseconds.
    pub fn offset_ms(self, instant_ms: i64) -> i64 {
        let Some(time) = DateTime::from_timestamp_millis(instant_ms) else {
            return 0;
        };
        i64::from(time.with_timezone(&self.0).offset().fix().local_minus_utc()) * 1000
    }

    /// An instant as Doris writes times, `yyyy-MM-dd HH:mm:ss`, in this zone. An instant beyond the
    /// calendar gives `N/A`.
    pub fn text(self, instant_ms: i64) -> String {
        let Some(time) = DateTime::from_timestamp_millis(instant_ms) else {
            return "N/A".to_string();
        };
        let local = time.with_timezone(&self.0).naive_local();
        if !(0..=9999).contains(&local.year()) {
            return local.format("%Y-%m-%d %H:%M:%S").to_string();
        }
        // By hand, for a list has two hundred times: chrono reads the pattern anew for each.
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

/// Reads a local time at the start of `text`: `yyyy-MM-dd HH:mm:ss`, with `T` for the space and a
/// fraction of one to nine digits behind `.` or `,` allowed. Gives it and the bytes it took.
pub fn leading_local_time(text: &[u8]) -> Option<(NaiveDateTime, usize)> {
    let number = |from: usize, digits: usize| {
        text.get(from..from + digits)?.iter().try_fold(0u32, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        })
    };
    let separated = |at: usize, by: &[u8]| text.get(at).filter(|byte| by.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    for (at, by) in [(4, &b"-"[..]), (7, b"-"), (10, b" T"), (13, b":"), (16, b":")] {
        separated(at, by)?;
    }
    let mut end = 19;
    let mut nanoseconds = 0;
    if separated(end, b".,").is_some() {
        let digits =
            text[end + 1..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            nanoseconds = number(end + 1, digits)? * 10u32.pow(9 - digits as u32);
            end += 1 + digits;
        }
    }
    let time = NaiveDate::from_ymd_opt(year as i32, month, day)?
        .and_hms_nano_opt(hour, minute, second, nanoseconds)?;
    Some((time, end))
}

/// Reads `Z`, `+08:00` or `+0800`: seconds east of UTC and the bytes it took.
pub fn zone_offset(text: &[u8]) -> Option<(i64, usize)> {
    let sign = match text.first()? {
        b'Z' => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = |from: usize| {
        let two = std::str::from_utf8(text.get(from..from + 2)?).ok()?;
        two.parse::<i64>().ok()
    };
    let hours = digits(1)?;
    let (minutes, length) = match text.get(3) {
        Some(b':') => (digits(4)?, 6),
        _ => (digits(3)?, 5),
    };
    Some((sign * (hours * 3600 + minutes * 60), length))
}

/// The last millisecond of the year 9999, beyond which nobody writes times.
const LAST_MS: i64 = 253_402_300_799_999;

/// Reads what somebody who asks calls a time: what [`parse_instant_ms`] reads, or a day, which is its
/// first moment in `zone`.
pub fn parse_asked_ms(text: &str, zone: Zone) -> Option<i64> {
    parse_instant_ms(text, zone).or_else(|| parse_instant_ms(&format!("{text} 00:00:00"), zone))
}

/// Reads a time as audit logs, stream loads and profiles write it, in Unix milliseconds: local text
/// in `zone`, text with an offset of its own (`2024-01-02T11:15:51+08:00`), or epoch milliseconds.
/// Anything else, `N/A` and `null` among it, is not known.
pub fn parse_instant_ms(text: &str, zone: Zone) -> Option<i64> {
    let text = text.trim();
    if let Some((local, length)) = leading_local_time(text.as_bytes()) {
        if length == text.len() {
            return Some(zone.instant_ms(local));
        }
        let (seconds, taken) = zone_offset(&text.as_bytes()[length..])?;
        let utc_ms = local.and_utc().timestamp_millis() - seconds * 1000;
        return (length + taken == text.len()).then_some(utc_ms);
    }
    text.parse().ok().filter(|epoch_ms| (1..=LAST_MS).contains(epoch_ms))
}

/// Reads a duration as Doris writes it, in whole milliseconds, what is less rounded down: `316ms`,
/// `1s52ms`, `9sec745ms`, `1min2s`, `1hour3min`, `28.341us`. `N/A` and the like are not known.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let total_ms = parse_duration_ns(text)? / 1e6;
    // Beyond 2^53 a float no longer counts milliseconds; no duration comes near.
    (total_ms < 9e15).then_some(total_ms as i64)
}

/// Reads the same in nanoseconds.
pub fn parse_duration_ns(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total_ns = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, behind) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, behind) = split_where(behind, |c| !c.is_ascii_alphabetic());
        let unit_ns = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" | "sec" => 1e9,
            "m" | "min" => 60e9,
            "h" | "hour" => 3_600e9,
            "d" | "day" => 86_400e9,
            _ => return None,
        };
        total_ns += number.parse::<f64>().ok()? * unit_ns;
        rest = behind.trim_start();
    }
    Some(total_ns)
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// A duration as Doris writes it: below a minute down to the millisecond (`316ms`, `1s52ms`), below
/// an hour down to the second (`1min2s`), else down to the minute (`1hour3min`). From a minute on, a
/// second part that is zero is left out, as Doris does.
pub fn duration_text(duration_ms: i64) -> String {
    let (seconds, ms) = (duration_ms / 1000, duration_ms % 1000);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    match (hours, minutes, seconds) {
        (0, 0, 0) => format!("{ms}ms"),
        (0, 0, _) => format!("{seconds}s{ms}ms"),
        (0, ..) if second == 0 => format!("{minutes}min"),
        (0, ..) => format!("{minutes}min{second}s"),
        _ if minute == 0 => format!("{hours}hour"),
        _ => format!("{hours}hour{minute}min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        leading_local_time(text.as_bytes()).unwrap().0
    }

    #[test]
    fn local_times_of_every_spelling() {
        let ms = |text| parse_instant_ms(text, Zone::UTC);
        assert_eq!(ms("2024-01-02 11:15:51"), Some(1_704_194_151_000));
        assert_eq!(ms("2024-01-02 11:15:51,248"), Some(1_704_194_151_248));
        assert_eq!(ms("2024-01-02T11:15:51.248999"), Some(1_704_194_151_248));
        assert_eq!(ms("1704194151248"), Some(1_704_194_151_248));
        assert_eq!(ms("2024-01-02T11:15:51.248Z"), Some(1_704_194_151_248));
        assert_eq!(ms("2024-01-02 11:15:51+08:00"), Some(1_704_165_351_000));
        assert_eq!(ms("2024-01-02 11:15:51+08:00 or so"), None);
        for unknown in ["", "N/A", "null", "-1", "0", "2024-13-02 11:15:51", "2024-01-02 11:15:5x"]
        {
            assert_eq!(ms(unknown), None, "{unknown}");
        }
        assert_eq!(ms("2024-01-02 11:15:51 and more"), None);
    }

    #[test]
    fn a_repeated_local_time_is_the_first_of_the_two() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // 02:30 came at 00:30 UTC in summer time and again at 01:30 UTC.
        let first = parse_instant_ms("2024-10-27 00:30:00", Zone::UTC).unwrap();
        assert_eq!(berlin.instant_ms(local("2024-10-27 02:30:00")), first);
    }

    #[test]
    fn a_skipped_local_time_lies_behind_the_gap() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let instant = berlin.instant_ms(local("2024-03-31 02:30:00"));
        assert_eq!(berlin.text(instant), "2024-03-31 03:30:00");
    }

    #[test]
    fn zones_are_named() {
        assert!("Mars/Olympus".parse::<Zone>().unwrap_err().to_string().contains("Mars/Olympus"));
        let shanghai: Zone = "Asia/Shanghai".parse().unwrap();
        assert_eq!(shanghai.text(1_704_165_351_248), "2024-01-02 11:15:51");
        assert_eq!(shanghai.text(i64::MAX), "N/A");
    }

    #[test]
    fn durations_there_and_back() {
        for (ms, text) in [
            (0, "0ms"),
            (316, "316ms"),
            (1_000, "1s0ms"),
            (1_052, "1s52ms"),
            (26_885, "26s885ms"),
            (60_000, "1min"),
            (62_000, "1min2s"),
            (3_600_000, "1hour"),
            (3_780_000, "1hour3min"),
        ] {
            assert_eq!(duration_text(ms), text);
            assert_eq!(parse_duration_ms(text), Some(ms));
        }
        assert_eq!(parse_duration_ms("9sec745ms"), Some(9_745));
        assert_eq!(parse_duration_ms("1min2sec"), Some(62_000));
        assert_eq!(parse_duration_ms("28.341us"), Some(0));
        assert_eq!(parse_duration_ms("1.154ms"), Some(1));
        for unknown in ["", "N/A", "12", "ms", "1.2.3s", "5 parsecs"] {
            assert_eq!(parse_duration_ms(unknown), None, "{unknown}");
        }
    }
}
