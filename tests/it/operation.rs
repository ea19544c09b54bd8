//! Running annals: response headers, caches, metrics, the log, systemd.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{
    Server, WithDb, annals, data, db_argument, import, stderr, stdout, try_rows, wait_until,
};
use flate2::read::GzDecoder;
use tempfile::TempDir;

const SECRET: &str = "select count(*) from store_sales5";

fn sample() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    import(&db, &[&data("")]);
    let server = Server::start(&db, &[]);
    (folder, server)
}

/// Sends a request byte by byte. Returns the head of the answer, in lower case, and its body.
fn raw(server: &Server, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    (head, answer[end + 4..].to_vec())
}

fn get(server: &Server, path: &str, headers: &str) -> (String, Vec<u8>) {
    let headers = format!("connection: close\n{headers}");
    raw(server, &format!("GET {path} HTTP/1.1\nhost: localhost\n{headers}\n"))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn a_body_that_the_client_has_is_not_sent_again() {
    let (_folder, server) = sample();
    for path in [
        "/rest/v1/session",
        "/rest/v1/query_profile?limit=3",
        "/api/v1/queries",
        "/api/profile/text?query_id=fbb2582c72884d29-9dd9de3b42b740e9",
    ] {
        let (head, body) = get(&server, path, "");
        let tag = &header(&head, "etag").unwrap().replace("w/", "W/");
        assert!(!body.is_empty());
        assert_eq!(header(&head, "cache-control"), Some("private, no-cache"));
        for known in [tag, &format!("\"x\", {}", tag.trim_start_matches("W/")), "*"] {
            let (head, body) = get(&server, path, &format!("if-none-match: {known}\n"));
            assert!(head.starts_with("http/1.1 304"), "{head}");
            let same = header(&head, "etag").map(|tag| tag.replace("w/", "W/"));
            assert_eq!((same.as_ref(), body.len()), (Some(tag), 0));
        }
        let (head, _) = get(&server, path, "if-none-match: \"other\"\n");
        assert!(head.starts_with("http/1.1 200"), "{head}");
    }
    // A push changes the tag.
    let (head, _) = get(&server, "/rest/v1/session", "");
    let before = header(&head, "etag").unwrap().replace("w/", "W/");
    let row = br#"{"query_id": "new", "time": "2024-08-08 00:00:00"}"#;
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row).0, 200);
    let asked = format!("if-none-match: {before}\n");
    let (head, _) = get(&server, "/rest/v1/session", &asked);
    assert!(head.starts_with("http/1.1 200"), "{head}");
    // No cache may keep an error.
    let (head, _) = get(&server, "/api/v1/queries/1-2", "");
    assert_eq!((header(&head, "etag"), header(&head, "cache-control")), (None, Some("no-store")));
}

#[test]
fn a_profile_is_the_same_by_the_fast_path_and_by_its_route() {
    let (_folder, server) = sample();
    let id = "fbb2582c72884d29-9dd9de3b42b740e9";
    // The fast path needs the accounts in memory.
    get(&server, "/rest/v1/session", "");
    for path in [
        format!("/api/profile/text?query_id={id}"),
        format!("/rest/v1/query_profile/{id}"),
        format!("/rest/v1/query_profile/query_id={id}"),
        format!("/rest/v1/session/{id}"),
        "/api/profile/text?query_id=1-2".to_string(),
        "/rest/v1/query_profile/null".to_string(),
        "/rest/v1/session/".to_string(),
    ] {
        let answer = |headers: &str| {
            let (head, body) = get(&server, &path, &format!("x-request-id: a\n{headers}"));
            let mut head: Vec<_> = head.lines().map(str::to_string).collect();
            head.retain(|line| !line.starts_with("date: "));
            head.sort();
            (head, body)
        };
        // A request with an encoding is answered by the route.
        assert_eq!(answer(""), answer("accept-encoding: identity\n"), "{path}");
        let request = format!("GET {path} HTTP/1.1\nhost: evil.example\nconnection: close\n\n");
        assert!(raw(&server, &request).0.starts_with("http/1.1 403"), "{path}");
    }
}

#[test]
fn answers_are_compressed_on_request() {
    let (_folder, server) = sample();
    let (plain_head, plain) = get(&server, "/rest/v1/session", "");
    assert_eq!(header(&plain_head, "content-encoding"), None);
    // HTTP/1.0, so that the body is not in chunks.
    let request = "GET /rest/v1/session HTTP/1.0\nhost: localhost\naccept-encoding: gzip\n\n";
    let (head, packed) = raw(&server, request);
    assert_eq!(header(&head, "content-encoding"), Some("gzip"), "{head}");
    assert!(head.contains("vary: accept-encoding"));
    let mut unpacked = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert!(packed.len() * 2 < plain.len());
}

#[test]
fn every_answer_has_the_protective_headers_and_an_id() {
    let (_folder, server) = sample();
    for path in ["/rest/v1/session", "/no/such/path", "/api/v1/queries/1-2", "/metrics"] {
        let (head, _) = get(&server, path, "x-request-id: from.the-client_1\n");
        for line in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "cross-origin-resource-policy: same-origin",
            "x-request-id: from.the-client_1",
        ] {
            assert!(head.contains(line), "{path}: no {line} in {head}");
        }
        let (head, _) = get(&server, path, "x-request-id: not <plain>\n");
        assert_eq!(header(&head, "x-request-id").unwrap().len(), 16);
    }
}

#[test]
fn a_host_name_of_another_machine_is_rejected() {
    let (_folder, server) = sample();
    let ask = |host: &str| {
        let request = format!("GET /rest/v1/session HTTP/1.1\nhost: {host}\nconnection: close\n\n");
        raw(&server, &request).0
    };
    for host in ["localhost", "LOCALHOST:8130", "127.0.0.1:1", "[::1]:8130", "a.localhost"] {
        assert!(ask(host).starts_with("http/1.1 200"), "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:8130", "127.0.0.1.evil.example"] {
        assert!(ask(host).starts_with("http/1.1 403"), "{host}");
    }
}

#[test]
fn metrics_count_what_happened() {
    let (_folder, server) = sample();
    server.envelope("/rest/v1/session");
    server.get("/no/such/path/at/all");
    let rows = b"{\"query_id\": \"m-1\", \"time\": \"2024-08-08 00:00:00\"}\n{}\n";
    assert_eq!(server.send("POST", "/api/v1/queries", &[], rows).0, 422);
    let metrics = || {
        let (status, content_type, body) = server.get("/metrics");
        assert_eq!(status, 200);
        assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
        String::from_utf8(body).unwrap()
    };
    // annals itself writes the summaries of hours.
    wait_until(|| metrics().contains("annals_write_queue 0\n"), metrics);
    let text = metrics();
    for line in [
        "annals_queries 22",
        "annals_profiles 4",
        "annals_records_total{source=\"push\",outcome=\"new\"} 1",
        "annals_records_total{source=\"push\",outcome=\"rejected\"} 1",
        "annals_http_requests_total{route=\"/rest/v1/session\",method=\"GET\",status=\"200\"} 1",
        "annals_http_requests_total{route=\"other\",method=\"GET\",status=\"404\"} 1",
        "annals_http_request_seconds_count{route=\"/api/v1/queries\"} 1",
    ] {
        assert!(text.contains(&format!("{line}\n")), "no {line} in {text}");
    }
    for name in [
        "annals_commit_seconds_count", "annals_database_bytes", "annals_profile_stored_bytes",
        "annals_connections",
    ] {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        let value: f64 = line.split_once(' ').unwrap().1.parse().unwrap();
        assert!(value > 0.0, "{line}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_log_has_request_ids_and_no_sql() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    let run = |level: Option<&str>| {
        let mut command = annals();
        command.args(["serve", "--listen", "127.0.0.1:0"]).db(&db);
        command.env("ANNALS_LOG_FORMAT", "json").stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(level) = level {
            command.env("ANNALS_LOG", level);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(process.stdout.as_mut().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_string();
        let mut stream = TcpStream::connect(address).unwrap();
        let path = "/rest/v1/session?search=store_sales5";
        let head = "host: localhost\r\nx-request-id: my-id\r\nconnection: close";
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(SECRET));
        let id = process.id().to_string();
        assert!(std::process::Command::new("kill").arg(&id).status().unwrap().success());
        stderr(&process.wait_with_output().unwrap())
    };
    assert_eq!(run(None), "", "nothing went wrong");
    let log = run(Some("info"));
    assert!(!log.contains("store_sales5"), "{log}");
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["span"]["id"], "my-id");
    assert_eq!(line["fields"]["path"], "/rest/v1/session");
    assert_eq!(line["fields"]["status"], 200);
}

#[test]
fn systemd_is_notified() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("notify");
    let notifications = UnixDatagram::bind(&socket).unwrap();
    notifications.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut process = annals()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .db(folder.path().join("a.db"))
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "300000")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let next = || {
        let mut text = [0; 100];
        let length = notifications.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap().trim().to_string()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!((next().as_str(), next().as_str()), ("WATCHDOG=1", "WATCHDOG=1"));
    let id = process.id().to_string();
    assert!(std::process::Command::new("kill").arg(&id).status().unwrap().success());
    while next() != "STOPPING=1" {}
    assert!(process.wait().unwrap().success());
}

#[test]
fn users_of_the_configuration_log_in() {
    let folder = TempDir::new().unwrap();
    let hash = |password: &str| {
        let mut process = annals()
            .args(["user", "hash"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(process.stdin.take().unwrap(), "{password}").unwrap();
        stdout(&process.wait_with_output().unwrap()).trim().to_string()
    };
    let config = folder.path().join("annals.toml");
    let write = |name: &str, role: &str, hash: &str| {
        let text = format!(
            "db = '{}'\n[[user]]\nname = '{name}'\nrole = '{role}'\npassword_hash = '{hash}'\n",
            db_argument(&folder.path().join("a.db")).display()
        );
        std::fs::write(&config, text).unwrap();
    };
    let check = || {
        let output =
            annals().args(["serve", "--check-config", "--config"]).arg(&config).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    for (name, role, hash, sentence) in [
        ("a:b", "admin", hash("long-enough"), "must not hold a colon"),
        ("a", "king", hash("long-enough"), "one of admin, viewer, user and writer"),
        ("a", "user", "secret".to_string(), "`annals user hash` prints it"),
    ] {
        write(name, role, &hash);
        let (code, said) = check();
        assert_eq!(code, Some(2));
        assert!(said.contains("annals.toml:2:") && said.contains(sentence), "{said}");
    }
    write("root", "admin", &hash("pass-word-of-root"));
    assert_eq!(check().0, Some(0));
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &["--config", config.to_str().unwrap()]);
    let status = |authorization: &str| get(&server, "/rest/v1/session", authorization).0;
    assert!(status("").starts_with("http/1.1 401"));
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "root:pass-word-of-root");
    assert!(status(&format!("authorization: Basic {basic}\n")).starts_with("http/1.1 200"));
    assert!(try_rows(&db, "SELECT count(*) FROM query").is_ok());
}
