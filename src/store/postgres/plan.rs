//! Plans of stored profiles.

use annals_postgres_statements as statements;

use super::Store;
use super::conditions::stored_clusters;
use super::nul::without_nul;
use crate::domain::profile::{FoundRun, PlanFingerprint, PlanRun, PlanSummary, ProfiledRun};
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::plans::{
    MAX_OTHER_RUNS, NEAR_RUNS, NearestProfiles, PlanCursor, ProfiledQuery, SAME_PLANS, UnreadPlans,
};
use crate::store::query::Reader;

/// Profiles that are looked at together for plans that are not read. Most are read.
const LOOKED_AT: i64 = 1000;

impl Store {
    /// Returns the newest runs of a statement whose plan is known, which started from the first to the last time and which
    /// the reader may see.
    pub(in crate::store) async fn plan_runs(
        &self,
        fingerprint: Fingerprint,
        times: (i64, i64),
        limit: i64,
        reader: Reader<'_>,
    ) -> Result<Vec<PlanRun>, StoreError> {
        let (owner, clusters) = (reader.owner.map(without_nul), stored_clusters(reader));
        let seen = (owner.as_deref(), clusters.as_deref());
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let runs = async {
            let fingerprint = fingerprint.to_signed();
            Ok(statements::plan_runs(connection, fingerprint, times, seen, limit).await?)
        };
        let runs = bound.within(runs).await?;
        read.end().await?;
        let runs = runs.into_iter().map(|run| PlanRun {
            query_id: run.query_id,
            started_ms: run.started_ms,
            duration_ms: run.duration_ms,
            cpu_time_ms: run.cpu_time_ms,
            scan_bytes: run.scan_bytes,
            plan: PlanFingerprint::from_signed(run.plan),
        });
        Ok(runs.collect())
    }

    /// Returns the runs in whose profile a rule found something, which started from the first to the last time and which the
    /// reader may see: the last to arrive first.
    pub(in crate::store) async fn found_runs(
        &self,
        times: (i64, i64),
        limit: i64,
        reader: Reader<'_>,
    ) -> Result<Vec<FoundRun>, StoreError> {
        let (owner, clusters) = (reader.owner.map(without_nul), stored_clusters(reader));
        let seen = (owner.as_deref(), clusters.as_deref());
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let runs = async { Ok(statements::found_runs(connection, times, seen, limit).await?) };
        let runs = bound.within(runs).await?;
        read.end().await?;
        let runs = runs.into_iter().map(|run| FoundRun {
            query_id: run.query_id,
            fingerprint: run.fingerprint.map(Fingerprint::from_signed),
            duration_ms: run.duration_ms,
            findings: run.findings,
        });
        Ok(runs.collect())
    }

    /// Returns the runs of all statements whose plan is known, which started from the first to the last time and which the
    /// reader may see: the last to arrive first.
    pub(in crate::store) async fn profiled_runs(
        &self,
        times: (i64, i64),
        limit: i64,
        reader: Reader<'_>,
    ) -> Result<Vec<ProfiledRun>, StoreError> {
        let (owner, clusters) = (reader.owner.map(without_nul), stored_clusters(reader));
        let seen = (owner.as_deref(), clusters.as_deref());
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let runs = async { Ok(statements::profiled_runs(connection, times, seen, limit).await?) };
        let runs = bound.within(runs).await?;
        read.end().await?;
        let runs = runs.into_iter().map(|run| ProfiledRun {
            fingerprint: Fingerprint::from_signed(run.statement),
            run: PlanRun {
                query_id: run.query_id,
                started_ms: run.started_ms,
                duration_ms: run.duration_ms,
                cpu_time_ms: run.cpu_time_ms,
                scan_bytes: run.scan_bytes,
                plan: PlanFingerprint::from_signed(run.plan),
            },
            plan: PlanSummary {
                planning_ms: run.planning_ms,
                queue_ms: run.queue_ms,
                execution_ms: run.execution_ms,
                fetching_ms: run.fetching_ms,
                work_ns: run.work_ns,
                wait_ns: run.wait_ns,
                ..PlanSummary::default()
            },
        });
        Ok(runs.collect())
    }

    /// Returns the ids of other runs of a query's statement with the query's plan that the reader may see, each with the size
    /// of its profile's text: the last to arrive first.
    pub(in crate::store) async fn other_runs(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let (owner, clusters) = (reader.owner.map(without_nul), stored_clusters(reader));
        let seen = (owner.as_deref(), clusters.as_deref());
        let connection = &mut *self.cluster.reader().await?;
        let limits = (SAME_PLANS, MAX_OTHER_RUNS);
        let id = query_id.as_str();
        let runs = statements::other_runs(connection, id, seen, limits).await?;
        Ok(runs.into_iter().map(|run| (run.query_id, run.text_bytes)).collect())
    }

    /// Returns the runs of a statement with a stored profile that are nearest to a query, which has this fingerprint, start and
    /// id.
    pub(in crate::store) async fn nearest_profiles(
        &self,
        (fingerprint, started_ms, query_id): (Fingerprint, i64, &str),
        reader: Reader<'_>,
    ) -> Result<NearestProfiles, StoreError> {
        let (owner, clusters) = (reader.owner.map(without_nul), stored_clusters(reader));
        let seen = (owner.as_deref(), clusters.as_deref());
        let place = (fingerprint.to_signed(), started_ms, query_id);
        let connection = &mut *self.cluster.reader().await?;
        let before =
            statements::nearest_profile_before(&mut *connection, place, seen, NEAR_RUNS).await?;
        let after = statements::nearest_profile_after(connection, place, seen, NEAR_RUNS).await?;
        let run = |run: statements::ProfiledQuery| {
            ProfiledQuery::new(run.query_id, run.started_ms, run.duration_ms, run.plan)
        };
        Ok(NearestProfiles { before: before.map(run), after: after.map(run) })
    }

    /// Returns the queries whose profile this version of the reader has not read, among the next profiles behind a query id.
    pub(in crate::store) async fn unread_plans(
        &self,
        after: &PlanCursor,
    ) -> Result<Option<UnreadPlans>, StoreError> {
        let version = PlanSummary::READ_VERSION;
        let mut connection = self.cluster.primary().acquire().await?;
        let (query_ids, last) =
            statements::unread_plans(&mut connection, &after.query_id, version, LOOKED_AT).await?;
        let next = last.map(|query_id| PlanCursor { query_id, ..PlanCursor::default() });
        Ok(next.map(|next| UnreadPlans { query_ids, next }))
    }
}
