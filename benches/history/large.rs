//! What a large history costs: bytes, latency, memory, the start, and whole commands.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::client::{Client, ask, push_profiles};
use crate::data::{Random, id, profile, write_log};
use crate::process::{Server, import_log, remove, run};
use crate::reads::{SESSION, page_path, session_of};
use crate::{BATCH, Bench, FIRST_MS, ONCE, PUSHING, Reach, STEP_MS, figure};

/// Bytes that a query and a profile take in the file.
pub(crate) fn bytes(bench: &mut Bench) {
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

/// Reads of the large database beside those of one of 10,000 queries, and the memory under all loads together.
pub(crate) fn large(bench: &mut Bench) {
    const SMALL: u64 = 10_000;
    let (log, small) = (bench.path("small.log"), bench.path("small.db"));
    write_log(&log, 0..SMALL);
    import_log(&small, &log);
    let large = bench.large_history();
    // Reads the file into memory, so that the speed of the disk does not count.
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
        || asked(&ours, &profile_path),
        || asked(&theirs, &profile_path),
    );
    memory(bench, &ours);
}

/// The peak memory of a server under pushes and all kinds of reads together.
fn memory(bench: &mut Bench, ours: &Server) {
    let (reading, large) = (bench.size.asking, bench.size.large);
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
        ask(&ours.address, reading, session_of);
        ask(&ours.address, reading, |_, random| page_path(random, large));
        ask(&ours.address, reading, |_, random| profile_path(random));
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

fn profile_path(random: &mut Random) -> String {
    format!("/rest/v1/query_profile/{}", id(random.below(1000)))
}

/// Time from the start of the server to its first answer.
pub(crate) fn start(bench: &mut Bench) {
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

/// Commands on the large database, each as a whole process.
pub(crate) fn offline(bench: &mut Bench) {
    let db = bench.large_history();
    // Other parts may have added later queries.
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
