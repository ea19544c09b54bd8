//! Stream loads, over real HTTP.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::{Server, number};
use tempfile::TempDir;

const STEP_ONE: &str = "/api/__internal_schema/audit_log/_stream_load";
const STEP_TWO: &str = "/api/__internal_schema/audit_log/_stream_load?redirected=true";
const COLUMNS: (&str, &str) = ("columns", "query_id, `time`, stmt, brand_new");
const ROW: &str = "1-2\t2024-08-06 11:16:00.951\tselect 1\tx\n";

fn server() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    (folder, server)
}

fn load(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let (status, answer, _) = server.send("PUT", STEP_TWO, headers, body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// What a server answers to bytes.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(request).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_first_step_redirects_without_the_body() {
    let (_folder, server) = server();
    // The body never comes, nor is it asked for with 100 Continue.
    let answer = raw(
        &server,
        format!(
            "PUT {STEP_ONE} HTTP/1.1\r\nHost: localhost:8030\r\nExpect: 100-continue\r\n\
             Content-Length: 1000\r\nConnection: close\r\n\r\n"
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
    assert!(answer.contains(&format!("location: http://localhost:8030{STEP_TWO}\r\n")), "{answer}");
    let (status, answer, _) = server.send("GET", STEP_ONE, &[], b"");
    assert_eq!((status, &answer["data"]), (405, &json!("this path answers PUT only")));
}

#[test]
fn rows_are_there_when_success_is_said() {
    let (folder, server) = server();
    let answer = load(&server, &[("label", "first"), COLUMNS], ROW.as_bytes());
    for (name, value) in [
        ("Label", json!("first")),
        ("TwoPhaseCommit", json!("false")),
        ("Status", json!("Success")),
        ("Message", json!("OK")),
        ("NumberTotalRows", json!(1)),
        ("NumberLoadedRows", json!(1)),
        ("NumberFilteredRows", json!(0)),
        ("NumberUnselectedRows", json!(0)),
        ("LoadBytes", json!(ROW.len())),
    ] {
        assert_eq!(answer[name], value, "{name}");
    }
    assert!(answer["TxnId"].is_u64() && answer["LoadTimeMs"].is_u64());
    let row = server.envelope("/rest/v1/session")["data"]["rows"][0].clone();
    assert_eq!((&row["QueryId"], &row["Sql Statement"]), (&json!("1-2"), &json!("select 1")));
    let db = folder.path().join("a.db");
    assert_eq!(number(&db, "SELECT extra ->> 'brand_new' = 'x' FROM query"), 1);

    // The label again, with other rows, adds nothing; in another database it is another label.
    let other = ROW.replace("1-2", "3-4");
    let again = load(&server, &[("label", "first"), COLUMNS], other.as_bytes());
    assert_eq!(again["Status"], "Label Already Exists");
    assert_eq!(again["ExistingJobStatus"], "FINISHED");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 1);
    let path = "/api/other/t/_stream_load?redirected=true";
    let (_, answer, _) = server.send("PUT", path, &[("label", "first"), COLUMNS], other.as_bytes());
    assert_eq!(answer["Status"], "Success");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 2);
}

#[test]
fn every_form_of_a_body() {
    let (folder, server) = server();
    let object =
        |id: &str| format!(r#"{{"query_id": "{id}", "time": 1722942960951, "stmt": "s"}}"#);
    let json = ("format", "json");
    let hex = ROW.replace('\t', "\u{1}").replace('\n', "\u{2}");
    let long = ROW.replace('\t', "||").replace('\n', "##\n");
    for (id, headers, body) in [
        ("1-2", vec![COLUMNS], ROW.as_bytes().to_vec()),
        ("1-2", vec![COLUMNS, ("compress_type", "gz")], gzip(ROW.as_bytes())),
        (
            "1-2",
            vec![COLUMNS, ("column_separator", "\\x01"), ("line_delimiter", "\\x02")],
            hex.into_bytes(),
        ),
        (
            "1-2",
            vec![COLUMNS, ("column_separator", "||"), ("line_delimiter", "##\\n")],
            long.into_bytes(),
        ),
        ("a-1", vec![json], object("a-1").into_bytes()),
        (
            "a-3",
            vec![json, ("read_json_by_line", "true")],
            format!("{}\n{}\n", object("a-2"), object("a-3")).into_bytes(),
        ),
        (
            "a-5",
            vec![json, ("strip_outer_array", "true")],
            format!("[{},\n{}]", object("a-4"), object("a-5")).into_bytes(),
        ),
    ] {
        let answer = load(&server, &headers, &body);
        assert_eq!(answer["Status"], "Success", "{headers:?}: {answer}");
        let known = format!("SELECT count(*) FROM query WHERE query_id = '{id}'");
        assert_eq!(number(&folder.path().join("a.db"), &known), 1, "{headers:?}");
    }
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 6);
}

#[test]
fn filtered_rows_count_against_the_ratio() {
    let (folder, server) = server();
    let body = format!("{ROW}too few\n{}", ROW.replace("1-2", "3-4"));
    let strict = load(&server, &[("label", "a"), COLUMNS], body.as_bytes());
    assert_eq!(strict["Status"], "Fail");
    let message = strict["Message"].as_str().unwrap();
    assert!(message.contains("row 2: it has 1 columns where 4 are named"), "{message}");
    assert_eq!(
        (&strict["NumberFilteredRows"], &strict["NumberLoadedRows"]),
        (&json!(1), &json!(0))
    );
    let db = folder.path().join("a.db");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 0);
    // A label that failed is free.
    let headers = [("label", "a"), COLUMNS, ("max_filter_ratio", "0.34")];
    let lenient = load(&server, &headers, body.as_bytes());
    assert_eq!((&lenient["Status"], &lenient["NumberLoadedRows"]), (&json!("Success"), &json!(2)));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 2);
}

#[test]
fn what_annals_does_not_do_is_refused_in_a_sentence() {
    let (folder, server) = server();
    let long = "x".repeat(10_000);
    for (headers, sentence) in [
        (vec![], "name the columns"),
        (vec![("columns", "a, b = upper(a)")], "expressions"),
        (vec![COLUMNS, ("label", &long)], "longer than 128 bytes"),
        (vec![COLUMNS, ("label", "a b")], "white space"),
        (vec![COLUMNS, ("format", "parquet")], "format must be csv or json"),
        (vec![COLUMNS, ("compress_type", "lz4")], "compress_type must be gz"),
        (vec![COLUMNS, ("compress_type", "gz")], "not gzip"),
        (vec![COLUMNS, ("column_separator", "\\xzz")], "column_separator"),
        (vec![COLUMNS, ("max_filter_ratio", "2")], "from 0 to 1"),
        (vec![COLUMNS, ("two_phase_commit", "true")], "two_phase_commit"),
        (vec![COLUMNS, ("merge_type", "DELETE")], "only appends"),
        (vec![COLUMNS, ("where", "a = 1")], "the header where"),
        (vec![("format", "json")], "it is not JSON"),
        (vec![("format", "json"), ("strip_outer_array", "true")], "not one JSON array"),
    ] {
        let answer = load(&server, &headers, b"{\"query_id\": \"1-2");
        assert_eq!(answer["Status"], "Fail", "{headers:?}");
        let message = answer["Message"].as_str().unwrap();
        assert!(message.contains(sentence), "{message}");
    }
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 0);
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    let (_folder, server) = server();
    let body = b"1-2\t2024-08-06 11:16:00\tselect '\xff\xfe'\t\\N\n";
    assert_eq!(load(&server, &[COLUMNS], body)["Status"], "Success");
    let row = server.envelope("/rest/v1/session")["data"]["rows"][0].clone();
    assert_eq!(row["Sql Statement"], "select '\u{fffd}\u{fffd}'");
}

#[test]
fn bodies_without_measure_are_refused_in_bounded_memory() {
    let (_folder, server) = server();
    // What says that it is too large is not even asked for.
    let answer = raw(
        &server,
        format!(
            "PUT {STEP_TWO} HTTP/1.1\r\nHost: localhost\r\ncolumns: query_id\r\nConnection: close\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            1u64 << 30
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("larger than 128 MiB"), "{answer}");
    // One that never ends is cut off; others are served meanwhile.
    let mut client = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "PUT {STEP_TWO} HTTP/1.1\r\nHost: localhost\r\ncolumns: query_id\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    client.write_all(head.as_bytes()).unwrap();
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(vec![b'x'; 1 << 20]);
    chunk.extend(b"\r\n");
    let mut sent = 0;
    while client.write_all(&chunk).is_ok() {
        sent += 1;
        assert!(sent < 1000, "it takes in whatever comes");
        if sent % 32 == 0 {
            server.envelope("/rest/v1/session");
        }
    }
    // A small gzip of a large body.
    let bomb = gzip(&vec![b'x'; 150 << 20]);
    let headers = [COLUMNS, ("compress_type", "gz")];
    let (status, answer, _) = server.send("PUT", STEP_TWO, &headers, &bomb);
    assert_eq!((status, &answer["Status"]), (413, &json!("Fail")));
    assert!(server.peak_memory() < 900 << 20, "{} MiB", server.peak_memory() >> 20);
    assert_eq!(load(&server, &[COLUMNS], ROW.as_bytes())["Status"], "Success");
}

#[test]
fn while_another_holds_the_file_pushes_are_refused_and_reads_go_on() {
    let (folder, server) = server();
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let headers = [("label", "held"), COLUMNS];
    let (status, answer, retry) = server.send("PUT", STEP_TWO, &headers, ROW.as_bytes());
    assert_eq!((status, &answer["Status"]), (503, &json!("Fail")));
    assert!(answer["Message"].as_str().unwrap().contains("cannot write now"), "{answer}");
    assert_eq!(retry.as_deref(), Some("5"));
    assert_eq!(server.envelope("/rest/v1/session")["count"], 0);
    let report = server.envelope("/api/v1/status")["data"]["ways_in"]["stream_load"].clone();
    assert!(report["last_error"].as_str().unwrap().contains("cannot be written"), "{report}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(load(&server, &headers, ROW.as_bytes())["Status"], "Success");
}

#[test]
fn what_is_not_wanted_is_unselected() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[[leave_out]]\nstatement = '^select 1$'\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let server = Server::start(&folder.path().join("a.db"), &arguments);
    let body = format!("{ROW}{}", ROW.replace("1-2", "3-4").replace("select 1", "select 2"));
    let answer = load(&server, &[COLUMNS], body.as_bytes());
    assert_eq!(answer["Status"], "Success");
    assert_eq!(answer["NumberUnselectedRows"], 1);
    assert_eq!(answer["NumberLoadedRows"], 1);
    let report = server.envelope("/api/v1/status")["data"]["ways_in"]["stream_load"].clone();
    assert_eq!((&report["left_out"], &report["records_new"]), (&json!(1), &json!(1)));
}
