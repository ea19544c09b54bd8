//! What the tests share: the real binary, a real server, real HTTP.

pub mod audit_log;
pub mod browser;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

pub(crate) use audit_log::{DORIS_2_1, DORIS_4_0, Form, STARROCKS_3, record_of};

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

/// An audit record as Doris 2.1 writes it, with some of its values, and its line end.
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

/// A `[stream_load]` record as Doris writes it, with some of its values, and its line end.
pub fn stream_load_record(written: &str, values: &[(&str, &str)]) -> String {
    record_of(STREAM_LOAD, &format!("{written} [stream_load]"), values)
}

/// The summary of a profile in the order of Doris 2.1.
const SUMMARY: Form = &[
    ("Profile ID", ""),
    ("Task Type", "QUERY"),
    ("Start Time", "2024-01-02 11:15:50"),
    ("End Time", "2024-01-02 11:15:51"),
    ("Total", "950ms"),
    ("Task State", "EOF"),
    ("User", "root"),
    ("Default Catalog", "internal"),
    ("Default Db", "test"),
    ("Sql Statement", "select 1"),
];

/// What stands between the summary and the operators of a profile of Doris 2.1.
const EXECUTION_SUMMARY: &str = "Execution Summary:
   - Parse SQL Time: 1ms
   - Nereids Analysis Time: 1ms
   - Nereids Rewrite Time: 1ms
   - Nereids Optimize Time: 1ms
   - Nereids Translate Time: 0ms
   - Workload Group: normal
   - Analysis Time: N/A
   - Plan Time: 4ms
     - JoinReorder Time: N/A
     - CreateSingleNode Time: N/A
     - QueryDistributed Time: N/A
   - Schedule Time: 6ms
   - Wait and Fetch Result Time: 930ms
   - Fetch Result Time: 929ms
   - Write Result Time: 0ms
   - Doris Version: doris-2.1.5
   - Is Nereids: Yes
   - Is Cached: No
   - Total Instances Num: 1
   - Trace ID: 

Changed Session Variables:
VarName        | CurrentValue | DefaultValue
---------------|--------------|-------------
enable_profile | true         | false       


 MergedProfile 
     Fragments:
";

/// The operators of a query that reads no table.
const OPERATORS: &str = "       Fragment 0:
         Pipeline : 0(instance_num=1):
            - WaitWorkerTime: avg 22.118us, max 22.118us, min 22.118us
           RESULT_SINK_OPERATOR (id=0):
              - ExecTime: avg 61.293us, max 61.293us, min 61.293us
              - InputRows: sum 1, avg 1, max 1, min 1
           UNION_OPERATOR (id=0 , nereids_id=9):
              - ExecTime: avg 9.104us, max 9.104us, min 9.104us
              - RowsProduced: sum 1, avg 1, max 1, min 1
";

/// A profile as Doris 2.1 writes it, with some of its summary's values.
pub fn profile(id: &str, values: &[(&str, &str)]) -> String {
    profile_of(id, values, OPERATORS)
}

/// The same with the fragments of its merged profile, which begin at the column 7.
pub fn profile_of(id: &str, values: &[(&str, &str)], fragments: &str) -> String {
    let mut text = String::from("Summary:\n");
    for (key, usual) in SUMMARY {
        let value = values.iter().find(|(name, _)| name == key).map_or(usual, |(_, value)| value);
        let value = if *key == "Profile ID" { id } else { value };
        writeln!(text, "   - {key}: {value}").unwrap();
    }
    assert!(values.iter().all(|(name, _)| SUMMARY.iter().any(|(key, _)| key == name)));
    text + EXECUTION_SUMMARY
        + fragments
        + &format!(
            "\nExecution Profile {id}:(ExecTime: 929.117ms)\n  Fragments:\n  LoadChannels:\n"
        )
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

/// The summary of a profile in the order of Doris 0.15 to 1.2.
const OLD_SUMMARY: Form = &[
    ("Query ID", ""),
    ("Start Time", "2022-01-02 11:15:50"),
    ("End Time", "2022-01-02 11:15:51"),
    ("Total", "950ms"),
    ("Query Type", "Query"),
    ("Query State", "EOF"),
    ("Doris Version", "0.15.0-rc04"),
    ("User", "root"),
    ("Default Db", "default_cluster:test"),
    ("Sql Statement", "select 1"),
    ("Is Cached", "No"),
];

/// A profile as Doris 0.15 to 1.2 write it, with some of its summary's values.
pub fn old_profile(id: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::from("Query:\n  Summary:\n");
    for (key, usual) in OLD_SUMMARY {
        let value = values.iter().find(|(name, _)| name == key).map_or(usual, |(_, value)| value);
        let value = if *key == "Query ID" { id } else { value };
        writeln!(text, "     - {key}: {value}").unwrap();
    }
    assert!(values.iter().all(|(name, _)| OLD_SUMMARY.iter().any(|(key, _)| key == name)));
    let instance = "(Active: 9.482ms, % non-child: 0.02%)";
    text + &format!(
        "  Execution Profile {id}:(Active: 9.91ms, % non-child: 100.00%)\n    Fragment 0:\n      \
         Instance {id} (host=TNetworkAddress(hostname:10.0.0.3, port:9060)):{instance}\n         \
         - RowsProduced: 1\n        \
         VUNION (id=0):(Active: 11.104us, % non-child: 1.02%)\n           - RowsReturned: 1\n"
    )
}

/// A time as a profile's counters print it: the part behind the dot in thousandths, without leading zeros.
pub fn printed_time(us: u64) -> String {
    match us {
        ..1000 => format!("{us}.0us"),
        1000..1_000_000 => format!("{}.{}ms", us / 1000, us % 1000),
        _ => format!("{}sec{}ms", us / 1_000_000, us / 1000 % 1000),
    }
}

/// A count as a profile's counters print it: from a thousand on, short and in full.
pub fn printed_count(count: u64) -> String {
    match count {
        ..1000 => count.to_string(),
        1000..1_000_000 => format!("{}.{:03}K ({count})", count / 1000, count % 1000),
        _ => format!("{}.{:06}M ({count})", count / 1_000_000, count % 1_000_000),
    }
}

/// One number out of a database.
pub fn number(db: &Path, sql: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let sqlite = rusqlite::Connection::open_with_flags(db, flags).unwrap();
    sqlite.query_row(sql, (), |row| row.get(0)).unwrap()
}

/// Makes a database as an older annals left it: one that did not have the migration of this name, nor any after it.
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
    _output: BufReader<ChildStdout>,
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
        Server { process, url, said, _output: output }
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
