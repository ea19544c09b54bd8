//! Shared by the tests: the built binary, a server, HTTP.

pub(crate) mod audit_log;
pub(crate) mod browser;
pub(crate) mod fake_frontend;
pub(crate) mod incident;
pub(crate) mod mariadb;
pub(crate) mod postgres;
mod profile;
pub(crate) mod raw;
mod server;
mod store;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) use audit_log::{DORIS_2_1, DORIS_4_0, Form, STARROCKS_3, record_of};
pub(crate) use profile::{
    old_profile, printed_count, printed_time, profile, profile_of, profile_with_finding,
};
pub(crate) use server::{Server, agent};
pub(crate) use store::{
    Row, WithDb, assert_sound, db_argument, execute, execute_at, is_citus, is_postgres, number,
    profiles, query_rows, rows, rows_at, stored, texts, try_rows,
};

/// Returns the path of the binary under test: the one that cargo built with the tests, or that which `ANNALS_TEST_BINARY` names.
pub(crate) fn binary() -> PathBuf {
    let named = std::env::var_os("ANNALS_TEST_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_annals").into(), PathBuf::from)
}

/// Returns whether the binary under test is optimized: one that `ANNALS_TEST_BINARY` names counts as optimized.
pub(crate) fn is_optimized() -> bool {
    !cfg!(debug_assertions) || std::env::var_os("ANNALS_TEST_BINARY").is_some()
}

/// Returns the binary under test as a command, in UTC and without settings from the environment.
pub fn annals() -> Command {
    let mut command = Command::new(binary());
    command.env("TZ", "UTC").env_remove("ANNALS_DB").env_remove("ANNALS_LOG");
    command
}

/// Returns the path of sample data, which the README serves.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Runs `annals import` of some paths into a database.
pub fn import(db: &Path, paths: &[&Path]) -> Output {
    annals().arg("import").db(db).args(paths).output().unwrap()
}

/// Makes a history without a query, or opens one to write, which upgrades it: imports a log that has no query.
pub fn open_history(db: &Path) {
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("fe.out");
    std::fs::write(&log, "the frontend starts\n").unwrap();
    assert!(import(db, &[&log]).status.success());
}

/// Reads the plans of all profiles of a history. An import leaves that to a server, or to a command that needs them.
pub fn read_plans(db: &Path) {
    let output = annals().arg("plans").db(db).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(unread_plans(db), 0);
}

/// Returns how many profiles of a history have a plan that is not read.
pub fn unread_plans(db: &Path) -> i64 {
    number(db, "SELECT count(*) FROM unread_plan")
}

/// Waits until a server has read the plan of every profile.
pub fn wait_for_plans(server: &Server) {
    let unread = || server.envelope("/api/v1/status")["data"]["unread_profiles"].clone();
    wait_until(|| unread() == 0, || unread().to_string());
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Adds a user. The password is `pass-word-of-` and the name.
pub fn add_user(db: &Path, name: &str, role: &str) {
    let mut process = annals()
        .args(["user", "add", name, "--role", role])
        .db(db)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(
        &mut process.stdin.take().unwrap(),
        format!("pass-word-of-{name}\n").as_bytes(),
    )
    .unwrap();
    assert!(process.wait().unwrap().success());
}

/// Writes a self-signed certificate for 127.0.0.1 as `cert.pem` and `key.pem` into a folder. `openssl` is required.
pub fn certificate(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        ])
        .args(["-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
}

/// Returns an audit record of Doris 2.1 with some values replaced. The line end is included.
pub fn audit_record(written: &str, values: &[(&str, &str)]) -> String {
    record_of(DORIS_2_1, &format!("{written} [query]"), values)
}

/// The keys of a `[stream_load]` record in Doris' order.
const STREAM_LOAD: Form = &[
    ("Label", ""),
    ("Db", "test"),
    ("Table", "t"),
    ("User", "root"),
    ("ClientIp", "10.0.0.1"),
    ("Status", "Success"),
    ("Message", "OK"),
    ("Url", "N/A"),
    ("TotalRows", "10"),
    ("LoadedRows", "10"),
    ("FilteredRows", "0"),
    ("UnselectedRows", "0"),
    ("LoadBytes", "100"),
    ("StartTime", "2024-01-02 11:15:50.000"),
    ("FinishTime", "2024-01-02 11:15:50.500"),
];

/// Returns a `[stream_load]` record of Doris with some values replaced. The line end is included.
pub fn stream_load_record(written: &str, values: &[(&str, &str)]) -> String {
    record_of(STREAM_LOAD, &format!("{written} [stream_load]"), values)
}

/// Returns audit records of Doris 2.1 with different ids and times.
pub fn audit_records(numbers: std::ops::Range<u64>) -> String {
    let mut log = String::new();
    for number in numbers {
        let (minute, second, ms) = (number / 60_000 % 60, number / 1000 % 60, number % 1000);
        log += &audit_record(
            &format!("2024-01-02 11:{minute:02}:{second:02},{ms:03}"),
            &[
                ("StmtId", &number.to_string()),
                (
                    "QueryId",
                    &format!(
                        "{:x}-{number:x}",
                        number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    ),
                ),
                ("Stmt", &format!("select {number}")),
            ],
        );
    }
    log
}

/// Waits until a condition holds. Panics after a minute with the state that `seen` describes.
pub fn wait_until(mut holds: impl FnMut() -> bool, seen: impl Fn() -> String) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", seen());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Makes an SQLite database as an older annals left it: one that did not have the migration of this name, nor any after it.
pub fn older(file: &Path, before: &str, rows: &str) {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_string();
    let missing = files.iter().position(|file| name(file).ends_with(&format!("_{before}")));
    files.truncate(missing.expect("a migration of this name"));
    let newest = tempfile::TempDir::new().unwrap();
    let newest = newest.path().join("newest.db");
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), audit_records(0..1)).unwrap();
    assert!(import(&newest, &[log.path()]).status.success());
    let sqlite = rusqlite::Connection::open(file).unwrap();
    sqlite
        .execute_batch(&format!(
            "PRAGMA application_id = 0x616e6c73; PRAGMA journal_mode = WAL;
             ATTACH '{}' AS newest;
             CREATE TABLE _sqlx_migrations (
                 version BIGINT PRIMARY KEY, description TEXT NOT NULL,
                 installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
                 success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
             INSERT INTO _sqlx_migrations
             SELECT * FROM newest._sqlx_migrations ORDER BY version LIMIT {};
             DETACH newest;",
            newest.display(),
            files.len()
        ))
        .unwrap();
    for file in &files {
        sqlite.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    sqlite.execute_batch(rows).unwrap();
}

/// Returns whether the tests run as root, for whom file permissions have no effect.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the binary as a command of a user that is not root. The folder gets a copy of the binary, because the user may
/// have no access to the original.
pub fn unprivileged(folder: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return annals();
    }
    let copy = folder.join("annals");
    if !copy.exists() {
        // Not by this process: a child that another thread starts meanwhile has the file open for writing until it becomes
        // another program, and nothing runs a file that is open for writing.
        assert!(Command::new("cp").arg(binary()).arg(&copy).status().unwrap().success());
    }
    let mut command = Command::new(copy);
    command.env("TZ", "UTC").env_remove("ANNALS_DB").env_remove("ANNALS_LOG");
    command.uid(65534).gid(65534);
    command
}

/// Returns the time of the system clock.
pub fn now() -> chrono::DateTime<chrono::Utc> {
    std::time::SystemTime::now().into()
}
