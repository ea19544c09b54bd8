//! TLS to the database, and where the password comes from. These tests also need `openssl`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::on;
use crate::support::postgres::{PASSWORD, Postgres, ROLE_WITH_PASSWORD};
use crate::support::{Server, stderr, stdout};

/// A server that requires TLS, and the folder with `ca.pem`, whose key signed its certificate, and `other.pem`.
struct Secured {
    server: Postgres,
    folder: TempDir,
}

impl Secured {
    fn start() -> Secured {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        authority(folder.path(), "ca");
        authority(folder.path(), "other");
        let signed = openssl(folder.path(), "server", &["-CA", "ca.pem", "-CAkey", "ca.key"]);
        assert!(signed.status.success(), "{}", stderr(&signed));
        let server = Postgres::start();
        server.execute(&format!(
            "CREATE DATABASE history OWNER {ROLE_WITH_PASSWORD} TEMPLATE template0"
        ));
        server.require_tls(&path("server.pem"), &path("server.key"));
        Secured { server, folder }
    }

    /// Returns the address of the history. `user` may have a password.
    fn address(&self, user: &str, host: &str, parameters: &str) -> String {
        format!("postgres://{user}@{host}:{}/history?{parameters}", self.server.port)
    }

    /// Returns the parameters that check the server's certificate against one of the folder.
    fn verified(&self, authority: &str) -> String {
        format!("sslmode=verify-full&sslrootcert={}", self.path(authority).display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a command on an address, without settings of the user who runs the tests, that logs as much as it can.
    fn command(&self, address: &str, arguments: &[&str]) -> Command {
        let mut command = on(address, arguments);
        command.env("HOME", self.folder.path()).env("ANNALS_LOG", "trace");
        command.env_remove("PGPASSWORD").env_remove("PGPASSFILE");
        command
    }

    /// Writes a file of passwords that only its owner may read.
    fn password_file(&self, text: &str) -> PathBuf {
        let path = self.path("passwords");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

fn openssl(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
    ]);
    openssl.args(["-days", "2", "-subj", &format!("/CN={name}")]);
    openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    if !arguments.is_empty() {
        openssl.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    }
    openssl.args(arguments).current_dir(folder).output().unwrap()
}

/// Makes an authority that signs certificates.
fn authority(folder: &Path, name: &str) {
    let made = openssl(folder, name, &[]);
    assert!(made.status.success(), "{}", stderr(&made));
}

/// Asserts that a command is rejected in one line that holds `part`, beside what is logged, and never prints a password.
fn assert_rejected(output: &Output, part: &str) {
    let said = stderr(output);
    let messages: Vec<&str> = said.lines().filter(|line| line.starts_with("annals: ")).collect();
    assert_eq!((output.status.code(), messages.len()), (Some(2), 1), "{said}");
    assert!(messages[0].contains(part), "no {part} in {}", messages[0]);
    assert!(!said.contains(PASSWORD), "{said}");
}

#[test]
#[ignore = "needs PostgreSQL and openssl"]
fn a_certificate_is_checked_and_the_password_may_be_in_three_places() {
    let secured = Secured::start();
    let verified = secured.verified("ca.pem");
    let without = secured.address(ROLE_WITH_PASSWORD, "127.0.0.1", &verified);
    let with = secured.address(&format!("{ROLE_WITH_PASSWORD}:{PASSWORD}"), "127.0.0.1", &verified);
    // The lines before are another server's, and no line of passwords.
    let file = secured.password_file(&format!(
        "# passwords\nother:5432:*:{ROLE_WITH_PASSWORD}:no\n{PASSWORD}\n127.0.0.1:*:history:{ROLE_WITH_PASSWORD}:{PASSWORD}\n"
    ));
    let mut by_address = secured.command(&with, &["user", "list"]);
    let mut by_variable = secured.command(&without, &["user", "list"]);
    by_variable.env("PGPASSWORD", PASSWORD);
    let mut by_file = secured.command(&without, &["user", "list"]);
    by_file.env("PGPASSFILE", &file);
    for command in [&mut by_address, &mut by_variable, &mut by_file] {
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains(PASSWORD) && !stdout(&output).contains(PASSWORD), "{said}");
    }

    let log = secured.path("log");
    let mut serve = secured.command(&without, &["serve", "--listen", "127.0.0.1:0"]);
    serve.env("PGPASSFILE", &file).stderr(std::fs::File::create(&log).unwrap());
    let server = Server::start_by(&mut serve);
    let row = br#"{"query_id": "1-1", "time": 1722942960951, "stmt": "select 1"}"#;
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row).0, 200);
    for path in ["/", "/status", "/metrics", "/api/v1/status", "/api/v1/queries/1-1"] {
        let (status, _, body) = server.get(path);
        assert_eq!(status, 200, "{path}");
        assert!(!String::from_utf8(body).unwrap().contains(PASSWORD), "{path}");
    }
    drop(server);
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("TRACE") && !logged.contains(PASSWORD), "{logged}");
}

#[test]
#[ignore = "needs PostgreSQL and openssl"]
fn a_server_that_is_not_the_right_one_gets_no_password() {
    let secured = Secured::start();
    let user = format!("{ROLE_WITH_PASSWORD}:{PASSWORD}");
    let (right, other) = (secured.verified("ca.pem"), secured.verified("other.pem"));
    for (host, parameters, part) in [
        ("127.0.0.1", other.as_str(), "certificate"),
        // The certificate is for 127.0.0.1.
        ("localhost", &right, "certificate"),
        ("127.0.0.1", &other.replace("verify-full", "require"), "certificate"),
        ("127.0.0.1", "sslmode=disable", "pg_hba.conf"),
        ("127.0.0.1", &secured.verified("no-such.pem"), "no-such.pem"),
    ] {
        let address = secured.address(&user, host, parameters);
        let output = secured.command(&address, &["list"]).output().unwrap();
        assert_rejected(&output, part);
    }
    let wrong = "not-the-pass-word";
    let address = secured.address(&format!("{ROLE_WITH_PASSWORD}:{wrong}"), "127.0.0.1", &right);
    let output = secured.command(&address, &["list"]).output().unwrap();
    assert_rejected(&output, "rejects the user or the password");
    assert!(!stderr(&output).contains(wrong));
    // Others may read the file, so that it is not used.
    let file = secured.password_file(&format!("*:*:*:*:{PASSWORD}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let address = secured.address(ROLE_WITH_PASSWORD, "127.0.0.1", &right);
    let mut list = secured.command(&address, &["list"]);
    assert_rejected(&list.env("PGPASSFILE", &file).output().unwrap(), "chmod 600");
}
