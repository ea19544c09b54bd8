//! The pages as a person uses them, in a headless Chromium. These tests need `chromium` and its `chromedriver`:
//!
//! ```sh
//! cargo test --test it browser:: -- --include-ignored --test-threads=1
//! ```
//!
//! `screenshots` writes a picture of every page, at two widths, light and dark, to `target/screenshots`.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::browser::Browser;
use crate::support::incident::{PROFILED, SLOWER, incident};
use crate::support::{
    Server, add_user, audit_records, certificate, data, import, is_optimized, is_postgres,
    printed_count, printed_time, profile_of,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROOTS: &str = "fbb2582c72884d29-9dd9de3b42b740e9";
const CAROLS: &str = "8c1d2e3f40516273-b4c5d6e7f8091a2c";
/// Markup that would run if a page did not escape it.
const HOSTILE: &str =
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>";

fn samples() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    (folder, server)
}

pub(crate) fn push(server: &Server, query: &Value) {
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], query.to_string().as_bytes());
    assert_eq!(status, 200, "{answer}");
}

#[test]
#[ignore = "needs chromium"]
fn the_history_is_filtered_paged_and_live() {
    let (_folder, server) = samples();
    let browser = Browser::start();
    browser.open(&server.url);
    browser.until("document.querySelectorAll('tbody tr').length === 21");

    // chromedriver takes the content of closed details for hidden, although wide screens show it.
    browser.run("document.querySelector('.filter-fold').open = true");
    browser.type_into("input[name=user]", "alice");
    browser.click("form.filters button");
    browser.until("location.search === '?user=alice'");
    browser.until("document.querySelectorAll('tbody tr').length === 2");

    browser.open(&format!("{}/?limit=4", server.url));
    let first = browser.run("return document.querySelector('tbody tr').dataset.row");
    browser.click("a[rel=next]");
    browser.until("location.search.includes('cursor=')");
    let second = browser.run("return document.querySelector('tbody tr').dataset.row");
    assert_ne!(first, second);
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length"), json!(4));

    // New queries appear without a reload, unless the page is paused.
    browser.open(&server.url);
    browser.until("document.querySelector('[data-live-status]').textContent === 'Live'");
    browser.until("document.querySelector('figcaption .count')");
    browser.run(
        "window.counted = () => parseInt(document.querySelector('figcaption .count').innerText)",
    );
    let counted = browser.run("return window.counted()").as_u64().unwrap();
    let query = |id: &str| {
        json!({
            "query_id": id, "time": "2026-08-09 00:00:00", "user": "dora", "query_time": 12, "stmt": HOSTILE,
        })
    };
    push(&server, &query("live-1"));
    browser.until("document.querySelectorAll('tbody tr').length === 22");
    browser.until("document.querySelector('tbody tr').innerText.includes('<script>alert(1)')");
    // The chart is updated too.
    browser.until("document.querySelector('figcaption .errors')");
    browser.until(&format!("window.counted() !== {counted}"));
    browser.click("[data-live-pause]");
    push(&server, &query("live-2"));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length"), json!(22));
    browser.click("[data-live-pause]");
    browser.until("document.querySelectorAll('tbody tr').length === 23");
    browser.assert_unharmed();

    // Dragging over the chart selects a range.
    browser.open(&format!("{}/?from=2024-08-06&to=2024-08-07", server.url));
    browser.drag("svg[data-base]", 0.40, 0.55);
    browser.until("location.search.includes('11%3A') || location.search.includes('09%3A')");
    browser.until("new URLSearchParams(location.search).get('from') > '2024-08-06 08'");
    let (_, picked) =
        browser.address().split_once("to=").map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    assert!(picked.starts_with("2024-08-06+1"), "{picked}");
    browser.assert_unharmed();
}

#[test]
#[ignore = "needs chromium"]
fn a_query_is_opened_by_its_href_path() {
    let (_folder, server) = samples();
    let envelope = server.envelope("/rest/v1/session?search=store_sales5&limit=1");
    let href = envelope["data"]["rows"][0]["__hrefPath"].as_str().unwrap();
    let browser = Browser::start();
    browser.open(&format!("{}{href}", server.url));
    // A click on a node of the plan shows its counters.
    browser.click(".plan-picture a[aria-label^='OLAP_SCAN']");
    browser.until("document.querySelector('.plan-node')?.innerText.includes('27.7K')");
    browser.until("document.querySelector('.plan-picture a[aria-current]')");
    browser.assert_unharmed();
    browser.click(".tabs a[href*='show=tree']");
    browser.until("document.querySelector('.operator.costly')");
    browser.assert_unharmed();
    browser.click(".tabs a[href*='show=flame']");
    browser.until("document.querySelector('.flame img')?.naturalWidth > 0");
    browser.assert_unharmed();
    browser.click(".tabs a[href*='show=text']");
    browser.until("document.querySelector('pre.text')?.textContent.includes('MergedProfile')");
    browser.click("a[href^='/statements/']");
    browser.until("location.pathname.startsWith('/statements/')");
    browser.until("document.querySelectorAll('path.run').length > 0");
    browser.open(&format!("{}/statements?from=2020-01-01", server.url));
    browser.click("th a[href*='order=count']");
    browser.until("document.querySelector('th[aria-sort] a').textContent === 'Runs'");
    browser.open(&format!("{}/status", server.url));
    browser.until("document.querySelector('h1')?.textContent === 'Status'");
    browser.assert_unharmed();
}

/// Returns the fragments of a profile of a union of as many scans, of which two took time.
pub(crate) fn union_of(scans: u64) -> String {
    let mut fragments = "       Fragment 0:\n         Pipeline : 0(instance_num=1):\n           \
         RESULT_SINK_OPERATOR (id=0):\n           UNION_OPERATOR (id=900):\n"
        .to_string();
    for scan in 1..=scans {
        let time = printed_time(if scan == 3 || scan == scans { 900_000 } else { 5 });
        fragments += &format!(
            "         Pipeline : {scan}(instance_num=1):\n           UNION_SINK_OPERATOR (id=900):\n           \
             OLAP_SCAN_OPERATOR (id={scan}. table name = t{scan}(t{scan})):\n              \
             - ExecTime: avg {time}, max {time}, min {time}\n"
        );
    }
    fragments
}

#[test]
#[ignore = "needs chromium"]
fn narrow_screens_fold_the_filters() {
    let (_folder, server) = samples();
    let browser = Browser::start();
    let is_shown = "document.querySelector('.filter-fold [name=user]').checkVisibility({ contentVisibilityAuto: true })";
    for (width, shows_form) in [(1280, true), (390, false)] {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", metrics);
        browser.open(&format!("{}/?user=root&from=2020-01-01", server.url));
        browser.until(&format!("{is_shown} === {shows_form}"));
        // What is chosen shows either way.
        browser.until("document.querySelectorAll('.chosen li').length === 2");
    }
    browser.until("document.querySelector('.chosen').getBoundingClientRect().bottom < 450");
    browser.click(".filter-fold summary");
    browser.until(is_shown);
    browser.assert_unharmed();
}

#[test]
#[ignore = "needs chromium"]
fn a_large_plan_fits_and_is_used_with_the_keyboard_and_without_a_script() {
    let (_folder, server) = samples();
    let profile = profile_of("union-1", &[("Total", "2sec")], &union_of(60));
    let (status, answer, _) =
        server.send("PUT", "/api/v1/queries/union-1/profile", &[], profile.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let browser = Browser::start();
    let page = format!("{}/query_profile/union-1", server.url);
    let at_width = |width: u32| {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", metrics);
        browser.until("document.documentElement.scrollWidth <= innerWidth");
    };
    for (path, width) in [("?nodes=all", 1280), ("?nodes=all", 390), ("", 390)] {
        at_width(width);
        browser.open(&format!("{page}{path}"));
        browser.until("document.documentElement.scrollWidth <= innerWidth");
        // The nodes can be read, and the heaviest one is in view.
        browser.until("document.querySelector('.node .box').getBoundingClientRect().width >= 80");
        browser.until(
            "[['.plan-picture', '[data-heaviest] .box'].map((part) => document.querySelector(part).getBoundingClientRect())].every(
                ([box, node]) => node.left >= box.left && node.right <= box.right)",
        );
    }
    browser.click(".plan-tools a[href*='zoom=fit']");
    for width in [1280, 390] {
        at_width(width);
        browser.until(
            "[document.querySelector('.plan-picture')].every((box) => box.scrollWidth <= box.clientWidth)",
        );
    }
    // What took no time is one fold, and its link opens it.
    browser.open(&page);
    browser.until("document.querySelectorAll('.node').length === 4");
    browser.until("document.querySelector('.fold').textContent === '58 nodes, 0.0 %'");
    browser.run("document.querySelector('a:has(> .fold)').focus()");
    browser.run("document.activeElement.dispatchEvent(new MouseEvent('click', { bubbles: true }))");
    browser.until("document.querySelectorAll('.node').length === 62");
    browser.until("document.activeElement.id === 'node-1'");
    // A node that was chosen has the focus again.
    browser.run("document.querySelector('#node-40').dispatchEvent(new MouseEvent('click', { bubbles: true }))");
    browser.until("location.hash === '#node-40' && document.activeElement.id === 'node-40'");
    browser.assert_unharmed();
    // Without a script the chosen node is in view, too.
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.open("about:blank");
    browser.open(&format!("{page}?show=plan&nodes=all&zoom=full&node=60#node-60"));
    browser.until(
        "[['.plan-picture', '#node-60'].map((part) => document.querySelector(part).getBoundingClientRect())].every(
            ([box, node]) => node.left >= box.left && node.right <= box.right && node.top >= 0 && node.bottom <= innerHeight)",
    );
}

#[test]
#[ignore = "needs chromium"]
fn a_statement_is_copied() {
    let (_folder, server) = samples();
    let browser = Browser::start();
    let allowed = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    browser.devtools("Browser.grantPermissions", allowed);
    browser.open(&format!("{}/query_profile/{ROOTS}", server.url));
    browser.click("button[data-copy=statement]");
    browser.until("document.querySelector('button[data-copy]').textContent === 'Copied'");
    browser.run("navigator.clipboard.readText().then((text) => { window.copied = text; })");
    browser.until("window.copied");
    let copied = browser.run("return window.copied");
    assert_eq!(copied.as_str().unwrap().trim_end(), "select count(*)\nfrom store_sales5");
    browser.assert_unharmed();
}

/// Returns the fragments of a profile as Doris 2.1 writes them, of a run whose join took `join_ms`.
fn fragments(join_ms: u64) -> String {
    let mut fragments = String::new();
    let mut fragment = |number: u32, pipelines: &[&[(&str, u64, u64, u64)]]| {
        fragments += &format!("       Fragment {number}:\n");
        for (pipeline, operators) in pipelines.iter().enumerate() {
            fragments += &format!("         Pipeline : {pipeline}(instance_num=1):\n");
            for (name, us, rows, kb) in *operators {
                let (time, rows) = (printed_time(*us), printed_count(*rows));
                let counter = if name.contains("_SINK_") { "InputRows" } else { "RowsProduced" };
                fragments += &format!(
                    "           {name}:\n              - ExecTime: avg {time}, max {time}, min {time}\n              \
                     - MemoryUsage: sum {kb}.00 KB, avg {kb}.00 KB, max {kb}.00 KB, min {kb}.00 KB\n              \
                     - {counter}: sum {rows}, avg {rows}, max {rows}, min {rows}\n"
                );
            }
        }
    };
    let rows = join_ms * 997;
    fragment(
        0,
        &[&[
            ("RESULT_SINK_OPERATOR (id=0)", 61, 20, 4),
            ("EXCHANGE_OPERATOR (id=10)", 240, 20, 16),
        ]],
    );
    fragment(
        1,
        &[
            &[
                ("DATA_STREAM_SINK_OPERATOR (dest_id=10)", 90, 20, 4),
                ("SORT_OPERATOR (id=9 , nereids_id=199)", 240, 20, 16),
            ],
            &[
                ("SORT_SINK_OPERATOR (id=9 , nereids_id=199)", 1800, 4000, 320),
                ("AGGREGATION_OPERATOR (id=8 , nereids_id=190)", 21_000, 4000, 5300),
            ],
            &[
                ("AGGREGATION_SINK_OPERATOR (id=8 , nereids_id=190)", 12_000, 31_000, 5300),
                ("EXCHANGE_OPERATOR (id=7)", 3900, 31_000, 900),
            ],
        ],
    );
    fragment(
        2,
        &[
            &[
                ("DATA_STREAM_SINK_OPERATOR (dest_id=7)", 3100, 31_000, 600),
                ("STREAMING_AGGREGATION_OPERATOR (id=6 , nereids_id=181)", 4000, 31_000, 900),
            ],
            &[
                ("STREAMING_AGGREGATION_SINK_OPERATOR (id=6 , nereids_id=181)", 30_000, rows, 7100),
                ("HASH_JOIN_OPERATOR (id=5 , nereids_id=171)", join_ms * 1000, rows, join_ms * 37),
                (
                    "OLAP_SCAN_OPERATOR (id=2. nereids_id=152. table name = orders(orders))",
                    74_000 + join_ms * 90,
                    rows,
                    2100,
                ),
            ],
            &[
                (
                    "HASH_JOIN_SINK_OPERATOR (id=5 , nereids_id=171)",
                    9000 + join_ms * 10,
                    12_000,
                    8300,
                ),
                ("EXCHANGE_OPERATOR (id=1)", 700, 12_000, 900),
            ],
        ],
    );
    fragment(
        3,
        &[&[
            ("DATA_STREAM_SINK_OPERATOR (dest_id=1)", 900, 12_000, 600),
            (
                "OLAP_SCAN_OPERATOR (id=0. nereids_id=143. table name = customers(customers))",
                12_400,
                12_000,
                1200,
            ),
        ]],
    );
    fragments
}

/// Returns a profile as Doris 2.1 writes it, of a run whose join took `join_ms`.
fn profile(id: &str, hour: u32, join_ms: u64) -> String {
    let start = format!("2024-08-06 {hour:02}:00:00");
    let statement = format!(
        "select c.name, sum(o.price) from orders o join customers c on o.customer = c.id \
         where o.day = {hour} group by c.name order by 2 desc limit 20"
    );
    let values = [
        ("Start Time", start.as_str()),
        ("End Time", &start),
        ("Total", &printed_time(join_ms * 1000 + 400_000)),
        ("User", "alice"),
        ("Default Db", "shop"),
        ("Sql Statement", &statement),
    ];
    profile_of(id, &values, &fragments(join_ms))
}

/// Pushes three runs of one statement with their profiles, and returns its fingerprint.
pub(crate) fn runs_with_profiles(server: &Server) -> String {
    for (id, hour, join_ms) in [("run-1", 7, 180), ("run-2", 15, 2400), ("run-3", 19, 700)] {
        let profile = profile(id, hour, join_ms);
        let path = format!("/api/v1/queries/{id}/profile");
        let (status, answer, _) = server.send("PUT", &path, &[], profile.as_bytes());
        assert_eq!(status, 200, "{answer}");
        let record = json!({
            "query_id": id, "scan_rows": join_ms * 997, "scan_bytes": join_ms * 41_337,
            "cpu_time_ms": join_ms * 7, "peak_memory_bytes": join_ms * 37_000, "return_rows": 20,
            "client_ip": "10.16.10.21:53450", "frontend_ip": "10.16.10.6", "query_time": join_ms + 400,
            "time": format!("2024-08-06 {hour:02}:00:00"), "state": "EOF", "error_code": 0,
        });
        push(server, &record);
    }
    let runs = server.envelope("/api/v1/queries?search=o.customer");
    runs["data"][0]["fingerprint"].as_str().unwrap().to_string()
}

#[test]
#[ignore = "needs chromium"]
fn the_slowest_run_is_compared_with_the_fastest() {
    let (_folder, server) = samples();
    let fingerprint = runs_with_profiles(&server);
    let browser = Browser::start();
    browser.open(&format!("{}/statements/{fingerprint}", server.url));
    let cells = |selector: &str| {
        let script = format!(
            "return Array.from(document.querySelectorAll({selector:?}), (cell) => cell.innerText)"
        );
        browser.run(&script)
    };
    assert_eq!(cells(".comparison tbody tr:nth-child(1) td"), json!(["run-1", "run-2"]));
    assert_eq!(cells(".comparison tbody tr:nth-child(3) td"), json!(["580 ms", "2.80 s"]));
    // The node with the largest difference comes first.
    assert_eq!(
        cells(".differences tbody tr:nth-child(1) td"),
        json!(["HASH_JOIN 5", "190.8 ms", "2.43 s", "179K", "2.4M"])
    );
    assert_eq!(browser.run("return document.querySelectorAll('path.run').length"), json!(3));
    browser.click(".comparison a[href$='run-2']");
    let costliest = "document.querySelector('.node:has(.heat4)')";
    browser.until(&format!("{costliest}?.textContent.includes('HASH_JOIN')"));
    browser.assert_unharmed();
}

#[test]
#[ignore = "needs chromium and openssl"]
fn pages_work_with_tls() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    with_users(&db);
    certificate(folder.path(), "localhost");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let arguments = ["--time-zone", "UTC", "--tls-cert", &cert, "--tls-key", &key];
    let server = Server::start(&db, &arguments);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let browser = Browser::start();
    browser.open(&server.url);
    browser.type_into("input[name=name]", "carol");
    browser.type_into("input[name=password]", "pass-word-of-carol");
    browser.click("form.login button");
    browser.until("document.querySelector('[data-live-status]')?.textContent === 'Live'");
    browser.until("document.querySelector('figcaption .count')");
    let cookies = browser.devtools("Network.getCookies", json!({ "urls": [server.url] }));
    let cookie = &cookies["cookies"][0];
    assert_eq!(
        (&cookie["secure"], &cookie["httpOnly"], &cookie["sameSite"]),
        (&json!(true), &json!(true), &json!("Lax")),
        "{cookies}"
    );
    browser.assert_unharmed();
}

#[test]
#[ignore = "needs chromium"]
fn the_history_of_a_million_queries_loads_quickly() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    // A debug build is slower.
    let many: u64 = if is_optimized() { 1_000_000 } else { 50_000 };
    std::fs::write(&log, audit_records(0..many)).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let browser = Browser::start();
    browser.open("about:blank");
    for visit in ["first", "second"] {
        browser.open(&server.url);
        let chart = browser.run("return Boolean(document.querySelector('figcaption'))");
        browser.until("document.querySelector('figcaption .count')");
        let loaded = browser.run(
            "const [page] = performance.getEntriesByType('navigation');
             const files = performance.getEntriesByType('resource').filter((file) => !file.name.includes('/events'));
             return [page.loadEventEnd, [page, ...files].reduce((sum, file) => sum + file.encodedBodySize, 0)]",
        );
        let (ms, bytes) = (loaded[0].as_f64().unwrap(), loaded[1].as_u64().unwrap());
        println!(
            "{many} queries, {visit} visit: {ms:.0} ms, {bytes} bytes, with its chart: {chart}"
        );
        assert!(bytes < 150_000, "{bytes}");
        assert!(ms < 5000.0, "{ms}");
    }
    browser.assert_unharmed();
}

pub(crate) fn with_users(db: &Path) {
    for (name, role) in [("root", "admin"), ("carol", "user"), ("alice", "user")] {
        add_user(db, name, role);
    }
}

#[test]
#[ignore = "needs chromium"]
fn a_user_logs_in_and_out() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    with_users(&db);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let browser = Browser::start();
    let log_in = |name: &str, password: &str| {
        browser.type_into("input[name=name]", name);
        browser.type_into("input[name=password]", password);
        browser.click("form.login button");
    };
    browser.open(&format!("{}/query_profile/query_id={CAROLS}", server.url));
    browser.until("location.pathname === '/login'");
    log_in("alice", "wrong-password");
    browser.until("document.querySelector('[role=alert]')");
    log_in("alice", "pass-word-of-alice");
    // The query of another user is as if it were not there.
    browser.until("document.querySelector('h1')?.textContent === 'Not found'");
    browser.open(&server.url);
    assert!(!browser.text().contains("carol"));
    browser.until("document.querySelectorAll('tbody tr').length === 2");
    browser.click("form.account button");
    browser.until("location.pathname === '/login'");
    browser.open(&format!("{}/query_profile/query_id={CAROLS}", server.url));
    browser.until("location.pathname === '/login'");
    log_in("carol", "pass-word-of-carol");
    browser.until("document.body.innerText.includes('staging')");
    browser.assert_unharmed();
}

#[test]
#[ignore = "needs chromium"]
fn hostile_data_is_escaped_and_large_data_loads_quickly() {
    let (_folder, server) = samples();
    let long = format!("select '{HOSTILE}' {}", "x, ".repeat(5_000_000 / 3));
    push(
        &server,
        &json!({
            "query_id": "hostile-1", "time": "2026-08-09 00:00:00", "user": HOSTILE, "db": "\u{202e}קצת עברית",
            "state": "<b>ERR</b>", "error_message": HOSTILE, "stmt": format!("select 1 /* {HOSTILE} */"),
            "query_time": 7, "<i>key</i>": HOSTILE,
        }),
    );
    push(
        &server,
        &json!({
            "query_id": "long-1", "time": "2026-08-09 00:00:01", "user": "مستخدم", "stmt": long,
        }),
    );
    let mut fragments = "       Fragment 0:\n         Pipeline : 0(instance_num=1):\n".to_string();
    let padding = "p".repeat(400);
    for number in 0..100_000 {
        let time = printed_time(number);
        fragments += &format!(
            "           OLAP_SCAN_OPERATOR (id={number}. table name = {HOSTILE}):\n              \
             - PlanInfo\n                 - PREDICATES: {padding}\n              \
             - ExecTime: avg {time}, max {time}, min {time}\n"
        );
    }
    let statement = format!("select '{HOSTILE}'");
    let profile = profile_of("wide-1", &[("Sql Statement", &statement)], &fragments);
    assert!(profile.len() > 50_000_000, "{}", profile.len());
    let (status, answer, _) =
        server.send("PUT", "/api/v1/queries/wide-1/profile", &[], profile.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let browser = Browser::start();
    for (path, expected, bound) in [
        ("/", "<script>alert(1)</script>", 5),
        ("/query_profile/hostile-1", "<script>alert(1)</script>", 5),
        ("/query_profile/hostile-1?show=tree", "<script>alert(1)</script>", 5),
        ("/query_profile/long-1", "first 256 KB of", 10),
        ("/query_profile/wide-1?nodes=all", "topmost nodes of the plan", 30),
        ("/query_profile/wide-1?show=tree", "400 costliest of 100,000 operators", 30),
        ("/query_profile/wide-1?operators=99601", "99,601 to 100,000 of 100,000", 30),
        ("/query_profile/wide-1?show=flame", "The width of a box", 30),
        ("/query_profile/wide-1?show=text", "Showing the first 512 KB of", 15),
        ("/statements?from=2020-01-01", "select ?", 5),
        ("/usage?from=2020-01-01&limit=100", "<script>alert(1)</script>", 5),
        ("/usage/hostile-1", "What else ran then", 5),
    ] {
        let began = Instant::now();
        browser.open(&format!("{}{path}", server.url));
        let took = began.elapsed();
        println!("{path}: {took:?}");
        assert!(browser.text().contains(expected), "{path}: {}", browser.text());
        browser.assert_unharmed();
        assert!(took < Duration::from_secs(bound), "{path}: {took:?}");
    }
}

#[test]
#[ignore = "needs chromium"]
fn two_runs_are_found_picked_and_compared() {
    let (_folder, server) = samples();
    runs_with_profiles(&server);
    let browser = Browser::start();
    browser.open(&server.url);
    // The key / moves to the box, but not out of a field.
    let key = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', \
               {key: '/', bubbles: true, cancelable: true}))";
    browser.run("document.querySelector('input[name=user]').focus()");
    browser.run(key);
    assert_eq!(browser.run("return document.activeElement.name"), json!("user"));
    browser.run("document.activeElement.blur()");
    browser.run(key);
    assert_eq!(browser.run("return document.activeElement.name"), json!("q"));
    browser.type_into("input[name=q]", " 'run-2' ");
    browser.click("form.find button");
    browser.until("location.pathname === '/query_profile/run-2'");
    browser.type_into(
        "form.compare-with input[type=text], form.compare-with input:not([type])",
        "run-1",
    );
    browser.click("form.compare-with button");
    browser.until("location.pathname === '/compare'");
    browser.until("document.querySelector('.differences')");
    browser.assert_unharmed();

    browser.open(&server.url);
    for id in ["run-1", "run-2"] {
        browser.click(&format!("input[name=run][value={id}]"));
    }
    browser.click("form.compare button");
    browser.until(
        "location.search === '?run=run-2&run=run-1' || location.search === '?run=run-1&run=run-2'",
    );
    let ids = browser.run("return Array.from(document.querySelectorAll('.comparison tbody tr:first-child a'), (it) => it.innerText)");
    assert_eq!(ids, json!(["run-1", "run-2"]));
    browser.assert_unharmed();
}

/// The way of docs/on-call.md.
#[test]
#[ignore = "needs chromium"]
fn an_incident_is_explained_within_five_clicks() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    assert!(import(&db, &[&incident(folder.path())]).status.success());
    let server = Server::start(&db, &[]);
    let browser = Browser::start();
    browser.open(&server.url);
    browser.click("nav a[href^='/statements']");
    browser.until("location.pathname === '/statements'");
    browser.click("a[href^='/regressions']");
    browser.until("location.pathname === '/regressions'");
    let text = browser.text();
    assert!(text.contains(SLOWER) && !text.contains("from payments"), "{text}");
    browser.click("nav a[href^='/usage']");
    browser.until("location.pathname === '/usage'");
    // Who took most time and CPU time, with which statement, is in the first rows.
    let first = "return Array.from(document.querySelectorAll('table'), (it) => it.querySelector('tbody').innerText)";
    let first = browser.run(first).to_string();
    assert!(first.contains("mira") && first.contains("sum(o.price)"), "{first}");
    browser.click("a[href^='/?'][href*='user=mira']");
    browser.until("location.pathname === '/' && location.search.includes('user=mira')");
    browser.click(&format!("a[href^='/query_profile/{PROFILED}']"));
    browser.until(&format!("location.pathname === '/query_profile/{PROFILED}'"));
    assert!(browser.text().contains("where the planner expected"), "{}", browser.text());
    browser.assert_unharmed();
}

#[test]
#[ignore = "needs chromium"]
fn a_printed_page_has_its_content_and_no_controls() {
    let (_folder, server) = samples();
    let statement = server.envelope("/api/v1/statements?from=2020-01-01&limit=1");
    let statement = statement["data"][0]["fingerprint"].as_str().unwrap().to_string();
    let browser = Browser::start();
    browser.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    // A4 without its margins.
    let size = json!({ "width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
    browser.devtools("Emulation.setDeviceMetricsOverride", size);
    for (path, content) in [
        ("/?user=root", "table.queries tbody tr"),
        ("/statements?from=2020-01-01", "table.statements tbody tr"),
        (
            &format!("/statements/{statement}?from=2020-01-01"),
            "figure.runs circle, figure.runs path",
        ),
        (&format!("/query_profile/{ROOTS}"), ".plan-picture svg"),
        ("/usage?from=2024-08-06&to=2024-08-07", "figure.timeline rect"),
        ("/status", "dl.facts"),
    ] {
        browser.open(&format!("{}{path}", server.url));
        browser.until(&format!("document.querySelector('{content}')"));
        let shown = browser.run(
            "return [...document.querySelectorAll('form, button, input, .tabs, .picker .range a:not([aria-current])')]
                 .filter((it) => it.getClientRects().length).map((it) => it.outerHTML.slice(0, 100))",
        );
        assert_eq!(shown, json!([]), "{path}");
        let is_shown =
            format!("return document.querySelector('{content}').getClientRects().length > 0");
        assert_eq!(browser.run(&is_shown), json!(true), "{path}");
        let width = browser.run("return document.documentElement.scrollWidth");
        assert_eq!(width, json!(718), "{path}");
    }
}

#[test]
#[ignore = "needs chromium"]
fn screenshots() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    let config = folder.path().join("annals.toml");
    let max_size = if is_postgres() { "" } else { "max_size = '2GB'\n" };
    let settings = format!(
        "[retention]\nkeep_queries = '20years'\nkeep_profiles = '3650d'\n{max_size}\
         [[frontend]]\nurl = 'http://annals@127.0.0.1:1/'\n"
    );
    std::fs::write(&config, settings).unwrap();
    let log = data("fe.audit.log");
    let (config, log) = (config.to_str().unwrap(), log.to_str().unwrap());
    let arguments = ["--time-zone", "UTC", "--config", config, "--follow", log];
    let server = Server::start(&db, &arguments);
    // A busy day, in addition to the samples.
    let tables = ["orders", "lineitem", "clicks", "customers"];
    let rows: Vec<String> = (0..600_u64)
        .map(|number| {
            let at = 1_722_902_400_000 + number * 137_000 + (number * number % 97) * 1000;
            let table = tables[(number % 4) as usize];
            let failed = number % 41 == 7;
            let user = ["alice", "bob", "carol"][(number % 3) as usize];
            let db = ["shop", "lake"][(number % 2) as usize];
            json!({
                "query_id": format!("{:x}-{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number),
                "time": at.to_string(), "user": user,
                "db": db,
                "state": if failed { "ERR" } else { "EOF" }, "error_code": if failed { 1105 } else { 0 },
                "query_time": 20 + (number * 7919 % 4000) * (1 + number % 7),
                "cpu_time_ms": number * 7919 % 60_000,
                "scan_rows": number * 31_337, "scan_bytes": number * 4_031_337,
                "stmt": format!("select o.id, sum(o.price) from {table} o where o.day = {number} group by o.id order by 2 desc limit 10"),
            })
            .to_string()
        })
        .collect();
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], rows.join("\n").as_bytes());
    assert_eq!(status, 200, "{answer}");
    let browser = Browser::start();
    let one = server.envelope("/api/v1/statements?order=count&limit=1");
    let fingerprint = one["data"][0]["fingerprint"].as_str().unwrap();
    let compared = runs_with_profiles(&server);
    // A query of the samples beside which another one ran.
    let busiest = "91ff336304f14182-9ca537eee75b3856";
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&pictures).unwrap();
    for (name, path) in [
        ("history", "/?limit=20".to_string()),
        (
            "history-sorted",
            "/?limit=20&order=cpu_time_ms&user=alice&user=bob&not_state=ERR&from=2024-08-06"
                .to_string(),
        ),
        ("query", "/query_profile/run-2".to_string()),
        ("node", "/query_profile/run-2?node=8".to_string()),
        ("operators", "/query_profile/run-2?show=tree".to_string()),
        ("flame", "/query_profile/run-2?show=flame".to_string()),
        ("text", "/query_profile/run-2?show=text".to_string()),
        ("statements", "/statements?from=2024-08-06".to_string()),
        ("statement", format!("/statements/{fingerprint}")),
        ("comparison", format!("/statements/{compared}")),
        ("usage", "/usage?from=2024-08-06+10:00&to=2024-08-06+11:00".to_string()),
        ("beside", format!("/usage/{busiest}")),
        ("compare", "/compare?run=run-1&run=run-2".to_string()),
        ("find", "/find?q=select+o.id,+sum(o.price)+from+orders+o+where+o.day+=+4+group+by+o.id+order+by+2+desc+limit+10".to_string()),
        ("status", "/status".to_string()),
        ("not-found", "/query_profile/1-2".to_string()),
    ] {
        browser.open(&format!("{}{path}", server.url));
        if name.starts_with("history") {
            browser.until("document.querySelector('figcaption')");
        }
        for width in [1280, 390] {
            for scheme in ["light", "dark"] {
                let file = pictures.join(format!("{name}-{width}-{scheme}.png"));
                browser.picture(&file, width, scheme);
            }
        }
        browser.assert_unharmed();
    }
    drop(server);
    with_users(&db);
    let server = Server::start(&db, &[]);
    browser.open(&server.url);
    for (width, scheme) in [(1280, "light"), (390, "dark")] {
        browser.picture(&pictures.join(format!("login-{width}-{scheme}.png")), width, scheme);
    }
}
