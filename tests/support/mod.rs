//! What the tests share: the real binary, a real server, real HTTP.
#![allow(dead_code)] // each test file uses its own part
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The binary under test, in UTC, with nothing of the caller's environment that it heeds.
pub fn annals() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.env("TZ", "UTC").env_remove("ANNALS_DB").env_remove("ANNALS_LOG");
    command
}

/// The sample data that the README serves.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Runs `annals import` of some paths into a database.
pub fn import(db: &Path, paths: &[&Path]) -> Output {
    annals().arg("import").arg("--db").arg(db).args(paths).output().unwrap()
}

/// What a process wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a process wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Adds a user, whose password is `pass-word-of-` and the name.
pub fn add_user(db: &Path, name: &str, role: &str) {
    let mut process = annals()
        .args(["user", "add", name, "--role", role, "--db"])
        .arg(db)
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

/// A certificate for this machine, of some name, that vouches for itself: `cert.pem` and `key.pem` in a folder. Needs
/// `openssl`.
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

/// The keys of a `[query]` record in the order of Doris 2.1, with values that say nothing of a statement.
const DORIS_2_1: [(&str, &str); 30] = [
    ("Client", "10.0.0.1:5000"),
    ("User", "root"),
    ("Ctl", "internal"),
    ("Db", "test"),
    ("State", "EOF"),
    ("ErrorCode", "0"),
    ("ErrorMessage", ""),
    ("Time(ms)", "0"),
    ("ScanBytes", "0"),
    ("ScanRows", "0"),
    ("ReturnRows", "1"),
    ("StmtId", "1"),
    ("QueryId", ""),
    ("IsQuery", "true"),
    ("isNereids", "true"),
    ("feIp", "10.0.0.2"),
    ("StmtType", "SELECT"),
    ("Stmt", ""),
    ("CpuTimeMS", "0"),
    ("ShuffleSendBytes", "0"),
    ("ShuffleSendRows", "0"),
    ("SqlHash", "ab"),
    ("peakMemoryBytes", "0"),
    ("SqlDigest", ""),
    ("cloudClusterName", "UNKNOWN"),
    ("TraceId", ""),
    ("WorkloadGroup", ""),
    ("FuzzyVariables", ""),
    ("scanBytesFromLocalStorage", "0"),
    ("scanBytesFromRemoteStorage", "0"),
];

/// An audit record as Doris 2.1 writes it, with some of its values, and its line end.
pub fn audit_record(written: &str, values: &[(&str, &str)]) -> String {
    let mut record = format!("{written} [query] ");
    for (key, usual) in DORIS_2_1 {
        let value = values.iter().find(|(name, _)| *name == key).map_or(usual, |(_, value)| value);
        write!(record, "|{key}={value}").unwrap();
    }
    assert!(values.iter().all(|(name, _)| DORIS_2_1.iter().any(|(key, _)| key == name)));
    record + "\n"
}

/// Audit records that differ in id and time, as Doris 2.1 writes them.
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

/// One number out of a database.
pub fn number(db: &Path, sql: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let sqlite = rusqlite::Connection::open_with_flags(db, flags).unwrap();
    sqlite.query_row(sql, (), |row| row.get(0)).unwrap()
}

/// Makes a history as an annals left it that knew the migrations up to `version`.
pub fn older(file: &Path, version: i64, rows: &str) {
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
             SELECT * FROM newest._sqlx_migrations WHERE version <= {version};
             DETACH newest;",
            newest.display()
        ))
        .unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let number = |file: &Path| -> i64 {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.split('_').next().unwrap().parse().unwrap()
    };
    for file in files.iter().filter(|file| number(file) <= version) {
        sqlite.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    sqlite.execute_batch(rows).unwrap();
}

/// Whether the tests run as root, whom no permission holds back.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A copy of the binary that anybody may run in a folder, for somebody who is not root.
pub fn unprivileged(folder: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return annals();
    }
    let binary = folder.join("annals");
    if !binary.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_annals"), &binary).unwrap();
    }
    let mut command = Command::new(binary);
    command.env("TZ", "UTC").env_remove("ANNALS_DB").env_remove("ANNALS_LOG");
    command.uid(65534).gid(65534);
    command
}

/// A running `annals serve`, killed when dropped.
pub struct Server {
    pub process: Child,
    pub url: String,
    /// What it printed until it listened.
    pub said: String,
    output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(db: &Path, arguments: &[&str]) -> Server {
        let mut process = annals()
            .args(["serve", "--listen", "127.0.0.1:0", "--db"])
            .arg(db)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ended: {said}");
            said.push_str(&line);
            if let Some((_, behind)) = line.split_once("listens on ") {
                break behind.split(' ').next().unwrap().to_string();
            }
        };
        Server { process, url, said, output }
    }

    /// Status, content type and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.request("GET", path)
    }

    /// Status, content type and body of a request.
    pub fn request(&self, method: &str, path: &str) -> (u16, String, Vec<u8>) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .body(())
            .unwrap();
        let mut answer = agent.run(request).unwrap();
        let content_type = answer.headers()["content-type"].to_str().unwrap().to_string();
        let mut body = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut body).unwrap();
        (answer.status().as_u16(), content_type, body)
    }

    /// The path of the page behind a list's page, where its Link header names one.
    pub fn next_page(&self, path: &str) -> Option<String> {
        let answer = ureq::get(format!("{}{path}", self.url)).call().unwrap();
        let link = answer.headers().get("link")?.to_str().unwrap();
        Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_string())
    }

    /// The envelope that a GET is answered with.
    pub fn envelope(&self, path: &str) -> Value {
        let (status, content_type, body) = self.get(path);
        assert_eq!((status, content_type.as_str()), (200, "application/json"), "{path}");
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends a body; gives the status and the JSON of the answer, and its Retry-After.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value, Option<String>) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.uri(format!("{}{path}", self.url)).body(body).unwrap();
        let mut answer = agent.run(request).unwrap();
        let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().into());
        let text = answer.body_mut().read_to_string().unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        (answer.status().as_u16(), json, retry)
    }

    /// The most memory it ever took, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
