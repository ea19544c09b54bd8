//! The values of a record, read from their text. Each function sets a field and returns whether the text is a value of
//! its type.

use crate::domain::cluster::ClusterName;

pub(super) fn text(field: &mut Option<String>, text: &str) -> bool {
    *field = Some(text.to_string());
    true
}

/// Sets a name of a user or a database, without its cluster.
pub(super) fn name(field: &mut Option<String>, text: &str) -> bool {
    *field = Some(without_cluster(text).to_string());
    true
}

/// Sets the name of a cluster, unless it is one that no configuration may name.
pub(super) fn cluster(field: &mut Option<String>, text: &str) -> bool {
    *field = text.parse().ok().map(|name: ClusterName| name.to_string());
    field.is_some()
}

/// The largest number that a field can have. No count, size or time of a query is as large, and a dozen of such numbers
/// would overflow what adds them up.
const MAX_NUMBER: i64 = 1_000_000_000_000_000_000;

/// Sets a number, unless it is larger than any query's.
pub(super) fn number(field: &mut Option<i64>, text: &str) -> bool {
    let is_possible = |number: &i64| (-MAX_NUMBER..=MAX_NUMBER).contains(number);
    *field = text.parse().ok().filter(is_possible);
    field.is_some()
}

/// Sets a time in milliseconds from one in nanoseconds, rounded.
pub(super) fn nanoseconds(field: &mut Option<i64>, text: &str) -> bool {
    *field = text.parse().ok().map(|ns: i64| ns.saturating_add(500_000) / 1_000_000);
    field.is_some()
}

pub(super) fn boolean(field: &mut Option<bool>, text: &str) -> bool {
    *field = parse_boolean(text);
    field.is_some()
}

/// Returns the truth value of `1`, `0`, `true` or `false` in any letter case, or None for any other text.
pub(in crate::formats) fn parse_boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Returns a name without the cluster's, which Doris before 1.2 and StarRocks before 3.0 write before it.
pub(in crate::formats) fn without_cluster(name: &str) -> &str {
    name.strip_prefix("default_cluster:").unwrap_or(name)
}

/// Returns a number by its key in a JSON object, or None if it is unknown.
pub(super) fn json_number(text: &str, key: &str) -> Option<i64> {
    let object: serde_json::Value = serde_json::from_str(text).ok()?;
    object.get(key)?.as_i64().filter(|number| *number >= 0)
}

/// Returns whether a text is a JSON object.
pub(super) fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

/// Returns the trace id among the variables that a client changed: it sets `session_context` to `trace_id:ID`.
pub(super) fn trace_id(changed_variables: &str) -> Option<String> {
    if !changed_variables.contains("trace_id") {
        return None;
    }
    let variables: serde_json::Value = serde_json::from_str(changed_variables).ok()?;
    let context = variables.get("session_context")?.as_str()?;
    let mut parts = context.split([';', ',']);
    let id = parts.find_map(|part| part.trim().strip_prefix("trace_id:"))?.trim();
    (!id.is_empty()).then(|| id.to_string())
}
