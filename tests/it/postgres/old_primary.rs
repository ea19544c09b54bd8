//! A server that accepts writes comes back, or appears, that is not the one with the history.

use tempfile::TempDir;

use super::{on, run};
use crate::support::postgres::{Postgres, ROLE, rows};
use crate::support::{Server, stderr, wait_until};

/// The address of a history on two servers.
fn address(first: &Postgres, second: &Postgres) -> String {
    let (first, second) = (first.port, second.port);
    format!("postgres://{ROLE}@127.0.0.1:{first},127.0.0.1:{second}/history")
}

/// A server with what it logs.
struct Logged {
    server: Server,
    folder: TempDir,
}

impl Logged {
    fn start(address: &str) -> Logged {
        let folder = TempDir::new().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut serve = on(address, &["serve", "--listen", "127.0.0.1:0"]);
        Logged { server: Server::start_by(serve.stderr(log)), folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn wait_for_log(&self, part: &str) {
        wait_until(|| self.log().contains(part), || self.log());
    }

    fn push(&self, id: &str) -> u16 {
        let row = format!(r#"{{"query_id": "{id}", "time": 1722942960951, "stmt": "select 1"}}"#);
        self.server.send("POST", "/api/v1/queries", &[], row.as_bytes()).0
    }

    /// Asserts that a push is acknowledged, and that the next list has it.
    fn push_and_list(&self, id: &str) {
        assert_eq!(self.push(id), 200, "{}", self.log());
        let list = self.server.envelope("/api/v1/queries").to_string();
        assert!(list.contains(&format!("\"{id}\"")), "{list}");
    }
}

/// Returns how many queries a server has. Errors if it has no history.
fn count(server: &Postgres) -> Result<String, String> {
    let counted = rows(&server.address("history"), "SELECT count(*) FROM query")?;
    Ok(counted[0][0].clone().unwrap())
}

fn queries(server: &Postgres) -> String {
    count(server).unwrap()
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_old_primary_that_comes_back_gets_no_writes_and_no_reads() {
    let mut old = Postgres::start();
    old.create_database("history");
    let promoted = old.replica();
    let address = address(&old, &promoted);
    let annals = Logged::start(&address);
    annals.push_and_list("1-1");
    let is_equal = || count(&promoted).is_ok_and(|count| count == "1");
    wait_until(is_equal, || "the replica is behind".to_string());
    old.stop_at_once();
    promoted.promote();
    wait_until(|| annals.push("1-2") == 200, || annals.log());
    old.start_again();
    let place = format!("PostgreSQL at 127.0.0.1:{} accepts writes, and is older", old.port);
    annals.wait_for_log(&place);
    // One that starts now takes the server that was promoted, too.
    let late = Logged::start(&address);
    for (number, server) in [&annals, &late, &annals].into_iter().enumerate() {
        server.push_and_list(&format!("2-{number}"));
    }
    assert_eq!((queries(&promoted), queries(&old)), ("5".to_string(), "1".to_string()));
    let moves = annals.log().matches("another server of PostgreSQL accepts writes now").count();
    assert_eq!(moves, 1, "{}", annals.log());
    // Without the server that was promoted, nothing is written.
    promoted.stop_at_once();
    assert_eq!(annals.push("3-1"), 503);
    let status = String::from_utf8(annals.server.get("/api/v1/status").2).unwrap();
    assert!(status.contains("(timeline 1 of 2); make a replica of it"), "{status}");
    assert_eq!(queries(&old), "1");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_with_another_history_gets_nothing() {
    let mut other = Postgres::start();
    other.create_database("history");
    let server = Postgres::start();
    server.create_database("history");
    let address = address(&other, &server);
    let said = stderr(&run(&address, &["user", "list"]));
    assert!(said.contains("are no copies of each other"), "{said}");
    other.stop_at_once();
    let annals = Logged::start(&address);
    annals.push_and_list("1-1");
    other.start_again();
    annals.wait_for_log("is no copy of the one at");
    annals.push_and_list("1-2");
    assert_eq!(queries(&server), "2");
}
