//! The store that the tests run on, and what a test reads in it.
//!
//! A test names each history by a path, on either store. On PostgreSQL, each path has a database of its own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use rusqlite::types::ValueRef;

use super::postgres;

/// A row of a query. None is NULL.
pub(crate) type Row = Vec<Option<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TestStore {
    Sqlite,
    Postgres,
    Citus,
}

static STORE: LazyLock<TestStore> =
    LazyLock::new(|| match std::env::var("ANNALS_TEST_STORE").as_deref() {
        Ok("sqlite" | "") | Err(_) => TestStore::Sqlite,
        Ok("postgres") => TestStore::Postgres,
        Ok("citus") => TestStore::Citus,
        Ok(other) => panic!("ANNALS_TEST_STORE is {other}; it must be sqlite, postgres or citus"),
    });

/// Returns whether the tests run on PostgreSQL, with Citus or without.
pub(crate) fn is_postgres() -> bool {
    *STORE != TestStore::Sqlite
}

/// Returns whether the tests run on Citus.
pub(crate) fn is_citus() -> bool {
    *STORE == TestStore::Citus
}

/// Returns what `--db` names the history of a path by: the path itself, or the address of its database, which is made if
/// there is none.
pub(crate) fn db_argument(path: &Path) -> OsString {
    match is_postgres() {
        true => postgres::address_of(path).into(),
        false => path.into(),
    }
}

/// A command that is given a history.
pub(crate) trait WithDb {
    /// Adds `--db` with the history of a path.
    fn db(&mut self, path: impl AsRef<Path>) -> &mut Self;
}

impl WithDb for Command {
    fn db(&mut self, path: impl AsRef<Path>) -> &mut Command {
        self.arg("--db").arg(db_argument(path.as_ref()))
    }
}

/// Returns the rows that a query gives. The query must mean the same to both engines: `"user"` is quoted, and a truth
/// value is no number. Errors if the store cannot answer.
pub(crate) fn try_rows(db: &Path, sql: &str) -> Result<Vec<Row>, String> {
    match is_postgres() {
        true => postgres::rows(&postgres::address_of(db), sql),
        false => sqlite_rows(db, sql).map_err(|error| error.to_string()),
    }
}

/// Returns the rows that a query gives in the history that `--db` names so. Errors if the store cannot answer.
pub(crate) fn rows_at(history: &str, sql: &str) -> Result<Vec<Row>, String> {
    match history.starts_with("postgres://") {
        true => postgres::rows(history, sql),
        false => sqlite_rows(Path::new(history), sql).map_err(|error| error.to_string()),
    }
}

/// Returns the rows that a query gives. Panics where [`try_rows`] errors.
pub(crate) fn rows(db: &Path, sql: &str) -> Vec<Row> {
    try_rows(db, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Returns the first column of the rows that a query gives. Panics if one is NULL.
pub(crate) fn texts(db: &Path, sql: &str) -> Vec<String> {
    rows(db, sql).into_iter().map(|mut row| row.swap_remove(0).unwrap()).collect()
}

/// Returns the number that a query of one row and column gives, or 1 for true and 0 for false.
pub(crate) fn number(db: &Path, sql: &str) -> i64 {
    let rows = rows(db, sql);
    let [row] = &rows[..] else { panic!("{sql} gives {} rows", rows.len()) };
    match row[0].as_deref() {
        Some("t") => 1,
        Some("f") => 0,
        value => value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{sql} gives {value:?}")),
    }
}

/// Runs statements that change the history without annals.
pub(crate) fn execute(db: &Path, sql: &str) {
    if is_postgres() {
        postgres::rows(&postgres::address_of(db), sql).unwrap();
    } else {
        rusqlite::Connection::open(db).unwrap().execute_batch(sql).unwrap();
    }
}

/// Runs a statement that changes, without annals, the history that `--db` names so.
pub(crate) fn execute_at(history: &str, sql: &str) {
    if history.starts_with("postgres://") {
        postgres::rows(history, sql).unwrap();
    } else {
        let sqlite = rusqlite::Connection::open(history).unwrap();
        sqlite.execute_batch(&format!("PRAGMA foreign_keys = ON; {sql}")).unwrap();
    }
}

/// Returns all columns of the queries of a condition, but for what depends on the order of arrival.
pub(crate) fn query_rows(db: &Path, condition: &str) -> Vec<Row> {
    let columns = match is_postgres() {
        true => "to_jsonb(query) - 'id' - 'revision'",
        false => "*",
    };
    let sql = format!("SELECT {columns} FROM query WHERE {condition} ORDER BY query_id");
    let mut rows = rows(db, &sql);
    if !is_postgres() {
        rows.iter_mut().for_each(|row| drop(row.remove(0)));
    }
    rows
}

/// Returns the profiles as a table with the columns `query_id`, `text_bytes` and `body`, for use after FROM.
pub(crate) fn profiles() -> &'static str {
    match is_postgres() {
        true => "profile",
        false => "(SELECT query_id, text_bytes, body FROM profile JOIN query ON query.id = query)",
    }
}

/// Returns what each write changes: the bytes of the file, or the queries and accounts with the transactions that wrote them.
pub(crate) fn stored(db: &Path) -> Vec<u8> {
    if !is_postgres() {
        return std::fs::read(db).unwrap();
    }
    let tables = ["query", "account"];
    let rows = tables.map(|table| rows(db, &format!("SELECT xmin, * FROM {table} ORDER BY 2")));
    format!("{rows:?}").into_bytes()
}

/// Asserts that `annals check` finds no damage. PostgreSQL looks after its own files.
pub(crate) fn assert_sound(db: &Path) {
    if !is_postgres() {
        let checked = super::annals().arg("check").db(db).output().unwrap();
        assert!(checked.status.success(), "{}", super::stdout(&checked));
    }
}

fn sqlite_rows(db: &Path, sql: &str) -> rusqlite::Result<Vec<Row>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let sqlite = rusqlite::Connection::open_with_flags(db, flags)?;
    let mut statement = sqlite.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map((), |row| {
        (0..columns).map(|column| Ok(printed(row.get_ref(column)?))).collect()
    })?;
    rows.collect()
}

fn printed(value: ValueRef) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}
