//! Statements of the summaries of hours.

use futures_util::Stream;
use futures_util::StreamExt as _;
use sqlx::{PgConnection, PgExecutor};

use super::Result;

/// Waits for every transaction that has called [`lock_hours_to_forget`], and holds off others until this one ends.
pub async fn lock_hours_to_begin(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('annals: hours'))")
        .execute(connection)
        .await?;
    Ok(())
}

/// Waits for a transaction that begins readings of hours, and holds off others until this one ends.
pub async fn lock_hours_to_forget(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(hashtext('annals: hours'))")
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes the summaries of hours.
pub async fn forget_hours(connection: &mut PgConnection, hours: &[i64]) -> Result<()> {
    sqlx::query!("DELETE FROM hour_summary WHERE hour = ANY($1)", hours)
        .execute(connection)
        .await?;
    Ok(())
}

/// Begins a reading of hours.
pub async fn begin_hours(connection: &mut PgConnection, hours: &[i64], token: i64) -> Result<()> {
    sqlx::query!(
        "INSERT INTO hour_summary (hour, token) SELECT hour, $2::bigint FROM unnest($1::bigint[]) AS begun (hour)
         ON CONFLICT (hour) DO UPDATE SET token = excluded.token, version = NULL, body = NULL",
        hours,
        token
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what a reading made of an hour, unless the hour was forgotten or begun again meanwhile.
pub async fn fill_hour(
    connection: &mut PgConnection,
    (hour, token): (i64, i64),
    version: i64,
    body: &[u8],
) -> Result<()> {
    sqlx::query!(
        "UPDATE hour_summary SET version = $3, body = $4 WHERE hour = $1 AND token = $2 AND version IS NULL",
        hour,
        token,
        version,
        body
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the hours that have a summary of a version.
pub async fn summed_hours(server: impl PgExecutor<'_>, version: i64) -> Result<Vec<i64>> {
    sqlx::query_scalar!("SELECT hour FROM hour_summary WHERE version = $1", version)
        .fetch_all(server)
        .await
}

/// Returns the summaries of a version, of the hours from `first` to `last`, in order.
pub fn hours<'c>(
    connection: &'c mut PgConnection,
    (first, last): (i64, i64),
    version: i64,
) -> impl Stream<Item = Result<(i64, Vec<u8>)>> + Send + 'c {
    let rows = sqlx::query!(
        r#"SELECT hour, body AS "body!" FROM hour_summary
           WHERE hour BETWEEN $1 AND $2 AND version = $3 ORDER BY hour"#,
        first,
        last,
        version
    );
    rows.fetch(connection).map(|row| row.map(|row| (row.hour, row.body)))
}

/// What a summary needs of a query.
#[derive(Debug)]
pub struct HourRow {
    pub started_ms: i64,
    pub duration_ms: Option<i64>,
    pub is_failed: bool,
    pub is_load: bool,
    pub fingerprint: Option<i64>,
    pub user: Option<String>,
    pub db: Option<String>,
    pub cluster: Option<String>,
    pub peak_memory_bytes: Option<i64>,
    pub scan_rows: Option<i64>,
    pub scan_bytes: Option<i64>,
    pub cpu_time_ms: Option<i64>,
    pub return_rows: Option<i64>,
    pub spill_write_bytes: Option<i64>,
    pub queue_time_ms: Option<i64>,
    pub parse_time_ms: Option<i64>,
    pub plan_time_ms: Option<i64>,
    pub schedule_time_ms: Option<i64>,
}

/// Returns the queries that started from `first_ms` to `last_ms`, by start.
pub fn hour_rows<'c>(
    connection: &'c mut PgConnection,
    (first_ms, last_ms): (i64, i64),
) -> impl Stream<Item = Result<HourRow>> + Send + 'c {
    let rows = sqlx::query_as!(
        HourRow,
        r#"SELECT started_ms AS "started_ms!", duration_ms, is_failed AS "is_failed!", kind = 'load' AS "is_load!",
                  fingerprint, "user", db, cluster, peak_memory_bytes, scan_rows, scan_bytes, cpu_time_ms,
                  return_rows, spill_write_bytes, queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms
           FROM query WHERE started_ms BETWEEN $1 AND $2 ORDER BY started_ms"#,
        first_ms,
        last_ms
    );
    rows.fetch(connection)
}
