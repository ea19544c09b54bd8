//! Lists: pages of queries by start, and single queries as lists show them.
//!
//! `read_pool.rs` says why lists take a raw connection.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

use super::super::Store;
use super::conditions::Conditions;
use super::damaged::{is_wrong_value, lossy_values, read_other_tables};
use super::query_table::{SELECT_QUERY, SELECT_QUERY_ALONE, read_query};
use crate::domain::filter::{Cursor, QueryFilter, QueryOrder, Users};
use crate::domain::record::{QueryId, StoredQuery};
use crate::store::contents::Unread;
use crate::store::error::StoreError;
use crate::store::list::{LISTED_STATEMENT_CHARS, ListBounds, ListProgress, text_bytes};
use crate::store::query::{Incomplete, ListedQuery, QueryPage, Reader};

/// Selects what [`read_listed`] reads, up to the conditions. `?1` is the most characters of a statement.
const SELECT_LISTED: &str =
    "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user, catalog, db,
        iif(octet_length(statement) <= ?1, statement, substr(statement, 1, ?1)),
        frontend, session_id, sql_hash
    FROM query ";

/// Hands over a row of [`SELECT_LISTED`], its columns borrowed where SQLite has them. Bytes that are no text become U+FFFD.
/// Returns its place in the list, and the bytes of its texts.
fn read_listed(
    row: &Row<'_>,
    mut each: impl FnMut(ListedQuery<'_>),
) -> Result<(Cursor, usize), rusqlite::Error> {
    let mut hand_over = |query: ListedQuery<'_>| {
        let place = (query.cursor(), query.text_bytes());
        each(query);
        place
    };
    match listed_of(|at| row.get_ref(at)) {
        Err(error) if is_wrong_value(&error) => {
            let values = lossy_values(row)?;
            let value = |at: usize| Ok(values.get(at).map_or(ValueRef::Null, ValueRef::from));
            Ok(hand_over(listed_of(value)?))
        }
        query => Ok(hand_over(query?)),
    }
}

fn listed_of<'v>(
    value: impl Fn(usize) -> Result<ValueRef<'v>, rusqlite::Error>,
) -> Result<ListedQuery<'v>, rusqlite::Error> {
    let text = |at| Ok::<_, rusqlite::Error>(value(at)?.as_str_or_null()?);
    let number = |at| Ok::<_, rusqlite::Error>(value(at)?.as_i64_or_null()?);
    Ok(ListedQuery {
        id: value(0)?.as_i64()?,
        query_id: text(1)?.unwrap_or_default(),
        kind: text(2)?.unwrap_or_default(),
        state: text(3)?,
        started_ms: number(4)?,
        ended_ms: number(5)?,
        duration_ms: number(6)?,
        user: text(7)?,
        catalog: text(8)?,
        db: text(9)?,
        statement: text(10)?,
        frontend: text(11)?,
        session_id: text(12)?,
        sql_hash: text(13)?,
    })
}

/// Hands over the rows of a list, until one of its bounds is reached.
struct ListReader<E> {
    each: E,
    progress: ListProgress,
}

impl<E: FnMut(&Row<'_>) -> Result<(Cursor, usize), rusqlite::Error>> ListReader<E> {
    /// `each` returns the place of a row in the list, and the bytes of its texts.
    fn new(bounds: ListBounds, each: E) -> ListReader<E> {
        ListReader { each, progress: ListProgress::new(bounds) }
    }

    /// Hands over the rows of a statement.
    fn step(
        &mut self,
        sqlite: &Connection,
        (sql, values): (String, Vec<Value>),
    ) -> Result<(), rusqlite::Error> {
        let mut statement = sqlite.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while self.progress.incomplete().is_none() {
            let row = match self.progress.has_long_rows() {
                false => rows.next()?,
                // Long enough to move other tasks off the thread.
                true => tokio::task::block_in_place(|| rows.next())?,
            };
            let Some(row) = row else { break };
            self.progress.add((self.each)(row)?);
        }
        Ok(())
    }

    /// Hands over the rows of a page: queries by start, newest first, then those without a start.
    fn step_page(
        &mut self,
        sqlite: &Connection,
        select: &str,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<(), rusqlite::Error> {
        let user = match filter.users(owner) {
            // An index has the queries of one user only, and a page by start is of no other.
            Users::All | Users::Some => None,
            Users::One(user) => Some(user),
            Users::Nobody => return Ok(()),
        };
        let conditions = Conditions::new(vec![LISTED_STATEMENT_CHARS.into()])
            .and_if("user = ?", user.map(str::to_string));
        let started = conditions.clone().and_page(filter).newest_first(select, filter.limit);
        self.step(sqlite, started)?;
        let missing = filter.limit.saturating_sub(self.progress.count());
        if let Some(below) = filter.page_start_without_time()
            && missing > 0
        {
            let unstarted = conditions.and("started_ms IS NULL AND id < ?", below);
            self.step(sqlite, unstarted.newest_first(select, missing))?;
        }
        Ok(())
    }

    /// Hands over the rows with some ids, which are a JSON array, in the order of a filter.
    fn step_ids(
        &mut self,
        sqlite: &Connection,
        select: &str,
        ids: &str,
        filter: &QueryFilter,
    ) -> Result<(), rusqlite::Error> {
        let conditions = Conditions::new(vec![LISTED_STATEMENT_CHARS.into()]);
        let conditions = conditions.and("id IN (SELECT value FROM json_each(?))", ids.to_string());
        self.step(sqlite, conditions.all_sorted(select, filter))
    }

    /// Hands over the row of a query id, if there is one.
    fn step_one(
        &mut self,
        sqlite: &Connection,
        select: &str,
        statement_chars: i64,
        (query_id, reader): (&QueryId, Reader<'_>),
    ) -> Result<(), rusqlite::Error> {
        let conditions = Conditions::new(vec![statement_chars.into()])
            .and("query_id = ?", query_id.to_string())
            .and_if("user = ?", reader.owner.map(str::to_string))
            .and_if("cluster IN (SELECT value FROM json_each(?))", reader.clusters_json());
        self.step(sqlite, conditions.newest_first(select, 1))
    }
}

/// Collects queries with all their fields.
type QueryReader<'a> =
    ListReader<&'a mut dyn FnMut(&Row<'_>) -> Result<(Cursor, usize), rusqlite::Error>>;

/// Returns the queries over which `step` goes, read by `select`.
fn read_page(
    sqlite: &Connection,
    (bounds, order): (ListBounds, QueryOrder),
    select: &str,
    step: impl Fn(&mut QueryReader<'_>, &Connection, &str) -> Result<(), rusqlite::Error>,
) -> Result<QueryPage, rusqlite::Error> {
    let (mut queries, mut unread) = (Vec::new(), Unread::default());
    let mut each = |row: &Row<'_>| {
        let query = read_query(row, &mut unread)?;
        let place = (query.cursor(order), text_bytes(&query));
        queries.push(query);
        Ok(place)
    };
    let mut rows: QueryReader<'_> = ListReader::new(bounds, &mut each);
    step(&mut rows, sqlite, select)?;
    let incomplete = rows.progress.incomplete();
    Ok(QueryPage { queries, incomplete, unread })
}

impl Store {
    /// Hands over the queries of a page of a list, each as SQLite has it in memory. Every page of a list by start costs the
    /// same: the index by start has its place. Returns where the page of a list by start ended if it reached a bound.
    pub(crate) async fn list(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<Option<Incomplete>, StoreError> {
        let mut rows =
            ListReader::new(ListBounds::SERVED, |row: &Row<'_>| read_listed(row, &mut each));
        if filter.is_by_start_alone() {
            let page = |sqlite: &_| rows.step_page(sqlite, SELECT_LISTED, filter, reader.owner);
            self.read_pool.read_rows(filter.limit, page).await?;
            return Ok(rows.progress.incomplete());
        }
        let found = self.found(filter, reader).await?;
        let page = |sqlite: &_| rows.step_ids(sqlite, SELECT_LISTED, &found.ids, filter);
        self.read_pool.read(page).await?;
        Ok(rows.progress.incomplete().or(found.incomplete))
    }

    /// Returns the queries of a page of a list with all their fields.
    pub(crate) async fn page(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<QueryPage, StoreError> {
        self.page_within(filter, reader, ListBounds::SERVED).await
    }

    /// The same without a bound of bytes, for commands.
    pub(crate) async fn unbounded_page(
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
        let bounds = (bounds, filter.order);
        if filter.is_by_start_alone() {
            let page = |rows: &mut QueryReader<'_>, sqlite: &_, select: &str| {
                rows.step_page(sqlite, select, filter, reader.owner)
            };
            return self.queries(bounds, page).await;
        }
        let found = self.found(filter, reader).await?;
        let page = |rows: &mut QueryReader<'_>, sqlite: &_, select: &str| {
            rows.step_ids(sqlite, select, &found.ids, filter)
        };
        let page = self.queries(bounds, page).await?;
        Ok(QueryPage { incomplete: page.incomplete.or(found.incomplete), ..page })
    }

    /// Returns the queries over which `step` goes. If a page of the file is damaged, tables are read one by one.
    async fn queries(
        &self,
        bounds: (ListBounds, QueryOrder),
        step: impl Fn(&mut QueryReader<'_>, &Connection, &str) -> Result<(), rusqlite::Error>,
    ) -> Result<QueryPage, StoreError> {
        match self.read_pool.read(|sqlite| read_page(sqlite, bounds, &SELECT_QUERY, &step)).await {
            Err(error) if error.is_damage() => self.queries_alone(bounds, step).await,
            page => page,
        }
    }

    async fn queries_alone(
        &self,
        bounds: (ListBounds, QueryOrder),
        step: impl Fn(&mut QueryReader<'_>, &Connection, &str) -> Result<(), rusqlite::Error>,
    ) -> Result<QueryPage, StoreError> {
        let read = |sqlite: &_| {
            let mut page = read_page(sqlite, bounds, &SELECT_QUERY_ALONE, &step)?;
            read_other_tables(sqlite, &mut page.queries, &mut page.unread)?;
            Ok(page)
        };
        self.read_pool.read(read).await
    }

    /// Hands over one query, as a list shows it, if it is known.
    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        let mut rows =
            ListReader::new(ListBounds::NONE, |row: &Row<'_>| read_listed(row, &mut each));
        let one = (query_id, reader);
        let read =
            |sqlite: &_| rows.step_one(sqlite, SELECT_LISTED, LISTED_STATEMENT_CHARS.into(), one);
        self.read_pool.read_briefly(read).await
    }

    /// Returns a query with all its fields, its statement whole, or None if it is unknown.
    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Option<StoredQuery>, StoreError> {
        let one = |rows: &mut QueryReader<'_>, sqlite: &_, select: &str| {
            rows.step_one(sqlite, select, i64::MAX, (query_id, reader))
        };
        let bounds = (ListBounds::NONE, QueryOrder::Start);
        let read = |sqlite: &_| read_page(sqlite, bounds, &SELECT_QUERY, one);
        let mut page = match self.read_pool.read_briefly(read).await {
            Err(error) if error.is_damage() => self.queries_alone(bounds, one).await?,
            page => page?,
        };
        Ok(page.queries.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn pages_are_read_by_index() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        let sqlite = Connection::open(store.path()).unwrap();
        let plan = |(sql, values): (String, Vec<Value>)| -> String {
            let mut explained = sqlite.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = explained.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
            steps.map(Result::<String, _>::unwrap).collect::<Vec<_>>().join("; ")
        };
        let all = QueryFilter { limit: 10, ..QueryFilter::default() };
        for (user, index) in [(None, "query_by_start"), (Some("u"), "query_by_user")] {
            for select in [SELECT_LISTED, SELECT_QUERY.as_str()] {
                let user = user.map(|user: &str| user.to_string());
                let conditions = Conditions::new(vec![1.into()]).and_if("user = ?", user);
                let started = plan(conditions.clone().and_page(&all).newest_first(select, 10));
                let below = conditions.and("started_ms IS NULL AND id < ?", 5);
                let unstarted = plan(below.newest_first(select, 10));
                for plan in [started, unstarted] {
                    assert!(
                        plan.starts_with(&format!("SEARCH query USING INDEX {index} (")),
                        "{plan}"
                    );
                    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
                }
            }
        }
        let one = Conditions::new(vec![1.into()]).and("query_id = ?", "q".to_string());
        let one = one.and("user = ?", "u".to_string());
        assert!(plan(one.newest_first(&SELECT_QUERY, 1)).contains("query_by_query_id"));
        let ids = Conditions::new(vec![1.into()])
            .and("id IN (SELECT value FROM json_each(?))", "[1]".to_string());
        assert!(plan(ids.newest_first(&SELECT_QUERY, 1)).contains("USING INTEGER PRIMARY KEY"));
    }
}
