//! Whole processes on ten million queries: the start of the server, and the commands.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::bench::Bench;
use crate::client::{Client, SESSION};
use crate::generator::{FIRST_MS, RARE_TEXT, STEP_MS, query_id};
use crate::process::{Server, run};
use crate::table::{Goal, figure};

/// Measures the time from the start of the server to its first answer, beside an empty history.
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
    let (ours, reference) = pairs[pairs.len() / 2];
    bench.table.row(
        "start to first answer, ms more (with an empty history)",
        Goal::AtMost(20.0),
        ours - reference,
        [figure(ours), figure(reference), format!("{:.1} more", ours - reference)],
    );
}

/// Measures commands. There is no reference.
pub(crate) fn offline(bench: &mut Bench) {
    let db = bench.large_history();
    // Other parts may have added queries after these.
    let end = FIRST_MS + bench.size.large * STEP_MS;
    let from = (end - bench.size.large / 30 * STEP_MS).to_string();
    let end = end.to_string();
    let some_id = query_id(12_345);
    let commands: [(&str, f64, &[&str]); 5] = [
        ("`annals list`, ms", 50.0, &["list"]),
        ("`annals show`, ms", 50.0, &["show", &some_id]),
        ("a text that occurs once, ms", 300.0, &["list", "--search", RARE_TEXT]),
        ("a text that does not occur, ms", 300.0, &["list", "--search", "nobody wrote this"]),
        (
            "`annals top` over the last thirtieth, ms",
            500.0,
            &["top", "--from", &from, "--to", &end],
        ),
    ];
    for (task, goal, arguments) in commands {
        let took_ms = || {
            let began = Instant::now();
            run(Command::new(env!("CARGO_BIN_EXE_annals")).args(arguments).arg("--db").arg(&db));
            began.elapsed().as_secs_f64() * 1000.0
        };
        let mut runs: Vec<f64> = (0..bench.size.pairs).map(|_| took_ms()).collect();
        runs.sort_by(f64::total_cmp);
        bench.table.absolute(task, Goal::AtMost(goal), runs[runs.len() / 2]);
    }
}
