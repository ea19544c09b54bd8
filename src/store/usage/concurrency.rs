//! How many runs there were at once.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::timeline::Spans;

/// How many queries ran at once in one step of a range.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ConcurrencyStep {
    /// Begin of the step, in Unix milliseconds; of the first step, the begin of the range.
    pub from_ms: i64,
    /// The most queries that ran at the same moment. Of several that took less than a millisecond, or for an unknown time, one
    /// counts: nobody knows that they ran at once.
    pub peak: i64,
    /// How many queries ran on average.
    pub average: f64,
}

/// The times of runs, each within a range.
#[derive(Debug, Default)]
pub(super) struct RunTimes {
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// The starts of runs that have no length.
    moments: Vec<i64>,
}

impl RunTimes {
    /// Adds a run from its start up to its end, in Unix milliseconds. A run of less than a millisecond, or of unknown length, has
    /// its end at its start.
    pub(super) fn add(&mut self, start_ms: i64, end_ms: i64) {
        if end_ms <= start_ms {
            self.moments.push(start_ms);
            return;
        }
        self.starts.push(start_ms);
        self.ends.push(end_ms);
    }

    /// Returns how many runs there were at once in each step of a range. The first step may begin before the range, and the last
    /// end behind it: only what is in the range counts.
    pub(super) fn steps(
        mut self,
        spans: Spans,
        (first_ms, to_ms): (i64, i64),
    ) -> Vec<ConcurrencyStep> {
        let running_ms = self.running_ms(spans);
        // At one moment, the runs with a duration are counted before the runs without one.
        let starts = self.starts.into_iter().map(|start_ms| (start_ms, false));
        let moments = self.moments.into_iter().map(|start_ms| (start_ms, true));
        let mut starts: Vec<(i64, bool)> = starts.chain(moments).collect();
        starts.sort_unstable();
        self.ends.sort_unstable();
        let (mut starts, mut ends) = (starts.into_iter().peekable(), self.ends.iter().peekable());
        let mut running = 0;
        let steps = running_ms.into_iter().zip(spans.begins()).map(|(running_ms, from_ms)| {
            let end_ms = from_ms.saturating_add(spans.width_ms).min(to_ms);
            let from_ms = from_ms.max(first_ms);
            let mut end_runs = |running: &mut i64, at_ms: i64| {
                while ends.next_if(|end_ms| **end_ms <= at_ms).is_some() {
                    *running -= 1;
                }
            };
            end_runs(&mut running, from_ms);
            let mut peak = running;
            while let Some((start_ms, is_moment)) =
                starts.next_if(|(start_ms, _)| *start_ms < end_ms)
            {
                end_runs(&mut running, start_ms);
                peak = peak.max(running + 1);
                running += i64::from(!is_moment);
            }
            let length_ms = end_ms.saturating_sub(from_ms).max(1);
            ConcurrencyStep { from_ms, peak, average: running_ms as f64 / length_ms as f64 }
        });
        steps.collect()
    }

    /// Returns how long the runs of each step ran in it, together.
    fn running_ms(&self, spans: Spans) -> Vec<i128> {
        let mut running_ms = vec![0_i128; spans.count];
        // How many more runs than in the step before fill a whole step.
        let mut whole = vec![0_i128; spans.count + 1];
        let place = |at_ms: i64| {
            let offset_ms = i128::from(at_ms) - i128::from(spans.from_ms);
            (offset_ms / i128::from(spans.width_ms), offset_ms % i128::from(spans.width_ms))
        };
        let mut add = |step: i128, ms: i128| {
            let sum = usize::try_from(step).ok().and_then(|step| running_ms.get_mut(step));
            if let Some(sum) = sum {
                *sum += ms;
            }
        };
        for (start_ms, end_ms) in self.starts.iter().zip(&self.ends) {
            let ((first, skipped_ms), (last, last_ms)) = (place(*start_ms), place(*end_ms));
            if first == last {
                add(first, last_ms - skipped_ms);
                continue;
            }
            add(first, i128::from(spans.width_ms) - skipped_ms);
            add(last, last_ms);
            for (step, change) in [(first + 1, 1), (last, -1)] {
                let change_at = usize::try_from(step).ok().and_then(|step| whole.get_mut(step));
                if let Some(more) = change_at {
                    *more += change;
                }
            }
        }
        let mut filling = 0;
        for (sum, more) in running_ms.iter_mut().zip(whole) {
            filling += more;
            *sum += filling * i128::from(spans.width_ms);
        }
        running_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(runs: &[(i64, i64)], width_ms: i64, to_ms: i64) -> Vec<(i64, f64)> {
        let mut times = RunTimes::default();
        runs.iter().for_each(|(start_ms, end_ms)| times.add(*start_ms, *end_ms));
        let count = (to_ms + width_ms - 1) / width_ms;
        let spans = Spans { from_ms: 0, width_ms, count: count as usize };
        times.steps(spans, (0, to_ms)).into_iter().map(|step| (step.peak, step.average)).collect()
    }

    #[test]
    fn runs_at_once_are_counted_in_each_step() {
        // One after another is not at once, and a run that fills a step counts in it.
        let runs = [(0, 5), (5, 10), (8, 35), (9, 9)];
        assert_eq!(counted(&runs, 10, 40), [(3, 1.2), (1, 1.0), (1, 1.0), (1, 0.5)]);
        assert_eq!(counted(&[], 10, 15), [(0, 0.0), (0, 0.0)]);
        // The last step may be shorter than the others.
        assert_eq!(counted(&[(12, 15)], 10, 15), [(0, 0.0), (1, 0.6)]);
        // Runs of no length are not known to have been at once, but another one was there.
        assert_eq!(counted(&[(3, 3); 100], 10, 10), [(1, 0.0)]);
        assert_eq!(counted(&[(3, 3), (1, 6), (3, 3), (3, 3)], 10, 10), [(2, 0.5)]);
    }

    #[test]
    fn what_is_before_a_range_is_no_part_of_its_first_step() {
        let mut times = RunTimes::default();
        times.add(6, 10);
        let steps = times.steps(Spans { from_ms: 0, width_ms: 10, count: 2 }, (6, 14));
        let steps: Vec<_> = steps.iter().map(|it| (it.from_ms, it.peak, it.average)).collect();
        assert_eq!(steps, [(6, 1, 1.0), (10, 0, 0.0)]);
    }

    proptest::proptest! {
        #[test]
        fn each_moment_counts_as_if_looked_at_alone(
            runs in proptest::collection::vec((0..100_i64, 0..60_i64), 0..30),
            width_ms in 1..40_i64,
        ) {
            let runs: Vec<_> = runs.iter().map(|(start, ms)| (*start, (start + ms).min(100))).collect();
            for (step, (peak, average)) in counted(&runs, width_ms, 100).into_iter().enumerate() {
                let from = step as i64 * width_ms;
                let moments = from..(from + width_ms).min(100);
                let at = |ms: i64, (start, end): &(i64, i64)| *start <= ms && ms < *end;
                let has_moment = |ms| runs.iter().any(|run| run.0 == ms && run.1 == ms);
                let looked = |ms| runs.iter().filter(|run| at(ms, run)).count() as i64 + i64::from(has_moment(ms));
                proptest::prop_assert_eq!(peak, moments.clone().map(looked).max().unwrap());
                let length = moments.end - moments.start;
                let sum: usize = moments.map(|ms| runs.iter().filter(|run| at(ms, run)).count()).sum();
                proptest::prop_assert_eq!(average, sum as f64 / length as f64);
            }
        }
    }
}
