//! Tests of lists: the cells of every version, in any order.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The titles of `query_info` in every version.
const TITLES: [&str; 10] = [
    "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间", "结束时间",
    "执行时长", "状态",
];

fn listed(rows: Value) -> Vec<QueryRecord> {
    let (records, not_understood) =
        records(&json!({"columnNames": TITLES, "rows": rows}), Zone::UTC).unwrap();
    assert_eq!(not_understood, 0, "{rows}");
    records
}

/// The values of a record, for comparing.
fn values(record: &QueryRecord) -> Value {
    json!([
        record.query_id.as_str(),
        record.frontend,
        record.kind.name(),
        record.started_ms,
        record.ended_ms,
        record.duration_ms,
        record.state,
        record.user,
        record.catalog,
        record.db,
        record.statement
    ])
}

#[test]
fn cells_in_the_order_of_every_version() {
    let head = ["7f-1", "10.1.0.4:8030", "QUERY", "2026-03-04 05:06:07", "2026-03-04 05:06:09"];
    let with = |tail: &[Option<&str>]| {
        let head = head.iter().map(|cell| json!(cell));
        let tail = tail.iter().map(|cell| json!(cell));
        listed(json!([head.chain(tail).collect::<Vec<_>>()])).remove(0)
    };
    let expected = |catalog: Option<&str>, statement: &str| {
        json!([
            "7f-1", "10.1.0.4:8030", "query", 1_772_600_767_000_i64, 1_772_600_769_000_i64, 2120,
            "EOF", "dora", catalog, "till", statement
        ])
    };
    let some = Some;
    // 2.0, 2.1 with its plan, 3.0, 4.x with its plan.
    let of_2_0 = with(&[
        some("2s120ms"),
        some("EOF"),
        some("dora"),
        some("till"),
        some("select coins from till"),
    ]);
    assert_eq!(values(&of_2_0), expected(None, "select coins from till"));
    for plan in [None, some("N/A"), some("PLAN FRAGMENT 0\n  OUTPUT EXPRS:")] {
        let of_2_1 = with(&[
            some("2s120ms"),
            some("EOF"),
            some("dora"),
            some("default_cluster:till"),
            some("select coins\nfrom till"),
            plan,
        ]);
        assert_eq!(values(&of_2_1), expected(None, "select coins\nfrom till"), "{plan:?}");
        let of_4 = with(&[
            some("2sec120ms"),
            some("EOF"),
            some("default_cluster:dora"),
            some("internal"),
            some("till"),
            some("select coins from till"),
            plan,
        ]);
        assert_eq!(values(&of_4), expected(some("internal"), "select coins from till"));
    }
    let of_3_0 = with(&[
        some("2sec120ms"),
        some("EOF"),
        some("dora"),
        some("internal"),
        some("till"),
        some("commit"),
    ]);
    assert_eq!(values(&of_3_0), expected(some("internal"), "commit"));
    // In the order of the titles.
    let record = listed(json!([[
        "7f-1", "10.1.0.4:8030", "dora", "till", "select coins from till", "Query",
        "2026-03-04 05:06:07", "2026-03-04 05:06:09", "2s120ms", "EOF"
    ]]));
    assert_eq!(values(&record[0]), expected(None, "select coins from till"));
}

#[test]
fn unknown_cells_keep_their_column() {
    // All of them run: no end, no total. The user is called as a state is.
    let records = listed(json!([
        [
            "7f-2", "fe-2:8030", "QUERY", "2026-03-04 05:06:07", "N/A", "N/A", "RUNNING", "ok",
            "internal", "", "select sleep(9)", null
        ],
        [
            "7f-3", "fe-2:8030", "QUERY", "2026-03-04 05:06:08", null, null, "RUNNING", "ok",
            "internal", "", "select sleep(8)", null
        ],
    ]));
    for record in &records {
        assert!(record.is_running());
        assert_eq!(
            (record.user.as_deref(), record.catalog.as_deref()),
            (Some("ok"), Some("internal"))
        );
        assert_eq!((&record.db, record.ended_ms, record.duration_ms), (&None, None, None));
        assert!(record.statement.as_deref().unwrap().starts_with("select sleep"));
    }
    // Loads go by the number of their job; a state may be new, a frontend a bare name.
    let load = listed(json!([[
        "10238", "fe-2", "LOAD", "2026-03-04 05:06:07", "2026-03-04 05:06:09", "2sec", "HALTED",
        "dora", "internal", "till", "LOAD LABEL till.l1 (…)"
    ]]));
    assert_eq!((load[0].kind, load[0].state.as_deref()), (Kind::Load, Some("HALTED")));
    assert_eq!((load[0].frontend.as_deref(), load[0].db.as_deref()), (Some("fe-2"), Some("till")));
}

#[test]
fn rows_with_names_of_every_version() {
    let old = json!({"column_names": ["Query ID"], "rows": [{
        "Query ID": "7f-4", "Query Type": "Query", "Query State": "EOF", "User": "default_cluster:dora",
        "Start Time": "2021-03-04 05:06:07", "End Time": "2021-03-04 05:06:07", "Total": "31ms",
        "Default Db": "default_cluster:till", "Sql Statement": "select 4", "__hrefPath": ["/query_profile/7f-4"]
    }]});
    let (records_of_old, _) = records(&old, Zone::UTC).unwrap();
    assert_eq!(
        values(&records_of_old[0]),
        json!([
            "7f-4", null, "query", 1_614_834_367_000_i64, 1_614_834_367_000_i64, 31, "EOF", "dora",
            null, "till", "select 4"
        ])
    );
    let linked = json!({"rows": [
        {"Start Time": "2021-03-04 05:06:07", "__hrefPath": "/query_profile/query_id=7f-5"},
        {"Start Time": "2021-03-04 05:06:07", "__hrefPaths": ["/query_profile/-1"]},
        {"Profile ID": "7f-6"}, {"Profile ID": "N/A", "Task State": "EOF"}, 7,
    ]});
    let (linked, not_understood) = records(&linked, Zone::UTC).unwrap();
    assert_eq!(linked[0].query_id.as_str(), "7f-5");
    assert_eq!((linked.len(), not_understood), (1, 4));
    for none in [json!({}), json!({"rows": 7}), json!("rows"), json!(null)] {
        assert!(records(&none, Zone::UTC).is_none(), "{none}");
    }
}

#[test]
fn details_of_starrocks_and_of_older_frontends() {
    let details = json!([
        {"eventTime": 1_772_600_767_000_000_001_i64, "queryId": "0195feed-2b5f-11ee-bdee-00000000aa01",
         "isQuery": true, "remoteIP": "10.1.0.9", "connId": 12, "startTime": 1_772_600_767_000_i64,
         "endTime": -1, "latency": -1, "state": "RUNNING", "database": "till", "sql": "select sum(c) from coins",
         "user": "dora", "scanRows": -1, "cpuCostNs": -1, "warehouse": "default_warehouse"},
        {"eventTime": 1_772_600_768_000_000_000_i64, "queryId": "0195feed-2b5f-11ee-bdee-00000000aa01",
         "isQuery": true, "remoteIP": "10.1.0.9", "connId": 12, "startTime": 1_772_600_767_000_i64,
         "endTime": 1_772_600_768_000_i64, "latency": 1000, "state": "FINISHED", "database": "till",
         "sql": "select sum(c) from coins", "user": "dora", "scanRows": 77, "scanBytes": 1024,
         "returnRows": 1, "cpuCostNs": 1_600_000, "memCostBytes": 4096, "spillBytes": 0,
         "resourceGroupName": "rg_tills", "warehouse": "default_warehouse", "digest": "", "catalog": "default_catalog"},
    ]);
    for data in [details.clone(), json!({"query_details": details})] {
        let (records, not_understood) = records(&data, Zone::UTC).unwrap();
        assert_eq!((records.len(), not_understood), (1, 0));
        let record = &records[0];
        assert_eq!((record.duration_ms, record.ended_ms), (Some(1000), Some(1_772_600_768_000)));
        assert_eq!((record.scan_rows, record.cpu_time_ms), (Some(77), Some(2)));
        assert_eq!(record.workload_group.as_deref(), Some("rg_tills"));
        assert_eq!(
            (record.sql_digest.as_deref(), record.session_id.as_deref()),
            (None, Some("12"))
        );
    }
}

proptest! {
    /// The cells with a form of their own are found at any place, and the others by their order.
    #[test]
    fn cells_in_any_order(
        order in Just((0..11_usize).collect::<Vec<_>>()).prop_shuffle(),
        seconds in prop::collection::vec(0..50_u32, 1..6),
        catalog in any::<bool>(),
    ) {
        let rows: Vec<Vec<Value>> = seconds.iter().enumerate().map(|(number, second)| {
            let start = format!("2026-03-04 05:06:{second:02}");
            let end = format!("2026-03-04 05:06:{:02}", second + 9);
            let typed = [
                format!("{number:x}7f-{second:x}"), "10.1.0.4:8030".into(), "QUERY".into(), start, end,
                "9sec1ms".into(), "EOF".into(),
            ];
            let mut left = vec!["dora".to_string(), "till".into(), format!("select {number} from coins")];
            if catalog { left.insert(1, "hive".into()) }
            let mut left = left.into_iter();
            // The start stands before the end in every version.
            let mut times = [3, 4].into_iter();
            let cells = order.iter().filter_map(|place| match place {
                3 | 4 => Some(typed[times.next()?].clone()),
                0..=6 => Some(typed[*place].clone()),
                _ => left.next(),
            });
            cells.map(Value::from).collect()
        }).collect();
        let records = listed(json!(rows));
        for (number, record) in records.iter().enumerate() {
            prop_assert_eq!(record.frontend.as_deref(), Some("10.1.0.4:8030"));
            prop_assert_eq!((record.user.as_deref(), record.db.as_deref()), (Some("dora"), Some("till")));
            prop_assert_eq!(record.catalog.is_some(), catalog);
            let statement = format!("select {number} from coins");
            prop_assert_eq!(record.statement.as_deref(), Some(statement.as_str()));
            prop_assert_eq!((record.duration_ms, record.state.as_deref()), (Some(9001), Some("EOF")));
            prop_assert_eq!(record.ended_ms.unwrap() - record.started_ms.unwrap(), 9000);
        }
    }

    #[test]
    fn no_list_makes_it_panic(cells in prop::collection::vec(
        prop::collection::vec("[0-9a-f-]{0,6}|QUERY|EOF|5ms|2026-03-04 05:06:07|N/A|a b", 0..14), 0..5)
    ) {
        let _ = records(&json!({"columnNames": TITLES, "rows": cells}), Zone::UTC);
    }
}
