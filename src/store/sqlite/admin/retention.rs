//! Finding and removing what retention lets go, and the size of the file.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteTransaction;

use super::super::login::remove_logins;
use super::super::{PAGE_BYTES, Store};
use crate::domain::retention::Retention;
use crate::store::batch::WriteSummary;
use crate::store::error::StoreError;
use crate::store::ngram_index::{PAGES, SEGMENT_ROWS};
use crate::store::retention::{
    DiskUsage, Mark, Oldest, OldestFilter, PROFILES_FOUND, Removal, STATEMENTS_FOUND, outdated,
};

/// Bytes that a query takes beside its texts, with its entries in the indexes, about.
const QUERY_BYTES: i64 = 300;
/// Bytes that a label takes beside its own text, in the table and in the index, about.
const LABEL_BYTES: i64 = 30;
/// Labels that one step removes.
const LABELS: i64 = 5000;

/// Pages of a full write-ahead log, unless the file has a bound.
const LOG_PAGES: u64 = 16_384;

/// Returns how many pages the write-ahead log may have before SQLite moves them into the file. The log of a
/// file with a bound takes a small part of the bound.
pub(in crate::store::sqlite) fn log_pages(max_size: Option<u64>) -> u64 {
    max_size.map_or(LOG_PAGES, |bound| (bound / PAGE_BYTES / 64).clamp(64, LOG_PAGES))
}

/// Removes rows, and notes in `written` how many queries and profiles were removed and what became free. A profile that
/// goes with its query does not count. Returns the starts of the queries.
pub(in crate::store::sqlite) async fn remove(
    transaction: &mut SqliteTransaction<'_>,
    removal: &Removal,
    written: &mut WriteSummary,
) -> Result<Vec<i64>, StoreError> {
    let mut starts = Vec::new();
    let free_before = free_pages(transaction).await?;
    if !removal.profiles.is_empty() {
        let list = serde_json::json!(removal.profiles).to_string();
        let removed = sqlx::query!(
            "DELETE FROM profile WHERE query IN (SELECT value FROM json_each(?))",
            list
        )
        .execute(&mut **transaction)
        .await?;
        written.removed_profiles = removed.rows_affected();
    }
    if !removal.queries.is_empty() {
        let list = serde_json::json!(removal.queries).to_string();
        let removed = sqlx::query!(
            "DELETE FROM query WHERE id IN (SELECT value FROM json_each(?)) RETURNING fingerprint, started_ms",
            list
        )
        .fetch_all(&mut **transaction)
        .await?;
        written.removed_queries = removed.len() as u64;
        starts.extend(removed.iter().filter_map(|query| query.started_ms));
        let mut fingerprints: Vec<i64> =
            removed.iter().filter_map(|query| query.fingerprint).collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        remove_unused_statements(transaction, &fingerprints).await?;
    }
    if let Some(before_ms) = removal.logins_before_ms {
        remove_logins(transaction, before_ms).await?;
    }
    remove_leftovers(transaction, removal).await?;
    let free_after = free_pages(transaction).await?;
    written.freed_bytes = free_after.saturating_sub(free_before) * PAGE_BYTES;
    if removal.pages > 0 {
        // The pragma frees a page for each row that is fetched.
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA incremental_vacuum({})", removal.pages)))
            .fetch_all(&mut **transaction)
            .await?;
    }
    if let Some(mark) = &removal.mark {
        write_mark(transaction, mark).await?;
    }
    Ok(starts)
}

async fn free_pages(transaction: &mut SqliteTransaction<'_>) -> Result<u64, StoreError> {
    let pages: i64 =
        sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut **transaction).await?;
    Ok(u64::try_from(pages).unwrap_or(0))
}

/// Removes those of the normalized statements that no query has.
async fn remove_unused_statements(
    transaction: &mut SqliteTransaction<'_>,
    fingerprints: &[i64],
) -> Result<(), StoreError> {
    let list = serde_json::json!(fingerprints).to_string();
    sqlx::query!(
        "DELETE FROM statement
         WHERE fingerprint IN (SELECT value FROM json_each(?))
           AND NOT EXISTS (SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint)",
        list
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Removes labels, statements and segments that nobody needs. The reader that found them may not have seen the last
/// commit, so that the conditions are checked again.
async fn remove_leftovers(
    transaction: &mut SqliteTransaction<'_>,
    removal: &Removal,
) -> Result<(), StoreError> {
    if let Some(before_ms) = removal.labels_before_ms {
        sqlx::query!(
            "DELETE FROM stream_load_label WHERE (cluster, db, label) IN (
                 SELECT cluster, db, label FROM stream_load_label WHERE loaded_ms < ? ORDER BY loaded_ms LIMIT ?)",
            before_ms,
            LABELS
        )
        .execute(&mut **transaction)
        .await?;
    }
    if !removal.statements.is_empty() {
        remove_unused_statements(transaction, &removal.statements).await?;
    }
    for segment in &removal.segments {
        let removed = sqlx::query!(
            "DELETE FROM search_segment WHERE segment = ?1 AND NOT EXISTS (
                 SELECT 1 FROM query WHERE id BETWEEN ?1 * ?2 AND (?1 + 1) * ?2 - 1)",
            segment,
            SEGMENT_ROWS
        )
        .execute(&mut **transaction)
        .await?;
        if removed.rows_affected() > 0 {
            sqlx::query!(
                "DELETE FROM search_page WHERE id BETWEEN ?1 * ?2 AND (?1 + 1) * ?2 - 1",
                segment,
                PAGES
            )
            .execute(&mut **transaction)
            .await?;
        }
    }
    Ok(())
}

async fn write_mark(
    transaction: &mut SqliteTransaction<'_>,
    mark: &Mark,
) -> Result<(), StoreError> {
    let (off_ms, off_for_ms) =
        (mark.clock.off.map(|off| off.system_ms), mark.clock.off.map(|off| off.for_ms));
    sqlx::query!(
        "INSERT OR REPLACE INTO retention_clock (id, trusted_ms, off_ms, off_for_ms, settled_query)
         VALUES (1, ?, ?, ?, ?)",
        mark.clock.trusted_ms,
        off_ms,
        off_for_ms,
        mark.settled_query
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Store {
    /// Returns the space that the database takes now.
    pub(crate) async fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        // The macro does not find a column of a pragma that is no expression.
        sqlx::query_file_as!(DiskUsage, "src/store/queries/disk_usage.sql")
            .fetch_one(&self.keeper)
            .await
            .map_err(|error| self.read_pool.noted(error))
    }

    /// Returns the size of the write-ahead log beside the file.
    pub(crate) fn log_bytes(&self) -> u64 {
        Store::log_bytes_of(&self.path)
    }

    /// Returns the size of the write-ahead log beside a file.
    pub(crate) fn log_bytes_of(path: &Path) -> u64 {
        std::fs::metadata(log_path(path)).map_or(0, |metadata| metadata.len())
    }

    /// Returns how large the write-ahead log of a file with this bound gets.
    pub(in crate::store) fn max_log_bytes(bound: u64) -> u64 {
        log_pages(Some(bound)) * PAGE_BYTES
    }

    /// Returns what retention noted last; none if it never did.
    pub(crate) async fn retention_mark(&self) -> Result<Option<Mark>, StoreError> {
        let found = sqlx::query!(
            "SELECT trusted_ms, off_ms, off_for_ms, settled_query FROM retention_clock"
        )
        .fetch_optional(&self.keeper)
        .await?;
        Ok(found.map(|row| {
            Mark::of_row(row.trusted_ms, row.off_ms.zip(row.off_for_ms), row.settled_query)
        }))
    }

    /// Returns the newest start that is not after a time, in Unix milliseconds.
    pub(crate) async fn newest_start_ms(&self, until_ms: i64) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar!(
            r#"SELECT max(started_ms) AS "ms: i64" FROM query WHERE started_ms <= ?"#,
            until_ms
        )
        .fetch_one(&self.keeper)
        .await
        .map_err(StoreError::from)
    }

    /// Returns the row that arrived last; 0 if there is none.
    pub(in crate::store) async fn newest_row(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar!(r#"SELECT ifnull(max(id), 0) AS "id!: i64" FROM query"#)
            .fetch_one(&self.keeper)
            .await
            .map_err(StoreError::from)
    }

    /// Returns the size of the tables and indexes from which retention never removes anything. Reads their pages.
    pub(in crate::store) async fn fixed_bytes(&self) -> Result<u64, StoreError> {
        let bytes = sqlx::query_file_scalar!("src/store/queries/fixed_bytes.sql")
            .fetch_one(&self.keeper)
            .await?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Returns the oldest queries. Queries without a start are the oldest, but did not start before any time.
    pub(in crate::store) async fn oldest(
        &self,
        filter: OldestFilter,
    ) -> Result<Oldest, StoreError> {
        if let Some(before_ms) = filter.before_ms {
            let queries = sqlx::query_scalar!(
                "SELECT id FROM query WHERE started_ms < ? ORDER BY started_ms, id LIMIT ?",
                before_ms,
                filter.queries
            )
            .fetch_all(&self.keeper)
            .await?;
            return Ok(Oldest { queries, ..Oldest::default() });
        }
        let rows = sqlx::query_file!("src/store/queries/oldest.sql", filter.up_to, filter.queries)
            .fetch_all(&self.keeper)
            .await?;
        let mut oldest =
            Oldest { first_ms: rows.first().and_then(|row| row.started_ms), ..Oldest::default() };
        for row in rows {
            if oldest.bytes >= filter.bytes {
                break;
            }
            oldest.queries.push(row.id);
            oldest.bytes += QUERY_BYTES + row.bytes;
        }
        Ok(oldest)
    }

    /// Returns the time before which labels go: those before `before_ms`, and the oldest beyond `max_bytes`. None if
    /// none goes.
    pub(in crate::store) async fn outdated_labels(
        &self,
        before_ms: i64,
        max_bytes: u64,
    ) -> Result<Option<i64>, StoreError> {
        let bytes = sqlx::query_scalar!(
            r#"SELECT CAST(total(2 * (octet_length(cluster) + octet_length(db) + octet_length(label)) + ?) AS INTEGER)
                   AS "bytes!: i64"
               FROM stream_load_label"#,
            LABEL_BYTES
        )
        .fetch_one(&self.keeper)
        .await?;
        let excess = bytes.saturating_sub(i64::try_from(max_bytes).unwrap_or(i64::MAX));
        let mut cutoff_ms = before_ms;
        if excess > 0 {
            let last_ms = sqlx::query_file_scalar!(
                "src/store/queries/excess_labels.sql", LABEL_BYTES, excess
            )
            .fetch_optional(&self.keeper)
            .await?;
            cutoff_ms =
                last_ms.map_or(before_ms, |last_ms| before_ms.max(last_ms.saturating_add(1)));
        }
        let first_ms = self.first_label_ms().await?;
        Ok(first_ms.filter(|first_ms| *first_ms < cutoff_ms).map(|_| cutoff_ms))
    }

    /// Returns the time of the oldest label, in Unix milliseconds.
    pub(in crate::store) async fn first_label_ms(&self) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar!(r#"SELECT min(loaded_ms) AS "ms: i64" FROM stream_load_label"#)
            .fetch_one(&self.keeper)
            .await
            .map_err(StoreError::from)
    }

    /// Returns the segments of the search index without a row.
    pub(in crate::store) async fn empty_segments(&self) -> Result<Vec<i64>, StoreError> {
        sqlx::query_scalar!(
            "SELECT segment FROM search_segment WHERE NOT EXISTS (
                 SELECT 1 FROM query WHERE id BETWEEN segment * ?1 AND (segment + 1) * ?1 - 1)
             LIMIT 16",
            SEGMENT_ROWS
        )
        .fetch_all(&self.keeper)
        .await
        .map_err(StoreError::from)
    }

    /// Looks at some normalized statements from a fingerprint on. Returns those that no query has, and the fingerprint
    /// to go on from; none after the last.
    pub(in crate::store) async fn unused_statements(
        &self,
        from: i64,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        let rows = sqlx::query!(
            r#"SELECT fingerprint, EXISTS (
                   SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint
               ) AS "is_used!: bool"
               FROM statement WHERE fingerprint >= ? ORDER BY fingerprint LIMIT ?"#,
            from,
            STATEMENTS_FOUND
        )
        .fetch_all(&self.keeper)
        .await?;
        let is_last = (rows.len() as i64) < STATEMENTS_FOUND;
        let next = rows.last().filter(|_| !is_last).and_then(|row| row.fingerprint.checked_add(1));
        let unused = rows.into_iter().filter(|row| !row.is_used).map(|row| row.fingerprint);
        Ok((unused.collect(), next))
    }

    /// Returns the queries whose profiles go, with the bytes of the profiles, the oldest first.
    pub(in crate::store) async fn outdated_profiles(
        &self,
        retention: &Retention,
        now_ms: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let from_ms = retention.profiles_cutoff_ms(now_ms);
        let too_many = match retention.profiles_max_size {
            None => 0,
            Some(bound) => {
                let bytes = sqlx::query_scalar!(
                    r#"SELECT CAST(total(length(body)) AS INTEGER) AS "bytes!: i64" FROM profile"#
                )
                .fetch_one(&self.keeper)
                .await?;
                bytes.saturating_sub(i64::try_from(bound).unwrap_or(i64::MAX))
            }
        };
        if from_ms.is_none() && too_many <= 0 {
            return Ok(Vec::new());
        }
        let all = too_many > 0;
        let rows = sqlx::query_file!(
            "src/store/queries/outdated_profiles.sql",
            all,
            from_ms,
            PROFILES_FOUND
        )
        .fetch_all(&self.keeper)
        .await?;
        let oldest = rows.into_iter().map(|row| (row.query, row.bytes, row.started_ms));
        Ok(outdated(oldest, from_ms, too_many))
    }
}

pub(in crate::store::sqlite) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push("-wal");
    name.into()
}
