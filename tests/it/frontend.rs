//! `annals serve --frontend`: frontends of several versions are polled, and some fail.

use std::io::Read;
use std::process::Stdio;

use crate::support::fake_frontend::{Frontend, PASSWORD, list, ok, row};
use crate::support::{
    self, Server, WithDb, annals, audit_records, data, import, number, wait_until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the profile of a query in the lists of these tests.
fn profile(id: &str) -> String {
    let of_1_1 = [
        ("Start Time", "2022-08-06 11:16:00"),
        ("End Time", "2022-08-06 11:16:03"),
        ("Total", "3s1ms"),
        ("Doris Version", "1.1.2-rc05"),
        ("User", "bob"),
        ("Default Db", "default_cluster:lake"),
        ("Sql Statement", "select 'l'"),
    ];
    let of_0_15 = [
        ("Start Time", "2020-08-26 16:27:20"),
        ("End Time", "2020-08-26 16:27:20"),
        ("Total", "316ms"),
        ("Default Db", "default_cluster:db1"),
        ("Sql Statement", "select a < b"),
    ];
    let of_bob = [
        ("Start Time", "2024-08-06 11:16:00"),
        ("End Time", "2024-08-06 11:16:03"),
        ("Total", "3sec1ms"),
        ("User", "bob"),
        ("Default Db", "lake"),
        ("Sql Statement", "select 'm'"),
    ];
    match id {
        "l-1" => return support::old_profile(id, &of_1_1),
        "p-1" => return support::old_profile(id, &of_0_15),
        "m-1" => return support::profile(id, &of_bob),
        _ => {}
    }
    let statement = format!("select '{id}'");
    let values = [
        ("Start Time", "2024-08-06 11:16:00"),
        ("End Time", "2024-08-06 11:16:01"),
        ("Total", "1sec52ms"),
        ("User", "alice"),
        ("Default Db", "shop"),
        ("Sql Statement", &statement),
    ];
    support::profile(id, &values)
}

struct Scene {
    folder: TempDir,
    config: String,
}

impl Scene {
    fn new(frontends: &[&Frontend]) -> Scene {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        let file = folder.path().join("password");
        let config = frontends.iter().map(|frontend| {
            format!(
                "[[frontend]]\nurl = 'http://root@{}'\npassword_file = '{}'\npoll_interval_seconds = 1\n",
                frontend.address,
                file.display()
            )
        });
        let config = config.collect();
        Scene { folder, config }
    }

    fn db(&self) -> std::path::PathBuf {
        self.folder.path().join("a.db")
    }

    fn serve(&self) -> Server {
        let file = self.folder.path().join("annals.toml");
        std::fs::write(&file, &self.config).unwrap();
        let arguments = ["--time-zone", "UTC", "--config", file.to_str().unwrap()];
        Server::start(&self.db(), &arguments)
    }

    fn wait_for(&self, sql: &str, count: i64) {
        let seen = || number(&self.db(), sql);
        wait_until(|| seen() == count, || format!("{sql}: {}, not {count}", seen()));
    }
}

fn source(server: &Server, frontend: &Frontend) -> Value {
    let name = format!("frontend http://{}/", frontend.address);
    server.envelope("/api/v1/status")["data"]["sources"][name].clone()
}

const PROFILES: &str = "SELECT count(*) FROM profile";
const QUERIES: &str = "SELECT count(*) FROM query";

#[test]
fn annals_polls_another_annals() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first.db"), folder.path().join("second.db"));
    import(&first, &[&data("")]);
    let polled = Server::start(&first, &[]);
    let url = format!("http://root@{}", polled.address());
    let poller = Server::start(&second, &["--frontend", &url]);
    wait_until(
        || number(&second, QUERIES) == 21 && number(&second, PROFILES) == 4,
        || number(&second, QUERIES).to_string(),
    );
    let rows = |server: &Server| {
        let list = server.envelope("/rest/v1/session")["data"]["rows"].clone();
        let list = list.as_array().unwrap().clone();
        let key = |row: &Value| row["QueryId"].as_str().unwrap().to_string();
        let mut rows: Vec<(String, Value)> =
            list.iter().map(|row| (key(row), row.clone())).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    };
    assert_eq!(rows(&polled), rows(&poller));
    for (id, row) in rows(&polled) {
        let path = format!("/api/profile/text?query_id={id}");
        assert_eq!(polled.get(&path).2, poller.get(&path).2, "{row}");
    }
}

/// The titles of `/rest/v2/manager/query/query_info`.
fn query_info_titles() -> Value {
    json!([
        "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间", "结束时间",
        "执行时长", "状态"
    ])
}

/// Doris 4.x without its page: rows have eleven cells, not in the order of the ten titles.
fn doris_4() -> Frontend {
    let frontend = Frontend::start();
    frontend.answers(
        "/rest/v1/query_profile",
        json!({"msg": "Unauthorized", "code": 401, "data": "Access denied", "count": 0}),
    );
    frontend.answers(
        "/rest/v2/manager/query/query_info",
        ok(json!({"columnNames": query_info_titles(), "rows": [
            ["m-1", "10.0.0.1:8030", "QUERY", "2024-08-06 11:16:00", "2024-08-06 11:16:03", "3sec1ms", "EOF",
             "bob", "internal", "lake", "select 'm'"],
            ["m-2", "10.0.0.1:8030", "QUERY", "2024-08-06 11:16:00", "2024-08-06 11:16:03", "3sec1ms", "OK",
             "bob", "internal", "lake", "select 'n'"]
        ]})),
    );
    frontend.answers(
        "/rest/v2/manager/query/profile/text/m-1",
        ok(json!({ "profile": profile("m-1") })),
    );
    frontend.answers("/rest/v2/manager/query/profile/text/m-2", ok(json!({})));
    frontend
}

/// Doris 1.1: rows have ten cells in the order of the titles, under the older key.
fn doris_1_1() -> Frontend {
    let frontend = Frontend::start();
    frontend.fails("/rest/v1/query_profile", 500);
    frontend.answers(
        "/rest/v2/manager/query/query_info",
        ok(json!({"column_names": query_info_titles(), "rows": [
            ["l-1", "10.0.0.1:8030", "default_cluster:bob", "default_cluster:lake", "select 'l'", "Query",
             "2022-08-06 11:16:00", "2022-08-06 11:16:03", "3s1ms", "EOF"]
        ]})),
    );
    frontend.answers(
        "/rest/v2/manager/query/profile/text/l-1",
        ok(json!({ "profile": profile("l-1") })),
    );
    frontend
}

/// A frontend that answers unknown paths with a page for browsers, and profiles as plain text.
fn with_plain_text() -> Frontend {
    let frontend = Frontend::start();
    frontend.answers("/rest/v2/manager/query/profile/text/n-1", "<!DOCTYPE html><html></html>");
    frontend.answers("/rest/v1/query_profile", list(&[row("n-2", "EOF"), row("n-1", "EOF")]));
    for id in ["n-1", "n-2"] {
        frontend.answers(&format!("/api/profile/text?query_id={id}"), profile(id));
    }
    frontend
}

/// A frontend that answers profiles as JSON only.
fn with_json() -> Frontend {
    let frontend = Frontend::start();
    frontend.answers("/rest/v1/query_profile", list(&[row("o-1", "EOF")]));
    frontend.answers("/api/profile?query_id=o-1", ok(json!({ "profile": profile("o-1") })));
    frontend
}

/// The oldest form: other titles, and profiles as HTML only.
fn with_html() -> Frontend {
    let frontend = Frontend::start();
    let old_row = json!({
        "Query ID": "p-1", "Query Type": "Query", "Query State": "EOF", "User": "root",
        "Start Time": "2020-08-26 16:27:20", "End Time": "2020-08-26 16:27:20", "Total": "316ms",
        "Default Db": "db1", "Sql Statement": "select a < b", "__hrefPath": ["/query_profile/p-1"],
    });
    frontend.answers("/rest/v1/query_profile", list(&[old_row]));
    let html = profile("p-1").replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    frontend.answers("/rest/v1/query_profile/p-1", ok(json!(html)));
    frontend
}

#[test]
fn every_version_is_read_and_each_profile_is_fetched_once() {
    let (manager, older_manager, newer) = (doris_4(), doris_1_1(), with_plain_text());
    let (older, oldest) = (with_json(), with_html());
    let scene = Scene::new(&[&manager, &older_manager, &newer, &older, &oldest]);
    let server = scene.serve();
    scene.wait_for(QUERIES, 7);
    scene.wait_for(PROFILES, 6);
    assert_eq!(
        number(
            &scene.db(),
            "SELECT count(*) FROM query WHERE query_id = 'm-1' AND \"user\" = 'bob' AND catalog = 'internal'
            AND db = 'lake' AND frontend = '10.0.0.1:8030' AND kind = 'query' AND state = 'EOF'
            AND duration_ms = 3001 AND statement = 'select ''m''' AND started_ms = 1722942960000"
        ),
        1
    );
    assert_eq!(
        number(
            &scene.db(),
            "SELECT count(*) FROM query WHERE query_id = 'l-1' AND \"user\" = 'bob' AND db = 'lake'
            AND duration_ms = 3001 AND statement = 'select ''l'''"
        ),
        1
    );
    for id in ["m-1", "l-1", "n-1", "n-2", "o-1", "p-1"] {
        let text = server.get(&format!("/api/profile/text?query_id={id}")).2;
        assert_eq!(String::from_utf8(text).unwrap(), profile(id));
    }
    // The frontends are polled again. Stored profiles are not fetched again, and missing ones are given up.
    let polls = newer.requests("/rest/v1/query_profile");
    wait_until(
        || newer.requests("/rest/v1/query_profile") >= polls + 4,
        || "no more polls".to_string(),
    );
    assert_eq!(newer.requests("/api/profile/text?query_id=n-1"), 1);
    assert_eq!(manager.requests("/rest/v2/manager/query/profile/text/m-1"), 1);
    assert_eq!(manager.requests("/rest/v2/manager/query/profile/text/m-2"), 3);
    drop(server);
    // After a restart they are not fetched again either.
    let _server = scene.serve();
    let polls = newer.requests("/rest/v1/query_profile");
    wait_until(
        || newer.requests("/rest/v1/query_profile") >= polls + 2,
        || "no more polls".to_string(),
    );
    assert_eq!(newer.requests("/api/profile/text?query_id=n-1"), 1);
}

#[test]
fn a_starrocks_frontend_is_polled_for_its_query_details() {
    const ID: &str = "0195feed-2b5f-11ee-bdee-00000000f101";
    let starrocks = Frontend::start();
    let detail = |state: &str, ended_ms: i64, latency_ms: i64| {
        json!({
            "eventTime": 1_772_600_767_000_000_000_i64, "queryId": ID, "isQuery": true, "remoteIP": "10.0.0.9",
            "connId": 7, "startTime": 1_772_600_767_000_i64, "endTime": ended_ms, "latency": latency_ms,
            "state": state, "database": "shop", "sql": "select max(t) from orders", "user": "bob",
            "scanRows": 12, "warehouse": "default_warehouse", "catalog": "default_catalog"
        })
    };
    let details = json!([detail("RUNNING", -1, -1), detail("FINISHED", 1_772_600_768_500, 1500)]);
    starrocks
        .answers("/api/v2/query_detail", json!({"result": details, "code": "0", "message": "OK"}));
    let profile = format!(
        "Query:\n  Summary:\n     - Query ID: {ID}\n     - Start Time: 2026-03-04 05:06:07\n     \
         - End Time: 2026-03-04 05:06:08\n     - Total: 1s500ms\n     - Query Type: Query\n     \
         - Query State: Finished\n     - StarRocks Version: 3.3.2-857dd73\n     - User: bob\n     \
         - Default Db: shop\n     - Sql Statement: select max(t) from orders\n     - Variables: \n     \
         - NonDefaultSessionVariables: {{}}\n  Planner:\n  Execution:\n"
    );
    // The answer is the bare text.
    starrocks.answers(&format!("/api/profile?query_id={ID}"), &profile);
    // Older versions have only the first path, with a bare list.
    let older = Frontend::start();
    let mut failed = detail("FAILED", 1_772_600_768_500, 1500);
    failed["queryId"] = json!("0195feed-2b5f-11ee-bdee-00000000f102");
    older.answers("/api/query_detail", json!([failed]));
    let scene = Scene::new(&[&starrocks, &older]);
    let server = scene.serve();
    scene.wait_for(
        "SELECT count(*) FROM query WHERE duration_ms = 1500 AND ended_ms = 1772600768500 AND \"user\" = 'bob'",
        2,
    );
    scene.wait_for(PROFILES, 1);
    assert_eq!(server.get(&format!("/api/profile/text?query_id={ID}")).2, profile.as_bytes());
    assert!(source(&server, &older)["last_error"].is_null());
}

#[test]
fn a_query_list_that_cannot_be_read_is_an_error() {
    let unreadable = Frontend::start();
    let rows = json!([["7", "no time", "here"], ["8", "no time", "there"]]);
    let strange = ok(json!({"columnNames": ["Number", "What", "Where"], "rows": rows}));
    unreadable.answers("/rest/v2/manager/query/query_info", &strange);
    unreadable.answers("/rest/v1/query_profile", strange);
    let empty = Frontend::start();
    empty.answers("/rest/v1/query_profile", list(&[]));
    let scene = Scene::new(&[&unreadable, &empty]);
    let server = scene.serve();
    wait_until(
        || source(&server, &unreadable)["last_error"].is_string(),
        || source(&server, &unreadable).to_string(),
    );
    let error = source(&server, &unreadable)["last_error"].as_str().unwrap().to_string();
    assert!(error.contains("lists 2 queries, of which annals understands none"), "{error}");
    assert!(source(&server, &unreadable)["last_success_ms"].is_null());
    // An empty list is no error.
    wait_until(
        || source(&server, &empty)["last_success_ms"].is_i64(),
        || source(&server, &empty).to_string(),
    );
    assert!(source(&server, &empty)["last_error"].is_null());
    // A later answer that can be read is stored.
    unreadable.answers("/rest/v1/query_profile", list(&[row("u-1", "EOF")]));
    scene.wait_for(QUERIES, 1);
}

#[test]
fn a_running_query_is_polled_until_it_ends() {
    let frontend = Frontend::start();
    let mut running = row("r-1", "RUNNING");
    running["End Time"] = json!("N/A");
    running["Total"] = json!("N/A");
    frontend.answers("/rest/v1/query_profile", list(&[running]));
    frontend.answers("/api/profile/text?query_id=r-1", profile("r-1"));
    let scene = Scene::new(&[&frontend]);
    let _server = scene.serve();
    scene.wait_for("SELECT count(*) FROM query WHERE state = 'RUNNING' AND ended_ms IS NULL", 1);
    assert_eq!(frontend.requests("/api/profile/text?query_id=r-1"), 0);
    frontend.answers("/rest/v1/query_profile", list(&[row("r-1", "EOF")]));
    scene.wait_for("SELECT count(*) FROM query WHERE state = 'EOF' AND duration_ms = 1052", 1);
    scene.wait_for(PROFILES, 1);
    assert_eq!(frontend.requests("/api/profile/text?query_id=r-1"), 1);
}

#[test]
fn a_failing_frontend_is_reported_and_delays_no_other() {
    let good = Frontend::start();
    good.answers("/rest/v1/query_profile", list(&[row("g-1", "EOF")]));
    good.answers("/api/profile/text?query_id=g-1", profile("g-1"));
    let hangs = Frontend::start();
    hangs.script.lock().unwrap().hangs = true;
    let rejects = Frontend::start();
    rejects.script.lock().unwrap().rejects_password = true;
    let garbage = Frontend::start();
    garbage.answers("/rest/v2/manager/query/query_info", r#"{"code": 0, "data": {"rows": 7}}"#);
    garbage.answers("/rest/v1/query_profile", r#"{"code": 0, "data": {"rows": [{"Profile"#);
    let broken = Frontend::start();
    broken.fails("/rest/v2/manager/query/query_info", 500);
    let mixed = Frontend::start();
    let rows = [
        row("x-1", "EOF"),
        json!(7),
        json!({"Profile ID": "a b"}),
        row("x-2", "EOF"),
        row("x-3", "EOF"),
    ];
    mixed.answers("/rest/v1/query_profile", list(&rows));
    mixed.answers("/api/profile/text?query_id=x-1", profile("other"));
    mixed.answers("/api/profile/text?query_id=x-2", "x".repeat(1000));
    mixed.fails("/api/profile/text?query_id=x-3", 503);
    let all = [&good, &hangs, &rejects, &garbage, &broken, &mixed];
    let scene = Scene::new(&all);
    let server = scene.serve();
    scene.wait_for("SELECT count(*) FROM query WHERE query_id LIKE 'g-%'", 1);
    scene.wait_for(PROFILES, 1);
    scene.wait_for("SELECT count(*) FROM query WHERE query_id LIKE 'x-%'", 3);
    let error = |frontend: &Frontend| {
        wait_until(
            || source(&server, frontend)["last_error"].is_string(),
            || source(&server, frontend).to_string(),
        );
        source(&server, frontend)["last_error"].as_str().unwrap().to_string()
    };
    assert!(error(&rejects).contains("rejects the user or the password"));
    assert!(error(&garbage).contains("does not answer as a frontend"));
    assert!(error(&broken).contains("status 500"));
    assert!(error(&mixed).contains("status 503"));
    let rejected = source(&server, &mixed)["rejected"].clone();
    assert!(rejected["a profile of another query than the one requested"].is_u64(), "{rejected}");
    assert!(source(&server, &good)["last_error"].is_null());
    assert!(source(&server, &good)["last_success_ms"].is_i64());
    assert!(source(&server, &hangs)["last_success_ms"].is_null());
    assert!(!server.envelope("/api/v1/status").to_string().contains(PASSWORD));

    // The frontend recovers, and the next poll stores its queries.
    broken.answers("/rest/v2/manager/query/query_info", "");
    broken.answers("/rest/v1/query_profile", list(&[row("b-1", "EOF")]));
    scene.wait_for("SELECT count(*) FROM query WHERE query_id LIKE 'b-%'", 1);
}

#[test]
fn the_password_comes_from_the_environment_and_is_not_disclosed() {
    let frontend = Frontend::start();
    let row = json!([
        "e-1", "10.0.0.1:8030", "QUERY", "2024-08-06 11:16:00", "2024-08-06 11:16:01", "1sec52ms",
        "EOF", "alice", "internal", "shop", "select 1"
    ]);
    frontend.answers(
        "/rest/v2/manager/query/query_info",
        ok(json!({"columnNames": ["Query ID"], "rows": [row]})),
    );
    // The frontend redirects every request here.
    let elsewhere = Frontend::start();
    frontend.script.lock().unwrap().answers.insert(
        "/rest/v1/query_profile".to_string(),
        (302, format!("http://{}/rest/v1", elsewhere.address)),
    );
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let mut process = annals()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .db(&db)
        .args(["--frontend", &format!("http://root@{}", frontend.address)])
        .env("ANNALS_FRONTEND_PASSWORD", PASSWORD)
        .env("ANNALS_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A full pipe would stop the process.
    let mut pipes = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
    let output = std::thread::spawn(move || {
        let mut printed = String::new();
        pipes.1.read_to_string(&mut printed).unwrap();
        pipes.0.read_to_string(&mut printed).unwrap();
        printed
    });
    // After the second list was requested, the error of the first is in the log.
    wait_until(
        || frontend.requests("/rest/v1/query_profile") > 0 && frontend.requests("/rest/v2") > 0,
        || "no polls".to_string(),
    );
    process.kill().unwrap();
    let printed = output.join().unwrap();
    process.wait().unwrap();
    assert!(!printed.contains(PASSWORD) && !printed.contains("cm9vdDpzM2NyZXQ"), "{printed}");
    assert_eq!(elsewhere.requests(""), 0);
}

#[test]
fn profiles_of_excluded_queries_are_not_fetched() {
    let frontend = Frontend::start();
    frontend.answers("/rest/v1/query_profile", list(&[row("k-1", "EOF"), row("k-2", "EOF")]));
    for id in ["k-1", "k-2"] {
        frontend.answers(&format!("/api/profile/text?query_id={id}"), profile(id));
    }
    let mut scene = Scene::new(&[&frontend]);
    scene.config.push_str("[[exclude]]\nstatement = 'k-1'\n");
    let server = scene.serve();
    scene.wait_for(PROFILES, 1);
    scene.wait_for(QUERIES, 1);
    assert_eq!(frontend.requests("/api/profile/text?query_id=k-1"), 0);
    assert_eq!(source(&server, &frontend)["excluded"], 1);
}

#[test]
fn a_query_of_the_log_and_of_a_frontend_is_stored_once() {
    let frontend = Frontend::start();
    let scene = Scene::new(&[&frontend]);
    let log = scene.folder.path().join("log");
    std::fs::write(&log, audit_records(7..8)).unwrap();
    assert!(import(&scene.db(), &[&log]).status.success());
    let id = format!("{:x}-7", 8u64.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut listed = row(&id, "EOF");
    for (key, value) in [
        ("Start Time", "2024-01-02 11:00:00"),
        ("End Time", "2024-01-02 11:00:00"),
        ("Total", "1ms"),
        ("Sql Statement", "select 7"),
        ("Default Catalog", "internal"),
        ("Default Db", "of_the_session"),
    ] {
        listed[key] = json!(value);
    }
    frontend.answers("/rest/v1/query_profile", list(&[listed]));
    let values = [
        ("Start Time", "2024-01-02 11:00:00"),
        ("End Time", "2024-01-02 11:00:00"),
        ("Total", "1ms"),
        ("Default Db", "of_the_session"),
        ("Sql Statement", "select 7"),
    ];
    let text = support::profile(&id, &values);
    frontend.answers(&format!("/api/profile/text?query_id={id}"), text);
    let _server = scene.serve();
    scene.wait_for(PROFILES, 1);
    assert_eq!(number(&scene.db(), QUERIES), 1);
    // The value of the audit log has precedence.
    assert_eq!(number(&scene.db(), "SELECT count(*) FROM query WHERE db = 'test'"), 1);
}
