//! `/query_profile/<id>`, the path that Doris calls `__hrefPath`: all that is known of one query.

mod boxes;
mod download;
mod drawing;
mod findings;
mod folding;
mod load;
mod lookup;
mod operators;
mod phases;
mod plan;
mod profile;
mod summary;
mod view;

use maud::{Markup, html};
use percent_encoding::percent_decode_str;
use warp::filters::BoxedFilter;

use super::layout::Page;
use super::request::{PageRequest, PageRequests, log_in_or_error, page_route};
use super::{chart, compare, format, paths, response, sql};
use crate::domain::filter::{Choice, QueryFilter};
use crate::domain::record::{Kind, QueryId, QueryIdError};
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::http::{Parameters, PathValues};
use crate::store::StoredQuery;
use download::Download;
pub(super) use lookup::{resolve, stored_profile};
pub(super) use plan::picture;
pub(super) use summary::{label as field_label, shown as shown_value};
pub(super) use view::PlanView;

/// Returns the operators of a profile as its page shows them first.
#[cfg(test)]
pub(crate) fn operators_page(profile: &[u8]) -> Markup {
    operators::tree(profile, None, "/query_profile/1a-1", &Parameters::new())
}

/// The characters of a load's label in the heading. A source may write any number of them.
const TITLE_CHARS: usize = 120;
/// The parameters of the page itself.
const OWN: [&str; 7] = ["show", "operators", "node", "zoom", "local", "nodes", "open"];
/// Runs in the chart of the same statement.
const MAX_RUNS: u32 = 100;
/// The chart reaches this far before and after the query.
const RUNS_WITHIN_MS: i64 = 7 * 24 * 3_600_000;

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    page_route("/query_profile/{*query}", requests, answer)
}

async fn answer(path: PathValues, request: PageRequest) -> Answer {
    let (id, download) = match parse_path(path.get("query")) {
        Ok(parsed) => parsed,
        Err(error) => return request.answer_with(|_, _| async { Err::<Page, _>(error) }).await,
    };
    let Some(download) = download else {
        return request.answer(&OWN, |view, parameters| page(view, id, parameters)).await;
    };
    match request.view {
        Ok(view) => download.answer(&view, id).await.unwrap_or_else(response::error),
        Err(error) => log_in_or_error(error, &request.address, &request.visitor),
    }
}

/// Reads the end of a path: a query id, with or without Doris' `query_id=` before it, and the file to download.
fn parse_path(tail: &str) -> Result<(QueryId, Option<Download>), ApiError> {
    let download = Download::ALL
        .into_iter()
        .find_map(|(suffix, download)| Some((tail.strip_suffix(suffix)?, download)));
    let (id, download) = download.map_or((tail, None), |(id, download)| (id, Some(download)));
    let id = percent_decode_str(id).decode_utf8_lossy();
    let id = id.strip_prefix("query_id=").unwrap_or(&id);
    let id = id.parse().map_err(|error: QueryIdError| ApiError::BadRequest(error.to_string()))?;
    Ok((id, download))
}

async fn page(view: View, id: QueryId, parameters: Parameters) -> Result<Page, ApiError> {
    let query = resolve(&view, id.as_str()).await?;
    let profile = view.profile(&query.query_id).await?.stored_text();
    let profile = profile::section(&view, &query, profile, &parameters).await?;
    let nearby = nearby_runs(&view, &query, &parameters).await?;
    let offer = match query.has_profile {
        true => html! {},
        false => compare::offer(&view, &query, &query.query_id, &parameters).await?,
    };
    let body = html! {
        div.heading {
            h1 { (heading(&query)) }
            @let state = format::state(query.state.as_deref(), query.is_failed());
            (summary::filtered("state", query.state.as_deref().unwrap_or_default(), state, &parameters))
            strong { (format::duration(query.duration_ms)) }
            @if query.started_ms.is_some() {
                a href=(paths::keeping(&paths::usage_during(&query.query_id), &parameters)) { "What else ran then" }
            }
        }
        @if let Some(message) = load::failure(&query) { p.error { bdi { (message) } } }
        (summary::fields(&query, view.zone, &parameters))
        (load::section(&query, &parameters))
        @if query.kind == Kind::Query || query.statement.is_some() { (statement_section(&query, &parameters)) }
        (profile)
        (offer)
        @if let Some(nearby) = nearby { (nearby) }
        (compare::form_of_query(&query.query_id, &parameters))
    };
    let title = match query.load_name() {
        Some(name) => format!("Load {}", format::excerpt(name, TITLE_CHARS)),
        None => format!("Query {}", query.query_id),
    };
    Ok(Page { title, nav: None, body })
}

/// Returns what the page is of: a query by its id, or a load by what names it, with its id behind.
fn heading(query: &StoredQuery) -> Markup {
    html! {
        @match query.load_name() {
            Some(name) => { "Load " bdi { (format::excerpt(name, TITLE_CHARS)) } " " small { code { (query.query_id) } } },
            None => { "Query " code { (query.query_id) } },
        }
    }
}

fn statement_section(query: &StoredQuery, parameters: &Parameters) -> Markup {
    html! {
        section aria-labelledby="statement-heading" {
            div.heading {
                h2 #statement-heading { "Statement" }
                @if query.statement.is_some() {
                    button type="button" hidden data-copy="statement" { "Copy" }
                    a.button href={ (paths::query(&query.query_id)) (Download::STATEMENT) } { "Download" }
                }
                @if let Some(fingerprint) = query.fingerprint {
                    a href=(paths::statement_of(fingerprint, parameters)) { "All runs of this statement" }
                }
            }
            @match &query.statement {
                Some(statement) => (sql::block(statement)),
                None => p.empty { "No statement stored for this " (query.kind.name()) "." },
            }
        }
    }
}

/// Returns the section of the runs of the same statement around a query, which is one of them: of several clusters, those in the
/// cluster of the query. None if there is no other.
async fn nearby_runs(
    view: &View,
    query: &StoredQuery,
    page: &Parameters,
) -> Result<Option<Markup>, ApiError> {
    let (Some(fingerprint), Some(started_ms)) = (query.fingerprint, query.started_ms) else {
        return Ok(None);
    };
    // What names no cluster may be of the only one.
    let cluster = match view.several_clusters().await?.len() {
        0 | 1 => None,
        _ => Some(query.cluster.as_deref()),
    };
    let week = QueryFilter {
        limit: MAX_RUNS,
        fingerprint: Some(fingerprint),
        cluster: match cluster {
            None => Choice::default(),
            Some(None) => Choice { is_unknown: true, ..Choice::default() },
            Some(Some(cluster)) => Choice::one(cluster),
        },
        from_ms: Some(started_ms.saturating_sub(RUNS_WITHIN_MS)),
        to_ms: Some(started_ms.saturating_add(RUNS_WITHIN_MS)),
        ..QueryFilter::default()
    };
    let mut runs = view.records(&week).await?;
    let is_cut = runs.len() >= MAX_RUNS as usize;
    if !runs.iter().any(|run| run.id == query.id) {
        // The newest runs are all later ones.
        let to_ms = Some(started_ms.saturating_add(1));
        runs = view.records(&QueryFilter { to_ms, ..week.clone() }).await?;
    }
    if runs.len() < 2 {
        return Ok(None);
    }
    let mut all = Parameters::new();
    let (name, value) = match cluster {
        Some(None) => (paths::UNKNOWN, "cluster"),
        cluster => ("cluster", cluster.flatten().unwrap_or_default()),
    };
    all.set(name, value);
    let range = (week.from_ms.unwrap_or(started_ms), week.to_ms.unwrap_or(started_ms));
    let all = paths::statement_within(fingerprint, &all, range);
    Ok(Some(html! {
        section aria-labelledby="runs-heading" {
            h2 #runs-heading {
                "Runs of this statement within a week"
                @if let Some(Some(cluster)) = cluster { " in cluster " bdi { (cluster) } }
            }
            @if is_cut {
                p.note { "Only " (runs.len()) " are shown. " a href=(all) { "All runs within a week" } }
            }
            (chart::runs(&runs, (Some(&query.query_id), page), &|_| None, view.zone))
        }
    }))
}
