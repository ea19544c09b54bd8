//! Processes: annals, its servers, the `sqlite3` shell and the bare warp route.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use warp::Filter;

/// Returns the standard output of a command. Panics if the command fails.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output.stdout
}

/// Returns what the `sqlite3` shell prints.
pub(crate) fn sqlite3(db: &Path, sql: &str) -> String {
    String::from_utf8(sqlite3_with(db, &[], sql)).unwrap()
}

pub(crate) fn sqlite3_with(db: &Path, options: &[&str], sql: &str) -> Vec<u8> {
    run(Command::new("sqlite3").args(options).arg(db).arg(sql))
}

/// Imports an audit log with annals, and returns the time.
pub(crate) fn import_log(db: impl AsRef<OsStr>, log: &Path) -> Duration {
    let began = Instant::now();
    run(Command::new(env!("CARGO_BIN_EXE_annals"))
        .args(["import", "--time-zone", "UTC", "--db"])
        .args([db.as_ref(), log.as_ref()]));
    began.elapsed()
}

/// Imports CSV with the `sqlite3` shell, and returns the time.
pub(crate) fn import_csv(db: &Path, csv: &Path) -> Duration {
    let began = Instant::now();
    sqlite3(db, &format!(".import --csv {} query", csv.display()));
    began.elapsed()
}

/// Removes a database and the files beside it.
pub(crate) fn remove(db: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", db.display()));
    }
}

/// A server in its own process, killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts annals on a file, or on the address of a database.
    pub(crate) fn annals(db: impl AsRef<OsStr>) -> Server {
        Server::start(
            Command::new(env!("CARGO_BIN_EXE_annals"))
                .args(["serve", "--listen", "127.0.0.1:0", "--time-zone", "UTC", "--db"])
                .arg(db),
        )
    }

    /// Starts a server that prints its URL, and waits for the URL.
    pub(crate) fn start(command: &mut Command) -> Server {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        Server { process, address: address.to_string() }
    }

    /// Starts a server that prints nothing, and waits until the port accepts connections.
    pub(crate) fn start_silent(command: &mut Command, port: u16) -> Server {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Server { process, address: format!("127.0.0.1:{port}") };
        while TcpStream::connect(&server.address).is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Stops the server cleanly, so that the WAL is in the database file.
    pub(crate) fn stop(mut self) {
        run(Command::new("kill").arg(self.process.id().to_string()));
        self.process.wait().unwrap();
    }

    /// Returns the peak memory in bytes.
    pub(crate) fn peak_memory(&self) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves the bytes of a file with nothing but warp. This is the reference of the read rates.
#[tokio::main]
pub(crate) async fn serve_bytes(file: &Path) {
    let body = warp::hyper::body::Bytes::from(std::fs::read(file).unwrap());
    let route = warp::path!("rest" / "v1" / "session").map(move || {
        warp::http::Response::builder()
            .header("content-type", "application/json")
            .body(body.clone())
            .unwrap()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    warp::serve(route).incoming(listener).run().await;
}
