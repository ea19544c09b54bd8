//! `annals merge`: histories of several machines in one.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::{
    Row, WithDb, annals, audit_record, audit_records, data, db_argument, execute_at, import,
    profile, profiles, rows, rows_at, stderr, stdout, stored, texts, wait_until,
};
use tempfile::TempDir;

fn merge(db: &Path, others: &[OsString]) -> Output {
    annals().arg("merge").args(others).db(db).output().unwrap()
}

/// Returns all that is in a history, without the numbers of rows.
pub(crate) fn contents(db: &Path) -> [Vec<Row>; 3] {
    let queries = "SELECT query_id, kind, state, started_at, ended_at, duration_ms, \"user\", client, catalog, db, \
                   statement, fingerprint, error_message, scan_bytes, extra, is_slow, has_profile \
                   FROM query_history ORDER BY query_id";
    let profiles = format!("SELECT query_id, text_bytes, body FROM {} ORDER BY 1", profiles());
    let loads =
        "SELECT query_id, label, job_id, load_bytes, url FROM load_history ORDER BY query_id";
    [queries, &profiles, loads].map(|sql| rows(db, sql))
}

#[test]
fn histories_of_two_machines_become_one() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first.db"), folder.path().join("second.db"));
    import(
        &first,
        &[
            &data("fe.audit.log"),
            &data("doris-3.0"),
            &data("doris-4.0"),
            &data("starrocks-2.5"),
            &data("starrocks-3.2"),
            &data("starrocks-3.3"),
        ],
    );
    import(
        &second,
        &[
            &data("profiles"),
            &data("fe.audit.log.20200826-1.gz"),
            &data("fe.audit.log"),
            &data("doris-3.0"),
        ],
    );
    let all = folder.path().join("all.db");
    import(&all, &[&data("")]);
    let before = stored(&second);
    let joined = folder.path().join("joined.db");
    let output = merge(&joined, &[db_argument(&first), db_argument(&second)]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(contents(&joined), contents(&all));
    assert!(stored(&second) == before, "a history that was read has changed");
    // Again, it changes nothing.
    let again = stdout(&merge(&joined, &[db_argument(&second), db_argument(&first)]));
    assert_eq!(again.matches(" 0 new, 0 merged, ").count(), 5, "{again}");
    assert_eq!(contents(&joined), contents(&all));
    for (argument, sentence) in [
        (db_argument(&joined), "is the history to merge into"),
        ("/none.db".into(), "none.db"),
        (data("fe.audit.log").into(), "is not an SQLite database"),
    ] {
        let output = merge(&joined, &[argument]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    }
}

#[test]
fn a_merge_excludes_what_an_import_excludes() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (other, imported, merged) = (path("other.db"), path("imported.db"), path("merged.db"));
    import(&other, &[&data("")]);
    std::fs::write(
        path("annals.toml"),
        "[[exclude]]\nuser = 'carol'\n[[exclude]]\nstatement = '^selec 1$'\ndb = 'shop'\n",
    )
    .unwrap();
    let inputs = [("import", data("").into(), &imported), ("merge", db_argument(&other), &merged)];
    for (command, from, db) in inputs {
        let mut run = annals();
        run.arg(command).arg(from).db(db).current_dir(folder.path());
        let output = run.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let printed = stdout(&output);
        assert!(printed.contains("  excluded by the configuration: "), "{printed}");
    }
    assert_eq!(contents(&merged), contents(&imported));
    assert!(contents(&merged)[0].len() < contents(&other)[0].len());
}

/// Returns the source, the zone and the shift of each query and log-in, an instant as `0`.
pub(crate) fn zones(db: &Path) -> Vec<String> {
    let sql = |table: &str, id: &str| {
        format!(
            "SELECT {id} || ' ' || coalesce(t.source || ' ' || t.time_zone || ' ' || t.shifted_ms, \
             CAST(q.time_source AS text), 'unknown') \
             FROM {table} AS q LEFT JOIN time_source AS t ON t.id = q.time_source ORDER BY 1"
        )
    };
    let mut zones = texts(db, &sql("query", "query_id"));
    zones.extend(texts(db, &sql("login", "login_id")));
    zones
}

#[test]
fn the_zones_in_which_times_were_read_come_along() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (first, second, joined) = (path("first.db"), path("second.db"), path("joined.db"));
    let import_in = |zone: &str, db: &Path, log: &str| {
        let output =
            annals().arg("import").arg(data(log)).db(db).args(["--time-zone", zone]).output();
        assert!(output.unwrap().status.success());
    };
    import_in("Europe/Berlin", &joined, "doris-3.0");
    import_in("Asia/Shanghai", &first, "starrocks-2.5");
    import_in("America/Lima", &second, "fe.audit.log");
    let by = ["shift", "--by", "8h"];
    assert!(annals().args(by).db(&second).output().unwrap().status.success());
    let before: Vec<String> =
        [&joined, &first, &second].into_iter().flat_map(|db| zones(db)).collect();
    for zone in ["Asia/Shanghai", "America/Lima 28800000", "Europe/Berlin"] {
        assert!(before.iter().any(|row| row.contains(zone)), "{zone}: {before:?}");
    }
    for _ in 0..2 {
        let output = merge(&joined, &[db_argument(&first), db_argument(&second)]);
        assert!(output.status.success(), "{}", stderr(&output));
        let mut after = zones(&joined);
        let mut before = before.clone();
        before.sort();
        after.sort();
        assert_eq!(after, before);
    }
}

/// Runs a command on the history that `--db` names so.
fn run(history: &str, arguments: &[&str]) -> String {
    let output = annals().args(arguments).args(["--db", history]).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

fn count(history: &str, sql: &str) -> Result<u64, String> {
    Ok(rows_at(history, sql)?[0][0].as_ref().unwrap().parse().unwrap())
}

/// Returns how many queries a merge did not send again.
fn merged_before(printed: &str) -> u64 {
    let line = printed.lines().find_map(|line| line.strip_prefix("  continues after "));
    let queries = line.and_then(|line| line.split_once(" quer"));
    queries.map_or(0, |(count, _)| count.parse().unwrap())
}

/// Returns how many rows of a kind were new, merged and unchanged.
fn counts(printed: &str, kind: &str) -> [u64; 3] {
    let kind = format!("  {kind}:");
    let line = printed.lines().find_map(|line| line.strip_prefix(&kind)).unwrap();
    let mut counts = line.split(", ").map(|count| count.trim().split(' ').next().unwrap().parse());
    std::array::from_fn(|_| counts.next().unwrap().unwrap())
}

const QUERIES: &str = "SELECT count(*) FROM query";

/// Makes a history, merges it into an empty one, and asserts that a merge that was killed continues, and that a later one sends
/// what has changed on either side.
pub(crate) fn assert_continues(folder: &Path, from: &str, to: &str) {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let log = file("log", &audit_records(0..30_000));
    run(from, &["import", &log, data("").to_str().unwrap()]);
    let all = count(from, QUERIES).unwrap();
    let merge = ["merge", from];
    let mut process =
        annals().args(merge).args(["--db", to]).stdout(Stdio::null()).spawn().unwrap();
    // The tables may not exist yet.
    let stored = || count(to, QUERIES).unwrap_or(0);
    wait_until(|| stored() > 0, || "nothing is committed".to_string());
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(stored() < all, "the merge has ended");

    let continued = run(to, &merge);
    let (before, new) = (merged_before(&continued), counts(&continued, "records")[0]);
    assert!(before > 0 && new > 0 && before + new <= all, "{continued}");
    assert_eq!(counts(&continued, "records"), [new, 0, all - new], "{continued}");
    for history in [from, to] {
        let holds = format!("{history}\n  holds:    {all} queries, ");
        assert!(continued.contains(&holds), "{holds}: {continued}");
    }
    let same = |sql: &str| assert_eq!(count(to, sql), count(from, sql), "{sql}");
    same("SELECT count(DISTINCT query_id) FROM query");
    same("SELECT count(*) FROM profile");
    same("SELECT count(*) FROM login");

    let again = run(to, &merge);
    let parts = format!("  continues after {all} queries and 2 log-ins of an earlier merge");
    assert!(again.contains(&parts), "{parts}: {again}");
    assert_eq!(counts(&again, "records"), [0, 0, all], "{again}");

    // A query gets a profile, another one becomes slow, and two are new. The target loses a query and a profile.
    let id = |statement: &str| {
        let sql = format!("SELECT query_id FROM query WHERE statement = '{statement}'");
        rows_at(from, &sql).unwrap()[0][0].clone().unwrap()
    };
    let (profiled, slow) = (id("select 15000"), id("select 7"));
    let summary = [("Start Time", "2024-01-02 11:00:15"), ("Sql Statement", "select 15000")];
    let values = [("QueryId", slow.as_str()), ("StmtId", "7"), ("Stmt", "select 7")];
    let slow = audit_record("2024-01-02 11:00:00,007", &values).replace("[query]", "[slow_query]");
    let changes = [
        file("late.txt", &profile(&profiled, &summary)),
        file("slow", &slow),
        file("more", &audit_records(30_000..30_002)),
    ];
    for change in &changes {
        run(from, &["import", change]);
    }
    execute_at(to, "DELETE FROM query WHERE statement = 'select 20000'");
    execute_at(to, "DELETE FROM profile WHERE text_bytes = 6506");
    let changed = run(to, &merge);
    let before = merged_before(&changed);
    assert!(before > 0 && before < all, "{changed}");
    assert_eq!(counts(&changed, "records")[0], 3, "{changed}");
    assert_eq!(counts(&changed, "profiles")[0], 2, "{changed}");
    assert_eq!(run(to, &["export"]), run(from, &["export"]));
    assert_eq!(run(to, &["profile", &profiled]), run(from, &["profile", &profiled]));
    same("SELECT count(*) FROM query WHERE is_slow = (1 = 1)");
    same("SELECT count(*) FROM profile");
    assert_eq!(merged_before(&run(to, &merge)), all + 2);
}

#[test]
fn a_merge_that_was_killed_continues() {
    let folder = TempDir::new().unwrap();
    let history = |name: &str| db_argument(&folder.path().join(name)).into_string().unwrap();
    assert_continues(folder.path(), &history("from.db"), &history("to.db"));
}

#[test]
fn a_merge_sends_everything_where_it_would_store_something_else() {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from.db", "to.db"]
        .map(|name| db_argument(&folder.path().join(name)).into_string().unwrap());
    run(&from, &["import", data("").to_str().unwrap()]);
    let all = count(&from, QUERIES).unwrap();
    let merge = ["merge", &from];
    run(&to, &merge);
    assert_eq!(merged_before(&run(&to, &merge)), all);
    let named = run(&to, &["merge", &from, "--cluster", "prod"]);
    assert_eq!(merged_before(&named), 0, "{named}");
    assert_eq!(counts(&named, "records"), [0, all, 0], "{named}");
    assert_eq!(merged_before(&run(&to, &merge)), all);
    // The queries keep the cluster that they have, and each run says so. The load by a job of that number is another one.
    for _ in 0..2 {
        let other = run(&to, &["merge", &from, "--cluster", "test"]);
        let kept = format!("stored under another cluster, which they keep: {}\n", all - 1);
        assert!(other.contains(&kept), "{other}");
    }
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[[exclude]]\nuser = 'carol'\n").unwrap();
    let config = ["merge", &from, "--config", config.to_str().unwrap()];
    let excluded = run(&to, &config);
    assert_eq!(merged_before(&excluded), 0, "{excluded}");
    let note = excluded.lines().find(|line| line.starts_with("  excluded by")).unwrap();
    let again = run(&to, &config);
    assert!(merged_before(&again) > 0 && again.contains(note), "{again}");
    run(&to, &["shift", "--by", "1h", "--from", "2020-01-01", "--all-sources"]);
    assert_eq!(merged_before(&run(&to, &merge)), 0);
}
