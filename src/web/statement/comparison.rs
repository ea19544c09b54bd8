//! The fastest and the slowest run of a statement, and the nodes of their plans whose times differ most.

use std::collections::HashMap;

use maud::{Markup, html};

use crate::domain::profile::{NodeDifference, Plan, Section, compare, lossy, operators};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{StoreError, StoredQuery, StoredText};
use crate::web::query::stored_profile;
use crate::web::{format, paths};

/// Nodes in the comparison, and further ones that differ in more than their times.
const MAX_NODES: usize = 20;
/// What two compared runs are called: the one on the left, then the other.
pub(in crate::web) type Names = [&'static str; 2];

const FASTEST_SLOWEST: Names = ["fastest", "slowest"];
pub(in crate::web) const EARLIER_LATER: Names = ["earlier", "later"];

/// Returns the section that compares the fastest with the slowest run; `None` with fewer than two timed runs. `newest`
/// is the number of runs if there are more than these.
pub(super) async fn compare_extremes(
    view: &View,
    runs: &[StoredQuery],
    newest: Option<usize>,
    page: &Parameters,
) -> Result<Option<Markup>, ApiError> {
    let timed = || runs.iter().filter(|run| run.duration_ms.is_some());
    // Only plans say why one took longer.
    let have_profiles = timed().filter(|run| run.has_profile).count() > 1;
    let compared = || timed().filter(|run| run.has_profile || !have_profiles);
    let slowest = compared().max_by_key(|run| run.duration_ms);
    let fastest = compared().min_by_key(|run| run.duration_ms);
    let pair = fastest.zip(slowest).filter(|(fastest, slowest)| fastest.id != slowest.id);
    let Some((fastest, slowest)) = pair else {
        return Ok(None);
    };
    let before = stored_profile(view, &fastest.query_id).await?;
    let after = stored_profile(view, &slowest.query_id).await?;
    let nodes = match before.zip(after) {
        Some((before, after)) => {
            let text_bytes = before.len() + after.len();
            let work = move || compared_nodes(before, after, FASTEST_SLOWEST);
            view.compute(text_bytes, work).await??
        }
        None => html! { p.note { "The plans are compared when both runs have a stored profile." } },
    };
    Ok(Some(html! {
        section aria-labelledby="comparison" {
            h2 #comparison {
                "Fastest and slowest run" @if have_profiles { " with a profile" }
                @if let Some(runs) = newest { " (newest " (runs) " runs)" }
            }
            (runs_side_by_side(fastest, slowest, page, view.zone))
            (nodes)
        }
    }))
}

fn runs_side_by_side(
    fastest: &StoredQuery,
    slowest: &StoredQuery,
    page: &Parameters,
    zone: Zone,
) -> Markup {
    let row = |name: &str, value: &dyn Fn(&StoredQuery) -> Markup| {
        html! { tr { th scope="row" { (name) } td { (value(fastest)) } td { (value(slowest)) } } }
    };
    html! {
        div.wide-table {
            table.comparison {
                thead { tr { td {} th scope="col" { "Fastest" } th scope="col" { "Slowest" } } }
                tbody {
                    (row("Query", &|run| html! { a href=(paths::keeping(&paths::query(&run.query_id), page)) { code { (run.query_id) } } }))
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
pub(in crate::web) fn compared_nodes(
    before: StoredText,
    after: StoredText,
    names: Names,
) -> Result<Markup, StoreError> {
    let (before, after) = (before.unpack()?, after.unpack()?);
    let (before, after) = (lossy(&before), lossy(&after));
    let (before, after) = (Section::parse(&before), Section::parse(&after));
    let (before_operators, after_operators) = (operators(&before), operators(&after));
    let before = Plan::of(&before, &before_operators);
    let after = Plan::of(&after, &after_operators);
    let nodes = nodes_side_by_side(&compare(&before, &after), names);
    let [before_name, after_name] = names;
    Ok(html! {
        @if let Some((one, other)) = before.fingerprint.zip(after.fingerprint).filter(|(one, other)| one != other) {
            p.note {
                "The plans differ: " code { (one) } " of the " (before_name) " run, " code { (other) } " of the " (after_name) " one."
            }
        }
        (nodes)
    })
}

/// Returns the name of a node, with its table, with its ids if these differ, and the kinds of a join that changed.
fn label(node: &NodeDifference<'_>, [before_name, after_name]: Names) -> String {
    let table = node.table.map(|table| format!(" {table}")).unwrap_or_default();
    let (ids, only) = match (node.before_id, node.after_id) {
        (Some(before), Some(after)) if before == after => (after.to_string(), None),
        (Some(before), Some(after)) => (format!("{before} → {after}"), None),
        (Some(before), None) => (before.to_string(), Some(before_name)),
        (None, after) => (after.unwrap_or_default().to_string(), Some(after_name)),
    };
    let only = only.map(|name| format!(", {name} only")).unwrap_or_default();
    let join = node.changed_join().map(|(before, after)| format!(", {before} → {after}"));
    let sides = if node.swaps_sides { ", sides exchanged" } else { "" };
    format!("{} {ids}{table}{only}{}{sides}", node.name, join.unwrap_or_default())
}

/// Returns for each of two profiles how nodes of its plan differ from the other plan, by the id of the node: a node that the
/// other plan does not have, or a join of another kind or with other sides.
pub(super) fn differing_nodes(one: &[u8], other: &[u8]) -> [HashMap<String, String>; 2] {
    let (one, other) = (lossy(one), lossy(other));
    let (one, other) = (Section::parse(&one), Section::parse(&other));
    let (one_operators, other_operators) = (operators(&one), operators(&other));
    let one = Plan::of(&one, &one_operators);
    let other = Plan::of(&other, &other_operators);
    let mut differing = [HashMap::new(), HashMap::new()];
    for node in compare(&one, &other) {
        let texts = match (node.before_id, node.after_id, node.changed_join()) {
            (Some(_), Some(_), None) if node.swaps_sides => {
                ["sides exchanged in the other plan"; 2].map(str::to_string)
            }
            (Some(_), Some(_), None) => continue,
            (Some(_), Some(_), Some((one, other))) => {
                [other, one].map(|kind| format!("{kind} in the other plan"))
            }
            _ => ["only in this plan"; 2].map(str::to_string),
        };
        for ((differing, id), text) in
            differing.iter_mut().zip([node.before_id, node.after_id]).zip(texts)
        {
            differing.extend(id.map(|id| (id.to_string(), text)));
        }
    }
    // What backends add by themselves is no difference between plans.
    for (differing, plan) in differing.iter_mut().zip([&one, &other]) {
        for node in plan.nodes.iter().filter(|node| node.is_local()) {
            differing.remove(&node.id);
        }
    }
    differing
}

fn nodes_side_by_side(differences: &[NodeDifference<'_>], names: Names) -> Markup {
    let columns: Vec<String> = ["Time", "Rows"]
        .into_iter()
        .flat_map(|value| names.map(|name| format!("{value}, {name}")))
        .collect();
    let changed = differences.iter().skip(MAX_NODES).filter(|node| node.is_other_plan());
    html! {
        div.wide-table {
            table.differences {
                thead {
                    tr {
                        th scope="col" { "Node" }
                        @for heading in &columns { th.number scope="col" { (heading) } }
                    }
                }
                tbody {
                    @for difference in differences.iter().take(MAX_NODES).chain(changed.take(MAX_NODES)) {
                        tr {
                            td.name { bdi { (format::excerpt(&label(difference, names), 120)) } }
                            @for (heading, value) in columns.iter().zip([
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
