//! Reading: what ran over time.

use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use super::scan::{Counted, Scan};
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;

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
    fn empty(from_ms: i64) -> Bucket {
        Bucket { from_ms, count: 0, errors: 0, total_ms: 0, max_ms: 0, scan_rows: 0, scan_bytes: 0 }
    }

    fn add(&mut self, query: &Counted) {
        let duration_ms = query.duration_ms.unwrap_or(0);
        self.count += 1;
        self.errors += query.errors;
        self.total_ms = self.total_ms.saturating_add(duration_ms);
        self.max_ms = self.max_ms.max(duration_ms);
        self.scan_rows = self.scan_rows.saturating_add(query.scan_rows);
        self.scan_bytes = self.scan_bytes.saturating_add(query.scan_bytes);
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

impl Store {
    /// What ran in each of some spans, of the selected queries; its own times, its limit and its place do not
    /// matter.
    ///
    /// Around sqlx's macros: SQLite groups by sorting all rows, which takes half of the time, and a row that
    /// is only counted is handed from one thread to another in more time than that.
    pub async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
        owner: Option<&str>,
    ) -> Result<Vec<Bucket>, StoreError> {
        let filter = QueryFilter {
            from_ms: Some(spans.from_ms),
            to_ms: Some(spans.last_ms().saturating_add(1)),
            ..filter.clone()
        };
        let owner = owner.map(str::to_string);
        self.report_raw(move |sqlite, given_up| {
            let mut buckets = spans.empty();
            let (filter, owner) = (&filter, owner.as_deref());
            Scan { sqlite, filter, owner, given_up }.each("", |row| {
                let query = Counted::of(row)?;
                let place = query.started_ms.and_then(|started_ms| spans.place(started_ms));
                if let Some(bucket) = place.and_then(|place| buckets.get_mut(place)) {
                    bucket.add(&query);
                }
                Ok(())
            })?;
            Ok(buckets)
        })
        .await
    }
}
