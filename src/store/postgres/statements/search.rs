//! Statements of the search index.

use sqlx::{Connection, PgConnection, PgExecutor};

use super::Result;

/// Returns the last row that a sequence gave, and the number of this transaction. Whoever was given a row until now has a
/// lower number.
pub async fn last_row(connection: &mut PgConnection) -> Result<(i64, i64)> {
    let row = sqlx::query_scalar!(r#"SELECT last_value AS "row!" FROM query_id_seq"#)
        .fetch_one(&mut *connection)
        .await?;
    let number = sqlx::query_scalar!(r#"SELECT pg_current_xact_id()::text::bigint AS "number!""#)
        .fetch_one(connection)
        .await?;
    Ok((row, number))
}

/// Returns the number below which every transaction has ended.
pub async fn ended_transactions(server: impl PgExecutor<'_>) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "number!""#
    )
    .fetch_one(server)
    .await
}

/// Returns the first and the last row of `query`; None if there is none.
pub async fn row_range(server: impl PgExecutor<'_>) -> Result<Option<(i64, i64)>> {
    let range = sqlx::query!("SELECT min(id) AS first, max(id) AS last FROM query");
    let range = range.fetch_one(server).await?;
    Ok(range.first.zip(range.last))
}

/// Returns a stale segment, and the newest segment.
pub async fn segments_to_make(server: impl PgExecutor<'_>) -> Result<(Option<i64>, Option<i64>)> {
    let found = sqlx::query!(
        "SELECT min(segment) FILTER (WHERE is_stale) AS stale, max(segment) AS newest
         FROM search_segment"
    );
    let found = found.fetch_one(server).await?;
    Ok((found.stale, found.newest))
}

/// Adds a segment, as a stale one, if there is none, once every transaction has ended that changes its statements without
/// having found it. Returns how often its statements have changed.
pub async fn begin_segment(connection: &mut PgConnection, segment: i64) -> Result<i64> {
    let mut transaction = connection.begin().await?;
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('annals: search segment', $1))",
        segment
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO search_segment (segment, is_stale, changes) VALUES ($1, true, 0)
         ON CONFLICT (segment) DO NOTHING",
        segment
    )
    .execute(&mut *transaction)
    .await?;
    let changes =
        sqlx::query_scalar!("SELECT changes FROM search_segment WHERE segment = $1", segment)
            .fetch_one(&mut *transaction)
            .await?;
    transaction.commit().await?;
    Ok(changes)
}

/// Stores pages of a segment.
pub async fn write_pages(
    connection: &mut PgConnection,
    ids: &[i64],
    masks: &[Vec<u8>],
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO search_page (id, masks)
         SELECT id, masks FROM unnest($1::bigint[], $2::bytea[]) AS new (id, masks)
         ON CONFLICT (id) DO UPDATE SET masks = excluded.masks",
        ids,
        masks
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a segment valid, unless a statement has changed since it was begun.
pub async fn end_segment(connection: &mut PgConnection, segment: i64, changes: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE search_segment SET is_stale = false WHERE segment = $1 AND changes = $2",
        segment,
        changes
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that statements of segments have changed.
pub async fn change_segments(connection: &mut PgConnection, segments: &[i64]) -> Result<()> {
    // A segment that is begun meanwhile waits for this transaction.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('annals: search segment', segment))
         FROM unnest($1::bigint[]) AS segment",
        segments
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE search_segment SET is_stale = true, changes = changes + 1 WHERE segment = ANY($1)",
        segments
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the segments before one, and the pages before one.
pub async fn remove_segments(connection: &mut PgConnection, segment: i64, page: i64) -> Result<()> {
    let removed = sqlx::query!("DELETE FROM search_segment WHERE segment < $1", segment)
        .execute(&mut *connection)
        .await?;
    if removed.rows_affected() > 0 {
        sqlx::query!("DELETE FROM search_page WHERE id < $1", page).execute(connection).await?;
    }
    Ok(())
}

/// Returns the segments whose masks are valid.
pub async fn valid_segments(server: impl PgExecutor<'_>) -> Result<Vec<i64>> {
    sqlx::query_scalar!("SELECT segment FROM search_segment WHERE NOT is_stale")
        .fetch_all(server)
        .await
}

/// Returns the pages with these numbers that there are.
pub async fn pages(server: impl PgExecutor<'_>, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>> {
    let pages = sqlx::query!("SELECT id, masks FROM search_page WHERE id = ANY($1)", ids);
    let pages = pages.fetch_all(server).await?;
    Ok(pages.into_iter().map(|page| (page.id, page.masks)).collect())
}
