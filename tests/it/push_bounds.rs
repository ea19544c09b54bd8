//! What one client that pushes can cost the others: memory, time, and what others reported.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Server, add_user, audit_record, import, number, profile, rows, stdout, wait_until,
};

const QUERIES: &str = "/api/v1/queries";
const STREAM_LOAD: &str = "/api/d/t/_stream_load?redirected=true";

/// What a server may take beside what pushed bodies and their records are allowed to: code, caches, one transaction.
const BESIDE_BYTES: u64 = 192 << 20;

fn server() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    (folder, server)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

/// Returns the header of HTTP Basic for a user that [`add_user`] added.
fn basic(name: &str) -> String {
    use base64::Engine;
    let pair = format!("{name}:pass-word-of-{name}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// Returns rows of a load with two columns each.
fn short_rows(count: usize) -> Vec<u8> {
    let mut rows = Vec::new();
    for number in 0..count {
        writeln!(rows, "{number:x},1").unwrap();
    }
    rows
}

#[test]
fn a_row_of_very_many_values_is_rejected_alone() {
    let (folder, server) = server();
    let zeros = "0,".repeat(4_000_000);
    let row = format!("{{\"query_id\":\"a\",\"time\":1722942960951,\"x\":[{zeros}0]}}");
    let good = "{\"query_id\":\"b\",\"time\":1722942960951}";
    let before = server.peak_memory();
    for body in [format!("{row}\n{good}\n"), format!("[{row},{good}]")] {
        let headers = [("content-encoding", "gzip")];
        let (status, answer, _) = server.send("POST", QUERIES, &headers, &gzip(body.as_bytes()));
        assert_eq!((status, &answer["data"]["rejected"]), (422, &json!(1)), "{answer}");
        assert_eq!(
            answer["data"]["reasons"][0],
            json!({"line": 1, "reason": "the row has more than 65,536 values"})
        );
    }
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 1);
    // As values, the zeros would take 128 MB.
    let grown = server.peak_memory() - before;
    assert!(grown < 100 << 20, "{} MiB", grown >> 20);
}

#[test]
fn a_push_of_many_rows_is_written_in_parts() {
    let (folder, server) = server();
    let mut rows = String::new();
    // A part of a push has 16 MiB.
    let note = "x".repeat(8000);
    for number in 0..3000 {
        let row =
            json!({"query_id": format!("{number:x}"), "time": 1_722_942_960_951_i64, "note": note});
        rows += &format!("{row}\n");
    }
    let (status, answer, _) = server.send("POST", QUERIES, &[], rows.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(3000)), "{answer}");
    let (_, answer, _) = server.send("POST", QUERIES, &[], rows.as_bytes());
    assert_eq!(answer["data"]["unchanged"], 3000);
    // Nothing of an array is stored that cannot be read to its end.
    let array =
        format!("[{}", rows.replace("\"query_id\":\"", "\"query_id\":\"n").replace('\n', ",\n"));
    let (status, answer, _) = server.send("POST", QUERIES, &[], array.as_bytes());
    assert_eq!(status, 400, "{answer}");
    assert!(answer["data"].as_str().unwrap().contains("not one JSON array"), "{answer}");
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 3000);
}

#[test]
#[ignore = "takes a minute without optimization; run against a release build"]
fn large_loads_that_come_at_once_are_all_stored() {
    let (folder, server) = server();
    let csv = [("columns", "query_id,time"), ("column_separator", ",")];
    let body = short_rows(150_000);
    // Their rows take more memory than one client may hold.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (status, answer, _) = server.send("PUT", STREAM_LOAD, &csv, &body);
                assert_eq!((status, &answer["Status"]), (200, &json!("Success")), "{answer}");
            });
        }
    });
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 150_000);
}

#[test]
#[ignore = "takes a minute without optimization; run against a release build"]
fn the_largest_bodies_are_read_in_bounded_memory() {
    let (folder, server) = server();
    let csv = [("columns", "query_id,time"), ("column_separator", ","), ("compress_type", "gz")];
    // A load is one transaction: what does not fit is rejected as a whole.
    let (status, answer, _) = server.send("PUT", STREAM_LOAD, &csv, &gzip(&short_rows(1_000_000)));
    assert_eq!((status, &answer["Status"]), (413, &json!("Fail")), "{answer}");
    assert!(answer["Message"].as_str().unwrap().contains("send it in parts"), "{answer}");
    let (status, answer, _) = server.send("PUT", STREAM_LOAD, &csv, &gzip(&short_rows(100_000)));
    assert_eq!((status, &answer["NumberLoadedRows"]), (200, &json!(100_000)), "{answer}");
    assert_eq!(number(&folder.path().join("a.db"), "SELECT count(*) FROM query"), 100_000);
    // One row of 32 million zeros.
    let row = format!("{{\"query_id\":\"z\",\"time\":1,\"x\":[{}0]}}", "0,".repeat(32_000_000));
    let packed = [("content-encoding", "gzip")];
    let (status, answer, _) = server.send("POST", QUERIES, &packed, &gzip(row.as_bytes()));
    assert_eq!((status, &answer["data"]["rejected"]), (422, &json!(1)), "{answer}");
    // A body of bytes that are not UTF-8, which become three bytes each.
    let (status, answer, _) = server.send("POST", QUERIES, &packed, &gzip(&vec![0xff; 100 << 20]));
    assert_eq!(status, 413, "{answer}");
    let bound = (384 << 20) + BESIDE_BYTES;
    assert!(server.peak_memory() < bound, "{} MiB", server.peak_memory() >> 20);
}

/// Begins a push of 128 MiB and sends a few bytes.
fn trickle(server: &Server, headers: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST {QUERIES} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n{{",
        128 << 20
    );
    client.write_all(head.as_bytes()).unwrap();
    client
}

#[test]
fn clients_that_announce_large_bodies_and_send_little_hold_nobody_up() {
    let (_folder, server) = server();
    let tricklers: Vec<TcpStream> = (0..40).map(|_| trickle(&server, "")).collect();
    let row = "{\"query_id\":\"b\",\"time\":1722942960951}";
    let began = Instant::now();
    let (status, answer, _) = server.send("POST", QUERIES, &[], row.as_bytes());
    assert_eq!(status, 200, "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(server.peak_memory() < 120 << 20);
    drop(tricklers);
}

#[test]
fn one_user_cannot_hold_the_memory_of_all_pushes() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    add_user(&db, "greedy", "writer");
    add_user(&db, "modest", "writer");
    let server = Server::start(&db, &[]);
    // Each client sends 100 MB of a body of 128 MiB and then nothing.
    let head = format!("Authorization: {}\r\n", basic("greedy"));
    let piece = vec![b' '; 1 << 20];
    let mut clients: Vec<TcpStream> = (0..4).map(|_| trickle(&server, &head)).collect();
    for client in &mut clients {
        client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        for _ in 0..100 {
            // The clients beyond the share of the user are not read.
            if client.write_all(&piece).is_err() {
                break;
            }
        }
    }
    let row = "{\"query_id\":\"b\",\"time\":1722942960951}";
    let modest = basic("modest");
    let headers = [("authorization", modest.as_str())];
    let (status, answer, _) = server.send("POST", QUERIES, &headers, row.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let bound = (384 << 20) + BESIDE_BYTES;
    assert!(server.peak_memory() < bound, "{} MiB", server.peak_memory() >> 20);
}

#[test]
#[ignore = "waits half a minute for the time limit of a slow body"]
fn a_body_that_trickles_is_cut_off() {
    let (_folder, server) = server();
    let mut client = trickle(&server, "Connection: close\r\n");
    let mut honest = trickle(&server, "Connection: close\r\n");
    let mut other = honest.try_clone().unwrap();
    // 3 KB a second, as a poor mobile link.
    let sender = std::thread::spawn(move || {
        for _ in 0..40 {
            std::thread::sleep(Duration::from_secs(1));
            other.write_all(&[b' '; 3000]).unwrap();
        }
    });
    let began = Instant::now();
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 4096];
    let length = loop {
        match client.read(&mut answer) {
            Ok(length) => break length,
            Err(_) => client.write_all(b" ").unwrap(),
        }
        assert!(began.elapsed() < Duration::from_secs(40), "the body is still read");
    };
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("annals waits 30 s for each 32 KiB"), "{answer}");
    sender.join().unwrap();
    honest.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    assert!(honest.read(&mut [0; 1]).is_err(), "the slow client was cut off");
}

/// Pushes a record or a profile as a user, and returns the outcome.
fn push(server: &Server, user: &str, method: &str, path: &str, body: &str) -> Value {
    let basic = basic(user);
    let headers = [("authorization", basic.as_str())];
    let (status, answer, _) = server.send(method, path, &headers, body.as_bytes());
    assert_eq!(status, 200, "{answer}");
    answer["data"].clone()
}

fn history_with_users() -> (TempDir, std::path::PathBuf, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    add_user(&db, "root", "admin");
    for name in ["alice", "bob", "agent"] {
        add_user(&db, name, "writer");
    }
    let server = Server::start(&db, &[]);
    (folder, db, server)
}

fn profile_text(id: &str, user: &str, statement: &str, state: &str) -> String {
    let values = [
        ("Start Time", "2024-08-06 11:16:00"),
        ("End Time", "2024-08-06 11:16:01"),
        ("Total", "1s"),
        ("User", user),
        ("Sql Statement", statement),
        ("Task State", state),
    ];
    profile(id, &values)
}

fn text(db: &std::path::Path, sql: &str) -> Option<String> {
    rows(db, sql)[0][0].clone()
}

#[test]
fn a_writer_changes_nothing_that_others_reported() {
    let (_folder, db, server) = history_with_users();
    let record = |user: Option<&str>, statement: &str, ms: u64| {
        json!({"query_id": "a-1", "time": "2024-08-06T11:16:00.100Z", "user": user, "query_time": ms,
            "state": "EOF", "stmt": statement})
        .to_string()
    };
    push(&server, "root", "POST", QUERIES, &record(Some("alice"), "select secret", 900));
    let path = "/api/v1/queries/a-1/profile";
    let text_of_alice = profile_text("a-1", "alice", "select secret", "OK");
    assert_eq!(push(&server, "root", "PUT", path, &text_of_alice)["profile"], "new");
    let before = server_row(&server, "root", "a-1");

    // A longer text, of the same user and of another one.
    let longer = text_of_alice.clone() + &"  - Filler: 1\n".repeat(200);
    assert_eq!(push(&server, "bob", "PUT", path, &longer)["profile"], "unchanged");
    push(&server, "bob", "PUT", path, &longer.replace("alice", "bob"));
    // Another statement, an earlier one, a load, and a report of the same statement by another user.
    for body in [
        record(Some("bob"), "select secret", 1),
        record(Some("bob"), "select 1", 1).replace("11:16:00", "11:15:00"),
        record(None, "select 1", 1).replace("11:16:00", "11:15:00"),
        record(Some("bob"), "select secret", 1).replace("{", "{\"kind\":\"load\","),
        record(Some("bob"), "select secret", 1).replace("EOF", "RUNNING"),
    ] {
        push(&server, "bob", "POST", QUERIES, &body);
    }
    assert_eq!(server_row(&server, "root", "a-1"), before);
    assert_eq!(server_text(&server, "alice", path).as_deref(), Some(text_of_alice.as_str()));
    assert_eq!(server_text(&server, "bob", path), None);
    assert_eq!(text(&db, "SELECT \"user\" FROM query WHERE query_id = 'a-1'").unwrap(), "alice");
}

#[test]
fn a_writer_claims_no_query_without_a_user() {
    let (_folder, db, server) = history_with_users();
    let record = |user: Option<&str>| {
        json!({"query_id": "a-1", "time": "2024-08-06T11:16:00.100Z", "user": user, "query_time": 9,
            "state": "EOF", "stmt": "select secret"})
        .to_string()
    };
    push(&server, "root", "POST", QUERIES, &record(None));
    let path = "/api/v1/queries/a-1/profile";
    let anonymous = profile_text("a-1", "", "select secret", "OK");
    push(&server, "root", "PUT", path, &anonymous);
    push(&server, "bob", "POST", QUERIES, &record(Some("bob")));
    push(&server, "bob", "PUT", path, &profile_text("a-1", "bob", "select secret", "OK"));
    assert_eq!(text(&db, "SELECT \"user\" FROM query WHERE query_id = 'a-1'"), None);
    assert_eq!(server_text(&server, "bob", path), None);
    // An agent that reports the queries of others names their user.
    push(&server, "agent", "POST", QUERIES, &record(Some("alice")));
    assert_eq!(server_text(&server, "alice", path).as_deref(), Some(anonymous.as_str()));
}

#[test]
fn reports_of_a_writing_agent_merge_in_either_order() {
    let (_folder, db, server) = history_with_users();
    for profile_first in [true, false] {
        let id = if profile_first { "a-1" } else { "a-2" };
        let record = json!({"query_id": id, "time": "2024-08-06T11:16:00.100Z", "user": "alice",
            "query_time": 987, "state": "EOF", "stmt": "select 1"})
        .to_string();
        let path = format!("/api/v1/queries/{id}/profile");
        let running = profile_text(id, "alice", "select 1", "RUNNING");
        let finished = profile_text(id, "alice", "select 1", "OK");
        if !profile_first {
            push(&server, "agent", "POST", QUERIES, &record);
        }
        assert_eq!(push(&server, "agent", "PUT", &path, &running)["profile"], "new");
        assert_eq!(push(&server, "agent", "PUT", &path, &finished)["profile"], "merged");
        if profile_first {
            push(&server, "agent", "POST", QUERIES, &record);
        }
        assert_eq!(server_text(&server, "alice", &path).as_deref(), Some(finished.as_str()));
        let row = server_row(&server, "alice", id);
        assert_eq!((&row["duration_ms"], &row["user"]), (&json!(987), &json!("alice")));
        assert_eq!((&row["origin"], &row["state"]), (&json!("audit"), &json!("EOF")));
    }
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 2);
}

/// Returns a query as a user sees it.
fn server_row(server: &Server, user: &str, id: &str) -> Value {
    let mut answer = get(server, user, &format!("/api/v1/queries/{id}"));
    assert_eq!(answer.status(), 200);
    let text = answer.body_mut().read_to_string().unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["data"].clone()
}

/// Returns the text of a profile as a user sees it.
fn server_text(server: &Server, user: &str, path: &str) -> Option<String> {
    let mut answer = get(server, user, path);
    (answer.status() == 200).then(|| answer.body_mut().read_to_string().unwrap())
}

fn get(server: &Server, user: &str, path: &str) -> ureq::http::Response<ureq::Body> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.get(format!("{}{path}", server.url)).header("authorization", basic(user)).call().unwrap()
}

#[test]
fn a_number_that_its_field_cannot_have_is_kept_beside_the_columns() {
    let (folder, server) = server();
    let row = |id: &str, rows: &str| {
        format!("{{\"query_id\":\"{id}\",\"time\":1722942960951,\"scan_rows\":{rows}}}\n")
    };
    let body = row("a", "9223372036854775807") + &row("b", "1000000000000000000");
    let (status, answer, _) = server.send("POST", QUERIES, &[], body.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(2)), "{answer}");
    let db = folder.path().join("a.db");
    assert_eq!(number(&db, "SELECT sum(scan_rows) FROM query"), 1_000_000_000_000_000_000);
    assert_eq!(
        number(
            &db,
            r#"SELECT count(*) FROM query WHERE query_id = 'a' AND extra LIKE '%"scan_rows":"9223372036854775807"%'"#
        ),
        1
    );
    let strict = [("columns", "query_id,time,scan_rows"), ("strict_mode", "true")];
    let body = b"c\t2024-08-06 11:16:00\t9223372036854775807\n";
    let (_, answer, _) = server.send("PUT", STREAM_LOAD, &strict, body);
    assert_eq!(answer["Status"], "Fail", "{answer}");
    assert!(answer["Message"].as_str().unwrap().contains("scan_rows"), "{answer}");
}

#[test]
fn lines_between_two_records_change_neither() {
    let folder = TempDir::new().unwrap();
    let (log, db) = (folder.path().join("fe.audit.log"), folder.path().join("a.db"));
    let record = |id: &str, ms: &str| {
        let statement = format!("select '{id}'");
        let values =
            [("QueryId", id), ("Time(ms)", ms), ("Stmt", statement.as_str()), ("CpuTimeMS", ms)];
        audit_record("2024-01-02 11:15:51,248", &values)
    };
    let lines = ["\n", "\n \r\n\n", "log rotated by host agent\n", "\nagent: a|State=ERR|Note=x\n"];
    let mut text = String::new();
    for (number, between) in lines.iter().enumerate() {
        text += &record(&format!("a-{number}"), "12");
        text += between;
        text += &record(&format!("b-{number}"), "34");
    }
    std::fs::write(&log, text).unwrap();
    assert!(stdout(&import(&db, &[&log])).contains("8 new"));
    let whole = "SELECT count(*) FROM query WHERE statement = 'select ''' || query_id || ''''
                 AND duration_ms = cpu_time_ms AND duration_ms = CASE WHEN query_id LIKE 'a%' THEN 12 ELSE 34 END";
    assert_eq!(number(&db, whole), 8);
}

#[test]
fn a_followed_log_goes_on_behind_a_hostile_statement() {
    let folder = TempDir::new().unwrap();
    let (log, db) = (folder.path().join("fe.audit.log"), folder.path().join("a.db"));
    let keys: String = (0..40_000).map(|number| format!("|K{number:06}=1")).collect();
    let hostile = [format!("select 1 -- {keys}"), format!("select 1 {}", "--\\n".repeat(100_000))];
    let mut text = String::new();
    for (number, statement) in hostile.iter().enumerate() {
        let id = format!("a-{number}");
        text += &audit_record("2024-01-02 11:15:51,248", &[("QueryId", &id), ("Stmt", statement)]);
    }
    text += &audit_record("2024-01-02 11:15:52,248", &[("QueryId", "b-1"), ("Stmt", "select 2")]);
    std::fs::write(&log, text).unwrap();
    let server = Server::start(&db, &["--follow", log.to_str().unwrap()]);
    let began = Instant::now();
    let stored = || number(&db, "SELECT count(*) FROM query");
    wait_until(|| stored() == 3, || format!("{} queries", stored()));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(server);
}
