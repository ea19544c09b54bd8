//! Which zones times were read in, and moving times that were read in a wrong one.
//!
//! A record whose times depend on the zone has the number of a row of `time_source`: the source that read it, the zone, and by how
//! much `annals shift` has moved its times since. So a shift says where the times belong and not by how much they move: a second one
//! by the same time changes nothing, and one that was interrupted goes on.

use crate::domain::filter::QueryFilter;
use crate::domain::time::Zone;

/// A row of `time_source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeSource {
    pub id: i64,
    /// The name of the source; empty for records of which none was noted.
    pub source: String,
    /// The name of the zone; empty if none was noted.
    pub time_zone: String,
    /// By how much the times were moved since they were read, in milliseconds.
    pub shifted_ms: i64,
    /// When the source was read in the zone first, or again after another zone, in Unix milliseconds.
    pub used_ms: i64,
}

impl TimeSource {
    /// Returns whether both rows are of one source that was read in one zone, whatever their numbers are.
    pub(crate) fn is_same(&self, other: &TimeSource) -> bool {
        let key = |row: &TimeSource| (row.source.clone(), row.time_zone.clone(), row.shifted_ms);
        key(self) == key(other)
    }

    /// Returns whether the zone is this one, perhaps by another name.
    pub(crate) fn is_of(&self, zone: Zone) -> bool {
        self.time_zone.parse::<Zone>().is_ok_and(|own| own.is_like(zone))
    }
}

/// What has times that move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shifted {
    /// Queries and loads.
    Queries,
    Logins,
}

impl Shifted {
    /// Returns the conditions of a filter that these records have, beside the times. Log-ins have the frontend alone.
    pub(super) fn filter(self, filter: &QueryFilter) -> QueryFilter {
        match self {
            Shifted::Queries => filter.clone(),
            Shifted::Logins => {
                QueryFilter { frontend: filter.frontend.clone(), ..QueryFilter::default() }
            }
        }
    }
}

/// The records of a filter with the same row of `time_source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZoneGroup {
    pub what: Shifted,
    /// The row of `time_source`; none if nothing is known of the zone.
    pub time_source: Option<i64>,
    pub count: i64,
    /// The first and the last time, in Unix milliseconds.
    pub first_ms: i64,
    pub last_ms: i64,
    /// The first and the last row.
    pub first_row: i64,
    pub last_row: i64,
}

/// Moves the times of some rows, and notes their new row of `time_source`. Rows that do not have the old one stay as they are.
#[derive(Debug, Clone)]
pub(crate) struct Shift {
    pub what: Shifted,
    /// The old row of `time_source`, and the new one; none if nothing is known of the zone.
    pub from: Option<i64>,
    pub to: Option<TimeSource>,
    pub by_ms: i64,
    /// The first and the last row.
    pub rows: (i64, i64),
    /// Of the filter count times, frontends and clusters. Log-ins have no cluster.
    pub filter: QueryFilter,
}

impl Shift {
    /// The rows that one transaction looks at, so that others that write do not wait long.
    pub(crate) const STEP_ROWS: i64 = 5000;
}
