//! `/usage/<id>`: what ran while a query ran.

use maud::{Markup, html};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use warp::filters::BoxedFilter;

use super::chart;
use super::tables::{KINDS, Kind, MEANING, UsageTables};
use crate::domain::record::{self, QueryId, QueryIdError};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{address, read_known};
use crate::http::view::View;
use crate::store::{Concurrent, ConcurrentRun, UsageGroups};
use crate::web::layout::{NavItem, Page};
use crate::web::query::resolve;
use crate::web::query_table::named;
use crate::web::request::{PageRequests, page_route};
use crate::web::statements::EXCERPT_CHARS;
use crate::web::{format, paths};

/// Rows of each table.
const ROWS: u32 = 15;

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    page_route("/usage/{query_id}", requests, |path, request| {
        let id = path.get("query_id").to_string();
        request.answer(&["all_clusters"], |view, parameters| page(view, id, parameters))
    })
}

/// The parameters of the page that choose no queries of a list.
#[derive(Debug, Deserialize)]
struct Own {
    all_clusters: Option<bool>,
}

async fn page(view: View, id: String, parameters: Parameters) -> Result<Page, ApiError> {
    let id = percent_decode_str(&id).decode_utf8_lossy();
    let id: QueryId =
        id.parse().map_err(|error: QueryIdError| ApiError::BadRequest(error.to_string()))?;
    let query = resolve(&view, id.as_str()).await?;
    let Own { all_clusters } = read_known(&parameters)?;
    let has_all = all_clusters.unwrap_or(false);
    let found = view.concurrent(&query, has_all, ROWS).await?;
    let has_clusters = view.several_clusters().await?.len() > 1;
    let body = html! {
        h1 { "What else ran then" }
        p {
            "While " (query.kind.name()) " "
            a href=(paths::keeping(&paths::query(&query.query_id), &parameters)) { code { (query.query_id) } }
            " ran: " (format::duration(query.duration_ms)) " from " (format::time(query.started_ms, view.zone)) "."
        }
        @match &found {
            Some(found) => {
                @if let Some(cluster) = query.cluster.as_deref().filter(|_| has_clusters) {
                    (clusters(&query.query_id, cluster, has_all, &parameters))
                }
                (report(found, &parameters, has_clusters && found.cluster.is_none(), view.zone))
            }
            None => p.empty { "The start of the " (query.kind.name()) " is unknown." },
        }
    };
    Ok(Page {
        title: format!("What ran beside {} {}", query.kind.name(), query.query_id),
        nav: Some(NavItem::Usage),
        body,
    })
}

/// Says of which clusters runs are counted, of several, and links to the other choice.
fn clusters(query_id: &QueryId, cluster: &str, has_all: bool, parameters: &Parameters) -> Markup {
    let path = paths::usage_during(query_id.as_str());
    let link = |all: &str| address(&path, parameters, &[("all_clusters", all)]);
    html! {
        p {
            @if has_all {
                "Runs of all clusters count. " a href=(link("")) { "Only those of " bdi { (cluster) } }
            } @else {
                "Only runs of the cluster " strong { bdi { (cluster) } } " count. " a href=(link("true")) { "Runs of all clusters" }
            }
        }
    }
}

fn report(found: &Concurrent, parameters: &Parameters, has_clusters: bool, zone: Zone) -> Markup {
    // The range of the query, and not of the page that led here. Its first millisecond would list the query itself.
    let range = (found.from_ms.saturating_add(1), found.to_ms);
    let mut in_range = Parameters::new();
    in_range.set("from", range.0.to_string());
    in_range.set("to", found.to_ms.to_string());
    if let Some(cluster) = &found.cluster {
        in_range.set("cluster", cluster);
    }
    let tables = UsageTables {
        parameters: &in_range,
        range,
        began: "began no later",
        order: None,
        has_baseline: false,
        has_clusters,
    };
    html! {
        @if found.is_cut {
            p.error {
                "More than 250,000 queries started while it ran: only what ran until "
                (format::time(Some(found.to_ms), zone)) " was read."
            }
        }
        p {
            @if found.queries.is_empty() { "Nothing else ran at the same time." } @else {
                (format::counted(found.total.now.count, "other run", "other runs")) " at the same time."
            }
            (super::running(found.still_running))
            " " a href=(address(paths::USAGE, &in_range, &[])) { "Who used the cluster then" }
        }
        @if !found.queries.is_empty() {
            (tables.total(&found.total))
            section aria-labelledby="at-once" {
                h2 #at-once { "Other queries at once" }
                (chart::beside(&found.concurrency, found.to_ms, zone))
            }
            section aria-labelledby="runs" {
                div.heading {
                    h2 #runs { "Costliest runs" }
                    p.note { "By CPU time in the overlap, then by its length" }
                }
                (runs(&found.queries, parameters, &in_range, zone))
            }
            (tables.sections(KINDS.map(|kind| (kind, groups(kind, found)))))
            p.note {
                (MEANING)
                " The runs and the failed ones lead to History, where this query and the runs that began no later are missing."
            }
        }
    }
}

fn groups(kind: Kind, found: &Concurrent) -> &UsageGroups {
    match kind {
        Kind::User => &found.users,
        Kind::Db => &found.dbs,
        Kind::Table => &found.tables,
        Kind::Client => &found.clients,
        Kind::Cluster => &found.clusters,
        Kind::Statement => &found.statements,
    }
}

/// Returns the table of the costliest runs. Queries keep the range of the page that led here; users and databases lead to who used
/// the cluster in `in_range`.
fn runs(
    runs: &[ConcurrentRun],
    parameters: &Parameters,
    in_range: &Parameters,
    zone: Zone,
) -> Markup {
    const HEADINGS: [&str; 6] =
        ["Overlap", "CPU in overlap", "Duration", "CPU time", "Scanned", "Peak memory"];
    html! {
        div.wide-table {
            table.statements {
                thead {
                    tr {
                        th scope="col" { "Statement" }
                        th scope="col" { "Started" }
                        th scope="col" { "State" }
                        th scope="col" { "User" }
                        th scope="col" { "Database" }
                        @for heading in HEADINGS { th.number scope="col" { (heading) } }
                    }
                }
                tbody { @for one in runs { (run(one, parameters, in_range, zone)) } }
            }
        }
        p.note { "The overlap is the part of a run that was at the same time. Of its CPU time, the same part counts." }
    }
}

fn run(run: &ConcurrentRun, parameters: &Parameters, in_range: &Parameters, zone: Zone) -> Markup {
    let used_by = |name: &str, value: Option<&str>| match value.filter(|value| !value.is_empty()) {
        Some(value) => {
            html! { a.value href=(address(paths::USAGE, in_range, &[(name, value)])) { bdi { (value) } } }
        }
        None => format::text(value),
    };
    let text = run.load.as_ref().or(run.normalized.as_ref());
    let text = text.map(|text| format::excerpt(text, EXCERPT_CHARS));
    let figures = [
        ("Overlap", format::duration(Some(run.overlap_ms))),
        ("CPU in overlap", format::duration(run.overlap_cpu_ms)),
        ("Duration", format::duration(run.duration_ms)),
        ("CPU time", format::duration(run.cpu_time_ms)),
        ("Scanned", format::bytes(run.scan_bytes)),
        ("Peak memory", format::bytes(run.peak_memory_bytes)),
    ];
    html! {
        tr {
            td.statement {
                a href=(paths::keeping(&paths::query(&run.query_id), parameters)) { (named(text.as_deref(), record::Kind::Query)) }
            }
            td.started data-label="Started" { (format::time(Some(run.started_ms), zone)) }
            td data-label="State" { (format::state(run.state.as_deref(), run.is_failed)) }
            td data-label="User" { (used_by("user", run.user.as_deref())) }
            td data-label="Database" { (used_by("db", run.db.as_deref())) }
            @for (label, figure) in figures { td.number data-label=(label) { (figure) } }
        }
    }
}
