//! `/rest/v2/manager/query/...` and the health probes.

use crate::support::{self, Server, data};
use serde_json::{Value, json};
use tempfile::TempDir;

const ID: &str = "fbb2582c72884d29-9dd9de3b42b740e9";

fn sample() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let samples = data("");
    let arguments = ["--import", samples.to_str().unwrap(), "--time-zone", "UTC"];
    let server = Server::start(&folder.path().join("annals.db"), &arguments);
    (folder, server)
}

fn answer(server: &Server, path: &str) -> Value {
    let envelope = server.envelope(&format!("/rest/v2/manager/query/{path}"));
    assert_eq!((&envelope["code"], &envelope["count"]), (&json!(0), &json!(0)), "{path}");
    envelope["data"].clone()
}

#[test]
fn query_info_lists_queries_under_the_titles_of_doris() {
    let (_folder, server) = sample();
    let table = answer(&server, "query_info?is_all_node=false");
    let titles = json!([
        "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间", "结束时间",
        "执行时长", "状态"
    ]);
    assert_eq!((&table["columnNames"], &table["column_names"]), (&titles, &titles));
    let all = server.envelope("/rest/v1/query_profile");
    let is_query = |row: &&Value| row["Task Type"] == "QUERY";
    let queries = all["data"]["rows"].as_array().unwrap().iter().filter(is_query).count();
    assert_eq!(table["rows"].as_array().unwrap().len(), queries);
    assert!(queries < all["count"].as_u64().unwrap() as usize);
    let row = json!([[
        ID, "10.16.10.6", "root", "shop", "select count(*) from store_sales5", "Query",
        "2024-08-06 11:15:50", "2024-08-06 11:15:51", "316ms", "EOF"
    ]]);
    assert_eq!(answer(&server, &format!("query_info?query_id={ID}"))["rows"], row);
    assert_eq!(answer(&server, "query_info?query_id=1-1")["rows"], json!([]));
    // A load is no query.
    assert_eq!(answer(&server, "query_info?query_id=10238")["rows"], json!([]));
}

#[test]
fn a_search_covers_every_field_and_is_case_sensitive() {
    let (_folder, server) = sample();
    let found = |search: &str| {
        let table = answer(&server, &format!("query_info?search={search}"));
        let rows = table["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| row[0].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    for search in
        ["fbb2582c", "11:15:50", "316ms", "2024-08-06%2011:15:5", "store_sales5", "6.10.6"]
    {
        assert!(found(search).contains(&ID.to_string()), "{search}");
    }
    for search in ["FBB2582C", "316MS", "STORE_SALES5", "Root", "nowhere", "11:15:50.9"] {
        assert!(!found(search).contains(&ID.to_string()), "{search}");
    }
    assert_eq!(found("nowhere"), [""; 0]);
    // A page starts after the end of the page before.
    let all = found("2024");
    assert!(all.len() > 3);
    let mut paged = Vec::new();
    let mut next = Some("/rest/v2/manager/query/query_info?search=2024&limit=2".to_string());
    while let Some(path) = next {
        let page = server.envelope(&path);
        let rows = page["data"]["rows"].as_array().unwrap().clone();
        paged.extend(rows.iter().map(|row| row[0].as_str().unwrap().to_string()));
        next = server.next_page(&path);
    }
    assert_eq!(paged, all);
}

#[test]
fn a_query_is_read_by_its_id() {
    let (_folder, server) = sample();
    assert_eq!(
        answer(&server, &format!("sql/{ID}")),
        json!({"sql": "select count(*) from store_sales5"})
    );
    let text = std::fs::read_to_string(data("profiles/doris-2.1.txt")).unwrap();
    assert_eq!(answer(&server, &format!("profile/text/{ID}")), json!({ "profile": text }));
    let json = answer(&server, &format!("profile/json/{ID}"));
    let tree: Value = serde_json::from_str(json["profile"].as_str().unwrap()).unwrap();
    let mut open = vec![&tree];
    let mut nodes = Vec::new();
    while let Some(node) = open.pop() {
        assert_eq!(node.as_object().unwrap().len(), 4, "{node}");
        assert!(node["rowsReturned"].is_u64() && node["totalTime"].is_string(), "{node}");
        open.extend(node["children"].as_array().unwrap());
        nodes.push(node);
    }
    let scan = nodes.iter().find(|node| node["name"].as_str().unwrap().starts_with("OLAP_SCAN"));
    assert!(scan.unwrap()["rowsReturned"].as_u64().unwrap() > 0, "{tree}");
    assert!(nodes.iter().any(|node| node["name"] == "Fragment 1"));
    assert_eq!(
        answer(&server, &format!("profile/fragments/{ID}")),
        json!([
            {"fragment_id": "0", "time": "361.417us", "instance_id": {}},
            {"fragment_id": "1", "time": "36.169ms", "instance_id": {}}
        ])
    );
    let old = "e5a1b5f6c0d14b6a-8d0f9b1f6c7e2a34";
    let fragments = answer(&server, &format!("profile/fragments/{old}"));
    assert_eq!(
        fragments[0]["instance_id"]["e5a1b5f6c0d14b6a-8d0f9b1f6c7e2a36"],
        json!({"host": "10.16.10.9:9060", "active_time": "12.482ms"})
    );
    let graph = answer(&server, &format!("profile/graph/{ID}"));
    assert!(
        graph["graph"].as_str().unwrap().contains("│  ├─ RESULT_SINK_OPERATOR (id=0)  61.293us\n")
    );
    for path in ["trace_id/checkout-7", "trace_id/checkout-7/?is_all_node=false"] {
        assert_eq!(answer(&server, path), ID);
    }
    let cost = answer(&server, "statistics/checkout-7");
    assert_eq!(cost["maxPeakMemoryBytes"], 1_268_776);
    assert_eq!((cost.as_object().unwrap().len(), &cost["currentUsedMemoryBytes"]), (12, &json!(0)));
}

#[test]
fn unknown_queries_and_actions_are_rejected() {
    let (_folder, server) = sample();
    for path in ["sql/1-1", "profile/text/1-1", "profile/json/1-1", "profile/text/1f4e-a2b"] {
        assert_eq!(answer(&server, path), json!({}), "{path}");
    }
    for (method, path, status, code, sentence) in [
        ("GET", "query/profile/graph/1-1", 200, 1, "ID 1-1 does not exist"),
        ("GET", "query/profile/fragments/1f4e-a2b", 200, 1, "no profile"),
        ("GET", "query/trace_id/none", 200, 403, "no query has the trace id none"),
        ("GET", "query/statistics/none", 200, 403, "no query has the trace id none"),
        ("GET", "query/profile/xyz/1f4e-a2b", 200, 403, "Invalid profile format: xyz"),
        ("GET", "query/sql/a%20b", 400, 403, "white space"),
        ("GET", "query/query_info?query_id=a%20b", 400, 403, "white space"),
        ("POST", "query/kill/1f4e-a2b", 200, 1, "cannot act on the cluster"),
        ("POST", "query/query_info", 405, 403, "GET"),
        ("GET", "query/other", 404, 404, "nothing at this path"),
    ] {
        let (answered, _, body) = server.request(method, &format!("/rest/v2/manager/{path}"));
        let envelope: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((answered, &envelope["code"]), (status, &json!(code)), "{path}");
        assert!(envelope["data"].as_str().unwrap().contains(sentence), "{path}: {envelope}");
    }
}

#[test]
fn there_are_no_row_estimates() {
    let (_folder, server) = sample();
    let none = server.envelope(&format!("/rest/v2/manager/query/qerror/{ID}"));
    assert_eq!(none, json!({"msg": "Not Found", "code": 404, "data": null, "count": 0}));
}

#[test]
fn running_queries_and_health_probes_are_answered() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    let running = support::audit_records(0..3).replacen("State=EOF", "State=RUNNING", 1);
    std::fs::write(&log, running).unwrap();
    assert!(support::import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    let table = answer(&server, "current_queries");
    assert_eq!(
        table["columnNames"],
        json!([
            "Frontend", "QueryId", "ConnectionId", "Catalog", "Database", "User", "ExecTime",
            "SqlHash", "Statement"
        ])
    );
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0][0], &rows[0][8]), (&json!("10.0.0.2"), &json!("select 0")));
    assert_eq!((&rows[0][3], &rows[0][4]), (&json!("internal"), &json!("test")));
    assert!(rows[0][6].as_str().unwrap().parse::<i64>().unwrap() > 0);
    for probe in ["/api/bootstrap", "/api/health"] {
        assert_eq!(server.envelope(probe)["code"], 0);
    }
    let bootstrap = server.envelope("/api/bootstrap")["data"].clone();
    assert_eq!((&bootstrap["version"], bootstrap.as_object().unwrap().len()), (&json!(""), 5));
    let bootstrap = server.envelope("/api/bootstrap?cluster_id=1&token=t")["data"].clone();
    assert!(bootstrap["version"].as_str().unwrap().starts_with("annals-"));
}
