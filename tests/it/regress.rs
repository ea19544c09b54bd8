//! What got slower from one week to the next: the statements that changed are named, and no others.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, WithDb, annals, import, profile_of, stderr, stdout, texts};

/// Monday, 2024-09-02 08:00:00 UTC, and the Monday after.
const WEEKS_MS: [i64; 2] = [1_725_264_000_000, 1_725_868_800_000];
/// Statements that differ in more than their values.
const SHAPES: u64 = 60;
/// Runs of each in each week.
const RUNS: u64 = 40;

const PLAN_CHANGED: u64 = 7;
const MORE_ROWS: u64 = 11;
const QUEUED: u64 = 23;

fn local(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap();
    time.format("%Y-%m-%d %H:%M:%S,%3f").to_string()
}

/// Returns a factor around 1 that is often near 1 and seldom far from it, as durations vary.
fn noise(seed: u64) -> f64 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut sum = 0.0;
    for _ in 0..4 {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        sum += (state >> 40) as f64 / f64::from(1_u32 << 24);
    }
    (sum - 2.0).exp()
}

fn statement(shape: u64, run: u64) -> String {
    format!("select c{shape}, count(*) from t{shape} where day = {run} group by c{shape}")
}

/// Returns a line of Doris' audit log.
fn record(week: usize, shape: u64, run: u64) -> String {
    let seed = 1 + (week as u64 * SHAPES + shape) * RUNS + run;
    let usual_ms = 100.0 + 40.0 * shape as f64;
    let changed = if week == 1 { shape } else { SHAPES };
    let (factor, rows, queue_ms) = match changed {
        PLAN_CHANGED => (2.5, 10_000, 3),
        MORE_ROWS => (2.0, 40_000, 3),
        QUEUED => (1.0, 10_000, 900),
        _ => (1.0, 10_000, 3),
    };
    let ms = (usual_ms * noise(seed) * factor) as u64 + queue_ms;
    let start_ms = WEEKS_MS[week] + (run * SHAPES + shape) as i64 * 10_000;
    let end = local(start_ms + ms as i64);
    let (start, rows) = (local(start_ms).replace(',', "."), (rows as f64 * noise(seed + 7)) as u64);
    format!(
        "{end} [query] |QueryId={seed:x}-{week}|Timestamp={start}|Client=10.0.0.1:4711|User=etl|Ctl=internal|Db=shop|\
         State=EOF|ErrorCode=0|ErrorMessage=|Time(ms)={ms}|ScanBytes={}|ScanRows={rows}|ReturnRows=10|StmtId={seed}|\
         IsQuery=true|isNereids=true|feIp=10.0.1.1|StmtType=SELECT|Stmt={}|CpuTimeMS={ms}|\
         queueTimeMs={queue_ms}\n",
        rows * 100,
        statement(shape, run)
    )
}

/// Returns the profile of a run, with a broadcast or a shuffled join.
fn profile(week: usize, shape: u64, run: u64) -> String {
    let seed = 1 + (week as u64 * SHAPES + shape) * RUNS + run;
    let join = if week == 1 && shape == PLAN_CHANGED { "PARTITIONED" } else { "BROADCAST" };
    let start_ms = WEEKS_MS[week] + (run * SHAPES + shape) as i64 * 10_000;
    let (start, end) = (local(start_ms), local(start_ms + 1000));
    let text = statement(shape, run);
    let values = [
        ("Start Time", start.split(',').next().unwrap()),
        ("End Time", end.split(',').next().unwrap()),
        ("Sql Statement", text.as_str()),
        ("User", "etl"),
    ];
    let fragments = format!(
        "       Fragment 0:
         Pipeline : 0(instance_num=1):
           RESULT_SINK_OPERATOR (id=0):
              - ExecTime: avg 61.293us, max 61.293us, min 61.293us
              - InputRows: sum 30, avg 30, max 30, min 30
           HASH_JOIN_OPERATOR (id=2 , nereids_id=20):
              - PlanInfo
                 - join op: INNER JOIN({join})[]
              - ExecTime: avg 2.000ms, max 2.000ms, min 2.000ms
              - RowsProduced: sum 30, avg 30, max 30, min 30
           OLAP_SCAN_OPERATOR (id=0. nereids_id=9. table name = t{shape}(t{shape})):
              - ExecTime: avg 20.000ms, max 20.000ms, min 20.000ms
              - RowsProduced: sum 300, avg 300, max 300, min 300
"
    );
    profile_of(&format!("{seed:x}-{week}"), &values, &fragments)
}

fn history(folder: &TempDir) -> PathBuf {
    let db = folder.path().join("annals.db");
    let (mut log, mut profiles) = (String::new(), String::new());
    for week in 0..2 {
        for run in 0..RUNS {
            for shape in 0..SHAPES {
                log += &record(week, shape, run);
                if run < 10 && shape < 10 {
                    writeln!(profiles, "{}", profile(week, shape, run)).unwrap();
                }
            }
        }
    }
    let files = ["fe.audit.log", "profiles.txt"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], log).unwrap();
    std::fs::write(&files[1], profiles).unwrap();
    for file in &files {
        let output = import(&db, &[file]);
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    }
    db
}

/// Returns the statements and the causes of a report.
fn named(report: &Value) -> Vec<(String, String)> {
    let statements = report["statements"].as_array().unwrap();
    let named = statements
        .iter()
        .map(|one| (one["normalized"].as_str().unwrap().to_string(), one["causes"].to_string()));
    named.collect()
}

#[test]
fn what_changed_is_named_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let db = history(&folder);
    let mut expected =
        [(PLAN_CHANGED, r#"["plan"]"#), (MORE_ROWS, r#"["data"]"#), (QUEUED, r#"["queue"]"#)].map(
            |(shape, causes)| {
                let text = format!(
                    "select c{shape}, count(*) from t{shape} where day = ? group by c{shape}"
                );
                (text, causes.to_string())
            },
        );
    expected.sort();
    let of_command = regress(&db, &["--json"]);
    let report: Value = serde_json::from_str(&of_command).unwrap();
    let mut found = named(&report);
    found.sort();
    assert_eq!(found, expected, "{report:#}");
    assert_eq!(report["compared"], SHAPES);
    let slowest = &report["statements"][0];
    assert!(slowest["extra_ms"].as_i64() >= report["statements"][1]["extra_ms"].as_i64());
    let changed = report["statements"].as_array().unwrap();
    let changed = changed.iter().find(|one| one["causes"] == serde_json::json!(["plan"])).unwrap();
    assert_ne!(changed["before"]["plans"], changed["after"]["plans"]);
    // By averages alone, what got slower by chance is named, too.
    let averages = texts(&db, "SELECT fingerprint FROM slower_statements");
    for one in report["statements"].as_array().unwrap() {
        assert!(averages.iter().any(|it| one["fingerprint"] == it.as_str()), "{one} {averages:?}");
    }
    assert!(averages.len() <= 5, "{averages:?}");
    let text = regress(&db, &[]);
    assert!(text.contains("has another plan") && text.contains("reads more rows"), "{text}");
    // A baseline ends before the period.
    let later =
        ["--from", "2024-09-02", "--to", "2024-09-03", "--baseline", "2024-09-02..2024-09-10"];
    let report: Value =
        serde_json::from_str(&regress(&db, &[&later[..], &["--json"]].concat())).unwrap();
    assert_eq!(report["compared"], 0);
    assert_eq!(report["baseline_to_ms"], report["from_ms"]);
    let first: Value = serde_json::from_str(&regress(&db, &["-n", "1", "--json"])).unwrap();
    assert_eq!((named(&first).len(), &first["slower"]), (1, &3.into()));

    let server = Server::start(&db, &[]);
    let answer = server.envelope("/api/v1/regressions");
    let mut found = named(&answer["data"]);
    found.sort();
    assert_eq!((found.as_slice(), &answer["count"]), (&expected[..], &3.into()));
    let shown = page(&server, "/regressions");
    for text in ["has another plan", "reads more rows", "waits longer in the queue"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    // The links have the times of the list, and of its baseline.
    let (from, to) = (&answer["data"]["from_ms"], &answer["data"]["to_ms"]);
    let before = &answer["data"]["baseline_from_ms"];
    for (from, to, runs) in [(from, to, "after"), (before, from, "before")] {
        let first = &answer["data"]["statements"][0];
        let path = format!("/statements/{}", first["fingerprint"].as_str().unwrap());
        assert!(shown.contains(&format!("{path}?from={from}&amp;to={to}")), "{shown}");
        let statement = page(&server, &format!("{path}?from={from}&to={to}"));
        let count = &first[runs]["count"];
        assert!(statement.contains(&format!("<dt>Runs</dt><dd>{count}</dd>")), "{statement}");
    }
    assert!(page(&server, "/regressions?baseline=1d").contains("No statement ran"));
    assert_eq!(server.get("/api/v1/regressions?baseline=soon").0, 400);
}

fn page(server: &Server, path: &str) -> String {
    let (status, _, body) = server.get(path);
    assert_eq!(status, 200, "{path}");
    String::from_utf8(body).unwrap()
}

fn regress(db: &Path, arguments: &[&str]) -> String {
    let mut command = annals();
    let output = command.arg("regress").args(arguments).db(db).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}
