//! A history of every schema opens with all that it holds, and an upgrade that is killed continues.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::support::{
    annals, data, import, number, older, open_history, read_plans, stderr, stdout,
};

/// The tables with what sources report and people configure. The search index is made anew.
const TABLES: [&str; 11] = [
    "query", "load", "profile", "statement", "login", "followed_file", "stream_load_label",
    "account", "audit_table", "audit_table_minute", "token",
];

/// Rows of what no import writes.
const OTHER_ROWS: &str = "
    INSERT INTO followed_file VALUES ('00ff', 10, 20, '/var/log/fe.audit.log', 30, 1722942950000);
    INSERT INTO audit_table VALUES ('fe1:9030', '2024-08-01 00:00', '2024-07-01 00:00');
    INSERT INTO audit_table_minute VALUES ('fe1:9030', '2024-08-06 11:16', 3);
    INSERT INTO stream_load_label VALUES ('', 'shop', 'audit-7', 1722942950000);
    INSERT INTO account VALUES ('mira', 'user', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g', '[\"prod\"]');
    INSERT INTO token VALUES ('prometheus', 'viewer', randomblob(32), 1722942950000, NULL, 1722946550000, NULL, NULL);";

/// Returns the name and the statements of each migration, in order.
fn migrations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (_, name) = name.split_once('_').unwrap();
        (name.to_string(), std::fs::read_to_string(file).unwrap())
    };
    files.iter().map(read).collect()
}

/// Makes a history of today's schema from the sample data.
fn newest(folder: &Path) -> PathBuf {
    let file = folder.join("newest.db");
    let imported = import(&file, &[&data("")]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    read_plans(&file);
    Connection::open(&file).unwrap().execute_batch(OTHER_ROWS).unwrap();
    file
}

/// Makes a history that lacks the migration `before` and all after it. It has the values of `newest` for which its schema
/// has a column.
fn older_with_rows(file: &Path, before: &str, newest: &Path) {
    older(file, before, &format!("ATTACH '{}' AS newest", newest.display()));
    let sqlite = Connection::open(file).unwrap();
    sqlite.execute_batch(&format!("ATTACH '{}' AS newest", newest.display())).unwrap();
    for table in TABLES {
        let columns = columns(&sqlite, "main", table).join(", ");
        if !columns.is_empty() {
            let copy = format!(
                "INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}"
            );
            sqlite.execute_batch(&copy).unwrap();
        }
    }
}

/// Returns the columns of a table that hold values of their own; none if there is no such table.
fn columns(sqlite: &Connection, schema: &str, table: &str) -> Vec<String> {
    let sql = "SELECT name FROM pragma_table_info(?, ?)";
    let mut names = sqlite.prepare(sql).unwrap();
    names.query_map([table, schema], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The rows of each table, each row with its values by column.
type Dump = BTreeMap<&'static str, Vec<BTreeMap<String, Value>>>;

fn dump(file: &Path) -> Dump {
    let sqlite = Connection::open(file).unwrap();
    let rows = |table: &'static str| {
        let names = columns(&sqlite, "main", table);
        let all = "*";
        let mut select =
            sqlite.prepare(&format!("SELECT {all} FROM {table} ORDER BY 1, 2")).unwrap();
        let positions: Vec<usize> =
            names.iter().map(|name| select.column_index(name).unwrap()).collect();
        let mut rows = select.raw_query();
        let mut read = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let values =
                names.iter().cloned().zip(positions.iter().map(|at| row.get(*at).unwrap()));
            read.push(values.collect());
        }
        (table, read)
    };
    TABLES.into_iter().map(rows).collect()
}

/// Asserts that a dump has all values of `kept` but for columns that annals computes anew.
fn assert_has(dump: &Dump, kept: &Dump, of: &str) {
    for (table, rows) in kept {
        assert_eq!(dump[table].len(), rows.len(), "{of}: {table}");
        for (row, kept) in dump[table].iter().zip(rows) {
            for (column, value) in kept.iter().filter(|(_, value)| **value != Value::Null) {
                assert_eq!(&row[column], value, "{of}: {table}.{column}");
            }
        }
    }
}

/// Asserts that annals, SQLite and every view can read the whole history.
fn assert_sound(file: &Path, of: &str) {
    let checked = annals().args(["check", "--db"]).arg(file).output().unwrap();
    assert!(checked.status.success(), "{of}: {}", stderr(&checked));
    let sqlite = Connection::open(file).unwrap();
    let views = "SELECT name FROM sqlite_schema WHERE type = 'view'";
    let mut views = sqlite.prepare(views).unwrap();
    let names: Vec<String> =
        views.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() >= 13, "{names:?}");
    for view in names {
        // `sqlar_uncompress` is a function of the shell.
        if view != "profile_text" {
            number(file, &format!("SELECT count(*) FROM (SELECT * FROM {view})"));
        }
    }
}

/// Returns what a command prints of a history.
fn printed(file: &Path, arguments: &[&str]) -> String {
    let output = annals().args(arguments).arg("--db").arg(file).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_history_of_every_schema_opens_with_all_that_it_holds() {
    let folder = TempDir::new().unwrap();
    let newest = newest(folder.path());
    let profile = rusqlite::Connection::open(&newest)
        .unwrap()
        .query_row(
            "SELECT query_id FROM profile JOIN query ON query.id = profile.query",
            (),
            |row| row.get::<_, String>(0),
        )
        .unwrap();
    let expected = dump(&newest);
    for (before, _) in &migrations()[1..] {
        let file = folder.path().join(format!("before-{before}.db"));
        older_with_rows(&file, before, &newest);
        let sqlite = Connection::open(&file).unwrap();
        let had = TABLES.map(|table| (table, columns(&sqlite, "main", table)));
        drop(sqlite);
        open_history(&file);
        assert_sound(&file, before);
        let upgraded = dump(&file);
        for (table, columns) in had.iter().filter(|(_, columns)| !columns.is_empty()) {
            let mut kept = expected.clone();
            kept.retain(|name, _| name == table);
            for row in kept.values_mut().flatten() {
                row.retain(|column, _| columns.contains(column));
            }
            assert_has(&upgraded, &kept, before);
        }
        // Fingerprints and normalized statements are those of today.
        for table in ["query", "statement"] {
            let of = |dump: &Dump| -> Vec<Value> {
                dump[table].iter().map(|row| row["fingerprint"].clone()).collect()
            };
            assert_eq!(of(&upgraded), of(&expected), "{before}");
        }
        // Each annals before the last migration read plans in another way: annals reads them again while it serves.
        let unread = number(&file, "SELECT count(*) FROM unread_plan");
        assert_eq!(unread, number(&file, "SELECT count(*) FROM profile"), "{before}");
        let profiles = |file| printed(file, &["profile", &profile]);
        assert_eq!(profiles(&file), profiles(&newest), "{before}");
        // The same files again add what the older schema had no column for, and no row.
        let again = import(&file, &[&data("")]);
        assert!(again.status.success(), "{before}: {}", stderr(&again));
        // Before `newer_versions` no column said that a start is computed, so such a start counts as reported. Nothing
        // else that is stored says so: a row that a plug-in pushed has a reported start, and the same times.
        let lists = |file| {
            let list = printed(file, &["list", "--json", "-n", "1000"]);
            list.replace("\"is_start_estimated\":true", "\"is_start_estimated\":false")
        };
        assert_eq!(lists(&file), lists(&newest), "{before}");
    }
}

#[test]
fn a_migration_that_is_killed_at_any_statement_continues() {
    let folder = TempDir::new().unwrap();
    let newest = newest(folder.path());
    for (name, sql) in migrations() {
        let base = folder.path().join(format!("before-{name}.db"));
        older_with_rows(&base, &name, &newest);
        let whole = copy_of(&base, folder.path(), "whole");
        open_history(&whole);
        let expected = dump(&whole);
        for killed_behind in 1..=statements(&base, &sql, usize::MAX, || ()) {
            let started = copy_of(&base, folder.path(), "started");
            let mut killed = PathBuf::new();
            statements(&started, &sql, killed_behind, || {
                // What a killed process leaves: the file with its log, and no process that has them open.
                killed = copy_of(&started, folder.path(), "killed");
            });
            open_history(&killed);
            let of = format!("{name}, killed behind statement {killed_behind}");
            assert_eq!(dump(&killed), expected, "{of}");
            assert_sound(&killed, &of);
        }
    }
}

/// Runs the first `most` statements of a migration in a transaction, as sqlx does, then `then`, and takes them back.
/// Returns how many ran.
fn statements(file: &Path, sql: &str, most: usize, then: impl FnOnce()) -> usize {
    let sqlite = Connection::open(file).unwrap();
    // A cache of one page writes changed pages to the log before the commit, as a large migration does.
    sqlite.execute_batch("PRAGMA cache_size = 1; BEGIN").unwrap();
    let mut batch = rusqlite::Batch::new(&sqlite, sql);
    let mut count = 0;
    while count < most
        && let Some(mut statement) = batch.next().unwrap()
    {
        statement.execute(()).unwrap();
        count += 1;
    }
    then();
    sqlite.execute_batch("ROLLBACK").unwrap();
    count
}

/// Copies a history with its log into a folder, in place of an earlier copy of this name.
fn copy_of(file: &Path, folder: &Path, name: &str) -> PathBuf {
    let copy = folder.join(format!("{name}.db"));
    for end in ["", "-wal", "-shm"] {
        let part = |file: &Path| PathBuf::from(format!("{}{end}", file.display()));
        let _ = std::fs::remove_file(part(&copy));
        if part(file).exists() {
            std::fs::copy(part(file), part(&copy)).unwrap();
        }
    }
    copy
}

#[test]
#[ignore = "needs time: upgrades a history of 20,000 queries some twenty times"]
fn an_upgrade_that_is_killed_at_any_moment_continues() {
    let folder = TempDir::new().unwrap();
    let base = folder.path().join("base.db");
    older(
        &base,
        "statement",
        "WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
         INSERT INTO query (query_id, kind, origin, is_slow, statement, extra)
         SELECT 'q-' || n, 'query', 'audit', 0, 'SELECT ' || n || ' FROM t' || n % 100, '{\"CpuCostNs\":\"30000000\"}'
         FROM n",
    );
    let whole = copy_of(&base, folder.path(), "whole");
    let began = Instant::now();
    open_history(&whole);
    let step = began.elapsed() / 20;
    let expected = dump(&whole);
    let killed = copy_of(&base, folder.path(), "killed");
    // A log without a query.
    let nothing = folder.path().join("fe.out");
    std::fs::write(&nothing, "the frontend starts\n").unwrap();
    let (mut delay, mut kills) = (Duration::from_millis(1), 0);
    loop {
        let mut process =
            annals().arg("import").arg("--db").arg(&killed).arg(&nothing).spawn().unwrap();
        let started = Instant::now();
        let exited = loop {
            match process.try_wait().unwrap() {
                None if started.elapsed() < delay => std::thread::sleep(Duration::from_millis(1)),
                status => break status,
            }
        };
        if let Some(status) = exited {
            assert!(status.success());
            break;
        }
        // SIGKILL.
        process.kill().unwrap();
        process.wait().unwrap();
        kills += 1;
        delay += step;
        let sqlite = Connection::open(&killed).unwrap();
        let checked: String =
            sqlite.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
        assert_eq!(checked, "ok");
    }
    assert!(kills >= 5, "{kills}");
    assert_eq!(dump(&killed), expected);
    assert_sound(&killed, "after all kills");
}
