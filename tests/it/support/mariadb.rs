//! A MariaDB server of a test's own, on a loopback port, with its data in a temporary folder. It stands for the MySQL
//! protocol of a frontend.
//!
//! The server is watched by a shell that ends it and removes its folder once the test process has ended, however that ended.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{is_root, stderr, stdout, wait_until};

/// Ends the server `$@` and removes its folder once the standard input ends.
const WATCH: &str = r#""$@" & server=$!
echo $server >"$FOLDER/pid"
read -r line
kill -KILL $server
wait $server
[ "$line" = keep ] || rm -rf "$FOLDER""#;

/// The options of each server. Nothing survives a loss of power, and nothing has to.
const OPTIONS: [&str; 13] = [
    "--bind-address=127.0.0.1", "--default-time-zone=+08:00", "--character-set-server=utf8mb4",
    "--max-allowed-packet=64M", "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M",
    "--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0", "--skip-log-bin",
    "--skip-name-resolve", "--performance-schema=OFF", "--sql-mode=", "--log-output=TABLE",
];

/// A running MariaDB, ended when dropped.
pub(crate) struct MariaDb {
    pub(crate) port: u16,
    folder: PathBuf,
    watcher: Option<Child>,
}

impl MariaDb {
    /// Makes an empty server, and starts it.
    pub(crate) fn start() -> MariaDb {
        let folder = tempfile::Builder::new().prefix("annals-mariadb-").tempdir().unwrap().keep();
        if is_root() {
            let owned = Command::new("chown").arg("mysql:").arg(&folder).status().unwrap();
            assert!(owned.success());
        }
        let mut install = program("mariadb-install-db", &folder);
        install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        install.args(["--skip-test-db", "--skip-name-resolve"]);
        install.arg(format!("--datadir={}", folder.join("data").display()));
        // Two that start at once would share temporary files.
        install.arg(format!("--tmpdir={}", folder.display()));
        let installed = install.output().unwrap();
        assert!(installed.status.success(), "{}{}", stdout(&installed), stderr(&installed));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = MariaDb { port: free, folder, watcher: None };
        server.start_again();
        server
    }

    /// Starts the server again on the same port after it was stopped.
    pub(crate) fn start_again(&mut self) {
        let mut server = program("mariadbd", &self.folder);
        server.arg("--no-defaults").args(OPTIONS);
        server.arg(format!("--datadir={}", self.folder.join("data").display()));
        server.arg(format!("--socket={}", self.folder.join("socket").display()));
        server.arg(format!("--port={}", self.port));
        server.arg(format!("--tmpdir={}", self.folder.display()));
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCH, "sh"]).arg(server.get_program()).args(server.get_args());
        watcher.env("FOLDER", &self.folder).env("TZ", "UTC").current_dir(&self.folder);
        // An interrupt at the terminal ends the tests, and then the watcher ends the server.
        watcher.process_group(0).stdin(Stdio::piped());
        watcher.stdout(log.try_clone().unwrap()).stderr(log);
        self.watcher = Some(watcher.spawn().unwrap());
        let log = || std::fs::read_to_string(self.folder.join("log")).unwrap();
        wait_until(|| self.try_run("SELECT 1").is_ok(), log);
    }

    /// Kills the server, and keeps its data.
    pub(crate) fn stop(&mut self) {
        let mut watcher = self.watcher.take().unwrap();
        watcher.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        watcher.wait().unwrap();
    }

    /// Stops the process of the server, which keeps its connections and never answers, or lets it run on.
    pub(crate) fn hang(&self, hangs: bool) {
        let process = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        let signal = if hangs { "STOP" } else { "CONT" };
        assert!(
            Command::new("kill").args(["-s", signal, process.trim()]).status().unwrap().success()
        );
    }

    /// Runs statements as root. Returns what they print: a line for each row, with a tab between values.
    pub(crate) fn run(&self, sql: &str) -> String {
        self.try_run(sql).unwrap_or_else(|error| panic!("{sql:.200}: {error}"))
    }

    fn try_run(&self, sql: &str) -> Result<String, String> {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "root", "-N", "-B"]);
        client.args(["--max-allowed-packet=64M", "--default-character-set=utf8mb4"]);
        client.arg(format!("--port={}", self.port));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = client.spawn().unwrap();
        // The client ends early where it cannot connect. Then its message says more than the error of this write.
        let _ = process.stdin.take().unwrap().write_all(sql.as_bytes());
        let output = process.wait_with_output().unwrap();
        match output.status.success() {
            true => Ok(stdout(&output)),
            false => Err(stderr(&output)),
        }
    }

    /// Returns the address of the server for a user.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}", self.port)
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            drop(watcher.stdin.take());
            let _ = watcher.wait();
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Returns a program of MariaDB as a command. It runs as the user `mysql` if the tests run as root, because MariaDB rejects
/// root.
fn program(name: &str, folder: &Path) -> Command {
    let mut command = match is_root() {
        true => Command::new("setpriv"),
        false => Command::new(name),
    };
    if is_root() {
        command.args(["--reuid=mysql", "--regid=mysql", "--init-groups", "--"]).arg(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).current_dir(folder);
    command
}
