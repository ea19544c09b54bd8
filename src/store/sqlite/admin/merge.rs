//! Reading a whole database, to merge it into another.

use super::super::Store;
use super::super::raw::queries_after;
use crate::domain::profile::Profile;
use crate::domain::record::QueryRecord;
use crate::store::contents::Page;
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// Queries of a page.
const PAGE: i64 = 500;

impl Store {
    /// Returns the queries after a row, in the order of their arrival; none after the last.
    pub(crate) async fn page_after(&self, row: i64) -> Result<Option<Page>, StoreError> {
        let mut connection = self.reporters.acquire().await?;
        let queries = queries_after(&mut connection, row, PAGE).await?;
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
            .await?;
        let text = stored.and_then(|stored| unpack(&stored.body, stored.text_bytes).ok());
        Ok(match text {
            Some(text) => Ok(Profile { summary, text }),
            None => Err(summary),
        })
    }
}
