//! The views of the database in the stock `sqlite3` shell, while a server runs.
//!
//! These tests require `sqlite3` (the Debian package, 3.40 or later):
//! `cargo test -- --include-ignored`.

use std::path::Path;
use std::process::Command;

use crate::support::{Server, data};
use tempfile::TempDir;

fn shell(db: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg("-readonly").arg(db).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs the sqlite3 shell"]
fn the_views_are_readable_while_the_server_runs() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let samples = data("");
    let _server =
        Server::start(&db, &["--import", samples.to_str().unwrap(), "--time-zone", "UTC"]);
    let lines = shell(&db, "select * from query_history limit 5");
    assert!(lines.lines().count() >= 5, "{lines}");
    assert_eq!(
        shell(
            &db,
            "select started_at, user, db, statement from query_history where query_id = 'fbb2582c72884d29-9dd9de3b42b740e9'"
        ),
        "2024-08-06 11:15:50.932|root|shop|select count(*) from store_sales5\n"
    );
    assert_eq!(
        shell(
            &db,
            "select kind, count(*), sum(has_profile) from query_history group by kind order by kind"
        ),
        "load|3|1\nquery|18|3\n"
    );
    assert_eq!(
        shell(
            &db,
            "select label, table_list, loaded_rows, state from load_history where label like 'audit%'"
        ),
        "audit_20240806_112055|clicks|998|Success\n"
    );
    let text = std::fs::read_to_string(data("profiles/doris-2.1.txt")).unwrap();
    assert_eq!(
        shell(
            &db,
            "select profile from profile_text where query_id = 'fbb2582c72884d29-9dd9de3b42b740e9'"
        ),
        text + "\n"
    );
    // A query id is looked up in the index.
    for view in ["query_history", "profile_text"] {
        let plan =
            shell(&db, &format!("explain query plan select * from {view} where query_id = 'x'"));
        assert!(plan.contains("query_by_query_id (query_id=?)"), "{plan}");
    }
    assert_eq!(shell(&db, "pragma integrity_check; pragma foreign_key_check"), "ok\n");
}
