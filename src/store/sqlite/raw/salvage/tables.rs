//! Which table a row of a damaged file belongs to, by the page's root or by the row's shape.

use std::collections::HashMap;

use rusqlite::Connection;

use super::cells::{Row, Value};

/// A table of today's schema.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Whether the rows are in a tree of an index: the table has no row numbers.
    pub(super) is_without_rowid: bool,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    kind: ColumnKind,
    /// Null is no value of the column, and there is no default.
    is_required: bool,
    /// Null is no value of the column; what to store instead of a lost value.
    default: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    /// Another name of the row's number, which SQLite stores as null.
    RowNumber,
    Integer,
    Text,
    Blob,
}

/// Tables that are made of others.
const DERIVED: [&str; 7] = [
    "hour_summary", "merged_part", "plan", "unread_plan", "search_segment", "search_page",
    "statement",
];

/// Returns the tables whose rows are saved, from an empty database of today.
pub(super) fn tables(sqlite: &Connection) -> Result<Vec<Table>, rusqlite::Error> {
    let mut listed = sqlite.prepare(
        "SELECT name, wr FROM pragma_table_list
         WHERE type = 'table' AND schema = 'main' AND strict ORDER BY name",
    )?;
    let names = listed.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut tables = Vec::new();
    for named in names {
        let (name, is_without_rowid): (String, bool) = named?;
        if !DERIVED.contains(&name.as_str()) {
            let columns = columns(sqlite, &name, is_without_rowid)?;
            tables.push(Table { name, columns, is_without_rowid });
        }
    }
    Ok(tables)
}

fn columns(
    sqlite: &Connection,
    table: &str,
    is_without_rowid: bool,
) -> Result<Vec<Column>, rusqlite::Error> {
    // Generated columns are not stored.
    let mut columns = sqlite.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?)
         WHERE hidden = 0 ORDER BY cid",
    )?;
    let columns = columns.query_map([table], |row| {
        let (kind, is_key): (String, bool) = (row.get(1)?, row.get(4)?);
        let is_not_null: bool = row.get(2)?;
        let default: Option<String> = row.get(3)?;
        Ok(Column {
            name: row.get(0)?,
            kind: match kind.as_str() {
                "INTEGER" if is_key && !is_without_rowid => ColumnKind::RowNumber,
                "INTEGER" => ColumnKind::Integer,
                "BLOB" => ColumnKind::Blob,
                _ => ColumnKind::Text,
            },
            is_required: is_not_null && default.is_none(),
            default: is_not_null.then_some(default).flatten(),
        })
    })?;
    columns.collect()
}

impl Table {
    /// Returns whether a row may be one of this table. A row of an older annals lacks the last columns.
    pub(super) fn takes(&self, row: &Row) -> bool {
        let is_kind_right = row.rowid.is_none() == self.is_without_rowid;
        let missing = self.columns.get(row.values.len()..);
        let is_length_right =
            missing.is_some_and(|missing| missing.iter().all(|it| !it.is_required));
        let values = || self.columns.iter().zip(&row.values);
        is_kind_right
            && is_length_right
            && values().all(|(column, value)| match value {
                // A lost value is null, too. Without the first columns, nobody knows the row.
                Value::Null => {
                    column.kind == ColumnKind::RowNumber || !column.is_required || row.is_cut
                }
                Value::Integer(_) => column.kind == ColumnKind::Integer,
                Value::Text(_) => column.kind == ColumnKind::Text,
                Value::Blob(_) => column.kind == ColumnKind::Blob,
                Value::Real(_) => false,
            })
    }

    /// Returns whether a row has each value that its table needs. A profile without its body is none.
    pub(super) fn is_useful(&self, row: &Row) -> bool {
        // Whether a query was slow is needed, but nobody would give up the query for it.
        let needed = |(column, value): &(&Column, &Value)| {
            column.is_required && **value == Value::Null && column.name != "is_slow"
        };
        !self.columns.iter().zip(&row.values).any(|pair| needed(&pair))
    }

    /// Returns the value to store for one that is lost.
    pub(super) fn or_default<'a>(&'a self, at: usize, row: &'a Row) -> Value {
        let (column, value) = (&self.columns[at], &row.values[at]);
        match (column.kind, value) {
            (ColumnKind::RowNumber, _) => row.rowid.map_or(Value::Null, Value::Integer),
            (ColumnKind::Integer, Value::Null) if column.is_required => Value::Integer(0),
            (_, Value::Null) => {
                let default = column.default.as_deref().and_then(|text| text.parse().ok());
                default.map_or(Value::Null, Value::Integer)
            }
            (_, value) => value.clone(),
        }
    }
}

/// The names of the trees of a file, by their roots.
#[derive(Debug, Default)]
pub(super) struct Roots(HashMap<u32, String>);

impl Roots {
    /// Takes a row of the schema's own table. Returns false for any other row.
    pub(super) fn add(&mut self, row: &Row) -> bool {
        let [
            Value::Text(kind),
            Value::Text(name),
            Value::Text(_),
            Value::Integer(root),
            Value::Text(_) | Value::Null,
        ] = row.values.as_slice()
        else {
            return false;
        };
        let is_known = ["table", "index", "view", "trigger"].contains(&kind.as_str());
        if let (true, Ok(root @ 1..)) = (is_known, u32::try_from(*root)) {
            self.0.insert(root, name.clone());
        }
        is_known
    }

    pub(super) fn name(&self, root: u32) -> Option<&str> {
        if root == 1 { Some("sqlite_schema") } else { self.0.get(&root).map(String::as_str) }
    }
}
