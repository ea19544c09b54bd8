//! The primary dies and its synchronous replica is promoted while clients push.

use std::io::Write;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ledger::Ledger;
use super::{on, serve};
use crate::support::postgres::{self, Postgres, ROLE};
use crate::support::{Server, audit_records, wait_until};

/// How soon pushes are acknowledged again after the primary has died.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often the primary dies in the second half of the test.
const DEATH_EVERY: Duration = Duration::from_secs(40);

/// A primary, its synchronous replica, and the address of a history on both.
struct Pair {
    primary: Postgres,
    replica: Postgres,
    address: String,
}

/// How the primary dies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Death {
    Killed,
    /// It keeps its connections, and no longer answers.
    Hangs,
}

impl Pair {
    fn new() -> Pair {
        let primary = Postgres::start();
        primary.create_database("history");
        let replica = primary.synchronous_replica(None);
        let (first, second) = (primary.port, replica.port);
        let address = format!("postgres://{ROLE}@127.0.0.1:{first},127.0.0.1:{second}/history");
        Pair { primary, replica, address }
    }

    /// Starts a server that writes to the primary and reads from the replica.
    fn serve(&self, arguments: &[&str]) -> Server {
        let mut serve = on(&self.address, &["serve", "--listen", "127.0.0.1:0"]);
        Server::start_by(serve.args(arguments).args(["--db-read", &self.address]))
    }

    /// Ends the primary and promotes the replica. Asserts that pushes are soon acknowledged again.
    fn fail_over(&self, ledger: &Ledger, death: Death) {
        match death {
            Death::Killed => self.primary.kill(),
            Death::Hangs => self.primary.hang(),
        }
        let died = Instant::now();
        self.replica.promote();
        let promoted = died.elapsed();
        wait_for_pushes(ledger, 20);
        let paused = died.elapsed();
        println!(
            "the primary: {death:?}; promoted after {promoted:.1?}, 20 more pushes after {paused:.1?}"
        );
        assert!(paused < LONGEST_PAUSE, "{paused:?}");
        if death == Death::Hangs {
            self.primary.kill_stopped();
        }
    }

    /// Makes a replica of the primary that was promoted, in place of the one that died.
    fn replace_primary(&mut self) {
        let replica = self.replica.synchronous_replica(Some(self.primary.port));
        self.primary = std::mem::replace(&mut self.replica, replica);
    }

    fn is_replica_promoted(&self) -> bool {
        let rows = postgres::rows(&self.replica.address("history"), "SELECT pg_is_in_recovery()");
        rows.unwrap() == [[Some("f".to_string())]]
    }

    /// Returns how many transactions the replica has had.
    fn reads_of_replica(&self) -> u64 {
        let reads = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'history'";
        let rows = postgres::rows(&self.replica.address("history"), reads).unwrap();
        rows[0][0].as_ref().unwrap().parse().unwrap()
    }
}

/// Waits until more pushes are acknowledged.
fn wait_for_pushes(ledger: &Ledger, more: u64) {
    let before = ledger.pushes();
    wait_until(|| ledger.pushes() > before + more, || format!("{} pushes", ledger.pushes()));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn pushes_go_on_after_the_replica_is_promoted_and_nothing_is_lost() {
    let pair = Pair::new();
    let servers: Vec<Server> = (0..2).map(|_| pair.serve(&[])).collect();
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let ledger = Ledger::new(&urls);
    std::thread::scope(|scope| {
        let _stop = ledger.stop_when_dropped();
        for client in 0..4 {
            let ledger = &ledger;
            scope.spawn(move || ledger.run_client(client, u64::MAX));
        }
        wait_for_pushes(&ledger, 50);
        pair.fail_over(&ledger, Death::Killed);
        wait_for_pushes(&ledger, 50);
    });
    ledger.check(&pair.replica.address("history"));
    // A server that starts now finds the new primary, too.
    let late = serve(&pair.address);
    let row = br#"{"query_id": "late-1", "time": 1722942960951, "stmt": "select 1"}"#;
    assert_eq!(late.send("POST", "/api/v1/queries", &[], row).0, 200);
}

/// Appends records to a log until the clients are stopped. Returns the number of records.
fn write_log(log: &std::path::Path, ledger: &Ledger) -> u64 {
    let mut file = std::fs::File::options().append(true).create(true).open(log).unwrap();
    let mut written = 0;
    while !ledger.is_stopped() {
        file.write_all(audit_records(written..written + 20).as_bytes()).unwrap();
        written += 20;
        std::thread::sleep(Duration::from_millis(50));
    }
    written
}

#[test]
#[ignore = "needs PostgreSQL, and as many seconds as ANNALS_TEST_SECONDS says, by default 20"]
fn servers_are_killed_again_and_again_and_the_primary_in_between() {
    let seconds = std::env::var("ANNALS_TEST_SECONDS").map_or(20, |text| text.parse().unwrap());
    let lasts = Duration::from_secs(seconds);
    let mut pair = Pair::new();
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, "").unwrap();
    // The first server follows the log.
    let follow = ["--follow", log.to_str().unwrap()];
    let start = |pair: &Pair, number: usize| match number {
        0 => pair.serve(&follow),
        _ => pair.serve(&[]),
    };
    let mut servers: Vec<Server> = (0..3).map(|number| start(&pair, number)).collect();
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let ledger = Ledger::new(&urls);
    let (mut kills, mut deaths) = (0, 0);
    let written = std::thread::scope(|scope| {
        let stop = ledger.stop_when_dropped();
        let writer = scope.spawn(|| write_log(&log, &ledger));
        for client in 0..6 {
            let ledger = &ledger;
            scope.spawn(move || ledger.run_client(client, u64::MAX));
        }
        let began = Instant::now();
        for number in (0..3).cycle() {
            wait_for_pushes(&ledger, 20);
            servers[number].process.kill().unwrap();
            kills += 1;
            // A server is dead when the primary dies, and is started after that.
            let is_due = began.elapsed() > lasts / 2 + DEATH_EVERY * deaths;
            if is_due {
                let death = [Death::Killed, Death::Hangs][deaths as usize % 2];
                pair.fail_over(&ledger, death);
                deaths += 1;
            }
            wait_for_pushes(&ledger, 10);
            servers[number] = start(&pair, number);
            ledger.urls.lock().unwrap()[number] = servers[number].url.clone();
            if deaths > 0 && began.elapsed() > lasts {
                break;
            }
            if is_due {
                pair.replace_primary();
                wait_for_pushes(&ledger, 20);
                let before = pair.reads_of_replica();
                wait_until(|| pair.reads_of_replica() > before + 50, || "no reads".to_string());
            }
        }
        drop(stop);
        writer.join().unwrap()
    });
    let address = match pair.is_replica_promoted() {
        true => pair.replica.address("history"),
        false => pair.primary.address("history"),
    };
    let followed = || {
        let followed = "SELECT count(*) FROM query WHERE statement = 'select ' || statement_id";
        postgres::rows(&address, followed).unwrap()[0][0].clone()
    };
    wait_until(|| followed() == Some(written.to_string()), || format!("{:?}", followed()));
    let stored = ledger.check(&address);
    println!(
        "{kills} kills of a server, {deaths} deaths of the primary; {stored} queries stored, {written} of the log; {ledger}"
    );
}
