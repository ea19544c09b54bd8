//! `/plans`: what the plans of statements cost, and in which phases the time of their runs went.

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::layout::{NavItem, Page};
use super::range_form::picker;
use super::request::{PageRequests, page_route, query_filter};
use super::statements::{EXCERPT_CHARS, tabs};
use super::time_range::TimeRange;
use super::{chart, filter_form, format, paths};
use crate::domain::profile::{PlanStatistics, ProfiledStatement, ProfiledStatements};
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;

/// How many plans of a statement the page lists. The plans that ran last come first.
const LISTED_PLANS: usize = 5;

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    page_route("/plans", requests, |_, request| request.answer(&["limit", "several"], page))
}

async fn page(view: View, parameters: Parameters) -> Result<Page, ApiError> {
    let are_several = match parameters.get("several").map(String::as_str) {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::BadRequest("several must be true or false".to_string())),
    };
    let filter = query_filter(&view, &parameters)?;
    let range = TimeRange::of(&view, &filter).await?;
    let found = match &range {
        Some(range) => view.profiled_statements(&range.restrict(&filter), are_several).await?,
        None => ProfiledStatements::default(),
    };
    let ranged = range.map_or_else(|| parameters.clone(), |range| range.kept(&parameters));
    let body = html! {
        h1 { "Statements" }
        (tabs(paths::PLANS, &parameters))
        p.note { "What the stored profiles say of each statement: where the time of its runs went, and which plans it ran with." }
        (picker(paths::PLANS, &parameters, view.zone, range.as_ref()))
        (filter_form::cluster_choices(&view.several_clusters().await?, paths::PLANS, &parameters))
        (filter_form::chosen(paths::PLANS, &parameters, view.zone))
        (choices(are_several, found.with_several_plans, &parameters))
        @if let Some(unread) = format::unread_profiles(found.unread_profiles) { (unread) }
        @if found.runs == 0 {
            p.empty { "No profile with a plan among these runs." }
        } @else {
            p.note {
                (format::counted(found.runs, "run has a profile", "runs have a profile"))
                " with a plan."
                @if found.is_cut { " Older ones are not read." }
            }
            @if !found.statements.is_empty() { (table(&found, are_several, &ranged)) }
        }
    };
    Ok(Page { title: "Plans and phases".to_string(), nav: Some(NavItem::Statements), body })
}

fn choices(are_several: bool, with_several_plans: usize, parameters: &Parameters) -> Markup {
    let several = format!("With several plans ({with_several_plans})");
    html! {
        div.range {
            p { "Statements" }
            ul aria-label="Statements" {
                @for (value, label, is_chosen) in [("", "All", !are_several), ("true", &several, are_several)] {
                    li {
                        a href=(address(paths::PLANS, parameters, &[("several", value)]))
                            aria-current=[is_chosen.then_some("true")] { (label) }
                    }
                }
            }
        }
    }
}

fn table(found: &ProfiledStatements, are_several: bool, parameters: &Parameters) -> Markup {
    const HEADINGS: [&str; 9] = [
        "Plans", "Runs", "Total", "Planning", "Queue", "Execution", "Fetching", "Waiting",
        "Cost of plans",
    ];
    let max_total_ms = found.statements.iter().filter_map(|one| one.total_ms).max().unwrap_or(0);
    html! {
        div.wide-table {
            table.statements {
                thead {
                    tr {
                        th scope="col" { "Statement" }
                        @for heading in HEADINGS { th.number scope="col" { (heading) } }
                    }
                }
                tbody {
                    @for one in &found.statements { (row(one, max_total_ms, are_several, parameters)) }
                }
            }
        }
        p.note {
            "Fetching is the part of the execution in which the frontend fetched the result; only Doris reports it. "
            "Waiting is the part of the times of all nodes in which they waited for others. "
            "The cost of plans is how much longer the runs took than they would have with the plan of the shortest median."
        }
    }
}

fn row(
    one: &ProfiledStatement,
    max_total_ms: i64,
    are_several: bool,
    parameters: &Parameters,
) -> Markup {
    let path = paths::statement_of(one.fingerprint, parameters);
    let waiting = one.waiting_part().map(|part| format!("{:.0} %", part * 100.0));
    let phase = |label: &str, ms: Option<i64>| {
        html! { td.number data-label=(label) { (format::duration(ms)) } }
    };
    html! {
        tr {
            td.statement {
                a href=(&path) { bdi { (format::excerpt(&one.normalized, EXCERPT_CHARS)) } }
                @if are_several {
                    ul.plain { @for plan in one.plans.iter().take(LISTED_PLANS) { li.note { (plan_costs(plan, &paths::keeping(&paths::query(&plan.newest_query_id), parameters))) } } }
                }
            }
            td.number data-label="Plans" {
                a href={ (&path) "#plans" } { (format::integer(one.plans.len() as i64)) }
            }
            td.number data-label="Runs" { (format::integer(one.runs as i64)) }
            td.number.duration data-label="Total" {
                (chart::bar(one.total_ms.unwrap_or(0), max_total_ms)) (format::duration(one.total_ms))
            }
            (phase("Planning", one.planning_ms))
            (phase("Queue", one.queue_ms))
            (phase("Execution", one.execution_ms))
            (phase("Fetching", one.fetching_ms))
            td.number data-label="Waiting" { (waiting.as_deref().unwrap_or(format::UNKNOWN)) }
            (phase("Cost of plans", Some(one.extra_ms)))
        }
    }
}

fn plan_costs(plan: &PlanStatistics, path: &str) -> Markup {
    html! {
        a href=(path) { code { (plan.plan_fingerprint) } }
        ": " (format::counted(plan.runs, "run", "runs")) ", median " (format::duration(plan.p50_ms))
        ", p95 " (format::duration(plan.p95_ms))
    }
}
