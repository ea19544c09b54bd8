//! Users and roles, and that no user sees a byte of another user's queries.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{self, Server, WithDb, annals, data, import, stderr, stdout, stored};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The query with a profile that carol ran. Its statement has the fingerprint 04e2162002802189.
pub(crate) const CAROLS: &str = "8c1d2e3f40516273-b4c5d6e7f8091a2c";

pub(crate) fn user(db: &Path, arguments: &[&str], password: &str) -> Output {
    let mut process = annals()
        .args(["user", arguments[0]])
        .db(db)
        .args(&arguments[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments ends before it reads a password.
    let _ = writeln!(process.stdin.take().unwrap(), "{password}");
    process.wait_with_output().unwrap()
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

pub(crate) fn password(name: &str) -> String {
    format!("pass-word-of-{name}")
}

/// Starts a server with an admin, a viewer, a user with queries, a user without and a writer.
pub(crate) fn server_with_users() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    for (name, role) in [
        ("root", "admin"),
        ("auditor", "viewer"),
        ("carol", "user"),
        ("alice", "user"),
        ("shipper", "writer"),
    ] {
        let added = user(&db, &["add", name, "--role", role], &password(name));
        assert_eq!(
            stdout(&added),
            format!("{name} is a user with the role {role}\n"),
            "{}",
            stderr(&added)
        );
    }
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let traced = json!({
        "query_id": "carols-traced", "time": "2024-08-08 00:00:00", "user": "carol",
        "stmt": "select secret_of_carol", "trace_id": "trace-of-carol", "state": "RUNNING",
    });
    let (status, ..) =
        ask(&server, Some("shipper"), "POST", "/api/v1/queries", traced.to_string().as_bytes());
    assert_eq!(status, 200);
    (folder, server)
}

pub(crate) fn ask(
    server: &Server,
    name: Option<&str>,
    method: &str,
    path: &str,
    body: &[u8],
) -> (u16, Vec<u8>, Option<String>) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method);
    if let Some(name) = name {
        request = request.header("authorization", basic(name, &password(name)));
    }
    let request = request.uri(format!("{}{path}", server.url)).body(body).unwrap();
    let mut answer = agent.run(request).unwrap();
    let challenge = answer.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().unwrap().to_string());
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    (answer.status().as_u16(), body, challenge)
}

/// Every path that answers with queries. `ID` and `TRACE` are replaced by a query id and a trace id.
pub(crate) const PATHS: &[&str] = &[
    "/api/v1/find?q=TRACE",
    "/api/v1/find?q=04e2162002802189",
    "/rest/v1/session",
    "/rest/v1/session?search=secret",
    "/rest/v1/session?user=carol",
    "/rest/v1/session?limit=1&to=2024-08-08",
    "/rest/v1/session/all",
    "/rest/v1/session?query_id=ID",
    "/rest/v1/session/ID",
    "/rest/v1/session/query_id=ID",
    "/rest/v1/query_profile",
    "/rest/v1/query_profile/ID",
    "/api/profile?query_id=ID",
    "/api/profile/text?query_id=ID",
    "/rest/v2/manager/query/query_info",
    "/rest/v2/manager/query/query_info?query_id=ID",
    "/rest/v2/manager/query/query_info?search=carol",
    "/rest/v2/manager/query/sql/ID",
    "/rest/v2/manager/query/profile/text/ID",
    "/rest/v2/manager/query/profile/json/ID",
    "/rest/v2/manager/query/profile/fragments/ID",
    "/rest/v2/manager/query/profile/graph/ID",
    "/rest/v2/manager/query/trace_id/TRACE",
    "/rest/v2/manager/query/statistics/TRACE",
    "/rest/v2/manager/query/current_queries",
    "/api/query_detail?event_time=0",
    "/api/v2/query_detail?event_time=0",
    "/api/v1/queries",
    "/api/v1/queries?search=secret",
    "/api/v1/queries?user=carol",
    "/api/v1/queries?user=carol&user=alice",
    "/api/v1/queries?not_user=alice",
    "/api/v1/queries?order=duration_ms",
    "/api/v1/queries?order=scan_bytes",
    "/api/v1/queries/ID",
    "/api/v1/queries/ID/profile",
    "/api/v1/queries/ID/profile/tree",
    "/api/v1/queries/ID/plan",
    "/api/v1/queries/ID/findings",
    "/api/v1/queries/ID/concurrent",
    "/api/v1/statements",
    "/api/v1/regressions",
    "/api/v1/usage?from=2020-01-01",
    "/api/v1/findings",
    "/api/v1/plans",
    "/api/v1/statements/04e2162002802189/plans",
    "/api/v1/timeline?buckets=3",
];

#[test]
fn each_described_path_that_reads_is_tried() {
    let (_folder, server) = server_with_users();
    let (_, description, _) = ask(&server, Some("root"), "GET", "/api/v1/openapi.json", b"");
    let description: Value = serde_json::from_slice(&description).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let tried = path.replace("{query_id}", "ID").replace("{fingerprint}", "04e2162002802189");
        let is_tried = PATHS.iter().any(|path| path.split('?').next() == Some(&tried));
        // Only admins and viewers read the status.
        assert!(is_tried || methods["get"].is_null() || path == "/api/v1/status", "{path}");
    }
}

#[test]
fn no_user_sees_a_byte_of_another_users_queries() {
    let (_folder, server) = server_with_users();
    let of = |path: &str, id: &str, trace: &str| path.replace("ID", id).replace("TRACE", trace);
    for path in PATHS.iter().copied() {
        let known = of(path, CAROLS, "trace-of-carol");
        let unknown = of(path, "11-22", "trace-of-none");
        // Without a password, a query that exists and one that does not are answered alike.
        for path in [&known, &unknown] {
            let (status, body, challenge) = ask(&server, None, "GET", path, b"");
            let envelope: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((status, &envelope["code"]), (401, &json!(401)), "{path}");
            assert_eq!(envelope["msg"], "Unauthorized");
            assert!(challenge.unwrap().starts_with("Basic realm="));
        }
        // A malformed id is rejected for all users alike.
        if path.contains("ID") {
            let malformed = of(path, "a%20b", "");
            assert_eq!(ask(&server, None, "GET", &malformed, b"").0, 401, "{path}");
            let answers: Vec<_> = ["root", "auditor", "carol", "alice", "shipper"]
                .map(|name| ask(&server, Some(name), "GET", &malformed, b""))
                .into();
            assert_eq!(answers[0].0, 400, "{path}");
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{path}: {answers:?}");
        }
        // Another user's query is answered like one that does not exist.
        for name in ["alice", "shipper"] {
            let (status, body, _) = ask(&server, Some(name), "GET", &known, b"");
            let (unknown_status, unknown_body, _) = ask(&server, Some(name), "GET", &unknown, b"");
            let text = String::from_utf8(body).unwrap();
            for secret in ["carol", "staging", "secret", "clicks", "carols-traced"] {
                let asked = known.contains(secret);
                assert!(
                    asked && path.contains("TRACE") || !text.contains(secret),
                    "{path}: {text}"
                );
            }
            assert_eq!(status, unknown_status, "{path}");
            let unknown_text = String::from_utf8(unknown_body).unwrap();
            let unknown_text = unknown_text.replace("11-22", CAROLS);
            assert_eq!(text, unknown_text.replace("trace-of-none", "trace-of-carol"), "{path}");
        }
        // A viewer sees what an admin sees.
        let seen = |name: &str| {
            let (status, body, _) = ask(&server, Some(name), "GET", &known, b"");
            (status, String::from_utf8(body).unwrap())
        };
        if !path.ends_with("current_queries") {
            assert_eq!(seen("auditor"), seen("root"), "{path}");
        }
        // A user sees their own queries, and an admin sees all.
        for name in ["carol", "auditor", "root"] {
            let (status, body, _) = ask(&server, Some(name), "GET", &known, b"");
            assert_eq!(status, 200, "{path}");
            let text = String::from_utf8(body).unwrap();
            let numbers = [
                "fragments", "graph", "json", "timeline", "statistics", "regressions", "findings",
                "concurrent", "/plans",
            ]
            .iter()
            .any(|kind| path.contains(kind));
            // Carol ran a load, and the manager lists only queries.
            let lists_queries = path == "/rest/v2/manager/query/query_info?query_id=ID";
            let is_carols = ["carol", "staging", "secret"].iter().any(|word| text.contains(word));
            assert!(numbers || lists_queries || is_carols, "{path} {name}: {text}");
        }
    }
    let count = |name: &str| {
        let (_, body, _) = ask(&server, Some(name), "GET", "/rest/v1/session", b"");
        serde_json::from_slice::<Value>(&body).unwrap()["count"].as_u64().unwrap()
    };
    let counts = ["root", "auditor", "carol", "shipper"].map(count);
    assert_eq!(counts, [22, 22, 3, 0]);
}

/// Returns status, JSON and cookie of the response to a request with these headers.
pub(crate) fn send(
    server: &Server,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
) -> (u16, Value, Option<String>) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.uri(format!("{}{path}", server.url)).body(()).unwrap();
    let mut answer = agent.run(request).unwrap();
    let cookie = answer.headers().get("set-cookie");
    let cookie = cookie.map(|value| value.to_str().unwrap().to_string());
    let body = answer.body_mut().read_to_vec().unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default(), cookie)
}

#[test]
fn a_session_of_doris_page_reads_until_it_ends() {
    let (_folder, server) = server_with_users();
    let (log_in, log_out) = (("POST", "/rest/v1/login"), ("POST", "/rest/v1/logout"));
    let list = ("GET", "/rest/v1/session");
    // Doris' page shows its log-in on this text.
    for asked in [log_in, list, ("GET", "/rest/v1/query_profile/1-1")] {
        let (status, answer, cookie) = send(&server, asked, &[]);
        assert_eq!((status, &answer["code"], cookie), (401, &json!(401), None));
        assert_eq!(answer["data"], "Cookie is invalid", "{asked:?}");
    }
    let wrong = basic("carol", "not-her-password");
    let (status, answer, cookie) = send(&server, log_in, &[("authorization", &wrong)]);
    assert_eq!((status, &answer["msg"], cookie), (401, &json!("Unauthorized"), None));

    let right = basic("carol", &password("carol"));
    let (status, answer, cookie) = send(&server, log_in, &[("authorization", &right)]);
    assert_eq!((status, answer), (200, json!({"code": 200, "msg": "Login success!"})));
    let cookie = cookie.unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    assert!(session.starts_with("PALO_SESSION_ID=") && session.len() > 40);
    let session = format!("theme=dark; {session}");
    let cookie = [("cookie", session.as_str())];
    for path in PATHS {
        let path = path.replace("ID", CAROLS).replace("TRACE", "trace-of-carol");
        let by_cookie = send(&server, ("GET", &path), &cookie);
        assert_eq!(by_cookie.0, 200, "{path}");
        if !path.ends_with("current_queries") {
            let by_header = send(&server, ("GET", &path), &[("authorization", &right)]);
            assert_eq!(by_cookie, by_header, "{path}");
        }
    }
    assert_eq!(send(&server, list, &cookie).1["count"], 3);
    // A session neither pushes nor replaces a wrong password.
    for path in ["/api/v1/queries", "/api/d/t/_stream_load"] {
        let method = if path.ends_with("queries") { "POST" } else { "PUT" };
        assert_eq!(send(&server, (method, path), &cookie).0, 401, "{path}");
    }
    assert_eq!(send(&server, list, &[cookie[0], ("authorization", &wrong)]).0, 401);
    for asked in [log_in, log_out] {
        let other =
            [("authorization", right.as_str()), cookie[0], ("origin", "http://other.example")];
        assert_eq!(send(&server, asked, &other).0, 403);
    }
    let (status, answer, ended) = send(&server, log_out, &cookie);
    assert_eq!(
        (status, answer),
        (200, json!({"msg": "success", "code": 0, "data": null, "count": 0}))
    );
    assert!(ended.unwrap().starts_with("PALO_SESSION_ID=; Path=/; Max-Age=0"));
    assert_eq!(send(&server, list, &cookie).1["data"], "Cookie is invalid");
}

#[test]
fn a_user_of_an_old_cluster_is_the_same_user() {
    let (folder, server) = server_with_users();
    for name in ["alice@default_cluster", "default_cluster:alice", "alice"] {
        let header = basic(name, &password("alice"));
        let headers = [("authorization", header.as_str())];
        // Twice, because a verified password is looked up in another way.
        for _ in 0..2 {
            let (status, answer, _) = send(&server, ("GET", "/rest/v1/session"), &headers);
            assert_eq!((status, &answer["count"]), (200, &json!(2)), "{name}");
        }
        let header = basic(name, &password("carol"));
        let headers = [("authorization", header.as_str())];
        assert_eq!(send(&server, ("GET", "/rest/v1/session"), &headers).0, 401, "{name}");
    }
    // An account whose own name has an @ is meant by its whole name.
    let db = folder.path().join("a.db");
    assert!(user(&db, &["add", "alice@example.org"], "another-password").status.success());
    let header = basic("alice@example.org", "another-password");
    let headers = [("authorization", header.as_str())];
    let list = || send(&server, ("GET", "/rest/v1/session"), &headers);
    eventually(|| list().0 == 200);
    assert_eq!(list().1["count"], 0);
}

#[test]
fn only_writers_and_admins_push_and_only_admins_and_viewers_see_the_status() {
    let (_folder, server) = server_with_users();
    let row = br#"{"query_id": "w-1", "time": "2024-08-08 00:00:00", "stmt": "select 1"}"#;
    let load = "/api/db/t/_stream_load";
    for (name, status) in [
        (None, 401),
        (Some("alice"), 403),
        (Some("auditor"), 403),
        (Some("shipper"), 200),
        (Some("root"), 200),
    ] {
        let pushed = ask(&server, name, "POST", "/api/v1/queries", row);
        assert_eq!(pushed.0, status, "{name:?}");
        let profile = support::profile("w-1", &[("Start Time", "2024-08-08 00:00:00")]);
        let pushed = ask(&server, name, "PUT", "/api/v1/queries/w-1/profile", profile.as_bytes());
        assert_eq!(pushed.0, status, "{name:?}");
        let (loaded, ..) = ask(&server, name, "PUT", &format!("{load}?redirected=true"), row);
        assert_eq!(loaded, status, "{name:?}");
    }
    for (name, status) in [
        (None, 401),
        (Some("alice"), 403),
        (Some("shipper"), 403),
        (Some("auditor"), 200),
        (Some("root"), 200),
    ] {
        for path in ["/api/v1/status", "/metrics"] {
            assert_eq!(ask(&server, name, "GET", path, b"").0, status, "{path} {name:?}");
        }
    }
    // A probe needs no password.
    assert_eq!(ask(&server, None, "GET", "/api/health", b"").0, 200);
}

/// Waits until a condition holds: a running server reads accounts again after a second.
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_guesser_is_slowed_down_and_the_owner_is_not_locked_out() {
    let (_folder, server) = server_with_users();
    let log_in = |name: &str, password: &str| {
        let header = basic(name, password);
        let headers = [("authorization", header.as_str())];
        server.send("GET", "/rest/v1/session?limit=1", &headers, b"")
    };
    assert_eq!(log_in("alice", &password("alice")).0, 200);
    // Five wrong passwords are free. The next ones wait 100, 200, 400 and 800 ms.
    let mut answers = Vec::new();
    for name in ["alice", "nobody-of-this-name"] {
        let began = Instant::now();
        for number in 0..9 {
            let (status, answer, _) = log_in(name, &format!("guess-{number}"));
            assert_eq!(status, 401);
            answers.push(answer);
        }
        assert!(began.elapsed() >= Duration::from_millis(1500), "{name}: {:?}", began.elapsed());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "an unknown name is told apart");
    // The next guess waits 1600 ms, and the owner does not.
    std::thread::scope(|scope| {
        let guess = scope.spawn(|| log_in("alice", "guess-9").0);
        assert_eq!(log_in("alice", &password("alice")).0, 200);
        assert!(!guess.is_finished(), "the owner waited as long as the guesser");
        assert_eq!(guess.join().unwrap(), 401);
    });
    for header in ["", "Basic", "Basic %%%", "Bearer abc", "Basic YWJj"] {
        let headers = [("authorization", header)];
        assert_eq!(server.send("GET", "/rest/v1/session", &headers, b"").0, 401, "{header}");
    }
}

#[test]
fn users_are_added_changed_and_removed_beside_a_running_server() {
    let (folder, server) = server_with_users();
    let db = folder.path().join("a.db");
    let session = "/rest/v1/session";
    assert_eq!(ask(&server, Some("carol"), "GET", session, b"").0, 200);
    assert_eq!(
        stdout(&user(&db, &["list"], "")),
        "alice\tuser\nauditor\tviewer\ncarol\tuser\nroot\tadmin\nshipper\twriter\n"
    );
    let wait_for = |name: &str, status: u16| {
        eventually(|| ask(&server, Some(name), "GET", session, b"").0 == status);
    };
    assert!(user(&db, &["add", "carol"], "another-password").status.success());
    wait_for("carol", 401);
    assert!(user(&db, &["add", "carol"], &password("carol")).status.success());
    wait_for("carol", 200);
    for name in ["carol", "alice", "auditor", "shipper", "root"] {
        assert!(user(&db, &["remove", name], "").status.success());
    }
    // Removing the last user opens annals to nobody.
    wait_for("root", 401);
    assert_eq!(ask(&server, None, "GET", session, b"").0, 401);
    for (arguments, password, sentence) in [
        (vec!["remove", "nobody"], "", "there is no user nobody"),
        (vec!["add", "a:b"], "long-enough", "must not hold a colon"),
        (vec!["add", " \u{3000}"], "long-enough", "must not be blank"),
        (vec!["add", "mira "], "long-enough", "must not begin or end with a space"),
        (vec!["add", "a\u{1b}[2J"], "long-enough", "must not hold a colon, a control"),
        (vec!["add", "eve\u{202e}ecila"], "long-enough", "changes the direction of text"),
        (vec!["add", "eve\u{2069}"], "long-enough", "changes the direction of text"),
        (vec!["remove", "a\u{1b}[2J"], "", "there is no user a\u{241b}[2J"),
        (vec!["add", "dave"], "short", "at least 8 characters"),
        (
            vec!["add", "dave", "--role", "king"],
            "long-enough",
            "one of admin, viewer, user and writer",
        ),
    ] {
        let refused = user(&db, &arguments, password);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(sentence), "{}", stderr(&refused));
    }
    // The history does not contain the password.
    let stored = stored(&db);
    let password = password("carol");
    assert!(!stored.windows(password.len()).any(|bytes| bytes == password.as_bytes()));
}

#[test]
fn with_users_annals_listens_anywhere() {
    let (folder, server) = server_with_users();
    drop(server);
    let db = folder.path().join("a.db");
    let mut process = annals()
        .args(["serve", "--listen", "0.0.0.0:0"])
        .db(&db)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(process.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(line.starts_with("annals listens on http://0.0.0.0:"), "{line}");
}
