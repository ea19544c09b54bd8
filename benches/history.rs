//! Speed, as ratios: each work of annals beside a reference, run in turn on the same machine.
//!
//! `cargo bench` takes the whole measure, `cargo bench -- --smoke` a short one, and both only the parts
//! that are named, if any are. Needs the stock `sqlite3` shell. See `benches/README.md`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run ends here

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use warp::Filter;

/// Connections that ask at the same time.
const CONNECTIONS: usize = 4;
/// Connections that push at the same time, and the records of each batch.
const PUSHING: usize = 16;
const BATCH: u64 = 100;
/// The start of the generated history, and the time from one query to the next.
const FIRST_MS: u64 = 1_704_067_200_000;
const STEP_MS: u64 = 20;

/// The number of a query whose statement has a text that no other has, and the text.
const ODD: u64 = 75_000;
const ONCE: &str = "needle_in_the_haystack";

struct Size {
    queries: u64,
    /// Of the history that is called large.
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

/// Which side of the goal is right.
#[derive(Clone, Copy)]
enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

/// What all parts share.
struct Bench {
    size: Size,
    folder: PathBuf,
    /// Works that fell behind half of their goal.
    fallen: Vec<String>,
}

type Part = (&'static str, fn(&mut Bench));

const PARTS: [Part; 11] = [
    ("import", import),
    ("import-into", import_into),
    ("push", push),
    ("session", session),
    ("pages", pages),
    ("profiles", profiles),
    ("datasette", datasette),
    ("bytes", bytes),
    ("large", large),
    ("start", start),
    ("offline", offline),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--bare-warp"
    {
        serve_bytes(Path::new(file));
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
    let mut bench = Bench { size, folder: folder.path().to_path_buf(), fallen: Vec::new() };
    for (name, part) in PARTS {
        if named.is_empty() || named.iter().any(|named| *named == name) {
            part(&mut bench);
        }
    }
    if bench.fallen.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmissed by more than half: {}", bench.fallen.join(", "));
    // A whole measure is read by people; a short one is there to stop what has become slow.
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

    /// Runs two works in turn, and reports the median of their ratios.
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
        let (goal, fallen) = match goal {
            Reach::AtLeast(goal) => (format!("≥ {goal}"), value < goal / 2.0),
            Reach::AtMost(goal) => (format!("≤ {goal}"), value > goal * 2.0),
        };
        println!("| {work} | {ours} | {theirs} | {shown} | {goal} |");
        if fallen {
            self.fallen.push(work.to_string());
        }
    }

    /// The audit log of all queries.
    fn log(&self) -> PathBuf {
        let log = self.path("fe.audit.log");
        if !log.exists() {
            write_log(&log, 0..self.size.queries);
        }
        log
    }

    /// The history of all queries, with profiles of the first of them.
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

    /// A history with many more queries.
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

    /// The rows of a history, parsed already, for the shell's `.import`.
    fn csv(&self, db: &Path, name: &str) -> PathBuf {
        let csv = self.path(name);
        // What is not known is empty in CSV, which an INTEGER column does not take: 0 is as large.
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

    /// A server of nothing but the bytes of an answer.
    fn bare(&self, body: &[u8]) -> Server {
        let file = self.path("body");
        std::fs::write(&file, body).unwrap();
        Server::start(Command::new(std::env::current_exe().unwrap()).arg("--bare-warp").arg(&file))
    }
}

fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// The path of the bare route, and of the list.
const SESSION: &str = "/rest/v1/session";

/// Import of an audit log beside the stock shell's `.import` of the same rows, already parsed, into the
/// same tables and indexes.
fn import(bench: &mut Bench) {
    let (log, ours, theirs) = (bench.log(), bench.path("ours.db"), bench.path("theirs.db"));
    import_log(&ours, &log);
    let (csv, schema) = (bench.csv(&ours, "rows.csv"), schema(&ours));
    let queries = bench.size.queries;
    let rate = |took: Duration| queries as f64 / took.as_secs_f64();
    bench.pairs(
        "import into a new history, rows/s (`sqlite3 .import`)",
        Reach::AtLeast(1.5),
        || {
            remove(&ours);
            rate(import_log(&ours, &log))
        },
        || {
            remove(&theirs);
            shell(&theirs, &schema);
            rate(import_csv(&theirs, &csv))
        },
    );
    assert_eq!(shell(&theirs, "SELECT count(*) FROM query"), format!("{queries}\n"));
    remove(&ours);
    remove(&theirs);
}

/// The same into a history that holds many already. Each pair adds other rows to both.
fn import_into(bench: &mut Bench) {
    let ours = bench.large_history();
    let theirs = bench.path("theirs.db");
    std::fs::copy(&ours, &theirs).unwrap();
    // The reference fills the table and its indexes, and no index for searching.
    shell(&theirs, "DELETE FROM search_page; DELETE FROM search_segment");
    // The shell's `.import` takes no table with a computed column, which views name.
    let views =
        shell(&theirs, "SELECT 'DROP VIEW ' || name || ';' FROM sqlite_schema WHERE type = 'view'");
    shell(&theirs, &format!("{views}ALTER TABLE query DROP COLUMN is_failed"));
    let added = bench.size.queries / 5;
    let pairs = (0..bench.size.pairs as u64)
        .map(|pair| {
            let log = bench.path("more.log");
            let from = bench.size.large + pair * added;
            write_log(&log, from..from + added);
            let apart = bench.path("apart.db");
            import_log(&apart, &log);
            let csv = bench.csv(&apart, "more.csv");
            // Rows take the ids behind those that are there.
            let numbered = bench.path("numbered.csv");
            let mut out = BufWriter::new(std::fs::File::create(&numbered).unwrap());
            for line in BufReader::new(std::fs::File::open(&csv).unwrap()).lines() {
                let line = line.unwrap();
                let (id, rest) = line.split_once(',').unwrap();
                let id: u64 = id.parse().unwrap();
                writeln!(out, "{},{rest}", id + from).unwrap();
            }
            out.flush().unwrap();
            remove(&apart);
            let rate = |took: Duration| added as f64 / took.as_secs_f64();
            (rate(import_log(&ours, &log)), rate(import_csv(&theirs, &numbered)))
        })
        .collect();
    bench.report(
        "import into the large history, rows/s (`sqlite3 .import`)",
        Reach::AtLeast(1.0),
        pairs,
    );
    remove(&theirs);
}

/// Batches of many connections, each answered after its commit, beside the import.
fn push(bench: &mut Bench) {
    let (log, db, again) = (bench.log(), bench.path("pushed.db"), bench.path("again.db"));
    let (queries, asking) = (bench.size.queries, bench.size.asking);
    bench.pairs(
        "durable push of 16 connections, rows/s (import)",
        Reach::AtLeast(0.4),
        || {
            remove(&db);
            let server = Server::annals(&db);
            let next = AtomicU64::new(0);
            let began = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..PUSHING {
                    scope.spawn(|| {
                        let mut client = Client::connect(&server.address);
                        while began.elapsed() < asking * 2 {
                            let batch = next.fetch_add(1, Ordering::Relaxed);
                            client.push(batch * BATCH..(batch + 1) * BATCH);
                        }
                    });
                }
            });
            let rate =
                (next.load(Ordering::Relaxed) * BATCH) as f64 / began.elapsed().as_secs_f64();
            server.stop();
            rate
        },
        || {
            remove(&again);
            let took = import_log(&again, &log);
            remove(&again);
            queries as f64 / took.as_secs_f64()
        },
    );
    remove(&db);
}

/// The session list beside a bare warp route with the same bytes: as it is, and while records arrive.
fn session(bench: &mut Bench) {
    let ours = Server::annals(&bench.history());
    let body = Client::connect(&ours.address).get(SESSION);
    let theirs = bench.bare(&body);
    let asking = bench.size.asking;
    let same = |server: &Server| ask(&server.address, asking, |_, _| SESSION.to_string());
    bench.pairs(
        "`GET /rest/v1/session`, requests/s (bare warp route)",
        Reach::AtLeast(0.9),
        || same(&ours),
        || same(&theirs),
    );
    let mut next = bench.size.large;
    bench.pairs(
        "the same while 1,000 records/s arrive (the same)",
        Reach::AtLeast(0.5),
        || {
            let (done, first) = (AtomicBool::new(false), next);
            std::thread::scope(|scope| {
                let arriving = scope.spawn(|| {
                    let mut client = Client::connect(&ours.address);
                    let began = Instant::now();
                    let mut batches = 0;
                    while !done.load(Ordering::Relaxed) {
                        let from = first + batches * BATCH;
                        client.push(from..from + BATCH);
                        batches += 1;
                        let due = Duration::from_millis(batches * BATCH);
                        std::thread::sleep(due.saturating_sub(began.elapsed()));
                    }
                    batches
                });
                let rate = same(&ours);
                done.store(true, Ordering::Relaxed);
                next += arriving.join().unwrap() * BATCH;
                rate
            })
        },
        || same(&theirs),
    );
}

/// A page that was not asked for before, at a random place; each fourth of one user alone.
fn random_page(random: &mut Random, queries: u64) -> (u64, Option<String>) {
    let place = FIRST_MS + (1000 + random.below(queries - 1000)) * STEP_MS;
    (place, (random.below(4) == 0).then(|| format!("user{}", random.below(40))))
}

fn page_path(random: &mut Random, queries: u64) -> String {
    let (place, user) = random_page(random, queries);
    let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
    format!("{SESSION}?cursor={place}.{}{user}", u32::MAX)
}

/// Lists that differ with each request beside a loop that steps the same rows.
fn pages(bench: &mut Bench) {
    let db = bench.history();
    let ours = Server::annals(&db);
    let (asking, queries) = (bench.size.asking, bench.size.queries);
    let seed = Mutex::new(Random(1));
    let sown = || seed.lock().unwrap().next();
    bench.pairs(
        "the same, each request another page or filter (SQLite stepped in a loop)",
        Reach::AtLeast(0.5),
        || {
            let seed = sown();
            ask(&ours.address, asking, |connection, random| {
                random.0 ^= seed ^ connection as u64;
                page_path(random, queries)
            })
        },
        || {
            let mut random = Random(sown());
            let sqlite =
                Connection::open_with_flags(&db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            let columns =
                "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user,
                catalog, db, statement, frontend, session_id, sql_hash FROM query";
            let order = "ORDER BY started_ms DESC, id DESC LIMIT 100";
            let mut all =
                sqlite.prepare(&format!("{columns} WHERE started_ms <= ?1 {order}")).unwrap();
            let mut of_user = sqlite
                .prepare(&format!("{columns} WHERE started_ms <= ?1 AND user = ?2 {order}"))
                .unwrap();
            let began = Instant::now();
            let mut stepped = 0;
            while began.elapsed() < asking {
                let (place, user) = random_page(&mut random, queries);
                let mut rows = match user {
                    None => all.query([place as i64]).unwrap(),
                    Some(user) => of_user.query((place as i64, user)).unwrap(),
                };
                while let Some(row) = rows.next().unwrap() {
                    for column in 0..14 {
                        std::hint::black_box(row.get_ref(column).unwrap());
                    }
                }
                stepped += 1;
            }
            f64::from(stepped) / began.elapsed().as_secs_f64()
        },
    );
}

/// Profiles by random ids, beside a bare warp route with the bytes of one.
fn profiles(bench: &mut Bench) {
    let ours = Server::annals(&bench.history());
    let (asking, profiles) = (bench.size.asking, bench.size.profiles);
    let usual = (0..).find(|number| (18_000..22_000).contains(&profile(*number).len())).unwrap();
    for (work, path) in [
        ("profile as HTML, requests/s (bare warp route)", "/rest/v1/query_profile/"),
        ("profile as text, requests/s (bare warp route)", "/api/profile/text?query_id="),
    ] {
        let body = Client::connect(&ours.address).get(&format!("{path}{}", id(usual)));
        let theirs = bench.bare(&body);
        bench.pairs(
            work,
            Reach::AtLeast(0.4),
            || {
                ask(&ours.address, asking, |_, random| {
                    format!("{path}{}", id(random.below(profiles)))
                })
            },
            || ask(&theirs.address, asking, |_, _| SESSION.to_string()),
        );
    }
}

/// The slowest of these reads beside Datasette on the same file and rows.
fn datasette(bench: &mut Bench) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/datasette/bin/datasette");
    if !program.exists() {
        println!(
            "| reads (Datasette) | MISSING: python3 -m venv target/datasette && \
             target/datasette/bin/pip install -r benches/requirements.txt | | | ≥ 20 |"
        );
        bench.fallen.push("Datasette, which is missing".to_string());
        return;
    }
    let db = bench.history();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let process = Command::new(program)
        .arg(&db)
        .args(["--port", &port.to_string(), "--setting", "suggest_facets", "off"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let theirs = Server { process, address };
    while TcpStream::connect(&theirs.address).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ours = Server::annals(&db);
    let (asking, queries) = (bench.size.asking, bench.size.queries);
    let columns = "query_id,state,started_ms,ended_ms,duration_ms,user,db,statement";
    let table = format!(
        "/annals/query.json?_size=100&_nocount=1&_shape=array&_col={}",
        columns.replace(',', "&_col=")
    );
    bench.pairs(
        "newest 100 queries, requests/s (Datasette)",
        Reach::AtLeast(20.0),
        || ask(&ours.address, asking, |_, _| SESSION.to_string()),
        || ask(&theirs.address, asking, |_, _| format!("{table}&_sort_desc=started_ms")),
    );
    bench.pairs(
        "a page not asked for before, requests/s (Datasette)",
        Reach::AtLeast(20.0),
        || ask(&ours.address, asking, |_, random| page_path(random, queries)),
        || {
            ask(&theirs.address, asking, |_, random| {
                let (place, user) = random_page(random, queries);
                let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
                format!("{table}&_sort_desc=started_ms&started_ms__lte={place}{user}")
            })
        },
    );
    let id_of = |random: &mut Random, profiles| id(random.below(profiles));
    let profiles = bench.size.profiles;
    bench.pairs(
        "profile as text, requests/s (Datasette, its packed body)",
        Reach::AtLeast(20.0),
        || {
            ask(&ours.address, asking, |_, random| {
                format!("/api/profile/text?query_id={}", id_of(random, profiles))
            })
        },
        || {
            ask(&theirs.address, asking, |_, random| {
                format!("/annals/profile/{}.json?_shape=array", 1 + random.below(profiles))
            })
        },
    );
}

/// What a query and a profile take in the file.
fn bytes(bench: &mut Bench) {
    let (log, db) = (bench.log(), bench.path("bytes.db"));
    import_log(&db, &log);
    let size = |file: &Path| std::fs::metadata(file).unwrap().len() as f64;
    let queries = bench.size.queries as f64;
    let (row, record) = (size(&db) / queries, size(&log) / queries);
    let ratio = row / record;
    bench.row(
        "bytes a query (of its audit record)",
        Reach::AtMost(1.1),
        ratio,
        [figure(row), figure(record), format!("{ratio:.2}")],
    );
    let (before, profiles) = (size(&db), bench.size.profiles);
    let server = Server::annals(&db);
    push_profiles(&server, profiles);
    server.stop();
    let texts: usize = (0..profiles).map(|number| profile(number).len()).sum();
    let (body, text) = ((size(&db) - before) / profiles as f64, texts as f64 / profiles as f64);
    let ratio = body / text;
    bench.row(
        "bytes a profile (of its text)",
        Reach::AtMost(0.2),
        ratio,
        [figure(body), figure(text), format!("{ratio:.2}")],
    );
    remove(&db);
}

/// The reads over the large history beside those over one of 10,000 queries, and the memory that all loads
/// together take.
fn large(bench: &mut Bench) {
    const SMALL: u64 = 10_000;
    let (log, small) = (bench.path("small.log"), bench.path("small.db"));
    write_log(&log, 0..SMALL);
    import_log(&small, &log);
    let large = bench.large_history();
    // The disk's own speed is not what is compared: the machine has memory for the file.
    std::io::copy(&mut std::fs::File::open(&large).unwrap(), &mut std::io::sink()).unwrap();
    let ours = Server::annals(&large);
    let theirs = Server::annals(&small);
    for server in [&ours, &theirs] {
        push_profiles(server, 1000);
    }
    let (asking, large) = (bench.size.asking, bench.size.large);
    let asked = |server: &Server, path: &dyn Fn(&mut Random) -> String| {
        let mut client = Client::connect(&server.address);
        let mut random = Random(11);
        let began = Instant::now();
        let mut took = Vec::new();
        while began.elapsed() < asking {
            let path = path(&mut random);
            let began = Instant::now();
            client.get(&path);
            took.push(began.elapsed());
        }
        took.sort();
        took[took.len() * 99 / 100].as_secs_f64() * 1000.0
    };
    let session = |_: &mut Random| SESSION.to_string();
    let page_of = |queries: u64| {
        move |random: &mut Random| {
            let place = FIRST_MS + (1000 + random.below(queries - 1000)) * STEP_MS;
            format!("{SESSION}?cursor={place}.{}", u32::MAX)
        }
    };
    let profile =
        |random: &mut Random| format!("/rest/v1/query_profile/{}", id(random.below(1000)));
    bench.pairs(
        "p99 of the session list, ms (of 10,000 queries)",
        Reach::AtMost(1.5),
        || asked(&ours, &session),
        || asked(&theirs, &session),
    );
    bench.pairs(
        "p99 of pages, ms (of 10,000 queries)",
        Reach::AtMost(1.5),
        || asked(&ours, &page_of(large)),
        || asked(&theirs, &page_of(SMALL)),
    );
    bench.pairs(
        "p99 of profiles, ms (of 10,000 queries)",
        Reach::AtMost(1.5),
        || asked(&ours, &profile),
        || asked(&theirs, &profile),
    );
    let done = AtomicBool::new(false);
    let next = AtomicU64::new(2 * large / BATCH);
    std::thread::scope(|scope| {
        for _ in 0..PUSHING {
            scope.spawn(|| {
                let mut client = Client::connect(&ours.address);
                while !done.load(Ordering::Relaxed) {
                    let batch = next.fetch_add(1, Ordering::Relaxed);
                    client.push(batch * BATCH..(batch + 1) * BATCH);
                }
            });
        }
        ask(&ours.address, asking, session_of);
        ask(&ours.address, asking, |_, random| page_path(random, large));
        ask(&ours.address, asking, |_, random| profile(random));
        done.store(true, Ordering::Relaxed);
    });
    let peak = ours.peak_memory() / f64::from(1 << 20);
    bench.row(
        "most memory under these and pushes together, MB",
        Reach::AtMost(96.0),
        peak,
        [figure(peak), String::new(), String::new()],
    );
}

fn session_of(_: usize, _: &mut Random) -> String {
    SESSION.to_string()
}

/// From the start of the server to its first answer.
fn start(bench: &mut Bench) {
    let (large, empty) = (bench.large_history(), bench.path("empty.db"));
    Server::annals(&empty).stop();
    let first_answer_ms = |db: &Path| {
        let began = Instant::now();
        let server = Server::annals(db);
        Client::connect(&server.address).get(SESSION);
        let took = began.elapsed();
        server.stop();
        took.as_secs_f64() * 1000.0
    };
    let mut pairs: Vec<(f64, f64)> = (0..bench.size.pairs.max(5))
        .map(|_| (first_answer_ms(&large), first_answer_ms(&empty)))
        .collect();
    pairs.sort_by(|a, b| (a.0 - a.1).total_cmp(&(b.0 - b.1)));
    let (ours, theirs) = pairs[pairs.len() / 2];
    bench.row(
        "start to first answer, ms more (of an empty history)",
        Reach::AtMost(20.0),
        ours - theirs,
        [figure(ours), figure(theirs), format!("{:.1} more", ours - theirs)],
    );
}

/// Commands on the large history, each as a whole process.
fn offline(bench: &mut Bench) {
    let db = bench.large_history();
    // Other parts may have added queries behind these.
    let end = FIRST_MS + bench.size.large * STEP_MS;
    let from = (end - bench.size.large / 30 * STEP_MS).to_string();
    let end = end.to_string();
    let some_id = id(12_345);
    let commands: [(&str, f64, &[&str]); 5] = [
        ("`annals list`, ms", 50.0, &["list"]),
        ("`annals show`, ms", 50.0, &["show", &some_id]),
        ("a text that occurs once, ms", 300.0, &["list", "--search", ONCE]),
        ("a text that does not occur, ms", 300.0, &["list", "--search", "nobody wrote this"]),
        (
            "`annals top` over the last thirtieth, ms",
            500.0,
            &["top", "--from", &from, "--to", &end],
        ),
    ];
    for (work, goal, arguments) in commands {
        let took = || {
            let began = Instant::now();
            run(Command::new(env!("CARGO_BIN_EXE_annals")).args(arguments).arg("--db").arg(&db));
            began.elapsed().as_secs_f64() * 1000.0
        };
        let mut runs: Vec<f64> = (0..bench.size.pairs).map(|_| took()).collect();
        runs.sort_by(f64::total_cmp);
        let median = runs[runs.len() / 2];
        bench.row(
            work,
            Reach::AtMost(goal),
            median,
            [figure(median), String::new(), String::new()],
        );
    }
}

/// The table and the indexes of a history that the reference fills, those of a search aside.
fn schema(db: &Path) -> String {
    let sql = "SELECT sql || ';' FROM sqlite_schema
        WHERE tbl_name = 'query' AND type IN ('table', 'index') AND sql IS NOT NULL
        ORDER BY type DESC";
    // The shell's `.import` takes no table with a computed column.
    let computed = "ALTER TABLE query DROP COLUMN is_failed;";
    format!("PRAGMA journal_mode = WAL; {}{computed}", shell(db, sql))
}

fn import_log(db: &Path, log: &Path) -> Duration {
    let began = Instant::now();
    run(Command::new(env!("CARGO_BIN_EXE_annals"))
        .args(["import", "--time-zone", "UTC", "--db"])
        .args([db, log]));
    began.elapsed()
}

fn import_csv(db: &Path, csv: &Path) -> Duration {
    let began = Instant::now();
    shell(db, &format!(".import --csv {} query", csv.display()));
    began.elapsed()
}

/// The id of a query, the same at each run.
fn id(number: u64) -> String {
    let mut random = Random(number);
    format!("{:x}-{:x}", random.next(), random.next())
}

/// Puts profiles of the first queries.
fn push_profiles(server: &Server, profiles: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PUSHING {
            scope.spawn(|| {
                let mut client = Client::connect(&server.address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= profiles {
                        break;
                    }
                    let path = format!("/api/v1/queries/{}/profile", id(number));
                    client.send("PUT", &path, profile(number).as_bytes());
                }
            });
        }
    });
}

/// A profile in the form of Doris 2.1 at its level 1, of 20 KB on average: of the query of that number in the log.
fn profile(number: u64) -> String {
    let mut random = Random(number ^ 0x5eed);
    let query = Query::new(number);
    let time = |ms: u64| {
        let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
        time.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let total = match query.duration_ms {
        ms @ ..1000 => format!("{ms}ms"),
        ms => format!("{}sec{}ms", ms / 1000, ms % 1000),
    };
    let ended_ms = FIRST_MS + number * STEP_MS;
    let (planning, scheduling) = (random.below(90), random.below(30));
    let mut text = format!(
        "Summary:\n   - Profile ID: {}\n   - Task Type: QUERY\n   - Start Time: {}\n   \
         - End Time: {}\n   - Total: {total}\n   - Task State: EOF\n   - User: user{}\n   \
         - Default Catalog: internal\n   - Default Db: db{}\n   - Sql Statement: {}\n\
         Execution Summary:\n   - Parse SQL Time: {}ms\n   - Nereids Analysis Time: {}ms\n   \
         - Nereids Rewrite Time: {}ms\n   - Nereids Optimize Time: {}ms\n   \
         - Nereids Translate Time: {}ms\n   - Workload Group: normal\n   - Analysis Time: N/A\n   \
         - Plan Time: {planning}ms\n     - JoinReorder Time: N/A\n     - CreateSingleNode Time: N/A\n     \
         - QueryDistributed Time: N/A\n   - Schedule Time: {scheduling}ms\n     \
         - Fragment Assign Time: 0ms\n     - Fragment Serialize Time: 1ms\n     \
         - Fragment RPC Phase1 Time: {}ms\n     - Fragment RPC Phase2 Time: 0ms\n     \
         - Fragment Compressed Size: {}.00 KB\n     - Fragment RPC Count: 2\n   \
         - Wait and Fetch Result Time: {}ms\n   - Fetch Result Time: {}ms\n   - Write Result Time: 0ms\n   \
         - Doris Version: doris-2.1.5\n   - Is Nereids: Yes\n   - Is Cached: No\n   \
         - Total Instances Num: 24\n   - Instances Num Per BE: 10.16.10.11:8060:24\n   \
         - Parallel Fragment Exec Instance Num: 8\n   - Trace ID: \n   - Transaction Commit Time: N/A\n\n\
         Changed Session Variables:\nVarName        | CurrentValue | DefaultValue\n\
         ---------------|--------------|-------------\nenable_profile | true         | false       \n\n\n \
         MergedProfile \n     Fragments:\n",
        id(number),
        time(ended_ms - query.duration_ms),
        time(ended_ms),
        query.user,
        query.db,
        query.statement,
        random.below(9),
        planning / 3,
        planning / 3,
        planning / 4,
        planning / 12,
        scheduling / 2,
        2 + random.below(9),
        query.duration_ms.saturating_sub(planning + scheduling),
        query.duration_ms.saturating_sub(planning + scheduling),
    );
    let operators = [
        "RESULT_SINK_OPERATOR", "AGGREGATION_SINK_OPERATOR", "HASH_JOIN_OPERATOR",
        "LOCAL_EXCHANGE_OPERATOR", "EXCHANGE_OPERATOR", "OLAP_SCAN_OPERATOR",
    ];
    // What a usual query has nothing to count of; a scan names all of it, other operators the first.
    let idle_times = ["WaitForRuntimeFilter", "SpillTotalTime", "SpillWriteTime", "SpillReadTime"];
    let idle_counts = [
        "RowsDelFiltered", "RowsKeyRangeFiltered", "RowsShortCircuitPredFiltered",
        "RowsVectorPredFiltered", "RowsStatsFiltered", "RowsBloomFilterFiltered",
        "RowsDictFiltered", "RowsZoneMapRuntimePredicateFiltered", "NumRemoteIOTotal",
        "RemoteOnlyReads",
    ];
    let mut fragment = 0;
    let mut rows = random.below(1_000_000);
    // Most are short, and some long, as those of a cluster are.
    while fragment == 0 || (fragment < 16 && random.below(48) < 31) {
        writeln!(text, "       Fragment {fragment}:\n         Pipeline : 0(instance_num=8):")
            .unwrap();
        for (depth, operator) in operators.iter().enumerate() {
            let nereids_id = random.below(99);
            writeln!(text, "           {operator} (id={depth} , nereids_id={nereids_id}):")
                .unwrap();
            let mut line = |counter: &str, value: &str| {
                writeln!(text, "              - {counter}: {value}").unwrap();
            };
            for counter in ["ExecTime", "WaitForDependencyTime"] {
                let least = random.below(400_000);
                let (average, most) =
                    (least + random.below(200_000), least + 200_000 + random.below(200_000));
                // Thousandths, without the zeros in front of them.
                let us = |ns| format!("{}.{}us", ns / 1000, ns % 1000);
                let value = format!("avg {}, max {}, min {}", us(average), us(most), us(least));
                line(counter, &value);
            }
            for counter in ["InitTime", "OpenTime", "CloseTime"] {
                let ns = 10 + random.below(90) * 10;
                line(counter, &format!("avg {ns}ns, max {}ns, min {}ns", ns + 80, ns / 2));
            }
            let of = |sum: u64| {
                let printed = |count: u64| match count {
                    ..1000 => count.to_string(),
                    1000..1_000_000 => format!("{}.{:03}K ({count})", count / 1000, count % 1000),
                    _ => format!("{}.{:06}M ({count})", count / 1_000_000, count % 1_000_000),
                };
                let part = sum / 8;
                let (sum, most, part) = (printed(sum), printed(part + part / 9), printed(part));
                format!("sum {sum}, avg {part}, max {most}, min {part}")
            };
            // What one operator takes in is what the one below it produced.
            line("RowsProduced", &of(rows));
            line("BlocksProduced", &of(rows / 4064));
            if depth % 2 == 0 {
                rows = rows * (2 + random.below(5)) % 10_000_000;
            }
            line("InputRows", &of(rows));
            let memory = random.below(64);
            let (all, part) = (format!("{memory}.00 MB"), format!("{}.00 MB", memory / 8));
            line("MemoryUsagePeak", &format!("sum {all}, avg {part}, max {part}, min {part}"));
            let is_scan = operator.contains("SCAN");
            for counter in &idle_times[..if is_scan { 4 } else { 2 }] {
                line(counter, "avg 0ns, max 0ns, min 0ns");
            }
            for counter in &idle_counts[..if is_scan { 10 } else { 1 }] {
                line(counter, "sum 0, avg 0, max 0, min 0");
            }
        }
        fragment += 1;
    }
    text
}

/// An audit log in the form of Doris 2.1: statements of 300 bytes on average, of many shapes with a long
/// tail, the same at each run.
fn write_log(path: &Path, queries: std::ops::Range<u64>) {
    let mut log = BufWriter::new(std::fs::File::create(path).unwrap());
    for number in queries {
        let ms = FIRST_MS + number * STEP_MS;
        let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
        let time = time.format("%Y-%m-%d %H:%M:%S,%3f");
        let mut random = Random(number ^ LOG_SEED);
        let Query { statement, shape, duration_ms, user, db } = Query::new(number);
        let scan_bytes = random.below(1_000_000_000);
        let local_bytes = scan_bytes / 8 * random.below(9);
        writeln!(
            log,
            "{time} [query] |Client=10.0.{}.{}:{}|User=user{user}|Ctl=internal|Db=db{db}|State=EOF\
             |ErrorCode=0|ErrorMessage=|Time(ms)={duration_ms}|ScanBytes={scan_bytes}|ScanRows={}\
             |ReturnRows={}|StmtId={number}|QueryId={}|IsQuery=true|isNereids=true|feIp=10.16.10.{}\
             |StmtType=SELECT|Stmt={statement}|CpuTimeMS={}|ShuffleSendBytes={}|ShuffleSendRows={}\
             |SqlHash={shape:032x}|peakMemoryBytes={}|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=\
             |WorkloadGroup=normal|FuzzyVariables=|scanBytesFromLocalStorage={local_bytes}\
             |scanBytesFromRemoteStorage={}",
            random.below(4),
            random.below(250),
            1024 + random.below(60_000),
            random.below(10_000_000),
            random.below(1000),
            id(number),
            random.below(5),
            random.below(5000),
            random.below(10_000_000),
            random.below(100_000),
            random.below(1_000_000_000),
            scan_bytes - local_bytes,
        )
        .unwrap();
    }
    log.flush().unwrap();
}

/// Seeds apart from those of ids and profiles.
const LOG_SEED: u64 = 42 << 40;
const QUERY_SEED: u64 = 43 << 40;

/// What the log and the profile of a query both say, the same at each run.
struct Query {
    statement: String,
    shape: u64,
    duration_ms: u64,
    user: u64,
    db: u64,
}

impl Query {
    fn new(number: u64) -> Query {
        let mut random = Random(number ^ QUERY_SEED);
        let mut statement = String::new();
        let shape = write_statement(&mut statement, &mut random);
        if number == ODD {
            statement.push_str(" -- ");
            statement.push_str(ONCE);
        }
        let (duration_ms, user, db) = (random.below(5000), random.below(40), random.below(20));
        Query { statement, shape, duration_ms, user, db }
    }
}

/// Writes a statement; gives its shape.
fn write_statement(statement: &mut String, random: &mut Random) -> u64 {
    // Half of all statements are of a few shapes.
    let shape = match random.below(2) {
        0 => random.below(20),
        _ => random.below(5000),
    };
    statement.clear();
    write!(
        statement,
        "select c_{}, count(*), sum(v_{shape}) from orders_{} o join lineitem l on o.id = l.oid \
         where o.ts >= '2024-01-{:02}' and l.price > {} and o.region in (",
        shape % 50,
        shape % 997,
        1 + random.below(28),
        random.below(1_000_000)
    )
    .unwrap();
    for _ in 0..random.below(40) {
        write!(statement, "'r{}', ", random.below(1000)).unwrap();
    }
    write!(statement, "'') group by c_{} order by 2 desc limit {}", shape % 50, shape % 100)
        .unwrap();
    shape
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

fn shell(db: &Path, sql: &str) -> String {
    String::from_utf8(shell_with(db, &[], sql)).unwrap()
}

fn shell_with(db: &Path, options: &[&str], sql: &str) -> Vec<u8> {
    run(Command::new("sqlite3").args(options).arg(db).arg(sql))
}

fn remove(db: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", db.display()));
    }
}

/// Requests a second that a server answers.
fn ask(address: &str, during: Duration, path: impl Fn(usize, &mut Random) -> String + Sync) -> f64 {
    let began = Instant::now();
    let asked: u64 = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let path = &path;
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let mut random = Random(began.elapsed().as_nanos() as u64 ^ connection as u64);
                    let mut asked = 0;
                    while began.elapsed() < during {
                        client.get(&path(connection, &mut random));
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).sum()
    });
    asked as f64 / began.elapsed().as_secs_f64()
}

/// As little of HTTP as it takes to ask, so that the asking costs little beside the answering.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::with_capacity(1 << 18, stream))
    }

    fn get(&mut self, path: &str) -> Vec<u8> {
        // In one piece: `write!` on a socket would send each part of the format apart.
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.answer(path)
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        self.answer(path);
    }

    /// Pushes some records, and waits until they are on the disk.
    fn push(&mut self, numbers: std::ops::Range<u64>) {
        let mut rows = String::new();
        let mut random = Random(numbers.start);
        for number in numbers {
            let Query { statement, shape, duration_ms, user, db } = Query::new(number);
            writeln!(
                rows,
                "{{\"query_id\":\"{}\",\"time\":{},\"query_time\":{duration_ms},\"user\":\"user{user}\",\"db\":\"db{db}\",\
                 \"state\":\"EOF\",\"client_ip\":\"10.0.0.1:5000\",\"scan_rows\":{},\"scan_bytes\":{},\
                 \"return_rows\":{},\"is_query\":true,\"sql_hash\":\"{shape:032x}\",\"stmt\":\"{statement}\"}}",
                id(number),
                FIRST_MS + number * STEP_MS - duration_ms,
                random.below(10_000_000),
                random.below(1_000_000_000),
                random.below(1000),
            )
            .unwrap();
        }
        self.send("POST", "/api/v1/queries", rows.as_bytes());
    }

    fn answer(&mut self, path: &str) -> Vec<u8> {
        let (mut length, mut chunked) = (0, false);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{path}: {line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            line.make_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            chunked |= line == "transfer-encoding: chunked\r\n";
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        while chunked {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let before = body.len();
            body.resize(before + size + 2, 0);
            self.0.read_exact(&mut body[before..]).unwrap();
            body.truncate(before + size);
            chunked = size > 0;
        }
        body
    }
}

/// A server in a process of its own, ended when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn annals(db: &Path) -> Server {
        Server::start(
            Command::new(env!("CARGO_BIN_EXE_annals"))
                .args(["serve", "--listen", "127.0.0.1:0", "--time-zone", "UTC", "--db"])
                .arg(db),
        )
    }

    /// Has it end by itself, with everything in the file.
    fn stop(mut self) {
        run(Command::new("kill").arg(self.process.id().to_string()));
        self.process.wait().unwrap();
    }

    /// The most memory it ever took, in bytes.
    fn peak_memory(&self) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    }

    fn start(command: &mut Command) -> Server {
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

/// The reference: warp, and nothing but the bytes.
#[tokio::main]
async fn serve_bytes(file: &Path) {
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
