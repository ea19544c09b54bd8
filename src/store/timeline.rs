//! Reading: what ran over time.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use super::read::Selection;
use super::search::Candidates;
use crate::query::Kind;
use crate::search::Search;
use crate::statement::Fingerprint;

/// What ran within a span of time, by start.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Bucket {
    /// Where the span begins, in Unix milliseconds.
    pub from_ms: i64,
    /// How many started.
    pub count: i64,
    /// How many of them failed.
    pub errors: i64,
    /// Their durations together.
    pub total_ms: i64,
    /// The longest of them.
    pub max_ms: i64,
    /// Rows scanned.
    pub scan_rows: i64,
    /// Bytes scanned.
    pub scan_bytes: i64,
}

impl Bucket {
    /// A span in which nothing started.
    pub fn empty(from_ms: i64) -> Bucket {
        Bucket { from_ms, count: 0, errors: 0, total_ms: 0, max_ms: 0, scan_rows: 0, scan_bytes: 0 }
    }

    /// Takes in a query: a row of [`COLUMNS`].
    fn add(&mut self, row: &Row<'_>) -> Result<(), rusqlite::Error> {
        let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.unwrap_or(0));
        let duration_ms = number(1)?;
        self.count += 1;
        self.errors += number(2)?;
        self.total_ms = self.total_ms.saturating_add(duration_ms);
        self.max_ms = self.max_ms.max(duration_ms);
        self.scan_rows = self.scan_rows.saturating_add(number(3)?);
        self.scan_bytes = self.scan_bytes.saturating_add(number(4)?);
        Ok(())
    }
}

/// Spans of the same length, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// Where the first begins, in Unix milliseconds.
    pub from_ms: i64,
    /// How long each is; at least a millisecond.
    pub width_ms: i64,
    /// How many there are.
    pub count: usize,
}

impl Spans {
    /// The last start that is in them.
    fn last_ms(self) -> i64 {
        let length_ms = self.width_ms.saturating_mul(i64::try_from(self.count).unwrap_or(i64::MAX));
        self.from_ms.saturating_add(length_ms).saturating_sub(1)
    }

    fn empty(self) -> Vec<Bucket> {
        let starts = std::iter::successors(Some(self.from_ms), |from_ms| {
            Some(from_ms.saturating_add(self.width_ms))
        });
        starts.take(self.count).map(Bucket::empty).collect()
    }

    /// The place of a span in which something started.
    fn place(self, started_ms: i64) -> Option<usize> {
        let behind_ms = started_ms.checked_sub(self.from_ms)?;
        usize::try_from(behind_ms.checked_div(self.width_ms)?).ok()
    }
}

/// What is read of each query.
const COLUMNS: &str = "started_ms, duration_ms,
    ifnull(error_code, 0) <> 0 OR upper(ifnull(state, '')) IN ('ERR', 'CANCELLED'),
    scan_rows, scan_bytes";

/// The conditions of a selection other than its times, its shape and its search.
const CONDITIONS: &str = "(?1 IS NULL OR user = ?1)
    AND (?2 IS NULL OR db = ?2)
    AND (?3 IS NULL OR state = ?3 COLLATE NOCASE)
    AND (?4 IS NULL OR kind = ?4)
    AND (?5 IS NULL OR duration_ms >= ?5)
    AND (?6 IS NULL OR user = ?6)";

/// One count, on one connection.
struct Counter<'a> {
    sqlite: &'a Connection,
    selection: &'a Selection,
    owner: Option<&'a str>,
    spans: Spans,
    given_up: &'a AtomicBool,
    buckets: Vec<Bucket>,
}

impl Counter<'_> {
    /// Of each shape there is an index by start, which SQLite does not use for a condition that may not
    /// matter.
    fn shape(&self) -> (&'static str, Option<i64>) {
        let fingerprint = self.selection.fingerprint.map(Fingerprint::to_signed);
        (if fingerprint.is_some() { "fingerprint =" } else { "NULL IS" }, fingerprint)
    }

    fn count(&mut self) -> Result<(), rusqlite::Error> {
        let (shape, fingerprint) = self.shape();
        let Selection { user, db, state, min_ms, .. } = self.selection;
        let kind = self.selection.kind.map(Kind::name);
        let (from_ms, last_ms) = (self.spans.from_ms, self.spans.last_ms());
        let mut all = self.sqlite.prepare(&format!(
            "SELECT {COLUMNS} FROM query
             WHERE {CONDITIONS} AND {shape} ?7 AND started_ms BETWEEN ?8 AND ?9"
        ))?;
        let mut rows = all.query(params![
            user, db, state, kind, min_ms, self.owner, fingerprint, from_ms, last_ms
        ])?;
        while let Some(row) = rows.next()?
            && !self.is_given_up()
        {
            self.add(row)?;
        }
        Ok(())
    }

    /// The same of statements that match; those are read that the index of searches does not rule out.
    fn count_matching(&mut self, search: &Search) -> Result<(), rusqlite::Error> {
        let candidates = Candidates::read(self.sqlite, Some(search))?;
        let (shape, fingerprint) = self.shape();
        let Selection { user, db, state, min_ms, .. } = self.selection;
        let kind = self.selection.kind.map(Kind::name);
        let mut started = self.sqlite.prepare(&format!(
            "SELECT id FROM query WHERE {shape} ?1 AND started_ms BETWEEN ?2 AND ?3"
        ))?;
        let mut one = self.sqlite.prepare(&format!(
            "SELECT {COLUMNS}, statement FROM query
             WHERE {CONDITIONS} AND id = ?7 AND statement IS NOT NULL"
        ))?;
        let times = (fingerprint, self.spans.from_ms, self.spans.last_ms());
        let mut rows = started.query(times)?;
        while let Some(row) = rows.next()?
            && !self.is_given_up()
        {
            let id = row.get(0)?;
            if !candidates.has(id) {
                continue;
            }
            let mut found = one.query(params![user, db, state, kind, min_ms, self.owner, id])?;
            if let Some(row) = found.next()?
                && search.matches(row.get_ref(5)?.as_bytes()?)
            {
                self.add(row)?;
            }
        }
        Ok(())
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), rusqlite::Error> {
        let place = self.spans.place(row.get(0)?);
        match place.and_then(|place| self.buckets.get_mut(place)) {
            Some(bucket) => bucket.add(row),
            None => Ok(()),
        }
    }
}

impl Store {
    /// What ran in each of some spans, of the selected queries; its own times, its limit and its place do not
    /// matter.
    ///
    /// Around sqlx's macros: SQLite groups by sorting all rows, which takes half of the time, and a row that
    /// is only counted is handed from one thread to another in more time than that.
    pub async fn timeline(
        &self,
        selection: &Selection,
        spans: Spans,
        owner: Option<&str>,
    ) -> Result<Vec<Bucket>, sqlx::Error> {
        let selection = selection.clone();
        let owner = owner.map(str::to_string);
        self.report_raw(move |sqlite, given_up| {
            // One state of the history, from the index of searches to the statements.
            let transaction = sqlite.unchecked_transaction()?;
            let mut counter = Counter {
                sqlite,
                selection: &selection,
                owner: owner.as_deref(),
                spans,
                given_up,
                buckets: spans.empty(),
            };
            match &selection.search {
                None => counter.count()?,
                Some(search) => counter.count_matching(search)?,
            }
            let buckets = counter.buckets;
            transaction.finish()?;
            Ok(buckets)
        })
        .await
    }
}
