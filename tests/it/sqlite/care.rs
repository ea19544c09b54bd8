//! `annals backup` and `annals check`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::support::{Server, annals, audit_records, data, import, number, stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

fn run(command: &str, db: &Path, arguments: &[&Path]) -> Output {
    annals().arg(command).args(arguments).arg("--db").arg(db).output().unwrap()
}

fn sample(folder: &TempDir) -> PathBuf {
    let db = folder.path().join("annals.db");
    import(&db, &[&data("")]);
    db
}

#[test]
fn a_backup_has_the_same_rows_and_can_be_served() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let copy = folder.path().join("backup.db");
    let output = run("backup", &db, &[&copy]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("copied the history to "), "{}", stdout(&output));
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for table in ["query", "load", "profile", "statement", "account"] {
        let rows = format!("SELECT count(*) FROM {table}");
        assert_eq!(number(&copy, &rows), number(&db, &rows), "{table}");
    }
    // Pruning can only shrink a file with this setting.
    assert_eq!(number(&copy, "SELECT auto_vacuum FROM pragma_auto_vacuum"), 2);
    let answers = |db: &Path| {
        let server = Server::start(db, &["--time-zone", "UTC"]);
        let id = "fbb2582c72884d29-9dd9de3b42b740e9";
        (
            server.envelope("/rest/v1/session?limit=1000")["data"]["rows"].clone(),
            server.get(&format!("/api/profile/text?query_id={id}")).2,
        )
    };
    let (mut copied, mut own) = (answers(&copy), answers(&db));
    for (rows, _) in [&mut copied, &mut own] {
        assert!(rows.as_array().unwrap().len() > 10);
    }
    assert_eq!(copied, own);
    // An existing file is not overwritten, and no temporary file remains.
    let again = run("backup", &db, &[&copy]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("already exists"), "{}", stderr(&again));
    let nowhere = run("backup", &db, &[&folder.path().join("no/where.db")]);
    assert!(stderr(&nowhere).contains("cannot be written"), "{}", stderr(&nowhere));
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains("annals-backup")));
}

#[test]
fn a_backup_during_writes_is_a_consistent_snapshot() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..20_000)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    std::thread::scope(|scope| {
        let pushes = scope.spawn(|| {
            for number in 0..60 {
                let pair = [0, 1].map(|half| {
                    json!({"query_id": format!("pair-{number}-{half}"), "time": 1_700_000_000_000_i64,
                           "stmt": "select 1"})
                });
                let body = json!(pair).to_string();
                assert_eq!(server.send("POST", "/api/v1/queries", &[], body.as_bytes()).0, 200);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        for name in ["1.db", "2.db", "3.db"] {
            let copy = folder.path().join(name);
            let output = run("backup", &db, &[&copy]);
            assert!(output.status.success(), "{}", stderr(&output));
            // The two records of a push are both in the backup, or neither is.
            let pairs = "SELECT count(*) FROM query WHERE query_id LIKE 'pair-%'";
            assert_eq!(number(&copy, pairs) % 2, 0);
            assert!(number(&copy, "SELECT count(*) FROM query") >= 20_000);
        }
        pushes.join().unwrap();
    });
}

#[test]
fn a_check_reports_the_size_of_each_table() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..20_000)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let output = annals().args(["check", "--json", "--db"]).arg(&db).output().unwrap();
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let tables = report["tables"].as_array().unwrap();
    let bytes = |table: &Value, name: &str| table[name].as_i64().unwrap();
    for table in tables {
        let name = table["table"].as_str().unwrap();
        let rows = format!("SELECT count(*) FROM {name}");
        assert_eq!(bytes(table, "rows"), number(&db, &rows), "{name}");
        let pages = format!("SELECT sum(pgsize) FROM dbstat WHERE name = '{name}'");
        assert_eq!(bytes(table, "bytes"), number(&db, &pages), "{name}");
    }
    let indexes = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'query\\_by\\_%' ESCAPE '\\'";
    assert_eq!(tables[0]["table"], "query");
    assert_eq!(bytes(&tables[0], "index_bytes"), number(&db, indexes));
    // The largest table is first. Together the tables are nearly all of the file.
    let sizes: Vec<i64> =
        tables.iter().map(|table| bytes(table, "bytes") + bytes(table, "index_bytes")).collect();
    assert!(sizes.is_sorted_by(|one, next| one >= next), "{sizes:?}");
    let (all, file) = (sizes.iter().sum::<i64>(), report["file_bytes"].as_i64().unwrap());
    assert!(all <= file && all > file * 9 / 10, "{all} of {file}");
    let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' \
                 ESCAPE '\\'";
    assert_eq!(tables.len() as i64, number(&db, known), "the report has each table");
    let printed = stdout(&run("check", &db, &[]));
    let line = printed.lines().find(|line| line.starts_with("  query ")).unwrap();
    assert!(line.contains(" 20021 rows ") && line.contains("MiB, indexes "), "{line}");
}

#[test]
fn a_check_tells_a_sound_history_from_a_damaged_one() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let output = run("check", &db, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("annals.db is sound"), "{}", stdout(&output));
    let output = annals().args(["check", "--json", "--db"]).arg(&db).output().unwrap();
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["sound"], &report["findings"]), (&json!(true), &json!([])));

    // A profile without a query, a plan without a profile, a query without its normalized statement, and a body that is no compressed profile.
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO profile VALUES (9999, 3, CAST('abc' AS BLOB));
             INSERT INTO plan (query, read_version) VALUES (9998, 1);
             DELETE FROM statement WHERE fingerprint = (SELECT max(fingerprint) FROM query);
             UPDATE profile SET body = x'00ff' WHERE query = (SELECT min(query) FROM profile);",
        )
        .unwrap();
    drop(sqlite);
    let output = run("check", &db, &[]);
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for part in [
        "  profiles without a query\n",
        "  plans without a profile\n",
        "  fingerprints without a normalized statement\n",
        "cannot be unpacked",
        "annals.db is damaged",
    ] {
        assert!(printed.contains(part), "{printed}");
    }

    // Overwritten pages.
    let mut bytes = std::fs::read(&db).unwrap();
    for page in (9..bytes.len() / 4096).step_by(3) {
        bytes[page * 4096..page * 4096 + 600].fill(0xa5);
    }
    let broken = folder.path().join("broken.db");
    std::fs::write(&broken, &bytes).unwrap();
    let output = run("check", &broken, &[]);
    assert_ne!(output.status.code(), Some(0), "{}", stdout(&output));
    let (printed, error) = (stdout(&output), stderr(&output));
    let mut lines = std::collections::HashSet::new();
    assert!(printed.lines().all(|line| lines.insert(line)), "{printed}");
    assert!(error.matches("malformed").count() < 2, "{error}");
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    assert!(std::fs::read(&broken).unwrap() == bytes);
    let missing = run("check", &folder.path().join("none.db"), &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(!folder.path().join("none.db").exists());
}
