//! The audit log's parser: any record that a frontend can write comes back as it was.

use std::collections::BTreeMap;

use annals::query::{Kind, QueryRecord};
use annals::source::audit_log::AuditLog;
use annals::source::{Found, SkipReason};
use annals::time::{Zone, parse_instant_ms};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What a log's text gives, with no regard to where its lines are cut into reads.
fn parse(log: &[u8]) -> Vec<Found> {
    let mut reader = AuditLog::new(Zone::UTC);
    let mut found: Vec<Found> =
        log.split_inclusive(|byte| *byte == b'\n').filter_map(|line| reader.line(line)).collect();
    found.extend(reader.end());
    found
}

/// The records of a log of which everything is understood.
fn records(log: &str) -> Vec<QueryRecord> {
    let whole = |found| match found {
        Found::Record { record, replaced: false, cut: None, foreign: None, .. } => *record,
        other => panic!("{other:?} in {log:?}"),
    };
    parse(log.as_bytes()).into_iter().map(whole).collect()
}

/// A record's field by one of Doris' names for it, as text.
fn field(record: &QueryRecord, key: &str) -> Option<String> {
    let text = |value: &Option<String>| value.clone();
    let number = |value: Option<i64>| value.map(|number| number.to_string());
    let truth = |value: Option<bool>| value.map(|truth| truth.to_string());
    match key {
        "Client" => text(&record.client),
        "User" => text(&record.user),
        "Ctl" | "Catalog" => text(&record.catalog),
        "Db" => text(&record.db),
        "State" => text(&record.state),
        "ErrorCode" => number(record.error_code),
        "ErrorMessage" => text(&record.error_message),
        "Time" | "Time(ms)" => number(record.duration_ms),
        "ScanBytes" => number(record.scan_bytes),
        "ScanRows" => number(record.scan_rows),
        "ReturnRows" => number(record.return_rows),
        "StmtId" => number(record.statement_id),
        "QueryId" => Some(record.query_id.to_string()),
        "IsQuery" => truth(record.is_query),
        "isNereids" | "IsNereids" => truth(record.is_nereids),
        "IsInternal" => truth(record.is_internal),
        "feIp" | "FeIp" => text(&record.frontend),
        "StmtType" => text(&record.statement_type),
        "CommandType" => text(&record.command_type),
        "Stmt" => text(&record.statement),
        "CpuTimeMS" => number(record.cpu_time_ms),
        "ShuffleSendBytes" => number(record.shuffle_send_bytes),
        "ShuffleSendRows" => number(record.shuffle_send_rows),
        "SqlHash" => text(&record.sql_hash),
        "SqlDigest" | "Digest" => text(&record.sql_digest),
        "peakMemoryBytes" | "PeakMemoryBytes" => number(record.peak_memory_bytes),
        "cloudClusterName" | "ComputeGroupName" => text(&record.compute_group),
        "TraceId" => text(&record.trace_id),
        "WorkloadGroup" => text(&record.workload_group),
        "FuzzyVariables" => text(&record.fuzzy_variables),
        "scanBytesFromLocalStorage" | "ScanBytesFromLocalStorage" => {
            number(record.local_scan_bytes)
        }
        "scanBytesFromRemoteStorage" | "ScanBytesFromRemoteStorage" => {
            number(record.remote_scan_bytes)
        }
        "SpillWriteBytesToLocalStorage" => number(record.spill_write_bytes),
        "queriedTablesAndViews" | "QueriedTablesAndViews" => text(&record.queried_tables),
        "SessionId" => text(&record.session_id),
        other => record.extra.get(other).cloned(),
    }
}

/// The keys of a version, in its order. What stands before `ErrorMessage` and between it and `Stmt` is
/// always written, what stands behind `Stmt` varies.
#[derive(Debug)]
struct Version {
    keys: &'static [&'static str],
    behind: &'static [&'static str],
}

const VERSIONS: &[Version] = &[
    // 0.13 to 0.15
    Version {
        keys: &[
            "Client", "User", "Db", "State", "ErrorCode", "ErrorMessage", "Time", "ScanBytes",
            "ScanRows", "ReturnRows", "StmtId", "QueryId", "IsQuery", "feIp",
        ],
        behind: &[],
    },
    // 1.x to 2.1
    Version {
        keys: &[
            "Client", "User", "Ctl", "Db", "State", "ErrorCode", "ErrorMessage", "Time(ms)",
            "ScanBytes", "ScanRows", "ReturnRows", "StmtId", "QueryId", "IsQuery", "isNereids",
            "feIp",
        ],
        behind: &[
            "CpuTimeMS", "ShuffleSendBytes", "ShuffleSendRows", "SqlHash", "peakMemoryBytes",
            "SqlDigest", "cloudClusterName", "TraceId", "WorkloadGroup", "FuzzyVariables",
            "scanBytesFromLocalStorage", "scanBytesFromRemoteStorage",
        ],
    },
    // 3.x
    Version {
        keys: &[
            "Timestamp", "Client", "User", "Ctl", "Db", "CommandType", "State", "ErrorCode",
            "ErrorMessage", "Time(ms)", "ScanBytes", "ScanRows", "ReturnRows", "StmtId", "QueryId",
            "IsQuery", "IsNereids", "FeIp", "StmtType",
        ],
        behind: &[
            "CpuTimeMS", "ShuffleSendBytes", "ShuffleSendRows", "SqlHash", "PeakMemoryBytes",
            "SqlDigest", "ComputeGroupName", "WorkloadGroup", "SessionId", "NotKnownYet",
            "FuzzyVariables", "ScanBytesFromLocalStorage", "ScanBytesFromRemoteStorage",
            "SpillWriteBytesToLocalStorage",
        ],
    },
    // A version in which the statement stands last, and all others before it.
    Version {
        keys: &[
            "Timestamp", "Client", "User", "Catalog", "Db", "State", "ErrorCode", "ErrorMessage",
            "Time(ms)", "CpuTimeMS", "PeakMemoryBytes", "ScanBytes", "ScanRows", "ReturnRows",
            "ShuffleSendRows", "ShuffleSendBytes", "NotKnownYet", "StmtId", "QueryId", "IsQuery",
            "IsNereids", "IsInternal", "FeIp", "SqlHash", "SqlDigest", "TraceId", "WorkloadGroup",
            "FuzzyVariables", "QueriedTablesAndViews", "SessionId", "ComputeGroupName",
            "ScanBytesFromLocalStorage", "ScanBytesFromRemoteStorage",
            "SpillWriteBytesToLocalStorage",
        ],
        behind: &[],
    },
];

fn value(key: &'static str) -> BoxedStrategy<String> {
    match key {
        // A message that is nothing but what looks like a field could be that field.
        "ErrorMessage" => text(&[]).prop_map(|text| text.strip_prefix('|').unwrap_or(&text).to_string()).boxed(),
        "Client" => "[0-9]{1,3}(\\.[0-9]{1,3}){3}:[0-9]{1,5}".boxed(),
        "User" | "Db" | "Ctl" | "Catalog" | "WorkloadGroup" | "cloudClusterName"
        | "ComputeGroupName" => "[\\p{L}0-9_:.@-]{0,12}".boxed(),
        "State" => select(&["EOF", "OK", "ERR"][..]).prop_map(str::to_string).boxed(),
        "QueryId" => "[0-9a-f]{1,16}-[0-9a-f]{1,16}".boxed(),
        "SqlHash" | "SqlDigest" => "[0-9a-f]{32}|".boxed(),
        "IsQuery" | "isNereids" | "IsNereids" | "IsInternal" => any::<bool>().prop_map(|b| b.to_string()).boxed(),
        "feIp" | "FeIp" => "[0-9]{1,3}(\\.[0-9]{1,3}){3}|null".boxed(),
        "FuzzyVariables" => "([a-z_]{1,8}=[a-z0-9]{1,5},){0,3}".boxed(),
        "QueriedTablesAndViews" => "\\[(`[a-z]{1,5}`\\.`[a-z]{1,5}`)?\\]".boxed(),
        "TraceId" | "SessionId" => "[0-9a-zA-Z-]{0,20}".boxed(),
        "CommandType" | "StmtType" => select(&["Query", "SELECT", "Init DB", ""][..]).prop_map(str::to_string).boxed(),
        "NotKnownYet" => "[a-z0-9]{1,9}".boxed(),
        "Timestamp" => "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]) (0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{3}|1[5-8][0-9]{11}".boxed(),
        _ => prop_oneof![(0..i64::MAX).prop_map(|n| n.to_string()), Just("-1".into()), Just("0".into())].boxed(),
    }
}

/// Text that may hold anything, and likes to hold what looks like a record.
fn text(more: &'static [&'static str]) -> impl Strategy<Value = String> {
    let hostile = [
        "|", "=", "'", "\"", "\\", "\n", "\r\n", "\r", "\t", " ", "...", "||", "|x=1",
        "|State=EOF", "|CpuTimeMS=1", "|SqlHash=abc", "|CpuTimeMS=1|SqlHash=abc", "|ErrorCode=0",
        "|=", "|Db", "2024-01-02 11:15:51,248 ", "2024-01-02 11:15:51,248 [query", "[query",
        "名称", "😀", "\u{200f}", "\0", "select", " from t where a = 'b'",
    ];
    let pieces: Vec<&'static str> = hostile.iter().chain(more).copied().collect();
    let piece = prop_oneof![4 => select(pieces).prop_map(str::to_string), 1 => "\\PC{0,8}"];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A record: the values by key, and its text.
fn record() -> impl Strategy<Value = (BTreeMap<&'static str, String>, String)> {
    let version = select((0..VERSIONS.len()).collect::<Vec<_>>()).prop_map(|at| &VERSIONS[at]);
    version.prop_flat_map(|version| {
        let keys: Vec<_> = version
            .keys
            .iter()
            .copied()
            .map(|key| {
                value(key).prop_map(move |value| {
                    let key: &'static str = key;
                    (key, value)
                })
            })
            .collect();
        // The first key behind the statement is always there; others come and go with versions.
        let behind = subsequence(
            version.behind.get(1..).unwrap_or(&[]).to_vec(),
            0..version.behind.len().max(1),
        );
        let behind = behind.prop_flat_map(|behind| {
            let all = version.behind.iter().take(1).chain(&behind).copied().collect::<Vec<_>>();
            all.into_iter()
                .map(|key| value(key).prop_map(move |value| (key, value)))
                .collect::<Vec<_>>()
        });
        let statement =
            text(&["|NotKnown=1", "|Stmt=select", "|QueryId=1-2", "|Time(ms)=5", "|ScanRows=7"]);
        let prefix = (
            select(&[",", "."][..]),
            select(&["248", "248123"][..]),
            select(&[" ", " INFO ", "  "][..]),
        );
        (keys, statement, behind, prefix).prop_map(|(keys, statement, behind, prefix)| {
            let (separator, fraction, level) = prefix;
            // A statement begins with a word, and here, where nothing behind it could tell its end from
            // a key's value, it ends with what no value has.
            let end = if behind.is_empty() { " ;" } else { "" };
            let statement = format!("select{statement}{end}");
            let mut log = format!("2024-01-02 11:15:51{separator}{fraction}{level}[query] ");
            for (key, value) in keys.iter().chain([&("Stmt", statement.clone())]).chain(&behind) {
                log += &format!("|{key}={value}");
            }
            let mut values: BTreeMap<_, _> = keys.into_iter().chain(behind).collect();
            values.insert("Stmt", statement);
            (values, log + "\n")
        })
    })
}

/// Checks that a record says what was written.
fn check(record: &QueryRecord, values: &BTreeMap<&str, String>) -> Result<(), TestCaseError> {
    for (key, value) in values {
        if *key == "Timestamp" {
            prop_assert_eq!(record.started_ms, parse_instant_ms(value, Zone::UTC));
            continue;
        }
        let known = match value.as_str() {
            "null" | "-1" => None,
            _ if value.trim().is_empty() => None,
            value => Some(value.to_string()),
        };
        // Without the time it took, it is what lies between the two times.
        if key.starts_with("Time") && known.is_none() {
            continue;
        }
        prop_assert_eq!(field(record, key), known, "{}", key);
    }
    if !values.contains_key("Timestamp") {
        let written = parse_instant_ms("2024-01-02 11:15:51,248", Zone::UTC);
        prop_assert_eq!(record.ended_ms, written);
        let time = values.get("Time").or(values.get("Time(ms)")).and_then(|time| time.parse().ok());
        let time = time.filter(|ms: &i64| *ms >= 0).unwrap_or(0);
        prop_assert_eq!(record.started_ms, written.map(|ms| ms - time));
    }
    prop_assert_eq!(record.kind, Kind::Query);
    prop_assert!(!record.is_slow);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_were_written(all in proptest::collection::vec(record(), 1..4)) {
        let log: String = all.iter().map(|(_, text)| text.as_str()).collect();
        let found = records(&log);
        prop_assert_eq!(found.len(), all.len());
        for (record, (values, _)) in found.iter().zip(&all) {
            check(record, values)?;
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), record in record()) {
        parse(&bytes);
        let mut log = record.1.into_bytes();
        log.extend(bytes);
        parse(&log);
    }
}

const HEAD: &str = "2024-01-02 11:15:51,248 [query] ";

fn statement(log: &str) -> String {
    records(&format!("{HEAD}{log}\n")).remove(0).statement.unwrap()
}

#[test]
fn text_that_looks_like_a_key_stays_text() {
    let head = "|User=u|ErrorMessage=|Time=5|QueryId=1-2|Stmt=";
    for sql in [
        "select '|CpuTimeMS=1'", "select '|CpuTimeMS=1|SqlHash=ab'", "select 1 -- |CpuTimeMS=one",
        "select a|b=c", "select 1 |User=x", "select 1 |QueryId=3-4",
    ] {
        assert_eq!(statement(&format!("{head}{sql}")), sql, "last");
        assert_eq!(statement(&format!("{head}{sql}|CpuTimeMS=0|SqlHash=ef")), sql, "in the middle");
    }
    assert_eq!(
        statement(&format!("{head}select 1|CpuTimeMS=1|CpuTimeMS=0")),
        "select 1|CpuTimeMS=1"
    );
    let before = "|User=u|CpuTimeMS=4|SqlHash=ab|QueryId=1-2|Stmt=select 1|CpuTimeMS=4";
    assert_eq!(statement(before), "select 1|CpuTimeMS=4");
}

#[test]
fn an_error_message_ends_where_the_fields_begin() {
    let log = "|State=ERR|ErrorCode=1|ErrorMessage=near '|State=x'|CpuTimeMS=1|Time(ms)=5|QueryId=1-2\
               |Stmt=select 1|CpuTimeMS=0|TraceId=t";
    let record = records(&format!("{HEAD}{log}\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some("near '|State=x'|CpuTimeMS=1"));
    assert_eq!((record.duration_ms, record.cpu_time_ms), (Some(5), Some(0)));
    assert_eq!(record.statement.as_deref(), Some("select 1"));
    let record =
        records(&format!("{HEAD}|ErrorMessage=|NewKey=5|Time=1|QueryId=1-2|Stmt=s\n")).remove(0);
    assert_eq!((record.error_message, record.extra["NewKey"].as_str()), (None, "5"));
}

#[test]
fn a_record_spans_lines_until_the_next_prefix() {
    let log = format!(
        "{HEAD}|QueryId=1-1|Stmt=select\n 1\r\n\n\n{HEAD}|QueryId=2-2|Stmt=select 2\n\
         2024-01-02 11:15:51.248999 INFO [slow_query] |QueryId=3-3|Stmt=select\n3|CpuTimeMS=3\n"
    );
    let records = records(&log);
    let statements: Vec<_> = records.iter().map(|record| record.statement.as_deref()).collect();
    assert_eq!(statements, [Some("select\n 1"), Some("select 2"), Some("select\n3")]);
    assert_eq!(records[2].cpu_time_ms, Some(3));
    assert!(records[2].is_slow && !records[1].is_slow);
}

#[test]
fn loads_have_their_own_fields() {
    let log = "2024-01-02 11:15:51,248 [load] |JobId=7|Label=l|LoadType=BROKER|Db=d|TableList=t1,t2\
               |FilePathList=hdfs://a|BrokerUser=b|Timestamp=-1|LoadStartTime=1704190000000\
               |LoadFinishTime=1704190003000|ScanRows=1|ScanBytes=2|FileNumber=3\n\
               2024-01-02 11:15:51,248 [stream_load] |Label=s|Db=d|Table=t|User=u|ClientIp=1.2.3.4\
               |Status=Fail|Message=too many|Table=filtered rows|Url=http://e|TotalRows=5|LoadedRows=1\
               |FilteredRows=3|UnselectedRows=1|LoadBytes=9|StartTime=2024-01-02 11:15:50.000\
               |FinishTime=2024-01-02 11:15:50.500\n";
    let records = records(log);
    let (broker, stream) = (&records[0], &records[1]);
    assert_eq!((broker.query_id.as_str(), broker.kind), ("7", Kind::Load));
    assert_eq!((broker.started_ms, broker.duration_ms), (Some(1_704_190_000_000), Some(3000)));
    assert_eq!((broker.state.as_deref(), broker.scan_bytes), (Some("FINISHED"), Some(2)));
    let load = broker.load.as_ref().unwrap();
    assert_eq!((load.table_list.as_deref(), load.file_number), (Some("t1,t2"), Some(3)));
    assert_eq!((load.broker_user.as_deref(), load.label.as_deref()), (Some("b"), Some("l")));
    let load = stream.load.as_ref().unwrap();
    assert_eq!(load.message.as_deref(), Some("too many|Table=filtered rows"));
    assert_eq!((load.url.as_deref(), load.filtered_rows), (Some("http://e"), Some(3)));
    assert_eq!((stream.user.as_deref(), stream.client.as_deref()), (Some("u"), Some("1.2.3.4")));
    assert_eq!((stream.state.as_deref(), stream.duration_ms), (Some("Fail"), Some(500)));
}

#[test]
fn a_statement_without_an_id_and_its_slow_query_line_are_one() {
    let line = "|Client=a:1|User=u|Time=9|StmtId=4|QueryId=|feIp=f|Stmt=set x = 1\n";
    let log = format!("{HEAD}{line}2024-01-02 11:15:51,249 [slow_query] {line}");
    let records = records(&log);
    assert_eq!(records[0].query_id, records[1].query_id);
    let other = format!("{HEAD}{}", line.replace("StmtId=4", "StmtId=5"));
    let Found::Record { record, .. } = parse(other.as_bytes()).remove(0) else { panic!() };
    assert_ne!(record.query_id, records[0].query_id);
}

#[test]
fn starrocks_writes_json_and_its_own_zone() {
    let log = "2024-01-02 11:15:51.248+08:00 INFO (pool-1|7) [AuditLog.log():68] \
               {\"QueryId\":\"a-b\",\"Time\":48,\"Stmt\":\"select\\n1\",\"IsQuery\":true,\"New\":{\"x\":1}}\n";
    let record = records(log).remove(0);
    assert_eq!(record.ended_ms, parse_instant_ms("2024-01-02 03:15:51.248", Zone::UTC));
    assert_eq!((record.statement.as_deref(), record.is_query), (Some("select\n1"), Some(true)));
    assert_eq!((record.duration_ms, record.extra["New"].as_str()), (Some(48), "{\"x\":1}"));
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_a_mark_is_left_out() {
    let mut log = b"\xef\xbb\xbf".to_vec();
    log.extend_from_slice(HEAD.as_bytes());
    log.extend_from_slice(b"|QueryId=1-2|Stmt=select '\xff\xfe'\n");
    let Found::Record { record, replaced: true, .. } = parse(&log).remove(0) else { panic!() };
    assert_eq!(record.statement.as_deref(), Some("select '\u{fffd}\u{fffd}'"));
}

#[test]
fn what_is_no_number_is_kept_as_it_came() {
    let record =
        records(&format!("{HEAD}|ScanRows=many|IsQuery=perhaps|QueryId=1-2|Stmt=s\n")).remove(0);
    assert_eq!((record.scan_rows, record.is_query), (None, None));
    assert_eq!(
        (record.extra["ScanRows"].as_str(), record.extra["IsQuery"].as_str()),
        ("many", "perhaps")
    );
}

#[test]
fn a_record_cut_off_within_its_id_is_not_kept() {
    for cut in [&format!("{HEAD}|User=a"), &format!("{HEAD}|User=a|QueryId=1a2b")] {
        let found = parse(cut.as_bytes());
        let [Found::Skipped(skipped)] = found.as_slice() else { panic!("{found:?}") };
        assert!([SkipReason::CutOff, SkipReason::NoQueryId].contains(&skipped.reason), "{cut}");
    }
}
