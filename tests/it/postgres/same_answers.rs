//! A history has the same answers on both stores, byte for byte.

use tempfile::TempDir;

use super::{new_history, run, serve};
use crate::support::{annals, data, stderr, stdout};

const ID: &str = "fbb2582c72884d29-9dd9de3b42b740e9";
const OTHER_ID: &str = "91ff336304f14182-9ca537eee75b3856";

const COMMANDS: &[&[&str]] = &[
    &["list", "-n", "1000"],
    &["list", "-n", "1000", "--json"],
    &["list", "--state", "err", "--json"],
    &["list", "--search", "FROM orders", "--columns", "query_id,duration_ms,user"],
    &["list", "--search", "100%"],
    &["list", "--words", "STORE_SALES5 count", "--from", "2024-08-01", "--to", "2024-09-01"],
    &["list", "--type", "load"],
    &["list", "--sort", "cpu-time-ms", "-n", "3"],
    &["list", "--sort", "scan-rows", "--json", "--user", "alice"],
    &["list", "--min-ms", "2000", "--user", "bob"],
    &["show", ID],
    &["show", ID, "--json"],
    &["show", "1f4e", "--json"],
    &["show", "8c1d"],
    &["profile", ID],
    &["profile", ID, "--tree"],
    &["profile", ID, "--tree", "--json"],
    &["profile", ID, "--plan", "--json"],
    &["find", "fbb2582c"],
    &["find", "checkout-7", "--json"],
    &["find", "from orders"],
    &["diff", ID, OTHER_ID],
    &["diff", ID, OTHER_ID, "--json"],
    &["top", "--from", "2020-01-01"],
    &["top", "--from", "2020-01-01", "--by", "user", "--json"],
    &["top", "--from", "2020-01-01", "--by", "db", "--sort", "scan-bytes"],
    &["top", "--from", "2020-01-01", "--by", "hour", "--json"],
    &["top", "--from", "2020-01-01", "--by", "cluster", "--json"],
    &["top", "--from", "2020-01-01", "--by", "user", "--cluster", "prod", "--not-cluster", "test"],
    &["list", "--not-cluster", "prod", "--json"],
    &["regress", "--from", "2024-08-06", "--to", "2024-08-07", "--baseline", "30d", "--json"],
    &["usage", "--from", "2024-08-06", "--to", "2024-08-07", "--json"],
    &["usage", "--from", "2024-08-06", "--to", "2024-08-07", "--sort", "scan-bytes"],
    &["usage", "--during", ID],
    &["plans", "--json"],
    &["top", "--from", "2020-01-01", "--search", "orders"],
    &["export"],
    &["export", "--format", "csv"],
    &["export", "--format", "audit"],
    &["export", "--format", "ndjson", "--user", "alice"],
    &["stats"],
];

const PATHS: &[&str] = &[
    "/rest/v1/session?limit=1000",
    "/rest/v1/session?limit=1000&search=store",
    "/rest/v1/query_profile?limit=1000",
    "/rest/v1/query_profile/8c1d2e3f40516273-b4c5d6e7f8091a2c",
    "/rest/v2/manager/query/query_info?limit=1000",
    "/api/v1/queries?limit=1000",
    "/api/v1/queries?limit=1000&user=bob",
    "/api/v1/queries?limit=1000&words=from+orders",
    "/api/v1/queries?limit=3&order=duration_ms",
    "/api/v1/queries?limit=1000&cluster=prod&cluster=none",
    "/api/v1/timeline?from=1722900000000&to=1723000000000&not_cluster=prod",
    "/api/v1/queries?limit=1000&order=scan_rows.asc",
    "/api/v1/queries?limit=1000&not_session_id=1",
    "/api/v1/find?q=fbb2582c72884d29-9dd9de3b42b740e9",
    "/api/v1/find?q=8c1d2e",
    "/api/v1/find?q=checkout-7",
    "/api/v1/find?q=86492539eca2b5c2",
    "/api/v1/find?q=from+orders",
    "/api/v1/find?q=load_orders",
    "/api/v1/queries?limit=1000&unknown=db&unknown=table&db=mart",
    "/api/v1/queries?limit=1000&not_user=bob&not_state=err&db=mart&db=lake&table=receipts",
    "/api/v1/queries?limit=1000&is_failed=true&has_profile=false&not_client=10.16.10.21",
    "/api/v1/statements?from=1500000000000&user=alice&user=bob&is_failed=false",
    "/api/v1/queries?limit=1000&order=peak_memory_bytes&type=query",
    "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9",
    "/api/v1/queries/no-such-query",
    "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9/profile/tree",
    "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9/plan",
    "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9/findings",
    "/api/profile/text?query_id=fbb2582c72884d29-9dd9de3b42b740e9",
    "/api/v1/statements?from=1500000000000&to=1800000000000",
    "/api/v1/statements?from=1500000000000&order=cpu_time_ms",
    "/api/v1/findings",
    "/api/v1/usage?from=2024-08-06&to=2024-08-07&baseline=7d&order=count",
    "/api/v1/queries/fbb2582c72884d29-9dd9de3b42b740e9/concurrent",
    "/api/v1/plans",
    "/api/v1/plans?several=true&from=2024-08-06",
    "/api/v1/regressions?from=2024-08-06&to=2024-08-07&baseline=30d",
    "/api/v1/statements/86492539eca2b5c2/plans",
    "/api/v1/timeline?from=1722900000000&to=1723000000000",
];

#[test]
#[ignore = "needs PostgreSQL"]
fn each_command_and_path_answers_as_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("annals.db");
    let histories = [file.to_str().unwrap().to_string(), new_history()];
    let samples = data("");
    let imports = histories.each_ref().map(|history| {
        let mut import = annals();
        import.arg("import").arg(&samples).args(["--db", history]);
        let output = import.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        // The last lines say how long the import took.
        let printed = stdout(&output);
        printed.lines().filter(|line| line.contains(" new, ")).collect::<Vec<_>>().join("\n")
    });
    assert_eq!(imports[1], imports[0]);
    for (cluster, part) in
        [("prod", "doris-3.0"), ("test", "fe.audit.log"), ("prod", "fe.audit.log")]
    {
        let [of_file, of_postgres] = histories.each_ref().map(|history| {
            let part = data(part);
            let output = run(history, &["import", "--cluster", cluster, part.to_str().unwrap()]);
            stdout(&output).lines().skip(1).map(str::to_string).collect::<Vec<_>>()
        });
        assert_eq!(of_postgres, of_file, "{cluster}");
    }
    for arguments in COMMANDS {
        let [of_file, of_postgres] = histories.each_ref().map(|history| {
            let output = run(history, arguments);
            // These lines are about the file.
            let is_compared = |line: &&str| {
                !["file", "file_bytes", "profile_bytes"].contains(&line.split('\t').next().unwrap())
            };
            let printed: Vec<_> =
                stdout(&output).lines().filter(is_compared).map(str::to_string).collect();
            (output.status.code(), printed.join("\n"), stderr(&output))
        });
        assert_eq!(of_postgres, of_file, "{arguments:?}");
    }
    let servers = histories.each_ref().map(|history| serve(history));
    for path in PATHS {
        let [of_file, of_postgres] = servers.each_ref().map(|server| {
            let (status, content_type, body) = server.get(path);
            (status, content_type, String::from_utf8(body).unwrap())
        });
        assert_eq!(of_postgres, of_file, "{path}");
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_history_moves_to_postgres_and_back() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (file, back, history) = (path("annals.db"), path("back.db"), new_history());
    assert!(run(&file, &["import", data("").to_str().unwrap()]).status.success());
    for (from, to) in [(&file, &history), (&history, &back)] {
        let merged = run(to, &["merge", from]);
        assert!(merged.status.success(), "{}", stderr(&merged));
        let again = run(to, &["merge", from]);
        assert!(stdout(&again).contains("records:  0 new, 0 merged, "), "{}", stdout(&again));
    }
    let contents = |history: &str| crate::merge::contents(std::path::Path::new(history));
    if !crate::support::is_postgres() {
        assert_eq!(contents(&back), contents(&file));
        let zones = |history: &str| crate::merge::zones(std::path::Path::new(history));
        assert_eq!(zones(&back), zones(&file));
    }
    let exported = |history: &str| stdout(&run(history, &["export"]));
    assert_eq!(exported(&history), exported(&file));
    assert_eq!(exported(&back), exported(&file));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_merge_to_postgres_and_back_continues() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    crate::merge::assert_continues(folder.path(), &path("from.db"), &new_history());
    crate::merge::assert_continues(folder.path(), &new_history(), &path("back.db"));
}

/// PostgreSQL cannot store the character NUL in a text.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_nul_in_a_statement_is_replaced() {
    let server = serve(&new_history());
    let row = r#"{"query_id": "n-1", "time": 1722942960951, "stmt": "select '\u0000'", "more": "\u0000"}"#;
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], row.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &serde_json::json!(1)), "{answer}");
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], row.as_bytes());
    assert_eq!((status, &answer["data"]["unchanged"]), (200, &serde_json::json!(1)), "{answer}");
    let query = server.envelope("/api/v1/queries/n-1")["data"].clone();
    assert_eq!(query["statement"], "select '\u{fffd}'", "{query}");
}
