//! Tests of rows: every form of a body, and what the loaders of Doris and StarRocks send.

use proptest::prelude::*;

use super::*;

type Numbered = (u64, Result<QueryRecord, RowError>);

fn rows(body: &[u8], format: &Format) -> (Vec<Numbered>, Result<(), BodyError>) {
    let body = String::from_utf8_lossy(body);
    let mut rows = Vec::new();
    let found = match format.rows(&body, Zone::UTC) {
        Ok(found) => found,
        Err(error) => return (rows, Err(error)),
    };
    for row in found {
        let (number, row) = match row {
            Ok(row) => row,
            Err(error) => return (rows, Err(error)),
        };
        let record = row.map(|row| match row {
            Entry::Record(record) => *record,
            Entry::Login(login) => panic!("{login:?}"),
        });
        rows.push((number, record));
    }
    (rows, Ok(()))
}

fn csv(columns_header: &str, separator: &str, delimiter: &str) -> Format {
    Format::Csv {
        columns: columns(columns_header).unwrap(),
        separator: separator.to_string(),
        delimiter: delimiter.to_string(),
        skip_lines: 0,
        trim_double_quotes: false,
    }
}

#[test]
fn csv_with_any_separators() {
    let format = csv("query_id, `time`,stmt, new_one", "\u{1}", "\u{2}\n");
    let body = "1-2\u{1}2024-08-06 11:16:00.951\u{1}select '\t'\nfrom t\u{1}x\u{2}\n\
                3-4\u{1}2024-08-06 11:16:00\u{1}\\N\u{1}\\N\u{2}\n\
                5-6\u{1}2024-08-06 11:16:00\u{2}\n";
    let (rows, _) = rows(body.as_bytes(), &format);
    let first = rows[0].1.as_ref().unwrap();
    assert_eq!(first.started_ms, Some(1_722_942_960_951));
    assert_eq!(first.statement.as_deref(), Some("select '\t'\nfrom t"));
    assert_eq!(first.extra["new_one"], "x");
    let second = rows[1].1.as_ref().unwrap();
    assert_eq!((&second.statement, second.extra.len()), (&None, 0));
    assert_eq!(rows[2], (3, Err(RowError::Columns { found: 2, expected: 4 })));
    assert_eq!(rows.len(), 3);
}

#[test]
fn json_in_every_shape() {
    let row = r#"{"query_id": "1-2", "time": 1722942960951, "query_time": 12, "is_query": true, "stmt": "select 1", "tags": [1, {"a": 2}], "db": null}"#;
    let array = format!("[{row},\n {row}]");
    let lines = format!("{row}\n\n{row}\n");
    for (body, format, count) in [
        (row, Format::json(JsonKind::Object), 1),
        (array.as_str(), Format::json(JsonKind::Array), 2),
        (lines.as_str(), Format::json(JsonKind::Lines), 2),
    ] {
        let (rows, read) = rows(body.as_bytes(), &format);
        assert_eq!((rows.len(), read), (count, Ok(())));
        let record = rows[count - 1].1.as_ref().unwrap();
        assert_eq!(record.duration_ms, Some(12));
        assert_eq!(record.ended_ms, Some(1_722_942_960_963));
        assert_eq!(record.is_query, Some(true));
        assert_eq!(record.extra["tags"], r#"[1,{"a":2}]"#);
    }
}

#[test]
fn bad_rows_are_rejected_and_good_ones_are_read() {
    let body = b"{\"query_id\": \"1-2\"}\n{\"query_id\": \"1-2\", \"time\": 1\nnull\n\
                 {\"time\": 1722942960951}\n{\"query_id\": \"a\xffb\", \"time\": 1722942960951}\n";
    let (rows, _) = rows(body, &Format::json(JsonKind::Lines));
    assert_eq!(rows[0].1, Err(RowError::Record(SkipReason::NoTime)));
    assert!(matches!(rows[1].1, Err(RowError::NotJson(_))));
    assert_eq!(rows[2].1, Err(RowError::NotAnObject));
    assert_eq!(rows[3].1, Err(RowError::Record(SkipReason::NoQueryId)));
    assert_eq!(rows[4].1.as_ref().unwrap().query_id.as_str(), "a\u{fffd}b");
}

#[test]
fn half_an_array_is_an_error() {
    for body in ["[{\"query_id\": \"1-2\"}, {", "{}", "[] []", ""] {
        assert!(rows(body.as_bytes(), &Format::json(JsonKind::Array)).1.is_err(), "{body}");
    }
}

fn record(body: &str, format: &Format) -> QueryRecord {
    let (mut rows, read) = rows(body.as_bytes(), format);
    assert_eq!((rows.len(), read), (1, Ok(())), "{body}");
    rows.remove(0).1.unwrap()
}

#[test]
fn starrocks_loader_fills_columns() {
    let format = csv(
        "queryId,timestamp,queryType,clientIp,user,authorizedUser,resourceGroup,db,state,errorCode,queryTime,\
         scanBytes,cpuCostNs,memCostBytes,stmtId,isQuery,feIp,stmt,digest,pendingTimeMs,hitMvs,warehouse,cnGroup",
        "\u{1}",
        "\u{2}",
    );
    let row = |kind: &str, code: &str| {
        [
            "0199-a",
            "2026-01-05 10:47:19",
            kind,
            "10.0.0.3:1",
            "bo",
            "'bo'@'%'",
            "etl",
            "shop",
            if code.is_empty() { "EOF" } else { "ERR" },
            code,
            "6213",
            "4096",
            "811700000",
            "99",
            "-1",
            "1",
            "10.0.0.2",
            "select '\n;'",
            "06f",
            "-1",
            "mv1",
            "bi_wh",
            "group2",
        ]
        .join("\u{1}")
    };
    let slow = record(&row("slow_query", ""), &format);
    assert!(slow.is_slow && slow.is_query == Some(true));
    assert_eq!((slow.duration_ms, slow.cpu_time_ms), (Some(6213), Some(812)));
    assert_eq!((slow.peak_memory_bytes, slow.queue_time_ms), (Some(99), None));
    assert_eq!((slow.statement_id, slow.error_code), (None, None));
    assert_eq!(
        (slow.workload_group.as_deref(), slow.compute_group.as_deref()),
        (Some("etl"), Some("bi_wh"))
    );
    assert_eq!(
        (slow.frontend.as_deref(), slow.sql_digest.as_deref()),
        (Some("10.0.0.2"), Some("06f"))
    );
    assert_eq!(
        (slow.extra["cnGroup"].as_str(), slow.extra["authorizedUser"].as_str()),
        ("group2", "'bo'@'%'")
    );
    let failed = record(&row("query", "SYNTAX_ERR"), &format);
    assert_eq!((failed.is_slow, failed.error_message.as_deref()), (false, Some("SYNTAX_ERR")));
    let body =
        [row("connection", ""), row("connection", "Access denied"), row("disconnection", "")];
    let body = body.join("\u{2}");
    let found: Vec<_> = format.rows(&body, Zone::UTC).unwrap().map(|row| row.unwrap().1).collect();
    let [Ok(Entry::Login(good)), Ok(Entry::Login(bad)), Err(error)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(good.succeeded && !bad.succeeded);
    assert_eq!((good.at_ms, good.user.as_deref()), (1_767_610_039_000, Some("bo")));
    assert_eq!(bad.error_message.as_deref(), Some("Access denied"));
    assert_eq!(*error, RowError::Record(SkipReason::OtherType));
}

#[test]
fn doris_loader_fills_columns() {
    let format = csv(
        "query_id,time,query_time,queue_time_ms,spill_write_bytes_from_local_storage,\
         spill_read_bytes_from_local_storage,parse_time_ms,plan_times_ms,get_meta_times_ms,schedule_times_ms,\
         hit_sql_cache,handled_in_fe,queried_tables_and_views,chosen_m_views,changed_variables,sql_mode,\
         compute_group,stmt",
        "\u{1f}",
        "\u{1e}",
    );
    let row = [
        "1a-2b",
        "2026-02-03 09:15:20.300",
        "417",
        "4",
        "65",
        "32",
        "3",
        "{\"plan\":21,\"analyze\":4}",
        "{\"a\":0}",
        "{\"schedule_time_ms\":9}",
        "1",
        "0",
        "[\"internal.shop.orders\"]",
        "[]",
        "{\"session_context\":\"lang:en;trace_id: t-9\"}",
        "ANSI",
        "UNKNOWN",
        "select a\tb",
    ]
    .join("\u{1f}");
    let record = record(&format!("{row}\u{1e}"), &format);
    assert_eq!((record.queue_time_ms, record.parse_time_ms), (Some(4), Some(3)));
    assert_eq!((record.plan_time_ms, record.schedule_time_ms), (Some(21), Some(9)));
    assert_eq!((record.spill_write_bytes, record.spill_read_bytes), (Some(65), Some(32)));
    assert_eq!(
        (record.cache_hit, record.compute_group, record.chosen_views),
        (Some(true), None, None)
    );
    assert_eq!(record.queried_tables.as_deref(), Some("[\"internal.shop.orders\"]"));
    assert_eq!(record.trace_id.as_deref(), Some("t-9"));
    assert_eq!(record.extra["get_meta_times_ms"], "{\"a\":0}");
    assert_eq!(record.ended_ms.unwrap() - record.started_ms.unwrap(), 417);
}

#[test]
fn a_row_of_the_json_audit_log_is_read_by_its_keys() {
    let row = r#"{"QueryId":"1-2","Timestamp":1767460199503,"Time":640,"CpuCostNs":1000000,"PlanTimesMs":{"plan":7}}"#;
    let record = record(row, &Format::json(JsonKind::Object));
    assert_eq!((record.duration_ms, record.cpu_time_ms), (Some(640), Some(1)));
    assert_eq!((record.started_ms, record.plan_time_ms), (Some(1_767_460_199_503), Some(7)));
}

#[test]
fn lines_are_skipped_and_quotes_trimmed() {
    let mut format = csv("query_id,time,stmt", ",", "\n");
    if let Format::Csv { skip_lines, trim_double_quotes, .. } = &mut format {
        (*skip_lines, *trim_double_quotes) = (1, true);
    }
    let body = "\"query_id\",\"time\",\"stmt\"\n\"1-2\",\"2024-08-06 11:16:00\",\"select \"\"\"\n";
    let (rows, _) = rows(body.as_bytes(), &format);
    assert_eq!((rows.len(), rows[0].0), (1, 2));
    let record = rows[0].1.as_ref().unwrap();
    assert_eq!(
        (record.query_id.as_str(), record.statement.as_deref()),
        ("1-2", Some("select \"\""))
    );
}

#[test]
fn json_is_found_at_its_paths() {
    let format = |kind, root: &str, paths: &[&str], columns: &[&str]| Format::Json {
        kind,
        json_root: Some(root.to_string()).filter(|root| !root.is_empty()),
        jsonpaths: Some(paths.iter().map(ToString::to_string).collect())
            .filter(|paths: &Vec<String>| !paths.is_empty()),
        columns: columns.iter().map(ToString::to_string).collect(),
    };
    let row = r#"{"id": "1-2", "at": {"time": 1722942960951}, "sql": ["select 1", "select 2"], "a.b": 5}"#;
    let paths = ["$.id", "$.at.time", "$.sql[1]", "$.\"a.b\"", "$.none"];
    let columns = ["query_id", "time", "stmt", "query_time", "user"];
    for (body, kind, root) in [
        (row.to_string(), JsonKind::Object, ""),
        (format!("{row}\n"), JsonKind::Lines, "$"),
        (format!("[{row}]"), JsonKind::Array, ""),
        (
            format!(r#"{{"x": [1, {{}}], "data": {{"rows": [{row}], "y": 0}}}}"#),
            JsonKind::Array,
            "$.data.rows",
        ),
        (format!(r#"[0, [{row}], "z"]"#), JsonKind::Array, "$[1]"),
        (format!(r#"{{"data": [{row}]}}"#), JsonKind::Lines, "$.data[0]"),
    ] {
        let record = record(&body, &format(kind, root, &paths, &columns));
        assert_eq!(
            (record.query_id.as_str(), record.statement.as_deref()),
            ("1-2", Some("select 2")),
            "{body}"
        );
        assert_eq!((record.started_ms, record.duration_ms), (Some(1_722_942_960_951), Some(5)));
        assert_eq!(record.user, None);
    }
    // A path without a name goes by its last key.
    let format_of = |paths: &[&str]| format(JsonKind::Object, "", paths, &[]);
    let body = r#"{"meta": {"query_id": "3-4", "time": 1722942960951}}"#;
    assert_eq!(
        record(body, &format_of(&["$.meta.query_id", "$.meta.time"])).query_id.as_str(),
        "3-4"
    );
    for root in ["$.nothing", "$.id[3]"] {
        let (found, read) = rows(row.as_bytes(), &format(JsonKind::Lines, root, &[], &[]));
        assert!(matches!(found[0].1, Err(RowError::NoRoot(_))) && read.is_ok());
        let body = format!("{{\"id\": 1, \"other\": [{row}]}}");
        assert!(rows(body.as_bytes(), &format(JsonKind::Array, root, &[], &[])).1.is_err());
    }
}

#[test]
fn headers_of_stream_loads() {
    assert_eq!(columns(" a, `b` ,c").unwrap(), ["a", "b", "c"]);
    for header in ["", "a,,b", "a, b=upper(a)", "f(a)"] {
        assert_eq!(columns(header), None, "{header}");
    }
    for (header, text) in
        [("\\x01", "\u{1}"), ("\\t", "\t"), ("|", "|"), ("\\x02\\n", "\u{2}\n"), ("a\\\\", "a\\")]
    {
        assert_eq!(separator(header).as_deref(), Some(text));
    }
    for header in ["", "\\", "\\x", "\\x0", "\\xff", "\\q"] {
        assert_eq!(separator(header), None, "{header}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [
            csv("query_id,time,stmt", "\t", "\n"),
            Format::json(JsonKind::Lines),
            Format::json(JsonKind::Array),
            Format::json(JsonKind::Object),
        ] {
            let _ = rows(&body, &format);
        }
    }

    #[test]
    fn the_rows_of_a_loader_come_back(statement in "[^\u{1}\u{2}\\\\]{0,60}", ms in 0..9_999_i64) {
        prop_assume!(!statement.trim().is_empty() && statement != "\\N");
        let body = format!("1-2\u{1}2024-08-06 11:16:00\u{1}{ms}\u{1}{statement}\u{2}");
        let (rows, _) = rows(body.as_bytes(), &csv("query_id,time,query_time,stmt", "\u{1}", "\u{2}"));
        let record = rows[0].1.as_ref().unwrap();
        prop_assert_eq!(record.statement.as_deref(), Some(statement.as_str()));
        prop_assert_eq!(record.duration_ms, Some(ms));
    }
}
