//! Finding and removing what retention lets go, and the size of the file.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteTransaction;

use super::super::login::remove_logins;
use super::super::{PAGE_BYTES, Store};
use crate::domain::retention::Retention;
use crate::store::error::StoreError;
use crate::store::retention::{DiskUsage, PROFILES_FOUND, Removal, STEP_BYTES, STEP_QUERIES};

/// Bytes that a query takes without its profile, about.
const QUERY_BYTES: i64 = 500;

/// Pages of a full write-ahead log, unless the file has a bound.
const LOG_PAGES: u64 = 16_384;

/// Returns how many pages the write-ahead log may have before SQLite moves them into the file. The log of a
/// file with a bound takes a small part of the bound.
pub(in crate::store::sqlite) fn log_pages(max_size: Option<u64>) -> u64 {
    max_size.map_or(LOG_PAGES, |bound| (bound / PAGE_BYTES / 64).clamp(64, LOG_PAGES))
}

/// Removes rows. Returns how many queries and how many profiles were removed; a profile that goes with its
/// query does not count.
pub(in crate::store::sqlite) async fn remove(
    transaction: &mut SqliteTransaction<'_>,
    removal: &Removal,
) -> Result<(u64, u64), StoreError> {
    let (mut queries, mut profiles) = (0, 0);
    if !removal.profiles.is_empty() {
        let list = serde_json::json!(removal.profiles).to_string();
        let removed = sqlx::query!(
            "DELETE FROM profile WHERE query IN (SELECT value FROM json_each(?))",
            list
        )
        .execute(&mut **transaction)
        .await?;
        profiles = removed.rows_affected();
    }
    if !removal.queries.is_empty() {
        let list = serde_json::json!(removal.queries).to_string();
        let removed = sqlx::query_scalar!(
            "DELETE FROM query WHERE id IN (SELECT value FROM json_each(?)) RETURNING fingerprint",
            list
        )
        .fetch_all(&mut **transaction)
        .await?;
        queries = removed.len() as u64;
        let mut fingerprints: Vec<i64> = removed.into_iter().flatten().collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        let list = serde_json::json!(fingerprints).to_string();
        sqlx::query!(
            "DELETE FROM statement
             WHERE fingerprint IN (SELECT value FROM json_each(?))
               AND NOT EXISTS (SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint)",
            list
        )
        .execute(&mut **transaction)
        .await?;
    }
    if let Some(before_ms) = removal.logins_before_ms {
        remove_logins(transaction, before_ms).await?;
    }
    if removal.pages > 0 {
        // The pragma frees a page for each row that is fetched.
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA incremental_vacuum({})", removal.pages)))
            .fetch_all(&mut **transaction)
            .await?;
    }
    Ok((queries, profiles))
}

impl Store {
    /// Returns the space that the database takes now.
    pub(crate) async fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        // The macro does not find a column of a pragma that is no expression.
        sqlx::query_file_as!(DiskUsage, "src/store/queries/disk_usage.sql")
            .fetch_one(&self.reporters)
            .await
            .map_err(|error| self.read_pool.noted(error))
    }

    /// Returns the size of the write-ahead log beside the file.
    pub(crate) fn log_bytes(&self) -> u64 {
        std::fs::metadata(log_path(&self.path)).map_or(0, |metadata| metadata.len())
    }

    /// Returns how large the write-ahead log of a file with this bound gets.
    pub(in crate::store) fn max_log_bytes(bound: u64) -> u64 {
        log_pages(Some(bound)) * PAGE_BYTES
    }

    /// Returns the rows of the oldest queries: as many as go in a step, and no more than make up `excess`
    /// bytes; if a time is given, only of queries that started before. Queries without a start are the oldest,
    /// but did not start before any time.
    pub(in crate::store) async fn oldest(
        &self,
        from_ms: Option<i64>,
        excess: i64,
    ) -> Result<Vec<i64>, StoreError> {
        struct Old {
            id: i64,
            bytes: i64,
        }
        let rows = match from_ms {
            Some(from_ms) => {
                sqlx::query_as!(
                    Old,
                    r#"SELECT query.id AS "id!", ifnull(length(body), 0) AS "bytes!: i64"
                       FROM query LEFT JOIN profile ON profile.query = query.id
                       WHERE started_ms < ? ORDER BY started_ms, query.id LIMIT ?"#,
                    from_ms,
                    STEP_QUERIES
                )
                .fetch_all(&self.reporters)
                .await?
            }
            None => {
                sqlx::query_as!(
                    Old,
                    r#"SELECT query.id AS "id!", ifnull(length(body), 0) AS "bytes!: i64"
                       FROM query LEFT JOIN profile ON profile.query = query.id
                       ORDER BY started_ms, query.id LIMIT ?"#,
                    STEP_QUERIES
                )
                .fetch_all(&self.reporters)
                .await?
            }
        };
        let mut bytes = 0;
        let step = rows.into_iter().take_while(|row| {
            let fits = bytes < excess.min(STEP_BYTES);
            bytes += QUERY_BYTES + row.bytes;
            fits
        });
        Ok(step.map(|row| row.id).collect())
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
                .fetch_one(&self.reporters)
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
        .fetch_all(&self.reporters)
        .await?;
        let mut left = too_many;
        let outdated = rows.into_iter().take_while(|row| {
            let old = row.started_ms.zip(from_ms).is_some_and(|(ms, from_ms)| ms < from_ms);
            let goes = old || left > 0;
            left -= row.bytes;
            goes
        });
        Ok(outdated.map(|row| (row.query, row.bytes)).collect())
    }
}

pub(in crate::store::sqlite) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push("-wal");
    name.into()
}
