//! `/`: the newest queries, a chart of them over time, and the form that filters both.

use std::sync::Arc;

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::layout::{NavItem, Page};
use super::query_table::QueryTable;
use super::request::{PageRequests, list_filter, page_route};
use super::time_range::TimeRange;
use super::timelines::{Timeline, Timelines};
use super::{chart, filter_form, format, nearest, paths, shown_content};
use crate::domain::filter::{Cursor, QueryFilter, QueryOrder};
use crate::domain::record::Kind;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{OrderName, address, cursor};
use crate::http::view::View;
use crate::store::{Bound, Incomplete};

pub(super) fn route(requests: PageRequests, timelines: Arc<Timelines>) -> BoxedFilter<(Answer,)> {
    page_route("/", requests, move |_, request| {
        let timelines = timelines.clone();
        request.answer(&["limit", "order", "cursor"], |view, parameters| {
            page(view, parameters, timelines)
        })
    })
}

async fn page(
    view: View,
    parameters: Parameters,
    timelines: Arc<Timelines>,
) -> Result<Page, ApiError> {
    let filter = list_filter(&view, &parameters)?;
    let listed = listed(&view, &filter).await?;
    let queries = async { view.page(&listed).await.map_err(ApiError::from) };
    let timeline = timelines.get_for_page(&view, &filter);
    let clusters = async { view.several_clusters().await.map_err(ApiError::from) };
    let (page, timeline, clusters) = tokio::try_join!(queries, timeline, clusters)?;
    let queries = &page.queries;
    let chart = timeline.map(|timeline| timeline_chart(&timeline, (&filter, &parameters), &view));
    let nearest = match queries.is_empty() && page.incomplete.is_none() && filter.after.is_none() {
        true => nearest::sentence(&view, &listed, &parameters).await?,
        false => None,
    };
    let kind = filter.kind.unwrap_or(Kind::Query);
    let table = QueryTable {
        parameters: &parameters,
        order: OrderName::of(&filter),
        zone: view.zone,
        is_sortable: true,
        has_clusters: !clusters.is_empty(),
        has_loads_alone: filter.kind == Some(Kind::Load),
    };
    // Only the first page changes as queries arrive. Another order would be sorted again after each commit.
    let is_live = filter.after.is_none() && filter.is_newest_first();
    let events = is_live.then(|| {
        let rows = table.rows(queries);
        shown_content::events_address(&parameters, rows.iter().map(|(_, row)| row), chart.as_ref())
    });
    let body = html! {
        h1 { "History" }
        (filter_form::form(&filter, &parameters, &clusters, view.zone))
        (filter_form::chosen(paths::HISTORY, &parameters, view.zone))
        section.over-time aria-label={ (heading(kind)) " over time" } {
            @match &chart {
                Some(chart) => (chart),
                None => p.note { "The chart is still being computed. Reload the page to see it." },
            }
        }
        section aria-labelledby="queries" {
            div.heading {
                h2 #queries { (heading(kind)) }
                (table.compare_form())
                @if events.is_some() {
                    p.live role="status" data-live-status {}
                    button.pause type="button" hidden data-live-pause { "Pause" }
                }
            }
            (table.orders())
            (table.table(queries, events.as_deref()))
            @if queries.is_empty() && page.incomplete.is_none() {
                p.empty data-empty {
                    @match nearest {
                        Some(nearest) => (nearest),
                        None => (empty_list(kind, filter.after.is_none() && parameters.is_empty())),
                    }
                }
                (filter_form::several_values(paths::HISTORY, &parameters))
            }
            @if let Some(incomplete) = page.incomplete { (incomplete_note(incomplete, &table)) }
            (paging(&listed, &parameters, page.next(&listed)))
        }
    };
    Ok(Page { title: "History".to_string(), nav: Some(NavItem::History), body })
}

/// Returns the filter of the list. A list by another order than the start looks at all queries of its range, so without a range
/// it has that of the chart.
async fn listed(view: &View, filter: &QueryFilter) -> Result<QueryFilter, ApiError> {
    let has_range = filter.from_ms.is_some() || filter.to_ms.is_some();
    if filter.is_newest_first() || has_range {
        return Ok(filter.clone());
    }
    let range = TimeRange::of(view, filter).await?;
    let times = range.map(|range| (range.from_ms, range.to_ms));
    let (from_ms, to_ms) = times.unzip();
    Ok(QueryFilter { from_ms, to_ms, ..filter.clone() })
}

/// Returns the chart over time and the links to other time ranges; nothing for an empty history.
pub(super) fn timeline_chart(
    timeline: &Timeline,
    (filter, parameters): (&QueryFilter, &Parameters),
    view: &View,
) -> Markup {
    let (kind, page) = (filter.kind.unwrap_or(Kind::Query), (paths::HISTORY, parameters));
    html! {
        @if let Some((range, buckets)) = &timeline.value {
            (range.choices(paths::HISTORY, parameters, view.zone))
            @if !range.is_to_come() { (chart::timeline(buckets, range, kind, page, view.zone)) }
        }
    }
}

/// Returns the heading of a list of queries or of loads.
fn heading(kind: Kind) -> &'static str {
    match kind {
        Kind::Query => "Queries",
        Kind::Load => "Loads",
    }
}

fn empty_list(kind: Kind, is_unfiltered: bool) -> Markup {
    html! {
        @if is_unfiltered {
            "No queries yet. Import an audit log with " code { "annals import" }
            ", or follow one with " code { "annals serve --follow" } "."
        } @else { "No " (kind.name()) " matches the filter." }
    }
}

/// Says where the list ended before the page was full.
fn incomplete_note(Incomplete { by, at }: Incomplete, table: &QueryTable<'_>) -> Markup {
    html! {
        p.note {
            @match by {
                Bound::Time => "The search takes long and stopped",
                Bound::Bytes => "The statements are long, and the page ends",
            }
            @if table.order.by == QueryOrder::Start { " at " (format::time(at.value, table.zone)) }
            @else { " early" }
            ". “" (next_label(table.order)) "” goes on from there."
        }
    }
}

/// Returns the label of the link to the next page.
fn next_label(order: OrderName) -> &'static str {
    if order == OrderName::default() { "Older" } else { "Next" }
}

/// Returns the links to the first and the next page of a list.
fn paging(listed: &QueryFilter, parameters: &Parameters, next: Option<Cursor>) -> Markup {
    // The pages of a list have one range, also while queries arrive.
    let time = |ms: Option<i64>| ms.map_or(String::new(), |ms| ms.to_string());
    let (from, to) = (time(listed.from_ms), time(listed.to_ms));
    let page = |cursor: &str| match listed.is_newest_first() {
        true => address(paths::HISTORY, parameters, &[("cursor", cursor)]),
        false => {
            let changed = [("from", from.as_str()), ("to", &to), ("cursor", cursor)];
            address(paths::HISTORY, parameters, &changed)
        }
    };
    html! {
        nav.paging aria-label="Pages of the list" {
            @if listed.after.is_some() {
                a href=(page("")) { @if listed.is_newest_first() { "Newest" } @else { "First" } }
            }
            @if let Some(last) = next {
                a rel="next" href=(page(&cursor(listed, last))) { (next_label(OrderName::of(listed))) }
            }
        }
    }
}
