//! Says which time zone the times of a log were probably written in.

use crate::domain::time::Zone;

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

/// Returns advice about times that are `ahead_ms` too late because they were read in `zone`.
pub(super) fn zone_advice(zone: Zone, now_ms: i64, ahead_ms: i64) -> String {
    let ahead = format!("{}h{}min", ahead_ms / 3_600_000, ahead_ms / 60_000 % 60);
    let steps = (ahead_ms + HALF_HOUR_MS - 1) / HALF_HOUR_MS;
    let own_ms = zone.offset_ms(now_ms);
    let known = |step: i64| {
        let offset_ms = own_ms + step * HALF_HOUR_MS;
        let name = LIKELY_ZONES.iter().find(|name| offset_of(name, now_ms) == Some(offset_ms))?;
        Some((offset_ms, *name))
    };
    // The log may have ended some time ago, so its zone may be further off, but hardly nearer.
    let Some((offset_ms, name)) = (steps..steps + 4).find_map(known) else {
        return format!(
            "the latest is {ahead} ahead: the times were read as times of {zone}, and no zone explains them"
        );
    };
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
    format!(
        "the latest is {ahead} ahead: the times look like UTC{sign}{hour:02}:{minute:02}, but were read as times of \
         {zone}; if so, import into a new file with --time-zone {name}{or_default}"
    )
}

fn offset_of(zone: &str, now_ms: i64) -> Option<i64> {
    zone.parse::<Zone>().ok().map(|zone| zone.offset_ms(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// 2024-08-06, when it is summer in Berlin.
    const NOW_MS: i64 = 1_722_942_950_932;

    #[test]
    fn the_advice_names_the_nearest_zone_that_explains_the_times() {
        let advice = zone_advice(Zone::UTC, NOW_MS, 8 * HOUR_MS - 60_000);
        assert_eq!(
            advice,
            "the latest is 7h59min ahead: the times look like UTC+08:00, but were read as times of UTC; if so, import \
             into a new file with --time-zone Asia/Shanghai"
        );
        // Times that are two hours ahead may also be older ones of a zone further east.
        let advice = zone_advice(Zone::UTC, NOW_MS, 2 * HOUR_MS);
        assert!(
            advice.ends_with("--time-zone Europe/Berlin, or Asia/Shanghai, Doris' own default")
        );
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert!(zone_advice(berlin, NOW_MS, 6 * HOUR_MS).ends_with("--time-zone Asia/Shanghai"));
        assert!(zone_advice(berlin, NOW_MS, 40 * HOUR_MS).ends_with("no zone explains them"));
    }
}
