//! Durations, sizes and counts as people read them, on pages and on a terminal.

/// Returns a duration as people read it, rounded to its two largest units: `316 ms`, `1.08 s`, `15 min 3 s`, `3 h 20 min`,
/// `2 d 4 h`; less than 0 ms with a sign, `-21.6 s`.
pub(crate) fn readable_duration_ms(duration_ms: i64) -> String {
    if duration_ms < 0 {
        return format!("-{}", readable_duration_ms(duration_ms.saturating_neg()));
    }
    let rounded = |to_ms: i64| duration_ms.saturating_add(to_ms / 2) / to_ms;
    let parts = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    let (hundredths, tenths) = (rounded(10), rounded(100));
    let (seconds, minutes, hours) = (rounded(1000), rounded(60_000), rounded(3_600_000));
    match duration_ms {
        ..1000 => format!("{duration_ms} ms"),
        _ if hundredths < 1000 => format!("{}.{:02} s", hundredths / 100, hundredths % 100),
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ if seconds < 3600 => parts(seconds / 60, "min", seconds % 60, "s"),
        _ if minutes < 24 * 60 => parts(minutes / 60, "h", minutes % 60, "min"),
        _ => parts(hours / 24, "d", hours % 24, "h"),
    }
}

/// Returns a number in three digits: `999`, `1.2K`, `34M`.
pub(crate) fn readable_number(value: i64) -> String {
    scaled(value, 1000.0, &["", "K", "M", "G", "T", "P"])
}

/// Returns a count: a large one in three digits, `9999`, `12.3K`.
pub(crate) fn readable_count(value: i64) -> String {
    if value.unsigned_abs() < 10_000 { value.to_string() } else { readable_number(value) }
}

/// Returns a count with its noun: `1 query`, `2000 queries`.
pub(crate) fn counted(count: impl TryInto<i64>, singular: &str, plural: &str) -> String {
    let count = count.try_into().unwrap_or(i64::MAX);
    format!("{count} {}", if count == 1 { singular } else { plural })
}

/// Returns a size in three digits, by 1024 as Doris does: `999 B`, `1.2 KB`.
pub(crate) fn readable_bytes(value: i64) -> String {
    scaled(value, 1024.0, &[" B", " KB", " MB", " GB", " TB", " PB"])
}

fn scaled(value: i64, step: f64, units: &[&str]) -> String {
    let mut value = value as f64;
    let mut unit = 0;
    while value.abs() >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = if unit == 0 || value.abs() >= 99.95 { 0 } else { 1 };
    format!("{value:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_in_its_two_largest_units() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.00 s"),
            (1078, "1.08 s"),
            (9994, "9.99 s"),
            (9996, "10.0 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min"),
            (903_499, "15 min 3 s"),
            (3_599_500, "1 h"),
            (12_000_000, "3 h 20 min"),
            (86_399_999, "1 d"),
            (187_200_000, "2 d 4 h"),
            (i64::MAX, "106751991167 d 7 h"),
            (-21_600, "-21.6 s"),
            (i64::MIN, "-106751991167 d 7 h"),
        ] {
            assert_eq!(readable_duration_ms(ms), text);
        }
    }
}
