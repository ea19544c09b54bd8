//! `annals.toml`, the environment and the command line: which setting wins, and what is wrong with one.

use std::process::{Command, Output};

use crate::support::{self, WithDb, annals, number, stderr, stdout};
use tempfile::TempDir;

pub(crate) fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).unwrap();
}

pub(crate) fn in_folder(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = annals();
    command.args(arguments).current_dir(folder.path());
    command
}

fn check(folder: &TempDir) -> Output {
    in_folder(folder, &["serve", "--check-config"]).output().unwrap()
}

/// Returns every setting of the example, without the # in front.
fn example() -> String {
    let text = include_str!("../../annals.example.toml");
    let settings = text.lines().filter_map(|line| line.strip_prefix('#'));
    settings.filter(|line| !line.starts_with(' ')).map(|line| line.to_string() + "\n").collect()
}

#[test]
fn the_example_can_be_used_as_it_is_and_with_every_setting() {
    let folder = TempDir::new().unwrap();
    for text in [include_str!("../../annals.example.toml").to_string(), example()] {
        let text = text.replace("/etc/annals/fe1.pass", "fe1.pass");
        let text = text.replace("/etc/annals/db.pass", "fe1.pass");
        // These files would have to exist, and replicas need a history in PostgreSQL.
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("tls_") && !line.starts_with("db_read"))
            .map(|line| line.to_string() + "\n")
            .collect();
        write(&folder, "fe1.pass", "secret\n");
        write(&folder, "annals.toml", &text);
        let checked = check(&folder);
        assert!(checked.status.success(), "{}", stderr(&checked));
        assert_eq!(stdout(&checked), "the configuration is valid\n");
        assert!(!folder.path().join("annals.db").exists());
    }
    // The example has each setting.
    for setting in [
        "db", "db_read", "listen", "time_zone", "insecure_no_auth", "tls_cert", "tls_key",
        "follow", "audit_table", "page_size", "since", "user", "password_hash", "exclude",
        "poll_interval_seconds", "retention",
    ] {
        assert!(example().contains(setting), "{setting}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_file_and_line() {
    let folder = TempDir::new().unwrap();
    for (text, sentence) in [
        ("\ndbb = 'x'", "annals.toml:2: unknown field `dbb`"),
        (
            "frontend = 'http://fe1:8030'",
            "annals.toml:1: invalid type: string \"http://fe1:8030\", expected tables with two brackets: [[frontend]]",
        ),
        ("follow = 'fe.audit.log'", "expected a list of files, like [\"/opt/"),
        (
            "db = 'x'\nlisten = 'here'",
            "annals.toml:2: here is not an address with a port, like 127.0.0.1:8130",
        ),
        ("time_zone = 'Mars/Olympus'", "annals.toml:1: 'Mars/Olympus' is not an IANA time zone"),
        ("follow = 'a'", "annals.toml:1: invalid type: string"),
        ("# a\n[[frontend]]\nurl = 'fe1'", "annals.toml:3: a frontend is written like"),
        (
            "[[frontend]]\nurl = 'http://a:b@fe1:8030'",
            "annals.toml:2: a frontend's URL must not hold its password",
        ),
        ("[[frontend]]\npoll_interval_seconds = 5", "annals.toml:1: missing field `url`"),
        (
            "[[frontend]]\nurl = 'http://fe1:8030'\npoll_interval_seconds = 0",
            "annals.toml:3: poll_interval_seconds must be from 1 to 3600",
        ),
        (
            "[[audit_table]]\nurl = 'mysql://a:b@fe1:9030'",
            "annals.toml:2: the URL of an audit table must not hold its password",
        ),
        ("[[audit_table]]\nurl = 'fe1'", "annals.toml:2: an audit table is written like"),
        (
            "[[audit_table]]\nurl = 'mysql://fe1'\npage_size = 10",
            "annals.toml:3: page_size must be from 100 to 1000000",
        ),
        (
            "[[audit_table]]\nurl = 'mysql://fe1'\ntable = 'a.b;'",
            "annals.toml:3: a table is written",
        ),
        (
            "[[audit_table]]\nurl = 'mysql://fe1'\nsince = 'ever'",
            "since of the audit table fe1:9030 is no time",
        ),
        (
            "[[audit_table]]\nurl = 'mysql://a@fe1'\n[[audit_table]]\nurl = 'mysql://b@fe1:9030'",
            "two audit tables are called fe1:9030",
        ),
        ("db = 'a'\n\n[[exclude]]\nstatement = '('", "annals.toml:4: regex parse error"),
        ("db = 'a'\n[[exclude]]\n", "annals.toml:2: a rule needs at least one of"),
        ("db = ", "annals.toml:1: "),
    ] {
        write(&folder, "annals.toml", text);
        let checked = check(&folder);
        assert_eq!(checked.status.code(), Some(2), "{text}");
        assert!(stderr(&checked).contains(sentence), "{text}: {}", stderr(&checked));
    }
    write(&folder, "annals.toml", "[[frontend]]\nurl = 'http://fe1:8030'\npassword_file = 'no'");
    assert!(
        stderr(&check(&folder)).contains("no password for http://fe1:8030/: no cannot be read")
    );
    write(&folder, "annals.toml", "[[frontend]]\nurl = 'http://fe1:8030'\npassword_env = 'NO_PW'");
    assert!(
        stderr(&check(&folder))
            .contains("no password for http://fe1:8030/: the variable NO_PW is not set")
    );
    let refused = in_folder(&folder, &["serve", "--config", "none.toml"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("none.toml cannot be read"));
    let refused = in_folder(&folder, &["serve", "--frontend", "http://root:secret@fe1:8030"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("a frontend's URL must not hold its password"));
    write(&folder, "annals.toml", "");
    let tables = "mysql://a@fe1 mysql://root:secret@fe2";
    let mut by_variable = in_folder(&folder, &["serve"]);
    let refused = by_variable.env("ANNALS_AUDIT_TABLE", tables).output().unwrap();
    let text = stderr(&refused);
    assert!(text.contains("must not hold its password") && !text.contains("secret"), "{text}");
}

#[test]
fn excluded_queries_are_not_kept_but_counted() {
    let folder = TempDir::new().unwrap();
    let samples = support::data("");
    write(
        &folder,
        "annals.toml",
        "[[exclude]]\nuser = 'carol'\n[[exclude]]\nstatement = '^selec 1$'\ndb = 'shop'\n",
    );
    let db = folder.path().join("annals.db");
    let mut import = in_folder(&folder, &["import", samples.to_str().unwrap()]);
    let imported = import.db(&db).output().unwrap();
    let printed = stdout(&imported);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE \"user\" = 'carol'"), 0);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE statement = 'selec 1'"), 0);
    assert_eq!(
        number(&db, "SELECT count(*) FROM query_history WHERE has_profile AND \"user\" = 'carol'"),
        0
    );
    assert!(number(&db, "SELECT count(*) FROM query WHERE \"user\" = 'alice'") > 0);
    assert!(printed.contains("excluded by the configuration: "), "{printed}");
    assert_eq!(imported.status.code(), Some(0), "excluded input was understood: {printed}");
}
