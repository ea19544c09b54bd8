//! What a text may mean: queries by their ids, traces and sessions, statements, and statements that have the text.

use std::cmp::Reverse;

use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use crate::domain::filter::{Choice, QueryFilter};
use crate::domain::find::Sought;
use crate::domain::record::{QueryId, StoredQuery};
use crate::domain::search::Search;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::query::Reader;

/// The most queries of each kind.
const LIMIT: u32 = 10;
/// The most characters of a statement.
const STATEMENT_CHARS: usize = 1000;

/// Why something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MatchKind {
    /// The text is the id of the query, or the start of its id.
    QueryId,
    /// The text is the trace id of the queries.
    TraceId,
    /// The text is the id of the session of the queries.
    SessionId,
    /// The text is the label of the loads, or the start of their labels.
    Label,
    /// The text is the fingerprint of the statement, the start of the fingerprint, or a run of the statement.
    Statement,
    /// The statements of the queries contain the text.
    Text,
}

/// What a text means as one kind of thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Match {
    pub kind: MatchKind,
    /// Of a statement: its fingerprint.
    #[schema(value_type = Option<String>)]
    pub fingerprint: Option<Fingerprint>,
    /// The queries, at most 10, the newest first, and of a label those with the label itself before others; of a statement, its
    /// runs. Statements are cut to 1,000 characters.
    pub queries: Vec<StoredQuery>,
    /// Whether there may be more queries.
    pub has_more: bool,
}

/// All that a text may mean.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub matches: Vec<Match>,
    /// Whether a search stopped before it had looked at all queries, and found fewer than a match may have.
    pub is_incomplete: bool,
}

/// The one thing that a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only<'f> {
    Query(&'f str),
    Statement(Fingerprint),
}

impl Found {
    /// Returns what was found if it is one thing. A text within statements is no name of one.
    pub(crate) fn only(&self) -> Option<Only<'_>> {
        let [only] = &*self.matches else { return None };
        match (only.kind, only.fingerprint, &*only.queries) {
            (MatchKind::Statement, Some(fingerprint), _) => Some(Only::Statement(fingerprint)),
            (MatchKind::Text, ..) => None,
            (_, _, [query]) if !only.has_more => Some(Only::Query(&query.query_id)),
            _ => None,
        }
    }

    fn add(&mut self, kind: MatchKind, (queries, has_more): (Vec<StoredQuery>, bool)) {
        if !queries.is_empty() {
            self.matches.push(Match { kind, fingerprint: None, queries, has_more });
        }
    }
}

impl Store {
    /// Returns what a text means. A whole query id means its query and nothing else, and a fingerprint its statement. Looks for the
    /// text within statements only if the text is no id, no fingerprint and no whole label, and only within the statements of the
    /// queries of a filter. Reads a bounded number of queries for each kind, and at most as long as a list.
    pub(crate) async fn find(
        &self,
        sought: &Sought,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Found, StoreError> {
        let mut found = Found::default();
        if let Some(id) = sought.query_id()
            && let Some(mut query) = self.record(&id, reader).await?
        {
            shorten(&mut query);
            found.add(MatchKind::QueryId, (vec![query], false));
            return Ok(found);
        }
        for fingerprint in sought.fingerprints() {
            self.add_statement(&mut found, fingerprint, reader).await?;
        }
        if !found.matches.is_empty() {
            return Ok(found);
        }
        if let Some(start) = sought.id_start() {
            let ids = self.ids_with_prefix(start, LIMIT + 1, reader).await?;
            found.add(MatchKind::QueryId, self.queries_of(ids, reader).await?);
        }
        if let Some(trace_id) = sought.trace_id() {
            let ids = self.traced(trace_id, LIMIT + 1, reader).await?;
            found.add(MatchKind::TraceId, self.queries_of(ids, reader).await?);
        }
        if let Some(session_id) = sought.session_id() {
            let session_id = Choice::one(session_id);
            let of_session = QueryFilter { session_id, limit: LIMIT, ..QueryFilter::default() };
            let queries = self.newest_of(&of_session, reader, &mut found).await?;
            found.add(MatchKind::SessionId, queries);
        }
        let is_label = self.add_labels(&mut found, sought, reader).await?;
        let is_word = found.matches.iter().all(|one| one.kind == MatchKind::Label) && !is_label;
        if is_word {
            self.add_statement(&mut found, sought.as_statement(), reader).await?;
            if let Ok(search) = Search::new(Some(sought.text()), None) {
                let with_text =
                    QueryFilter { search: Some(search), limit: LIMIT, ..filter.clone() };
                let queries = self.newest_of(&with_text, reader, &mut found).await?;
                found.add(MatchKind::Text, queries);
            }
        }
        if let Some(range) = sought.fingerprint_start() {
            for fingerprint in self.fingerprints_between(range).await? {
                self.add_statement(&mut found, fingerprint, reader).await?;
            }
        }
        Ok(found)
    }

    /// Returns the first of the fingerprints of statements from one to another, whoever ran them.
    async fn fingerprints_between(
        &self,
        range: (i64, i64),
    ) -> Result<impl Iterator<Item = Fingerprint>, StoreError> {
        let found = of_engine!(self, store => store.fingerprints_between(range, LIMIT).await?);
        Ok(found.into_iter().map(Fingerprint::from_signed))
    }

    /// Adds the loads with a label, or whose labels begin so. Returns whether one has the label.
    async fn add_labels(
        &self,
        found: &mut Found,
        sought: &Sought,
        reader: Reader<'_>,
    ) -> Result<bool, StoreError> {
        let Some(label) = sought.label_start() else { return Ok(false) };
        let ids = match self.labelled(label, LIMIT + 1, reader).await {
            Err(StoreError::TimedOut(_)) => {
                found.is_incomplete = true;
                return Ok(false);
            }
            ids => ids?,
        };
        let (mut loads, has_more) = self.queries_of(ids, reader).await?;
        let has_label = |load: &StoredQuery| {
            load.load.as_ref().is_some_and(|load| load.label.as_deref() == Some(label))
        };
        loads.sort_by_key(|load| !has_label(load));
        let is_label = loads.first().is_some_and(has_label);
        found.add(MatchKind::Label, (loads, has_more));
        Ok(is_label)
    }

    /// Adds the statement of a fingerprint, if it has a run that the reader may see.
    async fn add_statement(
        &self,
        found: &mut Found,
        fingerprint: Fingerprint,
        reader: Reader<'_>,
    ) -> Result<(), StoreError> {
        let runs =
            QueryFilter { fingerprint: Some(fingerprint), limit: LIMIT, ..QueryFilter::default() };
        let (queries, has_more) = self.newest_of(&runs, reader, found).await?;
        if !queries.is_empty() {
            let kind = MatchKind::Statement;
            found.matches.push(Match { kind, fingerprint: Some(fingerprint), queries, has_more });
        }
        Ok(())
    }

    /// Returns the newest queries of a filter, and whether there may be more.
    async fn newest_of(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
        found: &mut Found,
    ) -> Result<(Vec<StoredQuery>, bool), StoreError> {
        let mut page = self.page(filter, reader).await?;
        page.queries.iter_mut().for_each(shorten);
        let has_more = page.next(filter).is_some();
        found.is_incomplete |= page.incomplete.is_some();
        Ok((page.queries, has_more))
    }

    /// Returns the first of some queries, and whether there are more.
    async fn queries_of(
        &self,
        ids: Vec<String>,
        reader: Reader<'_>,
    ) -> Result<(Vec<StoredQuery>, bool), StoreError> {
        let has_more = ids.len() > LIMIT as usize;
        let mut queries = Vec::new();
        for id in ids.iter().take(LIMIT as usize) {
            let Ok(id) = id.parse::<QueryId>() else { continue };
            let query = self.record(&id, reader).await?;
            queries.extend(query.map(|mut query| {
                shorten(&mut query);
                query
            }));
        }
        queries.sort_by_key(|query| Reverse(query.started_ms));
        Ok((queries, has_more))
    }
}

/// Cuts the statement of a query.
fn shorten(query: &mut StoredQuery) {
    if let Some(statement) = &mut query.record.statement
        && let Some((end, _)) = statement.char_indices().nth(STATEMENT_CHARS)
    {
        statement.truncate(end);
    }
}
