//! The commands that read a history without a server.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{
    self, WithDb, annals, audit_record, audit_records, binary, data, db_argument, import,
    profile_with_finding, stderr, stdout,
};
use serde_json::Value;
use tempfile::TempDir;

const ID: &str = "fbb2582c72884d29-9dd9de3b42b740e9";

fn sample() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("history.db");
    import(&db, &[&data("")]);
    (folder, db)
}

fn run(db: &Path, arguments: &[&str]) -> Output {
    let mut command: Command = annals();
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command.args(arguments).db(db).output().unwrap()
}

fn printed(db: &Path, arguments: &[&str]) -> String {
    let output = run(db, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn json(db: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(db, arguments)).unwrap()
}

#[test]
fn each_command_prints_what_is_expected_of_the_samples() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    import(&db, &[&data("")]);
    assert_prints("tests/it/commands.txt", folder.path(), &db_argument(&db));
}

/// Runs each line of a file that begins with `$`, and compares its output with the lines below. With
/// `ANNALS_TEST_EXPECT=write`, writes the output there instead.
pub(crate) fn assert_prints(file: &str, folder: &Path, db: &OsStr) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let expected = std::fs::read_to_string(&file).unwrap();
    let binary = binary();
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let write = std::env::var("ANNALS_TEST_EXPECT").is_ok_and(|what| what == "write");
    let mut printed = String::new();
    for part in format!("\n{}", expected.trim_end()).split("\n$ ").skip(1) {
        let command = part.lines().next().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(folder).env("PATH", &path).env("TZ", "UTC");
        for name in ["ANNALS_CONFIG", "ANNALS_TIME_ZONE", "ANNALS_LOG", "CLICOLOR_FORCE"] {
            shell.env_remove(name);
        }
        shell.env("ANNALS_DB", db);
        let output = shell.output().unwrap();
        assert_eq!(stderr(&output), "", "{command}");
        let prints = format!("{command}\n{}", stdout(&output));
        if !write {
            assert_eq!(prints.trim_end(), part.trim_end());
        }
        printed.push_str(&format!("$ {prints}"));
    }
    if write {
        std::fs::write(&file, printed).unwrap();
    }
}

#[test]
fn a_list_has_the_columns_and_the_queries_of_its_arguments() {
    let (_folder, db) = sample();
    assert_eq!(
        printed(
            &db,
            &["list", "--user", "alice", "-c", "query_id,started_at,duration_ms,statement"]
        ),
        "query_id\tstarted_at\tduration_ms\tstatement\n\
         77aa0c19b2f04cfe-8e5d1c2b3a495867\t2024-08-06 11:18:00\t3\tselec 1\n\
         1f4e-a2b\t2024-08-06 11:16:00\t1052\tselect a || '|' || b, c = 'x=1'\\nfrom t -- a second \
         line\\r\\nwhere note = '|CpuTimeMS=1' or note like '%|SqlHash=abc'\n"
    );
    assert_eq!(printed(&db, &["list", "-n", "3", "--json"]).lines().count(), 3);
    let unknown = run(&db, &["list", "-c", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("unknown column nothing; the columns are query_id, kind"));
}

#[test]
fn a_query_is_named_by_the_start_of_its_id() {
    let (_folder, db) = sample();
    let shown = printed(&db, &["show", "1f4e"]);
    assert!(shown.contains("query_id             1f4e-a2b\n"), "{shown}");
    assert!(shown.contains("\n\nselect a || '|' || b,\n  c = 'x=1'\nfrom t"), "{shown}");
    assert_eq!(json(&db, &["show", "fbb", "--json"])["query_id"], ID);
    // Without a profile, its record reports where the time went.
    let shown = printed(&db, &["show", "d40a6b1c2d3e4f50-a1b2c3d4e5f60711"]);
    assert!(shown.contains("\n\nparse                            2 ms   0.3%\nplan "), "{shown}");
    assert!(shown.contains("\n  serialize fragments            3 ms   0.4%\n"), "{shown}");
    assert!(
        shown.contains("\nexecute                        702 ms  95.6% ##########\n\nselect"),
        "{shown}"
    );
    assert!(!printed(&db, &["show", "fbb"]).contains("\nplan "));
    let ambiguous = run(&db, &["show", "8c1d"]);
    assert_eq!(ambiguous.status.code(), Some(2));
    // The candidates have their starts and users.
    let candidates = stderr(&ambiguous);
    assert!(candidates.contains("\n8c1d2e3f40516273-b4c5d6e7f8091a2b  20"), "{candidates}");
    assert_eq!(candidates.matches("\n8c1d2e3f40516273-").count(), 2, "{candidates}");
    assert!(stderr(&run(&db, &["show", "nobody"])).contains("no query id begins with nobody"));
}

#[test]
fn findings_of_a_profile_are_shown() {
    let (folder, db) = sample();
    let none = printed(&db, &["profile", ID, "--findings"]);
    assert_eq!(none, "no findings: the profile proves nothing that a rule looks for\n");
    let file = folder.path().join("profile.txt");
    // What a table is called may be anything.
    std::fs::write(&file, profile_with_finding("shop.or\u{1b}[31mders(orders)")).unwrap();
    import(&db, &[&file]);
    let found = printed(&db, &["profile", "6b1d", "--findings"]);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].ends_with("% wrong-estimate  node 7"), "{found}");
    assert!(lines[1].starts_with("       HASH_JOIN 7 returned 40,000,000 rows, where"), "{found}");
    assert_eq!(
        lines[2..4],
        ["       - rows: 40,000,000 rows", "       - expected rows: 3,000,000 rows"]
    );
    assert!(lines[4].starts_with("       Try: Collect statistics"), "{found}");
    assert!(lines[5].starts_with("       See: enable_auto_analyze, https://doris."), "{found}");
    let report = json(&db, &["profile", "6b1d", "--findings", "--json"]);
    assert_eq!(report["findings"][0]["rule"], "wrong-estimate");
    let plan = printed(&db, &["profile", "6b1d", "--plan"]);
    let join = plan.lines().find(|line| line.contains("HASH_JOIN 7")).unwrap();
    assert!(join.contains("HASH_JOIN 7  ! wrong-estimate  INNER JOIN(BROADCAST)"), "{plan}");
    assert_eq!(plan.matches("! wrong-estimate").count(), 1, "{plan}");
    assert!(plan.ends_with("--findings shows what.\n") && !plan.contains('\u{1b}'), "{plan}");
    // Of all runs, rule by rule.
    let overview = run(&db, &["findings"]);
    assert_eq!(stderr(&overview), "annals: 1 run has findings\n");
    let overview = stdout(&overview);
    let [names, rule, "", names_of_statements, statement] =
        overview.lines().collect::<Vec<_>>()[..]
    else {
        panic!("{overview}");
    };
    assert_eq!(names, "rule\ttotal_ms\truns\tmeaning");
    assert_eq!(names_of_statements, "rule\ttotal_ms\truns\tfingerprint\tquery_id\tstatement");
    assert!(rule.starts_with("wrong-estimate\t10240\t1\tThe planner expected a join"), "{rule}");
    let fingerprint = json(&db, &["show", "6b1d", "--json"])["fingerprint"].clone();
    let start = format!("wrong-estimate\t10240\t1\t{}\t", fingerprint.as_str().unwrap());
    assert!(statement.starts_with(&format!("{start}6b1d")), "{statement}");
    assert!(statement.ends_with("\tselect sum(o.price) from orders o join customers c on o.customer = c.id where o.price > ?"), "{statement}");
    let overview = json(&db, &["findings", "--json"]);
    assert_eq!(overview["rules"][0]["statements"][0]["fingerprint"], fingerprint);
    assert_eq!(json(&db, &["findings", "--user", "nobody", "--json"])["runs"], 0);
    let both = run(&db, &["profile", "6b1d", "--findings", "--plan"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_profile_is_text_a_tree_and_a_picture() {
    let (folder, db) = sample();
    let text = std::fs::read_to_string(data("profiles/doris-2.1.txt")).unwrap();
    assert_eq!(printed(&db, &["profile", ID]), text);
    let tree = printed(&db, &["profile", ID, "--tree"]);
    let costly = "!    36.2ms  98.4% ##########   OLAP_SCAN_OPERATOR (id=0. nereids_id=71.";
    assert!(tree.lines().any(|line| line.starts_with(costly)), "{tree}");
    let picture = folder.path().join("flame.svg");
    printed(&db, &["profile", ID, "--flame", picture.to_str().unwrap()]);
    assert!(std::fs::read_to_string(picture).unwrap().contains("OLAP_SCAN_OPERATOR"));
    let none = run(&db, &["profile", "1f4e"]);
    assert!(stderr(&none).contains("no profile stored for query 1f4e-a2b"));
    let diff = printed(&db, &["diff", "fbb", "8c1d2e3f40516273-b4c5d6e7f8091a2c"]);
    assert!(diff.starts_with("these are two different statements\n"), "{diff}");
    let same = printed(&db, &["diff", "fbb", "fbb"]);
    assert_eq!(same, "both are the same run, so nothing differs\n");
    let loads = printed(&db, &["diff", "10238", "2098d69e"]);
    assert!(loads.starts_with("both are loads\n"), "{loads}");
    assert!(loads.ends_with("\nnodes: loads have no plan\n"), "{loads}");
    let mixed = printed(&db, &["diff", "fbb", "2098d69e"]);
    assert!(mixed.starts_with("one is a load, the other a query\n"), "{mixed}");
    assert!(diff.contains("duration_ms\t316\t1000\t+684 (3.2x)\n"), "{diff}");
    assert!(
        diff.contains("-\t4.0ms\t+4.0ms\t\t8200\tOLAP_TABLE_SINK (olap_table_sink, only after)\n"),
        "{diff}"
    );
}

#[test]
fn a_list_of_nothing_says_what_was_looked_for() {
    let (_folder, db) = sample();
    let said = |arguments: &[&str]| {
        let output = run(&db, arguments);
        assert!(output.status.success(), "{arguments:?}");
        stderr(&output)
    };
    let nothing = said(&["list", "--from", "2024-08-08", "--to", "2024-08-09", "--user", "carol"]);
    let range = "from 2024-08-08 00:00:00 to 2024-08-09 00:00:00";
    let nearest = "the nearest earlier one started at 2024-08-07 09:04:59";
    assert_eq!(nothing, format!("annals: no query matches {range}; {nearest}\n"));
    assert_eq!(said(&["list", "--user", "nobody"]), "annals: no query matches\n");
    let loads = said(&["list", "--type", "load", "--to", "2020-01-01"]);
    assert!(loads.starts_with("annals: no load matches before 2020-01-01 00:00:00; "), "{loads}");
    assert!(loads.contains("; the nearest later one started at 2024-08-0"), "{loads}");
    assert_eq!(said(&["export", "--user", "nobody"]), "annals: no query matches\n");
    let top = said(&["top", "--from", "2030-01-01"]);
    assert!(top.starts_with("annals: no query matches since 2030-01-01 00:00:00; "), "{top}");
    assert_eq!(said(&["list", "--limit", "1"]), "");
}

#[test]
fn top_shows_what_is_expensive_and_what_got_slower() {
    let (folder, db) = sample();
    let users =
        printed(&db, &["top", "--by", "user", "--from", "2024-08-06", "--to", "2024-08-07"]);
    assert!(
        users.lines().nth(2).unwrap().starts_with("1\t0\t62003\t62003\t62003\t62003\t"),
        "{users}"
    );
    let hours = json(&db, &["top", "--by", "hour", "--from", "2024-01-01", "--json"]);
    assert_eq!(hours[0]["name"], "2024-08-06 11:00");
    let log = folder.path().join("log");
    let mut lines = String::new();
    for (day, base) in [("2024-09-01", 100), ("2024-09-08", 150)] {
        for number in 0..40 {
            lines += &audit_record(
                &format!("{day} {:02}:{:02}:30,000", number / 2, number % 2 * 30),
                &[
                    ("User", "u"),
                    ("Time(ms)", &(base + number).to_string()),
                    ("StmtId", &number.to_string()),
                    ("QueryId", &format!("{day}-{number}")),
                    ("Stmt", &format!("select * from t where a = {number}")),
                ],
            );
        }
    }
    std::fs::write(&log, lines).unwrap();
    import(&db, &[&log]);
    let found = json(&db, &["regress", "--from", "2024-09-08", "--to", "2024-09-09", "--json"]);
    let slower = &found["statements"];
    assert_eq!(slower[0]["normalized"], "select * from t where a = ?");
    let found = json(&db, &["top", "--from", "2024-09-01", "--search", "A = 7", "--json"]);
    assert_eq!(found[0]["name"], "select * from t where a = ?");
    assert_eq!(json(&db, &["top", "--words", "nowhere", "--json"]), serde_json::json!([]));
    let empty =
        run(&db, &["top", "--from", "2020-01-01", "--to", "2020-01-02", "--time-zone", "UTC"]);
    assert_eq!(empty.status.code(), Some(0));
    assert_eq!(
        stderr(&empty),
        "annals: no query matches from 2020-01-01 00:00:00 to 2020-01-02 00:00:00; the nearest later one started at 2020-08-26 16:27:20\n"
    );
    assert_eq!(stdout(&empty).lines().count(), 1, "the names of the columns");
    let last_day = run(&db, &["top"]);
    assert_eq!(
        stderr(&last_day),
        "annals: 4 runs with a statement from 2025-11-17 10:14:02 to 2025-11-18 10:14:02\n"
    );
    assert_eq!(
        (&slower[0]["after"]["p50_ms"], &slower[0]["before"]["p50_ms"]),
        (&169.into(), &119.into())
    );
    let change = &slower[0]["changes"][0];
    assert_eq!(change["kind"], "slower");
    assert!(change["confidence"].as_f64().unwrap() > 0.999, "{slower}");
    let sorted = printed(&db, &["top", "--from", "2024-09-01", "--sort", "variation"]);
    assert!(
        sorted.starts_with("fingerprint\tcount\terrors\ttotal_ms")
            && sorted.contains("\tvariation\t")
    );
    let text = run(&db, &["regress", "--from", "2024-09-08", "--to", "2024-09-09"]);
    assert!(
        stderr(&text).contains("annals: statements that changed from 2024-09-08 00:00:00 to "),
        "{}",
        stderr(&text)
    );
    let wrong = run(&db, &["regress", "--baseline", "last week"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("--baseline: last week is not how long before, like 7d"));
}

#[test]
fn an_audit_export_comes_back_as_the_same() {
    let (folder, db) = sample();
    let log = folder.path().join("export.log");
    let text = printed(&db, &["export", "--format", "audit"]);
    assert!(text.contains(",250 [query] |Timestamp=17"), "{text}");
    assert!(
        text.contains("\nwhere note = '|CpuTimeMS=1' or note like '%|SqlHash=abc'|CpuTimeMS=900|")
    );
    std::fs::write(&log, text).unwrap();
    let again = folder.path().join("again.db");
    let output = import(&again, &[&log]);
    assert!(output.status.success(), "{}", stdout(&output));
    let exported = |db| -> Vec<Value> {
        let text = printed(db, &["export"]);
        let mut rows: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            row.remove("origin");
            row.remove("has_profile");
        }
        rows.sort_by_key(|row| row["query_id"].to_string());
        rows
    };
    assert_eq!(exported(&again), exported(&db));
    let csv = printed(&db, &["export", "--format", "csv", "--user", "bob"]);
    assert!(csv.starts_with("query_id,kind,state,started_at,"), "{csv}");
    assert!(csv.ends_with(
        "\"select * from orders o join lineitem l on o.id = l.order_id\n where o.total > 100\"\n"
    ));
    assert!(printed(&db, &["stats"]).contains("\nprofiles\t4\n"));
}

#[test]
fn what_is_generated_names_every_command() {
    let folder = TempDir::new().unwrap();
    let script = stdout(&annals().args(["completions", "bash"]).output().unwrap());
    assert!(script.contains("profile") && script.contains("--baseline"));
    assert!(annals().arg("man").arg(folder.path()).status().unwrap().success());
    let page = std::fs::read_to_string(folder.path().join("annals-regress.1")).unwrap();
    assert!(page.contains("Mann and Whitney"));
}

#[test]
fn control_characters_are_escaped_and_a_reader_may_leave() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let log = folder.path().join("log");
    std::fs::write(
        &log,
        audit_records(0..500).replace("Stmt=select 7|", "Stmt=select '\u{1b}[2J'|"),
    )
    .unwrap();
    import(&db, &[&log]);
    let list = printed(&db, &["list", "-n", "500"]);
    assert!(list.contains("\\x1b[2J") && !list.contains('\u{1b}'));
    assert!(!printed(&db, &["list", "--json", "-n", "500"]).contains('\u{1b}'));
    let (annals, db) = (binary(), db_argument(&db));
    let (annals, db, log) = (annals.display(), db.display(), log.display());
    for command in [
        format!("{annals} list -n 500 --db {db} | head -n 1"),
        format!("{annals} import --db {db} {log} | true"),
        format!("{annals} stats --db {db} | true"),
    ] {
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert_eq!(stderr(&output), "", "{command}");
    }
}

/// A running `annals list -f`.
fn follow(db: &Path, arguments: &[&str]) -> Child {
    let mut command = annals();
    command.args(["list", "-f"]).db(db).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_list_follows_what_a_server_imports() {
    let (_folder, db) = sample();
    let server = support::Server::start(&db, &[]);
    let push = |id: &str, time: i64| {
        let row = serde_json::json!({"query_id": id, "time": time, "stmt": "select 1\n"});
        let body = row.to_string();
        assert_eq!(server.send("POST", "/api/v1/queries", &[], body.as_bytes()).0, 200);
    };
    let mut process = follow(&db, &["-n", "2", "-c", "query_id,statement"]);
    let output = BufReader::new(process.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        output.lines().map_while(Result::ok).all(|line| send.send(line).is_ok())
    });
    let next = || lines.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(next(), "query_id\tstatement");
    // The newest comes last.
    assert!(next().starts_with("d40a6b1c2d3e4f50-a1b2c3d4e5f60713\t"));
    assert!(next().starts_with("d40a6b1c2d3e4f50-a1b2c3d4e5f60714\t"));
    push("new-2", 1_800_000_002_000);
    assert_eq!(next(), "new-2\tselect 1\\n");
    // A query that started before but arrives later is new; a query that arrives again is not.
    push("new-2", 1_800_000_002_000);
    push("new-1", 1_800_000_001_000);
    assert_eq!(next(), "new-1\tselect 1\\n");
    push("new-3", 1_800_000_003_000);
    assert_eq!(next(), "new-3\tselect 1\\n");
    // A query that ran for hours is reported when it ends.
    push("long-1", 1_799_990_000_000);
    assert_eq!(next(), "long-1\tselect 1\\n");
    // TERM ends it: processes in the background may ignore INT.
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.signal(), stderr(&output)), (Some(15), String::new()));
    assert_eq!(lines.recv_timeout(Duration::from_secs(10)).ok(), None, "each is written once");

    // The reader goes, though there is nothing more to write.
    let mut process = follow(&db, &["--json", "-n", "1"]);
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["query_id"], "new-3");
    // Queries of the same minute that were stored before do not follow.
    push("new-4", 1_800_000_004_000);
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["query_id"], "new-4");
    std::thread::sleep(Duration::from_secs(1));
    assert!(process.try_wait().unwrap().is_none(), "it waits for more");
    drop(output);
    let begun = Instant::now();
    while process.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
