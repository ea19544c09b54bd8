//! What one request for a profile may cost, whatever the profile's text is: the answer grows with the text, other requests
//! are answered meanwhile, and a client that reads nothing holds little memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Server, execute, import, is_postgres, profile_of, wait_until};

/// The forms of a profile, with the id in place of `{}`.
const FORMS: [&str; 15] = [
    "/rest/v2/manager/query/profile/fragments/{}",
    "/rest/v2/manager/query/profile/graph/{}",
    "/rest/v2/manager/query/profile/json/{}",
    "/rest/v2/manager/query/profile/text/{}",
    "/rest/v1/query_profile/{}",
    "/api/profile?query_id={}",
    "/api/profile/text?query_id={}",
    "/api/v1/queries/{}/profile/tree",
    "/api/v1/queries/{}/plan",
    "/api/v1/queries/{}/findings",
    "/query_profile/{}",
    "/query_profile/{}?show=tree",
    "/query_profile/{}?show=text",
    "/query_profile/{}?operators=401",
    "/query_profile/{}/flame.svg",
];

/// Starts a server with these profiles.
fn serve(folder: &TempDir, profiles: &[(&str, String)]) -> Server {
    let db = folder.path().join("annals.db");
    for (id, text) in profiles {
        let file = folder.path().join(id);
        std::fs::write(&file, text).unwrap();
        assert!(import(&db, &[&file]).status.success());
    }
    Server::start(&db, &[])
}

/// Returns a profile whose part with the operators has about this many bytes: `head`, then `line` for each number.
fn of_lines(id: &str, bytes: usize, head: &str, line: impl Fn(usize) -> String) -> String {
    let mut lines = head.to_string();
    for number in 0.. {
        if lines.len() >= bytes {
            break;
        }
        lines.push_str(&line(number));
    }
    profile_of(id, &[], &lines)
}

/// Returns a profile with nested fragments above very many operators.
fn nested(id: &str, bytes: usize) -> String {
    let fragments: String =
        (0..240).map(|level| format!("{}Fragment {level}:\n", " ".repeat(7 + level))).collect();
    of_lines(id, bytes, &fragments, |number| {
        format!("{}A_SCAN (id={number}):(ExecTime: {number}ns)\n", " ".repeat(260))
    })
}

#[test]
fn answers_grow_with_the_text_and_no_faster() {
    const BYTES: usize = 150_000;
    let name = "n".repeat(BYTES);
    let long = format!("       Fragment 0:\n         A_SCAN (id=1 {name}):(ExecTime: 1s)\n");
    let below_long = |i| format!("           A_SCAN (id={i}):(ExecTime: 1s)\n");
    let host = format!("       Fragment 0:\n         Instance a (hostname:{name}, port:1):\n");
    let with_host = |i| format!("       Fragment {i}:\n         Instance a:\n");
    let profiles = [
        ("nested", nested("nested", BYTES)),
        ("many", of_lines("many", BYTES, "", |i| format!("       Fragment {i}:\n"))),
        ("short", of_lines("short", BYTES, "", |_| "       S:\n".to_string())),
        ("long", of_lines("long", 2 * BYTES, &long, below_long)),
        ("host", of_lines("host", 2 * BYTES, &host, with_host)),
        ("blank", profile_of("blank", &[], &" ".repeat(BYTES))),
    ];
    let folder = TempDir::new().unwrap();
    let server = serve(&folder, &profiles);
    for (id, text) in &profiles {
        for form in FORMS {
            let path = form.replace("{}", id);
            let (status, _, body) = server.get(&path);
            assert_eq!(status, 200, "{path}");
            // The pages have up to 2,000 operators, of a kilobyte each.
            let most = 15 * text.len() + 3_000_000;
            assert!(body.len() < most, "{path}: {} bytes of {}", body.len(), text.len());
        }
    }
}

#[test]
fn other_requests_are_answered_while_large_profiles_are_computed() {
    let folder = TempDir::new().unwrap();
    let server = serve(&folder, &[("a-1", nested("a-1", 3 << 20))]);
    let is_done = AtomicBool::new(false);
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        let computing = scope.spawn(|| {
            std::thread::scope(|scope| {
                for form in ["fragments", "graph", "json", "fragments", "graph", "json"] {
                    let path = format!("/rest/v2/manager/query/profile/{form}/a-1");
                    let server = &server;
                    scope.spawn(move || assert_eq!(server.get(&path).0, 200));
                }
            });
            is_done.store(true, Ordering::Relaxed);
        });
        while !is_done.load(Ordering::Relaxed) {
            let began = Instant::now();
            assert_eq!(server.get("/api/health").0, 200);
            slowest = slowest.max(began.elapsed());
            answered += 1;
        }
        computing.join().unwrap();
    });
    assert!(answered > 5 && slowest < Duration::from_secs(1), "{answered}, {slowest:?}");
}

#[test]
fn a_client_that_reads_nothing_holds_little_memory() {
    let folder = TempDir::new().unwrap();
    let server = serve(&folder, &[("b-1", profile_of("b-1", &[], &" ".repeat(16 << 20)))]);
    server.get("/api/health");
    let before = server.peak_memory();
    let mut clients = Vec::new();
    for _ in 0..6 {
        for path in ["/rest/v1/query_profile/b-1", "/api/profile/text?query_id=b-1"] {
            let mut client = TcpStream::connect(server.address()).unwrap();
            write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            clients.push(client);
        }
    }
    for client in &mut clients {
        // The response has begun.
        client.read_exact(&mut [0; 64]).unwrap();
    }
    // The server has written what the socket takes.
    wait_until(
        || {
            let memory = server.peak_memory();
            std::thread::sleep(Duration::from_millis(100));
            memory == server.peak_memory()
        },
        String::new,
    );
    let held = (server.peak_memory() - before) >> 20;
    assert!(held < 48, "{held} MiB");
    assert_eq!(server.get("/api/health").0, 200);
}

/// Sends a GET with a header, and returns status, headers and body.
fn get_with(server: &Server, path: &str, name: &str, value: &str) -> (u16, String, Vec<u8>) {
    let mut client = TcpStream::connect(server.address()).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{name}: {value}\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

#[test]
fn a_large_profile_comes_whole_in_every_form() {
    let folder = TempDir::new().unwrap();
    let text = of_lines("c-1", 400_000, "", |i| {
        format!("       Fragment {i}: é订\u{1f600} \"<&>\\\t\n{}", "x".repeat(i % 7))
    });
    let server = serve(&folder, &[("c-1", text.clone())]);
    let (status, kind, body) = server.get("/api/profile/text?query_id=c-1");
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert!(body == text.as_bytes());
    for path in ["/query_profile/c-1/profile.txt", "/api/v1/queries/c-1/profile"] {
        assert!(server.get(path).2 == text.as_bytes(), "{path}");
    }
    for path in ["/rest/v2/manager/query/profile/text/c-1", "/api/profile?query_id=c-1"] {
        assert!(server.envelope(path)["data"]["profile"] == text, "{path}");
    }
    let html = server.envelope("/rest/v1/query_profile/c-1")["data"].as_str().unwrap().to_string();
    let read = html
        .replace("</br>", "\n")
        .replace("&nbsp;&nbsp;", " ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    assert!(read == text);

    let path = "/api/profile/text?query_id=c-1";
    let (_, head, _) = get_with(&server, path, "Accept", "*/*");
    assert!(head.contains(&format!("content-length: {}", text.len())), "{head}");
    let tag = head.split("etag: w/").nth(1).unwrap().lines().next().unwrap().to_string();
    let (status, head, body) = get_with(&server, path, "If-None-Match", &format!("W/{tag}"));
    assert_eq!((status, body.len()), (304, 0), "{head}");
    let (_, head, body) = get_with(&server, path, "Accept-Encoding", "gzip");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(body.len() < text.len() / 3);
}

#[test]
fn a_damaged_large_profile_breaks_off() {
    let folder = TempDir::new().unwrap();
    let text = of_lines("d-1", 400_000, "", |i| format!("       Fragment {i}:\n"));
    drop(serve(&folder, &[("d-1", text.clone())]));
    let db = folder.path().join("annals.db");
    let damaged = match is_postgres() {
        true => r"substr(body, 1, length(body) - 9) || '\x000000000000000000'",
        false => "CAST(substr(body, 1, length(body) - 9) || zeroblob(9) AS BLOB)",
    };
    execute(&db, &format!("UPDATE profile SET body = {damaged}"));
    let server = Server::start(&db, &[]);
    let mut client = TcpStream::connect(server.address()).unwrap();
    let path = "/api/profile/text?query_id=d-1";
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The connection ends, though the client keeps it open.
    let _ = client.read_to_end(&mut answer);
    assert!(answer.len() < text.len(), "{} of {}", answer.len(), text.len());
    assert_eq!(server.get("/rest/v2/manager/query/profile/graph/d-1").0, 500);
    assert_eq!(server.get("/api/health").0, 200);
}
