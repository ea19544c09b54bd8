//! The rows of a frontend's lists as records.
//!
//! Known from Doris' `QueryProfileController`, `QueryProfileAction`, `NodeAction`, `ProfileManager` and `SummaryProfile`
//! (0.15 to 4.x) and from `QueryDetail` of Doris and StarRocks:
//!
//! - Rows with names (`/rest/v1/query_profile`): `Profile ID`, `Task Type` … since 1.0; `Query ID`, `Query Type` …
//!   before.
//! - Rows of cells (`query_info`) under ten titles. The cells are in the order of the titles up to 1.2, and in the order
//!   of a profile's summary since: id, frontend, type, start, end, total, state, user, the catalog since 3.0, database,
//!   statement, and in some versions the plan, which mostly is null. So there are ten to twelve cells, and their content
//!   shows which is which.
//! - Objects of `query_detail`, with times in Unix milliseconds.

mod columns;
mod details;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::columns::{COLUMNS, Column, column_order, is_unknown};
use crate::domain::record::{Kind, Origin, QueryRecord, Zoned};
use crate::domain::time::{Zone, parse_duration_ms, read_time};
use crate::formats::record_builder::without_cluster;

/// Returns the records of a list, newest first, and how many rows were not understood, or None if `data` is no list.
/// Times are local to `zone`.
pub(crate) fn records(data: &Value, zone: Zone) -> Option<(Vec<QueryRecord>, usize)> {
    let details = data.as_array().or_else(|| data.get("query_details")?.as_array());
    if let Some(details) = details {
        return Some(details::records_of_details(details));
    }
    let rows = data.get("rows")?.as_array()?;
    let titles = ["columnNames", "column_names", "columns_names"];
    let titles = titles.iter().find_map(|key| data.get(*key)?.as_array());
    let titles: Vec<Option<Column>> =
        titles.into_iter().flatten().map(|title| Column::of_title(title.as_str()?)).collect();

    // The rows of a list all have one width. If ever they do not, each width has its own order.
    let mut tables: BTreeMap<usize, Vec<&[Value]>> = BTreeMap::new();
    for cells in rows.iter().filter_map(Value::as_array) {
        tables.entry(cells.len()).or_default().push(cells);
    }
    let orders: BTreeMap<usize, Vec<Option<Column>>> = tables
        .into_iter()
        .map(|(width, rows)| (width, column_order(&titles, width, &rows)))
        .collect();

    let mut records = Vec::with_capacity(rows.len());
    let mut not_understood = 0;
    for row in rows {
        let record = match row {
            Value::Object(row) => Row::of_names(row).into_record(zone),
            Value::Array(cells) => {
                let order = orders.get(&cells.len()).map_or(&[][..], Vec::as_slice);
                Row::of_cells(cells, order).into_record(zone)
            }
            _ => None,
        };
        match record {
            Some(record) => records.push(record),
            None => not_understood += 1,
        }
    }
    Some((records, not_understood))
}

/// The cells of a row, by column.
#[derive(Default)]
struct Row<'a>([Option<Cow<'a, str>>; COLUMNS]);

impl<'a> Row<'a> {
    fn of_names(names: &'a Map<String, Value>) -> Row<'a> {
        let mut row = Row::default();
        for (name, cell) in names {
            if let Some(column) = Column::of_title(name) {
                row.0[column as usize] = text_of_cell(cell);
            }
        }
        if row.0[Column::Id as usize].is_none() {
            row.0[Column::Id as usize] = linked_id(names).map(Cow::Borrowed);
        }
        row
    }

    fn of_cells(cells: &'a [Value], order: &[Option<Column>]) -> Row<'a> {
        let mut row = Row::default();
        for (cell, column) in cells.iter().zip(order) {
            if let Some(column) = column {
                row.0[*column as usize] = text_of_cell(cell);
            }
        }
        row
    }

    /// Returns the value of a column, or None if it is unknown.
    fn get(&self, column: Column) -> Option<&str> {
        let text = self.0[column as usize].as_deref()?.trim();
        let is_unknown = match column {
            Column::Statement => ["", "N/A"].contains(&text),
            _ => is_unknown(text),
        };
        (!is_unknown).then_some(text)
    }

    /// Returns the record of the row, or None if the row has no id, or neither a start nor a state.
    fn into_record(self, zone: Zone) -> Option<QueryRecord> {
        let text = |column| self.get(column).map(str::to_string);
        let query_id = self.get(Column::Id)?.parse().ok()?;
        let kind = self.get(Column::Type).map_or(Kind::Query, Kind::of_name);
        let mut record = QueryRecord::new(query_id, kind, Origin::Summary);
        let read = |column| self.get(column).and_then(|time| read_time(time, zone));
        let started = read(Column::Start);
        record.started_ms = started.map(|time| time.ms);
        record.state = text(Column::State);
        if record.started_ms.is_none() && record.state.is_none() {
            return None;
        }
        record.zoned = started.map_or(Zoned::Unknown, |time| Zoned::of_read(time.is_local));
        record.frontend = text(Column::Frontend);
        record.user = self.get(Column::User).and_then(known_name);
        record.catalog = text(Column::Catalog);
        record.db = self.get(Column::Db).and_then(known_name);
        record.statement = text(Column::Statement);
        // A running query's end and duration are not those with which it ends.
        if !record.is_running() {
            record.ended_ms = read(Column::End).map(|time| time.ms);
            record.duration_ms = self.get(Column::Total).and_then(parse_duration_ms);
        }
        Some(record)
    }
}

/// Returns a cell as text, or None if it is no text and no number.
fn text_of_cell(cell: &Value) -> Option<Cow<'_, str>> {
    match cell {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a user or a database without its cluster, or None if nothing is left.
fn known_name(text: &str) -> Option<String> {
    let name = without_cluster(text);
    (!name.is_empty()).then(|| name.to_string())
}

/// Returns the id in the link of a row: `/query_profile/ID`, or `/query_profile/query_id=ID`.
fn linked_id(row: &Map<String, Value>) -> Option<&str> {
    let link = row.get("__hrefPaths").or_else(|| row.get("__hrefPath"))?;
    let link = link.as_array().map_or(Some(link), |links| links.first())?.as_str()?;
    let (_, id) = link.rsplit_once('/')?;
    Some(id.rsplit_once("query_id=").map_or(id, |(_, id)| id))
}
