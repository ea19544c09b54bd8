//! Summaries of hours: making them, and reading them in place of queries.

use annals_postgres_statements as statements;
use futures_util::TryStreamExt;
use sqlx::PgConnection;

use super::Store;
use super::search_index::await_workers;
use crate::domain::filter::QueryFilter;
use crate::domain::time::now_ms;
use crate::store::error::StoreError;
use crate::store::hours::{
    HOUR_MS, HourChange, HourQuery, HourSummary, HourSummer, HoursToSum, SUMMARY_VERSION, Unsummed,
    can_answer, whole_hours,
};
use crate::store::timeline::Counted;

/// Calls `each` with the summaries of the hours that are within the times of a filter and `is_usable`, by time, until it
/// returns false. Returns filters for the queries of the other times.
pub(super) async fn summed(
    connection: &mut PgConnection,
    filter: &QueryFilter,
    is_usable: impl Fn(i64) -> bool,
    mut each: impl FnMut(i64, &HourSummary) -> bool,
) -> Result<Vec<QueryFilter>, StoreError> {
    let (first, last) = whole_hours(filter);
    if !can_answer(filter) || first > last {
        return Ok(vec![filter.clone()]);
    }
    let (mut others, mut unsummed) = (Vec::new(), Unsummed::of(filter));
    let mut hours = std::pin::pin!(statements::hours(connection, (first, last), SUMMARY_VERSION));
    while let Some((hour, body)) = hours.try_next().await? {
        if !is_usable(hour) {
            continue;
        }
        // A damaged body costs only time.
        let Some(summary) = HourSummary::read(&body) else { continue };
        others.extend(unsummed.before(hour));
        if !each(hour, &summary) {
            return Ok(Vec::new());
        }
    }
    others.extend(unsummed.rest());
    Ok(others)
}

impl Store {
    /// Returns some of the hours whose queries have no summary and have settled, the newest first.
    pub(in crate::store) async fn unsummed_hours(&self) -> Result<Vec<i64>, StoreError> {
        let mut connection = self.cluster.primary().acquire().await?;
        let known = statements::summed_hours(&mut *connection, SUMMARY_VERSION).await?;
        let mut hours = HoursToSum::new(known.into_iter().collect(), now_ms());
        while let Some(before_ms) = hours.before_ms() {
            let until_ms = before_ms.saturating_sub(1);
            let newest = statements::newest_start_ms(&mut *connection, until_ms).await?;
            let Some(newest_ms) = newest else { break };
            hours.note(newest_ms);
        }
        Ok(hours.into_found())
    }

    /// Returns the bytes of the summary of an hour. Asks the primary: a replica may lack what was committed before the
    /// reading began.
    pub(in crate::store) async fn sum_hour(&self, hour: i64) -> Result<Vec<u8>, StoreError> {
        let mut connection = self.cluster.primary().acquire().await?;
        if statements::is_citus(&mut *connection).await? {
            await_workers(&mut connection).await?;
        }
        let first_ms = hour.saturating_mul(HOUR_MS);
        let last_ms = first_ms.saturating_add(HOUR_MS - 1);
        let mut summer = HourSummer::new(hour);
        let mut rows = std::pin::pin!(statements::hour_rows(&mut connection, (first_ms, last_ms)));
        while let Some(row) = rows.try_next().await? {
            summer.add(&HourQuery {
                counted: Counted {
                    started_ms: Some(row.started_ms),
                    duration_ms: row.duration_ms,
                    errors: row.is_failed.into(),
                    scan_rows: row.scan_rows.unwrap_or(0),
                    scan_bytes: row.scan_bytes.unwrap_or(0),
                },
                fingerprint: row.fingerprint,
                user: row.user.as_deref(),
                db: row.db.as_deref(),
                cluster: row.cluster.as_deref(),
                is_load: row.is_load,
                sums: [
                    row.scan_rows, row.scan_bytes, row.cpu_time_ms, row.return_rows,
                    row.spill_write_bytes, row.queue_time_ms, row.parse_time_ms, row.plan_time_ms,
                    row.schedule_time_ms,
                ],
                peak_memory_bytes: row.peak_memory_bytes,
            });
        }
        summer.into_bytes().map_err(StoreError::other)
    }
}

/// Removes the summaries of the hours in which a transaction changes a query, then begins and ends readings. The last of
/// the transaction, so that it waits for no row of another writer while others wait for it.
///
/// A reading must see every query of its hours that was written before it began: the lock makes its begin wait for
/// transactions that have looked for summaries and are not committed. A later transaction sees the begun row, and removes it.
pub(super) async fn change_hours(
    connection: &mut PgConnection,
    forgotten: &foldhash::HashSet<i64>,
    changes: &[HourChange],
) -> Result<(), StoreError> {
    let begins = changes.iter().any(|change| matches!(change, HourChange::Begin { .. }));
    if begins {
        statements::lock_hours_to_begin(connection).await?;
    } else if !forgotten.is_empty() {
        statements::lock_hours_to_forget(connection).await?;
    }
    if !forgotten.is_empty() {
        let forgotten: Vec<i64> = forgotten.iter().copied().collect();
        statements::forget_hours(connection, &forgotten).await?;
    }
    for change in changes {
        match change {
            HourChange::Begin { hours, token } => {
                statements::begin_hours(connection, hours, *token).await?;
            }
            HourChange::Fill { hour, token, body } => {
                let reading = (*hour, *token);
                statements::fill_hour(connection, reading, SUMMARY_VERSION, body).await?;
            }
        }
    }
    Ok(())
}
