//! What a person reads after a mistake: what is wrong, where, and what to do.

use std::path::Path;

use crate::support::{Server, agent, annals, data, import, stderr};
use serde_json::Value;
use tempfile::TempDir;

/// Returns a history of the samples in a folder.
fn samples(folder: &Path) {
    assert!(import(&folder.join("annals.db"), &[&data("")]).status.success());
}

#[test]
fn each_mistake_on_the_command_line_is_named_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    samples(folder.path());
    std::fs::write(folder.path().join("notes.txt"), "no record\n").unwrap();
    for (line, message) in [
        ("lst", "a similar subcommand exists: 'list'"),
        ("list --db other.db", "there is no file other.db; name the history with --db"),
        ("list --db notes.txt", "notes.txt is not an SQLite database; name another file with --db"),
        ("list --db .", ". is a folder; name a file with --db"),
        ("list --db mysql://fe:9030/x", "postgres://"),
        ("list --from 20261125", "20261125 may be several times; write the day 2026-11-25"),
        ("list --from yesterdy", "yesterdy is not a time; write one like '2024-08-06 11:15'"),
        ("list --from 1700000000000000", "Unix seconds have 10 digits, Unix milliseconds 13"),
        ("list --from 2026-01-02 --to 2026-01-01", "the range ends before it begins"),
        ("list --limit abc", "abc is not a whole number from 1 to 100000"),
        ("list --limit 0", "0 is not a whole number from 1 to 100000"),
        ("top -n 0", "0 is not a whole number from 1 to 4294967295"),
        ("list --sort speed", "[possible values: started-ms, duration-ms,"),
        ("show zzz", "no query id begins with zzz"),
        ("diff zzz yyy", "no query id begins with zzz"),
        ("top --by moon", "[possible values: statement, user, db,"),
        ("import", "there is nothing to import; name files or folders, an audit table"),
        ("import missing.log", "there is no file or folder missing.log"),
        ("import --time-zone Mars notes.txt", "name one like Asia/Shanghai or UTC"),
        ("serve --db none/a.db", "none/a.db cannot be created: there is no folder none"),
        ("serve --listen 8130", "is not an address with a port, like 127.0.0.1:8130"),
        ("serve --listen 0.0.0.0:1", "add users with `annals user add`, listen on 127.0.0.1"),
        ("serve --frontend fe:8030", "a frontend is written like http://user@host:8030"),
        ("serve --audit-table mysql://root:pw@fe:9030", "put the password into password_file"),
        ("serve --audit-table http://fe:8030", "is written like mysql://user@host:9030"),
        ("serve --tls-cert a.pem", "TLS needs both --tls-cert and --tls-key"),
        ("prune", "there is no bound; give --keep-queries,"),
        ("prune --keep-queries 5", "an age is written like 90d, 12h or 2years"),
        ("user add bob --role king", "a role is one of"),
        ("merge annals.db", "annals.db is the history to merge into"),
        ("backup annals.db", "annals.db already exists; name another file"),
        ("export --format xml", "[possible values: csv, ndjson, audit]"),
        ("export --sort speed", "[possible values: started-ms, duration-ms,"),
        ("serve --follow=", "follow takes the names of files, and one of them is empty"),
        (
            "serve --check-config --db none/a.db",
            "none/a.db cannot be created: there is no folder none",
        ),
        (
            "serve --check-config --db annals.db --listen 0.0.0.0:1",
            "add users with `annals user add`, listen on 127.0.0.1",
        ),
    ] {
        let mut command = annals();
        let output = command.current_dir(folder.path()).args(line.split(' ')).output().unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {printed}");
        assert!(printed.contains(message), "{line}: {printed}");
        assert!(!printed.contains("root:pw"), "{line}: {printed}");
    }
    // None of them made another history.
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.retain(|name| !name.starts_with("annals.db"));
    assert_eq!(files, ["notes.txt"]);
}

#[test]
fn an_import_of_nothing_makes_no_history() {
    let folder = TempDir::new().unwrap();
    let (db, notes) = (folder.path().join("annals.db"), folder.path().join("notes.txt"));
    std::fs::write(&notes, "no record\n").unwrap();
    let output = import(&db, &[&notes]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!db.exists());
    let output = import(&db, &[&notes, &data("fe.audit.log")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(db.exists());
}

#[test]
fn each_mistake_in_the_configuration_is_named_with_its_line() {
    let folder = TempDir::new().unwrap();
    samples(folder.path());
    for (text, message) in [
        ("\nlisen = \"x\"\n", "c.toml:2: unknown field `lisen`, expected one of `db`,"),
        (
            "[frontend]\nurl = \"http://fe:8030\"\n",
            "c.toml:1: invalid type: map, expected tables with two brackets: [[frontend]]",
        ),
        ("listen = 5\n", "c.toml:1: invalid type: integer `5`, expected a string"),
        ("time_zone = \"Asia/Shangai\"\n", "c.toml:1: 'Asia/Shangai' is not an IANA time zone"),
        ("[[user]]\nname = \"a\"\n", "c.toml:1: missing field `role`"),
        (
            "[retention]\nmax_size = \"5 apples\"\n",
            "c.toml:2: a size is written like 20GB or 512MiB",
        ),
        ("follow = [\"fe.log\",\n \"\"]\n", "c.toml:2: follow takes the names of files"),
        ("[[follow]]\npath = \"\"\n", "follow takes the names of files, and one of them is empty"),
        (
            "tls_cert = \"none.pem\"\ntls_key = \"none.key\"\n",
            "c.toml:1: none.pem cannot be read as a certificate in PEM form",
        ),
        (
            "[[frontend]]\nurl = \"http://fe:8030\"\npassword_file = \"none.txt\"\n",
            "c.toml:3: no password for http://fe:8030/: none.txt cannot be read: ",
        ),
        (
            "[[audit_table]]\nurl = \"mysql://a@fe\"\n\npassword_env = \"NO_SUCH_VARIABLE\"\n",
            "c.toml:4: no password for fe:9030: the variable NO_SUCH_VARIABLE is not set",
        ),
    ] {
        std::fs::write(folder.path().join("c.toml"), text).unwrap();
        let mut command = annals();
        let command = command.current_dir(folder.path()).args(["serve", "--config", "c.toml"]);
        let output = command.output().unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}: {printed}");
        assert!(printed.contains(message), "{text}: {printed}");
    }
}

#[test]
fn each_mistake_in_a_request_is_named_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    samples(folder.path());
    let server = Server::start(&folder.path().join("annals.db"), &[]);
    for (method, path, body, status, message) in [
        (
            "GET",
            "/api/v1/queries?limit=abc",
            "",
            400,
            "limit must be a whole number from 1 to 1000",
        ),
        ("GET", "/api/v1/queries?usr=x", "", 400, "unknown parameter \"usr\"; did you mean user?"),
        ("GET", "/api/v1/queries?from=20261125", "", 400, "from: 20261125 may be several times"),
        ("GET", "/api/v1/queries?order=speed", "", 400, "order must be one of started_ms,"),
        (
            "GET",
            "/api/v1/queries?cursor=abc",
            "",
            400,
            "cursor must come from the Link header of the page before",
        ),
        ("GET", "/api/v1/queries?is_failed=maybe", "", 400, "is_failed must be true or false"),
        ("GET", "/api/v1/queries/zzz/profile", "", 404, "there is no query zzz"),
        ("GET", "/api/v1/nothing", "", 404, "/api/v1/openapi.json describes the paths"),
        ("DELETE", "/api/v1/queries", "", 405, "this path answers GET, HEAD, POST only"),
        ("POST", "/api/v1/queries", "", 400, "the body is empty; send JSON"),
        (
            "POST", "/api/v1/queries", "{\"query_id\": \"1-2\"}", 422,
            "a record without a valid time",
        ),
        (
            "PUT",
            "/api/v1/queries/1-2/profile",
            "hello",
            400,
            "this is not a profile: it must begin with 'Summary:'",
        ),
    ] {
        let (answered, answer, _) = server.send(method, path, &[], body.as_bytes());
        assert_eq!(answered, status, "{path}: {answer}");
        let data = match &answer["data"] {
            Value::String(text) => text.clone(),
            rows => rows.to_string(),
        };
        assert!(data.contains(message), "{path}: {answer}");
        assert_ne!(answer["msg"], "success", "{path}: {answer}");
    }
}

#[test]
fn a_browser_reads_a_page_where_there_is_none() {
    let folder = TempDir::new().unwrap();
    samples(folder.path());
    let server = Server::start(&folder.path().join("annals.db"), &[]);
    let client = agent();
    let ask = |path: &str, accepted: &str| {
        let request = client.get(format!("{}{path}", server.url)).header("accept", accepted);
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    for path in ["/no-such-page", "/regressions/x", "/usage/x/y", "/login/x"] {
        let (status, page) = ask(path, "text/html,application/xhtml+xml,*/*;q=0.8");
        assert_eq!(status, 404, "{path}");
        let says = "There is no page at this address.";
        assert!(page.contains(says) && page.contains("href=\"/\""), "{path}");
    }
    // Programs read JSON, and a browser reads what other paths answer.
    assert!(ask("/no-such-page", "*/*").1.starts_with('{'));
    assert!(ask("/metrics", "text/html,*/*").1.contains("# TYPE"));
    assert!(ask("/rest/v1/session", "text/html,*/*").1.starts_with("{\"msg\":\"success\""));
}
