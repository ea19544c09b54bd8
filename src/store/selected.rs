//! Reading: all queries of a selection, one by one, for what counts them.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, Row, Statement};

use super::read::Selection;
use super::search::Candidates;
use crate::query::Kind;
use crate::search::Search;
use crate::statement::Fingerprint;

/// The conditions of a selection other than its times, its shape, its search and its place, and whose queries
/// may be seen. [`bind_conditions`] gives them their values; a statement has `?7` and what follows for its own.
pub(super) const CONDITIONS: &str = "(?1 IS NULL OR user = ?1)
    AND (?2 IS NULL OR db = ?2)
    AND (?3 IS NULL OR state = ?3 COLLATE NOCASE)
    AND (?4 IS NULL OR kind = ?4)
    AND (?5 IS NULL OR duration_ms >= ?5)
    AND (?6 IS NULL OR user = ?6)";

/// Gives [`CONDITIONS`] their values, which a statement keeps from one run to the next.
pub(super) fn bind_conditions(
    statement: &mut Statement<'_>,
    selection: &Selection,
    owner: Option<&str>,
) -> Result<(), rusqlite::Error> {
    statement.raw_bind_parameter(1, &selection.user)?;
    statement.raw_bind_parameter(2, &selection.db)?;
    statement.raw_bind_parameter(3, &selection.state)?;
    statement.raw_bind_parameter(4, selection.kind.map(Kind::name))?;
    statement.raw_bind_parameter(5, selection.min_ms)?;
    statement.raw_bind_parameter(6, owner)
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
    ifnull(error_code, 0) <> 0 OR upper(ifnull(state, '')) IN ('ERR', 'CANCELLED'),
    ifnull(scan_rows, 0), ifnull(scan_bytes, 0)";

/// The first of a row's columns that the reader names itself.
pub(super) const OWN: usize = 5;

impl Counted {
    pub fn of(row: &Row<'_>) -> Result<Counted, rusqlite::Error> {
        Ok(Counted {
            started_ms: row.get(0)?,
            duration_ms: row.get(1)?,
            errors: row.get(2)?,
            scan_rows: row.get(3)?,
            scan_bytes: row.get(4)?,
        })
    }
}

/// The queries of a selection that its owner may see, on one connection; its limit and its place are not
/// heeded. Without times those are among them that have no start.
pub(super) struct Selected<'a> {
    pub sqlite: &'a Connection,
    pub selection: &'a Selection,
    pub owner: Option<&'a str>,
    /// Whether nobody waits for it any more.
    pub given_up: &'a AtomicBool,
}

impl Selected<'_> {
    /// Hands over the rows: the columns of a [`Counted`], and behind them `columns`, each with a comma before it.
    pub fn each(
        &self,
        columns: &str,
        each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        // One state of the history, from the index of searches to the statements.
        let transaction = self.sqlite.unchecked_transaction()?;
        match &self.selection.search {
            None => self.each_row(columns, each)?,
            Some(search) => self.each_match(search, columns, each)?,
        }
        transaction.finish()
    }

    fn each_row(
        &self,
        columns: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        let mut all = self.sqlite.prepare(&format!(
            "SELECT {COUNTED}{columns} FROM query WHERE {CONDITIONS} AND {}",
            self.within()
        ))?;
        bind_conditions(&mut all, self.selection, self.owner)?;
        self.bind_within(&mut all)?;
        let mut rows = all.raw_query();
        while let Some(row) = rows.next()?
            && !self.is_given_up()
        {
            each(row)?;
        }
        Ok(())
    }

    /// The same of statements that match; those are read that the index of searches does not rule out.
    fn each_match(
        &self,
        search: &Search,
        columns: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        let candidates = Candidates::read(self.sqlite, Some(search))?;
        let mut all =
            self.sqlite.prepare(&format!("SELECT id FROM query WHERE {}", self.within()))?;
        self.bind_within(&mut all)?;
        let mut one = self.sqlite.prepare(&format!(
            "SELECT {COUNTED}{columns}, statement FROM query
             WHERE {CONDITIONS} AND id = ?7 AND statement IS NOT NULL"
        ))?;
        bind_conditions(&mut one, self.selection, self.owner)?;
        let statement = one.column_count() - 1;
        let mut rows = all.raw_query();
        while let Some(row) = rows.next()?
            && !self.is_given_up()
        {
            let id: i64 = row.get(0)?;
            if !candidates.has(id) {
                continue;
            }
            one.raw_bind_parameter(7, id)?;
            let mut found = one.raw_query();
            if let Some(row) = found.next()?
                && search.matches(row.get_ref(statement)?.as_bytes()?)
            {
                each(row)?;
            }
        }
        Ok(())
    }

    /// The condition of its times and its shape. Of each shape there is an index by start, which SQLite does
    /// not use for a condition that may not matter.
    fn within(&self) -> String {
        let Selection { fingerprint, from_ms, to_ms, .. } = self.selection;
        let shape = if fingerprint.is_some() { "fingerprint = ?7" } else { "?7 IS NULL" };
        let started = match (from_ms, to_ms) {
            (None, None) => "?8 <= ?9",
            _ => "started_ms BETWEEN ?8 AND ?9",
        };
        format!("{shape} AND {started}")
    }

    fn bind_within(&self, statement: &mut Statement<'_>) -> Result<(), rusqlite::Error> {
        let (from_ms, last_ms) = self.selection.starts();
        statement.raw_bind_parameter(7, self.selection.fingerprint.map(Fingerprint::to_signed))?;
        statement.raw_bind_parameter(8, from_ms)?;
        statement.raw_bind_parameter(9, last_ms)
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}
