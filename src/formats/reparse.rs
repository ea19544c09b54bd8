//! What earlier versions of annals misread in audit records, read again from what they stored.
//!
//! They took everything behind a JSON value for the error message, or for the statement; kept StarRocks' own keys by
//! name alone; and left escapes, wrappers and clusters' names as they stood.

use super::Item;
use super::audit_log::AuditLog;
use super::record_builder::{Built, Key, RecordBuilder, without_cluster};
use crate::domain::record::{Origin, QueryRecord};
use crate::domain::statement;
use crate::domain::time::Zone;

/// Returns a stored record as it is read today, and whether that changed something. Values that are known stay; the
/// error message and the statement lose what was fields behind them.
pub(crate) fn heal(stored: &QueryRecord) -> (QueryRecord, bool) {
    let mut healed = stored.clone();
    for name in [&mut healed.user, &mut healed.db] {
        if let Some(text) = name
            && without_cluster(text).len() < text.len()
        {
            *text = without_cluster(text).to_string();
        }
    }
    let unknown = ["UNKNOWN", "N/A"];
    for name in [&mut healed.compute_group, &mut healed.workload_group, &mut healed.catalog] {
        if name.as_deref().is_some_and(|text| unknown.contains(&text)) {
            *name = None;
        }
    }
    if let Some(load) = &mut healed.load
        && load.url.as_deref() == Some("N/A")
    {
        load.url = None;
    }
    if stored.origin == Origin::Audit {
        if let Some(found) = fields_in_free_text(stored) {
            healed.error_message.clone_from(&found.error_message);
            healed.statement.clone_from(&found.statement);
            fill(&mut healed, found);
        } else if let Some(text) = &stored.statement {
            healed.statement = Some(statement::original_text(text).into_owned());
        }
        if let Some(found) = fields_in_extra(stored) {
            healed.extra.retain(|name, _| found.extra.contains_key(name));
            fill(&mut healed, found);
        }
        // The time of writing was taken for the end.
        if let (Some(started_ms), Some(duration_ms), Some(ended_ms)) =
            (healed.started_ms, healed.duration_ms, healed.ended_ms)
            && ended_ms > started_ms.saturating_add(duration_ms)
            && healed.load.is_none()
        {
            healed.ended_ms = Some(started_ms.saturating_add(duration_ms));
        }
    }
    let changed = healed != *stored;
    (healed, changed)
}

/// Gives a record the values that only another reading of it has.
fn fill(healed: &mut QueryRecord, mut found: QueryRecord) {
    // A summary never goes before an audit record, and a guess never before a time.
    found.origin = Origin::Summary;
    found.started_ms = None;
    found.ended_ms = None;
    healed.merge(found);
}

/// The record that is read where an error message or a statement holds the fields behind it; None where neither does.
fn fields_in_free_text(stored: &QueryRecord) -> Option<QueryRecord> {
    let holds_fields = |text: &Option<String>| text.as_deref().is_some_and(has_field);
    if !holds_fields(&stored.error_message) && !holds_fields(&stored.statement) {
        return None;
    }
    let message = stored.error_message.as_deref().unwrap_or_default();
    let statement = stored.statement.as_deref().unwrap_or_default();
    let record = format!(
        "2000-01-01 00:00:00,000 [query] |QueryId={}|User=u|State=EOF|ErrorMessage={message}|Stmt={statement}\n",
        // The id decides nothing here.
        "1-1"
    );
    let mut log = AuditLog::new(Zone::UTC);
    for line in record.split_inclusive('\n') {
        if log.line(line.as_bytes()).is_some() {
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

/// Whether a text holds `|Key=`.
fn has_field(text: &str) -> bool {
    memchr::memchr_iter(b'|', text.as_bytes()).any(|bar| {
        let name = text[bar + 1..].bytes().take(64).take_while(u8::is_ascii_alphanumeric).count();
        name > 0 && matches!(text.as_bytes().get(bar + 1 + name), Some(b'=' | b'('))
    })
}

/// The record that the keys make which had no column; None where they have none today either.
fn fields_in_extra(stored: &QueryRecord) -> Option<QueryRecord> {
    if stored.extra.is_empty() || stored.started_ms.is_none() {
        return None;
    }
    let mut draft = RecordBuilder::new(stored.kind, Zone::UTC);
    draft.set(Key::QueryId, "QueryId", "1-1");
    draft.set(Key::Timestamp, "Timestamp", &stored.started_ms.unwrap_or(1).to_string());
    draft.set(Key::State, "State", stored.state.as_deref().unwrap_or_default());
    draft.set(
        Key::ErrorMessage,
        "ErrorMessage",
        stored.error_message.as_deref().unwrap_or_default(),
    );
    for (name, value) in &stored.extra {
        draft.set(Key::of_column(name), name, value);
    }
    let Ok(Built::Record(record)) = draft.finish(None) else { return None };
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
    fn fields_that_were_taken_for_the_error_message_are_found() {
        let mut record = stored();
        record.duration_ms = None;
        record.ended_ms = Some(1_767_322_805_040);
        record.error_message = Some(
            "no such table|Time(ms)=9|CpuTimeMS=3|ScanRows=7|ParseTimeMs=1|PlanTimesMs={\"plan\":6,\"analyze\":4}\
             |HitSqlCache=false|ChangedVariables={\"enable_profile\":\"true\"}|StmtId=41"
                .to_string(),
        );
        let (healed, changed) = heal(&record);
        assert!(changed);
        assert_eq!(healed.error_message.as_deref(), Some("no such table"));
        assert_eq!((healed.duration_ms, healed.plan_time_ms), (Some(9), Some(6)));
        assert_eq!((healed.scan_rows, healed.statement_id), (Some(7), Some(41)));
        assert_eq!(healed.ended_ms, Some(1_767_322_800_009));
        assert_eq!(healed.statement.as_deref(), Some("select 1"));
        assert!(!heal(&healed).1);
    }

    #[test]
    fn keys_that_have_a_column_now_move_there() {
        let mut record = stored();
        for (name, value) in
            [("CpuCostNs", "30000000"), ("ResourceGroup", "rg1"), ("PlanCpuCost", "5.0")]
        {
            record.extra.insert(name.to_string(), value.to_string());
        }
        let (healed, changed) = heal(&record);
        assert!(changed);
        assert_eq!(healed.cpu_time_ms, Some(30));
        assert_eq!(healed.workload_group.as_deref(), Some("rg1"));
        assert_eq!(healed.extra.keys().collect::<Vec<_>>(), ["PlanCpuCost"]);
        assert!(!heal(&healed).1);
    }

    #[test]
    fn names_escapes_and_ends_are_as_they_are_read_today() {
        let mut record = stored();
        record.user = Some("default_cluster:alice".to_string());
        record.statement = Some("select 1\\nfrom t".to_string());
        record.ended_ms = Some(1_767_322_806_000);
        let (healed, _) = heal(&record);
        assert_eq!(healed.user.as_deref(), Some("alice"));
        assert_eq!(healed.statement.as_deref(), Some("select 1\nfrom t"));
        assert_eq!(healed.ended_ms, Some(1_767_322_800_040));
        let (again, changed) = heal(&healed);
        assert_eq!((again, changed), (healed, false));
        assert!(!heal(&stored()).1);
    }
}
