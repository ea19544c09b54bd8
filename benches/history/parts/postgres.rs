//! annals on PostgreSQL: the import beside psql's `\copy`, everything else beside annals on SQLite.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::large::times_ms;
use super::lists::random_page_path;
use super::push::push_rate;
use crate::bench::{Bench, push_profiles};
use crate::client::{SESSION, request_rate};
use crate::generator::{FIRST_MS, RARE_TEXT, Random, STEP_MS, query_id};
use crate::process::{Server, import_log, remove, run};
use crate::table::Goal;

/// A database with the schema and without rows.
const EMPTY: &str = "empty";
/// The database of all queries, the first of which have profiles.
const HISTORY: &str = "history";
/// The database of the large history.
const LARGE: &str = "large";

/// Measures the import of an audit log into a new database. psql copies the same rows, already parsed, into the same table
/// with the same indexes.
pub(crate) fn import(bench: &mut Bench) {
    let Some(postgres) = bench.postgres() else { return };
    let (log, csv) = (bench.log(), bench.path("rows-of-postgres.csv"));
    postgres.create("ours", EMPTY);
    import_log(postgres.address("ours"), &log);
    let columns = "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = 'query'::regclass AND attnum > 0 AND attgenerated = ''";
    let columns = postgres.run("ours", &[columns]);
    let columns = columns.trim();
    let rows = format!("(SELECT {columns} FROM query ORDER BY id)");
    postgres.run("ours", &[&format!("\\copy {rows} TO '{}' CSV", csv.display())]);
    let copy = format!("\\copy query ({columns}) FROM '{}' CSV", csv.display());
    let queries = bench.size.queries;
    let rate = |began: Instant| queries as f64 / began.elapsed().as_secs_f64();
    bench.pairs(
        "PostgreSQL: import into a new history, rows/s (`\\copy`)",
        Goal::AtLeast(0.8),
        || {
            postgres.create("ours", EMPTY);
            let began = Instant::now();
            import_log(postgres.address("ours"), &log);
            rate(began)
        },
        || {
            postgres.create("reference", EMPTY);
            let began = Instant::now();
            postgres.run("reference", &[&copy]);
            rate(began)
        },
    );
    let count = postgres.run("reference", &["SELECT count(*) FROM query"]);
    assert_eq!(count, format!("{queries}\n"));
    postgres.run("postgres", &["DROP DATABASE ours", "DROP DATABASE reference"]);
}

/// Measures pushed batches. annals answers each batch after its commit.
pub(crate) fn push(bench: &mut Bench) {
    let Some(postgres) = bench.postgres() else { return };
    let (pushed, duration) = (bench.path("pushed.db"), bench.size.duration * 2);
    bench.pairs(
        "PostgreSQL: durable push of 16 connections, rows/s (SQLite)",
        Goal::AtLeast(0.4),
        || {
            postgres.create("pushed", EMPTY);
            let server = Server::annals(postgres.address("pushed"));
            let rate = push_rate(&server, duration);
            server.stop();
            rate
        },
        || {
            remove(&pushed);
            let server = Server::annals(&pushed);
            let rate = push_rate(&server, duration);
            server.stop();
            rate
        },
    );
    remove(&pushed);
    postgres.run("postgres", &["DROP DATABASE pushed"]);
}

/// Measures lists, single queries and profiles.
pub(crate) fn reads(bench: &mut Bench) {
    let Some(postgres) = bench.postgres() else { return };
    let address = postgres.address(HISTORY);
    if !postgres.has(HISTORY) {
        postgres.create(HISTORY, EMPTY);
        import_log(&address, &bench.log());
        let server = Server::annals(&address);
        push_profiles(&server, bench.size.profiles);
        server.stop();
        postgres.run(HISTORY, &["VACUUM ANALYZE"]);
    }
    let (ours, reference) = (Server::annals(&address), Server::annals(bench.history()));
    let (duration, queries) = (bench.size.duration, bench.size.queries);
    let profiles = bench.size.profiles;
    type Path = Box<dyn Fn(&mut Random) -> String + Sync>;
    let tasks: [(&str, Goal, Path); 4] = [
        ("`GET /rest/v1/session`", Goal::AtLeast(0.1), Box::new(|_| SESSION.to_string())),
        (
            "another page or filter",
            Goal::AtLeast(0.1),
            Box::new(move |random| random_page_path(random, queries)),
        ),
        (
            "a query by its id",
            Goal::AtLeast(0.1),
            Box::new(move |random| format!("/api/v1/queries/{}", query_id(random.below(queries)))),
        ),
        (
            "a profile as text",
            Goal::AtLeast(0.2),
            Box::new(move |random| {
                format!("/api/profile/text?query_id={}", query_id(random.below(profiles)))
            }),
        ),
    ];
    for (task, goal, path) in tasks {
        bench.pairs(
            &format!("PostgreSQL: {task}, requests/s (SQLite)"),
            goal,
            || request_rate(&ours.address, duration, |_, random| path(random)),
            || request_rate(&reference.address, duration, |_, random| path(random)),
        );
    }
}

/// Measures lists and commands on the large history.
pub(crate) fn large(bench: &mut Bench) {
    let Some(postgres) = bench.postgres() else { return };
    let address = postgres.address(LARGE);
    let queries = bench.size.large;
    if !postgres.has(LARGE) {
        postgres.create(LARGE, EMPTY);
        let log = bench.large_log();
        import_log(&address, &log);
        std::fs::remove_file(log).unwrap();
        postgres.run(LARGE, &["VACUUM ANALYZE"]);
    }
    let db = bench.large_history();
    {
        let server = Server::annals(&address);
        for (task, path) in [
            (
                "the newest 100",
                Box::new(|_: &mut Random| SESSION.to_string())
                    as Box<dyn Fn(&mut Random) -> String>,
            ),
            ("any 100", Box::new(move |random| random_page_path(random, queries))),
            (
                "a query by its id",
                Box::new(move |random| {
                    format!("/api/v1/queries/{}", query_id(random.below(queries)))
                }),
            ),
        ] {
            let median = median_ms(&server, bench.size.duration, path);
            bench.table.absolute(
                &format!("PostgreSQL, large: median of {task}, ms"),
                Goal::AtMost(1.0),
                median,
            );
        }
        server.stop();
    }
    let end = FIRST_MS + queries * STEP_MS;
    let from = (end - queries / 30 * STEP_MS).to_string();
    let end = end.to_string();
    let top = ["top", "--from", &from, "--to", &end];
    let by_user = [&top[..], &["--by", "user"]].concat();
    let commands: [(&str, f64, &[&str]); 4] = [
        ("`annals top` over the last thirtieth", 3.0, &top),
        ("the same by user", 3.0, &by_user),
        ("a text that occurs once", 4.0, &["list", "--search", RARE_TEXT]),
        ("a text that does not occur", 4.0, &["list", "--search", "nobody wrote this"]),
    ];
    for (task, goal, arguments) in commands {
        bench.pairs(
            &format!("PostgreSQL, large: {task}, ms (SQLite)"),
            Goal::AtMost(goal),
            || command_ms(arguments, address.as_ref()),
            || command_ms(arguments, &db),
        );
    }
}

/// Returns the median of the times of requests, one after another, in milliseconds.
fn median_ms(server: &Server, duration: Duration, path: impl Fn(&mut Random) -> String) -> f64 {
    let times = times_ms(server, duration, path);
    times[times.len() / 2]
}

/// Returns how long a command takes, in milliseconds.
fn command_ms(arguments: &[&str], db: &Path) -> f64 {
    let began = Instant::now();
    run(Command::new(env!("CARGO_BIN_EXE_annals")).args(arguments).arg("--db").arg(db));
    began.elapsed().as_secs_f64() * 1000.0
}
