//! The fields of two runs: the most used ones, and all others that differ.

use maud::{Markup, html};

use crate::domain::record::{FieldValue, Load, QueryRecord};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::store::StoredQuery;
use crate::web::query::{field_label, shown_value};
use crate::web::{format, paths};

/// Fields that always show, also if both runs have the same value, with their labels.
const ALWAYS: [(&str, &str); 9] = [
    ("duration_ms", "Duration"),
    ("user", "User"),
    ("db", "Database"),
    ("scan_rows", "Rows scanned"),
    ("scan_bytes", "Bytes scanned"),
    ("return_rows", "Rows returned"),
    ("cpu_time_ms", "CPU time"),
    ("peak_memory_bytes", "Peak memory"),
    ("queue_time_ms", "Queue time"),
];
/// Fields that another part of the page shows.
const ELSEWHERE: [&str; 7] =
    ["query_id", "statement", "state", "started_ms", "ended_ms", "is_start_estimated", "extra"];
/// Numbers of which one is not more than another.
const NAMES: [&str; 2] = ["error_code", "statement_id"];

/// Returns the two runs as a table.
pub(super) fn section(
    before: &StoredQuery,
    after: &StoredQuery,
    page: &Parameters,
    zone: Zone,
) -> Markup {
    let row = |name: &str, value: &dyn Fn(&StoredQuery) -> Markup| {
        html! { tr { th scope="row" { (name) } td { (value(before)) } td { (value(after)) } td {} } }
    };
    html! {
        section aria-labelledby="runs-heading" {
            h2 #runs-heading { "Runs" }
            div.wide-table {
                table.comparison {
                    thead {
                        tr {
                            th.field scope="col" { "Field" }
                            th scope="col" { "Earlier run" }
                            th scope="col" { "Later run" }
                            th scope="col" { "Change" }
                        }
                    }
                    tbody {
                        (row("Query", &|run| html! { a href=(paths::keeping(&paths::query(&run.query_id), page)) { code { (run.query_id) } } }))
                        (row("Started", &|run| format::time(run.started_ms, zone)))
                        (row("State", &|run| format::state(run.state.as_deref(), run.is_failed())))
                        @for field in differing(before, after, page) { (field) }
                    }
                }
            }
        }
    }
}

/// Returns the rows of the fields that always show, then of the fields that differ.
fn differing(before: &StoredQuery, after: &StoredQuery, page: &Parameters) -> Vec<Markup> {
    let values = before.values().into_iter().zip(after.values());
    let fields = QueryRecord::FIELDS.iter().zip(values);
    let named = fields.map(|(field, values)| (field.name, values));
    let (always, others): (Vec<_>, Vec<_>) = named
        .filter(|(name, _)| !ELSEWHERE.contains(name))
        .partition(|(name, _)| place(name).is_some());
    let mut rows = always;
    rows.sort_by_key(|(name, _)| place(name));
    rows.retain(|(_, values)| *values != (FieldValue::Unknown, FieldValue::Unknown));
    let of_loads = of_loads(before).zip(of_loads(after));
    let of_loads = of_loads.map(|((name, before), (_, after))| (name, (before, after)));
    let others = others.into_iter().chain(of_loads);
    rows.extend(others.filter(|(_, (before, after))| before != after));
    rows.into_iter().map(|(name, values)| row(name, values, page)).collect()
}

/// Returns the fields that only loads have, all unknown for a query.
fn of_loads(run: &StoredQuery) -> impl Iterator<Item = (&'static str, FieldValue<'_>)> {
    let load = run.load.as_deref();
    let values = load.map_or([FieldValue::Unknown; Load::FIELDS.len()], Load::values);
    Load::FIELDS.iter().map(|field| field.name).zip(values)
}

/// Returns the place of a field among the fields that always show.
fn place(name: &str) -> Option<usize> {
    ALWAYS.iter().position(|(it, _)| *it == name)
}

fn row(
    name: &'static str,
    (before, after): (FieldValue<'_>, FieldValue<'_>),
    page: &Parameters,
) -> Markup {
    let label = place(name).map_or_else(|| field_label(name), |at| ALWAYS[at].1.to_string());
    let cell = |value| shown_value(name, value, page).unwrap_or_else(|| format::text(None));
    html! {
        tr {
            th scope="row" { (label) }
            td { (cell(before)) }
            td { (cell(after)) }
            td { (change(name, before, after)) }
        }
    }
}

/// Returns by how much a number changed, and how many times as large it became.
fn change(name: &str, before: FieldValue<'_>, after: FieldValue<'_>) -> Markup {
    let (FieldValue::Number(before), FieldValue::Number(after)) = (before, after) else {
        return html! {};
    };
    if before == after || NAMES.contains(&name) {
        return html! {};
    }
    let difference = i64::try_from(after.abs_diff(before)).unwrap_or(i64::MAX);
    let times = (before > 0).then(|| after as f64 / before as f64);
    html! {
        (if after > before { "+" } else { "−" })
        @if let Some(difference) = shown_value(name, FieldValue::Number(difference), &Parameters::new()) { (difference) }
        @if let Some(times) = times {
            " ×" (if times < 9.95 { format!("{times:.2}") } else { format!("{times:.0}") })
        }
    }
}
