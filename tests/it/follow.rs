//! `annals serve --follow`: logs that grow, are rotated and truncated, and kills of annals.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::{
    Server, WithDb, annals, audit_records, number, stderr, texts, try_rows, wait_until,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Scene {
    folder: TempDir,
    log: PathBuf,
    pub(crate) db: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let folder = TempDir::new().unwrap();
        let (log, db) = (folder.path().join("fe.audit.log"), folder.path().join("history.db"));
        Scene { folder, log, db }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.db, &["--follow", self.log.to_str().unwrap()])
    }

    pub(crate) fn append(&self, text: &str) {
        append(&self.log, text.as_bytes());
    }

    fn count(&self) -> i64 {
        number(&self.db, "SELECT count(*) FROM query")
    }

    /// Waits until the database has this number of queries.
    pub(crate) fn wait_for(&self, queries: i64) {
        wait_until(|| self.count() >= queries, || format!("{} of {queries}", self.count()));
        assert_eq!(self.count(), queries);
    }
}

fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text).unwrap();
}

fn gzip(from: &Path, to: &Path) {
    let mut encoder = GzEncoder::new(File::create(to).unwrap(), Compression::fast());
    encoder.write_all(&std::fs::read(from).unwrap()).unwrap();
    encoder.finish().unwrap();
    std::fs::remove_file(from).unwrap();
}

pub(crate) fn source(server: &Server, scene: &Scene) -> Value {
    let name = format!("follow {}", scene.log.display());
    server.envelope("/api/v1/status")["data"]["sources"][name].clone()
}

#[test]
fn a_missing_log_is_followed_once_it_exists() {
    let scene = Scene::new();
    let server = scene.serve();
    let waits = || source(&server, &scene)["waits_for"] == "file";
    wait_until(waits, || source(&server, &scene).to_string());
    // A file that is not there is no success.
    assert_eq!(source(&server, &scene)["last_success_ms"], Value::Null);
    let (_, _, page) = server.get("/status");
    assert!(String::from_utf8(page).unwrap().contains("No file has this name yet"));
    scene.append(&audit_records(0..3));
    scene.wait_for(3);
    assert_eq!(source(&server, &scene)["waits_for"], Value::Null);
    scene.append(&audit_records(3..5));
    scene.wait_for(5);
    let rows = server.envelope("/rest/v1/session");
    assert_eq!(rows["data"]["rows"][0]["Sql Statement"], "select 4");
    wait_until(|| source(&server, &scene)["lag"] == 0, || source(&server, &scene).to_string());
    assert_eq!(source(&server, &scene)["records_new"], 5);
}

#[test]
fn a_slowly_written_record_of_many_lines_becomes_complete() {
    let scene = Scene::new();
    let server = scene.serve();
    let whole = audit_records(0..1).replace("select 0", "select 0,\n  1\nfrom t");
    let (start, rest) = whole.split_at(whole.find("  1").unwrap());
    let (middle, end) = rest.split_at(rest.find("from t").unwrap());
    // The follower stores each part, because no more lines come for a while.
    let reports = || {
        let report = source(&server, &scene);
        ["records_new", "records_merged"]
            .map(|key| report[key].as_u64().unwrap_or(0))
            .iter()
            .sum::<u64>()
    };
    for (stored, part) in [start, middle, end].into_iter().enumerate() {
        scene.append(part);
        let stored = stored as u64 + 1;
        wait_until(|| reports() >= stored, || source(&server, &scene).to_string());
    }
    let is_complete = "SELECT count(*) FROM query
        WHERE statement = 'select 0,\n  1\nfrom t' AND cpu_time_ms = 0";
    wait_until(|| number(&scene.db, is_complete) == 1, || "not complete".to_string());
    assert_eq!(scene.count(), 1);
}

#[test]
fn rotation_loses_and_duplicates_no_record() {
    let scene = Scene::new();
    let server = scene.serve();
    for part in 0..5 {
        scene.append(&audit_records(part * 10..part * 10 + 6));
        if part % 2 == 0 {
            scene.wait_for(part as i64 * 11 + 6);
        }
        scene.append(&audit_records(part * 10 + 6..part * 10 + 10));
        let rotated = scene.path(&format!("fe.audit.log.2024010{part}-1"));
        std::fs::rename(&scene.log, &rotated).unwrap();
        scene.append(&audit_records(1000 + part..1001 + part));
        if part == 1 {
            scene.wait_for(22);
            gzip(&rotated, &scene.path("fe.audit.log.20240101-1.gz"));
        }
        if part == 3 {
            // Removed before the follower saw the new name.
            scene.wait_for(44);
            std::fs::remove_file(&rotated).unwrap();
        }
    }
    scene.wait_for(55);
    drop(server);
    // Nothing is read again.
    let server = scene.serve();
    scene.append(&audit_records(2000..2001));
    scene.wait_for(56);
    wait_until(|| source(&server, &scene)["lag"] == 0, || source(&server, &scene).to_string());
    let report = source(&server, &scene);
    assert_eq!(report["records_new"], 1, "{report}");
    assert!(report["records_unchanged"].as_u64().unwrap() <= 2, "{report}");
}

#[test]
fn a_log_is_followed_after_it_is_copied_and_truncated() {
    let scene = Scene::new();
    let _server = scene.serve();
    scene.append(&audit_records(0..500));
    scene.wait_for(500);
    scene.append(&audit_records(500..505));
    std::fs::copy(&scene.log, scene.path("fe.audit.log.1")).unwrap();
    OpenOptions::new().write(true).open(&scene.log).unwrap().set_len(0).unwrap();
    scene.append(&audit_records(1000..1003));
    scene.wait_for(508);
    // Truncated, and longer than before at the next poll.
    OpenOptions::new().write(true).open(&scene.log).unwrap().set_len(0).unwrap();
    scene.append(&audit_records(2000..2400));
    scene.wait_for(908);
}

#[test]
fn logs_rotated_while_annals_was_down_are_read_first_and_in_order() {
    let scene = Scene::new();
    let parts = [(3, 0), (1, 10), (2, 20), (4, 30)];
    for (name, first) in parts {
        let path = scene.path(&format!("fe.audit.log.{name}"));
        std::fs::write(&path, audit_records(first..first + 10)).unwrap();
        if name == 2 {
            gzip(&path, &scene.path("fe.audit.log.2.gz"));
        } else {
            let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
            File::options().write(true).open(&path).unwrap().set_modified(an_hour_ago).unwrap();
        }
    }
    std::fs::write(scene.path("fe.audit.logs"), audit_records(900..901)).unwrap();
    std::fs::write(scene.path("fe.audit.log.notes"), "not a log\n").unwrap();
    scene.append(&audit_records(40..50));
    let server = scene.serve();
    scene.wait_for(50);
    let starts = texts(&scene.db, "SELECT started_ms FROM query ORDER BY id");
    assert!(starts.is_sorted_by_key(|ms| ms.parse::<i64>().unwrap()), "{starts:?}");
    assert_eq!(source(&server, &scene)["rejected"], serde_json::json!({}));
}

#[test]
fn a_pattern_follows_several_logs_and_reads_each_once() {
    let scene = Scene::new();
    for (name, first) in [("a", 0), ("b", 10)] {
        std::fs::create_dir(scene.path(name)).unwrap();
        let log = scene.path(&format!("{name}/fe.audit.log"));
        std::fs::write(log, audit_records(first..first + 10)).unwrap();
    }
    let pattern = scene.path("*/fe.audit.log");
    let name = scene.path("a/fe.audit.log");
    let arguments = ["--follow", pattern.to_str().unwrap(), name.to_str().unwrap()];
    let server = Server::start(&scene.db, &arguments);
    scene.wait_for(20);
    append(&scene.path("b/fe.audit.log"), audit_records(20..21).as_bytes());
    scene.wait_for(21);
    let sources = server.envelope("/api/v1/status")["data"]["sources"].clone();
    let new: u64 = sources
        .as_object()
        .unwrap()
        .values()
        .map(|source| source["records_new"].as_u64().unwrap())
        .sum();
    assert_eq!(new, 21);
}

#[test]
fn bad_lines_are_counted_and_good_lines_are_stored() {
    let scene = Scene::new();
    let server = scene.serve();
    // A login of StarRocks, and a truncated record.
    let login = "2024-01-02 11:15:51,248 [connection] |Client=10.0.0.3:4000|User=root|AuthorizedUser='root'@'%'\
                 |ResourceGroup=|Catalog=|Db=test|State=OK|ErrorCode=|QueryId=|IsQuery=false|feIp=10.0.0.4|Stmt=\
                 |Digest=|Warehouse=default_warehouse|IsForwardToLeader=false\n";
    let bad = "2024-01-02 11:15:51,248 [query] |Client=10.0.0.1:5000|User=root|State=EOF\n";
    scene.append("before any record\n");
    scene.append(&audit_records(0..2));
    scene.append(&format!("{login}{bad}"));
    scene.append(&audit_records(2..4).replace("select 2", "select '\u{0}'"));
    append(&scene.log, b"\xff\xfe\n");
    scene.append(&audit_records(4..5));
    scene.wait_for(5);
    let rejected = source(&server, &scene)["rejected"].clone();
    // The line before the first record, and the line after a complete record.
    assert_eq!(rejected["not part of any record"], 2, "{rejected}");
    assert_eq!(rejected["a record without a query id"], 1, "{rejected}");
    assert_eq!(rejected.as_object().unwrap().len(), 2, "{rejected}");
    assert_eq!(source(&server, &scene)["logins"], 1);
}

/// Returns a record. The statement of every tenth record has several lines.
fn written(number: u64) -> String {
    let record = audit_records(number..number + 1);
    match number % 10 {
        0 => record.replace("|Stmt=select ", "|Stmt=select -- a\n |State=x\n"),
        _ => record,
    }
}

#[test]
fn every_record_is_stored_once_despite_kills() {
    every_record_once(10_000, 4);
}

#[test]
#[ignore = "takes half a minute"]
fn all_of_100_000_records_are_stored_once_despite_twenty_kills() {
    every_record_once(100_000, 20);
}

/// Kills annals while a log grows and is rotated, and counts the records at the end.
fn every_record_once(records: u64, kills: u64) {
    let scene = Scene::new();
    let all_written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rotated = 0;
            for first in (0..records).step_by(500) {
                let text: String = (first..first + 500).map(written).collect();
                // Some records are split between two writes.
                let (start, rest) = text.as_bytes().split_at(text.len() / 3);
                append(&scene.log, start);
                std::thread::sleep(Duration::from_millis(40));
                append(&scene.log, rest);
                std::thread::sleep(Duration::from_millis(30));
                if first % 7000 == 3500 {
                    rotated += 1;
                    let path = scene.path(&format!("fe.audit.log.2024-{rotated:03}"));
                    std::fs::rename(&scene.log, &path).unwrap();
                    if rotated % 3 == 0 {
                        gzip(&path, &scene.path(&format!("fe.audit.log.2024-{rotated:03}.gz")));
                    }
                }
            }
            all_written.store(true, Ordering::SeqCst);
        });
        let mut random = 42_u64;
        for _ in 0..kills {
            let mut server = scene.serve();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis(50 + (random >> 33) % 1100));
            server.process.kill().unwrap();
            server.process.wait().unwrap();
        }
        let _server = scene.serve();
        wait_until(|| all_written.load(Ordering::SeqCst), || "still writing".to_string());
        scene.wait_for(records as i64);
        // The last record becomes complete, too.
        let plain = "SELECT count(*) FROM query WHERE statement = 'select ' || statement_id";
        let plain = || number(&scene.db, plain);
        wait_until(|| plain() == (records - records / 10) as i64, || plain().to_string());
    });
    assert_eq!(scene.count(), records as i64);
    let lines = "SELECT count(*) FROM query
        WHERE statement = 'select -- a\n |State=x\n' || statement_id";
    assert_eq!(number(&scene.db, lines), (records / 10) as i64);
    let ids = "SELECT count(DISTINCT statement_id) FROM query";
    assert_eq!(number(&scene.db, ids), records as i64);
}

/// Returns lines as containerd writes them, in parts of 60 bytes.
fn cri(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let parts: Vec<&[u8]> = line.as_bytes().chunks(60).collect();
        for (number, part) in parts.iter().enumerate() {
            let tag = if number + 1 == parts.len() { 'F' } else { 'P' };
            let part = std::str::from_utf8(part).unwrap();
            lines += &format!("2024-01-02T11:00:00.123456789Z stdout {tag} {part}\n");
        }
    }
    lines
}

#[test]
fn a_container_log_is_followed_despite_kills_between_the_parts_of_a_line() {
    let scene = Scene::new();
    let running =
        "RuntimeLogger 2024-01-02 11:00:00,000 INFO (main|1) [A.b():1] ready\n\tand more\n";
    let lines: Vec<String> = (0..40)
        .map(|number| format!("{running}AuditLogger {}", audit_records(number..number + 1)))
        .collect();
    let text = cri(&lines.concat());
    let mut written = 0;
    for round in 1..=4 {
        // The log ends in the middle of a line of the file, which is between the parts of a record.
        let until = if round == 4 { text.len() } else { text.len() * round / 4 - 7 };
        let mut server = scene.serve();
        append(&scene.log, &text.as_bytes()[written..until]);
        written = until;
        let complete = cri(&lines.concat())[..until].matches("AuditLogger").count() as i64;
        wait_until(|| scene.count() >= complete - 1, || format!("{} of {complete}", scene.count()));
        server.process.kill().unwrap();
        server.process.wait().unwrap();
    }
    let server = scene.serve();
    scene.wait_for(40);
    assert_eq!(number(&scene.db, "SELECT count(DISTINCT statement) FROM query"), 40);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM query WHERE statement LIKE '%Logger%'"), 0);
    // The last record becomes complete when the process log continues, though no other record comes.
    append(&scene.log, cri(&format!("AuditLogger {}{running}", audit_records(40..41))).as_bytes());
    scene.wait_for(41);
    assert_eq!(source(&server, &scene)["rejected"], serde_json::json!({}));
}

#[test]
fn a_log_in_another_encoding_is_reported_as_an_error() {
    let scene = Scene::new();
    let units = audit_records(0..10);
    let bytes: Vec<u8> = units.encode_utf16().flat_map(u16::to_le_bytes).collect();
    append(&scene.log, &[b"\xff\xfe", &bytes[..]].concat());
    let server = scene.serve();
    let error = || source(&server, &scene)["last_error"].as_str().unwrap_or_default().to_string();
    wait_until(|| error().contains("UTF-16LE; a followed log must be in UTF-8"), error);
}

#[test]
fn a_missing_log_is_logged_once() {
    let scene = Scene::new();
    let mut command = annals();
    command.args(["serve", "--listen", "127.0.0.1:0"]).db(&scene.db);
    command.arg("--follow").arg(&scene.log).stdout(Stdio::null()).stderr(Stdio::piped());
    let process = command.spawn().unwrap();
    let has_started = || try_rows(&scene.db, "SELECT count(*) FROM query").is_ok();
    wait_until(has_started, || "no history".to_string());
    std::thread::sleep(Duration::from_secs(2));
    let id = process.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    let log = stderr(&process.wait_with_output().unwrap());
    assert_eq!(log.matches("waiting for the file").count(), 1, "{log}");
    assert!(log.contains("fe.audit.log"), "{log}");
}

#[test]
fn a_pipe_is_not_followed_and_holds_up_no_log() {
    let scene = Scene::new();
    append(&scene.log, audit_records(0..3).as_bytes());
    let pipe = scene.log.with_file_name("fe.audit.log.pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let log = scene.log.with_file_name("log");
    let mut command = annals();
    command.args(["serve", "--listen", "127.0.0.1:0"]).db(&scene.db);
    command.arg("--follow").arg(format!("{}*", scene.log.display()));
    let _server = Server::start_by(command.stderr(File::create(&log).unwrap()));
    let logged = || std::fs::read_to_string(&log).unwrap();
    wait_until(|| number(&scene.db, "SELECT count(*) FROM query") == 3, logged);
    std::thread::sleep(Duration::from_millis(600));
    let logged = logged();
    assert_eq!(logged.matches("a pipe, socket or device is not followed").count(), 1, "{logged}");
    assert!(logged.contains("fe.audit.log.pipe"), "{logged}");
}
