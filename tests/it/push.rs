//! Pushes to `/api/v1/queries`: records and profiles.

use std::io::Write;

use crate::support::{self, Server, data, number};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tempfile::TempDir;

const QUERIES: &str = "/api/v1/queries";

fn server() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    (folder, server)
}

/// Returns the profile of the query of `object("a")`.
fn profile_of_a() -> String {
    let values = [
        ("Start Time", "2024-08-06 11:16:00"),
        ("End Time", "2024-08-06 11:16:00"),
        ("Total", "12ms"),
        ("User", "alice"),
    ];
    support::profile("a", &values)
}

fn object(id: &str) -> String {
    json!({
        "query_id": id, "time": "2024-08-06T11:16:00.951Z", "user": "alice", "query_time": 12,
        "state": "FINISHED", "stmt": "select 1", "engine": {"name": "trino"},
    })
    .to_string()
}

#[test]
fn queries_are_pushed_as_lines_and_as_an_array() {
    let (folder, server) = server();
    let lines = format!("{}\n\n{}\n", object("a"), object("b"));
    let (status, answer, _) = server.send("POST", QUERIES, &[], lines.as_bytes());
    assert_eq!((status, &answer["code"], &answer["count"]), (200, &json!(0), &json!(2)));
    assert_eq!(
        answer["data"],
        json!({"new": 2, "merged": 0, "unchanged": 0, "excluded": 0, "rejected": 0, "reasons": []})
    );
    let array = format!(" [{}, {}]", object("b"), object("c").replace("alice", "bob"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(array.as_bytes()).unwrap();
    let headers = [("content-encoding", "gzip")];
    let (_, answer, _) = server.send("POST", QUERIES, &headers, &gzip.finish().unwrap());
    assert_eq!((&answer["data"]["new"], &answer["data"]["unchanged"]), (&json!(1), &json!(1)));
    // A new value is merged.
    let more = object("a").replace("\"user\"", "\"db\": \"shop\", \"user\"");
    let (_, answer, _) = server.send("POST", QUERIES, &[], more.as_bytes());
    assert_eq!(answer["data"]["merged"], 1);
    let db = folder.path().join("a.db");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 3);
    assert_eq!(number(&db, "SELECT started_ms FROM query WHERE query_id = 'a'"), 1_722_942_960_951);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE extra LIKE '%trino%'"), 3);
    let row = server.envelope("/rest/v1/session?user=bob")["data"]["rows"][0].clone();
    assert_eq!((&row["QueryId"], &row["Total"]), (&json!("c"), &json!("12ms")));
}

#[test]
fn bad_rows_are_reported_by_line_and_good_rows_are_stored() {
    let (folder, server) = server();
    let lines = format!("{}\n{{\"query_id\": \"b\"\n{{\"query_id\": \"c\"}}\n7\n", object("a"));
    let (status, answer, _) = server.send("POST", QUERIES, &[], lines.as_bytes());
    assert_eq!((status, &answer["code"]), (422, &json!(422)));
    assert_eq!(answer["msg"], "Unprocessable Content");
    assert_eq!((&answer["data"]["new"], &answer["data"]["rejected"]), (&json!(1), &json!(3)));
    let reasons = answer["data"]["reasons"].as_array().unwrap();
    assert_eq!(reasons[0]["line"], 2);
    assert!(reasons[0]["reason"].as_str().unwrap().contains("not JSON"));
    assert_eq!(reasons[1], json!({"line": 3, "reason": "a record without a valid time"}));
    assert_eq!(reasons[2]["reason"], "the row is not a JSON object");
    // All rows are bad.
    let (status, answer, _) = server.send("POST", QUERIES, &[], b"{}\n{}\n");
    assert_eq!((status, &answer["data"]["rejected"]), (422, &json!(2)));
    // No row of an incomplete array is stored.
    let half = format!("[{}, {{", object("z"));
    let (status, answer, _) = server.send("POST", QUERIES, &[], half.as_bytes());
    assert_eq!((status, &answer["code"]), (400, &json!(403)));
    assert!(answer["data"].as_str().unwrap().contains("not one JSON array"), "{answer}");
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 1);
    for (method, headers, sentence) in [
        ("PUT", vec![], "answers GET, HEAD, POST only"),
        ("POST", vec![("content-encoding", "br")], "must be gzip"),
        ("POST", vec![("content-encoding", "gzip")], "not gzip"),
    ] {
        let (_, answer, _) = server.send(method, QUERIES, &headers, b"{}");
        assert!(answer["data"].as_str().unwrap().contains(sentence), "{answer}");
    }
}

#[test]
fn pages_of_other_sites_cannot_push() {
    let (folder, server) = server();
    let own = format!("http://{}", server.address());
    let stream_load = "/api/db/t/_stream_load?redirected=true";
    for (headers, status) in [
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")], 200),
    ] {
        for (method, path) in
            [("POST", QUERIES), ("PUT", "/api/v1/queries/a/profile"), ("PUT", stream_load)]
        {
            let is_profile = path.ends_with("profile");
            let body = if is_profile { profile_of_a() } else { object("a") };
            let (answered, answer, _) = server.send(method, path, &headers, body.as_bytes());
            assert_eq!(answered, status, "{path} {headers:?}: {answer}");
        }
        let known = number(&folder.path().join("a.db"), "SELECT count(*) FROM query");
        assert_eq!(known, i64::from(status == 200));
    }
}

#[test]
fn a_pushed_profile_is_stored_unchanged() {
    let (_folder, server) = server();
    let text = std::fs::read(data("profiles/doris-2.1.txt")).unwrap();
    let id = "fbb2582c72884d29-9dd9de3b42b740e9";
    let path = format!("{QUERIES}/{id}/profile");
    let (status, answer, _) = server.send("PUT", &path, &[], &text);
    assert_eq!((status, &answer["data"]), (200, &json!({"profile": "new"})));
    assert_eq!(server.send("PUT", &path, &[], &text).1["data"]["profile"], "unchanged");
    assert_eq!(server.get(&format!("/api/profile/text?query_id={id}")).2, text);
    assert_eq!(server.envelope("/rest/v1/session")["data"]["rows"][0]["Total"], "316ms");
    // No frontend writes a profile without a query id or with bytes that are not UTF-8. The path names the query, and the
    // bytes are stored unchanged.
    let nameless = b"Summary:\n   - Task Type: QUERY\n   - Sql Statement: select '\xff'\n";
    let (status, ..) = server.send("PUT", "/api/v1/queries/a%2Fb/profile", &[], nameless);
    assert_eq!(status, 200);
    assert_eq!(server.get("/api/profile/text?query_id=a%2Fb").2, nameless);
    for (method, path, body, status, sentence) in [
        (
            "PUT",
            "/api/v1/queries/1-2/profile",
            text.as_slice(),
            400,
            "this is the profile of query fbb2",
        ),
        ("PUT", "/api/v1/queries/1-2/profile", b"", 400, "the body is empty"),
        ("PUT", "/api/v1/queries/1-2/profile", b"any text\n", 400, "this is not a profile"),
        ("PUT", "/api/v1/queries/1-2/profile", b"{\"a\": 1}", 400, "this is not a profile"),
        ("PUT", "/api/v1/queries/a%20b/profile", b"x", 400, "white space"),
        ("POST", "/api/v1/queries/1-2/profile", b"x", 405, "answers GET, HEAD, PUT only"),
    ] {
        let (answered, answer, _) = server.send(method, path, &[], body);
        assert_eq!(answered, status, "{answer}");
        assert!(answer["data"].as_str().unwrap().contains(sentence), "{answer}");
    }
}

#[test]
fn rows_of_concurrent_pushes_are_stored_once() {
    let (folder, server) = server();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for batch in 0..10 {
                    let rows: Vec<String> =
                        (0..50).map(|row| object(&format!("{client}-{batch}-{row}"))).collect();
                    // Each batch is sent twice, as after a lost answer.
                    for _ in 0..2 {
                        let (status, ..) =
                            server.send("POST", QUERIES, &[], rows.join("\n").as_bytes());
                        assert_eq!(status, 200);
                    }
                }
            });
        }
    });
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 4000);
    let report = server.envelope("/api/v1/status")["data"]["sources"]["push"].clone();
    assert_eq!(
        (&report["records_new"], &report["records_unchanged"]),
        (&json!(4000), &json!(4000))
    );
}
