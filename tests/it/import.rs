//! `annals import` of audit logs and profiles, and its exit codes.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{
    WithDb, annals, audit_record, audit_records, data, db_argument, import, is_postgres, number,
    query_rows, stderr, stdout, stored, try_rows,
};
use flate2::write::GzEncoder;
use tempfile::TempDir;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_import_exits_with_0_and_a_second_one_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let log = folder.path().join("whatever.name");
    std::fs::write(&log, audit_records(0..2500)).unwrap();
    let first = import(&db, &[&log]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert!(stdout(&first).contains("records:  2500 new, 0 merged, 0 unchanged"));
    assert!(!stdout(&first).contains("not understood"));
    assert_eq!(stderr(&first), "", "a progress bar without a terminal");
    let before = stored(&db);
    let again = import(&db, &[&log]);
    assert_eq!(again.status.code(), Some(0));
    assert!(stdout(&again).contains("records:  0 new, 0 merged, 2500 unchanged"));
    assert!(before == stored(&db), "something was written");
}

#[test]
fn rejected_records_exit_with_1_and_are_reported_with_file_and_line() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let log = folder.path().join("log");
    let good = audit_records(0..1);
    let head = "2024-01-02 11:15:51,248";
    // No frontend writes these lines.
    let with_id = |id: &str| audit_record(head, &[("QueryId", id), ("Stmt", "select 1")]);
    let bad = format!(
        "a line before any record\n{good}{head} [disconnection] |Client=10.0.0.1:5000|User=a\n\
         {head} [query] |Client=10.0.0.1:5000|User=a\n{}{}\
         {head} INFO (audit-event-processor|7) [AuditLog.log():68] {{\"QueryId\": \n{}",
        with_id(&"x".repeat(129)),
        with_id("a b"),
        audit_records(1..2),
    );
    std::fs::write(&log, bad).unwrap();
    let output = import(&db, &[&log]);
    assert_eq!(output.status.code(), Some(1));
    let printed = stdout(&output);
    assert!(printed.contains("records:  2 new"), "{printed}");
    for (reason, line) in [
        ("1 x not part of any record", 1),
        ("1 x a record of a type other than", 3),
        ("1 x a record without a query id", 4),
        ("the query id is longer than 128 characters", 5),
        ("the query id holds white space", 6),
        ("1 x a record whose JSON cannot be read", 7),
    ] {
        assert!(printed.contains(reason), "{reason}: {printed}");
        assert!(printed.contains(&format!("{}:{line}\n", log.display())), "{line}: {printed}");
    }
}

#[test]
fn an_import_of_nothing_readable_exits_with_2() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let junk = folder.path().join("junk");
    std::fs::write(&junk, "neither this\nnor that\n").unwrap();
    let output = import(&db, &[&junk]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("neither an audit log nor a profile"));

    let missing = import(&db, &[&folder.path().join("missing")]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("there is no file or folder"));

    let zone = annals().args(["import", "--time-zone", "Mars/Olympus", "x"]).output().unwrap();
    assert_eq!(zone.status.code(), Some(2));
    assert!(stderr(&zone).contains("not an IANA time zone"));
}

#[test]
fn a_missing_path_does_not_stop_the_import_of_the_others() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let missing = folder.path().join("missing");
    std::fs::write(&log, audit_records(0..3)).unwrap();
    let output = import(&db, &[&missing, &log]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let report = stdout(&output);
    assert!(report.contains("1 x there is no file or folder of this name"), "{report}");
    assert!(report.contains(&format!("        {}\n", missing.display())), "{report}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 3);
}

#[test]
fn the_places_that_are_not_listed_are_counted() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    std::fs::write(&log, audit_records(0..1) + &"noise\n".repeat(5)).unwrap();
    let report = stdout(&import(&db, &[&log]));
    assert!(report.contains("5 x not part of any record"), "{report}");
    assert!(report.contains(":4\n        and 2 more\n"), "{report}");
}

#[test]
fn the_context_that_grep_writes_is_read_without_mixing_records() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("fe.audit.log");
    let text = audit_records(0..12).replace("select ", "select\n");
    let ids: Vec<&str> =
        text.split("|QueryId=").skip(1).filter_map(|rest| rest.split('|').next()).collect();
    std::fs::write(&log, &text).unwrap();
    for (option, outside) in [("-n", 2), ("-H", 2), ("-nH", 2), ("-h", 2)] {
        let db = folder.path().join(format!("{option}.db"));
        let output = std::process::Command::new("grep")
            .args([option, "-C1", "-e", ids[3], "-e", ids[9]])
            .arg("fe.audit.log")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let found = folder.path().join("found");
        std::fs::write(&found, &output.stdout).unwrap();
        let report = stdout(&import(&db, &[&found]));
        // Each place begins with the last line of the record before.
        assert!(report.contains("records:  2 new"), "{option}: {report}");
        assert!(report.contains(&format!("{outside} x not part")), "{option}: {report}");
        let mixed = "SELECT count(*) FROM query WHERE statement LIKE '%--%'";
        assert_eq!(number(&db, mixed), 0, "{option}: {report}");
    }
}

#[test]
fn a_pipe_is_read_if_it_is_named_and_skipped_in_a_folder() {
    let folder = TempDir::new().unwrap();
    let (logs, db) = (folder.path().join("logs"), folder.path().join("a.db"));
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("fe.audit.log"), audit_records(0..3)).unwrap();
    let pipe = logs.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink(&pipe, logs.join("link-to-pipe")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", logs.join("link-to-device")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(logs.join("socket")).unwrap();
    std::fs::write(folder.path().join("other"), audit_records(3..5)).unwrap();
    std::os::unix::fs::symlink(folder.path().join("other"), logs.join("link-to-file")).unwrap();
    let output = import(&db, &[&logs]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let report = stdout(&output);
    assert!(report.contains("a pipe, socket or device in a folder"), "{report}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 5);
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, audit_records(5..7)).unwrap()
    });
    let output = import(&db, &[&pipe]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    writer.join().unwrap();
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 7);
}

#[test]
fn an_import_of_nothing_says_so_and_exits_with_2() {
    let folder = TempDir::new().unwrap();
    let (db, empty) = (folder.path().join("a.db"), folder.path().join("empty"));
    let no_files = folder.path().join("folder");
    std::fs::write(&empty, "").unwrap();
    std::fs::create_dir(&no_files).unwrap();
    for is_new in [true, false] {
        for (path, why) in [(&empty, "the file is empty"), (&no_files, "there is no file")] {
            let output = import(&db, &[path]);
            assert_eq!(output.status.code(), Some(2));
            let line = format!("\n  nothing was found: {why}\n");
            assert!(stdout(&output).ends_with(&line), "{}", stdout(&output));
        }
        assert!(is_postgres() || db.exists() != is_new);
        // An empty file beside others is no mistake.
        let output = import(&db, &[&empty, &data("fe.audit.log")]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        assert!(!stdout(&output).contains("nothing was found"), "{}", stdout(&output));
    }
}

#[test]
fn a_history_in_a_folder_is_named_as_one() {
    let folder = TempDir::new().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let (other, log) = (logs.join("other.db"), logs.join("fe.audit.log"));
    std::fs::write(&log, audit_records(0..3)).unwrap();
    let made = annals().arg("import").arg(&log).arg("--db").arg(&other).output().unwrap();
    assert!(made.status.success());
    // As an open history has them.
    for end in ["-wal", "-shm"] {
        std::fs::write(logs.join(format!("other.db{end}")), "pages").unwrap();
    }
    let db = folder.path().join("a.db");
    let output = import(&db, &[&logs]);
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let hint = "  not imported: 1 history of annals; `annals merge FILE` adds one to another\n";
    assert!(printed.contains(&format!("{hint}        {}\n", other.display())), "{printed}");
    assert!(
        printed.contains("records:  3 new") && !printed.contains("not understood"),
        "{printed}"
    );
    std::fs::remove_file(&log).unwrap();
    let output = import(&db, &[&logs]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains(hint), "{}", stdout(&output));
    assert!(!stdout(&output).contains("nothing was found"), "{}", stdout(&output));
}

#[test]
fn files_are_recognized_by_content_in_folders_and_in_gzip() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("input");
    std::fs::create_dir_all(input.join("deep/deeper")).unwrap();
    // Two gzip members, as `cat a.gz b.gz` makes them.
    let log = [gzip(audit_records(0..10).as_bytes()), gzip(audit_records(10..20).as_bytes())];
    std::fs::write(input.join("deep/profile.txt"), log.concat()).unwrap();
    let profile = std::fs::read(data("profiles/doris-2.1.txt")).unwrap();
    std::fs::write(input.join("deep/deeper/fe.audit.log"), gzip(&profile)).unwrap();
    // The database is in the same folder, and is skipped.
    let db = input.join("a.db");
    let output = import(&db, &[&input]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("records:  21 new"), "{}", stdout(&output));
    assert!(stdout(&output).contains("profiles: 1 new"));
}

#[test]
fn standard_input_is_read() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let mut process = annals()
        .args(["import", "-"])
        .env("ANNALS_DB", db_argument(&db))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(&gzip(audit_records(0..10).as_bytes())).unwrap();
    drop(input);
    assert_eq!(process.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 10);
}

#[test]
fn records_before_damaged_compression_are_imported() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let log = folder.path().join("log.gz");
    let whole = gzip(audit_records(0..20_000).as_bytes());
    std::fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    let output = import(&db, &[&log]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("its compression is damaged or cut off"));
    assert!(number(&db, "SELECT count(*) FROM query") > 5000);
}

#[test]
fn a_truncated_log_gives_no_wrong_record() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let log = folder.path().join("log");
    let (first, second) = (audit_records(0..1), audit_records(7..8));
    std::fs::write(&log, format!("{first}{second}")).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let dump = |db: &std::path::Path| query_rows(db, "query_id IS NOT NULL");
    let whole = dump(&db);
    // Every eleventh position. The unit tests of the parser cut at every position.
    for cut in (0..second.len()).step_by(11) {
        let db = folder.path().join(format!("{cut}.db"));
        std::fs::write(&log, format!("{first}{}", &second[..cut])).unwrap();
        import(&db, &[&log]);
        // The complete log, imported after the truncated one, gives the same rows as alone.
        std::fs::write(&log, format!("{first}{second}")).unwrap();
        assert!(import(&db, &[&log]).status.success());
        assert_eq!(dump(&db), whole, "cut at {cut}: {}", &second[..cut]);
    }
}

#[test]
fn an_audit_line_and_a_profile_give_the_same_row_in_either_order() {
    let folder = TempDir::new().unwrap();
    let (log, profile) = (data("fe.audit.log"), data("profiles"));
    let row = |db: &str, paths: &[&std::path::Path]| {
        let db = folder.path().join(db);
        for path in paths {
            import(&db, &[path]);
        }
        query_rows(&db, "query_id LIKE 'fbb2%'")
    };
    let log_first = row("a.db", &[&log, &profile]);
    assert_eq!(log_first, row("b.db", &[&profile, &log]));
    assert_eq!(log_first, row("c.db", &[&profile, &log, &profile, &log]));
}

#[test]
fn large_records_are_stored_and_too_large_ones_are_counted() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let mut process = annals()
        .args(["import", "-"])
        .db(&db)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    // The parts of a record before its id, between id and statement, and after the statement.
    let values = [("QueryId", "@"), ("Stmt", "@"), ("CpuTimeMS", "5")];
    let record = audit_record("2024-01-02 11:15:51,248", &values);
    let parts: Vec<&str> = record.split('@').collect();
    let [head, middle, tail] = parts[..] else { panic!("{record}") };
    let line = "x, -- a line of a long statement\n".repeat(1 << 15);
    write!(input, "{head}1-1{middle}select {line}{line}{tail}{head}2-2{middle}select ").unwrap();
    for _ in 0..70 {
        input.write_all(line.as_bytes()).unwrap();
    }
    // A record without any line end.
    write!(input, "{tail}{head}3-3{middle}select ").unwrap();
    for _ in 0..70 {
        input.write_all("y".repeat(1 << 20).as_bytes()).unwrap();
    }
    write!(input, "{tail}{head}4-4{middle}select 4{tail}").unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("2 x a record larger than 64 MiB"), "{printed}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 2);
    assert_eq!(
        number(&db, "SELECT length(statement) FROM query WHERE query_id = '1-1'"),
        7 + 2 * line.len() as i64
    );
    assert_eq!(number(&db, "SELECT cpu_time_ms FROM query WHERE query_id = '1-1'"), 5);
}

#[test]
fn an_import_after_a_kill_completes_without_loss_or_duplicates() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    let records = audit_records(0..60_000);
    std::fs::write(&log, &records).unwrap();
    let mut process = annals()
        .args(["import", "-"])
        .db(&db)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The process gets half of the input, and commits some of it before the rest comes.
    let mut input = process.stdin.take().unwrap();
    input.write_all(&records.as_bytes()[..records.len() / 2]).unwrap();
    let began = Instant::now();
    let committed = loop {
        let count = committed(&db);
        if count > 0 || began.elapsed() > Duration::from_secs(30) {
            break count;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(committed > 0 && committed < 60_000, "{committed}");
    let output = import(&db, &[&log]);
    let printed = stdout(&output);
    assert!(output.status.success(), "{printed}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 60_000);
    assert_eq!(number(&db, "SELECT count(DISTINCT query_id) FROM query"), 60_000);
    assert_eq!(number(&db, "SELECT count(DISTINCT statement) FROM query"), 60_000);
    assert!(!printed.contains("60000 new"), "the import started over: {printed}");
}

/// Returns the number of rows that another process sees, or 0 before the tables exist.
fn committed(db: &std::path::Path) -> i64 {
    let exist = try_rows(db, "SELECT 1 FROM query LIMIT 1");
    exist.map_or(0, |_| number(db, "SELECT count(*) FROM query"))
}

#[test]
fn local_times_are_read_in_the_given_zone() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..1)).unwrap();
    for (name, zone, started_ms) in
        [("utc", "UTC", 1_704_193_200_000), ("shanghai", "Asia/Shanghai", 1_704_164_400_000_i64)]
    {
        let db = folder.path().join(name);
        let output = annals().args(["import", "--time-zone", zone]).arg(&log).db(&db).output();
        assert!(output.unwrap().status.success());
        assert_eq!(number(&db, "SELECT started_ms FROM query"), started_ms);
    }
    // The default is the zone of the machine.
    let db = folder.path().join("own");
    let output = annals().env("TZ", "Asia/Shanghai").arg("import").arg(&log).db(&db).output();
    assert!(output.unwrap().status.success());
    assert_eq!(number(&db, "SELECT started_ms FROM query"), 1_704_164_400_000);
}
