//! The pages: what a person sees in a browser. They are made whole on the server; the little script there is
//! adds what lives (new queries, picking a range, copying), and everything else works without it.
//!
//! Every page reads through [`crate::http`]'s view of the history, so it shows no more than the REST interface
//! tells the same user.

mod assets;
mod chart;
mod cluster;
pub(crate) mod flame_graph;
mod format;
mod history;
mod layout;
mod live;
mod login;
mod query;
mod range;
mod statements;
mod timeline_cache;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use warp::filters::BoxedFilter;
use warp::filters::path::{FullPath, Tail};
use warp::host::Authority;
use warp::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY, VARY,
};
use warp::http::{HeaderMap, Response, StatusCode};
use warp::hyper::body::Bytes;
use warp::{Filter, Rejection, Reply};

use crate::http::envelope::{Answer, ApiError};
use crate::http::view::View;
use crate::http::{AppState, Parameters, middleware};
use layout::Page;
pub(crate) use live::Live;

/// What pages may do: use what annals itself serves, and nothing that is_enabled within the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Somebody who asks for a page.
struct Visit {
    /// What they see, or why nothing.
    asked: Result<View, ApiError>,
    /// What they asked for, to come back to it behind the log-in.
    address: String,
    parameters: Parameters,
}

/// Every page. What is none of them is left to the routes that come behind.
pub(crate) fn routes(
    history: Arc<AppState>,
    live: Arc<Live>,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    let visit = visit(history.clone());
    let start = {
        let timelines = live.timelines.clone();
        warp::path::end().and(visit.clone()).then(move |visit| {
            let timelines = timelines.clone();
            shown(visit, |view, parameters| history::page(view, parameters, timelines))
        })
    };
    let status = {
        let history = history.clone();
        warp::path!("status").and(visit.clone()).then(move |visit| {
            let history = history.clone();
            shown(visit, |view, _| cluster::page(view, history))
        })
    };
    let statement_list =
        warp::path!("statements").and(visit.clone()).then(|visit| shown(visit, statements::page));
    let statement = warp::path!("statements" / String).and(visit.clone()).then(|path, visit| {
        shown(visit, move |view, parameters| statements::one(view, path, parameters))
    });
    let query = warp::path!("query_profile" / ..)
        .and(warp::path::tail())
        .and(visit.clone())
        .then(|tail: Tail, visit: Visit| Box::pin(of_query(tail, visit)));
    let pages = start
        .or(status)
        .unify()
        .or(statement_list)
        .unify()
        .or(statement)
        .unify()
        .or(query)
        .unify()
        .or(login::routes(history))
        .unify();
    let pages = warp::method()
        .and(warp::header::headers_cloned())
        .and(pages.or(assets::routes()).unify())
        .map(|method, headers: HeaderMap, answer| {
            middleware::finalize_response(&method, &headers, answer)
        });
    let events = warp::path!("events").and(visit).then(move |visit: Visit| {
        let live = live.clone();
        async move {
            match live::events(&live, visit.asked, visit.parameters) {
                Ok(events) => events.into_response(),
                Err(refusal) => refusal.into_answer().into_response(),
            }
        }
    });
    // Boxed, as the routes of REST are.
    not_rest().and(pages.or(events).boxed())
}

/// Rejects at once what is asked of the REST interface, of which there is more than of pages.
fn not_rest() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    let checked = warp::path::full().and_then(async |path: FullPath| {
        match ["/rest/", "/api/"].iter().any(|start| path.as_str().starts_with(start)) {
            true => Err(warp::reject::not_found()),
            false => Ok(()),
        }
    });
    checked.untuple_one()
}

/// Reads who asks, and for what.
fn visit(history: Arc<AppState>) -> BoxedFilter<(Visit,)> {
    warp::get()
        .or(warp::head())
        .unify()
        .and(warp::cookie::optional(login::COOKIE))
        .and(warp::header::optional("authorization"))
        .and(warp::host::optional())
        .and(warp::path::full())
        .and(raw_query())
        .and(warp::query())
        .then(
            move |session: Option<String>,
                  authorization: Option<String>,
                  host: Option<Authority>,
                  path: FullPath,
                  query: String,
                  parameters: Parameters| {
                let history = history.clone();
                async move {
                    let session = session.as_deref();
                    let asked = history.view_in_session(session, authorization, host).await;
                    let address = match query.as_str() {
                        "" => path.as_str().to_string(),
                        query => format!("{}?{query}", path.as_str()),
                    };
                    Visit { asked, address, parameters }
                }
            },
        )
        .boxed()
}

fn raw_query() -> BoxedFilter<(String,)> {
    warp::query::raw().or(warp::any().map(String::new)).unify().boxed()
}

/// Shows a page to those who may see it. Boxed, as the answers of the other routes are.
fn shown<P, F>(visit: Visit, page: P) -> BoxFuture<'static, Answer>
where
    P: FnOnce(View, Parameters) -> F + Send + 'static,
    F: Future<Output = Result<Page, ApiError>> + Send + 'static,
{
    Box::pin(page_of(visit, page))
}

async fn page_of<P, F>(visit: Visit, page: P) -> Answer
where
    P: FnOnce(View, Parameters) -> F,
    F: Future<Output = Result<Page, ApiError>>,
{
    let view = match visit.asked {
        Ok(view) => view,
        Err(ApiError::Unauthorized(_)) => return redirect(&login::address(&visit.address)),
        Err(refusal) => return refused(refusal, None),
    };
    // A form sends its empty fields, too; the address of a view is to be short enough to send around.
    if visit.parameters.values().any(String::is_empty) {
        let (path, _) = visit.address.split_once('?').unwrap_or((&visit.address, ""));
        return redirect(&crate::http::query_parameters::address(path, &visit.parameters, &[]));
    }
    let reader = layout::Reader::of(&view);
    match page(view, visit.parameters).await {
        Ok(page) => html(StatusCode::OK, &page, Some(&reader)),
        Err(refusal) => refused(refusal, Some(&reader)),
    }
}

/// The page of a query, or a part of it that is no page.
async fn of_query(tail: Tail, visit: Visit) -> Answer {
    let (id, part) = match query::of_path(tail.as_str()) {
        Ok(asked) => asked,
        Err(refusal) => return page_of(visit, |_, _| async { Err(refusal) }).await,
    };
    if matches!(part, query::Part::Page) {
        return page_of(visit, |view, parameters| query::page(view, id, parameters)).await;
    }
    match visit.asked {
        Ok(view) => match query::part(view, id, part).await {
            Ok(answer) => answer,
            Err(refusal) => refused(refusal, None),
        },
        Err(ApiError::Unauthorized(_)) => redirect(&login::address(&visit.address)),
        Err(refusal) => refused(refusal, None),
    }
}

/// A page that says why there is none.
fn refused(refusal: ApiError, reader: Option<&layout::Reader>) -> Answer {
    let (status, sentence) = refusal.into_sentence();
    html(status, &layout::refusal(status, &sentence), reader)
}

fn html(status: StatusCode, page: &Page, reader: Option<&layout::Reader>) -> Answer {
    let mut answer = Response::new(Bytes::from(layout::whole(page, reader).into_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(VARY, HeaderValue::from_static("authorization, cookie"));
    // Without any, browsers say of annals' own forms that they come from nowhere.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// Sends a browser to another of annals' own addresses.
fn redirect(address: &str) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let start = HeaderValue::from_static("/");
    let location = HeaderValue::from_str(address).unwrap_or(start);
    answer.headers_mut().insert(LOCATION, location);
    answer
}
