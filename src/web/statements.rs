//! `/statements`: the statements of a time range, ordered by what they cost.

use std::collections::HashMap;
use std::sync::Arc;

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::filter_form::{self, cluster_choices};
use super::layout::{NavItem, Page};
use super::range_form::picker;
use super::report_cache::{Report, ReportCache};
use super::request::{PageRequests, page_route, query_filter};
use super::time_range::TimeRange;
use super::{chart, format, nearest, paths};
use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{StatementOrder, StatementStatistics, Visibility, Watch};

/// Characters of a statement in the list.
pub(super) const EXCERPT_CHARS: usize = 160;
/// Parts of a trend.
const TREND_PARTS: usize = 24;
/// The orders of the list, with the headings of their columns.
const ORDERS: [(&str, &str); 6] = [
    ("count", "Runs"),
    ("errors", "Failed"),
    ("total_ms", "Total"),
    ("p50_ms", "Median"),
    ("p95_ms", "p95"),
    ("max_ms", "Longest"),
];

/// Further orders. The figure that the list is ordered by has a column of its own.
const MORE_ORDERS: [(&str, &str, Figure); 9] = [
    ("cpu_time_ms", "CPU time", |one| format::duration(one.cpu_time_ms)),
    ("peak_memory_bytes", "Peak memory", |one| format::bytes(one.peak_memory_bytes)),
    ("scan_rows", "Scanned rows", |one| format::number(one.scan_rows)),
    ("scan_bytes", "Scanned bytes", |one| format::bytes(one.scan_bytes)),
    ("return_rows", "Returned rows", |one| format::number(one.return_rows)),
    ("spill_write_bytes", "Spilled", |one| format::bytes(one.spill_write_bytes)),
    ("queue_time_ms", "Queue", |one| format::duration(one.queue_time_ms)),
    ("planning_time_ms", "Planning", |one| format::duration(one.planning_time_ms)),
    ("variation", "Variation", |one| {
        one.variation.map_or(format::UNKNOWN.to_string(), |times| format!("{times:.1} ×"))
    }),
];

/// Returns the text of one figure.
type Figure = fn(&StatementStatistics) -> String;

/// The most bytes of the lists in the cache.
const CACHE_BYTES: usize = 16 << 20;

/// What the page lists.
#[derive(Debug)]
struct StatementList {
    /// `None` for an empty history.
    range: Option<TimeRange>,
    /// Each with no more of its text than the page shows.
    statements: Vec<StatementStatistics>,
    trends: Trends,
}

/// What the reader may see, and what the address selects. A filter is at most some kilobytes.
type Key = (Visibility, QueryFilter, StatementOrder);

type StatementLists = ReportCache<Key, StatementList>;

fn weigh(_: &Key, list: Option<&Report<StatementList>>) -> usize {
    // A row with its trend.
    const ROW_BYTES: usize = 1000;
    1000 + list.map_or(0, |list| list.value.statements.len() * ROW_BYTES)
}

pub(super) fn route(requests: PageRequests, watch: Arc<Watch>) -> BoxedFilter<(Answer,)> {
    let lists = Arc::new(ReportCache::new(watch, CACHE_BYTES, weigh));
    page_route("/statements", requests, move |_, request| {
        let lists = lists.clone();
        request.answer(&["limit", "order"], |view, parameters| page(view, parameters, lists))
    })
}

async fn page(
    view: View,
    parameters: Parameters,
    lists: Arc<StatementLists>,
) -> Result<Page, ApiError> {
    let order_name = parameters.get("order").map_or("total_ms", String::as_str);
    let order = StatementOrder::NAMES.into_iter().find(|(name, _)| *name == order_name);
    let (_, order) = order.ok_or_else(|| {
        let names = StatementOrder::NAMES.map(|(name, _)| name).join(", ");
        ApiError::BadRequest(format!("order must be one of {names}"))
    })?;
    let filter = query_filter(&view, &parameters)?;
    let key = (view.visibility(), filter.clone(), order);
    let list = lists.get_for_page(key, list(view.clone(), filter.clone(), order)).await?;
    let StatementList { range, statements, trends } = &list.value;
    let nearest = match range.filter(|_| statements.is_empty()) {
        Some(range) => nearest::sentence(&view, &range.restrict(&filter), &parameters).await?,
        None => None,
    };
    let clusters = view.several_clusters().await?;
    let body = html! {
        h1 { "Statements" }
        (tabs(paths::STATEMENTS, &parameters))
        p.note {
            "Statements that differ only in their literal values are counted as one. The median and p95 are of runs that did not fail."
        }
        (picker(paths::STATEMENTS, &parameters, view.zone, range.as_ref()))
        (cluster_choices(&clusters, paths::STATEMENTS, &parameters))
        (filter_form::chosen(paths::STATEMENTS, &parameters, view.zone))
        (more_orders(order_name, &parameters))
        (table(statements, trends, (order_name, range.as_ref()), &parameters))
        @if statements.is_empty() {
            p.empty { @match nearest { Some(nearest) => (nearest), None => "No statements in this time range." } }
            (filter_form::several_values(paths::STATEMENTS, &parameters))
        }
    };
    Ok(Page { title: "Statements".to_string(), nav: Some(NavItem::Statements), body })
}

/// Returns the links between the reports of statements, which keep the range and the filters of a page. `current` is the path of one.
pub(super) fn tabs(current: &str, page: &Parameters) -> Markup {
    let reports = [
        (paths::STATEMENTS, "By cost"),
        (paths::REGRESSIONS, "What changed"),
        (paths::FINDINGS, "Findings"),
        (paths::PLANS, "Plans and phases"),
    ];
    html! {
        nav.tabs aria-label="Reports" {
            @for (path, label) in reports {
                a href=(paths::keeping(path, page)) aria-current=[(path == current).then_some("page")] { (label) }
            }
        }
    }
}

/// Reads what the page lists.
async fn list(
    view: View,
    filter: QueryFilter,
    order: StatementOrder,
) -> Result<StatementList, ApiError> {
    let range = TimeRange::of(&view, &filter).await?;
    let Some(range) = range else {
        return Ok(StatementList { range, statements: Vec::new(), trends: Trends::new() });
    };
    let mut statements = view.statements(&range.restrict(&filter), order).await?.statements;
    for statement in &mut statements {
        statement.normalized = format::excerpt(&statement.normalized, EXCERPT_CHARS);
    }
    let trends = trends(&view, &statements, (&filter, &range)).await?;
    Ok(StatementList { range: Some(range), statements, trends })
}

type Trends = HashMap<Fingerprint, Vec<i64>>;

async fn trends(
    view: &View,
    statements: &[StatementStatistics],
    (filter, range): (&QueryFilter, &TimeRange),
) -> Result<Trends, ApiError> {
    let fingerprints: Vec<Fingerprint> =
        statements.iter().map(|statement| statement.fingerprint).collect();
    let width_ms = range.length_ms().div_ceil(TREND_PARTS as u64).max(1);
    let spans = (range.from_ms, width_ms, TREND_PARTS);
    Ok(view.trends(&fingerprints, filter, spans).await?)
}

fn more_orders(order: &str, parameters: &Parameters) -> Markup {
    let ordered_by = |name: &str| address(paths::STATEMENTS, parameters, &[("order", name)]);
    html! {
        div.range {
            p { "Order by a column, or by" }
            ul aria-label="Order" {
                @for (name, label, _) in MORE_ORDERS {
                    li {
                        a href=(ordered_by(name))
                            aria-current=[(name == order).then_some("true")] { (label) }
                    }
                }
            }
        }
    }
}

fn table(
    statements: &[StatementStatistics],
    trends: &Trends,
    (order, range): (&str, Option<&TimeRange>),
    parameters: &Parameters,
) -> Markup {
    let ranged = range.map_or_else(|| parameters.clone(), |range| range.kept(parameters));
    let figure = MORE_ORDERS.into_iter().find(|(name, ..)| *name == order);
    let figure = figure.map(|(_, label, figure)| (label, figure));
    let max_total_ms = statements.iter().filter_map(|one| one.total_ms).max().unwrap_or(0);
    html! {
        div.wide-table {
            table.statements {
                thead {
                    tr {
                        th scope="col" { "Statement" }
                        th scope="col" { "Trend" }
                        @for (name, label) in ORDERS {
                            th.number scope="col" aria-sort=[(name == order).then_some("descending")] {
                                a href=(address(paths::STATEMENTS, parameters, &[("order", name)])) { (label) }
                            }
                        }
                        @if let Some((label, _)) = figure {
                            th.number scope="col" aria-sort="descending" { (label) }
                        }
                        th.number scope="col" { "Scanned" }
                        th.number scope="col" { "Users" }
                    }
                }
                tbody {
                    @for statement in statements {
                        (row(statement, &ranged, max_total_ms, trends.get(&statement.fingerprint), figure))
                    }
                }
            }
        }
    }
}

fn row(
    statement: &StatementStatistics,
    page: &Parameters,
    max_total_ms: i64,
    trend: Option<&Vec<i64>>,
    figure: Option<(&str, Figure)>,
) -> Markup {
    html! {
        tr {
            td.statement {
                a href=(paths::statement_of(statement.fingerprint, page)) {
                    bdi { (statement.normalized) }
                }
            }
            td.trend { @if let Some(trend) = trend { (chart::sparkline(trend)) } }
            td.number data-label="Runs" { (format::number(Some(statement.count))) }
            td.number.errors[statement.errors > 0] data-label="Failed" { (failed(statement, page)) }
            td.number.duration data-label="Total" {
                (chart::bar(statement.total_ms.unwrap_or(0), max_total_ms)) (format::duration(statement.total_ms))
            }
            td.number data-label="Median" { (format::duration(statement.p50_ms)) }
            td.number data-label="p95" { (format::duration(statement.p95_ms)) }
            td.number data-label="Longest" { (format::duration(statement.max_ms)) }
            @if let Some((label, figure)) = figure {
                td.number data-label=(label) { (figure(statement)) }
            }
            td.number data-label="Scanned" { (format::bytes(statement.scan_bytes)) }
            td.number data-label="Users" { (format::number(Some(statement.users))) }
        }
    }
}

/// Returns the number of failed runs of a statement as a link to them, with the time range and the filters of a page.
pub(super) fn failed(statement: &StatementStatistics, page: &Parameters) -> Markup {
    let count = format::integer(statement.errors);
    html! {
        @match statement.errors {
            0 => (count),
            _ => a href=(paths::failed_runs_of(statement.fingerprint, page)) { (count) },
        }
    }
}
