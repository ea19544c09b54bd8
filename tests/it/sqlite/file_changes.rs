//! The history's file is removed, replaced, overwritten or truncated while annals has it open; several processes open it
//! at once; it has numbers of any size.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::support::{Server, annals, audit_records, import, number, stderr, stdout, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the path of a file beside the history.
fn beside(db: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", db.display()).into()
}

/// Pushes a query of this number. Returns status and message.
fn push(server: &Server, number: u64) -> (u16, String) {
    let row = json!({"query_id": format!("p-{number}"), "time": 1_722_942_960_000_u64, "stmt": "select 1"});
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
    (status, answer["data"].to_string())
}

/// Starts a server on a new history, and pushes ten queries.
fn served(folder: &TempDir) -> (PathBuf, Server) {
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    for number in 0..10 {
        assert_eq!(push(&server, number).0, 200);
    }
    (db, server)
}

/// Asserts that the server rejects a push with this reason, and says so everywhere. What reads a file that has other content
/// may answer with the reason alone.
fn assert_unwritable(server: &Server, reason: &str) {
    let (status, message) = push(server, 1000);
    assert_eq!(status, 503, "{message}");
    assert!(message.contains(reason), "{message}");
    for path in ["/api/health", "/api/v1/status", "/metrics", "/status"] {
        let (status, _, body) = server.get(path);
        let body = String::from_utf8(body).unwrap();
        match (path, status) {
            ("/metrics", 200) => assert!(body.contains("annals_writable 0"), "{body}"),
            ("/api/health", 503) | (_, 503) => assert!(body.contains(reason), "{path} {body}"),
            (_, 200) => assert!(path != "/api/health" && body.contains(reason), "{path} {body}"),
            _ => panic!("{path} {status} {body}"),
        }
    }
}

fn assert_writable(server: &Server) {
    assert_eq!(server.get("/api/health").0, 200);
    assert_eq!(server.envelope("/api/v1/status")["data"]["file_fault"], Value::Null);
    let metrics = String::from_utf8(server.get("/metrics").2).unwrap();
    assert!(metrics.contains("annals_writable 1"), "{metrics}");
}

fn stop(mut server: Server) {
    server.signal("TERM");
    server.process.wait().unwrap();
}

fn pushed(db: &Path) -> i64 {
    number(db, "SELECT count(*) FROM query WHERE query_id LIKE 'p-%'")
}

fn assert_sound(db: &Path) {
    let output = annals().args(["check", "--db"]).arg(db).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_removed_history_takes_no_push_and_is_in_another_file_after_the_end() {
    let folder = TempDir::new().unwrap();
    let (db, server) = served(&folder);
    assert_writable(&server);
    std::fs::remove_file(&db).unwrap();
    assert_unwritable(&server, "was removed or renamed");
    // What annals has open can be read.
    assert_eq!(server.envelope("/rest/v1/session?limit=100")["count"], 10);
    let fault = server.envelope("/api/v1/status")["data"]["file_fault"].to_string();
    assert!(fault.contains("was removed or renamed"), "{fault}");
    assert!(!db.exists());
    stop(server);
    let rescued = beside(&db, ".rescued-1");
    assert_eq!(pushed(&rescued), 10);
    assert_sound(&rescued);
}

#[test]
fn a_renamed_history_is_whole_and_goes_on_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let server = Server::start(&db, &["--follow", log.to_str().unwrap()]);
    for number in 0..10 {
        assert_eq!(push(&server, number).0, 200);
    }
    let away = folder.path().join("away.db");
    std::fs::rename(&db, &away).unwrap();
    assert_unwritable(&server, "was removed or renamed");
    // Followed logs wait.
    std::fs::write(&log, audit_records(0..500)).unwrap();
    let source = format!("follow {}", log.display());
    let error =
        || server.envelope("/api/v1/status")["data"]["sources"][&source]["last_error"].clone();
    wait_until(|| !error().is_null(), || error().to_string());
    // Nothing that was acknowledged is only in the log that stayed behind.
    let copy = folder.path().join("copy.db");
    wait_until(
        || {
            std::fs::copy(&away, &copy).unwrap();
            pushed(&copy) == 10
        },
        || format!("{} of 10 records", pushed(&copy)),
    );
    std::fs::rename(&away, &db).unwrap();
    wait_until(|| server.get("/api/health").0 == 200, || "not well".to_string());
    assert_eq!(push(&server, 11).0, 200);
    let followed = || number(&db, "SELECT count(*) FROM query WHERE query_id NOT LIKE 'p-%'");
    wait_until(|| followed() == 500, || followed().to_string());
    assert_writable(&server);
    stop(server);
    assert_eq!(pushed(&db), 11);
    assert!(!beside(&db, ".rescued-1").exists());
    assert_sound(&db);
}

#[test]
fn another_history_in_its_place_is_neither_written_nor_damaged() {
    let folder = TempDir::new().unwrap();
    let (db, server) = served(&folder);
    let (log, other) = (folder.path().join("log"), folder.path().join("other.db"));
    std::fs::write(&log, audit_records(0..300)).unwrap();
    assert!(import(&other, &[&log]).status.success());
    std::fs::rename(&other, &db).unwrap();
    assert_unwritable(&server, "another file is in place");
    stop(server);
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 300);
    assert_sound(&db);
    assert_eq!(pushed(&beside(&db, ".rescued-1")), 10);
    let server = Server::start(&db, &[]);
    assert_eq!(push(&server, 1).0, 200);
}

#[test]
fn a_copy_over_the_history_is_not_damaged_by_the_old_log() {
    let folder = TempDir::new().unwrap();
    let (db, server) = served(&folder);
    let (log, other) = (folder.path().join("log"), folder.path().join("other.db"));
    std::fs::write(&log, audit_records(0..3000)).unwrap();
    assert!(import(&other, &[&log]).status.success());
    std::fs::copy(&other, &db).unwrap();
    assert_unwritable(&server, "was overwritten");
    stop(server);
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 3000);
    assert_sound(&db);
    assert!(beside(&db, "-wal.overwritten").exists());
    let server = Server::start(&db, &[]);
    assert_eq!(push(&server, 1).0, 200);
}

#[test]
fn a_truncated_history_takes_no_push() {
    for bytes in [0, 4096, 20_000] {
        let folder = TempDir::new().unwrap();
        let (db, server) = served(&folder);
        OpenOptions::new().write(true).open(&db).unwrap().set_len(bytes).unwrap();
        assert_unwritable(&server, "was truncated");
        stop(server);
        let size = std::fs::metadata(&db).unwrap().len();
        assert_eq!(size, bytes, "annals changed the file");
        let output = annals().args(["check", "--db"]).arg(&db).output().unwrap();
        assert!(!output.status.success());
        if bytes == 0 {
            assert!(stderr(&output).contains("its write-ahead log"), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_removed_or_truncated_log_loses_nothing_silently() {
    for suffix in ["-wal", "-shm"] {
        let folder = TempDir::new().unwrap();
        let (db, server) = served(&folder);
        std::fs::remove_file(beside(&db, suffix)).unwrap();
        assert_unwritable(&server, "write-ahead log");
        stop(server);
        assert_eq!(pushed(&db), 10, "{suffix}");
        assert_sound(&db);
    }
    let folder = TempDir::new().unwrap();
    let (db, server) = served(&folder);
    File::create(beside(&db, "-wal")).unwrap();
    assert_unwritable(&server, "log was truncated");
}

#[test]
fn what_other_programs_may_do_is_no_fault() {
    let folder = TempDir::new().unwrap();
    let (db, server) = served(&folder);
    let log = folder.path().join("log");
    for round in 0..6 {
        std::fs::write(&log, audit_records(round * 500..round * 500 + 500)).unwrap();
        assert!(import(&db, &[&log]).status.success());
        assert_eq!(push(&server, 100 + round).0, 200);
        let sqlite = rusqlite::Connection::open(&db).unwrap();
        let shell = match round {
            0 => "PRAGMA wal_checkpoint(TRUNCATE)",
            1 => {
                "DELETE FROM query WHERE id % 2; PRAGMA incremental_vacuum(100000); PRAGMA wal_checkpoint(TRUNCATE)"
            }
            2 => "VACUUM",
            3 => "PRAGMA wal_checkpoint(RESTART)",
            _ => "UPDATE query SET user = 'someone'",
        };
        sqlite.execute_batch(shell).unwrap();
        drop(sqlite);
        File::open(&db).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
        assert_eq!(push(&server, 200 + round).0, 200, "{shell}");
        let output =
            annals().args(["prune", "--keep-queries", "100years", "--db"]).arg(&db).output();
        assert!(output.unwrap().status.success());
        assert_eq!(push(&server, 300 + round).0, 200);
    }
    assert_writable(&server);
    stop(server);
    assert_sound(&db);
}

#[test]
fn a_log_without_its_file_is_not_begun_anew() {
    let folder = TempDir::new().unwrap();
    let (db, mut server) = served(&folder);
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let log = beside(&db, "-wal");
    assert!(log.metadata().unwrap().len() > 0);
    let before = std::fs::read(&log).unwrap();
    let whole = std::fs::read(&db).unwrap();
    let input = folder.path().join("log");
    std::fs::write(&input, audit_records(0..1)).unwrap();
    for is_missing in [true, false] {
        match is_missing {
            true => std::fs::remove_file(&db).unwrap(),
            false => drop(File::create(&db).unwrap()),
        }
        let mut serve = annals();
        serve.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut import = annals();
        import.arg("import").arg(&input);
        let mut list = annals();
        list.arg("list");
        let commands = if is_missing { vec![serve, import] } else { vec![serve, import, list] };
        for mut command in commands {
            let output = command.arg("--db").arg(&db).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            let sentence = stderr(&output);
            assert!(
                sentence.contains("is missing or empty, but its write-ahead log"),
                "{sentence}"
            );
            assert_eq!(sentence.lines().count(), 1, "{sentence}");
        }
        assert_eq!(db.exists(), !is_missing);
        assert!(std::fs::read(&log).unwrap() == before);
    }
    std::fs::write(&db, whole).unwrap();
    let server = Server::start(&db, &[]);
    assert_eq!(push(&server, 11).0, 200);
    assert_eq!(pushed(&db), 11);
}

/// Opens new histories with several processes at once.
fn race(rounds: u64, is_empty_file: bool) {
    let folder = TempDir::new().unwrap();
    let logs: Vec<PathBuf> = (0..4).map(|it| folder.path().join(format!("log-{it}"))).collect();
    for (first, log) in (0..).step_by(20).zip(&logs) {
        std::fs::write(log, audit_records(first..first + 20)).unwrap();
    }
    for round in 0..rounds {
        let db = folder.path().join(format!("{round}.db"));
        if is_empty_file {
            File::create(&db).unwrap();
        }
        let start = |log: &PathBuf| {
            let mut command = annals();
            command.arg("import").arg(log).arg("--db").arg(&db);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        };
        let processes: Vec<_> = logs.iter().map(start).collect();
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {}", stderr(&output));
        }
        assert_eq!(number(&db, "SELECT count(*) FROM query"), 80);
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        let names: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(!names.iter().any(|name| name.to_str().unwrap().starts_with('.')), "{names:?}");
    }
}

#[test]
fn processes_that_create_one_history_at_once_all_write_to_it() {
    race(3, false);
    race(2, true);
}

#[test]
#[ignore = "needs time (some ten seconds)"]
fn processes_that_create_one_history_at_once_never_fail() {
    race(30, false);
    race(30, true);
}

#[test]
fn reports_add_up_numbers_of_any_size() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    let numbers: Vec<String> = {
        let sqlite = rusqlite::Connection::open(&db).unwrap();
        let mut columns = sqlite
            .prepare(
                "SELECT name FROM pragma_table_info('query') WHERE type = 'INTEGER' AND pk = 0",
            )
            .unwrap();
        let names = columns.query_map((), |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    for (id, value) in
        [("1", i64::MAX), ("2", i64::MAX), ("3", i64::MIN), ("4", i64::MIN), ("5", 7)]
    {
        assert_eq!(push(&server, id.parse().unwrap()).0, 200);
        let sqlite = rusqlite::Connection::open(&db).unwrap();
        let set: Vec<String> = numbers
            .iter()
            .filter(|name| !["fingerprint", "started_ms"].contains(&name.as_str()))
            .map(|name| format!("{name} = {value}"))
            .collect();
        let sql = format!("UPDATE query SET {} WHERE query_id = 'p-{id}'", set.join(", "));
        sqlite.execute(&sql, ()).unwrap();
    }
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    let mut views = sqlite
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'view' AND name <> 'profile_text'")
        .unwrap();
    let views: Vec<String> =
        views.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(views.len() > 10, "{views:?}");
    for start in [1_722_942_960_000, i64::MAX, i64::MIN] {
        sqlite.execute("UPDATE query SET started_ms = ?", [start]).unwrap();
        for view in &views {
            let mut rows = sqlite.prepare(&format!("SELECT * FROM {view}")).unwrap();
            let mut rows = rows.query(()).unwrap();
            let error = loop {
                match rows.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert_eq!(error.map(|error| error.to_string()), None, "{view}");
        }
        for path in ["/statements", "/", "/api/v1/statements", "/api/v1/timeline", "/status"] {
            assert_ne!(server.get(path).0, 500, "{path} {start}");
        }
        for by in ["statement", "user", "hour"] {
            let output = annals().args(["top", "--by", by, "--db"]).arg(&db).output().unwrap();
            assert_ne!(output.status.code(), Some(101), "{}", stderr(&output));
        }
    }
    // Small sums stay exact integers, and large ones are as large as an integer gets.
    sqlite.execute("UPDATE query SET duration_ms = 7, started_ms = 0", ()).unwrap();
    assert_eq!(number(&db, "SELECT total_ms FROM daily_load"), 35);
    sqlite.execute("UPDATE query SET duration_ms = ?", [i64::MAX]).unwrap();
    assert_eq!(number(&db, "SELECT total_ms FROM user_load"), i64::MAX);
}

#[test]
fn a_check_tells_a_spare_statement_from_a_missing_one() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    for statement in ["select a from t", "select b from u"] {
        let row = json!({"query_id": "x-1", "time": 1_722_942_960_000_u64, "stmt": statement});
        let (status, ..) = server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
        assert_eq!(status, 200);
    }
    stop(server);
    assert_sound(&db);
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite.execute_batch("INSERT INTO statement VALUES (1, 'select nothing')").unwrap();
    assert_sound(&db);
    sqlite.execute_batch("DELETE FROM statement").unwrap();
    let output = annals().args(["check", "--db"]).arg(&db).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("fingerprints without a normalized statement"));
}
