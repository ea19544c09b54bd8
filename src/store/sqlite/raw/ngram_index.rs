//! The search index: which runs of rows may have a text in their statements.
//!
//! The usual substring indexes cost more than they gain here: FTS5's trigrams over a million statements take
//! twice the time of importing them. This index takes 16 bytes a query. For each run of rows, not for each row,
//! it has the sequences of bytes that occur in the statements, and a search reads the runs that are left.
//!
//! Making a segment reads thousands of rows, and a search may read millions: through sqlx a row costs ten
//! times as much.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior};
use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::{lock, with_busy_timeout, with_raw};
use crate::domain::search::{Search, for_each_gram};
use crate::store::error::StoreError;
use crate::store::writer::Upkeep;

/// Rows of a run. With fewer rows a search reads fewer in vain, but the index is larger.
const RUN_ROWS: i64 = 256;
/// Runs of a segment: the bits of a mask.
const RUNS: i64 = 64;
pub(in crate::store::sqlite) const SEGMENT_ROWS: i64 = RUN_ROWS * RUNS;
/// Buckets that sequences of bytes hash into. With this many, a fifth of the bits of a mask is set.
const BUCKETS: usize = 1 << 15;
/// Masks of a row of `search_page`: seven such rows fit into a page of SQLite.
const PAGE_BUCKETS: usize = 64;
pub(in crate::store::sqlite) const PAGES: i64 = (BUCKETS / PAGE_BUCKETS) as i64;

const FIRST_ID: &str = "SELECT min(id) FROM query";
const LAST_ID: &str = "SELECT max(id) FROM query";
const STATEMENTS: &str = "SELECT id, statement FROM query WHERE id BETWEEN ? AND ?";
const STALE_SEGMENT: &str = "SELECT segment FROM search_segment WHERE is_stale LIMIT 1";
const NEWEST_SEGMENT: &str = "SELECT max(segment) FROM search_segment";
const VALID_SEGMENTS: &str = "SELECT segment FROM search_segment WHERE NOT is_stale";
const DELETE_SEGMENTS: &str = "DELETE FROM search_segment WHERE segment < ?";
const DELETE_PAGES: &str = "DELETE FROM search_page WHERE id < ?";
const WRITE_SEGMENT: &str =
    "INSERT OR REPLACE INTO search_segment (segment, is_stale) VALUES (?, 0)";
const WRITE_PAGE: &str = "INSERT OR REPLACE INTO search_page (id, masks) VALUES (?, ?)";
const READ_PAGE: &str = "SELECT masks FROM search_page WHERE id = ?";

/// The statements of this module, for the test that prepares them.
#[cfg(test)]
pub(super) const EACH: [&str; 11] = [
    FIRST_ID, LAST_ID, STATEMENTS, STALE_SEGMENT, NEWEST_SEGMENT, VALID_SEGMENTS, DELETE_SEGMENTS,
    DELETE_PAGES, WRITE_SEGMENT, WRITE_PAGE, READ_PAGE,
];

/// Returns the bucket of a sequence of bytes, by Fibonacci hashing: the upper bits depend on all bytes.
fn bucket(gram: u64) -> usize {
    (gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize
}

/// Removes the segments that new rows will fall into: if the newest rows were deleted, new rows get their ids.
/// Must run before rows are inserted, in the same transaction.
pub(in crate::store::sqlite) async fn remove_unfilled(
    transaction: &mut SqliteTransaction<'_>,
) -> Result<(), StoreError> {
    let removed = sqlx::query!(
        "DELETE FROM search_segment
         WHERE segment >= (SELECT ifnull(max(id) + 1, 0) FROM query) / ?",
        SEGMENT_ROWS
    )
    .execute(&mut **transaction)
    .await?;
    if removed.rows_affected() > 0 {
        sqlx::query!(
            "DELETE FROM search_page
             WHERE id >= (SELECT ifnull(max(segment) + 1, 0) FROM search_segment) * ?",
            PAGES
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Makes up to `most` segments of the index, stale ones first. Makes none and returns at once while another
/// process writes to the file: clients that push must not wait for that process twice.
pub(in crate::store::sqlite) async fn make_segments(
    connection: &mut SqliteConnection,
    most: usize,
) -> Result<Upkeep, StoreError> {
    let mut handle = lock(connection).await?;
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let begun = with_busy_timeout(sqlite, Duration::ZERO, |sqlite| {
                Transaction::new_unchecked(sqlite, TransactionBehavior::Immediate)
            });
            let transaction = match begun {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    return Ok(Upkeep::HeldUp);
                }
                begun => begun?,
            };
            let mut upkeep = Upkeep::More;
            for _ in 0..most {
                if !make_segment(&transaction)? {
                    upkeep = Upkeep::Done;
                    break;
                }
            }
            transaction.commit()?;
            Ok(upkeep)
        })
    })
}

/// Makes a segment in some 20 ms: a stale one, or the next one. Returns false if there is none to make. Must run
/// within a transaction.
fn make_segment(sqlite: &Connection) -> Result<bool, rusqlite::Error> {
    let Some((first, last)) = id_range(sqlite)? else { return Ok(false) };
    // Segments all of whose rows were deleted.
    let emptied = first / SEGMENT_ROWS;
    if sqlite.execute(DELETE_SEGMENTS, [emptied])? > 0 {
        sqlite.execute(DELETE_PAGES, [emptied * PAGES])?;
    }
    let stale = sqlite.query_row(STALE_SEGMENT, (), |row| row.get(0)).optional()?;
    let segment = match stale {
        Some(segment) => segment,
        None => {
            let newest: Option<i64> = sqlite.query_row(NEWEST_SEGMENT, (), |row| row.get(0))?;
            let next = newest.map_or(first / SEGMENT_ROWS, |newest| newest + 1);
            // The newest rows, as many as a segment has, get no segment yet: their statements still change, as
            // when the whole statement replaces a truncated one.
            if next.saturating_add(2).saturating_mul(SEGMENT_ROWS) > last {
                return Ok(false);
            }
            next
        }
    };
    let masks = masks_of(sqlite, segment)?;
    let mut write = sqlite.prepare(WRITE_PAGE)?;
    for (page, masks) in masks.chunks(PAGE_BUCKETS).enumerate() {
        let bytes: Vec<u8> = masks.iter().flat_map(|mask| mask.to_le_bytes()).collect();
        write.execute((segment * PAGES + page as i64, bytes))?;
    }
    sqlite.execute(WRITE_SEGMENT, [segment])?;
    Ok(true)
}

/// Returns the first and the last row of `query`.
pub(super) fn id_range(sqlite: &Connection) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    let end = |sql| sqlite.query_row(sql, (), |row| row.get::<_, Option<i64>>(0));
    Ok(end(FIRST_ID)?.zip(end(LAST_ID)?))
}

fn masks_of(sqlite: &Connection, segment: i64) -> Result<Vec<u64>, rusqlite::Error> {
    let mut masks = vec![0_u64; BUCKETS];
    let first = segment * SEGMENT_ROWS;
    let mut select = sqlite.prepare(STATEMENTS)?;
    let mut rows = select.query((first, first + SEGMENT_ROWS - 1))?;
    while let Some(row) = rows.next()? {
        let run = (row.get::<_, i64>(0)? - first) / RUN_ROWS;
        if let Some(statement) = statement_of(row, 1)? {
            for_each_gram(statement, |gram| masks[bucket(gram)] |= 1 << run);
        }
    }
    Ok(masks)
}

/// Returns the statement in a column.
pub(super) fn statement_of<'a>(
    row: &'a Row<'_>,
    column: usize,
) -> Result<Option<&'a [u8]>, rusqlite::Error> {
    Ok(row.get_ref(column)?.as_bytes_or_null()?)
}

/// The rows that the index does not rule out.
pub(super) struct Candidates {
    /// By segment: a bit for each run. A search reads all rows of the other segments.
    masks: HashMap<i64, u64>,
}

impl Candidates {
    /// Returns the candidates of a search; all rows if there is none, or if its text is too short.
    pub(super) fn read(
        sqlite: &Connection,
        search: Option<&Search>,
    ) -> Result<Candidates, rusqlite::Error> {
        let grams = search.map(Search::grams).unwrap_or_default();
        let buckets: Vec<usize> = grams.into_iter().map(bucket).collect();
        let mut masks = HashMap::new();
        if buckets.is_empty() {
            return Ok(Candidates { masks });
        }
        let mut segments = sqlite.prepare(VALID_SEGMENTS)?;
        let mut page = sqlite.prepare(READ_PAGE)?;
        let segments: Vec<i64> =
            segments.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
        for segment in segments {
            let mut mask = u64::MAX;
            for bucket in &buckets {
                let id = segment * PAGES + (bucket / PAGE_BUCKETS) as i64;
                // A page that is missing or too short rules nothing out.
                mask &= page
                    .query_row([id], |row| {
                        let masks = row.get_ref(0)?.as_blob()?;
                        let at = bucket % PAGE_BUCKETS * 8;
                        let bytes = masks.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
                        Ok(bytes.map_or(u64::MAX, u64::from_le_bytes))
                    })
                    .optional()?
                    .unwrap_or(u64::MAX);
                if mask == 0 {
                    break;
                }
            }
            masks.insert(segment, mask);
        }
        Ok(Candidates { masks })
    }

    /// Returns whether a row may match.
    pub(super) fn has(&self, id: i64) -> bool {
        let mask = self.masks.get(&id.div_euclid(SEGMENT_ROWS));
        mask.is_none_or(|mask| mask >> (id.rem_euclid(SEGMENT_ROWS) / RUN_ROWS) & 1 == 1)
    }

    /// Returns the ranges of ids within `first..=last` that may match, and how many ids they have.
    pub(super) fn ranges(&self, first: i64, last: i64) -> (Vec<(i64, i64)>, i64) {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for segment in first.div_euclid(SEGMENT_ROWS)..=last.div_euclid(SEGMENT_ROWS) {
            let mask = self.masks.get(&segment).copied().unwrap_or(u64::MAX);
            for run in (0..RUNS).filter(|run| mask >> run & 1 == 1) {
                let from = segment * SEGMENT_ROWS + run * RUN_ROWS;
                match ranges.last_mut().filter(|(_, to)| *to + 1 == from) {
                    Some((_, to)) => *to += RUN_ROWS,
                    None => ranges.push((from, from + RUN_ROWS - 1)),
                }
            }
        }
        let ids = ranges.iter().map(|(from, to)| to - from + 1).sum();
        (ranges, ids)
    }
}
