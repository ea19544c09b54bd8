//! Lists by any order: every query once, ties by arrival, unknown values last.

use std::cmp::Reverse;
use std::path::Path;

use crate::support::{Server, WithDb, add_user, annals, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

const ORDERS: [&str; 8] = [
    "started_ms", "duration_ms", "cpu_time_ms", "scan_rows", "scan_bytes", "peak_memory_bytes",
    "return_rows", "queue_time_ms",
];

const START_MS: i64 = 1_764_000_000_000;

/// Returns queries of which many have the same value of a field, and many have none.
fn queries() -> Vec<Value> {
    let query = |number: i64| {
        let user = ["alice", "bob", "etl"][number as usize % 3];
        let db = ["shop", "lake"][number as usize % 2];
        let mut query = json!({
            "query_id": format!("q-{number}"), "user": user, "db": db, "state": "EOF",
            "stmt": format!("select {number} from orders"),
        });
        for (step, field) in (2..).zip(ORDERS) {
            // The value of one field says nothing about that of another.
            let value = number * step * 7919 % 11;
            if field == "started_ms" {
                query[field] = json!(START_MS + value * 1000);
            } else if value > 2 {
                query[field] = json!(value * 1000);
            }
        }
        query
    };
    (0..90).map(query).collect()
}

fn push(server: &Server, queries: &[Value]) {
    let lines: String = queries.iter().map(|query| format!("{query}\n")).collect();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], lines.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(queries.len())), "{answer}");
}

/// Returns the ids of some queries in an order: the largest first, of the same value the one that came last; with `.asc` behind
/// the order the other way round, but for queries without a value.
fn sorted(queries: &[Value], order: &str, matches: impl Fn(&Value) -> bool) -> Vec<String> {
    sorted_by(queries, order, &matches)
}

fn sorted_by(queries: &[Value], order: &str, matches: &dyn Fn(&Value) -> bool) -> Vec<String> {
    if let Some(order) = order.strip_suffix(".asc") {
        let has_value = |query: &Value| query[order].is_i64();
        let part = |is_known| {
            let is_of_part = |it: &Value| matches(it) && has_value(it) == is_known;
            let mut part = sorted_by(queries, order, &is_of_part);
            part.reverse();
            part
        };
        return [part(true), part(false)].concat();
    }
    let mut found: Vec<(Option<i64>, usize)> = (0..queries.len())
        .filter(|row| matches(&queries[*row]))
        .map(|row| (queries[row][order].as_i64(), row))
        .collect();
    found.sort_by_key(|place| Reverse(*place));
    found.into_iter().map(|(_, row)| queries[row]["query_id"].as_str().unwrap().into()).collect()
}

/// Returns the ids on each page of a list.
fn pages(server: &Server, path: &str) -> Vec<Vec<String>> {
    let mut next = Some(path.to_string());
    let mut pages = Vec::new();
    while let Some(path) = next {
        let rows = server.envelope(&path)["data"].as_array().unwrap().clone();
        pages.push(rows.iter().map(|row| row["query_id"].as_str().unwrap().into()).collect());
        next = server.next_page(&path);
    }
    pages
}

#[test]
fn each_order_has_every_query_once() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let queries = queries();
    push(&server, &queries);
    let is_ranged = |query: &Value| {
        let started_ms = query["started_ms"].as_i64();
        started_ms.is_some_and(|ms| (START_MS + 4000..START_MS + 9000).contains(&ms))
    };
    let range = format!("from={}&to={}", START_MS + 4000, START_MS + 9000);
    type Matches<'a> = &'a dyn Fn(&Value) -> bool;
    let filters: [(&str, Matches<'_>); 5] = [
        ("", &|_| true),
        ("user=etl", &|query| query["user"] == "etl"),
        ("search=SELECT%201", &|query| query["stmt"].as_str().unwrap().starts_with("select 1")),
        (&range, &is_ranged),
        ("db=lake&min_ms=4000", &|query| {
            query["db"] == "lake" && query["duration_ms"].as_i64().is_some_and(|ms| ms >= 4000)
        }),
    ];
    for order in ORDERS.iter().flat_map(|order| [order.to_string(), format!("{order}.asc")]) {
        for (filter, matches) in filters {
            let expected = sorted(&queries, &order, matches);
            assert!(!expected.is_empty(), "{filter}");
            for limit in [4, 30, 1000] {
                let path = format!("/api/v1/queries?order={order}&limit={limit}&{filter}");
                let path = path.trim_end_matches('&');
                let pages = pages(&server, path);
                let (last, full) = pages.split_last().unwrap();
                assert!(full.iter().all(|page| page.len() == limit), "{path}");
                assert!(last.len() <= limit, "{path}");
                assert_eq!(pages.concat(), expected, "{path}");
            }
        }
    }
    let (status, _, body) = server.get("/api/v1/queries?order=total_ms");
    let body = String::from_utf8(body).unwrap();
    let sentence = format!("order must be one of {}, with .asc behind it", ORDERS.join(", "));
    assert!(status == 400 && body.contains(&sentence), "{body}");
}

/// A cursor of one list is a place in no other: the value of another field would begin a page anywhere.
#[test]
fn a_cursor_continues_only_a_list_of_its_order() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    push(&server, &queries());
    let cursor = |order: &str| {
        let next = server.next_page(&format!("/api/v1/queries?order={order}&limit=5")).unwrap();
        let cursor = next.split(['?', '&']).find_map(|part| part.strip_prefix("cursor="));
        cursor.unwrap().to_string()
    };
    let orders = ["duration_ms", "duration_ms.asc", "started_ms", "started_ms.asc", "scan_rows"];
    for of_cursor in orders {
        let cursor = cursor(of_cursor);
        for order in orders {
            for path in ["/api/v1/queries?", "/?"] {
                let path = format!("{path}order={order}&limit=5&cursor={cursor}");
                let (status, _, body) = server.get(&path);
                let body = String::from_utf8(body).unwrap();
                assert_eq!(status, if order == of_cursor { 200 } else { 400 }, "{path}: {body}");
                let sentence = format!("cursor is of a list by {of_cursor}, and order is {order};");
                assert_eq!(body.contains(&sentence), order != of_cursor, "{path}: {body}");
            }
        }
    }
    // Doris' lists are by start, whatever their parameter says.
    let path = "/rest/v2/manager/query/query_info?order=scan_rows&limit=5&cursor=";
    assert_eq!(server.get(&format!("{path}{}", cursor("started_ms"))).0, 200);
    assert_eq!(server.get(&format!("{path}{}", cursor("scan_rows"))).0, 400);
}

/// A page begins behind a value and a row, so what arrives before it moves nothing.
#[test]
fn what_arrives_between_two_pages_repeats_and_hides_nothing() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let queries = queries();
    push(&server, &queries);
    let expected = sorted(&queries, "cpu_time_ms", |_| true);
    let mut next = Some("/api/v1/queries?order=cpu_time_ms&limit=7".to_string());
    let mut read: Vec<String> = Vec::new();
    while let Some(path) = next {
        let rows = server.envelope(&path)["data"].as_array().unwrap().clone();
        read.extend(rows.iter().map(|row| row["query_id"].as_str().unwrap().to_string()));
        next = server.next_page(&path);
        let place = rows.last().unwrap()["cpu_time_ms"].clone();
        let id = format!("later-{}", read.len());
        push(
            &server,
            &[
                json!({"query_id": id, "started_ms": START_MS, "stmt": "select 1", "cpu_time_ms": place}),
            ],
        );
    }
    assert_eq!(read, expected);
}

#[test]
fn a_user_sees_only_own_queries_in_every_order() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let queries = queries();
    let server = Server::start(&db, &[]);
    push(&server, &queries);
    drop(server);
    add_user(&db, "alice", "user");
    let server = Server::start(&db, &[]);
    for order in ORDERS {
        let path = format!("{}/api/v1/queries?limit=1000&order={order}", server.url);
        let mut answer = ureq::get(&path)
            .header("authorization", "Basic YWxpY2U6cGFzcy13b3JkLW9mLWFsaWNl")
            .call()
            .unwrap();
        let answer: Value =
            serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let rows = answer["data"].as_array().unwrap();
        let ids: Vec<&str> = rows.iter().map(|row| row["query_id"].as_str().unwrap()).collect();
        assert_eq!(ids, sorted(&queries, order, |query| query["user"] == "alice"), "{order}");
    }
}

fn list(db: &Path, arguments: &[&str]) -> String {
    stdout(&annals().arg("list").args(arguments).db(db).output().unwrap())
}

#[test]
fn the_command_lists_by_each_order() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let queries = queries();
    let server = Server::start(&db, &[]);
    push(&server, &queries);
    drop(server);
    for order in ORDERS {
        let sort = order.replace('_', "-");
        let listed = list(&db, &["--sort", &sort, "--columns", "query_id", "-n", "1000"]);
        let ids: Vec<&str> = listed.lines().skip(1).collect();
        assert_eq!(ids, sorted(&queries, order, |_| true), "{order}");
        let listed =
            list(&db, &["--sort", &sort, "--reverse", "--columns", "query_id", "-n", "1000"]);
        let ids: Vec<&str> = listed.lines().skip(1).collect();
        assert_eq!(ids, sorted(&queries, &format!("{order}.asc"), |_| true), "{order}");
    }
    // The value by which the list is sorted is shown.
    let listed = list(&db, &["--sort", "cpu-time-ms", "-n", "1"]);
    assert!(listed.starts_with("query_id\tstarted_at\tcpu_time_ms\tduration_ms\t"), "{listed}");
    let refused = annals().args(["list", "--sort", "scan-rows", "-f"]).db(&db).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn doris_lists_stay_by_start() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    push(&server, &queries());
    for path in ["/rest/v1/session", "/rest/v1/query_profile", "/rest/v2/manager/query/query_info"]
    {
        let rows = |path: &str| server.envelope(path)["data"]["rows"].clone();
        assert_eq!(rows(&format!("{path}?order=scan_rows")), rows(path), "{path}");
    }
}
