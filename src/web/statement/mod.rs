//! `/statements/<fingerprint>`: the runs of one statement, its plans, and its fastest and slowest run side by side.

mod comparison;
mod durations;
mod plans;

use std::sync::Arc;

pub(super) use comparison::{EARLIER_LATER, compared_nodes};
use durations::Charts;
use maud::{Markup, html};
use plans::Plans;
use warp::filters::BoxedFilter;

use super::layout::{NavItem, Page};
use super::query_table::QueryTable;
use super::range_form::picker;
use super::request::{PageRequests, page_route, query_filter};
use super::statements::failed;
use super::time_range::TimeRange;
use super::{chart, filter_form, format, nearest, paths, sql};
use crate::domain::filter::QueryFilter;
use crate::domain::statement::{Fingerprint, InvalidFingerprint};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::OrderName;
use crate::http::view::View;
use crate::store::{StatementOrder, StatementStatistics, StoreError, StoredQuery, Watch};

/// The page charts and compares the newest runs, this many.
const MAX_RUNS: u32 = 200;
/// Rows of the table of runs.
const TABLE_ROWS: usize = 50;

pub(super) fn route(requests: PageRequests, watch: Arc<Watch>) -> BoxedFilter<(Answer,)> {
    let charts = durations::charts(watch);
    page_route("/statements/{fingerprint}", requests, move |path, request| {
        let (charts, fingerprint) = (charts.clone(), path.get("fingerprint").to_string());
        request.answer(&["plans"], |view, parameters| page(view, fingerprint, parameters, charts))
    })
}

async fn page(
    view: View,
    fingerprint: String,
    mut parameters: Parameters,
    charts: Arc<Charts>,
) -> Result<Page, ApiError> {
    let fingerprint: Fingerprint = fingerprint
        .parse()
        .map_err(|error: InvalidFingerprint| ApiError::BadRequest(error.to_string()))?;
    // The path names the statement.
    parameters.remove("fingerprint");
    let filter = QueryFilter {
        fingerprint: Some(fingerprint),
        limit: MAX_RUNS,
        ..query_filter(&view, &parameters)?
    };
    // All runs, unless a range was chosen: they are few beside all queries.
    let runs = view.records(&filter).await?;
    let range = TimeRange::or_whole(&view, &filter).await?;
    // Summaries of hours answer for a range alone.
    let in_range = range.map_or_else(|| filter.clone(), |range| range.restrict(&filter));
    let mut statistics = view.statements(&in_range, StatementOrder::Total).await?;
    if statistics.statements.is_empty() {
        // Runs without a start are in no range.
        statistics = view.statements(&filter, StatementOrder::Total).await?;
    }
    let path = paths::statement(fingerprint);
    let chosen = html! {
        (picker(&path, &parameters, view.zone, range.as_ref()))
        (filter_form::chosen(&path, &parameters, view.zone))
    };
    let title = format!("Statement {fingerprint}");
    let Some(statistics) = statistics.statements.into_iter().next() else {
        if paths::kept_of(&parameters).is_empty() {
            return Err(ApiError::NotFound(format!("there is no statement {fingerprint}")));
        }
        let body = html! {
            h1 { "Statement " code { (fingerprint) } }
            (chosen)
            p.empty {
                "No run of this statement matches the time range and the filters. "
                @if let Some(nearest) = nearest::sentence(&view, &filter, &parameters).await? { (nearest) }
            }
            (filter_form::several_values(&path, &parameters))
        };
        return Ok(Page { title, nav: Some(NavItem::Statements), body });
    };
    // The chart and the comparison say so if they do not have all runs.
    let newest = (statistics.count > runs.len() as i64).then_some(runs.len());
    let comparison = comparison::compare_extremes(&view, &runs, newest, &parameters).await?;
    let durations = durations::section(&view, &filter, &charts, (&path, &parameters)).await?;
    let plans = match view.plan_runs(&filter).await {
        // The page has more than the plans.
        Err(StoreError::TimedOut(_) | StoreError::Overloaded) => None,
        runs => Some(Plans::of(runs?)),
    };
    let plans_section = match &plans {
        Some(plans) => plans.section(&view, fingerprint, &parameters).await?,
        None => Some(html! { p.note { "The plans are missing: reading them took too long." } }),
    };
    let colour = |run: &StoredQuery| plans.as_ref()?.colour(run);
    let listed = runs_in_history(fingerprint, &parameters);
    let table = QueryTable {
        parameters: &listed,
        order: OrderName::of(&filter),
        zone: view.zone,
        is_sortable: true,
        has_clusters: !view.several_clusters().await?.is_empty(),
        has_loads_alone: false,
    };
    let body = html! {
        div.heading {
            h1 { "Statement " code { (fingerprint) } }
            a href=(paths::history_of_statement(fingerprint, &parameters)) { "Runs in History" }
        }
        (chosen)
        (facts(&statistics, &parameters, view.zone))
        @if statistics.errors > 0 { p.note { "The median, the percentiles and the longest duration are of runs that did not fail." } }
        section aria-labelledby="normalized" {
            h2 #normalized { "Normalized statement" }
            (sql::block(&statistics.normalized))
        }
        @if let Some(durations) = durations { (durations) }
        section aria-labelledby="over-time" {
            h2 #over-time { "Runs over time" @if let Some(runs) = newest { " (newest " (runs) " runs)" } }
            (chart::runs(&runs, (None, &parameters), &colour, view.zone))
        }
        @if let Some(plans) = plans_section { (plans) }
        @if let Some(comparison) = comparison { (comparison) }
        section aria-labelledby="runs" {
            div.heading {
                h2 #runs { "Runs" }
                (table.compare_form())
            }
            (table.table(&runs[..runs.len().min(TABLE_ROWS)], None))
            p.paging { a href=(paths::history_of_statement(fingerprint, &parameters)) { "All runs in History" } }
        }
    };
    Ok(Page { title, nav: Some(NavItem::Statements), body })
}

/// Returns the parameters of the history that lists the runs of the page.
fn runs_in_history(fingerprint: Fingerprint, parameters: &Parameters) -> Parameters {
    let mut listed = paths::kept_of(parameters);
    listed.set("fingerprint", fingerprint.to_string());
    listed
}

fn facts(statistics: &StatementStatistics, page: &Parameters, zone: Zone) -> Markup {
    let duration = |ms: Option<i64>| html! { (format::duration(ms)) };
    let integer = |value: i64| html! { (format::integer(value)) };
    let facts = [
        ("Runs", integer(statistics.count)),
        ("Failed", failed(statistics, page)),
        ("Total duration", duration(statistics.total_ms)),
        ("Median", duration(statistics.p50_ms)),
        ("p95", duration(statistics.p95_ms)),
        ("p99", duration(statistics.p99_ms)),
        ("Longest", duration(statistics.max_ms)),
        ("CPU time", duration(statistics.cpu_time_ms)),
        ("Queue", duration(statistics.queue_time_ms)),
        ("Planning", duration(statistics.planning_time_ms)),
        ("Peak memory", html! { (format::bytes(statistics.peak_memory_bytes)) }),
        ("Spilled", html! { (format::bytes(statistics.spill_write_bytes)) }),
        ("Bytes scanned", html! { (format::bytes(statistics.scan_bytes)) }),
        ("Users", integer(statistics.users)),
        ("First run", format::time(statistics.first_ms, zone)),
        ("Last run", format::time(statistics.last_ms, zone)),
    ];
    html! {
        dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
    }
}
