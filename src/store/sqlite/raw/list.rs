//! Lists: pages of queries by start, and single queries as lists show them.
//!
//! `read_pool.rs` says why lists take a raw connection.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::Store;
use super::query_table::{SELECT_QUERY, read_query};
use crate::domain::filter::{QueryFilter, Users};
use crate::domain::record::{QueryId, StoredQuery};
use crate::store::error::StoreError;
use crate::store::query::ListedQuery;

/// Characters of a statement in a list. The bound keeps an answer small.
const LISTED_STATEMENT_CHARS: i64 = 65_536;

/// Selects what [`read_listed`] reads, up to the conditions. `?1` is the most characters of a statement.
const SELECT_LISTED: &str =
    "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user, catalog, db,
        iif(octet_length(statement) <= ?1, statement, substr(statement, 1, ?1)),
        frontend, session_id, sql_hash
    FROM query ";

/// Borrows the columns of a row of [`SELECT_LISTED`] where SQLite has them.
fn read_listed<'r>(row: &'r Row<'_>) -> Result<ListedQuery<'r>, rusqlite::Error> {
    let text = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
    Ok(ListedQuery {
        id: row.get(0)?,
        query_id: text(1)?.unwrap_or_default(),
        kind: text(2)?.unwrap_or_default(),
        state: text(3)?,
        started_ms: row.get(4)?,
        ended_ms: row.get(5)?,
        duration_ms: row.get(6)?,
        user: text(7)?,
        catalog: text(8)?,
        db: text(9)?,
        statement: text(10)?,
        frontend: text(11)?,
        session_id: text(12)?,
        sql_hash: text(13)?,
    })
}

/// The conditions of a statement that reads queries, with the values of its parameters. The text has only the conditions
/// that the filter sets: SQLite uses no index for `?1 IS NULL OR user = ?1`.
#[derive(Debug, Clone)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Returns no conditions. `?1` is the most characters of a statement.
    fn new(statement_chars: i64) -> Conditions {
        Conditions { sql: String::new(), values: vec![statement_chars.into()] }
    }

    /// Adds a condition; each `?` in it is this value.
    fn and(mut self, condition: &str, value: impl Into<Value>) -> Conditions {
        let parameter = self.parameter(value);
        self.push(&condition.replace('?', &parameter));
        self
    }

    fn and_if<T: Into<Value>>(self, condition: &str, value: Option<T>) -> Conditions {
        match value {
            Some(value) => self.and(condition, value),
            None => self,
        }
    }

    fn push(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() { "WHERE " } else { " AND " });
        self.sql.push_str(condition);
    }

    /// Returns the parameter that has this value.
    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Adds the conditions of a filter, except for its times, its page, its fingerprint and its search.
    fn and_filter(self, filter: &QueryFilter, user: Option<&str>) -> Conditions {
        const ANYWHERE: &str = r"(statement LIKE ? ESCAPE '\' OR query_id LIKE ? ESCAPE '\'
            OR user LIKE ? ESCAPE '\' OR db LIKE ? ESCAPE '\' OR state LIKE ? ESCAPE '\'
            OR frontend LIKE ? ESCAPE '\')";
        self.and_if("user = ?", user.map(str::to_string))
            .and_if("db = ?", filter.db.clone())
            .and_if("state = ? COLLATE NOCASE", filter.state.clone())
            .and_if("kind = ?", filter.kind.map(|kind| kind.name().to_string()))
            .and_if(ANYWHERE, filter.anywhere.as_deref().map(like_pattern))
            .and_if("duration_ms >= ?", filter.min_ms)
            .and_if("queue_time_ms >= ?", filter.min_queue_ms)
            .and_if("cache_hit = ?", filter.cache_hit)
    }

    /// Adds the times of a filter and the start of its page, for the queries with a start.
    fn and_page(mut self, filter: &QueryFilter) -> Conditions {
        let ((first_ms, _), (start_ms, id)) = (filter.starts(), filter.page_start());
        let [first, start, id] = [first_ms, start_ms, id].map(|value| self.parameter(value));
        self.push(&format!("started_ms BETWEEN {first} AND {start}"));
        self.push(&format!("(started_ms < {start} OR id < {id})"));
        self
    }

    /// Returns the statement for the first rows, newest first. `select` ends before the conditions.
    fn newest_first(mut self, select: &str, limit: u32) -> (String, Vec<Value>) {
        let limit = self.parameter(limit);
        let sql = format!("{select}{} ORDER BY started_ms DESC, id DESC LIMIT {limit}", self.sql);
        (sql, self.values)
    }
}

/// Returns a pattern of LIKE that finds a text as it is.
fn like_pattern(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// Hands over the rows of a statement; returns how many there are.
fn step(
    sqlite: &Connection,
    (sql, values): (String, Vec<Value>),
    each: &mut impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
) -> Result<u32, rusqlite::Error> {
    let mut statement = sqlite.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        each(row)?;
        count += 1;
    }
    Ok(count)
}

/// Hands over the rows of a page: queries by start, newest first, then those without a start.
fn step_page(
    sqlite: &Connection,
    select: &str,
    filter: &QueryFilter,
    owner: Option<&str>,
    mut each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let user = match filter.users(owner) {
        Users::All => None,
        Users::One(user) => Some(user),
        Users::Nobody => return Ok(()),
    };
    let conditions = Conditions::new(LISTED_STATEMENT_CHARS).and_filter(filter, user);
    let started = conditions.clone().and_page(filter).newest_first(select, filter.limit);
    let missing = filter.limit.saturating_sub(step(sqlite, started, &mut each)?);
    if let Some(below) = filter.page_start_without_time()
        && missing > 0
    {
        let unstarted = conditions.and("started_ms IS NULL AND id < ?", below);
        step(sqlite, unstarted.newest_first(select, missing), &mut each)?;
    }
    Ok(())
}

/// Hands over the rows with some ids, which are a JSON array, newest first.
fn step_ids(
    sqlite: &Connection,
    select: &str,
    ids: &str,
    mut each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let conditions = Conditions::new(LISTED_STATEMENT_CHARS);
    let conditions = conditions.and("id IN (SELECT value FROM json_each(?))", ids.to_string());
    step(sqlite, conditions.newest_first(select, u32::MAX), &mut each).map(|_| ())
}

/// Hands over the row of a query id, if there is one.
fn step_one(
    sqlite: &Connection,
    select: &str,
    statement_chars: i64,
    (query_id, owner): (&QueryId, Option<&str>),
    mut each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let conditions = Conditions::new(statement_chars)
        .and("query_id = ?", query_id.to_string())
        .and_if("user = ?", owner.map(str::to_string));
    step(sqlite, conditions.newest_first(select, 1), &mut each).map(|_| ())
}

impl Store {
    /// Hands over the queries of a page of a list, newest first, each as SQLite has it in memory. Every page of a list
    /// costs the same: the index by start has its place.
    pub(crate) async fn list(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        let found = self.found(filter, owner).await?;
        let each = |row: &Row<'_>| {
            each(read_listed(row)?);
            Ok(())
        };
        match found {
            Some(ids) => {
                self.read_pool.read(|sqlite| step_ids(sqlite, SELECT_LISTED, &ids, each)).await
            }
            None if filter.is_by_start_alone() => {
                let page = |sqlite: &_| step_page(sqlite, SELECT_LISTED, filter, owner, each);
                self.read_pool.read_rows(filter.limit, page).await
            }
            None => {
                let page = |sqlite: &_| step_page(sqlite, SELECT_LISTED, filter, owner, each);
                self.read_pool.read(page).await
            }
        }
    }

    /// Returns the queries of a page of a list with all their fields, newest first.
    pub(crate) async fn records(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<Vec<StoredQuery>, StoreError> {
        let found = self.found(filter, owner).await?;
        let read = self.read_pool.read(|sqlite| {
            let mut queries = Vec::new();
            let each = |row: &Row<'_>| {
                queries.push(read_query(row)?);
                Ok(())
            };
            match &found {
                Some(ids) => step_ids(sqlite, &SELECT_QUERY, ids, each)?,
                None => step_page(sqlite, &SELECT_QUERY, filter, owner, each)?,
            }
            Ok(queries)
        });
        read.await
    }

    /// Hands over one query, as a list shows it, if it is known.
    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        let read = self.read_pool.read_briefly(|sqlite| {
            let one = (query_id, owner);
            step_one(sqlite, SELECT_LISTED, LISTED_STATEMENT_CHARS, one, |row| {
                each(read_listed(row)?);
                Ok(())
            })
        });
        read.await
    }

    /// Returns a query with all its fields, its statement whole, or None if it is unknown.
    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<StoredQuery>, StoreError> {
        let read = self.read_pool.read_briefly(|sqlite| {
            let mut found = None;
            step_one(sqlite, &SELECT_QUERY, i64::MAX, (query_id, owner), |row| {
                found = Some(read_query(row)?);
                Ok(())
            })?;
            Ok(found)
        });
        read.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Kind;

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
        let some = QueryFilter {
            db: Some("d".to_string()),
            state: Some("EOF".to_string()),
            kind: Some(Kind::Query),
            anywhere: Some("x".to_string()),
            min_ms: Some(1),
            min_queue_ms: Some(1),
            cache_hit: Some(true),
            ..all.clone()
        };
        for (user, index) in [(None, "query_by_start"), (Some("u"), "query_by_user")] {
            for (filter, select) in [(&all, SELECT_LISTED), (&some, SELECT_QUERY.as_str())] {
                let conditions = Conditions::new(1).and_filter(filter, user);
                let started = plan(conditions.clone().and_page(filter).newest_first(select, 10));
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
        let one = Conditions::new(1).and("query_id = ?", "q".to_string());
        let one = one.and("user = ?", "u".to_string());
        assert!(plan(one.newest_first(&SELECT_QUERY, 1)).contains("query_by_query_id"));
        let ids =
            Conditions::new(1).and("id IN (SELECT value FROM json_each(?))", "[1]".to_string());
        assert!(plan(ids.newest_first(&SELECT_QUERY, 1)).contains("USING INTEGER PRIMARY KEY"));
    }

    #[test]
    fn a_pattern_finds_its_signs_as_they_are() {
        assert_eq!(like_pattern(r"50%_\"), r"%50\%\_\\%");
    }
}
