//! Which plans the runs of a statement had, and when the plan changed.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::PlanFingerprint;
use crate::domain::statistics::{Durations, Sum};

/// A run of a statement whose plan is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlanRun {
    pub query_id: String,
    pub started_ms: i64,
    pub duration_ms: Option<i64>,
    pub cpu_time_ms: Option<i64>,
    pub scan_bytes: Option<i64>,
    pub plan: PlanFingerprint,
    pub is_failed: bool,
}

/// The plans of a statement.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct StatementPlans {
    /// The plans, the one that ran last first.
    pub plans: Vec<PlanStatistics>,
    /// When one plan took the place of another, the newest change first.
    pub changes: Vec<PlanChange>,
    /// The runs that were read: those with a start and a profile that has operators.
    pub runs: usize,
    /// Whether there are older runs, which were not read.
    pub is_cut: bool,
    /// Profiles of any time and statement that annals has stored and not read yet. Their plans are missing.
    pub unread_profiles: i64,
}

/// The runs of a statement with one plan. Times are Unix milliseconds. Averages and percentiles are of the known values; those of
/// durations are of runs that did not fail.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PlanStatistics {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub plan_fingerprint: PlanFingerprint,
    /// Number of runs.
    pub runs: usize,
    /// The start of the first run.
    pub first_ms: i64,
    /// The start of the last run.
    pub last_ms: i64,
    /// The median of the durations.
    pub p50_ms: Option<i64>,
    /// 95 of 100 durations are no longer.
    pub p95_ms: Option<i64>,
    /// The average CPU time.
    pub cpu_time_ms: Option<i64>,
    /// The average of the bytes scanned.
    pub scan_bytes: Option<i64>,
    /// The id of the newest query with the plan.
    pub newest_query_id: String,
}

/// A plan that took the place of another: all its runs are after the last run of the other.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PlanChange {
    /// The start of the first run with the new plan, in Unix milliseconds.
    pub at_ms: i64,
    /// The plan before; 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub from: PlanFingerprint,
    /// The plan since; 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub to: PlanFingerprint,
    /// The median duration of the runs with the plan before.
    pub p50_before_ms: Option<i64>,
    /// The median duration of the runs with the new plan.
    pub p50_after_ms: Option<i64>,
    /// Runs with the plan before.
    pub runs_before: usize,
    /// Runs with the new plan.
    pub runs_after: usize,
}

/// The runs of one plan. Positions count from the newest run on.
#[derive(Debug, Default)]
struct OnePlan {
    newest: usize,
    oldest: usize,
    runs: usize,
    durations: Durations,
    cpu_time_ms: Average,
    scan_bytes: Average,
}

#[derive(Debug, Default)]
struct Average {
    sum: Sum,
    count: i64,
}

impl Average {
    fn add(&mut self, value: Option<i64>) {
        if let Some(value) = value {
            self.sum.add(value);
            self.count += 1;
        }
    }

    fn get(&self) -> Option<i64> {
        self.sum.bounded().checked_div(self.count)
    }
}

impl StatementPlans {
    /// Returns the plans of runs, which are sorted by start, the newest first. `is_cut` says whether there are older runs.
    pub(crate) fn of(runs: &[PlanRun], is_cut: bool) -> StatementPlans {
        let mut numbers: HashMap<PlanFingerprint, usize> = HashMap::new();
        let mut plans: Vec<OnePlan> = Vec::new();
        for (position, run) in runs.iter().enumerate() {
            let number = *numbers.entry(run.plan).or_insert(plans.len());
            if number == plans.len() {
                plans.push(OnePlan { newest: position, ..OnePlan::default() });
            }
            let plan = &mut plans[number];
            plan.oldest = position;
            plan.runs += 1;
            if let Some(ms) = run.duration_ms
                && !run.is_failed
            {
                plan.durations.add(ms, 1);
            }
            plan.cpu_time_ms.add(run.cpu_time_ms);
            plan.scan_bytes.add(run.scan_bytes);
        }
        StatementPlans {
            changes: changes(runs, &plans),
            plans: plans.iter().filter_map(|plan| plan.statistics(runs)).collect(),
            runs: runs.len(),
            is_cut,
            unread_profiles: 0,
        }
    }
}

impl OnePlan {
    fn statistics(&self, runs: &[PlanRun]) -> Option<PlanStatistics> {
        let (newest, oldest) = (runs.get(self.newest)?, runs.get(self.oldest)?);
        Some(PlanStatistics {
            plan_fingerprint: newest.plan,
            runs: self.runs,
            first_ms: oldest.started_ms,
            last_ms: newest.started_ms,
            p50_ms: self.durations.percentile(50),
            p95_ms: self.durations.percentile(95),
            cpu_time_ms: self.cpu_time_ms.get(),
            scan_bytes: self.scan_bytes.get(),
            newest_query_id: newest.query_id.clone(),
        })
    }
}

/// Returns the changes, the newest first. A plan takes the place of the one that ended last before its own first run, and
/// only one plan takes the place of another. Plans that alternate take no place.
fn changes(runs: &[PlanRun], plans: &[OnePlan]) -> Vec<PlanChange> {
    let mut by_first: Vec<&OnePlan> = plans.iter().collect();
    by_first.sort_unstable_by_key(|plan| std::cmp::Reverse(plan.oldest));
    // The plans are sorted by their newest run.
    let mut is_replaced = vec![false; plans.len()];
    let mut changes = Vec::new();
    for after in by_first {
        let number = plans.partition_point(|plan| plan.newest <= after.oldest);
        let Some(before) = plans.get(number) else { continue };
        if std::mem::replace(&mut is_replaced[number], true) {
            continue;
        }
        let (Some(first), Some(last)) = (runs.get(after.oldest), runs.get(before.newest)) else {
            continue;
        };
        changes.push(PlanChange {
            at_ms: first.started_ms,
            from: last.plan,
            to: first.plan,
            p50_before_ms: before.durations.percentile(50),
            p50_after_ms: after.durations.percentile(50),
            runs_before: before.runs,
            runs_after: after.runs,
        });
    }
    changes.reverse();
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the plans of runs, one a minute, of which each letter is the plan. The durations are those of the letter.
    fn plans(letters: &str) -> StatementPlans {
        let run = |(minute, letter): (usize, char)| PlanRun {
            query_id: format!("{minute}-1"),
            started_ms: minute as i64 * 60_000,
            duration_ms: Some(i64::from(u32::from(letter))),
            cpu_time_ms: (minute % 2 == 0).then_some(minute as i64),
            scan_bytes: None,
            plan: PlanFingerprint::from_signed(i64::from(u32::from(letter))),
            is_failed: false,
        };
        let mut runs: Vec<PlanRun> = letters.chars().enumerate().map(run).collect();
        runs.reverse();
        StatementPlans::of(&runs, false)
    }

    fn changes(letters: &str) -> String {
        let letter = |plan: PlanFingerprint| char::from_u32(plan.to_signed() as u32).unwrap();
        let change = |change: &PlanChange| {
            format!("{}{}{}", letter(change.from), letter(change.to), change.at_ms / 60_000)
        };
        let changes: Vec<String> = plans(letters).changes.iter().map(change).collect();
        changes.join(" ")
    }

    #[test]
    fn a_plan_that_ran_only_after_another_took_its_place() {
        for (letters, expected) in [
            ("", ""),
            ("aaa", ""),
            ("aabb", "ab2"),
            ("abc", "bc2 ab1"),
            // Plans that alternate, and one that ran once between.
            ("abab", ""),
            ("aabaa", ""),
            // The change of one while another alternates with both.
            ("acacbcb", "ab4"),
            // Of two that begin after one, the first took its place.
            ("aabcbc", "ab2"),
            ("aba", ""),
        ] {
            assert_eq!(changes(letters), expected, "{letters}");
        }
    }

    #[test]
    fn a_plan_has_the_figures_of_its_runs() {
        let StatementPlans { plans, changes, runs, is_cut, .. } = plans("aaab");
        assert_eq!((runs, is_cut, plans.len()), (4, false, 2));
        let old = &plans[1];
        assert_eq!((old.runs, old.first_ms, old.last_ms), (3, 0, 120_000));
        assert_eq!((old.p50_ms, old.cpu_time_ms, old.scan_bytes), (Some(97), Some(1), None));
        assert_eq!(old.newest_query_id, "2-1");
        let change = &changes[0];
        assert_eq!((change.p50_before_ms, change.p50_after_ms), (Some(97), Some(98)));
        assert_eq!((change.runs_before, change.runs_after), (3, 1));
    }
}
