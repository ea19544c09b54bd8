//! Statistics of normalized statements.

use std::cmp::Reverse;

use serde::Serialize;
use utoipa::ToSchema;

use super::group::Group;
use crate::domain::statement::Fingerprint;

/// The most groups of a report for a client: some 200 MB of memory. A cluster has some thousands of statements.
pub(super) const MAX_GROUPS: usize = 500_000;
/// The most bytes of the normalized statements of an answer. JSON may have six bytes for one.
const STATEMENTS_BYTES: usize = 8 << 20;

/// The queries of one normalized statement. Percentiles and the longest duration are of the known durations of
/// queries that did not fail, by nearest rank. Sums are of the known values of all, and null if no query has one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatementStatistics {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Fingerprint,
    /// The statement without its values, its first 64 KiB.
    pub normalized: String,
    /// Number of queries.
    pub count: i64,
    /// Queries that failed.
    pub errors: i64,
    /// Sum of the durations.
    pub total_ms: Option<i64>,
    /// The median of the durations.
    pub p50_ms: Option<i64>,
    /// 95 of 100 durations are no longer.
    pub p95_ms: Option<i64>,
    /// 99 of 100 durations are no longer.
    pub p99_ms: Option<i64>,
    /// The longest duration.
    pub max_ms: Option<i64>,
    /// Rows scanned.
    pub scan_rows: Option<i64>,
    /// Bytes scanned.
    pub scan_bytes: Option<i64>,
    /// CPU time of all backends.
    pub cpu_time_ms: Option<i64>,
    /// The largest peak memory of a query.
    pub peak_memory_bytes: Option<i64>,
    /// Rows that clients got.
    pub return_rows: Option<i64>,
    /// Bytes written to disk because memory was short.
    pub spill_write_bytes: Option<i64>,
    /// Time in the queues of workload groups.
    pub queue_time_ms: Option<i64>,
    /// Time until the backends had the fragments: parsing, planning and scheduling, without the queue.
    pub planning_time_ms: Option<i64>,
    /// How much the durations vary: 95 of 100 durations are at most this many times the median. None without a median of a
    /// millisecond or more, or with fewer than 8 runs.
    pub variation: Option<f64>,
    /// Number of users.
    pub users: i64,
    /// The first start.
    pub first_ms: Option<i64>,
    /// The last start.
    pub last_ms: Option<i64>,
}

/// Statements in an order.
#[derive(Debug)]
pub(crate) struct StatementPage {
    pub statements: Vec<StatementStatistics>,
    /// Whether statements are missing because the answer has as many bytes as it may have.
    pub is_incomplete: bool,
}

impl StatementStatistics {
    /// Returns the statistics of a group by statement, without the normalized statement. None for another
    /// group.
    fn of(group: Group) -> Option<StatementStatistics> {
        let (p50_ms, p95_ms) = (group.durations.percentile(50), group.durations.percentile(95));
        Some(StatementStatistics {
            fingerprint: group.fingerprint?,
            normalized: String::new(),
            count: group.count,
            errors: group.errors,
            total_ms: group.total_ms,
            p50_ms,
            p95_ms,
            variation: group.variation(),
            cpu_time_ms: group.cpu_time_ms,
            peak_memory_bytes: group.peak_memory_bytes,
            return_rows: group.return_rows,
            spill_write_bytes: group.spill_write_bytes,
            queue_time_ms: group.queue_time_ms,
            planning_time_ms: group.planning_time_ms,
            p99_ms: group.durations.percentile(99),
            max_ms: group.durations.longest(),
            scan_rows: group.scan_rows,
            scan_bytes: group.scan_bytes,
            users: i64::try_from(group.users.len()).unwrap_or(i64::MAX),
            first_ms: group.first_ms,
            last_ms: group.last_ms,
        })
    }
}

/// The statements of a page whose normalized statements are read one after another, until they are as many bytes as an
/// answer may have.
pub(super) struct UnreadStatements {
    statements: Vec<StatementStatistics>,
    read: usize,
    bytes: usize,
}

impl UnreadStatements {
    /// Returns the first statements of an order, at most `limit`; None if there are too many groups.
    pub(super) fn of(
        groups: Vec<Group>,
        order: StatementOrder,
        limit: u32,
    ) -> Option<UnreadStatements> {
        if groups.len() > MAX_GROUPS {
            return None;
        }
        let mut statements: Vec<_> =
            groups.into_iter().filter_map(StatementStatistics::of).collect();
        order.sort(&mut statements);
        statements.truncate(limit as usize);
        Some(UnreadStatements { statements, read: 0, bytes: 0 })
    }

    /// Returns the next statements to read, at most `most`; none once the page is complete or has enough bytes.
    pub(super) fn next(&self, most: usize) -> &[StatementStatistics] {
        let left = self.statements.get(self.read..).unwrap_or_default();
        let most = if self.bytes > STATEMENTS_BYTES { 0 } else { most };
        left.get(..most).unwrap_or(left)
    }

    /// Sets the normalized statement of the next one. Ignores it if the page has enough bytes.
    pub(super) fn read(&mut self, normalized: Option<String>) {
        if self.bytes > STATEMENTS_BYTES {
            return;
        }
        let Some(next) = self.statements.get_mut(self.read) else { return };
        next.normalized = normalized.unwrap_or_default();
        self.bytes += next.normalized.len();
        self.read += 1;
    }

    /// Returns the statements that were read.
    pub(super) fn into_page(mut self) -> StatementPage {
        let is_incomplete = self.read < self.statements.len();
        self.statements.truncate(self.read);
        StatementPage { statements: self.statements, is_incomplete }
    }
}

/// What statements are sorted by, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StatementOrder {
    Total,
    Count,
    Errors,
    P50,
    P95,
    P99,
    Max,
    ScanRows,
    ScanBytes,
    CpuTime,
    PeakMemory,
    ReturnRows,
    Spilled,
    QueueTime,
    PlanningTime,
    Variation,
}

impl StatementOrder {
    /// Every order with its name.
    pub(crate) const NAMES: [(&str, StatementOrder); 16] = [
        ("total_ms", StatementOrder::Total),
        ("count", StatementOrder::Count),
        ("errors", StatementOrder::Errors),
        ("p50_ms", StatementOrder::P50),
        ("p95_ms", StatementOrder::P95),
        ("p99_ms", StatementOrder::P99),
        ("max_ms", StatementOrder::Max),
        ("scan_rows", StatementOrder::ScanRows),
        ("scan_bytes", StatementOrder::ScanBytes),
        ("cpu_time_ms", StatementOrder::CpuTime),
        ("peak_memory_bytes", StatementOrder::PeakMemory),
        ("return_rows", StatementOrder::ReturnRows),
        ("spill_write_bytes", StatementOrder::Spilled),
        ("queue_time_ms", StatementOrder::QueueTime),
        ("planning_time_ms", StatementOrder::PlanningTime),
        ("variation", StatementOrder::Variation),
    ];

    /// Sorts statements. Unknown values are last; the fingerprint breaks ties.
    fn sort(self, statements: &mut [StatementStatistics]) {
        statements.sort_by_key(|one| (Reverse(self.value(one)), one.fingerprint.to_signed()));
    }

    fn value(self, one: &StatementStatistics) -> Option<i64> {
        match self {
            StatementOrder::Total => one.total_ms,
            StatementOrder::Count => Some(one.count),
            StatementOrder::Errors => Some(one.errors),
            StatementOrder::P50 => one.p50_ms,
            StatementOrder::P95 => one.p95_ms,
            StatementOrder::P99 => one.p99_ms,
            StatementOrder::Max => one.max_ms,
            StatementOrder::ScanRows => one.scan_rows,
            StatementOrder::ScanBytes => one.scan_bytes,
            StatementOrder::CpuTime => one.cpu_time_ms,
            StatementOrder::PeakMemory => one.peak_memory_bytes,
            StatementOrder::ReturnRows => one.return_rows,
            StatementOrder::Spilled => one.spill_write_bytes,
            StatementOrder::QueueTime => one.queue_time_ms,
            StatementOrder::PlanningTime => one.planning_time_ms,
            // In thousandths.
            StatementOrder::Variation => one.variation.map(|times| (times * 1000.0) as i64),
        }
    }
}
