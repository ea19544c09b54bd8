//! Statements on plans: what was read of stored profiles.

use sqlx::{PgConnection, PgExecutor};

use super::{Result, Seen};

/// What was read of the plans of profiles: a list for each column, with a value for each query.
#[derive(Debug, Default)]
pub struct Plans {
    pub query_ids: Vec<String>,
    pub fingerprints: Vec<Option<i64>>,
    pub planning_ms: Vec<Option<i64>>,
    pub queue_ms: Vec<Option<i64>>,
    pub execution_ms: Vec<Option<i64>>,
    pub fetching_ms: Vec<Option<i64>>,
    pub work_ns: Vec<Option<i64>>,
    pub wait_ns: Vec<Option<i64>>,
    pub spill_bytes: Vec<Option<i64>>,
    pub findings: Vec<Option<String>>,
}

/// Notes queries whose plan is not read, in the order of their ids.
pub async fn note_unread_plans(
    connection: &mut PgConnection,
    query_ids: &[String],
    token: i64,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO unread_plan (query_id, token)
         SELECT new.query_id, $2::bigint FROM unnest($1::text[]) AS new (query_id) ORDER BY new.query_id
         ON CONFLICT (query_id) DO UPDATE SET token = excluded.token",
        query_ids,
        token
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that plans are read: those of queries that are noted as unread with these tokens. Returns their ids.
pub async fn note_read_plans(
    connection: &mut PgConnection,
    query_ids: &[String],
    tokens: &[i64],
) -> Result<Vec<String>> {
    let keys: Vec<String> = query_ids
        .iter()
        .zip(tokens)
        .map(|(query_id, token)| format!("{token} {query_id}"))
        .collect();
    sqlx::query_scalar!(
        "DELETE FROM unread_plan WHERE query_id = ANY($1) AND token::text || ' ' || query_id = ANY($2) RETURNING query_id",
        query_ids,
        &keys
    )
    .fetch_all(connection)
    .await
}

/// Stores what a version of the reader read of stored profiles.
pub async fn write_plans(connection: &mut PgConnection, plans: &Plans, version: i64) -> Result<()> {
    sqlx::query!(
        "INSERT INTO plan (query_id, read_version, fingerprint, planning_ms, queue_ms, execution_ms, fetching_ms,
                           work_ns, wait_ns, spill_bytes, findings)
         SELECT new.query_id, $11::bigint, new.fingerprint, new.planning_ms, new.queue_ms, new.execution_ms, new.fetching_ms,
                new.work_ns, new.wait_ns, new.spill_bytes, new.findings
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::text[])
                  AS new (query_id, fingerprint, planning_ms, queue_ms, execution_ms, fetching_ms, work_ns, wait_ns,
                          spill_bytes, findings)
         ORDER BY new.query_id
         ON CONFLICT (query_id) DO UPDATE SET
             read_version = excluded.read_version, fingerprint = excluded.fingerprint,
             planning_ms = excluded.planning_ms, queue_ms = excluded.queue_ms,
             execution_ms = excluded.execution_ms, fetching_ms = excluded.fetching_ms,
             work_ns = excluded.work_ns, wait_ns = excluded.wait_ns,
             spill_bytes = excluded.spill_bytes, findings = excluded.findings",
        &plans.query_ids,
        &plans.fingerprints as &[Option<i64>],
        &plans.planning_ms as &[Option<i64>],
        &plans.queue_ms as &[Option<i64>],
        &plans.execution_ms as &[Option<i64>],
        &plans.fetching_ms as &[Option<i64>],
        &plans.work_ns as &[Option<i64>],
        &plans.wait_ns as &[Option<i64>],
        &plans.spill_bytes as &[Option<i64>],
        &plans.findings as &[Option<String>],
        version
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes what was read of the plan of a query.
pub async fn remove_plan(connection: &mut PgConnection, query_id: &str) -> Result<()> {
    sqlx::query!("DELETE FROM plan WHERE query_id = $1", query_id).execute(connection).await?;
    Ok(())
}

/// A query whose plan is not read.
pub struct UnreadPlan {
    pub query_id: String,
    pub token: i64,
}

/// Returns the queries whose plan is not read behind a query id, in the order of the ids.
pub async fn unread_plans(
    server: impl PgExecutor<'_>,
    after: &str,
    limit: i64,
) -> Result<Vec<UnreadPlan>> {
    sqlx::query_as!(
        UnreadPlan,
        "SELECT query_id, token FROM unread_plan WHERE query_id > $1 ORDER BY query_id LIMIT $2",
        after,
        limit
    )
    .fetch_all(server)
    .await
}

/// The profile of a query whose plan is not read.
pub struct UnreadProfile {
    pub token: i64,
    pub text_bytes: i64,
    pub body: Vec<u8>,
}

/// Returns the profile of a query if its plan is not read.
pub async fn unread_profile(
    server: impl PgExecutor<'_>,
    query_id: &str,
) -> Result<Option<UnreadProfile>> {
    sqlx::query_as!(
        UnreadProfile,
        "SELECT unread_plan.token, profile.text_bytes, profile.body
         FROM unread_plan JOIN profile ON profile.query_id = unread_plan.query_id WHERE unread_plan.query_id = $1",
        query_id
    )
    .fetch_optional(server)
    .await
}

/// Returns how many profiles that somebody may see have a plan that is not read.
pub async fn unread_profiles(
    server: impl PgExecutor<'_>,
    (owner, clusters): Seen<'_>,
) -> Result<i64> {
    if owner.is_none() && clusters.is_none() {
        let all = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM unread_plan AS unread"#);
        return all.fetch_one(server).await;
    }
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM unread_plan JOIN query ON query.query_id = unread_plan.query_id
           WHERE ($1::text IS NULL OR query."user" = $1) AND ($2::text[] IS NULL OR query.cluster = ANY($2))"#,
        owner,
        clusters as Option<&[String]>
    )
    .fetch_one(server)
    .await
}

/// A run of a statement with a plan.
#[derive(Debug)]
pub struct PlanRun {
    pub query_id: String,
    pub started_ms: i64,
    pub duration_ms: Option<i64>,
    pub cpu_time_ms: Option<i64>,
    pub scan_bytes: Option<i64>,
    pub plan: i64,
}

/// Returns the newest runs of a statement whose plan is known and that started in a range of times, at most `limit`.
pub async fn plan_runs(
    server: impl PgExecutor<'_>,
    fingerprint: i64,
    (first_ms, last_ms): (i64, i64),
    (owner, clusters): Seen<'_>,
    limit: i64,
) -> Result<Vec<PlanRun>> {
    sqlx::query_as!(
        PlanRun,
        r#"SELECT query.query_id, query.started_ms AS "started_ms!", query.duration_ms, query.cpu_time_ms,
                  query.scan_bytes, plan.fingerprint AS "plan!"
           FROM query JOIN plan ON plan.query_id = query.query_id
           WHERE query.fingerprint = $1 AND query.started_ms BETWEEN $2 AND $3
             AND plan.fingerprint IS NOT NULL AND ($4::text IS NULL OR query."user" = $4)
             AND ($6::text[] IS NULL OR query.cluster = ANY($6))
           ORDER BY query.started_ms DESC, query.id DESC LIMIT $5"#,
        fingerprint,
        first_ms,
        last_ms,
        owner,
        limit,
        clusters as Option<&[String]>
    )
    .fetch_all(server)
    .await
}

/// A profile of a run with the same plan.
#[derive(Debug)]
pub struct OtherRun {
    pub query_id: String,
    pub text_bytes: i64,
}

/// Returns the runs of the statement of a query that have its plan, other than the query: of the profiles with the plan that
/// were stored last, as many as the first limit, at most as many as the second limit, the last first.
pub async fn other_runs(
    connection: &mut PgConnection,
    query_id: &str,
    (owner, clusters): Seen<'_>,
    (looked_at, limit): (i64, i64),
) -> Result<Vec<OtherRun>> {
    let this = sqlx::query!(
        r#"SELECT query.fingerprint AS "statement!", plan.fingerprint AS "plan!"
           FROM query JOIN plan ON plan.query_id = query.query_id
           WHERE query.query_id = $1 AND query.fingerprint IS NOT NULL AND plan.fingerprint IS NOT NULL"#,
        query_id
    );
    let Some(this) = this.fetch_optional(&mut *connection).await? else { return Ok(Vec::new()) };
    sqlx::query_as!(
        OtherRun,
        r#"SELECT query.query_id, profile.text_bytes
           FROM (SELECT query_id, id FROM plan WHERE fingerprint = $1 ORDER BY id DESC LIMIT $5) AS same
           JOIN query ON query.query_id = same.query_id JOIN profile ON profile.query_id = same.query_id
           WHERE query.fingerprint = $2 AND query.query_id <> $3 AND ($4::text IS NULL OR query."user" = $4)
             AND ($7::text[] IS NULL OR query.cluster = ANY($7))
           ORDER BY same.id DESC LIMIT $6"#,
        this.plan,
        this.statement,
        query_id,
        owner,
        looked_at,
        limit,
        clusters as Option<&[String]>
    )
    .fetch_all(connection)
    .await
}

/// A run with a stored profile, and its plan as far as the profile is read.
pub struct ProfiledQuery {
    pub query_id: String,
    pub started_ms: i64,
    pub duration_ms: Option<i64>,
    pub plan: Option<i64>,
}

/// Returns the last of the runs of a statement with a stored profile that started at a time or before, among `looked_at` runs. The
/// query is not among them.
pub async fn nearest_profile_before(
    connection: &mut PgConnection,
    (fingerprint, started_ms, query_id): (i64, i64, &str),
    (owner, clusters): Seen<'_>,
    looked_at: i64,
) -> Result<Option<ProfiledQuery>> {
    sqlx::query_as!(
        ProfiledQuery,
        r#"SELECT near.query_id, near.started_ms AS "started_ms!", near.duration_ms, plan.fingerprint AS "plan?"
           FROM (SELECT id, query_id, "user", cluster, started_ms, duration_ms FROM query
                 WHERE fingerprint = $1 AND started_ms <= $2
                 ORDER BY started_ms DESC, id DESC LIMIT $5) AS near
           JOIN profile ON profile.query_id = near.query_id
           LEFT JOIN plan ON plan.query_id = profile.query_id
           WHERE near.query_id <> $3 AND ($4::text IS NULL OR near."user" = $4)
             AND ($6::text[] IS NULL OR near.cluster = ANY($6))
           ORDER BY near.started_ms DESC, near.id DESC LIMIT 1"#,
        fingerprint,
        started_ms,
        query_id,
        owner,
        looked_at,
        clusters as Option<&[String]>
    )
    .fetch_optional(connection)
    .await
}

/// Returns the first of the runs of a statement with a stored profile that started after a time, among `looked_at` runs. The
/// query is not among them.
pub async fn nearest_profile_after(
    connection: &mut PgConnection,
    (fingerprint, started_ms, query_id): (i64, i64, &str),
    (owner, clusters): Seen<'_>,
    looked_at: i64,
) -> Result<Option<ProfiledQuery>> {
    sqlx::query_as!(
        ProfiledQuery,
        r#"SELECT near.query_id, near.started_ms AS "started_ms!", near.duration_ms, plan.fingerprint AS "plan?"
           FROM (SELECT id, query_id, "user", cluster, started_ms, duration_ms FROM query
                 WHERE fingerprint = $1 AND started_ms > $2
                 ORDER BY started_ms ASC, id ASC LIMIT $5) AS near
           JOIN profile ON profile.query_id = near.query_id
           LEFT JOIN plan ON plan.query_id = profile.query_id
           WHERE near.query_id <> $3 AND ($4::text IS NULL OR near."user" = $4)
             AND ($6::text[] IS NULL OR near.cluster = ANY($6))
           ORDER BY near.started_ms ASC, near.id ASC LIMIT 1"#,
        fingerprint,
        started_ms,
        query_id,
        owner,
        looked_at,
        clusters as Option<&[String]>
    )
    .fetch_optional(connection)
    .await
}
