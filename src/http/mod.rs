//! The REST interfaces: that of a Doris frontend, as far as it is about the history of queries, and annals' own.
//!
//! Each endpoint is a module below [`doris`] or [`v1`] with its [`Route`]s, its parameters and its answer. A new one is
//! a file, and a line in the list of routes of its folder.

mod admission;
pub(crate) mod answer;
mod answer_memory;
pub(crate) mod auth;
mod body;
pub(crate) mod cache;
pub(crate) mod client;
mod cluster_header;
mod compute;
mod connections;
pub(crate) mod date;
pub(crate) mod doris;
pub(crate) mod error;
mod etag;
mod fast_path;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod metrics;
pub(crate) mod middleware;
pub(crate) mod panics;
mod pushed_rows;
mod query_ids;
pub(crate) mod query_parameters;
mod raw_head;
mod rejected_rows;
mod request_target;
mod response_cache;
mod route;
mod same_site;
pub(crate) mod server;
pub(crate) mod shares;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod text_body;
mod timed_stream;
pub(crate) mod tls;
mod v1;
pub(crate) mod view;

use std::cmp::Reverse;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use warp::http::{HeaderMap, Method};
use warp::reject::{InvalidQuery, MethodNotAllowed};
use warp::{Filter, Rejection, Reply};

use answer::Answer;
use answer_memory::IsCounted;
use error::ApiError;
pub(crate) use route::{Parameters, PathValues, any_of, at};
use route::{Route, RouteBuilder, RouteKind, below, is_at_or_below, values};
pub(crate) use same_site::reject_cross_site;
pub(crate) use state::{AppState, BrowserCredentials};

/// All routes, by what their paths start with. The first that takes a request answers.
static ROUTES: [(&str, &[Route]); 4] = [
    ("/api/v1/", v1::ROUTES),
    ("/rest/v2/manager/", doris::manager::ROUTES),
    ("/", doris::ROUTES),
    ("/metrics", &[metrics::ROUTE]),
];

/// Returns every route there is.
fn all_routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().flat_map(|(_, routes)| routes.iter())
}

/// The routes whose path has no part that varies, by that path. Every request looks here, lists above all: going through
/// all routes took a tenth of the time of a cached list.
static BY_PATH: LazyLock<foldhash::HashMap<&str, &Route>> = LazyLock::new(|| {
    let mut routes = foldhash::HashMap::default();
    for route in all_routes().filter(|route| !route.path.contains('{')) {
        // Of two routes with one path, the first reads.
        routes.entry(route.path).or_insert(route);
    }
    routes
});

/// The pages, which are no routes of this module, and how they work. Paths below a page work as the page does.
const PAGES: [(&str, RouteKind); 11] = [
    ("/query_profile", RouteKind::Read),
    ("/statements", RouteKind::Report),
    ("/regressions", RouteKind::Report),
    ("/findings", RouteKind::Report),
    ("/plans", RouteKind::Report),
    ("/usage", RouteKind::Report),
    ("/status", RouteKind::Read),
    ("/events", RouteKind::Stream),
    ("/login", RouteKind::Read),
    ("/logout", RouteKind::Read),
    ("/assets", RouteKind::Read),
];

/// Returns how the route works that answers a request.
fn kind(method: &Method, path: &str) -> RouteKind {
    /// The patterns of all routes that do not just read.
    static OTHERS: LazyLock<Vec<(&str, RouteKind)>> = LazyLock::new(|| {
        let routes = all_routes().map(|route| (route.path, route.kind));
        routes.filter(|(_, kind)| *kind != RouteKind::Read).collect()
    });
    let is_push = *method != Method::GET && *method != Method::HEAD;
    // A path may have a route that reads and one that pushes.
    let mut routes = OTHERS.iter().filter(|(_, kind)| (*kind == RouteKind::Push) == is_push);
    if let Some((_, kind)) = routes.find(|(pattern, _)| values(pattern, path).is_some()) {
        return *kind;
    }
    let page = PAGES.iter().find(|(start, _)| is_at_or_below(start, path));
    page.map_or(RouteKind::Read, |(_, kind)| *kind)
}

/// Locks what is sound even if a thread panicked beside it, because each change of it is complete in itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether answers on this path are kept until the next commit.
fn is_cached(path: &str) -> bool {
    BY_PATH.get(path).is_some_and(|route| route.is_cached)
}

/// Returns the label of a path in the metrics. The number of labels is bounded, whatever paths clients ask for.
fn label(path: &str) -> &'static str {
    known_label(path).unwrap_or("other")
}

/// Returns whether a path is one for programs, and not below a page.
pub(crate) fn is_for_programs(path: &str) -> bool {
    known_label(path).is_some_and(|label| PAGES.iter().all(|(page, _)| *page != label))
}

/// Returns the label of a path in the metrics. `None` if there is nothing at the path.
fn known_label(path: &str) -> Option<&'static str> {
    /// Each label, and whether it is a pattern. The longest comes first, for `/api/profile/text` does not count as
    /// `/api/profile`. Made once, for every request passes here.
    static LABELS: LazyLock<Vec<(&str, bool)>> = LazyLock::new(|| {
        let labels = all_routes().map(Route::label).chain(PAGES.map(|(path, _)| path));
        let mut labels: Vec<_> = labels.map(|label| (label, label.contains('{'))).collect();
        labels.sort_unstable_by_key(|(label, _)| (Reverse(label.len()), *label));
        labels.dedup();
        labels
    });
    if path == "/" {
        return Some("/");
    }
    if let Some(route) = BY_PATH.get(path) {
        return Some(route.label());
    }
    let mut labels = LABELS.iter();
    let found = labels.find(|(label, is_pattern)| match is_pattern {
        true => values(label, path).is_some(),
        false => is_at_or_below(label, path),
    });
    found.map(|(label, _)| *label)
}

/// Joins all routes to one filter that answers every request.
pub(crate) fn routes(
    state: Arc<AppState>,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let builder = RouteBuilder::new(state.clone());
    let routes =
        any_of(ROUTES.iter().map(|(start, routes)| {
            below(start, routes.iter().map(|route| route.filter(&builder)))
        }));
    let is_counted = warp::ext::optional::<IsCounted>();
    warp::method()
        .and(warp::header::headers_cloned())
        .and(client::client())
        .and(is_counted)
        .and(routes.recover(refuse).unify())
        .map(move |method, headers: HeaderMap, client, is_counted: Option<IsCounted>, answer| {
            let answer = match is_counted {
                Some(_) => answer,
                None => state.response_cache().memory().count(client, answer),
            };
            answer::into_reply(middleware::finalize_response(&method, &headers, answer))
        })
}

/// Makes the answer to a request that no route takes.
async fn refuse(rejection: Rejection) -> Result<Answer, Infallible> {
    let error = if rejection.is_not_found() {
        ApiError::NotFound(
            "there is nothing at this path; the session list is at /rest/v1/session, and \
             /api/v1/openapi.json describes the paths of /api/v1"
                .to_string(),
        )
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        ApiError::MethodNotAllowed("GET, HEAD")
    } else if rejection.find::<InvalidQuery>().is_some() {
        ApiError::BadRequest("the parameters behind the ? cannot be read".to_string())
    } else {
        ApiError::BadRequest("the request cannot be read".to_string())
    };
    Ok(error.into_answer())
}
