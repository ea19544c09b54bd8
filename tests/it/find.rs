//! The box that finds: each name of a query or a statement, alone and among others, in pages, interface and command.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pages::{page, send};
use crate::support::{Server, WithDb, add_user, annals, stderr, stdout};

const START_MS: i64 = 1_764_000_000_000;
const ONE: &str = "f00dfeed00000001-000000000000000a";
const OTHER: &str = "f00dfeed00000002-000000000000000b";
const BOBS: &str = "abcdef0123456789-1";
/// A query of an hour later, without trace and session.
const LATE: &str = "1234567890abcdef-2";

/// Returns a history of two runs of one statement by alice, in one trace and one session, and of a query of bob.
fn history() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    let rows = [
        json!({"query_id": ONE, "user": "alice", "trace_id": "checkout 7", "session_id": "4711",
            "started_ms": START_MS, "duration_ms": 5, "stmt": "select a from orders where id = 1"}),
        json!({"query_id": OTHER, "user": "alice", "trace_id": "checkout 7", "session_id": "4711",
            "started_ms": START_MS + 1000, "duration_ms": 7, "stmt": "select a from orders where id = 2"}),
        json!({"query_id": BOBS, "user": "bob", "trace_id": "trace-of-bob", "session_id": "4712",
            "started_ms": START_MS + 2000, "duration_ms": 9, "stmt": "select secret from vault"}),
        json!({"query_id": LATE, "user": "alice", "started_ms": START_MS + 3_600_000,
            "duration_ms": 9, "stmt": "select '<script>' from vault"}),
    ];
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], lines.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(4)), "{answer}");
    drop(server);
    (folder, db)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns where the box leads.
fn leads_to(server: &Server, text: &str, more: &str) -> String {
    let path = format!("/find?q={}{more}", encoded(text));
    let answer = send(server, "GET", &path, &[], "");
    assert_eq!(answer.status, 303, "{text}: {}", answer.body);
    answer.header("location").to_string()
}

/// Returns the kinds of what the interface finds, each with its ids.
fn kinds(server: &Server, text: &str) -> Vec<(String, Vec<String>)> {
    let answer = server.envelope(&format!("/api/v1/find?q={}", encoded(text)));
    let ids = |one: &Value| {
        let queries = one["queries"].as_array().unwrap();
        queries.iter().map(|it| it["query_id"].as_str().unwrap().to_string()).collect()
    };
    let matches = answer["data"].as_array().unwrap();
    matches.iter().map(|one| (one["kind"].as_str().unwrap().to_string(), ids(one))).collect()
}

fn one(kind: &str, ids: &[&str]) -> Vec<(String, Vec<String>)> {
    vec![(kind.to_string(), ids.iter().map(ToString::to_string).collect())]
}

fn fingerprint(server: &Server, id: &str) -> String {
    let query = server.envelope(&format!("/api/v1/queries/{id}"))["data"].clone();
    query["fingerprint"].as_str().unwrap().to_string()
}

#[test]
fn the_pages_of_a_query_know_the_start_of_its_id() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    std::fs::write(&log, crate::support::audit_records(0..3)).unwrap();
    assert!(crate::support::import(&db, &[&log]).status.success());
    let id = crate::support::texts(&db, "SELECT query_id FROM query ORDER BY query_id").remove(1);
    let server = Server::start(&db, &[]);
    for page in ["query_profile", "usage"] {
        let shown = |id: &str| server.get(&format!("/{page}/{id}"));
        let (whole, start) = (shown(&id), shown(&id[..10]));
        assert_eq!((whole.0, start.0), (200, 200), "{page}");
        assert_eq!(whole.2, start.2, "{page}");
        // Too short a start says too little, and another one nothing.
        for (id, sentence) in [
            (&id[..5], "the start of an ID needs at least 6 characters"),
            ("ffffffffff", "no query ID starts with ffffffffff"),
        ] {
            let (status, _, body) = shown(id);
            let body = String::from_utf8(body).unwrap();
            assert!(status == 404 && body.contains(sentence), "{page} {id}: {body}");
        }
    }
    let (status, _, body) = server.get(&format!("/api/v1/queries/{}", &id[..5]));
    let body = String::from_utf8(body).unwrap();
    let sentence = "takes a whole query ID, and /api/v1/find its first 6 characters or more";
    assert!(status == 404 && body.contains(sentence), "{body}");
    let nothing = find(&db, &[&id[..5]]);
    let sentence = "the start of a query id needs at least 6 characters";
    assert!(stderr(&nothing).contains(sentence), "{}", stderr(&nothing));
}

#[test]
fn an_id_in_capitals_finds_its_query() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let (id, start) = (ONE.to_uppercase(), ONE[..16].to_uppercase());
    for path in [
        format!("/query_profile/{id}"),
        format!("/query_profile/{start}"),
        format!("/usage/{id}"),
        format!("/api/v1/queries/{id}"),
        format!("/rest/v2/manager/query/sql/{id}"),
        format!("/rest/v2/manager/query/query_info?query_id={id}"),
    ] {
        let (status, _, body) = server.get(&path);
        let body = String::from_utf8(body).unwrap();
        let is_found = body.contains(ONE) || body.contains("from orders where id = 1");
        assert!(status == 200 && is_found, "{path}: {body}");
    }
    assert_eq!(leads_to(&server, &id, ""), format!("/query_profile/{ONE}"));
    for text in [&id, &start] {
        let shown = annals().args(["show", text]).db(&db).output().unwrap();
        assert!(stdout(&shown).contains(ONE), "{}", stderr(&shown));
    }
    // The exact id comes first.
    let row = json!({"query_id": id, "user": "alice", "started_ms": START_MS, "stmt": "select 2"});
    let (status, ..) = server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
    assert_eq!(status, 200);
    for id in [ONE, &id] {
        assert_eq!(server.envelope(&format!("/api/v1/queries/{id}"))["data"]["query_id"], id);
    }
}

#[test]
fn each_name_leads_to_the_one_thing_that_it_means() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let of_one = format!("/query_profile/{ONE}");
    for text in [
        ONE.to_string(),
        format!("  {ONE}\t"),
        format!("'{ONE}'"),
        format!("\"{ONE}\","),
        format!("“{ONE}”"),
        ONE[..16].to_string(),
    ] {
        assert_eq!(leads_to(&server, &text, ""), of_one, "{text}");
        assert_eq!(kinds(&server, &text), one("query_id", &[ONE]), "{text}");
    }
    assert_eq!(leads_to(&server, "trace-of-bob", ""), format!("/query_profile/{BOBS}"));
    assert_eq!(kinds(&server, "trace-of-bob"), one("trace_id", &[BOBS]));
    assert_eq!(leads_to(&server, "4712", ""), format!("/query_profile/{BOBS}"));
    assert_eq!(kinds(&server, "4712"), one("session_id", &[BOBS]));
    let fingerprint = fingerprint(&server, ONE);
    let bits = u64::from_str_radix(&fingerprint, 16).unwrap();
    for text in [fingerprint.clone(), bits.to_string(), bits.cast_signed().to_string()] {
        assert_eq!(leads_to(&server, &text, ""), format!("/statements/{fingerprint}"), "{text}");
        assert_eq!(kinds(&server, &text), one("statement", &[OTHER, ONE]), "{text}");
    }
    // It means nothing else, whatever else has this name.
    let row = json!({"query_id": format!("{fingerprint}-3"), "trace_id": fingerprint,
        "started_ms": START_MS, "duration_ms": 5, "stmt": "select b from stock"});
    let (status, ..) = server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
    assert_eq!((status, kinds(&server, &fingerprint)), (200, one("statement", &[OTHER, ONE])));
    // The range goes with it, unless the statement has no page in the range.
    let range = |from: i64| format!("&from={from}");
    let kept = leads_to(&server, &fingerprint, &range(START_MS + 500));
    assert_eq!(kept, format!("/statements/{fingerprint}?from={}", START_MS + 500));
    let dropped = leads_to(&server, &fingerprint, &range(START_MS + 5000));
    assert_eq!(dropped, format!("/statements/{fingerprint}"));
    assert_eq!(
        leads_to(&server, ONE, &range(START_MS + 500)),
        format!("{of_one}?from={}", START_MS + 500)
    );
}

#[test]
fn a_load_is_found_by_its_label_or_the_start_of_it() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let load = |label: &str, second: u32| {
        let start = format!("2024-01-02 11:15:5{second}.100");
        let fields = [("Label", label), ("Table", "orders"), ("StartTime", &start)];
        crate::support::stream_load_record("2024-01-02 11:15:59,100", &fields)
    };
    let query = crate::support::audit_record(
        "2024-01-02 11:15:51,000",
        &[("QueryId", "1-1"), ("Stmt", "select a from orders_2024 where x%_ = 1")],
    );
    let records = [load("orders_2024", 1), load("orders_2024_b", 2), load("Clicks%x", 3), query];
    std::fs::write(&log, records.concat()).unwrap();
    assert!(crate::support::import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    let loads = server.envelope("/api/v1/queries?type=load")["data"].clone();
    let id = |label: &str| {
        let mut loads = loads.as_array().unwrap().iter();
        loads.find(|load| load["load"]["label"] == label).unwrap()["query_id"].as_str().unwrap()
    };
    assert_eq!(
        leads_to(&server, "orders_2024_b", ""),
        format!("/query_profile/{}", id("orders_2024_b"))
    );
    assert_eq!(leads_to(&server, "Clicks%", ""), format!("/query_profile/{}", id("Clicks%x")));
    // A whole label is one, whatever begins so besides; the start of one may be a word of a statement, too.
    let both = [id("orders_2024_b"), id("orders_2024")];
    // Before labels that only begin so.
    let whole_first = [id("orders_2024"), id("orders_2024_b")];
    assert_eq!(kinds(&server, "orders_2024"), one("label", &whole_first));
    let printed = stdout(&annals().args(["find", "orders_2024"]).db(&db).output().unwrap());
    for found in [page(&server, "/find?q=orders_2024"), printed] {
        let at = whole_first.map(|id| found.find(id).unwrap());
        assert!(at[0] < at[1], "{found}");
    }
    let mut also = one("label", &both);
    also.extend(one("text", &["1-1"]));
    assert_eq!(kinds(&server, "orders_20"), also);
    let shown = page(&server, "/find?q=orders_20");
    assert!(
        shown.contains(">Loads whose labels begin so<")
            && shown.contains(">Statements that contain")
    );
    for text in ["or", "clicks", "x%", "Clicks_", "rders_2024"] {
        assert!(kinds(&server, text).iter().all(|(kind, _)| kind != "label"), "{text}");
    }
    let found = annals().args(["find", "orders_2024"]).db(&db).output().unwrap();
    assert!(stdout(&found).starts_with("loads whose labels begin so:\n"), "{}", stdout(&found));
}

#[test]
fn a_name_of_several_things_leads_to_a_page_of_them() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let body = page(&server, "/find?q=f00dfeed");
    for expected in ["Query IDs that begin so", ONE, OTHER, "/?search=f00dfeed", "form=\"compare\""]
    {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    assert!(!body.contains(BOBS), "{body}");
    assert_eq!(kinds(&server, "f00dfeed"), one("query_id", &[OTHER, ONE]));
    let body = page(&server, "/find?q=checkout+7");
    assert!(body.contains("Queries of this trace") && body.contains(OTHER), "{body}");
    assert_eq!(kinds(&server, " checkout 7"), one("trace_id", &[OTHER, ONE]));
    // Several queries of a session are a list of the history.
    assert_eq!(leads_to(&server, "4711", "&from=1d"), "/?session%5Fid=4711");
    let body = page(&server, "/?session_id=4711");
    assert!(body.contains(ONE) && body.contains(OTHER) && !body.contains(BOBS), "{body}");
    // A whole statement is a run of its statement, and a text of statements.
    let statement = "select a from orders where id = 1";
    let found = kinds(&server, statement);
    assert_eq!(found[0], one("statement", &[OTHER, ONE])[0]);
    assert_eq!(found[1..], one("text", &[ONE]));
    let path = format!("/find?q={}", encoded(statement));
    let body = page(&server, &path);
    let fingerprint = fingerprint(&server, ONE);
    for expected in ["Statements that contain this text", &format!("/statements/{fingerprint}")] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
}

#[test]
fn the_start_of_a_fingerprint_leads_to_its_statement() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let fingerprint = fingerprint(&server, ONE);
    let path = format!("/statements/{fingerprint}");
    for start in [&fingerprint[..4], &fingerprint[..15], &format!("0x{}", &fingerprint[..8])] {
        assert_eq!(leads_to(&server, start, ""), path, "{start}");
        assert_eq!(kinds(&server, start), one("statement", &[OTHER, ONE]), "{start}");
    }
    assert_eq!(kinds(&server, &fingerprint[..3]), []);
    // A text with brackets is looked for as it is.
    assert_eq!(leads_to(&server, "<script>", ""), "/?search=%3Cscript%3E");
    assert_eq!(kinds(&server, "<vault>"), []);
}

#[test]
fn any_other_text_is_looked_for_in_statements() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let address = leads_to(&server, "FROM vault", &format!("&from={}", START_MS + 10_000));
    assert_eq!(address, format!("/?from={}&search=FROM%20vault", START_MS + 10_000));
    assert_eq!(kinds(&server, "FROM vault"), one("text", &[LATE, BOBS]));
    let path = format!("/api/v1/find?q=from+vault&to={}", START_MS + 10_000);
    let queries = server.envelope(&path)["data"][0]["queries"].clone();
    assert_eq!(queries.as_array().unwrap().len(), 1, "{queries}");
    // Nothing is found: the page says so, and escapes the text.
    let body = page(&server, "/find?q=%3Cscript%3Ealert&from=1d");
    assert!(body.contains("No query, trace, session, load or statement has this name"), "{body}");
    assert!(body.contains("&lt;script&gt;alert") && !body.contains("<script>alert"), "{body}");
    assert!(body.contains("Search all statements"), "{body}");
    assert_eq!(kinds(&server, "no such thing"), []);
    assert!(page(&server, "/find").contains("a trace ID"));
    for (query, sentence) in [
        ("", "q is missing"),
        ("?q=%20%27%27", "q: there is no text to find"),
        ("?q=1&limit=5", "unknown parameter"),
        (&format!("?q={}", "x".repeat(4001)), "at most 4000 characters"),
    ] {
        let (status, _, body) = server.get(&format!("/api/v1/find{query}"));
        let body = String::from_utf8(body).unwrap();
        assert!(status == 400 && body.contains(sentence), "{status} {body}");
    }
}

#[test]
fn the_box_is_on_every_page_and_keeps_the_range_and_the_filters() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let query = format!("/query_profile/{ONE}");
    for path in ["/", "/statements", "/status", "/compare", "/find", "/plans", &query] {
        let body = page(&server, &format!("{path}?from=3650d&not_user=nobody&search=a"));
        assert_eq!(body.matches("action=\"/find\"").count(), 1, "{path}: {body}");
        let (_, form) = body.split_once("action=\"/find\"").unwrap();
        let (form, _) = form.split_once("</form>").unwrap();
        for kept in ["name=\"from\" value=\"3650d\"", "name=\"not_user\" value=\"nobody\""] {
            assert!(form.contains(&format!("type=\"hidden\" {kept}")), "{path}: {form}");
        }
        // The text takes the place of another one.
        assert!(!form.contains("name=\"search\""), "{path}: {form}");
    }
}

#[test]
fn what_is_found_keeps_the_filters() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let of_alice = "&user=alice";
    assert_eq!(
        leads_to(&server, "from vault", of_alice),
        "/?search=from%20vault&user=alice".to_string()
    );
    assert_eq!(leads_to(&server, ONE, of_alice), format!("/query_profile/{ONE}?user=alice"));
    let fingerprint = fingerprint(&server, ONE);
    let path = format!("/statements/{fingerprint}");
    assert_eq!(leads_to(&server, &fingerprint, of_alice), format!("{path}?user=alice"));
    // Bob has no run of it.
    assert_eq!(leads_to(&server, &fingerprint, "&user=bob"), path);
    // Statements are searched among the queries of the filters, and every link of the page keeps these.
    let body = page(&server, "/find?q=secret+from+vault&user=alice");
    assert!(body.contains("aria-label=\"Remove User alice\""), "{body}");
    assert!(!body.contains("Statements that contain this text"), "{body}");
    let body = page(&server, "/find?q=f00dfeed&user=alice");
    assert!(body.contains(&format!("/query_profile/{ONE}?user=alice")), "{body}");
    // So does the link of a trace.
    let body = page(&server, &format!("/query_profile/{ONE}?user=alice"));
    assert!(body.contains("/find?q=checkout%207&amp;user=alice"), "{body}");
}

#[test]
fn nobody_finds_what_only_others_may_see() {
    let (_folder, db) = history();
    let fingerprint = {
        let server = Server::start(&db, &[]);
        fingerprint(&server, BOBS)
    };
    add_user(&db, "alice", "user");
    let server = Server::start(&db, &[]);
    let alice = [("authorization", "Basic YWxpY2U6cGFzcy13b3JkLW9mLWFsaWNl")];
    let statement = "select secret from vault";
    for text in [BOBS, "abcdef0", "trace-of-bob", "4712", &fingerprint, statement, "secret"] {
        let path = format!("/api/v1/find?q={}", encoded(text));
        let answer = send(&server, "GET", &path, &alice, "");
        let found: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &found["data"]), (200, &json!([])), "{text}: {found}");
        let answer = send(&server, "GET", &format!("/find?q={}", encoded(text)), &alice, "");
        assert!(
            answer.body.contains("No query, trace, session, load or statement"),
            "{}",
            answer.body
        );
    }
    let answer = send(&server, "GET", &format!("/find?q={ONE}"), &alice, "");
    assert_eq!(answer.status, 303);
    // Without a log-in, the page leads to the log-in.
    let answer = send(&server, "GET", "/find?q=4711", &[], "");
    assert_eq!((answer.status, answer.header("location")), (303, "/login?next=%2Ffind%3Fq%3D4711"));
}

fn find(db: &Path, arguments: &[&str]) -> Output {
    annals().arg("find").args(arguments).args(["--time-zone", "UTC"]).db(db).output().unwrap()
}

#[test]
fn the_command_finds_the_same() {
    let (_folder, db) = history();
    let shown = |id: &str| {
        let mut show = annals();
        stdout(&show.args(["show", id, "--time-zone", "UTC"]).db(&db).output().unwrap())
    };
    for text in [BOBS, " \"abcdef\" ", "trace-of-bob", "4712"] {
        let output = find(&db, &[text]);
        assert_eq!(stdout(&output), shown(BOBS), "{text}: {}", stderr(&output));
    }
    let printed = stdout(&find(&db, &["f00dfeed"]));
    assert!(printed.starts_with("query ids that begin so:\nquery_id\tstarted_at\t"), "{printed}");
    assert!(printed.contains(ONE) && printed.contains(OTHER), "{printed}");
    let printed = stdout(&find(&db, &["from vault", "--to", "2025-11-24 17:00"]));
    assert!(printed.starts_with("statements that contain this text:\n"), "{printed}");
    assert!(printed.contains(BOBS) && !printed.contains(LATE), "{printed}");
    let found: Value = serde_json::from_str(&stdout(&find(&db, &["4711", "--json"]))).unwrap();
    assert_eq!(
        (&found[0]["kind"], found[0]["queries"].as_array().unwrap().len()),
        (&json!("session_id"), 2)
    );
    let nothing = find(&db, &["no such thing"]);
    assert_eq!((nothing.status.code(), stdout(&nothing)), (Some(1), String::new()));
    assert!(stderr(&nothing).contains("nothing has this name"), "{}", stderr(&nothing));
    // What contains a statement and is a run of it is one list.
    let statement = "select a from orders where id = 1";
    let printed = stdout(&find(&db, &[statement]));
    assert!(printed.starts_with("runs of statement "), "{printed}");
    assert!(printed.contains(ONE) && printed.contains(OTHER), "{printed}");
    assert!(!printed.contains("statements that contain this text"), "{printed}");
    // A number with a sign is a fingerprint, and no option.
    let output = find(&db, &["-1234567890123456789"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(find(&db, &[" '' "]).status.code(), Some(2));
}
