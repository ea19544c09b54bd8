//! Finding the queries of a list that no index gives: by words or texts, and by other conditions.
//!
//! A search looks at the newest queries first, in windows. Each window is one statement. A search that runs out of time
//! is an answer, too: the next page goes on behind the last window.

use std::time::{Duration, Instant};

use annals_postgres_statements as statements;
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::Store;
use super::conditions::Conditions;
use super::long_reads::LongReads;
use super::search_index;
use crate::domain::filter::{Cursor, QueryFilter, Users};
use crate::domain::search::CellSearch;
use crate::store::error::StoreError;
use crate::store::query::{Bound, Incomplete, Reader};

/// The queries of the first window. Most lists find a page among them.
const WINDOW: u32 = 20_000;
/// A later window is this many times as long, in time of starts, if the one before was short.
const GROWTH: i64 = 8;
/// A window that took less time than this is followed by a longer one.
const SHORT: Duration = Duration::from_millis(250);
/// The runs of rows that the search index leaves are read if they are no more than this part of all rows.
const LEAST_GAIN: i64 = 4;
/// Runs that a statement has as conditions on Citus.
const MOST_CONDITIONS: usize = 500;

/// How far a search has come.
#[derive(Debug)]
struct Search<'a> {
    filter: &'a QueryFilter,
    owner: Option<&'a str>,
    /// The ids of the first queries of the page, in the order of the list.
    found: Vec<String>,
    /// Where the last window ended: all queries up to here are looked at.
    at: Option<Cursor>,
    /// The span of starts of the next window, in milliseconds; None for a window of [`WINDOW`] queries.
    span_ms: Option<i64>,
    /// About how many queries the next window has, if queries start as often there as in the windows before.
    window: i64,
    /// About how many queries were looked at.
    looked_at: i64,
    index: Index,
    /// Whether the page is full, or no query is left.
    is_done: bool,
}

/// What the search index says of a search.
#[derive(Debug)]
enum Index {
    /// It was not read yet.
    Unread,
    /// It has nothing of the text, or leaves too many rows.
    Useless,
    /// Only these runs of rows may match, which have so many ids.
    Runs(Vec<(i64, i64)>, i64),
}

impl<'a> Search<'a> {
    fn new(filter: &'a QueryFilter, owner: Option<&'a str>) -> Search<'a> {
        let is_done = filter.users(owner) == Users::Nobody || filter.limit == 0;
        Search {
            filter,
            owner,
            found: Vec::new(),
            at: None,
            span_ms: None,
            window: WINDOW.into(),
            looked_at: 0,
            index: Index::Unread,
            is_done,
        }
    }

    /// Returns the filter of what is left of the page.
    fn rest(&self) -> QueryFilter {
        QueryFilter { after: self.at.or(self.filter.after), ..self.filter.clone() }
    }

    /// Returns how many queries the page lacks.
    fn missing(&self) -> u32 {
        self.filter.limit.saturating_sub(self.found.len() as u32)
    }

    /// Returns whether some conditions are checked row by row.
    fn is_checked_here(&self) -> bool {
        self.filter.anywhere.as_ref().is_some_and(CellSearch::is_like_a_time)
    }

    /// Looks at the next window.
    async fn look(&mut self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let rest = self.rest();
        let Some(first) = self.place(connection, &rest, 0).await? else {
            self.end_part(&rest);
            return Ok(());
        };
        let last = match (first.value, self.span_ms) {
            (Some(first_ms), Some(span_ms)) => {
                let last_ms = first_ms.saturating_sub(span_ms);
                Some(Cursor { value: Some(last_ms), id: i64::MIN })
            }
            _ => self.place(connection, &rest, WINDOW - 1).await?,
        };
        let began = Instant::now();
        // A window that is ended before its end adds nothing: the next page looks at it again.
        let found = self.matches(connection, &rest, last).await?;
        self.found.extend(found);
        if self.found.len() >= self.filter.limit as usize {
            self.is_done = true;
            return Ok(());
        }
        let Some(last) = last else {
            self.end_part(&rest);
            return Ok(());
        };
        self.at = Some(last);
        self.looked_at = self.looked_at.saturating_add(self.window);
        if let (Some(first_ms), Some(last_ms)) = (first.value, last.value)
            && !self.is_checked_here()
        {
            let growth = if began.elapsed() < SHORT { GROWTH } else { 1 };
            let span_ms = first_ms.saturating_sub(last_ms).max(1);
            self.span_ms = Some(span_ms.saturating_mul(growth));
            self.window = self.window.saturating_mul(growth);
        }
        Ok(())
    }

    /// Goes on with the queries without a start, if they are not looked at.
    fn end_part(&mut self, rest: &QueryFilter) {
        let is_behind_starts = matches!(rest.after, Some(Cursor { value: None, .. }));
        if is_behind_starts || rest.page_start_without_time().is_none() {
            self.is_done = true;
        } else {
            self.at = Some(Cursor { value: None, id: i64::MAX });
        }
    }

    /// Adds where the rest of the page begins, and where a part of the list ends.
    fn and_place(conditions: &mut Conditions, rest: &QueryFilter) {
        match rest.after {
            Some(Cursor { value: None, id }) => conditions.and_page_without_time(id),
            _ => conditions.and_page(rest),
        }
    }

    /// Returns the place of the query behind `skipped` others that an index has; None if there are no more.
    async fn place(
        &self,
        connection: &mut PgConnection,
        rest: &QueryFilter,
        skipped: u32,
    ) -> Result<Option<Cursor>, StoreError> {
        let mut keys = Conditions::new("SELECT query.started_ms, query.id FROM query ");
        keys.and_indexed(rest, self.owner);
        Self::and_place(&mut keys, rest);
        let mut keys = keys.newest_first(1);
        keys.push(format!(" OFFSET {skipped}"));
        let row = keys.build().persistent(false).fetch_optional(connection).await?;
        let place = |row: PgRow| Ok(Cursor { value: row.try_get(0)?, id: row.try_get(1)? });
        row.map(place).transpose()
    }

    /// Returns the ids of the first queries of a window that match, as many as are missing.
    async fn matches(
        &self,
        connection: &mut PgConnection,
        rest: &QueryFilter,
        last: Option<Cursor>,
    ) -> Result<Vec<String>, StoreError> {
        let anywhere = self.filter.anywhere.as_ref();
        let of_time = anywhere.filter(|text| text.is_like_a_time());
        let mut statement = Conditions::new("SELECT query.query_id");
        if let Some(text) = of_time {
            statement.end().push(", query.started_ms, query.ended_ms, query.duration_ms, ");
            statement.push_anywhere(text);
        }
        statement.end().push(" FROM query");
        statement.and_filter(self.filter, self.owner);
        if let (Some(text), None) = (anywhere, of_time) {
            statement.and_plain("");
            statement.push_anywhere(text);
        }
        Self::and_place(&mut statement, rest);
        match last {
            Some(Cursor { value: Some(ms), id }) => {
                statement.and("(query.started_ms, query.id) >= (", ms).push(", ");
                statement.end().push_bind(id).push(")");
            }
            Some(Cursor { value: None, id }) => {
                statement.and("query.id >= ", id);
            }
            None => {}
        }
        let missing = self.missing();
        let limit = if of_time.is_some() { u32::MAX } else { missing };
        let mut statement = statement.newest_first(limit);
        let mut rows = statement.build().persistent(false).fetch(connection);
        let mut found = Vec::new();
        while found.len() < missing as usize {
            let Some(row) = rows.try_next().await? else { break };
            let is_match = match of_time {
                None => true,
                Some(text) => {
                    row.try_get(4)?
                        || text.is_in_time(row.try_get(1)?)
                        || text.is_in_time(row.try_get(2)?)
                        || text.is_in_duration(row.try_get(3)?)
                }
            };
            if is_match {
                found.push(row.try_get(0)?);
            }
        }
        Ok(found)
    }

    /// Reads what the search index says.
    async fn read_index(&self, connection: &mut PgConnection) -> Result<Index, StoreError> {
        let Some(search) = &self.filter.search else { return Ok(Index::Useless) };
        if self.filter.anywhere.is_some() {
            return Ok(Index::Useless);
        }
        let candidates = search_index::candidates(connection, search).await?;
        let Some((first, last)) = statements::row_range(&mut *connection).await? else {
            return Ok(Index::Useless);
        };
        let (ranges, ids) = candidates.ranges(first, last);
        Ok(match ids > last.saturating_sub(first) / LEAST_GAIN {
            true => Index::Useless,
            false => Index::Runs(ranges, ids),
        })
    }

    /// Reads the runs of rows that the search index leaves, and ends the search. Returns false, and does nothing, if windows
    /// are as good: as it seems from what was found so far, they fill the page sooner.
    async fn look_at_runs(&mut self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        if matches!(self.index, Index::Unread) {
            self.index = self.read_index(connection).await?;
        }
        let Index::Runs(ranges, ids) = &self.index else { return Ok(false) };
        let missing = self.missing();
        let in_windows = self.looked_at.saturating_mul(missing.into());
        if *ids > in_windows / self.found.len().max(1) as i64 {
            return Ok(false);
        }
        let rest = self.rest();
        if statements::is_citus(&mut *connection).await? {
            // Citus looks up no queries for each run: its nodes get the runs as conditions, if these are few.
            if ranges.len() > MOST_CONDITIONS {
                return Ok(false);
            }
            let runs = ranges.iter();
            let runs = runs.map(|(first, last)| format!("query.id BETWEEN {first} AND {last}"));
            let runs: Vec<String> = ["false".to_string()].into_iter().chain(runs).collect();
            let mut statement = Conditions::new("SELECT query.query_id FROM query");
            statement.and_plain(&format!("({})", runs.join(" OR ")));
            statement.and_filter(self.filter, self.owner);
            statement.and_place_or_later(&rest);
            let mut statement = statement.newest_first(missing);
            let rows = statement.build_query_scalar().persistent(false).fetch_all(connection);
            self.found.extend(rows.await?);
            self.is_done = true;
            return Ok(true);
        }
        let (from, to): (Vec<i64>, Vec<i64>) = ranges.iter().copied().unzip();
        let mut statement = Conditions::new("SELECT query.query_id FROM unnest(");
        statement.end().push_bind(from).push("::bigint[], ").push_bind(to).push(
            "::bigint[]) AS run (first, last) CROSS JOIN LATERAL (
                 SELECT query.query_id, query.started_ms, query.id FROM query",
        );
        statement.and_plain("query.id BETWEEN run.first AND run.last");
        statement.and_filter(self.filter, self.owner);
        statement.and_place_or_later(&rest);
        // OFFSET keeps the server from joining: it would compare each query with each run.
        statement.end().push(" OFFSET 0) AS query");
        let mut statement = statement.newest_first(missing);
        let rows = statement.build_query_scalar().persistent(false).fetch_all(connection);
        self.found.extend(rows.await?);
        self.is_done = true;
        Ok(true)
    }

    /// Looks at windows until `is_over`.
    async fn run(
        &mut self,
        reads: &LongReads,
        client: Option<String>,
        is_over: impl Fn(&Search<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let mut read = reads.begin(client).await?;
        let bound = read.bound();
        while !is_over(self) {
            let connection = read.connection()?;
            let look = async {
                // Most searches find a page among the newest queries, without the index.
                if self.at.is_some() && self.look_at_runs(connection).await? {
                    return Ok(());
                }
                self.look(connection).await
            };
            match bound.within(look).await {
                Ok(()) => {}
                // Dropping the read ends its statement.
                Err(StoreError::TimedOut(_)) if self.at.is_some() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        read.end().await
    }
}

/// The queries of a page.
pub(super) struct Found {
    pub(super) query_ids: Vec<String>,
    pub(super) incomplete: Option<Incomplete>,
}

impl Store {
    /// Returns the first queries of a filter. Lists that find them among the newest queries do not wait for long searches.
    ///
    /// Errors if too many searches wait, or if the time is up before a query was looked at.
    pub(super) async fn found(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Found, StoreError> {
        if !filter.is_newest_first() {
            let query_ids = self.sorted(filter, reader).await?;
            return Ok(Found { query_ids, incomplete: None });
        }
        let mut search = Search::new(filter, reader.owner);
        if !search.is_done {
            let is_first = |search: &Search<'_>| search.is_done || search.at.is_some();
            search.run(&self.newest, reader.client(), is_first).await?;
        }
        if !search.is_done {
            search.run(&self.scans, reader.client(), |search| search.is_done).await?;
        }
        let at = search.at.filter(|_| !search.is_done);
        let incomplete = at.map(|at| Incomplete { by: Bound::Time, at });
        Ok(Found { query_ids: search.found, incomplete })
    }
}
