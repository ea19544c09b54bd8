//! Generated records of every version, with any values.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{field, parse, records};
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::statement::original_text;
use crate::domain::time::{Zone, parse_instant_ms};

/// The keys of a version, in its order. The keys before `Stmt` are always written, those after it vary.
#[derive(Debug)]
struct Version {
    keys: &'static [&'static str],
    after: &'static [&'static str],
}

const VERSIONS: &[Version] = &[
    // 1.1
    Version {
        keys: &[
            "Client", "User", "Db", "State", "ErrorCode", "ErrorMessage", "Time", "ScanBytes",
            "ScanRows", "ReturnRows", "StmtId", "QueryId", "IsQuery", "feIp",
        ],
        after: &[],
    },
    // 1.2 to 2.1
    Version {
        keys: &[
            "Client", "User", "Ctl", "Db", "State", "ErrorCode", "ErrorMessage", "Time(ms)",
            "ScanBytes", "ScanRows", "ReturnRows", "StmtId", "QueryId", "IsQuery", "isNereids",
            "feIp", "StmtType",
        ],
        after: &[
            "CpuTimeMS", "ShuffleSendBytes", "ShuffleSendRows", "SqlHash", "peakMemoryBytes",
            "SqlDigest", "cloudClusterName", "TraceId", "WorkloadGroup", "FuzzyVariables",
            "scanBytesFromLocalStorage", "scanBytesFromRemoteStorage",
        ],
    },
    // 3.0, with a new key
    Version {
        keys: &[
            "Timestamp", "Client", "User", "Ctl", "Db", "CommandType", "State", "ErrorCode",
            "ErrorMessage", "Time(ms)", "ScanBytes", "ScanRows", "ReturnRows", "StmtId", "QueryId",
            "IsQuery", "IsNereids", "FeIp", "StmtType",
        ],
        after: &[
            "CpuTimeMS", "ShuffleSendBytes", "ShuffleSendRows", "SqlHash", "PeakMemoryBytes",
            "SqlDigest", "ComputeGroupName", "WorkloadGroup", "NotKnownYet", "FuzzyVariables",
            "ScanBytesFromLocalStorage", "ScanBytesFromRemoteStorage",
        ],
    },
    // 3.1 and 4.x, with such a key too: the statement is last.
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
        after: &[],
    },
];

fn value(key: &'static str) -> BoxedStrategy<String> {
    match key {
        // A message that is only what looks like a field could be that field.
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
        _ => prop_oneof![(0..=1_000_000_000_000_000_000_i64).prop_map(|n| n.to_string()), Just("-1".into()), Just("0".into())].boxed(),
    }
}

/// Any text, which often holds what looks like a record.
pub(super) fn text(more: &'static [&'static str]) -> impl Strategy<Value = String> {
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

/// Text of a message. It does not end with what looks like a field of a new key: that would be read as a field.
pub(super) fn message_text() -> impl Strategy<Value = String> {
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
        // The first key after the statement is always there; others come and go with versions.
        let after = subsequence(
            version.after.get(1..).unwrap_or(&[]).to_vec(),
            0..version.after.len().max(1),
        );
        let after = after.prop_flat_map(|after| {
            let all = version.after.iter().take(1).chain(&after).copied().collect::<Vec<_>>();
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
        (keys, statement, after, prefix).prop_map(|(keys, statement, after, prefix)| {
            let (separator, fraction, level) = prefix;
            // A statement begins with a word, and here, where nothing after it could tell its end from
            // a key's value, it ends with a text that no value has.
            let end = if after.is_empty() { " ;" } else { "" };
            let mut statement = format!("select{statement}{end}");
            if version.keys.contains(&"PlanTimesMs") {
                // From 3.0 on, line ends are written as two characters.
                statement = statement.replace('\n', "\\n").replace('\r', "\\r");
            }
            let mut log = format!("2024-01-02 11:15:51{separator}{fraction}{level}[query] ");
            for (key, value) in keys.iter().chain([&("Stmt", statement.clone())]).chain(&after) {
                log += &format!("|{key}={value}");
            }
            let mut values: BTreeMap<_, _> = keys.into_iter().chain(after).collect();
            values.insert("Stmt", statement);
            (values, log + "\n")
        })
    })
}

/// Checks that a record has the values that were written.
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
            statement if *key == "Stmt" => Some(original_text(statement).into_owned()),
            value => Some(value.to_string()),
        };
        // An unknown duration is the end less the start.
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
