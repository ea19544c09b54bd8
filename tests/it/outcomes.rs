//! Queue times, cache hits, logins and failures in each list, view and page.

use std::path::Path;

use crate::support::{
    DORIS_4_0, STARROCKS_3, Server, WithDb, annals, import, number, record_of, stderr, stdout,
    stream_load_record,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns a database with the records of a log.
fn history(log: &str) -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().unwrap();
    let (db, file) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    std::fs::write(&file, log).unwrap();
    let output = import(&db, &[&file]);
    assert!(output.status.success(), "{}", stdout(&output));
    (folder, db)
}

/// Returns the sorted ids that `annals list` prints.
fn listed(db: &Path, arguments: &[&str]) -> Vec<String> {
    let output = annals().args(["list", "--json"]).db(db).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["query_id"].clone();
    let mut ids: Vec<String> =
        stdout(&output).lines().map(|line| id(line).as_str().unwrap().to_string()).collect();
    ids.sort();
    ids
}

/// Returns the sorted ids of the rows of an answer. `name` is the list's key for an id.
fn ids(rows: &Value, name: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    let mut ids: Vec<String> = rows.map(|row| row[name].as_str().unwrap().to_string()).collect();
    ids.sort();
    ids
}

const STARROCKS: &str =
    "2024-01-02 11:15:52.400Z INFO (audit-event-processor|7) [AuditLog.log():68] [query]";
const LOGIN: &str =
    "2024-01-02 11:15:52.400Z INFO (audit-event-processor|7) [AuditLog.log():68] [connection]";

/// Two queries of Doris 4.0, one answered from the cache, and three of StarRocks, two of which waited in the queue.
fn waiting_and_cached() -> String {
    let doris = |id: &str, hit: &str| {
        let values = [("QueryId", id), ("HitSqlCache", hit), ("Stmt", "select count(*) from t")];
        record_of(DORIS_4_0, "2024-01-02 11:15:52,400 [query]", &values)
    };
    let starrocks = |id: &str, waited: &str| {
        let values = [("QueryId", id), ("PendingTimeMs", waited), ("Stmt", "select max(a) from t")];
        record_of(STARROCKS_3, STARROCKS, &values)
    };
    [
        doris("d-1", "true"),
        doris("d-2", "false"),
        starrocks("a-1", "-1"),
        starrocks("a-2", "40"),
        starrocks("a-3", "1500"),
    ]
    .concat()
}

#[test]
fn queries_are_filtered_by_queue_time_and_cache_hit() {
    let (_folder, db) = history(&waiting_and_cached());
    let server = Server::start(&db, &[]);
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("", &[], &["a-1", "a-2", "a-3", "d-1", "d-2"]),
        // The queue time of the others is unknown.
        ("min_queue_ms=0", &["--min-queue-ms", "0"], &["a-2", "a-3"]),
        ("min_queue_ms=40", &["--min-queue-ms", "40"], &["a-2", "a-3"]),
        ("min_queue_ms=41", &["--min-queue-ms", "41"], &["a-3"]),
        ("min_queue_ms=1501", &["--min-queue-ms", "1501"], &[]),
        ("cache_hit=true", &["--cache-hit", "true"], &["d-1"]),
        ("cache_hit=false", &["--cache-hit", "false"], &["d-2"]),
        ("cache_hit=true&min_queue_ms=1", &["--cache-hit", "true", "--min-queue-ms", "1"], &[]),
    ];
    for (parameters, arguments, expected) in cases {
        let rows = server.envelope(&format!("/api/v1/queries?{parameters}"))["data"].clone();
        assert_eq!(ids(&rows, "query_id"), expected, "{parameters}");
        let list = server.envelope(&format!("/rest/v1/session?{parameters}"));
        assert_eq!(ids(&list["data"]["rows"], "QueryId"), expected, "{parameters}");
        let list = server.envelope(&format!("/rest/v1/query_profile?{parameters}"));
        assert_eq!(ids(&list["data"]["rows"], "Profile ID"), expected, "{parameters}");
        assert_eq!(listed(&db, arguments), expected, "{arguments:?}");
        let page = server.get(&format!("/?from=2024-01-01&{parameters}")).2;
        let page = String::from_utf8(page).unwrap();
        assert_eq!(page.matches("<tr data-row").count(), expected.len(), "{parameters}");
    }
    let waited = server.envelope("/api/v1/queries/a-3")["data"]["queue_time_ms"].clone();
    assert_eq!(waited, 1500);
    for path in ["/api/v1/queries", "/rest/v1/session", "/rest/v1/query_profile"] {
        for wrong in ["min_queue_ms=-1", "min_queue_ms=long", "cache_hit=perhaps"] {
            assert_eq!(server.get(&format!("{path}?{wrong}")).0, 400, "{path}?{wrong}");
        }
    }
    for wrong in [["--min-queue-ms", "-1"], ["--cache-hit", "perhaps"]] {
        let output = annals().arg("list").args(wrong).db(&db).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

/// Returns a login as StarRocks writes it if `audit_log_modules` contains `connection`.
fn login(user: &str, client: &str, state: &str, error: &str) -> String {
    format!(
        "{LOGIN} |Client={client}|User={user}|AuthorizedUser='{user}'@'%'|ResourceGroup=|Catalog=|Db=|State={state}\
         |ErrorCode={error}|QueryId=|IsQuery=false|feIp=10.0.0.4|Stmt=|Digest=|Warehouse=default_warehouse\
         |IsForwardToLeader=false\n"
    )
}

#[test]
fn logins_are_counted_separately_from_queries() {
    let denied = "Access denied for user 'eva' (using password: YES)";
    let log = [
        login("ida", "10.0.0.3:4000", "OK", ""),
        login("eva", "10.0.0.3:4001", "ERR", denied),
        login("eva", "10.0.0.3:4002", "ERR", denied),
        waiting_and_cached(),
    ];
    let (folder, db) = history(&log.concat());
    let stats = stdout(&annals().args(["stats"]).db(&db).output().unwrap());
    for line in ["queries\t5", "logins\t3", "failed_logins\t2"] {
        assert!(stats.contains(&format!("\n{line}\n")), "no {line} in {stats}");
    }
    let failed = format!(
        "SELECT count(*) FROM login_history WHERE \"user\" = 'eva' AND NOT succeeded AND frontend = '10.0.0.4'
         AND error_message = '{}' AND at = '2024-01-02 11:15:52.400'",
        denied.replace('\'', "''")
    );
    assert_eq!(number(&db, &failed), 2);
    let succeeded = "SELECT count(*) FROM login_history WHERE \"user\" = 'ida' AND succeeded
        AND client = '10.0.0.3:4000' AND error_message IS NULL";
    assert_eq!(number(&db, succeeded), 1);
    assert_eq!(number(&db, "SELECT count(*) FROM query_history"), 5);
    // The same log again adds none.
    let again = stdout(&import(&db, &[&folder.path().join("fe.audit.log")]));
    assert!(again.contains("logins:   0 new, 0 merged, 3 unchanged"), "{again}");
}

#[test]
fn a_failed_load_counts_as_failed_everywhere() {
    let load = |label: &str, values: &[(&str, &str)]| {
        stream_load_record("2024-01-02 11:15:51,600", &[&[("Label", label)], values].concat())
    };
    let log = [
        load("fine", &[]),
        load("late", &[("Status", "Publish Timeout")]),
        load(
            "broken",
            &[
                ("Status", "Fail"),
                ("Message", "[DATA_QUALITY_ERROR]too many filtered rows"),
                ("LoadedRows", "0"),
                ("FilteredRows", "10"),
            ],
        ),
    ];
    let (_folder, db) = history(&log.concat());
    let is_failed = "SELECT count(*) FROM query JOIN load_history USING (query_id)
        WHERE query.is_failed AND label = 'broken'";
    assert_eq!(number(&db, is_failed), 1);
    assert_eq!(number(&db, "SELECT count(*) FROM query WHERE is_failed"), 1);
    assert_eq!(number(&db, "SELECT errors FROM daily_load WHERE loads = 3"), 1);
    assert_eq!(number(&db, "SELECT count(*) FROM failed_queries WHERE state = 'Fail'"), 1);
    assert_eq!(number(&db, "SELECT errors FROM user_load WHERE \"user\" = 'root'"), 1);
    let server = Server::start(&db, &[]);
    let failed = |label: &str| {
        let loads = server.envelope("/api/v1/queries?type=load")["data"].clone();
        let loads = loads.as_array().unwrap();
        loads.iter().find(|load| load["load"]["label"] == label).unwrap()["is_failed"].clone()
    };
    assert_eq!([failed("fine"), failed("late"), failed("broken")], [false, false, true]);
    let timeline = server.envelope("/api/v1/timeline?buckets=1")["data"].clone();
    assert_eq!((&timeline[0]["count"], &timeline[0]["errors"]), (&json!(3), &json!(1)));
    // Only the state of this load has the colour of a failure.
    let page = String::from_utf8(server.get("/?from=2024-01-01").2).unwrap();
    assert_eq!(page.matches("class=\"state failed\"").count(), 1, "{page}");
    let (_, row) = page.split_once("class=\"state failed\"").unwrap();
    assert!(row.split("</td>").next().unwrap().contains("Fail"), "{row}");
    // FAILED and CANCELLED are failures, FINISHED and EOF are not.
    for (number, state) in ["FINISHED", "FAILED", "CANCELLED", "EOF"].iter().enumerate() {
        let run = json!({
            "query_id": format!("c-{number}"), "time": "2024-01-02 12:00:00", "state": state,
            "query_time": 5, "stmt": format!("insert into t select {number} from s"),
        });
        let (status, answer, _) =
            server.send("POST", "/api/v1/queries", &[], run.to_string().as_bytes());
        assert_eq!(status, 200, "{answer}");
    }
    let statements = server.envelope("/api/v1/statements")["data"].clone();
    assert_eq!((&statements[0]["count"], &statements[0]["errors"]), (&json!(4), &json!(2)));
    assert_eq!(number(&db, "SELECT errors FROM top_statements"), 2);
}

#[test]
fn a_sum_that_no_run_reported_is_unknown() {
    // The two lines of each user are of versions that report neither, one, or both of the queue and the CPU time.
    let run = |id: &str, user: &str, costs: &[(&str, Value)]| {
        let mut run = json!({
            "query_id": id, "time": "2024-01-02 11:15:51", "state": "EOF", "query_time": 5, "user": user,
            "stmt": format!("select {user} from t where a = {}", id.len()),
        });
        costs.iter().for_each(|(name, value)| run[*name] = value.clone());
        run.to_string()
    };
    let runs = [
        run("1-1", "none", &[]),
        run("1-2", "none", &[("cpu_time_ms", json!(-1))]),
        run("2-1", "some", &[("cpu_time_ms", json!(7)), ("scan_bytes", json!(0))]),
        run("2-2", "some", &[]),
    ];
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    for run in &runs {
        assert_eq!(server.send("POST", "/api/v1/queries", &[], run.as_bytes()).0, 200);
    }
    let range = "from=2024-01-02&to=2024-01-03";
    let statements = server.envelope(&format!("/api/v1/statements?{range}&order=cpu_time_ms"));
    let statements = &statements["data"];
    let sums = |one: &Value| {
        ["cpu_time_ms", "scan_bytes", "queue_time_ms", "planning_time_ms", "total_ms"]
            .map(|name| one[name].clone())
    };
    // The largest is first, and the unknown one last.
    let null = Value::Null;
    assert_eq!(sums(&statements[0]), [json!(7), json!(0), null.clone(), null.clone(), json!(10)]);
    let unknown = [null.clone(), null.clone(), null.clone(), null.clone(), json!(10)];
    assert_eq!(sums(&statements[1]), unknown);
    let usage =
        server.envelope(&format!("/api/v1/usage?{range}&order=cpu_time_ms"))["data"].clone();
    let costs = |row: &Value| [row["now"]["cpu_time_ms"].clone(), row["now"]["scan_bytes"].clone()];
    let users = &usage["users"]["rows"];
    assert_eq!((&users[0]["name"], costs(&users[0])), (&json!("some"), [json!(7), json!(0)]));
    assert_eq!(costs(&users[1]), [null.clone(), null.clone()]);
    // Nothing ran the day before, which cost nothing.
    assert_eq!(users[0]["before"]["cpu_time_ms"], 0);
    let text = |path: &str| String::from_utf8(server.get(path).2).unwrap();
    let page = text(&format!("/statements?{range}&order=queue_time_ms"));
    assert_eq!(page.matches("data-label=\"Queue\">–<").count(), 2, "{page}");
    let page = text(&format!("/usage?{range}"));
    assert!(
        page.contains("data-label=\"CPU time\">–") && page.contains("data-label=\"Scanned\">0 B")
    );
    drop(server);
    let top = |arguments: &[&str]| {
        let mut top = annals();
        let top =
            top.args(["top", "--by", "user", "--sort", "cpu-time-ms", "--from", "2024-01-02"]);
        let output = top.args(arguments).args(["--time-zone", "UTC"]).db(&db).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let printed = top(&[]);
    let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split('\t').collect()).collect();
    let column = lines[0].iter().position(|name| *name == "cpu_time_ms").unwrap();
    assert_eq!((lines[1][column], lines[2][column]), ("7", ""), "{printed}");
    let rows: Value = serde_json::from_str(&top(&["--json"])).unwrap();
    assert_eq!((&rows[1]["name"], &rows[1]["cpu_time_ms"]), (&json!("none"), &Value::Null));
}
