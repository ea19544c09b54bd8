//! `annals serve`: the paths of a Doris frontend, start and stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    self, Server, WithDb, annals, audit_records, data, import, number, stderr, stdout, wait_until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Starts a server of the sample data in UTC.
fn sample() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let samples = data("");
    let arguments = ["--import", samples.to_str().unwrap(), "--time-zone", "UTC"];
    let server = Server::start(&folder.path().join("annals.db"), &arguments);
    (folder, server)
}

fn row<'a>(envelope: &'a Value, key: &str, id: &str) -> &'a Value {
    let rows = envelope["data"]["rows"].as_array().unwrap();
    rows.iter().find(|row| row[key] == id).unwrap()
}

#[test]
fn the_session_envelope_is_as_doris_documents_it() {
    let (_folder, server) = sample();
    let (_, _, body) = server.get("/rest/v1/session");
    let text = String::from_utf8(body).unwrap();
    // The order of the keys matters, and a parsed object has none.
    assert!(text.starts_with(
        r#"{"msg":"success","code":0,"data":{"columns_names":["User","Default Db","SQL","Query Type","Start Time","End Time","Cost","Query State","Profile"],"href_column":"Profile","rows":[{"User":"#
    ));
    assert!(text.contains(
        r#"{"User":"root","Query Type":"Query","Total":"316ms","QueryId":"fbb2582c72884d29-9dd9de3b42b740e9","Default Db":"shop","Sql Statement":"select count(*) from store_sales5","Start Time":"2024-08-06 11:15:50","Query State":"EOF","End Time":"2024-08-06 11:15:51","__hrefPath":"/query_profile/query_id=fbb2582c72884d29-9dd9de3b42b740e9"}"#
    ));
    let envelope: Value = serde_json::from_str(&text).unwrap();
    let rows = envelope["data"]["rows"].as_array().unwrap();
    assert_eq!(envelope["count"], rows.len());
    assert_eq!(rows.len(), 21);
    for row in rows {
        let row = row.as_object().unwrap();
        assert_eq!(row.len(), 10);
        assert!(row.values().all(Value::is_string));
    }
    let starts: Vec<&str> = rows.iter().map(|row| row["Start Time"].as_str().unwrap()).collect();
    assert!(starts.is_sorted_by(|newer, older| newer >= older), "{starts:?}");

    let load = row(&envelope, "QueryId", "10238");
    assert_eq!((&load["Query Type"], &load["Total"]), (&json!("Load"), &json!("3min20sec")));
    // A query that a slow-query line or a profile repeats is listed once, with the best values.
    assert_eq!(text.matches("91ff336304f14182-9ca537eee75b3856\",\"Default").count(), 1);
    assert_eq!(row(&envelope, "QueryId", "91ff336304f14182-9ca537eee75b3856")["Total"], "1min2sec");
    // This query has only a profile, copied from a page.
    let copied = row(&envelope, "QueryId", "5d6e7f8091a2b3c4-d5e6f708192a3b4c");
    assert_eq!(copied["Total"], "26sec885ms");
    assert_eq!(copied["End Time"], "2024-08-05 08:00:26");
    assert!(copied["Sql Statement"].as_str().unwrap().contains("\n    sum(l.price)\n"));
}

#[test]
fn a_list_has_as_many_rows_as_its_limit() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    std::fs::write(&log, audit_records(0..1100)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    for path in ["/rest/v1/session", "/rest/v1/query_profile"] {
        for (limit, rows) in [("", 100), ("?limit=1", 1), ("?limit=1000", 1000)] {
            let envelope = server.envelope(&format!("{path}{limit}"));
            assert_eq!(envelope["count"], rows);
            assert_eq!(envelope["data"]["rows"].as_array().unwrap().len(), rows);
            assert_eq!(envelope["data"]["rows"][0]["Sql Statement"], "select 1099");
        }
        for limit in ["0", "1001", "-1", "ten", ""] {
            let (status, _, body) = server.get(&format!("{path}?limit={limit}"));
            assert_eq!(status, 400);
            let envelope: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&envelope["code"], &envelope["msg"]), (&json!(403), &json!("Bad Request")));
            assert!(envelope["data"].as_str().unwrap().contains("from 1 to 1000"));
        }
    }
}

#[test]
fn a_profile_is_html_at_every_path() {
    let (_folder, server) = sample();
    let id = "8c1d2e3f40516273-b4c5d6e7f8091a2c";
    for path in [
        format!("/rest/v1/session?query_id={id}"),
        format!("/rest/v1/session/{id}"),
        format!("/rest/v1/session/query_id={id}"),
        format!("/rest/v1/session/query_id%3D{id}"),
        format!("/rest/v1/query_profile/{id}"),
        format!("/rest/v1/query_profile/query_id={id}"),
    ] {
        let envelope = server.envelope(&path);
        assert_eq!((&envelope["code"], &envelope["count"]), (&json!(0), &json!(0)), "{path}");
        let html = envelope["data"].as_str().unwrap();
        let id = format!(
            "Summary:</br>&nbsp;&nbsp;&nbsp;&nbsp;&nbsp;&nbsp;-&nbsp;&nbsp;Profile&nbsp;&nbsp;ID:&nbsp;&nbsp;{id}</br>"
        );
        assert!(html.starts_with(&id), "{html}");
        assert!(html.contains("&lt;staging&gt;&nbsp;&nbsp;where&nbsp;&nbsp;a&nbsp;&nbsp;&lt;"));
        assert!(html.contains("&amp;&amp;"));
        assert!(!html.contains("<staging>"));
    }
}

#[test]
fn a_profile_as_text_is_unchanged() {
    let (_folder, server) = sample();
    for (id, file) in [
        ("fbb2582c72884d29-9dd9de3b42b740e9", "profiles/doris-2.1.txt"),
        ("5d6e7f8091a2b3c4-d5e6f708192a3b4c", "profiles/copied-from-page.txt"),
    ] {
        let text = std::fs::read(data(file)).unwrap();
        let (status, content_type, body) = server.get(&format!("/api/profile/text?query_id={id}"));
        assert_eq!((status, content_type.as_str()), (200, "text/plain; charset=utf-8"));
        assert!(body == text, "{file}");
        let envelope = server.envelope(&format!("/api/profile?query_id={id}"));
        assert_eq!(envelope["data"]["profile"].as_str().unwrap().as_bytes(), text);
        assert_eq!(envelope["count"], 0);
    }
}

#[test]
fn the_query_profile_list_is_as_in_doris_3() {
    let (_folder, server) = sample();
    let envelope = server.envelope("/rest/v1/query_profile");
    assert_eq!(
        envelope["data"]["column_names"],
        json!([
            "Profile ID", "Task Type", "Start Time", "End Time", "Total", "Task State", "User",
            "Default Catalog", "Default Db", "Sql Statement"
        ])
    );
    assert_eq!(envelope["data"]["href_column"], json!(["Profile ID"]));
    assert_eq!(
        *row(&envelope, "Profile ID", "8c1d2e3f40516273-b4c5d6e7f8091a2c"),
        json!({
            "Profile ID": "8c1d2e3f40516273-b4c5d6e7f8091a2c",
            "Task Type": "LOAD",
            "Start Time": "2024-08-07 09:04:59",
            "End Time": "2024-08-07 09:05:00",
            "Total": "1sec0ms",
            "Task State": "OK",
            "User": "carol",
            "Default Catalog": "internal",
            "Default Db": "web",
            "Sql Statement": "insert into t select * from <staging> where a < b && b > c",
            "__hrefPaths": ["/query_profile/8c1d2e3f40516273-b4c5d6e7f8091a2c"]
        })
    );
}

#[test]
fn times_are_in_the_configured_zone() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let log = data("fe.audit.log");
    let zone = ["--time-zone", "Asia/Shanghai"];
    let server = Server::start(&db, &[&["--import", log.to_str().unwrap()], &zone[..]].concat());
    let id = "fbb2582c72884d29-9dd9de3b42b740e9";
    let start = |server: &Server| {
        row(&server.envelope("/rest/v1/session"), "QueryId", id)["Start Time"].clone()
    };
    assert_eq!(start(&server), "2024-08-06 11:15:50");
    drop(server);
    assert_eq!(start(&Server::start(&db, &[])), "2024-08-06 03:15:50");
}

#[test]
fn errors_are_answered_in_the_envelope() {
    let (_folder, server) = sample();
    let known = "1f4e-a2b";
    let long = "x".repeat(129);
    let cases: &[(&str, String, u16, u64, &str)] = &[
        ("GET", "/rest/v1/session?query_id=12-34".into(), 200, 1, "ID 12-34 does not exist"),
        ("GET", "/rest/v1/session/12-34".into(), 200, 1, "ID 12-34 does not exist"),
        ("GET", "/rest/v1/query_profile/12-34".into(), 200, 1, "ID 12-34 does not exist"),
        ("GET", "/api/profile?query_id=12-34".into(), 200, 1, "ID 12-34 does not exist"),
        ("GET", format!("/rest/v1/session/{known}"), 200, 1, "no profile"),
        ("GET", format!("/rest/v1/session/{long}"), 400, 403, "longer than 128 characters"),
        (
            "GET",
            format!("/rest/v1/session?query_id={long}"),
            400,
            403,
            "longer than 128 characters",
        ),
        ("GET", format!("/api/profile?query_id={long}"), 400, 403, "longer than 128 characters"),
        ("GET", "/rest/v1/session?query_id=".into(), 400, 403, "missing"),
        ("GET", "/rest/v1/session/a%20b".into(), 400, 403, "white space"),
        ("GET", "/rest/v1/session/a%00b".into(), 400, 403, "control character"),
        ("GET", "/api/profile".into(), 400, 403, "missing"),
        ("GET", "/rest/v1/session/12-34/".into(), 200, 1, "ID 12-34 does not exist"),
        ("GET", "/api/query_detail".into(), 400, 403, "Missing event_time"),
        ("GET", "/api/v2/query_detail?event_time=now".into(), 400, 403, "Unix milliseconds"),
        ("GET", "/rest/v1/login".into(), 405, 403, "POST"),
        ("GET", "/nothing".into(), 404, 404, "/rest/v1/session"),
        ("GET", "/rest/v1/sessions".into(), 404, 404, "/rest/v1/session"),
        ("GET", "/api/profile/texts".into(), 404, 404, "/rest/v1/session"),
        ("POST", "/nothing".into(), 404, 404, "/rest/v1/session"),
        ("POST", "/rest/v1/session".into(), 405, 403, "GET"),
        ("DELETE", "/rest/v1/session/12-34".into(), 405, 403, "GET"),
        ("PUT", "/api/profile/text?query_id=12-34".into(), 405, 403, "GET"),
    ];
    for (method, path, status, code, sentence) in cases {
        let (answered, content_type, body) = server.request(method, path);
        assert_eq!((answered, content_type.as_str()), (*status, "application/json"), "{path}");
        let envelope: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(envelope["code"], *code, "{path}");
        let msg = match code {
            1 => "Error",
            403 => "Bad Request",
            _ => "Not Found",
        };
        assert_eq!((&envelope["msg"], &envelope["count"]), (&json!(msg), &json!(0)));
        assert!(envelope["data"].as_str().unwrap().contains(sentence), "{path}: {envelope}");
    }
}

/// Doris answers an unknown id with a plain text here.
#[test]
fn the_newest_profile_is_answered_without_a_query_id() {
    let (_folder, server) = sample();
    let id = "8c1d2e3f40516273-b4c5d6e7f8091a2c";
    let whole = server.get(&format!("/api/profile/text?query_id={id}"));
    for path in ["/api/profile/text", "/api/profile/text?query_id="] {
        assert_eq!(server.get(path), whole, "{path}");
    }
    for (id, sentence) in [
        ("12-34", "query id 12-34 not found"),
        ("1f4e-a2b", "query id 1f4e-a2b not found: the query is known, but not its profile"),
    ] {
        let (status, content_type, text) = server.get(&format!("/api/profile/text?query_id={id}"));
        assert_eq!((status, content_type.as_str()), (200, "text/plain; charset=utf-8"));
        assert_eq!(String::from_utf8(text).unwrap(), sentence);
    }
}

/// Monitors poll this path for the queries after a time, oldest first.
#[test]
fn query_details_begin_after_the_given_event() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    let failed = audit_records(2000..2001).replace("State=EOF", "State=ERR");
    std::fs::write(&log, format!("{}{failed}", audit_records(0..2))).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let all = server.envelope("/api/query_detail?event_time=0")["data"]["query_details"].clone();
    let sql: Vec<&str> =
        all.as_array().unwrap().iter().map(|one| one["sql"].as_str().unwrap()).collect();
    assert_eq!(sql, ["select 0", "select 1", "select 2000"]);
    assert_eq!((&all[0]["state"], &all[2]["state"]), (&json!("FINISHED"), &json!("FAILED")));
    assert_eq!((&all[0]["user"], &all[0]["database"]), (&json!("root"), &json!("test")));
    assert_eq!((&all[0]["isQuery"], &all[0]["spillBytes"]), (&json!(true), &json!(-1)));
    // A request with the time of the last event gets the later queries.
    let seen = all[1]["eventTime"].as_i64().unwrap();
    let since = server.envelope(&format!("/api/query_detail?event_time={seen}"));
    assert_eq!(since["data"]["query_details"], json!([all[2]]));
    // StarRocks uses nanoseconds and another envelope.
    let path = format!("/api/v2/query_detail?event_time={seen}000000");
    let answer: Value = serde_json::from_slice(&server.get(&path).2).unwrap();
    assert_eq!((&answer["code"], &answer["message"]), (&json!("0"), &json!("OK")));
    assert_eq!(answer["result"].as_array().unwrap().len(), 1);
    let last = all[2]["eventTime"].as_i64().unwrap();
    assert_eq!(answer["result"][0]["eventTime"], last * 1_000_000);
    let none = server.envelope(&format!("/api/query_detail?event_time={last}"));
    assert_eq!(none["data"]["query_details"], json!([]));
}

#[test]
fn the_command_of_the_readme_reports_what_it_imported() {
    let (_folder, server) = sample();
    assert!(
        server.printed.contains("records:  21 new, 4 merged, 0 unchanged"),
        "{}",
        server.printed
    );
    assert!(server.printed.contains("profiles: 4 new"), "{}", server.printed);
    assert!(server.printed.contains("logins:   2 new"), "{}", server.printed);
    assert!(!server.printed.contains("not understood"), "{}", server.printed);
}

#[test]
fn a_running_server_serves_what_an_import_adds() {
    let (folder, server) = sample();
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1).replace("2024-01-02", "2026-01-02")).unwrap();
    assert!(import(&folder.path().join("annals.db"), &[&log]).status.success());
    let envelope = server.envelope("/rest/v1/session?limit=1");
    assert_eq!(envelope["data"]["rows"][0]["Sql Statement"], "select 0");
}

#[test]
fn a_signal_stops_the_server_cleanly() {
    for signal in ["INT", "TERM"] {
        let (folder, mut server) = sample();
        // An idle connection must not delay the stop.
        let mut idle = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
        idle.write_all(b"GET /rest/v1/session?limit=1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        assert_ne!(idle.read(&mut [0; 64]).unwrap(), 0);
        let signalled = Instant::now();
        server.signal(signal);
        assert!(server.process.wait().unwrap().success());
        assert!(signalled.elapsed() < Duration::from_secs(5));
        // SQLite's write-ahead log was moved into the file.
        assert!(!folder.path().join("annals.db-wal").exists());
        assert_eq!(number(&folder.path().join("annals.db"), "SELECT count(*) FROM query"), 21);
    }
}

#[test]
fn a_signal_ends_the_import_before_a_server_serves() {
    let folder = TempDir::new().unwrap();
    let mut command = annals();
    command.args(["serve", "--listen", "127.0.0.1:0", "--import", "-"]);
    command.db(folder.path().join("annals.db")).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = command.spawn().unwrap();
    // More than a pipe holds, so that annals reads. The input does not end.
    let mut input = process.stdin.take().unwrap();
    input.write_all(audit_records(0..2_000).as_bytes()).unwrap();
    let signalled = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(signalled.success());
    wait_until(|| process.try_wait().unwrap().is_some(), || "the import goes on".to_string());
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_stopping_server_completes_an_answer_in_flight() {
    let folder = TempDir::new().unwrap();
    let (db, profile) = (folder.path().join("a.db"), folder.path().join("profile"));
    // Far more than the socket buffers hold.
    let text = support::profile("1-2", &[]) + &"     - RowsProduced: 1\n".repeat(1_500_000);
    std::fs::write(&profile, &text).unwrap();
    assert!(import(&db, &[&profile]).status.success());
    let mut server = Server::start(&db, &[]);
    let mut client = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    client
        .write_all(b"GET /api/profile/text?query_id=1-2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut start = [0; 64];
    client.read_exact(&mut start).unwrap();
    server.signal("TERM");
    // The server handled the signal when it rejects new connections.
    let is_closed = || TcpStream::connect(server.address()).is_err();
    wait_until(is_closed, || "the server still accepts connections".to_string());
    assert!(server.process.try_wait().unwrap().is_none());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&text.as_bytes()[text.len() - 1000..]));
    assert!(rest.len() + start.len() > text.len());
    assert!(server.process.wait().unwrap().success());
}

#[test]
fn it_listens_on_other_addresses_only_with_the_flag() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let rejected = annals().args(["serve", "--listen", "0.0.0.0:0"]).db(&db).output().unwrap();
    assert_eq!(rejected.status.code(), Some(2));
    assert!(stderr(&rejected).contains("--insecure-no-auth"), "{}", stderr(&rejected));
    assert!(!db.exists());
    let connected =
        TcpStream::connect(Server::start(&db, &[]).url.strip_prefix("http://").unwrap());
    assert!(connected.is_ok());
}

#[test]
fn an_address_in_use_and_a_missing_import_are_reported() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let rejected = annals().args(["serve", "--listen", address]).db(&db).output().unwrap();
    assert_eq!(rejected.status.code(), Some(2));
    assert!(stderr(&rejected).contains(&format!("cannot listen on {address}")));
    let rejected = annals()
        .args(["serve", "--listen", "127.0.0.1:0", "--import", "no/such"])
        .db(folder.path().join("b.db"))
        .output()
        .unwrap();
    assert_eq!(rejected.status.code(), Some(2));
    assert!(stderr(&rejected).contains("no file or folder no/such"));
    assert_eq!(stdout(&rejected), "");
    assert!(!folder.path().join("b.db").exists());
}
