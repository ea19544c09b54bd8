//! Reads, beside Datasette on the same file.

use std::path::Path;
use std::process::Command;

use super::lists::{random_page, random_page_path};
use crate::bench::Bench;
use crate::client::{SESSION, request_rate};
use crate::generator::query_id;
use crate::process::Server;
use crate::table::Goal;

/// Measures the newest queries, other pages and profiles.
pub(crate) fn datasette(bench: &mut Bench) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/datasette/bin/datasette");
    if !program.exists() {
        println!(
            "| reads (Datasette) | MISSING: python3 -m venv target/datasette && \
             target/datasette/bin/pip install -r benches/requirements.txt | | | ≥ 20 |"
        );
        bench.table.add_missed("Datasette, which is not installed");
        return;
    }
    let db = bench.history();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let reference = Server::start_silent(
        Command::new(program).arg(&db).args([
            "--port",
            &port.to_string(),
            "--setting",
            "suggest_facets",
            "off",
        ]),
        port,
    );
    let ours = Server::annals(&db);
    lists(bench, &ours, &reference);
    profiles(bench, &ours, &reference);
}

fn lists(bench: &mut Bench, ours: &Server, reference: &Server) {
    let (duration, queries) = (bench.size.duration, bench.size.queries);
    let columns = "query_id,state,started_ms,ended_ms,duration_ms,user,db,statement";
    let table = format!(
        "/annals/query.json?_size=100&_nocount=1&_shape=array&_col={}",
        columns.replace(',', "&_col=")
    );
    bench.pairs(
        "newest 100 queries, requests/s (Datasette)",
        Goal::AtLeast(20.0),
        || request_rate(&ours.address, duration, |_, _| SESSION.to_string()),
        || {
            let path = format!("{table}&_sort_desc=started_ms");
            request_rate(&reference.address, duration, |_, _| path.clone())
        },
    );
    bench.pairs(
        "a page without a cached answer, requests/s (Datasette)",
        Goal::AtLeast(20.0),
        || request_rate(&ours.address, duration, |_, random| random_page_path(random, queries)),
        || {
            request_rate(&reference.address, duration, |_, random| {
                let (started_ms, user) = random_page(random, queries);
                let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
                format!("{table}&_sort_desc=started_ms&started_ms__lte={started_ms}{user}")
            })
        },
    );
}

fn profiles(bench: &mut Bench, ours: &Server, reference: &Server) {
    let (duration, profiles) = (bench.size.duration, bench.size.profiles);
    bench.pairs(
        "profile as text, requests/s (Datasette, the compressed body)",
        Goal::AtLeast(20.0),
        || {
            request_rate(&ours.address, duration, |_, random| {
                format!("/api/profile/text?query_id={}", query_id(random.below(profiles)))
            })
        },
        || {
            request_rate(&reference.address, duration, |_, random| {
                format!("/annals/profile/{}.json?_shape=array", 1 + random.below(profiles))
            })
        },
    );
}
