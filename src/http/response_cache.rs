//! Lists and reports as ready bytes, kept until a commit makes them old.
//!
//! Before a kept response is sent, the version of the store is compared with the version that the response was read
//! from. The version changes before a commit is acknowledged, in this process or another. So a client that knows of a
//! commit never gets a response from before it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use headers::IfNoneMatch;
use http_body_util::{BodyExt, Either};
use tower::{Service, ServiceExt};
use warp::host::Authority;
use warp::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, ETAG, HOST, IF_NONE_MATCH,
};
use warp::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use warp::hyper::body::{Body, Bytes};

use super::is_cached;
use super::state::{AppState, Credentials};
use crate::domain::time::is_absolute;
use crate::http::answer::{Answer, AnswerBody};
use crate::http::answer_memory::{AnswerMemory, IsCounted, Reserved};
use crate::http::auth::{Principal, SessionCookie};
use crate::http::cache::Cache;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::etag;
use crate::http::middleware::{finalize_response, reserve_request_id};
use crate::store::{Version, Watch};

/// The most bytes of all responses. A response of more than an eighth is not kept.
const BUDGET_BYTES: usize = 8 << 20;
/// About what a response takes beside its body and its key.
const OVERHEAD_BYTES: usize = 1 << 10;

#[derive(Debug)]
pub(crate) struct ResponseCache {
    watch: Watch,
    responses: Cache<Arc<str>, CachedResponse>,
    memory: AnswerMemory,
}

/// A response with status 200.
#[derive(Debug)]
struct CachedResponse {
    version: Version,
    /// When reading the store began.
    began: Instant,
    headers: HeaderMap,
    body: Bytes,
}

/// The body of a response from the cache, or of a route.
pub(super) type RouteBody<B> = Either<AnswerBody, B>;

/// A response from the cache, or of a route.
pub(super) type Out<B> = Response<RouteBody<B>>;

/// Returns the body of a response that is not of a route.
pub(super) fn whole<B>(body: AnswerBody) -> Either<AnswerBody, B> {
    Either::Left(body)
}

impl ResponseCache {
    /// Returns a cache of responses from the store that `watch` watches.
    pub(crate) fn new(watch: Watch) -> ResponseCache {
        let responses = Cache::new(BUDGET_BYTES, weigh);
        ResponseCache { watch, responses, memory: AnswerMemory::new() }
    }

    pub(super) fn memory(&self) -> &AnswerMemory {
        &self.memory
    }

    /// Returns the kept response to a request, or `None` if the request has to wait for anything. Most requests for
    /// lists end here, so that this is what a list costs.
    pub(crate) fn get<In>(&self, state: &AppState, request: &Request<In>) -> Option<Answer> {
        if !is_list(request) {
            return None;
        }
        let headers = request.headers();
        let authorization = headers.get(AUTHORIZATION).map(HeaderValue::to_str).transpose().ok()?;
        let principal = state.authenticator().known_principal(authorization)?;
        // The key has the host, and a response is kept only for a host that annals answers to.
        let response = self.responses.get(key(&principal, request).as_str())?;
        let known = etag::if_none_match(headers);
        (self.watch.now_at_once() == Some(response.version))
            .then(|| response.to_answer(known.as_ref()))
    }

    /// Responds by `routes`, or with the kept response to a request for a list. Keeps the response of `routes`.
    pub(crate) async fn respond<S, In, B>(
        &self,
        state: &AppState,
        routes: S,
        mut request: Request<In>,
    ) -> Result<Out<B>, Infallible>
    where
        S: Service<Request<In>, Response = Response<B>, Error = Infallible>,
        B: Body<Data = Bytes>,
    {
        let host = if is_list(&request) { host(request.headers()) } else { None };
        let Some(host) = host else {
            return Ok(routes.oneshot(request).await?.map(Either::Right));
        };
        let principal = match principal(state, &request, host.as_ref()).await {
            Ok(principal) => principal,
            Err(error) => return Ok(error_answer(&request, error).map(whole)),
        };
        let key = key(&principal, &request);
        // The routes make the whole response, whatever this client has of it.
        let known = etag::if_none_match(request.headers());
        request.headers_mut().remove(IF_NONE_MATCH);
        request.extensions_mut().insert(IsCounted);
        let asked = Instant::now();
        let version = self.watch.now().await;
        // What was read since the request came, or is of the version then, holds every commit from before it.
        let is_fresh =
            |response: &CachedResponse| response.began >= asked || response.version == version;
        if let Some(response) = self.responses.get(key.as_str()).filter(|one| is_fresh(one)) {
            return Ok(response.to_answer(known.as_ref()).map(whole));
        }
        // Memory is reserved before the cache lets one request make the list for others: nobody waits for the memory of
        // another client.
        let is_slow = request.uri().query().is_some_and(may_read_many);
        let reserved = self.memory.reserve_list(&principal, client(&request), is_slow).await;
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(error) => return Ok(error_answer(&request, error).map(whole)),
        };
        let load = self.load(routes, request, reserved);
        Ok(match self.responses.get_or_load(key.into(), is_fresh, load).await {
            Ok(response) => response.to_answer(known.as_ref()).map(whole),
            Err(response) => response,
        })
    }

    /// Returns the response of `routes`, or as an error one that is not to be kept.
    async fn load<S, In, B>(
        &self,
        routes: S,
        request: Request<In>,
        reserved: Reserved,
    ) -> Result<CachedResponse, Out<B>>
    where
        S: Service<Request<In>, Response = Response<B>, Error = Infallible>,
        B: Body<Data = Bytes>,
    {
        let began = Instant::now();
        let version = self.watch.now().await;
        let (mut head, body) = match routes.oneshot(request).await {
            Ok(response) => response.into_parts(),
            Err(never) => match never {},
        };
        if head.status != StatusCode::OK {
            return Err(Response::from_parts(head, Either::Right(body)));
        }
        let Ok(body) = body.collect().await else {
            let error = ApiError::Internal("the body of a list broke off".into());
            return Err(error.into_answer().map(whole));
        };
        reserve_request_id(&mut head.headers);
        let body = match reserved.hold(body.to_bytes()) {
            Ok(body) => body,
            Err(error) => return Err(error.into_answer().map(whole)),
        };
        Ok(CachedResponse { version, began, headers: head.headers, body })
    }
}

fn weigh(key: &Arc<str>, response: Option<&CachedResponse>) -> usize {
    let headers = |headers: &HeaderMap| headers.values().map(HeaderValue::len).sum::<usize>();
    let response = response.map_or(0, |one| one.body.len() + headers(&one.headers));
    key.len() + OVERHEAD_BYTES + response
}

impl CachedResponse {
    /// Returns the response, or 304 if the client knows it.
    fn to_answer(&self, known: Option<&IfNoneMatch>) -> Answer {
        let mut answer = Response::new(AnswerBody::Whole(self.body.clone()));
        *answer.headers_mut() = self.headers.clone();
        if let (Some(known), Some(tag)) = (known, self.headers.get(ETAG))
            && etag::is_known(known, tag)
        {
            *answer.body_mut() = AnswerBody::default();
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer.headers_mut().remove(CONTENT_ENCODING);
        }
        answer
    }
}

fn is_list<In>(request: &Request<In>) -> bool {
    let uri = request.uri();
    *request.method() == Method::GET
        && uri.authority().is_none()
        && is_cached(uri.path())
        // With this parameter the path has one query, not a list.
        && !uri.query().is_some_and(|query| query.contains("query_id") || moves(query))
}

/// Returns whether a list of this query may read many queries before it has a page: it searches in statements, or has another
/// order than by start.
fn may_read_many(query: &str) -> bool {
    const NAMES: [&str; 3] = ["search=", "words=", "order="];
    query.split('&').any(|parameter| NAMES.iter().any(|name| parameter.starts_with(name)))
}

/// Returns whether a query names a time that moves with the clock, as `from=2h`: an answer is of the time of its request.
fn moves(query: &str) -> bool {
    let times = query.split('&').filter_map(|parameter| {
        parameter.strip_prefix("from=").or_else(|| parameter.strip_prefix("to="))
    });
    times.into_iter().any(|time| !is_absolute(time))
}

/// Returns the host of a request, or `None` if the header is unreadable. The routes reject such a request.
pub(super) fn host(headers: &HeaderMap) -> Option<Option<Authority>> {
    match headers.get(HOST) {
        None => Some(None),
        Some(host) => host.to_str().ok()?.parse().ok().map(Some),
    }
}

fn client<In>(request: &Request<In>) -> Client {
    request.extensions().get().copied().unwrap_or(Client::UNKNOWN)
}

fn error_answer<In>(request: &Request<In>, error: ApiError) -> Answer {
    finalize_response(request.method(), request.headers(), error.into_answer())
}

/// Returns the user who sent a request. Errors as the routes do.
async fn principal<In>(
    state: &AppState,
    request: &Request<In>,
    host: Option<&Authority>,
) -> Result<Principal, ApiError> {
    let headers = request.headers();
    let authorization = headers.get(AUTHORIZATION).map(HeaderValue::to_str).transpose();
    let authorization = authorization
        .map_err(|_| ApiError::BadRequest("the request cannot be read".to_string()))?;
    let session = SessionCookie::DORIS.read(headers);
    let (session, path) = (session.as_deref(), request.uri().path());
    let credentials = Credentials { authorization, session, path, client: client(request) };
    state.principal(credentials, host).await
}

/// Returns everything that a response depends on, beside the store.
fn key<In>(principal: &Principal, request: &Request<In>) -> String {
    let path_and_query = request.uri().path_and_query().map_or("", |path| path.as_str());
    let headers = request.headers();
    let mut key = String::with_capacity(path_and_query.len() + 64);
    key.push_str(path_and_query);
    for header in headers.get_all(HOST).iter().chain(headers.get_all(ACCEPT_ENCODING)) {
        key.push('\n');
        key.push_str(&String::from_utf8_lossy(header.as_bytes()));
    }
    // Neither a path nor a header contains a NUL, and a name of a cluster no comma.
    if let Some(user) = &principal.restricted_to {
        key.push('\0');
        key.push_str(user);
    }
    if let Some(clusters) = &principal.clusters {
        key.push_str("\0\0");
        key.push_str(&clusters.join(","));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn lists_are_kept_and_single_queries_are_not() {
        for (method, uri, expected) in [
            ("GET", "/rest/v1/session", true),
            ("GET", "/api/v1/queries?limit=3&user=alice", true),
            ("HEAD", "/rest/v1/session", false),
            ("POST", "/api/v1/queries", false),
            ("GET", "/rest/v1/session/1-2", false),
            ("GET", "/rest/v1/session?query_id=1-2", false),
            ("GET", "http://example.org/rest/v1/session", false),
        ] {
            assert_eq!(is_list(&request(method, uri, &[])), expected, "{method} {uri}");
        }
    }

    #[test]
    fn requests_share_a_response_only_if_it_is_the_same_for_both() {
        let principal = |user: Option<&str>| {
            let restricted_to = user.map(str::to_string);
            Principal { name: None, restricted_to, clusters: None, may_push: false }
        };
        let host = ("host", "localhost");
        let keys = [
            key(&principal(None), &request("GET", "/api/v1/queries", &[host])),
            key(&principal(None), &request("GET", "/api/v1/queries?limit=3", &[host])),
            key(&principal(None), &request("GET", "/api/v1/queries", &[("host", "other")])),
            key(
                &principal(None),
                &request("GET", "/api/v1/queries", &[host, ("accept-encoding", "gzip")]),
            ),
            key(&principal(Some("alice")), &request("GET", "/api/v1/queries", &[host])),
            key(&principal(Some("bob")), &request("GET", "/api/v1/queries", &[host])),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
        let admin = Principal { name: Some("root".to_string()), ..principal(None) };
        let other = request("GET", "/api/v1/queries", &[host, ("user-agent", "curl")]);
        assert_eq!(key(&admin, &other), keys[0]);
    }
}
