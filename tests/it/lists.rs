//! Filters and pages of the lists, which a frontend does not have.

use crate::support::{self, Server, audit_records, data, import, wait_until};
use serde_json::Value;
use tempfile::TempDir;

fn sample() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    import(&db, &[&data("")]);
    let server = Server::start(&db, &[]);
    (folder, server)
}

fn ids(server: &Server, path: &str) -> Vec<String> {
    let envelope = server.envelope(path);
    let rows = envelope["data"]["rows"].as_array().unwrap().clone();
    let id =
        |row: &Value| row["QueryId"].as_str().or(row["Profile ID"].as_str()).unwrap().to_string();
    rows.iter().map(id).collect()
}

/// Follows the links to the last page.
fn pages(server: &Server, path: &str, mut between: impl FnMut()) -> Vec<Vec<String>> {
    let mut next = Some(path.to_string());
    let mut pages = Vec::new();
    while let Some(path) = next {
        pages.push(ids(server, &path));
        next = server.next_page(&path);
        between();
    }
    pages
}

#[test]
fn each_filter_selects_its_queries() {
    let (_folder, server) = sample();
    let count = |parameters: &str| ids(&server, &format!("/rest/v1/session?{parameters}")).len();
    let all = count("");
    assert_eq!(count("type=load") + count("type=QUERY"), all);
    assert_eq!(count("type=load"), 3);
    assert_eq!(count("user=carol"), 2);
    assert_eq!(count("user=carol&type=load"), 1);
    assert_eq!(count("user=car"), 0);
    assert_eq!(count("user="), all, "an empty field of a form is no filter");
    assert_eq!(count("db=lake"), 1);
    assert_eq!(count("db=%E6%95%B0%E6%8D%AE"), 1);
    assert_eq!(count("state=err"), 3);
    assert_eq!(count("search=STORE_sales5"), 2);
    assert_eq!(count("search=store%25sales5"), 0, "% is a plain character");
    assert_eq!(count("search=s_ore_sales5"), 0, "_ is a plain character");
    assert_eq!(count("search=alice"), 0);
    assert_eq!(count("min_ms=62003"), 2);
    assert_eq!(count("from=2024-08-07"), count("from=2024-08-07%2000:00:00"));
    assert_eq!(count("from=2024-08-07%2009:00:00&to=2024-08-07%2009:01:00"), 1);
    assert_eq!(count("from=2024-08-07T00:00"), count("from=2024-08-07"));
    assert_eq!(count("from=1722942950&to=1722942951"), 1, "Unix seconds");
    assert_eq!(count("from=2h"), 0);
    assert_eq!(count("to=2h&from=2000-01-01"), count("from=2000-01-01&to=yesterday"));
    // `from` is inclusive, `to` is exclusive.
    assert_eq!(count("from=1722942950932&to=1722942950933"), 1);
    assert_eq!(count("from=1722942950931&to=1722942950932"), 0);
    for (parameters, sentence) in [
        ("type=both", "type must be query or load"),
        ("min_ms=-1", "min_ms must be"),
        ("from=last%20week", "from: last week is not a time; write one like '2024-08-06 11:15'"),
        ("to=x", "to: x is not a time"),
        ("from=20240806", "from: 20240806 may be several times; write the day 2024-08-06"),
        ("from=1", "Unix seconds have 10 digits"),
        ("from=2024-08-07&to=2024-08-06", "the range ends before it begins"),
        ("cursor=1", "Link header"),
        ("cursor=a.b", "Link header"),
        (&format!("search={}", "x".repeat(1001)), "at most 1000 characters"),
    ] {
        let (status, _, body) = server.get(&format!("/rest/v1/session?{parameters}"));
        assert_eq!(status, 400, "{parameters}");
        assert!(String::from_utf8(body).unwrap().contains(sentence), "{parameters}");
    }
}

#[test]
fn a_list_of_the_last_seconds_moves_with_the_clock() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let now_ms = crate::support::now().timestamp_millis();
    let row = format!(r#"{{"query_id": "1-1", "time": {now_ms}, "stmt": "select 1"}}"#);
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row.as_bytes()).0, 200);
    let count =
        |from: &str| server.envelope(&format!("/api/v1/queries?from={from}"))["count"].clone();
    assert_eq!((count("1min"), count("today")), (1.into(), 1.into()));
    // Without a commit, an answer that is kept stays as it is.
    wait_until(|| count("1s") == 0, || count("1s").to_string());
}

#[test]
fn pages_contain_every_query_once_in_order() {
    let (_folder, server) = sample();
    for list in ["/rest/v1/session", "/rest/v1/query_profile"] {
        let all = ids(&server, list);
        assert_eq!(server.next_page(list), None, "the only page");
        for limit in [1, 2, 5, 21] {
            let pages = pages(&server, &format!("{list}?limit={limit}"), || {});
            assert!(pages.iter().all(|page| page.len() <= limit));
            assert_eq!(pages.concat(), all);
        }
    }
    let load = pages(&server, "/rest/v1/session?limit=1&type=load&search=%26", || {});
    assert_eq!(load.concat(), ["8c1d2e3f40516273-b4c5d6e7f8091a2c"]);
}

#[test]
fn new_queries_do_not_shift_the_following_pages() {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("log"));
    // All queries start in the same millisecond, so that only their row ids order them.
    let same = audit_records(0..40).replace(",0", ",");
    std::fs::write(&log, same).unwrap();
    assert!(import(&db, &[&log]).status.success());
    let server = Server::start(&db, &[]);
    let before = ids(&server, "/rest/v1/session");
    let mut number = 1000;
    let read = pages(&server, "/rest/v1/session?limit=7", || {
        std::fs::write(&log, audit_records(number..number + 3)).unwrap();
        number += 3;
        assert!(import(&db, &[&log]).status.success());
    });
    assert_eq!(read.concat(), before);
}

#[test]
fn queries_without_a_start_come_last() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    for number in 0..3 {
        let profile = folder.path().join(format!("profile-{number}"));
        // A frontend writes N/A for unknown values.
        let values = [("Start Time", "N/A"), ("End Time", "N/A"), ("Total", "N/A")];
        std::fs::write(&profile, support::profile(&format!("a-{number}"), &values)).unwrap();
    }
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..3)).unwrap();
    import(&db, &[folder.path()]);
    let server = Server::start(&db, &[]);
    let all = ids(&server, "/rest/v1/session");
    assert_eq!(all.len(), 6);
    assert_eq!(all[3..], ["a-2", "a-1", "a-0"]);
    for limit in [1, 2, 3, 4] {
        let pages = pages(&server, &format!("/rest/v1/session?limit={limit}"), || {});
        assert_eq!(pages.concat(), all, "{limit}");
    }
    assert_eq!(
        ids(&server, "/rest/v1/session?from=1000000000000").len(),
        3,
        "a query without a start is outside of every range"
    );
}
