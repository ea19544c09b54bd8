//! The rows of the search index.
//!
//! Making a segment reads thousands of rows, and a search may read millions: through sqlx a row costs ten
//! times as much.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior};
use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::{lock, with_busy_timeout, with_raw};
use crate::domain::search::Search;
use crate::store::error::StoreError;
use crate::store::ngram_index::{
    Candidates, Grams, Mask, Masks, PAGES, SEGMENT_ROWS, next_segment, segment_ids, segment_of,
};
use crate::store::writer::Upkeep;

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
    let emptied = segment_of(first);
    if sqlite.execute(DELETE_SEGMENTS, [emptied])? > 0 {
        sqlite.execute(DELETE_PAGES, [emptied * PAGES])?;
    }
    let stale = sqlite.query_row(STALE_SEGMENT, (), |row| row.get(0)).optional()?;
    let segment = match stale {
        Some(segment) => segment,
        None => {
            let newest: Option<i64> = sqlite.query_row(NEWEST_SEGMENT, (), |row| row.get(0))?;
            match next_segment(newest, first, last) {
                Some(next) => next,
                None => return Ok(false),
            }
        }
    };
    let masks = masks_of(sqlite, segment)?;
    let mut write = sqlite.prepare(WRITE_PAGE)?;
    for (id, masks) in masks.pages() {
        write.execute((id, masks))?;
    }
    sqlite.execute(WRITE_SEGMENT, [segment])?;
    Ok(true)
}

/// Returns the first and the last row of `query`.
pub(super) fn id_range(sqlite: &Connection) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    let end = |sql| sqlite.query_row(sql, (), |row| row.get::<_, Option<i64>>(0));
    Ok(end(FIRST_ID)?.zip(end(LAST_ID)?))
}

fn masks_of(sqlite: &Connection, segment: i64) -> Result<Masks, rusqlite::Error> {
    let mut masks = Masks::new(segment);
    let (first, last) = segment_ids(segment);
    let mut select = sqlite.prepare(STATEMENTS)?;
    let mut rows = select.query((first, last))?;
    while let Some(row) = rows.next()? {
        if let Some(statement) = statement_of(row, 1)? {
            masks.add(row.get(0)?, statement);
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

/// Returns the candidates of a search; all rows if there is none, or if its text is too short.
pub(super) fn read_candidates(
    sqlite: &Connection,
    search: Option<&Search>,
) -> Result<Candidates, rusqlite::Error> {
    let grams = Grams::of(search);
    let mut candidates = Candidates::default();
    if grams.is_empty() {
        return Ok(candidates);
    }
    let mut segments = sqlite.prepare(VALID_SEGMENTS)?;
    let mut page = sqlite.prepare(READ_PAGE)?;
    let segments: Vec<i64> = segments.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for segment in segments {
        let mut mask = Mask::default();
        for gram in grams.iter() {
            let read = |row: &Row<'_>| Ok(gram.mask(row.get_ref(0)?.as_blob()?));
            // A page that is missing rules nothing out.
            mask.and(page.query_row([gram.page(segment)], read).optional()?.unwrap_or_default());
            if mask.is_empty() {
                break;
            }
        }
        candidates.insert(segment, mask);
    }
    Ok(candidates)
}
