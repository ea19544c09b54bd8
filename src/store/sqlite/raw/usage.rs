//! The runs of a range of time, for who used the cluster.

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::super::Store;
use super::conditions::load_tables;
use super::scan::{Indexed, OWN, Scan};
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;
use crate::store::query::Reader;
use crate::store::statements::MAX_GROUPS;
use crate::store::usage::{LONG_MS, LOOK_BACK_MS, RunRow, UsageCounting};

/// The columns that a scan reads beyond the counted ones.
pub(super) const COLUMNS: &str = concat!(
    ", query_id, ended_ms, state, user, db, client, cluster,
    CASE WHEN queried_tables IS NULL AND kind = 'load' THEN ",
    load_tables!(),
    "   ELSE queried_tables END,
    fingerprint, cpu_time_ms, scan_bytes, peak_memory_bytes,
    CASE WHEN kind = 'load' THEN (SELECT ifnull(label, table_list) FROM load WHERE load.query = query.id) END"
);

/// Returns the statement for the start behind so many others, of the first parameter: those of an index, from a start up to
/// another.
pub(super) fn end_sql(indexed: Indexed) -> String {
    format!(
        "SELECT started_ms FROM query WHERE {} AND started_ms BETWEEN ?2 AND ?3
         ORDER BY started_ms LIMIT 1 OFFSET ?4",
        indexed.condition()
    )
}

/// Returns the statement for the ids of the long runs that started from the first to the second parameter and still ran at the
/// third.
pub(super) fn long_ids_sql() -> String {
    format!(
        "SELECT id FROM query INDEXED BY query_by_long_run
         WHERE (duration_ms >= {LONG_MS} OR ended_ms IS NULL) AND started_ms BETWEEN ?1 AND ?2
             AND (ended_ms IS NULL OR duration_ms > ?3 - started_ms)"
    )
}

/// Calls `each` with every run of a filter that may have been running in a range, until it returns false.
fn runs(
    sqlite: &Connection,
    (filter, owner): (&QueryFilter, Option<&str>),
    (from_ms, to_ms): (i64, i64),
    mut each: impl FnMut(&RunRow<'_>) -> bool,
) -> Result<(), rusqlite::Error> {
    let near_ms = from_ms.saturating_sub(LONG_MS);
    let near = QueryFilter { from_ms: Some(near_ms), to_ms: Some(to_ms), ..filter.clone() };
    Scan { sqlite, filter: &near, owner }.each(COLUMNS, |row| Ok(each(&run(row)?)))?;
    let mut long = sqlite.prepare(&long_ids_sql())?;
    let times = [from_ms.saturating_sub(LOOK_BACK_MS), near_ms.saturating_sub(1), from_ms];
    for (parameter, ms) in (1..).zip(times) {
        long.raw_bind_parameter(parameter, ms)?;
    }
    let fingerprint = filter.fingerprint.map(|it| it.to_signed());
    Scan { sqlite, filter, owner }.each_of(long, COLUMNS, |row| {
        let run = run(row)?;
        let is_chosen = fingerprint.is_none_or(|it| run.fingerprint == Some(it));
        Ok(!is_chosen || each(&run))
    })
}

/// Returns the run of a row with [`COLUMNS`].
fn run<'r>(row: &'r Row<'_>) -> Result<RunRow<'r>, rusqlite::Error> {
    let text = |column: usize| {
        Ok::<_, rusqlite::Error>(row.get_ref(OWN + column)?.as_str_or_null().ok().flatten())
    };
    Ok(RunRow {
        // Queries without a start are in no range.
        started_ms: row.get(0)?,
        duration_ms: row.get(1)?,
        is_failed: row.get(2)?,
        query_id: text(0)?.unwrap_or_default(),
        ended_ms: row.get(OWN + 1)?,
        state: text(2)?,
        user: text(3)?,
        db: text(4)?,
        client: text(5)?,
        cluster: text(6)?,
        tables: text(7)?,
        fingerprint: row.get(OWN + 8)?,
        cpu_time_ms: row.get(OWN + 9)?,
        scan_bytes: row.get(OWN + 10)?,
        peak_memory_bytes: row.get(OWN + 11)?,
        load: text(12)?,
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
        let (first_ms, last_ms) = filter.starts();
        let (indexed, value) = Indexed::of(filter, None);
        let end = self.reports.run(reader.client(), move |sqlite| {
            let mut behind = sqlite.prepare(&end_sql(indexed))?;
            let times = [first_ms, last_ms, most].map(Value::from);
            for (parameter, value) in (1..).zip([value].into_iter().chain(times)) {
                behind.raw_bind_parameter(parameter, value)?;
            }
            let mut rows = behind.raw_query();
            rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()
        });
        Ok(end.await?.unwrap_or(last_ms.saturating_add(1)))
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
        let filter = filter.clone();
        let owner = reader.owner.map(str::to_string);
        let counted = self.reports.run(reader.client(), move |sqlite| {
            let _snapshot = sqlite.unchecked_transaction()?;
            let range = counting.range();
            runs(sqlite, (&filter, owner.as_deref()), range, |run| counting.add(run))?;
            Ok(counting)
        });
        let counted = counted.await?;
        let is_bounded = counted.has_few_groups();
        is_bounded.then_some(counted).ok_or(StoreError::TooManyGroups(MAX_GROUPS))
    }
}
