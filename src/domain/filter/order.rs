//! What lists are sorted by.

use crate::domain::record::QueryRecord;

/// What a list is sorted by. Queries whose value is unknown come last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum QueryOrder {
    /// Only this order has an index, with the newest first.
    #[default]
    Start,
    Duration,
    CpuTime,
    ScanRows,
    ScanBytes,
    PeakMemory,
    ReturnRows,
    QueueTime,
}

impl QueryOrder {
    pub(crate) const ALL: [QueryOrder; 8] = [
        QueryOrder::Start,
        QueryOrder::Duration,
        QueryOrder::CpuTime,
        QueryOrder::ScanRows,
        QueryOrder::ScanBytes,
        QueryOrder::PeakMemory,
        QueryOrder::ReturnRows,
        QueryOrder::QueueTime,
    ];

    /// Returns the name of the field by which the list is sorted.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            QueryOrder::Start => "started_ms",
            QueryOrder::Duration => "duration_ms",
            QueryOrder::CpuTime => "cpu_time_ms",
            QueryOrder::ScanRows => "scan_rows",
            QueryOrder::ScanBytes => "scan_bytes",
            QueryOrder::PeakMemory => "peak_memory_bytes",
            QueryOrder::ReturnRows => "return_rows",
            QueryOrder::QueueTime => "queue_time_ms",
        }
    }

    /// Returns the value by which a query is sorted, or None if it is unknown.
    pub(crate) fn value(self, query: &QueryRecord) -> Option<i64> {
        match self {
            QueryOrder::Start => query.started_ms,
            QueryOrder::Duration => query.duration_ms,
            QueryOrder::CpuTime => query.cpu_time_ms,
            QueryOrder::ScanRows => query.scan_rows,
            QueryOrder::ScanBytes => query.scan_bytes,
            QueryOrder::PeakMemory => query.peak_memory_bytes,
            QueryOrder::ReturnRows => query.return_rows,
            QueryOrder::QueueTime => query.queue_time_ms,
        }
    }
}
