//! The session list: the newest queries, and other pages.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::bench::Bench;
use crate::client::{BATCH, Client, SESSION, request_rate};
use crate::generator::{FIRST_MS, Random, STEP_MS};
use crate::process::Server;
use crate::table::Goal;

/// Measures the newest queries, without writes and while records arrive. The reference is a bare warp route with the
/// same bytes.
pub(crate) fn session(bench: &mut Bench) {
    let ours = Server::annals(bench.history());
    let body = Client::connect(&ours.address).get(SESSION);
    let reference = bench.bare_warp(&body);
    let duration = bench.size.duration;
    let rate = |server: &Server| request_rate(&server.address, duration, |_, _| SESSION.into());
    bench.pairs(
        "`GET /rest/v1/session`, requests/s (bare warp route)",
        Goal::AtLeast(0.9),
        || rate(&ours),
        || rate(&reference),
    );
    let mut next = bench.size.large;
    bench.pairs(
        "the same while 1,000 records/s arrive (bare warp route)",
        Goal::AtLeast(0.5),
        || {
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let first = next;
                let writer = scope.spawn({
                    let (ours, done) = (&ours, &done);
                    move || push_1000_a_second(ours, first, done)
                });
                let rate = rate(&ours);
                done.store(true, Ordering::Relaxed);
                next = writer.join().unwrap();
                rate
            })
        },
        || rate(&reference),
    );
}

/// Pushes 1,000 records a second until `done`. Returns the number of the next query.
fn push_1000_a_second(server: &Server, first: u64, done: &AtomicBool) -> u64 {
    let mut client = Client::connect(&server.address);
    let began = Instant::now();
    let mut batches = 0;
    while !done.load(Ordering::Relaxed) {
        let from = first + batches * BATCH;
        client.push(from..from + BATCH);
        batches += 1;
        // A batch has 100 records and is due every 100 ms.
        let due = Duration::from_millis(batches * BATCH);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    first + batches * BATCH
}

/// Returns the start time of a random page. Every fourth page is restricted to one user.
pub(crate) fn random_page(random: &mut Random, queries: u64) -> (u64, Option<String>) {
    let started_ms = FIRST_MS + (1000 + random.below(queries - 1000)) * STEP_MS;
    (started_ms, (random.below(4) == 0).then(|| format!("user{}", random.below(40))))
}

pub(crate) fn random_page_path(random: &mut Random, queries: u64) -> String {
    let (started_ms, user) = random_page(random, queries);
    let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
    format!("{SESSION}?cursor=started_ms.{started_ms}.{}{user}", u32::MAX)
}

/// Measures lists of which no two are the same. The reference is one thread that steps the same rows in SQLite.
pub(crate) fn pages(bench: &mut Bench) {
    let db = bench.history();
    let ours = Server::annals(&db);
    let (duration, queries) = (bench.size.duration, bench.size.queries);
    let seeds = Mutex::new(Random(1));
    let next_seed = || seeds.lock().unwrap().next();
    bench.pairs(
        "session list, each request another page or filter (SQLite stepped in a loop)",
        Goal::AtLeast(0.5),
        || {
            let seed = next_seed();
            request_rate(&ours.address, duration, |connection, random| {
                random.0 ^= seed ^ connection as u64;
                random_page_path(random, queries)
            })
        },
        || sqlite_page_rate(&db, Random(next_seed()), duration, queries),
    );
}

/// Returns how many pages a second SQLite steps.
fn sqlite_page_rate(db: &Path, mut random: Random, duration: Duration, queries: u64) -> f64 {
    let sqlite = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let columns = "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user,
        catalog, db, statement, frontend, session_id, sql_hash FROM query";
    let order = "ORDER BY started_ms DESC, id DESC LIMIT 100";
    let mut all = sqlite.prepare(&format!("{columns} WHERE started_ms <= ?1 {order}")).unwrap();
    let mut of_user =
        sqlite.prepare(&format!("{columns} WHERE started_ms <= ?1 AND user = ?2 {order}")).unwrap();
    let began = Instant::now();
    let mut pages = 0;
    while began.elapsed() < duration {
        let (started_ms, user) = random_page(&mut random, queries);
        let mut rows = match user {
            None => all.query([started_ms as i64]).unwrap(),
            Some(user) => of_user.query((started_ms as i64, user)).unwrap(),
        };
        while let Some(row) = rows.next().unwrap() {
            for column in 0..14 {
                std::hint::black_box(row.get_ref(column).unwrap());
            }
        }
        pages += 1;
    }
    f64::from(pages) / began.elapsed().as_secs_f64()
}
