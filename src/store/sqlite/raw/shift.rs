//! Moving times. The statements have the conditions of a filter, which no macro knows.

use rusqlite::Connection;
use rusqlite::types::Value;
use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::conditions::Conditions;
use super::{lock, with_raw};
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;
use crate::store::shift::{Shift, Shifted, ZoneGroup};

/// Returns the table with the column of its times.
fn table(what: Shifted) -> (&'static str, &'static str) {
    match what {
        Shifted::Queries => ("query", "started_ms"),
        Shifted::Logins => ("login", "at_ms"),
    }
}

/// Adds the conditions of a filter on the rows of a table.
fn and_filter(conditions: Conditions, what: Shifted, filter: &QueryFilter) -> Conditions {
    let (first_ms, last_ms) = filter.starts();
    let (_, time) = table(what);
    let conditions = conditions
        .and(&format!("{time} >= ?"), first_ms)
        .and(&format!("{time} <= ?"), last_ms)
        .and_plain("time_source IS NOT 0");
    conditions.and_filter(&what.filter(filter), None)
}

/// Returns the rows of a filter whose times depend on a zone, or may, by their row of `time_source`. Reads all rows.
pub(in crate::store::sqlite) async fn zone_groups(
    connection: &mut SqliteConnection,
    what: Shifted,
    filter: &QueryFilter,
) -> Result<Vec<ZoneGroup>, StoreError> {
    let (table, time) = table(what);
    let conditions = and_filter(Conditions::new(Vec::new()), what, filter);
    let sql = format!(
        "SELECT time_source, count(*), min({time}), max({time}), min(id), max(id) FROM {table}
         WHERE {} GROUP BY time_source ORDER BY time_source",
        conditions.sql()
    );
    let mut handle = lock(connection).await?;
    let read = |sqlite: &Connection| {
        let mut statement = sqlite.prepare(&sql)?;
        conditions.bind(&mut statement)?;
        let mut rows = statement.raw_query();
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            groups.push(ZoneGroup {
                what,
                time_source: row.get(0)?,
                count: row.get(1)?,
                first_ms: row.get(2)?,
                last_ms: row.get(3)?,
                first_row: row.get(4)?,
                last_row: row.get(5)?,
            });
        }
        Ok(groups)
    };
    tokio::task::block_in_place(|| with_raw(&mut handle, read))
}

/// Moves times. Returns how many rows changed, and the new starts of queries.
pub(in crate::store::sqlite) async fn shift_rows(
    transaction: &mut SqliteTransaction<'_>,
    shift: &Shift,
    to: Option<i64>,
) -> Result<(u64, Vec<i64>), StoreError> {
    let (table, time) = table(shift.what);
    let own = [to, Some(shift.by_ms), Some(shift.rows.0), Some(shift.rows.1), shift.from];
    let own = own.map(|value| value.map_or(Value::Null, Value::Integer));
    let conditions = Conditions::new(own.to_vec())
        .and_plain("id BETWEEN ?3 AND ?4")
        .and_plain("time_source IS ?5");
    let conditions = and_filter(conditions, shift.what, &shift.filter);
    let end = match shift.what {
        Shifted::Queries => "ended_ms = ended_ms + ?2, ",
        Shifted::Logins => "",
    };
    let sql = format!(
        "UPDATE {table} SET {time} = {time} + ?2, {end}time_source = ?1 WHERE {} RETURNING {time}",
        conditions.sql()
    );
    let mut handle = lock(transaction).await?;
    let run = |sqlite: &Connection| {
        let mut statement = sqlite.prepare(&sql)?;
        conditions.bind(&mut statement)?;
        let mut rows = statement.raw_query();
        let mut starts = Vec::new();
        while let Some(row) = rows.next()? {
            starts.push(row.get(0)?);
        }
        Ok(starts)
    };
    let starts: Vec<i64> = tokio::task::block_in_place(|| with_raw(&mut handle, run))?;
    let changed = starts.len() as u64;
    Ok((changed, if shift.what == Shifted::Queries { starts } else { Vec::new() }))
}
