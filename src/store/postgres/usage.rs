//! The runs of a range of time, for who used the cluster. annals counts them: the server would have to group the same rows by
//! six kinds of groups, and could not tell how many ran at once.

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::Store;
use super::conditions::{Conditions, load_tables};
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;
use crate::store::query::Reader;
use crate::store::statements::MAX_GROUPS;
use crate::store::usage::{LONG_MS, LOOK_BACK_MS, RunRow, UsageCounting};

/// Selects runs, up to the conditions.
const SELECT: &str = concat!(
    "SELECT query.query_id, query.started_ms, query.ended_ms, query.duration_ms, query.state,
        query.is_failed, query.\"user\", query.db, query.client, query.cluster,
        CASE WHEN query.queried_tables IS NULL AND query.kind = 'load'
            THEN ",
    load_tables!(),
    "       ELSE query.queried_tables END,
        query.fingerprint, query.cpu_time_ms, query.scan_bytes, query.peak_memory_bytes,
        CASE WHEN query.kind = 'load'
            THEN (SELECT coalesce(load.label, load.table_list) FROM load WHERE load.query_id = query.query_id) END
    FROM query"
);

/// Returns the statements for the runs of a filter that may have been running in a range: those that started in it or shortly
/// before, and the long ones that started earlier and still ran.
fn statements(
    (filter, owner): (&QueryFilter, Option<&str>),
    (from_ms, to_ms): (i64, i64),
) -> [Conditions; 2] {
    let near_ms = from_ms.saturating_sub(LONG_MS);
    let mut near = Conditions::new(SELECT);
    near.and_filter(filter, owner);
    near.and_times(&QueryFilter { from_ms: Some(near_ms), to_ms: Some(to_ms), ..filter.clone() });
    let mut long = Conditions::new(SELECT);
    long.and_filter(filter, owner);
    long.and_plain(&format!("(query.duration_ms >= {LONG_MS} OR query.ended_ms IS NULL)"));
    let first_ms = from_ms.saturating_sub(LOOK_BACK_MS);
    long.and("query.started_ms BETWEEN ", first_ms)
        .push(" AND ")
        .push_bind(near_ms.saturating_sub(1));
    // The difference of any two starts is no number of 64 bits.
    long.and("(query.ended_ms IS NULL OR query.duration_ms::numeric > ", from_ms)
        .push("::numeric - query.started_ms)");
    [near, long]
}

/// Counts the rows of a statement, until there are too many groups.
async fn count(
    connection: &mut PgConnection,
    mut sql: Conditions,
    counting: &mut UsageCounting,
) -> Result<(), StoreError> {
    let mut rows = sql.end().build().persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await?
        && counting.add(&run(&row)?)
    {}
    Ok(())
}

/// Returns the run of a row of [`SELECT`].
fn run(row: &PgRow) -> Result<RunRow<'_>, sqlx::Error> {
    Ok(RunRow {
        query_id: row.try_get(0)?,
        started_ms: row.try_get(1)?,
        ended_ms: row.try_get(2)?,
        duration_ms: row.try_get(3)?,
        state: row.try_get(4)?,
        is_failed: row.try_get(5)?,
        user: row.try_get(6)?,
        db: row.try_get(7)?,
        client: row.try_get(8)?,
        cluster: row.try_get(9)?,
        tables: row.try_get(10)?,
        fingerprint: row.try_get(11)?,
        cpu_time_ms: row.try_get(12)?,
        scan_bytes: row.try_get(13)?,
        peak_memory_bytes: row.try_get(14)?,
        load: row.try_get(15)?,
    })
}

impl Store {
    /// Returns the end of the times of a filter, or the start before which `most` of its queries started, if that is earlier.
    /// The filter has no condition but times, and a user or a fingerprint. Counts the queries of all users.
    pub(in crate::store) async fn usage_end(
        &self,
        filter: &QueryFilter,
        most: i64,
        reader: Reader<'_>,
    ) -> Result<i64, StoreError> {
        let mut behind = Conditions::new("SELECT query.started_ms FROM query");
        behind.and_indexed(filter, None);
        behind.and_times(filter);
        behind.end().push(format!(" ORDER BY query.started_ms LIMIT 1 OFFSET {most}"));
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let found = async {
            let row =
                behind.end().build_query_scalar().persistent(false).fetch_optional(connection);
            Ok(row.await?)
        };
        let found: Option<i64> = bound.within(found).await?;
        read.end().await?;
        let (_, last_ms) = filter.starts();
        Ok(found.unwrap_or(last_ms.saturating_add(1)))
    }

    /// Counts the runs of a filter that the reader may see. Ignores the filter's times, limit and cursor.
    ///
    /// Errors if there are too many groups, if too many reports wait, or if the time is up.
    pub(in crate::store) async fn count_usage(
        &self,
        filter: &QueryFilter,
        mut counting: UsageCounting,
        reader: Reader<'_>,
    ) -> Result<UsageCounting, StoreError> {
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        for statement in statements((filter, reader.owner), counting.range()) {
            let connection = read.connection()?;
            bound.within(count(connection, statement, &mut counting)).await?;
        }
        read.end().await?;
        let is_bounded = counting.has_few_groups();
        is_bounded.then_some(counting).ok_or(StoreError::TooManyGroups(MAX_GROUPS))
    }
}
