//! Which queries a list shows, in which order, and where its pages begin.

mod choice;
mod order;

use std::borrow::Cow;

use super::record::Kind;
use super::search::{CellSearch, Search};
use super::statement::Fingerprint;
pub(crate) use choice::{Choice, ChosenText};
pub(crate) use order::QueryOrder;

/// A place in a list. Of two places of one list, the larger comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cursor {
    /// The value by which the list is sorted, or None if it is unknown.
    pub value: Option<i64>,
    /// The row, by which queries of the same value are ordered.
    pub id: i64,
}

impl Cursor {
    /// Returns the place that this one has in a list in the opposite direction, in which the smallest value comes first and
    /// unknown values still come last. The place of a place so returned is this one again.
    pub(crate) fn reversed(self) -> Cursor {
        Cursor { value: self.value.map(|value| !value), id: !self.id }
    }
}

/// The conditions of a list. A query is in the list if it meets all that are not `None`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QueryFilter {
    /// The most queries of a page.
    pub limit: u32,
    pub order: QueryOrder,
    /// Whether the smallest value comes first, and of the same value the query that arrived first. Unknown values come last
    /// all the same.
    pub is_ascending: bool,
    /// The place behind which the page begins.
    pub after: Option<Cursor>,
    pub user: Choice,
    pub db: Choice,
    pub state: Choice,
    pub client: Choice,
    pub frontend: Choice,
    pub workload_group: Choice,
    pub compute_group: Choice,
    pub cluster: Choice,
    pub catalog: Choice,
    pub statement_type: Choice,
    pub table: Choice,
    pub session_id: Choice,
    /// Whether the statement is unknown. `fingerprint` is the one that is chosen.
    pub no_statement: Choice,
    /// Whether the query failed.
    pub is_failed: Option<bool>,
    /// Whether the profile of the query is stored.
    pub has_profile: Option<bool>,
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
    /// Several users, or all but some: whom the filter chooses.
    Some,
    /// The filter does not choose the only user whose queries may be seen.
    Nobody,
}

impl QueryFilter {
    /// Returns the users of the filter. `owner` is the one whose queries alone may be seen.
    pub(crate) fn users<'a>(&'a self, owner: Option<&'a str>) -> Users<'a> {
        match (owner, self.user.only()) {
            (Some(owner), _) if self.user.chooses(Some(owner)) => Users::One(owner),
            (Some(_), _) => Users::Nobody,
            (None, Some(user)) => Users::One(user),
            (None, None) if self.user.is_any() => Users::All,
            (None, None) => Users::Some,
        }
    }

    /// Returns the filter for somebody who may see the queries of some clusters alone; None for all queries.
    pub(crate) fn within_clusters(&self, clusters: Option<&[String]>) -> Cow<'_, QueryFilter> {
        let Some(clusters) = clusters else { return Cow::Borrowed(self) };
        let cluster = self.cluster.narrowed_to(clusters);
        Cow::Owned(QueryFilter { cluster, ..self.clone() })
    }

    /// Returns the texts that the filter chooses by their values.
    pub(crate) fn choices(&self) -> [(ChosenText, &Choice); 13] {
        [
            (ChosenText::User, &self.user),
            (ChosenText::Db, &self.db),
            (ChosenText::State, &self.state),
            (ChosenText::Client, &self.client),
            (ChosenText::Frontend, &self.frontend),
            (ChosenText::WorkloadGroup, &self.workload_group),
            (ChosenText::ComputeGroup, &self.compute_group),
            (ChosenText::Cluster, &self.cluster),
            (ChosenText::Catalog, &self.catalog),
            (ChosenText::StatementType, &self.statement_type),
            (ChosenText::Table, &self.table),
            (ChosenText::Session, &self.session_id),
            (ChosenText::Fingerprint, &self.no_statement),
        ]
    }

    /// Chooses also the queries of which a text is unknown.
    pub(crate) fn choose_unknown(&mut self, text: ChosenText) {
        let choice = match text {
            ChosenText::User => &mut self.user,
            ChosenText::Db => &mut self.db,
            ChosenText::State => &mut self.state,
            ChosenText::Client => &mut self.client,
            ChosenText::Frontend => &mut self.frontend,
            ChosenText::WorkloadGroup => &mut self.workload_group,
            ChosenText::ComputeGroup => &mut self.compute_group,
            ChosenText::Cluster => &mut self.cluster,
            ChosenText::Catalog => &mut self.catalog,
            ChosenText::StatementType => &mut self.statement_type,
            ChosenText::Table => &mut self.table,
            ChosenText::Session => &mut self.session_id,
            ChosenText::Fingerprint => &mut self.no_statement,
        };
        choice.is_unknown = true;
    }

    /// Returns whether the list has the newest queries first: the only order that an index has.
    pub(crate) fn is_newest_first(&self) -> bool {
        self.order == QueryOrder::Start && !self.is_ascending
    }

    /// Returns whether the list is by start and the filter has no condition beyond times and user, so that the indexes by
    /// start give exactly the queries of a page.
    pub(crate) fn is_by_start_alone(&self) -> bool {
        let QueryFilter { kind, fingerprint, search, anywhere, min_ms, .. } = self;
        let QueryFilter { min_queue_ms, cache_hit, is_failed, has_profile, .. } = self;
        let is_free = |(text, choice): (ChosenText, &Choice)| match text {
            // The index of users has the queries of one.
            ChosenText::User => choice.is_any() || choice.only().is_some(),
            _ => choice.is_any(),
        };
        self.is_newest_first()
            && self.choices().into_iter().all(is_free)
            && [is_failed, has_profile, cache_hit].iter().all(|truth| truth.is_none())
            && [min_ms, min_queue_ms].iter().all(|bound| bound.is_none())
            && anywhere.is_none()
            && kind.is_none()
            && fingerprint.is_none()
            && search.is_none()
    }

    /// Returns the first and the last start of the list.
    pub(crate) fn starts(&self) -> (i64, i64) {
        let last_ms = self.to_ms.map_or(i64::MAX, |to_ms| to_ms.saturating_sub(1));
        (self.from_ms.unwrap_or(i64::MIN), last_ms)
    }

    /// Returns the filters that find the query right before the range of this one, and the query right behind it.
    pub(crate) fn nearest(&self) -> [QueryFilter; 2] {
        let (first_ms, last_ms) = self.starts();
        let one = QueryFilter { limit: 1, order: QueryOrder::Start, after: None, ..self.clone() };
        [
            QueryFilter {
                from_ms: None,
                to_ms: Some(first_ms),
                is_ascending: false,
                ..one.clone()
            },
            QueryFilter {
                from_ms: Some(last_ms.saturating_add(1)),
                to_ms: None,
                is_ascending: true,
                ..one
            },
        ]
    }

    /// Returns where the page of a list by start begins among the queries with a start: at this start, below this row.
    pub(crate) fn page_start(&self) -> (i64, i64) {
        let (_, last_ms) = self.starts();
        match self.after {
            Some(Cursor { value: Some(ms), id }) if ms <= last_ms => (ms, id),
            None | Some(Cursor { value: Some(_), .. }) => (last_ms, i64::MAX),
            // Behind all queries with a start.
            Some(Cursor { value: None, .. }) => (i64::MIN, i64::MIN),
        }
    }

    /// Returns where the page of a list by start begins among the queries without a start: below this row; None where the
    /// list has none of them.
    pub(crate) fn page_start_without_time(&self) -> Option<i64> {
        let has_times = self.from_ms.is_some() || self.to_ms.is_some();
        match self.after {
            _ if has_times => None,
            Some(Cursor { value: None, id }) => Some(id),
            _ => Some(i64::MAX),
        }
    }

    /// Returns whether a query of this start and row is on the page of a list by start or behind it.
    pub(crate) fn is_from_page_on(&self, (started_ms, id): (Option<i64>, i64)) -> bool {
        let (first_ms, _) = self.starts();
        match started_ms {
            Some(ms) => ms >= first_ms && (ms, id) < self.page_start(),
            None => self.page_start_without_time().is_some_and(|below| id < below),
        }
    }
}
