//! The table of queries, on the history and on the page of a statement.

use maud::{Markup, html};

use super::{chart, format, paths};
use crate::domain::time::Zone;
use crate::store::StoredQuery;

/// Characters of a statement in a row.
const EXCERPT_CHARS: usize = 180;

/// Returns a table of queries. `events` is the address of its live updates.
pub(super) fn table(queries: &[StoredQuery], events: Option<&str>, zone: Zone) -> Markup {
    html! {
        table.queries {
            thead {
                tr {
                    th scope="col" { "Started" }
                    th scope="col" { "Duration" }
                    th scope="col" { "State" }
                    th scope="col" { "User" }
                    th scope="col" { "Database" }
                    th.number scope="col" title="Rows scanned" { "Rows" }
                    th.number scope="col" title="Bytes scanned" { "Scanned" }
                    th scope="col" { "Statement" }
                }
            }
            tbody data-events=[events] {
                @for (_, row) in rows(queries, zone) { (row) }
            }
        }
    }
}

/// Returns the rows of a table, each with the row id of its query.
pub(super) fn rows(queries: &[StoredQuery], zone: Zone) -> Vec<(i64, Markup)> {
    let max_duration_ms = queries.iter().filter_map(|query| query.duration_ms).max().unwrap_or(0);
    queries.iter().map(|query| (query.id, row(query, max_duration_ms, zone))).collect()
}

fn row(query: &StoredQuery, max_duration_ms: i64, zone: Zone) -> Markup {
    let statement = query.statement.as_deref().map(|text| format::excerpt(text, EXCERPT_CHARS));
    let statement = statement.filter(|text| !text.is_empty());
    html! {
        tr data-row=(query.id) {
            td.started { (format::time(query.started_ms, zone)) }
            td.duration {
                (chart::bar(query.duration_ms.unwrap_or(0), max_duration_ms))
                span { (format::duration(query.duration_ms)) }
            }
            td.outcome { (format::state(query.state.as_deref(), query.is_failed())) }
            td.user { (format::text(query.user.as_deref())) }
            td.db { (format::text(query.db.as_deref())) }
            td.number { (format::number(query.scan_rows)) }
            td.number { (format::bytes(query.scan_bytes)) }
            td.statement {
                a href=(paths::query(&query.query_id)) {
                    @match statement {
                        Some(text) => bdi { (text) },
                        None => (query.query_id),
                    }
                }
                @if query.has_profile { span.badge title="Profile stored" { "profile" } }
            }
        }
    }
}
