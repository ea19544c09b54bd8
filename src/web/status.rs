//! `/status`: the state of each source, the size of the store, and what retention removes. For admins.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::format;
use super::layout::{NavItem, Page};
use super::request::{PageRequests, page_route};
use crate::domain::filter::QueryFilter;
use crate::domain::time::{FUTURE_MS, Zone, now_ms};
use crate::http::AppState;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::ingest::audit_table::{EMPTY_TABLE, future_advice};
use crate::ingest::{
    AuditTableReport, FUTURE_INSTANTS, Pipeline, SourceReport, WaitsFor, future_in_zone,
};
use crate::store::{Shifted, Store, ZoneGroup};

pub(super) fn route(requests: PageRequests, state: Arc<AppState>) -> BoxedFilter<(Answer,)> {
    page_route("/status", requests, move |_, request| {
        let state = state.clone();
        request.answer(&[], |view, _| page(view, state))
    })
}

async fn page(view: View, state: Arc<AppState>) -> Result<Page, ApiError> {
    let pipeline = view.pipeline_for_all()?;
    let body = html! {
        h1 { "Status" }
        (sources(pipeline, view.zone))
        (storage(&view, &state, pipeline).await?)
        (retention(pipeline, view.zone))
        section aria-labelledby="versions" {
            h2 #versions { "Versions" }
            dl.facts {
                (fact("annals", env!("CARGO_PKG_VERSION")))
                @if view.store()?.file().is_some() { (fact("SQLite", crate::store::sqlite_version())) }
            }
        }
    };
    Ok(Page { title: "Status".to_string(), nav: Some(NavItem::Status), body })
}

fn fact(name: &str, value: impl maud::Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn sources(pipeline: &Pipeline, zone: Zone) -> Markup {
    let sources = pipeline.report();
    html! {
        section aria-labelledby="sources" {
            h2 #sources { "Sources" }
            @if sources.is_empty() {
                p.empty {
                    "No sources: none is configured, and nothing was pushed since annals started. "
                    code { "annals serve --audit-table" } " collects from the audit table of a cluster, "
                    code { "--follow" } " follows an audit log, and " code { "--frontend" } " polls a frontend."
                }
            } @else {
                div.cards { @for (name, report) in &sources { (source(name, report, zone)) } }
            }
        }
    }
}

fn source(name: &str, report: &SourceReport, zone: Zone) -> Markup {
    let is_failing = report.last_error_ms > report.last_success_ms;
    let rejected: u64 = report.rejected.values().sum();
    html! {
        article.card {
            h3 { bdi { (name) } }
            p {
                @if report.waits_for.is_some() { span.state.unknown { "waiting" } }
                @else if is_failing { span.state.failed { "failing" } }
                @else { span.state.good { "OK" } }
            }
            dl.facts {
                @if let Some(cluster) = &report.cluster { (fact("Cluster", cluster.clone())) }
                (fact("New records", format::integer(report.records_new)))
                (fact("Merged records", format::integer(report.records_merged)))
                (fact("Unchanged records", format::integer(report.records_unchanged)))
                @if report.other_clusters > 0 {
                    (fact("Stored under another cluster", format::integer(report.other_clusters)))
                }
                (fact("Profiles", format::integer(report.profiles)))
                @if report.future_records > 0 { (fact("Records of the future", format::integer(report.future_records))) }
                (fact("Excluded by rules", format::integer(report.excluded)))
                (fact("Rejected", format::integer(rejected)))
                @if let (Some(zone), None) = (&report.time_zone, &report.audit_table) { (fact("Zone of its times", zone.clone())) }
                @if let Some(lag) = report.lag { (fact("Lag", lag_text(name, lag))) }
                @if let Some(table) = &report.audit_table { (audit_table(table, zone)) }
                (fact("Last success", format::time(report.last_success_ms, zone)))
                @if report.last_error_ms.is_some() {
                    (fact("Last failure", format::time(report.last_error_ms, zone)))
                }
            }
            @match report.waits_for {
                None => {}
                Some(WaitsFor::File) => p { "No file has this name yet, or annals may not read its folder." }
                Some(WaitsFor::OtherAnnals) => p {
                    "Another annals with the same history reads this source. This one takes over if that one stops."
                }
            }
            @if report.audit_table.as_ref().is_some_and(|table| table.is_empty) { p { (EMPTY_TABLE) } }
            @if let Some(advice) = report.audit_table.as_ref().and_then(future_advice).or_else(|| report.time_advice.clone()) {
                p.error { bdi { (advice) } }
            }
            @if let Some(error) = &report.last_error { p.error { bdi { (error) } } }
            @if rejected > 0 {
                details {
                    summary { "Rejected, by reason" }
                    ul { @for (reason, count) in &report.rejected { li { (format::integer(*count)) ": " bdi { (reason) } } } }
                }
            }
        }
    }
}

/// Returns the facts about an audit table.
fn audit_table(table: &AuditTableReport, zone: Zone) -> Markup {
    let behind_ms = table.newest_ms.map(|ms| now_ms().saturating_sub(ms).max(0));
    html! {
        @if let Some(name) = &table.table { (fact("Table", name.clone())) }
        @if let Some(server) = &table.server { (fact("Frontend", server.clone())) }
        @if let Some(name) = &table.time_zone { (fact("Zone of its times", name.clone())) }
        @if let Some(ms) = behind_ms { (fact("Newest row", format!("{} ago", format::duration(Some(ms))))) }
        @if let Some(ms) = table.late_ms { (fact("Rows come late by", format!("up to {}", format::duration(Some(ms))))) }
        (fact("Each look goes back", format::duration(Some(table.overlap_ms))))
        @if table.read_from_ms.is_some() { (fact("Read from", format::time(table.read_from_ms, zone))) }
        (fact("Older rows", backfill_text(table)))
    }
}

/// Returns how far the backfill of an audit table is.
fn backfill_text(table: &AuditTableReport) -> String {
    let read = table.backfill_rows_read;
    match table.backfill_rows_left {
        _ if table.is_backfilled => "all read".to_string(),
        None => "not counted yet".to_string(),
        Some(left) => {
            let percent = read.saturating_mul(100) / (read + left).max(1);
            format!("{} read, {} left ({percent} %)", format::integer(read), format::integer(left))
        }
    }
}

/// Returns the lag of a source: bytes of a followed log, profiles of a frontend, rows of an audit table.
fn lag_text(source: &str, lag: u64) -> String {
    if source.starts_with("follow ") {
        format::bytes(Some(lag))
    } else if source.starts_with("audit table ") {
        format::counted(lag, "row", "rows")
    } else {
        format::counted(lag, "profile", "profiles")
    }
}

async fn storage(view: &View, state: &AppState, pipeline: &Pipeline) -> Result<Markup, ApiError> {
    let store = view.store()?;
    let read = async {
        let sizes = state.metrics().sizes(store).await?;
        let (unread, span) = (view.unread_profiles().await?, view.span().await?);
        let future = future(store, pipeline, span.map(|(_, last_ms)| last_ms)).await?;
        Ok::<_, ApiError>((sizes, unread, store.disk_usage().await?, (span, future)))
    };
    let read = store.unless_away(read).await;
    let fault = store.fault();
    let (sizes, unread, file, (span, future)) = match (read, &fault) {
        (Ok(read), _) => read,
        (Err(_), Some(fault)) => return Ok(html! { p.error { (fault.to_string()) } }),
        (Err(error), None) => return Err(error),
    };
    Ok(html! {
        section aria-labelledby="storage" {
            h2 #storage { "Storage" }
            @if let Some(fault) = &fault { p.error { (fault.to_string()) } }
            @for sentence in future { p.error { bdi { (sentence) } } }
            dl.facts {
                (fact("Queries and loads", format::integer(sizes.queries)))
                @if let Some((first_ms, last_ms)) = span {
                    (fact("Oldest start", format::time(Some(first_ms), view.zone)))
                    (fact("Newest start", format::time(Some(last_ms), view.zone)))
                }
                (fact("Profiles", format::integer(sizes.profiles)))
                @if unread > 0 { (fact("Plans to read", format::integer(unread))) }
                div {
                    dt { "Profile size" }
                    dd {
                        (format::bytes(Some(sizes.profile_bytes))) " ("
                        (format::bytes(Some(sizes.profile_text_bytes))) " uncompressed)"
                    }
                }
                (fact("Queue", format::counted(pipeline.queued(), "batch", "batches")))
                @if store.file().is_none() {
                    (fact("Database size", format::bytes(Some(file.file_bytes()))))
                } @else {
                    (fact("File size", format::bytes(Some(file.file_bytes()))))
                    (fact("Free space in file", format::bytes(Some(file.free_bytes()))))
                    (fact("Write-ahead log", format::bytes(Some(store.log_bytes()))))
                }
                div { dt { (if store.file().is_some() { "File" } else { "Database" }) } dd { bdi { (store.place()) } } }
                @if let Some(replica) = store.replica() {
                    div { dt { "Replica that answers reads" } dd { bdi { (replica) } } }
                }
            }
        }
    })
}

/// Says of each source how many of its stored queries start in the future, and why, unless the source says so itself: another
/// process may have imported them. `last_ms` is the newest start.
async fn future(
    store: &Store,
    pipeline: &Pipeline,
    last_ms: Option<i64>,
) -> Result<Vec<String>, ApiError> {
    let now_ms = now_ms();
    let from_ms = now_ms.saturating_add(FUTURE_MS);
    if last_ms.is_none_or(|ms| ms < from_ms) {
        return Ok(Vec::new());
    }
    let filter = QueryFilter { from_ms: Some(from_ms), ..QueryFilter::default() };
    let groups = store.zone_groups(Shifted::Queries, &filter).await?;
    let known = store.time_sources().await?;
    let reports = pipeline.report();
    let is_reported =
        |source: &str| reports.get(source).is_some_and(|report| report.future_records > 0);
    let sentence = |group: ZoneGroup| {
        let from = known.iter().find(|from| Some(from.id) == group.time_source);
        let source = from.map_or("", |from| &*from.source);
        let queries = format::counted(group.count, "query", "queries");
        let of =
            if source.is_empty() { String::new() } else { format!(" of the source '{source}'") };
        let zone = from.and_then(|from| from.time_zone.parse().ok());
        let advice = zone
            .map_or("Times were read in a wrong zone, or a clock is wrong.".to_string(), |zone| {
                future_in_zone(source, zone, group.last_ms.saturating_sub(now_ms))
            });
        (!is_reported(source)).then(|| format!("In the future: {queries}{of}. {advice}"))
    };
    let sentences: Vec<String> = groups.into_iter().filter_map(sentence).collect();
    let is_said = !sentences.is_empty() || reports.values().any(|report| report.future_records > 0);
    Ok(if is_said {
        sentences
    } else {
        vec![format!("The newest query starts in the future. {FUTURE_INSTANTS}")]
    })
}

/// Returns the bounds of the history and what was removed to stay within them, for queries and for profiles.
fn retention(pipeline: &Pipeline, zone: Zone) -> Markup {
    let bounds = pipeline.retention();
    let pruned = pipeline.pruned();
    html! {
        section aria-labelledby="retention" {
            h2 #retention { "Retention" }
            dl.facts {
                (fact("Queries and loads", bounds_text(bounds.keep_queries, bounds.max_size)))
                (fact("Profiles", bounds_text(bounds.keep_profiles, bounds.profiles_max_size)))
                @if bounds.is_bounded() {
                    (fact("Removed queries and loads", format::integer(pruned.queries)))
                    (fact("Removed profiles", format::integer(pruned.profiles)))
                    @if pruned.young_queries > 0 {
                        (fact("Removed within a minute of their arrival", format::integer(pruned.young_queries)))
                    }
                    @if pruned.clock_off_ms != 0 { (fact("System clock", clock_text(pruned.clock_off_ms))) }
                    (fact("Last removal", format::time(pruned.last_ms, zone)))
                    @if pruned.last_error_ms.is_some() {
                        (fact("Last failure", format::time(pruned.last_error_ms, zone)))
                    }
                }
            }
            @if pruned.is_failing { p { span.state.failed { "failing" } } }
            @if let Some(error) = &pruned.last_error { p.error { bdi { (error) } } }
            @if bounds.is_bounded() {
                p.note {
                    "Counted since annals started. Removing a query also removes its profile; "
                    "such a profile is not counted."
                }
            } @else {
                p.note { code { "[retention]" } " in the configuration limits the history by age or size." }
            }
        }
    }
}

/// Returns how far the system clock is off the time by which ages count.
fn clock_text(off_ms: i64) -> String {
    let off = Duration::from_secs(off_ms.unsigned_abs() / 1000);
    let direction = if off_ms > 0 { "ahead" } else { "behind" };
    format!("{} {direction}; ages count without this difference", humantime::format_duration(off))
}

fn bounds_text(age: Option<Duration>, size: Option<u64>) -> String {
    let age = age.map(age_text);
    let size = size.map(|size| format!("max. {}", format::bytes(Some(size))));
    let bounds: Vec<String> = age.into_iter().chain(size).collect();
    if bounds.is_empty() { "unlimited".to_string() } else { bounds.join(", ") }
}

/// Returns an age in whole days where possible: `humantime` would write months of 30.44 days.
fn age_text(age: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match age.as_secs() {
        seconds if seconds >= DAY && seconds % DAY == 0 => {
            format::counted(seconds / DAY, "day", "days")
        }
        _ => humantime::format_duration(age).to_string(),
    }
}
