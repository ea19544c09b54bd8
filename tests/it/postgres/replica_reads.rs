//! Reads go to a replica, as long as it has what annals has acknowledged.

use tempfile::TempDir;

use super::{new_history, on, run, serve};
use crate::support::postgres::Postgres;
use crate::support::{Server, stderr, stdout, wait_until};

const LIST: &str = "/api/v1/queries?limit=100";

/// A primary, and a replica that no commit waits for.
struct Pair {
    primary: Postgres,
    replica: Postgres,
}

impl Pair {
    fn new() -> Pair {
        let primary = Postgres::start();
        primary.create_database("history");
        let replica = primary.replica();
        Pair { primary, replica }
    }

    fn address(&self) -> String {
        self.primary.address("history")
    }

    /// Starts a server that reads from the replica.
    fn serve_reads_from_replica(&self) -> Server {
        let mut serve = on(&self.address(), &["serve", "--listen", "127.0.0.1:0"]);
        Server::start_by(serve.args(["--db-read", &self.replica.address("history")]))
    }

    /// Waits until the replica has what the primary has.
    fn wait_until_equal(&self) {
        let at = self.primary_position();
        let position = "SELECT pg_last_wal_replay_lsn() >= ";
        let sql = format!("{position} '{at}'::pg_lsn");
        let is_equal = || self.replica.value(&sql) == "t";
        wait_until(is_equal, || format!("the replica is not at {at}"));
    }

    fn primary_position(&self) -> String {
        self.primary.value("SELECT pg_current_wal_lsn()")
    }

    /// Keeps the replica as it is.
    fn pause(&self) {
        self.wait_until_equal();
        self.replica.execute("SELECT pg_wal_replay_pause()");
        let state = || self.replica.value("SELECT pg_get_wal_replay_pause_state()");
        wait_until(|| state() == "paused", state);
    }
}

fn push(server: &Server, id: &str) {
    let row = format!(r#"{{"query_id": "{id}", "time": 1722942960951, "stmt": "select 1"}}"#);
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], row.as_bytes());
    assert_eq!(status, 200, "{answer}");
}

/// Returns whether a list of a server has a query.
fn lists(server: &Server, id: &str) -> bool {
    server.envelope(LIST).to_string().contains(&format!("\"{id}\""))
}

/// Returns whether a server has a query, by its id.
fn knows(server: &Server, id: &str) -> bool {
    server.get(&format!("/api/v1/queries/{id}")).0 == 200
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_replica_answers_until_it_is_behind_what_was_acknowledged() {
    let pair = Pair::new();
    let (server, other) = (pair.serve_reads_from_replica(), serve(&pair.address()));
    push(&server, "1-1");
    assert!(lists(&server, "1-1") && knows(&server, "1-1"));
    // Each round, the replica answers again.
    for round in 2..5 {
        pair.wait_until_equal();
        let (others, own) = (format!("{round}-2"), format!("{round}-3"));
        let is_read_from_replica = || {
            pair.pause();
            let id = format!("{round}-{:x}", fastrand::u32(..));
            push(&other, &id);
            let is_known = lists(&server, &id) || knows(&server, &id);
            pair.replica.execute("SELECT pg_wal_replay_resume()");
            !is_known
        };
        wait_until(is_read_from_replica, || "the primary answers".to_string());
        pair.pause();
        push(&other, &others);
        assert!(lists(&other, &others) && !lists(&server, &others) && !knows(&server, &others));
        push(&server, &own);
        // The server has acknowledged what the replica does not have.
        for id in [&own, &others] {
            assert!(lists(&server, id) && knows(&server, id), "{id}");
        }
        pair.replica.execute("SELECT pg_wal_replay_resume()");
        assert!(lists(&server, &others) && knows(&server, &own));
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn reads_go_on_while_either_server_is_gone() {
    let mut pair = Pair::new();
    let server = pair.serve_reads_from_replica();
    push(&server, "1-1");
    pair.wait_until_equal();
    let transactions = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'history'";
    let transactions = |pair: &Pair| pair.replica.value(transactions).parse::<u64>().unwrap();
    let before = transactions(&pair);
    let is_used = || knows(&server, "1-1") && transactions(&pair) > before + 20;
    wait_until(is_used, || "the replica is not read".to_string());
    let names_replica = || {
        let page = String::from_utf8(server.get("/status").2).unwrap();
        page.contains(&format!("127.0.0.1:{}</bdi>", pair.replica.port))
    };
    assert!(names_replica());
    pair.replica.hang();
    // The first reads wait for the replica a moment.
    assert!(lists(&server, "1-1") && knows(&server, "1-1"));
    push(&server, "1-2");
    assert!(lists(&server, "1-2") && knows(&server, "1-2"));
    wait_until(|| !names_replica(), || "the page names the replica".to_string());
    pair.replica.kill_stopped();
    assert!(lists(&server, "1-2") && knows(&server, "1-2"));

    pair.primary.execute("SELECT pg_drop_replication_slot('replica')");
    // Retention commits at any time, and this replica has each commit before it is acknowledged.
    pair.replica = pair.primary.synchronous_replica(None);
    let server = pair.serve_reads_from_replica();
    push(&server, "1-3");
    let before = transactions(&pair);
    let is_used = || knows(&server, "1-3") && transactions(&pair) > before + 20;
    wait_until(is_used, || "the replica is not read".to_string());
    pair.primary.kill();
    assert!(lists(&server, "1-3") && knows(&server, "1-3"));
    let mut list = on(&pair.address(), &["list", "--db-read", &pair.replica.address("history")]);
    assert_eq!(stdout(&list.output().unwrap()).lines().count(), 4);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn why_no_replica_answers_is_logged_and_printed() {
    let address = new_history();
    let name = address.rsplit('/').next().unwrap();
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    for (reads, why) in [
        (format!("postgres://annals@127.0.0.1:1/{name}"), "127.0.0.1:1 does not answer"),
        (address.replace(name, "no_such_database"), "no_such_database"),
        (address.clone(), "is no replica"),
    ] {
        let mut serve = on(&address, &["serve", "--listen", "127.0.0.1:0", "--db-read", &reads]);
        serve.stderr(std::fs::File::create(&log).unwrap());
        let server = Server::start_by(&mut serve);
        push(&server, "1-1");
        drop(server);
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains("no replica answers") && log.contains(why), "{log}");
        let listed = run(&address, &["list", "--db-read", &reads]);
        assert_eq!(stdout(&listed).lines().count(), 2);
        assert!(stderr(&listed).contains(why), "{}", stderr(&listed));
    }
}
