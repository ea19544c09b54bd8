//! Aggregates of many queries: spans of time, and groups.
//!
//! PostgreSQL counts, on each shard its own rows, and annals adds up what is left: a row for each group, with the durations
//! of all its queries, from which percentiles follow exactly.

use std::collections::HashMap;

use annals_postgres_statements as statements;
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::Store;
use super::conditions::Conditions;
use super::hours::summed;
use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::group::{Alike, Group, GroupBy, Grouping, Keys, QUARTER_MS, Quarters, SUMMED};
use crate::store::hours::SpanCounts;
use crate::store::query::Reader;
use crate::store::statements::{MAX_GROUPS, StatementOrder, StatementPage, UnreadStatements};
use crate::store::timeline::{Bucket, Counting, Spans};

/// Normalized statements that are read at a time: each has up to 64 KiB.
const STATEMENTS_AT_ONCE: usize = 200;

/// Rows of `query` that are counted together, as a power of two. The server puts the durations of a group into one value,
/// which can have a gigabyte at most, and annals reads one such value at a time.
const COUNTED_TOGETHER: u32 = 20;

/// The position of the first sum of [`SUMMED`] in the rows of [`alike_sql`].
const OF_SUMMED: usize = 13;

/// Returns the statement up to the conditions for queries of the same keys, and what follows the conditions. The server
/// sends their durations and users in arrays: a row for each different duration took annals three times as long to read as
/// the server to count.
fn alike_sql(by: GroupBy) -> (String, String) {
    let quarter = format!("started_ms / {QUARTER_MS} - (started_ms % {QUARTER_MS} < 0)::int");
    let known_users = "array_agg(\"user\") FILTER (WHERE \"user\" IS NOT NULL)";
    let keys = |key: &str| {
        let keys =
            [("fingerprint", "bigint"), ("\"user\"", "text"), ("db", "text"), ("cluster", "text")];
        keys.map(|(name, of)| if name == key { name.to_string() } else { format!("NULL::{of}") })
    };
    let (grouped, users) = match by {
        GroupBy::Statement => ("fingerprint", known_users),
        GroupBy::User => ("\"user\"", "NULL::text[]"),
        GroupBy::Db => ("db", "NULL::text[]"),
        GroupBy::Cluster => ("cluster", "NULL::text[]"),
        // The hour follows from the first start of a quarter.
        GroupBy::Hour(_) => (quarter.as_str(), "NULL::text[]"),
    };
    let keys = keys(grouped).join(", ");
    // A sum of 64-bit values is exact on the server, and no type of sqlx holds it.
    let sums = SUMMED.map(|column| format!("sum({column})::text"));
    let select = format!(
        "SELECT {keys}, count(*), count(*) FILTER (WHERE is_failed), min(started_ms), max(started_ms),
             array_agg(duration_ms) FILTER (WHERE duration_ms IS NOT NULL AND NOT is_failed), {users},
             max(peak_memory_bytes), count(DISTINCT {quarter}),
             array_agg(duration_ms) FILTER (WHERE duration_ms IS NOT NULL AND is_failed), {}
         FROM query",
        sums.join(", ")
    );
    (select, format!(" GROUP BY {grouped}, id >> {COUNTED_TOGETHER}"))
}

/// Reads a sum that the server has sent as a text; None if no row has a value.
fn exact_sum(row: &PgRow, column: usize) -> Result<Option<i128>, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    let sum = text.map(str::parse).transpose();
    sum.map_err(|error: std::num::ParseIntError| sqlx::Error::Decode(Box::new(error)))
}

/// Returns the queries of a filter in groups. Stops with one group more than `most`.
async fn groups(
    connection: &mut PgConnection,
    (filter, owner): (&QueryFilter, Option<&str>),
    by: GroupBy,
    most: usize,
) -> Result<Vec<Group>, StoreError> {
    let mut grouping = Grouping::new(by);
    let is_usable = |hour| by.has_whole_hour(hour);
    let others = summed(connection, filter, is_usable, |hour, summary| {
        grouping.add_hour(hour, summary, (filter, owner));
        grouping.len() <= most
    });
    for filter in others.await? {
        count(connection, (&filter, owner), by, most, &mut grouping).await?;
    }
    Ok(grouping.into_groups())
}

/// Adds the queries of a filter to their groups. Stops with one group more than `most`.
async fn count(
    connection: &mut PgConnection,
    (filter, owner): (&QueryFilter, Option<&str>),
    by: GroupBy,
    most: usize,
    grouping: &mut Grouping,
) -> Result<(), StoreError> {
    let (select, group_by) = alike_sql(by);
    let mut sql = Conditions::new(&select);
    sql.and_filter(filter, owner);
    sql.and_times(filter);
    if by == GroupBy::Statement {
        sql.and_plain("query.fingerprint IS NOT NULL");
    }
    let mut rows = sql.end().push(group_by).build().persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await?
        && grouping.len() <= most
    {
        let durations = |column| -> Result<Vec<(i64, u64)>, sqlx::Error> {
            let durations_ms: Option<Vec<i64>> = row.try_get(column)?;
            Ok(durations_ms.iter().flatten().map(|ms| (*ms, 1)).collect())
        };
        let (durations, failed_durations) = (durations(8)?, durations(12)?);
        let users: Option<Vec<String>> = row.try_get(9)?;
        let mut sums = [None; SUMMED.len()];
        for (column, value) in (OF_SUMMED..).zip(&mut sums) {
            *value = exact_sum(&row, column)?;
        }
        let alike = Alike {
            count: row.try_get(4)?,
            errors: row.try_get(5)?,
            durations: &durations,
            failed_durations: &failed_durations,
            sums,
            peak_memory_bytes: row.try_get(10)?,
            quarters: Quarters::Number(row.try_get(11)?),
            first_ms: row.try_get(6)?,
            last_ms: row.try_get(7)?,
        };
        let keys = Keys {
            fingerprint: row.try_get(0)?,
            user: row.try_get(1)?,
            db: row.try_get(2)?,
            cluster: row.try_get(3)?,
        };
        grouping.add_alike(&alike, &keys, users.iter().flatten().map(String::as_str));
    }
    Ok(())
}

/// Counts the queries of a filter in spans.
async fn counted(
    connection: &mut PgConnection,
    (filter, owner): (&QueryFilter, Option<&str>),
    spans: Spans,
) -> Result<Vec<Bucket>, StoreError> {
    let mut counting = Counting::new(spans);
    let is_usable = |hour| spans.have_whole_hour(hour);
    let others = summed(connection, filter, is_usable, |hour, summary| {
        counting.add_hour(hour, summary, (filter, owner));
        true
    });
    for filter in others.await? {
        fill(&mut counting, connection, (&filter, owner), spans).await?;
    }
    Ok(counting.into_buckets())
}

/// Adds the queries of a filter to their spans.
async fn fill(
    counting: &mut Counting,
    connection: &mut PgConnection,
    (filter, owner): (&QueryFilter, Option<&str>),
    spans: Spans,
) -> Result<(), StoreError> {
    let (from_ms, width_ms) = (spans.from_ms, spans.width_ms.max(1));
    let mut sql = Conditions::new(&format!(
        "SELECT (started_ms - ({from_ms})) / {width_ms}, count(*), count(*) FILTER (WHERE is_failed),
             coalesce(greatest(max(duration_ms), 0), 0), sum(duration_ms)::text, sum(scan_rows)::text, sum(scan_bytes)::text
         FROM query"
    ));
    sql.and_filter(filter, owner);
    sql.and_times(filter);
    sql.end().push(" GROUP BY 1");
    for row in sql.end().build().persistent(false).fetch_all(connection).await? {
        let Ok(position) = usize::try_from(row.try_get::<i64, _>(0)?) else { continue };
        let mut sums = [0; 3];
        for (column, value) in (4..).zip(&mut sums) {
            *value = exact_sum(&row, column)?.unwrap_or(0);
        }
        let counts = (row.try_get(1)?, row.try_get(2)?);
        counting.add_sums(position, counts, row.try_get(3)?, sums);
    }
    Ok(())
}

impl Store {
    /// Returns the counts of each span, of the queries of a filter that the reader may see. Ignores the filter's own times,
    /// limit and cursor.
    pub(in crate::store) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
        reader: Reader<'_>,
    ) -> Result<Vec<Bucket>, StoreError> {
        let filter = spans.restrict(filter);
        let mut read = self.reports.begin(reader.client()).await?;
        let queries = (&filter, reader.owner);
        let bound = read.bound();
        let buckets = bound.within(counted(read.connection()?, queries, spans)).await?;
        read.end().await?;
        Ok(buckets)
    }

    /// Returns the queries of a filter that the reader may see, in groups, in no order. Ignores the filter's limit and cursor.
    pub(in crate::store) async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
        reader: Reader<'_>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let groups = groups(read.connection()?, (filter, reader.owner), by, usize::MAX);
        let groups = bound.within(groups).await?;
        read.end().await?;
        Ok(groups)
    }

    /// Returns the queries of a filter that the reader may see, by statement, in no order. Ignores the filter's limit and
    /// cursor.
    ///
    /// Errors if there are too many statements, if too many reports wait, or if the time is up.
    pub(in crate::store) async fn by_statement(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let queries = (filter, reader.owner);
        let found = groups(read.connection()?, queries, GroupBy::Statement, MAX_GROUPS);
        let found = bound.within(found).await?;
        read.end().await?;
        let is_bounded = found.len() <= MAX_GROUPS;
        is_bounded.then_some(found).ok_or(StoreError::TooManyGroups(MAX_GROUPS))
    }

    /// Returns the statistics of the queries of a filter that the reader may see, by statement, as many as the filter's
    /// limit. Ignores the filter's cursor.
    ///
    /// Errors if there are too many statements, if too many reports wait, or if the time is up.
    pub(in crate::store) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
        reader: Reader<'_>,
    ) -> Result<StatementPage, StoreError> {
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let queries = (filter, reader.owner);
        let page = read_statements(read.connection()?, queries, order);
        let page = bound.within(page).await?;
        read.end().await?;
        Ok(page)
    }

    /// Returns how often the queries of a filter ran in spans: rows of a fingerprint, the position of a span and a count.
    pub(in crate::store) async fn counted_by_span(
        &self,
        mut counts: SpanCounts,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Vec<(Fingerprint, i64, i64)>, StoreError> {
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let counted = async {
            let spans = counts.spans();
            let is_usable = |hour| spans.have_whole_hour(hour);
            let others = summed(connection, filter, is_usable, |hour, summary| {
                counts.add_hour(hour, summary, (filter, reader.owner));
                true
            });
            for filter in others.await? {
                let (from_ms, width_ms) = (spans.from_ms, spans.width_ms.max(1));
                let mut sql = Conditions::new(&format!(
                    "SELECT fingerprint, (started_ms - ({from_ms})) / {width_ms}, count(*) FROM query"
                ));
                sql.and_filter(&filter, reader.owner);
                sql.and_times(&filter);
                sql.and("query.fingerprint = ANY(", counts.wanted()).push(") GROUP BY 1, 2");
                let rows = sql.end().build().persistent(false).fetch_all(&mut *connection);
                for row in rows.await? {
                    counts.add((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
                }
            }
            Ok(())
        };
        bound.within(counted).await?;
        read.end().await?;
        Ok(counts.into_rows())
    }
}

/// Returns the statistics of the queries of a filter by statement, as many as the filter's limit.
async fn read_statements(
    connection: &mut PgConnection,
    (filter, owner): (&QueryFilter, Option<&str>),
    order: StatementOrder,
) -> Result<StatementPage, StoreError> {
    let groups = groups(connection, (filter, owner), GroupBy::Statement, MAX_GROUPS).await?;
    let mut unread = UnreadStatements::of(groups, order, filter.limit)
        .ok_or(StoreError::TooManyGroups(MAX_GROUPS))?;
    loop {
        let next = unread.next(STATEMENTS_AT_ONCE).iter();
        let fingerprints: Vec<i64> = next.map(|one| one.fingerprint.to_signed()).collect();
        if fingerprints.is_empty() {
            return Ok(unread.into_page());
        }
        let texts = statements::normalized_statements(&mut *connection, &fingerprints).await?;
        let mut texts: HashMap<i64, String> = texts.into_iter().collect();
        fingerprints.iter().for_each(|fingerprint| unread.read(texts.remove(fingerprint)));
    }
}
