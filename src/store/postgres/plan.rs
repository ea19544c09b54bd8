//! Plans of stored profiles.

use annals_postgres_statements as statements;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::Store;
use super::conditions::{Conditions, stored_clusters};
use super::nul::without_nul;
use crate::domain::filter::QueryFilter;
use crate::domain::profile::{FoundRun, PlanFingerprint, PlanRun, PlanSummary, ProfiledRun};
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::plans::{
    MAX_OTHER_RUNS, NEAR_RUNS, NearestProfiles, PlanCursor, ProfiledQuery, SAME_PLANS,
    UNREAD_PLANS, UnreadPlan, UnreadPlans, UnreadProfile,
};
use crate::store::query::Reader;

/// Selects the runs in whose profile a rule found something, up to further conditions.
const FOUND: &str = "SELECT query.query_id, query.fingerprint, query.duration_ms, plan.findings
    FROM plan JOIN query ON query.query_id = plan.query_id AND plan.findings IS NOT NULL";

/// Selects the runs whose plan and whose statement are known, up to further conditions. The columns begin with those of [`plan_run`].
const PROFILED: &str =
    "SELECT query.query_id, query.started_ms, query.duration_ms, query.cpu_time_ms, query.scan_bytes,
        plan.fingerprint, query.is_failed, query.fingerprint, plan.planning_ms, coalesce(plan.queue_ms, query.queue_time_ms),
        plan.execution_ms, plan.fetching_ms, plan.work_ns, plan.wait_ns
    FROM plan JOIN query ON query.query_id = plan.query_id
        AND plan.fingerprint IS NOT NULL AND query.fingerprint IS NOT NULL";

/// Selects the runs whose plan is known, up to further conditions, with the columns of [`plan_run`].
const OF_STATEMENT: &str =
    "SELECT query.query_id, query.started_ms, query.duration_ms, query.cpu_time_ms, query.scan_bytes, plan.fingerprint, query.is_failed
    FROM query JOIN plan ON plan.query_id = query.query_id AND plan.fingerprint IS NOT NULL";

/// The order for the last to arrive first.
const BY_ARRIVAL: &str = "plan.id DESC";

/// Reads the first seven columns of a row.
fn plan_run(row: &PgRow) -> Result<PlanRun, sqlx::Error> {
    Ok(PlanRun {
        query_id: row.try_get(0)?,
        started_ms: row.try_get(1)?,
        duration_ms: row.try_get(2)?,
        cpu_time_ms: row.try_get(3)?,
        scan_bytes: row.try_get(4)?,
        plan: PlanFingerprint::from_signed(row.try_get(5)?),
        is_failed: row.try_get(6)?,
    })
}

impl Store {
    /// Returns the newest runs of a filter's statement whose plan is known and which the reader may see, at most `limit`. Ignores
    /// the filter's limit and cursor.
    pub(in crate::store) async fn plan_runs(
        &self,
        filter: &QueryFilter,
        limit: usize,
        reader: Reader<'_>,
    ) -> Result<Vec<PlanRun>, StoreError> {
        let order = "query.started_ms DESC, query.id DESC";
        self.profiled((OF_STATEMENT, order), (filter, reader), limit, plan_run).await
    }

    /// Returns the runs of a filter in whose profile a rule found something and which the reader may see: the last to arrive
    /// first, at most `limit`. Ignores the filter's limit and cursor.
    pub(in crate::store) async fn found_runs(
        &self,
        filter: &QueryFilter,
        limit: usize,
        reader: Reader<'_>,
    ) -> Result<Vec<FoundRun>, StoreError> {
        self.profiled((FOUND, BY_ARRIVAL), (filter, reader), limit, |row| {
            let fingerprint: Option<i64> = row.try_get(1)?;
            Ok(FoundRun {
                query_id: row.try_get(0)?,
                fingerprint: fingerprint.map(Fingerprint::from_signed),
                duration_ms: row.try_get(2)?,
                findings: row.try_get(3)?,
            })
        })
        .await
    }

    /// Returns the runs of a filter whose plan and whose statement are known and which the reader may see: the last to arrive
    /// first, at most `limit`. Ignores the filter's limit and cursor.
    pub(in crate::store) async fn profiled_runs(
        &self,
        filter: &QueryFilter,
        limit: usize,
        reader: Reader<'_>,
    ) -> Result<Vec<ProfiledRun>, StoreError> {
        self.profiled((PROFILED, BY_ARRIVAL), (filter, reader), limit, |row| {
            Ok(ProfiledRun {
                run: plan_run(row)?,
                fingerprint: Fingerprint::from_signed(row.try_get(7)?),
                plan: PlanSummary {
                    planning_ms: row.try_get(8)?,
                    queue_ms: row.try_get(9)?,
                    execution_ms: row.try_get(10)?,
                    fetching_ms: row.try_get(11)?,
                    work_ns: row.try_get(12)?,
                    wait_ns: row.try_get(13)?,
                    ..PlanSummary::default()
                },
            })
        })
        .await
    }

    /// Returns what `of_row` makes of the rows of a statement, in an order, that match a filter and that the reader may see.
    async fn profiled<T>(
        &self,
        (select, order): (&str, &str),
        (filter, reader): (&QueryFilter, Reader<'_>),
        limit: usize,
        of_row: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let mut sql = Conditions::new(select);
        let (first_ms, last_ms) = filter.starts();
        sql.and("query.started_ms BETWEEN ", first_ms).push(" AND ").push_bind(last_ms);
        sql.and_filter(filter, reader.owner);
        sql.end().push(format!(" ORDER BY {order} LIMIT {limit}"));
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let rows = async { Ok(sql.end().build().persistent(false).fetch_all(connection).await?) };
        let rows: Vec<PgRow> = bound.within(rows).await?;
        read.end().await?;
        rows.iter().map(|row| of_row(row).map_err(StoreError::from)).collect()
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

    /// Returns some of the queries whose plan is not read, behind a query id, in the order of the ids.
    pub(in crate::store) async fn unread_plans(
        &self,
        after: &PlanCursor,
    ) -> Result<Option<UnreadPlans>, StoreError> {
        let primary = self.cluster.primary();
        let unread = statements::unread_plans(&primary, &after.query_id, UNREAD_PLANS).await?;
        let Some(last) = unread.last() else { return Ok(None) };
        let next = PlanCursor { query_id: last.query_id.clone(), ..PlanCursor::default() };
        let queries = unread.iter().filter_map(|row| UnreadPlan::new(&row.query_id, row.token));
        Ok(Some(UnreadPlans { queries: queries.collect(), next }))
    }

    /// Returns the profile of a query if its plan is not read.
    pub(in crate::store) async fn unread_profile(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<UnreadProfile>, StoreError> {
        // Of the primary: a replica may have another profile than the one that is noted there.
        let unread = statements::unread_profile(&self.cluster.primary(), query_id.as_str()).await?;
        Ok(unread.map(|statements::UnreadProfile { token, text_bytes, body }| UnreadProfile {
            query_id: query_id.clone(),
            token,
            text_bytes,
            body,
        }))
    }

    /// Returns how many profiles that the reader may see have a plan that is not read.
    pub(in crate::store) async fn unread_profiles(
        &self,
        reader: Reader<'_>,
    ) -> Result<i64, StoreError> {
        let (owner, clusters) = (reader.owner.map(without_nul), stored_clusters(reader));
        let seen = (owner.as_deref(), clusters.as_deref());
        Ok(statements::unread_profiles(&mut *self.cluster.reader().await?, seen).await?)
    }
}
