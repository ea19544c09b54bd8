//! A route, said once: the module of an endpoint names the path, and from that [`Route`] come the filter, the label in
//! the metrics, the place in the cache of answers, and for annals' own interface the description.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use utoipa::openapi::OpenApi;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::host::Authority;
use warp::http::{HeaderMap, Method};
use warp::hyper::body::Bytes;
use warp::{Buf, Filter, Rejection};

use super::answer::Answer;
use super::auth::SessionCookie;
use super::error::ApiError;
use super::same_site::reject_cross_site;
use super::state::{AppState, Credentials};
use super::view::View;

/// The parameters behind the question mark.
pub(crate) type Parameters = std::collections::HashMap<String, String>;

/// A route.
pub(super) struct Route {
    /// The path. `{name}` is one part of any text, `{*name}` at the end is the rest, which may be empty.
    pub path: &'static str,
    /// Whether an answer depends on nothing but the history, the request and whose queries the principal sees. Such
    /// answers are kept until the next commit.
    pub is_cached: bool,
    /// Returns the description of the endpoints of the route's module.
    pub description: Option<fn() -> OpenApi>,
    build: fn(&RouteBuilder, &'static str) -> BoxedFilter<(Answer,)>,
}

impl Route {
    /// A route at a path, whose filter `build` makes.
    pub(super) const fn new(
        path: &'static str,
        build: fn(&RouteBuilder, &'static str) -> BoxedFilter<(Answer,)>,
    ) -> Route {
        Route { path, is_cached: false, description: None, build }
    }

    pub(super) const fn cached(self) -> Route {
        Route { is_cached: true, ..self }
    }

    pub(super) const fn described_by(self, description: fn() -> OpenApi) -> Route {
        Route { description: Some(description), ..self }
    }

    pub(super) fn filter(&self, builder: &RouteBuilder) -> BoxedFilter<(Answer,)> {
        (self.build)(builder, self.path)
    }

    /// Returns the label in the metrics: the path up to the part that varies, or the whole pattern where hardly
    /// anything is before that part.
    pub(super) fn label(&self) -> &'static str {
        match self.path.split_once("/{") {
            Some((head, _)) if head != "/api" => head,
            _ => self.path,
        }
    }

    /// Whether the requests to a path count under this route's label.
    pub(super) fn counts(&self, path: &str) -> bool {
        let label = self.label();
        match label.contains('{') {
            true => values(label, path).is_some(),
            false => is_at_or_below(label, path),
        }
    }
}

/// Whether a path is `start`, or `start` and further parts.
pub(super) fn is_at_or_below(start: &str, path: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A request to a route that reads.
pub(super) struct ReadRequest {
    pub state: Arc<AppState>,
    pub view: View,
    pub parameters: Parameters,
    pub path: PathValues,
}

/// A request to a route that adds to the history.
pub(super) struct PushRequest {
    pub view: View,
    pub headers: HeaderMap,
    pub parameters: Parameters,
    pub path: PathValues,
    pub full_path: String,
    pub body: BodyStream,
}

/// The chunks of a body as they come.
pub(super) type BodyStream = BoxStream<'static, Result<Bytes, warp::Error>>;

/// The parts of a path that vary.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PathValues(Vec<(&'static str, String)>);

impl PathValues {
    /// Returns a part as it was sent, percent signs included; an empty text if the pattern does not have this name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// Compares a path with a pattern. Returns the parts that vary, or `None` if the path is another.
fn values(pattern: &'static str, path: &str) -> Option<PathValues> {
    let mut values = PathValues::default();
    let mut rest = path.strip_prefix('/').unwrap_or(path);
    for part in pattern.split('/').skip(1) {
        let name = part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_prefix('*')) {
            values.0.push((name, rest.to_string()));
            return Some(values);
        }
        let (segment, behind) = rest.split_once('/').unwrap_or((rest, ""));
        match name {
            Some(name) if !segment.is_empty() => values.0.push((name, segment.to_string())),
            None if segment == part => {}
            _ => return None,
        }
        rest = behind;
    }
    rest.is_empty().then_some(values)
}

/// Passes the requests to a path, with or without a slash at its end.
pub(super) fn at(
    pattern: &'static str,
) -> impl Filter<Extract = (PathValues,), Error = Rejection> + Clone {
    warp::path::full().and_then(move |path: FullPath| {
        ready(values(pattern, path.as_str()).ok_or_else(warp::reject::not_found))
    })
}

/// A push before anything of it is checked.
struct PushParts {
    method: Method,
    view: Result<View, ApiError>,
    headers: HeaderMap,
    parameters: Parameters,
    full_path: String,
    body: BodyStream,
}

/// Makes the filters of routes.
pub(super) struct RouteBuilder {
    state: Arc<AppState>,
    /// The method of a route that reads, and what the client may see. Boxed, as all that comes before a handler: warp
    /// clones the filters for each request, and a boxed filter is one counter.
    read: BoxedFilter<(Result<View, ApiError>, Parameters)>,
    push: BoxedFilter<(PushParts,)>,
}

impl RouteBuilder {
    pub(super) fn new(state: Arc<AppState>) -> RouteBuilder {
        // The method comes behind the path: a wrong method on a known path is another answer than an unknown path.
        let read = warp::get().or(warp::head()).unify();
        let read = read.and(reader(state.clone())).and(warp::query()).boxed();
        let body = warp::body::stream().map(boxed);
        let push = warp::method()
            .and(pusher(state.clone()))
            .and(warp::header::headers_cloned())
            .and(warp::query())
            .and(warp::path::full())
            .and(body)
            .map(|method, view, headers, parameters, full_path: FullPath, body| PushParts {
                method,
                view,
                headers,
                parameters,
                full_path: full_path.as_str().to_string(),
                body,
            })
            .boxed();
        RouteBuilder { state, read, push }
    }

    pub(super) fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// A route that reads the history.
    pub(super) fn get<F>(
        &self,
        path: &'static str,
        handler: fn(ReadRequest) -> F,
    ) -> BoxedFilter<(Answer,)>
    where
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        let state = self.state.clone();
        let read = at(path).and(self.read.clone()).then(move |path, view, parameters| {
            let state = state.clone();
            answered(
                async move { handler(ReadRequest { state, view: view?, parameters, path }).await },
            )
        });
        read.boxed()
    }

    /// A route that reads nothing of the history, and answers to anybody.
    pub(super) fn get_public(
        &self,
        path: &'static str,
        handler: fn(Parameters) -> Result<Answer, ApiError>,
    ) -> BoxedFilter<(Answer,)> {
        let read = at(path)
            .and(self.read.clone())
            .then(move |_, _, parameters| answered(async move { handler(parameters) }));
        read.boxed()
    }

    /// A route that adds to the history. `allowed` are all methods at this path.
    pub(super) fn push<F>(
        &self,
        path: &'static str,
        method: Method,
        allowed: &'static str,
        handler: fn(PushRequest) -> F,
    ) -> BoxedFilter<(Answer,)>
    where
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        let push = at(path).and(self.push.clone()).then(move |path, parts: PushParts| {
            let is_allowed = parts.method == method;
            answered(async move {
                if !is_allowed {
                    return Err(ApiError::MethodNotAllowed(allowed));
                }
                reject_cross_site(&parts.headers)?;
                let PushParts { view, headers, parameters, full_path, body, .. } = parts;
                let view = view?;
                handler(PushRequest { view, headers, parameters, path, full_path, body }).await
            })
        });
        push.boxed()
    }
}

fn boxed(chunks: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static) -> BodyStream {
    chunks.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining())).boxed()
}

/// Returns what the client of a request may see.
fn reader(state: Arc<AppState>) -> BoxedFilter<(Result<View, ApiError>,)> {
    let view = warp::header::optional("authorization")
        .and(warp::cookie::optional(SessionCookie::DORIS.name()))
        .and(warp::path::full())
        .and(warp::host::optional())
        .then(
            move |authorization: Option<String>,
                  session: Option<String>,
                  path: FullPath,
                  host: Option<Authority>| {
                let state = state.clone();
                async move {
                    let (authorization, session) = (authorization.as_deref(), session.as_deref());
                    let credentials = Credentials { authorization, session, path: path.as_str() };
                    state.view(credentials, host).await
                }
            },
        );
    view.boxed()
}

/// The same for a client that pushes, by HTTP Basic alone: a browser sends a cookie for any page that asks it to.
fn pusher(state: Arc<AppState>) -> BoxedFilter<(Result<View, ApiError>,)> {
    let view = warp::header::optional("authorization").and(warp::host::optional()).then(
        move |authorization: Option<String>, host: Option<Authority>| {
            let state = state.clone();
            async move {
                let authorization = authorization.as_deref();
                state.view(Credentials { authorization, session: None, path: "" }, host).await
            }
        },
    );
    view.boxed()
}

/// Makes an answer of an error, too. Boxed: the state of all routes holds this, and moves for each request.
pub(super) fn answered(
    answer: impl Future<Output = Result<Answer, ApiError>> + Send + 'static,
) -> BoxFuture<'static, Answer> {
    Box::pin(async { answer.await.unwrap_or_else(ApiError::into_answer) })
}

/// Joins routes below a path: a request to another path passes none of them.
pub(super) fn below(
    start: &'static str,
    routes: impl IntoIterator<Item = BoxedFilter<(Answer,)>>,
) -> BoxedFilter<(Answer,)> {
    let checked = warp::path::full().and_then(move |path: FullPath| {
        let is_below = path.as_str().starts_with(start);
        ready(if is_below { Ok(()) } else { Err(warp::reject::not_found()) })
    });
    checked.untuple_one().and(any_of(routes)).boxed()
}

/// Returns the first of some routes that takes a request. All are of one type, and joined as a tree: a chain of their own
/// types takes the compiler minutes, and a chain of boxes nests as deep as there are routes.
pub(super) fn any_of(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_compared_with_its_pattern() {
        let of = |pattern, path| {
            values(pattern, path)
                .map(|values| values.0.into_iter().map(|(_, value)| value).collect())
        };
        let parts =
            |parts: &[&str]| Some(parts.iter().map(ToString::to_string).collect::<Vec<_>>());
        for (pattern, path, expected) in [
            ("/a/b", "/a/b", parts(&[])),
            ("/a/b", "/a/b/", parts(&[])),
            ("/a/b", "/a/b//", None),
            ("/a/b", "/a//b", None),
            ("/a/b", "/a/bc", None),
            ("/a/b", "/a", None),
            ("/a/{id}/b", "/a/1%202/b", parts(&["1%202"])),
            ("/a/{id}/b", "/a//b", None),
            ("/a/{*id}", "/a/x/y/", parts(&["x/y/"])),
            ("/a/{*id}", "/a", parts(&[""])),
            ("/a/{*id}", "/ab", None),
        ] {
            assert_eq!(of(pattern, path), expected, "{pattern} {path}");
        }
    }
}
