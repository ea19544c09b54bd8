//! Other processes: annals, the stock shell, and servers.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

pub(crate) fn shell(db: &Path, sql: &str) -> String {
    String::from_utf8(shell_with(db, &[], sql)).unwrap()
}

pub(crate) fn shell_with(db: &Path, options: &[&str], sql: &str) -> Vec<u8> {
    run(Command::new("sqlite3").args(options).arg(db).arg(sql))
}

pub(crate) fn remove(db: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", db.display()));
    }
}

/// Returns the SQL of the table that the reference fills, and of its indexes.
pub(crate) fn schema(db: &Path) -> String {
    let sql = "SELECT sql || ';' FROM sqlite_schema
        WHERE tbl_name = 'query' AND type IN ('table', 'index') AND sql IS NOT NULL
        ORDER BY type DESC";
    // The shell's `.import` rejects a table with a computed column.
    let computed = "ALTER TABLE query DROP COLUMN is_failed;";
    format!("PRAGMA journal_mode = WAL; {}{computed}", shell(db, sql))
}

pub(crate) fn import_log(db: &Path, log: &Path) -> Duration {
    let began = Instant::now();
    run(Command::new(env!("CARGO_BIN_EXE_annals"))
        .args(["import", "--time-zone", "UTC", "--db"])
        .args([db, log]));
    began.elapsed()
}

pub(crate) fn import_csv(db: &Path, csv: &Path) -> Duration {
    let began = Instant::now();
    shell(db, &format!(".import --csv {} query", csv.display()));
    began.elapsed()
}

/// A server in its own process. Dropping it kills the process.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn annals(db: &Path) -> Server {
        Server::start(
            Command::new(env!("CARGO_BIN_EXE_annals"))
                .args(["serve", "--listen", "127.0.0.1:0", "--time-zone", "UTC", "--db"])
                .arg(db),
        )
    }

    /// Stops the server as a service manager does, and waits until it has written everything.
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

    pub(crate) fn start(command: &mut Command) -> Server {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        Server { process, address: address.to_string() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
