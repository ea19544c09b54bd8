//! Plans of stored profiles: reading them behind the writer, and how much a read of many may take.

use std::sync::{Mutex, PoisonError};

use super::profile_body::unpack;
use crate::domain::profile::{PlanFingerprint, PlanRun, PlanSummary, lossy};
use crate::domain::record::QueryId;

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
/// The most ids that [`UnreadPlans`] has.
pub(super) const UNREAD_PLANS: i64 = 256;
/// Of texts from this size on, one plan is read at a time in the whole process: its tree takes up to eight times as much
/// memory.
const LARGE_TEXT_BYTES: usize = 1 << 20;

/// The runs of a statement whose plan is known, the newest first.
#[derive(Debug)]
pub(crate) struct PlanRuns {
    pub runs: Vec<PlanRun>,
    /// Whether there are older ones.
    pub is_cut: bool,
    /// Profiles whose plan is not read yet.
    pub unread_profiles: i64,
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

/// How far the profiles whose plan is not read are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlanCursor {
    /// The row of the last one, on SQLite.
    pub(super) row: i64,
    /// The id of the last one, on PostgreSQL.
    pub(super) query_id: String,
}

/// Some of the queries whose profile is stored and whose plan is not read.
#[derive(Debug)]
pub(crate) struct UnreadPlans {
    pub queries: Vec<UnreadPlan>,
    /// Where to go on.
    pub next: PlanCursor,
}

/// A query whose profile is stored and whose plan is not read.
#[derive(Debug)]
pub(crate) struct UnreadPlan {
    pub query_id: QueryId,
    /// Another one for a profile that replaces this one.
    pub(super) token: i64,
}

impl UnreadPlan {
    pub(super) fn new(query_id: &str, token: i64) -> Option<UnreadPlan> {
        Some(UnreadPlan { query_id: query_id.parse().ok()?, token })
    }

    /// Returns what is known of the plan if the profile cannot be read.
    pub(crate) fn of_damaged_profile(self) -> ReadPlan {
        ReadPlan { query_id: self.query_id, token: self.token, plan: None }
    }
}

/// A stored profile whose plan is not read.
#[derive(Debug)]
pub(crate) struct UnreadProfile {
    pub(super) query_id: QueryId,
    pub(super) token: i64,
    pub(super) text_bytes: i64,
    pub(super) body: Vec<u8>,
}

/// What was read of the plan of a stored profile.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    pub(super) query_id: QueryId,
    /// The token of the profile that was read.
    pub(super) token: i64,
    /// None of a damaged profile, which is not read again.
    pub(super) plan: Option<PlanSummary>,
}

impl UnreadProfile {
    /// Reads the plan, which takes long for a large profile.
    pub(crate) fn read(self) -> ReadPlan {
        let UnreadProfile { query_id, token, text_bytes, body } = self;
        let plan = unpack(&body, text_bytes).map(|text| read_plan(&text));
        let plan = plan.inspect_err(|error| {
            let id = query_id.as_str();
            tracing::debug!(id, %error, "a profile cannot be unpacked");
        });
        ReadPlan { query_id, token, plan: plan.ok() }
    }
}

/// Reads what is stored of the plan of a profile.
fn read_plan(text: &[u8]) -> PlanSummary {
    static LARGE: Mutex<()> = Mutex::new(());
    let is_large = text.len() >= LARGE_TEXT_BYTES;
    let _turn = is_large.then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    PlanSummary::of_text(&lossy(text))
}
