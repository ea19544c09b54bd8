//! What all parts share: the amount of data, the generated files, and the table.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::{Client, PUSH_CONNECTIONS};
use crate::generator::{query_id, write_log};
use crate::postgres::Postgres;
use crate::process::{Server, import_log, run, sqlite3, sqlite3_with};
use crate::profile_text::profile_text;
use crate::table::{Goal, Table};

pub(crate) struct Size {
    pub(crate) queries: u64,
    /// Queries of the large history.
    pub(crate) large: u64,
    pub(crate) profiles: u64,
    /// Measurements of each task; the table has their median.
    pub(crate) pairs: usize,
    /// How long a measurement sends requests.
    pub(crate) duration: Duration,
}

pub(crate) const WHOLE: Size = Size {
    queries: 1_000_000,
    large: 10_000_000,
    profiles: 100_000,
    pairs: 5,
    duration: Duration::from_secs(3),
};
pub(crate) const SMOKE: Size = Size {
    queries: 50_000,
    large: 150_000,
    profiles: 2_000,
    pairs: 3,
    duration: Duration::from_millis(500),
};

pub(crate) struct Bench {
    pub(crate) size: Size,
    pub(crate) folder: PathBuf,
    pub(crate) table: Table,
    pub(crate) postgres: Option<Rc<Postgres>>,
}

impl Bench {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Measures annals and the reference in turn, and prints the median of their ratios.
    pub(crate) fn pairs(
        &mut self,
        task: &str,
        goal: Goal,
        mut ours: impl FnMut() -> f64,
        mut reference: impl FnMut() -> f64,
    ) {
        let pairs = (0..self.size.pairs).map(|_| (ours(), reference())).collect();
        self.table.ratio(task, goal, pairs);
    }

    /// Returns the audit log of all queries.
    pub(crate) fn log(&self) -> PathBuf {
        let log = self.path("fe.audit.log");
        if !log.exists() {
            write_log(&log, 0..self.size.queries);
        }
        log
    }

    /// Returns the database of all queries. The first queries have profiles.
    pub(crate) fn history(&self) -> PathBuf {
        let db = self.path("annals.db");
        if !db.exists() {
            import_log(&db, &self.log());
            let server = Server::annals(&db);
            push_profiles(&server, self.size.profiles);
            server.stop();
        }
        db
    }

    /// Returns the audit log of the large history, which the caller removes.
    pub(crate) fn large_log(&self) -> PathBuf {
        let log = self.path("large.log");
        write_log(&log, 0..self.size.large);
        log
    }

    /// Returns the database with the most queries, without profiles.
    pub(crate) fn large_history(&self) -> PathBuf {
        let db = self.path("large.db");
        if !db.exists() {
            let log = self.large_log();
            import_log(&db, &log);
            std::fs::remove_file(log).unwrap();
        }
        db
    }

    /// Returns the PostgreSQL of this run, with a database `empty` that has the schema. Counts a task as missed if PostgreSQL
    /// is not installed.
    pub(crate) fn postgres(&mut self) -> Option<Rc<Postgres>> {
        if self.postgres.is_none() {
            // A temporary folder is closed to the user of the server.
            let Some(postgres) = Postgres::start(Path::new(env!("CARGO_TARGET_TMPDIR"))) else {
                println!("| PostgreSQL is not installed | | | | |");
                self.table.add_missed("PostgreSQL");
                return None;
            };
            postgres.create("empty", "template0");
            let empty = postgres.address("empty");
            run(Command::new(env!("CARGO_BIN_EXE_annals")).args(["user", "list", "--db", &empty]));
            self.postgres = Some(Rc::new(postgres));
        }
        self.postgres.clone()
    }

    /// Returns the parsed rows of a database as CSV, for the shell's `.import`.
    pub(crate) fn csv(&self, db: &Path, name: &str) -> PathBuf {
        let csv = self.path(name);
        // NULL is empty in CSV, which an INTEGER column rejects. 0 takes as much space.
        let columns = sqlite3(db, "SELECT name, type FROM pragma_table_info('query')");
        let columns: Vec<String> = columns
            .lines()
            .map(|column| match column.split_once('|').unwrap() {
                (name, "INTEGER") => format!("ifnull({name}, 0)"),
                (name, _) => name.to_string(),
            })
            .collect();
        let rows = format!("SELECT {} FROM query ORDER BY id", columns.join(", "));
        std::fs::write(&csv, sqlite3_with(db, &["-csv"], &rows)).unwrap();
        csv
    }

    /// Starts a bare warp route that answers with a body.
    pub(crate) fn bare_warp(&self, body: &[u8]) -> Server {
        let file = self.path("body");
        std::fs::write(&file, body).unwrap();
        Server::start(Command::new(std::env::current_exe().unwrap()).arg("--bare-warp").arg(&file))
    }
}

/// Sends the profiles of the first queries to a server.
pub(crate) fn push_profiles(server: &Server, profiles: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PUSH_CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(&server.address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= profiles {
                        break;
                    }
                    let path = format!("/api/v1/queries/{}/profile", query_id(number));
                    client.send("PUT", &path, profile_text(number).as_bytes());
                }
            });
        }
    });
}
