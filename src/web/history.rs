//! `/`: the newest queries, a chart of them over time, and the form that filters both.

use std::sync::Arc;

use maud::{Markup, html};
use warp::Filter;
use warp::filters::BoxedFilter;

use super::layout::{NavItem, Page};
use super::request::{PageRequest, PageRequests, query_filter};
use super::timelines::{Timeline, Timelines};
use super::{chart, format, paths, query_table, shown_content};
use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::record::Kind;
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{address, cursor};
use crate::http::view::View;
use crate::store::{Bound, Incomplete};

pub(super) fn route(requests: PageRequests, timelines: Arc<Timelines>) -> BoxedFilter<(Answer,)> {
    warp::path::end()
        .and(requests)
        .then(move |request: PageRequest| {
            let timelines = timelines.clone();
            request.answer(|view, parameters| page(view, parameters, timelines))
        })
        .boxed()
}

async fn page(
    view: View,
    parameters: Parameters,
    timelines: Arc<Timelines>,
) -> Result<Page, ApiError> {
    let filter = query_filter(&view, &parameters)?;
    let queries = async { view.page(&filter).await.map_err(ApiError::from) };
    let timeline = timelines.get_for_page(&view, &filter);
    let (page, timeline) = tokio::try_join!(queries, timeline)?;
    let queries = &page.queries;
    let chart = timeline.map(|timeline| timeline_chart(&timeline, &parameters, &view));
    // Only the first page changes as queries arrive.
    let events = filter.after.is_none().then(|| {
        let rows = query_table::rows(queries, view.zone);
        shown_content::events_address(&parameters, rows.iter().map(|(_, row)| row), chart.as_ref())
    });
    let body = html! {
        h1 { "History" }
        (filter_form(&filter, &parameters, view.zone))
        section.over-time aria-label="Queries over time" {
            @match &chart {
                Some(chart) => (chart),
                None => p.note { "The chart is still being computed. Reload the page to see it." },
            }
        }
        section aria-labelledby="queries" {
            div.heading {
                h2 #queries { "Queries" }
                @if events.is_some() {
                    p.live role="status" data-live-status {}
                    button.pause type="button" hidden data-live-pause { "Pause" }
                }
            }
            (query_table::table(queries, events.as_deref(), view.zone))
            @if queries.is_empty() && page.incomplete.is_none() {
                p.empty data-empty { (empty_list(filter.after.is_none() && parameters.is_empty())) }
            }
            @if let Some(incomplete) = page.incomplete { (incomplete_note(incomplete, view.zone)) }
            (paging(&filter, &parameters, page.next(filter.limit)))
        }
    };
    Ok(Page { title: "History".to_string(), nav: Some(NavItem::History), body })
}

/// Returns the chart over time and the links to other time ranges; nothing for an empty history.
pub(super) fn timeline_chart(timeline: &Timeline, parameters: &Parameters, view: &View) -> Markup {
    html! {
        @if let Some((range, buckets)) = &timeline.value {
            (range.choices(paths::HISTORY, parameters, view.zone))
            (chart::timeline(buckets, range, paths::HISTORY, parameters, view.zone))
        }
    }
}

fn empty_list(is_unfiltered: bool) -> Markup {
    html! {
        @if is_unfiltered {
            "No queries yet. Import an audit log with " code { "annals import" }
            ", or follow one with " code { "annals serve --follow" } "."
        } @else { "No query matches the filter." }
    }
}

/// Says where the list ended before the page was full.
fn incomplete_note(Incomplete { by, at }: Incomplete, zone: Zone) -> Markup {
    html! {
        p.note {
            @match by {
                Bound::Time => "The search takes long and stopped at ",
                Bound::Bytes => "The statements are long, and the page ends at ",
            }
            (format::time(at.started_ms, zone)) ". “Older” goes on from there."
        }
    }
}

fn paging(filter: &QueryFilter, parameters: &Parameters, next: Option<Cursor>) -> Markup {
    let page = |cursor: &str| address(paths::HISTORY, parameters, &[("cursor", cursor)]);
    html! {
        nav.paging aria-label="Pages of the list" {
            @if filter.after.is_some() { a href=(page("")) { "Newest" } }
            @if let Some(last) = next {
                a rel="next" href=(page(&cursor(last))) { "Older" }
            }
        }
    }
}

/// Returns the form whose fields are the parameters of the page.
fn filter_form(filter: &QueryFilter, parameters: &Parameters, zone: Zone) -> Markup {
    let value = |name: &str| parameters.get(name).map_or("", String::as_str);
    let local_time =
        |ms: Option<i64>| ms.map_or(String::new(), |ms| zone.format_ms(ms).replace(' ', "T"));
    let text_field = |name: &str, label: &str| {
        html! { label { (label) input name=(name) value=(value(name)) autocomplete="off" spellcheck="false"; } }
    };
    let number_field = |name: &str, label: &str| {
        html! { label { (label) input type="number" name=(name) min="0" value=(value(name)); } }
    };
    let time_field = |name: &str, label: &str, ms: Option<i64>| {
        html! { label { (label) input type="datetime-local" step="1" name=(name) value=(local_time(ms)); } }
    };
    html! {
        form.filters method="get" action=(paths::HISTORY) role="search" {
            label.wide {
                "Statement contains"
                input type="search" name="search" value=(value("search")) maxlength="1000" spellcheck="false";
            }
            (text_field("user", "User"))
            (text_field("db", "Database"))
            (text_field("state", "State"))
            label {
                "Type"
                select name="type" {
                    option value="" { "any" }
                    @for kind in [Kind::Query, Kind::Load] {
                        option value=(kind.name()) selected[filter.kind == Some(kind)] { (kind.name()) }
                    }
                }
            }
            (number_field("min_ms", "Min. duration (ms)"))
            (number_field("min_queue_ms", "Min. queue time (ms)"))
            (time_field("from", "From", filter.from_ms))
            (time_field("to", "To", filter.to_ms))
            @for name in ["fingerprint", "limit", "cache_hit"] {
                @if parameters.contains_key(name) { input type="hidden" name=(name) value=(value(name)); }
            }
            div.actions {
                button type="submit" { "Filter" }
                @if !parameters.is_empty() { a href=(paths::HISTORY) { "Clear" } }
            }
            @if let Some(fingerprint) = filter.fingerprint { (statement_note(fingerprint)) }
        }
    }
}

fn statement_note(fingerprint: Fingerprint) -> Markup {
    html! {
        p.note { "Only runs of statement " a href=(paths::statement(fingerprint)) { (fingerprint) } }
    }
}
