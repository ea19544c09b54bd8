//! Reading a whole database, to merge it into another.

use std::hash::Hash as _;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use xxhash_rust::xxh3::Xxh3;

use super::super::Store;
use super::super::raw::{is_readable_after, queries_after, queries_alone_after};
use crate::domain::profile::Profile;
use crate::domain::record::{QueryRecord, StoredQuery};
use crate::store::batch::MergedPart;
use crate::store::contents::{Page, StoredPage, Unread};
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// Queries of a page.
const PAGE: i64 = 500;

/// The rows that a search for the end of damage skips at most at once. Some thousand rows are below a damaged page; a
/// longer step might skip rows that can be read.
const SKIPPED: i64 = 64;

impl Store {
    /// Returns the queries after a row, in the order of their arrival; none after the last. Skips rows that are damaged.
    pub(crate) async fn page_after(&self, row: i64) -> Result<Option<Page>, StoreError> {
        let Some(read) = self.stored_after(row).await? else { return Ok(None) };
        let StoredPage { queries, last, unread, is_damaged } = read;
        Ok(Some(Page { last, unread, is_damaged, ..Page::of(queries) }))
    }

    /// Returns the same with the whole statements, for other uses than a merge.
    pub(super) async fn stored_after(&self, row: i64) -> Result<Option<StoredPage>, StoreError> {
        if row == i64::MAX {
            return Ok(None);
        }
        let mut connection = self.reporters.acquire().await?;
        match queries_after(&mut connection, row, PAGE).await {
            Err(error) if error.is_damage() => {
                damaged_page_after(&mut connection, row).await.map(Some)
            }
            read => {
                let (queries, unread) = read?;
                let Some(last) = queries.last().map(|query| query.id) else { return Ok(None) };
                let is_damaged = unread != Unread::default();
                Ok(Some(StoredPage { queries, last, unread, is_damaged }))
            }
        }
    }

    /// Returns the profile of a row with the record of its query; only the record if the profile is damaged.
    pub(crate) async fn profile_of_row(
        &self,
        row: i64,
        summary: QueryRecord,
    ) -> Result<Result<Profile, QueryRecord>, StoreError> {
        let stored = sqlx::query!("SELECT text_bytes, body FROM profile WHERE query = ?", row)
            .fetch_optional(&self.reporters)
            .await
            .map_err(StoreError::from);
        let stored = match stored {
            Err(error) if error.is_damage() => None,
            stored => stored?,
        };
        let text = stored.and_then(|stored| unpack(&stored.body, stored.text_bytes).ok());
        Ok(match text {
            Some(text) => Ok(Profile { summary, text }),
            None => Err(summary),
        })
    }

    /// Returns a hash of the profiles of some queries.
    pub(crate) async fn hash_of_profiles(
        &self,
        queries: &[&StoredQuery],
    ) -> Result<u128, StoreError> {
        let rows: Vec<i64> = queries.iter().map(|query| query.id).collect();
        let rows = serde_json::json!(rows).to_string();
        let mut profiles = sqlx::query!(
            "SELECT text_bytes, body FROM profile
             WHERE query IN (SELECT value FROM json_each(?)) ORDER BY query",
            rows
        )
        .fetch(&self.reporters);
        let mut hash = Xxh3::new();
        while let Some(profile) = profiles.try_next().await? {
            (profile.text_bytes, profile.body).hash(&mut hash);
        }
        Ok(hash.digest128())
    }

    /// Returns whether a part of another history is noted as merged, and all of it is still stored.
    pub(crate) async fn has_merged(&self, part: &MergedPart) -> Result<bool, StoreError> {
        let MergedPart { digest, queries, profiles, logins } = part;
        let [own_queries, own_profiles, own_logins] =
            [queries, profiles, logins].map(|ids| serde_json::json!(ids).to_string());
        let is_noted = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM merged_part WHERE digest = ?) AS "is_noted!: bool""#,
            digest
        );
        if !is_noted.fetch_one(&self.reporters).await? {
            return Ok(false);
        }
        let stored = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM query WHERE query_id IN (SELECT value FROM json_each(?1))) AS "queries!: i64",
                   (SELECT count(*) FROM query JOIN profile ON profile.query = query.id
                    WHERE query_id IN (SELECT value FROM json_each(?2))) AS "profiles!: i64",
                   (SELECT count(*) FROM login WHERE login_id IN (SELECT value FROM json_each(?3))) AS "logins!: i64""#,
            own_queries,
            own_profiles,
            own_logins
        )
        .fetch_one(&self.reporters)
        .await?;
        Ok(part.is_whole([stored.queries, stored.profiles, stored.logins]))
    }
}

/// Returns the queries after a row where a page of the file is damaged. What cannot be read of them is counted. The page
/// after the last readable row ends with the largest row.
async fn damaged_page_after(
    connection: &mut SqliteConnection,
    row: i64,
) -> Result<StoredPage, StoreError> {
    let mut limit = PAGE;
    let (queries, unread) = loop {
        match queries_alone_after(connection, row, limit).await {
            // Fewer rows may end before the damage.
            Err(error) if error.is_damage() && limit > 1 => limit /= 2,
            Err(error) if error.is_damage() => {
                let last = end_of_damage(connection, row).await?.unwrap_or(i64::MAX);
                return Ok(StoredPage { last, is_damaged: true, ..StoredPage::default() });
            }
            read => break read?,
        }
    };
    let last = queries.last().map_or(i64::MAX, |query| query.id);
    Ok(StoredPage { queries, last, unread, is_damaged: true })
}

/// Returns the last row from `row` on that is damaged, or None if no row can be read any more.
async fn end_of_damage(
    connection: &mut SqliteConnection,
    row: i64,
) -> Result<Option<i64>, StoreError> {
    let newest = newest_row(connection).await?.unwrap_or(row);
    let (mut damaged, mut step) = (row.max(-1), 1);
    // Rows between the last damaged row and the first readable one.
    let mut readable = loop {
        if damaged >= newest {
            return Ok(None);
        }
        let next = damaged.saturating_add(step);
        if is_readable_after(connection, next).await? {
            break next;
        }
        damaged = next;
        step = SKIPPED.min(step * 2);
    };
    while readable - damaged > 1 {
        let middle = damaged + (readable - damaged) / 2;
        match is_readable_after(connection, middle).await? {
            true => readable = middle,
            false => damaged = middle,
        }
    }
    Ok(Some(readable))
}

/// Returns the newest row that an index has, or None if no index can be read.
async fn newest_row(connection: &mut SqliteConnection) -> Result<Option<i64>, StoreError> {
    let by_start = sqlx::query_scalar!("SELECT max(id) FROM query INDEXED BY query_by_start")
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::from);
    match by_start {
        Err(error) if error.is_damage() => {}
        newest => return newest,
    }
    let by_id = sqlx::query_scalar!("SELECT max(id) FROM query INDEXED BY query_by_query_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::from);
    match by_id {
        Err(error) if error.is_damage() => Ok(None),
        newest => newest,
    }
}
