//! The fields of a query as a list of names and values.

use maud::{Markup, html};

use crate::domain::filter::ChosenText;
use crate::domain::record::{FieldValue, QueryRecord};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::store::StoredQuery;
use crate::web::{format, paths};

/// A field's name and value; `None` where the value is not known.
type Field = Option<(&'static str, Markup)>;

/// Returns a field whose value is a link to the queries that have it.
fn link(name: &'static str, parameter: &str, value: &Option<String>, page: &Parameters) -> Field {
    let value = value.as_ref()?;
    Some((name, filtered(parameter, value, html! { bdi { (value) } }, page)))
}

/// Returns what is shown of a value as a link to the queries that have it, in the range of the page.
pub(super) fn filtered(parameter: &str, value: &str, shown: Markup, page: &Parameters) -> Markup {
    // A link without a value would be one to all queries.
    match value.is_empty() {
        true => shown,
        false => html! { a href=(paths::history_of(parameter, value, page)) { (shown) } },
    }
}

/// Returns a client as a link to all queries of its host.
fn client(query: &StoredQuery, page: &Parameters) -> Field {
    let client = query.client.as_ref()?;
    let host = ChosenText::host(client);
    Some(("Client", filtered("client", host, html! { bdi { (client) } }, page)))
}

/// Returns a list of tables as a link for each. A load names its tables without their database, which is its own.
pub(super) fn tables(list: &str, load_db: Option<&str>, page: &Parameters) -> Markup {
    let names: Vec<String> =
        list.split(',').map(ChosenText::plain_table).filter(|name| !name.is_empty()).collect();
    // A load writes into the internal catalog.
    let before = match load_db {
        Some(db) if !list.contains('.') => format!("internal.{db}."),
        _ => String::new(),
    };
    html! {
        @for (at, name) in names.iter().enumerate() {
            @if at > 0 { ", " }
            (filtered("table", &format!("{before}{name}"), html! { bdi { (name) } }, page))
        }
        @if names.is_empty() { bdi { (list) } }
    }
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

/// Returns the known fields of a query: the most used ones, and behind a disclosure all others.
pub(super) fn fields(query: &StoredQuery, zone: Zone, page: &Parameters) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in main_fields(query, zone, page).into_iter().flatten() {
                div { dt { (name) } dd { (value) } }
            }
        }
        details.more {
            summary { "More fields" }
            dl.facts {
                @for (name, value) in more_fields(query, page) {
                    div { dt { (name) } dd { (value) } }
                }
                @for (name, value) in other_fields(query) {
                    div { dt { bdi { (name) } } dd { bdi { (value) } } }
                }
            }
        }
    }
}

fn main_fields(query: &StoredQuery, zone: Zone, page: &Parameters) -> Vec<Field> {
    let started = if query.is_start_estimated { "Started (estimated)" } else { "Started" };
    vec![
        time(started, query.started_ms, zone),
        time("Ended", query.ended_ms, zone),
        link("User", "user", &query.user, page),
        client(query, page),
        link("Catalog", "catalog", &query.catalog, page),
        link("Database", "db", &query.db, page),
        integer("Rows scanned", query.scan_rows),
        bytes("Bytes scanned", query.scan_bytes),
        integer("Rows returned", query.return_rows),
        bytes("Peak memory", query.peak_memory_bytes),
        duration("CPU time", query.cpu_time_ms),
        link("Cluster", "cluster", &query.cluster, page),
        link("Frontend", "frontend", &query.frontend, page),
    ]
}

/// Fields that stand elsewhere on the page.
const SHOWN: [&str; 20] = [
    "query_id", "state", "started_ms", "ended_ms", "duration_ms", "user", "client", "catalog",
    "db", "statement", "scan_rows", "scan_bytes", "return_rows", "peak_memory_bytes",
    "cpu_time_ms", "cluster", "frontend", "is_start_estimated", "error_message",
    "changed_variables",
];

/// Fields that filters have by their names, and that show nothing more than their values.
const FILTERING: [&str; 4] = ["workload_group", "compute_group", "statement_type", "session_id"];

/// Labels of fields whose names say too little. The label of any other field is its name.
const LABELS: [(&str, &str); 23] = [
    ("kind", "Type"),
    ("origin", "Reported by"),
    ("local_scan_bytes", "Scanned from local storage"),
    ("remote_scan_bytes", "Scanned from remote storage"),
    ("shuffle_send_rows", "Rows shuffled"),
    ("shuffle_send_bytes", "Bytes shuffled"),
    ("spill_write_bytes", "Bytes spilled"),
    ("spill_read_bytes", "Bytes read from spill"),
    ("cache_hit", "SQL cache hit"),
    ("queried_tables", "Tables"),
    ("chosen_views", "Materialized views"),
    ("statement_id", "Statement ID"),
    ("session_id", "Session ID"),
    ("trace_id", "Trace ID"),
    ("is_nereids", "Nereids planner"),
    ("is_slow", "In slow-query log"),
    ("job_id", "Job ID"),
    ("load_type", "Type of load"),
    ("table_list", "Tables"),
    ("file_path_list", "Files"),
    ("file_number", "Number of files"),
    ("url", "Rejected rows"),
    ("load_bytes", "Bytes loaded"),
];

/// Returns the known fields of the record that stand nowhere else on the page, labelled.
fn more_fields(query: &StoredQuery, page: &Parameters) -> Vec<(String, Markup)> {
    let fields = QueryRecord::FIELDS.iter().zip(query.values());
    let more = fields.filter(|(field, _)| !SHOWN.contains(&field.name));
    more.filter_map(|(field, value)| Some((label(field.name), shown(field.name, value, page)?)))
        .collect()
}

/// Returns the label of a field of a record.
pub(in crate::web) fn label(name: &str) -> String {
    if let Some((_, label)) = LABELS.iter().find(|(field, _)| *field == name) {
        return (*label).to_string();
    }
    let words = name.trim_end_matches("_ms").replace('_', " ").replace("sql ", "SQL ");
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Returns a value in the unit that the field's name says, or None if it is unknown.
pub(in crate::web) fn shown(
    name: &str,
    value: FieldValue<'_>,
    page: &Parameters,
) -> Option<Markup> {
    Some(match value {
        FieldValue::Unknown => return None,
        FieldValue::Text("audit") if name == "origin" => html! { "audit log" },
        FieldValue::Text("summary") if name == "origin" => html! { "profile or query list" },
        FieldValue::Text(list) if ["queried_tables", "table_list"].contains(&name) => {
            tables(list, None, page)
        }
        FieldValue::Text(text) if FILTERING.contains(&name) => {
            filtered(name, text, html! { bdi { (text) } }, page)
        }
        FieldValue::Text(id) if name == "trace_id" => {
            html! { a href=(paths::find(id, page)) { bdi { (id) } } }
        }
        FieldValue::Text(kind) if name == "kind" => filtered("type", kind, html! { (kind) }, page),
        FieldValue::Text(text) | FieldValue::Json(text) => html! { bdi { (text) } },
        FieldValue::Number(ms) if name.ends_with("_ms") => {
            html! { (format::duration(Some(ms))) }
        }
        FieldValue::Number(bytes) if name.ends_with("_bytes") => {
            html! { (format::bytes(Some(bytes))) }
        }
        FieldValue::Number(number) => html! { (format::integer(number)) },
        FieldValue::Truth(hit) if name == "cache_hit" => {
            filtered(name, &hit.to_string(), html! { @if hit { "yes" } @else { "no" } }, page)
        }
        FieldValue::Truth(truth) => html! { @if truth { "yes" } @else { "no" } },
    })
}

/// Returns the changed session variables, and the fields that annals does not know.
fn other_fields(query: &StoredQuery) -> Vec<(String, String)> {
    let values =
        [serde_json::to_value(&query.changed_variables), serde_json::to_value(&query.extra)];
    let values = values.into_iter().flatten();
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
