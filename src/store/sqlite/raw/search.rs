//! Finding the queries of a list that no index gives: by words or texts, and by other conditions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Row, Rows, Statement};

use super::super::Store;
use super::conditions::Conditions;
use super::lane::{Lane, is_ended};
use super::ngram_index::{id_range, read_candidates, statement_of};
use super::scan::Indexed;
use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::search::CellSearch;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::ngram_index::Candidates;
use crate::store::query::{Bound, Incomplete, Reader};

/// Most lists find a page among this many of the newest queries.
const NEWEST: u64 = 20_000;
/// With more candidates than this, a second search among more of the newest queries pays before all candidates
/// are read.
const MANY_ROWS: i64 = 1_000_000;
/// The queries of the second search.
const NEWER: u64 = 200_000;
/// Finding a row by its start takes as long as reading this many rows of the table one after the other.
const ROWS_OF_ONE: i64 = 4;

/// The start of a query and its row: what lists are sorted by.
type Key = (Option<i64>, i64);

/// Returns the statement for the keys of queries with a start, in the order of lists.
pub(super) fn started_sql(indexed: Indexed) -> String {
    format!(
        "SELECT started_ms, id FROM query
         WHERE {} AND started_ms BETWEEN ?2 AND ?3 AND (started_ms < ?3 OR id < ?4)
         ORDER BY started_ms DESC, id DESC",
        indexed.condition()
    )
}

/// Returns the statement for the keys of queries without a start, in the order of lists.
pub(super) fn unstarted_sql(indexed: Indexed) -> String {
    format!(
        "SELECT started_ms, id FROM query
         WHERE {} AND started_ms IS NULL AND id < ?2 ORDER BY id DESC",
        indexed.condition()
    )
}

/// The condition of one row, and that of a range of rows. Both have two parameters.
pub(super) const ONE_ROW: &str = "id = ?1 AND ?2 IS NULL";
pub(super) const RANGE: &str = "id BETWEEN ?1 AND ?2";

/// Returns the statement that counts the queries of some times, up to `?4` of them.
pub(super) fn count_sql(indexed: Indexed) -> String {
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM query
         WHERE {} AND started_ms BETWEEN ?2 AND ?3 LIMIT ?4)",
        indexed.condition()
    )
}

/// The texts that a filter reads of each row.
#[derive(Debug, Clone, Copy)]
enum Texts {
    None,
    Statement,
    All,
}

impl Texts {
    fn of(filter: &QueryFilter) -> Texts {
        match (&filter.anywhere, &filter.search) {
            (Some(_), _) => Texts::All,
            (None, Some(_)) => Texts::Statement,
            (None, None) => Texts::None,
        }
    }

    fn columns(self) -> &'static str {
        match self {
            Texts::None => "",
            Texts::Statement => ", statement",
            Texts::All => ", statement, query_id, user, db, state, frontend, ended_ms, duration_ms",
        }
    }
}

/// The column of the statement, and the columns of all texts.
const STATEMENT: usize = 2;
const TEXTS: std::ops::RangeInclusive<usize> = STATEMENT..=7;
const ENDED_MS: usize = 8;
const DURATION_MS: usize = 9;

/// Returns the statement for the rows of a condition that match a filter, but for its times and its texts.
pub(super) fn candidates_sql(
    rows: &str,
    filter: &QueryFilter,
    owner: Option<&str>,
) -> (String, Conditions) {
    let fingerprint = filter.fingerprint.map(Fingerprint::to_signed);
    let conditions = Conditions::new(vec![Value::Null; 2])
        .and_plain(rows)
        .and_if("+fingerprint = ?", fingerprint)
        .and_filter(filter, owner);
    let columns = Texts::of(filter).columns();
    let sql = format!("SELECT started_ms, id{columns} FROM query WHERE {}", conditions.sql());
    (sql, conditions)
}

/// Returns whether a text is in a row of [`Texts::All`].
fn is_in_row(text: &CellSearch, row: &Row<'_>) -> Result<bool, rusqlite::Error> {
    for column in TEXTS {
        if statement_of(row, column)?.is_some_and(|value| text.is_in(value)) {
            return Ok(true);
        }
    }
    Ok(text.is_in_time(row.get(0)?)
        || text.is_in_time(row.get(ENDED_MS)?)
        || text.is_in_duration(row.get(DURATION_MS)?))
}

/// How far a search has come.
#[derive(Debug, Default)]
struct Progress {
    /// The first queries of the page, in the order of the list.
    found: Vec<Key>,
    /// The last query that was looked at: all queries before it are looked at, too.
    at: Option<Cursor>,
    /// Whether the page is full, or no query is left.
    is_done: bool,
}

/// One search on one connection.
struct Finder<'a> {
    sqlite: &'a Connection,
    filter: &'a QueryFilter,
    owner: Option<&'a str>,
    candidates: Candidates,
    progress: &'a mut Progress,
}

impl<'a> Finder<'a> {
    fn new(
        sqlite: &'a Connection,
        filter: &'a QueryFilter,
        owner: Option<&'a str>,
        progress: &'a mut Progress,
    ) -> Result<Finder<'a>, rusqlite::Error> {
        let candidates = read_candidates(sqlite, filter.search.as_ref())?;
        Ok(Finder { sqlite, filter, owner, candidates, progress })
    }

    /// Finds the rest of the page.
    fn find_all(&mut self) -> Result<(), rusqlite::Error> {
        if self.progress.at.is_none() {
            // The newest queries were not looked at in time. Only a search that looked at a query can go on.
            self.by_start(NEWEST)?;
            if self.progress.is_done {
                return Ok(());
            }
        }
        let Some((first, last)) = id_range(self.sqlite)? else {
            self.progress.is_done = true;
            return Ok(());
        };
        let (ranges, ids) = self.candidates.ranges(first, last);
        if self.has_at_most(ids / ROWS_OF_ONE)? {
            return self.by_start(u64::MAX);
        }
        if ids > MANY_ROWS {
            self.by_start(NEWER)?;
        }
        if self.progress.is_done { Ok(()) } else { self.by_row(&ranges) }
    }

    /// Returns the filter of what is left of the page.
    fn rest(&self) -> QueryFilter {
        QueryFilter { after: self.progress.at.or(self.filter.after), ..self.filter.clone() }
    }

    /// Returns whether no more than `most` queries with a start are left.
    fn has_at_most(&self, most: i64) -> Result<bool, rusqlite::Error> {
        let rest = self.rest();
        let (first_ms, last_ms) = rest.starts();
        let (start_ms, _) = rest.page_start();
        let (indexed, value) = Indexed::of(&rest, self.owner);
        let mut count = self.sqlite.prepare_cached(&count_sql(indexed))?;
        let values = (&value, first_ms, start_ms.min(last_ms), most.saturating_add(1));
        let count: i64 = count.query_row(values, |row| row.get(0))?;
        Ok(count <= most)
    }

    /// Looks at queries newest first, until enough match or `most` were looked at.
    fn by_start(&mut self, most: u64) -> Result<(), rusqlite::Error> {
        let rest = self.rest();
        let (first_ms, last_ms) = rest.starts();
        let (start_ms, start_id) = rest.page_start();
        let (indexed, value) = Indexed::of(&rest, self.owner);
        let mut left = most;
        let sqlite = self.sqlite;
        let mut started = sqlite.prepare_cached(&started_sql(indexed))?;
        let rows = started.query((&value, first_ms, start_ms.min(last_ms), start_id))?;
        if !self.add_matches(rows, &mut left)? {
            return Ok(());
        }
        if let Some(below) = rest.page_start_without_time() {
            let mut unstarted = sqlite.prepare_cached(&unstarted_sql(indexed))?;
            if !self.add_matches(unstarted.query((&value, below))?, &mut left)? {
                return Ok(());
            }
        }
        self.progress.is_done = true;
        Ok(())
    }

    /// Adds the keys that match. Returns whether all keys were looked at, and the page is not full.
    fn add_matches(&mut self, mut keys: Rows<'_>, left: &mut u64) -> Result<bool, rusqlite::Error> {
        let mut one = self.candidates_in(ONE_ROW)?;
        while let Some(key) = keys.next()? {
            if *left == 0 {
                return Ok(false);
            }
            *left -= 1;
            let key: Key = (key.get(0)?, key.get(1)?);
            if self.candidates.has(key.1) {
                let mut rows = within(&mut one, key.1, None)?;
                if let Some(row) = rows.next()?
                    && self.matches(row)?
                {
                    self.progress.found.push(key);
                }
            }
            self.progress.at = Some(Cursor { value: key.0, id: key.1 });
            if self.progress.found.len() >= self.filter.limit as usize {
                self.progress.is_done = true;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the rows of some ranges, and adds the keys of the newest that match.
    fn by_row(&mut self, ranges: &[(i64, i64)]) -> Result<(), rusqlite::Error> {
        let rest = self.rest();
        let missing = (self.filter.limit as usize).saturating_sub(self.progress.found.len());
        let mut range = self.candidates_in(RANGE)?;
        let mut newest: BinaryHeap<Reverse<Key>> = BinaryHeap::new();
        for (from, to) in ranges {
            let mut rows = within(&mut range, *from, Some(*to))?;
            while let Some(row) = rows.next()? {
                let key = (row.get(0)?, row.get(1)?);
                if rest.is_from_page_on(key) && self.matches(row)? {
                    newest.push(Reverse(key));
                    if newest.len() > missing {
                        newest.pop();
                    }
                }
            }
        }
        // `Reverse` sorts the newest first.
        self.progress.found.extend(newest.into_sorted_vec().into_iter().map(|Reverse(key)| key));
        self.progress.is_done = true;
        Ok(())
    }

    fn matches(&self, row: &Row<'_>) -> Result<bool, rusqlite::Error> {
        if let Some(search) = &self.filter.search
            && !statement_of(row, STATEMENT)?.is_some_and(|statement| search.matches(statement))
        {
            return Ok(false);
        }
        match &self.filter.anywhere {
            Some(text) => is_in_row(text, row),
            None => Ok(true),
        }
    }

    fn candidates_in(&self, rows: &str) -> Result<CachedStatement<'a>, rusqlite::Error> {
        let (sql, conditions) = candidates_sql(rows, self.filter, self.owner);
        let mut statement = self.sqlite.prepare_cached(&sql)?;
        conditions.bind(&mut statement)?;
        Ok(statement)
    }
}

/// Runs a statement of [`candidates_sql`] for one row, or for a range of rows.
fn within<'b>(
    statement: &'b mut Statement<'_>,
    first: i64,
    last: Option<i64>,
) -> Result<Rows<'b>, rusqlite::Error> {
    statement.raw_bind_parameter(1, first)?;
    statement.raw_bind_parameter(2, last)?;
    Ok(statement.raw_query())
}

/// The rows of a page.
pub(super) struct Found {
    /// A JSON array of the rows.
    pub(super) ids: String,
    pub(super) incomplete: Option<Incomplete>,
}

impl Store {
    /// Returns the first queries of a filter, in the order of the list. Of a list by start, the newest queries are looked at by
    /// connections that never do more than that, so that most lists do not wait for long searches.
    ///
    /// Errors if too many searches wait, or if the time is up before a query was looked at.
    pub(super) async fn found(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Found, StoreError> {
        if !filter.is_newest_first() {
            return self.sorted(filter, reader).await;
        }
        let newest = |finder: &mut Finder<'_>| finder.by_start(NEWEST);
        let mut progress = find(&self.newest, Progress::default(), filter, reader, newest).await?;
        if !progress.is_done {
            let all = |finder: &mut Finder<'_>| finder.find_all();
            progress = find(&self.scans, progress, filter, reader, all).await?;
        }
        let incomplete = match progress.at {
            _ if progress.is_done => None,
            Some(at) => Some(Incomplete { by: Bound::Time, at }),
            None => return Err(self.scans.timed_out()),
        };
        let rows: Vec<i64> = progress.found.into_iter().map(|(_, id)| id).collect();
        Ok(Found { ids: serde_json::json!(rows).to_string(), incomplete })
    }

    /// Returns those of some rows that match a filter, but for its times and its page. Reads only the rows.
    pub(in crate::store::sqlite) async fn matching(
        &self,
        filter: &QueryFilter,
        rows: &[i64],
    ) -> Result<HashSet<i64>, StoreError> {
        let mut progress = Progress::default();
        let find = |sqlite: &Connection| {
            let candidates = read_candidates(sqlite, None)?;
            let progress = &mut progress;
            let finder = Finder { sqlite, filter, owner: None, candidates, progress };
            let mut one = finder.candidates_in(ONE_ROW)?;
            let mut matching = HashSet::new();
            for id in rows {
                let mut found = within(&mut one, *id, None)?;
                if let Some(row) = found.next()?
                    && finder.matches(row)?
                {
                    matching.insert(*id);
                }
            }
            Ok(matching)
        };
        self.read_pool.read(find).await
    }
}

/// Goes on with a search. A search that runs out of time is an answer, too: the page goes on behind what was looked at.
async fn find(
    lane: &Lane,
    mut progress: Progress,
    filter: &QueryFilter,
    reader: Reader<'_>,
    work: impl FnOnce(&mut Finder<'_>) -> Result<(), rusqlite::Error> + Send + 'static,
) -> Result<Progress, StoreError> {
    let filter = filter.clone();
    let owner = reader.owner.map(str::to_string);
    let found = lane.run(reader.client(), move |sqlite| {
        // One snapshot for the index and the statements.
        let _snapshot = sqlite.unchecked_transaction()?;
        let finder = Finder::new(sqlite, &filter, owner.as_deref(), &mut progress);
        match finder.and_then(|mut finder| work(&mut finder)) {
            Err(error) if !is_ended(&error) => Err(error),
            _ => Ok(progress),
        }
    });
    found.await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::ReadPool;
    use super::*;
    use crate::domain::search::Search;

    /// A store with 30,000 queries, every tenth of which has no start.
    async fn store(folder: &tempfile::TempDir) -> Store {
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        let sqlite = Connection::open(store.path()).unwrap();
        sqlite
            .execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
                 INSERT INTO query (query_id, kind, origin, is_slow, started_ms, statement)
                 SELECT 'q-' || i, 'query', 'audit', 0, iif(i % 10 = 0, NULL, i * 7919 % 30000),
                     'select ' || i FROM n",
            )
            .unwrap();
        store
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_search_that_runs_out_of_time_goes_on_page_by_page() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut store = store(&folder).await;
        // Reading all statements takes some ten times as long.
        let short = Duration::from_millis(3);
        store.newest =
            Lane::new(ReadPool::new(store.path(), false, 1), 1, Some(short), Arc::default());
        store.scans =
            Lane::new(ReadPool::new(store.path(), false, 1), 1, Some(short), Arc::default());
        let search = Some(Search::new(Some("9"), None).unwrap());
        let mut filter = QueryFilter { limit: 2000, search, ..QueryFilter::default() };
        let (mut found, mut incomplete) = (Vec::new(), 0);
        loop {
            let page = match store.page(&filter, Reader::default()).await {
                // The machine is busy, and no query was looked at.
                Err(StoreError::TimedOut(_)) => continue,
                page => page.unwrap(),
            };
            filter.after = page.next(&filter);
            incomplete += usize::from(page.incomplete.is_some());
            found.extend(page.queries.iter().map(|query| (query.started_ms, query.id)));
            if filter.after.is_none() {
                break;
            }
        }
        assert!(incomplete > 0);
        let ids: HashSet<i64> = found.iter().map(|(_, id)| *id).collect();
        let expected: HashSet<i64> =
            (1..=30_000).filter(|id: &i64| id.to_string().contains('9')).collect();
        assert_eq!((found.len(), &ids), (expected.len(), &expected));
        assert!(found.is_sorted_by(|one, next| one > next));
    }
}
