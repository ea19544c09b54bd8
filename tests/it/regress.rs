//! What changed from one week to the next: the statements that changed are named, and no others.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::pages::send;
use crate::support::{Server, WithDb, add_user, annals, import, profile_of, stderr, stdout, texts};
use crate::users::{basic, password};

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
         Pipeline : 1(instance_num=1):
           HASH_JOIN_SINK_OPERATOR (id=2 , nereids_id=20):
              - ExecTime: avg 1.000ms, max 1.000ms, min 1.000ms
              - InputRows: sum 7, avg 7, max 7, min 7
           OLAP_SCAN_OPERATOR (id=1. nereids_id=10. table name = days(days)):
              - ExecTime: avg 1.000ms, max 1.000ms, min 1.000ms
              - RowsProduced: sum 7, avg 7, max 7, min 7
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
    let later = ["--from", "2024-09-09", "--to", "2024-09-10", "--time-zone", "UTC", "--baseline"];
    let baseline = ["2024-09-02..2024-09-10", "--json"];
    let report: Value =
        serde_json::from_str(&regress(&db, &[&later[..], &baseline].concat())).unwrap();
    assert_eq!((&report["compared"], &report["ran"]), (&SHAPES.into(), &SHAPES.into()));
    assert_eq!(report["baseline_to_ms"], report["from_ms"]);
    let wrong =
        annals().arg("regress").args(later).arg("2024-09-09..2024-09-10").db(&db).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains(
            "--baseline: the baseline, 2024-09-09 00:00:00 to 2024-09-10 00:00:00, does not begin before the period, 2024-09-09 00:00:00 to 2024-09-09 "
        ),
        "{}",
        stderr(&wrong)
    );
    let first: Value = serde_json::from_str(&regress(&db, &["-n", "1", "--json"])).unwrap();
    assert_eq!((named(&first).len(), &first["slower"]), (1, &3.into()));
    let note = |arguments: &[&str]| {
        let output = annals().arg("regress").args(arguments).db(&db).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let shown = note(&["-n", "1"]);
    assert!(shown.starts_with("annals: 1 of 3 statements are shown; -n 3 shows all\n"), "{shown}");
    let nothing = note(&["--from", "2030-01-01"]);
    assert!(nothing.contains("; the nearest earlier one started at "), "{nothing}");

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
    for path in ["/regressions", "/api/v1/regressions"] {
        let later = format!("{path}?from=2024-09-09&baseline=2024-09-09..2024-09-10");
        assert_eq!(server.get(&later).0, 400, "{later}");
    }
    let first = page(&server, "/regressions?limit=1");
    assert!(
        first.contains("1 of 3 statements are shown. <a href=\"/regressions?limit=3\">Show 3</a>"),
        "{first}"
    );
    let between = page(&server, "/regressions?from=2024-09-05&to=2024-09-06");
    let sentence =
        "No statement ran in this range. No query started in this range. The nearest earlier one";
    assert!(between.contains(sentence), "{between}");
}

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const QUARTER_MS: i64 = 900_000;

/// Returns a line of Doris' audit log, of a query of a table that started so long after the first Monday.
fn query(table: &str, after_ms: i64, ms: i64, is_failed: bool) -> String {
    let (start_ms, state) = (WEEKS_MS[0] + after_ms, if is_failed { "ERR" } else { "EOF" });
    let (start, end) = (local(start_ms).replace(',', "."), local(start_ms + ms));
    let code = if is_failed { "1105|ErrorMessage=memory exceeded" } else { "0|ErrorMessage=" };
    format!(
        "{end} [query] |QueryId={after_ms:x}-{table}|Timestamp={start}|Client=10.0.0.1:4711|User=etl|Ctl=internal|Db=shop|\
         State={state}|ErrorCode={code}|Time(ms)={ms}|ScanBytes=100|ScanRows=10|ReturnRows=10|StmtId={after_ms}|\
         IsQuery=true|isNereids=true|feIp=10.0.1.1|StmtType=SELECT|Stmt=select * from {table} where id = {after_ms}\n"
    )
}

/// Writes a week and a day: twenty statements that run each hour, and one for each kind of change.
fn week_and_day(folder: &TempDir) -> PathBuf {
    let mut log = String::new();
    let mut add = |table: &str, after_ms: i64, ms: i64, is_failed: bool| {
        let is_usual = ms + (noise(after_ms as u64 ^ table.len() as u64) * 5.0) as i64;
        log += &query(table, after_ms, is_usual, is_failed);
    };
    for hour in 0..8 * 24 {
        let (start_ms, is_last) = (hour * HOUR_MS, hour >= 7 * 24);
        (0..20).for_each(|shape| add(&format!("usual{shape}"), start_ms + shape, 100, false));
        for quarter in 0..4 {
            let start_ms = start_ms + quarter * QUARTER_MS;
            if is_last && hour < 7 * 24 + 10 {
                add("unknown_before", start_ms, 100, false);
            }
            if is_last || (hour % 2 == 0 && quarter == 0) {
                add("busier", start_ms, 100, false);
            }
            // By day, beside the night of UTC 08:00 and later.
            if hour % 24 < 10 {
                add("by_day", start_ms, 100, false);
            }
        }
        add("failing", start_ms, 100, is_last && hour % 2 == 0);
        if hour % 24 == 3 {
            add("nightly", start_ms, if is_last { 5000 } else { 1000 }, false);
        }
    }
    add("tried_once", 7 * DAY_MS + HOUR_MS, 60_000, false);
    let file = folder.path().join("fe.audit.log");
    std::fs::write(&file, log).unwrap();
    let db = folder.path().join("annals.db");
    let output = import(&db, &[&file]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    db
}

/// Returns the table of each statement of a report with its changes, and whether they have few runs.
fn changed(report: &Value) -> Vec<(String, Vec<(String, bool)>)> {
    let table =
        |one: &Value| one["normalized"].as_str().unwrap().split(' ').nth(3).unwrap().to_string();
    let change = |one: &Value| (one["kind"].as_str().unwrap().to_string(), one["few_runs"] == true);
    let changes = |one: &Value| one["changes"].as_array().unwrap().iter().map(change).collect();
    report["statements"].as_array().unwrap().iter().map(|one| (table(one), changes(one))).collect()
}

#[test]
fn each_kind_of_change_is_named_and_those_of_few_runs_come_last() {
    let folder = TempDir::new().unwrap();
    let db = week_and_day(&folder);
    let kind = |name: &str, few_runs: bool| vec![(name.to_string(), few_runs)];
    let expected = [
        ("busier", kind("more_frequent", false)),
        ("unknown_before", kind("new", false)),
        ("failing", kind("failing_more", false)),
        ("tried_once", kind("new", true)),
        ("nightly", kind("slower", true)),
    ]
    .map(|(table, changes)| (table.to_string(), changes));
    let at = |after_ms: i64| (WEEKS_MS[0] + after_ms).to_string();
    let (from, to) = (at(7 * DAY_MS), at(8 * DAY_MS));
    let range = ["--from", &from, "--to", &to];
    let json = |more: &[&str]| -> Value {
        let arguments = [&range, more, &["--json"]].concat();
        serde_json::from_str(&regress(&db, &arguments)).unwrap()
    };
    let report = json(&[]);
    let mut found = changed(&report);
    // The failed runs take as long as others, within some milliseconds.
    assert_eq!(found, expected, "{report:#}");
    let counts = ["changed", "new", "slower", "more_frequent", "failing_more", "few_runs"];
    assert_eq!(counts.map(|name| report[name].as_i64().unwrap()), [5, 2, 1, 1, 1, 2]);
    assert_eq!((&report["has_baseline"], &report["history_from_ms"]), (&true.into(), &Value::Null));
    let [busier, _, failing, once, _] = &report["statements"].as_array().unwrap()[..] else {
        panic!()
    };
    assert_eq!((&busier["before"]["count"], &busier["after"]["count"]), (&84.into(), &96.into()));
    // The period ends with the newest query.
    let per_hour = |runs: &str| busier[runs]["runs_per_hour"].as_f64().unwrap();
    assert!(per_hour("before") == 0.5 && (4.0..4.1).contains(&per_hour("after")), "{busier}");
    let extra_ms = busier["extra_ms"].as_i64().unwrap();
    assert!((8_000..10_000).contains(&extra_ms), "84 runs more than 12, of 100 ms: {busier}");
    assert_eq!(
        (&failing["extra_errors"], &failing["causes"]),
        (&12.into(), &serde_json::json!([]))
    );
    // One run is in the last of eight days with a chance of one eighth.
    let confidence = once["changes"][0]["confidence"].as_f64().unwrap();
    assert!((0.87..0.88).contains(&confidence), "{once}");
    // The changes that were asked for, with the numbers of all.
    let chosen = json(&["--change", "new,failing-more"]);
    found.retain(|(_, changes)| ["new", "failing_more"].contains(&changes[0].0.as_str()));
    assert_eq!((changed(&chosen), &chosen["changed"]), (found, &5.into()));
    assert_eq!((&chosen["chosen"], &chosen["ran"]), (&3.into(), &26.into()));
    let unknown = annals().args(["regress", "--change", "quicker"]).db(&db).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("[possible values: new, slower, more-frequent, failing-more]")
    );

    // Of the failed runs, all are new: none failed before.
    let failed = json(&["--failed"]);
    assert_eq!(changed(&failed), [("failing".to_string(), kind("new", false))]);
    assert_eq!(failed["statements"][0]["after"]["p50_ms"], Value::Null);

    // Two hours of the day are compared with the same hours.
    let (from, to) = (at(7 * DAY_MS + 2 * HOUR_MS), at(7 * DAY_MS + 4 * HOUR_MS));
    let hours = ["--from", &from, "--to", &to, "--json"];
    let report: Value = serde_json::from_str(&regress(&db, &hours)).unwrap();
    let mut frequent = changed(&report);
    frequent.retain(|(_, changes)| changes.iter().any(|(kind, _)| kind == "more_frequent"));
    let frequent: Vec<&str> = frequent.iter().map(|(table, _)| table.as_str()).collect();
    assert_eq!(frequent, ["unknown_before", "busier"], "{report:#}");
    // A history that begins in the baseline, and one that begins with the period.
    let (from, to) = (at(DAY_MS), at(2 * DAY_MS));
    let report: Value =
        serde_json::from_str(&regress(&db, &["--from", &from, "--to", &to, "--json"])).unwrap();
    assert_eq!(changed(&report), []);
    assert_eq!(report["history_from_ms"], WEEKS_MS[0]);
    let begin = at(0);
    let report: Value =
        serde_json::from_str(&regress(&db, &["--from", &begin, "--to", &from, "--json"])).unwrap();
    assert_eq!((&report["has_baseline"], &report["changed"]), (&false.into(), &0.into()));
    assert_eq!(report["history_from_ms"], WEEKS_MS[0]);
    let output = annals().args(["regress", "--from", &begin, "--to", &from]).db(&db).output();
    let said = stderr(&output.unwrap());
    assert!(
        said.contains("the history begins at ") && said.contains(", after the baseline"),
        "{said}"
    );

    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let (from, to) = (at(7 * DAY_MS), at(8 * DAY_MS));
    let of = |more: &str| format!("?from={from}&to={to}{more}");
    let answer =
        server.envelope(&format!("/api/v1/regressions{}", of("&change=new&change=slower")));
    assert_eq!(answer["count"], 3);
    assert_eq!(server.get("/api/v1/regressions?change=quicker").0, 400);
    let shown = page(&server, &format!("/regressions{}", of("")));
    for text in [
        "All (5)",
        "new (2)",
        "slower (1)",
        "more frequent (1)",
        "failing more (1)",
        "<strong>more frequent</strong>: 8.1 times as often",
        "<strong>failing more</strong>: 0.0 % → 50.0 %",
        "(few runs, 87.6 %)",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let shown = page(&server, &format!("/regressions{}", of("&change=slower")));
    assert!(shown.contains("nightly") && !shown.contains("busier"), "{shown}");
    assert_eq!(server.get("/regressions?change=quicker").0, 400);
    let shown = page(&server, &format!("/regressions?from={from}&to={to}&baseline=28d"));
    assert!(shown.contains("The history begins at <time"), "{shown}");
}

#[test]
fn who_has_no_earlier_queries_is_not_sent_to_another_baseline() {
    let folder = TempDir::new().unwrap();
    let db = week_and_day(&folder);
    add_user(&db, "late", "user");
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let password = basic("late", &password("late"));
    let shown = |path: &str| {
        let answer = send(&server, "GET", path, &[("authorization", &password)], "");
        (answer.status, answer.body)
    };
    let (status, empty) = shown("/api/v1/regressions");
    let empty: Value = serde_json::from_str(&empty).unwrap();
    assert_eq!(
        (status, &empty["data"]["ran"], &empty["data"]["statements"]),
        (200, &0.into(), &serde_json::json!([]))
    );
    let own = folder.path().join("own.log");
    let log = query("mine", 7 * DAY_MS + HOUR_MS, 100, false);
    std::fs::write(&own, log.replace("User=etl", "User=late")).unwrap();
    assert!(import(&db, &[&own]).status.success());
    let (_, page) = shown("/regressions");
    assert!(page.contains("The history that you may see begins at <time"), "{page}");
    assert!(page.contains("A later range can be compared with this one."), "{page}");
    assert!(!page.contains("Another baseline"), "{page}");
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
