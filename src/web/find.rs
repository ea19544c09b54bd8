//! `/find?q=…`: leads to the one thing that a text means, or shows all that it may mean.

use maud::{Markup, html};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;

use super::layout::{Page, Viewer};
use super::query_table::QueryTable;
use super::request::{PageRequest, PageRequests, list_filter, log_in_or_error, reject_unknown};
use super::{format, paths, range_form, response};
use crate::domain::filter::QueryFilter;
use crate::domain::find::{Sought, SoughtError};
use crate::domain::search::Search;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{OrderName, address};
use crate::http::view::View;
use crate::store::{Found, Match, MatchKind, Only, StoredQuery};

/// Characters of the text that the page repeats.
const SHOWN_CHARS: usize = 200;

/// Where a search leads.
enum Outcome {
    /// To another page.
    Address(String),
    Page(Page),
}

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    warp::path!("find").and(requests).then(answer).boxed()
}

async fn answer(request: PageRequest) -> Answer {
    let view = match request.view {
        Ok(view) => view,
        Err(error) => return log_in_or_error(error, &request.address, &request.visitor),
    };
    let viewer = Viewer::of(&view, &request.parameters);
    let viewer_of_error = Viewer::of_error(&view, &request.parameters);
    match range_form::invalid_page(&view, &request.address, &request.parameters).await {
        Some(Ok(page)) => {
            return response::page(StatusCode::BAD_REQUEST, &page, Some(&viewer_of_error));
        }
        Some(Err(error)) => return response::error(error, Some(&viewer_of_error)),
        None => {}
    }
    match find(&view, &request.parameters).await {
        Ok(Outcome::Address(address)) => response::redirect(&address),
        Ok(Outcome::Page(page)) => response::page(StatusCode::OK, &page, Some(&viewer)),
        Err(error) => response::error(error, Some(&viewer_of_error)),
    }
}

async fn find(view: &View, parameters: &Parameters) -> Result<Outcome, ApiError> {
    reject_unknown(parameters, &["q"])?;
    let text = parameters.get("q").map_or("", String::as_str);
    let sought = match Sought::new(text) {
        Ok(sought) => sought,
        Err(SoughtError::Empty) => return Ok(Outcome::Page(page(html! { (hint()) }))),
        Err(error) => return Err(ApiError::BadRequest(error.to_string())),
    };
    let times = paths::range_of(parameters);
    let range = list_filter(view, &times)?;
    let found = view.find(&sought, &range).await?;
    if let Some(address) = only_address(&found, &sought, &times, &range) {
        return Ok(Outcome::Address(address));
    }
    let has_clusters = !view.several_clusters().await?.is_empty();
    Ok(Outcome::Page(page(html! {
        (range_form::picker(paths::FIND, parameters, view.zone, None))
        (results((view, has_clusters), &found, &sought, &times))
    })))
}

/// Returns the address of what was found if one page has all of it.
fn only_address(
    found: &Found,
    sought: &Sought,
    times: &Parameters,
    range: &QueryFilter,
) -> Option<String> {
    match found.only() {
        Some(Only::Query(query_id)) => {
            return Some(paths::keeping(&paths::query(query_id), times));
        }
        Some(Only::Statement(fingerprint)) => {
            let path = paths::statement(fingerprint);
            let runs = found.matches.iter().flat_map(|it| &it.queries);
            // A statement has no page in a range without a run.
            let is_in_range = runs.into_iter().any(|run| is_within(run, range));
            return Some(if is_in_range { paths::keeping(&path, times) } else { path });
        }
        None => {}
    }
    let is_text = found.is_incomplete && found.matches.is_empty();
    match &*found.matches {
        [one] if one.kind == MatchKind::SessionId || one.kind == MatchKind::Text => {
            history_of(one, sought, times)
        }
        [] if is_text => Some(search_address(sought, times)),
        _ => None,
    }
}

fn is_within(run: &StoredQuery, range: &QueryFilter) -> bool {
    let (first_ms, last_ms) = range.starts();
    run.started_ms.is_some_and(|ms| (first_ms..=last_ms).contains(&ms))
}

/// Returns the address of the history that lists all queries of a match; None if no filter of the history chooses them.
fn history_of(one: &Match, sought: &Sought, times: &Parameters) -> Option<String> {
    let fingerprint = one.fingerprint.map(|fingerprint| fingerprint.to_string());
    match one.kind {
        MatchKind::SessionId => {
            Some(paths::history_of("session_id", sought.session_id()?, &Parameters::new()))
        }
        MatchKind::Statement => {
            Some(paths::history_of("fingerprint", &fingerprint?, &Parameters::new()))
        }
        MatchKind::Text => Some(search_address(sought, times)),
        MatchKind::QueryId | MatchKind::TraceId | MatchKind::Label => None,
    }
}

fn search_address(sought: &Sought, times: &Parameters) -> String {
    address(paths::HISTORY, times, &[("search", sought.text())])
}

fn page(content: Markup) -> Page {
    let body = html! {
        h1 { "Find" }
        (content)
    };
    Page { title: "Find".to_string(), nav: None, body }
}

fn hint() -> Markup {
    html! {
        p.note {
            "Write a query ID or its first six characters or more, a trace ID, the ID of a session, the label of a load or its "
            "start, a fingerprint, or text of a statement into the box above."
        }
    }
}

fn results(
    (view, has_clusters): (&View, bool),
    found: &Found,
    sought: &Sought,
    times: &Parameters,
) -> Markup {
    let parameters = Parameters::new();
    let table = QueryTable {
        parameters: &parameters,
        order: OrderName::default(),
        zone: view.zone,
        is_sortable: false,
        has_clusters,
        has_loads_alone: false,
    };
    let can_search = Search::new(Some(sought.text()), None).is_ok();
    let has_text = found.matches.iter().any(|it| it.kind == MatchKind::Text);
    let searched = found.matches.is_empty() && can_search;
    html! {
        p.lead { "“" bdi { (format::excerpt(sought.text(), SHOWN_CHARS)) } "”" }
        @if found.matches.is_empty() {
            p.empty {
                "No query, trace, session, load or statement has this name"
                @if searched { ", and no statement contains it" @if !times.is_empty() { " in the time range" } }
                "."
                @if !can_search { " The text is too long to look for it within statements." }
            }
            (hint())
        } @else { (table.compare_form()) }
        @for one in &found.matches {
            section {
                div.heading {
                    (heading(one))
                    @if let Some(address) = history_of(one, sought, times) { a href=(address) { "All in History" } }
                }
                (table.table(&one.queries, None))
                @if one.has_more { p.note { "Only the first " (one.queries.len()) " are shown." } }
            }
        }
        @if searched && !times.is_empty() {
            p { a href=(search_address(sought, &Parameters::new())) { "Search the statements of the whole history" } }
        }
        @if !found.matches.is_empty() && !has_text && can_search {
            p { a href=(search_address(sought, times)) { "Search statements for this text" } }
        }
    }
}

fn heading(one: &Match) -> Markup {
    html! {
        h2 {
            @match (one.kind, one.fingerprint) {
                (MatchKind::Statement, Some(fingerprint)) => {
                    "Statement " a href=(paths::statement(fingerprint)) { code { (fingerprint) } }
                }
                (MatchKind::QueryId, _) => "Query IDs that begin so",
                (MatchKind::TraceId, _) => "Queries of this trace",
                (MatchKind::SessionId, _) => "Queries of this session",
                (MatchKind::Label, _) => "Loads whose labels begin so",
                (MatchKind::Statement | MatchKind::Text, _) => "Statements that contain this text",
            }
        }
    }
}
