//! The pages over plain HTTP: their content, who may see it, and the policy that a browser enforces.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{
    Server, WithDb, add_user, annals, audit_record, data, import, number, profile_with_finding,
};
use serde_json::json;
use tempfile::TempDir;

/// The query of carol, which has a profile.
const CAROLS: &str = "8c1d2e3f40516273-b4c5d6e7f8091a2c";
/// A query of root, which has a profile.
const ROOTS: &str = "fbb2582c72884d29-9dd9de3b42b740e9";

fn samples() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    (folder, server)
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request as a browser does, without following redirects.
pub(crate) fn send(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let agent: ureq::Agent = config.build().into();
    let mut request = ureq::http::Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.uri(format!("{}{path}", server.url)).body(body.to_string()).unwrap();
    let mut answer = agent.run(request).unwrap();
    let bytes = answer.body_mut().with_config().limit(1 << 28).read_to_vec().unwrap();
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: String::from_utf8(bytes).unwrap(),
    }
}

pub(crate) fn page(server: &Server, path: &str) -> String {
    let answer = send(server, "GET", path, &[], "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    answer.body
}

/// Logs in, and returns the cookie.
fn log_in(server: &Server, name: &str) -> String {
    let body = format!("name={name}&password=pass-word-of-{name}&next=%2Fstatements");
    let answer = send(server, "POST", "/login", &[], &body);
    assert_eq!((answer.status, answer.header("location")), (303, "/statements"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Max-Age=43200"));
    cookie.split(';').next().unwrap().to_string()
}

#[test]
fn every_page_shows_its_content_and_forbids_inline_code() {
    let (_folder, server) = samples();
    let envelope = server.envelope("/rest/v1/session?limit=1000");
    let href = envelope["data"]["rows"][0]["__hrefPath"].as_str().unwrap();
    for (path, expected) in [
        ("/", "select count(*) from store_sales5"),
        (href, "insert"),
        (&format!("/query_profile/{ROOTS}"), "OLAP_SCAN 0 "),
        (&format!("/query_profile/{ROOTS}?show=tree"), "OLAP_SCAN_OPERATOR"),
        (&format!("/query_profile/{ROOTS}?show=text"), "MergedProfile"),
        (&format!("/query_profile/{ROOTS}?show=flame"), "/flame.svg"),
        ("/statements?from=2020-01-01", "select count(*) from store_sales5"),
        ("/status", "Storage"),
    ] {
        let answer = send(&server, "GET", path, &[], "");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(expected), "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        assert!(!policy.contains("unsafe") && answer.header("vary").contains("cookie"));
        assert!(!answer.body.contains(" style=") && !answer.body.contains("<style"), "{path}");
        assert!(!answer.body.contains(" onclick=") && !answer.body.contains("<script>"), "{path}");
    }
    let svg = send(&server, "GET", &format!("/query_profile/{ROOTS}/flame.svg"), &[], "");
    assert_eq!((svg.status, svg.header("content-type")), (200, "image/svg+xml"));
    assert!(svg.header("content-security-policy").ends_with("sandbox"));
    let text = send(&server, "GET", &format!("/query_profile/{ROOTS}/profile.txt"), &[], "");
    assert_eq!(text.body, std::fs::read_to_string(data("profiles/doris-2.1.txt")).unwrap());
}

#[test]
fn findings_are_above_the_plan_and_mark_its_nodes() {
    let (_folder, server) = samples();
    assert!(!page(&server, &format!("/query_profile/{ROOTS}")).contains("aria-label=\"Findings\""));
    // The conditions of a scan may name anything.
    let profile = profile_with_finding("shop.<b>orders</b>(orders)")
        .replace("ScanRows: sum 60.0M (60000000)", "ScanRows: sum 9.0B (9000000000)");
    let id = "6b1d3f5a7c9e4b20-9a8c7e6d5b4f3a21";
    let path = format!("/api/v1/queries/{id}/profile");
    let (status, answer, _) = server.send("PUT", &path, &[], profile.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let body = page(&server, &format!("/query_profile/{id}"));
    for expected in [
        "<section aria-label=\"Findings\"><h3>2 findings</h3>",
        "HASH_JOIN 7 returned 40,000,000 rows, where the planner expected 3,000,000 rows.",
        "<dt>expected rows</dt><dd>3,000,000 rows</dd>",
        "rel=\"noreferrer\">enable_auto_analyze</a>",
        "OLAP_SCAN 0 of shop.&lt;b&gt;orders&lt;/b&gt; reads 9,000,000,000 rows",
        ", 1 finding\"",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    assert!(!body.contains("<b>"), "{body}");
    assert_eq!(body.matches("class=\"mark\"").count(), 2, "{body}");
    assert!(body.contains("A triangle is on nodes with findings."), "{body}");
    let link = format!("href=\"/query_profile/{id}?show=plan&amp;node=7#node-7\"");
    assert!(body.contains(&format!("In the plan: <a {link}>")), "{body}");
    // A node's panel has the findings of the node.
    let body = page(&server, &format!("/query_profile/{id}?show=plan&node=7"));
    let (_, panel) = body.split_once("<section class=\"plan-node\"").unwrap();
    assert!(panel.contains("HASH_JOIN 7 returned") && !panel.contains("OLAP_SCAN 0"), "{panel}");
}

/// Most queries have no profile. Their page shows the times that the audit record reports.
#[test]
fn a_query_without_a_profile_has_its_phases() {
    let (_folder, server) = samples();
    let body = page(&server, "/query_profile/d40a6b1c2d3e4f50-a1b2c3d4e5f60711");
    assert!(body.contains("No profile stored for this query"), "{body}");
    for expected in [
        "<li class=\"key plan\">plan <strong>19 ms</strong> (2.6 %)</li>",
        "<li class=\"key run\">execute <strong>702 ms</strong> (95.6 %)</li>",
        "<dt>schedule: serialize fragments</dt><dd>3 ms</dd>",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
}

#[test]
fn the_period_of_the_regressions_is_chosen_by_a_form() {
    let (_folder, server) = samples();
    let body = page(&server, "/regressions?from=2024-08-06+10:00&baseline=3d&user=alice");
    for expected in [
        "name=\"from\" value=\"2024-08-06 10:00\"",
        "name=\"baseline\" value=\"3d\"",
        "name=\"user\" value=\"alice\"",
        // A baseline without a link is shown as text.
        "<li><strong><bdi>3d</bdi></strong></li>",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    let body = page(&server, "/regressions");
    assert!(!body.contains("<bdi>7d</bdi>") && !body.contains("Reset"), "{body}");
    for (parameters, expected) in
        [("nodes=few", "nodes must be all"), ("zoom=2", "zoom must be fit, half or full")]
    {
        let path = format!("/query_profile/{ROOTS}?{parameters}");
        let answer = send(&server, "GET", &path, &[], "");
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains(expected), "{}", answer.body);
    }
}

#[test]
fn assets_are_cached_forever() {
    let (_folder, server) = samples();
    let start = page(&server, "/");
    for asset in start.split('"').filter(|part| part.starts_with("/assets/")) {
        let answer = send(&server, "GET", asset, &[], "");
        assert_eq!(answer.status, 200, "{asset}");
        assert!(answer.header("cache-control").ends_with("immutable"), "{asset}");
    }
    assert_eq!(start.matches("\"/assets/").count(), 3);
    assert_eq!(send(&server, "GET", "/assets/none.js", &[], "").status, 404);
}

/// Returns the ids of the queries that a page lists.
fn listed(body: &str) -> Vec<&str> {
    let rows = body.split("<tr data-row").skip(1);
    rows.map(|row| row.split_once("/query_profile/").unwrap().1.split(['"', '?']).next().unwrap())
        .collect()
}

#[test]
fn the_heads_of_the_history_sort_it() {
    let (_folder, server) = samples();
    let start = page(&server, "/?user=carol&user=alice");
    let sorted = "<th scope=\"col\" aria-sort=\"descending\"><a href=\"/?order=started%5Fms%2Easc&amp;user=carol&amp;user=alice\">Started";
    assert!(start.contains(sorted), "{start}");
    // The head of the column by which the list is sorted turns it round, and back.
    let oldest = page(&server, "/?order=started_ms.asc&user=carol");
    let sorted = "<th scope=\"col\" aria-sort=\"ascending\"><a href=\"/?user=carol\">Started";
    assert!(oldest.contains(sorted) && !oldest.contains("data-events"), "{oldest}");
    let link = "/?order=scan%5Fbytes&amp;user=carol&amp;user=alice";
    assert!(start.contains(&format!("<a href=\"{link}\">Scanned</a>")), "{start}");
    // Without a range, the list has that of the chart, and so have its further pages.
    let all = "from=1500000000000";
    for order in ["duration_ms", "cpu_time_ms", "peak_memory_bytes"] {
        let sorted = page(&server, &format!("/?order={order}&limit=4&{all}"));
        assert!(!sorted.contains("data-events"), "{sorted}");
        let expected = server.envelope(&format!("/api/v1/queries?order={order}&limit=4&{all}"));
        let expected: Vec<&str> = expected["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["query_id"].as_str().unwrap())
            .collect();
        assert_eq!(listed(&sorted), expected, "{order}");
        assert_eq!(sorted.matches("aria-sort=\"descending\"").count(), 1, "{sorted}");
        let (_, next) = sorted.split_once("rel=\"next\" href=\"").unwrap();
        let next = next.split_once('"').unwrap().0.replace("&amp;", "&");
        assert!(listed(&page(&server, &next)).iter().all(|id| !expected.contains(id)), "{next}");
    }
    let day = page(&server, "/?order=duration_ms");
    assert_eq!(listed(&day).len(), 4, "{day}");
    let next = page(&server, "/?order=duration_ms&limit=3");
    assert!(next.contains("rel=\"next\" href=\"/?cursor=duration%5Fms%2E6%2E"), "{next}");
    assert!(next.contains("&amp;from=1763374442") && next.contains("&amp;to=1763460842"), "{next}");
    assert_eq!(send(&server, "GET", "/?order=total_ms", &[], "").status, 400);
    // A report has orders of its own.
    assert_eq!(send(&server, "GET", "/statements?order=total_ms", &[], "").status, 200);
}

#[test]
fn the_form_keeps_what_is_chosen() {
    let (_folder, server) = samples();
    let body = page(
        &server,
        "/?words=store_sales5&cache_hit=true&user=alice&user=bob&not_db=lake&order=scan_rows&is_failed=false&client=10.1.2.3",
    );
    for expected in [
        "name=\"words\" value=\"store_sales5\"",
        "<select name=\"cache_hit\"><option value=\"\">any</option><option value=\"true\" selected>hit</option>",
        "<option value=\"false\" selected>not failed</option>",
        "name=\"user\" value=\"alice\"",
        "name=\"user\" value=\"bob\"",
        "name=\"not_db\" value=\"lake\"",
        "name=\"client\" value=\"10.1.2.3\"",
        "<input type=\"hidden\" name=\"order\" value=\"scan_rows\">",
        "<details class=\"more-filters\" open>",
        "aria-label=\"Remove User bob\"",
        "aria-label=\"Remove Database is not lake\"",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    let without = body.split("aria-label=\"Remove User bob\"").next().unwrap();
    let (_, without) = without.rsplit_once("href=\"").unwrap();
    assert!(without.contains("user=alice") && !without.contains("user=bob"), "{without}");
    let plain = page(&server, "/?user=alice&search=x");
    assert!(plain.contains("<details class=\"more-filters\">"), "{plain}");
}

#[test]
fn each_value_is_a_link_that_filters_by_it() {
    let (_folder, server) = samples();
    let body = page(&server, "/?user=alice&not_db=lake");
    for link in ["/?not%5Fdb=lake&amp;state=EOF&amp;user=alice", "/?not%5Fdb=lake&amp;user=alice"] {
        assert!(body.contains(&format!("<a class=\"value\" href=\"{link}\">")), "{link}: {body}");
    }
    // A value takes the place of what is unknown.
    let body = page(&server, "/?user=alice&unknown=user");
    let link = "/?user=alice";
    assert!(body.contains(&format!("<a class=\"value\" href=\"{link}\">")), "{link}: {body}");
    let id = "fbb2582c72884d29-9dd9de3b42b740e9";
    let query = server.envelope(&format!("/api/v1/queries/{id}"))["data"].clone();
    let body = page(&server, &format!("/query_profile/{id}"));
    let client = query["client"].as_str().unwrap().rsplit_once(':').unwrap().0.to_string();
    let value = |name: &str| query[name].as_str().unwrap().to_string();
    for (name, value) in [
        ("client", client),
        ("user", value("user")),
        ("db", value("db")),
        ("state", value("state")),
        ("frontend", value("frontend")),
        ("workload_group", value("workload_group")),
    ] {
        let encode = |text: &str| {
            let sign = |byte: u8| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            };
            text.bytes().map(sign).collect::<String>()
        };
        let link = format!("/?{}={}", encode(name), encode(&value));
        assert!(body.contains(&format!("href=\"{link}\"")), "{link}: {body}");
        let rows = listed(&page(&server, &format!("{link}&from=1500000000000&limit=1000"))).len();
        assert!(rows > 0, "{link}");
    }
    let query = server.envelope("/api/v1/queries?catalog=internal&statement_type=SELECT&limit=1");
    let body = page(
        &server,
        &format!("/query_profile/{}", query["data"][0]["query_id"].as_str().unwrap()),
    );
    for link in ["/?catalog=internal", "/?statement%5Ftype=SELECT"] {
        assert!(body.contains(&format!("href=\"{link}\"")), "{link}: {body}");
    }
    let mart = server.envelope("/api/v1/queries?table=receipts&limit=1");
    let id = mart["data"][0]["query_id"].as_str().unwrap();
    let body = page(&server, &format!("/query_profile/{id}"));
    assert!(body.contains("href=\"/?table=internal%2Emart%2Ereceipts\""), "{body}");
}

#[test]
fn the_address_of_a_list_holds_its_filter() {
    let (_folder, server) = samples();
    let answer = send(&server, "GET", "/?user=alice&db=&search=", &[], "");
    assert_eq!((answer.status, answer.header("location")), (303, "/?user=alice"));
    let alices = page(&server, "/?user=alice");
    assert_eq!(alices.matches("<tr data-row").count(), 2);
    assert_eq!(page(&server, "/?state=err").matches("<tr data-row").count(), 3);
    assert_eq!(page(&server, "/?search=STORE_SALES5").matches("<tr data-row").count(), 2);
    let day = page(&server, "/?from=2024-08-06T11:15&to=2024-08-06T11:16");
    assert_eq!(day.matches("<tr data-row").count(), 1);
    for path in ["/?min_ms=x", &format!("/query_profile/{ROOTS}?operators=0")] {
        assert_eq!(send(&server, "GET", path, &[], "").status, 400, "{path}");
    }
    // The pages together have every query once.
    let mut path = "/?limit=4".to_string();
    let mut rows = Vec::new();
    loop {
        let body = page(&server, &path);
        rows.extend(
            body.split("data-row=\"").skip(1).map(|row| row.split('"').next().unwrap().to_string()),
        );
        let Some((_, next)) = body.split_once("rel=\"next\" href=\"") else { break };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    let count = rows.len();
    rows.sort();
    rows.dedup();
    assert_eq!((rows.len(), count), (21, 21));
}

/// Returns the history once it has its chart: a page does not wait long for the chart.
fn page_with_chart(server: &Server, path: &str) -> String {
    let began = Instant::now();
    loop {
        let body = page(server, path);
        if body.contains("<figcaption>") {
            return body;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{path}: {body}");
    }
}

#[test]
fn the_chart_counts_the_queries_of_the_list() {
    let (_folder, server) = samples();
    for (path, count) in [
        ("/?from=2020-01-01", 21),
        ("/?from=2020-01-01&search=STORE_SALES5", 2),
        ("/?from=2020-01-01&words=store_sales5+count", 2),
        ("/?from=2020-01-01&search=no+such+text", 0),
        ("/?from=2020-01-01&user=alice", 2),
        ("/?from=2020-01-01&state=err", 3),
        ("/?from=2024-08-06T11:15&to=2024-08-06T11:16", 1),
    ] {
        let body = page_with_chart(&server, path);
        assert_eq!(body.matches("<tr data-row").count(), count, "{path}");
        let queries = if count == 1 { "query" } else { "queries" };
        let counted = format!("<span class=\"key count\">{count} {queries}</span>");
        assert!(body.contains(&counted), "{path}");
    }
    let one = server.envelope("/api/v1/queries?search=store_sales5");
    let fingerprint = one["data"][0]["fingerprint"].as_str().unwrap();
    let body = page_with_chart(&server, &format!("/?from=2020-01-01&fingerprint={fingerprint}"));
    assert!(body.contains("<span class=\"key count\">1 query</span>"), "{fingerprint}");
}

#[test]
fn the_chart_of_the_last_day_counts_what_its_range_says() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    // The first bar begins before the day, with the older query in it.
    for (id, time) in [("a-1", "2026-08-08 00:02:00"), ("a-2", "2026-08-09 00:07:00")] {
        let query = json!({ "query_id": id, "time": time, "stmt": "select 1" });
        server.send("POST", "/api/v1/queries", &[], query.to_string().as_bytes());
    }
    let body = page_with_chart(&server, "/");
    assert!(body.contains("<span class=\"key count\">1 query</span>"), "{body}");
}

#[test]
fn new_queries_are_sent_as_they_arrive() {
    let (_folder, server) = samples();
    let body = page(&server, "/?user=newcomer");
    let events = body.split("data-events=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let path = events.replace("&amp;", "&");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", server.address()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "HTTP/1.1 200 OK");
    let began = Instant::now();
    for (id, user) in [("a-1", "somebody"), ("a-2", "newcomer")] {
        let query = json!({ "query_id": id, "user": user, "time": "2026-08-09 00:00:00",
            "stmt": "select '<b>'" });
        server.send("POST", "/api/v1/queries", &[], query.to_string().as_bytes());
    }
    let mut lines = lines.map(|line| line.unwrap());
    let change = lines.find(|line| line.starts_with("data:{\"order\"")).unwrap();
    assert!(change.contains("a-2") && change.contains("&lt;b&gt;"), "{change}");
    assert!(!change.contains("a-1"), "{change}");
    let chart = lines.find(|line| line.starts_with("data:\"")).unwrap();
    assert!(chart.contains("1 query<"), "{chart}");
    assert!(began.elapsed() < Duration::from_secs(5));
    // An open connection does not keep annals from stopping.
    let began = Instant::now();
    server.signal("TERM");
    let mut server = server;
    server.process.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_browser_logs_in_and_sees_only_its_users_queries() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    for (name, role) in [("root", "admin"), ("carol", "user"), ("alice", "user")] {
        add_user(&db, name, role);
    }
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let carols = format!("/query_profile/query_id={CAROLS}");
    let answer = send(&server, "GET", &carols, &[], "");
    let encoded =
        format!("/login?next=%2Fquery%5Fprofile%2Fquery%5Fid%3D{}", CAROLS.replace('-', "%2D"));
    assert_eq!((answer.status, answer.header("location")), (303, encoded.as_str()));
    assert_eq!(send(&server, "GET", "/rest/v1/session", &[], "").status, 401);
    let wrong = send(&server, "POST", "/login", &[], "name=carol&password=wrong-one");
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("the user or the password is wrong"));
    assert!(
        wrong.body.contains("name=\"name\" value=\"carol\"") && !wrong.body.contains("wrong-one")
    );
    let foreign = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    let body = "name=carol&password=pass-word-of-carol";
    assert_eq!(send(&server, "POST", "/login", &foreign, body).status, 403);

    let (carol, alice, root) =
        (log_in(&server, "carol"), log_in(&server, "alice"), log_in(&server, "root"));
    let get = |cookie: &str, path: &str| send(&server, "GET", path, &[("cookie", cookie)], "");
    assert_eq!(get(&carol, &carols).status, 200);
    assert!(get(&carol, &carols).body.contains("staging"));
    // The cookie works for pages only.
    assert_eq!(get(&carol, "/rest/v1/session").status, 401);
    let fingerprint = get(&root, &carols).body;
    let fingerprint = fingerprint.split("/statements/").nth(1).unwrap();
    let statement = format!("/statements/{}", fingerprint.split('"').next().unwrap());
    assert_eq!(get(&carol, &statement).status, 200);
    for path in [
        carols.as_str(),
        &format!("/query_profile/{CAROLS}/flame.svg"),
        &statement,
        &format!("/query_profile/{CAROLS}/profile.txt"),
        &format!("/query_profile/{CAROLS}/statement.sql"),
    ] {
        assert_eq!(get(&alice, path).status, 404, "{path}");
        assert!(!get(&alice, path).body.contains("staging"), "{path}");
    }
    for path in ["/", "/?user=carol", "/statements?from=2020-01-01"] {
        assert!(!get(&alice, path).body.contains("staging"), "{path}");
    }
    assert_eq!((get(&alice, "/status").status, get(&root, "/status").status), (403, 200));
    // Cached charts are separate for each user.
    for (cookie, counted) in [(&root, "21 queries"), (&alice, "2 queries"), (&root, "21 queries")] {
        let began = Instant::now();
        let chart = format!("<span class=\"key count\">{counted}</span>");
        while !get(cookie, "/?from=2020-01-01").body.contains(&chart) {
            assert!(began.elapsed() < Duration::from_secs(10), "{counted}");
        }
    }

    let out = send(&server, "POST", "/logout", &[("cookie", &carol)], "");
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert_eq!(get(&carol, "/").status, 303);
    // A new password ends the sessions of the old one.
    let removed = annals().args(["user", "remove", "alice"]).db(&db).output().unwrap();
    assert!(removed.status.success());
    let began = Instant::now();
    while get(&alice, "/").status == 200 {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn without_users_pages_answer_only_to_names_of_this_machine() {
    let (_folder, server) = samples();
    for path in ["/", "/events", "/login", "/status"] {
        let answer = send(&server, "GET", path, &[("host", "rebound.example")], "");
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(send(&server, "GET", "/login?next=//evil.example", &[], "").header("location"), "/");
}

#[test]
fn an_empty_history_says_how_to_fill_it() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    assert!(page(&server, "/").contains("annals import"));
    assert!(page(&server, "/statements").contains("No statements in this time range"));
    assert_eq!(send(&server, "GET", "/query_profile/1-2", &[], "").status, 404);
    assert_eq!(send(&server, "GET", "/statements/0123456789abcdef", &[], "").status, 404);
}

#[test]
fn a_statement_with_many_runs_says_that_the_newest_are_compared() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let push = |numbers: std::ops::Range<i64>| {
        let rows: Vec<_> = numbers
            .map(|number| {
                json!({"query_id": format!("run-{number}"), "time": 1_800_000_000_000 + number,
                       "query_time": number, "stmt": "select 1"})
            })
            .collect();
        let body = json!(rows).to_string();
        assert_eq!(server.send("POST", "/api/v1/queries", &[], body.as_bytes()).0, 200);
    };
    push(0..200);
    let fingerprint = server.envelope("/api/v1/statements")["data"][0]["fingerprint"].clone();
    let path = format!("/statements/{}", fingerprint.as_str().unwrap());
    let shown = page(&server, &path);
    assert!(shown.contains(">Fastest and slowest run</h2>") && !shown.contains("newest 200 runs"));
    push(200..201);
    let shown = page(&server, &path);
    assert!(shown.contains(">Runs over time (newest 200 runs)</h2>"));
    assert!(shown.contains(">Fastest and slowest run (newest 200 runs)</h2>"));
}

#[test]
fn a_statement_shows_how_long_its_runs_took_in_each_hour() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    // 100 runs in an hour, and 3 slower ones two hours later.
    let start_ms = 1_800_000_000_000_i64;
    let run = |number: i64| {
        let (after_ms, ms) = match number {
            0..100 => (number, number + 1),
            _ => (7_200_000 + number, 5000),
        };
        json!({"query_id": format!("run-{number}"), "time": start_ms + after_ms, "query_time": ms,
               "stmt": "select 1"})
    };
    let body = json!((0..103).map(run).collect::<Vec<_>>()).to_string();
    assert_eq!(server.send("POST", "/api/v1/queries", &[], body.as_bytes()).0, 200);
    let fingerprint = server.envelope("/api/v1/statements")["data"][0]["fingerprint"].clone();
    let path = format!("/statements/{}", fingerprint.as_str().unwrap());
    let shown = page(&server, &path);
    for expected in [
        "2027-01-15 08:00:00: 100 runs, median 50 ms, p95 95 ms",
        "2027-01-15 10:00:00: 3 runs, median 5.00 s, p95 5.00 s",
        "aria-label=\"median, at most 5.00 s; p95, at most 5.00 s; at most 100 runs per hour\"",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let hour = page(&server, &format!("{path}?from=2027-01-15T08:00&to=2027-01-15T09:00"));
    assert!(!hour.contains("Durations over time"), "{hour}");
}

#[test]
fn a_range_behind_the_newest_query_leads_to_it() {
    let (_folder, server) = samples();
    for path in ["/statements", "/regressions", "/findings", "/plans"] {
        let shown = page(&server, &format!("{path}?from=2h"));
        for expected in ["aria-label=\"Time range\"", "The newest query is of ", ">7 days</a>"] {
            assert!(shown.contains(expected), "{path} {expected}: {shown}");
        }
    }
    let shown = page_with_chart(&server, "/?from=2h");
    assert!(
        shown.contains("Show the 24 hours before it") && shown.contains(">7 days</a>"),
        "{shown}"
    );
    assert!(!page(&server, "/statements").contains("The newest query is of "));
}

/// Returns the addresses of a page that begin with a path.
fn links(body: &str, path: &str) -> Vec<String> {
    let hrefs = body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let hrefs = hrefs.map(|href| href.replace("&amp;", "&"));
    hrefs.filter(|href| href.starts_with(path)).collect()
}

#[test]
fn the_time_range_goes_with_the_person_from_page_to_page() {
    let (_folder, server) = samples();
    let range = "from=2024%2D08%2D01&to=2024%2D08%2D09";
    let mut at = format!("/?{range}");
    // History, a query, its statement, the statements, their other reports, and History again.
    for next in [
        "/query_profile/", "/statements/", "/statements?", "/findings?", "/plans?",
        "/regressions?", "/usage?", "/statements?", "/statements/", "/?",
    ] {
        let links = links(&page(&server, &at), next);
        let kept = links.iter().find(|link| {
            ["from=2024%2D08%2D01", "to=2024%2D08%2D09"].iter().all(|part| link.contains(part))
        });
        at = kept.unwrap_or_else(|| panic!("{at} has no {next} in its range: {links:?}")).clone();
    }
    assert_eq!(at, format!("/?{range}"));
}

#[test]
fn filters_go_with_the_person_and_choose_on_each_page() {
    let (_folder, server) = samples();
    let kept = "from=2020%2D01%2D01&not%5Fuser=nobody&user=root";
    let mut at = format!("/?{kept}");
    // History, a query, its statement, and back by way of the reports.
    for next in ["/query_profile/", "/statements/", "/statements?", "/plans?", "/usage?", "/?"] {
        let links = links(&page(&server, &at), next);
        let link = links.iter().find(|link| kept.split('&').all(|part| link.contains(part)));
        at = link.unwrap_or_else(|| panic!("{at} has no {next}: {links:?}")).clone();
    }
    assert_eq!(at, format!("/?{kept}"));
    // The figures of a statement are of the chosen runs, and what chooses can be removed.
    let rows = ["dora", "erin"].map(|user| {
        let (id, start_ms) = (format!("shared-{user}"), 1_722_900_000_000_i64);
        json!({ "query_id": id, "user": user, "started_ms": start_ms, "duration_ms": 5, "stmt": "select 1 from shared" }).to_string()
    });
    server.send("POST", "/api/v1/queries", &[], rows.join("\n").as_bytes());
    let query = server.envelope("/api/v1/queries/shared-dora")["data"].clone();
    let (fingerprint, user) = (query["fingerprint"].as_str().unwrap(), "dora");
    let path = format!("/statements/{fingerprint}");
    assert!(page(&server, &path).contains("<dt>Users</dt><dd>2</dd>"));
    let body = page(&server, &format!("{path}?user={user}"));
    for expected in [
        &format!("aria-label=\"Remove User {user}\""),
        "<dt>Users</dt><dd>1</dd>",
        &format!("/?fingerprint={fingerprint}&amp;user={user}"),
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    let runs = links(&body, "/query_profile/");
    assert!(!runs.is_empty() && runs.iter().all(|link| link.contains(&format!("user={user}"))));
    let views = links(&page(&server, &format!("/query_profile/{ROOTS}?{kept}")), "/query_profile/");
    let views: Vec<_> = views.iter().filter(|link| link.contains("show=")).collect();
    assert!(views.len() > 3 && views.iter().all(|link| link.contains("not%5Fuser=nobody")));
    let body = page(&server, &format!("{path}?user=nobody"));
    assert!(body.contains("No run of this statement matches the time range and the filters."));
    // Links of a page that says what is wrong keep what is right.
    let wrong = send(&server, "GET", "/statements?from=soon&to=2024-08-09", &[], "").body;
    assert!(links(&wrong, "/usage").contains(&"/usage?to=2024%2D08%2D09".to_string()), "{wrong}");
    assert!(!wrong.contains("from=soon"), "{wrong}");
}

#[test]
fn a_parameter_that_no_page_has_is_named_with_the_one_that_was_meant() {
    let (_folder, server) = samples();
    let statement = server.envelope("/api/v1/statements?limit=1&from=2020-01-01");
    let statement = statement["data"][0]["fingerprint"].as_str().unwrap().to_string();
    for path in [
        "/",
        "/statements",
        &format!("/statements/{statement}"),
        "/regressions",
        "/findings",
        "/plans",
        "/usage",
        &format!("/usage/{ROOTS}"),
        &format!("/query_profile/{ROOTS}"),
        "/status",
        "/find",
        "/compare",
    ] {
        for (parameter, meant) in
            [("usr=mira", "; did you mean user?"), ("foo=1", "; the parameters are ")]
        {
            let answer = send(&server, "GET", &format!("{path}?{parameter}"), &[], "");
            let (name, _) = parameter.split_once('=').unwrap();
            let sentence = format!("unknown parameter &quot;{name}&quot;{meant}");
            assert_eq!(answer.status, 400, "{path}: {}", answer.body);
            assert!(answer.body.contains(&sentence), "{path}: {}", answer.body);
            assert!(!answer.body.contains(&format!("?{name}=")), "{path}: {}", answer.body);
        }
    }
}

#[test]
fn a_page_that_says_what_is_wrong_keeps_what_is_right() {
    let (_folder, server) = samples();
    let wrong = |path: &str| {
        let answer = send(&server, "GET", path, &[], "");
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        answer.body
    };
    let body = wrong("/?user!=etl&db=shop&db=lake&min_ms=abc&from=2h&order=duration_ms");
    assert!(
        body.contains("unknown parameter &quot;user!&quot;; did you mean not_user=etl?"),
        "{body}"
    );
    let repaired = "/?db=shop&db=lake&from=2h&not%5Fuser=etl&order=duration%5Fms";
    assert!(links(&body, "/").contains(&repaired.to_string()), "{body}");
    for path in ["/", "/statements", "/usage"] {
        let kept = format!("{path}?db=shop&db=lake&from=2h");
        assert!(links(&body, path).contains(&kept), "{kept}: {body}");
    }
    // The page itself can be read.
    assert_eq!(send(&server, "GET", repaired, &[], "").status, 200);
    for (path, repaired) in [
        ("/?sort=duration_ms", "/?order=duration%5Fms"),
        ("/regressions?against=7d&user=root", "/regressions?baseline=7d&user=root"),
        ("/usage?start=2h&end=1h&db=shop", "/usage?db=shop&from=2h&to=1h"),
    ] {
        let body = wrong(path);
        assert!(links(&body, repaired).contains(&repaired.to_string()), "{path}: {body}");
    }
    let body = wrong("/statements?db=shop&min_ms=abc");
    assert!(body.contains("min_ms must be a whole number of milliseconds"), "{body}");
    assert!(links(&body, "/").contains(&"/?db=shop".to_string()), "{body}");
}

/// Returns the links of a page that offer the same page in another form.
fn repaired(server: &Server, path: &str) -> Vec<(String, String)> {
    let answer = send(server, "GET", path, &[], "");
    assert_eq!(answer.status, 400, "{path}: {}", answer.body);
    let offers = answer.body.split("<a class=\"button\" href=\"").skip(1).map(|rest| {
        let (address, rest) = rest.split_once("\">").unwrap();
        let text = rest.split_once("</a>").unwrap().0;
        let text = text.replace("<code><bdi>", "").replace("</bdi></code>", "");
        (address.replace("&amp;", "&"), text.replace("&amp;", "&"))
    });
    offers.filter(|(_, text)| text.starts_with("Show the page")).collect()
}

#[test]
fn a_page_with_a_wrong_parameter_offers_itself_without_it() {
    let (_folder, server) = samples();
    let statement = server.envelope("/api/v1/statements?limit=1&from=2020-01-01");
    let statement = statement["data"][0]["fingerprint"].as_str().unwrap().to_string();
    for (path, wrong, right) in [
        ("/", "foo=1", "user=root"),
        ("/", "order=foo", "from=2020%2D01%2D01"),
        ("/", "type=foo", "from=2020%2D01%2D01"),
        ("/", "limit=0", ""),
        ("/", "min_ms=1&min_ms=2", "user=root"),
        ("/", "from=2020-01-01&from=2020-01-02", ""),
        ("/", "cursor=x", "order=duration%5Fms"),
        ("/statements", "order=foo", "limit=5"),
        ("/statements", "unknown=colour", ""),
        ("/usage", "baseline=soon", "user=root"),
        ("/plans", "several=few", ""),
        (&format!("/usage/{ROOTS}"), "all_clusters=few", ""),
        (&format!("/query_profile/{ROOTS}"), "zoom=2", "show=plan"),
        (&format!("/statements/{statement}"), "plans=x", "from=2020%2D01%2D01"),
    ] {
        let and = if right.is_empty() { "" } else { "&" };
        let offered = repaired(&server, &format!("{path}?{wrong}{and}{right}"));
        let right = if right.is_empty() { path.to_string() } else { format!("{path}?{right}") };
        let expected = (right.clone(), format!("Show the page without {wrong}"));
        assert_eq!(offered, [expected], "{path}");
        assert_eq!(send(&server, "GET", &right, &[], "").status, 200, "{right}");
    }
    // An address without a page has no better form.
    assert_eq!(repaired(&server, "/statements/none?user=root"), []);
}

#[test]
fn a_statement_has_the_range_of_the_list_that_leads_to_it() {
    let (_folder, server) = samples();
    let body = page(&server, "/statements");
    let (from, to) = ("from=1763374442", "to=1763460842");
    let leads = links(&body, "/statements/");
    assert!(!leads.is_empty(), "{body}");
    for link in leads {
        assert!(link.contains(from) && link.contains(to), "{link}");
    }
    // A range that moves with the clock goes on moving.
    for link in links(&page(&server, "/statements?from=3000d"), "/statements/") {
        assert!(link.ends_with("?from=3000d"), "{link}");
    }
}

#[test]
fn the_trend_of_a_statement_is_of_the_queries_that_the_page_counts() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let hour_ms = 3_600_000;
    let run = |number: i64| {
        let (user, state) = if number < 6 { ("alice", "EOF") } else { ("bob", "ERR") };
        json!({"query_id": format!("{number:x}-1"), "user": user, "state": state, "stmt": format!("select {number}"),
            "started_ms": 1_764_000_000_000_i64 + number * hour_ms, "duration_ms": 5})
    };
    let rows: String = (0..10).map(|number| format!("{}\n", run(number))).collect();
    assert_eq!(server.send("POST", "/api/v1/queries", &[], rows.as_bytes()).0, 200);
    let runs = |filter: &str| {
        let page = page(&server, &format!("/statements?{filter}"));
        let (_, trend) = page.split_once("<td class=\"trend\">").unwrap();
        let (trend, _) = trend.split_once("</td>").unwrap();
        trend.matches("<rect").count()
    };
    for (filter, expected) in [
        ("", 10),
        ("user=alice", 6),
        ("is_failed=true", 4),
        ("words=9", 1),
        ("user=bob&search=select", 4),
    ] {
        assert_eq!(runs(filter), expected, "{filter}");
    }
}

#[test]
fn the_number_of_failed_runs_leads_to_them() {
    let (_folder, server) = samples();
    let mut ways = 0;
    for path in
        ["/statements?from=2024-08-01&to=2024-09-01", "/usage?from=2024-08-01&to=2024-09-01"]
    {
        for link in links(&page(&server, path), "/?") {
            if !link.contains("is%5Ffailed=true") {
                continue;
            }
            assert!(link.contains("from=") && link.contains("to="), "{link}");
            let listed = page(&server, &format!("{link}&limit=1000"));
            let failed = listed.matches("<tr data-row").count();
            let shown = page(&server, path);
            let anchor = format!("href=\"{}\">{failed}</a>", link.replace('&', "&amp;"));
            assert!(failed > 0 && shown.contains(&anchor), "{path}: {anchor}");
            ways += 1;
        }
    }
    assert!(ways > 3, "{ways}");
    let failed = server.envelope("/api/v1/queries?is_failed=true&limit=1000&from=2020-01-01");
    let failed = failed["data"].as_array().unwrap();
    let fingerprint = failed.iter().find_map(|query| query["fingerprint"].as_str()).unwrap();
    let statement = page(&server, &format!("/statements/{fingerprint}?from=2020-01-01"));
    let link = format!(
        "<dt>Failed</dt><dd><a href=\"/?fingerprint={fingerprint}&amp;from=2020%2D01%2D01&amp;is%5Ffailed=true\">"
    );
    assert!(statement.contains(&link), "{link}: {statement}");
}

#[test]
fn several_values_in_one_text_are_explained_where_they_match_nothing() {
    let (_folder, server) = samples();
    for path in ["/", "/statements", "/usage"] {
        let shown = page(&server, &format!("{path}?user=root,%20alice&from=2020-01-01"));
        assert!(shown.contains("user=root&amp;user=alice"), "{path}: {shown}");
        let link = format!("{path}?from=2020%2D01%2D01&user=root&user=alice");
        assert!(links(&shown, path).contains(&link), "{path}: {shown}");
        let several = page(&server, &link);
        assert!(!several.contains("Several values"), "{path}: {several}");
    }
}

#[test]
fn the_form_of_the_history_is_folded_with_what_is_chosen_beside_it() {
    let (_folder, server) = samples();
    let shown = page(&server, "/?user=root&from=2020-01-01");
    let (_, form) =
        shown.split_once("<details class=\"filter-fold\"><summary>Filters</summary>").unwrap();
    let (_, chosen) = form.split_once("</form></details>").unwrap();
    assert!(chosen.starts_with("<ul class=\"chosen\""), "{chosen}");
    // What is wrong is not hidden.
    let wrong = send(&server, "GET", "/?from=soon", &[], "").body;
    assert!(wrong.contains("<details class=\"filter-fold\" open>"), "{wrong}");
}

#[test]
fn a_list_of_loads_says_loads() {
    let (_folder, server) = samples();
    let shown = page_with_chart(&server, "/?type=load&from=2020-01-01");
    for expected in [
        "<h2 id=\"queries\">Loads</h2>",
        "aria-label=\"Loads over time\"",
        " loads</span><span class=\"key errors\">",
        "data-one=\"load\" data-several=\"loads\"",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(page(&server, "/?type=load&user=nobody").contains("No load matches the filter."));
}

#[test]
fn the_values_of_a_query_keep_the_filters() {
    let (_folder, server) = samples();
    let kept = "from=2020%2D01%2D01&not%5Fuser=nobody";
    let shown = page(&server, &format!("/query_profile/{ROOTS}?{kept}"));
    let of_values = [links(&shown, "/?"), links(&shown, "/?state=")].concat();
    assert!(of_values.iter().any(|link| link.contains("state=")), "{shown}");
    for link in of_values {
        assert!(kept.split('&').all(|part| link.contains(part)), "{link}");
    }
}

#[test]
fn a_range_without_queries_names_the_nearest_ones() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &["--time-zone", "UTC"]);
    let row = |id: &str, user: &str, started_ms: i64| {
        json!({ "query_id": id, "user": user, "started_ms": started_ms, "duration_ms": 5, "stmt": "select 1 from shared" })
            .to_string()
    };
    let noon_ms = 1_722_945_600_000;
    let rows = [
        row("early-1", "dora", noon_ms - 9_000_000),
        row("early-2", "erin", noon_ms - 7_200_000),
        row("late-1", "erin", noon_ms + 7_200_000),
        row("late-2", "dora", noon_ms + 9_000_000),
    ];
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], rows.join("\n").as_bytes());
    assert_eq!(status, 200, "{answer}");
    let query = server.envelope("/api/v1/queries/early-1")["data"].clone();
    let statement = format!("/statements/{}", query["fingerprint"].as_str().unwrap());
    let range = "from=2024-08-06T11:00&to=2024-08-06T13:00";
    for path in ["/", "/statements", "/usage", &statement] {
        let shown = page(&server, &format!("{path}?{range}"));
        for expected in [
            "started in this range. The nearest earlier one started at ",
            "<a href=\"/query_profile/early-2\"><time datetime=\"2024-08-06T10:00",
            ", the nearest later one at <a href=\"/query_profile/late-1\">",
        ] {
            assert!(shown.contains(expected), "{path}: {expected}: {shown}");
        }
        // The filters choose these, too.
        let shown = page(&server, &format!("{path}?{range}&user=dora"));
        let expected = "No query that matches the filter started in this range.";
        assert!(shown.contains(expected), "{path}: {shown}");
        for expected in ["early-1?user=dora", "late-2?user=dora"] {
            assert!(shown.contains(&format!("/query_profile/{expected}")), "{path}: {shown}");
        }
        let filled = page(&server, &format!("{path}?from=2024-08-06T09:00&to=2024-08-06T13:00"));
        assert!(!filled.contains("nearest earlier"), "{path}: {filled}");
    }
    // What is behind the history is said by the links to other ranges.
    let shown = page(&server, "/?from=2h");
    assert!(!shown.contains("nearest earlier"), "{shown}");
}

#[test]
fn a_time_range_is_typed_and_what_is_wrong_is_beside_its_field() {
    let (_folder, server) = samples();
    let fingerprint = server.envelope("/api/v1/statements?user=alice&limit=1&from=2020-01-01")["data"][0]["fingerprint"].clone();
    let statement = format!("/statements/{}", fingerprint.as_str().unwrap());
    let paths = ["/", "/statements", "/regressions", "/findings", "/plans", "/usage", &statement];
    for path in paths {
        let body = page(&server, &format!("{path}?from=2024-08-01T00:00&to=1722988799"));
        for field in ["from\" value=\"2024-08-01 00:00\"", "to\" value=\"2024-08-06 23:59:59\""] {
            assert!(body.contains(&format!("<input name=\"{field}")), "{path}: {body}");
        }
        assert!(!body.contains("datetime-local") && !body.contains("aria-invalid"), "{path}");
        let moving = page(&server, &format!("{path}?from=3650d"));
        assert!(moving.contains("<input name=\"from\" value=\"3650d\""), "{path}: {moving}");
    }
    for path in paths.into_iter().chain(["/find"]) {
        let wrong = |range: &str| {
            let answer =
                send(&server, "GET", &format!("{path}?user=alice&q=select&{range}"), &[], "");
            assert_eq!(answer.status, 400, "{path}?{range}: {}", answer.body);
            assert!(
                answer.body.contains("name=\"user\" value=\"alice\""),
                "{path}: {}",
                answer.body
            );
            answer.body
        };
        let body = wrong("from=soon&to=2024-08-06");
        let sentence = "<p class=\"error\" id=\"from-error\" role=\"alert\"><bdi>soon is not a time; write one like";
        for expected in [sentence, "value=\"soon\"", "value=\"2024-08-06 00:00\""] {
            assert!(body.contains(expected), "{path}: {expected}: {body}");
        }
        assert_eq!(body.matches("aria-invalid").count(), 1, "{path}: {body}");
        let body = wrong("from=2024-08-07&to=2024-08-06");
        assert!(
            body.contains("id=\"to-error\" role=\"alert\"><bdi>the range ends before it begins")
        );
    }
}

#[test]
fn relative_ranges_follow_the_clock_while_queries_arrive() {
    let (_folder, server) = samples();
    let body = page(&server, "/statements?from=2020-01-01");
    assert!(!links(&body, "/statements?from=24h").contains(&"/statements?from=24h".to_string()));
    let now_ms = crate::support::now().timestamp_millis();
    let row = format!(
        "{{\"query_id\":\"now-1\",\"time\":{now_ms},\"query_time\":3,\"stmt\":\"select 1\"}}"
    );
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], row.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let body = page(&server, "/statements?from=7d");
    for from in ["1h", "24h", "7d", "30d"] {
        assert!(
            links(&body, "/statements").contains(&format!("/statements?from={from}")),
            "{body}"
        );
    }
    assert!(
        body.contains("<a href=\"/statements?from=7d\" aria-current=\"true\">7 days"),
        "{body}"
    );
}

#[test]
fn the_chart_counts_what_is_in_the_range_alone() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let records = (0..600).map(|second| {
        let written = format!("2024-01-02 11:{:02}:{:02},000", second / 60, second % 60);
        audit_record(&written, &[("QueryId", &format!("a-{second:x}")), ("Stmt", "select 1")])
    });
    std::fs::write(&log, records.collect::<String>()).unwrap();
    let imported = annals().args(["import", "--time-zone", "UTC"]).db(&db).arg(&log).output();
    assert!(imported.unwrap().status.success());
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let body = page_with_chart(&server, "/?from=2024-01-02T11:00:30Z&to=2024-01-02T11:05:10Z");
    let count = number(
        &db,
        "SELECT count(*) FROM query WHERE started_ms >= 1704193230000 AND started_ms < 1704193510000",
    );
    assert!(count > 200);
    assert!(body.contains(&format!("{count} queries")), "{count}");
}
