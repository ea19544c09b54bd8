//! Reads times.

use chrono::{NaiveDate, NaiveDateTime};

use super::Zone;

/// Reads a local time at the start of `text`: `yyyy-MM-dd HH:mm:ss`, or with `T` in place of the space, and optionally
/// a fraction of one to nine digits behind `.` or `,`. Returns the time and its length in bytes.
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

/// Reads an offset at the start of `text`: `Z`, `+08:00` or `+0800`. Returns the seconds east of UTC and the length in
/// bytes.
pub(crate) fn leading_zone_offset(text: &[u8]) -> Option<(i64, usize)> {
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

/// The last millisecond of the year 9999. Greater numbers are not times.
const LAST_MS: i64 = 253_402_300_799_999;

/// A time that a source wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadTime {
    /// In Unix milliseconds.
    pub ms: i64,
    /// Whether the text has no zone, so that the instant depends on the zone in which it is read.
    pub is_local: bool,
}

/// Reads a time as [`read_time`] does, in Unix milliseconds.
pub(crate) fn parse_instant_ms(text: &str, zone: Zone) -> Option<i64> {
    read_time(text, zone).map(|time| time.ms)
}

/// Reads a time from an audit log, a stream load or a profile: a local time in `zone`, a time
/// with an offset (`2024-01-02T11:15:51+08:00`), or epoch milliseconds. Returns None for any other text, such as `N/A`.
///
/// StarRocks 4 may write its zone in parentheses behind the time, `2024-01-02 11:15:51 (Z)`. An offset or a name of the
/// IANA database takes precedence over `zone`; any other abbreviation is ignored.
pub(crate) fn read_time(text: &str, zone: Zone) -> Option<ReadTime> {
    let instant = |ms| ReadTime { ms, is_local: false };
    let text = text.trim();
    let Some((local, length)) = leading_local_time(text.as_bytes()) else {
        let epoch_ms = text.parse().ok().filter(|epoch_ms| (1..=LAST_MS).contains(epoch_ms));
        return epoch_ms.map(instant);
    };
    let in_zone = || ReadTime { ms: zone.instant_ms(local), is_local: true };
    let behind = text[length..].trim_start();
    if behind.is_empty() {
        return Some(in_zone());
    }
    let in_parentheses =
        behind.strip_prefix('(').and_then(|name| name.strip_suffix(')')).map(str::trim);
    let offset = in_parentheses.unwrap_or(behind);
    if let Some((seconds, length)) = leading_zone_offset(offset.as_bytes())
        && length == offset.len()
    {
        return Some(instant(local.and_utc().timestamp_millis() - seconds * 1000));
    }
    let name = in_parentheses?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| match name.parse::<Zone>() {
        Ok(named) => instant(named.instant_ms(local)),
        Err(_) => in_zone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_time_without_a_zone_depends_on_the_zone() {
        let is_local = |text| read_time(text, Zone::UTC).unwrap().is_local;
        assert!(is_local("2024-01-02 11:15:51,248"));
        assert!(is_local("2024-01-02 11:15:51 (CST)"));
        for instant in
            ["1704194151248", "2024-01-02T11:15:51.248Z", "2024-01-02 11:15:51 (Europe/Berlin)"]
        {
            assert!(!is_local(instant), "{instant}");
        }
    }

    #[test]
    fn a_zone_in_parentheses_takes_precedence() {
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
}
