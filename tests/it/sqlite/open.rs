//! `serve` and `import` reject a file that is not theirs with one sentence, leave it unchanged, and upgrade older databases.

use std::path::Path;

use crate::support::{annals, audit_records, import, number, older, stderr, unprivileged};
use tempfile::TempDir;

/// Asserts that both commands reject a file with this sentence, and leave it unchanged.
fn assert_rejected(db: &Path, sentence: &str) {
    let before = std::fs::read(db).ok();
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), audit_records(0..1)).unwrap();
    let served =
        annals().args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(db).output().unwrap();
    for output in [served, import(db, &[log.path()])] {
        assert_eq!(output.status.code(), Some(2));
        let printed = stderr(&output);
        assert!(printed.contains(sentence), "{printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
    assert_eq!(std::fs::read(db).ok(), before);
}

#[test]
fn a_file_that_is_no_database_is_rejected() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(
        &file,
        "These are notes, long enough to be looked at as a database's header would be, and more."
            .repeat(10),
    )
    .unwrap();
    assert_rejected(&file, "is not an SQLite database");
    assert_rejected(folder.path(), "is a folder");
    assert_rejected(&folder.path().join("no/such/folder.db"), "there is no folder");
}

#[test]
fn a_database_of_another_program_is_rejected() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE query (a)").unwrap();
    drop(other);
    assert_rejected(&file, "is a database of another program");
}

#[test]
fn a_database_of_a_newer_annals_is_rejected() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("newer.db");
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1)).unwrap();
    assert!(import(&file, &[&log]).status.success());
    let newer = rusqlite::Connection::open(&file).unwrap();
    newer
        .execute_batch(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'from the future', 1, x'00', 0); PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(newer);
    assert_rejected(&file, "was written by a newer annals");
}

#[cfg(unix)]
#[test]
fn a_database_without_write_permission_is_rejected() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let folder = TempDir::new().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let file = folder.path().join("a.db");
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1)).unwrap();
    assert!(import(&file, &[&log]).status.success());
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "only the owner may read the file");
    let before = std::fs::read(&file).unwrap();
    let attempt = |db: &Path| {
        let mut command = unprivileged(folder.path());
        let output = command.arg("import").arg(&log).arg("--db").arg(db).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let printed = stderr(&output);
        assert!(printed.contains("cannot be written to"), "{printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    };
    mode(&log, 0o644);
    mode(folder.path(), 0o777);
    mode(&file, 0o444);
    attempt(&file);
    mode(&file, 0o666);
    mode(folder.path(), 0o555);
    attempt(&file);
    attempt(&folder.path().join("new.db"));
    mode(folder.path(), 0o700);
    assert!(before == std::fs::read(&file).unwrap());
    assert_eq!(number(&file, "SELECT count(*) FROM query"), 1);
}

#[test]
fn a_database_of_an_older_annals_gets_fingerprints() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("older.db");
    older(
        &file,
        "statement",
        "WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000)
         INSERT INTO query (query_id, kind, origin, is_slow, statement)
         SELECT 'q-' || n, 'query', 'audit', 0, iif(n % 3, 'SELECT ' || n, NULL) FROM n",
    );
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1)).unwrap();
    assert!(import(&file, &[&log]).status.success());
    let shaped = "SELECT count(*) FROM query JOIN statement USING (fingerprint)
                  WHERE normalized = 'select ?'";
    assert_eq!(number(&file, shaped), 8001);
    assert_eq!(number(&file, "SELECT count(*) FROM query WHERE fingerprint IS NULL"), 4000);
    assert_eq!(number(&file, "SELECT count(*) FROM statement"), 1);
}

#[test]
fn records_of_an_older_annals_are_parsed_again() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("older.db");
    // Rows of an older annals: a record of Doris 4.0, one of StarRocks, one from before Doris 1.2, and three statements
    // without an id.
    let misread =
        "Unknown column|Time(ms)=9|ScanRows=7|PlanTimesMs={\"plan\":6}|HitSqlCache=false|StmtId=41";
    older(
        &file,
        "newer_versions",
        &format!(
            "INSERT INTO query (query_id, kind, origin, is_slow, state, started_ms, ended_ms, duration_ms, user, db,
                                statement, error_message, extra) VALUES
             ('1a-1', 'query', 'audit', 0, 'ERR', 1767322800000, 1767322805500, NULL, 'alice', 'shop',
              'select pric from t', '{misread}', NULL),
             ('1a-2', 'query', 'audit', 0, 'EOF', 1767322800000, 1767322800040, 40, 'sr', 'shop',
              'select 1', NULL, '{{\"CpuCostNs\":\"30000000\",\"ResourceGroup\":\"rg\",\"New\":\"x\"}}'),
             ('1a-3', 'query', 'audit', 0, 'EOF', 1598459240000, 1598459240316, 316, 'default_cluster:root',
              'default_cluster:shop', 'select a\\nfrom t', NULL, NULL),
             ('NaN', 'query', 'audit', 0, 'OK', 1598459240000, 1598459240316, 316, 'root', 'shop',
              'use shop', NULL, NULL)"
        ),
    );
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1)).unwrap();
    let imported = import(&file, &[&log]);
    assert!(imported.status.success());
    let printed = stderr(&imported);
    assert!(printed.contains("3 queries were parsed again"), "{printed}");
    assert!(printed.contains("1 row mixes several statements"), "{printed}");
    for condition in [
        "query_id = '1a-1' AND error_message = 'Unknown column' AND duration_ms = 9 AND plan_time_ms = 6
         AND cache_hit = 0 AND scan_rows = 7 AND statement_id = 41 AND ended_ms = 1767322800009",
        "query_id = '1a-2' AND cpu_time_ms = 30 AND workload_group = 'rg' AND extra = '{\"New\":\"x\"}'",
        "query_id = '1a-3' AND user = 'root' AND db = 'shop' AND statement = 'select a' || char(10) || 'from t'",
        "statement = 'use shop' AND query_id <> 'NaN'",
    ] {
        assert_eq!(number(&file, &format!("SELECT count(*) FROM query WHERE {condition}")), 1, "{condition}");
    }
    let again = import(&file, &[&log]);
    assert!(again.status.success() && stderr(&again).is_empty(), "{}", stderr(&again));
}
