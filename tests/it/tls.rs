//! TLS, and slow clients.
//!
//! The tests of TLS need `openssl` and `curl`: `cargo test -- --include-ignored`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Server, WithDb, annals, certificate, stderr};
use tempfile::TempDir;

fn curl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl")
        .args(["-sS", "-v", "--cacert"])
        .arg(folder.join("cert.pem"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    (output.status.success(), said)
}

#[test]
#[ignore = "needs openssl and curl"]
fn a_renewed_certificate_is_used_after_sighup() {
    let folder = TempDir::new().unwrap();
    certificate(folder.path(), "the-first");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let mut process = annals()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .db(folder.path().join("a.db"))
        .arg("--tls-cert")
        .arg(&cert)
        .arg("--tls-key")
        .arg(&key)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let url =
        line.split_whitespace().find(|word| word.starts_with("https://")).unwrap().to_string();
    let session = format!("{url}/rest/v1/session");
    let (ok, said) = curl(folder.path(), &[&session]);
    assert!(ok && said.contains(r#""msg":"success""#), "{said}");
    // The redirect of a load keeps TLS.
    let load = format!("{url}/api/db/t/_stream_load");
    let columns = "columns: query_id, time, stmt";
    let row = "1-2\t2024-08-06 11:16:00\tselect 1";
    let arguments = ["--location-trusted", "-X", "PUT", "-H", columns, "-d", row, &load];
    let (ok, said) = curl(folder.path(), &arguments);
    assert!(ok && said.contains(r#""Status":"Success""#), "{said}");
    // Without TLS there is no answer.
    let (ok, _) = curl(folder.path(), &[&session.replace("https", "http")]);
    assert!(!ok);

    let hang_up = || {
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-s", "HUP", &id]).status().unwrap().success());
    };
    certificate(folder.path(), "the-second");
    hang_up();
    let began = Instant::now();
    while !curl(folder.path(), &[&session]).1.contains("the-second") {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    // An unusable key is logged, and the certificate stays.
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, "no key").unwrap();
    hang_up();
    assert!(log.any(|line| line.contains("ERROR")));
    assert!(curl(folder.path(), &[&session]).1.contains("the-second"));
    std::fs::write(&key, good).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn an_unusable_certificate_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "nothing").unwrap();
    let name = file.to_str().unwrap();
    for (arguments, sentence) in [
        (vec!["--tls-cert", name], "needs both --tls-cert and --tls-key"),
        (vec!["--tls-cert", name, "--tls-key", name], "holds no certificate in PEM form"),
        (
            vec!["--tls-cert", "no-such", "--tls-key", name],
            "no-such cannot be read as a certificate",
        ),
    ] {
        let refused = annals().arg("serve").args(arguments).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(sentence), "{}", stderr(&refused));
    }
}

#[test]
fn two_thousand_idle_and_some_slow_clients_leave_others_served() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    raise_open_files();
    let connect = || TcpStream::connect(server.address()).unwrap();
    let idle: Vec<TcpStream> = (0..2000).map(|_| connect()).collect();
    let mut slow: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        let start: &[u8] = match number % 2 {
            0 => b"GET /rest/v1/session HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
            _ => {
                b"POST /api/v1/queries HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"
            }
        };
        client.write_all(start).unwrap();
    }
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(server.envelope("/rest/v1/session")["code"], 0);
        // Far less than a client may take for a head.
        assert!(began.elapsed() < Duration::from_secs(15));
        for client in slow.iter_mut() {
            let _ = client.write_all(b"x");
        }
    }
    drop(idle);
}

#[test]
#[ignore = "waits half a minute for a time limit"]
fn an_unfinished_head_ends_its_connection() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(b"GET /rest/v1/session HTTP/1.1\r\nhost: ").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

/// Two thousand connections are more than most systems allow a process by default.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
