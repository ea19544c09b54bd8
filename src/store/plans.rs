//! Plans of stored profiles: where a reading of all of them is, and how much a read may take.

use crate::domain::profile::PlanRun;

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
/// The most ids that [`UnreadPlans`] has on SQLite.
pub(super) const UNREAD_PLANS: i64 = 100;

/// The runs of a statement whose plan is known, the newest first.
#[derive(Debug)]
pub(crate) struct PlanRuns {
    pub runs: Vec<PlanRun>,
    /// Whether there are older ones.
    pub is_cut: bool,
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
