//! The earlier period that a period is compared with.

use super::time::{Zone, now_ms, parse_duration_ms, parse_typed_time_ms};

/// What a period is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Baseline {
    /// So many milliseconds before the period.
    Before(i64),
    /// From a time up to another, in Unix milliseconds.
    Period(i64, i64),
}

/// The week before: each day of the week, and enough runs of statements that run some times a day.
impl Default for Baseline {
    fn default() -> Baseline {
        Baseline::Before(7 * 86_400_000)
    }
}

impl Baseline {
    /// What a baseline is, for the message about a text that is none.
    pub(crate) const SPELLINGS: &str =
        "how long before, like 7d, or a period like 2024-08-01..2024-08-02";

    /// Reads `7d`, or two times with `..` between them. None for any other text, and for a period that does not end after
    /// it begins.
    pub(crate) fn parse(text: &str, zone: Zone) -> Option<Baseline> {
        if let Some((from, to)) = text.split_once("..") {
            let time = |text| parse_typed_time_ms(text, zone, now_ms()).ok();
            let (from_ms, to_ms) = (time(from)?, time(to)?);
            return (from_ms < to_ms).then_some(Baseline::Period(from_ms, to_ms));
        }
        parse_duration_ms(text).filter(|ms| *ms > 0).map(Baseline::Before)
    }

    /// Returns the begin and the end of the baseline of a period that begins at a time. It ends before the period: no run
    /// is compared with itself.
    pub(crate) fn of(self, from_ms: i64) -> (i64, i64) {
        match self {
            Baseline::Before(ms) => (from_ms.saturating_sub(ms), from_ms),
            Baseline::Period(first_ms, end_ms) => (first_ms, end_ms.min(from_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn a_baseline_is_a_period_or_how_long_before_it_begins() {
        let of = |text| Baseline::parse(text, Zone::UTC).map(|it| it.of(10 * DAY_MS));
        assert_eq!(of("7d"), Some((3 * DAY_MS, 10 * DAY_MS)));
        assert_eq!(of("1970-01-02..1970-01-03"), Some((DAY_MS, 2 * DAY_MS)));
        assert_eq!(of("1970-01-02..1970-01-31"), Some((DAY_MS, 10 * DAY_MS)));
        for text in ["last week", "", "0d", "1970-01-03..1970-01-02", "1970-01-02.."] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
