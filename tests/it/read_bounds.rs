//! What readers ask is bounded in time and bytes, and no reader holds up the others.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::support::raw::{connect_from, get_from, read_answer};
use crate::support::{Server, audit_records, execute, import, is_optimized, number, texts};
use tempfile::TempDir;

/// When most queries of these tests begin.
const START_MS: i64 = 1_700_000_000_000;

/// A history with one query of an import, to which `rows` adds by SQL.
fn history(rows: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("annals.db"), folder.path().join("fe.audit.log"));
    std::fs::write(&log, audit_records(0..1)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    execute(&db, rows);
    (folder, db)
}

/// Returns a statement that adds queries with these statements, one a second from `first_ms` on. An id is `prefix` and the
/// number of the row, which `statement` names `i`.
fn queries(prefix: &str, first_ms: i64, count: u32, statement: &str) -> String {
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO query
             (query_id, kind, origin, is_slow, state, started_ms, duration_ms, \"user\", db, fingerprint, statement)
         SELECT '{prefix}-' || i, 'query', 'audit', FALSE, 'EOF', {first_ms} + i * 1000, i % 100, 'root', 'shop',
             i % 50, {statement} FROM n;"
    )
}

/// Sends a request and returns the connection, without waiting for the answer.
fn begin(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", server.address());
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Returns whether nothing was answered yet.
fn waits(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Returns status, headers and the ids of a page of a list.
fn page(server: &Server, path: &str) -> (ureq::http::HeaderMap, Vec<String>) {
    let mut answer = ureq::get(format!("{}{path}", server.url)).call().unwrap();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let rows = body["data"].as_array().or_else(|| body["data"]["rows"].as_array()).unwrap();
    let id = |row: &serde_json::Value| {
        let id = [&row["query_id"], &row["QueryId"], &row["Profile ID"], &row[0]];
        id.into_iter().find_map(|id| id.as_str()).unwrap().to_string()
    };
    (answer.headers().clone(), rows.iter().map(id).collect())
}

/// Reads a list to its end. Returns the ids and the reasons of the incomplete pages.
fn all_pages(server: &Server, path: &str) -> (Vec<String>, Vec<String>) {
    let (mut ids, mut reasons) = (Vec::new(), Vec::new());
    let mut next = Some(path.to_string());
    while let Some(path) = next {
        let (headers, found) = page(server, &path);
        ids.extend(found);
        let text = |name: &str| headers.get(name).map(|text| text.to_str().unwrap());
        reasons.extend(text("annals-incomplete").map(str::to_string));
        next = text("link").map(|link| link[1..].split_once('>').unwrap().0.to_string());
    }
    (ids, reasons)
}

/// Words that are in every statement of [`slow_history`], and one that is in none.
const WORST: &str =
    "/api/v1/queries?words=a1+a2+a3+a4+a5+a6+a7+a8+a9+b1+b2+b3+b4+b5+b6+b7+b8+b9+zz";

/// 30,000 queries, and before them 20 with 700 KB of the words of [`WORST`], which a search reads one by one. They are too
/// few for a search index, for which pushes would wait.
fn slow_history() -> (TempDir, PathBuf) {
    let words = "a1, a2, a3, a4, a5, a6, a7, a8, a9, b1, b2, b3, b4, b5, b6, b7, b8, b9, ";
    let long = format!("'{}'", words.repeat(10_000));
    let older = queries("a", 1_600_000_000_000, 20, &long);
    let newer = queries("b", START_MS, 30_000, "'select c from t where id = ' || i");
    history(&format!("BEGIN; {older} {newer} COMMIT;"))
}

fn begin_worst(server: &Server, count: usize) -> Vec<TcpStream> {
    (0..count).map(|client| begin(server, &format!("{WORST}&min_ms={client}"))).collect()
}

#[test]
fn readers_and_writers_do_not_wait_for_searches() {
    let (_folder, db) = slow_history();
    let server = Server::start(&db, &[]);
    let mut slow = begin_worst(&server, 16);
    let lists = ["/rest/v1/session?db=none", "/api/v1/queries?state=none"];
    let _lists = lists.map(|path| begin(&server, path));
    for path in [
        "/api/health",
        "/rest/v1/session",
        "/api/v1/queries?limit=1000&user=root",
        "/rest/v1/session?db=shop",
        "/api/v1/queries/b-5",
        "/api/v1/statements?from=1700000000000&to=1700000100000",
        "/api/v1/timeline?from=1700000000000&to=1700000100000",
    ] {
        let (status, _, body) = server.get(path);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    }
    let pushed = br#"{"query_id": "pushed-1", "time": 1700000000000, "stmt": "select 1"}"#;
    assert_eq!(server.send("POST", "/api/v1/queries", &[], pushed).0, 200);
    // A release build reads all statements before that.
    if !is_optimized() {
        assert!(slow.iter_mut().any(waits), "all searches have ended");
    }
}

/// Another order than that by start is a report: it takes no connection of a list or a search.
#[test]
fn readers_do_not_wait_for_lists_by_other_orders() {
    let (_folder, db) = slow_history();
    let server = Server::start(&db, &[]);
    let slow = |client| begin(&server, &format!("{WORST}&order=scan_rows&min_ms={client}"));
    let mut slow: Vec<TcpStream> = (0..16).map(slow).collect();
    for path in [
        "/api/health", "/rest/v1/session", "/api/v1/queries?limit=1000&user=root",
        "/api/v1/queries?db=shop", "/api/v1/queries/b-5",
    ] {
        let (status, _, body) = server.get(path);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    }
    // A release build reads all statements before that.
    if !is_optimized() {
        assert!(slow.iter_mut().any(waits), "all lists have ended");
    }
}

#[test]
fn a_client_that_leaves_frees_what_its_search_held() {
    let (_folder, db) = slow_history();
    let server = Server::start(&db, &[]);
    let took = |path: &str| {
        let began = Instant::now();
        let (_, ids) = page(&server, path);
        assert!(ids.is_empty(), "{path}");
        began.elapsed()
    };
    // The machine may be busy with something else during one try.
    let tries: Vec<_> = (0..5)
        .map(|number| {
            let search = took(&format!("{WORST}&min_ms={}", 50 + number));
            // Reads all queries, in the same queue.
            let list = took(&format!("/api/v1/queries?state=none-{number}"));
            // Half as many as one client may have, because those of the last try may be leaving still.
            let slow = begin_worst(&server, 8);
            std::thread::sleep(search / 4);
            drop(slow);
            (search, list, took(&format!("/api/v1/queries?state=nowhere-{number}")))
        })
        .collect();
    let is_freed = tries.iter().any(|(search, list, then)| *then < *list * 2 + *search * 2);
    assert!(is_freed, "a search, a list, and a list after 8 searches: {tries:?}");
}

#[test]
fn words_are_counted_once_and_bounded_in_number() {
    let (_folder, db) = history("");
    let server = Server::start(&db, &[]);
    for path in ["/api/v1/queries", "/api/v1/statements", "/rest/v1/session"] {
        let same = format!("{path}?words={}1", "select+".repeat(120));
        assert_eq!(server.get(&same).0, 200);
        let words: String = (0..33).map(|word| format!("w{word}+")).collect();
        let (status, _, body) = server.get(&format!("{path}?words={words}"));
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("a search may have at most 32 different words"), "{body}");
    }
    let long = format!("/rest/v2/manager/query/query_info?search={}", "a".repeat(1001));
    assert_eq!(server.get(&long).0, 400);
}

/// 300 queries with statements of 60,000 bytes, and 200 normalized statements of as many.
fn long_history() -> (TempDir, PathBuf) {
    let long = format!("'{}' || i", "0".repeat(60_000));
    let statements = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
         INSERT INTO statement (fingerprint, normalized) SELECT i + 1000, {long} FROM n;
         UPDATE query SET fingerprint = 1000 + id WHERE id BETWEEN 1 AND 200;"
    );
    history(&(queries("b", START_MS, 300, &long) + &statements))
}

fn ids(db: &Path) -> HashSet<String> {
    texts(db, "SELECT query_id FROM query").into_iter().collect()
}

#[test]
fn an_answer_is_bounded_in_bytes_and_its_link_goes_on() {
    let (_folder, db) = long_history();
    let server = Server::start(&db, &[]);
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 301);
    for path in [
        "/api/v1/queries?limit=1000",
        "/rest/v1/session?limit=1000",
        "/rest/v1/query_profile?limit=1000&min_ms=0",
        "/rest/v2/manager/query/query_info?limit=1000",
    ] {
        let (found, reasons) = all_pages(&server, path);
        assert_eq!(found.len(), 301, "{path}");
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), ids(&db), "{path}");
        assert_eq!(reasons, ["bytes", "bytes"], "{path}");
    }
    let answer = ureq::get(format!("{}/api/v1/statements?limit=1000", server.url)).call().unwrap();
    assert_eq!(answer.headers()["annals-incomplete"], "bytes");
    let (status, _, history) = server.get("/?limit=1000");
    let history = String::from_utf8(history).unwrap();
    assert_eq!(status, 200);
    assert!(history.contains("The statements are long"), "{history}");
    assert!(history.contains("rel=\"next\""));
}

#[test]
#[ignore = "needs a quarter of a minute"]
fn clients_that_read_nothing_hold_a_bounded_part_of_the_memory() {
    const BOUND: u64 = 600 << 20;
    let statement = format!("'select {}' || i", "ab".repeat(4000));
    let (_folder, db) = history(&queries("b", START_MS, 1000, &statement));
    let server = Server::start(&db, &[]);
    let path =
        |number: u64| format!("/api/v1/queries?limit=1000&to={}", 1_800_000_000_000 + number);
    let mut unread: Vec<TcpStream> = (0..480)
        .map(|number| {
            let mut stream = connect_from("127.0.0.2", &server);
            let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", path(number));
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    while began.elapsed().as_secs() < 14 {
        // Neither small answers nor other clients need the memory of this client.
        for (address, path) in [
            ("127.0.0.2", "/api/health".to_string()),
            ("127.0.0.2", "/api/v1/queries/b-7".to_string()),
            ("127.0.0.1", "/api/v1/queries?limit=10".to_string()),
            ("127.0.0.1", path(1000)),
        ] {
            let answer = get_from(address, &server, &path, "");
            assert_eq!(answer.status, 200, "{path}: {}", answer.head);
        }
    }
    println!("{} MiB", server.peak_memory() >> 20);
    assert!(server.peak_memory() < BOUND, "{} MiB", server.peak_memory() >> 20);
    let rejected = unread.iter_mut().map(read_answer).filter(|answer| answer.status == 503).count();
    assert!(rejected > 300, "{rejected}");
    let answer = get_from("127.0.0.2", &server, &path(2000), "");
    assert_eq!(answer.status, 200, "{}", answer.head);
}
