//! Reading a history whole, to join it to another.

use super::super::Store;
use super::super::write::stored_records;
use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord};
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// Queries that are read at a time.
const PAGE: i64 = 500;

/// Some queries of a history, in the order of their arrival.
#[derive(Debug, Default)]
pub struct Page {
    /// Those that have no profile.
    pub records: Vec<QueryRecord>,
    /// The rows of those that have one.
    pub with_profile: Vec<(i64, QueryRecord)>,
    /// The row of the last.
    pub last: i64,
    /// Rows whose query id annals does not take, as somebody else may have written them.
    pub refused: u64,
}

impl Store {
    /// The queries behind a row; `None` where there are no more.
    pub async fn page_behind(&self, row: i64) -> Result<Option<Page>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id, query_id, EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
                   AS "has_profile!: bool"
               FROM query WHERE id > ? ORDER BY id LIMIT ?"#,
            row,
            PAGE
        )
        .fetch_all(&self.reporters)
        .await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let mut page = Page { last: last.id, ..Page::default() };
        let ids: Vec<QueryId> = rows.iter().filter_map(|row| row.query_id.parse().ok()).collect();
        let mut connection = self.reporters.acquire().await?;
        let mut known = stored_records(&mut connection, &ids).await?;
        for row in rows {
            let id = row.query_id.parse::<QueryId>().ok();
            match id.and_then(|id| known.remove(&id)) {
                None => page.refused += 1,
                Some(known) if row.has_profile => page.with_profile.push((known.row, known.record)),
                Some(known) => page.records.push(known.record),
            }
        }
        Ok(Some(page))
    }

    /// The profile of a row, with what is known of its query; the record alone where it is damaged.
    pub async fn profile_of_row(
        &self,
        row: i64,
        summary: QueryRecord,
    ) -> Result<Result<Profile, QueryRecord>, StoreError> {
        let stored = sqlx::query!("SELECT text_bytes, body FROM profile WHERE query = ?", row)
            .fetch_optional(&self.reporters)
            .await?;
        let text = stored.and_then(|stored| unpack(&stored.body, stored.text_bytes).ok());
        Ok(match text {
            Some(text) => Ok(Profile { summary, text }),
            None => Err(summary),
        })
    }
}
