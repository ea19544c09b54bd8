//! The edges of HTTP: odd requests, slow and many clients, headers that every answer has.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::raw::{Answer, connect_from, get_from, metric, send};
use crate::support::{Server, WithDb, add_user, annals, binary, data, import, profile, wait_until};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

const LOCAL: &str = "127.0.0.1";

fn empty() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    (folder, server)
}

/// Starts a server that may have 104 open files, and logs into a file.
fn with_few_files(folder: &TempDir) -> Server {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 104; exec "$0" "$@""#]).arg(binary());
    command.args(["serve", "--listen", "127.0.0.1:0"]).db(folder.path().join("a.db"));
    command.env("TZ", "UTC").env_remove("ANNALS_DB").env_remove("ANNALS_LOG");
    command.stderr(File::create(folder.path().join("log")).unwrap());
    Server::start_by(&mut command)
}

fn basic(name: &str) -> String {
    let text = BASE64_STANDARD.encode(format!("{name}:pass-word-of-{name}"));
    format!("authorization: Basic {text}\r\n")
}

/// Waits until nothing of earlier requests is left, and checks that no task panicked.
fn check_that_all_ended(server: &Server) {
    let value = |name| metric(server, "", name);
    wait_until(
        || value("annals_connections") == 1.0 && value("annals_http_requests_in_progress") == 1.0,
        || format!("{} connections are open", value("annals_connections")),
    );
    assert_eq!(value("annals_panics_total"), 0.0);
}

#[test]
fn a_request_that_names_no_path_is_rejected() {
    let (_folder, server) = empty();
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(500_000));
    for (request, expected) in [
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 400),
        ("CONNECT / HTTP/1.1\r\n\r\n", 400),
        ("GET localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET ftp://localhost/a HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET http://localhost HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("GET http://localhost/api/health HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("GET /api/health HTTP/1.0\r\n\r\n", 200),
        ("GET /api/health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /rest/v1/session HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET  HTTP/1.1\r\n\r\n", 400),
        ("GET /api/health\r\n\r\n", 400),
        ("GET /\0 HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\na: b\r\n c: d\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
        (long.as_str(), 431),
    ] {
        let mut stream = connect_from(LOCAL, &server);
        let answer = send(&mut stream, request.as_bytes());
        let shown = &request[..request.len().min(60)];
        // A head that arrives whole at once has a path that is too long. In pieces, it is a head that is too long.
        let status = if answer.status == 414 { 431 } else { answer.status };
        assert_eq!(status, expected, "{shown:?} {}", answer.head);
        if answer.status == 400 && !answer.body.is_empty() {
            assert!(has_protection(&answer), "{shown:?} {}", answer.head);
        }
    }
    check_that_all_ended(&server);
}

/// A request head from the parts that HTTP has, each in usual and in odd forms, with some bytes replaced.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(vec![
        "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "",
        "G@T",
    ]);
    let target = prop::sample::select(vec![
        "/",
        "*",
        "",
        "a:1",
        "localhost:80",
        "http://localhost/",
        "http://",
        "//",
        "/..",
        "/%",
        "/%00",
        "/rest/v1/session",
        "/rest/v1/session/%ff",
        "/rest/v1/session?limit=%",
        "/rest/v1/session?&&==",
        "/rest/v1/query_profile/query_id=",
        "/api/v1/queries?from=\u{e9}",
        "/api/v1/queries//profile/tree",
        "/api/profile/text?query_id=1-2",
        "/api/v1/statements?limit=0",
        "/api/d/t/_stream_load",
        "/rest/v2/manager/query/profile/graph/1-2",
        "/events?search=x",
        "/assets/x",
        "/login?next=//a",
        "http://u:p@localhost:0/a",
        "http://[::1]:99999/",
        "/\u{1}",
        "/a#b",
        "/a\\b",
        "?a",
        "/api/v1/timeline",
    ]);
    let version = prop::sample::select(vec![
        "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "",
        "HTCPCP/1.0",
    ]);
    let header = prop::sample::select(vec![
        "host: localhost", "host: localhost", "host: ", "host: a b", "host: [::1", "host: a@b:c",
        "content-length: 0", "content-length: 5", "content-length: 18446744073709551616",
        "transfer-encoding: chunked", "transfer-encoding: identity", "expect: 100-continue",
        "expect: 200-ok", "connection: close", "connection: upgrade", "upgrade: websocket",
        "authorization: Basic ", "authorization: Basic YTpi", "authorization: \u{e9}",
        "cookie: ;=;", "cookie: annals_session=\"", "if-none-match: *", "if-none-match: W/\"",
        "accept-encoding: gzip", "accept-encoding: gzip;q=x", "origin: null", "range: bytes=0-",
        "x-request-id: \u{fe}", "label: a\u{1}", "format: csv", "columns: a,,b",
        "two_phase_commit: true", ": a", "a", " folded", "a : b", "\u{0}: b",
    ]);
    let line_end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r"]);
    let body = prop::sample::select(vec![
        "", "", "12345", "5\r\n12345\r\n0\r\n\r\n", "ffffffffffffffff\r\n",
    ]);
    let mutations = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let headers = prop::collection::vec(header, 0..6);
    (method, target, version, headers, line_end, body, mutations).prop_map(
        |(method, target, version, headers, line_end, body, mutations)| {
            let mut head = format!("{method} {target} {version}{line_end}");
            for header in headers {
                head = head + header + line_end;
            }
            let mut head = (head + line_end + body).into_bytes();
            for (at, byte) in mutations {
                let at = at.index(head.len());
                head[at] = byte;
            }
            head
        },
    )
}

#[test]
fn no_head_of_a_request_makes_a_task_panic() {
    let (_folder, server) = empty();
    // In the long form: PROPTEST_CASES=100000.
    let mut runner = TestRunner::new(Config {
        cases: cases(400),
        failure_persistence: None,
        ..Config::default()
    });
    let sent = runner.run(&heads(), |head| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let _ = stream.write_all(&head);
        // Without its end, the server waits for more of some heads.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        prop_assert!(!answer.starts_with(b"HTTP/1.1 5") || answer.starts_with(b"HTTP/1.1 503"));
        Ok(())
    });
    sent.unwrap();
    check_that_all_ended(&server);
}

fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

#[test]
fn idle_connections_do_not_use_up_the_open_files() {
    let folder = TempDir::new().unwrap();
    let server = with_few_files(&folder);
    let request = b"GET /rest/v1/session HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut reader = connect_from(LOCAL, &server);
    assert_eq!(send(&mut reader, request).status, 200);
    let mut idle = Vec::new();
    for number in 0..120 {
        // Two clients, so that the bound of all is reached as well.
        idle.push(connect_from(["127.0.0.1", "127.0.0.2"][number % 2], &server));
        if number % 10 == 0 {
            assert_eq!(send(&mut reader, request).status, 200, "{number}");
            let statements = get_from("127.0.0.3", &server, "/api/v1/statements", "");
            assert_eq!(statements.status, 200, "{number} {}", statements.text());
        }
    }
    for _ in 0..20 {
        assert_eq!(send(&mut reader, request).status, 200);
        assert_eq!(get_from("127.0.0.3", &server, "/", "").status, 200);
    }
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.lines().count() <= 3, "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

/// Begins a push that never ends.
fn busy_connection(address: &str, server: &Server) -> TcpStream {
    let begin =
        b"POST /api/v1/queries HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    let mut stream = connect_from(address, server);
    stream.write_all(begin).unwrap();
    stream
}

/// Begins ten such pushes, so that this many requests are answered, one of them for the metrics. If the connections are
/// few, one that has sent nothing yet may be closed for the next, so that more than ten tries are needed.
fn busy_connections(address: &str, server: &Server, in_progress: f64) -> Vec<TcpStream> {
    let mut busy: Vec<_> = (0..10).map(|_| busy_connection(address, server)).collect();
    let seen = || metric(server, "", "annals_http_requests_in_progress");
    wait_until(
        || {
            let is_reached = seen() == in_progress;
            if !is_reached {
                busy.push(busy_connection(address, server));
            }
            is_reached
        },
        || seen().to_string(),
    );
    busy
}

#[test]
fn a_health_check_is_answered_while_all_connections_are_busy() {
    let folder = TempDir::new().unwrap();
    let server = with_few_files(&folder);
    let of_one = busy_connections("127.0.0.2", &server, 11.0);
    // One client has its part of the connections, and others are served.
    let rejected = get_from("127.0.0.2", &server, "/rest/v1/session", "");
    assert_eq!(rejected.status, 503, "{}", rejected.text());
    assert!(has_protection(&rejected) && rejected.header("retry-after").is_some());
    assert_eq!(get_from("127.0.0.2", &server, "/api/health", "").status, 200);
    assert_eq!(get_from(LOCAL, &server, "/rest/v1/session", "").status, 200);
    let of_another = busy_connections("127.0.0.3", &server, 21.0);
    let mut last = Vec::new();
    let status = || get_from(LOCAL, &server, "/rest/v1/session", "").status;
    wait_until(
        || {
            last.push(busy_connection("127.0.0.4", &server));
            status() == 503
        },
        || "the last connection is free".to_string(),
    );
    for _ in 0..10 {
        assert_eq!(get_from(LOCAL, &server, "/api/health", "").status, 200);
    }
    drop((of_one, of_another, last));
    wait_until(|| status() == 200, || "all connections are busy".to_string());
    check_that_all_ended(&server);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.lines().count() <= 2, "{log}");
}

#[test]
fn a_request_ends_when_its_client_leaves() {
    let (_folder, server) = empty();
    let waiting: Vec<_> = (0..10).map(|_| busy_connection(LOCAL, &server)).collect();
    let in_progress = || metric(&server, "", "annals_http_requests_in_progress");
    wait_until(|| in_progress() == 11.0, || in_progress().to_string());
    let left = Instant::now();
    drop(waiting);
    wait_until(|| in_progress() == 1.0, || in_progress().to_string());
    assert!(left.elapsed() < Duration::from_secs(5));
}

#[test]
#[ignore = "waits half a minute for a time limit"]
fn a_client_that_does_not_read_its_answer_loses_its_connection() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let row = br#"{"query_id": "1-2", "time": "2024-08-08 00:00:00"}"#;
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row).0, 200);
    // More than the buffers of two sockets.
    let text = profile("1-2", &[("Start Time", "2024-08-08 00:00:00")]) + &"x".repeat(30 << 20);
    let (status, ..) = server.send("PUT", "/api/v1/queries/1-2/profile", &[], text.as_bytes());
    assert_eq!(status, 200);
    let mut stream = connect_from(LOCAL, &server);
    let request = "GET /api/profile/text?query_id=1-2 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let connections = || metric(&server, "", "annals_connections");
    wait_until(|| connections() == 2.0, || connections().to_string());
    let began = Instant::now();
    wait_until(|| connections() == 1.0, || connections().to_string());
    assert!(began.elapsed() > Duration::from_secs(25));
}

fn has_protection(answer: &Answer) -> bool {
    answer.header("x-content-type-options") == Some("nosniff")
        && answer.header("x-frame-options") == Some("deny")
        && answer.header("referrer-policy").is_some()
        && answer.header("content-security-policy").is_some()
        && answer.header("cross-origin-resource-policy") == Some("same-origin")
        && answer.header("cache-control").is_some()
        && answer.header("x-request-id").is_some()
}

/// Paths of Doris and of pages; those of annals' own interface are in its description.
const PATHS: [&str; 24] = [
    "/", "/statements", "/statements/1", "/status", "/events", "/login", "/logout", "/assets/x",
    "/query_profile/1-2", "/query_profile/1-2/flame_graph.svg", "/no/such/path", "/metrics",
    "/rest/v1/session", "/rest/v1/session/1-2", "/rest/v1/query_profile", "/rest/v1/login",
    "/api/profile", "/api/profile/text", "/api/query_detail", "/api/bootstrap", "/api/health",
    "/api/d/t/_stream_load", "/rest/v2/manager/query/query_info", "/api/v1/openapi.json",
];

#[test]
fn every_answer_has_the_protective_headers() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    add_user(&db, "root", "admin");
    let server = Server::start(&db, &[]);
    let root = basic("root");
    let description = get_from(LOCAL, &server, "/api/v1/openapi.json", &root);
    let description: serde_json::Value = serde_json::from_slice(&description.body).unwrap();
    let described = description["paths"].as_object().unwrap().keys();
    let paths: Vec<_> = PATHS.iter().map(ToString::to_string).chain(described.cloned()).collect();
    assert!(paths.len() > PATHS.len() + 5);
    for path in &paths {
        for headers in
            [root.as_str(), "", "accept-encoding: gzip\r\n", "authorization: Basic x\r\n"]
        {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
                );
                let mut stream = connect_from(LOCAL, &server);
                let answer = send(&mut stream, request.as_bytes());
                assert!(has_protection(&answer), "{method} {path}: {}", answer.head);
            }
        }
    }
}

#[test]
fn only_probes_the_login_and_assets_answer_without_a_password() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    add_user(&db, "root", "admin");
    let server = Server::start(&db, &[]);
    for path in PATHS {
        let status = get_from(LOCAL, &server, path, "").status;
        let is_public = ["/api/bootstrap", "/api/health", "/login"].contains(&path);
        // Pages lead to the log-in, and a path that does not exist has nothing to hide.
        let expected: &[u16] = if is_public { &[200] } else { &[303, 400, 401, 404, 405] };
        assert!(expected.contains(&status), "{path} {status}");
    }
    assert_eq!(get_from(LOCAL, &server, "/api/v1/openapi.json", "").status, 401);
    assert_eq!(get_from(LOCAL, &server, "/api/v1/openapi.json", &basic("root")).status, 200);
    // A probe waits for no password.
    let wrong = "authorization: Basic YTpi\r\n";
    assert_eq!(get_from(LOCAL, &server, "/api/health", wrong).status, 200);
}

/// Opens a stream of events, and returns it once the first event came.
fn events(server: &Server, headers: &str) -> TcpStream {
    let mut stream = connect_from(LOCAL, server);
    let request =
        format!("GET /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    let answer = send(&mut stream, request.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    stream
}

/// Returns how long it takes until a stream ends.
fn time_to_end(mut stream: TcpStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.read_to_end(&mut rest).unwrap();
    since.elapsed()
}

fn user(db: &std::path::Path, arguments: &[&str]) {
    let done = annals().arg("user").args(arguments).db(db).output().unwrap();
    assert!(done.status.success());
}

#[test]
fn live_updates_end_with_the_account_and_with_the_session() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    for name in ["root", "alice", "bob", "carol"] {
        add_user(&db, name, if name == "root" { "admin" } else { "user" });
    }
    let server = Server::start(&db, &[]);
    let by_password = ["alice", "bob", "root"].map(|name| events(&server, &basic(name)));
    let form = "name=carol&password=pass-word-of-carol";
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    // The cookie has capital letters.
    let cookie = {
        let mut stream = connect_from(LOCAL, &server);
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        let head = String::from_utf8_lossy(&bytes[..count]).into_owned();
        let start = head.find("annals_session=").unwrap();
        format!("cookie: {}\r\n", head[start..].split(';').next().unwrap())
    };
    let in_session = events(&server, &cookie);
    let [of_alice, of_bob, of_root] = by_password;

    let began = Instant::now();
    user(&db, &["remove", "alice"]);
    let took = time_to_end(of_alice, began);
    assert!(took < Duration::from_secs(4), "{took:?}");
    // A new role is a change, too.
    add_user(&db, "bob", "writer");
    let took = time_to_end(of_bob, Instant::now());
    assert!(took < Duration::from_secs(3), "{took:?}");
    let request = format!("POST /logout HTTP/1.1\r\nhost: localhost\r\n{cookie}\r\n");
    let began = Instant::now();
    assert_eq!(send(&mut connect_from(LOCAL, &server), request.as_bytes()).status, 303);
    let took = time_to_end(in_session, began);
    assert!(took < Duration::from_secs(3), "{took:?}");
    // Others go on.
    let row = br#"{"query_id": "1-2", "time": "2024-08-08 00:00:00"}"#;
    let request = format!(
        "POST /api/v1/queries HTTP/1.1\r\nhost: localhost\r\n{}content-length: {}\r\n\r\n",
        basic("root"),
        row.len()
    );
    let mut of_root = of_root;
    let mut stream = connect_from(LOCAL, &server);
    let pushed = send(&mut stream, &[request.as_bytes(), row].concat());
    assert_eq!(pushed.status, 200);
    let mut part = [0; 4096];
    of_root.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(of_root.read(&mut part).unwrap() > 0);
}
