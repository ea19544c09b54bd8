//! Retention and the size of the file: it shrinks, and stays within its bound while records arrive.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::retention::{DAY_MS, daily, noise, now_ms, prune};
use crate::support::{self, Server, assert_sound, import, number, open_history, stderr};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Asserts that a prune has shrunk the file to less than a quarter, and has reported its size.
pub(crate) fn assert_file_shrank(db: &Path, bytes_before: u64, report: &Value) {
    assert_eq!(number(db, "SELECT freelist_count FROM pragma_freelist_count"), 0);
    let after = bytes(db);
    assert!(after < bytes_before / 4, "{bytes_before} {after}");
    assert_eq!(report["file_bytes"].as_u64(), Some(after));
    assert_sound(db);
}

/// Returns the size of a file, or 0 if there is none.
pub(crate) fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

#[test]
fn the_oldest_queries_are_removed_until_the_file_is_small_enough() {
    let folder = TempDir::new().unwrap();
    let db = daily(folder.path(), 400, 75_000);
    assert!(std::fs::metadata(&db).unwrap().len() > 20 << 20);
    assert!(prune(&db, &["--profiles-max-size", "17MiB"]).status.success());
    let bytes = number(&db, "SELECT sum(length(body)) FROM profile");
    assert!((16 << 20..=17 << 20).contains(&bytes), "{bytes}");
    assert_eq!(number(&db, "SELECT count(*) FROM query"), 401);
    assert!(prune(&db, &["--max-size", "16MiB"]).status.success());
    let bytes = std::fs::metadata(&db).unwrap().len();
    assert!((15 << 20..=16 << 20).contains(&bytes), "{bytes}");
    // The remaining queries are the newest.
    let left = number(&db, "SELECT count(*) FROM query");
    let newest =
        format!("SELECT count(*) FROM query WHERE started_ms >= {} - {left} * {DAY_MS}", now_ms());
    assert!((250..330).contains(&left), "{left}");
    assert!((left - number(&db, &newest)).abs() <= 1);
}

#[test]
fn wrong_prune_arguments_are_rejected() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let printed = |arguments: &[&str]| {
        let output = prune(&db, arguments);
        (output.status.code(), stderr(&output))
    };
    let (code, text) = printed(&[]);
    assert_eq!(code, Some(2));
    assert!(text.contains("give --keep-queries"), "{text}");
    let (code, text) = printed(&["--keep-queries", "1d"]);
    assert_eq!(code, Some(2));
    assert!(
        text.contains("there is no file")
            && text.contains("annals.db; name the history")
            && !db.exists(),
        "{text}"
    );
    assert!(printed(&["--keep-queries", "1"]).1.contains("an age is written like 90d"));
    assert!(printed(&["--max-size", "1MB"]).1.contains("a size is written like 20GB"));
    // An empty database is within all bounds.
    open_history(&db);
    assert_eq!(printed(&["--keep-queries", "1d", "--max-size", "16MiB"]).0, Some(0));
}

/// Measurements of a server under pushes. Sizes are bytes of the file and its write-ahead log.
struct Measurement {
    longest: Duration,
    smallest: u64,
    largest: u64,
}

/// Pushes `rate` records a second, and measures the longest push and the size of the database.
fn push_for(server: &Server, db: &Path, during: Duration, rate: u64, run: u64) -> Measurement {
    let log = db.with_file_name("annals.db-wal");
    let statement = noise(7, 300);
    let mut seen = Measurement { longest: Duration::ZERO, smallest: u64::MAX, largest: 0 };
    let mut pushed = 0;
    let begun = Instant::now();
    while begun.elapsed() < during {
        let row = |number: u64| {
            let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let row = json!({
                "query_id": format!("{scattered:x}-{run}a{number:x}"), "time": now_ms(), "user": "alice",
                "db": "shop", "query_time": number % 5000, "stmt": format!("select '{number}', {statement}"),
            });
            format!("{row}\n")
        };
        let body: String = (pushed..pushed + rate / 10).map(row).collect();
        pushed += rate / 10;
        let sent = Instant::now();
        let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], body.as_bytes());
        assert_eq!(status, 200, "{answer}");
        seen.longest = seen.longest.max(sent.elapsed());
        let size = bytes(db) + bytes(&log);
        (seen.smallest, seen.largest) = (seen.smallest.min(size), seen.largest.max(size));
        let due = Duration::from_millis(pushed * 1000 / rate);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    seen
}

#[test]
#[ignore = "needs half a minute, and the release binary"]
fn a_bound_holds_under_load_and_delays_no_push() {
    const BOUND: u64 = 64 << 20;
    let seconds = std::env::var("ANNALS_TEST_SECONDS").map_or(20, |text| text.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let log = folder.path().join("fe.audit.log");
    std::fs::write(&log, support::audit_records(0..330_000)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    std::fs::remove_file(&log).unwrap();
    // The reference is a server without a bound, because the time of a push varies between machines and hours.
    let unbounded = Server::start(&db, &[]);
    let reference = push_for(&unbounded, &db, Duration::from_secs(5), 2000, 1);
    drop(unbounded);
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[retention]\nmax_size = '64MiB'\n").unwrap();
    let server = Server::start(&db, &["--config", config.to_str().unwrap()]);
    let of_bound = |bytes: u64| bytes as f64 / BOUND as f64;
    // The database is far above its bound. The server prunes it while records arrive.
    let begun = Instant::now();
    let mut run = 2;
    while of_bound(push_for(&server, &db, Duration::from_secs(1), 2000, run).largest) > 1.05 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the database stays above its bound");
        run += 1;
    }
    println!("within its bound after {:?}", begun.elapsed());
    let seen = push_for(&server, &db, Duration::from_secs(seconds), 2000, run + 1);
    println!(
        "file and log from {:.3} to {:.3} of the bound; longest push {:?}, without a bound {:?}",
        of_bound(seen.smallest),
        of_bound(seen.largest),
        seen.longest,
        reference.longest
    );
    assert!((0.95..=1.05).contains(&of_bound(seen.smallest)), "{}", seen.smallest);
    assert!((0.95..=1.05).contains(&of_bound(seen.largest)), "{}", seen.largest);
    assert!(seen.longest <= Duration::from_millis(250) + reference.longest, "{:?}", seen.longest);
}
