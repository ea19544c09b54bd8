//! Pushes of many connections, beside the import.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::client::{BATCH, Client, PUSH_CONNECTIONS};
use crate::process::{Server, import_log, remove};
use crate::table::Goal;

/// Measures pushed batches. annals answers each batch after its commit.
pub(crate) fn push(bench: &mut Bench) {
    let (log, pushed, imported) = (bench.log(), bench.path("pushed.db"), bench.path("imported.db"));
    let (queries, duration) = (bench.size.queries, bench.size.duration);
    bench.pairs(
        "durable push of 16 connections, rows/s (import)",
        Goal::AtLeast(0.4),
        || {
            remove(&pushed);
            let server = Server::annals(&pushed);
            let rate = push_rate(&server, duration * 2);
            server.stop();
            rate
        },
        || {
            remove(&imported);
            let took = import_log(&imported, &log);
            remove(&imported);
            queries as f64 / took.as_secs_f64()
        },
    );
    remove(&pushed);
}

/// Returns how many records a second a server stores.
pub(super) fn push_rate(server: &Server, duration: Duration) -> f64 {
    let next = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..PUSH_CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(&server.address);
                while began.elapsed() < duration {
                    let batch = next.fetch_add(1, Ordering::Relaxed);
                    client.push(batch * BATCH..(batch + 1) * BATCH);
                }
            });
        }
    });
    (next.load(Ordering::Relaxed) * BATCH) as f64 / began.elapsed().as_secs_f64()
}
