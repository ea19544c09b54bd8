//! Speed, as ratios: each work of annals beside a reference, run in turn on the same machine.
//!
//! `cargo bench` takes the whole measure, `cargo bench -- --smoke` a short one. Needs the stock
//! `sqlite3` shell. See `benches/README.md`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run ends here

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use warp::Filter;

/// Connections that ask at the same time.
const CONNECTIONS: usize = 4;

struct Size {
    queries: u64,
    pairs: usize,
    asking: Duration,
}

const WHOLE: Size = Size { queries: 1_000_000, pairs: 5, asking: Duration::from_secs(4) };
const SMOKE: Size = Size { queries: 50_000, pairs: 3, asking: Duration::from_secs(1) };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--bare-warp"
    {
        return serve_bytes(Path::new(file));
    }
    let size = if arguments.iter().any(|flag| flag == "--smoke") { SMOKE } else { WHOLE };
    let folder = TempDir::new().unwrap();
    println!("{} queries, the median of {} pairs", size.queries, size.pairs);
    println!("{:44} {:>12} {:>12} {:>7}", "", "annals", "reference", "ratio");
    import(&size, folder.path());
    session(&size, folder.path());
}

/// Import of an audit log beside the stock shell's `.import` of the same rows, already parsed, into the
/// same tables and indexes.
fn import(size: &Size, folder: &Path) {
    let (log, csv) = (folder.join("fe.audit.log"), folder.join("rows.csv"));
    write_log(&log, size.queries);
    let (ours, theirs) = (folder.join("annals.db"), folder.join("reference.db"));
    let run_ours = || {
        remove(&ours);
        let began = Instant::now();
        run(Command::new(env!("CARGO_BIN_EXE_annals"))
            .args(["import", "--time-zone", "UTC", "--db"])
            .args([&ours, &log]));
        began.elapsed()
    };
    run_ours();
    // What is not known is empty in CSV, which an INTEGER column does not take: 0 is as large.
    let columns = shell(&ours, "SELECT name, type FROM pragma_table_info('query')");
    let columns: Vec<String> = columns
        .lines()
        .map(|column| match column.split_once('|').unwrap() {
            (name, "INTEGER") => format!("ifnull({name}, 0)"),
            (name, _) => name.to_string(),
        })
        .collect();
    let rows = format!("SELECT {} FROM query ORDER BY id", columns.join(", "));
    std::fs::write(&csv, shell_with(&ours, &["-csv"], &rows)).unwrap();
    let schema = concat!(
        "PRAGMA journal_mode = WAL;",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0001_history.sql"))
    );
    let run_theirs = || {
        remove(&theirs);
        shell(&theirs, schema);
        let began = Instant::now();
        shell(&theirs, &format!(".import --csv {} query", csv.display()));
        began.elapsed()
    };
    let rate = |took: Duration| size.queries as f64 / took.as_secs_f64();
    let pairs = (0..size.pairs).map(|_| (rate(run_ours()), rate(run_theirs()))).collect();
    report("import, rows/s (beside sqlite3 .import)", pairs);
    assert_eq!(shell(&theirs, "SELECT count(*) FROM query"), format!("{}\n", size.queries));
}

/// The session list over the imported history beside a bare warp route with the same bytes.
fn session(size: &Size, folder: &Path) {
    let path = "/rest/v1/session";
    let ours = Server::start(
        Command::new(env!("CARGO_BIN_EXE_annals"))
            .args(["serve", "--listen", "127.0.0.1:0", "--time-zone", "UTC", "--db"])
            .arg(folder.join("annals.db")),
    );
    let body = folder.join("session.json");
    std::fs::write(&body, Client::connect(&ours.address).get(path)).unwrap();
    let theirs =
        Server::start(Command::new(std::env::current_exe().unwrap()).arg("--bare-warp").arg(&body));
    let pairs = (0..size.pairs)
        .map(|_| (ask(&ours.address, path, size.asking), ask(&theirs.address, path, size.asking)))
        .collect();
    report("GET /rest/v1/session, requests/s (bare warp)", pairs);
}

fn report(work: &str, mut pairs: Vec<(f64, f64)>) {
    pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, theirs) = pairs[pairs.len() / 2];
    println!("{work:44} {ours:>12.0} {theirs:>12.0} {:>7.2}", ours / theirs);
}

/// An audit log in the form of Doris 2.1: statements of 300 bytes on average, of many shapes with a long
/// tail, the same at each run.
fn write_log(path: &Path, queries: u64) {
    let mut log = BufWriter::new(std::fs::File::create(path).unwrap());
    let mut random = Random(42);
    let mut statement = String::new();
    for number in 0..queries {
        let ms = 1_704_067_200_000 + number * 20;
        let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
        let time = time.format("%Y-%m-%d %H:%M:%S,%3f");
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
        writeln!(
            log,
            "{time} [query] |Client=10.0.{}.{}:{}|User=user{}|Ctl=internal|Db=db{}|State=EOF\
             |ErrorCode=0|ErrorMessage=|Time(ms)={}|ScanBytes={}|ScanRows={}|ReturnRows={}\
             |StmtId={number}|QueryId={:x}-{:x}|IsQuery=true|isNereids=true|feIp=10.16.10.{}\
             |Stmt={statement}|CpuTimeMS={}|SqlHash={:032x}|peakMemoryBytes={}|SqlDigest=|TraceId=\
             |WorkloadGroup=normal|FuzzyVariables=",
            random.below(4),
            random.below(250),
            1024 + random.below(60_000),
            random.below(40),
            random.below(20),
            random.below(5000),
            random.below(1_000_000_000),
            random.below(10_000_000),
            random.below(1000),
            random.next(),
            random.next(),
            random.below(5),
            random.below(5000),
            shape,
            random.below(1_000_000_000),
        )
        .unwrap();
    }
    log.flush().unwrap();
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
fn ask(address: &str, path: &str, during: Duration) -> f64 {
    let began = Instant::now();
    let asked: u64 = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    let mut asked = 0;
                    while began.elapsed() < during {
                        client.get(path);
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
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        body
    }
}

/// A server in a process of its own, ended when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
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
