//! Summaries of hours: making them, and reading them in place of queries.

use rusqlite::{Connection, OptionalExtension, params};
use sqlx::Execute;
use sqlx::sqlite::SqliteTransaction;

use super::super::Store;
use super::aggregate::{GROUP_COLUMNS, costs, keys};
use super::scan::{Scan, counted};
use crate::domain::filter::QueryFilter;
use crate::domain::record::Kind;
use crate::domain::time::now_ms;
use crate::store::error::StoreError;
use crate::store::hours::{
    HOUR_MS, HourChange, HourQuery, HourSummary, HourSummer, HoursToSum, SUMMARY_VERSION, Unsummed,
    can_answer, whole_hours,
};

/// The name under which summaries wait for their turn among reports.
const CLIENT: &str = "summaries of hours";

/// A part of the queries of a filter.
pub(super) enum Part {
    /// The queries of a filter, to be read one by one.
    Queries(Box<QueryFilter>),
    /// The summary of an hour, whose queries are all within the filter's times.
    Hour(i64, HourSummary),
}

/// Calls `each` with the parts of a filter, by time, until it returns false. An hour comes as a summary if it has one and
/// `is_usable`.
pub(super) fn parts(
    sqlite: &Connection,
    filter: &QueryFilter,
    is_usable: impl Fn(i64) -> bool,
    mut each: impl FnMut(Part) -> Result<bool, rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let (first, last) = whole_hours(filter);
    if !can_answer(filter) || first > last {
        each(Part::Queries(Box::new(filter.clone())))?;
        return Ok(());
    }
    let queries = |filter| Part::Queries(Box::new(filter));
    let sql = sqlx::query!(
        "SELECT hour, body FROM hour_summary WHERE hour BETWEEN ? AND ? AND version = ? ORDER BY hour",
        first,
        last,
        SUMMARY_VERSION
    );
    let mut hours = sqlite.prepare_cached(sql.sql().as_str())?;
    let mut hours = hours.query(params![first, last, SUMMARY_VERSION])?;
    let mut unsummed = Unsummed::of(filter);
    while let Some(row) = hours.next()? {
        let hour: i64 = row.get(0)?;
        if !is_usable(hour) {
            continue;
        }
        // A damaged body costs only time.
        let Some(summary) = HourSummary::read(row.get_ref(1)?.as_blob()?) else { continue };
        if let Some(before) = unsummed.before(hour)
            && !each(queries(before))?
        {
            return Ok(());
        }
        if !each(Part::Hour(hour, summary))? {
            return Ok(());
        }
    }
    if let Some(rest) = unsummed.rest() {
        each(queries(rest))?;
    }
    Ok(())
}

impl Store {
    /// Returns some of the hours whose queries have no summary and have settled, the newest first.
    pub(in crate::store) async fn unsummed_hours(&self) -> Result<Vec<i64>, StoreError> {
        let found = self.reports.run(Some(CLIENT.to_string()), move |sqlite| {
            let _snapshot = sqlite.unchecked_transaction()?;
            let known = sqlx::query_scalar!(
                "SELECT hour FROM hour_summary WHERE version = ?",
                SUMMARY_VERSION
            );
            let mut known = sqlite.prepare_cached(known.sql().as_str())?;
            let known = known.query_map([SUMMARY_VERSION], |row| row.get::<_, i64>(0))?;
            let known: foldhash::HashSet<i64> = known.collect::<Result<_, _>>()?;
            let mut hours = HoursToSum::new(known, now_ms());
            while let Some(before_ms) = hours.before_ms() {
                let newest = sqlx::query_scalar!(
                    r#"SELECT started_ms AS "started_ms!" FROM query WHERE started_ms < ?
                   ORDER BY started_ms DESC LIMIT 1"#,
                    before_ms
                );
                let mut newest = sqlite.prepare_cached(newest.sql().as_str())?;
                let newest: Option<i64> =
                    newest.query_row([before_ms], |row| row.get(0)).optional()?;
                let Some(newest_ms) = newest else { break };
                hours.note(newest_ms);
            }
            Ok(hours.into_found())
        });
        found.await
    }

    /// Returns the bytes of the summary of an hour.
    pub(in crate::store) async fn sum_hour(&self, hour: i64) -> Result<Vec<u8>, StoreError> {
        let summed = self.reports.run(Some(CLIENT.to_string()), move |sqlite| {
            let start_ms = hour.saturating_mul(HOUR_MS);
            let filter = QueryFilter {
                from_ms: Some(start_ms),
                to_ms: Some(start_ms.saturating_add(HOUR_MS)),
                ..QueryFilter::default()
            };
            let mut summer = HourSummer::new(hour);
            let columns = format!("{}, kind", *GROUP_COLUMNS);
            Scan { sqlite, filter: &filter, owner: None }.each(&columns, |row| {
                let (keys, costs) = (keys(row)?, costs(row)?);
                let kind = row.get_ref("kind")?.as_str()?;
                summer.add(&HourQuery {
                    counted: counted(row)?,
                    fingerprint: keys.fingerprint,
                    user: keys.user,
                    db: keys.db,
                    cluster: keys.cluster,
                    is_load: kind == Kind::Load.name(),
                    sums: costs.summed,
                    peak_memory_bytes: costs.peak_memory_bytes,
                });
                Ok(true)
            })?;
            Ok(summer)
        });
        summed.await?.into_bytes().map_err(StoreError::other)
    }
}

/// Begins and ends readings of hours.
pub(in crate::store::sqlite) async fn change_hours(
    transaction: &mut SqliteTransaction<'_>,
    changes: &[HourChange],
) -> Result<(), StoreError> {
    for change in changes {
        match change {
            HourChange::Begin { hours, token } => {
                let hours = serde_json::json!(hours).to_string();
                sqlx::query!(
                    "INSERT OR REPLACE INTO hour_summary (hour, token) SELECT value, ? FROM json_each(?)",
                    token,
                    hours
                )
                .execute(&mut **transaction)
                .await?;
            }
            // The row is gone, or of another reading, if a query of the hour changed.
            HourChange::Fill { hour, token, body } => {
                sqlx::query!(
                    "UPDATE hour_summary SET version = ?, body = ? WHERE hour = ? AND token = ? AND version IS NULL",
                    SUMMARY_VERSION,
                    body,
                    hour,
                    token
                )
                .execute(&mut **transaction)
                .await?;
            }
        }
    }
    Ok(())
}

/// Removes the summaries of hours in which a query changes.
pub(in crate::store::sqlite) async fn forget_hours(
    transaction: &mut SqliteTransaction<'_>,
    hours: &foldhash::HashSet<i64>,
) -> Result<(), StoreError> {
    if hours.is_empty() {
        return Ok(());
    }
    let hours = serde_json::json!(hours).to_string();
    sqlx::query!("DELETE FROM hour_summary WHERE hour IN (SELECT value FROM json_each(?))", hours)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
