//! Plans: what was read of stored profiles.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sqlx::sqlite::SqliteTransaction;

use super::super::Store;
use super::conditions::Conditions;
use super::insert::insert_rows;
use crate::domain::filter::QueryFilter;
use crate::domain::profile::{FoundRun, PlanFingerprint, PlanRun, PlanSummary, ProfiledRun};
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::plans::{
    MAX_OTHER_RUNS, NEAR_RUNS, NearestProfiles, PlanCursor, ProfiledQuery, ReadPlan, SAME_PLANS,
    UNREAD_PLANS, UnreadPlan, UnreadPlans, UnreadProfile,
};
use crate::store::query::Reader;

/// Takes the values of [`plan_values`]. Writes nothing for a query whose profile is not noted as unread with the token.
pub(super) const WRITE_PLAN: &str =
    "INSERT INTO plan (query, read_version, fingerprint, planning_ms, queue_ms, execution_ms, fetching_ms,
         work_ns, wait_ns, spill_bytes, findings)
     SELECT unread_plan.query, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
     FROM query JOIN unread_plan ON unread_plan.query = query.id WHERE query.query_id = ?1 AND unread_plan.token = ?2
     ON CONFLICT (query) DO UPDATE SET
         read_version = excluded.read_version, fingerprint = excluded.fingerprint,
         planning_ms = excluded.planning_ms, queue_ms = excluded.queue_ms,
         execution_ms = excluded.execution_ms, fetching_ms = excluded.fetching_ms,
         work_ns = excluded.work_ns, wait_ns = excluded.wait_ns,
         spill_bytes = excluded.spill_bytes, findings = excluded.findings";

/// Takes a query id and a token.
pub(super) const NOTE_UNREAD: &str =
    "INSERT INTO unread_plan (query, token) SELECT id, ?2 FROM query WHERE query_id = ?1
     ON CONFLICT (query) DO UPDATE SET token = excluded.token";

/// Takes a query id and a token.
pub(super) const NOTE_READ: &str = "DELETE FROM unread_plan WHERE query = (SELECT id FROM query WHERE query_id = ?1) AND token = ?2";

fn key_values(query_id: &QueryId, token: i64) -> [ValueRef<'_>; 2] {
    [ValueRef::Text(query_id.as_str().as_bytes()), ValueRef::Integer(token)]
}

fn plan_values<'a>(read: &'a ReadPlan, plan: &'a PlanSummary) -> [ValueRef<'a>; 12] {
    let number = |value: Option<i64>| value.map_or(ValueRef::Null, ValueRef::Integer);
    let [query_id, token] = key_values(&read.query_id, read.token);
    [
        query_id,
        token,
        ValueRef::Integer(PlanSummary::READ_VERSION),
        number(plan.fingerprint.map(PlanFingerprint::to_signed)),
        number(plan.planning_ms),
        number(plan.queue_ms),
        number(plan.execution_ms),
        number(plan.fetching_ms),
        number(plan.work_ns),
        number(plan.wait_ns),
        number(plan.spill_bytes),
        plan.findings.as_deref().map_or(ValueRef::Null, |ids| ValueRef::Text(ids.as_bytes())),
    ]
}

/// Notes queries whose profile was stored just now and whose plan is not read.
pub(in crate::store::sqlite) async fn note_unread_plans(
    transaction: &mut SqliteTransaction<'_>,
    queries: &BTreeSet<&QueryId>,
    token: i64,
) -> Result<(), StoreError> {
    let rows = queries.iter().map(|query_id| key_values(query_id, token));
    insert_rows(transaction, NOTE_UNREAD, rows).await?;
    Ok(())
}

/// Stores what was read of the plans of stored profiles, and notes that they are read.
pub(in crate::store::sqlite) async fn write_plans(
    transaction: &mut SqliteTransaction<'_>,
    plans: &[ReadPlan],
) -> Result<(), StoreError> {
    let known = plans.iter().filter_map(|read| Some(plan_values(read, read.plan.as_ref()?)));
    insert_rows(transaction, WRITE_PLAN, known).await?;
    let read = plans.iter().map(|read| key_values(&read.query_id, read.token));
    insert_rows(transaction, NOTE_READ, read).await?;
    Ok(())
}

/// Reads the first seven columns of a row.
fn plan_run(row: &Row<'_>) -> rusqlite::Result<PlanRun> {
    Ok(PlanRun {
        query_id: row.get(0)?,
        started_ms: row.get(1)?,
        duration_ms: row.get(2)?,
        cpu_time_ms: row.get(3)?,
        scan_bytes: row.get(4)?,
        plan: PlanFingerprint::from_signed(row.get(5)?),
        is_failed: row.get(6)?,
    })
}

/// The tables and the order for the last to arrive first.
const BY_ARRIVAL: (&str, &str) =
    ("plan CROSS JOIN query ON query.id = plan.query", "plan.query DESC");

/// A run in whose profile a rule found something.
pub(super) const FOUND: Profiled = Profiled {
    columns: "query.query_id, query.fingerprint, query.duration_ms, plan.findings",
    condition: "plan.findings IS NOT NULL",
    rows: BY_ARRIVAL,
};

/// A run whose plan and whose statement are known. The columns begin with those of [`plan_run`].
pub(super) const PROFILED: Profiled = Profiled {
    columns: "query.query_id, query.started_ms, query.duration_ms, query.cpu_time_ms, query.scan_bytes,
        plan.fingerprint, query.is_failed, query.fingerprint, plan.planning_ms, ifnull(plan.queue_ms, query.queue_time_ms),
        plan.execution_ms, plan.fetching_ms, plan.work_ns, plan.wait_ns",
    condition: "plan.fingerprint IS NOT NULL AND query.fingerprint IS NOT NULL",
    rows: BY_ARRIVAL,
};

/// A run of one statement whose plan is known, the newest first, with the columns of [`plan_run`].
pub(super) const OF_STATEMENT: Profiled = Profiled {
    columns:
        "query.query_id, query.started_ms, query.duration_ms, query.cpu_time_ms, query.scan_bytes,
        plan.fingerprint, query.is_failed",
    condition: "plan.fingerprint IS NOT NULL",
    rows: (
        "query CROSS JOIN plan ON plan.query = query.id",
        "query.started_ms DESC, query.id DESC",
    ),
};

/// What is read of the runs with a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profiled {
    columns: &'static str,
    condition: &'static str,
    /// The tables, and the order.
    rows: (&'static str, &'static str),
}

impl Profiled {
    /// Returns the statement for the runs of a filter that an owner may see. The last column is the statement if the filter
    /// searches in it.
    pub(super) fn sql(self, filter: &QueryFilter, owner: Option<&str>) -> (String, Conditions) {
        let (first_ms, last_ms) = filter.starts();
        let conditions = Conditions::new(vec![first_ms.into(), last_ms.into()])
            .and_plain(self.condition)
            .and_plain("query.started_ms BETWEEN ?1 AND ?2")
            .and_if("query.fingerprint = ?", filter.fingerprint.map(|it| it.to_signed()))
            .and_filter(filter, owner);
        let (tables, order) = self.rows;
        let sql = format!(
            "SELECT {}{} FROM {tables} WHERE {} ORDER BY {order}",
            self.columns,
            if filter.search.is_some() { ", statement" } else { "" },
            conditions.sql()
        );
        (sql, conditions)
    }
}

/// Calls `each` with the runs with a profile that match a filter and that an owner may see, until it returns false.
fn each_profiled(
    sqlite: &Connection,
    profiled: Profiled,
    (filter, owner): (&QueryFilter, Option<&str>),
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let (sql, conditions) = profiled.sql(filter, owner);
    let mut runs = sqlite.prepare(&sql)?;
    let statement = runs.column_count() - 1;
    conditions.bind(&mut runs)?;
    let mut rows = runs.raw_query();
    while let Some(row) = rows.next()? {
        let text = || row.get_ref(statement)?.as_bytes_or_null().map_err(rusqlite::Error::from);
        let matches = match &filter.search {
            None => true,
            Some(search) => text()?.is_some_and(|text| search.matches(text)),
        };
        if matches && !each(row)? {
            break;
        }
    }
    Ok(())
}

impl Store {
    /// Returns the newest runs of a filter's statement whose plan is known and which the owner may see, at most `limit`. Ignores
    /// the filter's limit and cursor.
    pub(in crate::store) async fn plan_runs(
        &self,
        filter: &QueryFilter,
        limit: usize,
        reader: Reader<'_>,
    ) -> Result<Vec<PlanRun>, StoreError> {
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let runs = self.reports.run(reader.client(), move |sqlite| {
            let mut runs = Vec::new();
            each_profiled(sqlite, OF_STATEMENT, (&filter, owner.as_deref()), |row| {
                runs.push(plan_run(row)?);
                Ok(runs.len() < limit)
            })?;
            Ok(runs)
        });
        runs.await
    }

    /// Returns the runs of a filter in whose profile a rule found something and which the owner may see: the last to arrive
    /// first, at most `limit`. Ignores the filter's limit and cursor.
    pub(in crate::store) async fn found_runs(
        &self,
        filter: &QueryFilter,
        limit: usize,
        reader: Reader<'_>,
    ) -> Result<Vec<FoundRun>, StoreError> {
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let runs = self.reports.run(reader.client(), move |sqlite| {
            let mut runs = Vec::new();
            each_profiled(sqlite, FOUND, (&filter, owner.as_deref()), |row| {
                let fingerprint: Option<i64> = row.get(1)?;
                runs.push(FoundRun {
                    query_id: row.get(0)?,
                    fingerprint: fingerprint.map(Fingerprint::from_signed),
                    duration_ms: row.get(2)?,
                    findings: row.get(3)?,
                });
                Ok(runs.len() < limit)
            })?;
            Ok(runs)
        });
        runs.await
    }

    /// Returns the runs of a filter whose plan and whose statement are known and which the owner may see: the last to arrive
    /// first, at most `limit`. Ignores the filter's limit and cursor.
    pub(in crate::store) async fn profiled_runs(
        &self,
        filter: &QueryFilter,
        limit: usize,
        reader: Reader<'_>,
    ) -> Result<Vec<ProfiledRun>, StoreError> {
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let runs = self.reports.run(reader.client(), move |sqlite| {
            let mut runs = Vec::new();
            each_profiled(sqlite, PROFILED, (&filter, owner.as_deref()), |row| {
                runs.push(ProfiledRun {
                    run: plan_run(row)?,
                    fingerprint: Fingerprint::from_signed(row.get(7)?),
                    plan: PlanSummary {
                        planning_ms: row.get(8)?,
                        queue_ms: row.get(9)?,
                        execution_ms: row.get(10)?,
                        fetching_ms: row.get(11)?,
                        work_ns: row.get(12)?,
                        wait_ns: row.get(13)?,
                        ..PlanSummary::default()
                    },
                });
                Ok(runs.len() < limit)
            })?;
            Ok(runs)
        });
        runs.await
    }

    /// Returns the ids of other runs of a query's statement with the query's plan that the reader may see, each with the size
    /// of its profile's text: the last to arrive first.
    pub(in crate::store) async fn other_runs(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let (id, owner, clusters) = (query_id.as_str(), reader.owner, reader.clusters_json());
        let runs = sqlx::query!(
            "SELECT chosen.query_id, profile.text_bytes
             FROM (SELECT same.query, query.query_id
                   FROM (SELECT query FROM plan
                         WHERE fingerprint = (SELECT plan.fingerprint FROM plan JOIN query ON query.id = plan.query
                                              WHERE query.query_id = ?1)
                         ORDER BY query DESC LIMIT ?3) AS same
                   CROSS JOIN query ON query.id = same.query
                   WHERE query.query_id <> ?1 AND (?2 IS NULL OR query.user = ?2)
                     AND (?5 IS NULL OR query.cluster IN (SELECT value FROM json_each(?5)))
                     AND query.fingerprint = (SELECT fingerprint FROM query WHERE query_id = ?1)
                   ORDER BY same.query DESC LIMIT ?4) AS chosen
             CROSS JOIN profile ON profile.query = chosen.query
             ORDER BY chosen.query DESC",
            id,
            owner,
            SAME_PLANS,
            MAX_OTHER_RUNS,
            clusters
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(runs.into_iter().map(|run| (run.query_id, run.text_bytes)).collect())
    }

    /// Returns the runs of a statement with a stored profile that are nearest to a query, which has this fingerprint, start and
    /// id.
    pub(in crate::store) async fn nearest_profiles(
        &self,
        (fingerprint, started_ms, query_id): (Fingerprint, i64, &str),
        reader: Reader<'_>,
    ) -> Result<NearestProfiles, StoreError> {
        let (owner, clusters) = (reader.owner, reader.clusters_json());
        let fingerprint = fingerprint.to_signed();
        let before = sqlx::query!(
            "SELECT near.query_id, near.started_ms AS \"started_ms!\", near.duration_ms,
                 (SELECT plan.fingerprint FROM plan WHERE plan.query = near.id) AS plan
             FROM (SELECT id, query_id, user, cluster, started_ms, duration_ms FROM query
                   WHERE fingerprint = ?1 AND started_ms <= ?2
                   ORDER BY started_ms DESC, id DESC LIMIT ?5) AS near
             WHERE near.query_id <> ?3 AND (?4 IS NULL OR near.user = ?4)
               AND (?6 IS NULL OR near.cluster IN (SELECT value FROM json_each(?6)))
               AND EXISTS (SELECT 1 FROM profile WHERE profile.query = near.id)
             ORDER BY near.started_ms DESC, near.id DESC LIMIT 1",
            fingerprint,
            started_ms,
            query_id,
            owner,
            NEAR_RUNS,
            clusters
        )
        .fetch_optional(&self.readers)
        .await?;
        let after = sqlx::query!(
            "SELECT near.query_id, near.started_ms AS \"started_ms!\", near.duration_ms,
                 (SELECT plan.fingerprint FROM plan WHERE plan.query = near.id) AS plan
             FROM (SELECT id, query_id, user, cluster, started_ms, duration_ms FROM query
                   WHERE fingerprint = ?1 AND started_ms > ?2
                   ORDER BY started_ms ASC, id ASC LIMIT ?5) AS near
             WHERE near.query_id <> ?3 AND (?4 IS NULL OR near.user = ?4)
               AND (?6 IS NULL OR near.cluster IN (SELECT value FROM json_each(?6)))
               AND EXISTS (SELECT 1 FROM profile WHERE profile.query = near.id)
             ORDER BY near.started_ms ASC, near.id ASC LIMIT 1",
            fingerprint,
            started_ms,
            query_id,
            owner,
            NEAR_RUNS,
            clusters
        )
        .fetch_optional(&self.readers)
        .await?;
        Ok(NearestProfiles {
            before: before.map(|run| {
                ProfiledQuery::new(run.query_id, run.started_ms, run.duration_ms, run.plan)
            }),
            after: after.map(|run| {
                ProfiledQuery::new(run.query_id, run.started_ms, run.duration_ms, run.plan)
            }),
        })
    }

    /// Returns some of the queries whose plan is not read, behind a row, in the order of the rows.
    pub(in crate::store) async fn unread_plans(
        &self,
        after: &PlanCursor,
    ) -> Result<Option<UnreadPlans>, StoreError> {
        let unread = sqlx::query!(
            "SELECT unread_plan.query, unread_plan.token, query.query_id
             FROM unread_plan JOIN query ON query.id = unread_plan.query
             WHERE unread_plan.query > ? ORDER BY unread_plan.query LIMIT ?",
            after.row,
            UNREAD_PLANS
        )
        .fetch_all(&self.reporters)
        .await?;
        let Some(last) = unread.last() else { return Ok(None) };
        let next = PlanCursor { row: last.query, ..PlanCursor::default() };
        let queries =
            unread.into_iter().filter_map(|row| UnreadPlan::new(&row.query_id, row.token));
        Ok(Some(UnreadPlans { queries: queries.collect(), next }))
    }

    /// Returns the profile of a query if its plan is not read.
    pub(in crate::store) async fn unread_profile(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<UnreadProfile>, StoreError> {
        let id = query_id.as_str();
        let unread = sqlx::query!(
            "SELECT unread_plan.token, profile.text_bytes, profile.body
             FROM query JOIN unread_plan ON unread_plan.query = query.id JOIN profile ON profile.query = query.id
             WHERE query.query_id = ?",
            id
        )
        .fetch_optional(&self.readers)
        .await?;
        Ok(unread.map(|row| UnreadProfile {
            query_id: query_id.clone(),
            token: row.token,
            text_bytes: row.text_bytes,
            body: row.body,
        }))
    }

    /// Returns how many profiles that the reader may see have a plan that is not read.
    pub(in crate::store) async fn unread_profiles(
        &self,
        reader: Reader<'_>,
    ) -> Result<i64, StoreError> {
        let (owner, clusters) = (reader.owner, reader.clusters_json());
        let unread = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM unread_plan
             WHERE (?1 IS NULL AND ?2 IS NULL)
                OR EXISTS (SELECT 1 FROM query
                           WHERE query.id = unread_plan.query AND (?1 IS NULL OR query.user = ?1)
                             AND (?2 IS NULL OR query.cluster IN (SELECT value FROM json_each(?2))))"#,
            owner,
            clusters
        );
        unread.fetch_one(&self.readers).await.map_err(|error| self.read_pool.noted(error))
    }
}
