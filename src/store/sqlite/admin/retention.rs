//! Keeping a history within its bounds: what is to go is found by reading, a little at a time, and the
//! writer removes it between what others write.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteTransaction;

use super::super::Store;
use super::super::login::remove_logins;
use crate::domain::retention::Retention;
use crate::store::error::StoreError;

/// What goes in one step is at most so much, so that nobody who writes waits long for it: some 10 ms.
const STEP_QUERIES: u32 = 500;
/// Bytes of profiles that go in one step: the pages of each are visited.
const STEP_BYTES: i64 = 8 << 20;
/// What a query takes without its profile, about.
const QUERY_BYTES: i64 = 500;
/// Pages that are given back to the disk in one step; each is another page's content moved.
const STEP_PAGES: u32 = 256;
/// Where the file has come near its bound, the oldest go until it is this far from it, in percent.
const NEAR_PERCENT: u64 = 98;
const FAR_PERCENT: u64 = 97;
/// A file of which so many percent are free is made smaller; a little room is used again at once.
const FREE_PERCENT: i64 = 2;
/// Profiles to remove are looked for so often: that reads something of each.
const PROFILES_EVERY: Duration = Duration::from_secs(60);
/// Profiles that one look finds.
const PROFILES_FOUND: i64 = 20_000;

/// Rows to be removed in one step.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Rows of `query`; their loads and profiles go with them.
    pub queries: Vec<i64>,
    /// Queries whose profiles go.
    pub profiles: Vec<i64>,
    /// Log-ins before this time go, in Unix milliseconds, a thousand at once.
    pub logins_before_ms: Option<i64>,
    /// Pages that are given back to the disk after that.
    pub pages: u32,
}

impl Removal {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
            && self.profiles.is_empty()
            && self.logins_before_ms.is_none()
            && self.pages == 0
    }
}

/// How much room a history takes.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    page_bytes: i64,
    pages: i64,
    free_pages: i64,
    is_shrinkable: bool,
}

impl Room {
    /// The file, in bytes.
    pub fn file_bytes(&self) -> i64 {
        self.pages * self.page_bytes
    }

    /// What of it holds something.
    pub fn used_bytes(&self) -> i64 {
        (self.pages - self.free_pages) * self.page_bytes
    }

    /// What of it holds nothing, and could be given back to the disk.
    pub fn free_bytes(&self) -> i64 {
        self.free_pages * self.page_bytes
    }

    /// Whether its free pages can be given back to the disk a few at a time. A file that another program
    /// made may not be.
    pub fn is_shrinkable(&self) -> bool {
        self.is_shrinkable
    }
}

/// How far the write-ahead log may grow before it is moved into the file, in pages. Of a file that is
/// bounded it is a small part.
pub(crate) fn log_pages(max_size: Option<u64>) -> u64 {
    const USUAL: u64 = 16_384;
    max_size.map_or(USUAL, |bound| (bound / super::super::PAGE_BYTES / 64).clamp(64, USUAL))
}

/// Finds what is to go, step by step.
#[derive(Debug)]
pub(crate) struct Pruner {
    store: Store,
    retention: Retention,
    /// Whether all free pages are given back, not just those beyond a little room.
    all_free_pages: bool,
    /// Profiles that were found and are to go, with their bytes.
    profiles: VecDeque<(i64, i64)>,
    looked: Option<Instant>,
    /// Whether the oldest go until the file is far enough from its bound again.
    shrinking: bool,
}

impl Pruner {
    /// What keeps a history within these bounds as it grows.
    pub(crate) fn new(store: Store, retention: Retention) -> Pruner {
        let profiles = VecDeque::new();
        Pruner { store, retention, all_free_pages: false, profiles, looked: None, shrinking: false }
    }

    /// The same for once, and all free pages are given back.
    pub(crate) fn once(store: Store, retention: Retention) -> Pruner {
        Pruner { all_free_pages: true, ..Pruner::new(store, retention) }
    }

    /// What is to go next; nothing where the history is within its bounds.
    pub(crate) async fn next(&mut self, now_ms: i64) -> Result<Removal, StoreError> {
        let room = self.store.room().await?;
        let mut removal = Removal::default();
        if let Some(from_ms) = self.retention.queries_from_ms(now_ms) {
            removal.queries = self.store.oldest(Some(from_ms), i64::MAX).await?;
            if self.store.has_login_before(from_ms).await? {
                removal.logins_before_ms = Some(from_ms);
            }
        }
        if let Some(bound) = self.retention.max_size
            && removal.queries.is_empty()
        {
            let log_bytes = log_pages(Some(bound)) * super::super::PAGE_BYTES;
            let used = u64::try_from(room.used_bytes()).unwrap_or(0) + log_bytes;
            let percent = if self.shrinking { FAR_PERCENT } else { NEAR_PERCENT };
            self.shrinking = used > bound / 100 * percent;
            if self.shrinking {
                let excess = i64::try_from(used - bound / 100 * FAR_PERCENT).unwrap_or(i64::MAX);
                removal.queries = self.store.oldest(None, excess).await?;
                // Log-ins go with the queries of their time.
                removal.logins_before_ms =
                    self.store.span(None).await?.map(|(first_ms, _)| first_ms);
            }
        }
        if removal.queries.is_empty() {
            removal.profiles = self.next_profiles(now_ms).await?;
        }
        let kept = if self.all_free_pages { 0 } else { room.pages * FREE_PERCENT / 100 };
        if removal.is_empty() && room.is_shrinkable && room.free_pages > kept {
            removal.pages = STEP_PAGES;
        }
        Ok(removal)
    }

    async fn next_profiles(&mut self, now_ms: i64) -> Result<Vec<i64>, StoreError> {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= PROFILES_EVERY);
        if self.profiles.is_empty() && due {
            self.profiles = self.store.outdated_profiles(&self.retention, now_ms).await?.into();
            // After a full find there may be more at once.
            let full = self.profiles.len() as i64 >= PROFILES_FOUND;
            self.looked = (!full).then(Instant::now);
        }
        let (mut step, mut bytes) = (Vec::new(), 0);
        while let Some((query, size)) = self.profiles.pop_front() {
            step.push(query);
            bytes += size;
            if step.len() >= STEP_QUERIES as usize || bytes >= STEP_BYTES {
                break;
            }
        }
        Ok(step)
    }
}

/// Removes what a batch names; gives how many queries and profiles went. A profile that goes with its
/// query counts as that query.
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
        let mut shapes: Vec<i64> = removed.into_iter().flatten().collect();
        shapes.sort_unstable();
        shapes.dedup();
        let list = serde_json::json!(shapes).to_string();
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
        // A pragma gives a row for each page, and stops where nobody asks for the next.
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA incremental_vacuum({})", removal.pages)))
            .fetch_all(&mut **transaction)
            .await?;
    }
    Ok((queries, profiles))
}

impl Store {
    /// How much room the history takes now.
    pub async fn room(&self) -> Result<Room, StoreError> {
        // A bare column of a pragma is none that the macro finds.
        sqlx::query_as!(
            Room,
            r#"SELECT
                   (SELECT 0 + page_size FROM pragma_page_size()) AS "page_bytes!: i64",
                   (SELECT 0 + page_count FROM pragma_page_count()) AS "pages!: i64",
                   (SELECT 0 + freelist_count FROM pragma_freelist_count()) AS "free_pages!: i64",
                   (SELECT auto_vacuum = 2 FROM pragma_auto_vacuum()) AS "is_shrinkable!: bool""#
        )
        .fetch_one(&self.reporters)
        .await
        .map_err(StoreError::from)
    }

    /// The write-ahead log beside the file, in bytes.
    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(log_path(&self.path)).map_or(0, |metadata| metadata.len())
    }

    /// The rows of the oldest queries, as many as go in a step, and no more than make up `excess` bytes; of
    /// those that started before a time, if one is given. Queries whose start nobody knows are the oldest
    /// of all, but have no age.
    async fn oldest(&self, from_ms: Option<i64>, excess: i64) -> Result<Vec<i64>, StoreError> {
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

    /// The queries whose profiles are to go, with the profiles' bytes, the oldest first.
    async fn outdated_profiles(
        &self,
        retention: &Retention,
        now_ms: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let from_ms = retention.profiles_from_ms(now_ms);
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
        let rows = sqlx::query!(
            r#"SELECT profile.query AS "query!", length(profile.body) AS "bytes!: i64",
                      query.started_ms
               FROM profile CROSS JOIN query ON query.id = profile.query
               WHERE ?1 OR query.started_ms < ?2
               ORDER BY query.started_ms, query.id LIMIT ?3"#,
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
