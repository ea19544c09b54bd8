//! Third-party clients, unchanged: loaders of rows, doris-mcp-server, and schemathesis.
//!
//! These tests require `curl`, and a Python with the packages of `tests/clients/requirements.txt`:
//!
//! ```sh
//! python3 -m venv target/clients
//! target/clients/bin/pip install --no-deps --ignore-requires-python \
//!     --requirement tests/clients/requirements.txt
//! cargo test --test it clients:: -- --include-ignored
//! ```
//!
//! `ANNALS_TEST_PYTHON` names another Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Server, add_user, data, import, number, stdout};
use tempfile::TempDir;

/// Runs a script against a new server. The folder has its database.
fn run(script: &str, count: &str) -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    run_against(&server, script, count);
    (folder, server)
}

fn run_against(server: &Server, script: &str, count: &str) {
    let (host, port) = server.address().split_once(':').unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python())
        .arg(project.join("tests/clients").join(script))
        .args([host, port, count])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn python() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/bin/python");
    std::env::var_os("ANNALS_TEST_PYTHON").map_or(default, Into::into)
}

fn rows(folder: &TempDir, condition: &str) -> i64 {
    number(&folder.path().join("a.db"), &format!("SELECT count(*) FROM query WHERE {condition}"))
}

#[test]
#[ignore = "needs Python with pydoris"]
fn pydoris_loads_rows() {
    let (folder, server) = run("load_with_pydoris.py", "20000");
    assert_eq!(
        rows(&folder, "\"user\" = 'alice' AND duration_ms = 12 AND query_id LIKE 'pydoris-%'"),
        20_000
    );
    assert_eq!(rows(&folder, "query_id LIKE 'again-%'"), 0);
    let newest = server.envelope("/rest/v1/session?limit=1")["data"]["rows"][0].clone();
    assert_eq!(newest["QueryId"], "pydoris-json");
}

#[test]
#[ignore = "needs Python with DorisClient"]
fn dorisclient_loads_rows() {
    let (_folder, server) = run("load_with_dorisclient.py", "500");
    let envelope = server.envelope("/rest/v1/session?limit=1000&user=bob");
    assert_eq!(envelope["count"], 500);
    assert_eq!(envelope["data"]["rows"][0]["Sql Statement"], "select '中文', 499");
}

#[test]
#[ignore = "needs Python"]
fn the_audit_loader_of_each_version_loads_rows() {
    let (folder, server) = run("load_as_audit_loader.py", "");
    let envelope = server.envelope("/rest/v1/session?user=carol");
    assert_eq!(envelope["count"], 3);
    assert_eq!(rows(&folder, "catalog = 'internal' AND workload_group = 'normal'"), 2);
    let newest = "query_id = 'loader-3.0' AND trace_id = 'trace-1' AND is_nereids
        AND shuffle_send_bytes = 20 AND remote_scan_bytes = 4 AND compute_group = 'g1'
        AND statement = 'select ''3.0'' from a | b' AND extra IS NULL";
    assert_eq!(rows(&folder, newest), 1);
}

#[test]
#[ignore = "needs curl"]
fn curl_loads_a_file() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, "1-2|2024-08-06 11:16:00|select 1\n3-4|2024-08-06 11:16:01|select 2\n")
        .unwrap();
    let output = Command::new("curl")
        .args(["-sS", "--location-trusted", "-u", "root:", "-H", "label: curl-1"])
        .args(["-H", "column_separator: |", "-H", "columns: query_id, time, stmt", "-T"])
        .arg(&file)
        .arg(format!("{}/api/db/audit/_stream_load", server.url))
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["Status"], "Success", "{answer}");
    assert_eq!(server.envelope("/rest/v1/session")["count"], 2);
}

#[test]
#[ignore = "needs Python with doris-mcp-server"]
fn doris_mcp_server_reads_profile_sql_and_trace_id() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    add_user(&db, "root", "admin");
    let server = Server::start(&db, &[]);
    run_against(&server, "read_as_mcp_server.py", "");
}

#[test]
#[ignore = "needs Python with schemathesis"]
fn schemathesis_finds_no_fault_in_the_openapi_description() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    let server = Server::start(&db, &[]);
    // A schema cannot express which texts are profiles, and which are days. The server answers other texts with 400. A text to
    // find that has no letter finds nothing, and is not rejected.
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/schemathesis_hooks.py");
    std::fs::copy(hooks, folder.path().join("hooks.py")).unwrap();
    let config = "hooks = \"hooks\"\n\
                  [checks]\nnegative_data_rejection.expected-statuses = \
                  [400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429, \"5xx\"]\n\
                  [[operations]]\ninclude-name = \"PUT /api/v1/queries/{query_id}/profile\"\n\
                  checks.positive_data_acceptance.expected-statuses = [200, 400]\n\
                  [[operations]]\ninclude-name = \"GET /api/v1/regressions\"\n\
                  checks.positive_data_acceptance.expected-statuses = [200, 400]\n\
                  [[operations]]\ninclude-name = \"GET /api/v1/usage\"\n\
                  checks.positive_data_acceptance.expected-statuses = [200, 400]\n\
                  [[operations]]\ninclude-name = \"GET /api/v1/find\"\n\
                  checks.negative_data_rejection.expected-statuses = [200, 400, 401, 403, 404, 405, 414]\n";
    std::fs::write(folder.path().join("schemathesis.toml"), config).unwrap();
    let output = Command::new(python().with_file_name("schemathesis"))
        .current_dir(folder.path())
        // Each run sends the same requests, so that a fault is not found by chance.
        .args(["run", "--no-color", "--max-examples", "80", "--workers", "1"])
        .arg("--generation-deterministic")
        .arg(format!("{}/api/v1/openapi.json", server.url))
        .output()
        .unwrap();
    let printed = stdout(&output);
    assert!(output.status.success(), "{printed}");
    let line = printed.lines().find(|line| line.contains(" generated, ")).expect(&printed);
    let requests: u32 = line.split_whitespace().next().unwrap().parse().unwrap();
    assert!(requests >= 6000, "{line}");
}
