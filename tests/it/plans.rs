//! The plans of a statement, what is usual for a plan, and that the store knows the plan of every profile.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Server, WithDb, add_user, annals, assert_sound, db_argument, execute, import, is_postgres,
    number, profile_of, read_plans, rows, stderr, stdout, texts, unread_plans, wait_until,
};

/// The start of the first run: 2024-01-02 11:00:00.
const FIRST_MS: i64 = 1_704_193_200_000;
const MINUTE_MS: i64 = 60_000;

/// Returns the operators of a plan: a scan of `table`, below a sort if there is one.
fn operators(table: &str, has_sort: bool, scan_ms: u32) -> String {
    let sort = match has_sort {
        true => {
            "           SORT_OPERATOR (id=1 , nereids_id=20):
              - ExecTime: avg 2.000ms, max 2.000ms, min 2.000ms
              - RowsProduced: sum 30, avg 30, max 30, min 30
"
        }
        false => "",
    };
    format!(
        "       Fragment 0:
         Pipeline : 0(instance_num=1):
           RESULT_SINK_OPERATOR (id=0):
              - ExecTime: avg 61.293us, max 61.293us, min 61.293us
              - InputRows: sum 30, avg 30, max 30, min 30
{sort}           OLAP_SCAN_OPERATOR (id=0. nereids_id=9. table name = {table}({table})):
              - ExecTime: avg {scan_ms}.000ms, max {scan_ms}.000ms, min {scan_ms}.000ms
              - RowsProduced: sum 30, avg 30, max 30, min 30
"
    )
}

/// A run of the statement, a minute after the one before.
pub(crate) fn run(number: i64, user: &str, has_sort: bool, scan_ms: u32) -> String {
    let time = |ms: i64| {
        let time = chrono::DateTime::from_timestamp_millis(FIRST_MS + number * MINUTE_MS + ms);
        time.unwrap().format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let (start, end, total) = (time(0), time(1000), format!("{}ms", 500 + scan_ms));
    let statement = format!("select bed from plants where height < {number} order by bed");
    let values = [
        ("Start Time", start.as_str()),
        ("End Time", &end),
        ("Total", &total),
        ("User", user),
        ("Sql Statement", &statement),
    ];
    profile_of(&format!("{number:x}-a"), &values, &operators("plants", has_sort, scan_ms))
}

/// Imports runs: one of alice and six of carol with a sort, then three of alice without. The last with a sort scans nine times
/// as long.
fn sample(folder: &TempDir) -> PathBuf {
    let db = folder.path().join("annals.db");
    for number in 0..10 {
        let scan_ms = if number == 6 { 900 } else { 100 };
        let user = if (1..7).contains(&number) { "carol" } else { "alice" };
        let has_sort = number < 7;
        let file = folder.path().join(format!("{number}.txt"));
        std::fs::write(&file, run(number, user, has_sort, scan_ms)).unwrap();
    }
    let imported = import(&db, &[folder.path()]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    read_plans(&db);
    db
}

fn fingerprint(db: &Path) -> String {
    let all = texts(db, "SELECT DISTINCT fingerprint FROM plan_history");
    let [fingerprint] = all.as_slice() else { panic!("{all:?}") };
    fingerprint.clone()
}

#[test]
fn a_statement_has_its_plans_and_when_one_took_the_place_of_another() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let server = Server::start(&db, &[]);
    let path = format!("/api/v1/statements/{}/plans", fingerprint(&db));
    let answer = server.envelope(&path)["data"].clone();
    let plans = answer["plans"].as_array().unwrap();
    assert_eq!((plans.len(), &answer["runs"], &answer["is_cut"]), (2, &json!(10), &json!(false)));
    let figures = |plan: &Value| {
        ["runs", "first_ms", "last_ms", "p50_ms", "p95_ms", "newest_query_id"]
            .map(|it| plan[it].clone())
    };
    let at = |number: i64| FIRST_MS + number * MINUTE_MS;
    let newest = [json!(3), json!(at(7)), json!(at(9)), json!(600), json!(600), json!("9-a")];
    let older = [json!(7), json!(at(0)), json!(at(6)), json!(600), json!(1400), json!("6-a")];
    assert_eq!([figures(&plans[0]), figures(&plans[1])], [newest, older]);
    let change = json!({
        "at_ms": at(7), "from": plans[1]["plan_fingerprint"], "to": plans[0]["plan_fingerprint"],
        "p50_before_ms": 600, "p50_after_ms": 600, "runs_before": 7, "runs_after": 3,
    });
    assert_eq!(answer["changes"], json!([change]));
    // Within a range of times.
    let from = server.envelope(&format!("{path}?from={}", at(5)))["data"].clone();
    assert_eq!((&from["runs"], &from["plans"][1]["runs"]), (&json!(5), &json!(2)));
    // With the filters of lists.
    for (filter, runs) in [("user=alice", 4), ("not_user=alice", 6), ("user=alice&user=carol", 10)]
    {
        assert_eq!(server.envelope(&format!("{path}?{filter}"))["data"]["runs"], runs, "{filter}");
    }
    assert_eq!(server.get(&format!("{path}?limit=1")).0, 400);
    let unknown = server.envelope("/api/v1/statements/0123456789abcdef/plans")["data"].clone();
    assert_eq!((&unknown["plans"], &unknown["changes"]), (&json!([]), &json!([])));
    assert_eq!(server.get("/api/v1/statements/none/plans").0, 400);
}

#[test]
fn the_statements_with_several_plans_are_listed_with_what_these_cost() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let server = Server::start(&db, &[]);
    let answer = server.envelope("/api/v1/plans");
    let all = &answer["data"];
    assert_eq!(
        (&all["runs"], &all["with_several_plans"], &answer["count"]),
        (&json!(10), &json!(1), &json!(1))
    );
    let one = &all["statements"][0];
    assert_eq!(one["fingerprint"], fingerprint(&db));
    assert!(one["normalized"].as_str().is_some_and(|text| text.starts_with("select ")), "{one}");
    // Nine runs of 600 ms and one of 1,400: the medians of both plans are the same.
    assert_eq!((&one["total_ms"], &one["extra_ms"]), (&json!(6800), &json!(0)));
    let phases = ["planning_ms", "queue_ms", "execution_ms", "work_ns", "wait_ns"];
    let sums = rows(
        &db,
        "SELECT sum(planning_ms), sum(queue_ms), sum(execution_ms), sum(work_ns), sum(wait_ns) FROM plan_history",
    );
    let known = |sum: &Option<String>| sum.as_ref().map(|sum| sum.parse::<i64>().unwrap());
    let sums: Vec<Value> = sums[0].iter().map(|sum| known(sum).into()).collect();
    assert_eq!(phases.map(|phase| one[phase].clone()).to_vec(), sums);
    let of_statement = format!("/api/v1/statements/{}/plans", fingerprint(&db));
    let of_statement = &server.envelope(&of_statement)["data"];
    assert_eq!(
        (&one["plans"], &one["changes"]),
        (&of_statement["plans"], &of_statement["changes"])
    );
    let several = &server.envelope("/api/v1/plans?several=true")["data"];
    assert_eq!(several["statements"], all["statements"]);
    // The runs with a sort alone have one plan.
    let to = FIRST_MS + 7 * MINUTE_MS;
    let several = server.envelope(&format!("/api/v1/plans?several=true&to={to}"));
    assert_eq!((&several["data"]["runs"], &several["count"]), (&json!(7), &json!(0)));
    assert_eq!(server.get("/api/v1/plans?several=yes").0, 400);

    let page = |path: &str| {
        let (status, _, body) = server.get(path);
        assert_eq!(status, 200, "{path}");
        String::from_utf8(body).unwrap()
    };
    let shown = page(&format!("/plans?several=true&from={FIRST_MS}"));
    for plan in one["plans"].as_array().unwrap() {
        assert!(shown.contains(plan["plan_fingerprint"].as_str().unwrap()), "{plan} {shown}");
    }
    assert!(shown.contains("With several plans (1)"), "{shown}");
    assert!(
        page(&format!("/plans?from={}", FIRST_MS + 60 * MINUTE_MS))
            .contains("No profile with a plan")
    );

    let output = annals().args(["plans", "--several"]).db(&db).output().unwrap();
    let (text, note) = (stdout(&output), stderr(&output));
    assert!(text.lines().nth(1).is_some_and(|line| line.contains("\t6800\t10\t2\t0\t")), "{text}");
    assert_eq!(note, "annals: 10 runs have a profile with a plan; 1 statement has several plans\n");
    let costs = rows(
        &db,
        "SELECT plans_of_statement, runs, average_ms, total_ms FROM statement_plans ORDER BY runs DESC",
    );
    let costs: Vec<Vec<String>> =
        costs.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    assert_eq!(costs, [["2", "7", "714", "5000"], ["2", "3", "600", "1800"]]);
}

#[test]
fn plans_and_findings_have_the_filters_of_lists() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let runs = |filter: &str| {
        let runs = server.envelope(&format!("/api/v1/plans?{filter}"))["data"]["runs"].clone();
        runs.as_i64().unwrap()
    };
    let fingerprint = fingerprint(&db);
    for (filter, expected) in [
        ("user=carol", 6),
        ("not_user=carol", 4),
        ("user=carol&user=alice", 10),
        ("user=nobody", 0),
        ("min_ms=1000", 1),
        ("db=none", 0),
        ("is_failed=false&type=query", 10),
        ("has_profile=false", 0),
        ("search=height+%3C+7+", 1),
        ("words=PLANTS", 10),
        (&format!("fingerprint={fingerprint}&cluster=none"), 0),
        (&format!("fingerprint={fingerprint}"), 10),
        ("fingerprint=0123456789abcdef", 0),
        ("table=shop.orders", 0),
        ("client=10.0.0.1&frontend=a&workload_group=b&compute_group=c&session_id=7&state=EOF", 0),
    ] {
        assert_eq!(runs(filter), expected, "{filter}");
        let findings = server.envelope(&format!("/api/v1/findings?{filter}"));
        assert!(findings["data"]["runs"].is_number(), "{findings}");
    }
    assert_eq!(server.get("/api/v1/plans?usr=carol").0, 400);
    assert_eq!(server.get("/api/v1/findings?cursor=1").0, 400);
    let page = |path: &str| String::from_utf8(server.get(path).2).unwrap();
    let carols = page("/plans?user=carol&from=2024-01-02");
    assert!(carols.contains("6 runs have a profile") && carols.contains("Remove User carol"));
    assert!(carols.contains("href=\"/findings?from=2024%2D01%2D02&amp;user=carol\""), "{carols}");
    assert!(page("/findings?user=carol&from=2024-01-02").contains("Remove User carol"));
    let output = annals().args(["plans", "--user", "carol"]).db(&db).output().unwrap();
    assert!(stderr(&output).starts_with("annals: 6 runs have"), "{}", stderr(&output));
}

#[test]
fn a_user_sees_the_plans_of_their_own_runs() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    add_user(&db, "alice", "user");
    add_user(&db, "carol", "user");
    add_user(&db, "root", "admin");
    let server = Server::start(&db, &[]);
    let path = format!("/api/v1/statements/{}/plans", fingerprint(&db));
    let data = |name: &str, path: &str| {
        let credentials = BASE64_STANDARD.encode(format!("{name}:pass-word-of-{name}"));
        let basic = format!("Basic {credentials}");
        let (status, answer, _) = server.send("GET", path, &[("authorization", &basic)], b"");
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    };
    let runs = |name: &str| data(name, &path)["runs"].clone();
    assert_eq!((runs("alice"), runs("carol"), runs("root")), (json!(4), json!(6), json!(10)));
    let of_all = |name: &str| data(name, "/api/v1/plans")["runs"].clone();
    assert_eq!((of_all("alice"), of_all("carol"), of_all("root")), (json!(4), json!(6), json!(10)));
    // What is usual is that of the runs that the user may see.
    let usual = |name: &str| data(name, "/api/v1/queries/6-a/plan")["usual_runs"].clone();
    assert_eq!((usual("carol"), usual("root")), (json!(5), json!(6)));
}

#[test]
fn a_node_that_takes_far_longer_than_usual_is_marked() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    // Another statement with the same plan says nothing about this one.
    let other = run(11, "carol", true, 500).replace("height <", "weight <");
    let file = folder.path().join("other.txt");
    std::fs::write(&file, other).unwrap();
    assert!(import(&db, &[&file]).status.success());
    read_plans(&db);
    let server = Server::start(&db, &[]);
    let plan = server.envelope("/api/v1/queries/6-a/plan")["data"].clone();
    let scan = plan["nodes"].as_array().unwrap().iter().find(|node| node["table"] == "plants");
    let scan = scan.unwrap_or_else(|| panic!("{plan}"));
    assert_eq!(plan["usual_runs"], 6);
    assert_eq!(
        (&scan["usual_time_ns"], &scan["usual_rows"], &scan["times_usual"]),
        (&json!(100_000_000), &json!(30), &json!(9.0))
    );
    let page = |path: &str| String::from_utf8(server.get(path).2).unwrap();
    let shown = page("/query_profile/6-a?node=0");
    assert!(
        shown.contains("9.0 times its usual time, with 1.0 times its usual rows (6 runs)"),
        "{shown}"
    );
    assert!(shown.contains(">×9.0<"), "{shown}");
    assert!(!page("/query_profile/5-a?node=0").contains(">×"), "a usual run is marked");
    // Two other runs say nothing.
    let other = server.envelope("/api/v1/queries/9-a/plan")["data"].clone();
    assert_eq!(other["usual_runs"], Value::Null);
    assert!(!page("/query_profile/9-a?node=0").contains("usual"));
    drop(server);
    let shown = annals().args(["profile", "6-a", "--plan"]).db(&db).output().unwrap();
    let shown = stdout(&shown);
    assert!(shown.contains("9.0 times its usual 100.0ms, usually 30 rows"), "{shown}");
    assert!(shown.contains("of 6 other runs"), "{shown}");
    // A usual time is said only where it is far exceeded.
    assert_eq!(shown.matches("times its usual").count(), 1, "{shown}");
}

#[test]
fn the_page_of_a_statement_shows_its_plans_and_two_of_them_side_by_side() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let server = Server::start(&db, &[]);
    let path = format!("/statements/{}", fingerprint(&db));
    let page = |path: &str| {
        let (status, _, body) = server.get(path);
        (status, String::from_utf8(body).unwrap())
    };
    for list in ["/plans", "/findings"] {
        let (_, shown) = page(list);
        assert!(!shown.contains(&format!("\"{path}\"")), "{list}: {shown}");
        assert!(list != "/plans" || shown.contains(&format!("\"{path}?from=1")), "{list}: {shown}");
    }
    let (_, shown) = page(&path);
    let plans = texts(&db, "SELECT plan_fingerprint FROM plan_history ORDER BY started_ms DESC");
    let (newest, older) = (&plans[0], plans.last().unwrap());
    assert!(
        shown.contains(&format!("<code>{newest}</code> took the place of <code>{older}</code>"))
    );
    assert_eq!(shown.matches("class=\"run plan0 good\"").count(), 3, "{shown}");
    assert_eq!(shown.matches("class=\"run plan1 good\"").count(), 7, "{shown}");
    assert!(shown.contains(&format!("?plans={older}%2C{newest}#plans")), "{shown}");
    let (status, shown) = page(&format!("{path}?plans={older},{newest}"));
    assert_eq!((status, shown.matches("class=\"plan-picture\"").count()), (200, 2), "{shown}");
    // The plans differ by a node that only one has.
    assert!(shown.contains("only in this plan\"") && shown.contains("Dashed frames"), "{shown}");
    // No link of a picture but those to its query leaves the comparison.
    assert!(!shown.contains("aria-label=\"Picture\"") && !shown.contains("zoom="), "{shown}");
    let (status, shown) = page(&format!("{path}?plans={newest},{newest}"));
    assert!(status == 400 && shown.contains("one plan twice"), "{shown}");
    let from_ms = FIRST_MS + 7 * MINUTE_MS;
    let later = format!("{path}?plans={older},{newest}&from={from_ms}");
    let (status, shown) = page(&later);
    let expected =
        format!("Plan <code>{older}</code> has no run that the time range and the filters choose.");
    assert!(status == 200 && shown.contains(&expected), "{shown}");
    assert!(shown.contains(&format!("\"{path}?plans={older}%2C{newest}#plans\"")), "{shown}");
    assert!(shown.contains(&format!("\"{path}?from={from_ms}#plans\"")), "{shown}");
    // The plans are those of the runs that the filters choose.
    let runs = |filter: &str| {
        let (_, shown) = page(&format!("{path}?{filter}"));
        let (_, plans) = shown.split_once("<h2 id=\"plans\">").unwrap();
        let counts = plans.split("data-label=\"Runs\">").skip(1);
        let counts: Vec<String> = counts
            .map(|cell| cell.split_once("</svg>").unwrap().1.split('<').next().unwrap().to_string())
            .collect();
        counts
    };
    for (filter, expected) in [
        ("user=alice", vec!["3", "1"]),
        ("not_user=alice", vec!["6"]),
        ("min_ms=1000", vec!["1"]),
        ("search=height+%3C+3&user=carol", vec!["1"]),
        (&format!("user=alice&from={from_ms}"), vec!["3"]),
    ] {
        assert_eq!(runs(filter), expected, "{filter}");
    }
    for wrong in ["none", "0123456789abcdef", &format!("{newest},0123456789abcdef")] {
        let (status, shown) = page(&format!("{path}?plans={wrong}"));
        assert!(status == 400 && shown.contains("two plans of the statement"), "{shown}");
    }
}

#[test]
fn a_plan_is_that_of_the_stored_profile() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let server = Server::start(&db, &[]);
    let put = |text: &str| {
        let (status, answer, _) =
            server.send("PUT", "/api/v1/queries/1-a/profile", &[], text.as_bytes());
        assert_eq!(status, 200, "{answer}");
        answer["data"]["profile"].clone()
    };
    let plan = || {
        wait_until(|| unread_plans(&db) == 0, || "the plan is not read".to_string());
        let columns = "plan_fingerprint, duration_ms, planning_ms, execution_ms, fetching_ms, work_ns, started_at";
        rows(&db, &format!("SELECT {columns} FROM plan_history")).pop().unwrap()
    };
    assert_eq!(put(&run(1, "carol", false, 100)), "new");
    let first = plan();
    let values = ["600", "5", "930", "929", "100061293", "2024-01-02 11:01:00.000"];
    assert_eq!(first[1..], values.map(|value| Some(value.to_string())));
    // A longer profile replaces a shorter one, and a shorter one replaces nothing.
    assert_eq!(put(&run(1, "carol", true, 100)), "merged");
    let second = plan();
    assert_ne!(first[0], second[0]);
    assert_eq!(second[5].as_deref(), Some("102061293"));
    assert_eq!(put(&run(1, "carol", false, 100)), "unchanged");
    assert_eq!(plan(), second);
    drop(server);
    assert_sound(&db);
    // A plan goes with its profile.
    let removal = match is_postgres() {
        true => "DELETE FROM profile",
        false => "PRAGMA foreign_keys = ON; DELETE FROM profile",
    };
    execute(&db, removal);
    assert_eq!(number(&db, "SELECT count(*) FROM plan"), 0);
}

#[test]
fn plans_are_read_while_annals_serves() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let columns = "query_id, plan_fingerprint, planning_ms, execution_ms, work_ns";
    let read = || rows(&db, &format!("SELECT {columns} FROM plan_history ORDER BY query_id"));
    let expected = read();
    assert_eq!(expected.len(), 10);
    forget_plans(&db);
    assert!(read().is_empty());
    // A profile that cannot be unpacked keeps no other one waiting.
    execute(
        &db,
        &format!("UPDATE profile SET text_bytes = text_bytes + 1 WHERE {}", of_query("0-a")),
    );
    let server = Server::start(&db, &[]);
    wait_until(|| unread_plans(&db) == 0, || format!("{:?}", read()));
    assert_eq!(read(), expected[1..]);
    // What another process stores meanwhile is read, too.
    let file = folder.path().join("later.txt");
    std::fs::write(&file, run(12, "carol", true, 100)).unwrap();
    assert!(import(&db, &[&file]).status.success());
    wait_until(|| read().len() == 10, || format!("{:?}", read()));
    drop(server);
}

/// Makes a history as an import leaves it.
fn forget_plans(db: &Path) {
    let key = if is_postgres() { "query_id" } else { "query" };
    let forget = format!("DELETE FROM plan; INSERT INTO unread_plan SELECT {key}, 7 FROM profile");
    execute(db, &forget);
}

/// Keeps servers from reading plans, as long as what it returns lives.
fn hold_reading(db: &Path) -> Option<rusqlite::Connection> {
    if is_postgres() {
        execute(db, "INSERT INTO lease VALUES ('plans', 'somebody', 9999999999999)");
        return None;
    }
    let lock = rusqlite::Connection::open(db).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    Some(lock)
}

#[test]
fn plans_that_are_not_read_are_counted_where_they_are_missing() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let fingerprint = fingerprint(&db);
    add_user(&db, "alice", "user");
    add_user(&db, "root", "admin");
    forget_plans(&db);
    let _held = hold_reading(&db);
    let server = Server::start(&db, &[]);
    let get = |name: &str, path: &str| {
        let credentials = BASE64_STANDARD.encode(format!("{name}:pass-word-of-{name}"));
        let request = ureq::get(format!("{}{path}", server.url));
        let mut answer =
            request.header("authorization", format!("Basic {credentials}")).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    let json = |name: &str, path: &str| serde_json::from_str::<Value>(&get(name, path)).unwrap();
    let of_statement = format!("/api/v1/statements/{fingerprint}/plans");
    for path in ["/api/v1/plans", "/api/v1/findings", "/api/v1/regressions", &of_statement] {
        for (name, expected) in [("root", 10), ("alice", 4)] {
            let answer = json(name, path);
            assert_eq!(answer["data"]["unread_profiles"], expected, "{path}: {answer}");
        }
    }
    let status = json("root", "/api/v1/status");
    assert_eq!(status["data"]["unread_profiles"], 10, "{status}");
    let metrics = get("root", "/metrics");
    assert!(
        metrics.contains(
            "
annals_unread_profiles 10
"
        ),
        "{metrics}"
    );
    let status = get("root", "/status");
    assert!(status.contains("<dt>Plans to read</dt><dd>10</dd>"), "{status}");
    let statement = format!("/statements/{fingerprint}");
    for path in ["/plans?from=2024-01-02", "/findings?from=2024-01-02", "/regressions", &statement]
    {
        let page = get("alice", path);
        assert!(
            page.contains("annals is still reading the plans of 4 profiles;"),
            "{path}: {page}"
        );
    }
}

#[test]
fn a_kill_neither_loses_nor_doubles_a_plan() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let file = folder.path().join("profiles.txt");
    const RUNS: i64 = 1000;
    let profiles: Vec<_> = (0..RUNS).map(|it| run(it, "carol", it % 3 == 0, 100)).collect();
    std::fs::write(
        &file,
        profiles.join(
            "
",
        ),
    )
    .unwrap();
    assert!(import(&db, &[&file]).status.success());
    assert_eq!(unread_plans(&db), RUNS);
    let read = || {
        let read = "SELECT query_id, plan_fingerprint, work_ns FROM plan_history ORDER BY query_id";
        rows(&db, read)
    };
    let mut left = RUNS;
    while left > 0 {
        let server = Server::start(&db, &[]);
        wait_until(|| unread_plans(&db) < left, || format!("{left} are left"));
        // A kill.
        drop(server);
        left = unread_plans(&db);
        assert_eq!(read().len() as i64 + left, RUNS);
        assert_sound(&db);
        if is_postgres() {
            // Another annals waits until the lease is over.
            execute(&db, "DELETE FROM lease");
        }
    }
    let of_servers = read();
    forget_plans(&db);
    read_plans(&db);
    assert!(read() == of_servers && of_servers.len() as i64 == RUNS);
}

#[test]
fn a_plan_of_a_replaced_profile_is_dropped() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    let file = folder.path().join("profile.txt");
    let import_run = |has_sort: bool| {
        std::fs::write(&file, run(1, "carol", has_sort, 100)).unwrap();
        assert!(import(&db, &[&file]).status.success());
    };
    let plans = || texts(&db, "SELECT plan_fingerprint FROM plan_history");
    let token = || number(&db, "SELECT token FROM unread_plan");
    import_run(false);
    let first = token();
    import_run(true);
    assert_ne!(token(), first, "what is read of the first profile cannot be stored any more");
    read_plans(&db);
    let second = plans();
    // A profile that replaces one whose plan is read.
    forget_plans(&db);
    execute(&db, "DELETE FROM unread_plan; DELETE FROM profile");
    import_run(false);
    read_plans(&db);
    assert_ne!(plans(), second);
    import_run(true);
    assert!(plans().is_empty());
    read_plans(&db);
    assert_eq!(plans(), second);
}

#[test]
fn a_history_that_is_merged_has_the_same_plans() {
    let folder = TempDir::new().unwrap();
    let db = sample(&folder);
    let plans = |db: &Path| {
        let columns =
            "query_id, plan_fingerprint, planning_ms, execution_ms, work_ns, wait_ns, spill_bytes";
        rows(db, &format!("SELECT {columns} FROM plan_history ORDER BY query_id"))
    };
    let copy = folder.path().join("copy.db");
    for _ in 0..2 {
        let merged = annals().arg("merge").arg(db_argument(&db)).db(&copy).output().unwrap();
        assert!(merged.status.success(), "{}", stderr(&merged));
        read_plans(&copy);
        assert_eq!(plans(&copy), plans(&db));
    }
}

#[test]
fn the_newest_ten_thousand_runs_are_read() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    drop(Server::start(&db, &[]));
    let (profile, body) = match is_postgres() {
        true => ("INSERT INTO profile SELECT query_id, 0, ''::bytea FROM query", "query_id"),
        false => ("INSERT INTO profile SELECT id, 0, x'' FROM query", "query"),
    };
    execute(
        &db,
        &format!(
            "INSERT INTO query (query_id, kind, origin, is_slow, started_ms, fingerprint)
             WITH RECURSIVE run (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM run WHERE number < 10001)
             SELECT 'r-' || number, 'query', 'audit', FALSE, 1000000000000 + number, 7 FROM run;
             {profile};
             INSERT INTO plan ({body}, read_version, fingerprint) SELECT {body}, 1, 8 FROM profile"
        ),
    );
    let server = Server::start(&db, &[]);
    let path = "/api/v1/statements/0000000000000007/plans";
    let answer = server.envelope(path)["data"].clone();
    assert_eq!((&answer["runs"], &answer["is_cut"]), (&json!(10_000), &json!(true)));
    assert_eq!(answer["plans"][0]["first_ms"], 1_000_000_000_002_i64);
    let answer = server.envelope(&format!("{path}?from=1000000000002"))["data"].clone();
    assert_eq!((&answer["runs"], &answer["is_cut"]), (&json!(10_000), &json!(false)));
}

/// Returns the condition of a profile's row.
fn of_query(id: &str) -> String {
    match is_postgres() {
        true => format!("query_id = '{id}'"),
        false => format!("query = (SELECT id FROM query WHERE query_id = '{id}')"),
    }
}
