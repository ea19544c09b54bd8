//! How late rows come, and how far back annals looks for them.

use std::collections::VecDeque;

/// How many hours a late row counts.
const HOURS: usize = 24;
/// The least time that is looked back at each poll, in minutes: frontends load their rows once a minute by default.
const LEAST_OVERLAP: i64 = 10;
/// The longest time that is looked back at each poll, in minutes. Rows that come later are found at the next long look.
const LONGEST_OVERLAP: i64 = 180;

/// The lateness of the rows of the last day. Times are milliseconds.
#[derive(Debug, Default)]
pub(super) struct Lateness(VecDeque<Hour>);

#[derive(Debug)]
struct Hour {
    hour: i64,
    /// The longest time from the end of a statement to the poll that read its row.
    after_end_ms: i64,
    /// The longest time from the start of a statement to a poll that did not see its row.
    missed_ms: i64,
}

impl Lateness {
    /// Counts a row that was read at `now_ms` for the first time, of a statement that started and ended at these times. The poll
    /// before, at `before_ms`, did not see it.
    pub(super) fn count(&mut self, now_ms: i64, before_ms: i64, started_ms: i64, ended_ms: i64) {
        let hour = now_ms.div_euclid(3_600_000);
        if self.0.back().is_none_or(|last| last.hour != hour) {
            self.0.push_back(Hour { hour, after_end_ms: 0, missed_ms: 0 });
            while self.0.len() > HOURS {
                self.0.pop_front();
            }
        }
        if let Some(last) = self.0.back_mut() {
            last.after_end_ms = last.after_end_ms.max(now_ms.saturating_sub(ended_ms));
            last.missed_ms = last.missed_ms.max(before_ms.saturating_sub(started_ms));
        }
    }

    /// Returns the longest time from the end of a statement to its row, of the last day; none if no row came.
    pub(super) fn longest_ms(&self) -> Option<i64> {
        self.0.iter().map(|hour| hour.after_end_ms).max()
    }

    /// Returns how many minutes a poll looks back: a quarter more than the latest row needed.
    pub(super) fn overlap(&self) -> i64 {
        let missed_ms = self.0.iter().map(|hour| hour.missed_ms).max().unwrap_or(0);
        let minutes = missed_ms / 60_000;
        (minutes + minutes / 4 + 2).clamp(LEAST_OVERLAP, LONGEST_OVERLAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn the_overlap_covers_the_latest_row_of_the_last_day() {
        let mut late = Lateness::default();
        assert_eq!((late.overlap(), late.longest_ms()), (10, None));
        let now = 1000 * 60 * MINUTE;
        late.count(now, now - MINUTE, now - 2 * MINUTE, now - MINUTE);
        assert_eq!((late.overlap(), late.longest_ms()), (10, Some(MINUTE)));
        // A statement of two hours, whose row came a minute after its end.
        late.count(now, now - MINUTE, now - 121 * MINUTE, now - MINUTE);
        assert_eq!((late.overlap(), late.longest_ms()), (152, Some(MINUTE)));
        for hour in 1..24 {
            let now = now + hour * 60 * MINUTE;
            late.count(now, now - MINUTE, now - MINUTE, now - MINUTE);
            assert_eq!(late.overlap(), 152);
        }
        let now = now + 24 * 60 * MINUTE;
        late.count(now, now - MINUTE, now - MINUTE, now - MINUTE);
        assert_eq!(late.overlap(), 10);
        late.count(now, now, i64::MIN, i64::MIN);
        assert_eq!(late.overlap(), LONGEST_OVERLAP);
    }
}
