//! Reading a whole database, to merge it into another.

use sqlx::sqlite::SqliteConnection;

use super::super::Store;
use super::super::raw::queries_after;
use crate::domain::profile::Profile;
use crate::domain::record::QueryRecord;
use crate::store::contents::Page;
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
        let mut connection = self.reporters.acquire().await?;
        let mut limit = PAGE;
        let queries = loop {
            match queries_after(&mut connection, row, limit).await {
                // Fewer rows may end before the damage.
                Err(error) if error.is_damage() && limit > 1 => limit /= 2,
                Err(error) if error.is_damage() => {
                    let last = end_of_damage(&mut connection, row).await?;
                    return Ok(last.map(|last| Page { last, is_damaged: true, ..Page::default() }));
                }
                queries => break queries?,
            }
        };
        let Some(last) = queries.last() else { return Ok(None) };
        let mut page = Page { last: last.id, ..Page::default() };
        for query in queries {
            let is_accepted = query.query_id.parse().as_ref() == Ok(&query.query_id);
            match query.has_profile {
                _ if !is_accepted => page.rejected += 1,
                true => page.with_profile.push((query.id, query.record)),
                false => page.records.push(query.record),
            }
        }
        Ok(Some(page))
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
}

/// Returns the last row from `row` on that is damaged, or None if no row can be read any more.
async fn end_of_damage(
    connection: &mut SqliteConnection,
    row: i64,
) -> Result<Option<i64>, StoreError> {
    let newest: Option<i64> =
        sqlx::query_scalar!("SELECT max(id) FROM query INDEXED BY query_by_start")
            .fetch_one(&mut *connection)
            .await
            .map_err(StoreError::from)?;
    let newest = newest.unwrap_or(row);
    let (mut damaged, mut step) = (row.max(-1), 1);
    // Rows between the last damaged row and the first readable one.
    let mut readable = loop {
        if damaged >= newest {
            return Ok(None);
        }
        let next = damaged.saturating_add(step);
        match queries_after(connection, next, 1).await {
            Err(error) if error.is_damage() => damaged = next,
            next_queries => {
                next_queries?;
                break next;
            }
        }
        step = SKIPPED.min(step * 2);
    };
    while readable - damaged > 1 {
        let middle = damaged + (readable - damaged) / 2;
        match queries_after(connection, middle, 1).await {
            Err(error) if error.is_damage() => damaged = middle,
            queries => {
                queries?;
                readable = middle;
            }
        }
    }
    Ok(Some(readable))
}
