//! Lists: pages of queries by start, and single queries as lists show them.

use std::sync::LazyLock;

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::Store;
use super::conditions::{Conditions, is_indexed};
use super::rows::{CUT_STATEMENT, SELECT_QUERY, read_query};
use crate::domain::filter::{Cursor, QueryFilter, QueryOrder, Users};
use crate::domain::record::{QueryId, StoredQuery};
use crate::store::contents::Unread;
use crate::store::error::StoreError;
use crate::store::list::{LISTED_STATEMENT_CHARS, ListBounds, ListProgress, text_bytes};
use crate::store::query::{Incomplete, ListedQuery, QueryPage, Reader};

/// Selects what [`read_listed`] reads, up to the conditions. `$1` is the most characters of a statement.
pub(super) static SELECT_LISTED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT query.id, query.query_id, query.kind, query.state, query.started_ms, query.ended_ms,
             query.duration_ms, query.\"user\", query.catalog, query.db, {CUT_STATEMENT}, query.frontend,
             query.session_id, query.sql_hash
         FROM query "
    )
});

/// Borrows the columns of a row of [`SELECT_LISTED`].
fn read_listed(row: &PgRow) -> Result<ListedQuery<'_>, sqlx::Error> {
    Ok(ListedQuery {
        id: row.try_get(0)?,
        query_id: row.try_get(1)?,
        kind: row.try_get(2)?,
        state: row.try_get(3)?,
        started_ms: row.try_get(4)?,
        ended_ms: row.try_get(5)?,
        duration_ms: row.try_get(6)?,
        user: row.try_get(7)?,
        catalog: row.try_get(8)?,
        db: row.try_get(9)?,
        statement: row.try_get(10)?,
        frontend: row.try_get(11)?,
        session_id: row.try_get(12)?,
        sql_hash: row.try_get(13)?,
    })
}

/// Hands over the rows of a list, until one of its bounds is reached.
struct ListReader<'s, E> {
    store: &'s Store,
    /// Ends before the conditions.
    select: &'static str,
    /// The most characters of a statement.
    most_chars: i32,
    /// Returns the place of a row in the list, and the bytes of its texts.
    each: E,
    progress: ListProgress,
}

impl<E: FnMut(&PgRow) -> Result<(Cursor, usize), sqlx::Error>> ListReader<'_, E> {
    fn conditions(&self) -> Result<Conditions, sqlx::Error> {
        Conditions::with_statements(self.select, self.most_chars)
    }

    /// Hands over the rows of a statement.
    async fn step(&mut self, mut statement: QueryBuilder<Postgres>) -> Result<(), StoreError> {
        let mut connection = self.store.cluster.reader().await?;
        let mut rows = statement.build().fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            self.progress.add((self.each)(&row)?);
            if self.progress.incomplete().is_some() {
                drop(rows);
                // The server would send the other rows, and the next read on this connection would have to skip them.
                drop(connection.detach());
                break;
            }
        }
        Ok(())
    }

    /// Hands over the rows of a page: queries by start, newest first, then those without a start.
    async fn step_page(
        &mut self,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<(), StoreError> {
        if filter.users(owner) == Users::Nobody {
            return Ok(());
        }
        let mut started = self.conditions()?;
        started.and_users(filter, owner);
        started.and_page(filter);
        self.step(started.newest_first(filter.limit)).await?;
        let missing = filter.limit.saturating_sub(self.progress.count());
        if let Some(below) = filter.page_start_without_time()
            && missing > 0
        {
            let mut unstarted = self.conditions()?;
            unstarted.and_users(filter, owner);
            unstarted.and_page_without_time(below);
            self.step(unstarted.newest_first(missing)).await?;
        }
        Ok(())
    }

    /// Hands over the rows with some query ids, in the order of a filter.
    async fn step_ids(
        &mut self,
        query_ids: &[String],
        filter: &QueryFilter,
    ) -> Result<(), StoreError> {
        let mut some = self.conditions()?;
        some.and("query.query_id = ANY(", query_ids).push(")");
        self.step(some.all_sorted(filter)).await
    }

    /// Hands over the row of a query id, if there is one.
    async fn step_one(&mut self, query_id: &QueryId, reader: Reader<'_>) -> Result<(), StoreError> {
        let mut one = self.conditions()?;
        one.and("query.query_id = ", query_id.as_str());
        one.and_reader(reader);
        self.step(one.newest_first(1)).await
    }

    /// Hands over the rows of a page of any filter. Returns where the page ended if it reached a bound.
    async fn step_any(
        &mut self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Option<Incomplete>, StoreError> {
        if filter.is_by_start_alone() && is_indexed(filter, reader.owner) {
            self.step_page(filter, reader.owner).await?;
            return Ok(self.progress.incomplete());
        }
        let found = self.store.found(filter, reader).await?;
        self.step_ids(&found.query_ids, filter).await?;
        Ok(self.progress.incomplete().or(found.incomplete))
    }
}

impl Store {
    /// Hands over the rows of a list as lists show them.
    fn listing<E: FnMut(ListedQuery<'_>)>(
        &self,
        bounds: ListBounds,
        mut each: E,
    ) -> ListReader<'_, impl FnMut(&PgRow) -> Result<(Cursor, usize), sqlx::Error>> {
        let each = move |row: &PgRow| {
            let query = read_listed(row)?;
            let place = (query.cursor(), query.text_bytes());
            each(query);
            Ok(place)
        };
        self.reading(&SELECT_LISTED, LISTED_STATEMENT_CHARS as i32, bounds, each)
    }

    fn reading<E: FnMut(&PgRow) -> Result<(Cursor, usize), sqlx::Error>>(
        &self,
        select: &'static str,
        most_chars: i32,
        bounds: ListBounds,
        each: E,
    ) -> ListReader<'_, E> {
        ListReader { store: self, select, most_chars, each, progress: ListProgress::new(bounds) }
    }

    /// Hands over the queries of a page of a list. Every page of a list by start costs the same: the index by start has its
    /// place. Returns where the page of a list by start ended if it reached a bound.
    pub(in crate::store) async fn list(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<Option<Incomplete>, StoreError> {
        self.listing(ListBounds::SERVED, each).step_any(filter, reader).await
    }

    /// Returns the queries of a page of a list with all their fields.
    pub(in crate::store) async fn page(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<QueryPage, StoreError> {
        self.page_within(filter, reader, ListBounds::SERVED).await
    }

    /// The same without a bound of bytes, for commands.
    pub(in crate::store) async fn unbounded_page(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<QueryPage, StoreError> {
        self.page_within(filter, reader, ListBounds::NONE).await
    }

    async fn page_within(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
        bounds: ListBounds,
    ) -> Result<QueryPage, StoreError> {
        let mut queries = Vec::new();
        let each = |row: &PgRow| {
            let query = read_query(row)?;
            let place = (query.cursor(filter.order), text_bytes(&query));
            queries.push(query);
            Ok(place)
        };
        let most_chars = LISTED_STATEMENT_CHARS as i32;
        let mut rows = self.reading(&SELECT_QUERY, most_chars, bounds, each);
        let incomplete = rows.step_any(filter, reader).await?;
        Ok(QueryPage { queries, incomplete, unread: Unread::default() })
    }

    /// Hands over one query, as a list shows it, if it is known.
    pub(in crate::store) async fn listed(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        self.listing(ListBounds::NONE, each).step_one(query_id, reader).await
    }

    /// Returns a query with all its fields, its statement whole, or None if it is unknown.
    pub(in crate::store) async fn record(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Option<StoredQuery>, StoreError> {
        let mut found = None;
        let each = |row: &PgRow| {
            let query = read_query(row)?;
            let place = (query.cursor(QueryOrder::Start), 0);
            found = Some(query);
            Ok(place)
        };
        let mut rows = self.reading(&SELECT_QUERY, i32::MAX, ListBounds::NONE, each);
        rows.step_one(query_id, reader).await?;
        Ok(found)
    }
}
