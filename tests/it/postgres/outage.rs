//! The server ends while annals serves or imports, its disk is full, or it does not answer COMMIT.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{new_history, on, run};
use crate::support::postgres::{Postgres, rows};
use crate::support::{Server, audit_records, stderr, stdout, wait_until};

/// How long an answer takes at most that needs no database: two seconds, and what a busy machine adds.
const AT_ONCE: Duration = Duration::from_secs(4);
/// How long a push waits for the database, and what a busy machine adds.
const LONGEST_PUSH: Duration = Duration::from_secs(7);

/// Starts a server on a history, with what it logs in a file.
fn serve_with_log(address: &str, log: &Path) -> Server {
    let log = std::fs::File::create(log).unwrap();
    Server::start_by(on(address, &["serve", "--listen", "127.0.0.1:0"]).stderr(log))
}

/// Pushes a query. Returns the status and the text of the answer, and asserts that it comes in time.
fn push(server: &Server, id: &str) -> (u16, String) {
    let row = format!(r#"{{"query_id": "{id}", "time": 1722942960951, "stmt": "select 1"}}"#);
    let began = Instant::now();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], row.as_bytes());
    assert!(began.elapsed() < LONGEST_PUSH, "{:?}: {answer}", began.elapsed());
    (status, answer["data"].to_string())
}

/// Returns the status and the text of an answer. Asserts that it comes at once.
fn get_at_once(server: &Server, path: &str) -> (u16, String) {
    let began = Instant::now();
    let (status, _, body) = server.get(path);
    assert!(began.elapsed() < AT_ONCE, "{path}: {:?}", began.elapsed());
    (status, String::from_utf8(body).unwrap())
}

fn wait_for_health(server: &Server, status: u16) {
    wait_until(|| get_at_once(server, "/api/health").0 == status, || format!("no {status}"));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn while_the_server_is_away_annals_says_so_at_once() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let mut postgres = Postgres::start();
    postgres.create_database("history");
    let server = serve_with_log(&postgres.address("history"), &log);
    assert_eq!(push(&server, "1-1").0, 200);
    assert_eq!(get_at_once(&server, "/api/health").0, 200);
    postgres.stop_at_once();
    let place = format!("PostgreSQL at 127.0.0.1:{} does not answer", postgres.port);
    // Also before annals has noticed.
    let (status, metrics) = get_at_once(&server, "/metrics");
    assert!(status == 200 && metrics.contains("\nannals_writable 0\n"), "{status} {metrics}");
    assert!(!metrics.contains("annals_queries "), "{metrics}");
    let (status, health) = get_at_once(&server, "/api/health");
    assert!(status == 503 && !health.contains("127.0.0.1"), "{status} {health}");
    let (status, state) = get_at_once(&server, "/api/v1/status");
    assert!(status == 200 && state.contains(&place) && state.contains("\"size\":null"), "{state}");
    let (status, page) = get_at_once(&server, "/status");
    assert!(status == 200 && page.contains(&place), "{status} {page}");
    std::thread::scope(|scope| {
        for id in ["2-1", "2-2", "2-3", "2-4"] {
            let (server, place) = (&server, &place);
            scope.spawn(move || {
                let (status, text) = push(server, id);
                assert!(status == 503 && text.contains(place.as_str()), "{status} {text}");
            });
        }
    });
    let (status, _, page) = server.get("/");
    let page = String::from_utf8(page).unwrap();
    assert!(status == 503 && page.contains(&place), "{status} {page}");
    postgres.start_again();
    wait_for_health(&server, 200);
    assert_eq!(push(&server, "3-1").0, 200);
    let (_, metrics) = get_at_once(&server, "/metrics");
    let parts = ["\nannals_writable 1\n", "\nannals_queries "];
    assert!(parts.iter().all(|part| metrics.contains(part)), "{metrics}");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains(&place) && log.contains("answers again"), "{log}");
    for wrong in ["locked", "history's file", "within its bounds"] {
        assert!(!log.contains(wrong), "{log}");
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_push_whose_commit_has_no_answer_may_have_been_stored() {
    let postgres = Postgres::start();
    postgres.create_database("history");
    let folder = TempDir::new().unwrap();
    let server = serve_with_log(&postgres.address("history"), &folder.path().join("log"));
    assert_eq!(push(&server, "1-1").0, 200);
    let configure = |change: &str| {
        postgres.execute(&format!("ALTER SYSTEM {change}"));
        postgres.execute("SELECT pg_reload_conf()");
    };
    // A replica that is gone: COMMIT waits for it for ever, and is visible to others only after that.
    configure("SET synchronous_standby_names = 'nobody'");
    let waits = || postgres.value("SHOW synchronous_standby_names") == "nobody";
    wait_until(waits, || "the configuration is not read".to_string());
    let (status, text) = push(&server, "2-1");
    assert!(status == 503 && text.contains("may have been stored"), "{status} {text}");
    assert!(!text.contains("nothing was stored") && text.contains("synchronous standby"), "{text}");
    // Each session ends with the push that it was for.
    push(&server, "2-2");
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event IN ('SyncRep', 'transactionid')";
    wait_until(|| postgres.value(sessions) == "0", || postgres.value(sessions));
    assert_eq!(get_at_once(&server, "/api/health").0, 503);
    let (_, metrics) = get_at_once(&server, "/metrics");
    assert!(metrics.contains("\nannals_writable 0\n"), "{metrics}");
    configure("RESET synchronous_standby_names");
    for id in ["2-1", "2-2"] {
        wait_until(|| push(&server, id).0 == 200, || "not stored".to_string());
    }
    wait_for_health(&server, 200);
    let stored = rows(&postgres.address("history"), "SELECT count(*) FROM query").unwrap();
    assert_eq!(stored, [[Some("3".to_string())]]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_primary_that_accepts_no_writes_answers_reads_and_is_named() {
    let postgres = Postgres::start();
    postgres.create_database("history");
    let address = postgres.address("history");
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let first = serve_with_log(&address, &path("first"));
    assert_eq!(push(&first, "1-1").0, 200);
    drop(first);
    postgres.execute("ALTER DATABASE history SET default_transaction_read_only = on");
    let server = serve_with_log(&address, &path("second"));
    let why = format!(
        "PostgreSQL at 127.0.0.1:{} accepts no writes: default_transaction_read_only is on",
        postgres.port
    );
    let (status, text) = push(&server, "2-1");
    assert!(status == 503 && text.contains(&why), "{status} {text}");
    let (_, state) = get_at_once(&server, "/api/v1/status");
    assert!(state.contains(&why), "{state}");
    assert_eq!(get_at_once(&server, "/api/health").0, 503);
    let (status, _, list) = server.get("/api/v1/queries");
    assert!(status == 200 && String::from_utf8(list).unwrap().contains("1-1"), "{status}");
    std::fs::write(path("log"), audit_records(0..5)).unwrap();
    let mut import = on(&address, &["import", path("log").to_str().unwrap()]);
    import.stdout(Stdio::piped()).stderr(std::fs::File::create(path("import")).unwrap());
    let import = import.spawn().unwrap();
    let said = || std::fs::read_to_string(path("import")).unwrap();
    wait_until(|| said().contains("the import waits for it"), said);
    assert!(said().contains(&why), "{}", said());
    postgres.execute("ALTER DATABASE history RESET default_transaction_read_only");
    assert!(import.wait_with_output().unwrap().status.success(), "{}", said());
    wait_for_health(&server, 200);
    assert_eq!(push(&server, "2-1").0, 200);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_import_says_that_it_waits_for_the_server() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let mut postgres = Postgres::start();
    postgres.create_database("history");
    let address = postgres.address("history");
    let mut import = on(&address, &["import", "-"]);
    import.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut import = import.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut input = import.stdin.take().unwrap();
    input.write_all(audit_records(0..5000).as_bytes()).unwrap();
    let has_tables =
        || rows(&address, "SELECT name FROM writer").is_ok_and(|rows| !rows.is_empty());
    wait_until(has_tables, || "the import does not start".to_string());
    postgres.stop_at_once();
    let log = || std::fs::read_to_string(&log).unwrap();
    wait_until(|| log().contains("the import waits for it, up to 2m"), log);
    input.write_all(audit_records(5000..9000).as_bytes()).unwrap();
    drop(input);
    postgres.start_again();
    let output = import.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", log());
    assert!(log().contains("answers again") && log().lines().count() == 2, "{}", log());
    assert!(stdout(&run(&address, &["stats"])).contains("\nqueries\t9000\n"));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_full_disk_of_the_server_is_named_in_plain_words() {
    let address = new_history();
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..3)).unwrap();
    let import = || run(&address, &["import", log.to_str().unwrap()]);
    assert!(import().status.success());
    let server = serve_with_log(&address, &folder.path().join("served"));
    // What a server says whose disk is full.
    let full = "could not write to file \"base/pgsql_tmp/pgsql_tmp1.0\": No space left on device";
    rows(
        &address,
        &format!(
            "CREATE FUNCTION fill() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100',
                 MESSAGE = '{full}'; END $$;
             ALTER TABLE query RENAME TO full_query;
             CREATE VIEW query AS SELECT * FROM full_query WHERE fill()"
        ),
    )
    .unwrap();
    let (status, _, page) = server.get("/");
    let page = String::from_utf8(page).unwrap();
    assert!(status == 503 && page.contains("the disk of the PostgreSQL server is full"), "{page}");
    rows(
        &address,
        "DROP VIEW query; ALTER TABLE full_query RENAME TO query; ALTER TABLE query ADD CHECK (fill()) NOT VALID",
    )
    .unwrap();
    std::fs::write(&log, audit_records(3..9)).unwrap();
    let said = stderr(&import());
    assert!(said.contains("the disk of the PostgreSQL server is full"), "{said}");
    assert!(!said.contains("at line") && said.lines().count() == 1, "{said}");
    let (status, text) = push(&server, "2-1");
    assert!(status == 503 && text.contains("the disk of the PostgreSQL server is full"), "{text}");
    assert!(text.contains("nothing was stored") && !text.contains("at line"), "{text}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn sizes_are_those_of_a_database() {
    let address = new_history();
    let folder = TempDir::new().unwrap();
    let server = serve_with_log(&address, &folder.path().join("log"));
    let page = String::from_utf8(server.get("/status").2).unwrap();
    assert!(page.contains("Database size") && !page.contains("File size"), "{page}");
    assert!(!page.contains("Free space in file"), "{page}");
    let pruned = stdout(&run(&address, &["prune", "--keep-queries", "1d"]));
    assert!(pruned.contains("the database was "), "{pruned}");
}
