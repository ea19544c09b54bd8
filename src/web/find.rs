//! `/find?q=…`: leads to the one thing that a text means, or shows all that it may mean.

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::layout::Page;
use super::query_table::QueryTable;
use super::request::{Outcome, PageRequests, list_filter, page_route};
use super::{filter_form, format, paths, range_form};
use crate::domain::filter::QueryFilter;
use crate::domain::find::{Sought, SoughtError};
use crate::domain::search::Search;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{OrderName, address};
use crate::http::view::View;
use crate::store::{Found, Match, MatchKind, Only};

/// Characters of the text that the page repeats.
const SHOWN_CHARS: usize = 200;

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    page_route("/find", requests, |_, request| request.answer(&["q"], find))
}

async fn find(view: View, parameters: Parameters) -> Result<Outcome, ApiError> {
    let text = parameters.get("q").map_or("", String::as_str);
    let sought = match Sought::new(text) {
        Ok(sought) => sought,
        Err(SoughtError::Empty) => return Ok(page(html! { (hint()) }).into()),
        Err(error) => return Err(ApiError::BadRequest(error.to_string())),
    };
    let kept = paths::kept_by_find(&parameters);
    let filter = list_filter(&view, &kept)?;
    let found = view.find(&sought, &filter).await?;
    if let Some(address) = only_address(&view, &found, &sought, (&kept, &filter)).await? {
        return Ok(Outcome::Address(address));
    }
    let has_clusters = !view.several_clusters().await?.is_empty();
    let body = html! {
        (range_form::picker(paths::FIND, &parameters, view.zone, None))
        (filter_form::chosen(paths::FIND, &parameters, view.zone))
        (results((&view, has_clusters), &found, &sought, &kept))
    };
    Ok(page(body).into())
}

/// Returns the address of what was found if one page has all of it.
async fn only_address(
    view: &View,
    found: &Found,
    sought: &Sought,
    (kept, filter): (&Parameters, &QueryFilter),
) -> Result<Option<String>, ApiError> {
    match found.only() {
        Some(Only::Query(query_id)) => {
            return Ok(Some(paths::keeping(&paths::query(query_id), kept)));
        }
        Some(Only::Statement(fingerprint)) => {
            let path = paths::statement(fingerprint);
            let run = QueryFilter { fingerprint: Some(fingerprint), limit: 1, ..filter.clone() };
            // The page of a statement without such a run is empty.
            let has_run = !view.records(&run).await?.is_empty();
            return Ok(Some(if has_run { paths::keeping(&path, kept) } else { path }));
        }
        None => {}
    }
    let is_text = found.is_incomplete && found.matches.is_empty();
    Ok(match &*found.matches {
        [one] if one.kind == MatchKind::SessionId || one.kind == MatchKind::Text => {
            history_of(one, sought, kept)
        }
        [] if is_text => Some(search_address(sought, kept)),
        _ => None,
    })
}

/// Returns the address of the history that lists all queries of a match; None if no filter of the history chooses them.
fn history_of(one: &Match, sought: &Sought, kept: &Parameters) -> Option<String> {
    let fingerprint = one.fingerprint.map(|fingerprint| fingerprint.to_string());
    match one.kind {
        MatchKind::SessionId => {
            Some(paths::history_of("session_id", sought.session_id()?, &Parameters::new()))
        }
        MatchKind::Statement => {
            Some(paths::history_of("fingerprint", &fingerprint?, &Parameters::new()))
        }
        MatchKind::Text => Some(search_address(sought, kept)),
        MatchKind::QueryId | MatchKind::TraceId | MatchKind::Label => None,
    }
}

fn search_address(sought: &Sought, kept: &Parameters) -> String {
    address(paths::HISTORY, kept, &[("search", sought.text())])
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
            "start, a fingerprint or its first four digits or more, or text of a statement into the box above."
        }
    }
}

fn results(
    (view, has_clusters): (&View, bool),
    found: &Found,
    sought: &Sought,
    kept: &Parameters,
) -> Markup {
    let table = QueryTable {
        parameters: kept,
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
                @if searched { ", and no statement contains it" @if !kept.is_empty() { " among the queries of the time range and the filters" } }
                "."
                @if !can_search { " The text is too long to look for it within statements." }
            }
            (hint())
        } @else { (table.compare_form()) }
        @if !kept.is_empty() {
            p.note { "The time range and the filters only choose among statements that contain the text. Names are found in the whole history." }
        }
        @for one in &found.matches {
            section {
                div.heading {
                    (heading(one, kept))
                    @if let Some(address) = history_of(one, sought, kept) { a href=(address) { "All in History" } }
                }
                (table.table(&one.queries, None))
                @if one.has_more { p.note { "Only the first " (one.queries.len()) " are shown." } }
            }
        }
        @if searched && !kept.is_empty() {
            p { a href=(search_address(sought, &Parameters::new())) { "Search all statements" } }
        }
        @if !found.matches.is_empty() && !has_text && can_search {
            p { a href=(search_address(sought, kept)) { "Search statements for this text" } }
        }
    }
}

fn heading(one: &Match, kept: &Parameters) -> Markup {
    html! {
        h2 {
            @match (one.kind, one.fingerprint) {
                (MatchKind::Statement, Some(fingerprint)) => {
                    "Statement " a href=(paths::keeping(&paths::statement(fingerprint), kept)) { code { (fingerprint) } }
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
