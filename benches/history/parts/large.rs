//! Latency and memory with ten million queries.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::lists::random_page_path;
use crate::bench::{Bench, push_profiles};
use crate::client::{BATCH, Client, PUSH_CONNECTIONS, SESSION, request_rate};
use crate::generator::{FIRST_MS, Random, STEP_MS, query_id, write_log};
use crate::process::{Server, import_log};
use crate::table::Goal;

/// Queries of the small history, which is the reference.
const SMALL: u64 = 10_000;
/// Profiles of both histories.
const PROFILES: u64 = 1000;

/// Measures the slowest reads beside the same reads of 10,000 queries, and the peak memory with all loads together.
pub(crate) fn large(bench: &mut Bench) {
    let (log, small) = (bench.path("small.log"), bench.path("small.db"));
    write_log(&log, 0..SMALL);
    import_log(&small, &log);
    let large = bench.large_history();
    // The first read brings the file into memory, so that the speed of the disk does not count.
    std::io::copy(&mut std::fs::File::open(&large).unwrap(), &mut std::io::sink()).unwrap();
    let ours = Server::annals(&large);
    let reference = Server::annals(&small);
    for server in [&ours, &reference] {
        push_profiles(server, PROFILES);
    }
    latency(bench, &ours, &reference);
    peak_memory(bench, &ours);
}

fn latency(bench: &mut Bench, ours: &Server, reference: &Server) {
    let (duration, large) = (bench.size.duration, bench.size.large);
    let page_of = |queries: u64| {
        move |random: &mut Random| {
            let started_ms = FIRST_MS + (1000 + random.below(queries - 1000)) * STEP_MS;
            format!("{SESSION}?cursor=started_ms.{started_ms}.{}", u32::MAX)
        }
    };
    bench.pairs(
        "p99 of the session list, ms (with 10,000 queries)",
        Goal::AtMost(1.5),
        || p99_ms(ours, duration, |_| SESSION.to_string()),
        || p99_ms(reference, duration, |_| SESSION.to_string()),
    );
    bench.pairs(
        "p99 of pages, ms (with 10,000 queries)",
        Goal::AtMost(1.5),
        || p99_ms(ours, duration, page_of(large)),
        || p99_ms(reference, duration, page_of(SMALL)),
    );
    bench.pairs(
        "p99 of profiles, ms (with 10,000 queries)",
        Goal::AtMost(1.5),
        || p99_ms(ours, duration, profile_path),
        || p99_ms(reference, duration, profile_path),
    );
}

fn profile_path(random: &mut Random) -> String {
    format!("/rest/v1/query_profile/{}", query_id(random.below(PROFILES)))
}

/// Returns the 99th percentile of the times of requests, one after another, in milliseconds.
fn p99_ms(server: &Server, duration: Duration, path: impl Fn(&mut Random) -> String) -> f64 {
    let times = times_ms(server, duration, path);
    times[times.len() * 99 / 100]
}

/// Returns the times of requests, one after another, in milliseconds, the shortest first.
pub(super) fn times_ms(
    server: &Server,
    duration: Duration,
    path: impl Fn(&mut Random) -> String,
) -> Vec<f64> {
    let mut client = Client::connect(&server.address);
    let mut random = Random(11);
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < duration {
        let path = path(&mut random);
        let began = Instant::now();
        client.get(&path);
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    times
}

/// Measures the peak memory while lists, pages and profiles are read and records arrive.
fn peak_memory(bench: &mut Bench, server: &Server) {
    let (duration, large) = (bench.size.duration, bench.size.large);
    let done = AtomicBool::new(false);
    let next = AtomicU64::new(2 * large / BATCH);
    std::thread::scope(|scope| {
        for _ in 0..PUSH_CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(&server.address);
                while !done.load(Ordering::Relaxed) {
                    let batch = next.fetch_add(1, Ordering::Relaxed);
                    client.push(batch * BATCH..(batch + 1) * BATCH);
                }
            });
        }
        request_rate(&server.address, duration, |_, _| SESSION.to_string());
        request_rate(&server.address, duration, |_, random| random_page_path(random, large));
        request_rate(&server.address, duration, |_, random| profile_path(random));
        done.store(true, Ordering::Relaxed);
    });
    let peak_mb = server.peak_memory() / f64::from(1 << 20);
    bench.table.absolute(
        "peak memory with these and pushes together, MB",
        Goal::AtMost(96.0),
        peak_mb,
    );
}
