//! Which setting names the file, without `--db`.

use std::path::Path;

use crate::config::{in_folder, write};
use crate::support::{self, number, stderr};
use tempfile::TempDir;

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
