//! Searching statements: which queries of a list match.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, Row, Rows, Statement};

use super::super::Store;
use super::ngram_index::{Candidates, id_range, statement_of};
use super::scan::{CONDITIONS, Indexed, bind_conditions};
use crate::domain::filter::QueryFilter;
use crate::domain::search::Search;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;

/// Most searches find a page among this many of the newest queries.
const NEWEST: u64 = 20_000;
/// With more candidates than this, a second search among more of the newest queries pays before all candidates
/// are read.
const MANY_ROWS: i64 = 1_000_000;
/// The queries of the second search. Finding a row by its start takes four times as long as reading the next
/// row of the table.
const NEWER: u64 = 200_000;

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
pub(super) const ONE_ROW: &str = "id = ?10 AND ?11 IS NULL";
pub(super) const RANGE: &str = "id BETWEEN ?10 AND ?11";

/// Returns the statement for the rows of a condition that match a filter, but for its times and its search.
pub(super) fn candidates_sql(rows: &str) -> String {
    format!(
        "SELECT started_ms, id, statement FROM query
         WHERE {rows} AND statement IS NOT NULL AND (?9 IS NULL OR fingerprint = ?9)
           AND {CONDITIONS}"
    )
}

/// One search on one connection.
struct Finder<'a> {
    sqlite: &'a Connection,
    search: Option<&'a Search>,
    filter: &'a QueryFilter,
    owner: Option<&'a str>,
    candidates: Candidates,
    /// Set once nobody waits for the result.
    is_cancelled: &'a AtomicBool,
}

impl Finder<'_> {
    /// Returns the keys of the first queries of the list that match.
    fn find(&self) -> Result<Vec<Key>, rusqlite::Error> {
        if self.filter.fingerprint.is_some() {
            return Ok(self.by_start(u64::MAX)?.unwrap_or_default());
        }
        if let Some(found) = self.by_start(NEWEST)? {
            return Ok(found);
        }
        let Some((first, last)) = id_range(self.sqlite)? else { return Ok(Vec::new()) };
        let (ranges, ids) = self.candidates.ranges(first, last);
        if ids > MANY_ROWS
            && let Some(found) = self.by_start(NEWER)?
        {
            return Ok(found);
        }
        self.by_row(&ranges)
    }

    /// Reads queries newest first, until enough match. Returns none if `most` queries were not enough.
    fn by_start(&self, most: u64) -> Result<Option<Vec<Key>>, rusqlite::Error> {
        let (first_ms, last_ms) = self.filter.starts();
        let (start_ms, start_id) = self.filter.page_start();
        let (indexed, value) = Indexed::of(self.filter, self.owner);
        let mut started = self.sqlite.prepare(&started_sql(indexed))?;
        let mut left = most;
        let mut found = Vec::new();
        let rows = started.query((&value, first_ms, start_ms.min(last_ms), start_id))?;
        if !self.add_matches(rows, &mut left, &mut found)? {
            return Ok(None);
        }
        if let Some(below) = self.filter.page_start_without_time()
            && !self.is_enough(&found)
        {
            let mut unstarted = self.sqlite.prepare(&unstarted_sql(indexed))?;
            if !self.add_matches(unstarted.query((&value, below))?, &mut left, &mut found)? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    fn is_enough(&self, found: &[Key]) -> bool {
        found.len() >= self.filter.limit as usize
    }

    /// Adds the keys that match, until there are enough. Returns false if `left` queries were not enough.
    fn add_matches(
        &self,
        mut keys: Rows<'_>,
        left: &mut u64,
        found: &mut Vec<Key>,
    ) -> Result<bool, rusqlite::Error> {
        let mut one = self.candidates_in(ONE_ROW)?;
        while let Some(key) = keys.next()? {
            if *left == 0 || self.is_cancelled.load(Ordering::Relaxed) {
                return Ok(false);
            }
            *left -= 1;
            let id = key.get(1)?;
            if !self.candidates.has(id) {
                continue;
            }
            let mut rows = within(&mut one, id, None)?;
            if let Some(row) = rows.next()?
                && self.matches(row)?
            {
                found.push((key.get(0)?, id));
                if self.is_enough(found) {
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Reads the rows of some ranges, and returns the keys of the newest that match.
    fn by_row(&self, ranges: &[(i64, i64)]) -> Result<Vec<Key>, rusqlite::Error> {
        let mut range = self.candidates_in(RANGE)?;
        let mut newest: BinaryHeap<Reverse<Key>> = BinaryHeap::new();
        for (from, to) in ranges {
            if self.is_cancelled.load(Ordering::Relaxed) {
                break;
            }
            let mut rows = within(&mut range, *from, Some(*to))?;
            while let Some(row) = rows.next()? {
                let key = (row.get(0)?, row.get(1)?);
                if self.filter.is_from_page_on(key) && self.matches(row)? {
                    newest.push(Reverse(key));
                    if newest.len() > self.filter.limit as usize {
                        newest.pop();
                    }
                }
            }
        }
        // `Reverse` sorts the newest first.
        Ok(newest.into_sorted_vec().into_iter().map(|Reverse(key)| key).collect())
    }

    fn matches(&self, row: &Row<'_>) -> Result<bool, rusqlite::Error> {
        let Some(search) = self.search else { return Ok(true) };
        Ok(statement_of(row, 2)?.is_some_and(|statement| search.matches(statement)))
    }

    fn candidates_in(&self, rows: &str) -> Result<Statement<'_>, rusqlite::Error> {
        let mut statement = self.sqlite.prepare(&candidates_sql(rows))?;
        bind_conditions(&mut statement, self.filter, self.owner)?;
        statement.raw_bind_parameter(9, self.filter.fingerprint.map(Fingerprint::to_signed))?;
        Ok(statement)
    }
}

/// Runs a statement of [`candidates_sql`] for one row, or for a range of rows.
fn within<'b>(
    statement: &'b mut Statement<'_>,
    first: i64,
    last: Option<i64>,
) -> Result<Rows<'b>, rusqlite::Error> {
    statement.raw_bind_parameter(10, first)?;
    statement.raw_bind_parameter(11, last)?;
    Ok(statement.raw_query())
}

impl Store {
    /// Returns the rows of the first queries of a filter, in the order of the list, as a JSON array. Returns none
    /// if the filter has neither a search nor a fingerprint: the list is as fast without.
    pub(in crate::store::sqlite) async fn found(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        if filter.search.is_none() && filter.fingerprint.is_none() {
            return Ok(None);
        }
        let filter = filter.clone();
        let owner = owner.map(str::to_string);
        let keys = self
            .report_raw(move |sqlite, is_cancelled| {
                // One snapshot for the index and the statements.
                let transaction = sqlite.unchecked_transaction()?;
                let finder = Finder {
                    sqlite,
                    search: filter.search.as_ref(),
                    filter: &filter,
                    owner: owner.as_deref(),
                    candidates: Candidates::read(sqlite, filter.search.as_ref())?,
                    is_cancelled,
                };
                let keys = finder.find()?;
                transaction.finish()?;
                Ok(keys)
            })
            .await?;
        let rows: Vec<i64> = keys.into_iter().map(|(_, id)| id).collect();
        Ok(Some(serde_json::json!(rows).to_string()))
    }
}
