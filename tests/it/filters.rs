//! Filters with several values and with exclusions, compared with a count by hand.

use std::path::Path;

use crate::support::{self, Server, WithDb, annals, stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

const START_MS: i64 = 1_764_000_000_000;

/// The texts that queries of [`queries`] have. The last is a query without one.
const TEXTS: [(&str, &str, &[Option<&str>]); 12] = [
    ("user", "user", &[Some("alice"), Some("bob"), Some("etl"), Some("a&b=c"), None]),
    ("db", "db", &[Some("shop"), Some("lake"), Some("数据"), None]),
    ("state", "state", &[Some("EOF"), Some("ERR"), Some("RUNNING"), None]),
    (
        "client",
        "client_ip",
        &[
            Some("10.0.0.9:40010"),
            Some("10.0.0.9:40011"),
            Some("10.0.0.90:1"),
            Some("[::1]:7"),
            None,
        ],
    ),
    ("frontend", "frontend_ip", &[Some("10.1.0.1"), Some("10.1.0.2"), None]),
    ("workload_group", "workload_group", &[Some("normal"), Some("etl"), None]),
    ("session_id", "session_id", &[Some("17"), Some("170"), None]),
    ("compute_group", "compute_group", &[Some("day"), Some("night"), None]),
    ("cluster", "cluster", &[Some("prod"), Some("test"), None]),
    ("catalog", "catalog", &[Some("internal"), Some("hive"), None]),
    ("statement_type", "stmt_type", &[Some("SELECT"), Some("INSERT"), None]),
    (
        "table",
        "queried_tables",
        &[
            Some("[\"internal.shop.orders\"]"),
            Some("[\"internal.shop.items\",\"internal.lake.orders\"]"),
            Some("[]"),
            None,
        ],
    ),
];

fn queries() -> Vec<Value> {
    let query = |number: usize| {
        let mut query = json!({
            "query_id": format!("f-{number}"), "started_ms": START_MS + number as i64,
            "duration_ms": number % 50, "stmt": format!("select {number} from t"),
        });
        for (step, (_, field, texts)) in (1..).zip(TEXTS) {
            if let Some(text) = texts[number * 7919 / step % texts.len()] {
                query[field] = json!(text);
            }
        }
        query
    };
    (0..400).map(query).collect()
}

fn history() -> (TempDir, std::path::PathBuf, Vec<Value>) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let queries = queries();
    let server = Server::start(&db, &[]);
    let lines: String = queries.iter().map(|query| format!("{query}\n")).collect();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], lines.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(queries.len())), "{answer}");
    drop(server);
    (folder, db, queries)
}

/// Returns whether a query has one of some values, as a person reads them.
fn has(query: &Value, parameter: &str, values: &[&str]) -> bool {
    let (_, field, _) = TEXTS.iter().find(|(name, ..)| *name == parameter).unwrap();
    let Some(text) = query[field].as_str() else { return false };
    values.iter().any(|value| match parameter {
        "state" => text.eq_ignore_ascii_case(value),
        "client" => text == *value || text.rsplit_once(':').unwrap().0 == *value,
        "table" => {
            let tables: Vec<String> = serde_json::from_str(text).unwrap();
            tables.iter().any(|table| table == value || table.ends_with(&format!(".{value}")))
        }
        _ => text == *value,
    })
}

fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Values of a parameter to choose among.
fn values(parameter: &str) -> Vec<&'static str> {
    match parameter {
        "client" => vec!["10.0.0.9", "10.0.0.9:40010", "[::1]", "10.0.0", "10.0.0.90"],
        "table" => vec!["orders", "shop.orders", "internal.lake.orders", "rders", "items"],
        "state" => vec!["eof", "ERR", "Running", "none"],
        _ => {
            let (.., texts) = TEXTS.iter().find(|(name, ..)| *name == parameter).unwrap();
            texts.iter().flatten().copied().chain(["nobody"]).collect()
        }
    }
}

/// Some conditions: a parameter, whether it excludes, and its values.
type Conditions = Vec<(&'static str, bool, Vec<&'static str>)>;

fn conditions(random: &mut fastrand::Rng) -> Conditions {
    let mut conditions = Vec::new();
    for (parameter, ..) in TEXTS {
        for excludes in [false, true] {
            if random.u8(..5) == 0 {
                let mut some = values(parameter);
                random.shuffle(&mut some);
                some.truncate(random.usize(1..=3));
                conditions.push((parameter, excludes, some));
            }
        }
    }
    conditions
}

fn matches(query: &Value, conditions: &Conditions) -> bool {
    conditions.iter().all(|(name, excludes, values)| has(query, name, values) != *excludes)
}

fn parameters(conditions: &Conditions) -> String {
    let each = conditions.iter().flat_map(|(name, excludes, values)| {
        let not = if *excludes { "not_" } else { "" };
        values.iter().map(move |value| format!("&{not}{name}={}", encoded(value)))
    });
    each.collect()
}

fn expected(queries: &[Value], conditions: &Conditions) -> Vec<String> {
    let chosen = queries.iter().rev().filter(|query| matches(query, conditions));
    chosen.map(|query| query["query_id"].as_str().unwrap().to_string()).collect()
}

fn ids(server: &Server, path: &str) -> Vec<String> {
    let rows = server.envelope(path)["data"].as_array().unwrap().clone();
    rows.iter().map(|row| row["query_id"].as_str().unwrap().to_string()).collect()
}

#[test]
fn several_values_and_exclusions_choose_what_a_person_would() {
    let (_folder, db, queries) = history();
    let server = Server::start(&db, &[]);
    let mut random = fastrand::Rng::with_seed(20);
    let mut found = 0;
    for _ in 0..150 {
        let conditions = conditions(&mut random);
        let expected = expected(&queries, &conditions);
        let parameters = parameters(&conditions);
        let path = format!("/api/v1/queries?limit=1000{parameters}");
        assert_eq!(ids(&server, &path), expected, "{conditions:?}");
        // The chart counts the same queries, and another order has them all.
        let timeline = server.envelope(&format!("/api/v1/timeline?buckets=3{parameters}"));
        let counts = timeline["data"].as_array().unwrap().iter();
        let count: u64 = counts.map(|bucket| bucket["count"].as_u64().unwrap()).sum();
        assert_eq!(count as usize, expected.len(), "{conditions:?}");
        let mut sorted = ids(&server, &format!("{path}&order=duration_ms"));
        sorted.sort_by_key(|id| std::cmp::Reverse(id[2..].parse::<u64>().unwrap()));
        assert_eq!(sorted, expected, "{conditions:?}");
        found += usize::from((1..400).contains(&expected.len()));
    }
    assert!(found > 60, "{found}");
    // What is chosen and what is excluded are together everything, also where a text is unknown.
    for (parameter, ..) in TEXTS {
        for value in values(parameter) {
            let value = encoded(value);
            let path = |name: &str| format!("/api/v1/queries?limit=1000&{name}{parameter}={value}");
            let count = ids(&server, &path("")).len() + ids(&server, &path("not_")).len();
            assert_eq!(count, queries.len(), "{parameter}");
        }
    }
}

#[test]
fn what_is_unknown_is_a_filter() {
    let (_folder, db, queries) = history();
    let server = Server::start(&db, &[]);
    let chosen = |is_chosen: &dyn Fn(&Value) -> bool| -> Vec<String> {
        let chosen = queries.iter().rev().filter(|query| is_chosen(query));
        chosen.map(|query| query["query_id"].as_str().unwrap().to_string()).collect()
    };
    let listing = |filter: &str| ids(&server, &format!("/api/v1/queries?limit=1000&{filter}"));
    // A list of no tables says nothing of tables.
    let is_unknown = |query: &Value, field: &str| query[field].is_null() || query[field] == "[]";
    for (parameter, field, _) in TEXTS {
        let unknown = chosen(&|query| is_unknown(query, field));
        assert!((1..400).contains(&unknown.len()), "{parameter}");
        assert_eq!(listing(&format!("unknown={parameter}")), unknown, "{parameter}");
        assert_eq!(listed(&db, &["--unknown", parameter]), unknown, "{parameter}");
        let value = values(parameter)[0];
        let either = chosen(&|query| is_unknown(query, field) || has(query, parameter, &[value]));
        let filter = format!("unknown={parameter}&{parameter}={}", encoded(value));
        assert_eq!(listing(&filter), either, "{parameter}");
        let timeline = server.envelope(&format!("/api/v1/timeline?buckets=1&{filter}"));
        assert_eq!(timeline["data"][0]["count"], either.len(), "{parameter}");
    }
    let both = chosen(&|query| query["user"].is_null() && query["db"].is_null());
    assert_eq!(listing("unknown=user&unknown=db"), both);
    let page = |path: &str| String::from_utf8(server.get(path).2).unwrap();
    let shown = page(&format!("/?from={START_MS}&unknown=user"));
    assert!(shown.contains("aria-label=\"Remove User unknown\""), "{shown}");
    assert!(shown.contains("type=\"hidden\" name=\"unknown\" value=\"user\""), "{shown}");
    let usage = page(&format!("/usage?from={START_MS}&to={}", START_MS + 1000));
    for name in ["user", "db", "table", "client"] {
        assert!(usage.contains(&format!("unknown={name}\"><span class=\"unknown\">")), "{name}");
    }
    assert_eq!(server.get("/api/v1/queries?unknown=statement").0, 400);
    let wrong = annals().args(["list", "--unknown", "statement"]).db(&db).output().unwrap();
    assert!(stderr(&wrong).contains("statement is none of user, db"), "{}", stderr(&wrong));
}

#[test]
fn failures_and_profiles_are_filters() {
    let (_folder, db, queries) = history();
    let server = Server::start(&db, &[]);
    for id in ["p-1", "p-2"] {
        let path = format!("/api/v1/queries/{id}/profile");
        let profile = support::profile(id, &[]);
        assert_eq!(server.send("PUT", &path, &[], profile.as_bytes()).0, 200);
    }
    let failed = ids(&server, "/api/v1/queries?limit=1000&is_failed=true");
    assert_eq!(failed, expected(&queries, &vec![("state", false, vec!["ERR"])]));
    let others = ids(&server, "/api/v1/queries?limit=1000&is_failed=false");
    assert_eq!(failed.len() + others.len(), queries.len() + 2);
    assert_eq!(ids(&server, "/api/v1/queries?has_profile=true"), ["p-2", "p-1"]);
    assert_eq!(ids(&server, "/api/v1/queries?has_profile=true&order=duration_ms"), ["p-2", "p-1"]);
    assert_eq!(ids(&server, "/api/v1/queries?limit=1000&has_profile=false").len(), 400);
    assert_eq!(listed(&db, &["--has-profile"]), ["p-2", "p-1"]);
    assert_eq!(listed(&db, &["--failed"]), failed);
    assert_eq!(listed(&db, &["--failed", "false"]), others);
}

#[test]
fn a_load_is_found_by_the_table_that_it_writes() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    support::import(&db, &[&support::data("")]);
    let server = Server::start(&db, &[]);
    let loads = ids(&server, "/api/v1/queries?table=orders&type=load");
    assert!(!loads.is_empty());
    let all = ids(&server, "/api/v1/queries?type=load");
    let others = ids(&server, "/api/v1/queries?not_table=orders&type=load");
    assert_eq!(loads.len() + others.len(), all.len());
    assert_eq!(ids(&server, "/api/v1/queries?table=internal.mart.receipts").len(), 2);
}

#[test]
fn each_mistake_is_named() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let many = "&user=a".repeat(101);
    for (parameters, sentence) in [
        ("limit=1&limit=2", "limit must be one value; it is given several times"),
        ("from=2024-08-06&from=2024-08-07", "from must be one value"),
        ("user=", "user is empty"),
        ("user=a&user=", "user is empty"),
        ("user.not=a", "unknown parameter"),
        ("is_failed=yes", "is_failed must be true or false"),
        (&many[1..], "user must be at most 100 values"),
    ] {
        let (status, _, body) = server.get(&format!("/api/v1/queries?{parameters}"));
        let body = String::from_utf8(body).unwrap();
        assert!(status == 400 && body.contains(sentence), "{parameters}: {body}");
    }
    for name in ["table", "not_table", "client", "user"] {
        let most = format!("&{name}=a").repeat(100);
        assert_eq!(server.get(&format!("/api/v1/queries?{}", &most[1..])).0, 200, "{name}");
    }
    // Doris' clients and forms send what they like.
    for path in ["/rest/v1/session?limit=1&limit=2", "/rest/v1/session?user=a&user=&not_db=x"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
}

fn listed(db: &Path, arguments: &[&str]) -> Vec<String> {
    let output = annals()
        .args(["list", "-n", "1000", "--columns", "query_id"])
        .args(arguments)
        .db(db)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().skip(1).map(str::to_string).collect()
}

#[test]
fn the_command_takes_the_same_filters() {
    let (_folder, db, queries) = history();
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..12 {
        let conditions = conditions(&mut random);
        let mut arguments = Vec::new();
        for (name, excludes, values) in &conditions {
            let name = if *name == "db" { "database".into() } else { name.replace('_', "-") };
            let option = format!("--{}{name}", if *excludes { "not-" } else { "" });
            arguments.extend(values.iter().map(|value| format!("{option}={value}")));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(listed(&db, &arguments), expected(&queries, &conditions), "{arguments:?}");
    }
}

#[test]
fn the_description_has_orders_and_filters() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let (_, _, body) = server.get("/api/v1/openapi.json");
    let description: Value = serde_json::from_slice(&body).unwrap();
    let reports = ["statements", "regressions", "usage", "timeline", "findings", "plans"];
    for path in reports.into_iter().chain(["queries"]) {
        let described = &description["paths"][format!("/api/v1/{path}")]["get"]["parameters"];
        let schema = |name: &str| {
            let parameters = described.as_array().unwrap();
            let parameter = parameters.iter().find(|it| it["name"] == name);
            parameter.unwrap_or_else(|| panic!("{path} {name}"))["schema"].clone()
        };
        for (text, ..) in TEXTS {
            for name in [text.to_string(), format!("not_{text}")] {
                let schema = schema(&name);
                assert_eq!((&schema["type"], &schema["maxItems"]), (&json!("array"), &json!(100)));
            }
        }
        for name in ["is_failed", "has_profile", "cache_hit"] {
            assert!(schema(name)["type"].to_string().contains("boolean"), "{path} {name}");
        }
        if path == "queries" {
            assert_eq!(schema("order")["enum"].as_array().unwrap().len(), 16);
        }
    }
}
