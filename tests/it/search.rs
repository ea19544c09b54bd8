//! Searching statements: the search index skips statements, and never one that matches.

use std::path::Path;

use crate::support::{self, Server, import, number, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Two complete segments of the index, and rows that no segment has yet.
const QUERIES: i64 = 50_000;

fn row(number: i64) -> Value {
    let statement = match number {
        700 => "select 'needle-in-the-first' -- cut...".to_string(),
        20_000 => "SELECT 'Needle-In-The-Second'".to_string(),
        49_999 => "select 'needle-in-the-newest'".to_string(),
        _ => format!("select c_{} from orders_{} where id = {number}", number % 50, number % 7),
    };
    json!({
        // The order of starts differs from the order of arrival.
        "query_id": format!("q-{number}"), "time": 1_700_000_000_000_i64 + number * 7919 % QUERIES * 1000,
        "user": format!("user{}", number % 3), "db": "shop", "query_time": number % 100,
        "stmt": statement,
    })
}

fn push(server: &Server, rows: impl Iterator<Item = i64>) {
    let body: String = rows.map(|number| format!("{}\n", row(number))).collect();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], body.as_bytes());
    assert_eq!(status, 200, "{answer}");
}

fn ids(envelope: &Value) -> Vec<String> {
    let rows = envelope["data"].as_array().unwrap();
    rows.iter().map(|row| row["query_id"].as_str().unwrap().to_string()).collect()
}

fn found(server: &Server, parameters: &str) -> Vec<String> {
    ids(&server.envelope(&format!("/api/v1/queries?{parameters}")))
}

/// Returns the ids that SQLite finds in a full scan.
fn scanned(db: &Path, condition: &str, limit: i64) -> Vec<String> {
    let sqlite = rusqlite::Connection::open(db).unwrap();
    let sql = format!(
        "SELECT query_id FROM query WHERE {condition} ORDER BY started_ms DESC, id DESC LIMIT {limit}"
    );
    let mut statement = sqlite.prepare(&sql).unwrap();
    let ids = statement.query_map((), |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

fn wait_for(db: &Path, sql: &str, value: i64) {
    wait_until(|| number(db, sql) == value, || format!("{sql} is {}", number(db, sql)));
}

const FRESH: &str = "SELECT count(*) FROM search_segment WHERE NOT is_stale";

/// Asserts that searches of several kinds find what a full scan finds.
fn assert_same_as_scan(server: &Server, db: &Path) {
    for (parameters, condition, limit) in [
        ("search=needle-in", "statement LIKE '%needle-in%'", 100),
        ("search=NEEDLE-in-the-second", "query_id = 'q-20000'", 100),
        ("search=nowhere-to-be-found", "0", 100),
        ("search=id%20%3D%2012345", "statement LIKE '%id = 12345%'", 100),
        ("search=orders_3&limit=1000", "statement LIKE '%orders_3%'", 1000),
        ("search=c_7", "statement LIKE '%c\\_7%' ESCAPE '\\'", 100),
        ("search=1", "statement LIKE '%1%'", 100),
        (
            "search=c_49%20from&user=user1&min_ms=99",
            "statement LIKE '%c\\_49 from%' ESCAPE '\\' AND user = 'user1' AND duration_ms >= 99",
            100,
        ),
        ("search=needle-in&to=1700000700000", "query_id = 'none'", 100),
        (
            "words=orders_3%20c_4",
            "statement LIKE 'select c\\_4 from orders\\_3 %' ESCAPE '\\'",
            100,
        ),
        (
            "words=orders_3%20c_4&search=id%20=%2044",
            "statement LIKE 'select c\\_4 from orders\\_3 %id = 44%' ESCAPE '\\'",
            100,
        ),
        ("words=orders", "0", 100),
    ] {
        assert_eq!(found(server, parameters), scanned(db, condition, limit), "{parameters}");
    }
}

#[test]
fn a_search_finds_what_a_full_scan_finds() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let server = Server::start(&db, &[]);
    // The index grows once a few thousand rows are written since it grew last, and a push is written in parts.
    push(&server, 0..QUERIES - 5000);
    push(&server, QUERIES - 5000..QUERIES);
    // 50,000 rows fill the segments, and the newest rows are in none.
    wait_for(&db, FRESH, 2);
    assert_same_as_scan(&server, &db);
    // Page by page, and in the session list.
    let mut next = Some("/api/v1/queries?search=id%20%3D%201234&limit=4".to_string());
    let mut paged = Vec::new();
    while let Some(path) = next {
        paged.extend(ids(&server.envelope(&path)));
        next = server.next_page(&path);
    }
    assert_eq!(paged, scanned(&db, "statement LIKE '%id = 1234%'", 100));
    let session = server.envelope("/rest/v1/session?search=needle-in-the-first");
    assert_eq!(session["data"]["rows"][0]["QueryId"], "q-700");

    // A truncated statement in a segment becomes complete.
    let mut whole = row(700);
    whole["stmt"] = json!("select 'needle-in-the-first' -- cut but made whole");
    let (_, answer, _) = server.send("POST", "/api/v1/queries", &[], whole.to_string().as_bytes());
    assert_eq!(answer["data"]["merged"], 1, "{answer}");
    assert_eq!(found(&server, "search=but%20made%20whole"), ["q-700"]);
    assert_eq!(number(&db, FRESH), 1);
    push(&server, QUERIES..QUERIES + 5000);
    wait_for(&db, FRESH, 2);
    assert_eq!(found(&server, "search=but%20made%20whole"), ["q-700"]);

    // Rows are removed, and new rows get their ids.
    rusqlite::Connection::open(&db)
        .unwrap()
        .execute("DELETE FROM query WHERE id > 300", ())
        .unwrap();
    assert_eq!(found(&server, "search=needle-in"), Vec::<String>::new());
    push(&server, (19_000..26_000).chain(48_000..50_000));
    let needles = ["q-49999".to_string(), "q-20000".to_string()];
    let mut again = found(&server, "search=needle-in");
    again.sort_by(|a, b| b.cmp(a));
    assert_eq!(again, needles);
    wait_for(&db, "SELECT count(*) FROM search_segment", 0);
    assert_eq!(number(&db, "SELECT count(*) FROM search_page"), 0);
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
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite.execute("UPDATE search_page SET masks = x'00' WHERE id % 2", ()).unwrap();
    sqlite.execute("DELETE FROM search_page WHERE NOT id % 2", ()).unwrap();
    drop(sqlite);
    let server = Server::start(&db, &[]);
    let statement = "SELECT statement FROM query WHERE id = 1000";
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    let statement: String = sqlite.query_row(statement, (), |row| row.get(0)).unwrap();
    let mut encoded = String::new();
    for byte in statement.bytes() {
        encoded.push_str(&format!("%{byte:02x}"));
    }
    assert!(!found(&server, &format!("search={encoded}")).is_empty());
}
