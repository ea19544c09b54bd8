//! How often statements ran in the baseline, in the same hours of the day as in the period.

use std::collections::HashMap;

use crate::domain::statement::Fingerprint;
use crate::store::group::Group;
use crate::store::hours::HOUR_MS;

const DAY_MS: i64 = 24 * HOUR_MS;
/// A period is compared as one of whole days if it is not longer or shorter than that by more.
const ABOUT_DAYS_MS: i64 = 2 * HOUR_MS;
/// Parts of a baseline that are read. Each is a report of its own.
const MAX_PARTS: i64 = 28;

/// How often each statement ran in parts of the baseline.
#[derive(Debug, Default)]
pub(in crate::store) struct Frequencies {
    runs: HashMap<Fingerprint, (i64, i64)>,
    length_ms: i64,
}

impl Frequencies {
    /// Adds the runs of a part of the baseline that has a length.
    pub(in crate::store) fn add(&mut self, groups: &[Group], length_ms: i64) {
        for group in groups {
            if let Some(fingerprint) = group.fingerprint {
                let (count, quarters) = self.runs.entry(fingerprint).or_default();
                *count += group.count;
                *quarters += group.quarters;
            }
        }
        self.length_ms = self.length_ms.saturating_add(length_ms.max(0));
    }

    /// Returns how often a statement ran, and in how many quarters of an hour.
    pub(super) fn of(&self, fingerprint: Fingerprint) -> (i64, i64) {
        self.runs.get(&fingerprint).copied().unwrap_or_default()
    }

    /// Returns the length of all parts together, in milliseconds; 0 if there is nothing to compare with.
    pub(super) fn length_ms(&self) -> i64 {
        self.length_ms
    }
}

/// Returns the parts of a baseline that have the same hours of the day as a period, in whole hours, the newest first: a
/// statement that runs by day is not more frequent because the period has no night. None if the whole baseline will do: the
/// period is of whole days, or the baseline has no such part.
pub(in crate::store) fn same_hours(
    (from_ms, to_ms): (i64, i64),
    (baseline_from_ms, baseline_to_ms): (i64, i64),
) -> Option<Vec<(i64, i64)>> {
    let length_ms = to_ms.saturating_sub(from_ms);
    let beyond_ms = length_ms.rem_euclid(DAY_MS);
    let is_of_days = length_ms > DAY_MS / 2 && beyond_ms.min(DAY_MS - beyond_ms) <= ABOUT_DAYS_MS;
    if is_of_days {
        return None;
    }
    let step_ms = (length_ms / DAY_MS + 1).saturating_mul(DAY_MS);
    let first_hour = from_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
    let end_hour = to_ms.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
    // A baseline that was long ago is stepped to.
    let first_step = (to_ms.saturating_sub(baseline_to_ms).max(1) - 1) / step_ms + 1;
    let parts = (first_step..first_step.saturating_add(MAX_PARTS)).filter_map(|step| {
        let before_ms = step.saturating_mul(step_ms);
        let is_within = from_ms.saturating_sub(before_ms) >= baseline_from_ms
            && to_ms.saturating_sub(before_ms) <= baseline_to_ms;
        is_within.then(|| {
            let first_ms = first_hour.saturating_sub(before_ms).max(baseline_from_ms);
            (first_ms, end_hour.saturating_sub(before_ms).min(baseline_to_ms))
        })
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_hours_of_each_day_are_compared() {
        let at = |day: i64, hour: i64| day * DAY_MS + hour * HOUR_MS;
        let half_ms = HOUR_MS / 2;
        // An hour, with the week before.
        let week = (at(3, 14), at(10, 14));
        let parts = same_hours((at(10, 14), at(10, 15)), week).unwrap();
        assert_eq!(parts.len(), 7);
        assert_eq!(parts[0], (at(9, 14), at(9, 15)));
        assert_eq!(parts[6], (at(3, 14), at(3, 15)));
        // Parts of hours become whole ones within the baseline.
        let week = (at(3, 14) + half_ms, at(10, 14) + half_ms);
        let parts = same_hours((at(10, 14) + half_ms, at(10, 15) + half_ms), week).unwrap();
        assert_eq!(parts[0], (at(9, 14), at(9, 16)));
        assert_eq!(parts[6], (at(3, 14) + half_ms, at(3, 16)));
        // A day and a half: every second day.
        let parts = same_hours((at(10, 0), at(11, 12)), (at(3, 0), at(10, 0))).unwrap();
        assert_eq!(parts, [(at(8, 0), at(9, 12)), (at(6, 0), at(7, 12)), (at(4, 0), at(5, 12))]);
        // Whole days, about.
        for hours in [22, 24, 25, 48] {
            assert_eq!(same_hours((at(10, 0), at(10, hours)), (at(3, 0), at(10, 0))), None);
        }
        // The hour before has no hour of the same name.
        assert_eq!(same_hours((at(10, 14), at(10, 15)), (at(10, 13), at(10, 14))), None);
        // A baseline of a year ago.
        let parts = same_hours((at(400, 14), at(400, 15)), (at(30, 0), at(32, 0))).unwrap();
        assert_eq!(parts, [(at(31, 14), at(31, 15)), (at(30, 14), at(30, 15))]);
        assert_eq!(same_hours((i64::MIN, i64::MAX), (i64::MIN, i64::MIN)), None);
    }
}
