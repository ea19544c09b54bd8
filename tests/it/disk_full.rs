//! A full disk that gets space again.
//!
//! These tests mount a small file system, which requires root: `cargo test -- --include-ignored`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support::{Server, audit_records, number, wait_until};
use serde_json::json;
use tempfile::TempDir;

/// A file system of some megabytes, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> SmallDisk {
        let folder = TempDir::new().unwrap();
        mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"], folder.path());
        SmallDisk(folder)
    }

    fn grow(&self) {
        mount(&["-o", "remount,size=64m"], self.0.path());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    assert!(Command::new("mount").args(arguments).arg(folder).status().unwrap().success());
}

#[test]
#[ignore = "needs root, to mount a small file system"]
fn a_full_disk_rejects_pushes_and_pauses_followers_until_it_has_space() {
    let disk = SmallDisk::new();
    let elsewhere = TempDir::new().unwrap();
    let (db, log) = (disk.0.path().join("a.db"), elsewhere.path().join("fe.audit.log"));
    let server = Server::start(&db, &["--follow", log.to_str().unwrap()]);
    let rows = |first: u64| -> String {
        let row = |number: u64| {
            let statement = format!("select '{}'", "x".repeat(2000));
            json!({"query_id": format!("p-{number}"), "time": 1_722_942_960_000_u64, "stmt": statement})
        };
        (first..first + 100).map(|number| row(number).to_string() + "\n").collect()
    };
    let mut acknowledged = 0;
    let rejected = loop {
        let (status, answer, retry) =
            server.send("POST", "/api/v1/queries", &[], rows(acknowledged).as_bytes());
        match status {
            200 => acknowledged += 100,
            503 => break (answer, retry),
            _ => panic!("{answer}"),
        }
        assert!(acknowledged < 10_000, "a disk of 3 MiB stores 20 MB");
    };
    assert!(rejected.0["data"].as_str().unwrap().contains("the disk is full"), "{}", rejected.0);
    assert_eq!(rejected.1.as_deref(), Some("5"));
    assert!(acknowledged > 0);
    let mut file = OpenOptions::new().append(true).create(true).open(&log).unwrap();
    file.write_all(audit_records(0..5000).as_bytes()).unwrap();
    let source = format!("follow {}", log.display());
    let status = || server.envelope("/api/v1/status")["data"]["sources"][&source].clone();
    wait_until(|| !status()["last_error"].is_null(), || status().to_string());
    // Reads continue, and show the acknowledged records.
    assert_eq!(server.envelope("/rest/v1/session?limit=100")["count"], 100);

    disk.grow();
    let followed = || number(&db, "SELECT count(*) FROM query WHERE client IS NOT NULL");
    wait_until(|| followed() >= 5000, || followed().to_string());
    let (status, ..) = server.send("POST", "/api/v1/queries", &[], rows(acknowledged).as_bytes());
    assert_eq!(status, 200);
    let pushed = number(&db, "SELECT count(*) FROM query WHERE query_id LIKE 'p-%'");
    assert_eq!(pushed, acknowledged as i64 + 100);
    drop(server);
    assert_eq!(
        number(&db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
        1
    );
}
