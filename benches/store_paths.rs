//! Which statements need the raw connection: the same work through sqlx and without, in turns, on one file.
//!
//! `cargo bench --bench store_paths` prints the speed of each way, and its share of the raw statement's speed.
//! Where a way of sqlx comes within a tenth, it takes the place of the raw one. `-- --smoke` takes a few seconds.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run ends here

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use futures_util::TryStreamExt;
use rusqlite::Connection as RawConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Row, Sqlite};
use tempfile::TempDir;

/// Rows of a commit.
const COMMIT: usize = 5_000;
/// Rows of a statement with many VALUES, and of one with a JSON array.
const TOGETHER: usize = 300;
/// Rows of a list.
const LIST: i64 = 100;

/// A record with the columns that most have.
struct Record {
    query_id: String,
    started_ms: i64,
    duration_ms: i64,
    user: String,
    db: String,
    statement: String,
    scan_rows: i64,
    frontend: String,
}

fn record(number: usize, seed: u64) -> Record {
    // Ids are random, as Doris' are: they decide what an insert costs.
    let id = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
    let pad = "and region in ('north', 'south', 'east', 'west') ".repeat(4);
    Record {
        query_id: format!("{id:016x}-{:016x}", id.rotate_left(17)),
        started_ms: 1_704_067_200_000 + number as i64 * 20,
        duration_ms: (number % 3000) as i64,
        user: format!("user{}", number % 20),
        db: format!("db{}", number % 10),
        statement: format!("select sum(price) from orders where day = {number} {pad}"),
        scan_rows: number as i64 * 7,
        frontend: "fe1:8030".to_string(),
    }
}

/// One way to do some work.
struct Way {
    name: &'static str,
    /// The elapsed time and the CPU time of each run, in seconds.
    runs: Vec<[f64; 2]>,
}

impl Way {
    fn new(name: &'static str) -> Way {
        Way { name, runs: Vec::new() }
    }

    fn add(&mut self, clock: &Clock) {
        let cpu = cpu_seconds() - clock.cpu_seconds;
        self.runs.push([clock.began.elapsed().as_secs_f64(), cpu]);
    }

    /// Returns the median of the elapsed times (0) or of the CPU times (1).
    fn median(&self, column: usize) -> f64 {
        let mut seconds: Vec<f64> = self.runs.iter().map(|run| run[column]).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }
}

/// When a run began.
struct Clock {
    began: Instant,
    cpu_seconds: f64,
}

impl Clock {
    fn start() -> Clock {
        Clock { began: Instant::now(), cpu_seconds: cpu_seconds() }
    }
}

/// Returns the CPU time of all threads of this process, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program, in parentheses, may have spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Prints the ways; the first is the raw one. A run does `units`.
///
/// On a machine with other work, a way of two threads gets twice the share of the CPU: then only the CPU times
/// compare the ways.
fn print(work: &str, unit: &str, units: f64, ways: &[Way]) {
    println!("\n| {work} | {unit}/s | of raw | {unit} per CPU second | of raw |");
    println!("|---|---|---|---|---|");
    let raw = [0, 1].map(|column| ways[0].median(column));
    for way in ways {
        let [time, cpu] = [0, 1].map(|column| way.median(column));
        println!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.2} |",
            way.name,
            units / time,
            raw[0] / time,
            units / cpu,
            raw[1] / cpu
        );
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "16384")
        .pragma("cache_size", "-262144")
}

async fn new_database(folder: &TempDir, name: &str) -> SqliteConnection {
    let path = folder.path().join(name);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    let mut connection = options(&path).connect().await.unwrap();
    sqlx::migrate!().run(&mut connection).await.unwrap();
    connection
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let (rows, rounds, lists) = if smoke { (5_000, 1, 200) } else { (50_000, 5, 2_000) };
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    inserts(&folder, rows, rounds).await;
    read_lists(&folder, rows, rounds, lists).await;
}

async fn inserts(folder: &TempDir, rows: usize, rounds: usize) {
    let mut ways = [
        Way::new("prepared statement on the raw connection"),
        Way::new("query!, a row a statement"),
        Way::new("VALUES of 300 rows"),
        Way::new("json_each of 300 rows"),
    ];
    for round in 0..rounds {
        let records: Vec<Record> = (0..rows).map(|number| record(number, round as u64)).collect();
        for (at, way) in ways.iter_mut().enumerate() {
            let mut connection = new_database(folder, "inserts.db").await;
            let clock = Clock::start();
            for commit in records.chunks(COMMIT) {
                let mut transaction = connection.begin().await.unwrap();
                match at {
                    0 => insert_raw(&mut transaction, commit).await,
                    1 => insert_each(&mut transaction, commit).await,
                    2 => {
                        for some in commit.chunks(TOGETHER) {
                            insert_values(&mut transaction, some).await;
                        }
                    }
                    _ => {
                        for some in commit.chunks(TOGETHER) {
                            insert_json(&mut transaction, some).await;
                        }
                    }
                }
                transaction.commit().await.unwrap();
            }
            way.add(&clock);
            connection.close().await.unwrap();
        }
    }
    print("inserts, 5,000 rows a commit", "rows", rows as f64, &ways);
}

async fn insert_raw(connection: &mut SqliteConnection, records: &[Record]) {
    let mut handle = connection.lock_handle().await.unwrap();
    tokio::task::block_in_place(|| {
        // SAFETY: the handle is open and locked, and the borrowed connection does not close it.
        let raw = unsafe { RawConnection::from_handle(handle.as_raw_handle().as_ptr()) }.unwrap();
        let mut insert = raw
            .prepare(
                "INSERT INTO query (query_id, kind, origin, started_ms, duration_ms, user, db,
                                    statement, scan_rows, frontend, is_slow)
                 VALUES (?, 'query', 'audit', ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
            )
            .unwrap();
        for record in records {
            insert
                .execute((
                    &record.query_id, record.started_ms, record.duration_ms, &record.user,
                    &record.db, &record.statement, record.scan_rows, &record.frontend,
                ))
                .unwrap();
        }
    });
}

async fn insert_each(connection: &mut SqliteConnection, records: &[Record]) {
    for record in records {
        sqlx::query!(
            "INSERT INTO query (query_id, kind, origin, started_ms, duration_ms, user, db,
                                statement, scan_rows, frontend, is_slow)
             VALUES (?, 'query', 'audit', ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
            record.query_id,
            record.started_ms,
            record.duration_ms,
            record.user,
            record.db,
            record.statement,
            record.scan_rows,
            record.frontend,
        )
        .execute(&mut *connection)
        .await
        .unwrap();
    }
}

async fn insert_values(connection: &mut SqliteConnection, records: &[Record]) {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO query (query_id, kind, origin, started_ms, duration_ms, user, db, statement,
                            scan_rows, frontend, is_slow) ",
    );
    insert.push_values(records, |mut row, record| {
        row.push_bind(&record.query_id)
            .push("'query', 'audit'")
            .push_bind(record.started_ms)
            .push_bind(record.duration_ms)
            .push_bind(&record.user)
            .push_bind(&record.db)
            .push_bind(&record.statement)
            .push_bind(record.scan_rows)
            .push_bind(&record.frontend)
            .push("0");
    });
    insert.push(" ON CONFLICT DO NOTHING");
    insert.build().execute(connection).await.unwrap();
}

async fn insert_json(connection: &mut SqliteConnection, records: &[Record]) {
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            serde_json::json!([
                record.query_id, record.started_ms, record.duration_ms, record.user, record.db,
                record.statement, record.scan_rows, record.frontend
            ])
        })
        .collect();
    let rows = serde_json::Value::from(rows).to_string();
    sqlx::query!(
        "INSERT INTO query (query_id, kind, origin, started_ms, duration_ms, user, db, statement,
                            scan_rows, frontend, is_slow)
         SELECT value ->> 0, 'query', 'audit', value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                value ->> 5, value ->> 6, value ->> 7, 0
         FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
        rows
    )
    .execute(connection)
    .await
    .unwrap();
}

async fn read_lists(folder: &TempDir, rows: usize, rounds: usize, lists: usize) {
    let mut connection = new_database(folder, "lists.db").await;
    let records: Vec<Record> = (0..rows).map(|number| record(number, 0)).collect();
    insert_raw(&mut connection, &records).await;
    let path = folder.path().join("lists.db");
    let raw = RawConnection::open(&path).unwrap();
    let mut usual = options(&path).read_only(true).connect().await.unwrap();
    let mut buffered =
        options(&path).read_only(true).row_buffer_size(LIST as usize + 1).connect().await.unwrap();
    let mut ways = [
        Way::new("stepped on a raw connection"),
        Way::new("query!, owned columns"),
        Way::new("rows as they come, borrowed columns"),
        Way::new("the same with a row buffer of the list"),
    ];
    let mut lengths = [0; 4];
    for _ in 0..rounds {
        for (at, way) in ways.iter_mut().enumerate() {
            let clock = Clock::start();
            for list in 0..lists {
                let before_ms = 1_704_067_200_000 + ((rows - list * 31 % (rows / 2)) as i64) * 20;
                lengths[at] = match at {
                    0 => list_raw(&raw, before_ms),
                    1 => list_owned(&mut usual, before_ms).await,
                    2 => list_borrowed(&mut usual, before_ms).await,
                    _ => list_borrowed(&mut buffered, before_ms).await,
                };
            }
            way.add(&clock);
        }
    }
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    print("lists of 100 rows", "lists", lists as f64, &ways);
}

/// Writes what a response has of a row.
fn write_row(
    text: &mut String,
    id: &str,
    user: &str,
    db: &str,
    statement: &str,
    times: (i64, i64),
) {
    let _ = write!(text, "{id} {user} {db} {statement} {} {}", times.0, times.1);
}

fn list_raw(raw: &RawConnection, before_ms: i64) -> usize {
    let mut text = String::new();
    let mut list = raw
        .prepare_cached(
            "SELECT query_id, user, db, statement, started_ms, duration_ms FROM query
             WHERE started_ms < ? ORDER BY started_ms DESC, id DESC LIMIT ?",
        )
        .unwrap();
    let mut rows = list.query((before_ms, LIST)).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let column = |at| row.get_ref(at).unwrap().as_str().unwrap();
        let times = (row.get(4).unwrap(), row.get(5).unwrap());
        write_row(&mut text, column(0), column(1), column(2), column(3), times);
    }
    black_box(&text).len()
}

async fn list_owned(connection: &mut SqliteConnection, before_ms: i64) -> usize {
    let mut text = String::new();
    let rows = sqlx::query!(
        r#"SELECT query_id, user AS "user!", db AS "db!", statement AS "statement!",
                  started_ms AS "started_ms!", duration_ms AS "duration_ms!"
           FROM query WHERE started_ms < ? ORDER BY started_ms DESC, id DESC LIMIT ?"#,
        before_ms,
        LIST
    )
    .fetch_all(connection)
    .await
    .unwrap();
    for row in &rows {
        let times = (row.started_ms, row.duration_ms);
        write_row(&mut text, &row.query_id, &row.user, &row.db, &row.statement, times);
    }
    black_box(&text).len()
}

async fn list_borrowed(connection: &mut SqliteConnection, before_ms: i64) -> usize {
    let mut text = String::new();
    let mut rows = sqlx::query(
        "SELECT query_id, user, db, statement, started_ms, duration_ms FROM query
         WHERE started_ms < ? ORDER BY started_ms DESC, id DESC LIMIT ?",
    )
    .bind(before_ms)
    .bind(LIST)
    .fetch(connection);
    while let Some(row) = rows.try_next().await.unwrap() {
        let times = (row.get(4), row.get(5));
        write_row(&mut text, row.get(0), row.get(1), row.get(2), row.get(3), times);
    }
    black_box(&text).len()
}
