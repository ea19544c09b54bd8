//! Tests of the audit log's parser: any record that a frontend can write comes back as it was.
//!
//! - `any_values`: generated records of every version, with any values.
//! - `any_fields`: generated records with known and new keys in any order.
//! - `free_text`: where messages and statements end.
//! - `lines`: lines between records, broken records, and lines that are no record.
//! - `content`: the field of each value.
//! - `speed`: reading takes linear time.

mod any_fields;
mod any_values;
mod content;
#[path = "../../../../tests/it/support/audit_log.rs"]
mod forms;
mod free_text;
mod lines;
mod speed;

use self::forms::{DORIS_2_1, DORIS_4_0, Form, STARROCKS_3, record_of};
use super::AuditLog;
use crate::domain::record::QueryRecord;
use crate::domain::time::Zone;
use crate::formats::Item;

/// Doris 0.12 to 1.1: the statement is last, and there is no start.
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

/// Doris 2.0: the statement is in the middle, and the last field is mostly empty.
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

const HEAD: &str = "2024-01-02 11:15:51,248 [query] ";

/// The items of a log.
fn parse(log: &[u8]) -> Vec<Item> {
    let mut reader = AuditLog::new(Zone::UTC);
    let mut found: Vec<Item> = log
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| reader.push_line(line))
        .collect();
    found.extend(reader.end());
    found
}

/// The records of a log without anything to report.
fn records(log: &str) -> Vec<QueryRecord> {
    let whole = |item| match item {
        Item::Record { record, replaced: false, cut: None, foreign: None, .. } => *record,
        other => panic!("{other:?} in {log:?}"),
    };
    parse(log.as_bytes()).into_iter().map(whole).collect()
}

/// The statement of a record.
fn statement(log: &str) -> String {
    records(&format!("{log}\n")).remove(0).statement.unwrap()
}

/// A record's field as text, by one of Doris' names for it.
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
        "ChangedVariables" => record.changed_variables.as_ref().map(ToString::to_string),
        "queriedTablesAndViews" | "QueriedTablesAndViews" => text(&record.queried_tables),
        "SessionId" => text(&record.session_id),
        other => record.extra.get(other).cloned(),
    }
}

/// Writes a record of a dialect: its id and its statement.
type Write = fn(&str, &str) -> String;

/// A record of a version, without its line end.
fn write(form: Form, head: &str, values: &[(&str, &str)]) -> String {
    record_of(form, head, values).trim_end_matches('\n').to_string()
}

/// A record of Doris 1.1 and before, whose last field is the statement.
fn doris1(id: &str, statement: &str) -> String {
    let values = [("QueryId", id), ("Time", "12"), ("Stmt", statement)];
    write(DORIS_1, "2024-01-02 11:15:51,248 [query]", &values)
}

/// The values of the records of 2.x.
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
