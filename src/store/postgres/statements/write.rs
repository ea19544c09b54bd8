//! Statements of the transaction that writes.

use sqlx::PgConnection;

use super::Result;

/// Adds a row for a writer that has not committed, and removes the rows of writers that have ended: these have not
/// committed since `seen_ms`.
pub async fn add_writer(
    connection: &mut PgConnection,
    name: &str,
    now_ms: i64,
    seen_ms: i64,
) -> Result<()> {
    sqlx::query!("DELETE FROM writer WHERE seen_ms < $1 AND name <> $2", seen_ms, name)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "INSERT INTO writer (name, commits, seen_ms) VALUES ($1, 0, $2) ON CONFLICT (name) DO NOTHING",
        name,
        now_ms
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a commit of a writer, as the last statement of its transaction. Returns how many it has committed then.
pub async fn count_commit(connection: &mut PgConnection, name: &str, now_ms: i64) -> Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO writer AS known (name, commits, seen_ms) VALUES ($1, 1, $2)
         ON CONFLICT (name) DO UPDATE SET commits = known.commits + 1, seen_ms = $2
         RETURNING commits",
        name,
        now_ms
    )
    .fetch_one(connection)
    .await
}

/// Returns as many new numbers of rows, in ascending order. The transaction has its own number before: whoever makes the
/// search index waits for it.
pub async fn new_rows(connection: &mut PgConnection, count: i64) -> Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"SELECT array_agg(nextval('query_id_seq')) AS "rows!" FROM generate_series(1, $1::bigint)
           WHERE pg_current_xact_id() IS NOT NULL"#,
        count
    )
    .fetch_one(connection)
    .await
}

/// Returns those of the ids that are stored.
pub async fn stored_ids(connection: &mut PgConnection, ids: &[&str]) -> Result<Vec<String>> {
    sqlx::query_scalar!("SELECT query_id FROM query WHERE query_id = ANY($1)", ids as &[&str])
        .fetch_all(connection)
        .await
}

/// Stores a label. Returns false if another batch has stored it; `token` is that of the batch.
pub async fn insert_label(
    connection: &mut PgConnection,
    (cluster, db, label): (&str, &str, &str),
    token: &str,
    now_ms: i64,
) -> Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO stream_load_label (cluster, db, label, loaded_ms, token) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (cluster, db, label) DO NOTHING",
        cluster,
        db,
        label,
        now_ms,
        token
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(true);
    }
    let known = sqlx::query_scalar!(
        "SELECT token FROM stream_load_label WHERE cluster = $1 AND db = $2 AND label = $3",
        cluster,
        db,
        label
    );
    Ok(known.fetch_optional(connection).await?.as_deref() == Some(token))
}

/// Stores names of clusters that are not stored yet.
pub async fn insert_clusters(connection: &mut PgConnection, names: &[String]) -> Result<()> {
    sqlx::query!(
        "INSERT INTO cluster (name) SELECT new.name FROM unnest($1::text[]) AS new (name) ORDER BY new.name
         ON CONFLICT (name) DO NOTHING",
        names
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores normalized statements that are not stored yet.
pub async fn insert_normalized(
    connection: &mut PgConnection,
    fingerprints: &[i64],
    normalized: &[String],
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO statement (fingerprint, normalized)
         SELECT fingerprint, normalized FROM unnest($1::bigint[], $2::text[]) AS new (fingerprint, normalized)
         ORDER BY fingerprint
         ON CONFLICT (fingerprint) DO NOTHING",
        fingerprints,
        normalized
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the size of the text of a query's profile, and its body, and locks the row.
pub async fn stored_profile(
    connection: &mut PgConnection,
    query_id: &str,
) -> Result<Option<(i64, Vec<u8>)>> {
    let stored = sqlx::query!(
        "SELECT text_bytes, body FROM profile WHERE query_id = $1 FOR UPDATE",
        query_id
    );
    let stored = stored.fetch_optional(connection).await?;
    Ok(stored.map(|stored| (stored.text_bytes, stored.body)))
}

/// Stores the profile of a query. Returns false if the query has one.
pub async fn insert_profile(
    connection: &mut PgConnection,
    query_id: &str,
    text_bytes: i64,
    body: &[u8],
) -> Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO profile (query_id, text_bytes, body) VALUES ($1, $2, $3)
         ON CONFLICT (query_id) DO NOTHING",
        query_id,
        text_bytes,
        body
    );
    Ok(inserted.execute(connection).await?.rows_affected() == 1)
}

/// Stores a profile in place of another.
pub async fn replace_profile(
    connection: &mut PgConnection,
    query_id: &str,
    text_bytes: i64,
    body: &[u8],
) -> Result<()> {
    sqlx::query!(
        "UPDATE profile SET text_bytes = $2, body = $3 WHERE query_id = $1",
        query_id,
        text_bytes,
        body
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How far a followed file is read.
#[derive(Debug, Clone)]
pub struct FollowedFile {
    pub head_hash: String,
    pub head_bytes: i64,
    pub read_bytes: i64,
    pub path: String,
    pub file_bytes: i64,
    pub modified_ms: i64,
}

/// Stores how far a followed file is read, in place of the row of `replaces`.
pub async fn write_followed(
    connection: &mut PgConnection,
    file: &FollowedFile,
    replaces: Option<&str>,
) -> Result<()> {
    if let Some(old_hash) = replaces {
        sqlx::query!("DELETE FROM followed_file WHERE head_hash = $1", old_hash)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query!(
        "INSERT INTO followed_file (head_hash, head_bytes, read_bytes, path, file_bytes, modified_ms)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (head_hash) DO UPDATE SET
             head_bytes = $2, read_bytes = $3, path = $4, file_bytes = $5, modified_ms = $6",
        file.head_hash,
        file.head_bytes,
        file.read_bytes,
        file.path,
        file.file_bytes,
        file.modified_ms
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How far an audit table is read. `minutes` and `rows` belong together.
#[derive(Debug, Clone)]
pub struct AuditCheckpoint {
    pub name: String,
    pub read_from: String,
    pub oldest: String,
    pub minutes: Vec<String>,
    pub rows: Vec<i64>,
}

/// Stores how far an audit table is read, and removes the minutes that the table has no more.
pub async fn write_audit_checkpoint(
    connection: &mut PgConnection,
    checkpoint: &AuditCheckpoint,
) -> Result<()> {
    let AuditCheckpoint { name, read_from, oldest, minutes, rows } = checkpoint;
    sqlx::query!(
        "INSERT INTO audit_table (name, read_from, oldest) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET read_from = $2, oldest = $3",
        name,
        read_from,
        oldest
    )
    .execute(&mut *connection)
    .await?;
    if !minutes.is_empty() {
        sqlx::query!(
            "INSERT INTO audit_table_minute (name, minute, rows)
             SELECT $1, minute, rows FROM unnest($2::text[], $3::bigint[]) AS read (minute, rows)
             ON CONFLICT (name, minute) DO UPDATE SET rows = excluded.rows",
            name,
            minutes,
            rows
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!("DELETE FROM audit_table_minute WHERE name = $1 AND minute < $2", name, oldest)
        .execute(connection)
        .await?;
    Ok(())
}

/// A log-in, as it is stored.
#[derive(Debug, Clone)]
pub struct Login {
    pub login_id: String,
    pub at_ms: i64,
    pub user: Option<String>,
    pub client: Option<String>,
    pub frontend: Option<String>,
    pub catalog: Option<String>,
    pub db: Option<String>,
    pub succeeded: bool,
    pub error_code: Option<i64>,
    pub error_message: Option<String>,
    pub extra: Option<String>,
    pub time_source: Option<i64>,
}

/// Stores a log-in. Returns false if it is stored already.
pub async fn insert_login(connection: &mut PgConnection, login: &Login) -> Result<bool> {
    let inserted = sqlx::query!(
        r#"INSERT INTO login (login_id, at_ms, "user", client, frontend, catalog, db, succeeded,
                             error_code, error_message, extra, time_source)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
           ON CONFLICT (login_id) DO NOTHING"#,
        login.login_id,
        login.at_ms,
        login.user,
        login.client,
        login.frontend,
        login.catalog,
        login.db,
        login.succeeded,
        login.error_code,
        login.error_message,
        login.extra,
        login.time_source
    );
    Ok(inserted.execute(connection).await?.rows_affected() == 1)
}

/// Removes profiles by the rows of their queries. Returns how many.
pub async fn remove_profiles(connection: &mut PgConnection, rows: &[i64]) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM profile USING query
         WHERE profile.query_id = query.query_id AND query.id = ANY($1)",
        rows
    );
    Ok(removed.execute(connection).await?.rows_affected())
}

/// A query that was removed.
#[derive(Debug, Clone, Copy)]
pub struct RemovedQuery {
    pub fingerprint: Option<i64>,
    pub started_ms: Option<i64>,
}

/// Removes queries by their rows, with their loads and profiles. Returns them.
pub async fn remove_queries(
    connection: &mut PgConnection,
    rows: &[i64],
) -> Result<Vec<RemovedQuery>> {
    sqlx::query_as!(
        RemovedQuery,
        "DELETE FROM query WHERE id = ANY($1) RETURNING fingerprint, started_ms",
        rows
    )
    .fetch_all(connection)
    .await
}

/// Removes those of the normalized statements that no query has.
pub async fn remove_unused_statements(
    connection: &mut PgConnection,
    fingerprints: &[i64],
) -> Result<()> {
    sqlx::query!(
        "DELETE FROM statement
         WHERE fingerprint = ANY($1)
           AND NOT EXISTS (SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint)",
        fingerprints
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Does the same on Citus, which takes no condition on queries for a table that each node has. Reads as many entries of an index
/// as queries have the statements.
pub async fn remove_unused_statements_on_citus(
    connection: &mut PgConnection,
    fingerprints: &[i64],
) -> Result<()> {
    let used = super::used_fingerprints(&mut *connection, fingerprints).await?;
    sqlx::query!(
        "DELETE FROM statement WHERE fingerprint = ANY($1) AND NOT fingerprint = ANY($2)",
        fingerprints,
        &used
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes up to a thousand log-ins before a time, in Unix milliseconds.
pub async fn remove_logins(connection: &mut PgConnection, before_ms: i64) -> Result<()> {
    sqlx::query!(
        "DELETE FROM login WHERE login_id IN (
             SELECT login_id FROM login WHERE at_ms < $1 ORDER BY at_ms LIMIT 1000)",
        before_ms
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes up to five thousand labels before a time, in Unix milliseconds.
pub async fn remove_labels(connection: &mut PgConnection, before_ms: i64) -> Result<()> {
    sqlx::query!(
        "DELETE FROM stream_load_label WHERE (db, label) IN (
             SELECT db, label FROM stream_load_label WHERE loaded_ms < $1 ORDER BY loaded_ms LIMIT 5000)",
        before_ms
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What retention remembers.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    pub trusted_ms: i64,
    pub off_ms: Option<i64>,
    pub off_for_ms: Option<i64>,
    pub settled_query: i64,
}

/// Stores what retention remembers.
pub async fn write_mark(connection: &mut PgConnection, mark: Mark) -> Result<()> {
    sqlx::query!(
        "INSERT INTO retention_clock (id, trusted_ms, off_ms, off_for_ms, settled_query)
         VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET
             trusted_ms = $1, off_ms = $2, off_for_ms = $3, settled_query = $4",
        mark.trusted_ms,
        mark.off_ms,
        mark.off_for_ms,
        mark.settled_query
    )
    .execute(connection)
    .await?;
    Ok(())
}
