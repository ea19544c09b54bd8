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
pub(crate) fn leading_local_time(text: &[u8]) -> Option<(NaiveDateTime, usize)> {
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
pub(crate) fn zone_offset(text: &[u8]) -> Option<(i64, usize)> {
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
pub(crate) fn parse_asked_ms(text: &str, zone: Zone) -> Option<i64> {
    parse_instant_ms(text, zone).or_else(|| parse_instant_ms(&format!("{text} 00:00:00"), zone))
}

/// Reads a time as audit logs, stream loads and profiles write it, in Unix milliseconds: local text
/// in `zone`, text with an offset of its own (`2024-01-02T11:15:51+08:00`), or epoch milliseconds.
/// StarRocks 4 may write its zone behind the time in parentheses, `2024-01-02 11:15:51 (Z)`: an offset or a
/// name of the IANA database goes over `zone`, any other abbreviation does not.
/// Anything else, `N/A` and `null` among it, is not known.
pub(crate) fn parse_instant_ms(text: &str, zone: Zone) -> Option<i64> {
    let text = text.trim();
    let Some((local, length)) = leading_local_time(text.as_bytes()) else {
        return text.parse().ok().filter(|epoch_ms| (1..=LAST_MS).contains(epoch_ms));
    };
    let behind = text[length..].trim_start();
    if behind.is_empty() {
        return Some(zone.instant_ms(local));
    }
    let named = behind.strip_prefix('(').and_then(|name| name.strip_suffix(')')).map(str::trim);
    let offset = named.unwrap_or(behind);
    if let Some((seconds, taken)) = zone_offset(offset.as_bytes())
        && taken == offset.len()
    {
        return Some(local.and_utc().timestamp_millis() - seconds * 1000);
    }
    let name = named?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| name.parse().unwrap_or(zone).instant_ms(local))
}

/// Reads a duration as frontends write it, in whole milliseconds, what is less rounded down: `0`, `316ms`,
/// `1sec150ms`, `1min2sec`, `1hour3min` (Doris since 2.1.5), `1s52ms`, `1m2s`, `1h3m` (before, and StarRocks),
/// `28.341us`. `N/A` and the like are not known.
pub(crate) fn parse_duration_ms(text: &str) -> Option<i64> {
    i64::try_from(parse_duration_ns(text)? / 1_000_000).ok()
}

/// Units of a duration, in nanoseconds.
const UNITS: [(&str, u64); 12] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("sec", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("hour", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("day", 86_400_000_000_000),
    ("days", 86_400_000_000_000),
];

/// Reads the same in whole nanoseconds. What does not fit, some 580 years, is not known.
///
/// A frontend prints the part of `us` and `ms` behind the dot as a number of thousandths without zeros in front
/// (`RuntimeProfile.printCounter` of Doris and of StarRocks 2.x): `5.7us` is 5,007 ns, `351.4ms` is 351,004,000 ns.
/// Backends and StarRocks 3.x pad them to three digits, which is the same number. Exact nanoseconds in brackets
/// behind a time (`1.804ms[1804089ns]`, StarRocks 2.x) go over it.
pub(crate) fn parse_duration_ns(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if let Some((rounded, exact)) = rest.strip_suffix(']').and_then(|text| text.split_once('[')) {
        return parse_duration_ns(exact).or_else(|| parse_duration_ns(rounded));
    }
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total_ns: u64 = 0;
    while !rest.is_empty() {
        let (number, behind) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, behind) = split_where(behind, |c| !c.is_ascii_alphabetic());
        let (_, unit_ns) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let whole_ns = whole.parse::<u64>().ok()?.checked_mul(unit_ns)?;
        let thousandths = part.len() < 3 && ["us", "ms"].contains(&unit);
        let part_ns = if thousandths {
            part.parse::<u64>().ok()? * (unit_ns / 1000)
        } else {
            fraction_of(part, unit_ns)?
        };
        total_ns = total_ns.checked_add(whole_ns)?.checked_add(part_ns)?;
        rest = behind.trim_start();
    }
    Some(total_ns)
}

/// So much of a unit as decimal digits behind a dot say, rounded down.
fn fraction_of(digits: &str, unit_ns: u64) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // No unit has more than fifteen digits of nanoseconds.
    let digits = &digits[..digits.len().min(15)];
    let of = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    u64::try_from(digits.parse::<u128>().ok()? * u128::from(unit_ns) / of).ok()
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// A duration as the newest Doris writes it (`DebugUtil.printTimeMs` since 2.1.5): `0`, below a minute down to the
/// millisecond (`316ms`, `1sec150ms`), below an hour down to the second (`1min2sec`), else down to the minute
/// (`1hour3min`). From a minute on, a part that is zero is left out.
pub(crate) fn duration_text(duration_ms: i64) -> String {
    let (seconds, ms) = (duration_ms / 1000, duration_ms % 1000);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    match (hours, minutes, seconds) {
        _ if duration_ms == 0 => "0".to_string(),
        _ if duration_ms < 1000 => format!("{duration_ms}ms"),
        (0, 0, _) => format!("{seconds}sec{ms}ms"),
        (0, ..) if second == 0 => format!("{minutes}min"),
        (0, ..) => format!("{minutes}min{second}sec"),
        _ if minute == 0 => format!("{hours}hour"),
        _ => format!("{hours}hour{minute}min"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn a_zone_in_parentheses_goes_over_the_zone_of_the_source() {
        let shanghai: Zone = "Asia/Shanghai".parse().unwrap();
        for (text, utc) in [
            ("2024-01-02 11:15:51 (Z)", "2024-01-02 11:15:51"),
            ("2024-01-02 11:15:51 (+02:00)", "2024-01-02 09:15:51"),
            ("2024-01-02 11:15:51 +02:00", "2024-01-02 09:15:51"),
            ("2024-01-02 11:15:51 (Europe/Berlin)", "2024-01-02 10:15:51"),
            ("2024-01-02 11:15:51 (UTC)", "2024-01-02 11:15:51"),
            ("2024-01-02 11:15:51 (CST)", "2024-01-02 03:15:51"),
        ] {
            assert_eq!(
                parse_instant_ms(text, shanghai),
                parse_instant_ms(utc, Zone::UTC),
                "{text}"
            );
        }
        for unknown in
            ["2024-01-02 11:15:51 ()", "2024-01-02 11:15:51 (a b)", "2024-01-02 11:15:51 Z Z"]
        {
            assert_eq!(parse_instant_ms(unknown, shanghai), None, "{unknown}");
        }
    }

    #[test]
    fn durations_there_and_back() {
        for (ms, text) in [
            (0, "0"),
            (316, "316ms"),
            (1_000, "1sec0ms"),
            (1_150, "1sec150ms"),
            (26_885, "26sec885ms"),
            (60_000, "1min"),
            (62_000, "1min2sec"),
            (3_600_000, "1hour"),
            (3_780_000, "1hour3min"),
            (360_000_000, "100hour"),
        ] {
            assert_eq!(duration_text(ms), text);
            assert_eq!(parse_duration_ms(text), Some(ms));
        }
        for (text, ms) in [
            ("0ms", 0),
            ("1s52ms", 1_052),
            ("9sec745ms", 9_745),
            ("1min2s", 62_000),
            ("2m47s", 167_000),
            ("1h25m", 5_100_000),
            ("1d2h", 93_600_000),
            ("28.341us", 0),
            ("1.154ms", 1),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
        }
        for unknown in
            ["", "N/A", "12", "ms", "1.2.3s", "1.s", ".5s", "-1ms", "5 parsecs", "1ms]", "600000d"]
        {
            assert_eq!(parse_duration_ms(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn thousandths_and_exact_nanoseconds() {
        for (text, ns) in [
            ("5.7us", 5_007),
            ("1.96us", 1_096),
            ("5.0us", 5_000),
            ("1.804us", 1_804),
            ("351.4ms", 351_004_000),
            ("8.344ms", 8_344_000),
            ("1.80408ms", 1_804_080),
            ("1.5s", 1_500_000_000),
            ("1sec2ms", 1_002_000_000),
            ("1.804ms[1804089ns]", 1_804_089),
            ("9s317ms[9317402000ns]", 9_317_402_000),
            ("1.5ms[much]", 1_005_000),
            ("999ns", 999),
        ] {
            assert_eq!(parse_duration_ns(text), Some(ns), "{text}");
        }
    }

    /// Prints nanoseconds as the frontends of Doris (`padded` false) and StarRocks 3 (`padded`) do.
    fn printed(ns: u64, padded: bool) -> String {
        let of = |whole: u64, unit: &str| match padded {
            true => format!("{}.{:03}{unit}", whole / 1000, whole % 1000),
            false => format!("{}.{}{unit}", whole / 1000, whole % 1000),
        };
        match ns {
            _ if ns >= 1_000_000_000 => duration_text((ns / 1_000_000) as i64),
            _ if ns >= 1_000_000 => of(ns / 1000, "ms"),
            _ if ns > 1000 => of(ns, "us"),
            _ => format!("{ns}ns"),
        }
    }

    proptest! {
        #[test]
        fn what_a_frontend_prints_reads_back(ns in 0..60_000_000_000_u64, scale in 0..8_u32, padded: bool) {
            let ns = ns / 10_u64.pow(scale);
            // What the form leaves out is lost, no more.
            let left = match ns {
                _ if ns >= 1_000_000_000 => ns / 1_000_000 * 1_000_000,
                _ if ns >= 1_000_000 => ns / 1000 * 1000,
                _ => ns,
            };
            prop_assert_eq!(parse_duration_ns(&printed(ns, padded)), Some(left));
        }

        #[test]
        fn milliseconds_read_back_below_a_minute(ms in 0..60_000_i64) {
            prop_assert_eq!(parse_duration_ms(&duration_text(ms)), Some(ms));
        }

        #[test]
        fn any_text_is_a_duration_or_none(text in "[0-9a-z.\\[\\] ]{0,30}") {
            let _ = parse_duration_ns(&text);
        }
    }
}
