//! Reading all queries of a filter, for aggregates.
//!
//! An aggregate only counts each row. Through sqlx, sending a row from one thread to another takes longer than
//! that; and grouped by SQLite, sorting all rows takes half of the time.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement};

use super::conditions::Conditions;
use super::ngram_index::read_candidates;
use crate::domain::filter::QueryFilter;
use crate::store::timeline::Counted;

/// The condition that chooses an index by start: of a fingerprint, of a user, or of all queries. SQLite does
/// not use an index for a condition like `?1 IS NULL OR user = ?1`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Indexed {
    Fingerprint,
    User,
    All,
}

impl Indexed {
    #[cfg(test)]
    pub(super) const EACH: [Indexed; 3] = [Indexed::Fingerprint, Indexed::User, Indexed::All];

    /// Returns the condition for a filter and an owner, and its value.
    pub(super) fn of(filter: &QueryFilter, owner: Option<&str>) -> (Indexed, Value) {
        let user = owner.or(filter.user.only());
        match (filter.fingerprint, user) {
            (Some(fingerprint), _) => (Indexed::Fingerprint, fingerprint.to_signed().into()),
            (None, Some(user)) => (Indexed::User, user.to_string().into()),
            (None, None) => (Indexed::All, Value::Null),
        }
    }

    /// Returns the condition with the value `?1`.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Indexed::Fingerprint => "fingerprint = ?1",
            Indexed::User => "user = ?1",
            Indexed::All => "?1 IS NULL",
        }
    }
}

/// The columns of a [`Counted`], the first of each row.
const COUNTED: &str =
    "started_ms, duration_ms, is_failed, ifnull(scan_rows, 0), ifnull(scan_bytes, 0)";

/// The position of the first column that the caller of a scan names.
pub(super) const OWN: usize = 5;

/// Returns the values of a row that are counted.
pub(super) fn counted(row: &Row<'_>) -> Result<Counted, rusqlite::Error> {
    Ok(Counted {
        started_ms: row.get(0)?,
        duration_ms: row.get(1)?,
        errors: row.get(2)?,
        scan_rows: row.get(3)?,
        scan_bytes: row.get(4)?,
    })
}

/// Returns the statement for the ids of the rows of some times, in the order of an index.
pub(super) fn ids_sql(indexed: Indexed, has_times: bool) -> String {
    let times = if has_times { "started_ms BETWEEN ?2 AND ?3" } else { "?2 <= ?3" };
    format!("SELECT id FROM query WHERE {} AND {times}", indexed.condition())
}

/// Returns the statement for the rows of a range of ids, its first two parameters, that match a filter. `columns` has a comma
/// before each column.
pub(super) fn range_sql(
    columns: &str,
    with_statement: bool,
    filter: &QueryFilter,
    owner: Option<&str>,
) -> (String, Conditions) {
    let statement = if with_statement { ", statement" } else { "" };
    let range = Conditions::new(vec![Value::Null; 2]).and_plain("id BETWEEN ?1 AND ?2");
    let conditions = range.and_filter(filter, owner);
    let sql = format!("SELECT {COUNTED}{columns}{statement} FROM query WHERE {}", conditions.sql());
    (sql, conditions)
}

/// Ids that a scan takes from the index at a time.
const IDS: usize = 4096;

/// The queries of a filter that an owner may see. Ignores the filter's limit and cursor. Queries without a
/// start are among them if the filter has no times.
pub(super) struct Scan<'a> {
    pub sqlite: &'a Connection,
    pub filter: &'a QueryFilter,
    pub owner: Option<&'a str>,
}

impl Scan<'_> {
    /// Calls `each` with every row, until it returns false: the columns of a [`Counted`], then `columns`, which has a
    /// comma before each column.
    ///
    /// The index returns ids by start, and rows are stored by arrival, which is nearly the same order. Many ids
    /// are therefore adjacent, and the scan reads those as one range. Finding each row of its own took three
    /// times as long.
    pub(super) fn each(
        &self,
        columns: &str,
        each: impl FnMut(&Row<'_>) -> Result<bool, rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        self.each_of(self.ids()?, columns, each)
    }

    /// The same for the rows whose ids a statement returns, which the filter's times and fingerprint do not choose.
    pub(super) fn each_of(
        &self,
        mut ids: Statement<'_>,
        columns: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<bool, rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        // One snapshot for the search index and the rows, unless the caller has one.
        let is_alone = self.sqlite.is_autocommit();
        let _snapshot = is_alone.then(|| self.sqlite.unchecked_transaction()).transpose()?;
        let search = self.filter.search.as_ref();
        let candidates = read_candidates(self.sqlite, search)?;
        let mut ids = ids.raw_query();
        let (sql, conditions) = range_sql(columns, search.is_some(), self.filter, self.owner);
        let mut range = self.sqlite.prepare(&sql)?;
        conditions.bind(&mut range)?;
        let statement = range.column_count() - 1;
        let mut chunk: Vec<i64> = Vec::with_capacity(IDS);
        let mut more = true;
        while more {
            chunk.clear();
            for _ in 0..IDS {
                let Some(row) = ids.next()? else {
                    more = false;
                    break;
                };
                let id = row.get(0)?;
                if candidates.has(id) {
                    chunk.push(id);
                }
            }
            chunk.sort_unstable();
            for adjacent in chunk.chunk_by(|one, next| one + 1 == *next) {
                let (Some(first), Some(last)) = (adjacent.first(), adjacent.last()) else {
                    continue;
                };
                range.raw_bind_parameter(1, first)?;
                range.raw_bind_parameter(2, last)?;
                let mut rows = range.raw_query();
                while let Some(row) = rows.next()? {
                    let matches = match search {
                        None => true,
                        Some(search) => row
                            .get_ref(statement)?
                            .as_bytes_or_null()?
                            .is_some_and(|statement| search.matches(statement)),
                    };
                    if matches && !each(row)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn ids(&self) -> Result<Statement<'_>, rusqlite::Error> {
        let (indexed, value) = Indexed::of(self.filter, self.owner);
        let has_times = self.filter.from_ms.is_some() || self.filter.to_ms.is_some();
        let (from_ms, last_ms) = self.filter.starts();
        let mut ids = self.sqlite.prepare(&ids_sql(indexed, has_times))?;
        ids.raw_bind_parameter(1, value)?;
        ids.raw_bind_parameter(2, from_ms)?;
        ids.raw_bind_parameter(3, last_ms)?;
        Ok(ids)
    }
}
