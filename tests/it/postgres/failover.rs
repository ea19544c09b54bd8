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

/// A primary, its synchronous replica, and the address of a history on both.
struct Pair {
    primary: Postgres,
    replica: Postgres,
    address: String,
}

impl Pair {
    fn new() -> Pair {
        let primary = Postgres::start();
        primary.create_database("history");
        let replica = primary.synchronous_replica();
        let (first, second) = (primary.port, replica.port);
        let address = format!("postgres://{ROLE}@127.0.0.1:{first},127.0.0.1:{second}/history");
        Pair { primary, replica, address }
    }

    /// Kills the primary and promotes the replica. Asserts that pushes are soon acknowledged again.
    fn fail_over(&self, ledger: &Ledger) {
        self.primary.kill();
        let killed = Instant::now();
        self.replica.promote();
        wait_for_pushes(ledger, 20);
        assert!(killed.elapsed() < LONGEST_PAUSE, "{:?}", killed.elapsed());
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
    let servers: Vec<Server> = (0..2).map(|_| serve(&pair.address)).collect();
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let ledger = Ledger::new(&urls);
    std::thread::scope(|scope| {
        let _stop = ledger.stop_when_dropped();
        for client in 0..4 {
            let ledger = &ledger;
            scope.spawn(move || ledger.run_client(client, u64::MAX));
        }
        wait_for_pushes(&ledger, 50);
        pair.fail_over(&ledger);
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
    let pair = Pair::new();
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, "").unwrap();
    // The first server follows the log.
    let start = |number: usize| {
        let mut serve = on(&pair.address, &["serve", "--listen", "127.0.0.1:0"]);
        if number == 0 {
            serve.arg("--follow").arg(&log);
        }
        Server::start_by(&mut serve)
    };
    let mut servers: Vec<Server> = (0..3).map(start).collect();
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let ledger = Ledger::new(&urls);
    let written = std::thread::scope(|scope| {
        let stop = ledger.stop_when_dropped();
        let writer = scope.spawn(|| write_log(&log, &ledger));
        for client in 0..6 {
            let ledger = &ledger;
            scope.spawn(move || ledger.run_client(client, u64::MAX));
        }
        let (began, mut has_failed_over) = (Instant::now(), false);
        for number in (0..3).cycle() {
            wait_for_pushes(&ledger, 50);
            servers[number].process.kill().unwrap();
            if !has_failed_over && began.elapsed() > lasts / 2 {
                pair.fail_over(&ledger);
                has_failed_over = true;
            }
            wait_for_pushes(&ledger, 20);
            servers[number] = start(number);
            ledger.urls.lock().unwrap()[number] = servers[number].url.clone();
            if has_failed_over && began.elapsed() > lasts {
                break;
            }
        }
        drop(stop);
        writer.join().unwrap()
    });
    let address = pair.replica.address("history");
    let followed = || {
        let followed = "SELECT count(*) FROM query WHERE statement = 'select ' || statement_id";
        postgres::rows(&address, followed).unwrap()[0][0].clone()
    };
    wait_until(|| followed() == Some(written.to_string()), || format!("{:?}", followed()));
    ledger.check(&address);
}
