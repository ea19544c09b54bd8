//! The worked example of `deploy/postgres/` runs as it is described there. Needs Debian's haproxy and openssl.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::run;
use crate::support::postgres::{self, rows};
use crate::support::{binary, data, stderr, stdout, wait_until};

/// What start-example has started, ended when dropped.
struct Example {
    folder: TempDir,
    port: u16,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.run("stop-example");
    }
}

impl Example {
    fn run(&self, script: &str) -> Output {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postgres");
        let mut command = Command::new(scripts.join(script));
        command.arg(self.folder.path()).env("PORT", self.port.to_string());
        command.env("ANNALS", binary()).env_remove("ANNALS_LOG");
        command.output().unwrap()
    }

    /// Runs pg_ctl as the owner of the servers.
    fn control(&self, server: &str, arguments: &[&str]) {
        let data = self.folder.path().join("postgres").join(server);
        let mut control = postgres::program("pg_ctl", Path::new("/"));
        let output = control.arg("-D").arg(data).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// Does what README.md says, of stopped servers.
    fn make_replica_of_old_primary(&self) {
        let servers = self.folder.path().join("postgres");
        let (old, new) = (self.port + 3, self.port + 4);
        self.control("replica", &["-w", "-l", "/dev/null", "start"]);
        let as_owner = |program: &str, arguments: &[&str]| {
            let output = postgres::program(program, &servers).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        };
        std::fs::remove_dir_all(servers.join("primary")).unwrap();
        let passwords = servers.join("replicator");
        let from = format!(
            "host=127.0.0.1 port={new} user=replicator passfile={} application_name=replica",
            passwords.display()
        );
        let copy = ["-D", "primary", "-R", "-c", "fast", "-C", "-S", "old_primary", "-d", &from];
        as_owner("pg_basebackup", &copy);
        let configuration = servers.join("primary/postgresql.conf");
        let before = std::fs::read_to_string(&configuration).unwrap();
        std::fs::write(&configuration, format!("{before}port = {old}\n")).unwrap();
        let socket = servers.to_str().unwrap();
        for change in [
            "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (replica)'",
            "ALTER SYSTEM SET synchronous_commit = 'remote_apply'",
        ] {
            let port = new.to_string();
            as_owner("psql", &["-h", socket, "-p", &port, "-U", "postgres", "-c", change]);
        }
        self.control("replica", &["-m", "fast", "-w", "stop"]);
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Sends a request through the balancer. Returns status, cookie and body, or why it has no answer: the balancer
    /// closes the connections of an annals that it marks as down.
    fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(u16, Option<String>, String), ureq::Error> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        let request = ureq::http::Request::builder().method(method).uri(uri);
        let mut answer = agent.run(request.body(body.to_string()).unwrap())?;
        let cookie = answer.headers().get("set-cookie").map(|it| it.to_str().unwrap().to_string());
        let body = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), cookie, body))
    }

    /// Pushes a query until it is acknowledged, and asserts that the next answer has it.
    fn push(&self, id: &str) {
        let row = format!(r#"{{"query_id": "{id}", "time": 1722942960951, "stmt": "select 1"}}"#);
        let push = || self.send("POST", "/api/v1/queries", &row);
        wait_until(
            || push().is_ok_and(|(status, _, _)| status == 200),
            || format!("{id} is not acknowledged: {:?}", push()),
        );
        // The balancer may still send to an annals that ends.
        let list = || self.send("GET", "/api/v1/queries", "");
        let listed = || list().is_ok_and(|(status, _, _)| status == 200);
        wait_until(listed, || format!("no list: {:?}", list()));
        let (status, _, list) = list().unwrap();
        assert!(status == 200 && list.contains(&format!("\"{id}\"")), "{status} {list}");
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_roles_need_no_superuser_and_each_has_its_rights() {
    let server = postgres::shared();
    server.execute("CREATE ROLE administrator LOGIN CREATEROLE CREATEDB");
    let address = |role: &str, database: &str| server.address_by(role, database);
    let administrator = address("administrator", "roles");
    rows(&address("administrator", "postgres"), "CREATE DATABASE roles TEMPLATE template0")
        .unwrap();
    let roles = include_str!("../../../deploy/postgres/roles.sql");
    rows(&administrator, roles).unwrap();
    let import = |role: &str| run(&address(role, "roles"), &["import", data("").to_str().unwrap()]);
    let refused = import("annals_writer");
    assert!(
        stderr(&refused).contains("the owner of the database opens it once"),
        "{}",
        stderr(&refused)
    );
    for role in ["annals_writer", "annals_reader"] {
        let said = stderr(&run(&address(role, "roles"), &["list"]));
        assert!(said.contains("the owner of the database opens it once"), "{said}");
        assert!(!said.contains("annals serve"), "{said}");
    }
    assert!(run(&address("annals_owner", "roles"), &["user", "list"]).status.success());
    rows(&administrator, roles).unwrap();
    let imported = import("annals_writer");
    assert!(imported.status.success(), "{}", stderr(&imported));
    let reader = address("annals_reader", "roles");
    assert_eq!(
        rows(&reader, "SELECT count(*) > 10 FROM query_history"),
        Ok(vec![vec![Some("t".into())]])
    );
    let said = stderr(&run(&reader, &["list"]));
    assert!(
        said.contains("permission denied") && said.contains("which role may do what"),
        "{said}"
    );
    let owner = address("annals_owner", "roles");
    rows(
        &owner,
        "DROP TABLE search_segment, search_page; DELETE FROM _sqlx_migrations WHERE version = 3",
    )
    .unwrap();
    for command in [vec!["list"], vec!["import", data("").to_str().unwrap()]] {
        let said = stderr(&run(&address("annals_writer", "roles"), &command));
        let parts = ["an older annals", "the owner of the database opens it once"];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!said.contains("annals serve"), "{said}");
    }
    assert!(run(&owner, &["user", "list"]).status.success());
    assert!(run(&address("annals_writer", "roles"), &["list"]).status.success());
    for secret in ["account", "query", "profile"] {
        assert!(rows(&reader, &format!("SELECT * FROM {secret}")).is_err(), "{secret}");
    }
    assert!(rows(&address("annals_writer", "roles"), "CREATE TABLE mine (a int)").is_err());
}

#[test]
#[ignore = "needs PostgreSQL, haproxy and openssl"]
fn the_worked_example_survives_an_annals_and_the_primary() {
    let folder = TempDir::new().unwrap();
    // The owner of the servers reaches its folder.
    let open = Command::new("chmod").arg("755").arg(folder.path()).status().unwrap();
    assert!(open.success());
    // Five ports, below the ports that systems give to outgoing connections.
    let example = Example { folder, port: 20_000 + fastrand::u16(..2000) * 5 };
    let started = example.run("start-example");
    assert!(started.status.success(), "{}{}", stdout(&started), stderr(&started));
    example.push("1-1");
    let (_, cookie, _) = example.send("GET", "/api/v1/queries", "").unwrap();
    let cookie = cookie.unwrap();
    let name = ["one", "two"].into_iter().find(|name| cookie.contains(&format!("={name};")));
    let name = name.unwrap();
    let process =
        std::fs::read_to_string(example.folder.path().join(format!("{name}.pid"))).unwrap();
    let killed = Command::new("kill").args(["-s", "KILL", process.trim()]).status().unwrap();
    assert!(killed.success());
    // The balancer sends it to the other one, unless the machine is too busy for that one's health checks.
    let row = r#"{"query_id": "1-2", "time": 1722942960951, "stmt": "select 1"}"#;
    let sent = example.send("POST", "/api/v1/queries", row);
    assert!(!matches!(sent, Ok((502, _, _))), "{sent:?}");
    example.push("1-2");

    example.control("primary", &["-m", "immediate", "-w", "stop"]);
    example.control("replica", &["-w", "promote"]);
    let died = Instant::now();
    example.push("1-3");
    assert!(died.elapsed() < Duration::from_secs(30), "{:?}", died.elapsed());
    let (_, _, list) = example.send("GET", "/api/v1/queries", "").unwrap();
    assert!(["1-1", "1-2", "1-3"].iter().all(|id| list.contains(id)), "{list}");
    let passwords = std::fs::read_to_string(example.folder.path().join("passwords")).unwrap();
    for log in ["one", "two", "haproxy"].map(|name| example.log(name)) {
        let log = std::fs::read_to_string(log).unwrap();
        for password in passwords.lines().filter_map(|line| line.rsplit(':').next()) {
            assert!(password.len() == 32 && !log.contains(password), "{log}");
        }
    }
    let ended = example.run("stop-example");
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert!(std::net::TcpStream::connect(("127.0.0.1", example.port)).is_err());
    // The old primary is no replica yet.
    let refused = example.run("start-example");
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("was promoted, and the old primary"), "{}", stderr(&refused));
    example.make_replica_of_old_primary();
    let started = example.run("start-example");
    assert!(started.status.success(), "{}{}", stdout(&started), stderr(&started));
    example.push("1-4");
    let (_, _, list) = example.send("GET", "/api/v1/queries", "").unwrap();
    assert!(["1-1", "1-2", "1-3"].iter().all(|id| list.contains(id)), "{list}");
}
