//! Statements that read.

use sqlx::PgExecutor;

use super::{Result, Seen};

/// Returns whether the server distributes tables with Citus.
pub async fn is_citus(connection: impl PgExecutor<'_>) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS "is_citus!""#
    )
    .fetch_one(connection)
    .await
}

/// Returns the process of the server that a connection has.
pub async fn process(connection: impl PgExecutor<'_>) -> Result<i32> {
    sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "process!""#).fetch_one(connection).await
}

/// Cancels what a process of the server does, which another connection has. Returns false if there is no such process.
pub async fn cancel(connection: impl PgExecutor<'_>, process: i32) -> Result<bool> {
    sqlx::query_scalar!(r#"SELECT pg_cancel_backend($1) AS "is_cancelled!""#, process)
        .fetch_one(connection)
        .await
}

/// Returns the statement of a query.
pub async fn statement(
    server: impl PgExecutor<'_>,
    query_id: &str,
    (owner, clusters): Seen<'_>,
) -> Result<Option<String>> {
    let found = sqlx::query_scalar!(
        r#"SELECT statement FROM query
           WHERE query_id = $1 AND ($2::text IS NULL OR "user" = $2)
             AND ($3::text[] IS NULL OR cluster = ANY($3))"#,
        query_id,
        owner,
        clusters as Option<&[String]>
    );
    Ok(found.fetch_optional(server).await?.flatten())
}

/// Returns the queries of a trace id that the index has, the last to arrive first.
pub async fn traced(
    server: impl PgExecutor<'_>,
    trace_id: &str,
    (owner, clusters): Seen<'_>,
    limit: i64,
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT query_id FROM query
           WHERE trace_id = $1 AND octet_length(trace_id) <= 1024 AND ($2::text IS NULL OR "user" = $2)
             AND ($3::text[] IS NULL OR cluster = ANY($3))
           ORDER BY id DESC LIMIT $4"#,
        trace_id,
        owner,
        clusters as Option<&[String]>,
        limit
    )
    .fetch_all(server)
    .await
}

/// Returns the queries of a trace id of any length, the last to arrive first. Reads all queries.
pub async fn traced_without_index(
    server: impl PgExecutor<'_>,
    trace_id: &str,
    (owner, clusters): Seen<'_>,
    limit: i64,
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT query_id FROM query
           WHERE trace_id = $1 AND ($2::text IS NULL OR "user" = $2)
             AND ($3::text[] IS NULL OR cluster = ANY($3))
           ORDER BY id DESC LIMIT $4"#,
        trace_id,
        owner,
        clusters as Option<&[String]>,
        limit
    )
    .fetch_all(server)
    .await
}

/// Returns those of the queries that have ended and whose profile is stored.
pub async fn complete(server: impl PgExecutor<'_>, query_ids: &[String]) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT query_id FROM query
         WHERE query_id = ANY($1)
           AND upper(coalesce(state, '')) <> 'RUNNING'
           AND EXISTS (SELECT 1 FROM profile WHERE profile.query_id = query.query_id)",
        query_ids
    )
    .fetch_all(server)
    .await
}

/// Returns the ids from one to before another, in order: `limit` of the ones that the reader may see among the first `looked_at`.
pub async fn ids_between(
    server: impl PgExecutor<'_>,
    (from, before): (&str, &str),
    (owner, clusters): Seen<'_>,
    (limit, looked_at): (i64, i64),
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT query_id
           FROM (SELECT query_id, "user", cluster FROM query WHERE query_id >= $1 AND query_id < $2
                 ORDER BY query_id LIMIT $5) AS first
           WHERE ($4::text IS NULL OR "user" = $4) AND ($6::text[] IS NULL OR cluster = ANY($6)) ORDER BY query_id LIMIT $3"#,
        from,
        before,
        limit,
        owner,
        looked_at,
        clusters as Option<&[String]>
    )
    .fetch_all(server)
    .await
}

/// Returns every audit log that was followed.
pub async fn followed_files(server: impl PgExecutor<'_>) -> Result<Vec<super::FollowedFile>> {
    sqlx::query_as!(
        super::FollowedFile,
        "SELECT head_hash, head_bytes, read_bytes, path, file_bytes, modified_ms FROM followed_file"
    )
    .fetch_all(server)
    .await
}

/// How far an audit table is read, with one of its minutes.
pub struct AuditMinute {
    pub read_from: String,
    pub oldest: String,
    pub minute: Option<String>,
    pub row_count: Option<i64>,
}

/// Returns how far an audit table was read, a row for each minute, at least one; none if the name is new.
pub async fn audit_checkpoint(server: impl PgExecutor<'_>, name: &str) -> Result<Vec<AuditMinute>> {
    // One statement, so that both are of one state.
    sqlx::query_as!(
        AuditMinute,
        r#"SELECT read_from, oldest, minute AS "minute?", rows AS "row_count?"
           FROM audit_table LEFT JOIN audit_table_minute USING (name)
           WHERE name = $1"#,
        name
    )
    .fetch_all(server)
    .await
}

/// A profile as it is stored.
pub struct Profile {
    /// None if the query has no profile.
    pub text_bytes: Option<i64>,
    pub body: Option<Vec<u8>>,
}

/// Returns the profile of a query; None if the query is unknown.
pub async fn profile(
    server: impl PgExecutor<'_>,
    query_id: &str,
    (owner, clusters): Seen<'_>,
) -> Result<Option<Profile>> {
    sqlx::query_as!(
        Profile,
        r#"SELECT profile.text_bytes AS "text_bytes?", profile.body AS "body?"
           FROM query LEFT JOIN profile ON profile.query_id = query.query_id
           WHERE query.query_id = $1 AND ($2::text IS NULL OR query."user" = $2)
             AND ($3::text[] IS NULL OR query.cluster = ANY($3))"#,
        query_id,
        owner,
        clusters as Option<&[String]>
    )
    .fetch_optional(server)
    .await
}
