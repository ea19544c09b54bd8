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
    /// The same time of the day before.
    pub(crate) const DAY_BEFORE: Baseline = Baseline::Before(86_400_000);

    /// What a baseline is, for the message about a text that is none.
    pub(crate) const SPELLINGS: &str =
        "how long before, like 7d, or a period like 2024-08-01..2024-08-02";

    /// Reads `7d`, or two times with `..` between them. None for any other text, and for a period that does not end after
    /// it begins.
    pub(crate) fn parse(text: &str, zone: Zone) -> Option<Baseline> {
        match Baseline::parse_period(text, zone) {
            Some((from_ms, to_ms)) => (from_ms < to_ms).then_some(Baseline::Period(from_ms, to_ms)),
            None => parse_duration_ms(text).filter(|ms| *ms > 0).map(Baseline::Before),
        }
    }

    /// Returns whether a text is a period that does not end after it begins.
    pub(crate) fn is_reversed(text: &str, zone: Zone) -> bool {
        Baseline::parse_period(text, zone).is_some_and(|(from_ms, to_ms)| to_ms <= from_ms)
    }

    fn parse_period(text: &str, zone: Zone) -> Option<(i64, i64)> {
        let (from, to) = text.split_once("..")?;
        let time = |text| parse_typed_time_ms(text, zone, now_ms()).ok();
        time(from).zip(time(to))
    }

    /// Returns the begin and the end of the baseline of a period that begins at a time. It ends before the period: no run
    /// is compared with itself.
    pub(crate) fn of(self, from_ms: i64) -> (i64, i64) {
        match self {
            Baseline::Before(ms) => (from_ms.saturating_sub(ms), from_ms),
            Baseline::Period(first_ms, end_ms) => (first_ms, end_ms.min(from_ms).max(first_ms)),
        }
    }

    /// Returns the sentence about a baseline of which nothing is before its period; none if something is.
    pub(crate) fn fault(self, (from_ms, to_ms): (i64, i64), zone: Zone) -> Option<String> {
        let Baseline::Period(first_ms, end_ms) = self else { return None };
        let period =
            |from_ms, to_ms| format!("{} to {}", zone.format_ms(from_ms), zone.format_ms(to_ms));
        (first_ms >= from_ms).then(|| {
            format!(
                "the baseline, {}, does not begin before the period, {}",
                period(first_ms, end_ms),
                period(from_ms, to_ms)
            )
        })
    }

    /// Returns the begin and the end of the baseline of a period that is compared with one of the same length: as long before as
    /// the baseline says, or the smallest multiple of that by which the two do not overlap.
    pub(crate) fn same_length(self, from_ms: i64, to_ms: i64) -> (i64, i64) {
        match self {
            Baseline::Before(ms) => {
                let ms = ms.max(1);
                let length_ms = to_ms.saturating_sub(from_ms).max(1);
                let times = length_ms.saturating_sub(1) / ms + 1;
                let before_ms = ms.saturating_mul(times);
                (from_ms.saturating_sub(before_ms), to_ms.saturating_sub(before_ms))
            }
            Baseline::Period(first_ms, end_ms) => (first_ms, end_ms),
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
        assert_eq!(of("1970-01-21..1970-01-31"), Some((20 * DAY_MS, 20 * DAY_MS)));
        for text in ["last week", "", "0d", "1970-01-03..1970-01-02", "1970-01-02.."] {
            assert_eq!(of(text), None, "{text}");
        }
        for (text, is_reversed) in [
            ("1970-01-03..1970-01-02", true),
            ("1970-01-03..1970-01-03", true),
            ("1970-01-02..1970-01-03", false),
            ("1970-01-02..", false),
            ("7d", false),
        ] {
            assert_eq!(Baseline::is_reversed(text, Zone::UTC), is_reversed, "{text}");
        }
    }

    #[test]
    fn a_baseline_of_the_same_length_does_not_overlap_the_period() {
        let of = |text, from_days: i64, to_days: i64| {
            let baseline = Baseline::parse(text, Zone::UTC).unwrap();
            let (from_ms, to_ms) = baseline.same_length(from_days * DAY_MS, to_days * DAY_MS);
            (from_ms / DAY_MS, to_ms / DAY_MS)
        };
        assert_eq!(of("1d", 10, 11), (9, 10));
        assert_eq!(of("7d", 10, 11), (3, 4));
        assert_eq!(of("1d", 10, 13), (7, 10));
        assert_eq!(of("7d", 20, 28), (6, 14));
        assert_eq!(of("1970-01-02..1970-01-05", 10, 11), (1, 4));
        let all = Baseline::default().same_length(i64::MIN, i64::MAX);
        assert_eq!(all.0, i64::MIN);
    }
}
