//! Speed, as ratios: each work of annals beside a reference, run in turn on the same machine.
//!
//! `cargo bench --bench history` measures everything, `-- --smoke` takes a short measure, and both only the
//! parts that are named, if any are. Needs the stock `sqlite3` shell. See `benches/README.md`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run ends here

mod client;
mod data;
mod large;
mod process;
mod reads;
mod writes;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use tempfile::TempDir;

use client::push_profiles;
use data::write_log;
use process::{Server, import_log, shell, shell_with};

/// Connections that read at the same time.
const CONNECTIONS: usize = 4;
/// Connections that push at the same time.
const PUSHING: usize = 16;
/// Records of a pushed batch.
const BATCH: u64 = 100;
/// The start of the first generated query, and the time from one query to the next.
const FIRST_MS: u64 = 1_704_067_200_000;
const STEP_MS: u64 = 20;

/// The number of the only query whose statement has the text [`ONCE`].
const ODD: u64 = 75_000;
const ONCE: &str = "needle_in_the_haystack";

struct Size {
    queries: u64,
    /// Queries of the large history.
    large: u64,
    profiles: u64,
    pairs: usize,
    asking: Duration,
}

const WHOLE: Size = Size {
    queries: 1_000_000,
    large: 10_000_000,
    profiles: 100_000,
    pairs: 5,
    asking: Duration::from_secs(3),
};
const SMOKE: Size = Size {
    queries: 50_000,
    large: 150_000,
    profiles: 2_000,
    pairs: 3,
    asking: Duration::from_millis(700),
};

/// A goal, and the side of it on which a value should be.
#[derive(Clone, Copy)]
enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

/// What the parts share.
struct Bench {
    size: Size,
    folder: PathBuf,
    /// Works that missed their goal by more than half.
    missed: Vec<String>,
}

type Part = (&'static str, fn(&mut Bench));

const PARTS: [Part; 11] = [
    ("import", writes::import),
    ("import-into", writes::import_into),
    ("push", writes::push),
    ("session", reads::session),
    ("pages", reads::pages),
    ("profiles", reads::profiles),
    ("datasette", reads::datasette),
    ("bytes", large::bytes),
    ("large", large::large),
    ("start", large::start),
    ("offline", large::offline),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--bare-warp"
    {
        reads::serve_bytes(Path::new(file));
        return ExitCode::SUCCESS;
    }
    let mut size = if arguments.iter().any(|flag| flag == "--smoke") { SMOKE } else { WHOLE };
    for argument in &arguments {
        if let Some(large) = argument.strip_prefix("--large=") {
            size.large = large.parse().unwrap();
        }
    }
    let named: Vec<&String> = arguments.iter().filter(|name| !name.starts_with("--")).collect();
    for name in &named {
        let names: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        assert!(
            names.contains(&name.as_str()),
            "there is no part {name}, but {}",
            names.join(", ")
        );
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!(
        "{} queries, {} in the large history, {} profiles, the median of {} pairs\n",
        size.queries, size.large, size.profiles, size.pairs
    );
    println!("| work | annals | reference | ratio | goal |\n|---|---|---|---|---|");
    let mut bench = Bench { size, folder: folder.path().to_path_buf(), missed: Vec::new() };
    for (name, part) in PARTS {
        if named.is_empty() || named.iter().any(|named| *named == name) {
            part(&mut bench);
        }
    }
    if bench.missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmissed by more than half: {}", bench.missed.join(", "));
    // People read a whole measure. A short one fails, so that a pipeline stops what has become slow.
    if arguments.iter().any(|flag| flag == "--smoke") {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs two works in turn, and prints the pair with the median ratio.
    fn pairs(
        &mut self,
        work: &str,
        goal: Reach,
        mut ours: impl FnMut() -> f64,
        mut theirs: impl FnMut() -> f64,
    ) {
        let pairs = (0..self.size.pairs).map(|_| (ours(), theirs())).collect();
        self.report(work, goal, pairs);
    }

    fn report(&mut self, work: &str, goal: Reach, mut pairs: Vec<(f64, f64)>) {
        pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (ours, theirs) = pairs[pairs.len() / 2];
        let ratio = ours / theirs;
        self.row(work, goal, ratio, [figure(ours), figure(theirs), format!("{ratio:.2}")]);
    }

    fn row(&mut self, work: &str, goal: Reach, value: f64, [ours, theirs, shown]: [String; 3]) {
        let (goal, missed) = match goal {
            Reach::AtLeast(goal) => (format!("≥ {goal}"), value < goal / 2.0),
            Reach::AtMost(goal) => (format!("≤ {goal}"), value > goal * 2.0),
        };
        println!("| {work} | {ours} | {theirs} | {shown} | {goal} |");
        if missed {
            self.missed.push(work.to_string());
        }
    }

    /// Returns the audit log of all queries.
    fn log(&self) -> PathBuf {
        let log = self.path("fe.audit.log");
        if !log.exists() {
            write_log(&log, 0..self.size.queries);
        }
        log
    }

    /// Returns the database of all queries, with profiles of the first of them.
    fn history(&self) -> PathBuf {
        let db = self.path("annals.db");
        if !db.exists() {
            import_log(&db, &self.log());
            let server = Server::annals(&db);
            push_profiles(&server, self.size.profiles);
            server.stop();
        }
        db
    }

    /// Returns the database with many more queries.
    fn large_history(&self) -> PathBuf {
        let db = self.path("large.db");
        if !db.exists() {
            let log = self.path("large.log");
            write_log(&log, 0..self.size.large);
            import_log(&db, &log);
            std::fs::remove_file(log).unwrap();
        }
        db
    }

    /// Returns the rows of a database as CSV, for the shell's `.import`.
    fn csv(&self, db: &Path, name: &str) -> PathBuf {
        let csv = self.path(name);
        // CSV has an empty text for an unknown value, which an INTEGER column rejects. A 0 takes as much space.
        let columns = shell(db, "SELECT name, type FROM pragma_table_info('query')");
        let columns: Vec<String> = columns
            .lines()
            .map(|column| match column.split_once('|').unwrap() {
                (name, "INTEGER") => format!("ifnull({name}, 0)"),
                (name, _) => name.to_string(),
            })
            .collect();
        let rows = format!("SELECT {} FROM query ORDER BY id", columns.join(", "));
        std::fs::write(&csv, shell_with(db, &["-csv"], &rows)).unwrap();
        csv
    }

    /// Returns a warp server that answers with these bytes.
    fn bare(&self, body: &[u8]) -> Server {
        let file = self.path("body");
        std::fs::write(&file, body).unwrap();
        Server::start(Command::new(std::env::current_exe().unwrap()).arg("--bare-warp").arg(&file))
    }
}

fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
