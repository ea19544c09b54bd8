//! The output on a terminal: a table as wide as the terminal, colours, and a pager for a longer table.
//!
//! These tests need the `script` of util-linux, which makes a terminal: `cargo test -- --include-ignored`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::incident::{PROFILED, incident};
use crate::support::{
    WithDb, annals, audit_record, binary, data, db_argument, import, profile_with_finding, stdout,
};
use tempfile::TempDir;

/// Makes a history of queries whose statements are longer than a terminal is wide.
fn history(folder: &Path, queries: u32) {
    let db = folder.join("annals.db");
    let log = folder.join("log");
    let lines = (0..queries).map(|number| {
        audit_record(
            &format!("2024-09-01 10:00:{number:02},000"),
            &[
                ("User", "somebody"),
                ("Db", "a_database"),
                ("Time(ms)", &number.to_string()),
                ("StmtId", &number.to_string()),
                ("QueryId", &format!("{:016x}-{:016x}", number + 1, number + 1)),
                ("Stmt", &format!("select {}from t", "a_column, ".repeat(40))),
            ],
        )
    });
    std::fs::write(&log, lines.collect::<String>()).unwrap();
    assert!(import(&db, &[&log]).status.success());
}

/// A terminal of this size.
struct Terminal {
    columns: u32,
    rows: u32,
    environment: &'static [(&'static str, &'static str)],
}

impl Terminal {
    /// Runs annals on the terminal. Returns the output on it, and the input of the pager if one ran.
    fn run(&self, folder: &Path, arguments: &str) -> (String, Option<String>) {
        let paged = folder.join("paged");
        let _ = std::fs::remove_file(&paged);
        let pager = format!("cat > {}", paged.display());
        let command = format!(
            "stty cols {} rows {}; {} {arguments}",
            self.columns,
            self.rows,
            binary().display(),
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        script
            .env("TZ", "UTC")
            .env("TERM", "xterm")
            .env("PAGER", pager)
            .env("ANNALS_DB", db_argument(&folder.join("annals.db")));
        // A terminal counts as one with colours where CI is set.
        for name in ["CI", "NO_COLOR", "CLICOLOR_FORCE", "ANNALS_LOG", "LESS"] {
            script.env_remove(name);
        }
        let output =
            script.envs(self.environment.iter().copied()).stdin(Stdio::null()).output().unwrap();
        let shown = stdout(&output).replace("\r\n", "\n");
        assert!(output.status.success(), "{shown}");
        (shown, std::fs::read_to_string(paged).ok())
    }
}

/// Characters of a record that would control the terminal: escape, bell, the eight-bit start of a sequence, and one that
/// turns the direction of text.
const CONTROLS: [char; 4] = ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'];

#[test]
#[ignore = "needs script, of util-linux"]
fn no_text_of_a_record_controls_the_terminal() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("annals.db"), folder.path().join("log"));
    let text: String =
        ["a"].into_iter().map(str::to_string).chain(CONTROLS.map(String::from)).collect();
    let fields = serde_json::json!({
        "query_id": "1-2", "started_ms": 1_704_194_150_000_i64, "duration_ms": 7,
        "statement": format!("select 1 -- {text}"), "user": text, "db": text, "state": text,
        "error_message": text, text.as_str(): text,
    });
    std::fs::write(&log, format!("2024-01-02 11:15:51,248 [query] {fields}\n")).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let terminal = Terminal { environment: &[("NO_COLOR", "1"), ("PAGER", "")], rows: 100, ..WIDE };
    for command in [
        "show 1-2", "show 1-2 --json", "list", "list --json",
        "list -c query_id,user,extra,statement", "export --format csv", "export --format ndjson",
        "export --format audit", "top --by user", "diff 1-2 1-2",
    ] {
        let (shown, _) = terminal.run(folder.path(), command);
        assert!(!shown.contains(CONTROLS), "{command}: {shown:?}");
        assert!(
            shown.contains("1-2") || command.contains("top") || command.contains("diff"),
            "{shown}"
        );
    }
}

const WIDE: Terminal = Terminal { columns: 200, rows: 24, environment: &[] };

#[test]
#[ignore = "needs script, of util-linux"]
fn ids_that_begin_alike_do_not_hide_users_and_databases() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("annals.db"), folder.path().join("log"));
    let lines = (0..3).map(|number| {
        audit_record(
            "2024-09-01 10:00:00,000",
            &[
                ("User", "somebody"),
                ("Db", "a_database"),
                ("StmtId", &number.to_string()),
                ("QueryId", &format!("d40a6b1c2d3e4f50-a1b2c3d4e5f6071{number}")),
                ("Stmt", &format!("select {}from t", "a_column, ".repeat(40))),
            ],
        )
    });
    std::fs::write(&log, lines.collect::<String>()).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let terminal = Terminal { columns: 80, rows: 200, environment: &[("NO_COLOR", "1")] };
    let (list, _) = terminal.run(folder.path(), "list");
    let first = list.lines().nth(1).unwrap();
    assert!(first.starts_with("d40a6b1c2d…0712 2024-09-01 10:00:00 "), "{list}");
    assert!(first.contains(" somebody a_database select"), "{list}");
    // A cut id finds its query.
    let (query, _) = terminal.run(folder.path(), "show d40a6b1c2d…0712");
    assert!(query.contains("d40a6b1c2d3e4f50-a1b2c3d4e5f60712"), "{query}");
}

#[test]
#[ignore = "needs script, of util-linux"]
fn what_is_longer_than_the_terminal_goes_through_the_pager() {
    let folder = TempDir::new().unwrap();
    history(folder.path(), 30);
    let (shown, paged) = WIDE.run(folder.path(), "list");
    let paged = paged.unwrap();
    assert_eq!((shown.as_str(), paged.lines().count()), ("", 31));
    let (first, last) = (paged.lines().nth(1).unwrap(), paged.lines().last().unwrap());
    assert!(
        first.starts_with("000000000000001e-000000000000001e 2024-09-01 10:00:28 29"),
        "{first}"
    );
    assert!(last.starts_with("0000000000000001-0000000000000001 2024-09-01 10:00:00 0"), "{last}");
    // A table that fits is not paged: it has a line more than queries, and the prompt takes one.
    let (shown, paged) = WIDE.run(folder.path(), "list -n 22");
    assert_eq!((shown.lines().count(), paged), (23, None));
    assert!(WIDE.run(folder.path(), "list -n 23").1.is_some());
    // Without a pager, nothing is paged.
    for environment in [&[("PAGER", "")], &[("PAGER", "cat")]] {
        let (shown, paged) = Terminal { environment, ..WIDE }.run(folder.path(), "list");
        assert_eq!((shown.lines().count(), paged), (31, None));
    }
    // The input of a program is not paged.
    let (shown, paged) = WIDE.run(folder.path(), "list | cat");
    assert_eq!((shown.lines().count(), paged), (31, None), "{shown}");
    assert!(shown.starts_with("query_id\tstarted_at\tduration_ms\t"), "{shown}");
}

#[test]
#[ignore = "needs script, of util-linux"]
fn no_line_is_longer_than_the_terminal_is_wide() {
    let folder = TempDir::new().unwrap();
    history(folder.path(), 10);
    let shown = |columns, arguments: &str| {
        let terminal = Terminal { columns, environment: &[("NO_COLOR", "1")], ..WIDE };
        let (shown, _) = terminal.run(folder.path(), arguments);
        let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns as usize, "{columns}\n{shown}");
        // A cell is one line.
        if arguments.starts_with("list") {
            assert_eq!(shown.lines().count(), 11, "{columns}\n{shown}");
        }
        shown
    };
    let names = |shown: &str| {
        shown.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // The statement gets the width that the other columns leave.
    let wide = shown(200, "list");
    assert_eq!(names(&wide), "query_id started_at duration state user db statement");
    assert!(wide.contains("\n000000000000000a-000000000000000a 2024"), "{wide}");
    assert!(wide.lines().skip(1).all(|line| line.chars().count() > 190), "{wide}");
    let narrow = shown(80, "list");
    // An id is cut where it differs from the others.
    assert_eq!(names(&narrow), "query_id started_at duration user db statement");
    let first = narrow.lines().nth(1).unwrap();
    let cut = "000000000000000a 2024-09-01 10:00:08 9 ms     somebody a_database select a_col…";
    assert!(first.starts_with(cut), "{narrow}");
    // A cut id finds its query.
    let id = first.split_whitespace().next().unwrap();
    let high = Terminal { columns: 80, rows: 200, environment: &[("NO_COLOR", "1")] };
    let (query, _) = high.run(folder.path(), &format!("show {id}"));
    assert!(query.contains("000000000000000a-000000000000000a"), "{query}");
    // The value by which a list is sorted is shown.
    let by_bytes = shown(80, "list --sort scan-bytes");
    assert_eq!(names(&by_bytes), "query_id started_at scanned duration user statement");
    let users = shown(80, "top --from 2024-09-01 --by user --sort scan-rows");
    assert_eq!(names(&users), "count errors total p50 p95 p99 scan_rows scanned cpu_time user");
    let hours = shown(80, "top --from 2024-09-01 --by hour 2>/dev/null");
    assert!(hours.lines().nth(1).unwrap().ends_with(" 2024-09-01 10:00"), "{hours}");
    let usage = shown(80, "usage --from 2024-09-01 --to 2024-09-02 2>/dev/null");
    assert!(names(&usage).starts_with("kind running before cpu_time"), "{usage}");
    assert!(names(&usage).contains("errors count"), "{usage}");
    // A fingerprint is whole, because other commands take no part of one.
    let top = shown(80, "top --from 2024-09-01 2>/dev/null");
    let fingerprint = top.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    for columns in (50..120).step_by(3) {
        let usage = shown(columns, "usage --from 2024-09-01 --to 2024-09-02 2>/dev/null");
        let statement = usage.lines().find(|line| line.starts_with("statement")).unwrap();
        assert!(statement.contains(&format!(" {fingerprint}")), "{usage}");
    }
    assert_eq!(names(&shown(40, "list")), "query_id duration statement");
    // A comparison keeps both values and their difference, and the statements are below it.
    let diff = shown(80, "diff 0000000000000001 000000000000000a");
    assert_eq!(names(&diff), "column before after change");
    for row in ["duration 0 ms 9 ms +9 ms", "started_at 2024-09-01 10:00:00 2024-09-01 10:00:08"] {
        let is_row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") == row;
        assert!(diff.lines().any(is_row), "{row}: {diff}");
    }
    for columns in [20, 40, 80, 120, 500] {
        for command in ["list", "list -c query_id", "top --from 2024-09-01 2>/dev/null", "stats"] {
            shown(columns, command);
        }
    }
}

#[test]
#[ignore = "needs script, of util-linux"]
fn lines_of_a_profile_break_between_words() {
    let folder = TempDir::new().unwrap();
    let (db, file) = (folder.path().join("annals.db"), folder.path().join("profile.txt"));
    let table = "shop.a_table_with_a_rather_long_name(orders)";
    std::fs::write(&file, profile_with_finding(table)).unwrap();
    assert!(import(&db, &[&file]).status.success());
    let shown = |columns, arguments: &str| {
        let environment: &[(&str, &str)] = &[("NO_COLOR", "1"), ("PAGER", "")];
        Terminal { columns, rows: 500, environment }.run(folder.path(), arguments).0
    };
    let findings = shown(80, "findings");
    let names = findings.lines().next().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(names, ["rule", "total", "runs", "meaning"]);
    let (_, statements) = findings.split_once("\n\n").unwrap();
    let names = statements.lines().next().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(names, ["rule", "total", "runs", "fingerprint", "query_id", "statement"]);
    assert!(findings.lines().all(|line| line.chars().count() <= 80), "{findings}");
    for option in ["--findings", "--plan", "--tree"] {
        let command = format!("profile {PROFILED} {option}");
        let (wide, narrow) = (shown(500, &command), shown(80, &command));
        let words = |shown: &str| shown.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(words(&narrow), words(&wide), "{narrow}");
        assert!(narrow.lines().count() > wide.lines().count(), "{narrow}");
        // Only an address is longer than a line.
        let long = narrow.lines().filter(|line| line.chars().count() > 80);
        assert!(long.clone().all(|line| line.trim_start().starts_with("https://")), "{narrow}");
    }
}

#[test]
#[ignore = "needs script, of util-linux"]
fn colours_follow_the_environment_and_the_terminal() {
    let folder = TempDir::new().unwrap();
    history(folder.path(), 1);
    let coloured = |environment| {
        let (shown, _) = Terminal { environment, rows: 200, ..WIDE }.run(folder.path(), "show 0");
        assert!(shown.contains("select"), "{shown}");
        let (piped, _) =
            Terminal { environment, rows: 200, ..WIDE }.run(folder.path(), "show 0 | cat");
        (shown.contains("\x1b["), piped.contains("\x1b["))
    };
    assert_eq!(coloured(&[]), (true, false));
    assert_eq!(coloured(&[("NO_COLOR", "1")]), (false, false));
    assert_eq!(coloured(&[("NO_COLOR", "")]), (true, false));
    assert_eq!(coloured(&[("TERM", "dumb")]), (false, false));
    assert_eq!(coloured(&[("CLICOLOR_FORCE", "1")]), (true, true));
    assert_eq!(coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), (false, false));
}

#[test]
#[ignore = "needs script, of util-linux"]
fn a_narrow_list_of_loads_has_their_clusters() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    for (cluster, input) in [("prod", "fe.audit.log"), ("test", "doris-4.0")] {
        let mut command = annals();
        let imported = command.args(["import", "--cluster", cluster]).arg(data(input)).db(&db);
        assert!(imported.output().unwrap().status.success());
    }
    let terminal = Terminal { columns: 80, environment: &[("NO_COLOR", "1")], ..WIDE };
    let (shown, _) = terminal.run(folder.path(), "list --type load 2>/dev/null");
    assert!(shown.lines().next().unwrap().contains(" cluster "), "{shown}");
}

#[test]
#[ignore = "needs script, of util-linux"]
fn a_narrow_list_of_changes_says_from_what_to_what() {
    let folder = TempDir::new().unwrap();
    let input = incident(folder.path());
    assert!(import(&folder.path().join("annals.db"), &[&input]).status.success());
    let terminal = Terminal { columns: 80, environment: &[("NO_COLOR", "1")], ..WIDE };
    let (shown, _) = terminal.run(folder.path(), "regress 2>/dev/null");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("change                 fingerprint      extra"), "{shown}");
    assert!(lines[1].starts_with("new                    d07cece60b82aba1 4 min 52 s"), "{shown}");
    assert!(lines[2].starts_with("slower 211 ms → 1.03 s e146a5a40055983f 25.3 s"), "{shown}");
    assert!(lines[0].contains(" confidence "), "{shown}");
    let (usage, _) = terminal.run(folder.path(), "usage --from 2025-11-03 2>/dev/null");
    assert!(usage.lines().next().unwrap().contains(" scanned "), "{usage}");
    // What a user ran only in the period is new.
    let (shown, _) = terminal.run(folder.path(), "regress --user mira 2>/dev/null");
    assert!(shown.lines().nth(1).unwrap().starts_with("new    d07cece60b82aba1"), "{shown}");
}
