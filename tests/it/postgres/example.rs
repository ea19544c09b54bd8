//! The worked example of `deploy/postgres/` runs as it is described there. Needs Debian's haproxy and openssl.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::run;
use crate::support::postgres::{self, rows};
use crate::support::{agent, audit_records, binary, data, is_root, stderr, stdout, wait_until};

const README: &str = include_str!("../../../deploy/postgres/README.md");
const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");

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

    /// Runs the lines of a block of commands of README.md that `is_run` selects.
    fn do_as_readme(&self, heading: &str, block: usize, is_run: impl Fn(&str) -> bool) {
        let section = README.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        let block = section.split("```sh\n").nth(block + 1).unwrap();
        let settings = section.lines().find(|line| line.starts_with("B=")).unwrap();
        let lines = block.split("```").next().unwrap().lines().filter(|line| is_run(line));
        let script = [settings].into_iter().chain(lines).collect::<Vec<_>>().join("\n");
        let script = script.replace("8133", &(self.port + 3).to_string());
        let script = script.replace("8134", &(self.port + 4).to_string());
        let script = script.replace("/srv/annals-example", self.folder.path().to_str().unwrap());
        let as_user = match is_root() {
            true => "setpriv --reuid=postgres --regid=postgres --init-groups",
            false => "",
        };
        let script = format!(
            "set -e; export PGUSER=postgres; sudo() {{ shift 2; {as_user} \"$@\"; }}\n{script}"
        );
        let output = Command::new("bash").args(["-c", &script]).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
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
        let agent = agent();
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
    rows(&administrator, ROLES).unwrap();
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
    rows(&administrator, ROLES).unwrap();
    let imported = import("annals_writer");
    assert!(imported.status.success(), "{}", stderr(&imported));
    let reader = address("annals_reader", "roles");
    assert_eq!(
        rows(&reader, "SELECT count(*) > 10 FROM query_history"),
        Ok(vec![vec![Some("t".into())]])
    );
    // Enough records for a segment of the search index.
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, audit_records(0..40_000)).unwrap();
    let segments = "SELECT count(*) FROM search_segment WHERE NOT is_stale";
    let number = |sql: &str| {
        let rows = rows(&address("postgres", "roles"), sql).unwrap();
        rows[0][0].clone().unwrap().parse::<i64>().unwrap()
    };
    let writer = address("annals_writer", "roles");
    let import = || run(&writer, &["import", log.to_str().unwrap()]);
    // As the roles of an earlier annals.
    rows(
        &address("annals_owner", "roles"),
        "REVOKE SELECT ON SEQUENCE query_id_seq FROM annals_writer",
    )
    .unwrap();
    let imported = import();
    assert!(imported.status.success(), "{}", stderr(&imported));
    let said = stderr(&imported);
    assert_eq!(said.matches("run deploy/postgres/roles.sql again").count(), 1, "{said}");
    assert_eq!(number(segments), 0);
    let held = "SELECT count(*) FROM lease WHERE until_ms > extract(epoch FROM now()) * 1000";
    assert_eq!(number(held), 0);
    rows(&administrator, ROLES).unwrap();
    // A transaction of another test holds the search index up.
    wait_until(
        || {
            let imported = import();
            assert!(imported.status.success() && stderr(&imported).is_empty(), "{imported:?}");
            number(segments) == 1
        },
        || "the writer makes no search index".to_string(),
    );
    let found = run(&writer, &["list", "--search", "select 9999", "--columns", "statement"]);
    assert!(stdout(&found).contains("select 9999"), "{}{}", stdout(&found), stderr(&found));
    assert_eq!(
        rows(&reader, "SELECT count(*) FROM query_history WHERE statement = 'select 9999'"),
        Ok(vec![vec![Some("1".into())]])
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
#[ignore = "needs PostgreSQL"]
fn the_roles_get_a_history_that_another_role_has_made() {
    let server = postgres::shared();
    server.create_database("quick_start");
    // A role of its own: REASSIGN OWNED takes all databases of a role.
    server.on_all_nodes("CREATE ROLE quick_start LOGIN");
    server.on_all_nodes("ALTER DATABASE quick_start OWNER TO quick_start");
    let address = server.address_by("quick_start", "quick_start");
    let made = run(&address, &["import", data("").to_str().unwrap()]);
    assert!(made.status.success(), "{}", stderr(&made));
    let superuser = server.address_by("postgres", "quick_start");
    let roles = || {
        let mut psql = postgres::program("psql", Path::new("/"));
        psql.args([
            "-X",
            "-q",
            "-d",
            &superuser,
            "-c",
            ROLES.split_once("ERROR_STOP on").unwrap().1,
        ]);
        let output = psql.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let said = roles();
    let parts = [
        "WARNING",
        "belong to quick_start and not to",
        "REASSIGN OWNED BY quick_start TO annals_owner",
    ];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    rows(&superuser, "REASSIGN OWNED BY quick_start TO annals_owner").unwrap();
    assert_eq!(roles(), "");
    let by = |role: &str| server.address_by(role, "quick_start");
    assert!(run(&by("annals_owner"), &["user", "list"]).status.success());
    let imported = run(&by("annals_writer"), &["import", data("").to_str().unwrap()]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    assert!(rows(&by("annals_reader"), "SELECT count(*) FROM query_history").is_ok());
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
    let pid_file = example.folder.path().join(format!("{name}.pid"));
    let process = || std::fs::read_to_string(&pid_file).unwrap().trim().to_string();
    let dead = process();
    let killed = Command::new("kill").args(["-s", "KILL", &dead]).status().unwrap();
    assert!(killed.success());
    // The balancer sends it to the other one, unless the machine is too busy for that one's health checks.
    let row = r#"{"query_id": "1-2", "time": 1722942960951, "stmt": "select 1"}"#;
    let sent = example.send("POST", "/api/v1/queries", row);
    assert!(!matches!(sent, Ok((502, _, _))), "{sent:?}");
    example.push("1-2");

    for _ in 0..2 {
        let started = example.run("start-example");
        assert!(started.status.success(), "{}{}", stdout(&started), stderr(&started));
        assert!(process() != dead && Path::new("/proc").join(process()).exists());
    }

    let failover = "When the primary dies";
    example.do_as_readme(failover, 0, |line| !line.contains("promote"));
    // The balancer sends it to an annals, which waits for another primary.
    let row = r#"{"query_id": "1-0", "time": 1722942960951, "stmt": "select 1"}"#;
    let sent = example.send("POST", "/api/v1/queries", row).unwrap();
    assert!(sent.0 == 503 && sent.2.contains("nothing was stored"), "{sent:?}");
    // By now the balancer knows that neither of them can write.
    wait_until(
        || {
            let log = std::fs::read_to_string(example.log("haproxy")).unwrap();
            log.contains("backend 'writing' has no server available")
        },
        || "the balancer sends pushes to an annals that cannot write".to_string(),
    );
    let (status, _, list) = example.send("GET", "/api/v1/queries", "").unwrap();
    assert!(status == 200 && list.contains("\"1-2\""), "{status} {list}");
    let sent = example.send("POST", "/api/v1/queries", row).unwrap();
    assert!(sent.0 == 503 && sent.2.contains("nothing was stored"), "{sent:?}");
    example.do_as_readme(failover, 0, |line| !line.contains("stop"));
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
    let started = example.run("start-example");
    assert!(started.status.success(), "{}{}", stdout(&started), stderr(&started));
    assert!(stderr(&started).contains("was promoted, and the old primary"), "{}", stderr(&started));
    example.push("1-5");
    example.do_as_readme(failover, 1, |_| true);
    for _ in 0..2 {
        let started = example.run("start-example");
        assert!(started.status.success(), "{}{}", stdout(&started), stderr(&started));
        assert!(!stderr(&started).contains("was promoted"), "{}", stderr(&started));
    }
    example.push("1-4");
    let (_, _, list) = example.send("GET", "/api/v1/queries", "").unwrap();
    assert!(["1-1", "1-2", "1-3"].iter().all(|id| list.contains(id)), "{list}");
}
