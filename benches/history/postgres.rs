//! A PostgreSQL of the benchmark's own, with the durability that PostgreSQL has unless somebody sets another.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process::run;

/// A running server, ended when dropped.
pub(crate) struct Postgres {
    process: Child,
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes an empty server in a folder, and starts it. Returns None if PostgreSQL is not installed.
    pub(crate) fn start(parent: &Path) -> Option<Postgres> {
        let programs = programs()?;
        let folder =
            tempfile::Builder::new().prefix("postgres-").tempdir_in(parent).unwrap().keep();
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(&folder));
        }
        let data = folder.join("data");
        let mut initdb = owned(&programs.join("initdb"), &folder);
        initdb.args(["--auth=trust", "--username=annals", "--encoding=UTF8", "--locale=C.UTF-8"]);
        run(initdb.arg("-D").arg(&data));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = owned(&programs.join("postgres"), &folder);
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        server.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        let process = server.spawn().unwrap();
        let server = Postgres { process, folder, programs, port };
        while !server.psql("postgres").args(["-c", "SELECT 1"]).output().unwrap().status.success() {
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// Returns the address of a database.
    pub(crate) fn address(&self, database: &str) -> String {
        format!("postgres://annals@127.0.0.1:{}/{database}", self.port)
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.address(database)]);
        psql
    }

    /// Runs statements or commands of psql, and returns what it prints.
    pub(crate) fn run(&self, database: &str, statements: &[&str]) -> String {
        let mut psql = self.psql(database);
        statements.iter().for_each(|statement| {
            psql.args(["-c", statement]);
        });
        String::from_utf8(run(&mut psql)).unwrap()
    }

    pub(crate) fn has(&self, database: &str) -> bool {
        let found = format!("SELECT 1 FROM pg_database WHERE datname = '{database}'");
        !self.run("postgres", &[&found]).is_empty()
    }

    /// Makes a database anew: a copy of another one.
    pub(crate) fn create(&self, database: &str, template: &str) {
        let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        let create = format!("CREATE DATABASE {database} TEMPLATE {template}");
        // Nobody pays for what another has left in memory.
        self.run("postgres", &[&drop, &create, "CHECKPOINT"]);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown.
        let _ = Command::new("kill").args(["-s", "INT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Returns the folder of PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| String::from_utf8(output.stdout).unwrap());
    let configured = configured.map(|folder| PathBuf::from(folder.trim()));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.map(|version| version.path().join("bin"));
    configured.into_iter().chain(installed).find(|folder| folder.join("initdb").exists())
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim_ascii() == b"0"
}

/// Returns a program of PostgreSQL as a command. It runs as the user `postgres` if the benchmark runs as root, because
/// PostgreSQL rejects root.
fn owned(program: &Path, folder: &Path) -> Command {
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]);
            command.arg(program);
            command
        }
        false => Command::new(program),
    };
    command.current_dir(folder);
    command
}
