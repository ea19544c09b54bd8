//! Saving what can be read of a damaged file into a sound one.

use std::path::Path;

use sqlx::sqlite::SqliteJournalMode;
use sqlx::{ConnectOptions, Connection};

use super::super::{Store, options_to_write, raw};
use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::profile::Profile;
use crate::domain::time::Zone;
use crate::store::contents::{StoredPage, Survey};
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

impl Store {
    /// Reads every page of a file without SQLite, and counts what can be read. The file and its log are not changed, and
    /// no lock is taken, so no process must write meanwhile, nor must this process have the file open.
    pub(crate) async fn survey(path: &Path) -> Result<Survey, StoreError> {
        let path = path.to_path_buf();
        let survey = tokio::task::spawn_blocking(move || raw::survey(&path));
        survey.await.map_err(StoreError::other)?
    }

    /// Writes every row that can be read of a file into `scratch`, an empty history that no connection has open. The rows
    /// there may lack their counterparts in other tables. Reads the file as [`Store::survey`] does.
    pub(crate) async fn salvage(path: &Path, scratch: &Path) -> Result<Survey, StoreError> {
        let (path, scratch) = (path.to_path_buf(), scratch.to_path_buf());
        let survey = tokio::task::spawn_blocking(move || raw::salvage(&path, &scratch));
        survey.await.map_err(StoreError::other)?
    }

    /// Copies the tables that a merge does not read, such as users and labels, from another history.
    pub(crate) async fn copy_rest(&self, from: &Path) -> Result<(), StoreError> {
        let (from, into) = (from.to_path_buf(), self.path.clone());
        let copied = tokio::task::spawn_blocking(move || raw::copy_rest(&from, &into));
        copied.await.map_err(StoreError::other)?
    }

    /// Turns WAL mode off in a file that no connection has open, as in a backup: no log belongs to the file then.
    pub(crate) async fn end_log(path: &Path) -> Result<(), StoreError> {
        let options = options_to_write(path).journal_mode(SqliteJournalMode::Delete);
        Ok(options.connect().await?.close().await?)
    }

    /// Returns the next profile after a row whose query has no row, with the row; the profile is None if its text cannot
    /// be unpacked or read. The time zone of its times is unknown, so it has none.
    pub(crate) async fn orphan_after(
        &self,
        row: i64,
    ) -> Result<Option<(i64, Option<Profile>)>, StoreError> {
        let next = sqlx::query!(
            "SELECT query, text_bytes, body FROM profile
             WHERE query > ? AND query NOT IN (SELECT id FROM query) ORDER BY query LIMIT 1",
            row
        )
        .fetch_optional(&self.reporters)
        .await?;
        let Some(next) = next else { return Ok(None) };
        let text = unpack(&next.body, next.text_bytes).ok();
        let profile = text.and_then(|text| {
            let mut summary = Profile::summary_of(&text, Zone::UTC).ok()?;
            (summary.started_ms, summary.ended_ms) = (None, None);
            Some(Profile { summary, text })
        });
        Ok(Some((next.query, profile)))
    }

    /// Returns the place behind the first query of a list, whatever its other columns are, or None if the list has no
    /// query. Reads only an index, so it finds the place behind a query that cannot be read.
    pub(crate) async fn place_behind_next(
        &self,
        filter: &QueryFilter,
    ) -> Result<Option<Cursor>, StoreError> {
        let (first_ms, _) = filter.starts();
        let (start_ms, below) = filter.page_start();
        let next = sqlx::query!(
            r#"SELECT started_ms AS "started_ms!", id AS "id!" FROM query INDEXED BY query_by_start
               WHERE started_ms BETWEEN ?1 AND ?2 AND (started_ms < ?2 OR id < ?3)
               ORDER BY started_ms DESC, id DESC LIMIT 1"#,
            first_ms,
            start_ms,
            below
        )
        .fetch_optional(&self.reporters)
        .await?;
        if let Some(next) = next {
            return Ok(Some(Cursor { value: Some(next.started_ms), id: next.id }));
        }
        let Some(below) = filter.page_start_without_time() else { return Ok(None) };
        let next = sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM query INDEXED BY query_by_start
               WHERE started_ms IS NULL AND id < ? ORDER BY id DESC LIMIT 1"#,
            below
        )
        .fetch_optional(&self.reporters)
        .await?;
        Ok(next.map(|id| Cursor { value: None, id }))
    }

    /// Returns how many queries an index has, or None if no index can be read. The rows of some may not be readable.
    pub(crate) async fn indexed_queries(&self) -> Result<Option<i64>, StoreError> {
        let by_start = sqlx::query_scalar!("SELECT count(*) FROM query INDEXED BY query_by_start")
            .fetch_one(&self.reporters)
            .await
            .map_err(StoreError::from);
        match by_start {
            Err(error) if error.is_damage() => {}
            count => return count.map(Some),
        }
        // SQLite chooses an index of its own for count(*).
        let by_id = sqlx::query_scalar!("SELECT count(id) FROM query INDEXED BY query_by_query_id")
            .fetch_one(&self.reporters)
            .await
            .map_err(StoreError::from);
        match by_id {
            Err(error) if error.is_damage() => Ok(None),
            count => count.map(Some),
        }
    }

    /// Returns the queries of a list after a row, in the order of their arrival, with their whole statements; none after the
    /// last. Needs no index by start. Begins where the list's page begins; ignores the limit.
    pub(crate) async fn listed_after(
        &self,
        filter: &QueryFilter,
        row: i64,
    ) -> Result<Option<StoredPage>, StoreError> {
        let Some(mut page) = self.stored_after(row).await? else { return Ok(None) };
        page.queries.retain(|query| filter.is_from_page_on((query.started_ms, query.id)));
        if !filter.is_by_start_alone() || !filter.user.is_any() {
            let rows: Vec<i64> = page.queries.iter().map(|query| query.id).collect();
            let matching = self.matching(filter, &rows).await?;
            page.queries.retain(|query| matching.contains(&query.id));
        }
        Ok(Some(page))
    }
}
