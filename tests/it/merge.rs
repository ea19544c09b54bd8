//! `annals merge`: histories of several machines in one.

use std::ffi::OsString;
use std::path::Path;
use std::process::Output;

use crate::support::{
    Row, WithDb, annals, data, db_argument, import, profiles, rows, stderr, stdout, stored, texts,
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
