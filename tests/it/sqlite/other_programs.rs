//! Another program holds or changes the file while annals serves it.

use crate::follow::{self, Scene};
use crate::stream_load::{COLUMNS, ROW, STEP_TWO, load, server};
use crate::support::{Server, audit_records, execute, import, wait_until};
use serde_json::json;
use tempfile::TempDir;

#[test]
fn a_deleted_query_is_not_in_the_very_next_list() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, audit_records(0..20)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    let rows = || server.envelope("/rest/v1/session")["count"].as_u64().unwrap();
    for left in (0..20).rev() {
        assert_eq!((rows(), rows()), (left + 1, left + 1));
        execute(&db, "DELETE FROM query WHERE id = (SELECT max(id) FROM query)");
        assert_eq!(rows(), left);
    }
}

#[test]
fn a_locked_database_rejects_loads_and_reads_continue() {
    let (folder, server) = server();
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let headers = [("label", "held"), COLUMNS];
    let (status, answer, retry) = server.send("PUT", STEP_TWO, &headers, ROW.as_bytes());
    assert_eq!((status, &answer["Status"]), (503, &json!("Fail")));
    assert!(answer["Message"].as_str().unwrap().contains("another program holds"), "{answer}");
    assert_eq!(retry.as_deref(), Some("5"));
    assert_eq!(server.envelope("/rest/v1/session")["count"], 0);
    let report = server.envelope("/api/v1/status")["data"]["sources"]["stream_load"].clone();
    assert!(report["last_error"].as_str().unwrap().contains("cannot be written"), "{report}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(load(&server, &headers, ROW.as_bytes())["Status"], "Success");
}

#[test]
fn a_locked_database_pauses_the_follower_without_loss() {
    let scene = Scene::new();
    let server = scene.serve();
    scene.append(&audit_records(0..10));
    scene.wait_for(10);
    let other = rusqlite::Connection::open(&scene.db).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    scene.append(&audit_records(10..20));
    wait_until(
        || follow::source(&server, &scene)["last_error"].is_string(),
        || "no error".to_string(),
    );
    assert_eq!(server.envelope("/rest/v1/session")["count"], 10);
    other.execute_batch("ROLLBACK").unwrap();
    scene.wait_for(20);
}
