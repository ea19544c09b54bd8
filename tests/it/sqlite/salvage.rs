//! Damaged histories: what `check` finds, what `salvage`, `merge` and `export` save, and how a server answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{
    Server, add_user, annals, audit_record, data, import, number, read_plans, stderr, stdout,
    unread_plans,
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn id(number: usize) -> String {
    format!("{:x}-{number:x}", (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Makes a history with rows of each kind: short and long statements, profiles, loads, users, labels, free pages.
pub(super) fn history(folder: &TempDir, rows: usize) -> PathBuf {
    let (db, log) = (folder.path().join("whole.db"), folder.path().join("fe.audit.log"));
    let records: Vec<String> = (0..rows)
        .map(|number| {
            let long = if number % 50 == 0 { "x".repeat(9000) } else { String::new() };
            let statement = format!("select {number}, '{long}' from t{}", number % 7);
            let time = format!(
                "2024-01-02 11:{:02}:{:02},{:03}",
                number / 60_000,
                number / 1000 % 60,
                number % 1000
            );
            audit_record(&time, &[("QueryId", &id(number)), ("Stmt", &statement)])
        })
        .collect();
    std::fs::write(&log, records.concat()).unwrap();
    // Text that does not compress needs pages of its own.
    let noise = |line: u64| {
        let word =
            |at: u64| format!("{:x}", (line * 9 + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..9).map(word).collect::<Vec<_>>().join(" ")
    };
    let noise: Vec<String> = (0..300).map(|line| format!("  - {}\n", noise(line))).collect();
    let text = std::fs::read_to_string(data("profiles/doris-2.1.txt")).unwrap();
    let large = folder.path().join("profile.txt");
    std::fs::write(&large, text + &noise.concat()).unwrap();
    assert!(import(&db, &[&log, &data(""), &large]).status.success());
    read_plans(&db);
    add_user(&db, "root", "admin");
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite
        .execute_batch(
            "INSERT INTO stream_load_label VALUES ('prod', 'db', 'label', 9000000000000);
             DELETE FROM query WHERE id BETWEEN 500 AND 700;
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(sqlite);
    db
}

/// Returns the pages of a table or an index of one type, as dbstat calls it.
pub(super) fn pages_of(db: &Path, name: &str, kind: &str) -> Vec<usize> {
    let sqlite = rusqlite::Connection::open(db).unwrap();
    let mut pages = sqlite
        .prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path")
        .unwrap();
    let pages = pages.query_map([name, kind], |row| row.get::<_, i64>(0)).unwrap();
    pages.map(|page| page.unwrap() as usize).collect()
}

/// Copies a history with one page overwritten.
pub(super) fn broken(whole: &Path, page: usize, from: usize, byte: u8) -> PathBuf {
    let mut bytes = std::fs::read(whole).unwrap();
    bytes[(page - 1) * 4096 + from..page * 4096].fill(byte);
    let path = whole.with_file_name("broken.db");
    std::fs::write(&path, &bytes).unwrap();
    path
}

pub(super) fn run(command: &str, db: &Path, arguments: &[&str]) -> Output {
    annals().arg(command).args(arguments).arg("--db").arg(db).output().unwrap()
}

fn salvage(broken: &Path, good: &Path) -> (Output, Value) {
    let output = annals().args(["salvage", "--json"]).args([broken, good]).output().unwrap();
    let json = serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null);
    (output, json)
}

pub(super) fn ids(db: &Path) -> BTreeSet<String> {
    let sqlite = rusqlite::Connection::open(db).unwrap();
    let mut ids = sqlite.prepare("SELECT query_id FROM query").unwrap();
    ids.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn stock_shell_reads(db: &Path) {
    let shell = Command::new("sqlite3").arg(db).arg("PRAGMA integrity_check").output();
    if let Ok(shell) = shell {
        assert_eq!(stdout(&shell).trim(), "ok");
    }
}

#[test]
fn a_whole_history_is_saved_as_it_is() {
    let folder = TempDir::new().unwrap();
    let whole = history(&folder, 1500);
    let good = folder.path().join("good.db");
    let (output, report) = salvage(&whole, &good);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(report["whole"], true);
    let rows = |db: &Path| -> Vec<String> {
        let sqlite = rusqlite::Connection::open(db).unwrap();
        let mut rows = sqlite
            .prepare(
                "SELECT json_array(query_id, kind, state, started_at, duration_ms, user, statement, fingerprint, extra,
                                   is_slow, has_profile) FROM query_history
                 UNION ALL SELECT query_id || hex(body) FROM profile JOIN query ON query.id = profile.query
                 UNION ALL SELECT json_array(query_id, plan_fingerprint, work_ns, execution_ms) FROM plan_history
                 UNION ALL SELECT json_array(query_id, label, load_bytes) FROM load_history
                 UNION ALL SELECT json_array(at, user, succeeded) FROM login_history
                 UNION ALL SELECT json_array(name, role, password_hash) FROM account
                 UNION ALL SELECT json_array(name, role, hex(hash), created_ms, expires_ms) FROM token
                 UNION ALL SELECT json_array(query_id, source, time_zone, time_source = 0)
                     FROM query LEFT JOIN time_source AS t ON t.id = time_source
                 UNION ALL SELECT json_array(db, label, loaded_ms) FROM stream_load_label ORDER BY 1",
            )
            .unwrap();
        rows.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    read_plans(&good);
    assert!(rows(&good) == rows(&whole));
    stock_shell_reads(&good);
    // No file is overwritten, and nothing else is left.
    let (output, _) = salvage(&whole, &good);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("already exists"));
    let left = std::fs::read_dir(folder.path()).unwrap().flatten();
    assert!(
        !left.map(|entry| entry.file_name()).any(|name| name.to_str().unwrap().starts_with('.'))
    );
}

#[test]
fn one_damaged_page_costs_what_is_in_that_page() {
    damage_each_kind_of_page(1000, &[(0, 0)]);
}

#[test]
#[ignore = "needs time (minutes in a debug build)"]
fn one_damaged_page_of_many_costs_what_is_in_that_page() {
    damage_each_kind_of_page(4000, &[(0, 0), (0, 0xa5), (8, 0x01)]);
}

/// Damages one page after another, each from some byte on with some value.
fn damage_each_kind_of_page(rows: usize, damages: &[(usize, u8)]) {
    let folder = TempDir::new().unwrap();
    let whole = history(&folder, rows);
    let all = ids(&whole);
    let of = |name: &str, kind: &str| {
        let pages = pages_of(&whole, name, kind);
        *pages.get(pages.len() / 2).unwrap_or_else(|| panic!("no {kind} page of {name}"))
    };
    let root = |name: &str| {
        number(&whole, &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'"))
            as usize
    };
    let free = {
        let bytes = std::fs::read(&whole).unwrap();
        u32::from_be_bytes(bytes[32..36].try_into().unwrap()) as usize
    };
    assert!(free > 0);
    // What is damaged, its page, and the most queries that are lost.
    let cases = [
        ("a leaf of the queries", of("query", "leaf"), 40),
        ("an interior page of the queries", root("query"), 0),
        ("a page of a long statement", of("query", "overflow"), 0),
        ("a leaf of the index of ids", of("query_by_query_id", "leaf"), 0),
        ("the root of the index of ids", root("query_by_query_id"), 0),
        ("a leaf of an index by start", of("query_by_start", "leaf"), 0),
        ("a page of a profile", of("profile", "overflow"), 0),
        ("a leaf of the profiles", of("profile", "leaf"), 0),
        ("the plans", root("plan"), 0),
        ("the list of free pages", free, 0),
        ("the pointer map", 2, 0),
        ("the header and the root of the schema", 1, 0),
        ("a leaf of the schema", of("sqlite_schema", "leaf"), 0),
        ("the users", root("account"), 0),
    ];
    for (what, page, most) in cases {
        for &(from, byte) in damages {
            let broken = broken(&whole, page, from, byte);
            let before = std::fs::read(&broken).unwrap();
            let good = folder.path().join("good.db");
            let _ = std::fs::remove_file(&good);
            let (output, report) = salvage(&broken, &good);
            let printed = format!("{what} {from} {byte}: {report} {}", stderr(&output));
            assert!(matches!(output.status.code(), Some(0 | 1)), "{printed}");
            assert!(std::fs::read(&broken).unwrap() == before, "{what}: the file was changed");
            let saved = ids(&good);
            let lost: Vec<_> = all.difference(&saved).collect();
            assert!(lost.len() <= most, "{printed} {} lost", lost.len());
            assert!(saved.difference(&all).count() == 0, "{printed} deleted queries are back");
            if !lost.is_empty() {
                assert_eq!(output.status.code(), Some(1), "{printed}");
                let known: BTreeSet<&str> = report["queries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| id.as_str().unwrap())
                    .collect();
                assert!(lost.iter().all(|id| known.contains(id.as_str())), "{printed}");
            }
            if what != "the users" {
                assert_eq!(number(&good, "SELECT count(*) FROM account"), 1, "{printed}");
            }
            assert!(run("check", &good, &[]).status.success(), "{printed}");
            // The check never calls a damaged file sound, and a script can read what is hit.
            let checked = run("check", &broken, &["--json"]);
            let found: Value = serde_json::from_str(&stdout(&checked)).unwrap_or_default();
            let printed = format!("{what} {from} {byte}: {found} {}", stderr(&checked));
            assert!(!printed.contains("panicked"), "{printed}");
            // SQLite has no checksums: a text with other letters is a text.
            let is_only_content = from > 0 && what.starts_with("a page of");
            if !(what.contains("free pages") || what.contains("pointer map") || is_only_content) {
                assert_eq!(checked.status.code(), Some(1), "{printed}");
                assert_eq!(found["sound"], false, "{printed}");
            }
            let profiles = number(&good, "SELECT count(*) FROM profile");
            assert_eq!(unread_plans(&good), profiles, "{what}");
            if what == "a leaf of the queries" && from == 0 {
                assert_eq!(found["unreadable"]["pages"], json!([{"page": page, "table": "query"}]));
                assert_eq!(found["unreadable"]["queries"].as_array().unwrap().len(), lost.len());
            }
        }
    }
}

#[test]
fn records_in_the_write_ahead_log_are_saved() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let mut server = Server::start(&db, &[]);
    for number in 0..200 {
        let row = json!({"query_id": format!("p-{number}"), "time": 1_722_942_960_000_u64, "stmt": "select 1"});
        assert_eq!(server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes()).0, 200);
    }
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let wal = format!("{}-wal", db.display());
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    let good = folder.path().join("good.db");
    let (output, report) = salvage(&db, &good);
    assert_eq!(output.status.code(), Some(0), "{report}{}", stderr(&output));
    assert_eq!(ids(&good).len(), 200);
    // SQLite's recovery ends at a frame that is damaged. What was committed later is there, too.
    let mut bytes = std::fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 100].fill(0xa5);
    std::fs::write(&wal, &bytes).unwrap();
    let half = folder.path().join("half.db");
    let (output, report) = salvage(&db, &half);
    assert_eq!(output.status.code(), Some(1), "{report}{}", stderr(&output));
    assert!(report["damaged_frames"].as_u64() > Some(0), "{report}");
    let saved = ids(&half).len();
    assert!(saved > 190, "{saved}");
}

#[test]
fn what_is_no_history_cannot_be_saved() {
    let folder = TempDir::new().unwrap();
    let (file, good) = (folder.path().join("notes"), folder.path().join("good.db"));
    std::fs::write(&file, "These are notes. ".repeat(2000)).unwrap();
    for broken in [&file, &folder.path().join("none")] {
        let (output, _) = salvage(broken, &good);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        assert!(!good.exists());
    }
}

#[test]
fn merge_and_export_keep_what_can_be_read_and_say_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let whole = history(&folder, 1500);
    let all = ids(&whole).len();
    let leaves = pages_of(&whole, "query", "leaf");
    let broken = broken(&whole, leaves[leaves.len() / 2], 0, 0);
    let joined = folder.path().join("joined.db");
    let output = run("merge", &joined, &[broken.to_str().unwrap()]);
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}{}", stderr(&output));
    assert!(
        printed.contains("queries cannot be read: the file is damaged; `annals salvage`"),
        "{printed}"
    );
    let lost = all - ids(&joined).len();
    assert!((1..=40).contains(&lost), "{lost} lost");
    assert!(printed.contains(&format!("  {lost} queries cannot be read")), "{printed}");
    assert!(run("check", &joined, &[]).status.success());
    let output = run("export", &broken, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("`annals salvage`"), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), all - lost);
}

#[test]
fn a_server_writes_nothing_to_a_damaged_history_and_says_why() {
    let folder = TempDir::new().unwrap();
    let whole = history(&folder, 1500);
    let sqlite = rusqlite::Connection::open(&whole).unwrap();
    sqlite.execute_batch("DELETE FROM account; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(sqlite);
    let mut all_pages = pages_of(&whole, "query", "leaf");
    all_pages.extend(pages_of(&whole, "query_by_query_id", "leaf"));
    let mut bytes = std::fs::read(&whole).unwrap();
    for page in all_pages {
        bytes[(page - 1) * 4096..page * 4096].fill(0);
    }
    let broken = folder.path().join("broken.db");
    let push = |server: &Server| {
        let row = json!({"query_id": "p-1", "time": 1_722_942_960_000_u64, "stmt": "select 1"});
        server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes())
    };
    for reads_first in [true, false] {
        std::fs::write(&broken, &bytes).unwrap();
        let server = Server::start(&broken, &[]);
        if reads_first {
            let (status, _, body) = server.get("/rest/v1/session");
            let body = String::from_utf8(body).unwrap();
            assert!(status == 503 && body.contains("the history is damaged"), "{status} {body}");
        } else {
            assert_eq!(push(&server).0, 503);
        }
        let (status, answer, _) = push(&server);
        assert_eq!(status, 503, "{answer}");
        let message = answer["data"].as_str().unwrap();
        assert!(
            message.contains("the history is damaged") && message.contains("salvage"),
            "{message}"
        );
        assert!(message.contains("nothing was stored"), "{message}");
        assert_eq!(server.get("/api/health").0, 503);
    }
}

#[test]
fn a_cut_file_is_not_whole_and_a_wrong_page_size_costs_nothing() {
    let folder = TempDir::new().unwrap();
    let db = history(&folder, 1000);
    let bytes = std::fs::read(&db).unwrap();
    let salvage = |name: &str, content: &[u8]| {
        let (broken, good) = (folder.path().join(name), folder.path().join(format!("{name}.good")));
        std::fs::write(&broken, content).unwrap();
        let output = annals().arg("salvage").args([&broken, &good]).arg("--json").output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    // The end of a page.
    let (code, report) = salvage("half.db", &bytes[..bytes.len() / 8192 * 4096]);
    assert_eq!((code, &report["whole"]), (Some(1), &json!(false)), "{report}");
    assert_eq!(report["pages"].as_array().unwrap().len(), bytes.len() / 4096 - bytes.len() / 8192);
    let mut other_size = bytes.clone();
    other_size[16..18].copy_from_slice(&8192_u16.to_be_bytes());
    let (code, report) = salvage("size.db", &other_size);
    let saved = number(&db, "SELECT count(*) FROM query");
    assert_eq!((code, &report["saved"]["query"]), (Some(0), &json!(saved)), "{report}");
}
