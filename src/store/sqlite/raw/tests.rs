use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::scan::{Indexed, ids_sql, range_sql};
use super::search::{ONE_ROW, RANGE, candidates_sql, count_sql, started_sql, unstarted_sql};
use super::{aggregate, insert, lock, ngram_index, plan, sorted, usage, with_raw};
use crate::domain::filter::{Choice, QueryFilter, QueryOrder};
use crate::domain::record::Kind;
use crate::domain::search::{CellSearch, Search};
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::store::{SqliteStore, StoreError};

/// sqlx's macros check the other statements at compile time.
#[tokio::test]
async fn the_schema_has_what_raw_statements_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("annals.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let mut statements = vec![insert::INSERT_NORMALIZED.to_string()];
    statements.extend([plan::WRITE_PLAN, plan::NOTE_UNREAD, plan::NOTE_READ].map(str::to_string));
    statements.extend(ngram_index::EACH.map(str::to_string));
    for indexed in Indexed::EACH {
        statements.extend([true, false].map(|has_times| ids_sql(indexed, has_times)));
        statements.extend([started_sql(indexed), unstarted_sql(indexed), count_sql(indexed)]);
        statements.extend([usage::end_sql(indexed), usage::long_ids_sql()]);
    }
    let sorted = QueryOrder::ALL.map(sorted::columns);
    let columns = ["", &*aggregate::GROUP_COLUMNS, usage::COLUMNS].into_iter();
    let columns: Vec<&str> = columns.chain(sorted.iter().map(String::as_str)).collect();
    for filter in filters() {
        for owner in [None, Some("alice")] {
            for columns in &columns {
                let range = |with_statement| range_sql(columns, with_statement, &filter, owner).0;
                statements.extend([true, false].map(range));
            }
            statements.extend([plan::FOUND, plan::PROFILED].map(|it| it.sql(&filter, owner).0));
            statements.extend([ONE_ROW, RANGE].map(|rows| candidates_sql(rows, &filter, owner).0));
        }
    }
    let sqlite = Connection::open(&path).unwrap();
    for statement in statements {
        sqlite.prepare(&statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
}

/// A filter without conditions, one with each, and one that searches everywhere.
fn filters() -> [QueryFilter; 3] {
    let some = || Choice {
        any_of: vec!["a".to_string(), "b".to_string()],
        none_of: vec!["c".to_string()],
        is_unknown: true,
    };
    let all = QueryFilter {
        user: some(),
        db: some(),
        state: some(),
        client: some(),
        frontend: some(),
        workload_group: some(),
        compute_group: some(),
        cluster: some(),
        table: some(),
        session_id: some(),
        no_statement: Choice { is_unknown: true, ..Choice::default() },
        is_failed: Some(true),
        has_profile: Some(false),
        kind: Some(Kind::Load),
        fingerprint: Some(Fingerprint::from_signed(1)),
        search: Some(Search::new(Some("x"), None).unwrap()),
        min_ms: Some(1),
        min_queue_ms: Some(1),
        cache_hit: Some(true),
        ..QueryFilter::default()
    };
    let anywhere = Some(CellSearch::new("x".to_string(), Zone::UTC).unwrap());
    let everywhere = QueryFilter { anywhere, ..all.clone() };
    [QueryFilter::default(), all, everywhere]
}

/// Reading a range of rows takes no index, whatever the filter names.
#[tokio::test]
async fn conditions_leave_the_rows_to_the_statement() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("annals.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let sqlite = Connection::open(&path).unwrap();
    for filter in filters() {
        for (sql, _) in [
            range_sql("", true, &filter, Some("alice")),
            candidates_sql(RANGE, &filter, Some("alice")),
            candidates_sql(ONE_ROW, &filter, None),
        ] {
            let mut plan = sqlite.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut steps = plan.raw_query();
            let first: String = steps.next().unwrap().unwrap().get(3).unwrap();
            assert!(first.starts_with("SEARCH query USING INTEGER PRIMARY KEY"), "{first}: {sql}");
        }
    }
}

/// What began before a range is found without looking at its rows, and so is the end of a range with too many.
#[tokio::test]
async fn what_is_read_for_usage_is_in_an_index() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("annals.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let sqlite = Connection::open(&path).unwrap();
    let ends = Indexed::EACH.map(usage::end_sql);
    for sql in ends.into_iter().chain([usage::long_ids_sql()]) {
        let mut plan = sqlite.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let (mut rows, mut steps) = (plan.raw_query(), Vec::<String>::new());
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get(3).unwrap());
        }
        assert!(steps[0].starts_with("SEARCH query USING COVERING INDEX "), "{steps:?}: {sql}");
        assert_eq!(steps.len(), 1, "{steps:?}");
    }
}

/// What finds labels goes through the loads from the newest on, and sorts nothing.
#[tokio::test]
async fn labels_are_found_in_the_order_of_the_table() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("annals.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let sqlite = Connection::open(&path).unwrap();
    let mut plan =
        sqlite.prepare(&format!("EXPLAIN QUERY PLAN {}", super::load::LABELLED)).unwrap();
    let (mut rows, mut steps) = (plan.raw_query(), Vec::<String>::new());
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    assert_eq!(steps[..2], ["SCAN load", "SEARCH query USING INTEGER PRIMARY KEY (rowid=?)"]);
    assert!(!steps.concat().contains("TEMP B-TREE FOR ORDER BY"), "{steps:?}");
}

/// A database with a table `t` of one row.
fn database(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("a.db");
    let sqlite = Connection::open(&path).unwrap();
    sqlite.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    path
}

/// Runs statements through both drivers; returns the error of each.
async fn errors(path: &Path, read_only: bool, statements: &[&str]) -> [StoreError; 2] {
    let options = SqliteConnectOptions::new().filename(path).read_only(read_only);
    let mut connection = options.busy_timeout(Duration::ZERO).connect().await.unwrap();
    let mut of_sqlx = None;
    for statement in statements {
        let run = sqlx::query(AssertSqlSafe(*statement)).fetch_all(&mut connection).await;
        of_sqlx = run.err().map(StoreError::from);
    }
    drop(connection);
    let write = if read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::default() };
    let sqlite = Connection::open_with_flags(path, write).unwrap();
    sqlite.busy_timeout(Duration::ZERO).unwrap();
    let mut of_rusqlite = None;
    for statement in statements {
        of_rusqlite = sqlite.execute_batch(statement).err().map(StoreError::from);
    }
    [of_sqlx.unwrap(), of_rusqlite.unwrap()]
}

#[tokio::test]
async fn a_locked_database_is_busy() {
    let folder = TempDir::new().unwrap();
    let path = database(&folder);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for error in errors(&path, false, &["INSERT INTO t VALUES (2)"]).await {
        assert!(matches!(error, StoreError::Busy(_)), "{error:?}");
        assert!(error.to_string().ends_with("database is locked"), "{error}");
    }
}

#[tokio::test]
async fn a_database_at_its_limit_is_full() {
    let folder = TempDir::new().unwrap();
    let path = database(&folder);
    let insert = "INSERT INTO t VALUES (zeroblob(100000))";
    for error in errors(&path, false, &["PRAGMA max_page_count = 2", insert]).await {
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_damaged_page_is_corrupt() {
    let folder = TempDir::new().unwrap();
    let path = database(&folder);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    for error in errors(&path, false, &["SELECT * FROM t"]).await {
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_read_only_database_is_not_writable() {
    let folder = TempDir::new().unwrap();
    let path = database(&folder);
    for error in errors(&path, true, &["INSERT INTO t VALUES (2)"]).await {
        assert!(matches!(error, StoreError::NotWritable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_text_file_is_not_a_database() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "notes ".repeat(1000)).unwrap();
    for error in errors(&path, true, &["SELECT * FROM sqlite_schema"]).await {
        assert!(matches!(error, StoreError::NotADatabase(_)), "{error:?}");
    }
}

/// A read that waits for a lock must not stop the other tasks of its thread.
#[test]
fn other_tasks_run_while_a_read_waits_for_a_lock() {
    let folder = TempDir::new().unwrap();
    let path = database(&folder);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pool = std::sync::Arc::new(super::ReadPool::new(&path, false, 1));
    let read = runtime.spawn(async move {
        pool.read_briefly(|sqlite| {
            sqlite.query_row("SELECT a FROM t", (), |row| row.get::<_, i64>(0))
        })
        .await
    });
    runtime.block_on(async {
        tokio::spawn(tokio::time::sleep(Duration::from_millis(100))).await.unwrap();
        assert!(!read.is_finished());
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(read.await.unwrap().unwrap(), 1);
    });
}

/// Locks a connection again and again while other threads keep the cores busy, so that sqlx's thread runs late.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_locked_often_is_never_blocked() {
    let folder = TempDir::new().unwrap();
    let options = SqliteConnectOptions::new().filename(database(&folder)).command_buffer_size(1);
    let mut connection = options.connect().await.unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let locks = async {
            for count in 0..10_000 {
                let locked = tokio::time::timeout(Duration::from_secs(10), lock(&mut connection));
                let Ok(handle) = locked.await else { return Err(count) };
                let one = with_raw(&mut handle.unwrap(), |sqlite| {
                    sqlite.query_row("SELECT 1", (), |row| row.get::<_, i64>(0))
                });
                assert_eq!(one.unwrap(), 1);
            }
            Ok(())
        };
        let ended = tokio::task::block_in_place(|| Handle::current().block_on(locks));
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(ended, Ok(()), "blocked after so many locks");
    });
}
