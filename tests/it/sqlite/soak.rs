//! A soak: clients push and read at a steady rate while retention keeps the history within its bound, and memory,
//! descriptors, threads, the file and the answer times stay flat.
//!
//! `make soak` runs it for an hour. `ANNALS_SOAK_SECONDS` says how long. Requests follow a schedule, and times count
//! from the scheduled moment, so an answer that is late also counts for the requests that had to wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Server, profile};

/// What is pushed, with pushes a second.
const PUSHES: [(&str, f64); 2] = [("push", 20.0), ("push of a profile", 4.0)];
/// Rows of a push: 2,000 records a second.
const ROWS: u64 = 100;
/// What is read, with reads a second: 500 in all.
const READS: [(&str, f64); 4] =
    [("session", 200.0), ("history", 100.0), ("profile", 199.0), ("statements", 1.0)];
/// Clients of each kind. Each has one request at a time.
const CLIENTS: u32 = 16;
/// How long a client keeps a connection that it does not use. The server ends one after 30 seconds, and a request that
/// a client sends at that moment fails, so clients end theirs before.
const CLIENT_IDLE: Duration = Duration::from_secs(15);
/// What memory may grow by from the second to the last third of a soak, beyond a fifth: caches and the allocator.
const MEMORY_SLACK: u64 = 16 << 20;
/// What the fewest descriptors may grow by: a report that is computed, and a log that is written back.
const DESCRIPTOR_SLACK: u64 = 8;
/// The largest file with its log, in percent of the bound: a reader of many rows keeps the log from being written back
/// for as long as it reads.
const FILE_PERCENT: u64 = 110;
/// Answer times are asserted this coarsely, because other programs run on the machines of CI.
const LONGEST_P99_MS: f64 = 5000.0;

/// What the clients share.
struct Soak {
    address: String,
    began: Instant,
    ends: Instant,
    next: AtomicU64,
    /// Queries whose profiles were pushed last.
    profiled: Mutex<VecDeque<String>>,
    /// Answer times in milliseconds since the last sample, by kind.
    times: Mutex<BTreeMap<&'static str, Vec<f64>>>,
    errors: Mutex<Vec<String>>,
}

/// The connection of a client.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    used: Instant,
}

impl Soak {
    /// Sends a request at each scheduled moment. `clients` share the rate.
    async fn run(self: Arc<Soak>, kind: &'static str, (client, clients, rate): (u32, u32, f64)) {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let mut scheduled = self.began + interval * client;
        let mut connection = None;
        while scheduled < self.ends {
            tokio::time::sleep_until(scheduled).await;
            let number =
                self.next.fetch_add(if kind == "push" { ROWS } else { 1 }, Ordering::Relaxed);
            if let Some(request) = self.request(kind, number)
                && let Some(error) = self.send(&mut connection, request).await
            {
                self.errors.lock().unwrap().push(format!("{kind}: {error}"));
            }
            if kind == "push of a profile" {
                let mut profiled = self.profiled.lock().unwrap();
                profiled.push_back(id(number));
                if profiled.len() > 64 {
                    profiled.pop_front();
                }
            }
            let ms = scheduled.elapsed().as_secs_f64() * 1000.0;
            self.times.lock().unwrap().entry(kind).or_default().push(ms);
            scheduled += interval * clients;
        }
    }

    /// Sends a request and reads the whole answer. Returns what is wrong with it.
    async fn send(
        &self,
        connection: &mut Option<Connection>,
        request: Request<Full<Bytes>>,
    ) -> Option<String> {
        let answered = async {
            let is_usable = |connection: &mut Connection| {
                !connection.sender.is_closed() && connection.used.elapsed() < CLIENT_IDLE
            };
            let mut usable = match connection.take_if(|connection| is_usable(connection)) {
                Some(usable) => usable,
                None => self.connect().await?,
            };
            let (head, body) = usable.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            *connection = Some(Connection { used: Instant::now(), ..usable });
            anyhow::Ok((head.status, body))
        };
        match answered.await {
            Ok((status, _)) if status == 200 => None,
            Ok((status, body)) => Some(format!("{status} {}", String::from_utf8_lossy(&body))),
            Err(error) => Some(format!("{error:?}")),
        }
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender, used: Instant::now() })
    }

    /// Returns a request of a kind; none for a profile if none was pushed yet.
    fn request(&self, kind: &str, number: u64) -> Option<Request<Full<Bytes>>> {
        let (method, path, body) = match kind {
            "push" => {
                let rows = (number..number + ROWS).map(|number| row(number) + "\n").collect();
                ("POST", "/api/v1/queries".to_string(), rows)
            }
            "push of a profile" => {
                let path = format!("/api/v1/queries/{}/profile", id(number));
                ("PUT", path, large_profile(number))
            }
            "session" => ("GET", "/rest/v1/session?limit=100".to_string(), String::new()),
            "history" => ("GET", "/".to_string(), String::new()),
            "statements" => ("GET", "/statements".to_string(), String::new()),
            _ => {
                let profiled = self.profiled.lock().unwrap();
                let id = profiled.get(fastrand::usize(0..profiled.len().max(1)))?;
                ("GET", format!("/api/v1/queries/{id}/profile"), String::new())
            }
        };
        let request = Request::builder().method(method).uri(path).header(HOST, &self.address);
        Some(request.body(body.into()).unwrap())
    }
}

/// Returns a profile of some 20 KB that packs badly.
fn large_profile(number: u64) -> String {
    let start = crate::support::now().format("%Y-%m-%d %H:%M:%S").to_string();
    let values = [("Start Time", start.as_str()), ("End Time", &start), ("Total", "1ms")];
    let mut random = fastrand::Rng::with_seed(number);
    let noise: String = (0..20_000).map(|_| random.alphanumeric()).collect();
    profile(&id(number), &values) + &noise
}

fn id(number: u64) -> String {
    format!("{:x}-{number:x}", (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Returns a row of 50 different statements, of some 300 bytes.
fn row(number: u64) -> String {
    let statement = format!(
        "select o.region, count(*), sum(o.price * l.quantity) from orders_{} o join lines l on l.order_id = o.id \
         where o.created >= '2026-01-{:02}' and o.customer = {number} group by o.region order by 2 desc limit 100",
        number % 50,
        number % 28 + 1
    );
    json!({
        "query_id": id(number), "time": crate::support::now().timestamp_millis(), "user": format!("user{}", number % 20),
        "client": "10.0.0.7:5000", "db": "shop", "state": if number.is_multiple_of(40) { "ERR" } else { "EOF" },
        "query_time": number % 3000, "scan_rows": number, "scan_bytes": number * 100, "return_rows": number % 100,
        "peak_memory_bytes": 1 << 20, "cpu_time_ms": number % 500, "stmt": statement,
    })
    .to_string()
}

/// What a process uses at a moment.
#[derive(Debug, Default)]
struct Sample {
    memory: u64,
    descriptors: u64,
    threads: u64,
    /// The file with its write-ahead log, in bytes.
    file: u64,
    log: u64,
    /// The median and the 99th percentile in milliseconds, by kind.
    times: BTreeMap<&'static str, (f64, f64)>,
}

impl Sample {
    fn take(process: u32, db: &Path, soak: &Soak) -> Sample {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let size = |path: PathBuf| path.metadata().map_or(0, |file| file.len());
        let log = size(db.with_extension("db-wal"));
        let times = std::mem::take(&mut *soak.times.lock().unwrap());
        Sample {
            memory: field("VmRSS:") * 1024,
            descriptors: std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() as u64,
            threads: field("Threads:"),
            file: size(db.to_path_buf()) + log,
            log,
            times: times.into_iter().map(|(kind, times)| (kind, percentiles(times))).collect(),
        }
    }

    fn line(&self, second: u64) -> String {
        let mut line = format!(
            "{second:>5} s {:>5.0} MiB {:>4} fds {:>3} threads {:>6.1} MB file + log ({:>4.1} log)",
            self.memory as f64 / 1_048_576.0,
            self.descriptors,
            self.threads,
            self.file as f64 / 1e6,
            self.log as f64 / 1e6,
        );
        for (kind, (median, p99)) in &self.times {
            line += &format!("  {kind} {median:.1}/{p99:.1}");
        }
        line
    }
}

fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

#[test]
#[ignore = "takes a minute, or as long as ANNALS_SOAK_SECONDS says"]
fn memory_files_and_answer_times_stay_flat_under_a_bound() {
    let seconds = std::env::var("ANNALS_SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
    // The bound is reached in the first third. A bound that holds more than a minute of records is the usual one.
    let bound: u64 = if seconds < 600 { 32 << 20 } else { 256 << 20 };
    let folder = TempDir::new().unwrap();
    let (db, config) = (folder.path().join("a.db"), folder.path().join("annals.toml"));
    std::fs::write(&config, format!("[retention]\nmax_size = '{bound}B'\n")).unwrap();
    let server = Server::start(&db, &["--config", config.to_str().unwrap()]);
    let (samples, errors) = soak(&server, &db, seconds);
    assert!(
        errors.is_empty(),
        "{} errors, first {:?}",
        errors.len(),
        &errors[..errors.len().min(3)]
    );
    let thirds: Vec<&[Sample]> = samples.chunks(samples.len().div_ceil(3)).collect();
    let (middle, last) = (thirds[1], thirds[2]);
    let mean =
        |third: &[Sample]| third.iter().map(|one| one.memory).sum::<u64>() / third.len() as u64;
    assert!(mean(last) <= mean(middle) * 6 / 5 + MEMORY_SLACK, "{} {}", mean(middle), mean(last));
    let most = |third: &[Sample], of: fn(&Sample) -> u64| third.iter().map(of).max().unwrap();
    // A leak raises even the fewest. Clients open connections for a while when answers are late, and no more than one
    // for each client of each kind.
    let descriptors = |third: &[Sample]| {
        let counts = third.iter().map(|one| one.descriptors);
        (counts.clone().min().unwrap(), counts.max().unwrap())
    };
    let ((fewest_middle, _), (fewest, most_last)) = (descriptors(middle), descriptors(last));
    assert!(fewest <= fewest_middle + DESCRIPTOR_SLACK, "{fewest_middle} {fewest}");
    let clients = u64::from(CLIENTS) * (READS.len() + PUSHES.len()) as u64;
    assert!(most_last <= fewest + clients, "{fewest} {most_last}");
    assert!(most(last, |one| one.threads) <= most(middle, |one| one.threads) + 8);
    let file = most(&samples, |one| one.file);
    assert!(file <= bound / 100 * FILE_PERCENT, "{file} bytes for a bound of {bound}");
    assert!(most(last, |one| one.file) > bound / 2, "the bound was not reached");
    let slowest = last.iter().flat_map(|one| one.times.values().map(|(_, p99)| *p99));
    let slowest = slowest.fold(0.0, f64::max);
    assert!(slowest <= LONGEST_P99_MS, "{slowest} ms");
}

/// Runs all clients, prints a line for each sample, and returns the samples and what failed.
fn soak(server: &Server, db: &Path, seconds: u64) -> (Vec<Sample>, Vec<String>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let began = Instant::now() + Duration::from_millis(100);
        let soak = Arc::new(Soak {
            address: server.url.trim_start_matches("http://").to_string(),
            began,
            ends: began + Duration::from_secs(seconds),
            next: AtomicU64::new(0),
            profiled: Mutex::default(),
            times: Mutex::default(),
            errors: Mutex::default(),
        });
        for client in 0..CLIENTS {
            for (kind, rate) in PUSHES.into_iter().chain(READS) {
                tokio::spawn(soak.clone().run(kind, (client, CLIENTS, rate)));
            }
        }
        let every = (seconds / 60).clamp(2, 30);
        let mut samples = Vec::new();
        // At the end, the clients close their connections.
        for second in (every..seconds).step_by(every as usize) {
            tokio::time::sleep_until(began + Duration::from_secs(second)).await;
            let sample = Sample::take(server.process.id(), db, &soak);
            eprintln!("{}", sample.line(second));
            samples.push(sample);
        }
        let errors = std::mem::take(&mut *soak.errors.lock().unwrap());
        (samples, errors)
    })
}
