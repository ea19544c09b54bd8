//! Which zones times were read in.

use sqlx::{PgConnection, PgExecutor};

use crate::Result;

/// A source, and a zone in which its times were read.
#[derive(Debug)]
pub struct TimeSource {
    pub id: i64,
    pub source: String,
    pub time_zone: String,
    pub shifted_ms: i64,
    pub used_ms: i64,
}

/// Returns every source with each zone in which it was read.
pub async fn time_sources(server: impl PgExecutor<'_>) -> Result<Vec<TimeSource>> {
    sqlx::query_as!(
        TimeSource,
        "SELECT t.id, t.source, t.time_zone, t.shifted_ms, t.used_ms FROM time_source t ORDER BY t.source, t.used_ms"
    )
    .fetch_all(server)
    .await
}

/// Returns the zones in which a source was read.
pub async fn time_sources_of(
    connection: &mut PgConnection,
    source: &str,
) -> Result<Vec<TimeSource>> {
    sqlx::query_as!(
        TimeSource,
        "SELECT id, source, time_zone, shifted_ms, used_ms FROM time_source WHERE source = $1",
        source
    )
    .fetch_all(connection)
    .await
}

/// Stores a source with a zone, or when it was used if it is stored already. Returns its number.
pub async fn put_time_source(connection: &mut PgConnection, row: &TimeSource) -> Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO time_source (source, time_zone, shifted_ms, used_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (source, time_zone, shifted_ms) 
             DO UPDATE SET used_ms = greatest(time_source.used_ms, excluded.used_ms) RETURNING id",
        row.source,
        row.time_zone,
        row.shifted_ms,
        row.used_ms
    )
    .fetch_one(connection)
    .await
}
