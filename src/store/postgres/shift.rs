//! Which zones times were read in, and moving times.

use annals_postgres_statements as statements;
use sqlx::{PgConnection, Row};

use super::Store;
use super::conditions::Conditions;
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;
use crate::store::shift::{Shift, Shifted, TimeSource, ZoneGroup};

pub(super) fn of_row(row: statements::TimeSource) -> TimeSource {
    let statements::TimeSource { id, source, time_zone, shifted_ms, used_ms } = row;
    TimeSource { id, source, time_zone, shifted_ms, used_ms }
}

/// Returns the table with the column of its times.
fn table(what: Shifted) -> (&'static str, &'static str) {
    match what {
        Shifted::Queries => ("query", "started_ms"),
        Shifted::Logins => ("login AS query", "at_ms"),
    }
}

/// Adds the conditions of a filter on the rows of a table.
fn and_filter(conditions: &mut Conditions, what: Shifted, filter: &QueryFilter) {
    let (first_ms, last_ms) = filter.starts();
    let (_, time) = table(what);
    conditions.and(&format!("query.{time} BETWEEN "), first_ms).push(" AND ").push_bind(last_ms);
    conditions.and_plain("query.time_source IS DISTINCT FROM 0");
    conditions.and_filter(&what.filter(filter), None);
}

impl Store {
    /// Returns every source with each zone in which it was read.
    pub(in crate::store) async fn time_sources(&self) -> Result<Vec<TimeSource>, StoreError> {
        let rows = statements::time_sources(&self.cluster.primary()).await?;
        Ok(rows.into_iter().map(of_row).collect())
    }

    /// Returns the rows of a filter whose times depend on a zone, or may, by their row of `time_source`. Reads all rows.
    pub(in crate::store) async fn zone_groups(
        &self,
        what: Shifted,
        filter: &QueryFilter,
    ) -> Result<Vec<ZoneGroup>, StoreError> {
        let (table, time) = table(what);
        let mut conditions = Conditions::new(&format!(
            "SELECT query.time_source, count(*), min(query.{time}), max(query.{time}), min(query.id), max(query.id)
             FROM {table}"
        ));
        and_filter(&mut conditions, what, filter);
        conditions.end().push(" GROUP BY query.time_source ORDER BY query.time_source");
        let rows = conditions.end().build().fetch_all(&self.cluster.primary()).await?;
        let groups = rows.iter().map(|row| {
            Ok(ZoneGroup {
                what,
                time_source: row.try_get(0)?,
                count: row.try_get(1)?,
                first_ms: row.try_get(2)?,
                last_ms: row.try_get(3)?,
                first_row: row.try_get(4)?,
                last_row: row.try_get(5)?,
            })
        });
        groups.collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
    }
}

/// Moves times. Returns the new times of the rows that changed.
pub(super) async fn shift_rows(
    connection: &mut PgConnection,
    shift: &Shift,
    to: Option<i64>,
) -> Result<Vec<i64>, StoreError> {
    let (table, time) = table(shift.what);
    let by_ms = shift.by_ms;
    // Numbers in the text: a parameter would need a type, and the text is the same for all steps of a shift.
    let number = |number: Option<i64>| number.map_or("NULL".to_string(), |it| it.to_string());
    let to = number(to);
    let also = match shift.what {
        // Whoever reads the row before it changes and writes it after reads it again.
        Shifted::Queries => {
            format!(", ended_ms = query.ended_ms + ({by_ms}), revision = query.revision + 1")
        }
        Shifted::Logins => String::new(),
    };
    let mut conditions = Conditions::new(&format!(
        "UPDATE {table} SET {time} = query.{time} + ({by_ms}), time_source = {to}{also}"
    ));
    conditions.and_plain(&format!("query.time_source IS NOT DISTINCT FROM {}", number(shift.from)));
    conditions.and("query.id BETWEEN ", shift.rows.0).push(" AND ").push_bind(shift.rows.1);
    and_filter(&mut conditions, shift.what, &shift.filter);
    conditions.end().push(format!(" RETURNING query.{time}"));
    Ok(conditions.end().build_query_scalar().fetch_all(connection).await?)
}
