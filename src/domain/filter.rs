//! Which queries a list shows, and where its pages begin.

use super::record::Kind;
use super::search::{CellSearch, Search};
use super::statement::Fingerprint;

/// A place in the list of all queries. The list is by start, newest first; queries without a start come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    pub started_ms: Option<i64>,
    /// The row, by which queries of the same start are ordered.
    pub id: i64,
}

/// The conditions of a list. A query is in the list if it meets all that are not `None`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QueryFilter {
    /// The most queries of a page.
    pub limit: u32,
    /// The place behind which the page begins.
    pub after: Option<Cursor>,
    pub user: Option<String>,
    pub db: Option<String>,
    /// The state, in any letter case.
    pub state: Option<String>,
    pub kind: Option<Kind>,
    pub fingerprint: Option<Fingerprint>,
    /// Text or words in the statement.
    pub search: Option<Search>,
    /// Text in what a list writes of a query.
    pub anywhere: Option<CellSearch>,
    /// The least duration.
    pub min_ms: Option<i64>,
    /// The least time in the queue of the workload group.
    pub min_queue_ms: Option<i64>,
    /// Whether the frontend answered from its SQL cache.
    pub cache_hit: Option<bool>,
    /// The first start.
    pub from_ms: Option<i64>,
    /// The start before which all queries of the list started.
    pub to_ms: Option<i64>,
}

/// The users whose queries a list may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users<'a> {
    All,
    One(&'a str),
    /// The filter names one user, and only queries of another may be seen.
    Nobody,
}

impl QueryFilter {
    /// Returns the users of the filter. `owner` is the one whose queries alone may be seen.
    pub(crate) fn users<'a>(&'a self, owner: Option<&'a str>) -> Users<'a> {
        match (self.user.as_deref(), owner) {
            (Some(user), Some(owner)) if user != owner => Users::Nobody,
            (Some(user), _) | (None, Some(user)) => Users::One(user),
            (None, None) => Users::All,
        }
    }

    /// Returns whether the filter has no condition beyond times and user, so that the indexes by start give exactly the
    /// queries of a page.
    pub(crate) fn is_by_start_alone(&self) -> bool {
        let QueryFilter { db, state, kind, fingerprint, search, anywhere, min_ms, .. } = self;
        let QueryFilter { min_queue_ms, cache_hit, .. } = self;
        [db, state].iter().all(|text| text.is_none())
            && anywhere.is_none()
            && kind.is_none()
            && fingerprint.is_none()
            && search.is_none()
            && min_ms.is_none()
            && min_queue_ms.is_none()
            && cache_hit.is_none()
    }

    /// Returns the first and the last start of the list.
    pub(crate) fn starts(&self) -> (i64, i64) {
        let last_ms = self.to_ms.map_or(i64::MAX, |to_ms| to_ms.saturating_sub(1));
        (self.from_ms.unwrap_or(i64::MIN), last_ms)
    }

    /// Returns where the page begins among the queries with a start: at this start, below this row.
    pub(crate) fn page_start(&self) -> (i64, i64) {
        let (_, last_ms) = self.starts();
        match self.after {
            Some(Cursor { started_ms: Some(ms), id }) if ms <= last_ms => (ms, id),
            None | Some(Cursor { started_ms: Some(_), .. }) => (last_ms, i64::MAX),
            // Behind all queries with a start.
            Some(Cursor { started_ms: None, .. }) => (i64::MIN, i64::MIN),
        }
    }

    /// Returns where the page begins among the queries without a start: below this row; None where the list has none
    /// of them.
    pub(crate) fn page_start_without_time(&self) -> Option<i64> {
        let has_times = self.from_ms.is_some() || self.to_ms.is_some();
        match self.after {
            _ if has_times => None,
            Some(Cursor { started_ms: None, id }) => Some(id),
            _ => Some(i64::MAX),
        }
    }

    /// Returns whether a query of this start and row is on the page or behind it.
    pub(crate) fn is_from_page_on(&self, (started_ms, id): (Option<i64>, i64)) -> bool {
        let (first_ms, _) = self.starts();
        match started_ms {
            Some(ms) => ms >= first_ms && (ms, id) < self.page_start(),
            None => self.page_start_without_time().is_some_and(|below| id < below),
        }
    }
}
