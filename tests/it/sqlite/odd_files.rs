//! Commands on unusual files: damaged, older, read-only, in use, or no database. Each command gives its result or one
//! clear sentence, and leaves the file unchanged.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{
    Server, annals, data, import, number, older, open_history, read_plans, stderr, stdout,
    unprivileged,
};
use serde_json::json;
use tempfile::TempDir;

/// Command, arguments, and a part of the output for the sample data.
const COMMANDS: [(&str, &[&str], &str); 18] = [
    ("list", &["-n", "1000"], "fbb2582c72884d29-9dd9de3b42b740e9\t2024-08-06 11:15:50\t316"),
    ("show", &["fbb"], "query_id             fbb2582c72884d29-9dd9de3b42b740e9\n"),
    ("find", &["fbb2582c"], "query_id             fbb2582c72884d29-9dd9de3b42b740e9\n"),
    ("profile", &["fbb"], "  - Profile ID: fbb2582c72884d29-9dd9de3b42b740e9\n"),
    ("top", &["--from", "2020-01-01"], "\tselect count(*) from store_sales5\n"),
    ("regress", &[], "fingerprint\textra_ms\t"),
    ("usage", &["--from", "2024-08-06", "--to", "2024-08-07"], "\nuser\t"),
    ("plans", &[], "\tselect count(*) from store_sales5\n"),
    ("findings", &[], "rule\ttotal_ms\truns\t"),
    ("diff", &["fbb", "91ff"], "duration_ms\t316\t62003\t"),
    ("export", &[], "\"query_id\":\"fbb2582c72884d29-9dd9de3b42b740e9\""),
    ("stats", &[], "\nprofiles\t4\n"),
    ("token", &["list"], "name\trole\tmade\tlast_used\texpires\tuser\tclusters\n"),
    ("check", &[], " is sound\n"),
    ("backup", &[], "copied the history to "),
    ("merge", &[], "  profiles: 4 new, "),
    ("shift", &["--by", "8h", "--dry-run"], "import, read as UTC: queries and loads: "),
    // Last, because it writes.
    (
        "prune",
        &["--keep-queries", "1000years"],
        "removed 0 queries and loads, and 0 more profiles\n",
    ),
];

/// Commands that write another file.
const WRITERS_OF_ANOTHER_FILE: [&str; 2] = ["backup", "merge"];

/// The command prints this part of its result and exits with 0, or prints this sentence and exits with 2.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Result(&'static str),
    Rejected(&'static str),
    /// A check that prints this, or a search that finds nothing: exits with 1.
    Damaged(&'static str),
}
use Expected::{Damaged, Rejected, Result};

/// Runs a command on a file. `annals` is the binary under test, possibly as another user.
fn check_one(annals: Command, file: &Path, command: &str, arguments: &[&str], expected: Expected) {
    let elsewhere = TempDir::new().unwrap();
    std::fs::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let out = elsewhere.path().join("out.db");
    let mut annals = annals;
    annals.arg(command).args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    match command {
        "merge" => annals.arg(file).arg("--db").arg(&out),
        "backup" => annals.arg(&out).arg("--db").arg(file),
        _ => annals.arg("--db").arg(file),
    };
    let before = std::fs::read(file).ok();
    let output = annals.output().unwrap();
    let what = format!("{command} {}", file.display());
    let (printed, error) = (stdout(&output), stderr(&output));
    match expected {
        Result(part) => {
            let is_note = match command {
                "top" => {
                    error == "annals: the history is empty\n"
                        || error.contains(" runs ")
                        || error.contains(" run ")
                }
                "regress" => ["annals: no statement ran", "annals: the history "]
                    .iter()
                    .any(|note| error.starts_with(note)),
                "usage" => {
                    error.contains(" at once, compared with ")
                        || error == "annals: the history is empty\n"
                }
                "stats" => error.starts_with("annals: the newest query starts in the future"),
                "list" | "export" => error == "annals: the history is empty\n",
                "plans" => error.ends_with(" statements have several plans\n"),
                "findings" => error == "annals: no run has findings\n",
                _ => false,
            };
            assert!(error.is_empty() || is_note, "{what}: {error}");
            assert_eq!(output.status.code(), Some(0), "{what}: {printed}");
            assert!(printed.contains(part), "{what}: {printed}");
            assert_eq!(out.exists(), WRITERS_OF_ANOTHER_FILE.contains(&command), "{what}");
        }
        Rejected(sentence) => {
            assert_eq!((output.status.code(), printed.as_str()), (Some(2), ""), "{what}: {error}");
            assert!(error.starts_with("annals: ") && error.contains(sentence), "{what}: {error}");
            assert_eq!(error.lines().count(), 1, "{what}: {error}");
            assert!(!out.exists(), "{what}");
        }
        Damaged(sentence) => {
            assert_eq!(output.status.code(), Some(1), "{what}: {printed}{error}");
            assert!(printed.contains(sentence), "{what}: {printed}");
        }
    }
    if command != "prune" {
        assert!(std::fs::read(file).ok() == before, "{what} changed the file");
    }
}

/// Runs all commands on a file. Commands without an expectation give the same result as for the sample data.
fn check_all(
    annals: impl Fn() -> Command,
    file: &Path,
    expected: impl Fn(&str) -> Option<Expected>,
) {
    for (command, arguments, result) in COMMANDS {
        let expected = expected(command).unwrap_or(Result(result));
        check_one(annals(), file, command, arguments, expected);
    }
}

fn sample(folder: &TempDir) -> PathBuf {
    let db = folder.path().join("history.db");
    import(&db, &[&data("")]);
    read_plans(&db);
    db
}

/// Copies a database, with or without its write-ahead log.
fn copy(db: &Path, to: &Path, ends: &[&str]) {
    for end in ends {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        std::fs::copy(name(db), name(to)).unwrap();
    }
}

fn push(server: &Server, number: u32) {
    let row = json!({"query_id": format!("new-{number}"), "time": 1_800_000_000_000_u64 + u64::from(number)});
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn every_command_is_tested() {
    let help = stdout(&annals().arg("help").output().unwrap());
    let list = help.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    let mut named: BTreeSet<&str> =
        list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    // `open.rs` tests the commands that import, and `salvage.rs` tests `salvage`. The others use no database.
    for other in ["import", "salvage", "serve", "user", "completions", "man", "help"] {
        assert!(named.remove(other), "{other}");
    }
    assert_eq!(named, COMMANDS.map(|(command, ..)| command).into_iter().collect());
}

#[test]
fn files_that_are_no_history_are_rejected() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("notes.db"), "notes ".repeat(1000)).unwrap();
    let other = rusqlite::Connection::open(path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE a (b)").unwrap();
    drop(other);
    check_all(annals, &path("missing.db"), |_| Some(Rejected("there is no file")));
    assert!(!path("missing.db").exists());
    check_all(annals, folder.path(), |_| Some(Rejected("is a folder")));
    check_all(annals, &path("notes.db"), |_| Some(Rejected("is not an SQLite database")));
    check_all(annals, &path("other.db"), |_| Some(Rejected("is a database of another program")));
    std::fs::write(path("empty.db"), "").unwrap();
    check_all(annals, &path("empty.db"), |command| match command {
        "prune" => None,
        _ => Some(Rejected("holds no history yet")),
    });
}

#[test]
fn an_empty_history_gives_empty_results() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("history.db");
    open_history(&db);
    check_all(annals, &db, |command| match command {
        "list" => Some(Result("query_id\tstarted_at\tduration_ms")),
        "show" | "profile" | "diff" => Some(Rejected("no query id begins with fbb")),
        "find" => Some(Damaged("")),
        "top" => Some(Result("count\terrors\ttotal_ms")),
        "regress" => Some(Result("fingerprint\textra_ms\t")),
        "usage" => Some(Result("kind\trunning_ms\tbefore\t")),
        "plans" => Some(Result("total_ms\truns\tplans\t")),
        "export" => Some(Result("")),
        "stats" => Some(Result("\nqueries\t0\n")),
        "merge" => Some(Result("  records:  0 new, ")),
        "shift" => Some(Rejected("no record matches")),
        _ => None,
    });
}

#[test]
fn commands_read_a_history_in_use_and_its_copies() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let path = |name: &str| folder.path().join(name);
    let server = Server::start(&db, &[]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..200).for_each(|number| push(&server, number)));
        for round in 0..20 {
            let copied = path(&format!("with-log-{round}.db"));
            let pushed = number(&db, "SELECT count(*) FROM query");
            copy(&db, &copied, &["", "-wal"]);
            let in_copy = number(&copied, "SELECT count(*) FROM query");
            assert!(in_copy >= pushed && pushed >= 21, "{in_copy} of {pushed}");
        }
        check_all(annals, &path("with-log-0.db"), |_| None);
        writer.join().unwrap();
    });
    // The file is in use. Pruning moves the content of the write-ahead log into the file.
    check_all(annals, &db, |_| None);
    // Copies with and without the last write.
    push(&server, 1000);
    copy(&db, &path("with-log.db"), &["", "-wal"]);
    copy(&db, &path("without-log.db"), &[""]);
    for (name, rows) in [("history.db", 222), ("with-log.db", 222), ("without-log.db", 221)] {
        let list = annals().args(["list", "-n", "1000", "--db"]).arg(path(name)).output().unwrap();
        assert_eq!(stdout(&list).lines().count(), rows + 1, "{name}");
        assert_eq!(stdout(&list).contains("new-1000"), rows == 222, "{name}");
    }
    check_all(annals, &path("with-log.db"), |_| None);
    check_all(annals, &path("without-log.db"), |_| None);
    // An incomplete copy of the file, and of the write-ahead log.
    let bytes = std::fs::read(&db).unwrap();
    std::fs::write(path("half.db"), &bytes[..bytes.len() / 2]).unwrap();
    let damaged = "is damaged, or was copied while";
    check_all(annals, &path("half.db"), |command| match command {
        "check" => Some(Damaged(damaged)),
        _ => Some(Rejected(damaged)),
    });
    copy(&db, &path("cut-log.db"), &["", "-wal"]);
    let log = std::fs::read(path("cut-log.db-wal")).unwrap();
    std::fs::write(path("cut-log.db-wal"), &log[..log.len() - 1000]).unwrap();
    check_all(annals, &path("cut-log.db"), |_| None);
}

#[test]
fn reading_does_not_upgrade_an_older_history() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("older.db");
    let rows = "INSERT INTO query (query_id, kind, origin, is_slow, statement, started_ms)
                VALUES ('fbb', 'query', 'audit', 0, 'select 1', 1700000000000)";
    older(&file, "statement", rows);
    check_all(annals, &file, |command| match command {
        "prune" => None,
        _ => Some(Rejected(
            "was written by an older annals; open it once with annals serve, or a copy of it, which \
             brings it up to date",
        )),
    });
    // Pruning writes, and therefore upgraded the database.
    check_all(annals, &file, |command| match command {
        "list" | "export" => Some(Result("select 1")),
        "show" => Some(Result("query_id             fbb\n")),
        "profile" => Some(Rejected("no profile stored for query fbb")),
        "diff" => Some(Rejected("no query id begins with 91ff")),
        "find" => Some(Damaged("")),
        "top" => Some(Result("count\terrors\ttotal_ms")),
        "regress" => Some(Result("fingerprint\textra_ms\t")),
        "usage" => Some(Result("kind\trunning_ms\tbefore\t")),
        "plans" => Some(Result("total_ms\truns\tplans\t")),
        "stats" => Some(Result("\nqueries\t1\n")),
        "merge" => Some(Result("  records:  1 new, ")),
        "shift" => Some(Result("unknown, read as unknown: queries and loads: 1\n")),
        _ => None,
    });
}

#[test]
fn a_command_says_which_plans_are_missing_if_it_cannot_write() {
    let folder = TempDir::new().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    let read_only = folder.path().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    let db = read_only.join("history.db");
    import(&db, &[&data("")]);
    mode(&db, 0o444);
    mode(&read_only, 0o555);
    let before = std::fs::read(&db).unwrap();
    for command in [&["plans"][..], &["regress"], &["profile", "fbb", "--plan"]] {
        let mut annals = unprivileged(folder.path());
        let output = annals.args(command).arg("--db").arg(&db).output().unwrap();
        let error = stderr(&output);
        assert!(output.status.success(), "{command:?}: {error}");
        let missing = "annals: the plans of 4 profiles are not read, and missing here: ";
        assert!(error.starts_with(missing), "{command:?}: {error}");
        assert_eq!(error.matches("cannot be written to").count(), 1, "{command:?}: {error}");
    }
    assert!(std::fs::read(&db).unwrap() == before);
    // Others do not need them.
    let output = unprivileged(folder.path()).args(["list", "--db"]).arg(&db).output().unwrap();
    assert_eq!(stderr(&output), "");
    mode(&read_only, 0o755);
    mode(&db, 0o644);
    let output = annals().args(["stats", "--db"]).arg(&db).output().unwrap();
    assert!(stdout(&output).contains("\nunread_profiles\t4\n"), "{}", stdout(&output));
    read_plans(&db);
    let output = annals().args(["stats", "--db"]).arg(&db).output().unwrap();
    assert!(stdout(&output).contains("\nunread_profiles\t0\n"), "{}", stdout(&output));
}

#[test]
fn commands_read_a_history_in_a_read_only_folder() {
    let folder = TempDir::new().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    let annals = || unprivileged(folder.path());
    // A URI would need escapes for this name.
    let read_only = folder.path().join("a ? of #1 %41");
    std::fs::create_dir(&read_only).unwrap();
    let db = sample(&folder);
    let server = Server::start(&db, &[]);
    push(&server, 1);
    copy(&db, &read_only.join("log-and-index.db"), &["", "-wal", "-shm"]);
    copy(&db, &read_only.join("log.db"), &["", "-wal"]);
    drop(server);
    copy(&db, &read_only.join("closed.db"), &[""]);
    for copied in std::fs::read_dir(&read_only).unwrap() {
        mode(&copied.unwrap().path(), 0o444);
    }
    mode(&read_only, 0o555);
    let not_pruned = |command: &str| match command {
        "prune" => Some(Rejected("cannot be written to; annals needs to write to the file and to")),
        _ => None,
    };
    let names = || {
        let names = std::fs::read_dir(&read_only).unwrap();
        names.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    let before = names();
    check_all(annals, &read_only.join("closed.db"), not_pruned);
    check_all(annals, &read_only.join("log-and-index.db"), not_pruned);
    let mut list = annals();
    list.args(["list", "-n", "1", "--db"]).arg(read_only.join("log-and-index.db"));
    assert!(stdout(&list.output().unwrap()).contains("new-1"));
    // The content of the write-ahead log is not ignored silently.
    check_all(annals, &read_only.join("log.db"), |command| {
        not_pruned(command).or(Some(Rejected("was last written to in the -wal file beside it")))
    });
    assert_eq!(names(), before);
    mode(&read_only, 0o755);
}
