//! Reads and writes durations.

/// Reads a duration as frontends write it, in milliseconds, rounded down: `0`, `316ms`, `1sec150ms`, `1min2sec`,
/// `1hour3min` (Doris since 2.1.5), `1s52ms`, `1m2s`, `1h3m` (earlier Doris, and StarRocks), `28.341us`. Returns None
/// for any other text, such as `N/A`.
pub(crate) fn parse_duration_ms(text: &str) -> Option<i64> {
    i64::try_from(parse_duration_ns(text)? / 1_000_000).ok()
}

/// The units of a duration, in nanoseconds.
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

/// Reads a duration in nanoseconds, rounded down. Returns None for a duration of more than some 580 years.
///
/// A frontend prints the thousandths of `us` and `ms` behind the dot without leading zeros
/// (`RuntimeProfile.printCounter` of Doris and of StarRocks 2.x): `5.7us` is 5,007 ns, `351.4ms` is 351,004,000 ns.
/// Backends and StarRocks 3.x print three digits, which is the same number. Exact nanoseconds in brackets behind a
/// duration (`1.804ms[1804089ns]`, StarRocks 2.x) take precedence.
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
        let is_thousandths = part.len() < 3 && ["us", "ms"].contains(&unit);
        let part_ns = if is_thousandths {
            part.parse::<u64>().ok()? * (unit_ns / 1000)
        } else {
            fraction_ns(part, unit_ns)?
        };
        total_ns = total_ns.checked_add(whole_ns)?.checked_add(part_ns)?;
        rest = behind.trim_start();
    }
    Some(total_ns)
}

/// Returns the part of a unit that the digits behind a decimal dot are, in nanoseconds, rounded down.
fn fraction_ns(digits: &str, unit_ns: u64) -> Option<u64> {
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

/// Returns a duration as the newest Doris writes it (`DebugUtil.printTimeMs` since 2.1.5): below a minute in
/// milliseconds (`0`, `316ms`, `1sec150ms`), below an hour in seconds (`1min2sec`), else in minutes (`1hour3min`). From
/// a minute on, a part that is zero is omitted.
pub(crate) fn format_duration_ms(duration_ms: i64) -> String {
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
            assert_eq!(format_duration_ms(ms), text);
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
            _ if ns >= 1_000_000_000 => format_duration_ms((ns / 1_000_000) as i64),
            _ if ns >= 1_000_000 => of(ns / 1000, "ms"),
            _ if ns > 1000 => of(ns, "us"),
            _ => format!("{ns}ns"),
        }
    }

    proptest! {
        #[test]
        fn what_a_frontend_prints_reads_back(ns in 0..60_000_000_000_u64, scale in 0..8_u32, padded: bool) {
            let ns = ns / 10_u64.pow(scale);
            // Only the digits that the form omits are lost.
            let rounded = match ns {
                _ if ns >= 1_000_000_000 => ns / 1_000_000 * 1_000_000,
                _ if ns >= 1_000_000 => ns / 1000 * 1000,
                _ => ns,
            };
            prop_assert_eq!(parse_duration_ns(&printed(ns, padded)), Some(rounded));
        }

        #[test]
        fn milliseconds_read_back_below_a_minute(ms in 0..60_000_i64) {
            prop_assert_eq!(parse_duration_ms(&format_duration_ms(ms)), Some(ms));
        }

        #[test]
        fn any_text_is_a_duration_or_none(text in "[0-9a-z.\\[\\] ]{0,30}") {
            let _ = parse_duration_ns(&text);
        }
    }
}
