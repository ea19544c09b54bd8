//! Finding statements: the index that rules out what does not have the text that is looked for, how it is
//! made, and how a search uses it.
//!
//! Substring indexes of the usual kind cost more than they give here: FTS5's trigrams over a million
//! statements take twice the time of importing them. This one takes 16 bytes a query: it remembers of each
//! run of rows, not of each row, what its statements have, and a search reads the runs that are left.
//!
//! All of this steps millions of rows, and so works on the bare handle, as the writer's inserts do:
//! through sqlx's channel a row costs ten times as much.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, Statement, Transaction, TransactionBehavior,
};
use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::Store;
use super::raw::with_raw;
use super::scan::{CONDITIONS, bind_conditions, indexed};
use crate::domain::filter::QueryFilter;
use crate::domain::search::{Search, grams};
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::writer::Upkeep;

/// Rows of a run: the less, the fewer are read in vain, and the more the index takes.
const RUN_ROWS: i64 = 256;
/// Runs of a segment: the bits of a mask.
const RUNS: i64 = 64;
const SEGMENT_ROWS: i64 = RUN_ROWS * RUNS;
/// Sequences of bytes fall into so many buckets. With these, a mask has every fifth bit set.
const BUCKETS: usize = 1 << 15;
/// Masks of a page: a page of SQLite holds seven of ours then.
const PAGE_BUCKETS: usize = 64;
const PAGES: i64 = (BUCKETS / PAGE_BUCKETS) as i64;

/// Most searches find what they show among so many of the newest queries.
const NEWEST: u64 = 20_000;
/// Where more rows than this are left, they are worth a longer look by start before all of them are read.
const MANY_ROWS: i64 = 1_000_000;
/// That look. To find a row by its start costs four times what the next row of the table does.
const NEWER: u64 = 200_000;

/// Multiplies as in Fibonacci hashing: the upper bits are of all bytes.
fn bucket(gram: u64) -> usize {
    (gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize
}

/// Takes the segments out of the index into which new rows will come: the newest rows were deleted, and
/// their ids will be taken again. Is to run before rows are inserted, in the same transaction.
pub(super) async fn forget_unfilled(
    transaction: &mut SqliteTransaction<'_>,
) -> Result<(), StoreError> {
    let forgotten = sqlx::query!(
        "DELETE FROM search_segment
         WHERE segment >= (SELECT ifnull(max(id) + 1, 0) FROM query) / ?",
        SEGMENT_ROWS
    )
    .execute(&mut **transaction)
    .await?;
    if forgotten.rows_affected() > 0 {
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

/// Makes up to `most` segments of the index, or makes stale ones anew. While another process writes to the
/// file it makes none, and returns at once: clients that push must not wait for that twice.
pub(super) async fn make_segments(
    connection: &mut SqliteConnection,
    most: usize,
) -> Result<Upkeep, StoreError> {
    let mut handle = connection.lock_handle().await?;
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let patience =
                sqlite.pragma_query_value(None, "busy_timeout", |row| row.get::<_, u32>(0))?;
            sqlite.busy_timeout(Duration::ZERO)?;
            let begun = Transaction::new_unchecked(sqlite, TransactionBehavior::Immediate);
            sqlite.busy_timeout(Duration::from_millis(patience.into()))?;
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
            Ok::<_, rusqlite::Error>(upkeep)
        })
    })
}

/// Makes the next segment of the index, or one anew that is stale; `false` where there is none to make.
/// Takes some 20 ms. Is to run within a transaction.
fn make_segment(sqlite: &Connection) -> Result<bool, rusqlite::Error> {
    let Some((first, last)) = ids(sqlite)? else { return Ok(false) };
    // Those that hold no rows any more.
    let emptied = first / SEGMENT_ROWS;
    if sqlite.execute("DELETE FROM search_segment WHERE segment < ?", [emptied])? > 0 {
        sqlite.execute("DELETE FROM search_page WHERE id < ?", [emptied * PAGES])?;
    }
    let stale = sqlite
        .prepare("SELECT segment FROM search_segment WHERE is_stale LIMIT 1")?
        .query_row((), |row| row.get(0))
        .optional()?;
    let segment = match stale {
        Some(segment) => segment,
        None => {
            let newest: Option<i64> = sqlite
                .prepare("SELECT max(segment) FROM search_segment")?
                .query_row((), |row| row.get(0))?;
            let next = newest.map_or(first / SEGMENT_ROWS, |newest| newest + 1);
            // The newest rows, as many as a segment has, are of none: their statements are those that
            // change, as a cut one gives source to the whole.
            if next.saturating_add(2).saturating_mul(SEGMENT_ROWS) > last {
                return Ok(false);
            }
            next
        }
    };
    let masks = masks_of(sqlite, segment)?;
    let mut insert =
        sqlite.prepare("INSERT OR REPLACE INTO search_page (id, masks) VALUES (?, ?)")?;
    for (page, masks) in masks.chunks(PAGE_BUCKETS).enumerate() {
        let bytes: Vec<u8> = masks.iter().flat_map(|mask| mask.to_le_bytes()).collect();
        insert.execute((segment * PAGES + page as i64, bytes))?;
    }
    sqlite
        .prepare("INSERT OR REPLACE INTO search_segment (segment, is_stale) VALUES (?, 0)")?
        .execute([segment])?;
    Ok(true)
}

/// The first and the last row of query.
fn ids(sqlite: &Connection) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    let end = |sql| sqlite.query_row(sql, (), |row| row.get::<_, Option<i64>>(0));
    Ok(end("SELECT min(id) FROM query")?.zip(end("SELECT max(id) FROM query")?))
}

fn masks_of(sqlite: &Connection, segment: i64) -> Result<Vec<u64>, rusqlite::Error> {
    let mut masks = vec![0_u64; BUCKETS];
    let first = segment * SEGMENT_ROWS;
    let mut select = sqlite.prepare("SELECT id, statement FROM query WHERE id BETWEEN ? AND ?")?;
    let mut rows = select.query((first, first + SEGMENT_ROWS - 1))?;
    while let Some(row) = rows.next()? {
        let run = (row.get::<_, i64>(0)? - first) / RUN_ROWS;
        if let Some(statement) = statement(row, 1)? {
            grams(statement, |gram| masks[bucket(gram)] |= 1 << run);
        }
    }
    Ok(masks)
}

fn statement<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a [u8]>, rusqlite::Error> {
    Ok(row.get_ref(column)?.as_bytes_or_null()?)
}

/// The rows that the index does not rule out.
pub(super) struct Candidates {
    /// By segment: a bit for each run. Segments that are not here are read whole.
    masks: HashMap<i64, u64>,
}

impl Candidates {
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
        let mut segments =
            sqlite.prepare("SELECT segment FROM search_segment WHERE NOT is_stale")?;
        let mut page = sqlite.prepare("SELECT masks FROM search_page WHERE id = ?")?;
        let segments: Vec<i64> =
            segments.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
        for segment in segments {
            let mut mask = u64::MAX;
            for bucket in &buckets {
                let id = segment * PAGES + (bucket / PAGE_BUCKETS) as i64;
                // A page that is not there, or is no page, rules nothing out.
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

    pub(super) fn has(&self, id: i64) -> bool {
        let mask = self.masks.get(&id.div_euclid(SEGMENT_ROWS));
        mask.is_none_or(|mask| mask >> (id.rem_euclid(SEGMENT_ROWS) / RUN_ROWS) & 1 == 1)
    }

    /// The spans of ids between these two that have candidates, and how many ids they have.
    fn spans(&self, first: i64, last: i64) -> (Vec<(i64, i64)>, i64) {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for segment in first.div_euclid(SEGMENT_ROWS)..=last.div_euclid(SEGMENT_ROWS) {
            let mask = self.masks.get(&segment).copied().unwrap_or(u64::MAX);
            for run in (0..RUNS).filter(|run| mask >> run & 1 == 1) {
                let from = segment * SEGMENT_ROWS + run * RUN_ROWS;
                match spans.last_mut().filter(|(_, to)| *to + 1 == from) {
                    Some((_, to)) => *to += RUN_ROWS,
                    None => spans.push((from, from + RUN_ROWS - 1)),
                }
            }
        }
        let ids = spans.iter().map(|(from, to)| to - from + 1).sum();
        (spans, ids)
    }
}

/// A query's start and its row: the key of lists.
type Key = (Option<i64>, i64);

/// One search, on one connection.
struct Finder<'a> {
    sqlite: &'a Connection,
    search: Option<&'a Search>,
    filter: &'a QueryFilter,
    owner: Option<&'a str>,
    candidates: Candidates,
    given_up: &'a AtomicBool,
}

impl Finder<'_> {
    /// The keys of the first queries of the list that match.
    fn find(&self) -> Result<Vec<Key>, rusqlite::Error> {
        if self.filter.fingerprint.is_some() {
            return Ok(self.by_start(u64::MAX)?.unwrap_or_default());
        }
        if let Some(found) = self.by_start(NEWEST)? {
            return Ok(found);
        }
        let Some((first, last)) = ids(self.sqlite)? else { return Ok(Vec::new()) };
        let (spans, ids) = self.candidates.spans(first, last);
        if ids > MANY_ROWS
            && let Some(found) = self.by_start(NEWER)?
        {
            return Ok(found);
        }
        self.by_row(&spans)
    }

    /// Goes over the queries newest first, those of the shape or the user alone where one is selected, until
    /// enough match; `None` where `most` are gone over before.
    fn by_start(&self, most: u64) -> Result<Option<Vec<Key>>, rusqlite::Error> {
        let (first_ms, last_ms) = self.filter.starts();
        let (start_ms, start_id) = self.filter.page_start();
        let (column, value) = indexed(self.filter, self.owner);
        let mut started = self.sqlite.prepare(&format!(
            "SELECT started_ms, id FROM query
             WHERE {column} ?1 AND started_ms BETWEEN ?2 AND ?3 AND (started_ms < ?3 OR id < ?4)
             ORDER BY started_ms DESC, id DESC"
        ))?;
        let mut looked_at = 0;
        let mut found = Vec::new();
        let rows = started.query((&value, first_ms, start_ms.min(last_ms), start_id))?;
        if !self.take(rows, most, &mut looked_at, &mut found)? {
            return Ok(None);
        }
        if let Some(below) = self.filter.page_start_without_time()
            && !self.is_enough(&found)
        {
            let mut unstarted = self.sqlite.prepare(&format!(
                "SELECT started_ms, id FROM query
                 WHERE {column} ?1 AND started_ms IS NULL AND id < ?2 ORDER BY id DESC"
            ))?;
            if !self.take(unstarted.query((&value, below))?, most, &mut looked_at, &mut found)? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    fn is_enough(&self, found: &[Key]) -> bool {
        found.len() >= self.filter.limit as usize
    }

    /// Takes in those of `rows` that match, until there are enough; `false` where `most` came before.
    fn take(
        &self,
        mut rows: rusqlite::Rows<'_>,
        most: u64,
        looked_at: &mut u64,
        found: &mut Vec<Key>,
    ) -> Result<bool, rusqlite::Error> {
        let mut one = self.statements("id = ?10 AND ?11 IS NULL")?;
        while let Some(row) = rows.next()? {
            if *looked_at == most || self.given_up.load(Ordering::Relaxed) {
                return Ok(false);
            }
            *looked_at += 1;
            let id = row.get(1)?;
            if !self.candidates.has(id) {
                continue;
            }
            let mut rows = within(&mut one, id, None)?;
            if let Some(candidate) = rows.next()?
                && self.matches(candidate)?
            {
                found.push((row.get(0)?, id));
                if self.is_enough(found) {
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Goes over the rows of some spans, and keeps the newest that match.
    fn by_row(&self, spans: &[(i64, i64)]) -> Result<Vec<Key>, rusqlite::Error> {
        let mut span = self.statements("id BETWEEN ?10 AND ?11")?;
        let mut newest: BinaryHeap<Reverse<Key>> = BinaryHeap::new();
        for (from, to) in spans {
            if self.given_up.load(Ordering::Relaxed) {
                break;
            }
            let mut rows = within(&mut span, *from, Some(*to))?;
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
        // `Reverse` puts the newest first.
        Ok(newest.into_sorted_vec().into_iter().map(|Reverse(key)| key).collect())
    }

    fn matches(&self, row: &Row<'_>) -> Result<bool, rusqlite::Error> {
        let Some(search) = self.search else { return Ok(true) };
        Ok(statement(row, 2)?.is_some_and(|statement| search.matches(statement)))
    }

    fn statements(&self, rows: &str) -> Result<Statement<'_>, rusqlite::Error> {
        let mut statement = self.sqlite.prepare(&format!(
            "SELECT started_ms, id, statement FROM query
             WHERE {rows} AND statement IS NOT NULL AND (?9 IS NULL OR fingerprint = ?9)
               AND {CONDITIONS}"
        ))?;
        bind_conditions(&mut statement, self.filter, self.owner)?;
        statement.raw_bind_parameter(9, self.filter.fingerprint.map(Fingerprint::to_signed))?;
        Ok(statement)
    }
}

/// The rows of a statement from one to another.
fn within<'b>(
    statement: &'b mut Statement<'_>,
    first: i64,
    last: Option<i64>,
) -> Result<rusqlite::Rows<'b>, rusqlite::Error> {
    statement.raw_bind_parameter(10, first)?;
    statement.raw_bind_parameter(11, last)?;
    Ok(statement.raw_query())
}

impl Store {
    /// The rows of the first queries of a filter, in the order of the list, as a JSON array; `None` where
    /// it names neither a text nor a shape, and the list is as quick without.
    pub(super) async fn found(
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
            .report_raw(move |sqlite, given_up| {
                // One state of the history, from the index to the statements.
                let transaction = sqlite.unchecked_transaction()?;
                let finder = Finder {
                    sqlite,
                    search: filter.search.as_ref(),
                    filter: &filter,
                    owner: owner.as_deref(),
                    candidates: Candidates::read(sqlite, filter.search.as_ref())?,
                    given_up,
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
