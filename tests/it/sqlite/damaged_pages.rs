//! One damaged page, and what `merge`, `export`, `check` and a server read of the rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::salvage::{broken, history, ids, pages_of, run};
use crate::support::{Server, number, stderr, stdout};

/// Returns a history with some loads and with a profile for each fifth query, on several pages.
fn with_profiles(folder: &TempDir) -> PathBuf {
    let db = history(folder, 1000);
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite
        .execute_batch(
            "DELETE FROM account;
             INSERT OR IGNORE INTO profile
             SELECT query.id, text_bytes, body FROM query,
                 (SELECT * FROM profile ORDER BY length(body) LIMIT 1) WHERE query.id % 5 = 0;
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(sqlite);
    db
}

fn root(db: &Path, name: &str) -> usize {
    number(db, &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'")) as usize
}

fn middle(db: &Path, name: &str, kind: &str) -> usize {
    let pages = pages_of(db, name, kind);
    *pages.get(pages.len() / 2).unwrap_or_else(|| panic!("no {kind} page of {name}"))
}

/// Returns the ids that an export writes, and the last line that it reports.
fn exported(db: &Path, status: i32, arguments: &[&str]) -> (BTreeSet<String>, String) {
    let output = run("export", db, arguments);
    assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    let printed = stdout(&output);
    let id =
        |line| serde_json::from_str::<Value>(line).unwrap()["query_id"].as_str().unwrap().into();
    let ids: BTreeSet<String> = printed.lines().map(id).collect();
    assert_eq!(ids.len(), printed.lines().count(), "a query was written twice");
    (ids, stderr(&output).lines().last().unwrap_or_default().to_string())
}

/// Returns the history that a merge of a damaged one makes, and what it printed.
fn merged(broken: &Path) -> (PathBuf, String) {
    let joined = broken.with_file_name("joined.db");
    let _ = std::fs::remove_file(&joined);
    let output = run("merge", &joined, &[broken.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    assert!(run("check", &joined, &[]).status.success());
    (joined, stdout(&output))
}

#[test]
fn a_table_without_a_root_is_not_empty() {
    let folder = TempDir::new().unwrap();
    let whole = with_profiles(&folder);
    let all = ids(&whole).len();
    let broken = broken(&whole, root(&whole, "query"), 0, 0);
    let (joined, printed) = merged(&broken);
    assert_eq!(ids(&joined).len(), 0);
    assert!(printed.contains(&format!("  {all} queries cannot be read")), "{printed}");
    let (ids, reported) = exported(&broken, 1, &[]);
    assert_eq!(ids.len(), 0);
    assert!(reported.contains(&format!(" {all} queries cannot be read")), "{reported}");
}

#[test]
fn damaged_loads_and_profiles_cost_no_query() {
    let folder = TempDir::new().unwrap();
    let whole = with_profiles(&folder);
    let all = ids(&whole);
    let profiles = number(&whole, "SELECT count(*) FROM profile");
    let loads = number(&whole, "SELECT count(*) FROM load");
    assert!(loads > 0 && pages_of(&whole, "profile", "leaf").len() > 4);
    let leaf = middle(&whole, "profile", "leaf");
    let cases = [
        ("load", root(&whole, "load"), (profiles, profiles), (0, 0)),
        ("profile", root(&whole, "profile"), (0, 0), (loads, loads)),
        ("profile", leaf, (profiles - 60, profiles - 1), (loads, loads)),
    ];
    for (table, page, profiles, loads) in cases {
        let broken = broken(&whole, page, 0, 0);
        let (joined, printed) = merged(&broken);
        assert!(ids(&joined) == all, "{table} {page}");
        assert!(printed.contains(table) && printed.contains("cannot be read"), "{printed}");
        for (table, (least, most)) in [("profile", profiles), ("load", loads)] {
            let kept = number(&joined, &format!("SELECT count(*) FROM {table}"));
            assert!((least..=most).contains(&kept), "{kept} rows of {table}: {printed}");
        }
        for arguments in [&[][..], &["--state", "EOF"]] {
            let (whole_ids, _) = exported(&whole, 0, arguments);
            // No load is in this state, so nothing is missing.
            let is_whole = table == "load" && !arguments.is_empty();
            let (ids, reported) = exported(&broken, if is_whole { 0 } else { 1 }, arguments);
            assert!(ids == whole_ids, "{table} {page} {arguments:?}");
            let is_said = reported.contains(table) && reported.contains("cannot be read");
            assert!(is_whole || is_said, "{reported}");
        }
        let server = Server::start(&broken, &[]);
        let some = all.iter().next().unwrap();
        for path in [
            "/api/v1/queries?limit=1000",
            &format!("/api/v1/queries/{some}"),
            "/rest/v1/session",
            "/",
        ] {
            let (status, _, body) = server.get(path);
            assert_eq!(status, 200, "{table} {page} {path} {}", String::from_utf8_lossy(&body));
        }
    }
}

#[test]
fn an_export_needs_no_index_by_start() {
    let folder = TempDir::new().unwrap();
    let whole = with_profiles(&folder);
    let pages = [middle(&whole, "query_by_start", "leaf"), root(&whole, "query_by_start")];
    for page in pages {
        let broken = broken(&whole, page, 0, 0);
        for arguments in [
            &[][..],
            &["--state", "EOF"],
            &["--search", "select 7"],
            &["--from", "2024-01-02 11:00:00.300", "--to", "2024-01-02 11:00:00.400"],
        ] {
            let (whole_ids, _) = exported(&whole, 0, arguments);
            assert!(!whole_ids.is_empty(), "{arguments:?}");
            let output = run("export", &broken, arguments);
            // A search may use another index.
            let status = output.status.code().unwrap();
            let (ids, reported) = exported(&broken, status, arguments);
            assert!(ids == whole_ids, "{page} {arguments:?} {} {}", ids.len(), whole_ids.len());
            if arguments.is_empty() {
                assert_eq!(status, 1);
                assert!(reported.contains("every query was written"), "{reported}");
            }
        }
    }
    // A search goes on behind rows that cannot be read.
    let rows = broken(&whole, middle(&whole, "query", "leaf"), 0, 0);
    let (all, _) = exported(&whole, 0, &["--state", "EOF"]);
    let (some, reported) = exported(&rows, 1, &["--state", "EOF"]);
    assert!(some.is_subset(&all) && some.len() + 40 >= all.len(), "{}", some.len());
    assert!(reported.contains("some queries cannot be read"), "{reported}");
    // Rows and the index: both are counted.
    let leaf = middle(&whole, "query", "leaf");
    let by_start = broken(&whole, pages[1], 0, 0);
    let both = broken(&by_start, leaf, 0, 0);
    let (ids_read, reported) = exported(&both, 1, &[]);
    let lost = ids(&whole).len() - ids_read.len();
    assert!((1..=40).contains(&lost), "{lost}");
    assert!(reported.contains(&format!(" {lost} queries cannot be read")), "{reported}");
}

#[test]
fn commands_read_without_the_index_of_migrations() {
    let folder = TempDir::new().unwrap();
    let whole = history(&folder, 10);
    let all = ids(&whole);
    let broken = broken(&whole, root(&whole, "sqlite_autoindex__sqlx_migrations_1"), 0, 0);
    assert!(exported(&broken, 0, &[]).0 == all);
    assert_eq!(run("check", &broken, &[]).status.code(), Some(1));
}

#[test]
fn bytes_that_are_no_text_are_found_and_shown() {
    let folder = TempDir::new().unwrap();
    let whole = with_profiles(&folder);
    let all = ids(&whole);
    // The first bytes are the number of the next page.
    let broken = broken(&whole, middle(&whole, "query", "overflow"), 8, 0xa5);
    let checked = run("check", &broken, &[]);
    assert_eq!(checked.status.code(), Some(1), "{}", stdout(&checked));
    assert!(stdout(&checked).contains("query.statement"), "{}", stdout(&checked));
    assert!(exported(&broken, 1, &[]).0 == all);
    let (joined, printed) = merged(&broken);
    assert!(ids(&joined) == all);
    assert!(printed.contains("parts of the texts of 1 query cannot be read"), "{printed}");
    let server = Server::start(&broken, &[]);
    for path in ["/api/v1/queries?limit=1000", "/rest/v1/session?limit=1000", "/"] {
        let (status, _, body) = server.get(path);
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, 200, "{path} {body}");
        assert!(path == "/" || body.contains('\u{fffd}'), "{path}");
    }
    assert_eq!(server.get("/api/health").0, 200);
}
