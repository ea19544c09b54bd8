//! Aggregates of many queries: spans of time, and groups.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row};
use sqlx::Execute;

use super::super::Store;
use super::conditions::Conditions;
use super::hours::{Part, parts};
use super::scan::{OWN, Scan, counted};
use crate::domain::filter::QueryFilter;
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::group::{Costs, Group, GroupBy, Grouping, Keys, SUMMED};
use crate::store::hours::SpanCounts;
use crate::store::query::Reader;
use crate::store::statements::{MAX_GROUPS, StatementOrder, StatementPage, UnreadStatements};
use crate::store::timeline::{Bucket, Counting, Spans};

/// The columns that a [`Grouping`] needs beyond the counted ones.
pub(super) static GROUP_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let summed = SUMMED.map(|column| format!(", {column}"));
    format!(", fingerprint, user, db, cluster, peak_memory_bytes{}", summed.concat())
});
/// The position of the first column of [`SUMMED`].
const OF_SUMMED: usize = OWN + 5;

/// Returns the groups of the queries of a filter. Stops with one group more than `most`.
fn groups(
    sqlite: &Connection,
    (filter, owner): (&QueryFilter, Option<&str>),
    by: GroupBy,
    most: usize,
) -> Result<Vec<Group>, rusqlite::Error> {
    let mut grouping = Grouping::new(by);
    let _snapshot = sqlite.unchecked_transaction()?;
    let is_usable = |hour| by.has_whole_hour(hour);
    parts(sqlite, filter, is_usable, |part| {
        match part {
            Part::Hour(hour, summary) => grouping.add_hour(hour, &summary, (filter, owner)),
            Part::Queries(filter) => {
                let filter = &filter;
                Scan { sqlite, filter, owner }.each(&GROUP_COLUMNS, |row| {
                    grouping.add(&counted(row)?, costs(row)?, &keys(row)?);
                    Ok(grouping.len() <= most)
                })?;
            }
        }
        Ok(grouping.len() <= most)
    })?;
    Ok(grouping.into_groups())
}

/// Returns what a row with [`GROUP_COLUMNS`] is grouped by.
pub(super) fn keys<'r>(row: &'r Row<'_>) -> Result<Keys<'r>, rusqlite::Error> {
    let text =
        |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null().ok().flatten());
    Ok(Keys {
        fingerprint: row.get(OWN)?,
        user: text(OWN + 1)?,
        db: text(OWN + 2)?,
        cluster: text(OWN + 3)?,
    })
}

/// Returns what the query of a row with [`GROUP_COLUMNS`] cost.
pub(super) fn costs(row: &Row<'_>) -> Result<Costs, rusqlite::Error> {
    let mut costs = Costs { summed: [None; SUMMED.len()], peak_memory_bytes: row.get(OWN + 4)? };
    for (column, value) in (OF_SUMMED..).zip(&mut costs.summed) {
        *value = row.get(column)?;
    }
    Ok(costs)
}

impl Store {
    /// Returns the counts of each span, of the queries of a filter that the reader may see. Ignores the filter's limit and
    /// cursor.
    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
        reader: Reader<'_>,
    ) -> Result<Vec<Bucket>, StoreError> {
        let filter = spans.restrict(filter);
        let owner = reader.owner.map(str::to_string);
        let timeline = self.reports.run(reader.client(), move |sqlite| {
            let mut counting = Counting::new(spans);
            let owner = owner.as_deref();
            let _snapshot = sqlite.unchecked_transaction()?;
            let is_usable = |hour| spans.have_whole_hour(hour);
            parts(sqlite, &filter, is_usable, |part| {
                match part {
                    Part::Hour(hour, summary) => {
                        counting.add_hour(hour, &summary, (&filter, owner))
                    }
                    Part::Queries(filter) => {
                        Scan { sqlite, filter: &filter, owner }.each("", |row| {
                            counting.add(&counted(row)?);
                            Ok(true)
                        })?;
                    }
                }
                Ok(true)
            })?;
            Ok(counting.into_buckets())
        });
        timeline.await
    }

    /// Returns the queries of a filter that the reader may see, in groups, in no order. Ignores the filter's
    /// limit and cursor.
    pub(crate) async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
        reader: Reader<'_>,
    ) -> Result<Vec<Group>, StoreError> {
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let all = usize::MAX;
        let top = move |sqlite: &_| groups(sqlite, (&filter, owner.as_deref()), by, all);
        self.reports.run(reader.client(), top).await
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
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let by_statement = move |sqlite: &_| {
            groups(sqlite, (&filter, owner.as_deref()), GroupBy::Statement, MAX_GROUPS)
        };
        let found = self.reports.run(reader.client(), by_statement).await?;
        let is_bounded = found.len() <= MAX_GROUPS;
        is_bounded.then_some(found).ok_or(StoreError::TooManyGroups(MAX_GROUPS))
    }

    /// Returns the statistics of the queries of a filter that the reader may see, by statement, as many as the
    /// filter's limit. Ignores the filter's cursor.
    ///
    /// Errors if there are too many statements, if too many reports wait, or if the time is up.
    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
        reader: Reader<'_>,
    ) -> Result<StatementPage, StoreError> {
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let page = self.reports.run(reader.client(), move |sqlite| {
            let by = GroupBy::Statement;
            let groups = groups(sqlite, (&filter, owner.as_deref()), by, MAX_GROUPS)?;
            let unread = UnreadStatements::of(groups, order, filter.limit);
            unread.map(|unread| read_normalized(sqlite, unread)).transpose()
        });
        page.await?.ok_or(StoreError::TooManyGroups(MAX_GROUPS))
    }

    /// Returns how often the queries of a filter ran in spans: rows of a fingerprint, the position of a span and a count.
    pub(in crate::store) async fn counted_by_span(
        &self,
        mut counts: SpanCounts,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Vec<(Fingerprint, i64, i64)>, StoreError> {
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let counted = self.reports.run(reader.client(), move |sqlite| {
            let owner = owner.as_deref();
            let spans = counts.spans();
            let _snapshot = sqlite.unchecked_transaction()?;
            let is_usable = |hour| spans.have_whole_hour(hour);
            parts(sqlite, &filter, is_usable, |part| {
                match part {
                    Part::Hour(hour, summary) => counts.add_hour(hour, &summary, (&filter, owner)),
                    Part::Queries(filter) => {
                        Scan { sqlite, filter: &filter, owner }.each(", fingerprint", |row| {
                            counts.add_query(row.get(0)?, row.get(OWN)?);
                            Ok(true)
                        })?;
                    }
                }
                Ok(true)
            })?;
            Ok(counts.into_rows())
        });
        counted.await
    }

    /// Returns the first and the last start of the queries of the reader's clusters. Goes through an index by start from
    /// both ends.
    pub(in crate::store::sqlite) async fn span_in_clusters(
        &self,
        reader: Reader<'_>,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let owner = reader.owner.map(str::to_string);
        let clusters = reader.clusters_json();
        let ends = self.scans.run(reader.client(), move |sqlite| {
            let end = |direction: &str| {
                let conditions = Conditions::new(Vec::new())
                    .and_if("user = ?", owner.clone())
                    .and_if("cluster IN (SELECT value FROM json_each(?))", clusters.clone())
                    .and_plain("started_ms IS NOT NULL");
                let sql = format!(
                    "SELECT started_ms FROM query WHERE {} ORDER BY started_ms {direction} LIMIT 1",
                    conditions.sql()
                );
                let mut statement = sqlite.prepare_cached(&sql)?;
                conditions.bind(&mut statement)?;
                let mut rows = statement.raw_query();
                rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()
            };
            Ok(end("ASC")?.zip(end("DESC")?))
        });
        ends.await
    }

    /// Returns the id of the newest query that has a profile, or None if no query has one. Goes through the index by start
    /// up to that query.
    pub(crate) async fn newest_profile(
        &self,
        reader: Reader<'_>,
    ) -> Result<Option<QueryId>, StoreError> {
        let owner = reader.owner.map(str::to_string);
        let clusters = reader.clusters_json();
        let id = self.scans.run(reader.client(), move |sqlite| {
            let newest = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
                sqlite.query_row(sql, values, |row| row.get::<_, String>(0)).optional()
            };
            match owner {
                None => {
                    let all = sqlx::query!(
                        "SELECT query_id FROM query
                         WHERE EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
                           AND (?1 IS NULL OR cluster IN (SELECT value FROM json_each(?1)))
                         ORDER BY started_ms DESC, id DESC LIMIT 1",
                        clusters
                    );
                    newest(all.sql().as_str(), &[&clusters])
                }
                Some(user) => {
                    let of_user = sqlx::query!(
                        "SELECT query_id FROM query
                         WHERE user = ?1 AND EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
                           AND (?2 IS NULL OR cluster IN (SELECT value FROM json_each(?2)))
                         ORDER BY started_ms DESC, id DESC LIMIT 1",
                        user,
                        clusters
                    );
                    newest(of_user.sql().as_str(), &[&user, &clusters])
                }
            }
        });
        Ok(id.await?.and_then(|id| id.parse().ok()))
    }
}

/// Reads the normalized statements, until they are as many bytes as an answer may have.
fn read_normalized(
    sqlite: &Connection,
    mut unread: UnreadStatements,
) -> Result<StatementPage, rusqlite::Error> {
    while let Some(one) = unread.next(1).first() {
        let fingerprint = one.fingerprint.to_signed();
        let normalized = sqlx::query_scalar!(
            "SELECT normalized FROM statement WHERE fingerprint = ?",
            fingerprint
        );
        let mut normalized = sqlite.prepare_cached(normalized.sql().as_str())?;
        unread.read(normalized.query_row([fingerprint], |row| row.get(0)).optional()?);
    }
    Ok(unread.into_page())
}
