//! Statements that find what retention removes.

use sqlx::{PgConnection, PgExecutor};

use super::{Mark, Result};

/// Returns what retention remembers; none if it never stored anything.
pub async fn retention_mark(server: impl PgExecutor<'_>) -> Result<Option<Mark>> {
    sqlx::query_as!(
        Mark,
        "SELECT trusted_ms, off_ms, off_for_ms, settled_query FROM retention_clock WHERE id = 1"
    )
    .fetch_optional(server)
    .await
}

/// Returns the newest start that is not after a time, in Unix milliseconds.
pub async fn newest_start_ms(server: impl PgExecutor<'_>, until_ms: i64) -> Result<Option<i64>> {
    sqlx::query_scalar!("SELECT max(started_ms) FROM query WHERE started_ms <= $1", until_ms)
        .fetch_one(server)
        .await
}

/// Returns the row that arrived last; 0 if there is none.
pub async fn newest_row(server: impl PgExecutor<'_>) -> Result<i64> {
    sqlx::query_scalar!(r#"SELECT coalesce(max(id), 0) AS "id!" FROM query"#)
        .fetch_one(server)
        .await
}

/// Returns the rows of queries that started before a time, the oldest first.
pub async fn started_before(
    server: impl PgExecutor<'_>,
    before_ms: i64,
    limit: i64,
) -> Result<Vec<i64>> {
    sqlx::query_scalar!(
        "SELECT id FROM query WHERE started_ms < $1 ORDER BY started_ms, id LIMIT $2",
        before_ms,
        limit
    )
    .fetch_all(server)
    .await
}

/// Returns the bytes of all labels, each with `label_bytes` beside its texts.
pub async fn labels_bytes(server: impl PgExecutor<'_>, label_bytes: i64) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(2 * (octet_length(cluster) + octet_length(db) + octet_length(label)) + $1::bigint), 0)::bigint AS "bytes!"
           FROM stream_load_label"#,
        label_bytes
    )
    .fetch_one(server)
    .await
}

/// Returns the time of the last label that must go, so that those up to it have `excess` bytes.
pub async fn excess_labels(
    server: impl PgExecutor<'_>,
    label_bytes: i64,
    excess: i64,
) -> Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"SELECT loaded_ms AS "ms!" FROM (
               SELECT loaded_ms, sum(2 * (octet_length(cluster) + octet_length(db) + octet_length(label)) + $1::bigint)
                   OVER (ORDER BY loaded_ms ROWS UNBOUNDED PRECEDING) AS bytes
               FROM stream_load_label
           ) AS up_to
           WHERE bytes >= $2::bigint ORDER BY loaded_ms LIMIT 1"#,
        label_bytes,
        excess
    )
    .fetch_optional(server)
    .await
}

/// Returns the time of the oldest label, in Unix milliseconds.
pub async fn first_label_ms(server: impl PgExecutor<'_>) -> Result<Option<i64>> {
    sqlx::query_scalar!("SELECT min(loaded_ms) FROM stream_load_label").fetch_one(server).await
}

/// Returns up to `limit` fingerprints of normalized statements, from one on, each with whether a query has it.
pub async fn used_statements(
    server: impl PgExecutor<'_>,
    from: i64,
    limit: i64,
) -> Result<Vec<(i64, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT fingerprint, EXISTS (
               SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint
           ) AS "is_used!"
           FROM statement WHERE fingerprint >= $1 ORDER BY fingerprint LIMIT $2"#,
        from,
        limit
    );
    let rows = rows.fetch_all(server).await?;
    Ok(rows.into_iter().map(|row| (row.fingerprint, row.is_used)).collect())
}

/// Returns the same on Citus, which looks up no query for each row of a table that each node has. Reads as many entries of an
/// index as queries have the statements.
pub async fn used_statements_on_citus(
    connection: &mut PgConnection,
    from: i64,
    limit: i64,
) -> Result<Vec<(i64, bool)>> {
    let found = sqlx::query_scalar!(
        "SELECT fingerprint FROM statement WHERE fingerprint >= $1 ORDER BY fingerprint LIMIT $2",
        from,
        limit
    );
    let found = found.fetch_all(&mut *connection).await?;
    let used = used_fingerprints(connection, &found).await?;
    Ok(found.into_iter().map(|it: i64| (it, used.contains(&it))).collect())
}

/// Returns those of the fingerprints that queries have.
pub(super) async fn used_fingerprints(
    server: impl PgExecutor<'_>,
    fingerprints: &[i64],
) -> Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT fingerprint AS "fingerprint!" FROM query WHERE fingerprint = ANY($1)"#,
        fingerprints
    )
    .fetch_all(server)
    .await
}

/// Returns the bytes of all profiles, as they are stored.
pub async fn profile_bytes(server: impl PgExecutor<'_>) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(octet_length(body)), 0)::bigint AS "bytes!" FROM profile"#
    )
    .fetch_one(server)
    .await
}

/// A query that has a profile.
#[derive(Debug, Clone, Copy)]
pub struct Profiled {
    pub id: i64,
    /// The bytes of the profile, as it is stored.
    pub bytes: i64,
    pub started_ms: Option<i64>,
}

/// Returns up to `limit` queries that have a profile and started before a time, the oldest first; without a time, of all.
/// Queries without a start are the oldest, but did not start before any time.
pub async fn oldest_profiles(
    connection: &mut PgConnection,
    before_ms: Option<i64>,
    limit: i64,
) -> Result<Vec<Profiled>> {
    let mut oldest = Vec::new();
    if before_ms.is_none() {
        oldest = sqlx::query_as!(
            Profiled,
            r#"SELECT query.id, octet_length(profile.body)::bigint AS "bytes!", query.started_ms
               FROM query JOIN profile ON profile.query_id = query.query_id
               WHERE query.started_ms IS NULL
               ORDER BY query.started_ms, query.id LIMIT $1"#,
            limit
        )
        .fetch_all(&mut *connection)
        .await?;
    }
    let left = limit.saturating_sub(oldest.len() as i64);
    let started = sqlx::query_as!(
        Profiled,
        r#"SELECT query.id, octet_length(profile.body)::bigint AS "bytes!", query.started_ms
           FROM query JOIN profile ON profile.query_id = query.query_id
           WHERE query.started_ms <= $1
           ORDER BY query.started_ms, query.id LIMIT $2"#,
        before_ms.map_or(i64::MAX, |before_ms| before_ms.saturating_sub(1)),
        left
    );
    oldest.extend(started.fetch_all(connection).await?);
    Ok(oldest)
}
