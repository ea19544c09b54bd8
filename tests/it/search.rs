//! Searching statements: a search finds each statement that matches, whatever index it uses.

use std::path::Path;

use crate::sqlite;
use crate::support::{Server, is_postgres, texts};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Two complete segments of the index, and rows that no segment has yet.
pub(crate) const QUERIES: i64 = 50_000;

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

pub(crate) fn push(server: &Server, rows: impl Iterator<Item = i64>) {
    let body: String = rows.map(|number| format!("{}\n", row(number))).collect();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], body.as_bytes());
    assert_eq!(status, 200, "{answer}");
}

fn ids(envelope: &Value) -> Vec<String> {
    let rows = envelope["data"].as_array().unwrap();
    rows.iter().map(|row| row["query_id"].as_str().unwrap().to_string()).collect()
}

pub(crate) fn found(server: &Server, parameters: &str) -> Vec<String> {
    ids(&server.envelope(&format!("/api/v1/queries?{parameters}")))
}

/// Returns the ids that the store finds in a full scan.
fn scanned(db: &Path, condition: &str, limit: i64) -> Vec<String> {
    texts(
        db,
        &format!(
            "SELECT query_id FROM query WHERE {condition} ORDER BY started_ms DESC, id DESC LIMIT {limit}"
        ),
    )
}

/// Asserts that searches of several kinds find what a full scan finds.
fn assert_same_as_scan(server: &Server, db: &Path) {
    for (parameters, condition, limit) in [
        ("search=needle-in", "lower(statement) LIKE '%needle-in%'", 100),
        ("search=NEEDLE-in-the-second", "query_id = 'q-20000'", 100),
        ("search=nowhere-to-be-found", "query_id = 'none'", 100),
        ("search=id%20%3D%2012345", "statement LIKE '%id = 12345%'", 100),
        ("search=orders_3&limit=1000", "statement LIKE '%orders_3%'", 1000),
        ("search=c_7", "statement LIKE '%c\\_7%' ESCAPE '\\'", 100),
        ("search=1", "statement LIKE '%1%'", 100),
        (
            "search=c_49%20from&user=user1&min_ms=99",
            "statement LIKE '%c\\_49 from%' ESCAPE '\\' AND \"user\" = 'user1' AND duration_ms >= 99",
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
        ("words=orders", "query_id = 'none'", 100),
    ] {
        assert_eq!(found(server, parameters), scanned(db, condition, limit), "{parameters}");
    }
}

#[test]
fn a_search_finds_what_a_full_scan_finds() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let server = Server::start(&db, &[]);
    // SQLite's index grows once a few thousand rows are written since it grew last, and a push is written in parts.
    push(&server, 0..QUERIES - 5000);
    push(&server, QUERIES - 5000..QUERIES);
    // 50,000 rows fill its segments, and the newest rows are in none.
    if !is_postgres() {
        sqlite::search::wait_for_segments(&db, 2);
    }
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
    if !is_postgres() {
        sqlite::search::assert_index_follows(&server, &db);
    }
}
