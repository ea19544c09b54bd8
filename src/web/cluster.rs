//! `/status`: how the sources in fare, and how much there is.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use super::format;
use super::layout::{Here, Page};
use crate::domain::time::Zone;
use crate::http::AppState;
use crate::http::envelope::ApiError;
use crate::http::view::View;
use crate::ingest::{Pipeline, SourceReport};

/// The page, for those who see everybody's queries.
pub(super) async fn page(view: View, history: Arc<AppState>) -> Result<Page, ApiError> {
    let pipeline = view.pipeline_for_all()?;
    let store = view.store()?;
    let sizes = history.metrics.sizes(store).await?;
    let (room, span) = (store.disk_usage().await?, view.span().await?);
    let sources = pipeline.report();
    let body = html! {
        h1 { "Cluster" }
        section aria-labelledby="sources" {
            h2 #sources { "Where queries come from" }
            @if sources.is_empty() {
                p.empty {
                    "Nothing was sent since annals started, and nothing is followed. "
                    code { "annals serve --follow" } " follows an audit log, and "
                    code { "--frontend" } " asks a frontend."
                }
            } @else {
                div.cards { @for (name, report) in &sources { (source(name, report, &view)) } }
            }
        }
        section aria-labelledby="size" {
            h2 #size { "How much there is" }
            dl.facts {
                div { dt { "Queries and loads" } dd { (format::whole(sizes.queries)) } }
                @if let Some((first_ms, last_ms)) = span {
                    div { dt { "The first started" } dd { (format::time(Some(first_ms), view.zone)) } }
                    div { dt { "The last started" } dd { (format::time(Some(last_ms), view.zone)) } }
                }
                div { dt { "Profiles" } dd { (format::whole(sizes.profiles)) } }
                div {
                    dt { "Profiles as stored" }
                    dd {
                        (format::bytes(Some(sizes.profile_bytes))) " of "
                        (format::bytes(Some(sizes.profile_text_bytes))) " text"
                    }
                }
                div { dt { "Batches that wait" } dd { (format::whole(pipeline.queued())) } }
                div { dt { "Size of the file" } dd { (format::bytes(Some(room.file_bytes()))) } }
                div { dt { "Free in it" } dd { (format::bytes(Some(room.free_bytes()))) } }
                div { dt { "Write-ahead log" } dd { (format::bytes(i64::try_from(store.log_bytes()).ok())) } }
                div { dt { "File" } dd { bdi { (store.path().display()) } } }
            }
        }
        (kept(pipeline, view.zone))
        section aria-labelledby="versions" {
            h2 #versions { "Versions" }
            dl.facts {
                div { dt { "annals" } dd { (env!("CARGO_PKG_VERSION")) } }
                div { dt { "SQLite" } dd { (crate::store::sqlite_version()) } }
            }
        }
    };
    Ok(Page { title: "Cluster".to_string(), here: Here::Cluster, body })
}

/// How long and how much is kept, and what went for it: records and profiles apart.
fn kept(pipeline: &Pipeline, zone: Zone) -> Markup {
    let retention = pipeline.retention();
    let pruned = pipeline.pruned();
    let bound = |age: Option<Duration>, size: Option<u64>| {
        let age = age.map(|age| format!("for {}", age_text(age)));
        let size = size.map(|size| format!("within {}", format::bytes(i64::try_from(size).ok())));
        let bounds: Vec<String> = age.into_iter().chain(size).collect();
        if bounds.is_empty() { "all".to_string() } else { bounds.join(", ") }
    };
    html! {
        section aria-labelledby="kept" {
            h2 #kept { "How much is kept" }
            dl.facts {
                div {
                    dt { "Queries and loads" }
                    dd { (bound(retention.keep_queries, retention.max_size)) }
                }
                div {
                    dt { "Profiles" }
                    dd { (bound(retention.keep_profiles, retention.profiles_max_size)) }
                }
                @if retention.is_bounded() {
                    div { dt { "Queries and loads removed" } dd { (format::counted(pruned.queries)) } }
                    div { dt { "Profiles removed alone" } dd { (format::counted(pruned.profiles)) } }
                    div { dt { "Removed last" } dd { (format::time(pruned.last_ms, zone)) } }
                    @if pruned.last_error_ms.is_some() {
                        div { dt { "Failed last" } dd { (format::time(pruned.last_error_ms, zone)) } }
                    }
                }
            }
            @if let Some(error) = &pruned.last_error { p.wrong { bdi { (error) } } }
            @if retention.is_bounded() {
                p.note { "Removed since annals started. A profile goes with its query, or before it." }
            } @else {
                p.note { code { "[retention]" } " in the configuration bounds a history by age or size." }
            }
        }
    }
}

/// An age as people give it; in months it would be no round number.
fn age_text(age: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match age.as_secs() {
        seconds if seconds >= DAY && seconds % DAY == 0 => format!("{} days", seconds / DAY),
        _ => humantime::format_duration(age).to_string(),
    }
}

/// How much waits: bytes of a log, profiles of a frontend.
fn waiting(source: &str, behind: u64) -> String {
    match behind {
        lag if source.starts_with("follow ") => format::bytes(i64::try_from(lag).ok()),
        1 => "1 profile".to_string(),
        lag => format!("{} profiles", format::counted(lag)),
    }
}

fn source(name: &str, report: &SourceReport, view: &View) -> Markup {
    let failing = report.last_error_ms > report.last_success_ms;
    let rejected: u64 = report.rejected.values().sum();
    html! {
        article.card {
            h3 { bdi { (name) } }
            p {
                @if failing { span.state.failed { "failing" } }
                @else { span.state.good { "works" } }
            }
            dl.facts {
                div { dt { "New records" } dd { (format::counted(report.records_new)) } }
                div { dt { "Joined to known ones" } dd { (format::counted(report.records_merged)) } }
                div { dt { "Known already" } dd { (format::counted(report.records_unchanged)) } }
                div { dt { "Profiles" } dd { (format::counted(report.profiles)) } }
                div { dt { "Left out by rules" } dd { (format::counted(report.excluded)) } }
                div { dt { "Not understood" } dd { (format::counted(rejected)) } }
                @if let Some(lag) = report.lag {
                    div { dt { "Waits to be taken in" } dd { (waiting(name, lag)) } }
                }
                div { dt { "Worked last" } dd { (format::time(report.last_success_ms, view.zone)) } }
                @if report.last_error_ms.is_some() {
                    div { dt { "Failed last" } dd { (format::time(report.last_error_ms, view.zone)) } }
                }
            }
            @if let Some(error) = &report.last_error { p.wrong { bdi { (error) } } }
            @if rejected > 0 {
                details {
                    summary { "What was not understood" }
                    ul { @for (reason, count) in &report.rejected { li { (format::counted(*count)) ": " bdi { (reason) } } } }
                }
            }
        }
    }
}
