//! Reading: all queries of a filter, one by one, for what counts them.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement};

use super::ngram_index::Candidates;
use crate::domain::filter::QueryFilter;
use crate::domain::record::Kind;

/// The conditions of a filter other than its times, its shape, its search and its place, and whose queries
/// may be seen. [`bind_conditions`] gives them their values; a statement has `?9` and what follows for its own.
pub(super) const CONDITIONS: &str = "(?1 IS NULL OR user = ?1)
    AND (?2 IS NULL OR db = ?2)
    AND (?3 IS NULL OR state = ?3 COLLATE NOCASE)
    AND (?4 IS NULL OR kind = ?4)
    AND (?5 IS NULL OR duration_ms >= ?5)
    AND (?6 IS NULL OR user = ?6)
    AND (?7 IS NULL OR queue_time_ms >= ?7)
    AND (?8 IS NULL OR cache_hit = ?8)";

/// Gives [`CONDITIONS`] their values, which a statement keeps from one run to the next.
pub(super) fn bind_conditions(
    statement: &mut Statement<'_>,
    filter: &QueryFilter,
    owner: Option<&str>,
) -> Result<(), rusqlite::Error> {
    statement.raw_bind_parameter(1, &filter.user)?;
    statement.raw_bind_parameter(2, &filter.db)?;
    statement.raw_bind_parameter(3, &filter.state)?;
    statement.raw_bind_parameter(4, filter.kind.map(Kind::name))?;
    statement.raw_bind_parameter(5, filter.min_ms)?;
    statement.raw_bind_parameter(6, owner)?;
    statement.raw_bind_parameter(7, filter.min_queue_ms)?;
    statement.raw_bind_parameter(8, filter.cache_hit)
}

/// What an index by start is for: the condition, but for its value at the end, and the value. SQLite does not
/// use an index for a condition that may not matter, so each statement has the one that does.
pub(super) fn indexed(filter: &QueryFilter, owner: Option<&str>) -> (&'static str, Value) {
    let user = owner.or(filter.user.as_deref());
    match (filter.fingerprint, user) {
        (Some(fingerprint), _) => ("fingerprint =", fingerprint.to_signed().into()),
        (None, Some(user)) => ("user =", user.to_string().into()),
        (None, None) => ("NULL IS", Value::Null),
    }
}

/// What is read of each query that is counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub started_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    /// 1 where it failed, else 0.
    pub errors: i64,
    pub scan_rows: i64,
    pub scan_bytes: i64,
}

/// The columns of a [`Counted`], the first of each row.
const COUNTED: &str = "started_ms, duration_ms,
    is_failed,
    ifnull(scan_rows, 0), ifnull(scan_bytes, 0)";

/// The first of a row's columns that the reader names itself.
pub(super) const OWN: usize = 5;

impl Counted {
    pub(super) fn of(row: &Row<'_>) -> Result<Counted, rusqlite::Error> {
        Ok(Counted {
            started_ms: row.get(0)?,
            duration_ms: row.get(1)?,
            errors: row.get(2)?,
            scan_rows: row.get(3)?,
            scan_bytes: row.get(4)?,
        })
    }
}

/// Rows are told by the index so many at once.
const TOGETHER: usize = 4096;

/// The queries of a filter that its owner may see, on one connection; its limit and its place are not
/// heeded. Without times those are among them that have no start.
pub(super) struct Scan<'a> {
    pub sqlite: &'a Connection,
    pub filter: &'a QueryFilter,
    pub owner: Option<&'a str>,
    /// Whether nobody waits for it any more.
    pub given_up: &'a AtomicBool,
}

impl Scan<'_> {
    /// Hands over the rows: the columns of a [`Counted`], and behind them `columns`, each with a comma before it.
    ///
    /// The index tells the rows by start, and a history has them about in the order of their ends: so many of
    /// them are neighbours, and are read as such. To find each by itself took a third of the time.
    pub(super) fn each(
        &self,
        columns: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        // One state of the history, from the index of searches to the statements.
        let transaction = self.sqlite.unchecked_transaction()?;
        let search = self.filter.search.as_ref();
        let candidates = Candidates::read(self.sqlite, search)?;
        let mut all = self.ids()?;
        let mut all = all.raw_query();
        let statement = if search.is_some() { ", statement" } else { "" };
        let mut neighbours = self.sqlite.prepare(&format!(
            "SELECT {COUNTED}{columns}{statement} FROM query
             WHERE {CONDITIONS} AND id BETWEEN ?9 AND ?10"
        ))?;
        bind_conditions(&mut neighbours, self.filter, self.owner)?;
        let statement = neighbours.column_count() - 1;
        let mut ids: Vec<i64> = Vec::with_capacity(TOGETHER);
        let mut more = true;
        while more && !self.given_up.load(Ordering::Relaxed) {
            ids.clear();
            for _ in 0..TOGETHER {
                let Some(row) = all.next()? else {
                    more = false;
                    break;
                };
                let id = row.get(0)?;
                if candidates.has(id) {
                    ids.push(id);
                }
            }
            ids.sort_unstable();
            for run in ids.chunk_by(|one, next| one + 1 == *next) {
                let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
                neighbours.raw_bind_parameter(9, first)?;
                neighbours.raw_bind_parameter(10, last)?;
                let mut rows = neighbours.raw_query();
                while let Some(row) = rows.next()? {
                    let matches = match search {
                        None => true,
                        Some(search) => row
                            .get_ref(statement)?
                            .as_bytes_or_null()?
                            .is_some_and(|statement| search.matches(statement)),
                    };
                    if matches {
                        each(row)?;
                    }
                }
            }
        }
        drop(all);
        transaction.finish()
    }

    /// The rows of its times that are of its shape or of whose it is, by start.
    fn ids(&self) -> Result<Statement<'_>, rusqlite::Error> {
        let (column, value) = indexed(self.filter, self.owner);
        let started = match (self.filter.from_ms, self.filter.to_ms) {
            (None, None) => "?2 <= ?3",
            _ => "started_ms BETWEEN ?2 AND ?3",
        };
        let (from_ms, last_ms) = self.filter.starts();
        let mut ids = self
            .sqlite
            .prepare(&format!("SELECT id FROM query WHERE {column} ?1 AND {started}"))?;
        ids.raw_bind_parameter(1, value)?;
        ids.raw_bind_parameter(2, from_ms)?;
        ids.raw_bind_parameter(3, last_ms)?;
        Ok(ids)
    }
}
