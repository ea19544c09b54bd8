//! Lists are kept as ready bytes, and a client that knows of a commit never gets a list from before it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{self, Server, audit_records, import};
use tempfile::TempDir;

/// The batches of each writer.
const BATCHES: u64 = 25;

fn list(agent: &ureq::Agent, server: &Server, path: &str) -> String {
    let mut answer = agent.get(format!("{}{path}", server.url)).call().unwrap();
    answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap()
}

fn push(agent: &ureq::Agent, server: &Server, writer: u64, batch: u64) -> String {
    // `0-0` is not an id.
    let id = format!("{writer:x}-{:x}", batch + 1);
    let started_ms = 1_800_000_000_000 + batch;
    let row = format!(
        "{{\"query_id\": \"{id}\", \"user\": \"writer{writer}\", \"state\": \"EOF\", \
         \"stmt\": \"select {batch}\", \"started_ms\": {started_ms}, \"time\": {started_ms}}}"
    );
    agent.post(format!("{}/api/v1/queries", server.url)).send(row).unwrap();
    id
}

#[test]
fn an_acknowledged_push_is_in_the_very_next_list() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("annals.db"), &[]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Readers keep every list in the cache, and request the same list at the same time.
        for reader in 0..4 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let agent = ureq::Agent::new_with_defaults();
                while !done.load(Ordering::Relaxed) {
                    list(&agent, server, "/rest/v1/session?limit=1000");
                    list(&agent, server, &format!("/api/v1/queries?user=writer{reader}"));
                }
            });
        }
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let agent = ureq::Agent::new_with_defaults();
                    for batch in 0..BATCHES {
                        let id = push(&agent, server, writer, batch);
                        for path in [
                            "/rest/v1/session?limit=1000",
                            "/rest/v1/query_profile?limit=1000",
                            &format!("/api/v1/queries?user=writer{writer}"),
                        ] {
                            let list = list(&agent, server, path);
                            assert!(list.contains(&format!("\"{id}\"")), "{id} is not in {path}");
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_import_of_another_process_is_in_the_very_next_list() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let server = Server::start(&db, &[]);
    let log = folder.path().join("fe.audit.log");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, done) = (&server, &done);
        scope.spawn(move || {
            let agent = ureq::Agent::new_with_defaults();
            let mut batch = 0;
            while !done.load(Ordering::Relaxed) {
                push(&agent, server, 1, batch);
                list(&agent, server, "/rest/v1/session");
                batch += 1;
            }
        });
        let agent = ureq::Agent::new_with_defaults();
        for number in 0..10 {
            imports(&db, &log, number);
            let list = list(&agent, server, "/rest/v1/query_profile?limit=1000&user=root");
            assert_eq!(list.matches("\"Profile ID\":").count() as u64, number + 1);
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn imports(db: &Path, log: &Path, number: u64) {
    std::fs::write(log, audit_records(number..number + 1)).unwrap();
    let output = import(db, &[log]);
    assert!(output.status.success(), "{}", support::stderr(&output));
}

#[test]
fn more_lists_than_the_cache_holds_are_answered_alike() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, audit_records(0..1000)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    let agent = ureq::Agent::new_with_defaults();
    let whole = list(&agent, &server, "/api/v1/queries?limit=1000");
    for round in 0..60 {
        for _ in 0..2 {
            let to_ms = 1_900_000_000_000_u64 + round;
            let path = format!("/api/v1/queries?limit=1000&to={to_ms}");
            assert_eq!(list(&agent, &server, &path), whole);
        }
    }
}
