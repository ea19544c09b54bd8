//! Retention: `annals prune`, and a server that keeps the history within its bounds.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::sqlite;
use crate::support::{
    Server, WithDb, annals, assert_sound, audit_record, execute, import, is_postgres, number,
    postgres, profile, stderr, stdout, wait_until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const DAY_MS: i64 = 86_400_000;

pub(crate) fn now_ms() -> i64 {
    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_millis()
}

/// Returns a profile of a statement with this start.
pub(crate) fn profile_at(id: &str, started_ms: i64, statement: &str) -> String {
    let start = chrono::DateTime::from_timestamp_millis(started_ms).unwrap();
    let start = start.format("%Y-%m-%d %H:%M:%S").to_string();
    let values = [("Start Time", start.as_str()), ("End Time", &start), ("Total", "1ms")];
    profile(id, &[&values[..], &[("User", "alice"), ("Sql Statement", statement)]].concat())
}

/// Returns a database with a query and a profile a day, the newest a day old, and a query without a start.
pub(crate) fn daily(folder: &Path, days: i64, profile_bytes: usize) -> std::path::PathBuf {
    let db = folder.join("annals.db");
    let server = Server::start(&db, &[]);
    let now_ms = now_ms();
    let rows: Vec<Value> = (1..=days)
        .map(|day| {
            json!({"query_id": format!("day-{day}"), "time": now_ms - day * DAY_MS, "query_time": 1,
                   "stmt": format!("select c{day} from t"), "user": "alice"})
        })
        .collect();
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], json!(rows).to_string().as_bytes());
    assert_eq!(status, 200, "{answer}");
    for day in 1..=days {
        let text = profile_at(
            &format!("day-{day}"),
            now_ms - day * DAY_MS,
            &format!("select c{day} from t"),
        ) + &noise(day as u64, profile_bytes);
        let path = format!("/api/v1/queries/day-{day}/profile");
        assert_eq!(server.send("PUT", &path, &[], text.as_bytes()).0, 200);
    }
    drop(server);
    let without_start =
        "INSERT INTO query (query_id, kind, origin, is_slow) VALUES ('?', 'query', 'audit', FALSE)";
    execute(&db, without_start);
    db
}

/// Returns a text that does not compress well.
pub(crate) fn noise(seed: u64, bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..bytes).map(|_| random.alphanumeric()).collect()
}

pub(crate) fn prune(db: &Path, arguments: &[&str]) -> std::process::Output {
    annals().arg("prune").args(arguments).db(db).output().unwrap()
}

#[test]
fn old_queries_are_removed_and_a_file_shrinks() {
    let folder = TempDir::new().unwrap();
    let db = daily(folder.path(), 100, 20_000);
    let before = sqlite::retention::bytes(&db);
    let output = prune(&db, &["--keep-queries", "50d", "--keep-profiles", "10d", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let removed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(removed["removed_queries"], 51);
    assert_eq!(removed["removed_profiles"], 40);
    // A query without a start has no age.
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 50);
    assert_eq!(number(&db, "SELECT count(*) FROM profile"), 9);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE query_id = '?'"), 1);
    assert_eq!(number(&db, "SELECT count(*) FROM statement"), 49);
    if !is_postgres() {
        sqlite::retention::assert_file_shrank(&db, before, &removed);
    }
    // A second prune has nothing to do.
    let again = stdout(&prune(&db, &["--keep-queries", "50d"]));
    assert!(again.contains("removed 0 queries and loads, and 0 more profiles"), "{again}");
}

#[test]
fn a_server_prunes_to_its_bounds() {
    let folder = TempDir::new().unwrap();
    let db = daily(folder.path(), 100, 20_000);
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[retention]\nkeep_queries = '50d'\nkeep_profiles = '10d'\n").unwrap();
    let server = Server::start(&db, &["--config", config.to_str().unwrap()]);
    let pruned = || server.envelope("/api/v1/status")["data"]["size"]["pruned"].clone();
    wait_until(|| pruned()["profiles"] == 40, || pruned().to_string());
    assert_eq!(pruned()["queries"], 51);
    let bounds = server.envelope("/api/v1/status")["data"]["size"]["bounds"].clone();
    let day_ms = 86_400_000_u64;
    assert_eq!(
        bounds,
        json!({ "keep_queries_ms": 50 * day_ms, "keep_profiles_ms": 10 * day_ms,
            "max_bytes": null, "profiles_max_bytes": null })
    );
    let (_, _, page) = server.get("/status");
    let page = String::from_utf8(page).unwrap();
    for expected in ["<dd>50 days</dd>", "<dd>10 days</dd>", "<dd>51</dd>", "<dd>40</dd>"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    assert_eq!(server.envelope("/rest/v1/session?limit=1000")["count"], 50);
    let (_, _, metrics) = server.get("/metrics");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("annals_queries_pruned_total 51"), "{metrics}");
}

/// Returns a database with `young` queries of yesterday and `old` queries of more than a year ago, a millisecond apart.
/// Each query has its own shape, and every twentieth has a profile.
fn young_and_old(folder: &Path, young: i64, old: i64) -> std::path::PathBuf {
    let db = folder.join("annals.db");
    let input = folder.join("in");
    std::fs::create_dir(&input).unwrap();
    let mut log = String::new();
    for (name, queries, begin_ms) in
        [("young", young, now_ms() - DAY_MS), ("old", old, now_ms() - 400 * DAY_MS)]
    {
        for number in 0..queries {
            let started_ms = begin_ms + number;
            let start = chrono::DateTime::from_timestamp_millis(started_ms).unwrap();
            let start = start.format("%Y-%m-%d %H:%M:%S,%3f");
            let statement = format!("select {name}{number} from t");
            log += &audit_record(
                &start.to_string(),
                &[
                    ("User", "alice"),
                    ("Db", if number % 20 == 0 { "profiled" } else { "shop" }),
                    ("StmtId", &number.to_string()),
                    ("QueryId", &format!("{name}-{number:x}")),
                    ("Stmt", &statement),
                ],
            );
            if number % 20 == 0 {
                let text = profile_at(&format!("{name}-{number:x}"), started_ms, &statement)
                    + &noise(number as u64, 20_000);
                std::fs::write(input.join(format!("{name}-{number}.txt")), text).unwrap();
            }
        }
    }
    std::fs::write(input.join("log"), log).unwrap();
    let output = import(&db, &[&input]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), young + old);
    assert_eq!(number(&db, "SELECT count(*) FROM profile"), (young + old) / 20);
    db
}

/// Starts processes until the old queries are removed, and kills each process soon after its first removal. Returns how
/// many processes were killed before they were done. On PostgreSQL, the first process cannot remove the newest of the
/// old queries: its row is locked until the process is killed.
fn killed_midway(db: &Path, young: i64, old: i64, start: impl Fn() -> Child) -> u32 {
    let count = || number(db, "SELECT count(*) FROM query");
    let mut random = fastrand::Rng::with_seed(5);
    let (mut left, mut midway) = (young + old, 0);
    let begun = Instant::now();
    let mut lock = is_postgres().then(|| {
        let newest = format!("query_id = 'old-{:x}'", old - 1);
        let mut session = postgres::session(&postgres::address_of(db));
        let lock = format!("\\o /dev/null\nBEGIN; SELECT FROM query WHERE {newest} FOR UPDATE;\n");
        session.stdin.as_mut().unwrap().write_all(lock.as_bytes()).unwrap();
        let free = format!(
            "SELECT count(*) FROM (SELECT FROM query WHERE {newest} FOR UPDATE SKIP LOCKED) AS free"
        );
        wait_until(|| number(db, &free) == 0, || "the row is not locked".to_string());
        session
    });
    while left > young {
        let mut process = start();
        while count() == left && process.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{left}");
        }
        std::thread::sleep(Duration::from_micros(random.u64(0..5_000)));
        process.kill().unwrap();
        process.wait().unwrap();
        if let Some(mut session) = lock.take() {
            drop(session.stdin.take());
            session.wait().unwrap();
        }
        assert_sound(db);
        let now = count();
        assert!((young..left).contains(&now), "{now} of {left}");
        // A query and its profile are removed in the same commit.
        let halves = "SELECT count(*) FROM query_history WHERE (db = 'profiled') <> has_profile";
        assert_eq!(number(db, halves), 0);
        midway += u32::from(now > young);
        left = now;
    }
    midway
}

#[test]
fn a_killed_prune_leaves_a_sound_history_and_the_next_one_completes_it() {
    let folder = TempDir::new().unwrap();
    let db = young_and_old(folder.path(), 500, 6000);
    let start = || {
        let mut command = annals();
        command.args(["prune", "--keep-queries", "50d"]).db(&db);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let midway = killed_midway(&db, 500, 6000, start);
    assert!(midway >= 1, "{midway}");
    // The next prune has no query to remove, and shrinks a file.
    let printed = stdout(&prune(&db, &["--keep-queries", "50d"]));
    assert!(printed.contains("removed 0 queries and loads, and 0 more profiles"), "{printed}");
    if !is_postgres() {
        assert_eq!(number(&db, "SELECT freelist_count FROM pragma_freelist_count"), 0);
    }
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE query_id LIKE 'young-%'"), 500);
    for (table, rows) in [("query", 500), ("statement", 500), ("profile", 25)] {
        assert_eq!(number(&db, &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
}

#[test]
fn a_server_killed_while_it_prunes_completes_after_the_restart() {
    let folder = TempDir::new().unwrap();
    // On PostgreSQL, the next process waits ten seconds for the lease of the one that was killed.
    let old = if is_postgres() { 1000 } else { 6000 };
    let db = young_and_old(folder.path(), 500, old);
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[retention]\nkeep_queries = '50d'\n").unwrap();
    let start = || {
        let mut command = annals();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
        command.db(&db).stdout(Stdio::null()).spawn().unwrap()
    };
    let midway = killed_midway(&db, 500, old, start);
    assert!(midway >= 1, "{midway}");
    let server = Server::start(&db, &["--config", config.to_str().unwrap()]);
    assert_eq!(server.envelope("/rest/v1/session?limit=1000")["count"], 500);
    assert_eq!(number(&db, "SELECT count(*) FROM profile"), 25);
}
