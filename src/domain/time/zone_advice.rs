//! Which time zone the times of a log were probably written in, and by how much they are off.

use super::{Zone, parse_duration_ms};

/// Milliseconds that a clock may be fast. Two zones differ by more.
pub(crate) const FUTURE_MS: i64 = 25 * 60 * 1000;

/// The zone of a frontend by default.
const DEFAULT_ZONE: &str = "Asia/Shanghai";

/// A well-known zone for each offset, the more common ones first.
const LIKELY_ZONES: [&str; 38] = [
    "Asia/Shanghai", "UTC", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/Sao_Paulo", "Europe/London", "Europe/Berlin", "Europe/Athens",
    "Europe/Moscow", "Asia/Dubai", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Tokyo",
    "Australia/Sydney", "Pacific/Auckland", "Asia/Tehran", "Asia/Kabul", "Asia/Karachi",
    "Asia/Yangon", "Australia/Adelaide", "Australia/Darwin", "Australia/Brisbane",
    "Pacific/Noumea", "Pacific/Fiji", "Pacific/Tongatapu", "Pacific/Kiritimati", "Atlantic/Azores",
    "Atlantic/South_Georgia", "America/Halifax", "America/Caracas", "America/Bogota",
    "America/Phoenix", "America/Anchorage", "Pacific/Honolulu", "Pacific/Pago_Pago",
];

/// Zones differ by whole or half hours.
const HALF_HOUR_MS: i64 = 30 * 60 * 1000;

/// No two zones differ by more.
const MAX_SHIFT_MS: i64 = 26 * 3_600_000;

/// The zone that explains times of the future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LikelyZone {
    /// The offset as people write it, like `UTC+08:00`.
    pub offset: String,
    /// A well-known zone with the offset, with Doris' default zone behind it if that is as likely.
    pub zones: String,
    /// What moves the times to where they belong, in milliseconds; negative.
    pub shift_ms: i64,
}

/// Returns the nearest zone that explains times that are `ahead_ms` too late because they were read in `zone`; none if no zone
/// does.
pub(crate) fn likely_zone(zone: Zone, now_ms: i64, ahead_ms: i64) -> Option<LikelyZone> {
    let steps = ahead_ms.saturating_add(HALF_HOUR_MS - 1) / HALF_HOUR_MS;
    let own_ms = zone.offset_ms(now_ms);
    let known = |step: i64| {
        let offset_ms = step.checked_mul(HALF_HOUR_MS)?.checked_add(own_ms)?;
        let name = LIKELY_ZONES.iter().find(|name| offset_of(name, now_ms) == Some(offset_ms))?;
        Some((offset_ms, *name))
    };
    // The log may have ended some time ago, so its zone may be further off, but hardly nearer.
    let (offset_ms, name) = (steps..steps.saturating_add(4)).find_map(known)?;
    let minutes = offset_ms / 60_000;
    let (hour, minute) = (minutes.abs() / 60, minutes.abs() % 60);
    let sign = if minutes < 0 { '-' } else { '+' };
    // Doris' default zone is likely if its times would all lie in the past.
    let is_default_likely = offset_of(DEFAULT_ZONE, now_ms)
        .is_some_and(|default_ms| default_ms - own_ms > steps * HALF_HOUR_MS);
    let or_default = match known(steps) {
        Some((_, DEFAULT_ZONE)) => String::new(),
        _ if is_default_likely => format!(", or {DEFAULT_ZONE}, Doris' own default"),
        _ => String::new(),
    };
    Some(LikelyZone {
        offset: format!("UTC{sign}{hour:02}:{minute:02}"),
        zones: format!("{name}{or_default}"),
        shift_ms: own_ms - offset_ms,
    })
}

fn offset_of(zone: &str, now_ms: i64) -> Option<i64> {
    zone.parse::<Zone>().ok().map(|zone| zone.offset_ms(now_ms))
}

/// Reads by how much times are moved, in milliseconds: a duration like `8h` or `5h30m`, with `-` before it for earlier times, or
/// `0`.
pub(crate) fn parse_shift_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (is_negative, length) = match text.strip_prefix('-') {
        Some(length) => (true, length),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = parse_duration_ms(length).ok_or_else(|| {
        format!("{text} is not a duration; write hours and minutes: 8h, -8h, 5h30m")
    })?;
    if ms > MAX_SHIFT_MS {
        return Err(format!("no two time zones are {text} apart; the most is 26h"));
    }
    Ok(if is_negative { -ms } else { ms })
}

/// Returns a shift as [`parse_shift_ms`] reads it: `-8h`, `5h30m`.
pub(crate) fn format_shift(shift_ms: i64) -> String {
    let sign = if shift_ms < 0 { "-" } else { "" };
    let ms = shift_ms.unsigned_abs();
    let parts =
        [(ms / 3_600_000, "h"), (ms / 60_000 % 60, "m"), (ms / 1000 % 60, "s"), (ms % 1000, "ms")];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let text: String = parts.map(|(number, unit)| format!("{number}{unit}")).collect();
    if text.is_empty() { "0h".to_string() } else { format!("{sign}{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// 2024-08-06, when it is summer in Berlin.
    const NOW_MS: i64 = 1_722_942_950_932;

    #[test]
    fn the_nearest_zone_that_explains_the_times_is_likely() {
        let likely = likely_zone(Zone::UTC, NOW_MS, 8 * HOUR_MS - 60_000).unwrap();
        assert_eq!((likely.offset.as_str(), likely.zones.as_str()), ("UTC+08:00", "Asia/Shanghai"));
        assert_eq!(likely.shift_ms, -8 * HOUR_MS);
        // Times that are two hours ahead may also be older ones of a zone further east.
        let likely = likely_zone(Zone::UTC, NOW_MS, 2 * HOUR_MS).unwrap();
        assert_eq!(likely.zones, "Europe/Berlin, or Asia/Shanghai, Doris' own default");
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let likely = likely_zone(berlin, NOW_MS, 6 * HOUR_MS).unwrap();
        assert_eq!((likely.zones.as_str(), likely.shift_ms), ("Asia/Shanghai", -6 * HOUR_MS));
        assert_eq!(likely_zone(berlin, NOW_MS, 40 * HOUR_MS), None);
        assert_eq!(likely_zone(berlin, NOW_MS, i64::MAX), None);
    }

    #[test]
    fn shifts_are_read_and_written() {
        for (text, ms, written) in [
            ("8h", 8 * HOUR_MS, "8h"),
            ("-8h", -8 * HOUR_MS, "-8h"),
            ("+5h30m", 5 * HOUR_MS + HALF_HOUR_MS, "5h30m"),
            ("-330min", -5 * HOUR_MS - HALF_HOUR_MS, "-5h30m"),
            ("0", 0, "0h"),
            ("-0h", 0, "0h"),
        ] {
            assert_eq!(parse_shift_ms(text), Ok(ms), "{text}");
            assert_eq!(format_shift(ms), written);
        }
        for wrong in ["", "8", "-", "--8h", "27h", "eight hours", "-999999999d"] {
            assert!(parse_shift_ms(wrong).is_err(), "{wrong}");
        }
    }
}
