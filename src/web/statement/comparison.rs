//! The fastest and the slowest run of a statement, and the operators whose time differs most.

use maud::{Markup, html};

use crate::domain::profile::{OperatorDifference, Section, compare, lossy, operators};
use crate::domain::time::Zone;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{StoreError, StoredQuery, StoredText};
use crate::web::query::stored_profile;
use crate::web::{format, paths};

/// Operators in the comparison.
const MAX_OPERATORS: usize = 20;
/// The headings of the columns beside the operator.
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
    let operators = match before.zip(after) {
        Some((before, after)) => {
            let text_bytes = before.len() + after.len();
            view.compute(text_bytes, move || compared_operators(before, after)).await??
        }
        None => html! { p.note { "Operators are compared when both runs have a stored profile." } },
    };
    Ok(Some(html! {
        section aria-labelledby="comparison" {
            h2 #comparison {
                "Fastest and slowest run"
                @if let Some(runs) = newest { " (newest " (runs) " runs)" }
            }
            (runs_side_by_side(fastest, slowest, view.zone))
            (operators)
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

/// Returns the operators of two profiles side by side. Errors if a stored text is damaged.
fn compared_operators(before: StoredText, after: StoredText) -> Result<Markup, StoreError> {
    let (before, after) = (before.unpack()?, after.unpack()?);
    let (before, after) = (lossy(&before), lossy(&after));
    let (before, after) = (Section::parse(&before), Section::parse(&after));
    Ok(operators_side_by_side(&compare(&operators(&before), &operators(&after))))
}

fn operators_side_by_side(differences: &[OperatorDifference<'_>]) -> Markup {
    html! {
        div.wide-table {
            table.differences {
                thead {
                    tr {
                        th scope="col" { "Operator" }
                        @for heading in COLUMNS { th.number scope="col" { (heading) } }
                    }
                }
                tbody {
                    @for difference in differences.iter().take(MAX_OPERATORS) {
                        tr {
                            td.name { bdi { (format::excerpt(difference.name, 120)) } }
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
