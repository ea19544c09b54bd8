//! Reading: lists and profiles beside a bare warp route, a loop over SQLite, and Datasette.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use warp::Filter;

use crate::client::{Client, ask};
use crate::data::{Random, id, profile};
use crate::process::Server;
use crate::{BATCH, Bench, FIRST_MS, Reach, STEP_MS};

/// The path of the bare route, and of the list.
pub(crate) const SESSION: &str = "/rest/v1/session";

/// The session list beside a bare warp route with the same bytes: as it is, and while records arrive.
pub(crate) fn session(bench: &mut Bench) {
    let ours = Server::annals(&bench.history());
    let body = Client::connect(&ours.address).get(SESSION);
    let theirs = bench.bare(&body);
    let asking = bench.size.asking;
    let same = |server: &Server| ask(&server.address, asking, |_, _| SESSION.to_string());
    bench.pairs(
        "`GET /rest/v1/session`, requests/s (bare warp route)",
        Reach::AtLeast(0.9),
        || same(&ours),
        || same(&theirs),
    );
    let mut next = bench.size.large;
    bench.pairs(
        "the same while 1,000 records/s arrive (the same)",
        Reach::AtLeast(0.5),
        || {
            let (done, first) = (AtomicBool::new(false), next);
            std::thread::scope(|scope| {
                let arriving = scope.spawn(|| {
                    let mut client = Client::connect(&ours.address);
                    let began = Instant::now();
                    let mut batches = 0;
                    while !done.load(Ordering::Relaxed) {
                        let from = first + batches * BATCH;
                        client.push(from..from + BATCH);
                        batches += 1;
                        let due = Duration::from_millis(batches * BATCH);
                        std::thread::sleep(due.saturating_sub(began.elapsed()));
                    }
                    batches
                });
                let rate = same(&ours);
                done.store(true, Ordering::Relaxed);
                next += arriving.join().unwrap() * BATCH;
                rate
            })
        },
        || same(&theirs),
    );
}

/// Returns a page at a random position; a fourth of the pages is of one user.
pub(crate) fn random_page(random: &mut Random, queries: u64) -> (u64, Option<String>) {
    let place = FIRST_MS + (1000 + random.below(queries - 1000)) * STEP_MS;
    (place, (random.below(4) == 0).then(|| format!("user{}", random.below(40))))
}

pub(crate) fn page_path(random: &mut Random, queries: u64) -> String {
    let (place, user) = random_page(random, queries);
    let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
    format!("{SESSION}?cursor={place}.{}{user}", u32::MAX)
}

/// Lists that differ with each request, beside a loop that steps the same rows.
pub(crate) fn pages(bench: &mut Bench) {
    let db = bench.history();
    let ours = Server::annals(&db);
    let (asking, queries) = (bench.size.asking, bench.size.queries);
    let seed = Mutex::new(Random(1));
    let sown = || seed.lock().unwrap().next();
    bench.pairs(
        "the same, each request another page or filter (SQLite stepped in a loop)",
        Reach::AtLeast(0.5),
        || {
            let seed = sown();
            ask(&ours.address, asking, |connection, random| {
                random.0 ^= seed ^ connection as u64;
                page_path(random, queries)
            })
        },
        || {
            let mut random = Random(sown());
            let sqlite =
                Connection::open_with_flags(&db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            let columns =
                "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user,
                catalog, db, statement, frontend, session_id, sql_hash FROM query";
            let order = "ORDER BY started_ms DESC, id DESC LIMIT 100";
            let mut all =
                sqlite.prepare(&format!("{columns} WHERE started_ms <= ?1 {order}")).unwrap();
            let mut of_user = sqlite
                .prepare(&format!("{columns} WHERE started_ms <= ?1 AND user = ?2 {order}"))
                .unwrap();
            let began = Instant::now();
            let mut stepped = 0;
            while began.elapsed() < asking {
                let (place, user) = random_page(&mut random, queries);
                let mut rows = match user {
                    None => all.query([place as i64]).unwrap(),
                    Some(user) => of_user.query((place as i64, user)).unwrap(),
                };
                while let Some(row) = rows.next().unwrap() {
                    for column in 0..14 {
                        std::hint::black_box(row.get_ref(column).unwrap());
                    }
                }
                stepped += 1;
            }
            f64::from(stepped) / began.elapsed().as_secs_f64()
        },
    );
}

/// Profiles by random ids, beside a bare warp route with the bytes of one.
pub(crate) fn profiles(bench: &mut Bench) {
    let ours = Server::annals(&bench.history());
    let (asking, profiles) = (bench.size.asking, bench.size.profiles);
    let usual = (0..).find(|number| (18_000..22_000).contains(&profile(*number).len())).unwrap();
    for (work, path) in [
        ("profile as HTML, requests/s (bare warp route)", "/rest/v1/query_profile/"),
        ("profile as text, requests/s (bare warp route)", "/api/profile/text?query_id="),
    ] {
        let body = Client::connect(&ours.address).get(&format!("{path}{}", id(usual)));
        let theirs = bench.bare(&body);
        bench.pairs(
            work,
            Reach::AtLeast(0.4),
            || {
                ask(&ours.address, asking, |_, random| {
                    format!("{path}{}", id(random.below(profiles)))
                })
            },
            || ask(&theirs.address, asking, |_, _| SESSION.to_string()),
        );
    }
}

/// The slowest of these reads beside Datasette on the same file and rows.
pub(crate) fn datasette(bench: &mut Bench) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/datasette/bin/datasette");
    if !program.exists() {
        println!(
            "| reads (Datasette) | MISSING: python3 -m venv target/datasette && \
             target/datasette/bin/pip install -r benches/requirements.txt | | | ≥ 20 |"
        );
        bench.missed.push("Datasette, which is missing".to_string());
        return;
    }
    let db = bench.history();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let process = Command::new(program)
        .arg(&db)
        .args(["--port", &port.to_string(), "--setting", "suggest_facets", "off"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let theirs = Server { process, address };
    while TcpStream::connect(&theirs.address).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ours = Server::annals(&db);
    let (asking, queries) = (bench.size.asking, bench.size.queries);
    let columns = "query_id,state,started_ms,ended_ms,duration_ms,user,db,statement";
    let table = format!(
        "/annals/query.json?_size=100&_nocount=1&_shape=array&_col={}",
        columns.replace(',', "&_col=")
    );
    bench.pairs(
        "newest 100 queries, requests/s (Datasette)",
        Reach::AtLeast(20.0),
        || ask(&ours.address, asking, |_, _| SESSION.to_string()),
        || ask(&theirs.address, asking, |_, _| format!("{table}&_sort_desc=started_ms")),
    );
    bench.pairs(
        "a page not asked for before, requests/s (Datasette)",
        Reach::AtLeast(20.0),
        || ask(&ours.address, asking, |_, random| page_path(random, queries)),
        || {
            ask(&theirs.address, asking, |_, random| {
                let (place, user) = random_page(random, queries);
                let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
                format!("{table}&_sort_desc=started_ms&started_ms__lte={place}{user}")
            })
        },
    );
    let id_of = |random: &mut Random, profiles| id(random.below(profiles));
    let profiles = bench.size.profiles;
    bench.pairs(
        "profile as text, requests/s (Datasette, its packed body)",
        Reach::AtLeast(20.0),
        || {
            ask(&ours.address, asking, |_, random| {
                format!("/api/profile/text?query_id={}", id_of(random, profiles))
            })
        },
        || {
            ask(&theirs.address, asking, |_, random| {
                format!("/annals/profile/{}.json?_shape=array", 1 + random.below(profiles))
            })
        },
    );
}

pub(crate) fn session_of(_: usize, _: &mut Random) -> String {
    SESSION.to_string()
}

/// Serves the bytes of a file by warp, as the reference of requests.
#[tokio::main]
pub(crate) async fn serve_bytes(file: &Path) {
    let body = warp::hyper::body::Bytes::from(std::fs::read(file).unwrap());
    let route = warp::path!("rest" / "v1" / "session").map(move || {
        warp::http::Response::builder()
            .header("content-type", "application/json")
            .body(body.clone())
            .unwrap()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    warp::serve(route).incoming(listener).run().await;
}
