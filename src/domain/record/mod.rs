//! What a query record is: one statement or load that a cluster ran, as far as annals knows it.
//!
//! A cluster reports a query more than once: by its audit line, by its slow-query line, by its profile, by the same log
//! imported again. [`QueryRecord::merge`] makes one record of all reports of one query.

mod field;
mod fields;
mod id;
mod identity;
mod kind;
mod memory;
mod merge;
mod stored;
#[cfg(test)]
mod tests;
mod zoned;

use crate::domain::time::FUTURE_MS;

pub(crate) use field::{Field, FieldValue};
pub(crate) use fields::{Load, QueryRecord};
pub(crate) use id::{QueryId, QueryIdError, spellings};
pub(crate) use kind::{Kind, Origin};
pub(super) use memory::extra_bytes;
pub(crate) use stored::StoredQuery;
pub(crate) use zoned::Zoned;

/// The state, in any letter case, of a stream load whose label another load had: Doris answers so while that one runs or after it
/// has finished, and not if it failed. This load wrote nothing, and its client is mostly right to go on: it is no failure.
pub(crate) const LABEL_EXISTS: &str = "LABEL ALREADY EXISTS";

impl QueryRecord {
    /// Returns whether the statement was still running at the time of the report.
    pub(crate) fn is_running(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("RUNNING"))
    }

    /// Returns whether the query started later than another one; false if a start is unknown.
    pub(crate) fn started_after(&self, other: &QueryRecord) -> bool {
        self.started_ms.zip(other.started_ms).is_some_and(|(mine, theirs)| mine > theirs)
    }

    /// Returns how far in the future the start is at a time, in milliseconds; None if it is not, or no further than a clock may
    /// be fast.
    pub(crate) fn ahead_ms(&self, now_ms: i64) -> Option<i64> {
        let ahead_ms = self.started_ms?.saturating_sub(now_ms);
        (ahead_ms > FUTURE_MS).then_some(ahead_ms)
    }

    /// Returns what names a load: its label, or else the tables that it writes, or else the number of its job. None for a
    /// query, and for a load of which nothing of this is known.
    pub(crate) fn load_name(&self) -> Option<&str> {
        let load = self.load.as_deref()?;
        [&load.label, &load.table_list, &load.job_id].into_iter().find_map(|name| name.as_deref())
    }

    /// Returns whether the query failed: by an error code, or a state that says so. The column `is_failed` has the same
    /// rule in SQL.
    ///
    /// A stream load with the state [`LABEL_EXISTS`] has not failed.
    pub(crate) fn is_failed(&self) -> bool {
        const FAILED: [&str; 7] =
            ["ERR", "ERROR", "CANCELLED", "CANCELED", "FAIL", "FAILED", "ABORTED"];
        let state = self.state.as_deref().unwrap_or_default();
        self.error_code.unwrap_or(0) != 0
            || FAILED.iter().any(|name| state.eq_ignore_ascii_case(name))
    }
}
