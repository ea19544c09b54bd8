//! The fields of a query as a list of names and values.

use maud::{Markup, html};

use crate::domain::time::Zone;
use crate::store::StoredQuery;
use crate::web::format;

/// A field's name and value; `None` where the value is not known.
type Field = Option<(&'static str, Markup)>;

fn text(name: &'static str, value: &Option<String>) -> Field {
    value.as_ref().map(|value| (name, html! { bdi { (value) } }))
}

fn integer(name: &'static str, value: Option<i64>) -> Field {
    value.map(|value| (name, html! { (format::integer(value)) }))
}

fn bytes(name: &'static str, value: Option<i64>) -> Field {
    value.map(|value| (name, html! { (format::bytes(Some(value))) }))
}

fn duration(name: &'static str, ms: Option<i64>) -> Field {
    ms.map(|ms| (name, html! { (format::duration(Some(ms))) }))
}

fn time(name: &'static str, ms: Option<i64>, zone: Zone) -> Field {
    ms.map(|ms| (name, format::time(Some(ms), zone)))
}

fn yes_or_no(name: &'static str, value: Option<bool>) -> Field {
    value.map(|value| (name, html! { @if value { "yes" } @else { "no" } }))
}

/// Returns the known fields of a query: the most used ones, and behind a disclosure all others.
pub(super) fn fields(query: &StoredQuery, zone: Zone) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in main_fields(query, zone).into_iter().flatten() {
                div { dt { (name) } dd { (value) } }
            }
        }
        details.more {
            summary { "More fields" }
            dl.facts {
                @for (name, value) in more_fields(query).into_iter().flatten() {
                    div { dt { (name) } dd { (value) } }
                }
                @for (name, value) in other_fields(query) {
                    div { dt { bdi { (name) } } dd { bdi { (value) } } }
                }
            }
        }
    }
}

fn main_fields(query: &StoredQuery, zone: Zone) -> Vec<Field> {
    let started = if query.is_start_estimated { "Started (estimated)" } else { "Started" };
    vec![
        time(started, query.started_ms, zone),
        time("Ended", query.ended_ms, zone),
        text("User", &query.user),
        text("Client", &query.client),
        text("Catalog", &query.catalog),
        text("Database", &query.db),
        integer("Rows scanned", query.scan_rows),
        bytes("Bytes scanned", query.scan_bytes),
        integer("Rows returned", query.return_rows),
        bytes("Peak memory", query.peak_memory_bytes),
        duration("CPU time", query.cpu_time_ms),
        text("Frontend", &query.frontend),
    ]
}

fn more_fields(query: &StoredQuery) -> Vec<Field> {
    vec![
        Some(("Type", html! { (query.kind) })),
        bytes("Scanned from local storage", query.local_scan_bytes),
        bytes("Scanned from remote storage", query.remote_scan_bytes),
        integer("Rows shuffled", query.shuffle_send_rows),
        bytes("Bytes shuffled", query.shuffle_send_bytes),
        bytes("Bytes spilled", query.spill_write_bytes),
        bytes("Bytes read from spill", query.spill_read_bytes),
        duration("Queue time", query.queue_time_ms),
        duration("Parse time", query.parse_time_ms),
        duration("Plan time", query.plan_time_ms),
        duration("Schedule time", query.schedule_time_ms),
        yes_or_no("SQL cache hit", query.cache_hit),
        integer("Error code", query.error_code),
        text("Workload group", &query.workload_group),
        text("Compute group", &query.compute_group),
        text("Tables", &query.queried_tables),
        text("Materialized views", &query.chosen_views),
        text("Statement type", &query.statement_type),
        text("Command type", &query.command_type),
        integer("Statement ID", query.statement_id),
        text("Session ID", &query.session_id),
        text("Trace ID", &query.trace_id),
        yes_or_no("Is query", query.is_query),
        yes_or_no("Nereids planner", query.is_nereids),
        yes_or_no("Internal", query.is_internal),
        yes_or_no("In slow-query log", Some(query.is_slow)),
        text("SQL hash", &query.sql_hash),
        text("SQL digest", &query.sql_digest),
        text("Fuzzy variables", &query.fuzzy_variables),
        Some(("Reported by", html! { (reported_by(&query.origin)) })),
    ]
}

fn reported_by(origin: &str) -> &str {
    match origin {
        "audit" => "audit log",
        "summary" => "profile or query list",
        other => other,
    }
}

/// Returns the fields of a load, the changed session variables, and the fields that annals does not know.
fn other_fields(query: &StoredQuery) -> Vec<(String, String)> {
    let objects = [&query.load, &query.changed_variables, &query.extra].into_iter().flatten();
    let values = objects.filter_map(|json| serde_json::to_value(json).ok());
    let mut fields = Vec::new();
    for value in values {
        let serde_json::Value::Object(object) = value else { continue };
        for (name, value) in object {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => fields.push((name.replace('_', " "), text)),
                other => fields.push((name.replace('_', " "), other.to_string())),
            }
        }
    }
    fields
}
