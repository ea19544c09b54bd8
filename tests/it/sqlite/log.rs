//! The write-ahead log beside a history belongs to another file, or is damaged.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::{Server, annals, audit_records, import, number, stderr, stdout, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Bytes of a log before its first frame, and of a frame.
const HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

fn beside(db: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", db.display()).into()
}

fn push(server: &Server, number: u64) -> (u16, String) {
    let row = json!({"query_id": format!("p-{number}"), "time": 1_722_942_960_000_u64,
                     "stmt": format!("select {number}")});
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
    (status, answer["data"].to_string())
}

fn kill(mut server: Server) {
    server.process.kill().unwrap();
    server.process.wait().unwrap();
}

/// Makes a history of `rows` imported queries, of which a copy is at the second path.
fn with_backup(folder: &TempDir, rows: u64) -> (PathBuf, PathBuf) {
    let path = |name: &str| folder.path().join(name);
    let (db, backup, log) = (path("a.db"), path("backup.db"), path("fe.audit.log"));
    std::fs::write(&log, audit_records(0..rows)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let output = annals().arg("backup").arg(&backup).arg("--db").arg(&db).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    (db, backup)
}

/// Makes a history with a log of forty pushes that a killed server leaves.
fn killed(folder: &TempDir) -> PathBuf {
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    for number in 0..40 {
        assert_eq!(push(&server, number).0, 200);
    }
    kill(server);
    db
}

fn pushed(db: &Path) -> i64 {
    number(db, "SELECT count(*) FROM query WHERE query_id LIKE 'p-%'")
}

/// Asserts that every command rejects a file with this sentence, and changes neither the file nor its log.
fn assert_rejected(db: &Path, sentence: &str) {
    let (file, log) = (std::fs::read(db).unwrap(), std::fs::read(beside(db, "-wal")).unwrap());
    let serve: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
    for arguments in [&serve[..], &["list"], &["prune", "--keep-queries", "1000years"]] {
        let output = annals().args(arguments).arg("--db").arg(db).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {error}");
        assert!(error.contains(sentence), "{arguments:?} {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(std::fs::read(db).unwrap() == file, "{arguments:?} changed the file");
        assert!(std::fs::read(beside(db, "-wal")).unwrap() == log, "{arguments:?} changed the log");
    }
}

fn salvage(broken: &Path, good: &Path) -> (Option<i32>, Value) {
    let output = annals().args(["salvage", "--json"]).args([broken, good]).output().unwrap();
    let report = serde_json::from_str(&stdout(&output));
    (output.status.code(), report.unwrap_or_else(|_| panic!("{}", stderr(&output))))
}

fn check(db: &Path) -> (Option<i32>, Value) {
    let output = annals().args(["check", "--json", "--db"]).arg(db).output().unwrap();
    (output.status.code(), serde_json::from_str(&stdout(&output)).unwrap_or_default())
}

#[test]
fn an_old_log_is_not_replayed_into_a_restored_file() {
    let folder = TempDir::new().unwrap();
    let (db, backup) = with_backup(&folder, 500);
    let server = Server::start(&db, &[]);
    for number in 0..20 {
        assert_eq!(push(&server, number).0, 200);
    }
    kill(server);
    let salvaged = folder.path().join("salvaged.db");
    assert_eq!(salvage(&db, &salvaged).0, Some(0));
    for restored in [&backup, &salvaged] {
        let rows = number(restored, "SELECT count(*) FROM query");
        std::fs::copy(restored, &db).unwrap();
        assert_rejected(&db, "belongs to another file");
        let (log, index) = (beside(&db, "-wal"), beside(&db, "-shm"));
        let kept = std::fs::read(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        let _ = std::fs::remove_file(index);
        let server = Server::start(&db, &[]);
        assert_eq!(push(&server, 1000).0, 200);
        // The log that the file has now is its own, also after a kill.
        kill(server);
        let server = Server::start(&db, &[]);
        assert_eq!(push(&server, 1001).0, 200);
        drop(server);
        assert_eq!(number(&db, "SELECT count(*) FROM query"), rows + 2);
        std::fs::write(&log, kept).unwrap();
    }
}

#[test]
fn a_log_that_is_left_by_a_cut_file_is_not_replayed_into_a_backup() {
    let folder = TempDir::new().unwrap();
    let (db, backup) = with_backup(&folder, 500);
    let mut server = Server::start(&db, &[]);
    for number in 0..20 {
        assert_eq!(push(&server, number).0, 200);
    }
    OpenOptions::new().write(true).open(&db).unwrap().set_len(20_000).unwrap();
    let (status, message) = push(&server, 20);
    assert_eq!(status, 503, "{message}");
    assert!(message.contains("-wal") && message.contains("-shm"), "{message}");
    server.signal("TERM");
    server.process.wait().unwrap();
    std::fs::copy(&backup, &db).unwrap();
    assert_rejected(&db, "belongs to another file");
}

#[test]
fn a_slow_copy_over_the_history_is_not_taken_for_a_cut_file() {
    let folder = TempDir::new().unwrap();
    let (db, backup) = with_backup(&folder, 500);
    let mut server = Server::start(&db, &[]);
    assert_eq!(push(&server, 0).0, 200);
    let bytes = std::fs::read(&backup).unwrap();
    let mut file = OpenOptions::new().write(true).truncate(true).open(&db).unwrap();
    for part in [&bytes[..10_000], &bytes[10_000..]] {
        let (status, _) = push(&server, 1);
        assert_eq!(status, 503);
        file.write_all(part).unwrap();
    }
    drop(file);
    let fault = || push(&server, 2).1;
    wait_until(|| fault().contains("was overwritten"), fault);
    server.signal("TERM");
    server.process.wait().unwrap();
    assert!(beside(&db, "-wal.overwritten").exists());
    let server = Server::start(&db, &[]);
    assert_eq!(push(&server, 3).0, 200);
    drop(server);
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 501);
    assert_eq!(check(&db).0, Some(0));
}

#[test]
fn a_damaged_log_is_found_and_its_later_commits_are_saved() {
    let folder = TempDir::new().unwrap();
    let db = killed(&folder);
    let log = beside(&db, "-wal");
    let whole = std::fs::read(&log).unwrap();
    let frames = (whole.len() - HEADER) / FRAME;
    let frame = |number: usize| HEADER + number * FRAME;
    // Where bytes are changed, and how many.
    let damages = [
        ("two bytes of a page in the middle", frame(frames / 2) + 2000, 2),
        ("a page number", frame(frames / 3), 2),
        ("the salts of a frame", frame(frames / 2) + 8, 8),
        ("a checksum", frame(frames / 4) + 16, 2),
        ("a whole frame", frame(frames / 2), FRAME),
        ("the magic number of the log", 0, 4),
        ("the salts of the log", 16, 2),
        ("the checksum of the log", 24, 2),
        ("the page size of the log", 8, 4),
        ("the header of the log", 0, HEADER),
    ];
    for (what, at, bytes) in damages {
        let mut damaged = whole.clone();
        damaged[at..at + bytes].iter_mut().for_each(|byte| *byte ^= 0xa5);
        std::fs::write(&log, &damaged).unwrap();
        assert_rejected(&db, "`annals salvage`");
        let (code, report) = check(&db);
        assert_eq!((code, &report["sound"]), (Some(1), &json!(false)), "{what} {report}");
        let findings = report["findings"].to_string();
        assert!(findings.contains("write-ahead log"), "{what} {findings}");
        let good = folder.path().join("good.db");
        let (code, report) = salvage(&db, &good);
        let saved = pushed(&good);
        assert!(saved == 40, "{what} {saved} {report}");
        let is_certain =
            what.ends_with("of the log") && !what.contains("header") && !what.contains("checksum");
        assert_eq!(code, Some(if is_certain { 0 } else { 1 }), "{what} {report}");
        assert_eq!(report["damaged_frames"] == json!(0), is_certain, "{what} {report}");
        assert_eq!(check(&good).0, Some(0), "{what}");
        std::fs::remove_file(&good).unwrap();
    }
    // The last transaction may be torn by a loss of power, and is not acknowledged then.
    for cut in [1, 1000, FRAME, FRAME + 100] {
        std::fs::write(&log, &whole[..whole.len() - cut]).unwrap();
        assert_eq!(check(&db).0, Some(0), "{cut}");
    }
    let mut torn = whole.clone();
    torn[frame(frames - 1) + 512..].fill(0);
    std::fs::write(&log, &torn).unwrap();
    let server = Server::start(&db, &[]);
    assert_eq!(push(&server, 100).0, 200);
}

#[test]
fn parts_of_a_log_that_is_in_the_file_already_are_no_damage() {
    let folder = TempDir::new().unwrap();
    let db = killed(&folder);
    let log = beside(&db, "-wal");
    let mut parts = std::fs::read(&log).unwrap();
    assert_eq!(pushed(&db), 40);
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(sqlite);
    // A loss of power undoes a part of the cut.
    parts[..HEADER + 3 * FRAME + 512].fill(0);
    std::fs::write(&log, parts).unwrap();
    assert_eq!(check(&db).0, Some(0));
    let server = Server::start(&db, &[]);
    assert_eq!(push(&server, 100).0, 200);
    assert_eq!(pushed(&db), 41);
}

#[test]
fn commands_beside_a_busy_server_find_no_damage_in_its_log() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    std::thread::scope(|scope| {
        let pushes =
            scope.spawn(|| (0..300).for_each(|number| assert_eq!(push(&server, number).0, 200)));
        while !pushes.is_finished() {
            let output = annals().args(["list", "-n", "1", "--db"]).arg(&db).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        }
    });
}
