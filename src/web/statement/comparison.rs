//! The fastest and the slowest run of a statement, and the nodes of their plans whose times differ most.

use maud::{Markup, html};

use crate::domain::profile::{NodeDifference, Plan, Section, compare, lossy, operators};
use crate::domain::time::Zone;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{StoreError, StoredQuery, StoredText};
use crate::web::query::stored_profile;
use crate::web::{format, paths};

/// Nodes in the comparison.
const MAX_NODES: usize = 20;
/// The headings of the columns beside the node.
const COLUMNS: [&str; 4] = ["Time, fastest", "Time, slowest", "Rows, fastest", "Rows, slowest"];

/// Returns the section that compares the fastest with the slowest run; `None` with fewer than two timed runs. `newest`
/// is the number of runs if there are more than these.
pub(super) async fn compare_extremes(
    view: &View,
    runs: &[StoredQuery],
    newest: Option<usize>,
) -> Result<Option<Markup>, ApiError> {
    let timed = || runs.iter().filter(|run| run.duration_ms.is_some());
    // Of runs that took equally long, the one with a profile.
    let slowest = timed().max_by_key(|run| (run.duration_ms, run.has_profile));
    let fastest = timed().min_by_key(|run| (run.duration_ms, !run.has_profile));
    let pair = fastest.zip(slowest).filter(|(fastest, slowest)| fastest.id != slowest.id);
    let Some((fastest, slowest)) = pair else {
        return Ok(None);
    };
    let before = stored_profile(view, &fastest.query_id).await?;
    let after = stored_profile(view, &slowest.query_id).await?;
    let nodes = match before.zip(after) {
        Some((before, after)) => {
            let text_bytes = before.len() + after.len();
            view.compute(text_bytes, move || compared_nodes(before, after)).await??
        }
        None => html! { p.note { "The plans are compared when both runs have a stored profile." } },
    };
    Ok(Some(html! {
        section aria-labelledby="comparison" {
            h2 #comparison {
                "Fastest and slowest run"
                @if let Some(runs) = newest { " (newest " (runs) " runs)" }
            }
            (runs_side_by_side(fastest, slowest, view.zone))
            (nodes)
        }
    }))
}

fn runs_side_by_side(fastest: &StoredQuery, slowest: &StoredQuery, zone: Zone) -> Markup {
    let row = |name: &str, value: &dyn Fn(&StoredQuery) -> Markup| {
        html! { tr { th scope="row" { (name) } td { (value(fastest)) } td { (value(slowest)) } } }
    };
    html! {
        div.wide-table {
            table.comparison {
                thead { tr { td {} th scope="col" { "Fastest" } th scope="col" { "Slowest" } } }
                tbody {
                    (row("Query", &|run| html! { a href=(paths::query(&run.query_id)) { code { (run.query_id) } } }))
                    (row("Started", &|run| format::time(run.started_ms, zone)))
                    (row("Duration", &|run| html! { (format::duration(run.duration_ms)) }))
                    (row("State", &|run| format::state(run.state.as_deref(), run.is_failed())))
                    (row("User", &|run| format::text(run.user.as_deref())))
                    (row("Rows scanned", &|run| html! { (format::number(run.scan_rows)) }))
                    (row("Bytes scanned", &|run| html! { (format::bytes(run.scan_bytes)) }))
                    (row("Peak memory", &|run| html! { (format::bytes(run.peak_memory_bytes)) }))
                    (row("CPU time", &|run| html! { (format::duration(run.cpu_time_ms)) }))
                }
            }
        }
    }
}

/// Returns the nodes of the plans of two profiles side by side. Errors if a stored text is damaged.
fn compared_nodes(before: StoredText, after: StoredText) -> Result<Markup, StoreError> {
    let (before, after) = (before.unpack()?, after.unpack()?);
    let (before, after) = (lossy(&before), lossy(&after));
    let (before, after) = (Section::parse(&before), Section::parse(&after));
    let (before_operators, after_operators) = (operators(&before), operators(&after));
    let before = Plan::of(&before, &before_operators);
    let after = Plan::of(&after, &after_operators);
    Ok(nodes_side_by_side(&compare(&before, &after)))
}

/// Returns the name of a node, with its table, and with its ids if these differ.
fn label(node: &NodeDifference<'_>) -> String {
    let table = node.table.map(|table| format!(" {table}")).unwrap_or_default();
    let ids = match (node.before_id, node.after_id) {
        (Some(before), Some(after)) if before == after => format!(" {after}"),
        (Some(before), Some(after)) => format!(" {before} → {after}"),
        (Some(before), None) => format!(" {before}, fastest only"),
        (None, after) => format!(" {}, slowest only", after.unwrap_or_default()),
    };
    format!("{}{ids}{table}", node.name)
}

fn nodes_side_by_side(differences: &[NodeDifference<'_>]) -> Markup {
    html! {
        div.wide-table {
            table.differences {
                thead {
                    tr {
                        th scope="col" { "Node" }
                        @for heading in COLUMNS { th.number scope="col" { (heading) } }
                    }
                }
                tbody {
                    @for difference in differences.iter().take(MAX_NODES) {
                        tr {
                            td.name { bdi { (format::excerpt(&label(difference), 120)) } }
                            @for (heading, value) in COLUMNS.iter().zip([
                                format::nanoseconds(difference.before_ns),
                                format::nanoseconds(difference.after_ns),
                                format::number(difference.before_rows),
                                format::number(difference.after_rows),
                            ]) {
                                td.number data-label=(heading) { (value) }
                            }
                        }
                    }
                }
            }
        }
    }
}
