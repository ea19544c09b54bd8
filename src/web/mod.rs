//! The pages that a person opens in a browser.
//!
//! The server renders complete pages. The script only adds live updates, selecting a time range by dragging, and
//! copying; everything else works without it. Every page reads through [`crate::http::view`], so a page shows no more
//! than the REST interface shows to the same user.
//!
//! One module is one page, and owns its route: [`history`], [`find`], [`query`], [`compare`](mod@compare), [`statements`], [`regressions`], [`findings`], [`plans`], [`statement`],
//! [`usage`], [`status`], [`login`]. [`live_updates`] sends changes to open pages. The other modules are what the pages share.

mod assets;
mod chart;
mod compare;
mod filter_form;
mod find;
mod findings;
pub(crate) mod flame_graph;
mod format;
mod history;
mod layout;
mod live_updates;
mod login;
mod nearest;
mod paths;
mod plans;
pub(crate) mod query;
mod query_table;
mod range_form;
mod regressions;
mod report_cache;
mod request;
mod response;
mod shown_content;
mod sql;
mod statement;
mod statements;
mod status;
mod time_range;
mod timelines;
mod usage;

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::http::HeaderMap;
use warp::{Filter, Rejection, Reply};

use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::{AppState, answer, any_of, is_for_programs, middleware};
use layout::Page;
pub(crate) use live_updates::LiveUpdates;
use request::{PageRequest, PageRequests};

/// Returns the routes of all pages. A path of no page is rejected, so that other routes may follow.
pub(crate) fn routes(
    state: Arc<AppState>,
    live_updates: Arc<LiveUpdates>,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    let requests = request::page_requests(state.clone());
    let pages = any_of([
        history::route(requests.clone(), live_updates.timelines.clone()),
        status::route(requests.clone(), state.clone()),
        statements::route(requests.clone(), live_updates.watch.clone()),
        regressions::route(requests.clone(), live_updates.watch.clone()),
        usage::route(requests.clone(), live_updates.watch.clone()),
        findings::route(requests.clone()),
        plans::route(requests.clone()),
        statement::route(requests.clone(), live_updates.watch.clone()),
        query::route(requests.clone()),
        find::route(requests.clone()),
        compare::route(requests.clone()),
        login::routes(state),
        not_found(requests.clone()),
        assets::routes(),
    ]);
    let pages = warp::method().and(warp::header::headers_cloned()).and(pages).map(
        |method, headers: HeaderMap, answer| {
            answer::into_reply(middleware::finalize_response(&method, &headers, answer))
        },
    );
    let events = live_updates::route(requests, live_updates);
    // Boxed: warp clones the filters for each request, and a clone of a box is one counter.
    not_rest().and(pages.or(events).boxed())
}

/// Returns the answer to a browser that asks for a path of nothing. The routes of pages come before.
fn not_found(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    let is_nothing = warp::path::full().and(warp::header("accept")).and_then(
        async |path: FullPath, accepted: String| match is_for_programs(path.as_str()) {
            false if accepted.contains("text/html") => Ok(()),
            _ => Err(warp::reject::not_found()),
        },
    );
    let page = async |_, _| {
        Err::<Page, _>(ApiError::NotFound("There is no page at this address.".to_string()))
    };
    is_nothing
        .untuple_one()
        .and(requests)
        .then(move |request: PageRequest| request.answer_with(page))
        .boxed()
}

/// Rejects requests to the REST interface at once: there are far more of them than of page requests.
fn not_rest() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    let checked = warp::path::full().and_then(async |path: FullPath| {
        match ["/rest/", "/api/"].iter().any(|start| path.as_str().starts_with(start)) {
            true => Err(warp::reject::not_found()),
            false => Ok(()),
        }
    });
    checked.untuple_one()
}
