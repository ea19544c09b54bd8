//! Plans of stored profiles: where a reading of all of them is, and how much a read may take.

use crate::domain::profile::{PlanFingerprint, PlanRun};

/// The runs of a statement that are read for its plans, the newest.
pub(super) const MAX_PLAN_RUNS: i64 = 10_000;
/// The runs of all statements that are read for their plans, the last to arrive.
pub(super) const MAX_PROFILED_RUNS: i64 = 100_000;
/// The other runs with a plan that say what is usual.
pub(super) const MAX_OTHER_RUNS: i64 = 50;
/// The bytes of the texts of these runs together.
pub(super) const OTHER_TEXTS_BYTES: i64 = 32 << 20;
/// The newest runs with a plan among which those of the same statement are looked for.
pub(super) const SAME_PLANS: i64 = 1000;
/// The runs before a query and those after it among which the nearest one with a profile is looked for.
pub(super) const NEAR_RUNS: i64 = 5000;
/// The most ids that [`UnreadPlans`] has on SQLite.
pub(super) const UNREAD_PLANS: i64 = 100;

/// The runs of a statement whose plan is known, the newest first.
#[derive(Debug)]
pub(crate) struct PlanRuns {
    pub runs: Vec<PlanRun>,
    /// Whether there are older ones.
    pub is_cut: bool,
}

/// A run whose profile is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProfiledQuery {
    pub query_id: String,
    pub started_ms: i64,
    pub duration_ms: Option<i64>,
    /// None if the profile has no operators, or is not read yet.
    pub plan: Option<PlanFingerprint>,
}

impl ProfiledQuery {
    /// `plan` has the bits of the plan's fingerprint.
    pub(super) fn new(
        query_id: String,
        started_ms: i64,
        duration_ms: Option<i64>,
        plan: Option<i64>,
    ) -> ProfiledQuery {
        let plan = plan.map(PlanFingerprint::from_signed);
        ProfiledQuery { query_id, started_ms, duration_ms, plan }
    }
}

/// The runs of a query's statement with a stored profile that are nearest in time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct NearestProfiles {
    /// The last that did not start later.
    pub before: Option<ProfiledQuery>,
    /// The first that started later.
    pub after: Option<ProfiledQuery>,
}

impl NearestProfiles {
    /// Returns the run that is nearest to a time in Unix milliseconds.
    pub(crate) fn nearest_to(&self, started_ms: i64) -> Option<&ProfiledQuery> {
        let runs = [&self.before, &self.after].into_iter().flatten();
        runs.min_by_key(|run| run.started_ms.abs_diff(started_ms))
    }

    /// Returns the plans of both runs if they differ: the query between them may have had either.
    pub(crate) fn different_plans(&self) -> Option<(PlanFingerprint, PlanFingerprint)> {
        let plan = |run: &Option<ProfiledQuery>| run.as_ref()?.plan;
        plan(&self.before).zip(plan(&self.after)).filter(|(before, after)| before != after)
    }
}

/// How far the profiles are looked at for plans that are not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlanCursor {
    /// The row of the last one, on SQLite.
    pub(super) row: i64,
    /// The id of the last one, on PostgreSQL.
    pub(super) query_id: String,
}

/// Queries whose profile is stored and whose plan is not read.
#[derive(Debug)]
pub(crate) struct UnreadPlans {
    pub query_ids: Vec<String>,
    /// Where to go on.
    pub next: PlanCursor,
}
