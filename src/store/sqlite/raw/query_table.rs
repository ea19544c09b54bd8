//! The tables `query` and `load`: a record as a row, and a row as a record.
//!
//! The columns are the fields of the tables in `domain/record/fields.rs`, by the same names. A test compares them with
//! the schema.

use std::sync::LazyLock;

use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Row, ToSql, params_from_iter};
use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::damaged::{is_wrong_value, lossy_values};
use super::insert::insert_rows;
use super::{lock, with_raw};
use crate::domain::record::{Field, FieldValue, Load, QueryId, QueryRecord, StoredQuery, Zoned};
use crate::domain::statement::Fingerprint;
use crate::store::contents::Unread;
use crate::store::error::StoreError;

/// Selects what [`read_query`] reads, up to the conditions. `?1` is the most characters of a statement: cutting counts
/// them, so a statement of no more bytes is taken as it is.
pub(super) static SELECT_QUERY: LazyLock<String> = LazyLock::new(|| select(true));

/// The same without what is in other tables, whose pages may be damaged: as if the query had no load and no profile.
pub(super) static SELECT_QUERY_ALONE: LazyLock<String> = LazyLock::new(|| select(false));

fn select(with_other_tables: bool) -> String {
    let field = |name| match name {
        "statement" => "iif(octet_length(statement) <= ?1, statement, substr(statement, 1, ?1))",
        name => name,
    };
    let fields: Vec<&str> = names(&QueryRecord::FIELDS).map(field).collect();
    let fields = fields.join(", ");
    if !with_other_tables {
        return format!(
            "SELECT id, fingerprint, 0, extra, time_source, {fields}, NULL FROM query "
        );
    }
    let of_load: Vec<&str> = names(&Load::FIELDS).collect();
    format!(
        "SELECT id, fingerprint,
             EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id),
             extra, time_source, {fields}, load.query, {}
         FROM query LEFT JOIN load ON load.query = query.id ",
        of_load.join(", ")
    )
}

/// The columns of [`SELECT_QUERY`] before those of the fields.
const BEFORE_FIELDS: usize = 5;

/// Takes the values of [`query_values`].
static INSERT_QUERY: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<&str> = names(&QueryRecord::FIELDS).collect();
    format!(
        "INSERT INTO query ({}, extra, fingerprint, time_source) VALUES ({}) ON CONFLICT (query_id) DO NOTHING",
        fields.join(", "),
        ["?"; QUERY_VALUES].join(", ")
    )
});

/// Takes the values of [`query_values`]; the first is the id, by which the row is found.
static UPDATE_QUERY: LazyLock<String> = LazyLock::new(|| {
    let changed =
        names(&QueryRecord::FIELDS).skip(1).chain(["extra", "fingerprint", "time_source"]);
    format!("UPDATE query SET {} WHERE query_id = ?1", assignments(changed))
});

/// Takes the values of [`load_values`].
static WRITE_LOAD: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<&str> = names(&Load::FIELDS).collect();
    format!(
        "INSERT INTO load (query, {}) VALUES ({}) ON CONFLICT (query) DO UPDATE SET {}",
        fields.join(", "),
        ["?"; LOAD_VALUES].join(", "),
        assignments(fields.iter().copied())
    )
});

fn names(fields: &[Field]) -> impl Iterator<Item = &'static str> {
    fields.iter().map(|field| field.name)
}

/// Returns `name = ?2, ...`: the first value is the key of the row.
fn assignments(names: impl Iterator<Item = &'static str>) -> String {
    let assigned: Vec<String> =
        names.zip(2..).map(|(name, number)| format!("{name} = ?{number}")).collect();
    assigned.join(", ")
}

/// The fields, `extra`, the fingerprint, and what is known of the zone of the times.
const QUERY_VALUES: usize = QueryRecord::FIELDS.len() + 3;
/// The row of the query, and the fields.
const LOAD_VALUES: usize = Load::FIELDS.len() + 1;

fn sql_value(value: FieldValue<'_>) -> ValueRef<'_> {
    match value {
        FieldValue::Unknown => ValueRef::Null,
        FieldValue::Text(text) | FieldValue::Json(text) => ValueRef::Text(text.as_bytes()),
        FieldValue::Number(number) => ValueRef::Integer(number),
        FieldValue::Truth(truth) => ValueRef::Integer(truth.into()),
    }
}

fn field_value(value: ValueRef<'_>) -> Result<FieldValue<'_>, FromSqlError> {
    match value {
        ValueRef::Text(_) => value.as_str().map(FieldValue::Text),
        ValueRef::Integer(number) => Ok(FieldValue::Number(number)),
        // The columns of a STRICT table have no other types.
        _ => Ok(FieldValue::Unknown),
    }
}

fn query_values<'a>(
    record: &'a QueryRecord,
    extra: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
) -> [ValueRef<'a>; QUERY_VALUES] {
    let extra = extra.map_or(ValueRef::Null, ValueRef::from);
    let fingerprint = fingerprint.map(Fingerprint::to_signed);
    let fingerprint = fingerprint.map_or(ValueRef::Null, ValueRef::Integer);
    let time_source = record.zoned.number().map_or(ValueRef::Null, ValueRef::Integer);
    let last = [extra, fingerprint, time_source];
    let mut values = record.values().into_iter().map(sql_value).chain(last);
    std::array::from_fn(|_| values.next().unwrap_or(ValueRef::Null))
}

fn load_values(row: i64, load: &Load) -> [ValueRef<'_>; LOAD_VALUES] {
    let mut values =
        [ValueRef::Integer(row)].into_iter().chain(load.values().into_iter().map(sql_value));
    std::array::from_fn(|_| values.next().unwrap_or(ValueRef::Null))
}

/// Returns the keys without a field as a JSON object.
fn extra_json(record: &QueryRecord) -> Option<String> {
    (!record.extra.is_empty()).then(|| serde_json::json!(record.extra).to_string())
}

/// Reads a row of [`SELECT_QUERY`] or [`SELECT_QUERY_ALONE`]. Bytes that are no text become U+FFFD, and are counted.
pub(super) fn read_query(
    row: &Row<'_>,
    unread: &mut Unread,
) -> Result<StoredQuery, rusqlite::Error> {
    match query_of(|at| row.get_ref(at)) {
        Err(error) if is_wrong_value(&error) => {
            let values = lossy_values(row)?;
            let query = query_of(|at| Ok(values.get(at).map_or(ValueRef::Null, ValueRef::from)))?;
            unread.texts += 1;
            Ok(query)
        }
        read => read,
    }
}

/// Reads a row of the fields of [`Load`].
pub(super) fn read_load(row: &Row<'_>) -> Result<Load, rusqlite::Error> {
    let values = lossy_values(row)?;
    let mut values = values.iter();
    let next = || Ok(field_value(values.next().map_or(ValueRef::Null, ValueRef::from))?);
    Load::of_values(next)
}

/// Returns the statement for the load of a row.
pub(super) fn select_load() -> String {
    let fields: Vec<&str> = names(&Load::FIELDS).collect();
    format!("SELECT {} FROM load WHERE query = ?", fields.join(", "))
}

fn query_of<'v>(
    value: impl Fn(usize) -> Result<ValueRef<'v>, rusqlite::Error>,
) -> Result<StoredQuery, rusqlite::Error> {
    let mut column = BEFORE_FIELDS;
    let mut next = || {
        let value = field_value(value(column)?)?;
        column += 1;
        Ok::<_, rusqlite::Error>(value)
    };
    let mut record = QueryRecord::of_values(&mut next)?;
    if next()? != FieldValue::Unknown {
        record.load = Some(Box::new(Load::of_values(next)?));
    }
    let extra = value(3)?.as_str_or_null()?;
    // Whatever else somebody wrote into the column counts as nothing.
    record.extra = extra.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    record.zoned = Zoned::of_number(value(4)?.as_i64_or_null()?);
    Ok(StoredQuery {
        id: value(0)?.as_i64()?,
        record,
        fingerprint: value(1)?.as_i64_or_null()?.map(Fingerprint::from_signed),
        has_profile: value(2)?.as_i64()? != 0,
    })
}

/// Returns the stored queries of some ids, in no order.
pub(in crate::store::sqlite) async fn stored_queries(
    connection: &mut SqliteConnection,
    ids: &[QueryId],
) -> Result<Vec<StoredQuery>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = ids.iter().map(QueryId::as_str).collect();
    let ids = serde_json::json!(ids).to_string();
    let conditions = "WHERE query_id IN (SELECT value FROM json_each(?2))";
    select_queries(connection, &SELECT_QUERY, conditions, &[&i64::MAX, &ids])
        .await
        .map(|read| read.0)
}

/// Returns the queries after a row, in the order of their arrival. `select` is one of the statements above.
pub(super) async fn select_after(
    connection: &mut SqliteConnection,
    select: &str,
    row: i64,
    limit: i64,
) -> Result<(Vec<StoredQuery>, Unread), StoreError> {
    // A search for rows after the last row of a page begins in that page, which may be damaged.
    let conditions = "WHERE id >= ?2 ORDER BY id LIMIT ?3";
    select_queries(connection, select, conditions, &[&i64::MAX, &row.saturating_add(1), &limit])
        .await
}

async fn select_queries(
    connection: &mut SqliteConnection,
    select: &str,
    conditions: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<(Vec<StoredQuery>, Unread), StoreError> {
    let sql = format!("{select}{conditions}");
    let mut handle = lock(connection).await?;
    // There may be a thousand rows: the runtime moves other tasks off this thread.
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let mut statement = sqlite.prepare(&sql)?;
            let mut unread = Unread::default();
            let read = |row: &Row<'_>| read_query(row, &mut unread);
            let queries = statement.query_map(params_from_iter(values), read)?;
            let queries = queries.collect::<Result<Vec<_>, rusqlite::Error>>()?;
            Ok((queries, unread))
        })
    })
}

/// Inserts the rows of queries; returns each new row's id, or none for a query whose id has a row.
pub(in crate::store::sqlite) async fn insert_queries(
    transaction: &mut SqliteTransaction<'_>,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<Vec<Option<i64>>, StoreError> {
    run_for_queries(transaction, &INSERT_QUERY, queries).await
}

/// Writes the rows of queries anew, each found by its id.
pub(in crate::store::sqlite) async fn update_queries(
    transaction: &mut SqliteTransaction<'_>,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<(), StoreError> {
    run_for_queries(transaction, &UPDATE_QUERY, queries).await.map(|_| ())
}

async fn run_for_queries(
    transaction: &mut SqliteTransaction<'_>,
    sql: &str,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<Vec<Option<i64>>, StoreError> {
    let extras: Vec<_> = queries.iter().map(|(record, _)| extra_json(record)).collect();
    let rows = queries
        .iter()
        .zip(&extras)
        .map(|((record, fingerprint), extra)| query_values(record, extra.as_deref(), *fingerprint));
    insert_rows(transaction, sql, rows).await
}

/// Writes what only loads have, each to the row of its query, in place of what was there.
pub(in crate::store::sqlite) async fn write_loads(
    transaction: &mut SqliteTransaction<'_>,
    loads: &[(i64, &Load)],
) -> Result<(), StoreError> {
    if loads.is_empty() {
        return Ok(());
    }
    let rows = loads.iter().map(|(row, load)| load_values(*row, load));
    insert_rows(transaction, &WRITE_LOAD, rows).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::*;
    use crate::store::SqliteStore as Store;

    /// Columns of `query` that are not fields: what the store adds, and what SQLite makes of other columns.
    const ADDED: [&str; 5] = ["id", "extra", "fingerprint", "is_failed", "time_source"];

    async fn schema() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        let sqlite = Connection::open(store.path()).unwrap();
        (folder, sqlite)
    }

    fn columns(sqlite: &Connection, table: &str) -> BTreeSet<(String, String)> {
        let sql = "SELECT name, type FROM pragma_table_xinfo(?)";
        let mut columns = sqlite.prepare(sql).unwrap();
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        columns.query_map([table], read).unwrap().map(Result::unwrap).collect()
    }

    fn fields(fields: &[Field]) -> BTreeSet<(String, String)> {
        let column_type = |field: &Field| match serde_json::to_value(field.schema()).unwrap() {
            schema if schema["type"].to_string().contains("string") => "TEXT",
            schema if schema["type"].to_string().contains("object") => "TEXT",
            _ => "INTEGER",
        };
        fields.iter().map(|field| (field.name.into(), column_type(field).into())).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_field_is_a_column_and_each_column_a_field() {
        let (_folder, sqlite) = schema().await;
        let mut of_query = columns(&sqlite, "query");
        of_query.retain(|(name, _)| !ADDED.contains(&name.as_str()));
        assert_eq!(of_query, fields(&QueryRecord::FIELDS));
        let mut of_load = columns(&sqlite, "load");
        assert!(of_load.remove(&("query".to_string(), "INTEGER".to_string())));
        assert_eq!(of_load, fields(&Load::FIELDS));
        // A view that reports read lacks no field. `origin` is of no use to them.
        let view = columns(&sqlite, "query_history");
        let is_shown = |field: &&Field| view.iter().any(|(name, _)| name == field.name);
        let hidden: Vec<&str> =
            QueryRecord::FIELDS.iter().filter(|field| !is_shown(field)).map(|it| it.name).collect();
        assert_eq!(hidden, ["origin"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite_knows_the_statements() {
        let (_folder, sqlite) = schema().await;
        for (sql, parameters) in [
            (SELECT_QUERY.as_str(), 1),
            (SELECT_QUERY_ALONE.as_str(), 1),
            (INSERT_QUERY.as_str(), QUERY_VALUES),
            (UPDATE_QUERY.as_str(), QUERY_VALUES),
            (WRITE_LOAD.as_str(), LOAD_VALUES),
        ] {
            assert_eq!(sqlite.prepare(sql).unwrap().parameter_count(), parameters, "{sql}");
        }
    }
}
