//! Reading around damaged pages. Sound files are read by other statements; these run after one of them has failed.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use sqlx::sqlite::SqliteConnection;

use super::query_table::{SELECT_QUERY, SELECT_QUERY_ALONE, read_load, select_after, select_load};
use super::{lock, with_raw};
use crate::domain::record::{Kind, StoredQuery};
use crate::store::contents::{Finding, Unread};
use crate::store::error::StoreError;

/// Returns whether SQLite read a value that its column cannot have.
pub(super) fn is_wrong_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | InvalidColumnType(..) | Utf8Error(..))
}

/// Returns the values of a row, with U+FFFD for bytes that are no text.
pub(super) fn lossy_values(row: &Row<'_>) -> Result<Vec<Value>, rusqlite::Error> {
    let columns = row.as_ref().column_count();
    let value = |at| {
        Ok(match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    };
    (0..columns).map(value).collect()
}

/// Returns None in place of an error that says that the file is damaged.
fn unless_damaged<T>(read: Result<T, rusqlite::Error>) -> Result<Option<T>, rusqlite::Error> {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_wrong_value(&error) => Ok(None),
        Err(error) => match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Adds what other tables have of queries, each by itself. Counts what is damaged there.
pub(super) fn read_other_tables(
    sqlite: &Connection,
    queries: &mut [StoredQuery],
    unread: &mut Unread,
) -> Result<(), rusqlite::Error> {
    for query in queries {
        let profile = "SELECT EXISTS (SELECT 1 FROM profile WHERE query = ?)";
        let profile = sqlite
            .prepare_cached(profile)
            .and_then(|mut statement| statement.query_row([query.id], |row| row.get::<_, bool>(0)));
        match unless_damaged(profile)? {
            Some(has_profile) => query.has_profile = has_profile,
            None => unread.profiles += 1,
        }
        let load = sqlite
            .prepare_cached(&select_load())
            .and_then(|mut statement| statement.query_row([query.id], read_load).optional());
        match unless_damaged(load)? {
            Some(load) => query.record.load = load.map(Box::new),
            None if query.kind == Kind::Load => unread.loads += 1,
            None => {}
        }
    }
    Ok(())
}

/// Returns the queries after a row, in the order of their arrival.
pub(in crate::store::sqlite) async fn queries_after(
    connection: &mut SqliteConnection,
    row: i64,
    limit: i64,
) -> Result<(Vec<StoredQuery>, Unread), StoreError> {
    select_after(connection, &SELECT_QUERY, row, limit).await
}

/// The same, but a damaged page of another table costs only what is in that page.
pub(in crate::store::sqlite) async fn queries_alone_after(
    connection: &mut SqliteConnection,
    row: i64,
    limit: i64,
) -> Result<(Vec<StoredQuery>, Unread), StoreError> {
    let (mut queries, mut unread) =
        select_after(connection, &SELECT_QUERY_ALONE, row, limit).await?;
    let mut handle = lock(connection).await?;
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| read_other_tables(sqlite, &mut queries, &mut unread))
    })?;
    Ok((queries, unread))
}

/// Returns whether the first query after a row can be read, or none is there.
pub(in crate::store::sqlite) async fn is_readable_after(
    connection: &mut SqliteConnection,
    row: i64,
) -> Result<bool, StoreError> {
    match select_after(connection, &SELECT_QUERY_ALONE, row, 1).await {
        Err(error) if error.is_damage() => Ok(false),
        read => read.map(|_| true),
    }
}

/// Reads every text of the tables of annals. Returns the columns with bytes that are no text, each with the number of
/// rows. Stops in a table where a page cannot be read, which SQLite's own check finds.
pub(in crate::store::sqlite) async fn wrong_texts(
    connection: &mut SqliteConnection,
) -> Result<Vec<Finding>, StoreError> {
    let mut handle = lock(connection).await?;
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let mut findings = Vec::new();
            for (table, columns) in text_columns(sqlite)? {
                let mut counts = vec![0; columns.len()];
                unless_damaged(count_wrong_texts(sqlite, &table, &columns, &mut counts))?;
                for (column, count) in columns.iter().zip(counts).filter(|(_, count)| *count > 0) {
                    let what = format!("text of {table}.{column} with bytes that are no UTF-8");
                    findings.push(Finding { what, count });
                }
            }
            Ok(findings)
        })
    })
}

/// Returns the text columns of each table of annals.
fn text_columns(sqlite: &Connection) -> Result<Vec<(String, Vec<String>)>, rusqlite::Error> {
    let mut tables = sqlite.prepare(
        "SELECT tables.name, columns.name
         FROM pragma_table_list AS tables, pragma_table_xinfo(tables.name) AS columns
         WHERE tables.schema = 'main' AND tables.type = 'table' AND tables.strict
             AND columns.type = 'TEXT' AND columns.hidden = 0
         ORDER BY tables.name, columns.cid",
    )?;
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut rows = tables.query(())?;
    while let Some(row) = rows.next()? {
        let (table, column): (String, String) = (row.get(0)?, row.get(1)?);
        match found.last_mut().filter(|(last, _)| *last == table) {
            Some((_, columns)) => columns.push(column),
            None => found.push((table, vec![column])),
        }
    }
    Ok(found)
}

fn count_wrong_texts(
    sqlite: &Connection,
    table: &str,
    columns: &[String],
    counts: &mut [i64],
) -> Result<(), rusqlite::Error> {
    let names: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let sql = format!("SELECT {} FROM \"{table}\" NOT INDEXED", names.join(", "));
    let mut texts = sqlite.prepare(&sql)?;
    let mut rows = texts.query(())?;
    while let Some(row) = rows.next()? {
        for (at, count) in counts.iter_mut().enumerate() {
            if let ValueRef::Text(bytes) = row.get_ref(at)?
                && std::str::from_utf8(bytes).is_err()
            {
                *count += 1;
            }
        }
    }
    Ok(())
}
