//! What the plans of all statements of a period cost, and in which phases the time of their runs went.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{PlanChange, PlanRun, PlanStatistics, PlanSummary, StatementPlans};
use crate::domain::statement::Fingerprint;
use crate::domain::statistics::{KnownSum, Sum};

/// A plan with fewer runs is not the best of a statement: one run may be quick by chance.
const MIN_BEST_RUNS: usize = 3;

/// A run of a statement whose plan is known, and where its time went.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProfiledRun {
    pub fingerprint: Fingerprint,
    pub run: PlanRun,
    /// What is stored of the plan, without findings.
    pub plan: PlanSummary,
}

/// The statements of a period whose profiles are stored.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProfiledStatements {
    /// The statements, the one whose runs took longest together first.
    pub statements: Vec<ProfiledStatement>,
    /// How many statements have several plans.
    pub with_several_plans: usize,
    /// The runs that were read: those with a start and a profile that has operators.
    pub runs: usize,
    /// Whether there are older runs, which were not read.
    pub is_cut: bool,
    /// Profiles of any time that annals has stored and not read yet. Their runs are missing.
    pub unread_profiles: i64,
}

/// A statement whose profiles are stored. Sums are of the runs with a profile and of the known
/// values, and null if no run has one.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProfiledStatement {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Fingerprint,
    /// The statement without its values, its first 64 KiB.
    pub normalized: String,
    /// Number of runs.
    pub runs: usize,
    /// Sum of the durations.
    pub total_ms: Option<i64>,
    /// Sum of parsing, analysis and planning in the frontend.
    pub planning_ms: Option<i64>,
    /// Sum of the waiting in queues.
    pub queue_ms: Option<i64>,
    /// Sum of the executions.
    pub execution_ms: Option<i64>,
    /// The part of the executions in which the frontend fetched results. Only Doris reports it.
    pub fetching_ms: Option<i64>,
    /// Sum of the own times of all nodes, which run side by side.
    pub work_ns: Option<i64>,
    /// Sum of the waiting of all nodes.
    pub wait_ns: Option<i64>,
    /// How much longer the runs took than they would have with the plan whose median is shortest, by the medians. Plans with
    /// fewer than 3 runs are not compared with. 0 with one plan.
    pub extra_ms: i64,
    /// The plans, the one that ran last first.
    pub plans: Vec<PlanStatistics>,
    /// When one plan took the place of another, the newest change first.
    pub changes: Vec<PlanChange>,
}

impl ProfiledStatements {
    /// Returns the statements of runs. `is_cut` says whether there are older runs.
    pub(crate) fn of(runs: Vec<ProfiledRun>, is_cut: bool) -> ProfiledStatements {
        let count = runs.len();
        let mut by_statement: HashMap<Fingerprint, (PhaseSums, Vec<PlanRun>)> = HashMap::new();
        for ProfiledRun { fingerprint, run, plan } in runs {
            let (sums, runs) = by_statement.entry(fingerprint).or_default();
            sums.add(&run, &plan);
            runs.push(run);
        }
        let mut statements: Vec<ProfiledStatement> = by_statement
            .into_iter()
            .map(|(fingerprint, (sums, runs))| ProfiledStatement::of(fingerprint, &sums, runs))
            .collect();
        statements.sort_by_key(|one| (Reverse(one.total_ms), one.fingerprint.to_signed()));
        let with_several_plans = statements.iter().filter(|one| one.plans.len() > 1).count();
        ProfiledStatements {
            statements,
            with_several_plans,
            runs: count,
            is_cut,
            unread_profiles: 0,
        }
    }

    /// Leaves the statements with several plans, the one that lost most time by them first.
    pub(crate) fn retain_several_plans(&mut self) {
        self.statements.retain(|one| one.plans.len() > 1);
        // The sort is stable: with the same extra time, the one that took longest is first.
        self.statements.sort_by_key(|one| Reverse(one.extra_ms));
    }
}

impl ProfiledStatement {
    fn of(fingerprint: Fingerprint, sums: &PhaseSums, mut runs: Vec<PlanRun>) -> ProfiledStatement {
        runs.sort_by_key(|run| Reverse(run.started_ms));
        let StatementPlans { plans, changes, runs, .. } = StatementPlans::of(&runs, false);
        ProfiledStatement {
            fingerprint,
            normalized: String::new(),
            runs,
            total_ms: sums.total_ms.bounded(),
            planning_ms: sums.planning_ms.bounded(),
            queue_ms: sums.queue_ms.bounded(),
            execution_ms: sums.execution_ms.bounded(),
            fetching_ms: sums.fetching_ms.bounded(),
            work_ns: sums.work_ns.bounded(),
            wait_ns: sums.wait_ns.bounded(),
            extra_ms: extra_ms(&plans),
            plans,
            changes,
        }
    }

    /// Returns which part of the times of all nodes was waiting, from 0 to 1; none if no time is known.
    pub(crate) fn waiting_part(&self) -> Option<f64> {
        let wait_ns = self.wait_ns? as f64;
        let all = self.work_ns.unwrap_or(0) as f64 + wait_ns;
        (all > 0.0).then_some(wait_ns / all)
    }
}

/// Returns how much longer the runs of plans took than with the best plan.
fn extra_ms(plans: &[PlanStatistics]) -> i64 {
    let candidates = plans.iter().filter(|plan| plan.runs >= MIN_BEST_RUNS);
    let Some(best_ms) = candidates.filter_map(|plan| plan.p50_ms).min() else { return 0 };
    let mut sum = Sum::default();
    for plan in plans {
        let longer_ms = plan.p50_ms.map_or(0, |ms| ms.saturating_sub(best_ms).max(0));
        sum.add(i128::from(longer_ms) * plan.runs as i128);
    }
    sum.bounded()
}

#[derive(Debug, Default)]
struct PhaseSums {
    total_ms: KnownSum,
    planning_ms: KnownSum,
    queue_ms: KnownSum,
    execution_ms: KnownSum,
    fetching_ms: KnownSum,
    work_ns: KnownSum,
    wait_ns: KnownSum,
}

impl PhaseSums {
    fn add(&mut self, run: &PlanRun, plan: &PlanSummary) {
        let values = [
            (&mut self.total_ms, run.duration_ms),
            (&mut self.planning_ms, plan.planning_ms),
            (&mut self.queue_ms, plan.queue_ms),
            (&mut self.execution_ms, plan.execution_ms),
            (&mut self.fetching_ms, plan.fetching_ms),
            (&mut self.work_ns, plan.work_ns),
            (&mut self.wait_ns, plan.wait_ns),
        ];
        values.into_iter().for_each(|(sum, value)| sum.add(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::PlanFingerprint;

    fn run(statement: i64, plan: i64, minute: i64, ms: i64) -> ProfiledRun {
        ProfiledRun {
            fingerprint: Fingerprint::from_signed(statement),
            run: PlanRun {
                query_id: format!("{statement}-{minute}"),
                started_ms: minute * 60_000,
                duration_ms: Some(ms),
                cpu_time_ms: None,
                scan_bytes: None,
                plan: PlanFingerprint::from_signed(plan),
                is_failed: false,
            },
            plan: PlanSummary {
                planning_ms: Some(2),
                work_ns: Some(30),
                wait_ns: Some(10),
                ..PlanSummary::default()
            },
        }
    }

    #[test]
    fn statements_are_sorted_by_time_and_those_with_several_plans_by_what_these_cost() {
        // The runs come in no order. One run of a plan, however quick, is no plan to compare with.
        let mut runs =
            vec![run(1, 9, 3, 5000), run(2, 8, 9, 1), run(3, 6, 1, 500), run(3, 7, 2, 400)];
        runs.extend((0..4).map(|minute| run(2, 5, minute, 100)));
        runs.extend((4..7).map(|minute| run(2, 4, minute, 300)));
        let mut all = ProfiledStatements::of(runs, true);
        let ids = |all: &ProfiledStatements| -> Vec<i64> {
            all.statements.iter().map(|one| one.fingerprint.to_signed()).collect()
        };
        assert_eq!(ids(&all), [1, 2, 3]);
        assert_eq!((all.with_several_plans, all.runs, all.is_cut), (2, 11, true));
        let second = &all.statements[1];
        assert_eq!((second.runs, second.total_ms, second.extra_ms), (8, Some(1301), 600));
        assert_eq!(
            (second.planning_ms, second.queue_ms),
            (Some(16), None),
            "no run reports a queue"
        );
        assert_eq!(second.waiting_part(), Some(0.25));
        let plans: Vec<i64> =
            second.plans.iter().map(|plan| plan.plan_fingerprint.to_signed()).collect();
        assert_eq!(plans, [8, 4, 5], "the plan that ran last is first");
        assert_eq!(second.changes.len(), 2);
        assert_eq!(all.statements[2].extra_ms, 0, "no plan has enough runs to be the best");
        all.retain_several_plans();
        assert_eq!(ids(&all), [2, 3]);
    }
}
