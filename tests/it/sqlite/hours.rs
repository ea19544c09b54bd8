//! Summaries of hours: a report that reads them is the report of the queries, also after queries changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Server, WithDb, add_user, annals, audit_record, import, number, stderr, stdout,
    stream_load_record, texts, wait_until,
};
use crate::users::user;

/// 2024-03-30 20:00 UTC: the clocks of Berlin went forward five hours later.
const FIRST_MS: i64 = 1_711_828_800_000;
const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 30;

fn local(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap();
    time.format("%Y-%m-%d %H:%M:%S,%3f").to_string()
}

/// Returns an audit record of a query that started at a time.
fn record(number: i64, started_ms: i64) -> String {
    let ms = number * 7919 % 900 + if number % 97 == 0 { 60_000 } else { 0 };
    let ended = local(started_ms + ms);
    let (user, db) =
        (["alice", "bob", "carol"][number as usize % 3], ["shop", "web"][number as usize % 2]);
    audit_record(
        &ended,
        &[
            ("QueryId", &format!("{:x}-{number:x}", number * 40_503)),
            ("User", user),
            ("Db", db),
            ("Time(ms)", &ms.to_string()),
            ("State", if number % 31 == 0 { "ERR" } else { "EOF" }),
            ("ScanRows", &(number * 13 % 5000).to_string()),
            ("ScanBytes", &(number * 17 % 90_000).to_string()),
            ("CpuTimeMS", &(number % 700).to_string()),
            ("peakMemoryBytes", &(number * 1009 % 65_536).to_string()),
            ("Stmt", &format!("select c{} from t where a = {number}", number % 7)),
        ],
    )
}

/// Imports queries of some hours, about a hundred in each but two, and some loads.
fn history(folder: &TempDir) -> PathBuf {
    let db = folder.path().join("annals.db");
    let (mut log, mut of_prod) = (String::new(), String::new());
    for number in 0..HOURS * 100 {
        let at_ms = number * HOUR_MS / 100 + number * number % 1000;
        if ![5, 6].contains(&(at_ms / HOUR_MS)) {
            let record = record(number, FIRST_MS + at_ms);
            if number % 5 < 2 {
                of_prod += &record;
            }
            log += &record;
        }
        if number % 100 == 0 {
            let start = local(FIRST_MS + at_ms);
            let label = format!("load{number}");
            let start = start.replace(',', ".");
            let values = [("Label", label.as_str()), ("StartTime", &start), ("FinishTime", &start)];
            writeln!(log, "{}", stream_load_record(&start.replace('.', ","), &values).trim_end())
                .unwrap();
        }
    }
    let file = folder.path().join("fe.audit.log");
    std::fs::write(&file, log).unwrap();
    let imported =
        annals().args(["import", "--time-zone", "UTC"]).arg(&file).db(&db).output().unwrap();
    assert!(imported.status.success(), "{}", stderr(&imported));
    let file = folder.path().join("prod.log");
    std::fs::write(&file, of_prod).unwrap();
    let of_cluster = ["import", "--time-zone", "UTC", "--cluster", "prod"];
    let imported = annals().args(of_cluster).arg(&file).db(&db).output().unwrap();
    assert!(imported.status.success(), "{}", stderr(&imported));
    db
}

/// Waits until each hour with a query has a summary. Returns how many have.
fn summed(db: &Path) -> usize {
    let unsummed = "SELECT count(DISTINCT started_ms / 3600000) FROM query
                    WHERE started_ms / 3600000 NOT IN (SELECT hour FROM hour_summary WHERE version = 4)";
    wait_until(|| number(db, unsummed) == 0, || format!("{} have none", number(db, unsummed)));
    number(db, "SELECT count(*) FROM hour_summary") as usize
}

/// Returns a copy of a history without its summaries.
fn without_summaries(folder: &TempDir, db: &Path) -> PathBuf {
    let copy = folder.path().join("copy.db");
    let _ = std::fs::remove_file(&copy);
    let sqlite = rusqlite::Connection::open(db).unwrap();
    sqlite.execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
    let sqlite = rusqlite::Connection::open(&copy).unwrap();
    assert!(sqlite.execute("DELETE FROM hour_summary", []).unwrap() > 0);
    copy
}

fn printed(db: &Path, arguments: &[&str]) -> String {
    let output = annals().args(arguments).db(db).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// Asserts that reports over many ranges are the same with and without summaries.
fn assert_same(db: &Path, copy: &Path) {
    let at = |ms: i64| (FIRST_MS + ms).to_string();
    let mut asked: Vec<Vec<String>> = Vec::new();
    for (from_ms, to_ms) in [
        (0, HOURS * HOUR_MS),
        (HOUR_MS, 2 * HOUR_MS),
        (HOUR_MS - 1, 3 * HOUR_MS + 1),
        (HOUR_MS / 2, HOUR_MS * 3 / 4),
        (4 * HOUR_MS + 77, 9 * HOUR_MS - 13),
        (-100 * HOUR_MS, 100 * HOUR_MS),
    ] {
        for more in [
            "--by user",
            "--by db",
            "--by cluster",
            "--cluster prod --by user",
            "--not-cluster prod --by cluster",
            "--by hour",
            "--by hour --time-zone Asia/Kolkata",
            "--by hour --time-zone Europe/Berlin",
            "",
            "--user alice",
            "--database shop --by user",
            "--type load",
            "--type query --by hour",
            "--min-ms 300",
            "--search c3",
            "--state ERR",
            "--user alice --user bob --by user",
            "--not-user alice --by user",
            "--not-database shop --user carol --by db",
            "--failed",
            "--not-state ERR --by hour",
            "--client 10.0.0.1",
            "--not-table t",
        ] {
            let range = ["top", "--json", "-n", "1000", "--from", &at(from_ms), "--to", &at(to_ms)]
                .map(str::to_string);
            asked.push(
                range.into_iter().chain(more.split_whitespace().map(str::to_string)).collect(),
            );
        }
    }
    let fingerprint = &texts(db, "SELECT printf('%016x', fingerprint) FROM statement LIMIT 1")[0];
    for more in [vec!["--from", "2024-03-01"], vec!["--to", "2024-04-01"], vec![]] {
        asked.push(["top", "--json"].into_iter().chain(more.clone()).map(str::to_string).collect());
        let one = ["top", "--json", "--by", "user", "--fingerprint", fingerprint];
        asked.push(one.into_iter().chain(more).map(str::to_string).collect());
    }
    let regress = [
        "regress",
        "--json",
        "--from",
        &at(20 * HOUR_MS),
        "--to",
        &at(29 * HOUR_MS),
        "--baseline",
        "1d",
    ];
    asked.push(regress.map(str::to_string).to_vec());
    for arguments in asked {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(printed(db, &arguments), printed(copy, &arguments), "{arguments:?}");
    }
}

#[test]
fn reports_are_the_same_with_summaries_and_after_queries_change() {
    let folder = TempDir::new().unwrap();
    let db = history(&folder);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    assert_eq!(summed(&db), HOURS as usize);
    assert_same(&db, &without_summaries(&folder, &db));

    // A query that is new in an hour, and then has a duration: the hour is read query by query.
    let first_hour = FIRST_MS / HOUR_MS;
    let mut query = json!({
        "query_id": "f-1", "time": FIRST_MS + HOUR_MS, "user": "dora", "stmt": "select 1", "state": "RUNNING",
    });
    let is_summed = format!("SELECT count(*) FROM hour_summary WHERE hour = {}", first_hour + 1);
    assert_eq!(number(&db, &is_summed), 1);
    push(&server, &query);
    assert_eq!(number(&db, &is_summed), 0);
    assert_same(&db, &without_summaries(&folder, &db));
    let path = format!("/api/v1/timeline?from={FIRST_MS}&to={}&buckets=3", FIRST_MS + 3 * HOUR_MS);
    let buckets = server.envelope(&path)["data"].clone();
    assert_eq!(buckets.as_array().unwrap().len(), 3);
    for (bucket, hour) in buckets.as_array().unwrap().iter().zip(first_hour..) {
        let of_hour = |of: &str| {
            number(&db, &format!("SELECT {of} FROM query WHERE started_ms / 3600000 = {hour}"))
        };
        assert_eq!(bucket["count"], of_hour("count(*)"), "{buckets}");
        assert_eq!(bucket["max_ms"], of_hour("max(duration_ms)"));
        assert_eq!(bucket["total_ms"], of_hour("sum(duration_ms)"));
        assert_eq!(bucket["scan_bytes"], of_hour("sum(scan_bytes)"));
    }
    drop(server);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    summed(&db);
    assert_eq!(number(&db, &is_summed), 1);
    query["state"] = json!("EOF");
    query["query_time"] = json!(4711);
    push(&server, &query);
    assert_eq!(number(&db, &is_summed), 0);
    assert_same(&db, &without_summaries(&folder, &db));
    drop(server);

    // What is removed is in no report; retention runs without a server that would sum again.
    let now_ms = crate::support::now().timestamp_millis();
    let age = format!("{}s", (now_ms - FIRST_MS - 8 * HOUR_MS) / 1000);
    let pruned = printed(&db, &["prune", "--trust-clock", "--keep-queries", &age]);
    assert!(number(&db, "SELECT count(*) FROM query") < HOURS * 100, "{pruned}");
    assert_same(&db, &without_summaries(&folder, &db));
    // The same log again brings the removed queries back, and nothing else changes.
    let kept = number(&db, "SELECT count(*) FROM hour_summary");
    let again = import(&db, &[&folder.path().join("fe.audit.log")]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(number(&db, "SELECT count(*) FROM hour_summary"), kept);
    assert_same(&db, &without_summaries(&folder, &db));
}

#[test]
fn a_user_sees_their_own_queries_in_summaries() {
    let folder = TempDir::new().unwrap();
    let db = history(&folder);
    add_user(&db, "alice", "user");
    let prod =
        user(&db, &["add", "prod", "--role", "admin", "--cluster", "prod"], "pass-word-of-prod");
    assert!(prod.status.success(), "{}", stderr(&prod));
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    summed(&db);
    let path = format!("/api/v1/statements?from={FIRST_MS}&limit=1000");
    let (status, answer, _) = server.send("GET", &path, &[("authorization", &basic("alice"))], b"");
    assert_eq!(status, 200, "{answer}");
    let count: i64 =
        answer["data"].as_array().unwrap().iter().map(|one| one["count"].as_i64().unwrap()).sum();
    assert_eq!(
        count,
        number(&db, "SELECT count(*) FROM query WHERE user = 'alice' AND fingerprint IS NOT NULL")
    );
    let others = format!("/api/v1/statements?from={FIRST_MS}&user=bob");
    let (_, answer, _) = server.send("GET", &others, &[("authorization", &basic("alice"))], b"");
    assert_eq!(answer["data"], Value::Array(Vec::new()));
    let (_, answer, _) = server.send("GET", &path, &[("authorization", &basic("prod"))], b"");
    let counts =
        answer["data"].as_array().unwrap().iter().map(|one| one["count"].as_i64().unwrap());
    let of_prod = "SELECT count(*) FROM query WHERE cluster = 'prod' AND fingerprint IS NOT NULL";
    assert_eq!(counts.sum::<i64>(), number(&db, of_prod));
}

#[test]
fn the_page_of_a_statement_reads_summaries() {
    let folder = TempDir::new().unwrap();
    let db = history(&folder);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    summed(&db);
    let fingerprint = &texts(&db, "SELECT printf('%016x', fingerprint) FROM statement LIMIT 1")[0];
    let path = format!("/statements/{fingerprint}");
    // The durations of the first hour.
    let first_hour = |path: &str| {
        let shown = String::from_utf8(server.get(path).2).unwrap();
        let (_, title) = shown.split_once("<title>2024-03-30 20:00:00: ").unwrap();
        title.split_once('<').unwrap().0.to_string()
    };
    let before = first_hour(&path);
    // A change behind annals' back is in the queries, and not in the summaries.
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    assert!(sqlite.execute("UPDATE query SET duration_ms = 7200000", []).unwrap() > 0);
    // Another address, so that no page of before answers.
    assert_eq!(first_hour(&format!("{path}?type=query")), before);
    let by_query = first_hour(&format!("{path}?min_ms=1"));
    assert!(by_query.contains("median 2 h"), "{by_query}");
}

fn push(server: &Server, query: &Value) {
    let body = query.to_string();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], body.as_bytes());
    assert_eq!(status, 200, "{answer}");
}

fn basic(name: &str) -> String {
    use base64::Engine;
    let credentials =
        base64::prelude::BASE64_STANDARD.encode(format!("{name}:pass-word-of-{name}"));
    format!("Basic {credentials}")
}

#[test]
fn what_a_reading_missed_is_not_stored() {
    let folder = TempDir::new().unwrap();
    let db = history(&folder);
    drop(Server::start(&db, &[]));
    // A reading that never ended, and a summary of another form: the next server makes both again.
    let hour = FIRST_MS / HOUR_MS;
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    let begun = "INSERT OR REPLACE INTO hour_summary (hour, token) VALUES (?, 1)";
    sqlite.execute(begun, [hour]).unwrap();
    let other =
        "INSERT OR REPLACE INTO hour_summary (hour, token, version, body) VALUES (?, 1, 99, x'00')";
    sqlite.execute(other, [hour + 1]).unwrap();
    let damaged =
        "INSERT OR REPLACE INTO hour_summary (hour, token, version, body) VALUES (?, 1, 2, x'ff')";
    sqlite.execute(damaged, [hour + 2]).unwrap();
    drop(sqlite);
    assert_same(&db, &without_summaries(&folder, &db));
    let _server = Server::start(&db, &[]);
    summed(&db);
    assert_same(&db, &without_summaries(&folder, &db));
}
