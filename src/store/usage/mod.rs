//! What ran in a range of time: who used the cluster, and how many queries ran at once.
//!
//! A run is in a range if it ran at some moment of it. A range begins with the runs that started before and still ran: those of
//! less than [`LONG_MS`] are found among all that started so shortly before, and longer ones in an index of their own, as far
//! back as [`LOOK_BACK_MS`]. Of a run that is only partly in the range, time, CPU time and bytes count by the part of its time
//! that is: no source reports when a query used them.

mod concurrency;
mod counting;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::statement::Fingerprint;
use crate::store::timeline::Spans;
pub(crate) use concurrency::ConcurrencyStep;
pub(super) use counting::{RunRow, UsageCounting};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A run of this duration or longer, or whose end is not known, is in the index of long runs.
pub(super) const LONG_MS: i64 = 60_000;
/// A run that started earlier than this before a range does not count, although it may have ended in it. Nothing runs for so
/// long, except what a frontend forgot.
pub(super) const LOOK_BACK_MS: i64 = 7 * DAY_MS;
/// The most queries that start in a range: counting them takes about a second. A longer range is cut.
pub(super) const MAX_RUNS: i64 = 1_000_000;
/// The same for what ran beside one query.
pub(super) const MAX_CONCURRENT_RUNS: i64 = 250_000;
/// A range is this long if only one of its ends is known, or none.
const DEFAULT_LENGTH_MS: i64 = HOUR_MS;
/// The most steps of a range, however short they are.
const MAX_STEPS: i64 = 1000;

/// Returns the begin and the end of the range of some times, in a history whose newest run ends at a time: the hour before the
/// end, and the end of the history, unless the times say otherwise.
pub(super) fn usage_range((from_ms, to_ms): (Option<i64>, Option<i64>), end_ms: i64) -> (i64, i64) {
    let to_ms = to_ms.unwrap_or_else(|| end_ms.max(from_ms.unwrap_or(i64::MIN)));
    (from_ms.unwrap_or_else(|| to_ms.saturating_sub(DEFAULT_LENGTH_MS)), to_ms)
}

/// How finely the number of runs at once is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Steps {
    /// This many steps of the same length.
    Number(u32),
    /// Steps of so many milliseconds that begin at multiples of this on a clock that is ahead of UTC by `offset_ms`. The first begins
    /// at the range or before it.
    Aligned { width_ms: i64, offset_ms: i64 },
}

impl Steps {
    /// Returns the steps of a range. The last may end behind it.
    pub(super) fn of(self, (from_ms, to_ms): (i64, i64)) -> Spans {
        let length_ms = to_ms.saturating_sub(from_ms).max(0);
        let least_ms = length_ms.saturating_add(MAX_STEPS - 1) / MAX_STEPS;
        let (width_ms, offset_ms) = match self {
            Steps::Number(number) => {
                let number = i64::from(number.max(1));
                (length_ms.saturating_add(number - 1) / number, from_ms.saturating_neg())
            }
            Steps::Aligned { width_ms, offset_ms } => (width_ms, offset_ms),
        };
        let width_ms = width_ms.max(least_ms).max(1);
        let lead_ms = from_ms.saturating_add(offset_ms).rem_euclid(width_ms);
        let count = match length_ms {
            0 => 0,
            _ => length_ms.saturating_add(lead_ms).saturating_add(width_ms - 1) / width_ms,
        };
        let from_ms = from_ms.saturating_sub(lead_ms);
        Spans { from_ms, width_ms, count: usize::try_from(count).unwrap_or(0) }
    }

    /// Returns the steps of an earlier range that are as the steps of another range: as long, and as long before the begin of the
    /// range.
    pub(super) fn like(spans: Spans, begin_ms: i64, earlier_ms: i64) -> Steps {
        let lead_ms = begin_ms.saturating_sub(spans.from_ms);
        let offset_ms = lead_ms.saturating_sub(earlier_ms);
        Steps::Aligned { width_ms: spans.width_ms, offset_ms }
    }
}

/// Who used the cluster in a period, compared with a baseline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// The begin of the period, in Unix milliseconds.
    pub from_ms: i64,
    /// The end of the period.
    pub to_ms: i64,
    /// The begin of the baseline.
    pub baseline_from_ms: i64,
    /// The end of the baseline.
    pub baseline_to_ms: i64,
    /// Whether the period and the baseline end earlier than asked for, because more than a million queries started in one of them.
    pub is_cut: bool,
    /// Of the runs, those whose last report says that they run. They count until the end of the period.
    pub still_running: i64,
    /// All runs.
    pub total: UsageRow,
    pub users: UsageGroups,
    pub dbs: UsageGroups,
    /// A run counts for each table that its record names: with a filter by table, for those that the filter chooses. The table of a
    /// load has the name that queries have for it.
    pub tables: UsageGroups,
    /// Hosts, without ports.
    pub clients: UsageGroups,
    pub clusters: UsageGroups,
    pub statements: UsageGroups,
    /// How many queries ran at once in the period.
    pub concurrency: Vec<ConcurrencyStep>,
    /// The same in the baseline, in steps of the same length.
    pub baseline_concurrency: Vec<ConcurrencyStep>,
}

/// What ran while a query ran, without the query itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Concurrent {
    /// The start of the query, in Unix milliseconds.
    pub from_ms: i64,
    /// The end of the query, or of the part of its time that was read.
    pub to_ms: i64,
    /// The cluster of the query, if its runs alone were read: there are several clusters, and not all of them were asked for.
    pub cluster: Option<String>,
    /// Whether only a part of the query's time was read, because more than 250,000 queries started while it ran.
    pub is_cut: bool,
    /// Of the runs, those whose last report says that they run.
    pub still_running: i64,
    /// All runs.
    pub total: UsageRow,
    pub users: UsageGroups,
    pub dbs: UsageGroups,
    /// A run counts for each table that its record names.
    pub tables: UsageGroups,
    /// Hosts, without ports.
    pub clients: UsageGroups,
    pub clusters: UsageGroups,
    pub statements: UsageGroups,
    /// How many other queries ran at once.
    pub concurrency: Vec<ConcurrencyStep>,
    /// The runs that cost most while the query ran: by CPU time, then by time.
    pub queries: Vec<ConcurrentRun>,
}

/// The groups of one kind that cost most.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsageGroups {
    /// How many groups ran, with those beyond the limit.
    pub groups: usize,
    pub rows: Vec<UsageRow>,
}

/// What one user, database, table, client, cluster or statement cost.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsageRow {
    /// The name, or the first 2,000 characters of the statement without its values; null for runs of which it is unknown.
    pub name: Option<String>,
    /// The fingerprint of a statement: 16 hex digits.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    pub now: UsageCosts,
    /// The same in the baseline, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<UsageCosts>,
}

/// What runs cost within a range of time.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsageCosts {
    /// Number of runs.
    pub count: i64,
    /// How many of the runs started before the range and still ran in it: a list by start in the range does not have them. Beside a
    /// query, runs that started in the same millisecond count, too: a list of later starts has neither these runs nor the query.
    pub began_before: i64,
    /// Runs that failed.
    pub errors: i64,
    /// How many of the failed runs started before the range.
    pub errors_began_before: i64,
    /// How long the runs ran within the range, together. Null if that is known of no run.
    pub running_ms: Option<i64>,
    /// CPU time of all backends. Of a run that is partly in the range, the same part. Null if no run has a value.
    pub cpu_time_ms: Option<i64>,
    /// Bytes scanned. Of a run that is partly in the range, the same part. Null if no run has a value.
    pub scan_bytes: Option<i64>,
    /// The largest peak memory of a run.
    pub peak_memory_bytes: Option<i64>,
}

/// A run that overlapped a query in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConcurrentRun {
    pub query_id: String,
    pub user: Option<String>,
    pub db: Option<String>,
    /// Host and port.
    pub client: Option<String>,
    pub state: Option<String>,
    pub is_failed: bool,
    /// The start, in Unix milliseconds.
    pub started_ms: i64,
    /// The duration of the whole run.
    pub duration_ms: Option<i64>,
    /// How long it ran while the query ran.
    pub overlap_ms: i64,
    /// The part of its CPU time that corresponds to the part of its time.
    pub overlap_cpu_ms: Option<i64>,
    /// CPU time of the whole run.
    pub cpu_time_ms: Option<i64>,
    /// Bytes that the whole run scanned.
    pub scan_bytes: Option<i64>,
    pub peak_memory_bytes: Option<i64>,
    /// 16 hex digits.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Option<Fingerprint>,
    /// The first 2,000 characters of the statement without its values.
    pub normalized: Option<String>,
    /// Of a load its label, or else the tables that it writes.
    pub load: Option<String>,
}

/// What groups are sorted by, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum UsageOrder {
    Running,
    CpuTime,
    ScanBytes,
    Errors,
    Count,
}

impl UsageOrder {
    /// Every order with its name.
    pub(crate) const NAMES: [(&str, UsageOrder); 5] = [
        ("running_ms", UsageOrder::Running),
        ("cpu_time_ms", UsageOrder::CpuTime),
        ("scan_bytes", UsageOrder::ScanBytes),
        ("errors", UsageOrder::Errors),
        ("count", UsageOrder::Count),
    ];

    /// Returns the value by which a group is sorted, or None if it is unknown.
    pub(crate) fn value(self, costs: &UsageCosts) -> Option<i64> {
        match self {
            UsageOrder::Running => costs.running_ms,
            UsageOrder::CpuTime => costs.cpu_time_ms,
            UsageOrder::ScanBytes => costs.scan_bytes,
            UsageOrder::Errors => Some(costs.errors),
            UsageOrder::Count => Some(costs.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_hour_unless_both_ends_are_known() {
        let history = 10 * HOUR_MS;
        assert_eq!(usage_range((None, None), history), (9 * HOUR_MS, 10 * HOUR_MS));
        assert_eq!(usage_range((Some(5), None), history), (5, 10 * HOUR_MS));
        assert_eq!(usage_range((None, Some(HOUR_MS)), history), (0, HOUR_MS));
        assert_eq!(usage_range((Some(1), Some(2)), history), (1, 2));
        let later = 11 * HOUR_MS;
        assert_eq!(usage_range((Some(later), None), history), (later, later));
    }

    #[test]
    fn steps_cover_the_range_and_are_bounded() {
        let of = |steps: Steps, from_ms, to_ms| {
            let Spans { width_ms, count, .. } = steps.of((from_ms, to_ms));
            (width_ms, count)
        };
        assert_eq!(of(Steps::Number(60), 0, HOUR_MS), (60_000, 60));
        assert_eq!(of(Steps::Number(60), 0, 61), (2, 31));
        let aligned = |width_ms, offset_ms| Steps::Aligned { width_ms, offset_ms };
        assert_eq!(of(aligned(60_000, 0), 0, HOUR_MS + 1), (60_000, 61));
        assert_eq!(of(aligned(1, 0), 0, 10_000), (10, 1000));
        assert_eq!(of(aligned(10, 0), 7, 7), (10, 0));
        assert_eq!(of(Steps::Number(60), 7, 7), (1, 0));
        assert!(of(Steps::Number(60), i64::MIN, i64::MAX).1 <= 61);
        assert!(of(aligned(60_000, HOUR_MS), i64::MIN, i64::MAX).1 <= 1001);
    }

    #[test]
    fn steps_begin_at_round_times_of_a_clock() {
        let of = |steps: Steps, from_ms, to_ms| {
            let Spans { from_ms, count, .. } = steps.of((from_ms, to_ms));
            (from_ms, count)
        };
        let aligned = |offset_ms| Steps::Aligned { width_ms: 100, offset_ms };
        assert_eq!(of(aligned(0), 250, 500), (200, 3));
        assert_eq!(of(aligned(30), 250, 500), (170, 4));
        assert_eq!(of(aligned(-30), 250, 500), (230, 3));
        // The steps of an earlier range are as many, and meet its begin alike.
        let range = aligned(30).of((250, 500));
        assert_eq!(of(Steps::like(range, 250, 17), 17, 267), (17 - 80, 4));
    }
}
