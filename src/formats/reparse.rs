//! Stored audit records that an earlier version of annals misread, read again.
//!
//! Earlier versions read everything after a JSON value as part of the error message or of the statement, kept StarRocks'
//! own keys only in `extra`, and kept escapes, wrappers and clusters' names as they were.

use super::Item;
use super::audit_log::AuditLog;
use super::record_builder::{Entry, Key, RecordBuilder, without_cluster};
use crate::domain::record::{Origin, QueryRecord};
use crate::domain::statement;
use crate::domain::time::Zone;

/// Returns a stored record as this version reads it, and whether anything changed. Known values stay; the error message
/// and the statement lose the fields that were read as part of them.
pub(crate) fn reparse(stored: &QueryRecord) -> (QueryRecord, bool) {
    let mut record = stored.clone();
    clean_names(&mut record);
    if stored.origin == Origin::Audit {
        if let Some(reread) = fields_in_free_text(stored) {
            record.error_message.clone_from(&reread.error_message);
            record.statement.clone_from(&reread.statement);
            fill_unknown(&mut record, reread);
        } else if let Some(text) = &stored.statement {
            record.statement = Some(statement::original_text(text).into_owned());
        }
        if let Some(reread) = fields_in_extra(stored) {
            record.extra.retain(|name, _| reread.extra.contains_key(name));
            fill_unknown(&mut record, reread);
        }
        // Earlier versions stored the time of writing as the end.
        if let (Some(started_ms), Some(duration_ms), Some(ended_ms)) =
            (record.started_ms, record.duration_ms, record.ended_ms)
            && ended_ms > started_ms.saturating_add(duration_ms)
            && record.load.is_none()
        {
            record.ended_ms = Some(started_ms.saturating_add(duration_ms));
        }
    }
    let changed = record != *stored;
    (record, changed)
}

/// Removes the clusters of users and databases, and the words that frontends write for nothing.
fn clean_names(record: &mut QueryRecord) {
    for name in [&mut record.user, &mut record.db] {
        if let Some(text) = name
            && without_cluster(text).len() < text.len()
        {
            *text = without_cluster(text).to_string();
        }
    }
    let unknown = ["UNKNOWN", "N/A"];
    for name in [&mut record.compute_group, &mut record.workload_group, &mut record.catalog] {
        if name.as_deref().is_some_and(|text| unknown.contains(&text)) {
            *name = None;
        }
    }
    if let Some(load) = &mut record.load
        && load.url.as_deref() == Some("N/A")
    {
        load.url = None;
    }
}

/// Fills the unknown values of a record from the record that was read again.
fn fill_unknown(record: &mut QueryRecord, mut reread: QueryRecord) {
    // A summary never overrides an audit record, and an estimated time never a known one.
    reread.origin = Origin::Summary;
    reread.started_ms = None;
    reread.ended_ms = None;
    record.merge(reread);
}

/// Returns the record that is read again if the error message or the statement holds the fields after it, or None if
/// neither does.
fn fields_in_free_text(stored: &QueryRecord) -> Option<QueryRecord> {
    let holds_fields = |text: &Option<String>| text.as_deref().is_some_and(has_field);
    if !holds_fields(&stored.error_message) && !holds_fields(&stored.statement) {
        return None;
    }
    let message = stored.error_message.as_deref().unwrap_or_default();
    let statement = stored.statement.as_deref().unwrap_or_default();
    let record = format!(
        "2000-01-01 00:00:00,000 [query] |QueryId={}|User=u|State=EOF|ErrorMessage={message}|Stmt={statement}\n",
        // Any id: the stored one is set below.
        "1-1"
    );
    let mut log = AuditLog::new(Zone::UTC);
    for line in record.split_inclusive('\n') {
        if log.push_line(line.as_bytes()).is_some() {
            // A line of the text begins as a record does.
            return None;
        }
    }
    let Some(Item::Record { mut record, .. }) = log.end() else { return None };
    let untouched = record.error_message.as_deref().unwrap_or_default() == message
        && record.statement.as_deref().unwrap_or_default() == statement;
    if untouched {
        return None;
    }
    record.query_id = stored.query_id.clone();
    record.state = None;
    record.user = None;
    Some(*record)
}

/// Returns whether a text holds `|Key=`.
fn has_field(text: &str) -> bool {
    memchr::memchr_iter(b'|', text.as_bytes()).any(|bar| {
        let name = text[bar + 1..].bytes().take(64).take_while(u8::is_ascii_alphanumeric).count();
        name > 0 && matches!(text.as_bytes().get(bar + 1 + name), Some(b'=' | b'('))
    })
}

/// Returns the record of the keys in `extra`, or None if all of them still belong there.
fn fields_in_extra(stored: &QueryRecord) -> Option<QueryRecord> {
    if stored.extra.is_empty() || stored.started_ms.is_none() {
        return None;
    }
    let mut builder = RecordBuilder::new(stored.kind, Zone::UTC);
    builder.set(Key::QueryId, "QueryId", "1-1");
    builder.set(Key::Timestamp, "Timestamp", &stored.started_ms.unwrap_or(1).to_string());
    builder.set(Key::State, "State", stored.state.as_deref().unwrap_or_default());
    builder.set(
        Key::ErrorMessage,
        "ErrorMessage",
        stored.error_message.as_deref().unwrap_or_default(),
    );
    for (name, value) in &stored.extra {
        builder.set(Key::of_column(name), name, value);
    }
    let Ok(Entry::Record(record)) = builder.finish(None) else { return None };
    (record.extra != stored.extra)
        .then(|| QueryRecord { query_id: stored.query_id.clone(), ..*record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Kind;

    fn stored() -> QueryRecord {
        let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Query, Origin::Audit);
        record.started_ms = Some(1_767_322_800_000);
        record.duration_ms = Some(40);
        record.ended_ms = Some(1_767_322_800_040);
        record.state = Some("EOF".to_string());
        record.statement = Some("select 1".to_string());
        record
    }

    #[test]
    fn fields_that_were_read_as_the_error_message_are_found() {
        let mut record = stored();
        record.duration_ms = None;
        record.ended_ms = Some(1_767_322_805_040);
        record.error_message = Some(
            "no such table|Time(ms)=9|CpuTimeMS=3|ScanRows=7|ParseTimeMs=1|PlanTimesMs={\"plan\":6,\"analyze\":4}\
             |HitSqlCache=false|ChangedVariables={\"enable_profile\":\"true\"}|StmtId=41"
                .to_string(),
        );
        let (reread, changed) = reparse(&record);
        assert!(changed);
        assert_eq!(reread.error_message.as_deref(), Some("no such table"));
        assert_eq!((reread.duration_ms, reread.plan_time_ms), (Some(9), Some(6)));
        assert_eq!((reread.scan_rows, reread.statement_id), (Some(7), Some(41)));
        assert_eq!(reread.ended_ms, Some(1_767_322_800_009));
        assert_eq!(reread.statement.as_deref(), Some("select 1"));
        assert!(!reparse(&reread).1);
    }

    #[test]
    fn keys_that_have_a_column_now_move_there() {
        let mut record = stored();
        for (name, value) in
            [("CpuCostNs", "30000000"), ("ResourceGroup", "rg1"), ("PlanCpuCost", "5.0")]
        {
            record.extra.insert(name.to_string(), value.to_string());
        }
        let (reread, changed) = reparse(&record);
        assert!(changed);
        assert_eq!(reread.cpu_time_ms, Some(30));
        assert_eq!(reread.workload_group.as_deref(), Some("rg1"));
        assert_eq!(reread.extra.keys().collect::<Vec<_>>(), ["PlanCpuCost"]);
        assert!(!reparse(&reread).1);
    }

    #[test]
    fn names_escapes_and_ends_are_as_they_are_read_today() {
        let mut record = stored();
        record.user = Some("default_cluster:alice".to_string());
        record.statement = Some("select 1\\nfrom t".to_string());
        record.ended_ms = Some(1_767_322_806_000);
        let (reread, _) = reparse(&record);
        assert_eq!(reread.user.as_deref(), Some("alice"));
        assert_eq!(reread.statement.as_deref(), Some("select 1\nfrom t"));
        assert_eq!(reread.ended_ms, Some(1_767_322_800_040));
        let (again, changed) = reparse(&reread);
        assert_eq!((again, changed), (reread, false));
        assert!(!reparse(&stored()).1);
    }
}
