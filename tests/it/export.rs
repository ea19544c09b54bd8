//! What `annals export` writes for other programs: spreadsheets run no formula from a record, and nothing is lost in the
//! formats that promise so.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{WithDb, annals, import, stdout};

/// Texts of a record that a spreadsheet would run, or that control a terminal.
const STATEMENT: &str = "=cmd|' /C calc'!A0";
const USER: &str = "@sum\u{1b}[2J\u{9b}";

fn record(id: &str, statement: &str) -> String {
    let fields = serde_json::json!({
        "query_id": id, "started_ms": 1_704_194_150_000_i64, "statement": statement, "user": USER,
        "error_code": "-5", "duration_ms": 7, "db": "+1+1", "trace_id": "-x",
        "key\u{1b}]0;t\u{7}": "v",
    });
    format!("2024-01-02 11:15:51,248 [query] {fields}\n")
}

fn exported(db: &Path, format: &str) -> String {
    stdout(&annals().args(["export", "--format", format]).db(db).output().unwrap())
}

#[test]
fn formulas_are_quoted_in_csv_and_nothing_is_lost_elsewhere() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    std::fs::write(&log, record("1-2", STATEMENT) + &record("1-3", "-- a note\nselect 1")).unwrap();
    assert!(import(&db, &[&log]).status.success());

    let csv = exported(&db, "csv");
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let names = rows.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row][names.iter().position(|other| other == name).unwrap()].to_string()
    };
    let row = usize::from(cell(0, "query_id") != "1-2");
    assert_eq!(cell(row, "statement"), format!("'{STATEMENT}"));
    assert_eq!(cell(1 - row, "statement"), "'-- a note\nselect 1");
    assert_eq!(cell(row, "user"), format!("'{USER}"));
    assert_eq!((cell(row, "db").as_str(), cell(row, "trace_id").as_str()), ("'+1+1", "'-x"));
    assert_eq!((cell(row, "duration_ms").as_str(), cell(row, "error_code").as_str()), ("7", "-5"));

    let ndjson = exported(&db, "ndjson");
    assert!(!ndjson.contains(|c: char| c.is_control() && c != '\n'), "{ndjson:?}");
    let query = ndjson.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let query = query.into_iter().find(|query| query["query_id"] == "1-2").unwrap();
    assert_eq!((&query["statement"], &query["user"]), (&STATEMENT.into(), &USER.into()));
    assert_eq!(query["extra"]["key\u{1b}]0;t\u{7}"], "v");

    let again = folder.path().join("again.db");
    std::fs::write(&log, exported(&db, "audit")).unwrap();
    assert!(import(&again, &[&log]).status.success());
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&exported(&again, "ndjson")), sorted(&ndjson));
}

#[test]
fn an_export_in_another_order_has_each_query_once() {
    const QUERIES: i64 = 10_050;
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    // More than one page, and many with one duration.
    let lines = (0..QUERIES).map(|number| {
        let fields = serde_json::json!({
            "query_id": format!("{:x}-1", number + 1), "started_ms": 1_704_194_150_000_i64 + number,
            "duration_ms": (number % 50 > 0).then_some(number * 7919 % 101), "statement": "select 1",
        });
        format!("2024-01-02 11:15:51,248 [query] {fields}\n")
    });
    std::fs::write(&log, lines.collect::<String>()).unwrap();
    assert!(import(&db, &[&log]).status.success());
    for (arguments, sign) in
        [(&["--sort", "duration-ms"][..], 1), (&["--sort", "duration-ms", "--reverse"], -1)]
    {
        let output = annals().arg("export").args(arguments).db(&db).output().unwrap();
        let rows: Vec<serde_json::Value> =
            stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: std::collections::BTreeSet<_> =
            rows.iter().map(|row| row["query_id"].as_str().unwrap()).collect();
        assert_eq!((rows.len(), ids.len()), (QUERIES as usize, QUERIES as usize));
        // Unknown values come last.
        let place = |row: &serde_json::Value| {
            row["duration_ms"].as_i64().map_or((1, 0), |ms| (0, -ms * sign))
        };
        assert!(rows.is_sorted_by_key(place), "{arguments:?}");
    }
}
