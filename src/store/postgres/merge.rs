//! Reading a whole history, to merge it into another.

use std::hash::Hash as _;

use annals_postgres_statements as statements;
use sqlx::AssertSqlSafe;
use xxhash_rust::xxh3::Xxh3;

use super::Store;
use super::rows::{SELECT_QUERY, read_query};
use crate::domain::profile::Profile;
use crate::domain::record::{QueryRecord, StoredQuery};
use crate::store::batch::MergedPart;
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
        let queries = rows.iter().map(read_query).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = queries.last().map(|query| query.id) else { return Ok(None) };
        Ok(Some(Page { last, ..Page::of(queries) }))
    }

    /// Returns a hash of the profiles of some queries.
    pub(in crate::store) async fn hash_of_profiles(
        &self,
        queries: &[&StoredQuery],
    ) -> Result<u128, StoreError> {
        let ids: Vec<&str> = queries.iter().map(|query| query.query_id.as_str()).collect();
        let mut hash = Xxh3::new();
        statements::profile_hashes(&self.cluster.primary(), &ids).await?.hash(&mut hash);
        Ok(hash.digest128())
    }

    /// Returns whether a part of another history is noted as merged, and all of it is still stored.
    pub(in crate::store) async fn has_merged(&self, part: &MergedPart) -> Result<bool, StoreError> {
        let MergedPart { digest, queries, profiles, logins } = part;
        let server = self.cluster.primary();
        if !statements::is_merged_part(&server, digest).await? {
            return Ok(false);
        }
        let stored = statements::count_stored(&server, queries, profiles, logins).await?;
        Ok(part.is_whole(stored))
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
