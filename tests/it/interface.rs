//! `/api/v1/...`: queries, statements, the timeline and the OpenAPI description.

use crate::support::{Server, data, import, profile_with_finding, wait_for_plans};
use serde_json::{Value, json};
use tempfile::TempDir;

fn sample() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    import(&db, &[&data("")]);
    let server = Server::start(&db, &[]);
    (folder, server)
}

/// Starts a new server, and pushes these rows.
fn pushed(rows: &Value) -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("annals.db"), &[]);
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], rows.to_string().as_bytes());
    assert_eq!(status, 200, "{answer}");
    (folder, server)
}

#[test]
fn a_query_has_its_fields_its_profile_and_its_tree() {
    let (_folder, server) = sample();
    let path = "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9";
    let query = server.envelope(path)["data"].clone();
    for (field, value) in [
        ("kind", json!("query")),
        // The record has no start, so the start of the profile replaces the one derived from the time of the record.
        ("started_ms", json!(1_722_942_950_932_i64)),
        ("started_at", json!("2024-08-06T11:15:50.932Z")),
        ("duration_ms", json!(316)),
        ("client", json!("10.16.10.21:53450")),
        ("trace_id", json!("checkout-7")),
        ("peak_memory_bytes", json!(1_268_776)),
        ("is_nereids", json!(true)),
        ("is_slow", json!(false)),
        ("fingerprint", json!("86492539eca2b5c2")),
        ("has_profile", json!(true)),
        ("load", Value::Null),
    ] {
        assert_eq!(query[field], value, "{field}");
    }
    let (status, content_type, text) = server.get(&format!("{path}/profile"));
    assert_eq!((status, content_type.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(text, std::fs::read(data("profiles/doris-2.1.txt")).unwrap());
    let tree = server.envelope(&format!("{path}/profile/tree"));
    assert!(tree["data"]["children"][0]["name"].is_string(), "{tree}");
    let plan = server.envelope(&format!("{path}/plan"))["data"].clone();
    let scan = plan["nodes"].as_array().unwrap().iter().find(|node| node["id"] == "0").unwrap();
    assert_eq!((&scan["name"], &scan["table"]), (&json!("OLAP_SCAN"), &json!("shop.store_sales5")));
    assert_eq!((&scan["rows"], &scan["expected_rows"]), (&json!(27_667), &json!(27_667)));
    assert_eq!(scan["children"], json!([]));
    assert!(plan["critical_path"].as_array().unwrap().contains(&json!("0")), "{plan}");
    assert_eq!(plan["phases"]["phases"][0]["name"], "parse", "{plan}");
    // The list has the same fields.
    let listed = server.envelope("/api/v1/queries?search=store_sales5&type=query");
    assert!(listed["data"].as_array().unwrap().contains(&query));
    // Loads have additional fields.
    let load = server.envelope("/api/v1/queries?type=load&limit=1000");
    let labels = load["data"].as_array().unwrap().iter().filter(|load| load["load"].is_object());
    assert!(labels.count() >= 2, "{load}");
}

#[test]
fn the_link_header_leads_through_all_pages() {
    let (_folder, server) = sample();
    let all = server.envelope("/api/v1/queries")["count"].as_u64().unwrap();
    let mut next = Some("/api/v1/queries?limit=4".to_string());
    let mut seen = std::collections::HashSet::new();
    while let Some(path) = next {
        let page = server.envelope(&path);
        for query in page["data"].as_array().unwrap() {
            assert!(seen.insert(query["query_id"].as_str().unwrap().to_string()));
        }
        next = server.next_page(&path);
    }
    assert_eq!(seen.len() as u64, all);
}

#[test]
fn statements_of_one_shape_are_counted_together() {
    let mut rows: Vec<Value> = (1..=100)
        .map(|number| {
            json!({
                "query_id": format!("a-{number}"), "time": 1_700_000_000_000_i64 + number * 1000,
                "user": if number % 2 == 0 { "alice" } else { "bob" }, "db": "shop",
                "query_time": number, "scan_rows": 10, "scan_bytes": 100, "cpu_time_ms": 7,
                "peak_memory_bytes": number * 10, "return_rows": 2, "queue_time_ms": 3,
                "plan_time_ms": 4, "parse_time_ms": 1, "spill_write_bytes": 5,
                "error_code": if number > 97 { 1064 } else { 0 },
                "stmt": format!("SELECT * FROM t WHERE a = {number}"),
            })
        })
        .collect();
    rows.push(json!({
        "query_id": "b", "time": 1_700_000_000_000_i64, "query_time": 3, "stmt": "select now()",
    }));
    rows.push(json!({"query_id": "c", "time": 1_700_000_000_000_i64}));
    let (_folder, server) = pushed(&json!(rows));
    let statements = server.envelope("/api/v1/statements")["data"].clone();
    assert_eq!(statements.as_array().unwrap().len(), 2);
    let first = &statements[0];
    assert_eq!(
        *first,
        json!({
            "fingerprint": first["fingerprint"], "normalized": "select * from t where a = ?",
            "count": 100, "errors": 3, "total_ms": 5050, "p50_ms": 49, "p95_ms": 93, "p99_ms": 97,
            "max_ms": 97, "scan_rows": 1000, "scan_bytes": 10_000, "users": 2, "cpu_time_ms": 700,
            "peak_memory_bytes": 1000, "return_rows": 200, "queue_time_ms": 300,
            "planning_time_ms": 500, "spill_write_bytes": 500, "variation": 93.0 / 49.0,
            "first_ms": 1_700_000_001_000_i64, "last_ms": 1_700_000_100_000_i64,
        })
    );
    let fingerprint = first["fingerprint"].as_str().unwrap();
    let count = |path: &str| server.envelope(path)["count"].clone();
    assert_eq!(count(&format!("/api/v1/queries?fingerprint={fingerprint}")), 100);
    assert_eq!(count(&format!("/rest/v1/session?fingerprint={fingerprint}&limit=1000")), 100);
    let alices = server.envelope("/api/v1/statements?user=alice&from=1700000050000");
    assert_eq!(alices["data"][0]["count"], 26);
    assert_eq!(server.envelope("/api/v1/statements?order=p50_ms&limit=1")["count"], 1);
    assert_eq!(server.envelope("/api/v1/statements?search=A+%3D+7")["data"][0]["count"], 11);
    assert_eq!(count("/api/v1/statements?words=now"), 1);
    let timeline = server.envelope("/api/v1/timeline?buckets=1&words=now");
    assert_eq!(timeline["data"][0]["count"], 1);
}

#[test]
fn the_timeline_counts_queries_in_buckets() {
    let rows: Vec<Value> = [0, 10, 10, 35]
        .iter()
        .enumerate()
        .map(|(number, second)| {
            json!({
                "query_id": format!("a-{number}"), "query_time": 5, "scan_bytes": 7,
                "time": 1_700_000_000_000_i64 + second * 1000,
                "state": if number == 3 { "ERR" } else { "EOF" },
            })
        })
        .collect();
    let (_folder, server) = pushed(&json!(rows));
    let path = "/api/v1/timeline?from=1700000000000&to=1700000040000&buckets=4";
    let timeline = server.envelope(path)["data"].clone();
    let column = |field: &str| -> Vec<i64> {
        timeline.as_array().unwrap().iter().map(|bucket| bucket[field].as_i64().unwrap()).collect()
    };
    assert_eq!(column("count"), [1, 2, 0, 1]);
    assert_eq!(column("errors"), [0, 0, 0, 1]);
    assert_eq!(column("total_ms"), [5, 10, 0, 5]);
    assert_eq!(column("scan_bytes"), [7, 14, 0, 7]);
    assert_eq!(column("from_ms")[3], 1_700_000_030_000);
    // Without bounds, the timeline covers all queries.
    let all = server.envelope("/api/v1/timeline?buckets=1000")["data"].clone();
    let counted = all.as_array().unwrap().iter().map(|bucket| bucket["count"].as_i64().unwrap());
    assert_eq!(counted.sum::<i64>(), 4);
    assert_eq!(server.envelope("/api/v1/timeline?from=2030-01-01")["data"], json!([]));
}

#[test]
fn an_empty_history_gives_empty_answers() {
    let (_folder, server) = pushed(&json!([]));
    for path in ["queries", "statements", "timeline"] {
        assert_eq!(server.envelope(&format!("/api/v1/{path}"))["data"], json!([]), "{path}");
    }
}

#[test]
fn a_query_has_the_findings_of_its_profile() {
    let (_folder, server) = sample();
    let path = "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9";
    assert_eq!(server.envelope(&format!("{path}/findings"))["data"], json!({"findings": []}));
    assert_eq!(server.envelope(&format!("{path}/plan"))["data"]["findings"], json!([]));
    let path = "/api/v1/queries/6b1d3f5a7c9e4b20-9a8c7e6d5b4f3a21";
    let profile = profile_with_finding("shop.orders(orders)");
    let (status, answer, _) =
        server.send("PUT", &format!("{path}/profile"), &[], profile.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let findings = server.envelope(&format!("{path}/findings"))["data"]["findings"].clone();
    let finding = &findings[0];
    assert_eq!(findings.as_array().unwrap().len(), 1, "{findings}");
    assert_eq!((&finding["rule"], &finding["nodes"]), (&json!("wrong-estimate"), &json!(["7"])));
    assert_eq!(
        finding["evidence"],
        json!([
            {"name": "rows", "value": 40_000_000.0, "unit": "rows"},
            {"name": "expected rows", "value": 3_000_000.0, "unit": "rows"}
        ])
    );
    assert_eq!(finding["thresholds"][0]["value"], json!(10.0));
    assert_eq!(finding["documentation"]["name"], "enable_auto_analyze");
    let weight = finding["weight"].as_f64().unwrap();
    assert!(weight > 0.1 && weight < 0.3, "{finding}");
    for text in ["means", "try"] {
        assert!(finding[text].as_str().unwrap().ends_with('.'), "{finding}");
    }
    let plan = server.envelope(&format!("{path}/plan"))["data"].clone();
    assert_eq!(plan["findings"], findings);
    for node in plan["nodes"].as_array().unwrap() {
        let expected = if node["id"] == "7" { json!(["wrong-estimate"]) } else { json!([]) };
        assert_eq!(node["findings"], expected, "{node}");
    }
    wait_for_plans(&server);
    let overview = server.envelope("/api/v1/findings");
    let rule = &overview["data"]["rules"][0];
    assert_eq!((&overview["count"], &overview["data"]["runs"]), (&json!(1), &json!(1)));
    assert_eq!((&rule["rule"], &rule["runs"]), (&json!("wrong-estimate"), &json!(1)));
    assert_eq!(rule["statements"][0]["newest_query_id"], "6b1d3f5a7c9e4b20-9a8c7e6d5b4f3a21");
    let normalized = rule["statements"][0]["normalized"].as_str().unwrap();
    assert!(!normalized.is_empty());
    let (status, _, page) = server.get("/findings?from=2020-01-01");
    let page = String::from_utf8(page).unwrap();
    assert!(
        status == 200 && page.contains("wrong-estimate") && page.contains("1 run has"),
        "{page}"
    );
    let early = server.envelope("/api/v1/findings?to=2001-01-01");
    assert_eq!(
        early["data"],
        json!({"rules": [], "runs": 0, "is_cut": false, "unread_profiles": 0})
    );
}

#[test]
fn wrong_requests_are_rejected_with_a_reason() {
    let (_folder, server) = sample();
    for (method, path, status, sentence) in [
        ("GET", "queries?usr=alice", 400, "unknown parameter \"usr\"; did you mean user?"),
        ("GET", "queries?colour=1", 400, "unknown parameter \"colour\"; the parameters are limit,"),
        ("GET", "queries?user=", 400, "user is empty"),
        ("GET", "queries?fingerprint=12", 400, "a fingerprint is 16 hex digits"),
        ("GET", "queries/1-2", 404, "there is no query 1-2"),
        ("GET", "queries/1-2/profile", 404, "there is no query 1-2"),
        ("GET", "queries/1-2/profile/tree", 404, "there is no query 1-2"),
        ("GET", "queries/1-2/plan", 404, "there is no query 1-2"),
        ("GET", "queries/1-2/findings", 404, "there is no query 1-2"),
        ("GET", "queries/1f4e-a2b/profile", 404, "no profile is stored for it"),
        ("GET", "queries/a%20b", 400, "white space"),
        ("GET", "queries/%20a", 400, "white space"),
        ("GET", "status?x=1", 400, "unknown parameter \"x\"; this path has none"),
        ("GET", "statements?order=best", 400, "order must be one of total_ms,"),
        ("GET", "timeline?buckets=0", 400, "from 1 to 1000"),
        ("DELETE", "queries", 405, "this path answers GET, HEAD, POST only"),
        ("DELETE", "queries/1-2/profile", 405, "this path answers GET, HEAD, PUT only"),
        ("DELETE", "statements", 405, "GET"),
    ] {
        let (answered, _, body) = server.request(method, &format!("/api/v1/{path}"));
        let envelope: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answered, status, "{path}: {envelope}");
        assert!(envelope["data"].as_str().unwrap().contains(sentence), "{path}: {envelope}");
    }
}

#[test]
fn the_description_names_every_route() {
    let (_folder, server) = sample();
    let (_, _, body) = server.get("/api/v1/openapi.json");
    let description: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths: Vec<&str> =
        description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(paths.contains(&"/api/v1/queries/{query_id}/profile/tree"), "{paths:?}");
    // Each path answers, and counts under a label of its own in the metrics.
    for path in &paths {
        let (status, _, body) = server.get(&path.replace("{query_id}", "1f4e-a2b"));
        let body = String::from_utf8_lossy(&body);
        assert!(!body.contains("there is nothing at this path"), "{path}: {status} {body}");
    }
    let (_, _, metrics) = server.get("/metrics");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(!metrics.contains("route=\"other\""), "{metrics}");
}
