//! Addresses with passwords, in every place where a user may write one.

use tempfile::TempDir;

use crate::support::{annals, stderr, stdout};

#[test]
fn the_password_of_an_address_in_any_place_is_never_repeated() {
    let (folder, settings) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let config = settings.path().join("annals.toml");
    let config_name = config.to_str().unwrap();
    for scheme in ["postgres", "POSTGRES", "postgre", "mysql"] {
        let address = format!("{scheme}://ann:s3cret@127.0.0.1:1/db");
        let address = address.as_str();
        for arguments in [
            vec!["backup", address],
            vec!["salvage", "f.db", address],
            vec!["salvage", address, "saved.db"],
            vec!["check", "--db", address],
            vec!["list", "--db", address],
            vec!["list", address],
            vec!["list", "--db-read", address],
            vec!["list", "--config", address],
            vec!["import", address],
            vec!["import", "f.log", "--encoding", address],
            vec!["merge", address],
            vec!["serve", "--import", address],
            vec!["serve", "--follow", address],
            vec!["serve", "--frontend", address],
            vec!["serve", "--tls-cert", address, "--tls-key", "k"],
            vec!["serve", "--listen", address],
            vec!["profile", "1-1", "--flame", address],
            vec!["man", address],
        ] {
            let output = annals().current_dir(&folder).args(&arguments).output().unwrap();
            let said = stderr(&output) + &stdout(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(!said.contains("s3cret"), "{arguments:?}: {said}");
            let is_engine = ["postgres", "POSTGRES"].contains(&scheme);
            let own_way = match arguments[0] {
                "backup" => "pg_dump",
                "check" => "amcheck",
                "salvage" => "PostgreSQL",
                _ => "",
            };
            assert!(!is_engine || said.contains(own_way), "{arguments:?}: {said}");
        }
        for setting in [
            format!("db = '{address}'"),
            format!("db_read = '{address}'"),
            format!("follow = ['{address}']"),
            format!("tls_cert = '{address}'"),
            format!("[[frontend]]\nurl = 'http://fe:8030'\npassword_file = '{address}'"),
            format!("[[frontend]]\nurl = '{address}'"),
            format!("'{address}' = 1"),
        ] {
            std::fs::write(&config, &setting).unwrap();
            let output =
                annals().args(["serve", "--check-config", "--config", config_name]).output();
            let said = stderr(&output.unwrap());
            assert!(!said.contains("s3cret"), "{setting}: {said}");
        }
    }
}
