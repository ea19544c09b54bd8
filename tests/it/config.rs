//! `annals.toml`, the environment and the command line: which setting wins, and what is wrong with one.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{self, annals, number, stderr, stdout};
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).unwrap();
}

fn in_folder(folder: &TempDir, arguments: &[&str]) -> Command {
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
        // These files would have to exist.
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("tls_"))
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
        "db", "listen", "time_zone", "insecure_no_auth", "tls_cert", "tls_key", "follow", "user",
        "password_hash", "exclude", "poll_interval_seconds", "retention",
    ] {
        assert!(example().contains(setting), "{setting}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_file_and_line() {
    let folder = TempDir::new().unwrap();
    for (text, sentence) in [
        ("\ndbb = 'x'", "annals.toml:2: unknown field `dbb`"),
        ("db = 'x'\nlisten = 'here'", "annals.toml:2: invalid socket address"),
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
}

#[test]
fn the_environment_goes_over_the_file_and_the_command_line_over_both() {
    let folder = TempDir::new().unwrap();
    let log = support::data("fe.audit.log");
    let log = log.to_str().unwrap();
    let made = |name: &str| {
        let file = folder.path().join(name);
        let made = file.exists();
        let _ = std::fs::remove_file(file);
        made
    };
    in_folder(&folder, &["import", log]).output().unwrap();
    assert!(made("annals.db"));
    write(&folder, "annals.toml", "db = 'of-file.db'");
    in_folder(&folder, &["import", log]).output().unwrap();
    assert!(made("of-file.db"));
    in_folder(&folder, &["import", log]).env("ANNALS_DB", "of-env.db").output().unwrap();
    assert!(made("of-env.db"));
    in_folder(&folder, &["import", log, "--db", "of-flag.db"])
        .env("ANNALS_DB", "of-env.db")
        .output()
        .unwrap();
    assert!(made("of-flag.db"));
    assert!(!made("annals.db") && !made("of-file.db") && !made("of-env.db"));

    // The zone of the command line wins over that of the file.
    let started = |folder: &Path| {
        number(
            &folder.join("zone.db"),
            "SELECT started_ms / 3600000 FROM query ORDER BY id LIMIT 1",
        )
    };
    write(&folder, "annals.toml", "db = 'zone.db'\ntime_zone = 'Asia/Shanghai'");
    in_folder(&folder, &["import", log]).output().unwrap();
    let in_shanghai = started(folder.path());
    assert!(made("zone.db"));
    in_folder(&folder, &["import", log, "--time-zone", "UTC"]).output().unwrap();
    assert_eq!(started(folder.path()), in_shanghai + 8);
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
    let imported = in_folder(&folder, &["import", samples.to_str().unwrap()]).output().unwrap();
    let printed = stdout(&imported);
    let db = folder.path().join("annals.db");
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE user = 'carol'"), 0);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE statement = 'selec 1'"), 0);
    assert_eq!(
        number(
            &db,
            "SELECT count(*) FROM profile JOIN query ON query = query.id WHERE user = 'carol'"
        ),
        0
    );
    assert!(number(&db, "SELECT count(*) FROM query WHERE user = 'alice'") > 0);
    assert!(printed.contains("excluded by the configuration: "), "{printed}");
    assert_eq!(imported.status.code(), Some(0), "excluded input was understood: {printed}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let folder = TempDir::new().unwrap();
    write(&folder, "annals.toml", "db = 'of-file.db'\n[[frontend]]\nurl = 'http://fe1:8030'\n");
    let variables = [
        "ANNALS_CONFIG", "ANNALS_DB", "ANNALS_TIME_ZONE", "ANNALS_LISTEN", "ANNALS_FOLLOW",
        "ANNALS_FRONTEND", "ANNALS_FRONTEND_PASSWORD", "ANNALS_FRONTEND_PASSWORD_FILE",
        "ANNALS_TLS_CERT", "ANNALS_TLS_KEY", "ANNALS_LOG", "ANNALS_LOG_FORMAT",
    ];
    let mut serve = in_folder(&folder, &["serve", "--check-config"]);
    let checked = serve.envs(variables.map(|name| (name, ""))).output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));
    let mut user = in_folder(&folder, &["user", "list"]);
    let listed = user.envs(variables.map(|name| (name, ""))).output().unwrap();
    assert!(listed.status.success(), "{}", stderr(&listed));
    assert!(folder.path().join("of-file.db").exists());
}
