//! The audit log's parser: any record that a frontend can write comes back as it was.

#[path = "../../../tests/it/support/audit_log.rs"]
mod forms;

use std::collections::BTreeMap;

use self::forms::{DORIS_2_1, DORIS_4_0, Form, STARROCKS_3, record_of};
use super::AuditLog;
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::statement::as_sent;
use crate::domain::time::{Zone, parse_instant_ms};
use crate::formats::{Item, Misread, SkipReason};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Doris 0.12 to 1.1: the statement stands last, and nothing says when it started.
const DORIS_1: Form = &[
    ("Client", "10.0.0.1:5000"),
    ("User", "root"),
    ("Db", "default_cluster:test"),
    ("State", "EOF"),
    ("Time", "0"),
    ("ScanBytes", "0"),
    ("ScanRows", "0"),
    ("ReturnRows", "1"),
    ("StmtId", "1"),
    ("QueryId", ""),
    ("IsQuery", "true"),
    ("feIp", "10.0.0.2"),
    ("Stmt", ""),
];

/// Doris 2.0: the statement stands in the middle, and the last field is mostly empty.
const DORIS_2_0: Form = &[
    ("Client", "10.0.0.1:5000"),
    ("User", "root"),
    ("Ctl", "internal"),
    ("Db", "test"),
    ("State", "EOF"),
    ("ErrorCode", "0"),
    ("ErrorMessage", ""),
    ("Time(ms)", "0"),
    ("ScanBytes", "0"),
    ("ScanRows", "0"),
    ("ReturnRows", "1"),
    ("StmtId", "1"),
    ("QueryId", ""),
    ("IsQuery", "true"),
    ("isNereids", "true"),
    ("feIp", "10.0.0.2"),
    ("Stmt", ""),
    ("CpuTimeMS", "0"),
    ("SqlHash", "ab"),
    ("peakMemoryBytes", "0"),
    ("SqlDigest", ""),
    ("TraceId", ""),
    ("WorkloadGroup", ""),
    ("FuzzyVariables", ""),
];

/// What a log's text gives, with no regard to where its lines are cut into reads.
fn parse(log: &[u8]) -> Vec<Item> {
    let mut reader = AuditLog::new(Zone::UTC);
    let mut found: Vec<Item> =
        log.split_inclusive(|byte| *byte == b'\n').filter_map(|line| reader.line(line)).collect();
    found.extend(reader.end());
    found
}

/// The records of a log of which everything is understood.
fn records(log: &str) -> Vec<QueryRecord> {
    let whole = |found| match found {
        Item::Record { record, replaced: false, cut: None, foreign: None, .. } => *record,
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
        "SpillReadBytesFromLocalStorage" => number(record.spill_read_bytes),
        "ParseTimeMs" => number(record.parse_time_ms),
        "HitSqlCache" => truth(record.cache_hit),
        "chosenMViews" => text(&record.chosen_views),
        "ChangedVariables" => record.changed_variables.as_deref().map(str::to_string),
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
    // 1.1
    Version {
        keys: &[
            "Client", "User", "Db", "State", "ErrorCode", "ErrorMessage", "Time", "ScanBytes",
            "ScanRows", "ReturnRows", "StmtId", "QueryId", "IsQuery", "feIp",
        ],
        behind: &[],
    },
    // 1.2 to 2.1
    Version {
        keys: &[
            "Client", "User", "Ctl", "Db", "State", "ErrorCode", "ErrorMessage", "Time(ms)",
            "ScanBytes", "ScanRows", "ReturnRows", "StmtId", "QueryId", "IsQuery", "isNereids",
            "feIp", "StmtType",
        ],
        behind: &[
            "CpuTimeMS", "ShuffleSendBytes", "ShuffleSendRows", "SqlHash", "peakMemoryBytes",
            "SqlDigest", "cloudClusterName", "TraceId", "WorkloadGroup", "FuzzyVariables",
            "scanBytesFromLocalStorage", "scanBytesFromRemoteStorage",
        ],
    },
    // 3.0, with a key that some version to come may have
    Version {
        keys: &[
            "Timestamp", "Client", "User", "Ctl", "Db", "CommandType", "State", "ErrorCode",
            "ErrorMessage", "Time(ms)", "ScanBytes", "ScanRows", "ReturnRows", "StmtId", "QueryId",
            "IsQuery", "IsNereids", "FeIp", "StmtType",
        ],
        behind: &[
            "CpuTimeMS", "ShuffleSendBytes", "ShuffleSendRows", "SqlHash", "PeakMemoryBytes",
            "SqlDigest", "ComputeGroupName", "WorkloadGroup", "NotKnownYet", "FuzzyVariables",
            "ScanBytesFromLocalStorage", "ScanBytesFromRemoteStorage",
        ],
    },
    // 3.1 and 4.x, with such a key too: the statement stands last, and all others before it.
    Version {
        keys: &[
            "QueryId", "Timestamp", "Client", "User", "FeIp", "Ctl", "Db", "State", "ErrorCode",
            "ErrorMessage", "Time(ms)", "CpuTimeMS", "PeakMemoryBytes", "ScanBytes", "ScanRows",
            "ReturnRows", "ShuffleSendRows", "ShuffleSendBytes", "SpillWriteBytesToLocalStorage",
            "SpillReadBytesFromLocalStorage", "ScanBytesFromLocalStorage",
            "ScanBytesFromRemoteStorage", "ParseTimeMs", "PlanTimesMs", "GetMetaTimesMs",
            "ScheduleTimesMs", "HitSqlCache", "isHandledInFe", "queriedTablesAndViews",
            "chosenMViews", "ChangedVariables", "FuzzyVariables", "NotKnownYet", "SqlMode",
            "CommandType", "StmtType", "StmtId", "SqlHash", "SqlDigest", "IsQuery", "IsNereids",
            "IsInternal", "WorkloadGroup", "ComputeGroupName",
        ],
        behind: &[],
    },
];

fn value(key: &'static str) -> BoxedStrategy<String> {
    match key {
        // A message that is nothing but what looks like a field could be that field.
        "ErrorMessage" => message_text().prop_map(|text| text.strip_prefix('|').unwrap_or(&text).to_string()).boxed(),
        "Client" => "[0-9]{1,3}(\\.[0-9]{1,3}){3}:[0-9]{1,5}".boxed(),
        "User" | "Db" | "Ctl" | "WorkloadGroup" | "cloudClusterName"
        | "ComputeGroupName" => "[\\p{L}0-9_:.@-]{0,12}".boxed(),
        "State" => select(&["EOF", "OK", "ERR"][..]).prop_map(str::to_string).boxed(),
        "QueryId" => "[1-9a-f][0-9a-f]{0,15}-[1-9a-f][0-9a-f]{0,15}".boxed(),
        "SqlHash" | "SqlDigest" => "[0-9a-f]{32}|".boxed(),
        "IsQuery" | "isNereids" | "IsNereids" | "IsInternal" | "HitSqlCache" | "isHandledInFe" => any::<bool>().prop_map(|b| b.to_string()).boxed(),
        "feIp" | "FeIp" => "[0-9]{1,3}(\\.[0-9]{1,3}){3}|null".boxed(),
        "FuzzyVariables" => "([a-z_]{1,8}=[a-z0-9]{1,5},){0,3}".boxed(),
        "queriedTablesAndViews" | "chosenMViews" => {
            "\\[(\"internal\\.[a-z]{1,5}\\.[a-z]{1,5}\")?\\]".boxed()
        }
        "PlanTimesMs" => "\\{\"plan\":[1-9][0-9]?,\"analyze\":[0-9]\\}".boxed(),
        "GetMetaTimesMs" => "\\{\"get_partition_version_time_ms\":[0-9]\\}".boxed(),
        "ScheduleTimesMs" => "\\{\"schedule_time_ms\":[0-9],\"fragment_rpc_count\":[0-9]\\}".boxed(),
        "ChangedVariables" => "\\{\"[a-z_]{1,9}\":\"[a-z0-9]{1,5}\"\\}".boxed(),
        "SqlMode" => "[A-Z_]{1,12}".boxed(),
        "TraceId" => "[0-9a-zA-Z-]{0,20}".boxed(),
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

/// Text of a message. It does not end with what looks like a field of a new key, for that is read as one.
fn message_text() -> impl Strategy<Value = String> {
    let field = regex::Regex::new(r"\|([A-Za-z][A-Za-z0-9_()]*)=").unwrap();
    let of_other_fields = ["State", "CpuTimeMS", "SqlHash", "ErrorCode", "x"];
    text(&[]).prop_map(move |text| {
        let text = field.replace_all(&text, |found: &regex::Captures<'_>| {
            match of_other_fields.contains(&&found[1]) {
                true => found[0].to_string(),
                false => format!("|,{}=", &found[1]),
            }
        });
        text.replace("|Db", "|Db,")
    })
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
            let mut statement = format!("select{statement}{end}");
            if version.keys.contains(&"PlanTimesMs") {
                // From 3.0 on, line ends are written as two characters.
                statement = statement.replace('\n', "\\n").replace('\r', "\\r");
            }
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
            "[]" if *key == "chosenMViews" => None,
            _ if value.trim().is_empty() => None,
            statement if *key == "Stmt" => Some(as_sent(statement).into_owned()),
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

/// The statement of a record.
fn statement(log: &str) -> String {
    records(&format!("{log}\n")).remove(0).statement.unwrap()
}

#[test]
fn text_that_looks_like_a_key_stays_text() {
    for sql in [
        "select '|CpuTimeMS=1'", "select '|CpuTimeMS=1|SqlHash=ab'", "select 1 -- |CpuTimeMS=one",
        "select a|b=c", "select 1 |User=x", "select 1 |QueryId=3-4",
    ] {
        for write in [doris1 as Write, doris2, doris2_1, doris4, starrocks] {
            assert_eq!(statement(&write("1-2", sql)), sql);
        }
    }
    for write in [doris2 as Write, doris2_1, doris4] {
        assert_eq!(statement(&write("1-2", "select 1|CpuTimeMS=1")), "select 1|CpuTimeMS=1");
    }
}

#[test]
fn an_error_message_ends_where_the_fields_begin() {
    let log = doris2_1("1-2", "select 1")
        .replace("ErrorMessage=", "ErrorMessage=near '|State=x'|CpuTimeMS=1");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some("near '|State=x'|CpuTimeMS=1"));
    assert_eq!((record.duration_ms, record.cpu_time_ms), (Some(12), Some(3)));
    assert_eq!(record.statement.as_deref(), Some("select 1"));
    // A key of some version to come behind it.
    let log = doris4("1-2", "s").replace("|Time(ms)=", "|NewKey=5|Time(ms)=");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!((record.error_message, record.extra["NewKey"].as_str()), (None, "5"));
}

#[test]
fn an_error_message_ends_where_fields_in_any_order_begin() {
    let log = doris2("1-a", "select 1").replace("State=EOF", "State=ERR");
    for (message, more) in [
        ("oops", "|NewKey=5"),
        ("oops", "|NewKey={\"a\":\"|Stmt=x\"}|OtherKey=a"),
        ("", "|NewKey=5"),
        ("near '|User=x'", "|NewKey=5"),
        ("near |User=x|SqlHash=3", "|NewKey=5"),
    ] {
        let log = log.replace("ErrorMessage=", &format!("ErrorMessage={message}{more}"));
        let record = records(&(log + "\n")).remove(0);
        assert_eq!(record.error_message.as_deref().unwrap_or_default(), message);
        assert_eq!(record.extra.len(), more.matches("Key=").count(), "{message}{more}");
        assert_eq!((record.duration_ms, record.sql_hash.as_deref()), (Some(12), Some("5f0c3b")));
    }
    // What stands behind the statement stands before it in no record of the same version.
    let both = log.replace("ErrorMessage=", "ErrorMessage=near|WorkloadGroup=etl|NewKey=5");
    let record = records(&(both.replace("|FuzzyVariables=", "|NewKey=6") + "\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some("near|WorkloadGroup=etl|NewKey=5"));
    assert_eq!(record.extra["NewKey"], "6");
    // Keys of Doris 4 in another order, the time in front, in the middle or at the end.
    let fields = [
        "SqlMode=A,B", "User=alice", "WorkloadGroup=normal", "PlanTimesMs={\"plan\":6}",
        "CpuTimeMS=3", "HitSqlCache=false", "QueryId=1-a", "Time(ms)=417", "ParseTimeMs=1",
        "queriedTablesAndViews=[\"a.b\"]",
    ];
    for turn in 0..fields.len() {
        let mut fields = fields;
        fields.rotate_left(turn);
        for at in [0, 4, 9] {
            for message in ["errCode = 2, detail: no |x=1 'a'", ""] {
                let (first, rest) = fields.split_at(at);
                let message_field = format!("ErrorMessage={message}");
                let log = [first, &[&message_field], rest, &["Stmt=select 1"]].concat();
                let record = records(&format!("{HEAD}|State=ERR|{}\n", log.join("|"))).remove(0);
                let is = |key: &str| field(&record, key).unwrap_or_default();
                let found = [
                    "ErrorMessage", "User", "WorkloadGroup", "Time(ms)", "CpuTimeMS", "SqlMode",
                    "Stmt",
                ]
                .map(is);
                assert_eq!(
                    found,
                    [message, "alice", "normal", "417", "3", "A,B", "select 1"],
                    "{log:?}"
                );
                assert_eq!((record.plan_time_ms, record.query_id.as_str()), (Some(6), "1-a"));
            }
        }
    }
}

#[test]
fn an_error_message_behind_the_statement_is_any_text() {
    let failed =
        starrocks("1-a", "select '|Digest=9|ErrorMessage=x'").replace("State=EOF", "State=ERR");
    for message in ["foo\nbar", "foo\n\nbar: 'x'", "near |Digest=3|x=1", "a|State=EOF\n|Digest=\nb"]
    {
        for (behind, end) in
            [("", "\n"), ("", "\r\n\n"), ("", "|\n\n"), ("|NewKey=5", "\n"), ("|SessionId=s", "\n")]
        {
            let log = format!("{failed}|ErrorMessage={message}{behind}{end}");
            let record = records(&(log.clone() + &log)).remove(0);
            assert_eq!(record.error_message.as_deref(), Some(message), "{behind} {end:?}");
            assert_eq!(record.statement.as_deref(), Some("select '|Digest=9|ErrorMessage=x'"));
            assert_eq!(
                (record.queue_time_ms, record.compute_group.as_deref()),
                (Some(15), Some("bi_wh"))
            );
            assert_eq!(
                record.extra.get("NewKey").map(String::as_str),
                behind.strip_prefix("|NewKey=")
            );
        }
    }
    // Without a failure, or a message, lines behind it are those of others.
    for log in [format!("{failed}|ErrorMessage="), starrocks("1-a", "s") + "|ErrorMessage=foo"] {
        let found = parse(format!("{log}\nagent: rotated\n").as_bytes());
        assert!(matches!(found[..], [Item::Record { foreign: Some(_), .. }]), "{found:?}");
    }
}

#[test]
fn an_error_message_may_quote_a_record() {
    let quoted = "no: |ErrorMessage=|Stmt=select 2|CpuTimeMS=9";
    let log = doris2("1-2", "select 1").replace("ErrorMessage=", &format!("ErrorMessage={quoted}"));
    let record = records(&(log + "\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some(quoted));
    assert_eq!((record.statement.as_deref(), record.cpu_time_ms), (Some("select 1"), Some(3)));
    for (message, expected) in [("", None), ("no|x=1", Some("no|x=1"))] {
        let log =
            doris4("1-2", "select 1").replace("ErrorMessage=", &format!("ErrorMessage={message}"));
        let record = records(&(log + "\n")).remove(0);
        assert_eq!(record.error_message.as_deref(), expected);
        assert_eq!(record.statement.as_deref(), Some("select 1"));
    }
}

#[test]
fn a_record_spans_lines_until_the_next_prefix() {
    let log = [
        doris1("1-1", "select\n 1") + "\r\n\n\n",
        doris1("2-2", "select 2") + "\n",
        doris2_1("3-3", "select\n3").replace(",220 [query]", ".220999 INFO [slow_query]") + "\n",
    ];
    let records = records(&log.concat());
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
    let line = doris2_1("NaN", "set x = 1") + "\n";
    let slow = line.replace(",220 [query]", ",221 [slow_query]");
    let records = records(&format!("{line}{slow}"));
    assert_eq!(records[0].query_id, records[1].query_id);
    let other = line.replace("StmtId=31", "StmtId=32");
    let Item::Record { record, .. } = parse(other.as_bytes()).remove(0) else { panic!() };
    assert_ne!(record.query_id, records[0].query_id);
}

#[test]
fn starrocks_writes_json_and_its_own_zone() {
    // What a version to come may add is kept, and without a Timestamp the line's own time, with its zone, is the end.
    let log = starrocks_json("0199aa10-5c3e-7d21-9f00-0a1b2c3d4e5f", "select\n1")
        .replace("2026-01-03 17:10:00.716Z", "2024-01-02 11:15:51.248+08:00")
        .replace("\"Timestamp\":1767460199503,", "\"New\":{\"x\":1},");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!(record.ended_ms, parse_instant_ms("2024-01-02 03:15:51.248", Zone::UTC));
    assert_eq!((record.statement.as_deref(), record.is_query), (Some("select\n1"), Some(true)));
    assert_eq!((record.duration_ms, record.extra["New"].as_str()), (Some(640), "{\"x\":1}"));
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_a_mark_is_left_out() {
    let mut log = b"\xef\xbb\xbf".to_vec();
    let record = doris1("1-2", "select '@@'") + "\n";
    log.extend(record.bytes().map(|byte| if byte == b'@' { 0xff } else { byte }));
    let Item::Record { record, replaced: true, .. } = parse(&log).remove(0) else { panic!() };
    assert_eq!(record.statement.as_deref(), Some("select '\u{fffd}\u{fffd}'"));
}

#[test]
fn what_is_no_number_is_kept_as_it_came() {
    // No version writes that, but a version to come may.
    let log = doris2_1("1-2", "s").replace("ScanRows=40", "ScanRows=many");
    let log = log.replace("IsQuery=true", "IsQuery=perhaps");
    let record = records(&(log + "\n")).remove(0);
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
        let [Item::Skipped(skipped)] = found.as_slice() else { panic!("{found:?}") };
        assert!([SkipReason::CutOff, SkipReason::NoQueryId].contains(&skipped.reason), "{cut}");
    }
}

// ---- Any keys in any order, with any values.

/// A form that frontends write, with the keys between which others may stand.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// Doris 1.2 to 3.0: the statement in the middle.
    Doris2,
    /// Doris 3.1 and later: the statement last.
    Doris4,
    /// StarRocks 2.x to 4.x, as text: the statement in the middle.
    StarRocks,
    /// StarRocks 3.x and later, as JSON.
    StarRocksJson,
}

/// Text of one line that holds all that values hold, but for a bar.
fn odd_text() -> impl Strategy<Value = String> {
    let pieces = [
        "'", "\"", ";", "=", "`", "\\", "{", "}", "[", "]", ",", ":", " ", "a=1", "'bob'@'%'",
        "(x, y)", "select 1", "\u{fffd}", "名", "->", "\\n", "--", "/*",
    ];
    proptest::collection::vec(select(pieces.to_vec()), 1..8)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("no value is blank or a word for nothing", |text| !text.trim().is_empty())
        .prop_map(|text| text.trim().to_string())
}

/// Any JSON object or array; its texts like to hold what looks like fields.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let hostile = [
        "|",
        "|CpuTimeMS=1|",
        "|Digest=ab|",
        "|Stmt=select 1",
        "|Time(ms)=7|ScanBytes=1",
        "|NewKey=",
        "\"",
        "\\",
        "\n",
        "'",
        ";",
        "internal.shop.orders",
        "{",
        "]",
        "2024-01-02 11:15:51,248 [query] |User=x",
    ];
    let text = proptest::collection::vec(select(hostile.to_vec()), 0..4)
        .prop_map(|pieces| pieces.concat());
    let leaf = prop_oneof![
        text.prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let object = |value: BoxedStrategy<serde_json::Value>| {
        proptest::collection::vec(("[a-z_]{1,8}", value), 0..4)
            .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect()))
    };
    let nested = leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            object(inner.boxed()),
        ]
    });
    prop_oneof![
        proptest::collection::vec(nested.clone(), 0..4).prop_map(serde_json::Value::from),
        proptest::collection::vec(("[a-z_]{1,8}", nested), 0..4)
            .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
    ]
}

/// Keys that no version writes yet, with values of any kind.
fn new_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        json().prop_map(|json| json.to_string()),
        odd_text(),
        "[a-zA-Z0-9_.]{1,12}",
        "[0-9]{1,9}",
    ];
    let name = "(X[a-z]{1,5}[A-Z][a-zA-Z]{0,6}|is[A-Z]x[a-z]{1,8})";
    proptest::collection::btree_map(name, value, 0..6)
        .prop_map(|fields| fields.into_iter().collect::<Vec<_>>())
}

/// Known fields in any order with new ones between them.
fn shuffled(known: &[(&str, &str)]) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let known: Vec<(String, String)> =
        known.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    new_fields().prop_flat_map(move |new| Just([known.clone(), new].concat()).prop_shuffle())
}

/// New fields between a message and the row behind it. A value there that looks like text is the message's.
fn plain_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let value =
        prop_oneof![json().prop_map(|json| json.to_string()), "[a-zA-Z0-9_.]{1,12}", "[0-9]{1,9}"];
    proptest::collection::btree_map("X[a-z]{1,5}[A-Z][a-zA-Z]{0,6}", value, 0..4)
        .prop_map(|fields| fields.into_iter().collect())
}

/// An error message that StarRocks writes behind the statement.
fn message_behind() -> impl Strategy<Value = String> {
    let pieces = [
        "\n", "\n\n", "|Digest=3", "|Digest=", "|State=EOF", "|x=1", "|User=eve", "'", "\"", "; ",
        "|", "名", " at line 1",
    ];
    proptest::collection::vec(select(pieces.to_vec()), 0..8)
        .prop_map(|pieces| format!("no table {}.", pieces.concat()))
}

/// A record of a dialect: its fields, and its line.
fn any_record() -> impl Strategy<Value = (Vec<(String, String)>, String)> {
    let dialect =
        select(&[Dialect::Doris2, Dialect::Doris4, Dialect::StarRocks, Dialect::StarRocksJson][..]);
    let head = shuffled(&[
        ("Client", "10.1.2.3:5000"),
        ("User", "alice"),
        ("Db", "shop"),
        ("State", "ERR"),
        ("ErrorCode", "1105"),
    ]);
    let plan = json().prop_map(|json| json.to_string());
    let figures = shuffled(&[
        ("ScanBytes", "11"),
        ("ScanRows", "12"),
        ("ReturnRows", "13"),
        ("StmtId", "14"),
        ("QueryId", "1a-2b"),
        ("IsQuery", "true"),
        ("FeIp", "10.0.0.9"),
    ]);
    let behind = shuffled(&[("SessionId", "s-1"), ("WorkloadGroup", "etl")]);
    let message = prop_oneof![
        Just(String::new()),
        message_text().prop_map(|text| format!("errCode = 2, detail: {text}")),
    ];
    let statement =
        text(&["|NotKnown=1", "|QueryId=1-2", "|Time(ms)=5", "|ScanRows=7", "|Digest=x'"]);
    let message = (message, message_behind(), plain_fields(), any::<bool>(), 0..100usize);
    (dialect, head, (message, plan), figures, statement, behind).prop_map(
        |(dialect, head, (message, plan), mut figures, statement, mut behind)| {
            let (message, message_behind, mut middle, is_early, turn) = message;
            if is_early {
                // The figures stand in front of the time, too.
                let is_known = |(key, _): &(String, String)| !key.starts_with(['X', 'i']);
                middle.extend(figures.iter().filter(|field| is_known(field)).cloned());
                figures.retain(|field| !is_known(field));
                let turn = turn % middle.len().max(1);
                middle.rotate_left(turn);
            }
            let field = |key: &str, value: &str| (key.to_string(), value.to_string());
            let mut statement = format!("select 1 {statement} from t;");
            let mut fields = head;
            match dialect {
                Dialect::Doris2 => {
                    fields.push(field("ErrorMessage", &message));
                    fields.extend(middle);
                    fields.push(field("Time(ms)", "15"));
                    fields.extend(figures);
                    fields.push(field("Stmt", &statement));
                    fields.push(field("CpuTimeMS", "16"));
                }
                Dialect::Doris4 => {
                    // It writes line ends of a statement as two characters.
                    statement = statement.replace(['\n', '\r'], " ");
                    fields.push(field("ErrorMessage", &message));
                    fields.extend(middle);
                    fields.push(field("Time(ms)", "15"));
                    fields.push(field("CpuTimeMS", "16"));
                    // A message with this key, too, would be that of the record.
                    fields.push(field("SqlHash", "5f0c3b"));
                    fields.push(field("GetMetaTimesMs", &plan));
                    fields.push(field("HitSqlCache", "true"));
                    fields.extend(figures);
                    fields.extend(behind.clone());
                    fields.push(field("Stmt", &statement));
                }
                Dialect::StarRocks | Dialect::StarRocksJson => {
                    fields.push(field("ResourceGroup", ""));
                    fields.push(field("Time", "15"));
                    fields.push(field("CpuCostNs", "15600000"));
                    fields.extend(figures);
                    fields.extend(middle);
                    fields.push(field("Stmt", &statement));
                    fields.push(field("Digest", "0af1"));
                    // It goes by another name there.
                    behind.retain(|(key, _)| key != "WorkloadGroup");
                    let at = turn % (behind.len() + 1);
                    behind.insert(at, field("ErrorMessage", &message_behind));
                }
            }
            if !matches!(dialect, Dialect::Doris4) {
                let names: Vec<String> = fields.iter().map(|(key, _)| key.clone()).collect();
                fields.extend(behind.into_iter().filter(|(key, _)| !names.contains(key)));
            }
            // No record has a key twice.
            let mut names = Vec::new();
            fields.retain(|(key, _)| {
                let new = !names.contains(key);
                names.push(key.clone());
                new
            });
            let line = match dialect {
                Dialect::StarRocksJson => {
                    let object: serde_json::Map<_, _> = fields
                        .iter()
                        .map(|(key, value)| {
                            let json = serde_json::from_str(value).ok().filter(
                                |json: &serde_json::Value| {
                                    !json.is_string() && !json.is_null() && !json.is_f64()
                                },
                            );
                            (key.clone(), json.unwrap_or_else(|| value.as_str().into()))
                        })
                        .collect();
                    format!(
                        "2024-01-02 11:15:51.248Z INFO (p|7) [AuditLog.log():68] {}\n",
                        serde_json::Value::Object(object)
                    )
                }
                _ => {
                    let fields: String =
                        fields.iter().map(|(key, value)| format!("|{key}={value}")).collect();
                    format!("{HEAD}{fields}\n")
                }
            };
            (fields, line)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn fields_come_back_whatever_they_hold((fields, line) in any_record()) {
        let found = records(&line);
        prop_assert_eq!(found.len(), 1, "{}", line);
        let record = &found[0];
        for (key, value) in &fields {
            let told = match key.as_str() {
                "ResourceGroup" => continue,
                "CpuCostNs" => {
                    prop_assert_eq!(record.cpu_time_ms, Some(16));
                    continue;
                }
                "HitSqlCache" => {
                    prop_assert_eq!(record.cache_hit, Some(true));
                    continue;
                }
                "GetMetaTimesMs" => record.extra.get("GetMetaTimesMs").cloned(),
                key => field(record, key),
            };
            let value = if key == "Stmt" { as_sent(value) } else { value.into() };
            let known = Some(value.into_owned()).filter(|value| !value.is_empty());
            // A JSON object is read as one: its order and its spaces are not kept, and need not be.
            match (&told, &known) {
                (Some(told), Some(known)) if told != known => {
                    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                    prop_assert!(json(told).is_some() && json(told) == json(known), "{key}: {told} is not {known} in {line}");
                }
                _ => prop_assert_eq!(&told, &known, "{} in {}", key, line),
            }
        }
    }
}

// ---- Lines between records.

/// A record of a version, without its line end.
fn write(form: Form, head: &str, values: &[(&str, &str)]) -> String {
    record_of(form, head, values).trim_end_matches('\n').to_string()
}

/// A record of Doris 1.1 and before, whose last field is the statement.
fn doris1(id: &str, statement: &str) -> String {
    let values = [("QueryId", id), ("Time", "12"), ("Stmt", statement)];
    write(DORIS_1, "2024-01-02 11:15:51,248 [query]", &values)
}

/// What the records of 2.x say.
fn values_of_2<'a>(id: &'a str, statement: &'a str) -> [(&'a str, &'a str); 11] {
    [
        ("User", "ann"),
        ("Db", "shop"),
        ("Time(ms)", "12"),
        ("ScanRows", "40"),
        ("StmtId", "31"),
        ("QueryId", id),
        ("Stmt", statement),
        ("CpuTimeMS", "3"),
        ("SqlHash", "5f0c3b"),
        ("peakMemoryBytes", "2048"),
        ("WorkloadGroup", "normal"),
    ]
}

/// A record of Doris 2.0, whose last field may be empty.
fn doris2(id: &str, statement: &str) -> String {
    write(DORIS_2_0, "2025-07-02 10:00:06,220 [query]", &values_of_2(id, statement))
}

/// A record of Doris 2.1.
fn doris2_1(id: &str, statement: &str) -> String {
    write(DORIS_2_1, "2025-07-02 10:00:06,220 [query]", &values_of_2(id, statement))
}

/// A record of Doris 4.0, whose last field is the statement.
fn doris4(id: &str, statement: &str) -> String {
    let values = [
        ("QueryId", id),
        ("Timestamp", "2026-02-03 10:00:00.100"),
        ("User", "ann"),
        ("Db", "shop"),
        ("Time(ms)", "9"),
        ("CpuTimeMS", "3"),
        ("PeakMemoryBytes", "2048"),
        ("ParseTimeMs", "1"),
        ("PlanTimesMs", "{\"plan\":6,\"analyze\":4}"),
        ("ScheduleTimesMs", "{\"schedule_time_ms\":2}"),
        ("chosenMViews", "[\"internal.shop.sums\"]"),
        ("ChangedVariables", "{\"session_context\":\"trace_id:job-7\"}"),
        ("StmtId", "41"),
        ("WorkloadGroup", "normal"),
        ("Stmt", statement),
    ];
    write(DORIS_4_0, "2026-02-03 10:00:06,002 [query]", &values)
}

/// A record of StarRocks 3.x as text, whose last key differs from record to record.
fn starrocks(id: &str, statement: &str) -> String {
    let values = [
        ("Timestamp", "1767460199503"),
        ("User", "bo"),
        ("AuthorizedUser", "'bo'@'%'"),
        ("ResourceGroup", "etl"),
        ("Db", "shop"),
        ("Time", "640"),
        ("ScanRows", "80"),
        ("CpuCostNs", "119600000"),
        ("MemCostBytes", "9437184"),
        ("StmtId", "535"),
        ("QueryId", id),
        ("Stmt", statement),
        ("PendingTimeMs", "15"),
        ("Warehouse", "bi_wh"),
        ("HitMvs", "mv1"),
    ];
    let head =
        "2026-01-03 17:10:00.716Z INFO (audit-event-processor|77) [AuditLog.log():68] [query]";
    write(STARROCKS_3, head, &values)
}

/// The same as JSON.
fn starrocks_json(id: &str, statement: &str) -> String {
    let record = serde_json::json!({
        "Timestamp": 1_767_460_199_503_i64, "Client": "10.0.0.3:40010", "User": "bo", "AuthorizedUser": "'bo'@'%'",
        "ResourceGroup": "etl", "Catalog": "default_catalog", "Db": "shop", "State": "EOF", "ErrorCode": "",
        "Time": 640, "ScanBytes": 8192, "ScanRows": 80, "ReturnRows": 8, "CpuCostNs": 119_600_000,
        "MemCostBytes": 9_437_184, "StmtId": 535, "QueryId": id, "IsQuery": true, "feIp": "10.0.0.2",
        "Stmt": statement, "Digest": "", "PlanCpuCost": 12.0, "PlanMemCost": 4.0, "PendingTimeMs": 15,
        "Warehouse": "bi_wh", "HitMvs": "mv1", "IsForwardToLeader": false,
    });
    format!("2026-01-03 17:10:00.716Z INFO (audit-event-processor|77) [AuditLog.log():68] {record}")
}

/// Writes a record of a dialect: its id and its statement.
type Write = fn(&str, &str) -> String;

#[test]
fn what_stands_between_records_is_part_of_none() {
    let lines = [
        ("\n", 0),
        ("\n\r\n  \n", 0),
        ("log rotated by host agent\n", 1),
        ("\nagent: a|State=ERR|Note=x; 'y'\n\n==> fe.log <==\n", 2),
        (
            "2025-07-02 10:00:07,220 INFO (thrift|12) [Checkpoint.run():12] begin\njava.lang.Error: no\n\tat a.b(C.java:1)\n",
            3,
        ),
    ];
    let dialects: [(&str, Write); 4] =
        [("2", doris2), ("4", doris4), ("text", starrocks), ("json", starrocks_json)];
    for (name, write) in dialects {
        for (between, count) in lines {
            for line_end in ["\n", "\r\n"] {
                let log = format!(
                    "{}{line_end}{between}{}{line_end}{between}",
                    write("1-a", "select 1"),
                    write("2-b", "select 2")
                );
                let found = parse(log.as_bytes());
                assert_eq!(found.len(), 2, "{name} {between:?} {found:?}");
                let mut line = 2;
                for (found, statement) in found.iter().zip(["select 1", "select 2"]) {
                    let Item::Record { record, foreign, cut: None, .. } = found else {
                        panic!("{found:?}")
                    };
                    assert_eq!(record.statement.as_deref(), Some(statement), "{name} {between:?}");
                    assert_eq!(record.db.as_deref(), Some("shop"), "{name}");
                    assert!(
                        record.workload_group.is_some() && record.scan_rows.is_some(),
                        "{name}"
                    );
                    assert_eq!(foreign.map_or(0, |lines| lines.count), count, "{name} {between:?}");
                    let blank = u64::from(between.starts_with('\n'));
                    assert!(
                        foreign.is_none_or(|lines| lines.first == line + blank),
                        "{name} {foreign:?}"
                    );
                    line += between.lines().count() as u64 + 1;
                }
            }
        }
    }
}

#[test]
fn a_statement_of_many_lines_keeps_its_blank_ones() {
    let sql = "select a,\n\n-- agent: started\n  b -- |CpuTimeMS=7\n\nfrom t|Digest=x y\n";
    for write in [doris2 as Write, starrocks] {
        let log = format!("{}\n\n{}\n", write("1-a", sql), write("2-b", sql));
        let statements: Vec<_> =
            records(&log).into_iter().map(|record| record.statement.unwrap()).collect();
        assert_eq!(statements, [sql, sql]);
    }
    // As old versions wrote it, with the statement last.
    let log = format!("{}\n\n{}\n", doris1("1-2", "select 1,\n\n 2"), doris1("3-4", "select 3"));
    assert_eq!(records(&log)[0].statement.as_deref(), Some("select 1,\n\n 2"));
}

#[test]
fn a_broken_record_keeps_its_fields_and_is_counted() {
    let whole = doris2("1-a", "select 1");
    let at = |key: &str| whole.find(key).unwrap();
    for (end, cpu_ms, peak_bytes) in [
        (at("|SqlHash") + 4, 3, None),
        (at("|TraceId"), 3, Some(2048)),
        (at("|TraceId") + 3, 3, Some(2048)),
    ] {
        let log =
            [&doris2("8-a", "s"), &doris2("8-b", "s"), &doris2("8-c", "s"), &whole[..end], &whole]
                .map(|record| format!("{record}\n"));
        let found = parse(log.concat().as_bytes());
        assert_eq!(found.len(), 5);
        for (at, found) in found.iter().enumerate() {
            let Item::Record { record, cut, .. } = found else { panic!("{found:?}") };
            assert_eq!(*cut, (at == 3).then_some(4), "{end} {at}");
            assert_eq!(record.cpu_time_ms, Some(cpu_ms));
            if at == 3 {
                assert_eq!(
                    (record.peak_memory_bytes, record.statement.as_deref()),
                    (peak_bytes, Some("select 1"))
                );
            }
        }
    }
    // A line in the middle of it.
    let broken = whole.replace("|peakMemoryBytes", "\nagent: rotated\n|peakMemoryBytes");
    let found = parse(format!("{broken}\n").as_bytes());
    let [Item::Record { record, foreign: Some(foreign), .. }] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((foreign.first, foreign.count), (2, 1));
    assert_eq!(
        (record.sql_hash.as_deref(), record.peak_memory_bytes),
        (Some("5f0c3b"), Some(2048))
    );
}

#[test]
fn a_bar_at_the_end_is_no_part_of_a_value() {
    for (write, end) in [(doris2 as Write, "|"), (doris4, "|"), (starrocks, "|\r")] {
        let log = format!(
            "{}{end}\n\n{}{end}\n",
            write("1-a", "select a || b"),
            write("2-b", "select 2")
        );
        let records = records(&log);
        assert_eq!(records[0].statement.as_deref(), Some("select a || b"));
        assert_eq!((records.len(), records[1].statement.as_deref()), (2, Some("select 2")));
    }
}

// ---- What records say.

#[test]
fn keys_of_every_version_have_their_columns() {
    let record = records(&(doris4("1-a", "select 1") + "\n")).remove(0);
    assert_eq!(
        (record.parse_time_ms, record.plan_time_ms, record.schedule_time_ms),
        (Some(1), Some(6), Some(2))
    );
    assert_eq!((record.cache_hit, record.compute_group.as_deref()), (Some(false), None));
    assert_eq!(record.chosen_views.as_deref(), Some("[\"internal.shop.sums\"]"));
    assert_eq!(record.trace_id.as_deref(), Some("job-7"));
    assert_eq!(
        record.changed_variables.as_deref(),
        Some("{\"session_context\":\"trace_id:job-7\"}")
    );
    assert_eq!(record.extra["SqlMode"], "ONLY_FULL_GROUP_BY");
    assert_eq!(record.extra["PlanTimesMs"], "{\"plan\":6,\"analyze\":4}");
    assert_eq!(record.ended_ms.unwrap() - record.started_ms.unwrap(), 9);
    let record = records(&(starrocks("1-a", "select 1") + "\n")).remove(0);
    assert_eq!((record.queue_time_ms, record.cpu_time_ms), (Some(15), Some(120)));
    assert_eq!(record.peak_memory_bytes, Some(9_437_184));
    assert_eq!(
        (record.workload_group.as_deref(), record.compute_group.as_deref()),
        (Some("etl"), Some("bi_wh"))
    );
    assert_eq!(
        (record.chosen_views.as_deref(), record.extra["AuthorizedUser"].as_str()),
        (Some("mv1"), "'bo'@'%'")
    );
    assert_eq!(
        (record.started_ms, record.ended_ms),
        (Some(1_767_460_199_503), Some(1_767_460_200_143))
    );
}

#[test]
fn an_error_code_that_is_a_word_is_the_message_of_a_failure() {
    for (state, code, message, expected, extra) in [
        ("ERR", "ANALYSIS_ERR", "", Some("ANALYSIS_ERR"), None),
        ("ERR", "ANALYSIS_ERR", "no table", Some("no table"), Some("ANALYSIS_ERR")),
        ("EOF", "OTHER_ERR", "", None, Some("OTHER_ERR")),
        ("ERR", "1064", "", None, None),
    ] {
        let log = starrocks("1-a", "s")
            .replace("State=EOF|ErrorCode=", &format!("State={state}|ErrorCode={code}"));
        let record = records(&format!("{log}|ErrorMessage={message}\n")).remove(0);
        assert_eq!(record.error_message.as_deref(), expected, "{state} {code} {message}");
        assert_eq!(
            record.extra.get("ErrorCode").map(String::as_str),
            extra,
            "{state} {code} {message}"
        );
        assert_eq!(record.error_code, code.parse().ok());
    }
}

#[test]
fn placeholders_are_no_ids() {
    let ids = [
        "NaN", "null", "N/A", "0-0", "", "00000000-0000-0000-0000-000000000000",
        "0000000000000000-0000000000000000",
    ];
    let log: String = ids.iter().map(|id| doris2(id, &format!("set x = '{id}'")) + "\n").collect();
    let records = records(&log);
    let mut found: Vec<&str> = records.iter().map(|record| record.query_id.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), ids.len());
    assert!(found.iter().all(|id| !ids.contains(id)));
}

#[test]
fn a_start_without_a_timestamp_is_a_guess() {
    let old = records(&(doris2("1-a", "s") + "\n")).remove(0);
    let written = parse_instant_ms("2025-07-02 10:00:06.220", Zone::UTC).unwrap();
    assert_eq!(
        (old.started_ms, old.ended_ms, old.is_start_estimated),
        (Some(written - 12), Some(written), true)
    );
    let late = records(&(doris4("1-a", "s") + "\n")).remove(0);
    assert!(!late.is_start_estimated);
    // A query that runs has not ended.
    let running = doris2("1-a", "s").replace("State=EOF", "State=RUNNING");
    let running = records(&(running + "\n")).remove(0);
    assert_eq!((running.started_ms, running.ended_ms), (Some(written - 12), None));
}

#[test]
fn names_of_old_clusters_and_wrapped_statements_are_bare() {
    let log = doris1("1-a", "s").replace("User=root", "User=default_cluster:ann");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!((record.user.as_deref(), record.db.as_deref()), (Some("ann"), Some("test")));
    let wrapped = "OriginStatement{originStmt='insert into t values ('a', 'b|c')', idx=0}";
    for write in [doris2 as Write, doris2_1] {
        assert_eq!(statement(&write("1-a", wrapped)), "insert into t values ('a', 'b|c')");
    }
    assert_eq!(
        statement(&doris2_1("1-2", "OriginStatement{originStmt='select 1 ...")),
        "select 1 ..."
    );
}

#[test]
fn log_ins_are_records_of_their_own() {
    let text = "2026-01-03 17:10:00,716 [connection] |Client=10.0.0.3:40010|User=bo|AuthorizedUser='bo'@'%'|ResourceGroup=\
                |Catalog=|Db=shop|State=OK|ErrorCode=|QueryId=|IsQuery=false|feIp=10.0.0.2|Stmt=|Digest=\
                |Warehouse=default_warehouse|IsForwardToLeader=false\n\
                2026-01-03 17:10:01,716 [connection] |Client=10.0.0.3:40011|User=eve|AuthorizedUser=null|ResourceGroup=\
                |Db=null|State=ERR|ErrorCode=Access denied for user 'eve' (using password: YES)|QueryId=|IsQuery=false\
                |feIp=10.0.0.2|Stmt=|Digest=|PlanCpuCost=0.0\n\n";
    let json = "2026-01-03 17:10:00.716Z INFO (p|7) [AuditLog.log():68] {\"Client\":\"10.0.0.3:40010\",\"User\":\"bo\",\
                \"Db\":\"shop\",\"State\":\"OK\",\"ErrorCode\":\"\",\"QueryId\":\"\",\"IsQuery\":false,\"feIp\":\"10.0.0.2\",\
                \"Stmt\":\"\",\"Digest\":\"\",\"AuthorizedUser\":\"'bo'@'%'\"}\n";
    let logins = |log: &str| -> Vec<crate::domain::login::Login> {
        let login = |found| match found {
            Item::Login { login, foreign: None } => *login,
            other => panic!("{other:?}"),
        };
        parse(log.as_bytes()).into_iter().map(login).collect()
    };
    let found = logins(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found, logins(text));
    assert_ne!(found[0].id, found[1].id);
    assert!(found[0].succeeded && !found[1].succeeded);
    assert_eq!(found[0].at_ms, parse_instant_ms("2026-01-03 17:10:00.716", Zone::UTC).unwrap());
    assert_eq!(
        (found[0].user.as_deref(), found[0].client.as_deref()),
        (Some("bo"), Some("10.0.0.3:40010"))
    );
    assert_eq!(
        (found[0].frontend.as_deref(), found[0].db.as_deref()),
        (Some("10.0.0.2"), Some("shop"))
    );
    assert_eq!(
        (&found[0].error_message, found[0].extra["AuthorizedUser"].as_str()),
        (&None, "'bo'@'%'")
    );
    assert_eq!(
        found[1].error_message.as_deref(),
        Some("Access denied for user 'eve' (using password: YES)")
    );
    assert_eq!(found[1].db, None);
    assert_eq!(logins(json)[0].id, found[0].id);
    let other = text.replace("[connection]", "[disconnection]");
    assert!(parse(other.as_bytes()).iter().all(|found| {
        matches!(found, Item::Skipped(skipped) if skipped.reason == SkipReason::OtherType)
    }));
}

#[test]
fn what_looks_misread_is_told() {
    let misread = |log: &str| match parse(log.as_bytes()).remove(0) {
        Item::Record { misread, .. } => misread,
        other => panic!("{other:?}"),
    };
    assert_eq!(misread(&(doris4("1-a", "s") + "\n")), []);
    let log = doris4("1-a", "s").replace("ErrorMessage=", "ErrorMessage=no|Time(ms)=x|");
    assert_eq!(misread(&(log + "\n")), [Misread::MessageHoldsFields]);
    let log = doris4("1-a", "s").replace("Timestamp=2026-02-03 10", "Timestamp=2026-02-03 18");
    let by_ms = 8 * 3_600_000 - 5_902;
    assert_eq!(misread(&(log + "\n")), [Misread::StartsAfterWritten { by_ms }]);
}

// ---- How long it takes.

/// The time that a log takes, the shorter of two.
fn time_of(log: &str) -> std::time::Duration {
    let time = || {
        let start = std::time::Instant::now();
        assert!(!parse(log.as_bytes()).is_empty());
        start.elapsed()
    };
    time().min(time())
}

#[test]
fn reading_is_linear() {
    let repeated = |piece: &str, bytes: usize| piece.repeat(bytes / piece.len());
    let numbered =
        |bytes: usize| (0..bytes / 11).map(|n| format!("|K{n:06}=1")).collect::<String>();
    for name in [
        "|Key000001=1|Key000002=1", "|Xy={\"a\":[1,", "|CpuTimeMS=1|Digest=a|Time(ms)=1",
        "|Digest=a|ErrorMessage=x", "|A=[{\"\\n",
    ] {
        let text =
            |bytes| if name.starts_with("|Key") { numbered(bytes) } else { repeated(name, bytes) };
        let message = |id: &str, text: &str| {
            doris2(id, "s").replace("ErrorMessage=", &format!("ErrorMessage=no {text}"))
        };
        let message_behind = |id: &str, text: &str| {
            let failed = starrocks(id, text).replace("State=EOF", "State=ERR");
            format!("{failed}|ErrorMessage=no {text}")
        };
        for write in [doris2 as Write, doris4, starrocks, message, message_behind] {
            let logs = [50_000, 200_000]
                .map(|bytes| write("1-a", &format!("select 1 -- {}", text(bytes))) + "\n");
            let [short, long] = logs.map(|log| time_of(&log));
            // Four times as long; sixteen times where it is the square.
            assert!(
                long < short * 8 + std::time::Duration::from_millis(40),
                "{name}: {short:?}, then {long:?}"
            );
        }
    }
    // The square of this would be minutes.
    let log = doris2("1-a", &format!("select 1 -- {}", numbered(3_000_000))) + "\n";
    assert!(time_of(&log) < std::time::Duration::from_secs(20));
}
