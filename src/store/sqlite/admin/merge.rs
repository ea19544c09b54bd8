//! Reading a history whole, to join it to another.

use super::super::Store;
use super::super::raw::queries_behind;
use crate::domain::profile::Profile;
use crate::domain::record::QueryRecord;
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
        let mut connection = self.reporters.acquire().await?;
        let queries = queries_behind(&mut connection, row, PAGE).await?;
        let Some(last) = queries.last() else { return Ok(None) };
        let mut page = Page { last: last.id, ..Page::default() };
        for query in queries {
            let is_accepted = query.query_id.parse().as_ref() == Ok(&query.query_id);
            match query.has_profile {
                _ if !is_accepted => page.refused += 1,
                true => page.with_profile.push((query.id, query.record)),
                false => page.records.push(query.record),
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
