//! Loads are shown as loads: by their label, with their tables, rows, message and address; no hash is called a statement.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Server, WithDb, annals, audit_record, import, number, rows, stderr, stdout, stream_load_record,
};

const URL: &str =
    "http://10.0.0.4:8040/api/_load_error_log?file=__shard_3/error_log_insert_stmt_1a-2b";
const MESSAGE: &str = "[DATA_QUALITY_ERROR]too many filtered rows";

/// A query, and three loads that ran with it: a stream load that failed, one that filtered rows, and a broker load.
fn history() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let records = [
        audit_record(
            "2024-01-02 11:15:51,000",
            &[("QueryId", "1-1"), ("Time(ms)", "2000"), ("Stmt", "select a from t")],
        ),
        stream_load_record(
            "2024-01-02 11:15:51,100",
            &[
                ("Label", "orders_1"),
                ("Table", "orders"),
                ("Status", "Fail"),
                ("Message", MESSAGE),
                ("Url", URL),
                ("LoadedRows", "0"),
                ("FilteredRows", "10"),
            ],
        ),
        stream_load_record(
            "2024-01-02 11:15:51,200",
            &[
                ("Label", "clicks_1"),
                ("Table", "clicks"),
                ("Message", "OK"),
                ("LoadedRows", "8"),
                ("FilteredRows", "2"),
                ("StartTime", "2024-01-02 11:15:50.100"),
            ],
        ),
        "2024-01-02 11:15:52,000 [load] |JobId=4711|Label=broker_1|LoadType=BROKER|Db=shop\
         |TableList=orders,items|FilePathList=hdfs://nn:8020/orders/*.csv|BrokerUser=hdfs\
         |Timestamp=1704194150000|LoadStartTime=1704194150000|LoadFinishTime=1704194152000\
         |ScanRows=500|ScanBytes=70000|FileNumber=12\n"
            .to_string(),
    ];
    std::fs::write(&log, records.concat()).unwrap();
    let output = import(&db, &[&log]);
    assert!(output.status.success(), "{}", stderr(&output));
    (folder, db)
}

fn page(server: &Server, path: &str) -> String {
    let (status, _, body) = server.get(path);
    assert_eq!(status, 200, "{path}");
    String::from_utf8(body).unwrap()
}

/// Returns the id of a load.
fn id_of(server: &Server, label: &str) -> String {
    let loads = server.envelope("/api/v1/queries?type=load")["data"].clone();
    let mut loads = loads.as_array().unwrap().iter();
    let load = loads.find(|load| load["load"]["label"] == label).unwrap();
    load["query_id"].as_str().unwrap().to_string()
}

/// Returns the row of a page's list that has a text.
fn row_with(page: &str, text: &str) -> String {
    let row = page.split("<tr ").find(|row| row.contains(text));
    row.unwrap_or_else(|| panic!("{text}: {page}")).split("</tr>").next().unwrap().to_string()
}

#[test]
fn lists_and_pages_show_a_load_by_its_label() {
    let (_folder, db) = history();
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let failed = id_of(&server, "orders_1");
    let all = page(&server, "/?from=2024-01-01");
    let row = row_with(&all, &failed);
    for part in
        ["<bdi>orders_1</bdi>", "class=\"state failed\"", "0 rows</span>", "10 rows", " filtered"]
    {
        let part = part.trim_end_matches("</span>");
        assert!(row.contains(part), "{part}: {row}");
    }
    // The id is in addresses alone: nobody reads it as a statement.
    assert!(!all.contains(&format!(">{failed}<")), "{all}");
    let loads = page(&server, "/?from=2024-01-01&type=load");
    assert!(loads.contains(">Loaded<") && loads.contains(">Filtered<"), "{loads}");
    assert!(loads.contains("<th scope=\"col\">Load</th>"), "{loads}");
    let row = row_with(&loads, "clicks_1");
    assert!(row.contains("data-label=\"Rows loaded\">8<"), "{row}");
    assert!(row.contains("errors\" data-label=\"Rows filtered\">2<"), "{row}");
    let unknown = row_with(&loads, "broker_1");
    assert!(unknown.contains("data-label=\"Rows loaded\">–<"), "{unknown}");
    assert!(!loads.contains("select a from t"), "{loads}");

    let shown = page(&server, &format!("/query_profile/{failed}"));
    for part in [
        "<title>Load orders_1",
        &format!("<p class=\"error\"><bdi>{MESSAGE}</bdi></p>"),
        &format!("<a href=\"{URL}\" rel=\"noopener noreferrer nofollow\">"),
        "<dt>Filtered rows</dt><dd>10</dd>",
        "<dt>Label</dt><dd><bdi>orders_1</bdi></dd>",
        "href=\"/?table=internal%2Etest%2Eorders\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("No statement stored"), "{shown}");
    let broker = page(&server, "/query_profile/4711");
    for part in [
        "href=\"/?table=internal%2Eshop%2Eitems\"",
        "hdfs://nn:8020/orders/*.csv",
        "Load <bdi>broker_1",
    ] {
        assert!(broker.contains(part), "{part}: {broker}");
    }
    // An address that is none is text.
    let clicks = page(&server, &format!("/query_profile/{}", id_of(&server, "clicks_1")));
    assert!(!clicks.contains("N/A"), "{clicks}");

    let compared = page(&server, &format!("/compare?run={failed}&run=4711"));
    for part in ["orders_1", "broker_1", "Number of files"] {
        assert!(compared.contains(part), "{part}: {compared}");
    }
    let beside = page(&server, "/usage/1-1");
    assert!(beside.contains("<bdi>orders_1</bdi>") && beside.contains("<bdi>broker_1</bdi>"));
    assert!(!beside.contains(&format!(">{failed}<")), "{beside}");
    let beside = server.envelope("/api/v1/queries/1-1/concurrent")["data"]["queries"].clone();
    let mut labels: Vec<Value> =
        beside.as_array().unwrap().iter().map(|run| run["load"].clone()).collect();
    labels.sort_by_key(Value::to_string);
    assert_eq!(labels, [json!("broker_1"), json!("clicks_1"), json!("orders_1")]);
}

#[test]
fn commands_show_a_load_by_its_label() {
    let (_folder, db) = history();
    let run = |arguments: &[&str]| {
        let output =
            annals().args(arguments).args(["--time-zone", "UTC"]).db(&db).output().unwrap();
        assert!(output.status.success(), "{arguments:?} {}", stderr(&output));
        stdout(&output)
    };
    let loads = run(&["list", "--type", "load"]);
    let mut lines = loads.lines();
    assert_eq!(
        lines.next().unwrap(),
        "query_id\tstarted_at\tduration_ms\tstate\tload.loaded_rows\tload.filtered_rows\tuser\tdb\t\
         load.table_list\tload.label"
    );
    let failed = lines.find(|line| line.ends_with("\torders_1")).unwrap();
    assert!(failed.contains("\tFail\t0\t10\troot\ttest\torders\torders_1"), "{loads}");
    let all = run(&["list"]);
    assert!(all.lines().any(|line| line.ends_with("\tbroker_1")), "{all}");
    assert!(all.lines().any(|line| line.ends_with("\tselect a from t")), "{all}");
    assert_eq!(run(&["list", "-c", "load.url", "--failed"]), format!("load.url\n{URL}\n"));
    let json = run(&["list", "--failed", "--json"]);
    let load: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&load["statement"], &load["load"]["message"]), (&Value::Null, &json!(MESSAGE)));
    let id = load["query_id"].as_str().unwrap();
    assert!(run(&["show", id]).contains("load.filtered_rows   10\n"));
    let diff = run(&["diff", id, "4711"]);
    assert!(diff.contains("load.label\torders_1\tbroker_1\t\n"), "{diff}");
    assert!(diff.contains("load.file_number\t\t12\t\n"), "{diff}");
    let beside = run(&["usage", "--during", "1-1"]);
    assert!(beside.lines().any(|line| line.ends_with("\tclicks_1")), "{beside}");
}

#[test]
fn views_have_failed_loads_and_those_that_filtered_rows() {
    let (_folder, db) = history();
    let texts = |sql: &str| -> Vec<Vec<String>> {
        let rows = rows(&db, sql).into_iter();
        rows.map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
    };
    let failed = texts("SELECT label, table_list, message, filtered_rows, url FROM failed_loads");
    assert_eq!(failed, [["orders_1", "orders", MESSAGE, "10", URL]]);
    let filtered =
        texts("SELECT label, loaded_rows, filtered_rows FROM filtered_loads ORDER BY loaded_rows");
    assert_eq!(filtered, [["orders_1", "0", "10"], ["clicks_1", "8", "2"]]);
    let percent =
        "SELECT count(*) FROM filtered_loads WHERE filtered_percent = 20 AND label = 'clicks_1'";
    assert_eq!(number(&db, percent), 1);
    let failed = texts("SELECT kind, label, error_message FROM failed_queries");
    assert_eq!(failed, [["load", "orders_1", MESSAGE]]);
}
