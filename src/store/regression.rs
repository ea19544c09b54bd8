//! Statements that got slower from one period to another.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::group::Group;
use crate::domain::profile::{PlanFingerprint, PlanRun};
use crate::domain::statement::Fingerprint;
use crate::domain::statistics::Durations;

/// A statement is compared if its runs began in this many quarters of an hour at least in each period.
const MIN_QUARTERS: i64 = 4;
/// A statement is named if it got slower with this confidence at least.
const MIN_CONFIDENCE: f64 = 0.95;
/// ... and its median or its 95th percentile became longer by this factor at least. With many runs, the test is sure of
/// differences that nobody feels.
const MIN_FACTOR: f64 = 4.0 / 3.0;
/// ... and by this many milliseconds.
const MIN_LONGER_MS: i64 = 5;
/// The cluster got slower if a typical statement took this many times as long.
const FELT_FACTOR: f64 = 1.1;
/// Fewer statements say nothing of the whole cluster.
const TYPICAL_OF: usize = 10;
/// More rows are the cause if a run reads this many times as many on average ...
const MORE_ROWS_FACTOR: f64 = 1.5;
/// ... and this many more.
const MORE_ROWS: i64 = 1000;
/// The newest runs with a profile whose plans are looked at, in each period.
pub(super) const PLAN_RUNS: usize = 200;
/// Failures are the cause if this part more of the runs fail.
const MORE_FAILURES: f64 = 0.25;
/// A phase is the cause if it has this part of the longer duration.
const CAUSING_PART: f64 = 0.5;

/// Which statements got slower, the one that cost most time first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Regressions {
    pub statements: Vec<Regression>,
    /// How many statements got slower, with the ones beyond the limit.
    pub slower: usize,
    /// How many statements were compared: each ran at least 8 times in both periods, in 4 quarters of an hour.
    pub compared: usize,
    /// How many times as long the median of a typical statement took: more than 1 if the whole cluster got slower. A statement
    /// is named only if it got slower than that. None if fewer than 10 statements were compared.
    pub typical_factor: Option<f64>,
    /// The begin of the period, in Unix milliseconds.
    pub from_ms: i64,
    /// The end of the period.
    pub to_ms: i64,
    /// The begin of the baseline.
    pub baseline_from_ms: i64,
    /// The end of the baseline.
    pub baseline_to_ms: i64,
    /// Profiles of any time that annals has stored and not read yet. Their plans are missing among `plans`, and may be a cause.
    pub unread_profiles: i64,
}

impl Regressions {
    /// Returns how many times as long a typical statement took, if the whole cluster got slower.
    pub(crate) fn slower_cluster(&self) -> Option<f64> {
        self.typical_factor.filter(|factor| *factor >= FELT_FACTOR)
    }
}

/// A statement that got slower.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Regression {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Fingerprint,
    /// The statement without its values, its first 64 KiB.
    pub normalized: String,
    /// 1 less the chance that nothing changed, times the number of statements that were compared: from 0.95 to 1.
    pub confidence: f64,
    /// How much longer all runs of the period took than as many of the baseline, by the averages.
    pub extra_ms: i64,
    /// What the history shows as a cause. Empty if it shows none: the same rows, and no longer planning or waiting.
    pub causes: Vec<Cause>,
    pub before: RunCosts,
    pub after: RunCosts,
}

/// What can make a statement slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Most of its runs have a plan that no run of the baseline had. Known if profiles of both periods are stored.
    Plan,
    /// More of its runs fail: at least a quarter of all.
    Failures,
    /// Its runs read more rows: at least half as many again, and a thousand.
    Data,
    /// It waits longer in the queue of its workload group: at least half of the longer duration.
    Queue,
    /// Planning takes longer: at least half of the longer duration.
    Planning,
}

impl Cause {
    /// Returns what a person reads.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Cause::Plan => "has another plan",
            Cause::Failures => "fails more often",
            Cause::Data => "reads more rows",
            Cause::Queue => "waits longer in the queue",
            Cause::Planning => "is planned longer",
        }
    }
}

/// What the runs of a statement cost in one period. Percentiles and averages are of all runs, including failed ones, and null
/// if no run has a value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunCosts {
    /// Number of runs.
    pub count: i64,
    /// Runs that failed.
    pub errors: i64,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub average_ms: i64,
    /// Rows scanned, on average.
    pub scan_rows: Option<i64>,
    /// Bytes scanned, on average.
    pub scan_bytes: Option<i64>,
    /// CPU time of all backends, on average.
    pub cpu_time_ms: Option<i64>,
    /// Time in the queue, on average.
    pub queue_time_ms: Option<i64>,
    /// Parsing, planning and scheduling, on average.
    pub planning_time_ms: Option<i64>,
    /// The plans of the newest runs whose profile is stored, the most frequent first; 16 hex digits each.
    #[schema(value_type = Vec<String>)]
    pub plans: Vec<PlanFingerprint>,
}

impl RunCosts {
    fn of(group: &Group) -> RunCosts {
        let average = |sum: Option<i64>| sum.map(|sum| sum / group.count.max(1));
        RunCosts {
            count: group.count,
            errors: group.errors,
            p50_ms: group.durations.percentile(50),
            p95_ms: group.durations.percentile(95),
            // A statement without a known duration is not compared.
            average_ms: average(group.total_ms).unwrap_or(0),
            scan_rows: average(group.scan_rows),
            scan_bytes: average(group.scan_bytes),
            cpu_time_ms: average(group.cpu_time_ms),
            queue_time_ms: average(group.queue_time_ms),
            planning_time_ms: average(group.planning_time_ms),
            plans: Vec::new(),
        }
    }
}

impl Regression {
    /// Returns the confidence, rounded down to a tenth of a percent: what may be chance is never shown as certain.
    pub(crate) fn shown_confidence(&self) -> f64 {
        (self.confidence * 1000.0).floor() / 1000.0
    }

    /// Sets the plans of the runs of both periods.
    pub(super) fn set_plans(&mut self, before: &[PlanRun], after: &[PlanRun]) {
        (self.before.plans, self.after.plans) = (by_frequency(before), by_frequency(after));
        let is_other = |plan| !self.before.plans.is_empty() && !self.before.plans.contains(plan);
        if self.after.plans.first().is_some_and(is_other) {
            self.causes.insert(0, Cause::Plan);
        }
    }
}

/// Returns the plans of runs, the most frequent first.
fn by_frequency(runs: &[PlanRun]) -> Vec<PlanFingerprint> {
    let mut counts: HashMap<PlanFingerprint, usize> = HashMap::new();
    runs.iter().for_each(|run| *counts.entry(run.plan).or_default() += 1);
    let mut plans: Vec<_> = counts.into_iter().collect();
    plans.sort_by_key(|(plan, count)| (std::cmp::Reverse(*count), *plan));
    plans.into_iter().map(|(plan, _)| plan).collect()
}

/// Compares the groups by statement of two periods. Returns the statements that got slower, the one that cost most time
/// first, without their normalized statements; how many were compared; and how many times as long a typical one took.
pub(super) fn slower(
    before: Vec<Group>,
    after: Vec<Group>,
) -> (Vec<Regression>, usize, Option<f64>) {
    // A statement that fails later than it did gets slower for its users.
    let with_failed = |groups: Vec<Group>| groups.into_iter().map(Group::with_failed);
    let before: HashMap<_, Group> =
        with_failed(before).filter_map(|group| Some((group.fingerprint?, group))).collect();
    let after: Vec<Group> = with_failed(after).collect();
    let compared: Vec<(&Group, &Group)> = after
        .iter()
        .filter_map(|after| is_compared(before.get(&after.fingerprint?)?, after))
        .collect();
    let (count, typical) = (compared.len(), typical_factor(&compared));
    // Each statement is compared with what it would take if it had got slower as the others have.
    let factor = typical.unwrap_or(1.0).max(1.0);
    let slower = compared.into_iter().filter_map(|(before, after)| {
        let expected = before.durations.scaled(factor);
        let independent = (independent_runs(after), independent_runs(before));
        let chance = after.durations.slowdown_p_value(&expected, independent)?;
        let confidence = 1.0 - chance * count as f64;
        let is_slower =
            confidence >= MIN_CONFIDENCE && is_longer(&expected, &after.durations, MIN_FACTOR);
        is_slower.then_some(regression(after.fingerprint?, before, after, confidence))
    });
    let mut slower: Vec<Regression> = slower.filter(|it| it.extra_ms > 0).collect();
    slower.sort_by_key(|it| (std::cmp::Reverse(it.extra_ms), it.fingerprint.to_signed()));
    (slower, count, typical)
}

/// Returns the runs of a statement in both periods if they are enough to be compared.
fn is_compared<'g>(before: &'g Group, after: &'g Group) -> Option<(&'g Group, &'g Group)> {
    let all = (after.count as f64, before.count as f64);
    let is_known = before.quarters.min(after.quarters) >= MIN_QUARTERS
        && after.durations.slowdown_p_value(&before.durations, all).is_some();
    is_known.then_some((before, after))
}

/// Returns how many times as long the median of a typical statement took; none with few statements.
fn typical_factor(compared: &[(&Group, &Group)]) -> Option<f64> {
    let factor = |(before, after): &(&Group, &Group)| {
        let [before, after] = [before, after].map(|group| group.durations.percentile(50));
        let (before, after) = Option::zip(before.filter(|ms| *ms > 0), after)?;
        Some(after as f64 / before as f64)
    };
    let mut factors: Vec<f64> = compared.iter().filter_map(factor).collect();
    factors.sort_by(f64::total_cmp);
    factors.get(factors.len() / 2).copied().filter(|_| compared.len() >= TYPICAL_OF)
}

/// Returns how many runs say something of their own. Runs at the same time, as those of one dashboard, are slow together:
/// the runs of a quarter of an hour count as one.
fn independent_runs(group: &Group) -> f64 {
    group.quarters.clamp(1, group.count.max(1)) as f64
}

/// Returns whether a person would feel the difference: the median or the 95th percentile is at least `factor` times as long.
fn is_longer(before: &Durations, after: &Durations, factor: f64) -> bool {
    [50, 95].into_iter().any(|percent| {
        let (Some(before), Some(after)) = (before.percentile(percent), after.percentile(percent))
        else {
            return false;
        };
        after.saturating_sub(before) >= MIN_LONGER_MS && after as f64 >= before as f64 * factor
    })
}

fn regression(
    fingerprint: Fingerprint,
    before: &Group,
    after: &Group,
    confidence: f64,
) -> Regression {
    let (before, after) = (RunCosts::of(before), RunCosts::of(after));
    let longer_ms = after.average_ms.saturating_sub(before.average_ms);
    let extra_ms = longer_ms.saturating_mul(after.count);
    let causes = causes(&before, &after, longer_ms);
    Regression {
        fingerprint,
        normalized: String::new(),
        confidence,
        extra_ms,
        causes,
        before,
        after,
    }
}

fn causes(before: &RunCosts, after: &RunCosts, longer_ms: i64) -> Vec<Cause> {
    // Rows that only one period reports are not more rows.
    let has_more_rows = before.scan_rows.zip(after.scan_rows).is_some_and(|(before, after)| {
        after.saturating_sub(before) >= MORE_ROWS
            && after as f64 >= before as f64 * MORE_ROWS_FACTOR
    });
    // Some frontends report only times that are not 0.
    let has_part = |before_ms: Option<i64>, after_ms: Option<i64>| {
        let more_ms = after_ms.unwrap_or(0).saturating_sub(before_ms.unwrap_or(0));
        longer_ms > 0 && more_ms as f64 >= longer_ms as f64 * CAUSING_PART
    };
    let failing = |costs: &RunCosts| costs.errors as f64 / costs.count.max(1) as f64;
    let found = [
        (Cause::Failures, failing(after) >= failing(before) + MORE_FAILURES),
        (Cause::Data, has_more_rows),
        (Cause::Queue, has_part(before.queue_time_ms, after.queue_time_ms)),
        (Cause::Planning, has_part(before.planning_time_ms, after.planning_time_ms)),
    ];
    found.into_iter().filter(|(_, is_cause)| *is_cause).map(|(cause, _)| cause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the runs of a statement that take about so many milliseconds and read so many rows each.
    fn runs(fingerprint: i64, count: i64, about_ms: i64, rows: i64) -> Group {
        let mut durations = Durations::default();
        let mut total_ms = 0;
        for run in 0..count {
            let ms = about_ms + run * 7 % 10;
            durations.add(ms, 1);
            total_ms += ms;
        }
        let fingerprint = Some(Fingerprint::from_signed(fingerprint));
        let (total_ms, scan_rows) = (Some(total_ms), Some(rows * count));
        Group {
            fingerprint,
            count,
            total_ms,
            durations,
            scan_rows,
            quarters: count,
            ..Group::default()
        }
    }

    #[test]
    fn what_got_slower_is_named_with_its_cause() {
        let before = vec![
            runs(1, 100, 100, 5000),
            runs(2, 100, 100, 5000),
            runs(3, 100, 100, 5000),
            runs(4, 100, 100, 5000),
            runs(6, 5, 100, 5000),
        ];
        let mut queued = runs(4, 50, 180, 5000);
        queued.queue_time_ms = Some(50 * 70);
        let after = vec![
            runs(1, 100, 101, 5000),
            runs(2, 100, 300, 5000),
            runs(3, 100, 150, 8000),
            queued,
            runs(5, 100, 900, 5000),
            runs(6, 100, 900, 5000),
        ];
        let (slower, compared, typical) = slower(before, after);
        let named: Vec<_> =
            slower.iter().map(|it| (it.fingerprint.to_signed(), it.causes.clone())).collect();
        let expected = vec![(2, vec![]), (3, vec![Cause::Data]), (4, vec![Cause::Queue])];
        assert_eq!(
            named, expected,
            "one that is new, has few runs or is hardly slower is not named"
        );
        assert_eq!(compared, 4);
        assert_eq!(typical, None);
        assert_eq!((slower[0].extra_ms, slower[0].before.p50_ms), (20_000, Some(104)));
        assert!(slower.iter().all(|it| it.confidence > 0.99));
    }

    #[test]
    fn a_slow_tail_is_enough() {
        let before = runs(1, 200, 100, 0);
        let mut after = runs(1, 100, 101, 0);
        let tail = runs(1, 60, 500, 0);
        after.durations = after.durations.clone();
        for ms in 0..60 {
            after.durations.add(500 + ms, 1);
        }
        after.count += tail.count;
        after.total_ms = after.total_ms.zip(tail.total_ms).map(|(one, other)| one + other);
        let (slower, ..) = slower(vec![before], vec![after]);
        assert_eq!(slower.len(), 1);
    }

    #[test]
    fn runs_at_the_same_time_count_as_one() {
        let before = runs(1, 160, 100, 0);
        let mut after = runs(1, 32, 140, 0);
        assert_eq!(slower(vec![runs(1, 160, 100, 0)], vec![runs(1, 32, 140, 0)]).0.len(), 1);
        // Two bursts on a bad day.
        after.quarters = 2;
        assert_eq!(slower(vec![before], vec![after]).0.len(), 0);
    }

    #[test]
    fn failures_are_a_cause() {
        let mut after = runs(1, 100, 300, 5000);
        after.errors = 40;
        let (slower, ..) = slower(vec![runs(1, 100, 100, 5000)], vec![after]);
        assert_eq!(slower[0].causes, [Cause::Failures]);
    }

    #[test]
    fn a_slow_cluster_is_no_slow_statement() {
        let before = || (0..20).map(|shape| runs(shape, 100, 100, 0)).collect::<Vec<_>>();
        let mut after: Vec<_> = (0..20).map(|shape| runs(shape, 100, 160, 0)).collect();
        let (slow, _, typical) = slower(before(), after.clone());
        assert!(slow.is_empty() && typical.is_some_and(|factor| factor > 1.5));
        after[7] = runs(7, 100, 400, 0);
        assert_eq!(slower(before(), after).0[0].fingerprint, Fingerprint::from_signed(7));
    }
}
