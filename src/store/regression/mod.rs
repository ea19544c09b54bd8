//! Statements that changed from one period to another: new, slower, more frequent and more often failing statements.

mod compare;
mod hours;

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use compare::{Compared, compare};
pub(super) use hours::{Frequencies, same_hours};

use super::group::Group;
use crate::domain::profile::{PlanFingerprint, PlanRun};
use crate::domain::statement::Fingerprint;

/// The cluster changed if a typical statement took this many times as long, or ran this many times as often.
const FELT_FACTOR: f64 = 1.1;
/// The newest runs with a profile whose plans are looked at, in each period.
pub(super) const PLAN_RUNS: usize = 200;

/// Which statements changed, the one with most extra time first. Statements with few runs come after the others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Regressions {
    pub statements: Vec<Regression>,
    /// How many statements changed, of any kind and with the ones beyond the limit. So are the counts below.
    pub changed: usize,
    /// How many statements are new.
    pub new: usize,
    /// How many statements got slower.
    pub slower: usize,
    /// How many statements ran more often.
    pub more_frequent: usize,
    /// How many statements fail more.
    pub failing_more: usize,
    /// How many statements changed in one of the ways that were asked for, with the ones beyond the limit.
    pub chosen: usize,
    /// How many of the changed statements have few runs.
    pub few_runs: usize,
    /// How many statements ran in the period.
    pub ran: usize,
    /// How many statements have durations to compare: each ran at least 8 times in both periods without a failure, in 4 quarters
    /// of an hour.
    pub compared: usize,
    /// How many times as long the median of a typical statement took: more than 1 if the whole cluster got slower. A statement
    /// is named only if it got slower than that. None if fewer than 10 statements were compared.
    pub typical_factor: Option<f64>,
    /// How many times as often a typical statement ran, in the same way.
    pub typical_frequency: Option<f64>,
    /// The begin of the period, in Unix milliseconds.
    pub from_ms: i64,
    /// The end of the period.
    pub to_ms: i64,
    /// The begin of the baseline.
    pub baseline_from_ms: i64,
    /// The end of the baseline.
    pub baseline_to_ms: i64,
    /// The first start of the history that the reader may see, if it is behind the begin of the baseline. If it is within the
    /// baseline, a statement may be new because nothing older is stored; if it is behind, there is nothing to compare with.
    pub history_from_ms: Option<i64>,
    /// Whether any query ran in the baseline, of the clusters of the filter. If none did, nothing is compared, and no statement is
    /// called new.
    pub has_baseline: bool,
    /// Profiles of any time that annals has stored and not read yet. Their plans are missing among `plans`, and may be a cause.
    pub unread_profiles: i64,
}

impl Regressions {
    /// Returns how many times as long a typical statement took, if the whole cluster got slower.
    pub(crate) fn slower_cluster(&self) -> Option<f64> {
        self.typical_factor.filter(|factor| *factor >= FELT_FACTOR)
    }

    /// Returns how many times as often a typical statement ran, if the whole cluster got busier.
    pub(crate) fn busier_cluster(&self) -> Option<f64> {
        self.typical_frequency.filter(|factor| *factor >= FELT_FACTOR)
    }

    /// Returns the begin of the history if it is behind the baseline, in which nothing can have run.
    pub(crate) fn begins_behind_baseline(&self) -> Option<i64> {
        self.history_from_ms.filter(|ms| *ms >= self.baseline_to_ms)
    }

    /// Returns how many statements changed in a way.
    pub(crate) fn number_of(&self, kind: ChangeKind) -> usize {
        match kind {
            ChangeKind::New => self.new,
            ChangeKind::Slower => self.slower,
            ChangeKind::MoreFrequent => self.more_frequent,
            ChangeKind::FailingMore => self.failing_more,
        }
    }
}

/// A statement that changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Regression {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Fingerprint,
    /// The statement without its values, its first 64 KiB.
    pub normalized: String,
    /// What changed, one of each kind at most.
    pub changes: Vec<Change>,
    /// How much more time its runs took than expected, by the averages: all the time of a new statement; of one that runs more
    /// often, the time beyond that of the baseline, scaled to the length of the period; otherwise, how much longer the runs that did not fail took
    /// than as many of the baseline, which is negative if they got quicker.
    pub extra_ms: i64,
    /// How many more of its runs failed than would have with the baseline's share of failed runs.
    pub extra_errors: i64,
    /// What the history shows as a cause why it is slower. Empty if it shows none: the same rows, and no longer planning or waiting.
    pub causes: Vec<Cause>,
    pub before: RunCosts,
    pub after: RunCosts,
}

/// One change of a statement, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct Change {
    pub kind: ChangeKind,
    /// 1 less the chance that nothing changed, times the number of statements that were compared: from 0.95 to 1. With few
    /// runs, 1 less the chance for this statement alone: among many statements, chance makes some of these. Of a new
    /// statement and of a burst it may be any: 1 less the chance that runs of a rare statement, or one burst, are in the period
    /// and not in the baseline.
    pub confidence: f64,
    /// Whether there are too few runs to be sure.
    pub few_runs: bool,
}

impl Change {
    /// Returns the confidence, rounded down to a tenth of a percent: what may be chance is never shown as certain.
    pub(crate) fn shown_confidence(&self) -> f64 {
        ((self.confidence * 1000.0).floor() / 1000.0).min(0.999)
    }
}

/// How a statement can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeKind {
    /// No run in the baseline.
    New,
    /// Its median or its 95th percentile is longer by a third at least, and by 5 ms.
    Slower,
    /// It runs at least twice as often in an hour.
    MoreFrequent,
    /// At least 5 of 100 runs more fail.
    FailingMore,
}

impl ChangeKind {
    /// All kinds, with their names in parameters and options, and with what a person reads.
    pub(crate) const ALL: [(ChangeKind, &str, &str); 4] = [
        (ChangeKind::New, "new", "new"),
        (ChangeKind::Slower, "slower", "slower"),
        (ChangeKind::MoreFrequent, "more_frequent", "more frequent"),
        (ChangeKind::FailingMore, "failing_more", "failing more"),
    ];

    /// Returns the kind of a name.
    pub(crate) fn named(name: &str) -> Option<ChangeKind> {
        ChangeKind::ALL.into_iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| kind)
    }

    /// Returns what a person reads.
    pub(crate) fn label(self) -> &'static str {
        ChangeKind::ALL.into_iter().find(|(kind, ..)| *kind == self).map_or("", |(.., label)| label)
    }
}

/// What can make a statement slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Most of its runs have a plan that no run of the baseline had. Known if profiles of both periods are stored.
    Plan,
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
            Cause::Data => "reads more rows",
            Cause::Queue => "waits longer in the queue",
            Cause::Planning => "is planned longer",
        }
    }
}

/// What the runs of a statement cost in one period. Durations are of runs that did not fail, and other averages of all runs.
/// Null if no run has a value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunCosts {
    /// Number of runs.
    pub count: i64,
    /// Runs an hour: of the baseline, in the same hours of the day as the period; null if there are none to compare with.
    pub runs_per_hour: Option<f64>,
    /// Runs that failed.
    pub errors: i64,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub average_ms: Option<i64>,
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
    /// The plans of the newest runs whose profile is stored, the most frequent first; 16 hex digits each. Empty unless the
    /// statement got slower.
    #[schema(value_type = Vec<String>)]
    pub plans: Vec<PlanFingerprint>,
}

impl RunCosts {
    /// Returns the part of its runs that failed.
    pub(crate) fn failed_part(&self) -> f64 {
        self.errors as f64 / self.count.max(1) as f64
    }

    fn of(group: &Group, runs_per_hour: Option<f64>) -> RunCosts {
        let average = |sum: Option<i64>| sum.map(|sum| sum / group.count.max(1));
        RunCosts {
            count: group.count,
            runs_per_hour,
            errors: group.errors,
            p50_ms: group.durations.percentile(50),
            p95_ms: group.durations.percentile(95),
            average_ms: group.durations.average(),
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
    /// Returns whether it changed in a way.
    pub(crate) fn is(&self, kind: ChangeKind) -> bool {
        self.changes.iter().any(|change| change.kind == kind)
    }

    /// Returns whether all changes have too few runs to be sure.
    pub(crate) fn has_few_runs(&self) -> bool {
        self.changes.iter().all(|change| change.few_runs)
    }

    /// Returns whether its median is longer as that of a slower statement is; otherwise, only its 95th percentile is.
    pub(crate) fn has_slower_median(&self) -> bool {
        let medians = self.before.p50_ms.zip(self.after.p50_ms);
        medians.is_some_and(|(before_ms, after_ms)| compare::is_felt(before_ms, after_ms))
    }

    /// Returns how many times as often it runs; None if it did not run in the same hours of the baseline.
    pub(crate) fn frequency_factor(&self) -> Option<f64> {
        let (before, after) = self.before.runs_per_hour.zip(self.after.runs_per_hour)?;
        (before > 0.0).then(|| after / before)
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
