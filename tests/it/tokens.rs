//! Tokens of programs: what each role may do with one, and that a token ends when it should.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Server, WithDb, annals, number, rows, stderr, stdout, wait_until};
use crate::users::{CAROLS, PATHS, ask, basic, eventually, send, server_with_users};

pub(crate) fn token(db: &Path, arguments: &[&str]) -> Output {
    annals().arg("token").args(arguments).db(db).output().unwrap()
}

/// Adds a token, and returns its text.
pub(crate) fn new_token(db: &Path, arguments: &[&str]) -> String {
    let added = token(db, &[&["add"], arguments].concat());
    assert!(added.status.success(), "{}", stderr(&added));
    assert_eq!(stderr(&added), "annals: this is the only time that the token is shown\n");
    let text = stdout(&added).strip_suffix('\n').unwrap().to_string();
    let digits = text.strip_prefix("annals_").unwrap();
    assert!(digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    text
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Returns status and body of the answer to a request with these headers.
pub(crate) fn request(
    server: &Server,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Vec<u8>) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.uri(format!("{}{path}", server.url)).body(body).unwrap();
    let mut answer = agent.run(request).unwrap();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    (answer.status().as_u16(), body)
}

/// Returns the status of a GET with an `Authorization` header.
fn status(server: &Server, path: &str, authorization: &str) -> u16 {
    send(server, ("GET", path), &[("authorization", authorization)]).0
}

const LIST: &str = "/rest/v1/session";

#[test]
fn a_token_sees_and_pushes_what_a_user_of_its_role_does() {
    let (folder, server) = server_with_users();
    let db = folder.path().join("a.db");
    let tokens = [
        ("root", new_token(&db, &["boss", "--role", "admin"])),
        ("auditor", new_token(&db, &["prometheus", "--role", "viewer"])),
        ("carol", new_token(&db, &["notebook", "--role", "user", "--user", "carol"])),
        ("shipper", new_token(&db, &["shipper", "--role", "writer"])),
    ];
    for (_, token) in &tokens {
        eventually(|| status(&server, LIST, &bearer(token)) == 200);
    }
    for path in PATHS.iter().chain(&["/api/v1/status", "/metrics", "/status"]) {
        let path = path.replace("ID", CAROLS).replace("TRACE", "trace-of-carol");
        // The figures of annals itself, and what runs now, change all the time.
        let is_steady =
            !["status", "metrics", "current_queries"].iter().any(|it| path.ends_with(it));
        for (user, token) in &tokens {
            let (expected, body, _) = ask(&server, Some(user), "GET", &path, b"");
            // As a Bearer token, and as the password of any user.
            for header in [bearer(token), basic("root", token), basic("", token)] {
                let answer = request(&server, ("GET", &path), &[("authorization", &header)], b"");
                assert_eq!(answer.0, expected, "{path} of {user} by {header}");
                assert!(!is_steady || answer.1 == body, "{path} of {user} by {header}");
            }
        }
    }
    let row = br#"{"query_id": "t-1", "time": "2024-08-08 00:00:00", "stmt": "select 1"}"#;
    for (user, token) in &tokens {
        for (method, path) in
            [("POST", "/api/v1/queries"), ("PUT", "/api/d/t/_stream_load?redirected=true")]
        {
            let (expected, ..) = ask(&server, Some(user), method, path, row);
            for header in [bearer(token), basic("", token)] {
                let answer = request(&server, (method, path), &[("authorization", &header)], row);
                assert_eq!(answer.0, expected, "{path} of {user}");
            }
            let may_push = ["root", "shipper"].contains(user);
            assert_eq!(expected, if may_push { 200 } else { 403 }, "{path} of {user}");
        }
    }
    // A session would go on after the token is removed.
    for (_, token) in &tokens {
        let header = basic("root", token);
        let headers = [("authorization", header.as_str())];
        let (status, answer, cookie) = send(&server, ("POST", "/rest/v1/login"), &headers);
        assert_eq!((status, cookie), (401, None));
        assert!(answer["data"].as_str().unwrap().contains("a token begins no session"));
        let form = format!("name=root&password={token}");
        assert_eq!(request(&server, ("POST", "/login"), &[], form.as_bytes()).0, 401);
    }
}

#[test]
fn a_token_of_some_clusters_sees_and_pushes_nothing_of_others() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let text = new_token(&db, &["lake", "--role", "admin", "--cluster", "lake"]);
    let all = new_token(&db, &["all", "--role", "admin"]);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let push = |token: &str, id: &str, cluster: &str| {
        let row = json!({"query_id": id, "time": "2024-08-08 00:00:00", "stmt": "select 1"});
        let bearer = bearer(token);
        let headers = [("authorization", bearer.as_str()), ("x-annals-cluster", cluster)];
        server.send("POST", "/api/v1/queries", &headers, row.to_string().as_bytes()).0
    };
    assert_eq!(push(&all, "1-1", "prod"), 200);
    assert_eq!(push(&text, "1-2", "lake"), 200);
    assert_eq!(push(&text, "1-3", "prod"), 403);
    let ids = |token: &str| {
        let bearer = bearer(token);
        let listed = send(&server, ("GET", "/api/v1/queries"), &[("authorization", &bearer)]).1;
        let ids = listed["data"].as_array().unwrap().iter();
        ids.map(|query| query["query_id"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&text), ["1-2"]);
    assert_eq!(ids(&all).len(), 2);
    assert_eq!(status(&server, "/api/v1/status", &bearer(&text)), 403);
    assert_eq!(status(&server, "/api/v1/status", &bearer(&all)), 200);
}

/// Returns the listed tokens as JSON.
fn listed(db: &Path) -> Value {
    let output = token(db, &["list", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tokens_are_added_used_and_removed_beside_a_running_server() {
    let (folder, server) = server_with_users();
    let db = folder.path().join("a.db");
    let text = new_token(&db, &["grafana", "--role", "viewer", "--expires", "90d"]);
    let token_status = || status(&server, LIST, &bearer(&text));
    eventually(|| token_status() == 200);
    let used = || listed(&db)[0]["used_ms"].as_i64();
    wait_until(|| used().is_some(), || listed(&db).to_string());
    let row = &listed(&db)[0];
    let [created, expires] = ["created_ms", "expires_ms"].map(|key| row[key].as_i64().unwrap());
    assert_eq!(expires - created, 90 * 24 * 3600 * 1000);
    assert!((created..created + 60_000).contains(&used().unwrap()), "{row}");
    assert_eq!((&row["role"], &row["has_expired"]), (&json!("viewer"), &json!(false)));
    let text_list = stdout(&token(&db, &["list", "--time-zone", "UTC"]));
    let lines: Vec<&str> = text_list.lines().collect();
    assert_eq!(lines[0], "name\trole\tmade\tlast_used\texpires\tuser\tclusters");
    assert!(lines[1].starts_with("grafana\tviewer\t20") && lines.len() == 2, "{text_list}");
    // A use within the same hour is not stored again.
    let first = used();
    assert_eq!(token_status(), 200);
    assert_eq!(used(), first);
    // The history has the hash alone.
    assert_eq!(number(&db, "SELECT length(hash) FROM token"), 32);
    assert!(!format!("{:?}", rows(&db, "SELECT * FROM token")).contains(&text));

    let removed = token(&db, &["remove", "grafana"]);
    assert_eq!(stdout(&removed), "the token grafana is not valid any more\n");
    eventually(|| token_status() == 401);
    // Removed and made again, it is another token.
    let other = new_token(&db, &["grafana", "--role", "viewer"]);
    eventually(|| status(&server, LIST, &bearer(&other)) == 200);
    assert_eq!(token_status(), 401);
    for (arguments, sentence) in [
        (vec!["add", "grafana", "--role", "viewer"], "there is a token grafana already"),
        (vec!["add", "a", "--role", "king"], "one of admin, viewer, user and writer"),
        (vec!["add", "a", "--role", "viewer", "--user", "b"], "reads the queries of all users"),
        (vec!["add", "a:b", "--role", "viewer"], "must not hold a colon"),
        (vec!["add", "a", "--role", "viewer", "--expires", "0d"], "how long the token is valid"),
        (vec!["add", "a", "--role", "viewer", "--expires", "soon"], "how long the token is valid"),
        (vec!["add", "a", "--role", "viewer", "--expires", "-1d"], "-1d is not how long the token"),
        (vec!["add", "a"], "--role <ROLE>"),
        (vec!["remove", "nobody"], "there is no token nobody"),
    ] {
        let rejected = token(&db, &arguments);
        assert_eq!(rejected.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&rejected).contains(sentence), "{}", stderr(&rejected));
    }
    assert_eq!(listed(&db).as_array().unwrap().len(), 1);
}

#[test]
fn a_token_ends_in_time() {
    let (folder, server) = server_with_users();
    let db = folder.path().join("a.db");
    let text = new_token(&db, &["short", "--role", "viewer", "--expires", "4s"]);
    let ask = || send(&server, ("GET", LIST), &[("authorization", &bearer(&text))]);
    eventually(|| ask().0 == 200);
    eventually(|| ask().0 == 401);
    assert_eq!(ask().1["data"], "the token short has expired");
    assert_eq!(listed(&db)[0]["has_expired"], true);
    assert!(stdout(&token(&db, &["list"])).contains("\texpired 20"));
}

#[test]
fn the_first_token_closes_a_history_without_users() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    let status_of = |path: &str, header: Option<&str>| {
        let headers = header.map(|header| ("authorization", header));
        request(&server, ("GET", path), headers.as_slice(), b"").0
    };
    assert_eq!(status_of(LIST, None), 200);
    let text = new_token(&db, &["prometheus", "--role", "viewer"]);
    eventually(|| status_of(LIST, None) == 401);
    assert_eq!(status_of(LIST, Some(&bearer(&text))), 200);
    assert_eq!(status_of("/metrics", Some(&bearer(&text))), 200);
    assert_eq!(request(&server, ("POST", "/api/v1/queries"), &[], b"{}").0, 401);
    // So does a start with one, on any address. Nobody gets in when the last is removed.
    drop(server);
    let mut command = annals();
    let mut server = Server::start_by(command.args(["serve", "--listen", "0.0.0.0:0"]).db(&db));
    server.url = server.url.replace("0.0.0.0", "127.0.0.1");
    let status_of = |header: Option<&str>| {
        let headers = header.map(|header| ("authorization", header));
        request(&server, ("GET", LIST), headers.as_slice(), b"").0
    };
    assert_eq!((status_of(None), status_of(Some(&bearer(&text)))), (401, 200));
    assert!(token(&db, &["remove", "prometheus"]).status.success());
    eventually(|| status_of(Some(&bearer(&text))) == 401);
    assert_eq!(status_of(None), 401);
}

#[test]
fn the_description_has_both_schemes() {
    let (_folder, server) = server_with_users();
    let (_, description, _) = ask(&server, Some("auditor"), "GET", "/api/v1/openapi.json", b"");
    let description: Value = serde_json::from_slice(&description).unwrap();
    let schemes = &description["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["basic"]["scheme"], &schemes["token"]["scheme"]),
        (&json!("basic"), &json!("bearer"))
    );
    assert_eq!(description["security"], json!([{"basic": []}, {"token": []}, {}]));
}
