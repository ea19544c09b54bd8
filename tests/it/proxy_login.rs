//! Users whom a trusted proxy names, and everybody else who sends its header.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::raw::{Answer, connect_from, get_from, send};
use crate::support::{Server, WithDb, annals, data, import, stderr, stdout};
use crate::tokens::new_token;
use crate::users::{CAROLS, PATHS, basic, eventually, password, user};

/// The address that is trusted, and one that is not.
const PROXY: &str = "127.0.0.1";
const OTHER: &str = "127.0.0.2";
const LIST: &str = "/rest/v1/session";

fn configuration(folder: &Path, more: &str) -> PathBuf {
    let file = folder.join("annals.toml");
    let text = format!(
        "[proxy_login]\nheader = 'X-Forwarded-User'\ntrusted_proxies = ['{PROXY}', '10.0.0.0/8']\n{more}\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// Starts a server with an admin and two users, behind a proxy with these further settings.
fn server(folder: &Path, more: &str) -> Server {
    let db = folder.join("a.db");
    import(&db, &[&data("")]);
    for (name, role) in [("root", "admin"), ("auditor", "viewer"), ("carol", "user")] {
        assert!(user(&db, &["add", name, "--role", role], &password(name)).status.success());
    }
    assert!(
        user(&db, &["add", "shipper", "--role", "writer"], &password("shipper")).status.success()
    );
    let file = configuration(folder, more);
    Server::start(&db, &["--time-zone", "UTC", "--config", file.to_str().unwrap()])
}

fn named(name: &str) -> String {
    format!("x-forwarded-user: {name}\r\n")
}

fn by_password(name: &str) -> String {
    format!("authorization: {}\r\n", basic(name, &password(name)))
}

fn post(address: &str, server: &Server, path: &str, headers: &str, body: &str) -> Answer {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    send(&mut connect_from(address, server), request.as_bytes())
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns the cookie of a session that a password began.
fn session_of(server: &Server, name: &str) -> String {
    let form = format!("name={name}&password={}", password(name));
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    // The session has capital letters, which the head of an answer has not.
    use std::io::{Read, Write};
    let mut stream = connect_from(OTHER, server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = String::new();
    stream.read_to_string(&mut head).unwrap();
    let start = head.find("annals_session=").unwrap_or_else(|| panic!("{head}"));
    format!("cookie: {}\r\n", head[start..].split(';').next().unwrap())
}

#[test]
fn a_user_whom_the_proxy_names_sees_what_a_password_shows() {
    let folder = TempDir::new().unwrap();
    let server = server(folder.path(), "");
    let paths = PATHS.iter().chain(&["/", "/statements", "/query_profile/query_id=ID"]);
    for path in paths {
        let path = path.replace("ID", CAROLS).replace("TRACE", "trace-of-carol");
        for name in ["root", "auditor", "carol"] {
            let by_proxy = get_from(PROXY, &server, &path, &named(name));
            let by_password = get_from(OTHER, &server, &path, &by_password(name));
            assert_eq!(by_proxy.status, by_password.status, "{path} of {name}");
            if path.starts_with("/api/")
                || path.starts_with("/rest/") && !path.ends_with("current_queries")
            {
                assert_eq!(by_proxy.text(), by_password.text(), "{path} of {name}");
            }
        }
    }
    for (name, status) in [("root", 200), ("auditor", 200), ("carol", 403)] {
        for path in ["/metrics", "/api/v1/status", "/status"] {
            assert_eq!(
                get_from(PROXY, &server, path, &named(name)).status,
                status,
                "{name} {path}"
            );
        }
    }
}

#[test]
fn nobody_else_names_a_user() {
    let folder = TempDir::new().unwrap();
    let server = server(folder.path(), "");
    let carols = json(&get_from(OTHER, &server, LIST, &by_password("carol")));
    assert_eq!(carols["count"], 2);
    for path in PATHS.iter().chain(&["/metrics", "/api/v1/status", "/api/v1/openapi.json"]) {
        let path = path.replace("ID", CAROLS).replace("TRACE", "trace-of-carol");
        let spoofed = get_from(OTHER, &server, &path, &named("root"));
        assert_eq!(spoofed.status, 401, "{path}");
        // Neither does one that says it comes from the proxy.
        let pretended = format!(
            "{}x-forwarded-for: 127.0.0.1\r\nx-real-ip: 127.0.0.1\r\nforwarded: for=127.0.0.1\r\n",
            named("root")
        );
        assert_eq!(get_from(OTHER, &server, &path, &pretended).status, 401, "{path}");
    }
    assert_eq!(get_from(OTHER, &server, "/", &named("root")).status, 303);
    // The header changes nothing for who proves who they are.
    for headers in [
        by_password("carol") + &named("root"),
        by_password("carol") + &named("root") + &named("root"),
        by_password("carol") + &named("nobody"),
    ] {
        assert_eq!(json(&get_from(OTHER, &server, LIST, &headers)), carols, "{headers}");
    }
    // A proxy that names nobody leaves the request to prove it.
    assert_eq!(get_from(PROXY, &server, LIST, "").status, 401);
    assert_eq!(json(&get_from(PROXY, &server, LIST, &by_password("carol"))), carols);
}

#[test]
fn whom_the_proxy_names_wrongly_is_rejected_whatever_else_the_request_has() {
    let folder = TempDir::new().unwrap();
    let server = server(folder.path(), "");
    let db = folder.path().join("a.db");
    let token = new_token(&db, &["boss", "--role", "admin"]);
    let token = format!("authorization: Bearer {token}\r\n");
    eventually(|| get_from(PROXY, &server, LIST, &token).status == 200);
    let session = session_of(&server, "root");
    let doris = session.replace("annals_session", "PALO_SESSION_ID");
    assert_eq!(get_from(PROXY, &server, LIST, &doris).status, 200);
    assert_eq!(get_from(PROXY, &server, "/", &session).status, 200);
    for (headers, status, sentence) in [
        (named("mallory"), 403, "does not know the user mallory"),
        // An account without a domain is another user.
        (named("carol@example.org"), 403, "does not know the user carol@example.org"),
        (named("Carol"), 403, "does not know the user Carol"),
        (named(""), 403, "the proxy names no user"),
        (named("(null)"), 403, "the proxy names no user"),
        (named("root:x"), 403, "the proxy names no user"),
        (named("carol") + &named("root"), 400, "several users in the header x-forwarded-user"),
        (named("carol") + &named("carol"), 400, "several users"),
        (named("carol, root"), 400, "several users"),
    ] {
        for more in ["", &by_password("root"), &token, &doris] {
            for path in [LIST, "/api/profile/text?query_id=ID", "/api/v1/queries/ID"] {
                let path = path.replace("ID", CAROLS);
                let answer = get_from(PROXY, &server, &path, &(headers.clone() + more));
                assert_eq!(answer.status, status, "{path}: {headers}{more}");
                assert!(answer.text().contains(sentence), "{}", answer.text());
            }
        }
        for more in ["", &session] {
            for path in ["/", "/login", "/events"] {
                let answer = get_from(PROXY, &server, path, &(headers.clone() + more));
                assert_eq!(answer.status, status, "{path}: {headers}{more}");
                assert!(answer.text().contains(sentence), "{}", answer.text());
            }
        }
        let form = format!("name=root&password={}", password("root"));
        assert_eq!(post(PROXY, &server, "/login", &headers, &form).status, status);
        let log_in = post(PROXY, &server, "/rest/v1/login", &(headers + &by_password("root")), "");
        assert_eq!((log_in.status, log_in.header("set-cookie")), (status, None));
    }
    // The proxy's user counts, and not the one of a session or a password.
    let count = |headers: &str| json(&get_from(PROXY, &server, LIST, headers))["count"].clone();
    for more in ["", &by_password("root"), &token, &doris] {
        assert_eq!(count(&(named("carol") + more)), 2, "{more}");
    }
}

#[test]
fn a_proxy_only_reads_and_a_password_or_a_token_pushes_through_it() {
    let folder = TempDir::new().unwrap();
    let server = server(folder.path(), "");
    let token = new_token(&folder.path().join("a.db"), &["loader", "--role", "writer"]);
    let row = r#"{"query_id": "p-1", "time": "2024-08-08 00:00:00", "stmt": "select 1"}"#;
    let push = |headers: &str| post(PROXY, &server, "/api/v1/queries", headers, row).status;
    assert_eq!(push(&named("root")), 401);
    assert_eq!(push(&(named("root") + &by_password("shipper"))), 200);
    assert_eq!(push(&(named("root") + &by_password("carol"))), 403);
    eventually(|| push(&format!("authorization: Bearer {token}\r\n")) == 200);
}

#[test]
fn users_without_an_account_have_the_default_role() {
    for (role, count, status) in [("user", 0, 403), ("viewer", 21, 200)] {
        let folder = TempDir::new().unwrap();
        let server = server(folder.path(), &format!("default_role = '{role}'"));
        let count_of = |name: &str| {
            json(&get_from(PROXY, &server, &format!("{LIST}?limit=1000"), &named(name)))["count"]
                .clone()
        };
        assert_eq!(count_of("dave@example.org"), count, "{role}");
        // Who has an account has its role.
        assert_eq!(count_of("carol"), 2, "{role}");
        assert_eq!(count_of("carol@example.org"), count, "{role}");
        let of_dave = get_from(PROXY, &server, "/api/v1/status", &named("dave"));
        assert_eq!(of_dave.status, status, "{role}");
        assert_eq!(get_from(OTHER, &server, LIST, &named("dave")).status, 401);
        for wrong in [named(""), named("(null)"), named("a") + &named("b")] {
            assert!([400, 403].contains(&get_from(PROXY, &server, LIST, &wrong).status), "{wrong}");
        }
    }
}

#[test]
fn a_user_without_a_password_comes_through_the_proxy_alone() {
    let folder = TempDir::new().unwrap();
    let server = server(folder.path(), "[[user]]\nname = 'erin'\nrole = 'user'");
    let db = folder.path().join("a.db");
    let added = annals()
        .args(["user", "add", "dave", "--role", "viewer", "--no-password"])
        .db(&db)
        .output();
    assert_eq!(stdout(&added.unwrap()), "dave is a user with the role viewer\n");
    assert!(stdout(&user(&db, &["list"], "")).contains("\ndave\tviewer\t\tno password\n"));
    let status = |name: &str| get_from(PROXY, &server, LIST, &named(name)).status;
    eventually(|| status("dave") == 200);
    assert_eq!(status("erin"), 200);
    for name in ["dave", "erin"] {
        for password in ["", "\0", "password"] {
            let header = format!("authorization: {}\r\n", basic(name, password));
            assert_eq!(get_from(OTHER, &server, LIST, &header).status, 401);
        }
    }
    // A removed user is out within a second.
    assert!(user(&db, &["remove", "dave"], "").status.success());
    eventually(|| status("dave") == 403);
}

#[test]
fn pages_log_in_and_out_at_the_proxy() {
    let folder = TempDir::new().unwrap();
    let server = server(folder.path(), "log_out_url = '/oauth2/sign_out?rd=/&a=b'");
    let page = get_from(PROXY, &server, "/", &named("carol")).text();
    let link =
        r#"<bdi>carol</bdi><a class="button" href="/oauth2/sign_out?rd=/&amp;a=b">Log out</a>"#;
    assert!(page.contains(link) && !page.contains("/logout"), "{page}");
    // Nobody has to log in again, and no password makes another user of the proxy's.
    let log_in = get_from(PROXY, &server, "/login?next=/statements", &named("carol"));
    assert_eq!((log_in.status, log_in.header("location")), (303, Some("/statements")));
    let form = format!("name=root&password={}&next=/statements", password("root"));
    let log_in = post(PROXY, &server, "/login", &named("carol"), &form);
    assert_eq!((log_in.status, log_in.header("location")), (303, Some("/statements")));
    assert_eq!(log_in.header("set-cookie"), None);
    // Doris' page needs no session, because the proxy names the user of each request.
    let log_in = post(PROXY, &server, "/rest/v1/login", &named("carol"), "");
    assert_eq!((log_in.status, log_in.header("set-cookie")), (200, None));
    // A session from before ends, too.
    let session = session_of(&server, "root");
    assert_eq!(get_from(OTHER, &server, "/", &session).status, 200);
    let log_out = post(PROXY, &server, "/logout", &(named("carol") + &session), "");
    assert_eq!(log_out.header("location"), Some("/oauth2/sign_out?rd=/&a=b"));
    assert_eq!(get_from(OTHER, &server, "/", &session).status, 303);
    // Who logs in by a password has the form.
    let page = get_from(OTHER, &server, "/", &by_password("carol")).text();
    assert!(page.contains(r#"action="/logout""#) && !page.contains("sign_out"), "{page}");
    drop(server);
    let file = configuration(folder.path(), "");
    let server = Server::start(&folder.path().join("a.db"), &["--config", file.to_str().unwrap()]);
    let page = get_from(PROXY, &server, "/", &named("carol")).text();
    assert!(page.contains("<bdi>carol</bdi>") && !page.contains("Log out"), "{page}");
}

#[test]
fn a_history_behind_a_proxy_is_open_to_nobody_else() {
    let folder = TempDir::new().unwrap();
    let file = configuration(folder.path(), "default_role = 'viewer'");
    let mut command = annals();
    command.args(["serve", "--listen", "0.0.0.0:0", "--config"]).arg(&file);
    let mut server = Server::start_by(command.db(folder.path().join("a.db")));
    server.url = server.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(get_from(PROXY, &server, LIST, &named("anybody")).status, 200);
    for (address, headers) in
        [(PROXY, String::new()), (OTHER, String::new()), (OTHER, named("anybody"))]
    {
        assert_eq!(get_from(address, &server, LIST, &headers).status, 401, "{address} {headers}");
        let pushed = post(address, &server, "/api/v1/queries", &headers, "{}");
        assert_eq!(pushed.status, 401, "{address} {headers}");
    }
    // A wrong setting is reported with its line.
    configuration(folder.path(), "default_role = 'admin'");
    let checked =
        annals().args(["serve", "--check-config", "--config"]).arg(&file).output().unwrap();
    assert_eq!(checked.status.code(), Some(2));
    let said = stderr(&checked);
    assert!(said.contains("annals.toml:1: default_role is user or viewer"), "{said}");
}
