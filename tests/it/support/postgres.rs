//! PostgreSQL servers of the tests' own, on loopback ports, with their data in temporary folders.
//!
//! One server serves the whole run and starts with the first history. Each server is watched by a shell that ends it and
//! removes its folder once the test process has ended, however that ended: the shell waits at a pipe whose other end only
//! the test process has.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use super::{Row, is_citus, is_root, stderr, stdout, wait_until};

/// Ends the server `$@` and removes its folder once the standard input ends.
const WATCH: &str = r#""$@" & server=$!
read -r line
kill -QUIT $server
wait $server
rm -rf "$FOLDER""#;

/// Settings of each server. Nothing in them survives a loss of power, and nothing has to.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
fsync = off
full_page_writes = off
hot_standby_feedback = on
";

/// Further settings of a node of Citus. Each database has a process on each node, and each session of the coordinator has
/// sessions on the workers.
const CITUS_SETTINGS: &str = "shared_preload_libraries = 'citus'
max_connections = 1000
max_worker_processes = 100
citus.shard_count = 4
citus.node_conninfo = 'sslmode=disable'
";

/// The database of each node of Citus from which the others are made: the extension is in it, and the nodes know each other.
const CITUS_TEMPLATE: &str = "with_citus";

/// The role that annals logs in as. It owns its databases, and is no superuser.
pub(crate) const ROLE: &str = "annals";
/// A role that needs a password to log in.
pub(crate) const ROLE_WITH_PASSWORD: &str = "annals_with_password";
/// The password of [`ROLE_WITH_PASSWORD`].
pub(crate) const PASSWORD: &str = "pass-word-of-postgres";

/// What separates values, rows and NULL in the output of psql. No test writes these characters.
const VALUE_END: &str = "\u{1f}";
const ROW_END: &str = "\u{1e}";
const NULL: &str = "\u{1d}";

/// A running PostgreSQL, ended when dropped.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    folder: PathBuf,
    watcher: Child,
    /// The workers of a coordinator of Citus. A server without Citus has none.
    workers: Vec<Postgres>,
}

impl Postgres {
    /// Makes an empty server, and starts it.
    pub(crate) fn start() -> Postgres {
        Postgres::start_with("")
    }

    /// Makes a coordinator of Citus with two workers, and starts them. Errors if Citus is not installed.
    fn start_citus() -> Result<Postgres, String> {
        let share = Command::new(PROGRAMS.join("pg_config")).arg("--sharedir").output().unwrap();
        let extension = Path::new(stdout(&share).trim()).join("extension/citus.control");
        if !extension.exists() {
            return Err(format!("Citus is not installed: there is no {}", extension.display()));
        }
        let mut coordinator = Postgres::start_with(CITUS_SETTINGS);
        coordinator.workers = (0..2).map(|_| Postgres::start_with(CITUS_SETTINGS)).collect();
        coordinator.on_all_nodes(&format!("CREATE DATABASE {CITUS_TEMPLATE} TEMPLATE template0"));
        for node in coordinator.nodes() {
            rows(&node.address_by("postgres", CITUS_TEMPLATE), "CREATE EXTENSION citus").unwrap();
        }
        let own_port = coordinator.port;
        let mut join = format!("SELECT citus_set_coordinator_host('127.0.0.1', {own_port});");
        for worker in &coordinator.workers {
            join += &format!("SELECT citus_add_node('127.0.0.1', {});", worker.port);
        }
        // A table of the role sends it to the workers. Later databases would do so again, and two at a time fail.
        join += &format!(
            "CREATE TABLE made (id int); ALTER TABLE made OWNER TO {ROLE};
             SELECT create_distributed_table('made', 'id'); DROP TABLE made;
             INSERT INTO pg_dist_authinfo VALUES (0, '{ROLE_WITH_PASSWORD}', 'password={PASSWORD}');"
        );
        rows(&coordinator.address_by("postgres", CITUS_TEMPLATE), &join).unwrap();
        // No database is made from one that is in use, and Citus has a process in each.
        coordinator.on_all_nodes(&format!(
            "ALTER DATABASE {CITUS_TEMPLATE} ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{CITUS_TEMPLATE}'"
        ));
        Ok(coordinator)
    }

    /// Makes an empty server with further settings, and starts it.
    fn start_with(settings: &str) -> Postgres {
        let folder = new_folder();
        let mut initdb = program("initdb", &folder);
        initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]);
        run(initdb.args(["--no-sync", "-D"]).arg(folder.join("data")));
        append(&folder.join("data/postgresql.conf"), &format!("{SETTINGS}{settings}"));
        let rules = folder.join("data/pg_hba.conf");
        let others = std::fs::read_to_string(&rules).unwrap();
        let with_password = format!("host all {ROLE_WITH_PASSWORD} all scram-sha-256\n");
        std::fs::write(&rules, with_password + &others).unwrap();
        let server = Postgres::launch(folder, None);
        server.execute(&format!("CREATE ROLE {ROLE} LOGIN"));
        server.execute(&format!("CREATE ROLE {ROLE_WITH_PASSWORD} LOGIN PASSWORD '{PASSWORD}'"));
        server
    }

    /// Makes a replica of the server, and starts it.
    pub(crate) fn replica(&self) -> Postgres {
        Postgres::launch_replica(self.copy(), None)
    }

    /// Makes a replica of the server on which each commit waits, and starts it, on a port or on any free one. What the server
    /// has acknowledged, the replica answers.
    pub(crate) fn synchronous_replica(&self, port: Option<u16>) -> Postgres {
        let folder = self.copy();
        // Before the replica answers: until then, it would lack what is acknowledged.
        self.execute("ALTER SYSTEM SET synchronous_commit = 'remote_apply'");
        self.execute("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (replica)'");
        self.execute("SELECT pg_reload_conf()");
        let replica = Postgres::launch_replica(folder, port);
        let state = "SELECT sync_state FROM pg_stat_replication";
        let state = || rows(&self.address_by("postgres", "postgres"), state).unwrap();
        wait_until(|| state() == [[Some("sync".to_string())]], || format!("{:?}", state()));
        replica
    }

    /// Copies the data of the server for a replica. Returns the folder.
    fn copy(&self) -> PathBuf {
        let folder = new_folder();
        let primary = self.port.to_string();
        let mut copy = program("pg_basebackup", &folder);
        copy.args([
            "-h", "127.0.0.1", "-p", &primary, "-U", "postgres", "-d", "application_name=replica",
        ]);
        copy.args(["-R", "-X", "stream", "-c", "fast", "-C", "-S", "replica", "--no-sync", "-D"]);
        run(copy.arg(folder.join("data")));
        folder
    }

    fn launch_replica(folder: PathBuf, port: Option<u16>) -> Postgres {
        let replica = Postgres::launch(folder, port);
        // Once it is promoted, it has no replica to wait for.
        replica.execute("ALTER SYSTEM RESET synchronous_standby_names");
        replica
    }

    /// Starts the server whose data is in a folder, on a port or on any free one, and waits until it answers.
    fn launch(folder: PathBuf, port: Option<u16>) -> Postgres {
        for _ in 0..5 {
            let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let server = Postgres::spawn(folder.clone(), port.unwrap_or_else(free));
            let log = || std::fs::read_to_string(folder.join("log")).unwrap();
            let is_port_taken = || log().contains("could not create any TCP/IP sockets");
            let answers = || rows(&server.address_by("postgres", "postgres"), "SELECT 1").is_ok();
            wait_until(|| answers() || is_port_taken(), log);
            if !is_port_taken() {
                return server;
            }
            // The watcher would remove the folder, which is needed again.
            let mut server = ManuallyDrop::new(server);
            server.watcher.kill().unwrap();
            server.watcher.wait().unwrap();
        }
        panic!("another program takes each port that is free");
    }

    /// Starts the server whose data is in a folder.
    fn spawn(folder: PathBuf, port: u16) -> Postgres {
        let server = program("postgres", &folder);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCH, "sh"]).arg(server.get_program()).args(server.get_args());
        watcher.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
        watcher.env("FOLDER", &folder).current_dir(&folder);
        // An interrupt at the terminal ends the tests, and then the watcher ends the server.
        watcher.process_group(0).stdin(Stdio::piped());
        watcher.stdout(log.try_clone().unwrap()).stderr(log);
        let watcher = watcher.spawn().unwrap();
        Postgres { port, folder, watcher, workers: Vec::new() }
    }

    /// Returns the address of a database for a role.
    pub(crate) fn address_by(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the address of a database for annals.
    pub(crate) fn address(&self, database: &str) -> String {
        self.address_by(ROLE, database)
    }

    /// Runs a statement as the superuser.
    pub(crate) fn execute(&self, sql: &str) {
        rows(&self.address_by("postgres", "postgres"), sql).unwrap();
    }

    /// Returns the one value that a statement gives the superuser.
    pub(crate) fn value(&self, sql: &str) -> String {
        let rows = rows(&self.address_by("postgres", "postgres"), sql).unwrap();
        rows[0][0].clone().unwrap()
    }

    /// Makes an empty database that annals owns.
    pub(crate) fn create_database(&self, name: &str) {
        let template = if self.workers.is_empty() { "template0" } else { CITUS_TEMPLATE };
        self.on_all_nodes(&format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}"));
    }

    /// Removes a database, also while somebody uses it.
    fn remove_database(&self, name: &str) {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        for node in self.nodes() {
            // The server waits only a few seconds for the end of what uses it.
            let is_dropped = || rows(&node.address_by("postgres", "postgres"), &drop).is_ok();
            wait_until(is_dropped, || format!("{name} is in use"));
        }
    }

    /// Returns the server and its workers.
    fn nodes(&self) -> impl Iterator<Item = &Postgres> {
        [self].into_iter().chain(&self.workers)
    }

    /// Runs statements as the superuser, also on the workers.
    pub(crate) fn on_all_nodes(&self, sql: &str) {
        self.nodes().for_each(|node| node.execute(sql));
    }

    /// Makes a replica a server that can be written to.
    pub(crate) fn promote(&self) {
        self.execute("SELECT pg_promote()");
    }

    /// Serves TLS with a certificate and its key, and rejects [`ROLE_WITH_PASSWORD`] without TLS.
    pub(crate) fn require_tls(&self, cert: &Path, key: &Path) {
        let data = self.folder.join("data");
        for (from, name) in [(cert, "server.crt"), (key, "server.key")] {
            let to = data.join(name);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                run(Command::new("chown").arg("postgres:").arg(&to));
            }
        }
        let rules = data.join("pg_hba.conf");
        let others = std::fs::read_to_string(&rules).unwrap();
        let with_tls = format!(
            "hostssl all {ROLE_WITH_PASSWORD} all scram-sha-256\nhostnossl all {ROLE_WITH_PASSWORD} all reject\n"
        );
        std::fs::write(&rules, with_tls + &others).unwrap();
        self.execute("ALTER SYSTEM SET ssl = on");
        self.execute("SELECT pg_reload_conf()");
        let is_on = || self.value("SHOW ssl") == "on";
        wait_until(is_on, || std::fs::read_to_string(self.folder.join("log")).unwrap());
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&self) {
        run(Command::new("kill").args(["-s", "KILL", &self.process()]));
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn stop_at_once(&self) {
        run(Command::new("kill").args(["-s", "QUIT", &self.process()]));
        let file = self.folder.join("data/postmaster.pid");
        wait_until(|| !file.exists(), || "the server does not end".to_string());
    }

    /// Starts the server again on the same port after it was stopped.
    pub(crate) fn start_again(&mut self) {
        // The watcher would remove the folder.
        self.watcher.kill().unwrap();
        self.watcher.wait().unwrap();
        let mut again = ManuallyDrop::new(Postgres::launch(self.folder.clone(), Some(self.port)));
        std::mem::swap(&mut self.watcher, &mut again.watcher);
    }

    /// Stops all processes of the server, which keeps its connections and never answers: so does a machine that is gone
    /// without a trace.
    pub(crate) fn hang(&self) {
        let server = self.process();
        // First the one that would start others.
        run(Command::new("kill").args(["-s", "STOP", &server]));
        run(Command::new("pkill").args(["-STOP", "-P", &server]));
    }

    /// Ends a server that was stopped, with its processes.
    pub(crate) fn kill_stopped(&self) {
        let server = self.process();
        run(Command::new("pkill").args(["-KILL", "-P", &server]));
        run(Command::new("kill").args(["-s", "KILL", &server]));
    }

    fn process(&self) -> String {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_string()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// Returns the server of the whole run, which is the coordinator where the tests run on Citus.
pub(crate) fn shared() -> &'static Postgres {
    static SHARED: LazyLock<Result<Postgres, String>> = LazyLock::new(|| match is_citus() {
        true => Postgres::start_citus(),
        false => Ok(Postgres::start()),
    });
    SHARED.as_ref().unwrap_or_else(|why| panic!("{why}"))
}

/// Returns the address of the database of a path, which is made on first use. Databases of paths whose folder is gone are
/// removed.
pub(crate) fn address_of(path: &Path) -> String {
    static NAMES: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);
    let server = shared();
    let path = std::path::absolute(path).unwrap();
    // A test that panics here leaves the names as they are.
    let mut names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !names.contains_key(&path) {
        names.retain(|path, name| {
            let is_needed = path.parent().is_some_and(Path::exists);
            if !is_needed {
                server.remove_database(name);
            }
            is_needed
        });
        let mut hash = DefaultHasher::new();
        path.hash(&mut hash);
        let name = format!("annals_{:x}", hash.finish());
        server.create_database(&name);
        names.insert(path.clone(), name);
    }
    server.address(&names[&path])
}

/// Runs statements. Returns the rows that they give. Errors with what the server said.
pub(crate) fn rows(address: &str, sql: &str) -> Result<Vec<Row>, String> {
    let mut psql = Command::new(PROGRAMS.join("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-F", VALUE_END, "-R", ROW_END]);
    psql.args(["-P", &format!("null={NULL}"), "-d", address, "-f", "-"]);
    psql.env("PGCLIENTENCODING", "UTF8").env("PGCONNECT_TIMEOUT", "10");
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = psql.spawn().unwrap();
    // psql ends early where it cannot connect. Then its message says more than the error of this write.
    let _ = process.stdin.take().unwrap().write_all(sql.as_bytes());
    let output = process.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(stderr(&output));
    }
    let printed = String::from_utf8(output.stdout).unwrap();
    let Some(printed) = printed.strip_suffix('\n') else { return Ok(Vec::new()) };
    let value = |value: &str| (value != NULL).then(|| value.to_string());
    Ok(printed.split(ROW_END).map(|row| row.split(VALUE_END).map(value).collect()).collect())
}

/// Starts a session, which runs what is written to its standard input and ends with it.
pub(crate) fn session(address: &str) -> Child {
    let mut psql = Command::new(PROGRAMS.join("psql"));
    psql.args(["-X", "-q", "-d", address, "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap()
}

/// The folder of PostgreSQL's programs.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| PathBuf::from(stdout(&output).trim()));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    installed.sort_by_key(|programs| {
        let version = programs.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = configured.into_iter().chain(installed).chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists()).expect(
        "the tests on PostgreSQL need its server, version 14 or later: `apt-get install postgresql`",
    )
});

/// Returns a program of PostgreSQL as a command. It runs as the user `postgres` if the tests run as root, because
/// PostgreSQL rejects root.
pub(crate) fn program(name: &str, folder: &Path) -> Command {
    let program = PROGRAMS.join(name);
    let mut command = match is_root() {
        true => Command::new("setpriv"),
        false => Command::new(&program),
    };
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    }
    command.current_dir(folder);
    command
}

/// Makes a folder that PostgreSQL may write to.
fn new_folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("annals-postgres-").tempdir().unwrap().keep();
    if is_root() {
        run(Command::new("chown").arg("postgres:").arg(&folder));
    }
    folder
}

fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, before + text).unwrap();
}

/// Runs a command to its end. Panics if it fails.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
}
