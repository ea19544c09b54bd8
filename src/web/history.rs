//! `/`: the newest queries, what ran over time, and what to look for.

use std::sync::Arc;

use maud::{Markup, html};

use super::layout::{Here, Page};
use super::timeline_cache::{Timeline, Timelines};
use super::{chart, format};
use crate::domain::filter::QueryFilter;
use crate::domain::record::Kind;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::envelope::ApiError;
use crate::http::query_parameters::{self, address, cursor, last_of_full};
use crate::http::view::View;
use crate::store::StoredQuery;

/// Where the page is.
const PATH: &str = "/";
/// Rows of a page where the address names no limit.
const ROWS: &str = "50";
/// Characters of a statement in a list.
const EXCERPT_CHARS: usize = 180;

/// What the parameters of a page select. They are those of the lists of the REST interface; a time may also be
/// without seconds, as browsers send it.
pub(super) fn selected(view: &View, parameters: &Parameters) -> Result<QueryFilter, ApiError> {
    let mut parameters = parameters.clone();
    parameters.entry("limit".to_string()).or_insert(ROWS.to_string());
    for name in ["from", "to"] {
        if let Some(time) = parameters.get_mut(name)
            && time.len() == "2024-08-06T11:15".len()
            && time.contains(':')
        {
            time.push_str(":00");
        }
    }
    query_parameters::filter(view, &parameters)
}

/// The page.
pub(super) async fn page(
    view: View,
    parameters: Parameters,
    timelines: Arc<Timelines>,
) -> Result<Page, ApiError> {
    let filter = selected(&view, &parameters)?;
    let listed = async { view.records(&filter).await.map_err(ApiError::from) };
    let counted = timelines.soon(&view, &filter, &parameters);
    let (queries, timeline) = tokio::try_join!(listed, counted)?;
    let chart = timeline.map(|timeline| over_time(&timeline, &parameters, &view));
    let next = last_of_full(&filter, &queries, StoredQuery::cursor);
    let first_page = filter.after.is_none();
    let events = first_page.then(|| {
        let seen = tag(rows(&queries, view.zone).iter().map(|(_, row)| row));
        let drawn = tag(&chart);
        address("/events", &parameters, &[("seen", &seen), ("drawn", &drawn)])
    });
    let body = html! {
        h1 { "AppState" }
        (filters(&filter, &parameters, view.zone))
        section.over-time aria-label="Over time" {
            @match &chart {
                Some(chart) => (chart),
                None => p.note {
                    "What ran over time is still being counted; load the page again to see it."
                },
            }
        }
        section aria-labelledby="queries" {
            div.heading {
                h2 #queries { "Queries" }
                @if first_page {
                    p.live role="status" data-live-status {}
                    button.pause type="button" hidden data-live-pause { "Pause" }
                }
            }
            (table(&queries, events.as_deref(), view.zone))
            @if queries.is_empty() {
                p.empty data-empty {
                    @if first_page && parameters.is_empty() {
                        "There is no query yet. Take in an audit log with " code { "annals import" }
                        ", or follow one with " code { "annals serve --follow" } "."
                    } @else { "No query is like that." }
                }
            }
            nav.paging aria-label="Pages of the list" {
                @if !first_page { a href=(address(PATH, &parameters, &[("cursor", "")])) { "Newest" } }
                @if let Some(place) = next {
                    a rel="next" href=(address(PATH, &parameters, &[("cursor", &cursor(place))])) { "Older" }
                }
            }
        }
    };
    Ok(Page { title: "AppState".to_string(), here: Here::AppState, body })
}

/// What ran over time, as it is_enabled above the list.
pub(super) fn over_time(timeline: &Timeline, parameters: &Parameters, view: &View) -> Markup {
    html! {
        @if let Some((range, buckets)) = &timeline.parts {
            (range.choices(PATH, parameters, view.zone))
            (chart::timeline(buckets, range, PATH, parameters, view.zone))
        }
    }
}

/// The form that the view of a history is made with.
fn filters(filter: &QueryFilter, parameters: &Parameters, zone: Zone) -> Markup {
    let given = |name: &str| parameters.get(name).map_or("", String::as_str);
    let local = |ms: Option<i64>| ms.map_or(String::new(), |ms| zone.text(ms).replace(' ', "T"));
    let kind = filter.kind;
    let field = |name: &str, label: &str| {
        html! { label { (label) input name=(name) value=(given(name)) autocomplete="off" spellcheck="false"; } }
    };
    html! {
        form.filters method="get" action=(PATH) role="search" {
            label.wide {
                "Statement contains"
                input type="search" name="search" value=(given("search")) maxlength="1000" spellcheck="false";
            }
            (field("user", "User"))
            (field("db", "Database"))
            (field("state", "State"))
            label {
                "Type"
                select name="type" {
                    option value="" { "any" }
                    @for known in [Kind::Query, Kind::Load] {
                        option value=(known.name()) selected[kind == Some(known)] { (known.name()) }
                    }
                }
            }
            label {
                "Took at least (ms)"
                input type="number" name="min_ms" min="0" value=(given("min_ms"));
            }
            label {
                "Queued at least (ms)"
                input type="number" name="min_queue_ms" min="0" value=(given("min_queue_ms"));
            }
            label {
                "From"
                input type="datetime-local" step="1" name="from" value=(local(filter.from_ms));
            }
            label {
                "To"
                input type="datetime-local" step="1" name="to" value=(local(filter.to_ms));
            }
            @for name in ["fingerprint", "limit", "cache_hit"] {
                @if parameters.contains_key(name) { input type="hidden" name=(name) value=(given(name)); }
            }
            div.actions {
                button type="submit" { "Filter" }
                @if !parameters.is_empty() { a href=(PATH) { "Clear" } }
            }
            @if let Some(fingerprint) = parameters.get("fingerprint") {
                p.note {
                    "Of one statement: "
                    a href=(format!("/statements/{fingerprint}")) { (fingerprint) }
                }
            }
        }
    }
}

/// A table of queries. `events` is where its new rows come from.
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

/// The rows of a table, each with what it is known by.
pub(super) fn rows(queries: &[StoredQuery], zone: Zone) -> Vec<(i64, Markup)> {
    let longest = queries.iter().filter_map(|query| query.duration_ms).max().unwrap_or(0);
    queries.iter().map(|query| (query.id, row(query, longest, zone))).collect()
}

/// A text that is another one when any of these is.
pub(super) fn tag<'a>(parts: impl IntoIterator<Item = &'a Markup>) -> String {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for part in parts {
        hash.update(part.0.as_bytes());
    }
    format!("{:016x}", hash.digest())
}

fn row(query: &StoredQuery, longest: i64, zone: Zone) -> Markup {
    let statement = query.statement.as_deref().map(|text| format::excerpt(text, EXCERPT_CHARS));
    let statement = statement.filter(|text| !text.is_empty());
    html! {
        tr data-row=(query.id) {
            td.started { (format::time(query.started_ms, zone)) }
            td.took {
                (chart::bar(query.duration_ms.unwrap_or(0), longest))
                span { (format::duration(query.duration_ms)) }
            }
            td.outcome { (format::state(query.state.as_deref(), query.is_failed())) }
            td.user { (format::text(query.user.as_deref())) }
            td.db { (format::text(query.db.as_deref())) }
            td.number { (format::number(query.scan_rows)) }
            td.number { (format::bytes(query.scan_bytes)) }
            td.statement {
                a href=(path_of(&query.query_id)) {
                    @match statement {
                        Some(text) => bdi { (text) },
                        None => (query.query_id),
                    }
                }
                @if query.has_profile { span.badge title="Its profile is here" { "profile" } }
            }
        }
    }
}

/// The page of one query.
pub(super) fn path_of(query_id: &str) -> String {
    let id = percent_encoding::utf8_percent_encode(query_id, percent_encoding::NON_ALPHANUMERIC);
    // Doris' ids are hex numbers with a dash, which need no escape.
    format!("/query_profile/{}", id.to_string().replace("%2D", "-"))
}
