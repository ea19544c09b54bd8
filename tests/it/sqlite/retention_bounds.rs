//! Bounds that take neither too much nor too little, whatever fills the file; and clocks that jump.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::raw::get_from;
use crate::support::{Server, annals, certificate, number, open_history, stderr, wait_until};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Returns a new history, and a connection that writes to it.
fn history(folder: &Path) -> (PathBuf, Connection) {
    let db = folder.join("annals.db");
    open_history(&db);
    let sqlite = Connection::open(&db).unwrap();
    (db, sqlite)
}

/// Inserts queries an hour apart, the newest an hour old, each with a statement of some bytes.
fn insert_queries(sqlite: &Connection, name: &str, queries: i64, statement_bytes: i64) {
    let sql = "WITH RECURSIVE each (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < ?1)
               INSERT INTO query (query_id, kind, origin, is_slow, started_ms, statement)
               SELECT ?2 || n, 'query', 'audit', 0, ?3 - n * 3600000, hex(randomblob(?4 / 2)) FROM each";
    sqlite.execute(sql, (queries, name, now_ms(), statement_bytes)).unwrap();
}

fn prune(db: &Path, arguments: &[&str]) -> Output {
    annals().arg("prune").args(arguments).arg("--db").arg(db).output().unwrap()
}

fn pruned(server: &Server) -> Value {
    server.envelope("/api/v1/status")["data"]["size"]["pruned"].clone()
}

fn serve(db: &Path, retention: &str) -> Server {
    let config = db.with_file_name("annals.toml");
    std::fs::write(&config, format!("[retention]\n{retention}\n")).unwrap();
    Server::start(db, &["--config", config.to_str().unwrap()])
}

#[test]
fn large_statements_leave_what_fits() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 400, 100_000);
    drop(sqlite);
    let output = prune(&db, &["--max-size", "32MiB"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let left = number(&db, "SELECT count(*) FROM query");
    assert!((300..=327).contains(&left), "{left}");
    let bytes = std::fs::metadata(&db).unwrap().len();
    assert!((30 << 20..=32 << 20).contains(&bytes), "{bytes}");
    // The newest.
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE query_id = 'q1'"), 1);
}

#[test]
fn what_nobody_needs_goes_before_queries() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 300, 500);
    let statements =
        "WITH RECURSIVE each (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < 500)
                      INSERT INTO statement SELECT n * 1000003, hex(randomblob(30000)) FROM each";
    sqlite.execute(statements, ()).unwrap();
    let labels = "WITH RECURSIVE each (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM each WHERE n < 100000)
                  INSERT INTO stream_load_label
                  SELECT '', 'shop', 'label-' || n, iif(n = 100000, ?1 - 31 * 86400000, ?1 - n) FROM each";
    sqlite.execute(labels, [now_ms()]).unwrap();
    let logins =
        "WITH RECURSIVE each (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < 50000)
                  INSERT INTO login (login_id, at_ms, succeeded)
                  SELECT n, ?1 - 30 * 86400000 + n, 1 FROM each";
    sqlite.execute(logins, [now_ms()]).unwrap();
    let segments = "INSERT INTO search_segment VALUES (7, 0)";
    sqlite.execute(segments, ()).unwrap();
    drop(sqlite);
    assert!(std::fs::metadata(&db).unwrap().len() > 40 << 20);
    let output = prune(&db, &["--max-size", "16MiB"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(std::fs::metadata(&db).unwrap().len() <= 16 << 20);
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 300);
    assert_eq!(number(&db, "SELECT count(*) FROM statement"), 0);
    assert_eq!(number(&db, "SELECT count(*) FROM search_segment WHERE segment = 7"), 0);
    // The newest labels stay.
    let labels = number(&db, "SELECT count(*) FROM stream_load_label");
    assert!((20_000..60_000).contains(&labels), "{labels}");
    assert_eq!(number(&db, "SELECT count(*) FROM stream_load_label WHERE label = 'label-0'"), 1);
    assert!(annals().args(["check", "--db"]).arg(&db).output().unwrap().status.success());
}

#[test]
fn a_bound_that_cannot_be_kept_is_an_error_and_empties_nothing() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 300, 500);
    sqlite
        .execute_batch("CREATE TABLE other (a); INSERT INTO other VALUES (randomblob(20000000))")
        .unwrap();
    drop(sqlite);
    let output = prune(&db, &["--max-size", "16MiB"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("raise max_size"), "{text}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 300);
    let server = serve(&db, "max_size = '16MiB'");
    wait_until(|| pruned(&server)["is_failing"] == true, || pruned(&server).to_string());
    let page = String::from_utf8(server.get("/status").2).unwrap();
    assert!(page.contains("raise max_size") && page.contains("failing"), "{page}");
    let metrics = String::from_utf8(server.get("/metrics").2).unwrap();
    assert!(metrics.contains("annals_retention_failing 1"), "{metrics}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 300);
}

/// Pushes queries that started two years ago, each with a statement of 100 KB.
fn push_large(server: &Server, name: &str, queries: usize) {
    for first in (0..queries).step_by(20) {
        let row = |number: usize| {
            let statement = format!("select '{}'", "x".repeat(100_000));
            json!({"query_id": format!("{name}-{number}"), "time": now_ms() - 730 * DAY_MS, "stmt": statement})
        };
        let rows: Vec<Value> = (first..first + 20).map(row).collect();
        let (status, answer, _) =
            server.send("POST", "/api/v1/queries", &[], json!(rows).to_string().as_bytes());
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn what_arrived_a_moment_ago_goes_last_and_only_with_a_warning() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "old", 12_000, 1000);
    drop(sqlite);
    let server = serve(&db, "max_size = '20MiB'");
    let count = |name: &str| {
        number(&db, &format!("SELECT count(*) FROM query WHERE query_id LIKE '{name}%'"))
    };
    // Pushed queries started before the others, and arrived after them.
    push_large(&server, "young", 80);
    wait_until(|| pruned(&server)["queries"].as_i64() > Some(0), || pruned(&server).to_string());
    wait_until(
        || std::fs::metadata(&db).unwrap().len() < 20 << 20,
        || std::fs::metadata(&db).unwrap().len().to_string(),
    );
    assert_eq!(count("young"), 80);
    assert!(count("old") > 5_000, "{}", count("old"));
    assert_eq!(pruned(&server)["young_queries"], 0);
    // What arrives is alone larger than the bound.
    push_large(&server, "more", 240);
    wait_until(
        || pruned(&server)["young_queries"].as_i64() > Some(0),
        || pruned(&server).to_string(),
    );
    wait_until(
        || std::fs::metadata(&db).unwrap().len() < 20 << 20,
        || std::fs::metadata(&db).unwrap().len().to_string(),
    );
    assert_eq!(count("old"), 0);
    let left = count("young") + count("more");
    assert!((150..=200).contains(&left), "{left}");
}

#[test]
fn a_record_of_the_far_future_makes_nothing_old() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 200, 100);
    drop(sqlite);
    let server = serve(&db, "keep_queries = '2years'");
    let row = json!([{"query_id": "f-1", "time": now_ms() + 9000 * DAY_MS, "stmt": "select 1"}]);
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes()).0, 200);
    drop(server);
    let output = prune(&db, &["--keep-queries", "2years"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 201);
}

/// A library that a process loads first: its system clock is off by the seconds that a file names.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (clock != CLOCK_REALTIME || failed) return failed;
    FILE *file = fopen(getenv("CLOCK_OFF"), "r");
    long off = 0;
    if (file) { if (fscanf(file, "%ld", &off) != 1) off = 0; fclose(file); }
    at->tv_sec += off;
    return 0;
}
"#;

/// A system clock that a test sets.
struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    fn new(folder: &Path) -> FakeClock {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        std::fs::write(&source, SHIM).unwrap();
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(made.unwrap().success());
        let clock = FakeClock { library, file: folder.join("off") };
        clock.set(0);
        clock
    }

    /// Sets the clock off by so many seconds.
    fn set(&self, seconds: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, seconds.to_string()).unwrap();
        std::fs::rename(&next, &self.file).unwrap();
    }

    /// Makes a process see the clock.
    fn seen_by<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_PRELOAD", &self.library).env("CLOCK_OFF", &self.file)
    }
}

#[test]
#[ignore = "needs cc, to make a library that moves the clock"]
fn a_clock_that_jumps_deletes_nothing_until_a_person_confirms_it() {
    const THREE_YEARS: i64 = 3 * 365 * 86_400;
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 200, 100);
    drop(sqlite);
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[retention]\nkeep_queries = '2years'\n").unwrap();
    let clock = FakeClock::new(folder.path());
    let start = || {
        let mut command = annals();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--db"])
            .arg(&db)
            .arg("--config")
            .arg(&config);
        Server::start_by(clock.seen_by(&mut command))
    };
    let count = || number(&db, "SELECT count(*) FROM query");
    let off_ms = |server: &Server| pruned(server)["clock_off_ms"].as_i64().unwrap();
    let server = start();
    wait_until(|| number(&db, "SELECT count(*) FROM retention_clock") == 1, String::new);
    clock.set(THREE_YEARS);
    wait_until(|| off_ms(&server) > 0, || pruned(&server).to_string());
    std::thread::sleep(Duration::from_secs(1));
    let metrics = String::from_utf8(server.get("/metrics").2).unwrap();
    assert!(metrics.contains("annals_clock_off_seconds 946"), "{metrics}");
    assert!(String::from_utf8(server.get("/status").2).unwrap().contains(" ahead; ages count"));
    assert_eq!(count(), 200);
    // Before 1970.
    clock.set(-60 * 365 * 86_400);
    wait_until(|| off_ms(&server) < 0, || pruned(&server).to_string());
    clock.set(0);
    wait_until(|| off_ms(&server) == 0, || pruned(&server).to_string());
    assert_eq!(count(), 200);
    drop(server);
    // A start with the wrong clock.
    clock.set(THREE_YEARS);
    let server = start();
    wait_until(|| off_ms(&server) > 0, || pruned(&server).to_string());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count(), 200);
    drop(server);
    let prune = |arguments: &[&str]| {
        let mut command = annals();
        command.args(["prune", "--keep-queries", "2years", "--db"]).arg(&db).args(arguments);
        clock.seen_by(&mut command).output().unwrap()
    };
    let output = prune(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give --trust-clock"), "{}", stderr(&output));
    assert_eq!(count(), 200);
    assert!(prune(&["--trust-clock"]).status.success());
    assert_eq!(count(), 0);
}

#[test]
#[ignore = "needs cc, to make a library that moves the clock"]
fn a_clock_before_1970_panics_nowhere() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 3, 100);
    drop(sqlite);
    let clock = FakeClock::new(folder.path());
    clock.set(-60 * 365 * 86_400);
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, crate::support::audit_records(0..5)).unwrap();
    for arguments in [
        &["list", "--from", "2h"][..],
        &["stats"],
        &["top"],
        &["check"],
        &["prune", "--keep-queries", "2years"],
        &["import", log.to_str().unwrap()],
    ] {
        let mut command = annals();
        let output = clock.seen_by(command.args(arguments).arg("--db").arg(&db)).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
    let mut command = annals();
    let output = clock.seen_by(command.args(["serve", "--db"]).arg(&db)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the system clock is before 1970"), "{}", stderr(&output));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 8);
}

#[test]
#[ignore = "needs cc, to make a library that moves the clock; openssl and curl"]
fn requests_are_answered_with_a_clock_of_another_century() {
    let folder = TempDir::new().unwrap();
    let (db, sqlite) = history(folder.path());
    insert_queries(&sqlite, "q", 3, 100);
    drop(sqlite);
    certificate(folder.path(), "annals");
    let clock = FakeClock::new(folder.path());
    let start = |arguments: &[&str]| {
        let mut command = annals();
        command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(&db).args(arguments);
        command.current_dir(folder.path());
        Server::start_by(clock.seen_by(&mut command))
    };
    let server = start(&[]);
    let secure = start(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let answers = |date: Option<&str>| {
        for path in [
            "/api/v1/queries", "/api/v1/queries", "/api/v1/queries?limit=1", "/api/health",
            "/api/v1/queries/q1", "/api/v1/statements", "/rest/v1/session", "/", "/statements",
            "/status", "/metrics",
        ] {
            let answer = get_from("127.0.0.1", &server, path, "");
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let sent = answer.header("date");
            assert_eq!(sent.is_some(), date.is_some(), "{path}: {}", answer.head);
            assert!(sent.unwrap_or_default().contains(date.unwrap_or_default()), "{sent:?}");
        }
        let row = json!([{"query_id": "p-1", "time": 1_700_000_000_000_i64, "stmt": "select 1"}]);
        let pushed = server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
        assert_eq!(pushed.0, 200, "{pushed:?}");
        let url = format!("{}/api/v1/queries", secure.url);
        let fetched = Command::new("curl").args(["-sSfk", &url]).output().unwrap();
        assert!(fetched.status.success(), "{}", stderr(&fetched));
    };
    let year = 365 * 86_400;
    answers(Some(" gmt"));
    clock.set(-60 * year);
    answers(None);
    clock.set(500 * year);
    answers(Some(" 25"));
    clock.set(0);
    answers(Some(" gmt"));
    let metrics = String::from_utf8(server.get("/metrics").2).unwrap();
    assert!(metrics.contains("annals_panics_total 0"), "{metrics}");
}

#[test]
#[ignore = "needs half a minute, and the release binary"]
fn file_and_log_stay_within_the_bound_while_readers_never_pause() {
    const BOUND: u64 = 32 << 20;
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let server = serve(&db, "max_size = '32MiB'");
    let is_over = AtomicBool::new(false);
    let mut largest = 0;
    std::thread::scope(|scope| {
        for path in [
            "/rest/v1/session?limit=100", "/api/v1/queries?limit=100&user=u3",
            "/api/v1/statements?limit=20", "/api/v1/statements?limit=21",
        ] {
            let (server, is_over) = (&server, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(server.get(path).0, 200);
                }
            });
        }
        let begun = Instant::now();
        let mut pushed = 0_u64;
        while begun.elapsed() < Duration::from_secs(30) {
            let row = |number: u64| {
                let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                json!({"query_id": format!("{scattered:x}-{number:x}"), "time": now_ms(), "user": "u3",
                       "stmt": format!("select {number}, {}", "column, ".repeat(60))})
                .to_string() + "\n"
            };
            let body: String = (pushed..pushed + 300).map(row).collect();
            pushed += 300;
            assert_eq!(server.send("POST", "/api/v1/queries", &[], body.as_bytes()).0, 200);
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            largest = largest.max(size(&db) + size(&db.with_file_name("annals.db-wal")));
            std::thread::sleep(Duration::from_millis(pushed / 2).saturating_sub(begun.elapsed()));
        }
        is_over.store(true, Ordering::Relaxed);
        println!("{pushed} records pushed");
    });
    assert!(pruned(&server)["queries"].as_i64() > Some(0));
    println!("file and log up to {:.3} of the bound", largest as f64 / BOUND as f64);
    assert!(largest < BOUND + BOUND / 4, "{largest}");
}
