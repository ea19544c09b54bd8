//! A full disk that gets space again.
//!
//! These tests mount a small file system, which requires root: `cargo test -- --include-ignored`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Server, annals, audit_records, import, number, stderr, try_rows, wait_until};
use serde_json::json;
use tempfile::TempDir;

/// A file system of some megabytes, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> SmallDisk {
        SmallDisk::of("3m")
    }

    fn of(size: &str) -> SmallDisk {
        let folder = TempDir::new().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], folder.path());
        SmallDisk(folder)
    }

    /// Fills the disk with a file, but for some bytes.
    fn fill(&self, but: usize) {
        let path = self.0.path().join("other");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write(&[1; 4096]).is_ok_and(|written| written == 4096) {}
        let bytes = file.metadata().unwrap().len();
        file.set_len(bytes - but as u64).unwrap();
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

#[test]
#[ignore = "needs root, to mount a small file system"]
fn an_import_that_fills_the_disk_says_how_many_records_are_stored() {
    let disk = SmallDisk::of("32m");
    let db = disk.0.path().join("a.db");
    let records = audit_records(0..160_000);
    let mut command = annals();
    command.args(["import", "-", "--db"]).arg(&db).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.stdout(Stdio::null()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let (first, rest) = records.split_at(records.len() / 8);
    input.write_all(first.as_bytes()).unwrap();
    // Before the first commit there may be no table.
    let sql = "SELECT count(*) FROM query";
    let stored = || try_rows(&db, sql).map_or(0, |_| number(&db, sql));
    wait_until(|| stored() > 0, || "nothing is stored".to_string());
    // The import ends before it has read the rest.
    let _ = input.write_all(rest.as_bytes());
    drop(input);
    let output = process.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    // A full disk may have no space for what a reader needs. With more, the same import goes on.
    disk.grow();
    let start = format!("annals: the disk is full, and {} records are stored; free ", stored());
    assert!(text.starts_with(&start), "{start}: {text}");
    let elsewhere = TempDir::new().unwrap();
    let log = elsewhere.path().join("fe.audit.log");
    std::fs::write(&log, audit_records(0..60_000)).unwrap();
    let output = import(&db, &[&log]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stored() >= 60_000, "{}", stored());
}

#[test]
#[ignore = "needs root, to mount a small file system"]
fn a_prune_on_a_full_disk_frees_space_or_says_how_much_it_needs() {
    let disk = SmallDisk::of("8m");
    let elsewhere = TempDir::new().unwrap();
    let (db, log) = (disk.0.path().join("a.db"), elsewhere.path().join("fe.audit.log"));
    std::fs::write(&log, audit_records(0..8000)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let before = std::fs::metadata(&db).unwrap().len();
    let prune =
        || annals().args(["prune", "--keep-queries", "1d", "--db"]).arg(&db).output().unwrap();
    disk.fill(0);
    let output = prune();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the disk is full") && text.contains("run annals prune again"), "{text}");
    disk.fill(400 << 10);
    let output = prune();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 0);
    assert!(std::fs::metadata(&db).unwrap().len() < before / 4);
    assert_eq!(
        number(&db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
        1
    );
}
