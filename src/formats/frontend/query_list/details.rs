//! The details of queries, as `query_detail` of Doris until 2024 and of StarRocks lists them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::columns::is_unknown;
use super::known_name;
use crate::domain::record::{Kind, Origin, QueryId, QueryRecord};

/// Returns the records of `query_detail`, newest first, and how many details were not understood. The list is oldest
/// first, and has a query as it begins and again as it ends: the last report counts.
pub(super) fn records_of_details(details: &[Value]) -> (Vec<QueryRecord>, usize) {
    let mut known: HashSet<QueryId> = HashSet::new();
    let mut records = Vec::new();
    let mut not_understood = 0;
    for detail in details.iter().rev() {
        match detail.as_object().and_then(record_of_detail) {
            Some(record) if known.insert(record.query_id.clone()) => records.push(record),
            Some(_) => {}
            None => not_understood += 1,
        }
    }
    (records, not_understood)
}

/// Returns the record of a `QueryDetail`, or None if it has no id, or neither a time nor a state. A value that is -1 or
/// missing is unknown.
fn record_of_detail(detail: &Map<String, Value>) -> Option<QueryRecord> {
    let text = |key: &str| {
        let text = detail.get(key)?.as_str()?.trim();
        (!is_unknown(text)).then_some(text)
    };
    let number = |key: &str| detail.get(key)?.as_i64().filter(|number| *number >= 0);
    let mut record = QueryRecord::new(text("queryId")?.parse().ok()?, Kind::Query, Origin::Summary);
    record.started_ms = number("startTime").filter(|ms| *ms > 0);
    record.state = text("state").map(str::to_string);
    if record.started_ms.is_none() && record.state.is_none() {
        return None;
    }
    if !record.is_running() {
        record.ended_ms = number("endTime").filter(|ms| *ms > 0);
        record.duration_ms = number("latency");
    }
    record.is_query = detail.get("isQuery").and_then(Value::as_bool);
    record.session_id = number("connId").map(|id| id.to_string());
    record.client = text("remoteIP").map(str::to_string);
    record.user = text("user").and_then(known_name);
    record.catalog = text("catalog").map(str::to_string);
    record.db = text("database").and_then(known_name);
    record.statement = detail.get("sql").and_then(Value::as_str).map(str::to_string);
    record.error_message = text("errorMessage").map(str::to_string);
    record.workload_group = text("resourceGroupName").map(str::to_string);
    record.compute_group = text("warehouse").map(str::to_string);
    record.sql_digest = text("digest").map(str::to_string);
    record.scan_rows = number("scanRows");
    record.scan_bytes = number("scanBytes");
    record.return_rows = number("returnRows");
    record.peak_memory_bytes = number("memCostBytes");
    record.spill_write_bytes = number("spillBytes");
    record.cpu_time_ms = number("cpuCostNs").map(|ns| ns.saturating_add(500_000) / 1_000_000);
    Some(record)
}
