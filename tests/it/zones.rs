//! Times that were read in a wrong zone: who says so, and `annals shift`, which mends them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Server, WithDb, annals, audit_record, data, execute, is_postgres, now, number, query_rows,
    stderr, stdout, texts, wait_until,
};

fn import_in(zone: &str, db: &Path, path: &Path) -> String {
    let output =
        annals().arg("import").arg(path).db(db).args(["--time-zone", zone]).output().unwrap();
    assert!(output.status.code() < Some(2), "{}", stderr(&output));
    stdout(&output)
}

fn shift(db: &Path, arguments: &[&str]) -> Output {
    annals().arg("shift").args(arguments).db(db).output().unwrap()
}

/// Runs a shift that succeeds; returns what it prints.
fn shifted(db: &Path, arguments: &[&str]) -> String {
    let output = shift(db, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

fn printed(db: &Path, arguments: &[&str]) -> String {
    stdout(&annals().args(arguments).db(db).output().unwrap())
}

fn exported(db: &Path) -> String {
    printed(db, &["export"])
}

fn logins(db: &Path) -> Vec<String> {
    texts(db, "SELECT login_id || ' ' || at_ms FROM login ORDER BY 1")
}

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

/// Returns a record that a frontend in Shanghai wrote a minute ago, or some hours before.
fn shanghai(id: &str, hours_ago: i64) -> String {
    let time = now() + chrono::Duration::seconds((8 - hours_ago) * 3600 - 60);
    let written = time.format("%Y-%m-%d %H:%M:%S,123").to_string();
    audit_record(&written, &[("QueryId", id), ("Stmt", &format!("select '{id}'"))])
}

#[test]
fn a_history_of_the_wrong_zone_becomes_that_of_the_right_one() {
    let scene = Scene::new();
    let (wrong, right) = (scene.path("wrong.db"), scene.path("right.db"));
    import_in("UTC", &wrong, &data(""));
    import_in("Asia/Shanghai", &right, &data(""));
    assert_ne!(exported(&wrong), exported(&right));
    let before = exported(&wrong);
    // Reports read summaries of hours, which a server makes.
    let server = Server::start(&wrong, &[]);
    let made = "SELECT count(*) FROM hour_summary WHERE version IS NOT NULL";
    wait_until(|| number(&wrong, made) > 3, || "no hour is summed".to_string());
    drop(server);
    let said = shifted(&wrong, &["--by", "-8h", "--dry-run"]);
    assert!(said.starts_with("import, read as UTC: queries and loads: "), "{said}");
    assert!(
        said.contains("\n  by -8h, from 20") && said.ends_with("nothing was changed\n"),
        "{said}"
    );
    assert!(exported(&wrong) == before, "a dry run has changed something");
    let said = shifted(&wrong, &["--by", "-8h", "--source", "import"]);
    assert!(!said.contains("moved: 0\n"), "{said}");
    assert_eq!(exported(&wrong), exported(&right));
    assert_eq!(logins(&wrong), logins(&right));
    for report in
        [&["top", "--by", "hour", "--from", "2010-01-01", "--json"][..], &["plans", "--json"]]
    {
        assert_eq!(printed(&wrong, report), printed(&right, report), "{report:?}");
    }
    // Again, it changes nothing, nor does an import in the right zone.
    let said = shifted(&wrong, &["--by", "-8h"]);
    assert!(said.contains("are where they belong") && said.ends_with("moved: 0\n"), "{said}");
    let said = import_in("Asia/Shanghai", &wrong, &data(""));
    assert!(said.contains("  records:  0 new, 0 merged, "), "{said}");
    assert!(said.contains("  the stored times stay: they were read in the zone UTC\n"), "{said}");
    assert!(!said.contains("annals shift"), "{said}");
    assert_eq!(exported(&wrong), exported(&right));
    // The first import that stores something in the other zone has the advice, and no later one.
    let record = |id: &str| audit_record("2024-01-02 10:00:00,001", &[("QueryId", id)]);
    let new = scene.write("new.log", &record("z-1"));
    let said = import_in("Asia/Shanghai", &wrong, &new);
    assert!(
        said.contains("read in the zone UTC until now, and are read in Asia/Shanghai from now on"),
        "{said}"
    );
    assert!(said.contains("`annals shift --source 'import' --read-as UTC --by -8h`"), "{said}");
    let said = import_in("Asia/Shanghai", &wrong, &scene.write("newer.log", &record("z-2")));
    assert!(said.contains("1 new") && !said.contains("until now"), "{said}");
    execute(&wrong, "DELETE FROM query WHERE query_id LIKE 'z-%'");
    // The command is no riddle to undo.
    shifted(&wrong, &["--by", "0", "--read-as", "UTC"]);
    assert_eq!(exported(&wrong), before);
    shifted(&wrong, &["--by=-8h", "--read-as", "Etc/UTC"]);
    assert_eq!(exported(&wrong), exported(&right));
}

#[test]
fn a_history_that_ends_in_the_future_says_so() {
    let scene = Scene::new();
    let db = scene.path("history.db");
    let log = scene.write("log", &audit_record("2099-01-02 10:00:00,001", &[("QueryId", "a-1")]));
    import_in("UTC", &db, &log);
    let stats = annals().args(["stats", "--time-zone", "UTC"]).db(&db).output().unwrap();
    let said = stderr(&stats);
    assert!(said.contains("the newest query starts in the future, at 2099-01-02 "), "{said}");
    // So does the page of a server that did not import it.
    let server = Server::start(&db, &[]);
    let page = String::from_utf8(server.get("/status").2).unwrap();
    assert!(page.contains("In the future: 1 query of the source '"), "{page}");
    assert!(page.contains("the times were read as times of UTC"), "{page}");
}

#[test]
fn a_shift_takes_what_it_is_told_to() {
    let scene = Scene::new();
    let db = scene.path("history.db");
    let log = |id: &str, frontend: &str, time: &str| {
        let values = [("QueryId", id), ("Stmt", id), ("Time(ms)", "0"), ("feIp", frontend)];
        audit_record(time, &values)
    };
    let mixed = [
        log("a-1", "fe1", "2024-01-02 10:00:00,001"),
        log("a-2", "fe2", "2024-01-02 11:00:00,001"),
        log("a-3", "fe1", "2024-01-02 12:00:00,001"),
    ];
    import_in("UTC", &db, &scene.write("log", &mixed.concat()));
    let started = || {
        texts(
            &db,
            "SELECT substr(CAST(started_at AS text), 12, 5) FROM query_history ORDER BY query_id",
        )
    };
    assert_eq!(started(), ["10:00", "11:00", "12:00"]);
    shifted(&db, &["--by", "5h30m", "--frontend", "fe2"]);
    assert_eq!(started(), ["10:00", "16:30", "12:00"]);
    shifted(&db, &["--by", "-1h", "--from", "2024-01-02 11:00", "--to", "2024-01-02 13:00"]);
    assert_eq!(started(), ["10:00", "16:30", "11:00"]);
    // Where the times belong counts from how they were read.
    let said = shifted(&db, &["--by", "2h"]);
    assert!(said.ends_with("moved: 3\n"), "{said}");
    assert_eq!(started(), ["12:00", "13:00", "14:00"]);
    let row = br#"[{"query_id": "b-1", "time": "2024-01-02 10:00:00"}, {"query_id": "b-2", "started_ms": 1704189600000}]"#;
    {
        let server = Server::start(&db, &["--cluster", "east"]);
        assert_eq!(server.send("POST", "/api/v1/queries", &[], row).0, 200);
    }
    // An instant does not move.
    let said = shifted(&db, &["--by", "1h", "--cluster", "east"]);
    assert!(said.starts_with("push, read as UTC: queries and loads: 1\n"), "{said}");
    assert_eq!(started(), ["12:00", "13:00", "14:00", "11:00", "10:00"]);
    import_in(
        "Asia/Tokyo",
        &db,
        &scene.write("other", &log("c-1", "fe3", "2024-01-02 10:00:00,001")),
    );
    for (arguments, sentence) in [
        (&["--by", "1h"][..], "the records were read in several zones; name one with --read-as"),
        (
            &["--by", "1h", "--read-as", "UTC"],
            "of several sources; name one with --source, or move all with --all-sources:\n  import, read as UTC\n  push, read as UTC\n",
        ),
        (
            &["--by", "1h", "--source", "none"],
            "no record matches; there are\n  import, read as Asia/Tokyo\n  import, read as UTC\n  push, read as UTC\n",
        ),
        (&["--by", "1h", "--read-as", "unknown"], "no record matches; there are"),
        (&["--by", "1h", "--from", "2030-01-01"], "no record matches that has a time"),
        (&["--by", "8"], "8 is not a duration; write hours and minutes: 8h, -8h, 5h30m"),
        (&["--by", "30h"], "no two time zones are 30h apart"),
        (&["--by", "1h", "--read-as", "Mars"], "'Mars' is not an IANA time zone"),
    ] {
        let output = shift(&db, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    }
    let said = shifted(&db, &["--by", "2h", "--read-as", "UTC", "--dry-run"]);
    assert!(said.contains("import, read as UTC") && said.contains("push, read as UTC"), "{said}");
    let said = shifted(&db, &["--by", "2h", "--read-as", "UTC", "--all-sources"]);
    assert!(said.ends_with("moved: 1\n"), "{said}");
    let missing = shift(&scene.path("none.db"), &["--by", "1h"]);
    if !is_postgres() {
        assert!(stderr(&missing).contains("none.db"), "{}", stderr(&missing));
    }
}

#[test]
fn records_of_an_older_annals_move_too() {
    let scene = Scene::new();
    let db = scene.path("history.db");
    import_in("UTC", &db, &data("fe.audit.log"));
    execute(&db, "UPDATE query SET time_source = NULL");
    execute(&db, "UPDATE login SET time_source = NULL");
    let before = query_rows(&db, "true");
    let said = shifted(&db, &["--by", "-8h"]);
    assert!(said.starts_with("unknown, read as unknown: queries and loads: "), "{said}");
    assert_ne!(query_rows(&db, "true"), before);
    let said = shifted(&db, &["--by", "-8h", "--read-as", "unknown"]);
    assert!(said.ends_with("moved: 0\n"), "{said}");
    shifted(&db, &["--by", "0"]);
    assert_eq!(query_rows(&db, "true"), before);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE time_source IS NOT NULL"), 0);
}

#[test]
fn a_server_says_that_times_are_of_another_zone() {
    let scene = Scene::new();
    let (db, errors) = (scene.path("history.db"), scene.path("errors"));
    let log = scene.write("fe.audit.log", &(shanghai("d-1", 1) + &shanghai("d-2", 0)));
    let source = format!("follow {}", log.display());
    let serve = |zone: &str| {
        let mut command = annals();
        command.args(["serve", "--listen", "127.0.0.1:0", "--time-zone", zone]).db(&db);
        command.arg("--follow").arg(&log);
        Server::start_by(
            command.stderr(File::options().append(true).create(true).open(&errors).unwrap()),
        )
    };
    let status = |server: &Server| -> Value {
        server.envelope("/api/v1/status")["data"]["sources"][&source].clone()
    };
    let wait_for = |server: &Server, key: &str, value: Value| {
        wait_until(|| status(server)[key] == value, || status(server).to_string());
    };
    {
        let server = serve("UTC");
        wait_for(&server, "future_records", 2.into());
        let seen = status(&server);
        assert_eq!(seen["time_zone"], "UTC");
        let advice = seen["time_advice"].as_str().unwrap();
        assert!(advice.contains("the times look like UTC+08:00"), "{advice}");
        assert!(
            advice.contains(&format!("--source '{source}' --read-as UTC --by -8h")),
            "{advice}"
        );
        let page = String::from_utf8(server.get("/status").2).unwrap();
        assert!(
            page.contains("Records of the future")
                && page.contains("the times look like UTC+08:00")
        );
    }
    let server = serve("Asia/Shanghai");
    let mut file = File::options().append(true).open(&log).unwrap();
    file.write_all(shanghai("d-3", 0).as_bytes()).unwrap();
    wait_for(&server, "time_zone_before", "UTC".into());
    let seen = status(&server);
    assert_eq!((&seen["time_zone"], &seen["future_records"]), (&"Asia/Shanghai".into(), &0.into()));
    let warned = || std::fs::read_to_string(&errors).unwrap();
    wait_until(|| warned().contains("were read in the zone UTC until now"), warned);
    assert!(warned().contains("records start in the future"), "{}", warned());
    let future = || {
        number(
            &db,
            &format!("SELECT count(*) FROM query WHERE started_ms > {}", now().timestamp_millis()),
        )
    };
    wait_until(|| number(&db, "SELECT count(*) FROM query") == 3, || "three queries".to_string());
    // While annals serves.
    let said = shifted(&db, &["--source", &source, "--read-as", "UTC", "--by", "-8h"]);
    assert_eq!(future(), 0, "{said}");
    assert!(said.ends_with("moved: 2\n") || said.ends_with("moved: 3\n"), "{said}");
    let listed = server.envelope("/api/v1/queries?from=3h");
    assert_eq!(listed["count"], 3, "{listed}");
}
