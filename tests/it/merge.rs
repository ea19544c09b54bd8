//! `annals merge`: histories of several machines in one.

use std::path::Path;
use std::process::Output;

use crate::support::{annals, data, import, stderr, stdout};
use tempfile::TempDir;

fn run(command: &str, db: &Path, arguments: &[&Path]) -> Output {
    annals().arg(command).args(arguments).arg("--db").arg(db).output().unwrap()
}

/// Returns all that is in a history, without the numbers of rows.
fn contents(db: &Path) -> Vec<String> {
    let sqlite = rusqlite::Connection::open(db).unwrap();
    let mut statement = sqlite
        .prepare(
            "SELECT query_id || '|' || json_array(kind, state, started_at, ended_at, duration_ms, user, client,
                 catalog, db, statement, fingerprint, error_message, scan_bytes, extra, is_slow, has_profile)
             FROM query_history
             UNION ALL SELECT query_id || '|' || text_bytes || hex(body)
             FROM profile JOIN query ON query.id = profile.query
             UNION ALL SELECT query_id || '|' || json_array(label, job_id, load_bytes, url) FROM load_history
             ORDER BY 1",
        )
        .unwrap();
    let rows = statement.query_map((), |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
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
    let before = std::fs::read(&second).unwrap();
    let joined = folder.path().join("joined.db");
    let output = run("merge", &joined, &[&first, &second]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(contents(&joined), contents(&all));
    assert_eq!(std::fs::read(&second).unwrap(), before);
    // Again, it changes nothing.
    let again = stdout(&run("merge", &joined, &[&second, &first]));
    assert_eq!(again.matches(" 0 new, 0 merged, ").count(), 5, "{again}");
    assert_eq!(contents(&joined), contents(&all));
    for (argument, sentence) in [
        (joined.as_path(), "is the history to merge into"),
        (Path::new("/none.db"), "none.db"),
        (data("fe.audit.log").as_path(), "is not an SQLite database"),
    ] {
        let output = run("merge", &joined, &[argument]);
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
    for (command, from, db) in [("import", &data(""), &imported), ("merge", &other, &merged)] {
        let mut run = annals();
        run.arg(command).arg(from).arg("--db").arg(db).current_dir(folder.path());
        let output = run.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let printed = stdout(&output);
        assert!(printed.contains("  excluded by the configuration: "), "{printed}");
    }
    assert_eq!(contents(&merged), contents(&imported));
    assert!(contents(&merged).len() < contents(&other).len());
}
