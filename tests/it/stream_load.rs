//! Stream loads.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Server, number};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

const STEP_ONE: &str = "/api/__internal_schema/audit_log/_stream_load";
pub(crate) const STEP_TWO: &str = "/api/__internal_schema/audit_log/_stream_load?redirected=true";
pub(crate) const COLUMNS: (&str, &str) = ("columns", "query_id, `time`, stmt, brand_new");
pub(crate) const ROW: &str = "1-2\t2024-08-06 11:16:00.951\tselect 1\tx\n";

pub(crate) fn server() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    (folder, server)
}

pub(crate) fn load(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let (status, answer, _) = server.send("PUT", STEP_TWO, headers, body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Returns the answer to a request as bytes on the wire.
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
    // The server answers without the body, and without 100 Continue.
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
fn rows_are_stored_before_success_is_answered() {
    let (folder, server) = server();
    let answer = load(&server, &[("label", "first"), COLUMNS], ROW.as_bytes());
    for (name, value) in [
        ("Label", json!("first")),
        ("Comment", json!("")),
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
    assert!(answer["ReceiveDataTimeMs"].is_u64());
    let row = server.envelope("/rest/v1/session")["data"]["rows"][0].clone();
    assert_eq!((&row["QueryId"], &row["Sql Statement"]), (&json!("1-2"), &json!("select 1")));
    let db = folder.path().join("a.db");
    assert_eq!(number(&db, r#"SELECT extra LIKE '%"brand_new":"x"%' FROM query"#), 1);

    // A known label adds no rows. The same label in another database is another label.
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

/// Loads that arrive at the same moment are written in one group.
#[test]
fn of_loads_with_one_label_at_the_same_moment_one_is_stored() {
    let (folder, server) = server();
    for round in 0..20 {
        let label = format!("load-{round}");
        let begin = std::sync::Barrier::new(4);
        let statuses: Vec<String> = std::thread::scope(|scope| {
            let one = |client: usize| {
                let (label, begin, server) = (&label, &begin, &server);
                scope.spawn(move || {
                    let row = ROW.replace("1-2", &format!("{round}-{client}"));
                    begin.wait();
                    let headers = [("label", label.as_str()), COLUMNS];
                    let answer = load(server, &headers, row.as_bytes());
                    answer["Status"].as_str().unwrap().to_string()
                })
            };
            let loads: Vec<_> = (1..=4).map(one).collect();
            loads.into_iter().map(|load| load.join().unwrap()).collect()
        });
        let stored = statuses.iter().filter(|status| *status == "Success").count();
        assert_eq!(stored, 1, "{statuses:?}");
    }
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 20);
}

#[test]
fn every_form_of_a_body_is_loaded() {
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

/// Headers that control a cluster. They have no effect here.
const CLUSTER_HEADERS: [(&str, &str); 13] = [
    ("timeout", "100"),
    ("exec_mem_limit", "1"),
    ("token", "t"),
    ("auth", "a"),
    ("load_to_single_tablet", "true"),
    ("send_batch_parallelism", "2"),
    ("sql", "insert"),
    ("negative", "false"),
    ("group_commit", "off_mode"),
    ("merge_type", "append"),
    ("compute_group", "c"),
    ("enable_profile", "true"),
    ("two_phase_commit", "false"),
];

#[test]
fn headers_control_how_rows_are_read() {
    let (folder, server) = server();
    let db = folder.path().join("a.db");
    let comma = ("column_separator", ",");
    let columns = ("columns", "query_id,time,stmt");
    let json = ("format", "json");
    let row = "k-1,2024-08-06 11:16:00,select 1\n";
    let object = r#"{"q": {"id": "k-1"}, "at": ["2024-08-06 11:16:00"], "sql": "select 1"}"#;
    let paths = ("jsonpaths", r#"["$.q.id", "$.at[0]", "$.sql"]"#);
    for (headers, body) in [
        (vec![comma, columns, ("skip_lines", "2")], format!("a note\nid,when,what\n{row}")),
        (vec![comma, columns, ("skip_header", "1")], format!("id,when,what\n{row}")),
        (vec![comma, columns, ("format", "CSV_with_names")], format!("id,when,what\n{row}")),
        (
            vec![comma, columns, ("trim_double_quotes", "true")],
            "\"k-1\",\"2024-08-06 11:16:00\",\"select 1\"\n".to_string(),
        ),
        // Header names of StarRocks.
        (
            vec![("column_separator", "\\x01"), ("row_delimiter", "\\x02"), columns],
            row.replace(',', "\u{1}").replace('\n', "\u{2}"),
        ),
        (vec![comma, columns, ("timezone", "UTC")], row.to_string()),
        (vec![comma, columns, ("timezone", "+08:00")], row.replace(" 11:", " 19:")),
        (vec![comma, columns, ("timezone", "Asia/Tokyo")], row.replace(" 11:", " 20:")),
        (vec![json, columns, paths], object.to_string()),
        (vec![json, paths, columns, ("strip_outer_array", "true")], format!("[{object}]")),
        (
            vec![json, ("json_root", "$.rows"), ("strip_outer_array", "true")],
            r#"{"rows": [{"query_id": "k-1", "time": 1722942960000, "stmt": "select 1"}]}"#
                .to_string(),
        ),
        ([&[comma, columns][..], &CLUSTER_HEADERS].concat(), row.to_string()),
    ] {
        let answer = load(&server, &headers, body.as_bytes());
        assert_eq!(answer["Status"], "Success", "{headers:?}: {answer}");
        assert_eq!(answer["NumberTotalRows"], 1, "{headers:?}: {answer}");
        let known = "SELECT count(*) FROM query WHERE query_id = 'k-1' AND statement = 'select 1'
                     AND started_ms = 1722942960000 AND db IS NULL";
        assert_eq!(number(&db, known), 1, "{headers:?}");
        assert_eq!(number(&db, "SELECT count(*) FROM query"), 1, "{headers:?}");
    }
    let answer = load(&server, &[comma, columns, ("comment", "from a test")], row.as_bytes());
    assert_eq!(answer["Comment"], "from a test");
}

/// A strict load rejects a value that does not fit its column. Another load stores the value in `extra`.
#[test]
fn strict_mode_filters_values_that_do_not_fit_the_column() {
    let (folder, server) = server();
    let columns = ("columns", "query_id,time,query_time");
    let body = "1-2\t2024-08-06 11:16:00\tfast\n3-4\t2024-08-06 11:16:00\t12\n";
    let strict = [columns, ("strict_mode", "true"), ("max_filter_ratio", "0.5")];
    let answer = load(&server, &strict, body.as_bytes());
    assert_eq!(
        (&answer["NumberLoadedRows"], &answer["NumberFilteredRows"]),
        (&json!(1), &json!(1))
    );
    let message = answer["Message"].as_str().unwrap();
    assert!(
        message.contains("the value of query_time does not fit the column's type"),
        "{message}"
    );
    assert_eq!(load(&server, &[columns], body.as_bytes())["NumberLoadedRows"], 2);
    let db = folder.path().join("a.db");
    assert_eq!(
        number(
            &db,
            r#"SELECT extra LIKE '%"query_time":"fast"%' FROM query WHERE query_id = '1-2'"#
        ),
        1
    );
}

/// The loader of StarRocks may send separators as raw bytes, which HTTP forbids.
#[test]
fn separators_may_be_raw_bytes() {
    let (folder, server) = server();
    let body =
        "1-2\u{1}2024-08-06 11:16:00\u{1}select '\u{3}'\u{2}3-4\u{1}2024-08-06 11:16:00\u{1}s\u{2}";
    let request = |connection: &str| {
        format!(
            "PUT {STEP_TWO} HTTP/1.1\r\nHost: localhost\r\ncolumns: query_id,time,stmt\r\n\
             column_separator: \u{1}\r\nrow_delimiter: \u{2}\r\nContent-Length: {}\r\n\
             Connection: {connection}\r\n\r\n{body}",
            body.len()
        )
    };
    // Two requests on one connection: the raw bytes of a body are unchanged.
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(request("keep-alive").as_bytes()).unwrap();
    let mut first = String::new();
    while !first.ends_with('}') {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        first.push(char::from(byte[0]));
    }
    client.write_all(request("close").as_bytes()).unwrap();
    let mut second = String::new();
    client.read_to_string(&mut second).unwrap();
    for answer in [first, second] {
        assert!(answer.contains("\"NumberLoadedRows\":2"), "{answer}");
    }
    let db = folder.path().join("a.db");
    let kept = "SELECT count(*) FROM query WHERE statement LIKE '%\u{3}%'";
    assert_eq!(number(&db, kept), 1);
}

#[test]
fn filtered_rows_count_against_the_ratio() {
    let (folder, server) = server();
    let body = format!("{ROW}too few\n{}", ROW.replace("1-2", "3-4"));
    let strict = load(&server, &[("label", "a"), COLUMNS], body.as_bytes());
    assert_eq!(strict["Status"], "Fail");
    let message = strict["Message"].as_str().unwrap();
    assert!(message.contains("row 2: the row has 1 values for 4 columns"), "{message}");
    assert_eq!(
        (&strict["NumberFilteredRows"], &strict["NumberLoadedRows"]),
        (&json!(1), &json!(0))
    );
    let db = folder.path().join("a.db");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 0);
    // The label of a failed load can be used again.
    let headers = [("label", "a"), COLUMNS, ("max_filter_ratio", "0.34")];
    let lenient = load(&server, &headers, body.as_bytes());
    assert_eq!((&lenient["Status"], &lenient["NumberLoadedRows"]), (&json!("Success"), &json!(2)));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 2);
}

#[test]
fn unsupported_requests_are_rejected_with_a_reason() {
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
        (vec![COLUMNS, ("merge_type", "DELETE")], "the header merge_type"),
        (vec![COLUMNS, ("where", "a = 1")], "the header where"),
        (vec![COLUMNS, ("delete", "a = 1")], "the header delete"),
        (vec![COLUMNS, ("enclose", "\"")], "the header enclose"),
        (vec![COLUMNS, ("escape", "|")], "the header escape"),
        (vec![COLUMNS, ("partitions", "p1")], "the header partitions"),
        (vec![COLUMNS, ("temporary_partitions", "p1")], "the header temporary_partitions"),
        (vec![COLUMNS, ("hidden_columns", "a")], "the header hidden_columns"),
        (
            vec![COLUMNS, ("function_column.sequence_col", "a")],
            "the header function_column.sequence_col",
        ),
        (vec![COLUMNS, ("negative", "TRUE")], "the header negative"),
        (vec![COLUMNS, ("num_as_string", "true")], "the header num_as_string"),
        (vec![COLUMNS, ("partial_columns", "true")], "the header partial_columns"),
        (vec![COLUMNS, ("group_commit", "async_mode")], "the header group_commit"),
        (vec![COLUMNS, ("negative", "maybe")], "the header negative must be true or false"),
        (vec![COLUMNS, ("skip_lines", "-1")], "the header skip_lines"),
        (vec![COLUMNS, ("timezone", "+05:30")], "the header timezone"),
        (vec![COLUMNS, ("strict_mode", "yes")], "the header strict_mode"),
        (vec![("format", "json"), ("jsonpaths", "$.a")], "the header jsonpaths"),
        (vec![("format", "json"), ("json_root", "$..a")], "JSON path"),
        (vec![("format", "json")], "the row is not JSON"),
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
fn a_database_with_too_long_a_name_is_rejected() {
    let (folder, server) = server();
    for (name, status) in [("d".repeat(256), "Success"), ("d".repeat(257), "Fail")] {
        let path = format!("/api/{name}/t/_stream_load?redirected=true");
        let (_, answer, _) = server.send("PUT", &path, &[COLUMNS], ROW.as_bytes());
        assert_eq!(answer["Status"], status);
        let is_named = answer["Message"].as_str().unwrap().contains("longer than 256 characters");
        assert_eq!(is_named, status == "Fail", "{answer}");
    }
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 1);
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
fn too_large_bodies_are_rejected_in_bounded_memory() {
    let (_folder, server) = server();
    // The server rejects a length over the limit before it reads the body.
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
    // The server cuts off an endless body, and answers other requests meanwhile.
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
        assert!(sent < 1000, "the server reads an endless body");
        if sent % 32 == 0 {
            server.envelope("/rest/v1/session");
        }
    }
    // A small gzip with a large content.
    let bomb = gzip(&vec![b'x'; 150 << 20]);
    let headers = [COLUMNS, ("compress_type", "gz")];
    let (status, answer, _) = server.send("PUT", STEP_TWO, &headers, &bomb);
    assert_eq!((status, &answer["Status"]), (413, &json!("Fail")));
    assert!(server.peak_memory() < 900 << 20, "{} MiB", server.peak_memory() >> 20);
    assert_eq!(load(&server, &[COLUMNS], ROW.as_bytes())["Status"], "Success");
}

#[test]
fn excluded_rows_are_counted_as_unselected() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[[exclude]]\nstatement = '^select 1$'\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let server = Server::start(&folder.path().join("a.db"), &arguments);
    let body = format!("{ROW}{}", ROW.replace("1-2", "3-4").replace("select 1", "select 2"));
    let answer = load(&server, &[COLUMNS], body.as_bytes());
    assert_eq!(answer["Status"], "Success");
    assert_eq!(answer["NumberUnselectedRows"], 1);
    assert_eq!(answer["NumberLoadedRows"], 1);
    let report = server.envelope("/api/v1/status")["data"]["sources"]["stream_load"].clone();
    assert_eq!((&report["excluded"], &report["records_new"]), (&json!(1), &json!(1)));
}
