//! The filters of routes, and the tree that joins them.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, TryStreamExt};
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::host::Authority;
use warp::http::{HeaderMap, Method};
use warp::{Buf, Filter};

use super::{BodyStream, Parameters, PushRequest, ReadRequest, at};
use crate::http::answer::Answer;
use crate::http::auth::{Claim, ProxyUser, SessionCookie};
use crate::http::client::{Client, client};
use crate::http::error::ApiError;
use crate::http::same_site::reject_cross_site;
use crate::http::state::{AppState, Credentials};
use crate::http::view::View;

/// A push before anything of it is checked.
struct PushParts {
    method: Method,
    client: Client,
    view: Result<View, ApiError>,
    headers: HeaderMap,
    parameters: Parameters,
    full_path: String,
    body: BodyStream,
}

/// Answers a request. The filters of all routes have this one type: with a type for each route, the compiler spends a third of
/// its time on filters.
type Handler<R> = Arc<dyn Fn(Result<R, ApiError>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Makes the filters of routes.
pub(in crate::http) struct RouteBuilder {
    state: Arc<AppState>,
    /// What comes behind the path of a route that reads. Boxed: warp clones the filters for each request, and a boxed
    /// filter is one counter.
    read: BoxedFilter<(Result<View, ApiError>, Parameters)>,
    /// The same for a route that needs no credentials, and so waits for none.
    read_publicly: BoxedFilter<(Parameters,)>,
    push: BoxedFilter<(PushParts,)>,
}

impl RouteBuilder {
    pub(in crate::http) fn new(state: Arc<AppState>) -> RouteBuilder {
        // The method comes behind the path: a wrong method on a known path is another answer than an unknown path.
        let read = warp::get().or(warp::head()).unify();
        let read_publicly = read.and(warp::query()).boxed();
        let read = read.and(reader(state.clone())).and(warp::query()).boxed();
        let body = warp::body::stream().map(boxed);
        let push = warp::method()
            .and(client())
            .and(pusher(state.clone()))
            .and(warp::header::headers_cloned())
            .and(warp::query())
            .and(warp::path::full())
            .and(body)
            .map(|method, client, view, headers, parameters, full_path: FullPath, body| PushParts {
                method,
                client,
                view,
                headers,
                parameters,
                full_path: full_path.as_str().to_string(),
                body,
            })
            .boxed();
        RouteBuilder { state, read, read_publicly, push }
    }

    pub(in crate::http) fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// Returns the filter of a route that reads the history.
    pub(in crate::http) fn get<F>(
        &self,
        path: &'static str,
        handler: fn(ReadRequest) -> F,
    ) -> BoxedFilter<(Answer,)>
    where
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        self.read(path, boxed_handler(handler))
    }

    fn read(&self, path: &'static str, handler: Handler<ReadRequest>) -> BoxedFilter<(Answer,)> {
        let state = self.state.clone();
        let read = at(path).and(self.read.clone()).then(
            move |path, view: Result<View, ApiError>, parameters| {
                let state = state.clone();
                handler(view.map(|view| ReadRequest { state, view, parameters, path }))
            },
        );
        read.boxed()
    }

    /// Returns the filter of a route that reads nothing of the history. The route needs no credentials.
    pub(in crate::http) fn get_public(
        &self,
        path: &'static str,
        handler: fn(Parameters) -> Result<Answer, ApiError>,
    ) -> BoxedFilter<(Answer,)> {
        let read = at(path)
            .and(self.read_publicly.clone())
            .then(move |_, parameters| answered(async move { handler(parameters) }));
        read.boxed()
    }

    /// Returns the filter of a route that answers by the state of annals alone. The route needs no credentials.
    pub(in crate::http) fn get_state(
        &self,
        path: &'static str,
        handler: fn(&AppState) -> Result<Answer, ApiError>,
    ) -> BoxedFilter<(Answer,)> {
        let state = self.state.clone();
        let method = warp::get().or(warp::head()).unify();
        let answer = at(path).and(method).then(move |_| {
            let state = state.clone();
            answered(async move { handler(&state) })
        });
        answer.boxed()
    }

    /// Returns the filter of a route that adds to the history. `allowed` are all methods at this path, for the error.
    pub(in crate::http) fn push<F>(
        &self,
        path: &'static str,
        method: Method,
        allowed: &'static str,
        handler: fn(PushRequest) -> F,
    ) -> BoxedFilter<(Answer,)>
    where
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        self.write(path, (method, allowed), boxed_handler(handler))
    }

    fn write(
        &self,
        path: &'static str,
        (method, allowed): (Method, &'static str),
        handler: Handler<PushRequest>,
    ) -> BoxedFilter<(Answer,)> {
        let request = move |path, parts: PushParts| {
            if parts.method != method {
                return Err(ApiError::MethodNotAllowed(allowed));
            }
            reject_cross_site(&parts.headers)?;
            let PushParts { client, view, headers, parameters, full_path, body, .. } = parts;
            let view = view?;
            let client = view.name().map_or_else(|| client.to_string(), str::to_string);
            Ok(PushRequest { client, view, headers, parameters, path, full_path, body })
        };
        let push = at(path).and(self.push.clone());
        push.then(move |path, parts| handler(request(path, parts))).boxed()
    }
}

fn boxed_handler<R: Send + 'static, F>(handler: fn(R) -> F) -> Handler<R>
where
    F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    Arc::new(move |request| answered(async move { handler(request?).await }))
}

fn boxed(chunks: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static) -> BodyStream {
    chunks.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining())).boxed()
}

/// Returns what the client of a request may see.
fn reader(state: Arc<AppState>) -> BoxedFilter<(Result<View, ApiError>,)> {
    let view = warp::header::optional("authorization")
        .and(warp::ext::optional())
        .and(warp::cookie::optional(SessionCookie::DORIS.name()))
        .and(warp::path::full())
        .and(warp::host::optional())
        .and(client())
        .then(
            move |authorization: Option<String>,
                  proxied: Option<ProxyUser>,
                  session: Option<String>,
                  path: FullPath,
                  host: Option<Authority>,
                  client: Client| {
                let state = state.clone();
                async move {
                    let (authorization, proxied) = (authorization.as_deref(), proxied.as_ref());
                    let claim = Claim { authorization, proxied };
                    let (session, path) = (session.as_deref(), path.as_str());
                    let credentials = Credentials { claim, session, path, client };
                    state.view(credentials, host).await
                }
            },
        );
    view.boxed()
}

/// The same for a client that pushes, by HTTP Basic or a token alone: a browser sends a cookie for any page that asks it to,
/// to annals or to a proxy that logs its user in.
fn pusher(state: Arc<AppState>) -> BoxedFilter<(Result<View, ApiError>,)> {
    let parts = warp::header::optional("authorization").and(warp::host::optional()).and(client());
    let view = parts.then(
        move |authorization: Option<String>, host: Option<Authority>, client: Client| {
            let state = state.clone();
            async move {
                let claim = Claim::by_header(authorization.as_deref());
                let credentials = Credentials { claim, session: None, path: "", client };
                state.view(credentials, host).await
            }
        },
    );
    view.boxed()
}

/// Turns an error into its answer. Boxed: the future of all routes contains this one, and moves for each request.
pub(in crate::http) fn answered(
    answer: impl Future<Output = Result<Answer, ApiError>> + Send + 'static,
) -> BoxFuture<'static, Answer> {
    Box::pin(async { answer.await.unwrap_or_else(ApiError::into_answer) })
}

/// Joins routes whose paths all begin alike. A request to another path tries none of them.
pub(in crate::http) fn below(
    start: &'static str,
    routes: impl IntoIterator<Item = BoxedFilter<(Answer,)>>,
) -> BoxedFilter<(Answer,)> {
    let checked = warp::path::full().and_then(move |path: FullPath| {
        let is_below = path.as_str().starts_with(start);
        ready(if is_below { Ok(()) } else { Err(warp::reject::not_found()) })
    });
    checked.untuple_one().and(any_of(routes)).boxed()
}

/// Joins routes to one: the first that takes a request answers. The routes are boxed and joined as a balanced tree: the
/// compiler needs minutes for a chain of unboxed routes, and a chain of boxes nests as deep as there are routes.
pub(crate) fn any_of(
    routes: impl IntoIterator<Item = BoxedFilter<(Answer,)>>,
) -> BoxedFilter<(Answer,)> {
    let mut level: Vec<_> = routes.into_iter().collect();
    while level.len() > 1 {
        let mut pairs = level.into_iter();
        level = Vec::new();
        while let Some(first) = pairs.next() {
            level.push(match pairs.next() {
                Some(second) => first.or(second).unify().boxed(),
                None => first,
            });
        }
    }
    level.pop().unwrap_or_else(|| {
        warp::any().and_then(|| async { Err::<Answer, _>(warp::reject::not_found()) }).boxed()
    })
}
