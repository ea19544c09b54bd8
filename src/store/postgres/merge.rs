//! Reading a whole history, to merge it into another.

use annals_postgres_statements as statements;
use sqlx::AssertSqlSafe;

use super::Store;
use super::rows::{SELECT_QUERY, read_query};
use crate::domain::profile::Profile;
use crate::domain::record::QueryRecord;
use crate::store::contents::Page;
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// Queries of a page.
const PAGE: i64 = 500;

impl Store {
    /// Returns the queries after a row, in the order of their arrival; none after the last.
    ///
    /// Another annals may commit a row with a lower number after this page was read, and no later page has it. Such a row was
    /// committed after the merge began: a merge has all that was committed before it began, and whatever else it meets.
    pub(in crate::store) async fn page_after(&self, row: i64) -> Result<Option<Page>, StoreError> {
        let sql = format!("{} WHERE query.id > $2 ORDER BY query.id LIMIT $3", *SELECT_QUERY);
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(i32::MAX).bind(row).bind(PAGE);
        let rows = rows.fetch_all(&self.cluster.primary()).await?;
        let mut page = Page::default();
        for row in &rows {
            let query = read_query(row)?;
            page.last = query.id;
            let is_accepted = query.query_id.parse().as_ref() == Ok(&query.query_id);
            match query.has_profile {
                _ if !is_accepted => page.rejected += 1,
                true => page.with_profile.push((query.id, query.record)),
                false => page.records.push(query.record),
            }
        }
        Ok((!rows.is_empty()).then_some(page))
    }

    /// Returns the profile of a row with the record of its query; only the record if the profile is damaged, or was removed
    /// meanwhile.
    pub(in crate::store) async fn profile_of_row(
        &self,
        row: i64,
        summary: QueryRecord,
    ) -> Result<Result<Profile, QueryRecord>, StoreError> {
        let stored = statements::profile_of_row(&self.cluster.primary(), row).await?;
        let text = stored.and_then(|(text_bytes, body)| unpack(&body, text_bytes).ok());
        Ok(match text {
            Some(text) => Ok(Profile { summary, text }),
            None => Err(summary),
        })
    }
}
