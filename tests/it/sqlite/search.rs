//! The search index: it skips statements, and never one that matches.

use std::path::Path;

use crate::search::{QUERIES, found, push};
use crate::support::{self, Server, execute, import, number, texts, wait_until};
use tempfile::TempDir;

fn wait_for(db: &Path, sql: &str, value: i64) {
    wait_until(|| number(db, sql) == value, || format!("{sql} is {}", number(db, sql)));
}

/// Waits until the index has this many segments that are not stale.
pub(crate) fn wait_for_segments(db: &Path, segments: i64) {
    wait_for(db, FRESH, segments);
}

const FRESH: &str = "SELECT count(*) FROM search_segment WHERE NOT is_stale";

/// Asserts that the index grows behind a statement that has just changed, and behind rows that are removed.
pub(crate) fn assert_index_follows(server: &Server, db: &Path) {
    assert_eq!(number(db, FRESH), 1);
    push(server, QUERIES..QUERIES + 5000);
    wait_for_segments(db, 2);
    assert_eq!(found(server, "search=but%20made%20whole"), ["q-700"]);

    // Rows are removed, and new rows get their ids.
    execute(db, "DELETE FROM query WHERE id > 300");
    assert_eq!(found(server, "search=needle-in"), Vec::<String>::new());
    push(server, (19_000..26_000).chain(48_000..50_000));
    let needles = ["q-49999".to_string(), "q-20000".to_string()];
    let mut again = found(server, "search=needle-in");
    again.sort_by(|a, b| b.cmp(a));
    assert_eq!(again, needles);
    wait_for(db, "SELECT count(*) FROM search_segment", 0);
    assert_eq!(number(db, "SELECT count(*) FROM search_page"), 0);
}

#[test]
fn an_import_fills_the_search_index() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, support::audit_records(0..40_000)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    assert_eq!(number(&db, FRESH), 1);
    // A damaged index page excludes no statement.
    execute(&db, "UPDATE search_page SET masks = x'00' WHERE id % 2");
    execute(&db, "DELETE FROM search_page WHERE NOT id % 2");
    let server = Server::start(&db, &[]);
    let [statement] = &texts(&db, "SELECT statement FROM query WHERE id = 1000")[..] else {
        panic!("no query has this id");
    };
    let mut encoded = String::new();
    for byte in statement.bytes() {
        encoded.push_str(&format!("%{byte:02x}"));
    }
    assert!(!found(&server, &format!("search={encoded}")).is_empty());
}
