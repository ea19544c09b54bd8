//! Statements of reports: counts and sizes.

use sqlx::PgExecutor;

use super::Result;

/// Returns the normalized statements of fingerprints, each with its fingerprint. Unknown fingerprints are missing.
pub async fn normalized_statements(
    server: impl PgExecutor<'_>,
    fingerprints: &[i64],
) -> Result<Vec<(i64, String)>> {
    let statements = sqlx::query!(
        "SELECT fingerprint, normalized FROM statement WHERE fingerprint = ANY($1)",
        fingerprints
    );
    let statements = statements.fetch_all(server).await?;
    Ok(statements.into_iter().map(|row| (row.fingerprint, row.normalized)).collect())
}

/// Returns the fingerprints of statements from one to another, in order, at most `limit`.
pub async fn fingerprints_between(
    server: impl PgExecutor<'_>,
    (first, last): (i64, i64),
    limit: i64,
) -> Result<Vec<i64>> {
    let found = sqlx::query_scalar!(
        "SELECT fingerprint FROM statement WHERE fingerprint BETWEEN $1 AND $2
         ORDER BY fingerprint LIMIT $3",
        first,
        last,
        limit
    );
    found.fetch_all(server).await
}

/// How much the history holds.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub queries: i64,
    pub profiles: i64,
    /// Sum of the profile texts, uncompressed.
    pub profile_text_bytes: i64,
    /// Sum of the profile texts as they are stored.
    pub profile_bytes: i64,
}

/// Returns how much the history holds. Reads all rows of profiles, and an index of all queries.
pub async fn sizes(server: impl PgExecutor<'_>) -> Result<Sizes> {
    sqlx::query_as!(
        Sizes,
        r#"SELECT queries AS "queries!", profiles AS "profiles!", profile_text_bytes AS "profile_text_bytes!",
                  profile_bytes AS "profile_bytes!"
           FROM (SELECT count(*) AS queries FROM query) AS of_queries,
                (SELECT count(*) AS profiles,
                     coalesce(sum(text_bytes), 0)::bigint AS profile_text_bytes,
                     coalesce(sum(octet_length(body)), 0)::bigint AS profile_bytes
                 FROM profile) AS of_profiles"#
    )
    .fetch_one(server)
    .await
}

/// Returns the first clusters that queries name, in order.
pub async fn clusters(server: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let names = sqlx::query_scalar!(
        "SELECT cluster.name FROM cluster ORDER BY cluster.name LIMIT $1",
        limit
    );
    names.fetch_all(server).await
}

/// Returns whether one of the oldest or of the newest queries names no cluster.
pub async fn has_queries_of_no_cluster(server: impl PgExecutor<'_>, limit: i64) -> Result<bool> {
    let has_any = sqlx::query_scalar!(
        r#"SELECT (SELECT coalesce(bool_or(newest.cluster IS NULL), false)
                   FROM (SELECT query.cluster FROM query ORDER BY query.started_ms DESC LIMIT $1) AS newest)
               OR (SELECT coalesce(bool_or(oldest.cluster IS NULL), false)
                   FROM (SELECT query.cluster FROM query ORDER BY query.started_ms LIMIT $1) AS oldest) AS "has_any!""#,
        limit
    );
    has_any.fetch_one(server).await
}

/// Returns the clusters of the newest queries of a user; None is that of a query that names none.
pub async fn clusters_of(
    server: impl PgExecutor<'_>,
    user: &str,
    limit: i64,
) -> Result<Vec<Option<String>>> {
    let names = sqlx::query_scalar!(
        r#"SELECT DISTINCT newest.cluster AS "cluster?"
           FROM (SELECT query.cluster FROM query WHERE query."user" = $1 AND octet_length(query."user") <= 1024
                 ORDER BY query.started_ms DESC LIMIT $2) AS newest"#,
        user,
        limit
    );
    names.fetch_all(server).await
}

/// Returns the bytes that the database takes on the disk of the server that answers.
pub async fn database_bytes(server: impl PgExecutor<'_>) -> Result<i64> {
    sqlx::query_scalar!(r#"SELECT pg_database_size(current_database()) AS "bytes!""#)
        .fetch_one(server)
        .await
}

/// Returns how many queries each frontend ran; none is an unknown frontend.
pub async fn frontends(server: impl PgExecutor<'_>) -> Result<Vec<(Option<String>, i64)>> {
    let found =
        sqlx::query!(r#"SELECT frontend, count(*) AS "count!" FROM query GROUP BY frontend"#);
    let found = found.fetch_all(server).await?;
    Ok(found.into_iter().map(|row| (row.frontend, row.count)).collect())
}
