//! Queries over time, in spans of the same length.

use serde::Serialize;
use utoipa::ToSchema;

use super::group::Alike;
use super::hours::{HOUR_MS, HourSummary};
use crate::domain::filter::QueryFilter;
use crate::domain::statistics::Sum;

/// The queries that started within one span.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Bucket {
    /// Begin of the span, in Unix milliseconds.
    pub from_ms: i64,
    /// Queries that started.
    pub count: i64,
    /// Queries that failed.
    pub errors: i64,
    /// Sum of the durations.
    pub total_ms: i64,
    /// The longest duration.
    pub max_ms: i64,
    /// Rows scanned.
    pub scan_rows: i64,
    /// Bytes scanned.
    pub scan_bytes: i64,
}

impl Bucket {
    fn empty(from_ms: i64) -> Bucket {
        Bucket { from_ms, count: 0, errors: 0, total_ms: 0, max_ms: 0, scan_rows: 0, scan_bytes: 0 }
    }
}

/// Counts queries in spans, one at a time.
pub(super) struct Counting {
    spans: Spans,
    buckets: Vec<(Bucket, Sums)>,
}

/// The sums of a span that is not complete.
#[derive(Debug, Default)]
struct Sums {
    total_ms: Sum,
    scan_rows: Sum,
    scan_bytes: Sum,
}

impl Counting {
    pub(super) fn new(spans: Spans) -> Counting {
        let buckets = spans.empty().into_iter().map(|bucket| (bucket, Sums::default()));
        Counting { spans, buckets: buckets.collect() }
    }

    /// Adds a query to the span of its start. Ignores a query outside the spans.
    pub(super) fn add(&mut self, query: &Counted) {
        let position = query.started_ms.and_then(|started_ms| self.spans.position(started_ms));
        let Some((bucket, sums)) = position.and_then(|at| self.buckets.get_mut(at)) else { return };
        let duration_ms = query.duration_ms.unwrap_or(0);
        bucket.count += 1;
        bucket.errors += query.errors;
        bucket.max_ms = bucket.max_ms.max(duration_ms);
        sums.total_ms.add(duration_ms);
        sums.scan_rows.add(query.scan_rows);
        sums.scan_bytes.add(query.scan_bytes);
    }

    /// Adds several queries, all of the span of the first start.
    fn add_alike(&mut self, queries: &Alike<'_>) {
        let position = queries.first_ms.and_then(|first_ms| self.spans.position(first_ms));
        let Some((bucket, sums)) = position.and_then(|at| self.buckets.get_mut(at)) else { return };
        bucket.count += queries.count;
        bucket.errors += queries.errors;
        for (ms, times) in queries.all_durations() {
            bucket.max_ms = bucket.max_ms.max(ms);
            sums.total_ms.add(i128::from(ms) * i128::from(times));
        }
        let [scan_rows, scan_bytes, ..] = queries.sums;
        sums.scan_rows.add(scan_rows.unwrap_or(0));
        sums.scan_bytes.add(scan_bytes.unwrap_or(0));
    }

    /// Adds the queries of an hour that a filter chooses and the owner may see. The hour is in one span.
    pub(super) fn add_hour(
        &mut self,
        hour: i64,
        summary: &HourSummary,
        (filter, owner): (&QueryFilter, Option<&str>),
    ) {
        for (group, ..) in summary.groups(filter, owner) {
            let durations = group.durations();
            self.add_alike(&group.alike(hour, &durations));
        }
    }

    /// Adds several queries by the position of their span: how many they are and how many failed, the longest duration, and
    /// the sums of durations, scanned rows and scanned bytes.
    pub(super) fn add_sums(
        &mut self,
        at: usize,
        (count, errors): (i64, i64),
        max_ms: i64,
        [total_ms, scan_rows, scan_bytes]: [i128; 3],
    ) {
        let Some((bucket, sums)) = self.buckets.get_mut(at) else { return };
        bucket.count += count;
        bucket.errors += errors;
        bucket.max_ms = bucket.max_ms.max(max_ms);
        sums.total_ms.add(total_ms);
        sums.scan_rows.add(scan_rows);
        sums.scan_bytes.add(scan_bytes);
    }

    pub(super) fn into_buckets(self) -> Vec<Bucket> {
        let buckets = self.buckets.into_iter().map(|(bucket, sums)| Bucket {
            total_ms: sums.total_ms.bounded(),
            scan_rows: sums.scan_rows.bounded(),
            scan_bytes: sums.scan_bytes.bounded(),
            ..bucket
        });
        buckets.collect()
    }
}

/// The values of a query that are counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub started_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    /// 1 if the query failed, else 0.
    pub errors: i64,
    pub scan_rows: i64,
    pub scan_bytes: i64,
}

/// Adjacent spans of the same length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spans {
    /// Begin of the first span, in Unix milliseconds.
    pub from_ms: i64,
    /// Length of each span; at least a millisecond.
    pub width_ms: i64,
    pub count: usize,
}

impl Spans {
    /// Returns the last start that is within the spans.
    pub(super) fn last_ms(self) -> i64 {
        let length_ms = self.width_ms.saturating_mul(i64::try_from(self.count).unwrap_or(i64::MAX));
        self.from_ms.saturating_add(length_ms).saturating_sub(1)
    }

    /// Returns the filter for the queries of another one that start within the spans.
    pub(super) fn restrict(self, filter: &QueryFilter) -> QueryFilter {
        let end_ms = self.last_ms().saturating_add(1);
        QueryFilter {
            from_ms: Some(filter.from_ms.map_or(self.from_ms, |ms| ms.max(self.from_ms))),
            to_ms: Some(filter.to_ms.map_or(end_ms, |ms| ms.min(end_ms))),
            ..filter.clone()
        }
    }

    /// Returns a bucket for each span, without queries.
    pub(super) fn empty(self) -> Vec<Bucket> {
        self.begins().map(Bucket::empty).collect()
    }

    /// Returns the begin of each span.
    pub(super) fn begins(self) -> impl Iterator<Item = i64> {
        let begins = std::iter::successors(Some(self.from_ms), move |from_ms| {
            Some(from_ms.saturating_add(self.width_ms))
        });
        begins.take(self.count)
    }

    /// Returns whether all starts of an hour since 1970 are in one span, or in none.
    pub(super) fn have_whole_hour(self, hour: i64) -> bool {
        let start_ms = hour.saturating_mul(HOUR_MS);
        let end_ms = start_ms.saturating_add(HOUR_MS - 1);
        self.position(start_ms) == self.position(end_ms)
    }

    /// Returns the position of the span that a start falls into; it may be behind the last span. None
    /// before the first span.
    fn position(self, started_ms: i64) -> Option<usize> {
        let offset_ms = started_ms.checked_sub(self.from_ms)?;
        usize::try_from(offset_ms.checked_div(self.width_ms)?).ok()
    }
}
