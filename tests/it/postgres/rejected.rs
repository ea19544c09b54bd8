//! What PostgreSQL does itself, and addresses that cannot be opened: annals says so in a line or two.

use tempfile::TempDir;

use super::{new_history, on, run};
use crate::support::postgres::{self, PASSWORD, ROLE_WITH_PASSWORD};
use crate::support::{Server, annals, audit_records, stderr, stdout, wait_until};

#[test]
#[ignore = "needs PostgreSQL"]
fn what_postgres_does_itself_is_rejected_with_its_own_way() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let history = new_history();
    let log = path("log");
    std::fs::write(&log, audit_records(0..3)).unwrap();
    assert!(run(&history, &["import", &log]).status.success());
    let config = path("annals.toml");
    std::fs::write(&config, format!("db = '{history}'\n[retention]\nmax_size = '1GB'\n")).unwrap();
    let (copy, saved) = (path("copy.db"), path("saved.db"));
    for (arguments, own_way) in [
        (vec!["backup", &copy, "--db", &history], "pg_dump"),
        (vec!["check", "--db", &history], "amcheck"),
        (vec!["salvage", &history, &saved], "PostgreSQL"),
        (vec!["prune", "--max-size", "1GB", "--db", &history], "PostgreSQL"),
        (vec!["serve", "--listen", "127.0.0.1:0", "--config", &config], "PostgreSQL"),
    ] {
        let output = annals().args(&arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("PostgreSQL") && said.contains(own_way), "{arguments:?}: {said}");
        assert_eq!(
            (said.lines().count(), stdout(&output).as_str()),
            (1, ""),
            "{arguments:?}: {said}"
        );
    }
    assert!(!folder.path().join("copy.db").exists() && !folder.path().join("saved.db").exists());
    assert!(stdout(&run(&history, &["stats"])).contains("\nqueries\t3\n"));
}

/// Asserts that each kind of command rejects an address in a line or two that hold `part`, and never a password.
pub(super) fn assert_rejected(address: &str, password: &str, part: &str) {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1)).unwrap();
    for arguments in [
        vec!["list"],
        vec!["stats"],
        vec!["import", log.to_str().unwrap()],
        vec!["serve", "--listen", "127.0.0.1:0"],
        vec!["user", "list"],
    ] {
        let output = run(address, &arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!((1..=2).contains(&said.lines().count()), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: no {part} in {said}");
        assert!(!said.contains(password), "{arguments:?}: {said}");
        assert!(!stdout(&output).contains(password), "{arguments:?}: {}", stdout(&output));
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_address_that_cannot_be_opened_is_rejected_without_its_password() {
    let port = postgres::shared().port;
    let wrong = "a-wrong-pass-word";
    assert_rejected(
        &format!("postgres://{ROLE_WITH_PASSWORD}:{wrong}@127.0.0.1:{port}/postgres"),
        wrong,
        "password",
    );
    assert_rejected(
        &format!("postgres://annals:{wrong}@no-such-host.invalid/annals"),
        wrong,
        "no-such-host.invalid",
    );
    assert_rejected(
        &format!("postgres://annals:{wrong}@127.0.0.1:{port}/no_such_database"),
        wrong,
        "no_such_database",
    );
    // Nothing listens on this port.
    assert_rejected(&format!("postgres://annals:{wrong}@127.0.0.1:1/annals"), wrong, "127.0.0.1:1");
    // No address of PostgreSQL, though it may hold a password.
    let no_address = format!("postgres://annals:{wrong}@127.0.0.1:port/annals");
    let mut by_variable = annals();
    by_variable.arg("list").env("ANNALS_DB", &no_address);
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, format!("db = '{no_address}'\n")).unwrap();
    let mut by_file = annals();
    by_file.args(["serve", "--check-config", "--config"]).arg(&config);
    for mut command in [on(&no_address, &["list"]), by_variable, by_file] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(!stderr(&output).contains(wrong), "{}", stderr(&output));
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_role_with_too_few_connections_is_named() {
    let address = new_history();
    let name = address.rsplit('/').next().unwrap();
    let server = postgres::shared();
    assert!(run(&address, &["user", "list"]).status.success());
    let role = format!("narrow_{name}");
    server.on_all_nodes(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1"));
    postgres::rows(&address, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
        .unwrap();
    let narrow = server.address_by(&role, name);
    let mut taken = postgres::session(&narrow);
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
    wait_until(|| server.value(&sessions) == "1", || server.value(&sessions));
    let listed = run(&narrow, &["list"]);
    assert!(stderr(&listed).contains("too many connections for role"), "{}", stderr(&listed));
    taken.kill().unwrap();
    taken.wait().unwrap();
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_password_opens_the_database_and_is_never_printed() {
    let address = new_history();
    let name = address.rsplit('/').next().unwrap();
    let server = postgres::shared();
    server.on_all_nodes(&format!("ALTER DATABASE {name} OWNER TO {ROLE_WITH_PASSWORD}"));
    let without = server.address_by(ROLE_WITH_PASSWORD, name);
    let with = without.replace('@', &format!(":{PASSWORD}@"));
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..3)).unwrap();
    assert!(run(&with, &["import", log.to_str().unwrap()]).status.success());
    let mut list = annals();
    list.args(["list", "--db", &without]).env("PGPASSWORD", PASSWORD);
    assert_eq!(stdout(&list.output().unwrap()).lines().count(), 4);

    let printed = std::fs::File::create(folder.path().join("printed")).unwrap();
    let mut serve = annals();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--db", &with]);
    serve.env("ANNALS_LOG", "debug").stderr(printed);
    let server = Server::start_by(&mut serve);
    for path in ["/", "/status", "/metrics", "/api/v1/status", "/api/v1/queries"] {
        let (status, _, body) = server.get(path);
        assert_eq!(status, 200, "{path}");
        assert!(!String::from_utf8(body).unwrap().contains(PASSWORD), "{path}");
    }
    assert!(!server.printed.contains(PASSWORD), "{}", server.printed);
    drop(server);
    let printed = std::fs::read_to_string(folder.path().join("printed")).unwrap();
    assert!(!printed.contains(PASSWORD), "{printed}");
}
