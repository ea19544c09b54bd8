//! Lists, single queries, and a whole history in the order of its arrival.

use std::collections::HashSet;

use super::Store;
use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord, StoredQuery, spellings};
use crate::store::batch::MergedPart;
use crate::store::contents::{Page, StoredPage};
use crate::store::error::StoreError;
use crate::store::query::{Incomplete, ListedQuery, QueryPage, Reader, StoredProfile};

/// Lists and single queries.
impl Store {
    /// Hands over the queries of a page of a list, newest first. Every page of a list costs the same. Returns where the page
    /// ended if it reached a bound.
    pub(crate) async fn list(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<Option<Incomplete>, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        of_engine!(self, store => store.list(filter, reader, each).await)
    }

    /// Returns the queries of a page of a list with all their fields, newest first.
    pub(crate) async fn page(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<QueryPage, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        of_engine!(self, store => store.page(filter, reader).await)
    }

    /// The same without a bound of bytes, for commands.
    pub(crate) async fn records(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Vec<StoredQuery>, StoreError> {
        Ok(self.unbounded_page(filter, reader).await?.queries)
    }

    /// Returns the same with what of the queries cannot be read.
    pub(crate) async fn unbounded_page(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<QueryPage, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        of_engine!(self, store => store.unbounded_page(filter, reader).await)
    }

    /// Hands over one query, as a list shows it, if it is known. An id that no query has is looked for in lower case, too; so
    /// everywhere in this file.
    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        let mut is_listed = false;
        for id in query_id.spellings() {
            let listed = |query: ListedQuery<'_>| {
                is_listed = true;
                each(query);
            };
            of_engine!(self, store => store.listed(&id, reader, listed).await?);
            if is_listed {
                break;
            }
        }
        Ok(())
    }

    /// Returns a query with all its fields, its statement whole, or None if it is unknown.
    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Option<StoredQuery>, StoreError> {
        for id in query_id.spellings() {
            let record = of_engine!(self, store => store.record(&id, reader).await?);
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// Returns the profile of a query. A text of more than 64 KiB is returned packed.
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<StoredProfile, StoreError> {
        for id in query_id.spellings() {
            let profile = of_engine!(self, store => store.profile(&id, reader).await?);
            if !matches!(profile, StoredProfile::UnknownQuery) {
                return Ok(profile);
            }
        }
        Ok(StoredProfile::UnknownQuery)
    }

    /// Returns the id of the newest query that has a profile, or None if no query has one.
    pub(crate) async fn newest_profile(
        &self,
        reader: Reader<'_>,
    ) -> Result<Option<QueryId>, StoreError> {
        of_engine!(self, store => store.newest_profile(reader).await)
    }

    /// Returns the whole statement of a query, or None if the query or its statement is unknown.
    pub(crate) async fn statement(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Option<String>, StoreError> {
        for id in query_id.spellings() {
            let statement = of_engine!(self, store => store.statement(&id, reader).await?);
            if statement.is_some() {
                return Ok(statement);
            }
        }
        Ok(None)
    }

    /// Returns the ids of the queries of a trace id, the last to arrive first, at most `limit`.
    pub(crate) async fn traced(
        &self,
        trace_id: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        of_engine!(self, store => store.traced(trace_id, limit, reader).await)
    }

    /// Returns the ids of the loads whose labels begin with a text, at most `limit`: those with the label itself first, then the
    /// last to arrive.
    pub(crate) async fn labelled(
        &self,
        label: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        of_engine!(self, store => store.labelled(label, limit, reader).await)
    }

    /// Returns those of the queries that have ended and whose profile is stored.
    pub(crate) async fn complete(
        &self,
        query_ids: &[QueryId],
    ) -> Result<HashSet<QueryId>, StoreError> {
        of_engine!(self, store => store.complete(query_ids).await)
    }

    /// Returns the ids with this prefix, in order, at most `limit`.
    pub(crate) async fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        for prefix in spellings(prefix) {
            let ids =
                of_engine!(self, store => store.ids_with_prefix(&prefix, limit, reader).await?);
            if !ids.is_empty() {
                return Ok(ids);
            }
        }
        Ok(Vec::new())
    }

    /// Returns the place behind the next query of a list, if the rows there cannot be read but an index has them; None if no
    /// row is left.
    pub(crate) async fn place_behind_next(
        &self,
        filter: &QueryFilter,
    ) -> Result<Option<Cursor>, StoreError> {
        match self {
            Store::Sqlite(store) => store.place_behind_next(filter).await,
            // A server of PostgreSQL reads all rows, or fails as a whole.
            Store::Postgres(_) => Ok(None),
        }
    }

    /// Returns the queries of a list after a row, in the order of their arrival, for a file whose index by start is damaged;
    /// none after the last.
    pub(crate) async fn listed_after(
        &self,
        filter: &QueryFilter,
        row: i64,
    ) -> Result<Option<StoredPage>, StoreError> {
        match self {
            Store::Sqlite(store) => store.listed_after(filter, row).await,
            Store::Postgres(_) => Ok(None),
        }
    }
}

/// Reading all of a history, to merge it into another.
impl Store {
    /// Returns the queries after a row, in the order of their arrival; none after the last. Skips rows that are damaged.
    pub(crate) async fn page_after(&self, row: i64) -> Result<Option<Page>, StoreError> {
        of_engine!(self, store => store.page_after(row).await)
    }

    /// Returns the profile of a row with the record of its query; only the record if the profile is damaged.
    pub(crate) async fn profile_of_row(
        &self,
        row: i64,
        summary: QueryRecord,
    ) -> Result<Result<Profile, QueryRecord>, StoreError> {
        of_engine!(self, store => store.profile_of_row(row, summary).await)
    }

    /// Returns a hash of the profiles of some queries. Two engines give different ones.
    pub(crate) async fn hash_of_profiles(
        &self,
        queries: &[&StoredQuery],
    ) -> Result<u128, StoreError> {
        of_engine!(self, store => store.hash_of_profiles(queries).await)
    }

    /// Returns whether a part of another history is noted as merged into this one, and all of it is still stored.
    pub(crate) async fn has_merged(&self, part: &MergedPart) -> Result<bool, StoreError> {
        of_engine!(self, store => store.has_merged(part).await)
    }

    /// Returns how many queries an index has, or None if no index can be read. The rows of some may not be readable.
    pub(crate) async fn indexed_queries(&self) -> Result<Option<i64>, StoreError> {
        match self {
            Store::Sqlite(store) => store.indexed_queries().await,
            // A server of PostgreSQL reads all rows, or fails as a whole.
            Store::Postgres(_) => Ok(None),
        }
    }
}
