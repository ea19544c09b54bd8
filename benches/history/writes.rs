//! Writing: imports beside the stock shell's `.import`, and pushes beside the import.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::data::write_log;
use crate::process::{Server, import_csv, import_log, remove, schema, shell};
use crate::{BATCH, Bench, PUSHING, Reach};

/// Import of an audit log beside the stock shell's `.import` of the same rows, already parsed, into the
/// same tables and indexes.
pub(crate) fn import(bench: &mut Bench) {
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

/// The same into a large database. Each pair adds other rows to both.
pub(crate) fn import_into(bench: &mut Bench) {
    let ours = bench.large_history();
    let theirs = bench.path("theirs.db");
    std::fs::copy(&ours, &theirs).unwrap();
    // The reference fills the table and its indexes, but not the search index.
    shell(&theirs, "DELETE FROM search_page; DELETE FROM search_segment");
    // The shell's `.import` rejects a table with a computed column, and views name the column.
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
            // New rows get the ids after the stored ones.
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

/// Pushes of many connections, each answered after its commit, beside the import.
pub(crate) fn push(bench: &mut Bench) {
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
